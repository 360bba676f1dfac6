/* SPDX-License-Identifier: Apache-2.0
 * Constant factors of matrix products in the layout of gemm tiles: `batch` matrices of `lines` lines (rows of A,
 * columns of B), each a sequence of panels of k steps. Included by kernels.h. */
#ifndef SDX_KERNELS_PANELS_H
#define SDX_KERNELS_PANELS_H
#include "sardonyx.h"

struct sdx_kernels;

/* SIZE_MAX: too large. 16-bit floats are kept as f32. */
size_t sdx_product_packed_bytes(const struct sdx_kernels *kernels, sdx_dtype dtype, bool is_b, int64_t batch,
                                int64_t lines, int64_t k);
/* Element (line, q) of a matrix is data[line * line_step + q * k_step]; matrices follow each other. */
void sdx_product_pack(const struct sdx_kernels *kernels, sdx_dtype dtype, bool is_b, int64_t batch, int64_t lines,
                      int64_t k, const void *data, int64_t line_step, int64_t k_step, void *to);

/* Constant matrices of 8-bit integers as gemm_tile_dot takes them: panels, then the sums over k of each line. Element
 * (line, q) is data[line * line_step + q * k_step], one of the steps is 1; matrices follow each other. */
typedef struct sdx_dot_weights {
    sdx_dtype dtype;
    bool is_b;
    int64_t batch, lines, k;
    const uint8_t *data;
    int64_t line_step, k_step;
    const void *zero; /* of the dtype, zero_step (0 or 1) apart; NULL: 0 */
    int64_t zero_step;
} sdx_dot_weights;
size_t sdx_dot_weights_bytes(const struct sdx_kernels *kernels, const sdx_dot_weights *w); /* SIZE_MAX: too large */
size_t sdx_dot_weights_sums(const struct sdx_kernels *kernels, const sdx_dot_weights *w);  /* where the sums begin */
void sdx_dot_weights_pack(const struct sdx_kernels *kernels, const sdx_dot_weights *w, void *to);

/* Elements are f32 for the 16-bit floats, and groups of bytes for i8. */
size_t sdx_panel_element(sdx_dtype dtype);
/* Bytes of matrices * lines (to whole panels) * k elements, to whole cache lines; false on overflow. */
bool sdx_panel_bytes(int64_t matrices, int64_t lines, int width, int64_t k, size_t element, size_t *out);

#endif
