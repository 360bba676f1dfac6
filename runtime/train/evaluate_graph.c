/* SPDX-License-Identifier: Apache-2.0
 * The inference form with its variables as inputs, alone or with loss and penalties behind it. */
#include "runtime/train/trainer.h"

static sdx_id label_input(sdx_builder *b, const sdx_type *label) {
    const sdx_trainer *t = b->trainer;
    if (!sdx_loss_has_label(t->options.loss.kind)) return SDX_NONE;
    for (int k = 0; k < b->n_in; k++)
        if (b->in[k].kind == SDX_PORT_BATCH && b->in[k].index == t->label_input) return b->graph->inputs[k];
    return sdx_builder_input(b, (sdx_port){SDX_PORT_LABEL, 0, 0}, label, sdx_trainer_label_name(t));
}

static sdx_status emit_loss(sdx_builder *b, const sdx_id *variable, const sdx_type *label) {
    const sdx_trainer *t = b->trainer;
    sdx_loss_parts loss;
    sdx_penalty_sums sums;
    int n_nodes = b->graph->n_nodes;
    bool wide = b->graph->values[t->prepared->evaluated[0]].type.dtype == SDX_F64;
    sdx_id *values = SDX_NEW_ARRAY(b->graph->arena, sdx_id, t->options.n_penalties, b->error);
    if (!values) return b->error->status;
    SDX_TRY(sdx_loss_emit(&b->patch, &t->options.loss, t->prepared->evaluated, label_input(b, label), &loss));
    SDX_TRY(sdx_penalties_emit(b, variable, n_nodes, wide ? SDX_F64 : SDX_F32, false, values, &sums));
    sdx_builder_output(b, (sdx_port){SDX_PORT_FIGURE, SDX_FIGURE_NUMERATOR, 0}, loss.numerator, NULL);
    sdx_builder_output(b, (sdx_port){SDX_PORT_FIGURE, SDX_FIGURE_DENOMINATOR, 0}, loss.denominator, NULL);
    sdx_builder_output(b, (sdx_port){SDX_PORT_FIGURE, SDX_FIGURE_LOSS, 0}, loss.loss, NULL);
    int n_outputs = (int)t->prepared->inference->n_outputs;
    sdx_builder_output(b, (sdx_port){SDX_PORT_OUTPUT, n_outputs, 0}, t->prepared->evaluated[0], NULL);
    for (size_t k = 0; k < t->options.n_penalties; k++)
        sdx_builder_output(b, (sdx_port){SDX_PORT_FIGURE, SDX_FIGURE_PENALTY + (int)k, 0}, values[k], NULL);
    return b->patch.status;
}

static sdx_status emit_all(sdx_builder *b, sdx_form form, const sdx_type *label) {
    const sdx_graph *inference = b->trainer->prepared->inference->graph;
    sdx_id *variable = SDX_NEW_ARRAY(b->graph->arena, sdx_id, b->trainer->prepared->n_variables, b->error);
    if (!variable) return b->error->status;
    SDX_TRY(sdx_builder_free_variables(b, variable));
    for (int k = 0; k < inference->n_outputs; k++)
        sdx_builder_output(b, (sdx_port){SDX_PORT_OUTPUT, k, 0}, inference->outputs[k], NULL);
    return form == SDX_FORM_PREDICT ? b->patch.status : emit_loss(b, variable, label);
}

sdx_status sdx_evaluate_build(sdx_trainer *trainer, sdx_form form, const sdx_type *label, sdx_error *error) {
    sdx_builder b;
    sdx_status status = sdx_builder_begin(&b, trainer, trainer->prepared->inference, NULL, error);
    if (!status) status = emit_all(&b, form, label);
    if (!status) status = sdx_builder_finish(&b, &trainer->programs[form]);
    sdx_program *program = &trainer->programs[form];
    if (!status && form == SDX_FORM_EVALUATE && label->kind) {
        program->labelled = trainer->label_input < 0;
        program->label_dtype = label->dtype;
        program->label_rank = label->rank;
    }
    sdx_builder_drop(&b);
    return status ? sdx_error_context(error, "inference form of '%s'", trainer->prepared->inference->name) : SDX_OK;
}
