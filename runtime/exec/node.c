/* SPDX-License-Identifier: Apache-2.0
 * One bound node on values, outside any plan. */
#include "runtime/exec/call.h"
#include "runtime/exec/frame.h"
#include "runtime/load/load.h"
#include <string.h>

/* compute.in, in_value, out, made: in the arena. */
static sdx_status set_up(sdx_call *call, const sdx_node *node, sdx_value *const *in, const bool *wanted) {
    sdx_compute *compute = &call->compute;
    sdx_error *error = call->run->error;
    const sdx_tensor **tensors = SDX_NEW_ARRAY(call->arena, const sdx_tensor *, node->n_in, error);
    call->out = SDX_NEW_ARRAY(call->arena, sdx_tensor *, node->n_out, error);
    call->made = SDX_NEW_ARRAY(call->arena, sdx_value *, node->n_out, error);
    if (!tensors || !call->out || !call->made) return error->status;
    for (int k = 0; k < node->n_in; k++)
        if (in[k] && in[k]->kind == SDX_TENSOR) tensors[k] = &in[k]->tensor;
    compute->node = node;
    compute->since = node->version->since;
    compute->n_in = node->n_in;
    compute->n_out = node->n_out;
    compute->in = tensors;
    compute->in_value = in;
    compute->out = call->out;
    compute->wanted = wanted;
    compute->random_key = sdx_random_key(sdx_node_key(call->graph, node), call->run);
    return SDX_OK;
}

static sdx_status hand_over(sdx_call *call, sdx_value **out) {
    for (int k = 0; k < call->compute.n_out; k++) {
        if (!call->compute.wanted[k] || call->made[k]) continue;
        sdx_fail(call->run->error, SDX_VALUE, "output %d was not made", k);
        return sdx_call_place(call->graph, call->compute.node, call->run->error);
    }
    for (int k = 0; k < call->compute.n_out; k++) {
        if (!call->compute.wanted[k]) continue;
        out[k] = call->made[k];
        call->made[k] = NULL;
        call->n_made--;
    }
    return SDX_OK;
}

sdx_status sdx_exec_node(const sdx_graph *graph, const sdx_node *node, sdx_run *run, sdx_value *const *in,
                         const bool *wanted, sdx_value **out) {
    sdx_error own = {0}, *given = run->error, *error = given ? given : &own;
    sdx_plans *own_plans = NULL;
    sdx_arena arena;
    sdx_call call;
    run->error = error;
    sdx_arena_init(&arena, run->memory);
    sdx_call_init(&call, graph, run, &arena);
    for (int k = 0; k < node->n_out; k++) out[k] = NULL;
    sdx_status status = set_up(&call, node, in, wanted);
    if (!status && node->n_bodies && !run->plans) {
        status = sdx_plans_create(run->memory, sdx_pool_threads(run->pool), false, error, &own_plans);
        run->plans = own_plans;
    }
    if (!status) status = sdx_call_prepare(&call);
    if (!status) status = sdx_call_compute(&call);
    if (!status) status = hand_over(&call, out);
    if (call.made) sdx_call_clear(&call);
    sdx_memory_free(run->memory, call.compute.scratch);
    sdx_arena_release(&arena);
    if (own_plans) {
        sdx_plans_destroy(own_plans);
        run->plans = NULL;
    }
    run->error = given;
    if (status && run->model) sdx_error_context(error, "running '%s'", run->model);
    return status;
}
