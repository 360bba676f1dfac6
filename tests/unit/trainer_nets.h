/* SPDX-License-Identifier: Apache-2.0
 * Small networks and batches for tests of the trainer. */
#ifndef SDX_TESTS_TRAINER_NETS_H
#define SDX_TESTS_TRAINER_NETS_H
#include "tests/unit/support.h"
#include <math.h>
#include <sardonyx_train.h>
#include <stdlib.h>

enum { FEATURES = 5, HIDDEN = 7, CLASSES = 3 };

/* Repeatable numbers in [-1, 1). */
static inline double noise(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)(*state >> 11) * 0x1p-52 - 1;
}

static inline sdx_id noise_constant(sdx_graph *graph, const char *name, sdx_dtype dtype, int rank, const int64_t *dims,
                                    double scale, uint64_t seed) {
    sdx_value *value = new_tensor(dtype, rank, dims, NULL);
    for (int64_t i = 0; i < value->tensor.count; i++) {
        double x = scale * noise(&seed);
        if (dtype == SDX_F64)
            ((double *)value->tensor.data)[i] = x;
        else
            ((float *)value->tensor.data)[i] = (float)x;
    }
    sdx_id id = sdx_graph_add_value(graph, name, NULL, &test_error);
    assert_int_not_equal(id, SDX_NONE);
    sdx_graph_set_constant(graph, id, value);
    sdx_value_release(value);
    return id;
}

/* x [N, 5] -> Gemm 'fc1' -> Tanh 'act' (-> Dropout 'drop') -> Gemm 'fc2' -> logits [N, 3] */
static inline sdx_model *new_mlp(sdx_dtype dtype, double dropout) {
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    sdx_type x_type = sdx_type_make(dtype, 2);
    x_type.dim[0] = sdx_graph_symbol(graph, "N", &test_error);
    x_type.dim[1] = FEATURES;
    sdx_id x = sdx_graph_add_value(graph, "x", &x_type, &test_error);
    OK(sdx_graph_add_input(graph, x, &test_error));
    sdx_id w1 = noise_constant(graph, "fc1.weight", dtype, DIMS(FEATURES, HIDDEN), .6, 1);
    sdx_id b1 = noise_constant(graph, "fc1.bias", dtype, DIMS(HIDDEN), .3, 2);
    sdx_id w2 = noise_constant(graph, "fc2.weight", dtype, DIMS(HIDDEN, CLASSES), .6, 3);
    sdx_id b2 = noise_constant(graph, "fc2.bias", dtype, DIMS(CLASSES), .3, 4);
    sdx_id h = add_node_n(graph, "Gemm", "fc1", 1, IDS(x, w1, b1))->out[0];
    h = add_node_n(graph, "Tanh", "act", 1, IDS(h))->out[0];
    if (dropout > 0) {
        float ratio = (float)dropout;
        bool train = false;
        sdx_id r = add_constant(graph, "ratio", SDX_F32, SCALAR, &ratio);
        sdx_id t = add_constant(graph, "train", SDX_BOOL, SCALAR, &train);
        h = add_node_n(graph, "Dropout", "drop", 1, IDS(h, r, t))->out[0];
    }
    sdx_id logits = add_node_n(graph, "Gemm", "logits", 1, IDS(h, w2, b2))->out[0];
    add_output(graph, logits);
    finish_model(model);
    return model;
}

/* Inputs and labels of n samples of three classes that can be told apart. */
typedef struct net_batch {
    sdx_binding bindings[2];
} net_batch;

static inline net_batch new_batch(sdx_dtype dtype, int64_t n, uint64_t seed) {
    net_batch b = {{{"x", new_tensor(dtype, DIMS(n, FEATURES), NULL)}, {"y", new_tensor(SDX_I64, DIMS(n), NULL)}}};
    for (int64_t i = 0; i < n; i++) {
        int64_t class = (int64_t)((noise(&seed) + 1) * .5 * CLASSES);
        ((int64_t *)b.bindings[1].value->tensor.data)[i] = class;
        for (int64_t k = 0; k < FEATURES; k++) {
            double x = .5 * noise(&seed) + (k == class ? 1 : 0);
            if (dtype == SDX_F64)
                ((double *)b.bindings[0].value->tensor.data)[i * FEATURES + k] = x;
            else
                ((float *)b.bindings[0].value->tensor.data)[i * FEATURES + k] = (float)x;
        }
    }
    return b;
}

static inline void drop_batch(net_batch *b) {
    for (int k = 0; k < 2; k++) sdx_value_release(b->bindings[k].value);
}

static inline sdx_train_options plain_options(void) {
    return (sdx_train_options){.size = sizeof(sdx_train_options),
                               .loss = {.kind = SDX_LOSS_CROSS_ENTROPY},
                               .optimizer = {.kind = SDX_OPTIMIZER_ADAM, .lr = .01},
                               .threads = 1};
}

static inline sdx_trainer *new_trainer(const sdx_model *model, const sdx_train_options *options) {
    sdx_trainer *trainer = NULL;
    test_error = (sdx_error){0};
    OK(sdx_trainer_create(model, options, &test_error, &trainer));
    return trainer;
}

static inline sdx_step_result step(sdx_trainer *trainer, const net_batch *b) {
    sdx_step_result result;
    OK(sdx_trainer_step(trainer, b->bindings, 2, &result, &test_error));
    return result;
}

/* Every variable of both trainers has the same bits. */
static inline void expect_same(const sdx_trainer *a, const sdx_trainer *b, const char *when) {
    size_t n = sdx_trainer_parameter_count(a);
    assert_int_equal(n, sdx_trainer_parameter_count(b));
    for (size_t k = 0; k < n; k++) {
        const char *name = sdx_trainer_parameter(a, k)->name;
        sdx_value *x = NULL, *y = NULL;
        OK(sdx_trainer_get_parameter(a, name, false, &test_error, &x));
        OK(sdx_trainer_get_parameter(b, name, false, &test_error, &y));
        if (memcmp(x->tensor.data, y->tensor.data, sdx_tensor_bytes(&x->tensor)) != 0)
            fail_msg("%s: '%s' differs", when, name);
        sdx_value_release(x);
        sdx_value_release(y);
    }
}

#endif
