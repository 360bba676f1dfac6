/* SPDX-License-Identifier: Apache-2.0
 * OptimizerUpdate against plain double precision, step by step: every kind, with and without proximal terms; the same
 * in f32, f16 and bf16, on 1 and 3 threads, in place, and as the standard operators it expands to. */
#include "ops/registry.h"
#include "runtime/base/half.h"
#include "runtime/train/train.h"
#include "tests/unit/support.h"
#include <math.h>

enum { N = 37, STEPS = 5 };

typedef struct optimizer_case {
    const char *name;
    sdx_optimizer_options options;
    double weight_decay;
    sdx_prox prox;
} optimizer_case;

static const optimizer_case cases[] = {
    {.name = "sgd", .options = {.kind = SDX_OPTIMIZER_SGD}},
    {.name = "sgd, decay, l1", .options = {.kind = SDX_OPTIMIZER_SGD}, .weight_decay = .1, .prox = {.l1 = .3}},
    {.name = "sgd, momentum, dampening, l1 l2",
     .options = {.kind = SDX_OPTIMIZER_SGD, .momentum = .9, .dampening = .25},
     .weight_decay = .01,
     .prox = {.l1 = .03, .l2 = .02}},
    {.name = "sgd, nesterov, l2norm",
     .options = {.kind = SDX_OPTIMIZER_SGD, .momentum = .8, .nesterov = true},
     .prox = {.l1 = .01, .l2norm = .2}},
    {.name = "adam", .options = {.kind = SDX_OPTIMIZER_ADAM}, .weight_decay = .1},
    {.name = "adam, amsgrad, l1 l2",
     .options = {.kind = SDX_OPTIMIZER_ADAM, .amsgrad = true, .betas = {.5, .25}},
     .prox = {.l1 = .2, .l2 = .3}},
    {.name = "adam, betas 0, l2norm",
     .options = {.kind = SDX_OPTIMIZER_ADAM, .betas = {SDX_ZERO, SDX_ZERO}},
     .prox = {.l2 = .05, .l2norm = .7}},
    {.name = "adam, l2norm kills", .options = {.kind = SDX_OPTIMIZER_ADAM}, .prox = {.l2norm = 1e4}},
    {.name = "adamw, l1", .options = {.kind = SDX_OPTIMIZER_ADAMW}, .weight_decay = .1, .prox = {.l1 = .3}},
    {.name = "adagrad", .options = {.kind = SDX_OPTIMIZER_ADAGRAD, .lr_decay = .5}, .weight_decay = .1},
    {.name = "adagrad, l1", .options = {.kind = SDX_OPTIMIZER_ADAGRAD}, .prox = {.l1 = .1}},
    {.name = "rmsprop", .options = {.kind = SDX_OPTIMIZER_RMSPROP}, .weight_decay = .1, .prox = {.l2 = .3}},
    {.name = "rmsprop, centered, momentum, l1",
     .options = {.kind = SDX_OPTIMIZER_RMSPROP, .centered = true, .momentum = .5, .alpha = .75},
     .prox = {.l1 = .3}},
    {.name = "lion, l1", .options = {.kind = SDX_OPTIMIZER_LION}, .weight_decay = .1, .prox = {.l1 = .01}},
    {.name = "lamb", .options = {.kind = SDX_OPTIMIZER_LAMB}, .weight_decay = .1},
    {.name = "lamb, l1 l2norm", .options = {.kind = SDX_OPTIMIZER_LAMB}, .prox = {.l1 = .1, .l2norm = .3}},
};

/* ---- the reference: written from the formulas, one element after the other ---- */

typedef struct state {
    double w[N], s[SDX_MOST_SLOTS][N];
} state;

static double or_zero(double x, double otherwise) { return x == 0 ? otherwise : x == SDX_ZERO ? 0 : x; }

static double soft(double u, double t) { return u > t ? u - t : u < -t ? u + t : 0; }

/* The root of ||D u / (D s + c)|| = 1 by bisection. */
static void group(double *w, const double *d, double c) {
    double low = 0, high = 0, all = 0;
    for (int k = 0; k < N; k++) high += w[k] * w[k], all += d[k] * d[k] * w[k] * w[k];
    high = sqrt(high);
    if (sqrt(all) <= c) high = 0;
    for (int i = 0; i < 200; i++) {
        const double s = (low + high) / 2;
        double sum = 0;
        for (int k = 0; k < N; k++) sum += pow(d[k] * w[k] / (d[k] * s + c), 2);
        if (sum > 1)
            low = s;
        else
            high = s;
    }
    for (int k = 0; k < N; k++) w[k] = high == 0 ? 0 : d[k] * w[k] * low / (d[k] * low + c);
}

static void reference(const optimizer_case *c, state *at, const double *grad, double lr, int t) {
    const sdx_optimizer_options *o = &c->options;
    const double b1 = or_zero(o->betas[0], .9), b2 = or_zero(o->betas[1], o->kind == SDX_OPTIMIZER_LION ? .99 : .999);
    const double eps = 1e-8;
    double d[N], move[N], tau = lr, r2 = 0, w2 = 0;
    const bool decoupled = o->kind >= SDX_OPTIMIZER_LION || o->kind == SDX_OPTIMIZER_ADAMW;
    for (int k = 0; k < N; k++) {
        double g = grad[k] + (decoupled ? 0 : c->weight_decay * at->w[k]), *w = &at->w[k];
        double *s0 = &at->s[0][k], *s1 = &at->s[1][k], *s2 = &at->s[2][k];
        d[k] = 1;
        switch (o->kind) {
        case SDX_OPTIMIZER_SGD:
            move[k] = g;
            if (o->momentum == 0) break;
            *s0 = t == 1 ? g : o->momentum * *s0 + (1 - o->dampening) * g;
            move[k] = o->nesterov ? g + o->momentum * *s0 : *s0;
            tau = lr * (1 - o->dampening) / (1 - o->momentum);
            break;
        case SDX_OPTIMIZER_ADAM:
        case SDX_OPTIMIZER_ADAMW:
            *s0 = b1 * *s0 + (1 - b1) * g;
            *s1 = b2 * *s1 + (1 - b2) * g * g;
            *s2 = fmax(*s2, *s1);
            d[k] = sqrt((o->amsgrad ? *s2 : *s1) / (1 - pow(b2, t))) + eps;
            move[k] = *s0 / (1 - pow(b1, t)) / d[k];
            break;
        case SDX_OPTIMIZER_ADAGRAD:
            tau = lr / (1 + (t - 1) * o->lr_decay);
            *s0 += g * g;
            d[k] = sqrt(*s0) + 1e-10;
            move[k] = g / d[k];
            break;
        case SDX_OPTIMIZER_RMSPROP: {
            const double a = or_zero(o->alpha, .99);
            double *mean = o->centered ? s1 : NULL, *buffer = o->centered ? s2 : s1;
            *s0 = a * *s0 + (1 - a) * g * g;
            if (mean) *mean = a * *mean + (1 - a) * g;
            d[k] = sqrt(*s0 - (mean ? *mean * *mean : 0)) + eps;
            move[k] = g / d[k];
            if (o->momentum != 0) move[k] = *buffer = o->momentum * *buffer + move[k];
            tau = lr / (1 - o->momentum);
            break;
        }
        case SDX_OPTIMIZER_LION: {
            const double x = b1 * *s0 + (1 - b1) * g;
            *s0 = b2 * *s0 + (1 - b2) * g;
            move[k] = x > 0 ? 1 : x < 0 ? -1 : 0;
            d[k] = fabs(x) + 1e-30;
            break;
        }
        case SDX_OPTIMIZER_LAMB:
            *s0 = b1 * *s0 + (1 - b1) * g;
            *s1 = b2 * *s1 + (1 - b2) * g * g;
            d[k] = sqrt(*s1 / (1 - pow(b2, t))) + 1e-6;
            move[k] = *s0 / (1 - pow(b1, t)) / d[k] + c->weight_decay * *w;
            r2 += move[k] * move[k];
            w2 += *w * *w;
            break;
        }
    }
    if (o->kind == SDX_OPTIMIZER_LAMB && w2 > 0 && r2 > 0) tau = lr * sqrt(w2) / sqrt(r2);
    const double rate = o->kind == SDX_OPTIMIZER_LAMB || o->kind == SDX_OPTIMIZER_ADAGRAD ? tau : lr;
    for (int k = 0; k < N; k++) {
        const double keep = decoupled && o->kind != SDX_OPTIMIZER_LAMB ? 1 - lr * c->weight_decay : 1;
        at->w[k] = soft(keep * at->w[k] - rate * move[k], tau * c->prox.l1 / d[k]) / (1 + 2 * tau * c->prox.l2 / d[k]);
        d[k] += 2 * tau * c->prox.l2;
    }
    if (c->prox.l2norm > 0) group(at->w, d, tau * c->prox.l2norm);
}

/* ---- the graph ---- */

static sdx_model *build(const optimizer_case *c, sdx_dtype dtype, bool expanded) {
    sdx_model *model = new_model();
    static sdx_opset opsets[2] = {{"", 21}, {"sdx", 1}};
    model->opsets = opsets, model->n_opsets = 2;
    sdx_graph *graph = model->graph;
    const char *names[SDX_MOST_SLOTS];
    double fill[SDX_MOST_SLOTS];
    sdx_update update = {.weight_decay = c->weight_decay, .prox = c->prox};
    const int slots = sdx_optimizer_slots(&c->options, names, fill);
    update.w = add_input(graph, "w", dtype, DIMS(N));
    update.g = add_input(graph, "g", dtype, DIMS(N));
    update.lr = add_input(graph, "lr", SDX_F64, SCALAR);
    update.step = add_input(graph, "step", SDX_I64, SCALAR);
    for (int k = 0; k < slots; k++) update.slot[k] = add_input(graph, names[k], dtype, DIMS(N));
    sdx_patch patch;
    sdx_patch_begin(&patch, graph, &test_error);
    OK(sdx_optimizer_emit(&patch, &c->options, &update));
    graph->values[update.new_w].name = "new_w";
    add_output(graph, update.new_w);
    for (int k = 0; k < slots; k++) {
        static const char *const out[] = {"s0", "s1", "s2", "s3"};
        graph->values[update.new_slot[k]].name = out[k];
        add_output(graph, update.new_slot[k]);
    }
    OK(sdx_patch_commit(&patch));
    OK(sdx_settle_graph(graph, &test_error));
    if (expanded) {
        sdx_node *node = graph->nodes[0];
        sdx_patch_begin(&patch, graph, &test_error);
        OK(node->op->expand(&patch, node, node->params));
        OK(sdx_patch_commit(&patch));
        for (int k = 0; k < graph->n_nodes; k++) assert_string_equal(graph->nodes[k]->domain, "");
    }
    finish_model(model);
    return model;
}

static double get(const sdx_value *value, int64_t k) {
    const void *data = value->tensor.data;
    switch ((int)value->tensor.dtype) {
    case SDX_F64: return ((const double *)data)[k];
    case SDX_F32: return (double)((const float *)data)[k];
    case SDX_F16: return (double)sdx_f32_from_f16(((const uint16_t *)data)[k]);
    default: return (double)sdx_f32_from_bf16(((const uint16_t *)data)[k]);
    }
}

static void put(sdx_value *value, int64_t k, double x) {
    void *data = value->tensor.data;
    switch ((int)value->tensor.dtype) {
    case SDX_F64: ((double *)data)[k] = x; break;
    case SDX_F32: ((float *)data)[k] = (float)x; break;
    case SDX_F16: ((uint16_t *)data)[k] = sdx_f16_from_f64(x); break;
    default: ((uint16_t *)data)[k] = sdx_bf16_from_f64(x); break;
    }
}

static double gradient(int k, int t) { return sin(3.0 * k + t) * (k % 5 == 0 ? 3 : .25); }

static void check_case(const optimizer_case *c, sdx_dtype dtype, bool expanded, int threads) {
    const double tolerance = dtype == SDX_F64 ? 1e-13 : dtype == SDX_F32 ? 2e-5 : 2e-2, lr = .05;
    sdx_model *model = build(c, dtype, expanded);
    sdx_session *session = new_session(model, threads);
    static const char *const out_names[] = {"new_w", "s0", "s1", "s2", "s3"};
    const char *names[SDX_MOST_SLOTS];
    double fill[SDX_MOST_SLOTS];
    const int slots = sdx_optimizer_slots(&c->options, names, fill);
    state at = {{0}, {{0}}};
    sdx_binding in[4 + SDX_MOST_SLOTS] = {{"lr", NULL}, {"step", NULL}, {"g", NULL}, {"w", NULL}};
    sdx_binding out[1 + SDX_MOST_SLOTS] = {{NULL, NULL}};
    in[0].value = new_tensor(SDX_F64, SCALAR, &lr);
    in[2].value = new_tensor(dtype, DIMS(N), NULL);
    in[3].value = new_tensor(dtype, DIMS(N), NULL);
    for (int k = 0; k < N; k++) put(in[3].value, k, at.w[k] = cos(2.0 * k) * (k % 3 == 0 ? .01 : 1));
    for (int s = 0; s < slots; s++) {
        in[4 + s] = (sdx_binding){names[s], new_tensor(dtype, DIMS(N), NULL)};
        for (int k = 0; k < N; k++) put(in[4 + s].value, k, at.s[s][k] = fill[s]);
    }
    for (int64_t t = 1; t <= STEPS; t++) {
        double g[N];
        in[1].value = new_tensor(SDX_I64, SCALAR, &t);
        for (int k = 0; k < N; k++) put(in[2].value, k, gradient(k, (int)t)), g[k] = get(in[2].value, k);
        for (int k = 0; k < N; k++) at.w[k] = get(in[3].value, k);
        if (dtype == SDX_F16 || dtype == SDX_BF16) /* where rounding piles up: from the rounded state, each step */
            for (int s = 0; s < slots; s++)
                for (int k = 0; k < N; k++) at.s[s][k] = get(in[4 + s].value, k);
        reference(c, &at, g, lr, (int)t);
        for (int k = 0; k <= slots; k++) out[k] = (sdx_binding){out_names[k], NULL};
        OK(sdx_session_run(session, in, (size_t)(4 + slots), out, (size_t)(1 + slots), &test_error));
        for (int k = 0; k < N; k++) {
            const double got = get(out[0].value, k), want = at.w[k];
            const bool zero = want == 0 && c->prox.l1 + c->prox.l2norm > 0;
            if (!(fabs(got - want) <= tolerance * (1e-3 + fabs(want))) || (zero && (got != 0 || signbit(got))))
                if (dtype == SDX_F64 || dtype == SDX_F32 ? true : fabs(got - want) > 2e-3)
                    fail_msg("%s, %s%s, step %d: w[%d] is %.17g; the reference says %.17g", c->name,
                             sdx_dtype_name(dtype), expanded ? ", expanded" : "", (int)t, k, got, want);
        }
        for (int s = 0; s <= slots; s++) {
            sdx_value_release(in[3 + s].value);
            in[3 + s].value = out[s].value;
        }
        sdx_value_release(in[1].value);
        in[1].value = NULL;
    }
    for (int k = 0; k < 4 + slots; k++) sdx_value_release(in[k].value);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

static void test_kinds(void **unused) {
    (void)unused;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) check_case(&cases[k], SDX_F64, false, 1);
}

static void test_types(void **unused) {
    static const sdx_dtype dtypes[] = {SDX_F32, SDX_F16, SDX_BF16};
    (void)unused;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++)
        for (size_t d = 0; d < 3; d++) check_case(&cases[k], dtypes[d], false, 3);
}

static void test_expanded(void **unused) {
    (void)unused;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        check_case(&cases[k], SDX_F64, true, 1);
        check_case(&cases[k], SDX_F32, true, 1);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds), cmocka_unit_test(test_types),
                                       cmocka_unit_test(test_expanded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
