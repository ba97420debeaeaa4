/*
 * http/smtp.c - hands a mail to a server (RFC 5321; STARTTLS: RFC 3207; AUTH: RFC 4954).
 *
 *     greeting -> EHLO [-> STARTTLS -> EHLO] [-> AUTH] -> MAIL -> RCPT ... -> DATA -> text -> QUIT
 *
 * One command at a time, each with its reply (no pipelining: a mail is a few round trips). Nothing of
 * what the server said before TLS counts behind it, and bytes that it sent too early end the talk
 * (dial_start_tls), since somebody else may have put them there.
 */
#include "http/smtp.h"
#include "base/clock.h"
#include "base/hash.h"
#include "http/outbound.h"

#include <unistd.h>

#define TIMEOUT_MS         30000
#define CONNECT_TIMEOUT_MS 10000
#define QUIT_MS            1000 /* the mail is through, or not; this is politeness */
#define MAX_REPLY_LINES    100
#define MAX_SECRET         500 /* bytes of a user's name or password */
#define MAX_INITIAL        480 /* a command line has 512 characters (RFC 5321, 4.5.3.1.4) */
#define MAX_TEXT           160 /* of a reply, in messages */
#define MAX_STUFFED        (64 * MIB)

/* What a server can do, by its answer to EHLO. */
struct abilities {
    bool starttls, plain, login, size;
    uint64_t max_bytes; /* 0: no limit is known */
};

struct talk {
    const struct smtp_settings *s;
    struct arena *arena;
    struct err_detail *detail;
    struct abilities can;
    char local_name[256];
    struct dial dial;
    enum smtp_stage stage;
};

struct reply {
    int code;
    char text[MAX_TEXT + 1]; /* of its last line, fit for a message */
};

static enum err no_memory(struct talk *t)
{
    return err_set(t->detail, ERR_NOMEM, 0, "%s: a mail", t->dial.peer);
}

/* ---- replies --------------------------------------------------------------------------------- */

static void keep_text(struct reply *r, str text)
{
    size_t n = MIN_OF(text.n, (size_t)MAX_TEXT);

    for (size_t i = 0; i < n; i++)
        r->text[i] = text.p[i] >= 0x20 && text.p[i] < 0x7f ? text.p[i] : '?';
    r->text[n] = '\0';
}

/* "250-text" (more to come), "250 text" or "250"; false: none of these. */
static bool parse_reply_line(str line, int *code, bool *more, str *text)
{
    if (line.n < 3 || (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-'))
        return false;
    for (int i = 0; i < 3; i++)
        if (!str_is_digit(line.p[i]))
            return false;
    *code = (line.p[0] - '0') * 100 + (line.p[1] - '0') * 10 + (line.p[2] - '0');
    *more = line.n > 3 && line.p[3] == '-';
    *text = str_drop(line, 4);
    return *code >= 200 && *code <= 599;
}

/* All lines of a reply; `each` (may be NULL) sees the text of every line but the first. */
static enum err read_reply(struct talk *t, const char *step, struct reply *out,
                           void (*each)(struct talk *t, str text))
{
    struct reply r = {0};
    bool more = true;

    for (unsigned n = 0; more; n++) {
        int code = 0;
        str line, text;
        enum err e = dial_line(&t->dial, &line, t->detail);

        if (e != OK)
            return e;
        if (n == MAX_REPLY_LINES)
            return err_set(t->detail, ERR_LIMIT, 0, "%s: %s: an endless reply", t->dial.peer, step);
        if (!parse_reply_line(line, &code, &more, &text) || (n > 0 && code != r.code))
            return err_set(t->detail, ERR_CORRUPT, 0, "%s: %s: not the reply of a mail server",
                           t->dial.peer, step);
        r.code = code;
        keep_text(&r, text);
        if (n > 0 && each != NULL)
            each(t, text);
    }
    *out = r;
    return OK;
}

/* Is the reply of the hundred that the step asks for? Else what it means that it is not. */
static enum err judge(struct talk *t, const char *step, const struct reply *r, int hundred)
{
    enum err e = r->code >= 500 ? ERR_REFUSED : r->code >= 400 ? ERR_AGAIN : ERR_CORRUPT;

    if (r->code / 100 == hundred)
        return OK;
    return err_set(t->detail, e, 0, "%s: %s: %d %s", t->dial.peer, step, r->code, r->text);
}

static enum err expect(struct talk *t, const char *step, int hundred)
{
    struct reply r;
    enum err e = read_reply(t, step, &r, NULL);

    return e == OK ? judge(t, step, &r, hundred) : e;
}

/* Sends the parts and CR LF. */
static enum err say(struct talk *t, const str *parts, size_t n)
{
    str line = arena_concat(t->arena, parts, n);
    str whole = str_none(line) ? line : ARENA_JOIN(t->arena, line, STR("\r\n"));

    return str_none(whole) ? no_memory(t) : dial_write(&t->dial, whole, t->detail);
}
#define SAY(t, ...) say((t), (str[]){__VA_ARGS__}, sizeof((str[]){__VA_ARGS__}) / sizeof(str))

/* ---- introductions --------------------------------------------------------------------------- */

static void note_ways_to_log_in(struct talk *t, str words)
{
    str word;

    while (str_next_word(&words, &word)) {
        t->can.plain |= str_eq_nocase(word, STR("PLAIN"));
        t->can.login |= str_eq_nocase(word, STR("LOGIN"));
    }
}

/* A line of the answer to EHLO: a keyword and its parameters. */
static void note_ability(struct talk *t, str line)
{
    str rest = line;
    str keyword = str_cut(&rest, ' ');
    uint64_t n;

    if (str_eq_nocase(keyword, STR("STARTTLS"))) {
        t->can.starttls = true;
    } else if (str_eq_nocase(keyword, STR("AUTH"))) {
        note_ways_to_log_in(t, rest);
    } else if (str_eq_nocase(keyword, STR("SIZE"))) { /* RFC 1870 */
        t->can.size = true;
        if (!str_none(rest) && str_to_u64(str_trim(rest), &n) == OK)
            t->can.max_bytes = n;
    }
}

static enum err introduce(struct talk *t)
{
    struct reply r;
    enum err e;

    t->can = (struct abilities){0};
    e = SAY(t, STR("EHLO "), str_from(t->local_name));
    if (e == OK)
        e = read_reply(t, "EHLO", &r, note_ability);
    if (e != OK)
        return e;
    if (r.code < 500 || t->s->tls == SMTP_STARTTLS || !str_none(t->s->user))
        return judge(t, "EHLO", &r, 2);
    e = SAY(t, STR("HELO "), str_from(t->local_name)); /* a server from before 1993 */
    return e == OK ? expect(t, "HELO", 2) : e;
}

static enum err start_tls(struct talk *t)
{
    enum err e;

    if (!t->can.starttls)
        return err_set(t->detail, ERR_UNSUPPORTED, 0, "%s: does not offer STARTTLS", t->dial.peer);
    e = SAY(t, STR("STARTTLS"));
    if (e == OK)
        e = expect(t, "STARTTLS", 2);
    if (e == OK)
        e = dial_start_tls(&t->dial, t->s->trust, t->s->host, t->detail);
    return e == OK ? introduce(t) : e;
}

/* ---- logging in ------------------------------------------------------------------------------ */

/* RFC 4616. A long secret does not fit behind the command, and goes into a line of its own. */
static enum err log_in_plain(struct talk *t)
{
    str secret = ARENA_JOIN(t->arena, STR("\0"), t->s->user, STR("\0"), t->s->password);
    str coded = str_none(secret) ? secret : hash_base64_encode(t->arena, secret);
    enum err e;

    if (str_none(coded))
        return no_memory(t);
    if (coded.n <= MAX_INITIAL) {
        e = SAY(t, STR("AUTH PLAIN "), coded);
    } else {
        e = SAY(t, STR("AUTH PLAIN"));
        if (e == OK)
            e = expect(t, "AUTH", 3);
        if (e == OK)
            e = SAY(t, coded);
    }
    return e == OK ? expect(t, "AUTH", 2) : e;
}

static enum err log_in_step(struct talk *t, str secret, int hundred)
{
    str coded = hash_base64_encode(t->arena, secret);
    enum err e = str_none(coded) ? no_memory(t) : SAY(t, coded);

    return e == OK ? expect(t, "AUTH", hundred) : e;
}

static enum err log_in_login(struct talk *t)
{
    enum err e = SAY(t, STR("AUTH LOGIN"));

    if (e == OK)
        e = expect(t, "AUTH", 3);
    if (e == OK)
        e = log_in_step(t, t->s->user, 3);
    return e == OK ? log_in_step(t, t->s->password, 2) : e;
}

static enum err log_in(struct talk *t)
{
    if (t->can.plain)
        return log_in_plain(t);
    if (t->can.login)
        return log_in_login(t);
    return err_set(t->detail, ERR_UNSUPPORTED, 0, "%s: offers neither AUTH PLAIN nor AUTH LOGIN",
                   t->dial.peer);
}

/* ---- the mail -------------------------------------------------------------------------------- */

static enum err say_sender(struct talk *t, str from, size_t bytes)
{
    str name, address;
    enum err e = mail_address(from, &name, &address, t->detail);
    char size[32] = "";

    if (e != OK)
        return e;
    if (t->can.max_bytes > 0 && bytes > t->can.max_bytes)
        return err_set(t->detail, ERR_LIMIT, 0, "%s: takes no mail of %zu bytes", t->dial.peer,
                       bytes);
    if (t->can.size)
        snprintf(size, sizeof size, " SIZE=%zu", bytes);
    e = SAY(t, STR("MAIL FROM:<"), address, STR(">"), str_from(size));
    return e == OK ? expect(t, "MAIL FROM", 2) : e;
}

static enum err say_recipients(struct talk *t, const struct smtp_mail *mail)
{
    for (unsigned i = 0; i < mail->nto; i++) {
        str name, address;
        enum err e = mail_address(mail->to[i], &name, &address, t->detail);

        if (e == OK)
            e = SAY(t, STR("RCPT TO:<"), address, STR(">"));
        if (e == OK)
            e = expect(t, "RCPT TO", 2);
        if (e != OK)
            return e;
    }
    return OK;
}

/* A line that begins with a dot gets another (4.5.2); a dot alone is the end. */
static enum err say_text(struct talk *t, str text)
{
    struct buf b;

    buf_init_arena(&b, t->arena, MAX_STUFFED);
    while (text.n > 0) {
        size_t lf = str_find(text, '\n');
        size_t n = lf == STR_NPOS ? text.n : lf + 1;

        if (text.p[0] == '.')
            buf_add_char(&b, '.');
        buf_add_str(&b, str_sub(text, 0, n));
        text = str_drop(text, n);
    }
    buf_add_lit(&b, ".\r\n");
    return buf_failed(&b) ? no_memory(t) : dial_write(&t->dial, buf_str(&b), t->detail);
}

static enum err hand_over(struct talk *t, const struct smtp_mail *mail, str text)
{
    enum err e = say_sender(t, mail->from, text.n);

    if (e == OK)
        t->stage = SMTP_AT_MAIL;
    if (e == OK)
        e = say_recipients(t, mail);
    if (e == OK)
        e = SAY(t, STR("DATA"));
    if (e == OK)
        e = expect(t, "DATA", 3);
    if (e == OK)
        e = say_text(t, text);
    return e == OK ? expect(t, "the mail", 2) : e;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static enum err meet(struct talk *t)
{
    const struct smtp_settings *s = t->s;
    uint16_t port = s->port != 0 ? s->port : s->tls == SMTP_TLS ? 465 : 25;
    uint64_t deadline_ms = t->dial.deadline_ms;
    unsigned connect_ms = s->connect_timeout_ms != 0 ? s->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    enum err e;

    t->dial.deadline_ms = MIN_OF(clock_mono_ms() + connect_ms, deadline_ms);
    e = dial_open(&t->dial, s->host, port, t->detail);
    if (e == OK && s->tls == SMTP_TLS)
        e = dial_start_tls(&t->dial, s->trust, s->host, t->detail);
    t->dial.deadline_ms = deadline_ms;
    if (e == OK)
        e = expect(t, "the greeting", 2);
    if (e == OK)
        e = introduce(t);
    if (e == OK && s->tls == SMTP_STARTTLS)
        e = start_tls(t);
    if (e == OK && !str_none(s->user))
        e = log_in(t);
    return e;
}

/* Where both sides still know what was said, the end is said, too; whatever comes of it. */
static void say_goodbye(struct talk *t, enum err e)
{
    struct reply r;
    struct err_detail *kept = t->detail;

    if (e != OK && e != ERR_AGAIN && e != ERR_REFUSED && e != ERR_UNSUPPORTED)
        return;
    t->detail = NULL;
    t->dial.deadline_ms = MIN_OF(t->dial.deadline_ms, clock_mono_ms() + QUIT_MS);
    if (t->dial.fd >= 0 && SAY(t, STR("QUIT")) == OK)
        (void)!read_reply(t, "QUIT", &r, NULL);
    t->detail = kept;
}

/* How this machine introduces itself. */
static void choose_local_name(struct talk *t)
{
    if (gethostname(t->local_name, sizeof t->local_name - 1) != 0 ||
        !mail_domain_valid(str_from(t->local_name)))
        memcpy(t->local_name, "[127.0.0.1]", sizeof "[127.0.0.1]"); /* 4.1.4 */
}

enum err smtp_check(const struct smtp_settings *s, struct err_detail *d)
{
    CHECK(s->tls == SMTP_PLAIN || s->trust != NULL);
    if (str_none(s->user) != str_none(s->password))
        return err_set(d, ERR_SYNTAX, 0, "mail: a user needs a password, and a password a user");
    if (s->user.n > MAX_SECRET || s->password.n > MAX_SECRET ||
        str_find(s->user, '\0') != STR_NPOS || str_find(s->password, '\0') != STR_NPOS)
        return err_set(d, ERR_SYNTAX, 0,
                       "mail: user and password have at most %d bytes, and no NUL among them",
                       MAX_SECRET);
    return OK;
}

static enum err send_mail(struct talk *t, const struct smtp_mail *mail)
{
    str text;
    enum err e = smtp_check(t->s, t->detail);

    if (e != OK)
        return e;
    choose_local_name(t);
    t->stage = SMTP_AT_MAIL;
    e = smtp_build(mail, t->arena, &text, t->detail);
    if (e != OK)
        return e;
    t->stage = SMTP_AT_SERVER;
    e = meet(t);
    if (e == OK)
        e = hand_over(t, mail, text);
    say_goodbye(t, e);
    return e;
}

enum err smtp_send(const struct smtp_settings *s, const struct smtp_mail *mail, struct arena *a,
                   enum smtp_stage *stage, struct err_detail *d)
{
    struct talk t = {.s = s, .arena = a, .detail = d};
    struct smtp_mail filled = *mail;
    enum err e;

    dial_init(&t.dial, clock_mono_ms() + (s->timeout_ms != 0 ? s->timeout_ms : TIMEOUT_MS),
              s->cancel);
    if (str_none(filled.from))
        filled.from = s->sender;
    e = send_mail(&t, &filled);
    dial_close(&t.dial);
    if (stage != NULL)
        *stage = t.stage;
    return e;
}
