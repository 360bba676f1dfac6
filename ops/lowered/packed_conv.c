/* SPDX-License-Identifier: Apache-2.0
 * Y = clamp(Conv(X, W, B) + Z). W is u8: the panels of sdx_product_pack, `group` matrices A; or, for one input channel
 * per group, the weights as they were. weight_shape is the shape W had. */
#include "ops/nn/convolve.h"
#include <math.h>

typedef struct packed_conv_params {
    sdx_window_attrs window;
    sdx_ints weight_shape;
    int64_t group;
    bool clamp;
    float low, high;
} packed_conv_params;

static sdx_status packed_conv_bind(sdx_bind *bind, void *params) {
    packed_conv_params *p = params;
    p->group = sdx_bind_int(bind, "group");
    p->weight_shape = sdx_bind_ints(bind, "weight_shape");
    p->clamp = sdx_bind_int(bind, "clamp") != 0;
    p->low = sdx_bind_float(bind, "low");
    p->high = sdx_bind_float(bind, "high");
    if (p->weight_shape.n < 3 || p->weight_shape.n > SDX_MAX_RANK)
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'weight_shape' has %zu entries; it must have 3 to %d",
                             p->weight_shape.n, (int)SDX_MAX_RANK);
    return sdx_window_bind(bind, SDX_WINDOW_DILATIONS, &p->window);
}

static sdx_type weight_type(const packed_conv_params *p, sdx_dtype dtype) {
    sdx_type w = sdx_type_make(dtype, (int)p->weight_shape.n);
    for (int d = 0; d < w.rank; d++) w.dim[d] = p->weight_shape.data[d];
    return w;
}

static sdx_status packed_conv_infer(sdx_infer *infer, const void *params) {
    const packed_conv_params *p = params;
    const sdx_type w = weight_type(p, infer->in[0]->dtype);
    sdx_convolution conv = {0};
    bool known = false;
    return sdx_convolution_infer(infer->error, &p->window, p->group, infer->in[0], &w,
                                 infer->n_in > 2 ? infer->in[2] : NULL, &infer->out[0], &conv, &known);
}

static size_t packed_conv_scratch(const sdx_infer *infer, const void *params) {
    const packed_conv_params *p = params;
    const sdx_type w = weight_type(p, infer->in[0]->dtype);
    sdx_type y = sdx_type_make(infer->in[0]->dtype, -1);
    sdx_convolution conv = {0};
    bool known = false;
    if (sdx_convolution_infer(NULL, &p->window, p->group, infer->in[0], &w, NULL, &y, &conv, &known) || !known)
        return SIZE_MAX;
    if (infer->in[1]->dtype == SDX_U8) conv.packed = p;
    return sdx_convolution_scratch(&conv, infer->threads);
}

static sdx_status packed_conv_compute(sdx_compute *compute, const void *params) {
    const packed_conv_params *p = params;
    const sdx_tensor *x = compute->in[0], *weight = compute->in[1];
    const sdx_tensor *b = compute->n_in > 2 ? compute->in[2] : NULL, *z = compute->n_in > 3 ? compute->in[3] : NULL;
    const sdx_type w = weight_type(p, x->dtype), x_type = sdx_type_of_tensor(x);
    sdx_type y = sdx_type_make(x->dtype, -1);
    sdx_convolution conv = {0};
    bool known = false;
    SDX_TRY(sdx_convolution_infer(compute->error, &p->window, p->group, &x_type, &w, NULL, &y, &conv, &known));
    conv.x = x->data;
    if (weight->dtype == SDX_U8)
        conv.packed = weight->data;
    else
        conv.weight = weight->data;
    conv.bias = b ? b->data : NULL;
    conv.residual = z ? z->data : NULL;
    conv.clamp = p->clamp, conv.low = (double)p->low, conv.high = (double)p->high;
    conv.y = compute->out[0]->data;
    return sdx_convolution_run(compute, &conv, compute->scratch);
}

const sdx_op sdx_op_PackedConv = {
    .domain = "sdx",
    .name = "PackedConv",
    .versions = (const sdx_op_version[]){{1, "X:T W:V B:T? Z:T? -> Y:T", "T=" SDX_T_FLOAT_BF " V=u8|" SDX_T_FLOAT_BF,
                                          "auto_pad:string=NOTSET clamp:int=0 dilations:ints group:int=1 high:float=0 "
                                          "kernel_shape:ints low:float=0 pads:ints strides:ints weight_shape:ints!"},
                                         {0}},
    .params_size = sizeof(packed_conv_params),
    .bind = packed_conv_bind,
    .infer = packed_conv_infer,
    .scratch = packed_conv_scratch,
    .compute = packed_conv_compute,
    .flags = SDX_OP_INTERNAL};
