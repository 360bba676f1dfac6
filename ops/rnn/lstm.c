/* SPDX-License-Identifier: Apache-2.0
 * LSTM: i = f(Xi + Hi + Pi C), f = f(Xf + Hf + Pf C) or 1 - i with input_forget, c = g(Xc + Hc), C = f C + i c,
 * o = f(Xo + Ho + Po C), H = o h(C); gates in the order i, o, f, c, peepholes i, o, f. */
#include "ops/rnn/nodes.h"
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

/* ---- as standard operators --------------------------------------------------------------------------------------- */

static sdx_id with_peephole(sdx_patch *patch, sdx_id x, sdx_id peephole, sdx_id from) {
    return peephole == SDX_NONE ? x : sdx_emit2(patch, "Add", x, sdx_emit2(patch, "Mul", peephole, from));
}

/* From the cell state before: gates i, f and c, with their peepholes in x, and the state after. */
static sdx_id cell_state(const sdx_cell_nodes *cell, sdx_patch *patch, const sdx_id *peephole, sdx_id c, sdx_id *x,
                         sdx_id *a) {
    x[I] = with_peephole(patch, x[I], peephole[I], c);
    a[I] = sdx_cell_active(cell, patch, 0, x[I]);
    if (cell->p->input_forget) {
        a[F] = sdx_one_minus(patch, cell->dtype, a[I]);
    } else {
        x[F] = with_peephole(patch, x[F], peephole[F], c);
        a[F] = sdx_cell_active(cell, patch, 0, x[F]);
    }
    a[C] = sdx_cell_active(cell, patch, 1, x[C]);
    return sdx_emit2(patch, "Add", sdx_emit2(patch, "Mul", a[F], c), sdx_emit2(patch, "Mul", a[I], a[C]));
}

/* Y does not hold the cell states: they are walked through again. */
static sdx_status cell_states(sdx_cell_nodes *cell) {
    sdx_cell_loop loop;
    sdx_node *node = NULL;
    sdx_id x[SDX_GATES], a[SDX_GATES], peephole[3], flipped[SDX_GATES];
    for (int g = 0; g < SDX_GATES; g++) flipped[g] = sdx_steps_flip(cell->patch, cell->x[g]);
    SDX_TRY(sdx_cell_loop_begin(&loop, cell->patch, "cell_states"));
    const sdx_id c = sdx_cell_loop_state(&loop, cell->c0, &cell->row);
    for (int g = 0; g < SDX_GATES; g++) x[g] = g == O ? SDX_NONE : sdx_cell_loop_scan(&loop, flipped[g], &cell->row);
    for (int k = 0; k < 3; k++) peephole[k] = sdx_cell_loop_capture(&loop, cell->peephole[k]);
    const sdx_id c_new = cell_state(cell, &loop.patch, peephole, c, x, a);
    sdx_cell_loop_output(&loop, c_new);
    sdx_cell_loop_output(&loop, c);
    sdx_cell_loop_output(&loop, c_new);
    SDX_TRY(sdx_cell_loop_end(&loop, &node));
    cell->c = sdx_steps_flip(cell->patch, node->out[1]);
    cell->c_new = sdx_steps_flip(cell->patch, node->out[2]);
    return SDX_OK;
}

enum { TO_O, TO_STATE, TO_C, TO_I, TO_F, FORGET, FACTORS };

static sdx_status nodes(sdx_cell_nodes *cell) {
    sdx_patch *patch = cell->patch;
    sdx_id *x = cell->x, a[SDX_GATES], to[FACTORS], of_i;
    SDX_TRY(cell_states(cell));
    (void)cell_state(cell, patch, cell->peephole, cell->c, x, a);
    x[O] = with_peephole(patch, x[O], cell->peephole[O], cell->c_new);
    a[O] = sdx_cell_active(cell, patch, 0, x[O]);
    const sdx_id h = sdx_activate_nodes(patch, &cell->f[2], cell->dtype, cell->c_new);
    to[TO_O] = sdx_emit2(patch, "Mul", h, sdx_cell_slope(cell, 0, x[O], a[O]));
    to[TO_STATE] = sdx_emit2(patch, "Mul", a[O], sdx_slope_nodes(patch, &cell->f[2], cell->dtype, cell->c_new, h));
    to[TO_C] = sdx_emit2(patch, "Mul", a[I], sdx_cell_slope(cell, 1, x[C], a[C]));
    of_i = cell->p->input_forget ? sdx_emit2(patch, "Sub", a[C], cell->c) : a[C];
    to[TO_I] = sdx_emit2(patch, "Mul", of_i, sdx_cell_slope(cell, 0, x[I], a[I]));
    to[TO_F] = cell->p->input_forget ? sdx_emit2(patch, "Sub", a[F], a[F]) /* it has no gate of its own */
                                     : sdx_emit2(patch, "Mul", cell->c, sdx_cell_slope(cell, 0, x[F], a[F]));
    for (int k = 0; k < FORGET; k++) cell->factor[k] = sdx_cell_masked(cell, to[k], 0);
    cell->factor[FORGET] = sdx_cell_masked(cell, a[F], 1);
    cell->n_factors = FACTORS;
    return patch->status;
}

static void step_nodes(sdx_cell_step *step) {
    sdx_patch *patch = step->patch;
    const sdx_id *factor = step->factor;
    sdx_id *dx = step->dx, dc = sdx_emit2(patch, "Add", step->dc, sdx_emit2(patch, "Mul", step->dh, factor[TO_STATE]));
    dx[O] = sdx_emit2(patch, "Mul", step->dh, factor[TO_O]);
    dc = with_peephole(patch, dc, step->peephole[O], dx[O]);
    dx[C] = sdx_emit2(patch, "Mul", dc, factor[TO_C]);
    dx[I] = sdx_emit2(patch, "Mul", dc, factor[TO_I]);
    dx[F] = sdx_emit2(patch, "Mul", dc, factor[TO_F]);
    dc = with_peephole(patch, sdx_emit2(patch, "Mul", dc, factor[FORGET]), step->peephole[I], dx[I]);
    step->dc = with_peephole(patch, dc, step->peephole[F], dx[F]);
}

static const sdx_cell cell = {.gates = 4,
                              .functions = 3,
                              .otherwise = {"Sigmoid", "Tanh", "Tanh"},
                              .has_c = true,
                              .update = update,
                              .again = again,
                              .back = back,
                              .grad = "LSTMGrad",
                              .nodes = nodes,
                              .step_nodes = step_nodes};

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
    .expand = sdx_recurrent_grad_expand,
    .flags = SDX_OP_INTERNAL,
};
