/*
 * plugins/prometheus.c - GET /__metrics__: what the server has done, for Prometheus to collect.
 *
 * The text format, with the names, types and labels that the reference gives (by the library
 * prometheus_client). Each metric is a table of series (plugins/series.h) whose keys are the labels as
 * they are written, so that counting is one look-up and writing is copying. Who asks needs no
 * credentials (as in the reference).
 *
 * Bounds: endpoints, methods, statuses and policies are few. Ids and users are chosen by strangers: of
 * each metric they make no more than kinto.prometheus_max_series series. From then on those that are
 * new count as OTHER, which no id can be.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/native.h"
#include "base/os.h"
#include "plugins/metrics.h"
#include "plugins/private.h"
#include "plugins/series.h"

#define CONTENT_TYPE     "text/plain; version=1.0.0; charset=utf-8"
#define MAX_ANSWER_BYTES (64 * MIB)
#define MAX_BOUNDS       64
#define MAX_KEY_BYTES    512 /* of a series; those with longer labels count as OTHER */
#define OTHER            STR("_other")
#define MAX_KNOWN_SERIES ((size_t)4096) /* of each metric: those that no stranger chooses */

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

static const struct {
    const char *name;
    enum form form;
} metrics[METRIC_COUNT] = {
#define X(constant, name, form) {name, form},
    METRICS(X)
#undef X
};

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

/* ---- keys ------------------------------------------------------------------------------------ */

struct key { /* labels as they are written */
    char p[MAX_KEY_BYTES];
    size_t n;
    bool over; /* not all of it found room */
};

static void key_init(struct key *k)
{
    k->n = 0;
    k->over = false;
}

static void key_add(struct key *k, str s)
{
    if (s.n > sizeof k->p - k->n) {
        k->over = true;
    } else if (s.n) {
        memcpy(k->p + k->n, s.p, s.n);
        k->n += s.n;
    }
}

static void key_add_escaped(struct key *k, str value)
{
    size_t done = 0;
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c != '\\' && c != '"' && c != '\n')
            continue;
        key_add(k, str_sub(value, done, i - done));
        key_add(k, c == '\n' ? STR("\\n") : c == '"' ? STR("\\\"") : STR("\\\\"));
        done = i + 1;
    }
    key_add(k, str_drop(value, done));
}

static void key_add_name(struct key *k, str name)
{
    if (k->n)
        key_add(k, STR(","));
    key_add(k, name);
    key_add(k, STR("=\""));
}

/* A value of our own: nothing in it has to be escaped. */
static void key_add_plain(struct key *k, str name, str value)
{
    key_add_name(k, name);
    key_add(k, value);
    key_add(k, STR("\""));
}

static void key_add_label(struct key *k, str name, str value)
{
    key_add_name(k, name);
    key_add_escaped(k, value);
    key_add(k, STR("\""));
}

static str key_str(const struct key *k)
{
    return (str){k->p, k->n};
}

/* The labels of a request. `plain`: what a stranger has chosen is OTHER. True: a stranger has chosen
 * nothing in it. */
static bool request_key(const struct prometheus *p, const struct api_finished *f, bool plain,
                        struct key *k)
{
    bool bounded = true;
    key_init(k);
    for (size_t i = 0; i < p->nlabels; i++) {
        str name = p->labels[i];
        if (str_eq(name, STR("endpoint"))) {
            key_add_plain(k, name, f->endpoint);
        } else if (str_eq(name, STR("method"))) {
            key_add_plain(k, name, metrics_method(f->method));
        } else {
            str value = metrics_field(f, name);
            bounded = bounded && (value.n == 0 || plain);
            key_add_label(k, name, value.n && plain ? OTHER : value);
        }
    }
    return bounded;
}

/* ---- counting -------------------------------------------------------------------------------- */

static void add(struct prometheus *p, enum metric m, struct series *s, size_t cell, uint64_t n)
{
    series_add(p->tables[m], s, cell, n);
}

static void add_duration(struct prometheus *p, enum metric m, struct series *s, uint64_t ns)
{
    size_t bucket = 0;
    while (bucket < p->nbounds && ns > p->bounds_ns[bucket])
        bucket++;
    add(p, m, s, bucket, 1);
    add(p, m, s, p->nbounds + 1, ns);
}

static void key_add_status(struct key *k, int status)
{
    char digits[3] = {(char)('0' + status / 100 % 10), (char)('0' + status / 10 % 10),
                      (char)('0' + status % 10)};
    key_add_plain(k, STR("status"), (str){digits, sizeof digits});
}

/* The series of the key, or else that of the same request with OTHER in it. NULL: the metric is
 * switched off, or there is no memory for one more series. */
static struct series *of_request(const struct prometheus *p, enum metric m, const struct key *k,
                                 bool bounded, const struct api_finished *f)
{
    struct series_table *t = p->tables[m];
    struct key plain;
    if (t == NULL)
        return NULL;
    struct series *s =
        k->over ? NULL : series_get(t, key_str(k), bounded ? SERIES_KNOWN : SERIES_CHOSEN);
    if (LIKELY(s != NULL) || bounded)
        return s;
    request_key(p, f, true, &plain);
    if (m == METRIC_REQUESTS)
        key_add_status(&plain, f->status);
    return plain.over ? NULL : series_get(t, key_str(&plain), SERIES_KNOWN);
}

static void count_request(struct prometheus *p, const struct api_finished *f)
{
    struct key k;
    bool bounded = request_key(p, f, false, &k);
    struct series *s = of_request(p, METRIC_DURATION, &k, bounded, f);
    if (s)
        add_duration(p, METRIC_DURATION, s, f->ns);
    s = of_request(p, METRIC_SIZE, &k, bounded, f);
    if (s) {
        add(p, METRIC_SIZE, s, CELL_COUNT, 1);
        add(p, METRIC_SIZE, s, CELL_SUM, f->answer_bytes);
    }
    key_add_status(&k, f->status);
    s = of_request(p, METRIC_REQUESTS, &k, bounded, f);
    if (s)
        add(p, METRIC_REQUESTS, s, CELL_COUNT, 1);
}

static struct series *of_user(struct prometheus *p, str policy, str user, enum series_kind kind)
{
    struct key k;
    key_init(&k);
    key_add_label(&k, STR("auth"), policy);
    size_t at = k.n;
    key_add_label(&k, STR("userid"), user);
    for (; at < k.n; at++) /* as in the reference */
        if (k.p[at] == ':')
            k.p[at] = '.';
    return k.over ? NULL : series_get(p->tables[METRIC_USERS], key_str(&k), kind);
}

static void count_user(struct prometheus *p, const struct api_finished *f)
{
    if (p->tables[METRIC_USERS]) {
        struct series *s = of_user(p, f->policy, f->user, SERIES_CHOSEN);
        if (s == NULL)
            s = of_user(p, f->policy, OTHER, SERIES_KNOWN);
        if (s)
            add(p, METRIC_USERS, s, CELL_COUNT, 1);
    }
    if (p->tables[METRIC_AUTHENTICATION]) {
        struct key k;
        key_init(&k);
        key_add_label(&k, STR("type"), f->policy);
        struct series *s =
            k.over ? NULL : series_get(p->tables[METRIC_AUTHENTICATION], key_str(&k), SERIES_KNOWN);
        if (s)
            add(p, METRIC_AUTHENTICATION, s, CELL_COUNT, 1);
    }
}

static void finished(void *ctx, const struct api_finished *f)
{
    count_request(ctx, f);
    if (!str_none(f->user))
        count_user(ctx, f);
}

static void store_timed(void *ctx, enum store_timed what, uint64_t ns)
{
    struct prometheus *p = ctx;
    if (p->store[what].series)
        add_duration(p, p->store[what].metric, p->store[what].series, ns);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void write_head(struct buf *b, const struct prometheus *p, enum metric m, const char *suffix,
                       const char *type)
{
    static const char *const forms[] = {"Counter", "Histogram", "Summary"};
    buf_printf(b,
               "# HELP " STR_FMT "%s%s %s of " STR_FMT "%s\n"
               "# TYPE " STR_FMT "%s%s %s\n",
               STR_ARG(p->prefix), metrics[m].name, suffix, forms[metrics[m].form],
               STR_ARG(p->prefix), metrics[m].name, STR_ARG(p->prefix), metrics[m].name, suffix,
               type);
}

/* The name and the labels of a sample; the value is to follow. */
static void write_name(struct buf *b, const struct prometheus *p, enum metric m, const char *suffix,
                       const struct series *s, str bound)
{
    buf_add_str(b, p->prefix);
    buf_add_str(b, str_from(metrics[m].name));
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

static void write_metric(struct buf *b, const struct prometheus *p, enum metric m)
{
    static const struct {
        const char *suffix, *type;
        void (*write)(struct buf *b, const struct prometheus *p, enum metric m,
                      const struct series *s);
    } forms[] = {[COUNTER] = {"_total", "counter", write_counter},
                 [HISTOGRAM] = {"", "histogram", write_histogram},
                 [SUMMARY] = {"", "summary", write_summary}};
    enum form form = metrics[m].form;
    if (p->tables[m] == NULL || series_next(p->tables[m], NULL) == NULL)
        return;
    write_head(b, p, m, forms[form].suffix, forms[form].type);
    for (const struct series *s = NULL; (s = series_next(p->tables[m], s)) != NULL;)
        forms[form].write(b, p, m, s);
    if (p->created)
        write_created(b, p, m);
}

/* ---- the process ----------------------------------------------------------------------------- */

static void write_gauge(struct buf *b, const char *name, const char *type, const char *help,
                        double value)
{
    if (!isfinite(value)) /* not known */
        return;
    buf_printf(b, "# HELP process_%s %s\n# TYPE process_%s %s\nprocess_%s %.15g\n", name, help,
               name, type, name, value);
}

/* The i-th field (from 1) of /proc/self/stat (proc(5)); from 3 on, as the second may hold anything. */
static bool stat_field(str text, unsigned i, uint64_t *out)
{
    size_t at = STR_NPOS;
    for (size_t k = 0; k < text.n; k++)
        if (text.p[k] == ')')
            at = k;
    str rest = at == STR_NPOS ? STR_NONE : str_drop(text, at + 2), word = STR_NONE;
    for (unsigned k = 3; k <= i && !str_none(rest); k++)
        word = str_cut(&rest, ' ');
    return str_to_u64(word, out) == OK;
}

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    return clock_gettime(clock, &t) == 0 ? (double)t.tv_sec + (double)t.tv_nsec / 1e9 : NAN;
}

static void write_memory_and_start(struct buf *b)
{
    char *text;
    size_t n;
    uint64_t v;
    if (os_read_file("/proc/self/stat", 4 * KIB, &text, &n, NULL) != OK)
        return;
    str stat = {text, n};
    if (stat_field(stat, 23, &v))
        write_gauge(b, "virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", (double)v);
    if (stat_field(stat, 24, &v))
        write_gauge(b, "resident_memory_bytes", "gauge", "Resident memory size in bytes.",
                    (double)v * (double)sysconf(_SC_PAGESIZE));
    if (stat_field(stat, 22, &v))
        write_gauge(b, "start_time_seconds", "gauge",
                    "Start time of the process since unix epoch in seconds.",
                    seconds_of(CLOCK_REALTIME) - seconds_of(CLOCK_BOOTTIME) +
                        (double)v / (double)sysconf(_SC_CLK_TCK));
    free(text);
}

static void count_entry(void *arg, const char *name)
{
    size_t *n = arg;
    *n += name[0] != '.';
}

static void write_files(struct buf *b)
{
    size_t open = 0;
    struct rlimit most;
    if (os()->list_dir("/proc/self/fd", count_entry, &open) == 0)
        write_gauge(b, "open_fds", "gauge", "Number of open file descriptors.", (double)open);
    if (getrlimit(RLIMIT_NOFILE, &most) == 0)
        write_gauge(b, "max_fds", "gauge", "Maximum number of open file descriptors.",
                    most.rlim_cur == RLIM_INFINITY ? INFINITY : (double)most.rlim_cur);
}

static void write_process(struct buf *b)
{
    write_memory_and_start(b);
    write_gauge(b, "cpu_seconds_total", "counter",
                "Total user and system CPU time spent in seconds.",
                seconds_of(CLOCK_PROCESS_CPUTIME_ID));
    write_files(b);
}

/* ---- the endpoint ---------------------------------------------------------------------------- */

static enum api_step reply(struct api_req *r)
{
    const struct prometheus *p = api_endpoint_ctx(r);
    struct buf b;
    buf_init_arena(&b, api_arena(r), MAX_ANSWER_BYTES);
    write_process(&b);
    for (enum metric m = 0; m < METRIC_COUNT; m++)
        write_metric(&b, p, m);
    if (buf_failed(&b))
        return api_fail_err(r, b.err);
    return api_reply(r, 200, STR(CONTENT_TYPE), buf_str(&b));
}

/* ---- setting up ------------------------------------------------------------------------------ */

static void prometheus_free(void *ctx)
{
    struct prometheus *p = ctx;
    for (size_t m = 0; m < METRIC_COUNT; m++)
        series_table_free(p->tables[m]);
    arena_fini(&p->arena);
    free(p);
}

static enum err refuse(const struct settings *s, const char *key, str value, const char *why,
                       struct err_detail *d)
{
    return err_set(d, ERR_UNSUPPORTED, 0, STR_FMT ": %s: \"" STR_FMT "\" %s",
                   STR_ARG(settings_origin(s, key)), key, STR_ARG(value), why);
}

static bool is_name(str s, bool inside)
{
    for (size_t i = 0; i < s.n; i++)
        if (!str_is_letter(s.p[i]) && s.p[i] != '_' && !(str_is_digit(s.p[i]) && (i || inside)))
            return false;
    return s.n > 0;
}

/* "My-Project_1" becomes "myproject1_". */
static enum err load_prefix(struct prometheus *p, const struct settings *s, struct err_detail *d)
{
    const char *key = settings_is_set(s, "kinto.prometheus_prefix") ? "kinto.prometheus_prefix"
                                                                    : "kinto.project_name";
    str given = settings_str(s, key);
    char *text = arena_alloc(&p->arena, given.n + 1);
    if (text == NULL)
        return ERR_NOMEM;
    size_t n = 0;
    for (size_t i = 0; i < given.n; i++) {
        char c = given.p[i];
        if (str_find(STR("-. _"), c) == STR_NPOS)
            text[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
    }
    if (given.n)
        text[n++] = '_';
    p->prefix = (str){text, n};
    if (given.n && !is_name(p->prefix, false))
        return refuse(s, key, given, "cannot be the beginning of a metric's name", d);
    return OK;
}

static int compare_labels(const void *x, const void *y)
{
    return str_cmp(*(const str *)x, *(const str *)y);
}

static enum err load_labels(struct prometheus *p, const struct settings *s, struct err_detail *d)
{
    static const str own[] = {STR_INIT("endpoint"), STR_INIT("method"), STR_INIT("status"),
                              STR_INIT("le")};
    const char *key = "kinto.metrics_matchdict_fields";
    size_t n;
    const str *fields = settings_list(s, key, &n);
    str *labels = ARENA_NEW_ARRAY(&p->arena, str, n + 2);
    if (labels == NULL)
        return ERR_NOMEM;
    labels[0] = own[0];
    labels[1] = own[1];
    for (size_t i = 0; i < n; i++) {
        if (!is_name(fields[i], false))
            return refuse(s, key, fields[i], "cannot be the name of a label", d);
        for (size_t k = 0; k < ARRAY_LEN(own) + i; k++)
            if (str_eq(fields[i], k < ARRAY_LEN(own) ? own[k] : fields[k - ARRAY_LEN(own)]))
                return refuse(s, key, fields[i], "is a label already", d);
        labels[i + 2] = fields[i];
    }
    qsort(labels, n + 2, sizeof *labels, compare_labels);
    p->labels = labels;
    p->nlabels = n + 2;
    return OK;
}

/* As prometheus_client does, so that both servers' series are the same: as short as can be without being
 * another number, "0.01", "100.0", "2.5e+06". */
static str write_bound(struct arena *a, double v)
{
    char text[40];
    int digits = 1;
    while (digits < 17) {
        (void)snprintf(text, sizeof text, "%.*e", digits - 1, v);
        if (strtod(text, NULL) == v)
            break;
        digits++;
    }
    if (v >= 1e6)
        return arena_printf(a, "%.*e", digits - 1, v);
    return floor(v) == v ? arena_printf(a, "%.1f", v) : arena_printf(a, "%.*g", digits, v);
}

static bool is_infinity(str s)
{
    str t = str_starts(s, STR("+")) ? str_drop(s, 1) : s;
    return str_eq_nocase(t, STR("inf")) || str_eq_nocase(t, STR("infinity"));
}

#define MAX_BOUND_SECONDS 1e9

static enum err load_bounds(struct prometheus *p, const struct settings *s, struct err_detail *d)
{
    const char *key = "kinto.prometheus_histogram_buckets";
    size_t n;
    const str *words = settings_list(s, key, &n);
    if (n && is_infinity(words[n - 1])) /* is there anyway */
        n--;
    if (n > MAX_BOUNDS)
        return refuse(s, key, words[MAX_BOUNDS], "is one too many: there may be 64", d);
    if (n == 0)
        return err_set(d, ERR_UNSUPPORTED, 0, STR_FMT ": %s: there has to be a number",
                       STR_ARG(settings_origin(s, key)), key);
    for (size_t i = 0; i < n; i++) {
        double v;
        if (native_float(words[i], &v) != OK || v < 0 || v > MAX_BOUND_SECONDS)
            return refuse(s, key, words[i], "is no number of seconds from 0 to 1e9", d);
        p->bounds_ns[i] = (uint64_t)(v * 1e9 + 0.5);
        p->bounds[i] = write_bound(&p->arena, v);
        if (i && p->bounds_ns[i] <= p->bounds_ns[i - 1])
            return refuse(s, key, words[i], "is not above the one before", d);
    }
    p->nbounds = n;
    p->bounds[n] = STR("+Inf");
    return arena_failed(&p->arena) ? ERR_NOMEM : OK;
}

static bool is_disabled(const struct prometheus *p, const struct settings *s, str name)
{
    size_t n;
    const str *names = settings_list(s, "kinto.prometheus_disabled_metrics", &n);
    for (size_t i = 0; i < n; i++) {
        str given = str_starts(names[i], p->prefix) ? str_drop(names[i], p->prefix.n) : names[i];
        if (str_eq(given, name))
            return true;
    }
    return false;
}

static enum err make_tables(struct prometheus *p, const struct settings *s)
{
    const size_t cells[] = {[COUNTER] = 1, [SUMMARY] = 2, [HISTOGRAM] = p->nbounds + 2};
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        if (is_disabled(p, s, str_from(metrics[m].name)))
            continue;
        enum err e = series_table_new(&p->tables[m], MAX_KNOWN_SERIES, p->max_series,
                                      cells[metrics[m].form]);
        if (e != OK)
            return e;
    }
    return OK;
}

/* The store's operations are there from the beginning. */
static enum err make_store_series(struct prometheus *p)
{
    static const struct {
        str backend, operation;
    } timed[] = {
#define X(name, backend, operation) {STR_INIT(backend), STR_INIT(operation)},
        STORE_TIMED_TABLE(X)
#undef X
    };
    for (size_t i = 0; i < ARRAY_LEN(timed); i++) {
        enum metric m = str_eq(timed[i].backend, STR("storage"))      ? METRIC_STORAGE
                        : str_eq(timed[i].backend, STR("permission")) ? METRIC_PERMISSION
                                                                      : METRIC_CACHE;
        struct key k;
        if (p->tables[m] == NULL)
            continue;
        key_init(&k);
        key_add_plain(&k, STR("method"), timed[i].operation);
        p->store[i].metric = m;
        p->store[i].series = series_get(p->tables[m], key_str(&k), SERIES_KNOWN);
        if (p->store[i].series == NULL)
            return ERR_NOMEM;
    }
    return OK;
}

static enum err add_capability(struct prometheus *p, struct api *a, const struct settings *s)
{
    struct buf b;
    size_t n;
    const str *names = settings_list(s, "kinto.prometheus_disabled_metrics", &n);
    buf_init_arena(&b, &p->arena, MIB);
    buf_add_lit(&b, "{\"description\":\"Prometheus metrics.\",\"url\":"
                    "\"https://github.com/Kinto/kinto/\",\"prefix\":");
    json_write_string(&b, p->prefix);
    buf_add_lit(&b, ",\"disabled_metrics\":[");
    for (size_t i = 0; i < n; i++) {
        if (i)
            buf_add_char(&b, ',');
        json_write_string(&b, names[i]);
    }
    buf_add(&b, "]}", sizeof "]}"); /* with the NUL */
    return buf_failed(&b) ? b.err : api_add_capability(a, "prometheus", b.p);
}

static enum err load_settings(struct prometheus *p, const struct settings *s, struct err_detail *d)
{
    p->created = settings_bool(s, "kinto.prometheus_created_metrics_enabled");
    p->max_series = (size_t)settings_int(s, "kinto.prometheus_max_series", 0);
    enum err e = load_prefix(p, s, d);
    if (e == OK)
        e = load_labels(p, s, d);
    return e == OK ? load_bounds(p, s, d) : e;
}

enum err prometheus_load(struct api *a, const struct settings *s, struct err_detail *d)
{
    struct prometheus *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ERR_NOMEM;
    arena_init(&p->arena, NULL, 0, NULL, MIB);
    enum err e = load_settings(p, s, d);
    if (e == OK)
        e = make_tables(p, s);
    if (e == OK)
        e = make_store_series(p);
    if (e == OK)
        e = add_capability(p, a, s);
    if (e == OK)
        e = api_add_endpoint(a, &(struct api_endpoint){
                                    .path = "/__metrics__",
                                    .methods = METHOD_BIT(METHOD_GET),
                                    .handler = reply,
                                    .doc = {.operation = "prometheus_metrics",
                                            .tag = "Utilities",
                                            .summary = "What the server has done, for Prometheus.",
                                            .answer = "Text",
                                            .media = "text/plain"},
                                    .ctx = p,
                                });
    if (e == OK)
        e = api_add_observer(a, &(struct api_observer){p, finished, store_timed, prometheus_free});
    if (e != OK)
        prometheus_free(p);
    return e;
}
