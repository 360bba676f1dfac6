/* SPDX-License-Identifier: Apache-2.0
 * Services of an operator at work, and the way a node runs that no plan has prepared. */
#include "runtime/exec/call.h"
#include "ops/kernels/kernels.h"
#include "runtime/exec/frame.h"
#include "runtime/load/load.h"
#include <string.h>

static sdx_call *call_of(sdx_compute *compute) { return compute->context; }

static bool same_shape(const sdx_tensor *tensor, int rank, const int64_t *dims) {
    return tensor->rank == rank && (rank == 0 || memcmp(tensor->dim, dims, (size_t)rank * sizeof dims[0]) == 0);
}

static void fail_shape(sdx_call *call, int k, const sdx_tensor *found) {
    char is[256], was[256];
    call->status = sdx_fail(call->run->error, SDX_SHAPE, "output %d is %s; inference said %s", k,
                            sdx_tensor_text(found, is, sizeof is), sdx_tensor_text(call->out[k], was, sizeof was));
}

static void keep_made(sdx_call *call, int k, sdx_value *value) {
    if (call->made[k])
        sdx_value_release(call->made[k]);
    else
        call->n_made++;
    call->made[k] = value;
}

static sdx_tensor *alloc_output(sdx_compute *compute, int k, int rank, const int64_t *dims) {
    sdx_call *call = call_of(compute);
    sdx_dtype dtype = call->out[k] ? call->out[k]->dtype : call->type[k].dtype;
    if (call->out[k]) {
        sdx_tensor found;
        if (same_shape(call->out[k], rank, dims)) return call->out[k];
        if (sdx_tensor_make(&found, dtype, rank, dims, NULL, call->run->error) == SDX_OK) fail_shape(call, k, &found);
        return NULL;
    }
    sdx_value *value = sdx_value_new_tensor(call->run->memory, dtype, rank, dims, call->run->error);
    if (!value) return NULL;
    keep_made(call, k, value);
    return call->out[k] = &value->tensor;
}

static void set_output(sdx_compute *compute, int k, sdx_value *value) {
    sdx_call *call = call_of(compute);
    sdx_tensor *planned = call->out[k];
    bool unplanned = !planned || (call->made[k] && planned == &call->made[k]->tensor);
    if (!value) {
        call->status = sdx_failure(call->run->error);
    } else if (unplanned) {
        keep_made(call, k, value);
        call->out[k] = value->kind == SDX_TENSOR ? &value->tensor : NULL;
    } else {
        const sdx_tensor *from = &value->tensor;
        if (value->kind != SDX_TENSOR || from->dtype != planned->dtype || !same_shape(planned, from->rank, from->dim))
            fail_shape(call, k, from);
        else if (from->count && from->data != planned->data)
            memmove(planned->data, from->data, sdx_tensor_bytes(from));
        sdx_value_release(value);
    }
}

static void *service_alloc(sdx_compute *compute, size_t size) {
    sdx_call *call = call_of(compute);
    return sdx_arena_alloc(call->arena, size, call->run->error);
}

static sdx_value *share_input(sdx_compute *compute, int k) {
    sdx_call *call = call_of(compute);
    if (compute->in_value[k]) return sdx_value_retain(compute->in_value[k]);
    if (call->frame) return sdx_frame_share(call->frame, compute->node->in[k], call->run);
    return sdx_fail(call->run->error, SDX_ARGUMENT, "input %d is absent", k), NULL;
}

static const sdx_services services = {
    .alloc_output = alloc_output,
    .set_output = set_output,
    .alloc = service_alloc,
    .share_input = share_input,
    .run_body = sdx_frame_run_body,
};

void sdx_call_init(sdx_call *call, const sdx_graph *graph, sdx_run *run, sdx_arena *arena) {
    *call = (sdx_call){.run = run, .graph = graph, .arena = arena};
    call->compute = (sdx_compute){
        .error = run->error,
        .kernels = sdx_kernels_get(),
        .pool = run->pool,
        .stop = &run->stop,
        .memory = run->memory,
        .services = &services,
        .context = call,
    };
}

sdx_status sdx_call_place(const sdx_graph *graph, const sdx_node *node, sdx_error *error) {
    char place[300];
    return sdx_error_context(error, "%s", sdx_node_place(graph, node, place, sizeof place));
}

bool sdx_call_scratch(const sdx_infer *infer, size_t *size) {
    const sdx_op *op = infer->node->op;
    *size = op->scratch ? op->scratch(infer, infer->node->params) : 0;
    return *size <= PTRDIFF_MAX;
}

/* Types of the inputs; NULL where absent. */
static sdx_status input_types(sdx_call *call, const sdx_type **in) {
    const sdx_compute *compute = &call->compute;
    sdx_type *types = SDX_NEW_ARRAY(call->arena, sdx_type, compute->n_in, call->run->error);
    if (!types) return call->run->error->status;
    for (int k = 0; k < compute->n_in; k++) {
        if (compute->in[k])
            types[k] = sdx_type_of_tensor(compute->in[k]);
        else if (compute->in_value[k])
            SDX_TRY(sdx_value_type(compute->in_value[k], call->arena, &types[k], call->run->error));
        else
            continue;
        in[k] = &types[k];
    }
    return SDX_OK;
}

static sdx_status make_outputs(sdx_call *call, const sdx_type *types) {
    for (int k = 0; k < call->compute.n_out; k++) {
        if (!call->compute.wanted[k] || !sdx_type_concrete(&types[k])) continue;
        sdx_value *value =
            sdx_value_new_tensor(call->run->memory, types[k].dtype, types[k].rank, types[k].dim, call->run->error);
        if (!value) return sdx_call_place(call->graph, call->compute.node, call->run->error);
        keep_made(call, k, value);
        call->out[k] = &value->tensor;
    }
    return SDX_OK;
}

sdx_status sdx_call_prepare(sdx_call *call) {
    sdx_compute *compute = &call->compute;
    sdx_error *error = call->run->error;
    int threads = sdx_pool_threads(call->run->pool);
    sdx_type *types = SDX_NEW_ARRAY(call->arena, sdx_type, compute->n_out, error);
    const sdx_type **in = SDX_NEW_ARRAY(call->arena, const sdx_type *, compute->n_in, error);
    const sdx_tensor **none = SDX_NEW_ARRAY(call->arena, const sdx_tensor *, compute->n_in, error);
    if (!types || !in || !none) return error->status;
    const sdx_tensor *const *value = compute->node->op->flags & SDX_OP_DIMS ? none : compute->in;
    call->type = types;
    if (compute->node->n_bodies) return SDX_OK; /* its outputs are values, of the types its bodies give them */
    SDX_TRY(input_types(call, in));
    SDX_TRY(sdx_infer_node(call->graph, compute->node, in, value, compute->wanted, threads, call->arena, error, types));
    SDX_TRY(make_outputs(call, types));
    sdx_infer infer = {.error = error,
                       .node = compute->node,
                       .since = compute->since,
                       .threads = threads,
                       .n_in = compute->n_in,
                       .n_out = compute->n_out,
                       .in = in,
                       .value = value,
                       .out = types,
                       .wanted = compute->wanted,
                       .arena = call->arena};
    size_t size = 0;
    if (!sdx_call_scratch(&infer, &size))
        sdx_fail(error, SDX_OUT_OF_MEMORY, "the size of the workspace overflows");
    else if (size)
        compute->scratch = sdx_memory_alloc(call->run->memory, size, error);
    if (error->status) return sdx_call_place(call->graph, compute->node, error);
    return SDX_OK;
}

static bool holds_strings(const sdx_value *value) {
    if (value->kind == SDX_TENSOR) return value->tensor.dtype == SDX_STRING;
    bool found = false;
    for (size_t i = 0; i < value->n_items && !found; i++) found = holds_strings(value->items[i]);
    return found;
}

/* A value that others hold too was not made by this step: its strings are in good hands. */
static sdx_status settle_strings(sdx_call *call) {
    for (int k = 0; k < call->compute.n_out && call->n_made; k++) {
        sdx_value *value = call->made[k];
        if (!value || value->base || atomic_load(&value->references) > 1 || !holds_strings(value)) continue;
        sdx_value *copy = sdx_value_copy(call->run->memory, value, call->run->error);
        if (!copy) return call->run->error->status;
        keep_made(call, k, copy);
    }
    return SDX_OK;
}

sdx_status sdx_call_compute(sdx_call *call) {
    const sdx_node *node = call->compute.node;
    sdx_error *error = call->run->error;
    sdx_status status = node->op->compute(&call->compute, node->params);
    if (!status) status = call->status ? call->status : error->status;
    if (!status) status = settle_strings(call);
    if (!status) return SDX_OK;
    sdx_fail(error, status, "%s", sdx_status_text(status));
    return sdx_call_place(call->graph, node, error);
}

void sdx_call_clear(sdx_call *call) {
    for (int k = 0; k < call->compute.n_out && call->n_made; k++) {
        if (!call->made[k]) continue;
        sdx_value_release(call->made[k]);
        call->made[k] = NULL;
        call->out[k] = NULL;
        call->n_made--;
    }
}
