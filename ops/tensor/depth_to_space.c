/* SPDX-License-Identifier: Apache-2.0
 * DepthToSpace: channels become blocks of pixels: a transpose of six dimensions. DCR: the block's row and column are
 * the outer part of the channel, CRD: the inner. */
#include "ops/tensor/blocks.h"

static sdx_status depth_to_space_infer(sdx_infer *infer, const void *params) {
    return sdx_blocks_infer(infer, params, true);
}

static sdx_status depth_to_space_compute(sdx_compute *compute, const void *params) {
    const sdx_blocks_params *p = params;
    const int64_t *in = compute->in[0]->dim;
    int64_t b = p->size, c = in[1] / (b * b), dims[4] = {in[0], c, in[2] * b, in[3] * b};
    sdx_tensor *out = sdx_compute_output(compute, 0, 4, dims);
    if (!out) return compute->error->status;
    int64_t plane = in[2] * in[3];
    int64_t channel = p->crd ? b * b * plane : plane, row = p->crd ? b * plane : b * c * plane;
    int64_t column = p->crd ? plane : c * plane;
    /* n, channel, h, row of the block, w, column of the block */
    sdx_move move = {.size = sdx_dtype_size(out->dtype),
                     .rank = 6,
                     .dim = {in[0], c, in[2], b, in[3], b},
                     .from = {in[1] * plane, channel, in[3], row, 1, column},
                     .source = compute->in[0]->data,
                     .target = out->data};
    sdx_strides(6, move.dim, move.to);
    return sdx_move_run(compute, &move);
}

static sdx_status depth_to_space_grad(sdx_grad *grad, const void *params) {
    return sdx_blocks_gradient(grad, "SpaceToDepth", params);
}

const sdx_op sdx_op_DepthToSpace = {
    .domain = "",
    .name = "DepthToSpace",
    .versions =
        (const sdx_op_version[]){
            {1, "input:T -> output:T", "T=" SDX_T_ALL, "blocksize:int!"},
            {11, "input:T -> output:T", "T=" SDX_T_ALL, "blocksize:int! mode:string=DCR"},
            {13, "input:T -> output:T", "T=" SDX_T_ALL_BF, "blocksize:int! mode:string=DCR"},
            {28, "input:T -> output:T", "T=" SDX_T_ALL_BF, "blocksize:int! mode:string=DCR"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_blocks_params),
    .bind = sdx_blocks_bind,
    .infer = depth_to_space_infer,
    .compute = depth_to_space_compute,
    .grad = depth_to_space_grad,
};
