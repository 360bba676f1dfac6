/* SPDX-License-Identifier: Apache-2.0
 * The step loop. A fixed step costs a handful of stores: its tensors and pointers stand ready in the frame. */
#include "runtime/exec/call.h"
#include "runtime/exec/frame.h"
#include "runtime/exec/profile.h"
#include <string.h>

/* ---- Before the first step ------------------------------------------------------------------------------------ */

static bool is_like(const sdx_value *value, const sdx_tensor *shape) {
    return value && value->kind == SDX_TENSOR && value->tensor.dtype == shape->dtype &&
           value->tensor.rank == shape->rank &&
           memcmp(value->tensor.dim, shape->dim, (size_t)shape->rank * sizeof shape->dim[0]) == 0;
}

static sdx_status make_results(sdx_frame *frame, sdx_value *const *given, sdx_run *run) {
    const sdx_plan *plan = frame->plan;
    const sdx_graph *graph = plan->graph;
    for (int j = 0; j < graph->n_outputs; j++) {
        frame->results[j] = NULL;
        if (!plan->outputs[j].direct) continue;
        sdx_id id = plan->outputs[j].id;
        const sdx_tensor *shape = &plan->slots[id].tensor;
        frame->results[j] = given && is_like(given[j], shape)
                                ? sdx_value_retain(given[j])
                                : sdx_value_new_tensor(run->memory, shape->dtype, shape->rank, shape->dim, run->error);
        if (!frame->results[j]) return sdx_call_place(graph, graph->nodes[graph->values[id].producer], run->error);
    }
    return SDX_OK;
}

static void patch_tensors(sdx_frame *frame, const sdx_argument *arguments) {
    const sdx_plan *plan = frame->plan;
    for (int i = 0; i < plan->n_patched; i++) {
        sdx_id id = plan->patched[i];
        const sdx_slot *slot = &plan->slots[id];
        frame->tensors[id].data = slot->place == SDX_AT_OUTPUT ? frame->results[slot->index]->tensor.data
                                                               : arguments[slot->index].tensor->data;
    }
    for (int k = 0; k < plan->n_keys; k++) frame->values[sdx_argument_id(plan->graph, k)] = arguments[k].value;
}

/* ---- One step ------------------------------------------------------------------------------------------------- */

/* Inputs that are values made at run time, or no tensors at all. */
static void gather_inputs(sdx_frame *frame, const sdx_step *step) {
    for (int k = 0; k < step->node->n_in; k++) {
        sdx_id id = step->node->in[k];
        if (id == SDX_NONE) continue;
        sdx_argument input = sdx_frame_argument(frame, id);
        frame->in[step->first_in + k] = input.tensor;
        frame->in_value[step->first_in + k] = input.value;
    }
}

static void aim(sdx_call *call, sdx_frame *frame, const sdx_step *step) {
    const sdx_node *node = step->node;
    sdx_compute *compute = &call->compute;
    compute->node = node;
    compute->since = node->since;
    compute->n_in = node->n_in;
    compute->n_out = node->n_out;
    compute->in = frame->in + step->first_in;
    compute->in_value = frame->in_value + step->first_in;
    compute->out = call->out = frame->out + step->first_out;
    compute->wanted = step->wanted;
    compute->scratch = frame->base + step->scratch_at;
    if (node->op->flags & SDX_OP_RANDOM) compute->random_key = sdx_random_key(step->key, call->run);
    call->type = step->type;
    call->sets = step->bodies;
    call->arguments = NULL;
}

static sdx_status store_one(sdx_call *call, sdx_frame *frame, int k) {
    sdx_id id = call->compute.node->out[k];
    const sdx_slot *slot = &frame->plan->slots[id];
    sdx_value *value = call->made[k];
    sdx_error *error = call->run->error;
    if (!value) {
        sdx_fail(error, SDX_VALUE, "output %d was not made", k);
        return sdx_call_place(call->graph, call->compute.node, error);
    }
    bool is_tensor = value->kind == SDX_TENSOR;
    if (slot->shaped &&
        (!is_tensor || value->tensor.dtype != slot->tensor.dtype || value->tensor.rank != slot->tensor.rank ||
         memcmp(value->tensor.dim, slot->tensor.dim, sizeof slot->tensor.dim) != 0)) {
        char is[256], was[256];
        sdx_fail(error, SDX_SHAPE, "output %d is %s; inference said %s", k,
                 is_tensor ? sdx_tensor_text(&value->tensor, is, sizeof is) : "no tensor",
                 sdx_tensor_text(&slot->tensor, was, sizeof was));
        return sdx_call_place(call->graph, call->compute.node, error);
    }
    if (is_tensor) frame->tensors[id] = value->tensor;
    frame->values[id] = value;
    call->made[k] = NULL;
    call->n_made--;
    return SDX_OK;
}

static sdx_status run_loose(sdx_call *call, sdx_frame *frame, const sdx_step *step) {
    for (int k = 0; k < step->node->n_out; k++) call->out[k] = NULL;
    call->compute.scratch = NULL;
    sdx_status status = sdx_call_prepare(call);
    if (!status) status = sdx_call_compute(call);
    for (int k = 0; k < step->node->n_out && !status; k++)
        if (step->wanted[k]) status = store_one(call, frame, k);
    sdx_memory_free(call->run->memory, call->compute.scratch);
    return status;
}

static sdx_status run_step(sdx_call *call, sdx_frame *frame, const sdx_step *step) {
    aim(call, frame, step);
    if (!step->plain) gather_inputs(frame, step);
    sdx_status status = step->fixed ? sdx_call_compute(call) : run_loose(call, frame, step);
    if (call->n_made) sdx_call_clear(call);
    for (int d = 0; d < step->n_drops; d++) {
        sdx_value_release(frame->values[step->drops[d]]);
        frame->values[step->drops[d]] = NULL;
    }
    if (frame->arena.head) sdx_arena_reset(&frame->arena);
    return status;
}

static sdx_status run_steps(sdx_frame *frame, sdx_run *run) {
    const sdx_plan *plan = frame->plan;
    bool may_stop = run->stop.cancel || run->stop.deadline, profiled = plan->set->calls != NULL;
    sdx_call call;
    sdx_call_init(&call, plan->graph, run, &frame->arena);
    call.frame = frame;
    call.made = frame->made;
    for (int s = 0; s < plan->n_steps; s++) {
        const sdx_step *step = &plan->steps[s];
        if (may_stop && sdx_stop_check(&run->stop, run->error))
            return sdx_call_place(plan->graph, step->node, run->error);
        int64_t begin = profiled ? sdx_clock_ns() : 0;
        SDX_TRY(run_step(&call, frame, step));
        if (profiled) sdx_profile_add(plan->set, step->index, sdx_clock_ns() - begin);
    }
    return SDX_OK;
}

/* ---- After the last step -------------------------------------------------------------------------------------- */

static sdx_status collect(sdx_frame *frame, sdx_run *run) {
    const sdx_plan *plan = frame->plan;
    for (int j = 0; j < plan->graph->n_outputs; j++) {
        if (plan->outputs[j].direct) continue;
        frame->results[j] = sdx_frame_share(frame, plan->outputs[j].id, run);
        if (!frame->results[j]) return run->error->status;
    }
    return SDX_OK;
}

static void clear(sdx_frame *frame) {
    const sdx_plan *plan = frame->plan;
    for (int i = 0; i < plan->n_loose; i++) {
        sdx_value_release(frame->values[plan->loose[i]]);
        frame->values[plan->loose[i]] = NULL;
    }
    for (int k = 0; k < plan->n_keys; k++) frame->values[sdx_argument_id(plan->graph, k)] = NULL;
}

sdx_status sdx_frame_run(sdx_frame *frame, const sdx_argument *arguments, sdx_value *const *given, sdx_run *run,
                         sdx_value **results) {
    int n = frame->plan->graph->n_outputs;
    sdx_status status = make_results(frame, given, run);
    if (!status) {
        patch_tensors(frame, arguments);
        status = run_steps(frame, run);
    }
    if (!status) status = collect(frame, run);
    clear(frame);
    for (int j = 0; j < n; j++) {
        if (status) sdx_value_release(frame->results[j]);
        results[j] = status ? NULL : frame->results[j];
        frame->results[j] = NULL;
    }
    return status;
}

sdx_status sdx_run_graph(sdx_run *run, sdx_plan_set *set, const sdx_argument *arguments, int n, sdx_value *const *given,
                         sdx_value **results) {
    sdx_frame *frame = NULL;
    for (int j = 0; j < set->graph->n_outputs; j++) results[j] = NULL;
    SDX_TRY(sdx_plans_acquire(run->plans, set, arguments, n, run, &frame));
    sdx_status status = sdx_frame_run(frame, arguments, given, run, results);
    sdx_plans_release(run->plans, frame);
    return status;
}
