/*
 * base/err.c - texts of the error codes, and the one way to fill in a detail.
 */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>

#undef err_set /* the forms for the analyser */
#undef err_from_errno

const char *err_text(enum err e)
{
    static const char *const texts[] = {
#define X(name, text) [ERR_##name] = text,
        ERR_TABLE(X)
#undef X
    };
    CHECK((size_t)e < ARRAY_LEN(texts));
    return texts[e];
}

/* Appends to a text that may be full already; vsnprintf has told how long it wanted to be. */
static void append_errno(struct err_detail *d, size_t n)
{
    char scratch[128];
    const char *text = strerror_r(d->sys_errno, scratch, sizeof scratch);

    if (n < sizeof d->text)
        snprintf(d->text + n, sizeof d->text - n, n > 0 ? ": %s" : "%s", text);
}

enum err err_set(struct err_detail *d, enum err e, int sys_errno, const char *fmt, ...)
{
    va_list ap;
    int n;

    if (d == NULL)
        return e;
    va_start(ap, fmt);
    n = vsnprintf(d->text, sizeof d->text, fmt, ap);
    va_end(ap);
    if (n < 0) {
        n = 0;
        d->text[0] = '\0';
    }
    d->sys_errno = sys_errno;
    if (sys_errno != 0)
        append_errno(d, (size_t)n);
    return e;
}

enum err err_from_errno(int sys_errno)
{
    switch (sys_errno) {
    case 0:
        return OK;
    case ENOMEM:
        return ERR_NOMEM;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: /* a process has its own limit (RLIMIT_FSIZE) */
        return ERR_NOSPACE;
    case EMFILE:
    case ENFILE:
        return ERR_NOFILES;
    case EEXIST:
        return ERR_EXISTS;
    case ENOENT:
        return ERR_NOTFOUND;
    case EAGAIN:
    case EINTR:
        return ERR_AGAIN;
    case EBUSY:
    case ETXTBSY:
        return ERR_BUSY;
    case EPIPE:
    case ECONNRESET:
        return ERR_CLOSED;
    case ENOSYS:
    case EOPNOTSUPP:
        return ERR_UNSUPPORTED;
    case ERANGE:
    case EOVERFLOW:
        return ERR_RANGE;
    default:
        return ERR_IO;
    }
}
