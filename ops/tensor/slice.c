/* SPDX-License-Identifier: Apache-2.0
 * Slice: starts, ends and steps as numpy counts them: negative ones from the end, out-of-range ones clamped.
 * Version 1 had attributes. */
#include "ops/grad.h"
#include "ops/move.h"
#include <inttypes.h>

static sdx_status slice_upgrade(sdx_patch *patch, const sdx_node *node) {
    if (node->version->since >= 10) return SDX_OK;
    const sdx_attr *starts = sdx_node_attr(node, "starts"), *ends = sdx_node_attr(node, "ends");
    const sdx_attr *axes = sdx_node_attr(node, "axes");
    if (!starts || !ends) return SDX_OK; /* reported when the node is bound */
    sdx_id in[4] = {node->in[0], sdx_patch_i64s(patch, starts->ints, starts->n),
                    sdx_patch_i64s(patch, ends->ints, ends->n), SDX_NONE};
    if (axes) in[3] = sdx_patch_i64s(patch, axes->ints, axes->n);
    sdx_node *newest = sdx_patch_node(patch, "", "Slice", axes ? 4 : 3, in, 1);
    sdx_patch_replace(patch, node->out[0], newest->out[0]);
    sdx_patch_remove(patch, node);
    return patch->status;
}

/* The four lists; n entries each. n -1: not known. */
typedef struct slice_lists {
    int n;
    int64_t starts[SDX_MAX_RANK], ends[SDX_MAX_RANK], axes[SDX_MAX_RANK], steps[SDX_MAX_RANK];
} slice_lists;

typedef struct slice_range {
    int64_t start, step, length;
} slice_range;

static slice_range slice_axis(int64_t n, int64_t start, int64_t end, int64_t step) {
    slice_range range = {.step = step};
    int64_t low = step < 0 ? -1 : 0, high = step < 0 ? n - 1 : n;
    if (start < 0) start += n;
    if (end < 0) end += n;
    range.start = start < low ? low : start > high ? high : start;
    end = end < low ? low : end > high ? high : end;
    uint64_t span = step < 0 ? (uint64_t)(range.start - end) : (uint64_t)(end - range.start);
    uint64_t stride = step < 0 ? 0 - (uint64_t)step : (uint64_t)step;
    if (step < 0 ? range.start > end : end > range.start) range.length = (int64_t)((span - 1) / stride + 1);
    return range;
}

static sdx_status check_lists(sdx_error *error, slice_lists *lists, int n_ends, int n_axes, int n_steps, int rank) {
    static const char *const names[] = {"ends", "axes", "steps"};
    const int counts[] = {n_ends, n_axes, n_steps};
    for (int i = 0; i < 3; i++)
        if (counts[i] != lists->n)
            return sdx_fail(error, SDX_SHAPE, "input '%s' has %d entries; input 'starts' has %d", names[i], counts[i],
                            lists->n);
    for (int i = 0; i < lists->n; i++)
        if (lists->steps[i] == 0) return sdx_fail(error, SDX_VALUE, "entry %d of input 'steps' is 0", i);
    return sdx_check_axes(error, "axes", lists->axes, lists->n, rank);
}

static void default_lists(slice_lists *lists) {
    for (int i = 0; i < SDX_MAX_RANK; i++) {
        lists->axes[i] = i;
        lists->steps[i] = 1;
    }
}

static sdx_status slice_infer(sdx_infer *infer, const void *params) {
    (void)params;
    slice_lists lists;
    int n_ends, n_axes, n_steps, rank = sdx_infer_rank_of(infer, 0);
    sdx_type *out = &infer->out[0];
    bool axes = infer->n_in > 3 && infer->in[3], steps = infer->n_in > 4 && infer->in[4];
    default_lists(&lists);
    SDX_TRY(sdx_infer_i64s(infer, 1, "starts", lists.starts, SDX_MAX_RANK, &lists.n));
    SDX_TRY(sdx_infer_i64s(infer, 2, "ends", lists.ends, SDX_MAX_RANK, &n_ends));
    if (axes)
        SDX_TRY(sdx_infer_i64s(infer, 3, "axes", lists.axes, SDX_MAX_RANK, &n_axes));
    else
        n_axes = lists.n;
    if (steps)
        SDX_TRY(sdx_infer_i64s(infer, 4, "steps", lists.steps, SDX_MAX_RANK, &n_steps));
    else
        n_steps = lists.n;
    if (rank < 0) return SDX_OK;
    sdx_infer_same(infer, 0, 0);
    if (lists.n < 0 || n_ends < 0 || n_axes < 0 || n_steps < 0) {
        for (int d = 0; d < rank; d++) out->dim[d] = -1;
        return SDX_OK;
    }
    SDX_TRY(check_lists(infer->error, &lists, n_ends, n_axes, n_steps, rank));
    for (int i = 0; i < lists.n; i++) {
        int64_t *dim = &out->dim[lists.axes[i]];
        bool whole = lists.starts[i] == 0 && lists.ends[i] >= INT32_MAX && lists.steps[i] == 1;
        if (*dim < 0)
            *dim = whole ? *dim : -1;
        else
            *dim = slice_axis(*dim, lists.starts[i], lists.ends[i], lists.steps[i]).length;
    }
    return SDX_OK;
}

/* The inputs from `first` on, for a tensor of this rank. */
static sdx_status read_lists(sdx_compute *compute, int first, int rank, slice_lists *lists) {
    sdx_error *error = compute->error;
    const sdx_tensor *axes = first + 2 < compute->n_in ? compute->in[first + 2] : NULL;
    const sdx_tensor *steps = first + 3 < compute->n_in ? compute->in[first + 3] : NULL;
    int n_ends = 0;
    default_lists(lists);
    SDX_TRY(sdx_read_i64s(error, "starts", compute->in[first], lists->starts, SDX_MAX_RANK, &lists->n));
    SDX_TRY(sdx_read_i64s(error, "ends", compute->in[first + 1], lists->ends, SDX_MAX_RANK, &n_ends));
    int n_axes = lists->n, n_steps = lists->n;
    if (axes) SDX_TRY(sdx_read_i64s(error, "axes", axes, lists->axes, SDX_MAX_RANK, &n_axes));
    if (steps) SDX_TRY(sdx_read_i64s(error, "steps", steps, lists->steps, SDX_MAX_RANK, &n_steps));
    return check_lists(error, lists, n_ends, n_axes, n_steps, rank);
}

static sdx_status slice_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_tensor *in = compute->in[0];
    slice_lists lists;
    int64_t dims[SDX_MAX_RANK], offset = 0;
    sdx_move move;
    SDX_TRY(read_lists(compute, 1, in->rank, &lists));
    memcpy(dims, in->dim, sizeof dims);
    sdx_strides(in->rank, in->dim, move.from);
    for (int i = 0; i < lists.n; i++) {
        int64_t d = lists.axes[i];
        slice_range range = slice_axis(in->dim[d], lists.starts[i], lists.ends[i], lists.steps[i]);
        dims[d] = range.length;
        if (range.length == 0) continue;
        offset += range.start * move.from[d];
        move.from[d] = range.length == 1 ? 0 : move.from[d] * range.step; /* an extreme step of one element */
    }
    sdx_tensor *out = sdx_compute_output(compute, 0, in->rank, dims);
    if (!out) return compute->error->status;
    if (out->count == 0) return SDX_OK;
    sdx_move_into(&move, in, out);
    move.source = (const char *)in->data + (size_t)offset * move.size;
    return sdx_move_run(compute, &move);
}

/* A node that reads `head`, then the lists of a Slice. */
static sdx_node *emit_lists(sdx_patch *patch, const char *domain, const char *op_type, int n, const sdx_id *head,
                            int n_lists, const sdx_id *lists) {
    sdx_id in[6];
    for (int k = 0; k < n; k++) in[k] = head[k];
    for (int k = 0; k < n_lists; k++) in[n + k] = lists[k];
    return sdx_patch_node(patch, domain, op_type, n + n_lists, in, 1);
}

static sdx_status slice_grad(sdx_grad *grad, const void *params) {
    (void)params;
    const sdx_node *node = grad->node;
    sdx_id head[2] = {grad->dY[0], sdx_emit1(grad->patch, "Shape", node->in[0])};
    grad->exact = true;
    grad->dX[0] = emit_lists(grad->patch, "sdx", "SliceGrad", 2, head, node->n_in - 1, node->in + 1)->out[0];
    return grad->patch->status;
}

const sdx_op sdx_op_Slice = {
    .domain = "",
    .name = "Slice",
    .versions =
        (const sdx_op_version[]){
            {1, "data:T -> output:T", "T=" SDX_T_ALL, "axes:ints ends:ints! starts:ints!"},
            {10, "data:T starts:Tind ends:Tind axes:Tind? steps:Tind? -> output:T", "T=" SDX_T_ALL " Tind=i32|i64", ""},
            {11, "data:T starts:Tind ends:Tind axes:Tind? steps:Tind? -> output:T", "T=" SDX_T_ALL " Tind=i32|i64", ""},
            {13, "data:T starts:Tind ends:Tind axes:Tind? steps:Tind? -> output:T", "T=" SDX_T_ALL_BF " Tind=i32|i64",
             ""},
            {0, NULL, NULL, NULL},
        },
    .upgrade = slice_upgrade,
    .infer = slice_infer,
    .compute = slice_compute,
    .grad = slice_grad,
};

/* ---- SliceGrad: zeros of this shape with dY where the slice was ---- */

static sdx_status slice_grad_infer(sdx_infer *infer, const void *params) {
    (void)params;
    int64_t shape[SDX_MAX_RANK];
    int n = -1;
    sdx_type *out = &infer->out[0];
    SDX_TRY(sdx_infer_i64s(infer, 1, "shape", shape, SDX_MAX_RANK, &n));
    out->rank = n >= 0 ? n : sdx_infer_rank_of(infer, 0);
    for (int d = 0; d < out->rank; d++) out->dim[d] = n >= 0 ? shape[d] : -1;
    return SDX_OK;
}

static sdx_status slice_grad_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_tensor *dY = compute->in[0];
    slice_lists lists;
    int64_t shape[SDX_MAX_RANK], target = 0, source = 0;
    int rank = 0;
    sdx_move move = {.rank = dY->rank, .size = sdx_dtype_size(dY->dtype)};
    SDX_TRY(sdx_read_i64s(compute->error, "shape", compute->in[1], shape, SDX_MAX_RANK, &rank));
    SDX_TRY(read_lists(compute, 2, rank, &lists));
    sdx_tensor *dX = sdx_compute_output(compute, 0, rank, shape);
    if (!dX) return compute->error->status;
    memset(dX->data, 0, sdx_tensor_bytes(dX));
    sdx_strides(rank, dX->dim, move.to);
    sdx_strides(dY->rank, dY->dim, move.from);
    memcpy(move.dim, dY->dim, sizeof dY->dim);
    bool same = rank == dY->rank;
    for (int i = 0; i < lists.n && same; i++) {
        int64_t d = lists.axes[i];
        slice_range range = slice_axis(dX->dim[d], lists.starts[i], lists.ends[i], lists.steps[i]);
        same = range.length == dY->dim[d];
        if (range.length <= 1) {
            target += range.length ? range.start * move.to[d] : 0;
            continue;
        }
        /* a falling slice is read from its end */
        target += (range.step > 0 ? range.start : range.start + (range.length - 1) * range.step) * move.to[d];
        source += range.step > 0 ? 0 : (range.length - 1) * move.from[d];
        move.to[d] *= range.step > 0 ? range.step : -range.step;
        move.from[d] = range.step > 0 ? move.from[d] : -move.from[d];
    }
    if (!same) return sdx_fail(compute->error, SDX_SHAPE, "input 'dY' has not the shape of the slice");
    if (dY->count == 0) return SDX_OK;
    move.source = (const char *)dY->data + source * (int64_t)move.size;
    move.target = (char *)dX->data + target * (int64_t)move.size;
    return sdx_move_run(compute, &move);
}

static sdx_status slice_grad_grad(sdx_grad *grad, const void *params) {
    (void)params;
    const sdx_node *node = grad->node;
    grad->exact = true;
    grad->dX[0] = emit_lists(grad->patch, "", "Slice", 1, grad->dY, node->n_in - 2, node->in + 2)->out[0];
    return grad->patch->status;
}

static sdx_status slice_grad_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    (void)params;
    const sdx_id dY = node->in[0], shape = node->in[1], places = sdx_grad_places(patch, shape);
    const sdx_node *moved = emit_lists(patch, "", "Slice", 1, &places, node->n_in - 2, node->in + 2);
    sdx_dtype dtype = sdx_grad_type(patch, dY)->dtype;
    sdx_patch_replace(patch, node->out[0], sdx_grad_put(patch, shape, dtype, moved->out[0], dY));
    sdx_patch_remove(patch, node);
    return patch->status;
}

const sdx_op sdx_op_SliceGrad = {
    .domain = "sdx",
    .name = "SliceGrad",
    .versions = (const sdx_op_version[]){{1, "dY:T shape:i64 starts:Tind ends:Tind axes:Tind? steps:Tind? -> dX:T",
                                          "T=" SDX_T_FLOAT_BF "|c64|c128 Tind=i32|i64", ""},
                                         {0, NULL, NULL, NULL}},
    .infer = slice_grad_infer,
    .compute = slice_grad_compute,
    .grad = slice_grad_grad,
    .expand = slice_grad_expand,
    .flags = SDX_OP_INTERNAL,
};
