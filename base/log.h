/*
 * base/log.h - one event a line, on standard error:
 *     2026-01-02T03:04:05.678Z WARN unknown_setting key=kinto.foo file=kinto.ini line=12
 * `event` is a word; the rest are key=value pairs made by the caller (quote values that may hold
 * spaces with "%s"-in-quotes). Control characters are written as \xNN, so that no value can forge
 * a line. A line is one write(2); beyond 4 KiB it is cut and ends with "...". Any thread.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/base.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_NONE };

void log_set_level(enum log_level lowest); /* default LOG_INFO */
bool log_enabled(enum log_level level);
void log_event(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Tests: lines go to fn instead (without newline); NULL restores. */
void log_test_sink(void (*fn)(const char *line, void *arg), void *arg);

#endif
