/* SPDX-License-Identifier: Apache-2.0
 * (sum |x|^p)^(1/p) over sliding windows; padding adds nothing. p was a float in version 1, where kernel_shape could be
 * left out by the schema but not in meaning. */
#include "ops/nn/pool.h"

typedef struct lp_pool_params {
    sdx_window_attrs window;
    double p;
} lp_pool_params;

static sdx_status lp_pool_bind(sdx_bind *bind, void *params) {
    lp_pool_params *p = params;
    p->p = bind->since < 2 ? (double)sdx_bind_float(bind, "p") : (double)sdx_bind_int(bind, "p");
    if (!(p->p > 0)) return sdx_bind_fail(bind, SDX_VALUE, "attribute 'p' is %g; it must be above 0", p->p);
    return sdx_window_bind(bind, bind->since >= 18 ? SDX_WINDOW_DILATIONS | SDX_WINDOW_CEIL : 0, &p->window);
}

static sdx_status lp_pool_infer(sdx_infer *infer, const void *params) {
    const lp_pool_params *p = params;
    return sdx_window_infer_pool(infer, &p->window);
}

static size_t lp_pool_scratch(const sdx_infer *infer, const void *params) {
    const lp_pool_params *p = params;
    const sdx_type *x = infer->in[0];
    sdx_pooling pooling = {.kind = SDX_POOL_LP, .dtype = x->dtype};
    if (sdx_window_make(NULL, &p->window, x->rank - 2, x->dim + 2, p->window.kernel_shape.data, true, &pooling.window))
        return SIZE_MAX;
    return sdx_pooling_scratch(&pooling, infer->threads);
}

static sdx_status lp_pool_compute(sdx_compute *compute, const void *params) {
    const lp_pool_params *p = params;
    const sdx_tensor *x = compute->in[0];
    sdx_pooling pooling = {.kind = SDX_POOL_LP, .dtype = x->dtype, .p = p->p};
    SDX_TRY(sdx_window_of_pool(compute->error, &p->window, x, &pooling.window));
    pooling.planes = x->dim[0] * x->dim[1];
    pooling.x = x->data;
    pooling.y = compute->out[0]->data;
    return sdx_pooling_run(compute, &pooling, compute->scratch);
}

/* dX = |X|^(p-1) sign(X) times the sum of dY / Y^(p-1) over the windows that hold the element */
static sdx_status lp_pool_grad(sdx_grad *grad, const void *params) {
    const lp_pool_params *p = params;
    const sdx_id X = grad->node->in[0], Y = grad->node->out[0];
    const sdx_id spread = sdx_pool_grad_spread(grad, sdx_pool_grad_root(grad->patch, grad->dY[0], Y, p->p), false);
    grad->dX[0] = sdx_emit2(grad->patch, "Mul", sdx_pool_grad_power(grad->patch, X, p->p), spread);
    grad->exact = true;
    return grad->patch->status;
}

#define LP_POOL_18                                                                                                     \
    "auto_pad:string=NOTSET ceil_mode:int=0 dilations:ints kernel_shape:ints! p:int=2 pads:ints strides:ints"

const sdx_op sdx_op_LpPool = {
    .domain = "",
    .name = "LpPool",
    .versions = (const sdx_op_version[]){{1, "X:T -> Y:T", "T=" SDX_T_FLOAT,
                                          "auto_pad:string=NOTSET kernel_shape:ints p:float=2 pads:ints strides:ints"},
                                         {2, "X:T -> Y:T", "T=" SDX_T_FLOAT,
                                          "auto_pad:string=NOTSET kernel_shape:ints! p:int=2 pads:ints strides:ints"},
                                         {11, "X:T -> Y:T", "T=" SDX_T_FLOAT,
                                          "auto_pad:string=NOTSET kernel_shape:ints! p:int=2 pads:ints strides:ints"},
                                         {18, "X:T -> Y:T", "T=" SDX_T_FLOAT, LP_POOL_18},
                                         {22, "X:T -> Y:T", "T=" SDX_T_FLOAT_BF, LP_POOL_18},
                                         {0}},
    .params_size = sizeof(lp_pool_params),
    .bind = lp_pool_bind,
    .infer = lp_pool_infer,
    .scratch = lp_pool_scratch,
    .compute = lp_pool_compute,
    .grad = lp_pool_grad};
