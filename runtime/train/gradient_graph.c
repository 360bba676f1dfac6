/* SPDX-License-Identifier: Apache-2.0
 * From a batch and the variables to the loss, the penalties, gradients and next running statistics. Where batches
 * accumulate, the loss's numerator is differentiated and gradients are added to sums, so that several batches make
 * exactly the step of one large batch: sum of numerators / sum of denominators. */
#include "runtime/pass/pass.h"
#include "runtime/train/autodiff.h"
#include "runtime/train/emit.h"
#include "runtime/train/trainer.h"
#include <string.h>

typedef struct emission {
    sdx_builder *b;
    sdx_trainer *t;
    sdx_patch *patch;
    bool split; /* sums over micro-batches */
    sdx_step_ids *ids;
    sdx_loss_parts loss;
    sdx_penalty_sums sums;
    sdx_id *penalties;
    sdx_id ys[SDX_PARTS]; /* to differentiate */
} emission;

/* ---- Inputs ---------------------------------------------------------------------------------------------------- */

static sdx_status tie_inputs(emission *e) {
    const sdx_prepared *prepared = e->t->prepared;
    sdx_graph *graph = e->b->graph;
    e->ids->variable = SDX_NEW_ARRAY(graph->arena, sdx_id, prepared->n_variables, e->b->error);
    if (!e->ids->variable) return e->b->error->status;
    for (int v = 0; v < prepared->n_variables; v++) e->ids->variable[v] = prepared->variables[v].id;
    return sdx_builder_tie_training(e->b);
}

/* The batch input of index k. */
static sdx_id batch_input(const emission *e, int index) {
    for (int k = 0; k < e->b->n_in; k++)
        if (e->b->in[k].kind == SDX_PORT_BATCH && e->b->in[k].index == index) return e->b->graph->inputs[k];
    return SDX_NONE;
}

static sdx_id label_input(emission *e, const sdx_type *label) {
    if (!sdx_loss_has_label(e->t->options.loss.kind)) return SDX_NONE;
    if (e->t->label_input >= 0) return batch_input(e, e->t->label_input);
    return sdx_builder_input(e->b, (sdx_port){SDX_PORT_LABEL, 0, 0}, label, sdx_trainer_label_name(e->t));
}

/* ---- Loss ------------------------------------------------------------------------------------------------------ */

static sdx_status emit_loss(emission *e, const sdx_type *label) {
    sdx_graph *graph = e->b->graph;
    const sdx_prepared *prepared = e->t->prepared;
    int n_nodes = graph->n_nodes;
    bool wide = graph->values[prepared->outputs[0]].type.dtype == SDX_F64;
    e->penalties = SDX_NEW_ARRAY(graph->arena, sdx_id, e->t->options.n_penalties, e->b->error);
    if (!e->penalties) return e->b->error->status;
    SDX_TRY(sdx_loss_emit(e->patch, &e->t->options.loss, prepared->outputs, label_input(e, label), &e->loss));
    SDX_TRY(sdx_penalties_emit(e->b, e->ids->variable, n_nodes, wide ? SDX_F64 : SDX_F32, e->split, e->penalties,
                               &e->sums));
    for (int p = 0; p < SDX_PARTS; p++) e->ys[p] = SDX_NONE;
    e->ys[SDX_PART_LOSS] = e->loss.loss;
    if (e->split) {
        e->ys[SDX_PART_LOSS] = e->loss.numerator;
        e->ys[SDX_PART_PLAIN] = e->sums.part[SDX_PART_PLAIN];
        e->ys[SDX_PART_PER_BATCH] = e->sums.part[SDX_PART_PER_BATCH];
    } else if (e->sums.part[SDX_PART_PLAIN] != SDX_NONE) {
        e->ys[SDX_PART_LOSS] = sdx_emit2(e->patch, "Add", e->loss.loss, e->sums.part[SDX_PART_PLAIN]);
    }
    return sdx_builder_settle(e->b);
}

/* ---- Which parameters move --------------------------------------------------------------------------------------- */

static double decay_of(const sdx_trainer *t, const sdx_variable *variable, int *group) {
    const sdx_optimizer_options *optimizer = &t->options.optimizer;
    double decay = t->base_decay;
    *group = 0;
    for (size_t k = 0; k < optimizer->n_groups; k++) {
        if (!sdx_variable_matches(variable, optimizer->groups[k].match)) continue;
        *group = (int)k + 1;
        decay = optimizer->groups[k].has_weight_decay ? optimizer->groups[k].weight_decay : t->base_decay;
    }
    for (size_t k = 0; k < optimizer->no_decay.n; k++)
        if (sdx_variable_matches(variable, optimizer->no_decay.items[k])) return 0;
    return decay;
}

static sdx_status fill(sdx_value *value, double with, sdx_error *error) {
    sdx_tensor *tensor = &value->tensor;
    for (int64_t i = 0; i < tensor->count && tensor->dtype == SDX_F32; i++) ((float *)tensor->data)[i] = (float)with;
    for (int64_t i = 0; i < tensor->count && tensor->dtype == SDX_F64; i++) ((double *)tensor->data)[i] = with;
    if (tensor->dtype == SDX_F32 || tensor->dtype == SDX_F64) return SDX_OK;
    if (with != 0)
        return sdx_fail(error, SDX_UNSUPPORTED, "optimizer state of dtype %s must start as 0; it starts as %g",
                        sdx_dtype_name(tensor->dtype), with);
    memset(tensor->data, 0, sdx_tensor_bytes(tensor));
    return SDX_OK;
}

static sdx_status start_weight(sdx_trainer *t, int variable, sdx_error *error) {
    const sdx_variable *v = &t->prepared->variables[variable];
    const sdx_tensor *like = &v->value->tensor;
    sdx_weight *weight = &t->weights[t->n_weights++];
    weight->variable = variable;
    weight->weight_decay = decay_of(t, v, &weight->group);
    weight->prox = sdx_penalties_prox(t, v);
    for (int s = 0; s < t->n_slots; s++) {
        weight->slot[s].now = sdx_value_new_tensor(t->memory, like->dtype, like->rank, like->dim, error);
        if (!weight->slot[s].now) return error->status;
        SDX_TRY(fill(weight->slot[s].now, t->slot_fill[s], error));
    }
    if (t->options.ema > 0) weight->ema.now = sdx_value_retain(t->variables[variable].now);
    return SDX_OK;
}

/* Trained parameters that the loss, or a penalty in it, depends on; the others stay as they are. */
static sdx_status choose_weights(emission *e) {
    sdx_trainer *t = e->t;
    sdx_error *error = e->b->error;
    sdx_id ys[SDX_PARTS];
    int n_ys = 0;
    bool *reached = SDX_NEW_ARRAY(e->b->graph->arena, bool, e->b->graph->n_values, error);
    t->weights = SDX_NEW_ARRAY(&t->arena, sdx_weight, t->prepared->n_variables, error);
    if (!reached || !t->weights) return error->status;
    for (int p = 0; p < SDX_PARTS; p++)
        if (e->ys[p] != SDX_NONE) ys[n_ys++] = e->ys[p];
    sdx_mark_reached(e->b->graph, ys, n_ys, reached);
    for (int v = 0; v < t->prepared->n_variables; v++) {
        if (!t->prepared->variables[v].trained) continue;
        if (reached[e->ids->variable[v]]) {
            SDX_TRY(start_weight(t, v, error));
            continue;
        }
        t->infos[v].trained = false;
        char name[128];
        const char *own = t->infos[v].name;
        SDX_TRY(sdx_trainer_add_note(t, error, "'%s' stays as it is: the loss does not depend on it",
                                     sdx_escape(name, sizeof name, own, strlen(own))));
    }
    if (t->n_weights) return SDX_OK;
    return sdx_fail(error, SDX_VALUE, "no parameter is left to train: the loss depends on none that is not frozen");
}

/* ---- Gradients ------------------------------------------------------------------------------------------------- */

static sdx_status find_input_gradients(emission *e, sdx_id *xs) {
    const sdx_train_options *options = &e->t->options;
    for (size_t k = 0; k < options->n_input_gradients; k++) {
        xs[k] = SDX_NONE;
        for (int i = 0; i < e->t->n_batch && xs[k] == SDX_NONE; i++)
            if (strcmp(e->t->batch_infos[i].name, options->input_gradients[k]) == 0) xs[k] = batch_input(e, i);
        char name[128];
        if (xs[k] == SDX_NONE)
            return sdx_fail(
                e->b->error, SDX_VALUE, "input_gradients: the model has no input '%s'",
                sdx_escape(name, sizeof name, options->input_gradients[k], strlen(options->input_gradients[k])));
        if (sdx_dtype_class(e->b->graph->values[xs[k]].type.dtype) != SDX_CLASS_FLOAT)
            return sdx_fail(
                e->b->error, SDX_VALUE, "input_gradients: input '%s' is not floating",
                sdx_escape(name, sizeof name, options->input_gradients[k], strlen(options->input_gradients[k])));
    }
    return SDX_OK;
}

static sdx_id quotient(emission *e, sdx_id gradient, sdx_id divisor) {
    const sdx_graph_value *values = e->b->graph->values;
    divisor = sdx_emit_cast(e->patch, divisor, values[divisor].type.dtype, values[gradient].type.dtype);
    return sdx_emit2(e->patch, "Div", gradient, divisor);
}

/* gradient[p][k]: of ys[p] by xs[k]. Sums over micro-batches come in and go out; parts that add to inputs' gradients
 * are joined for this batch. */
static sdx_status put_out_parts(emission *e, sdx_id *const gradient[SDX_PARTS], int n_inputs) {
    for (int p = 0; p < SDX_PARTS; p++) {
        if (!gradient[p]) continue;
        for (int w = 0; w < e->t->n_weights; w++) {
            sdx_weight *weight = &e->t->weights[w];
            const sdx_tensor *like = &e->t->prepared->variables[weight->variable].value->tensor;
            sdx_type type = sdx_type_of_tensor(like);
            sdx_port port = {SDX_PORT_SUM, w, p};
            if (!weight->sum[p].now) {
                weight->sum[p].now =
                    sdx_value_new_tensor(e->t->memory, like->dtype, like->rank, like->dim, e->b->error);
                if (!weight->sum[p].now) return e->b->error->status;
                SDX_TRY(fill(weight->sum[p].now, 0, e->b->error));
            }
            sdx_id sum = sdx_builder_input(e->b, port, &type, NULL);
            sdx_builder_output(e->b, port, sdx_emit2(e->patch, "Add", sum, gradient[p][w]), NULL);
        }
    }
    for (int k = 0; k < n_inputs; k++) {
        sdx_id total = SDX_NONE;
        for (int p = 0; p < SDX_PARTS; p++) {
            if (!gradient[p]) continue;
            sdx_id term = gradient[p][e->t->n_weights + k];
            if (p == SDX_PART_LOSS) term = quotient(e, term, e->loss.denominator);
            if (p == SDX_PART_PER_BATCH) term = quotient(e, term, e->sums.samples);
            total = total == SDX_NONE ? term : sdx_emit2(e->patch, "Add", total, term);
        }
        sdx_builder_output(e->b, (sdx_port){SDX_PORT_INPUT_GRADIENT, k, 0}, total, NULL);
    }
    return e->patch->status;
}

static sdx_status differentiate(emission *e) {
    int n_inputs = (int)e->t->options.n_input_gradients, n_xs = e->t->n_weights + n_inputs;
    sdx_arena *arena = e->b->graph->arena;
    sdx_id *xs = SDX_NEW_ARRAY(arena, sdx_id, n_xs, e->b->error), *gradient[SDX_PARTS] = {NULL}, ys[SDX_PARTS];
    int n_ys = 0;
    if (!xs) return e->b->error->status;
    for (int w = 0; w < e->t->n_weights; w++) xs[w] = e->ids->variable[e->t->weights[w].variable];
    SDX_TRY(find_input_gradients(e, xs + e->t->n_weights));
    for (int p = 0; p < SDX_PARTS; p++)
        if (e->ys[p] != SDX_NONE) ys[n_ys++] = e->ys[p];
    SDX_TRY(sdx_gradients_exist(e->b->graph, ys, n_ys, xs, n_xs, e->b->error));
    for (int p = 0; p < SDX_PARTS; p++) {
        if (e->ys[p] == SDX_NONE) continue;
        gradient[p] = SDX_NEW_ARRAY(arena, sdx_id, n_xs, e->b->error);
        if (!gradient[p]) return e->b->error->status;
        SDX_TRY(sdx_autodiff(e->patch, e->ys[p], xs, n_xs, gradient[p]));
    }
    SDX_TRY(sdx_builder_settle(e->b));
    e->ids->w = xs;
    e->ids->g = gradient[SDX_PART_LOSS];
    if (e->split) return put_out_parts(e, gradient, n_inputs);
    for (int k = 0; k < n_inputs; k++)
        sdx_builder_output(e->b, (sdx_port){SDX_PORT_INPUT_GRADIENT, k, 0}, e->ids->g[e->t->n_weights + k], NULL);
    return e->patch->status;
}

/* ---- Outputs --------------------------------------------------------------------------------------------------- */

static sdx_status put_out_figures(emission *e) {
    const sdx_prepared *prepared = e->t->prepared;
    sdx_builder *b = e->b;
    sdx_builder_output(b, (sdx_port){SDX_PORT_FIGURE, SDX_FIGURE_LOSS, 0}, e->loss.loss, "loss");
    if (!b->named) {
        sdx_builder_output(b, (sdx_port){SDX_PORT_FIGURE, SDX_FIGURE_NUMERATOR, 0}, e->loss.numerator, NULL);
        sdx_builder_output(b, (sdx_port){SDX_PORT_FIGURE, SDX_FIGURE_DENOMINATOR, 0}, e->loss.denominator, NULL);
        if (e->sums.samples != SDX_NONE)
            sdx_builder_output(b, (sdx_port){SDX_PORT_FIGURE, SDX_FIGURE_SAMPLES, 0}, e->sums.samples, NULL);
    }
    for (size_t k = 0; k < e->t->options.n_penalties; k++)
        sdx_builder_output(b, (sdx_port){SDX_PORT_FIGURE, SDX_FIGURE_PENALTY + (int)k, 0}, e->penalties[k], "penalty");
    for (int v = 0; v < prepared->n_variables; v++) {
        if (prepared->variables[v].next == SDX_NONE) continue;
        char name[256];
        size_t length = strlen(prepared->variables[v].name);
        if (length > 240) length = 240;
        memcpy(name, prepared->variables[v].name, length);
        memcpy(name + length, ".new", 5);
        sdx_builder_output(b, (sdx_port){SDX_PORT_VARIABLE, v, 0}, prepared->variables[v].next, name);
    }
    return b->patch.status;
}

sdx_status sdx_gradient_emit(sdx_builder *builder, sdx_form form, const sdx_type *label, sdx_step_ids *ids) {
    sdx_trainer *t = builder->trainer;
    emission e = {.b = builder,
                  .t = t,
                  .patch = &builder->patch,
                  .split = form == SDX_FORM_TRAIN && t->options.accumulate > 1,
                  .ids = ids};
    SDX_TRY(tie_inputs(&e));
    SDX_TRY(emit_loss(&e, label));
    SDX_TRY(sdx_pass_gelu(builder->model, builder->error)); /* less is kept for the way back */
    SDX_TRY(sdx_builder_settle(builder));
    if (!t->weights) SDX_TRY(choose_weights(&e));
    SDX_TRY(differentiate(&e));
    return put_out_figures(&e);
}

static sdx_status emit_all(sdx_builder *b, sdx_form form, const sdx_type *label) {
    sdx_step_ids ids;
    SDX_TRY(sdx_gradient_emit(b, form, label, &ids));
    bool split = form == SDX_FORM_TRAIN && b->trainer->options.accumulate > 1;
    for (int w = 0; w < b->trainer->n_weights && !split; w++)
        sdx_builder_output(b, (sdx_port){SDX_PORT_GRADIENT, w, 0}, ids.g[w], NULL);
    return b->patch.status;
}

sdx_status sdx_gradient_build(sdx_trainer *trainer, sdx_form form, const sdx_type *label, sdx_error *error) {
    sdx_builder b;
    sdx_status status = sdx_builder_begin(&b, trainer, trainer->prepared->training, NULL, error);
    if (!status) status = emit_all(&b, form, label);
    if (!status) status = sdx_builder_finish(&b, &trainer->programs[form]);
    sdx_program *program = &trainer->programs[form];
    if (!status && label->kind) {
        program->labelled = trainer->label_input < 0;
        program->label_dtype = label->dtype;
        program->label_rank = label->rank;
    }
    sdx_builder_drop(&b);
    return status ? sdx_error_context(error, "training form of '%s'", trainer->prepared->training->name) : SDX_OK;
}
