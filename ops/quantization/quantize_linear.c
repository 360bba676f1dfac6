/* SPDX-License-Identifier: Apache-2.0
 * QuantizeLinear: y = saturate(round(x / y_scale) + y_zero_point), ties to even; to the float types y = cast(x /
 * y_scale +
 * y_zero_point). The quotient has the precision of y_scale or of attribute 'precision': a narrow one is rounded. */
#include "ops/kernels/kernels.h"
#include "ops/loop.h"
#include "ops/quantization/quantize.h"
#include "ops/tensor/cast_convert.h"

enum { TILE = SDX_QUANTIZE_TILE };

static sdx_status quantize_infer(sdx_infer *infer, const void *params) {
    const sdx_quantize_params *p = params;
    const bool has_zero = infer->n_in > 2 && infer->in[2];
    sdx_type *y = &infer->out[0];
    if (has_zero && p->output && infer->in[2]->dtype && p->output != infer->in[2]->dtype)
        return sdx_fail(infer->error, SDX_TYPE, "attribute 'output_dtype' is %s; input 'y_zero_point' is %s",
                        sdx_dtype_name(p->output), sdx_dtype_name(infer->in[2]->dtype));
    if (!has_zero) y->dtype = p->output ? p->output : SDX_U8;
    const bool is_float = sdx_dtype_class(y->dtype) == SDX_CLASS_FLOAT && sdx_dtype_size(y->dtype) == 1;
    if (y->dtype && y->dtype != SDX_F8E8M0 && !is_float && !sdx_is_quantized_integer(y->dtype))
        return sdx_fail(infer->error, SDX_TYPE, "attribute 'output_dtype' is %s, which is no quantized type",
                        sdx_dtype_name(y->dtype));
    if (y->dtype == SDX_F8E8M0)
        return sdx_fail(infer->error, SDX_TYPE, "attribute 'output_dtype' is f8e8m0, which is for scales alone");
    return sdx_granules_infer(infer, p, 'y');
}

typedef struct quantize_job {
    sdx_quantize_job q;
    sdx_dtype work;   /* f32 or f64 */
    sdx_dtype narrow; /* what quotients are rounded to; else UNDEFINED */
    sdx_cast cast;
    float low, high;
} quantize_job;

typedef union tile {
    float f32[TILE];
    double f64[TILE];
} tile;

/* Kept by the caller: clearing them costs more than a short tile. */
typedef struct rooms {
    tile x, scale, quotient;
    float zero[TILE];
    uint16_t narrow[TILE];
} rooms;

/* x / scale as f32. */
static void divide(const quantize_job *job, const void *x, const void *scale, int64_t step, int64_t n, rooms *room) {
    tile *out = &room->quotient;
    uint16_t *narrow = room->narrow;
    job->q.kernels->binary(SDX_BINARY_Div, job->work)(x, 1, scale, step, out, n);
    if (job->work == SDX_F64) {
        const sdx_dtype to = job->narrow ? job->narrow : SDX_F32;
        if (job->narrow) {
            sdx_convert(job->q.kernels, SDX_F64, out, to, narrow, n);
            sdx_convert(job->q.kernels, to, narrow, SDX_F32, out->f32, n);
            return;
        }
        for (int64_t i = 0; i < n; i++) out->f32[i] = (float)out->f64[i];
    } else if (job->narrow) {
        sdx_convert(job->q.kernels, SDX_F32, out, job->narrow, narrow, n);
        sdx_convert(job->q.kernels, job->narrow, narrow, SDX_F32, out->f32, n);
    }
}

/* n <= TILE elements with one scale (step 0) or one each. */
static void quantize_tile(const void *context, int64_t flat, int64_t place, int64_t step, int64_t n, void *space) {
    const quantize_job *job = context;
    const sdx_quantize_job *q = &job->q;
    rooms *room = space;
    void *y = (void *)sdx_quantize_at(q->y, flat);
    const size_t size = sdx_dtype_size(q->y->dtype);
    const int64_t scales = step ? n : 1;
    const bool to_integer = sdx_is_quantized_integer(q->y->dtype);
    const void *x = sdx_quantize_as(q, q->x, flat, n, job->work, &room->x);
    const void *scale = sdx_quantize_as(q, q->scale, place, scales, job->work, &room->scale);
    const float *zero = room->zero;
    if (q->zero)
        zero = sdx_quantize_as(q, q->zero, place, scales, SDX_F32, room->zero);
    else
        for (int64_t i = 0; i < scales; i++) room->zero[i] = 0;
    if (to_integer && !job->narrow) {
        if (job->work == SDX_F32)
            q->kernels->quantize_f32(x, scale, zero, step, job->low, job->high, size, y, n);
        else
            q->kernels->quantize_f64(x, scale, zero, step, job->low, job->high, size, y, n);
        return;
    }
    divide(job, x, scale, step, n, room);
    if (to_integer) {
        q->kernels->quantize_f32(room->quotient.f32, NULL, zero, step, job->low, job->high, size, y, n);
        return;
    }
    if (q->zero) q->kernels->binary(SDX_BINARY_Add, SDX_F32)(room->quotient.f32, 1, zero, step, room->quotient.f32, n);
    sdx_cast_numbers(q->kernels, &job->cast, SDX_F32, room->quotient.f32, y, n);
}

static void quantize_range(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const quantize_job *job = argument;
    rooms room;
    sdx_quantize_tiles(&job->q, begin, end, quantize_tile, job, &room);
}

static sdx_status quantize_compute(sdx_compute *compute, const void *params) {
    const sdx_quantize_params *p = params;
    quantize_job job = {0};
    sdx_quantize_job *q = &job.q;
    SDX_TRY(sdx_quantize_begin(compute, p, 'y', q));
    const sdx_dtype precision = p->precision ? p->precision : q->scale->dtype;
    job.work = q->x->dtype == SDX_I32 || q->scale->dtype == SDX_I32 || precision == SDX_F64 ? SDX_F64 : SDX_F32;
    job.narrow = precision == SDX_F16 || precision == SDX_BF16 ? precision : SDX_UNDEFINED;
    job.cast = (sdx_cast){.to = q->y->dtype, .saturate = p->saturate};
    q->direct = q->x->dtype == job.work && !job.narrow && sdx_is_quantized_integer(q->y->dtype);
    if (sdx_is_quantized_integer(q->y->dtype)) sdx_quantized_range(q->y->dtype, &job.low, &job.high);
    return sdx_for(compute, q->x->count, SDX_GRAIN_MATH, quantize_range, &job);
}

#define F8            "f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz"
#define SIGNATURE_23  "x:T1 y_scale:T2 y_zero_point:T3? -> y:T3"
#define ATTRIBUTES_23 "axis:int=1 block_size:int=0 output_dtype:int=0 precision:int=0 saturate:int=1"

const sdx_op sdx_op_QuantizeLinear = {
    .domain = "",
    .name = "QuantizeLinear",
    .versions =
        (const sdx_op_version[]){
            {10, "x:T1 y_scale:f32 y_zero_point:T2? -> y:T2", "T1=f32|i32 T2=i8|u8", ""},
            {13, "x:T1 y_scale:f32 y_zero_point:T2? -> y:T2", "T1=f32|i32 T2=i8|u8", "axis:int=1"},
            {19, "x:T1 y_scale:T1 y_zero_point:T2? -> y:T2", "T1=bf16|f16|f32|i32 T2=" F8 "|i8|u8",
             "axis:int=1 saturate:int=1"},
            {21, "x:T1 y_scale:T1 y_zero_point:T2? -> y:T2", "T1=bf16|f16|f32|i32 T2=" F8 "|i16|i4|i8|u16|u4|u8",
             "axis:int=1 block_size:int=0 output_dtype:int=0 saturate:int=1"},
            {23, SIGNATURE_23, "T1=bf16|f16|f32|i32 T2=bf16|f16|f32|i32 T3=f4e2m1|" F8 "|i16|i4|i8|u16|u4|u8",
             ATTRIBUTES_23},
            {24, SIGNATURE_23, "T1=bf16|f16|f32|i32 T2=bf16|f16|f32|f8e8m0|i32 T3=f4e2m1|" F8 "|i16|i4|i8|u16|u4|u8",
             ATTRIBUTES_23},
            {25, SIGNATURE_23,
             "T1=bf16|f16|f32|i32 T2=bf16|f16|f32|f8e8m0|i32 T3=f4e2m1|" F8 "|i16|i2|i4|i8|u16|u2|u4|u8",
             ATTRIBUTES_23},
            {28, SIGNATURE_23,
             "T1=bf16|f16|f32|i32 T2=bf16|f16|f32|f8e8m0|i32 T3=f4e2m1|f6e2m3|f6e3m2|" F8 "|i16|i2|i4|i8|u16|u2|u4|u8",
             ATTRIBUTES_23},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_quantize_params),
    .bind = sdx_quantize_bind,
    .infer = quantize_infer,
    .compute = quantize_compute,
    .grad = sdx_no_gradient,
};
