/* SPDX-License-Identifier: Apache-2.0
 * A new head: the last Gemm, MatMul (+ Add) or 1x1 Conv before the output that the loss reads gets new weights, for
 * another number of classes where one is asked for. */
#include "runtime/train/fill.h"
#include "runtime/train/prepare.h"
#include <inttypes.h>
#include <string.h>

typedef struct head {
    sdx_preparation *p;
    sdx_graph *graph;
    int32_t *uses;
    const sdx_node *node, *add; /* add: of the bias behind a MatMul; else NULL */
    const sdx_node *reshapes[8];
    int n_reshapes;
    int64_t had, classes, features;
} head;

/* ---- finding it ---- */

/* The initializer behind Identity and Transpose; flipped: seen transposed. */
static sdx_id initializer(const sdx_graph *graph, sdx_id id, bool *flipped) {
    *flipped = false;
    for (int steps = 0; steps < 8 && id != SDX_NONE; steps++) {
        const sdx_node *node = sdx_graph_producer(graph, id);
        if (!node) return sdx_graph_tensor(graph, id) ? id : SDX_NONE;
        bool transpose = sdx_node_is(node, "Transpose") && graph->values[id].type.rank == 2;
        if (!transpose && !sdx_node_is(node, "Identity")) return SDX_NONE;
        *flipped ^= transpose;
        id = node->in[0];
    }
    return SDX_NONE;
}

static bool is_weighted(const sdx_graph *graph, const sdx_node *node) {
    bool flipped;
    if (node->n_in < 2 || initializer(graph, node->in[1], &flipped) == SDX_NONE) return false;
    if (sdx_node_is(node, "Gemm")) return true;
    const sdx_type *type = &graph->values[node->in[1]].type;
    if (sdx_node_is(node, "MatMul")) return type->rank == 2;
    const sdx_attr *group = sdx_node_attr(node, "group");
    bool pointwise = sdx_node_is(node, "Conv") && (!group || group->i == 1);
    for (int d = 2; d < type->rank; d++) pointwise &= type->dim[d] == 1;
    return pointwise;
}

static bool is_passed(const sdx_node *node) {
    static const char *const passed[] = {
        "Softmax",       "LogSoftmax", "Sigmoid",   "Identity", "Dropout",           "Flatten",
        "Reshape",       "Squeeze",    "Unsqueeze", "Cast",     "GlobalAveragePool", "AveragePool",
        "GlobalMaxPool", "ReduceMean", "Relu",      "Tanh"};
    for (size_t k = 0; k < sizeof passed / sizeof passed[0]; k++)
        if (sdx_node_is(node, passed[k])) return true;
    return false;
}

static sdx_status find(head *h, sdx_id y) {
    char place[320];
    const sdx_node *node = sdx_graph_producer(h->graph, y);
    for (int steps = 0; node && steps < 32; steps++) {
        if (is_weighted(h->graph, node)) {
            h->node = node;
            return SDX_OK;
        }
        if (sdx_node_is(node, "Add")) {
            int data = sdx_graph_tensor(h->graph, node->in[0]) ? 1 : 0;
            const sdx_node *product = sdx_graph_producer(h->graph, node->in[data]);
            if (!sdx_graph_tensor(h->graph, node->in[1 - data]) || !product) break;
            if (sdx_node_is(product, "MatMul")) h->add = node;
            node = product;
            if (!is_weighted(h->graph, node)) break;
            continue;
        }
        if (!is_passed(node) || h->n_reshapes == 8) break;
        if (sdx_node_is(node, "Reshape")) h->reshapes[h->n_reshapes++] = node;
        node = sdx_graph_producer(h->graph, node->in[0]);
    }
    return sdx_fail(h->p->error, SDX_UNSUPPORTED,
                    "there is no head to replace: before the output of the loss stands %s; a Gemm, MatMul or 1x1 Conv "
                    "with constant weights is wanted",
                    node ? sdx_node_place(h->graph, node, place, sizeof place) : "an input");
}

/* ---- new tensors ---- */

static sdx_status new_tensor(head *h, const sdx_tensor *like, int axis, sdx_value **out) {
    int64_t dims[SDX_MAX_RANK];
    for (int d = 0; d < like->rank; d++) dims[d] = d == axis ? h->classes : like->dim[d];
    *out = sdx_value_new_tensor(h->p->arena->memory, like->dtype, like->rank, dims, h->p->error);
    return *out ? SDX_OK : sdx_prepare_failed(h->p);
}

/* Puts `value` where `node` reads the initializer `id` as input k. One that others read too stays as it is for them. */
static sdx_status put(head *h, const sdx_node *node, int k, sdx_id id, sdx_value *value) {
    bool own = true;
    for (sdx_id at = node->in[k]; own;) {
        const sdx_node *view = sdx_graph_producer(h->graph, at);
        own = h->uses[at] == 1;
        if (!view) break;
        at = view->in[0];
    }
    if (own) {
        sdx_graph_set_constant(h->graph, id, value);
        return SDX_OK;
    }
    const char *name = sdx_prepare_free_name(h->p, h->graph->values[id].name);
    sdx_id fresh = name ? sdx_graph_add_value(h->graph, name, NULL, h->p->error) : SDX_NONE;
    if (fresh == SDX_NONE) return sdx_prepare_failed(h->p);
    sdx_graph_set_constant(h->graph, fresh, value);
    sdx_node_set_input(h->graph, node, k, fresh);
    return SDX_OK;
}

static bool is_on(const sdx_node *node, const char *name) {
    const sdx_attr *attr = sdx_node_attr(node, name);
    return attr && attr->i != 0;
}

/* Where the node counts its classes in the initializer: the last axis of MatMul and Gemm, the first of Conv. */
static int class_axis(const sdx_node *node, bool flipped) {
    bool first = sdx_node_is(node, "Conv") || is_on(node, "transB");
    return first != flipped ? 0 : 1;
}

static sdx_status replace_weight(head *h) {
    bool flipped = false;
    sdx_id id = initializer(h->graph, h->node->in[1], &flipped);
    const sdx_tensor *old = sdx_graph_tensor(h->graph, id);
    int axis = class_axis(h->node, flipped);
    h->had = old->dim[axis];
    h->features = old->dim[1 - axis];
    h->classes = h->p->options->head.classes ? h->p->options->head.classes : h->had;
    sdx_value *value = NULL;
    bool shared = h->uses[h->node->in[1]] != 1 || h->uses[id] != 1;
    if (shared && flipped) { /* in the layout the node wants, without the Transpose */
        sdx_tensor seen = *old;
        seen.dim[0] = old->dim[1], seen.dim[1] = old->dim[0];
        SDX_TRY(new_tensor(h, &seen, 1 - axis, &value));
    } else {
        SDX_TRY(new_tensor(h, old, axis, &value));
    }
    sdx_fill_drawn(&value->tensor, h->p->options->head.init, h->features, h->classes, h->p->options->seed);
    sdx_status status = put(h, h->node, 1, id, value);
    sdx_value_release(value);
    return status;
}

static sdx_status replace_bias(head *h) {
    const sdx_node *node = h->add ? h->add : h->node;
    int k = h->add ? sdx_graph_tensor(h->graph, h->add->in[0]) ? 0 : 1 : 2;
    if (k >= node->n_in || node->in[k] == SDX_NONE) return SDX_OK;
    bool flipped = false;
    sdx_id id = initializer(h->graph, node->in[k], &flipped);
    const sdx_tensor *old = sdx_graph_tensor(h->graph, id);
    char place[320];
    if (!old || flipped)
        return sdx_fail(h->p->error, SDX_UNSUPPORTED,
                        "%s: the head has a bias that is no constant; it cannot be replaced",
                        sdx_node_place(h->graph, node, place, sizeof place));
    int axis = old->rank > 0 && old->dim[old->rank - 1] == h->had ? old->rank - 1 : -1;
    sdx_value *value = NULL;
    SDX_TRY(new_tensor(h, old, axis, &value));
    sdx_fill_all(&value->tensor, 0);
    sdx_status status = put(h, node, k, id, value);
    sdx_value_release(value);
    return status;
}

/* Shapes that are written out behind the head name the old number of classes. */
static sdx_status replace_shape(head *h, const sdx_node *reshape) {
    const sdx_tensor *old = sdx_graph_tensor(h->graph, reshape->in[1]);
    int at = -1, n = 0;
    for (int k = 0; old && old->dtype == SDX_I64 && k < old->count; k++)
        if (((const int64_t *)old->data)[k] == h->had) at = k, n++;
    if (n != 1) return SDX_OK;
    sdx_value *value = sdx_value_copy_tensor(h->p->arena->memory, old, h->p->error);
    if (!value) return sdx_prepare_failed(h->p);
    ((int64_t *)value->tensor.data)[at] = h->classes;
    sdx_status status = put(h, reshape, 1, reshape->in[1], value);
    sdx_value_release(value);
    return status;
}

/* Shapes behind the head follow from the new one. */
static sdx_status infer_again(sdx_preparation *p) {
    for (int k = 0; k < p->graph->n_nodes; k++) {
        const sdx_node *node = p->graph->nodes[k];
        for (int i = 0; i < node->n_out; i++)
            if (node->out[i] != SDX_NONE && p->graph->values[node->out[i]].type.kind == SDX_TENSOR)
                p->graph->values[node->out[i]].type.rank = -1;
    }
    return sdx_infer_graph(p->graph, p->error);
}

sdx_status sdx_prepare_head(sdx_preparation *p) {
    const sdx_head_options *options = &p->options->head;
    sdx_id y = SDX_NONE;
    char place[320];
    if (!options->replace) return SDX_OK;
    if (options->classes < 0)
        return sdx_fail(p->error, SDX_VALUE, "head.classes is %" PRId64 "; it must be at least 1", options->classes);
    if ((unsigned)options->init > SDX_INIT_ONES)
        return sdx_fail(p->error, SDX_ARGUMENT, "head.init is %d; it must be in [0, %d]", (int)options->init,
                        (int)SDX_INIT_ONES);
    head h = {.p = p, .graph = p->graph};
    h.uses = SDX_NEW_ARRAY(p->arena, int32_t, p->graph->n_values, p->error);
    if (!h.uses) return sdx_prepare_failed(p);
    sdx_graph_count_uses(p->graph, h.uses);
    SDX_TRY(sdx_prepare_find_output(p, p->graph, 0, &y));
    SDX_TRY(find(&h, y));
    SDX_TRY(replace_weight(&h));
    SDX_TRY(replace_bias(&h));
    for (int k = 0; k < h.n_reshapes && h.had != h.classes; k++) SDX_TRY(replace_shape(&h, h.reshapes[k]));
    SDX_TRY(infer_again(p));
    SDX_TRY(sdx_prepare_describe(p, p->out->inference));
    return sdx_prepare_note(p, "%s is the head: new weights for %" PRId64 " classes, it had %" PRId64,
                            sdx_node_place(p->graph, h.node, place, sizeof place), h.classes, h.had);
}
