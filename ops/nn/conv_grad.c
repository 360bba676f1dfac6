/* SPDX-License-Identifier: Apache-2.0
 * The gradients of Conv. ConvGradInput(dY, W, shape of X) is what ConvTranspose does, cut out of the padding;
 * ConvGradWeight(X, dY, shape of W) is a convolution of X with dY whose strides and dilations have changed places and
 * whose images are the channels. Both are linear in each factor, so they are each other's gradients. dY of
 * ConvGradWeight may end before X does: the outputs that follow count nothing. */
#include "ops/grad.h"
#include "ops/nn/convolve_back.h"
#include <inttypes.h>

typedef struct factors {
    const sdx_type *x, *w, *dy;
    bool shorter; /* dY may be */
} factors;

/* Checks the three against each other. */
static sdx_status relate(sdx_error *error, const sdx_conv_params *p, const factors *f, sdx_convolution *conv,
                         bool *known) {
    sdx_type y = sdx_type_make(f->x->dtype, -1);
    *conv = (sdx_convolution){0};
    SDX_TRY(sdx_convolution_infer(error, &p->window, p->group, f->x, f->w, NULL, &y, conv, known));
    if (f->dy->rank >= 0 && y.rank >= 0 && f->dy->rank != y.rank)
        return sdx_fail(error, SDX_SHAPE, "input 'dY' has rank %d; it must be %d", f->dy->rank, y.rank);
    *known = *known && sdx_type_concrete(f->dy);
    for (int d = 0; d < y.rank && f->dy->rank >= 0; d++) {
        const int64_t have = f->dy->dim[d], want = y.dim[d];
        if (have >= 0 && want >= 0 && (d > 1 && f->shorter ? have > want : have != want))
            return sdx_fail(error, SDX_SHAPE,
                            "dimension %d of input 'dY' is %" PRId64 "; the output of Conv has %" PRId64, d, have,
                            want);
        if (d > 1 && *known) conv->window.out[d - 2] = have;
    }
    return SDX_OK;
}

/* The type of the gradient: the entries of 'shape' where they are known, `rank` dimensions. */
static sdx_status type_of_shape(sdx_infer *infer, int rank) {
    int64_t dims[SDX_MAX_RANK];
    int n = -1;
    sdx_type *out = &infer->out[0];
    SDX_TRY(sdx_infer_i64s(infer, 2, "shape", dims, SDX_MAX_RANK, &n));
    if (n >= 0 && rank >= 0 && n != rank)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'shape' has %d entries; there must be %d", n, rank);
    out->rank = n >= 0 ? n : rank;
    for (int d = 0; d < out->rank; d++) out->dim[d] = n >= 0 ? dims[d] : -1;
    return SDX_OK;
}

/* ---- ConvGradInput ----------------------------------------------------------------------------------------------- */

static sdx_status input_infer(sdx_infer *infer, const void *params) {
    sdx_convolution conv;
    bool known = false;
    SDX_TRY(type_of_shape(infer, infer->in[0]->rank));
    const factors f = {&infer->out[0], infer->in[1], infer->in[0], false};
    return relate(infer->error, params, &f, &conv, &known);
}

static size_t input_scratch(const sdx_infer *infer, const void *params) {
    sdx_convolution conv;
    bool known = false;
    const factors f = {&infer->out[0], infer->in[1], infer->in[0], false};
    if (relate(NULL, params, &f, &conv, &known) || !known) return SIZE_MAX;
    return sdx_convolution_back_input_scratch(&conv, infer->threads);
}

static sdx_status input_compute(sdx_compute *compute, const void *params) {
    const sdx_type x = sdx_type_of_tensor(compute->out[0]), w = sdx_type_of_tensor(compute->in[1]),
                   dy = sdx_type_of_tensor(compute->in[0]);
    sdx_convolution conv;
    bool known = false;
    SDX_TRY(relate(compute->error, params, &(factors){&x, &w, &dy, false}, &conv, &known));
    conv.weight = compute->in[1]->data;
    return sdx_convolution_back_input(compute, &conv, compute->in[0]->data, compute->out[0]->data, compute->scratch);
}

/* ---- ConvGradWeight ---------------------------------------------------------------------------------------------- */

static sdx_status weight_infer(sdx_infer *infer, const void *params) {
    sdx_convolution conv;
    bool known = false;
    SDX_TRY(type_of_shape(infer, infer->in[0]->rank >= 0 ? infer->in[0]->rank : infer->in[1]->rank));
    const factors f = {infer->in[0], &infer->out[0], infer->in[1], true};
    return relate(infer->error, params, &f, &conv, &known);
}

static size_t weight_scratch(const sdx_infer *infer, const void *params) {
    sdx_convolution conv;
    bool known = false;
    const factors f = {infer->in[0], &infer->out[0], infer->in[1], true};
    if (relate(NULL, params, &f, &conv, &known) || !known) return SIZE_MAX;
    return sdx_convolution_back_weight_scratch(&conv, infer->threads);
}

static sdx_status weight_compute(sdx_compute *compute, const void *params) {
    const sdx_type x = sdx_type_of_tensor(compute->in[0]), w = sdx_type_of_tensor(compute->out[0]),
                   dy = sdx_type_of_tensor(compute->in[1]);
    sdx_convolution conv;
    bool known = false;
    SDX_TRY(relate(compute->error, params, &(factors){&x, &w, &dy, true}, &conv, &known));
    conv.x = compute->in[0]->data;
    return sdx_convolution_back_weight(compute, &conv, compute->in[1]->data, compute->out[0]->data, compute->scratch);
}

/* ---- as standard operators --------------------------------------------------------------------------------------- */

static sdx_id slice(sdx_patch *patch, sdx_id x, sdx_id from, sdx_id to, int64_t first_axis, int n) {
    int64_t axes[SDX_MAX_RANK];
    for (int d = 0; d < n; d++) axes[d] = first_axis + d;
    const sdx_id in[4] = {x, from, to, sdx_patch_i64s(patch, axes, (size_t)n)};
    return sdx_patch_node(patch, "", "Slice", 4, in, 1)->out[0];
}

/* Entries [from, to) of a shape; to 0: all that follow. */
static sdx_id part_of_shape(sdx_patch *patch, sdx_id x, int64_t from, int64_t to) {
    sdx_node *node = sdx_patch_node(patch, "", "Shape", 1, &x, 1);
    sdx_patch_int(patch, node, "start", from);
    if (to) sdx_patch_int(patch, node, "end", to);
    return node->out[0];
}

static sdx_id repeated(sdx_patch *patch, int64_t value, int n) {
    int64_t values[SDX_MAX_RANK];
    for (int d = 0; d < n; d++) values[d] = value;
    return sdx_patch_i64s(patch, values, (size_t)n);
}

/* Strides, dilations and pads in numbers. Under SAME the lengths of X must be known. */
typedef struct steps {
    int rank;
    int64_t stride[SDX_MAX_SPATIAL], dilation[SDX_MAX_SPATIAL], pads[2 * SDX_MAX_SPATIAL];
} steps;

static sdx_status find_steps(sdx_patch *patch, const sdx_conv_params *p, const sdx_type *x, const sdx_type *w,
                             steps *out) {
    sdx_convolution conv = {0};
    sdx_type y = sdx_type_make(x->dtype, -1);
    bool known = false;
    const sdx_window_attrs *a = &p->window;
    const int rank = out->rank = (x->rank >= 0 ? x->rank : w->rank) - 2;
    if (rank < 1) return sdx_fail(patch->error, SDX_UNSUPPORTED, "the rank of the factors must be known");
    SDX_TRY(sdx_convolution_infer(patch->error, a, p->group, x, w, NULL, &y, &conv, &known));
    for (int d = 0; d < rank; d++) {
        const bool same = a->auto_pad == SDX_PAD_SAME_UPPER || a->auto_pad == SDX_PAD_SAME_LOWER;
        if (same && (conv.window.rank == 0 || x->rank < 0 || x->dim[d + 2] < 0))
            return sdx_fail(patch->error, SDX_UNSUPPORTED, "spatial dimension %d must be known under auto_pad SAME", d);
        const bool given = a->auto_pad == SDX_PAD_NOTSET && a->pads.n;
        out->stride[d] = a->strides.n ? a->strides.data[d] : 1;
        out->dilation[d] = a->dilations.n ? a->dilations.data[d] : 1;
        out->pads[d] = same ? conv.window.begin[d] : given ? a->pads.data[d] : 0;
        out->pads[d + rank] = same ? conv.window.end[d] : given ? a->pads.data[d + rank] : 0;
    }
    return SDX_OK;
}

static const sdx_type *type_of(const sdx_patch *patch, sdx_id id) { return &patch->graph->values[id].type; }

/* ConvTranspose without padding, as long as any X can be, then what lies inside. */
static sdx_status input_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    const sdx_conv_params *p = params;
    steps s;
    int64_t extra[SDX_MAX_SPATIAL];
    SDX_TRY(find_steps(patch, p, sdx_grad_shaped(patch, node->in[2], type_of(patch, node->out[0])),
                       type_of(patch, node->in[1]), &s));
    for (int d = 0; d < s.rank; d++) extra[d] = s.stride[d] - 1;
    sdx_node *whole = sdx_patch_node(patch, "", "ConvTranspose", 2, node->in, 1);
    sdx_patch_ints(patch, whole, "strides", s.stride, (size_t)s.rank);
    sdx_patch_ints(patch, whole, "dilations", s.dilation, (size_t)s.rank);
    sdx_patch_ints(patch, whole, "output_padding", extra, (size_t)s.rank);
    sdx_patch_int(patch, whole, "group", p->group);
    const sdx_id from = sdx_patch_i64s(patch, s.pads, (size_t)s.rank);
    const sdx_id lengths = slice(patch, node->in[2], repeated(patch, 2, 1), repeated(patch, INT64_MAX, 1), 0, 1);
    sdx_patch_replace(patch, node->out[0],
                      slice(patch, whole->out[0], from, sdx_emit2(patch, "Add", from, lengths), 2, s.rank));
    sdx_patch_remove(patch, node);
    return patch->status;
}

static sdx_id swap_first_two(sdx_patch *patch, sdx_id x, int rank) {
    int64_t perm[SDX_MAX_RANK] = {1, 0};
    for (int d = 2; d < rank; d++) perm[d] = d;
    sdx_node *node = sdx_patch_node(patch, "", "Transpose", 1, &x, 1);
    sdx_patch_ints(patch, node, "perm", perm, (size_t)rank);
    return node->out[0];
}

static sdx_id reshape(sdx_patch *patch, sdx_id x, int n, const sdx_id *parts) {
    sdx_node *shape = sdx_patch_node(patch, "", "Concat", n, parts, 1);
    sdx_patch_int(patch, shape, "axis", 0);
    return sdx_emit2(patch, "Reshape", x, shape->out[0]);
}

/* [N, g C, ...] as [C, g N, ...] */
static sdx_id channels_as_images(sdx_patch *patch, sdx_id x, int64_t group, int rank) {
    if (group == 1) return swap_first_two(patch, x, rank);
    const sdx_id space = part_of_shape(patch, x, 2, 0);
    const int64_t parted[2] = {group, -1}, joined[2] = {0, -1};
    int64_t perm[SDX_MAX_RANK + 1] = {2, 1, 0};
    for (int d = 3; d <= rank; d++) perm[d] = d;
    const sdx_id in[3] = {part_of_shape(patch, x, 0, 1), sdx_patch_i64s(patch, parted, 2), space};
    const sdx_id apart = reshape(patch, x, 3, in);
    sdx_node *turned = sdx_patch_node(patch, "", "Transpose", 1, &apart, 1);
    sdx_patch_ints(patch, turned, "perm", perm, (size_t)rank + 1);
    return reshape(patch, turned->out[0], 2, (const sdx_id[]){sdx_patch_i64s(patch, joined, 2), space});
}

static sdx_status weight_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    const sdx_conv_params *p = params;
    steps s;
    SDX_TRY(find_steps(patch, p, type_of(patch, node->in[0]), type_of(patch, node->out[0]), &s));
    const int rank = s.rank + 2;
    const sdx_id in[2] = {channels_as_images(patch, node->in[0], p->group, rank),
                          swap_first_two(patch, node->in[1], rank)};
    sdx_node *conv = sdx_patch_node(patch, "", "Conv", 2, in, 1);
    sdx_patch_ints(patch, conv, "strides", s.dilation, (size_t)s.rank);
    sdx_patch_ints(patch, conv, "dilations", s.stride, (size_t)s.rank);
    sdx_patch_ints(patch, conv, "pads", s.pads, 2 * (size_t)s.rank);
    sdx_patch_int(patch, conv, "group", p->group);
    const sdx_id kernel = slice(patch, node->in[2], repeated(patch, 2, 1), repeated(patch, INT64_MAX, 1), 0, 1);
    const sdx_id dW = slice(patch, conv->out[0], repeated(patch, 0, s.rank), kernel, 2, s.rank);
    sdx_patch_replace(patch, node->out[0], swap_first_two(patch, dW, rank));
    sdx_patch_remove(patch, node);
    return patch->status;
}

/* ---- gradients --------------------------------------------------------------------------------------------------- */

static sdx_node *grad_input(sdx_patch *patch, sdx_id dY, sdx_id W, sdx_id X) {
    const sdx_id in[3] = {dY, W, sdx_emit1(patch, "Shape", X)};
    return sdx_patch_node(patch, "sdx", "ConvGradInput", 3, in, 1);
}

sdx_node *sdx_conv_grad_weight(sdx_patch *patch, sdx_id X, sdx_id dY, sdx_id W) {
    const sdx_id in[3] = {X, dY, sdx_emit1(patch, "Shape", W)};
    return sdx_patch_node(patch, "sdx", "ConvGradWeight", 3, in, 1);
}

sdx_id sdx_conv_grad_trim(sdx_patch *patch, sdx_id x, sdx_id like, int rank) {
    return slice(patch, x, repeated(patch, 0, rank - 2), part_of_shape(patch, like, 2, 0), 2, rank - 2);
}

sdx_id sdx_conv_grad_bias(sdx_patch *patch, sdx_id dY, int rank) {
    int64_t axes[SDX_MAX_RANK] = {0};
    for (int d = 2; d < rank; d++) axes[d - 1] = d;
    const sdx_id in[2] = {dY, sdx_patch_i64s(patch, axes, (size_t)rank - 1)};
    sdx_node *node = sdx_patch_node(patch, "", "ReduceSum", 2, in, 1);
    sdx_patch_int(patch, node, "keepdims", 0);
    return node->out[0];
}

/* `emitted` with the window of the node. */
static sdx_id as_conv(sdx_grad *grad, sdx_node *emitted) {
    sdx_patch_attrs_of(grad->patch, emitted, grad->node, NULL, 0);
    return emitted->out[0];
}

static sdx_id conv(sdx_grad *grad, sdx_id X, sdx_id W) {
    return as_conv(grad, sdx_patch_node(grad->patch, "", "Conv", 2, (const sdx_id[]){X, W}, 1));
}

static int rank_of(const sdx_grad *grad) {
    const int rank = type_of(grad->patch, grad->node->in[0])->rank;
    return rank >= 0 ? rank : type_of(grad->patch, grad->node->in[1])->rank;
}

sdx_status sdx_conv_grad(sdx_grad *grad, const void *params) {
    (void)params;
    sdx_patch *patch = grad->patch;
    const sdx_id X = grad->node->in[0], W = grad->node->in[1], dY = grad->dY[0];
    const int rank = rank_of(grad);
    if (rank < 0) return sdx_fail(grad->error, SDX_UNSUPPORTED, "the rank of 'X' must be known to differentiate");
    if (grad->needed[0]) grad->dX[0] = as_conv(grad, grad_input(patch, dY, W, X));
    if (grad->needed[1]) grad->dX[1] = as_conv(grad, sdx_conv_grad_weight(patch, X, dY, W));
    if (grad->node->n_in > 2 && grad->needed[2]) grad->dX[2] = sdx_conv_grad_bias(patch, dY, rank);
    grad->exact = true;
    return patch->status;
}

static sdx_status input_grad(sdx_grad *grad, const void *params) {
    (void)params;
    const sdx_id dY = grad->node->in[0], W = grad->node->in[1], X = grad->dY[0];
    if (grad->needed[0]) grad->dX[0] = conv(grad, X, W);
    if (grad->needed[1]) grad->dX[1] = as_conv(grad, sdx_conv_grad_weight(grad->patch, X, dY, W));
    grad->exact = true;
    return grad->patch->status;
}

static sdx_status weight_grad(sdx_grad *grad, const void *params) {
    (void)params;
    const sdx_id X = grad->node->in[0], dY = grad->node->in[1], W = grad->dY[0];
    const int rank = rank_of(grad);
    if (rank < 0) return sdx_fail(grad->error, SDX_UNSUPPORTED, "the rank of 'X' must be known to differentiate");
    if (grad->needed[0]) grad->dX[0] = as_conv(grad, grad_input(grad->patch, dY, W, X));
    if (grad->needed[1]) grad->dX[1] = sdx_conv_grad_trim(grad->patch, conv(grad, X, W), dY, rank);
    grad->exact = true;
    return grad->patch->status;
}

#define GRADIENT(op, inputs, output, stem)                                                                             \
    const sdx_op sdx_op_##op = {.domain = "sdx",                                                                       \
                                .name = #op,                                                                           \
                                .versions = (const sdx_op_version[]){{1, inputs " shape:i64 -> " output,               \
                                                                      "T=" SDX_T_FLOAT_BF, SDX_CONV_ATTRIBUTES},       \
                                                                     {0, NULL, NULL, NULL}},                           \
                                .params_size = sizeof(sdx_conv_params),                                                \
                                .bind = sdx_conv_bind,                                                                 \
                                .infer = stem##_infer,                                                                 \
                                .scratch = stem##_scratch,                                                             \
                                .compute = stem##_compute,                                                             \
                                .grad = stem##_grad,                                                                   \
                                .expand = stem##_expand,                                                               \
                                .flags = SDX_OP_INTERNAL};
GRADIENT(ConvGradInput, "dY:T W:T", "dX:T", input)
GRADIENT(ConvGradWeight, "X:T dY:T", "dW:T", weight)
