/* SPDX-License-Identifier: Apache-2.0
 * Loop: body(iteration, condition, carried...) -> (condition, carried..., scanned...), at most M times. Without input
 * 'cond' the body's condition is ignored, as the specification says. What the body scans is stacked along a new first
 * axis. */
#include "ops/controlflow/loop.h"
#include "ops/controlflow/body.h"
#include <inttypes.h>
#include <string.h>

#define OLD_SIGNATURE "M:I? cond:B? v_initial:V** -> v_final_and_scan_outputs:V**"
#define SIGNATURE     "M:I? cond:B? v_initial:V**0 -> v_final_and_scan_outputs:V**"
#define OTHERS        " I=i64 B=bool"
static const sdx_op_version versions[] = {
    {1, OLD_SIGNATURE, "V=" SDX_T_ALL OTHERS, "body:graph!"},
    {11, SIGNATURE, "V=" SDX_T_ALL OTHERS, "body:graph!"},
    {13, SIGNATURE, "V=" SDX_T_SEQ(SDX_T_ALL) OTHERS, "body:graph!"},
    {16, SIGNATURE, "V=" SDX_T_SEQ_OPT(SDX_T_ALL_BF) OTHERS, "body:graph!"},
    {19, SIGNATURE, "V=" SDX_T_SEQ_OPT(SDX_T_ALL_IR9) OTHERS, "body:graph!"},
    {21, SIGNATURE, "V=" SDX_T_SEQ_OPT(SDX_T_ALL_IR10) OTHERS, "body:graph!"},
    {23, SIGNATURE, "V=" SDX_T_SEQ_OPT(SDX_T_ALL_IR11) OTHERS, "body:graph!"},
    {24, SIGNATURE, "V=" SDX_T_SEQ_OPT(SDX_T_ALL_IR12) OTHERS, "body:graph!"},
    {25, SIGNATURE, "V=" SDX_T_SEQ_OPT(SDX_T_ALL_IR13) OTHERS, "body:graph!"},
    {0, NULL, NULL, NULL},
};

static sdx_status loop_bind(sdx_bind *bind, void *params) {
    sdx_loop_params *p = params;
    p->body = sdx_bind_body(bind, "body");
    return bind->status;
}

/* ---- infer ---------------------------------------------------------------------------------------------------- */

/* Files declare iteration and condition as scalars or as vectors of one element; they get what they declare. */
static int declared_rank(const sdx_graph *body, int k) {
    const sdx_type *type = &body->values[body->inputs[k]].type;
    return type->kind == SDX_TENSOR && type->rank == 1 ? 1 : 0;
}

static sdx_type counter_type(const sdx_graph *body, int k, sdx_dtype dtype) {
    sdx_type type = sdx_type_make(dtype, declared_rank(body, k));
    if (type.rank) type.dim[0] = 1;
    return type;
}

static sdx_status check_arity(const sdx_infer *infer, const sdx_graph *body, int n_carried) {
    if (body->n_inputs != n_carried + 2)
        return sdx_fail(infer->error, SDX_MALFORMED,
                        "the body has %d inputs; it must have %d: iteration, condition and the carried values",
                        body->n_inputs, n_carried + 2);
    if (body->n_outputs < n_carried + 1 || body->n_outputs < infer->n_out + 1)
        return sdx_fail(infer->error, SDX_MALFORMED,
                        "the body has %d outputs; it must have the condition, %d carried values and what is scanned, "
                        "%d in all",
                        body->n_outputs, n_carried, infer->n_out + 1);
    return SDX_OK;
}

static sdx_status check_scalar(const sdx_infer *infer, int k, const char *name) {
    char is[128];
    const sdx_type *type = sdx_infer_in(infer, k);
    for (int d = 0; type && d < type->rank; d++)
        if (type->dim[d] >= 0 && type->dim[d] != 1)
            return sdx_fail(infer->error, SDX_SHAPE, "input '%s' is %s; it must have one element", name,
                            sdx_type_text(type, is, sizeof is));
    return SDX_OK;
}

/* How many trips are certain to happen; -1 when that depends on the data. */
static int64_t known_trips(const sdx_infer *infer) {
    const sdx_tensor *m = infer->n_in > 0 ? infer->value[0] : NULL;
    bool free_running = infer->n_in < 2 || !infer->in[1];
    if (!m || m->count != 1 || !free_running) return -1;
    int64_t trips = *(const int64_t *)m->data;
    return trips < 0 ? 0 : trips;
}

static sdx_status loop_infer(sdx_infer *infer, const void *params) {
    const sdx_loop_params *p = params;
    const sdx_graph *body = infer->node->bodies[p->body];
    int n_carried = infer->n_in > 2 ? infer->n_in - 2 : 0;
    SDX_TRY(check_arity(infer, body, n_carried));
    SDX_TRY(check_scalar(infer, 0, "M"));
    SDX_TRY(check_scalar(infer, 1, "cond"));
    sdx_type *in = SDX_NEW_ARRAY(infer->arena, sdx_type, body->n_inputs, infer->error);
    sdx_type *out = SDX_NEW_ARRAY(infer->arena, sdx_type, body->n_outputs, infer->error);
    if (!in || !out) return SDX_OUT_OF_MEMORY;
    in[0] = counter_type(body, 0, SDX_I64);
    in[1] = counter_type(body, 1, SDX_BOOL);
    for (int k = 0; k < n_carried; k++) {
        if (!infer->in[k + 2])
            return sdx_fail(infer->error, SDX_MALFORMED, "input %d, a carried value, is absent", k + 2);
        in[k + 2] = *infer->in[k + 2];
    }
    SDX_TRY(sdx_infer_trips(infer, p->body, body->n_inputs, in, 2, 1, n_carried, out));
    for (int k = 0; k < infer->n_out; k++) {
        const sdx_type *made = &out[k + 1];
        if (k >= n_carried && made->kind && made->kind != SDX_TENSOR)
            return sdx_fail(infer->error, SDX_TYPE, "output %d of the body is scanned; it must be a tensor", k + 1);
        if (k >= n_carried)
            infer->out[k] = sdx_type_with_axis(made, 0, known_trips(infer));
        else
            infer->out[k] = sdx_is_wrapped(&in[k + 2], made) ? *in[k + 2].elem : in[k + 2];
    }
    return SDX_OK;
}

/* ---- compute -------------------------------------------------------------------------------------------------- */

typedef struct loop_state {
    sdx_compute *compute;
    const sdx_graph *body;
    int index, n_carried, n_scans;
    sdx_value **in, **out;  /* of the body: values held here */
    sdx_value **fed;        /* in[], optionals put around carried values whose body input is one */
    sdx_value **slabs;      /* [trip][scan] */
    int64_t done, capacity; /* trips */
} loop_state;

static sdx_status set_counter(loop_state *loop, int k, sdx_dtype dtype, int64_t number) {
    int64_t one = 1;
    sdx_value_release(loop->in[k]);
    loop->in[k] =
        sdx_value_new_tensor(loop->compute->memory, dtype, declared_rank(loop->body, k), &one, loop->compute->error);
    if (!loop->in[k]) return SDX_OUT_OF_MEMORY;
    if (dtype == SDX_I64)
        *(int64_t *)loop->in[k]->tensor.data = number;
    else
        *(bool *)loop->in[k]->tensor.data = number != 0;
    return SDX_OK;
}

static sdx_status make_room(loop_state *loop) {
    if (loop->n_scans == 0 || loop->done < loop->capacity) return SDX_OK;
    int64_t capacity = loop->capacity ? loop->capacity * 2 : 16;
    sdx_value **slabs = sdx_value_array(loop->compute, capacity * loop->n_scans);
    if (!slabs) return SDX_OUT_OF_MEMORY;
    size_t used = (size_t)(loop->done * loop->n_scans);
    if (used) memcpy(slabs, loop->slabs, used * sizeof(sdx_value *));
    loop->slabs = slabs;
    loop->capacity = capacity;
    return SDX_OK;
}

static bool takes_optional(const loop_state *loop, int k) {
    return loop->body->values[loop->body->inputs[k]].type.kind == SDX_OPTIONAL;
}

static sdx_status feed(loop_state *loop) {
    for (int k = 0; k < loop->body->n_inputs; k++) {
        sdx_value_release(loop->fed[k]);
        bool wrap = k >= 2 && takes_optional(loop, k) && loop->in[k]->kind != SDX_OPTIONAL;
        loop->fed[k] =
            wrap ? sdx_value_new_items(loop->compute->memory, SDX_OPTIONAL, &loop->in[k], 1, NULL, loop->compute->error)
                 : sdx_value_retain(loop->in[k]);
        if (!loop->fed[k]) return SDX_OUT_OF_MEMORY;
    }
    return SDX_OK;
}

static sdx_status one_trip(loop_state *loop, bool *go_on) {
    SDX_TRY(sdx_stop_check(loop->compute->stop, loop->compute->error));
    SDX_TRY(make_room(loop));
    SDX_TRY(set_counter(loop, 0, SDX_I64, loop->done));
    SDX_TRY(set_counter(loop, 1, SDX_BOOL, *go_on));
    SDX_TRY(feed(loop));
    SDX_TRY(loop->compute->services->run_body(loop->compute, loop->index, loop->body->n_inputs, loop->fed,
                                              loop->body->n_outputs, loop->out));
    const sdx_tensor *condition = loop->out[0]->kind == SDX_TENSOR ? &loop->out[0]->tensor : NULL;
    SDX_TRY(sdx_read_condition(loop->compute, condition, "output 0 of the body", go_on));
    for (int k = 0; k < loop->n_carried; k++) {
        sdx_value_release(loop->in[k + 2]);
        loop->in[k + 2] = loop->out[k + 1];
        loop->out[k + 1] = NULL;
    }
    for (int j = 0; j < loop->n_scans; j++) {
        loop->slabs[loop->done * loop->n_scans + j] = loop->out[1 + loop->n_carried + j];
        loop->out[1 + loop->n_carried + j] = NULL;
    }
    loop->done++;
    sdx_release_values(loop->out, loop->body->n_outputs);
    return SDX_OK;
}

static sdx_status give_scan(loop_state *loop, int j) {
    int k = loop->n_carried + j;
    const sdx_type *type = &loop->body->values[loop->body->outputs[k + 1]].type;
    const sdx_value *first = loop->done ? loop->slabs[j] : NULL;
    sdx_value *stack = NULL;
    if (!first)
        stack = sdx_stack_empty(loop->compute, type, 0, 0);
    else if (first->kind == SDX_TENSOR)
        stack = sdx_stack_for(loop->compute, first->tensor.dtype, first->tensor.rank, first->tensor.dim, 0, loop->done);
    else
        return sdx_fail(loop->compute->error, SDX_TYPE, "output %d of the body is scanned; it must be a tensor", k + 1);
    if (!stack) return SDX_OUT_OF_MEMORY;
    loop->compute->services->set_output(loop->compute, k, stack);
    for (int64_t t = 0; t < loop->done; t++) {
        sdx_value **slab = &loop->slabs[t * loop->n_scans + j];
        SDX_TRY(sdx_slab_into(loop->compute, &stack->tensor, 0, t, &(*slab)->tensor));
        sdx_value_release(*slab);
        *slab = NULL;
    }
    return SDX_OK;
}

/* Without a trip, what was given; out of its optional where the body would have given it so. */
static void give_carried(loop_state *loop, int k) {
    sdx_value *value = loop->in[k + 2];
    const sdx_type *made = &loop->body->values[loop->body->outputs[k + 1]].type;
    bool unwrap = value->kind == SDX_OPTIONAL && value->n_items && made->kind && made->kind != SDX_OPTIONAL;
    sdx_value *given = sdx_value_retain(unwrap ? value->items[0] : value);
    sdx_release_values(&loop->in[k + 2], 1);
    loop->compute->services->set_output(loop->compute, k, given);
}

static sdx_status run_loop(loop_state *loop) {
    const sdx_compute *compute = loop->compute;
    const sdx_tensor *m = compute->n_in > 0 ? compute->in[0] : NULL, *cond = compute->n_in > 1 ? compute->in[1] : NULL;
    int64_t trips = m && m->count == 1 ? *(const int64_t *)m->data : INT64_MAX;
    if (m && m->count != 1)
        return sdx_fail(compute->error, SDX_SHAPE, "input 'M' has %" PRId64 " elements; it must have 1", m->count);
    bool go_on = true, body_says = true;
    if (cond) SDX_TRY(sdx_read_condition(loop->compute, cond, "input 'cond'", &go_on));
    for (int k = 0; k < loop->n_carried; k++) {
        loop->in[k + 2] = compute->services->share_input(loop->compute, k + 2);
        if (!loop->in[k + 2]) return SDX_OUT_OF_MEMORY;
    }
    body_says = go_on;
    while (loop->done < trips && go_on) {
        SDX_TRY(one_trip(loop, &body_says));
        if (cond) go_on = body_says;
    }
    for (int k = 0; k < compute->n_out; k++) {
        if (!compute->wanted[k]) continue;
        if (k >= loop->n_carried) {
            SDX_TRY(give_scan(loop, k - loop->n_carried));
            continue;
        }
        give_carried(loop, k);
    }
    return SDX_OK;
}

static sdx_status loop_compute(sdx_compute *compute, const void *params) {
    const sdx_loop_params *p = params;
    loop_state loop = {.compute = compute, .body = compute->node->bodies[p->body], .index = p->body};
    loop.n_carried = compute->n_in > 2 ? compute->n_in - 2 : 0;
    loop.n_scans = loop.body->n_outputs - 1 - loop.n_carried;
    loop.in = sdx_value_array(compute, loop.body->n_inputs);
    loop.out = sdx_value_array(compute, loop.body->n_outputs);
    loop.fed = sdx_value_array(compute, loop.body->n_inputs);
    if (!loop.in || !loop.out || !loop.fed) return SDX_OUT_OF_MEMORY;
    sdx_status status = run_loop(&loop);
    sdx_release_values(loop.in, loop.body->n_inputs);
    sdx_release_values(loop.out, loop.body->n_outputs);
    sdx_release_values(loop.fed, loop.body->n_inputs);
    sdx_release_values(loop.slabs, loop.done * loop.n_scans);
    return status;
}

const sdx_op sdx_op_Loop = {
    .domain = "",
    .name = "Loop",
    .versions = versions,
    .params_size = sizeof(sdx_loop_params),
    .bind = loop_bind,
    .infer = loop_infer,
    .compute = loop_compute,
    .grad = sdx_loop_grad,
};
