/*
 * base/log.c - one event, one line, one write(2).
 *
 * The line is put together on the stack: logging must work when memory is what has run out, and two
 * threads' lines must not mix. A line longer than LINE_MAX_BYTES is cut and ends with "...".
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096

static atomic_int lowest_level = LOG_INFO;
static void (*sink_fn)(const char *line, void *arg);
static void *sink_arg;

void log_set_level(enum log_level lowest)
{
    atomic_store(&lowest_level, (int)lowest);
}

bool log_enabled(enum log_level level)
{
    return level < LOG_NONE &&
           (int)level >= atomic_load_explicit(&lowest_level, memory_order_relaxed);
}

void log_test_sink(void (*fn)(const char *line, void *arg), void *arg)
{
    sink_fn = fn;
    sink_arg = arg;
}

/* "2026-01-02T03:04:05.678Z WARN event" */
static size_t put_head(char *out, size_t size, enum log_level level, const char *event)
{
    static const char *const names[] = {"DEBUG", "INFO", "WARN", "ERROR"};
    struct timespec now = {0};
    struct tm tm = {0};
    int n;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    n = snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ %s %s", tm.tm_year + 1900,
                 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                 (int)(now.tv_nsec / 1000000), names[level], event);
    return n < 0 ? 0 : MIN_OF((size_t)n, size - 1);
}

/* Copies `in` with its control characters written out. False when it did not fit. */
static bool put_clean(char *out, size_t size, size_t *n, const char *in)
{
    for (; *in != '\0'; in++) {
        uint8_t c = (uint8_t)*in;
        bool plain = c >= 0x20 && c != 0x7f;

        if (size - *n <= (plain ? 1u : 4u))
            return false;
        if (plain)
            out[(*n)++] = *in;
        else
            *n += (size_t)snprintf(out + *n, size - *n, "\\x%02x", c);
    }
    return true;
}

static void put_line(const char *line, size_t n)
{
    ssize_t r;

    /* A log that cannot be written has nowhere to say so. */
    do
        r = write(STDERR_FILENO, line, n);
    while (r < 0 && errno == EINTR);
}

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
    char text[LINE_MAX_BYTES], line[LINE_MAX_BYTES];
    size_t room = sizeof line - 5; /* "..." and the newline go behind what fits */
    size_t n;
    va_list ap;
    int want;

    if (!log_enabled(level))
        return;
    va_start(ap, fmt);
    want = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (want < 0)
        text[0] = '\0';

    n = put_head(line, room, level, event);
    if (text[0] != '\0')
        line[n++] = ' ';
    if (!put_clean(line, room, &n, text) || want >= (int)sizeof text) {
        memcpy(line + n, "...", 3);
        n += 3;
    }
    if (sink_fn != NULL) {
        line[n] = '\0';
        sink_fn(line, sink_arg);
        return;
    }
    line[n++] = '\n';
    put_line(line, n);
}
