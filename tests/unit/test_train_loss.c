/* SPDX-License-Identifier: Apache-2.0
 * Every loss: its value against plain double precision, its gradient against central differences, and joined from two
 * parts of a batch. */
#include "runtime/train/autodiff.h"
#include "runtime/train/train.h"
#include "tests/unit/support.h"
#include <math.h>

enum { MOST = 64 };

typedef struct loss_case {
    const char *name;
    sdx_loss_options options;
    int rank, label_rank; /* of every output */
    int64_t dim[4], label_dim[4];
    sdx_dtype label;
    double labels[MOST];
    double (*reference)(const struct loss_case *c, double *const *x, double *denominator); /* the numerator */
} loss_case;

static int64_t count_of(int rank, const int64_t *dim) {
    int64_t n = 1;
    for (int d = 0; d < rank; d++) n *= dim[d];
    return n;
}

/* ---- references ---- */

static double log_p(const loss_case *c, const double *x, int64_t i, int64_t class) {
    const int64_t classes = c->dim[1], inner = count_of(c->rank - 2, c->dim + 2);
    const double *line = x + i / inner * classes * inner + i % inner;
    double sum = 0;
    if (c->options.kind == SDX_LOSS_NLL) return line[class * inner];
    for (int64_t k = 0; k < classes; k++) sum += exp(line[k * inner]);
    return line[class * inner] - log(sum);
}

static double weight(const loss_case *c, int64_t class) {
    return c->options.n_class_weights ? (double)c->options.class_weights[class] : 1;
}

static double class_numbers(const loss_case *c, double *const *x, double *denominator) {
    const int64_t n = count_of(c->label_rank, c->label_dim), classes = c->dim[1];
    const double e = c->options.label_smoothing;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        const int64_t label = (int64_t)c->labels[i];
        if (c->options.has_ignore_index && label == c->options.ignore_index) continue;
        *denominator += weight(c, label);
        sum -= (1 - e) * weight(c, label) * log_p(c, x[0], i, label);
        for (int64_t k = 0; k < classes; k++) sum -= e / (double)classes * weight(c, k) * log_p(c, x[0], i, k);
    }
    return sum;
}

static double class_shares(const loss_case *c, double *const *x, double *denominator) {
    const int64_t classes = c->dim[1], inner = count_of(c->rank - 2, c->dim + 2), n = c->dim[0] * inner;
    const double e = c->options.label_smoothing;
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < classes; k++) {
            const double q = c->labels[(i / inner * classes + k) * inner + i % inner];
            sum -= ((1 - e) * q + e / (double)classes) * weight(c, k) * log_p(c, x[0], i, k);
        }
    *denominator = (double)n;
    return sum;
}

static double each_element(const loss_case *c, double x, double y, int64_t column) {
    const double d = x - y, a = fabs(d), beta = c->options.beta == 0 ? 1 : c->options.beta;
    const double delta = c->options.delta == 0 ? 1 : c->options.delta;
    switch ((int)c->options.kind) {
    case SDX_LOSS_MSE: return d * d;
    case SDX_LOSS_L1: return a;
    case SDX_LOSS_SMOOTH_L1: return beta < 0 ? a : a < beta ? d * d / 2 / beta : a - beta / 2;
    case SDX_LOSS_HUBER: return a < delta ? d * d / 2 : delta * (a - delta / 2);
    case SDX_LOSS_KL_DIV: return y > 0 ? y * (log(y) - x) : 0;
    case SDX_LOSS_BCE_WITH_LOGITS:
        return (1 - y) * x + (1 + (weight(c, column) - 1) * y) * (log1p(exp(-fabs(x))) + fmax(-x, 0));
    default: return x;
    }
}

static double elements(const loss_case *c, double *const *x, double *denominator) {
    const int64_t n = count_of(c->rank, c->dim), last = c->rank ? c->dim[c->rank - 1] : 1;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += each_element(c, x[0][i], c->labels[i], i % last);
    *denominator = c->options.reduction == SDX_REDUCTION_BATCH_MEAN ? (double)c->dim[0] : (double)n;
    return sum;
}

static double cosine(const loss_case *c, double *const *x, double *denominator) {
    double sum = 0;
    for (int64_t i = 0; i < c->dim[0]; i++) {
        double ab = 0, aa = 1e-12, bb = 1e-12;
        for (int64_t k = i * c->dim[1]; k < (i + 1) * c->dim[1]; k++)
            ab += x[0][k] * x[1][k], aa += x[0][k] * x[0][k], bb += x[1][k] * x[1][k];
        const double cos_ab = ab / sqrt(aa * bb);
        sum += c->labels[i] > 0 ? 1 - cos_ab : fmax(0, cos_ab - c->options.margin);
    }
    *denominator = (double)c->dim[0];
    return sum;
}

static double triplet(const loss_case *c, double *const *x, double *denominator) {
    double sum = 0;
    for (int64_t i = 0; i < c->dim[0]; i++) {
        double p = 0, n = 0;
        for (int64_t k = i * c->dim[1]; k < (i + 1) * c->dim[1]; k++)
            p += pow(x[0][k] - x[1][k] + 1e-6, 2), n += pow(x[0][k] - x[2][k] + 1e-6, 2);
        sum += fmax(0, sqrt(p) - sqrt(n) + (c->options.margin == 0 ? 1 : c->options.margin));
    }
    *denominator = (double)c->dim[0];
    return sum;
}

/* ---- the cases ---- */

static const float three[3] = {.5f, 2, 1};
#define CLASSES(...)                                                                                                   \
    .rank = 2, .dim = {4, 3}, .label_rank = 1, .label_dim = {4}, .reference = class_numbers, __VA_ARGS__
#define PIXELS(...)                                                                                                    \
    .rank = 4, .dim = {2, 3, 2, 2}, .label_rank = 3, .label_dim = {2, 2, 2}, .reference = class_numbers, __VA_ARGS__
#define SHARES(...)                                                                                                    \
    .rank = 2, .dim = {2, 3}, .label_rank = 2, .label_dim = {2, 3}, .reference = class_shares, .label = SDX_F64,       \
    .labels = {.2, .5, .3, 0, 1, 0}, __VA_ARGS__
#define ELEMENTS(...)                                                                                                  \
    .rank = 2, .dim = {2, 3}, .label_rank = 2, .label_dim = {2, 3}, .reference = elements, .label = SDX_F64, __VA_ARGS__

static const loss_case cases[] = {
    {.name = "cross_entropy",
     CLASSES(.label = SDX_I64, .labels = {2, 0, 1, 2}),
     .options = {.kind = SDX_LOSS_CROSS_ENTROPY}},
    {.name = "cross_entropy, i32, weights, smoothing, ignored",
     CLASSES(.label = SDX_I32, .labels = {2, -7, 1, 0}),
     .options = {.kind = SDX_LOSS_CROSS_ENTROPY,
                 .label_smoothing = .1,
                 .class_weights = three,
                 .n_class_weights = 3,
                 .has_ignore_index = true,
                 .ignore_index = -7}},
    {.name = "cross_entropy of pixels",
     PIXELS(.label = SDX_I64, .labels = {2, 0, 1, 2, 1, 1, 0, 2}),
     .options = {.kind = SDX_LOSS_CROSS_ENTROPY, .class_weights = three, .n_class_weights = 3, .label_smoothing = .2}},
    {.name = "cross_entropy, sum",
     CLASSES(.label = SDX_I64, .labels = {2, 0, 1, 2}),
     .options = {.kind = SDX_LOSS_CROSS_ENTROPY, .reduction = SDX_REDUCTION_SUM}},
    {.name = "cross_entropy of probabilities", SHARES(.options = {.kind = SDX_LOSS_CROSS_ENTROPY})},
    {.name = "cross_entropy of probabilities, weights, smoothing",
     SHARES(.options =
                {.kind = SDX_LOSS_CROSS_ENTROPY, .label_smoothing = .3, .class_weights = three, .n_class_weights = 3})},
    {.name = "nll, weights, ignored",
     CLASSES(.label = SDX_I64, .labels = {2, 0, 1, 0}),
     .options = {.kind = SDX_LOSS_NLL, .class_weights = three, .n_class_weights = 3, .has_ignore_index = true}},
    {.name = "bce_with_logits",
     ELEMENTS(.options = {.kind = SDX_LOSS_BCE_WITH_LOGITS}, .labels = {0, 1, .25, 1, 1, 0})},
    {.name = "bce_with_logits, pos_weight",
     ELEMENTS(.options = {.kind = SDX_LOSS_BCE_WITH_LOGITS, .class_weights = three, .n_class_weights = 3},
              .labels = {0, 1, .25, 1, 1, 0})},
    {.name = "mse", ELEMENTS(.options = {.kind = SDX_LOSS_MSE}, .labels = {.1, .4, -3, 2, 1, .7})},
    {.name = "mse, sum",
     ELEMENTS(.options = {.kind = SDX_LOSS_MSE, .reduction = SDX_REDUCTION_SUM}, .labels = {.1, .4, -3, 2, 1, .7})},
    {.name = "l1, batch mean",
     ELEMENTS(.options = {.kind = SDX_LOSS_L1, .reduction = SDX_REDUCTION_BATCH_MEAN},
              .labels = {.1, .4, -3, 2, 1, .7})},
    {.name = "smooth_l1",
     ELEMENTS(.options = {.kind = SDX_LOSS_SMOOTH_L1, .beta = .5}, .labels = {.1, .4, -3, 2, 1, .7})},
    {.name = "smooth_l1, beta 0",
     ELEMENTS(.options = {.kind = SDX_LOSS_SMOOTH_L1, .beta = SDX_ZERO}, .labels = {.1, .4, -3, 2, 1, .7})},
    {.name = "huber", ELEMENTS(.options = {.kind = SDX_LOSS_HUBER, .delta = 2}, .labels = {.1, .4, -3, 2, 1, .7})},
    {.name = "kl_div",
     ELEMENTS(.options = {.kind = SDX_LOSS_KL_DIV, .reduction = SDX_REDUCTION_BATCH_MEAN},
              .labels = {.2, .8, 0, .5, .25, .25})},
    {.name = "output", ELEMENTS(.options = {.kind = SDX_LOSS_OUTPUT})},
    {.name = "cosine_embedding",
     .options = {.kind = SDX_LOSS_COSINE_EMBEDDING, .margin = .1},
     .rank = 2,
     .dim = {4, 3},
     .label_rank = 1,
     .label_dim = {4},
     .label = SDX_I64,
     .labels = {1, -1, 1, -1},
     .reference = cosine},
    {.name = "triplet",
     .options = {.kind = SDX_LOSS_TRIPLET, .margin = .25},
     .rank = 2,
     .dim = {4, 3},
     .reference = triplet},
};

/* ---- running ---- */

static const char *const x_names[3] = {"x0", "x1", "x2"}, *const dx_names[3] = {"dx0", "dx1", "dx2"};

static sdx_model *build(const loss_case *c, sdx_dtype dtype, bool gradients) {
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    sdx_id x[3] = {SDX_NONE, SDX_NONE, SDX_NONE}, label = SDX_NONE, dx[3];
    const int n = sdx_loss_outputs(c->options.kind);
    sdx_loss_parts parts;
    sdx_patch patch;
    for (int k = 0; k < n; k++) x[k] = add_input(graph, x_names[k], dtype, c->rank, c->dim);
    if (sdx_loss_has_label(c->options.kind)) label = add_input(graph, "y", c->label, c->label_rank, c->label_dim);
    sdx_patch_begin(&patch, graph, &test_error);
    OK(sdx_loss_emit(&patch, &c->options, x, label, &parts));
    graph->values[parts.loss].name = "loss";
    graph->values[parts.numerator].name = "numerator";
    add_output(graph, parts.loss);
    add_output(graph, parts.numerator);
    OK(sdx_patch_commit(&patch));
    OK(sdx_settle_graph(graph, &test_error));
    if (gradients) {
        sdx_patch_begin(&patch, graph, &test_error);
        OK(sdx_autodiff(&patch, parts.loss, x, n, dx));
        for (int k = 0; k < n; k++) graph->values[dx[k]].name = dx_names[k], add_output(graph, dx[k]);
        OK(sdx_patch_commit(&patch));
    }
    finish_model(model);
    return model;
}

static sdx_value *label_value(const loss_case *c) {
    sdx_value *value = new_tensor(c->label, c->label_rank, c->label_dim, NULL);
    for (int64_t k = 0; k < value->tensor.count; k++) {
        if (c->label == SDX_I64) ((int64_t *)value->tensor.data)[k] = (int64_t)c->labels[k];
        if (c->label == SDX_I32) ((int32_t *)value->tensor.data)[k] = (int32_t)c->labels[k];
        if (c->label == SDX_F64) ((double *)value->tensor.data)[k] = c->labels[k];
    }
    return value;
}

static double value_of(sdx_session *session, const sdx_binding *in, int n, const char *name) {
    sdx_value *value = run_one(session, in, (size_t)n, name);
    assert_int_equal(value->tensor.rank, 0);
    const double got = value->tensor.dtype == SDX_F64 ? *(const double *)value->tensor.data
                                                      : (double)*(const float *)value->tensor.data;
    sdx_value_release(value);
    return got;
}

static void near(const loss_case *c, const char *what, double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance * (1 + fabs(want))))
        fail_msg("%s: %s is %.17g; the reference says %.17g", c->name, what, got, want);
}

static void check_gradients(const loss_case *c, sdx_session *session, const sdx_binding *in, int n, int n_in) {
    for (int k = 0; k < n; k++) {
        sdx_value *found = run_one(session, in, (size_t)n_in, dx_names[k]);
        double *x = in[k].value->tensor.data;
        for (int64_t i = 0; i < found->tensor.count; i++) {
            const double kept = x[i], step = 1e-6;
            x[i] = kept + step;
            const double above = value_of(session, in, n_in, "loss");
            x[i] = kept - step;
            const double below = value_of(session, in, n_in, "loss");
            x[i] = kept;
            near(c, dx_names[k], ((const double *)found->tensor.data)[i], (above - below) / (2 * step), 1e-7);
        }
        sdx_value_release(found);
    }
}

static void check_case(const loss_case *c) {
    const int n = sdx_loss_outputs(c->options.kind);
    const int n_in = n + sdx_loss_has_label(c->options.kind);
    const int64_t count = count_of(c->rank, c->dim);
    sdx_model *model = build(c, SDX_F64, true);
    sdx_session *session = new_session(model, 1);
    double *x[3] = {NULL, NULL, NULL}, denominator = 0;
    sdx_binding in[4] = {{NULL, NULL}};
    for (int k = 0; k < n; k++) {
        in[k] = (sdx_binding){x_names[k], new_tensor(SDX_F64, c->rank, c->dim, NULL)};
        x[k] = in[k].value->tensor.data;
        for (int64_t i = 0; i < count; i++) x[k][i] = sin(1.7 * (double)i + 2 * k + .3) * 1.5;
    }
    if (n_in > n) in[n] = (sdx_binding){"y", label_value(c)};
    const double numerator = c->reference(c, x, &denominator);
    near(c, "the numerator", value_of(session, in, n_in, "numerator"), numerator, 1e-14);
    if (c->options.reduction == SDX_REDUCTION_SUM) denominator = 1;
    near(c, "the loss", value_of(session, in, n_in, "loss"), numerator / denominator, 1e-14);
    check_gradients(c, session, in, n, n_in);
    for (int k = 0; k < n_in; k++) sdx_value_release(in[k].value);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

static void test_losses(void **unused) {
    (void)unused;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) check_case(&cases[k]);
}

/* 16-bit outputs give a loss in f32. */
static void test_types(void **unused) {
    (void)unused;
    static const sdx_dtype dtypes[] = {SDX_F32, SDX_F16, SDX_BF16};
    for (size_t d = 0; d < 3; d++) {
        sdx_model *model = build(&cases[0], dtypes[d], true);
        sdx_session *session = new_session(model, 1);
        const sdx_binding in[2] = {{"x0", new_tensor(dtypes[d], 2, cases[0].dim, NULL)}, {"y", label_value(&cases[0])}};
        memset(in[0].value->tensor.data, 0, sdx_tensor_bytes(&in[0].value->tensor));
        near(&cases[0], sdx_dtype_name(dtypes[d]), value_of(session, in, 2, "loss"), log(3), 1e-6);
        sdx_value *gradient = run_one(session, in, 2, "dx0");
        assert_int_equal(gradient->tensor.dtype, dtypes[d]);
        sdx_value_release(gradient), sdx_value_release(in[0].value), sdx_value_release(in[1].value);
        sdx_session_destroy(session);
        sdx_model_close(model);
    }
}

/* Sums of numerators and of denominators over parts of a batch are those of the whole, however uneven the parts. */
static void test_parts(void **unused) {
    (void)unused;
    enum { N = 6, C = 3 };
    static const int64_t labels[N] = {2, 0, -1, 1, -1, 2}, cuts[] = {0, 1, 4, N};
    const sdx_loss_options options = {.kind = SDX_LOSS_CROSS_ENTROPY,
                                      .class_weights = three,
                                      .n_class_weights = 3,
                                      .has_ignore_index = true,
                                      .ignore_index = -1,
                                      .label_smoothing = .1};
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    const sdx_id x = add_input(graph, "x", SDX_F64, DIMS(-1, C)), outputs[3] = {x, SDX_NONE, SDX_NONE};
    const sdx_id y = add_input(graph, "y", SDX_I64, DIMS(-1));
    sdx_loss_parts parts;
    sdx_patch patch;
    sdx_patch_begin(&patch, graph, &test_error);
    OK(sdx_loss_emit(&patch, &options, outputs, y, &parts));
    graph->values[parts.numerator].name = "numerator", add_output(graph, parts.numerator);
    graph->values[parts.denominator].name = "denominator", add_output(graph, parts.denominator);
    OK(sdx_patch_commit(&patch));
    finish_model(model);
    sdx_session *session = new_session(model, 1);
    double sums[2][2] = {{0}}, scores[N * C];
    for (int k = 0; k < N * C; k++) scores[k] = sin(2.0 * k);
    for (int part = 0; part < 4; part++) {
        const int64_t first = part < 3 ? cuts[part] : 0, last = part < 3 ? cuts[part + 1] : N;
        const sdx_binding in[2] = {{"x", new_tensor(SDX_F64, DIMS(last - first, C), scores + first * C)},
                                   {"y", new_tensor(SDX_I64, DIMS(last - first), labels + first)}};
        sums[part == 3][0] += value_of(session, in, 2, "numerator");
        sums[part == 3][1] += value_of(session, in, 2, "denominator");
        sdx_value_release(in[0].value), sdx_value_release(in[1].value);
    }
    near(&cases[1], "the sum of numerators", sums[0][0], sums[1][0], 1e-15);
    near(&cases[1], "the sum of denominators", sums[0][1], sums[1][1], 1e-15);
    near(&cases[1], "the denominator", sums[1][1], 1 + .5 + 2 + 1, 1e-15);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

static void test_labels(void **unused) {
    (void)unused;
    static const int64_t labels[6] = {0, 9, 3, 4, 5, 12};
    const loss_case c = {.name = "ten classes",
                         .options = {.kind = SDX_LOSS_CROSS_ENTROPY},
                         .rank = 2,
                         .dim = {6, 10},
                         .label_rank = 1,
                         .label_dim = {6},
                         .label = SDX_I64};
    sdx_model *model = build(&c, SDX_F32, false);
    sdx_session *session = new_session(model, 1);
    const sdx_binding in[2] = {{"x0", new_tensor(SDX_F32, DIMS(6, 10), NULL)},
                               {"y", new_tensor(SDX_I64, DIMS(6), labels)}};
    sdx_binding out = {"loss", NULL};
    sdx_error error = {0};
    memset(in[0].value->tensor.data, 0, sdx_tensor_bytes(&in[0].value->tensor));
    assert_int_equal(sdx_session_run(session, in, 2, &out, 1, &error), SDX_VALUE);
    CONTAINS(error.message, "label 12 at position 5");
    CONTAINS(error.message, "it must be in [0, 10)");
    sdx_value_release(in[0].value), sdx_value_release(in[1].value);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

static void refuses(sdx_loss_options options, sdx_dtype x_type, int x_rank, sdx_dtype y_type, int y_rank,
                    sdx_status status, const char *says) {
    static const int64_t dims[4] = {4, 3, 2, 2};
    sdx_model *model = new_model();
    const sdx_id outputs[3] = {add_input(model->graph, "logits", x_type, x_rank, dims), SDX_NONE, SDX_NONE};
    const sdx_id label = y_type ? add_input(model->graph, "y", y_type, y_rank, dims) : SDX_NONE;
    sdx_error error = {0};
    sdx_loss_parts parts;
    sdx_patch patch;
    sdx_patch_begin(&patch, model->graph, &error);
    assert_int_equal(sdx_loss_emit(&patch, &options, outputs, label, &parts), status);
    CONTAINS(error.message, says);
    sdx_model_close(model);
}

static void test_refused(void **unused) {
    (void)unused;
    const sdx_loss_options ce = {.kind = SDX_LOSS_CROSS_ENTROPY}, nll = {.kind = SDX_LOSS_NLL},
                           mse = {.kind = SDX_LOSS_MSE};
    const sdx_loss_options four = {.kind = SDX_LOSS_CROSS_ENTROPY, .class_weights = three, .n_class_weights = 2};
    refuses(ce, SDX_F32, 1, SDX_I64, 1, SDX_SHAPE, "'logits' has rank 1; it must be at least 2");
    refuses(ce, SDX_F32, 2, SDX_I64, 2, SDX_SHAPE, "label 'y' has rank 2; it must be 1");
    refuses(ce, SDX_F32, 2, SDX_F32, 1, SDX_SHAPE, "label 'y' has rank 1; it must be 2");
    refuses(ce, SDX_F32, 2, SDX_U8, 1, SDX_TYPE, "label 'y' is u8; it must be i32, i64 or a floating-point type");
    refuses(nll, SDX_F32, 2, SDX_F32, 2, SDX_TYPE, "label 'y' is f32; it must be i32 or i64");
    refuses(four, SDX_F32, 2, SDX_I64, 1, SDX_SHAPE, "there are 2 class weights; there are 3 classes");
    refuses(mse, SDX_I64, 2, SDX_F32, 2, SDX_TYPE, "'logits' is i64; it must be a floating-point tensor");
    refuses(mse, SDX_F32, 2, SDX_F32, 1, SDX_SHAPE, "label 'y' has rank 1; it must be 2");
    refuses(mse, SDX_F32, 2, SDX_UNDEFINED, 0, SDX_ARGUMENT, "needs a label");
    refuses((sdx_loss_options){.kind = SDX_LOSS_TRIPLET}, SDX_F32, 2, SDX_UNDEFINED, 0, SDX_ARGUMENT,
            "reads 3 outputs");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_losses), cmocka_unit_test(test_types),
                                       cmocka_unit_test(test_parts), cmocka_unit_test(test_labels),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
