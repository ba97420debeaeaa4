/*
 * What the tests of store/ share: a store in memory (or in a directory of its own), one session at
 * a time, and short ways to put, get and list.
 */
#ifndef STORE_TEST_H
#define STORE_TEST_H

#include "test/support/unit.h"

#include "base/clock.h"
#include "store/private.h"

#include <errno.h>
#include <ftw.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>

static struct store *store;
static struct store_thread *thread;
static struct store_session *session; /* the open one, or NULL */
static struct arena arena;
static char directory[64]; /* "" : in memory */

#define ck_assert_ok(e)                                                                            \
    do {                                                                                           \
        enum err e_ = (e);                                                                         \
        ck_assert_msg(e_ == OK, "%s", err_text(e_));                                               \
    } while (0)
#define ck_assert_err(e, want)                                                                     \
    do {                                                                                           \
        enum err e_ = (e);                                                                         \
        ck_assert_msg(e_ == (want), "%s, want %s", err_text(e_), err_text(want));                  \
    } while (0)

/* ---- the wall clock of the tests ---- */

static int64_t wall_now = 1000000;

static inline int64_t wall_test(void)
{
    return wall_now;
}

/* ---- the store ---- */

static inline void open_store(void)
{
    struct store_options o = {.dir = directory[0] != '\0' ? directory : NULL};
    struct err_detail d = {.text = ""};
    enum err e = store_open(&store, &o, NULL, &d);

    ck_assert_msg(e == OK, "%s: %s", err_text(e), d.text);
    ck_assert_ok(store_thread_new(store, &thread));
}

static inline void close_store(void)
{
    store_thread_free(thread);
    store_close(store);
}

static inline void setup(void)
{
    wall_now = 1000000;
    clock_test_wall(wall_test);
    arena_init(&arena, NULL, 0, NULL, 256 * MIB);
    directory[0] = '\0';
    open_store();
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline void teardown(void)
{
    close_store();
    if (directory[0] != '\0')
        nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    arena_fini(&arena);
    clock_test_wall(NULL);
}

static inline void setup_files(void)
{
    setup();
    close_store();
    new_dir(directory, sizeof directory);
    open_store();
}

static inline void reopen(void)
{
    close_store();
    open_store();
}

/* ---- sessions ---- */

static inline void begin_read(void)
{
    ck_assert_ok(store_read_begin(thread, &arena, &session));
}

static inline void end_read(void)
{
    store_read_end(session);
    session = NULL;
}

static inline void begin_write(void)
{
    ck_assert_ok(store_write_begin(thread, &arena, &session));
}

struct waiter {
    sem_t done;
    enum err result;
};

static inline void commit_done(void *arg, enum err result)
{
    struct waiter *w = arg;

    w->result = result;
    sem_post(&w->done);
}

static inline enum err commit_result(void)
{
    struct waiter w;
    struct timespec deadline;

    sem_init(&w.done, 0, 0);
    store_commit(session, commit_done, &w);
    session = NULL;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 60;
    while (sem_timedwait(&w.done, &deadline) != 0)
        ck_assert_int_eq(errno, EINTR);
    sem_destroy(&w.done);
    return w.result;
}

static inline void commit(void)
{
    ck_assert_ok(commit_result());
}

/* ---- objects ---- */

static const struct store_list_id records = {STR_INIT("record"),
                                             STR_INIT("/buckets/b/collections/c")};

static inline struct json *parse(const char *text)
{
    struct json *v = NULL;
    enum err e = json_parse(&arena, str_from(text), &v, NULL);

    ck_assert_msg(e == OK, "%s", text);
    return v;
}

static inline struct store_object put_in(struct store_list_id list, const char *id,
                                         const char *data, const int64_t *last_modified)
{
    struct store_put p = {str_from(id), parse(data), last_modified, NULL, 0};
    struct store_object o = {.last_modified = 0};

    ck_assert_ok(store_put(session, &arena, list, &p, &o));
    return o;
}

static inline struct store_object put(const char *id, const char *data)
{
    return put_in(records, id, data, NULL);
}

static inline struct store_object put_at(const char *id, int64_t last_modified)
{
    return put_in(records, id, "{}", &last_modified);
}

static inline struct store_object put_for(struct store_list_id list, const char *id,
                                          const struct store_ace *acl, size_t nacl)
{
    struct store_put p = {str_from(id), parse("{}"), NULL, acl, nacl};
    struct store_object o;

    ck_assert_ok(store_put(session, &arena, list, &p, &o));
    return o;
}

static inline struct store_object get_object(const char *id)
{
    struct store_object o;

    ck_assert_ok(store_get(session, &arena, records, str_from(id), &o));
    return o;
}

static inline enum err get_result(struct store_list_id list, const char *id)
{
    struct store_object o;

    return store_get(session, &arena, list, str_from(id), &o);
}

static inline struct store_object delete_at(const char *id, const int64_t *last_modified)
{
    struct store_object o;

    ck_assert_ok(store_delete(session, &arena, records, str_from(id), last_modified, &o));
    return o;
}

static inline int64_t timestamp(void)
{
    int64_t t;

    ck_assert_ok(store_timestamp(session, records, &t));
    return t;
}

static inline struct store_result query_in(struct store_list_id list, const struct store_query *q)
{
    struct store_result r;

    ck_assert_ok(store_query(session, &arena, list, q, &r));
    return r;
}

static inline struct store_result query(const struct store_query *q)
{
    return query_in(records, q);
}

/* The ids of a result, joined by a space. */
static inline str ids_of(const struct store_result *r)
{
    struct buf b;

    buf_init_arena(&b, &arena, SIZE_MAX);
    for (size_t i = 0; i < r->count; i++) {
        buf_add_str(&b, i > 0 ? STR(" ") : STR(""));
        buf_add_str(&b, r->objects[i].id);
        buf_add_str(&b, r->objects[i].deleted ? STR("!") : STR(""));
    }
    return buf_str(&b);
}

#define ck_assert_ids(q, want)                                                                     \
    do {                                                                                           \
        struct store_result r_ = query(q);                                                         \
        ck_assert_str_is(ids_of(&r_), want);                                                       \
    } while (0)

static inline Suite *suite_of(const char *name, void (*before)(void), void (*after)(void),
                              const TTest *const *tests, size_t n)
{
    Suite *s = suite_create(name);
    TCase *c = tcase_create(name);

    tcase_add_checked_fixture(c, before, after);
    tcase_set_timeout(c, 60);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(c, tests[i]);
    suite_add_tcase(s, c);
    return s;
}

#endif
