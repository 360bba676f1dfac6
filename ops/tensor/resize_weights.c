/* SPDX-License-Identifier: Apache-2.0
 * Coordinates and weights of Resize along one axis, in f64. scale * in may be a fraction where scales are given, and
 * align_corners, tf_crop_and_resize and half_pixel_symmetric use that fraction. A place between `base` and base + 1 has
 * the ratio (0, 1] of the way: a whole coordinate x has base x - 1. */
#include "ops/tensor/resize.h"
#include <math.h>

/* v / scale. Where nearest places hang on ties, those that the numbers of the model mean: exact for given sizes, in f32
 * for given scales. */
static double unscale(const sdx_resize_params *p, const sdx_resize_axis *axis, double v) {
    if (axis->whole) return v * (double)axis->in / (double)axis->out;
    return p->mode == SDX_RESIZE_NEAREST ? (double)((float)v / (float)axis->scale) : v / axis->scale;
}

double sdx_resize_coordinate(const sdx_resize_params *p, const sdx_resize_axis *axis, int64_t k) {
    const double x = (double)k, in = (double)axis->in, out = (double)axis->out, width = axis->scale * in;
    switch (p->coordinates) {
    case SDX_RESIZE_PYTORCH_HALF_PIXEL: return axis->out > 1 ? unscale(p, axis, x + 0.5) - 0.5 : 0;
    case SDX_RESIZE_ALIGN_CORNERS: return width == 1 || k == 0 ? 0 : x * (in - 1) / (width - 1);
    case SDX_RESIZE_ASYMMETRIC: return unscale(p, axis, x);
    case SDX_RESIZE_TF_HALF_PIXEL_FOR_NN: return unscale(p, axis, x + 0.5);
    case SDX_RESIZE_HALF_PIXEL_SYMMETRIC: return in / 2 * (1 - out / width) + unscale(p, axis, x + 0.5) - 0.5;
    case SDX_RESIZE_TF_CROP_AND_RESIZE: {
        const double span = (axis->end - axis->start) * (in - 1);
        const double at = axis->start * (in - 1) + (axis->out == 1 ? span / 2 : k == 0 ? 0 : x * span / (width - 1));
        return at >= 0 && at <= in - 1 ? at : (double)NAN;
    }
    case SDX_RESIZE_HALF_PIXEL:
    default: return unscale(p, axis, x + 0.5) - 0.5;
    }
}

static int64_t clamp(int64_t at, int64_t in) { return at < 0 ? 0 : at < in ? at : in - 1; }

int64_t sdx_resize_nearest_place(const sdx_resize_params *p, const sdx_resize_axis *axis, int64_t k) {
    const double x = sdx_resize_coordinate(p, axis, k);
    if (isnan(x)) return -1;
    const double base = ceil(x) - 1, ratio = x - base;
    bool up = ratio == 1;
    if (!up && p->nearest == SDX_NEAREST_PREFER_FLOOR) up = ratio > 0.5;
    if (!up && p->nearest == SDX_NEAREST_PREFER_CEIL) up = ratio >= 0.5;
    if (!up && p->nearest == SDX_NEAREST_CEIL) up = true;
    if (!up && p->nearest == SDX_NEAREST_TEN) up = axis->scale < 1;
    return clamp((int64_t)base + up, axis->in);
}

/* The filters, by distance. */
static double linear_at(double x) { return fabs(x) < 1 ? 1 - fabs(x) : 0; }
static double cubic_at(double x, double a) {
    x = fabs(x);
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* How far the filter is stretched: antialiasing when the result is smaller. */
static double squeeze_of(const sdx_resize_params *p, const sdx_resize_axis *axis) {
    return p->antialias && axis->scale < 1 ? axis->scale : 1;
}

/* The first neighbour, counted from base; the last is its mirror image, 1 - first. */
static int64_t reach(const sdx_resize_params *p, const sdx_resize_axis *axis) {
    const double support = p->mode == SDX_RESIZE_CUBIC ? 2 : 1;
    return (int64_t)floor(-support / squeeze_of(p, axis)) + 1;
}

int64_t sdx_resize_most(const sdx_resize_params *p, const sdx_resize_axis *axis) {
    const int64_t taps = 2 - 2 * reach(p, axis);
    return taps < axis->in ? taps : axis->in;
}

void sdx_resize_neighbours(const sdx_resize_params *p, const sdx_resize_axis *axis, int64_t k, int64_t *first,
                           int64_t *count, double *weight) {
    const double x = sdx_resize_coordinate(p, axis, k), squeeze = squeeze_of(p, axis);
    if (isnan(x)) {
        *first = -1;
        return;
    }
    const int64_t base = (int64_t)(ceil(x) - 1), low = reach(p, axis), high = 1 - low;
    const double ratio = x - (double)base;
    double sum = 0;
    *first = clamp(base + low, axis->in);
    *count = clamp(base + high, axis->in) - *first + 1;
    for (int64_t i = 0; i < *count; i++) weight[i] = 0;
    for (int64_t i = low; i <= high; i++) {
        if (p->exclude_outside && (base + i < 0 || base + i >= axis->in)) continue;
        const double distance = ((double)i - ratio) * squeeze;
        const double w = p->mode == SDX_RESIZE_CUBIC ? cubic_at(distance, p->cubic_a) : linear_at(distance);
        weight[clamp(base + i, axis->in) - *first] += w;
        sum += w;
    }
    if (sum == 0 || !(p->antialias || p->exclude_outside)) return;
    for (int64_t i = 0; i < *count; i++) weight[i] /= sum;
}

/* ---- turned round: who reads a place ----------------------------------------------------------------------------- */

/* Nearest places too: one neighbour of weight 1. */
static void all_neighbours(const sdx_resize_params *p, const sdx_resize_axis *axis, int64_t k, int64_t *first,
                           int64_t *count, double *weight) {
    if (p->mode != SDX_RESIZE_NEAREST) {
        sdx_resize_neighbours(p, axis, k, first, count, weight);
        return;
    }
    *first = sdx_resize_nearest_place(p, axis, k);
    *count = 1;
    weight[0] = 1;
}

int64_t sdx_resize_taps(const sdx_resize_params *p, const sdx_resize_axis *axis) {
    return p->mode == SDX_RESIZE_NEAREST ? 1 : sdx_resize_most(p, axis);
}

void sdx_resize_find_spans(const sdx_resize_params *p, const sdx_resize_axis *axis, double *weight,
                           sdx_resize_spans *spans) {
    spans->taps = sdx_resize_taps(p, axis);
    spans->most = 1;
    for (int64_t i = 0; i < axis->in; i++) spans->first[i] = INT64_MAX, spans->last[i] = -1;
    for (int64_t k = 0; k < axis->out; k++) {
        int64_t first = 0, count = 0;
        all_neighbours(p, axis, k, &first, &count, weight);
        for (int64_t i = first; first >= 0 && i < first + count; i++) {
            if (weight[i - first] == 0) continue;
            if (spans->first[i] > k) spans->first[i] = k;
            spans->last[i] = k;
        }
    }
    for (int64_t i = 0; i < axis->in; i++)
        if (spans->last[i] - spans->first[i] >= spans->most) spans->most = spans->last[i] - spans->first[i] + 1;
}

void sdx_resize_readers(const sdx_resize_params *p, const sdx_resize_axis *axis, const sdx_resize_spans *spans,
                        int64_t i, int64_t *first, int64_t *count, double *weight) {
    double *theirs = weight + spans->most;
    *first = 0, *count = 0;
    if (spans->last[i] < 0) return;
    *first = spans->first[i];
    *count = spans->last[i] - *first + 1;
    for (int64_t k = 0; k < *count; k++) {
        int64_t from = 0, n = 0;
        all_neighbours(p, axis, *first + k, &from, &n, theirs);
        weight[k] = from >= 0 && i >= from && i < from + n ? theirs[i - from] : 0;
    }
}
