/* Tests of who runs where. */
#ifndef TEST_PIN_H
#define TEST_PIN_H

#include <check.h>
#include <sched.h>

/* The process, and threads that it makes from now on, stay on the processor that it is on: its number. */
static inline int pin_here(void)
{
    int cpu = sched_getcpu();
    cpu_set_t here;

    ck_assert_int_ge(cpu, 0);
    CPU_ZERO(&here);
    CPU_SET((size_t)cpu, &here);
    ck_assert_int_eq(sched_setaffinity(0, sizeof here, &here), 0);
    return cpu;
}

#endif
