/*
 * base/net.h: what is one network, and what is not.
 */
#include "base/net.h"
#include "test/support/unit.h"

START_TEST(lanes_are_networks)
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
        ck_assert_msg((net_lane(str_from(rows[i].one)) == net_lane(str_from(rows[i].other))) ==
                          rows[i].same,
                      "%s, %s", rows[i].one, rows[i].other);
}
END_TEST

START_TEST(networks_have_addresses)
{
    static const struct {
        const char *net, *peer;
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
        struct net space[1];
        struct net_list l = {.nets = space};
        ck_assert(net_list_add(&l, str_from(rows[i].net)));
        ck_assert_msg(net_list_has(&l, str_from(rows[i].peer)) == rows[i].has, "%s, %s",
                      rows[i].net, rows[i].peer);
    }
}
END_TEST

START_TEST(what_is_no_network)
{
    static const char *const rows[] = {"",           "/8",      "192.0.2.1/33", "192.0.2.1/-1",
                                       "192.0.2.1/", "192.0.2", "::1/129",      "example.com",
                                       "::1 ",       "[::1]",   "192.0.2.1/8/8"};
    struct net n;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ck_assert_msg(!net_parse(str_from(rows[i]), &n), "%s", rows[i]);
    ck_assert(!net_parse(STR("::1\0"), &n));
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("base/net");
    TCase *tc = tcase_create("net");

    tcase_add_test(tc, lanes_are_networks);
    tcase_add_test(tc, networks_have_addresses);
    tcase_add_test(tc, what_is_no_network);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(make_suite)
