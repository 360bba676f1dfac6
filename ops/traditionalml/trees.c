/* SPDX-License-Identifier: Apache-2.0
 * The sums over the trees of an ensemble, in f64. Work is a grid of blocks of rows and blocks of trees, cut by shape;
 * the sums of several blocks of trees are added in order. Few rows walk many trees at once, many rows one tree. */
#include "ops/traditionalml/trees.h"
#include <math.h>
#include <string.h>

enum {
    TREE_LANES = 16,      /* walks side by side */
    ROWS_BYTES = 1 << 17, /* of X and of sums in a block of rows: they stay in the second-level cache */
    MOST_ROWS = 512,
    LEAST_STEPS = 1 << 14, /* of a block; about 20 microseconds */
    BLOCKS = 16            /* of rows, or of trees, to aim for */
};

/* Sums start as 0; least and greatest values as NaN, which stands for none. */
static inline double aggregate(sdx_tree_sum sum, double a, double b) {
    if (sum <= SDX_TREE_SUM) return a + b;
    if (sum == SDX_TREE_MIN) return a < b ? a : b;
    return a > b ? a : b;
}

#define TREE(name)   name##_32
#define TREE_T       float
#define TREE_NODE    sdx_tree_node32
#define TREE_NODES   nodes32
#define TREE_WEIGHTS weights32
#include "ops/traditionalml/trees_walk.inc"
#undef TREE
#undef TREE_T
#undef TREE_NODE
#undef TREE_NODES
#undef TREE_WEIGHTS
#define TREE(name)   name##_64
#define TREE_T       double
#define TREE_NODE    sdx_tree_node64
#define TREE_NODES   nodes64
#define TREE_WEIGHTS weights64
#include "ops/traditionalml/trees_walk.inc"

typedef struct plan {
    sdx_dtype work;
    int64_t rows, columns, block_rows, row_blocks, block_trees, tree_blocks;
} plan;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

static void make_plan(plan *p, const sdx_trees *trees, sdx_dtype dtype, int64_t rows, int64_t columns) {
    const bool narrow = trees->nodes32 && (dtype == SDX_F32 || dtype == SDX_F16);
    *p = (plan){.work = narrow ? SDX_F32 : SDX_F64, .rows = rows, .columns = columns};
    const double row_bytes = (double)columns * (narrow ? 4 : 8) + (double)trees->n_targets * 8;
    const double row_steps = (double)trees->n_trees * (double)trees->steps;
    p->block_rows = most(TREE_LANES, (int64_t)fmin(MOST_ROWS, ROWS_BYTES / row_bytes));
    p->block_rows = least(p->block_rows, most((int64_t)(LEAST_STEPS / fmax(row_steps, 1)), ceil_div(rows, BLOCKS)));
    p->block_rows = most(1, ceil_div(p->block_rows, TREE_LANES) * TREE_LANES);
    p->row_blocks = ceil_div(rows, p->block_rows);
    p->tree_blocks = 1;
    if (p->row_blocks > 0 && p->row_blocks < BLOCKS / 2) {
        const double steps = row_steps * (double)least(rows, p->block_rows) / LEAST_STEPS;
        const int64_t room = BLOCKS / p->row_blocks;
        p->tree_blocks = (int64_t)fmin(ceil(fmax(steps, 1)), (double)room);
    }
    p->block_trees = most(1, ceil_div(trees->n_trees, p->tree_blocks));
    p->tree_blocks = most(1, ceil_div(trees->n_trees, p->block_trees));
}

typedef struct job {
    const sdx_trees *trees;
    plan plan;
    const void *x;
    double *sums;  /* [worker][block_rows][targets], or [tree block][rows][targets] */
    double *spare; /* [worker][targets, at least 2] */
    sdx_ml_row_fn fn;
    const void *context;
} job;

size_t sdx_trees_scratch(const sdx_infer *infer, const sdx_trees *trees) {
    const sdx_type *x = infer->in[0];
    const int64_t rows = sdx_ml_rows(x->rank, x->dim), columns = sdx_ml_columns(x->rank, x->dim);
    size_t total = 0;
    plan p;
    make_plan(&p, trees, x->dtype, rows, columns);
    if (p.work != x->dtype) sdx_ml_reserve(&total, rows, columns, sdx_dtype_size(p.work));
    if (p.tree_blocks > 1)
        sdx_ml_reserve(&total, p.tree_blocks * rows, trees->n_targets, sizeof(double));
    else
        sdx_ml_reserve(&total, infer->threads * p.block_rows, trees->n_targets, sizeof(double));
    sdx_ml_reserve(&total, infer->threads, most(2, trees->n_targets), sizeof(double));
    return total;
}

static void finish_row(const job *j, int64_t row, const double *sums, double *spare) {
    const sdx_trees *trees = j->trees;
    for (int64_t c = 0; c < trees->n_targets; c++) {
        double sum = sums[c];
        if (trees->sum == SDX_TREE_AVERAGE) sum /= (double)trees->n_trees;
        if (trees->sum > SDX_TREE_SUM && isnan(sum)) sum = 0;
        spare[c] = trees->n_base ? sum + trees->base[c] : sum;
    }
    j->fn(j->context, row, spare);
}

static void clear(const sdx_trees *trees, int64_t rows, double *sums) {
    const double start = trees->sum > SDX_TREE_SUM ? NAN : 0;
    for (int64_t i = 0; i < rows * trees->n_targets; i++) sums[i] = start;
}

static void walk_cells(void *argument, int64_t begin, int64_t end, int worker) {
    const job *j = argument;
    const plan *p = &j->plan;
    const sdx_trees *trees = j->trees;
    const int64_t targets = trees->n_targets;
    static const double nothing = 0; /* what trees of one leaf look at where X has no columns */
    for (int64_t cell = begin; cell < end; cell++) {
        const int64_t row = cell / p->tree_blocks * p->block_rows, block = cell % p->tree_blocks;
        const int64_t rows = least(p->block_rows, p->rows - row), tree = block * p->block_trees;
        const int64_t last = least(tree + p->block_trees, trees->n_trees);
        double *sums = j->sums + (p->tree_blocks > 1 ? block * p->rows + row : worker * p->block_rows) * targets;
        clear(trees, rows, sums);
        const void *x = p->columns ? j->x : &nothing;
        if (p->work == SDX_F32)
            block_32(trees, (const float *)x + row * p->columns, p->columns, rows, tree, last, sums);
        else
            block_64(trees, (const double *)x + row * p->columns, p->columns, rows, tree, last, sums);
        if (p->tree_blocks > 1) continue;
        for (int64_t r = 0; r < rows; r++)
            finish_row(j, row + r, sums + r * targets, j->spare + worker * most(2, targets));
    }
}

static void join_rows(void *argument, int64_t begin, int64_t end, int worker) {
    const job *j = argument;
    const plan *p = &j->plan;
    const int64_t targets = j->trees->n_targets;
    for (int64_t row = begin; row < end; row++) {
        double *sums = j->sums + row * targets;
        for (int64_t block = 1; block < p->tree_blocks; block++)
            for (int64_t c = 0; c < targets; c++)
                sums[c] = aggregate(j->trees->sum, sums[c], sums[block * p->rows * targets + c]);
        finish_row(j, row, sums, j->spare + worker * most(2, targets));
    }
}

sdx_status sdx_trees_run(sdx_compute *compute, const sdx_trees *trees, sdx_ml_row_fn fn, const void *context) {
    const sdx_tensor *x = compute->in[0];
    job j = {.trees = trees, .fn = fn, .context = context};
    char *room = compute->scratch;
    plan *p = &j.plan;
    make_plan(p, trees, x->dtype, sdx_ml_rows(x->rank, x->dim), sdx_ml_columns(x->rank, x->dim));
    if (p->rows == 0) return SDX_OK;
    const int threads = sdx_pool_threads(compute->pool);
    j.x = sdx_ml_elements(compute, x, p->work, &room);
    if (!j.x && x->count) return compute->error->status;
    j.sums = sdx_ml_take(&room, p->tree_blocks > 1 ? p->tree_blocks * p->rows : threads * p->block_rows,
                         trees->n_targets, sizeof(double));
    j.spare = sdx_ml_take(&room, threads, most(2, trees->n_targets), sizeof(double));
    SDX_TRY(sdx_for(compute, p->row_blocks * p->tree_blocks, 1, walk_cells, &j));
    if (p->tree_blocks == 1) return SDX_OK;
    return sdx_for(compute, p->rows, sdx_grain(4 * p->tree_blocks * trees->n_targets), join_rows, &j);
}
