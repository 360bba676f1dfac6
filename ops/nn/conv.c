/* SPDX-License-Identifier: Apache-2.0
 * Convolution of any number of spatial dimensions, grouped, strided, dilated, padded. */
#include "ops/nn/convolve.h"
#include <inttypes.h>

sdx_status sdx_conv_bind(sdx_bind *bind, void *params) {
    sdx_conv_params *p = params;
    p->group = sdx_bind_int(bind, "group");
    return sdx_window_bind(bind, SDX_WINDOW_DILATIONS, &p->window);
}

/* What does not need X's lengths. */
static sdx_status check_weights(sdx_error *error, const sdx_window_attrs *attrs, int64_t group, const sdx_type *w,
                                const sdx_type *b) {
    if (group < 1) return sdx_fail(error, SDX_VALUE, "attribute 'group' is %" PRId64 "; it must be 1 or more", group);
    if (w->rank >= 0 && w->rank < 3)
        return sdx_fail(error, SDX_SHAPE, "input 'W' has rank %d; it must be 3 or more", w->rank);
    if (w->rank > 0 && w->dim[0] >= 0 && w->dim[0] % group)
        return sdx_fail(error, SDX_SHAPE,
                        "dimension 0 of input 'W' is %" PRId64 "; attribute 'group' is %" PRId64 " and must divide it",
                        w->dim[0], group);
    if (b && b->rank >= 0 && b->rank != 1)
        return sdx_fail(error, SDX_SHAPE, "input 'B' has rank %d; it must be 1", b->rank);
    if (b && b->rank == 1 && w->rank > 0 && b->dim[0] >= 0 && w->dim[0] >= 0 && b->dim[0] != w->dim[0])
        return sdx_fail(error, SDX_SHAPE, "input 'B' has %" PRId64 " elements; input 'W' has %" PRId64 " maps",
                        b->dim[0], w->dim[0]);
    if (w->rank < 0) return SDX_OK;
    SDX_TRY(sdx_window_count(error, "kernel_shape", attrs->kernel_shape, w->rank - 2));
    for (size_t d = 0; d < attrs->kernel_shape.n; d++)
        if (w->dim[d + 2] >= 0 && attrs->kernel_shape.data[d] != w->dim[d + 2])
            return sdx_fail(error, SDX_SHAPE, "attribute 'kernel_shape' has %" PRId64 " at %zu; input 'W' has %" PRId64,
                            attrs->kernel_shape.data[d], d, w->dim[d + 2]);
    return SDX_OK;
}

sdx_status sdx_convolution_infer(sdx_error *error, const sdx_window_attrs *attrs, int64_t group, const sdx_type *x,
                                 const sdx_type *w, const sdx_type *b, sdx_type *y, sdx_convolution *conv,
                                 bool *known) {
    int64_t kernel[SDX_MAX_SPATIAL];
    const bool x_known = x->rank >= 0, w_known = w->rank >= 0;
    *known = false;
    SDX_TRY(check_weights(error, attrs, group, w, b));
    if (x_known && x->rank < 3)
        return sdx_fail(error, SDX_SHAPE, "input 'X' has rank %d; it must be 3 or more", x->rank);
    if (x_known && w_known && x->rank != w->rank)
        return sdx_fail(error, SDX_SHAPE, "input 'X' has rank %d; input 'W' has rank %d", x->rank, w->rank);
    if (x_known && w_known && x->dim[1] >= 0 && w->dim[1] >= 0 && x->dim[1] / group != w->dim[1])
        return sdx_fail(error, SDX_SHAPE,
                        "input 'X' has %" PRId64 " channels; input 'W' and %" PRId64 " groups need %" PRId64, x->dim[1],
                        group, w->dim[1] * group);
    if (x_known && x->dim[1] >= 0 && x->dim[1] % group)
        return sdx_fail(error, SDX_SHAPE,
                        "input 'X' has %" PRId64 " channels; attribute 'group' is %" PRId64 " and must divide them",
                        x->dim[1], group);
    if (!x_known) return SDX_OK;
    y->rank = x->rank;
    y->dim[0] = x->dim[0];
    y->dim[1] = w_known ? w->dim[0] : -1;
    bool kernel_known = w_known || attrs->kernel_shape.n > 0;
    if (!w_known) SDX_TRY(sdx_window_count(error, "kernel_shape", attrs->kernel_shape, x->rank - 2));
    for (int d = 0; d < x->rank - 2; d++) {
        y->dim[d + 2] = -1;
        kernel[d] = w_known && w->dim[d + 2] >= 0 ? w->dim[d + 2]
                    : attrs->kernel_shape.n       ? attrs->kernel_shape.data[d]
                                                  : -1;
        kernel_known = kernel_known && kernel[d] >= 0;
    }
    if (!kernel_known) return SDX_OK;
    SDX_TRY(sdx_window_make(error, attrs, x->rank - 2, x->dim + 2, kernel, false, &conv->window));
    for (int d = 0; d < conv->window.rank; d++) y->dim[d + 2] = conv->window.out[d];
    conv->dtype = x->dtype;
    conv->batch = x->dim[0], conv->channels = x->dim[1], conv->maps = y->dim[1], conv->group = group;
    *known = sdx_type_concrete(x) && sdx_type_concrete(y);
    return SDX_OK;
}

static sdx_status conv_infer(sdx_infer *infer, const void *params) {
    const sdx_conv_params *p = params;
    sdx_convolution conv = {0};
    bool known = false;
    return sdx_convolution_infer(infer->error, &p->window, p->group, infer->in[0], infer->in[1],
                                 infer->n_in > 2 ? infer->in[2] : NULL, &infer->out[0], &conv, &known);
}

static size_t conv_scratch(const sdx_infer *infer, const void *params) {
    const sdx_conv_params *p = params;
    sdx_convolution conv = {0};
    sdx_type y = sdx_type_make(infer->in[0]->dtype, -1);
    bool known = false;
    sdx_status status =
        sdx_convolution_infer(NULL, &p->window, p->group, infer->in[0], infer->in[1], NULL, &y, &conv, &known);
    return status == SDX_OK && known ? sdx_convolution_scratch(&conv, infer->threads) : SIZE_MAX;
}

static sdx_status conv_compute(sdx_compute *compute, const void *params) {
    const sdx_conv_params *p = params;
    const sdx_tensor *x = compute->in[0], *w = compute->in[1], *b = compute->n_in > 2 ? compute->in[2] : NULL;
    sdx_convolution conv = {0};
    sdx_type x_type = sdx_type_of_tensor(x), w_type = sdx_type_of_tensor(w), y = sdx_type_make(x->dtype, -1);
    bool known = false;
    SDX_TRY(sdx_convolution_infer(compute->error, &p->window, p->group, &x_type, &w_type, NULL, &y, &conv, &known));
    conv.x = x->data, conv.weight = w->data, conv.bias = b ? b->data : NULL;
    conv.y = compute->out[0]->data;
    return sdx_convolution_run(compute, &conv, compute->scratch);
}

const sdx_op sdx_op_Conv = {
    .domain = "",
    .name = "Conv",
    .versions = (const sdx_op_version[]){{1, "X:T W:T B:T? -> Y:T", "T=" SDX_T_FLOAT, SDX_CONV_ATTRIBUTES},
                                         {11, "X:T W:T B:T? -> Y:T", "T=" SDX_T_FLOAT, SDX_CONV_ATTRIBUTES},
                                         {22, "X:T W:T B:T? -> Y:T", "T=" SDX_T_FLOAT_BF, SDX_CONV_ATTRIBUTES},
                                         {0}},
    .params_size = sizeof(sdx_conv_params),
    .bind = sdx_conv_bind,
    .infer = conv_infer,
    .scratch = conv_scratch,
    .compute = conv_compute,
    .grad = sdx_conv_grad};
