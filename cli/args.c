/*
 * cli/args.c - the words of the command line, by two tables: commands, and options with the bits of
 * the commands that take them. An option's row says where in struct cli_args its value goes, so a
 * new one is a row and a field. Words that belong to no option go one behind the other.
 */
#include "cli/private.h"

/* A negative number is an operand: no option is called so. */
static bool is_option(const char *word)
{
    return word[0] == '-' && !(word[1] >= '0' && word[1] <= '9');
}

void cli_print_help(const struct cli_words *w, FILE *to)
{
    fprintf(to, "kinto " KINTO_VERSION ": JSON storage over HTTP, with sync and sharing\n\n");
    for (size_t i = 0; i < w->ncommands; i++) {
        const struct cli_command *c = &w->commands[i];
        fprintf(to, "kinto %s %s\n        %s\n", c->name, c->usage, c->help);
    }
    fprintf(to, "\nOptions, and [what counts without them]:\n");
    for (size_t i = 0; i < w->noptions; i++) {
        char left[64];
        const struct cli_option *o = &w->options[i];
        if (!is_option(o->name))
            continue; /* the usage has them */
        snprintf(left, sizeof left, "%s%s%s%s%s", o->other ? o->other : "", o->other ? ", " : "",
                 o->name, o->argument ? " " : "", o->argument ? o->argument : "");
        fprintf(to, "  %-22s %s\n", left, o->help);
    }
    fprintf(to, "\nSettings from the environment win over the INI: KINTO_PAGINATE_BY=100.\n");
}

const struct cli_command *cli_find_command(const struct cli_words *w, const char *name)
{
    for (size_t i = 0; i < w->ncommands; i++)
        if (strcmp(name, w->commands[i].name) == 0)
            return &w->commands[i];
    return NULL;
}

/* "--port=1" or "--port". */
static const struct cli_option *find_option(const struct cli_words *w, str word, unsigned command)
{
    str name = str_sub(word, 0, str_find(word, '='));
    for (size_t i = 0; i < w->noptions; i++) {
        const struct cli_option *o = &w->options[i];
        if ((o->commands & command) &&
            (str_eq(name, str_from(o->name)) || (o->other && str_eq(name, str_from(o->other)))))
            return o;
    }
    return NULL;
}

static const struct cli_option *find_operands(const struct cli_words *w, unsigned command)
{
    for (size_t i = 0; i < w->noptions; i++)
        if ((w->options[i].commands & command) && !is_option(w->options[i].name))
            return &w->options[i];
    return NULL;
}

static enum err take_operand(struct cli_operands *list, const char *word, struct err_detail *d)
{
    if (list->n == CLI_MAX_WORDS)
        return err_set(d, ERR_SYNTAX, 0, "more than %d words", CLI_MAX_WORDS);
    list->at[list->n++] = word;
    return OK;
}

/* Takes the words of one option; *at is moved onto its last one. */
static bool take_option(const struct cli_option *o, struct cli_args *out, char **argv, int *at)
{
    char *place = (char *)out + o->offset;
    char *value = strchr(argv[*at], '=');
    if (!o->argument) {
        bool yes = true;
        memcpy(place, &yes, sizeof yes);
        return !value;
    }
    const char *word = value ? value + 1 : argv[*at + 1];
    if (!word)
        return false;
    *at += value ? 0 : 1;
    memcpy(place, &word, sizeof word);
    return true;
}

static bool valid_port(const char *text)
{
    uint64_t n;
    return !text || (str_to_u64(str_from(text), &n) == OK && n <= 65535);
}

enum err cli_parse(const struct cli_words *w, const struct cli_command *c, char **argv,
                   struct cli_args *out, struct err_detail *d)
{
    for (int i = 0; argv[i]; i++) {
        const struct cli_option *o = find_option(w, str_from(argv[i]), c->bit);
        if (!o && !is_option(argv[i]) && find_operands(w, c->bit)) {
            enum err e = take_operand(&out->operands, argv[i], d);
            if (e != OK)
                return e;
            continue;
        }
        if (!o)
            return err_set(d, ERR_SYNTAX, 0, "no such option: %s", argv[i]);
        if (!take_option(o, out, argv, &i))
            return err_set(d, ERR_SYNTAX, 0,
                           o->argument ? "option without its value: %s"
                                       : "option that takes no value: %s",
                           o->name);
    }
    if (!valid_port(out->port))
        return err_set(d, ERR_SYNTAX, 0, "--port is a number from 0 to 65535, found: %s",
                       out->port);
    if (out->quiet && out->verbose)
        return err_set(d, ERR_SYNTAX, 0, "-q and -v exclude each other");
    return OK;
}
