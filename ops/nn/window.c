/* SPDX-License-Identifier: Apache-2.0
 * out = floor((in + begin + end - extent) / stride) + 1, with ceil in place of floor under ceil_mode, where a last
 * window that would start in the end padding is left out and the only window may be longer than all there is. SAME
 * gives ceil(in / stride) and pads evenly, the odd one at the end (UPPER) or the beginning (LOWER). */
#include "ops/nn/window.h"
#include <inttypes.h>

enum { LONGEST = INT32_MAX }; /* of kernels, strides, dilations and pads: keeps every sum below inside int64 */

sdx_status sdx_window_bind(sdx_bind *bind, unsigned has, sdx_window_attrs *attrs) {
    static const char *const modes[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};
    int mode = sdx_bind_choice(bind, "auto_pad", modes, 4);
    attrs->auto_pad = mode < 0 ? SDX_PAD_NOTSET : (sdx_auto_pad)mode;
    attrs->kernel_shape = sdx_bind_ints(bind, "kernel_shape");
    attrs->strides = sdx_bind_ints(bind, "strides");
    attrs->pads = sdx_bind_ints(bind, "pads");
    if (has & SDX_WINDOW_DILATIONS) attrs->dilations = sdx_bind_ints(bind, "dilations");
    if (has & SDX_WINDOW_CEIL) attrs->ceil_mode = sdx_bind_int(bind, "ceil_mode") != 0;
    return bind->status;
}

sdx_status sdx_window_count(sdx_error *error, const char *name, sdx_ints given, int count) {
    if (given.n == 0 || given.n == (size_t)count) return SDX_OK;
    return sdx_fail(error, SDX_SHAPE, "attribute '%s' has %zu entries; it must have %d", name, given.n, count);
}

/* Each entry at least 1; 1 where none are given. */
static sdx_status lengths(sdx_error *error, const char *name, sdx_ints given, int rank, int64_t *out) {
    SDX_TRY(sdx_window_count(error, name, given, rank));
    for (int d = 0; d < rank; d++) {
        out[d] = given.n ? given.data[d] : 1;
        if (out[d] < 1 || out[d] > LONGEST)
            return sdx_fail(error, SDX_VALUE, "attribute '%s' holds %" PRId64 "; it must be in [1, %d]", name, out[d],
                            (int)LONGEST);
    }
    return SDX_OK;
}

sdx_status sdx_window_steps(sdx_error *error, const sdx_window_attrs *attrs, int rank, const int64_t *kernel,
                            sdx_window *out) {
    *out = (sdx_window){.rank = rank};
    if (rank < 1 || rank > SDX_MAX_SPATIAL)
        return sdx_fail(error, SDX_SHAPE, "%d spatial dimensions; there must be 1 to %d", rank, (int)SDX_MAX_SPATIAL);
    SDX_TRY(lengths(error, "kernel_shape", (sdx_ints){kernel, (size_t)rank}, rank, out->kernel));
    SDX_TRY(lengths(error, "strides", attrs->strides, rank, out->stride));
    return lengths(error, "dilations", attrs->dilations, rank, out->dilation);
}

sdx_status sdx_window_pads(sdx_error *error, const sdx_window_attrs *attrs, sdx_window *out) {
    SDX_TRY(sdx_window_count(error, "pads", attrs->pads, 2 * out->rank));
    for (size_t k = 0; k < attrs->pads.n; k++) {
        int64_t pad = attrs->pads.data[k];
        if (pad < 0 || pad > LONGEST)
            return sdx_fail(error, SDX_VALUE, "attribute 'pads' holds %" PRId64 "; it must be in [0, %d]", pad,
                            (int)LONGEST);
        if (k < (size_t)out->rank)
            out->begin[k] = pad;
        else
            out->end[k - (size_t)out->rank] = pad;
    }
    return SDX_OK;
}

static void pad_same(sdx_window *w, int d, bool upper) {
    w->out[d] = w->in[d] / w->stride[d] + (w->in[d] % w->stride[d] != 0);
    int64_t total = (w->out[d] - 1) * w->stride[d] + sdx_window_extent(w, d) - w->in[d];
    if (total < 0) total = 0;
    w->begin[d] = upper ? total / 2 : total - total / 2;
    w->end[d] = total - w->begin[d];
}

static sdx_status size_of(sdx_error *error, sdx_window *w, int d, bool ceil_mode) {
    int64_t room = w->in[d] + w->begin[d] + w->end[d] - sdx_window_extent(w, d);
    const bool hangs = ceil_mode && room < 0 && -room < w->stride[d] && w->in[d] + w->begin[d] > 0;
    if (room < 0 && !hangs)
        return sdx_fail(error, SDX_SHAPE,
                        "spatial dimension %d has length %" PRId64 " with padding; the window needs %" PRId64, d,
                        w->in[d] + w->begin[d] + w->end[d], sdx_window_extent(w, d));
    w->out[d] = hangs ? 1 : room / w->stride[d] + 1;
    if (ceil_mode && !hangs && room % w->stride[d] != 0 && w->out[d] * w->stride[d] < w->in[d] + w->begin[d])
        w->out[d]++;
    return SDX_OK;
}

sdx_status sdx_window_make(sdx_error *error, const sdx_window_attrs *attrs, int rank, const int64_t *in,
                           const int64_t *kernel, bool pool, sdx_window *out) {
    SDX_TRY(sdx_window_steps(error, attrs, rank, kernel, out));
    if (attrs->auto_pad == SDX_PAD_NOTSET) SDX_TRY(sdx_window_pads(error, attrs, out));
    for (int d = 0; d < rank; d++) {
        int64_t extent = sdx_window_extent(out, d);
        out->in[d] = in[d];
        if (pool && (out->begin[d] >= extent || out->end[d] >= extent))
            return sdx_fail(error, SDX_VALUE,
                            "attribute 'pads' holds %" PRId64 "; it must be below the kernel's %" PRId64,
                            out->begin[d] >= extent ? out->begin[d] : out->end[d], extent);
        if (in[d] > INT64_MAX / 4)
            return sdx_fail(error, SDX_SHAPE, "spatial dimension %d has length %" PRId64, d, in[d]);
        if (in[d] < 0)
            out->out[d] = -1;
        else if (attrs->auto_pad == SDX_PAD_SAME_UPPER || attrs->auto_pad == SDX_PAD_SAME_LOWER)
            pad_same(out, d, attrs->auto_pad == SDX_PAD_SAME_UPPER);
        else
            SDX_TRY(size_of(error, out, d, attrs->ceil_mode));
    }
    return SDX_OK;
}

sdx_status sdx_window_infer_pool(sdx_infer *infer, const sdx_window_attrs *attrs) {
    const sdx_type *x = infer->in[0];
    sdx_type *y = &infer->out[0];
    sdx_window window;
    if (x->rank < 0) return SDX_OK;
    if (x->rank < 3) return sdx_fail(infer->error, SDX_SHAPE, "input 'X' has rank %d; it must be 3 or more", x->rank);
    SDX_TRY(sdx_window_count(infer->error, "kernel_shape", attrs->kernel_shape, x->rank - 2));
    if (attrs->kernel_shape.n == 0)
        return sdx_fail(infer->error, SDX_VALUE, "attribute 'kernel_shape' is empty; it must have %d entries",
                        x->rank - 2);
    SDX_TRY(sdx_window_make(infer->error, attrs, x->rank - 2, x->dim + 2, attrs->kernel_shape.data, true, &window));
    y->rank = x->rank;
    y->dim[0] = x->dim[0], y->dim[1] = x->dim[1];
    for (int d = 0; d < window.rank; d++) y->dim[d + 2] = window.out[d];
    return SDX_OK;
}

sdx_status sdx_window_of_pool(sdx_error *error, const sdx_window_attrs *attrs, const sdx_tensor *x, sdx_window *out) {
    return sdx_window_make(error, attrs, x->rank - 2, x->dim + 2, attrs->kernel_shape.data, true, out);
}

void sdx_window_inside(const sdx_window *w, int d, int64_t k, int64_t *first, int64_t *last) {
    const int64_t shift = w->begin[d] - k * w->dilation[d], stride = w->stride[d];
    int64_t from = shift > 0 ? (shift + stride - 1) / stride : 0;
    int64_t to = w->in[d] + shift > 0 ? (w->in[d] + shift - 1) / stride + 1 : 0;
    if (to > w->out[d]) to = w->out[d];
    *first = from < to ? from : to;
    *last = to;
}

int64_t sdx_common_divisor(int64_t a, int64_t b) {
    while (b) {
        const int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}
