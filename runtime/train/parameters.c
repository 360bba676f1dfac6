/* SPDX-License-Identifier: Apache-2.0
 * Looking at variables and setting them, by name or PyTorch path. Values that are handed out are copies. */
#include "runtime/base/half.h"
#include "runtime/train/trainer.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

int sdx_trainer_find(const sdx_trainer *t, const char *name, sdx_error *error) {
    for (int v = 0; v < t->prepared->n_variables; v++)
        if (strcmp(t->infos[v].name, name) == 0) return v;
    for (int v = 0; v < t->prepared->n_variables; v++)
        if (strcmp(t->infos[v].path, name) == 0) return v;
    char text[128];
    sdx_fail(error, SDX_ARGUMENT, "there is no parameter '%s'", sdx_escape(text, sizeof text, name, strlen(name)));
    return -1;
}

int sdx_trainer_weight_of(const sdx_trainer *t, int variable) {
    for (int w = 0; w < t->n_weights; w++)
        if (t->weights[w].variable == variable) return w;
    return -1;
}

static sdx_status hand_out(const sdx_value *value, sdx_error *error, sdx_value **out) {
    sdx_error own = {0};
    if (!error) error = &own;
    *out = sdx_value_copy(NULL, value, error);
    return *out ? SDX_OK : error->status;
}

sdx_status sdx_trainer_read(const sdx_trainer *t, const char *name, bool averaged, sdx_error *error, sdx_value **out) {
    int v = sdx_trainer_find(t, name, error);
    if (v < 0) return SDX_ARGUMENT;
    if (averaged && !(t->options.ema > 0)) return sdx_fail(error, SDX_ARGUMENT, "no averages are kept: 'ema' is 0");
    int w = averaged ? sdx_trainer_weight_of(t, v) : -1;
    return hand_out(w >= 0 ? t->weights[w].ema.now : t->variables[v].now, error, out);
}

sdx_status sdx_trainer_write(sdx_trainer *t, const char *name, const sdx_value *value, sdx_error *error) {
    sdx_error own = {0};
    char is[256], wants[256];
    if (!error) error = &own;
    int v = sdx_trainer_find(t, name, error);
    if (v < 0) return SDX_ARGUMENT;
    const sdx_tensor *have = &t->variables[v].now->tensor, *given = &value->tensor;
    bool fits = value->kind == SDX_TENSOR && given->dtype == have->dtype && given->rank == have->rank;
    for (int d = 0; fits && d < have->rank; d++) fits = given->dim[d] == have->dim[d];
    if (!fits)
        return sdx_fail(error, value->kind == SDX_TENSOR && given->dtype == have->dtype ? SDX_SHAPE : SDX_TYPE,
                        "the value for '%s' is %s; it must be %s", t->infos[v].name,
                        value->kind == SDX_TENSOR ? sdx_tensor_text(given, is, sizeof is) : "no tensor",
                        sdx_tensor_text(have, wants, sizeof wants));
    sdx_value *copy = sdx_value_copy_tensor(t->memory, given, error);
    if (!copy) return error->status;
    sdx_value_release(t->variables[v].now);
    t->variables[v].now = copy;
    return SDX_OK;
}

sdx_status sdx_trainer_read_gradient(const sdx_trainer *t, const char *name, sdx_error *error, sdx_value **out) {
    if (!t->has_gradients)
        return sdx_fail(error, SDX_ARGUMENT,
                        "there are no gradients: no step or sdx_trainer_gradients has succeeded "
                        "since the last failure");
    for (size_t k = 0; k < t->options.n_input_gradients; k++)
        if (strcmp(t->options.input_gradients[k], name) == 0) return hand_out(t->input_gradients[k].now, error, out);
    int v = sdx_trainer_find(t, name, error);
    if (v < 0) return SDX_ARGUMENT;
    int w = sdx_trainer_weight_of(t, v);
    if (w < 0) return sdx_fail(error, SDX_ARGUMENT, "'%s' is not trained and has no gradient", t->infos[v].name);
    return hand_out(t->weights[w].gradient.now, error, out);
}

/* ---- Sparsity -------------------------------------------------------------------------------------------------- */

double sdx_trainer_element(const sdx_tensor *tensor, int64_t i) {
    if (tensor->dtype == SDX_F32) return (double)((const float *)tensor->data)[i];
    if (tensor->dtype == SDX_F64) return ((const double *)tensor->data)[i];
    uint16_t bits = ((const uint16_t *)tensor->data)[i];
    return (double)(tensor->dtype == SDX_F16 ? sdx_f32_from_f16(bits) : sdx_f32_from_bf16(bits));
}

/* The axis along which inputs lie: [out, in, ...] for Conv and Gemm with transB, [in, out] else. */
static int input_axis(const sdx_trainer *t, int v) {
    const sdx_graph *graph = t->prepared->inference->graph;
    const sdx_variable *variable = &t->prepared->variables[v];
    const sdx_tensor *tensor = &t->variables[v].now->tensor;
    if (variable->role != SDX_ROLE_KERNEL || tensor->rank < 2) return -1;
    for (int i = 0; i < graph->n_nodes; i++) {
        const sdx_node *node = graph->nodes[i];
        if (node->n_in < 2 || node->in[1] != variable->exported) continue;
        const sdx_attr *transposed = sdx_node_attr(node, "transB");
        if (strcmp(node->op_type, "Conv") == 0) return 1;
        if (strcmp(node->op_type, "ConvTranspose") == 0) return 0;
        return transposed && transposed->i ? 1 : tensor->rank - 2;
    }
    return -1;
}

static sdx_status list_zero_inputs(const sdx_tensor *tensor, int axis, sdx_error *error, sdx_sparsity *out) {
    int64_t n = tensor->dim[axis], inner = 1;
    for (int d = axis + 1; d < tensor->rank; d++) inner *= tensor->dim[d];
    bool *alive = calloc((size_t)n + 1, sizeof *alive);
    out->zero_inputs = calloc((size_t)n + 1, sizeof *out->zero_inputs);
    if (!alive || !out->zero_inputs) {
        free(alive);
        free(out->zero_inputs);
        out->zero_inputs = NULL;
        return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", (size_t)n * sizeof *out->zero_inputs);
    }
    for (int64_t i = 0; i < tensor->count; i++)
        if (sdx_trainer_element(tensor, i) != 0) alive[i / inner % n] = true;
    for (int64_t k = 0; k < n; k++)
        if (!alive[k]) out->zero_inputs[out->n_zero_inputs++] = k;
    free(alive);
    return SDX_OK;
}

sdx_status sdx_trainer_count_zeros(const sdx_trainer *t, const char *name, double threshold, sdx_error *error,
                                   sdx_sparsity *out) {
    int v = sdx_trainer_find(t, name, error);
    if (v < 0) return SDX_ARGUMENT;
    const sdx_tensor *tensor = &t->variables[v].now->tensor;
    int axis = input_axis(t, v);
    out->count = tensor->count;
    for (int64_t i = 0; i < tensor->count; i++) {
        double x = sdx_trainer_element(tensor, i);
        out->zeros += x == 0;
        out->small += x != 0 && fabs(x) <= threshold;
    }
    return axis >= 0 ? list_zero_inputs(tensor, axis, error, out) : SDX_OK;
}
