/* SPDX-License-Identifier: Apache-2.0
 * Dropout in its seven versions. Masks with a seed are numpy's: the numbers below are RandomState(0) and (7). */
#include "tests/ops/case.h"

static void identity(sdx_case_run *run) {
    double *y = sdx_case_output_like(run, 0, 0), *mask = sdx_case_output_like(run, 1, 0);
    for (int64_t k = 0; k < run->in[0].count; k++) y[k] = run->in[0].v[k], mask[k] = 1;
}

/* RandomState(0) with ratio 0.5, eight elements. */
static void seeded(sdx_case_run *run) {
    static const double mask[8] = {1, 1, 1, 1, 0, 1, 0, 1};
    double *y = sdx_case_output_like(run, 0, 0), *drawn = sdx_case_output_like(run, 1, 0);
    for (int64_t k = 0; k < 8; k++) y[k] = 2 * mask[k] * run->in[0].v[k], drawn[k] = mask[k];
}

#define DROPOUT(suffix, version, ...)                                                                                  \
    { .name = "dropout_" suffix, .op = "Dropout", .opset = version, __VA_ARGS__ }

const sdx_case sdx_cases[] = {
    DROPOUT("1_test", 1, .attributes = "is_test:int=1", .inputs = "T[N,3]=normal", .dims = "N=0..300",
            .outputs = "Y mask", .reference = identity),
    DROPOUT("6_test", 6, .attributes = "is_test:int=1 ratio:float=0.3", .inputs = "T[2,3]=normal",
            .reference = identity),
    DROPOUT("6_train", 6, .attributes = "ratio:float=0.3", .inputs = "T[20,30]=normal", .outputs = "Y mask",
            .reference = identity, .flags = SDX_CASE_SHAPE_ONLY),
    DROPOUT("6_train_all", 6, .attributes = "ratio:float=1", .inputs = "T[3]={1 2 3}", .expect = "T[3]={0 0 0}"),
    DROPOUT("7", 7, .inputs = "T[N,3]=normal", .dims = "N=0..300", .outputs = "Y mask", .reference = identity),
    DROPOUT("7_plain", 7, .inputs = "T[4,3]=normal", .reference = identity),
    DROPOUT("10", 10, .inputs = "T[4,3]=normal", .outputs = "Y mask", .reference = identity),
    DROPOUT("12", 12, .inputs = "T[4,3]=normal T1[]={0.1}", .outputs = "Y mask", .reference = identity),
    DROPOUT("12_no_ratio", 12, .inputs = "T[4,3]=normal", .reference = identity),
    DROPOUT("13_mode_false", 13, .inputs = "T[4,3]=normal T1[]={0.1} bool[]={0}", .outputs = "Y mask",
            .reference = identity),
    DROPOUT("13_ratio_0", 13, .inputs = "T[4,3]=normal T1[]={0} bool[]={1}", .outputs = "Y mask",
            .reference = identity),
    DROPOUT("22", 22, .inputs = "T[N,3]=normal", .dims = "N=0..300", .outputs = "Y mask", .reference = identity),
    DROPOUT("22_scalar", 22, .inputs = "T[]=normal", .outputs = "Y mask", .reference = identity),
    DROPOUT("22_mask_only", 22, .inputs = "T[2,3]=normal", .outputs = "- mask", .reference = identity),
    DROPOUT("22_special", 22, .inputs = "T[40]=special", .reference = identity),
    DROPOUT("22_seed_0", 22, .attributes = "seed:int=0", .inputs = "T[8]={1 2 3 4 5 6 7 8} f32[]={0.5} bool[]={1}",
            .outputs = "Y mask", .types = "T=bf16|f16|f32|f64",
            .expect = "T[8]={2 4 6 8 0 12 0 16} bool[8]={1 1 1 1 0 1 0 1}"),
    DROPOUT("22_seed_gradient", 22, .attributes = "seed:int=0", .inputs = "T[8]=normal f32[]={0.5} bool[]={1}",
            .types = "T=bf16|f16|f32|f64", .reference = seeded),
    DROPOUT("22_seed_gradient_mask", 22, .attributes = "seed:int=0", .inputs = "T[8]=normal - bool[]={1}",
            .types = "T=bf16|f16|f32|f64", .outputs = "Y mask", .reference = seeded),
    DROPOUT("22_seed_7", 22, .attributes = "seed:int=7", .inputs = "T[6]={1 2 3 4 5 6} - bool[]={1}",
            .types = "T=bf16|f16|f32|f64", .expect = "T[6]={0 4 0 8 10 12}"),
    DROPOUT("22_seed_mask_only", 22, .attributes = "seed:int=0", .inputs = "T[8]=normal f32[]={0.5} bool[]={1}",
            .outputs = "- mask", .expect = "bool[8]={1 1 1 1 0 1 0 1}"),
    DROPOUT("22_ratio_1", 22, .inputs = "T[3]={1 2 3} f32[]={1} bool[]={1}", .outputs = "Y mask",
            .expect = "T[3]={0 0 0} bool[3]={0 0 0}"),
    DROPOUT("22_train", 22, .inputs = "T[50,700]=normal f32[]={0.25} bool[]={1}", .outputs = "Y mask",
            .reference = identity, .flags = SDX_CASE_SHAPE_ONLY | SDX_CASE_SLOW),
    DROPOUT("22_bad_ratio", 22, .inputs = "T[3]={1 2 3} f32[]={1.5} bool[]={1}", .fails = SDX_VALUE,
            .says = "input 'ratio' is 1.5"),
    DROPOUT("22_ratio_vector", 22, .inputs = "T[3]={1 2 3} f32[2]={0.5 0.5}", .fails = SDX_SHAPE,
            .says = "input 'ratio' is f32[2]"),
    DROPOUT("7_bad_ratio", 7, .attributes = "ratio:float=-1", .inputs = "T[3]={1 2 3}", .fails = SDX_VALUE,
            .says = "ratio"),
};
SDX_CASES_END
