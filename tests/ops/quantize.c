/* SPDX-License-Identifier: Apache-2.0
 * QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear. */
#include "runtime/base/half.h"
#include "tests/ops/case.h"
#include <math.h>

/* The scale that serves element `flat` of x. */
static int64_t place_of(const sdx_case_run *run, int64_t flat) {
    const sdx_ref *x = &run->in[0], *scale = &run->in[1];
    const int64_t block = sdx_case_int(run, "block_size", 0);
    int64_t axis = sdx_case_int(run, "axis", 1), at = 0, step = 1;
    if (scale->count == 1) return 0;
    if (axis < 0) axis += x->rank;
    for (int d = x->rank - 1; d >= 0; d--) {
        int64_t i = flat % x->dim[d];
        flat /= x->dim[d];
        if (block == 0 && d == axis) return i;
        at += (d == axis ? i / block : i) * step;
        step *= scale->dim[d];
    }
    return at;
}

static double in_precision(sdx_dtype dtype, double v) {
    if (dtype == SDX_F16) return (double)sdx_f32_from_f16(sdx_f16_from_f32((float)v));
    if (dtype == SDX_BF16) return (double)sdx_f32_from_bf16(sdx_bf16_from_f32((float)v));
    return v;
}

static void range_of(sdx_dtype dtype, double *low, double *high) {
    const int bits = sdx_dtype_bits(dtype);
    const bool is_signed = sdx_dtype_class(dtype) == SDX_CLASS_SIGNED;
    *low = is_signed ? -ldexp(1, bits - 1) : 0;
    *high = is_signed ? ldexp(1, bits - 1) - 1 : ldexp(1, bits) - 1;
}

static void quantize(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0], *scale = &run->in[1], *zero = run->n_in > 2 ? &run->in[2] : NULL;
    const sdx_dtype precision = (sdx_dtype)sdx_case_int(run, "precision", scale->dtype);
    const bool whole = x->dtype == SDX_I32 || scale->dtype == SDX_I32 || precision == SDX_F64;
    double *y = sdx_case_output_like(run, 0, 0), low = 0, high = 0;
    const bool typed = zero && zero->present;
    const sdx_dtype to = typed ? zero->dtype : (sdx_dtype)sdx_case_int(run, "output_dtype", SDX_U8);
    const bool to_float = sdx_dtype_class(to) == SDX_CLASS_FLOAT;
    if (!to_float) range_of(to, &low, &high);
    for (int64_t k = 0; k < x->count; k++) {
        const int64_t at = place_of(run, k);
        double v = x->v[k] / scale->v[at], z = zero && zero->present ? zero->v[at] : 0;
        if (!whole) v = (double)((float)x->v[k] / (float)scale->v[at]);
        v = in_precision(precision, v);
        if (to_float)
            y[k] = v + z;
        else
            y[k] = fmin(fmax(nearbyint(v) + z, low), high);
    }
}

static void dequantize(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0], *scale = &run->in[1], *zero = run->n_in > 2 ? &run->in[2] : NULL;
    double *y = sdx_case_output_like(run, 0, 0);
    for (int64_t k = 0; k < x->count; k++) {
        const int64_t at = place_of(run, k);
        y[k] = (x->v[k] - (zero && zero->present ? zero->v[at] : 0)) * scale->v[at];
    }
}

static void dynamic(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0];
    float least = 0, most = 0;
    for (int64_t k = 0; k < x->count; k++) {
        least = fminf(least, (float)x->v[k]);
        most = fmaxf(most, (float)x->v[k]);
    }
    const float scale = (most == least ? 1 : most - least) / 255;
    const double zero = nearbyint((double)(-least / scale));
    double *y = sdx_case_output_like(run, 0, 0);
    for (int64_t k = 0; k < x->count; k++)
        y[k] = fmin(fmax(nearbyint((double)((float)x->v[k] / scale)) + zero, 0), 255);
    sdx_case_output(run, 1, 0, NULL)[0] = (double)scale;
    sdx_case_output(run, 2, 0, NULL)[0] = zero;
}

#define Q(suffix, version, ...)                                                                                        \
    { .name = "quantize_" suffix, .op = "QuantizeLinear", .opset = version, .reference = quantize, __VA_ARGS__ }
#define D(suffix, version, ...)                                                                                        \
    { .name = "dequantize_" suffix, .op = "DequantizeLinear", .opset = version, .reference = dequantize, __VA_ARGS__ }
#define FAILS(suffix, which, version, error, text, ...)                                                                \
    { .name = suffix, .op = which, .opset = version, .fails = error, .says = text, __VA_ARGS__ }
/* Scales that are whole numbers in i32. */
#define SCALES(shape) "T2" shape "=uniform(1,4)"

const sdx_case sdx_cases[] = {
    Q("10", 10, .inputs = "T1[N,3]=uniform(-20,20) f32[]=uniform(0.05,0.2) T2[]=ints(0,100)", .dims = "N=0..400"),
    Q("10_no_zero", 10, .inputs = "T1[N]=uniform(-10,300) f32[]={0.7}", .dims = "N=1..70"),
    Q("13_per_tensor", 13, .inputs = "T1[N,3]=uniform(-20,20) f32[1]={0.1} T2[1]={7}", .dims = "N=1..50"),
    Q("13_per_axis", 13, .inputs = "T1[N,C,L]=uniform(-20,20) f32[C]=uniform(0.05,0.2) T2[C]=ints(0,100)",
      .dims = "N=1..4 C=1..9 L=1..40"),
    Q("13_last_axis", 13, .attributes = "axis:int=-1",
      .inputs = "T1[N,C]=uniform(-20,20) f32[C]=uniform(0.05,0.2) T2[C]=ints(0,100)", .dims = "N=1..40 C=1..600"),
    Q("19", 19, .inputs = "T1[N,C]=uniform(-90,90) T1[C]=uniform(1,4) T2[C]=ints(0,3)", .dims = "N=1..9 C=1..40"),
    Q("21_blocked", 21, .attributes = "axis:int=1 block_size:int=4",
      .inputs = "T1[2,4*B,3]=uniform(-90,90) T1[2,B,3]=uniform(1,4) T2[2,B,3]=ints(0,3)", .dims = "B=1..9"),
    Q("21_blocked_short", 21, .attributes = "axis:int=-1 block_size:int=8",
      .inputs = "T1[3,8*B+5]=uniform(-90,90) T1[3,B+1]=uniform(1,4)", .dims = "B=0..5"),
    Q("21_output_dtype", 21, .attributes = "output_dtype:int=5", .inputs = "T1[40]=uniform(-90,90) T1[]={2}"),
    Q("23", 23, .inputs = "T1[3,C]=uniform(-90,90) " SCALES("[C]") " T3[C]=ints(0,1)", .dims = "C=1..40"),
    Q("24_scale", 24, .inputs = "T1[3,C]=uniform(-90,90) " SCALES("[C]"), .dims = "C=1..40"),
    Q("25_precision", 25, .attributes = "precision:int=10 output_dtype:int=3",
      .inputs = "T1[70]=uniform(-120,120) " SCALES("[]")),
    Q("25_precision_bf16", 25, .attributes = "precision:int=16", .inputs = "T1[70]=uniform(0,500) " SCALES("[]")),
    Q("25_precision_f64", 25, .attributes = "precision:int=11", .inputs = "T1[70]=uniform(0,500) " SCALES("[]")),
    Q("28", 28, .inputs = "T1[60]=uniform(-9,9) " SCALES("[]") " T3[]=ints(0,1)"),
    {.name = "quantize_ties",
     .op = "QuantizeLinear",
     .opset = 13,
     .inputs = "f32[8]={0.5 1.5 2.5 -0.5 -1.5 1000 -1000 nan} f32[]={1} i8[]={1}",
     .expect = "i8[8]={1 3 3 1 -1 127 -128 -128}"},
    {.name = "quantize_narrow_zero",
     .op = "QuantizeLinear",
     .opset = 25,
     .inputs = "f32[4]={-1 0 1 2} f32[]={1} i2[]={-1}",
     .expect = "i2[4]={-2 -1 0 1}"},
    {.name = "dequantize_narrow_zero",
     .op = "DequantizeLinear",
     .opset = 25,
     .inputs = "T1[4]={-2 -1 0 1} f32[]={2} T1[]={-1}",
     .expect = "f32[4]={-2 0 2 4}",
     .types = "T1=i2|i4|i8|i16"}, /* the signed ones */
    {.name = "quantize_i4",
     .op = "QuantizeLinear",
     .opset = 21,
     .inputs = "f32[6]={-100 -3 0 2.6 5 100} f32[]={1} i4[]={1}",
     .expect = "i4[6]={-8 -2 1 4 6 7}"},
    {.name = "quantize_u2",
     .op = "QuantizeLinear",
     .opset = 25,
     .attributes = "output_dtype:int=25",
     .inputs = "f32[6]={-100 -3 0 1.4 2 100} f32[]={1}",
     .expect = "u2[6]={0 0 0 1 2 3}"},
    {.name = "quantize_no_saturate",
     .op = "QuantizeLinear",
     .opset = 19,
     .attributes = "saturate:int=0",
     .inputs = "f32[3]={1 1000 -2} f32[]={1} f8e4m3fn[]={0}",
     .expect = "f8e4m3fn[3]={1 nan -2}"},
    {.name = "quantize_saturate",
     .op = "QuantizeLinear",
     .opset = 19,
     .inputs = "f32[3]={1 1000 -2} f32[]={1} f8e4m3fn[]={0}",
     .expect = "f8e4m3fn[3]={1 448 -2}"},
    FAILS("quantize_axis", "QuantizeLinear", 13, SDX_SHAPE, "attribute 'axis' is 2; input 'x' has rank 2",
          .attributes = "axis:int=2", .inputs = "f32[2,3]=normal f32[3]=const(1) u8[3]=const(0)"),
    FAILS("quantize_scale_length", "QuantizeLinear", 13, SDX_SHAPE,
          "must be a scalar, or have the 3 elements of axis 1", .inputs = "f32[2,3]=normal f32[2]=const(1)"),
    FAILS("quantize_10_vector", "QuantizeLinear", 10, SDX_SHAPE, "before opset 13 it must be a scalar",
          .inputs = "f32[2,3]=normal f32[3]=const(1)"),
    FAILS("quantize_zero_shape", "QuantizeLinear", 13, SDX_SHAPE, "input 'y_zero_point' is u8[2]",
          .inputs = "f32[2,3]=normal f32[3]=const(1) u8[2]=const(0)"),
    FAILS("quantize_block_size", "QuantizeLinear", 21, SDX_VALUE, "attribute 'block_size' is -1",
          .attributes = "block_size:int=-1", .inputs = "f32[2,3]=normal f32[3]=const(1)"),
    FAILS("quantize_blocks", "QuantizeLinear", 21, SDX_SHAPE, "dimension 1 of input 'y_scale' is 3; it must be 2",
          .attributes = "block_size:int=2", .inputs = "f32[2,4]=normal f32[2,3]=const(1)"),
    FAILS("quantize_output_dtype", "QuantizeLinear", 21, SDX_TYPE, "attribute 'output_dtype' is i8",
          .attributes = "output_dtype:int=3", .inputs = "f32[2,4]=normal f32[]=const(1) u8[]=const(0)"),
    FAILS("quantize_to_i64", "QuantizeLinear", 21, SDX_TYPE, "i64", .attributes = "output_dtype:int=7",
          .inputs = "f32[2,4]=normal f32[]=const(1)"),
    D("10", 10, .inputs = "T[N,3]=ints(0,100) f32[]=uniform(0.05,0.2) T[]=ints(0,100)", .dims = "N=0..400"),
    D("13_per_axis", 13, .inputs = "T[N,C,L]=ints(0,100) f32[C]=uniform(0.05,0.2) T[C]=ints(0,100)",
      .dims = "N=1..4 C=1..9 L=1..40"),
    D("13_last_axis", 13, .attributes = "axis:int=-1", .inputs = "T[N,C]=ints(0,100) f32[C]=uniform(0.05,0.2)",
      .dims = "N=1..40 C=1..600"),
    D("19", 19, .attributes = "axis:int=0", .inputs = "T1[C,N]=ints(-4,8) T2[C]=uniform(0.05,0.2) T1[C]=ints(0,2)",
      .dims = "N=1..9 C=1..40"),
    D("21_blocked", 21, .attributes = "axis:int=1 block_size:int=4",
      .inputs = "T1[2,4*B,3]=ints(0,7) T2[2,B,3]=uniform(1,4) T1[2,B,3]=ints(0,3)", .dims = "B=1..9"),
    D("21_blocked_short", 21, .attributes = "axis:int=-1 block_size:int=8",
      .inputs = "T1[3,8*B+5]=ints(0,7) T2[3,B+1]=uniform(1,4)", .dims = "B=0..5"),
    D("23_f16", 23, .attributes = "output_dtype:int=10", .inputs = "T1[3,C]=ints(0,7) T2[C]=uniform(1,4)",
      .dims = "C=1..40", .rtol = 1e-3),
    D("24_f32", 24, .attributes = "output_dtype:int=1", .inputs = "T1[3,C]=ints(0,7) T2[C]=uniform(1,4)",
      .dims = "C=1..40"),
    D("28_bf16", 28, .attributes = "output_dtype:int=16",
      .inputs = "T1[3,C]=ints(0,1) T2[C]=uniform(1,4) T1[C]=ints(0,1)", .dims = "C=1..40", .rtol = 0x1p-7),
    {.name = "dequantize_i32",
     .op = "DequantizeLinear",
     .opset = 10,
     .inputs = "i32[3]={2000000001 -2000000000 7} f32[]={0.5} i32[]={1}",
     .expect = "f32[3]={1e9 -1000000000.5 3}"},
    FAILS("dequantize_e8m0", "DequantizeLinear", 24, SDX_TYPE, "attribute 'output_dtype' must then be given",
          .inputs = "u8[4]=const(1) f8e8m0[]={2}"),
    FAILS("dequantize_to_f64", "DequantizeLinear", 24, SDX_TYPE, "f64", .attributes = "output_dtype:int=11",
          .inputs = "u8[4]=const(1) f32[]={2}"),
    FAILS("dequantize_blocks_rank", "DequantizeLinear", 21, SDX_SHAPE, "input 'x_scale' has rank 1",
          .attributes = "block_size:int=2", .inputs = "u8[2,4]=const(1) f32[2]=const(1)"),
    {.name = "dynamic",
     .op = "DynamicQuantizeLinear",
     .opset = 11,
     .inputs = "f32[N,7]=uniform(-3,9)",
     .dims = "N=0..300",
     .outputs = "y s z",
     .reference = dynamic},
    {.name = "dynamic_positive",
     .op = "DynamicQuantizeLinear",
     .opset = 11,
     .inputs = "f32[9]=uniform(1,9)",
     .outputs = "y s z",
     .reference = dynamic},
    {.name = "dynamic_negative",
     .op = "DynamicQuantizeLinear",
     .opset = 11,
     .inputs = "f32[9]=uniform(-9,-1)",
     .outputs = "y s z",
     .reference = dynamic},
    {.name = "dynamic_zeros",
     .op = "DynamicQuantizeLinear",
     .opset = 11,
     .inputs = "f32[9]=const(0)",
     .outputs = "y s z",
     .reference = dynamic},
};
SDX_CASES_END
