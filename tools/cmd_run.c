/* SPDX-License-Identifier: Apache-2.0
 * sardonyx run: one run, its outputs shown, saved, or compared. */
#include "tools/cli.h"
#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_common common;
    cli_list files, inputs, shapes;
    const char *output, *expect, *profile;
    cli_rule rule;
} options;

/* Counts the tensors that differ or are missing; prints a line for each. */
static sdx_status compare_all(const cli_run *run, const options *o, int *differing, sdx_error *error) {
    cli_array *arrays = NULL;
    size_t n = 0;
    cli_npz *npz = NULL;
    sdx_status status = cli_npz_open(o->expect, error, &npz);
    for (size_t i = 0; !status && i < run->n_outputs; i++)
        status = cli_flatten(run->outputs[i].name, run->outputs[i].value, &arrays, &n, error);
    size_t compared = 0;
    for (size_t i = 0; !status && i < n; i++) {
        char why[600] = "is not in the file";
        bool known = cli_npz_has(npz, arrays[i].name), equal = false;
        sdx_value *expected = NULL;
        if (known) status = cli_npz_read(npz, arrays[i].name, sdx_value_dtype(arrays[i].value), error, &expected);
        if (expected) equal = cli_compare(expected, arrays[i].value, &o->rule, why, sizeof why);
        sdx_value_release(expected);
        if (status) break;
        compared += known;
        *differing += !equal;
        if (!equal)
            printf("FAIL %s: %s\n", cli_escaped(arrays[i].name), why);
        else if (!o->common.quiet)
            printf("same %s\n", cli_escaped(arrays[i].name));
    }
    for (size_t i = 0; !status && compared < cli_npz_count(npz) && i < cli_npz_count(npz); i++) {
        bool found = false;
        for (size_t k = 0; k < n; k++) found = found || strcmp(arrays[k].name, cli_npz_name(npz, i)) == 0;
        if (found) continue;
        printf("FAIL %s: the model has no such output\n", cli_escaped(cli_npz_name(npz, i)));
        ++*differing;
    }
    cli_npz_close(npz);
    cli_free_arrays(arrays, n);
    return status;
}

static sdx_status run_it(const options *o, cli_run *run, int *differing, sdx_error *error) {
    FILE *say = o->common.quiet ? NULL : stderr;
    SDX_TRY(cli_run_open(o->files.items[0], &o->common, o->profile != NULL, error, run));
    SDX_TRY(cli_inputs_load(run->model, &o->inputs, &o->shapes, o->common.seed, say, error, &run->inputs));
    double start = cli_milliseconds();
    SDX_TRY(cli_run_once(run, &o->common, error));
    double took = cli_milliseconds() - start;
    for (size_t i = 0; i < run->n_outputs && !o->common.quiet && !o->expect; i++)
        cli_print_value(stdout, run->outputs[i].name, run->outputs[i].value);
    if (o->common.verbose)
        fprintf(stderr, "load %.3f ms, session %.3f ms, run %.3f ms\n", run->open_ms, run->session_ms, took);
    if (o->output) SDX_TRY(cli_save_outputs(o->output, run->outputs, run->n_outputs, error));
    if (o->profile) SDX_TRY(cli_write_profile(run->session, o->profile, error));
    return o->expect ? compare_all(run, o, differing, error) : SDX_OK;
}

int cmd_run(const cli_command *self, int argc, char **argv) {
    options o = {.rule = CLI_RULE};
    const cli_option rows[] = {
        {"input", 'i', CLI_LIST, &o.inputs, "NAME=FILE", ".npy, .npz (its array NAME) or .pb"},
        {"shape", 0, CLI_LIST, &o.shapes, "NAME=1x3", "of an input that is made up"},
        {"output", 'o', CLI_TEXT, &o.output, "FILE", "an .npz file, or a folder for NAME.npy"},
        {"expect", 0, CLI_TEXT, &o.expect, "FILE.npz", "compare the outputs with its arrays"},
        {"rtol", 0, CLI_NUMBER, &o.rule.rtol, "X", "of the comparison (default: 1e-3; bf16 2^-6)"},
        {"atol", 0, CLI_NUMBER, &o.rule.atol, "X", "of the comparison (default: 1e-7)"},
        {"profile", 0, CLI_TEXT, &o.profile, "FILE.json", "times of the nodes"},
    };
    int status = CLI_DONE, differing = 0;
    if (cli_parse(self, rows, sizeof rows / sizeof rows[0], &o.common, argc, argv, &o.files, &status)) {
        sdx_error error = {0};
        cli_run run = {0};
        if (o.rule.rtol != CLI_RULE.rtol) o.rule.rtol_bf16 = 0; /* said by the user: then for every type */
        if (o.files.n != 1)
            status = cli_usage(self, "one MODEL is wanted, %d are given", o.files.n);
        else if (run_it(&o, &run, &differing, &error))
            status = cli_report(&error);
        else
            status = differing ? CLI_DIFFERS : CLI_DONE;
        cli_run_close(&run);
    }
    free(o.files.items);
    free(o.inputs.items);
    free(o.shapes.items);
    return status;
}
