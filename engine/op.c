/*
 * engine/op.c - operations as they stand in a frame (doc/format.md, "A payload"): written by transactions, read
 * back by whoever reads a segment.
 *
 * Keys of one frame are much alike: an object's own key, its key in the order of time, the next object's. So an
 * operation may name an earlier one, at most OP_KEYS - 1 keys back, and how many bytes of that one's key its own
 * begins with. Both sides keep the last keys for it.
 *
 * What is read comes from a disk and is believed only as far as its checksums go. Nothing allocates.
 */
#include "base/crc.h"
#include "engine/private.h"

#define CODE_BITS 3
#define CODE_MASK 7u
/* To name it takes a byte or two, and both sides some time. */
#define SHARED_MIN 3

static_assert((OP_KEYS & (OP_KEYS - 1)) == 0, "keys are counted modulo 2^32, slots modulo OP_KEYS");
static_assert(OP_KEYS - 1 <= UINT8_MAX >> CODE_BITS, "how far back: the rest of the byte");
static_assert(OP_TRIM <= CODE_MASK, "code");
static_assert(ENGINE_MAX_KEY_BYTES <= UINT16_MAX, "op_keys.bytes");

/* ---- keys ------------------------------------------------------------------------------------ */

static unsigned slot_back(const struct op_keys *k, unsigned back)
{
    return (k->n - back) % OP_KEYS;
}

static str key_back(const struct op_keys *k, unsigned back)
{
    unsigned slot = slot_back(k, back);

    return (str){(const char *)k->key[slot], k->bytes[slot]};
}

static unsigned most_back(const struct op_keys *k)
{
    return MIN_OF(k->n, OP_KEYS - 1u);
}

void op_keys_clear(struct op_keys *k)
{
    k->n = 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static size_t head_bytes(size_t shared, size_t key_bytes)
{
    size_t rest = key_bytes - shared;

    return 1 + (shared > 0 ? varint_size(shared) : 0) + varint_size(rest) + rest;
}

/* Of the last keys the one that shares most with this one, the nearest of these. Most have less in common than what
 * was found already, which the byte behind that tells. */
struct op_head op_head(const struct op_keys *k, enum op op, str key)
{
    struct op_head h = {.op = op, .key = key};

    for (unsigned back = 1; back <= most_back(k) && h.shared < key.n; back++) {
        str other = key_back(k, back);
        if (other.n <= h.shared || other.p[h.shared] != key.p[h.shared])
            continue;
        size_t shared = str_common(other, key);
        if (shared > h.shared) {
            h.back = (uint8_t)back;
            h.shared = (uint16_t)shared;
        }
    }
    if (h.shared < SHARED_MIN) {
        h.back = 0;
        h.shared = 0;
    }
    h.bytes = head_bytes(h.shared, key.n);
    return h;
}

static void remember(struct op_keys *k, str key)
{
    unsigned slot = k->n++ % OP_KEYS;

    k->bytes[slot] = (uint16_t)key.n;
    memcpy(k->key[slot], key.p, key.n);
}

uint8_t *op_head_put(uint8_t *at, const struct op_head *h, struct op_keys *k)
{
    str rest = str_drop(h->key, h->shared);

    *at++ = (uint8_t)((unsigned)h->op | (unsigned)h->back << CODE_BITS);
    if (h->back > 0)
        at = varint_put(at, h->shared);
    at = varint_put(at, rest.n);
    if (rest.n > 0)
        memcpy(at, rest.p, rest.n);
    remember(k, h->key);
    return at + rest.n;
}

/* ---- reading --------------------------------------------------------------------------------- */

void ops_begin(struct ops *o, const struct frames *f, uint64_t at, const struct frame_header *h)
{
    const uint8_t *payload = f->map + at + FRAME_HEADER_BYTES;

    o->base = f->map;
    o->at = payload;
    o->end = payload + h->bytes;
    o->seg = f->number;
    o->has_value = false;
    o->value = (struct value_ref){0};
    op_keys_clear(&o->keys);
}

/* How many bytes of an earlier key this one begins with, if the operation names one. */
static const uint8_t *take_shared(const struct ops *o, const uint8_t *at, unsigned back,
                                  uint32_t *shared)
{
    *shared = 0;
    if (back == 0)
        return at;
    if (back > most_back(&o->keys))
        return NULL;
    at = varint_get32(at, o->end, shared);
    return at != NULL && *shared <= o->keys.bytes[slot_back(&o->keys, back)] ? at : NULL;
}

static const uint8_t *take_key(struct ops *o, const uint8_t *at, unsigned back)
{
    struct op_keys *k = &o->keys;
    unsigned slot = k->n % OP_KEYS;
    uint32_t shared, rest = 0;

    at = take_shared(o, at, back, &shared);
    if (at != NULL)
        at = varint_get32(at, o->end, &rest);
    if (at == NULL || rest > (size_t)(o->end - at) || rest > ENGINE_MAX_KEY_BYTES - shared ||
        shared + rest == 0)
        return NULL;
    if (shared > 0)
        memcpy(k->key[slot], k->key[slot_back(k, back)], shared);
    memcpy(k->key[slot] + shared, at, rest);
    k->bytes[slot] = (uint16_t)(shared + rest);
    k->n++;
    o->key = (str){(const char *)k->key[slot], shared + rest};
    return at + rest;
}

static const uint8_t *take_value(struct ops *o, const uint8_t *at)
{
    uint32_t n;

    at = varint_get32(at, o->end, &n);
    if (at == NULL || n > ENGINE_MAX_VALUE_BYTES || (size_t)(o->end - at) < (size_t)n + 4)
        return NULL;
    o->value = (struct value_ref){.bytes = n,
                                  .kind = n <= INLINE_MAX_BYTES ? VALUE_INLINE : 0,
                                  .seg = o->seg,
                                  .off = (uint32_t)(at - o->base),
                                  .data = at + 4};
    o->has_value = true;
    return at + 4 + n;
}

/* A log trims what is behind it. */
static const uint8_t *take_number(struct ops *o, const uint8_t *at)
{
    at = varint_get32(at, o->end, &o->number);
    return at != NULL && o->number > 0 && o->number <= o->seg ? at : NULL;
}

static const uint8_t *take_op(struct ops *o, unsigned back, const uint8_t *at)
{
    switch ((enum op)o->op) {
    case OP_PUT:
        at = take_key(o, at, back);
        return at == NULL ? NULL : take_value(o, at);
    case OP_LINK:
        return o->has_value ? take_key(o, at, back) : NULL;
    case OP_DEL:
    case OP_DELPREFIX:
        return take_key(o, at, back);
    case OP_TRIM:
        return back == 0 ? take_number(o, at) : NULL;
    }
    return NULL; /* a byte from a disk */
}

bool ops_more(const struct ops *o)
{
    return o->at < o->end;
}

static uint8_t code_of(uint8_t byte)
{
    return byte & CODE_MASK;
}

bool ops_link_is_next(const struct ops *o)
{
    return ops_more(o) && code_of(*o->at) == OP_LINK;
}

enum err ops_next(struct ops *o)
{
    const uint8_t *behind;

    o->op = code_of(*o->at);
    behind = take_op(o, *o->at >> CODE_BITS, o->at + 1);
    if (behind == NULL)
        return ERR_CORRUPT;
    o->at = behind;
    return OK;
}

bool ops_value_good(const struct ops *o)
{
    uint32_t crc;

    memcpy(&crc, o->value.data - sizeof crc, sizeof crc);
    return crc == crc32c(0, o->value.data, o->value.bytes);
}
