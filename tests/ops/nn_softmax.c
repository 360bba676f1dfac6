/* SPDX-License-Identifier: Apache-2.0
 * Softmax, LogSoftmax, Hardmax: one axis from opset 13, all dimensions from the axis on before. */
#include "tests/ops/case.h"
#include <math.h>

typedef void (*line_fn)(const double *x, double *y, int64_t n, int64_t step);

static void softmax_line(const double *x, double *y, int64_t n, int64_t step) {
    double most = -INFINITY, sum = 0;
    for (int64_t k = 0; k < n; k++) most = fmax(most, x[k * step]);
    for (int64_t k = 0; k < n; k++) sum += y[k * step] = exp(x[k * step] - most);
    for (int64_t k = 0; k < n; k++) y[k * step] /= sum;
}

static void log_softmax_line(const double *x, double *y, int64_t n, int64_t step) {
    double most = -INFINITY, sum = 0;
    for (int64_t k = 0; k < n; k++) most = fmax(most, x[k * step]);
    for (int64_t k = 0; k < n; k++) sum += exp(x[k * step] - most);
    for (int64_t k = 0; k < n; k++) y[k * step] = x[k * step] - most - log(sum);
}

static void hardmax_line(const double *x, double *y, int64_t n, int64_t step) {
    int64_t best = 0;
    for (int64_t k = 1; k < n; k++)
        if (x[k * step] > x[best * step] || (isnan(x[k * step]) && !isnan(x[best * step]))) best = k;
    for (int64_t k = 0; k < n; k++) y[k * step] = k == best;
}

static void one_axis(sdx_case_run *run, line_fn line) {
    const sdx_ref *x = &run->in[0];
    double *y = sdx_case_output_like(run, 0, 0);
    int axis = (int)sdx_case_int(run, "axis", -1);
    axis += axis < 0 ? x->rank : 0;
    int64_t outer = sdx_ref_extent(x, 0, axis), n = x->dim[axis], inner = sdx_ref_extent(x, axis + 1, x->rank);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner && n; i++) line(x->v + o * n * inner + i, y + o * n * inner + i, n, inner);
}

static void flattened(sdx_case_run *run, line_fn line) {
    const sdx_ref *x = &run->in[0];
    double *y = sdx_case_output_like(run, 0, 0);
    int axis = (int)sdx_case_int(run, "axis", 1);
    axis += axis < 0 ? x->rank : 0;
    int64_t outer = sdx_ref_extent(x, 0, axis), n = sdx_ref_extent(x, axis, x->rank);
    for (int64_t o = 0; o < outer && n; o++) line(x->v + o * n, y + o * n, n, 1);
}

static void softmax(sdx_case_run *run) { one_axis(run, softmax_line); }
static void log_softmax(sdx_case_run *run) { one_axis(run, log_softmax_line); }
static void hardmax(sdx_case_run *run) { one_axis(run, hardmax_line); }
static void softmax_old(sdx_case_run *run) { flattened(run, softmax_line); }
static void log_softmax_old(sdx_case_run *run) { flattened(run, log_softmax_line); }
static void hardmax_old(sdx_case_run *run) { flattened(run, hardmax_line); }

#define EACH(suffix, ...)                                                                                              \
    {.name = "softmax_" suffix, .op = "Softmax", .opset = 13, .reference = softmax, __VA_ARGS__},                      \
        {.name = "log_softmax_" suffix, .op = "LogSoftmax", .opset = 13, .reference = log_softmax, __VA_ARGS__}, {     \
        .name = "hardmax_" suffix, .op = "Hardmax", .opset = 13, .reference = hardmax, __VA_ARGS__                     \
    }
#define EACH_OLD(suffix, version, ...)                                                                                 \
    {.name = "softmax_" suffix, .op = "Softmax", .opset = version, .reference = softmax_old, __VA_ARGS__},             \
        {.name = "log_softmax_" suffix,                                                                                \
         .op = "LogSoftmax",                                                                                           \
         .opset = version,                                                                                             \
         .reference = log_softmax_old,                                                                                 \
         __VA_ARGS__},                                                                                                 \
    {                                                                                                                  \
        .name = "hardmax_" suffix, .op = "Hardmax", .opset = version, .reference = hardmax_old, __VA_ARGS__            \
    }

const sdx_case sdx_cases[] = {
    EACH("last", .inputs = "T[2,3,C]=normal", .dims = "C=1..70"),
    EACH("axis0", .attributes = "axis:int=0", .inputs = "T[N,C]=normal", .dims = "N=0..40 C=0..40"),
    EACH("axis1", .attributes = "axis:int=1", .inputs = "T[2,C,3,5]=normal", .dims = "C=1..40"),
    EACH("axis1_wide", .attributes = "axis:int=1", .inputs = "T[2,C,W]=normal", .dims = "C=1..9 W=1..200"),
    EACH("axis0_special", .attributes = "axis:int=0", .inputs = "T[5,70]=special"),
    EACH("axis_minus3", .attributes = "axis:int=-3", .inputs = "T[2,3,2,S]=normal", .dims = "S=0..40"),
    EACH("long", .inputs = "T[3,5000]=normal", .flags = SDX_CASE_SLOW),
    EACH("rank1", .inputs = "T[7]=uniform(-4,4)"),
    EACH("empty_line", .inputs = "T[3,0]=normal"),
    EACH("special", .inputs = "T[64,9]=special", .rtol = 1e-5),
    EACH("scalar", .inputs = "T[]={1}", .fails = SDX_SHAPE, .says = "axis"),
    EACH("axis_out_of_range", .attributes = "axis:int=2", .inputs = "T[2,3]=normal", .fails = SDX_SHAPE,
         .says = "'axis' is 2"),
    EACH_OLD("old1", 1, .inputs = "T[N,2,3]=normal", .dims = "N=0..5"),
    EACH_OLD("old1_axis0", 1, .attributes = "axis:int=0", .inputs = "T[2,3,4]=normal"),
    EACH_OLD("old1_axis2", 1, .attributes = "axis:int=2", .inputs = "T[2,3,4,5]=normal"),
    EACH_OLD("old11_minus1", 11, .attributes = "axis:int=-1", .inputs = "T[2,3,4]=normal"),
    EACH_OLD("old11_minus2", 11, .attributes = "axis:int=-2", .inputs = "T[2,3,4]=normal"),
    EACH_OLD("old11_empty", 11, .inputs = "T[2,3,0]=normal"),
    EACH_OLD("old12", 12, .inputs = "T[2,C]=normal", .dims = "C=1..30"),
    {.name = "softmax_large",
     .op = "Softmax",
     .opset = 13,
     .inputs = "f32[1,4]={1e4 -1e4 1e4 0}",
     .expect = "f32[1,4]={0.5 0 0.5 0}"},
    {.name = "softmax_minus_infinity",
     .op = "Softmax",
     .opset = 13,
     .inputs = "T[2,2]={-inf -inf 0 -inf}",
     .expect = "T[2,2]={nan nan 1 0}"},
    {.name = "softmax_infinity",
     .op = "Softmax",
     .opset = 13,
     .inputs = "T[1,2]={inf 0}",
     .expect = "T[1,2]={nan nan}"},
    {.name = "log_softmax_large",
     .op = "LogSoftmax",
     .opset = 13,
     .inputs = "f32[1,3]={1e4 0 -1e4}",
     .expect = "f32[1,3]={0 -1e4 -2e4}"},
    {.name = "hardmax_ties",
     .op = "Hardmax",
     .opset = 13,
     .inputs = "T[2,3]={1 3 3 2 2 2}",
     .expect = "T[2,3]={0 1 0 1 0 0}"},
};
SDX_CASES_END
