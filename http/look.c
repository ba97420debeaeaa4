/*
 * http/look.c - looking for events without sleeping, where they are near.
 *
 * A processor that falls asleep and is woken loses more time than many an event takes to come. The application says
 * when that is so (turn_end in http.h).
 *
 * When somebody else takes the processor as soon as it is left to others for a moment, he shall not be disturbed,
 * and a loop that was asleep is run sooner than one that was not. (The thread that waits for the disk takes less.)
 * Then it is tried again after a pause, which becomes longer as long as that is in vain: what is there at the first
 * look, before anybody else could have the processor, says nothing of it.
 */
#include "base/clock.h"
#include "http/private.h"

#include <sched.h>
#include <sys/epoll.h>

#define CROWDED_NS     ((uint64_t)100 * 1000)
#define PAUSE_LEAST_NS ((uint64_t)5 * 1000 * 1000)
#define PAUSE_MOST_NS  ((uint64_t)320 * 1000 * 1000)

static void pause_looking(struct look *look, uint64_t now)
{
    look->pause_ns = MIN_OF(MAX_OF(2 * look->pause_ns, PAUSE_LEAST_NS), PAUSE_MOST_NS);
    look->paused_until_ns = now + look->pause_ns;
}

int look_for_events(struct look *look, int epoll_fd, struct epoll_event *events, int most)
{
    uint64_t now = clock_mono_ns(), end = now + look->ns;
    bool was_left = false; /* the processor, to others, who gave it back soon */

    while (now < end && now >= look->paused_until_ns) {
        uint64_t before = now;
        int n = epoll_wait(epoll_fd, events, most, 0);
        if (n > 0 && was_left)
            look->pause_ns = 0;
        if (n != 0)
            return n;
        sched_yield();
        now = clock_mono_ns();
        was_left = now - before <= CROWDED_NS;
        if (!was_left)
            pause_looking(look, now);
    }
    return 0;
}
