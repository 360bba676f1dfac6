/* SPDX-License-Identifier: Apache-2.0
 * Exporters merge initializers of equal values: the running variance of a fresh BatchNormalization may be the scale of
 * another one, the layers of a fresh stack may all read the first one's weights. What plays different roles, and what
 * belongs to different modules by PyTorch's own account, becomes a tensor of its own. Weights that are shared stay so:
 * embeddings and output projections, modules that are called twice. */
#include "runtime/train/prepare.h"
#include <ctype.h>
#include <string.h>

/* Readers of one initializer that go together. */
typedef struct group {
    int kind, input; /* role; for statistics which of the two */
    const char *module;
    sdx_use use; /* that told them */
    sdx_id id;   /* what they read */
} group;

typedef struct splitter {
    sdx_preparation *p;
    sdx_graph *graph;
    sdx_readers *readers;
    sdx_arena *scratch;
    int copies;
} splitter;

static bool fixed_sharing(int role) { /* never shared on purpose between modules */
    return role == SDX_ROLE_BIAS || role == SDX_ROLE_SCALE || role == SDX_ROLE_SHIFT || role == SDX_ROLE_STATE;
}

/* "layers.0.linear1" and "layers.1.linear1": equal but for numbers. */
static bool siblings(const char *a, const char *b) {
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            while (isdigit((unsigned char)*a)) a++;
            while (isdigit((unsigned char)*b)) b++;
        } else if (*a++ != *b++) {
            return false;
        }
    }
    return *a == *b;
}

/* Embeddings and kernels go together: output projections share tables of embeddings. */
static int kind_of(int role) {
    if (role == SDX_ROLE_EMBEDDING) return SDX_ROLE_KERNEL;
    return role == SDX_USE_ELEMENTWISE ? SDX_ROLE_OTHER : role;
}

static bool together(const group *a, const group *b) {
    if (a->kind != b->kind || a->input != b->input) return false;
    if (!a->module || !b->module || strcmp(a->module, b->module) == 0) return true;
    return !fixed_sharing(a->kind) && !siblings(a->module, b->module);
}

/* What reader number `k` of `id` makes of it. */
static sdx_status describe(splitter *s, sdx_id id, int k, group *out) {
    const sdx_use *uses = NULL;
    int n = 0;
    *out = (group){.kind = SDX_USE_NONE, .input = -1, .id = id};
    SDX_TRY(sdx_readers_uses(s->readers, id, k, &uses, &n));
    for (int i = 0; i < n; i++) {
        int role = kind_of(sdx_prepare_role(s->p, s->readers, id, &uses[i]));
        if (role == SDX_USE_NONE || (out->kind != SDX_USE_NONE && role == SDX_ROLE_OTHER)) continue;
        if (out->kind != SDX_USE_NONE && out->kind != SDX_ROLE_OTHER) continue;
        out->kind = role;
        out->use = uses[i];
    }
    if (out->kind == SDX_USE_NONE) return SDX_OK;
    out->input = out->kind == SDX_ROLE_STATE ? out->use.input : -1;
    out->module = out->kind == SDX_ROLE_OTHER ? NULL : sdx_prepare_module(s->p, out->use.node);
    return SDX_OK;
}

/* What PyTorch calls the tensor that `id` was made of. */
static const char *origin(splitter *s, sdx_id id) {
    const sdx_graph_value *value = &s->graph->values[id];
    const char *folded = sdx_name_made_up(value->name) ? sdx_prepare_folded_from(s->p, value) : NULL;
    return folded ? folded : value->name;
}

/* The rest of `name` behind "module."; NULL: it does not begin so. */
static const char *within(const char *name, const char *module) {
    size_t size = module ? strlen(module) : 0;
    return size && strncmp(name, module, size) == 0 && name[size] == '.' ? name + size + 1 : NULL;
}

/* A free name for a copy: the original's in the other module, what PyTorch would call it, or the original's with a
 * number. */
static const char *copy_name(splitter *s, sdx_id id, const group *g, const group *kept) {
    const char *name = s->graph->values[id].name, *leaf = within(origin(s, id), kept->module), *path = NULL;
    if (g->kind != SDX_USE_NONE && g->module && *g->module)
        path = leaf && g->kind == kept->kind ? sdx_prepare_joined(s->p, g->module, ".", leaf)
                                             : sdx_prepare_path(s->p, name, &g->use, (sdx_role)g->kind);
    return sdx_prepare_free_name(s->p, path ? path : name);
}

static sdx_status copy_for(splitter *s, sdx_id id, group *g, const group *kept) {
    const char *name = copy_name(s, id, g, kept);
    if (!name) return sdx_prepare_failed(s->p);
    g->id = sdx_graph_add_value(s->graph, name, NULL, s->p->error);
    if (g->id == SDX_NONE) return sdx_prepare_failed(s->p);
    sdx_graph_set_constant(s->graph, g->id, s->graph->values[id].constant);
    s->graph->values[g->id].n_metadata = s->graph->values[id].n_metadata;
    s->graph->values[g->id].metadata = s->graph->values[id].metadata;
    s->copies++;
    return SDX_OK;
}

/* The group that keeps the initializer: the one whose module its name begins with, else the first. */
static int keeper(splitter *s, sdx_id id, const group *groups, int n) {
    for (int k = 0; k < n; k++)
        if (within(origin(s, id), groups[k].module)) return k;
    return 0;
}

static sdx_status split(splitter *s, sdx_id id) {
    const sdx_use *direct = NULL;
    int n = sdx_readers_of(s->readers, id, &direct), n_groups = 0;
    if (n < 2) return SDX_OK;
    group *groups = SDX_NEW_ARRAY(s->scratch, group, n, s->p->error);
    int *of = SDX_NEW_ARRAY(s->scratch, int, n, s->p->error);
    if (!groups || !of) return sdx_prepare_failed(s->p);
    for (int k = 0; k < n; k++) {
        group g;
        SDX_TRY(describe(s, id, k, &g));
        for (of[k] = 0; of[k] < n_groups && !together(&groups[of[k]], &g); of[k]++) continue;
        if (of[k] == n_groups) groups[n_groups++] = g;
    }
    bool weight = false;
    for (int k = 0; k < n_groups; k++) weight |= groups[k].kind != SDX_USE_NONE && groups[k].kind != SDX_ROLE_OTHER;
    if (!weight) return SDX_OK;
    int keeps = keeper(s, id, groups, n_groups);
    for (int k = 0; k < n_groups; k++)
        if (k != keeps) SDX_TRY(copy_for(s, id, &groups[k], &groups[keeps]));
    for (int k = 0; k < n; k++)
        if (of[k] != keeps && direct[k].input >= 0)
            sdx_node_set_input(s->graph, direct[k].node, direct[k].input, groups[of[k]].id);
    return SDX_OK;
}

/* ---- Identity ---- */

/* PyTorch's exporter writes Identity for tensors it merged because they were equal; elsewhere it may mean sharing. */
static sdx_status own_tensor(splitter *s, sdx_id out, bool *own) {
    const sdx_use *uses = NULL;
    int n = 0;
    *own = s->p->torch;
    if (*own) return SDX_OK;
    SDX_TRY(sdx_readers_uses(s->readers, out, -1, &uses, &n));
    for (int k = 0; k < n; k++) *own |= fixed_sharing(sdx_use_role(s->readers, &uses[k]));
    return SDX_OK;
}

static bool is_output(const sdx_graph *graph, sdx_id id) {
    for (int k = 0; k < graph->n_outputs; k++)
        if (graph->outputs[k] == id) return true;
    return false;
}

/* What Identity nodes on initializers make become initializers. */
static sdx_status undo_identities(splitter *s) {
    sdx_patch patch;
    sdx_patch_begin(&patch, s->graph, s->p->error);
    for (int k = 0; k < s->graph->n_nodes; k++) {
        const sdx_node *node = s->graph->nodes[k];
        bool own = false;
        if (!sdx_node_is(node, "Identity") || !sdx_prepare_candidate(s->graph, node->in[0])) continue;
        if (is_output(s->graph, node->out[0])) continue;
        SDX_TRY(own_tensor(s, node->out[0], &own));
        if (!own) continue;
        sdx_graph_set_constant(s->graph, node->out[0], s->graph->values[node->in[0]].constant);
        sdx_patch_remove(&patch, node);
        s->copies++;
    }
    return sdx_patch_commit(&patch);
}

static sdx_status undo(splitter *s) {
    SDX_TRY(sdx_readers_make(s->graph, s->scratch, s->p->error, &s->readers));
    SDX_TRY(undo_identities(s));
    SDX_TRY(sdx_readers_make(s->graph, s->scratch, s->p->error, &s->readers));
    int n = s->graph->n_values;
    for (sdx_id id = 0; id < n; id++)
        if (sdx_prepare_candidate(s->graph, id)) SDX_TRY(split(s, id));
    if (!s->copies) return SDX_OK;
    return sdx_prepare_note(s->p, "the exporter had merged equal initializers: %d of them %s of their own again",
                            s->copies, s->copies > 1 ? "have tensors" : "has a tensor");
}

sdx_status sdx_prepare_aliases(sdx_preparation *p) {
    sdx_arena scratch;
    sdx_arena_init(&scratch, p->arena->memory);
    splitter s = {.p = p, .graph = p->graph, .scratch = &scratch};
    sdx_status status = undo(&s);
    sdx_arena_release(&scratch);
    return status;
}
