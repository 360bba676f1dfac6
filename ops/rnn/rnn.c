/* SPDX-License-Identifier: Apache-2.0
 * RNN: H = f(X W^T + Wb + H R^T + Rb). */
#include "ops/rnn/nodes.h"
#include <string.h>

static void update(const sdx_cell_math *math, const sdx_cell_row *row, int phase) {
    (void)phase;
    sdx_cell_activate(math, &row->f[0], row->gate[0], row->n);
    memcpy(row->h_new, row->gate[0], (size_t)row->n * sdx_dtype_size(math->work));
}

static void again(const sdx_cell_math *math, const sdx_cell_back *row, int phase) {
    (void)phase;
    memcpy(row->a[0], row->x[0], (size_t)row->n * sdx_dtype_size(math->work));
    sdx_cell_activate(math, &row->f[0], row->a[0], row->n);
}

static void back(const sdx_cell_math *math, const sdx_cell_back *row, int phase) {
    (void)phase;
    sdx_cell_activate_back(math, &row->f[0], row->a[0], row->dh, row->x[0], row->n);
    memset(row->dh, 0, (size_t)row->n * sdx_dtype_size(math->work));
}

/* ---- as standard operators --------------------------------------------------------------------------------------- */

static sdx_status nodes(sdx_cell_nodes *cell) {
    const sdx_id y = sdx_cell_active(cell, cell->patch, 0, cell->x[0]);
    cell->factor[cell->n_factors++] = sdx_cell_masked(cell, sdx_cell_slope(cell, 0, cell->x[0], y), 0);
    return cell->patch->status;
}

static void step_nodes(sdx_cell_step *step) { step->dx[0] = sdx_emit2(step->patch, "Mul", step->dh, step->factor[0]); }

static const sdx_cell cell = {.gates = 1,
                              .functions = 1,
                              .otherwise = {"Tanh"},
                              .update = update,
                              .again = again,
                              .back = back,
                              .grad = "RNNGrad",
                              .nodes = nodes,
                              .step_nodes = step_nodes};

static sdx_status rnn_bind(sdx_bind *bind, void *params) { return sdx_recurrent_bind(bind, &cell, params); }

#define ROW(since, types, more)                                                                                        \
    {                                                                                                                  \
        since, "X:T W:T R:T B:T? sequence_lens:T1? initial_h:T? -> Y:T? Y_h:T?", "T=" types " T1=i32",                 \
            "activation_alpha:floats activation_beta:floats activations:strings=[Tanh,Tanh] clip:float "               \
            "direction:string=forward hidden_size:int" more                                                            \
    }
const sdx_op sdx_op_RNN = {
    .domain = "",
    .name = "RNN",
    .versions = (const sdx_op_version[]){ROW(1, SDX_T_FLOAT, " output_sequence:int=0"),
                                         ROW(7, SDX_T_FLOAT, ""),
                                         ROW(14, SDX_T_FLOAT, " layout:int=0"),
                                         ROW(22, SDX_T_FLOAT_BF, " layout:int=0"),
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_recurrent_params),
    .bind = rnn_bind,
    .infer = sdx_recurrent_infer,
    .scratch = sdx_recurrent_scratch,
    .compute = sdx_recurrent_compute,
    .grad = sdx_recurrent_grad,
};

const sdx_op sdx_op_RNNGrad = {
    .domain = "sdx",
    .name = "RNNGrad",
    .versions = (const sdx_op_version[]){{22, SDX_RECURRENT_GRAD_SIGNATURE, "T=" SDX_T_FLOAT_BF " T1=i32",
                                          SDX_RECURRENT_GRAD_ATTRIBUTES},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_recurrent_params),
    .bind = rnn_bind,
    .infer = sdx_recurrent_grad_infer,
    .scratch = sdx_recurrent_grad_scratch,
    .compute = sdx_recurrent_grad_compute,
    .expand = sdx_recurrent_grad_expand,
    .flags = SDX_OP_INTERNAL,
};
