/*
 * engine/engine.h - the storage engine: durable, ordered, transactional keys and values.
 *
 * It knows bytes and keys, nothing of what they mean. Keys are ordered as unsigned bytes (memcmp,
 * the shorter one first). Smallest use:
 *
 *     engine_open(&e, &options, &recovery, &detail);
 *     engine_txn_begin(e, &txn);
 *     engine_put(txn, key, value);
 *     engine_txn_commit(txn, done, arg);
 *     view = engine_snap_begin(reader);
 *     engine_get(view, key, &value);
 *     engine_snap_end(reader);
 *     engine_close(e);
 *
 * Truth is the log: append-only segments of checksummed frames, one frame a transaction
 * (doc/format.md). The index is a copy-on-write B-tree over it, kept in a file of its own, which a
 * thread brings up to date now and then (a checkpoint): it is not needed for durability, but an
 * opening only has to replay the log behind the last one. Lost or damaged, it is made anew from the
 * log. The same thread copies what still lives out of old segments when the log has grown to nearly
 * twice of that (compaction). With options.dir == NULL the same engine runs without files.
 *
 * Writing. One transaction at a time (engine_txn_begin waits for the one before to commit or abort;
 * nothing that waits for somebody else may happen in between). engine_txn_commit hands the frame to
 * the committer thread and returns; the next transaction builds on it at once. The committer makes
 * many transactions durable with one fdatasync, publishes them to the readers, and calls each
 * `done`. What is acknowledged by done(OK) is on disk.
 *
 * Reading. A snapshot is the newest durable state, for as long as it is held; it never waits and
 * never sees what is not yet durable. Values are borrowed from the snapshot (or from the
 * transaction, until its next write or its end). Avoid long-lived snapshots: they pin pages, and once
 * they pin all of options.cache_bytes, begin says AGAIN until they end.
 *
 * Failure. A write or fdatasync that fails aborts every transaction not yet durable, also one that is
 * still running on top of them: their done() gets IO (or NOSPACE), readers stay on the last durable
 * state, and the next transaction begins there; so a full disk is over when there is space again.
 * After a failed fdatasync, when the remains of a failed write cannot be cut off again, or when a page
 * of the index turns out to be damaged (the next opening makes the index anew), the engine is FAILED:
 * reads go on, each engine_txn_begin is refused with FAILED, engine_state says so. It does not retry
 * and hope.
 *
 * Threads: a struct engine_reader belongs to one thread; a transaction to the thread that began it;
 * everything else: any thread.
 */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include "base/str.h"

#define ENGINE_MAX_KEY_BYTES   512
#define ENGINE_MAX_VALUE_BYTES (64 * MIB)

struct engine;
struct engine_txn;
struct engine_reader;
struct engine_view; /* what can be read from: a snapshot, or a transaction with its own changes */

/* Zero is the default of each. */
struct engine_options {
    const char *dir; /* made when missing (0700); NULL: no files */
    /* Size at which a new segment is begun: 4 KiB to 1 GiB. Default: a 64th of what lives in the store, within
     * 1 MiB and 64 MiB; a quarter where less than 4 MiB live, but 256 KiB; without files
     * 1 MiB. */
    uint64_t segment_bytes;
    size_t max_txn_bytes; /* largest frame of one transaction: up to 1 GiB, default 256 MiB */
    /* Memory held by what is not yet durable, frames and pages, over which begin says AGAIN; default
     * 64 MiB. */
    size_t max_queue_bytes;
    /* Memory for pages of the index that are not in its file yet, 64 KiB to 1 GiB, default 32 MiB:
     * half full, a checkpoint begins; full, begin says AGAIN until it has ended. */
    size_t cache_bytes;
    /* Bytes of such pages after which one begins before that. The more, the more often a page was changed before
     * it is written once; but the file grows by as much. Default: a quarter of the index, and 16 MiB at least. */
    size_t changed_bytes;
    /* Bytes of log after which a checkpoint is begun: what an opening after a crash has to replay, and what was
     * written while the last one was.
     * From 1 KiB, default 4 MiB. */
    uint64_t checkpoint_bytes;
    /* Compaction begins when the log is longer than 7/4 of what lives in it, and this: from 1 KiB,
     * default 1 MiB. */
    uint64_t compact_bytes;
    /* The index file is thrown away and made anew from the log, which takes as long as reading all of that.
     * What was deleted can be read in it for long: in pages that were given up, among the keys of others,
     * where pages part. Behind engine_compact() the log alone knows nothing of it. */
    bool new_index;
};

struct engine_recovery {  /* what engine_open found */
    uint64_t txns, bytes; /* frames replayed and their bytes */
    /* Cut off behind the last whole frame (none of it was acknowledged), or found in a segment that
     * was being made; 0: cleanly ended. */
    uint64_t torn_bytes;
    uint64_t ms;
    bool rebuilt; /* the index was damaged and has been made anew */
};

enum engine_state { ENGINE_OK, ENGINE_FAILED };

/*
 * Opens or makes a store. BUSY: another process has it (detail names its pid). CORRUPT: damage that
 * is not a torn tail (detail names file and offset); no byte of the log was changed, nor of an index
 * that is of use. (One that is not may have been put aside and begun anew.) UNSUPPORTED: a newer
 * format. IO, NOSPACE, NOMEM. `recovery` and `detail` may be NULL.
 */
MUST_CHECK enum err engine_open(struct engine **out, const struct engine_options *options,
                                struct engine_recovery *recovery, struct err_detail *detail);
/* Waits until what was committed is durable (or failed), brings the index file up to date, then releases
 * everything. All transactions must have ended, and all readers been freed. NULL is allowed.
 * What it does is bounded, however large the store is: it ends the turn of the background thread,
 * writes what of the index is not in its file (options.cache_bytes, and a little over, and as much when a
 * checkpoint is under way), and, when a third of that file is not used, moves 1,024 pages of it at most, so
 * that its end can be cut off. The next close goes on with that. A process that is killed instead loses
 * nothing: the next opening has more to replay. */
void engine_close(struct engine *e);
enum engine_state engine_state(const struct engine *e);

/* Of the newest durable state; commits and syncs since open. */
struct engine_stats {
    uint64_t version;                   /* number of its transaction; the first is 1 */
    uint64_t keys;                      /* in the index */
    uint64_t log_bytes, live_log_bytes; /* on disk; of these still of use, at most */
    uint64_t live_value_bytes, segments;
    uint64_t pages, free_pages;
    uint64_t commits, syncs, checkpoints;
};
void engine_stats(const struct engine *e, struct engine_stats *out); /* does not wait */

/* What the engine does in the background by itself, at once; waits for the end. NOSPACE, IO, NOMEM,
 * AGAIN: it can be tried again. FAILED. CORRUPT: damage was met (and logged). */
/* Puts the newest durable state into the index file, so that the next opening need not replay it. */
MUST_CHECK enum err engine_checkpoint(struct engine *e);
/* Copies everything that lives out of every segment there is, and gives these back, so that the log holds
 * nothing of what was deleted; and gives back what the index file does not use. */
MUST_CHECK enum err engine_compact(struct engine *e);

/* ---- backup ---------------------------------------------------------------------------------- */

/*
 * A copy of a store's files, itself a directory that engine_open takes: its log is the store's up to
 * a transaction between begin and end of the call, whole transactions only, and at least all that
 * had been acknowledged at the begin. (As after a crash, some may be in it that were not
 * acknowledged yet.) The store may be open in this or another process, which is neither asked nor
 * slowed down. Everything in the copy has been read back and checked, and is on disk. The index is
 * not copied: an opening makes it from the log.
 */
#define ENGINE_BACKUP_EXTRA_BYTES (64 * KIB)

struct engine_backup {
    const char *dir;  /* of the store; nothing in it is changed */
    const char *dest; /* made (0700), or there and empty */
    /* What messages call dest, when it is reached by a path that tells nobody anything; NULL: by itself. */
    const char *dest_name;
    /* An earlier copy of the same store; NULL: none. A segment that is finished in both gets one more name
     * instead of being copied, if the file system can. */
    const char *since;
    /* More files of dir, copied when they are there; NULL-terminated, or NULL: none, each at most
     * ENGINE_BACKUP_EXTRA_BYTES (LIMIT). Read last: no older than what is in the segments. */
    const char *const *extra;
    /* Called after each part, `total` is what is expected. False: give up (CLOSED). NULL: none. */
    bool (*progress)(void *arg, uint64_t done, uint64_t total);
    void *arg;
};
struct engine_backup_result {
    uint64_t segments, bytes_copied, bytes_linked;
    uint64_t txns;    /* in these segments */
    uint64_t version; /* number of the last one */
};
/*
 * BUSY also: a repair of dir was not finished. REFUSED: a file of dir is a link, none that can be read to
 * its end, or (for root, in a directory of somebody else) not of the one who has dir. NOTFOUND: no store in
 * dir or in since. EXISTS: dest is not empty. CORRUPT: damage in dir or since; the detail names file and
 * offset. CONFLICT: since is of another store. BUSY, AGAIN, NOSPACE, IO, NOMEM, LIMIT, UNSUPPORTED, CLOSED.
 * When it fails nothing of it stays. What a process that was killed leaves behind is refused by
 * engine_open, or has no segment under its name yet.
 */
MUST_CHECK enum err engine_backup(const struct engine_backup *b, struct engine_backup_result *out,
                                  struct err_detail *detail);

/* ---- reading --------------------------------------------------------------------------------- */

/* A thread's place among the readers. NOMEM. At most one snapshot at a time through each: free what
 * holds none. */
MUST_CHECK enum err engine_reader_new(struct engine *e, struct engine_reader **out);
void engine_reader_free(struct engine_reader *r);

/* The view of the newest durable state; valid until engine_snap_end. Cannot fail, does not wait. */
const struct engine_view *engine_snap_begin(struct engine_reader *r);
void engine_snap_end(struct engine_reader *r);

/* The number of the transaction that a view shows (a transaction's own changes come after it). */
uint64_t engine_view_version(const struct engine_view *v);
/*
 * What callers remember of what they have read, beyond the view: which transaction that was marked
 * (engine_txn_mark) is the newest that the view shows. Views with the same number agree on all that
 * marked transactions change. ENGINE_NO_MARK: this view is of a transaction that is marked itself, or stands on
 * one that is not durable: nothing that is read in it may be remembered.
 */
#define ENGINE_NO_MARK UINT64_MAX
uint64_t engine_view_mark(const struct engine_view *v);

/* NOTFOUND, or CORRUPT: what is on disk is damaged. The value is borrowed from the view. */
MUST_CHECK enum err engine_get(const struct engine_view *v, str key, str *value);

/*
 * A cursor walks a range of keys in both directions. It is plain memory of the caller, needs no
 * clean-up, and must not be used after a write in its transaction, nor after its view.
 */
struct engine_cursor {
    const struct engine_view *view;
    str prefix; /* only keys that begin with it; borrowed */
    struct {
        const void *page;
        uint32_t slot;
    } path[16];
    int depth;         /* < 0: before the first or behind the last key */
    const void *inner; /* a page of which all keys have the prefix; or NULL */
    int ahead; /* values asked for from memory before they are wanted: 1 forward, -1 backward */
    enum err err;
    char key_buf[ENGINE_MAX_KEY_BYTES];
};

void engine_cursor_init(struct engine_cursor *c, const struct engine_view *v, str prefix);
/* Each places the cursor and returns true, or false when there is no such key within the prefix. Then
 * the cursor stands nowhere: next and prev stay false, key and value must not be asked for, and first,
 * last or a seek places it again. False may also mean that a page of the index is damaged: whoever
 * walks to the end asks engine_cursor_err. */
bool engine_cursor_first(struct engine_cursor *c);
bool engine_cursor_last(struct engine_cursor *c);
bool engine_cursor_seek(struct engine_cursor *c, str key);        /* the first key >= key */
bool engine_cursor_seek_before(struct engine_cursor *c, str key); /* the last key < key */
bool engine_cursor_next(struct engine_cursor *c);
bool engine_cursor_prev(struct engine_cursor *c);
/* Why the last move was false: OK, there is no such key; CORRUPT. */
enum err engine_cursor_err(const struct engine_cursor *c);
str engine_cursor_key(struct engine_cursor *c); /* borrowed until the cursor moves */
MUST_CHECK enum err engine_cursor_value(struct engine_cursor *c, str *value); /* CORRUPT */

/* ---- writing --------------------------------------------------------------------------------- */

/* Waits for its turn. AGAIN: too much is waiting for the disk. NOSPACE: the disk is full, and compaction at
 * work on that. LIMIT: the log has no room for more. FAILED. NOMEM. CLOSED. */
MUST_CHECK enum err engine_txn_begin(struct engine *e, struct engine_txn **out);
/* Sees the transaction's own changes, and what was committed before it, durable or not. */
const struct engine_view *engine_txn_view(struct engine_txn *t);
/* It changes what others may remember (engine_view_mark). */
void engine_txn_mark(struct engine_txn *t);

/* Puts or replaces. Copies both. LIMIT: key empty or over the maximum, value or frame too large; NOMEM;
 * NOSPACE and IO: the index file has no room for what changes; CORRUPT: a page of the index is damaged.
 * After an error the transaction can only be aborted. */
MUST_CHECK enum err engine_put(struct engine_txn *t, str key, str value);
/* One more key for the value of the last engine_put in this transaction (there must be one); the value
 * is stored once. Each key lives on its own: deleting or replacing one leaves the other. The errors of
 * engine_put. */
MUST_CHECK enum err engine_link(struct engine_txn *t, str key);
/* Deleting what is not there is OK, and no change. The errors of engine_put. */
MUST_CHECK enum err engine_del(struct engine_txn *t, str key);
/* Deletes every key that begins with prefix (not empty), in one log entry; *count (may be NULL) says
 * how many. The errors of engine_put. Cost: the leaves that hold them. */
MUST_CHECK enum err engine_del_prefix(struct engine_txn *t, str prefix, uint64_t *count);

/*
 * Ends the transaction. done(arg, OK) is called once everything that the transaction wrote *or saw* is
 * durable, done(arg, error) when it is not and will not be. (After a failed sync, which leaves the
 * engine FAILED, nobody can promise the latter: a later opening may find it.) done may be NULL. It is
 * called before this returns (nothing left to wait for; without files always) or later from the
 * committer thread, in the order of the commits; it must not block and must not call the engine. A
 * transaction without changes takes no space in the log. After an error of an operation this ends like
 * an abort, and done gets that error.
 */
void engine_txn_commit(struct engine_txn *t, void (*done)(void *arg, enum err result), void *arg);
/*
 * The same, but the committer need not begin before engine_commits_go(), which must follow soon: who has several
 * to commit gets one group of them, and one sync. (Another's commit makes it begin, too.) No thread may wait for
 * what it has not let go.
 */
void engine_txn_commit_soon(struct engine_txn *t, void (*done)(void *arg, enum err result),
                            void *arg);
void engine_commits_go(struct engine *e);
/* As engine_txn_commit, and waits for what done would be told. */
MUST_CHECK enum err engine_txn_commit_wait(struct engine_txn *t);
/* Ends it as if it had not been. */
void engine_txn_abort(struct engine_txn *t);

/* ---- checking and repairing a store that is closed ------------------------------------------- */

/* What was found, and where. Borrowed for the call. */
enum engine_place { ENGINE_AT_FILE, ENGINE_AT_OFFSET, ENGINE_AT_PAGE };
struct engine_finding {
    bool problem;     /* false: worth knowing, and all is well */
    const char *file; /* its name in the directory */
    enum engine_place place;
    uint64_t at; /* offset, or number of the page */
    const char *what;
};

struct engine_check_options { /* zero is the default of each */
    void (*found)(void *arg, const struct engine_finding *f);
    void (*progress)(void *arg, uint64_t done, uint64_t total); /* bytes of log */
    void *arg;
    size_t cache_bytes; /* as in struct engine_options */
};

struct engine_check_report {
    uint64_t segments, txns, operations, bytes; /* of the log; txns: frames, whole and right */
    uint64_t keys, pages;                       /* that the log makes; of the index file's tree */
    uint64_t torn_bytes;                        /* the next opening cuts them off */
    uint64_t ms;
    uint64_t log_problems, index_problems;
    /* With problems of the log: what cannot be read, and the transactions whose numbers are missing
     * (there may be more at the end, where nothing tells). */
    uint64_t lost_bytes, lost_txns;
    /* The index file beside the log: its keys that could be read and looked for; those of them whose
     * value the log has not, and of these, those that it does not know at all. Whoever makes the index
     * from the log loses them. */
    uint64_t filed_keys, lost_keys, extra_keys;
    bool keys_known; /* all of its keys could be read */
    uint64_t
        back_keys; /* then: keys that it has not and the log has; deleted ones that come back */
};

/*
 * Reads everything, holds the log and the index against each other in both directions, and goes on
 * after a problem as far as it can; each goes to `found`. Changes nothing (a file without a name in
 * the directory takes what does not fit the cache). OK: it came to the end; the report says what it
 * found. BUSY, as engine_open; NOTFOUND: there is no such directory; AGAIN: a repair was interrupted;
 * UNSUPPORTED, IO, NOSPACE, NOMEM.
 */
MUST_CHECK enum err engine_check(const char *dir, const struct engine_check_options *options,
                                 struct engine_check_report *report, struct err_detail *detail);

enum engine_repaired {
    ENGINE_SOUND,         /* there was nothing to repair */
    ENGINE_INDEX_REBUILT, /* the old one is beside it: index.damaged */
    ENGINE_LOG_REWRITTEN, /* the old files are in *aside */
    ENGINE_NOT_AGREED,    /* nothing was changed */
};

struct engine_repair_options {
    struct engine_check_options check;
    /* Is asked before anything is lost, once everything was said: before the log is written anew, and
     * before an index with keys that the log has not. NULL: no. */
    bool (*agree)(void *arg, const struct engine_check_report *report);
    char stamp[32]; /* what the directory of the old files is called behind "damaged-" */
};

/*
 * Checks, and repairs what it found. An index that is not right is put aside as index.damaged and made
 * anew. A log that is damaged is written anew from its whole transactions before, between and behind the
 * damage, done in their order; what the missing ones deleted is there again. The old files are all kept. A
 * crash, or a failure, at any point leaves the old store or the new one, which the next opening finishes.
 * Errors: as engine_check and engine_open.
 */
MUST_CHECK enum err engine_repair(const char *dir, const struct engine_repair_options *options,
                                  struct engine_check_report *report, enum engine_repaired *done,
                                  struct err_detail *detail);

#endif
