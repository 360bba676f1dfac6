/* SPDX-License-Identifier: Apache-2.0
 * Squeeze: drops dimensions of length 1, those of 'axes' or all. Until opset 12 'axes' was an attribute. */
#include "ops/grad.h"
#include "ops/move.h"
#include <inttypes.h>

static sdx_status squeeze_upgrade(sdx_patch *patch, const sdx_node *node) {
    return node->version->since < 13 ? sdx_upgrade_ints(patch, node, "axes") : SDX_OK;
}

/* axes NULL: all dimensions of length 1. *rank is -1 when the result depends on what is not known. */
static sdx_status squeeze_resolve(sdx_error *error, const sdx_type *in, int64_t *axes, int n, int *rank,
                                  int64_t *dims) {
    bool drop[SDX_MAX_RANK] = {false};
    *rank = -1;
    for (int d = 0; !axes && d < in->rank; d++) {
        if (in->dim[d] < 0) return SDX_OK;
        drop[d] = in->dim[d] == 1;
    }
    if (axes) SDX_TRY(sdx_check_axes(error, "axes", axes, n, in->rank));
    for (int i = 0; axes && i < n; i++) {
        drop[axes[i]] = true;
        if (in->dim[axes[i]] > 1 || in->dim[axes[i]] == 0)
            return sdx_fail(error, SDX_SHAPE,
                            "dimension %" PRId64 " of input 'data' is %" PRId64 "; it must be 1 to be squeezed",
                            axes[i], in->dim[axes[i]]);
    }
    *rank = 0;
    for (int d = 0; d < in->rank; d++)
        if (!drop[d]) dims[(*rank)++] = in->dim[d];
    return SDX_OK;
}

static sdx_status squeeze_infer(sdx_infer *infer, const void *params) {
    (void)params;
    int64_t axes[SDX_MAX_RANK];
    int n = -1;
    bool given = infer->n_in > 1 && infer->in[1];
    sdx_type *out = &infer->out[0];
    if (given) SDX_TRY(sdx_infer_i64s(infer, 1, "axes", axes, SDX_MAX_RANK, &n));
    int rank = sdx_infer_rank_of(infer, 0);
    if (rank < 0) return SDX_OK;
    if (!given || n >= 0)
        return squeeze_resolve(infer->error, infer->in[0], given ? axes : NULL, n, &out->rank, out->dim);
    if (sdx_infer_rank_of(infer, 1) != 1 || infer->in[1]->dim[0] < 0 || infer->in[1]->dim[0] > rank) return SDX_OK;
    out->rank = rank - (int)infer->in[1]->dim[0];
    for (int d = 0; d < out->rank; d++) out->dim[d] = -1;
    return SDX_OK;
}

static sdx_status squeeze_compute(sdx_compute *compute, const void *params) {
    (void)params;
    int64_t axes[SDX_MAX_RANK], dims[SDX_MAX_RANK];
    int n = 0, rank = 0;
    sdx_type in = sdx_type_of_tensor(compute->in[0]);
    bool given = compute->n_in > 1 && compute->in[1];
    if (given) SDX_TRY(sdx_read_i64s(compute->error, "axes", compute->in[1], axes, SDX_MAX_RANK, &n));
    SDX_TRY(squeeze_resolve(compute->error, &in, given ? axes : NULL, n, &rank, dims));
    sdx_tensor *out = sdx_compute_output(compute, 0, rank, dims);
    return out ? sdx_move_all(compute, compute->in[0], out) : compute->error->status;
}

const sdx_op sdx_op_Squeeze = {
    .domain = "",
    .name = "Squeeze",
    .versions =
        (const sdx_op_version[]){
            {1, "data:T -> squeezed:T", "T=" SDX_T_ALL, "axes:ints"},
            {11, "data:T -> squeezed:T", "T=" SDX_T_ALL, "axes:ints"},
            {13, "data:T axes:i64? -> squeezed:T", "T=" SDX_T_ALL_BF, ""},
            {21, "data:T axes:i64? -> squeezed:T", "T=" SDX_T_ALL_IR10, ""},
            {23, "data:T axes:i64? -> squeezed:T", "T=" SDX_T_ALL_IR11, ""},
            {24, "data:T axes:i64? -> squeezed:T", "T=" SDX_T_ALL_IR12, ""},
            {25, "data:T axes:i64? -> squeezed:T", "T=" SDX_T_ALL_IR13, ""},
            {0, NULL, NULL, NULL},
        },
    .upgrade = squeeze_upgrade,
    .infer = squeeze_infer,
    .compute = squeeze_compute,
    .grad = sdx_reshape_gradient,
    .flags = SDX_OP_VIEW,
};
