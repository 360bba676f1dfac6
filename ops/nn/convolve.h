/* SPDX-License-Identifier: Apache-2.0
 * The convolution itself, for Conv and for what a pass puts in its place. */
#ifndef SDX_OPS_NN_CONVOLVE_H
#define SDX_OPS_NN_CONVOLVE_H
#include "ops/math/product.h"
#include "ops/nn/window.h"

typedef struct sdx_convolution {
    sdx_dtype dtype; /* f16 bf16 f32 f64 */
    sdx_window window;
    int64_t batch, channels, maps, group; /* N, C, M */
    const void *x, *weight;               /* weight: as in the model */
    const void *packed;                   /* or by sdx_product_pack: `group` matrices A of maps / group lines */
    const void *bias, *residual;          /* NULL: none; residual has the shape of y */
    bool clamp;
    double low, high;
    void *y;
} sdx_convolution;

/* True where the depthwise kernel serves: weights stay as they are, there is nothing to pack. */
bool sdx_convolution_is_depthwise(const sdx_convolution *conv);
size_t sdx_convolution_scratch(const sdx_convolution *conv, int threads);
sdx_status sdx_convolution_run(sdx_compute *compute, const sdx_convolution *conv, void *scratch);

/* X against W and B: ranks, channels, group, kernel_shape; the window, and the type of y. `w` and `b` may be types of
 * constants. Unknown parts leave y unknown; *known says whether `conv` (all but the pointers) is complete. */
sdx_status sdx_convolution_infer(sdx_error *error, const sdx_window_attrs *attrs, int64_t group, const sdx_type *x,
                                 const sdx_type *w, const sdx_type *b, sdx_type *y, sdx_convolution *conv, bool *known);

/* The attributes of Conv. */
typedef struct sdx_conv_params {
    sdx_window_attrs window;
    int64_t group;
} sdx_conv_params;
sdx_status sdx_conv_bind(sdx_bind *bind, void *params);
#define SDX_CONV_ATTRIBUTES "auto_pad:string=NOTSET dilations:ints group:int=1 kernel_shape:ints pads:ints strides:ints"

/* For gradients: ConvGradWeight(X, dY), with the shape of W, as a node without attributes. */
sdx_node *sdx_conv_grad_weight(sdx_patch *patch, sdx_id X, sdx_id dY, sdx_id W);
/* x with its spatial dimensions cut down to the lengths of `like`, which has this rank. */
sdx_id sdx_conv_grad_trim(sdx_patch *patch, sdx_id x, sdx_id like, int rank);
/* dY summed for each map. */
sdx_id sdx_conv_grad_bias(sdx_patch *patch, sdx_id dY, int rank);
sdx_status sdx_conv_grad(sdx_grad *grad, const void *params);

#endif
