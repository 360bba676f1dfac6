/* SPDX-License-Identifier: Apache-2.0
 * TreeEnsemble: regression trees with their leaves in lists of their own, and branches by membership in a set. What the
 * ensembles that yield numbers share stands here too. */
#include "ops/traditionalml/trees.h"

/* ---- regression -------------------------------------------------------------------------------------------------- */

sdx_status sdx_trees_infer(sdx_infer *infer, const sdx_trees *trees, int64_t *rows) {
    const sdx_type *x = infer->in[0];
    SDX_TRY(sdx_ml_infer_rows(infer, -1, rows));
    const int64_t columns = x->rank < 0 ? -1 : sdx_ml_columns(x->rank, x->dim);
    if (columns >= 0 && columns < trees->n_features)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'X' has %lld columns; the trees look at column %lld",
                        (long long)columns, (long long)trees->n_features - 1);
    return SDX_OK;
}

sdx_status sdx_trees_regression_infer(sdx_infer *infer, const sdx_trees_regression *p, sdx_dtype dtype) {
    int64_t rows = 0;
    SDX_TRY(sdx_trees_infer(infer, &p->trees, &rows));
    infer->out[0] = sdx_type_make(dtype, 2);
    infer->out[0].dim[0] = rows;
    infer->out[0].dim[1] = p->trees.n_targets;
    return SDX_OK;
}

size_t sdx_trees_regression_scratch(const sdx_infer *infer, const void *params) {
    const sdx_trees_regression *p = params;
    return sdx_trees_scratch(infer, &p->trees);
}

typedef struct job {
    const sdx_trees_regression *params;
    const sdx_tensor *y;
} job;

static void regression_row(const void *context, int64_t row, double *scores) {
    const job *j = context;
    const int64_t n = j->params->trees.n_targets;
    sdx_ml_transform(j->params->post, n, scores);
    sdx_ml_put_row(j->y, row, n, scores);
}

sdx_status sdx_trees_regression_compute(sdx_compute *compute, const void *params) {
    job j = {params, compute->out[0]};
    return sdx_trees_run(compute, &j.params->trees, regression_row, &j);
}

/* ---- TreeEnsemble ------------------------------------------------------------------------------------------------ */

/* nodes_truenodeids and nodes_falsenodeids count nodes, or leaves where nodes_trueleafs and nodes_falseleafs say so; in
 * the raw form leaves lie behind the nodes. */
static void link_nodes(sdx_bind *bind, sdx_tree_raw *raw, size_t n_inner, int which) {
    static const char *const ids_name[2] = {"nodes_truenodeids", "nodes_falsenodeids"};
    static const char *const leafs_name[2] = {"nodes_trueleafs", "nodes_falseleafs"};
    sdx_ints ids = sdx_bind_ints(bind, ids_name[which]), leafs = sdx_bind_ints(bind, leafs_name[which]);
    if (!sdx_trees_same_length(bind, ids_name[which], ids.n, "nodes_featureids", n_inner) ||
        !sdx_trees_same_length(bind, leafs_name[which], leafs.n, "nodes_featureids", n_inner))
        return;
    for (size_t k = 0; k < n_inner && bind->status == SDX_OK; k++) {
        const size_t most = leafs.data[k] ? raw->n_nodes - n_inner : n_inner;
        if (ids.data[k] < 0 || (uint64_t)ids.data[k] >= most)
            sdx_bind_fail(bind, SDX_VALUE, "attribute '%s' has %lld at %zu; it must be in [0, %zu), the number of %s",
                          ids_name[which], (long long)ids.data[k], k, most, leafs.data[k] ? "leaves" : "nodes");
        raw->nodes[k].child[which] = ids.data[k] + (leafs.data[k] ? (int64_t)n_inner : 0);
    }
}

static void sink(double *x, size_t at, size_t n) {
    for (size_t child = 2 * at + 1; child < n; child = 2 * at + 1) {
        if (child + 1 < n && x[child + 1] > x[child]) child++;
        if (x[at] >= x[child]) return;
        const double swap = x[at];
        x[at] = x[child], x[child] = swap;
        at = child;
    }
}

static void sort_heap(double *x, size_t n) {
    for (size_t at = n / 2; at-- > 0;) sink(x, at, n);
    for (size_t end = n; end-- > 1;) {
        const double swap = x[0];
        x[0] = x[end], x[end] = swap;
        sink(x, 0, end);
    }
}

/* Sets of members follow each other as their nodes do, each ended by NaN (the last perhaps by the end). */
static void bind_members(sdx_bind *bind, sdx_tree_raw *raw, size_t n_inner) {
    size_t n = 0, at = 0, sets = 0, nodes = 0;
    const double *given = sdx_trees_tensor(bind, &raw->arena, "membership_values", &n, &raw->wide);
    raw->members = sdx_trees_room(bind, &raw->arena, n, sizeof *raw->members);
    if (!raw->members) return;
    for (size_t k = 0; k < n; k++) sets += given[k] != given[k] || k + 1 == n;
    for (size_t k = 0; k < n_inner; k++) nodes += raw->nodes[k].mode == SDX_TREE_MEMBER;
    if (sets != nodes) {
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'membership_values' has %zu sets; %zu nodes have mode 6 (member)",
                      sets, nodes);
        return;
    }
    for (size_t k = 0; k < n_inner; k++) {
        sdx_tree_raw_node *node = &raw->nodes[k];
        if (node->mode != SDX_TREE_MEMBER) continue;
        node->member = raw->n_members;
        for (; at < n && given[at] == given[at]; at++) raw->members[raw->n_members++] = given[at];
        at++;
        node->n_members = raw->n_members - node->member;
        sort_heap(raw->members + node->member, node->n_members);
    }
}

static const uint8_t *bind_modes(sdx_bind *bind, size_t n) {
    sdx_value *value = sdx_bind_value(bind, "nodes_modes");
    if (!value) return NULL;
    if (value->tensor.dtype != SDX_U8) {
        sdx_bind_fail(bind, SDX_TYPE, "attribute 'nodes_modes' is a tensor of %s; it must be of u8",
                      sdx_dtype_name(value->tensor.dtype));
        return NULL;
    }
    const uint8_t *modes = value->tensor.data;
    if (!sdx_trees_same_length(bind, "nodes_modes", (size_t)value->tensor.count, "nodes_featureids", n)) return NULL;
    for (size_t k = 0; k < n; k++)
        if (modes[k] > SDX_TREE_MEMBER) {
            sdx_bind_fail(bind, SDX_VALUE, "attribute 'nodes_modes' has %d at %zu; it must be in [0, 6]", modes[k], k);
            return NULL;
        }
    return modes;
}

static void bind_nodes(sdx_bind *bind, sdx_tree_raw *raw, size_t n_leaves) {
    static const char *const first = "nodes_featureids";
    sdx_ints features = sdx_bind_ints(bind, first), missing = sdx_bind_ints(bind, "nodes_missing_value_tracks_true");
    const size_t n = features.n;
    size_t n_splits = 0, n_rates = 0;
    bool rates_wide = false;
    const double *splits = sdx_trees_tensor(bind, &raw->arena, "nodes_splits", &n_splits, &raw->wide);
    const uint8_t *modes = bind_modes(bind, n);
    sdx_trees_tensor(bind, &raw->arena, "nodes_hitrates", &n_rates, &rates_wide);
    raw->n_nodes = n + n_leaves;
    raw->nodes = sdx_trees_room(bind, &raw->arena, raw->n_nodes, sizeof *raw->nodes);
    if (bind->status != SDX_OK || !sdx_trees_same_length(bind, "nodes_splits", n_splits, first, n) ||
        (n_rates && !sdx_trees_same_length(bind, "nodes_hitrates", n_rates, first, n)) ||
        (missing.n && !sdx_trees_same_length(bind, "nodes_missing_value_tracks_true", missing.n, first, n)))
        return;
    for (size_t k = 0; k < raw->n_nodes; k++) {
        raw->nodes[k] = (sdx_tree_raw_node){.mode = SDX_TREE_LEAF};
        if (k >= n) continue;
        raw->nodes[k] = (sdx_tree_raw_node){.mode = modes[k], .split = splits[k], .feature = features.data[k]};
        raw->nodes[k].missing_true = missing.n && missing.data[k] != 0;
    }
    link_nodes(bind, raw, n, 0);
    link_nodes(bind, raw, n, 1);
    if (bind->status == SDX_OK) bind_members(bind, raw, n);
}

static void bind_leaves(sdx_bind *bind, sdx_tree_raw *raw, size_t n_inner) {
    sdx_ints targets = sdx_bind_ints(bind, "leaf_targetids"), roots = sdx_bind_ints(bind, "tree_roots");
    size_t n = 0;
    const double *weights = sdx_trees_tensor(bind, &raw->arena, "leaf_weights", &n, &raw->wide);
    if (bind->status != SDX_OK || !sdx_trees_same_length(bind, "leaf_weights", n, "leaf_targetids", targets.n)) return;
    raw->n_weights = n;
    raw->n_roots = roots.n;
    raw->weights = sdx_trees_room(bind, &raw->arena, n, sizeof *raw->weights);
    raw->roots = sdx_trees_room(bind, &raw->arena, roots.n, sizeof *raw->roots);
    for (size_t k = 0; k < n && raw->weights; k++)
        raw->weights[k] = (sdx_tree_raw_weight){(int64_t)(n_inner + k), targets.data[k], weights[k]};
    for (size_t k = 0; k < roots.n && raw->roots && bind->status == SDX_OK; k++) {
        if (roots.data[k] < 0 || (uint64_t)roots.data[k] >= n_inner)
            sdx_bind_fail(bind, SDX_VALUE, "attribute 'tree_roots' has %lld at %zu; it must be in [0, %zu)",
                          (long long)roots.data[k], k, n_inner);
        raw->roots[k] = (size_t)roots.data[k];
    }
}

static sdx_status tree_ensemble_bind(sdx_bind *bind, void *params) {
    sdx_trees_regression *p = params;
    sdx_tree_raw raw = {0};
    sdx_arena_init(&raw.arena, bind->arena->memory);
    const int64_t sum = sdx_bind_int(bind, "aggregate_function"), post = sdx_bind_int(bind, "post_transform");
    if (sum < 0 || sum > SDX_TREE_MAX)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'aggregate_function' is %lld; it must be in [0, 3]", (long long)sum);
    if (post < 0 || post > SDX_POST_PROBIT)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'post_transform' is %lld; it must be in [0, 4]", (long long)post);
    p->trees.sum = (sdx_tree_sum)sum;
    p->post = (sdx_ml_post)post;
    p->trees.n_targets = sdx_bind_has(bind, "n_targets") ? sdx_bind_int(bind, "n_targets") : 1;
    const size_t n_leaves = sdx_bind_ints(bind, "leaf_targetids").n;
    bind_nodes(bind, &raw, n_leaves);
    if (bind->status == SDX_OK) bind_leaves(bind, &raw, raw.n_nodes - n_leaves);
    sdx_trees_compile(bind, &raw, &p->trees);
    return bind->status;
}

static sdx_status tree_ensemble_infer(sdx_infer *infer, const void *params) {
    return sdx_trees_regression_infer(infer, params, infer->in[0]->dtype);
}

const sdx_op sdx_op_TreeEnsemble = {
    .domain = SDX_ML,
    .name = "TreeEnsemble",
    .versions =
        (const sdx_op_version[]){
            {5, "X:T -> Y:T", "T=" SDX_T_FLOAT,
             "aggregate_function:int=1 leaf_targetids:ints! leaf_weights:tensor! membership_values:tensor "
             "n_targets:int "
             "nodes_falseleafs:ints! nodes_falsenodeids:ints! nodes_featureids:ints! nodes_hitrates:tensor "
             "nodes_missing_value_tracks_true:ints nodes_modes:tensor! nodes_splits:tensor! nodes_trueleafs:ints! "
             "nodes_truenodeids:ints! post_transform:int=0 tree_roots:ints!"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_trees_regression),
    .bind = tree_ensemble_bind,
    .infer = tree_ensemble_infer,
    .scratch = sdx_trees_regression_scratch,
    .compute = sdx_trees_regression_compute,
    .grad = sdx_no_gradient,
};
