/* URLs: percent-encoding, queries, paths that a client asks for, and the URLs that are called or redirected
 * to. */
#include "test/fuzz/fuzz.h"

#include "http/outbound.h"
#include "plugins/openid.h"

static void coding(struct arena *a, str in)
{
    struct buf b;
    str plain = http_url_decode(a, in, false), plus = http_url_decode(a, in, true);

    CHECK(plain.n <= in.n && plus.n <= in.n && !str_none(plain) && !str_none(plus));
    buf_init_arena(&b, a, 4 * in.n);
    http_url_encode(&b, in, NULL);
    CHECK(!buf_failed(&b) && str_is_visible(buf_str(&b)));
    CHECK(str_eq(http_url_decode(a, buf_str(&b), true), in));
}

static void query(struct arena *a, str in)
{
    str rest = in, name, value;
    size_t total = 0;

    while (http_query_next(a, &rest, &name, &value)) {
        CHECK(!str_none(name) && !str_none(value));
        total += name.n + value.n;
    }
    CHECK(total <= in.n && str_none(rest));
}

static void check_target(struct arena *a, const struct target *t)
{
    struct target again;

    CHECK(t->host.n > 0 && t->port > 0 && t->path.n > 0 && t->path.p[0] == '/');
    CHECK(str_is_visible(t->path) && str_is_visible(t->host));
    str text = ARENA_JOIN(a, t->tls ? STR("https://") : STR("http://"),
                          target_authority(a, t, true), t->path);
    CHECK(target_parse(a, text, &again, NULL) == OK);
    CHECK(target_same_origin(t, &again) && str_eq(t->path, again.path));
}

static void targets(struct arena *a, str url, str location)
{
    struct target t, next, proxy = {.port = 80};
    struct net_address address;

    if (target_parse(a, url, &t, NULL) == OK) {
        check_target(a, &t);
        (void)proxy_excluded(location, &t);
        if (target_follow(a, &t, location, &next, NULL) == OK)
            check_target(a, &next);
    }
    if (target_parse_authority(url, &proxy, NULL) == OK)
        CHECK(fuzz_within(proxy.host, url));
    if (net_address_parse(url, 80, &address)) {
        char text[INET6_ADDRSTRLEN];
        net_address_text(&address, text);
        CHECK(net_address_port(&address) == 80 && strlen(text) < sizeof text);
    }
    if (openid_is_trusted(url, &location, 1))
        CHECK(str_is_visible(url));
    (void)openid_is_url(url);
    (void)openid_is_endpoint(url, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size);
    struct arena a;

    arena_init(&a, NULL, 0, NULL, 4 * MIB);
    coding(&a, in);
    query(&a, in);
    str url = fuzz_part(&in), location = fuzz_part(&in);
    targets(&a, url, location);
    CHECK(!arena_failed(&a));
    arena_fini(&a);
    return 0;
}
