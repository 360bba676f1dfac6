/* SPDX-License-Identifier: Apache-2.0
 * GRU: z = f(Xz + Hz), r = f(Xr + Hr), n = g(Xh + (r H) Rh^T + Rbh), H = n + z (H - n); gates in the order z, r, h.
 * With linear_before_reset n = g(Xh + r (H Rh^T + Rbh)), so that a step needs one product; else a second one for r H.
 */
#include "ops/rnn/nodes.h"
#include <string.h>

enum { Z, R, H };

static int phases(const sdx_recurrent_params *p) { return p->linear_before_reset ? 1 : 2; }

static void reset_and_update(const sdx_cell_math *math, const sdx_cell_row *row) {
    sdx_cell_activate(math, &row->f[0], row->gate[Z], row->n);
    sdx_cell_activate(math, &row->f[0], row->gate[R], row->n);
}

static void hidden(const sdx_cell_math *math, const sdx_cell_row *row) {
    void *n = row->gate[H];
    sdx_cell_activate(math, &row->f[1], n, row->n);
    math->sub(row->h, 1, n, 1, row->room, row->n);
    math->mul(row->room, 1, row->gate[Z], 1, row->room, row->n);
    math->add(n, 1, row->room, 1, row->h_new, row->n);
}

static void update(const sdx_cell_math *math, const sdx_cell_row *row, int phase) {
    if (phase == 0) reset_and_update(math, row);
    if (math->params->linear_before_reset) {
        math->mul(row->gate[R], 1, row->extra, 1, row->room, row->n);
        math->add(row->gate[H], 1, row->room, 1, row->gate[H], row->n);
        hidden(math, row);
    } else if (phase == 0) {
        math->mul(row->gate[R], 1, row->h, 1, row->extra, row->n);
    } else {
        hidden(math, row);
    }
}

/* ---- backward ---------------------------------------------------------------------------------------------------- */

static void activate_again(const sdx_cell_math *math, const sdx_cell_back *row, int gate, int function) {
    memcpy(row->a[gate], row->x[gate], (size_t)row->n * sdx_dtype_size(math->work));
    sdx_cell_activate(math, &row->f[function], row->a[gate], row->n);
}

static void again(const sdx_cell_math *math, const sdx_cell_back *row, int phase) {
    if (phase == 0) {
        activate_again(math, row, Z, 0);
        activate_again(math, row, R, 0);
    }
    if (math->params->linear_before_reset) {
        math->mul(row->a[R], 1, row->extra, 1, row->room, row->n);
        math->add(row->x[H], 1, row->room, 1, row->x[H], row->n);
        activate_again(math, row, H, 1);
    } else if (phase == 0) {
        math->mul(row->a[R], 1, row->h, 1, row->extra, row->n);
    } else {
        activate_again(math, row, H, 1);
    }
}

/* dn = dH (1 - z), dz = dH (H - n) with the state before; that gets dH z past the gates. */
static void back_from_state(const sdx_cell_math *math, const sdx_cell_back *row) {
    void *d = row->room;
    const int64_t n = row->n;
    math->sub(row->h, 1, row->a[H], 1, d, n);
    math->mul(row->dh, 1, d, 1, d, n);
    sdx_cell_activate_back(math, &row->f[0], row->a[Z], d, row->x[Z], n);
    math->mul(row->dh, 1, row->a[Z], 1, d, n);
    math->sub(row->dh, 1, d, 1, row->other_room, n);
    memcpy(row->dh, d, (size_t)n * sdx_dtype_size(math->work));
    sdx_cell_activate_back(math, &row->f[1], row->a[H], row->other_room, row->x[H], n);
}

/* With e = R h + Rb: dr = dn' e, de = dn' r. Without: dr = de h with e = r h, and the state before gets de r. */
static void back(const sdx_cell_math *math, const sdx_cell_back *row, int phase) {
    void *d = row->room;
    const int64_t n = row->n;
    if (phase == 0) back_from_state(math, row);
    if (math->params->linear_before_reset) {
        math->mul(row->x[H], 1, row->extra, 1, d, n);
        sdx_cell_activate_back(math, &row->f[0], row->a[R], d, row->x[R], n);
        math->mul(row->x[H], 1, row->a[R], 1, row->extra, n);
    } else if (phase == 1) {
        math->mul(row->d_extra, 1, row->h, 1, d, n);
        sdx_cell_activate_back(math, &row->f[0], row->a[R], d, row->x[R], n);
        math->mul(row->d_extra, 1, row->a[R], 1, d, n);
        math->add(row->dh, 1, d, 1, row->dh, n);
    }
}

/* ---- as standard operators --------------------------------------------------------------------------------------- */

enum { PAST, TO_Z, TO_H, TO_R, RESET, FACTORS }; /* RESET: where the product comes after it */

static sdx_status nodes(sdx_cell_nodes *cell) {
    sdx_patch *patch = cell->patch;
    const sdx_id z = sdx_cell_active(cell, patch, 0, cell->x[Z]), r = sdx_cell_active(cell, patch, 0, cell->x[R]);
    const bool linear = cell->p->linear_before_reset;
    sdx_id from_h, met = linear ? cell->extra : cell->h;
    cell->reset = r;
    if (linear) {
        from_h = sdx_emit2(patch, "Mul", r, cell->extra);
    } else {
        cell->extra = sdx_emit2(patch, "Mul", r, cell->h);
        from_h = sdx_emit2(patch, "MatMul", cell->extra, sdx_emit1(patch, "Transpose", cell->r_last));
    }
    const sdx_id x = sdx_emit2(patch, "Add", cell->x[H], from_h), n = sdx_cell_active(cell, patch, 1, x);
    const sdx_id to_z =
        sdx_emit2(patch, "Mul", sdx_emit2(patch, "Sub", cell->h, n), sdx_cell_slope(cell, 0, cell->x[Z], z));
    const sdx_id to_h = sdx_emit2(patch, "Mul", sdx_one_minus(patch, cell->dtype, z), sdx_cell_slope(cell, 1, x, n));
    const sdx_id to_r = sdx_emit2(patch, "Mul", met, sdx_cell_slope(cell, 0, cell->x[R], r));
    cell->factor[PAST] = sdx_cell_masked(cell, z, 1);
    cell->factor[TO_Z] = sdx_cell_masked(cell, to_z, 0);
    cell->factor[TO_H] = sdx_cell_masked(cell, to_h, 0);
    cell->factor[TO_R] = sdx_cell_masked(cell, to_r, 0);
    cell->factor[RESET] = r;
    cell->n_factors = linear ? RESET : FACTORS;
    return patch->status;
}

static void step_nodes(sdx_cell_step *step) {
    sdx_patch *patch = step->patch;
    sdx_id d = sdx_emit2(patch, "Mul", step->dh, step->factor[TO_H]);
    step->past = sdx_emit2(patch, "Mul", step->dh, step->factor[PAST]);
    step->dx[Z] = sdx_emit2(patch, "Mul", step->dh, step->factor[TO_Z]);
    step->dx[H] = d;
    if (!step->cell->p->linear_before_reset) {
        d = sdx_emit2(patch, "MatMul", d, step->r_last);
        step->past = sdx_emit2(patch, "Add", step->past, sdx_emit2(patch, "Mul", d, step->factor[RESET]));
    }
    step->dx[R] = sdx_emit2(patch, "Mul", d, step->factor[TO_R]);
}

static const sdx_cell cell = {.gates = 3,
                              .functions = 2,
                              .otherwise = {"Sigmoid", "Tanh"},
                              .has_extra = true,
                              .phases = phases,
                              .update = update,
                              .again = again,
                              .back = back,
                              .grad = "GRUGrad",
                              .nodes = nodes,
                              .step_nodes = step_nodes};

static sdx_status gru_bind(sdx_bind *bind, void *params) {
    sdx_recurrent_params *p = params;
    SDX_TRY(sdx_recurrent_bind(bind, &cell, p));
    p->linear_before_reset = bind->since >= 3 && sdx_bind_int(bind, "linear_before_reset") != 0;
    return bind->status;
}

/* Version 1 spells its default direction "foward". */
#define ROW(since, types, y_h, way, more)                                                                              \
    {                                                                                                                  \
        since, "X:T W:T R:T B:T? sequence_lens:T1? initial_h:T? -> Y:T? Y_h:T" y_h, "T=" types " T1=i32",              \
            "activation_alpha:floats activation_beta:floats activations:strings clip:float direction:string=" way      \
            " hidden_size:int" more                                                                                    \
    }
const sdx_op sdx_op_GRU = {
    .domain = "",
    .name = "GRU",
    .versions =
        (const sdx_op_version[]){
            ROW(1, SDX_T_FLOAT, "", "foward", " output_sequence:int=0"),
            ROW(3, SDX_T_FLOAT, "?", "forward", " linear_before_reset:int=0 output_sequence:int=0"),
            ROW(7, SDX_T_FLOAT, "?", "forward", " linear_before_reset:int=0"),
            ROW(14, SDX_T_FLOAT, "?", "forward", " layout:int=0 linear_before_reset:int=0"),
            ROW(22, SDX_T_FLOAT_BF, "?", "forward", " layout:int=0 linear_before_reset:int=0"),
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_recurrent_params),
    .bind = gru_bind,
    .infer = sdx_recurrent_infer,
    .scratch = sdx_recurrent_scratch,
    .compute = sdx_recurrent_compute,
    .grad = sdx_recurrent_grad,
};

const sdx_op sdx_op_GRUGrad = {
    .domain = "sdx",
    .name = "GRUGrad",
    .versions = (const sdx_op_version[]){{22, SDX_RECURRENT_GRAD_SIGNATURE, "T=" SDX_T_FLOAT_BF " T1=i32",
                                          SDX_RECURRENT_GRAD_ATTRIBUTES " linear_before_reset:int=0"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_recurrent_params),
    .bind = gru_bind,
    .infer = sdx_recurrent_grad_infer,
    .scratch = sdx_recurrent_grad_scratch,
    .compute = sdx_recurrent_grad_compute,
    .expand = sdx_recurrent_grad_expand,
    .flags = SDX_OP_INTERNAL,
};
