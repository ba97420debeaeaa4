/*
 * base/fault.c - the last words of a process that could not read what it had mapped.
 *
 * The kernel knows all mappings (/proc/self/maps), so nobody has to keep a table of them. Only
 * async-signal-safe calls, those of os_kernel among them; memory is static, as a stack may be small.
 * The first thread that gets here speaks; others wait for the end, which it brings.
 */
#include "base/fault.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/os.h"

struct mapping {
    uint64_t begin, end, off;
    const char *path;
};

static const char *read_hex(const char *p, uint64_t *out)
{
    static const char digits[] = "0123456789abcdef";
    const char *digit;

    for (*out = 0; *p != '\0' && (digit = strchr(digits, *p)) != NULL; p++)
        *out = *out << 4 | (uint64_t)(digit - digits);
    return p;
}

static const char *next_word(const char *p)
{
    p += strcspn(p, " ");
    return p + strspn(p, " ");
}

/* "begin-end perms off dev inode path"; false: not of a file. */
static bool read_mapping(const char *line, struct mapping *m)
{
    const char *p = read_hex(line, &m->begin);

    if (*p != '-')
        return false;
    p = next_word(read_hex(p + 1, &m->end));
    p = read_hex(next_word(p), &m->off);
    m->path = next_word(next_word(next_word(p)));
    return *m->path == '/';
}

/* Among the whole lines of the text, whose ends become NUL; *used: their bytes. */
static bool find_in(char *text, uint64_t addr, struct mapping *m, size_t *used)
{
    char *line = text, *end;
    bool found = false;

    for (; !found && (end = strchr(line, '\n')) != NULL; line = end + 1) {
        *end = '\0';
        found = read_mapping(line, m) && addr >= m->begin && addr < m->end;
    }
    *used = (size_t)(line - text);
    return found;
}

static bool find_mapping(uint64_t addr, struct mapping *m)
{
    static char text[16 * KIB]; /* a path has 4 KiB at most */
    int fd = os_kernel.open("/proc/self/maps", O_RDONLY, 0);
    size_t n = 0, used;
    uint64_t off = 0;

    while (fd >= 0) {
        ssize_t got = os_kernel.pread(fd, text + n, sizeof text - 1 - n, off);
        if (got <= 0)
            return false;
        off += (uint64_t)got;
        n += (size_t)got;
        text[n] = '\0';
        if (find_in(text, addr, m, &used))
            return true;
        n -= used;
        memmove(text, text + used, n);
    }
    return false;
}

static void add(char *text, size_t max, size_t *n, const char *s)
{
    while (*s != '\0' && *n < max)
        text[(*n)++] = *s++;
}

static void say(const struct mapping *m, uint64_t addr)
{
    static char text[8 * KIB];
    uint64_t off = m->off + (addr - m->begin);
    char digits[24], *d = digits + sizeof digits;
    size_t n = 0;

    *--d = '\0';
    do
        *--d = (char)('0' + off % 10);
    while ((off /= 10) != 0);
    add(text, sizeof text, &n, "FAULT: ");
    add(text, sizeof text, &n, m->path);
    add(text, sizeof text, &n, ": offset ");
    add(text, sizeof text, &n, d);
    add(text, sizeof text, &n, " cannot be read: the disk failed, or the file was cut short\n");
    (void)!write(STDERR_FILENO, text, n);
}

static void on_bus(int sig, siginfo_t *info, void *context)
{
    static atomic_flag first = ATOMIC_FLAG_INIT;
    struct mapping m;

    (void)context;
    while (atomic_flag_test_and_set(&first))
        pause();
    if (info->si_code > 0 && find_mapping((uintptr_t)info->si_addr, &m))
        say(&m, (uintptr_t)info->si_addr);
    signal(sig, SIG_DFL);
    raise(sig); /* waits until this returns; a second try that succeeds must not count */
}

void fault_watch(void)
{
    struct sigaction a = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};

    sigemptyset(&a.sa_mask);
    CHECK(sigaction(SIGBUS, &a, NULL) == 0);
}
