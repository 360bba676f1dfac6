/* SPDX-License-Identifier: Apache-2.0
 * Metrics against the numbers of scikit-learn 1.9, added in batches of uneven size and types. */
#include "runtime/train/train.h"
#include "tests/unit/support.h"
#include <math.h>

enum { N = 23, C = 4, MOST = 8 };
static const int64_t labels[N] = {1, 0, 2, 2, 0, 2, 2, 2, 0, 0, 3, 2, 0, 0, 2, 0, 0, 0, 2, 2, 1, 0, 2};

static double score(int64_t i, int64_t k) { return (double)((i * 37 + k * 53 + i * k * 7) % 41 - 20) / 8; }
static double score8(int64_t i, int64_t k) { return (double)((i * 37 + k * 53 + i * k * 7) % 101 - 50) / 8; }
static double target(int64_t i, int64_t k) { return (double)((i * 11 + k * 5) % 19 - 9) / 4 + 100 * (double)k; }
static double off(int64_t i, int64_t k) { return target(i, k) + score(i, k); }
static double answer(int64_t i, int64_t k) { return (i * (k + 3) + k * k) % 7 < 3; }
static double label(int64_t i, int64_t k) { return k ? 0 : (double)labels[i]; }
static double label2(int64_t i, int64_t k) { return k ? 0 : (double)(labels[i] % 2); }
static double label8(int64_t i, int64_t k) { return k ? 0 : (double)(i * 3 % 8); }
static double onehot(int64_t i, int64_t k) { return labels[i] == k ? .75 : .08; }

typedef double (*table)(int64_t i, int64_t k);

/* Rows [first, last) as [rows, columns], or [rows] when columns is 0. */
static sdx_value *rows(table values, sdx_dtype dtype, int64_t first, int64_t last, int64_t columns) {
    const int64_t dims[2] = {last - first, columns}, width = columns ? columns : 1;
    sdx_value *value = new_tensor(dtype, columns ? 2 : 1, dims, NULL);
    for (int64_t k = 0; k < value->tensor.count; k++) {
        const double x = values(first + k / width, k % width);
        if (dtype == SDX_F64) ((double *)value->tensor.data)[k] = x;
        if (dtype == SDX_F32) ((float *)value->tensor.data)[k] = (float)x;
        if (dtype == SDX_I64) ((int64_t *)value->tensor.data)[k] = (int64_t)x;
        if (dtype == SDX_I32) ((int32_t *)value->tensor.data)[k] = (int32_t)x;
    }
    return value;
}

typedef struct metric_case {
    const char *name;
    sdx_loss_kind loss;
    table output, label;
    int64_t columns, label_columns;
    sdx_dtype output_type, label_type;
    const char *metrics[MOST];
    double want[MOST];
} metric_case;

static const metric_case cases[] = {
    {"four classes",
     SDX_LOSS_CROSS_ENTROPY,
     score,
     label,
     C,
     0,
     SDX_F64,
     SDX_I64,
     {"accuracy", "precision", "recall", "f1", "auc"},
     {0.30434782608695654, 0.34166666666666667, 0.27500000000000002, 0.25946275946275943, 0.50404595404595398}},
    {"four classes, i32, f32",
     SDX_LOSS_CROSS_ENTROPY,
     score,
     label,
     C,
     0,
     SDX_F32,
     SDX_I32,
     {"f1", "accuracy"},
     {0.25946275946275943, 0.30434782608695654}},
    {"four classes, probabilities",
     SDX_LOSS_CROSS_ENTROPY,
     score,
     onehot,
     C,
     C,
     SDX_F32,
     SDX_F32,
     {"accuracy", "recall"},
     {0.30434782608695654, 0.27500000000000002}},
    {"two classes",
     SDX_LOSS_CROSS_ENTROPY,
     score,
     label2,
     2,
     0,
     SDX_F64,
     SDX_I64,
     {"accuracy", "precision", "recall", "f1", "auc"},
     {0.52173913043478259, 0.16666666666666666, 0.66666666666666663, 0.26666666666666666, 0.71666666666666667}},
    {"eight classes", SDX_LOSS_CROSS_ENTROPY, score8, label8, 8, 0, SDX_F64, SDX_I64, {"top5"}, {0.65217391304347827}},
    {"questions",
     SDX_LOSS_BCE_WITH_LOGITS,
     score,
     answer,
     C,
     C,
     SDX_F32,
     SDX_F32,
     {"accuracy", "precision", "recall", "f1", "auc"},
     {0.52173913043478259, 0.47115384615384615, 0.55909090909090908, 0.51086956521739135, 0.51730769230769236}},
    {"numbers",
     SDX_LOSS_MSE,
     off,
     target,
     C,
     C,
     SDX_F64,
     SDX_F64,
     {"mse", "mae", "r2"},
     {2.2267323369565215, 1.2894021739130435, -0.18999061519657573}},
};

static size_t count_of(const metric_case *c) {
    size_t n = 0;
    while (n < MOST && c->metrics[n]) n++;
    return n;
}

static sdx_metric_sums *create(const char *const *names, size_t n, const sdx_loss_options *loss) {
    sdx_metric_sums *sums = NULL;
    test_error = (sdx_error){0};
    OK(sdx_metrics_create(names, n, loss, &test_error, &sums));
    return sums;
}

static void check_case(const metric_case *c) {
    const sdx_loss_options loss = {.kind = c->loss};
    static const int64_t cuts[] = {0, 1, 1, 9, N};
    sdx_metric_sums *sums = create(c->metrics, count_of(c), &loss);
    double got[MOST];
    for (int b = 0; b < 4; b++) {
        sdx_value *x = rows(c->output, c->output_type, cuts[b], cuts[b + 1], c->columns);
        sdx_value *y = rows(c->label, c->label_type, cuts[b], cuts[b + 1], c->label_columns);
        OK(sdx_metrics_add(sums, &x->tensor, &y->tensor, &test_error));
        sdx_value_release(x), sdx_value_release(y);
    }
    sdx_metrics_value(sums, got);
    for (size_t k = 0; k < count_of(c); k++)
        if (!(fabs(got[k] - c->want[k]) <= 1e-14))
            fail_msg("%s: %s is %.17g; scikit-learn has %.17g", c->name, c->metrics[k], got[k], c->want[k]);
    sdx_metrics_free(sums);
}

static void test_sklearn(void **unused) {
    (void)unused;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) check_case(&cases[k]);
}

/* Ignored labels count nowhere; [N, C, d] has a label for each d. */
static void test_shapes(void **unused) {
    (void)unused;
    static const float x[2 * 2 * 3] = {1, 0, 5, 0, 1, 2, /**/ 9, 9, 9, 0, 0, 0};
    static const int64_t y[2 * 3] = {0, 1, 1, -100, -100, 0}, dims[3] = {2, 2, 3}, of_y[2] = {2, 3};
    static const char *const names[] = {"accuracy", "recall"};
    const sdx_loss_options loss = {.kind = SDX_LOSS_CROSS_ENTROPY, .has_ignore_index = true, .ignore_index = -100};
    sdx_metric_sums *sums = create(names, 2, &loss);
    sdx_value *output = new_tensor(SDX_F32, 3, dims, x), *wanted = new_tensor(SDX_I64, 2, of_y, y);
    double got[2];
    sdx_metrics_value(sums, got);
    assert_true(isnan(got[0]) && isnan(got[1])); /* nothing seen yet */
    OK(sdx_metrics_add(sums, &output->tensor, &wanted->tensor, &test_error));
    sdx_metrics_value(sums, got);
    assert_true(got[0] == .75 && got[1] == .5);
    ((int64_t *)wanted->tensor.data)[4] = 7;
    assert_int_equal(sdx_metrics_add(sums, &output->tensor, &wanted->tensor, &test_error), SDX_VALUE);
    CONTAINS(test_error.message, "label 7 at position 4; it must be in [0, 2)");
    test_error = (sdx_error){0};
    assert_int_equal(sdx_metrics_add(sums, &wanted->tensor, &wanted->tensor, &test_error), SDX_SHAPE);
    sdx_value_release(output), sdx_value_release(wanted);
    sdx_metrics_free(sums);
}

static void test_names(void **unused) {
    (void)unused;
    static const struct {
        const char *metric;
        sdx_loss_kind loss;
        const char *says;
    } bad[] = {{"acc", SDX_LOSS_MSE, "metric 'acc' does not exist; it must be accuracy"},
               {"accuracy", SDX_LOSS_MSE, "metric 'accuracy' needs classes"},
               {"mse", SDX_LOSS_TRIPLET, "this loss has no such pair"},
               {"mse", SDX_LOSS_NLL, "metric 'mse' needs a loss over numbers"},
               {"top5", SDX_LOSS_BCE_WITH_LOGITS, "metric 'top5' needs classes (cross_entropy or nll)"}};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        sdx_error error = {0};
        sdx_metric_sums *sums = NULL;
        const sdx_loss_options loss = {.kind = bad[k].loss};
        assert_int_equal(sdx_metrics_create(&bad[k].metric, 1, &loss, &error, &sums), SDX_VALUE);
        CONTAINS(error.message, bad[k].says);
        assert_null(sums);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sklearn), cmocka_unit_test(test_shapes),
                                       cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
