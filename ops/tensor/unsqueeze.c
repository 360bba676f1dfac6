/* SPDX-License-Identifier: Apache-2.0
 * Unsqueeze: puts dimensions of length 1 where 'axes', counted in the result, says. Until opset 12 an attribute. */
#include "ops/grad.h"
#include "ops/move.h"

static sdx_status unsqueeze_upgrade(sdx_patch *patch, const sdx_node *node) {
    return node->version->since < 13 ? sdx_upgrade_ints(patch, node, "axes") : SDX_OK;
}

static sdx_status unsqueeze_resolve(sdx_error *error, const sdx_type *in, int64_t *axes, int n, int *rank,
                                    int64_t *dims) {
    bool fresh[SDX_MAX_RANK] = {false};
    int sum = in->rank + n;
    if (sum > SDX_MAX_RANK)
        return sdx_fail(error, SDX_UNSUPPORTED, "the result has rank %d; at most %d is supported", sum, SDX_MAX_RANK);
    SDX_TRY(sdx_check_axes(error, "axes", axes, n, sum));
    for (int i = 0; i < n; i++) fresh[axes[i]] = true;
    for (int d = 0, from = 0; d < sum; d++) dims[d] = fresh[d] ? 1 : in->dim[from++];
    *rank = sum;
    return SDX_OK;
}

static sdx_status unsqueeze_infer(sdx_infer *infer, const void *params) {
    (void)params;
    int64_t axes[SDX_MAX_RANK];
    int n = -1, rank = sdx_infer_rank_of(infer, 0);
    sdx_type *out = &infer->out[0];
    SDX_TRY(sdx_infer_i64s(infer, 1, "axes", axes, SDX_MAX_RANK, &n));
    if (rank < 0) return SDX_OK;
    if (n >= 0) return unsqueeze_resolve(infer->error, infer->in[0], axes, n, &out->rank, out->dim);
    if (sdx_infer_rank_of(infer, 1) != 1 || infer->in[1]->dim[0] < 0) return SDX_OK;
    if (rank + infer->in[1]->dim[0] > SDX_MAX_RANK) return SDX_OK;
    out->rank = rank + (int)infer->in[1]->dim[0];
    for (int d = 0; d < out->rank; d++) out->dim[d] = -1;
    return SDX_OK;
}

static sdx_status unsqueeze_compute(sdx_compute *compute, const void *params) {
    (void)params;
    int64_t axes[SDX_MAX_RANK], dims[SDX_MAX_RANK];
    int n = 0, rank = 0;
    sdx_type in = sdx_type_of_tensor(compute->in[0]);
    SDX_TRY(sdx_read_i64s(compute->error, "axes", compute->in[1], axes, SDX_MAX_RANK, &n));
    SDX_TRY(unsqueeze_resolve(compute->error, &in, axes, n, &rank, dims));
    sdx_tensor *out = sdx_compute_output(compute, 0, rank, dims);
    return out ? sdx_move_all(compute, compute->in[0], out) : compute->error->status;
}

const sdx_op sdx_op_Unsqueeze = {
    .domain = "",
    .name = "Unsqueeze",
    .versions =
        (const sdx_op_version[]){
            {1, "data:T -> expanded:T", "T=" SDX_T_ALL, "axes:ints!"},
            {11, "data:T -> expanded:T", "T=" SDX_T_ALL, "axes:ints!"},
            {13, "data:T axes:i64 -> expanded:T", "T=" SDX_T_ALL_BF, ""},
            {21, "data:T axes:i64 -> expanded:T", "T=" SDX_T_ALL_IR10, ""},
            {23, "data:T axes:i64 -> expanded:T", "T=" SDX_T_ALL_IR11, ""},
            {24, "data:T axes:i64 -> expanded:T", "T=" SDX_T_ALL_IR12, ""},
            {25, "data:T axes:i64 -> expanded:T", "T=" SDX_T_ALL_IR13, ""},
            {0, NULL, NULL, NULL},
        },
    .upgrade = unsqueeze_upgrade,
    .infer = unsqueeze_infer,
    .compute = unsqueeze_compute,
    .grad = sdx_reshape_gradient,
    .flags = SDX_OP_VIEW,
};
