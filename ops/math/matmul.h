/* SPDX-License-Identifier: Apache-2.0
 * The shapes of numpy.matmul, for MatMul and what a pass puts in its place. */
#ifndef SDX_OPS_MATH_MATMUL_H
#define SDX_OPS_MATH_MATMUL_H
#include "ops/math/product.h"

typedef struct sdx_matmul_side {
    int rank;
    const int64_t *dim;
} sdx_matmul_side;

/* out[0] from inputs a and b. */
sdx_status sdx_matmul_infer(sdx_infer *infer, int a, int b);
/* Sizes, batch and steps of a product of dense tensors; describe: a batch that one B serves becomes rows. */
void sdx_matmul_batches(sdx_product *product, const sdx_matmul_side *a, const sdx_matmul_side *b);
void sdx_matmul_describe(sdx_product *product, const sdx_matmul_side *a, const sdx_matmul_side *b);
/* Element steps over the common batch dimensions, 0 where broadcast, of matrices with `matrix` elements. */
void sdx_matmul_steps(const sdx_matmul_side *side, int batch_rank, int64_t matrix, int64_t *step);

#endif
