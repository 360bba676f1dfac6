/* SPDX-License-Identifier: Apache-2.0
 * From parameters, gradients and optimizer state to the next ones. Order: gradients are joined (micro-batches, with
 * the penalties that are part of the loss), clipped, coupled penalties added; then the optimizer with its proximal
 * step, constraints, the running average. */
#include "runtime/train/trainer.h"
#include <stdio.h>
#include <string.h>

static const sdx_variable *variable_of(const sdx_trainer *t, int w) {
    return &t->prepared->variables[t->weights[w].variable];
}

/* "NAME.suffix" */
static const char *name_with(char *out, size_t capacity, const sdx_variable *variable, const char *suffix) {
    snprintf(out, capacity, "%.180s.%s", variable->name, suffix);
    return out;
}

static const char *pattern_of(const sdx_constraint_options *constraint) {
    return constraint->match ? constraint->match : "*";
}

static sdx_id add_penalties(sdx_builder *b, int w, sdx_penalty_mode mode, sdx_id weight, sdx_id gradient) {
    const sdx_trainer *t = b->trainer;
    for (size_t k = 0; k < t->options.n_penalties; k++) {
        const sdx_penalty_options *penalty = &t->options.penalties[k];
        if (t->modes[k] == mode && sdx_penalty_hits(penalty, variable_of(t, w)))
            gradient = sdx_emit2(&b->patch, "Add", gradient, sdx_penalty_emit_gradient(&b->patch, penalty, weight));
    }
    return gradient;
}

/* ---- One parameter --------------------------------------------------------------------------------------------- */

static void emit_average(sdx_builder *b, int w, sdx_id new_w) {
    const sdx_trainer *t = b->trainer;
    const sdx_variable *variable = variable_of(t, w);
    sdx_type type = sdx_type_of_tensor(&variable->value->tensor);
    sdx_port port = {SDX_PORT_EMA, w, 0};
    char name[256];
    sdx_id old = sdx_builder_input(b, port, &type, name_with(name, sizeof name, variable, "average"));
    sdx_id keep = sdx_patch_scalar(&b->patch, type.dtype, t->options.ema);
    sdx_id take = sdx_patch_scalar(&b->patch, type.dtype, 1 - t->options.ema);
    sdx_id next =
        sdx_emit2(&b->patch, "Add", sdx_emit2(&b->patch, "Mul", old, keep), sdx_emit2(&b->patch, "Mul", new_w, take));
    sdx_builder_output(b, port, next, name_with(name, sizeof name, variable, "average.new"));
}

static sdx_status emit_weight(sdx_builder *b, int w, sdx_id weight, sdx_id gradient) {
    const sdx_trainer *t = b->trainer;
    const sdx_variable *variable = variable_of(t, w);
    sdx_type type = sdx_type_of_tensor(&variable->value->tensor);
    sdx_update update = {.w = weight,
                         .g = add_penalties(b, w, SDX_MODE_COUPLED, weight, gradient),
                         .lr = sdx_builder_dial(b, SDX_DIAL_LR + t->weights[w].group, SDX_F64),
                         .step = sdx_builder_dial(b, SDX_DIAL_STEP, SDX_F64),
                         .weight_decay = t->weights[w].weight_decay,
                         .prox = t->weights[w].prox};
    char name[256], suffix[64];
    for (int s = 0; s < t->n_slots; s++)
        update.slot[s] = sdx_builder_input(b, (sdx_port){SDX_PORT_SLOT, w, s}, &type,
                                           name_with(name, sizeof name, variable, t->slot_names[s]));
    SDX_TRY(b->patch.status);
    SDX_TRY(sdx_optimizer_emit(&b->patch, &t->options.optimizer, &update));
    for (size_t k = 0; k < t->options.n_constraints; k++)
        if (sdx_variable_matches(variable, pattern_of(&t->options.constraints[k])))
            SDX_TRY(sdx_constraint_emit(&b->patch, &t->options.constraints[k], t->prepared->training->graph, variable,
                                        &update.new_w));
    sdx_builder_output(b, (sdx_port){SDX_PORT_VARIABLE, t->weights[w].variable, 0}, update.new_w,
                       name_with(name, sizeof name, variable, "new"));
    for (int s = 0; s < t->n_slots; s++) {
        snprintf(suffix, sizeof suffix, "%.50s.new", t->slot_names[s]);
        sdx_builder_output(b, (sdx_port){SDX_PORT_SLOT, w, s}, update.new_slot[s],
                           name_with(name, sizeof name, variable, suffix));
    }
    if (t->options.ema > 0) emit_average(b, w, update.new_w);
    return b->patch.status;
}

static sdx_status check_constraints(const sdx_trainer *t, sdx_error *error) {
    for (size_t k = 0; k < t->options.n_constraints; k++) {
        const char *pattern = pattern_of(&t->options.constraints[k]);
        bool found = false;
        for (int v = 0; v < t->prepared->n_variables; v++)
            found |= sdx_variable_matches(&t->prepared->variables[v], pattern);
        char text[128];
        if (!found)
            return sdx_fail(error, SDX_VALUE, "constraint %zu: '%s' matches no parameter", k,
                            sdx_escape(text, sizeof text, pattern, strlen(pattern)));
    }
    return SDX_OK;
}

sdx_status sdx_update_emit(sdx_builder *b, const sdx_step_ids *ids) {
    const sdx_trainer *t = b->trainer;
    sdx_id norm = SDX_NONE, *clipped = SDX_NEW_ARRAY(b->graph->arena, sdx_id, t->n_weights, b->error);
    if (!clipped) return b->error->status;
    SDX_TRY(check_constraints(t, b->error));
    memcpy(clipped, ids->g, (size_t)t->n_weights * sizeof *clipped);
    SDX_TRY(sdx_clip_emit(&b->patch, &t->options, clipped, t->n_weights, &norm));
    if (norm != SDX_NONE) sdx_builder_output(b, (sdx_port){SDX_PORT_FIGURE, SDX_FIGURE_NORM, 0}, norm, "gradient_norm");
    for (int w = 0; w < t->n_weights; w++) SDX_TRY(emit_weight(b, w, ids->w[w], clipped[w]));
    return b->patch.status;
}

/* ---- The graph of its own ---------------------------------------------------------------------------------------- */

/* The gradient of all micro-batches together; it is an output too. */
static sdx_id join_sums(sdx_builder *b, int w, const sdx_type *type, sdx_id weight) {
    static const sdx_dial dials[SDX_PARTS] = {
        [SDX_PART_LOSS] = SDX_DIAL_DENOMINATOR, [SDX_PART_PER_BATCH] = SDX_DIAL_SAMPLES};
    sdx_id total = SDX_NONE;
    for (int p = 0; p < SDX_PARTS; p++) {
        if (!b->trainer->weights[w].sum[p].now) continue;
        sdx_id sum = sdx_builder_input(b, (sdx_port){SDX_PORT_SUM, w, p}, type, NULL);
        if (p != SDX_PART_PLAIN)
            sum = sdx_emit2(&b->patch, "Div", sum, sdx_builder_dial(b, (int)dials[p], type->dtype));
        total = total == SDX_NONE ? sum : sdx_emit2(&b->patch, "Add", total, sum);
    }
    total = add_penalties(b, w, SDX_MODE_SUBGRADIENT, weight, total);
    sdx_builder_output(b, (sdx_port){SDX_PORT_GRADIENT, w, 0}, total, NULL);
    return total;
}

static sdx_status emit_all(sdx_builder *b) {
    const sdx_trainer *t = b->trainer;
    sdx_step_ids ids = {.w = SDX_NEW_ARRAY(b->graph->arena, sdx_id, t->n_weights, b->error),
                        .g = SDX_NEW_ARRAY(b->graph->arena, sdx_id, t->n_weights, b->error)};
    if (!ids.w || !ids.g) return b->error->status;
    for (int w = 0; w < t->n_weights; w++) {
        const sdx_variable *variable = variable_of(t, w);
        sdx_type type = sdx_type_of_tensor(&variable->value->tensor);
        sdx_port port = {SDX_PORT_VARIABLE, t->weights[w].variable, 0};
        ids.w[w] = sdx_builder_input(b, port, &type, variable->name);
        ids.g[w] = t->options.accumulate > 1 ? join_sums(b, w, &type, ids.w[w])
                                             : sdx_builder_input(b, (sdx_port){SDX_PORT_GRADIENT, w, 0}, &type, NULL);
    }
    SDX_TRY(b->patch.status);
    if (t->options.accumulate > 1) SDX_TRY(sdx_builder_settle(b));
    return sdx_update_emit(b, &ids);
}

sdx_status sdx_update_build(sdx_trainer *trainer, sdx_error *error) {
    sdx_builder b;
    sdx_status status = sdx_builder_begin(&b, trainer, NULL, "update", error);
    if (!status) status = emit_all(&b);
    if (!status) status = sdx_builder_finish(&b, &trainer->programs[SDX_FORM_UPDATE]);
    sdx_builder_drop(&b);
    return status ? sdx_error_context(error, "update of the parameters") : SDX_OK;
}
