/*
 * Random operations on the engine beside the naive model, in memory and on files: puts, links,
 * deletes, prefixes, aborts, cursors in both directions, snapshots that must not move, and
 * reopening. SEED=n repeats a run.
 */
#include "test/unit/engine/audit.h"

#define SNAPS 4

struct world {
    uint64_t rand;
    struct kit_dir dir;
    bool files;
    unsigned shape; /* of the keys */
    struct engine *e;
    struct kit_model model;
    struct {
        struct engine_reader *reader;
        const struct engine_view *view;
        struct kit_model model;
    } snap[SNAPS];
};

static uint32_t below(struct world *w, uint32_t n)
{
    return kit_rand(&w->rand) % n;
}

/* Keys of three shapes: short and dense; long with shared beginnings; rising. */
static str random_key(struct world *w, char buf[ENGINE_MAX_KEY_BYTES])
{
    size_t n = 0;
    uint32_t v = below(w, 3000);

    switch (w->shape) {
    case 0:
        n = (size_t)snprintf(buf, 32, "%x", v);
        break;
    case 1:
        n = below(w, 8) == 0 ? ENGINE_MAX_KEY_BYTES - 8 : 4 + below(w, 3) * 60;
        memset(buf, 'a' + (int)below(w, 2), n);
        n += (size_t)snprintf(buf + n, 32, "%04x", v % 700);
        break;
    default:
        n = (size_t)snprintf(buf, 32, "t%02u/%08x", below(w, 5), v);
        buf[0] = (char)(below(w, 2) * 0xff);
        break;
    }
    return (str){buf, n};
}

static str random_value(struct world *w, char buf[6000])
{
    static const uint32_t most[] = {1, 33, 40, 400, 6000};
    size_t n = below(w, most[below(w, ARRAY_LEN(most))]);

    for (size_t i = 0; i < n; i++)
        buf[i] = (char)kit_rand(&w->rand);
    return (str){buf, n};
}

static void open_world(struct world *w)
{
    w->e = kit_open(w->files ? w->dir.path : NULL, 64 * KIB);
    for (int i = 0; i < SNAPS; i++)
        ck_assert_int_eq(engine_reader_new(w->e, &w->snap[i].reader), OK);
}

static void drop_snap(struct world *w, int i)
{
    if (w->snap[i].view == NULL)
        return;
    engine_snap_end(w->snap[i].reader);
    w->snap[i].view = NULL;
    free(w->snap[i].model.p);
}

static void close_world(struct world *w)
{
    for (int i = 0; i < SNAPS; i++) {
        drop_snap(w, i);
        engine_reader_free(w->snap[i].reader);
    }
    engine_close(w->e);
}

/* One snapshot is looked at, and another one taken. */
static void move_snaps(struct world *w)
{
    int i = (int)below(w, SNAPS);

    if (w->snap[i].view != NULL)
        ck_assert_msg(model_same(&w->snap[i].model, w->snap[i].view), "snapshot moved");
    drop_snap(w, i);
    w->snap[i].view = engine_snap_begin(w->snap[i].reader);
    w->snap[i].model = model_copy(&w->model);
}

static void one_change(struct world *w, struct engine_txn *t, struct kit_model *m)
{
    char key[ENGINE_MAX_KEY_BYTES], key2[ENGINE_MAX_KEY_BYTES], value[6000];
    str k = random_key(w, key), k2 = random_key(w, key2), v = random_value(w, value);
    uint32_t what = below(w, 100);
    uint64_t count = 77;

    if (what < 55) {
        ck_assert_int_eq(engine_put(t, k, v), OK);
        model_put(m, k, v);
        if (what < 20) {
            ck_assert_int_eq(engine_link(t, k2), OK);
            model_put(m, k2, v);
        }
    } else if (what < 98) {
        ck_assert_int_eq(engine_del(t, k), OK);
        model_del(m, k);
    } else {
        k.n = MIN_OF(k.n, 1 + below(w, (uint32_t)k.n));
        ck_assert_int_eq(engine_del_prefix(t, k, &count), OK);
        ck_assert_uint_eq(count, model_del_prefix(m, k));
    }
}

static void check_get(struct world *w, const struct engine_view *v, const struct kit_model *m)
{
    char key[ENGINE_MAX_KEY_BYTES];
    str k = random_key(w, key), value;
    bool exact;
    size_t i = model_find(m, k, &exact);
    enum err err = engine_get(v, k, &value);

    ck_assert_int_eq(err, exact ? OK : ERR_NOTFOUND);
    if (exact)
        ck_assert(str_eq(value, model_value(m, i)));
}

/* Is the cursor where the model says: at i, or nowhere when i lacks the prefix? */
static bool at(const struct kit_model *m, struct engine_cursor *c, bool placed, size_t i,
               str prefix)
{
    bool want = i < m->n && str_starts(model_key(m, i), prefix);
    str value;

    if (placed != want)
        return false;
    if (!want)
        return true;
    return str_eq(engine_cursor_key(c), model_key(m, i)) && engine_cursor_value(c, &value) == OK &&
           str_eq(value, model_value(m, i));
}

static void check_cursor(struct world *w, const struct engine_view *v, const struct kit_model *m)
{
    char buf[ENGINE_MAX_KEY_BYTES], buf2[ENGINE_MAX_KEY_BYTES];
    str prefix = random_key(w, buf), key = random_key(w, buf2);
    struct engine_cursor c;
    bool exact;
    size_t i, steps = below(w, 50);

    prefix.n = below(w, (uint32_t)MIN_OF(prefix.n, (size_t)6));
    if (below(w, 2) == 0 && prefix.n > 0)
        memcpy(buf2, buf, MIN_OF(prefix.n, key.n));
    engine_cursor_init(&c, v, prefix);
    for (i = 0; i < m->n && !str_starts(model_key(m, i), prefix); i++)
        ;
    ck_assert(at(m, &c, engine_cursor_first(&c), i, prefix));
    for (i = m->n; i > 0 && !str_starts(model_key(m, i - 1), prefix); i--)
        ;
    ck_assert(at(m, &c, engine_cursor_last(&c), i - 1, prefix));

    i = model_find(m, key, &exact);
    while (i < m->n && str_cmp(model_key(m, i), prefix) < 0)
        i++;
    bool placed = engine_cursor_seek(&c, key);
    ck_assert(at(m, &c, placed, i, prefix));
    while (placed && steps-- > 0) {
        bool forward = below(w, 3) > 0;
        placed = forward ? engine_cursor_next(&c) : engine_cursor_prev(&c);
        i = forward ? i + 1 : i - 1;
        ck_assert(at(m, &c, placed, i, prefix));
    }

    i = model_find(m, key, &exact);
    while (i > 0 && !str_starts(model_key(m, i - 1), prefix) &&
           str_cmp(model_key(m, i - 1), prefix) > 0)
        i--;
    ck_assert(at(m, &c, engine_cursor_seek_before(&c, key), i - 1, prefix));
}

static void one_txn(struct world *w)
{
    struct engine_txn *t = kit_begin(w->e);
    struct kit_model m = model_copy(&w->model);
    uint32_t changes = below(w, 4) == 0 ? below(w, 200) : below(w, 6);

    for (uint32_t i = 0; i < changes; i++) {
        one_change(w, t, &m);
        if (below(w, 10) == 0) {
            check_get(w, engine_txn_view(t), &m);
            check_cursor(w, engine_txn_view(t), &m);
        }
    }
    if (below(w, 5) == 0) {
        engine_txn_abort(t);
        free(m.p);
        return;
    }
    if (below(w, 20) == 0)
        ck_assert(model_same(&m, engine_txn_view(t)));
    ck_assert_int_eq(kit_commit(t), OK);
    free(w->model.p);
    w->model = m;
}

static void run(bool files, unsigned shape, int txns)
{
    struct world w = {.rand = kit_seed(), .files = files, .shape = shape};
    struct engine_stats s;

    log_set_level(LOG_NONE);
    if (files)
        kit_dir_make(&w.dir);
    open_world(&w);
    for (int i = 0; i < txns; i++) {
        one_txn(&w);
        if (below(&w, 10) == 0)
            move_snaps(&w);
        if (below(&w, 20) == 0) {
            ck_assert(model_same_now(&w.model, w.e));
            audit_engine(w.e);
        }
        if (files && below(&w, 100) == 0) {
            close_world(&w);
            open_world(&w);
            ck_assert(model_same_now(&w.model, w.e));
        }
    }
    engine_stats(w.e, &s);
    ck_assert_uint_eq(s.keys, w.model.n);
    close_world(&w);
    free(w.model.p);
    model_free_bytes();
    if (files)
        kit_dir_remove(&w.dir);
}

START_TEST(in_memory)
{
    run(false, (unsigned)_i, 1500);
}
END_TEST

START_TEST(on_files)
{
    run(true, (unsigned)_i, 500);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("engine/model");
    TCase *c = tcase_create("model");

    tcase_set_timeout(c, 120);
    tcase_add_loop_test(c, in_memory, 0, 3);
    tcase_add_loop_test(c, on_files, 0, 3);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(suite)
