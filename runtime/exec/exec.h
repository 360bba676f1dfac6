/* SPDX-License-Identifier: Apache-2.0
 * Running bound nodes and planned graphs. */
#ifndef SDX_EXEC_EXEC_H
#define SDX_EXEC_EXEC_H
#include "ops/op.h"

/* What one run shares among all its steps and bodies. */
typedef struct sdx_run {
    sdx_memory *memory;
    sdx_pool *pool;        /* may be NULL */
    sdx_stop stop;
    uint64_t seed;
    sdx_error *error;
} sdx_run;

/* Runs one bound node on values: infers, allocates, computes. in[] borrowed (NULL: absent), out[] receive one reference
 * each (NULL where not wanted). Used by constant folding, by the planner and for data-dependent steps. */
sdx_status sdx_exec_node(const sdx_graph *graph, const sdx_node *node, sdx_run *run, sdx_value *const *in,
                         const bool *wanted, sdx_value **out);

#endif
