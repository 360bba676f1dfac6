/* SPDX-License-Identifier: Apache-2.0
 * Who reads a constant. Exporters put Identity, Transpose, Slice, Concat and the like between a weight and the node
 * that computes with it: what is made of constants alone is looked through, into bodies too. */
#include "runtime/train/prepare.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

const char *sdx_prepare_node_name(const sdx_graph *graph, const sdx_node *node) {
    if (*node->name) return node->name;
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE) return graph->values[node->out[k]].name;
    return node->op_type;
}

/* ---- names ---- */

static bool digits(const char *text) {
    size_t n = strspn(text, "0123456789");
    return n > 0 && text[n] == '\0';
}

static bool ends_in_output(const char *name) { /* "/layer/Constant_3_output_0" */
    const char *at = NULL;
    for (const char *p = name; (p = strstr(p, "_output_")) != NULL; p++) at = p;
    return *name == '/' && at && digits(at + strlen("_output_"));
}

bool sdx_name_made_up(const char *name) {
    static const char *const prefixes[] = {"sdx_v",           "val_",
                                           "_val_",           "v_",
                                           "const_",          "const_fold_opt__",
                                           "Constant_",       "_tensor_constant",
                                           "tensor_constant", "lifted_tensor_",
                                           "int64_",          ""};
    if (strncmp(name, "onnx::", 6) == 0 || ends_in_output(name) || *name == '\0') return true;
    for (size_t k = 0; k < sizeof prefixes / sizeof prefixes[0]; k++) {
        size_t n = strlen(prefixes[k]);
        if (strncmp(name, prefixes[k], n) == 0 && digits(name + n)) return true;
    }
    return false;
}

/* ---- the index ---- */

typedef struct step {
    const sdx_graph *graph;
    sdx_id id;
} step;

struct sdx_readers {
    const sdx_graph *graph;
    sdx_arena *arena;
    sdx_error *error;
    int32_t *first; /* readers of id: list[first[id]] .. list[first[id + 1] - 1] */
    sdx_use *list;
    bool *derived;
    int32_t *seen; /* number of the last search that came by */
    int32_t search;
    sdx_use *uses;
    int n_uses, uses_capacity;
    step *steps;
    int n_steps, steps_capacity;
};

/* Counts when list is NULL: first[id + 1] is the number of reads; else fills, first[id] being where to put the next. */
static void visit_reads(sdx_readers *r, sdx_use *list) {
    for (int k = 0; k < r->graph->n_nodes; k++) {
        const sdx_node *node = r->graph->nodes[k];
        for (int i = 0; i < node->n_in; i++) {
            if (node->in[i] == SDX_NONE) continue;
            if (list)
                list[r->first[node->in[i]]++] = (sdx_use){r->graph, node, i};
            else
                r->first[node->in[i] + 1]++;
        }
        for (int b = 0; b < node->n_bodies; b++)
            for (int c = 0; c < node->bodies[b]->n_captures; c++) {
                sdx_id outer = node->bodies[b]->captures[c].outer;
                if (list)
                    list[r->first[outer]++] = (sdx_use){node->bodies[b], node, -1};
                else
                    r->first[outer + 1]++;
            }
    }
}

/* Shape and what makes new contents of constants are no views of a weight. */
static bool looks_through(const sdx_node *node) {
    static const char *const opaque[] = {"Shape", "Size",  "ConstantOfShape", "Range",   "Cos",
                                         "Sin",   "Equal", "Where",           "NonZero", "OneHot"};
    if (node->n_bodies || node->n_in == 0 || *node->domain) return false;
    for (size_t k = 0; k < sizeof opaque / sizeof opaque[0]; k++)
        if (strcmp(node->op_type, opaque[k]) == 0) return false;
    return !node->op || !(node->op->flags & SDX_OP_RANDOM);
}

static void mark_derived(sdx_readers *r) {
    for (sdx_id id = 0; id < r->graph->n_values; id++)
        r->derived[id] = r->graph->values[id].constant && r->graph->values[id].producer < 0;
    for (int k = 0; k < r->graph->n_nodes; k++) {
        const sdx_node *node = r->graph->nodes[k];
        bool all = looks_through(node);
        for (int i = 0; i < node->n_in && all; i++) all = node->in[i] == SDX_NONE || r->derived[node->in[i]];
        for (int i = 0; i < node->n_out && all; i++)
            if (node->out[i] != SDX_NONE) r->derived[node->out[i]] = true;
    }
}

sdx_status sdx_readers_make(const sdx_graph *graph, sdx_arena *arena, sdx_error *error, sdx_readers **out) {
    sdx_readers *r = SDX_NEW(arena, sdx_readers, error);
    *out = NULL;
    if (!r) return sdx_failure(error);
    r->graph = graph;
    r->arena = arena;
    r->error = error;
    r->first = SDX_NEW_ARRAY(arena, int32_t, graph->n_values + 2, error);
    r->derived = SDX_NEW_ARRAY(arena, bool, graph->n_values, error);
    r->seen = SDX_NEW_ARRAY(arena, int32_t, graph->n_values, error);
    if (!r->first || !r->derived || !r->seen) return sdx_failure(error);
    visit_reads(r, NULL);
    for (int id = 0; id < graph->n_values; id++) r->first[id + 1] += r->first[id];
    r->list = SDX_NEW_ARRAY(arena, sdx_use, r->first[graph->n_values], error);
    if (!r->list) return sdx_failure(error);
    visit_reads(r, r->list); /* moves each first[] to the next one's start */
    for (int id = graph->n_values; id > 0; id--) r->first[id] = r->first[id - 1];
    r->first[0] = 0;
    mark_derived(r);
    *out = r;
    return SDX_OK;
}

int sdx_readers_of(const sdx_readers *r, sdx_id id, const sdx_use **uses) {
    *uses = r->list + r->first[id];
    return r->first[id + 1] - r->first[id];
}

bool sdx_readers_derived(const sdx_readers *r, sdx_id id) { return r->derived[id]; }

/* ---- uses ---- */

static sdx_status grow(sdx_readers *r, void *array, int n, int *capacity, size_t size) {
    if (n < *capacity) return SDX_OK;
    int more = *capacity ? *capacity * 2 : 32;
    void *old = NULL, *next = sdx_arena_alloc_array(r->arena, (size_t)more, size, r->error);
    memcpy(&old, array, sizeof old);
    if (!next) return sdx_failure(r->error);
    if (n) memcpy(next, old, (size_t)n * size);
    memcpy(array, &next, sizeof next);
    *capacity = more;
    return SDX_OK;
}

static sdx_status push(sdx_readers *r, const sdx_graph *graph, sdx_id id) {
    SDX_TRY(grow(r, &r->steps, r->n_steps, &r->steps_capacity, sizeof *r->steps));
    r->steps[r->n_steps++] = (step){graph, id};
    return SDX_OK;
}

static sdx_status visit_use(sdx_readers *r, sdx_id id, const sdx_use *use) {
    if (use->input < 0) {
        for (int c = 0; c < use->graph->n_captures; c++)
            if (use->graph->captures[c].outer == id) SDX_TRY(push(r, use->graph, use->graph->captures[c].inner));
        return SDX_OK;
    }
    const sdx_node *node = use->node;
    bool through = false;
    for (int k = 0; k < node->n_out && use->graph == r->graph; k++) {
        if (node->out[k] == SDX_NONE || !r->derived[node->out[k]]) continue;
        if (r->seen[node->out[k]] != r->search) SDX_TRY(push(r, use->graph, node->out[k]));
        r->seen[node->out[k]] = r->search;
        through = true;
    }
    if (through) return SDX_OK;
    SDX_TRY(grow(r, &r->uses, r->n_uses, &r->uses_capacity, sizeof *r->uses));
    r->uses[r->n_uses++] = *use;
    return SDX_OK;
}

/* Views within a body are looked through as well, by name of the operator. */
static bool is_view(const sdx_node *node, int input) {
    static const char *const views[] = {"Identity", "Transpose", "Reshape", "Cast", "Squeeze", "Unsqueeze", "Flatten"};
    for (size_t k = 0; k < sizeof views / sizeof views[0]; k++)
        if (input == 0 && sdx_node_is(node, views[k])) return true;
    return false;
}

static sdx_status visit_body(sdx_readers *r, const sdx_graph *body, sdx_id id) {
    for (int k = 0; k < body->n_nodes; k++) {
        const sdx_node *node = body->nodes[k];
        for (int i = 0; i < node->n_in; i++) {
            if (node->in[i] != id) continue;
            if (is_view(node, i))
                SDX_TRY(push(r, body, node->out[0]));
            else
                SDX_TRY(visit_use(r, id, &(sdx_use){body, node, i}));
        }
        for (int b = 0; b < node->n_bodies; b++) SDX_TRY(visit_use(r, id, &(sdx_use){node->bodies[b], node, -1}));
    }
    return SDX_OK;
}

enum { MOST_STEPS = 100000 }; /* of one constant; bodies may be searched more than once */

sdx_status sdx_readers_uses(sdx_readers *r, sdx_id id, int only, const sdx_use **uses, int *n) {
    const sdx_use *direct = NULL;
    int count = sdx_readers_of(r, id, &direct), steps = 0;
    r->n_uses = r->n_steps = 0;
    r->search++;
    for (int k = 0; k < count; k++)
        if (only < 0 || only == k) SDX_TRY(visit_use(r, id, &direct[k]));
    while (r->n_steps > 0 && steps++ < MOST_STEPS) {
        step at = r->steps[--r->n_steps];
        if (at.graph != r->graph) {
            SDX_TRY(visit_body(r, at.graph, at.id));
            continue;
        }
        count = sdx_readers_of(r, at.id, &direct);
        for (int k = 0; k < count; k++) SDX_TRY(visit_use(r, at.id, &direct[k]));
    }
    *uses = r->uses;
    *n = r->n_uses;
    return SDX_OK;
}
