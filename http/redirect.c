/*
 * http/redirect.c - where a request that came over plain HTTP is to go.
 */
#include "http/private.h"

/* The host of a Host header without its port: "example.org:80", "[::1]:80" (RFC 9110, 7.2). STR_NONE: there
 * is none, or it has characters that no host has, which would make a different URL of it. */
static str host_of(str header)
{
    bool literal = header.n > 0 && header.p[0] == '[';
    size_t end = literal ? str_find(header, ']') : str_find(header, ':');
    size_t n = end == STR_NPOS ? header.n : end + literal;

    if (n == 0 || (literal && end == STR_NPOS))
        return STR_NONE;
    for (size_t i = 0; i < n; i++) {
        char c = header.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool other =
            c == '.' || (literal ? strchr("[]:", c) != NULL && c != '\0' : c == '-' || c == '_');
        if (!letter && !other)
            return STR_NONE;
    }
    return str_sub(header, 0, n);
}

str redirect_location(struct arena *a, str fixed, str host_header, uint16_t port, str target)
{
    char number[8] = "";
    str host = !str_none(fixed) ? fixed : str_none(host_header) ? STR_NONE : host_of(host_header);

    if (str_none(host))
        return STR_NONE;
    if (str_none(fixed) && port != 443 && port != 0)
        snprintf(number, sizeof number, ":%u", port);
    if (str_eq(target, STR("*"))) /* OPTIONS of the whole server has no path */
        target = STR("/");
    return arena_concat(a, (str[]){STR("https://"), host, str_from(number), target}, 4);
}
