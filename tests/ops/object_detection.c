/* SPDX-License-Identifier: Apache-2.0
 * RoiAlign, MaxRoiPool, NonMaxSuppression. */
#include "tests/ops/moved.h"
#include <math.h>
#include <string.h>

static bool text_is(const sdx_case_run *run, const char *name, const char *otherwise, const char *value) {
    return strcmp(sdx_case_string(run, name, otherwise), value) == 0;
}

/* One sample of a plane; *outside when it is more than one element outside. corner[4]: the products of weight and
 * element. */
static double sample(const double *plane, int64_t height, int64_t width, double y, double x, double *corner) {
    memset(corner, 0, 4 * sizeof *corner);
    if (y < -1 || y > (double)height || x < -1 || x > (double)width) return 0;
    y = fmin(fmax(y, 0), (double)height - 1), x = fmin(fmax(x, 0), (double)width - 1);
    const int64_t top = (int64_t)y, left = (int64_t)x;
    const int64_t bottom = top + 1 < height ? top + 1 : top, right = left + 1 < width ? left + 1 : left;
    const double v = y - (double)top, u = x - (double)left;
    corner[0] = (1 - v) * (1 - u) * plane[top * width + left], corner[1] = (1 - v) * u * plane[top * width + right];
    corner[2] = v * (1 - u) * plane[bottom * width + left], corner[3] = v * u * plane[bottom * width + right];
    return corner[0] + corner[1] + corner[2] + corner[3];
}

static void roi_align_as(sdx_case_run *run, bool half) {
    const sdx_ref *x = &run->in[0], *rois = &run->in[1];
    const int64_t dims[4] = {rois->dim[0], x->dim[1], sdx_case_int(run, "output_height", 1),
                             sdx_case_int(run, "output_width", 1)};
    const double scale = sdx_case_float(run, "spatial_scale", 1), shift = half ? 0.5 : 0;
    const bool max = text_is(run, "mode", "avg", "max");
    double *y = sdx_case_output(run, 0, 4, dims), corner[4];
    for (int64_t k = 0; k < run->out[0].count; k++) {
        int64_t at[4];
        spread(4, dims, k, at);
        const double *box = rois->v + 4 * at[0];
        const double *plane = x->v + ((int64_t)run->in[2].v[at[0]] * x->dim[1] + at[1]) * x->dim[2] * x->dim[3];
        double size[2], bin[2], start[2];
        int64_t samples[2];
        for (int d = 0; d < 2; d++) { /* d 0: height */
            start[d] = box[1 - d] * scale - shift;
            size[d] = box[3 - d] * scale - shift - start[d];
            if (!half) size[d] = fmax(size[d], 1);
            bin[d] = size[d] / (double)dims[2 + d];
            samples[d] = sdx_case_int(run, "sampling_ratio", 0);
            if (samples[d] == 0) samples[d] = (int64_t)ceil(bin[d]);
        }
        double sum = 0, most = -INFINITY;
        for (int64_t i = 0; i < samples[0]; i++)
            for (int64_t j = 0; j < samples[1]; j++) {
                const double v = start[0] + (double)at[2] * bin[0] + ((double)i + 0.5) * bin[0] / (double)samples[0];
                const double u = start[1] + (double)at[3] * bin[1] + ((double)j + 0.5) * bin[1] / (double)samples[1];
                sum += sample(plane, x->dim[2], x->dim[3], v, u, corner);
                for (int c = 0; c < 4; c++) most = fmax(most, corner[c]);
            }
        const double count = samples[0] > 0 && samples[1] > 0 ? (double)(samples[0] * samples[1]) : 0;
        y[k] = count == 0 ? 0 : max ? most : sum / count;
    }
}
static void roi_align(sdx_case_run *run) {
    roi_align_as(run, text_is(run, "coordinate_transformation_mode", "half_pixel", "half_pixel"));
}
static void roi_align_10(sdx_case_run *run) { roi_align_as(run, false); }

static void max_roi_pool(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0], *rois = &run->in[1];
    int64_t shape[2];
    sdx_case_ints(run, "pooled_shape", shape, 2);
    const int64_t dims[4] = {rois->dim[0], x->dim[1], shape[0], shape[1]};
    const double scale = sdx_case_float(run, "spatial_scale", 1);
    double *y = sdx_case_output(run, 0, 4, dims);
    for (int64_t k = 0; k < run->out[0].count; k++) {
        int64_t at[4], from[2], to[2];
        spread(4, dims, k, at);
        const double *roi = rois->v + 5 * at[0];
        for (int d = 0; d < 2; d++) {
            const int64_t first = (int64_t)round(roi[2 - d] * scale), last = (int64_t)round(roi[4 - d] * scale);
            const int64_t length = last - first + 1 > 1 ? last - first + 1 : 1, bins = shape[d], n = x->dim[2 + d];
            from[d] = first + at[2 + d] * length / bins;
            to[d] = first + ((at[2 + d] + 1) * length + bins - 1) / bins;
            from[d] = from[d] < 0 ? 0 : from[d] > n ? n : from[d];
            to[d] = to[d] < 0 ? 0 : to[d] > n ? n : to[d];
        }
        const double *plane = x->v + ((int64_t)roi[0] * x->dim[1] + at[1]) * x->dim[2] * x->dim[3];
        double most = from[0] < to[0] && from[1] < to[1] ? -INFINITY : 0;
        for (int64_t i = from[0]; i < to[0]; i++)
            for (int64_t j = from[1]; j < to[1]; j++) most = fmax(most, plane[i * x->dim[3] + j]);
        y[k] = most;
    }
}

/* Selection by repeated search: the highest score left, the lower index first. */
static void suppression(sdx_case_run *run) {
    const sdx_ref *boxes = &run->in[0], *scores = &run->in[1];
    const int64_t n = boxes->dim[1], classes = scores->dim[1], items = scores->dim[0] * classes;
    const double most = run->in[2].v[0], iou = run->in[3].v[0];
    static double found[4096];
    int64_t total = 0;
    for (int64_t item = 0; item < items; item++) {
        const double *s = scores->v + item * n, *b = boxes->v + item / classes * n * 4;
        bool gone[64];
        int64_t taken[64], count = 0;
        for (int64_t k = 0; k < n; k++) gone[k] = isnan(s[k]) || (run->n_in > 4 && !(s[k] > run->in[4].v[0]));
        while ((double)count < most) {
            int64_t best = -1;
            for (int64_t k = 0; k < n; k++)
                if (!gone[k] && (best < 0 || s[k] > s[best])) best = k;
            if (best < 0) break;
            gone[best] = true;
            bool free = true;
            for (int64_t t = 0; t < count; t++) {
                const double *p = b + 4 * best, *q = b + 4 * taken[t];
                const double h = fmin(fmax(p[0], p[2]), fmax(q[0], q[2])) - fmax(fmin(p[0], p[2]), fmin(q[0], q[2]));
                const double w = fmin(fmax(p[1], p[3]), fmax(q[1], q[3])) - fmax(fmin(p[1], p[3]), fmin(q[1], q[3]));
                const double area = fabs((p[2] - p[0]) * (p[3] - p[1])), other = fabs((q[2] - q[0]) * (q[3] - q[1]));
                if (h > 0 && w > 0 && h * w / (area + other - h * w) > iou) free = false;
            }
            if (!free) continue;
            taken[count++] = best;
            found[3 * total] = (double)(item / classes), found[3 * total + 1] = (double)(item % classes);
            found[3 * total++ + 2] = (double)best;
        }
    }
    memcpy(sdx_case_output(run, 0, 2, (int64_t[]){total, 3}), found, (size_t)(3 * total) * sizeof *found);
}

#define ROIS "{0.5 1.25 6 7.5 -3 -2 4 3 2 2 2.25 2.5 -1 3 30 5}"
const sdx_case sdx_cases[] = {
    {.name = "align",
     .op = "RoiAlign",
     .opset = 22,
     .attributes = "output_height:int=3 output_width:int=4",
     .inputs = "T1[2,C,H,W]=normal T1[4,4]=" ROIS " i64[4]={1 0 1 0}",
     .dims = "C=1..3 H=1..9 W=1..12",
     .reference = roi_align,
     .atol = 1e-5,
     .flags = SDX_CASE_KINKS}, /* regions have no gradient */
    {.name = "align_gradient",
     .op = "RoiAlign",
     .opset = 22,
     .attributes = "output_height:int=3 output_width:int=4",
     .inputs = "T1[2,C,H,W]=normal !T1[4,4]=" ROIS " i64[4]={1 0 1 0}",
     .dims = "C=1..3 H=1..9 W=1..12",
     .reference = roi_align,
     .atol = 1e-5},
    {.name = "align_fixed",
     .op = "RoiAlign",
     .opset = 16,
     .attributes = "output_height:int=2 output_width:int=2 sampling_ratio:int=2 spatial_scale:float=0.5 "
                   "coordinate_transformation_mode:string=output_half_pixel",
     .inputs = "T1[2,2,5,7]=normal T1[4,4]=" ROIS " i64[4]={1 0 1 0}",
     .reference = roi_align,
     .atol = 1e-5,
     .flags = SDX_CASE_KINKS}, /* regions have no gradient */
    {.name = "align_fixed_gradient",
     .op = "RoiAlign",
     .opset = 16,
     .attributes = "output_height:int=2 output_width:int=2 sampling_ratio:int=2 spatial_scale:float=0.5 "
                   "coordinate_transformation_mode:string=output_half_pixel",
     .inputs = "T1[2,2,5,7]=normal !T1[4,4]=" ROIS " i64[4]={1 0 1 0}",
     .reference = roi_align,
     .atol = 1e-5},
    {.name = "align_10",
     .op = "RoiAlign",
     .opset = 10,
     .attributes = "output_height:int=5 output_width:int=3",
     .inputs = "T1[2,2,9,7]=normal T1[4,4]=" ROIS " i64[4]={1 0 1 0}",
     .reference = roi_align_10,
     .atol = 1e-5},
    {.name = "align_backwards",
     .op = "RoiAlign",
     .opset = 22,
     .attributes = "output_height:int=2 output_width:int=2 sampling_ratio:int=3",
     .inputs = "f32[1,2,6,6]=normal f32[2,4]={5 5 1 2 1 4 4 1} i64[2]={0 0}",
     .reference = roi_align,
     .atol = 1e-5},
    {.name = "align_max",
     .op = "RoiAlign",
     .opset = 22,
     .attributes = "output_height:int=3 output_width:int=2 mode:string=max",
     .inputs = "T1[2,C,H,W]=normal T1[4,4]=" ROIS " i64[4]={1 0 1 0}",
     .dims = "C=1..3 H=1..9 W=1..12",
     .reference = roi_align,
     .atol = 1e-5,
     .flags = SDX_CASE_KINKS}, /* regions have no gradient */
    {.name = "align_max_gradient",
     .op = "RoiAlign",
     .opset = 22,
     .attributes = "output_height:int=3 output_width:int=2 mode:string=max",
     .inputs = "T1[2,C,H,W]=normal !T1[4,4]=" ROIS " i64[4]={1 0 1 0}",
     .dims = "C=1..3 H=1..9 W=1..12",
     .reference = roi_align,
     .atol = 1e-5},
    {.name = "align_max_many",
     .op = "RoiAlign",
     .opset = 22,
     .attributes = "mode:string=max sampling_ratio:int=13",
     .inputs = "f32[1,2,9,9]=normal f32[1,4]={-2 -3 8 12} i64[1]={0}",
     .reference = roi_align,
     .atol = 1e-5},
    {.name = "align_nan",
     .op = "RoiAlign",
     .opset = 22,
     .inputs = "f32[1,1,2,2]=normal f32[3,4]={nan 0 1 1 0 0 inf 1 0 0 1e38 1} i64[3]={0 0 0}",
     .attributes = "spatial_scale:float=1e3",
     .flags = 0,
     .expect = "f32[3,1,1,1]={0,0,0}"},
    {.name = "align_nothing",
     .op = "RoiAlign",
     .opset = 22,
     .inputs = "f32[1,2,0,3]=normal f32[1,4]={0 0 1 1} i64[1]={0}",
     .expect = "f32[1,2,1,1]={0,0}"},
    {.name = "align_no_regions",
     .op = "RoiAlign",
     .opset = 22,
     .inputs = "f32[1,2,3,3]=normal f32[0,4]=normal i64[0]=range",
     .expect = "f32[0,2,1,1]={}"},
    {.name = "align_batch",
     .op = "RoiAlign",
     .opset = 22,
     .inputs = "f32[2,1,3,3]=normal f32[2,4]=normal i64[2]={1 2}",
     .fails = SDX_VALUE,
     .says = "entry 1 of input 'batch_indices' is 2; it must be in [0, 1]"},
    {.name = "align_height",
     .op = "RoiAlign",
     .opset = 22,
     .attributes = "output_height:int=0",
     .inputs = "f32[2,1,3,3]=normal f32[1,4]=normal i64[1]={1}",
     .fails = SDX_VALUE,
     .says = "attribute 'output_height' is 0"},
    {.name = "align_columns",
     .op = "RoiAlign",
     .opset = 22,
     .inputs = "f32[2,1,3,3]=normal f32[1,5]=normal i64[1]={1}",
     .fails = SDX_SHAPE,
     .says = "columns of 'rois'"},
    {.name = "pool",
     .op = "MaxRoiPool",
     .opset = 22,
     .attributes = "pooled_shape:ints=[3,2]",
     .inputs = "T[2,C,H,W]=ints(-9,9) T[4,5]={1 0 0 3 5 0 -2 1 4 9 1 2 2 2 2 0 7 7 9 9}",
     .dims = "C=1..3 H=1..9 W=1..12",
     .reference = max_roi_pool,
     .flags = SDX_CASE_KINKS},
    {.name = "pool_gradient",
     .op = "MaxRoiPool",
     .opset = 22,
     .attributes = "pooled_shape:ints=[3,2]",
     .inputs = "T[2,C,H,W]=normal !T[4,5]={1 0 0 3 5 0 -2 1 4 9 1 2 2 2 2 0 7 7 9 9}",
     .dims = "C=1..3 H=1..9 W=1..12",
     .reference = max_roi_pool},
    {.name = "pool_scaled",
     .op = "MaxRoiPool",
     .opset = 1,
     .attributes = "pooled_shape:ints=[2,4] spatial_scale:float=0.5",
     .inputs = "T[1,2,6,7]=normal T[2,5]={0 1 0 11 7 0 3 5 3 1}",
     .reference = max_roi_pool},
    {.name = "pool_nan",
     .op = "MaxRoiPool",
     .opset = 22,
     .attributes = "pooled_shape:ints=[1,1]",
     .inputs = "f32[1,1,2,2]={1 2 nan 4} f32[3,5]={0 0 0 1 0 0 0 0 1 1 0 nan 0 1 1}",
     .expect = "f32[3,1,1,1]={2,nan,0}"},
    {.name = "pool_batch",
     .op = "MaxRoiPool",
     .opset = 22,
     .attributes = "pooled_shape:ints=[1,1]",
     .inputs = "f32[1,1,2,2]=normal f32[1,5]={1 0 0 1 1}",
     .fails = SDX_VALUE,
     .says = "row 0 of input 'rois' names batch 1; it must be in [0, 0]"},
    {.name = "pool_shape",
     .op = "MaxRoiPool",
     .opset = 22,
     .attributes = "pooled_shape:ints=[1]",
     .inputs = "f32[1,1,2,2]=normal f32[1,5]=normal",
     .fails = SDX_VALUE,
     .says = "attribute 'pooled_shape' has 1 entries"},
    {.name = "suppression",
     .op = "NonMaxSuppression",
     .opset = 11,
     .inputs = "f32[2,N,4]=ints(0,9) f32[2,3,N]=ints(0,5) i64[1]={5} f32[1]={0.3}",
     .dims = "N=1..40",
     .reference = suppression},
    {.name = "suppression_scores",
     .op = "NonMaxSuppression",
     .opset = 10,
     .inputs = "f32[1,N,4]=ints(0,20) f32[1,2,N]=normal i64[]={100} f32[]={0.2} f32[]={0.1}",
     .dims = "N=0..40",
     .reference = suppression},
    {.name = "suppression_default",
     .op = "NonMaxSuppression",
     .opset = 11,
     .inputs = "f32[1,2,4]=normal f32[1,1,2]=normal",
     .expect = "i64[0,3]={}"},
    {.name = "suppression_boundary",
     .op = "NonMaxSuppression",
     .opset = 11,
     .inputs = "f32[1,3,4]={0 0 2 2 0 0 2 1 0 0 2 1.0625} f32[1,1,3]={3 2 1} i64[1]={3} f32[1]={0.5} f32[1]={1}",
     .expect = "i64[2,3]={0,0,0,0,0,1}"},
    {.name = "suppression_centers",
     .op = "NonMaxSuppression",
     .opset = 11,
     .attributes = "center_point_box:int=1",
     .inputs = "f32[1,3,4]={1 1 2 2 1 1 2 1.5 9 9 2 2} f32[1,1,3]={1 2 2} i64[1]={3} f32[1]={0.5}",
     .expect = "i64[2,3]={0,0,1,0,0,2}"},
    {.name = "suppression_nan",
     .op = "NonMaxSuppression",
     .opset = 11,
     .inputs = "f32[1,2,4]={0 0 1 1 0 0 1 1} f32[1,1,2]={nan -inf} i64[1]={3}",
     .expect = "i64[1,3]={0,0,1}"},
    {.name = "suppression_negative",
     .op = "NonMaxSuppression",
     .opset = 11,
     .inputs = "f32[1,1,4]={0 0 1 1} f32[1,1,1]={1} i64[1]={-3}",
     .expect = "i64[0,3]={}"},
    {.name = "suppression_threshold",
     .op = "NonMaxSuppression",
     .opset = 11,
     .inputs = "f32[1,1,4]=normal f32[1,1,1]={1} i64[1]={3} f32[1]={1.5}",
     .fails = SDX_VALUE,
     .says = "input 'iou_threshold' is 1.5; it must be in [0, 1]"},
    {.name = "suppression_boxes",
     .op = "NonMaxSuppression",
     .opset = 11,
     .inputs = "f32[1,2,4]=normal f32[1,1,3]=normal",
     .fails = SDX_SHAPE,
     .says = "boxes of 'boxes' and 'scores'"},
    {.name = "suppression_format",
     .op = "NonMaxSuppression",
     .opset = 11,
     .attributes = "center_point_box:int=2",
     .inputs = "f32[1,2,4]=normal f32[1,1,2]=normal",
     .fails = SDX_VALUE,
     .says = "attribute 'center_point_box' is 2"},
};
SDX_CASES_END
