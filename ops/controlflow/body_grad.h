/* SPDX-License-Identifier: Apache-2.0
 * What the gradients of If, Loop and Scan share: a body that walks back through a copy of the forward body. */
#ifndef SDX_CONTROLFLOW_BODY_GRAD_H
#define SDX_CONTROLFLOW_BODY_GRAD_H
#include "ops/grad.h"

/* A new body in the making. Values of the forward body have the same ids here. */
typedef struct sdx_body_grad {
    sdx_grad *grad;
    const sdx_graph *forward;
    sdx_graph *body;
    sdx_patch patch; /* of the body */
    int n_ys;        /* gradients that come in */
    sdx_id *ys, *dys;
    int n_xs; /* what is differentiated by */
    sdx_id *xs, *dxs;
} sdx_body_grad;

/* A copy of `forward` without inputs and outputs. Room for as many ys and xs as the two graphs have values. */
sdx_status sdx_body_grad_begin(sdx_body_grad *b, sdx_grad *grad, const sdx_graph *forward);
/* What the enclosing graph calls `outer`; SDX_NONE after an error. */
sdx_id sdx_body_grad_capture(sdx_body_grad *b, sdx_id outer);
sdx_id sdx_body_grad_input(sdx_body_grad *b, const sdx_type *type);
/* An output: the value, or zeros like `like` where it is SDX_NONE. */
void sdx_body_grad_output(sdx_body_grad *b, sdx_id value, sdx_id like);
void sdx_body_grad_y(sdx_body_grad *b, sdx_id y, sdx_id dy);
/* Index of x among the xs. */
int sdx_body_grad_x(sdx_body_grad *b, sdx_id x);
/* From the dys to the dxs. */
sdx_status sdx_body_grad_walk(sdx_body_grad *b);
/* Completes the body and makes it an attribute of the node. */
sdx_status sdx_body_grad_end(sdx_body_grad *b, sdx_node *node, const char *attribute);

/* Which of n carried values (inputs first_in.. and outputs first_out.. of the body) need a gradient: those that x
 * reaches from outside or through the body. `needed` says so for what comes from outside, also for n_more inputs behind
 * them that are not carried. */
sdx_status sdx_carried_need(sdx_grad *grad, const sdx_graph *body, int n, int n_more, int first_in, int first_out,
                            const bool *needed, bool *need, bool **depends);
/* The body's value `id` of every trip, stacked along a new first axis: a further output of the body, and of the node,
 * whose outputs begin with output `first` of the body. */
sdx_id sdx_grad_save(sdx_grad *grad, sdx_graph *body, int first, sdx_id id);
/* The gradient of the carried value that is output k of the node: dY, or zeros. */
sdx_id sdx_grad_of_final(sdx_grad *grad, int k, const sdx_type *type);
/* Outputs first.. of the node are the gradients of what is captured, summed over all trips: a body's inputs, and, once
 * it has been walked, its outputs. */
sdx_status sdx_captured_inputs(sdx_body_grad *b, sdx_id **sums);
void sdx_captured_outputs(sdx_body_grad *b, const sdx_id *sums);

#endif
