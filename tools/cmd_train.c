/* SPDX-License-Identifier: Apache-2.0
 * sardonyx train: data and a configuration make a trained model of a model. */
#include "tools/cli_train.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_common common;
    cli_list files;
    const char *config, *data, *valid, *output, *checkpoint, *report, *step_graph, *profile;
    int keep, every;
    bool resume, json;
} options;

typedef struct work {
    cli_trainer t;
    cli_dataset data, valid;
    cli_progress bar;
    cli_curves curves;
    sdx_progress last; /* its arrays are not kept */
    double last_metrics[32];
} work;

static void on_progress(void *context, const sdx_progress *now) {
    work *w = context;
    cli_progress_show(&w->bar, now);
    cli_curves_add(&w->curves, now);
    w->last = *now;
    for (size_t k = 0; now->epoch_ends && k < now->n_metrics && k < 32; k++) w->last_metrics[k] = now->metrics[k];
}

/* An inserted BatchNormalization starts from what it sees of the data. */
static sdx_status calibrate(work *w, sdx_error *error) {
    enum { MOST = 1024 };
    bool wanted = false;
    for (size_t k = 0; k < w->t.options.n_inserts; k++) wanted |= w->t.options.inserts[k].kind == SDX_INSERT_BATCH_NORM;
    if (!wanted) return SDX_OK;
    cli_dataset batch = {0};
    SDX_TRY(cli_dataset_batch(&w->data, 0, w->data.samples < MOST ? w->data.samples : MOST, error, &batch));
    sdx_status status = sdx_trainer_calibrate(w->t.trainer, batch.arrays, batch.n, error);
    cli_dataset_free(&batch);
    return status;
}

static sdx_status fit(const options *o, work *w, sdx_error *error) {
    FILE *say = o->common.quiet ? NULL : stderr;
    SDX_TRY(cli_trainer_read(&w->t, o->files.items[0], o->config, &o->common, error));
    w->t.options.profile = o->profile != NULL;
    const char *label = cli_trainer_label(&w->t);
    SDX_TRY(cli_dataset_load(o->data, w->t.model, label, say, error, &w->data));
    if (o->valid) SDX_TRY(cli_dataset_load(o->valid, w->t.model, label, NULL, error, &w->valid));
    SDX_TRY(cli_trainer_create(&w->t, say, error));
    if (!o->resume) SDX_TRY(calibrate(w, error));
    w->bar = cli_progress_start(say, &w->t.options);
    cli_curves_start(&w->curves, &w->t.options);
    sdx_fit_options how = {.size = sizeof how,
                           .data = w->data.arrays,
                           .n_data = w->data.n,
                           .valid = w->valid.arrays,
                           .n_valid = w->valid.n,
                           .progress = on_progress,
                           .context = w,
                           .cancel = cli_interrupt(),
                           .checkpoint = o->checkpoint,
                           .checkpoint_every = o->every,
                           .checkpoint_keep = o->keep,
                           .resume = o->resume};
    sdx_status status = sdx_trainer_fit(w->t.trainer, &how, error);
    cli_progress_end(&w->bar);
    cli_trainer_notes(&w->t, say);
    return status;
}

static cJSON *penalties_json(const work *w) {
    cJSON *list = cJSON_CreateArray();
    for (size_t k = 0; k < w->t.options.n_penalties; k++) {
        char name[400];
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "penalty", cli_penalty_name(&w->t.options.penalties[k], name, sizeof name));
        if (k < w->last.last.n_penalties) cli_add_finite(one, "value", w->last.last.penalties[k]);
        cJSON_AddItemToArray(list, one);
    }
    return list;
}

static cJSON *sparsity_json(const work *w) {
    cJSON *list = cJSON_CreateArray();
    for (size_t k = 0; k < sdx_trainer_parameter_count(w->t.trainer); k++) {
        const sdx_parameter_info *info = sdx_trainer_parameter(w->t.trainer, k);
        sdx_sparsity s = {0};
        if (info->role == SDX_ROLE_STATE || sdx_trainer_sparsity(w->t.trainer, info->name, 1e-3, NULL, &s)) continue;
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "parameter", info->name);
        cJSON_AddStringToObject(one, "path", info->path);
        cJSON_AddNumberToObject(one, "elements", (double)s.count);
        cJSON_AddNumberToObject(one, "zeros", (double)s.zeros);
        cJSON_AddNumberToObject(one, "small", (double)s.small);
        cJSON *inputs = cJSON_AddArrayToObject(one, "zero_inputs");
        for (size_t i = 0; i < s.n_zero_inputs; i++)
            cJSON_AddItemToArray(inputs, cJSON_CreateNumber((double)s.zero_inputs[i]));
        sdx_free(s.zero_inputs);
        cJSON_AddItemToArray(list, one);
    }
    return list;
}

static sdx_status show(const work *w, double seconds, sdx_error *error) {
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "steps", (double)w->last.last.step);
    cli_add_finite(json, "loss", w->last.loss);
    cli_add_finite(json, "valid_loss", w->valid.n ? w->last.valid_loss : NAN);
    cJSON *metrics = cJSON_AddObjectToObject(json, "metrics");
    for (size_t k = 0; k < w->t.options.n_metrics && k < 32; k++)
        cli_add_finite(metrics, w->t.options.metrics[k], w->valid.n ? w->last_metrics[k] : NAN);
    cJSON_AddItemToObject(json, "penalties", penalties_json(w));
    cJSON_AddItemToObject(json, "sparsity", sparsity_json(w));
    cli_add_ms(json, "train_ms", seconds * 1000);
    cJSON_AddNumberToObject(json, "peak_rss_bytes", (double)cli_peak_rss());
    return cli_write_json(json, NULL, error);
}

static sdx_status write_profile(const sdx_trainer *trainer, const char *path, sdx_error *error) {
    sdx_profile_row *rows = NULL;
    size_t n = 0;
    SDX_TRY(sdx_trainer_profile(trainer, error, &rows, &n));
    sdx_status status = cli_write_rows(rows, n, path, error);
    sdx_free(rows);
    return status;
}

static sdx_status train(const options *o, work *w, sdx_error *error) {
    double start = cli_milliseconds();
    sdx_status status = fit(o, w, error);
    if (o->report && w->curves.n) {
        sdx_error own = {0}; /* what was trained so far is worth a page, also after a failure */
        sdx_status wrote = cli_report_write(o->report, o->files.items[0], &w->curves, w->t.trainer, &own);
        if (!status && wrote) return sdx_fail(error, wrote, "report: %s", own.message);
    }
    if (status) return status;
    SDX_TRY(sdx_trainer_export_model(w->t.trainer, o->output, NULL, error));
    if (o->step_graph) SDX_TRY(sdx_trainer_export_step(w->t.trainer, o->step_graph, error));
    if (o->profile) SDX_TRY(write_profile(w->t.trainer, o->profile, error));
    if (o->json) SDX_TRY(show(w, (cli_milliseconds() - start) / 1000, error));
    if (!o->common.quiet) fprintf(stderr, "'%s' is written\n", cli_escaped(o->output));
    return SDX_OK;
}

static int check_usage(const cli_command *self, const options *o) {
    if (o->files.n != 1) return cli_usage(self, "one MODEL is wanted, %d are given", o->files.n);
    if (!o->data) return cli_usage(self, "--data FILE.npz is wanted");
    if (!o->output) return cli_usage(self, "-o OUT.onnx is wanted");
    if (o->resume && !o->checkpoint) return cli_usage(self, "--resume wants --checkpoint FILE.safetensors");
    return CLI_DONE;
}

int cmd_train(const cli_command *self, int argc, char **argv) {
    options o = {0};
    const cli_option rows[] = {
        {"config", 'c', CLI_TEXT, &o.config, "CONFIG.json", "what to train, and how (default: cross entropy, Adam)"},
        {"data", 0, CLI_TEXT, &o.data, "FILE.npz", "arrays named as the inputs and the label; first axis: the sample"},
        {"valid", 0, CLI_TEXT, &o.valid, "FILE.npz", "data that is only measured"},
        {"output", 'o', CLI_TEXT, &o.output, "OUT.onnx", "the trained model"},
        {"checkpoint", 0, CLI_TEXT, &o.checkpoint, "FILE.safetensors", "everything needed to go on"},
        {"checkpoint-every", 0, CLI_COUNT, &o.every, "N", "steps between checkpoints (default: an epoch)"},
        {"checkpoint-keep", 0, CLI_COUNT, &o.keep, "N", "how many checkpoints stay (default: 1)"},
        {"resume", 0, CLI_FLAG, &o.resume, NULL, "go on from the checkpoint"},
        {"report", 0, CLI_TEXT, &o.report, "DIR", "curves as a page and as CSV, and the sparsity"},
        {"step-graph", 0, CLI_TEXT, &o.step_graph, "FILE.onnx", "one training step as portable ONNX"},
        {"profile", 0, CLI_TEXT, &o.profile, "FILE.json", "times of the nodes of a step"},
        {"json", 0, CLI_FLAG, &o.json, NULL, "results as one JSON object on standard output"},
    };
    int status = CLI_DONE;
    if (cli_parse(self, rows, sizeof rows / sizeof rows[0], &o.common, argc, argv, &o.files, &status)) {
        status = check_usage(self, &o);
        if (!status) {
            sdx_error error = {0};
            work w = {0};
            status = train(&o, &w, &error) ? cli_report(&error) : CLI_DONE;
            cli_curves_free(&w.curves);
            cli_dataset_free(&w.data);
            cli_dataset_free(&w.valid);
            cli_trainer_close(&w.t);
        }
    }
    free(o.files.items);
    return status;
}
