/* SPDX-License-Identifier: Apache-2.0
 * DequantizeLinear: y = (x - x_zero_point) x_scale, in f32 (i32: in f64), rounded once. */
#include "ops/grad.h"
#include "ops/kernels/kernels.h"
#include "ops/loop.h"
#include "ops/quantization/quantize.h"

enum { TILE = SDX_QUANTIZE_TILE };

static sdx_status dequantize_infer(sdx_infer *infer, const void *params) {
    const sdx_quantize_params *p = params;
    sdx_type *y = &infer->out[0];
    if (infer->since >= 23) {
        y->dtype = p->output ? p->output : infer->in[1]->dtype;
        if (y->dtype == SDX_F8E8M0)
            return sdx_fail(infer->error, SDX_TYPE,
                            "input 'x_scale' is f8e8m0; attribute 'output_dtype' must then be given: f16, bf16 or f32");
        if (y->dtype && y->dtype != SDX_F32 && y->dtype != SDX_F16 && y->dtype != SDX_BF16)
            return sdx_fail(infer->error, SDX_TYPE, "attribute 'output_dtype' is %s; it must be f16, bf16 or f32",
                            sdx_dtype_name(y->dtype));
    }
    return sdx_granules_infer(infer, p, 'x');
}

static void from_i32(const sdx_quantize_job *job, int64_t flat, int64_t place, int64_t step, int64_t n,
                     const float *scale, float *y) {
    const int32_t *x = sdx_quantize_at(job->x, flat), *zero = job->zero ? sdx_quantize_at(job->zero, place) : NULL;
    for (int64_t i = 0; i < n; i++) {
        double v = (double)x[i] - (zero ? (double)zero[i * step] : 0);
        y[i] = (float)(v * (double)scale[i * step]);
    }
}

/* Kept by the caller: clearing them costs more than a short tile. */
typedef struct rooms {
    float x[TILE], scale[TILE], zero[TILE], result[TILE];
} rooms;

static void from_float(const sdx_quantize_job *job, int64_t flat, const float *scale, const float *zero, int64_t step,
                       int64_t n, float *room, float *y) {
    const float *x = sdx_quantize_as(job, job->x, flat, n, SDX_F32, room);
    job->kernels->binary(SDX_BINARY_Sub, SDX_F32)(x, 1, zero, step, y, n);
    job->kernels->binary(SDX_BINARY_Mul, SDX_F32)(y, 1, scale, step, y, n);
}

static void dequantize_tile(const void *context, int64_t flat, int64_t place, int64_t step, int64_t n, void *space) {
    const sdx_quantize_job *job = context;
    rooms *room = space;
    const int64_t scales = step ? n : 1;
    const float *scale = sdx_quantize_as(job, job->scale, place, scales, SDX_F32, room->scale), *zero = room->zero;
    float *y = job->y->dtype == SDX_F32 ? (float *)sdx_quantize_at(job->y, flat) : room->result;
    if (job->x->dtype == SDX_I32)
        from_i32(job, flat, place, step, n, scale, y);
    else {
        if (job->zero)
            zero = sdx_quantize_as(job, job->zero, place, scales, SDX_F32, room->zero);
        else
            for (int64_t i = 0; i < scales; i++) room->zero[i] = 0;
        if (sdx_dtype_class(job->x->dtype) == SDX_CLASS_FLOAT)
            from_float(job, flat, scale, zero, step, n, room->x, y);
        else {
            const bool bytes = sdx_dtype_size(job->x->dtype) == 1;
            const bool is_signed = sdx_dtype_class(job->x->dtype) == SDX_CLASS_SIGNED;
            job->kernels->dequantize(!bytes      ? job->x->dtype
                                     : is_signed ? SDX_I8
                                                 : SDX_U8,
                                     sdx_quantize_at(job->x, flat), scale, zero, step, y, n);
        }
    }
    if (y == room->result)
        sdx_convert(job->kernels, SDX_F32, y, job->y->dtype, (void *)sdx_quantize_at(job->y, flat), n);
}

static void dequantize_range(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    rooms room;
    sdx_quantize_tiles(argument, begin, end, dequantize_tile, argument, &room);
}

static sdx_status dequantize_compute(sdx_compute *compute, const void *params) {
    sdx_quantize_job job;
    SDX_TRY(sdx_quantize_begin(compute, params, 'x', &job));
    job.direct = job.y->dtype == SDX_F32 && sdx_is_quantized_integer(job.x->dtype);
    return sdx_for(compute, job.x->count, SDX_GRAIN_CHEAP, dequantize_range, &job);
}

#define F8            "f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz"
#define SIGNATURE_23  "x:T1 x_scale:T2 x_zero_point:T1? -> y:T3"
#define ATTRIBUTES_23 "axis:int=1 block_size:int=0 output_dtype:int=0"

/* Of blocks: the scale was spread along the axis by the number of the block. */
static sdx_id sum_over_blocks(sdx_grad *grad, const sdx_quantize_params *p, sdx_id products) {
    sdx_patch *patch = grad->patch;
    const sdx_id scale = grad->node->in[1], zero = sdx_patch_scalar(patch, SDX_I64, 0);
    sdx_id n = sdx_emit2(patch, "Gather", sdx_emit1(patch, "Shape", products),
                         sdx_patch_scalar(patch, SDX_I64, (double)p->axis));
    sdx_id places = sdx_emit3(patch, "Range", zero, n, sdx_patch_scalar(patch, SDX_I64, 1));
    places = sdx_emit2(patch, "Div", places, sdx_patch_scalar(patch, SDX_I64, (double)p->block_size));
    sdx_id in[3] = {products, places, sdx_emit1(patch, "Shape", scale)};
    sdx_node *sums = sdx_patch_node(patch, "sdx", "GatherGrad", 3, in, 1);
    sdx_patch_int(patch, sums, "axis", p->axis);
    return sums->out[0];
}

static sdx_status sum_over_axis(sdx_grad *grad, const sdx_quantize_params *p, sdx_id *products) {
    sdx_patch *patch = grad->patch;
    const int rank = sdx_grad_type(patch, grad->node->in[0])->rank;
    int64_t axes[SDX_MAX_RANK];
    size_t n = 0;
    if (rank < 0) return sdx_fail(grad->error, SDX_UNSUPPORTED, "the rank of input 'x' must be known for the gradient");
    for (int d = 0; d < rank; d++)
        if (d != sdx_axis_of(p->axis, rank)) axes[n++] = d;
    if (n) *products = sdx_emit_int(patch, "ReduceSum", *products, sdx_patch_i64s(patch, axes, n), "keepdims", 0);
    return SDX_OK;
}

/* By the scale alone: dY times what the result would be for a scale of 1, over what shares it. */
static sdx_status dequantize_grad(sdx_grad *grad, const void *params) {
    const sdx_quantize_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_node *node = grad->node;
    if (!grad->needed[1]) return SDX_OK;
    sdx_id in[3] = {node->in[0], sdx_grad_filled(patch, node->in[1], 1), sdx_grad_in(grad, 2)};
    sdx_node *whole = sdx_patch_node(patch, "", "DequantizeLinear", in[2] == SDX_NONE ? 2 : 3, in, 1);
    sdx_patch_attrs_of(patch, whole, node, NULL, 0);
    sdx_id products = sdx_emit2(patch, "Mul", grad->dY[0], whole->out[0]);
    if (p->block_size > 0)
        products = sum_over_blocks(grad, p, products);
    else if (sdx_grad_type(patch, node->in[1])->rank == 1 && p->by_axis)
        SDX_TRY(sum_over_axis(grad, p, &products));
    grad->dX[1] = sdx_grad_cast(patch, products, node->in[1]);
    return patch->status;
}

const sdx_op sdx_op_DequantizeLinear = {
    .domain = "",
    .name = "DequantizeLinear",
    .versions =
        (const sdx_op_version[]){
            {10, "x:T x_scale:f32 x_zero_point:T? -> y:f32", "T=i32|i8|u8", ""},
            {13, "x:T x_scale:f32 x_zero_point:T? -> y:f32", "T=i32|i8|u8", "axis:int=1"},
            {19, "x:T1 x_scale:T2 x_zero_point:T1? -> y:T2", "T1=" F8 "|i32|i8|u8 T2=bf16|f16|f32", "axis:int=1"},
            {21, "x:T1 x_scale:T2 x_zero_point:T1? -> y:T2", "T1=" F8 "|i16|i32|i4|i8|u16|u4|u8 T2=bf16|f16|f32",
             "axis:int=1 block_size:int=0"},
            {23, SIGNATURE_23, "T1=f4e2m1|" F8 "|i16|i32|i4|i8|u16|u4|u8 T2=bf16|f16|f32 T3=bf16|f16|f32",
             ATTRIBUTES_23},
            {24, SIGNATURE_23, "T1=f4e2m1|" F8 "|i16|i32|i4|i8|u16|u4|u8 T2=bf16|f16|f32|f8e8m0 T3=bf16|f16|f32",
             ATTRIBUTES_23},
            {25, SIGNATURE_23, "T1=f4e2m1|" F8 "|i16|i2|i32|i4|i8|u16|u2|u4|u8 T2=bf16|f16|f32|f8e8m0 T3=bf16|f16|f32",
             ATTRIBUTES_23},
            {28, SIGNATURE_23,
             "T1=f4e2m1|f6e2m3|f6e3m2|" F8 "|i16|i2|i32|i4|i8|u16|u2|u4|u8 T2=bf16|f16|f32|f8e8m0 T3=bf16|f16|f32",
             ATTRIBUTES_23},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_quantize_params),
    .bind = sdx_quantize_bind,
    .infer = dequantize_infer,
    .compute = dequantize_compute,
    .grad = dequantize_grad,
};
