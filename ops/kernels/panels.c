/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/kernels/kernels.h"
#include "runtime/base/memory.h"
#include <string.h>

static int64_t to_whole(int64_t lines, int width) { return (lines / width + (lines % width != 0)) * width; }

size_t sdx_panel_element(sdx_dtype dtype) { return sdx_dtype_size(dtype) < 4 ? sizeof(float) : sdx_dtype_size(dtype); }

bool sdx_panel_bytes(int64_t matrices, int64_t lines, int width, int64_t k, size_t element, size_t *out) {
    size_t bytes = 0;
    if (!sdx_size_mul((size_t)to_whole(lines, width), (size_t)k, &bytes) || !sdx_size_mul(bytes, element, &bytes) ||
        !sdx_size_mul(bytes, (size_t)matrices, &bytes) || !sdx_size_add(bytes, SDX_ALIGNMENT - 1, &bytes))
        return false;
    *out = bytes / SDX_ALIGNMENT * SDX_ALIGNMENT;
    return true;
}

static int width_of(const sdx_kernels *kernels, sdx_dtype dtype, bool is_b) {
    int mr = 0, nr = 0;
    kernels->gemm_shape(sdx_panel_element(dtype), &mr, &nr);
    return is_b ? nr : mr;
}

size_t sdx_product_packed_bytes(const sdx_kernels *kernels, sdx_dtype dtype, bool is_b, int64_t batch, int64_t lines,
                                int64_t k) {
    size_t bytes = 0;
    const int width = width_of(kernels, dtype, is_b);
    return sdx_panel_bytes(batch, lines, width, k, sdx_panel_element(dtype), &bytes) ? bytes : SIZE_MAX;
}

void sdx_product_pack(const sdx_kernels *kernels, sdx_dtype dtype, bool is_b, int64_t batch, int64_t lines, int64_t k,
                      const void *data, int64_t line_step, int64_t k_step, void *to) {
    const int width = width_of(kernels, dtype, is_b);
    const size_t from_step = (size_t)(lines * k) * sdx_dtype_size(dtype);
    const size_t to_step = (size_t)(to_whole(lines, width) * k) * sdx_panel_element(dtype);
    for (int64_t b = 0; b < batch; b++) {
        const char *from = (const char *)data + (size_t)b * from_step;
        char *panels = (char *)to + (size_t)b * to_step;
        if (dtype == SDX_F16)
            kernels->pack_f16(from, line_step, k_step, lines, k, width, k * width, panels);
        else if (dtype == SDX_BF16)
            kernels->pack_bf16(from, line_step, k_step, lines, k, width, k * width, panels);
        else if (sdx_panel_element(dtype) == 8)
            kernels->pack_64(from, line_step, k_step, lines, k, width, k * width, panels);
        else
            kernels->pack_32(from, line_step, k_step, lines, k, width, k * width, panels);
    }
}

static int64_t groups_of(const sdx_kernels *kernels, int64_t k) {
    const int group = kernels->dot_group();
    return k / group + (k % group != 0);
}

size_t sdx_dot_weights_sums(const sdx_kernels *kernels, const sdx_dot_weights *w) {
    return sdx_product_packed_bytes(kernels, SDX_I8, w->is_b, w->batch, w->lines, groups_of(kernels, w->k));
}

size_t sdx_dot_weights_bytes(const sdx_kernels *kernels, const sdx_dot_weights *w) {
    size_t sums = 0, bytes = 0;
    if (!sdx_size_mul((size_t)w->batch, (size_t)w->lines, &sums) || !sdx_size_mul(sums, sizeof(int32_t), &sums) ||
        !sdx_size_add(sums, sdx_dot_weights_sums(kernels, w), &bytes))
        return SIZE_MAX;
    return bytes;
}

void sdx_dot_weights_pack(const sdx_kernels *kernels, const sdx_dot_weights *w, void *to) {
    enum { WIDEST = 32 };
    const int width = width_of(kernels, SDX_I8, w->is_b);
    const int64_t panel = groups_of(kernels, w->k) * width;
    uint32_t *panels = to;
    int32_t *sums = (int32_t *)(void *)((char *)to + sdx_dot_weights_sums(kernels, w));
    memset(sums, 0, (size_t)(w->batch * w->lines) * sizeof *sums);
    for (int64_t b = 0; b < w->batch; b++)
        for (int64_t line = 0; line < w->lines; line += width, panels += panel) {
            const int64_t left = w->lines - line, first = b * w->lines + line;
            int32_t zero[WIDEST] = {0};
            sdx_dot_pack pack = {.lines = left < width ? left : width, .k = w->k, .width = width, .zero = zero};
            for (int64_t i = 0; w->zero && i < pack.lines; i++) {
                const int64_t at = (first + i) * w->zero_step;
                zero[i] = w->dtype == SDX_I8 ? ((const int8_t *)w->zero)[at] : ((const uint8_t *)w->zero)[at];
            }
            pack.x = w->data + b * w->lines * w->k + line * w->line_step;
            pack.line_step = w->line_step, pack.k_step = w->k_step;
            pack.is_signed = w->dtype == SDX_I8, pack.is_b = w->is_b;
            pack.sums = kernels->dot_group() == 4 ? sums + first : NULL, pack.to = panels;
            kernels->pack_dot(&pack);
        }
}
