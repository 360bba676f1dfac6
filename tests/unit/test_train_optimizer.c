/* SPDX-License-Identifier: Apache-2.0
 * OptimizerUpdate against plain double precision, step by step: every kind, with and without proximal terms; the same
 * in f32, f16 and bf16, on 1 and 3 threads, in place, and as the standard operators it expands to. */
#include "tests/unit/optimizer_session.h"
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

static double gradient(int k, int t) { return sin(3.0 * k + t) * (k % 5 == 0 ? 3 : .25); }

static void check_case(const optimizer_case *c, sdx_dtype dtype, bool expanded, int threads) {
    const double tolerance = dtype == SDX_F64 ? 1e-13 : dtype == SDX_F32 ? 2e-5 : 2e-2, lr = .05;
    const double floor = dtype == SDX_F64 || dtype == SDX_F32 ? 1e-3 : .1;
    stepper s;
    state at = {{0}, {{0}}};
    stepper_open(&s, &c->options, c->weight_decay, c->prox, dtype, N, expanded, threads);
    for (int k = 0; k < N; k++) {
        put(s.w, k, cos(2.0 * k) * (k % 3 == 0 ? .01 : 1));
        for (int i = 0; i < s.slots; i++) at.s[i][k] = s.fill[i];
    }
    for (int t = 1; t <= STEPS; t++) {
        double g[N];
        for (int k = 0; k < N; k++) {
            put(s.g, k, gradient(k, t)), g[k] = get(s.g, k);
            at.w[k] = get(s.w, k);
            if (dtype == SDX_F16 || dtype == SDX_BF16) /* where rounding piles up: from the rounded state, each step */
                for (int i = 0; i < s.slots; i++) at.s[i][k] = get(s.slot[i], k);
        }
        reference(c, &at, g, lr, t);
        stepper_step(&s, lr);
        for (int k = 0; k < N; k++) {
            const double got = get(s.w, k), want = at.w[k];
            const bool zero = want == 0 && c->prox.l1 + c->prox.l2norm > 0;
            if (!(fabs(got - want) <= tolerance * (floor + fabs(want))) || (zero && (got != 0 || signbit(got))))
                fail_msg("%s, %s%s, step %d: w[%d] is %.17g; the reference says %.17g", c->name, sdx_dtype_name(dtype),
                         expanded ? ", expanded" : "", t, k, got, want);
        }
    }
    stepper_close(&s);
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

/* ---- numbers that PyTorch 2.13 gives in f64: ten steps from w with g, both exact in binary ---- */

enum { TORCH_N = 7, TORCH_STEPS = 10 };

typedef struct torch_case {
    const char *name;
    sdx_optimizer_options options;
    double weight_decay, want[TORCH_N];
} torch_case;

static const torch_case torch_cases[] = {
    {.name = "sgd",
     .options = {.kind = SDX_OPTIMIZER_SGD, .lr = .1},
     .weight_decay = 0,
     .want = {-1.2187500000000002, 1.0812499999999998, 1.0062500000000001, 0.82500000000000007, 0.75,
              0.67499999999999993, 0.49374999999999986}},
    {.name = "sgd, decay",
     .options = {.kind = SDX_OPTIMIZER_SGD, .lr = .1},
     .weight_decay = 0.05,
     .want = {-1.1613457790516328, 1.0259874638550477, 0.95651459650785908, 0.78234871368563375, 0.71131090713170175,
              0.64235614068460889, 0.46871096228459047}},
    {.name = "sgd, momentum",
     .options = {.kind = SDX_OPTIMIZER_SGD, .lr = .1, .momentum = .9},
     .weight_decay = 0.05,
     .want = {-1.3090839346026435, 0.84451980190677423, 0.86408471496666062, 0.6198931587677009, 0.82767899839678261,
              0.79858618712203466, 0.49764840324957837}},
    {.name = "sgd, dampening",
     .options = {.kind = SDX_OPTIMIZER_SGD, .lr = .1, .momentum = .9, .dampening = .3},
     .weight_decay = 0,
     .want = {-1.4607612169124999, 1.1912170253187504, 1.0804638520249998, 0.76957438061249983, 1.0109792909062498,
              0.86070019323750013, 0.50589302807500014}},
    {.name = "sgd, nesterov",
     .options = {.kind = SDX_OPTIMIZER_SGD, .lr = .1, .momentum = .9, .nesterov = true},
     .weight_decay = 0.05,
     .want = {-1.3213295047269209, 0.77584633217475873, 0.83248274433833414, 0.55674299660503035, 0.77353197320957157,
              0.79040989590634048, 0.46732830754476157}},
    {.name = "adam",
     .options = {.kind = SDX_OPTIMIZER_ADAM},
     .weight_decay = 0,
     .want = {-1.128971713664068, 1.1259268182198012, 1.0023721373459265, 0.87389775533913894, 0.75281685404514198,
              0.62888177424442326, 0.4996049723247819}},
    {.name = "adam, decay",
     .options = {.kind = SDX_OPTIMIZER_ADAM, .lr = .1, .betas = {.8, .95}, .eps = 1e-3},
     .weight_decay = 0.05,
     .want = {-1.3239770798186321, 1.0229922720243143, 1.0465658860512219, 0.64056053119570544, 0.86749225126533436,
              0.86992675846825451, 0.41850852786342613}},
    {.name = "adam, amsgrad",
     .options = {.kind = SDX_OPTIMIZER_ADAM, .lr = .1, .betas = {.8, .5}, .amsgrad = true},
     .weight_decay = 0.05,
     .want = {-1.303347701695859, 1.0648371490868136, 1.0731294144160721, 0.67001178736836264, 0.87666098550727811,
              0.85798905596926434, 0.41617026730270923}},
    {.name = "adamw",
     .options = {.kind = SDX_OPTIMIZER_ADAMW, .lr = .1},
     .weight_decay = 0.05,
     .want = {-1.4569906797018577, 1.1563830279356644, 1.1778998160863725, 0.72523668469667713, 0.9852346974917825,
              0.97031209952847841, 0.44001137984179362}},
    {.name = "adamw, amsgrad",
     .options = {.kind = SDX_OPTIMIZER_ADAMW, .lr = .1, .betas = {.8, .5}, .amsgrad = true},
     .weight_decay = 0.05,
     .want = {-1.3853929816569859, 1.1186870241530069, 1.1191032515453085, 0.71340028177535397, 0.92052382213580963,
              0.89474960874285281, 0.43927058198077806}},
    {.name = "adagrad",
     .options = {.kind = SDX_OPTIMIZER_ADAGRAD},
     .weight_decay = 0,
     .want = {-1.1418200479974696, 1.1238138315274131, 1.0122318535885495, 0.86803300616206303, 0.75595517574989224,
              0.64501390314467411, 0.49775667685776392}},
    {.name = "adagrad, lr_decay",
     .options = {.kind = SDX_OPTIMIZER_ADAGRAD, .lr = .1, .lr_decay = .25, .initial_accumulator = .5, .eps = 1e-3},
     .weight_decay = 0.05,
     .want = {-1.1512962835364802, 1.1105820704752705, 1.0057579725801897, 0.83531559584572546, 0.77152626744553521,
              0.65768649788775213, 0.48002316802125378}},
    {.name = "rmsprop",
     .options = {.kind = SDX_OPTIMIZER_RMSPROP},
     .weight_decay = 0,
     .want = {-1.293719545080309, 1.1120111214942445, 1.1220854997191245, 0.80455004837337729, 0.80874715304136324,
              0.82528334147600824, 0.47743626437633124}},
    {.name = "rmsprop, momentum",
     .options = {.kind = SDX_OPTIMIZER_RMSPROP, .lr = .05, .alpha = .9, .momentum = .7},
     .weight_decay = 0.05,
     .want = {-1.5369225794742776, 0.84530315584654947, 1.2703674422596485, 0.41108339820231676, 0.92723214797040932,
              1.3573525808504538, 0.39380948881548178}},
    {.name = "rmsprop, centered",
     .options = {.kind = SDX_OPTIMIZER_RMSPROP, .lr = .05, .alpha = .9, .centered = true},
     .weight_decay = 0,
     .want = {-1.42244948944047, 1.0954890747305714, 1.2116440408019078, 0.7469483180289459, 0.84841521891132898,
              0.97341546020333325, 0.46069769170204095}},
    {.name = "rmsprop, centered, momentum",
     .options = {.kind = SDX_OPTIMIZER_RMSPROP, .lr = .05, .alpha = .9, .centered = true, .momentum = .7},
     .weight_decay = 0.05,
     .want = {-1.5674843261439735, 0.84950486708097017, 1.3099344093555705, 0.38697903737027861, 0.96088420532670127,
              1.4185484929800005, 0.3828599491804982}},
};

static void check_torch(const torch_case *c) {
    stepper s;
    double lr = 0, decay = 0;
    OK(sdx_optimizer_base(&c->options, &lr, &decay, &test_error));
    stepper_open(&s, &c->options, c->weight_decay, (sdx_prox){0}, SDX_F64, TORCH_N, false, 1);
    for (int k = 0; k < TORCH_N; k++) put(s.w, k, ((k * 37) % 19 - 9) / 8.0);
    for (int t = 1; t <= TORCH_STEPS; t++) {
        for (int k = 0; k < TORCH_N; k++) put(s.g, k, ((k * 23 + t * 11) % 17 - 8) / 16.0);
        stepper_step(&s, lr);
    }
    for (int k = 0; k < TORCH_N; k++) {
        const double got = get(s.w, k), want = c->want[k];
        if (!(fabs(got - want) <= 4e-16 * fmax(1, fabs(want))))
            fail_msg("%s: w[%d] is %.17g; PyTorch has %.17g, %.2g away", c->name, k, got, want, fabs(got - want));
    }
    stepper_close(&s);
}

static void test_torch(void **unused) {
    (void)unused;
    for (size_t k = 0; k < sizeof torch_cases / sizeof torch_cases[0]; k++) check_torch(&torch_cases[k]);
}

/* A parameter of many pieces: the same bits for any number of threads. */
static void test_threads(void **unused) {
    (void)unused;
    enum { LARGE = 150001 };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        stepper s[2];
        for (int i = 0; i < 2; i++) {
            stepper_open(&s[i], &cases[c].options, cases[c].weight_decay, cases[c].prox, SDX_F32, LARGE, false,
                         i ? 3 : 1);
            for (int k = 0; k < LARGE; k++) put(s[i].w, k, ((k * 37) % 1009 - 504) / 512.0);
            for (int t = 1; t <= 2; t++) {
                for (int k = 0; k < LARGE; k++) put(s[i].g, k, ((k * 23 + t * 11) % 1013 - 506) / 256.0);
                stepper_step(&s[i], .01);
            }
        }
        if (memcmp(s[0].w->tensor.data, s[1].w->tensor.data, LARGE * sizeof(float)) != 0)
            fail_msg("%s: 1 and 3 threads differ", cases[c].name);
        stepper_close(&s[0]), stepper_close(&s[1]);
    }
}

static void test_settings(void **unused) {
    (void)unused;
    double lr, decay;
    const sdx_optimizer_options none = {0}, zero = {.lr = SDX_ZERO}, adamw = {.kind = SDX_OPTIMIZER_ADAMW};
    OK(sdx_optimizer_base(&none, &lr, &decay, &test_error));
    assert_true(lr == 1e-3 && decay == 0);
    OK(sdx_optimizer_base(&zero, &lr, &decay, &test_error));
    assert_true(lr == 0);
    OK(sdx_optimizer_base(&adamw, &lr, &decay, &test_error));
    assert_true(decay == .01);
    static const struct {
        sdx_optimizer_options options;
        const char *says;
    } bad[] = {{{.lr = -1}, "lr is -1"},
               {{.lr = NAN}, "lr is nan"},
               {{.betas = {.9, 1}}, "betas are 0.9 and 1"},
               {{.kind = SDX_OPTIMIZER_SGD, .momentum = 1}, "momentum is 1"},
               {{.kind = SDX_OPTIMIZER_SGD, .nesterov = true}, "nesterov needs a momentum"},
               {{.has_weight_decay = true, .weight_decay = -1}, "weight_decay is -1"},
               {{.kind = (sdx_optimizer_kind)77}, "kind 77"}};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        sdx_error error = {0};
        assert_int_equal(sdx_optimizer_base(&bad[k].options, &lr, &decay, &error), SDX_VALUE);
        CONTAINS(error.message, bad[k].says);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinds),    cmocka_unit_test(test_types),
                                       cmocka_unit_test(test_expanded), cmocka_unit_test(test_torch),
                                       cmocka_unit_test(test_threads),  cmocka_unit_test(test_settings)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
