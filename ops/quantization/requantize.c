/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/quantization/requantize.h"
#include "ops/loop.h"
#include "ops/quantization/quantize.h"
#include "ops/tensor/cast_convert.h"
#include <inttypes.h>

enum { PIECE = 256 };

static float element(const sdx_tensor *tensor, int64_t k) {
    float v = 0;
    const char *at = (const char *)tensor->data + (size_t)k * sdx_dtype_size(tensor->dtype);
    sdx_convert(NULL, tensor->dtype, at, SDX_F32, &v, 1);
    return v;
}

float sdx_scalar_f32(const sdx_tensor *tensor) { return element(tensor, 0); }

sdx_status sdx_infer_single(const sdx_infer *infer, int k, const char *name) {
    const sdx_type *type = infer->in[k];
    if (!type || !sdx_type_concrete(type)) return SDX_OK;
    int64_t count = 1;
    for (int d = 0; d < type->rank; d++) count *= type->dim[d];
    if (count == 1) return SDX_OK;
    char text[128];
    return sdx_fail(infer->error, SDX_SHAPE, "input '%s' is %s; it must be a scalar", name,
                    sdx_type_text(type, text, sizeof text));
}

/* n results whose factors are factor[i * step]. */
static void store(const sdx_requantize *r, const void *c, const double *factor, int64_t step, int64_t n, void *y) {
    double wide[PIECE];
    float single[PIECE], low = 0, high = 0;
    if (sdx_is_quantized_integer(r->dtype)) sdx_quantized_range(r->dtype, &low, &high);
    if (!r->from_f32 && sdx_is_quantized_integer(r->dtype)) {
        r->kernels->requantize(c, factor, step, r->zero, low, high, y, n);
        return;
    }
    for (int64_t i = 0; i < n; i++)
        wide[i] = (r->from_f32 ? (double)((const float *)c)[i] : (double)((const int32_t *)c)[i]) * factor[i * step];
    if (sdx_is_quantized_integer(r->dtype)) {
        r->kernels->quantize_f64(wide, NULL, &r->zero, 0, low, high, 1, y, n);
        return;
    }
    const sdx_cast cast = {.to = r->dtype, .saturate = true};
    for (int64_t i = 0; i < n; i++) single[i] = (float)(wide[i] + (double)r->zero);
    sdx_cast_numbers(r->kernels, &cast, SDX_F32, single, y, n);
}

void sdx_requantize_block(const void *context, const sdx_block *block) {
    const sdx_requantize *r = context;
    const sdx_dot *dot = r->dot;
    const int64_t row_at = sdx_dot_offset(dot, r->row.batch_step, block->batch) + block->m * r->row.step;
    const int64_t column_at = sdx_dot_offset(dot, r->column.batch_step, block->batch) + block->n * r->column.step;
    float column[PIECE];
    double factor[PIECE];
    for (int64_t j = 0; j < block->columns; j += PIECE) {
        const int64_t n = block->columns - j < PIECE ? block->columns - j : PIECE, scales = r->column.step ? n : 1;
        for (int64_t i = 0; i < scales; i++)
            column[i] = element(r->column.tensor, column_at + (j + i) * r->column.step);
        for (int64_t i = 0; i < block->rows; i++) {
            const float row = element(r->row.tensor, row_at + i * r->row.step);
            const char *c = (const char *)block->c + (size_t)(i * block->ldc + j) * sizeof(int32_t);
            const int64_t at = (block->batch * dot->m + block->m + i) * dot->n + block->n + j;
            for (int64_t q = 0; q < scales; q++) factor[q] = (double)(row * column[q] / r->scale);
            store(r, c, factor, scales > 1, n, (uint8_t *)r->y + at);
        }
    }
}
