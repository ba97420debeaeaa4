/*
 * http/gzip.h - bodies in the content coding gzip (RFC 1952; RFC 9110, 8.4.1.3).
 *
 * Made for what is sent once: the fastest level of deflate, which takes some 3 to 10 microseconds a KiB and leaves
 * a third of a list of JSON records. (The usual level, 6, takes four times as long for a quarter less.) Nothing is
 * ever unpacked. The same bytes become the same bytes.
 *
 * Memory: while it works some 112 KiB (for HTTP_GZIP_SMALL bytes and less) or 400 KiB, beside the arena and out of
 * the same purse; the result lies in the arena, in little more room than it needs.
 */
#ifndef HTTP_GZIP_H
#define HTTP_GZIP_H

#include "base/arena.h"

#define HTTP_GZIP_SMALL (32 * KIB)

/* Asked now and then, at least once each millisecond or two: true ends the work. */
struct http_gzip_patience {
    bool (*is_over)(void *ctx);
    void *ctx;
};

/*
 * `in` as gzip, in the arena, which must not have failed. `most` is the room that the result may take. Any thread
 * that has the arena. LIMIT: it would take more; NOMEM: there is no memory or budget for that; AGAIN: patience
 * is over. After each of these the arena is as it was before, and has not failed: who sends `in` as it is lacks
 * nothing.
 */
MUST_CHECK enum err http_gzip(struct arena *a, str in, size_t most,
                              struct http_gzip_patience patience, str *out);

#endif
