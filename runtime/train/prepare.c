/* SPDX-License-Identifier: Apache-2.0
 * From an inference graph to a training graph: one edited model, two forms of it, the variables they share. */
#include "runtime/train/prepare.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

sdx_status sdx_prepare_failed(const sdx_preparation *p) { return sdx_failure(p->error); }

sdx_status sdx_prepare_note(sdx_preparation *p, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sdx_prepared *out = p->out;
    if (out->n_notes == p->notes_capacity) {
        int capacity = p->notes_capacity ? p->notes_capacity * 2 : 16;
        const char **notes = SDX_NEW_ARRAY(p->arena, const char *, capacity, p->error);
        if (!notes) return sdx_prepare_failed(p);
        if (out->n_notes) memcpy(notes, out->notes, (size_t)out->n_notes * sizeof *notes);
        out->notes = notes;
        p->notes_capacity = capacity;
    }
    out->notes[out->n_notes] = sdx_arena_copy(p->arena, text, strlen(text), p->error);
    if (!out->notes[out->n_notes]) return sdx_prepare_failed(p);
    out->n_notes++;
    return SDX_OK;
}

static sdx_status prepare(sdx_preparation *p, const sdx_batch_size *batch) {
    SDX_TRY(sdx_prepare_batch(p, batch));
    SDX_TRY(sdx_prepare_hoist(p));
    SDX_TRY(sdx_prepare_aliases(p));
    SDX_TRY(sdx_prepare_head(p));
    SDX_TRY(sdx_prepare_inserts(p));
    SDX_TRY(sdx_prepare_variables(p));
    sdx_prepare_inserted(p);
    SDX_TRY(sdx_prepare_select(p));
    SDX_TRY(sdx_prepare_training(p));
    return SDX_OK;
}

sdx_status sdx_prepare(const sdx_model *model, const sdx_train_options *options, sdx_error *error, sdx_prepared **out) {
    sdx_error own = {0};
    sdx_model *inference = NULL;
    *out = NULL;
    if (!error) error = &own;
    if (model->optimise != SDX_OPTIMISE_NONE)
        return sdx_fail(error, SDX_ARGUMENT,
                        "the model was opened with passes; to train it, open it with "
                        "SDX_OPTIMISE_NONE");
    sdx_batch_size batch;
    SDX_TRY(sdx_prepare_copy(model, error, &inference, &batch));
    sdx_preparation p = {.options = options, .error = error, .arena = &inference->arena, .graph = inference->graph};
    p.torch = strstr(inference->producer_name, "torch") != NULL;
    p.out = SDX_NEW(p.arena, sdx_prepared, error);
    if (!p.out) {
        sdx_model_close(inference);
        return sdx_prepare_failed(&p);
    }
    p.out->inference = inference;
    for (int k = 0; k < 3; k++) p.out->outputs[k] = p.out->evaluated[k] = SDX_NONE;
    sdx_status status = prepare(&p, &batch);
    if (status == SDX_OK)
        *out = p.out;
    else
        sdx_prepared_free(p.out);
    return status != SDX_OK && error->status != SDX_OK ? error->status : status;
}

void sdx_prepared_free(sdx_prepared *prepared) {
    if (!prepared) return;
    for (int k = 0; k < prepared->n_variables; k++) sdx_value_release(prepared->variables[k].value);
    sdx_model_close(prepared->training);
    sdx_model_close(prepared->inference); /* its arena holds `prepared` */
}
