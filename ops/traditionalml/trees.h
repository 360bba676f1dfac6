/* SPDX-License-Identifier: Apache-2.0
 * Ensembles of decision trees, compiled once when the model is bound: every comparison becomes `x <= split`, nodes lie
 * in the order in which a walk meets them, a leaf leads to itself. */
#ifndef SDX_OPS_TREES_H
#define SDX_OPS_TREES_H
#include "ops/traditionalml/ml.h"
#include "runtime/base/value.h"

/* ---- as the attributes say it ------------------------------------------------------------------------------------ */

typedef enum sdx_tree_mode { /* numbered as in TreeEnsemble */
                             SDX_TREE_LEQ,
                             SDX_TREE_LT,
                             SDX_TREE_GTE,
                             SDX_TREE_GT,
                             SDX_TREE_EQ,
                             SDX_TREE_NEQ,
                             SDX_TREE_MEMBER,
                             SDX_TREE_LEAF
} sdx_tree_mode;

typedef struct sdx_tree_raw_node {
    double split;
    int64_t feature, child[2]; /* positions of the true and the false branch */
    size_t member, n_members;  /* MEMBER: in `members`, ascending */
    uint8_t mode;
    bool missing_true, visited;
} sdx_tree_raw_node;

typedef struct sdx_tree_raw_weight {
    int64_t node, target;
    double value;
} sdx_tree_raw_weight;

typedef struct sdx_tree_raw {
    sdx_arena arena;    /* of what is needed while compiling alone */
    const char *prefix; /* of the attribute that numbers nodes, for messages */
    size_t n_nodes, n_roots, n_weights, n_members;
    sdx_tree_raw_node *nodes;
    size_t *roots;
    sdx_tree_raw_weight *weights;
    double *members;
    bool wide; /* splits or weights are f64: f32 would round them */
} sdx_tree_raw;

/* ---- compiled ---------------------------------------------------------------------------------------------------- */

/* The child is [0] where x[feature] <= split, else [1]; NaN takes [1]. Two flags change that in ensembles that need it.
 * In a leaf both children are the node itself, and `split` is its weight (single), or `leaf` its number. */
enum { SDX_TREE_NAN_FIRST = 1 << 29, SDX_TREE_EQUAL = 1 << 30, SDX_TREE_FEATURES = 1 << 29 };

typedef struct sdx_tree_node32 {
    union {
        float split;
        uint32_t leaf;
    };
    uint32_t feature, child[2];
} sdx_tree_node32;

typedef struct sdx_tree_node64 {
    union {
        double split;
        uint64_t leaf;
    };
    uint32_t feature, child[2];
} sdx_tree_node64;

typedef enum sdx_tree_sum { SDX_TREE_AVERAGE, SDX_TREE_SUM, SDX_TREE_MIN, SDX_TREE_MAX } sdx_tree_sum;

typedef struct sdx_trees {
    int64_t n_trees, n_targets, n_features; /* features: one more than the greatest in use */
    int64_t steps;                          /* of a walk, roughly */
    sdx_tree_sum sum;
    bool flagged; /* some node has a flag */
    bool single;  /* one target, and each leaf one weight for it */
    bool dense;   /* each leaf has one weight for each target: those of leaf k from k * n_targets on */
    uint32_t *roots;
    sdx_tree_node32 *nodes32; /* NULL when `wide` */
    sdx_tree_node64 *nodes64;
    float *weights32;
    double *weights64;
    uint32_t *first, *target; /* else: those of leaf k from first[k] to first[k + 1] */
    size_t n_base;
    const double *base; /* one per target; added at the end */
} sdx_trees;

/* Checks everything, then compiles. raw->arena is released in any case. n_targets and sum must be set. */
void sdx_trees_compile(sdx_bind *bind, sdx_tree_raw *raw, sdx_trees *out);

/* Lists of attributes that describe one thing each must be equally long. */
bool sdx_trees_same_length(sdx_bind *bind, const char *name, size_t n, const char *other, size_t want);
/* The numbers of a `floats` attribute or of the f16, f32 or f64 tensor that may take its place (NULL: cannot), as f64.
 * *wide becomes true for f64. */
const double *sdx_trees_numbers(sdx_bind *bind, sdx_arena *arena, const char *floats, const char *tensor, size_t *n,
                                bool *wide);
/* A tensor attribute as f64, flat. */
const double *sdx_trees_tensor(sdx_bind *bind, sdx_arena *arena, const char *name, size_t *n, bool *wide);
void *sdx_trees_room(sdx_bind *bind, sdx_arena *arena, size_t n, size_t size);

/* X must have the columns that the trees look at. */
sdx_status sdx_trees_infer(sdx_infer *infer, const sdx_trees *trees, int64_t *rows);

typedef struct sdx_trees_regression {
    sdx_trees trees;
    sdx_ml_post post;
} sdx_trees_regression;
sdx_status sdx_trees_regression_infer(sdx_infer *infer, const sdx_trees_regression *params, sdx_dtype dtype);
size_t sdx_trees_regression_scratch(const sdx_infer *infer, const void *params);
sdx_status sdx_trees_regression_compute(sdx_compute *compute, const void *params);

/* TreeEnsembleClassifier and TreeEnsembleRegressor: nodes by (treeid, nodeid), weights under the prefix "class" or
 * "target". n_targets is set by the caller, base values are read here. */
void sdx_trees_bind_legacy(sdx_bind *bind, const char *prefix, sdx_tree_raw *raw, sdx_trees *out);

size_t sdx_trees_scratch(const sdx_infer *infer, const sdx_trees *trees);
/* fn gets n_targets sums per row, base values included, in room for two. */
sdx_status sdx_trees_run(sdx_compute *compute, const sdx_trees *trees, sdx_ml_row_fn fn, const void *context);

#endif
