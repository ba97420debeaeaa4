/*
 * http/chunked.c - bodies in chunks (RFC 9112, 7.1), decoded where they lie.
 *
 * A state machine that eats every byte given to it, so that the caller keeps nothing but the data.
 * Data never moves to the right: at any time the bytes written are at most the bytes read.
 *
 *     SIZE_FIRST -> SIZE -> [BLANK] [EXTENSION] -> SIZE_LF -> DATA -> DATA_CR -> DATA_LF ->
 *     SIZE_FIRST
 *     (size 0:)  SIZE_LF -> LINE_START -> TRAILER_NAME -> TRAILER -> TRAILER_LF -> LINE_START
 *     LINE_START -> LAST_LF -> DONE
 *
 * As strict as the head: CR LF only, no white space but before an extension's semicolon, sizes that
 * fit 63 bits. Extensions and trailers mean nothing here; they are bounded, looked at for control
 * characters, and dropped (a trailer must not be taken for a header: RFC 9110, 6.5.1).
 */
#include "http/private.h"

#define MAX_SIZE_DIGITS     32 /* leading zeros included */
#define MAX_EXTENSION_BYTES (4 * KIB)
#define MAX_TRAILER_BYTES   (4 * KIB)

enum {
    SIZE_FIRST, /* 0: where a zeroed decoder begins */
    SIZE,
    BLANK,
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    LINE_START,
    TRAILER_NAME,
    TRAILER,
    TRAILER_LF,
    LAST_LF,
    DONE,
    BAD
};

static bool is_text(char c) /* no control characters but tabs */
{
    return ((unsigned char)c >= 0x20 && c != 0x7f) || c == '\t';
}

static int on_size(struct chunked *d, char c)
{
    int v = str_hex_digit(c);

    if (v >= 0) {
        if (d->state == SIZE_FIRST)
            d->left = d->size_digits = 0;
        if (++d->size_digits > MAX_SIZE_DIGITS || d->left > (uint64_t)INT64_MAX >> 4)
            return BAD;
        d->left = d->left << 4 | (unsigned)v;
        return SIZE;
    }
    if (d->state == SIZE_FIRST)
        return BAD;
    if (c == '\r')
        return SIZE_LF;
    if (c == ';')
        return EXTENSION;
    return c == ' ' || c == '\t' ? BLANK : BAD;
}

/* Behind a size: blanks (only before a semicolon), then an extension to the end of the line. */
static int on_extension(struct chunked *d, char c)
{
    if (++d->extension_bytes > MAX_EXTENSION_BYTES)
        return BAD;
    if (d->state == BLANK) {
        if (c == ';')
            return EXTENSION;
        return c == ' ' || c == '\t' ? BLANK : BAD;
    }
    if (c == '\r')
        return SIZE_LF;
    return is_text(c) ? EXTENSION : BAD;
}

static int on_trailer(struct chunked *d, char c)
{
    if (++d->trailer_bytes > MAX_TRAILER_BYTES)
        return BAD;
    if (d->state == LINE_START && c == '\r')
        return LAST_LF;
    if (d->state == TRAILER_NAME && c == ':')
        return TRAILER;
    if (d->state != TRAILER)
        return http_is_token_char(c) ? TRAILER_NAME : BAD;
    if (c == '\r')
        return TRAILER_LF;
    return is_text(c) ? TRAILER : BAD;
}

/* Any byte outside the data. */
static int on_byte(struct chunked *d, char c)
{
    switch (d->state) {
    case SIZE_FIRST:
    case SIZE:
        return on_size(d, c);
    case BLANK:
    case EXTENSION:
        return on_extension(d, c);
    case SIZE_LF:
        if (c != '\n')
            return BAD;
        return d->left > 0 ? DATA : LINE_START;
    case DATA_CR:
        return c == '\r' ? DATA_LF : BAD;
    case DATA_LF:
        return c == '\n' ? SIZE_FIRST : BAD;
    case LINE_START:
    case TRAILER_NAME:
    case TRAILER:
        return on_trailer(d, c);
    case TRAILER_LF:
        return c == '\n' ? LINE_START : BAD;
    case LAST_LF:
        return c == '\n' ? DONE : BAD;
    default:
        return BAD;
    }
}

uint64_t chunked_left(const struct chunked *d)
{
    return d->state == DATA ? d->left : 0;
}

enum chunked_status chunked_decode(struct chunked *d, char *p, size_t n, size_t *data_n,
                                   size_t *used)
{
    size_t in = 0, out = 0;

    while (in < n && d->state != DONE && d->state != BAD) {
        if (d->state == DATA) {
            size_t take = (size_t)MIN_OF((uint64_t)(n - in), d->left);
            memmove(p + out, p + in, take);
            in += take;
            out += take;
            d->left -= take;
            d->state = d->left > 0 ? DATA : DATA_CR;
        } else {
            d->state = on_byte(d, p[in++]);
        }
    }
    *data_n = out;
    *used = in;
    if (d->state == BAD)
        return CHUNKED_BAD;
    return d->state == DONE ? CHUNKED_DONE : CHUNKED_MORE;
}
