/* SPDX-License-Identifier: Apache-2.0
 * One parameter and its optimizer, as a session that makes steps. */
#ifndef SDX_TESTS_OPTIMIZER_SESSION_H
#define SDX_TESTS_OPTIMIZER_SESSION_H
#include "runtime/base/half.h"
#include "runtime/train/train.h"
#include "tests/unit/support.h"

typedef struct stepper {
    sdx_model *model;
    sdx_session *session;
    int slots;
    int64_t n, t;
    const char *names[SDX_MOST_SLOTS];
    double fill[SDX_MOST_SLOTS];
    sdx_value *g, *w, *slot[SDX_MOST_SLOTS];
} stepper;

static inline double get(const sdx_value *value, int64_t k) {
    const void *data = value->tensor.data;
    switch ((int)value->tensor.dtype) {
    case SDX_F64: return ((const double *)data)[k];
    case SDX_F32: return (double)((const float *)data)[k];
    case SDX_F16: return (double)sdx_f32_from_f16(((const uint16_t *)data)[k]);
    default: return (double)sdx_f32_from_bf16(((const uint16_t *)data)[k]);
    }
}

static inline void put(sdx_value *value, int64_t k, double x) {
    void *data = value->tensor.data;
    switch ((int)value->tensor.dtype) {
    case SDX_F64: ((double *)data)[k] = x; break;
    case SDX_F32: ((float *)data)[k] = (float)x; break;
    case SDX_F16: ((uint16_t *)data)[k] = sdx_f16_from_f64(x); break;
    default: ((uint16_t *)data)[k] = sdx_bf16_from_f64(x); break;
    }
}

static inline void expand_first(sdx_graph *graph) {
    sdx_node *node = graph->nodes[0];
    sdx_patch patch;
    sdx_patch_begin(&patch, graph, &test_error);
    OK(node->op->expand(&patch, node, node->params));
    OK(sdx_patch_commit(&patch));
    for (int k = 0; k < graph->n_nodes; k++) assert_string_equal(graph->nodes[k]->domain, "");
}

static const char *const stepped_names[] = {"new_w", "s0", "s1", "s2", "s3"};

static inline sdx_model *stepper_model(const stepper *s, const sdx_optimizer_options *options, double weight_decay,
                                       sdx_prox prox, sdx_dtype dtype, bool expanded) {
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    sdx_update update = {.weight_decay = weight_decay, .prox = prox};
    sdx_patch patch;
    update.w = add_input(graph, "w", dtype, 1, &s->n);
    update.g = add_input(graph, "g", dtype, 1, &s->n);
    update.lr = add_input(graph, "lr", SDX_F64, SCALAR);
    update.step = add_input(graph, "step", SDX_I64, SCALAR);
    for (int k = 0; k < s->slots; k++) update.slot[k] = add_input(graph, s->names[k], dtype, 1, &s->n);
    sdx_patch_begin(&patch, graph, &test_error);
    OK(sdx_optimizer_emit(&patch, options, &update));
    for (int k = 0; k <= s->slots; k++) {
        const sdx_id id = k ? update.new_slot[k - 1] : update.new_w;
        graph->values[id].name = stepped_names[k];
        add_output(graph, id);
    }
    OK(sdx_patch_commit(&patch));
    OK(sdx_settle_graph(graph, &test_error));
    if (expanded) expand_first(graph);
    finish_model(model);
    return model;
}

/* w starts as zeros. */
static inline void stepper_open(stepper *s, const sdx_optimizer_options *options, double weight_decay, sdx_prox prox,
                                sdx_dtype dtype, int64_t n, bool expanded, int threads) {
    *s = (stepper){.n = n};
    s->slots = sdx_optimizer_slots(options, s->names, s->fill);
    s->model = stepper_model(s, options, weight_decay, prox, dtype, expanded);
    s->session = new_session(s->model, threads);
    s->g = new_tensor(dtype, 1, &n, NULL);
    s->w = new_tensor(dtype, 1, &n, NULL);
    for (int k = 0; k < s->slots; k++) s->slot[k] = new_tensor(dtype, 1, &n, NULL);
    for (int64_t i = 0; i < n; i++) {
        put(s->w, i, 0), put(s->g, i, 0);
        for (int k = 0; k < s->slots; k++) put(s->slot[k], i, s->fill[k]);
    }
}

/* With the gradient that g holds. */
static inline void stepper_step(stepper *s, double lr) {
    sdx_binding in[4 + SDX_MOST_SLOTS] = {{"w", s->w}, {"g", s->g}}, out[1 + SDX_MOST_SLOTS];
    s->t++;
    in[2] = (sdx_binding){"lr", new_tensor(SDX_F64, SCALAR, &lr)};
    in[3] = (sdx_binding){"step", new_tensor(SDX_I64, SCALAR, &s->t)};
    for (int k = 0; k < s->slots; k++) in[4 + k] = (sdx_binding){s->names[k], s->slot[k]};
    for (int k = 0; k <= s->slots; k++) out[k] = (sdx_binding){stepped_names[k], NULL};
    OK(sdx_session_run(s->session, in, (size_t)(4 + s->slots), out, (size_t)(1 + s->slots), &test_error));
    sdx_value_release(in[2].value), sdx_value_release(in[3].value), sdx_value_release(s->w);
    s->w = out[0].value;
    for (int k = 0; k < s->slots; k++) {
        sdx_value_release(s->slot[k]);
        s->slot[k] = out[1 + k].value;
    }
}

static inline void stepper_close(stepper *s) {
    sdx_value_release(s->g), sdx_value_release(s->w);
    for (int k = 0; k < s->slots; k++) sdx_value_release(s->slot[k]);
    sdx_session_destroy(s->session);
    sdx_model_close(s->model);
}

#endif
