/* SPDX-License-Identifier: Apache-2.0
 * numpy.matmul of quantized matrices, for MatMulInteger and QLinearMatMul. Scales and zero points are scalars, a vector
 * with one for each row of A or column of B, or tensors of the matrices' shape with 1 in place of k. */
#ifndef SDX_OPS_MATH_DOT_MATMUL_H
#define SDX_OPS_MATH_DOT_MATMUL_H
#include "ops/math/dot.h"

/* Where the scale or zero point of a line lies. */
typedef struct sdx_dot_lines {
    int64_t step, batch_step[SDX_MAX_RANK];
} sdx_dot_lines;

/* Shape of input `name`, the scale or zero point of the lines of `matrix`; known shapes only. */
sdx_status sdx_dot_lines_check(sdx_error *error, const char *name, const sdx_type *lines, const sdx_type *matrix,
                               bool is_b);
/* Sizes and steps of A B, without data. The types `lines_a` and `lines_b` say how zero points (and scales) are given;
 * NULL: there are none. */
void sdx_dot_matmul(sdx_dot *dot, const sdx_type *a, const sdx_type *b, const sdx_type *lines_a,
                    const sdx_type *lines_b);
/* Upper bound for the product. */
size_t sdx_dot_matmul_scratch(const sdx_type *a, const sdx_type *b, int threads);

#endif
