/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/exec/frame.h"
#include "runtime/base/mix.h"
#include "runtime/exec/call.h"
#include <string.h>

/* ---- Making and attaching ------------------------------------------------------------------------------------- */

static sdx_tensor *tensor_of(sdx_frame *frame, sdx_id id) {
    if (id == SDX_NONE || frame->plan->slots[id].place == SDX_AT_NOWHERE) return NULL;
    return &frame->tensors[id];
}

static void link_steps(sdx_frame *frame) {
    const sdx_plan *plan = frame->plan;
    for (int s = 0; s < plan->n_steps; s++) {
        const sdx_step *step = &plan->steps[s];
        const sdx_node *node = step->node;
        for (int k = 0; k < node->n_in; k++) frame->in[step->first_in + k] = tensor_of(frame, node->in[k]);
        for (int k = 0; k < node->n_out && step->fixed; k++)
            if (step->wanted[k]) frame->out[step->first_out + k] = tensor_of(frame, node->out[k]);
    }
}

static sdx_status allocate(sdx_frame *frame, sdx_arena *arena, sdx_error *error) {
    const sdx_plan *plan = frame->plan;
    frame->tensors = SDX_NEW_ARRAY(arena, sdx_tensor, plan->n_slots, error);
    frame->values = SDX_NEW_ARRAY(arena, sdx_value *, plan->n_slots, error);
    frame->results = SDX_NEW_ARRAY(arena, sdx_value *, plan->graph->n_outputs, error);
    frame->in = SDX_NEW_ARRAY(arena, const sdx_tensor *, plan->n_in, error);
    frame->in_value = SDX_NEW_ARRAY(arena, sdx_value *, plan->n_in, error);
    frame->out = SDX_NEW_ARRAY(arena, sdx_tensor *, plan->n_out, error);
    frame->made = SDX_NEW_ARRAY(arena, sdx_value *, plan->most_out, error);
    if (!frame->tensors || !frame->values || !frame->results || !frame->in || !frame->in_value || !frame->out ||
        !frame->made)
        return error->status;
    return SDX_OK;
}

sdx_status sdx_frame_create(sdx_plan *plan, sdx_error *error, sdx_frame **out) {
    *out = NULL;
    sdx_arena arena;
    sdx_arena_init(&arena, plan->arena.memory);
    sdx_frame *frame = SDX_NEW(&arena, sdx_frame, error);
    if (!frame) return error->status;
    frame->plan = plan;
    sdx_status status = allocate(frame, &arena, error);
    frame->own = arena;
    sdx_arena_init(&frame->arena, plan->arena.memory);
    if (status) {
        sdx_frame_destroy(frame);
        return status;
    }
    for (int i = 0; i < plan->n_slots; i++) frame->tensors[i] = plan->slots[i].tensor;
    link_steps(frame);
    *out = frame;
    return SDX_OK;
}

void sdx_frame_destroy(sdx_frame *frame) {
    if (!frame) return;
    sdx_arena own = frame->own;
    sdx_arena_release(&frame->arena);
    sdx_arena_release(&own);
}

void sdx_frame_attach(sdx_frame *frame, sdx_working *working) {
    frame->working = working;
    unsigned char *base = sdx_working_bytes(working);
    if (frame->base == base) return;
    const sdx_plan *plan = frame->plan;
    for (int i = 0; i < plan->n_slots; i++)
        if (plan->slots[i].place == SDX_AT_ARENA) frame->tensors[i].data = base + plan->slots[i].offset;
    frame->base = base;
}

/* ---- Values of a frame ---------------------------------------------------------------------------------------- */

static bool same_dims(const sdx_tensor *a, const sdx_tensor *b) {
    return a->rank == b->rank && memcmp(a->dim, b->dim, (size_t)a->rank * sizeof a->dim[0]) == 0;
}

/* The value that already holds exactly this graph value; NULL when there is none. */
static sdx_value *holder(const sdx_frame *frame, sdx_id id) {
    const sdx_slot *slot = &frame->plan->slots[id];
    if (slot->place == SDX_AT_CONSTANT) return slot->constant;
    if (slot->place == SDX_AT_RUNTIME) return frame->values[id];
    if (slot->place != SDX_AT_ARGUMENT) return NULL;
    sdx_value *value = frame->values[sdx_argument_id(frame->plan->graph, slot->index)];
    if (value && value->kind == SDX_TENSOR && !same_dims(&value->tensor, &frame->tensors[id])) return NULL;
    return value;
}

sdx_value *sdx_frame_share(sdx_frame *frame, sdx_id id, sdx_run *run) {
    sdx_value *value = holder(frame, id);
    if (value) return sdx_value_retain(value);
    return sdx_value_copy_tensor(run->memory, &frame->tensors[id], run->error);
}

sdx_argument sdx_frame_argument(const sdx_frame *frame, sdx_id id) {
    const sdx_slot *slot = &frame->plan->slots[id];
    sdx_value *value = holder(frame, id);
    bool is_tensor = !value || value->kind == SDX_TENSOR;
    bool known = value && slot->place == SDX_AT_CONSTANT;
    return (sdx_argument){is_tensor ? &frame->tensors[id] : NULL, value, known};
}

/* ---- Bodies --------------------------------------------------------------------------------------------------- */

static sdx_status capture(const sdx_call *call, sdx_id outer, sdx_argument *out) {
    if (call->frame) {
        *out = sdx_frame_argument(call->frame, outer);
        return SDX_OK;
    }
    const sdx_graph_value *value = &call->graph->values[outer];
    if (!value->constant)
        return sdx_fail(call->run->error, SDX_ARGUMENT, "a body captures '%s', which is not constant", value->name);
    bool is_tensor = value->constant->kind == SDX_TENSOR;
    *out = (sdx_argument){is_tensor ? &value->constant->tensor : NULL, value->constant, true};
    return SDX_OK;
}

/* The arguments of a body, captures filled in; they stay the same while the node runs. */
static sdx_status body_arguments(sdx_call *call, int body, sdx_argument **out) {
    const sdx_node *node = call->compute.node;
    const sdx_graph *graph = node->bodies[body];
    sdx_error *error = call->run->error;
    if (!call->arguments) call->arguments = SDX_NEW_ARRAY(call->arena, sdx_argument *, node->n_bodies, error);
    if (!call->arguments) return error->status;
    *out = call->arguments[body];
    if (*out) return SDX_OK;
    sdx_argument *arguments = SDX_NEW_ARRAY(call->arena, sdx_argument, graph->n_inputs + graph->n_captures, error);
    if (!arguments) return error->status;
    for (int c = 0; c < graph->n_captures; c++)
        SDX_TRY(capture(call, graph->captures[c].outer, &arguments[graph->n_inputs + c]));
    *out = call->arguments[body] = arguments;
    return SDX_OK;
}

sdx_status sdx_frame_run_body(sdx_compute *compute, int body, int n_in, sdx_value *const *in, int n_out,
                              sdx_value **out) {
    sdx_call *call = compute->context;
    const sdx_graph *graph = compute->node->bodies[body];
    sdx_run *run = call->run;
    sdx_argument *arguments = NULL;
    sdx_plan_set *set = call->sets ? call->sets[body] : NULL;
    if (n_in != graph->n_inputs || n_out != graph->n_outputs)
        return sdx_fail(run->error, SDX_ARGUMENT,
                        "the body takes %d inputs and gives %d outputs; it is given %d and %d", graph->n_inputs,
                        graph->n_outputs, n_in, n_out);
    if (!set) SDX_TRY(sdx_plans_set(run->plans, graph, run->error, &set));
    SDX_TRY(body_arguments(call, body, &arguments));
    for (int k = 0; k < n_in; k++)
        arguments[k] = (sdx_argument){in[k]->kind == SDX_TENSOR ? &in[k]->tensor : NULL, in[k], false};
    run->trips++;
    return sdx_run_graph(run, set, arguments, n_in + graph->n_captures, NULL, out);
}

/* ---- Random keys ---------------------------------------------------------------------------------------------- */

uint64_t sdx_node_key(const sdx_graph *graph, const sdx_node *node) {
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (int k = 0; k < node->n_out; k++) {
        if (node->out[k] == SDX_NONE) continue;
        for (const char *c = graph->values[node->out[k]].name; *c; c++)
            hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
        break;
    }
    return hash;
}

uint64_t sdx_random_key(uint64_t node_key, const sdx_run *run) {
    return sdx_mix64(node_key ^ sdx_mix64(run->seed + sdx_mix64(run->trips + 0x9e3779b97f4a7c15u)));
}
