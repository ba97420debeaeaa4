/*
 * A mail server's side of the talk, and what a mail is made of. Input: mode, what the server says 0xff sender
 * 0xff recipient 0xff subject 0xff text.
 */
#include "test/fuzz/peer.h"

#include <errno.h>

static enum err open_to_input(struct dial *c, str host, uint16_t port, struct err_detail *d);
#define dial_open open_to_input
#include "http/smtp.c"
#undef dial_open

static str server_says;
static uint32_t server_random;
static int server_fd;

static enum err open_to_input(struct dial *c, str host, uint16_t port, struct err_detail *d)
{
    CHECK(port == 25 && host.n > 0);
    (void)d;
    server_fd = peer_open(c, server_says, server_random);
    return OK;
}

/* What was said to the server: lines, in which no text of the mail became a command. */
static void check_said(bool sent)
{
    static char p[64 * KIB];
    size_t n = 0, commands = 0;
    ssize_t got;

    while (n < sizeof p) {
        got = recv(server_fd, p + n, sizeof p - n, 0);
        if (got < 0 && errno == ECONNRESET)
            continue; /* told once: not all of the input was read */
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    close(server_fd);
    str rest = {p, n};
    while (rest.n > 0) {
        str line = str_cut(&rest, '\n');
        CHECK(line.n > 0 && line.p[line.n - 1] == '\r');
        commands += str_starts(line, STR("RCPT TO:"));
        if (str_eq(line, STR("DATA\r")))
            break;
    }
    CHECK(commands <= 1);
    size_t end = str_find_str(rest, STR("\r\n.\r\n"));
    if (sent) /* the end comes once, and behind it nothing but goodbye */
        CHECK(end != STR_NPOS && str_eq(str_drop(rest, end + 5), STR("QUIT\r\n")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size), name, address;
    uint8_t mode = fuzz_byte(&in);
    struct smtp_settings s = {.host = STR("peer"), .sender = STR("kinto@example.com")};
    struct err_detail d = {.text = ""};
    enum smtp_stage stage;
    struct arena a;

    server_says = fuzz_part(&in);
    server_random = mode >> 2;
    server_fd = -1;
    str from = fuzz_part(&in), to = fuzz_part(&in), subject = fuzz_part(&in);
    struct smtp_mail mail = {.from = from, .to = &to, .nto = 1, .subject = subject, .body = in};
    if (from.n == 0)
        mail.from = STR_NONE;
    if (mode & 1)
        s.user = STR("user"), s.password = STR("pass word");
    arena_init(&a, NULL, 0, NULL, 4 * MIB);
    if (mail_address(to, &name, &address, NULL) == OK)
        CHECK(fuzz_within(address, to) && fuzz_within(name, to) && smtp_address_valid(to));
    enum err e = smtp_send(&s, &mail, &a, &stage, &d);
    CHECK(e == OK || d.text[0] != '\0');
    CHECK(e != ERR_TIMEOUT && e != ERR_NOMEM);
    for (const char *p = d.text; *p != '\0'; p++)
        CHECK((unsigned char)*p >= 0x20 && *p != 0x7f);
    if (server_fd >= 0)
        check_said(e == OK);
    arena_fini(&a);
    return 0;
}
