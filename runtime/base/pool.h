/* SPDX-License-Identifier: Apache-2.0
 * Fork-join over index ranges. Work is cut by shape (count and grain), never by the number of threads, so results
 * do not depend on it. Threads sleep when there is no work, after a short bounded spin. */
#ifndef SDX_BASE_POOL_H
#define SDX_BASE_POOL_H
#include "runtime/base/memory.h"

typedef struct sdx_pool sdx_pool;

/* What can end a run early; checked between chunks. All zero: nothing can. */
typedef struct sdx_stop {
    const volatile int *cancel; /* non-zero: SDX_CANCELLED */
    int64_t deadline;           /* CLOCK_MONOTONIC nanoseconds; 0: none */
} sdx_stop;

sdx_status sdx_stop_check(const sdx_stop *stop, sdx_error *error); /* SDX_OK, SDX_CANCELLED or SDX_DEADLINE */

/* Computes [begin, end). `worker` is 0 .. sdx_pool_threads - 1, and no two calls under way at once share one: it
 * indexes per-thread scratch. */
typedef void (*sdx_range_fn)(void *argument, int64_t begin, int64_t end, int worker);

/* threads: the caller's included; >= 1. */
sdx_status sdx_pool_create(int threads, sdx_memory *memory, sdx_error *error, sdx_pool **out);
void sdx_pool_destroy(sdx_pool *pool);
int sdx_pool_threads(const sdx_pool *pool); /* NULL: 1 */

/* Calls fn for [0, grain), [grain, 2 grain) ... up to count, on any threads, and returns when all are done. Called
 * while the pool is busy (another run, or from inside fn), the caller does all the work itself. `pool` may be NULL. */
sdx_status sdx_pool_run(sdx_pool *pool, int64_t count, int64_t grain, sdx_range_fn fn, void *argument,
                        const sdx_stop *stop, sdx_error *error);

int sdx_machine_threads(void); /* what this process may use (affinity mask) */
int64_t sdx_clock_ns(void);

#endif
