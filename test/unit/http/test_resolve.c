/* A host's addresses: without asking, from a file, and from a DNS server that the test plays. */
#include "test/unit/http/peer_test.h"

static struct err_detail detail;

static uint64_t in_ms(unsigned ms)
{
    return clock_mono_ms() + ms;
}

static void must_be(const struct net_address *a, const char *text, unsigned port)
{
    struct net_address want;

    ck_assert(net_address_parse(str_from(text), (uint16_t)port, &want));
    ck_assert_uint_eq(a->n, want.n);
    ck_assert_mem_eq(&a->sa, &want.sa, want.n);
}

START_TEST(literals)
{
    static const char *const good[] = {"127.0.0.1", "::1", "2001:db8::5", "255.255.255.255"};
    struct addresses a;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        ck_assert_int_eq(resolve(str_from(good[i]), 77, in_ms(1000), &a, &detail), OK);
        ck_assert_uint_eq(a.n, 1);
        must_be(&a.at[0], good[i], 77);
    }
}
END_TEST

START_TEST(localhost_is_nobodys_to_say)
{
    static const char *const names[] = {"localhost", "LOCALHOST", "localhost.", "a.b.localhost"};
    struct addresses a;

    resolve_test_servers("127.0.0.1:1");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        ck_assert_int_eq(resolve(str_from(names[i]), 80, in_ms(1000), &a, &detail), OK);
        ck_assert_uint_eq(a.n, 2);
        must_be(&a.at[0], "::1", 80);
        must_be(&a.at[1], "127.0.0.1", 80);
    }
}
END_TEST

START_TEST(no_names)
{
    static const str bad[] = {STR_INIT(""),       STR_INIT("a b"),      STR_INIT("a\0b"),
                              STR_INIT("a\r\nb"), STR_INIT("\xc3\xa9"), STR_INIT("a/b"),
                              STR_INIT("a..b"),   STR_INIT("..")};
    struct addresses a = {.n = 99};
    char longest[300];

    resolve_test_servers("127.0.0.1:1");
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        enum err e = resolve(bad[i], 80, in_ms(2000), &a, &detail);
        ck_assert_msg(e == ERR_SYNTAX || e == ERR_NOTFOUND, "%zu: %s", i, err_text(e));
        ck_assert_uint_eq(a.n, 99);
    }
    memset(longest, 'a', sizeof longest);
    ck_assert_int_eq(resolve((str){longest, sizeof longest}, 80, in_ms(1000), &a, &detail),
                     ERR_SYNTAX);
    ck_assert_int_eq(resolve((str){longest, 100}, 80, in_ms(1000), &a, &detail), ERR_SYNTAX);
}
END_TEST

START_TEST(from_a_hosts_file)
{
    char path[] = "/tmp/kinto-hosts-XXXXXX";
    static const char text[] = "192.0.2.7 somewhere.example alias\n2001:db8::7 somewhere.example\n";
    struct addresses a;
    int fd = mkstemp(path);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    setenv("CARES_HOSTS", path, 1);
    resolve_test_servers("127.0.0.1:1");
    ck_assert_msg(resolve(STR("somewhere.example"), 80, in_ms(5000), &a, &detail) == OK, "%s",
                  detail.text);
    ck_assert_uint_eq(a.n, 2);
    ck_assert_msg(resolve(STR("alias"), 81, in_ms(5000), &a, &detail) == OK, "%s", detail.text);
    must_be(&a.at[0], "192.0.2.7", 81);
    unlink(path);
    unsetenv("CARES_HOSTS");
}
END_TEST

/* ---- a DNS server ------------------------------------------------------------------------------ */

enum dns { DNS_GOOD, DNS_NO_SUCH, DNS_NO_DATA, DNS_SILENT, DNS_GARBAGE, DNS_REFUSED, DNS_MANY };

static struct {
    int fd;
    atomic_bool stop;
    uint16_t port;
    enum dns how;
    pthread_t thread;
    char csv[32];
} dns;

/* The end of the question behind the header of 12 bytes, and its type. */
static size_t question_end(const unsigned char *q, size_t n, unsigned *type)
{
    size_t at = 12;

    while (at < n && q[at] != 0)
        at += q[at] + 1u;
    ck_assert_uint_le(at + 5, n);
    *type = (unsigned)q[at + 1] << 8 | q[at + 2];
    return at + 5;
}

static size_t add_record(unsigned char *p, bool v6, unsigned last)
{
    static const unsigned char v4_data[] = {192, 0, 2};
    static const unsigned char v6_data[15] = {0x20, 0x01, 0x0d, 0xb8};
    unsigned char head[] = {0xc0, 12, 0, v6 ? 28 : 1, 0, 1, 0, 0, 0, 60, 0, v6 ? 16 : 4};
    size_t n = v6 ? sizeof v6_data : sizeof v4_data;

    memcpy(p, head, sizeof head);
    memcpy(p + sizeof head, v6 ? v6_data : v4_data, n);
    p[sizeof head + n] = (unsigned char)last;
    return sizeof head + n + 1;
}

static size_t dns_answer(const unsigned char *q, size_t n, unsigned char *p)
{
    unsigned type, records = dns.how == DNS_GOOD ? 1 : dns.how == DNS_MANY ? 12 : 0;
    size_t at = question_end(q, n, &type);

    if (dns.how == DNS_GARBAGE) {
        memcpy(p, q, 12);
        memset(p + 2, 0xff, 40);
        return 42;
    }
    memcpy(p, q, at);
    p[2] = 0x81; /* a response */
    p[3] = dns.how == DNS_NO_SUCH ? 0x83 : dns.how == DNS_REFUSED ? 0x85 : 0x80;
    p[7] = (unsigned char)records;
    p[8] = p[9] = p[10] = p[11] = 0;
    for (unsigned i = 0; i < records; i++)
        at += add_record(p + at, type == 28, i + 1);
    return at;
}

static void *dns_main(void *arg)
{
    unsigned char q[1000], p[2000];

    (void)arg;
    while (!atomic_load(&dns.stop)) {
        struct pollfd f = {.fd = dns.fd, .events = POLLIN};
        struct sockaddr_in from;
        socklen_t len = sizeof from;
        ssize_t n;

        if (poll(&f, 1, 20) <= 0)
            continue;
        n = recvfrom(dns.fd, q, sizeof q, 0, (struct sockaddr *)&from, &len);
        if (n < 17 || dns.how == DNS_SILENT)
            continue;
        n = (ssize_t)dns_answer(q, (size_t)n, p);
        (void)!sendto(dns.fd, p, (size_t)n, 0, (struct sockaddr *)&from, len);
    }
    return NULL;
}

static void dns_start(enum dns how)
{
    dns.how = how;
    atomic_store(&dns.stop, false);
    dns.fd = peer_bind(SOCK_DGRAM, &dns.port);
    snprintf(dns.csv, sizeof dns.csv, "127.0.0.1:%u", dns.port);
    resolve_test_servers(dns.csv);
    ck_assert_int_eq(pthread_create(&dns.thread, NULL, dns_main, NULL), 0);
}

static void dns_stop(void)
{
    atomic_store(&dns.stop, true);
    pthread_join(dns.thread, NULL);
    close(dns.fd);
    resolve_test_servers(NULL);
}

START_TEST(from_dns)
{
    struct addresses a;
    bool v4 = false, v6 = false;

    dns_start(DNS_GOOD);
    ck_assert_msg(resolve(STR("api.kinto.example."), 443, in_ms(5000), &a, &detail) == OK, "%s",
                  detail.text);
    ck_assert_uint_eq(a.n, 2);
    for (unsigned i = 0; i < a.n; i++) {
        bool six = a.at[i].sa.any.sa_family == AF_INET6;
        must_be(&a.at[i], six ? "2001:db8::1" : "192.0.2.1", 443);
        v6 |= six;
        v4 |= !six;
    }
    ck_assert(v4 && v6);
    dns_stop();
}
END_TEST

/* No more than there is room for, and the families take turns. */
START_TEST(from_dns_many)
{
    struct addresses a;

    dns_start(DNS_MANY);
    ck_assert_msg(resolve(STR("api.kinto.example."), 443, in_ms(5000), &a, &detail) == OK, "%s",
                  detail.text);
    ck_assert_uint_eq(a.n, RESOLVE_MAX);
    for (unsigned i = 0; i + 1 < a.n; i++)
        ck_assert_int_ne(a.at[i].sa.any.sa_family, a.at[i + 1].sa.any.sa_family);
    dns_stop();
}
END_TEST

static const struct {
    enum dns how;
    enum err e;
    const char *text;
} failures[] = {
    {DNS_NO_SUCH, ERR_NOTFOUND, "cannot resolve api.kinto.example.: no such host"},
    {DNS_NO_DATA, ERR_NOTFOUND, "cannot resolve api.kinto.example.: no such host"},
    {DNS_SILENT, ERR_TIMEOUT, "cannot resolve api.kinto.example.: no answer in time"},
    {DNS_REFUSED, ERR_IO, "cannot resolve api.kinto.example.: "},
};

START_TEST(dns_failures)
{
    struct addresses a;
    uint64_t start = clock_mono_ms();
    enum err e;

    dns_start(failures[_i].how);
    e = resolve(STR("api.kinto.example."), 443, in_ms(700), &a, &detail);
    ck_assert_msg(e == failures[_i].e, "%s: %s", err_text(e), detail.text);
    ck_assert_msg(str_starts(str_from(detail.text), str_from(failures[_i].text)), "%s",
                  detail.text);
    ck_assert_uint_lt(clock_mono_ms() - start, 5000);
    dns_stop();
}
END_TEST

START_TEST(dns_cancelled)
{
    struct addresses a;
    uint64_t start = clock_mono_ms();
    int cancel = eventfd(1, EFD_CLOEXEC);

    dns_start(DNS_SILENT);
    enum err e = resolve_unless(STR("api.kinto.example."), 443, in_ms(60000), cancel, &a, &detail);
    ck_assert_msg(e == ERR_AGAIN, "%s: %s", err_text(e), detail.text);
    ck_assert_uint_lt(clock_mono_ms() - start, 5000);
    dns_stop();
    close(cancel);
}
END_TEST

/* What c-ares makes of it is its own business; it must end. */
START_TEST(dns_garbage)
{
    struct addresses a;
    uint64_t start = clock_mono_ms();

    dns_start(DNS_GARBAGE);
    ck_assert_int_ne(resolve(STR("api.kinto.example."), 443, in_ms(700), &a, &detail), OK);
    ck_assert_uint_lt(clock_mono_ms() - start, 5000);
    dns_stop();
}
END_TEST

static Suite *resolve_suite(void)
{
    Suite *s = suite_create("http/resolve");
    TCase *c = tcase_create("all");

    tcase_add_test(c, literals);
    tcase_add_test(c, localhost_is_nobodys_to_say);
    tcase_add_test(c, no_names);
    tcase_add_test(c, from_a_hosts_file);
    tcase_add_test(c, from_dns);
    tcase_add_test(c, from_dns_many);
    tcase_add_loop_test(c, dns_failures, 0, ARRAY_LEN(failures));
    tcase_add_test(c, dns_cancelled);
    tcase_add_test(c, dns_garbage);
    suite_add_tcase(s, c);
    return s;
}

UNIT_MAIN(resolve_suite)
