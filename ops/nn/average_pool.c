/* SPDX-License-Identifier: Apache-2.0
 * Mean over sliding windows. Padding is left out of the count unless count_include_pad; places past the padding, where
 * ceil_mode lets a window hang over, never count. */
#include "ops/nn/pool.h"

typedef struct average_pool_params {
    sdx_window_attrs window;
    bool count_pad;
} average_pool_params;

static sdx_status average_pool_bind(sdx_bind *bind, void *params) {
    average_pool_params *p = params;
    p->count_pad = bind->since >= 7 && sdx_bind_int(bind, "count_include_pad") != 0;
    unsigned has = bind->since >= 10 ? SDX_WINDOW_CEIL : 0;
    return sdx_window_bind(bind, bind->since >= 19 ? has | SDX_WINDOW_DILATIONS : has, &p->window);
}

static sdx_status average_pool_infer(sdx_infer *infer, const void *params) {
    const average_pool_params *p = params;
    return sdx_window_infer_pool(infer, &p->window);
}

static size_t average_pool_scratch(const sdx_infer *infer, const void *params) {
    const average_pool_params *p = params;
    const sdx_type *x = infer->in[0];
    sdx_pooling pooling = {.kind = SDX_POOL_AVERAGE, .dtype = x->dtype};
    if (sdx_window_make(NULL, &p->window, x->rank - 2, x->dim + 2, p->window.kernel_shape.data, true, &pooling.window))
        return SIZE_MAX;
    return sdx_pooling_scratch(&pooling, infer->threads);
}

static sdx_status average_pool_compute(sdx_compute *compute, const void *params) {
    const average_pool_params *p = params;
    const sdx_tensor *x = compute->in[0];
    sdx_pooling pooling = {.kind = SDX_POOL_AVERAGE, .dtype = x->dtype, .count_pad = p->count_pad};
    SDX_TRY(sdx_window_of_pool(compute->error, &p->window, x, &pooling.window));
    pooling.planes = x->dim[0] * x->dim[1];
    pooling.x = x->data;
    pooling.y = compute->out[0]->data;
    return sdx_pooling_run(compute, &pooling, compute->scratch);
}

static sdx_status average_pool_grad(sdx_grad *grad, const void *params) {
    (void)params;
    grad->dX[0] = sdx_pool_grad_spread(grad, grad->dY[0], true);
    grad->exact = true;
    return grad->patch->status;
}

#define AVERAGE_POOL_10                                                                                                \
    "auto_pad:string=NOTSET ceil_mode:int=0 count_include_pad:int=0 kernel_shape:ints! pads:ints strides:ints"
#define AVERAGE_POOL_19                                                                                                \
    "auto_pad:string=NOTSET ceil_mode:int=0 count_include_pad:int=0 dilations:ints kernel_shape:ints! pads:ints "      \
    "strides:ints"

const sdx_op sdx_op_AveragePool = {
    .domain = "",
    .name = "AveragePool",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T -> Y:T", "T=" SDX_T_FLOAT, "auto_pad:string=NOTSET kernel_shape:ints! pads:ints strides:ints"},
            {7, "X:T -> Y:T", "T=" SDX_T_FLOAT,
             "auto_pad:string=NOTSET count_include_pad:int=0 kernel_shape:ints! pads:ints strides:ints"},
            {10, "X:T -> Y:T", "T=" SDX_T_FLOAT, AVERAGE_POOL_10},
            {11, "X:T -> Y:T", "T=" SDX_T_FLOAT, AVERAGE_POOL_10},
            {19, "X:T -> Y:T", "T=" SDX_T_FLOAT, AVERAGE_POOL_19},
            {22, "X:T -> Y:T", "T=" SDX_T_FLOAT_BF, AVERAGE_POOL_19},
            {0}},
    .params_size = sizeof(average_pool_params),
    .bind = average_pool_bind,
    .infer = average_pool_infer,
    .scratch = average_pool_scratch,
    .compute = average_pool_compute,
    .grad = average_pool_grad};
