/* SPDX-License-Identifier: Apache-2.0
 * A plan in the making. learn.c finds types and folds, blocks.c decides who shares bytes, offsets.c places them. */
#ifndef SDX_PLAN_BUILD_H
#define SDX_PLAN_BUILD_H
#include "runtime/plan/plan.h"

/* Bytes that are in use from step `first` to step `last`, by index of the node. */
typedef struct sdx_block {
    sdx_place place; /* ARENA, ARGUMENT, CONSTANT or OUTPUT */
    int index;       /* ARGUMENT, OUTPUT: which; CONSTANT: whose bytes, by value of the graph */
    int first, last;
    size_t size, offset;
} sdx_block;

/* What is known about one node. */
typedef struct sdx_node_plan {
    bool *wanted;   /* in the plan's arena, like `type` */
    sdx_type *type; /* of the outputs; NULL: nobody needs the node */
    bool needed;    /* runs: somebody reads what no folding could find */
    bool fixed;     /* all outputs it must make are tensors of known shape */
    bool skipped;   /* a view: nothing to do */
    size_t scratch;
    int scratch_block; /* -1: none */
} sdx_node_plan;

typedef struct sdx_build {
    sdx_plans *plans;
    sdx_plan *plan;
    const sdx_graph *graph;
    sdx_run *run;
    sdx_error *error;
    int threads;
    sdx_arena temp;
    sdx_type *type; /* per value */
    int *last;      /* per value: index of the node that reads it last, n_nodes for outputs, -1: nobody */
    int *block;     /* per value; -1: none */
    sdx_node_plan *nodes;
    int n_blocks, blocks_capacity;
    sdx_block *blocks;
    size_t folded; /* bytes of folded results so far */
} sdx_build;

/* Types, and contents, of the inputs; in[] and value[] have n_in entries. */
void sdx_build_inputs(const sdx_build *build, const sdx_node *node, const sdx_type **in, const sdx_tensor **value);
sdx_status sdx_build_learn(sdx_build *build);  /* types; folding; which nodes are needed; last readers */
sdx_status sdx_build_blocks(sdx_build *build); /* views, in-place, outputs, scratch */
enum { SDX_MANY_BLOCKS = 4096 };               /* beyond, placing takes a simpler order */
/* Offsets for the blocks in the arena such that none that live at once overlap; *total bytes suffice. */
sdx_status sdx_build_offsets(sdx_block *blocks, int n, sdx_arena *temp, sdx_error *error, size_t *total);

#endif
