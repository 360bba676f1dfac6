/* SPDX-License-Identifier: Apache-2.0
 * RNN, GRU, LSTM against one sequence at a time, one unit at a time. */
#include "tests/ops/case.h"
#include <math.h>
#include <string.h>

enum { X, W, R, B, LENS, H0, C0, P };

/* What the case says, and the row in hand. */
typedef struct net {
    sdx_case_run *run;
    int64_t gates, hidden, input, directions, batch, steps, d, b;
    bool batch_first;
    int functions;
} net;

static const sdx_ref *given(const net *n, int k) {
    return k < n->run->n_in && n->run->in[k].present ? &n->run->in[k] : NULL;
}

static double value(const net *n, const char *list, int at, const char *const *takers, int n_takers, double otherwise) {
    int entry = 0;
    for (int k = 0; k < at; k++)
        for (int t = 0; t < n_takers; t++) entry += !strcmp(sdx_case_strings(n->run, "activations", k), takers[t]);
    return sdx_case_floats(n->run, list, entry, otherwise);
}

/* Function k of the direction, of clipped x. */
static double activate(const net *n, int k, double x, bool clips) {
    static const char *const with_alpha[] = {"LeakyRelu", "ThresholdedRelu", "Elu",
                                             "Affine",    "ScaledTanh",      "HardSigmoid"};
    const int at = (int)n->d * n->functions + k;
    const char *name = sdx_case_strings(n->run, "activations", at);
    if (!name) name = n->gates > 1 && k == 0 ? "Sigmoid" : "Tanh";
    const double clip = sdx_case_float(n->run, "clip", INFINITY);
    if (clips) x = fmin(fmax(x, -clip), clip);
    if (!strcmp(name, "Sigmoid")) return 1 / (1 + exp(-x));
    if (!strcmp(name, "Tanh")) return tanh(x);
    if (!strcmp(name, "Relu")) return fmax(x, 0);
    if (!strcmp(name, "Softsign")) return x / (1 + fabs(x));
    if (!strcmp(name, "Softplus")) return log1p(exp(x));
    double otherwise = !strcmp(name, "LeakyRelu") ? 0.01 : !strcmp(name, "HardSigmoid") ? 0.2 : 1;
    const double alpha = value(n, "activation_alpha", at, with_alpha, 6, otherwise);
    if (!strcmp(name, "LeakyRelu")) return x >= 0 ? x : alpha * x;
    if (!strcmp(name, "ThresholdedRelu")) return x >= alpha ? x : 0;
    if (!strcmp(name, "Elu")) return x >= 0 ? x : alpha * expm1(x);
    otherwise = !strcmp(name, "HardSigmoid") ? 0.5 : !strcmp(name, "Affine") ? 0 : 1;
    const double beta = value(n, "activation_beta", at, with_alpha + 3, 3, otherwise);
    if (!strcmp(name, "Affine")) return alpha * x + beta;
    if (!strcmp(name, "ScaledTanh")) return alpha * tanh(beta * x);
    return fmin(fmax(alpha * x + beta, 0), 1);
}

/* Wb (half 0) or Rb (half 1) of unit j of a gate. */
static double bias(const net *n, int half, int64_t gate, int64_t j) {
    const sdx_ref *b = given(n, B);
    return b ? b->v[(n->d * 2 + half) * n->gates * n->hidden + gate * n->hidden + j] : 0;
}

static double from_x(const net *n, const double *x, int64_t gate, int64_t j) {
    const double *w = n->run->in[W].v + ((n->d * n->gates + gate) * n->hidden + j) * n->input;
    double sum = bias(n, 0, gate, j);
    for (int64_t k = 0; k < n->input; k++) sum += w[k] * x[k];
    return sum;
}

static double from_h(const net *n, const double *h, int64_t gate, int64_t j) {
    const double *r = n->run->in[R].v + ((n->d * n->gates + gate) * n->hidden + j) * n->hidden;
    double sum = bias(n, 1, gate, j);
    for (int64_t k = 0; k < n->hidden; k++) sum += r[k] * h[k];
    return sum;
}

static double gate(const net *n, const double *x, const double *h, int64_t g, int64_t j) {
    return from_x(n, x, g, j) + from_h(n, h, g, j);
}

static double peephole(const net *n, int64_t which, int64_t j, double c) {
    const sdx_ref *p = given(n, P);
    return p ? p->v[(n->d * 3 + which) * n->hidden + j] * c : 0;
}

enum { MOST = 1024 };

static void rnn_step(const net *n, const double *x, const double *h, double *c, double *next) {
    (void)c;
    for (int64_t j = 0; j < n->hidden; j++) next[j] = activate(n, 0, gate(n, x, h, 0, j), true);
}

static void gru_step(const net *n, const double *x, const double *h, double *c, double *next) {
    double reset[MOST], rh[MOST];
    (void)c;
    for (int64_t j = 0; j < n->hidden; j++) {
        reset[j] = activate(n, 0, gate(n, x, h, 1, j), true);
        rh[j] = reset[j] * h[j];
    }
    for (int64_t j = 0; j < n->hidden; j++) {
        const bool linear = sdx_case_int(n->run, "linear_before_reset", 0);
        double z = activate(n, 0, gate(n, x, h, 0, j), true), hidden = from_x(n, x, 2, j);
        hidden += linear ? reset[j] * from_h(n, h, 2, j) : from_h(n, rh, 2, j);
        next[j] = (1 - z) * activate(n, 1, hidden, true) + z * h[j];
    }
}

static void lstm_step(const net *n, const double *x, const double *h, double *c, double *next) {
    for (int64_t j = 0; j < n->hidden; j++) {
        double i = activate(n, 0, gate(n, x, h, 0, j) + peephole(n, 0, j, c[j]), true);
        double f = activate(n, 0, gate(n, x, h, 2, j) + peephole(n, 2, j, c[j]), true);
        if (sdx_case_int(n->run, "input_forget", 0)) f = 1 - i;
        c[j] = f * c[j] + i * activate(n, 1, gate(n, x, h, 3, j), true);
        next[j] = activate(n, 0, gate(n, x, h, 1, j) + peephole(n, 1, j, c[j]), true) * activate(n, 2, c[j], false);
    }
}

typedef void (*step_fn)(const net *n, const double *x, const double *h, double *c, double *next);

static int64_t state_at(const net *n) {
    return (n->batch_first ? n->b * n->directions + n->d : n->d * n->batch + n->b) * n->hidden;
}

static void one_sequence(const net *n, step_fn step, double *y, double *y_h, double *y_c) {
    double h[MOST] = {0}, c[MOST] = {0}, next[MOST];
    const sdx_ref *lens = given(n, LENS), *h0 = given(n, H0), *c0 = given(n, C0);
    const bool backward = n->d == 1 || !strcmp(sdx_case_string(n->run, "direction", ""), "reverse");
    const int64_t length = lens ? (int64_t)lens->v[n->b] : n->steps;
    for (int64_t j = 0; j < n->hidden; j++) {
        if (h0) h[j] = h0->v[state_at(n) + j];
        if (c0) c[j] = c0->v[state_at(n) + j];
    }
    for (int64_t s = 0; s < length; s++) {
        const int64_t t = backward ? length - 1 - s : s;
        step(n, n->run->in[X].v + (n->batch_first ? n->b * n->steps + t : t * n->batch + n->b) * n->input, h, c, next);
        memcpy(h, next, sizeof h);
        const int64_t row = n->batch_first ? (n->b * n->steps + t) * n->directions + n->d
                                           : (t * n->directions + n->d) * n->batch + n->b;
        memcpy(y + row * n->hidden, h, (size_t)n->hidden * sizeof *h);
    }
    memcpy(y_h + state_at(n), h, (size_t)n->hidden * sizeof *h);
    memcpy(y_c + state_at(n), c, (size_t)n->hidden * sizeof *c);
}

static void run_all(sdx_case_run *run, int64_t gates, int functions, step_fn step) {
    const sdx_ref *x = &run->in[X], *r = &run->in[R];
    net n = {.run = run, .gates = gates, .hidden = r->dim[2], .directions = r->dim[0], .functions = functions};
    n.batch_first = sdx_case_int(run, "layout", 0);
    n.steps = x->dim[n.batch_first];
    n.batch = x->dim[!n.batch_first];
    n.input = x->dim[2];
    const int64_t first[4] = {n.batch, n.steps, n.directions, n.hidden},
                  usual[4] = {n.steps, n.directions, n.batch, n.hidden};
    const int64_t states[2][3] = {{n.directions, n.batch, n.hidden}, {n.batch, n.directions, n.hidden}};
    double *y = sdx_case_output(run, 0, 4, n.batch_first ? first : usual);
    double *y_h = sdx_case_output(run, 1, 3, states[n.batch_first]),
           *y_c = sdx_case_output(run, 2, 3, states[n.batch_first]);
    for (n.d = 0; n.d < n.directions; n.d++)
        for (n.b = 0; n.b < n.batch; n.b++) one_sequence(&n, step, y, y_h, y_c);
}

static void rnn(sdx_case_run *run) { run_all(run, 1, 1, rnn_step); }
static void gru(sdx_case_run *run) { run_all(run, 3, 2, gru_step); }
static void lstm(sdx_case_run *run) { run_all(run, 4, 3, lstm_step); }

#define SMALL "uniform(-0.5,0.5)"
#define LOOSE .rtol = 1e-4, .atol = 1e-5
#define RNN(suffix, version, ...)                                                                                      \
    { .name = "rnn_" suffix, .op = "RNN", .opset = version, LOOSE, __VA_ARGS__ }
#define GRU(suffix, version, ...)                                                                                      \
    { .name = "gru_" suffix, .op = "GRU", .opset = version, LOOSE, __VA_ARGS__ }
#define LSTM(suffix, version, ...)                                                                                     \
    { .name = "lstm_" suffix, .op = "LSTM", .opset = version, LOOSE, __VA_ARGS__ }
#define XWR(gates)  "T[S,N,I]=normal T[1,H*" gates ",I]=" SMALL " T[1,H*" gates ",H]=" SMALL
#define XWR2(gates) "T[S,N,I]=normal T[2,H*" gates ",I]=" SMALL " T[2,H*" gates ",H]=" SMALL
#define SIZES       "S=1..6 N=1..9 I=1..9 H=1..20"
#define ALL         .outputs = "Y Y_h"
#define ALL3        .outputs = "Y Y_h Y_c"

/* Gradients alone; BACK2: with at least two steps, as the lengths are up to 2. */
#define BACK(out)  .dims = "S=1..4 N=1..3 I=1..5 H=1..7", .outputs = out, .flags = SDX_CASE_GRADIENT
#define BACK2(out) .dims = "S=2..4 N=1..3 I=1..5 H=1..7", .outputs = out, .flags = SDX_CASE_GRADIENT

const sdx_case sdx_cases[] = {
    RNN("plain", 1, .inputs = XWR("1"), .dims = SIZES, ALL, .reference = rnn),
    RNN("7_bias", 7, .attributes = "direction:string=reverse clip:float=0.5", .inputs = XWR("1") " T[1,2*H]=" SMALL,
        .dims = SIZES, ALL, .reference = rnn),
    RNN("22_both", 22, .attributes = "direction:string=bidirectional activations:strings=[Relu,Softsign]",
        .inputs = XWR2("1") " T[2,2*H]=" SMALL " T1[N]=ints(0,1) T[2,N,H]=normal", .dims = SIZES, ALL,
        .reference = rnn),
    RNN("layout", 14, .attributes = "layout:int=1 direction:string=bidirectional",
        .inputs = "T[3,5,4]=normal T[2,6,4]=" SMALL " T[2,6,6]=" SMALL " - T1[3]={5 0 2} T[3,2,6]=normal", ALL,
        .reference = rnn),
    RNN("values", 14,
        .attributes = "direction:string=bidirectional activations:strings=[ScaledTanh,Affine] "
                      "activation_alpha:floats=[0.5,0.25] activation_beta:floats=[0.75,0.125]",
        .inputs = XWR2("1"), .dims = SIZES, ALL, .reference = rnn),
    RNN("kinks", 14,
        .attributes = "direction:string=bidirectional activations:strings=[LeakyRelu,ThresholdedRelu] "
                      "activation_alpha:floats=[0.5,0.25]",
        .inputs = XWR2("1"), .dims = "S=1..2 N=1..9 I=1..9 H=1..20", .types = "T=f32|f64", ALL, .reference = rnn),
    RNN("defaults_of_functions", 14,
        .attributes = "direction:string=bidirectional activations:strings=[HardSigmoid,Elu]", .inputs = XWR2("1"),
        .dims = SIZES, ALL, .reference = rnn),
    RNN("softplus", 14, .attributes = "activations:strings=[Softplus]",
        .inputs = "T[1,3,4]=normal T[1,5,4]=" SMALL " T[1,5,5]=" SMALL, ALL, .reference = rnn),

    GRU("plain", 1, .inputs = XWR("3"), .dims = SIZES, ALL, .reference = gru),
    GRU("3_linear", 3, .attributes = "linear_before_reset:int=1", .inputs = XWR("3") " T[1,6*H]=" SMALL, .dims = SIZES,
        ALL, .reference = gru),
    GRU("7_reset_first", 7, .attributes = "direction:string=reverse clip:float=0.75",
        .inputs = XWR("3") " T[1,6*H]=" SMALL " T1[N]=ints(0,1) T[1,N,H]=normal", .dims = SIZES, ALL, .reference = gru),
    GRU("22_both", 22, .attributes = "direction:string=bidirectional linear_before_reset:int=1",
        .inputs = XWR2("3") " T[2,6*H]=" SMALL " T1[N]=ints(0,1) T[2,N,H]=normal", .dims = SIZES, ALL,
        .reference = gru),
    GRU("layout", 22, .attributes = "layout:int=1 direction:string=bidirectional",
        .inputs = "T[3,5,4]=normal T[2,18,4]=" SMALL " T[2,18,6]=" SMALL " - T1[3]={5 0 2} T[3,2,6]=normal", ALL,
        .reference = gru),
    GRU("large", 22, .attributes = "hidden_size:int=130",
        .inputs = "T[3,20,30]=normal T[1,390,30]=" SMALL " T[1,390,130]=uniform(-0.1,0.1) T[1,780]=" SMALL, ALL,
        .reference = gru, .flags = SDX_CASE_SLOW),
    GRU("large_linear", 22, .attributes = "hidden_size:int=130 linear_before_reset:int=1",
        .inputs = "T[3,20,30]=normal T[1,390,30]=" SMALL " T[1,390,130]=uniform(-0.1,0.1) T[1,780]=" SMALL, ALL,
        .reference = gru, .flags = SDX_CASE_SLOW),
    GRU("long", 14, .attributes = "direction:string=bidirectional",
        .inputs = "T[300,2,3]=normal T[2,96,3]=" SMALL " T[2,96,32]=uniform(-0.2,0.2) - T1[2]={300 177}",
        .types = "T=f32|f64", ALL, .reference = gru, .flags = SDX_CASE_SLOW),

    LSTM("plain", 1, .inputs = XWR("4"), .dims = SIZES, ALL3, .reference = lstm),
    LSTM("7_peepholes", 7, .attributes = "direction:string=reverse",
         .inputs = XWR("4") " T[1,8*H]=" SMALL " T1[N]=ints(0,1) T[1,N,H]=normal T[1,N,H]=normal T[1,3*H]=" SMALL,
         .dims = SIZES, ALL3, .reference = lstm),
    LSTM("22_both", 22, .attributes = "direction:string=bidirectional clip:float=0.75",
         .inputs = XWR2("4") " - T1[N]=ints(0,1) T[2,N,H]=normal T[2,N,H]=normal T[2,3*H]=" SMALL, .dims = SIZES, ALL3,
         .reference = lstm),
    LSTM("input_forget", 14,
         .attributes = "input_forget:int=1 activations:strings=[HardSigmoid,Softsign,Elu] "
                       "activation_alpha:floats=[0.25,0.5] activation_beta:floats=[0.375]",
         .inputs = XWR("4") " T[1,8*H]=" SMALL, .dims = SIZES, ALL3, .reference = lstm),
    LSTM("layout", 22, .attributes = "layout:int=1 direction:string=bidirectional",
         .inputs = "T[3,5,4]=normal T[2,24,4]=" SMALL " T[2,24,6]=" SMALL " - T1[3]={5 0 2} T[3,2,6]=normal "
                   "T[3,2,6]=normal",
         ALL3, .reference = lstm),
    LSTM("last_alone", 14, .inputs = XWR("4"), .dims = SIZES, .outputs = "- Y_h", .reference = lstm),
    LSTM("no_steps", 14, .inputs = "T[0,2,3]=normal T[1,20,3]=normal T[1,20,5]=normal - - T[1,2,5]=normal", ALL3,
         .reference = lstm),
    LSTM("no_batch", 14, .inputs = "T[2,0,3]=normal T[1,20,3]=normal T[1,20,5]=normal", ALL3, .reference = lstm),
    LSTM("large", 22, .attributes = "direction:string=bidirectional",
         .inputs = "T[3,90,20]=normal T[2,400,20]=" SMALL " T[2,400,100]=uniform(-0.1,0.1)", .types = "T=f32|f64|f16",
         ALL3, .reference = lstm, .flags = SDX_CASE_SLOW),
    LSTM("large_row", 22, .inputs = "T[4,1,20]=normal T[1,1200,20]=" SMALL " T[1,1200,300]=uniform(-0.1,0.1)",
         .types = "T=f32|f64", ALL3, .reference = lstm, .flags = SDX_CASE_SLOW),
    LSTM("wide", 22, .inputs = "T[2,3,5]=normal T[1,2400,5]=" SMALL " T[1,2400,600]=uniform(-0.05,0.05)",
         .types = "T=f32|f64", ALL3, .reference = lstm, .flags = SDX_CASE_SLOW),
    LSTM("few_steps", 14,
         .inputs = "T[2,2,5]=normal T[1,280,5]=" SMALL " T[1,280,70]=uniform(-0.1,0.1) T[1,560]=" SMALL,
         .types = "T=f32", ALL3, .reference = lstm),

    RNN("d_plain", 22, .inputs = XWR("1") " T[1,2*H]=" SMALL, BACK("Y")),
    RNN("d_lengths", 22, .attributes = "direction:string=bidirectional",
        .inputs = XWR2("1") " T[2,2*H]=" SMALL " T1[N]=ints(0,2) T[2,N,H]=normal", BACK2("- Y_h")),
    RNN("d_functions", 22,
        .attributes = "direction:string=bidirectional activations:strings=[ScaledTanh,HardSigmoid] "
                      "activation_alpha:floats=[0.5,0.25] activation_beta:floats=[0.75,0.5]",
        .inputs = XWR2("1"), BACK("Y")),
    RNN("d_more_functions", 22, .attributes = "direction:string=bidirectional activations:strings=[Softplus,Softsign]",
        .inputs = XWR2("1"), BACK("Y")),
    RNN("d_kinks", 22,
        .attributes = "direction:string=bidirectional activations:strings=[LeakyRelu,Elu] "
                      "activation_alpha:floats=[0.5,0.25] clip:float=0.9",
        .inputs = XWR2("1"), BACK("Y")),
    RNN("d_affine", 22, .attributes = "direction:string=bidirectional activations:strings=[Relu,Affine]",
        .inputs = XWR2("1"), BACK("Y")),
    RNN("d_threshold", 22, .attributes = "activations:strings=[ThresholdedRelu] activation_alpha:floats=[0.1]",
        .inputs = XWR("1"), BACK("Y")),
    RNN("d_layout", 22, .attributes = "layout:int=1 direction:string=bidirectional",
        .inputs = "T[3,5,4]=normal T[2,6,4]=" SMALL " T[2,6,6]=" SMALL " - T1[3]={5 0 2} T[3,2,6]=normal", BACK("Y")),

    GRU("d_plain", 22, .inputs = XWR("3") " T[1,6*H]=" SMALL, BACK("Y")),
    GRU("d_linear", 22, .attributes = "linear_before_reset:int=1 direction:string=reverse",
        .inputs = XWR("3") " T[1,6*H]=" SMALL " - T[1,N,H]=normal", BACK("Y")),
    GRU("d_lengths", 22, .attributes = "direction:string=bidirectional",
        .inputs = XWR2("3") " T[2,6*H]=" SMALL " T1[N]=ints(0,2) T[2,N,H]=normal", BACK2("- Y_h")),
    GRU("d_linear_lengths", 22, .attributes = "direction:string=bidirectional linear_before_reset:int=1 clip:float=0.7",
        .inputs = XWR2("3") " T[2,6*H]=" SMALL " T1[N]=ints(0,2) T[2,N,H]=normal", BACK2("Y Y_h")),
    GRU("d_layout", 22, .attributes = "layout:int=1 direction:string=bidirectional",
        .inputs = "T[3,5,4]=normal T[2,18,4]=" SMALL " T[2,18,6]=" SMALL " - T1[3]={5 0 2} T[3,2,6]=normal",
        BACK("- Y_h")),

    LSTM("d_plain", 22, .inputs = XWR("4") " T[1,8*H]=" SMALL, BACK("Y")),
    LSTM("d_peepholes", 22, .attributes = "direction:string=reverse",
         .inputs = XWR("4") " T[1,8*H]=" SMALL " T1[N]=ints(0,2) T[1,N,H]=normal T[1,N,H]=normal T[1,3*H]=" SMALL,
         BACK2("Y")),
    LSTM("d_both", 22, .attributes = "direction:string=bidirectional clip:float=0.75",
         .inputs = XWR2("4") " T[2,8*H]=" SMALL " T1[N]=ints(0,2) T[2,N,H]=normal T[2,N,H]=normal T[2,3*H]=" SMALL,
         BACK2("- Y_h")),
    LSTM("d_cells", 22, .inputs = XWR("4") " - - T[1,N,H]=normal T[1,N,H]=normal T[1,3*H]=" SMALL, BACK("- - Y_c")),
    LSTM("d_input_forget", 22,
         .attributes = "input_forget:int=1 activations:strings=[HardSigmoid,Softsign,Elu] "
                       "activation_alpha:floats=[0.25,0.5] activation_beta:floats=[0.375]",
         .inputs = XWR("4") " T[1,8*H]=" SMALL " - - T[1,N,H]=normal T[1,3*H]=" SMALL, BACK("Y")),
    LSTM("d_layout", 22, .attributes = "layout:int=1 direction:string=bidirectional",
         .inputs = "T[3,5,4]=normal T[2,24,4]=" SMALL " T[2,24,6]=" SMALL " - T1[3]={5 0 2} T[3,2,6]=normal "
                   "T[3,2,6]=normal",
         BACK("- Y_h")),

    LSTM("bad_length", 14, .inputs = "f32[2,3,4]=normal f32[1,20,4]=normal f32[1,20,5]=normal - i32[3]={2 3 0}",
         .fails = SDX_VALUE, .says = "entry 1 of input 'sequence_lens' is 3; it must be in [0, 2]"),
    LSTM("bad_w", 14, .inputs = "f32[2,3,4]=normal f32[1,20,3]=normal f32[1,20,5]=normal", .fails = SDX_SHAPE,
         .says = "dimension 2 of input 'W' is 3; it must be 4"),
    LSTM("bad_hidden", 14, .attributes = "hidden_size:int=6",
         .inputs = "f32[2,3,4]=normal f32[1,20,4]=normal f32[1,20,5]=normal", .fails = SDX_SHAPE,
         .says = "dimension 1 of input 'W' is 20; it must be 24"),
    LSTM("bad_direction", 14, .attributes = "direction:string=back",
         .inputs = "f32[2,3,4]=normal f32[1,20,4]=normal f32[1,20,5]=normal", .fails = SDX_VALUE,
         .says = "attribute 'direction' is 'back'"),
    LSTM("bad_function", 14, .attributes = "activations:strings=[Sigmoid,Tanh,Cosh]",
         .inputs = "f32[2,3,4]=normal f32[1,20,4]=normal f32[1,20,5]=normal", .fails = SDX_VALUE,
         .says = "attribute 'activations' has 'Cosh'; it must be Relu, Tanh"),
    LSTM("few_functions", 14, .attributes = "activations:strings=[Sigmoid,Tanh]",
         .inputs = "f32[2,3,4]=normal f32[1,20,4]=normal f32[1,20,5]=normal", .fails = SDX_VALUE,
         .says = "attribute 'activations' has 2 entries; there must be 3"),
    LSTM("bad_clip", 14, .attributes = "clip:float=-1",
         .inputs = "f32[2,3,4]=normal f32[1,20,4]=normal f32[1,20,5]=normal", .fails = SDX_VALUE,
         .says = "attribute 'clip' is -1; it must be 0 or more"),
    LSTM("bad_rank", 14, .inputs = "f32[3,4]=normal f32[1,20,4]=normal f32[1,20,5]=normal", .fails = SDX_SHAPE,
         .says = "input 'X' has rank 2; it must be 3"),
};
SDX_CASES_END
