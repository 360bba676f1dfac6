/* SPDX-License-Identifier: Apache-2.0
 * SumTo: undoes numpy broadcasting. Y has the dims in `shape`; along each axis where they are 1, or missing in front, X
 * is summed. What gradients need where the dims are not known before run time. */
#include "ops/grad.h"
#include "ops/move.h"
#include "ops/reduction/reduce.h"
#include <inttypes.h>

static sdx_status sum_to_check(sdx_error *error, const sdx_type *x, int n, const int64_t *dims) {
    if (n > x->rank)
        return sdx_fail(error, SDX_SHAPE, "input 'shape' has %d entries; input 'X' has rank %d", n, x->rank);
    for (int d = 0; d < n; d++) {
        int64_t have = x->dim[x->rank - n + d];
        if (dims[d] != 1 && have >= 0 && dims[d] != have)
            return sdx_fail(error, SDX_SHAPE,
                            "entry %d of input 'shape' is %" PRId64 "; it must be 1 or %" PRId64 ", as in input 'X'", d,
                            dims[d], have);
    }
    return SDX_OK;
}

static sdx_status sum_to_infer(sdx_infer *infer, const void *params) {
    (void)params;
    int64_t dims[SDX_MAX_RANK];
    int n = -1;
    sdx_type *y = &infer->out[0];
    SDX_TRY(sdx_infer_rank(infer, 1, "shape", 1));
    SDX_TRY(sdx_infer_i64s(infer, 1, "shape", dims, SDX_MAX_RANK, &n));
    bool known = n >= 0;
    if (!known && sdx_infer_rank_of(infer, 1) == 1 && infer->in[1]->dim[0] <= SDX_MAX_RANK)
        n = (int)infer->in[1]->dim[0];
    if (n < 0) return SDX_OK;
    if (known && sdx_infer_rank_of(infer, 0) >= 0) SDX_TRY(sum_to_check(infer->error, infer->in[0], n, dims));
    y->rank = n;
    for (int d = 0; d < n; d++) y->dim[d] = known ? dims[d] : -1;
    return SDX_OK;
}

static sdx_status sum_to_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_tensor *x = compute->in[0];
    const sdx_type type = sdx_type_of_tensor(x);
    int64_t dims[SDX_MAX_RANK];
    bool reduced[SDX_MAX_RANK], any = false;
    int n = 0;
    SDX_TRY(sdx_read_i64s(compute->error, "shape", compute->in[1], dims, SDX_MAX_RANK, &n));
    SDX_TRY(sum_to_check(compute->error, &type, n, dims));
    sdx_tensor *y = sdx_compute_output(compute, 0, n, dims);
    if (!y) return compute->error->status;
    for (int d = 0; d < x->rank; d++) {
        reduced[d] = d < x->rank - n || dims[d - (x->rank - n)] != x->dim[d];
        any = any || reduced[d];
    }
    return any ? sdx_reduce_run(compute, SDX_REDUCE_SUM, x, reduced, y) : sdx_move_all(compute, x, y);
}

static sdx_status sum_to_grad(sdx_grad *grad, const void *params) {
    (void)params;
    grad->dX[0] = sdx_emit2(grad->patch, "Expand", grad->dY[0], sdx_emit1(grad->patch, "Shape", grad->node->in[0]));
    return grad->patch->status;
}

/* The axes of the sum are those where the shape, ones put in front, differs from that of X. */
static sdx_status sum_to_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    (void)params;
    sdx_id X = node->in[0], shape = node->in[1], have = sdx_emit1(patch, "Shape", X);
    sdx_id missing = sdx_emit2(patch, "Sub", sdx_emit1(patch, "Shape", have), sdx_emit1(patch, "Shape", shape));
    sdx_id ones = sdx_emit2(patch, "Expand", sdx_patch_scalar(patch, SDX_I64, 1), missing);
    sdx_id want = sdx_emit_int(patch, "Concat", ones, shape, "axis", 0);
    sdx_id differs = sdx_emit1(patch, "NonZero", sdx_emit1(patch, "Not", sdx_emit2(patch, "Equal", want, have)));
    sdx_id axes = sdx_emit2(patch, "Squeeze", differs, sdx_patch_i64s(patch, (int64_t[]){0}, 1));
    sdx_node *sum = sdx_patch_node(patch, "", "ReduceSum", 2, (sdx_id[]){X, axes}, 1);
    sdx_patch_int(patch, sum, "noop_with_empty_axes", 1);
    sdx_patch_replace(patch, node->out[0], sdx_emit_int(patch, "Reshape", sum->out[0], shape, "allowzero", 1));
    sdx_patch_remove(patch, node);
    return patch->status;
}

const sdx_op sdx_op_SumTo = {
    .domain = "sdx",
    .name = "SumTo",
    .versions = (const sdx_op_version[]){{1, "X:T shape:i64 -> Y:T", "T=" SDX_T_FLOAT_BF "|i32|i64|u32|u64", ""}, {0}},
    .infer = sum_to_infer,
    .compute = sum_to_compute,
    .grad = sum_to_grad,
    .expand = sum_to_expand,
    .flags = SDX_OP_INTERNAL | SDX_OP_INPLACE};
