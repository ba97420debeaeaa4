/* Settings: types, sources and their order, spellings, patterns, messages. */
#include "test/support/unit.h"

#include "base/log.h"
#include "base/settings.h"

static const struct setting_row core[] = {
    {"kinto.readonly", SETTING_BOOL, 0, 0, "false", "", NULL, "No writes."},
    {"kinto.explicit", SETTING_BOOL, 0, 0, "true", "", NULL, "On."},
    {"kinto.paginate_by", SETTING_INT, 1, 1000, NULL, "objects", NULL, "Page."},
    {"kinto.batch_max", SETTING_INT, 1, 1000, "25", "requests", NULL, "Batch."},
    {"kinto.loops", SETTING_INT_OR_0, 16, 64, "0", "loops", NULL, "Loops."},
    {"kinto.percentage", SETTING_FLOAT, 0, 100, "12.5", "percent", NULL, "Share."},
    {"kinto.project_name", SETTING_STRING, 0, 0, "kinto", "", NULL, "Name."},
    {"kinto.eos-url", SETTING_STRING, 0, 0, NULL, "", NULL, "Link."},
    {"kinto.creators", SETTING_LIST, 0, 0, "system.Authenticated", "", NULL, "Who."},
    {"kinto.scheme", SETTING_ENUM, 0, 0, NULL, "", "http https", "Scheme."},
    {"kinto.newrelic", SETTING_IGNORED, 0, 0, NULL, "", NULL, "Python's."},
    {"kinto.sentry", SETTING_WARNED, 0, 0, NULL, "", NULL, "Nothing is sent."},
    {"kinto.quotas.*", SETTING_WARNED, 0, 0, NULL, "", NULL, "No quotas."},
};
static const struct setting_row more[] = {
    {"kinto.files", SETTING_PATHS, 0, 0, NULL, "", "replaced", "Files."},
    {"kinto.file", SETTING_PATH, 0, 0, "a.json", "", "read", "A file."},
    {"kinto.socket", SETTING_PATH, 0, 0, NULL, "", "removed", "A socket."},
    {"multiauth.policies", SETTING_LIST, 0, 0, NULL, "", NULL, "Policies."},
    {"multiauth.policy.*.use", SETTING_STRING, 0, 0, NULL, "", NULL, "Class."},
    {"kinto.*_ttl", SETTING_INT, 0, 100, NULL, "seconds", NULL, "Times."},
    {"kinto.*.record_*_ttl", SETTING_INT, 0, 100, NULL, "seconds", NULL, "Times."},
    {"kinto.server.port", SETTING_INT, 0, 65535, "8888", "", NULL, "Port."},
    {"tm.*", SETTING_IGNORED, 0, 0, NULL, "", NULL, "Python's."},
};
static const struct setting_table tables[] = {{core, ARRAY_LEN(core)}, {more, ARRAY_LEN(more)}};

#define LONG  "0123456789012345678901234567890123456789012345678901234567890123456789uvwxy"
#define STARS "************************************************************************"

static char warnings[2000];

static void keep(const char *line, void *arg)
{
    size_t n = strlen(warnings);
    (void)arg;
    snprintf(warnings + n, sizeof warnings - n, "%s\n", line + 25);
}

static void setup(void)
{
    warnings[0] = 0;
    log_test_sink(keep, NULL);
    unsetenv("KINTO_READONLY");
    unsetenv("KINTO_EOS_URL");
    unsetenv("KINTO_CREATORS");
    unsetenv("KINTO_BATCH_MAX");
    unsetenv("MULTIAUTH_POLICIES");
    unsetenv("KINTO_MULTIAUTH_POLICIES");
    unsetenv("MULTIAUTH_POLICY_BASIC_USE");
}

static void teardown(void)
{
    log_test_sink(NULL, NULL);
}

static struct settings *s;
static struct err_detail d;

/* Loads the body of an [app:main]. */
static enum err load(const char *body, const struct setting_override *over, size_t nover)
{
    static char text[4000];
    struct ini ini;
    enum err e;

    snprintf(text, sizeof text, "[app:main]\n%s", body);
    ck_assert_msg(ini_parse(&ini, str_from(text), "k.ini", NULL, 0, &d) == OK, "%s", d.text);
    s = NULL;
    e = settings_load(&s, tables, ARRAY_LEN(tables), &ini, over, nover, &d);
    ini_free(&ini); /* the settings live on */
    return e;
}

static void load_ok(const char *body)
{
    ck_assert_msg(load(body, NULL, 0) == OK, "%s", d.text);
}

static const char *list_of(const char *key)
{
    static char out[500];
    size_t n, at = 0;
    const str *words = settings_list(s, key, &n);

    out[0] = 0;
    for (size_t i = 0; i < n; i++)
        at += (size_t)snprintf(out + at, sizeof out - at, STR_FMT "|", STR_ARG(words[i]));
    return out;
}

START_TEST(defaults)
{
    ck_assert_int_eq(settings_load(&s, tables, ARRAY_LEN(tables), NULL, NULL, 0, &d), OK);
    ck_assert(!settings_bool(s, "kinto.readonly"));
    ck_assert(settings_bool(s, "kinto.explicit"));
    ck_assert_int_eq(settings_int(s, "kinto.paginate_by", -7), -7);
    ck_assert_int_eq(settings_int(s, "kinto.batch_max", -7), 25);
    ck_assert_double_eq(settings_float(s, "kinto.percentage", 0), 12.5);
    ck_assert_str_is(settings_str(s, "kinto.project_name"), "kinto");
    ck_assert(str_none(settings_str(s, "kinto.eos-url")));
    ck_assert(str_none(settings_str(s, "kinto.scheme")));
    ck_assert_str_eq(list_of("kinto.creators"), "system.Authenticated|");
    ck_assert_str_eq(list_of("multiauth.policies"), "");
    ck_assert(!settings_is_set(s, "kinto.batch_max"));
    ck_assert_str_is(settings_origin(s, "kinto.batch_max"), "default");
    settings_free(s);
    settings_free(NULL);
}
END_TEST

START_TEST(paths_may_hold_blanks)
{
    static const struct {
        const char *line, *list;
    } rows[] = {
        {"kinto.files = /a\n", "/a|"},
        {"kinto.files = /a b/c , /d\n", "/a b/c|/d|"},
        {"kinto.files =\n  /a b\n  /c,,/d\n", "/a b|/c|/d|"},
        {"kinto.files = [\"/a, b\", \" /c\"]\n", "/a, b| /c|"},
        {"kinto.files = \"/a b\"\n", "/a b|"},
        {"kinto.files =\n", ""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        load_ok(rows[i].line);
        ck_assert_str_eq(list_of("kinto.files"), rows[i].list);
        settings_free(s);
        s = NULL;
    }
    ck_assert_int_eq(load("kinto.files = [\"a\n", NULL, 0), ERR_SYNTAX);
    ck_assert_ptr_nonnull(strstr(d.text, "paths separated by commas"));
}
END_TEST

static void note_path(void *arg, const char *path, const char *use)
{
    size_t *n = arg;
    bool expected = (strcmp(path, "a.json") == 0 && strcmp(use, "read") == 0) ||
                    (strcmp(path, "/a b") == 0 && strcmp(use, "replaced") == 0) ||
                    (strcmp(path, "/c") == 0 && strcmp(use, "replaced") == 0) ||
                    (strcmp(path, "/s") == 0 && strcmp(use, "removed") == 0);
    ck_assert_msg(expected, "%s %s", path, use);
    ++*n;
}

START_TEST(every_path_is_told)
{
    static const struct {
        const char *line;
        size_t n;
    } rows[] = {
        {"", 1},
        {"kinto.file =\n", 0},
        {"kinto.files = /a b, /c\nkinto.socket = /s\n", 4},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t n = 0;
        load_ok(rows[i].line);
        settings_paths(s, note_path, &n);
        ck_assert_uint_eq(n, rows[i].n);
        settings_free(s);
        s = NULL;
    }
}
END_TEST

START_TEST(values_of_the_ini)
{
    load_ok("use = egg:kinto\n"
            "kinto.readonly = Yes\n"
            "kinto.explicit = off\n"
            "kinto.paginate_by = 10\n"
            "kinto.percentage = 0.5\n"
            "kinto.loops = 64\n"
            "kinto.project_name = a b\n"
            "kinto.creators =\n  one two\n  three,four\n"
            "kinto.scheme = https\n"
            "kinto.newrelic = whatever\n"
            "tm.annotate_user = false\n");
    ck_assert(settings_bool(s, "kinto.readonly"));
    ck_assert(!settings_bool(s, "kinto.explicit"));
    ck_assert_int_eq(settings_int(s, "kinto.paginate_by", 0), 10);
    ck_assert_double_eq(settings_float(s, "kinto.percentage", 0), 0.5);
    ck_assert_int_eq(settings_int(s, "kinto.loops", -7), 64);
    ck_assert_str_is(settings_str(s, "kinto.project_name"), "a b");
    ck_assert_int_eq(settings_str(s, "kinto.project_name").p[3], 0);
    ck_assert_str_eq(list_of("kinto.creators"), "one|two|three|four|");
    ck_assert_str_is(settings_str(s, "kinto.scheme"), "https");
    ck_assert(settings_is_set(s, "kinto.paginate_by"));
    ck_assert_str_is(settings_origin(s, "kinto.paginate_by"), "k.ini:5");
    struct err_detail why = {.text = ""};
    ck_assert_int_eq(settings_refuse(s, "kinto.paginate_by", ERR_SYNTAX, &why, "found %d", 5),
                     ERR_SYNTAX);
    ck_assert_str_eq(why.text, "k.ini:5: kinto.paginate_by: found 5");
    ck_assert_int_eq(settings_refuse(s, "kinto.paginate_by", ERR_RANGE, NULL, "no"), ERR_RANGE);
    ck_assert_str_eq(warnings, "");
    settings_free(s);
}
END_TEST

START_TEST(sources_in_their_order)
{
    const struct setting_override over[] = {{"kinto.batch_max", "4"}, {"readonly", "1"}};
    const char *ini = "kinto.batch_max = 2\n";

    load_ok(ini);
    ck_assert_int_eq(settings_int(s, "kinto.batch_max", 0), 2);
    settings_free(s);
    setenv("KINTO_BATCH_MAX", "3", 1);
    load_ok(ini);
    ck_assert_int_eq(settings_int(s, "kinto.batch_max", 0), 3);
    ck_assert_str_is(settings_origin(s, "kinto.batch_max"), "environment");
    settings_free(s);
    ck_assert_int_eq(load(ini, over, ARRAY_LEN(over)), OK);
    ck_assert_int_eq(settings_int(s, "kinto.batch_max", 0), 4);
    ck_assert(settings_bool(s, "kinto.readonly"));
    ck_assert_str_is(settings_origin(s, "kinto.batch_max"), "command line");
    settings_free(s);
}
END_TEST

START_TEST(names_in_the_environment)
{
    setenv("KINTO_EOS_URL", "u", 1); /* for kinto.eos-url */
    setenv("MULTIAUTH_POLICIES", "a", 1);
    load_ok("");
    ck_assert_str_is(settings_str(s, "kinto.eos-url"), "u");
    ck_assert_str_eq(list_of("multiauth.policies"), "a|");
    settings_free(s);
    setenv("KINTO_MULTIAUTH_POLICIES", "b", 1); /* the stronger one */
    load_ok("multiauth.policies = c\n");
    ck_assert_str_eq(list_of("multiauth.policies"), "b|");
    settings_free(s);
    setenv("MULTIAUTH_POLICY_BASIC_USE", "env", 1);
    load_ok("multiauth.policy.basic.use = x\n");
    ck_assert_str_is(settings_origin(s, "multiauth.policy.basic.use"), "environment");
    settings_free(s);
}
END_TEST

START_TEST(json_is_read_as_in_the_reference)
{
    setenv("KINTO_EOS_URL", "\"2026-11-22\"", 1);
    setenv("KINTO_CREATORS", "[\"a b\", \"c\"]", 1);
    setenv("KINTO_READONLY", "true", 1);
    load_ok("kinto.project_name = \"\\u00e9\\ud83d\\ude00\\n\\\\\\\"\"\n"
            "kinto.batch_max = 1e2\n"
            "kinto.loops = 0\n"
            "kinto.paginate_by = \"10\"\n"
            "multiauth.policies = [ ]\n");
    ck_assert_str_is(settings_str(s, "kinto.eos-url"), "2026-11-22");
    ck_assert_str_eq(list_of("kinto.creators"), "a|b|c|");
    ck_assert(settings_bool(s, "kinto.readonly"));
    ck_assert_str_is(settings_str(s, "kinto.project_name"), "\xc3\xa9\xf0\x9f\x98\x80\n\\\"");
    ck_assert_int_eq(settings_int(s, "kinto.batch_max", 0), 100);
    ck_assert_int_eq(settings_int(s, "kinto.loops", -7), 0);
    ck_assert(settings_is_set(s, "kinto.loops"));
    ck_assert_int_eq(settings_int(s, "kinto.paginate_by", 0), 10);
    ck_assert_str_eq(list_of("multiauth.policies"), "");
    settings_free(s);
}
END_TEST

START_TEST(an_ipv6_address_in_brackets_begins_no_json)
{
    load_ok("kinto.creators = [::1]:8888 127.0.0.1:8888\n"
            "multiauth.policies = [\"[::1]:8888\"]\n");
    ck_assert_str_eq(list_of("kinto.creators"), "[::1]:8888|127.0.0.1:8888|");
    ck_assert_str_eq(list_of("multiauth.policies"), "[::1]:8888|");
    settings_free(s);
}
END_TEST

START_TEST(what_is_not_json_stays_as_it_is)
{
    static const char *const texts[] = {"\"open",        "\"a\" b",     "a \"b\"",
                                        "\"\\x\"",       "\"\\ud83d\"", "\"\\udc00\\ud83d\"",
                                        "\"\\u12\"",     "\"\\u0000\"", "{\"a\": 1}",
                                        "\"tab\there\"", "\"\\"};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char body[100];
        snprintf(body, sizeof body, "kinto.project_name = %s\n", texts[i]);
        load_ok(body);
        ck_assert_str_is(settings_str(s, "kinto.project_name"), texts[i]);
        settings_free(s);
    }
}
END_TEST

START_TEST(empty_values)
{
    load_ok("kinto.readonly =\nkinto.explicit =\nkinto.paginate_by =\nkinto.batch_max =\n"
            "kinto.percentage =\nkinto.project_name =\nkinto.creators =\nkinto.scheme =\n");
    ck_assert(!settings_bool(s, "kinto.explicit"));
    ck_assert_int_eq(settings_int(s, "kinto.paginate_by", -7), -7);
    ck_assert_int_eq(settings_int(s, "kinto.batch_max", -7), 25);
    ck_assert_double_eq(settings_float(s, "kinto.percentage", 0), 12.5);
    ck_assert_str_is(settings_str(s, "kinto.project_name"), "");
    ck_assert(!str_none(settings_str(s, "kinto.project_name")));
    ck_assert(!settings_is_set(s, "kinto.project_name"));
    ck_assert_str_eq(list_of("kinto.creators"), ""); /* nobody, not the default */
    ck_assert(settings_is_set(s, "kinto.creators"));
    settings_free(s);
    load_ok("kinto.project_name = null\nkinto.creators = \"\"\n");
    ck_assert(str_none(settings_str(s, "kinto.project_name")));
    ck_assert_str_eq(list_of("kinto.creators"), "");
    settings_free(s);
}
END_TEST

static const struct {
    const char *body;
    enum err err;
    const char *message;
} bad[] = {
    {"kinto.readonly = maybe\n", ERR_SYNTAX,
     "k.ini:2: kinto.readonly: found \"maybe\", allowed is true or false"},
    {"\nkinto.paginate_by = abc\n", ERR_SYNTAX,
     "k.ini:3: kinto.paginate_by: found \"abc\", allowed is a whole number from 1 to 1000 objects"},
    {"kinto.paginate_by = 0\n", ERR_RANGE,
     "k.ini:2: kinto.paginate_by: found \"0\", allowed is a whole number from 1 to 1000 objects"},
    {"kinto.paginate_by = 1001\n", ERR_RANGE, NULL},
    {"kinto.paginate_by = 99999999999999999999\n", ERR_RANGE, NULL},
    {"kinto.paginate_by = 1e300\n", ERR_RANGE, NULL},
    {"kinto.paginate_by = 1e999\n", ERR_RANGE, NULL},
    {"kinto.paginate_by = 0x10\n", ERR_SYNTAX, NULL},
    {"kinto.paginate_by = 10 20\n", ERR_SYNTAX, NULL},
    {"kinto.paginate_by = -\n", ERR_SYNTAX, NULL},
    {"kinto.loops = 15\n", ERR_RANGE,
     "k.ini:2: kinto.loops: found \"15\", allowed is 0, or a whole number from 16 to 64 loops"},
    {"kinto.loops = 65\n", ERR_RANGE, NULL},
    {"kinto.loops = -1\n", ERR_RANGE, NULL},
    {"kinto.loops = 00x\n", ERR_SYNTAX, NULL},
    {"kinto.percentage = 100.5\n", ERR_RANGE,
     "k.ini:2: kinto.percentage: found \"100.5\", allowed is a number from 0 to 100 percent"},
    {"kinto.percentage = nan\n", ERR_SYNTAX, NULL},
    {"kinto.percentage = inf\n", ERR_SYNTAX, NULL},
    {"kinto.scheme = ftp\n", ERR_SYNTAX,
     "k.ini:2: kinto.scheme: found \"ftp\", allowed is one of: http https"},
    {"kinto.scheme = HTTP\n", ERR_SYNTAX, NULL},
    {"kinto.creators = [\"a\", 1]\n", ERR_SYNTAX,
     "k.ini:2: kinto.creators: found \"[\"a\", 1]\", allowed is words, or a JSON list of strings"},
    {"kinto.creators = [\"a\"\n", ERR_SYNTAX, NULL},
    {"kinto.creators = [\"a\",]\n", ERR_SYNTAX, NULL},
    {"kinto.x_ttl = no\n", ERR_SYNTAX,
     "k.ini:2: kinto.x_ttl: found \"no\", allowed is a whole number from 0 to 100 seconds"},
    {"use = egg:other\n", ERR_SYNTAX, "k.ini:2: use: found \"egg:other\", allowed is egg:kinto"},
    {"get kinto.readonly = nope\n", ERR_SYNTAX,
     "k.ini:2: get kinto.readonly: there is no \"nope\" in [DEFAULT]"},
    {"kinto.batch_max = 1\nbatch_max = 2\n", ERR_SYNTAX,
     "k.ini:2: kinto.batch_max: line 3 sets the same as batch_max to another value"},
};

START_TEST(bad_values_stop_with_line_key_and_what_is_allowed)
{
    ck_assert_int_eq(load(bad[_i].body, NULL, 0), bad[_i].err);
    ck_assert_ptr_null(s);
    if (bad[_i].message != NULL)
        ck_assert_str_eq(d.text, bad[_i].message);
    else
        ck_assert_ptr_nonnull(strstr(d.text, "allowed is"));
}
END_TEST

START_TEST(bad_values_from_elsewhere_say_so)
{
    const struct setting_override bad_value = {"kinto.batch_max", "x"};
    const struct setting_override bad_key = {"kinto.nope", "x"};

    ck_assert_int_eq(load("", &bad_value, 1), ERR_SYNTAX);
    ck_assert(str_starts(str_from(d.text), STR("command line: kinto.batch_max: found \"x\"")));
    ck_assert_int_eq(load("", &bad_key, 1), ERR_SYNTAX);
    ck_assert_str_eq(d.text, "command line: kinto.nope: there is no such setting");
    setenv("KINTO_READONLY", "maybe", 1);
    ck_assert_int_eq(load("", NULL, 0), ERR_SYNTAX);
    ck_assert(str_starts(str_from(d.text), STR("environment: kinto.readonly: found \"maybe\"")));
}
END_TEST

static const struct {
    const char *value, *shown;
} quotes[] = {
    {"", ""},
    {"a b", "a b"},
    {"account:alice@example.org", "account:alice@example.org"},
    {"postgresql://kinto:hunter2@db.example.org/kinto",
     "postgresql://kinto:*******@db.example.org/kinto"},
    {"redis://:hunter2@db.example.org:6379/1", "redis://:*******@db.example.org:6379/1"},
    {"http://a:b@c:d@e.example.org/", "http://a:*****@e.example.org/"},
    {"x://k:a/b?c#d'e\"f g:@h", "x://k:**************@h"},
    {"http://e.org:80/ http://a:b@h", "http://e.org:**************@h"}, /* rather too much */
    {"http://e.org http://a:b", "http://e.org http://a:*"},
    {"postgresql://kinto:hunter2word", "postgresql://kinto:***********"}, /* '@' was forgotten */
    {"postgresql://kinto:hunter2/word", "postgresql://kinto:************"},
    {"postgresql://kinto:8x", "postgresql://kinto:**"},
    {"postgresql://kinto:", "postgresql://kinto:"},
    {"http://e.org:8080", "http://e.org:8080"},
    {"http://e.org:8080/a:b", "http://e.org:8080/a:b"},
    {"http://[::1]:8080/", "http://[::1]:8080/"},
    {"http://[::1]", "http://[::1]"},
    {"postgresql://db/kinto?user=kinto&password=hunter2&a=b",
     "postgresql://db/kinto?user=kinto&password=*******&a=b"},
    {"x://h?SSLPassword=a@b:c/d e", "x://h?SSLPassword=*********"},
    {"host=db passwd=hunter2 user=kinto",
     "host=db passwd=******************"}, /* rather too much */
    {"access_token=a&client_secret=b&PWD=c&d=e", "access_token=*&client_secret=*&PWD=*&d=e"},
    {"passwords=a&password", "passwords=a&password"},
    {"password=", "password="},
    {"x://" LONG "?password=hunter2", "x://" LONG "?"},
    {"http://kinto@e.org/", "http://kinto@e.org/"},
    {"://", "://"},
    {"x://" LONG ":hunter2@h", "x://" LONG ":"}, /* cut behind it is hidden */
    {"x://k:" LONG "hunter2@h", "x://k:" STARS "**"},
};

START_TEST(passwords_of_urls_are_not_quoted)
{
    struct settings_quote q = settings_quote(str_from(quotes[_i].value));
    ck_assert_str_eq(q.text, quotes[_i].shown);
}
END_TEST

/* Of the row's own check and of settings_refuse(). */
START_TEST(messages_quote_without_passwords)
{
    ck_assert_int_eq(load("kinto.batch_max = x://kinto:hun/ter2@h\n", NULL, 0), ERR_SYNTAX);
    ck_assert(str_starts(str_from(d.text),
                         STR("k.ini:2: kinto.batch_max: found \"x://kinto:********@h\"")));
}
END_TEST

START_TEST(keys_without_the_prefix)
{
    load_ok(
        "batch_max = 7\nkinto.multiauth.policies = a\nreadonly = true\nkinto.readonly = true\n");
    ck_assert_int_eq(settings_int(s, "kinto.batch_max", 0), 7);
    ck_assert_str_eq(list_of("multiauth.policies"), "a|");
    ck_assert(settings_bool(s, "kinto.readonly"));
    ck_assert_str_eq(warnings, "");
    settings_free(s);
}
END_TEST

START_TEST(unknown_keys_are_warned_of)
{
    load_ok("kinto.foo = 1\nmultiauth.policy..use = x\n");
    ck_assert_str_eq(warnings,
                     "WARN unknown_setting key=\"kinto.foo\" file=\"k.ini\" line=2\n"
                     "WARN unknown_setting key=\"multiauth.policy..use\" file=\"k.ini\" line=3\n");
    settings_free(s);
}
END_TEST

static const char *without_effect(const char *body)
{
    load_ok(body);
    ck_assert_str_eq(warnings, "");
    settings_log_without_effect(s);
    settings_free(s);
    return warnings;
}

START_TEST(settings_without_effect_that_may_be_missed)
{
    ck_assert_str_eq(without_effect("kinto.sentry = url\n"),
                     "WARN setting_without_effect key=kinto.sentry from=\"k.ini:2\" "
                     "why=\"Nothing is sent.\"\n");
    warnings[0] = 0;
    ck_assert_str_eq(without_effect("kinto.quotas.x = 5\n"),
                     "WARN setting_without_effect key=kinto.quotas.x from=\"k.ini:2\" "
                     "why=\"No quotas.\"\n");
}
END_TEST

START_TEST(what_is_switched_off_is_not_missed)
{
    ck_assert_str_eq(without_effect("kinto.sentry =\nkinto.quotas.x = false\n"
                                    "kinto.newrelic = file\ntm.annotate = true\n"),
                     "");
}
END_TEST

START_TEST(settings_ignored_are_told_at_level_debug)
{
    log_set_level(LOG_DEBUG);
    ck_assert_str_eq(without_effect("kinto.newrelic = file\n"),
                     "DEBUG setting_ignored key=kinto.newrelic why=\"Python's.\"\n");
    log_set_level(LOG_INFO);
}
END_TEST

START_TEST(pastedeploys_globals)
{
    struct ini ini;
    const char *text = "[DEFAULT]\nhidden = 1\nkinto.readonly = true\nname = n\n"
                       "[app:main]\nuse = egg:kinto#main\nset x = y\nkinto.readonly = true\n"
                       "get kinto.project_name = name\n[other]\nkinto.batch_max = x\n";

    ck_assert_int_eq(ini_parse(&ini, str_from(text), "k.ini", NULL, 0, &d), OK);
    ck_assert_int_eq(settings_load(&s, tables, ARRAY_LEN(tables), &ini, NULL, 0, &d), OK);
    ini_free(&ini);
    ck_assert(!settings_bool(s, "kinto.readonly")); /* as the reference: in both, so in neither */
    ck_assert_str_eq(warnings, "WARN setting_hidden_by_default_section key=\"kinto.readonly\" "
                               "file=\"k.ini\" line=8\n");
    ck_assert_str_is(settings_str(s, "kinto.project_name"), "n");
    settings_free(s);
}
END_TEST

START_TEST(keys_of_the_server_section)
{
    load_ok("[server:main]\nuse = egg:waitress\nport = 99\nnope = 1\n");
    ck_assert_int_eq(settings_int(s, "kinto.server.port", 0), 99);
    ck_assert_str_is(settings_origin(s, "kinto.server.port"), "k.ini:4");
    ck_assert_str_eq(warnings, "WARN unknown_server_setting key=\"nope\" file=\"k.ini\" line=5\n");
    settings_free(s);
    load_ok("kinto.server.port = 1\n[server:main]\nport = 99\n");
    ck_assert_int_eq(settings_int(s, "kinto.server.port", 0), 1);
    settings_free(s);
    ck_assert_int_eq(load("[server:main]\nport = x\n", NULL, 0), ERR_SYNTAX);
    ck_assert(str_starts(str_from(d.text), STR("k.ini:3: kinto.server.port: found \"x\"")));
}
END_TEST

static char seen[1000];

static void note(void *arg, str key, str star, str value, str origin)
{
    size_t n = strlen(seen);
    ck_assert_ptr_eq(arg, &s);
    snprintf(seen + n, sizeof seen - n, STR_FMT " * " STR_FMT " = " STR_FMT " @ " STR_FMT "\n",
             STR_ARG(key), STR_ARG(star), STR_ARG(value), STR_ARG(origin));
}

static const char *each(const char *pattern)
{
    seen[0] = 0;
    settings_each(s, pattern, note, &s);
    return seen;
}

START_TEST(keys_with_stars)
{
    const struct setting_override over[] = {{"multiauth.policy.late.use", "z"},
                                            {"multiauth.policy.a.use", "y"}};

    ck_assert_int_eq(load("multiauth.policy.b.use = x\n"
                          "multiauth.policy.a.use = \"x2\"\n"
                          "multiauth.policy.empty.use =\n"
                          "kinto.plain_ttl = 5\n"
                          "buck_et_ttl = 6\n"
                          "kinto.b.c.record_x_ttl = 7\n",
                          over, 2),
                     OK);
    ck_assert_str_eq(each("multiauth.policy.*.use"),
                     "multiauth.policy.b.use * b = x @ k.ini:2\n"
                     "multiauth.policy.a.use * a = y @ command line\n"
                     "multiauth.policy.late.use * late = z @ command line\n");
    ck_assert_str_eq(each("kinto.*_ttl"), "kinto.plain_ttl * plain = 5 @ k.ini:5\n"
                                          "kinto.buck_et_ttl * buck_et = 6 @ k.ini:6\n");
    /* The longer row of the two that match; its first star as short as can be. */
    ck_assert_str_eq(each("kinto.*.record_*_ttl"), "kinto.b.c.record_x_ttl * b.c = 7 @ k.ini:7\n");
    ck_assert_str_eq(warnings, "");
    settings_free(s);
}
END_TEST

START_TEST(without_memory_nothing_is_left)
{
    unsigned nth = 1;

    for (;; nth++) {
        struct ini ini;
        enum err e;

        ck_assert_int_eq(ini_parse(&ini, STR("[app:main]\nkinto.creators = a b\nkinto.x_ttl = 5\n"),
                                   "k.ini", NULL, 0, &d),
                         OK);
        arena_test_fail_chunk(nth);
        e = settings_load(&s, tables, ARRAY_LEN(tables), &ini, NULL, 0, &d);
        arena_test_fail_chunk(0);
        ini_free(&ini);
        if (e == OK)
            break;
        ck_assert_int_eq(e, ERR_NOMEM);
    }
    ck_assert_uint_gt(nth, 1);
    settings_free(s);
}
END_TEST

START_TEST(asking_for_another_type_is_a_bug)
{
    load_ok("");
    settings_bool(s, "kinto.batch_max");
}
END_TEST

START_TEST(asking_for_no_row_is_a_bug)
{
    load_ok("");
    settings_bool(s, "kinto.nope");
}
END_TEST

START_TEST(two_rows_of_a_key_are_a_bug)
{
    const struct setting_table twice[] = {{core, 1}, {core, 1}};
    (void)!settings_load(&s, twice, 2, NULL, NULL, 0, &d);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *suite = suite_create("base/settings");
    TCase *tc = tcase_create("settings");
    const char *fork_mode = getenv("CK_FORK");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, defaults);
    tcase_add_test(tc, paths_may_hold_blanks);
    tcase_add_test(tc, every_path_is_told);
    tcase_add_test(tc, values_of_the_ini);
    tcase_add_test(tc, sources_in_their_order);
    tcase_add_test(tc, names_in_the_environment);
    tcase_add_test(tc, json_is_read_as_in_the_reference);
    tcase_add_test(tc, an_ipv6_address_in_brackets_begins_no_json);
    tcase_add_test(tc, what_is_not_json_stays_as_it_is);
    tcase_add_test(tc, empty_values);
    tcase_add_loop_test(tc, bad_values_stop_with_line_key_and_what_is_allowed, 0, ARRAY_LEN(bad));
    tcase_add_test(tc, bad_values_from_elsewhere_say_so);
    tcase_add_test(tc, keys_without_the_prefix);
    tcase_add_loop_test(tc, passwords_of_urls_are_not_quoted, 0, ARRAY_LEN(quotes));
    tcase_add_test(tc, messages_quote_without_passwords);
    tcase_add_test(tc, unknown_keys_are_warned_of);
    tcase_add_test(tc, settings_without_effect_that_may_be_missed);
    tcase_add_test(tc, what_is_switched_off_is_not_missed);
    tcase_add_test(tc, settings_ignored_are_told_at_level_debug);
    tcase_add_test(tc, pastedeploys_globals);
    tcase_add_test(tc, keys_of_the_server_section);
    tcase_add_test(tc, keys_with_stars);
    tcase_add_test(tc, without_memory_nothing_is_left);
    if (fork_mode == NULL || strcmp(fork_mode, "no") != 0) {
        tcase_add_test_raise_signal(tc, asking_for_another_type_is_a_bug, 6);
        tcase_add_test_raise_signal(tc, asking_for_no_row_is_a_bug, 6);
        tcase_add_test_raise_signal(tc, two_rows_of_a_key_are_a_bug, 6);
    }
    suite_add_tcase(suite, tc);
    return suite;
}

UNIT_MAIN(make_suite)
