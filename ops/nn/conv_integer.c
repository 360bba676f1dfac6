/* SPDX-License-Identifier: Apache-2.0
 * ConvInteger: the convolution of x - x_zero_point with w - w_zero_point, in i32. */
#include "ops/nn/integer_convolve.h"
#include "ops/quantization/requantize.h"

static sdx_status conv_infer(sdx_infer *infer, const void *params) {
    sdx_unpacked unpacked;
    infer = sdx_unpack_types(infer, &((const sdx_integer_conv *)params)->weight, 1, &unpacked);
    SDX_TRY(sdx_integer_conv_infer(infer, params, 0, 1, -1));
    if (infer->n_in > 2) SDX_TRY(sdx_infer_single(infer, 2, "x_zero_point"));
    return sdx_integer_conv_maps(infer, 3, "w_zero_point", 1);
}

static size_t conv_scratch(const sdx_infer *infer, const void *params) {
    sdx_unpacked unpacked;
    sdx_infer inner = *infer;
    infer = sdx_unpack_types(&inner, &((const sdx_integer_conv *)params)->weight, 1, &unpacked);
    return sdx_integer_conv_scratch(infer, params, 0, 1);
}

static sdx_status conv_compute(sdx_compute *compute, const void *params) {
    const sdx_integer_conv *p = params;
    sdx_unpacked unpacked;
    sdx_dot dot = {0};
    sdx_integer_conv_run run = {.x = compute->in[0], .dot = &dot};
    run.w = sdx_unpack_inputs(compute, &p->weight, 1, &unpacked)[1];
    if (p->weight.shape.n) run.packed = compute->in[1]->data;
    run.x_zero = compute->n_in > 2 ? compute->in[2] : NULL;
    run.w_zero = compute->n_in > 3 ? compute->in[3] : NULL;
    run.y = compute->out[0]->data;
    return sdx_integer_conv_compute(compute, params, &run);
}

const sdx_op sdx_op_ConvInteger = {
    .domain = "",
    .name = "ConvInteger",
    .versions =
        (const sdx_op_version[]){
            {10, "x:T1 w:T2 x_zero_point:T1? w_zero_point:T2? -> y:T3", "T1=i8|u8 T2=i8|u8 T3=i32",
             "auto_pad:string=NOTSET dilations:ints group:int=1 kernel_shape:ints pads:ints strides:ints"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_integer_conv),
    .bind = sdx_integer_conv_bind,
    .infer = conv_infer,
    .scratch = conv_scratch,
    .compute = conv_compute,
    .grad = sdx_no_gradient,
};

const sdx_op sdx_op_PackedConvInteger = {
    .domain = "sdx",
    .name = "PackedConvInteger",
    .versions =
        (const sdx_op_version[]){
            {1, "x:T1 w:V x_zero_point:T1? w_zero_point:T2? -> y:T3", "T1=i8|u8 T2=i8|u8 T3=i32 V=u8",
             "auto_pad:string=NOTSET dilations:ints group:int=1 kernel_shape:ints pads:ints "
             "strides:ints " SDX_PACKED_WEIGHT},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_integer_conv),
    .bind = sdx_integer_conv_bind_packed,
    .infer = conv_infer,
    .scratch = conv_scratch,
    .compute = conv_compute,
    .flags = SDX_OP_INTERNAL,
};
