/* SPDX-License-Identifier: Apache-2.0
 * A whole step as one graph of standard ONNX: gradients and update joined, internal operators written out. */
#include "runtime/pass/pass.h"
#include "runtime/train/expand_internal.h"
#include "runtime/train/trainer.h"

static sdx_status emit_all(sdx_builder *b) {
    sdx_type label = {.kind = 0};
    sdx_step_ids ids;
    if (sdx_loss_has_label(b->trainer->options.loss.kind)) sdx_trainer_label_type(b->trainer, &label);
    const sdx_program *trained = &b->trainer->programs[SDX_FORM_TRAIN];
    if (trained->labelled && (trained->label_dtype != label.dtype || trained->label_rank != label.rank)) {
        label = sdx_type_make(trained->label_dtype, trained->label_rank);
        for (int d = 0; d < label.rank; d++) label.dim[d] = -1;
    }
    SDX_TRY(sdx_gradient_emit(b, SDX_FORM_MEAN, &label, &ids));
    SDX_TRY(sdx_builder_settle(b));
    SDX_TRY(sdx_update_emit(b, &ids));
    return sdx_builder_settle(b);
}

static sdx_status write(sdx_builder *b, const char *path) {
    SDX_TRY(emit_all(b));
    SDX_TRY(sdx_expand_internal(b->graph, b->error));
    SDX_TRY(sdx_pass_run_all(b->model, SDX_OPTIMISE_PORTABLE, 1, b->error));
    b->model->optimise = SDX_OPTIMISE_PORTABLE;
    return sdx_load_save(b->model, path, NULL, b->error);
}

sdx_status sdx_trainer_write_step(sdx_trainer *t, const char *path, sdx_error *error) {
    sdx_error own = {0};
    sdx_builder b;
    if (!error) error = &own;
    sdx_status status = sdx_builder_begin(&b, t, t->prepared->training, NULL, error);
    b.named = true;
    if (!status) status = write(&b, path);
    sdx_builder_drop(&b);
    return status ? sdx_error_context(error, "step of '%s'", t->prepared->training->name) : SDX_OK;
}
