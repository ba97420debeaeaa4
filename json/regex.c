/*
 * json/regex.c - compiling and searching, by PCRE2; regex_translate.c makes the pattern one of its.
 *
 * The budget works by callouts, which PCRE2 makes before each item that it tries: a step each, and a
 * sixteenth of a step for each byte that was run over since the last. What an item does without
 * a callout is bounded by `reach`: the largest lower bound of a repetition, or the whole text when
 * there are back-references. Large patterns may hold large classes, so `weight` multiplies all.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "json/regex_translate.h"

#include <pcre2.h>

#define HEAP_LIMIT_KIB (8 * 1024)

struct json_regex {
    pcre2_code *code;
    uint64_t weight, reach;
    size_t bytes;
};

/* ---- compiling ------------------------------------------------------------------------------- */

static enum err compile(struct json_regex *x, str pattern, const char **why)
{
    int code;
    PCRE2_SIZE offset, size = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);

    if (context == NULL)
        return ERR_NOMEM;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    x->code = pcre2_compile((PCRE2_SPTR)pattern.p, pattern.n,
                            PCRE2_UTF | PCRE2_NO_UTF_CHECK | PCRE2_UCP | PCRE2_AUTO_CALLOUT |
                                PCRE2_NEVER_BACKSLASH_C,
                            &code, &offset, context);
    pcre2_compile_context_free(context);
    if (x->code == NULL && code == PCRE2_ERROR_HEAP_FAILED)
        return ERR_NOMEM;
    if (x->code == NULL && code == PCRE2_ERROR_PATTERN_TOO_LARGE) {
        *why = "too large when it is compiled";
        return ERR_UNSUPPORTED;
    }
    if (x->code == NULL)
        return ERR_SYNTAX;
    pcre2_pattern_info(x->code, PCRE2_INFO_SIZE, &size);
    x->bytes = sizeof *x + size;
    return OK;
}

static enum err translate_and_compile(struct json_regex *x, str pattern, uint64_t *steps,
                                      const char **why)
{
    struct buf text;
    enum err e;

    buf_init(&text, 64 * JSON_REGEX_MAX_BYTES);
    e = json_regex_translate(pattern, steps, &text, &x->reach, why);
    if (e == OK)
        e = compile(x, buf_str(&text), why);
    buf_fini(&text);
    return e;
}

enum err json_regex_new(struct json_regex **out, str pattern, uint64_t *steps, const char **why)
{
    struct json_regex *x;
    const char *reason;
    enum err e;

    if (why == NULL)
        why = &reason;
    *why = NULL;
    if (pattern.n > JSON_REGEX_MAX_BYTES) {
        *why = "longer than 16 KiB";
        return ERR_UNSUPPORTED;
    }
    x = calloc(1, sizeof *x);
    if (x == NULL)
        return ERR_NOMEM;
    x->weight = 1 + pattern.n / 128;
    e = translate_and_compile(x, pattern, steps, why);
    if (e == OK)
        *out = x;
    else
        json_regex_free(x);
    return e;
}

void json_regex_free(struct json_regex *r)
{
    if (r == NULL)
        return;
    pcre2_code_free(r->code);
    free(r);
}

size_t json_regex_bytes(const struct json_regex *r)
{
    return r->bytes;
}

/* ---- searching ------------------------------------------------------------------------------- */

static int spend(pcre2_callout_block *block, void *arg)
{
    struct json_regex_scratch *s = arg;
    size_t at = block->current_position;
    uint64_t moved = at > s->at ? at - s->at : s->at - at;
    uint64_t cost = (1 + (moved + s->reach) / 16) * s->weight;

    s->at = at;
    if (*s->steps < cost) {
        *s->steps = 0;
        return PCRE2_ERROR_CALLOUT;
    }
    *s->steps -= cost;
    return 0;
}

static enum err prepare(struct json_regex_scratch *s)
{
    if (s->data == NULL)
        s->data = pcre2_match_data_create(1, NULL);
    if (s->context == NULL) {
        s->context = pcre2_match_context_create(NULL);
        if (s->context != NULL) {
            pcre2_set_callout(s->context, spend, s);
            pcre2_set_heap_limit(s->context, HEAP_LIMIT_KIB);
        }
    }
    return s->data != NULL && s->context != NULL ? OK : ERR_NOMEM;
}

void json_regex_scratch_fini(struct json_regex_scratch *s)
{
    pcre2_match_data_free(s->data);
    pcre2_match_context_free(s->context);
    *s = (struct json_regex_scratch){0};
}

enum err json_regex_search(const struct json_regex *r, struct json_regex_scratch *s, str subject,
                           uint64_t *steps, bool *found)
{
    int n;
    enum err e = prepare(s);

    if (e != OK)
        return e;
    s->steps = steps;
    s->weight = r->weight;
    s->reach = MIN_OF(r->reach, (uint64_t)subject.n);
    s->at = 0;
    n = pcre2_match(r->code, (PCRE2_SPTR)(subject.p ? subject.p : ""), subject.n, 0,
                    PCRE2_NO_UTF_CHECK, s->data, s->context);
    if (n == PCRE2_ERROR_NOMEMORY)
        return ERR_NOMEM;
    if (n < 0 && n != PCRE2_ERROR_NOMATCH)
        return ERR_LIMIT;
    *found = n >= 0;
    return OK;
}
