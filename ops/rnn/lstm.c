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

static const sdx_cell cell = {
    .gates = 4, .functions = 3, .otherwise = {"Sigmoid", "Tanh", "Tanh"}, .has_c = true, .update = update};

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
};
