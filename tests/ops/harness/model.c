/* SPDX-License-Identifier: Apache-2.0
 * A one-node model (two nodes in a chain) built in memory, loaded as a file's would be, and run once. */
#include "runtime/load/load.h"
#include "runtime/train/expand_internal.h"
#include "tests/ops/harness/harness.h"
#include <stdio.h>
#include <string.h>

static sdx_status set_opsets(const stage *s, const how *h, sdx_model *model, sdx_error *error) {
    const char *domain = s->a_case->domain ? s->a_case->domain : "";
    model->ir_version = 10;
    model->opsets = SDX_NEW_ARRAY(&model->arena, sdx_opset, 3, error);
    if (!model->opsets) return SDX_OUT_OF_MEMORY;
    model->opsets[model->n_opsets++] = (sdx_opset){"", *domain ? 20 : s->a_case->opset};
    if (*domain) model->opsets[model->n_opsets++] = (sdx_opset){domain, s->a_case->opset};
    if (h->weights) model->opsets[model->n_opsets++] = (sdx_opset){"ai.onnx.preview.training", 1};
    return SDX_OK;
}

/* Axes and the like are constants where gradients are taken with known shapes. */
static bool is_constant(const stage *s, const how *h, int k) {
    return h->constants || s->in[k].constant || (h->weights && !h->unknown_dims && !differentiable(&s->in[k]));
}

static sdx_status add_value(const stage *s, const how *h, sdx_graph *graph, int k, sdx_value *value, sdx_id *out,
                            sdx_error *error) {
    char name[16];
    snprintf(name, sizeof name, "in%d", k);
    sdx_type type = sdx_type_make(sdx_value_dtype(value), sdx_value_rank(value));
    memcpy(type.dim, sdx_value_dims(value), (size_t)type.rank * sizeof type.dim[0]);
    if (h->unknown_shapes) type.rank = -1;
    for (int d = 0; d < type.rank && h->unknown_dims; d++) type.dim[d] = -1;
    *out = sdx_graph_add_value(graph, sdx_arena_copy(graph->arena, name, strlen(name), error), &type, error);
    if (*out == SDX_NONE) return error->status;
    if (!is_constant(s, h, k)) return sdx_graph_add_input(graph, *out, error);
    sdx_graph_set_constant(graph, *out, value);
    return SDX_OK;
}

static sdx_status add_node(const stage *s, sdx_graph *graph, const sdx_id *in, bool first, sdx_id *y,
                           sdx_error *error) {
    sdx_id out[MAX_ARGS] = {SDX_NONE};
    sdx_type unknown = {.kind = SDX_TENSOR, .rank = -1};
    int n_out = first ? 1 : s->n_out;
    for (int k = 0; k < n_out; k++) {
        char name[24];
        snprintf(name, sizeof name, first ? "middle" : "out%d", k);
        out[k] = SDX_NONE;
        if (!first && !s->want[k].present) continue;
        out[k] = sdx_graph_add_value(graph, sdx_arena_copy(graph->arena, name, strlen(name), error), &unknown, error);
        if (out[k] == SDX_NONE) return error->status;
        if (!first) SDX_TRY(sdx_graph_add_output(graph, out[k], error));
    }
    *y = out[first ? 0 : loss_output(s)];
    int n_in = s->n_in;
    while (n_in && in[n_in - 1] == SDX_NONE) n_in--;
    sdx_node *node = sdx_graph_add_node(graph, s->a_case->domain ? s->a_case->domain : "", s->a_case->op,
                                        first ? "first" : "tested", n_in, in, n_out, out, error);
    for (int k = 0; node && k < s->n_attrs; k++) SDX_TRY(sdx_node_set_attr(graph, node, &s->attrs[k], error));
    return node ? SDX_OK : error->status;
}

/* P = Mul(Y, weights); d = Gradient(xs, y = P) */
static sdx_status add_gradient(const stage *s, const how *h, sdx_graph *graph, const sdx_id *in, sdx_id y,
                               sdx_error *error) {
    sdx_type unknown = {.kind = SDX_TENSOR, .rank = -1};
    sdx_id mul[2] = {y, sdx_graph_add_value(graph, "weights", &unknown, error)}, xs[MAX_ARGS], out[MAX_ARGS];
    sdx_id product = sdx_graph_add_value(graph, "product", &unknown, error);
    sdx_string names[MAX_ARGS];
    int n = 0;
    if (mul[1] == SDX_NONE || product == SDX_NONE) return error->status;
    sdx_graph_set_constant(graph, mul[1], h->weights);
    if (!sdx_graph_add_node(graph, "", "Mul", "", 2, mul, 1, &product, error)) return error->status;
    for (int k = 0; k < s->n_in; k++) {
        if (!differentiable(&s->in[k])) continue;
        char name[16];
        snprintf(name, sizeof name, "d%d", k);
        xs[n] = in[k];
        names[n] = (sdx_string){graph->values[in[k]].name, strlen(graph->values[in[k]].name)};
        out[n] = sdx_graph_add_value(graph, sdx_arena_copy(graph->arena, name, strlen(name), error), &unknown, error);
        if (out[n] == SDX_NONE) return error->status;
        SDX_TRY(sdx_graph_add_output(graph, out[n++], error));
    }
    sdx_attr by[2] = {{.name = "xs", .type = SDX_ATTR_STRINGS, .n = (size_t)n, .strings = names},
                      {.name = "y", .type = SDX_ATTR_STRING, .n = 1, .s = {"product", 7}}};
    sdx_node *node = sdx_graph_add_node(graph, "ai.onnx.preview.training", "Gradient", "", n, xs, n, out, error);
    for (int k = 0; node && k < 2; k++) SDX_TRY(sdx_node_set_attr(graph, node, &by[k], error));
    return node ? SDX_OK : error->status;
}

static sdx_status build(const stage *s, const how *h, sdx_value *const *override, sdx_model *model, sdx_error *error) {
    sdx_id in[MAX_ARGS], y = SDX_NONE;
    SDX_TRY(set_opsets(s, h, model, error));
    for (int k = 0; k < s->n_in; k++) {
        in[k] = SDX_NONE;
        if (!s->in[k].present) continue;
        sdx_value *value = override && override[k] ? override[k] : s->in[k].value;
        SDX_TRY(add_value(s, h, model->graph, k, value, &in[k], error));
    }
    if (h->chain >= 0) {
        SDX_TRY(add_node(s, model->graph, in, true, &y, error));
        in[h->chain] = y;
    }
    SDX_TRY(add_node(s, model->graph, in, false, &y, error));
    return h->weights ? add_gradient(s, h, model->graph, in, y, error) : SDX_OK;
}

static sdx_status run_session(const stage *s, const how *h, sdx_value *const *override, sdx_session *session,
                              sdx_value **out, sdx_error *error) {
    sdx_binding in[MAX_ARGS], results[MAX_ARGS];
    char names[2 * MAX_ARGS][16];
    size_t n_in = 0, n_out = 0;
    for (int k = 0; k < s->n_in; k++) {
        if (!s->in[k].present || is_constant(s, h, k)) continue;
        snprintf(names[k], sizeof names[k], "in%d", k);
        in[n_in++] = (sdx_binding){names[k], override && override[k] ? override[k] : s->in[k].value};
    }
    int n_results = h->weights ? s->n_in : s->n_out, slot[MAX_ARGS];
    for (int k = 0; k < n_results; k++) {
        if (h->weights ? !differentiable(&s->in[k]) : !s->want[k].present) continue;
        snprintf(names[MAX_ARGS + k], sizeof names[0], h->weights ? "d%d" : "out%d", k);
        slot[n_out] = k;
        results[n_out++] = (sdx_binding){names[MAX_ARGS + k], NULL};
    }
    for (int run = 0; run <= h->again; run++) {
        for (size_t k = 0; k < n_out; k++) sdx_value_release(out[slot[k]]), out[slot[k]] = NULL;
        SDX_TRY(sdx_session_run(session, in, n_in, results, n_out, error));
        for (size_t k = 0; k < n_out; k++) out[slot[k]] = results[k].value;
    }
    return SDX_OK;
}

sdx_status run_model(const stage *s, const how *h, sdx_value *const *override, sdx_value **out, sdx_error *error) {
    sdx_model *model = NULL;
    sdx_session *session = NULL;
    sdx_model_options options = {.size = sizeof options, .optimise = h->optimise, .threads = 1};
    sdx_session_options run = {.size = sizeof run, .threads = h->threads, .seed = 1};
    memset(out, 0, MAX_ARGS * sizeof *out);
    sdx_status status = sdx_model_create("case", 0, error, &model);
    if (status == SDX_OK) status = build(s, h, override, model, error);
    if (h->portable) options.optimise = SDX_OPTIMISE_NONE;
    if (status == SDX_OK) status = sdx_load_finish(model, &options, error);
    if (status == SDX_OK && h->portable) status = sdx_expand_internal(model->graph, error);
    if (status == SDX_OK) status = sdx_session_create(model, &run, error, &session);
    if (status == SDX_OK) status = run_session(s, h, override, session, out, error);
    sdx_session_destroy(session);
    sdx_model_close(model);
    return status;
}
