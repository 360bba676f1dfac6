/* SPDX-License-Identifier: Apache-2.0
 * NegativeLogLikelihoodLoss and SoftmaxCrossEntropyLoss. */
#include "tests/ops/case.h"
#include <math.h>
#include <string.h>

/* Losses of all labels from logarithms of probabilities, reduced into output 0. */
static void reduce(sdx_case_run *run, const double *log_prob) {
    const sdx_ref *x = &run->in[0], *labels = &run->in[1];
    const int64_t classes = x->dim[1], space = sdx_ref_extent(x, 2, x->rank);
    const char *reduction = sdx_case_string(run, "reduction", "mean");
    const int64_t ignored = sdx_case_int(run, "ignore_index", INT64_MIN);
    double *loss = sdx_case_output(run, 3, labels->rank, labels->dim), sum = 0, weights = 0;
    for (int64_t k = 0; k < labels->count; k++) {
        const int64_t label = (int64_t)labels->v[k];
        if (label == ignored) continue;
        double weight = run->n_in > 2 && run->in[2].present ? run->in[2].v[label] : 1;
        loss[k] = -log_prob[(k / space * classes + label) * space + k % space] * weight;
        sum += loss[k];
        weights += weight;
    }
    if (strcmp(reduction, "none") == 0)
        memcpy(sdx_case_output(run, 0, labels->rank, labels->dim), loss, (size_t)labels->count * sizeof *loss);
    else
        *sdx_case_output(run, 0, 0, NULL) = strcmp(reduction, "sum") == 0 ? sum : sum / weights;
}

static void nll(sdx_case_run *run) { reduce(run, run->in[0].v); }

static void sce(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0];
    const int64_t classes = x->dim[1], space = sdx_ref_extent(x, 2, x->rank);
    double *log_prob = sdx_case_output_like(run, 1, 0);
    for (int64_t k = 0; k < x->dim[0] * space; k++) {
        const double *from = x->v + k / space * classes * space + k % space;
        double *to = log_prob + (from - x->v), sum = 0, most = -INFINITY;
        for (int64_t c = 0; c < classes; c++) most = fmax(most, from[c * space]);
        for (int64_t c = 0; c < classes; c++) sum += exp(from[c * space] - most);
        for (int64_t c = 0; c < classes; c++) to[c * space] = from[c * space] - most - log(sum);
    }
    reduce(run, log_prob);
}

#define NLL(suffix, version, ...)                                                                                      \
    { .name = "nll_" suffix, .op = "NegativeLogLikelihoodLoss", .opset = version, __VA_ARGS__ }
#define SCE(suffix, version, ...)                                                                                      \
    { .name = "sce_" suffix, .op = "SoftmaxCrossEntropyLoss", .opset = version, .atol = 1e-5, __VA_ARGS__ }
#define BOTH .outputs = "output log_prob"

const sdx_case sdx_cases[] = {
    NLL("mean", 12, .inputs = "T[N,C]=normal Tind[N]=ints(0,2)", .dims = "N=1..40 C=3..9", .reference = nll),
    NLL("weights", 13, .inputs = "T[N,C]=normal Tind[N]=ints(0,2) T[C]=uniform(0.5,2)", .dims = "N=1..40 C=3..9",
        .reference = nll),
    NLL("none", 22, .attributes = "reduction:string=none",
        .inputs = "T[N,5,S,2]=normal Tind[N,S,2]=ints(0,4) T[5]=normal", .dims = "N=0..4 S=0..9", .reference = nll),
    NLL("sum_ignore", 22, .attributes = "reduction:string=sum ignore_index:int=2",
        .inputs = "T[N,5,S]=uniform(-3,0) Tind[N,S]=ints(0,4)", .dims = "N=0..4 S=1..9", .reference = nll),
    NLL("mean_ignore", 22, .attributes = "ignore_index:int=-7", .inputs = "T[3,2]=normal Tind[3]={-7 1 0} T[2]={0.5 2}",
        .reference = nll),
    NLL("ignore_all", 13, .attributes = "ignore_index:int=9", .inputs = "f32[2,3]=normal i64[2]={9 9}",
        .expect = "f32[]={nan}"),
    NLL("many", 13, .inputs = "T[2,3,3000]=normal Tind[2,3000]=ints(0,2)", .reference = nll, .atol = 1e-5,
        .flags = SDX_CASE_SLOW),
    NLL("label_high", 13, .inputs = "f32[2,3]=normal i64[2]={0 3}", .fails = SDX_VALUE,
        .says = "label 3 at position 1 of input 'target'; it must be in [0, 3)"),
    NLL("label_negative", 13, .attributes = "ignore_index:int=5", .inputs = "f32[2,3]=normal i32[2]={-1 5}",
        .fails = SDX_VALUE, .says = "label -1 at position 0 of input 'target'; it must be in [0, 3) or 'ignore_index'"),
    NLL("bad_reduction", 13, .attributes = "reduction:string=max", .inputs = "f32[2,3]=normal i64[2]={0 1}",
        .fails = SDX_VALUE, .says = "attribute 'reduction' is 'max'"),
    NLL("bad_rank", 13, .inputs = "f32[2,3,4]=normal i64[2]={0 1}", .fails = SDX_SHAPE, .says = "'target' has rank 1"),
    NLL("bad_weights", 13, .inputs = "f32[2,3]=normal i64[2]={0 1} f32[2]=normal", .fails = SDX_SHAPE,
        .says = "the number of classes and of weights: 3 and 2"),

    SCE("mean", 12, .inputs = "T[N,C]=normal Tind[N]=ints(0,2)", .dims = "N=1..20 C=3..40", BOTH, .reference = sce),
    SCE("loss_alone", 13, .inputs = "T[N,C]=normal Tind[N]=ints(0,2) T[C]=uniform(0.5,2)", .dims = "N=1..20 C=3..40",
        .reference = sce),
    SCE("probabilities_alone", 13, .inputs = "T[3,4,S]=normal Tind[3,S]=ints(0,3)", .dims = "S=0..20",
        .outputs = "- log_prob", .reference = sce),
    SCE("none", 13, .attributes = "reduction:string=none ignore_index:int=1",
        .inputs = "T[N,4,S,3]=normal Tind[N,S,3]=ints(0,3) T[4]=normal", .dims = "N=0..3 S=0..7", BOTH,
        .reference = sce),
    SCE("sum", 13, .attributes = "reduction:string=sum", .inputs = "T[2,C,5]=normal Tind[2,5]=ints(0,1)",
        .dims = "C=2..20", BOTH, .reference = sce),
    SCE("large_scores", 13, .inputs = "f32[1,3]={1000 1001 -1000} i64[1]={0}", .expect = "f32[]={1.3132617}"),
    SCE("label_high", 13, .inputs = "f32[2,3]=normal i64[2]={0 3}", .fails = SDX_VALUE,
        .says = "label 3 at position 1 of input 'labels'"),
    SCE("bad_dims", 13, .inputs = "f32[2,3,4]=normal i64[2,5]=const(0)", .fails = SDX_SHAPE,
        .says = "dimensions of scores and labels: 4 and 5"),
};
SDX_CASES_END
