/* SPDX-License-Identifier: Apache-2.0
 * What RNN, GRU and LSTM share: everything but what a cell does with its gates. The gates of many time steps come from
 * X in one product; a step adds the product of the state before with R, then the cell updates the state row by row. */
#ifndef SDX_OPS_RNN_RECURRENT_H
#define SDX_OPS_RNN_RECURRENT_H
#include "ops/rnn/activation.h"

enum { SDX_GATES = 4, SDX_CELL_FUNCTIONS = 3, SDX_DIRECTIONS = 2 };

typedef struct sdx_cell sdx_cell;

typedef struct sdx_recurrent_params {
    const sdx_cell *cell;
    int directions;
    bool reverse, batch_first, clips, linear_before_reset, input_forget;
    float clip;
    int64_t hidden_size; /* 0: not given */
    sdx_activation activation[SDX_DIRECTIONS * SDX_CELL_FUNCTIONS];
} sdx_recurrent_params;

/* Functions of the work dtype, f32 or f64. */
typedef struct sdx_cell_math {
    const struct sdx_kernels *kernels;
    const sdx_recurrent_params *params;
    sdx_dtype work;
    sdx_binary_fn add, sub, mul, min, max;
} sdx_cell_math;

/* n neighbouring units of one row of the batch. */
typedef struct sdx_cell_row {
    void *gate[SDX_GATES];   /* before activation */
    const void *h;           /* the state before */
    void *h_new, *c;         /* c: of LSTM, replaced */
    void *extra;             /* of GRU: r h, input of the second product; or R h + Rb where that comes first */
    const void *peephole[3]; /* NULL: none */
    const sdx_activation *f; /* of the direction */
    void *room;              /* n elements */
    int64_t n;
} sdx_cell_row;

struct sdx_cell {
    int gates, functions;
    const char *otherwise[SDX_CELL_FUNCTIONS];
    bool has_c, has_extra;
    int (*phases)(const sdx_recurrent_params *p); /* NULL: 1. Products and updates per step */
    void (*update)(const sdx_cell_math *math, const sdx_cell_row *row, int phase);
};

sdx_status sdx_recurrent_bind(sdx_bind *bind, const sdx_cell *cell, sdx_recurrent_params *p);
sdx_status sdx_recurrent_infer(sdx_infer *infer, const void *params);
size_t sdx_recurrent_scratch(const sdx_infer *infer, const void *params);
sdx_status sdx_recurrent_compute(sdx_compute *compute, const void *params);

/* x = f(clip(x)) */
void sdx_cell_activate(const sdx_cell_math *math, const sdx_activation *f, void *x, int64_t n);

#endif
