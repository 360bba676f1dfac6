/* SPDX-License-Identifier: Apache-2.0
 * SpaceToDepth: blocks of pixels become channels: the reverse of DepthToSpace. */
#include "ops/tensor/blocks.h"

static sdx_status space_to_depth_infer(sdx_infer *infer, const void *params) {
    return sdx_blocks_infer(infer, params, false);
}

static sdx_status space_to_depth_compute(sdx_compute *compute, const void *params) {
    const sdx_blocks_params *p = params;
    const int64_t *in = compute->in[0]->dim;
    int64_t b = p->size, c = in[1], h = in[2] / b, w = in[3] / b, dims[4] = {in[0], c * b * b, h, w};
    sdx_tensor *out = sdx_compute_output(compute, 0, 4, dims);
    if (!out) return compute->error->status;
    int64_t plane = in[2] * in[3], row = in[3], column = 1;
    sdx_move move = {
        .size = sdx_dtype_size(out->dtype), .rank = 6, .source = compute->in[0]->data, .target = out->data};
    /* n, then row, column, channel (DCR) or channel, row, column (CRD), h, w */
    const int64_t dcr[6] = {in[0], b, b, c, h, w}, crd[6] = {in[0], c, b, b, h, w};
    const int64_t dcr_from[6] = {c * plane, row, column, plane, row * b, b};
    const int64_t crd_from[6] = {c * plane, plane, row, column, row * b, b};
    memcpy(move.dim, p->crd ? crd : dcr, sizeof dcr);
    memcpy(move.from, p->crd ? crd_from : dcr_from, sizeof dcr_from);
    sdx_strides(6, move.dim, move.to);
    return sdx_move_run(compute, &move);
}

static sdx_status space_to_depth_grad(sdx_grad *grad, const void *params) {
    return sdx_blocks_gradient(grad, "DepthToSpace", params);
}

const sdx_op sdx_op_SpaceToDepth = {
    .domain = "",
    .name = "SpaceToDepth",
    .versions =
        (const sdx_op_version[]){
            {1, "input:T -> output:T", "T=" SDX_T_ALL, "blocksize:int!"},
            {13, "input:T -> output:T", "T=" SDX_T_ALL_BF, "blocksize:int!"},
            {28, "input:T -> output:T", "T=" SDX_T_ALL_BF, "blocksize:int! mode:string=DCR"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_blocks_params),
    .bind = sdx_blocks_bind,
    .infer = space_to_depth_infer,
    .compute = space_to_depth_compute,
    .grad = space_to_depth_grad,
};
