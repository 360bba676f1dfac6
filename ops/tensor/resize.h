/* SPDX-License-Identifier: Apache-2.0
 * What Resize and its forerunner Upsample share: sizes, coordinates, and the work. */
#ifndef SDX_OPS_TENSOR_RESIZE_H
#define SDX_OPS_TENSOR_RESIZE_H
#include "ops/op.h"

typedef enum sdx_resize_mode { SDX_RESIZE_NEAREST, SDX_RESIZE_LINEAR, SDX_RESIZE_CUBIC } sdx_resize_mode;
typedef enum sdx_resize_nearest {
    SDX_NEAREST_PREFER_FLOOR,
    SDX_NEAREST_PREFER_CEIL,
    SDX_NEAREST_FLOOR,
    SDX_NEAREST_CEIL,
    SDX_NEAREST_TEN /* of version 10: up where the scale is below 1, else down */
} sdx_resize_nearest;
typedef enum sdx_resize_policy { SDX_RESIZE_STRETCH, SDX_RESIZE_NOT_LARGER, SDX_RESIZE_NOT_SMALLER } sdx_resize_policy;
typedef enum sdx_resize_coordinates {
    SDX_RESIZE_HALF_PIXEL,
    SDX_RESIZE_PYTORCH_HALF_PIXEL,
    SDX_RESIZE_ALIGN_CORNERS,
    SDX_RESIZE_ASYMMETRIC,
    SDX_RESIZE_TF_CROP_AND_RESIZE,
    SDX_RESIZE_TF_HALF_PIXEL_FOR_NN,
    SDX_RESIZE_HALF_PIXEL_SYMMETRIC /* from 19 */
} sdx_resize_coordinates;

typedef struct sdx_resize_params {
    sdx_resize_mode mode;
    sdx_resize_nearest nearest;
    sdx_resize_policy policy;
    sdx_resize_coordinates coordinates;
    bool antialias, exclude_outside;
    double cubic_a;
    float fill;
    sdx_ints axes;
    int roi, scales, sizes; /* the inputs; -1: the row has none */
    const float *fixed;     /* Upsample: scales of an attribute */
    size_t n_fixed;
    float least; /* scale; 0: any above 0 */
} sdx_resize_params;

/* One axis of X. */
typedef struct sdx_resize_axis {
    int64_t in, out;
    double scale, start, end; /* start, end: the region of interest */
    bool whole;               /* the scale is out / in, exactly */
    bool same;
} sdx_resize_axis;

sdx_status sdx_resize_infer(sdx_infer *infer, const void *params);
sdx_status sdx_resize_compute(sdx_compute *compute, const void *params);

/* The place in the input of place k of the result; NaN: outside of what tf_crop_and_resize may read. */
double sdx_resize_coordinate(const sdx_resize_params *p, const sdx_resize_axis *axis, int64_t k);
/* The nearest place, in [0, in); -1: the fill value. */
int64_t sdx_resize_nearest_place(const sdx_resize_params *p, const sdx_resize_axis *axis, int64_t k);
/* Most neighbours of one place; and those of place k with their weights, in [*first, *first + *count) inside the input
 * (weights beyond an edge are added to it). *first < 0: the fill value. */
int64_t sdx_resize_most(const sdx_resize_params *p, const sdx_resize_axis *axis);
void sdx_resize_neighbours(const sdx_resize_params *p, const sdx_resize_axis *axis, int64_t k, int64_t *first,
                           int64_t *count, double *weight);

/* Turned round, for gradients: place i of the input is read by results in [first[i], last[i]]. */
typedef struct sdx_resize_spans {
    int64_t *first, *last; /* of `in` entries; last < 0: by none */
    int64_t most, taps;    /* results of one place at most; neighbours of one result */
} sdx_resize_spans;
int64_t sdx_resize_taps(const sdx_resize_params *p, const sdx_resize_axis *axis);
/* `weight` has room for sdx_resize_taps. */
void sdx_resize_find_spans(const sdx_resize_params *p, const sdx_resize_axis *axis, double *weight,
                           sdx_resize_spans *spans);
/* With what weights they read it; room for most + taps. */
void sdx_resize_readers(const sdx_resize_params *p, const sdx_resize_axis *axis, const sdx_resize_spans *spans,
                        int64_t i, int64_t *first, int64_t *count, double *weight);

/* y = x interpolated along all axes that change; or, with spans for each axis, its adjoint, where x has the lengths
 * `out` and y the lengths `in`. */
sdx_status sdx_resize_blend(sdx_compute *compute, const sdx_resize_params *p, const sdx_resize_axis *axis,
                            const sdx_resize_spans *turned, const sdx_tensor *x, sdx_tensor *y);

sdx_status sdx_resize_grad(sdx_grad *grad, const void *params);

#endif
