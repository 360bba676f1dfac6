/* SPDX-License-Identifier: Apache-2.0
 * What RoiAlign and its gradient share. */
#ifndef SDX_OPS_OBJECT_DETECTION_ROI_ALIGN_H
#define SDX_OPS_OBJECT_DETECTION_ROI_ALIGN_H
#include "ops/op.h"
#include "ops/resample.h"

#define SDX_ROI_10 "mode:string=avg output_height:int=1 output_width:int=1 sampling_ratio:int=0 spatial_scale:float=1"
#define SDX_ROI_16 "coordinate_transformation_mode:string=half_pixel " SDX_ROI_10

typedef struct sdx_roi_params {
    bool max, half_pixel;
    int64_t height, width, samples; /* of the output; 0: as many as a bin has elements */
    double scale;
} sdx_roi_params;

sdx_status sdx_roi_bind(sdx_bind *bind, void *params);

/* One axis of a region: sample s of bin b lies at start + b * bin + (s + 0.5) * step. */
typedef struct sdx_roi_axis {
    double start, bin, step;
    int64_t in, samples; /* elements; samples of a bin */
} sdx_roi_axis;
/* In f32 unless X is f64, so that the number of samples is that which the numbers of the model mean. */
sdx_roi_axis sdx_roi_axis_of(const sdx_roi_params *p, sdx_dtype dtype, double from, double to, int64_t bins,
                             int64_t in);
/* The samples of a bin that may lie inside: [*first, *end), at most some in + 3 where the grid follows the region. */
void sdx_roi_find_samples(const sdx_roi_axis *a, int64_t bin, int64_t *first, int64_t *end);
/* The two elements around a sample, and how far it is on the way; false: it lies outside. */
bool sdx_roi_place_sample(const sdx_roi_axis *a, int64_t bin, int64_t sample, int64_t *low, int64_t *high,
                          double *ratio);
/* Weights of all bins along one axis; `dense` holds one for each element. */
void sdx_roi_make_bands(const sdx_roi_axis *a, int64_t bins, sdx_dtype work, bool lanes, double *dense, char *room,
                        sdx_bands *bands);
sdx_status sdx_roi_grad(sdx_grad *grad, const void *params);

#endif
