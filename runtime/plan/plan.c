/* SPDX-License-Identifier: Apache-2.0
 * Making a plan from what learn.c, blocks.c and offsets.c found; and when a plan fits. */
#include "runtime/exec/frame.h"
#include "runtime/plan/build.h"
#include <string.h>

/* ---- Keys ----------------------------------------------------------------------------------------------------- */

enum { KNOWN_BYTES = 1024 }; /* constants up to this size are compared by content, larger ones by identity */

static uint64_t fold_hash(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 32);
}

uint64_t sdx_plan_hash(const sdx_argument *arguments, int n) {
    uint64_t hash = (uint64_t)n;
    for (int k = 0; k < n; k++) {
        const sdx_tensor *tensor = arguments[k].tensor;
        hash = fold_hash(hash, arguments[k].known);
        if (!tensor) continue;
        hash = fold_hash(hash, ((uint64_t)tensor->dtype << 8) | (uint64_t)tensor->rank);
        for (int d = 0; d < tensor->rank; d++) hash = fold_hash(hash, (uint64_t)tensor->dim[d]);
    }
    return hash;
}

static bool same_tensor(const sdx_tensor *tensor, const sdx_plan_key *key) {
    return key->kind == SDX_TENSOR && tensor->dtype == key->dtype && tensor->rank == key->rank &&
           memcmp(tensor->dim, key->dim, (size_t)tensor->rank * sizeof tensor->dim[0]) == 0;
}

static bool same_known(const sdx_value *a, const sdx_value *b) {
    if (a == b) return true;
    if (!a || !b || a->kind != SDX_TENSOR || b->kind != SDX_TENSOR || a->tensor.dtype == SDX_STRING) return false;
    size_t bytes = sdx_tensor_bytes(&a->tensor);
    return bytes <= KNOWN_BYTES && memcmp(a->tensor.data, b->tensor.data, bytes) == 0;
}

bool sdx_plan_fits(const sdx_plan *plan, uint64_t hash, const sdx_argument *arguments, int n) {
    if (plan->hash != hash || plan->n_keys != n) return false;
    for (int k = 0; k < n; k++) {
        const sdx_plan_key *key = &plan->keys[k];
        const sdx_argument *argument = &arguments[k];
        if (argument->tensor ? !same_tensor(argument->tensor, key)
                             : key->kind != argument->value->kind || key->dtype != sdx_value_dtype(argument->value))
            return false;
        if (!same_known(argument->known ? argument->value : NULL, key->known)) return false;
    }
    return true;
}

static void set_key(sdx_plan_key *key, const sdx_argument *argument) {
    if (argument->tensor) {
        *key = (sdx_plan_key){.kind = SDX_TENSOR, .dtype = argument->tensor->dtype, .rank = argument->tensor->rank};
        memcpy(key->dim, argument->tensor->dim, sizeof key->dim);
    } else {
        *key = (sdx_plan_key){.kind = argument->value->kind, .dtype = sdx_value_dtype(argument->value), .rank = -1};
    }
    if (argument->known) key->known = sdx_value_retain(argument->value);
}

/* ---- Beginning ------------------------------------------------------------------------------------------------ */

/* Sequences and the like come with the type the graph gives them: a plan must not rely on this one's items. */
static sdx_status argument_type(sdx_build *build, sdx_id id, const sdx_argument *argument) {
    const sdx_type *declared = &build->graph->values[id].type;
    if (argument->tensor)
        build->type[id] = sdx_type_of_tensor(argument->tensor);
    else if (declared->kind == argument->value->kind)
        build->type[id] = *declared;
    else
        return sdx_value_type(argument->value, &build->plan->arena, &build->type[id], build->error);
    return SDX_OK;
}

static sdx_status take_arguments(sdx_build *build, const sdx_argument *arguments, int n) {
    sdx_plan *plan = build->plan;
    plan->hash = sdx_plan_hash(arguments, n);
    plan->keys = SDX_NEW_ARRAY(&plan->arena, sdx_plan_key, n, build->error);
    if (!plan->keys) return build->error->status;
    for (int k = 0; k < n; k++) {
        sdx_id id = sdx_argument_id(build->graph, k);
        sdx_slot *slot = &plan->slots[id];
        set_key(&plan->keys[k], &arguments[k]);
        plan->n_keys++;
        SDX_TRY(argument_type(build, id, &arguments[k]));
        if (arguments[k].known) slot->constant = sdx_value_retain(arguments[k].value);
        if (!arguments[k].tensor) continue;
        slot->tensor = *arguments[k].tensor;
        slot->shaped = true;
    }
    return SDX_OK;
}

static sdx_status take_constants(sdx_build *build) {
    for (int id = 0; id < build->graph->n_values; id++) {
        const sdx_graph_value *value = &build->graph->values[id];
        if (!value->constant || value->is_input) continue;
        SDX_TRY(sdx_value_type(value->constant, &build->plan->arena, &build->type[id], build->error));
        build->plan->slots[id].constant = sdx_value_retain(value->constant);
    }
    return SDX_OK;
}

static sdx_status begin(sdx_build *build, sdx_plans *plans, sdx_plan_set *set, sdx_run *run) {
    const sdx_graph *graph = set->graph;
    sdx_arena arena;
    sdx_arena_init(&arena, run->memory);
    *build = (sdx_build){
        .plans = plans, .graph = graph, .run = run, .error = run->error, .threads = sdx_plans_threads(plans)};
    sdx_arena_init(&build->temp, run->memory);
    sdx_plan *plan = SDX_NEW(&arena, sdx_plan, run->error);
    if (!plan) return run->error->status;
    atomic_init(&plan->references, 1);
    plan->graph = graph;
    plan->set = set;
    build->plan = plan;
    plan->slots = SDX_NEW_ARRAY(&arena, sdx_slot, graph->n_values, run->error);
    plan->outputs = SDX_NEW_ARRAY(&arena, sdx_plan_output, graph->n_outputs, run->error);
    plan->arena = arena;
    if (!plan->slots || !plan->outputs) return run->error->status;
    plan->n_slots = graph->n_values;
    build->type = SDX_NEW_ARRAY(&build->temp, sdx_type, graph->n_values, run->error);
    build->last = SDX_NEW_ARRAY(&build->temp, int, graph->n_values, run->error);
    build->block = SDX_NEW_ARRAY(&build->temp, int, graph->n_values, run->error);
    build->nodes = SDX_NEW_ARRAY(&build->temp, sdx_node_plan, graph->n_nodes, run->error);
    if (!build->type || !build->last || !build->block || !build->nodes) return run->error->status;
    for (int id = 0; id < graph->n_values; id++) {
        build->type[id].rank = -1;
        build->block[id] = -1;
    }
    return SDX_OK;
}

/* ---- Finishing ------------------------------------------------------------------------------------------------ */

static void place_slots(sdx_build *build) {
    sdx_plan *plan = build->plan;
    for (int id = 0; id < plan->n_slots; id++) {
        sdx_slot *slot = &plan->slots[id];
        if (slot->constant) {
            slot->place = SDX_AT_CONSTANT;
            slot->shaped = slot->constant->kind == SDX_TENSOR;
            slot->tensor = slot->constant->tensor;
        } else if (build->block[id] >= 0) {
            const sdx_block *block = &build->blocks[build->block[id]];
            slot->place = block->place;
            slot->index = block->index;
            slot->offset = block->offset;
            slot->tensor.data =
                block->place == SDX_AT_CONSTANT ? plan->slots[block->index].constant->tensor.data : NULL;
        } else if (build->graph->values[id].producer >= 0) {
            const sdx_node *node = build->graph->nodes[build->graph->values[id].producer];
            const sdx_node_plan *made = &build->nodes[build->graph->values[id].producer];
            for (int k = 0; k < node->n_out; k++)
                if (node->out[k] == id && made->needed && made->wanted[k]) slot->place = SDX_AT_RUNTIME;
        }
    }
    for (int k = 0; k < plan->n_keys; k++) {
        sdx_slot *slot = &plan->slots[sdx_argument_id(build->graph, k)];
        if (slot->place != SDX_AT_NOWHERE) continue;
        slot->place = SDX_AT_ARGUMENT;
        slot->index = k;
    }
}

static sdx_status list_slots(sdx_build *build) {
    sdx_plan *plan = build->plan;
    for (int id = 0; id < plan->n_slots; id++) {
        const sdx_slot *slot = &plan->slots[id];
        plan->n_loose += slot->place == SDX_AT_RUNTIME;
        plan->n_patched += slot->shaped && (slot->place == SDX_AT_ARGUMENT || slot->place == SDX_AT_OUTPUT);
    }
    plan->loose = SDX_NEW_ARRAY(&plan->arena, sdx_id, plan->n_loose, build->error);
    plan->patched = SDX_NEW_ARRAY(&plan->arena, sdx_id, plan->n_patched, build->error);
    if (!plan->loose || !plan->patched) return build->error->status;
    int loose = 0, patched = 0;
    for (int id = 0; id < plan->n_slots; id++) {
        const sdx_slot *slot = &plan->slots[id];
        if (slot->place == SDX_AT_RUNTIME)
            plan->loose[loose++] = id;
        else if (slot->shaped && (slot->place == SDX_AT_ARGUMENT || slot->place == SDX_AT_OUTPUT))
            plan->patched[patched++] = id;
    }
    return SDX_OK;
}

static sdx_status find_bodies(sdx_build *build, sdx_step *step) {
    sdx_plan_set **bodies = SDX_NEW_ARRAY(&build->plan->arena, sdx_plan_set *, step->node->n_bodies, build->error);
    if (!bodies) return build->error->status;
    for (int b = 0; b < step->node->n_bodies; b++)
        SDX_TRY(sdx_plans_set(build->plans, step->node->bodies[b], build->error, &bodies[b]));
    step->bodies = bodies;
    return SDX_OK;
}

static sdx_status emit_step(sdx_build *build, int index) {
    sdx_plan *plan = build->plan;
    const sdx_node_plan *made = &build->nodes[index];
    const sdx_node *node = build->graph->nodes[index];
    sdx_step *step = &plan->steps[plan->n_steps++];
    *step = (sdx_step){.node = node,
                       .index = index,
                       .fixed = made->fixed,
                       .plain = true,
                       .first_in = plan->n_in,
                       .first_out = plan->n_out,
                       .wanted = made->wanted,
                       .type = made->type,
                       .scratch = made->scratch,
                       .key = sdx_node_key(build->graph, node)};
    plan->n_in += node->n_in;
    plan->n_out += node->n_out;
    if (node->n_out > plan->most_out) plan->most_out = node->n_out;
    if (made->scratch_block >= 0) step->scratch_at = build->blocks[made->scratch_block].offset;
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] == SDX_NONE) continue;
        const sdx_slot *slot = &plan->slots[node->in[k]];
        if (!slot->shaped || slot->place == SDX_AT_RUNTIME) step->plain = false;
    }
    return node->n_bodies ? find_bodies(build, step) : SDX_OK;
}

/* Each run-time value is dropped after the step that reads it last. */
static sdx_status emit_drops(sdx_build *build) {
    sdx_plan *plan = build->plan;
    int *count = SDX_NEW_ARRAY(&build->temp, int, build->graph->n_nodes + 1, build->error);
    sdx_id *drops = SDX_NEW_ARRAY(&plan->arena, sdx_id, plan->n_loose, build->error);
    if (!count || !drops) return build->error->status;
    for (int i = 0; i < plan->n_loose; i++) count[build->last[plan->loose[i]]]++;
    for (int s = 0; s < plan->n_steps; s++) {
        sdx_step *step = &plan->steps[s];
        step->drops = drops;
        drops += count[step->index];
        count[step->index] = s; /* from now on: which step */
    }
    for (int i = 0; i < plan->n_loose; i++) {
        int last = build->last[plan->loose[i]];
        if (last == build->graph->n_nodes) continue;
        sdx_step *step = &plan->steps[count[last]];
        union {
            const sdx_id *is;
            sdx_id *mine;
        } list = {step->drops};
        list.mine[step->n_drops++] = plan->loose[i];
    }
    return SDX_OK;
}

static void find_largest(sdx_build *build, int64_t *change) {
    int64_t now = 0, most = -1;
    for (int i = 0; i < build->n_blocks; i++) {
        const sdx_block *block = &build->blocks[i];
        if (block->place != SDX_AT_ARENA) continue;
        change[block->first] += (int64_t)block->size;
        change[block->last + 1] -= (int64_t)block->size;
    }
    for (int i = 0; i < build->graph->n_nodes; i++) {
        now += change[i];
        if (now <= most) continue;
        most = now;
        build->plan->largest = build->graph->nodes[i];
    }
}

static sdx_status finish(sdx_build *build) {
    sdx_plan *plan = build->plan;
    int n_nodes = build->graph->n_nodes;
    SDX_TRY(sdx_build_offsets(build->blocks, build->n_blocks, &build->temp, build->error, &plan->working_size));
    place_slots(build);
    SDX_TRY(list_slots(build));
    int64_t *change = SDX_NEW_ARRAY(&build->temp, int64_t, n_nodes + 2, build->error);
    plan->steps = SDX_NEW_ARRAY(&plan->arena, sdx_step, n_nodes, build->error);
    if (!change || !plan->steps) return build->error->status;
    find_largest(build, change);
    for (int i = 0; i < n_nodes; i++)
        if (build->nodes[i].needed && !build->nodes[i].skipped) SDX_TRY(emit_step(build, i));
    return emit_drops(build);
}

sdx_status sdx_plan_build(sdx_plans *plans, sdx_plan_set *set, const sdx_argument *arguments, int n, sdx_run *run,
                          sdx_plan **out) {
    sdx_build build;
    *out = NULL;
    sdx_status status = begin(&build, plans, set, run);
    if (!status) status = take_arguments(&build, arguments, n);
    if (!status) status = take_constants(&build);
    if (!status) status = sdx_build_learn(&build);
    if (!status) status = sdx_build_blocks(&build);
    if (!status) status = finish(&build);
    sdx_arena_release(&build.temp);
    if (!status)
        *out = build.plan;
    else
        sdx_plan_release(build.plan);
    return status;
}

void sdx_plan_release(sdx_plan *plan) {
    if (!plan || atomic_fetch_sub(&plan->references, 1) != 1) return;
    while (plan->idle) {
        sdx_frame *next = plan->idle->next;
        sdx_frame_destroy(plan->idle);
        plan->idle = next;
    }
    for (int k = 0; k < plan->n_keys; k++) sdx_value_release(plan->keys[k].known);
    for (int i = 0; i < plan->n_slots; i++) sdx_value_release(plan->slots[i].constant);
    sdx_arena arena = plan->arena;
    sdx_arena_release(&arena);
}
