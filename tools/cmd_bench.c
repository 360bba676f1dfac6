/* SPDX-License-Identifier: Apache-2.0
 * sardonyx bench: wall-clock times. Percentiles are the sample at rank ceil(p n). */
#include "runtime/base/pool.h"
#include "tools/cli.h"
#include <math.h>
#include <stdlib.h>

typedef struct options {
    cli_common common;
    cli_list files, inputs, shapes;
    const char *profile;
    int runs, warmup;
    bool json;
} options;

typedef struct figures {
    double load, first, min, p50, p90, p99, mean;
    size_t session_peak;
} figures;

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double percentile(const double *sorted, int n, double p) {
    int rank = (int)ceil(p * n);
    return sorted[rank < 1 ? 0 : rank - 1];
}

static void summarise(double *times, int n, figures *f) {
    qsort(times, (size_t)n, sizeof *times, ascending);
    for (int i = 0; i < n; i++) f->mean += times[i] / n;
    f->min = times[0];
    f->p50 = percentile(times, n, 0.5);
    f->p90 = percentile(times, n, 0.9);
    f->p99 = percentile(times, n, 0.99);
}

static sdx_status timed_run(cli_run *run, const cli_common *common, double *took, sdx_error *error) {
    double start = cli_milliseconds();
    sdx_status status = cli_run_once(run, common, error);
    *took = cli_milliseconds() - start;
    return status;
}

static sdx_status measure(const options *o, cli_run *run, double *times, figures *f, sdx_error *error) {
    double ignored = 0;
    FILE *say = o->common.quiet ? NULL : stderr;
    SDX_TRY(cli_run_open(o->files.items[0], &o->common, o->profile != NULL, error, run));
    f->load = run->open_ms + run->session_ms;
    SDX_TRY(cli_inputs_load(run->model, &o->inputs, &o->shapes, o->common.seed, say, error, &run->inputs));
    SDX_TRY(timed_run(run, &o->common, &f->first, error));
    for (int i = 0; i < o->warmup; i++) SDX_TRY(timed_run(run, &o->common, &ignored, error));
    for (int i = 0; i < o->runs; i++) SDX_TRY(timed_run(run, &o->common, &times[i], error));
    size_t used = 0;
    sdx_session_memory(run->session, &used, &f->session_peak);
    summarise(times, o->runs, f);
    return o->profile ? cli_write_profile(run->session, o->profile, error) : SDX_OK;
}

static sdx_status show(const options *o, const figures *f, sdx_error *error) {
    const struct {
        const char *name;
        double value;
    } rows[] = {
        {"load_ms", f->load},
        {"first_run_ms", f->first},
        {"min_ms", f->min},
        {"p50_ms", f->p50},
        {"p90_ms", f->p90},
        {"p99_ms", f->p99},
        {"mean_ms", f->mean},
        {"peak_rss_bytes", (double)cli_peak_rss()},
        {"session_peak_bytes", (double)f->session_peak},
        {"runs", o->runs},
        {"warmup", o->warmup},
        {"threads", o->common.threads},
    };
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "model", o->files.items[0]);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cli_add_ms(json, rows[i].name, rows[i].value);
        if (!o->json)
            printf("%-20s %.*f\n", rows[i].name, rows[i].value == floor(rows[i].value) ? 0 : 3, rows[i].value);
    }
    if (o->json) return cli_write_json(json, NULL, error);
    cJSON_Delete(json);
    return SDX_OK;
}

static int bench(const options *o) {
    sdx_error error = {0};
    cli_run run = {0};
    figures f = {0};
    double *times = calloc((size_t)o->runs, sizeof *times);
    sdx_status status = times ? SDX_OK : sdx_fail(&error, SDX_OUT_OF_MEMORY, "%d runs", o->runs);
    if (!status) status = measure(o, &run, times, &f, &error);
    if (!status) status = show(o, &f, &error);
    free(times);
    cli_run_close(&run);
    return status ? cli_report(&error) : CLI_DONE;
}

int cmd_bench(const cli_command *self, int argc, char **argv) {
    options o = {.runs = 50, .warmup = 5};
    const cli_option rows[] = {
        {"input", 'i', CLI_LIST, &o.inputs, "NAME=FILE", ".npy, .npz (its array NAME) or .pb"},
        {"shape", 0, CLI_LIST, &o.shapes, "NAME=1x3", "of an input that is made up"},
        {"runs", 0, CLI_COUNT, &o.runs, "N", "measured runs (default: 50)"},
        {"warmup", 0, CLI_COUNT, &o.warmup, "N", "runs before them (default: 5)"},
        {"profile", 0, CLI_TEXT, &o.profile, "FILE.json", "times of the nodes"},
        {"json", 0, CLI_FLAG, &o.json, NULL, "one JSON object on standard output"},
    };
    int status = CLI_DONE;
    if (cli_parse(self, rows, sizeof rows / sizeof rows[0], &o.common, argc, argv, &o.files, &status)) {
        if (o.common.threads == 0) o.common.threads = sdx_machine_threads();
        status = o.files.n == 1 ? bench(&o) : cli_usage(self, "one MODEL is wanted, %d are given", o.files.n);
    }
    free(o.files.items);
    free(o.inputs.items);
    free(o.shapes.items);
    return status;
}
