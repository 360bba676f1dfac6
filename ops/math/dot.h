/* SPDX-License-Identifier: Apache-2.0
 * The matrix product of 8-bit integers with zero points, C = (A - a) (B - b) in i32 that wraps: exact at every level.
 * Where the kernels multiply bytes as they are, the zero points are made up for in finished blocks:
 * C = A' B' - a (sums of B' over k) - b (sums of A' over k - k a). */
#ifndef SDX_OPS_MATH_DOT_H
#define SDX_OPS_MATH_DOT_H
#include "ops/math/product.h"

/* Writes k [k, k + depth) of lines [line, line + lines) of a matrix as bytes: those of one k side by side, `pitch`
 * apart from the next. */
typedef void (*sdx_bytes_fn)(const void *context, int64_t batch, int64_t k, int64_t depth, int64_t line, int64_t lines,
                             int64_t pitch, uint8_t *to);

/* Lines are rows of A, columns of B. */
typedef struct sdx_dot_factor {
    sdx_dtype dtype; /* u8 or i8, of the zero points too */
    const void *data;
    int64_t line_step, k_step; /* one of them is 1 */
    sdx_bytes_fn fill;         /* instead of data */
    const void *context;
    const void *packed;                /* instead of both: sdx_dot_weights_pack */
    const int32_t *sums;               /* of what is packed */
    int64_t matrix_step[SDX_MAX_RANK]; /* which of the packed matrices a batch has */
    int64_t batch_step[SDX_MAX_RANK];
    const void *zero; /* NULL: 0 */
    int64_t zero_step, zero_batch_step[SDX_MAX_RANK];
} sdx_dot_factor;

typedef struct sdx_dot {
    int64_t m, n, k;
    int batch_rank;
    int64_t batch_dim[SDX_MAX_RANK];
    sdx_dot_factor a, b;
    const int32_t *row_bias; /* row r of batch t: [(t % period) * m + r]; NULL: none */
    int64_t row_bias_period;
    int32_t *c;           /* NULL: finish alone sees it */
    sdx_finish_fn finish; /* of exact blocks of i32; NULL: nothing more */
    const void *finish_context;
} sdx_dot;

/* Upper bound; SIZE_MAX: too large. */
size_t sdx_dot_scratch(int64_t batch, int64_t m, int64_t n, int64_t k, int threads);
sdx_status sdx_dot_run(sdx_compute *compute, const sdx_dot *dot, void *scratch);

/* A constant factor that comes packed: attributes weight_shape and weight_dtype say what it was. Shape empty: it does
 * not. The operator sees the input as it was, without data. */
typedef struct sdx_packed_weight {
    sdx_ints shape;
    sdx_dtype dtype;
} sdx_packed_weight;
enum { SDX_DOT_INPUTS = 9 };
typedef struct sdx_unpacked {
    sdx_type type;
    sdx_tensor tensor;
    const sdx_type *types[SDX_DOT_INPUTS];
    const sdx_tensor *tensors[SDX_DOT_INPUTS];
    sdx_infer infer;
} sdx_unpacked;
sdx_status sdx_packed_weight_bind(sdx_bind *bind, sdx_packed_weight *weight);
/* Input k of type w->dtype and shape. */
sdx_infer *sdx_unpack_types(sdx_infer *infer, const sdx_packed_weight *weight, int k, sdx_unpacked *out);
const sdx_tensor *const *sdx_unpack_inputs(const sdx_compute *compute, const sdx_packed_weight *weight, int k,
                                           sdx_unpacked *out);
/* What is packed in `bytes`, of `batch` matrices: for the factor. */
void sdx_unpack_factor(const sdx_kernels *kernels, const void *bytes, bool is_b, int64_t batch, int64_t lines,
                       int64_t k, sdx_dot_factor *factor);
#define SDX_PACKED_WEIGHT "weight_dtype:int! weight_shape:ints!"

/* Position of a batch's matrix (or zero points) among the steps of a product. */
int64_t sdx_dot_offset(const sdx_dot *dot, const int64_t *batch_step, int64_t batch);

#endif
