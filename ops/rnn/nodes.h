/* SPDX-License-Identifier: Apache-2.0
 * The backward step of a cell as standard operators. All but the products with R is linear in dH and dC, with factors
 * that the gates alone decide: those of all steps are made at once, and a Scan goes back in time with them. */
#ifndef SDX_OPS_RNN_NODES_H
#define SDX_OPS_RNN_NODES_H
#include "ops/grad.h"
#include "ops/rnn/recurrent.h"

enum { SDX_CELL_FACTORS = 6, SDX_CELL_INPUTS = 12 };

/* Of one direction. Values of all steps are [steps, batch, hidden], the last step first. */
struct sdx_cell_nodes {
    sdx_patch *patch;
    const sdx_recurrent_params *p;
    const sdx_activation *f;
    sdx_dtype dtype;
    sdx_type row;        /* [batch, hidden] */
    sdx_id x[SDX_GATES]; /* before activation, without peepholes; the last one of GRU: the part of X */
    sdx_id valid;        /* [steps, batch, 1]: the sequence is not over; SDX_NONE: they all are as long */
    sdx_id h, c0;        /* states before; [batch, hidden], of LSTM */
    sdx_id peephole[3];  /* SDX_NONE: none */
    sdx_id r_last;       /* of GRU: [hidden, hidden] */
    /* To set: factors for the steps back; of LSTM the cell states; of GRU the reset gate, and what it meets (R h + Rb,
     * there before) or what comes of that (r h). */
    sdx_id factor[SDX_CELL_FACTORS], c, c_new, reset, extra;
    int n_factors;
};

/* One step, in the body of the Scan; dx, dc and past are to be set. past: what reaches dH before beside the products
 * of dx with R (SDX_NONE: nothing). The last dx of GRU is no part of those where r h came before the product. */
struct sdx_cell_step {
    sdx_patch *patch;
    const sdx_cell_nodes *cell;
    sdx_id dh, dc, factor[SDX_CELL_FACTORS], peephole[3], r_last;
    sdx_id dx[SDX_GATES], past;
};

/* f(clip(x)); the slope there, y being f(clip(x)); v, or `otherwise` behind the end of a sequence. */
sdx_id sdx_cell_active(const sdx_cell_nodes *cell, sdx_patch *patch, int function, sdx_id x);
sdx_id sdx_cell_slope(const sdx_cell_nodes *cell, int function, sdx_id x, sdx_id y);
sdx_id sdx_cell_masked(const sdx_cell_nodes *cell, sdx_id v, double otherwise);
sdx_id sdx_one_minus(sdx_patch *patch, sdx_dtype dtype, sdx_id v);
/* The steps the other way round. */
sdx_id sdx_steps_flip(sdx_patch *patch, sdx_id v);

/* A Scan in the making. In this order: states, scanned inputs, captured values; final states, scanned outputs. */
typedef struct sdx_cell_loop {
    sdx_patch *outer, patch; /* patch: of the body */
    sdx_graph *body;
    sdx_id in[SDX_CELL_INPUTS];
    int n_in, n_states, n_out;
} sdx_cell_loop;

sdx_status sdx_cell_loop_begin(sdx_cell_loop *loop, sdx_patch *outer, const char *name);
sdx_id sdx_cell_loop_state(sdx_cell_loop *loop, sdx_id initial, const sdx_type *type);
sdx_id sdx_cell_loop_scan(sdx_cell_loop *loop, sdx_id outer, const sdx_type *type);
sdx_id sdx_cell_loop_capture(sdx_cell_loop *loop, sdx_id outer); /* of SDX_NONE: SDX_NONE */
void sdx_cell_loop_output(sdx_cell_loop *loop, sdx_id inner);
sdx_status sdx_cell_loop_end(sdx_cell_loop *loop, sdx_node **node);

#endif
