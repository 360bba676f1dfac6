/* SPDX-License-Identifier: Apache-2.0
 * PRelu: Y = X where X >= 0, else slope X; slope is broadcast to X, not the other way. Until opset 6 it was one value,
 * or one for each channel (axis 1). */
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
    .flags = SDX_OP_INPLACE,
};
