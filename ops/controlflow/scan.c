/* SPDX-License-Identifier: Apache-2.0
 * Scan: body(states..., elements...) -> (states..., scanned...) for each element of the scan inputs along their axes.
 * Version 8 has a leading batch axis instead of choosable axes, and a length for each sequence of the batch; what lies
 * beyond a sequence's length is 0. */
#include "ops/controlflow/scan.h"
#include "ops/controlflow/body.h"
#include <inttypes.h>

#define SIGNATURE "initial_state_and_scan_inputs:V** -> final_state_and_scan_outputs:V**"
#define ATTRIBUTES                                                                                                     \
    "body:graph! num_scan_inputs:int! scan_input_axes:ints scan_input_directions:ints "                                \
    "scan_output_axes:ints scan_output_directions:ints"
static const sdx_op_version versions[] = {
    {8, "sequence_lens:I? initial_state_and_scan_inputs:V** -> final_state_and_scan_outputs:V**", "I=i64 V=" SDX_T_ALL,
     "body:graph! directions:ints num_scan_inputs:int!"},
    {9, SIGNATURE, "V=" SDX_T_ALL, ATTRIBUTES},
    {11, SIGNATURE, "V=" SDX_T_ALL, ATTRIBUTES},
    {16, SIGNATURE, "V=" SDX_T_ALL_BF, ATTRIBUTES},
    {19, SIGNATURE, "V=" SDX_T_ALL_IR9, ATTRIBUTES},
    {21, SIGNATURE, "V=" SDX_T_ALL_IR10, ATTRIBUTES},
    {23, SIGNATURE, "V=" SDX_T_ALL_IR11, ATTRIBUTES},
    {24, SIGNATURE, "V=" SDX_T_ALL_IR12, ATTRIBUTES},
    {25, SIGNATURE, "V=" SDX_T_ALL_IR13, ATTRIBUTES},
    {0, NULL, NULL, NULL},
};

static sdx_status check_directions(sdx_bind *bind, const char *name, const sdx_ints *directions) {
    for (size_t i = 0; i < directions->n; i++)
        if (directions->data[i] != 0 && directions->data[i] != 1)
            return sdx_bind_fail(bind, SDX_VALUE, "entry %zu of attribute '%s' is %" PRId64 "; it must be 0 or 1", i,
                                 name, directions->data[i]);
    return bind->status;
}

static sdx_status scan_bind(sdx_bind *bind, void *params) {
    sdx_scan_params *p = params;
    int64_t n = sdx_bind_int(bind, "num_scan_inputs");
    if (!bind->status && (n < 1 || n > bind->node->n_in))
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'num_scan_inputs' is %" PRId64 "; it must be in [1, %d]", n,
                             bind->node->n_in);
    p->n_elements = (int)n;
    p->body = sdx_bind_body(bind, "body");
    if (bind->since < 9) {
        p->in_directions = sdx_bind_ints(bind, "directions");
        return check_directions(bind, "directions", &p->in_directions);
    }
    p->in_axes = sdx_bind_ints(bind, "scan_input_axes");
    p->out_axes = sdx_bind_ints(bind, "scan_output_axes");
    p->in_directions = sdx_bind_ints(bind, "scan_input_directions");
    p->out_directions = sdx_bind_ints(bind, "scan_output_directions");
    check_directions(bind, "scan_input_directions", &p->in_directions);
    return check_directions(bind, "scan_output_directions", &p->out_directions);
}

/* The list's entry k in [0, rank); 0 when the list is not given. */
static sdx_status axis_at(sdx_error *error, const char *name, const sdx_ints *axes, int k, int rank, int *out) {
    int64_t axis = (size_t)k < axes->n ? axes->data[k] : 0;
    if (axis < -rank || axis >= rank)
        return sdx_fail(error, SDX_SHAPE, "entry %d of attribute '%s' is %" PRId64 "; it must be in [%d, %d)", k, name,
                        axis, -rank, rank);
    *out = sdx_axis_of(axis, rank);
    return SDX_OK;
}

/* ---- infer ---------------------------------------------------------------------------------------------------- */

typedef struct scan_counts {
    int first; /* the first state among the node's inputs: 1 behind sequence_lens, else 0 */
    int n_states, n_elements, n_scanned;
    bool batched;
} scan_counts;

static scan_counts count(const sdx_node *node, const sdx_scan_params *p, int since, int n_in) {
    scan_counts c = {.first = since < 9 ? 1 : 0, .n_elements = p->n_elements, .batched = since < 9};
    c.n_states = n_in - c.first - p->n_elements;
    c.n_scanned = node->bodies[p->body]->n_outputs - c.n_states;
    return c;
}

static sdx_status check_list(const sdx_infer *infer, const char *name, size_t n, int must) {
    if (n == 0 || n == (size_t)must) return SDX_OK;
    return sdx_fail(infer->error, SDX_VALUE, "attribute '%s' has %zu entries; it must have %d", name, n, must);
}

static sdx_status check_counts(const sdx_infer *infer, const sdx_scan_params *p, const scan_counts *c) {
    const sdx_graph *body = infer->node->bodies[p->body];
    if (c->n_states < 0)
        return sdx_fail(infer->error, SDX_MALFORMED, "%d inputs are given; attribute 'num_scan_inputs' is %d",
                        infer->n_in - c->first, p->n_elements);
    if (body->n_inputs != c->n_states + c->n_elements || c->n_scanned < 0 || body->n_outputs < infer->n_out)
        return sdx_fail(infer->error, SDX_MALFORMED,
                        "the body has %d inputs and %d outputs; it must have %d inputs and at least %d outputs",
                        body->n_inputs, body->n_outputs, c->n_states + c->n_elements,
                        c->n_states > infer->n_out ? c->n_states : infer->n_out);
    SDX_TRY(check_list(infer, c->batched ? "directions" : "scan_input_directions", p->in_directions.n, c->n_elements));
    SDX_TRY(check_list(infer, "scan_input_axes", p->in_axes.n, c->n_elements));
    SDX_TRY(check_list(infer, "scan_output_axes", p->out_axes.n, c->n_scanned));
    return check_list(infer, "scan_output_directions", p->out_directions.n, c->n_scanned);
}

static sdx_status take_axis(sdx_infer *infer, sdx_type *type, int axis, const char *what, int64_t *extent) {
    if (type->rank < 0) return SDX_OK;
    if (axis >= type->rank)
        return sdx_fail(infer->error, SDX_SHAPE, "an input has rank %d; it must have %s", type->rank, what);
    SDX_TRY(sdx_infer_merge_dim(infer, what, *extent, type->dim[axis], extent));
    *type = sdx_type_without_axis(type, axis);
    return SDX_OK;
}

/* Types of the body's inputs; the length and the batch from them. */
static sdx_status body_inputs(sdx_infer *infer, const sdx_scan_params *p, const scan_counts *c, sdx_type *in,
                              int64_t *length, int64_t *batch) {
    for (int k = 0; k < c->n_states + c->n_elements; k++) {
        int axis = 0, j = k - c->n_states;
        if (!infer->in[c->first + k]) return sdx_fail(infer->error, SDX_MALFORMED, "input %d is absent", c->first + k);
        in[k] = *infer->in[c->first + k];
        if (c->batched) SDX_TRY(take_axis(infer, &in[k], 0, "a batch axis", batch));
        if (j < 0) continue;
        if (in[k].rank >= 0) SDX_TRY(axis_at(infer->error, "scan_input_axes", &p->in_axes, j, in[k].rank, &axis));
        SDX_TRY(take_axis(infer, &in[k], axis, "an axis to scan", length));
    }
    return SDX_OK;
}

static sdx_status scan_infer(sdx_infer *infer, const void *params) {
    const sdx_scan_params *p = params;
    const sdx_graph *body = infer->node->bodies[p->body];
    scan_counts c = count(infer->node, p, infer->since, infer->n_in);
    int64_t length = -1, batch = -1;
    SDX_TRY(check_counts(infer, p, &c));
    sdx_type *in = SDX_NEW_ARRAY(infer->arena, sdx_type, body->n_inputs, infer->error);
    sdx_type *out = SDX_NEW_ARRAY(infer->arena, sdx_type, body->n_outputs, infer->error);
    if (!in || !out) return SDX_OUT_OF_MEMORY;
    SDX_TRY(body_inputs(infer, p, &c, in, &length, &batch));
    SDX_TRY(sdx_infer_trips(infer, p->body, body->n_inputs, in, 0, 0, c.n_states, out));
    for (int k = 0; k < infer->n_out; k++) {
        const sdx_type *made = k < c.n_states ? &in[k] : &out[k];
        int axis = 0, j = k - c.n_states;
        infer->out[k] = *made;
        if (j >= 0) {
            if (made->rank >= 0)
                SDX_TRY(axis_at(infer->error, "scan_output_axes", &p->out_axes, j, made->rank + 1, &axis));
            infer->out[k] = sdx_type_with_axis(made, axis, length);
        }
        if (c.batched) infer->out[k] = sdx_type_with_axis(&infer->out[k], 0, batch);
    }
    return SDX_OK;
}

/* ---- compute -------------------------------------------------------------------------------------------------- */

typedef struct scan_state {
    sdx_compute *compute;
    const sdx_scan_params *p;
    const sdx_graph *body;
    scan_counts c;
    int64_t extent;              /* of what is stacked: the longest sequence */
    sdx_value **in, **out;       /* of the body; in[0..n_states) are the states */
    sdx_value **stacks;          /* per scanned output of one sequence */
    const sdx_tensor **elements; /* per scan input: the sequence to walk */
} scan_state;

static bool backwards(const sdx_ints *directions, int k) {
    return (size_t)k < directions->n && directions->data[k] == 1;
}

static sdx_status take_elements(scan_state *s, int64_t t, int64_t length) {
    for (int j = 0; j < s->c.n_elements; j++) {
        int axis = 0;
        sdx_value **slot = &s->in[s->c.n_states + j];
        SDX_TRY(axis_at(s->compute->error, "scan_input_axes", &s->p->in_axes, j, s->elements[j]->rank, &axis));
        sdx_value_release(*slot);
        *slot = sdx_slab_of(s->compute, s->elements[j], axis, backwards(&s->p->in_directions, j) ? length - 1 - t : t);
        if (!*slot) return SDX_OUT_OF_MEMORY;
    }
    return SDX_OK;
}

static sdx_status stack_scanned(scan_state *s, int64_t t) {
    for (int j = 0; j < s->c.n_scanned; j++) {
        int axis = 0;
        sdx_value **slab = &s->out[s->c.n_states + j];
        const sdx_tensor *part = &(*slab)->tensor;
        if ((*slab)->kind != SDX_TENSOR)
            return sdx_fail(s->compute->error, SDX_TYPE, "output %d of the body must be a tensor", s->c.n_states + j);
        SDX_TRY(axis_at(s->compute->error, "scan_output_axes", &s->p->out_axes, j, part->rank + 1, &axis));
        if (!s->stacks[j])
            s->stacks[j] = sdx_stack_for(s->compute, part->dtype, part->rank, part->dim, axis, s->extent);
        if (!s->stacks[j]) return SDX_OUT_OF_MEMORY;
        int64_t at = backwards(&s->p->out_directions, j) ? s->extent - 1 - t : t;
        SDX_TRY(sdx_slab_into(s->compute, &s->stacks[j]->tensor, axis, at, part));
        sdx_value_release(*slab);
        *slab = NULL;
    }
    return SDX_OK;
}

/* One sequence: from the states in in[] to those after it, and the stacks. */
static sdx_status run_sequence(scan_state *s, int64_t length) {
    for (int64_t t = 0; t < length; t++) {
        SDX_TRY(sdx_stop_check(s->compute->stop, s->compute->error));
        SDX_TRY(take_elements(s, t, length));
        SDX_TRY(s->compute->services->run_body(s->compute, s->p->body, s->body->n_inputs, s->in, s->body->n_outputs,
                                               s->out));
        for (int k = 0; k < s->c.n_states; k++) {
            sdx_value_release(s->in[k]);
            s->in[k] = s->out[k];
            s->out[k] = NULL;
        }
        SDX_TRY(stack_scanned(s, t));
    }
    for (int j = 0; j < s->c.n_scanned; j++) {
        int axis = 0;
        if (s->stacks[j]) continue;
        const sdx_type *type = &s->body->values[s->body->outputs[s->c.n_states + j]].type;
        int rank = type->rank < 0 ? 0 : type->rank;
        SDX_TRY(axis_at(s->compute->error, "scan_output_axes", &s->p->out_axes, j, rank + 1, &axis));
        s->stacks[j] = sdx_stack_empty(s->compute, type, axis, s->extent);
        if (!s->stacks[j]) return SDX_OUT_OF_MEMORY;
    }
    return SDX_OK;
}

static void give(scan_state *s, sdx_value **values, int n, int first) {
    for (int k = 0; k < n && first + k < s->compute->n_out; k++) {
        if (!s->compute->wanted[first + k]) continue;
        s->compute->services->set_output(s->compute, first + k, values[k]);
        values[k] = NULL;
    }
}

static sdx_status run_plain(scan_state *s) {
    for (int k = 0; k < s->c.n_states; k++) {
        s->in[k] = s->compute->services->share_input(s->compute, k);
        if (!s->in[k]) return SDX_OUT_OF_MEMORY;
    }
    for (int j = 0; j < s->c.n_elements; j++) {
        int axis = 0;
        s->elements[j] = s->compute->in[s->c.n_states + j];
        SDX_TRY(axis_at(s->compute->error, "scan_input_axes", &s->p->in_axes, j, s->elements[j]->rank, &axis));
        int64_t extent = s->elements[j]->dim[axis];
        if (j && extent != s->extent)
            return sdx_fail(s->compute->error, SDX_SHAPE,
                            "scan input %d has %" PRId64 " elements; the first has %" PRId64, j, extent, s->extent);
        s->extent = extent;
    }
    SDX_TRY(run_sequence(s, s->extent));
    give(s, s->in, s->c.n_states, 0);
    give(s, s->stacks, s->c.n_scanned, s->c.n_states);
    return SDX_OK;
}

/* ---- version 8 ------------------------------------------------------------------------------------------------ */

static sdx_status length_of(const scan_state *s, int64_t b, int64_t *length) {
    const sdx_tensor *lengths = s->compute->in[0];
    *length = lengths ? ((const int64_t *)lengths->data)[b] : s->extent;
    if (*length < 0 || *length > s->extent)
        return sdx_fail(s->compute->error, SDX_VALUE,
                        "entry %" PRId64 " of input 'sequence_lens' is %" PRId64 "; it must be in [0, %" PRId64 "]", b,
                        *length, s->extent);
    return SDX_OK;
}

static sdx_status batch_into(scan_state *s, sdx_value **whole, sdx_value **part, int64_t b, int64_t batch) {
    const sdx_tensor *from = &(*part)->tensor;
    if (!*whole) *whole = sdx_stack_for(s->compute, from->dtype, from->rank, from->dim, 0, batch);
    if (!*whole) return SDX_OUT_OF_MEMORY;
    SDX_TRY(sdx_slab_into(s->compute, &(*whole)->tensor, 0, b, from));
    sdx_value_release(*part);
    *part = NULL;
    return SDX_OK;
}

static sdx_status run_one_of_batch(scan_state *s, int64_t b, int64_t batch, sdx_value **sequences, sdx_value **whole) {
    int64_t length = 0;
    SDX_TRY(length_of(s, b, &length));
    for (int k = 0; k < s->c.n_states; k++) {
        sdx_value_release(s->in[k]);
        s->in[k] = sdx_slab_of(s->compute, s->compute->in[1 + k], 0, b);
        if (!s->in[k]) return SDX_OUT_OF_MEMORY;
    }
    for (int j = 0; j < s->c.n_elements; j++) {
        sdx_value_release(sequences[j]);
        sequences[j] = sdx_slab_of(s->compute, s->compute->in[1 + s->c.n_states + j], 0, b);
        if (!sequences[j]) return SDX_OUT_OF_MEMORY;
        s->elements[j] = &sequences[j]->tensor;
    }
    SDX_TRY(run_sequence(s, length));
    for (int k = 0; k < s->c.n_states; k++) SDX_TRY(batch_into(s, &whole[k], &s->in[k], b, batch));
    for (int j = 0; j < s->c.n_scanned; j++) SDX_TRY(batch_into(s, &whole[s->c.n_states + j], &s->stacks[j], b, batch));
    return SDX_OK;
}

/* Batch of 0: there is no element to learn shapes from. */
static sdx_status empty_batch(scan_state *s, sdx_value **whole) {
    for (int k = 0; k < s->c.n_states; k++) {
        whole[k] = s->compute->services->share_input(s->compute, 1 + k);
        if (!whole[k]) return SDX_OUT_OF_MEMORY;
    }
    for (int j = 0; j < s->c.n_scanned; j++) {
        const sdx_type *type = &s->body->values[s->body->outputs[s->c.n_states + j]].type;
        sdx_type sequence = sdx_type_with_axis(type, 0, s->extent);
        whole[s->c.n_states + j] = sdx_stack_empty(s->compute, &sequence, 0, 0);
        if (!whole[s->c.n_states + j]) return SDX_OUT_OF_MEMORY;
    }
    return SDX_OK;
}

static sdx_status check_batch(const scan_state *s, int64_t batch) {
    const sdx_compute *compute = s->compute;
    for (int k = compute->in[0] ? 0 : 1; k < compute->n_in; k++)
        if (compute->in[k]->rank < 1 || compute->in[k]->dim[0] != batch)
            return sdx_fail(compute->error, SDX_SHAPE, "input %d has no batch axis of %" PRId64 " elements", k, batch);
    for (int j = 0; j < s->c.n_elements; j++) {
        const sdx_tensor *sequence = compute->in[1 + s->c.n_states + j];
        if (sequence->rank < 2 || sequence->dim[1] != s->extent)
            return sdx_fail(compute->error, SDX_SHAPE, "scan input %d has no second axis of %" PRId64 " elements", j,
                            s->extent);
    }
    return SDX_OK;
}

static sdx_status run_batch(scan_state *s, sdx_value **sequences, sdx_value **whole) {
    const sdx_tensor *first = s->compute->in[1 + s->c.n_states];
    int64_t batch = first->rank > 0 ? first->dim[0] : 0;
    s->extent = first->rank > 1 ? first->dim[1] : 0;
    SDX_TRY(check_batch(s, batch));
    for (int64_t b = 0; b < batch; b++) SDX_TRY(run_one_of_batch(s, b, batch, sequences, whole));
    if (batch == 0) SDX_TRY(empty_batch(s, whole));
    give(s, whole, s->c.n_states + s->c.n_scanned, 0);
    return SDX_OK;
}

static sdx_status scan_compute(sdx_compute *compute, const void *params) {
    const sdx_scan_params *p = params;
    scan_state s = {.compute = compute,
                    .p = p,
                    .body = compute->node->bodies[p->body],
                    .c = count(compute->node, p, compute->since, compute->n_in)};
    int n_in = s.body->n_inputs, n_out = s.body->n_outputs;
    s.in = sdx_value_array(compute, n_in);
    s.out = sdx_value_array(compute, n_out);
    s.stacks = sdx_value_array(compute, s.c.n_scanned);
    sdx_value **sequences = sdx_value_array(compute, s.c.n_elements), **whole = sdx_value_array(compute, n_out);
    s.elements = compute->services->alloc(compute, (size_t)s.c.n_elements * sizeof *s.elements);
    if (!s.in || !s.out || !s.stacks || !sequences || !whole || !s.elements) return SDX_OUT_OF_MEMORY;
    sdx_status status = s.c.batched ? run_batch(&s, sequences, whole) : run_plain(&s);
    sdx_release_values(s.in, n_in);
    sdx_release_values(s.out, n_out);
    sdx_release_values(s.stacks, s.c.n_scanned);
    sdx_release_values(sequences, s.c.n_elements);
    sdx_release_values(whole, n_out);
    return status;
}

const sdx_op sdx_op_Scan = {
    .domain = "",
    .name = "Scan",
    .versions = versions,
    .params_size = sizeof(sdx_scan_params),
    .bind = scan_bind,
    .infer = scan_infer,
    .compute = scan_compute,
    .grad = sdx_scan_grad,
};
