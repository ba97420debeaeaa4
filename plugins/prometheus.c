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
#include "plugins/prometheus.h"

#include <stdlib.h>

#include "plugins/metrics.h"
#include "plugins/private.h"

#define CONTENT_TYPE     "text/plain; version=1.0.0; charset=utf-8"
#define MAX_ANSWER_BYTES (64 * MIB)
#define MAX_KEY_BYTES    512 /* of a series; those with longer labels count as OTHER */
#define OTHER            STR("_other")
#define MAX_KNOWN_SERIES ((size_t)4096) /* of each metric: those that no stranger chooses */

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

/* ---- the endpoint ---------------------------------------------------------------------------- */

static enum api_step reply(struct api_req *r)
{
    const struct prometheus *p = api_endpoint_ctx(r);
    struct buf b;
    buf_init_arena(&b, api_arena(r), MAX_ANSWER_BYTES);
    prometheus_write_process(&b);
    for (enum metric m = 0; m < METRIC_COUNT; m++)
        prometheus_write_metric(&b, p, m);
    if (buf_failed(&b))
        return api_fail_err(r, b.err);
    return api_reply(r, 200, STR(CONTENT_TYPE), buf_str(&b));
}

/* ---- setting up ------------------------------------------------------------------------------ */

static void prometheus_release(void *ctx)
{
    struct prometheus *p = ctx;
    for (size_t m = 0; m < METRIC_COUNT; m++)
        series_table_free(p->tables[m]);
    arena_fini(&p->arena);
    free(p);
}

static enum err make_tables(struct prometheus *p, const struct settings *s)
{
    const size_t cells[] = {[COUNTER] = 1, [SUMMARY] = 2, [HISTOGRAM] = p->nbounds + 2};
    for (enum metric m = 0; m < METRIC_COUNT; m++) {
        if (prometheus_is_disabled(p, s, str_from(prometheus_metrics[m].name)))
            continue;
        enum err e = series_table_new(&p->tables[m], MAX_KNOWN_SERIES, p->max_series,
                                      cells[prometheus_metrics[m].form]);
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

enum err prometheus_load(struct api *a, const struct settings *s, struct err_detail *d)
{
    struct prometheus *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ERR_NOMEM;
    arena_init(&p->arena, NULL, 0, NULL, MIB);
    enum err e = api_keep(a, p, prometheus_release);
    if (e == OK)
        e = prometheus_settings_load(p, s, d);
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
    return e == OK ? api_add_observer(a, &(struct api_observer){p, finished, store_timed}) : e;
}
