/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/exec/profile.h"
#include <stdlib.h>

sdx_status sdx_profile_start(sdx_plan_set *set, sdx_arena *arena, sdx_error *error) {
    int n = set->graph->n_nodes;
    atomic_uint_fast64_t *calls = SDX_NEW_ARRAY(arena, atomic_uint_fast64_t, n, error);
    atomic_uint_fast64_t *nanoseconds = SDX_NEW_ARRAY(arena, atomic_uint_fast64_t, n, error);
    atomic_uint_fast64_t *least = SDX_NEW_ARRAY(arena, atomic_uint_fast64_t, n, error);
    if (!calls || !nanoseconds || !least) return error->status;
    for (int i = 0; i < n; i++) {
        atomic_init(&calls[i], 0);
        atomic_init(&nanoseconds[i], 0);
        atomic_init(&least[i], UINT64_MAX);
    }
    set->calls = calls;
    set->nanoseconds = nanoseconds;
    set->least = least;
    return SDX_OK;
}

typedef struct listing {
    sdx_plan_set *sets;
    sdx_profile_row *rows; /* NULL: every node is counted, for runs go on meanwhile */
    size_t n;
} listing;

static sdx_plan_set *take_set(const listing *list, const sdx_graph *graph) {
    sdx_plan_set *set = list->sets;
    while (set && (set->graph != graph || set->listed)) set = set->next;
    return set;
}

static const char *row_name(const sdx_graph *graph, const sdx_node *node) {
    if (node->name[0]) return node->name;
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE) return graph->values[node->out[k]].name;
    return "";
}

/* A node, then what its bodies did. As deep as bodies nest, which loading bounds. */
static void list_graph(listing *list, const sdx_graph *graph) {
    sdx_plan_set *set = take_set(list, graph);
    if (!set) return;
    set->listed = true;
    for (int i = 0; i < graph->n_nodes; i++) {
        const sdx_node *node = graph->nodes[i];
        uint64_t calls = atomic_load(&set->calls[i]);
        if (calls && list->rows)
            list->rows[list->n] = (sdx_profile_row){
                row_name(graph, node),      node->op_type, node->domain, calls, atomic_load(&set->nanoseconds[i]),
                atomic_load(&set->least[i])};
        list->n += calls || !list->rows;
        for (int b = 0; b < node->n_bodies; b++) list_graph(list, node->bodies[b]);
    }
}

static void list_all(listing *list, const sdx_graph *graph) {
    for (sdx_plan_set *set = list->sets; set; set = set->next) set->listed = false;
    list->n = 0;
    list_graph(list, graph);
}

sdx_status sdx_profile_rows(sdx_plan_set *sets, const sdx_graph *graph, sdx_error *error, sdx_profile_row **rows,
                            size_t *n) {
    listing list = {.sets = sets};
    list_all(&list, graph);
    size_t most = list.n;
    list.rows = calloc(most ? most : 1, sizeof *list.rows);
    if (!list.rows) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu rows asked for", most);
    sdx_profile_row *all = list.rows;
    list_all(&list, graph);
    *rows = all;
    *n = list.n;
    return SDX_OK;
}
