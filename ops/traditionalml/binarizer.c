/* SPDX-License-Identifier: Apache-2.0
 * Binarizer: Y = X > threshold, as 1 and 0 of X's type. Integers are compared with the greatest whole number that is
 * not above the threshold, which is the same and exact. */
#include "ops/traditionalml/ml.h"
#include <math.h>

typedef struct binarizer_params {
    double threshold;
    int64_t whole;
    bool never; /* no integer is above the threshold */
} binarizer_params;

static sdx_status binarizer_bind(sdx_bind *bind, void *params) {
    binarizer_params *p = params;
    p->threshold = (double)sdx_bind_float(bind, "threshold");
    const double whole = floor(p->threshold);
    p->never = !(whole < 0x1p63);
    p->whole = p->never || whole < -0x1p63 ? INT64_MIN : (int64_t)whole;
    return bind->status;
}

static sdx_status binarizer_infer(sdx_infer *infer, const void *params) {
    (void)params;
    sdx_infer_same(infer, 0, 0);
    return SDX_OK;
}

static void above_f32(const void *context, int64_t n, void *const *at, const int64_t *step) {
    const float threshold = (float)((const binarizer_params *)context)->threshold, *x = at[1];
    float *y = at[0];
    for (int64_t k = 0; k < n; k++) y[k] = x[k * step[1]] > threshold ? 1 : 0;
}

static void above_f64(const void *context, int64_t n, void *const *at, const int64_t *step) {
    const double threshold = ((const binarizer_params *)context)->threshold, *x = at[1];
    double *y = at[0];
    for (int64_t k = 0; k < n; k++) y[k] = x[k * step[1]] > threshold ? 1 : 0;
}

static void above_i64(const void *context, int64_t n, void *const *at, const int64_t *step) {
    const binarizer_params *p = context;
    const int64_t *x = at[1];
    int64_t *y = at[0];
    const bool all = p->threshold < -0x1p63;
    for (int64_t k = 0; k < n; k++) y[k] = !p->never && (all || x[k * step[1]] > p->whole);
}

static sdx_status binarizer_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0], *y = compute->out[0];
    const sdx_dtype work = x->dtype == SDX_I32 ? SDX_I64 : x->dtype;
    sdx_loop loop;
    sdx_loop_begin(&loop, y, work);
    sdx_loop_add(&loop, x, work);
    return sdx_loop_run(compute, &loop, SDX_GRAIN_CHEAP,
                        work == SDX_I64   ? above_i64
                        : work == SDX_F64 ? above_f64
                                          : above_f32,
                        params);
}

const sdx_op sdx_op_Binarizer = {
    .domain = SDX_ML,
    .name = "Binarizer",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T -> Y:T", "T=" SDX_T_ML, "threshold:float=0"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(binarizer_params),
    .bind = binarizer_bind,
    .infer = binarizer_infer,
    .compute = binarizer_compute,
    .grad = sdx_no_gradient,
    .flags = SDX_OP_INPLACE,
};
