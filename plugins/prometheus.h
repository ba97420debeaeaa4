/*
 * plugins/prometheus.h - what the files of kinto.plugins.prometheus share.
 *
 *     prometheus.c            the plugin: counts what it is told, and answers GET /__metrics__
 *     prometheus_settings.c   names, labels and buckets, as the settings want them
 *     prometheus_text.c       the metrics in the text format
 *     prometheus_process.c    the process's own figures, out of /proc
 */
#ifndef PLUGINS_PROMETHEUS_H
#define PLUGINS_PROMETHEUS_H

#include "base/buf.h"
#include "base/settings.h"
#include "plugins/series.h"
#include "store/store.h"

#define MAX_BOUNDS 64

enum form { COUNTER, HISTOGRAM, SUMMARY };

/* The metrics, in the order in which they are written: X(constant, name, form). */
#define METRICS(X)                                                                                 \
    X(CACHE, "backend_cache_seconds", HISTOGRAM)                                                   \
    X(STORAGE, "backend_storage_seconds", HISTOGRAM)                                               \
    X(PERMISSION, "backend_permission_seconds", HISTOGRAM)                                         \
    X(REQUESTS, "request_summary", COUNTER)                                                        \
    X(DURATION, "request_duration_seconds", HISTOGRAM)                                             \
    X(SIZE, "request_size", SUMMARY)                                                               \
    X(USERS, "users", COUNTER)                                                                     \
    X(AUTHENTICATION, "authentication", COUNTER)

enum metric {
#define X(constant, name, form) METRIC_##constant,
    METRICS(X)
#undef X
        METRIC_COUNT
};

struct prometheus_metric {
    const char *name;
    enum form form;
};
extern const struct prometheus_metric prometheus_metrics[METRIC_COUNT];

/* The cells of a counter: the count. Of a summary: the count, the sum. Of a histogram: the count of
 * each bucket (without those below), the last one without a bound; the sum in nanoseconds. */
enum { CELL_COUNT, CELL_SUM };

struct prometheus {
    struct arena arena;
    str prefix; /* "kinto_" */
    bool created;
    size_t max_series;
    const str *labels; /* of requests: in the order of the alphabet */
    size_t nlabels;
    uint64_t bounds_ns[MAX_BOUNDS];
    str bounds[MAX_BOUNDS + 1];                /* as they are written; the last one is "+Inf" */
    size_t nbounds;                            /* without the last */
    struct series_table *tables[METRIC_COUNT]; /* NULL: switched off */
    struct {
        enum metric metric;
        struct series *series; /* NULL: switched off */
    } store[STORE_TIMED_COUNT];
};

/* ---- prometheus_settings.c ---- */

/* What the settings say, into *p, whose arena is there. UNSUPPORTED, with file and line; NOMEM. */
MUST_CHECK enum err prometheus_settings_load(struct prometheus *p, const struct settings *s,
                                             struct err_detail *d);
/* Is the metric of that name among kinto.prometheus_disabled_metrics, with or without the prefix? */
bool prometheus_is_disabled(const struct prometheus *p, const struct settings *s, str name);

/* ---- prometheus_text.c, prometheus_process.c: what does not fit marks the buffer as failed ---- */

/* All of its series; nothing of one that is switched off, or that nothing was counted of. */
void prometheus_write_metric(struct buf *b, const struct prometheus *p, enum metric m);
/* What cannot be found out is left out. */
void prometheus_write_process(struct buf *b);

#endif
