/*
 * plugins/prometheus_text.c - the metrics in the text format, as the library of the reference writes them.
 *
 * A series holds its labels as they are written, so this is copying names and adding up cells. In the
 * format a bucket counts all that is below its bound; a cell counts its own bucket only, so that counting
 * touches one, and the sums are made here.
 */
#include "plugins/prometheus.h"

#include <inttypes.h>

const struct prometheus_metric prometheus_metrics[METRIC_COUNT] = {
#define X(constant, name, form) {name, form},
    METRICS(X)
#undef X
};

static void write_head(struct buf *b, const struct prometheus *p, enum metric m, const char *suffix,
                       const char *type)
{
    static const char *const forms[] = {"Counter", "Histogram", "Summary"};
    buf_printf(b,
               "# HELP " STR_FMT "%s%s %s of " STR_FMT "%s\n"
               "# TYPE " STR_FMT "%s%s %s\n",
               STR_ARG(p->prefix), prometheus_metrics[m].name, suffix,
               forms[prometheus_metrics[m].form], STR_ARG(p->prefix), prometheus_metrics[m].name,
               STR_ARG(p->prefix), prometheus_metrics[m].name, suffix, type);
}

/* The name and the labels of a sample; the value is to follow. */
static void write_name(struct buf *b, const struct prometheus *p, enum metric m, const char *suffix,
                       const struct series *s, str bound)
{
    buf_add_str(b, p->prefix);
    buf_add_str(b, str_from(prometheus_metrics[m].name));
    buf_add_str(b, str_from(suffix));
    buf_add_char(b, '{');
    buf_add_str(b, series_key(s));
    if (!str_none(bound)) {
        buf_add_lit(b, ",le=\"");
        buf_add_str(b, bound);
        buf_add_char(b, '"');
    }
    buf_add_lit(b, "} ");
}

static void write_count(struct buf *b, uint64_t n)
{
    buf_add_u64(b, n);
    buf_add_lit(b, ".0\n");
}

static void write_counter(struct buf *b, const struct prometheus *p, enum metric m,
                          const struct series *s)
{
    write_name(b, p, m, "_total", s, STR_NONE);
    write_count(b, series_sum(p->tables[m], s, CELL_COUNT));
}

static void write_summary(struct buf *b, const struct prometheus *p, enum metric m,
                          const struct series *s)
{
    write_name(b, p, m, "_count", s, STR_NONE);
    write_count(b, series_sum(p->tables[m], s, CELL_COUNT));
    write_name(b, p, m, "_sum", s, STR_NONE);
    write_count(b, series_sum(p->tables[m], s, CELL_SUM));
}

static void write_histogram(struct buf *b, const struct prometheus *p, enum metric m,
                            const struct series *s)
{
    uint64_t count = 0;
    for (size_t i = 0; i <= p->nbounds; i++) {
        count += series_sum(p->tables[m], s, i);
        write_name(b, p, m, "_bucket", s, p->bounds[i]);
        write_count(b, count);
    }
    write_name(b, p, m, "_count", s, STR_NONE);
    write_count(b, count);
    uint64_t ns = series_sum(p->tables[m], s, p->nbounds + 1);
    write_name(b, p, m, "_sum", s, STR_NONE);
    buf_printf(b, "%" PRIu64 ".%09" PRIu64 "\n", ns / 1000000000, ns % 1000000000);
}

static void write_created(struct buf *b, const struct prometheus *p, enum metric m)
{
    write_head(b, p, m, "_created", "gauge");
    for (const struct series *s = NULL; (s = series_next(p->tables[m], s)) != NULL;) {
        int64_t ms = series_made_ms(s);
        write_name(b, p, m, "_created", s, STR_NONE);
        buf_printf(b, "%" PRId64 ".%03" PRId64 "\n", ms / 1000, ms % 1000);
    }
}

void prometheus_write_metric(struct buf *b, const struct prometheus *p, enum metric m)
{
    static const struct {
        const char *suffix, *type;
        void (*write)(struct buf *b, const struct prometheus *p, enum metric m,
                      const struct series *s);
    } forms[] = {[COUNTER] = {"_total", "counter", write_counter},
                 [HISTOGRAM] = {"", "histogram", write_histogram},
                 [SUMMARY] = {"", "summary", write_summary}};
    enum form form = prometheus_metrics[m].form;
    if (p->tables[m] == NULL || series_next(p->tables[m], NULL) == NULL)
        return;
    write_head(b, p, m, forms[form].suffix, forms[form].type);
    for (const struct series *s = NULL; (s = series_next(p->tables[m], s)) != NULL;)
        forms[form].write(b, p, m, s);
    if (p->created)
        write_created(b, p, m);
}
