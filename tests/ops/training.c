/* SPDX-License-Identifier: Apache-2.0
 * Adagrad, Adam, Momentum. */
#include "tests/ops/case.h"
#include <math.h>
#include <string.h>

enum { FIXED = 2 };

/* Inputs by role of parameter i out of `count`. */
typedef struct step {
    double rate, x, g;
    int64_t t;
} step;

static step step_at(const sdx_case_run *run, int count, int i, int64_t k) {
    step s = {.rate = run->in[0].v[0], .x = run->in[FIXED + i].v[k], .t = (int64_t)run->in[1].v[0]};
    s.g = run->in[FIXED + count + i].v[k] + sdx_case_float(run, "norm_coefficient", 0) * s.x;
    return s;
}

static void adagrad(sdx_case_run *run) {
    const int count = (run->n_in - FIXED) / 3;
    for (int i = 0; i < count; i++) {
        double *x = sdx_case_output_like(run, i, FIXED + i), *h = sdx_case_output_like(run, count + i, FIXED + i);
        for (int64_t k = 0; k < run->in[FIXED + i].count; k++) {
            step s = step_at(run, count, i, k);
            h[k] = run->in[FIXED + 2 * count + i].v[k] + s.g * s.g;
            x[k] = s.x - s.rate / (1 + (double)s.t * sdx_case_float(run, "decay_factor", 0)) * s.g /
                             (sqrt(h[k]) + sdx_case_float(run, "epsilon", 1e-6));
        }
    }
}

static void adam(sdx_case_run *run) {
    const int count = (run->n_in - FIXED) / 4;
    const double alpha = sdx_case_float(run, "alpha", 0.9), beta = sdx_case_float(run, "beta", 0.999);
    for (int i = 0; i < count; i++) {
        double *x = sdx_case_output_like(run, i, FIXED + i), *v = sdx_case_output_like(run, count + i, FIXED + i);
        double *h = sdx_case_output_like(run, 2 * count + i, FIXED + i);
        for (int64_t k = 0; k < run->in[FIXED + i].count; k++) {
            step s = step_at(run, count, i, k);
            if (s.t > 0) s.rate *= sqrt(1 - pow(beta, (double)s.t)) / (1 - pow(alpha, (double)s.t));
            v[k] = alpha * run->in[FIXED + 2 * count + i].v[k] + (1 - alpha) * s.g;
            h[k] = beta * run->in[FIXED + 3 * count + i].v[k] + (1 - beta) * s.g * s.g;
            x[k] = s.x - s.rate * v[k] / (sqrt(h[k]) + sdx_case_float(run, "epsilon", 1e-6));
            x[k] *= 1 - sdx_case_float(run, "norm_coefficient_post", 0);
        }
    }
}

static void momentum(sdx_case_run *run) {
    const int count = (run->n_in - FIXED) / 3;
    const double alpha = sdx_case_float(run, "alpha", 0);
    const int nesterov = strcmp(sdx_case_string(run, "mode", ""), "nesterov") == 0;
    for (int i = 0; i < count; i++) {
        double *x = sdx_case_output_like(run, i, FIXED + i), *v = sdx_case_output_like(run, count + i, FIXED + i);
        for (int64_t k = 0; k < run->in[FIXED + i].count; k++) {
            step s = step_at(run, count, i, k);
            v[k] = alpha * run->in[FIXED + 2 * count + i].v[k] + (s.t > 0 ? sdx_case_float(run, "beta", 0) : 1) * s.g;
            x[k] = s.x - s.rate * (nesterov ? s.g + alpha * v[k] : v[k]);
        }
    }
}

#define CASE(title, operator, ...)                                                                                     \
    { .name = title, .domain = "ai.onnx.preview.training", .op = operator, .opset = 1, __VA_ARGS__ }
#define HYPER "alpha:float=0.9 beta:float=0.75 norm_coefficient:float=0.01 mode:string="

const sdx_case sdx_cases[] = {
    CASE("adagrad", "Adagrad", .attributes = "decay_factor:float=0.1 epsilon:float=0.001 norm_coefficient:float=0.01",
         .inputs = "T1[]={0.1} i64[]={3} T3[N]=normal T3[N]=normal T3[N]=uniform(0,2)", .dims = "N=0..40",
         .outputs = "X H", .reference = adagrad),
    CASE("adagrad_defaults", "Adagrad",
         .inputs = "T1[]={0.1} i64[]={0} T3[2,3]=normal T3[2,3]=normal T3[2,3]=uniform(1,2)", .outputs = "X H",
         .reference = adagrad),
    CASE("adam", "Adam",
         .attributes = "alpha:float=0.8 beta:float=0.75 epsilon:float=0.01 norm_coefficient:float=0.02 "
                       "norm_coefficient_post:float=0.03",
         .inputs = "T1[]={0.1} i64[]={2} T3[N]=normal T3[N]=normal T3[N]=normal T3[N]=uniform(0,2)", .dims = "N=0..40",
         .outputs = "X V H", .reference = adam),
    CASE("adam_first", "Adam",
         .inputs = "T1[1]={0.1} i64[1]={0} T3[2,3]=normal T3[2,3]=uniform(1,2) T3[2,3]=normal T3[2,3]=uniform(1,2)",
         .outputs = "X V H", .reference = adam),
    CASE("adam_two", "Adam",
         .inputs =
             "f32[]={0.1} i64[]={1} f32[5]=normal f64[2,2]=normal f32[5]=uniform(1,2) f64[2,2]=normal f32[5]=normal "
             "f64[2,2]=normal f32[5]=uniform(1,2) f64[2,2]=uniform(1,2)",
         .outputs = "X Y VX VY HX HY", .reference = adam, .atol = 1e-5),
    CASE("adam_state_alone", "Adam",
         .inputs = "f32[]={0.1} i64[]={1} f32[3000]=normal f32[3000]=normal f32[3000]=normal f32[3000]=uniform(0,1)",
         .outputs = "- - H", .reference = adam, .flags = SDX_CASE_SLOW),
    CASE("momentum", "Momentum", .attributes = HYPER "standard",
         .inputs = "T1[]={0.1} i64[]={4} T3[N]=normal T3[N]=normal T3[N]=normal", .dims = "N=0..40", .outputs = "X V",
         .reference = momentum),
    CASE("momentum_first", "Momentum", .attributes = HYPER "standard",
         .inputs = "T1[]={0.1} i64[]={0} T3[4]=normal T3[4]=normal T3[4]=normal", .outputs = "X V",
         .reference = momentum),
    CASE("nesterov", "Momentum", .attributes = HYPER "nesterov",
         .inputs = "T1[]={0.1} i64[]={1} T3[4]=normal T3[2]=normal T3[4]=normal T3[2]=normal T3[4]=normal T3[2]=normal",
         .outputs = "X Y V W", .reference = momentum),
    CASE("bad_mode", "Momentum", .attributes = HYPER "fast",
         .inputs = "f32[]={0.1} i64[]={1} f32[4]=normal f32[4]=normal f32[4]=normal", .outputs = "X V",
         .fails = SDX_VALUE, .says = "attribute 'mode' is 'fast'"),
    CASE("bad_count", "Adagrad", .inputs = "f32[]={0.1} i64[]={1} f32[4]=normal f32[4]=normal", .outputs = "X H",
         .fails = SDX_SHAPE, .says = "there are 2 inputs after 'T'; their number must be a multiple of 3"),
    CASE("bad_shape", "Adagrad", .inputs = "f32[]={0.1} i64[]={1} f32[4]=normal f32[4]=normal f32[5]=normal",
         .outputs = "X H", .fails = SDX_SHAPE,
         .says = "dimensions of a parameter, its gradient and its state: 4 and 5"),
    CASE("bad_dtype", "Adagrad", .inputs = "f32[]={0.1} i64[]={1} f32[4]=normal f64[4]=normal f32[4]=normal",
         .outputs = "X H", .fails = SDX_TYPE, .says = "input 3 is f64; it must be f32"),
};
SDX_CASES_END
