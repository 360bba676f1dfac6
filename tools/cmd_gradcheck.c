/* SPDX-License-Identifier: Apache-2.0
 * sardonyx gradcheck: the gradient of the loss against central differences, (L(w + eps d) - L(w - eps d)) / 2 eps,
 * along random directions d, parameter by parameter. The loss is that of training: dropout drops the same elements each
 * time. */
#include "tools/cli_train.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_common common;
    cli_list files, shapes;
    const char *config, *data;
    double rtol, atol, eps;
    int directions, batch;
    bool json;
} options;

typedef struct work {
    cli_trainer t;
    cli_dataset data, batch;
    cJSON *rows;
    int checked, wrong;
} work;

typedef struct direction {
    sdx_value *at, *moved; /* the parameter as it is, and where the loss is asked */
    double *d;
} direction;

static double uniform(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1;
}

static double element(const sdx_value *value, int64_t i) {
    double real = 0, imaginary = 0;
    cli_element_parts(&value->tensor, i, &real, &imaginary);
    return real;
}

static sdx_status loss_at(work *w, const char *name, direction *dir, double step, double *loss, sdx_error *error) {
    for (int64_t i = 0; i < sdx_value_count(dir->at); i++) {
        double v = element(dir->at, i) + step * dir->d[i];
        if (sdx_value_dtype(dir->at) == SDX_F64)
            ((double *)sdx_value_data(dir->moved))[i] = v;
        else
            ((float *)sdx_value_data(dir->moved))[i] = (float)v;
    }
    sdx_step_result result = {0};
    SDX_TRY(sdx_trainer_set_parameter(w->t.trainer, name, dir->moved, error));
    SDX_TRY(sdx_trainer_gradients(w->t.trainer, w->batch.arrays, w->batch.n, &result, error));
    *loss = result.loss;
    for (size_t k = 0; k < result.n_penalties; k++) *loss += result.penalties[k];
    return SDX_OK;
}

/* One direction of unit length. */
static sdx_status check_direction(const options *o, work *w, const char *name, const sdx_value *gradient,
                                  direction *dir, uint64_t *random, double *worst, bool *agrees, sdx_error *error) {
    int64_t n = sdx_value_count(dir->at);
    double norm = 0, expected = 0, above = 0, below = 0;
    for (int64_t i = 0; i < n; i++) {
        dir->d[i] = uniform(random);
        norm += dir->d[i] * dir->d[i];
    }
    for (int64_t i = 0; i < n; i++) dir->d[i] /= sqrt(norm) + 1e-300;
    for (int64_t i = 0; i < n; i++) expected += dir->d[i] * element(gradient, i);
    bool wide = sdx_value_dtype(dir->at) == SDX_F64;
    double eps = o->eps > 0 ? o->eps : (wide ? 1e-6 : 1e-3);
    SDX_TRY(loss_at(w, name, dir, eps, &above, error));
    SDX_TRY(loss_at(w, name, dir, -eps, &below, error));
    double found = (above - below) / (2 * eps);
    double rtol = o->rtol > 0 ? o->rtol : wide ? 1e-5 : 2e-2;
    /* What rounding of the loss makes of the difference. */
    double noise = (wide ? 4e-16 : 3e-7) * fabs(above) / eps + (o->atol > 0 ? o->atol : wide ? 1e-7 : 1e-5);
    double off = fabs(found - expected);
    *worst = fmax(*worst, off / (fabs(expected) + noise));
    *agrees = *agrees && off <= rtol * fabs(expected) + 2 * noise;
    return SDX_OK;
}

static sdx_status check_parameter(const options *o, work *w, const sdx_parameter_info *info, uint64_t *random,
                                  sdx_error *error) {
    direction dir = {0};
    sdx_value *gradient = NULL;
    sdx_step_result result = {0};
    double worst = 0;
    bool agrees = true;
    sdx_status status = sdx_trainer_get_parameter(w->t.trainer, info->name, false, error, &dir.at);
    if (!status) status = sdx_trainer_gradients(w->t.trainer, w->batch.arrays, w->batch.n, &result, error);
    if (!status) status = sdx_trainer_get_gradient(w->t.trainer, info->name, error, &gradient);
    if (!status) status = sdx_value_create(info->dtype, info->rank, info->dims, error, &dir.moved);
    dir.d = calloc((size_t)sdx_value_count(dir.at) + 1, sizeof *dir.d);
    if (!status && !dir.d) status = sdx_fail(error, SDX_OUT_OF_MEMORY, "a direction cannot be held");
    for (int k = 0; !status && k < o->directions; k++)
        status = check_direction(o, w, info->name, gradient, &dir, random, &worst, &agrees, error);
    if (!status) status = sdx_trainer_set_parameter(w->t.trainer, info->name, dir.at, error);
    if (!status) {
        w->checked++;
        w->wrong += !agrees;
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "parameter", info->name);
        cJSON_AddStringToObject(row, "node", info->node);
        cJSON_AddNumberToObject(row, "worst_relative_error", worst);
        cJSON_AddBoolToObject(row, "agrees", agrees);
        cJSON_AddItemToArray(w->rows, row);
        if (!o->json)
            printf("%s %s: worst relative error %.3g\n", agrees ? "same" : "FAIL", cli_escaped(info->path), worst);
    }
    sdx_value_release(dir.at);
    sdx_value_release(dir.moved);
    sdx_value_release(gradient);
    free(dir.d);
    return status;
}

/* ---- Data that is made up ---- */

static sdx_status add(cli_dataset *batch, const char *name, sdx_value *value, sdx_error *error) {
    char *copy = value ? strdup(name) : NULL;
    if (!copy) return sdx_fail(error, SDX_OUT_OF_MEMORY, "a batch cannot be held");
    batch->arrays[batch->n++] = (sdx_binding){copy, sdx_value_retain(value)};
    return SDX_OK;
}

/* A label that the loss accepts for an output like this one. */
static sdx_status make_label(const sdx_loss_options *loss, const sdx_value *output, uint64_t *random, sdx_error *error,
                             sdx_value **out) {
    bool classes = loss->kind == SDX_LOSS_CROSS_ENTROPY || loss->kind == SDX_LOSS_NLL;
    int rank = sdx_value_rank(output), n = 0;
    const int64_t *dims = sdx_value_dims(output);
    int64_t own[SDX_MAX_RANK];
    for (int d = 0; d < rank; d++)
        if (!(classes && d == 1) && !(loss->kind == SDX_LOSS_COSINE_EMBEDDING && d > 0)) own[n++] = dims[d];
    SDX_TRY(sdx_value_create(classes ? SDX_I64 : sdx_value_dtype(output), n, own, error, out));
    int64_t of = classes && rank > 1 ? dims[1] : 1;
    for (int64_t i = 0; i < sdx_value_count(*out); i++) {
        double u = uniform(random);
        void *data = sdx_value_data(*out);
        if (classes)
            ((int64_t *)data)[i] = (int64_t)((u + 1) / 2 * (double)of) % of;
        else if (sdx_value_dtype(*out) == SDX_F64)
            ((double *)data)[i] = loss->kind == SDX_LOSS_COSINE_EMBEDDING ? copysign(1, u) : (u + 1) / 2;
        else
            ((float *)data)[i] = loss->kind == SDX_LOSS_COSINE_EMBEDDING ? copysignf(1, (float)u) : (float)(u + 1) / 2;
    }
    return SDX_OK;
}

static const sdx_binding *loss_output(const cli_run *run, const sdx_loss_options *loss) {
    for (size_t k = 0; loss->output[0] && k < run->n_outputs; k++)
        if (strcmp(run->outputs[k].name, loss->output[0]) == 0) return &run->outputs[k];
    return run->n_outputs ? &run->outputs[0] : NULL;
}

/* Inputs from the seed; the label fits what the model makes of them. */
static sdx_status make_up(const options *o, work *w, uint64_t *random, sdx_error *error) {
    cli_run run = {0};
    const sdx_loss_options *loss = &w->t.options.loss;
    const char *label = cli_trainer_label(&w->t);
    FILE *say = o->common.quiet ? NULL : stderr;
    sdx_value *y = NULL;
    sdx_status status = cli_run_open(o->files.items[0], &o->common, false, error, &run);
    if (!status)
        status = cli_inputs_load(run.model, &(cli_list){0}, &o->shapes, o->common.seed, say, error, &run.inputs);
    if (!status) status = cli_run_once(&run, &o->common, error);
    w->batch.arrays = calloc(run.inputs.n + 1, sizeof *w->batch.arrays);
    if (!status && !w->batch.arrays) status = sdx_fail(error, SDX_OUT_OF_MEMORY, "a batch cannot be held");
    bool given = false;
    for (size_t k = 0; !status && k < run.inputs.n; k++) {
        given |= label && strcmp(run.inputs.bindings[k].name, label) == 0;
        status = add(&w->batch, run.inputs.bindings[k].name, run.inputs.bindings[k].value, error);
    }
    const sdx_binding *output = loss_output(&run, loss);
    if (!status && label && !given && output) status = make_label(loss, output->value, random, error, &y);
    if (!status && y) status = add(&w->batch, label, y, error);
    sdx_value_release(y);
    cli_run_close(&run);
    return status;
}

static sdx_status take_data(const options *o, work *w, uint64_t *random, sdx_error *error) {
    if (!o->data) return make_up(o, w, random, error);
    FILE *say = o->common.quiet ? NULL : stderr;
    SDX_TRY(cli_dataset_load(o->data, w->t.model, cli_trainer_label(&w->t), say, error, &w->data));
    int64_t count = o->batch < w->data.samples ? o->batch : w->data.samples;
    return cli_dataset_batch(&w->data, 0, count, error, &w->batch);
}

static bool is_float(sdx_dtype dtype) { return dtype == SDX_F32 || dtype == SDX_F64; }

static sdx_status check_all(const options *o, work *w, sdx_error *error) {
    uint64_t random = o->common.seed;
    FILE *say = o->common.quiet ? NULL : stderr;
    SDX_TRY(cli_trainer_read(&w->t, o->files.items[0], o->config, &o->common, error));
    SDX_TRY(take_data(o, w, &random, error));
    SDX_TRY(cli_trainer_create(&w->t, say, error));
    for (size_t k = 0; k < sdx_trainer_parameter_count(w->t.trainer); k++) {
        const sdx_parameter_info *info = sdx_trainer_parameter(w->t.trainer, k);
        if (info->trained && is_float(info->dtype)) SDX_TRY(check_parameter(o, w, info, &random, error));
    }
    if (!o->json) {
        printf("%d parameters agree, %d do not\n", w->checked - w->wrong, w->wrong);
        return SDX_OK;
    }
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "checked", w->checked);
    cJSON_AddNumberToObject(json, "wrong", w->wrong);
    cJSON_AddItemToObject(json, "parameters", w->rows);
    w->rows = NULL;
    return cli_write_json(json, NULL, error);
}

int cmd_gradcheck(const cli_command *self, int argc, char **argv) {
    options o = {.directions = 2, .batch = 4};
    const cli_option rows[] = {
        {"config", 'c', CLI_TEXT, &o.config, "CONFIG.json", "the loss and what is trained"},
        {"data", 0, CLI_TEXT, &o.data, "FILE.npz", "arrays named as the inputs and the label (default: made up)"},
        {"shape", 0, CLI_LIST, &o.shapes, "NAME=8x3", "of an input that is made up"},
        {"batch", 0, CLI_COUNT, &o.batch, "N", "samples that are used (default: 4)"},
        {"directions", 0, CLI_COUNT, &o.directions, "N", "random directions for each parameter (default: 2)"},
        {"eps", 0, CLI_NUMBER, &o.eps, "X", "length of the step (default: f64 1e-6, f32 1e-3)"},
        {"rtol", 0, CLI_NUMBER, &o.rtol, "X", "of the comparison (default: f64 1e-5, f32 2e-2)"},
        {"atol", 0, CLI_NUMBER, &o.atol, "X", "of the comparison (default: f64 1e-7, f32 1e-5)"},
        {"json", 0, CLI_FLAG, &o.json, NULL, "one JSON object on standard output"},
    };
    int status = CLI_DONE;
    if (cli_parse(self, rows, sizeof rows / sizeof rows[0], &o.common, argc, argv, &o.files, &status)) {
        if (o.files.n != 1) {
            status = cli_usage(self, "one MODEL is wanted, %d are given", o.files.n);
        } else {
            sdx_error error = {0};
            work w = {.rows = cJSON_CreateArray()};
            status = check_all(&o, &w, &error) ? cli_report(&error) : w.wrong ? CLI_DIFFERS : CLI_DONE;
            cJSON_Delete(w.rows);
            cli_dataset_free(&w.batch);
            cli_dataset_free(&w.data);
            cli_trainer_close(&w.t);
        }
    }
    free(o.files.items);
    free(o.shapes.items);
    return status;
}
