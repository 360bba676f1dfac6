/* SPDX-License-Identifier: Apache-2.0
 * LSTM: i = f(Xi + Hi + Pi C), f = f(Xf + Hf + Pf C) or 1 - i with input_forget, c = g(Xc + Hc), C = f C + i c,
 * o = f(Xo + Ho + Po C), H = o h(C); gates in the order i, o, f, c, peepholes i, o, f. */
#include "ops/rnn/recurrent.h"
#include <string.h>

enum { I, O, F, C };

static void add_peephole(const sdx_cell_math *math, const sdx_cell_row *row, int k) {
    if (!row->peephole[k]) return;
    math->mul(row->peephole[k], 1, row->c, 1, row->room, row->n);
    math->add(row->gate[k], 1, row->room, 1, row->gate[k], row->n);
}

static void update(const sdx_cell_math *math, const sdx_cell_row *row, int phase) {
    static const float one_f32 = 1;
    static const double one_f64 = 1;
    void *const *gate = row->gate;
    const int64_t n = row->n;
    (void)phase;
    add_peephole(math, row, I);
    sdx_cell_activate(math, &row->f[0], gate[I], n);
    if (math->params->input_forget) {
        math->sub(math->work == SDX_F64 ? (const void *)&one_f64 : &one_f32, 0, gate[I], 1, gate[F], n);
    } else {
        add_peephole(math, row, F);
        sdx_cell_activate(math, &row->f[0], gate[F], n);
    }
    sdx_cell_activate(math, &row->f[1], gate[C], n);
    math->mul(gate[F], 1, row->c, 1, row->c, n);
    math->mul(gate[I], 1, gate[C], 1, gate[C], n);
    math->add(row->c, 1, gate[C], 1, row->c, n);
    add_peephole(math, row, O);
    sdx_cell_activate(math, &row->f[0], gate[O], n);
    memcpy(row->room, row->c, (size_t)n * sdx_dtype_size(math->work));
    sdx_activate(math->kernels, &row->f[2], math->work, row->room, n);
    math->mul(gate[O], 1, row->room, 1, row->h_new, n);
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

static void copy(const sdx_cell_math *math, void *to, const void *from, int64_t n) {
    memcpy(to, from, (size_t)n * sdx_dtype_size(math->work));
}

/* to += from P, where there are peepholes */
static void through_peephole(const sdx_cell_math *math, const sdx_cell_back *row, int k, const void *from, void *to) {
    if (!row->peephole[k]) return;
    math->mul(row->peephole[k], 1, from, 1, row->room, row->n);
    math->add(to, 1, row->room, 1, to, row->n);
}

static void activate_again(const sdx_cell_math *math, const sdx_cell_back *row, int gate, int function) {
    copy(math, row->a[gate], row->x[gate], row->n);
    sdx_cell_activate(math, &row->f[function], row->a[gate], row->n);
}

static void again(const sdx_cell_math *math, const sdx_cell_back *row, int phase) {
    static const float one_f32 = 1;
    static const double one_f64 = 1;
    const int64_t n = row->n;
    (void)phase;
    through_peephole(math, row, I, row->c, row->x[I]);
    activate_again(math, row, I, 0);
    if (math->params->input_forget) {
        math->sub(math->work == SDX_F64 ? (const void *)&one_f64 : &one_f32, 0, row->a[I], 1, row->a[F], n);
    } else {
        through_peephole(math, row, F, row->c, row->x[F]);
        activate_again(math, row, F, 0);
    }
    activate_again(math, row, C, 1);
    math->mul(row->a[F], 1, row->c, 1, row->c_new, n);
    math->mul(row->a[I], 1, row->a[C], 1, row->room, n);
    math->add(row->c_new, 1, row->room, 1, row->c_new, n);
    through_peephole(math, row, O, row->c_new, row->x[O]);
    activate_again(math, row, O, 0);
}

/* h = h(C): do = dH h, dC += dH o h'(C) + do Po, dc = dC i, df = dC c_before, di = dC c; C before gets dC f + di Pi +
 * df Pf. H before gets nothing past the gates. */
static void back(const sdx_cell_math *math, const sdx_cell_back *row, int phase) {
    void *const *x = row->x, *const *a = row->a, *d = row->room, *other = row->other_room;
    const sdx_activation *f = row->f;
    const int64_t n = row->n;
    (void)phase;
    copy(math, other, row->c_new, n);
    sdx_activate(math->kernels, &f[2], math->work, other, n);
    math->mul(row->dh, 1, other, 1, d, n);
    sdx_cell_activate_back(math, &f[0], a[O], d, x[O], n);
    math->mul(row->dh, 1, a[O], 1, d, n);
    copy(math, row->dh, row->c_new, n);
    sdx_activate_back(math->kernels, &f[2], math->work, other, d, row->dh, n);
    math->add(row->dc, 1, row->dh, 1, row->dc, n);
    through_peephole(math, row, O, x[O], row->dc);
    math->mul(row->dc, 1, a[I], 1, d, n);
    sdx_cell_activate_back(math, &f[1], a[C], d, x[C], n);
    math->mul(row->dc, 1, row->c, 1, d, n);
    math->mul(row->dc, 1, a[C], 1, other, n);
    math->mul(row->dc, 1, a[F], 1, row->dc, n);
    if (math->params->input_forget) { /* f = 1 - i has no gate of its own */
        math->sub(other, 1, d, 1, other, n);
        memset(x[F], 0, (size_t)n * sdx_dtype_size(math->work));
    } else {
        sdx_cell_activate_back(math, &f[0], a[F], d, x[F], n);
        through_peephole(math, row, F, x[F], row->dc);
    }
    sdx_cell_activate_back(math, &f[0], a[I], other, x[I], n);
    through_peephole(math, row, I, x[I], row->dc);
    memset(row->dh, 0, (size_t)n * sdx_dtype_size(math->work));
}

static const sdx_cell cell = {.gates = 4,
                              .functions = 3,
                              .otherwise = {"Sigmoid", "Tanh", "Tanh"},
                              .has_c = true,
                              .update = update,
                              .again = again,
                              .back = back,
                              .grad = "LSTMGrad"};

static sdx_status lstm_bind(sdx_bind *bind, void *params) {
    sdx_recurrent_params *p = params;
    SDX_TRY(sdx_recurrent_bind(bind, &cell, p));
    p->input_forget = sdx_bind_int(bind, "input_forget") != 0;
    return bind->status;
}

#define ROW(since, types, more)                                                                                        \
    {                                                                                                                  \
        since, "X:T W:T R:T B:T? sequence_lens:T1? initial_h:T? initial_c:T? P:T? -> Y:T? Y_h:T? Y_c:T?",              \
            "T=" types " T1=i32",                                                                                      \
            "activation_alpha:floats activation_beta:floats activations:strings clip:float direction:string=forward "  \
            "hidden_size:int input_forget:int=0" more                                                                  \
    }
const sdx_op sdx_op_LSTM = {
    .domain = "",
    .name = "LSTM",
    .versions = (const sdx_op_version[]){ROW(1, SDX_T_FLOAT, " output_sequence:int=0"),
                                         ROW(7, SDX_T_FLOAT, ""),
                                         ROW(14, SDX_T_FLOAT, " layout:int=0"),
                                         ROW(22, SDX_T_FLOAT_BF, " layout:int=0"),
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_recurrent_params),
    .bind = lstm_bind,
    .infer = sdx_recurrent_infer,
    .scratch = sdx_recurrent_scratch,
    .compute = sdx_recurrent_compute,
    .grad = sdx_recurrent_grad,
};

const sdx_op sdx_op_LSTMGrad = {
    .domain = "sdx",
    .name = "LSTMGrad",
    .versions = (const sdx_op_version[]){{22, SDX_RECURRENT_GRAD_SIGNATURE, "T=" SDX_T_FLOAT_BF " T1=i32",
                                          SDX_RECURRENT_GRAD_ATTRIBUTES " input_forget:int=0"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_recurrent_params),
    .bind = lstm_bind,
    .infer = sdx_recurrent_grad_infer,
    .scratch = sdx_recurrent_grad_scratch,
    .compute = sdx_recurrent_grad_compute,
    .flags = SDX_OP_INTERNAL,
};
