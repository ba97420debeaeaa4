/* Sockets for datagrams. */
#include "test/support/unit.h"

#include "http/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* One that listens on the loopback. */
static int listen_at(uint16_t *port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, n), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    *port = ntohs(at.sin_port);
    return fd;
}

static void check_reaches(const char *url, uint16_t default_port, int listener)
{
    struct err_detail d = {.text = ""};
    char got[8];
    int fd = -1;

    ck_assert_msg(http_udp_open(str_from(url), default_port, &fd, &d) == OK, "%s: %s", url, d.text);
    ck_assert_int_eq(send(fd, "hello", 5, 0), 5);
    ck_assert_int_eq(recv(listener, got, sizeof got, 0), 5);
    ck_assert(fcntl(fd, F_GETFL) & O_NONBLOCK);
    ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    close(fd);
}

START_TEST(what_is_sent_arrives)
{
    uint16_t port;
    char url[64];
    int listener = listen_at(&port);

    snprintf(url, sizeof url, "udp://127.0.0.1:%u", port);
    check_reaches(url, 1, listener);
    snprintf(url, sizeof url, "udp://localhost:%u/path", port);
    check_reaches(url, 1, listener);
    check_reaches("udp://127.0.0.1", port, listener);
    check_reaches("udp://localhost/", port, listener);
    close(listener);
}
END_TEST

static const struct {
    const char *url;
    enum err want;
} refused[] = {
    {"", ERR_SYNTAX},
    {"udp", ERR_SYNTAX},
    {"udp:/127.0.0.1", ERR_SYNTAX},
    {"tcp://127.0.0.1", ERR_SYNTAX},
    {"UDP//127.0.0.1", ERR_SYNTAX},
    {"udp://", ERR_SYNTAX},
    {"udp://:8125", ERR_SYNTAX},
    {"udp://127.0.0.1:x", ERR_SYNTAX},
    {"udp://127.0.0.1:65536", ERR_SYNTAX},
    {"udp://me:secret@127.0.0.1", ERR_SYNTAX},
    {"udp://[::1", ERR_SYNTAX},
    {"udp://example.org:8125", ERR_NOTFOUND},
};

START_TEST(no_such_url)
{
    struct err_detail d = {.text = ""};
    int fd = -7;
    enum err e = http_udp_open(str_from(refused[_i].url), 8125, &fd, &d);

    ck_assert_msg(e == refused[_i].want, "%s: %s", refused[_i].url, err_text(e));
    ck_assert_msg(d.text[0] != '\0', "%s: no detail", refused[_i].url);
    ck_assert_ptr_null(strstr(d.text, "secret"));
    ck_assert_int_eq(fd, -7);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("http/udp");
    TCase *c = tcase_create("udp");

    tcase_add_test(c, what_is_sent_arrives);
    tcase_add_loop_test(c, no_such_url, 0, ARRAY_LEN(refused));
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(make_suite)
