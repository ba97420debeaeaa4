/*
 * The log of a store, which came from a disk, or out of somebody's backup. The input says how its segments
 * are made, checksums and all, so that what lies behind them is reached:
 *
 *     mode, then steps: what, then what that takes
 *
 * Whatever is in the files, the check comes to an end; without problems of the log the store opens; what it
 * shows then is there after the next opening, too, and in a backup. A repair makes a store that opens.
 */
#include "test/fuzz/store.h"

#include "base/crc.h"

#define MAX_SEGMENT  (64 * KIB)
#define MAX_SEGMENTS 6

struct maker {
    struct fuzz_dir dir;
    uint8_t *p; /* the segment */
    size_t n;
    uint32_t number, salt, link;
    uint64_t txn; /* of the next frame */
    size_t before;
};

static void add(struct maker *m, const void *p, size_t n)
{
    n = MIN_OF(n, MAX_SEGMENT - m->n);
    if (n > 0)
        memcpy(m->p + m->n, p, n);
    m->n += n;
}

static void begin_segment(struct maker *m, bool wrong)
{
    struct segment_header h = {.version = FORMAT_VERSION,
                               .number = m->number,
                               .salt = m->salt,
                               .link = m->link,
                               .first_txn = m->txn + (wrong && m->txn % 2 == 0),
                               .prev_bytes = m->before + (wrong && m->txn % 2 == 1)};

    memcpy(h.magic, LOG_MAGIC, sizeof h.magic);
    h.crc = segment_header_crc(&h);
    m->n = 0;
    add(m, &h, sizeof h);
}

static void end_segment(struct maker *m)
{
    char name[32];

    snprintf(name, sizeof name, "%08x.log", (unsigned)m->number);
    fuzz_write(&m->dir, name, m->p, m->n);
    m->before = m->n;
    m->number++;
}

static void add_frame(struct maker *m, uint8_t what, const uint8_t *payload, size_t n)
{
    struct frame_header h = {.bytes = (uint32_t)n,
                             .txn = m->txn + (what >> 7),
                             .back = what >> 5 & 1,
                             .link = m->link ^ (what >> 6 & 1),
                             .body_crc = crc32c(0, payload, n)};

    h.head_crc = frame_head_crc(&h, m->salt);
    add(m, &h, sizeof h);
    add(m, payload, n);
    m->link = h.head_crc;
    m->txn = h.txn + 1;
}

/* Operations: code, key, and what else the code takes. Keys are short, so that they meet again. */
static size_t make_ops(str *in, uint8_t *out, size_t room)
{
    unsigned count = 1 + fuzz_byte(in) % 8;
    size_t n = 0;

    for (unsigned i = 0; i < count && room - n > 700; i++) {
        uint8_t op = fuzz_byte(in), key_n = fuzz_byte(in);
        uint8_t *at = out + n;
        *at++ = op & 0x3f; /* code, and how far back the key is that this one begins like */
        if (op & 0x38)
            at = varint_put(at, fuzz_byte(in) % 4);
        if (op % 8 == OP_TRIM) {
            at = varint_put(at, key_n);
        } else {
            size_t k = key_n < 0xf0 ? key_n % 16 : 30u * (key_n & 15);
            at = varint_put(at, k);
            memset(at, op, k);
            for (size_t b = 0; b < MIN_OF(k, 3u); b++)
                at[b] = fuzz_byte(in);
            at += k;
        }
        if (op % 8 == OP_PUT) {
            str value = str_sub(*in, 0, fuzz_byte(in));
            uint32_t crc = crc32c(0, value.p, value.n) ^ (op == 0x81);
            *in = str_drop(*in, value.n);
            at = varint_put(at, value.n);
            memcpy(at, &crc, sizeof crc);
            memcpy(at + sizeof crc, value.p, value.n);
            at += sizeof crc + value.n;
        }
        n = (size_t)(at - out);
    }
    return n;
}

static void step(struct maker *m, str *in)
{
    uint8_t made[8 * KIB], what = fuzz_byte(in);
    size_t n;

    switch (what & 7) {
    case 0: /* a frame of any bytes */
        n = fuzz_byte(in);
        n = MIN_OF(n, in->n);
        add_frame(m, what, (const uint8_t *)in->p, n);
        *in = str_drop(*in, n);
        break;
    case 1: /* bytes */
        n = fuzz_byte(in);
        n = MIN_OF(n, in->n);
        add(m, in->p, n);
        *in = str_drop(*in, n);
        break;
    case 2: /* another byte somewhere */
        n = (size_t)fuzz_byte(in) << 8 | fuzz_byte(in);
        m->p[n % m->n] ^= fuzz_byte(in);
        break;
    case 3: /* the next segment */
        if (m->number >= MAX_SEGMENTS)
            break;
        end_segment(m);
        m->number += what >> 7;
        begin_segment(m, what >> 6 & 1);
        break;
    case 4: /* a cut */
        n = (size_t)fuzz_byte(in) << 8 | fuzz_byte(in);
        m->n -= n % m->n;
        break;
    default:
        add_frame(m, what, made, make_ops(in, made, sizeof made));
    }
    if (m->n == 0)
        add(m, "", 1);
}

static void make_log(struct maker *m, str in, uint8_t mode)
{
    m->p = malloc(MAX_SEGMENT);
    CHECK(m->p != NULL);
    m->number = 1 + (mode >> 7);
    m->salt = 7;
    m->txn = 1;
    begin_segment(m, false);
    while (in.n > 0)
        step(m, &in);
    end_segment(m);
    free(m->p);
}

static bool agree(void *arg, const struct engine_check_report *report)
{
    (void)arg;
    (void)report;
    return true;
}

static struct engine *open_store(const char *dir, enum err *e)
{
    struct engine_options o = {.dir = dir, .cache_bytes = 64 * KIB, .segment_bytes = 4 * KIB};
    struct err_detail d = {.text = ""};
    struct engine *engine = NULL;

    *e = engine_open(&engine, &o, NULL, &d);
    CHECK(*e == OK || (*e == ERR_CORRUPT && d.text[0] != '\0') || *e == ERR_UNSUPPORTED);
    CHECK((*e == OK) == (engine != NULL));
    return engine;
}

static void back_up(const struct fuzz_dir *dir, uint64_t digest, bool whole)
{
    char dest[400];
    struct engine_backup b = {.dir = dir->path, .dest = dest};
    struct engine_backup_result result;
    struct err_detail d = {.text = ""};
    uint64_t copied;
    enum err e;

    fuzz_file(dir, "copy", dest);
    e = engine_backup(&b, &result, &d);
    CHECK(e == OK || (e == ERR_CORRUPT && d.text[0] != '\0'));
    CHECK(e == OK || !whole);
    if (e != OK)
        return;
    struct engine *copy = open_store(dest, &e);
    CHECK(e == OK);
    CHECK(fuzz_digest(copy, &copied) == whole && copied == digest);
    engine_close(copy);
}

/* The store opens: it shows the same when it is opened again, and can be written. */
static void use(const struct fuzz_dir *dir, struct engine *engine, uint8_t mode)
{
    uint64_t digest, again;
    bool whole = fuzz_digest(engine, &digest);
    struct engine_txn *t;
    enum err e = engine_txn_begin(engine, &t);

    CHECK(e == OK);
    CHECK(engine_put(t, STR("k"), STR("v")) == OK && engine_txn_commit_wait(t) == OK);
    CHECK(fuzz_digest(engine, &digest) == whole || !whole);
    if (mode & 4)
        back_up(dir, digest, whole);
    if (mode & 8) {
        e = engine_compact(engine);
        CHECK(e == OK || !whole);
    }
    engine_close(engine);
    engine = open_store(dir->path, &e);
    CHECK(e == OK);
    CHECK(fuzz_digest(engine, &again) == whole || !whole);
    CHECK(again == digest || !whole);
    engine_close(engine);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size);
    uint8_t mode = fuzz_byte(&in);
    struct engine_check_report report;
    struct engine_repair_options repair = {.agree = agree, .stamp = "1"};
    enum engine_repaired repaired;
    struct err_detail d = {.text = ""};
    struct maker m = {.number = 0};
    bool sound = false;

    log_set_level(LOG_NONE);
    fuzz_dir_make(&m.dir);
    make_log(&m, in, mode);
    enum err e = engine_check(m.dir.path, &(struct engine_check_options){0}, &report, &d);
    CHECK(e == OK || e == ERR_UNSUPPORTED);
    if (e == OK)
        sound = report.log_problems == 0;
    if (e == OK && mode & 1) {
        e = engine_repair(m.dir.path, &repair, &report, &repaired, &d);
        if (e != OK)
            fprintf(stderr, "%s: %s\n", err_text(e), d.text);
        CHECK(e == OK && repaired != ENGINE_NOT_AGREED);
        sound = true;
    }
    struct engine *engine = open_store(m.dir.path, &e);
    CHECK(!sound || e == OK);
    if (e == OK)
        use(&m.dir, engine, mode);
    fuzz_dir_remove(m.dir.path);
    return 0;
}
