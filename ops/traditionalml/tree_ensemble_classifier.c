/* SPDX-License-Identifier: Apache-2.0
 * TreeEnsembleClassifier: sums of weights per class; the label is that of the greatest. Two classes of which weights
 * name but one are decided by that one score: against 0.5 where no weight is negative, else against 0. Version 5 says
 * that it is deprecated, no more. */
#include "ops/traditionalml/trees.h"

typedef struct classifier_params {
    sdx_trees trees;
    sdx_ml_list labels;
    sdx_ml_post post;
    int64_t only;   /* the one class of two that weights name; -1 */
    bool negative;  /* some weight is */
    double base[2]; /* where one base value serves two classes */
} classifier_params;

static sdx_status bind_base(sdx_bind *bind, classifier_params *p) {
    sdx_trees *trees = &p->trees;
    if (trees->n_base == 0 || (int64_t)trees->n_base == p->labels.n) return SDX_OK;
    if (trees->n_base != 1 || p->labels.n != 2)
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'base_values' has %zu entries; it must have 0 or %lld%s",
                             trees->n_base, (long long)p->labels.n, p->labels.n == 2 ? ", or 1" : "");
    p->base[0] = p->base[1] = trees->base[0];
    if (p->only >= 0) p->base[1 - p->only] = 0;
    trees->base = p->base;
    trees->n_base = 2;
    return SDX_OK;
}

static sdx_status classifier_bind(sdx_bind *bind, void *params) {
    classifier_params *p = params;
    sdx_tree_raw raw = {0};
    sdx_arena_init(&raw.arena, bind->arena->memory);
    p->post = sdx_ml_bind_post(bind);
    p->labels = sdx_ml_bind_list(bind, "classlabels_int64s", "classlabels_strings");
    p->trees.n_targets = p->labels.n;
    p->trees.sum = SDX_TREE_SUM;
    sdx_trees_bind_legacy(bind, "class", &raw, &p->trees);
    p->only = p->labels.n == 2 && raw.n_weights ? raw.weights[0].target : -1;
    for (size_t k = 0; k < raw.n_weights && bind->status == SDX_OK; k++) {
        if (raw.weights[k].target != p->only) p->only = -1;
        if (raw.weights[k].value < 0) p->negative = true;
    }
    if (bind->status == SDX_OK) bind_base(bind, p);
    sdx_trees_compile(bind, &raw, &p->trees);
    return bind->status;
}

static sdx_status classifier_infer(sdx_infer *infer, const void *params) {
    const classifier_params *p = params;
    int64_t rows = 0;
    SDX_TRY(sdx_trees_infer(infer, &p->trees, &rows));
    return sdx_ml_infer_classes(infer, &p->labels, -1, p->labels.n);
}

static size_t classifier_scratch(const sdx_infer *infer, const void *params) {
    const classifier_params *p = params;
    return sdx_trees_scratch(infer, &p->trees);
}

typedef struct job {
    const classifier_params *params;
    const sdx_tensor *y, *z;
} job;

static void classifier_row(const void *context, int64_t row, double *scores) {
    const job *j = context;
    const classifier_params *p = j->params;
    const int64_t n = p->labels.n;
    int64_t label = n == 1 ? scores[0] > 0 : sdx_ml_greatest(n, scores);
    if (p->only >= 0) label = scores[p->only] > (p->negative ? 0 : 0.5);
    sdx_ml_put_label(j->y, row, &p->labels, label);
    if (!j->z) return;
    if (p->only == 0)
        sdx_ml_pair(p->post, p->negative, scores[0], scores);
    else
        sdx_ml_transform(p->post, n, scores);
    sdx_ml_put_row(j->z, row, n, scores);
}

static sdx_status classifier_compute(sdx_compute *compute, const void *params) {
    job j = {.params = params};
    SDX_TRY(sdx_ml_class_outputs(compute, j.params->labels.n, &j.y, &j.z));
    return sdx_trees_run(compute, &j.params->trees, classifier_row, &j);
}

#define V1_ATTRIBUTES                                                                                                  \
    "base_values:floats class_ids:ints class_nodeids:ints class_treeids:ints class_weights:floats "                    \
    "classlabels_int64s:ints classlabels_strings:strings nodes_falsenodeids:ints nodes_featureids:ints "               \
    "nodes_hitrates:floats nodes_missing_value_tracks_true:ints nodes_modes:strings nodes_nodeids:ints "               \
    "nodes_treeids:ints nodes_truenodeids:ints nodes_values:floats post_transform:string=NONE"
#define V3_ATTRIBUTES                                                                                                  \
    V1_ATTRIBUTES " base_values_as_tensor:tensor class_weights_as_tensor:tensor nodes_hitrates_as_tensor:tensor "      \
                  "nodes_values_as_tensor:tensor"

const sdx_op sdx_op_TreeEnsembleClassifier = {
    .domain = SDX_ML,
    .name = "TreeEnsembleClassifier",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T1 -> Y:T2 Z:f32", "T1=" SDX_T_ML " T2=i64|string", V1_ATTRIBUTES},
            {3, "X:T1 -> Y:T2 Z:f32", "T1=" SDX_T_ML " T2=i64|string", V3_ATTRIBUTES},
            {5, "X:T1 -> Y:T2 Z:f32", "T1=" SDX_T_ML " T2=i64|string", V3_ATTRIBUTES},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(classifier_params),
    .bind = classifier_bind,
    .infer = classifier_infer,
    .scratch = classifier_scratch,
    .compute = classifier_compute,
    .grad = sdx_no_gradient,
};
