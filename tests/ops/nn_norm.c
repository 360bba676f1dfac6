/* SPDX-License-Identifier: Apache-2.0
 * LayerNormalization, RMSNormalization, InstanceNormalization, GroupNormalization, MeanVarianceNormalization,
 * LpNormalization, LRN. */
#include "tests/ops/case.h"
#include <math.h>

/* Mean and population variance of n elements `step` apart. */
static void moments(const double *x, int64_t n, int64_t step, double *mean, double *variance) {
    double sum = 0, squares = 0;
    for (int64_t k = 0; k < n; k++) sum += x[k * step];
    *mean = sum / (double)n;
    for (int64_t k = 0; k < n; k++) squares += (x[k * step] - *mean) * (x[k * step] - *mean);
    *variance = squares / (double)n;
}

static int axis_of(const sdx_case_run *run, int64_t otherwise) {
    int axis = (int)sdx_case_int(run, "axis", otherwise);
    return axis < 0 ? axis + run->in[0].rank : axis;
}

static void layer_norm(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0], *scale = &run->in[1], *bias = &run->in[2];
    int axis = axis_of(run, -1);
    int64_t lines = sdx_ref_extent(x, 0, axis), n = sdx_ref_extent(x, axis, x->rank), dims[SDX_MAX_RANK];
    for (int d = 0; d < x->rank; d++) dims[d] = d < axis ? x->dim[d] : 1;
    double *y = sdx_case_output_like(run, 0, 0);
    double *mean = sdx_case_output(run, 1, x->rank, dims), *inverse = sdx_case_output(run, 2, x->rank, dims);
    for (int64_t l = 0; l < lines; l++) {
        double variance;
        moments(x->v + l * n, n, 1, &mean[l], &variance);
        inverse[l] = 1 / sqrt(variance + sdx_case_float(run, "epsilon", 1e-5));
        for (int64_t k = l * n; k < (l + 1) * n; k++) {
            y[k] = (x->v[k] - mean[l]) * inverse[l] * scale->v[sdx_ref_broadcast(scale, x, k)];
            if (run->n_in > 2 && bias->present) y[k] += bias->v[sdx_ref_broadcast(bias, x, k)];
        }
    }
}

static void rms_norm(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0], *scale = &run->in[1];
    int axis = axis_of(run, -1);
    int64_t lines = sdx_ref_extent(x, 0, axis), n = sdx_ref_extent(x, axis, x->rank);
    double *y = sdx_case_output_like(run, 0, 0);
    for (int64_t l = 0; l < lines; l++) {
        double squares = 0;
        for (int64_t k = l * n; k < (l + 1) * n; k++) squares += x->v[k] * x->v[k];
        double r = 1 / sqrt(squares / (double)n + sdx_case_float(run, "epsilon", 1e-5));
        for (int64_t k = l * n; k < (l + 1) * n; k++) y[k] = x->v[k] * r * scale->v[sdx_ref_broadcast(scale, x, k)];
    }
}

/* Groups of channels; parameters by channel, or by group. */
static void groups(sdx_case_run *run, int64_t count, bool by_group) {
    const sdx_ref *x = &run->in[0];
    double *y = sdx_case_output_like(run, 0, 0);
    int64_t channels = x->dim[1], space = sdx_ref_extent(x, 2, x->rank), n = channels / count * space;
    for (int64_t l = 0; l < x->dim[0] * count; l++) {
        double mean, variance;
        moments(x->v + l * n, n, 1, &mean, &variance);
        for (int64_t k = l * n; k < (l + 1) * n; k++) {
            int64_t p = by_group ? l % count : k / space % channels;
            y[k] = (x->v[k] - mean) / sqrt(variance + sdx_case_float(run, "epsilon", 1e-5)) * run->in[1].v[p] +
                   run->in[2].v[p];
        }
    }
}

static void instance_norm(sdx_case_run *run) { groups(run, run->in[0].dim[1], false); }
static void group_norm(sdx_case_run *run) { groups(run, sdx_case_int(run, "num_groups", 1), false); }
static void group_norm_18(sdx_case_run *run) { groups(run, sdx_case_int(run, "num_groups", 1), true); }

/* Position of the line that element k belongs to. */
static int64_t line_of(const sdx_ref *x, const bool *along, int64_t k) {
    int64_t line = 0, stride = 1;
    for (int d = x->rank - 1; d >= 0; d--) {
        if (!along[d]) {
            line += k % x->dim[d] * stride;
            stride *= x->dim[d];
        }
        k /= x->dim[d];
    }
    return line;
}

static void mvn(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0];
    int64_t axes[SDX_MAX_RANK] = {0, 2, 3};
    int n = sdx_case_ints(run, "axes", axes, SDX_MAX_RANK);
    bool along[SDX_MAX_RANK] = {false};
    for (int k = 0; k < (n < 0 ? 3 : n); k++) along[axes[k] < 0 ? axes[k] + x->rank : axes[k]] = true;
    double *sum = sdx_case_output_like(run, 1, 0), *squares = sdx_case_output_like(run, 2, 0);
    double *count = sdx_case_output_like(run, 3, 0), *y = sdx_case_output_like(run, 0, 0);
    for (int64_t k = 0; k < x->count; k++) sum[line_of(x, along, k)] += x->v[k], count[line_of(x, along, k)]++;
    for (int64_t k = 0; k < x->count; k++) {
        int64_t l = line_of(x, along, k);
        y[k] = x->v[k] - sum[l] / count[l];
        squares[l] += y[k] * y[k];
    }
    for (int64_t k = 0; k < x->count; k++) {
        int64_t l = line_of(x, along, k);
        y[k] /= sqrt(squares[l] / count[l]) + 1e-9;
    }
}

static void lp_norm(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0];
    bool along[SDX_MAX_RANK] = {false};
    along[axis_of(run, -1)] = true;
    int64_t p = sdx_case_int(run, "p", 2);
    double *sum = sdx_case_output_like(run, 1, 0), *y = sdx_case_output_like(run, 0, 0);
    for (int64_t k = 0; k < x->count; k++) sum[line_of(x, along, k)] += p == 1 ? fabs(x->v[k]) : x->v[k] * x->v[k];
    for (int64_t k = 0; k < x->count; k++) {
        double norm = sum[line_of(x, along, k)];
        y[k] = norm == 0 ? 0 : x->v[k] / (p == 1 ? norm : sqrt(norm));
    }
}

static void lrn(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0];
    int64_t size = sdx_case_int(run, "size", 1), channels = x->dim[1], space = sdx_ref_extent(x, 2, x->rank);
    double alpha = sdx_case_float(run, "alpha", 1e-4), beta = sdx_case_float(run, "beta", 0.75);
    double *y = sdx_case_output_like(run, 0, 0);
    for (int64_t k = 0; k < x->count; k++) {
        int64_t c = k / space % channels, base = k - c * space;
        double sum = 0;
        for (int64_t i = c - (size - 1) / 2; i <= c + size / 2; i++)
            if (i >= 0 && i < channels) sum += x->v[base + i * space] * x->v[base + i * space];
        y[k] = x->v[k] * pow(sdx_case_float(run, "bias", 1) + alpha / (double)size * sum, -beta);
    }
}

#define LN(suffix, ...)                                                                                                \
    { .name = "layer_norm_" suffix, .op = "LayerNormalization", .opset = 17, __VA_ARGS__ }
#define RMS(suffix, ...)                                                                                               \
    { .name = "rms_norm_" suffix, .op = "RMSNormalization", .opset = 23, __VA_ARGS__ }
#define IN(suffix, version, ...)                                                                                       \
    { .name = "instance_norm_" suffix, .op = "InstanceNormalization", .opset = version, __VA_ARGS__ }
#define GN(suffix, version, ...)                                                                                       \
    { .name = "group_norm_" suffix, .op = "GroupNormalization", .opset = version, __VA_ARGS__ }
#define MVN(suffix, version, ...)                                                                                      \
    { .name = "mvn_" suffix, .op = "MeanVarianceNormalization", .opset = version, __VA_ARGS__ }
#define LP(suffix, version, ...)                                                                                       \
    { .name = "lp_norm_" suffix, .op = "LpNormalization", .opset = version, __VA_ARGS__ }
#define LRN(suffix, version, ...)                                                                                      \
    { .name = "lrn_" suffix, .op = "LRN", .opset = version, __VA_ARGS__ }

/* Deviations of a few units around 1e6. f32 alone: narrower types cannot hold them, f64 is compared more strictly than
 * the cancellation allows. */
#define SHIFTED "uniform(999990,1000010)"

const sdx_case sdx_cases[] = {
    LN("last", .inputs = "T[N,3,C]=normal T[C]=uniform(0.5,2) T[C]=normal", .dims = "N=0..4 C=1..70",
       .outputs = "Y Mean InvStdDev", .reference = layer_norm),
    LN("no_bias", .inputs = "T[2,C]=normal T[C]=normal", .dims = "C=1..40", .reference = layer_norm),
    LN("axis1", .attributes = "axis:int=1 epsilon:float=0.1", .inputs = "T[2,3,5]=normal T[3,5]=normal T[3,5]=normal",
       .outputs = "Y Mean InvStdDev", .reference = layer_norm),
    LN("axis0", .attributes = "axis:int=-3", .inputs = "T[2,3,5]=normal T[2,3,5]=normal T[2,3,5]=normal",
       .outputs = "Y Mean InvStdDev", .reference = layer_norm),
    LN("mean_only", .inputs = "T[4,9]=normal T[9]=normal", .outputs = "- Mean", .reference = layer_norm),
    LN("deviation_only", .inputs = "T[4,9]=normal T[9]=normal", .outputs = "- - InvStdDev", .reference = layer_norm),
    LN("stash_bf16", .attributes = "stash_type:int=16", .inputs = "T[4,9]=normal T[9]=normal",
       .outputs = "Y Mean InvStdDev", .reference = layer_norm),
    LN("scalar_scale", .attributes = "axis:int=1", .inputs = "T[2,3,4]=normal T[1]=normal T[]=normal",
       .reference = layer_norm),
    LN("scale_across", .inputs = "T[2,3,4]=normal T[3,1]=normal T[2,1,4]=normal", .reference = layer_norm),
    LN("shifted", .inputs = "T[2,100]=" SHIFTED " T[100]=normal T[100]=normal", .types = "T=f32",
       .outputs = "Y Mean InvStdDev", .reference = layer_norm, .rtol = 1e-5),
    LN("long", .inputs = "T[3,4000]=normal T[4000]=normal T[4000]=normal", .reference = layer_norm,
       .flags = SDX_CASE_SLOW),
    LN("bad_axis", .attributes = "axis:int=2", .inputs = "T[2,3]=normal T[3]=normal", .fails = SDX_SHAPE,
       .says = "'axis' is 2"),
    LN("bad_scale", .inputs = "T[2,3]=normal T[2]=normal", .fails = SDX_SHAPE, .says = "input 'Scale'"),
    LN("bad_stash", .attributes = "stash_type:int=7", .inputs = "T[2,3]=normal T[3]=normal", .fails = SDX_VALUE,
       .says = "attribute 'stash_type' is 7"),

    RMS("last", .inputs = "T[N,3,C]=normal V[C]=uniform(0.5,2)", .dims = "N=0..4 C=1..70", .reference = rms_norm),
    RMS("axis1", .attributes = "axis:int=1 epsilon:float=0.01 stash_type:int=10",
        .inputs = "T[2,3,5]=normal V[3,5]=normal", .reference = rms_norm),
    RMS("axis0", .attributes = "axis:int=0", .inputs = "T[2,3]=normal V[2,3]=normal", .reference = rms_norm),
    RMS("scale_across", .inputs = "T[2,3,4]=normal V[3,1]=normal", .reference = rms_norm),
    RMS("bad_scale", .inputs = "T[2,3]=normal V[4]=normal", .fails = SDX_SHAPE, .says = "input 'scale'"),

    IN("1", 1, .inputs = "T[2,3,4]=normal T[3]=normal T[3]=normal", .reference = instance_norm),
    IN("6", 6, .attributes = "epsilon:float=0.01", .inputs = "T[N,C,5,W]=normal T[C]=normal T[C]=normal",
       .dims = "N=0..3 C=1..9 W=1..20", .reference = instance_norm),
    IN("22", 22, .inputs = "T[2,C,3,3,2]=normal T[C]=normal T[C]=normal", .dims = "C=1..5", .reference = instance_norm),
    IN("shifted", 22, .inputs = "T[2,2,50]=" SHIFTED " T[2]=normal T[2]=normal", .types = "T=f32",
       .reference = instance_norm, .rtol = 1e-5, .atol = 1e-5),
    IN("bad_scale", 22, .inputs = "T[2,3,4]=normal T[4]=normal T[3]=normal", .fails = SDX_SHAPE, .says = "'scale'"),

    GN("18", 18, .attributes = "num_groups:int=2", .inputs = "T[N,4,W]=normal T[2]=normal T[2]=normal",
       .dims = "N=0..3 W=1..30", .reference = group_norm_18),
    GN("21", 21, .attributes = "num_groups:int=2 epsilon:float=0.01",
       .inputs = "T[N,2*C,W]=normal T[2*C]=normal T[2*C]=normal", .dims = "N=0..3 C=1..5 W=1..30",
       .reference = group_norm),
    GN("21_no_space", 21, .attributes = "num_groups:int=3", .inputs = "T[5,12]=normal T[12]=normal T[12]=normal",
       .reference = group_norm),
    GN("21_planes", 21, .attributes = "num_groups:int=4 stash_type:int=16",
       .inputs = "T[1,8,5,6]=normal T[8]=normal T[8]=normal", .reference = group_norm),
    GN("shifted", 21, .attributes = "num_groups:int=2", .inputs = "T[2,4,20]=" SHIFTED " T[4]=normal T[4]=normal",
       .types = "T=f32", .reference = group_norm, .rtol = 1e-5, .atol = 1e-5),
    GN("18_by_channel", 18, .attributes = "num_groups:int=2", .inputs = "T[2,4,3]=normal T[4]=normal T[4]=normal",
       .fails = SDX_SHAPE, .says = "'scale'"),
    GN("not_dividing", 21, .attributes = "num_groups:int=3", .inputs = "T[2,4,3]=normal T[4]=normal T[4]=normal",
       .fails = SDX_SHAPE, .says = "attribute 'num_groups' is 3"),
    GN("no_groups", 21, .attributes = "num_groups:int=0", .inputs = "T[2,4,3]=normal T[4]=normal T[4]=normal",
       .fails = SDX_VALUE, .says = "attribute 'num_groups' is 0"),

    MVN("9", 9, .inputs = "T[N,3,H,5]=normal", .dims = "N=1..4 H=1..9", .reference = mvn),
    MVN("13_inner", 13, .attributes = "axes:ints=[1,-1]", .inputs = "T[2,3,4,5]=normal", .reference = mvn),
    MVN("13_outer", 13, .attributes = "axes:ints=[0]", .inputs = "T[N,C]=normal", .dims = "N=2..9 C=0..40",
        .reference = mvn),
    MVN("shifted", 13, .attributes = "axes:ints=[1]", .inputs = "T[2,50]=" SHIFTED, .types = "T=f32", .reference = mvn,
        .rtol = 1e-5, .atol = 1e-5),
    MVN("constant", 13, .attributes = "axes:ints=[0,1]", .inputs = "T[2,2]=const(3)", .expect = "T[2,2]={0 0 0 0}"),
    MVN("twice", 13, .attributes = "axes:ints=[1,-1]", .inputs = "T[2,3]=normal", .fails = SDX_VALUE,
        .says = "attribute 'axes'"),
    MVN("out_of_range", 13, .inputs = "T[2,3]=normal", .fails = SDX_SHAPE, .says = "'axes'"),

    LP("1", 1, .inputs = "T[3,C]=normal", .dims = "C=1..40", .reference = lp_norm),
    LP("p1", 22, .attributes = "axis:int=0 p:int=1", .inputs = "T[N,2,C]=normal", .dims = "N=0..9 C=0..20",
       .reference = lp_norm),
    LP("p2_middle", 22, .attributes = "axis:int=1", .inputs = "T[2,7,C]=normal", .dims = "C=1..40",
       .reference = lp_norm),
    LP("zero", 22, .inputs = "T[2,3]={0 0 0 3 0 4}", .expect = "T[2,3]={0 0 0 0.6 0 0.8}"),
    LP("subnormal", 22, .inputs = "f32[2]={3e-40 4e-40}", .expect = "f32[2]={0.6 0.8}", .rtol = 1e-4),
    LP("large", 22, .inputs = "f32[2]={3e30 4e30}", .expect = "f32[2]={0.6 0.8}"),
    LP("p3", 22, .attributes = "p:int=3", .inputs = "T[2,3]=normal", .fails = SDX_VALUE, .says = "attribute 'p' is 3"),

    LRN("1", 1, .attributes = "size:int=3", .inputs = "T[2,C,S]=normal", .dims = "C=1..8 S=0..30", .reference = lrn),
    LRN("13_even", 13, .attributes = "size:int=4 alpha:float=0.5 bias:float=2", .inputs = "T[1,7,3,S]=normal",
        .dims = "S=1..90", .reference = lrn),
    LRN("beta", 13, .attributes = "size:int=5 alpha:float=0.1 beta:float=0.6 bias:float=1.5",
        .inputs = "T[2,5,4,4]=normal", .reference = lrn),
    LRN("wide_window", 13, .attributes = "size:int=100 alpha:float=3", .inputs = "T[2,3,9]=normal", .reference = lrn),
    LRN("no_space", 13, .attributes = "size:int=2", .inputs = "T[3,4]=normal", .reference = lrn),
    LRN("bad_size", 13, .attributes = "size:int=0", .inputs = "T[1,2,3]=normal", .fails = SDX_VALUE,
        .says = "attribute 'size' is 0"),
};
SDX_CASES_END
