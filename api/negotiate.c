/*
 * api/negotiate.c - Accept and Content-Type (RFC 9110, 12.5.1 and 8.3): 406 and 415.
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

/* q of a media range's parameters in thousandths; 1000 when there is none. -1: malformed. *narrow:
 * there are parameters of the media type itself. */
static int parameter_q(str params, bool *narrow)
{
    while (!str_none(params)) {
        str p = str_trim(str_cut(&params, ';'));
        if (p.n >= 2 && (p.p[0] == 'q' || p.p[0] == 'Q') && p.p[1] == '=')
            return quality_value(str_drop(p, 2));
        *narrow = *narrow || p.n > 0;
    }
    return 1000;
}

int api_accept_quality(str accept, const char *type, const char *subtype)
{
    int best = -1, best_rank = 0;
    while (!str_none(accept)) {
        str params = str_trim(str_cut(&accept, ','));
        if (params.n == 0)
            continue;
        str range = str_trim(str_cut(&params, ';'));
        size_t slash = str_find(range, '/');
        bool narrow = false;
        int q = parameter_q(params, &narrow);
        if (slash == STR_NPOS || q < 0)
            return 1000; /* malformed: as if it had not been sent */
        if (narrow)      /* "text/plain;format=flowed" is none of ours */
            continue;
        str t = str_sub(range, 0, slash), s = str_drop(range, slash + 1);
        int rank = 0;
        if (str_eq_nocase(t, str_from(type)) && str_eq_nocase(s, str_from(subtype)))
            rank = 3;
        else if (str_eq_nocase(t, str_from(type)) && str_eq(s, STR("*")))
            rank = 2;
        else if (str_eq(range, STR("*/*")))
            rank = 1;
        if (rank > best_rank) {
            best_rank = rank;
            best = q;
        }
    }
    return best;
}

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
