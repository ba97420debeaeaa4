/*
 * Opening what a crash, a disk or a person left behind of the log, with the index file gone (see
 * test_index.c for what it adds). The rule under test (recover.c): the torn end of the newest segment is cut
 * off; anything else that is not as it was written is CORRUPT, and then nothing of the log is changed.
 */
#include "base/crc.h"
#include "test/unit/engine/audit.h"

#define TXNS 12

static struct kit_dir dir;
static struct kit_model states[TXNS + 2]; /* after that many transactions */
static size_t ends[TXNS + 2];             /* where the log ended then */

struct bytes {
    char *p;
    size_t n;
};

static struct bytes slurp(const char *name)
{
    struct bytes b;

    b.p = kit_read(&dir, name, &b.n);
    return b;
}

static size_t size_of(const char *name)
{
    struct bytes b = slurp(name);

    free(b.p);
    return b.n;
}

static enum err try_open(struct engine **e, struct engine_recovery *r, struct err_detail *d)
{
    struct engine_options o = {.dir = dir.path, .segment_bytes = 64 * KIB};
    struct err_detail own;

    *e = NULL;
    kit_drop_index(&dir);
    return engine_open(e, &o, r, d != NULL ? d : &own);
}

/* A transaction with a put, a link and at times a delete, by its number. */
static void add_txn(struct engine *e, int i, const char *salt)
{
    struct engine_txn *t = kit_begin(e);
    struct kit_model *m = &states[i];
    char key[32], link[32], value[200];
    str k = {key, (size_t)snprintf(key, sizeof key, "key/%s%02d", salt, i)};
    str l = {link, (size_t)snprintf(link, sizeof link, "link/%s%02d", salt, i)};
    str v = {value, (size_t)(20 + 7 * i)};

    memset(value, 'a' + i, sizeof value);
    *m = model_copy(&states[i - 1]);
    ck_assert_int_eq(engine_put(t, k, v), OK);
    ck_assert_int_eq(engine_link(t, l), OK);
    model_put(m, k, v);
    model_put(m, l, v);
    if (i % 3 == 0) {
        snprintf(key, sizeof key, "key/%02d", i - 1);
        ck_assert_int_eq(engine_del(t, k), OK);
        model_del(m, k);
    }
    if (i % 5 == 0) {
        ck_assert_int_eq(engine_del_prefix(t, STR("link/0"), NULL), OK);
        model_del_prefix(m, STR("link/0"));
    }
    ck_assert_int_eq(kit_commit(t), OK);
}

/* A store with TXNS transactions, each made durable by itself. */
static void setup(void)
{
    struct engine *e;

    log_set_level(LOG_NONE);
    kit_dir_make(&dir);
    e = kit_open(dir.path, 64 * KIB);
    ends[0] = (size_t)e->log.end;
    for (int i = 1; i <= TXNS; i++) {
        add_txn(e, i, "");
        ends[i] = (size_t)e->log.end;
    }
    engine_close(e);
    ck_assert_uint_eq(size_of("00000001.log"), ends[TXNS]);
}

static void teardown(void)
{
    kit_dir_remove(&dir);
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        free(states[i].p);
    model_free_bytes();
}

/* Opens, finds the state after n transactions, writes one more, and finds it after reopening. */
static void expect_state(int n, uint64_t torn)
{
    struct engine_recovery r;
    struct err_detail d = {.text = ""};
    struct engine *e;
    enum err err = try_open(&e, &r, &d);

    ck_assert_msg(err == OK, "%s (%s)", err_text(err), d.text);
    ck_assert_uint_eq(r.torn_bytes, torn);
    ck_assert_uint_eq(r.txns, (uint64_t)n);
    ck_assert(model_same_now(&states[n], e));
    audit_engine(e);
    add_txn(e, n + 1, "");
    engine_close(e);
    err = try_open(&e, &r, &d);
    ck_assert_int_eq(err, OK);
    ck_assert_uint_eq(r.torn_bytes, 0);
    ck_assert(model_same_now(&states[n + 1], e));
    engine_close(e);
    free(states[n + 1].p);
    states[n + 1] = (struct kit_model){0};
}

/* Opening fails, names the file, and changes nothing. */
static void expect_corrupt(const char *file)
{
    struct bytes before = slurp("00000001.log"), after;
    struct err_detail d = {.text = ""};
    struct engine *e;

    ck_assert_int_eq(try_open(&e, NULL, &d), ERR_CORRUPT);
    ck_assert_msg(strstr(d.text, file) != NULL, "%s", d.text);
    after = slurp("00000001.log");
    ck_assert_uint_eq(before.n, after.n);
    ck_assert_mem_eq(before.p, after.p, before.n);
    free(before.p);
    free(after.p);
}

static int txns_within(size_t n)
{
    int i = 0;

    while (i < TXNS && ends[i + 1] <= n)
        i++;
    return i;
}

/* Bytes from one place to another, without zeros at their end, which nobody can tell from none. */
static size_t written(const char *p, size_t from, size_t to)
{
    while (to > from && p[to - 1] == 0)
        to--;
    return to - from;
}

/* ---- cutting --------------------------------------------------------------------------------- */

START_TEST(cut_at_every_byte)
{
    struct bytes b;

    setup();
    b = slurp("00000001.log");
    for (size_t n = ends[TXNS - 3]; n <= b.n; n++) {
        int i = txns_within(n);
        struct kit_model last = i < TXNS ? states[i + 1] : (struct kit_model){0};
        kit_write(&dir, "00000001.log", b.p, n);
        if (i < TXNS)
            states[i + 1] = (struct kit_model){0};
        expect_state(i, written(b.p, ends[i], n));
        if (i < TXNS)
            states[i + 1] = last;
    }
    free(b.p);
    teardown();
}
END_TEST

/* A process that is killed leaves space behind its last frame, prepared for more: nothing is torn there. A frame
 * that is in it in part is, as far as it goes. */
START_TEST(prepared)
{
    static const size_t more[] = {1, 7, 8, 27, 28, 100, 64 * KIB, 300 * KIB};
    struct bytes b;
    char *p;

    setup();
    b = slurp("00000001.log");
    p = calloc(1, b.n + 300 * KIB);
    ck_assert_ptr_nonnull(p);
    memcpy(p, b.p, b.n);
    for (size_t i = 0; i < ARRAY_LEN(more); i++) {
        kit_write(&dir, "00000001.log", p, b.n + more[i]);
        expect_state(TXNS, 0);
    }
    for (size_t n = 1; n < ends[TXNS] - ends[TXNS - 1]; n++) {
        struct kit_model last = states[TXNS];
        memset(p + ends[TXNS - 1] + n, 0, ends[TXNS] - ends[TXNS - 1] - n);
        memcpy(p + ends[TXNS - 1], b.p + ends[TXNS - 1], n);
        kit_write(&dir, "00000001.log", p, ends[TXNS] + 4096);
        states[TXNS] = (struct kit_model){0};
        expect_state(TXNS - 1, written(b.p, ends[TXNS - 1], ends[TXNS - 1] + n));
        states[TXNS] = last;
    }
    free(p);
    free(b.p);
    teardown();
}
END_TEST

/* Shorter than its header, the first segment was being made: the store is new. */
START_TEST(cut_in_the_first_header)
{
    struct bytes b;
    struct engine_recovery r;
    struct engine *e;

    setup();
    b = slurp("00000001.log");
    for (size_t n = 0; n < ends[0]; n++) {
        kit_write(&dir, "00000001.log", b.p, n);
        ck_assert_int_eq(try_open(&e, &r, NULL), OK);
        ck_assert(model_same_now(&states[0], e));
        engine_close(e);
        ck_assert_uint_eq(size_of("00000001.log"), SEGMENT_HEADER_BYTES);
    }
    free(b.p);
    teardown();
}
END_TEST

/* ---- changed bytes --------------------------------------------------------------------------- */

static void change_every_byte(void (*change)(char *p))
{
    struct bytes b, bad;

    setup();
    b = slurp("00000001.log");
    bad = slurp("00000001.log");
    for (size_t i = 0; i < b.n; i++) {
        memcpy(bad.p, b.p, b.n);
        change(bad.p + i);
        if (bad.p[i] == b.p[i])
            continue;
        kit_write(&dir, "00000001.log", bad.p, bad.n);
        if (i < ends[TXNS - 1]) {
            expect_corrupt("00000001.log");
            continue;
        }
        struct kit_model last = states[TXNS];
        states[TXNS] = (struct kit_model){0};
        expect_state(TXNS - 1, written(bad.p, ends[TXNS - 1], b.n));
        states[TXNS] = last;
    }
    free(b.p);
    free(bad.p);
    teardown();
}

static void flip_low(char *p)
{
    *p ^= 1;
}

static void flip_all(char *p)
{
    *p = (char)~*p;
}

static void zero(char *p)
{
    *p = 0;
}

START_TEST(flipped_bytes)
{
    change_every_byte(_i == 0 ? flip_low : _i == 1 ? flip_all : zero);
}
END_TEST

/* A hole of zeros, as a disk leaves that lost a sector. */
START_TEST(zeroed_stretch)
{
    struct bytes b;

    setup();
    b = slurp("00000001.log");
    for (size_t at = 0; at + 64 < ends[TXNS - 1]; at += 16) {
        struct bytes bad = slurp("00000001.log");
        memcpy(bad.p, b.p, b.n);
        memset(bad.p + at, 0, 64);
        kit_write(&dir, "00000001.log", bad.p, bad.n);
        expect_corrupt("00000001.log");
        free(bad.p);
    }
    free(b.p);
    teardown();
}
END_TEST

/* Bytes taken out of the middle, and bytes put in. */
START_TEST(shifted_frames)
{
    struct bytes b, bad;

    setup();
    b = slurp("00000001.log");
    bad.p = malloc(b.n + 100);
    for (int i = 0; i < TXNS - 1; i++) {
        memcpy(bad.p, b.p, ends[i]);
        memcpy(bad.p + ends[i], b.p + ends[i + 1], b.n - ends[i + 1]);
        kit_write(&dir, "00000001.log", bad.p, b.n - (ends[i + 1] - ends[i]));
        if (i < TXNS - 1)
            expect_corrupt("00000001.log");
        memset(bad.p + ends[i], 'x', 100);
        memcpy(bad.p + ends[i] + 100, b.p + ends[i], b.n - ends[i]);
        kit_write(&dir, "00000001.log", bad.p, b.n + 100);
        expect_corrupt("00000001.log");
    }
    free(bad.p);
    free(b.p);
    teardown();
}
END_TEST

/* ---- groups: what one sync makes durable ----------------------------------------------------- */

static pthread_mutex_t gate_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_cond = PTHREAD_COND_INITIALIZER;
static bool gate_closed, gate_reached;

static int gated_fdatasync(int fd)
{
    pthread_mutex_lock(&gate_mutex);
    gate_reached = true;
    pthread_cond_broadcast(&gate_cond);
    while (gate_closed)
        pthread_cond_wait(&gate_cond, &gate_mutex);
    pthread_mutex_unlock(&gate_mutex);
    return os_kernel.fdatasync(fd);
}

static void set_gate(bool closed)
{
    pthread_mutex_lock(&gate_mutex);
    gate_closed = closed;
    gate_reached = false;
    pthread_cond_broadcast(&gate_cond);
    pthread_mutex_unlock(&gate_mutex);
}

static void wait_gate(void)
{
    pthread_mutex_lock(&gate_mutex);
    while (!gate_reached)
        pthread_cond_wait(&gate_cond, &gate_mutex);
    pthread_mutex_unlock(&gate_mutex);
}

static void quick_put(struct engine *e, int i, void (*done)(void *, enum err), void *arg)
{
    struct engine_txn *t = kit_begin(e);
    char key[16];
    str k = {key, (size_t)snprintf(key, sizeof key, "%d", i)};

    ck_assert_int_eq(engine_put(t, k, STR("a value of some length, so that it lies in the log")),
                     OK);
    engine_txn_commit(t, done, arg);
}

/* Transaction 1 alone, then 2..6 with one sync, then (if asked) 7 alone. Returns the ends of frames. */
static void make_group(bool one_more, size_t end[8])
{
    struct os_ops ops = os_kernel;
    struct kit_wait first = KIT_WAIT, last = KIT_WAIT;
    struct engine_stats s;
    struct engine *e;

    ops.fdatasync = gated_fdatasync;
    kit_dir_make(&dir);
    e = kit_open(dir.path, 64 * KIB);
    os_test_replace(&ops);
    set_gate(true);
    quick_put(e, 1, kit_done, &first);
    wait_gate();
    for (int i = 2; i <= 6; i++)
        quick_put(e, i, i == 6 ? kit_done : NULL, i == 6 ? &last : NULL);
    set_gate(false);
    ck_assert_int_eq(kit_wait(&first), OK);
    ck_assert_int_eq(kit_wait(&last), OK);
    engine_stats(e, &s);
    ck_assert_uint_eq(s.syncs, 3); /* the header, 1, and 2..6 */
    if (one_more) {
        struct kit_wait w = KIT_WAIT;
        quick_put(e, 7, kit_done, &w);
        ck_assert_int_eq(kit_wait(&w), OK);
    }
    engine_close(e);
    os_test_replace(NULL);
    size_t all = size_of("00000001.log"), n = one_more ? 7 : 6;
    for (size_t i = 0; i <= n; i++)
        end[i] = SEGMENT_HEADER_BYTES + i * (all - SEGMENT_HEADER_BYTES) / n;
}

/* A crash may leave any part of a group: what is behind the hole goes too. */
START_TEST(torn_group)
{
    size_t end[8];
    struct bytes b;
    struct engine_recovery r;
    struct engine_stats s;
    struct engine *e;

    log_set_level(LOG_NONE);
    make_group(false, end);
    b = slurp("00000001.log");
    for (int bad = 2; bad <= 6; bad++)
        for (size_t at = end[bad - 1]; at < end[bad]; at += 3) {
            b.p[at] ^= 0x10;
            kit_write(&dir, "00000001.log", b.p, b.n);
            b.p[at] ^= 0x10;
            ck_assert_int_eq(try_open(&e, &r, NULL), OK);
            ck_assert_uint_eq(r.txns, (uint64_t)bad - 1);
            ck_assert_uint_eq(r.torn_bytes, b.n - end[bad - 1]);
            engine_stats(e, &s);
            ck_assert_uint_eq(s.keys, (uint64_t)bad - 1);
            engine_close(e);
            ck_assert_uint_eq(size_of("00000001.log"), end[bad - 1]);
        }
    free(b.p);
    kit_dir_remove(&dir);
}
END_TEST

/* But a group behind which another was written had been synced. */
START_TEST(damaged_group)
{
    size_t end[8];
    struct bytes b;

    log_set_level(LOG_NONE);
    make_group(true, end);
    b = slurp("00000001.log");
    for (size_t at = end[0]; at < end[6]; at++) {
        b.p[at] ^= 0x10;
        kit_write(&dir, "00000001.log", b.p, b.n);
        b.p[at] ^= 0x10;
        expect_corrupt("00000001.log");
    }
    free(b.p);
    kit_dir_remove(&dir);
}
END_TEST

/* A frame that was cut off and comes back behind another one of the same length is not taken. */
START_TEST(stale_frame)
{
    struct bytes old, now;
    struct engine *e;

    setup();
    old = slurp("00000001.log");
    kit_write(&dir, "00000001.log", old.p, ends[TXNS - 2]);
    ck_assert_int_eq(try_open(&e, NULL, NULL), OK);
    free(states[TXNS - 1].p);
    struct engine_txn *t = kit_begin(e);
    states[TXNS - 1] = model_copy(&states[TXNS - 2]);
    /* fill to the very length of the frame that was there */
    size_t want = ends[TXNS - 1] - ends[TXNS - 2], fixed = FRAME_HEADER_BYTES + 1 + 1 + 1 + 1 + 4;
    char value[300];
    memset(value, 'N', sizeof value);
    str v = {value, want - fixed};
    ck_assert_uint_lt(v.n, 128);
    ck_assert_int_eq(engine_put(t, STR("N"), v), OK);
    model_put(&states[TXNS - 1], STR("N"), v);
    ck_assert_int_eq(kit_commit(t), OK);
    engine_close(e);
    ck_assert_uint_eq(size_of("00000001.log"), ends[TXNS - 1]);
    now = slurp("00000001.log");
    memcpy(old.p, now.p, now.n);
    kit_write(&dir, "00000001.log", old.p, old.n);
    free(states[TXNS].p);
    states[TXNS] = (struct kit_model){0};
    expect_state(TXNS - 1, ends[TXNS] - ends[TXNS - 1]);
    free(old.p);
    free(now.p);
    teardown();
}
END_TEST

/* ---- nonsense with good checksums ------------------------------------------------------------ */

static struct segment_header read_header(const struct bytes *b)
{
    struct segment_header h;

    memcpy(&h, b->p, sizeof h);
    return h;
}

/* Appends a well-sealed frame with this payload behind a segment that has frames. */
static void append_frame(const char *name, const void *payload, size_t n)
{
    struct bytes b = slurp(name);
    struct segment_header sh = read_header(&b);
    struct frame_header last = {.bytes = 0}, h;
    char *all = malloc(b.n + sizeof h + n);

    for (size_t at = sizeof sh; at < b.n; at += sizeof last + last.bytes)
        memcpy(&last, b.p + at, sizeof last);
    h = (struct frame_header){.bytes = (uint32_t)n,
                              .txn = last.txn + 1,
                              .link = last.head_crc,
                              .body_crc = crc32c(0, payload, n)};
    h.head_crc = frame_head_crc(&h, sh.salt);
    memcpy(all, b.p, b.n);
    memcpy(all + b.n, &h, sizeof h);
    memcpy(all + b.n + sizeof h, payload, n);
    kit_write(&dir, name, all, b.n + sizeof h + n);
    free(all);
    free(b.p);
}

START_TEST(operations_that_make_no_sense)
{
    static const struct {
        const char *p;
        size_t n;
    } bad[] = {
        {"\x00\x01k", 3},                        /* no such operation */
        {"\x06\x01k", 3},                        /* nor this */
        {"\x07\x01k", 3},                        /* nor this */
        {"\x03", 1},                             /* no key */
        {"\x03\x00", 2},                         /* an empty one */
        {"\x03\x05key", 5},                      /* one that is longer than the frame */
        {"\x03\x81\x04", 3},                     /* one over the limit: 513 */
        {"\x03\xff\xff\xff\xff\xff\x01", 7},     /* a number without end */
        {"\x01\x01k\x05\x00\x00\x00\x00va", 10}, /* a value longer than the frame */
        {"\x01\x01k\x05", 4},                    /* without its checksum */
        {"\x02\x01k", 3},                        /* a link without a put */
        {"\x03\x01k\x01", 4},                    /* a good one, and half a one */
        {"\x03\x01k\x13\x01\x01s", 7},           /* a key like one that there is not */
        {"\x05\x00", 2},                         /* gives up nothing */
        {"\x05\x02", 2},                         /* gives up the segment that it is in */
    };

    setup();
    struct bytes b = slurp("00000001.log");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        kit_write(&dir, "00000001.log", b.p, b.n);
        append_frame("00000001.log", bad[i].p, bad[i].n);
        expect_corrupt("00000001.log");
    }
    kit_write(&dir, "00000001.log", b.p, b.n);
    append_frame("00000001.log", "\x03\x01k\x0b\x01\x01s",
                 7); /* the same way, good ones are taken */
    states[TXNS + 1] = model_copy(&states[TXNS]);
    struct engine *e;
    ck_assert_int_eq(try_open(&e, NULL, NULL), OK);
    ck_assert(model_same_now(&states[TXNS + 1], e));
    engine_close(e);
    free(b.p);
    teardown();
}
END_TEST

START_TEST(newer_format)
{
    struct err_detail d = {.text = ""};
    struct engine *e;

    setup();
    struct bytes b = slurp("00000001.log");
    struct segment_header h = read_header(&b);
    h.version = 2;
    h.crc = segment_header_crc(&h);
    memcpy(b.p, &h, sizeof h);
    kit_write(&dir, "00000001.log", b.p, b.n);
    ck_assert_int_eq(try_open(&e, NULL, &d), ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(d.text, "version 2"));
    free(b.p);
    teardown();
}
END_TEST

/* ---- many segments --------------------------------------------------------------------------- */

static unsigned segments;
static struct kit_model many;

static void setup_segments(void)
{
    struct engine_stats s;
    struct engine *e;

    log_set_level(LOG_NONE);
    kit_dir_make(&dir);
    e = kit_open(dir.path, 4096);
    many = (struct kit_model){0};
    for (int i = 0; i < 60; i++) {
        char key[16], value[700];
        str k = {key, (size_t)snprintf(key, sizeof key, "%d", i % 40)}, v = {value, sizeof value};
        memset(value, i, sizeof value);
        ck_assert_int_eq(kit_put(e, k, v), OK);
        model_put(&many, k, v);
    }
    engine_stats(e, &s);
    segments = (unsigned)s.segments;
    ck_assert_uint_gt(segments, 5);
    engine_close(e);
}

static void teardown_segments(void)
{
    free(many.p);
    model_free_bytes();
    kit_dir_remove(&dir);
}

static const char *segment_name(unsigned n)
{
    static char name[4][16];
    static int at;

    at = (at + 1) % 4;
    snprintf(name[at], sizeof name[at], "%08x.log", n);
    return name[at];
}

static void expect_many(uint64_t torn)
{
    struct engine_recovery r;
    struct err_detail d = {.text = ""};
    struct engine *e;
    enum err err = try_open(&e, &r, &d);

    ck_assert_msg(err == OK, "%s (%s)", err_text(err), d.text);
    ck_assert_uint_eq(r.torn_bytes, torn);
    ck_assert(model_same_now(&many, e));
    audit_engine(e);
    engine_close(e);
}

START_TEST(sealed_segments_must_be_whole)
{
    setup_segments();
    for (unsigned n = 1; n < segments; n++) {
        struct bytes b = slurp(segment_name(n));
        for (size_t i = 0; i < b.n; i += 1 + b.n / 40) {
            b.p[i] ^= 0x40;
            kit_write(&dir, segment_name(n), b.p, b.n);
            expect_corrupt(segment_name(n));
            b.p[i] ^= 0x40;
        }
        kit_write(&dir, segment_name(n), b.p, b.n - 1);
        expect_corrupt(segment_name(n));
        kit_write(&dir, segment_name(n), b.p, 64);
        expect_corrupt(segment_name(n + 1));
        kit_write(&dir, segment_name(n), b.p, 10);
        expect_corrupt(segment_name(n));
        kit_write(&dir, segment_name(n), b.p, b.n);
        free(b.p);
    }
    expect_many(0);
    teardown_segments();
}
END_TEST

START_TEST(missing_and_swapped_segments)
{
    setup_segments();
    for (unsigned n = 1; n < segments; n++) {
        struct bytes b = slurp(segment_name(n)), next = slurp(segment_name(n + 1));
        char path[600];
        if (n > 1) {
            snprintf(path, sizeof path, "%s/%s", dir.path, segment_name(n));
            ck_assert_int_eq(unlink(path), 0);
            expect_corrupt(segment_name(n));
        }
        kit_write(&dir, segment_name(n), next.p, next.n);
        expect_corrupt(segment_name(n));
        kit_write(&dir, segment_name(n), b.p, b.n);
        free(b.p);
        free(next.p);
    }
    expect_many(0);
    teardown_segments();
}
END_TEST

/* Nor is what a crash left behind the newest frame cut off, which repair may want to see. */
START_TEST(a_refused_start_changes_nothing)
{
    struct err_detail d = {.text = ""};
    struct bytes newest, after;
    struct engine *e;
    char path[600], *name;

    setup_segments();
    snprintf(path, sizeof path, "%s/" INDEX_FILE, dir.path);
    ck_assert_int_eq(unlink(path), 0);
    snprintf(path, sizeof path, "%s/%s", dir.path, segment_name(1));
    ck_assert_int_eq(unlink(path), 0);
    name = strdup(segment_name(segments));
    newest = slurp(name);
    newest.p = realloc(newest.p, newest.n + 20);
    memset(newest.p + newest.n, 'x', 20);
    kit_write(&dir, name, newest.p, newest.n + 20);
    ck_assert_int_eq(try_open(&e, NULL, &d), ERR_CORRUPT);
    ck_assert_msg(strstr(d.text, "missing") != NULL, "%s", d.text);
    after = slurp(name);
    ck_assert_uint_eq(after.n, newest.n + 20);
    ck_assert_mem_eq(after.p, newest.p, after.n);
    free(after.p);
    free(newest.p);
    free(name);
    teardown_segments();
}
END_TEST

/* A segment of another store, with the right number in its header, is not ours. */
/* Somebody says that segments may go which the index needs: whoever believes it removes them. */
START_TEST(segments_given_up_too_early)
{
    setup_segments();
    char *last = strdup(segment_name(segments)), trim[] = "\x05\x02";
    struct bytes b = slurp(last);

    for (char to = (char)(segments / 2); to <= (char)segments;
         to++) { /* nothing lives in the first */
        trim[1] = to;
        append_frame(last, trim, 2);
        expect_corrupt(last);
        kit_drop_index(&dir); /* the same when all is replayed */
        expect_corrupt(last);
        kit_write(&dir, last, b.p, b.n);
    }
    expect_many(0);
    free(b.p);
    free(last);
    teardown_segments();
}
END_TEST

START_TEST(segment_of_another_store)
{
    struct bytes foreign;

    setup_segments();
    foreign = slurp(segment_name(3));
    teardown_segments();
    setup_segments();
    kit_write(&dir, segment_name(3), foreign.p, foreign.n);
    expect_corrupt(segment_name(3));
    free(foreign.p);
    teardown_segments();
}
END_TEST

/* The crash came while the next segment was being made. */
START_TEST(unfinished_segment)
{
    static const size_t sizes[] = {0, 1, 63, 64};
    char junk[200];
    struct engine_recovery r;
    struct engine *e;

    setup_segments();
    memset(junk, 0, sizeof junk);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
        for (int fill = 0; fill < 2; fill++) {
            memset(junk, fill * 0xa5, sizeof junk);
            kit_write(&dir, segment_name(segments + 1), junk, sizes[i]);
            ck_assert_int_eq(try_open(&e, &r, NULL), OK);
            ck_assert_uint_eq(r.torn_bytes, sizes[i]);
            ck_assert(model_same_now(&many, e));
            ck_assert_int_eq(kit_put(e, STR("0"), STR("again")), OK);
            model_put(&many, STR("0"), STR("again"));
            engine_close(e);
            expect_many(0);
        }
    /* longer than a header, it had frames: that is damage */
    kit_write(&dir, segment_name(segments + 1), junk, 65);
    expect_corrupt(segment_name(segments + 1));
    teardown_segments();
}
END_TEST

/* The segment before an unfinished one was whole: a bad end there is damage, not torn. */
START_TEST(bad_end_before_unfinished_segment)
{
    struct bytes b;

    setup_segments();
    b = slurp(segment_name(segments));
    kit_write(&dir, segment_name(segments + 1), "", 0);
    kit_write(&dir, segment_name(segments), b.p, b.n - 1);
    expect_corrupt(segment_name(segments));
    free(b.p);
    teardown_segments();
}
END_TEST

/* A finished header without frames is an ordinary segment. */
/* All that is left is the begin of a segment that was not the first: that is no new store. */
START_TEST(unfinished_segment_alone)
{
    static const char *const names[] = {"00000002.log", "00000001.log"};
    struct err_detail d = {.text = ""};
    struct engine *e;

    log_set_level(LOG_NONE);
    kit_dir_make(&dir);
    for (size_t n = 0; n <= SEGMENT_HEADER_BYTES; n += 16) {
        char some[SEGMENT_HEADER_BYTES] = "KINTO";
        kit_write(&dir, names[0], some, n);
        ck_assert_int_eq(try_open(&e, NULL, &d), ERR_CORRUPT);
        ck_assert_msg(strstr(d.text, names[1]) != NULL, "%s", d.text); /* is missing */
        ck_assert_uint_eq(size_of(names[0]), n);
        kit_dir_empty(&dir);
        kit_write(&dir, names[1], some, n);
        ck_assert_int_eq(try_open(&e, NULL, &d), OK);
        engine_close(e);
        kit_dir_empty(&dir);
    }
    kit_dir_remove(&dir);
}
END_TEST

START_TEST(segment_without_frames)
{
    struct bytes b;

    setup_segments();
    b = slurp(segment_name(segments));
    kit_write(&dir, segment_name(segments), b.p, SEGMENT_HEADER_BYTES);
    struct engine *e;
    struct engine_recovery r;
    ck_assert_int_eq(try_open(&e, &r, NULL), OK);
    ck_assert_uint_eq(r.torn_bytes, 0);
    ck_assert_int_eq(kit_put(e, STR("x"), STR("y")), OK);
    engine_close(e);
    ck_assert_int_eq(try_open(&e, &r, NULL), OK);
    engine_close(e);
    free(b.p);
    teardown_segments();
}
END_TEST

/* Other files in the directory are none of our business. */
START_TEST(other_files)
{
    setup_segments();
    kit_write(&dir, "README", "hello", 5);
    kit_write(&dir, "00000000.log", "hello", 5);
    kit_write(&dir, "0000000A.log", "hello", 5);
    kit_write(&dir, "00000001.log.bak", "hello", 5);
    kit_write(&dir, "g0000001.log", "hello", 5);
    expect_many(0);
    teardown_segments();
}
END_TEST

/* Opening and writing again and again, with segments of changing length. */
START_TEST(reopen_loop)
{
    uint64_t rand = kit_seed();

    log_set_level(LOG_NONE);
    kit_dir_make(&dir);
    many = (struct kit_model){0};
    for (int i = 0; i < 60; i++) {
        struct engine *e = kit_open(dir.path, 4096 + kit_rand(&rand) % 8192);
        ck_assert(model_same_now(&many, e));
        for (int k = (int)(kit_rand(&rand) % 8); k > 0; k--) {
            char key[16], value[900];
            str s = {key, (size_t)snprintf(key, sizeof key, "%u", kit_rand(&rand) % 50)};
            str v = {value, kit_rand(&rand) % sizeof value};
            memset(value, i, sizeof value);
            ck_assert_int_eq(kit_put(e, s, v), OK);
            model_put(&many, s, v);
        }
        engine_close(e);
    }
    expect_many(0);
    teardown_segments();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("engine/recover");
    TCase *c = tcase_create("recover");

    tcase_set_timeout(c, 120);
    tcase_add_test(c, cut_at_every_byte);
    tcase_add_test(c, prepared);
    tcase_add_test(c, cut_in_the_first_header);
    tcase_add_loop_test(c, flipped_bytes, 0, 3);
    tcase_add_test(c, zeroed_stretch);
    tcase_add_test(c, shifted_frames);
    tcase_add_test(c, torn_group);
    tcase_add_test(c, damaged_group);
    tcase_add_test(c, stale_frame);
    tcase_add_test(c, operations_that_make_no_sense);
    tcase_add_test(c, newer_format);
    tcase_add_test(c, sealed_segments_must_be_whole);
    tcase_add_test(c, missing_and_swapped_segments);
    tcase_add_test(c, a_refused_start_changes_nothing);
    tcase_add_test(c, segments_given_up_too_early);
    tcase_add_test(c, segment_of_another_store);
    tcase_add_test(c, unfinished_segment);
    tcase_add_test(c, bad_end_before_unfinished_segment);
    tcase_add_test(c, unfinished_segment_alone);
    tcase_add_test(c, segment_without_frames);
    tcase_add_test(c, other_files);
    tcase_add_test(c, reopen_loop);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(suite)
