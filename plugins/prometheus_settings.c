/*
 * plugins/prometheus_settings.c - what the settings say of names, labels and buckets.
 *
 * All of it ends up in lines that a stranger's program parses, so what could make a line mean something
 * else (a prefix, a label or a bound that is none) stops the start. Bounds are kept twice: as
 * nanoseconds to compare with, and as the text that is written.
 */
#include "plugins/prometheus.h"

#include <math.h>
#include <stdlib.h>

#include "base/native.h"

static enum err refuse(const struct settings *s, const char *key, str value, const char *why,
                       struct err_detail *d)
{
    return settings_refuse(s, key, ERR_SYNTAX, d, "\"%s\" %s", settings_quote(value).text, why);
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
        if (str_is_one_of(fields[i], own, ARRAY_LEN(own)) || str_is_one_of(fields[i], fields, i))
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
        return settings_refuse(s, key, ERR_SYNTAX, d, "there has to be a number");
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

bool prometheus_is_disabled(const struct prometheus *p, const struct settings *s, str name)
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

enum err prometheus_settings_load(struct prometheus *p, const struct settings *s,
                                  struct err_detail *d)
{
    p->created = settings_bool(s, "kinto.prometheus_created_metrics_enabled");
    p->max_series = (size_t)settings_int(s, "kinto.prometheus_max_series", 0);
    enum err e = load_prefix(p, s, d);
    if (e == OK)
        e = load_labels(p, s, d);
    return e == OK ? load_bounds(p, s, d) : e;
}
