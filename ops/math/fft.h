/* SPDX-License-Identifier: Apache-2.0
 * Discrete Fourier transforms in f64 of any length: passes of radix 4, 2 and odd primes up to 31; with a larger prime,
 * Bluestein's convolution (1970) of a length that is a power of two. The free libraries do not fit: they allocate while
 * they transform, or are quadratic in large primes, or their licence is not for a library like this. */
#ifndef SDX_OPS_MATH_FFT_H
#define SDX_OPS_MATH_FFT_H
#include "ops/op.h"

enum { SDX_FFT_RADICES = 40 };

typedef struct sdx_fft {
    int64_t n;     /* asked for */
    int64_t inner; /* of the passes: n, or the power of two */
    int count;
    int radix[SDX_FFT_RADICES];
    const double *roots;          /* e^(-2 pi i k / inner) */
    const double *chirp, *chirps; /* Bluestein: e^(-pi i k^2 / n), and the transform of its conjugate; else NULL */
} sdx_fft;

/* Bytes of the tables, and of the work space of one transform; SIZE_MAX: too large. 1 <= n. */
size_t sdx_fft_table_bytes(int64_t n);
size_t sdx_fft_work_bytes(int64_t n);
/* Fills the tables; `work` is as for a transform. */
void sdx_fft_make(const struct sdx_kernels *kernels, int64_t n, void *table, void *work, sdx_fft *out);
/* x, n complex numbers, lies at the beginning of the work space; what is returned is the transform, in the work space
 * too. The inverse: exchange real and imaginary parts before and after, and divide by n. */
double *sdx_fft_run(const struct sdx_kernels *kernels, const sdx_fft *fft, double *work);

#endif
