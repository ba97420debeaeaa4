/*
 * store/like.c - the `like` operator: '*' stands for anything, without one the pattern may be
 * anywhere; case does not count.
 *
 * The pattern is cut at its stars into pieces, each of which is looked for behind the one before
 * (the leftmost place is always as good as any other). A piece is searched with its failure
 * function (Knuth, Morris, Pratt), so a test takes time linear in the text, whatever a stranger
 * writes into the pattern. Text is compared by code point, folded by the table in fold.def.
 */
#include "store/private.h"

/* ---- folding --------------------------------------------------------------------------------- */

/* Code points first..last (each `step`th one) stand `delta` before the letter that they count as. */
struct fold {
    uint32_t first, last, step;
    int32_t delta;
};

static const struct fold folds[] = {
#include "store/fold.def"
};

static uint32_t fold(uint32_t c)
{
    if (c < 0x80)
        return c - 'A' < 26 ? c + 32 : c;
    size_t from = 0, to = ARRAY_LEN(folds);
    while (from < to) {
        size_t mid = (from + to) / 2;
        const struct fold *f = &folds[mid];
        if (c < f->first)
            to = mid;
        else if (c > f->last)
            from = mid + 1;
        else
            return (c - f->first) % f->step == 0 ? (uint32_t)((int32_t)c + f->delta) : c;
    }
    return c;
}

/* Length of the UTF-8 sequence that starts s (not empty); a stray byte counts as one. */
static size_t sequence_length(str s)
{
    uint8_t lead = (uint8_t)s.p[0];
    size_t n = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

    return MIN_OF(n, s.n);
}

static uint32_t take_folded(str *s)
{
    static const uint8_t lead_bits[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    size_t n = sequence_length(*s);
    uint32_t c = (uint8_t)s->p[0] & lead_bits[n];

    for (size_t i = 1; i < n; i++)
        c = c << 6 | ((uint8_t)s->p[i] & 0x3Fu);
    *s = str_drop(*s, n);
    return fold(c);
}

/* ---- the pattern ----------------------------------------------------------------------------- */

struct piece {
    uint32_t *chars; /* folded */
    uint32_t *fail;  /* [i]: how much of the piece is still matched when chars[i + 1] differs */
    size_t n;
};

struct like {
    struct piece *pieces; /* none is empty */
    size_t n;
    bool from_start, to_end; /* the first, the last piece has its fixed place */
};

static void fail_fill(struct piece *p)
{
    uint32_t k = 0;

    p->fail[0] = 0;
    for (size_t i = 1; i < p->n; i++) {
        while (k > 0 && p->chars[k] != p->chars[i])
            k = p->fail[k - 1];
        k += p->chars[k] == p->chars[i];
        p->fail[i] = k;
    }
}

static bool piece_init(struct arena *a, struct piece *p, str text)
{
    p->chars = ARENA_NEW_ARRAY(a, uint32_t, text.n);
    p->fail = ARENA_NEW_ARRAY(a, uint32_t, text.n);
    if (p->chars == NULL || p->fail == NULL)
        return false;
    for (p->n = 0; text.n > 0; p->n++)
        p->chars[p->n] = take_folded(&text);
    fail_fill(p);
    return true;
}

struct like *store_like_new(struct arena *a, str pattern)
{
    struct like *l = ARENA_NEW(a, struct like);
    bool stars = str_find(pattern, '*') != STR_NPOS;
    size_t most = 1;
    str rest = pattern;

    for (size_t i = 0; i < pattern.n; i++)
        most += pattern.p[i] == '*';
    if (l != NULL)
        l->pieces = ARENA_NEW_ARRAY(a, struct piece, most);
    if (l == NULL || l->pieces == NULL)
        return NULL;
    while (!str_none(rest)) {
        str text = str_cut(&rest, '*');
        if (text.n > 0 && !piece_init(a, &l->pieces[l->n++], text))
            return NULL;
    }
    l->from_start = stars && pattern.p[0] != '*';
    l->to_end = stars && pattern.p[pattern.n - 1] != '*';
    return l;
}

/* ---- the test -------------------------------------------------------------------------------- */

static bool take_prefix(const struct piece *p, str *text)
{
    for (size_t i = 0; i < p->n; i++)
        if (text->n == 0 || take_folded(text) != p->chars[i])
            return false;
    return true;
}

static bool take_through(const struct piece *p, str *text)
{
    size_t matched = 0;

    while (text->n > 0) {
        uint32_t c = take_folded(text);
        while (matched > 0 && p->chars[matched] != c)
            matched = p->fail[matched - 1];
        matched += p->chars[matched] == c;
        if (matched == p->n)
            return true;
    }
    return false;
}

static bool is_suffix(const struct piece *p, str text)
{
    size_t at = text.n;

    for (size_t i = 0; i < p->n; i++) { /* back by as many code points */
        if (at == 0)
            return false;
        at--;
        while (at > 0 && ((uint8_t)text.p[at] & 0xC0) == 0x80)
            at--;
    }
    text = str_drop(text, at);
    return take_prefix(p, &text) && text.n == 0;
}

bool store_like_test(const struct like *l, str text)
{
    size_t i = 0, searched = l->n - (l->to_end ? 1 : 0);

    if (l->from_start && !take_prefix(&l->pieces[i++], &text))
        return false;
    for (; i < searched; i++)
        if (!take_through(&l->pieces[i], &text))
            return false;
    return !l->to_end || is_suffix(&l->pieces[i], text);
}
