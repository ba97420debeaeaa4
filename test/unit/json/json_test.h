/*
 * What the tests of json/ share: short ways to parse and write, bytes that end at an unreadable
 * page, random documents, and arenas that run out at a chosen byte.
 */
#ifndef JSON_TEST_H
#define JSON_TEST_H

#include "test/support/unit.h"

#include "json/json.h"
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define TEST_BUDGET (64 * MIB)

/* The arena of a test; each test runs in a process of its own or takes it after a reset. */
static struct arena arena;

static inline void setup(void)
{
    arena_init(&arena, NULL, 0, NULL, TEST_BUDGET);
}

static inline void teardown(void)
{
    arena_fini(&arena);
}

static inline struct json *parse_str(str text)
{
    struct json *v = NULL;
    struct json_error error = {0};
    enum err e = json_parse(&arena, text, &v, &error);

    ck_assert_msg(e == OK, "%.*s: %s at %zu", (int)MIN_OF(text.n, (size_t)200), text.p, error.what,
                  error.offset);
    return v;
}

static inline struct json *parse(const char *text)
{
    return parse_str(str_from(text));
}

/* Compares what json_write makes of v with a text. */
#define ck_assert_json(v, text) ck_assert_str_is(json_text(&arena, (v)), (text))

/* ---- random ---------------------------------------------------------------------------------- */

struct random {
    uint64_t state;
};

/* The seed is printed, and taken from JSON_SEED when that is set. */
static inline struct random random_start(void)
{
    const char *env = getenv("JSON_SEED");
    struct timespec now;
    uint64_t seed;

    clock_gettime(CLOCK_REALTIME, &now);
    seed = env != NULL ? strtoull(env, NULL, 10) : (uint64_t)now.tv_nsec * 1000003u + 1;
    printf("JSON_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return (struct random){seed | 1};
}

/* 0 .. n-1 (xorshift64*). */
static inline unsigned random_below(struct random *r, unsigned n)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return (unsigned)((r->state * UINT64_C(2685821657736338717)) >> 33) % n;
}

static inline str random_string(struct random *r)
{
    static const char *const pieces[] = {"a",    "bc",
                                         "\"",   "\\",
                                         "\n",   "\x01",
                                         "\x1f", "/",
                                         " ",    "{",
                                         "]",    "\xc3\xa9",
                                         ",",    "\xe2\x82\xac",
                                         "\t",   "'",
                                         ":",    "0",
                                         "\x7f", "\xf0\x9f\x98\x80"};
    char text[128];
    size_t n = 0;

    for (unsigned i = random_below(r, 12); i > 0; i--) {
        const char *piece = pieces[random_below(r, ARRAY_LEN(pieces))];
        memcpy(text + n, piece, strlen(piece));
        n += strlen(piece);
    }
    if (random_below(r, 20) == 0)
        text[n++] = '\0';
    return arena_str(&arena, (str){text, n});
}

static inline struct json *random_number(struct random *r)
{
    static const char *const numbers[] = {"0",
                                          "-0",
                                          "1",
                                          "1.0",
                                          "10e-1",
                                          "0.1",
                                          "-1.5",
                                          "1e3",
                                          "1000",
                                          "1e-400",
                                          "12345678901234567890123"};
    return random_below(r, 3) == 0 ? json_new_i64(&arena, (int64_t)random_below(r, 2000) - 1000)
                                   : parse(numbers[random_below(r, ARRAY_LEN(numbers))]);
}

/* A document of at most `depth` levels; now and then an object large enough to be hashed. */
static inline struct json *random_value(struct random *r, unsigned depth)
{
    unsigned kind = random_below(r, depth > 0 ? 9 : 5);
    unsigned n = random_below(r, 12) == 0 ? 40 : random_below(r, 5);
    struct json *v;

    switch (kind) {
    case 0:
        return json_new_null(&arena);
    case 1:
        return json_new_bool(&arena, random_below(r, 2));
    case 2:
        return random_number(r);
    case 3:
    case 4:
        return json_new_string(&arena, random_string(r));
    case 5:
    case 6:
        v = json_new_array(&arena);
        while (n-- > 0)
            ck_assert_int_eq(json_push(&arena, v, random_value(r, depth - 1)), OK);
        return v;
    }
    v = json_new_object(&arena);
    while (n-- > 0)
        ck_assert_int_eq(json_set(&arena, v, random_string(r), random_value(r, depth - 1)), OK);
    return v;
}

/* ---- guard page
 * ----------------------------------------------------------------------------------- */

/* Bytes whose end is the end of readable memory. */
struct guard {
    char *map;
    size_t size;
};

static inline struct guard guard_open(size_t max)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    struct guard g = {.size = (max + page - 1) / page * page};

    g.map = mmap(NULL, g.size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(g.map, MAP_FAILED);
    ck_assert_int_eq(mprotect(g.map + g.size, page, PROT_NONE), 0);
    return g;
}

static inline str guard_put(struct guard *g, str s)
{
    ck_assert_uint_le(s.n, g->size);
    if (s.n > 0)
        memcpy(g->map + g->size - s.n, s.p, s.n);
    return (str){g->map + g->size - s.n, s.n};
}

static inline void guard_close(struct guard *g)
{
    munmap(g->map, g->size + (size_t)sysconf(_SC_PAGESIZE));
}

/* ---- running out of memory
 * ------------------------------------------------------------------------ */

/*
 * Runs `work` on arenas of 0, 16, 32 ... bytes, so that each allocation is once the one that fails,
 * until it succeeds; then with each chunk failing in turn. `work` answers NOMEM or OK.
 */
static inline void torture(enum err (*work)(struct arena *a))
{
    static char first[256 * 1024] __attribute__((aligned(16)));
    struct arena a;
    enum err e = ERR_NOMEM;
    unsigned failures = 0;

    for (size_t n = 0; e != OK && n <= sizeof first; n += 16) {
        arena_init(&a, first, n, NULL, 0);
        e = work(&a);
        ck_assert(e == OK || (e == ERR_NOMEM && arena_failed(&a)));
        failures += e != OK;
        arena_fini(&a);
    }
    ck_assert_int_eq(e, OK);
    ck_assert_uint_gt(failures, 0);
    e = ERR_NOMEM;
    for (unsigned n = 1; e != OK && n < 1000; n++) {
        arena_init(&a, NULL, 0, NULL, TEST_BUDGET);
        arena_test_fail_chunk(n);
        e = work(&a);
        arena_test_fail_chunk(0);
        ck_assert(e == OK || e == ERR_NOMEM);
        arena_fini(&a);
    }
    ck_assert_int_eq(e, OK);
}

#endif
