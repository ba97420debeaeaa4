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
#include "store/private.h"

#define LAYOUT         0x10
#define FLAG_TOMBSTONE 0x01
#define FLAG_TIED      0x02

/* What stands behind the id: `,"last_modified":N}`, or with `,"deleted":true}`. */
struct tail {
    char text[64];
    size_t n, time_at, time_n;
};
#define TIME_HEAD   ",\"last_modified\":"
#define LIVE_END    "}"
#define DELETED_END ",\"deleted\":true}"

static size_t put_decimal(char *out, int64_t v)
{
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char digits[20];
    size_t i = sizeof digits, n = 0;

    do {
        digits[--i] = (char)('0' + u % 10);
        u /= 10;
    } while (u != 0);
    if (v < 0)
        out[n++] = '-';
    memcpy(out + n, digits + i, sizeof digits - i);
    return n + sizeof digits - i;
}

static void tail_make(struct tail *t, int64_t last_modified, bool deleted)
{
    str end = deleted ? STR(DELETED_END) : STR(LIVE_END);

    t->time_at = sizeof(TIME_HEAD) - 1;
    memcpy(t->text, TIME_HEAD, t->time_at);
    t->time_n = put_decimal(t->text + t->time_at, last_modified);
    t->n = t->time_at + t->time_n;
    memcpy(t->text + t->n, end.p, end.n);
    t->n += end.n;
}

#define ID_HEAD "\"id\":"

/* Finds the id and the time at the end of the text: ...[{,]"id":"x"<tail> */
static bool locate(struct object *ob, uint64_t id_n)
{
    str text = ob->o.data;
    struct tail t;
    size_t rest, at;

    tail_make(&t, ob->o.last_modified, ob->o.deleted);
    if (text.n < t.n || id_n > text.n - t.n)
        return false;
    rest = text.n - t.n - (size_t)id_n;
    if (rest < sizeof(ID_HEAD) + 2 || memcmp(text.p + text.n - t.n, t.text, t.n) != 0)
        return false;
    at = rest - 1; /* of the id, behind its quote */
    if (text.p[0] != '{' || text.p[at - 1] != '"' || text.p[at + id_n] != '"' ||
        memcmp(text.p + at - sizeof(ID_HEAD), ID_HEAD, sizeof(ID_HEAD) - 1) != 0)
        return false;
    ob->o.id = (str){text.p + at, (size_t)id_n};
    ob->id = (struct json_raw){JSON_STRING, {text.p + at - 1, (size_t)id_n + 2}};
    ob->time = (struct json_raw){JSON_NUMBER, {text.p + text.n - t.n + t.time_at, t.time_n}};
    return true;
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
