/*
 * engine/inspect.c - is the index file what an index file is?
 *
 *     roots -> books -> every page of the tree, from the root down -> sums
 *
 * A page with a right checksum may still be nonsense: one that a program wrote wrongly, or one that
 * somebody made up. So each offset and each length is looked at before it is used, and only a
 * page that was found right is given to node.c, which believes what it reads. Whether the tree says
 * the same as the log is another question (check.c).
 *
 * What must be true, beside checksums:
 *   1. A page of the tree is reached once, and the books name exactly those that are reached.
 *   2. Cells lie between heap and prefix and do not overlap; cells, garbage, slots and prefix
 *      take up the page (node.c, 3).
 *   3. Keys rise through the whole tree, within what the separators above allow; leaves are all at
 *      one depth.
 *   4. A value lies within a segment of the books, up to where the root ends.
 *   5. The books' sums, a row for each segment, are those of the leaves.
 * No byte of the file that somebody may look at is left out: what has no checksum (the roots' pages
 * behind the roots) is zero. Pages that neither tree nor books have are free; what is in them
 * does not matter.
 */
#include <errno.h>
#include <fcntl.h>

#include "engine/private.h"

struct sums { /* of a segment */
    uint64_t cells, live_bytes;
};

struct inspection {
    struct engine *e;
    const struct findings *found;
    const struct index_content *content;
    struct bits seen;
    struct bits *leaves;
    struct sums *sums;
    const struct books_segment *books;
    uint32_t segments;
    uint64_t keys, value_bytes, live_bytes, before;
};

static void wrong_page(const struct inspection *s, uint32_t pgno, const char *what)
{
    finding_add(s->found, FINDING_INDEX, INDEX_FILE, ENGINE_AT_PAGE, pgno, "%s", what);
}

/* ---- one page -------------------------------------------------------------------------------- */

struct cell_look { /* a cell that lies within its page */
    const uint8_t *begin, *end;
    struct value_ref ref; /* in a leaf */
};

static bool value_fits(const uint8_t *at, const uint8_t *end, struct cell_look *c)
{
    uint32_t head, need;

    at = varint_get32(at, end, &head);
    if (at != NULL)
        at = varint_get32(at, end, &c->ref.seg);
    if (at == NULL)
        return false;
    c->ref.bytes = head >> 2;
    c->ref.kind = head & 3;
    if (c->ref.bytes > ENGINE_MAX_VALUE_BYTES ||
        (c->ref.bytes <= INLINE_MAX_BYTES) != ((c->ref.kind & VALUE_INLINE) != 0))
        return false;
    need = c->ref.kind & VALUE_INLINE ? c->ref.bytes : (uint32_t)sizeof c->ref.off;
    if (need > (size_t)(end - at))
        return false;
    if (!(c->ref.kind & VALUE_INLINE))
        memcpy(&c->ref.off, at, sizeof c->ref.off);
    c->end = at + need;
    return true;
}

static bool cell_fits(const struct page *p, unsigned slot, struct cell_look *c)
{
    const uint8_t *base = (const void *)p, *end = base + PAGE_BYTES - p->prefix, *at;
    uint32_t n;

    if (p->slot[slot] < p->heap || p->slot[slot] >= PAGE_BYTES - p->prefix)
        return false;
    c->begin = base + p->slot[slot];
    at = varint_get32(c->begin, end, &n);
    if (at == NULL || n > (size_t)(end - at) || p->prefix + n > ENGINE_MAX_KEY_BYTES)
        return false;
    at += n;
    if (p->level == 0)
        return p->prefix + n > 0 && value_fits(at, end, c);
    if (end - at < (ptrdiff_t)sizeof(struct page_ref))
        return false;
    c->end = at + sizeof(struct page_ref);
    return true;
}

/* Marks the cell's bytes; false: another has one of them. */
static bool claim(uint64_t *bytes, const struct page *p, const struct cell_look *c)
{
    for (const uint8_t *at = c->begin; at < c->end; at++) {
        size_t i = (size_t)(at - (const uint8_t *)p);
        if (bytes[i / 64] >> (i % 64) & 1)
            return false;
        bytes[i / 64] |= (uint64_t)1 << (i % 64);
    }
    return true;
}

/* NULL, or what is wrong with the page's layout. */
static const char *layout(const struct page *p)
{
    uint64_t bytes[PAGE_BYTES / 64] = {0};
    size_t cells = 0;

    if (p->count == 0)
        return "a page without keys";
    if (p->prefix > ENGINE_MAX_KEY_BYTES || p->heap > PAGE_BYTES - p->prefix ||
        p->count > ARRAY_LEN(p->slot) || PAGE_HEADER_BYTES + 2u * p->count > p->heap)
        return "the page's header makes no sense";
    for (unsigned i = 0; i < p->count; i++) {
        struct cell_look c;
        if (!cell_fits(p, i, &c))
            return "a cell reaches out of the page, or makes no sense";
        if (!claim(bytes, p, &c))
            return "two cells overlap";
        cells += (size_t)(c.end - c.begin);
    }
    if (p->heap + cells + p->garbage != PAGE_BYTES - p->prefix)
        return "the page's cells do not fill it as its header says";
    return NULL;
}

/* Keys rise, from `low` on and below `high` (none: the last). */
static bool keys_rise(const struct page *p, str low, const str *high)
{
    uint8_t key[2][ENGINE_MAX_KEY_BYTES];
    str before = low;

    for (unsigned i = p->level > 0; i < p->count; i++) {
        size_t n = node_key(p, i, key[i % 2]);
        str k = {(char *)key[i % 2], n};
        int c = str_cmp(k, before);
        if (c < 0 || (c == 0 && (i > 0 || p->level > 0)) ||
            (high != NULL && str_cmp(k, *high) >= 0))
            return false;
        before = k;
    }
    return true;
}

static bool value_is_there(const struct inspection *s, const struct value_ref *ref)
{
    uint32_t first = s->content->root.first;
    uint64_t end;

    if (ref->seg < first || ref->seg - first >= s->segments)
        return false;
    end = s->books[ref->seg - first].bytes;
    return ref->kind & VALUE_INLINE ||
           (ref->off >= SEGMENT_HEADER_BYTES && (uint64_t)ref->off + 4 + ref->bytes <= end);
}

static const char *sum_up(struct inspection *s, const struct page *p)
{
    for (unsigned i = 0; i < p->count; i++) {
        struct cell cell = node_cell(p, i);
        struct value_ref ref;
        struct sums *sum;
        uint64_t live;
        body_decode(cell.body, &ref);
        if (!value_is_there(s, &ref))
            return "a value lies outside of the log";
        live = ref_log_bytes((size_t)p->prefix + cell.suffix_n, &ref);
        sum = &s->sums[ref.seg - s->content->root.first];
        sum->cells++;
        sum->live_bytes += live;
        s->live_bytes += live;
        s->value_bytes += ref.kind & VALUE_LINK ? 0 : ref.bytes;
        s->keys++;
    }
    return NULL;
}

/* ---- the tree -------------------------------------------------------------------------------- */

/* Takes the page's place in the books; NULL: *p may be looked at. */
static const char *reach(struct inspection *s, struct page_ref ref, const struct page **p)
{
    uint32_t pgno = ref.pgno;
    struct bits used = index_bits(s->content);

    if (pgno < PAGE_FIRST || pgno >= s->content->root.pages)
        return "is named by the tree, and not in the file";
    if (bits_get(&s->seen, pgno))
        return "is reached twice";
    bits_set(&s->seen, pgno);
    s->found->r->pages++;
    if (!bits_get(&used, pgno))
        return "is a page of the tree, and free by the books";
    return page_in_file(&s->e->pages, ref, p);
}

static void look_at_page(struct inspection *s, struct page_ref ref, unsigned level, str low,
                         const str *high);

static void look_below(struct inspection *s, const struct page *p, str low, const str *high)
{
    uint8_t key[2][ENGINE_MAX_KEY_BYTES];
    str from = low;

    for (unsigned i = 0; i < p->count; i++) {
        bool last = i + 1u == p->count;
        str to = STR_NONE;
        if (!last) {
            to.n = node_key(p, i + 1, key[i % 2]);
            to.p = (char *)key[i % 2];
        }
        look_at_page(s, node_child(p, i), p->level - 1u, from, last ? high : &to);
        from = to;
    }
}

/* A page that is wrong is told of, and nothing below it is looked at. */
static void look_at_page(struct inspection *s, struct page_ref ref, unsigned level, str low,
                         const str *high)
{
    const struct page *p = NULL;
    const char *wrong = reach(s, ref, &p);

    if (wrong == NULL && p->level != level)
        wrong = "is of another level than the page above it says";
    if (wrong == NULL && (p->txn == 0 || p->txn > s->content->root.txn))
        wrong = "is of a transaction that the root does not have";
    if (wrong == NULL)
        wrong = layout(p);
    if (wrong == NULL && !keys_rise(p, low, high))
        wrong = "keys out of order";
    if (wrong == NULL && level == 0)
        wrong = sum_up(s, p);
    if (wrong != NULL)
        wrong_page(s, ref.pgno, wrong);
    else if (level > 0)
        look_below(s, p, low, high);
    else
        bits_set(s->leaves, ref.pgno);
}

static void look_at_tree(struct inspection *s)
{
    const struct index_root *r = &s->content->root;

    if (r->depth > TREE_MAX_DEPTH || (r->root.pgno == PAGE_NONE) != (r->depth == 0))
        wrong_page(s, r->seq % 2, "the root's depth makes no sense");
    else if (r->root.pgno != PAGE_NONE)
        look_at_page(s, r->root, r->depth - 1, STR(""), NULL);
}

/* ---- the books ------------------------------------------------------------------------------- */

static void look_at_bits(const struct inspection *s)
{
    struct bits used = index_bits(s->content);
    uint32_t pages = s->content->root.pages;

    for (uint32_t n = 0; n < used.words * 64; n++) {
        bool seen = n < pages && bits_get(&s->seen, n);
        if (bits_get(&used, n) && !seen)
            wrong_page(s, n, "is in use by the books, and nothing leads to it");
    }
}

static void look_at_sums(const struct inspection *s)
{
    const struct index_root *r = &s->content->root;

    for (uint32_t i = 0; i < s->segments; i++)
        if (s->sums[i].cells != s->books[i].cells ||
            s->sums[i].live_bytes != s->books[i].live_bytes)
            wrong_page(s, r->books, "the books' sums of a segment are not those of the tree");
    if (s->keys != r->keys || s->value_bytes != r->live_value_bytes ||
        s->live_bytes != r->live_log_bytes)
        wrong_page(s, r->seq % 2, "the root's sums are not those of the tree");
}

/* Their own pages are not the tree's, and each is there once. */
static void look_at_books(struct inspection *s)
{
    struct bits used = index_bits(s->content);

    for (size_t i = 0; i < s->content->books_pages; i++) {
        uint32_t n = s->content->books_page[i];
        if (bits_get(&used, n) || bits_get(&s->seen, n))
            wrong_page(s, n, "is a page of the books, and in use otherwise, too");
        bits_set(&s->seen, n);
    }
    for (size_t i = 0; i < s->content->books_pages; i++)
        bits_clear(&s->seen, s->content->books_page[i]);
}

/* ---- the roots ------------------------------------------------------------------------------- */

/* Behind a root there is nothing; where none was written yet there is nothing at all. */
static enum err look_at_root(const struct inspection *s, unsigned i, struct err_detail *d)
{
    uint8_t page[PAGE_BYTES] = {0};
    struct index_root r;
    bool good, blank, rest = false;
    enum err err = index_root_read(s->e, i, &r, &good, &blank, d);

    if (err == OK && os()->pread(s->e->index.fd, page, sizeof page, i * (uint64_t)PAGE_BYTES) < 0)
        err = err_set(d, ERR_IO, 0, "%s/" INDEX_FILE ": cannot be read", s->e->dir);
    if (err != OK)
        return err;
    for (size_t k = sizeof r; k < sizeof page; k++)
        rest |= page[k] != 0;
    if (rest)
        wrong_page(s, i, "something lies behind the root");
    if (!good && !blank)
        wrong_page(s, i, "the root is damaged");
    if (good && r.seq % 2 != i)
        wrong_page(s, i, "the root is in the other one's place");
    return OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static enum err prepare(struct inspection *s, const struct index_content *c)
{
    enum err err;

    s->content = c;
    s->books = index_segments(c, &s->segments);
    s->sums = mem_zalloc(s->segments * sizeof *s->sums);
    if (s->sums == NULL)
        return ERR_NOMEM;
    err = bits_grow(&s->seen, bits_words(c->root.pages) + 1);
    return err == OK ? bits_grow(s->leaves, bits_words(c->root.pages)) : err;
}

static enum err look_at_content(struct inspection *s, struct inspected *out)
{
    enum err err = prepare(s, &out->content);
    uint64_t problems = s->found->r->index_problems;

    if (err == OK)
        err = index_take(s->e, &out->content, &out->v);
    if (err != OK)
        return err;
    look_at_books(s);
    look_at_tree(s);
    if (s->found->r->index_problems == problems) { /* else they cannot be right */
        look_at_bits(s);
        look_at_sums(s);
    }
    out->whole = s->found->r->index_problems == s->before;
    return OK;
}

/* Each page can be read: whoever looks at a view of one that cannot is killed for it. */
static enum err look_for_bad_blocks(const struct inspection *s, struct err_detail *d)
{
    uint8_t page[PAGE_BYTES];
    uint64_t size;

    if (os()->size(s->e->index.fd, &size) != 0)
        return err_set(d, ERR_IO, errno, "%s/" INDEX_FILE ": cannot be read", s->e->dir);
    for (uint64_t at = 0; at < size; at += sizeof page)
        if (os()->pread(s->e->index.fd, page, sizeof page, at) < 0)
            wrong_page(s, (uint32_t)(at / sizeof page), "cannot be read");
    return OK;
}

/* NOTFOUND: there is none, or nothing in it. */
static enum err open_it(struct inspection *s, uint32_t oldest, struct inspected *out,
                        struct err_detail *d)
{
    struct err_detail why = {.text = ""};
    enum err err = index_open(s->e, O_RDONLY, d);

    if (err == OK)
        err = look_for_bad_blocks(s, d);
    if (err == OK && s->found->r->index_problems > s->before)
        return OK; /* it is not usable */
    for (unsigned i = 0; err == OK && i < 2; i++)
        err = look_at_root(s, i, d);
    if (err != OK)
        return err;
    err = index_read(s->e, oldest, &out->content, &why);
    out->usable = err == OK;
    if (err == ERR_CORRUPT && s->found->r->index_problems == s->before)
        finding_add(s->found, FINDING_INDEX, INDEX_FILE, ENGINE_AT_FILE, 0, "%s",
                    why.text + strlen(s->e->dir) + sizeof "/" INDEX_FILE ": " - 1);
    return err == ERR_CORRUPT ? OK : err_set(d, err, 0, "%s", why.text);
}

enum err inspect_index(struct engine *e, uint32_t oldest, const struct findings *found,
                       struct inspected *out, struct err_detail *d)
{
    struct inspection s = {
        .e = e, .found = found, .leaves = &out->leaves, .before = found->r->index_problems};
    enum err err = open_it(&s, oldest, out, d);

    if (err == ERR_NOTFOUND) {
        if (s.found->r->index_problems == s.before)
            finding_add(found, FINDING_NOTE, INDEX_FILE, ENGINE_AT_FILE, 0,
                        "is not there, the next start makes it");
        err = OK;
    } else if (err == OK && out->usable) {
        err = look_at_content(&s, out);
    }
    bits_fini(&s.seen);
    free(s.sums);
    return err;
}
