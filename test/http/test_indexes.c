/*
 * test/http/test_indexes.c - kinto.index.*: the same answers with indexes and without, also when they come and go
 * with records that are there.
 */
#include "base/buf.h"
#include "test/support/api.h"
#include "test/support/unit.h"

#define RECORDS 300
#define INDEXES "kinto.index.b.c = state+score, author, deep.down\n"

static struct server own;

static void fill(void)
{
    struct buf b;

    make_collection();
    for (int from = 0; from < RECORDS; from += 25) {
        buf_init(&b, SIZE_MAX);
        buf_printf(&b, "{'defaults':{'method':'PUT'},'requests':[");
        for (int i = from; i < from + 25; i++)
            buf_printf(&b,
                       "%s{'path':'/v1" R
                       "/r%03d','body':{'data':{'state':'%s','score':%d,'author':%s,"
                       "'deep':{'down':%d}}}}",
                       i > from ? "," : "", i, i % 10 ? "open" : "closed", i * 37 % 100,
                       i % 7 ? f("'a%d'", i % 30) : "null", i / 50);
        buf_printf(&b, "]}");
        buf_add_char(&b, '\0');
        call("POST", "/batch", b.p);
        want(200);
        buf_fini(&b);
    }
}

static const char *const queries[] = {
    "state=closed",
    "state=closed&_limit=7",
    "state=closed&_sort=-score&_limit=7",
    "state=closed&_sort=score&_limit=7",
    "state=closed&min_score=50",
    "state=closed&gt_score=20&lt_score=60&_sort=score",
    "state=open&_sort=-score&_limit=5",
    "state=open",
    "author=a3",
    "author=null&_limit=3",
    "author=a3&score=11",
    "_sort=author&_limit=4",
    "_sort=-author&_limit=4",
    "deep.down=2&_limit=9",
    "min_deep.down=5",
    "author=a3&_since=5",
    "author=nobody",
    "_sort=deep.down,-score&_limit=6",
    "author=a3&_fields=score",
};

/* The path of the page behind; NULL: there is none. */
static const char *next_page(void)
{
    const char *next = header("Next-Page");

    return next != NULL ? f("%s", strstr(next, "/v1/") + 3) : NULL;
}

/* Each query, all of its pages, as one text. */
static void ask_all(struct buf *out)
{
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        const char *path = f(R "?%s", queries[i]);
        for (int page = 0; path != NULL && page < 60; page++) {
            call("GET", path, NULL);
            want(200);
            buf_printf(out, "%s %s\n", queries[i], at("/data"));
            path = next_page();
        }
        call("HEAD", f(R "?%s", queries[i]), NULL);
        buf_printf(out, "%s\n", header("Total-Objects"));
    }
    buf_add_char(out, '\0');
}

START_TEST(answers_are_the_same)
{
    struct server_options plain = {.durable = true};
    struct server_options indexed = {.durable = true, .settings = INDEXES};
    struct buf before, after;

    buf_init(&before, SIZE_MAX);
    buf_init(&after, SIZE_MAX);
    server_start(&own, &plain);
    api_use(own.url);
    as("alice");
    fill();
    ask_all(&before);
    api_restart(&own, &indexed);
    ask_all(&after);
    ck_assert_int_eq(buf_failed(&before) || buf_failed(&after), 0);
    ck_assert_str_eq(after.p, before.p);
    ck_assert_uint_gt(after.n, RECORDS * 100);
    api_use(NULL);
    server_stop(&own);
    buf_fini(&before);
    buf_fini(&after);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http/indexes");
    TCase *c = api_case_own(s, "indexes");

    tcase_add_test(c, answers_are_the_same);
    return s;
}

API_MAIN(suite, "")
