/* SPDX-License-Identifier: Apache-2.0
 * What a constant is to the node that reads it. Operators with weights say it by the input's position; Mul and Add say
 * it by what they follow: behind x / sqrt(..) or a normalisation stand scale and shift, behind a product the bias. */
#include "runtime/train/fill.h"
#include "runtime/train/prepare.h"
#include <string.h>

typedef struct place {
    const char *op_type;
    int input; /* -1: any */
    sdx_role role;
} place;

static const place places[] = {
    {"Conv", 1, SDX_ROLE_KERNEL},
    {"Conv", 2, SDX_ROLE_BIAS},
    {"ConvTranspose", 1, SDX_ROLE_KERNEL},
    {"ConvTranspose", 2, SDX_ROLE_BIAS},
    {"DeformConv", 1, SDX_ROLE_KERNEL},
    {"DeformConv", 3, SDX_ROLE_BIAS},
    {"Gemm", 0, SDX_ROLE_KERNEL},
    {"Gemm", 1, SDX_ROLE_KERNEL},
    {"Gemm", 2, SDX_ROLE_BIAS},
    {"MatMul", -1, SDX_ROLE_KERNEL},
    {"Einsum", -1, SDX_ROLE_KERNEL},
    {"LSTM", 1, SDX_ROLE_KERNEL},
    {"LSTM", 2, SDX_ROLE_RECURRENT},
    {"LSTM", 3, SDX_ROLE_BIAS},
    {"LSTM", 7, SDX_ROLE_OTHER},
    {"GRU", 1, SDX_ROLE_KERNEL},
    {"GRU", 2, SDX_ROLE_RECURRENT},
    {"GRU", 3, SDX_ROLE_BIAS},
    {"RNN", 1, SDX_ROLE_KERNEL},
    {"RNN", 2, SDX_ROLE_RECURRENT},
    {"RNN", 3, SDX_ROLE_BIAS},
    {"BatchNormalization", 1, SDX_ROLE_SCALE},
    {"BatchNormalization", 2, SDX_ROLE_SHIFT},
    {"BatchNormalization", 3, SDX_ROLE_STATE},
    {"BatchNormalization", 4, SDX_ROLE_STATE},
    {"InstanceNormalization", 1, SDX_ROLE_SCALE},
    {"InstanceNormalization", 2, SDX_ROLE_SHIFT},
    {"GroupNormalization", 1, SDX_ROLE_SCALE},
    {"GroupNormalization", 2, SDX_ROLE_SHIFT},
    {"LayerNormalization", 1, SDX_ROLE_SCALE},
    {"LayerNormalization", 2, SDX_ROLE_SHIFT},
    {"RMSNormalization", 1, SDX_ROLE_SCALE},
    {"PRelu", 1, SDX_ROLE_OTHER},
    {"Gather", 0, SDX_ROLE_EMBEDDING},
};

static const char *const elementwise[] = {"Add",  "Sub",      "Mul",     "Div",  "Concat",    "Expand",    "Where",
                                          "LSTM", "GRU",      "RNN",     "Pow",  "Exp",       "Attention", "Sum",
                                          "Tile", "Softplus", "Sigmoid", "Tanh", "ScatterND", "Neg"};

/* ---- what a Mul or Add follows ---- */

/* Behind views of one input. */
static const sdx_node *behind_views(const sdx_graph *graph, sdx_id id) {
    static const char *const views[] = {"Identity", "Reshape", "Transpose", "Cast", "Flatten", "Squeeze", "Unsqueeze"};
    const sdx_node *node = sdx_graph_producer(graph, id);
    for (int steps = 0; node && steps < 8; steps++) {
        bool view = false;
        for (size_t k = 0; k < sizeof views / sizeof views[0] && !view; k++) view = sdx_node_is(node, views[k]);
        if (!view || node->n_in == 0) return node;
        node = sdx_graph_producer(graph, node->in[0]);
    }
    return node;
}

/* sqrt of, or power of, something that a mean went into. */
static bool is_deviation(const sdx_graph *graph, sdx_id id) {
    const sdx_node *node = behind_views(graph, id);
    if (node && sdx_node_is(node, "Reciprocal")) node = behind_views(graph, node->in[0]);
    if (!node || !(sdx_node_is(node, "Sqrt") || sdx_node_is(node, "Pow"))) return false;
    node = behind_views(graph, node->in[0]);
    for (int k = 0; node && sdx_node_is(node, "Add") && k < node->n_in; k++) {
        const sdx_node *mean = behind_views(graph, node->in[k]);
        if (mean && (sdx_node_is(mean, "ReduceMean") || sdx_node_is(mean, "Div"))) return true;
    }
    return node && sdx_node_is(node, "ReduceMean");
}

static bool is_normalised(const sdx_graph *graph, sdx_id id) {
    static const char *const norms[] = {"InstanceNormalization", "LayerNormalization", "RMSNormalization",
                                        "GroupNormalization", "BatchNormalization"};
    const sdx_node *node = behind_views(graph, id);
    for (size_t k = 0; node && k < sizeof norms / sizeof norms[0]; k++)
        if (sdx_node_is(node, norms[k])) return true;
    if (node && sdx_node_is(node, "Div")) return is_deviation(graph, node->in[1]);
    if (node && sdx_node_is(node, "Mul")) return is_deviation(graph, node->in[0]) || is_deviation(graph, node->in[1]);
    return false;
}

static bool is_product(const sdx_graph *graph, sdx_id id) {
    static const char *const products[] = {"MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum"};
    const sdx_node *node = behind_views(graph, id);
    for (size_t k = 0; node && k < sizeof products / sizeof products[0]; k++)
        if (sdx_node_is(node, products[k])) return true;
    return false;
}

/* At most one dimension that is not 1: what a bias or a norm's scale looks like. */
static bool is_line(const sdx_graph *graph, sdx_id id) {
    const sdx_type *type = &graph->values[id].type;
    int wide = 0;
    for (int d = 0; d < type->rank; d++) wide += type->dim[d] != 1;
    return type->rank >= 1 && wide <= 1;
}

static int after_role(const sdx_readers *readers, const sdx_use *use) {
    const sdx_node *node = use->node;
    if (node->n_in != 2) return SDX_USE_ELEMENTWISE;
    sdx_id other = node->in[1 - use->input], own = node->in[use->input];
    bool mul = sdx_node_is(node, "Mul"), add = sdx_node_is(node, "Add");
    bool derived = use->graph->parent ? sdx_graph_tensor(use->graph, other) != NULL
                                      : other != SDX_NONE && sdx_readers_derived(readers, other);
    if (other == SDX_NONE || derived) return SDX_USE_ELEMENTWISE;
    if (mul && is_normalised(use->graph, other)) return SDX_ROLE_SCALE;
    if (!add) return SDX_USE_ELEMENTWISE;
    if (is_product(use->graph, other) && is_line(use->graph, own)) return SDX_ROLE_BIAS;
    const sdx_node *scaled = behind_views(use->graph, other);
    bool shift = scaled && sdx_node_is(scaled, "Mul") && scaled->n_in == 2 &&
                 (is_normalised(use->graph, scaled->in[0]) || is_normalised(use->graph, scaled->in[1]));
    return shift || is_normalised(use->graph, other) ? SDX_ROLE_SHIFT : SDX_USE_ELEMENTWISE;
}

int sdx_use_role(const sdx_readers *readers, const sdx_use *use) {
    const sdx_node *node = use->node;
    if (*node->domain || use->input < 0) return SDX_USE_NONE;
    for (size_t k = 0; k < sizeof places / sizeof places[0]; k++)
        if (strcmp(node->op_type, places[k].op_type) == 0 && (places[k].input < 0 || places[k].input == use->input))
            return (int)places[k].role;
    bool may = false;
    for (size_t k = 0; k < sizeof elementwise / sizeof elementwise[0] && !may; k++)
        may = strcmp(node->op_type, elementwise[k]) == 0;
    if (!may) return SDX_USE_NONE;
    return after_role(readers, use);
}

/* Dummies: exporters write ones and zeros where a normalisation has no scale and shift of its own. */
static bool is_dummy(sdx_preparation *p, const sdx_graph_value *value, int role) {
    bool folded = strncmp(value->name, "onnx::", 6) == 0 || sdx_prepare_folded_from(p, value);
    if (!sdx_name_made_up(value->name) || folded) return false;
    const sdx_tensor *tensor = &value->constant->tensor;
    return (role == SDX_ROLE_SCALE && sdx_tensor_all(tensor, 1)) ||
           (role == SDX_ROLE_SHIFT && sdx_tensor_all(tensor, 0));
}

/* A group normalisation in pieces: groups are channels of an InstanceNormalization whose scale and bias say nothing;
 * the real ones follow behind a Reshape. */
static bool in_group_norm(const sdx_preparation *p, const sdx_use *use) {
    if (!sdx_node_is(use->node, "InstanceNormalization") || use->graph != p->graph) return false;
    const sdx_node *before = sdx_graph_producer(p->graph, use->node->in[0]);
    if (!before || !sdx_node_is(before, "Reshape")) return false;
    const sdx_tensor *scale = sdx_graph_tensor(p->graph, use->node->in[1]);
    const sdx_tensor *bias = sdx_graph_tensor(p->graph, use->node->in[2]);
    return scale && bias && sdx_tensor_all(scale, 1) && sdx_tensor_all(bias, 0);
}

static bool by_position(const sdx_use *use) {
    static const char *const arithmetic[] = {"Mul", "Add"};
    for (size_t k = 0; k < sizeof arithmetic / sizeof arithmetic[0]; k++)
        if (sdx_node_is(use->node, arithmetic[k])) return false;
    return true;
}

/* Batch statistics in both forms: what stands in for running ones is no state. */
static bool untracked(sdx_preparation *p, const sdx_graph_value *value, const sdx_use *use) {
    const sdx_attr *mode = sdx_node_attr(use->node, "training_mode");
    return mode && mode->i && sdx_name_made_up(value->name) && !sdx_prepare_folded_from(p, value);
}

static bool is_recurrent(const sdx_node *node) {
    return sdx_node_is(node, "LSTM") || sdx_node_is(node, "GRU") || sdx_node_is(node, "RNN");
}

/* The role of one use; SDX_USE_NONE where the constant is no weight there. */
int sdx_prepare_role(sdx_preparation *p, const sdx_readers *readers, sdx_id id, const sdx_use *use) {
    const sdx_graph_value *value = &p->graph->values[id];
    int role = sdx_use_role(readers, use);
    const sdx_tensor *tensor = &value->constant->tensor;
    if (role == SDX_USE_NONE) return role;
    if (role == SDX_USE_ELEMENTWISE) return is_recurrent(use->node) && sdx_tensor_all(tensor, 0) ? SDX_USE_NONE : role;
    if (role == SDX_ROLE_STATE) return untracked(p, value, use) ? SDX_USE_NONE : role;
    if (is_dummy(p, value, role) || in_group_norm(p, use)) return SDX_USE_NONE;
    if (!by_position(use) && !sdx_tensor_finite(tensor)) return SDX_USE_NONE; /* a mask */
    if (!by_position(use) && tensor->rank == 0) return SDX_USE_ELEMENTWISE;
    if (role == SDX_ROLE_EMBEDDING && tensor->rank < 2) return SDX_USE_ELEMENTWISE;
    return role;
}
