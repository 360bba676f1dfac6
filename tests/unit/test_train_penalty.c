/* SPDX-License-Identifier: Apache-2.0
 * Penalties: values and gradients by formula; the four conventions of L2 and how they turn into one another; and where
 * proximal steps end up under every optimizer, against closed forms. */
#include "runtime/train/autodiff.h"
#include "tests/unit/optimizer_session.h"
#include <math.h>

enum { N = 5 };
static const double weights[N] = {-2, 0, .5, 0, 3};

/* The value of the penalty on w, its gradient by differentiation, and what COUPLED adds. */
typedef struct penalized {
    double value, gradient[N], coupled[N];
} penalized;

static penalized evaluate(const sdx_penalty_options *penalty, const double *w, double batch) {
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    sdx_patch patch;
    sdx_id dw;
    penalized result = {.value = 0};
    const sdx_id id = add_input(graph, "w", SDX_F64, DIMS(N));
    sdx_patch_begin(&patch, graph, &test_error);
    const sdx_id divisor = batch > 0 ? sdx_patch_scalar(&patch, SDX_F64, batch) : SDX_NONE;
    const sdx_id value = sdx_penalty_emit(&patch, penalty, id, divisor);
    const sdx_id coupled = sdx_penalty_emit_gradient(&patch, penalty, id);
    OK(sdx_patch_commit(&patch));
    OK(sdx_settle_graph(graph, &test_error));
    sdx_patch_begin(&patch, graph, &test_error);
    OK(sdx_autodiff(&patch, value, &id, 1, &dw));
    graph->values[value].name = "value", graph->values[dw].name = "dw", graph->values[coupled].name = "coupled";
    add_output(graph, value), add_output(graph, dw), add_output(graph, coupled);
    OK(sdx_patch_commit(&patch));
    finish_model(model);
    sdx_session *session = new_session(model, 1);
    const sdx_binding in = {"w", new_tensor(SDX_F64, DIMS(N), w)};
    sdx_binding out[3] = {{"value", NULL}, {"dw", NULL}, {"coupled", NULL}};
    OK(sdx_session_run(session, &in, 1, out, 3, &test_error));
    assert_int_equal(out[0].value->tensor.rank, 0);
    result.value = get(out[0].value, 0);
    for (int k = 0; k < N; k++) result.gradient[k] = get(out[1].value, k), result.coupled[k] = get(out[2].value, k);
    for (int k = 0; k < 3; k++) sdx_value_release(out[k].value);
    sdx_value_release(in.value);
    sdx_session_destroy(session);
    sdx_model_close(model);
    return result;
}

static void near(const char *what, double got, double want, double tolerance) {
    if (!(fabs(got - want) <= tolerance * (1 + fabs(want)))) fail_msg("%s is %.17g; it must be %.17g", what, got, want);
}

static void check(const char *name, sdx_penalty_options penalty, double value,
                  double (*slope)(double w, double strength), double strength) {
    const penalized got = evaluate(&penalty, weights, 0), halved = evaluate(&penalty, weights, 2);
    near(name, got.value, value, 1e-15);
    near(name, halved.value, value / 2, 1e-15);
    for (int k = 0; k < N; k++) {
        near(name, got.gradient[k], slope(weights[k], strength), 1e-15);
        near(name, halved.gradient[k], slope(weights[k], strength) / 2, 1e-15);
        near(name, got.coupled[k], slope(weights[k], strength), 1e-15);
    }
}

static double sign(double w) { return (w > 0) - (w < 0); }
static double l1_slope(double w, double s) { return s * sign(w); }
static double l2_slope(double w, double s) { return 2 * s * w; }
static double both_slope(double w, double s) { return s * sign(w) + 2 * s * w; }
static double norm_slope(double w, double s) { return s * w / sqrt(13.25); }

static void test_values(void **unused) {
    (void)unused;
    check("l1", (sdx_penalty_options){.kind = SDX_PENALTY_L1, .has_l1 = true, .l1 = .25}, .25 * 5.5, l1_slope, .25);
    check("l2", (sdx_penalty_options){.kind = SDX_PENALTY_L2, .has_l2 = true, .l2 = .25}, .25 * 13.25, l2_slope, .25);
    check("l1_l2", (sdx_penalty_options){.kind = SDX_PENALTY_L1_L2, .has_l1 = true, .l1 = .5, .has_l2 = true, .l2 = .5},
          .5 * (5.5 + 13.25), both_slope, .5);
    check("l2norm", (sdx_penalty_options){.kind = SDX_PENALTY_L2NORM, .has_l2 = true, .l2 = .25}, .25 * sqrt(13.25),
          norm_slope, .25);
    /* Keras' defaults */
    check("l1()", (sdx_penalty_options){.kind = SDX_PENALTY_L1}, .01 * 5.5, l1_slope, .01);
    check("l2()", (sdx_penalty_options){.kind = SDX_PENALTY_L2}, .01 * 13.25, l2_slope, .01);
    check("l1_l2()", (sdx_penalty_options){.kind = SDX_PENALTY_L1_L2}, .01 * 18.75, both_slope, .01);
    /* the norm of zeros has the gradient 0, not NaN */
    const double zeros[N] = {0};
    const penalized got = evaluate(&(sdx_penalty_options){.kind = SDX_PENALTY_L2NORM}, zeros, 0);
    for (int k = 0; k < N; k++) assert_true(got.gradient[k] == 0 && got.coupled[k] == 0);
    assert_true(got.value == 0);
}

static void test_modes(void **unused) {
    (void)unused;
    sdx_penalty_mode mode;
    sdx_penalty_options p = {.kind = SDX_PENALTY_L1};
    OK(sdx_penalty_resolve(&p, &test_error, &mode));
    assert_int_equal(mode, SDX_MODE_PROX);
    p.target = SDX_TARGET_ACTIVITY, p.per_batch = true;
    OK(sdx_penalty_resolve(&p, &test_error, &mode));
    assert_int_equal(mode, SDX_MODE_SUBGRADIENT);
    p.mode = SDX_MODE_COUPLED;
    sdx_error error = {0};
    assert_int_equal(sdx_penalty_resolve(&p, &error, &mode), SDX_VALUE);
    CONTAINS(error.message, "mode 'coupled' is for parameters");
    p = (sdx_penalty_options){.kind = SDX_PENALTY_L1, .per_batch = true};
    assert_int_equal(sdx_penalty_resolve(&p, NULL, &mode), SDX_VALUE);
    p = (sdx_penalty_options){.kind = SDX_PENALTY_L1, .has_l1 = true, .l1 = -1};
    assert_int_equal(sdx_penalty_resolve(&p, NULL, &mode), SDX_VALUE);
    p = (sdx_penalty_options){.kind = (sdx_penalty_kind)9};
    assert_int_equal(sdx_penalty_resolve(&p, NULL, &mode), SDX_VALUE);
}

/* ---- the conventions of L2, each by one step of SGD ---- */

static void one_step(const sdx_optimizer_options *options, double weight_decay, sdx_prox prox, const double *w,
                     const double *g, double lr, double *out) {
    stepper s;
    stepper_open(&s, options, weight_decay, prox, SDX_F64, N, false, 1);
    for (int k = 0; k < N; k++) put(s.w, k, w[k]), put(s.g, k, g[k]);
    stepper_step(&s, lr);
    for (int k = 0; k < N; k++) out[k] = get(s.w, k);
    stepper_close(&s);
}

static void test_conventions(void **unused) {
    (void)unused;
    static const sdx_optimizer_options sgd = {.kind = SDX_OPTIMIZER_SGD}, adamw = {.kind = SDX_OPTIMIZER_ADAMW};
    static const double none[N] = {0};
    const double lambda = .03, lr = .125;
    double coupled[N], decoupled[N];
    const penalized l2 =
        evaluate(&(sdx_penalty_options){.kind = SDX_PENALTY_L2, .has_l2 = true, .l2 = lambda}, weights, 0);
    one_step(&sgd, 2 * lambda, (sdx_prox){0}, weights, none, lr, coupled);
    one_step(&adamw, lambda, (sdx_prox){0}, weights, none, lr, decoupled);
    for (int k = 0; k < N; k++) {
        /* Keras l2(lambda) = weight_decay 2 lambda, coupled: w -= lr 2 lambda w */
        near("l2 by its subgradient", weights[k] - lr * l2.gradient[k], coupled[k], 1e-15);
        near("coupled weight_decay", coupled[k], weights[k] - lr * 2 * lambda * weights[k], 1e-15);
        /* decoupled: no term of the loss, w *= 1 - lr lambda */
        near("decoupled weight_decay", decoupled[k], weights[k] * (1 - lr * lambda), 1e-15);
    }
    /* weight_decay is half the square (tf.nn.l2_loss): the gradient lambda w */
    one_step(&sgd, lambda, (sdx_prox){0}, weights, none, lr, coupled);
    for (int k = 0; k < N; k++) near("half the square", coupled[k], weights[k] - lr * lambda * weights[k], 1e-15);
}

/* ---- where proximal steps end: L = sum of h (w - a)^2 / 2 + penalty ---- */

static const double centre[N] = {1.5, -.02, -2, .25, .5}, curve[N] = {1, 2, .5, 4, .1};

static const struct {
    const char *name;
    sdx_optimizer_options options;
    double lr, fall; /* the rate falls as lr / (1 + fall t) */
    double near;
} optimizers[] = {
    {"sgd", {.kind = SDX_OPTIMIZER_SGD}, .2, 0, 1e-12},
    {"sgd, momentum", {.kind = SDX_OPTIMIZER_SGD, .momentum = .9}, .02, 0, 1e-12},
    {"sgd, dampening", {.kind = SDX_OPTIMIZER_SGD, .momentum = .9, .dampening = .5}, .04, 0, 1e-12},
    {"sgd, nesterov", {.kind = SDX_OPTIMIZER_SGD, .momentum = .9, .nesterov = true}, .02, 0, 1e-12},
    {"adam", {.kind = SDX_OPTIMIZER_ADAM}, .05, .003, 1e-4},
    {"adam, amsgrad", {.kind = SDX_OPTIMIZER_ADAM, .amsgrad = true}, .05, 0, 1e-4},
    {"adamw", {.kind = SDX_OPTIMIZER_ADAMW}, .05, .003, 1e-4},
    {"adagrad", {.kind = SDX_OPTIMIZER_ADAGRAD}, .5, 0, 1e-6},
    {"rmsprop", {.kind = SDX_OPTIMIZER_RMSPROP}, .02, .003, 1e-4},
    {"rmsprop, momentum", {.kind = SDX_OPTIMIZER_RMSPROP, .momentum = .9}, .002, .003, 1e-4},
    {"lamb", {.kind = SDX_OPTIMIZER_LAMB}, .02, .003, 1e-4},
};
enum { OPTIMIZERS = sizeof optimizers / sizeof optimizers[0], SHORT = 3000, LONG = 20000 };

static void descend(int i, sdx_prox prox, double *w) {
    stepper s;
    stepper_open(&s, &optimizers[i].options, 0, prox, SDX_F64, N, false, 1);
    for (int k = 0; k < N; k++) put(s.w, k, .1 * (k - 2));
    for (int t = 0; t < (optimizers[i].near < 1e-9 ? SHORT : LONG); t++) {
        for (int k = 0; k < N; k++) put(s.g, k, curve[k] * (get(s.w, k) - centre[k]));
        stepper_step(&s, optimizers[i].lr / (1 + optimizers[i].fall * t));
    }
    for (int k = 0; k < N; k++) w[k] = get(s.w, k);
    stepper_close(&s);
}

static double soft(double u, double t) { return u > t ? u - t : u < -t ? u + t : 0; }

/* LAMB's steps shrink with ||w||: it comes near zeros everywhere, never there. */
static bool vanishes(int i) { return optimizers[i].options.kind != SDX_OPTIMIZER_LAMB; }

/* l1: soft(a, l1 / h); l1 and l2: soft(h a, l1) / (h + 2 l2). Exactly 0 where |h a| <= l1: "0 is a minimum with L1, not
 * with L2". */
static void test_soft_threshold(void **unused) {
    (void)unused;
    static const sdx_prox all[] = {{.l1 = .2}, {.l2 = .2}, {.l1 = .1, .l2 = .3}, {.l1 = 10}};
    for (int i = 0; i < OPTIMIZERS; i++)
        for (size_t p = 0; p < sizeof all / sizeof all[0]; p++) {
            double w[N];
            descend(i, all[p], w);
            for (int k = 0; k < N; k++) {
                const double want = soft(curve[k] * centre[k], all[p].l1) / (curve[k] + 2 * all[p].l2);
                if (!(fabs(w[k] - want) <= optimizers[i].near) ||
                    ((w[k] == 0) != (want == 0) && (all[p].l1 < 10 || vanishes(i))))
                    fail_msg("%s, l1 %g, l2 %g: w[%d] is %.17g; the minimum is at %.17g", optimizers[i].name, all[p].l1,
                             all[p].l2, k, w[k], want);
            }
        }
}

/* l2norm: g = -lambda w / ||w||, or w = 0 if and only if ||g(0)|| <= lambda. */
static void test_group(void **unused) {
    (void)unused;
    static const double lambdas[] = {.5, 1, 3};
    double at_zero = 0;
    for (int k = 0; k < N; k++) at_zero += pow(curve[k] * centre[k], 2);
    at_zero = sqrt(at_zero); /* 2.06 */
    for (int i = 0; i < OPTIMIZERS; i++)
        for (int l = 0; l < 3; l++) {
            double w[N], norm = 0;
            descend(i, (sdx_prox){.l2norm = lambdas[l]}, w);
            for (int k = 0; k < N; k++) norm += w[k] * w[k];
            norm = sqrt(norm);
            if ((norm == 0) != (at_zero <= lambdas[l]) && vanishes(i))
                fail_msg("%s: l2norm %g leaves ||w|| at %g", optimizers[i].name, lambdas[l], norm);
            for (int k = 0; k < N && at_zero > lambdas[l]; k++) {
                const double g = curve[k] * (w[k] - centre[k]);
                if (!(fabs(g + lambdas[l] * w[k] / norm) <= 10 * optimizers[i].near))
                    fail_msg("%s, l2norm %g: the gradient at w[%d] = %g is %.9g; it must be %.9g", optimizers[i].name,
                             lambdas[l], k, w[k], g, -lambdas[l] * w[k] / norm);
            }
        }
}

/* One weight, L = (w - a)^2 / 2: l1 gives soft(a, lambda), l2 gives a / (1 + 2 lambda). */
static void test_one_weight(void **unused) {
    (void)unused;
    static const sdx_optimizer_options sgd = {.kind = SDX_OPTIMIZER_SGD};
    const double lambda = .3;
    for (double a = -1; a <= 1; a += .125)
        for (int kind = 0; kind < 2; kind++) {
            stepper s;
            stepper_open(&s, &sgd, 0, kind ? (sdx_prox){.l2 = lambda} : (sdx_prox){.l1 = lambda}, SDX_F64, 1, false, 1);
            put(s.w, 0, 2);
            for (int t = 0; t < 200; t++) put(s.g, 0, get(s.w, 0) - a), stepper_step(&s, .5);
            const double w = get(s.w, 0), want = kind ? a / (1 + 2 * lambda) : soft(a, lambda);
            near(kind ? "l2" : "l1", w, want, 1e-14);
            if (!kind) assert_true((w == 0) == (fabs(a) <= lambda));
            if (kind && a != 0) assert_true(w != 0);
            stepper_close(&s);
        }
}

/* Scikit-learn's factors: Ridge alpha = n l2 and ElasticNet l1 = 2 alpha rho, l2 = alpha (1 - rho), for the mean of
 * squares over n samples (scikit-learn's lasso and elastic net halve it). One feature x, targets y. */
static void test_sklearn(void **unused) {
    (void)unused;
    static const sdx_optimizer_options sgd = {.kind = SDX_OPTIMIZER_SGD};
    static const double x[4] = {1, -2, .5, 3}, y[4] = {2, -3, 0, 4.5};
    const double n = 4, alpha = .7, rho = .3;
    double xx = 0, xy = 0;
    for (int k = 0; k < 4; k++) xx += x[k] * x[k], xy += x[k] * y[k];
    const double ridge = xy / (xx + alpha), elastic = soft(xy / n, alpha * rho) / (xx / n + alpha * (1 - rho));
    const sdx_prox prox[2] = {{.l2 = alpha / n}, {.l1 = 2 * alpha * rho, .l2 = alpha * (1 - rho)}};
    for (int kind = 0; kind < 2; kind++) {
        stepper s;
        stepper_open(&s, &sgd, 0, prox[kind], SDX_F64, 1, false, 1);
        for (int t = 0; t < 2000; t++) put(s.g, 0, 2 / n * (xx * get(s.w, 0) - xy)), stepper_step(&s, .05);
        near(kind ? "ElasticNet" : "Ridge", get(s.w, 0), kind ? elastic : ridge, 1e-13);
        stepper_close(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_values),         cmocka_unit_test(test_modes),
                                       cmocka_unit_test(test_conventions),    cmocka_unit_test(test_one_weight),
                                       cmocka_unit_test(test_soft_threshold), cmocka_unit_test(test_group),
                                       cmocka_unit_test(test_sklearn)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
