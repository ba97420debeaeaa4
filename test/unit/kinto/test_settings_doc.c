/*
 * test/unit/kinto/test_settings_doc.c - the rows of all settings.def files against what users read.
 *
 * doc/settings.md must hold the line of each row as it is printed here; a failure shows the lines
 * that are missing, ready to be put in. kinto.ini may name only settings that there are, with their
 * real defaults, and must load as it is and with each of its examples switched on. The table of limits in
 * SECURITY.md must show the defaults that there are.
 */
#include "api/api.h"
#include "auth/auth.h"
#include "base/log.h"
#include "base/os.h"
#include "http/http.h"
#include "plugins/plugins.h"
#include "process/process.h"
#include "store/store.h"
#include "test/support/unit.h"

#include "json/json.h"
#include <glob.h>

static const struct setting_table *const tables[] = {
    &store_settings, &http_settings,    &auth_settings,
    &api_settings,   &plugins_settings, &process_settings,
};

static void add_type(struct buf *b, const struct setting_row *row)
{
    switch (row->type) {
    case SETTING_BOOL:
        buf_add_lit(b, "true, false");
        return;
    case SETTING_INT:
    case SETTING_INT_OR_0:
    case SETTING_FLOAT:
        buf_printf(b, "%s%lld to %lld%s%s", row->type == SETTING_INT_OR_0 ? "0, " : "",
                   (long long)row->min, (long long)row->max, *row->unit ? " " : "", row->unit);
        return;
    case SETTING_STRING:
        buf_add_lit(b, "text");
        return;
    case SETTING_LIST:
        buf_add_lit(b, "words");
        return;
    case SETTING_PATH:
        buf_add_lit(b, "path");
        return;
    case SETTING_PATHS:
        buf_add_lit(b, "paths");
        return;
    case SETTING_ENUM:
        buf_printf(b, "one of: %s", row->allowed);
        return;
    case SETTING_IGNORED:
        buf_add_lit(b, "ignored");
        return;
    case SETTING_WARNED:
        buf_add_lit(b, "ignored, with a warning");
        return;
    }
}

/* | `key` | type | default | what it does | */
static void add_row(struct buf *b, const struct setting_row *row)
{
    buf_printf(b, "| `%s` | ", row->key);
    add_type(b, row);
    if (row->def)
        buf_printf(b, " | `%s` | %s |\n", row->def, row->help);
    else
        buf_printf(b, " | - | %s |\n", row->help);
}

static str read_file(const char *path)
{
    char *text;
    size_t n;
    struct err_detail d = {0};
    ck_assert_msg(os_read_file(path, 4 * MIB, &text, &n, &d) == OK, "%s (tests run in the root)",
                  d.text);
    return (str){text, n};
}

static void add_missing(struct buf *missing, str doc, const struct setting_row *row)
{
    struct buf line;
    buf_init(&line, MIB);
    add_row(&line, row);
    ck_assert(!buf_failed(&line));
    if (str_find_str(doc, buf_str(&line)) == STR_NPOS)
        buf_add_str(missing, buf_str(&line));
    buf_fini(&line);
}

START_TEST(every_row_is_documented)
{
    str doc = read_file("doc/settings.md");
    struct buf missing;
    buf_init(&missing, 4 * MIB);
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (size_t i = 0; i < tables[t]->count; i++)
            add_missing(&missing, doc, &tables[t]->rows[i]);
    ck_assert_msg(missing.n == 0, "doc/settings.md lacks these lines:\n" STR_FMT,
                  STR_ARG(buf_str(&missing)));
    buf_fini(&missing);
    free((char *)(uintptr_t)doc.p);
}
END_TEST

/* A file that the sandbox does not hear of is closed to the server that reads it. */
START_TEST(the_row_of_a_file_says_what_is_done_with_it)
{
    static const char *const uses[] = {"read", "replaced", "removed"};
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (size_t i = 0; i < tables[t]->count; i++) {
            const struct setting_row *row = &tables[t]->rows[i];
            str key = str_from(row->key);
            bool known = false, path = row->type == SETTING_PATH || row->type == SETTING_PATHS;
            bool text = row->type == SETTING_STRING || row->type == SETTING_LIST;
            for (size_t u = 0; path && u < ARRAY_LEN(uses); u++)
                known = known || strcmp(row->allowed, uses[u]) == 0;
            ck_assert_msg(!path || known, "%s", row->key);
            ck_assert_msg(!text || (!str_ends(key, STR("_path")) && !str_ends(key, STR("_file"))),
                          "%s: is it a path?", row->key);
        }
}
END_TEST

static const struct setting_row *row_of(str key)
{
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (size_t i = 0; i < tables[t]->count; i++)
            if (str_eq(key, str_from(tables[t]->rows[i].key)))
                return &tables[t]->rows[i];
    return NULL;
}

START_TEST(the_manual_names_no_setting_that_is_not_there)
{
    str doc = read_file("doc/settings.md"), rest = doc;
    while (rest.n > 0) {
        str line = str_cut(&rest, '\n'), begin = STR("| `");
        if (!str_starts(line, begin))
            continue;
        str key = str_sub(line, begin.n, str_find(str_drop(line, begin.n), '`'));
        ck_assert_msg(row_of(key) != NULL, "doc/settings.md: " STR_FMT " is in no table",
                      STR_ARG(key));
    }
    free((char *)(uintptr_t)doc.p);
}
END_TEST

/* ---- kinto.ini ------------------------------------------------------------------------------- */

/* "# kinto.x = y" or "# port = y": key and value of an example. */
static bool example(str line, str *key, str *value)
{
    str rest = str_drop(line, 2);
    if (!str_starts(line, STR("# ")) || str_find_str(rest, STR(" =")) == STR_NPOS)
        return false;
    *key = str_cut(&rest, ' ');
    *value = str_trim(str_drop(rest, 1));
    return str_starts(rest, STR("=")) && str_find(*key, ',') == STR_NPOS;
}

/* A key of many: a row with a `*`, which stands for one or more characters. */
static const struct setting_row *row_like(str key)
{
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (size_t i = 0; i < tables[t]->count; i++) {
            str end = str_from(tables[t]->rows[i].key), begin = str_cut(&end, '*');
            if (!str_none(end) && key.n > begin.n + end.n && str_starts(key, begin) &&
                str_ends(key, end))
                return &tables[t]->rows[i];
        }
    return NULL;
}

static const struct setting_row *row_in_section(str section, str key)
{
    char full[128];
    if (str_eq(section, STR("[app:main]")))
        return row_of(key) != NULL ? row_of(key) : row_like(key);
    snprintf(full, sizeof full, "kinto.server." STR_FMT, STR_ARG(key));
    return row_of(str_from(full));
}

START_TEST(the_ini_shows_real_settings_and_defaults)
{
    static const char *const without_default[] = {"unix_socket",   "kinto.tls_certificate",
                                                  "kinto.tls_key", "redirect_listen",
                                                  "kinto.eos",     "kinto.index.blog.posts"};
    str ini = read_file("kinto.ini"), rest = ini, section = STR(""), key, value;
    unsigned seen = 0;
    while (rest.n > 0) {
        str line = str_cut(&rest, '\n');
        if (str_starts(line, STR("[")))
            section = str_trim(line);
        if (!example(line, &key, &value))
            continue;
        const struct setting_row *row = row_in_section(section, key);
        ck_assert_msg(row != NULL, "kinto.ini: no setting " STR_FMT, STR_ARG(key));
        bool only_example = false;
        for (size_t i = 0; i < ARRAY_LEN(without_default); i++)
            only_example |= str_eq(key, str_from(without_default[i]));
        if (!only_example)
            ck_assert_str_is(value, row->def ? row->def : "");
        seen++;
    }
    ck_assert_uint_gt(seen, 20);
    free((char *)(uintptr_t)ini.p);
}
END_TEST

static void fail_on_warning(const char *line, void *arg)
{
    (void)arg;
    ck_abort_msg("the log says: %s", line);
}

/* With `uncomment`, each "# key = value" becomes a setting. */
static void load_ini(bool uncomment)
{
    str text = read_file("kinto.ini"), rest = text, key, value;
    struct setting_table all[ARRAY_LEN(tables)];
    struct err_detail d = {0};
    struct settings *s;
    struct ini ini;
    struct buf b;

    buf_init(&b, MIB);
    while (rest.n > 0) {
        str line = str_cut(&rest, '\n');
        bool on = uncomment && example(line, &key, &value);
        buf_add_str(&b, on ? str_drop(line, 2) : line);
        buf_add_char(&b, '\n');
    }
    for (size_t i = 0; i < ARRAY_LEN(tables); i++)
        all[i] = *tables[i];
    log_test_sink(fail_on_warning, NULL);
    ck_assert_msg(ini_parse(&ini, buf_str(&b), "kinto.ini", NULL, 0, &d) == OK, "%s", d.text);
    ck_assert_msg(settings_load(&s, all, ARRAY_LEN(all), &ini, NULL, 0, &d) == OK, "%s", d.text);
    log_test_sink(NULL, NULL);
    ck_assert_str_is(settings_str(s, "kinto.server.host"), "127.0.0.1");
    ck_assert_int_eq(settings_int(s, "kinto.server.port", 0), 8888);
    settings_free(s);
    ini_free(&ini);
    buf_fini(&b);
    free((char *)(uintptr_t)text.p);
}

START_TEST(the_ini_loads_as_it_is)
{
    load_ini(false);
}
END_TEST

START_TEST(the_ini_loads_with_every_example)
{
    load_ini(true);
}
END_TEST

/* ---- SECURITY.md ----------------------------------------------------------------------------- */

#define AS_TEXT(number)  AS_TEXT_(number)
#define AS_TEXT_(number) #number

/* Limits that are no setting, or not just its default: the cell as it has to be (but for `behind`, which
 * stands behind the default of the setting). NULL: no number, see the tests of the limit. */
static const struct {
    const char *limit, *cell, *behind;
} special_limits[] = {
    {"request line and headers", NULL, ", " AS_TEXT(HTTP_MAX_HEADERS) " headers"},
    {"depth of JSON", AS_TEXT(API_BODY_DEPTH), NULL},
    {"values that the copies of a JSON Patch make", AS_TEXT(JSON_PATCH_MAX_COPIES), NULL},
    /* test/unit/http/test_crowds.c looks at what comes of it */
    {"of it for one address (IPv6: /64)", "13/16", NULL},
    /* http/server.c, and out_of_descriptors in test/unit/http/test_limits.c */
    {"the same, by the system's limit of open files (`ulimit -n`, `LimitNOFILE=`)",
     "that, less some 64 for the store and for calls to others, less an eighth (at most 256) for "
     "newcomers on their way",
     NULL},
    /* http/tls.c, and endless_alerts_in_a_session in test/unit/http/test_tls.c */
    {"reads that look at much, and answers to be compressed, that wait for a thread",
     AS_TEXT(API_READS_WAITING) ", of one network " AS_TEXT(API_READS_OF_A_NETWORK), NULL},
    {"TLS records in a row that hold no data", "32 KiB and one record", NULL},
    {"work of a schema with its patterns on one object",
     "counted in steps: some tens of milliseconds", NULL},
};

/* What the help says behind "0: ", without its full stop. */
static str meaning_of_0(const struct setting_row *row)
{
    str help = str_from(row->help);
    size_t at = str_find_str(help, STR(". 0: "));

    ck_assert_msg(at != STR_NPOS, "%s: no word of what 0 means", row->key);
    help = str_drop(help, at + 5);
    return str_sub(help, 0, help.n - 1);
}

/* 16384 bytes: 16 KiB; 10000 objects: 10,000; 10 seconds: 10 s; nothing: off; 0: what that means. */
static void add_default(struct buf *b, const struct setting_row *row)
{
    str unit = str_from(row->unit);
    uint64_t n = 0;
    if (row->def)
        ck_assert_int_eq(str_to_u64(str_from(row->def), &n), OK);
    if (n == 0 && row->type == SETTING_INT_OR_0)
        buf_add_str(b, meaning_of_0(row));
    else if (n == 0)
        buf_add_lit(b, "off");
    else if (str_eq(unit, STR("bytes")) && n % MIB == 0)
        buf_printf(b, "%llu MiB", (unsigned long long)(n / MIB));
    else if (str_eq(unit, STR("bytes")))
        buf_printf(b, "%llu KiB", (unsigned long long)(n / KIB));
    else if (n >= 1000)
        buf_printf(b, "%llu,%03llu", (unsigned long long)(n / 1000),
                   (unsigned long long)(n % 1000));
    else
        buf_printf(b, "%llu", (unsigned long long)n);
    if (str_eq(unit, STR("seconds")))
        buf_add_lit(b, " s");
    else if (str_eq(unit, STR("bytes/second")))
        buf_add_lit(b, " bytes/s");
}

/* The next of "`kinto.a.b`, `.c`", written out; false: there is none. */
static bool next_key(str *rest, char key[128])
{
    size_t open = str_find(*rest, '`');
    if (open == STR_NPOS)
        return false;
    *rest = str_drop(*rest, open + 1);
    str name = str_cut(rest, '`');
    char *dot = strrchr(key, '.');
    if (str_starts(name, STR("."))) {
        ck_assert_ptr_nonnull(dot);
        snprintf(dot, 128 - (size_t)(dot - key), STR_FMT, STR_ARG(name));
    } else {
        snprintf(key, 128, STR_FMT, STR_ARG(name));
    }
    return true;
}

/* The defaults of the settings of a cell, each once. */
static void add_defaults(struct buf *b, str cell)
{
    char key[128] = "";
    while (next_key(&cell, key)) {
        struct buf one;
        const struct setting_row *row = row_of(str_from(key));
        ck_assert_msg(row != NULL, "SECURITY.md: %s is in no table", key);
        buf_init(&one, KIB);
        add_default(&one, row);
        if (str_find_str(buf_str(b), buf_str(&one)) == STR_NPOS)
            buf_printf(b, "%s" STR_FMT, b->n > 0 ? ", " : "", STR_ARG(buf_str(&one)));
        buf_fini(&one);
    }
}

static void check_limit(str limit, str settings, str shown)
{
    struct buf want;
    buf_init(&want, KIB);
    add_defaults(&want, settings);
    for (size_t i = 0; i < ARRAY_LEN(special_limits); i++) {
        if (!str_eq(limit, str_from(special_limits[i].limit)))
            continue;
        if (special_limits[i].cell)
            want.n = 0;
        buf_add_str(&want, str_from(special_limits[i].cell ? special_limits[i].cell
                                                           : special_limits[i].behind));
    }
    ck_assert_msg(str_eq(shown, buf_str(&want)),
                  "SECURITY.md: " STR_FMT ": \"" STR_FMT "\" should be \"" STR_FMT "\"",
                  STR_ARG(limit), STR_ARG(shown), STR_ARG(buf_str(&want)));
    buf_fini(&want);
}

START_TEST(limits_are_as_promised)
{
    str doc = read_file("SECURITY.md"), head = STR("| limit | setting | default | beyond it |\n");
    size_t at = str_find_str(doc, head);
    unsigned n = 0;
    ck_assert_uint_ne(at, STR_NPOS);
    str rest = str_drop(doc, at + head.n);
    (void)str_cut(&rest, '\n'); /* the line below the head */
    while (str_starts(rest, STR("| "))) {
        str line = str_drop(str_cut(&rest, '\n'), 2);
        str limit = str_trim(str_cut(&line, '|')), settings = str_trim(str_cut(&line, '|'));
        check_limit(limit, settings, str_trim(str_cut(&line, '|')));
        n++;
    }
    ck_assert_uint_ge(n, 20);
    free((char *)(uintptr_t)doc.p);
}
END_TEST

START_TEST(fuzz_targets_are_counted)
{
    str doc = read_file("SECURITY.md");
    char want[64];
    glob_t found;
    ck_assert_int_eq(glob("test/fuzz/fuzz_*.c", 0, NULL, &found), 0);
    snprintf(want, sizeof want, "- %zu fuzz targets ", found.gl_pathc);
    ck_assert_msg(str_find_str(doc, str_from(want)) != STR_NPOS, "SECURITY.md: \"%s\"", want);
    globfree(&found);
    free((char *)(uintptr_t)doc.p);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("kinto/settings_doc");
    TCase *t = tcase_create("manual");
    tcase_add_test(t, every_row_is_documented);
    tcase_add_test(t, the_row_of_a_file_says_what_is_done_with_it);
    tcase_add_test(t, the_manual_names_no_setting_that_is_not_there);
    suite_add_tcase(s, t);
    t = tcase_create("limits");
    tcase_add_test(t, limits_are_as_promised);
    tcase_add_test(t, fuzz_targets_are_counted);
    suite_add_tcase(s, t);
    t = tcase_create("ini");
    tcase_add_test(t, the_ini_shows_real_settings_and_defaults);
    tcase_add_test(t, the_ini_loads_as_it_is);
    tcase_add_test(t, the_ini_loads_with_every_example);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
