/* SPDX-License-Identifier: Apache-2.0
 * Plans: a graph made ready for the concrete shapes of its arguments. What depends on shapes alone is computed when
 * the plan is made; every activation of known shape has its place in one working memory. A plan is immutable. */
#ifndef SDX_PLAN_PLAN_H
#define SDX_PLAN_PLAN_H
#include "runtime/exec/exec.h"

/* What a graph runs on: its inputs, then its captures. */
typedef struct sdx_argument {
    const sdx_tensor *tensor; /* NULL: not a tensor */
    sdx_value *value;         /* borrowed; NULL: a tensor that an enclosing plan has placed */
    bool known;               /* the contents may be looked into by the plan; value is not NULL */
} sdx_argument;

typedef enum sdx_place {
    SDX_AT_NOWHERE, /* nobody reads it, or it is not computed */
    SDX_AT_CONSTANT,
    SDX_AT_ARGUMENT, /* the bytes of argument `index` */
    SDX_AT_ARENA,    /* `offset` bytes into the working memory */
    SDX_AT_OUTPUT,   /* the bytes of the fresh value for graph output `index` */
    SDX_AT_RUNTIME   /* a value made when its step runs */
} sdx_place;

/* One per value of the graph. */
typedef struct sdx_slot {
    sdx_place place;
    bool shaped; /* `tensor` has its dtype and dims: checked when a run-time value arrives */
    int index;
    size_t offset;
    sdx_tensor tensor;   /* constants: with data */
    sdx_value *constant; /* retained */
} sdx_slot;

typedef struct sdx_step {
    const sdx_node *node;
    int index;               /* of the node in its graph */
    bool fixed;              /* every output has its place: nothing to infer */
    bool plain;              /* no run-time value among the inputs */
    int first_in, first_out; /* into the pointer arrays of a frame */
    const bool *wanted;
    const sdx_type *type;       /* of the outputs, as far as known */
    size_t scratch, scratch_at; /* bytes, offset into the working memory */
    uint64_t key;               /* of random numbers: from the name of the first output */
    int n_drops;
    const sdx_id *drops; /* run-time values that nobody reads after this step */
    struct sdx_plan_set *const *bodies;
} sdx_step;

/* Where a graph output is at the end: in its own value already, or to be copied or handed over from a slot. */
typedef struct sdx_plan_output {
    sdx_id id;
    bool direct;
} sdx_plan_output;

/* A plan fits arguments that agree with its keys. */
typedef struct sdx_plan_key {
    sdx_kind kind;
    sdx_dtype dtype;
    int rank;
    int64_t dim[SDX_MAX_RANK];
    sdx_value *known; /* retained: contents the plan relies on; else NULL */
} sdx_plan_key;

typedef struct sdx_plan {
    atomic_int references;
    sdx_arena arena;
    const sdx_graph *graph;
    struct sdx_plan_set *set;
    int n_keys;
    sdx_plan_key *keys;
    uint64_t hash;
    int n_steps, n_slots, n_in, n_out, most_out;
    sdx_step *steps;
    sdx_slot *slots;
    int n_patched;
    sdx_id *patched; /* slots whose bytes are known when a run begins: ARGUMENT, OUTPUT */
    int n_loose;
    sdx_id *loose; /* slots at RUNTIME */
    sdx_plan_output *outputs;
    size_t working_size;     /* bytes of working memory */
    const sdx_node *largest; /* the node at which most of it is in use; for messages */
    struct sdx_frame *idle;  /* guarded by the lock of sdx_plans */
    struct sdx_plan *next;   /* the same: most recently used first */
} sdx_plan;

/* The plans of one graph. Lives as long as the sdx_plans. */
typedef struct sdx_plan_set {
    const sdx_graph *graph;
    sdx_plan *plans;
    int n_plans;
    bool listed; /* by a profile under way */
    struct sdx_plan_set *next;
    atomic_uint_fast64_t *calls, *nanoseconds, *least; /* per node of the graph, when profiling; else NULL */
} sdx_plan_set;

/* ---- The cache ------------------------------------------------------------------------------------------------ */

/* Plans of a graph and of its bodies, with the frames and the working memory that runs have given back.
 * Any number of threads may use one. */
typedef struct sdx_plans sdx_plans;

sdx_status sdx_plans_create(sdx_memory *memory, int threads, bool profile, sdx_error *error, sdx_plans **out);
void sdx_plans_destroy(sdx_plans *plans); /* NULL-safe; no run may be under way */
sdx_status sdx_plans_set(sdx_plans *plans, const sdx_graph *graph, sdx_error *error, sdx_plan_set **out);
int sdx_plans_threads(const sdx_plans *plans);
/* Drops everything that no run is using. True when that freed something. */
bool sdx_plans_trim(sdx_plans *plans);

/* See sdx_session_profile. */
sdx_status sdx_plans_profile(sdx_plans *plans, const sdx_graph *graph, sdx_error *error, sdx_profile_row **rows,
                             size_t *n);

/* A frame for these arguments, to give back by sdx_plans_release. Plans first where no plan fits. */
sdx_status sdx_plans_acquire(sdx_plans *plans, sdx_plan_set *set, const sdx_argument *arguments, int n, sdx_run *run,
                             struct sdx_frame **out);
void sdx_plans_release(sdx_plans *plans, struct sdx_frame *frame);

/* ---- Making a plan -------------------------------------------------------------------------------------------- */

sdx_status sdx_plan_build(sdx_plans *plans, sdx_plan_set *set, const sdx_argument *arguments, int n, sdx_run *run,
                          sdx_plan **out);
void sdx_plan_release(sdx_plan *plan); /* NULL-safe */
bool sdx_plan_fits(const sdx_plan *plan, uint64_t hash, const sdx_argument *arguments, int n);
uint64_t sdx_plan_hash(const sdx_argument *arguments, int n);

#endif
