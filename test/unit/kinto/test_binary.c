/*
 * What the built binary is protected by, read out of its ELF headers (elf(5)): it lies at a random address,
 * needs no interpreter and no library, has nothing that can be written and executed, writes over no table of
 * functions, and checks its stack and its buffers.
 *
 * Builds with sanitizers are no binary that anybody installs: they skip this.
 */
#include "test/support/unit.h"

#include "base/os.h"
#include <elf.h>
#include <link.h>

#define MAX_BINARY (256 * MIB)

typedef ElfW(Ehdr) ehdr;
typedef ElfW(Phdr) phdr;
typedef ElfW(Shdr) shdr;
typedef ElfW(Dyn) dyn;
typedef ElfW(Sym) sym;

static char *file;
static size_t file_n;

static bool sanitized(void)
{
    if (SANITIZED)
        fprintf(stderr, "SKIPPED: a build with sanitizers\n");
    return SANITIZED;
}

static void load(void)
{
    const char *path = getenv("KINTO_BIN");
    struct err_detail d = {.text = ""};

    ck_assert_msg(path && *path, "KINTO_BIN names no binary (make test sets it)");
    ck_assert_msg(os_read_file(path, MAX_BINARY, &file, &file_n, &d) == OK, "%s", d.text);
    ck_assert(file_n > sizeof(ehdr) && memcmp(file, ELFMAG, SELFMAG) == 0);
}

static void unload(void)
{
    free(file);
}

/* n things of a size at an offset of the file; the test fails when they do not lie in it. */
static const void *at(uint64_t off, uint64_t n, size_t size)
{
    ck_assert(off <= file_n && n <= (file_n - off) / size);
    return file + off;
}

static const ehdr *header(void)
{
    return at(0, 1, sizeof(ehdr));
}

static const phdr *segments(void)
{
    return at(header()->e_phoff, header()->e_phnum, sizeof(phdr));
}

/* The first segment of a type, or NULL. */
static const phdr *segment(uint32_t type)
{
    for (unsigned i = 0; i < header()->e_phnum; i++)
        if (segments()[i].p_type == type)
            return &segments()[i];
    return NULL;
}

/* The value of a tag of the dynamic section. False: it is not there. */
static bool dynamic(int64_t tag, uint64_t *out)
{
    const phdr *p = segment(PT_DYNAMIC);
    ck_assert_ptr_nonnull(p);
    const dyn *d = at(p->p_offset, p->p_filesz / sizeof(dyn), sizeof(dyn));
    for (size_t i = 0; i < p->p_filesz / sizeof(dyn) && d[i].d_tag != DT_NULL; i++)
        if (d[i].d_tag == tag) {
            *out = d[i].d_un.d_val;
            return true;
        }
    return false;
}

static bool has_symbol_in(const shdr *table, const char *name)
{
    const shdr *strings =
        (const shdr *)at(header()->e_shoff, header()->e_shnum, sizeof(shdr)) + table->sh_link;
    const sym *s = at(table->sh_offset, table->sh_size / sizeof(sym), sizeof(sym));
    const char *names = at(strings->sh_offset, strings->sh_size, 1);
    for (size_t i = 0; i < table->sh_size / sizeof(sym); i++)
        if (s[i].st_name < strings->sh_size && strcmp(names + s[i].st_name, name) == 0)
            return true;
    return false;
}

static bool has_symbol(const char *name)
{
    const shdr *s = at(header()->e_shoff, header()->e_shnum, sizeof(shdr));
    for (unsigned i = 0; i < header()->e_shnum; i++)
        if (s[i].sh_type == SHT_SYMTAB && s[i].sh_link < header()->e_shnum &&
            has_symbol_in(&s[i], name))
            return true;
    return false;
}

/* ---- tests ----------------------------------------------------------------------------------- */

START_TEST(lies_at_a_random_address)
{
    uint64_t flags = 0;
    if (sanitized())
        return;
    ck_assert_uint_eq(header()->e_type, ET_DYN);
    ck_assert(dynamic(DT_FLAGS_1, &flags) && (flags & DF_1_PIE));
}
END_TEST

START_TEST(needs_nothing_else)
{
    uint64_t needed;
    if (sanitized())
        return;
    ck_assert_ptr_null(segment(PT_INTERP));
    ck_assert(!dynamic(DT_NEEDED, &needed));
}
END_TEST

START_TEST(is_never_writable_and_executable)
{
    uint64_t text;
    unsigned executable = 0;
    if (sanitized())
        return;
    for (unsigned i = 0; i < header()->e_phnum; i++) {
        const phdr *p = &segments()[i];
        if (p->p_type != PT_LOAD)
            continue;
        executable += (p->p_flags & PF_X) != 0;
        ck_assert_msg((p->p_flags & (PF_W | PF_X)) != (PF_W | PF_X), "segment %u is rwx", i);
    }
    ck_assert_uint_eq(executable, 1);
    const phdr *stack = segment(PT_GNU_STACK);
    ck_assert(stack && !(stack->p_flags & PF_X));
    ck_assert(!dynamic(DT_TEXTREL, &text));
}
END_TEST

START_TEST(tables_are_read_only_once_it_runs)
{
    uint64_t flags = 0, flags_1 = 0;
    if (sanitized())
        return;
    const phdr *relro = segment(PT_GNU_RELRO);
    ck_assert(relro && relro->p_memsz > 0);
    ck_assert(dynamic(DT_FLAGS_1, &flags_1) && (flags_1 & DF_1_NOW));
    ck_assert(dynamic(DT_FLAGS, &flags) && (flags & DF_BIND_NOW));
}
END_TEST

/* Of the stack protector, and of fortified calls, of which no library in it makes the last. */
static const char *const checks[] = {"__stack_chk_fail", "__snprintf_chk", "__vsnprintf_chk",
                                     "__memmove_chk"};

START_TEST(checks_stack_and_buffers)
{
    if (sanitized())
        return;
    ck_assert_msg(has_symbol(checks[_i]), "%s is not called", checks[_i]);
    ck_assert(!has_symbol("no_such_symbol_is_there"));
}
END_TEST

/* mbedtls' certificates for its own test, hashes other than bcrypt (http/mbedtls_certs.c, auth/crypt_others.c); and of
 * zlib what unpacks. The names are right: their neighbours are there. */
START_TEST(has_nothing_that_nobody_calls)
{
    if (sanitized())
        return;
    ck_assert_ptr_null(memmem(file, file_n, "PolarSSL Test CA", 16));
    ck_assert_ptr_nonnull(memmem(file, file_n, "BEGIN CERTIFICATE", 17));
    ck_assert(!has_symbol("_crypt_des_set_key") && has_symbol("_crypt_crypt_bcrypt_rn"));
    ck_assert(!has_symbol("inflate") && has_symbol("deflate"));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("kinto/binary");
    TCase *t = tcase_create("binary");

    tcase_add_checked_fixture(t, load, unload);
    tcase_add_test(t, lies_at_a_random_address);
    tcase_add_test(t, needs_nothing_else);
    tcase_add_test(t, is_never_writable_and_executable);
    tcase_add_test(t, tables_are_read_only_once_it_runs);
    tcase_add_test(t, has_nothing_that_nobody_calls);
    tcase_add_loop_test(t, checks_stack_and_buffers, 0, (int)ARRAY_LEN(checks));
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(suite)
