/* SPDX-License-Identifier: Apache-2.0
 * PyTorch's names. One exporter keeps module paths in metadata (name_scopes), the other in the names of nodes
 * ("/encoder/layers.0/linear1/MatMul"); both rename weights that they transposed, and one says what it folded. */
#include "runtime/train/prepare.h"
#include <stdio.h>
#include <string.h>

static const char *lookup(const sdx_pair *pairs, int n, const char *key) {
    for (int k = 0; k < n; k++)
        if (strcmp(pairs[k].key, key) == 0) return pairs[k].value;
    return "";
}

const char *sdx_value_kind_said(const sdx_graph_value *value) {
    return lookup(value->metadata, value->n_metadata, "pkg.torch.export.graph_signature.InputSpec.kind");
}

/* The quoted entry that begins at or after `at`; its end, or NULL. */
static const char *quoted(const char *at, const char **begin) {
    const char *open = strchr(at, '\'');
    if (!open) return NULL;
    *begin = open + 1;
    return strchr(open + 1, '\'');
}

/* "['0.weight', 'val_3']" with one name that is not made up: the constant is that weight under another shape. */
const char *sdx_prepare_folded_from(sdx_preparation *p, const sdx_graph_value *value) {
    const char *at = lookup(value->metadata, value->n_metadata, "pkg.onnxscript.optimizer.folded_from");
    const char *found = NULL, *begin = NULL, *end = NULL;
    for (; (end = quoted(at, &begin)) != NULL; at = end + 1) {
        const char *name = sdx_arena_copy(p->arena, begin, (size_t)(end - begin), p->error);
        if (!name) return NULL;
        if (!strchr(name, '.') || sdx_name_made_up(name)) continue;
        if (found) return NULL;
        found = name;
    }
    return found;
}

/* "['', 'enc', 'enc.layers.0', 'linear_2']": the last entry but one. */
static bool module_of_scopes(const char *scopes, char *out, size_t capacity) {
    const char *begin = NULL, *end = NULL, *last = NULL, *last_end = NULL, *module = NULL, *module_end = NULL;
    for (const char *at = scopes; (end = quoted(at, &begin)) != NULL; at = end + 1) {
        module = last, module_end = last_end;
        last = begin, last_end = end;
    }
    if (!module || (size_t)(module_end - module) >= capacity) return false;
    memcpy(out, module, (size_t)(module_end - module));
    out[module_end - module] = '\0';
    return true;
}

bool sdx_node_module(const sdx_node *node, char *out, size_t capacity) {
    const char *scopes = lookup(node->metadata, node->n_metadata, "pkg.torch.onnx.name_scopes");
    if (*scopes) return module_of_scopes(scopes, out, capacity);
    const char *name = node->name, *slash = strrchr(name, '/');
    size_t size = slash && slash > name ? (size_t)(slash - name - 1) : 0;
    if (*name != '/' || size >= capacity) return false;
    memcpy(out, name + 1, size);
    out[size] = '\0';
    for (char *c = out; *c; c++)
        if (*c == '/') *c = '.';
    return true;
}

const char *sdx_prepare_module(sdx_preparation *p, const sdx_node *node) {
    char module[512];
    if (!p->torch || !sdx_node_module(node, module, sizeof module)) return NULL;
    return sdx_arena_copy(p->arena, module, strlen(module), p->error);
}

/* What PyTorch calls a tensor of this role within its module. */
static const char *leaf_of(const sdx_node *node, sdx_role role, int input) {
    bool recurrent = sdx_node_is(node, "LSTM") || sdx_node_is(node, "GRU") || sdx_node_is(node, "RNN");
    switch (role) {
    case SDX_ROLE_KERNEL: return recurrent ? "weight_ih" : "weight";
    case SDX_ROLE_RECURRENT: return "weight_hh";
    case SDX_ROLE_STATE: return input == 4 ? "running_var" : "running_mean";
    case SDX_ROLE_BIAS:
    case SDX_ROLE_SHIFT: return "bias";
    case SDX_ROLE_SCALE:
    case SDX_ROLE_EMBEDDING:
    case SDX_ROLE_OTHER: break;
    }
    return "weight";
}

const char *sdx_prepare_joined(sdx_preparation *p, const char *a, const char *between, const char *b) {
    const size_t room = strlen(a) + strlen(between) + strlen(b) + 1;
    char *text = sdx_arena_alloc(p->arena, room, p->error);
    if (!text) return NULL;
    snprintf(text, room, "%s%s%s", a, between, b);
    return text;
}

const char *sdx_prepare_path(sdx_preparation *p, const char *name, const sdx_use *use, sdx_role role) {
    const char *module = sdx_prepare_module(p, use->node), *leaf = leaf_of(use->node, role, use->input);
    if (!module) return name;
    return *module ? sdx_prepare_joined(p, module, ".", leaf) : leaf;
}

static bool name_taken(const sdx_graph *graph, const char *name) {
    for (sdx_id id = 0; id < graph->n_values; id++)
        if (strcmp(graph->values[id].name, name) == 0) return true;
    return false;
}

const char *sdx_prepare_free_name(sdx_preparation *p, const char *name) {
    if (!name_taken(p->graph, name)) return name;
    for (int k = 2;; k++) {
        char number[16];
        snprintf(number, sizeof number, "%d", k);
        const char *numbered = sdx_prepare_joined(p, name, "_", number);
        if (!numbered || !name_taken(p->graph, numbered)) return numbered;
    }
}
