/*
 * plugins/prometheus_process.c - the process's own figures: memory, time and file descriptors, as Linux
 * tells them (proc(5)), under the names that all of Prometheus's libraries give them. Read anew for each
 * answer; there is nothing to keep.
 */
#include "plugins/prometheus.h"

#include <math.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/os.h"

static void write_gauge(struct buf *b, const char *name, const char *type, const char *help,
                        double value)
{
    if (!isfinite(value)) /* not known */
        return;
    buf_printf(b, "# HELP process_%s %s\n# TYPE process_%s %s\nprocess_%s %.15g\n", name, help,
               name, type, name, value);
}

/* The i-th field (from 1) of /proc/self/stat (proc(5)); from 3 on, as the second may hold anything. */
static bool stat_field(str text, unsigned i, uint64_t *out)
{
    size_t at = STR_NPOS;
    for (size_t k = 0; k < text.n; k++)
        if (text.p[k] == ')')
            at = k;
    str rest = at == STR_NPOS ? STR_NONE : str_drop(text, at + 2), word = STR_NONE;
    for (unsigned k = 3; k <= i && !str_none(rest); k++)
        word = str_cut(&rest, ' ');
    return str_to_u64(word, out) == OK;
}

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    return clock_gettime(clock, &t) == 0 ? (double)t.tv_sec + (double)t.tv_nsec / 1e9 : NAN;
}

static void write_memory_and_start(struct buf *b)
{
    char *text;
    size_t n;
    uint64_t v;
    if (os_read_file("/proc/self/stat", 4 * KIB, &text, &n, NULL) != OK)
        return;
    str stat = {text, n};
    if (stat_field(stat, 23, &v))
        write_gauge(b, "virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", (double)v);
    if (stat_field(stat, 24, &v))
        write_gauge(b, "resident_memory_bytes", "gauge", "Resident memory size in bytes.",
                    (double)v * (double)sysconf(_SC_PAGESIZE));
    if (stat_field(stat, 22, &v))
        write_gauge(b, "start_time_seconds", "gauge",
                    "Start time of the process since unix epoch in seconds.",
                    seconds_of(CLOCK_REALTIME) - seconds_of(CLOCK_BOOTTIME) +
                        (double)v / (double)sysconf(_SC_CLK_TCK));
    free(text);
}

static void count_entry(void *arg, const char *name)
{
    size_t *n = arg;
    *n += name[0] != '.';
}

static void write_files(struct buf *b)
{
    size_t open = 0;
    struct rlimit most;
    if (os()->list_dir("/proc/self/fd", count_entry, &open) == 0)
        write_gauge(b, "open_fds", "gauge", "Number of open file descriptors.", (double)open);
    if (getrlimit(RLIMIT_NOFILE, &most) == 0)
        write_gauge(b, "max_fds", "gauge", "Maximum number of open file descriptors.",
                    most.rlim_cur == RLIM_INFINITY ? INFINITY : (double)most.rlim_cur);
}

void prometheus_write_process(struct buf *b)
{
    write_memory_and_start(b);
    write_gauge(b, "cpu_seconds_total", "counter",
                "Total user and system CPU time spent in seconds.",
                seconds_of(CLOCK_PROCESS_CPUTIME_ID));
    write_files(b);
}
