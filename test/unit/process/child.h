/*
 * test/unit/process/child.h - a process of its own for what there is no way back from, and how it ended.
 */
#ifndef TEST_UNIT_PROCESS_CHILD_H
#define TEST_UNIT_PROCESS_CHILD_H

#include <sys/wait.h>
#include <unistd.h>

#include "test/support/unit.h"

/* Runs it in a process of its own, which ends with what it returns; its status, as of waitpid(). */
static inline int in_child(int (*run)(void))
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0)
        _exit(run());
    ck_assert(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

static inline void want_success(int status)
{
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", status);
}

#endif
