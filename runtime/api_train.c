/* SPDX-License-Identifier: Apache-2.0
 * The public functions of sardonyx_train.h: check arguments, then one call down. */
#include "runtime/api.h"
#include "runtime/exec/bindings.h"
#include "runtime/train/trainer.h"
#include "runtime/train/training_info.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Trainers -------------------------------------------------------------------------------------------------- */

sdx_status sdx_trainer_create(const sdx_model *model, const sdx_train_options *given, sdx_error *error,
                              sdx_trainer **out) {
    sdx_train_options options = {.size = sizeof options};
    SDX_TRY(sdx_need(out, "out", error));
    *out = NULL;
    SDX_TRY(sdx_need(model, "model", error));
    SDX_TRY(sdx_need(given, "options", error));
    SDX_TRY(sdx_read_options(given, "sdx_train_options", sizeof options, &options, error));
    if (model->optimise != SDX_OPTIMISE_NONE)
        return sdx_fail(error, SDX_ARGUMENT,
                        "the model was opened with passes, which may have merged what training must keep apart; open "
                        "it with SDX_OPTIMISE_NONE to train it");
    return sdx_trainer_make(model, &options, error, out);
}

/* ---- Batches --------------------------------------------------------------------------------------------------- */

static sdx_status take_batch(sdx_trainer *trainer, const sdx_binding *batch, size_t n, bool need_label,
                             sdx_error *error) {
    SDX_TRY(sdx_need(trainer, "trainer", error));
    if (n) SDX_TRY(sdx_need(batch, "batch", error));
    return sdx_batch_match(trainer, batch, n, need_label, error);
}

sdx_status sdx_trainer_step(sdx_trainer *trainer, const sdx_binding *batch, size_t n, sdx_step_result *result,
                            sdx_error *error) {
    sdx_step_result own;
    SDX_TRY(take_batch(trainer, batch, n, true, error));
    return sdx_trainer_take_step(trainer, NULL, result ? result : &own, error);
}

sdx_status sdx_trainer_gradients(sdx_trainer *trainer, const sdx_binding *batch, size_t n, sdx_step_result *result,
                                 sdx_error *error) {
    sdx_step_result own;
    SDX_TRY(take_batch(trainer, batch, n, true, error));
    return sdx_trainer_take_gradients(trainer, result ? result : &own, error);
}

sdx_status sdx_trainer_evaluate(sdx_trainer *trainer, const sdx_binding *batch, size_t n, sdx_step_result *result,
                                sdx_binding *out, size_t n_out, sdx_error *error) {
    sdx_step_result own;
    SDX_TRY(take_batch(trainer, batch, n, false, error));
    if (n_out) SDX_TRY(sdx_need(out, "out", error));
    const sdx_model *model = trainer->prepared->inference;
    sdx_value **outputs = calloc(model->n_outputs + 1, sizeof *outputs + sizeof(bool)); /* see SDX_PORT_OUTPUT */
    if (!outputs) return sdx_fail(error, SDX_OUT_OF_MEMORY, "room for %zu outputs asked for", model->n_outputs);
    bool *wanted = (bool *)(outputs + model->n_outputs + 1);
    sdx_status status = sdx_match_outputs(model->outputs, model->n_outputs, out, n_out, wanted, error);
    if (!status) status = sdx_trainer_take_evaluation(trainer, NULL, result ? result : &own, wanted, outputs, error);
    if (!status) sdx_give_outputs(model->outputs, model->n_outputs, outputs, out, n_out);
    free(outputs);
    return status;
}

sdx_status sdx_trainer_end_epoch(sdx_trainer *trainer, double metric, sdx_error *error) {
    SDX_TRY(sdx_need(trainer, "trainer", error));
    sdx_schedule_end_epoch(&trainer->options.schedule, &trainer->schedule, metric);
    return SDX_OK;
}

/* ---- Parameters ------------------------------------------------------------------------------------------------ */

size_t sdx_trainer_parameter_count(const sdx_trainer *trainer) {
    return trainer ? (size_t)trainer->prepared->n_variables : 0;
}

const sdx_parameter_info *sdx_trainer_parameter(const sdx_trainer *trainer, size_t index) {
    return index < sdx_trainer_parameter_count(trainer) ? &trainer->infos[index] : NULL;
}

sdx_status sdx_trainer_get_parameter(const sdx_trainer *trainer, const char *name, bool averaged, sdx_error *error,
                                     sdx_value **out) {
    SDX_TRY(sdx_need(out, "out", error));
    *out = NULL;
    SDX_TRY(sdx_need(trainer, "trainer", error));
    SDX_TRY(sdx_need(name, "name", error));
    return sdx_trainer_read(trainer, name, averaged, error, out);
}

sdx_status sdx_trainer_set_parameter(sdx_trainer *trainer, const char *name, const sdx_value *value, sdx_error *error) {
    SDX_TRY(sdx_need(trainer, "trainer", error));
    SDX_TRY(sdx_need(name, "name", error));
    SDX_TRY(sdx_need(value, "value", error));
    return sdx_trainer_write(trainer, name, value, error);
}

sdx_status sdx_trainer_get_gradient(const sdx_trainer *trainer, const char *name, sdx_error *error, sdx_value **out) {
    SDX_TRY(sdx_need(out, "out", error));
    *out = NULL;
    SDX_TRY(sdx_need(trainer, "trainer", error));
    SDX_TRY(sdx_need(name, "name", error));
    return sdx_trainer_read_gradient(trainer, name, error, out);
}

sdx_status sdx_trainer_sparsity(const sdx_trainer *trainer, const char *name, double threshold, sdx_error *error,
                                sdx_sparsity *out) {
    SDX_TRY(sdx_need(out, "out", error));
    *out = (sdx_sparsity){.zero_inputs = NULL};
    SDX_TRY(sdx_need(trainer, "trainer", error));
    SDX_TRY(sdx_need(name, "name", error));
    if (!(threshold >= 0)) return sdx_fail(error, SDX_ARGUMENT, "'threshold' is %g; it must be >= 0", threshold);
    return sdx_trainer_count_zeros(trainer, name, threshold, error, out);
}

const char *sdx_trainer_note(const sdx_trainer *trainer, size_t index) {
    return trainer && index < trainer->n_notes ? trainer->notes[index] : NULL;
}

sdx_status sdx_trainer_profile(const sdx_trainer *trainer, sdx_error *error, sdx_profile_row **rows, size_t *n) {
    SDX_TRY(sdx_need(rows, "rows", error));
    SDX_TRY(sdx_need(n, "n", error));
    *rows = NULL;
    *n = 0;
    SDX_TRY(sdx_need(trainer, "trainer", error));
    if (!trainer->options.profile) return sdx_fail(error, SDX_ARGUMENT, "the trainer was created without 'profile'");
    return sdx_trainer_rows(trainer, error, rows, n);
}

void sdx_trainer_memory(const sdx_trainer *trainer, size_t *used, size_t *peak) {
    size_t now = 0, most = 0;
    if (trainer) sdx_trainer_bytes(trainer, &now, &most);
    if (used) *used = now;
    if (peak) *peak = most;
}

/* ---- Files ----------------------------------------------------------------------------------------------------- */

sdx_status sdx_trainer_save(const sdx_trainer *trainer, const char *path, sdx_error *error) {
    SDX_TRY(sdx_need(trainer, "trainer", error));
    SDX_TRY(sdx_need(path, "path", error));
    return sdx_trainer_write_checkpoint(trainer, path, error);
}

sdx_status sdx_trainer_load(sdx_trainer *trainer, const char *path, sdx_error *error) {
    SDX_TRY(sdx_need(trainer, "trainer", error));
    SDX_TRY(sdx_need(path, "path", error));
    return sdx_trainer_read_checkpoint(trainer, path, error);
}

sdx_status sdx_trainer_export_model(sdx_trainer *trainer, const char *path, const char *external_data,
                                    sdx_error *error) {
    SDX_TRY(sdx_need(trainer, "trainer", error));
    SDX_TRY(sdx_need(path, "path", error));
    return sdx_trainer_write_model(trainer, path, external_data, error);
}

sdx_status sdx_trainer_export_step(sdx_trainer *trainer, const char *path, sdx_error *error) {
    SDX_TRY(sdx_need(trainer, "trainer", error));
    SDX_TRY(sdx_need(path, "path", error));
    return sdx_trainer_write_step(trainer, path, error);
}

/* ---- The loop -------------------------------------------------------------------------------------------------- */

sdx_status sdx_trainer_calibrate(sdx_trainer *trainer, const sdx_binding *batch, size_t n, sdx_error *error) {
    SDX_TRY(take_batch(trainer, batch, n, false, error));
    return sdx_trainer_take_calibration(trainer, error);
}

sdx_status sdx_trainer_fit(sdx_trainer *trainer, const sdx_fit_options *given, sdx_error *error) {
    sdx_fit_options options = {.size = sizeof options};
    SDX_TRY(sdx_need(trainer, "trainer", error));
    SDX_TRY(sdx_need(given, "options", error));
    SDX_TRY(sdx_read_options(given, "sdx_fit_options", sizeof options, &options, error));
    if (options.checkpoint_every < 0 || options.checkpoint_keep < 0)
        return sdx_fail(error, SDX_ARGUMENT, "'checkpoint_every' and 'checkpoint_keep' must be >= 0");
    if (options.resume) SDX_TRY(sdx_need(options.checkpoint, "checkpoint", error));
    return sdx_trainer_fit_data(trainer, &options, error);
}

sdx_status sdx_trainer_score(sdx_trainer *trainer, const sdx_binding *data, size_t n, double *loss, double *metrics,
                             sdx_error *error) {
    sdx_error own = {0};
    sdx_data opened;
    double unused;
    if (!error) error = &own;
    SDX_TRY(sdx_need(trainer, "trainer", error));
    if (trainer->options.n_metrics) SDX_TRY(sdx_need(metrics, "metrics", error));
    sdx_status status = sdx_data_open(trainer, "data", data, n, &opened, error);
    if (!status) status = sdx_data_whole(&opened, error);
    if (!status) status = sdx_trainer_score_data(trainer, &opened, NULL, loss ? loss : &unused, metrics, error);
    sdx_data_close(&opened);
    return status;
}

/* ---- Training that models bring -------------------------------------------------------------------------------- */

sdx_status sdx_training_open(const char *path, const sdx_session_options *given, sdx_error *error, sdx_training **out) {
    sdx_session_options options = {.size = sizeof options};
    SDX_TRY(sdx_need(out, "out", error));
    *out = NULL;
    SDX_TRY(sdx_need(path, "path", error));
    SDX_TRY(sdx_read_options(given, "sdx_session_options", sizeof options, &options, error));
    if (options.threads < 0) return sdx_fail(error, SDX_ARGUMENT, "'threads' is %d; it must be >= 0", options.threads);
    sdx_error own = {0};
    char *folder = sdx_folder_of(path, error);
    if (!folder) return SDX_OUT_OF_MEMORY;
    if (!error) error = &own;
    sdx_status status = sdx_training_make(path, folder, &options, error, out);
    free(folder);
    return error->status != SDX_OK ? error->status : status;
}

sdx_status sdx_training_initialize(sdx_training *training, sdx_error *error) {
    SDX_TRY(sdx_need(training, "training", error));
    return sdx_training_start(training, error);
}

sdx_status sdx_training_step(sdx_training *training, const sdx_binding *in, size_t n_in, sdx_binding *out, size_t n_out,
                             sdx_error *error) {
    SDX_TRY(sdx_need(training, "training", error));
    if (n_in) SDX_TRY(sdx_need(in, "in", error));
    if (n_out) SDX_TRY(sdx_need(out, "out", error));
    return sdx_training_once(training, in, n_in, out, n_out, error);
}

sdx_status sdx_training_get(const sdx_training *training, const char *name, sdx_error *error, sdx_value **out) {
    SDX_TRY(sdx_need(out, "out", error));
    *out = NULL;
    SDX_TRY(sdx_need(training, "training", error));
    SDX_TRY(sdx_need(name, "name", error));
    sdx_value *value = sdx_training_state(training, name);
    char text[96];
    if (!value)
        return sdx_fail(error, SDX_ARGUMENT, "'%s' is no state of the training",
                        sdx_escape(text, sizeof text, name, strlen(name)));
    SDX_TRY(sdx_value_create(value->tensor.dtype, value->tensor.rank, value->tensor.dim, error, out));
    memcpy((*out)->tensor.data, value->tensor.data, sdx_tensor_bytes(&value->tensor));
    return SDX_OK;
}

sdx_status sdx_training_save(const sdx_training *training, const char *path, sdx_error *error) {
    SDX_TRY(sdx_need(training, "training", error));
    SDX_TRY(sdx_need(path, "path", error));
    return sdx_training_write(training, path, error);
}
