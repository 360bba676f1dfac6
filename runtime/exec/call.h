/* SPDX-License-Identifier: Apache-2.0
 * One node at work: what stands behind sdx_compute.context, and the services it offers to operators. */
#ifndef SDX_EXEC_CALL_H
#define SDX_EXEC_CALL_H
#include "runtime/exec/exec.h"
#include "runtime/plan/plan.h"

struct sdx_frame;

typedef struct sdx_call {
    sdx_compute compute; /* what the operator sees; its context is the call */
    sdx_run *run;
    const sdx_graph *graph;
    sdx_arena *arena;        /* emptied when the step ends */
    struct sdx_frame *frame; /* NULL outside a planned graph */
    sdx_tensor **out;        /* compute.out */
    sdx_value **made;        /* per output: the value made for it or handed over; one reference each */
    int n_made;
    const sdx_type *type;             /* of the outputs, as inferred */
    sdx_argument **arguments;         /* per body, captures filled in; NULL until one runs */
    struct sdx_plan_set *const *sets; /* per body, when a plan knows them; else NULL */
    sdx_status status;                /* sticky, of services that cannot return one */
} sdx_call;

/* What stays the same from step to step. run->error must not be NULL. */
void sdx_call_init(sdx_call *call, const sdx_graph *graph, sdx_run *run, sdx_arena *arena);

/* Infers the outputs from compute.in and in_value, makes the tensors whose shape follows, and the scratch: for nodes
 * that no plan has prepared. Needs compute.node, in, in_value, wanted. Errors carry the node's place. */
sdx_status sdx_call_prepare(sdx_call *call);
/* op->compute, then the strings of values it made are copied out of the arena. Errors carry the node's place. */
sdx_status sdx_call_compute(sdx_call *call);
/* Drops what was made. */
void sdx_call_clear(sdx_call *call);

/* Bytes the operator wants as workspace; false when they overflow. */
bool sdx_call_scratch(const sdx_infer *infer, size_t *size);

/* "node 'x' (Op, opset n): " before the message. */
sdx_status sdx_call_place(const sdx_graph *graph, const sdx_node *node, sdx_error *error);

#endif
