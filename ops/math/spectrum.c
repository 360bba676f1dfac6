/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/math/spectrum.h"
#include "ops/loop.h"
#include "runtime/base/half.h"
#include <inttypes.h>
#include <string.h>

static size_t whole_lines(size_t bytes) { return (bytes + SDX_ALIGNMENT - 1) / SDX_ALIGNMENT * SDX_ALIGNMENT; }

size_t sdx_spectrum_bytes(int64_t n, int threads) {
    const size_t table = sdx_fft_table_bytes(n), work = sdx_fft_work_bytes(n);
    size_t bytes = 0;
    if (table == SIZE_MAX || work == SIZE_MAX || !sdx_size_mul(whole_lines(work), (size_t)threads, &bytes) ||
        !sdx_size_add(bytes, whole_lines(table), &bytes))
        return SIZE_MAX;
    return bytes;
}

void sdx_spectrum_begin(sdx_spectrum *spectrum, sdx_compute *compute, void *memory) {
    spectrum->kernels = compute->kernels;
    spectrum->work = memory;
    spectrum->work_bytes = whole_lines(sdx_fft_work_bytes(spectrum->n));
    char *table = spectrum->work + spectrum->work_bytes * (size_t)sdx_pool_threads(compute->pool);
    sdx_fft_make(compute->kernels, spectrum->n, table, memory, &spectrum->fft);
}

static double load(sdx_dtype dtype, const void *x, int64_t k) {
    if (dtype == SDX_F32) return (double)((const float *)x)[k];
    if (dtype == SDX_F64) return ((const double *)x)[k];
    const uint16_t bits = ((const uint16_t *)x)[k];
    return (double)(dtype == SDX_F16 ? sdx_f32_from_f16(bits) : sdx_f32_from_bf16(bits));
}

static void store(sdx_dtype dtype, void *y, int64_t k, double v) {
    if (dtype == SDX_F32)
        ((float *)y)[k] = (float)v;
    else if (dtype == SDX_F64)
        ((double *)y)[k] = v;
    else
        ((uint16_t *)y)[k] = dtype == SDX_F16 ? sdx_f16_from_f64(v) : sdx_bf16_from_f64(v);
}

/* The second half of a real signal's spectrum; what is imaginary at 0 and in the middle does not count. */
static void mirror(double *z, int64_t n) {
    z[1] = 0;
    if (n % 2 == 0) z[n + 1] = 0;
    for (int64_t k = 1; 2 * k < n; k++) z[2 * (n - k)] = z[2 * k], z[2 * (n - k) + 1] = -z[2 * k + 1];
}

void sdx_spectrum_line(const sdx_spectrum *s, int64_t x_at, int64_t x_step, int64_t y_at, int64_t y_step, int worker) {
    double *z = (double *)(void *)(s->work + (size_t)worker * s->work_bytes);
    memset(z, 0, (size_t)s->n * 2 * sizeof *z);
    for (int64_t k = 0; k < s->given; k++) {
        const double factor = s->window ? s->window[k] : 1;
        z[2 * k] = load(s->dtype, s->x, x_at + k * x_step) * factor;
        if (s->x_parts == 2) z[2 * k + 1] = load(s->dtype, s->x, x_at + k * x_step + 1) * factor;
    }
    if (s->hermitian) mirror(z, s->n);
    const int re = s->inverse ? 1 : 0;
    for (int64_t k = 0; s->inverse && k < s->n; k++) {
        const double first = z[2 * k];
        z[2 * k] = z[2 * k + 1];
        z[2 * k + 1] = first;
    }
    const double *out = sdx_fft_run(s->kernels, &s->fft, z), over = s->inverse ? (double)s->n : 1;
    for (int64_t k = 0; k < s->y_n; k++) {
        store(s->dtype, s->y, y_at + k * y_step, out[2 * k + re] / over);
        if (s->y_parts == 2) store(s->dtype, s->y, y_at + k * y_step + 1, out[2 * k + 1 - re] / over);
    }
}

static sdx_status read_scalar(sdx_error *error, const sdx_tensor *tensor, const char *name, int64_t *value) {
    if (tensor->count != 1)
        return sdx_fail(error, SDX_SHAPE, "input '%s' has %" PRId64 " elements; it must be a scalar", name,
                        tensor->count);
    sdx_convert(NULL, tensor->dtype, tensor->data, SDX_I64, value, 1);
    return SDX_OK;
}

sdx_status sdx_infer_scalar(const sdx_infer *infer, int k, const char *name, int64_t *value, bool *known) {
    *known = k < infer->n_in && infer->in[k] && infer->value[k];
    return *known ? read_scalar(infer->error, infer->value[k], name, value) : SDX_OK;
}

sdx_status sdx_compute_scalar(const sdx_compute *compute, int k, const char *name, int64_t otherwise, int64_t *value) {
    *value = otherwise;
    if (k >= compute->n_in || !compute->in[k]) return SDX_OK;
    return read_scalar(compute->error, compute->in[k], name, value);
}

int64_t sdx_spectrum_grain(int64_t n) { return 1 + 4096 / (n + 1); }
