/* SPDX-License-Identifier: Apache-2.0
 * The steps of a recurrence over the gates that X gave: products with R, updates of the state. */
#ifndef SDX_OPS_RNN_STEPS_H
#define SDX_OPS_RNN_STEPS_H
#include "ops/math/product.h"
#include "ops/rnn/recurrent.h"

typedef struct sdx_recurrence {
    const sdx_recurrent_params *p;
    sdx_cell_math math;
    sdx_dtype stored; /* of the tensors; math.work is that of everything here */
    size_t size;      /* of an element of the work dtype */
    int phases, mr, nr;
    int64_t steps, batch, input, hidden, width; /* width: of all gates */
    int64_t chunk;                              /* steps whose gates are made at once */
    int64_t first, last, time[SDX_DIRECTIONS];  /* the steps in hand; the first position of X they are about */
    const sdx_tensor *x_given, *y;
    const char *x, *w, *r; /* [steps, batch, input], [directions, width, input], [directions, width, hidden] */
    char *x_copy, *w_copy, *r_copy;
    char *bias, *r_bias, *peepholes;  /* [directions, width], [directions, hidden], [directions, 3, hidden] */
    char *gate[SDX_DIRECTIONS];       /* [chunk, batch, width] */
    char *h[2], *c, *extra;           /* [directions, batch, hidden]; h[s % 2] is the state before step s */
    char *panels;                     /* R by direction and gate */
    char *h_panels[2], *extra_panels; /* the same as h and extra, as left factors: panels of each block of rows */
    char *rooms, *product_room;
    const int32_t *lengths;
    /* How a step is cut. vectors: a product is made of dot products. apart: a task has rows of its own and runs all
     * steps; else all tasks finish a step before the next. */
    bool vectors, apart;
    int64_t row_block, unit_block;
} sdx_recurrence;

/* Sets mr, nr, chunk and the cut, from the shape. */
void sdx_steps_cut(sdx_recurrence *q);
/* Lines of the panels of one gate, rows of those of a state. */
int64_t sdx_steps_lines(const sdx_recurrence *q);
int64_t sdx_steps_rows(const sdx_recurrence *q);
/* R and the first state as panels. */
sdx_status sdx_steps_pack(sdx_compute *compute, sdx_recurrence *q);
/* Steps [first, last). */
sdx_status sdx_steps_run(sdx_compute *compute, sdx_recurrence *q);

static inline bool sdx_steps_backward(const sdx_recurrence *q, int direction) {
    return direction == 1 || q->p->reverse;
}

#endif
