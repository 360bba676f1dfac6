/* SPDX-License-Identifier: Apache-2.0
 * Transpose: dimension d of the result is dimension perm[d] of the input; without perm the order is reversed. */
#include "ops/grad.h"
#include "ops/move.h"
#include <inttypes.h>

typedef struct transpose_params {
    sdx_ints perm;
    bool given;
} transpose_params;

static sdx_status transpose_bind(sdx_bind *bind, void *params) {
    transpose_params *p = params;
    p->perm = sdx_bind_ints(bind, "perm");
    p->given = sdx_bind_has(bind, "perm");
    return bind->status;
}

static sdx_status transpose_infer(sdx_infer *infer, const void *params) {
    const transpose_params *p = params;
    sdx_type *out = &infer->out[0];
    int rank = sdx_infer_rank_of(infer, 0);
    uint32_t seen = 0;
    if (rank < 0) return SDX_OK;
    if (p->given && p->perm.n != (size_t)rank)
        return sdx_fail(infer->error, SDX_SHAPE, "attribute 'perm' has %zu entries; input 'data' has rank %d",
                        p->perm.n, rank);
    for (int d = 0; d < rank; d++) {
        int64_t from = p->given ? p->perm.data[d] : rank - 1 - d;
        if (from < 0 || from >= rank)
            return sdx_fail(infer->error, SDX_VALUE,
                            "entry %d of attribute 'perm' is %" PRId64 "; it must be in [0, %d]", d, from, rank - 1);
        if (seen >> from & 1)
            return sdx_fail(infer->error, SDX_VALUE, "attribute 'perm' names axis %" PRId64 " twice", from);
        seen |= 1u << from;
        out->dim[d] = infer->in[0]->dim[from];
    }
    out->rank = rank;
    return SDX_OK;
}

static sdx_status transpose_compute(sdx_compute *compute, const void *params) {
    const transpose_params *p = params;
    const sdx_tensor *in = compute->in[0];
    int64_t dims[SDX_MAX_RANK], stride[SDX_MAX_RANK];
    sdx_move move;
    sdx_strides(in->rank, in->dim, stride);
    for (int d = 0; d < in->rank; d++) {
        int64_t from = p->given ? p->perm.data[d] : in->rank - 1 - d;
        dims[d] = in->dim[from];
        move.from[d] = stride[from];
    }
    sdx_tensor *out = sdx_compute_output(compute, 0, in->rank, dims);
    if (!out) return compute->error->status;
    sdx_move_into(&move, in, out);
    return sdx_move_run(compute, &move);
}

/* The inverse permutation. */
static sdx_status transpose_grad(sdx_grad *grad, const void *params) {
    const transpose_params *p = params;
    int64_t inverse[SDX_MAX_RANK] = {0};
    sdx_node *back = sdx_patch_node(grad->patch, "", "Transpose", 1, &grad->dY[0], 1);
    for (size_t d = 0; p->given && d < p->perm.n; d++) inverse[p->perm.data[d]] = (int64_t)d;
    if (p->given) sdx_patch_ints(grad->patch, back, "perm", inverse, p->perm.n);
    grad->exact = true;
    grad->dX[0] = back->out[0];
    return grad->patch->status;
}

const sdx_op sdx_op_Transpose = {
    .domain = "",
    .name = "Transpose",
    .versions =
        (const sdx_op_version[]){
            {1, "data:T -> transposed:T", "T=" SDX_T_ALL, "perm:ints"},
            {13, "data:T -> transposed:T", "T=" SDX_T_ALL_BF, "perm:ints"},
            {21, "data:T -> transposed:T", "T=" SDX_T_ALL_IR10, "perm:ints"},
            {23, "data:T -> transposed:T", "T=" SDX_T_ALL_IR11, "perm:ints"},
            {24, "data:T -> transposed:T", "T=" SDX_T_ALL_IR12, "perm:ints"},
            {25, "data:T -> transposed:T", "T=" SDX_T_ALL_IR13, "perm:ints"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(transpose_params),
    .bind = transpose_bind,
    .infer = transpose_infer,
    .compute = transpose_compute,
    .grad = transpose_grad,
};
