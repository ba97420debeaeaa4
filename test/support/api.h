/*
 * test/support/api.h - how the end-to-end tests speak: one request, then what must be true of it.
 *
 *     make("/buckets/b");                                    PUT, must answer 201
 *     call("PATCH", "/buckets/b", "{'data':{'a':1}}");
 *     want(200);
 *     want_at("/data/a", "1");
 *
 * The words work on one session: a user (alice at first), a keep-alive connection, and the last
 * reply. JSON in C strings is written with ' for "; bodies and expected values are turned. Paths
 * are below /v1 and percent-encoded by the test. Each reply is also checked for what must be true
 * of every reply (see api.c, check_always). A failure names the request, the reply, and the test's
 * line.
 *
 * API_MAIN(suite, settings) starts one server for the program with these lines added to the
 * standard INI, or, with TEST_SERVER=http://host:port, none: then the same tests judge that server.
 * Cases that need a server of their own are tagged "own", cases where this project is deliberately
 * unlike the reference "ours"; both are left out with TEST_SERVER. Before each case the server is
 * flushed.
 */
#ifndef TEST_SUPPORT_API_H
#define TEST_SUPPORT_API_H

#include <check.h>

#include "test/support/http_client.h"
#include "test/support/server.h"

/* ---- program --------------------------------------------------------------------------------- */

int api_main(Suite *(*make_suite)(void), const struct server_options *options);

#define API_MAIN(make_suite, lines)                                                                \
    int main(void)                                                                                 \
    {                                                                                              \
        return api_main(make_suite, &(struct server_options){.settings = (lines)});                \
    }

/* A case of the suite with the usual set-up (flush, alice) and time-out. tags: NULL, "own", "ours"
 */
TCase *api_case(Suite *s, const char *name, const char *tags);
/* A case without set-up: its tests start servers themselves. */
TCase *api_case_own(Suite *s, const char *name);

/* The records of make_collection(). */
#define R "/buckets/b/collections/c/records"

extern const char *api_url; /* "http://127.0.0.1:12345" of the session's server */
/* Turns the session to another server (started by the test); NULL: back to the program's own. */
void api_use(const char *url);
/* Ends the server and starts it again on its data, with these options; then as api_use(). */
void api_restart(struct server *s, const struct server_options *o);

/* ---- requests -------------------------------------------------------------------------------- */

void as(const char *user); /* Basic auth as user:secret from now on; NULL: anonymous */
const char *principal(const char *user);        /* "basicauth:..." as the server names this user */
void with(const char *name, const char *value); /* a header of the next request only */

/* One request and its reply. body NULL: none. With a body and no Content-Type given: JSON's. */
void call(const char *method, const char *path, const char *body);
void call_raw(const char *method, const char *target, const void *body, size_t n); /* verbatim */
void make(const char *path);                  /* PUT without a body: 201 */
void make_collection(void);                   /* bucket b with collection c */
void put(const char *path, const char *data); /* PUT {"data":data}: 200 or 201 */

/* printf into one of a ring of buffers: valid for the next 31 calls. */
const char *f(const char *fmt, ...) PRINTF_LIKE(1, 2);
const char *repeat(char c, size_t n);  /* n times c; memory as f's */
const char *url_encode(const char *s); /* everything but letters, digits and -._~ */

/* ---- what a command or a file says ----------------------------------------------------------- */

char *read_text(const char *path); /* of a file, which must be there; static memory */
#define want_text(text, part)                                                                      \
    ck_assert_msg(strstr((text), (part)) != NULL, "no \"%s\" in: %s", (part), (text))

/* ---- the last reply -------------------------------------------------------------------------- */

extern struct http_reply re;
const char *header(const char *name); /* NULL: absent */
/* By JSON pointer: decoded strings, JSON text for all else; the test fails when it is not there. */
const char *at(const char *pointer);
int64_t num_at(const char *pointer);
bool has(const char *pointer);
uint64_t stamp(void); /* /data/last_modified */
const char *etag(void);
/* The ids of /data joined by commas, "" for none; a tombstone's has a '-' in front. */
const char *ids(void);

#define want(status)             want_(__FILE__, __LINE__, status)
#define want_at(pointer, json)   want_at_(__FILE__, __LINE__, pointer, json)
#define want_body(json)          want_at_(__FILE__, __LINE__, "", json)
#define want_set(pointer, json)  want_set_(__FILE__, __LINE__, pointer, json)
#define want_missing(pointer)    want_missing_(__FILE__, __LINE__, pointer)
#define want_count(pointer, n)   want_count_(__FILE__, __LINE__, pointer, n)
#define want_ids(list)           want_ids_(__FILE__, __LINE__, list, false)
#define want_ids_any_order(list) want_ids_(__FILE__, __LINE__, list, true)
#define want_header(name, value) want_header_(__FILE__, __LINE__, name, value)
#define want_no_header(name)     want_header_(__FILE__, __LINE__, name, NULL)
#define want_header_has(name, s) want_header_has_(__FILE__, __LINE__, name, s)
#define want_empty_body()        want_empty_body_(__FILE__, __LINE__)
/* The error form: status, errno, and the message (NULL: any; "": must be absent). */
#define want_error(status, no, message) want_error_(__FILE__, __LINE__, status, no, message)
/* 400, errno 107, and the first detail. */
#define want_invalid(location, name, description)                                                  \
    want_invalid_(__FILE__, __LINE__, location, name, description)

void want_(const char *file, int line, int status);
void want_at_(const char *file, int line, const char *pointer, const char *json);
void want_set_(const char *file, int line, const char *pointer, const char *json);
void want_missing_(const char *file, int line, const char *pointer);
void want_count_(const char *file, int line, const char *pointer, size_t n);
void want_ids_(const char *file, int line, const char *list, bool any_order);
void want_header_(const char *file, int line, const char *name, const char *value);
void want_header_has_(const char *file, int line, const char *name, const char *part);
void want_empty_body_(const char *file, int line);
void want_error_(const char *file, int line, int status, int no, const char *message);
void want_invalid_(const char *file, int line, const char *location, const char *name,
                   const char *description);

/* ---- raw HTTP -------------------------------------------------------------------------------- */

/* A new connection to the session's server; the test fails when there is none. */
struct http_conn *raw_open(void);
/* Sends text (must succeed) and reads one reply into `re`; the test fails when none comes. */
void raw_call(struct http_conn *c, const char *text);
/* "Authorization: Basic ...\r\n" of the session's user. */
const char *raw_auth(void);
/* n requests (write_head(text, i) writes the i-th, of RAW_HEAD bytes at most), each on a connection of its
 * own, all sent before an answer is read. How often each status came: in counts. */
#define RAW_HEAD     512
#define RAW_STATUSES 600
void raw_at_once(int n, void (*write_head)(char *text, int i), int counts[RAW_STATUSES]);
void raw_want_closed(struct http_conn *c); /* the peer closes without another byte */

#endif
