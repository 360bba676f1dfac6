/* SPDX-License-Identifier: Apache-2.0
 * Initializers told apart: parameters, running statistics, plain constants. Operators with weights decide by position;
 * where a constant merely takes part in arithmetic, its name and what exporters say of it decide. */
#include "runtime/train/fill.h"
#include "runtime/train/prepare.h"
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

static bool trainable_dtype(sdx_dtype dtype) {
    return dtype == SDX_F32 || dtype == SDX_F64 || dtype == SDX_F16 || dtype == SDX_BF16;
}

static const char *path_of(finder *f, const sdx_graph_value *value, const sdx_use *use, sdx_role role) {
    if (!sdx_name_made_up(value->name)) return value->name;
    const char *path = sdx_prepare_folded_from(f->p, value);
    return path ? path : sdx_prepare_path(f->p, value->name, use, role);
}

/* ---- deciding ---- */

/* A weight that only takes part in arithmetic must have a name that somebody gave it, and stand behind other weights:
 * what is done to the raw input is preprocessing. */
static bool other_parameter(finder *f, const sdx_graph_value *value, const sdx_use *use) {
    bool named = !sdx_name_made_up(value->name) || sdx_prepare_folded_from(f->p, value);
    if (!named || f->kinds || !sdx_tensor_finite(&value->constant->tensor)) return false;
    if (value->constant->tensor.rank == 0 && !f->p->torch) return false;
    if (use->graph != f->graph) return true;
    for (int k = 0; k < use->node->n_in; k++)
        if (use->node->in[k] != SDX_NONE && f->depends[use->node->in[k]]) return true;
    return f->p->torch && !sdx_node_is(use->node, "Sub") && !sdx_node_is(use->node, "Div");
}

/* Named as it is in `trainable`: the user knows better. */
static bool asked_for(const finder *f, const sdx_graph_value *value) {
    const sdx_patterns *patterns = &f->p->options->trainable;
    for (size_t k = 0; k < patterns->n; k++)
        if (patterns->items[k] && strcmp(patterns->items[k], value->name) == 0) return true;
    return false;
}

typedef struct verdict {
    int role;           /* SDX_USE_NONE: a plain constant */
    const sdx_use *use; /* that told it */
} verdict;

static verdict decide(finder *f, sdx_id id, const sdx_use *uses, int n, bool arithmetic) {
    const sdx_graph_value *value = &f->graph->values[id];
    const char *kind = sdx_value_kind_said(value);
    bool parameter = strcmp(kind, "PARAMETER") == 0, fixed = *kind && !parameter;
    verdict best = {SDX_USE_NONE, NULL};
    for (int k = 0; k < n; k++) {
        int role = sdx_prepare_role(f->p, f->readers, id, &uses[k]);
        if (fixed && role != SDX_ROLE_STATE) continue;
        if (role == SDX_USE_ELEMENTWISE && (parameter || (arithmetic && other_parameter(f, value, &uses[k]))))
            role = SDX_ROLE_OTHER;
        if (role == SDX_USE_ELEMENTWISE || role == SDX_USE_NONE) continue;
        bool better = best.role == SDX_USE_NONE || best.role == SDX_ROLE_OTHER || role == SDX_ROLE_EMBEDDING;
        if (better) best = (verdict){role, &uses[k]};
    }
    if (best.role == SDX_USE_NONE && (parameter || asked_for(f, value)) && n > 0)
        best = (verdict){SDX_ROLE_OTHER, &uses[0]};
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

bool sdx_prepare_candidate(const sdx_graph *graph, sdx_id id) {
    const sdx_graph_value *value = &graph->values[id];
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
            if (!sdx_prepare_candidate(f->graph, id)) continue;
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

/* Weights that are inputs with a default: callers gave others instead, now training does. */
static sdx_status drop_defaults(sdx_preparation *p) {
    int n = 0;
    for (int k = 0; k < p->out->n_variables; k++) {
        sdx_id id = p->out->variables[k].id;
        if (!p->graph->values[id].is_input) continue;
        sdx_graph_drop_input(p->graph, id);
        n++;
    }
    if (!n) return SDX_OK;
    SDX_TRY(sdx_prepare_describe(p, p->out->inference));
    return sdx_prepare_note(p, "%d input%s with a default %s no more: training gives the value%s", n, n > 1 ? "s" : "",
                            n > 1 ? "are inputs" : "is an input", n > 1 ? "s" : "");
}

sdx_status sdx_prepare_variables(sdx_preparation *p) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, p->arena->memory);
    finder f = {.p = p, .graph = p->graph, .scratch = &scratch};
    f.depends = SDX_NEW_ARRAY(&scratch, bool, p->graph->n_values, p->error);
    for (sdx_id id = 0; id < p->graph->n_values; id++)
        f.kinds |= strcmp(sdx_value_kind_said(&p->graph->values[id]), "PARAMETER") == 0;
    sdx_status status = f.depends ? sdx_readers_make(p->graph, &scratch, p->error, &f.readers) : sdx_prepare_failed(p);
    if (status == SDX_OK) status = find(&f);
    if (status == SDX_OK) status = drop_defaults(p);
    sdx_arena_release(&scratch);
    return status;
}
