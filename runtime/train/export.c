/* SPDX-License-Identifier: Apache-2.0
 * The trained model as a file, which is opened again and run against the trainer before the call succeeds. */
#include "runtime/train/trainer.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Writing --------------------------------------------------------------------------------------------------- */

static sdx_status put_values(const sdx_trainer *t, sdx_graph *graph) {
    for (int v = 0; v < t->prepared->n_variables; v++) {
        int w = t->options.ema > 0 ? sdx_trainer_weight_of(t, v) : -1;
        sdx_value *value = w >= 0 ? t->weights[w].ema.now : t->variables[v].now;
        sdx_graph_set_constant(graph, t->prepared->variables[v].exported, value);
    }
    return SDX_OK;
}

static sdx_status write_file(const sdx_trainer *t, const char *path, const char *external_data, sdx_error *error) {
    sdx_model *model = NULL;
    SDX_TRY(sdx_model_copy(t->prepared->inference, error, &model));
    int folded = 0;
    sdx_status status = put_values(t, model->graph);
    if (!status && t->options.fold_norms) status = sdx_fold_norms(model, error, &folded);
    if (!status) status = sdx_drop_dead(model->graph, NULL, 0, error); /* what only the loss read */
    if (!status) status = sdx_load_save(model, path, external_data, error);
    sdx_model_close(model);
    return status;
}

/* ---- Trying it ------------------------------------------------------------------------------------------------- */

/* Something to run the model on where no batch was seen: noise in floating tensors, zeros elsewhere, 1 for unknown
 * dims. */
static sdx_value *made_up(const sdx_trainer *t, const sdx_value_info *info, sdx_error *error) {
    int64_t dims[SDX_MAX_RANK];
    for (int d = 0; d < info->rank; d++) dims[d] = info->dims[d] < 0 ? 1 : info->dims[d];
    sdx_value *value = sdx_value_new_tensor(t->memory, info->dtype, info->rank < 0 ? 0 : info->rank, dims, error);
    if (!value) return NULL;
    uint32_t noise = 12345;
    if (info->dtype != SDX_STRING) memset(value->tensor.data, 0, sdx_tensor_bytes(&value->tensor));
    for (int64_t i = 0; info->dtype == SDX_F32 && i < value->tensor.count; i++) {
        noise = noise * 1664525u + 1013904223u;
        ((float *)value->tensor.data)[i] = (float)(noise >> 8) * 0x1p-24f;
    }
    return value;
}

static sdx_status fill_batch(sdx_trainer *t, sdx_error *error) {
    for (int k = 0; k < t->n_batch; k++) {
        const sdx_value_info *info = &t->batch_infos[k];
        if (!t->sample[k] && !info->has_default && info->kind == SDX_TENSOR) t->sample[k] = made_up(t, info, error);
        if (!t->sample[k] && !info->has_default) return error->status ? error->status : SDX_UNSUPPORTED;
        t->batch.inputs[k] = t->sample[k];
    }
    t->batch.label = NULL;
    return SDX_OK;
}

/* Kernels for constant weights round otherwise than those for variable ones. */
static bool agree(const sdx_tensor *a, const sdx_tensor *b, double *worst) {
    double most = 0, difference = 0;
    if (a->dtype != b->dtype || a->count != b->count) return false;
    if (a->dtype != SDX_F32 && a->dtype != SDX_F64) return true;
    for (int64_t i = 0; i < a->count; i++) {
        double x = sdx_trainer_element(a, i), y = sdx_trainer_element(b, i);
        if (isnan(x) && isnan(y)) continue;
        if (x == y) continue;
        if (fabs(x) > most) most = fabs(x);
        if (!(fabs(x - y) <= difference)) difference = fabs(x - y);
    }
    *worst = difference;
    return difference <= 1e-5 + 1e-3 * most;
}

static sdx_status compare(const sdx_trainer *t, sdx_value *const *mine, sdx_value *const *theirs, sdx_error *error) {
    const sdx_model *model = t->prepared->inference;
    for (size_t k = 0; k < model->n_outputs; k++) {
        double worst = 0;
        if (mine[k]->kind != SDX_TENSOR || theirs[k]->kind != SDX_TENSOR) continue;
        if (!agree(&mine[k]->tensor, &theirs[k]->tensor, &worst))
            return sdx_fail(error, SDX_VALUE,
                            "the written model does not give what the trainer gives: output '%s' differs by %g",
                            model->outputs[k].name, worst);
    }
    return SDX_OK;
}

static sdx_status run_written(sdx_trainer *t, sdx_model *model, const bool *wanted, sdx_value **outputs,
                              sdx_error *error) {
    const sdx_session_options options = {.size = sizeof options};
    const sdx_run_options run = {.size = sizeof run, .seed = sdx_trainer_run_seed(t)};
    sdx_session *session = NULL;
    sdx_value **inputs = sdx_memory_alloc_zero(t->memory, (model->n_inputs + 1) * sizeof *inputs, error);
    if (!inputs) return error->status;
    for (size_t i = 0; i < model->n_inputs; i++)
        for (int k = 0; k < t->n_batch; k++)
            if (strcmp(model->inputs[i].name, t->batch_infos[k].name) == 0) inputs[i] = t->batch.inputs[k];
    sdx_status status = sdx_session_join(model, &options, t->memory, t->pool, error, &session);
    if (!status) status = sdx_session_execute(session, &run, inputs, wanted, outputs, error);
    sdx_session_destroy(session);
    sdx_memory_free(t->memory, inputs);
    return status;
}

static sdx_status run_both(sdx_trainer *t, sdx_model *model, sdx_value **mine, sdx_value **theirs, bool *wanted,
                           sdx_error *error) {
    for (size_t k = 0; k < model->n_outputs; k++) wanted[k] = true;
    SDX_TRY(run_written(t, model, wanted, theirs, error));
    t->averaged = t->options.ema > 0;
    sdx_status status = sdx_trainer_take_prediction(t, wanted, mine, error);
    t->averaged = false;
    return status ? status : compare(t, mine, theirs, error);
}

static sdx_status open_written(const char *path, sdx_error *error, sdx_model **out) {
    const char *slash = strrchr(path, '/');
    char *folder = strndup(slash ? path : ".", slash ? (size_t)(slash - path) + (slash == path) : 1);
    sdx_source source;
    if (!folder) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", strlen(path));
    const sdx_model_options options = {.size = sizeof options, .base_folder = folder};
    sdx_status status = sdx_source_open(path, error, &source);
    if (!status) {
        status = sdx_load_source(&source, slash ? slash + 1 : path, &options, error, out);
        sdx_source_close(&source);
    }
    free(folder);
    return status;
}

static sdx_status try_written(sdx_trainer *t, const char *path, sdx_error *error) {
    sdx_model *model = NULL;
    size_t n = t->prepared->inference->n_outputs;
    SDX_TRY(open_written(path, error, &model));
    sdx_value **mine = calloc(n + 1, 2 * sizeof *mine + sizeof(bool)), **theirs = mine ? mine + n + 1 : NULL;
    sdx_status status =
        mine ? fill_batch(t, error) : sdx_fail(error, SDX_OUT_OF_MEMORY, "room for %zu outputs asked for", n);
    if (!status) status = run_both(t, model, mine, theirs, (bool *)(theirs + n + 1), error);
    for (size_t k = 0; mine && k < n; k++) {
        sdx_value_release(mine[k]);
        sdx_value_release(theirs[k]);
    }
    free(mine);
    sdx_model_close(model);
    return status;
}

sdx_status sdx_trainer_write_model(sdx_trainer *t, const char *path, const char *external_data, sdx_error *error) {
    sdx_error own = {0};
    if (!error) error = &own;
    SDX_TRY(write_file(t, path, external_data, error));
    return try_written(t, path, error);
}
