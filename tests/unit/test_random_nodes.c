/* SPDX-License-Identifier: Apache-2.0
 * What the random operators draw: means and variances within five standard errors, ranges, seeds that repeat and
 * differ, and the same numbers from any number of threads. */
#include "runtime/base/half.h"
#include "support.h"
#include <math.h>

enum { N = 60000 };

static void set_float(sdx_graph *graph, sdx_node *node, const char *name, float value) {
    sdx_attr attr = {.name = name, .type = SDX_ATTR_FLOAT, .n = 1, .f = value};
    OK(sdx_node_set_attr(graph, node, &attr, &test_error));
}

typedef struct setting {
    const char *op;
    float first, second, seed; /* low, high or mean, scale; seed < 0: none */
    sdx_dtype dtype;
} setting;

/* A fresh session draws N numbers, as doubles. */
static void draw(const setting *s, int threads, double *to) {
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_node *node = add_node_n(g, s->op, "y", 1, 0, NULL);
    const bool normal = strcmp(s->op, "RandomNormal") == 0;
    set_float(g, node, normal ? "mean" : "low", s->first);
    set_float(g, node, normal ? "scale" : "high", s->second);
    set_int(g, node, "dtype", s->dtype);
    set_ints(g, node, "shape", 1, (const int64_t[]){N});
    if (s->seed >= 0) set_float(g, node, "seed", s->seed);
    add_output(g, node->out[0]);
    finish_model(model);
    sdx_session *session = new_session(model, threads);
    sdx_value *y = run_one(session, NULL, 0, "y");
    assert_int_equal(y->tensor.count, N);
    for (int k = 0; k < N; k++) {
        if (s->dtype == SDX_F64) to[k] = ((double *)y->tensor.data)[k];
        if (s->dtype == SDX_F32) to[k] = (double)((float *)y->tensor.data)[k];
        if (s->dtype == SDX_F16) to[k] = (double)sdx_f32_from_f16(((uint16_t *)y->tensor.data)[k]);
    }
    sdx_value_release(y);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

static void moments(const double *x, int n, double *mean, double *variance) {
    *mean = *variance = 0;
    for (int k = 0; k < n; k++) *mean += x[k] / n;
    for (int k = 0; k < n; k++) *variance += (x[k] - *mean) * (x[k] - *mean) / n;
}

static double drawn[2][N];

static void uniform(void **unused) {
    (void)unused;
    static const sdx_dtype dtypes[] = {SDX_F32, SDX_F64, SDX_F16};
    for (int d = 0; d < 3; d++) {
        double mean = 0, variance = 0;
        draw(&(setting){"RandomUniform", -1, 1, 3, dtypes[d]}, 1, drawn[0]);
        moments(drawn[0], N, &mean, &variance);
        for (int k = 0; k < N; k++) assert_true(drawn[0][k] >= -1 && drawn[0][k] < 1);
        assert_true(fabs(mean) < 5 * 0.5774 / sqrt(N) + (dtypes[d] == SDX_F16 ? 1e-3 : 0));
        assert_true(fabs(variance - 1.0 / 3) < 5 * 0.2981 / sqrt(N) + (dtypes[d] == SDX_F16 ? 1e-3 : 0));
    }
}

static void normal(void **unused) {
    (void)unused;
    double mean = 0, variance = 0, third = 0;
    draw(&(setting){"RandomNormal", 2, 3, 5, SDX_F32}, 1, drawn[0]);
    moments(drawn[0], N, &mean, &variance);
    for (int k = 0; k < N; k++) third += pow((drawn[0][k] - 2) / 3, 3) / N;
    assert_true(fabs(mean - 2) < 5 * 3 / sqrt(N));
    assert_true(fabs(variance - 9) < 5 * 9 * 1.4142 / sqrt(N));
    assert_true(fabs(third) < 5 * sqrt(15.0 / N));
}

static void seeds(void **unused) {
    (void)unused;
    static const char *const ops[] = {"RandomUniform", "RandomNormal"};
    for (int k = 0; k < 2; k++) {
        setting s = {ops[k], 0, 1, 7, SDX_F32};
        draw(&s, 1, drawn[0]), draw(&s, 3, drawn[1]);
        assert_memory_equal(drawn[0], drawn[1], sizeof drawn[0]);
        s.seed = 8;
        draw(&s, 1, drawn[1]);
        assert_memory_not_equal(drawn[0], drawn[1], 64);
        s.seed = 0.5f;
        draw(&s, 1, drawn[0]);
        assert_memory_not_equal(drawn[0], drawn[1], 64);
    }
}

/* Runs `op` on one input; expects i64. */
static sdx_value *sampled(const char *op, float seed, int64_t samples, int rank, const int64_t *dims, const float *x) {
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id in = add_input(g, "x", SDX_F32, rank, dims);
    sdx_node *node = add_node_n(g, op, "y", 1, 1, &in);
    if (seed >= 0) set_float(g, node, "seed", seed);
    set_int(g, node, "dtype", SDX_I64);
    if (samples) set_int(g, node, "sample_size", samples);
    add_output(g, node->out[0]);
    finish_model(model);
    sdx_session *session = new_session(model, 2);
    sdx_binding binding = {"x", new_tensor(SDX_F32, rank, dims, x)};
    sdx_value *y = run_one(session, &binding, 1, "y");
    sdx_value_release(binding.value);
    sdx_session_destroy(session);
    sdx_model_close(model);
    return y;
}

static void bernoulli(void **unused) {
    (void)unused;
    static float p[N];
    for (int k = 0; k < N; k++) p[k] = k < N / 2 ? 0.2f : 0.9f;
    sdx_value *y = sampled("Bernoulli", 4, 0, DIMS(N), p), *again = sampled("Bernoulli", 4, 0, DIMS(N), p);
    sdx_value *other = sampled("Bernoulli", 5, 0, DIMS(N), p);
    double ones[2] = {0};
    for (int k = 0; k < N; k++) ones[k >= N / 2] += (double)((int64_t *)y->tensor.data)[k];
    assert_true(fabs(ones[0] / (N / 2) - 0.2) < 5 * 0.4 / sqrt(N / 2));
    assert_true(fabs(ones[1] / (N / 2) - 0.9) < 5 * 0.3 / sqrt(N / 2));
    assert_memory_equal(y->tensor.data, again->tensor.data, N * sizeof(int64_t));
    assert_memory_not_equal(y->tensor.data, other->tensor.data, N * sizeof(int64_t));
    sdx_value_release(y), sdx_value_release(again), sdx_value_release(other);
}

static void multinomial(void **unused) {
    (void)unused;
    const double p[4] = {0.1, 0.5, 0, 0.4};
    float x[4];
    for (int k = 0; k < 4; k++) x[k] = (float)log(p[k]) + 3;
    sdx_value *y = sampled("Multinomial", -1, N, DIMS(1, 4), x);
    double count[4] = {0};
    for (int k = 0; k < N; k++) count[((int64_t *)y->tensor.data)[k]]++;
    for (int k = 0; k < 4; k++) assert_true(fabs(count[k] / N - p[k]) <= 5 * sqrt(p[k] * (1 - p[k]) / N));
    sdx_value_release(y);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(uniform), cmocka_unit_test(normal), cmocka_unit_test(seeds),
                                       cmocka_unit_test(bernoulli), cmocka_unit_test(multinomial)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
