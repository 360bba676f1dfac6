/* SPDX-License-Identifier: Apache-2.0
 * Options, sizes and times as people write them, exit statuses, and the comparison rule. */
#include "tools/cli.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void sizes(void **state) {
    (void)state;
    static const struct {
        const char *text;
        size_t bytes; /* 0: refused */
    } cases[] = {
        {"4096", 4096},
        {"1K", 1024},
        {"512M", 512u << 20},
        {"2G", UINT64_C(2) << 30},
        {"1.5K", 1536},
        {"0", 0},
        {"", 0},
        {"-1", 0},
        {"M", 0},
        {"12X", 0},
        {"1KB", 0},
        {"nan", 0},
        {"1e400", 0},
        {"9999T", UINT64_C(9999) << 40},
        {"99999999T", 0},
        {" 5", 0},
        {"0x10", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t bytes = 0;
        if (cli_read_bytes(cases[i].text, &bytes) != (cases[i].bytes != 0) || bytes != cases[i].bytes)
            fail_msg("'%s' is %zu", cases[i].text, bytes);
    }
}

static void times(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double seconds; /* 0: refused */
    } cases[] = {{"2", 2}, {"2s", 2},  {"500ms", 0.5}, {"1.5m", 90}, {"1h", 3600},
                 {"0", 0}, {"-1s", 0}, {"2d", 0},      {"", 0}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double seconds = 0;
        bool read = cli_read_seconds(cases[i].text, &seconds);
        if (read != (cases[i].seconds > 0) || fabs(seconds - cases[i].seconds) > 1e-12)
            fail_msg("'%s' is %g", cases[i].text, seconds);
    }
}

typedef struct parsed {
    cli_common common;
    cli_list files, items;
    const char *text;
    int count;
    bool flag;
} parsed;

static bool parse(parsed *p, int *status, int argc, const char *const *words) {
    static const cli_command command = {"try", "FILE", "Tries.", NULL};
    *p = (parsed){.count = 7};
    const cli_option rows[] = {
        {"item", 'i', CLI_LIST, &p->items, "X", ""},
        {"output", 'o', CLI_TEXT, &p->text, "FILE", ""},
        {"count", 0, CLI_COUNT, &p->count, "N", ""},
        {"flag", 'f', CLI_FLAG, &p->flag, NULL, ""},
    };
    char *argv[32];
    for (int i = 0; i < argc; i++) argv[i] = strdup(words[i]);
    *status = CLI_DONE;
    bool on = cli_parse(&command, rows, 4, &p->common, argc, argv, &p->files, status);
    if (on) { /* the words must outlive the lists; here the lists are looked at through copies */
        for (int i = 0; i < p->files.n; i++)
            for (int k = 0; k < argc; k++)
                if (p->files.items[i] == argv[k]) p->files.items[i] = words[k];
    }
    static char text[64];
    if (p->text) p->text = strcpy(text, p->text);
    for (int i = 0; i < p->items.n; i++) p->items.items[i] = strcmp(p->items.items[i], "a=b") ? "other" : "a=b";
    for (int i = 0; i < argc; i++) free(argv[i]);
    return on;
}

#define PARSE(p, status, ...)                                                                                          \
    parse(p, status, (int)(sizeof((const char *[]){"try", __VA_ARGS__}) / sizeof(char *)),                             \
          (const char *const[]){"try", __VA_ARGS__})

static void drop(parsed *p) {
    free(p->files.items);
    free(p->items.items);
}

static void options(void **state) {
    (void)state;
    parsed p;
    int status = 0;
    assert_true(PARSE(&p, &status, "one", "-i", "a=b", "--item=a=b", "-ia=b", "-ofile", "--count", "3", "-f",
                      "--threads=2", "--memory-limit", "1M", "--deadline", "2s", "--seed", "18446744073709551615", "-q",
                      "--", "-two"));
    assert_int_equal(p.files.n, 2);
    assert_string_equal(p.files.items[1], "-two");
    assert_int_equal(p.items.n, 3);
    for (int i = 0; i < 3; i++) assert_string_equal(p.items.items[i], "a=b");
    assert_string_equal(p.text, "file");
    assert_int_equal(p.count, 3);
    assert_true(p.flag && p.common.quiet && !p.common.verbose);
    assert_int_equal(p.common.threads, 2);
    assert_int_equal(p.common.memory_limit, 1 << 20);
    assert_true(p.common.deadline == 2);
    assert_true(p.common.seed == UINT64_MAX);
    drop(&p);
    assert_true(PARSE(&p, &status, "-"));
    assert_int_equal(p.files.n, 1);
    assert_int_equal(p.count, 7);
    drop(&p);
}

static void wrong_options(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"--nothing", "x"},     {"-x", "x"},
        {"--flag=1", "x"},      {"-f1", "x"},
        {"--count", "0"},       {"--count", "three"},
        {"--count", "1x"},      {"--count=", "x"},
        {"--threads", "-1"},    {"--deadline", "0"},
        {"--memory-limit", ""}, {"--seed", "-1"},
        {"--output", ""},       {"--seed", "99999999999999999999"},
        {"x", "--output"},      {"x", "-i"},
        {"--fla", "x"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        parsed p;
        int status = 0;
        if (PARSE(&p, &status, cases[i][0], cases[i][1]) || status != CLI_USAGE)
            fail_msg("'%s %s' gives %d", cases[i][0], cases[i][1], status);
        drop(&p);
    }
}

static void statuses(void **state) {
    (void)state;
    assert_int_equal(cli_exit_status(SDX_OK), 0);
    assert_int_equal(cli_exit_status(SDX_LIMIT), 4);
    assert_int_equal(cli_exit_status(SDX_OUT_OF_MEMORY), 4);
    assert_int_equal(cli_exit_status(SDX_DEADLINE), 4);
    assert_int_equal(cli_exit_status(SDX_CANCELLED), 4);
    assert_int_equal(cli_exit_status(SDX_IO), 3);
    assert_int_equal(cli_exit_status(SDX_UNSUPPORTED), 3);
    assert_int_equal(cli_exit_status(SDX_ARGUMENT), 3);
}

static sdx_value *f64s(double a, double b) {
    sdx_value *value = NULL;
    assert_int_equal(sdx_value_create(SDX_F64, 1, (int64_t[]){2}, NULL, &value), SDX_OK);
    ((double *)sdx_value_data(value))[0] = a;
    ((double *)sdx_value_data(value))[1] = b;
    return value;
}

static void numbers(void **state) {
    (void)state;
    const double nan = (double)NAN, inf = (double)INFINITY;
    const struct {
        double expected, found;
        bool same;
    } cases[] = {
        {1, 1, true},       {1, 1.00099, true}, {1, 1.0011, false},    {0, 1e-7, true},
        {0, 1.1e-7, false}, {nan, nan, true},   {nan, 1, false},       {1, nan, false},
        {inf, inf, true},   {inf, -inf, false}, {inf, 1e308, false},   {1e308, inf, false},
        {-2, -2.001, true}, {1000, 1001, true}, {1001.1, 1000, false}, {0, -0.0, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sdx_value *expected = f64s(5, cases[i].expected), *found = f64s(5, cases[i].found);
        char why[300] = "";
        if (cli_compare(expected, found, &CLI_RULE, why, sizeof why) != cases[i].same)
            fail_msg("%g against %g: %s", cases[i].found, cases[i].expected, why);
        if (!cases[i].same) assert_non_null(strstr(why, "element [1]"));
        assert_true(cli_compare(expected, found, &(cli_rule){0, 0, 0, true}, why, sizeof why));
        sdx_value_release(expected);
        sdx_value_release(found);
    }
}

static void bf16_numbers(void **state) {
    (void)state;
    static const struct {
        uint16_t expected, found;
        bool same, same_strict;
    } cases[] = {{0x3f80, 0x3f80, true, true}, {0x3f80, 0x3f82, true, false}, {0x3f80, 0x3f83, false, false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sdx_value *a = NULL, *b = NULL;
        char why[300];
        cli_rule strict = CLI_RULE;
        strict.rtol_bf16 = 0;
        assert_int_equal(sdx_value_create(SDX_BF16, 0, NULL, NULL, &a), SDX_OK);
        assert_int_equal(sdx_value_create(SDX_BF16, 0, NULL, NULL, &b), SDX_OK);
        *(uint16_t *)sdx_value_data(a) = cases[i].expected;
        *(uint16_t *)sdx_value_data(b) = cases[i].found;
        assert_int_equal(cli_compare(a, b, &CLI_RULE, why, sizeof why), cases[i].same);
        assert_int_equal(cli_compare(a, b, &strict, why, sizeof why), cases[i].same_strict);
        sdx_value_release(a);
        sdx_value_release(b);
    }
}

static void shapes_and_kinds(void **state) {
    (void)state;
    sdx_value *a = f64s(1, 2), *b = NULL, *c = NULL, *one = NULL, *two = NULL, *words = NULL, *other = NULL;
    char why[300];
    assert_int_equal(sdx_value_create(SDX_F64, 2, (int64_t[]){1, 2}, NULL, &b), SDX_OK);
    assert_int_equal(sdx_value_create(SDX_F32, 1, (int64_t[]){2}, NULL, &c), SDX_OK);
    assert_false(cli_compare(a, b, &CLI_RULE, why, sizeof why));
    assert_string_equal(why, "is f64[1,2]; f64[2] is expected");
    assert_false(cli_compare(a, c, &(cli_rule){1, 1, 1, true}, why, sizeof why));
    assert_int_equal(sdx_value_sequence((sdx_value *[]){a, a}, 2, SDX_F64, NULL, &two), SDX_OK);
    assert_int_equal(sdx_value_sequence((sdx_value *[]){a}, 1, SDX_F64, NULL, &one), SDX_OK);
    assert_false(cli_compare(two, one, &CLI_RULE, why, sizeof why));
    assert_string_equal(why, "has 1 items; 2 are expected");
    assert_false(cli_compare(two, a, &CLI_RULE, why, sizeof why));
    assert_true(cli_compare(two, two, &CLI_RULE, why, sizeof why));
    sdx_string text[] = {{"same", 4}, {"end", 3}};
    sdx_value_from_strings(1, (int64_t[]){2}, text, NULL, &words);
    text[1] = (sdx_string){"enD", 3};
    sdx_value_from_strings(1, (int64_t[]){2}, text, NULL, &other);
    assert_false(cli_compare(words, other, &CLI_RULE, why, sizeof why));
    assert_string_equal(why, "element [1] is 'enD'; 'end' is expected (1 of 2 differ)");
    sdx_value *all[] = {a, b, c, one, two, words, other};
    for (int i = 0; i < 7; i++) sdx_value_release(all[i]);
}

static void parts_of_values(void **state) {
    (void)state;
    sdx_value *a = f64s(1, 2), *seq = NULL, *opt = NULL;
    sdx_error error = {0};
    cli_array *arrays = NULL;
    size_t n = 0;
    assert_int_equal(sdx_value_sequence((sdx_value *[]){a, a}, 2, SDX_F64, NULL, &seq), SDX_OK);
    assert_int_equal(sdx_value_optional(seq, SDX_UNDEFINED, NULL, &opt), SDX_OK);
    assert_int_equal(cli_flatten("y", opt, &arrays, &n, &error), SDX_OK);
    assert_int_equal(n, 2);
    assert_string_equal(arrays[1].name, "y[1]");
    cli_free_arrays(arrays, n);
    sdx_value_release(a);
    sdx_value_release(seq);
    sdx_value_release(opt);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),           cmocka_unit_test(times),
        cmocka_unit_test(options),         cmocka_unit_test(wrong_options),
        cmocka_unit_test(statuses),        cmocka_unit_test(numbers),
        cmocka_unit_test(bf16_numbers),    cmocka_unit_test(shapes_and_kinds),
        cmocka_unit_test(parts_of_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
