/*
 * store/key.c - how keys are put together, and the small codec of what is stored under them.
 *
 * Keys are compared as unsigned bytes, so each part keeps its own order: numbers are big-endian,
 * times have their sign bit turned over, so that negative ones come first.
 *
 * No string may make a key longer than the engine takes, and none may be mistaken for another:
 *
 * TEXT. Up to TEXT_MAX bytes stand in the key as they are; a longer one is its first TEXT_MAX bytes
 * and its SHA-256. The second form is longer than any of the first. It ends a key, or its length
 * stands before it.
 *
 * PATH. Each part between slashes stands as it is up to PART_MAX bytes; a longer one is its first
 * PART_HEAD bytes and its SHA-256 in hex, which again is longer than any part of the first form,
 * and holds neither '/' nor NUL. So what lies below a path, and nothing else, begins with
 * PATH(path) and a '/', however long the parts are. A NUL ends it.
 */
#include "store/private.h"

#include "base/hash.h"
#include "base/uuid.h"
#include "base/varint.h"

#include <endian.h>

void store_key_init(struct key *k, unsigned tag)
{
    k->n = 0;
    store_key_add_u8(k, tag);
}

void store_key_init_list(struct key *k, uint32_t list, enum key_sub sub)
{
    store_key_init(k, KEY_OBJECT);
    store_key_add_u32(k, list);
    store_key_add_u8(k, sub);
}

void store_key_add(struct key *k, str bytes)
{
    CHECK(bytes.n <= sizeof k->b - k->n);
    if (bytes.n > 0)
        memcpy(k->b + k->n, bytes.p, bytes.n);
    k->n += bytes.n;
}

void store_key_add_u8(struct key *k, unsigned v)
{
    char b = (char)v;

    store_key_add(k, (str){&b, 1});
}

void store_key_add_u32(struct key *k, uint32_t v)
{
    uint32_t b = htobe32(v);

    store_key_add(k, (str){(const char *)&b, sizeof b});
}

#define SIGN_BIT (UINT64_C(1) << 63)

void store_key_add_ms(struct key *k, int64_t ms)
{
    uint64_t b = htobe64((uint64_t)ms ^ SIGN_BIT);

    store_key_add(k, (str){(const char *)&b, KEY_TIME_LEN});
}

int64_t store_time_ms(str time)
{
    uint64_t b;

    memcpy(&b, time.p, KEY_TIME_LEN);
    return (int64_t)(be64toh(b) ^ SIGN_BIT);
}

#define TEXT_MAX ((size_t)200)

void store_key_add_text(struct key *k, str text)
{
    uint8_t sum[HASH_SHA256_LEN];

    if (text.n <= TEXT_MAX) {
        store_key_add(k, text);
        return;
    }
    hash_sha256(text, sum);
    store_key_add(k, str_sub(text, 0, TEXT_MAX));
    store_key_add(k, (str){(const char *)sum, sizeof sum});
}

#define PART_MAX       ((size_t)64)
#define PART_HEAD      ((size_t)16)
#define PATH_MAX_BYTES ((size_t)276) /* with a TEXT, a NUL and a tag it fills a key */

static void add_part(struct key *k, str part)
{
    uint8_t sum[HASH_SHA256_LEN];
    char hex[2 * HASH_SHA256_LEN + 1];

    if (part.n <= PART_MAX) {
        store_key_add(k, part);
        return;
    }
    hash_sha256(part, sum);
    hash_hex(sum, sizeof sum, hex);
    store_key_add(k, str_sub(part, 0, PART_HEAD));
    store_key_add(k, (str){hex, sizeof hex - 1});
}

enum err store_key_add_path(struct key *k, str path)
{
    struct key bounded = {.n = 0};
    str rest = path;
    bool first = true;

    if (str_find(path, '\0') != STR_NPOS)
        return ERR_LIMIT;
    while (!str_none(rest)) {
        str part = str_cut(&rest, '/');
        if (bounded.n + 1 + PART_HEAD + PART_MAX > sizeof bounded.b)
            return ERR_LIMIT;
        if (!first)
            store_key_add_u8(&bounded, '/');
        first = false;
        add_part(&bounded, part);
    }
    if (bounded.n > PATH_MAX_BYTES)
        return ERR_LIMIT;
    store_key_add(k, key_str(&bounded));
    return OK;
}

void store_key_add_id(struct key *k, str id)
{
    uint8_t uuid[UUID_BYTES];

    if (uuid_read(id, uuid)) {
        store_key_add_u8(k, 0);
        store_key_add(k, (str){(const char *)uuid, sizeof uuid});
    } else {
        store_key_add_u8(k, 1);
        store_key_add_text(k, id);
    }
}

int store_id_compare(str x, str y)
{
    struct key kx, ky;

    kx.n = ky.n = 0;
    store_key_add_id(&kx, x);
    store_key_add_id(&ky, y);
    return str_cmp(key_str(&kx), key_str(&ky));
}

/* ---- small values ---------------------------------------------------------------------------- */

void store_key_add_varint(struct key *k, uint64_t v)
{
    uint8_t bytes[VARINT_MAX_BYTES];

    store_key_add(k, (str){(const char *)bytes, (size_t)(varint_put(bytes, v) - bytes)});
}

void store_key_add_signed(struct key *k, int64_t v)
{
    store_key_add_varint(k, (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0));
}
