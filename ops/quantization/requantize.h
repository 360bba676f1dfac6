/* SPDX-License-Identifier: Apache-2.0
 * The end of a quantized product: y = saturate(round(c * (row scale * column scale / y_scale)) + y_zero_point). */
#ifndef SDX_OPS_REQUANTIZE_H
#define SDX_OPS_REQUANTIZE_H
#include "ops/math/dot.h"

typedef struct sdx_line_scales {
    const sdx_tensor *tensor; /* f32, f16 or bf16 */
    int64_t step, batch_step[SDX_MAX_RANK];
} sdx_line_scales;

typedef struct sdx_requantize {
    const struct sdx_kernels *kernels;
    const sdx_dot *dot; /* its sizes and batches */
    bool from_f32;      /* c is f32, else i32 */
    sdx_line_scales row, column;
    float scale, zero; /* of y */
    sdx_dtype dtype;   /* u8, i8 or f8 */
    void *y;           /* [batch][m][n] */
} sdx_requantize;

/* An sdx_finish_fn; the context is an sdx_requantize. */
void sdx_requantize_block(const void *context, const sdx_block *block);
/* A scalar as f32. */
float sdx_scalar_f32(const sdx_tensor *tensor);
/* Input k must hold one element, where its shape is known. */
sdx_status sdx_infer_single(const sdx_infer *infer, int k, const char *name);

#endif
