/* SPDX-License-Identifier: Apache-2.0
 * Which tensors each penalty hits, and the penalties of a graph as scalars. */
#include "runtime/train/emit.h"
#include "runtime/train/trainer.h"
#include <string.h>

/* ---- What is hit ----------------------------------------------------------------------------------------------- */

static const char *pattern_of(const sdx_penalty_options *penalty) { return penalty->match ? penalty->match : "*"; }

bool sdx_penalty_hits(const sdx_penalty_options *penalty, const sdx_variable *variable) {
    sdx_role role = variable->role;
    bool hit = role != SDX_ROLE_STATE;
    if (penalty->target == SDX_TARGET_ACTIVITY) return false;
    if (penalty->target == SDX_TARGET_KERNEL) hit = role == SDX_ROLE_KERNEL;
    if (penalty->target == SDX_TARGET_RECURRENT) hit = role == SDX_ROLE_RECURRENT;
    if (penalty->target == SDX_TARGET_BIAS) hit = role == SDX_ROLE_BIAS;
    return hit && sdx_variable_matches(variable, pattern_of(penalty));
}

/* The tensor of an activity penalty that node `node` makes; SDX_NONE: the penalty does not mean it. */
static sdx_id activity(const sdx_graph *graph, const sdx_node *node, const sdx_penalty_options *penalty) {
    if (penalty->target != SDX_TARGET_ACTIVITY || node->n_out == 0 || node->out[0] == SDX_NONE) return SDX_NONE;
    const sdx_type *type = &graph->values[node->out[0]].type;
    if (type->kind != SDX_TENSOR || sdx_dtype_class(type->dtype) != SDX_CLASS_FLOAT) return SDX_NONE;
    return sdx_node_matches(graph, node, pattern_of(penalty)) ? node->out[0] : SDX_NONE;
}

static bool finds_something(const sdx_trainer *t, const sdx_penalty_options *penalty) {
    const sdx_graph *graph = t->prepared->training->graph;
    for (int v = 0; v < t->prepared->n_variables; v++)
        if (sdx_penalty_hits(penalty, &t->prepared->variables[v])) return true;
    for (int i = 0; i < graph->n_nodes; i++)
        if (activity(graph, graph->nodes[i], penalty) != SDX_NONE) return true;
    return false;
}

sdx_status sdx_penalties_check(sdx_trainer *t, sdx_error *error) {
    static const char *const targets[] = {"kernel", "recurrent", "bias", "activity", "all"};
    size_t n = t->options.n_penalties;
    t->modes = SDX_NEW_ARRAY(&t->arena, sdx_penalty_mode, n, error);
    if (!t->modes) return error->status;
    for (size_t k = 0; k < n; k++) {
        const sdx_penalty_options *penalty = &t->options.penalties[k];
        char text[128];
        const char *pattern = pattern_of(penalty);
        if ((unsigned)penalty->target > SDX_TARGET_ALL)
            return sdx_fail(error, SDX_VALUE, "penalty %zu: 'target' is %d; it must be in [0, %d]", k,
                            (int)penalty->target, (int)SDX_TARGET_ALL);
        if (sdx_penalty_resolve(penalty, error, &t->modes[k])) return sdx_error_context(error, "penalty %zu", k);
        if (!finds_something(t, penalty))
            return sdx_fail(error, SDX_VALUE, "penalty %zu: '%s' matches nothing whose target is '%s'", k,
                            sdx_escape(text, sizeof text, pattern, strlen(pattern)), targets[penalty->target]);
    }
    return SDX_OK;
}

/* ---- Emission -------------------------------------------------------------------------------------------------- */

typedef struct emitter {
    sdx_builder *b;
    const sdx_id *variable;
    int n_nodes;
    sdx_dtype dtype; /* of the sums */
    bool split;
    sdx_penalty_sums *sums;
} emitter;

static sdx_id add(sdx_patch *patch, sdx_id sum, sdx_id term) {
    return sum == SDX_NONE ? term : sdx_emit2(patch, "Add", sum, term);
}

/* Penalties come in f64 of f64 tensors, else in f32. */
static sdx_id as_sum(emitter *e, sdx_id scalar, sdx_dtype of) {
    return sdx_emit_cast(&e->b->patch, scalar, of == SDX_F64 ? SDX_F64 : SDX_F32, e->dtype);
}

/* Size of the first axis of the first input. */
static sdx_id samples(emitter *e) {
    if (e->sums->samples == SDX_NONE)
        e->sums->samples = sdx_emit_length(&e->b->patch, e->b->graph->inputs[0], 0, e->dtype);
    return e->sums->samples;
}

static sdx_id activities(emitter *e, const sdx_penalty_options *penalty, sdx_id batch) {
    sdx_id sum = SDX_NONE;
    for (int i = 0; i < e->n_nodes; i++) {
        sdx_id tensor = activity(e->b->graph, e->b->graph->nodes[i], penalty);
        if (tensor == SDX_NONE) continue;
        sdx_dtype dtype = e->b->graph->values[tensor].type.dtype;
        sdx_id value = as_sum(e, sdx_penalty_emit(&e->b->patch, penalty, tensor, SDX_NONE), dtype);
        sum = add(&e->b->patch, sum, batch == SDX_NONE ? value : sdx_emit2(&e->b->patch, "Div", value, batch));
    }
    return sum;
}

static sdx_id parameters(emitter *e, const sdx_penalty_options *penalty) {
    const sdx_prepared *prepared = e->b->trainer->prepared;
    sdx_id sum = SDX_NONE;
    for (int v = 0; v < prepared->n_variables; v++) {
        if (!sdx_penalty_hits(penalty, &prepared->variables[v])) continue;
        sdx_id value = sdx_penalty_emit(&e->b->patch, penalty, e->variable[v], SDX_NONE);
        sum = add(&e->b->patch, sum, as_sum(e, value, prepared->variables[v].value->tensor.dtype));
    }
    return sum;
}

static sdx_id emit_activity(emitter *e, const sdx_penalty_options *penalty) {
    sdx_id *part = e->sums->part, value;
    if (!penalty->per_batch) {
        value = activities(e, penalty, SDX_NONE);
        part[SDX_PART_PLAIN] = add(&e->b->patch, part[SDX_PART_PLAIN], value);
        return value;
    }
    sdx_id batch = samples(e);
    if (!e->split) {
        value = activities(e, penalty, batch);
        part[SDX_PART_PLAIN] = add(&e->b->patch, part[SDX_PART_PLAIN], value);
        return value;
    }
    value = activities(e, penalty, SDX_NONE);
    part[SDX_PART_PER_BATCH] = add(&e->b->patch, part[SDX_PART_PER_BATCH], value);
    return sdx_emit2(&e->b->patch, "Div", value, batch);
}

sdx_status sdx_penalties_emit(sdx_builder *builder, const sdx_id *variable, int n_nodes, sdx_dtype dtype, bool split,
                              sdx_id *values, sdx_penalty_sums *sums) {
    const sdx_train_options *options = &builder->trainer->options;
    emitter e = {builder, variable, n_nodes, dtype, split, sums};
    for (int p = 0; p < SDX_PARTS; p++) sums->part[p] = SDX_NONE;
    sums->samples = SDX_NONE;
    for (size_t k = 0; k < options->n_penalties; k++) {
        const sdx_penalty_options *penalty = &options->penalties[k];
        if (penalty->target == SDX_TARGET_ACTIVITY) {
            values[k] = emit_activity(&e, penalty);
            continue;
        }
        values[k] = parameters(&e, penalty);
        if (builder->trainer->modes[k] == SDX_MODE_SUBGRADIENT && !split)
            sums->part[SDX_PART_PLAIN] = add(&builder->patch, sums->part[SDX_PART_PLAIN], values[k]);
    }
    return builder->patch.status;
}

/* ---- Proximal terms -------------------------------------------------------------------------------------------- */

sdx_prox sdx_penalties_prox(const sdx_trainer *t, const sdx_variable *variable) {
    sdx_prox prox = {0, 0, 0};
    for (size_t k = 0; k < t->options.n_penalties; k++) {
        const sdx_penalty_options *penalty = &t->options.penalties[k];
        if (t->modes[k] != SDX_MODE_PROX || !sdx_penalty_hits(penalty, variable)) continue;
        sdx_prox terms = sdx_penalty_terms(penalty);
        prox.l1 += terms.l1;
        prox.l2 += terms.l2;
        prox.l2norm += terms.l2norm;
    }
    return prox;
}
