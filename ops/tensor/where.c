/* SPDX-License-Identifier: Apache-2.0
 * Where: output = condition ? X : Y, all three broadcast. Elements are moved as bytes. */
#include "ops/grad.h"
#include "ops/math/elementwise.h"

static sdx_status where_infer(sdx_infer *infer, const void *params) {
    (void)params;
    return sdx_infer_broadcast(infer, 0, 0, 2);
}

static void where_piece(const void *context, int64_t n, void *const *at, const int64_t *step) {
    const sdx_select_fn *select = context;
    (*select)(at[1], step[1], at[2], step[2], at[3], step[3], at[0], n);
}

static sdx_status where_compute(sdx_compute *compute, const void *params) {
    (void)params;
    int rank = 0;
    int64_t dims[SDX_MAX_RANK];
    SDX_TRY(sdx_broadcast_dims(compute, 0, 2, &rank, dims));
    sdx_tensor *y = sdx_compute_output(compute, 0, rank, dims);
    if (!y) return compute->error->status;
    sdx_select_fn select = compute->kernels->select(sdx_dtype_size(y->dtype));
    sdx_loop loop;
    sdx_loop_begin(&loop, y, y->dtype);
    for (int k = 0; k < 3; k++) sdx_loop_add(&loop, compute->in[k], compute->in[k]->dtype);
    return sdx_loop_run(compute, &loop, SDX_GRAIN_CHEAP, where_piece, &select);
}

static sdx_status where_grad(sdx_grad *grad, const void *params) {
    (void)params;
    const sdx_id condition = grad->node->in[0], dY = grad->dY[0],
                 zero = sdx_grad_scalar(grad->patch, grad->node->in[1], 0);
    if (grad->needed[1]) grad->dX[1] = sdx_emit3(grad->patch, "Where", condition, dY, zero);
    if (grad->needed[2]) grad->dX[2] = sdx_emit3(grad->patch, "Where", condition, zero, dY);
    return grad->patch->status;
}

#define WHERE "condition:B X:T Y:T -> output:T"
const sdx_op sdx_op_Where = {
    .domain = "",
    .name = "Where",
    .versions = (const sdx_op_version[]){{9, WHERE, "B=bool T=" SDX_T_ALL, ""},
                                         {16, WHERE, "B=bool T=" SDX_T_ALL_BF, ""},
                                         {0, NULL, NULL, NULL}},
    .infer = where_infer,
    .compute = where_compute,
    .grad = where_grad,
    .flags = SDX_OP_INPLACE,
};
