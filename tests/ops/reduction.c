/* SPDX-License-Identifier: Apache-2.0
 * Reductions, ArgMax, ArgMin, CumSum, CumProd. */
#include "tests/ops/case.h"
#include <math.h>

typedef struct reducer {
    double start;
    double (*take)(double a, double v);
    double (*finish)(double a, double n);
} reducer;

static bool is_float(sdx_dtype dtype) {
    return dtype == SDX_F32 || dtype == SDX_F64 || dtype == SDX_F16 || dtype == SDX_BF16;
}

/* Which axes go: input 1, else the attribute, else all (or none). */
static void choose(const sdx_case_run *run, bool *reduced) {
    int64_t axes[SDX_MAX_RANK];
    int n = 0, rank = run->in[0].rank;
    if (run->n_in > 1 && run->in[1].present)
        for (; n < run->in[1].count; n++) axes[n] = (int64_t)run->in[1].v[n];
    else
        n = sdx_case_ints(run, "axes", axes, SDX_MAX_RANK);
    bool all = n <= 0 && !sdx_case_int(run, "noop_with_empty_axes", 0);
    for (int d = 0; d < rank; d++) reduced[d] = all;
    for (int k = 0; k < n; k++) reduced[axes[k] < 0 ? axes[k] + rank : axes[k]] = true;
}

static void reduce(sdx_case_run *run, reducer r) {
    const sdx_ref *x = &run->in[0];
    bool reduced[SDX_MAX_RANK], keep = sdx_case_int(run, "keepdims", 1) != 0;
    int64_t dims[SDX_MAX_RANK], step[SDX_MAX_RANK], n = 1, outputs = 1;
    int rank = 0;
    choose(run, reduced);
    for (int d = x->rank - 1; d >= 0; d--) {
        step[d] = reduced[d] ? 0 : outputs;
        *(reduced[d] ? &n : &outputs) *= x->dim[d];
    }
    for (int d = 0; d < x->rank; d++)
        if (!reduced[d] || keep) dims[rank++] = reduced[d] ? 1 : x->dim[d];
    double *y = sdx_case_output(run, 0, rank, dims);
    for (int64_t k = 0; k < outputs; k++) y[k] = r.start;
    for (int64_t k = 0; k < x->count; k++) {
        int64_t at = 0, rest = k;
        for (int d = x->rank - 1; d >= 0; rest /= x->dim[d], d--) at += rest % x->dim[d] * step[d];
        y[at] = r.take(y[at], x->v[k]);
    }
    for (int64_t k = 0; k < outputs; k++) {
        y[k] = r.finish(y[k], (double)n);
        if (!is_float(x->dtype) && isfinite(y[k])) y[k] = trunc(y[k]);
    }
}

static double plus(double a, double v) { return a + v; }
static double plus_abs(double a, double v) { return a + fabs(v); }
static double plus_square(double a, double v) { return a + v * v; }
static double plus_exp(double a, double v) { return a + exp(v); }
static double times(double a, double v) { return a * v; }
static double most(double a, double v) { return isnan(a) || isnan(v) ? NAN : fmax(a, v); }
static double least(double a, double v) { return isnan(a) || isnan(v) ? NAN : fmin(a, v); }
static double same(double a, double n) { return (void)n, a; }
static double over_n(double a, double n) { return a / n; }
static double root(double a, double n) { return (void)n, sqrt(a); }
static double logarithm(double a, double n) { return (void)n, log(a); }

static void sum(sdx_case_run *run) { reduce(run, (reducer){0, plus, same}); }
static void mean(sdx_case_run *run) { reduce(run, (reducer){0, plus, over_n}); }
static void max_(sdx_case_run *run) { reduce(run, (reducer){-INFINITY, most, same}); }
static void min_(sdx_case_run *run) { reduce(run, (reducer){INFINITY, least, same}); }
static void prod(sdx_case_run *run) { reduce(run, (reducer){1, times, same}); }
static void l1(sdx_case_run *run) { reduce(run, (reducer){0, plus_abs, same}); }
static void l2(sdx_case_run *run) { reduce(run, (reducer){0, plus_square, root}); }
static void log_sum(sdx_case_run *run) { reduce(run, (reducer){0, plus, logarithm}); }
static void log_sum_exp(sdx_case_run *run) { reduce(run, (reducer){0, plus_exp, logarithm}); }
static void sum_square(sdx_case_run *run) { reduce(run, (reducer){0, plus_square, same}); }

static void arg(sdx_case_run *run, double sign) {
    const sdx_ref *x = &run->in[0];
    int axis = (int)sdx_case_int(run, "axis", 0);
    bool last = sdx_case_int(run, "select_last_index", 0) != 0, keep = sdx_case_int(run, "keepdims", 1) != 0;
    axis += axis < 0 ? x->rank : 0;
    int64_t outer = sdx_ref_extent(x, 0, axis), n = x->dim[axis], inner = sdx_ref_extent(x, axis + 1, x->rank),
            dims[SDX_MAX_RANK];
    int rank = 0;
    for (int d = 0; d < x->rank; d++)
        if (d != axis || keep) dims[rank++] = d == axis ? 1 : x->dim[d];
    double *y = sdx_case_output(run, 0, rank, dims);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            int64_t best = 0;
            for (int64_t k = 1; k < n; k++) {
                double v = x->v[(o * n + k) * inner + i], b = x->v[(o * n + best) * inner + i];
                bool equal = v == b || (isnan(v) && isnan(b)), better = !isnan(b) && (isnan(v) || sign * v > sign * b);
                if (better || (equal && last)) best = k;
            }
            y[o * inner + i] = (double)best;
        }
}
static void arg_max(sdx_case_run *run) { arg(run, 1); }
static void arg_min(sdx_case_run *run) { arg(run, -1); }

static void cumulate(sdx_case_run *run, bool product) {
    const sdx_ref *x = &run->in[0];
    double *y = sdx_case_output_like(run, 0, 0);
    int axis = (int)run->in[1].v[0];
    bool exclusive = sdx_case_int(run, "exclusive", 0) != 0, reverse = sdx_case_int(run, "reverse", 0) != 0;
    axis += axis < 0 ? x->rank : 0;
    int64_t outer = sdx_ref_extent(x, 0, axis), n = x->dim[axis], inner = sdx_ref_extent(x, axis + 1, x->rank);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            double a = product;
            for (int64_t j = 0; j < n; j++) {
                int64_t at = (o * n + (reverse ? n - 1 - j : j)) * inner + i;
                double after = product ? a * x->v[at] : a + x->v[at];
                y[at] = exclusive ? a : after;
                a = after;
            }
        }
}
static void cum_sum(sdx_case_run *run) { cumulate(run, false); }
static void cum_prod(sdx_case_run *run) { cumulate(run, true); }

#define CASE(suffix, op_, version, function, ...)                                                                      \
    { .name = #function "_" suffix, .op = op_, .opset = version, .reference = function, __VA_ARGS__ }
/* Rows, columns, the middle, several axes apart, all. */
#define SHAPES(op_, version, f, function, ...)                                                                         \
    CASE("last", op_, version, function, .inputs = "T[N,C]=" f " i64[1]={1}", .dims = "N=0..20 C=1..90", __VA_ARGS__), \
        CASE("first", op_, version, function, .inputs = "T[N,C]=" f " i64[1]={-2}", .dims = "N=1..40 C=0..300",        \
             __VA_ARGS__),                                                                                             \
        CASE("middle", op_, version, function, .inputs = "T[2,N,C]=" f " i64[1]={1}", .dims = "N=1..20 C=1..20",       \
             .attributes = "keepdims:int=0", __VA_ARGS__),                                                             \
        CASE("apart", op_, version, function, .inputs = "T[2,N,3,C]=" f " i64[2]={0 2}", .dims = "N=1..9 C=1..9",      \
             __VA_ARGS__),                                                                                             \
        CASE("alternate", op_, version, function, .inputs = "T[2,N,3,C]=" f " i64[2]={1 -1}", .dims = "N=1..9 C=1..9", \
             __VA_ARGS__),                                                                                             \
        CASE("all", op_, version, function, .inputs = "T[N,5]=" f, .dims = "N=1..50", .attributes = "keepdims:int=0",  \
             __VA_ARGS__),                                                                                             \
        CASE("none", op_, version, function, .inputs = "T[7]=" f " i64[0]={}",                                         \
             .attributes = "noop_with_empty_axes:int=1", __VA_ARGS__),                                                 \
        CASE("scalar", op_, version, function, .inputs = "T[]=" f, __VA_ARGS__)
#define OLD(op_, version, f, function, ...)                                                                            \
    CASE("old", op_, version, function, .inputs = "T[3,N,2]=" f, .dims = "N=1..20",                                    \
         .attributes = "axes:ints=[1] keepdims:int=0", __VA_ARGS__),                                                   \
        CASE("oldest", op_, 1, function, .inputs = "T[3,N,2]=" f, .dims = "N=1..20", __VA_ARGS__)
#define FLOATS     .types = "T=f16|bf16|f32|f64"
#define OLD_FLOATS .types = "T=f16|f32|f64"

const sdx_case sdx_cases[] = {
    SHAPES("ReduceSum", 13, "ints(0,5)", sum),
    OLD("ReduceSum", 11, "ints(0,5)", sum),
    SHAPES("ReduceMean", 18, "ints(0,9)", mean),
    OLD("ReduceMean", 13, "ints(0,9)", mean),
    SHAPES("ReduceMax", 20, "ints(0,99)", max_, .types = "T=bf16|f16|f32|f64|i32|i64|i8|u32|u64|u8"),
    OLD("ReduceMax", 13, "ints(0,99)", max_, .types = "T=f16|f32|f64|i32|i64|u32|u64"),
    SHAPES("ReduceMin", 20, "ints(0,99)", min_, .types = "T=bf16|f16|f32|f64|i32|i64|i8|u32|u64|u8"),
    OLD("ReduceMin", 12, "ints(0,99)", min_, .types = "T=f16|f32|f64|i32|i64|u32|u64"),
    SHAPES("ReduceProd", 18, "uniform(0.9,1.1)", prod, FLOATS),
    OLD("ReduceProd", 13, "ints(1,1)", prod),
    SHAPES("ReduceL1", 18, "ints(0,5)", l1),
    OLD("ReduceL1", 11, "ints(0,5)", l1),
    SHAPES("ReduceL2", 18, "ints(0,5)", l2),
    OLD("ReduceL2", 11, "ints(0,5)", l2),
    SHAPES("ReduceLogSum", 18, "ints(1,5)", log_sum),
    OLD("ReduceLogSum", 11, "ints(1,5)", log_sum),
    CASE("28", "ReduceLogSum", 28, log_sum, .inputs = "T[3,9]=uniform(1,2) i64[1]={1}"),
    SHAPES("ReduceLogSumExp", 18, "ints(0,3)", log_sum_exp),
    OLD("ReduceLogSumExp", 11, "ints(0,3)", log_sum_exp),
    CASE("28", "ReduceLogSumExp", 28, log_sum_exp, .inputs = "T[3,9]=normal i64[1]={1}"),
    SHAPES("ReduceSumSquare", 18, "ints(0,5)", sum_square),
    OLD("ReduceSumSquare", 11, "ints(0,5)", sum_square),
    CASE("long", "ReduceSum", 13, sum, .inputs = "T[200000]=uniform(0,1)", FLOATS, .flags = SDX_CASE_SLOW),
    CASE("long_columns", "ReduceSum", 13, sum, .inputs = "T[60000,3]=ints(0,3) i64[1]={0}", .types = "T=f32|i64",
         .flags = SDX_CASE_SLOW),
    CASE("long", "ReduceLogSumExp", 18, log_sum_exp, .inputs = "T[2,150000]=normal i64[1]={1}", .types = "T=f32|f64",
         .flags = SDX_CASE_SLOW),
    CASE("long", "ReduceMax", 18, max_, .inputs = "T[2,150000]=ints(0,100) i64[1]={1}", .types = "T=f32|i32",
         .flags = SDX_CASE_SLOW),
    {.name = "sum_ones",
     .op = "ReduceSum",
     .opset = 13,
     .inputs = "f32[20000000]=const(1)",
     .expect = "f32[1]={20000000}",
     .flags = SDX_CASE_SLOW},
    {.name = "sum_empty",
     .op = "ReduceSum",
     .opset = 13,
     .inputs = "T[2,0,2]={} i64[1]={1}",
     .expect = "T[2,1,2]={0 0 0 0}"},
    {.name = "prod_empty", .op = "ReduceProd", .opset = 18, .inputs = "T[2,0]={} i64[1]={1}", .expect = "T[2,1]={1 1}"},
    {.name = "max_empty",
     .op = "ReduceMax",
     .opset = 20,
     .inputs = "T[1,0]={} i64[1]={1}",
     .expect = "T[1,1]={-inf}",
     FLOATS},
    {.name = "max_empty_i32",
     .op = "ReduceMax",
     .opset = 20,
     .inputs = "i32[1,0]={} i64[1]={1}",
     .expect = "i32[1,1]={-2147483648}"},
    {.name = "max_empty_u8",
     .op = "ReduceMax",
     .opset = 20,
     .inputs = "u8[1,0]={} i64[1]={1}",
     .expect = "u8[1,1]={0}"},
    {.name = "min_empty_u8",
     .op = "ReduceMin",
     .opset = 20,
     .inputs = "u8[1,0]={} i64[1]={1}",
     .expect = "u8[1,1]={255}"},
    {.name = "max_empty_bool",
     .op = "ReduceMax",
     .opset = 20,
     .inputs = "bool[1,0]={} i64[1]={1}",
     .expect = "bool[1,1]={0}"},
    {.name = "min_empty_bool",
     .op = "ReduceMin",
     .opset = 20,
     .inputs = "bool[1,0]={} i64[1]={1}",
     .expect = "bool[1,1]={1}"},
    {.name = "max_bool",
     .op = "ReduceMax",
     .opset = 20,
     .inputs = "bool[2,2]={0 1 0 0} i64[1]={1}",
     .expect = "bool[2,1]={1 0}"},
    {.name = "log_sum_exp_empty",
     .op = "ReduceLogSumExp",
     .opset = 18,
     .inputs = "T[1,0]={} i64[1]={1}",
     .expect = "T[1,1]={-inf}",
     FLOATS},
    {.name = "log_sum_exp_large",
     .op = "ReduceLogSumExp",
     .opset = 18,
     .inputs = "f32[2,2]={1e4 1e4 -inf -inf} i64[1]={1}",
     .expect = "f32[2,1]={10000.693 -inf}"},
    {.name = "log_sum_exp_infinity",
     .op = "ReduceLogSumExp",
     .opset = 18,
     .inputs = "f32[2,2]={inf 0 nan 0} i64[1]={1}",
     .expect = "f32[2,1]={inf nan}"},
    {.name = "max_nan",
     .op = "ReduceMax",
     .opset = 18,
     .inputs = "T[2,40]=special i64[1]={1}",
     .reference = max_,
     FLOATS},
    {.name = "min_nan",
     .op = "ReduceMin",
     .opset = 18,
     .inputs = "T[40,2]=special i64[1]={0}",
     .reference = min_,
     FLOATS},
    {.name = "sum_wraps",
     .op = "ReduceSum",
     .opset = 13,
     .inputs = "i32[2]={2147483647 1}",
     .expect = "i32[1]={-2147483648}"},
    {.name = "axes_range",
     .op = "ReduceSum",
     .opset = 13,
     .inputs = "f32[2,3]=normal i64[1]={2}",
     .fails = SDX_SHAPE,
     .says = "axes"},
    {.name = "axes_twice",
     .op = "ReduceSum",
     .opset = 13,
     .inputs = "f32[2,3]=normal i64[2]={1 -1}",
     .fails = SDX_VALUE,
     .says = "twice"},
    CASE("last", "ArgMax", 13, arg_max, .inputs = "T[N,C]=ints(0,9)", .attributes = "axis:int=1",
         .dims = "N=0..20 C=1..600"),
    CASE("first", "ArgMax", 13, arg_max, .inputs = "T[N,C]=ints(0,9)", .dims = "N=1..20 C=0..600",
         .attributes = "keepdims:int=0"),
    CASE("ties", "ArgMax", 12, arg_max, .inputs = "T[3,N,4]=ints(0,3)",
         .attributes = "axis:int=-2 select_last_index:int=1", .dims = "N=1..20"),
    CASE("special", "ArgMax", 13, arg_max, .inputs = "T[20,9]=special", .attributes = "axis:int=1", FLOATS),
    CASE("special_last", "ArgMax", 13, arg_max, .inputs = "T[20,9]=special",
         .attributes = "axis:int=1 select_last_index:int=1", FLOATS),
    CASE("old", "ArgMax", 1, arg_max, .inputs = "T[4,5]=ints(0,9)"),
    CASE("last", "ArgMin", 13, arg_min, .inputs = "T[N,C]=ints(0,9)", .attributes = "axis:int=-1",
         .dims = "N=0..20 C=1..600"),
    CASE("ties", "ArgMin", 13, arg_min, .inputs = "T[N,C]=ints(0,3)", .attributes = "select_last_index:int=1",
         .dims = "N=1..20 C=1..30"),
    CASE("special", "ArgMin", 13, arg_min, .inputs = "T[20,9]=special", .attributes = "axis:int=0", FLOATS),
    {.name = "arg_max_empty",
     .op = "ArgMax",
     .opset = 13,
     .inputs = "f32[2,0]={}",
     .attributes = "axis:int=1",
     .fails = SDX_SHAPE,
     .says = "dimension 1"},
    {.name = "arg_max_axis",
     .op = "ArgMax",
     .opset = 13,
     .inputs = "f32[2,3]=normal",
     .attributes = "axis:int=2",
     .fails = SDX_SHAPE,
     .says = "axis"},
    CASE("last", "CumSum", 14, cum_sum, .inputs = "T[3,N]=ints(0,5) T2[]={1}", .dims = "N=0..600",
         .types = "T=f32|f64|i32|i64|u32|u64"),
    CASE("narrow", "CumSum", 14, cum_sum, .inputs = "T[3,N]=uniform(0,1) i32[]={1}", .dims = "N=0..90", FLOATS),
    CASE("first", "CumSum", 11, cum_sum, .inputs = "T[N,9]=ints(0,5) i64[1]={0}", .dims = "N=0..60"),
    CASE("exclusive", "CumSum", 14, cum_sum, .inputs = "f32[N,9]=ints(0,5) i64[]={-1}", .attributes = "exclusive:int=1",
         .dims = "N=0..60"),
    CASE("reverse", "CumSum", 14, cum_sum, .inputs = "f32[2,N]=ints(0,5) i64[]={-1}", .attributes = "reverse:int=1",
         .dims = "N=0..600"),
    CASE("both", "CumSum", 14, cum_sum, .inputs = "f32[2,N,3]=ints(0,5) i64[]={1}",
         .attributes = "reverse:int=1 exclusive:int=1", .dims = "N=0..60"),
    CASE("last", "CumProd", 26, cum_prod, .inputs = "T[3,N]=uniform(0.9,1.1) i64[]={1}", .dims = "N=0..20", FLOATS),
    CASE("integers", "CumProd", 26, cum_prod, .inputs = "T[2,5]=ints(1,4) i64[]={1}",
         .attributes = "reverse:int=1 exclusive:int=1"),
    {.name = "cum_sum_axis",
     .op = "CumSum",
     .opset = 14,
     .inputs = "f32[2,3]=normal i64[]={2}",
     .fails = SDX_SHAPE,
     .says = "axis"},
};
SDX_CASES_END
