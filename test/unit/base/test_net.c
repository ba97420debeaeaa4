/*
 * base/net.h: addresses, what is one network, and what is not.
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
    tcase_add_test(tc, peers_have_networks);
    tcase_add_test(tc, blocks_have_addresses);
    tcase_add_test(tc, what_is_no_block);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
