/* SPDX-License-Identifier: Apache-2.0
 * Sliding windows of convolutions and pools: the attributes, their checks, and the arithmetic of padding and sizes. */
#ifndef SDX_OPS_NN_WINDOW_H
#define SDX_OPS_NN_WINDOW_H
#include "ops/op.h"

enum { SDX_MAX_SPATIAL = SDX_MAX_RANK - 2 };

typedef enum sdx_auto_pad { SDX_PAD_NOTSET, SDX_PAD_SAME_UPPER, SDX_PAD_SAME_LOWER, SDX_PAD_VALID } sdx_auto_pad;

/* As the node says; empty lists stand for the defaults. */
typedef struct sdx_window_attrs {
    sdx_auto_pad auto_pad;
    bool ceil_mode;
    sdx_ints kernel_shape, strides, dilations, pads;
} sdx_window_attrs;

enum { SDX_WINDOW_DILATIONS = 1, SDX_WINDOW_CEIL = 2 }; /* what the row in force has beside the rest */
sdx_status sdx_window_bind(sdx_bind *bind, unsigned has, sdx_window_attrs *attrs);

/* One window over concrete sizes. Unknown input lengths are negative and give out[d] = -1. */
typedef struct sdx_window {
    int rank; /* spatial dimensions */
    int64_t in[SDX_MAX_SPATIAL], out[SDX_MAX_SPATIAL], kernel[SDX_MAX_SPATIAL];
    int64_t stride[SDX_MAX_SPATIAL], dilation[SDX_MAX_SPATIAL];
    int64_t begin[SDX_MAX_SPATIAL], end[SDX_MAX_SPATIAL]; /* padding */
} sdx_window;

/* `in` and `kernel` hold `rank` lengths. pool: padding must be smaller than the (dilated) kernel. */
sdx_status sdx_window_make(sdx_error *error, const sdx_window_attrs *attrs, int rank, const int64_t *in,
                           const int64_t *kernel, bool pool, sdx_window *out);
/* The last steps of the above, for ConvTranspose: rank, kernel, stride and dilation, checked. */
sdx_status sdx_window_steps(sdx_error *error, const sdx_window_attrs *attrs, int rank, const int64_t *kernel,
                            sdx_window *out);
/* attribute `name` must have `count` entries (or none). */
sdx_status sdx_window_count(sdx_error *error, const char *name, sdx_ints given, int count);
/* pads: 2 * rank entries, none negative or absurd; into begin and end. */
sdx_status sdx_window_pads(sdx_error *error, const sdx_window_attrs *attrs, sdx_window *out);

/* kernel + the holes dilation makes. */
static inline int64_t sdx_window_extent(const sdx_window *w, int d) { return (w->kernel[d] - 1) * w->dilation[d] + 1; }
static inline int64_t sdx_window_product(const int64_t *dims, int rank) {
    int64_t n = 1;
    for (int d = 0; d < rank; d++) n *= dims[d];
    return n;
}

int64_t sdx_common_divisor(int64_t a, int64_t b); /* the greatest */

/* For pools: the window of input `type`; out[0] gets N, C and the sizes. */
sdx_status sdx_window_infer_pool(sdx_infer *infer, const sdx_window_attrs *attrs);
/* For pools at run time. */
sdx_status sdx_window_of_pool(sdx_error *error, const sdx_window_attrs *attrs, const sdx_tensor *x, sdx_window *out);

/* A kernel of 1 everywhere that reads X as it lies. */
bool sdx_window_is_pointwise(const sdx_window *w);

/* Outputs that lie side by side in the last dimension. */
typedef struct sdx_run {
    int64_t column, n;           /* of a panel */
    int64_t at[SDX_MAX_SPATIAL]; /* input position under kernel place 0 of the first output, may be negative */
} sdx_run;
/* Outputs [n, n + columns) as runs; returns how many. */
int sdx_runs_find(const sdx_window *w, int64_t n, int64_t columns, sdx_run *runs);
/* Where in a channel's plane a run starts under kernel place `tap`, and which of its outputs [*left, *left + *inside)
 * do not lie on padding. */
int64_t sdx_run_place(const sdx_window *w, const sdx_run *r, int64_t tap, int64_t *left, int64_t *inside);

/* Output positions [*first, *last) of dimension d whose input at kernel place k is inside. */
void sdx_window_inside(const sdx_window *w, int d, int64_t k, int64_t *first, int64_t *last);

#endif
