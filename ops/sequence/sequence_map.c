/* SPDX-License-Identifier: Apache-2.0
 * SequenceMap: runs the body once for each item of the first sequence; further sequences are walked alongside, tensors
 * are given to every run. Each output of the body becomes a sequence. */
#include "ops/sequence/sequence.h"
#include "ops/sequence/sequence_grad.h"
#include <inttypes.h>

typedef struct sequence_map_params {
    int body;
} sequence_map_params;

static sdx_status sequence_map_bind(sdx_bind *bind, void *params) {
    sequence_map_params *p = params;
    p->body = sdx_bind_body(bind, "body");
    if (bind->status != SDX_OK) return bind->status;
    const sdx_graph *body = bind->node->bodies[p->body];
    if (body->n_inputs != bind->node->n_in || body->n_outputs < bind->node->n_out)
        return sdx_bind_fail(bind, SDX_MALFORMED, "body '%s' has %d inputs and %d outputs; the node has %d and %d",
                             body->name, body->n_inputs, body->n_outputs, bind->node->n_in, bind->node->n_out);
    return bind->status;
}

static sdx_dtype body_dtype(const sdx_graph *body, int k) { return body->values[body->outputs[k]].type.dtype; }

static sdx_status sequence_map_infer(sdx_infer *infer, const void *params) {
    const sequence_map_params *p = params;
    const sdx_graph *body = infer->node->bodies[p->body];
    sdx_type *in = SDX_NEW_ARRAY(infer->arena, sdx_type, infer->n_in, infer->error);
    sdx_type *out = SDX_NEW_ARRAY(infer->arena, sdx_type, body->n_outputs, infer->error);
    if (!in || !out) return infer->error->status;
    for (int k = 0; k < infer->n_in; k++) {
        const sdx_type *type = infer->in[k];
        in[k] = !type ? (sdx_type){.rank = -1} : *type;
        if (type && type->kind == SDX_SEQUENCE) in[k] = type->elem ? *type->elem : (sdx_type){.rank = -1};
    }
    SDX_TRY(infer->infer_body(infer, p->body, infer->n_in, in, out));
    for (int k = 0; k < infer->n_out; k++) {
        if (out[k].kind > SDX_TENSOR) return sdx_fail(infer->error, SDX_TYPE, "output %d of the body is no tensor", k);
        SDX_TRY(sdx_infer_sequence(infer, k, out[k].dtype));
    }
    return SDX_OK;
}

/* All of one call; the references in shared[] and made[] are released at its end. */
typedef struct map_run {
    size_t n;              /* items */
    sdx_value **in, **out; /* of one run of the body */
    sdx_value **shared;    /* tensors that every run gets */
    sdx_value **made;      /* [output][item] */
} map_run;

static sdx_status map_begin(sdx_compute *compute, int n_out, map_run *run) {
    const sdx_value *first = NULL;
    size_t bytes = 0;
    SDX_TRY(sdx_sequence_input(compute, 0, &first));
    run->n = first->n_items;
    if (!sdx_size_mul(run->n, (size_t)n_out, &bytes))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "%zu items are too many", run->n);
    run->in = sdx_sequence_room(compute, (size_t)compute->n_in);
    run->shared = sdx_sequence_room(compute, (size_t)compute->n_in);
    run->out = sdx_sequence_room(compute, (size_t)n_out);
    run->made = sdx_sequence_room(compute, bytes);
    if (!run->in || !run->shared || !run->out || !run->made) return compute->error->status;
    for (int k = 0; k < compute->n_in; k++) {
        const sdx_value *value = compute->in_value[k];
        if (value && value->kind == SDX_SEQUENCE) {
            if (value->n_items == run->n) continue;
            return sdx_fail(compute->error, SDX_VALUE, "input %d is a sequence of %zu items; 'input_sequence' has %zu",
                            k, value->n_items, run->n);
        }
        run->shared[k] = compute->services->share_input(compute, k);
        if (!run->shared[k]) return compute->error->status;
    }
    return SDX_OK;
}

static sdx_status map_items(sdx_compute *compute, int body, int n_out, map_run *run) {
    for (size_t i = 0; i < run->n; i++) {
        for (int k = 0; k < compute->n_in; k++)
            run->in[k] = run->shared[k] ? run->shared[k] : compute->in_value[k]->items[i];
        for (int k = 0; k < n_out; k++) run->out[k] = NULL;
        SDX_TRY(compute->services->run_body(compute, body, compute->n_in, run->in, n_out, run->out));
        for (int k = 0; k < n_out; k++) run->made[(size_t)k * run->n + i] = run->out[k];
    }
    return SDX_OK;
}

static sdx_status map_outputs(sdx_compute *compute, const sdx_graph *body, map_run *run) {
    for (int k = 0; k < compute->n_out; k++) {
        sdx_value **items = run->made + (size_t)k * run->n;
        if (!compute->wanted[k]) continue;
        sdx_dtype dtype = run->n ? items[0]->tensor.dtype : body_dtype(body, k);
        sdx_status status = sdx_sequence_output(compute, k, items, run->n, dtype);
        for (size_t i = 0; i < run->n; i++) items[i] = NULL;
        SDX_TRY(status);
    }
    return SDX_OK;
}

static sdx_status sequence_map_compute(sdx_compute *compute, const void *params) {
    const sequence_map_params *p = params;
    const sdx_graph *body = compute->node->bodies[p->body];
    int n_out = body->n_outputs;
    map_run run = {0};
    sdx_status status = map_begin(compute, n_out, &run);
    if (status == SDX_OK) status = map_items(compute, p->body, n_out, &run);
    if (status == SDX_OK) status = map_outputs(compute, body, &run);
    for (int k = 0; run.shared && k < compute->n_in; k++) sdx_value_release(run.shared[k]);
    for (size_t i = 0; run.made && i < run.n * (size_t)n_out; i++) sdx_value_release(run.made[i]);
    return status;
}

static sdx_status sequence_map_grad(sdx_grad *grad, const void *params) {
    return sdx_sequence_map_back(grad, ((const sequence_map_params *)params)->body);
}

const sdx_op sdx_op_SequenceMap = {
    .domain = "",
    .name = "SequenceMap",
    .versions =
        (const sdx_op_version[]){
            {17, "input_sequence:S additional_inputs:V**0 -> out_sequence:S**",
             "S=seq(" SDX_T_ALL ") V=" SDX_T_ALL "|seq(" SDX_T_ALL ")", "body:graph!"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sequence_map_params),
    .bind = sequence_map_bind,
    .infer = sequence_map_infer,
    .compute = sequence_map_compute,
    .grad = sequence_map_grad,
};
