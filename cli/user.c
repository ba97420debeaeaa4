/*
 * cli/user.c - kinto create-user: who it shall be, by the options or by asking, and the account.
 */
#include "cli/private.h"

#include "base/settings.h"
#include "plugins/accounts.h"
#include "plugins/plugins.h"
#include "store/store.h"
#include <signal.h>
#include <termios.h>
#include <unistd.h>

static enum err input_ended(struct err_detail *d)
{
    return err_set(d, ERR_CLOSED, 0, "the input ended; no account was made");
}

static enum err too_long(const char *what, struct err_detail *d)
{
    return err_set(d, ERR_SYNTAX, 0, "the %s is longer than %d bytes", what,
                   CLI_MAX_WORD_BYTES - 1);
}

/* One line without its end. */
static enum err read_line(FILE *in, const char *what, char out[CLI_MAX_WORD_BYTES],
                          struct err_detail *d)
{
    if (!fgets(out, CLI_MAX_WORD_BYTES, in))
        return input_ended(d);
    size_t n = strcspn(out, "\r\n");
    if (out[n] == '\0' && !feof(in))
        return too_long(what, d);
    out[n] = '\0';
    return OK;
}

static enum err ask(FILE *in, FILE *out, const char *prompt, const char *what,
                    char answer[CLI_MAX_WORD_BYTES], struct err_detail *d)
{
    fputs(prompt, out);
    fflush(out);
    return read_line(in, what, answer, d);
}

/* Who is stopped at a prompt still leaves a terminal that shows what is typed. */
static const int stops[] = {SIGINT, SIGTERM};
static struct {
    int fd;
    struct termios shown;
} prompt_on;

/* SA_RESETHAND: raised again, the signal does what it does by default once this is back. Both calls are safe
 * in a handler (signal-safety(7)). */
static void show_again(int signal)
{
    (void)tcsetattr(prompt_on.fd, TCSAFLUSH, &prompt_on.shown);
    (void)raise(signal);
}

static bool hide(FILE *in, struct sigaction before[ARRAY_LEN(stops)])
{
    struct sigaction a = {.sa_handler = show_again, .sa_flags = SA_RESETHAND};
    sigemptyset(&a.sa_mask);
    prompt_on.fd = fileno(in);
    if (tcgetattr(prompt_on.fd, &prompt_on.shown) != 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(stops); i++)
        (void)sigaction(stops[i], &a, &before[i]);
    struct termios hidden = prompt_on.shown;
    hidden.c_lflag &= ~(tcflag_t)ECHO;
    (void)tcsetattr(prompt_on.fd, TCSAFLUSH, &hidden);
    return true;
}

static void show(const struct sigaction before[ARRAY_LEN(stops)])
{
    (void)tcsetattr(prompt_on.fd, TCSAFLUSH, &prompt_on.shown);
    for (size_t i = 0; i < ARRAY_LEN(stops); i++)
        (void)sigaction(stops[i], &before[i], NULL);
}

/* The same, unseen. */
static enum err ask_hidden(FILE *in, FILE *out, const char *prompt, char answer[CLI_MAX_WORD_BYTES],
                           struct err_detail *d)
{
    struct sigaction before[ARRAY_LEN(stops)];
    bool terminal = hide(in, before);
    enum err e = ask(in, out, prompt, "password", answer, d);
    if (terminal) {
        show(before);
        fputc('\n', out);
    }
    return e;
}

static enum err ask_name(FILE *in, FILE *out, struct cli_user *user, struct err_detail *d)
{
    for (;;) {
        enum err e = ask(in, out, "Username: ", "name", user->name, d);
        if (e != OK || accounts_valid_name(str_from(user->name)))
            return e;
        fprintf(out, "A name is made of " ACCOUNTS_NAMES ".\n");
    }
}

static enum err ask_password(FILE *in, FILE *out, struct cli_user *user, struct err_detail *d)
{
    char prompt[CLI_MAX_WORD_BYTES + 32], again[CLI_MAX_WORD_BYTES];
    int n = snprintf(prompt, sizeof prompt, "Password for %s: ", user->name);
    CHECK(n > 0 && (size_t)n < sizeof prompt);
    for (;;) {
        enum err e = ask_hidden(in, out, prompt, user->password, d);
        if (e == OK)
            e = ask_hidden(in, out, "The same again: ", again, d);
        if (e != OK || strcmp(user->password, again) == 0)
            return e;
        fputs("These two differ.\n", out);
    }
}

static enum err take(char out[CLI_MAX_WORD_BYTES], const char *given, const char *what,
                     struct err_detail *d)
{
    size_t n = strlen(given);
    if (n >= CLI_MAX_WORD_BYTES)
        return too_long(what, d);
    memcpy(out, given, n + 1);
    return OK;
}

enum err cli_user_read(const struct cli_args *a, FILE *in, FILE *out, struct cli_user *user,
                       struct err_detail *d)
{
    enum err e =
        a->username ? take(user->name, a->username, "name", d) : ask_name(in, out, user, d);
    if (e != OK)
        return e;
    return a->password ? take(user->password, a->password, "password", d)
                       : ask_password(in, out, user, d);
}

enum err cli_user_allowed(const struct settings *s, struct err_detail *d)
{
    if (settings_bool(s, "kinto.readonly"))
        return err_set(d, ERR_UNSUPPORTED, 0,
                       "kinto.readonly: a server that only reads has no new users");
    if (!plugins_includes(s, "kinto.plugins.accounts"))
        return err_set(d, ERR_UNSUPPORTED, 0,
                       "kinto.includes: there are no accounts without kinto.plugins.accounts");
    return OK;
}

enum err cli_user_create(struct store *s, const struct settings *settings,
                         const struct cli_user *user, struct err_detail *d)
{
    struct store_thread *t;
    enum err e = store_thread_new(s, &t);
    if (e != OK)
        return e;
    e = accounts_put(t, settings, str_from(user->name), str_from(user->password), d);
    store_thread_free(t);
    return e;
}
