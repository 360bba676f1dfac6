/* SPDX-License-Identifier: Apache-2.0
 * Slice: starts, ends and steps as numpy counts them: negative ones from the end, out-of-range ones clamped.
 * Version 1 had attributes. */
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

static sdx_status read_lists(sdx_compute *compute, slice_lists *lists) {
    sdx_error *error = compute->error;
    int n_ends = 0;
    default_lists(lists);
    SDX_TRY(sdx_read_i64s(error, "starts", compute->in[1], lists->starts, SDX_MAX_RANK, &lists->n));
    SDX_TRY(sdx_read_i64s(error, "ends", compute->in[2], lists->ends, SDX_MAX_RANK, &n_ends));
    int n_axes = lists->n, n_steps = lists->n;
    if (compute->n_in > 3 && compute->in[3])
        SDX_TRY(sdx_read_i64s(error, "axes", compute->in[3], lists->axes, SDX_MAX_RANK, &n_axes));
    if (compute->n_in > 4 && compute->in[4])
        SDX_TRY(sdx_read_i64s(error, "steps", compute->in[4], lists->steps, SDX_MAX_RANK, &n_steps));
    return check_lists(error, lists, n_ends, n_axes, n_steps, compute->in[0]->rank);
}

static sdx_status slice_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_tensor *in = compute->in[0];
    slice_lists lists;
    int64_t dims[SDX_MAX_RANK], offset = 0;
    sdx_move move;
    SDX_TRY(read_lists(compute, &lists));
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
};
