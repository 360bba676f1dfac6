/* SPDX-License-Identifier: Apache-2.0
 * The kernel table: plain pointers and sizes, no tensors, no threads, no allocation. kernels.def lists each kernel
 * once; select.c fills the table from generic/, then overlays what the CPU's instruction sets do better. */
#ifndef SDX_KERNELS_H
#define SDX_KERNELS_H
#include "ops/kernels/elementwise.h"
#include "ops/kernels/panels.h"
#include "runtime/base/cpu.h"
#include <stddef.h>
#include <stdint.h>

/* One tile of C = A B, at most mr rows and nr columns (see the row gemm_shape), from panels that hold k times mr
 * elements of A and k times nr elements of B, zeros where there is no row or column. Element types as the row says. */
typedef struct sdx_gemm_tile {
    int64_t k;
    const void *a, *b;
    /* Not 0, f32 and f64: a is no panel; element (row, k) lies at a[row * a_row + k * a_step]. b_step not 0: nor is b;
     * element (k, column) lies at b[k * b_step + column], and n is a multiple of half of nr. */
    int64_t a_row, a_step, b_step;
    void *c;
    int64_t ldc;                        /* elements from one row of c (and of residual) to the next */
    int m, n;                           /* rows and columns to write; 1 <= m <= mr */
    bool accumulate;                    /* onto what c holds */
    const void *row_bias, *column_bias; /* added to the sum, once it is made; NULL: none; one of the two at most */
    const void *residual;               /* added to the result; NULL: none */
    bool clamp;                         /* at the end, to [low, high]; NaN stays. Not for integers */
    double low, high;
} sdx_gemm_tile;

/* Panels of 8-bit integers for gemm_tile_dot: element (line, q) is x[line * line_step + q * k_step], one of the steps
 * is
 * 1. dot_group steps of k make one 4-byte element of a panel; panel r / width starts at to + r / width * panel. Groups
 * of four hold the bytes as they are, A as i8 and B as u8 (128 is added or taken away), and sums[line] grows by what a
 * line holds; groups of two hold x - zero[line] as i16. Missing lines and steps are zeros. */
typedef struct sdx_dot_pack {
    const uint8_t *x;
    int64_t line_step, k_step, lines, k, panel;
    int width;
    bool is_signed, is_b;
    const int32_t *zero;
    int32_t *sums; /* NULL: not wanted */
    uint32_t *to;
} sdx_dot_pack;

/* One plane of a depthwise convolution. */
typedef struct sdx_depthwise {
    const float *x, *w; /* w: kernel[0] x kernel[1] */
    float *y;
    int64_t x_pitch, y_pitch, rows, columns; /* of y */
    int64_t kernel[2], stride[2], dilation[2];
    float bias, low, high;
    bool clamp;
} sdx_depthwise;

/* A row of outputs of a pool: y[o] is the maximum, or the sum, of x[rows[r] + o * stride + k * dilation - begin] for
 * all r < n_rows and k < taps, without places outside [rows[r], rows[r] + in); of nothing it is -inf, or 0. `line` has
 * room for (n - 1) * stride + (taps - 1) * dilation + 1 + SDX_POOL_ROOM elements. */
enum { SDX_POOL_ROOM = 32 };
typedef struct sdx_pool_row {
    const float *x;
    const int64_t *rows;
    int64_t n_rows, in, begin, taps, stride, dilation, n; /* taps, n >= 1 */
    float *line, *y;
} sdx_pool_row;

/* One step of an optimizer of ai.onnx.preview.training; which fields count, the kernel says. */
typedef struct sdx_preview_step {
    const void *x, *g, *v, *h; /* parameters, gradients, first and second state */
    void *x_new, *v_new, *h_new;
    double rate, alpha, beta, epsilon;
    double norm, keep; /* factor of x in the gradient; what x is multiplied by at the end */
} sdx_preview_step;

/* n parameters w with gradients g and state s; results may be their own inputs. u is what the optimizer makes of w;
 * with `prox`, w becomes soft(u, l1 / d) / (1 + l2 / d), where d is the optimizer's metric, and 1 for sgd. metric:
 * where d goes; NULL: nobody asks. Which numbers count, the kernel says. */
typedef struct sdx_training_step {
    const void *w, *g, *s[4];
    void *w_new, *s_new[4], *metric;
    double rate, decay, keep; /* decay w joins g; w is multiplied by keep */
    double beta1, beta2, momentum, gain, root, eps;
    double l1, l2;
    bool prox, nesterov, centered, amsgrad;
} sdx_training_step;

/* Parameters w of a group under the metric d = metric + extra (metric NULL: 1): v = d w / (d s + c). w_new NULL: each
 * v^2 and v^2 d / (d s + c); else w_new = s v, never -0. */
typedef struct sdx_group_step {
    const void *w, *metric;
    void *w_new;
    double extra, c, s;
    double *squares, *slopes;
} sdx_group_step;

/* One per row: SDX_ROW_f32_from_f16 ... */
enum {
#define SDX_KERNEL(levels, result, name, ...) SDX_ROW_##name,
#include "ops/kernels/kernels.def"
#undef SDX_KERNEL
    SDX_KERNEL_ROWS
};

typedef struct sdx_kernels {
    sdx_cpu cpu; /* isa is the level of this table, which may be below the machine's */
#define SDX_KERNEL(levels, result, name, ...) result (*name)(__VA_ARGS__);
#include "ops/kernels/kernels.def"
#undef SDX_KERNEL
    const struct sdx_blas *blas;         /* OpenBLAS where it is faster than the gemm tiles of this table, else NULL */
    const char *origin[SDX_KERNEL_ROWS]; /* "generic", "avx2" or "avx512" */
} sdx_kernels;

/* Chosen once, from cpu detection and SARDONYX_CPU. */
const sdx_kernels *sdx_kernels_get(void);
/* The table as it would be at a level; for tests. False when this machine cannot run it. */
bool sdx_kernels_at(sdx_isa isa, sdx_kernels *out);
/* "f32_from_f16" ... of row k. */
const char *sdx_kernels_row_name(int k);

#endif
