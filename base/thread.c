/*
 * base/thread.c - threads and their signals.
 */
#include "base/thread.h"
#include <signal.h>

static void signals_of_others(sigset_t *set)
{
    static const int own[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
    sigfillset(set);
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        sigdelset(set, own[i]);
}

enum err thread_start(pthread_t *out, void *(*run)(void *arg), void *arg)
{
    sigset_t others, before;
    signals_of_others(&others); /* a thread begins with the mask of the one that makes it */
    CHECK(pthread_sigmask(SIG_SETMASK, &others, &before) == 0);
    int r = pthread_create(out, NULL, run, arg);
    CHECK(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
    return r == 0 ? OK : ERR_NOMEM;
}
