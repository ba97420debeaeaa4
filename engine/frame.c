/*
 * engine/frame.c - segments read back: their headers, their frames (doc/format.md; what is in a frame: op.c). What a
 * segment holds is the same question for whoever asks: recovery, compaction, the check and the backup.
 *
 * Everything here comes from a disk and is believed only as far as its checksums go. Nothing
 * allocates.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/crc.h"
#include "engine/private.h"

uint32_t frame_head_crc(const struct frame_header *h, uint32_t salt)
{
    return crc32c(salt, (const uint8_t *)h + 4, sizeof *h - 4);
}

uint32_t segment_header_crc(const struct segment_header *h)
{
    return crc32c(0, h, offsetof(struct segment_header, crc));
}

enum err frames_damage(const struct frames *f, uint64_t off, const char *what)
{
    return err_set(f->detail, ERR_CORRUPT, 0, "%s/%08x.log: %s at offset %llu", f->dir, f->number,
                   what, (unsigned long long)off);
}

/* ---- which segments -------------------------------------------------------------------------- */

/* "0000001a.log" -> 26; other names are not ours to judge. */
static bool parse_name(const char *name, uint32_t *out)
{
    uint32_t v = 0;

    if (strlen(name) != 12 || strcmp(name + 8, ".log") != 0)
        return false;
    for (int i = 0; i < 8; i++) {
        const char *digits = "0123456789abcdef";
        const char *d = strchr(digits, name[i]);
        if (d == NULL)
            return false;
        v = v << 4 | (uint32_t)(d - digits);
    }
    *out = v;
    return v > 0;
}

static void note_name(void *arg, const char *name)
{
    struct names *names = arg;
    uint32_t number;

    names->partial |= str_ends(str_from(name), STR(PARTIAL_SUFFIX));
    if (names->nomem || !parse_name(name, &number))
        return;
    if (names->n == names->cap) {
        size_t cap = names->cap == 0 ? 64 : 2 * names->cap;
        uint32_t *p = mem_alloc(cap * sizeof *p);
        names->nomem = p == NULL;
        if (p == NULL)
            return;
        if (names->n > 0)
            memcpy(p, names->number, names->n * sizeof *p);
        free(names->number);
        names->number = p;
        names->cap = cap;
    }
    names->number[names->n++] = number;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

enum err names_list(const char *dir, struct names *names, struct err_detail *d)
{
    if (os()->list_dir(dir, note_name, names) != 0)
        return err_set(d, err_from_errno(errno), errno, "%s: cannot be listed", dir);
    if (names->nomem)
        return ERR_NOMEM;
    if (names->partial)
        return err_set(d, ERR_CORRUPT, 0,
                       "%s: a backup that was not finished (or that is being made): it has files "
                       "*" PARTIAL_SUFFIX,
                       dir);
    if (names->n > 0)
        qsort(names->number, names->n, sizeof *names->number, by_number);
    return OK;
}

/* ---- headers --------------------------------------------------------------------------------- */

enum err frames_open(struct frames *f, int flags, int *fd)
{
    char path[LOG_PATH_MAX];

    log_path(f->dir, f->number, path, sizeof path);
    /* a FIFO of that name is no reason to wait, and a link may have been put there by others */
    *fd = os()->open(path, flags | O_NONBLOCK | O_NOFOLLOW, 0);
    if (*fd < 0 || os()->size(*fd, &f->size) != 0)
        return err_set(f->detail, err_from_errno(errno), errno, "%s: cannot be opened", path);
    if (f->size > UINT32_MAX)
        return frames_damage(f, UINT32_MAX, "segment is longer than any can be");
    return OK;
}

enum err frames_header(struct frames *f, int fd, struct segment_header *h, bool *good)
{
    ssize_t n = os()->pread(fd, h, sizeof *h, 0);

    if (n < 0)
        return err_set(f->detail, err_from_errno(errno), errno, "%s/%08x.log: cannot be read",
                       f->dir, f->number);
    *good = n == (ssize_t)sizeof *h && memcmp(h->magic, LOG_MAGIC, sizeof h->magic) == 0 &&
            h->crc == segment_header_crc(h);
    f->salt = h->salt;
    if (*good && h->version != FORMAT_VERSION)
        return err_set(f->detail, ERR_UNSUPPORTED, 0,
                       "%s/%08x.log: format version %u, this program knows %u", f->dir, f->number,
                       h->version, FORMAT_VERSION);
    return OK;
}

enum err frames_follow(const struct frames *f, const struct segment_header *h)
{
    if (h->prev_bytes != f->at)
        return frames_damage(f, 0, "segment before it has another length than the header says");
    if (h->first_txn != f->txn + 1 || h->link != f->link)
        return frames_damage(f, 0, "header does not follow the segment before it");
    return OK;
}

/* ---- frames ---------------------------------------------------------------------------------- */

static struct frame_header header_at(const struct frames *f, uint64_t off)
{
    struct frame_header h;

    memcpy(&h, f->map + off, sizeof h);
    return h;
}

bool frames_peek(const struct frames *f, struct frame_header *out)
{
    struct frame_header h;

    if (f->size - f->at < FRAME_HEADER_BYTES)
        return false;
    h = header_at(f, f->at);
    if (h.txn != f->txn + 1 || h.link != f->link || h.bytes == 0 ||
        h.bytes > f->size - f->at - FRAME_HEADER_BYTES || h.head_crc != frame_head_crc(&h, f->salt))
        return false;
    if (crc32c(0, f->map + f->at + FRAME_HEADER_BYTES, h.bytes) != h.body_crc)
        return false;
    *out = h;
    return true;
}

void frames_step(struct frames *f, const struct frame_header *h)
{
    f->at += FRAME_HEADER_BYTES + h->bytes;
    f->txn = h->txn;
    f->link = h->head_crc;
}

uint64_t frames_written(const struct frames *f)
{
    uint64_t end = f->size, word = 0;

    for (; end - f->at >= sizeof word; end -= sizeof word) {
        memcpy(&word, f->map + end - sizeof word, sizeof word);
        if (word != 0)
            break;
    }
    while (end > f->at && f->map[end - 1] == 0)
        end--;
    return end;
}

bool frames_lost(const struct frames *f)
{
    uint64_t missing = f->txn + 1;
    uint64_t end =
        MIN_OF(frames_written(f) + FRAME_HEADER_BYTES, f->size); /* a checksum may end with 0 */

    for (uint64_t off = f->at; off + FRAME_HEADER_BYTES <= end; off++) {
        struct frame_header h = header_at(f, off);
        if (h.txn <= missing || h.txn - missing > UINT32_MAX || h.back >= h.txn - missing ||
            h.bytes == 0)
            continue;
        if (h.head_crc == frame_head_crc(&h, f->salt))
            return true;
    }
    return false;
}

bool frames_find(const struct frames *f, uint64_t *off, struct frame_header *out)
{
    for (uint64_t at = f->at; at + FRAME_HEADER_BYTES < f->size; at++) {
        struct frame_header h = header_at(f, at);
        if (h.txn <= f->txn || h.bytes == 0 || h.bytes > f->size - at - FRAME_HEADER_BYTES ||
            h.head_crc != frame_head_crc(&h, f->salt) ||
            h.body_crc != crc32c(0, f->map + at + FRAME_HEADER_BYTES, h.bytes))
            continue;
        *off = at;
        *out = h;
        return true;
    }
    return false;
}
