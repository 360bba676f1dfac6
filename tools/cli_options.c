/* SPDX-License-Identifier: Apache-2.0
 * Options as GNU programs take them: --name VALUE, --name=VALUE, -n VALUE, -nVALUE; "--" ends them. */
#include "tools/cli.h"
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { COMMON = 7 };

int cli_usage(const cli_command *command, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("sardonyx: usage: ", stderr);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    if (command)
        fprintf(stderr, "; see 'sardonyx %s --help'\n", command->name);
    else
        fputs("; see 'sardonyx --help'\n", stderr);
    return CLI_USAGE;
}

bool cli_read_integer(const char *text, int64_t least, int64_t most, int64_t *value) {
    char *end = NULL;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || *end || errno || text[0] == ' ' || number < least || number > most) return false;
    *value = number;
    return true;
}

/* A finite number >= 0 and what follows it. */
static bool read_number(const char *text, double *number, const char **unit) {
    char *end = NULL;
    if (text[0] != '.' && (text[0] < '0' || text[0] > '9')) return false;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) return false;
    *number = strtod(text, &end);
    *unit = end;
    return end != text && isfinite(*number);
}

bool cli_read_bytes(const char *text, size_t *bytes) {
    static const char units[] = "KMGT";
    const char *unit = NULL;
    double number = 0;
    if (!read_number(text, &number, &unit)) return false;
    const char *known = *unit ? strchr(units, *unit) : NULL;
    if (*unit && (!known || unit[1])) return false;
    for (const char *u = units; known && u <= known; u++) number *= 1024;
    if (number < 1 || number >= 0x1p62) return false;
    *bytes = (size_t)number;
    return true;
}

bool cli_read_seconds(const char *text, double *seconds) {
    static const struct {
        const char *name;
        double factor;
    } units[] = {{"", 1}, {"s", 1}, {"ms", 1e-3}, {"m", 60}, {"h", 3600}};
    const char *unit = NULL;
    double number = 0;
    if (!read_number(text, &number, &unit)) return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (strcmp(unit, units[i].name) == 0) {
            *seconds = number * units[i].factor;
            return *seconds > 0;
        }
    return false;
}

static void append(cli_list *list, const char *item) {
    const char **grown = realloc(list->items, ((size_t)list->n + 1) * sizeof *grown);
    if (!grown) return;
    list->items = grown;
    list->items[list->n++] = item;
}

/* What the option's value must be; NULL when `text` is one and was stored. */
static const char *store(const cli_option *option, const char *text) {
    int64_t integer = 0;
    const char *rest = NULL;
    char *end = NULL;
    switch (option->kind) {
    case CLI_FLAG: *(bool *)option->into = true; return NULL;
    case CLI_TEXT: *(const char **)option->into = text; return *text ? NULL : "must not be empty";
    case CLI_LIST: append(option->into, text); return NULL;
    case CLI_COUNT:
        if (!cli_read_integer(text, 1, 1000000000, &integer)) return "must be a whole number from 1";
        *(int *)option->into = (int)integer;
        return NULL;
    case CLI_SEED:
        errno = 0;
        *(uint64_t *)option->into = strtoull(text, &end, 10);
        return text[0] >= '0' && text[0] <= '9' && !*end && !errno ? NULL : "must be a whole number from 0 to 2^64-1";
    case CLI_BYTES: return cli_read_bytes(text, option->into) ? NULL : "must be bytes, such as 4096, 512K, 512M, 2G";
    case CLI_SECONDS: return cli_read_seconds(text, option->into) ? NULL : "must be a time, such as 2s, 500ms, 1m";
    case CLI_NUMBER: return read_number(text, option->into, &rest) && !*rest ? NULL : "must be a number from 0";
    }
    return NULL;
}

static const cli_option *find(const cli_option *options, size_t n, const char *name, size_t length, char letter) {
    for (size_t i = 0; i < n; i++)
        if (name ? strlen(options[i].name) == length && memcmp(options[i].name, name, length) == 0
                 : options[i].letter == letter)
            return &options[i];
    return NULL;
}

static void print_options(const cli_option *options, size_t n) {
    for (size_t i = 0; i < n; i++) {
        char left[64];
        snprintf(left, sizeof left, "%c%c%s --%s%s%s", options[i].letter ? '-' : ' ',
                 options[i].letter ? options[i].letter : ' ', options[i].letter ? "," : " ", options[i].name,
                 options[i].argument ? " " : "", options[i].argument ? options[i].argument : "");
        printf("  %-30s %s\n", left, options[i].help);
    }
}

static int print_help(const cli_command *command, const cli_option *options, size_t n_own, size_t n) {
    printf("usage: sardonyx %s %s\n\n%s\n", command->name, command->usage, command->summary);
    if (n_own) {
        puts("\nOptions:");
        print_options(options, n_own);
    }
    puts("\nCommon options:");
    print_options(options + n_own, n - n_own);
    return CLI_DONE;
}

static size_t add_common(cli_option *options, size_t n, cli_common *common) {
    const cli_option rows[COMMON] = {
        {"threads", 0, CLI_COUNT, &common->threads, "N", "threads of a run (default: the machine's)"},
        {"memory-limit", 0, CLI_BYTES, &common->memory_limit, "BYTES", "of the model, and of its runs: 512M, 2G"},
        {"deadline", 0, CLI_SECONDS, &common->deadline, "TIME", "a run that takes longer ends: 2s, 500ms"},
        {"seed", 0, CLI_SEED, &common->seed, "N", "of made-up inputs and random operators (default: 0)"},
        {"quiet", 'q', CLI_FLAG, &common->quiet, NULL, "say less"},
        {"verbose", 'v', CLI_FLAG, &common->verbose, NULL, "say more"},
        {"help", 'h', CLI_FLAG, &common->help, NULL, "this text"},
    };
    memcpy(options + n, rows, sizeof rows);
    return n + COMMON;
}

/* Handles argv[*at], and the value behind it. Returns false after a usage message. */
static bool take_option(const cli_command *command, const cli_option *options, size_t n, int argc, char **argv,
                        int *at) {
    const char *word = argv[*at], *value = NULL;
    bool is_long = word[1] == '-';
    size_t length = is_long ? strcspn(word + 2, "=") : 1;
    const cli_option *option = is_long ? find(options, n, word + 2, length, 0) : find(options, n, NULL, 0, word[1]);
    int shown = is_long ? (int)length + 2 : 2;
    if (!option) return cli_usage(command, "unknown option '%.*s'", shown, word), false;
    if (is_long && word[2 + length] == '=') value = word + 3 + length;
    if (!is_long && word[2]) value = word + 2;
    if (option->kind == CLI_FLAG && value) return cli_usage(command, "'%.*s' takes no value", shown, word), false;
    if (option->kind != CLI_FLAG && !value) {
        if (*at + 1 >= argc) return cli_usage(command, "'%.*s' wants %s", shown, word, option->argument), false;
        value = argv[++*at];
    }
    const char *must = store(option, value ? value : "");
    if (must) return cli_usage(command, "'%.*s' is '%s'; it %s", shown, word, value, must), false;
    return true;
}

bool cli_parse(const cli_command *command, const cli_option *own, size_t n_own, cli_common *common, int argc,
               char **argv, cli_list *files, int *status) {
    cli_option options[32];
    memcpy(options, own, n_own * sizeof *own);
    size_t n = add_common(options, n_own, common);
    bool only_files = false;
    for (int i = 1; i < argc; i++) {
        if (!only_files && strcmp(argv[i], "--") == 0) {
            only_files = true;
        } else if (only_files || argv[i][0] != '-' || !argv[i][1]) {
            append(files, argv[i]);
        } else if (!take_option(command, options, n, argc, argv, &i)) {
            *status = CLI_USAGE;
            return false;
        }
    }
    if (common->help) *status = print_help(command, options, n_own, n);
    return !common->help;
}
