/* SPDX-License-Identifier: Apache-2.0
 * A frame: the tensors and pointers of one run of a plan. Frames and working memory are used again by later runs. */
#ifndef SDX_EXEC_FRAME_H
#define SDX_EXEC_FRAME_H
#include "runtime/plan/plan.h"

/* In front of a piece of working memory. */
typedef struct sdx_working {
    struct sdx_working *next;
    size_t size; /* of the bytes behind it, at sdx_working_bytes */
} sdx_working;

static inline unsigned char *sdx_working_bytes(sdx_working *working) {
    return (unsigned char *)working + SDX_ALIGNMENT;
}

typedef struct sdx_frame {
    struct sdx_frame *next;
    sdx_plan *plan;
    sdx_working *working;  /* while in use */
    unsigned char *base;   /* where the planned tensors point into */
    sdx_tensor *tensors;   /* per value of the graph */
    sdx_value **values;    /* per value: made at run time (held), or of an argument (borrowed) */
    sdx_value **results;   /* per graph output, while running */
    const sdx_tensor **in; /* of all steps, one after the other */
    sdx_value **in_value;
    sdx_tensor **out;
    sdx_value **made; /* of the step under way */
    sdx_arena arena;  /* emptied after each step */
    sdx_arena own;    /* the frame and its arrays */
} sdx_frame;

sdx_status sdx_frame_create(sdx_plan *plan, sdx_error *error, sdx_frame **out);
void sdx_frame_destroy(sdx_frame *frame); /* NULL-safe */
/* Points the planned tensors into `working`. */
void sdx_frame_attach(sdx_frame *frame, sdx_working *working);

/* Runs the frame's plan. results[] receive one reference per graph output; nothing on failure. given[j], where it fits,
 * is the value that output j is written into; NULL: none are given. */
sdx_status sdx_frame_run(sdx_frame *frame, const sdx_argument *arguments, sdx_value *const *given, sdx_run *run,
                         sdx_value **results);
/* Finds or makes a plan and a frame for a graph, and runs it. */
sdx_status sdx_run_graph(sdx_run *run, sdx_plan_set *set, const sdx_argument *arguments, int n, sdx_value *const *given,
                         sdx_value **results);

/* A value of its own with the contents of graph value `id`; NULL with the error set. */
sdx_value *sdx_frame_share(sdx_frame *frame, sdx_id id, sdx_run *run);
/* Graph value `id` as an argument of a body. */
sdx_argument sdx_frame_argument(const sdx_frame *frame, sdx_id id);
/* sdx_services.run_body */
sdx_status sdx_frame_run_body(sdx_compute *compute, int body, int n_in, sdx_value *const *in, int n_out,
                              sdx_value **out);

/* The value that argument k becomes inside the graph. */
static inline sdx_id sdx_argument_id(const sdx_graph *graph, int k) {
    return k < graph->n_inputs ? graph->inputs[k] : graph->captures[k - graph->n_inputs].inner;
}

/* Random numbers depend on the seed, the node's first output by name, and the trip of the loop around it. */
uint64_t sdx_node_key(const sdx_graph *graph, const sdx_node *node);
uint64_t sdx_random_key(uint64_t node_key, const sdx_run *run);

#endif
