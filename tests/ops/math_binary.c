/* SPDX-License-Identifier: Apache-2.0
 * Operators of two or more broadcast inputs: arithmetic, comparisons, logic, Clip, PRelu, Where. */
#include "tests/ops/case.h"
#include <math.h>

/* Dims of the broadcast of all inputs. */
static double *broadcast_output(sdx_case_run *run) {
    int rank = 0;
    int64_t dims[SDX_MAX_RANK];
    for (int k = 0; k < run->n_in; k++) rank = run->in[k].rank > rank ? run->in[k].rank : rank;
    for (int d = 0; d < rank; d++) dims[d] = 1;
    for (int k = 0; k < run->n_in; k++)
        for (int d = 0; d < run->in[k].rank; d++)
            if (run->in[k].dim[d] != 1) dims[rank - run->in[k].rank + d] = run->in[k].dim[d];
    return sdx_case_output(run, 0, rank, dims);
}

static bool is_float(sdx_dtype dtype) {
    return dtype == SDX_F32 || dtype == SDX_F64 || dtype == SDX_F16 || dtype == SDX_BF16;
}
static double floor_mod(double a, double b) {
    double r = fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}
static double most(double a, double b) { return isnan(a) || isnan(b) ? NAN : a > b ? a : b; }
static double least(double a, double b) { return isnan(a) || isnan(b) ? NAN : a < b ? a : b; }

/* a and b are the elements, `type` that of the first input */
#define REFERENCE(name, expression)                                                                                    \
    static void name(sdx_case_run *run) {                                                                              \
        double *y = broadcast_output(run);                                                                             \
        for (int64_t k = 0; k < run->out[0].count; k++) {                                                              \
            double a = run->in[0].v[sdx_ref_broadcast(&run->in[0], &run->out[0], k)];                                  \
            double b = run->in[1].v[sdx_ref_broadcast(&run->in[1], &run->out[0], k)];                                  \
            y[k] = expression;                                                                                         \
        }                                                                                                              \
    }
REFERENCE(add, a + b)
REFERENCE(sub, a - b)
REFERENCE(mul, a *b)
REFERENCE(div_, is_float(run->in[0].dtype) ? a / b : trunc(a / b))
REFERENCE(mod, sdx_case_int(run, "fmod", 0) ? fmod(a, b) : floor_mod(a, b))
REFERENCE(pow_, is_float(run->in[0].dtype) ? pow(a, b) : trunc(pow(a, b)))
REFERENCE(prelu, a < 0 ? a * b : a)
REFERENCE(equal, a == b)
REFERENCE(greater, a > b)
REFERENCE(less, a < b)
REFERENCE(greater_or_equal, a >= b)
REFERENCE(less_or_equal, a <= b)
REFERENCE(and_, a != 0 && b != 0)
REFERENCE(or_, a != 0 || b != 0)
REFERENCE(xor_, (a != 0) != (b != 0))

#define FOLD(name, start, expression, finish)                                                                          \
    static void name(sdx_case_run *run) {                                                                              \
        double *y = broadcast_output(run);                                                                             \
        for (int64_t k = 0; k < run->out[0].count; k++) {                                                              \
            double a = start;                                                                                          \
            for (int j = 0; j < run->n_in; j++) {                                                                      \
                double b = run->in[j].v[sdx_ref_broadcast(&run->in[j], &run->out[0], k)];                              \
                a = expression;                                                                                        \
            }                                                                                                          \
            y[k] = finish;                                                                                             \
        }                                                                                                              \
    }
FOLD(max_, -INFINITY, most(a, b), a)
FOLD(min_, INFINITY, least(a, b), a)
FOLD(sum, 0, a + b, a)
FOLD(mean, 0, a + b, a / run->n_in)

static void where(sdx_case_run *run) {
    double *y = broadcast_output(run);
    for (int64_t k = 0; k < run->out[0].count; k++) {
        int from = run->in[0].v[sdx_ref_broadcast(&run->in[0], &run->out[0], k)] != 0 ? 1 : 2;
        y[k] = run->in[from].v[sdx_ref_broadcast(&run->in[from], &run->out[0], k)];
    }
}

static void clip(sdx_case_run *run) {
    double *y = sdx_case_output_like(run, 0, 0);
    for (int64_t k = 0; k < run->in[0].count; k++) {
        y[k] = run->in[0].v[k];
        if (run->n_in > 1 && run->in[1].present) y[k] = most(y[k], run->in[1].v[0]);
        if (run->n_in > 2 && run->in[2].present) y[k] = least(y[k], run->in[2].v[0]);
    }
}
static void clip_old(sdx_case_run *run) {
    double *y = sdx_case_output_like(run, 0, 0);
    for (int64_t k = 0; k < run->in[0].count; k++)
        y[k] =
            least(most(run->in[0].v[k], sdx_case_float(run, "min", -INFINITY)), sdx_case_float(run, "max", INFINITY));
}

/* Shapes: equal, scalars, rows, columns, both spread, ranks that differ, short inner dimensions. */
#define SHAPES(op_, version, a, b, function, ...)                                                                      \
    {.name = #function "_same",                                                                                        \
     .op = op_,                                                                                                        \
     .opset = version,                                                                                                 \
     .inputs = "T[N,5]=" a " T[N,5]=" b,                                                                               \
     .dims = "N=0..90",                                                                                                \
     .reference = function,                                                                                            \
     __VA_ARGS__},                                                                                                     \
        {.name = #function "_row",                                                                                     \
         .op = op_,                                                                                                    \
         .opset = version,                                                                                             \
         .inputs = "T[N,C]=" a " T[C]=" b,                                                                             \
         .dims = "N=1..40 C=1..90",                                                                                    \
         .reference = function,                                                                                        \
         __VA_ARGS__},                                                                                                 \
        {.name = #function "_column",                                                                                  \
         .op = op_,                                                                                                    \
         .opset = version,                                                                                             \
         .inputs = "T[N,1]=" a " T[N,C]=" b,                                                                           \
         .dims = "N=1..40 C=1..90",                                                                                    \
         .reference = function,                                                                                        \
         __VA_ARGS__},                                                                                                 \
    {                                                                                                                  \
        .name = #function "_scalar", .op = op_, .opset = version, .inputs = "T[]=" a " T[N]=" b, .dims = "N=0..90",    \
        .reference = function, __VA_ARGS__                                                                             \
    }
/* Divisors must not become zero when the result is put in again: only the first input may have its shape. */
#define DIVISION(op_, version, a, b, function, ...)                                                                    \
    {.name = #function "_row",                                                                                         \
     .op = op_,                                                                                                        \
     .opset = version,                                                                                                 \
     .inputs = "T[N,C]=" a " T[C]=" b,                                                                                 \
     .dims = "N=2..40 C=1..90",                                                                                        \
     .reference = function,                                                                                            \
     __VA_ARGS__},                                                                                                     \
    {                                                                                                                  \
        .name = #function "_scalar", .op = op_, .opset = version, .inputs = "T[N]=" a " T[]=" b, .dims = "N=0..90",    \
        .reference = function, __VA_ARGS__                                                                             \
    }
#define CROSSED(op_, version, a, b, function, ...)                                                                     \
    {.name = #function "_channel",                                                                                     \
     .op = op_,                                                                                                        \
     .opset = version,                                                                                                 \
     .inputs = "T[2,C,H,3]=" a " T[C,1,1]=" b,                                                                         \
     .dims = "C=1..9 H=1..30",                                                                                         \
     .reference = function,                                                                                            \
     __VA_ARGS__},                                                                                                     \
    {                                                                                                                  \
        .name = #function "_crossed", .op = op_, .opset = version, .inputs = "T[4,1,C,1]=" a " T[3,1,H]=" b,           \
        .dims = "C=1..9 H=1..50", .reference = function, __VA_ARGS__                                                   \
    }
#define OLD(op_, version, function, ...)                                                                               \
    {.name = #function "_old_same",                                                                                    \
     .op = op_,                                                                                                        \
     .opset = version,                                                                                                 \
     .inputs = "T[2,3]=ints(1,5) T[2,3]=ints(1,5)",                                                                    \
     .reference = function,                                                                                            \
     __VA_ARGS__},                                                                                                     \
    {                                                                                                                  \
        .name = #function "_old_suffix", .op = op_, .opset = version, .attributes = "broadcast:int=1",                 \
        .inputs = "T[2,3,4]=ints(1,5) T[3,4]=ints(1,5)", .reference = function, __VA_ARGS__                            \
    }

const sdx_case sdx_cases[] = {
    SHAPES("Add", 14, "ints(-50,50)", "ints(-50,50)", add, .types = "T=f16|bf16|f32|f64|i16|i32|i64"),
    CROSSED("Add", 14, "normal", "normal", add, .types = "T=f32|f16"),
    OLD("Add", 6, add),
    OLD("Add", 1, add),
    {.name = "add_old_axis",
     .op = "Add",
     .opset = 6,
     .attributes = "broadcast:int=1 axis:int=1",
     .inputs = "T[1,2,2]={1 2 3 4} T[2]={10 20}",
     .expect = "T[1,2,2]={11 12 23 24}"},
    {.name = "add_old_axis_negative",
     .op = "Add",
     .opset = 6,
     .attributes = "broadcast:int=1 axis:int=-3",
     .inputs = "T[2,1,2]={1 2 3 4} T[2,1]={10 20}",
     .expect = "T[2,1,2]={11 12 23 24}"},
    {.name = "add_old_one",
     .op = "Add",
     .opset = 6,
     .attributes = "broadcast:int=1",
     .inputs = "T[3]={1 2 3} T[1]={10}",
     .expect = "T[3]={11 12 13}"},
    {.name = "add_old_unfit",
     .op = "Add",
     .opset = 6,
     .attributes = "broadcast:int=1 axis:int=2",
     .inputs = "f32[2,3]=normal f32[3]=normal",
     .fails = SDX_SHAPE,
     .says = "axis"},
    {.name = "add_unfit",
     .op = "Add",
     .opset = 14,
     .inputs = "f32[2,3]=normal f32[2]=normal",
     .fails = SDX_SHAPE,
     .says = "dimension 0 of input 'B' is 2"},
    {.name = "add_wraps",
     .op = "Add",
     .opset = 14,
     .inputs = "i8[2]={127 -128} i8[2]={1 -1}",
     .expect = "i8[2]={-128 127}"},
    SHAPES("Sub", 14, "ints(60,120)", "ints(0,50)", sub),
    OLD("Sub", 6, sub, .types = "T=f16|f32|f64|i32|i64"),
    SHAPES("Mul", 14, "ints(0,11)", "ints(0,11)", mul),
    CROSSED("Mul", 14, "normal", "normal", mul, .types = "T=f32|bf16"),
    OLD("Mul", 6, mul),
    DIVISION("Div", 14, "ints(0,100)", "ints(1,9)", div_),
    CROSSED("Div", 14, "normal", "uniform(1,2)", div_, .types = "T=f32|f64"),
    OLD("Div", 6, div_, .types = "T=f16|f32|f64"),
    {.name = "div_truncates",
     .op = "Div",
     .opset = 14,
     .inputs = "T[4]={7 -7 7 -7} T[4]={2 2 -2 -2}",
     .expect = "T[4]={3 -3 -3 3}",
     .types = "T=i8|i16|i32|i64"},
    {.name = "div_least",
     .op = "Div",
     .opset = 14,
     .inputs = "i32[1]={-2147483648} i32[1]={-1}",
     .expect = "i32[1]={-2147483648}"},
    {.name = "div_zero",
     .op = "Div",
     .opset = 14,
     .inputs = "T[2,2]={1 2 3 4} T[2,2]={1 2 0 4}",
     .fails = SDX_VALUE,
     .says = "input 'B' is 0 at [1,0]",
     .types = "T=i8|u16|i32|i64|u64"},
    {.name = "div_zero_float",
     .op = "Div",
     .opset = 14,
     .inputs = "T[3]={1 -1 0} T[]={0}",
     .expect = "T[3]={inf -inf nan}",
     .types = "T=f16|bf16|f32|f64"},
    {.name = "div_zero_empty", .op = "Div", .opset = 14, .inputs = "i32[0]={} i32[1]={0}", .expect = "i32[0]={}"},
    DIVISION("Mod", 13, "ints(0,100)", "ints(1,9)", mod),
    DIVISION("Mod", 28, "uniform(-9,9)", "uniform(1,3)", mod, .attributes = "fmod:int=1", .types = "T=f32|f64"),
    {.name = "mod_signs",
     .op = "Mod",
     .opset = 13,
     .inputs = "T[4]={7 -7 7 -7} T[4]={3 3 -3 -3}",
     .expect = "T[4]={1 2 -2 -1}",
     .types = "T=i8|i16|i32|i64|f32|f64"},
    {.name = "fmod_signs",
     .op = "Mod",
     .opset = 13,
     .attributes = "fmod:int=1",
     .inputs = "T[4]={7 -7 7 -7} T[4]={3 3 -3 -3}",
     .expect = "T[4]={1 -1 1 -1}",
     .types = "T=i8|i16|i32|i64|f32|f64|f16"},
    {.name = "mod_zero",
     .op = "Mod",
     .opset = 13,
     .inputs = "i64[1]={1} i64[1]={0}",
     .fails = SDX_VALUE,
     .says = "'B' is 0"},
    {.name = "mod_least",
     .op = "Mod",
     .opset = 13,
     .inputs = "i64[2]={-9223372036854775808 5} i64[]={-1}",
     .expect = "i64[2]={0 0}"},
    {.name = "pow",
     .op = "Pow",
     .opset = 15,
     .inputs = "T[N,5]=uniform(0.5,3) T1[N,1]=uniform(-2,3)",
     .dims = "N=0..90",
     .types = "T=f32|f64|f16|bf16 T1=f32|f64|f16|bf16",
     .reference = pow_},
    {.name = "pow_integers",
     .op = "Pow",
     .opset = 15,
     .inputs = "T[5]={2 3 -2 1 -1} T1[5]={3 2 3 7 2}",
     .expect = "T[5]={8 9 -8 1 1}"},
    {.name = "pow_negative",
     .op = "Pow",
     .opset = 15,
     .inputs = "T[4]={2 1 -1 -1} T1[4]={-1 -5 -1 -2}",
     .expect = "T[4]={0 1 -1 1}",
     .types = "T=i32|i64 T1=i8|i16|i32|i64|f32"},
    {.name = "pow_special",
     .op = "Pow",
     .opset = 15,
     .inputs = "T[6]={0 -8 inf -inf nan 2} T1[6]={0 3 -1 3 0 nan}",
     .expect = "T[6]={1 -512 0 -inf 1 nan}",
     .types = "T=f32|f64 T1=f32|f64"},
    {.name = "pow_square",
     .op = "Pow",
     .opset = 7,
     .inputs = "T[N]=normal T[]={2}",
     .dims = "N=1..50",
     .reference = pow_},
    OLD("Pow", 1, pow_),
    {.name = "prelu",
     .op = "PRelu",
     .opset = 16,
     .inputs = "T[N,C]=ints(-9,9) T[C]=ints(0,3)",
     .dims = "N=1..30 C=1..90",
     .types = "T=f16|bf16|f32|f64|i32|i64",
     .reference = prelu,
     .flags = SDX_CASE_KINKS},
    {.name = "prelu_unsigned",
     .op = "PRelu",
     .opset = 16,
     .inputs = "u32[3]={1 2 3} u32[1]={9}",
     .expect = "u32[3]={1 2 3}"},
    {.name = "prelu_wider",
     .op = "PRelu",
     .opset = 16,
     .inputs = "f32[1]={1} f32[2]={1 2}",
     .fails = SDX_SHAPE,
     .says = "slope"},
    {.name = "prelu_old",
     .op = "PRelu",
     .opset = 6,
     .inputs = "T[1,2,2]={-1 -2 -3 4} T[2]={2 3}",
     .expect = "T[1,2,2]={-2 -4 -9 4}"},
    SHAPES("Equal", 13, "ints(0,2)", "ints(0,2)", equal),
    CROSSED("Equal", 13, "ints(0,2)", "ints(0,2)", equal),
    OLD("Equal", 1, equal),
    {.name = "equal_strings",
     .op = "Equal",
     .opset = 19,
     .inputs = "string[3]={'a' 'b' ''} string[3]={'a' 'c' ''}",
     .expect = "bool[3]={1 0 1}"},
    {.name = "equal_strings_scalar",
     .op = "Equal",
     .opset = 19,
     .inputs = "string[3]={'a' 'b' ''} string[]={'b'}",
     .expect = "bool[3]={0 1 0}"},
    SHAPES("Greater", 13, "ints(0,3)", "ints(0,3)", greater),
    OLD("Greater", 1, greater),
    SHAPES("Less", 13, "ints(0,3)", "ints(0,3)", less),
    OLD("Less", 1, less),
    SHAPES("GreaterOrEqual", 16, "ints(0,3)", "ints(0,3)", greater_or_equal),
    SHAPES("LessOrEqual", 16, "ints(0,3)", "ints(0,3)", less_or_equal),
    {.name = "compare_nan",
     .op = "LessOrEqual",
     .opset = 16,
     .inputs = "T[4]={nan 1 nan inf} T[4]={1 nan nan inf}",
     .expect = "bool[4]={0 0 0 1}",
     .types = "T=f16|bf16|f32|f64"},
    SHAPES("And", 7, "bool", "bool", and_),
    SHAPES("Or", 7, "bool", "bool", or_),
    SHAPES("Xor", 7, "bool", "bool", xor_),
    {.name = "and_old",
     .op = "And",
     .opset = 1,
     .attributes = "broadcast:int=1",
     .inputs = "bool[2,3]=bool bool[3]=bool",
     .reference = and_},
    {.name = "bitwise_and", .op = "BitwiseAnd", .opset = 18, .inputs = "T[2]={12 5} T[]={6}", .expect = "T[2]={4 4}"},
    {.name = "bitwise_or", .op = "BitwiseOr", .opset = 18, .inputs = "T[2]={12 5} T[]={6}", .expect = "T[2]={14 7}"},
    {.name = "bitwise_xor", .op = "BitwiseXor", .opset = 18, .inputs = "T[2]={12 5} T[]={6}", .expect = "T[2]={10 3}"},
    {.name = "shift_left",
     .op = "BitShift",
     .opset = 11,
     .attributes = "direction:string=LEFT",
     .inputs = "T[3]={1 3 1} T[3]={2 1 64}",
     .expect = "T[3]={4 6 0}"},
    {.name = "shift_right",
     .op = "BitShift",
     .opset = 11,
     .attributes = "direction:string=RIGHT",
     .inputs = "T[3]={16 7 1} T[3]={2 1 200}",
     .expect = "T[3]={4 3 0}"},
    {.name = "shift_signed",
     .op = "BitShift",
     .opset = 28,
     .attributes = "direction:string=RIGHT",
     .inputs = "T[5]={-16 7 -1 -5 5} T[5]={2 1 100 -1 -1}",
     .expect = "T[5]={-4 3 -1 -1 0}",
     .types = "T=i8|i16|i32|i64"},
    {.name = "max",
     .op = "Max",
     .opset = 13,
     .inputs = "T[N,1]=ints(0,9) T[5]=ints(0,9) T[]={4}",
     .dims = "N=0..40",
     .reference = max_,
     .flags = SDX_CASE_KINKS},
    {.name = "min",
     .op = "Min",
     .opset = 13,
     .inputs = "T[N,1]=ints(0,9) T[5]=ints(0,9) T[]={4}",
     .dims = "N=0..40",
     .reference = min_,
     .flags = SDX_CASE_KINKS},
    {.name = "max_special",
     .op = "Max",
     .opset = 13,
     .inputs = "T[200]=special T[200]=special",
     .reference = max_,
     .types = "T=f16|bf16|f32|f64"},
    {.name = "min_special", .op = "Min", .opset = 8, .inputs = "T[200]=special T[200]=special", .reference = min_},
    {.name = "max_one", .op = "Max", .opset = 6, .inputs = "T[7]=normal", .reference = max_},
    {.name = "sum",
     .op = "Sum",
     .opset = 13,
     .inputs = "T[N,1]=normal T[5]=normal T[N,5]=normal",
     .dims = "N=0..40",
     .reference = sum},
    {.name = "sum_one", .op = "Sum", .opset = 1, .inputs = "T[7]=normal", .reference = sum},
    {.name = "mean",
     .op = "Mean",
     .opset = 13,
     .inputs = "T[N,1]=normal T[5]=normal T[N,5]=normal",
     .dims = "N=0..40",
     .reference = mean},
    {.name = "mean_two", .op = "Mean", .opset = 8, .inputs = "T[7]=normal T[7]=normal", .reference = mean},
    {.name = "clip",
     .op = "Clip",
     .opset = 13,
     .inputs = "T[N]=ints(0,99) T[]={20} T[]={60}",
     .dims = "N=0..3000",
     .reference = clip,
     .flags = SDX_CASE_KINKS},
    {.name = "clip_max",
     .op = "Clip",
     .opset = 13,
     .inputs = "T[50]=ints(0,99) - T[]={60}",
     .reference = clip,
     .flags = SDX_CASE_KINKS},
    {.name = "clip_none", .op = "Clip", .opset = 12, .inputs = "T[50]=ints(0,99)", .reference = clip},
    {.name = "clip_special",
     .op = "Clip",
     .opset = 13,
     .inputs = "T[100]=special T[]={-1} T[]={1}",
     .reference = clip,
     .types = "T=f16|bf16|f32|f64"},
    {.name = "clip_crossed",
     .op = "Clip",
     .opset = 13,
     .inputs = "T[3]={0 5 9} T[]={7} T[]={3}",
     .expect = "T[3]={3 3 3}"},
    {.name = "clip_old",
     .op = "Clip",
     .opset = 6,
     .attributes = "min:float=-0.5 max:float=0.75",
     .inputs = "T[90]=normal",
     .reference = clip_old},
    {.name = "clip_oldest",
     .op = "Clip",
     .opset = 1,
     .attributes = "max:float=0.75",
     .inputs = "T[90]=normal",
     .reference = clip_old},
    {.name = "clip_vector",
     .op = "Clip",
     .opset = 13,
     .inputs = "f32[3]={1 2 3} f32[2]={1 2}",
     .fails = SDX_SHAPE,
     .says = "'min'"},
    {.name = "where",
     .op = "Where",
     .opset = 16,
     .inputs = "bool[N,1]=bool T[5]=ints(0,99) T[N,5]=ints(0,99)",
     .dims = "N=0..60",
     .reference = where,
     .types = "T=f16|bf16|f32|f64|i8|i16|i32|i64|u8|u16|u32|u64|c64|c128"},
    {.name = "where_same",
     .op = "Where",
     .opset = 9,
     .inputs = "bool[N]=bool T[N]=ints(0,99) T[N]=ints(0,99)",
     .dims = "N=0..60",
     .reference = where,
     .types = "T=f32|f64|u8|i16"},
    {.name = "where_strings",
     .op = "Where",
     .opset = 9,
     .inputs = "bool[2]={1 0} string[2]={'a' 'b'} string[]={'z'}",
     .expect = "string[2]={'a' 'z'}"},
};
SDX_CASES_END
