/*
 * api/soon.c - what is about to happen, so that a loop does not sleep for it.
 *
 * A processor that falls asleep and is woken takes some 10 to 50 microseconds for it, on a virtual machine more
 * than on others: for one client that writes, waits for the answer and writes again that is as much as the rest. So
 * a loop with writes at the disk looks for their end again and again instead of sleeping, and behind the answer for
 * the client's next request; each of them for no longer than twice what it took the last time, and not at all if
 * that was more than a little (kinto.stay_awake_us). So a slow disk, or a client that has nothing more to say, costs
 * nothing, and a fast disk at most what it takes itself.
 */
#include "api/private.h"

static void expect(struct api_soon *s, enum api_sooner what, uint64_t now)
{
    s->what = what;
    s->since_ns = now;
}

/* What was expected is there. */
static void met(struct api_soon *s, uint64_t now)
{
    s->took_ns[s->what] = now - s->since_ns;
    s->what = SOON_NOTHING;
}

/* Of several groups on their way the first one counts. */
void api_soon_disk(struct api_loop *loop)
{
    if (loop->soon.what != SOON_DISK)
        expect(&loop->soon, SOON_DISK, clock_mono_ns());
}

void api_soon_answer(struct api_loop *loop)
{
    if (loop->soon.what != SOON_DISK)
        return;
    uint64_t now = clock_mono_ns();
    met(&loop->soon, now);
    expect(&loop->soon, loop->at_disk > loop->waiting ? SOON_DISK : SOON_REQUEST, now);
}

void api_soon_request(struct api_loop *loop)
{
    if (loop->soon.what == SOON_REQUEST)
        met(&loop->soon, clock_mono_ns());
}

uint64_t api_soon_ns(const struct api_loop *loop)
{
    const struct api_soon *s = &loop->soon;
    uint64_t limit = loop->api->conf.stay_awake_ns;
    if (s->what == SOON_NOTHING || s->took_ns[s->what] > limit)
        return 0;
    uint64_t passed = clock_mono_ns() - s->since_ns, most = MIN_OF(2 * s->took_ns[s->what], limit);
    return passed < most ? most - passed : 0;
}
