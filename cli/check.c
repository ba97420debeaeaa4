/*
 * cli/check.c - kinto check, kinto check --repair: what the engine finds in a data directory, a line
 * each, how far it is, what a repair would lose, and whether it shall; and then what the store finds
 * in what the engine keeps.
 */
#include "cli/private.h"

#include "base/clock.h"
#include "store/store.h"
#include <inttypes.h>
#include <time.h>

struct session {
    const struct cli_check *c;
    struct cli_bar bar;
    bool asked; /* for which the summary was said */
};

static void on_progress(void *arg, uint64_t done, uint64_t total)
{
    struct session *s = arg;
    cli_bar_draw(&s->bar, done, total);
}

/* ---- what is said ---------------------------------------------------------------------------- */

static void on_found(void *arg, const struct engine_finding *f)
{
    struct session *s = arg;
    FILE *out = s->c->out;
    if (!f->problem && s->c->quiet)
        return;
    cli_bar_wipe(&s->bar);
    fprintf(out, "%s%s: ", f->problem ? "" : "note: ", f->file);
    switch (f->place) {
    case ENGINE_AT_FILE:
        break;
    case ENGINE_AT_OFFSET:
        fprintf(out, "offset %" PRIu64 ": ", f->at);
        break;
    case ENGINE_AT_PAGE:
        fprintf(out, "page %" PRIu64 ": ", f->at);
        break;
    }
    fprintf(out, "%s\n", f->what);
}

static void say_summary(const struct session *s, const struct engine_check_report *r)
{
    uint64_t problems = r->log_problems + r->index_problems;
    if (problems == 0 && s->c->quiet)
        return;
    fprintf(s->c->out,
            "%s: %" PRIu64 " segments, %" PRIu64 " frames (a transaction each), %" PRIu64
            " operations, %" PRIu64 " keys, %" PRIu64 " pages of index, %" PRIu64
            " bytes of log in %" PRIu64 " ms: ",
            s->c->dir, r->segments, r->txns, r->operations, r->keys, r->pages, r->bytes, r->ms);
    if (problems == 0)
        fprintf(s->c->out, "no problems\n");
    else
        fprintf(s->c->out, "%" PRIu64 " problem%s\n", problems, problems == 1 ? "" : "s");
}

/* What a repair would leave out. */
static void say_loss(const struct session *s, const struct engine_check_report *r)
{
    FILE *out = s->c->out;
    fprintf(out,
            "The log is damaged: %" PRIu64 " bytes cannot be read, %" PRIu64
            " transactions are missing; %" PRIu64 " are whole.\n",
            r->lost_bytes, r->lost_txns, r->txns);
    if (r->keys_known)
        fprintf(out,
                "Of the keys of the index, %" PRIu64 " have their newest value there; %" PRIu64
                " that were deleted come back.\n",
                r->lost_keys, r->back_keys);
}

/* What an index made from the log would leave out. */
static void say_index_loss(const struct session *s, const struct engine_check_report *r)
{
    FILE *out = s->c->out;
    if (r->lost_keys > 0)
        fprintf(out,
                "The log is whole, and has not all that the index has: of %" PRIu64
                " keys of the index that were looked for, %" PRIu64 " are not in the log, %" PRIu64
                " have another value there. An index made anew is without them.\n",
                r->filed_keys, r->extra_keys, r->lost_keys - r->extra_keys);
    else if (r->keys_known)
        fprintf(out, "Only the index is damaged: it can be made anew, nothing is lost.\n");
    else if (r->filed_keys > 0)
        fprintf(out,
                "Only the index is damaged: it can be made anew from the log, which is whole. All "
                "keys of it that can be read, %" PRIu64 ", are in the log.\n",
                r->filed_keys);
    else
        fprintf(out, "Only the index is damaged: it can be made anew from the log, which is whole. "
                     "No key of it can be read and looked for in the log.\n");
}

static void say_what_to_do(const struct session *s, const struct engine_check_report *r)
{
    if (r->log_problems > 0)
        say_loss(s, r);
    else if (r->index_problems > 0)
        say_index_loss(s, r);
    if (r->log_problems + r->index_problems > 0)
        fprintf(s->c->out, "kinto check --repair keeps the files, and puts what is left in their "
                           "place.\n");
}

/* ---- the question ---------------------------------------------------------------------------- */

static bool asked(const struct cli_check *c, const char *question)
{
    char answer[64];
    fprintf(c->out, "%s (the old files are kept)? [y/N] ", question);
    fflush(c->out);
    if (!fgets(answer, sizeof answer, c->in))
        return false;
    str word = str_trim(str_from(answer));
    return str_eq(word, STR("y")) || str_eq(word, STR("yes"));
}

static bool on_agree(void *arg, const struct engine_check_report *r)
{
    struct session *s = arg;
    cli_bar_wipe(&s->bar);
    s->asked = true;
    say_summary(s, r);
    bool of_log = r->log_problems > 0;
    if (of_log)
        say_loss(s, r);
    else
        say_index_loss(s, r);
    if (s->c->yes)
        return true;
    return s->c->in && asked(s->c, of_log ? "Write a new log of the transactions that are whole"
                                          : "Make the index anew from the log");
}

/* ---- the commands ---------------------------------------------------------------------------- */

static void make_stamp(char *out, size_t n)
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(out, n, "%Y%m%d-%H%M%S", &tm);
}

/* A directory that has nothing of a store is a slip of the pen. */
static enum err want_store(const struct session *s, const struct engine_check_report *r,
                           struct err_detail *d)
{
    if (r->segments > 0 || r->log_problems + r->index_problems > 0)
        return OK;
    return err_set(d, ERR_NOTFOUND, 0, "%s: there is no store in it", s->c->dir);
}

static enum err check(struct session *s, const struct engine_check_options *o, bool *sound,
                      struct err_detail *d)
{
    struct engine_check_report r;
    enum err e = engine_check(s->c->dir, o, &r, d);
    cli_bar_wipe(&s->bar);
    if (e == OK)
        e = want_store(s, &r, d);
    if (e != OK)
        return e;
    say_summary(s, &r);
    say_what_to_do(s, &r);
    *sound = r.log_problems + r.index_problems == 0;
    return OK;
}

static enum err say_repaired(const struct session *s, enum engine_repaired done, const char *stamp,
                             struct err_detail *d)
{
    const char *dir = s->c->dir;
    switch (done) {
    case ENGINE_SOUND:
        break;
    case ENGINE_INDEX_REBUILT:
        fprintf(s->c->out,
                "%s: the index has been made anew from the log; the old one is index.damaged\n",
                dir);
        break;
    case ENGINE_LOG_REWRITTEN:
        fprintf(s->c->out, "%s: a new log has been written; the old files are in %s/damaged-%s\n",
                dir, dir, stamp);
        break;
    case ENGINE_NOT_AGREED:
        return err_set(d, ERR_AGAIN, 0, "%s: nothing was changed%s", dir,
                       s->c->in ? "" : "; without a terminal --repair wants --yes");
    }
    return OK;
}

static enum err repair(struct session *s, const struct engine_check_options *o, bool *sound,
                       struct err_detail *d)
{
    struct engine_repair_options ro = {.check = *o, .agree = on_agree};
    struct engine_check_report r;
    enum engine_repaired done;
    make_stamp(ro.stamp, sizeof ro.stamp);
    enum err e = engine_repair(s->c->dir, &ro, &r, &done, d);
    cli_bar_wipe(&s->bar);
    if (e == OK)
        e = want_store(s, &r, d);
    if (e != OK)
        return e;
    if (!s->asked)
        say_summary(s, &r);
    *sound = done != ENGINE_NOT_AGREED;
    return say_repaired(s, done, ro.stamp, d);
}

enum err cli_check_run(const struct cli_check *c, bool *sound, struct err_detail *d)
{
    struct session s = {.c = c};
    const struct engine_check_options o = {.found = on_found, .progress = on_progress, .arg = &s};
    cli_bar_init(&s.bar, c->progress);
    enum err e = c->repair ? repair(&s, &o, sound, d) : check(&s, &o, sound, d);
    fflush(c->out);
    return e;
}

/* ---- what the store keeps -------------------------------------------------------------------- */

static void on_problem(void *arg, const char *text)
{
    struct session *s = arg;
    cli_bar_wipe(&s->bar);
    fprintf(s->c->out, "store: %s\n", text);
}

static enum err check_session(struct store_thread *t, const struct store_audit_options *o,
                              struct store_audit_result *found)
{
    struct store_session *session;
    struct arena arena;
    arena_init(&arena, NULL, 0, NULL, 64 * MIB);
    enum err e = store_read_begin(t, &arena, &session);
    if (e == OK) {
        e = store_check(session, o, found);
        store_read_end(session);
    }
    arena_fini(&arena);
    return e;
}

static void say_store(const struct session *s, const struct store_audit_result *found)
{
    if (found->problems == 0 && s->c->quiet)
        return;
    fprintf(s->c->out,
            "%s: %" PRIu64 " lists, %" PRIu64 " objects, %" PRIu64 " tombstones are sound, %" PRIu64
            " problems%s\n",
            s->c->dir, found->lists, found->objects, found->tombstones, found->problems,
            found->problems == 0 ? ""
            : s->c->repair       ? ", which were mended"
                                 : "; kinto check --repair mends them");
}

enum err cli_check_store(const struct cli_check *c, struct store *store, bool *sound,
                         struct err_detail *d)
{
    struct session s = {.c = c};
    const struct store_audit_options o = {.problem = on_problem, .arg = &s};
    struct store_audit_result found = {0};
    struct store_thread *t;
    cli_bar_init(&s.bar, c->progress);
    enum err e = store_thread_new(store, &t);
    if (e == OK) {
        e = c->repair ? store_repair(t, &o, &found) : check_session(t, &o, &found);
        store_thread_free(t);
    }
    if (e != OK)
        return err_set(d, e, 0, "%s: the store cannot be checked: %s", c->dir, err_text(e));
    say_store(&s, &found);
    fflush(c->out);
    *sound = c->repair || found.problems == 0;
    return OK;
}
