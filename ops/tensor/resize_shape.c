/* SPDX-License-Identifier: Apache-2.0
 * Sizes of Resize: out = floor(in * scale), in f32 as the scales are, or `sizes` under keep_aspect_ratio_policy. The
 * region of interest does not change them. */
#include "ops/tensor/resize_shape.h"
#include "ops/move.h"
#include <inttypes.h>
#include <math.h>

/* In the order of the enumerations. tf_half_pixel_for_nn left the specification with 13, but not the files. */
const char *const sdx_resize_modes[3] = {"nearest", "linear", "cubic"};
const char *const sdx_resize_coordinate_modes[7] = {"half_pixel",          "pytorch_half_pixel", "align_corners",
                                                    "asymmetric",          "tf_crop_and_resize", "tf_half_pixel_for_nn",
                                                    "half_pixel_symmetric"};
const char *const sdx_resize_policies[3] = {"stretch", "not_larger", "not_smaller"};
const char *const sdx_resize_nearest_modes[5] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil",
                                                 "version_10"};

int sdx_resize_word(sdx_bind *bind, const char *name, const char *const *words, int n) {
    const int found = sdx_bind_choice(bind, name, words, n);
    return found < 0 ? 0 : found;
}

/* Input k as numbers. */
static sdx_status read(sdx_error *error, const char *name, const sdx_tensor *t, sdx_resize_list *list) {
    if (t->count > 2 * SDX_MAX_RANK)
        return sdx_fail(error, SDX_SHAPE, "input '%s' has %" PRId64 " entries; X has too few dimensions for them", name,
                        t->count);
    list->n = (int)t->count;
    sdx_convert(NULL, t->dtype, t->data, SDX_F64, list->value, t->count);
    return SDX_OK;
}

sdx_status sdx_resize_read(sdx_error *error, const sdx_resize_params *p, int n_in, const sdx_tensor *const *in,
                           sdx_resize_inputs *out) {
    static const char *const names[] = {"scales", "sizes", "roi"};
    const int at[] = {p->scales, p->sizes, p->coordinates == SDX_RESIZE_TF_CROP_AND_RESIZE ? p->roi : -1};
    sdx_resize_list *lists[] = {&out->scales, &out->sizes, &out->roi};
    *out = (sdx_resize_inputs){.scales = {.n = 0}};
    for (int k = 0; k < 3; k++)
        if (at[k] >= 0 && at[k] < n_in && in[at[k]]) SDX_TRY(read(error, names[k], in[at[k]], lists[k]));
    for (size_t k = 0; k < p->n_fixed; k++) out->scales.value[k] = (double)p->fixed[k];
    if (p->fixed) out->scales.n = (int)p->n_fixed;
    return SDX_OK;
}

static sdx_status check_count(sdx_error *error, const char *name, int found, int needed) {
    if (found == needed) return SDX_OK;
    return sdx_fail(error, SDX_SHAPE, "'%s' has %d entries; it must have %d", name, found, needed);
}

static sdx_status by_scale(sdx_error *error, const sdx_resize_params *p, double scale, sdx_resize_axis *axis) {
    if (!(scale > 0) || isinf(scale) || scale < (double)p->least)
        return sdx_fail(error, SDX_VALUE, "'scales' holds %g; it must be %s and finite", scale,
                        p->least > 0 ? "1 or more" : "above 0");
    axis->scale = scale;
    if (axis->in < 0) return axis->out = scale == 1 ? axis->in : -1, SDX_OK;
    const float out = floorf((float)axis->in * (float)scale);
    if (!(out < 0x1p53f))
        return sdx_fail(error, SDX_VALUE, "'scales' holds %g; a dimension of %" PRId64 " becomes too large", scale,
                        axis->in);
    axis->out = (int64_t)out;
    return SDX_OK;
}

static sdx_status by_size(sdx_error *error, double size, sdx_resize_axis *axis) {
    if (size < 0 || size > 0x1p53)
        return sdx_fail(error, SDX_VALUE, "'sizes' holds %.0f; it must be in [0, 2^53]", size);
    axis->out = (int64_t)size;
    axis->scale = axis->in > 0 ? size / (double)axis->in : 1;
    axis->whole = axis->in > 0 && size > 0;
    return SDX_OK;
}

/* One scale for all axes: the least or the greatest. */
static sdx_status keep_ratio(sdx_error *error, const sdx_resize_params *p, const int64_t *axes, int n,
                             sdx_resize_axis *axis) {
    double scale = n ? axis[axes[0]].scale : 1;
    bool known = true;
    for (int i = 0; i < n; i++) {
        const sdx_resize_axis *a = &axis[axes[i]];
        known = known && a->in >= 0;
        scale = p->policy == SDX_RESIZE_NOT_LARGER ? fmin(scale, a->scale) : fmax(scale, a->scale);
    }
    for (int i = 0; i < n; i++) {
        sdx_resize_axis *a = &axis[axes[i]];
        const double out = floor(scale * (double)a->in + 0.5);
        if (out > 0x1p53)
            return sdx_fail(error, SDX_VALUE, "'sizes' ask for a scale of %g; dimension %" PRId64 " becomes too large",
                            scale, axes[i]);
        a->out = known ? (int64_t)out : -1;
        a->scale = scale;
        a->whole = false;
    }
    return SDX_OK;
}

/* Sets `same`, and the region of interest. */
static sdx_status finish(sdx_error *error, const sdx_resize_params *p, const sdx_resize_inputs *in, int rank,
                         const int64_t *axes, int n, sdx_resize_axis *axis) {
    const bool crop = p->coordinates == SDX_RESIZE_TF_CROP_AND_RESIZE;
    if (crop && in->roi.n) SDX_TRY(check_count(error, "roi", in->roi.n, 2 * n));
    for (int i = 0; i < n && crop && in->roi.n; i++)
        axis[axes[i]].start = in->roi.value[i], axis[axes[i]].end = in->roi.value[n + i];
    for (int d = 0; d < rank; d++) {
        sdx_resize_axis *a = &axis[d];
        if (a->in == 0 && a->out > 0)
            return sdx_fail(error, SDX_VALUE, "dimension %d of input 'X' is 0; it cannot become %" PRId64, d, a->out);
        a->same = a->in == a->out && fabs(a->scale - 1) < 1e-9 && a->start == 0 && a->end == 1;
    }
    return SDX_OK;
}

sdx_status sdx_resize_resolve(sdx_error *error, const sdx_resize_params *p, const sdx_resize_inputs *in, int rank,
                              const int64_t *dims, sdx_resize_axis *axis) {
    int64_t axes[SDX_MAX_RANK];
    int n = p->axes.n ? (int)p->axes.n : rank;
    if (p->axes.n > (size_t)rank)
        return sdx_fail(error, SDX_VALUE, "attribute 'axes' has %zu entries; input 'X' has rank %d", p->axes.n, rank);
    for (int i = 0; i < n; i++) axes[i] = p->axes.n ? p->axes.data[i] : i;
    SDX_TRY(sdx_check_axes(error, "axes", axes, n, rank));
    for (int d = 0; d < rank; d++)
        axis[d] = (sdx_resize_axis){.in = dims[d], .out = dims[d], .scale = 1, .start = 0, .end = 1};
    const sdx_resize_list *scales = &in->scales, *sizes = &in->sizes;
    if (scales->n && sizes->n)
        return sdx_fail(error, SDX_VALUE, "inputs 'scales' and 'sizes' are both given; one of them must be absent");
    if (!scales->n && !sizes->n && n)
        return sdx_fail(error, SDX_VALUE,
                        "inputs 'scales' and 'sizes' are both absent or empty; one of them is needed");
    SDX_TRY(check_count(error, scales->n ? "scales" : "sizes", scales->n ? scales->n : sizes->n, n));
    for (int i = 0; i < n; i++) {
        axis[axes[i]].out = -1;
        if (scales->n)
            SDX_TRY(by_scale(error, p, scales->value[i], &axis[axes[i]]));
        else
            SDX_TRY(by_size(error, sizes->value[i], &axis[axes[i]]));
    }
    if (sizes->n && p->policy != SDX_RESIZE_STRETCH) SDX_TRY(keep_ratio(error, p, axes, n, axis));
    return finish(error, p, in, rank, axes, n, axis);
}

/* Whether input k is there at all, empty ones counted as absent; and whether its contents are known by now. */
static bool is_given(const sdx_infer *infer, int k) {
    if (k < 0 || k >= infer->n_in || !infer->in[k]) return false;
    const sdx_type *type = infer->in[k];
    return !(type->rank == 1 && type->dim[0] == 0);
}

sdx_status sdx_resize_infer(sdx_infer *infer, const void *params) {
    const sdx_resize_params *p = params;
    const sdx_type *x = infer->in[0];
    const int inputs[] = {p->scales, p->sizes};
    static const char *const names[] = {"scales", "sizes"};
    const sdx_tensor *value[8] = {NULL};
    bool known = true;
    if (x->dtype == SDX_STRING && p->mode != SDX_RESIZE_NEAREST)
        return sdx_fail(infer->error, SDX_TYPE, "input 'X' is string; that takes attribute 'mode' nearest");
    for (int k = 0; k < 2; k++) {
        if (!is_given(infer, inputs[k])) continue;
        SDX_TRY(sdx_infer_rank(infer, inputs[k], names[k], 1));
        value[inputs[k]] = infer->value ? infer->value[inputs[k]] : NULL;
        known = known && value[inputs[k]];
    }
    if (x->rank < 0) return SDX_OK;
    sdx_type *y = &infer->out[0];
    y->rank = x->rank;
    for (int d = 0; d < x->rank; d++) y->dim[d] = -1;
    if (!known) return SDX_OK;
    sdx_resize_inputs in;
    sdx_resize_axis axis[SDX_MAX_RANK];
    SDX_TRY(sdx_resize_read(infer->error, p, 4, value, &in));
    SDX_TRY(sdx_resize_resolve(infer->error, p, &in, x->rank, x->dim, axis));
    for (int d = 0; d < x->rank; d++) y->dim[d] = axis[d].out;
    return SDX_OK;
}
