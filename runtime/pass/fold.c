/* SPDX-License-Identifier: Apache-2.0
 * Nodes whose result is known now become constants: those with constant inputs, and those that read only the dims of
 * inputs whose dims are known. A budget of bytes and operations keeps files from making the model grow; what it
 * refuses, and what fails, stays a node and is computed, or fails, at run time. */
#include "runtime/exec/exec.h"
#include "runtime/load/load.h"
#include "runtime/pass/pass.h"
#include <string.h>

typedef struct folder {
    sdx_graph *graph;
    sdx_patch patch;
    sdx_arena scratch;
    int64_t *bytes, *operations; /* what the model may still spend */
    sdx_error *error;
} folder;

enum { FREE_BYTES = 1 << 20, FREE_TOTAL = 16 << 20 };
static const int64_t MOST_OPERATIONS = 2000000000;

/* Work in proportion to what is read and written; anything else may multiply the two. */
static bool is_cheap(const sdx_op *op) {
    static const char *const moves[] = {
        "Cast",  "Concat", "DequantizeLinear", "Expand", "Flatten", "Gather", "Pad", "Slice",
        "Split", "Tile",   "Transpose",        "Where"};
    if (op->flags & (SDX_OP_INPLACE | SDX_OP_VIEW | SDX_OP_DIMS)) return true;
    for (size_t k = 0; k < sizeof moves / sizeof moves[0]; k++)
        if (strcmp(op->name, moves[k]) == 0) return true;
    return false;
}

static bool dims_only(const folder *f, const sdx_node *node) {
    return (node->op->flags & SDX_OP_DIMS) && !f->graph->parent;
}

/* Input 1 of CastLike tells a type and nothing more. */
static bool type_only(const sdx_node *node, int k) {
    return k == 1 && *node->domain == '\0' && strcmp(node->op_type, "CastLike") == 0;
}

static bool input_known(const folder *f, const sdx_node *node, int k) {
    const sdx_id id = node->in[k];
    const sdx_graph_value *value = &f->graph->values[id];
    if (value->constant && !value->is_input) return true;
    if (type_only(node, k)) return value->type.kind == SDX_TENSOR && value->type.dtype != SDX_UNDEFINED;
    return dims_only(f, node) && sdx_type_concrete(&value->type);
}

static bool saturating_add(int64_t *sum, int64_t more) {
    if (__builtin_add_overflow(*sum, more, sum)) *sum = INT64_MAX;
    return true;
}

/* Elements and bytes of a type; false when they are not known or overflow. */
static bool measure(const sdx_type *type, int64_t *elements, int64_t *bytes) {
    sdx_tensor tensor;
    if (!sdx_type_concrete(type)) return false;
    if (sdx_tensor_make(&tensor, type->dtype, type->rank, type->dim, NULL, NULL) != SDX_OK) return false;
    saturating_add(elements, tensor.count);
    return saturating_add(bytes, (int64_t)sdx_tensor_bytes(&tensor));
}

static bool affordable(folder *f, const sdx_node *node) {
    int64_t in = 0, in_bytes = 0, out = 0, out_bytes = 0, work = 0;
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] != SDX_NONE && !type_only(node, k) &&
            !measure(&f->graph->values[node->in[k]].type, &in, &in_bytes))
            return false;
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE && !measure(&f->graph->values[node->out[k]].type, &out, &out_bytes)) return false;
    if (dims_only(f, node)) in = in_bytes = 0;
    if (out_bytes > FREE_BYTES && out_bytes / 2 > in_bytes) return false;
    if (__builtin_mul_overflow(in + 1, out + 1, &work)) work = INT64_MAX;
    if (is_cheap(node->op)) work = in + out;
    if (out_bytes > *f->bytes || work > *f->operations) return false;
    *f->bytes -= out_bytes;
    *f->operations -= work;
    return true;
}

static bool foldable(folder *f, const sdx_node *node) {
    if (!node->op || (node->op->flags & SDX_OP_RANDOM) || node->n_bodies || node->n_out == 0) return false;
    for (int k = 0; k < node->n_in; k++)
        if (node->in[k] != SDX_NONE && !input_known(f, node, k)) return false;
    return affordable(f, node);
}

/* The constant, or for operators that read dims or the type alone a tensor without data. */
static sdx_value *input_value(folder *f, const sdx_node *node, int k) {
    const sdx_graph_value *value = &f->graph->values[node->in[k]];
    if (value->constant && !value->is_input) return sdx_value_retain(value->constant);
    sdx_tensor tensor;
    const sdx_type type = type_only(node, k) ? (sdx_type){.dtype = value->type.dtype, .rank = 1} : value->type;
    if (sdx_tensor_make(&tensor, type.dtype, type.rank, type.dim, NULL, f->error)) return NULL;
    return sdx_value_new_view(f->graph->arena->memory, &tensor, NULL, f->error);
}

static void take_results(folder *f, const sdx_node *node, sdx_value **out) {
    for (int k = 0; k < node->n_out; k++)
        if (out[k]) sdx_graph_set_constant(f->graph, node->out[k], out[k]);
    sdx_patch_remove(&f->patch, node);
}

/* A node that fails, fails when it runs: it may never be reached. Running out of memory is ours to report. */
static sdx_status run_node(folder *f, const sdx_node *node, sdx_value **in, const bool *wanted, sdx_value **out) {
    sdx_error own = {0};
    sdx_run run = {.memory = f->graph->arena->memory, .error = &own};
    sdx_status status = sdx_exec_node(f->graph, node, &run, in, wanted, out);
    if (status == SDX_OUT_OF_MEMORY) return sdx_fail(f->error, status, "%s", own.message);
    if (status == SDX_OK) take_results(f, node, out);
    return SDX_OK;
}

static sdx_status fold_node(folder *f, const sdx_node *node) {
    sdx_value **in = SDX_NEW_ARRAY(&f->scratch, sdx_value *, node->n_in, f->error);
    sdx_value **out = SDX_NEW_ARRAY(&f->scratch, sdx_value *, node->n_out, f->error);
    bool *wanted = SDX_NEW_ARRAY(&f->scratch, bool, node->n_out, f->error);
    if (!in || !out || !wanted) return SDX_OUT_OF_MEMORY;
    sdx_status status = SDX_OK;
    for (int k = 0; k < node->n_in && status == SDX_OK; k++) {
        if (node->in[k] == SDX_NONE) continue;
        in[k] = input_value(f, node, k);
        if (!in[k]) status = SDX_OUT_OF_MEMORY;
    }
    for (int k = 0; k < node->n_out; k++) wanted[k] = node->out[k] != SDX_NONE;
    if (status == SDX_OK) status = run_node(f, node, in, wanted, out);
    for (int k = 0; k < node->n_in; k++) sdx_value_release(in[k]);
    for (int k = 0; k < node->n_out; k++) sdx_value_release(out[k]);
    return status;
}

static sdx_status fold_graph(sdx_graph *graph, int64_t *bytes, int64_t *operations, sdx_error *error);

static sdx_status fold_nodes(folder *f) {
    sdx_graph *graph = f->graph;
    for (int k = 0; k < graph->n_nodes; k++) {
        sdx_node *node = graph->nodes[k];
        if (!graph->parent) SDX_TRY(sdx_infer_again(graph, node, &f->scratch, f->error));
        if (foldable(f, node)) SDX_TRY(fold_node(f, node));
        for (int b = 0; b < node->n_bodies; b++)
            SDX_TRY(fold_graph(node->bodies[b], f->bytes, f->operations, f->error));
        sdx_arena_reset(&f->scratch);
    }
    return sdx_patch_commit(&f->patch);
}

static sdx_status fold_graph(sdx_graph *graph, int64_t *bytes, int64_t *operations, sdx_error *error) {
    folder f = {.graph = graph, .bytes = bytes, .operations = operations, .error = error};
    sdx_patch_begin(&f.patch, graph, error);
    sdx_arena_init(&f.scratch, graph->arena->memory);
    sdx_status status = fold_nodes(&f);
    sdx_arena_release(&f.scratch);
    return status;
}

sdx_status sdx_pass_fold(sdx_model *model, sdx_error *error) {
    int64_t bytes = FREE_TOTAL, elements = 0, constants = 0, operations = MOST_OPERATIONS;
    for (int id = 0; id < model->graph->n_values; id++)
        if (model->graph->values[id].constant) measure(&model->graph->values[id].type, &elements, &constants);
    saturating_add(&bytes, constants);
    saturating_add(&bytes, constants);
    return fold_graph(model->graph, &bytes, &operations, error);
}
