/* SPDX-License-Identifier: Apache-2.0
 * The attributes of TreeEnsembleClassifier and TreeEnsembleRegressor: a node is named by the number of its tree and its
 * own within it, and the first node of a tree is its root. */
#include "ops/traditionalml/trees.h"
#include "runtime/base/names.h"
#include <stdio.h>
#include <string.h>

bool sdx_trees_same_length(sdx_bind *bind, const char *name, size_t n, const char *other, size_t want) {
    if (n == want) return true;
    sdx_bind_fail(bind, SDX_VALUE, "attribute '%s' has %zu entries; '%s' has %zu", name, n, other, want);
    return false;
}

const double *sdx_trees_tensor(sdx_bind *bind, sdx_arena *arena, const char *name, size_t *n, bool *wide) {
    sdx_value *value = sdx_bind_value(bind, name);
    *n = 0;
    if (!value || bind->status != SDX_OK) return NULL;
    const sdx_tensor *tensor = &value->tensor;
    if (tensor->dtype != SDX_F16 && tensor->dtype != SDX_F32 && tensor->dtype != SDX_F64) {
        sdx_bind_fail(bind, SDX_TYPE, "attribute '%s' is a tensor of %s; it must be of f16, f32 or f64", name,
                      sdx_dtype_name(tensor->dtype));
        return NULL;
    }
    double *numbers = sdx_trees_room(bind, arena, (size_t)tensor->count, sizeof *numbers);
    if (!numbers) return NULL;
    sdx_convert(NULL, tensor->dtype, tensor->data, SDX_F64, numbers, tensor->count);
    *wide = *wide || tensor->dtype == SDX_F64;
    *n = (size_t)tensor->count;
    return numbers;
}

const double *sdx_trees_numbers(sdx_bind *bind, sdx_arena *arena, const char *floats, const char *tensor, size_t *n,
                                bool *wide) {
    size_t n_floats = 0;
    const float *given = sdx_bind_floats(bind, floats, &n_floats);
    *n = 0;
    if (sdx_bind_has(bind, tensor)) {
        const double *numbers = sdx_trees_tensor(bind, arena, tensor, n, wide);
        if (n_floats && *n)
            sdx_bind_fail(bind, SDX_VALUE, "attributes '%s' and '%s' are both given; one must be", floats, tensor);
        if (*n) return numbers;
    }
    double *numbers = sdx_trees_room(bind, arena, n_floats, sizeof *numbers);
    for (size_t k = 0; numbers && k < n_floats; k++) numbers[k] = (double)given[k];
    *n = n_floats;
    return numbers;
}

/* Positions of nodes by (tree, node). Most files number the nodes of a tree from 0 on, one tree after the other: then
 * positions follow by adding. Else they are hashed. */
typedef struct node_index {
    const int64_t *tree, *node;
    size_t n, mask;
    bool plain;
    uint64_t seed[2];
    uint32_t *slot;
} node_index;

enum { ROOT = 1 }; /* entries of trees rather than nodes */

static uint32_t *slot_of(const node_index *x, int64_t tree, int64_t node, int64_t kind) {
    const int64_t key[3] = {tree, kind == ROOT ? 0 : node, kind};
    size_t at = sdx_hash_bytes(x->seed, key, sizeof key) & x->mask;
    for (; x->slot[at]; at = (at + 1) & x->mask) {
        const uint32_t k = x->slot[at] - 1, entry = k >> 1;
        if ((k & 1) == (uint32_t)kind && x->tree[entry] == tree && (kind == ROOT || x->node[entry] == node)) break;
    }
    return &x->slot[at];
}

static bool is_plain(const node_index *x) {
    for (size_t k = 0; k < x->n; k++) {
        const bool starts = k == 0 || x->tree[k] != x->tree[k - 1];
        if (starts ? x->node[k] != 0 || (k && x->tree[k] < x->tree[k - 1]) : x->node[k] != x->node[k - 1] + 1)
            return false;
    }
    return true;
}

/* Roots too, in order of first appearance. */
static void build_index(sdx_bind *bind, sdx_tree_raw *raw, node_index *x) {
    size_t capacity = 4;
    if (bind->status != SDX_OK) return;
    if (x->n > UINT32_MAX / 8) {
        sdx_bind_fail(bind, SDX_UNSUPPORTED, "%zu nodes are too many", x->n);
        return;
    }
    raw->roots = sdx_trees_room(bind, &raw->arena, x->n, sizeof *raw->roots);
    x->plain = is_plain(x);
    if (x->plain) {
        for (size_t k = 0; k < x->n && raw->roots; k++)
            if (k == 0 || x->tree[k] != x->tree[k - 1]) raw->roots[raw->n_roots++] = k;
        return;
    }
    while (capacity < 4 * x->n) capacity *= 2;
    x->mask = capacity - 1;
    x->slot = sdx_trees_room(bind, &raw->arena, capacity, sizeof *x->slot);
    if (bind->status != SDX_OK) return;
    sdx_hash_key(x->seed);
    for (size_t k = 0; k < x->n; k++) {
        uint32_t *node = slot_of(x, x->tree[k], x->node[k], 0);
        if (*node) {
            sdx_bind_fail(bind, SDX_VALUE, "node %lld of tree %lld is there twice", (long long)x->node[k],
                          (long long)x->tree[k]);
            return;
        }
        *node = (uint32_t)(k << 1) + 1;
        uint32_t *tree = slot_of(x, x->tree[k], 0, ROOT);
        if (!*tree) {
            *tree = (uint32_t)(k << 1 | ROOT) + 1;
            raw->roots[raw->n_roots++] = k;
        }
    }
}

/* `near`: a node of the same tree, if there is one near. -1: not there. */
static int64_t find(const node_index *x, size_t near, int64_t tree, int64_t node) {
    int64_t at = 0;
    if (!x->plain)
        return (int64_t)*slot_of(x, tree, node, 0) > 0 ? (int64_t)((*slot_of(x, tree, node, 0) - 1) >> 1) : -1;
    if (__builtin_sub_overflow(node, x->node[near], &at) || __builtin_add_overflow(at, (int64_t)near, &at)) return -1;
    return at >= 0 && (uint64_t)at < x->n && x->tree[at] == tree && x->node[at] == node ? at : -1;
}

/* The first node of a tree, in a plain index: trees ascend. */
static size_t first_of(const node_index *x, const sdx_tree_raw *raw, int64_t tree) {
    size_t low = 0, high = raw->n_roots;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (x->tree[raw->roots[middle]] <= tree)
            low = middle;
        else
            high = middle;
    }
    return raw->n_roots ? raw->roots[low] : 0;
}

static int mode_of(sdx_string word) {
    static const char *const names[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE",
                                        "BRANCH_GT",  "BRANCH_EQ", "BRANCH_NEQ"};
    for (int k = 0; k < 6; k++)
        if (strlen(names[k]) == word.size && memcmp(names[k], word.data, word.size) == 0) return k;
    return word.size == 4 && memcmp(word.data, "LEAF", 4) == 0 ? SDX_TREE_LEAF : -1;
}

static void set_nodes(sdx_bind *bind, sdx_tree_raw *raw, const node_index *x, const sdx_string *modes,
                      const double *splits, const int64_t *features, const int64_t *const branch[2], sdx_ints missing) {
    for (size_t k = 0; k < raw->n_nodes && bind->status == SDX_OK; k++) {
        sdx_tree_raw_node *node = &raw->nodes[k];
        const int mode = mode_of(modes[k]);
        if (mode < 0) {
            char word[64];
            sdx_bind_fail(
                bind, SDX_VALUE,
                "attribute 'nodes_modes' has '%s' at %zu; it must be 'BRANCH_LEQ', 'BRANCH_LT', 'BRANCH_GTE', "
                "'BRANCH_GT', 'BRANCH_EQ', 'BRANCH_NEQ' or 'LEAF'",
                sdx_escape(word, sizeof word, modes[k].data, modes[k].size), k);
            return;
        }
        *node = (sdx_tree_raw_node){.mode = (uint8_t)mode, .split = splits[k], .feature = features[k]};
        node->missing_true = missing.n && missing.data[k] != 0;
        for (int which = 0; which < 2 && mode != SDX_TREE_LEAF; which++) {
            node->child[which] = find(x, k, x->tree[k], branch[which][k]);
            if (node->child[which] < 0)
                sdx_bind_fail(bind, SDX_VALUE, "attribute '%s' has %lld at %zu; tree %lld has no such node",
                              which ? "nodes_falsenodeids" : "nodes_truenodeids", (long long)branch[which][k], k,
                              (long long)x->tree[k]);
        }
    }
}

static void bind_nodes(sdx_bind *bind, sdx_tree_raw *raw, node_index *x) {
    sdx_ints trees = sdx_bind_ints(bind, "nodes_treeids"), nodes = sdx_bind_ints(bind, "nodes_nodeids");
    sdx_ints features = sdx_bind_ints(bind, "nodes_featureids"), missing;
    sdx_ints yes = sdx_bind_ints(bind, "nodes_truenodeids"), no = sdx_bind_ints(bind, "nodes_falsenodeids");
    size_t n_modes = 0, n_splits = 0, n_rates = 0;
    bool rates_wide = false;
    const sdx_string *modes = sdx_bind_strings(bind, "nodes_modes", &n_modes);
    const double *splits =
        sdx_trees_numbers(bind, &raw->arena, "nodes_values", "nodes_values_as_tensor", &n_splits, &raw->wide);
    missing = sdx_bind_ints(bind, "nodes_missing_value_tracks_true");
    sdx_trees_numbers(bind, &raw->arena, "nodes_hitrates", "nodes_hitrates_as_tensor", &n_rates, &rates_wide);
    static const char *const first = "nodes_nodeids";
    const size_t n = raw->n_nodes = x->n = nodes.n;
    if (!sdx_trees_same_length(bind, "nodes_treeids", trees.n, first, n) ||
        !sdx_trees_same_length(bind, "nodes_featureids", features.n, first, n) ||
        !sdx_trees_same_length(bind, "nodes_modes", n_modes, first, n) ||
        !sdx_trees_same_length(bind, "nodes_values", n_splits, first, n) ||
        !sdx_trees_same_length(bind, "nodes_truenodeids", yes.n, first, n) ||
        !sdx_trees_same_length(bind, "nodes_falsenodeids", no.n, first, n) ||
        (missing.n && !sdx_trees_same_length(bind, "nodes_missing_value_tracks_true", missing.n, first, n)) ||
        (n_rates && !sdx_trees_same_length(bind, "nodes_hitrates", n_rates, first, n)))
        return;
    x->tree = trees.data, x->node = nodes.data;
    raw->nodes = sdx_trees_room(bind, &raw->arena, n, sizeof *raw->nodes);
    build_index(bind, raw, x);
    if (bind->status == SDX_OK)
        set_nodes(bind, raw, x, modes, splits, features.data, (const int64_t *const[2]){yes.data, no.data}, missing);
}

/* "class" and "ids" give "class_ids". */
static const char *join(char out[64], const char *prefix, const char *rest) {
    snprintf(out, 64, "%s_%s", prefix, rest);
    return out;
}

static void bind_weights(sdx_bind *bind, const char *prefix, sdx_tree_raw *raw, const node_index *x) {
    char ids_name[64], trees_name[64], nodes_name[64], weights_name[64], tensor_name[64];
    sdx_ints ids = sdx_bind_ints(bind, join(ids_name, prefix, "ids"));
    sdx_ints trees = sdx_bind_ints(bind, join(trees_name, prefix, "treeids"));
    sdx_ints nodes = sdx_bind_ints(bind, join(nodes_name, prefix, "nodeids"));
    size_t n = 0;
    const double *values = sdx_trees_numbers(bind, &raw->arena, join(weights_name, prefix, "weights"),
                                             join(tensor_name, prefix, "weights_as_tensor"), &n, &raw->wide);
    if (!sdx_trees_same_length(bind, trees_name, trees.n, ids_name, ids.n) ||
        !sdx_trees_same_length(bind, nodes_name, nodes.n, ids_name, ids.n) ||
        !sdx_trees_same_length(bind, weights_name, n, ids_name, ids.n))
        return;
    raw->n_weights = n;
    raw->weights = sdx_trees_room(bind, &raw->arena, n, sizeof *raw->weights);
    size_t near = 0;
    for (size_t k = 0; k < n && bind->status == SDX_OK; k++) {
        if (x->plain && x->n && x->tree[near] != trees.data[k]) near = first_of(x, raw, trees.data[k]);
        const int64_t node = x->n ? find(x, near, trees.data[k], nodes.data[k]) : -1;
        if (node < 0)
            sdx_bind_fail(bind, SDX_VALUE, "attribute '%s' has %lld at %zu; tree %lld has no such node", nodes_name,
                          (long long)nodes.data[k], k, (long long)trees.data[k]);
        raw->weights[k] = (sdx_tree_raw_weight){node, ids.data[k], values[k]};
    }
}

void sdx_trees_bind_legacy(sdx_bind *bind, const char *prefix, sdx_tree_raw *raw, sdx_trees *out) {
    node_index x = {0};
    bool wide = false;
    bind_nodes(bind, raw, &x);
    if (bind->status == SDX_OK) bind_weights(bind, prefix, raw, &x);
    out->base = sdx_trees_numbers(bind, bind->arena, "base_values", "base_values_as_tensor", &out->n_base, &wide);
}
