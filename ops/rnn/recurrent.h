/* SPDX-License-Identifier: Apache-2.0
 * What RNN, GRU and LSTM share: everything but what a cell does with its gates. The gates of many time steps come from
 * X in one product; a step adds the product of the state before with R, then the cell updates the state row by row. */
#ifndef SDX_OPS_RNN_RECURRENT_H
#define SDX_OPS_RNN_RECURRENT_H
#include "ops/rnn/activation.h"

enum { SDX_GATES = 4, SDX_CELL_FUNCTIONS = 3, SDX_DIRECTIONS = 2 };

typedef struct sdx_cell sdx_cell;
typedef struct sdx_cell_nodes sdx_cell_nodes;
typedef struct sdx_cell_step sdx_cell_step;

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
/* For what is stored as `dtype`. */
sdx_cell_math sdx_cell_math_make(const struct sdx_kernels *kernels, const sdx_recurrent_params *params,
                                 sdx_dtype dtype);
/* n elements from `at` on in the work dtype. */
void sdx_cell_read(const sdx_cell_math *math, const sdx_tensor *from, int64_t at, void *to, int64_t n);

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

/* n units of one row of the batch at one step, on the way back. */
typedef struct sdx_cell_back {
    void *x[SDX_GATES];      /* the gates before activation; then their gradients */
    void *a[SDX_GATES];      /* activated */
    const void *h, *c;       /* the states before */
    void *c_new;             /* of LSTM */
    void *dh, *dc;           /* gradients of the states after; then what reaches those before past the gates */
    void *extra;             /* of GRU: as in sdx_cell_row; R h + Rb becomes its gradient */
    void *d_extra;           /* the gradient of r h */
    const void *peephole[3]; /* NULL: none */
    const sdx_activation *f; /* of the direction */
    void *room, *other_room; /* n elements each */
    int64_t n;
} sdx_cell_back;

struct sdx_cell {
    int gates, functions;
    const char *otherwise[SDX_CELL_FUNCTIONS];
    bool has_c, has_extra;
    int (*phases)(const sdx_recurrent_params *p); /* NULL: 1. Products and updates per step */
    void (*update)(const sdx_cell_math *math, const sdx_cell_row *row, int phase);
    /* x -> a (and c_new, extra), as update does; then a, dh, dc -> gradients of x (and of extra), dh, dc. */
    void (*again)(const sdx_cell_math *math, const sdx_cell_back *row, int phase);
    void (*back)(const sdx_cell_math *math, const sdx_cell_back *row, int phase);
    const char *grad;                          /* the internal operator of what follows */
    sdx_status (*nodes)(sdx_cell_nodes *cell); /* as standard operators (nodes.h) */
    void (*step_nodes)(sdx_cell_step *step);
};

sdx_status sdx_recurrent_bind(sdx_bind *bind, const sdx_cell *cell, sdx_recurrent_params *p);
sdx_status sdx_recurrent_infer(sdx_infer *infer, const void *params);
size_t sdx_recurrent_scratch(const sdx_infer *infer, const void *params);
sdx_status sdx_recurrent_compute(sdx_compute *compute, const void *params);
sdx_status sdx_recurrent_check_lengths(sdx_error *error, const sdx_tensor *lengths, int64_t steps);
/* The hidden size, -1 when it is not known. */
int64_t sdx_recurrent_hidden(const sdx_infer *infer, const sdx_recurrent_params *p);

/* ---- backward (recurrent_grad.c) ---- */

enum { SDX_RECURRENT_GRADS = 7 };
extern const int sdx_recurrent_gradient_of[SDX_RECURRENT_GRADS]; /* which input each output is the gradient of */
sdx_status sdx_recurrent_grad(sdx_grad *grad, const void *params);
/* Of the internal operators: inputs of the forward operator, its Y, and the gradients of its outputs that there are. */
#define SDX_RECURRENT_GRAD_SIGNATURE                                                                                   \
    "X:T W:T R:T B:T? sequence_lens:T1? initial_h:T? initial_c:T? P:T? Y:T dY:T? dY_h:T? dY_c:T? -> "                  \
    "dX:T? dW:T? dR:T? dB:T? d_initial_h:T? d_initial_c:T? dP:T?"
#define SDX_RECURRENT_GRAD_ATTRIBUTES                                                                                  \
    "activation_alpha:floats activation_beta:floats activations:strings clip:float direction:string=forward "          \
    "hidden_size:int layout:int=0"
sdx_status sdx_recurrent_grad_infer(sdx_infer *infer, const void *params);
size_t sdx_recurrent_grad_scratch(const sdx_infer *infer, const void *params);
sdx_status sdx_recurrent_grad_compute(sdx_compute *compute, const void *params);
sdx_status sdx_recurrent_grad_expand(sdx_patch *patch, const sdx_node *node, const void *params);

/* x = d f'(clip(x)) clip'(x), where y = f(clip(x)); clip' is 1 at the bounds. Clears d where it is 0. */
void sdx_cell_activate_back(const sdx_cell_math *math, const sdx_activation *f, const void *y, void *d, void *x,
                            int64_t n);

/* x = f(clip(x)) */
void sdx_cell_activate(const sdx_cell_math *math, const sdx_activation *f, void *x, int64_t n);

#endif
