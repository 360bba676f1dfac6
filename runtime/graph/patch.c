/* SPDX-License-Identifier: Apache-2.0
 * Nodes are appended as they are emitted; replacements and removals wait for commit, where replacements of
 * replacements are followed. A main graph's output keeps its name: the name moves to the value that takes its place,
 * or an Identity stands between when that value has a name of its own to keep. */
#include "runtime/graph/patch.h"
#include "runtime/base/half.h"
#include <string.h>

void sdx_patch_begin(sdx_patch *patch, sdx_graph *graph, sdx_error *error) {
    *patch = (sdx_patch){.graph = graph, .error = error};
    size_t n = sizeof patch->failed_out / sizeof patch->failed_out[0];
    for (size_t k = 0; k < n; k++) patch->failed_out[k] = SDX_NONE;
    patch->failed =
        (sdx_node){.name = "", .domain = "", .op_type = "", .doc = "", .n_out = (int)n, .out = patch->failed_out};
}

static void set_status(sdx_patch *patch, sdx_status status) {
    if (patch->status == SDX_OK) patch->status = status;
}

static bool outputs_ready(sdx_patch *patch, sdx_id *out, int n_out) {
    for (int k = 0; k < n_out; k++) {
        out[k] = sdx_graph_add_value(patch->graph, NULL, NULL, patch->error);
        if (out[k] == SDX_NONE) return false;
    }
    return true;
}

sdx_node *sdx_patch_node(sdx_patch *patch, const char *domain, const char *op_type, int n_in, const sdx_id *in,
                         int n_out) {
    if (patch->status != SDX_OK) return &patch->failed;
    const sdx_node *origin = patch->origin;
    sdx_id *out = SDX_NEW_ARRAY(patch->graph->arena, sdx_id, n_out, patch->error);
    sdx_node *node = NULL;
    if (out && outputs_ready(patch, out, n_out))
        node = sdx_graph_add_node(patch->graph, domain, op_type, origin ? origin->name : "", n_in, in, n_out, out,
                                  patch->error);
    if (!node) {
        set_status(patch, sdx_failure(patch->error));
        return &patch->failed;
    }
    if (origin) {
        node->n_metadata = origin->n_metadata;
        node->metadata = origin->metadata;
        node->doc = origin->doc;
    }
    patch->changed = true;
    return node;
}

static int node_index(const sdx_graph *graph, const sdx_node *node) {
    for (int k = 0; k < node->n_out; k++) {
        if (node->out[k] == SDX_NONE) continue;
        int producer = graph->values[node->out[k]].producer;
        if (producer >= 0 && producer < graph->n_nodes && graph->nodes[producer] == node) return producer;
    }
    for (int k = 0; k < graph->n_nodes; k++)
        if (graph->nodes[k] == node) return k;
    return -1;
}

sdx_id sdx_patch_output(sdx_patch *patch, const sdx_node *node, int k, const sdx_type *type) {
    sdx_node *owned = (sdx_node *)(uintptr_t)node; /* the graph's, which the patch may change */
    if (patch->status != SDX_OK) return SDX_NONE;
    if (k < node->n_out && node->out[k] != SDX_NONE) return node->out[k];
    const int n = k < node->n_out ? node->n_out : k + 1, index = node_index(patch->graph, node);
    sdx_id *out = SDX_NEW_ARRAY(patch->graph->arena, sdx_id, n, patch->error);
    sdx_id made = out ? sdx_graph_add_value(patch->graph, NULL, type, patch->error) : SDX_NONE;
    if (made == SDX_NONE) return set_status(patch, sdx_failure(patch->error)), SDX_NONE;
    for (int j = 0; j < n; j++) out[j] = j < node->n_out ? node->out[j] : SDX_NONE;
    out[k] = made;
    owned->out = out;
    owned->n_out = n;
    patch->graph->values[made].producer = index;
    patch->changed = true;
    return made;
}

sdx_id sdx_emit1(sdx_patch *patch, const char *op_type, sdx_id a) {
    return sdx_patch_node(patch, "", op_type, 1, &a, 1)->out[0];
}

sdx_id sdx_emit2(sdx_patch *patch, const char *op_type, sdx_id a, sdx_id b) {
    return sdx_patch_node(patch, "", op_type, 2, (sdx_id[]){a, b}, 1)->out[0];
}

sdx_id sdx_emit_cast(sdx_patch *patch, sdx_id x, sdx_dtype from, sdx_dtype to) {
    if (from == to) return x;
    sdx_node *node = sdx_patch_node(patch, "", "Cast", 1, &x, 1);
    sdx_patch_int(patch, node, "to", to);
    return node->out[0];
}

/* ---- attributes ---- */

void sdx_patch_attr(sdx_patch *patch, sdx_node *node, const sdx_attr *attr) {
    if (patch->status == SDX_OK) patch->status = sdx_node_set_attr(patch->graph, node, attr, patch->error);
}

void sdx_patch_int(sdx_patch *patch, sdx_node *node, const char *name, int64_t value) {
    sdx_patch_attr(patch, node, &(sdx_attr){.name = name, .type = SDX_ATTR_INT, .n = 1, .i = value});
}

void sdx_patch_ints(sdx_patch *patch, sdx_node *node, const char *name, const int64_t *values, size_t n) {
    sdx_patch_attr(patch, node, &(sdx_attr){.name = name, .type = SDX_ATTR_INTS, .n = n, .ints = values});
}

void sdx_patch_change_ints(sdx_patch *patch, const sdx_node *node, const char *name, const int64_t *values, size_t n) {
    sdx_node *owned = (sdx_node *)(uintptr_t)node; /* the graph's, which the patch may change */
    sdx_patch_ints(patch, owned, name, values, n);
    owned->row = NULL;
}

void sdx_patch_float(sdx_patch *patch, sdx_node *node, const char *name, float value) {
    sdx_patch_attr(patch, node, &(sdx_attr){.name = name, .type = SDX_ATTR_FLOAT, .n = 1, .f = value});
}

void sdx_patch_string(sdx_patch *patch, sdx_node *node, const char *name, const char *value) {
    sdx_string s = {value, strlen(value)};
    sdx_patch_attr(patch, node, &(sdx_attr){.name = name, .type = SDX_ATTR_STRING, .n = 1, .s = s});
}

void sdx_patch_attrs_of(sdx_patch *patch, sdx_node *node, const sdx_node *from, const char *const *except, size_t n) {
    for (int k = 0; k < from->n_attrs; k++) {
        bool skip = false;
        for (size_t e = 0; e < n; e++) skip = skip || strcmp(from->attrs[k].name, except[e]) == 0;
        if (!skip) sdx_patch_attr(patch, node, &from->attrs[k]);
    }
}

/* ---- constants ---- */

sdx_id sdx_patch_constant(sdx_patch *patch, sdx_value *value) {
    if (patch->status != SDX_OK) return SDX_NONE;
    sdx_id id = sdx_graph_add_value(patch->graph, NULL, NULL, patch->error);
    if (id == SDX_NONE)
        set_status(patch, sdx_failure(patch->error));
    else
        sdx_graph_set_constant(patch->graph, id, value);
    return id;
}

sdx_id sdx_patch_tensor(sdx_patch *patch, const sdx_tensor *tensor) {
    if (patch->status != SDX_OK) return SDX_NONE;
    sdx_value *value = sdx_value_copy_tensor(patch->graph->arena->memory, tensor, patch->error);
    if (!value) return set_status(patch, sdx_failure(patch->error)), SDX_NONE;
    sdx_id id = sdx_patch_constant(patch, value);
    sdx_value_release(value);
    return id;
}

sdx_id sdx_patch_i64s(sdx_patch *patch, const int64_t *values, size_t n) {
    union {
        const int64_t *in;
        void *data;
    } bytes = {values};
    sdx_tensor tensor = {.dtype = SDX_I64, .rank = 1, .dim = {(int64_t)n}, .count = (int64_t)n, .data = bytes.data};
    return sdx_patch_tensor(patch, &tensor);
}

/* One element of any floating or integer dtype: the bytes are written in the dtype's own width. */
static bool scalar_bytes(sdx_dtype dtype, double value, unsigned char bytes[8]) {
    float f = (float)value;
    uint16_t half = dtype == SDX_F16 ? sdx_f16_from_f64(value) : dtype == SDX_BF16 ? sdx_bf16_from_f64(value) : 0;
    int64_t whole = value >= 0x1p63 ? 0 : (int64_t)value;
    uint64_t unsigned_whole = value >= 0x1p63 ? (uint64_t)value : (uint64_t)whole;
    size_t size = sdx_dtype_size(dtype);
    switch (sdx_dtype_class(dtype)) {
    case SDX_CLASS_FLOAT:
        if (dtype == SDX_F32)
            memcpy(bytes, &f, size);
        else if (dtype == SDX_F64)
            memcpy(bytes, &value, size);
        else if (size == 2)
            memcpy(bytes, &half, size);
        else if (dtype == SDX_F8E8M0)
            bytes[0] = sdx_f8e8m0_from_f32(f, true, SDX_ROUND_NEAREST);
        else
            bytes[0] = sdx_f8_from_f32(dtype, f, true);
        return true;
    case SDX_CLASS_BOOL: bytes[0] = value != 0; return true;
    case SDX_CLASS_SIGNED:
    case SDX_CLASS_UNSIGNED: /* little-endian: the low bytes come first */
        for (size_t k = 0; k < size; k++) bytes[k] = (unsigned char)(unsigned_whole >> (8 * k));
        return true;
    default: return false;
    }
}

sdx_id sdx_patch_scalar(sdx_patch *patch, sdx_dtype dtype, double value) {
    unsigned char bytes[8] = {0};
    if (patch->status != SDX_OK) return SDX_NONE;
    if (!scalar_bytes(dtype, value, bytes)) {
        set_status(patch, sdx_fail(patch->error, SDX_TYPE, "a scalar constant cannot be %s", sdx_dtype_name(dtype)));
        return SDX_NONE;
    }
    return sdx_patch_tensor(patch, &(sdx_tensor){.dtype = dtype, .count = 1, .data = bytes});
}

/* ---- replacing and removing ---- */

/* An array of at least `need` entries of `fill` bytes beyond what it had. */
static void *extended(sdx_patch *patch, const void *old, int have, int need, size_t size, int fill) {
    size_t bytes = (size_t)need * size, kept = (size_t)have * size;
    unsigned char *next = sdx_arena_alloc(patch->graph->arena, bytes, patch->error);
    if (!next) return set_status(patch, sdx_failure(patch->error)), NULL;
    if (kept) memcpy(next, old, kept);
    memset(next + kept, fill, bytes - kept);
    return next;
}

void sdx_patch_replace(sdx_patch *patch, sdx_id old, sdx_id by) {
    if (patch->status != SDX_OK || old == SDX_NONE || old == by) return;
    if (old >= patch->n_replaced) {
        int need = patch->graph->n_values + patch->graph->n_values / 2 + 16;
        sdx_id *next = extended(patch, patch->replaced, patch->n_replaced, need, sizeof(sdx_id), 0xff);
        if (!next) return;
        patch->replaced = next;
        patch->n_replaced = need;
    }
    patch->replaced[old] = by;
    patch->changed = true;
}

void sdx_patch_remove(sdx_patch *patch, const sdx_node *node) {
    if (patch->status != SDX_OK) return;
    int index = node_index(patch->graph, node);
    if (index < 0) return;
    if (index >= patch->n_removed) {
        int need = patch->graph->n_nodes + patch->graph->n_nodes / 2 + 16;
        bool *next = extended(patch, patch->removed, patch->n_removed, need, sizeof(bool), 0);
        if (!next) return;
        patch->removed = next;
        patch->n_removed = need;
    }
    patch->removed[index] = true;
    patch->changed = true;
}

/* ---- commit ---- */

/* Shortens chains so that every entry names a value that stays. A ring would be a bug of a pass. */
static sdx_status follow_replacements(sdx_patch *patch) {
    for (int id = 0; id < patch->n_replaced && id < patch->graph->n_values; id++) {
        sdx_id end = patch->replaced[id];
        for (int steps = 0; end != SDX_NONE && end < patch->n_replaced && patch->replaced[end] != SDX_NONE; steps++) {
            if (steps > patch->n_replaced)
                return sdx_fail(patch->error, SDX_MALFORMED, "a replaced value replaces itself");
            end = patch->replaced[end];
        }
        for (sdx_id at = id; at != end && at < patch->n_replaced && patch->replaced[at] != SDX_NONE;) {
            sdx_id next = patch->replaced[at];
            patch->replaced[at] = end;
            at = next;
        }
    }
    return SDX_OK;
}

static sdx_id replacement(const sdx_patch *patch, sdx_id id) {
    return id != SDX_NONE && id < patch->n_replaced ? patch->replaced[id] : SDX_NONE;
}

static bool node_removed(const sdx_patch *patch, int index) {
    return index < patch->n_removed && patch->removed[index];
}

/* Where an output's name can go. */
typedef struct outputs {
    bool *is_output; /* per value that was there when commit began */
    int n;
} outputs;

/* `by` may take the output's name: it is made by a node that stays, or a plain constant, and is no output itself. */
static bool can_take_name(const sdx_patch *patch, const outputs *names, sdx_id by) {
    const sdx_graph_value *value = &patch->graph->values[by];
    if (value->is_input || by >= names->n || names->is_output[by]) return false;
    return value->constant || (value->producer >= 0 && !node_removed(patch, value->producer));
}

static void swap_names(sdx_graph *graph, sdx_id a, sdx_id b) {
    const char *name = graph->values[a].name;
    graph->values[a].name = graph->values[b].name;
    graph->values[b].name = name;
}

static sdx_status replace_output(sdx_patch *patch, outputs *names, int k) {
    sdx_graph *graph = patch->graph;
    sdx_id old = graph->outputs[k], by = replacement(patch, old);
    if (by == SDX_NONE) return SDX_OK;
    if (can_take_name(patch, names, by)) {
        names->is_output[by] = true;
        swap_names(graph, old, by);
        graph->outputs[k] = by;
        return SDX_OK;
    }
    sdx_id out = sdx_graph_add_value(graph, NULL, &graph->values[old].type, patch->error);
    if (out == SDX_NONE) return sdx_failure(patch->error);
    swap_names(graph, old, out);
    graph->outputs[k] = out;
    return sdx_graph_add_node(graph, "", "Identity", "", 1, &by, 1, &out, patch->error) ? SDX_OK
                                                                                        : sdx_failure(patch->error);
}

static sdx_status replace_outputs(sdx_patch *patch) {
    sdx_graph *graph = patch->graph;
    outputs names = {SDX_NEW_ARRAY(graph->arena, bool, graph->n_values, patch->error), graph->n_values};
    if (!names.is_output) return sdx_failure(patch->error);
    for (int k = 0; k < graph->n_outputs; k++) names.is_output[graph->outputs[k]] = true;
    for (int k = 0; k < graph->n_outputs; k++) SDX_TRY(replace_output(patch, &names, k));
    return SDX_OK;
}

static void keep_known_types(sdx_patch *patch) {
    sdx_graph_value *values = patch->graph->values;
    for (int id = 0; id < patch->n_replaced && id < patch->graph->n_values; id++) {
        sdx_id by = patch->replaced[id];
        if (by != SDX_NONE && values[by].type.kind == 0) values[by].type = values[id].type;
    }
}

static void rewrite_reads(sdx_patch *patch) {
    for (int k = 0; k < patch->graph->n_nodes; k++) {
        sdx_node *node = patch->graph->nodes[k];
        for (int i = 0; i < node->n_in; i++)
            if (replacement(patch, node->in[i]) != SDX_NONE) node->in[i] = replacement(patch, node->in[i]);
        for (int b = 0; b < node->n_bodies; b++)
            if (patch->n_replaced) sdx_graph_remap_captures(node->bodies[b], patch->replaced, patch->n_replaced);
    }
}

static void drop_removed(sdx_patch *patch) {
    sdx_graph *graph = patch->graph;
    int kept = 0;
    for (int k = 0; k < graph->n_nodes; k++) {
        if (node_removed(patch, k))
            sdx_node_release(graph->nodes[k]);
        else
            graph->nodes[kept++] = graph->nodes[k];
    }
    graph->n_nodes = kept;
}

sdx_status sdx_patch_commit(sdx_patch *patch) {
    if (patch->status != SDX_OK || !patch->changed) return patch->status;
    patch->status = follow_replacements(patch);
    if (patch->status != SDX_OK) return patch->status;
    keep_known_types(patch);
    if (patch->replaced) patch->status = replace_outputs(patch);
    if (patch->status != SDX_OK) return patch->status;
    rewrite_reads(patch);
    drop_removed(patch);
    patch->status = sdx_graph_sort(patch->graph, patch->error);
    return patch->status;
}
