/*
 * plugins/quotas_sums.c - what is counted, and where the sums are kept: a note (store.h) at the URI of
 * each bucket and collection, two numbers of base/varint.h, records and bytes.
 *
 * The size of an object is that of its data (with "id" and "last_modified") as compact JSON in
 * ASCII, as the reference counted: what is not ASCII takes the six bytes of \uXXXX, twice where
 * that is a surrogate pair. Permissions and tombstones count for nothing.
 */
#include "base/varint.h"
#include "plugins/quotas.h"

/* Bytes of the text with everything outside of printable ASCII written as \uXXXX. */
uint64_t quotas_size(str text)
{
    uint64_t n = text.n;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = (uint8_t)text.p[i];
        if (c < 0x7f)
            continue;
        if (c >= 0xf0) /* a pair, in place of four bytes of UTF-8 */
            n += 12 - 4;
        else if (c >= 0xe0)
            n += 6 - 3;
        else if (c >= 0xc0)
            n += 6 - 2;
        else if (c == 0x7f)
            n += 6 - 1;
    }
    return n;
}

str quotas_bucket_uri(str uri)
{
    str rest = str_drop(uri, strlen("/buckets/"));
    size_t n = str_find(rest, '/');
    return n == STR_NPOS ? uri : str_sub(uri, 0, strlen("/buckets/") + n);
}

static bool read_sums(str value, struct sums *out)
{
    const uint8_t *at = (const uint8_t *)value.p, *end = at + value.n;

    at = varint_get(at, end, &out->items);
    return at != NULL && varint_get(at, end, &out->bytes) != NULL;
}

enum err quotas_sums_get(struct store_session *s, struct arena *a, str uri, struct sums *out)
{
    str value;
    enum err e = store_note_get(s, a, uri, QUOTAS_NOTE, &value);
    if (e == ERR_NOTFOUND) {
        *out = (struct sums){0};
        return OK;
    }
    if (e == OK && !read_sums(value, out))
        return ERR_CORRUPT;
    return e;
}

enum err quotas_sums_put(struct store_session *s, str uri, const struct sums *sums)
{
    uint8_t value[2 * VARINT_MAX_BYTES];
    const uint8_t *end = varint_put(varint_put(value, sums->items), sums->bytes);
    return store_note_put(s, uri, QUOTAS_NOTE, (str){(const char *)value, (size_t)(end - value)});
}
