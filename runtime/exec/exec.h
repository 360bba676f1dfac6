/* SPDX-License-Identifier: Apache-2.0
 * Running bound nodes and planned graphs. */
#ifndef SDX_EXEC_EXEC_H
#define SDX_EXEC_EXEC_H
#include "ops/op.h"
#include "runtime/graph/model.h"

struct sdx_plans; /* runtime/plan/plan.h */

/* What one run shares among all its steps and bodies. Used by one thread at a time. */
typedef struct sdx_run {
    sdx_memory *memory;
    sdx_pool *pool; /* may be NULL */
    sdx_stop stop;
    uint64_t seed;
    sdx_error *error;        /* may be NULL */
    const char *model;       /* its name, for messages; NULL: not said */
    struct sdx_plans *plans; /* where bodies find their plans; NULL: made for the call */
    uint64_t trips;          /* bodies run so far, so that random numbers differ between trips of a loop */
} sdx_run;

/* Runs one bound node on values: infers, allocates, computes. in[] borrowed (NULL: absent), out[] receive one reference
 * each (NULL where not wanted). Used by constant folding, by the planner and for data-dependent steps. Bodies of the
 * node may capture constants only. An operator with SDX_OP_DIMS accepts tensors without data. */
sdx_status sdx_exec_node(const sdx_graph *graph, const sdx_node *node, sdx_run *run, sdx_value *const *in,
                         const bool *wanted, sdx_value **out);

/* ---- Sessions: the public functions less the checks of arguments, which runtime/api.c makes ------------------- */

/* `memory` is taken over, also on failure. */
sdx_status sdx_session_make(sdx_model *model, const sdx_session_options *options, sdx_memory *memory, sdx_error *error,
                            sdx_session **out);
/* One of several sessions that share memory and threads, which must outlive them; `pool` NULL: one thread. */
sdx_status sdx_session_join(sdx_model *model, const sdx_session_options *options, sdx_memory *memory, sdx_pool *pool,
                            sdx_error *error, sdx_session **out);
const sdx_model *sdx_session_model(const sdx_session *session);
/* inputs[k] belongs to input k of the model, NULL: its default; results[k] to output k, where wanted[k]. */
sdx_status sdx_session_execute(sdx_session *session, const sdx_run_options *options, sdx_value *const *inputs,
                               const bool *wanted, sdx_value **results, sdx_error *error);
/* The same; given[j], where not NULL, is a value of the session's memory that holds no more than the caller's
 * reference: when it has the type of output j, the output is written into it and results[j] is one more reference to
 * it. After a failure its contents are undefined. */
sdx_status sdx_session_execute_into(sdx_session *session, const sdx_run_options *options, sdx_value *const *inputs,
                                    sdx_value *const *given, const bool *wanted, sdx_value **results, sdx_error *error);
bool sdx_session_profiles(const sdx_session *session);
sdx_status sdx_session_rows(const sdx_session *session, sdx_error *error, sdx_profile_row **rows, size_t *n);
void sdx_session_bytes(const sdx_session *session, size_t *used, size_t *peak);

#endif
