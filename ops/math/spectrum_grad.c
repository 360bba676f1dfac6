/* SPDX-License-Identifier: Apache-2.0
 * The adjoint of a transform is the one with the other sign, so n times the inverse. What it reads beyond its input is
 * zero, which is what a half of a spectrum needs. Backwards from half a spectrum, each bin but the first, and the last
 * of an even n, stands for two. */
#include "ops/grad.h"
#include "ops/math/spectrum.h"

static sdx_id one_of(sdx_patch *patch, int64_t value) { return sdx_patch_i64s(patch, &value, 1); }

static sdx_id vector(sdx_patch *patch, sdx_id scalar) { return sdx_emit2(patch, "Reshape", scalar, one_of(patch, 1)); }

/* Dimension `axis` of x, which is a vector of one entry, as such. */
static sdx_id length_of(sdx_patch *patch, sdx_id x, sdx_id axis) {
    return sdx_emit2(patch, "Gather", sdx_emit1(patch, "Shape", x), axis);
}

static sdx_id transform(sdx_patch *patch, sdx_id x, sdx_id n, sdx_id axis, bool inverse, bool onesided) {
    const sdx_id in[3] = {x, sdx_emit2(patch, "Squeeze", n, one_of(patch, 0)),
                          sdx_emit2(patch, "Squeeze", axis, one_of(patch, 0))};
    sdx_node *node = sdx_patch_node(patch, "", "DFT", 3, in, 1);
    sdx_patch_int(patch, node, "inverse", inverse);
    sdx_patch_int(patch, node, "onesided", onesided);
    return node->out[0];
}

/* Cut, or lengthened by zeros, to the length that x has along the axis; and to its parts. */
static sdx_id fitted(sdx_patch *patch, sdx_id z, sdx_id x, sdx_id axis) {
    sdx_id more = sdx_emit2(patch, "Sub", length_of(patch, x, axis), length_of(patch, z, axis));
    sdx_id pads = sdx_emit_int(patch, "Concat", one_of(patch, 0), more, "axis", 0);
    z = sdx_patch_node(patch, "", "Pad", 4, (sdx_id[]){z, pads, SDX_NONE, axis}, 1)->out[0];
    const sdx_id last = one_of(patch, -1);
    return sdx_patch_node(patch, "", "Slice", 4, (sdx_id[]){z, one_of(patch, 0), length_of(patch, x, last), last}, 1)
        ->out[0];
}

/* How many bins of the spectrum of a real signal each bin k of its half stands for, along a column. */
static sdx_id multiplicity(sdx_patch *patch, sdx_id n, sdx_id like) {
    const sdx_id zero = sdx_patch_scalar(patch, SDX_I64, 0), one = sdx_patch_scalar(patch, SDX_I64, 1);
    const sdx_id two = sdx_patch_scalar(patch, SDX_I64, 2);
    sdx_id bins = sdx_emit2(patch, "Add", sdx_emit2(patch, "Div", n, two), one);
    sdx_id k = sdx_emit3(patch, "Range", zero, sdx_emit2(patch, "Squeeze", bins, one_of(patch, 0)), one);
    sdx_id last = sdx_emit2(patch, "Equal", sdx_emit2(patch, "Mul", k, two), n);
    sdx_id single = sdx_emit2(patch, "Or", sdx_emit2(patch, "Equal", k, zero), last);
    return sdx_grad_cast(patch, sdx_emit3(patch, "Where", single, one, two), like);
}

/* x times a vector that lies along the axis: its dims are ones but there. */
static sdx_id times_along(sdx_patch *patch, sdx_id x, sdx_id factors, sdx_id axis) {
    sdx_id shape = sdx_emit1(patch, "Shape", x);
    sdx_id ones = sdx_emit2(patch, "Expand", sdx_patch_scalar(patch, SDX_I64, 1), sdx_emit1(patch, "Shape", shape));
    sdx_id row = sdx_emit3(patch, "ScatterElements", ones, axis, one_of(patch, -1));
    return sdx_emit2(patch, "Mul", x, sdx_emit2(patch, "Reshape", factors, row));
}

sdx_status sdx_dft_gradient(sdx_grad *grad, sdx_id length, sdx_id at, bool inverse, bool onesided) {
    sdx_patch *patch = grad->patch;
    const sdx_id x = grad->node->in[0], dY = grad->dY[0], axis = vector(patch, at);
    const bool half = inverse && onesided;
    sdx_id n = length != SDX_NONE ? sdx_emit_int(patch, "Cast", vector(patch, length), SDX_NONE, "to", SDX_I64)
                                  : length_of(patch, inverse ? dY : x, axis);
    sdx_id scale = sdx_grad_cast(patch, n, x), z = transform(patch, dY, n, axis, !inverse, half);
    if (half) z = times_along(patch, z, multiplicity(patch, n, x), axis);
    z = sdx_emit2(patch, inverse ? "Div" : "Mul", z, scale);
    grad->exact = true;
    grad->dX[0] = fitted(patch, z, x, axis);
    return patch->status;
}

sdx_status sdx_stft_gradient(sdx_grad *grad) {
    sdx_patch *patch = grad->patch;
    const sdx_id signal = grad->node->in[0], window = sdx_grad_in(grad, 2), given = sdx_grad_in(grad, 3);
    const sdx_id dY = grad->dY[0], one = sdx_patch_scalar(patch, SDX_I64, 1),
                 zero = sdx_patch_scalar(patch, SDX_I64, 0);
    sdx_id step = sdx_emit_int(patch, "Cast", vector(patch, grad->node->in[1]), SDX_NONE, "to", SDX_I64);
    sdx_id n = given != SDX_NONE    ? sdx_emit_int(patch, "Cast", vector(patch, given), SDX_NONE, "to", SDX_I64)
               : window != SDX_NONE ? length_of(patch, window, one_of(patch, 0))
                                    : length_of(patch, signal, one_of(patch, 1));
    sdx_id frames = length_of(patch, dY, one_of(patch, 1)), squeezed = one_of(patch, 0);
    sdx_id f = sdx_emit3(patch, "Range", zero, sdx_emit2(patch, "Squeeze", frames, squeezed), one);
    sdx_id t = sdx_emit3(patch, "Range", zero, sdx_emit2(patch, "Squeeze", n, squeezed), one);
    f = sdx_emit2(patch, "Unsqueeze", sdx_emit2(patch, "Mul", f, step), one_of(patch, 1));
    const sdx_id places = sdx_emit2(patch, "Add", f, t); /* of the signal: [frame][place in the frame] */
    sdx_id z =
        sdx_emit2(patch, "Mul", transform(patch, dY, n, one_of(patch, 2), true, false), sdx_grad_cast(patch, n, dY));
    const sdx_id last = one_of(patch, -1);
    z = sdx_patch_node(patch, "", "Slice", 4, (sdx_id[]){z, one_of(patch, 0), length_of(patch, signal, last), last}, 1)
            ->out[0];
    grad->exact = true;
    if (window != SDX_NONE && grad->needed[2]) {
        sdx_id read = sdx_emit2(patch, "Mul", z, sdx_emit_int(patch, "Gather", signal, places, "axis", 1));
        sdx_id axes = sdx_patch_i64s(patch, (int64_t[]){0, 1, 3}, 3);
        grad->dX[2] = sdx_emit_int(patch, "ReduceSum", read, axes, "keepdims", 0);
    }
    if (!grad->needed[0]) return patch->status;
    if (window != SDX_NONE) z = sdx_emit2(patch, "Mul", z, sdx_emit2(patch, "Unsqueeze", window, one_of(patch, 1)));
    sdx_id back[3] = {z, places, sdx_emit1(patch, "Shape", signal)};
    sdx_node *sum = sdx_patch_node(patch, "sdx", "GatherGrad", 3, back, 1);
    sdx_patch_int(patch, sum, "axis", 1);
    grad->dX[0] = sum->out[0];
    return patch->status;
}
