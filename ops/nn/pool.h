/* SPDX-License-Identifier: Apache-2.0
 * What the pools share: windows over planes, row by row. */
#ifndef SDX_OPS_NN_POOL_H
#define SDX_OPS_NN_POOL_H
#include "ops/kernels/kernels.h"
#include "ops/nn/window.h"

typedef enum sdx_pool_kind { SDX_POOL_MAX, SDX_POOL_AVERAGE, SDX_POOL_LP } sdx_pool_kind;

typedef struct sdx_pooling {
    sdx_pool_kind kind;
    sdx_window window;
    sdx_dtype dtype; /* f16 bf16 f32 f64; for MAX also i8 u8 */
    int64_t planes;  /* N times C */
    const void *x;
    void *y;
    int64_t *indices;  /* MAX: of the winners, into the whole of X; may be NULL */
    bool column_major; /* indices count the first spatial dimension fastest */
    bool count_pad;    /* AVERAGE: padding counts */
    double p;          /* LP: (sum |x|^p)^(1/p) */
} sdx_pooling;

size_t sdx_pooling_scratch(const sdx_pooling *pooling, int threads);
sdx_status sdx_pooling_run(sdx_compute *compute, const sdx_pooling *pooling, void *scratch);

/* A window over all of every plane; shape [N, C, 1 ...]. */
sdx_status sdx_pool_infer_global(sdx_infer *infer);
sdx_status sdx_pool_run_global(sdx_compute *compute, sdx_pool_kind kind, double p);

/* ---- the walk, for gradients too --------------------------------------------------------------------------------- */

enum { SDX_POOL_INNER = 32 }; /* kernel lengths whose ranges are kept */

typedef struct sdx_pool_job {
    const sdx_pooling *pooling; /* the one below */
    sdx_pooling trimmed;        /* without the places of the kernel that lie past the input for every output */
    int64_t kernel[SDX_MAX_SPATIAL];
    const sdx_kernels *kernels;
    int64_t in_plane, out_plane, rows, row, outer_taps; /* outputs of a row; kernel places without the last dimension */
    int64_t first[SDX_POOL_INNER], last[SDX_POOL_INNER]; /* of outputs inside, per place of the last dimension */
    int64_t step[SDX_MAX_SPATIAL];                       /* row-major steps of x */
    int64_t column_step[SDX_MAX_SPATIAL];                /* of a column-major index */
    double count;                                        /* places of every window; 0: they differ */
    bool table, halves;                                  /* rows are the table's; windows of 2 by 2, of maxima */
    float *counts;                                       /* of the last dimension, by output, when they differ */
    char *scratch;                                       /* `counts`, then what each worker has */
    size_t wide_x, wide_y, places, line, shared;         /* bytes of a worker's planes, row offsets, line; of counts */
} sdx_pool_job;

static inline bool sdx_pool_is_narrow(sdx_dtype dtype) { return dtype == SDX_F16 || dtype == SDX_BF16; }
/* All but kernels and scratch; false: too large. */
bool sdx_pool_set_up(const sdx_pooling *pooling, sdx_pool_job *job);

/* Windows of 2 by 2 side by side, as most networks have them. */
bool sdx_pool_halves(const sdx_pool_job *job);

/* Where the places of one row of outputs lie, without the last dimension. */
typedef struct sdx_pool_place {
    int64_t offset, column; /* in x; in a column-major index */
    bool inside, padded;    /* in x; in x with its padding */
} sdx_pool_place;
sdx_pool_place sdx_pool_place_of(const sdx_pool_job *job, int64_t row, int64_t tap);
/* Outputs [*first, *last) of a row that place k of the last dimension reads inside x. */
void sdx_pool_range_of(const sdx_pool_job *job, int64_t k, int64_t *first, int64_t *last);
/* How many places of the window count for output o of the row. */
double sdx_pool_count_of(const sdx_pool_job *job, int64_t row, int64_t o);

/* BODY for each place of the window: outputs [first, last) of `row` read x at base + o * step. */
#define SDX_POOL_EACH_PLACE(BODY)                                                                                      \
    for (int64_t tap = 0; tap < job->outer_taps; tap++) {                                                              \
        const sdx_pool_place at = sdx_pool_place_of(job, row, tap);                                                    \
        for (int64_t k = 0; at.inside && k < w->kernel[inner]; k++) {                                                  \
            int64_t first = 0, last = 0;                                                                               \
            sdx_pool_range_of(job, k, &first, &last);                                                                  \
            const int64_t base = at.offset + k * w->dilation[inner] - w->begin[inner];                                 \
            BODY                                                                                                       \
        }                                                                                                              \
    }

/* Gradients. max_pool: the first place that holds the maximum gets dY. spread: each v[o] goes to all of o's window,
 * in the shape of the node's input; mean: divided by the places that count. */
sdx_status sdx_max_pool_grad(sdx_grad *grad, const void *params);
sdx_id sdx_pool_grad_spread(sdx_grad *grad, sdx_id v, bool mean);
/* |x|^(p - 1) sign(x), and v / y^(p - 1), 0 where y is 0. */
sdx_id sdx_pool_grad_power(sdx_patch *patch, sdx_id x, double p);
sdx_id sdx_pool_grad_root(sdx_patch *patch, sdx_id v, sdx_id y, double p);

#endif
