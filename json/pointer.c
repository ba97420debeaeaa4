/*
 * json/pointer.c - JSON Pointer (RFC 6901).
 *
 * A pointer is read token by token where it stands; only a token with escapes is decoded into
 * memory of its own. Since each token has one spelling only, pointers are equal when their texts
 * are.
 */
#include "json/private.h"

str json_pointer_bad_escape(str pointer)
{
    for (size_t i = 0; i < pointer.n; i++) {
        size_t end = i + 1;
        if (pointer.p[i] != '~')
            continue;
        if (end < pointer.n && (pointer.p[end] == '0' || pointer.p[end] == '1'))
            continue;
        if (end < pointer.n) /* one character: a byte and its continuations */
            do
                end++;
            while (end < pointer.n && ((unsigned char)pointer.p[end] & 0xC0) == 0x80);
        return str_sub(pointer, i, end - i);
    }
    return STR_NONE;
}

static enum err unescape(struct arena *a, str *token)
{
    char *out;
    size_t n = 0;

    if (token->n == 0 || memchr(token->p, '~', token->n) == NULL)
        return OK;
    out = arena_alloc(a, token->n);
    if (out == NULL)
        return ERR_NOMEM;
    for (size_t i = 0; i < token->n; i++) {
        char next = token->p[i] == '~' && i + 1 < token->n ? token->p[i + 1] : '\0';
        bool escape = next == '0' || next == '1';
        out[n++] = !escape ? token->p[i] : next == '1' ? '/' : '~';
        i += escape;
    }
    *token = (str){out, n};
    return OK;
}

enum err json_pointer_token(struct arena *a, str *rest, str *token)
{
    str s = str_drop(*rest, 1), t = s;
    size_t n = str_find(s, '/');
    enum err e;

    if (n != STR_NPOS)
        t = str_sub(s, 0, n);
    e = unescape(a, &t);
    if (e != OK)
        return e;
    *token = t;
    *rest = n != STR_NPOS ? str_drop(s, n) : STR("");
    return OK;
}

bool json_pointer_index(str token, size_t *out)
{
    size_t v = 0;

    if (token.n == 0 || (token.p[0] == '0' && token.n > 1))
        return false;
    for (size_t i = 0; i < token.n; i++) {
        char c = token.p[i];
        if (c < '0' || c > '9')
            return false;
        v = v > (SIZE_MAX - 9) / 10 ? SIZE_MAX : v * 10 + (size_t)(c - '0');
    }
    *out = v;
    return true;
}

static struct json *step(const struct json *v, str token)
{
    size_t i;

    if (v->type == JSON_OBJECT)
        return json_get(v, token);
    return json_pointer_index(token, &i) ? json_at(v, i) : NULL;
}

enum err json_pointer_get(struct arena *a, const struct json *root, str pointer, struct json **out)
{
    struct json *v = (struct json *)(uintptr_t)root;
    str rest = pointer, token;

    if ((pointer.n > 0 && pointer.p[0] != '/') || !str_none(json_pointer_bad_escape(pointer)))
        return ERR_SYNTAX;
    while (rest.n > 0) {
        enum err e = json_pointer_token(a, &rest, &token);
        if (e != OK)
            return e;
        v = step(v, token);
        if (v == NULL)
            return ERR_NOTFOUND;
    }
    *out = v;
    return OK;
}
