/*
 * base/thread.h - how threads are started here.
 */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include "base/err.h"

#include <pthread.h>

/*
 * Starts a thread that blocks all signals: they are the business of whoever started the process. But not
 * those that a thread's own fault brings (SIGSEGV, SIGBUS ...): blocked, the kernel would end the process
 * without asking whoever handles them (base/fault.h, the sanitizers). The caller joins it. NOMEM: the
 * system has no thread left.
 */
MUST_CHECK enum err thread_start(pthread_t *out, void *(*run)(void *arg), void *arg);

#endif
