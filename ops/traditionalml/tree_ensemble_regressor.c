/* SPDX-License-Identifier: Apache-2.0
 * TreeEnsembleRegressor: the sum, mean, least or greatest weight over the trees, plus base values; a target that no
 * leaf has a weight for is 0. Version 5 says that it is deprecated, no more. */
#include "ops/traditionalml/trees.h"

static sdx_status regressor_bind(sdx_bind *bind, void *params) {
    static const char *const sums[] = {"AVERAGE", "SUM", "MIN", "MAX"};
    sdx_trees_regression *p = params;
    sdx_tree_raw raw = {0};
    sdx_arena_init(&raw.arena, bind->arena->memory);
    p->post = sdx_ml_bind_post(bind);
    p->trees.sum = (sdx_tree_sum)sdx_bind_choice(bind, "aggregate_function", sums, 4);
    p->trees.n_targets = sdx_bind_has(bind, "n_targets") ? sdx_bind_int(bind, "n_targets") : 1;
    sdx_trees_bind_legacy(bind, "target", &raw, &p->trees);
    if (p->trees.n_base && (int64_t)p->trees.n_base != p->trees.n_targets)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'base_values' has %zu entries; it must have 0 or 'n_targets' = %lld",
                      p->trees.n_base, (long long)p->trees.n_targets);
    sdx_trees_compile(bind, &raw, &p->trees);
    return bind->status;
}

static sdx_status regressor_infer(sdx_infer *infer, const void *params) {
    return sdx_trees_regression_infer(infer, params, SDX_F32);
}

#define V1_ATTRIBUTES                                                                                                  \
    "aggregate_function:string=SUM base_values:floats n_targets:int nodes_falsenodeids:ints nodes_featureids:ints "    \
    "nodes_hitrates:floats nodes_missing_value_tracks_true:ints nodes_modes:strings nodes_nodeids:ints "               \
    "nodes_treeids:ints nodes_truenodeids:ints nodes_values:floats post_transform:string=NONE target_ids:ints "        \
    "target_nodeids:ints target_treeids:ints target_weights:floats"
#define V3_ATTRIBUTES                                                                                                  \
    V1_ATTRIBUTES " base_values_as_tensor:tensor nodes_hitrates_as_tensor:tensor nodes_values_as_tensor:tensor "       \
                  "target_weights_as_tensor:tensor"

const sdx_op sdx_op_TreeEnsembleRegressor = {
    .domain = SDX_ML,
    .name = "TreeEnsembleRegressor",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T -> Y:f32", "T=" SDX_T_ML, V1_ATTRIBUTES},
            {3, "X:T -> Y:f32", "T=" SDX_T_ML, V3_ATTRIBUTES},
            {5, "X:T -> Y:f32", "T=" SDX_T_ML, V3_ATTRIBUTES},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_trees_regression),
    .bind = regressor_bind,
    .infer = regressor_infer,
    .scratch = sdx_trees_regression_scratch,
    .compute = sdx_trees_regression_compute,
    .grad = sdx_no_gradient,
};
