/* SPDX-License-Identifier: Apache-2.0
 * Initializers told apart: parameters, running statistics, plain constants. Operators with weights decide by position;
 * where a constant merely takes part in arithmetic, its name and what exporters say of it decide. */
#include "runtime/base/half.h"
#include "runtime/train/prepare.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct finder {
    sdx_preparation *p;
    sdx_graph *graph;
    sdx_readers *readers;
    sdx_arena *scratch;
    bool *depends; /* per value: a weight told by position reaches it */
    bool kinds;    /* the exporter says what is a parameter */
    int capacity;
} finder;

/* ---- small questions ---- */

static double element(const sdx_tensor *t, int64_t k) {
    switch ((int)t->dtype) {
    case SDX_F32: return (double)((const float *)t->data)[k];
    case SDX_F64: return ((const double *)t->data)[k];
    case SDX_F16: return (double)sdx_f32_from_f16(((const uint16_t *)t->data)[k]);
    case SDX_BF16: return (double)sdx_f32_from_bf16(((const uint16_t *)t->data)[k]);
    default: return (double)NAN;
    }
}

bool sdx_tensor_all(const sdx_tensor *tensor, double value) {
    for (int64_t k = 0; k < tensor->count; k++)
        if (element(tensor, k) != value) return false;
    return true;
}

static bool all_finite(const sdx_tensor *tensor) {
    for (int64_t k = 0; k < tensor->count; k++)
        if (!isfinite(element(tensor, k))) return false;
    return true;
}

static bool trainable_dtype(sdx_dtype dtype) {
    return dtype == SDX_F32 || dtype == SDX_F64 || dtype == SDX_F16 || dtype == SDX_BF16;
}

static const char *metadata(const sdx_graph_value *value, const char *key) {
    for (int k = 0; k < value->n_metadata; k++)
        if (strcmp(value->metadata[k].key, key) == 0) return value->metadata[k].value;
    return "";
}

static const char *kind_of(const sdx_graph_value *value) {
    return metadata(value, "pkg.torch.export.graph_signature.InputSpec.kind");
}

/* ---- the path ---- */

/* "['0.weight', 'val_3']" with one name that is not made up: a folded constant is that weight under another shape. */
static const char *folded_from(finder *f, const sdx_graph_value *value) {
    const char *text = metadata(value, "pkg.onnxscript.optimizer.folded_from"), *found = NULL;
    for (const char *at = strchr(text, '\''); at;) {
        const char *end = strchr(at + 1, '\'');
        if (!end) break;
        char *name = sdx_arena_copy(f->p->arena, at + 1, (size_t)(end - at - 1), f->p->error);
        if (!name) return NULL;
        if (strchr(name, '.') && !sdx_name_made_up(name)) {
            if (found) return NULL;
            found = name;
        }
        at = strchr(end + 1, '\'');
    }
    return found;
}

/* "/encoder/layers.0/linear1/MatMul" and a suffix: "encoder.layers.0.linear1.weight". */
static const char *path_of_node(finder *f, const sdx_node *node, sdx_role role) {
    static const char *const suffix[] = {"", "weight", "weight_hh", "bias", "weight", "bias", "weight", "weight", ""};
    const char *name = node->name, *slash = strrchr(name, '/');
    if (*name != '/' || !slash || slash == name) return NULL;
    const char *tail = sdx_node_is(node, "LSTM") || sdx_node_is(node, "GRU") || sdx_node_is(node, "RNN")
                           ? role == SDX_ROLE_KERNEL ? "weight_ih"
                             : role == SDX_ROLE_BIAS ? "bias"
                                                     : suffix[role]
                           : suffix[role];
    size_t size = (size_t)(slash - name) + strlen(tail) + 1;
    char *path = sdx_arena_alloc(f->p->arena, size + 1, f->p->error);
    if (!path) return NULL;
    memcpy(path, name + 1, (size_t)(slash - name - 1));
    for (char *c = path; *c; c++)
        if (*c == '/') *c = '.';
    strcat(path, ".");
    return strcat(path, tail);
}

static const char *path_of(finder *f, const sdx_graph_value *value, const sdx_use *use, sdx_role role) {
    if (!sdx_name_made_up(value->name)) return value->name;
    const char *path = folded_from(f, value);
    if (!path && f->p->torch && use) path = path_of_node(f, use->node, role);
    return path ? path : value->name;
}

/* ---- deciding ---- */

/* Dummies: exporters write ones and zeros where a normalisation has no scale and shift of its own. */
static bool is_dummy(finder *f, const sdx_graph_value *value, int role) {
    if (!sdx_name_made_up(value->name) || folded_from(f, value)) return false;
    const sdx_tensor *tensor = &value->constant->tensor;
    return (role == SDX_ROLE_SCALE && sdx_tensor_all(tensor, 1)) ||
           (role == SDX_ROLE_SHIFT && sdx_tensor_all(tensor, 0));
}

/* A group normalisation in pieces: groups are channels of an InstanceNormalization whose scale and bias say nothing;
 * the real ones follow behind a Reshape. */
static bool in_group_norm(const finder *f, const sdx_use *use) {
    if (!sdx_node_is(use->node, "InstanceNormalization") || use->graph != f->graph) return false;
    const sdx_node *before = sdx_prepare_producer(f->graph, use->node->in[0]);
    if (!before || !sdx_node_is(before, "Reshape")) return false;
    const sdx_tensor *scale = sdx_prepare_constant(f->graph, use->node->in[1]);
    const sdx_tensor *bias = sdx_prepare_constant(f->graph, use->node->in[2]);
    return scale && bias && sdx_tensor_all(scale, 1) && sdx_tensor_all(bias, 0);
}

static bool by_position(const sdx_use *use) {
    static const char *const arithmetic[] = {"Mul", "Add"};
    for (size_t k = 0; k < sizeof arithmetic / sizeof arithmetic[0]; k++)
        if (sdx_node_is(use->node, arithmetic[k])) return false;
    return true;
}

/* Batch statistics in both forms: what stands in for running ones is no state. */
static bool untracked(finder *f, const sdx_graph_value *value, const sdx_use *use) {
    const sdx_attr *mode = sdx_node_attr(use->node, "training_mode");
    return mode && mode->i && sdx_name_made_up(value->name) && !folded_from(f, value);
}

/* The role of one use; SDX_USE_NONE where the constant is no weight there. */
static int settled_role(finder *f, const sdx_graph_value *value, const sdx_use *use) {
    int role = sdx_use_role(f->readers, use);
    if (role == SDX_USE_NONE || role == SDX_USE_ELEMENTWISE) return role;
    if (role == SDX_ROLE_STATE) return untracked(f, value, use) ? SDX_USE_NONE : role;
    if (is_dummy(f, value, role) || in_group_norm(f, use)) return SDX_USE_NONE;
    const sdx_tensor *tensor = &value->constant->tensor;
    if (!by_position(use) && tensor->rank == 0) return SDX_USE_ELEMENTWISE;
    if (role == SDX_ROLE_EMBEDDING && tensor->rank < 2) return SDX_USE_ELEMENTWISE;
    return role;
}

/* A weight that only takes part in arithmetic must have a name that somebody gave it, and stand behind other weights:
 * what is done to the raw input is preprocessing. */
static bool other_parameter(finder *f, const sdx_graph_value *value, const sdx_use *use) {
    bool named = !sdx_name_made_up(value->name) || folded_from(f, value);
    if (!named || f->kinds || !all_finite(&value->constant->tensor)) return false;
    if (value->constant->tensor.rank == 0 && !f->p->torch) return false;
    if (use->graph != f->graph) return true;
    for (int k = 0; k < use->node->n_in; k++)
        if (use->node->in[k] != SDX_NONE && f->depends[use->node->in[k]]) return true;
    return f->p->torch && !sdx_node_is(use->node, "Sub") && !sdx_node_is(use->node, "Div");
}

typedef struct verdict {
    int role;           /* SDX_USE_NONE: a plain constant */
    const sdx_use *use; /* that told it */
} verdict;

static verdict decide(finder *f, sdx_id id, const sdx_use *uses, int n, bool arithmetic) {
    const sdx_graph_value *value = &f->graph->values[id];
    const char *kind = kind_of(value);
    bool parameter = strcmp(kind, "PARAMETER") == 0, fixed = *kind && !parameter;
    verdict best = {SDX_USE_NONE, NULL};
    for (int k = 0; k < n; k++) {
        int role = settled_role(f, value, &uses[k]);
        if (fixed && role != SDX_ROLE_STATE) continue;
        if (role == SDX_USE_ELEMENTWISE && (parameter || (arithmetic && other_parameter(f, value, &uses[k]))))
            role = SDX_ROLE_OTHER;
        if (role == SDX_USE_ELEMENTWISE || role == SDX_USE_NONE) continue;
        bool better = best.role == SDX_USE_NONE || best.role == SDX_ROLE_OTHER || role == SDX_ROLE_EMBEDDING;
        if (better) best = (verdict){role, &uses[k]};
    }
    if (best.role == SDX_USE_NONE && parameter && n > 0) best = (verdict){SDX_ROLE_OTHER, &uses[0]};
    return best;
}

/* ---- the list ---- */

static sdx_status add_variable(finder *f, sdx_id id, verdict v) {
    sdx_prepared *out = f->p->out;
    if (out->n_variables == f->capacity) {
        int capacity = f->capacity ? f->capacity * 2 : 32;
        sdx_variable *more = SDX_NEW_ARRAY(f->p->arena, sdx_variable, capacity, f->p->error);
        if (!more) return sdx_prepare_failed(f->p);
        if (out->n_variables) memcpy(more, out->variables, (size_t)out->n_variables * sizeof *more);
        out->variables = more;
        f->capacity = capacity;
    }
    const sdx_graph_value *value = &f->graph->values[id];
    sdx_variable *to = &out->variables[out->n_variables];
    const char *path = path_of(f, value, v.use, (sdx_role)v.role);
    *to = (sdx_variable){.name = value->name,
                         .path = path,
                         .node = sdx_prepare_node_name(v.use->graph, v.use->node),
                         .role = (sdx_role)v.role,
                         .value = sdx_value_retain(value->constant),
                         .exported = id,
                         .id = id,
                         .next = SDX_NONE};
    out->n_variables++;
    return to->path ? SDX_OK : sdx_prepare_failed(f->p);
}

static bool candidate(const finder *f, sdx_id id) {
    const sdx_graph_value *value = &f->graph->values[id];
    return value->constant && value->producer < 0 && value->constant->kind == SDX_TENSOR &&
           trainable_dtype(value->constant->tensor.dtype) && value->constant->tensor.count > 0;
}

static void spread(finder *f) {
    for (int k = 0; k < f->graph->n_nodes; k++) {
        const sdx_node *node = f->graph->nodes[k];
        bool any = false;
        for (int i = 0; i < node->n_in && !any; i++) any = node->in[i] != SDX_NONE && f->depends[node->in[i]];
        for (int i = 0; i < node->n_out && any; i++)
            if (node->out[i] != SDX_NONE) f->depends[node->out[i]] = true;
    }
}

static sdx_status find(finder *f) {
    for (int pass = 0; pass < 2; pass++) {
        for (sdx_id id = 0; id < f->graph->n_values; id++) {
            const sdx_use *uses = NULL;
            int n = 0;
            if (!candidate(f, id)) continue;
            SDX_TRY(sdx_readers_uses(f->readers, id, -1, &uses, &n));
            verdict v = decide(f, id, uses, n, pass == 1);
            if (v.role == SDX_USE_NONE) continue;
            if (pass == 0 && v.role != SDX_ROLE_STATE) f->depends[id] = true;
            if (pass == 1) SDX_TRY(add_variable(f, id, v));
        }
        spread(f);
    }
    return SDX_OK;
}

sdx_status sdx_prepare_variables(sdx_preparation *p) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, p->arena->memory);
    finder f = {.p = p, .graph = p->graph, .scratch = &scratch};
    f.depends = SDX_NEW_ARRAY(&scratch, bool, p->graph->n_values, p->error);
    for (sdx_id id = 0; id < p->graph->n_values; id++)
        f.kinds |= strcmp(kind_of(&p->graph->values[id]), "PARAMETER") == 0;
    sdx_status status = f.depends ? sdx_readers_make(p->graph, &scratch, p->error, &f.readers) : sdx_prepare_failed(p);
    if (status == SDX_OK) status = find(&f);
    sdx_arena_release(&scratch);
    return status;
}
