/* SPDX-License-Identifier: Apache-2.0
 * What DFT and STFT share: lines of a tensor through a transform. */
#ifndef SDX_OPS_MATH_SPECTRUM_H
#define SDX_OPS_MATH_SPECTRUM_H
#include "ops/math/fft.h"

typedef struct sdx_spectrum {
    sdx_dtype dtype; /* of x and y: f16, bf16, f32 or f64 */
    const void *x;
    void *y;
    int x_parts, y_parts;    /* 1: real, 2: complex */
    int64_t given;           /* elements of a line of x that are read, at most n; zeros follow */
    int64_t n, y_n;          /* length of the transform; elements of a line of y */
    bool inverse, hermitian; /* x is the first half of the spectrum of a real signal */
    const double *window;    /* n factors; NULL: none */
    const struct sdx_kernels *kernels;
    sdx_fft fft;
    char *work; /* of all workers, then the tables */
    size_t work_bytes;
} sdx_spectrum;

/* Bytes for transforms of n on so many workers; SIZE_MAX: too large. */
size_t sdx_spectrum_bytes(int64_t n, int threads);
/* Sets up the transform in memory of that size. */
void sdx_spectrum_begin(sdx_spectrum *spectrum, sdx_compute *compute, void *memory);
/* One line: elements lie x_step and y_step scalars apart, beginning at scalars x_at and y_at. */
void sdx_spectrum_line(const sdx_spectrum *spectrum, int64_t x_at, int64_t x_step, int64_t y_at, int64_t y_step,
                       int worker);
/* Scalar input k as i64; *known says whether it is there and its value known. */
sdx_status sdx_infer_scalar(const sdx_infer *infer, int k, const char *name, int64_t *value, bool *known);
/* At run time; `otherwise` where it is absent. */
sdx_status sdx_compute_scalar(const sdx_compute *compute, int k, const char *name, int64_t otherwise, int64_t *value);
/* Lines per task. */
int64_t sdx_spectrum_grain(int64_t n);

/* Gradients; the scalars `length` (SDX_NONE: that of the data) and `axis` are values of the graph. */
sdx_status sdx_dft_gradient(sdx_grad *grad, sdx_id length, sdx_id axis, bool inverse, bool onesided);
sdx_status sdx_stft_gradient(sdx_grad *grad);

#endif
