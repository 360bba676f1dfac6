/* SPDX-License-Identifier: Apache-2.0
 * From the nodes of a file to the arrays that are walked. Each tree is followed from its root, so that what is compiled
 * is a tree and whole: a node that is reached twice is an error. x < t is x <= the number before t, x >= t and x > t
 * are the opposite with the branches exchanged; membership becomes a search among the members. */
#include "ops/traditionalml/trees.h"
#include <math.h>
#include <string.h>

enum { STRICT = 1 << 28, FLAGS = STRICT | SDX_TREE_NAN_FIRST | SDX_TREE_EQUAL };

/* A node of the result before its type is chosen. Leaves have child[0] equal to their own position. */
typedef struct flat {
    double split;
    uint32_t flags, feature, child[2];
    uint32_t leaf; /* number of the leaf */
} flat;

typedef struct task {
    size_t raw;
    uint32_t from, to; /* compiled nodes whose child[which] this one becomes */
    uint32_t which;
} task;

typedef struct compiler {
    sdx_bind *bind;
    sdx_tree_raw *raw;
    sdx_trees *out;
    flat *flat;
    size_t *leaf_node; /* of leaf k */
    size_t n_flat, n_leaves, n_tasks;
    task *tasks;
} compiler;

void *sdx_trees_room(sdx_bind *bind, sdx_arena *arena, size_t n, size_t size) {
    if (bind->status != SDX_OK) return NULL;
    void *room = sdx_arena_alloc_array(arena, n ? n : 1, size, bind->error);
    if (!room) bind->status = bind->error && bind->error->status ? bind->error->status : SDX_OUT_OF_MEMORY;
    return room;
}

static sdx_status check_node(compiler *c, size_t k) {
    const sdx_tree_raw_node *node = &c->raw->nodes[k];
    if (node->mode == SDX_TREE_LEAF) return SDX_OK;
    if (node->feature < 0 || node->feature >= STRICT)
        return sdx_bind_fail(c->bind, SDX_VALUE, "attribute 'nodes_featureids' has %lld at %zu; it must be in [0, %d)",
                             (long long)node->feature, k, STRICT);
    for (int which = 0; which < 2; which++)
        if (node->child[which] < 0 || (uint64_t)node->child[which] >= c->raw->n_nodes)
            return sdx_bind_fail(c->bind, SDX_VALUE, "attribute '%s' has %lld at %zu; there are %zu nodes and leaves",
                                 which ? "nodes_falsenodeids" : "nodes_truenodeids", (long long)node->child[which], k,
                                 c->raw->n_nodes);
    return SDX_OK;
}

static uint32_t emit(compiler *c, double split, uint32_t flags, uint32_t feature) {
    c->flat[c->n_flat] = (flat){.split = split, .flags = flags, .feature = feature};
    return (uint32_t)c->n_flat++;
}

/* A search for x among members [low, high): comparisons down to one candidate, then EQUAL, whose children are open. NaN
 * takes each first branch where it is to count as a member. */
static void emit_members(compiler *c, const sdx_tree_raw_node *node, uint32_t feature) {
    struct {
        size_t low, high;
        uint32_t parent, which;
    } todo[64];
    const double *members = c->raw->members + node->member;
    const uint32_t flags = node->missing_true ? SDX_TREE_NAN_FIRST : 0, root = (uint32_t)c->n_flat;
    int n = 0;
    todo[n].low = 0, todo[n].high = node->n_members, todo[n].parent = root, todo[n++].which = 2;
    while (n > 0) {
        n--;
        const size_t low = todo[n].low, high = todo[n].high, middle = low + (high - low - 1) / 2;
        const bool one = high - low <= 1;
        const uint32_t parent = todo[n].parent, which = todo[n].which;
        const double split = high == low ? NAN : members[middle];
        const uint32_t self = emit(c, split, flags | (one ? SDX_TREE_EQUAL : 0), feature);
        if (which < 2) c->flat[parent].child[which] = self;
        if (one) continue;
        todo[n].low = middle + 1, todo[n].high = high, todo[n].parent = self, todo[n++].which = 1;
        todo[n].low = low, todo[n].high = middle + 1, todo[n].parent = self, todo[n++].which = 0;
    }
}

/* Compiles the comparison of a node and leaves its branches to do. */
static void emit_branch(compiler *c, size_t k) {
    const sdx_tree_raw_node *node = &c->raw->nodes[k];
    const uint32_t feature = (uint32_t)node->feature, start = (uint32_t)c->n_flat;
    uint32_t mode = node->mode, swap = 0, flags = node->missing_true ? SDX_TREE_NAN_FIRST : 0;
    if (node->feature >= c->out->n_features) c->out->n_features = node->feature + 1;
    if (mode == SDX_TREE_MEMBER) {
        emit_members(c, node, feature);
    } else {
        const bool never = isnan(node->split) && mode != SDX_TREE_NEQ; /* no number compares with it */
        if (mode == SDX_TREE_LT || (mode == SDX_TREE_GTE && !never)) flags |= STRICT;
        if ((mode == SDX_TREE_GTE || mode == SDX_TREE_GT) && !never) swap = 1, flags ^= SDX_TREE_NAN_FIRST;
        if (mode == SDX_TREE_NEQ) swap = 1, flags = 0; /* NaN differs from everything */
        if (mode == SDX_TREE_EQ || mode == SDX_TREE_NEQ) flags |= SDX_TREE_EQUAL;
        emit(c, node->split, flags, feature);
    }
    const uint32_t end = (uint32_t)c->n_flat;
    c->tasks[c->n_tasks++] = (task){(size_t)node->child[1], start, end, 1 ^ swap};
    c->tasks[c->n_tasks++] = (task){(size_t)node->child[0], start, end, swap};
}

static sdx_status compile_tree(compiler *c, size_t root) {
    c->tasks[c->n_tasks++] = (task){root, 0, 0, 0};
    while (c->n_tasks > 0) {
        const task t = c->tasks[--c->n_tasks];
        sdx_tree_raw_node *node = &c->raw->nodes[t.raw];
        const uint32_t self = (uint32_t)c->n_flat;
        for (uint32_t k = t.from; k < t.to; k++)
            if (t.from + 1 == t.to || c->flat[k].flags & SDX_TREE_EQUAL) c->flat[k].child[t.which] = self;
        if (node->mode == SDX_TREE_LEAF) {
            flat *leaf = &c->flat[emit(c, 0, 0, 0)];
            leaf->child[0] = leaf->child[1] = self;
            leaf->leaf = (uint32_t)c->n_leaves;
            c->leaf_node[c->n_leaves++] = t.raw;
            continue;
        }
        if (node->visited)
            return sdx_bind_fail(c->bind, SDX_VALUE,
                                 "node %zu of the attributes 'nodes_*' is reached twice; it must be in one tree, once",
                                 t.raw);
        node->visited = true;
        SDX_TRY(check_node(c, t.raw));
        emit_branch(c, t.raw);
    }
    return SDX_OK;
}

/* ---- weights ----------------------------------------------------------------------------------------------------- */

/* Weights by node, in the order of the file: by_node[first[k]] to by_node[first[k + 1]]. */
typedef struct weights {
    size_t *first, *by_node;
} weights;

static sdx_status sort_weights(compiler *c, weights *w) {
    const sdx_tree_raw *raw = c->raw;
    w->first = sdx_trees_room(c->bind, &c->raw->arena, raw->n_nodes + 2, sizeof *w->first);
    w->by_node = sdx_trees_room(c->bind, &c->raw->arena, raw->n_weights, sizeof *w->by_node);
    if (c->bind->status != SDX_OK) return c->bind->status;
    for (size_t i = 0; i < raw->n_weights; i++) {
        const int64_t target = raw->weights[i].target;
        if (target < 0 || target >= c->out->n_targets)
            return sdx_bind_fail(c->bind, SDX_VALUE, "weight %zu has target or class %lld; it must be in [0, %lld)", i,
                                 (long long)target, (long long)c->out->n_targets);
        w->first[(size_t)raw->weights[i].node + 2]++;
    }
    for (size_t k = 0; k < raw->n_nodes; k++) w->first[k + 2] += w->first[k + 1];
    for (size_t i = 0; i < raw->n_weights; i++) w->by_node[w->first[(size_t)raw->weights[i].node + 1]++] = i;
    return SDX_OK;
}

/* Every leaf has exactly one weight for each target. */
static bool is_dense(const compiler *c, const weights *w, uint8_t *met) {
    const size_t targets = (size_t)c->out->n_targets;
    for (size_t k = 0; k < c->n_leaves; k++) {
        const size_t node = c->leaf_node[k], begin = w->first[node], end = w->first[node + 1];
        if (end - begin != targets) return false;
        for (size_t i = begin; i < end; i++) {
            uint8_t *mark = &met[c->raw->weights[w->by_node[i]].target];
            if (*mark) return false;
            *mark = 1;
        }
        memset(met, 0, targets);
    }
    return true;
}

static sdx_status store_weights(compiler *c) {
    sdx_trees *out = c->out;
    weights w = {0};
    SDX_TRY(sort_weights(c, &w));
    size_t total = 0;
    for (size_t k = 0; k < c->n_leaves; k++) total += w.first[c->leaf_node[k] + 1] - w.first[c->leaf_node[k]];
    if (total > UINT32_MAX) return sdx_bind_fail(c->bind, SDX_UNSUPPORTED, "%zu weights are too many", total);
    if (c->n_leaves && (double)total == (double)c->n_leaves * (double)out->n_targets) {
        uint8_t *met = sdx_trees_room(c->bind, &c->raw->arena, (size_t)out->n_targets, 1);
        if (!met) return c->bind->status;
        out->dense = is_dense(c, &w, met);
    }
    out->single = out->dense && out->n_targets == 1;
    if (!out->dense) {
        out->first = sdx_trees_room(c->bind, c->bind->arena, c->n_leaves + 1, sizeof *out->first);
        out->target = sdx_trees_room(c->bind, c->bind->arena, total, sizeof *out->target);
    }
    out->weights64 = sdx_trees_room(c->bind, c->bind->arena, total, sizeof *out->weights64);
    if (!c->raw->wide) out->weights32 = sdx_trees_room(c->bind, c->bind->arena, total, sizeof *out->weights32);
    if (c->bind->status != SDX_OK) return c->bind->status;
    size_t at = 0;
    for (size_t k = 0; k < c->n_leaves; k++) {
        for (size_t i = w.first[c->leaf_node[k]]; i < w.first[c->leaf_node[k] + 1]; i++, at++) {
            const sdx_tree_raw_weight *weight = &c->raw->weights[w.by_node[i]];
            const size_t to = out->dense ? k * (size_t)out->n_targets + (size_t)weight->target : at;
            out->weights64[to] = weight->value;
            if (out->weights32) out->weights32[to] = (float)weight->value;
            if (!out->dense) out->target[at] = (uint32_t)weight->target;
        }
        if (!out->dense) out->first[k + 1] = (uint32_t)at;
    }
    return SDX_OK;
}

/* ---- nodes ------------------------------------------------------------------------------------------------------- */

static sdx_status store_nodes(compiler *c) {
    sdx_trees *out = c->out;
    out->nodes64 = sdx_trees_room(c->bind, c->bind->arena, c->n_flat, sizeof *out->nodes64);
    if (!c->raw->wide) out->nodes32 = sdx_trees_room(c->bind, c->bind->arena, c->n_flat, sizeof *out->nodes32);
    if (c->bind->status != SDX_OK) return c->bind->status;
    for (size_t k = 0; k < c->n_flat; k++) {
        const flat *from = &c->flat[k];
        sdx_tree_node64 wide = {
            .split = from->split, .feature = from->feature, .child = {from->child[0], from->child[1]}};
        sdx_tree_node32 node = {.split = (float)from->split, .child = {from->child[0], from->child[1]}};
        const bool leaf = from->child[0] == k, strict = from->flags & STRICT;
        if (leaf && out->single) {
            wide.split = out->weights64[from->leaf];
            node.split = (float)wide.split;
        } else if (leaf) {
            wide.leaf = node.leaf = from->leaf;
        } else if (strict) { /* below every number lies NaN, with which nothing compares */
            wide.split = wide.split == -INFINITY ? NAN : nextafter(wide.split, -INFINITY);
            node.split = node.split == -INFINITY ? NAN : nextafterf(node.split, -INFINITY);
        }
        wide.feature = node.feature = from->feature | (from->flags & ~(uint32_t)STRICT);
        out->flagged = out->flagged || (from->flags & ~(uint32_t)STRICT) != 0;
        out->nodes64[k] = wide;
        if (out->nodes32) out->nodes32[k] = node;
    }
    return SDX_OK;
}

static sdx_status compile_all(compiler *c) {
    sdx_tree_raw *raw = c->raw;
    sdx_trees *out = c->out;
    const size_t bound = 2 * raw->n_nodes + raw->n_roots + 2 * raw->n_members + 1;
    if (c->bind->status != SDX_OK) return c->bind->status;
    if (raw->n_nodes > UINT32_MAX / 8 || raw->n_roots > raw->n_nodes || raw->n_members > UINT32_MAX / 8)
        return sdx_bind_fail(c->bind, SDX_UNSUPPORTED, "%zu nodes in %zu trees are too many", raw->n_nodes,
                             raw->n_roots);
    if (out->n_targets < 1 || out->n_targets >= INT32_MAX)
        return sdx_bind_fail(c->bind, SDX_VALUE, "there are %lld targets; there must be 1 or more",
                             (long long)out->n_targets);
    c->flat = sdx_trees_room(c->bind, &raw->arena, bound, sizeof *c->flat);
    c->leaf_node = sdx_trees_room(c->bind, &raw->arena, bound, sizeof *c->leaf_node);
    c->tasks = sdx_trees_room(c->bind, &raw->arena, raw->n_nodes + 2, sizeof *c->tasks);
    out->roots = sdx_trees_room(c->bind, c->bind->arena, raw->n_roots, sizeof *out->roots);
    if (c->bind->status != SDX_OK) return c->bind->status;
    out->n_trees = (int64_t)raw->n_roots;
    for (size_t tree = 0; tree < raw->n_roots; tree++) {
        out->roots[tree] = (uint32_t)c->n_flat;
        SDX_TRY(compile_tree(c, raw->roots[tree]));
    }
    SDX_TRY(store_weights(c));
    SDX_TRY(store_nodes(c));
    for (size_t nodes = raw->n_roots ? c->n_flat / raw->n_roots : 0; nodes > 1; nodes /= 2) out->steps++;
    out->steps += 1;
    return SDX_OK;
}

void sdx_trees_compile(sdx_bind *bind, sdx_tree_raw *raw, sdx_trees *out) {
    compiler c = {.bind = bind, .raw = raw, .out = out};
    compile_all(&c);
    sdx_arena_release(&raw->arena);
}
