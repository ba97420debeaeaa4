/*
 * store/value.c - the value of an object: a header of some 12 bytes, and the JSON text that is
 * sent.
 *
 *     byte     0x10 (layout 1 in the high half) | 1: tombstone | 2: tied (its TIME has the ID)
 *     signed   last_modified (zigzag varint)
 *     varint   bytes of the ACL, then the ACL: pairs of varints, principal and permission bits, by
 *              ascending principal, none without a bit
 *     varint   bytes of the id (which never needs an escape)
 *     text     {...,"id":"x","last_modified":1} or {"id":"x","last_modified":1,"deleted":true}
 *
 * "id" and "last_modified" always end the text, so that both are found without a scan, and what
 * the header says of them is checked against the text at every decode.
 */
#include "base/bytes.h"
#include "base/decimal.h"
#include "store/private.h"

#define LAYOUT         0x10
#define FLAG_TOMBSTONE 0x01
#define FLAG_TIED      0x02

/* What stands behind the id: `,"last_modified":N}`, or with `,"deleted":true}`. */
struct tail {
    char text[64];
    size_t n;
};
#define TIME_HEAD   ",\"last_modified\":"
#define LIVE_END    "}"
#define DELETED_END ",\"deleted\":true}"

static void tail_make(struct tail *t, int64_t last_modified, bool deleted)
{
    str end = deleted ? STR(DELETED_END) : STR(LIVE_END);

    memcpy(t->text, TIME_HEAD, sizeof(TIME_HEAD) - 1);
    t->n = (size_t)(decimal_put_i64(t->text + sizeof(TIME_HEAD) - 1, last_modified) - t->text);
    memcpy(t->text + t->n, end.p, end.n);
    t->n += end.n;
}

#define ID_HEAD "\"id\":"

/* Eight digits at once: pairs, fours, and all of them, each by one multiplication. *sum is nothing unless all of
 * them are digits. */
static bool eight_digits(const char *p, uint32_t *sum)
{
    uint64_t w = bytes_load(p), digits;

    digits = w - EACH_BYTE('0');
    if ((((w + EACH_BYTE(0x46)) | digits) & EACH_BYTE(0x80)) != 0)
        return false;
    digits = digits * 10 + (digits >> 8);
    digits = ((digits & UINT64_C(0x000000ff000000ff)) * (100 + (UINT64_C(1000000) << 32)) +
              ((digits >> 16) & UINT64_C(0x000000ff000000ff)) * (1 + (UINT64_C(10000) << 32))) >>
             32;
    *sum = (uint32_t)digits;
    return true;
}

#define TIME_DIGITS 13 /* of the milliseconds from 2001 to 2286 */
#define TIME_FIRST  INT64_C(1000000000000)

/* The same as the next for a time of today, without writing it down: this is done for each object that a filter
 * looks at. The first eight digits and the last eight have three in common. */
static bool is_recent_at_end(const char *p, size_t n, int64_t v)
{
    uint32_t first, last;

    if (n < TIME_DIGITS || !eight_digits(p + n - TIME_DIGITS, &first) ||
        !eight_digits(p + n - 8, &last))
        return false;
    return v == (int64_t)first * 100000 + last % 100000;
}

/* How many characters v has, if the text ends in it; 0: it does not. */
static size_t decimal_at_end(str text, int64_t v)
{
    char digits[DECIMAL_MAX_BYTES];
    str want = {digits, 0};

    if (v >= TIME_FIRST && v < 10 * TIME_FIRST)
        return is_recent_at_end(text.p, text.n, v) ? TIME_DIGITS : 0;
    want.n = (size_t)(decimal_put_i64(digits, v) - digits);
    return str_ends(text, want) ? want.n : 0;
}

/* Takes `end` off the end of the text. */
static bool drop_end(str *text, str end)
{
    if (!str_ends(*text, end))
        return false;
    text->n -= end.n;
    return true;
}

/* Finds the id and the time at the end of the text: ...[{,]"id":"x","last_modified":N} */
static bool locate(struct object *ob, uint64_t id_n)
{
    str rest = ob->o.data;
    size_t time_n;

    if (!drop_end(&rest, ob->o.deleted ? STR(DELETED_END) : STR(LIVE_END)))
        return false;
    time_n = decimal_at_end(rest, ob->o.last_modified);
    rest.n -= time_n;
    ob->time = (struct json_raw){JSON_NUMBER, {rest.p + rest.n, time_n}};
    if (time_n == 0 || !drop_end(&rest, STR("\"" TIME_HEAD)) || id_n > rest.n)
        return false;
    rest.n -= (size_t)id_n;
    ob->o.id = (str){rest.p + rest.n, (size_t)id_n};
    ob->id = (struct json_raw){JSON_STRING, {ob->o.id.p - 1, (size_t)id_n + 2}};
    return drop_end(&rest, STR(ID_HEAD "\"")) && rest.n > 0 && rest.p[0] == '{';
}

enum err store_value_decode(str value, struct object *out)
{
    struct reader r = store_reader(value);
    struct object ob = {.value = value};
    str flags = store_dec_bytes(&r, 1);
    uint64_t id_n;

    ob.o.last_modified = store_dec_signed(&r);
    ob.o.acl = store_dec_bytes(&r, store_dec_varint(&r));
    id_n = store_dec_varint(&r);
    ob.o.data = store_dec_rest(&r);
    if (r.bad || (flags.p[0] & ~(FLAG_TOMBSTONE | FLAG_TIED)) != LAYOUT)
        return ERR_CORRUPT;
    ob.o.deleted = (flags.p[0] & FLAG_TOMBSTONE) != 0;
    ob.tied = (flags.p[0] & FLAG_TIED) != 0;
    if (!locate(&ob, id_n))
        return ERR_CORRUPT;
    *out = ob;
    return OK;
}

static void write_fields(struct buf *b, const struct json *data)
{
    struct json *value;
    str name;

    for (size_t i = 0; json_member(data, i, &name, &value); i++) {
        if (str_eq(name, STR("id")) || str_eq(name, STR("last_modified")))
            continue;
        json_write_string(b, name);
        buf_add_char(b, ':');
        json_write(b, value);
        buf_add_char(b, ',');
    }
}

enum err store_value_encode(struct buf *b, const struct value_parts *parts)
{
    bool deleted = parts->data == NULL && str_none(parts->text);
    struct key head = {.n = 0};
    struct tail t;

    store_key_add_u8(&head,
                     LAYOUT | (deleted ? FLAG_TOMBSTONE : 0u) | (parts->tied ? FLAG_TIED : 0u));
    store_key_add_signed(&head, parts->last_modified);
    store_key_add_varint(&head, parts->acl.n);
    buf_add_str(b, key_str(&head));
    buf_add_str(b, parts->acl);
    head.n = 0;
    store_key_add_varint(&head, parts->id.n);
    buf_add_str(b, key_str(&head));
    if (!str_none(parts->text)) {
        buf_add_str(b, parts->text);
        return b->err;
    }
    buf_add_char(b, '{');
    if (parts->data != NULL)
        write_fields(b, parts->data);
    tail_make(&t, parts->last_modified, deleted);
    buf_add_lit(b, ID_HEAD "\"");
    buf_add_str(b, parts->id);
    buf_add_char(b, '"');
    buf_add(b, t.text, t.n);
    return b->err;
}

void store_value_set_tied(char *value)
{
    value[0] = (char)(value[0] | FLAG_TIED);
}

void store_key_add_time(struct key *k, const struct object *o)
{
    store_key_add_ms(k, o->o.last_modified);
    if (o->tied)
        store_key_add_id(k, o->o.id);
}
