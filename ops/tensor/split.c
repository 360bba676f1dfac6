/* SPDX-License-Identifier: Apache-2.0
 * Split along `axis`: lengths in 'split', else equal parts; since 18 the last of num_outputs parts may be shorter.
 * Until 11 'split' was an attribute; version 1 also had an input of it, of the data's type. */
#include "ops/grad.h"
#include "ops/move.h"
#include <inttypes.h>

typedef struct split_params {
    int64_t axis, parts; /* parts: how many equal ones without 'split' */
    bool uneven;         /* the last may be shorter */
} split_params;

static sdx_status split_upgrade(sdx_patch *patch, const sdx_node *node) {
    const sdx_attr *split = sdx_node_attr(node, "split"), *axis = sdx_node_attr(node, "axis");
    bool input = node->n_in > 1 && node->in[1] != SDX_NONE;
    if (node->version->since >= 13 || (!split && !input)) return SDX_OK;
    sdx_id in[2] = {node->in[0], SDX_NONE};
    if (input) {
        sdx_node *cast = sdx_patch_node(patch, "", "Cast", 1, &node->in[1], 1);
        sdx_patch_int(patch, cast, "to", SDX_I64);
        in[1] = cast->out[0];
    } else {
        in[1] = sdx_patch_i64s(patch, split->ints, split->n);
    }
    sdx_node *newest = sdx_patch_node(patch, "", "Split", 2, in, node->n_out);
    sdx_patch_int(patch, newest, "axis", axis ? axis->i : 0);
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE) sdx_patch_replace(patch, node->out[k], newest->out[k]);
    sdx_patch_remove(patch, node);
    return patch->status;
}

static sdx_status split_bind(sdx_bind *bind, void *params) {
    split_params *p = params;
    const sdx_node *node = bind->node;
    p->axis = sdx_bind_int(bind, "axis");
    p->parts = node->n_out;
    if (bind->since < 18 || !sdx_bind_has(bind, "num_outputs")) return bind->status;
    p->parts = sdx_bind_int(bind, "num_outputs");
    p->uneven = true;
    if (node->n_in > 1 && node->in[1] != SDX_NONE)
        return sdx_bind_fail(bind, SDX_VALUE, "both attribute 'num_outputs' and input 'split' are given; one may be");
    if (p->parts < 1 || p->parts < node->n_out)
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'num_outputs' is %" PRId64 "; the node has %d outputs",
                             p->parts, node->n_out);
    return bind->status;
}

/* Length of part k without 'split'. */
static sdx_status part_length(sdx_error *error, const split_params *p, int64_t n, int k, int64_t *length) {
    int64_t each = p->uneven ? n / p->parts + (n % p->parts != 0) : n / p->parts;
    if (!p->uneven && n % p->parts)
        return sdx_fail(error, SDX_SHAPE,
                        "dimension %" PRId64 " of input 'input' is %" PRId64 "; it must be a multiple of the %" PRId64
                        " outputs",
                        p->axis, n, p->parts);
    int64_t left = n - each * k;
    *length = left < 0 ? 0 : left < each ? left : each;
    return SDX_OK;
}

static sdx_status check_lengths(sdx_error *error, const sdx_tensor *split, int n_out, int64_t n) {
    int64_t sum = 0;
    if (split->count < n_out)
        return sdx_fail(error, SDX_SHAPE, "input 'split' has %" PRId64 " entries; the node has %d outputs",
                        split->count, n_out);
    for (int64_t k = 0; k < split->count; k++) {
        int64_t length = sdx_index_at(split, k);
        if (length < 0)
            return sdx_fail(error, SDX_VALUE, "entry %" PRId64 " of input 'split' is %" PRId64 "; it must be >= 0", k,
                            length);
        if (__builtin_add_overflow(sum, length, &sum)) sum = INT64_MAX;
    }
    if (n >= 0 && sum != n)
        return sdx_fail(error, SDX_SHAPE,
                        "the entries of input 'split' sum to %" PRId64 "; the dimension to split is %" PRId64, sum, n);
    return SDX_OK;
}

static sdx_status split_infer(sdx_infer *infer, const void *params) {
    const split_params *p = params;
    int rank = sdx_infer_rank_of(infer, 0), axis = 0;
    bool given = infer->n_in > 1 && infer->in[1];
    const sdx_tensor *split = given ? infer->value[1] : NULL;
    if (given) SDX_TRY(sdx_infer_rank(infer, 1, "split", 1));
    if (rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_axis(infer, "axis", p->axis, rank, &axis));
    int64_t n = infer->in[0]->dim[axis];
    if (split) SDX_TRY(check_lengths(infer->error, split, infer->n_out, n));
    for (int k = 0; k < infer->n_out; k++) {
        int64_t length = split ? sdx_index_at(split, k) : -1;
        if (!given && n >= 0) SDX_TRY(part_length(infer->error, p, n, k, &length));
        sdx_infer_same(infer, k, 0);
        infer->out[k].dim[axis] = length;
    }
    return SDX_OK;
}

static sdx_status split_compute(sdx_compute *compute, const void *params) {
    const split_params *p = params;
    const sdx_tensor *in = compute->in[0], *split = compute->n_in > 1 ? compute->in[1] : NULL;
    int axis = sdx_axis_of(p->axis, in->rank);
    int64_t dims[SDX_MAX_RANK], at = 0, inner = sdx_dims_product(in->dim, axis + 1, in->rank);
    size_t size = sdx_dtype_size(in->dtype);
    memcpy(dims, in->dim, sizeof dims);
    if (split) SDX_TRY(check_lengths(compute->error, split, compute->n_out, in->dim[axis]));
    for (int k = 0; k < compute->n_out; k++, at += dims[axis]) {
        if (split)
            dims[axis] = sdx_index_at(split, k);
        else
            SDX_TRY(part_length(compute->error, p, in->dim[axis], k, &dims[axis]));
        if (!compute->wanted[k]) continue;
        sdx_tensor *out = sdx_compute_output(compute, k, in->rank, dims);
        if (!out) return compute->error->status;
        int64_t run = dims[axis] * inner;
        sdx_move move = {.size = size,
                         .rank = 2,
                         .dim = {sdx_dims_product(dims, 0, axis), run},
                         .from = {in->dim[axis] * inner, 1},
                         .to = {run, 1},
                         .source = (const char *)in->data + (size_t)(at * inner) * size,
                         .target = out->data};
        SDX_TRY(sdx_move_run(compute, &move));
    }
    return SDX_OK;
}

/* Whether the parts the node gives may not be all of the input: the last ones are not among its outputs. */
static bool may_leave_out(const sdx_grad *grad, const split_params *p) {
    const sdx_id split = sdx_grad_in(grad, 1);
    if (split == SDX_NONE) return grad->node->n_out < p->parts;
    const sdx_type *lengths = sdx_grad_type(grad->patch, split);
    return lengths->rank != 1 || lengths->dim[0] != grad->node->n_out;
}

/* Zeros behind `parts`, as far as the input goes. */
static sdx_id lengthened(sdx_grad *grad, const split_params *p, sdx_id parts) {
    sdx_patch *patch = grad->patch;
    const sdx_id axis = sdx_patch_i64s(patch, &p->axis, 1);
    sdx_id whole = sdx_emit2(patch, "Gather", sdx_emit1(patch, "Shape", grad->node->in[0]), axis);
    sdx_id left = sdx_emit2(patch, "Sub", whole, sdx_emit2(patch, "Gather", sdx_emit1(patch, "Shape", parts), axis));
    sdx_id pads = sdx_emit_int(patch, "Concat", sdx_patch_i64s(patch, (int64_t[]){0}, 1), left, "axis", 0);
    return sdx_patch_node(patch, "", "Pad", 4, (sdx_id[]){parts, pads, SDX_NONE, axis}, 1)->out[0];
}

/* The gradients of the parts in a row; zeros where none flows. */
static sdx_status split_grad(sdx_grad *grad, const void *params) {
    const split_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_node *node = grad->node;
    sdx_id *parts = SDX_NEW_ARRAY(patch->graph->arena, sdx_id, node->n_out, grad->error);
    if (!parts) return grad->error->status;
    const sdx_node *twin = node; /* with all outputs, for their shapes */
    for (int k = 0; k < node->n_out; k++) {
        if (twin != node || node->out[k] != SDX_NONE) continue;
        sdx_node *whole = sdx_patch_node(patch, "", "Split", node->n_in, node->in, node->n_out);
        sdx_patch_attrs_of(patch, whole, node, NULL, 0);
        if (patch->status) return patch->status;
        twin = whole;
    }
    for (int k = 0; k < node->n_out; k++) {
        sdx_id shape = grad->dY[k] == SDX_NONE ? sdx_emit1(patch, "Shape", twin->out[k]) : SDX_NONE;
        parts[k] =
            shape == SDX_NONE ? grad->dY[k] : sdx_emit2(patch, "Expand", sdx_grad_scalar(patch, node->in[0], 0), shape);
    }
    sdx_node *row = sdx_patch_node(patch, "", "Concat", node->n_out, parts, 1);
    sdx_patch_int(patch, row, "axis", p->axis);
    grad->exact = true;
    grad->dX[0] = may_leave_out(grad, p) ? lengthened(grad, p, row->out[0]) : row->out[0];
    return patch->status;
}

const sdx_op sdx_op_Split = {
    .domain = "",
    .name = "Split",
    .versions =
        (const sdx_op_version[]){
            {1, "input:T split:T? -> outputs...:T*", "T=" SDX_T_FLOAT, "axis:int split:ints"},
            {2, "input:T -> outputs:T*", "T=" SDX_T_ALL, "axis:int=0 split:ints"},
            {11, "input:T -> outputs:T*", "T=" SDX_T_ALL, "axis:int=0 split:ints"},
            {13, "input:T split:i64? -> outputs:T*", "T=" SDX_T_ALL_BF, "axis:int=0"},
            {18, "input:T split:i64? -> outputs:T*", "T=" SDX_T_ALL_BF, "axis:int=0 num_outputs:int"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(split_params),
    .upgrade = split_upgrade,
    .bind = split_bind,
    .infer = split_infer,
    .compute = split_compute,
    .grad = split_grad,
};
