/* SPDX-License-Identifier: Apache-2.0
 * What the tests of preparation share. */
#ifndef SDX_TESTS_TRAIN_SUPPORT_H
#define SDX_TESTS_TRAIN_SUPPORT_H
#include "runtime/train/train.h"
#include "tests/unit/support.h"

static inline sdx_train_options training(sdx_loss_kind kind) {
    return (sdx_train_options){.size = sizeof(sdx_train_options), .loss = {.kind = kind}};
}

static inline sdx_prepared *prepared(const sdx_model *model, const sdx_train_options *options) {
    sdx_prepared *out = NULL;
    test_error = (sdx_error){0};
    OK(sdx_prepare(model, options, &test_error, &out));
    OK(sdx_graph_check(out->training->graph, &test_error));
    OK(sdx_graph_check(out->inference->graph, &test_error));
    return out;
}

/* The message of a preparation that fails. */
static inline const char *refused(const sdx_model *model, const sdx_train_options *options, sdx_status status) {
    sdx_prepared *out = NULL;
    test_error = (sdx_error){0};
    assert_int_equal(sdx_prepare(model, options, &test_error, &out), status);
    assert_null(out);
    return test_error.message;
}

static inline const sdx_variable *find_variable(const sdx_prepared *p, const char *name) {
    for (int k = 0; k < p->n_variables; k++)
        if (strcmp(p->variables[k].name, name) == 0) return &p->variables[k];
    return NULL;
}

static inline const sdx_variable *variable(const sdx_prepared *p, const char *name) {
    const sdx_variable *found = find_variable(p, name);
    if (!found) fail_msg("there is no variable '%s'", name);
    return found;
}

static inline void has_role(const sdx_prepared *p, const char *name, int role) {
    const sdx_variable *found = find_variable(p, name);
    int is = found ? (int)found->role : 0;
    if (is != role) fail_msg("'%s' has role %d, expected %d", name, is, role);
}

static inline const sdx_node *node_of(const sdx_graph *graph, const char *op_type) {
    for (int k = 0; k < graph->n_nodes; k++)
        if (strcmp(graph->nodes[k]->op_type, op_type) == 0) return graph->nodes[k];
    return NULL;
}

static inline bool noted(const sdx_prepared *p, const char *words) {
    for (int k = 0; k < p->n_notes; k++)
        if (strstr(p->notes[k], words)) return true;
    return false;
}

/* Ones, so that nothing is all zero; the last element is 2. */
static inline sdx_id weight(sdx_graph *graph, const char *name, int rank, const int64_t *dims) {
    float data[1024];
    int64_t count = 1;
    for (int d = 0; d < rank; d++) count *= dims[d];
    assert_true(count <= 1024);
    for (int64_t k = 0; k < count; k++) data[k] = k == count - 1 ? 2.0f : 1.0f;
    return add_constant(graph, name, SDX_F32, rank, dims, data);
}

static inline sdx_id filled(sdx_graph *graph, const char *name, int64_t n, float value) {
    float data[64];
    for (int64_t k = 0; k < n; k++) data[k] = value;
    return add_constant(graph, name, SDX_F32, DIMS(n), data);
}

#endif
