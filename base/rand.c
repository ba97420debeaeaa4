/*
 * base/rand.c - random bytes, fetched from the kernel in handfuls.
 *
 * Each thread keeps a small buffer, since a system call for each id would show. Bytes are wiped as
 * they are handed out, so that a later look at the memory does not tell them. A child process must
 * not hand out its parent's bytes again: `forks` counts, and a buffer of an older count is dropped.
 */
#include "base/rand.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/random.h>

static struct {
    pthread_once_t once;
    atomic_uint forks;
} fork_guard = {.once = PTHREAD_ONCE_INIT};

static _Thread_local struct {
    uint8_t bytes[256];
    size_t left; /* unused bytes, at the end */
    unsigned forks;
} pool;

static void forked(void)
{
    atomic_fetch_add(&fork_guard.forks, 1);
}

static void watch_forks(void)
{
    CHECK(pthread_atfork(NULL, NULL, forked) == 0);
}

static void fill(uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t r = getrandom(p, n, 0);
        if (r < 0 && errno == EINTR)
            continue;
        CHECK(r > 0);
        p += r;
        n -= (size_t)r;
    }
}

void rand_bytes(void *out, size_t n)
{
    uint8_t *from;
    unsigned forks;

    if (n > sizeof pool.bytes / 2) {
        fill(out, n);
        return;
    }
    pthread_once(&fork_guard.once, watch_forks);
    forks = atomic_load(&fork_guard.forks);
    if (pool.left < n || pool.forks != forks) {
        fill(pool.bytes, sizeof pool.bytes);
        pool.left = sizeof pool.bytes;
        pool.forks = forks;
    }
    from = pool.bytes + (sizeof pool.bytes - pool.left);
    memcpy(out, from, n);
    explicit_bzero(from, n);
    pool.left -= n;
}

uint64_t rand_u64(void)
{
    uint64_t v;
    rand_bytes(&v, sizeof v);
    return v;
}

void rand_uuid4(char out[UUID_TEXT_BYTES + 1])
{
    uint8_t b[UUID_BYTES];

    rand_bytes(b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40); /* version 4 */
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80); /* variant 10 */
    uuid_write(b, out);
}

void rand_name(char *out, size_t n, const char *alphabet)
{
    size_t letters = strlen(alphabet);
    unsigned fair; /* bytes from here on would favour the first letters */

    CHECK(letters >= 1 && letters <= 256);
    fair = 256 - 256 % (unsigned)letters;
    for (size_t i = 0; i < n;) {
        uint8_t b;
        rand_bytes(&b, 1);
        if (b < fair)
            out[i++] = alphabet[b % letters];
    }
    out[n] = '\0';
}
