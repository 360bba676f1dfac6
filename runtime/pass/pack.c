/* SPDX-License-Identifier: Apache-2.0
 * Conv, Gemm, MatMul and their forms of 8-bit integers whose weights are constant become internal operators that hold
 * the weights in the layout of this machine's kernels. A constant that nobody reads any more is dropped on the spot, so
 * weights exist once. */
#include "ops/kernels/kernels.h"
#include "ops/op.h"
#include "runtime/graph/patch.h"
#include "runtime/pass/pass.h"
#include <string.h>

typedef struct packer {
    sdx_graph *graph;
    sdx_patch patch;
    int32_t *uses;
    const sdx_kernels *kernels;
    sdx_error *error;
} packer;

/* The constant behind input k, when it is a tensor of data. */
static const sdx_tensor *constant_of(const packer *p, const sdx_node *node, int k) {
    if (k >= node->n_in) return NULL;
    const sdx_tensor *tensor = sdx_graph_tensor(p->graph, node->in[k]);
    return tensor && tensor->data && tensor->count > 0 ? tensor : NULL;
}

/* `lines` lines of k, `batch` times, as a constant of bytes. */
static sdx_id pack_constant(packer *p, const sdx_tensor *w, bool is_b, int64_t batch, int64_t lines, int64_t k,
                            int64_t line_step, int64_t k_step) {
    const size_t bytes = sdx_product_packed_bytes(p->kernels, w->dtype, is_b, batch, lines, k);
    if (bytes > INT64_MAX) return SDX_NONE;
    sdx_value *value = sdx_value_new_tensor(p->graph->arena->memory, SDX_U8, 1, (int64_t[]){(int64_t)bytes}, p->error);
    if (!value) return p->patch.status = SDX_OUT_OF_MEMORY, SDX_NONE;
    sdx_product_pack(p->kernels, w->dtype, is_b, batch, lines, k, w->data, line_step, k_step, value->tensor.data);
    sdx_id id = sdx_patch_constant(&p->patch, value);
    sdx_value_release(value);
    return id;
}

/* The node no longer reads its weights. */
static void release_weights(packer *p, const sdx_node *node, int k) {
    const sdx_id id = node->in[k];
    if (--p->uses[id] == 0) sdx_graph_set_constant(p->graph, id, NULL);
}

static void replace(packer *p, const sdx_node *node, const sdx_node *by) {
    if (p->patch.status != SDX_OK) return;
    sdx_patch_replace(&p->patch, node->out[0], by->out[0]);
    sdx_patch_remove(&p->patch, node);
}

static void pack_conv(packer *p, const sdx_node *node) {
    const sdx_tensor *w = constant_of(p, node, 1);
    const int64_t group = sdx_node_int(node, "group", 1);
    if (!w || w->rank < 3 || group < 1 || w->dim[0] % group) return;
    const int64_t lines = w->dim[0] / group, k = w->count / w->dim[0];
    const bool single = group > 1 && w->dim[1] == 1;
    sdx_id weight = node->in[1];
    if (!single) weight = pack_constant(p, w, false, group, lines, k, k, 1);
    if (weight == SDX_NONE) return;
    p->patch.origin = node;
    const sdx_id in[] = {node->in[0], weight, node->n_in > 2 ? node->in[2] : SDX_NONE};
    sdx_node *by = sdx_patch_node(&p->patch, "sdx", "PackedConv", 3, in, 1);
    sdx_patch_attrs_of(&p->patch, by, node, NULL, 0);
    sdx_patch_ints(&p->patch, by, "weight_shape", w->dim, (size_t)w->rank);
    replace(p, node, by);
    if (!single) release_weights(p, node, 1);
}

static void pack_gemm(packer *p, const sdx_node *node) {
    const sdx_tensor *b = constant_of(p, node, 1);
    if (!b || b->rank != 2 || node->since < 7) return;
    const bool trans_b = sdx_node_int(node, "transB", 0) != 0;
    const int64_t n = b->dim[!trans_b], k = b->dim[trans_b];
    const sdx_id packed = pack_constant(p, b, true, 1, n, k, trans_b ? k : 1, trans_b ? 1 : n);
    static const char *const except[] = {"transB"};
    if (packed == SDX_NONE) return;
    p->patch.origin = node;
    const sdx_id in[] = {node->in[0], packed, node->n_in > 2 ? node->in[2] : SDX_NONE};
    sdx_node *by = sdx_patch_node(&p->patch, "sdx", "PackedMatMul", 3, in, 1);
    sdx_patch_attrs_of(&p->patch, by, node, except, 1);
    sdx_patch_int(&p->patch, by, "n", n);
    sdx_patch_int(&p->patch, by, "k", k);
    replace(p, node, by);
    release_weights(p, node, 1);
}

static void pack_matmul(packer *p, const sdx_node *node) {
    const sdx_tensor *b = constant_of(p, node, 1);
    const sdx_type *a = &p->graph->values[node->in[0]].type;
    if (!b || b->rank != 2 || a->rank < 1) return;
    const int64_t k = b->dim[0], n = b->dim[1];
    const sdx_id packed = pack_constant(p, b, true, 1, n, k, 1, n);
    if (packed == SDX_NONE) return;
    p->patch.origin = node;
    sdx_node *by = sdx_patch_node(&p->patch, "sdx", "PackedMatMul", 2, (sdx_id[]){node->in[0], packed}, 1);
    sdx_patch_int(&p->patch, by, "n", n);
    sdx_patch_int(&p->patch, by, "k", k);
    replace(p, node, by);
    release_weights(p, node, 1);
}

/* Operators of 8-bit integers: their weights and zero points, by input. */
typedef struct integer_op {
    const char *op_type, *packed;
    int weight, zero;
    bool convolves;
} integer_op;
static const integer_op integer_ops[] = {{"ConvInteger", "PackedConvInteger", 1, 3, true},
                                         {"MatMulInteger", "PackedMatMulInteger", 1, 3, false},
                                         {"QLinearConv", "PackedQLinearConv", 3, 5, true},
                                         {"QLinearMatMul", "PackedQLinearMatMul", 3, 5, false}};

static bool is_byte(sdx_dtype dtype) { return dtype == SDX_I8 || dtype == SDX_U8; }

/* What there is to pack; false: nothing that pays, or that the packed form could not express. */
static bool integer_weights(const packer *p, const sdx_node *node, const integer_op *op, sdx_dot_weights *w) {
    const sdx_tensor *data = constant_of(p, node, op->weight), *zero = constant_of(p, node, op->zero);
    if (!data || !is_byte(data->dtype) || !is_byte(p->graph->values[node->in[0]].type.dtype)) return false;
    if (op->zero < node->n_in && node->in[op->zero] != SDX_NONE && !zero) return false;
    *w = (sdx_dot_weights){.dtype = data->dtype, .is_b = !op->convolves, .batch = 1, .data = data->data};
    if (op->convolves) {
        w->batch = sdx_node_int(node, "group", 1);
        if (data->rank < 3 || w->batch < 1 || data->dim[0] % w->batch || data->dim[1] == 1) return false;
        w->lines = data->dim[0] / w->batch, w->k = data->count / data->dim[0];
        w->line_step = w->k, w->k_step = 1;
    } else {
        if (data->rank != 2) return false;
        w->lines = data->dim[1], w->k = data->dim[0], w->line_step = 1, w->k_step = w->lines;
    }
    if (!zero) return true;
    w->zero = zero->data, w->zero_step = zero->count > 1;
    return zero->dtype == data->dtype && (zero->count == 1 || zero->count == w->batch * w->lines);
}

static void pack_integer(packer *p, const sdx_node *node, const integer_op *op) {
    enum { MOST_INPUTS = 9 };
    sdx_dot_weights w;
    sdx_id in[MOST_INPUTS];
    if (!integer_weights(p, node, op, &w) || node->n_in > MOST_INPUTS) return;
    const size_t bytes = sdx_dot_weights_bytes(p->kernels, &w);
    if (bytes > INT64_MAX) return;
    const sdx_tensor *was = constant_of(p, node, op->weight);
    sdx_value *value = sdx_value_new_tensor(p->graph->arena->memory, SDX_U8, 1, (int64_t[]){(int64_t)bytes}, p->error);
    if (!value) {
        p->patch.status = SDX_OUT_OF_MEMORY;
        return;
    }
    sdx_dot_weights_pack(p->kernels, &w, value->tensor.data);
    for (int k = 0; k < node->n_in; k++) in[k] = node->in[k];
    in[op->weight] = sdx_patch_constant(&p->patch, value);
    sdx_value_release(value);
    p->patch.origin = node;
    sdx_node *by = sdx_patch_node(&p->patch, "sdx", op->packed, node->n_in, in, 1);
    sdx_patch_attrs_of(&p->patch, by, node, NULL, 0);
    sdx_patch_ints(&p->patch, by, "weight_shape", was->dim, (size_t)was->rank);
    sdx_patch_int(&p->patch, by, "weight_dtype", (int64_t)was->dtype);
    replace(p, node, by);
    release_weights(p, node, op->weight);
}

static sdx_status pack_graph(sdx_graph *graph, sdx_error *error);

static sdx_status pack_nodes(packer *p) {
    sdx_graph *graph = p->graph;
    const int nodes = graph->n_nodes;
    sdx_graph_count_uses(graph, p->uses);
    sdx_patch_begin(&p->patch, graph, p->error);
    for (int k = 0; k < nodes && p->patch.status == SDX_OK; k++) {
        const sdx_node *node = graph->nodes[k];
        if (sdx_node_is(node, "Conv"))
            pack_conv(p, node);
        else if (sdx_node_is(node, "Gemm") && !p->kernels->blas)
            pack_gemm(p, node);
        else if (sdx_node_is(node, "MatMul") && !p->kernels->blas)
            pack_matmul(p, node);
        for (size_t o = 0; o < sizeof integer_ops / sizeof *integer_ops; o++)
            if (sdx_node_is(node, integer_ops[o].op_type)) pack_integer(p, node, &integer_ops[o]);
        for (int b = 0; b < node->n_bodies; b++) SDX_TRY(pack_graph(node->bodies[b], p->error));
    }
    return sdx_patch_commit(&p->patch);
}

static sdx_status pack_graph(sdx_graph *graph, sdx_error *error) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, graph->arena->memory);
    packer p = {.graph = graph, .kernels = sdx_kernels_get(), .error = error};
    p.uses = SDX_NEW_ARRAY(&scratch, int32_t, graph->n_values, error);
    sdx_status status = p.uses ? pack_nodes(&p) : SDX_OUT_OF_MEMORY;
    sdx_arena_release(&scratch);
    return status;
}

sdx_status sdx_pass_pack(sdx_model *model, sdx_error *error) { return pack_graph(model->graph, error); }
