/* SPDX-License-Identifier: Apache-2.0
 * Per-node times, summed over all runs of a session. */
#ifndef SDX_EXEC_PROFILE_H
#define SDX_EXEC_PROFILE_H
#include "runtime/plan/plan.h"

/* Counters for every node of the set's graph, in the arena. */
sdx_status sdx_profile_start(sdx_plan_set *set, sdx_arena *arena, sdx_error *error);

/* The rows of a graph and its bodies, nodes that ran only; from malloc. The caller holds the lock of the plans. */
sdx_status sdx_profile_rows(sdx_plan_set *sets, const sdx_graph *graph, sdx_error *error, sdx_profile_row **rows,
                            size_t *n);

static inline void sdx_profile_add(sdx_plan_set *set, int node, int64_t nanoseconds) {
    atomic_fetch_add_explicit(&set->calls[node], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&set->nanoseconds[node], (uint64_t)nanoseconds, memory_order_relaxed);
    const uint_fast64_t took = (uint_fast64_t)nanoseconds;
    uint_fast64_t least = atomic_load_explicit(&set->least[node], memory_order_relaxed);
    while (took < least && !atomic_compare_exchange_weak(&set->least[node], &least, took)) continue;
}

#endif
