/*
 * base/err.h - the error codes of everything below api/, and the detail that goes with one.
 *
 * A function that can fail returns `enum err`, is MUST_CHECK, and leaves its out-parameters
 * untouched on failure. What a reader of a log or a terminal needs beyond the code (file, offset,
 * line, key, errno) is written into the caller's `struct err_detail` by the function that knows it;
 * it is turned into text once, at the top. Only api/error.c knows HTTP statuses.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/base.h"

/* X(name, text). The order is fixed: new codes go to the end. */
#define ERR_TABLE(X)                                                                               \
    X(OK, "success")                                                                               \
    X(NOMEM, "out of memory")                                                                      \
    X(LIMIT, "over a limit")                                                                       \
    X(IO, "input/output error")                                                                    \
    X(NOSPACE, "no space left")                                                                    \
    X(CORRUPT, "damaged data")                                                                     \
    X(NOTFOUND, "not found")                                                                       \
    X(EXISTS, "exists already")                                                                    \
    X(CONFLICT, "conflict")                                                                        \
    X(SYNTAX, "syntax error")                                                                      \
    X(RANGE, "out of range")                                                                       \
    X(AGAIN, "try again later")                                                                    \
    X(CLOSED, "closed")                                                                            \
    X(FAILED, "refused after an earlier failure")                                                  \
    X(BUSY, "in use by another process")                                                           \
    X(UNSUPPORTED, "not supported")                                                                \
    X(TIMEOUT, "took too long")                                                                    \
    X(UNTRUSTED, "not to be trusted")                                                              \
    X(REFUSED, "refused by the other side")                                                        \
    X(NOFILES, "out of file descriptors")

enum err {
#define X(name, text) ERR_##name,
    ERR_TABLE(X)
#undef X
};

#define OK ERR_OK

/* A detail is plain memory of its owner; nothing in it needs to be released. */
struct err_detail {
    char text[512]; /* one line, without a final full stop or newline; "" when there is none */
    int sys_errno;  /* the errno behind it, or 0 */
};

/* The table's text for a code, e.g. "out of memory". Static storage. */
const char *err_text(enum err e);

/*
 * Writes the detail (cut to fit) and returns `e`, so that a failure is one statement:
 *     return err_set(detail, ERR_CORRUPT, 0, "%s: bad checksum at offset %" PRIu64, name, off);
 * `d` may be NULL. With sys_errno != 0 ": <strerror>" is added.
 */
enum err err_set(struct err_detail *d, enum err e, int sys_errno, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* ENOMEM, ENOSPC/EDQUOT, EMFILE/ENFILE, EEXIST, ENOENT, EAGAIN ... -> our code; anything else is ERR_IO. 0
 * is OK. */
enum err err_from_errno(int sys_errno);

#ifdef __clang_analyzer__ /* which looks at one file at a time, and should know what comes back */
#define err_set(d, e, ...)                                                                         \
    ({                                                                                             \
        enum err set_ = (e);                                                                       \
        (void)(err_set)((d), set_, __VA_ARGS__);                                                   \
        set_;                                                                                      \
    })
/* errno is not 0 after a failure. */
#define err_from_errno(sys_errno)                                                                  \
    ({                                                                                             \
        enum err from_ = (err_from_errno)(sys_errno);                                              \
        CHECK(from_ != OK);                                                                        \
        from_;                                                                                     \
    })
#endif

#endif
