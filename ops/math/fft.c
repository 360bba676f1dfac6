/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/math/fft.h"
#include "ops/kernels/kernels.h"
#include <math.h>
#include <string.h>

enum { LARGEST_RADIX = 31 };

/* The radices of n; 0: a prime factor is too large. */
static int factor(int64_t n, int *radix) {
    int count = 0;
    for (; n % 4 == 0; n /= 4) radix[count++] = 4;
    for (int r = 2; r <= LARGEST_RADIX; r++)
        for (; n % r == 0; n /= r) radix[count++] = r;
    if (n != 1) return 0;
    if (count == 0) radix[count++] = 1;
    return count;
}

/* The length of the passes. */
static int64_t inner_of(int64_t n, int *radix, int *count) {
    *count = factor(n, radix);
    if (*count) return n;
    int64_t inner = 1;
    while (inner < 2 * n - 1) inner *= 2;
    *count = factor(inner, radix);
    return inner;
}

enum { LONGEST = 1 << 28 }; /* keeps squares and sizes far inside 64 bits */

size_t sdx_fft_table_bytes(int64_t n) {
    int radix[SDX_FFT_RADICES], count = 0;
    if (n > LONGEST) return SIZE_MAX;
    const int64_t inner = inner_of(n, radix, &count);
    return (size_t)(inner == n ? n : 2 * inner + n) * 2 * sizeof(double);
}

size_t sdx_fft_work_bytes(int64_t n) {
    int radix[SDX_FFT_RADICES], count = 0;
    if (n > LONGEST) return SIZE_MAX;
    return (size_t)inner_of(n, radix, &count) * 4 * sizeof(double);
}

/* e^(-2 pi i k / n) by the eighth of the circle that k lies in, where sine and cosine are most accurate. */
static void root(int64_t k, int64_t n, double *to) {
    const double tau = 6.283185307179586476925;
    const int64_t octant = 8 * k / n;
    const int64_t from = (octant + 1) / 2; /* the nearest quarter */
    const double rest = tau * (double)(4 * k - from * n) / (4 * (double)n), c = cos(rest), s = sin(rest);
    static const signed char turn[4][2] = {{1, 0}, {0, 1}, {-1, 0}, {0, -1}};
    const double tc = turn[from % 4][0], ts = turn[from % 4][1];
    to[0] = tc * c - ts * s;
    to[1] = -(ts * c + tc * s);
}

/* All passes over `inner` complex numbers at the beginning of the work space. */
static double *passes(const sdx_kernels *kernels, const sdx_fft *fft, double *work) {
    double *x = work, *y = work + 2 * fft->inner;
    int64_t left = fft->inner, step = 1;
    for (int k = 0; k < fft->count && fft->radix[k] > 1; k++) {
        const int r = fft->radix[k];
        left /= r;
        kernels->fft_pass(r, left, step, fft->roots, x, y);
        step *= r;
        double *other = x;
        x = y;
        y = other;
    }
    return x;
}

void sdx_fft_make(const sdx_kernels *kernels, int64_t n, void *table, void *work, sdx_fft *out) {
    *out = (sdx_fft){.n = n};
    out->inner = inner_of(n, out->radix, &out->count);
    double *roots = table;
    for (int64_t k = 0; k < out->inner; k++) root(k, out->inner, roots + 2 * k);
    out->roots = roots;
    if (out->inner == n) return;
    double *chirp = roots + 2 * out->inner, *chirps = chirp + 2 * n, *x = work;
    memset(x, 0, (size_t)out->inner * 2 * sizeof *x);
    for (int64_t k = 0, square = 0; k < n; k++) { /* square = k^2 mod 2 n */
        root(square, 2 * n, chirp + 2 * k);
        for (int side = 0; side < (k ? 2 : 1); side++) {
            double *at = x + 2 * (side ? out->inner - k : k);
            at[0] = chirp[2 * k], at[1] = -chirp[2 * k + 1];
        }
        square = (square + 2 * k + 1) % (2 * n);
    }
    out->chirp = chirp;
    out->chirps = chirps;
    memcpy(chirps, passes(kernels, out, x), (size_t)out->inner * 2 * sizeof *x);
}

/* to[k] = a[k] b[k], with real and imaginary parts exchanged when `turned`. */
static void multiply(const double *a, const double *b, int64_t n, bool turned, double *to) {
    for (int64_t k = 0; k < 2 * n; k += 2) {
        const double re = a[k] * b[k] - a[k + 1] * b[k + 1], im = a[k] * b[k + 1] + a[k + 1] * b[k];
        to[k] = turned ? im : re;
        to[k + 1] = turned ? re : im;
    }
}

/* X[k] = chirp[k] times the convolution of x chirp with the conjugate chirp. */
static double *bluestein(const sdx_kernels *kernels, const sdx_fft *fft, double *work) {
    const int64_t n = fft->n, inner = fft->inner;
    multiply(work, fft->chirp, n, false, work);
    memset(work + 2 * n, 0, (size_t)(inner - n) * 2 * sizeof *work);
    double *x = passes(kernels, fft, work);
    multiply(x, fft->chirps, inner, true, work);
    x = passes(kernels, fft, work);
    for (int64_t k = 0; k < n; k++) {
        const double re = x[2 * k + 1] / (double)inner, im = x[2 * k] / (double)inner;
        x[2 * k] = re, x[2 * k + 1] = im;
    }
    multiply(x, fft->chirp, n, false, x);
    return x;
}

double *sdx_fft_run(const sdx_kernels *kernels, const sdx_fft *fft, double *work) {
    return fft->chirp ? bluestein(kernels, fft, work) : passes(kernels, fft, work);
}
