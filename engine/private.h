/*
 * engine/private.h - what the files of the engine share. Nobody outside the room includes this.
 *
 * Who is who, from below:
 *
 *     node.c       one page: slots, prefix, cells                  (knows bytes)
 *     page.c       page numbers -> memory or file; allocate, copy, retire  (knows versions)
 *     tree.c       the B-tree over both; cursor.c walks it         (knows keys)
 *     log.c        segments on disk: create, append, sync, cut     (knows the file format)
 *     frame.c      segments read back: headers, frames             (knows the file format)
 *     op.c         operations of a frame, written and read back    (knows the file format)
 *     index.c      the index file: roots, books, pages             (knows the file format)
 *     pending.c    frames on their way to the disk                 (memory of the writer)
 *     apply.c      what PUT, LINK, DEL, DELPREFIX do to the index  (shared by txn.c and recover.c)
 *     txn.c        begin .. commit: the writer                     (thread of the caller)
 *     commit.c     the committer: group, write, sync, publish      (a thread of its own)
 *     reader.c     snapshots
 *     checkpoint.c writes the pages that changed, then a root      (thread of the keeper)
 *     compact.c    copies what lives out of the oldest segments    (thread of the keeper)
 *     reserve.c    space on the disk for compaction                (thread of the keeper)
 *     shrink.c     moves pages, so that the index file can be cut  (thread of the caller)
 *     keeper.c     when to do which                                (a thread of its own)
 *     replay.c     frames into an index               (shared by recover.c, check.c, repair.c)
 *     recover.c    from files to a running engine
 *     walk.c       all good frames of a log, whatever lies between them
 *     inspect.c    is the index file what an index file is?
 *     check.c      log and index held against each other; what a repair would lose
 *     repair.c     a new log of what is left, in the place of the old one
 *     backup.c     a copy of the files, of an engine that runs elsewhere
 *     engine.c     open, close, state, stats
 *
 * Which lock guards what:
 *   keeper.work    one checkpoint or step of a compaction at a time: keeper.compaction and .reader,
 *                  struct index but what it says of its version. Taken before writer.mutex. At the
 *                  end of engine_close nobody else is left, so it is not taken.
 *   writer.mutex   everything in struct writer, struct pages, struct pending's list; held from
 *                  engine_txn_begin to commit or abort.
 *   queue.mutex    the queue of commits and the generation. Taken inside writer.mutex, never the
 *                  other way round. Nothing under it waits.
 *   keeper.mutex   who sleeps on the keeper's conditions; taken inside any other, nothing under it.
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
#include "base/varint.h"
#include "engine/bits.h"
#include "engine/engine.h"
#include "engine/ring.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "files are little-endian as they stand");

/* All of the engine's memory comes through here, so that a test can make the n-th call fail (1 =
 * the next; 0 switches it off; counts over all threads). */
void *mem_alloc(size_t n);
void *mem_zalloc(size_t n);
void *mem_aligned(size_t align, size_t n);
void engine_test_fail_alloc(unsigned nth);

/* Makes the directory (0700) if it is missing, durably. `name`: what messages call it. *made is set when
 * there is a new one, also when this then fails. */
MUST_CHECK enum err dir_make(const char *dir, const char *name, bool *made, struct err_detail *d);
#define LOCK_NAME "LOCK"
/* The directory belongs to this process until *fd is closed. `name`: as above. `flags` for the file LOCK
 * (O_EXCL: there must be none). BUSY. *fd is open also when this fails, unless it is < 0. */
MUST_CHECK enum err dir_lock(const char *dir, const char *name, int flags, int *fd,
                             struct err_detail *d);

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
    uint32_t reserved;   /* 0 */
    uint32_t crc;        /* of the 60 bytes before */
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

/* A place in the log: comparable as a number. */
typedef uint64_t logpos;
#define LOGPOS(seg, off) (((uint64_t)(seg) << 32) | (uint32_t)(off))
#define POS_SEG(pos)     ((uint32_t)((pos) >> 32))
#define POS_OFF(pos)     ((uint32_t)(pos))

/* ---- pages and nodes ------------------------------------------------------------------------- */

#define PAGE_BYTES        4096u
#define PAGE_NONE         0u
#define PAGE_FIRST        2u /* 0 and 1 are the two roots of the index file */
#define PAGE_HEADER_BYTES 32u
#define TREE_MAX_DEPTH    16u
#define NODE_MAX_ITEMS    820u /* more than the smallest cells that fit a page */

struct page {
    uint32_t crc; /* of the rest; set when the page goes to a file */
    uint32_t pgno;
    uint64_t txn;   /* the transaction that made it: only that one may change it */
    uint32_t stamp; /* another one each time that a page is made */
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

/*
 * What leads to a page: its number, and the stamp that it got when it was made. A disk may lose a write
 * that it has acknowledged; then what was there before, whole and with the same number, lies in the
 * page's place. Its stamp tells. Stamps are counted from a random number on, another one with each
 * opening, so that an old page has the right one with a chance of 1 in 2^32.
 * The transaction would not do: a replay makes its pages once more, under a number that an earlier one,
 * or the transaction itself, may have used for pages that went to the file before a crash.
 */
struct page_ref {
    uint32_t pgno, stamp;
};
static_assert(sizeof(struct page_ref) == 8, "format");
static inline struct page_ref page_ref_of(const struct page *p)
{
    return (struct page_ref){p->pgno, p->stamp};
}
#define NO_PAGE ((struct page_ref){PAGE_NONE, 0})

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
void node_copy(struct page *to, const struct page *from); /* nothing but what the node has */
struct cell node_cell(const struct page *p, unsigned slot);
const uint8_t *node_body(const struct page *p, unsigned slot); /* of the cell: where it begins */
struct page_ref node_child(const struct page *p, unsigned slot);
void node_set_child(struct page *p, unsigned slot, struct page_ref child);
unsigned node_child_slot(const struct page *p, str key);         /* branch: where key is below */
unsigned node_lower(const struct page *p, str key, bool *exact); /* leaf: first slot >= key */
unsigned node_prefix_end(const struct page *p, unsigned from, str prefix); /* first without it */
size_t node_key(const struct page *p, unsigned slot, uint8_t out[ENGINE_MAX_KEY_BYTES]);
bool node_has_prefix(const struct page *p, unsigned slot, str prefix);
bool node_shares_prefix(const struct page *p, str prefix); /* it is in what all keys share */
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
struct page_memory { /* that readers may be in who began before a checkpoint ended */
    uint64_t checkpoint;
    struct page *page;
};
#define EXTENT_BITS   14u /* 64 MiB of index */
#define EXTENT_PAGES  (1u << EXTENT_BITS)
#define EXTENTS       (1u << 14)
#define PAGES_MAX     (EXTENTS << EXTENT_BITS)
#define PAGES_RESERVE (4 * TREE_MAX_DEPTH) /* an operation makes and drops fewer than that */
struct extent {
    _Atomic(const uint8_t *) map; /* of the index file; NULL: none of these pages is in it */
    _Atomic uint64_t good[EXTENT_PAGES / 64];    /* pages of the map that were found right */
    _Atomic(struct page *) memory[EXTENT_PAGES]; /* of those that are not in the file */
};
struct pages {
    struct extent **extent;  /* [EXTENTS] */
    uint32_t next;           /* the first number never used */
    uint32_t stamp;          /* of the page that is made next */
    uint32_t hint;           /* no number below can be taken */
    struct bits free;        /* nobody refers to it */
    struct bits disk;        /* the last checkpoint refers to it */
    struct bits ahead;       /* the checkpoint that is being written does */
    struct bits memory;      /* it has memory */
    size_t free_n, memory_n; /* bits in these */
    struct page *pool;       /* memory for use again, linked through its first bytes */
    size_t pool_n;
    struct ring loose;        /* uint32_t: made and dropped by the running transaction */
    struct ring made;         /* page_entry: made by transactions not yet durable */
    struct ring retired;      /* page_entry: no longer in the tree since txn */
    struct ring dropped;      /* page_memory: of pages that are in the file now */
    _Atomic uint32_t damaged; /* a page that is not what it should be; 0: none so far */
};
MUST_CHECK enum err pages_init(struct pages *ps);
void pages_fini(struct pages *ps);
/* NULL: it is, and *out is the page as the file has it; or what is wrong with it. */
const char *page_in_file(const struct pages *ps, struct page_ref ref, const struct page **out);
/* NULL: the page is damaged, or not the one that is meant (CORRUPT). Once it was found right, its number
 * says enough: what else leads to it names the same stamp. */
const struct page *page_verify(struct pages *ps, struct page_ref ref);
static inline const struct page *page_get(struct pages *ps, struct page_ref ref)
{
    struct extent *x = ps->extent[ref.pgno >> EXTENT_BITS];
    uint32_t i = ref.pgno & (EXTENT_PAGES - 1);
    const struct page *p = atomic_load_explicit(&x->memory[i], memory_order_acquire);

    if (p != NULL)
        return p;
    if (atomic_load_explicit(&x->good[i / 64], memory_order_relaxed) >> (i % 64) & 1)
        return (const void *)(atomic_load_explicit(&x->map, memory_order_relaxed) +
                              (size_t)i * PAGE_BYTES);
    return page_verify(ps, ref);
}
/* What lies at a number, for those who were not led there: a whole page of the tree. If it is not in
 * memory it may be an old one, so nothing of it may be served. NULL: it is damaged. */
const struct page *page_peek(struct pages *ps, uint32_t pgno);
/* What such a page leads to. NULL: the same. Writer only. */
const struct page *page_follow(struct pages *ps, struct page_ref ref);
/* Room for all that one operation on the tree can do. NOMEM. */
MUST_CHECK enum err pages_reserve(struct pages *ps);
/* `next` numbers are in use or free; those it adds are free. NOMEM; LIMIT: too many. */
MUST_CHECK enum err pages_extend(struct pages *ps, uint32_t next);
MUST_CHECK enum err page_alloc(struct pages *ps, uint64_t txn, struct page **out);
MUST_CHECK enum err page_touch(struct pages *ps, uint64_t txn, struct page_ref ref,
                               struct page **out);
void page_retire(struct pages *ps, uint64_t txn, const struct page *page);
void pages_commit(struct pages *ps, uint64_t txn);
void pages_undo(struct pages *ps, uint64_t keep_txn);
struct oldest {          /* among the readers; UINT64_MAX: there are none */
    uint64_t version;    /* held */
    uint64_t checkpoint; /* number of the last one that had ended when it began */
};
void pages_reclaim(struct pages *ps, uint64_t durable, const struct oldest *oldest);
/* The first number at or after `from` that nobody refers to, neither here nor in the file; `next`:
 * there is none. */
uint32_t pages_available(const struct pages *ps, uint32_t from);
size_t pages_free_count(const struct pages *ps);
/* Sets `ahead` to what the tree of a version has, txn among those between the durable one and the
 * newest; no checkpoint may be at work. To be forgotten. */
void pages_note_used(struct pages *ps, uint64_t txn);
void pages_forget_ahead(struct pages *ps);
/* `next` falls to behind the last number that is in use here or in the file, when that is a good
 * deal. Between transactions only. */
#define PAGES_WORTH_CUTTING 256u
void pages_shrink(struct pages *ps);
/* The page is in the file, and what maps it there is in place: its memory goes once no reader is left
 * that began before this checkpoint ended. ring_reserve(&ps->dropped) was done. */
void page_to_file(struct pages *ps, uint32_t pgno, uint64_t checkpoint);
uint32_t page_crc(const struct page *p);

/* ---- tree ------------------------------------------------------------------------------------ */

/* The value part of a leaf cell: varint(len << 2 | kind), varint segment, then the bytes (INLINE)
 * or the 32-bit offset of the value's checksum in its segment. */
#define INLINE_MAX_BYTES 32u
#define BODY_MAX_BYTES   (2 * VARINT32_MAX_BYTES + INLINE_MAX_BYTES)
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
    struct page_ref root;
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
MUST_CHECK enum err tree_renew(struct tree *t, str key);
typedef void tree_each_fn(void *arg, size_t key_bytes, const uint8_t *body);
MUST_CHECK enum err tree_del_prefix(struct tree *t, str prefix, tree_each_fn *each, void *arg,
                                    uint64_t *count);
/* *body: of the cell, borrowed from its page. NOTFOUND, CORRUPT. */
MUST_CHECK enum err tree_find(struct pages *ps, struct page_ref root, str key,
                              const uint8_t **body);

/* ---- views ----------------------------------------------------------------------------------- */

struct engine_view {
    struct pages *pages;
    struct engine *engine;
    uint64_t version;
    struct page_ref root;
    uint64_t mark; /* as engine_view_mark() says it */
    bool writer;   /* values may lie in frames that are not on disk yet */
};
void view_prefetch(const struct engine_view *v, const uint8_t *body); /* its value, soon */
MUST_CHECK enum err view_value(const struct engine_view *v, const uint8_t *body, str *out);

/* ---- log ------------------------------------------------------------------------------------- */

struct segment {
    uint32_t number;
    uint32_t salt;
    _Atomic uint64_t target;      /* size at which the next one is begun */
    _Atomic(const uint8_t *) map; /* NULL until the file exists */
    size_t mapped;
    struct { /* it was outgrown; readers may still be in it */
        const uint8_t *map;
        size_t mapped;
    } old[2];
    _Atomic uint32_t bytes; /* durable */
    /* what the index refers to here, in the writer's newest version */
    uint64_t cells;
    uint64_t live_bytes;
    uint64_t delta_at; /* where writer.deltas had the last entry for this segment */
    uint64_t dead_txn; /* no reader needs it that holds this version or a later one */
    struct list_node dead;
};

#define SEGMENT_LEAF_BITS 14u
#define SEGMENT_TOP_BITS  16u
struct log {
    const char *dir;        /* NULL: in memory */
    int dir_fd;             /* of dir, to sync names: open for as long as the store is */
    bool fixed_segments;    /* segment_bytes is an option, not a part of what lives */
    uint64_t segment_bytes; /* target of the next segment */
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
    /* Of segments that are gone: what version.log_bytes and .segments count too many. */
    _Atomic uint64_t gone_bytes, gone_segments;
};
MUST_CHECK enum err log_init(struct log *log);
void log_fini(struct log *log);
/* With a directory: before anything is made in it, or synced. */
MUST_CHECK enum err log_open_dir(struct log *log, struct err_detail *d);
int log_sync_dir(const struct log *log); /* names made and removed are durable; -1 */
struct segment *log_segment(const struct log *log, uint32_t number); /* NULL: none */
MUST_CHECK enum err log_segment_need(struct log *log, uint32_t number);
void log_count_gone(struct log *log, const struct segment *seg); /* takes no room any more */
void log_segment_release(struct log *log, struct segment *seg);
#define LOG_PATH_MAX 4096
void log_path(const char *dir, uint32_t number, char *out, size_t n);
#define LOG_TARGET_MIN ((uint64_t)256 * KIB)
uint64_t log_target(const struct log *log, uint64_t live_bytes); /* size for the next segment */
MUST_CHECK enum err log_create(struct log *log, uint32_t number, uint64_t first_txn);
/* `tight`: space is short, so none is asked for ahead of what is needed. */
MUST_CHECK enum err log_room(struct log *log, uint64_t end, bool tight);
MUST_CHECK enum err log_write(struct log *log, const struct iovec *v, int n, uint64_t off,
                              uint64_t bytes);
MUST_CHECK enum err log_sync(struct log *log);
MUST_CHECK enum err log_cut(struct log *log);
MUST_CHECK enum err log_map(struct segment *seg, int fd, size_t bytes);

/* ---- segments read back ---------------------------------------------------------------------- */

struct names { /* of the segments in a directory, rising; number is malloc'd */
    uint32_t *number;
    size_t n, cap;
    bool nomem, partial;
};
#define PARTIAL_SUFFIX ".partial" /* of files of a copy that is not finished */
/* CORRUPT: it is a copy that is not finished. */
MUST_CHECK enum err names_list(const char *dir, struct names *names, struct err_detail *d);

struct frames { /* a place in a segment */
    const char *dir;
    struct err_detail *detail;
    uint32_t number, salt;
    const uint8_t *map;
    uint64_t size;
    uint64_t at;   /* of the next frame; between segments: where the one before ended */
    uint64_t txn;  /* of the last good frame */
    uint32_t link; /* its head_crc */
};
uint32_t frame_head_crc(const struct frame_header *h, uint32_t salt);
uint32_t segment_header_crc(const struct segment_header *h);
/* CORRUPT, and a detail that names file and offset. */
enum err frames_damage(const struct frames *f, uint64_t off, const char *what);
/* *fd is open even when this fails, unless it is < 0. */
MUST_CHECK enum err frames_open(struct frames *f, int flags, int *fd);
/* *good = false: it is no valid header. UNSUPPORTED, IO. */
MUST_CHECK enum err frames_header(struct frames *f, int fd, struct segment_header *h, bool *good);
/* The header fits what was read before it. CORRUPT. */
MUST_CHECK enum err frames_follow(const struct frames *f, const struct segment_header *h);
bool frames_peek(const struct frames *f,
                 struct frame_header *out);                       /* the next is whole and right */
void frames_step(struct frames *f, const struct frame_header *h); /* to behind it */
/* Where what was written behind the place ends: all that follows is 0, as it was prepared for frames to come. The
 * place itself: nothing was. */
uint64_t frames_written(const struct frames *f);
/* Is there, behind the bad frame at the place, the header of one that was written when the bad one
 * was durable? */
bool frames_lost(const struct frames *f);

/* The next place at or behind f's where a whole, right frame begins that is later than f's
 * transaction. False: there is none. */
bool frames_find(const struct frames *f, uint64_t *off, struct frame_header *out);

/* ---- operations, the payload of a frame -------------------------------------------------------- */

enum op { OP_PUT = 1, OP_LINK = 2, OP_DEL = 3, OP_DELPREFIX = 4, OP_TRIM = 5 };

#define OP_KEYS 8u /* kept; a power of two */
struct op_keys {   /* the last keys of a frame, which later ones may begin like */
    uint32_t n;    /* of all so far; key i lies in slot i % OP_KEYS */
    uint16_t bytes[OP_KEYS];
    uint8_t key[OP_KEYS][ENGINE_MAX_KEY_BYTES];
};
void op_keys_clear(struct op_keys *k); /* all that is needed before the first */

struct op_head { /* how an operation with a key begins; borrows the key */
    enum op op;
    str key;
    uint8_t back;    /* its key begins like that of so many keys before; 0: like none */
    uint16_t shared; /* and this is how many bytes of it */
    size_t bytes;    /* that it takes */
};
struct op_head op_head(const struct op_keys *k, enum op op, str key); /* as short as may be */
/* Returns the byte behind. The key is one of the last from now on. */
uint8_t *op_head_put(uint8_t *at, const struct op_head *h, struct op_keys *k);

/* A place in a frame, and the operation before it. Large: begun where it is used, not copied about. */
struct ops {
    const uint8_t *base, *at, *end;
    uint32_t seg;
    uint8_t op;             /* enum op, from here on what ops_next found */
    str key;                /* of all but TRIM; until OP_KEYS - 1 more were read */
    uint32_t number;        /* TRIM */
    struct value_ref value; /* of the last PUT; `data` borrows from the segment */
    bool has_value;
    struct op_keys keys;
};
/* The frame at offset `at` of f's segment, which is right. */
void ops_begin(struct ops *o, const struct frames *f, uint64_t at, const struct frame_header *h);
bool ops_more(const struct ops *o);
bool ops_link_is_next(const struct ops *o);
MUST_CHECK enum err
ops_next(struct ops *o); /* CORRUPT: what is there makes no sense; nobody goes on */
bool ops_value_good(const struct ops *o); /* of a PUT: its checksum is right */

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

/* ---- a version -------------------------------------------------------------------------------- */

/* What a transaction leaves behind. Published as a whole; words only, for the copy in reader.c. */
struct version {
    uint64_t txn;
    struct page_ref root; /* one word */
    uint64_t depth;
    uint64_t keys, live_value_bytes;
    uint64_t live_log_bytes;      /* of the log, what is still of use */
    logpos tail;                  /* where the next frame begins */
    logpos last;                  /* where the last one began; 0: there is none */
    uint64_t link;                /* its head_crc */
    uint64_t first;               /* segments before this one are not needed any more */
    uint64_t log_bytes, segments; /* all that there ever were since the opening */
    uint64_t pages, free_pages;
    uint64_t mark; /* the newest marked transaction in it; 0: none since the opening */
};

/* ---- the index file (doc/format.md) ---------------------------------------------------------- */

struct index_root { /* at the start of page 0 or 1: the one that seq is even or odd for */
    char magic[8];
    uint32_t version, page_bytes;
    uint8_t store[16];
    uint64_t seq;  /* one more with each checkpoint; the first is 1 */
    uint64_t txn;  /* the last transaction in it */
    uint64_t tail; /* segment << 32 | offset: where the next frame begins */
    uint64_t last; /* the same of the last frame; 0: there is none */
    uint64_t keys, live_value_bytes, live_log_bytes;
    uint32_t link; /* head_crc of the last frame */
    struct page_ref root;
    uint32_t depth;
    uint32_t first; /* segments before this one are not needed */
    uint32_t
        unproven;   /* not 0: the log must still show that segments before this one may be gone */
    uint32_t pages; /* of the file that this root needs */
    uint32_t books, books_bytes; /* first page, and length of the content */
    uint32_t crc;                /* of all before */
};
static_assert(sizeof(struct index_root) == 128, "format");

#define BOOKS_PAGE_BYTES (PAGE_BYTES - 28)
struct books_page {     /* txn and stamp: as the root says of the tree, or they are other books */
    uint32_t crc, pgno; /* as in struct page, but ~pgno: it is never taken for one of the tree */
    uint64_t txn;
    uint32_t stamp;
    uint32_t next, n; /* the page with what follows; bytes here */
    uint8_t data[BOOKS_PAGE_BYTES];
};
static_assert(sizeof(struct books_page) == PAGE_BYTES, "format");

struct books_head { /* followed by the segments, and a bit for each page: the tree needs it */
    uint32_t segments, reserved;
};
struct books_segment {
    uint32_t number, salt;
    uint64_t bytes; /* up to the root's tail */
    uint64_t cells, live_bytes;
};
static_assert(sizeof(struct books_segment) == 32, "format");

struct index {
    int fd;
    uint64_t seq; /* of the last root; 0: none yet */
    uint32_t unproven;
    /* writer.mutex, from here on; of the version that the last root shows: */
    uint64_t txn, log_bytes;
    uint32_t first;
    uint32_t pages;    /* the file has, on the disk (as far as the file system can) */
    bool no_fallocate; /* it has not: asked once */
    _Atomic uint64_t checkpoints;
};
/* What the newest root leads to but the tree. Zeroed before, index_content_free after. */
struct index_content {
    struct index_root root;
    uint8_t *books;
    uint32_t *books_page; /* numbers of the pages that they are on */
    size_t books_pages;
    uint32_t file_pages; /* that the file has */
};
/* Of e->index.fd. `oldest`, errors: as index_load. */
MUST_CHECK enum err index_read(const struct engine *e, uint32_t oldest, struct index_content *c,
                               struct err_detail *d);
const struct books_segment *index_segments(const struct index_content *c, uint32_t *n);
struct bits index_bits(const struct index_content *c); /* borrowed */
/* Takes it over: pages, segments, the version. NOMEM, IO. */
MUST_CHECK enum err index_take(struct engine *e, const struct index_content *c, struct version *v);
void index_content_free(struct index_content *c);
/* As open(2): NOTFOUND, IO. */
MUST_CHECK enum err index_open(struct engine *e, int flags, struct err_detail *d);
/* Reads the i-th root, 0 or 1. IO. *good: it is one; *blank: nothing was ever written there. */
MUST_CHECK enum err index_root_read(const struct engine *e, unsigned i, struct index_root *r,
                                    bool *good, bool *blank, struct err_detail *d);
/* A file for one run: without a name, gone when it is closed. */
MUST_CHECK enum err index_create_unnamed(struct engine *e, struct err_detail *d);

/* Opens the file and takes over what its newest root shows: pages, segments, the version. `oldest`:
 * the first segment there is (0: none). NOTFOUND: there is no file, or no checkpoint in it. CORRUPT:
 * it cannot be used. CONFLICT: the log lacks segments that it needs. In each case nothing was taken
 * over. IO, NOMEM. */
MUST_CHECK enum err index_load(struct engine *e, uint32_t oldest, struct version *v,
                               struct err_detail *d);
MUST_CHECK enum err index_create(struct engine *e, struct err_detail *d);
/* A damaged index becomes index.damaged, open or not. The detail names what is in the way. */
MUST_CHECK enum err index_put_aside(const struct engine *e, struct err_detail *d);
/* The same, or, where that is not possible, the file is removed: the next opening makes it anew. */
MUST_CHECK enum err index_give_up(const struct engine *e, struct err_detail *d);
MUST_CHECK enum err index_map(struct engine *e, uint32_t pages); /* views of all these pages */
/* The file gets so many pages, if it has fewer. NOSPACE: nothing has changed. With writer.mutex, as the
 * next. */
MUST_CHECK enum err index_reach(struct engine *e, uint32_t pages);
/* Gives back what is behind the pages in use. Not being able to is no harm. */
void index_cut(struct engine *e);
/* The file has the pages that one more operation can make, so that a full disk is met by whoever writes,
 * and not by the checkpoint, without which no compaction comes to its end. NOSPACE: the reserve was
 * called for. */
MUST_CHECK enum err index_room(struct engine *e);
#define ROOM_AHEAD 128u /* less than what is worth cutting */
void index_close(struct engine *e);
/* Writes root number 0, which says that there is none; the next sync makes it durable. */
MUST_CHECK enum err index_write_none(struct engine *e);
/* Writes the next root and syncs it. When this fails, nobody knows which one is there. */
MUST_CHECK enum err index_write_root(struct engine *e, const struct version *v, uint32_t books,
                                     uint32_t books_bytes, uint32_t pages);

struct page_writer { /* collects neighbours and writes them at once */
    int fd;
    uint32_t first;
    size_t n;
    struct page page[64];
};
void page_writer_init(struct page_writer *w, int fd);
/* Where the content of the page goes (a copy: readers may be in the page itself), before the next call. Its
 * checksum is seen to. */
MUST_CHECK enum err page_writer_next(struct page_writer *w, uint32_t pgno, struct page **out);
MUST_CHECK enum err page_writer_flush(struct page_writer *w);

/* ---- versions -------------------------------------------------------------------------------- */

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
    _Atomic uint64_t checkpoint;        /* how many there had been when it began */
    struct engine_view view;
    struct list_node node;
};
/* As engine_snap_begin, and all there is to know of the version. */
void snap_hold(struct engine_reader *r, struct version *out);
struct oldest readers_oldest(struct engine *e);
void reader_init(struct engine_reader *r, struct engine *e); /* into the list of readers */
void reader_fini(struct engine_reader *r);

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
    uint32_t trim;        /* 0, or what version.first becomes */
    bool marked;
    bool has_put;
    struct value_ref put; /* of the last engine_put */
    uint8_t put_inline[INLINE_MAX_BYTES];
};

struct writer {
    pthread_mutex_t mutex;
    struct version now; /* of the last transaction committed, durable or not */
    struct tree tree;   /* of the running transaction */
    uint64_t live_value_bytes, live_log_bytes;
    uint64_t generation;
    struct ring deltas;
    bool roll; /* the next transaction begins a segment */
    struct pending pending;
    struct engine_txn txn;
    struct op_keys keys;   /* of its frame */
    struct list_node dead; /* segments that go when no reader sees them any more */
};

/* Index changes; on failure the transaction must be undone. `ref` says where the value lies. */
MUST_CHECK enum err apply_put(struct engine *e, str key, const struct value_ref *ref);
MUST_CHECK enum err apply_del(struct engine *e, str key, bool *found);
MUST_CHECK enum err apply_del_prefix(struct engine *e, str prefix, uint64_t *count);
void apply_undo(struct engine *e, uint64_t keep_txn);
void apply_durable(struct engine *e, uint64_t durable);
void release_dead(struct engine *e, uint64_t oldest_reader); /* segments nobody can be in */
void note_memory(struct engine *e); /* of pages, for whoever has not the writer's mutex */

/* Between transactions, with writer.mutex: leaves a state that was thrown away for the durable one,
 * and gives back what nobody needs any more. */
void writer_give_back(struct engine *e);
/* As engine_txn_begin. Housekeeping changes nothing for others, and may use what they may not. */
enum txn_kind { TXN_ORDINARY, TXN_HOUSEKEEPING };
MUST_CHECK enum err txn_begin(struct engine *e, enum txn_kind kind, struct engine_txn **out);
/* One more operation: segments before `number` are not needed any more, neither by the index nor to
 * make it anew. LIMIT, NOMEM. */
MUST_CHECK enum err txn_trim(struct engine_txn *t, uint32_t number);
/* The pages on the way to a key get other numbers, and nothing else changes. NOMEM, CORRUPT. */
MUST_CHECK enum err txn_renew(struct engine_txn *t, str key);

/* ---- the keeper: checkpoints and compaction -------------------------------------------------- */

/* After AGAIN: a checkpoint, and a moment for the readers to let go of what it gives back. *again counts
 * the tries in a row. With keeper.work. AGAIN: there were too many, since others write too much; else as
 * checkpoint_run. */
MUST_CHECK enum err checkpoint_make_room(struct engine *e, unsigned *again);
/* Writes the newest durable version into the index file, if it is not there already. With
 * keeper.work. NOSPACE, IO, NOMEM: as if nothing had been; after a failed sync FAILED. */
MUST_CHECK enum err checkpoint_run(struct engine *e);
/* From so many bytes of changed pages on its pages are worth their writing, in an index of that size. */
size_t checkpoint_enough(const struct engine_options *o, uint64_t index_bytes);
bool checkpoint_pays(const struct engine *e); /* there are so many; writer.mutex */
bool checkpoint_due(const struct engine *e);  /* for this or another reason; writer.mutex */

struct compaction {      /* the segment that is being copied, and how far */
    bool active;         /* there is one */
    uint64_t generation; /* of the writer when it was begun: after another, copies may be gone */
    bool in_frame;
    struct frames frames;
    struct ops ops;
};
bool compact_due(const struct engine *e); /* writer.mutex */
/* Copies a little of what lives in the oldest segment; with the last of it, gives the segment back.
 * With keeper.work. AGAIN: too much is waiting for the disk. CORRUPT: a frame is damaged. */
MUST_CHECK enum err compact_step(struct engine *e);
/* What is written from here on goes to a new segment; *number (may be NULL) is its number. NOSPACE, AGAIN,
 * NOMEM. */
MUST_CHECK enum err compact_roll(struct engine *e, uint32_t *number);
/* Removes the files of segments that the index file knows are not needed. With keeper.work. */
MUST_CHECK enum err compact_unlink(struct engine *e);
/* Moves `most` pages at most to low numbers, the last ones first, with the few that lead to them, and
 * cuts the index file's end off. With keeper.work. AGAIN, NOSPACE, IO, NOMEM: it can be tried again.
 * CORRUPT: pages.damaged is set. */
#define SHRINK_AT_CLOSE  1024u /* pages */
#define SHRINK_WHEN_FULL 16384u
MUST_CHECK enum err shrink_index(struct engine *e, uint32_t most);
bool shrink_pays(struct engine *e); /* a third of the file is not used */
/* How long to wait until the next step, by how much there is to do. */
unsigned compact_pause_ms(struct engine *e);

struct reserve { /* space that is kept for compaction */
    /* keeper.work: */
    int fd;
    uint64_t bytes;              /* kept */
    bool impossible;             /* the file system cannot */
    uint32_t first, index_pages; /* segment, size, when a gain was last looked for */
    bool fresh;                  /* it was given since the last turn */
    bool at_once; /* engine_compact runs: any gain will do, and it ends when that does */
    /* set with keeper.work, read by all: */
    _Atomic bool given; /* others are kept out; compaction has it, if its length is 0 */
    _Atomic bool worth; /* then: there is something to gain */
    /* writer.mutex: */
    uint32_t fitted; /* the newest segment when its length was last looked at */
    /* set by all: */
    _Atomic bool full; /* a write found the disk full */
};
#define RESERVE_NAME "reserve"
/* Of the reserve, for pages: so many may be written in two checkpoints while it is given. */
#define RESERVE_INDEX_BYTES (4 * MIB)
/* The disk is full: the keeper is asked to see to it. */
void reserve_call(struct engine *e);
/* Before the threads: what there is of it. If it was given when the store was left, compaction has to go on
 * before others are let in. */
void reserve_open(struct engine *e);
/* As long as it should be now, unless it was given. When that cannot be, the disk is full: as if it was
 * given, or so it is when there is something to gain. With keeper.work, as the others. */
void reserve_fit(struct engine *e);
bool reserve_due(const struct engine *e); /* a segment was begun since; writer.mutex */
/* The disk is full: compaction gets the reserve, and is alone from here on. False: it has it already,
 * or there is too little to gain. */
bool reserve_give(struct engine *e);
/* After a turn of the keeper that ended with err: gives the reserve, or takes it back. True: it was
 * given now. */
bool reserve_after(struct engine *e, enum err err);
/* It was given, and what there is to gain lies in the segment that is being written: that has to end
 * first. */
bool reserve_wants_roll(struct engine *e);
/* It was given just now, and a good part of the index file is not used: that is space, too. */
bool reserve_wants_shrinking(struct engine *e);
void reserve_close(struct engine *e);

struct keeper {
    pthread_t thread;
    bool runs;
    pthread_mutex_t work;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool stop;
    _Atomic bool wanted;  /* there is something to do */
    _Atomic bool writing; /* a checkpoint is; `written` is signalled when it has ended */
    pthread_cond_t written;
    struct engine_reader reader;
    struct compaction compaction;
    _Atomic bool given_up; /* compaction met damage: said once, not tried again */
    bool failing;          /* the last turn failed: said once */
};
void keeper_poke(struct engine *e);          /* writer.mutex: is there something to do? */
void keeper_alarm(struct engine *e);         /* wake it, whatever is due */
void keeper_give_index_up(struct engine *e); /* and is seen to: FAILED; the next opening heals it */
void keeper_set_writing(struct engine *e, bool writing);
/* The committer's brake: when memory for pages is short, waits for the end of the checkpoint that is
 * being written, a second at most. */
void keeper_let_write(struct engine *e);
void *keeper_thread(void *engine);

/* ---- the committer --------------------------------------------------------------------------- */

struct queue {
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    struct list_node commits; /* oldest first */
    bool go;                  /* the committer shall take them */
    struct list_node spare;   /* struct commit, for use again */
    size_t spare_n;
    uint64_t cost;           /* of what is committed and not yet durable */
    uint64_t generation;     /* moves on when transactions are thrown away */
    enum err generation_err; /* why */
    bool closing;
    bool failed;            /* the engine is FAILED */
    bool housekeeping_only; /* others are refused: NOSPACE */
    bool late;              /* some were refused, as the disk does not keep up: said once */
    uint64_t late_ms;       /* when the last one was */
};
/* Hands a commit over, and, with `go`, sets the committer to work; the caller holds writer.mutex. False: its
 * generation is gone, *why tells. */
MUST_CHECK bool commit_enqueue(struct engine *e, struct commit *c, uint64_t generation, bool go,
                               enum err *why);
void commits_let_go(struct queue *q); /* what waits in it; the mutex is held */
void commit_run(struct engine *e);    /* memory only: makes what is queued visible, at once */
void *commit_thread(void *engine);
/* No write is accepted any more. */
void engine_fail(struct engine *e, const char *why);

struct engine {
    struct engine_options options;
    bool fixed_segments; /* options.segment_bytes was given */
    char *dir;
    int lock_fd;
    struct log log;
    struct pages pages;
    struct index index;
    struct published published;
    struct writer writer;
    struct queue queue;
    struct keeper keeper;
    struct reserve reserve;
    pthread_t committer;
    bool committer_runs;
    pthread_mutex_t readers_mutex;
    struct list_node readers;
    _Atomic uint64_t commits;
    _Atomic size_t page_memory; /* bytes of pages that are not in the file, or still looked at */
    _Atomic bool failed;        /* queue.failed, for engine_state */
};

MUST_CHECK enum err recover(struct engine *e, struct engine_recovery *r, struct err_detail *d);

/* ---- replay: into the index of an engine that nobody uses yet --------------------------------- */

/* Does what the frame at f's place says. CORRUPT, and as apply_put. */
MUST_CHECK enum err replay_frame(struct engine *e, const struct frames *f,
                                 const struct frame_header *h);
/* Has a frame, before which writer.now.first was `first`, given up a segment that the index refers to? No
 * compaction does that: whoever goes by it loses what lives there. */
bool replay_gave_up(const struct engine *e, uint64_t first);
#define REPLAY_GAVE_UP "gives up a segment that is of use"
/* What was replayed becomes the newest version, which readers (a checkpoint among them) see; `f`: the
 * place behind it. It must be durable. */
void replay_publish(struct engine *e, const struct frames *f);
/* Between two frames: keeps the memory of a long replay small. As checkpoint_run. */
MUST_CHECK enum err replay_relieve(struct engine *e, const struct frames *f);

/* An engine without threads and without a lock, as engine_open begins with it. */
MUST_CHECK enum err engine_bare(struct engine **out, const struct engine_options *o,
                                struct err_detail *d);
void engine_release(struct engine *e); /* NULL is allowed */
/* Bytes of log that a key's operation takes at most, and keeps of use. (How much of its key was shared with others
 * nobody remembers.) */
uint64_t ref_log_bytes(size_t key_bytes, const struct value_ref *ref);
/* Does the index refer to the key's value in that place, or to an equal short one of that segment? CORRUPT. */
MUST_CHECK enum err op_is_live(const struct engine_view *v, str key, const struct value_ref *value,
                               bool *live);
/* Puts a key once more with a value of a segment, or links it if the value put before this lay at offset `last`
 * of the same one: keys of one value stay keys of one value. */
MUST_CHECK enum err copy_value(struct engine_txn *t, str key, const struct value_ref *value,
                               uint32_t last);

/* ---- the check --------------------------------------------------------------------------------- */

struct findings { /* where they go */
    const struct engine_check_options *o;
    struct engine_check_report *r;
};
enum finding { FINDING_NOTE, FINDING_LOG, FINDING_INDEX };
void finding_add(const struct findings *s, enum finding kind, const char *file,
                 enum engine_place place, uint64_t at, const char *fmt, ...) PRINTF_LIKE(6, 7);
#define INDEX_FILE "index"

struct damage { /* a place in the log that is not what it was */
    bool is;
    uint32_t number;
    uint64_t off, bytes;
    const char *what;
};

struct log_walk { /* through all good frames of a log */
    const struct findings *found;
    const struct names *names;
    const struct index_content *index; /* NULL: it does not count */
    size_t first, next;                /* in names: where the log begins; the segment to come */
    uint8_t store[16];
    struct frames f;
    bool in_segment, in_frame;
    bool copied;           /* f.map is memory: not all of the file can be read */
    bool joined;           /* f says what comes next */
    struct frame_header h; /* of the frame at f.at */
    uint64_t last;         /* the last transaction that was whole */
    bool known_last;
    struct damage damage; /* what is missing there is not known yet */
    uint32_t trim;        /* highest number of a TRIM */
    uint64_t done, total; /* bytes */
};
/* `index`: what the index file says, NULL: nothing. IO, UNSUPPORTED. */
MUST_CHECK enum err walk_begin(struct log_walk *w, const char *dir, const struct names *names,
                               const struct index_content *index, const struct findings *found,
                               struct err_detail *d);
/* The next good frame is w->h at w->f. NOTFOUND: there is none; what is wrong was found. IO,
 * UNSUPPORTED. */
MUST_CHECK enum err walk_next(struct log_walk *w);
void walk_end(struct log_walk *w);

/* The index file by itself, into an engine that is bare. usable: its roots and books are, and content
 * has them; whole: so is the tree, and v shows it. IO, NOMEM. */
struct inspected {
    struct index_content content;
    struct version v;
    struct bits leaves; /* usable: pages that are leaves, and right */
    bool usable, whole;
};
MUST_CHECK enum err inspect_index(struct engine *e, uint32_t oldest, const struct findings *found,
                                  struct inspected *out, struct err_detail *d);

struct check {
    const char *dir;
    struct findings found;
    struct err_detail *detail;
    int lock_fd;
    struct names names;
    struct engine *filed; /* the index file */
    struct inspected index;
    struct engine *made; /* the index that the log makes */
    struct log_walk walk;
    uint32_t needed; /* segments before this one are in `made` */
    bool compared;
    bool last_seen; /* the frame that the root names is in the log */
};
/* `may_write`: brings an interrupted repair to its end before. check_fini in any case. Errors: as
 * engine_check. */
MUST_CHECK enum err check_run(struct check *c, const char *dir,
                              const struct engine_check_options *o, bool may_write,
                              struct engine_check_report *r, struct err_detail *d);
void check_fini(struct check *c);

/* Goes on with a repair that a crash interrupted when it was decided. NOMEM, IO. */
MUST_CHECK enum err repair_finish(const char *dir, struct err_detail *d);
MUST_CHECK enum err repair_pending(const char *dir, bool *pending, struct err_detail *d);

#endif
