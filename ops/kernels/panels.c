/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/kernels/kernels.h"
#include "runtime/base/memory.h"

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
