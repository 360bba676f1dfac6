/* SPDX-License-Identifier: Apache-2.0
 * Max, Min, Sum, Mean of any number of inputs, broadcast from opset 8 on. NaN in any input gives NaN. Sums of narrow
 * floats run in f32 and are rounded once. */
#include "ops/grad.h"
#include "ops/math/elementwise.h"
#include "ops/move.h"

typedef struct variadic_params {
    sdx_binary_id id;
    bool mean;
} variadic_params;

static sdx_status variadic_infer(sdx_infer *infer, const void *params) {
    (void)params;
    return sdx_infer_broadcast(infer, 0, 0, infer->n_in - 1);
}

/* Whether y is the bytes of an input that is read after y would first be written. */
static bool overlaps(const sdx_compute *compute, const sdx_tensor *y) {
    for (int k = 2; k < compute->n_in; k++)
        if (compute->in[k]->data == y->data) return true;
    return false;
}

/* Where the running result lies: in y, or elsewhere, in f32 where y could not hold it. */
static sdx_status accumulator(sdx_compute *compute, const variadic_params *p, const sdx_tensor *y, sdx_tensor *out) {
    *out = *y;
    bool narrow = sdx_work_dtype(y->dtype) != y->dtype, sum = p->id == SDX_BINARY_Add;
    bool widen = narrow && sum && (compute->n_in > 2 || p->mean);
    if (!widen && !overlaps(compute, y)) return SDX_OK;
    if (widen) out->dtype = SDX_F32;
    out->data = compute->services->alloc(compute, (size_t)y->count * sdx_dtype_size(out->dtype));
    return out->data ? SDX_OK : compute->error->status;
}

static sdx_status divide(sdx_compute *compute, const sdx_tensor *sum, const sdx_tensor *y, sdx_binary_work work) {
    float single = (float)compute->n_in;
    double wide = (double)compute->n_in;
    sdx_tensor n;
    SDX_TRY(sdx_tensor_make(&n, work.in, 0, NULL, work.in == SDX_F64 ? (void *)&wide : &single, compute->error));
    return sdx_binary_run(compute, SDX_BINARY_Div, sum, &n, y, work);
}

static sdx_status variadic_compute(sdx_compute *compute, const void *params) {
    const variadic_params *p = params;
    int rank = 0;
    int64_t dims[SDX_MAX_RANK];
    SDX_TRY(sdx_broadcast_dims(compute, 0, compute->n_in - 1, &rank, dims));
    sdx_tensor *y = sdx_compute_output(compute, 0, rank, dims), sum;
    if (!y) return compute->error->status;
    if (compute->n_in == 1) return sdx_move_all(compute, compute->in[0], y);
    SDX_TRY(accumulator(compute, p, y, &sum));
    const sdx_tensor *left = compute->in[0];
    for (int k = 1; k < compute->n_in; k++) {
        const sdx_tensor *to = k == compute->n_in - 1 && !p->mean ? y : &sum;
        SDX_TRY(sdx_binary_run(compute, p->id, left, compute->in[k], to, sdx_binary_work_of(left, to)));
        left = to;
    }
    return p->mean ? divide(compute, &sum, y, sdx_binary_work_of(&sum, y)) : SDX_OK;
}

static sdx_status sum_grad(sdx_grad *grad, const void *params) {
    (void)params;
    for (int k = 0; k < grad->node->n_in; k++) grad->dX[k] = grad->dY[0];
    return grad->patch->status;
}

static sdx_status mean_grad(sdx_grad *grad, const void *params) {
    (void)params;
    sdx_patch *patch = grad->patch;
    const int n = grad->node->n_in;
    sdx_id share = sdx_emit2(patch, "Div", grad->dY[0], sdx_grad_scalar(patch, grad->node->in[0], n));
    for (int k = 0; k < n; k++) grad->dX[k] = share;
    return patch->status;
}

/* Inputs that tie share evenly. */
static sdx_status extreme_grad(sdx_grad *grad, const void *params) {
    (void)params;
    sdx_patch *patch = grad->patch;
    const sdx_node *node = grad->node;
    sdx_id n = SDX_NONE;
    for (int k = 0; k < node->n_in; k++) {
        grad->dX[k] = sdx_grad_mask(patch, "Equal", node->in[k], node->out[0], node->out[0]);
        n = k ? sdx_emit2(patch, "Add", n, grad->dX[k]) : grad->dX[k];
    }
    sdx_id share = sdx_emit2(patch, "Div", grad->dY[0], n);
    for (int k = 0; k < node->n_in; k++) grad->dX[k] = sdx_emit2(patch, "Mul", share, grad->dX[k]);
    return patch->status;
}

#define VARIADIC(op, output, kernel, is_mean, gradient, ...)                                                           \
    static sdx_status op##_bind(sdx_bind *bind, void *params) {                                                        \
        *(variadic_params *)params = (variadic_params){SDX_BINARY_##kernel, is_mean};                                  \
        return bind->status;                                                                                           \
    }                                                                                                                  \
    const sdx_op sdx_op_##op = {                                                                                       \
        .domain = "",                                                                                                  \
        .name = #op,                                                                                                   \
        .versions =                                                                                                    \
            (const sdx_op_version[]){                                                                                  \
                SDX_V(1, "data_0:T* -> " output ":T", SDX_T_FLOAT, SDX_CONSUMED),                                      \
                SDX_V(6, "data_0:T* -> " output ":T", SDX_T_FLOAT, ""),                                                \
                SDX_V(8, "data_0:T* -> " output ":T", SDX_T_FLOAT, ""),                                                \
                __VA_ARGS__,                                                                                           \
                {0, NULL, NULL, NULL},                                                                                 \
            },                                                                                                         \
        .params_size = sizeof(variadic_params),                                                                        \
        .bind = op##_bind,                                                                                             \
        .infer = variadic_infer,                                                                                       \
        .compute = variadic_compute,                                                                                   \
        .grad = gradient,                                                                                              \
        .flags = SDX_OP_INPLACE,                                                                                       \
    };
VARIADIC(Max, "max", Max, false, extreme_grad, SDX_V(12, "data_0:T* -> max:T", SDX_T_NUMERIC, ""),
         SDX_V(13, "data_0:T* -> max:T", SDX_T_NUMERIC_BF, ""))
VARIADIC(Min, "min", Min, false, extreme_grad, SDX_V(12, "data_0:T* -> min:T", SDX_T_NUMERIC, ""),
         SDX_V(13, "data_0:T* -> min:T", SDX_T_NUMERIC_BF, ""))
VARIADIC(Sum, "sum", Add, false, sum_grad, SDX_V(13, "data_0:T* -> sum:T", SDX_T_FLOAT_BF, ""))
VARIADIC(Mean, "mean", Add, true, mean_grad, SDX_V(13, "data_0:T* -> mean:T", SDX_T_FLOAT_BF, ""))
