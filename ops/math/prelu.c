/* SPDX-License-Identifier: Apache-2.0
 * PRelu: Y = X where X >= 0, else slope X; slope is broadcast to X, not the other way. Until opset 6 it was one value,
 * or one for each channel (axis 1). */
#include "ops/grad.h"
#include "ops/math/elementwise.h"
#include <inttypes.h>

typedef struct prelu_params {
    bool legacy;
} prelu_params;

static sdx_status prelu_bind(sdx_bind *bind, void *params) {
    prelu_params *p = params;
    p->legacy = bind->since < 7;
    return bind->status;
}

/* Rank and dims of the slope as numpy takes them; an error when it does not fit X. */
static sdx_status place_slope(sdx_error *error, const prelu_params *p, const sdx_type *x, const sdx_type *slope,
                              int *rank, int64_t *dims) {
    *rank = slope->rank;
    for (int d = 0; d < slope->rank; d++) dims[d] = slope->dim[d];
    if (p->legacy && slope->rank == 1 && x->rank > 1) {
        *rank = x->rank - 1;
        for (int d = 1; d < *rank; d++) dims[d] = 1;
    }
    if (*rank > x->rank)
        return sdx_fail(error, SDX_SHAPE, "input 'slope' has rank %d; input 'X' has rank %d", *rank, x->rank);
    for (int d = 0; d < *rank; d++) {
        int64_t wanted = x->dim[x->rank - *rank + d];
        if (dims[d] > 1 && wanted >= 0 && dims[d] != wanted)
            return sdx_fail(error, SDX_SHAPE,
                            "input 'slope' has %" PRId64 " values where input 'X' has dimension %" PRId64
                            "; it must have 1 or as many",
                            dims[d], wanted);
    }
    return SDX_OK;
}

static sdx_status prelu_infer(sdx_infer *infer, const void *params) {
    int rank = 0;
    int64_t dims[SDX_MAX_RANK];
    sdx_infer_same(infer, 0, 0);
    if (sdx_infer_rank_of(infer, 0) < 0 || sdx_infer_rank_of(infer, 1) < 0) return SDX_OK;
    return place_slope(infer->error, params, infer->in[0], infer->in[1], &rank, dims);
}

static sdx_status prelu_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0];
    sdx_tensor slope = *compute->in[1];
    sdx_type x_type = sdx_type_of_tensor(x), slope_type = sdx_type_of_tensor(&slope);
    SDX_TRY(place_slope(compute->error, params, &x_type, &slope_type, &slope.rank, slope.dim));
    sdx_tensor *y = sdx_compute_output(compute, 0, x->rank, x->dim);
    if (!y) return compute->error->status;
    return sdx_binary_run(compute, SDX_BINARY_PRelu, x, &slope, y, sdx_binary_work_of(x, y));
}

/* The slope in front of the dimensions it belongs to: of the old form, ones behind it. */
static sdx_id placed_slope(sdx_grad *grad, const prelu_params *p, sdx_id X, sdx_id slope) {
    const int rank = sdx_grad_type(grad->patch, X)->rank;
    if (!p->legacy || rank <= 2 || sdx_grad_type(grad->patch, slope)->rank != 1) return slope;
    int64_t axes[SDX_MAX_RANK];
    for (int d = 0; d < rank - 2; d++) axes[d] = d + 1;
    return sdx_emit2(grad->patch, "Unsqueeze", slope, sdx_patch_i64s(grad->patch, axes, (size_t)rank - 2));
}

/* At 0 the slope counts, as for the negative. */
static sdx_status prelu_grad(sdx_grad *grad, const void *params) {
    sdx_patch *patch = grad->patch;
    sdx_id X = grad->node->in[0], own = grad->node->in[1], dY = grad->dY[0], zero = sdx_grad_scalar(patch, X, 0);
    sdx_id slope = placed_slope(grad, params, X, own);
    sdx_id positive = sdx_emit2(patch, "Greater", X, zero);
    if (grad->needed[0]) grad->dX[0] = sdx_emit3(patch, "Where", positive, dY, sdx_emit2(patch, "Mul", dY, slope));
    if (!grad->needed[1]) return patch->status;
    sdx_id dslope = sdx_emit3(patch, "Where", positive, zero, sdx_emit2(patch, "Mul", dY, X));
    if (slope != own) {
        sdx_id to[2] = {dslope, sdx_emit1(patch, "Shape", slope)};
        dslope = sdx_grad_reshape(patch, sdx_patch_node(patch, "sdx", "SumTo", 2, to, 1)->out[0], own);
    }
    grad->dX[1] = dslope;
    return patch->status;
}

#define SLOPE         "X:T slope:T -> Y:T"
#define WIDE_INTEGERS "|i32|i64|u32|u64"
const sdx_op sdx_op_PRelu = {
    .domain = "",
    .name = "PRelu",
    .versions =
        (const sdx_op_version[]){
            SDX_V(1, SLOPE, SDX_T_FLOAT, SDX_CONSUMED),
            SDX_V(6, SLOPE, SDX_T_FLOAT, ""),
            SDX_V(7, SLOPE, SDX_T_FLOAT, ""),
            SDX_V(9, SLOPE, SDX_T_FLOAT WIDE_INTEGERS, ""),
            SDX_V(16, SLOPE, SDX_T_FLOAT_BF WIDE_INTEGERS, ""),
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(prelu_params),
    .bind = prelu_bind,
    .infer = prelu_infer,
    .compute = prelu_compute,
    .grad = prelu_grad,
    .flags = SDX_OP_INPLACE,
};
