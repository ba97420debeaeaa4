/* Values of request headers that have a syntax of their own. */
#include "test/fuzz/fuzz.h"

#include "api/private.h"
#include "auth/private.h"
#include "store/private.h"

static void basic(struct arena *a, str in)
{
    struct auth_request req = {.arena = a, .authorization = in};
    str name, password;
    enum err e;

    req.authorization = ARENA_JOIN(a, STR("Basic "), in);
    if (!auth_basic_credentials(&req, &name, &password, &e)) {
        CHECK(e == OK);
        return;
    }
    CHECK(name.n > 0 && str_find(name, ':') == STR_NPOS);
    CHECK(str_utf8_valid(name) && str_utf8_valid(password));
    CHECK(name.n + password.n <= 2 * in.n);
}

static void accept_header(str in)
{
    int json = api_accept_quality(in, "application", "json");

    CHECK(json >= -1 && json <= 1000);
    CHECK(api_accept_quality(in, "application", "json") == json);
    (void)api_is_json_type(in);
}

static void accept_encoding(str in)
{
    const struct http_header headers[] = {{STR("accept-encoding"), in},
                                          {STR("Accept-Encoding"), in}};
    bool takes = api_takes_gzip(headers, 1);

    CHECK(api_takes_gzip(headers, 2) == takes); /* twice the same is the same */
    CHECK(!takes || str_find(in, '*') != STR_NPOS || str_find(in, 'z') != STR_NPOS ||
          str_find(in, 'Z') != STR_NPOS);
}

static void values(struct arena *a, str in)
{
    int64_t n;

    if (!str_utf8_valid(in))
        return; /* refused before */
    struct json *v = api_native_value(a, in);
    CHECK(v != NULL);
    (void)api_to_integer(v, &n);
    CHECK(str_utf8_valid(api_python_str(a, v)));
    if (api_valid_id(in))
        CHECK(str_is_visible(in) && in.n > 0);
    if (auth_user_valid(in))
        CHECK(in.n > 0 && in.n <= 255);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    str in = fuzz_input(data, size);
    struct arena a;

    arena_init(&a, NULL, 0, NULL, 4 * MIB);
    basic(&a, in);
    accept_header(in);
    accept_encoding(in);
    values(&a, in);
    (void)jwt_looks_like(in);
    CHECK(!arena_failed(&a));
    arena_fini(&a);
    return 0;
}
