/* SPDX-License-Identifier: Apache-2.0
 * Second pass of planning: which values share bytes. A view takes the block of its input; an in-place operator takes
 * that of an input that dies with it. The first graph output in a block moves the block into the output's own value. */
#include "runtime/exec/call.h"
#include "runtime/plan/build.h"
#include <string.h>

static sdx_status new_block(sdx_build *build, sdx_place place, int index, int first, size_t size, int *out) {
    if (build->n_blocks == build->blocks_capacity) {
        int capacity = build->blocks_capacity ? build->blocks_capacity * 2 : 64;
        sdx_block *more = SDX_NEW_ARRAY(&build->temp, sdx_block, capacity, build->error);
        if (!more) return build->error->status;
        if (build->n_blocks) memcpy(more, build->blocks, (size_t)build->n_blocks * sizeof *more);
        build->blocks = more;
        build->blocks_capacity = capacity;
    }
    *out = build->n_blocks++;
    build->blocks[*out] = (sdx_block){.place = place, .index = index, .first = first, .last = first, .size = size};
    return SDX_OK;
}

static void join(sdx_build *build, sdx_id id, int block) {
    build->block[id] = block;
    if (build->last[id] > build->blocks[block].last) build->blocks[block].last = build->last[id];
}

/* ---- Sharing -------------------------------------------------------------------------------------------------- */

static bool same_tensor_shape(const sdx_tensor *a, const sdx_tensor *b) {
    return a->dtype == b->dtype && a->rank == b->rank && memcmp(a->dim, b->dim, sizeof a->dim) == 0;
}

static int view_block(const sdx_build *build, const sdx_node *node) {
    const sdx_slot *slots = build->plan->slots;
    if (!(node->op->flags & SDX_OP_VIEW) || node->n_in == 0 || node->in[0] == SDX_NONE) return -1;
    sdx_id in = node->in[0], out = node->out[0];
    if (build->block[in] < 0 || !slots[in].shaped) return -1;
    return sdx_tensor_bytes(&slots[in].tensor) == sdx_tensor_bytes(&slots[out].tensor) ? build->block[in] : -1;
}

/* No other input may show the block's bytes under another shape: it would be read after it was overwritten. */
static bool only_same_shape(const sdx_build *build, const sdx_node *node, int block) {
    for (int k = 0; k < node->n_in; k++) {
        sdx_id id = node->in[k];
        if (id != SDX_NONE && build->block[id] == block &&
            !same_tensor_shape(&build->plan->slots[id].tensor, &build->plan->slots[node->out[0]].tensor))
            return false;
    }
    return true;
}

static int inplace_block(const sdx_build *build, const sdx_node *node, int index) {
    const sdx_slot *slots = build->plan->slots;
    if (!(node->op->flags & SDX_OP_INPLACE)) return -1;
    for (int k = 0; k < node->n_in; k++) {
        sdx_id in = node->in[k];
        int block = in == SDX_NONE ? -1 : build->block[in];
        if (block < 0 || build->blocks[block].place != SDX_AT_ARENA || build->blocks[block].last != index) continue;
        if (same_tensor_shape(&slots[in].tensor, &slots[node->out[0]].tensor) && only_same_shape(build, node, block))
            return block;
    }
    return -1;
}

/* Constants get a block when a view of one asks for it. */
static sdx_status block_constant(sdx_build *build, const sdx_node *node) {
    if (!(node->op->flags & SDX_OP_VIEW) || node->n_in == 0 || node->in[0] == SDX_NONE) return SDX_OK;
    sdx_id id = node->in[0];
    const sdx_value *constant = build->plan->slots[id].constant;
    int block = -1;
    if (!constant || constant->kind != SDX_TENSOR || build->block[id] >= 0) return SDX_OK;
    SDX_TRY(new_block(build, SDX_AT_CONSTANT, id, -1, 0, &block));
    build->block[id] = block;
    build->plan->slots[id].shaped = true;
    build->plan->slots[id].tensor = constant->tensor;
    return SDX_OK;
}

/* ---- Per node ------------------------------------------------------------------------------------------------- */

static sdx_status shape_output(sdx_build *build, const sdx_node *node, int k) {
    sdx_id id = node->out[k];
    const sdx_type *type = &build->nodes[build->graph->values[id].producer].type[k];
    sdx_slot *slot = &build->plan->slots[id];
    if (sdx_tensor_make(&slot->tensor, type->dtype, type->rank, type->dim, NULL, build->error))
        return sdx_call_place(build->graph, node, build->error);
    slot->shaped = true;
    return SDX_OK;
}

static sdx_status block_output(sdx_build *build, int index, int k) {
    const sdx_node *node = build->graph->nodes[index];
    sdx_id id = node->out[k];
    int block = k == 0 ? view_block(build, node) : -1;
    if (block >= 0) {
        build->nodes[index].skipped = true;
        for (int other = 1; other < node->n_out; other++)
            if (build->nodes[index].wanted[other]) build->nodes[index].skipped = false;
    } else if (k == 0) {
        block = inplace_block(build, node, index);
    }
    if (block < 0)
        SDX_TRY(new_block(build, SDX_AT_ARENA, 0, index, sdx_tensor_bytes(&build->plan->slots[id].tensor), &block));
    join(build, id, block);
    return SDX_OK;
}

static sdx_status scratch_block(sdx_build *build, int index) {
    const sdx_node *node = build->graph->nodes[index];
    sdx_node_plan *plan = &build->nodes[index];
    const sdx_type **in = SDX_NEW_ARRAY(&build->temp, const sdx_type *, node->n_in, build->error);
    const sdx_tensor **value = SDX_NEW_ARRAY(&build->temp, const sdx_tensor *, node->n_in, build->error);
    if (!in || !value) return build->error->status;
    sdx_build_inputs(build, node, in, value);
    sdx_infer infer = {.error = build->error,
                       .node = node,
                       .since = node->since,
                       .threads = build->threads,
                       .n_in = node->n_in,
                       .n_out = node->n_out,
                       .in = in,
                       .value = value,
                       .out = plan->type,
                       .wanted = plan->wanted,
                       .arena = &build->temp};
    if (!sdx_call_scratch(&infer, &plan->scratch)) {
        sdx_fail(build->error, SDX_OUT_OF_MEMORY, "the size of the workspace overflows");
        return sdx_call_place(build->graph, node, build->error);
    }
    return plan->scratch ? new_block(build, SDX_AT_ARENA, 0, index, plan->scratch, &plan->scratch_block) : SDX_OK;
}

/* A node whose inputs are not all of known shape may still have outputs that are; its workspace then is not known. */
static bool inputs_shaped(const sdx_build *build, const sdx_node *node) {
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] != SDX_NONE && !build->plan->slots[node->in[k]].shaped &&
            !build->plan->slots[node->in[k]].constant)
            return false;
    return true;
}

static sdx_status visit(sdx_build *build, int index) {
    const sdx_node *node = build->graph->nodes[index];
    sdx_node_plan *plan = &build->nodes[index];
    SDX_TRY(block_constant(build, node));
    if (node->op->scratch && !inputs_shaped(build, node)) plan->fixed = false;
    for (int k = 0; k < node->n_out; k++) {
        if (!plan->wanted[k]) continue;
        if (plan->fixed || sdx_type_concrete(&plan->type[k])) SDX_TRY(shape_output(build, node, k));
        if (plan->fixed) SDX_TRY(block_output(build, index, k));
    }
    return plan->fixed && !plan->skipped ? scratch_block(build, index) : SDX_OK;
}

/* ---- Outputs of the graph ------------------------------------------------------------------------------------- */

static void claim_outputs(sdx_build *build) {
    const sdx_graph *graph = build->graph;
    for (int j = 0; j < graph->n_outputs; j++) {
        sdx_id id = graph->outputs[j];
        int block = build->block[id];
        build->plan->outputs[j].id = id;
        if (block < 0 || build->blocks[block].place != SDX_AT_ARENA) continue;
        build->blocks[block].place = SDX_AT_OUTPUT;
        build->blocks[block].index = j;
        build->plan->outputs[j].direct = true;
    }
}

static sdx_status block_arguments(sdx_build *build) {
    const sdx_plan *plan = build->plan;
    for (int k = 0; k < plan->n_keys; k++) {
        sdx_id id = k < build->graph->n_inputs ? build->graph->inputs[k]
                                               : build->graph->captures[k - build->graph->n_inputs].inner;
        int block = -1;
        if (plan->slots[id].constant || plan->keys[k].kind != SDX_TENSOR) continue;
        SDX_TRY(new_block(build, SDX_AT_ARGUMENT, k, -1, 0, &block));
        join(build, id, block);
    }
    return SDX_OK;
}

sdx_status sdx_build_blocks(sdx_build *build) {
    for (int i = 0; i < build->graph->n_nodes; i++) build->nodes[i].scratch_block = -1;
    SDX_TRY(block_arguments(build));
    for (int i = 0; i < build->graph->n_nodes; i++)
        if (build->nodes[i].needed) SDX_TRY(visit(build, i));
    claim_outputs(build);
    return SDX_OK;
}
