/*
 * base/net.h: addresses and hosts, what is one network, and what is not.
 */
#include "base/net.h"
#include "test/support/unit.h"

START_TEST(addresses_are_read_and_written)
{
    static const struct {
        const char *text, *again; /* NULL: it is none */
        size_t bytes;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", 4},
        {"0.0.0.0", "0.0.0.0", 4},
        {"::1", "::1", 16},
        {"2001:DB8:0:0::a", "2001:db8::a", 16},
        {"::ffff:192.0.2.1", "192.0.2.1", 16},
        {"", NULL, 0},
        {"192.0.2", NULL, 0},
        {"192.0.2.256", NULL, 0},
        {"0x7f.1", NULL, 0},
        {"192.0.2.1 ", NULL, 0},
        {"[::1]", NULL, 0},
        {"fe80::1%lo", NULL, 0},
        {"localhost", NULL, 0},
        {"unix", NULL, 0},
        {"1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb", NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_address a = {.n = 77};
        char text[INET6_ADDRSTRLEN];
        bool ok = net_address_parse(str_from(rows[i].text), 443, &a);
        ck_assert_msg(ok == (rows[i].again != NULL), "%s", rows[i].text);
        if (!ok) {
            ck_assert_uint_eq(a.n, 77);
            continue;
        }
        net_address_text(&a, text);
        ck_assert_str_eq(text, rows[i].again);
        ck_assert_uint_eq(net_address_bytes(&a).n, rows[i].bytes);
        ck_assert_uint_eq(net_address_port(&a), 443);
        struct net_address copy;
        ck_assert(net_address_copy(&a.sa.any, &copy));
        ck_assert_uint_eq(copy.n, a.n);
        ck_assert_mem_eq(&copy.sa, &a.sa, a.n);
        net_address_set_port(&a, 80);
        ck_assert_uint_eq(net_address_port(&a), 80);
    }
    struct net_address a;
    ck_assert(!net_address_parse(STR("::1\0"), 80, &a));
}
END_TEST

START_TEST(what_is_no_ip_is_unix)
{
    struct net_address a = {.sa.un = {.sun_family = AF_UNIX, .sun_path = "/run/kinto.sock"}};
    char text[INET6_ADDRSTRLEN];

    ck_assert(!net_address_copy(&a.sa.any, &a));
    net_address_text(&a, text);
    ck_assert_str_eq(text, "unix");
    net_address_set_port(&a, 80);
    ck_assert_uint_eq(net_address_port(&a), 0);
    ck_assert_uint_eq(net_address_bytes(&a).n, 0);
    ck_assert_str_eq(a.sa.un.sun_path, "/run/kinto.sock");
}
END_TEST

START_TEST(hosts_and_ports_are_told_apart)
{
    static const struct {
        const char *text, *host, *port; /* NULL: none */
        bool literal, reachable;
    } rows[] = {
        {"example.org", "example.org", NULL, false, true},
        {"example.org.:443", "example.org.", "443", false, true},
        {"a-b_c", "a-b_c", NULL, false, true},
        {"192.0.2.1:80", "192.0.2.1", "80", false, true},
        {"[::1]", "::1", NULL, true, true},
        {"[::1]:80", "::1", "80", true, true},
        {"h:", "h", "", false, true},
        {"h:x", "h", "x", false, true},
        {"", "", NULL, false, false},
        {":80", "", "80", false, false},
        {"*:80", "*", "80", false, false},
        {"::1", "", ":1", false, false},
        {"a..b", "a..b", NULL, false, false},
        {".a", ".a", NULL, false, false},
        {"a..", "a..", NULL, false, false},
        {".", ".", NULL, false, false},
        {"a b", "a b", NULL, false, false},
        {"a%62", "a%62", NULL, false, false},
        {"u@h", "u@h", NULL, false, false},
        {"\xc3\xa9", "\xc3\xa9", NULL, false, false},
        {"[192.0.2.1]", "192.0.2.1", NULL, true, false},
        {"[h]:1", "h", "1", true, false},
        {"[fe80::1%25lo]", "fe80::1%25lo", NULL, true, false},
        {"[::1", NULL, NULL, false, false},
        {"[", NULL, NULL, false, false},
        {"[]", NULL, NULL, false, false},
        {"[]:80", NULL, NULL, false, false},
        {"[::1]1", NULL, NULL, false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_host h, again = {.host = STR("untouched")};
        str text = str_from(rows[i].text);
        ck_assert_msg(net_host_split(text, &h) == (rows[i].host != NULL), "%s", rows[i].text);
        ck_assert_msg(net_host_parse(text, &again) == rows[i].reachable, "%s", rows[i].text);
        if (!rows[i].reachable)
            ck_assert_str_is(again.host, "untouched");
        if (rows[i].host == NULL)
            continue;
        ck_assert_str_is(h.host, rows[i].host);
        ck_assert_msg(str_none(h.port) == (rows[i].port == NULL), "%s", rows[i].text);
        if (rows[i].port != NULL)
            ck_assert_str_is(h.port, rows[i].port);
        ck_assert_int_eq(h.literal, rows[i].literal);
    }
}
END_TEST

START_TEST(names_have_a_longest)
{
    char name[NET_NAME_MAX + 2];

    memset(name, 'a', sizeof name);
    ck_assert(net_host_is_name((str){name, NET_NAME_MAX}));
    ck_assert(!net_host_is_name((str){name, NET_NAME_MAX + 1}));
    name[NET_NAME_MAX] = '.';
    ck_assert(net_host_is_name((str){name, NET_NAME_MAX + 1}));
    ck_assert(!net_host_is_name((str){name, NET_NAME_MAX + 2}));
    ck_assert(!net_host_is_name(STR("a\0b")));
    ck_assert_str_is(net_host_without_root(STR("a.b.")), "a.b");
    ck_assert_str_is(net_host_without_root(STR("a.b")), "a.b");
    ck_assert_str_is(net_host_without_root(STR(".")), ".");
}
END_TEST

START_TEST(ports_are_numbers)
{
    static const char *const bad[] = {
        "", "-1", "+1", "65536", "8a", " 8", "99999999999999999999", "000080"};
    uint16_t port = 7;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!net_port_parse(str_from(bad[i]), &port) && port == 7, "%s", bad[i]);
    ck_assert(!net_port_parse(STR_NONE, &port));
    ck_assert(net_port_parse(STR("65535"), &port) && port == 65535);
    ck_assert(net_port_parse(STR("0"), &port) && port == 0);
    ck_assert(net_port_parse(STR("00080"), &port) && port == 80);
}
END_TEST

START_TEST(ipv6_has_brackets_in_front_of_a_port)
{
    char text[32];

    snprintf(text, sizeof text, NET_HOST_FMT ":%u", NET_HOST_ARG(STR("::1")), 80U);
    ck_assert_str_eq(text, "[::1]:80");
    snprintf(text, sizeof text, NET_HOST_FMT ":%u", NET_HOST_ARG(STR("192.0.2.1")), 80U);
    ck_assert_str_eq(text, "192.0.2.1:80");
}
END_TEST

START_TEST(peers_have_networks)
{
    static const struct {
        const char *one, *other;
        bool same;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"2001:db8:1:2::1", "2001:db8:1:2:a:b:c:d", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"2001:db8::a:b:c:d", "2001:db8::e:b:c:d", true},
        {"2001:db8:0:1::", "2001:db8::", false},
        {"::ffff:192.0.2.1", "::ffff:192.0.2.2", false},
        {"::ffff:192.0.2.1", "192.0.2.1", true},
        {"unix", "unix", true},
        {"unix", "", false},
        {"10.0.0.1", "3130:2e30:2e30:2e31::1", false}, /* the same eight bytes, as text */
        {"::1", "::2", true},
        {"a-text-that-is-longer-than-any-address-can-be-written", "unix", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ck_assert_msg((net_network(str_from(rows[i].one)) ==
                       net_network(str_from(rows[i].other))) == rows[i].same,
                      "%s, %s", rows[i].one, rows[i].other);
}
END_TEST

START_TEST(blocks_have_addresses)
{
    static const struct {
        const char *block, *peer;
        bool has;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.0/24", "192.0.2.200", true},
        {"192.0.2.77/24", "192.0.2.200", true},
        {"192.0.2.0/25", "192.0.2.200", false},
        {"192.0.2.0/24", "::ffff:192.0.2.3", true},
        {"0.0.0.0/0", "198.51.100.1", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"::1", "127.0.0.1", false},
        {"unix", "unix", true},
        {"192.0.2.0/24", "unix", false},
        {"unix", "192.0.2.1", false},
        {"192.0.2.0/24", "", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct net_block space[1];
        struct net_list l = {.blocks = space};
        ck_assert(net_list_add(&l, str_from(rows[i].block)));
        ck_assert_msg(net_list_has(&l, str_from(rows[i].peer)) == rows[i].has, "%s, %s",
                      rows[i].block, rows[i].peer);
    }
}
END_TEST

START_TEST(what_is_no_block)
{
    static const char *const rows[] = {"",           "/8",      "192.0.2.1/33", "192.0.2.1/-1",
                                       "192.0.2.1/", "192.0.2", "::1/129",      "example.com",
                                       "::1 ",       "[::1]",   "192.0.2.1/8/8"};
    struct net_block b;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ck_assert_msg(!net_block_parse(str_from(rows[i]), &b), "%s", rows[i]);
    ck_assert(!net_block_parse(STR("::1\0"), &b));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/net");
    TCase *tc = tcase_create("net");

    tcase_add_test(tc, addresses_are_read_and_written);
    tcase_add_test(tc, what_is_no_ip_is_unix);
    tcase_add_test(tc, hosts_and_ports_are_told_apart);
    tcase_add_test(tc, names_have_a_longest);
    tcase_add_test(tc, ports_are_numbers);
    tcase_add_test(tc, ipv6_has_brackets_in_front_of_a_port);
    tcase_add_test(tc, peers_have_networks);
    tcase_add_test(tc, blocks_have_addresses);
    tcase_add_test(tc, what_is_no_block);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
