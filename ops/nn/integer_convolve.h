/* SPDX-License-Identifier: Apache-2.0
 * The convolution of 8-bit integers, for ConvInteger and QLinearConv. */
#ifndef SDX_OPS_NN_INTEGER_CONVOLVE_H
#define SDX_OPS_NN_INTEGER_CONVOLVE_H
#include "ops/math/dot.h"
#include "ops/nn/convolve.h"

typedef struct sdx_integer_conv {
    sdx_window_attrs window;
    int64_t group;
    sdx_packed_weight weight; /* w comes packed, by group */
} sdx_integer_conv;
sdx_status sdx_integer_conv_bind(sdx_bind *bind, void *params);
sdx_status sdx_integer_conv_bind_packed(sdx_bind *bind, void *params);

/* Shapes of out[0] from inputs x and w (their indices), and of the bias (-1: none). */
sdx_status sdx_integer_conv_infer(sdx_infer *infer, const sdx_integer_conv *p, int x, int w, int bias);
size_t sdx_integer_conv_scratch(const sdx_infer *infer, const sdx_integer_conv *p, int x, int w);
/* Input k, a scale or zero point of w, must be a scalar or have one element for each map. */
sdx_status sdx_integer_conv_maps(const sdx_infer *infer, int k, const char *name, int w);

typedef struct sdx_integer_conv_run {
    const sdx_tensor *x, *w, *x_zero, *w_zero; /* zero points: NULL where there are none */
    const void *packed;                        /* w, whose data is not there then; NULL: it is not packed */
    const int32_t *bias;
    int32_t *y;           /* NULL: finish alone sees the sums */
    sdx_finish_fn finish; /* NULL: nothing more */
    const void *finish_context;
    sdx_dot *dot; /* set up here, for finish */
} sdx_integer_conv_run;
sdx_status sdx_integer_conv_compute(sdx_compute *compute, const sdx_integer_conv *p, sdx_integer_conv_run *run);

#endif
