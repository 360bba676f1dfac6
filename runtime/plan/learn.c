/* SPDX-License-Identifier: Apache-2.0
 * First pass of planning: types of all values from the concrete arguments, in order. What can be computed from shapes
 * and constants alone is computed at once, within a budget; what then nobody reads falls away. */
#include "runtime/load/load.h"
#include "runtime/plan/build.h"

/* Larger results are left to the run: folding pays for chains on shapes, not for data. */
enum { FOLD_BYTES = 256 << 10, FOLD_TOTAL = 16 << 20, FOLD_LOOSE = 4096 };

void sdx_build_inputs(const sdx_build *build, const sdx_node *node, const sdx_type **in, const sdx_tensor **value) {
    for (int k = 0; k < node->n_in; k++) {
        sdx_id id = node->in[k];
        in[k] = NULL;
        value[k] = NULL;
        if (id == SDX_NONE) continue;
        const sdx_value *constant = build->plan->slots[id].constant;
        in[k] = &build->type[id];
        if (constant && constant->kind == SDX_TENSOR) value[k] = &constant->tensor;
    }
}

/* ---- Folding -------------------------------------------------------------------------------------------------- */

/* Values to compute with; NULL when the node cannot or should not be folded. */
static sdx_value **foldable(sdx_build *build, const sdx_node *node) {
    bool dims_only = node->op->flags & SDX_OP_DIMS;
    sdx_value **in = SDX_NEW_ARRAY(&build->temp, sdx_value *, node->n_in, build->error);
    if (!in || node->n_bodies || (node->op->flags & SDX_OP_RANDOM)) return NULL;
    for (int k = 0; k < node->n_in; k++) {
        sdx_id id = node->in[k];
        if (id == SDX_NONE) continue;
        in[k] = build->plan->slots[id].constant;
        if (in[k]) continue;
        if (!dims_only || !sdx_type_concrete(&build->type[id])) return NULL;
        sdx_value *shape = SDX_NEW(&build->temp, sdx_value, build->error);
        if (!shape) return NULL;
        const sdx_type *type = &build->type[id];
        shape->kind = SDX_TENSOR;
        if (sdx_tensor_make(&shape->tensor, type->dtype, type->rank, type->dim, NULL, build->error)) return NULL;
        in[k] = shape;
    }
    return in;
}

static bool within_budget(const sdx_build *build, const sdx_node *node, const sdx_node_plan *plan,
                          sdx_value *const *in) {
    size_t bytes = 0;
    bool loose = false;
    for (int k = 0; k < node->n_out; k++) {
        if (!plan->wanted[k]) continue;
        sdx_tensor tensor;
        if (!sdx_type_concrete(&plan->type[k]))
            loose = true;
        else if (sdx_tensor_make(&tensor, plan->type[k].dtype, plan->type[k].rank, plan->type[k].dim, NULL, NULL) ||
                 !sdx_size_add(bytes, sdx_tensor_bytes(&tensor), &bytes))
            return false;
    }
    for (int k = 0; k < node->n_in && loose; k++)
        if (in[k] && (in[k]->kind != SDX_TENSOR || in[k]->tensor.count > FOLD_LOOSE)) return false;
    return bytes <= FOLD_BYTES && bytes <= FOLD_TOTAL - build->folded;
}

static bool all_small_tensors(sdx_build *build, sdx_value *const *out, int n) {
    size_t bytes = 0;
    for (int k = 0; k < n; k++) {
        if (!out[k]) continue;
        if (out[k]->kind != SDX_TENSOR || !sdx_size_add(bytes, sdx_tensor_bytes(&out[k]->tensor), &bytes)) return false;
    }
    if (bytes > FOLD_BYTES || bytes > FOLD_TOTAL - build->folded) return false;
    build->folded += bytes;
    return true;
}

static sdx_status fold(sdx_build *build, const sdx_node *node, const sdx_node_plan *plan) {
    sdx_value **in = foldable(build, node);
    if (!in || !within_budget(build, node, plan, in)) return build->error->status;
    sdx_value **out = SDX_NEW_ARRAY(&build->temp, sdx_value *, node->n_out, build->error);
    if (!out) return build->error->status;
    sdx_run run = *build->run;
    run.model = NULL; /* whoever plans says where */
    SDX_TRY(sdx_exec_node(build->graph, node, &run, in, plan->wanted, out));
    bool keep = all_small_tensors(build, out, node->n_out);
    for (int k = 0; k < node->n_out; k++) {
        if (!out[k]) continue;
        if (keep) {
            build->plan->slots[node->out[k]].constant = out[k];
            build->type[node->out[k]] = sdx_type_of_tensor(&out[k]->tensor);
        } else {
            sdx_value_release(out[k]);
        }
    }
    return SDX_OK;
}

/* ---- Types ---------------------------------------------------------------------------------------------------- */

static sdx_status learn_node(sdx_build *build, int index, const int32_t *uses) {
    const sdx_node *node = build->graph->nodes[index];
    sdx_node_plan *plan = &build->nodes[index];
    sdx_arena *arena = &build->plan->arena;
    bool any = false;
    plan->wanted = SDX_NEW_ARRAY(arena, bool, node->n_out, build->error);
    if (!plan->wanted) return build->error->status;
    for (int k = 0; k < node->n_out; k++) {
        plan->wanted[k] = node->out[k] != SDX_NONE && uses[node->out[k]] > 0;
        any = any || plan->wanted[k];
    }
    if (!any) return SDX_OK;
    const sdx_type **in = SDX_NEW_ARRAY(&build->temp, const sdx_type *, node->n_in, build->error);
    const sdx_tensor **value = SDX_NEW_ARRAY(&build->temp, const sdx_tensor *, node->n_in, build->error);
    plan->type = SDX_NEW_ARRAY(arena, sdx_type, node->n_out, build->error);
    if (!in || !value || !plan->type) return build->error->status;
    sdx_build_inputs(build, node, in, value);
    SDX_TRY(sdx_infer_node(build->graph, node, in, value, plan->wanted, build->threads, &build->temp, build->error,
                           plan->type));
    for (int k = 0; k < node->n_out; k++) {
        SDX_TRY(sdx_type_copy(arena, &plan->type[k], build->error, &plan->type[k]));
        if (node->out[k] != SDX_NONE) build->type[node->out[k]] = plan->type[k];
    }
    return fold(build, node, plan);
}

/* Backwards: a node is needed when something reads an output that is not known already. */
static void find_needed(sdx_build *build) {
    const sdx_graph *graph = build->graph;
    const sdx_slot *slots = build->plan->slots;
    for (int id = 0; id < graph->n_values; id++) build->last[id] = -1;
    for (int j = 0; j < graph->n_outputs; j++) build->last[graph->outputs[j]] = graph->n_nodes;
    for (int i = graph->n_nodes - 1; i >= 0; i--) {
        const sdx_node *node = graph->nodes[i];
        sdx_node_plan *plan = &build->nodes[i];
        for (int k = 0; k < node->n_out; k++) {
            sdx_id id = node->out[k];
            plan->wanted[k] = id != SDX_NONE && build->last[id] >= 0 && !slots[id].constant;
            plan->needed = plan->needed || plan->wanted[k];
        }
        if (!plan->needed) continue;
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] != SDX_NONE && build->last[node->in[k]] < i) build->last[node->in[k]] = i;
        for (int b = 0; b < node->n_bodies; b++)
            for (int c = 0; c < node->bodies[b]->n_captures; c++) {
                sdx_id outer = node->bodies[b]->captures[c].outer;
                if (build->last[outer] < i) build->last[outer] = i;
            }
    }
}

static void find_fixed(sdx_build *build) {
    for (int i = 0; i < build->graph->n_nodes; i++) {
        const sdx_node *node = build->graph->nodes[i];
        sdx_node_plan *plan = &build->nodes[i];
        plan->fixed = plan->needed && node->n_bodies == 0;
        for (int k = 0; k < node->n_out && plan->fixed; k++)
            if (plan->wanted[k]) plan->fixed = sdx_type_concrete(&plan->type[k]) && plan->type[k].dtype != SDX_STRING;
    }
}

sdx_status sdx_build_learn(sdx_build *build) {
    const sdx_graph *graph = build->graph;
    int32_t *uses = SDX_NEW_ARRAY(&build->temp, int32_t, graph->n_values, build->error);
    if (!uses) return build->error->status;
    sdx_graph_count_uses(graph, uses);
    for (int i = 0; i < graph->n_nodes; i++) {
        SDX_TRY(sdx_stop_check(&build->run->stop, build->error));
        SDX_TRY(learn_node(build, i, uses));
    }
    find_needed(build);
    find_fixed(build);
    return SDX_OK;
}
