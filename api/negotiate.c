/*
 * api/negotiate.c - Accept and Content-Type (RFC 9110, 12.5.1 and 8.3): 406 and 415; Accept-Encoding (12.5.3).
 */
#include "api/private.h"

/* "0.25" in thousandths. -1: malformed. */
static int quality_value(str v)
{
    if (v.n == 0 || v.n > 5 || (v.p[0] != '0' && v.p[0] != '1') || (v.n > 1 && v.p[1] != '.'))
        return -1;
    int q = (v.p[0] - '0') * 1000, unit = 100;
    for (size_t i = 2; i < v.n; i++, unit /= 10) {
        if (v.p[i] < '0' || v.p[i] > '9')
            return -1;
        q += (v.p[i] - '0') * unit;
    }
    return q > 1000 ? -1 : q;
}

/* ---- the grammar of Accept ------------------------------------------------------------------- */

static bool next_is(str s, char c)
{
    return s.n && s.p[0] == c;
}

static bool take_char(str *s, char c)
{
    if (!next_is(*s, c))
        return false;
    *s = str_drop(*s, 1);
    return true;
}

static void skip_blanks(str *s)
{
    while (take_char(s, ' ') || take_char(s, '\t'))
        ;
}

static bool take_token(str *s, str *token)
{
    size_t n = 0;
    while (n < s->n && http_is_token_char(s->p[n]))
        n++;
    *token = str_sub(*s, 0, n);
    *s = str_drop(*s, n);
    return n > 0;
}

/* A token, or text in quotes, in which commas and semicolons part nothing. */
static bool take_value(str *s, str *value)
{
    if (!next_is(*s, '"'))
        return take_token(s, value);
    for (size_t i = 1; i < s->n; i++) {
        if (s->p[i] == '\\') {
            i++;
        } else if (s->p[i] == '"') {
            *value = str_sub(*s, 0, i + 1);
            *s = str_drop(*s, i + 1);
            return true;
        }
    }
    return false;
}

struct media_range {
    str type, subtype;
    bool narrow;   /* it has parameters: "text/plain;format=flowed" */
    bool weighted; /* q was seen: what follows are no parameters of the type */
    int q;         /* in thousandths */
};

/* What is behind a semicolon. Behind q the value may be left out (accept-ext of RFC 7231). */
static bool take_parameter(str *s, struct media_range *range)
{
    str name, value = STR_NONE;
    if (!take_token(s, &name))
        return false;
    bool given = take_char(s, '=');
    if (given ? !take_value(s, &value) : !range->weighted)
        return false;
    if (range->weighted)
        return true;
    range->weighted = str_eq_nocase(name, STR("q"));
    if (range->weighted)
        range->q = quality_value(value);
    else
        range->narrow = true;
    return range->q >= 0;
}

static bool take_media_range(str *s, struct media_range *range)
{
    *range = (struct media_range){.q = 1000};
    if (!take_token(s, &range->type) || !take_char(s, '/') || !take_token(s, &range->subtype))
        return false;
    for (;;) {
        str rest = *s;
        skip_blanks(&rest);
        if (!take_char(&rest, ';'))
            return true;
        skip_blanks(&rest);
        *s = rest;
        if (!take_parameter(s, range))
            return false;
    }
}

/* How closely the range describes the type; 0: not at all. None of our types has parameters. */
static int range_rank(const struct media_range *range, const char *type, const char *subtype)
{
    if (str_eq_nocase(range->type, str_from(type))) {
        if (str_eq_nocase(range->subtype, str_from(subtype)))
            return range->narrow ? 0 : 3;
        if (str_eq(range->subtype, STR("*")))
            return 2;
    }
    return str_eq(range->type, STR("*")) && str_eq(range->subtype, STR("*")) ? 1 : 0;
}

/* The next element of the list, which may be empty (range->type is); false: malformed. A comma in front
 * of all is an empty element, but parts it from none (RFC 7230, 7). */
static bool take_element(str *s, bool first, struct media_range *range)
{
    *range = (struct media_range){.type = STR_NONE};
    if (first)
        return take_char(s, ',') || take_media_range(s, range);
    skip_blanks(s);
    if (!take_char(s, ','))
        return false;
    skip_blanks(s);
    return s->n == 0 || next_is(*s, ',') || take_media_range(s, range);
}

int api_accept_quality(str accept, const char *type, const char *subtype)
{
    int best = -1, best_rank = 0;
    for (bool first = true; accept.n; first = false) {
        struct media_range range;
        if (!take_element(&accept, first, &range))
            return 1000; /* malformed: as if it had not been sent */
        int rank = str_none(range.type) ? 0 : range_rank(&range, type, subtype);
        if (rank > best_rank) {
            best_rank = rank;
            best = range.q;
        }
    }
    return best;
}

/* ---- content codings ------------------------------------------------------------------------- */

/* What an Accept-Encoding header says of them, in thousandths; -1: nothing. */
struct codings {
    int gzip, identity, any;
};

/* `given` is named again: what refuses it counts. */
static int lower(int given, int q)
{
    return given < 0 ? q : MIN_OF(given, q);
}

static void note_coding(struct codings *c, str name, int q)
{
    if (str_eq_nocase(name, STR("gzip")) ||
        str_eq_nocase(name, STR("x-gzip"))) /* RFC 9110, 8.4.1.3 */
        c->gzip = lower(c->gzip, q);
    else if (str_eq_nocase(name, STR("identity")))
        c->identity = lower(c->identity, q);
    else if (str_eq(name, STR("*")))
        c->any = lower(c->any, q);
}

/* "gzip", or "gzip;q=0.5", and the blanks behind it. */
static bool take_coding(str *s, struct codings *c)
{
    str name, q, value;
    int quality = 1000;
    if (!take_token(s, &name))
        return false;
    skip_blanks(s);
    if (take_char(s, ';')) {
        skip_blanks(s);
        if (!take_token(s, &q) || !str_eq_nocase(q, STR("q")) || !take_char(s, '=') ||
            !take_token(s, &value))
            return false;
        quality = quality_value(value);
        skip_blanks(s);
    }
    if (quality < 0)
        return false;
    note_coding(c, name, quality);
    return true;
}

/* The list of one header, whose elements may be empty; false: malformed. */
static bool take_codings(str s, struct codings *c)
{
    skip_blanks(&s);
    while (s.n) {
        if (!next_is(s, ',') && !take_coding(&s, c))
            return false;
        if (s.n && !take_char(&s, ','))
            return false;
        skip_blanks(&s);
    }
    return true;
}

bool api_takes_gzip(const struct http_header *headers, unsigned n)
{
    struct codings c = {-1, -1, -1};
    for (unsigned i = 0; i < n; i++)
        if (str_eq_nocase(headers[i].name, STR("Accept-Encoding")) &&
            !take_codings(headers[i].value, &c))
            return false;
    int gzip = c.gzip >= 0 ? c.gzip : c.any;
    return gzip > 0 && gzip >= c.identity;
}

/* ---- types ----------------------------------------------------------------------------------- */

/* "application/json" of "application/json; charset=utf-8" */
static str media_type(str content_type)
{
    return str_trim(str_cut(&content_type, ';'));
}

/* In lower case only, as the reference compares. */
static bool type_is(str content_type, const char *type)
{
    return str_eq(media_type(content_type), str_from(type));
}

bool api_is_json_type(str content_type)
{
    str type = media_type(content_type);
    return type.n == 0 || (str_starts(type, STR("application/")) && str_ends(type, STR("json")));
}

static enum api_step unsupported(struct api_req *r, const char *allowed)
{
    r->invalid = NULL;
    api_invalid_add(r, "header", STR("Content-Type"),
                    arena_printf(r->arena, "Content-Type header should be one of [%s]", allowed));
    return api_invalid_fail(r, 415);
}

static enum api_step check_content_type(struct api_req *r)
{
    str type = api_req_header(r, "Content-Type");
    r->patch = PATCH_PLAIN;
    if (str_none(type) || type.n == 0 || !(r->route->json_body & METHOD_BIT(r->method)))
        return STEP_NEXT;
    if (type_is(type, "application/json"))
        return STEP_NEXT;
    if (r->method != METHOD_PATCH)
        return unsupported(r, "'application/json'");
    if (type_is(type, "application/json-patch+json")) {
        r->patch = PATCH_JSON;
        return STEP_NEXT;
    }
    if (type_is(type, "application/merge-patch+json")) {
        r->patch = PATCH_MERGE;
        return STEP_NEXT;
    }
    return unsupported(r, "'application/merge-patch+json', 'application/json-patch+json', "
                          "'application/json'");
}

enum api_step api_negotiate(struct api_req *r)
{
    str accept = api_req_header(r, "Accept");
    if (r->route->check_accept && !str_none(accept) &&
        api_accept_quality(accept, "application", "json") <= 0) {
        r->invalid = NULL;
        api_invalid_add(r, "header", STR("Accept"),
                        STR("Accept header should be one of ['application/json']"));
        return api_invalid_fail(r, 406);
    }
    return check_content_type(r);
}
