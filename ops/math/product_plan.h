/* SPDX-License-Identifier: Apache-2.0
 * How one product is cut into blocks, and which factors are packed where. Depends on the shape and the kernel table
 * alone. */
#ifndef SDX_OPS_MATH_PRODUCT_PLAN_H
#define SDX_OPS_MATH_PRODUCT_PLAN_H
#include "ops/math/product.h"

/* Sizes in lines and elements. */
typedef struct sdx_product_plan {
    size_t element; /* of panels: 4 or 8 */
    bool narrow;    /* 16-bit floats, groups of bytes: C is built in f32, i32 by the worker */
    int mr, nr;
    int64_t batch, m, n, k, most_depth;
    int64_t block_m, block_n, depth, blocks_m, blocks_n, blocks_k;
    bool columns_slow; /* blocks of one column of blocks follow each other; else those of one row */
    /* Not packed: tiles read rows of A and lines of B as they lie, 16-bit floats of A from f32 copies of a block. */
    bool direct_a, direct_b;
    bool shared_a, shared_b, local_a, local_b;
    int64_t matrices_a, matrices_b; /* how many are shared */
    size_t shared_a_bytes, shared_b_bytes, local_a_bytes, local_b_bytes, worker_bytes;
} sdx_product_plan;

/* Fills everything but batch, m, n, k. False when something is too large. */
bool sdx_product_plan_make(sdx_product_plan *plan, const sdx_kernels *kernels, const sdx_product *product);

#endif
