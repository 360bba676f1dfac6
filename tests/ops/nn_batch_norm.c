/* SPDX-License-Identifier: Apache-2.0
 * BatchNormalization in its six versions. */
#include "tests/ops/case.h"
#include <math.h>

/* Channel of element k; without `spatial` every activation is one. */
static int64_t channel_of(const sdx_ref *x, bool spatial, int64_t k) {
    int64_t sample = sdx_ref_extent(x, 1, x->rank);
    if (!spatial) return k % sample;
    return x->rank < 2 ? 0 : k % sample / sdx_ref_extent(x, 2, x->rank);
}

static void inference(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0], *in = run->in;
    bool spatial = sdx_case_int(run, "spatial", 1) != 0;
    double *y = sdx_case_output_like(run, 0, 0);
    for (int64_t k = 0; k < x->count; k++) {
        int64_t c = channel_of(x, spatial, k);
        y[k] =
            in[1].v[c] * (x->v[k] - in[3].v[c]) / sqrt(in[4].v[c] + sdx_case_float(run, "epsilon", 1e-5)) + in[2].v[c];
    }
}

static void training(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0], *in = run->in;
    bool spatial = sdx_case_int(run, "spatial", 1) != 0;
    double momentum = sdx_case_float(run, "momentum", 0.9), *y = sdx_case_output_like(run, 0, 0);
    double *running_mean = sdx_case_output_like(run, 1, 3), *running_var = sdx_case_output_like(run, 2, 4);
    double *mean = sdx_case_output_like(run, 3, 3), *var = sdx_case_output_like(run, 4, 4);
    double n = (double)x->count / (double)in[3].count;
    for (int64_t k = 0; k < x->count; k++) mean[channel_of(x, spatial, k)] += x->v[k] / n;
    for (int64_t k = 0; k < x->count; k++) {
        int64_t c = channel_of(x, spatial, k);
        var[c] += (x->v[k] - mean[c]) * (x->v[k] - mean[c]) / n;
    }
    for (int64_t c = 0; c < in[3].count; c++) {
        running_mean[c] = in[3].v[c] * momentum + mean[c] * (1 - momentum);
        running_var[c] = in[4].v[c] * momentum + var[c] * (1 - momentum);
    }
    for (int64_t k = 0; k < x->count; k++) {
        int64_t c = channel_of(x, spatial, k);
        y[k] = in[1].v[c] * (x->v[k] - mean[c]) / sqrt(var[c] + sdx_case_float(run, "epsilon", 1e-5)) + in[2].v[c];
    }
}

#define BN(suffix, version, ...)                                                                                       \
    { .name = "batch_norm_" suffix, .op = "BatchNormalization", .opset = version, __VA_ARGS__ }
#define PARAMS     "T[C]=normal T[C]=normal T[C]=normal T[C]=uniform(0.5,2)"
#define PARAMS_U   "T[C]=normal T[C]=normal U[C]=normal U[C]=uniform(0.5,2)"
#define PARAMS_2   "T1[C]=normal T1[C]=normal T2[C]=normal T2[C]=uniform(0.5,2)"
#define ACTIVATION "T[3,4]=normal T[3,4]=normal T[3,4]=normal T[3,4]=uniform(0.5,2)"

const sdx_case sdx_cases[] = {
    BN("1_test", 1, .attributes = "is_test:int=1 consumed_inputs:ints=[0,0,0,1,1]", .inputs = "T[2,C,4]=normal " PARAMS,
       .dims = "C=1..5", .reference = inference),
    BN("1_train", 1, .attributes = "consumed_inputs:ints=[0,0,0,1,1]", .inputs = "T[2,C,4]=normal " PARAMS,
       .dims = "C=1..5", .outputs = "Y mean var saved_mean saved_var", .reference = training),
    BN("6_test", 6, .attributes = "is_test:int=1 epsilon:float=0.01", .inputs = "T[2,C,3,3]=normal " PARAMS,
       .dims = "C=1..5", .reference = inference),
    BN("6_test_activation", 6, .attributes = "is_test:int=1 spatial:int=0", .inputs = "T[5,3,4]=normal " ACTIVATION,
       .reference = inference),
    BN("6_train", 6, .attributes = "momentum:float=0.3", .inputs = "T[2,C,3,3]=normal " PARAMS, .dims = "C=1..5",
       .outputs = "Y mean var", .reference = training),
    BN("6_train_activation", 6, .attributes = "spatial:int=0", .inputs = "T[5,3,4]=normal " ACTIVATION,
       .outputs = "Y mean var saved_mean saved_var", .reference = training),
    BN("7_test", 7, .inputs = "T[2,C,5]=normal " PARAMS, .dims = "C=1..5", .reference = inference),
    BN("7_test_activation", 7, .attributes = "spatial:int=0", .inputs = "T[5,3,4]=normal " ACTIVATION,
       .reference = inference),
    BN("7_train", 7, .inputs = "T[3,C,5]=normal " PARAMS, .dims = "C=1..5",
       .outputs = "Y mean var saved_mean saved_var", .reference = training),
    BN("9_test", 9, .inputs = "T[N,C,5]=normal " PARAMS, .dims = "N=0..4 C=1..5", .reference = inference),
    BN("9_train", 9, .inputs = "T[3,C,5]=normal " PARAMS, .dims = "C=1..5",
       .outputs = "Y mean var saved_mean saved_var", .reference = training),
    BN("9_train_some", 9, .inputs = "T[3,C,5]=normal " PARAMS, .dims = "C=1..5", .outputs = "Y - var",
       .reference = training),
    BN("14", 14, .inputs = "T[N,C,H,W]=normal " PARAMS_U, .dims = "N=0..4 C=1..5 H=1..7 W=1..9",
       .reference = inference),
    BN("14_train", 14, .attributes = "training_mode:int=1", .inputs = "T[N,C,H,W]=normal " PARAMS_U,
       .dims = "N=1..4 C=1..5 H=1..7 W=1..9", .outputs = "Y running_mean running_var", .reference = training),
    BN("15", 15, .inputs = "T[N,C,3,W]=normal " PARAMS_2, .dims = "N=0..4 C=1..20 W=1..40", .reference = inference),
    BN("15_no_space", 15, .inputs = "T[N,C]=normal " PARAMS_2, .dims = "N=0..9 C=1..70", .reference = inference),
    BN("15_rank1", 15, .inputs = "T[6]=normal T1[1]=normal T1[1]=normal T2[1]=normal T2[1]=uniform(0.5,2)",
       .reference = inference),
    BN("15_train", 15, .attributes = "training_mode:int=1 momentum:float=0.75", .inputs = "T[N,C,3,W]=normal " PARAMS_2,
       .dims = "N=1..4 C=1..20 W=1..40", .outputs = "Y running_mean running_var", .reference = training),
    BN("15_train_y", 15, .attributes = "training_mode:int=1", .inputs = "T[4,C]=normal " PARAMS_2, .dims = "C=1..40",
       .reference = training),
    BN("15_train_statistics", 15, .attributes = "training_mode:int=1", .inputs = "T[4,C,2]=normal " PARAMS_2,
       .dims = "C=1..40", .outputs = "- running_mean running_var", .reference = training),
    BN("15_train_shifted", 15, .attributes = "training_mode:int=1 momentum:float=0",
       .inputs = "T[4,C,9]=uniform(999990,1000010) " PARAMS_2, .dims = "C=1..9", .types = "T=f32",
       .outputs = "Y running_mean running_var", .reference = training, .rtol = 1e-5, .atol = 1e-5),
    BN("15_variance", 15, .attributes = "training_mode:int=1 momentum:float=0",
       .inputs = "f32[4,1]={1000000.5 999999.5 1000000.5 999999.5} f32[1]={1} f32[1]={0} f32[1]={0} f32[1]={0}",
       .outputs = "- mean var", .expect = "f32[1]={1000000} f32[1]={0.25}"),
    BN("15_special", 15, .inputs = "T[2,C,9]=special " PARAMS_2, .dims = "C=1..9", .reference = inference),
    BN("bad_scale", 15, .inputs = "T[2,3,4]=normal T1[4]=normal T1[3]=normal T2[3]=normal T2[3]=normal",
       .fails = SDX_SHAPE, .says = "input 'scale' has length 4"),
    BN("bad_rank", 15, .inputs = "T[]=normal T1[1]=normal T1[1]=normal T2[1]=normal T2[1]=normal", .fails = SDX_SHAPE,
       .says = "input 'X' has rank 0"),
};
SDX_CASES_END
