/*
 * test/support/wait.h - how tests wait. For a condition: by a loop of wait_tick() that has a deadline, or
 * better by something that tells of it. For time itself: by let_pass(), where the case is about time and
 * there is nothing else to wait for; the reason stands beside it. make lint finds other ways.
 */
#ifndef TEST_SUPPORT_WAIT_H
#define TEST_SUPPORT_WAIT_H

#include <poll.h>
#include <stddef.h>

/* Between two looks at a condition: 1 ms. */
static inline void wait_tick(void)
{
    poll(NULL, 0, 1);
}

/* `why`: what must not happen, or has to be slow, meanwhile. */
static inline void let_pass(int ms, const char *why)
{
    (void)why;
    poll(NULL, 0, ms);
}

#endif
