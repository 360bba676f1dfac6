/* SPDX-License-Identifier: Apache-2.0
 * A session: the plans of a model, the threads and the memory of its runs. Its memory record is on the heap and
 * outlives it while a caller still holds outputs. */
#include "runtime/exec/frame.h"
#include <math.h>
#include <stdlib.h>

struct sdx_session {
    sdx_model *model; /* retained */
    sdx_memory *memory;
    sdx_pool *pool;
    sdx_plans *plans;
    sdx_plan_set *main;
    uint64_t seed;
    bool profile, shares; /* memory and pool belong to somebody else */
    atomic_uint_fast64_t runs;
};

static sdx_status make(sdx_model *model, const sdx_session_options *options, sdx_memory *memory, sdx_error *error,
                       sdx_session **out) {
    *out = NULL;
    sdx_session *session = sdx_memory_alloc_zero(memory, sizeof *session, error);
    if (!session) return error->status;
    sdx_memory_keep(memory);
    session->memory = memory;
    session->shares = true;
    session->model = sdx_model_retain(model);
    session->seed = options->seed;
    session->profile = options->profile;
    atomic_init(&session->runs, 0);
    *out = session;
    return SDX_OK;
}

static sdx_status plan_for(sdx_session *session, sdx_error *error) {
    SDX_TRY(
        sdx_plans_create(session->memory, sdx_pool_threads(session->pool), session->profile, error, &session->plans));
    return sdx_plans_set(session->plans, session->model->graph, error, &session->main);
}

sdx_status sdx_session_make(sdx_model *model, const sdx_session_options *options, sdx_memory *memory, sdx_error *error,
                            sdx_session **out) {
    sdx_error own = {0};
    if (!error) error = &own;
    sdx_status status = make(model, options, memory, error, out);
    if (status) {
        sdx_memory_drop(memory);
        return status;
    }
    int threads = options->threads > 0 ? options->threads : sdx_machine_threads();
    (*out)->shares = false;
    if (threads > 1) status = sdx_pool_create(threads, memory, error, &(*out)->pool);
    if (!status) status = plan_for(*out, error);
    if (!status) return SDX_OK;
    sdx_session_destroy(*out);
    *out = NULL;
    return status;
}

sdx_status sdx_session_join(sdx_model *model, const sdx_session_options *options, sdx_memory *memory, sdx_pool *pool,
                            sdx_error *error, sdx_session **out) {
    sdx_error own = {0};
    if (!error) error = &own;
    SDX_TRY(make(model, options, memory, error, out));
    (*out)->pool = pool;
    sdx_status status = plan_for(*out, error);
    if (!status) return SDX_OK;
    sdx_session_destroy(*out);
    *out = NULL;
    return status;
}

void sdx_session_destroy(sdx_session *session) {
    if (!session) return;
    sdx_memory *memory = session->memory;
    sdx_model *model = session->model;
    sdx_plans_destroy(session->plans);
    bool shares = session->shares;
    if (!shares) sdx_pool_destroy(session->pool);
    sdx_memory_free(memory, session);
    if (!shares) sdx_memory_drop(memory);
    sdx_model_close(model);
}

const sdx_model *sdx_session_model(const sdx_session *session) { return session->model; }

/* ---- Outputs -------------------------------------------------------------------------------------------------- */

/* Made by this session and held by nobody else. Items nest at most SDX_MAX_NESTING deep. */
static bool is_own(const sdx_value *value, const sdx_memory *memory) {
    for (; value; value = value->base) {
        if (value->memory != memory || atomic_load(&value->references) != 1) return false;
        if (value->kind == SDX_TENSOR && !value->owned && !value->base) return false;
        for (size_t i = 0; i < value->n_items; i++)
            if (!is_own(value->items[i], memory)) return false;
    }
    return true;
}

/* Inputs and constants that were handed through are copied: the caller may do with outputs what it likes. */
static sdx_status make_own(sdx_value **results, size_t n, sdx_value *const *given, sdx_run *run) {
    for (size_t j = 0; j < n; j++) {
        if (!results[j] || (given && results[j] == given[j]) || is_own(results[j], run->memory)) continue;
        sdx_value *copy = sdx_value_copy(run->memory, results[j], run->error);
        if (!copy) return run->error->status;
        sdx_value_release(results[j]);
        results[j] = copy;
    }
    return SDX_OK;
}

/* ---- Running -------------------------------------------------------------------------------------------------- */

static int64_t deadline_after(double seconds) {
    if (!(seconds > 0) || seconds > 4e9) return 0;
    return sdx_clock_ns() + (int64_t)ceil(seconds * 1e9);
}

static sdx_status attempt(sdx_session *session, sdx_run *run, const sdx_argument *arguments, sdx_value *const *given,
                          const bool *wanted, sdx_value **results) {
    int n_inputs = session->model->graph->n_inputs, n_outputs = session->model->graph->n_outputs;
    SDX_TRY(sdx_run_graph(run, session->main, arguments, n_inputs, given, results));
    for (int j = 0; j < n_outputs; j++) {
        if (wanted[j]) continue;
        sdx_value_release(results[j]);
        results[j] = NULL;
    }
    sdx_status status = make_own(results, (size_t)n_outputs, given, run);
    for (int j = 0; j < n_outputs && status; j++) {
        sdx_value_release(results[j]);
        results[j] = NULL;
    }
    return status;
}

static void take_inputs(const sdx_graph *graph, sdx_value *const *inputs, sdx_argument *arguments) {
    for (int k = 0; k < graph->n_inputs; k++) {
        sdx_value *preset = graph->values[graph->inputs[k]].constant, *value = inputs[k] ? inputs[k] : preset;
        const sdx_tensor *tensor = value->kind == SDX_TENSOR ? &value->tensor : NULL;
        arguments[k] = (sdx_argument){tensor, value, !inputs[k]};
    }
}

sdx_status sdx_session_execute_into(sdx_session *session, const sdx_run_options *options, sdx_value *const *inputs,
                                    sdx_value *const *given, const bool *wanted, sdx_value **results,
                                    sdx_error *error) {
    enum { FEW = 16 };
    sdx_error own = {0};
    sdx_argument few[FEW], *arguments = few;
    const sdx_graph *graph = session->model->graph;
    uint64_t turn = atomic_fetch_add_explicit(&session->runs, 1, memory_order_relaxed);
    sdx_run run = {
        .memory = session->memory,
        .pool = session->pool,
        .stop = {.cancel = options->cancel, .deadline = deadline_after(options->deadline)},
        .seed = options->seed ? options->seed : session->seed + turn * 0x9e3779b97f4a7c15u,
        .error = error ? error : &own,
        .model = session->model->name,
        .plans = session->plans,
    };
    if (graph->n_inputs > FEW) {
        size_t bytes = (size_t)graph->n_inputs * sizeof *arguments;
        arguments = sdx_memory_alloc(session->memory, bytes, run.error);
        if (!arguments) return run.error->status;
    }
    take_inputs(graph, inputs, arguments);
    sdx_status status = attempt(session, &run, arguments, given, wanted, results);
    if (run.error->status == SDX_LIMIT && sdx_plans_trim(session->plans)) {
        *run.error = (sdx_error){0};
        run.trips = 0;
        status = attempt(session, &run, arguments, given, wanted, results);
    }
    if (arguments != few) sdx_memory_free(session->memory, arguments);
    return status ? sdx_error_context(run.error, "running '%s'", run.model) : SDX_OK;
}

sdx_status sdx_session_execute(sdx_session *session, const sdx_run_options *options, sdx_value *const *inputs,
                               const bool *wanted, sdx_value **results, sdx_error *error) {
    return sdx_session_execute_into(session, options, inputs, NULL, wanted, results, error);
}

/* ---- What it tells -------------------------------------------------------------------------------------------- */

bool sdx_session_profiles(const sdx_session *session) { return session->profile; }

sdx_status sdx_session_rows(const sdx_session *session, sdx_error *error, sdx_profile_row **rows, size_t *n) {
    return sdx_plans_profile(session->plans, session->model->graph, error, rows, n);
}

void sdx_session_bytes(const sdx_session *session, size_t *used, size_t *peak) {
    *used = sdx_memory_used(session->memory);
    *peak = sdx_memory_peak(session->memory);
}
