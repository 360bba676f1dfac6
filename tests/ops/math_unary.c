/* SPDX-License-Identifier: Apache-2.0
 * Elementwise functions of one tensor. */
#include "tests/ops/case.h"
#include <math.h>

static double alpha_of(const sdx_case_run *run, double otherwise) { return sdx_case_float(run, "alpha", otherwise); }

static double sigmoid(double x) { return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x)); }
static double softplus(double x) { return fmax(x, 0) + log1p(exp(-fabs(x))); }
static double unit(double x) { return isnan(x) ? x : fmin(1, fmax(0, x)); }

/* x is the element */
#define REFERENCE(name, expression)                                                                                    \
    static void name(sdx_case_run *run) {                                                                              \
        double *y = sdx_case_output_like(run, 0, 0);                                                                   \
        for (int64_t k = 0; k < run->in[0].count; k++) {                                                               \
            double x = run->in[0].v[k];                                                                                \
            y[k] = expression;                                                                                         \
        }                                                                                                              \
    }
REFERENCE(abs_, fabs(x))
REFERENCE(acos_, acos(x))
REFERENCE(acosh_, acosh(x))
REFERENCE(asin_, asin(x))
REFERENCE(asinh_, asinh(x))
REFERENCE(atan_, atan(x))
REFERENCE(atanh_, atanh(x))
REFERENCE(ceil_, ceil(x))
REFERENCE(celu, fmax(0, x) + fmin(0, alpha_of(run, 1) * expm1(x / alpha_of(run, 1))))
REFERENCE(cos_, cos(x))
REFERENCE(cosh_, cosh(x))
REFERENCE(elu, x < 0 ? alpha_of(run, 1) * expm1(x) : x)
REFERENCE(erf_, run->in[0].dtype == SDX_F32 || run->in[0].dtype == SDX_F64 || run->in[0].dtype == SDX_F16 ||
                        run->in[0].dtype == SDX_BF16
                    ? erf(x)
                    : trunc(erf(x)))
REFERENCE(exp_, exp(x))
REFERENCE(floor_, floor(x))
REFERENCE(gelu, 0.5 * x * erfc(-x / sqrt(2)))
REFERENCE(gelu_tanh, x *sigmoid(2 * sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)))
REFERENCE(hard_sigmoid, unit((double)(float)alpha_of(run, 0.2) * x + (double)(float)sdx_case_float(run, "beta", 0.5)))
REFERENCE(hard_swish, x *unit(x / 6 + 0.5))
REFERENCE(leaky_relu, x < 0 ? (double)(float)alpha_of(run, 0.01) * x : x)
REFERENCE(log_, log(x))
REFERENCE(mish, x *tanh(softplus(x)))
REFERENCE(neg, -x)
REFERENCE(reciprocal, 1 / x)
REFERENCE(relu, x < 0 ? 0 : x)
REFERENCE(round_, rint(x))
REFERENCE(selu, (double)(float)sdx_case_float(run, "gamma", 1.050701) *
                    (x < 0 ? (double)(float)alpha_of(run, 1.6732632) * expm1(x) : x))
REFERENCE(shrink, x<-sdx_case_float(run, "lambd", 0.5) ? trunc(x + sdx_case_float(run, "bias", 0)) : x> sdx_case_float(
                      run, "lambd", 0.5)
                      ? trunc(x - sdx_case_float(run, "bias", 0))
                      : 0)
REFERENCE(sigmoid_, sigmoid(x))
REFERENCE(sign, x > 0 ? 1 : x < 0 ? -1 : x)
REFERENCE(sin_, sin(x))
REFERENCE(sinh_, sinh(x))
REFERENCE(softplus_, softplus(x))
REFERENCE(softsign, x / (1 + fabs(x)))
REFERENCE(sqrt_, sqrt(x))
REFERENCE(swish, x *sigmoid(alpha_of(run, 1) * x))
REFERENCE(tan_, tan(x))
REFERENCE(tanh_, tanh(x))
REFERENCE(thresholded_relu, x > alpha_of(run, 1) ? x : 0)
REFERENCE(is_nan, isnan(x))
REFERENCE(is_inf,
          isinf(x) && (x > 0 ? sdx_case_int(run, "detect_positive", 1) : sdx_case_int(run, "detect_negative", 1)))

#define RANDOM(op_, version, fill, function, ...)                                                                      \
    {                                                                                                                  \
        .name = #function, .op = op_, .opset = version, .inputs = "T[N,37]=" fill, .dims = "N=0..300",                 \
        .reference = function, __VA_ARGS__                                                                             \
    }
#define SPECIAL(op_, version, function, ...)                                                                           \
    {                                                                                                                  \
        .name = #function "_special", .op = op_, .opset = version, .inputs = "T[200]=special", .reference = function,  \
        __VA_ARGS__                                                                                                    \
    }
#define OLD(op_, version, function, ...)                                                                               \
    {                                                                                                                  \
        .name = #function "_old", .op = op_, .opset = version, .inputs = "T[2,3]=uniform(0.5,0.9)",                    \
        .reference = function, __VA_ARGS__                                                                             \
    }

#define FLOATS .types = "T=f16|bf16|f32|f64"

const sdx_case sdx_cases[] = {
    RANDOM("Abs", 13, "ints(-50,50)", abs_, .types = "T=f16|bf16|f32|f64|i8|i16|i32|i64"),
    {.name = "abs_unsigned",
     .op = "Abs",
     .opset = 13,
     .inputs = "T[3]={0 1 200}",
     .expect = "T[3]={0 1 200}",
     .types = "T=u8|u16|u32|u64"},
    SPECIAL("Abs", 13, abs_, FLOATS),
    OLD("Abs", 1, abs_),
    RANDOM("Acos", 22, "uniform(-1,1)", acos_),
    RANDOM("Acosh", 22, "uniform(1,9)", acosh_),
    RANDOM("Asin", 22, "uniform(-1,1)", asin_),
    RANDOM("Asinh", 22, "normal", asinh_),
    RANDOM("Atan", 22, "normal", atan_),
    SPECIAL("Atan", 22, atan_),
    RANDOM("Atanh", 22, "uniform(-0.9,0.9)", atanh_),
    RANDOM("Ceil", 13, "normal", ceil_),
    SPECIAL("Ceil", 13, ceil_),
    OLD("Ceil", 6, ceil_),
    RANDOM("Celu", 28, "normal", celu),
    RANDOM("Celu", 12, "normal", celu, .attributes = "alpha:float=2"),
    RANDOM("Cos", 22, "uniform(-100,100)", cos_, .types = "T=f32|f64"),
    RANDOM("Cosh", 22, "normal", cosh_),
    RANDOM("Elu", 22, "normal", elu),
    RANDOM("Elu", 6, "normal", elu, .attributes = "alpha:float=0.5"),
    OLD("Elu", 1, elu),
    RANDOM("Erf", 13, "normal", erf_),
    SPECIAL("Erf", 13, erf_),
    RANDOM("Erf", 9, "ints(-9,9)", erf_),
    RANDOM("Exp", 13, "uniform(-10,10)", exp_),
    SPECIAL("Exp", 13, exp_),
    OLD("Exp", 1, exp_),
    RANDOM("Floor", 13, "normal", floor_),
    SPECIAL("Floor", 13, floor_),
    OLD("Floor", 1, floor_),
    RANDOM("Gelu", 20, "normal", gelu),
    RANDOM("Gelu", 20, "normal", gelu_tanh, .attributes = "approximate:string=tanh"),
    {.name = "gelu_infinity", .op = "Gelu", .opset = 20, .inputs = "T[2]={-inf inf}", .expect = "T[2]={nan inf}"},
    {.name = "gelu_choice",
     .op = "Gelu",
     .opset = 20,
     .attributes = "approximate:string=some",
     .inputs = "f32[1]={1}",
     .fails = SDX_VALUE,
     .says = "approximate"},
    RANDOM("HardSigmoid", 22, "uniform(-5,5)", hard_sigmoid),
    SPECIAL("HardSigmoid", 22, hard_sigmoid, .types = "T=f32|f64"),
    RANDOM("HardSigmoid", 6, "normal", hard_sigmoid, .attributes = "alpha:float=0.5 beta:float=0.25"),
    RANDOM("HardSwish", 22, "uniform(-5,5)", hard_swish),
    RANDOM("LeakyRelu", 16, "normal", leaky_relu),
    SPECIAL("LeakyRelu", 16, leaky_relu),
    RANDOM("LeakyRelu", 6, "normal", leaky_relu, .attributes = "alpha:float=0.25"),
    RANDOM("Log", 13, "uniform(0.001,10)", log_),
    SPECIAL("Log", 13, log_),
    OLD("Log", 1, log_),
    RANDOM("Mish", 22, "normal", mish),
    RANDOM("Neg", 13, "normal", neg),
    SPECIAL("Neg", 13, neg, FLOATS),
    OLD("Neg", 1, neg),
    RANDOM("Reciprocal", 13, "uniform(0.1,10)", reciprocal),
    SPECIAL("Reciprocal", 13, reciprocal),
    RANDOM("Relu", 14, "normal", relu),
    SPECIAL("Relu", 14, relu, FLOATS),
    OLD("Relu", 1, relu),
    OLD("Relu", 13, relu),
    RANDOM("Round", 22, "uniform(-5,5)", round_),
    SPECIAL("Round", 22, round_),
    {.name = "round_halves",
     .op = "Round",
     .opset = 22,
     .inputs = "T[6]={0.5 1.5 2.5 -0.5 -1.5 -2.5}",
     .expect = "T[6]={0 2 2 -0 -2 -2}"},
    RANDOM("Selu", 22, "normal", selu),
    OLD("Selu", 6, selu),
    RANDOM("Shrink", 9, "ints(-20,20)", shrink, .attributes = "lambd:float=5 bias:float=2",
           .types = "T=f32|f64|i8|i16|i32|i64"),
    RANDOM("Sigmoid", 13, "uniform(-20,20)", sigmoid_),
    SPECIAL("Sigmoid", 13, sigmoid_),
    OLD("Sigmoid", 1, sigmoid_),
    RANDOM("Sign", 13, "ints(-3,3)", sign, .types = "T=f16|bf16|f32|f64|i8|i16|i32|i64"),
    SPECIAL("Sign", 13, sign, FLOATS),
    RANDOM("Sin", 22, "uniform(-100,100)", sin_, .types = "T=f32|f64"),
    {.name = "sin_far",
     .op = "Sin",
     .opset = 22,
     .inputs = "T[3]={1e6 -123456789 0}",
     .reference = sin_,
     .types = "T=f32|f64",
     .flags = SDX_CASE_KINKS},
    RANDOM("Sinh", 22, "normal", sinh_),
    RANDOM("Softplus", 22, "uniform(-30,30)", softplus_),
    SPECIAL("Softplus", 22, softplus_),
    RANDOM("Softsign", 22, "normal", softsign),
    OLD("Softsign", 1, softsign),
    RANDOM("Sqrt", 13, "uniform(0,9)", sqrt_),
    SPECIAL("Sqrt", 13, sqrt_),
    OLD("Sqrt", 1, sqrt_),
    RANDOM("Swish", 24, "normal", swish, .attributes = "alpha:float=1.5"),
    RANDOM("Tan", 22, "uniform(-1.4,1.4)", tan_),
    RANDOM("Tanh", 13, "normal", tanh_),
    SPECIAL("Tanh", 13, tanh_),
    OLD("Tanh", 1, tanh_),
    RANDOM("ThresholdedRelu", 22, "normal", thresholded_relu),
    SPECIAL("ThresholdedRelu", 22, thresholded_relu),
    {.name = "is_nan", .op = "IsNaN", .opset = 20, .inputs = "T1[4,50]=special", .reference = is_nan},
    {.name = "is_inf", .op = "IsInf", .opset = 20, .inputs = "T1[4,50]=special", .reference = is_inf},
    {.name = "is_inf_positive",
     .op = "IsInf",
     .opset = 10,
     .attributes = "detect_negative:int=0",
     .inputs = "T1[4,50]=special",
     .reference = is_inf},
    {.name = "not", .op = "Not", .opset = 1, .inputs = "bool[5]={0 1 1 0 1}", .expect = "bool[5]={1 0 0 1 0}"},
    {.name = "bitwise_not",
     .op = "BitwiseNot",
     .opset = 18,
     .inputs = "T[3]={0 1 -128}",
     .expect = "T[3]={-1 -2 127}",
     .types = "T=i8|i16|i32|i64"},
    {.name = "bitwise_not_unsigned",
     .op = "BitwiseNot",
     .opset = 18,
     .inputs = "u8[3]={0 1 255}",
     .expect = "u8[3]={255 254 0}"},
    {.name = "abs_least", .op = "Abs", .opset = 13, .inputs = "i8[2]={-128 -127}", .expect = "i8[2]={-128 127}"},
    {.name = "scalar", .op = "Relu", .opset = 14, .inputs = "T[]={-2}", .expect = "T[]={0}"},
};
SDX_CASES_END
