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

#endif
