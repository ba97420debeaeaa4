/*
 * Mails: what they look like, and what becomes of them at mail servers that the test plays, polite
 * ones and others.
 */
#include "base/hash.h"
#include "http/smtp.h"
#include "test/support/wait.h"
#include "test/unit/http/guard.h"
#include "test/unit/http/peer_test.h"

static struct arena arena;
static struct http_trust *trust;
static struct err_detail detail;

static void setup(void)
{
    arena_init(&arena, NULL, 0, NULL, 256 * MIB);
    trust = http_trust_new(certs.ca);
    ck_assert_ptr_nonnull(trust);
}

static void teardown(void)
{
    http_trust_free(trust);
    arena_fini(&arena);
}

#define must(e, want)                                                                              \
    do {                                                                                           \
        enum err e_ = (e);                                                                         \
        ck_assert_msg(e_ == (want), "%s, not %s: %s", err_text(e_), err_text(want), detail.text);  \
    } while (0)

/* ---- addresses ------------------------------------------------------------------------------- */

static const struct {
    const char *mailbox, *name, *address; /* address NULL: refused */
} mailboxes[] = {
    {"a@b", NULL, "a@b"},
    {" user.name+tag@mail.example.com ", NULL, "user.name+tag@mail.example.com"},
    {"<a@b>", NULL, "a@b"},
    {"Mathieu Agopian <m@example.com>", "Mathieu Agopian", "m@example.com"},
    {"\"Agopian, M.\" <m@example.com>", "Agopian, M.", "m@example.com"},
    {"\xc3\x89l\xc3\xa9onore <e@example.com>", "\xc3\x89l\xc3\xa9onore", "e@example.com"},
    {"!#$%&'*+-/=?^_`{|}~@x-1.y", NULL, "!#$%&'*+-/=?^_`{|}~@x-1.y"},
    {"", NULL, NULL},
    {"a", NULL, NULL},
    {"@b", NULL, NULL},
    {"a@", NULL, NULL},
    {"a@b@c", NULL, NULL},
    {"a b@c", NULL, NULL},
    {".a@b", NULL, NULL},
    {"a.@b", NULL, NULL},
    {"a..b@c", NULL, NULL},
    {"a@b..c", NULL, NULL},
    {"a@.b", NULL, NULL},
    {"a@b.", NULL, NULL},
    {"a@-b", NULL, NULL},
    {"a@b-", NULL, NULL},
    {"a@b_c", NULL, NULL},
    {"a@[127.0.0.1]", NULL, NULL},
    {"\"a b\"@c", NULL, NULL},
    {"a@b, c@d", NULL, NULL},
    {"a@b\r\nRCPT TO:<c@d>", NULL, NULL},
    {"a@b\nBcc: c@d", NULL, NULL},
    {"a\r\n@b", NULL, NULL},
    {"x\r\nBcc: c@d <a@b>", NULL, NULL},
    {"x\x01 <a@b>", NULL, NULL},
    {"a@b> <c@d", NULL, NULL},
    {"<a@b> <c@d>", NULL, NULL},
    {"x \"y\" <a@b>", NULL, NULL},
    {"x\\ <a@b>", NULL, NULL},
    {"\xff <a@b>", NULL, NULL},
    {"\xc3\xa9@b", NULL, NULL},
    {"a@\xc3\xa9", NULL, NULL},
    {"a@b>", NULL, NULL},
    {"<a@b", NULL, NULL},
};

START_TEST(mailbox)
{
    str name, address;
    str box = str_from(mailboxes[_i].mailbox);
    enum err e = mail_address((str){guarded(box), box.n}, &name, &address, &detail);

    ck_assert_msg(e == (mailboxes[_i].address != NULL ? OK : ERR_SYNTAX), "%s: %s",
                  mailboxes[_i].mailbox, err_text(e));
    ck_assert_int_eq(smtp_address_valid(box), e == OK);
    if (e != OK)
        return;
    ck_assert_str_is(address, mailboxes[_i].address);
    if (mailboxes[_i].name == NULL)
        ck_assert(str_none(name));
    else
        ck_assert_str_is(name, mailboxes[_i].name);
}
END_TEST

START_TEST(long_addresses)
{
    char a[400];

    memset(a, 'a', sizeof a);
    a[64] = '@';
    ck_assert(smtp_address_valid((str){a, 64 + 1 + 63}));
    ck_assert(!smtp_address_valid((str){a, 64 + 1 + 64})); /* a label */
    for (size_t i = 65 + 60; i < sizeof a; i += 60)
        a[i] = '.';
    ck_assert(smtp_address_valid((str){a, 254}));
    ck_assert(!smtp_address_valid((str){a, 255}));
    a[64] = 'a';
    a[65] = '@';
    ck_assert(!smtp_address_valid((str){a, 100})); /* the part before the @ */
    ck_assert(!smtp_address_valid(STR("a\0@b")));
    ck_assert(!smtp_address_valid(STR("a@b\0")));
}
END_TEST

/* ---- what a mail looks like ------------------------------------------------------------------- */

static const str one[] = {STR_INIT("you@example.com")};

static str build(const char *subject, str body)
{
    struct smtp_mail mail = {.from = STR("me@example.org"),
                             .to = one,
                             .nto = 1,
                             .subject = str_from(subject),
                             .body = body};
    str out = STR_NONE;

    must(smtp_build(&mail, &arena, &out, &detail), OK);
    return out;
}

static void must_have(str mail, const char *part)
{
    ck_assert_msg(str_find_str(mail, str_from(part)) != STR_NPOS, "no \"%s\" in\n" STR_FMT, part,
                  STR_ARG(mail));
}

/* What holds for every mail: ASCII without control characters, CR LF only, short lines. */
static void must_be_sendable(str mail)
{
    size_t start = 0;

    ck_assert(str_ends(mail, STR("\r\n")));
    for (size_t i = 0; i < mail.n; i++) {
        unsigned char c = (unsigned char)mail.p[i];
        if (c == '\n') {
            ck_assert(i > 0 && mail.p[i - 1] == '\r');
            ck_assert_uint_le(i - 1 - start, 78);
            start = i + 1;
        } else if (c == '\r') {
            ck_assert(i + 1 < mail.n && mail.p[i + 1] == '\n');
        } else {
            ck_assert(c == '\t' || (c >= 0x20 && c < 0x7f));
        }
    }
}

START_TEST(builds)
{
    str mail = build("Hello", STR("Dear you,\n\nthis is it.\n"));

    must_be_sendable(mail);
    ck_assert(str_starts(mail, STR("From: me@example.org\r\nTo: you@example.com\r\n"
                                   "Subject: Hello\r\nDate: ")));
    must_have(mail, " +0000\r\nMessage-ID: <");
    must_have(mail, "@example.org>\r\nMIME-Version: 1.0\r\n"
                    "Content-Type: text/plain; charset=utf-8\r\n"
                    "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                    "Dear you,\r\n\r\nthis is it.\r\n");
    ck_assert(!str_eq(mail, build("Hello", STR("x")))); /* an ID of its own */
}
END_TEST

static int64_t in_2026(void)
{
    return INT64_C(1767225600000); /* 2026-01-01T00:00:00Z */
}

START_TEST(dates)
{
    clock_test_wall(in_2026);
    must_have(build("x", STR("")), "\r\nDate: Thu, 01 Jan 2026 00:00:00 +0000\r\n");
    clock_test_wall(NULL);
}
END_TEST

static const struct {
    const char *subject, *line;
} subjects[] = {
    {"", "Subject: \r\n"},
    {"Plain: text, (yes) \"it\" is", "Subject: Plain: text, (yes) \"it\" is\r\n"},
    {"Caf\xc3\xa9", "Subject: =?utf-8?B?Q2Fmw6k=?=\r\n"},
    {"=?utf-8?Q?x?=", "Subject: =?utf-8?B?PT91dGYtOD9RP3g/PQ==?=\r\n"},
};

START_TEST(subject_lines)
{
    str mail = build(subjects[_i].subject, STR("x"));

    must_be_sendable(mail);
    must_have(mail, subjects[_i].line);
}
END_TEST

/* Undoes the encoded words of the Subject; every one must be UTF-8 of its own. */
static str decoded_subject(str mail)
{
    struct buf b;
    str rest = str_drop(mail, str_find_str(mail, STR("Subject: ")) + 9);

    rest = str_sub(rest, 0, str_find_str(rest, STR("\r\nDate: ")));
    buf_init_arena(&b, &arena, MIB);
    while (rest.n > 0) {
        str word, text;
        if (str_starts(rest, STR("\r\n ")))
            rest = str_drop(rest, 3);
        ck_assert(str_starts(rest, STR("=?utf-8?B?")));
        rest = str_drop(rest, 10);
        word = str_sub(rest, 0, str_find_str(rest, STR("?=")));
        rest = str_drop(rest, word.n + 2);
        ck_assert_uint_le(word.n, 63);
        ck_assert_int_eq(hash_base64_decode(&arena, word, &text), OK);
        ck_assert(str_utf8_valid(text));
        buf_add_str(&b, text);
    }
    return buf_str(&b);
}

START_TEST(long_subjects)
{
    static const char *const characters[] = {"a", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    size_t width = strlen(characters[_i]);
    char text[1001];
    str mail;

    for (size_t shift = 0; shift < 4; shift++) {
        size_t n = shift;
        memset(text, 'x', shift);
        for (; n + width <= 1000; n += width)
            memcpy(text + n, characters[_i], width);
        text[n] = '\0';
        mail = build(text, STR("x"));
        must_be_sendable(mail);
        ck_assert_str_is(decoded_subject(mail), text);
    }
}
END_TEST

static const struct {
    const char *body, *encoded;
} bodies[] = {
    {"", "quoted-printable\r\n\r\n"},
    {"a\nb\r\nc\rd", "quoted-printable\r\n\r\na\r\nb\r\nc\r\nd\r\n"},
    {"1=2", "quoted-printable\r\n\r\n1=3D2\r\n"},
    {"end \nand\t\n.", "quoted-printable\r\n\r\nend=20\r\nand=09\r\n.\r\n"},
    {"a caf\xc3\xa9 here and there", "quoted-printable\r\n\r\na caf=C3=A9 here and there\r\n"},
    {"control \x01 and\x0c so on and on",
     "quoted-printable\r\n\r\ncontrol =01 and=0C so on and on\r\n"},
    {"\xe4\xbd\xa0\xe5\xa5\xbd", "base64\r\n\r\n5L2g5aW9DQo=\r\n"},
};

START_TEST(body_encodings)
{
    str mail = build("x", str_from(bodies[_i].body));

    must_be_sendable(mail);
    ck_assert_msg(str_ends(mail, str_from(bodies[_i].encoded)), STR_FMT, STR_ARG(mail));
}
END_TEST

static size_t undo_quoted(str in, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < in.n; i++) {
        if (in.p[i] != '=') {
            out[n++] = in.p[i];
        } else if (in.p[i + 1] == '\r') {
            i += 2;
        } else {
            out[n++] = (char)(str_hex_digit(in.p[i + 1]) << 4 | str_hex_digit(in.p[i + 2]));
            i += 2;
        }
    }
    return n;
}

/* Every length around the line's, with what is awkward at its end. */
START_TEST(long_lines)
{
    static const char *const ends[] = {"", " ", "=", "\t", "\xc3\xa9", ".", " ="};
    static char out[4000];

    for (size_t n = 60; n < 240; n++) {
        char text[300];
        memset(text, 'a', sizeof text);
        memcpy(text + n, ends[_i], strlen(ends[_i]) + 1);
        str mail = build("x", str_from(text));
        must_be_sendable(mail);
        size_t at = str_find_str(mail, STR("quoted-printable\r\n\r\n"));
        ck_assert_uint_ne(at, STR_NPOS);
        str body = str_drop(mail, at + 20);
        for (size_t i = 0, column = 0; i < body.n; i++, column++) {
            if (body.p[i] == '\r')
                ck_assert_uint_le(column, 76);
            if (body.p[i] == '\n')
                column = SIZE_MAX;
        }
        size_t got = undo_quoted(body, out);
        ck_assert_str_is(((str){out, got - 2}), text);
    }
}
END_TEST

START_TEST(base64_bodies)
{
    struct buf b;
    str mail, decoded;
    size_t at;

    buf_init_arena(&b, &arena, MIB);
    for (int i = 0; i < 1000; i++)
        buf_add_str(&b, i % 30 == 29 ? STR("\r\n") : STR("\xe4\xbd\xa0"));
    buf_add_lit(&b, "\r\n");
    mail = build("x", buf_str(&b));
    must_be_sendable(mail);
    at = str_find_str(mail, STR("base64\r\n\r\n"));
    ck_assert_uint_ne(at, STR_NPOS);
    ck_assert_int_eq(hash_base64_decode(&arena, str_drop(mail, at + 10), &decoded), OK);
    ck_assert(str_eq(decoded, buf_str(&b)));
}
END_TEST

START_TEST(names_and_many_recipients)
{
    str to[SMTP_MAX_TO + 1], out = STR_NONE;
    struct smtp_mail mail = {.from = STR("K\xc3\xafnto <kinto@example.com>"),
                             .to = to,
                             .nto = SMTP_MAX_TO,
                             .subject = STR("x"),
                             .body = STR("x")};

    for (size_t i = 0; i < ARRAY_LEN(to); i++)
        to[i] = i % 2 ? STR("you@example.com") : STR("You, Too <you@example.com>");
    must(smtp_build(&mail, &arena, &out, &detail), OK);
    must_be_sendable(out);
    must_have(out, "From: =?utf-8?B?S8OvbnRv?=\r\n <kinto@example.com>\r\n");
    must_have(out, "To: \"You, Too\"\r\n <you@example.com>,\r\n you@example.com,\r\n \"You");
    mail.nto++;
    must(smtp_build(&mail, &arena, &out, &detail), ERR_LIMIT);
    mail.nto = 0;
    must(smtp_build(&mail, &arena, &out, &detail), ERR_SYNTAX);
}
END_TEST

static const struct {
    str from, to, subject, body;
} unmailable[] = {
    {STR_INIT("a\r\nBcc: x@y@b"), STR_INIT("c@d"), STR_INIT("x"), STR_INIT("x")},
    {STR_INIT(""), STR_INIT("c@d"), STR_INIT("x"), STR_INIT("x")},
    {STR_INIT("a@b"), STR_INIT("c@d\r\nBcc: x@y"), STR_INIT("x"), STR_INIT("x")},
    {STR_INIT("a@b"), STR_INIT("c@d>"), STR_INIT("x"), STR_INIT("x")},
    {STR_INIT("a@b"), STR_INIT("c@d"), STR_INIT("x\r\nBcc: x@y"), STR_INIT("x")},
    {STR_INIT("a@b"), STR_INIT("c@d"), STR_INIT("x\nBcc: x@y"), STR_INIT("x")},
    {STR_INIT("a@b"), STR_INIT("c@d"), STR_INIT("x\0"), STR_INIT("x")},
    {STR_INIT("a@b"), STR_INIT("c@d"), STR_INIT("\xff"), STR_INIT("x")},
    {STR_INIT("a@b"), STR_INIT("c@d"), STR_INIT("x"), STR_INIT("\xc3")},
};

START_TEST(is_no_mail)
{
    struct smtp_mail mail = {.from = unmailable[_i].from,
                             .to = &unmailable[_i].to,
                             .nto = 1,
                             .subject = unmailable[_i].subject,
                             .body = unmailable[_i].body};
    struct smtp_settings s = {.host = STR("127.0.0.1"), .port = 1};
    str out = STR("untouched");

    must(smtp_build(&mail, &arena, &out, &detail), ERR_SYNTAX);
    ck_assert_str_is(out, "untouched");
    must(smtp_send(&s, &mail, &arena, NULL, &detail),
         ERR_SYNTAX); /* before a connection is tried */
}
END_TEST

START_TEST(large_bodies)
{
    size_t n = SMTP_MAX_BODY_BYTES;
    char *big = malloc(n + 1);
    struct smtp_mail mail = {.from = STR("a@b"), .to = one, .nto = 1, .body = {big, n}};
    str out;

    ck_assert_ptr_nonnull(big);
    memset(big, '=', n + 1);
    mail.subject = STR("x");
    must(smtp_build(&mail, &arena, &out, &detail), OK);
    memset(big, '\n', n + 1);
    must(smtp_build(&mail, &arena, &out, &detail), OK);
    mail.body.n++;
    must(smtp_build(&mail, &arena, &out, &detail), ERR_LIMIT);
    free(big);
}
END_TEST

/* ---- servers --------------------------------------------------------------------------------- */

/* A mail server by a script: what it says to each command, in order. A command that does not begin as
 * expected ends the connection; "" stands for silence until the client goes. */
struct script {
    const char *greeting;
    struct {
        const char *command, *reply; /* command "": any line; NULL: the end */
    } steps[16];
    bool tls, starttls; /* TLS at once; TLS behind the reply to STARTTLS */
    enum cert cert;
};

/* The text of a mail, up to its dot. */
static bool read_text(struct side *s)
{
    const char *line;

    while ((line = side_line(s)) != NULL && strcmp(line, ".") != 0)
        continue;
    return line != NULL;
}

static void part_smtp(struct side *s, const void *arg)
{
    const struct script *t = arg;

    if ((t->tls && !side_start_tls(s, t->cert)) || !side_say(s, t->greeting))
        return;
    for (int i = 0; t->steps[i].command != NULL; i++) {
        bool text = strcmp(t->steps[i].command, "(text)") == 0;
        const char *line = text ? NULL : side_line(s);
        if (text ? !read_text(s)
                 : line == NULL ||
                       strncmp(line, t->steps[i].command, strlen(t->steps[i].command)) != 0)
            return;
        if (*t->steps[i].reply == '\0')
            side_wait_end(s);
        if (!side_say(s, t->steps[i].reply))
            return;
        if (t->starttls && strcmp(t->steps[i].command, "STARTTLS") == 0 &&
            !side_start_tls(s, t->cert))
            return;
    }
}

static const str two[] = {STR_INIT("you@example.com"), STR_INIT("Her <her@example.com>")};
static const struct smtp_mail mail_to_two = {
    .to = two, .nto = 2, .subject = STR_INIT("Hi"), .body = STR_INIT(".\n..\n.x\ny\n")};

static struct smtp_settings settings_for(const struct peer *p)
{
    return (struct smtp_settings){.host = STR("localhost"),
                                  .port = p->port,
                                  .trust = trust,
                                  .sender = STR("Kinto <kinto@example.com>"),
                                  .timeout_ms = PEER_MS};
}

#define MAIL_STEPS                                                                                 \
    {"MAIL FROM:<kinto@example.com>", "250 OK\r\n"}, {"RCPT TO:<you@example.com>", "250 OK\r\n"},  \
        {"RCPT TO:<her@example.com>", "251 Moved\r\n"}, {"DATA", "354 Go\r\n"},                    \
        {"(text)", "250 Queued\r\n"},                                                              \
    {                                                                                              \
        "QUIT", "221 Bye\r\n"                                                                      \
    }
#define EHLO_STEP(lines)                                                                           \
    {                                                                                              \
        "EHLO ", lines                                                                             \
    }

/* As which this machine introduces itself: a name, or an address literal (RFC 5321, 4.1.4). */
static const char *own_name(void)
{
    static char name[256];

    ck_assert_int_eq(gethostname(name, sizeof name - 1), 0);
    return mail_domain_valid(str_from(name)) ? name : "[127.0.0.1]";
}

START_TEST(sends)
{
    static const struct script t = {
        .greeting = "220-mail.example.com\r\n220 ESMTP\r\n",
        .steps = {EHLO_STEP("250-mail\r\n250-SIZE 100000\r\n250 8BITMIME\r\n"), MAIL_STEPS}};
    struct peer *p = peer_start(part_smtp, &t);
    struct smtp_settings s = settings_for(p);

    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), OK);
    peer_stop(p);
    ck_assert_ptr_nonnull(strstr(p->got, "\r\nMAIL FROM:<kinto@example.com> SIZE="));
    ck_assert_ptr_nonnull(strstr(p->got, "\r\nFrom: \"Kinto\"\r\n <kinto@example.com>\r\n"));
    ck_assert_ptr_nonnull(strstr(p->got, arena_printf(&arena, "EHLO %s\r\n", own_name()).p));
    /* Dots at the begin of a line are doubled, and nothing ends the text early. */
    ck_assert_ptr_nonnull(strstr(p->got, "\r\n\r\n..\r\n...\r\n..x\r\ny\r\n.\r\nQUIT\r\n"));
    ck_assert_uint_eq(count_of(p->got, "\r\n.\r\n"), 1);
    peer_free(p);
}
END_TEST

START_TEST(old_servers)
{
    static const struct script t = {
        .greeting = "220 old\r\n",
        .steps = {EHLO_STEP("502 What?\r\n"), {"HELO ", "250 Hello\r\n"}, MAIL_STEPS}};
    struct peer *p = peer_start(part_smtp, &t);
    struct smtp_settings s = settings_for(p);

    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), OK);
    s.tls = SMTP_STARTTLS;
    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), ERR_REFUSED);
    peer_free(p);
}
END_TEST

/* Each step of a mail refused, for now and for good. */
#define REFUSED "550-No\r\n550 never\x1b[31m\r\n"
#define LATER   "451 not now\r\n"
#define HELLO   EHLO_STEP("250 mail\r\n")
#define FROM                                                                                       \
    {                                                                                              \
        "MAIL FROM:", "250 OK\r\n"                                                                 \
    }
#define TO                                                                                         \
    {                                                                                              \
        "RCPT TO:", "250 OK\r\n"                                                                   \
    }
#define BYE                                                                                        \
    {                                                                                              \
        "QUIT", "221 Bye\r\n"                                                                      \
    }

static const struct {
    struct script t;
    enum err e;
    const char *text;
    bool bye; /* QUIT is said */
} refusals[] = {
    {{.greeting = "554 go away\r\n", .steps = {BYE}},
     ERR_REFUSED,
     "the greeting: 554 go away",
     true},
    {{.greeting = "421 busy\r\n", .steps = {BYE}}, ERR_AGAIN, "the greeting: 421 busy", true},
    {{.greeting = "220 x\r\n", .steps = {EHLO_STEP(LATER), BYE}}, ERR_AGAIN, "EHLO: 451", true},
    {{.greeting = "220 x\r\n", .steps = {EHLO_STEP(REFUSED), {"HELO", REFUSED}, BYE}},
     ERR_REFUSED,
     "HELO: 550",
     true},
    {{.greeting = "220 x\r\n", .steps = {HELLO, {"MAIL", REFUSED}, BYE}},
     ERR_REFUSED,
     "MAIL FROM: 550 never?[31m",
     true},
    {{.greeting = "220 x\r\n", .steps = {HELLO, {"MAIL", LATER}, BYE}},
     ERR_AGAIN,
     "MAIL FROM: 451 not now",
     true},
    {{.greeting = "220 x\r\n", .steps = {HELLO, FROM, {"RCPT", REFUSED}, BYE}},
     ERR_REFUSED,
     "RCPT TO: 550",
     true},
    {{.greeting = "220 x\r\n", .steps = {HELLO, FROM, TO, {"RCPT", LATER}, BYE}},
     ERR_AGAIN,
     "RCPT TO: 451",
     true},
    {{.greeting = "220 x\r\n", .steps = {HELLO, FROM, TO, TO, {"DATA", REFUSED}, BYE}},
     ERR_REFUSED,
     "DATA: 550",
     true},
    {{.greeting = "220 x\r\n", .steps = {HELLO, FROM, TO, TO, {"DATA", LATER}, BYE}},
     ERR_AGAIN,
     "DATA: 451",
     true},
    {{.greeting = "220 x\r\n",
      .steps = {HELLO, FROM, TO, TO, {"DATA", "354\r\n"}, {"(text)", REFUSED}, BYE}},
     ERR_REFUSED,
     "the mail: 550",
     true},
    {{.greeting = "220 x\r\n",
      .steps = {HELLO, FROM, TO, TO, {"DATA", "354\r\n"}, {"(text)", LATER}, BYE}},
     ERR_AGAIN,
     "the mail: 451",
     true},
    {{.greeting = "220 x\r\n", .steps = {HELLO, FROM, TO, TO, {"DATA", "250 OK\r\n"}}},
     ERR_CORRUPT,
     "DATA: 250",
     false},
    /* gone, at each step */
    {{.greeting = ""}, ERR_CLOSED, "closed the connection", false},
    {{.greeting = "220 x\r\n"}, ERR_CLOSED, "closed the connection", false},
    {{.greeting = "220 x\r\n", .steps = {HELLO}}, ERR_CLOSED, "closed", false},
    {{.greeting = "220 x\r\n", .steps = {HELLO, FROM, TO, TO, {"DATA", "354 Go\r\n"}}},
     ERR_CLOSED,
     "",
     false},
    /* silent, at each step */
    {{.greeting = "220-x\r\n", .steps = {{"never", ""}}}, ERR_TIMEOUT, "took too long", false},
    {{.greeting = "220 x\r\n", .steps = {EHLO_STEP("")}}, ERR_TIMEOUT, "took too long", false},
    {{.greeting = "220 x\r\n", .steps = {HELLO, {"MAIL", ""}}},
     ERR_TIMEOUT,
     "took too long",
     false},
    {{.greeting = "220 x\r\n",
      .steps = {HELLO, FROM, TO, TO, {"DATA", "354 Go\r\n"}, {"(text)", ""}}},
     ERR_TIMEOUT,
     "took too long",
     false},
    /* nonsense */
    {{.greeting = "SSH-2.0-OpenSSH\r\n"}, ERR_CORRUPT, "not the reply of a mail server", false},
    {{.greeting = "22\r\n"}, ERR_CORRUPT, "not the reply", false},
    {{.greeting = "2200 x\r\n"}, ERR_CORRUPT, "not the reply", false},
    {{.greeting = "650 x\r\n"}, ERR_CORRUPT, "not the reply", false},
    {{.greeting = "150 x\r\n"}, ERR_CORRUPT, "not the reply", false},
    {{.greeting = "220-x\r\n250 y\r\n"}, ERR_CORRUPT, "not the reply", false},
    {{.greeting = "220 x\r\n", .steps = {EHLO_STEP("250-a\r\n250-SIZE 10\r\n250 c\r\n"), BYE}},
     ERR_LIMIT,
     "takes no mail of",
     false},
};

START_TEST(refuses)
{
    struct peer *p = peer_start(part_smtp, &refusals[_i].t);
    struct smtp_settings s = settings_for(p);
    uint64_t start = clock_mono_ms();

    if (refusals[_i].e == ERR_TIMEOUT)
        s.timeout_ms = 200;
    /* The script that waits for "never" closes when the client says something else; it does not. */
    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), refusals[_i].e);
    ck_assert_msg(strstr(detail.text, refusals[_i].text) != NULL, "%s", detail.text);
    ck_assert_ptr_nonnull(strstr(detail.text, "localhost:"));
    ck_assert_uint_lt(clock_mono_ms() - start, 5000);
    peer_stop(p);
    ck_assert_uint_eq(count_of(p->got, "QUIT\r\n"), refusals[_i].bye);
    peer_free(p);
}
END_TEST

static void part_endless(struct side *s, const void *arg)
{
    while (side_say(s, arg))
        continue;
}

START_TEST(endless_replies)
{
    static const char *const texts[] = {"220-x\r\n", "220-xxxxxxxxxxxxxxxxxxxx"};

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct peer *p = peer_start(part_endless, texts[i]);
        struct smtp_settings s = settings_for(p);
        must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), ERR_LIMIT);
        peer_free(p);
    }
}
END_TEST

/* ---- TLS ------------------------------------------------------------------------------------- */

#define EHLO_TLS EHLO_STEP("250-mail\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n")
#define START                                                                                      \
    {                                                                                              \
        "STARTTLS", "220 Go\r\n"                                                                   \
    }

START_TEST(starttls)
{
    /* What is offered before TLS does not count behind it: there it is LOGIN. */
    static const struct script t = {.greeting = "220 x\r\n",
                                    .starttls = true,
                                    .cert = CERT_GOOD,
                                    .steps = {EHLO_TLS,
                                              START,
                                              EHLO_STEP("250-mail\r\n250 auth login\r\n"),
                                              {"AUTH LOGIN", "334 VXNlcm5hbWU6\r\n"},
                                              {"bWU=", "334 UGFzc3dvcmQ6\r\n"},
                                              {"czNjcmV0", "235 Welcome\r\n"},
                                              MAIL_STEPS}};
    struct peer *p = peer_start(part_smtp, &t);
    struct smtp_settings s = settings_for(p);

    s.tls = SMTP_STARTTLS;
    s.user = STR("me");
    s.password = STR("s3cret");
    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), OK);
    peer_free(p);
}
END_TEST

START_TEST(tls_at_once)
{
    static const struct script t = {
        .greeting = "220 x\r\n", .tls = true, .cert = CERT_GOOD, .steps = {HELLO, MAIL_STEPS}};
    struct peer *p = peer_start(part_smtp, &t);
    struct smtp_settings s = settings_for(p);

    s.tls = SMTP_TLS;
    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), OK);
    peer_free(p);
}
END_TEST

static const struct {
    struct script t;
    enum smtp_tls tls;
    enum err e;
    const char *text;
} bad_tls[] = {
    {{.greeting = "220 x\r\n", .steps = {HELLO, BYE}},
     SMTP_STARTTLS,
     ERR_UNSUPPORTED,
     "does not offer STARTTLS"},
    {{.greeting = "220 x\r\n", .steps = {EHLO_TLS, {"STARTTLS", "454 no\r\n"}, BYE}},
     SMTP_STARTTLS,
     ERR_AGAIN,
     "STARTTLS: 454 no"},
    /* Somebody in between adds a command's answer in the clear. */
    {{.greeting = "220 x\r\n", .steps = {EHLO_TLS, {"STARTTLS", "220 Go\r\n250 OK\r\n"}, {"", ""}}},
     SMTP_STARTTLS,
     ERR_CORRUPT,
     "spoke before TLS had begun"},
    {{.greeting = "220 x\r\n", .starttls = true, .cert = CERT_EXPIRED, .steps = {EHLO_TLS, START}},
     SMTP_STARTTLS,
     ERR_UNTRUSTED,
     "has expired"},
    {{.greeting = "220 x\r\n", .tls = true, .cert = CERT_OTHER, .steps = {HELLO}},
     SMTP_TLS,
     ERR_UNTRUSTED,
     "is for another host"},
    {{.greeting = "220 x\r\n", .tls = true, .cert = CERT_STRANGER, .steps = {HELLO}},
     SMTP_TLS,
     ERR_UNTRUSTED,
     "not signed by a trusted authority"},
};

START_TEST(tls_that_fails)
{
    struct peer *p = peer_start(part_smtp, &bad_tls[_i].t);
    struct smtp_settings s = settings_for(p);

    s.tls = bad_tls[_i].tls;
    s.user = STR("me");
    s.password = STR("s3cret");
    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), bad_tls[_i].e);
    ck_assert_msg(strstr(detail.text, bad_tls[_i].text) != NULL, "%s", detail.text);
    peer_stop(p);
    ck_assert_uint_eq(count_of(p->got, "AUTH"), 0);
    peer_free(p);
}
END_TEST

/* At each step of a talk with a server that falls silent, with and without TLS. */
static const struct {
    struct script t;
    enum smtp_tls tls;
} silences[] = {
    {{.greeting = "", .steps = {{"", ""}}}, SMTP_PLAIN},
    {{.greeting = "", .steps = {{"", ""}}}, SMTP_TLS},
    {{.greeting = "220 x\r\n", .steps = {EHLO_STEP("")}}, SMTP_PLAIN},
    {{.greeting = "220 x\r\n", .tls = true, .steps = {EHLO_STEP("")}}, SMTP_TLS},
};

struct sender {
    const struct smtp_settings *s;
    enum err e;
};

static void *send_one(void *arg)
{
    struct sender *x = arg;

    x->e = smtp_send(x->s, &mail_to_two, &arena, NULL, &detail);
    return NULL;
}

START_TEST(cancelled)
{
    struct peer *p = peer_start(part_smtp, &silences[_i].t);
    struct smtp_settings s = settings_for(p);
    struct http_cancel cancel;
    struct sender mine = {.s = &s};
    pthread_t thread;

    ck_assert_int_eq(http_cancel_init(&cancel, &detail), OK);
    s.cancel = &cancel;
    s.tls = silences[_i].tls;
    s.timeout_ms = s.connect_timeout_ms = 6 * PEER_MS;
    ck_assert_int_eq(pthread_create(&thread, NULL, send_one, &mine), 0);
    uint64_t start = clock_mono_ms();
    while (connections(p) == 0 && clock_mono_ms() - start < PEER_MS)
        wait_tick();
    start = clock_mono_ms();
    http_cancel_now(&cancel);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    must(mine.e, ERR_AGAIN);
    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), ERR_AGAIN); /* for good */
    ck_assert_uint_lt(clock_mono_ms() - start, PEER_MS);
    peer_free(p);
    http_cancel_fini(&cancel);
}
END_TEST

/* ---- logging in ------------------------------------------------------------------------------ */

#define EHLO_AUTH EHLO_STEP("250-mail\r\n250 AUTH CRAM-MD5 LOGIN PLAIN\r\n")

static const struct {
    struct script t;
    enum err e;
    const char *text;
} logins[] = {
    /* \0me\0s3cret */
    {{.greeting = "220 x\r\n",
      .steps = {EHLO_AUTH, {"AUTH PLAIN AG1lAHMzY3JldA==", "235 Welcome\r\n"}, MAIL_STEPS}},
     OK,
     ""},
    {{.greeting = "220 x\r\n", .steps = {EHLO_AUTH, {"AUTH PLAIN", "535 wrong\r\n"}, BYE}},
     ERR_REFUSED,
     "AUTH: 535 wrong"},
    {{.greeting = "220 x\r\n", .steps = {EHLO_AUTH, {"AUTH PLAIN", "454 later\r\n"}, BYE}},
     ERR_AGAIN,
     "AUTH: 454 later"},
    {{.greeting = "220 x\r\n", .steps = {EHLO_AUTH, {"AUTH PLAIN", "334 \r\n"}, BYE}},
     ERR_CORRUPT,
     "AUTH: 334"},
    {{.greeting = "220 x\r\n", .steps = {HELLO, BYE}},
     ERR_UNSUPPORTED,
     "offers neither AUTH PLAIN"},
    {{.greeting = "220 x\r\n", .steps = {EHLO_STEP("250-mail\r\n250 AUTH GSSAPI\r\n"), BYE}},
     ERR_UNSUPPORTED,
     "offers neither AUTH PLAIN"},
    {{.greeting = "220 x\r\n",
      .steps = {EHLO_STEP("250-x\r\n250 AUTH LOGIN\r\n"),
                {"AUTH LOGIN", "334 x\r\n"},
                {"bWU=", "535 no\r\n"},
                BYE}},
     ERR_REFUSED,
     "AUTH: 535 no"},
};

START_TEST(logs_in)
{
    struct peer *p = peer_start(part_smtp, &logins[_i].t);
    struct smtp_settings s = settings_for(p);

    s.user = STR("me");
    s.password = STR("s3cret");
    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), logins[_i].e);
    if (logins[_i].e != OK)
        ck_assert_msg(strstr(detail.text, logins[_i].text) != NULL, "%s", detail.text);
    ck_assert_ptr_null(strstr(detail.text, "s3cret"));
    peer_free(p);
}
END_TEST

/* A long secret goes into a line of its own. */
START_TEST(logs_in_with_a_long_password)
{
    static const struct script t = {.greeting = "220 x\r\n",
                                    .steps = {EHLO_AUTH,
                                              {"AUTH PLAIN", "334 \r\n"},
                                              {"AG1lAHBwcHBw", "235 Welcome\r\n"},
                                              MAIL_STEPS}};
    struct peer *p = peer_start(part_smtp, &t);
    struct smtp_settings s = settings_for(p);
    char password[501];

    memset(password, 'p', sizeof password);
    s.user = STR("me");
    s.password = (str){password, 500};
    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), OK);
    s.password.n++;
    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), ERR_SYNTAX);
    peer_stop(p);
    ck_assert_ptr_nonnull(strstr(p->got, "\r\nAUTH PLAIN\r\nAG1lAHBwcHBw"));
    peer_free(p);
}
END_TEST

START_TEST(bad_settings)
{
    struct smtp_settings s = {.host = STR("127.0.0.1"), .port = 1, .sender = STR("a@b")};

    s.user = STR("me");
    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), ERR_SYNTAX);
    s.user = STR_NONE;
    s.password = STR("x");
    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), ERR_SYNTAX);
    s.user = STR("a\0b");
    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), ERR_SYNTAX);
    s.user = s.password = STR_NONE;
    s.host = STR("a\r\nb");
    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), ERR_SYNTAX);
    s.host = STR("127.0.0.1");
    s.port = free_port();
    must(smtp_send(&s, &mail_to_two, &arena, NULL, &detail), ERR_IO);
    ck_assert_int_eq(detail.sys_errno, ECONNREFUSED);
}
END_TEST

START_TEST(out_of_memory)
{
    static const struct script t = {.greeting = "220 x\r\n", .steps = {HELLO, MAIL_STEPS}};
    struct peer *p = peer_start(part_smtp, &t);
    struct smtp_settings s = settings_for(p);
    size_t n = 200 * KIB;
    char *big = malloc(n);
    struct smtp_mail mail = mail_to_two;
    unsigned i;

    ck_assert_ptr_nonnull(big);
    memset(big, '.', n);
    mail.body = (str){big, n};
    for (i = 1; i < 200; i++) {
        struct arena own;
        enum err e;
        arena_init(&own, NULL, 0, NULL, 64 * MIB);
        arena_test_fail_chunk(i);
        e = smtp_send(&s, &mail, &own, NULL, &detail);
        arena_test_fail_chunk(0);
        arena_fini(&own);
        ck_assert_msg(e == ERR_NOMEM || e == OK, "%u: %s: %s", i, err_text(e), detail.text);
        if (e == OK)
            break;
    }
    ck_assert_uint_gt(i, 3);
    ck_assert_uint_lt(i, 200);
    free(big);
    peer_free(p);
}
END_TEST

static Suite *smtp_suite(void)
{
    Suite *s = suite_create("http/smtp");
    TCase *c = tcase_create("all");

    tcase_set_timeout(c, 60);
    tcase_add_unchecked_fixture(c, certs_make, certs_remove);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, mailbox, 0, ARRAY_LEN(mailboxes));
    tcase_add_test(c, long_addresses);
    tcase_add_test(c, builds);
    tcase_add_test(c, dates);
    tcase_add_loop_test(c, subject_lines, 0, ARRAY_LEN(subjects));
    tcase_add_loop_test(c, long_subjects, 0, 4);
    tcase_add_loop_test(c, body_encodings, 0, ARRAY_LEN(bodies));
    tcase_add_loop_test(c, long_lines, 0, 7);
    tcase_add_test(c, base64_bodies);
    tcase_add_test(c, names_and_many_recipients);
    tcase_add_loop_test(c, is_no_mail, 0, ARRAY_LEN(unmailable));
    tcase_add_test(c, large_bodies);
    tcase_add_test(c, sends);
    tcase_add_test(c, old_servers);
    tcase_add_loop_test(c, refuses, 0, ARRAY_LEN(refusals));
    tcase_add_test(c, endless_replies);
    tcase_add_test(c, starttls);
    tcase_add_test(c, tls_at_once);
    tcase_add_loop_test(c, tls_that_fails, 0, ARRAY_LEN(bad_tls));
    tcase_add_loop_test(c, cancelled, 0, ARRAY_LEN(silences));
    tcase_add_loop_test(c, logs_in, 0, ARRAY_LEN(logins));
    tcase_add_test(c, logs_in_with_a_long_password);
    tcase_add_test(c, bad_settings);
    tcase_add_test(c, out_of_memory);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(smtp_suite)
