/*
 * store/like.c - the `like` operator: '*' stands for anything, without one the pattern may be
 * anywhere; case does not count.
 *
 * The pattern is cut at its stars into pieces, each of which is looked for behind the one before
 * (the leftmost place is always as good as any other). A piece is searched with its failure
 * function (Knuth, Morris, Pratt), so a test takes time linear in the text, whatever a stranger
 * writes into the pattern. Text is compared by code point, folded by a table of the ranges below.
 */
#include "store/private.h"

/* ---- folding --------------------------------------------------------------------------------- */

/* Code points first..last (each `step`th one) have their small letter `delta` further on. */
struct fold {
    uint32_t first, last, step;
    int32_t delta;
};

static const struct fold folds[] = {
    {'A', 'Z', 1, 32},         {0xC0, 0xD6, 1, 32},     {0xD8, 0xDE, 1, 32},
    {0x100, 0x12E, 2, 1},      {0x132, 0x136, 2, 1},    {0x139, 0x147, 2, 1},
    {0x14A, 0x176, 2, 1},      {0x178, 0x178, 1, -121}, {0x179, 0x17D, 2, 1},
    {0x17F, 0x17F, 1, -268},   {0x218, 0x21E, 2, 1},    {0x386, 0x386, 1, 38},
    {0x388, 0x38A, 1, 37},     {0x38C, 0x38C, 1, 64},   {0x38E, 0x38F, 1, 63},
    {0x391, 0x3A1, 1, 32},     {0x3A3, 0x3AB, 1, 32},   {0x3C2, 0x3C2, 1, 1},
    {0x400, 0x40F, 1, 80},     {0x410, 0x42F, 1, 32},   {0x460, 0x480, 2, 1},
    {0x48A, 0x4BE, 2, 1},      {0x4C0, 0x4C0, 1, 15},   {0x4C1, 0x4CD, 2, 1},
    {0x4D0, 0x52E, 2, 1},      {0x531, 0x556, 1, 48},   {0x1E00, 0x1E94, 2, 1},
    {0x1EA0, 0x1EFE, 2, 1},    {0x24B6, 0x24CF, 1, 26}, {0xFF21, 0xFF3A, 1, 32},
    {0x10400, 0x10427, 1, 40},
};

static uint32_t fold(uint32_t c)
{
    if (c < 0x80)
        return c - 'A' < 26 ? c + 32 : c;
    for (size_t i = 0; i < ARRAY_LEN(folds); i++) {
        const struct fold *f = &folds[i];
        if (c >= f->first && c <= f->last)
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
