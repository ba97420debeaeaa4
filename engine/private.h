/*
 * engine/private.h - what the files of the engine share. Nobody outside the room includes this.
 *
 * Who is who, from below:
 *
 *     node.c     one page: slots, prefix, cells                    (knows bytes)
 *     page.c     page numbers -> memory; allocate, copy, retire    (knows versions)
 *     tree.c     the B-tree over both; cursor.c walks it           (knows keys)
 *     log.c      segments on disk: create, append, sync, cut       (knows the file format)
 *     pending.c  frames on their way to the disk                   (memory of the writer)
 *     apply.c    what PUT, LINK, DEL, DELPREFIX do to the index    (shared by txn.c and recover.c)
 *     txn.c      begin .. commit: the writer                       (thread of the caller)
 *     commit.c   the committer: group, write, sync, publish        (a thread of its own)
 *     reader.c   snapshots
 *     recover.c  from files to a running engine
 *     engine.c   open, close, state, stats
 *
 * Which lock guards what:
 *   writer.mutex   everything in struct writer, struct pages, struct pending's list; held from
 *                  engine_txn_begin to commit or abort.
 *   queue.mutex    the queue of commits and the generation. Taken inside writer.mutex, never the
 *                  other way round. Nothing under it waits.
 *   readers.mutex  the list of reader slots (not the slots themselves).
 *   The committer alone touches struct log's `active`, `end`, `link`, `allocated`.
 *   `published` and the segment table are read without locks.
 */
#ifndef ENGINE_PRIVATE_H
#define ENGINE_PRIVATE_H

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/os.h"
#include "engine/engine.h"
#include "engine/ring.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian as they stand");

/* All of the engine's memory comes through here, so that a test can make the n-th call fail (1 =
 * the next; 0 switches it off; counts over all threads). */
void *mem_alloc(size_t n);
void *mem_zalloc(size_t n);
void *mem_aligned(size_t align, size_t n);
void engine_test_fail_alloc(unsigned nth);

/* ---- numbers on disk ------------------------------------------------------------------------- */

/* Unsigned LEB128. put returns the byte behind; get returns NULL when it does not end before `end`
 * or is too large. */
#define VARINT_MAX 5
uint8_t *varint_put(uint8_t *at, uint32_t v);
const uint8_t *varint_get(const uint8_t *at, const uint8_t *end, uint32_t *out);
unsigned varint_size(uint32_t v);

/* ---- log format (doc/format.md) -------------------------------------------------------------- */

#define FORMAT_VERSION 1u
#define LOG_MAGIC      "KINTOLOG"

struct segment_header { /* 64 bytes at the start of a segment */
    char magic[8];
    uint32_t version;
    uint32_t number;
    uint32_t salt;       /* where every header checksum of this segment starts from */
    uint32_t link;       /* head_crc of the last frame before this segment; 0: none */
    uint64_t first_txn;  /* what the first frame here will be numbered */
    uint64_t prev_bytes; /* size of the segment before, which is whole on disk; 0: none */
    uint8_t store[16];   /* the same in every file of a store */
    uint32_t reserved;
    uint32_t crc; /* of the 60 bytes before */
};
static_assert(sizeof(struct segment_header) == 64, "format");

struct frame_header {  /* 28 bytes, no alignment */
    uint32_t head_crc; /* of the 24 bytes behind, from the salt */
    uint32_t bytes;    /* of the payload */
    uint64_t txn;
    uint32_t back; /* txn - back is the first that was not yet durable when this was written */
    uint32_t link; /* head_crc of the frame before */
    uint32_t body_crc;
} __attribute__((packed));
static_assert(sizeof(struct frame_header) == 28, "format");

#define SEGMENT_HEADER_BYTES ((uint32_t)sizeof(struct segment_header))
#define FRAME_HEADER_BYTES   ((uint32_t)sizeof(struct frame_header))

enum op { OP_PUT = 1, OP_LINK = 2, OP_DEL = 3, OP_DELPREFIX = 4 };

/* A place in the log: comparable as a number. */
typedef uint64_t logpos;
#define LOGPOS(seg, off) (((uint64_t)(seg) << 32) | (uint32_t)(off))
#define POS_SEG(pos)     ((uint32_t)((pos) >> 32))
#define POS_OFF(pos)     ((uint32_t)(pos))

/* ---- pages and nodes ------------------------------------------------------------------------- */

#define PAGE_BYTES        4096u
#define PAGE_NONE         0u
#define PAGE_FIRST        2u /* 0 and 1 are the two roots of the index file */
#define PAGE_HEADER_BYTES 28u
#define TREE_MAX_DEPTH    16u
#define NODE_MAX_ITEMS    820u /* more than the smallest cells that fit a page */

struct page {
    uint32_t crc; /* of the rest; set when the page goes to a file */
    uint32_t pgno;
    uint64_t txn; /* the transaction that made it: only that one may change it */
    uint16_t count;
    uint16_t heap;    /* offset of the lowest cell */
    uint16_t garbage; /* bytes between heap and prefix that no slot names */
    uint16_t prefix;  /* length of the common prefix, which ends the page */
    uint8_t level;    /* 0: leaf */
    uint8_t run;      /* how many inserts in a row went behind the one before */
    uint16_t last;    /* slot of the last insert */
    uint16_t slot[(PAGE_BYTES - PAGE_HEADER_BYTES) / 2]; /* offsets of cells, in key order */
};
static_assert(sizeof(struct page) == PAGE_BYTES, "format");
static_assert(offsetof(struct page, slot) == PAGE_HEADER_BYTES, "format");

struct cell { /* borrowed from its page */
    const uint8_t *suffix;
    const uint8_t *body;
    uint16_t suffix_n, body_n;
};

/* A cell on its way into a page: its key is head followed by tail (either may be empty). */
struct item {
    const uint8_t *head, *tail, *body;
    uint16_t head_n, tail_n, body_n;
};

void node_init(struct page *p, unsigned level);
struct cell node_cell(const struct page *p, unsigned slot);
uint32_t node_child(const struct page *p, unsigned slot);
void node_set_child(struct page *p, unsigned slot, uint32_t pgno);
unsigned node_child_slot(const struct page *p, str key);         /* branch: where key is below */
unsigned node_lower(const struct page *p, str key, bool *exact); /* leaf: first slot >= key */
unsigned node_prefix_end(const struct page *p, unsigned from, str prefix); /* first without it */
size_t node_key(const struct page *p, unsigned slot, uint8_t out[ENGINE_MAX_KEY_BYTES]);
bool node_has_prefix(const struct page *p, unsigned slot, str prefix);
size_t node_used(const struct page *p);
void node_remove(struct page *p, unsigned slot, unsigned n);
bool node_overwrite(struct page *p, unsigned slot, const uint8_t *body, size_t n);
size_t node_gather(const struct page *p, struct item *out);
size_t items_bytes(const struct item *it, size_t n, unsigned level); /* what node_build needs */
void node_build(struct page *p, const struct item *it, size_t n);
size_t item_key(const struct item *it, uint8_t out[ENGINE_MAX_KEY_BYTES]);
bool node_insert(struct page *p, unsigned slot, const struct item *it, struct page *scratch,
                 struct item *items);

/* Pages of one store. Writer only, but page_get. */
struct page_entry {
    uint64_t txn;
    uint32_t pgno;
};
#define PAGE_LEAF_BITS 14u
#define PAGE_TOP_BITS  14u
struct pages {
    struct page ***top; /* [PAGE_TOP_BITS][PAGE_LEAF_BITS]: memory of each page, NULL: none */
    uint32_t next;      /* the first number never used */
    uint32_t *free;     /* stack of numbers that nobody refers to */
    size_t free_n;
    uint32_t *loose; /* made and dropped by the running transaction */
    size_t loose_n;
    size_t cap;          /* of free and loose: at least `next` */
    size_t spare;        /* of the free ones: how many have memory */
    struct ring made;    /* page_entry: made by transactions not yet durable */
    struct ring retired; /* page_entry: no longer in the tree since txn */
};
MUST_CHECK enum err pages_init(struct pages *ps);
void pages_fini(struct pages *ps);
static inline struct page *page_get(const struct pages *ps, uint32_t pgno)
{
    return ps->top[pgno >> PAGE_LEAF_BITS][pgno & ((1u << PAGE_LEAF_BITS) - 1)];
}
MUST_CHECK enum err page_alloc(struct pages *ps, uint64_t txn, struct page **out);
MUST_CHECK enum err page_touch(struct pages *ps, uint64_t txn, uint32_t pgno, struct page **out);
void page_retire(struct pages *ps, uint64_t txn, uint32_t pgno);
void pages_commit(struct pages *ps, uint64_t txn);
void pages_undo(struct pages *ps, uint64_t keep_txn);
void pages_reclaim(struct pages *ps, uint64_t durable, uint64_t oldest_reader);
size_t pages_free_count(const struct pages *ps);

/* ---- tree ------------------------------------------------------------------------------------ */

/* The value part of a leaf cell: varint(len << 2 | kind), varint segment, then the bytes (INLINE)
 * or the 32-bit offset of the value's checksum in its segment. */
#define INLINE_MAX_BYTES 32u
#define BODY_MAX_BYTES   (2 * VARINT_MAX + INLINE_MAX_BYTES)
enum value_kind {
    VALUE_INLINE = 1, /* bit 0: the bytes are here */
    VALUE_LINK = 2,   /* bit 1: one more key of a value */
};
struct value_ref {
    uint32_t bytes, kind, seg, off;
    const uint8_t *data; /* when INLINE: borrowed */
};
size_t body_encode(uint8_t out[BODY_MAX_BYTES], const struct value_ref *ref);
size_t body_decode(const uint8_t *body, struct value_ref *out); /* its size */

struct tree_scratch {
    struct page copy;
    struct item items[2 * NODE_MAX_ITEMS];
};
struct tree {
    struct pages *pages;
    struct tree_scratch *scratch;
    uint64_t txn; /* the running transaction: pages with this number may be changed in place */
    uint32_t root;
    uint32_t depth; /* levels; 0: empty */
    uint64_t keys;
};
struct body { /* a cell's value part, copied out */
    uint8_t p[BODY_MAX_BYTES];
    size_t n;
};
MUST_CHECK enum err tree_put(struct tree *t, str key, const struct body *body, struct body *old,
                             bool *replaced);
MUST_CHECK enum err tree_del(struct tree *t, str key, struct body *old, bool *found);
typedef void tree_each_fn(void *arg, size_t key_bytes, const uint8_t *body);
MUST_CHECK enum err tree_del_prefix(struct tree *t, str prefix, tree_each_fn *each, void *arg,
                                    uint64_t *count);
const uint8_t *tree_find(const struct pages *ps, uint32_t root, str key); /* cell body or NULL */

/* ---- views ----------------------------------------------------------------------------------- */

struct engine_view {
    const struct pages *pages;
    struct engine *engine;
    uint64_t version;
    uint32_t root;
    bool writer; /* values may lie in frames that are not on disk yet */
};
MUST_CHECK enum err view_value(const struct engine_view *v, const uint8_t *body, str *out);

/* ---- log ------------------------------------------------------------------------------------- */

struct segment {
    uint32_t number;
    uint32_t salt;
    _Atomic(const uint8_t *) map; /* NULL until the file exists */
    size_t mapped;
    const uint8_t *old_map; /* a frame outgrew it; readers may still be in it */
    size_t old_mapped;
    _Atomic uint32_t bytes; /* durable */
    /* what the index refers to here, in the writer's newest version */
    uint64_t cells;
    uint64_t live_bytes;
    uint64_t delta_at; /* where writer.deltas had the last entry for this segment */
    uint64_t dead_txn; /* memory only: no cell since this transaction */
    struct list_node dead;
};

#define SEGMENT_LEAF_BITS 14u
#define SEGMENT_TOP_BITS  16u
struct log {
    const char *dir; /* NULL: in memory */
    uint64_t segment_bytes;
    uint64_t max_frame;
    uint8_t store[16];
    struct segment ***top; /* [SEGMENT_TOP_BITS][SEGMENT_LEAF_BITS] */
    uint32_t first, next;  /* numbers in use: first <= n < next (writer) */
    /* committer only, from here */
    struct segment *active; /* NULL: none yet */
    int fd;
    uint64_t end; /* durable end of the active segment */
    uint32_t link;
    uint64_t allocated;
    bool no_fallocate;
    bool failing; /* the last write failed: said once, not for each transaction */
    bool broken;  /* a sync failed, or remains could not be cut off: nothing may be written again */
    _Atomic uint64_t syncs;
};
MUST_CHECK enum err log_init(struct log *log);
void log_fini(struct log *log);
struct segment *log_segment(const struct log *log, uint32_t number); /* NULL: none */
MUST_CHECK enum err log_segment_need(struct log *log, uint32_t number);
void log_segment_release(struct log *log, struct segment *seg);
void log_path(const struct log *log, uint32_t number, char *out, size_t n);
#define LOG_PATH_MAX 4096
MUST_CHECK enum err log_create(struct log *log, uint32_t number, uint64_t first_txn);
MUST_CHECK enum err log_room(struct log *log, uint64_t end);
MUST_CHECK enum err log_write(struct log *log, const struct iovec *v, int n, uint64_t off,
                              uint64_t bytes);
MUST_CHECK enum err log_sync(struct log *log);
MUST_CHECK enum err log_cut(struct log *log);
MUST_CHECK enum err log_map(struct segment *seg, int fd, size_t bytes);
uint32_t frame_head_crc(const struct frame_header *h, uint32_t salt);
uint32_t segment_header_crc(const struct segment_header *h);

/* ---- pending frames -------------------------------------------------------------------------- */

#define CHUNK_BYTES (256 * KIB)
struct chunk { /* a contiguous piece of log */
    struct list_node node;
    logpos pos; /* of data[0] */
    _Atomic uint32_t n;
    uint32_t cap;
    uint8_t data[];
};
struct pending {
    struct list_node chunks; /* oldest first */
    struct chunk *spare;
};
void pending_init(struct pending *p);
void pending_fini(struct pending *p);
/* n bytes that will lie at `pos` in the log; NULL: out of memory. */
uint8_t *pending_reserve(struct pending *p, logpos pos, size_t n, struct chunk **chunk);
const uint8_t *pending_find(const struct pending *p, logpos pos, size_t n); /* NULL: not here */
void pending_cut(struct pending *p, logpos from);
void pending_reap(struct pending *p, logpos durable);

/* ---- versions -------------------------------------------------------------------------------- */

/* What a transaction leaves behind. Published as a whole; words only, for the copy in reader.c. */
struct version {
    uint64_t txn;
    uint64_t root, depth;
    uint64_t keys, live_value_bytes;
    logpos tail; /* where the next frame begins */
    uint64_t log_bytes, segments;
    uint64_t pages, free_pages;
};
#define VERSION_WORDS (sizeof(struct version) / sizeof(uint64_t))

struct published {
    _Atomic uint64_t current; /* txn << 1 | index */
    _Atomic uint64_t words[2][VERSION_WORDS];
};
void version_publish(struct published *p, const struct version *v); /* one thread at a time */
void version_read(const struct published *p, struct version *out);
uint64_t version_durable(const struct published *p);

struct engine_reader {
    _Alignas(64) _Atomic uint64_t held; /* version + 1; 0: none */
    struct engine_view view;
    struct list_node node;
};
uint64_t readers_oldest(struct engine *e); /* UINT64_MAX: none */

/* ---- the writer ------------------------------------------------------------------------------ */

struct delta { /* how a transaction changed what a segment holds */
    uint64_t txn;
    uint32_t seg;
    int64_t cells, live_bytes;
};

struct commit { /* a transaction that waits for the committer */
    struct list_node node;
    struct version version; /* what it leaves behind */
    logpos start;           /* of its frame */
    uint64_t bytes;         /* of its frame; 0: it changed nothing */
    uint64_t cost;          /* memory that it holds until it is durable, pages included */
    struct chunk *chunk;    /* where the frame begins */
    uint32_t chunk_off;
    void (*done)(void *arg, enum err result);
    void *arg;
};

struct engine_txn {
    struct engine_view view;
    struct engine *engine;
    uint64_t generation;
    enum err failed;
    struct commit *commit; /* ready for use, so that commit cannot fail */
    logpos start;
    uint64_t bytes;       /* of the frame so far; 0: nothing written */
    uint64_t made_before; /* pages: where the journal of made ones ended at begin */
    bool has_put;
    struct value_ref put; /* of the last engine_put */
    uint8_t put_inline[INLINE_MAX_BYTES];
};

struct writer {
    pthread_mutex_t mutex;
    struct version now; /* of the last transaction committed, durable or not */
    struct tree tree;   /* of the running transaction */
    uint64_t live_value_bytes;
    uint64_t generation;
    struct ring deltas;
    struct pending pending;
    struct engine_txn txn;
    struct list_node dead; /* memory only: segments without cells, until no reader sees them */
};

/* Index changes; on failure the transaction must be undone. `ref` says where the value lies. */
MUST_CHECK enum err apply_put(struct engine *e, str key, const struct value_ref *ref);
MUST_CHECK enum err apply_del(struct engine *e, str key, bool *found);
MUST_CHECK enum err apply_del_prefix(struct engine *e, str prefix, uint64_t *count);
void apply_undo(struct engine *e, uint64_t keep_txn);
void apply_durable(struct engine *e, uint64_t durable);

/* ---- the committer --------------------------------------------------------------------------- */

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct list_node commits; /* oldest first */
    struct list_node spare;   /* struct commit, for use again */
    size_t spare_n;
    uint64_t cost;           /* of what is committed and not yet durable */
    uint64_t generation;     /* moves on when transactions are thrown away */
    enum err generation_err; /* why */
    bool closing;
    bool failed; /* the engine is FAILED */
};
/* Hands a commit over; the caller holds writer.mutex. False: its generation is gone, *why tells. */
MUST_CHECK bool commit_enqueue(struct engine *e, struct commit *c, uint64_t generation,
                               enum err *why);
void commit_run(struct engine *e); /* memory only: makes what is queued visible, at once */
void *commit_thread(void *engine);

struct engine {
    struct engine_options options;
    char *dir;
    int lock_fd;
    struct log log;
    struct pages pages;
    struct published published;
    struct writer writer;
    struct queue queue;
    pthread_t committer;
    bool committer_runs;
    pthread_mutex_t readers_mutex;
    struct list_node readers;
    _Atomic uint64_t commits;
    _Atomic bool failed; /* queue.failed, for engine_state */
};

MUST_CHECK enum err recover(struct engine *e, struct engine_recovery *r, struct err_detail *d);

#endif
