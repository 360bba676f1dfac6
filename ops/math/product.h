/* SPDX-License-Identifier: Apache-2.0
 * The matrix product C = A B that MatMul, Gemm and the convolutions share: packs panels, cuts the work by shape,
 * runs the register tiles of the kernel table. 16-bit floats accumulate in f32 and are rounded once. */
#ifndef SDX_OPS_MATH_PRODUCT_H
#define SDX_OPS_MATH_PRODUCT_H
#include "ops/kernels/kernels.h"
#include "ops/op.h"

/* Writes panels of `width` columns for columns [n, n + count) (n a multiple of width) and steps [k, k + depth) of
 * matrix `batch`: panel p of the block starts at to + p * panel elements and holds depth times width of them. */
typedef void (*sdx_panel_fn)(const void *context, int64_t batch, int64_t k, int64_t depth, int64_t n, int64_t count,
                             int width, int64_t panel, void *to);

/* One factor. Either `packed` (sdx_product_pack), or `fill`, or elements at data[line * line_step + q * k_step], where
 * a line is a row of A or a column of B. batch_step counts elements of data, or whole packed matrices. */
typedef struct sdx_factor {
    const void *data;
    int64_t line_step, k_step;
    const void *packed;
    sdx_panel_fn fill;
    const void *context;
    int64_t batch_step[SDX_MAX_RANK];
} sdx_factor;

/* A block of C that is complete, with its place in the product. */
typedef struct sdx_block {
    int64_t batch, m, n, rows, columns;
    void *c;
    int64_t ldc;
} sdx_block;
typedef void (*sdx_finish_fn)(const void *context, const sdx_block *block);

/* C is [batch..., m, n], dense. */
typedef struct sdx_product {
    sdx_dtype
        dtype; /* f32 f64 f16 bf16 i32 u32 i64 u64; i8: k counts groups of bytes (pack_dot), C is i32; see dot.h */
    int64_t m, n, k;
    int batch_rank;
    int64_t batch_dim[SDX_MAX_RANK];
    sdx_factor a, b;
    void *c;
    bool wide;            /* 16-bit floats: c is f32, not rounded; without residual. i8: c is i32 */
    sdx_finish_fn finish; /* i8: called with each block, from several threads; where c is not wide, it is lost */
    const void *finish_context;
    const void *row_bias; /* one of the dtype per row; row_bias_step elements further for the next batch */
    int64_t row_bias_step, row_bias_period; /* batch b reads at (b % period) * step; period 0: b * step */
    const void *column_bias;                /* one per column */
    const void *residual;                   /* of C's shape */
    bool clamp;
    double low, high;
    /* alpha A B + beta D, D at d[row * d_row + column * d_column]; d NULL: none. batch_rank 0 */
    double alpha, beta;
    const void *d;
    int64_t d_row, d_column;
} sdx_product;

/* Adds beta D (strides 0 where it broadcasts), as a bias where that is the same. alpha and beta must be set. */
void sdx_product_add(sdx_product *product, const void *d, int64_t d_row, int64_t d_column);

/* True when every batch reads the same matrix. */
bool sdx_factor_is_one(const sdx_product *product, const sdx_factor *factor);

/* Upper bound for any kernel table. packed_a, packed_b: that factor comes packed. SIZE_MAX: too large. */
size_t sdx_product_scratch(sdx_dtype dtype, int64_t batch, int64_t m, int64_t n, int64_t k, bool packed_a,
                           bool packed_b, int threads);
sdx_status sdx_product_run(sdx_compute *compute, const sdx_product *product, void *scratch);

/* Constant factors come packed by sdx_product_pack (ops/kernels/panels.h). */

#endif
