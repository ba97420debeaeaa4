/*
 * engine/repair.c - what is wrong is put aside, and what is right put in its place.
 *
 * A damaged index is renamed and made anew from the log; who would lose keys by it, as the log has
 * them not, is asked before. A damaged log is written anew:
 *
 *   1. write    DIR/repair.tmp: a store of its own, by the engine's own means. Of the whole
 *               transactions that are left, replayed in their order, what lives at the end; keys that
 *               shared a value share it again. Closed, checked, synced
 *   2. decide   repair.tmp -> repaired-STAMP, synced. From here on the new store counts
 *   3. aside    segments and index -> damaged-STAMP/, synced
 *   4. turn     repaired-STAMP -> moving-STAMP, synced. From here on no segment in DIR is an old one
 *   5. move     what is in moving-STAMP -> DIR, synced
 *   6. end      moving-STAMP, which is empty, is removed
 *
 * Why a crash at any point is safe:
 *   - Before 2 no file of the old store was touched. An opening does not look at repair.tmp; the next
 *     repair removes it.
 *   - Behind 2 everything of the new store is on disk, and nothing but names is left to be changed.
 *     Whoever opens the directory next goes on before it looks at anything else (repair_finish): the
 *     directory's name says where. Each step can be done again from its beginning: a file that was
 *     moved is not found any more where it was. The old segments cannot be taken for new ones, as they
 *     are moved under one name of the directory, and the new ones under another, and between both
 *     everything is synced.
 *   - Names are changed by rename only, so a file is under the old name or the new one, never
 *     under none.
 * No step removes anything of the old store.
 */
#include <errno.h>

#include "base/settings.h"
#include "engine/private.h"

#define NEW_DIR     "repair.tmp"
#define DECIDED     "repaired-"
#define MOVING      "moving-"
#define ASIDE       "damaged-"
#define STAMP_MAX   32
#define BATCH_BYTES MIB
#define FRAME_MAX   (1024 * MIB) /* a batch may be a frame's worth longer than what was allowed */

static enum err failed(struct err_detail *d, const char *path, const char *what)
{
    int saved = errno;

    return err_set(d, err_from_errno(saved), saved, "%s: %s", path, what);
}

static enum err sync_dir(const char *path, struct err_detail *d)
{
    return os()->sync_dir(path) == 0 ? OK : failed(d, path, "cannot be synced");
}

struct path {
    char p[2 * LOG_PATH_MAX];
};

static struct path path_of(const char *dir, const char *name, const char *stamp)
{
    struct path path;

    int n = snprintf(path.p, sizeof path.p, "%s/%s%s", dir, name, stamp);

    CHECK(n > 0 && (size_t)n < sizeof path.p);
    return path;
}

/* ---- step 1: a new store --------------------------------------------------------------------- */

static void remove_file(void *arg, const char *name)
{
    struct path path = path_of(arg, name, "");

    if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
        (void)!os()->unlink(path.p); /* rmdir tells */
}

/* What an earlier repair left that did not come to its end. */
static enum err remove_dir(const char *dir, struct err_detail *d)
{
    if (os()->list_dir(dir, remove_file, (void *)dir) != 0)
        return errno == ENOENT ? OK : failed(d, dir, "cannot be listed");
    return os()->rmdir(dir) == 0 ? OK : failed(d, dir, "cannot be removed");
}

struct copy {
    struct check *c;
    struct engine *to;
    struct engine_txn *txn; /* NULL: none is running */
    uint64_t bytes;         /* in it */
};

static enum err batch_begin(struct copy *y)
{
    enum err err = OK;

    while (err == OK && y->txn == NULL) {
        err = engine_txn_begin(y->to, &y->txn);
        if (err == ERR_AGAIN)
            err = engine_checkpoint(y->to);
    }
    return err;
}

static enum err batch_end(struct copy *y)
{
    enum err err = y->txn == NULL ? OK : engine_txn_commit_wait(y->txn);

    y->txn = NULL;
    y->bytes = 0;
    return err;
}

/* The keys of one frame, as compaction copies them: the first that lives of those that share a value
 * brings it. */
static enum err copy_frame(struct copy *y, const struct log_walk *w)
{
    const struct engine_view v = {
        .pages = &y->c->made->pages, .engine = y->c->made, .root = y->c->made->writer.tree.root};
    uint32_t last = 0; /* where the value lay that was put last */
    struct ops o;
    enum err err = batch_begin(y);

    ops_begin(&o, &w->f, w->f.at, &w->h);
    while (err == OK && ops_more(&o)) {
        bool live = false;
        err = ops_next(&o);
        if (err == OK && (o.op == OP_PUT || o.op == OP_LINK))
            err = op_is_live(&v, o.key, &o.value, &live);
        if (err != OK || !live)
            continue;
        y->bytes += o.key.n + o.value.bytes;
        err = copy_value(y->txn, o.key, &o.value, last);
        last = o.value.off;
    }
    return err;
}

static void say_progress(const struct check *c, const struct log_walk *w)
{
    const struct engine_check_options *o = c->found.o;

    if (o != NULL && o->progress != NULL)
        o->progress(o->arg, MIN_OF(w->done + w->f.at, w->total), w->total);
}

/* What was agreed to is what the first reading found. */
static enum err want_same(const struct check *c, const struct engine_check_report *again)
{
    const struct engine_check_report *r = c->found.r;

    if (again->txns == r->txns && again->operations == r->operations &&
        again->lost_txns == r->lost_txns && again->lost_bytes == r->lost_bytes)
        return OK;
    return err_set(c->detail, ERR_IO, 0, "%s: the log is not the same when it is read again",
                   c->dir);
}

/* All frames that the check has found good, again. */
static enum err copy_all(struct copy *y)
{
    struct engine_check_report again = {0};
    struct findings quiet = {NULL, &again};
    struct check *c = y->c;
    struct log_walk w;
    enum err err = walk_begin(&w, c->dir, &c->names, c->index.usable ? &c->index.content : NULL,
                              &quiet, c->detail);

    while (err == OK) {
        err = walk_next(&w);
        if (err == OK)
            err = copy_frame(y, &w);
        if (err == OK && y->bytes >= BATCH_BYTES) {
            err = batch_end(y);
            say_progress(c, &w);
        }
    }
    walk_end(&w);
    if (err == ERR_NOTFOUND)
        err = want_same(c, &again);
    return err == OK ? batch_end(y) : err;
}

static enum err fill(struct check *c, const char *dir)
{
    const struct engine_options o = {.dir = dir, .max_txn_bytes = FRAME_MAX};
    struct copy y = {.c = c};
    enum err err = engine_open(&y.to, &o, NULL, c->detail);

    if (err != OK)
        return err;
    err = copy_all(&y);
    if (y.txn != NULL)
        engine_txn_abort(y.txn);
    if (err == OK)
        err = engine_checkpoint(y.to);
    engine_close(y.to);
    if (err != OK && c->detail->text[0] == 0)
        return err_set(c->detail, err, 0, "%s: cannot be written: %s", dir, err_text(err));
    return err;
}

/* It is right, and it has as many keys as there shall be. */
static enum err prove(const struct check *c, const char *dir)
{
    struct engine_check_report r;
    enum err err = engine_check(dir, NULL, &r, c->detail);

    if (err != OK)
        return err;
    if (r.log_problems + r.index_problems > 0 || r.keys != c->made->writer.tree.keys)
        return err_set(c->detail, ERR_CORRUPT, 0, "%s: what was written is not right", dir);
    return OK;
}

/* What belongs to an engine that runs there, not to the store. */
static enum err drop(const char *dir, const char *name, struct err_detail *d)
{
    struct path path = path_of(dir, name, "");

    return os()->unlink(path.p) == 0 || errno == ENOENT ? OK
                                                        : failed(d, path.p, "cannot be removed");
}

static enum err write_new(struct check *c, const char *dir)
{
    enum err err = remove_dir(dir, c->detail);

    if (err == OK)
        err = fill(c, dir);
    if (err == OK)
        err = prove(c, dir);
    if (err == OK)
        err = drop(dir, LOCK_NAME, c->detail);
    if (err == OK)
        err = drop(dir, RESERVE_NAME, c->detail);
    return err == OK ? sync_dir(dir, c->detail) : err;
}

/* ---- steps 3 to 6: also for whoever comes after a crash --------------------------------------- */

struct decided { /* what a directory's name says */
    bool moving;
    char stamp[STAMP_MAX];
};

/* A name, and nothing else. */
static bool stamp_good(const char *stamp)
{
    size_t n = strspn(stamp, "0123456789-");

    return n > 0 && n < STAMP_MAX && stamp[n] == 0;
}

static void look_for_decided(void *arg, const char *name)
{
    struct decided *found = arg;
    bool decided = strncmp(name, DECIDED, sizeof DECIDED - 1) == 0;
    bool moving = strncmp(name, MOVING, sizeof MOVING - 1) == 0;

    if (!decided && !moving)
        return;
    name += decided ? sizeof DECIDED - 1 : sizeof MOVING - 1;
    if (!stamp_good(name))
        return;
    memcpy(found->stamp, name, strlen(name) + 1);
    found->moving = moving;
}

static enum err move_file(const char *from, const char *to, const char *name, bool may_miss,
                          struct err_detail *d)
{
    struct path a = path_of(from, name, ""), b = path_of(to, name, "");

    if (os()->rename(a.p, b.p) == 0 || (may_miss && errno == ENOENT))
        return OK;
    return failed(d, a.p, "cannot be moved");
}

/* Segments and index; synced on both sides. */
static enum err move_store(const char *from, const char *to, struct err_detail *d)
{
    struct names names = {.n = 0};
    enum err err = names_list(from, &names, d);

    for (size_t i = 0; err == OK && i < names.n; i++) {
        char name[16];
        snprintf(name, sizeof name, "%08x.log", names.number[i]);
        err = move_file(from, to, name, false, d);
    }
    free(names.number);
    if (err == OK)
        err = move_file(from, to, INDEX_FILE, true, d);
    if (err == OK)
        err = sync_dir(to, d);
    return err == OK ? sync_dir(from, d) : err;
}

/* Step 3, and 4. */
static enum err put_aside(const char *dir, const char *stamp, struct err_detail *d)
{
    struct path aside = path_of(dir, ASIDE, stamp), from = path_of(dir, DECIDED, stamp),
                to = path_of(dir, MOVING, stamp);
    enum err err;

    if (os()->mkdir(aside.p, 0700) != 0 && errno != EEXIST)
        return failed(d, aside.p, "cannot be created");
    err = sync_dir(dir, d);
    if (err == OK)
        err = move_store(dir, aside.p, d);
    if (err == OK && os()->rename(from.p, to.p) != 0)
        err = failed(d, from.p, "cannot be renamed");
    return err == OK ? sync_dir(dir, d) : err;
}

/* Step 5, and 6. */
static enum err move_in(const char *dir, const char *stamp, struct err_detail *d)
{
    struct path from = path_of(dir, MOVING, stamp);
    enum err err = move_store(from.p, dir, d);

    if (err == OK && os()->rmdir(from.p) != 0)
        err = failed(d, from.p, "cannot be removed");
    return err == OK ? sync_dir(dir, d) : err;
}

enum err repair_pending(const char *dir, bool *pending, struct err_detail *d)
{
    struct decided found = {.stamp = ""};

    if (os()->list_dir(dir, look_for_decided, &found) != 0)
        return failed(d, dir, "cannot be listed");
    *pending = found.stamp[0] != 0;
    return OK;
}

/* Nothing is put aside for a directory that only has the name. */
static enum err has_store(const char *dir, struct err_detail *d)
{
    struct names names = {0};
    enum err err = names_list(dir, &names, d);

    if (err == OK && names.n == 0)
        err = err_set(d, ERR_CORRUPT, 0, "%s: holds no repaired log; remove it", dir);
    free(names.number);
    return err;
}

enum err repair_finish(const char *dir, struct err_detail *d)
{
    struct decided found = {.stamp = ""};
    enum err err = OK;

    if (os()->list_dir(dir, look_for_decided, &found) != 0)
        return failed(d, dir, "cannot be listed");
    if (found.stamp[0] == 0)
        return OK;
    if (!found.moving)
        err = has_store(path_of(dir, DECIDED, found.stamp).p, d);
    if (err == OK && !found.moving)
        err = put_aside(dir, found.stamp, d);
    return err == OK ? move_in(dir, found.stamp, d) : err;
}

/* ---- the repair ------------------------------------------------------------------------------ */

/* Step 2. */
static enum err decide(const struct check *c, const char *new_dir, const char *stamp)
{
    struct path to = path_of(c->dir, DECIDED, stamp);

    if (os()->rename(new_dir, to.p) != 0)
        return failed(c->detail, new_dir, "cannot be renamed");
    return sync_dir(c->dir, c->detail);
}

static void no_name(void *arg, const char *name)
{
    (void)arg;
    (void)name;
}

/* Nothing of an earlier repair is written over. */
static enum err check_free(const struct check *c, const char *stamp)
{
    struct path aside = path_of(c->dir, ASIDE, stamp);

    if (os()->list_dir(aside.p, no_name, NULL) == 0)
        return err_set(c->detail, ERR_EXISTS, 0, "%s: is there already", aside.p);
    return errno == ENOENT ? OK : failed(c->detail, aside.p, "cannot be listed");
}

static enum err rewrite_log(struct check *c, const char *stamp)
{
    struct path new_dir = path_of(c->dir, NEW_DIR, "");
    enum err err = check_free(c, stamp);

    if (err == OK)
        err = write_new(c, new_dir.p);
    if (err != OK) {
        (void)!remove_dir(new_dir.p, NULL); /* a full disk is no fuller than before */
        return err;
    }
    err = decide(c, new_dir.p, stamp);
    return err == OK ? repair_finish(c->dir, c->detail) : err;
}

static enum err put_index_aside(struct check *c)
{
    enum err err = index_put_aside(c->filed, c->detail);

    return err == OK ? sync_dir(c->dir, c->detail) : err;
}

static bool agreed(const struct engine_repair_options *o, const struct engine_check_report *r)
{
    return o->agree != NULL && o->agree(o->check.arg, r);
}

/* With the lock of the check. */
static enum err repair_locked(struct check *c, const struct engine_repair_options *o,
                              enum engine_repaired *done)
{
    const struct engine_check_report *r = c->found.r;
    enum err err = OK;

    *done = ENGINE_SOUND;
    if (r->log_problems > 0) {
        *done = ENGINE_NOT_AGREED;
        if (!agreed(o, r))
            return OK;
        err = rewrite_log(c, o->stamp);
        *done = ENGINE_LOG_REWRITTEN;
    } else if (r->index_problems > 0) {
        *done = ENGINE_NOT_AGREED;
        if (r->lost_keys > 0 && !agreed(o, r))
            return OK;
        err = put_index_aside(c);
        *done = ENGINE_INDEX_REBUILT;
    }
    return err;
}

/* Makes the index: an opening does that. */
static enum err open_once(const char *dir, struct err_detail *d)
{
    const struct engine_options o = {.dir = dir};
    struct engine *e;
    enum err err = engine_open(&e, &o, NULL, d);

    if (err != OK)
        return err;
    err = engine_checkpoint(e);
    engine_close(e);
    return err == OK ? OK : err_set(d, err, 0, "%s: %s", dir, err_text(err));
}

enum err engine_repair(const char *dir, const struct engine_repair_options *options,
                       struct engine_check_report *report, enum engine_repaired *done,
                       struct err_detail *detail)
{
    enum engine_repaired what = ENGINE_SOUND;
    struct err_detail own = {0};
    struct check c;
    enum err err;

    detail = detail == NULL ? &own : detail;
    detail->text[0] = 0;
    if (!stamp_good(options->stamp))
        return err_set(detail, ERR_SYNTAX, 0, "\"%s\" is no stamp",
                       settings_quote(str_from(options->stamp)).text);
    err = check_run(&c, dir, &options->check, true, report, detail);
    if (err == OK)
        err = repair_locked(&c, options, &what);
    check_fini(&c);
    if (err == OK && what == ENGINE_INDEX_REBUILT)
        err = open_once(dir, detail);
    if (err == OK)
        *done = what;
    return err;
}
