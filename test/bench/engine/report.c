/*
 * test/bench/engine/report.c - the table, the goals, and the same as JSON.
 */
#include <errno.h>
#include <inttypes.h>

#include "test/bench/engine/bench.h"

static const struct {
    const char *name, *key; /* for the table; for JSON */
    int digits;
    bool less; /* is better */
} row[METRICS] = {
    [BULK] = {"bulk puts/s", "bulk_puts_per_s", 0, false},
    [GETS] = {"point gets/s", "gets_per_s", 0, false},
    [SCANS] = {"scans of 100 values/s", "scans_per_s", 0, false},
    [COMMITS_1] = {"durable commits/s, 1 writer", "commits_1_per_s", 0, false},
    [COMMITS_16] = {"durable commits/s, 16 writers", "commits_16_per_s", 0, false},
    [COMMITS_64] = {"durable commits/s, 64 writers", "commits_64_per_s", 0, false},
    [OPENING] = {"open to the first get, ms (*)", "open_ms", 2, true},
    [SPACE] = {"bytes on disk a record (*)", "bytes_per_record", 1, true},
};

static const struct goal {
    const char *text;
    enum metric metric;
    const char *other;
    double least; /* of ours / other */
} goals[] = {
    {"durable commits, 64 writers: at least 5 x SQLite", COMMITS_64, "sqlite", 5},
    {"durable commits, 64 writers: more than LMDB", COMMITS_64, "lmdb", 1},
    {"point gets: at least LMDB / 1.5", GETS, "lmdb", 1 / 1.5},
    {"scans of 100 values: at least SQLite", SCANS, "sqlite", 1},
};

/* The best figure of the stores whose names begin so; 0 when there is none. */
static double best(const struct figures *f, size_t n, const char *name, unsigned m)
{
    double found = 0;

    for (size_t i = 0; i < n; i++) {
        double v = f[i].median[m];
        if (strncmp(f[i].ops->name, name, strlen(name)) != 0)
            continue;
        if (found <= 0 || (row[m].less ? v < found : v > found))
            found = v;
    }
    return found;
}

/* Ours / other; 0 when one of them was not measured. */
static double ratio(const struct figures *f, size_t n, const char *other, unsigned m)
{
    double theirs = best(f, n, other, m);

    return theirs > 0 ? best(f, n, "kinto", m) / theirs : 0;
}

static void print_ratio(double r)
{
    if (r > 0)
        printf(" %9.2f", r);
    else
        printf(" %9s", "-");
}

static void print_table(const struct figures *f, size_t n)
{
    printf("%-30s", "");
    for (size_t i = 0; i < n; i++)
        printf(" %12s", f[i].ops->name);
    printf(" %9s %9s\n", "/ lmdb", "/ sqlite");
    for (unsigned m = 0; m < METRICS; m++) {
        printf("%-30s", row[m].name);
        for (size_t i = 0; i < n; i++)
            printf(" %12.*f", row[m].digits, f[i].median[m]);
        print_ratio(ratio(f, n, "lmdb", m));
        print_ratio(ratio(f, n, "sqlite", m));
        putchar('\n');
    }
    printf("(*) less is better; the last two columns are kinto / other\n\n");
}

static void print_notes(const struct figures *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        printf("%s: %s\n", f[i].ops->name, f[i].ops->note);
        if (f[i].ops->ways[1] == NULL)
            continue;
        printf("%s: best at 1, 16, 64 writers, last round: %s; %s; %s\n", f[i].ops->name,
               f[i].way[COMMITS_1], f[i].way[COMMITS_16], f[i].way[COMMITS_64]);
    }
    putchar('\n');
}

/* "more than" and "at least" do not differ in what is measured here. */
static const char *verdict(double r, double least)
{
    if (r <= 0)
        return "not measured";
    return r >= least ? "met" : "MISSED";
}

void report_print(const struct figures *f, size_t n, const struct options *o)
{
    printf("%" PRIu64 " records of %d + %d bytes in %u collections; medians of %" PRIu64
           " rounds, %" PRIu64
           " s a figure;\na write of 4 KiB and its sync take this disk %.0f us\n\n",
           o->records, KEY_BYTES, VALUE_BYTES, COLLECTIONS, o->rounds, o->seconds, o->sync_us);
    print_table(f, n);
    print_notes(f, n);
    for (size_t i = 0; i < ARRAY_LEN(goals); i++) {
        double r = ratio(f, n, goals[i].other, goals[i].metric);
        printf("goal  %-50s %s", goals[i].text, verdict(r, goals[i].least));
        if (r > 0)
            printf("  (%.2f, least %.2f)", r, goals[i].least);
        putchar('\n');
    }
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void json_store(FILE *out, const struct figures *f, const struct options *o)
{
    fprintf(out, "    \"%s\": {", f->ops->name);
    for (unsigned m = 0; m < METRICS; m++) {
        fprintf(out, "%s\n      \"%s\": {\"median\": %.3f, \"rounds\": [", m > 0 ? "," : "",
                row[m].key, f->median[m]);
        for (unsigned r = 0; r < o->rounds; r++)
            fprintf(out, "%s%.3f", r > 0 ? ", " : "", f->round[m][r]);
        fprintf(out, "]");
        if (f->way[m] != NULL)
            fprintf(out, ", \"way\": \"%s\"", f->way[m]);
        fprintf(out, "}");
    }
    fprintf(out, "\n    }");
}

static void json_goals(FILE *out, const struct figures *f, size_t n)
{
    for (size_t i = 0; i < ARRAY_LEN(goals); i++) {
        const struct goal *g = &goals[i];
        double r = ratio(f, n, g->other, g->metric);
        fprintf(out, "%s\n    {\"goal\": \"%s\", \"ratio\": %.3f, \"least\": %.3f, \"met\": %s}",
                i > 0 ? "," : "", g->text, r, g->least,
                r <= 0          ? "null"
                : r >= g->least ? "true"
                                : "false");
    }
}

void report_json(const struct figures *f, size_t n, const struct options *o)
{
    FILE *out = fopen(o->json, "w");

    if (out == NULL)
        bench_fail("json", o->json, strerror(errno));
    fprintf(out,
            "{\n  \"records\": %" PRIu64 ", \"seconds\": %" PRIu64 ", \"rounds\": %" PRIu64 ",\n",
            o->records, o->seconds, o->rounds);
    fprintf(out, "  \"key_bytes\": %d, \"value_bytes\": %d, \"sync_us\": %.1f,\n  \"stores\": {\n",
            KEY_BYTES, VALUE_BYTES, o->sync_us);
    for (size_t i = 0; i < n; i++) {
        json_store(out, &f[i], o);
        fprintf(out, "%s\n", i + 1 < n ? "," : "");
    }
    fprintf(out, "  },\n  \"goals\": [");
    json_goals(out, f, n);
    fprintf(out, "\n  ]\n}\n");
    if (ferror(out) != 0 || fclose(out) != 0)
        bench_fail("json", o->json, "cannot be written");
}
