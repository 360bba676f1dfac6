/* SPDX-License-Identifier: Apache-2.0
 * QLinearConv: the convolution of 8-bit integers, quantized again by map. B is in units of x_scale * w_scale. */
#include "ops/nn/integer_convolve.h"
#include "ops/quantization/requantize.h"

enum { X, X_SCALE, X_ZERO, W, W_SCALE, W_ZERO, Y_SCALE, Y_ZERO, BIAS };

static sdx_status conv_infer(sdx_infer *infer, const void *params) {
    sdx_unpacked unpacked;
    infer = sdx_unpack_types(infer, &((const sdx_integer_conv *)params)->weight, W, &unpacked);
    SDX_TRY(sdx_integer_conv_infer(infer, params, X, W, BIAS));
    SDX_TRY(sdx_infer_single(infer, X_SCALE, "x_scale"));
    SDX_TRY(sdx_infer_single(infer, X_ZERO, "x_zero_point"));
    SDX_TRY(sdx_integer_conv_maps(infer, W_SCALE, "w_scale", W));
    SDX_TRY(sdx_integer_conv_maps(infer, W_ZERO, "w_zero_point", W));
    SDX_TRY(sdx_infer_single(infer, Y_SCALE, "y_scale"));
    return sdx_infer_single(infer, Y_ZERO, "y_zero_point");
}

static size_t conv_scratch(const sdx_infer *infer, const void *params) {
    sdx_unpacked unpacked;
    sdx_infer inner = *infer;
    infer = sdx_unpack_types(&inner, &((const sdx_integer_conv *)params)->weight, W, &unpacked);
    return sdx_integer_conv_scratch(infer, params, X, W);
}

static sdx_status conv_compute(sdx_compute *compute, const void *params) {
    const sdx_integer_conv *p = params;
    sdx_unpacked unpacked;
    const sdx_tensor *const *in = sdx_unpack_inputs(compute, &p->weight, W, &unpacked),
                            *bias = compute->n_in > BIAS ? in[BIAS] : NULL;
    sdx_dot dot = {0};
    sdx_requantize end = {.kernels = compute->kernels, .dot = &dot, .y = compute->out[0]->data};
    end.dtype = compute->out[0]->dtype;
    end.row = (sdx_line_scales){.tensor = in[W_SCALE]}, end.column = (sdx_line_scales){.tensor = in[X_SCALE]};
    if (in[W_SCALE]->count > 1) end.row.step = 1, end.row.batch_step[1] = in[W]->dim[0] / p->group;
    end.scale = sdx_scalar_f32(in[Y_SCALE]), end.zero = sdx_scalar_f32(in[Y_ZERO]);
    sdx_integer_conv_run run = {.x = in[X], .x_zero = in[X_ZERO], .w = in[W], .w_zero = in[W_ZERO], .dot = &dot};
    if (p->weight.shape.n) run.packed = compute->in[W]->data;
    run.bias = bias ? bias->data : NULL;
    run.finish = sdx_requantize_block, run.finish_context = &end;
    return sdx_integer_conv_compute(compute, p, &run);
}

const sdx_op sdx_op_QLinearConv = {
    .domain = "",
    .name = "QLinearConv",
    .versions =
        (const sdx_op_version[]){
            {10,
             "x:T1 x_scale:f32 x_zero_point:T1 w:T2 w_scale:f32 w_zero_point:T2 y_scale:f32 y_zero_point:T3 B:T4? -> "
             "y:T3",
             "T1=i8|u8 T2=i8|u8 T3=i8|u8 T4=i32",
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

const sdx_op sdx_op_PackedQLinearConv = {
    .domain = "sdx",
    .name = "PackedQLinearConv",
    .versions =
        (const sdx_op_version[]){
            {1,
             "x:T1 x_scale:f32 x_zero_point:T1 w:V w_scale:f32 w_zero_point:T2 y_scale:f32 y_zero_point:T3 B:T4? -> "
             "y:T3",
             "T1=i8|u8 T2=i8|u8 T3=i8|u8 T4=i32 V=u8",
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
