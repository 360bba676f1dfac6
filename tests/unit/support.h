/* SPDX-License-Identifier: Apache-2.0
 * Graphs built in memory for tests. A failure stops the test and says why. */
#ifndef SDX_TESTS_SUPPORT_H
#define SDX_TESTS_SUPPORT_H
#include "runtime/exec/exec.h"
#include "runtime/load/load.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define OK(call)                                                                                                       \
    do {                                                                                                               \
        sdx_status ok_status_ = (call);                                                                                \
        if (ok_status_ != SDX_OK) fail_msg("%s: %s: %s", #call, sdx_status_text(ok_status_), test_error.message);      \
    } while (0)

#define CONTAINS(text, words)                                                                                          \
    do {                                                                                                               \
        if (!strstr((text), (words))) fail_msg("'%s' does not contain '%s'", (text), (words));                         \
    } while (0)

#define IDS(...)                                                                                                       \
    (int)(sizeof((sdx_id[]){__VA_ARGS__}) / sizeof(sdx_id)), (sdx_id[]) { __VA_ARGS__ }
#define DIMS(...)                                                                                                      \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) { __VA_ARGS__ }
#define SCALAR 0, NULL

static sdx_error test_error;

static inline sdx_model *new_model(void) {
    static sdx_opset opset = {"", 21};
    sdx_model *model = NULL;
    test_error = (sdx_error){0};
    OK(sdx_model_create("test.onnx", 0, &test_error, &model));
    model->opsets = &opset;
    model->n_opsets = 1;
    model->ir_version = 10;
    return model;
}

/* A dim of -1 is unknown. */
static inline sdx_id add_input(sdx_graph *graph, const char *name, sdx_dtype dtype, int rank, const int64_t *dims) {
    sdx_type type = sdx_type_make(dtype, rank);
    for (int d = 0; d < rank; d++) type.dim[d] = dims[d];
    sdx_id id = sdx_graph_add_value(graph, name, &type, &test_error);
    assert_int_not_equal(id, SDX_NONE);
    OK(sdx_graph_add_input(graph, id, &test_error));
    return id;
}

static inline sdx_value *new_tensor(sdx_dtype dtype, int rank, const int64_t *dims, const void *data) {
    sdx_value *value = NULL;
    OK(sdx_value_create(dtype, rank, dims, &test_error, &value));
    if (data && value->tensor.count) memcpy(value->tensor.data, data, sdx_tensor_bytes(&value->tensor));
    return value;
}

static inline sdx_id add_constant(sdx_graph *graph, const char *name, sdx_dtype dtype, int rank, const int64_t *dims,
                                  const void *data) {
    sdx_value *value = new_tensor(dtype, rank, dims, data);
    sdx_id id = sdx_graph_add_value(graph, name, NULL, &test_error);
    assert_int_not_equal(id, SDX_NONE);
    sdx_graph_set_constant(graph, id, value);
    sdx_value_release(value);
    return id;
}

/* A node with n_out outputs called `name`, `name`1, `name`2...; its first output. */
static inline sdx_node *add_node_n(sdx_graph *graph, const char *op, const char *name, int n_out, int n_in,
                                   const sdx_id *in) {
    sdx_id out[8];
    for (int k = 0; k < n_out; k++) {
        char text[64];
        snprintf(text, sizeof text, k ? "%s%d" : "%s", name, k);
        out[k] = sdx_graph_add_value(graph, sdx_arena_copy(graph->arena, text, strlen(text), &test_error), NULL,
                                     &test_error);
        assert_int_not_equal(out[k], SDX_NONE);
    }
    sdx_node *node = sdx_graph_add_node(graph, "", op, name, n_in, in, n_out, out, &test_error);
    if (!node) fail_msg("%s", test_error.message);
    return node;
}

static inline sdx_id add_node(sdx_graph *graph, const char *op, const char *name, int n_in, const sdx_id *in) {
    return add_node_n(graph, op, name, 1, n_in, in)->out[0];
}

static inline void set_int(sdx_graph *graph, sdx_node *node, const char *name, int64_t value) {
    sdx_attr attr = {.name = name, .type = SDX_ATTR_INT, .n = 1, .i = value};
    OK(sdx_node_set_attr(graph, node, &attr, &test_error));
}

static inline void set_ints(sdx_graph *graph, sdx_node *node, const char *name, size_t n, const int64_t *values) {
    sdx_attr attr = {.name = name, .type = SDX_ATTR_INTS, .n = n, .ints = values};
    OK(sdx_node_set_attr(graph, node, &attr, &test_error));
}

static inline void set_body(sdx_graph *graph, sdx_node *node, const char *name, sdx_graph *body) {
    sdx_attr attr = {.name = name, .type = SDX_ATTR_GRAPH, .n = 1, .graph = body};
    OK(sdx_node_set_attr(graph, node, &attr, &test_error));
}

static inline sdx_graph *new_body(sdx_graph *parent, const char *name) {
    sdx_graph *body = sdx_graph_create(parent->arena, name, parent, &test_error);
    assert_non_null(body);
    return body;
}

static inline sdx_id capture(sdx_graph *body, sdx_id outer) {
    sdx_id id = sdx_graph_capture(body, outer, &test_error);
    assert_int_not_equal(id, SDX_NONE);
    return id;
}

static inline void add_output(sdx_graph *graph, sdx_id id) { OK(sdx_graph_add_output(graph, id, &test_error)); }

static inline void finish_model(sdx_model *model) {
    sdx_model_options options = {.size = sizeof options, .optimise = SDX_OPTIMISE_NONE};
    OK(sdx_graph_sort(model->graph, &test_error));
    OK(sdx_load_finish(model, &options, &test_error));
}

static inline sdx_session *new_session(const sdx_model *model, int threads) {
    sdx_session_options options = {.size = sizeof options, .threads = threads};
    sdx_session *session = NULL;
    OK(sdx_session_create(model, &options, &test_error, &session));
    return session;
}

/* One output of a run whose inputs are all given; the caller releases it. */
static inline sdx_value *run_one(sdx_session *session, const sdx_binding *in, size_t n_in, const char *name) {
    sdx_binding out = {name, NULL};
    OK(sdx_session_run(session, in, n_in, &out, 1, &test_error));
    return out.value;
}

static inline void expect_tensor(const sdx_value *value, sdx_dtype dtype, int rank, const int64_t *dims,
                                 const void *data) {
    char is[256], want[256];
    sdx_tensor shape;
    OK(sdx_tensor_make(&shape, dtype, rank, dims, NULL, &test_error));
    assert_non_null(value);
    assert_int_equal(value->kind, SDX_TENSOR);
    if (value->tensor.dtype != dtype || value->tensor.rank != rank ||
        memcmp(value->tensor.dim, shape.dim, sizeof shape.dim) != 0)
        fail_msg("got %s, expected %s", sdx_tensor_text(&value->tensor, is, sizeof is),
                 sdx_tensor_text(&shape, want, sizeof want));
    if (dtype == SDX_F32)
        for (int64_t i = 0; i < shape.count; i++) {
            float got = ((const float *)value->tensor.data)[i], wanted = ((const float *)data)[i];
            if (memcmp(&got, &wanted, sizeof got) != 0)
                fail_msg("element %lld is %.9g, expected %.9g", (long long)i, (double)got, (double)wanted);
        }
    else if (shape.count)
        assert_memory_equal(value->tensor.data, data, sdx_tensor_bytes(&shape));
}

#endif
