/* SPDX-License-Identifier: Apache-2.0
 * Resize and Upsample. The reference sums over every element of the input, each weighed by one dense row for each axis.
 */
#include "tests/ops/moved.h"
#include <math.h>
#include <string.h>

typedef struct ref_axis {
    int64_t in, out;
    double scale, roi[2];
} ref_axis;

static bool is(const sdx_case_run *run, const char *name, const char *otherwise, const char *value) {
    return strcmp(sdx_case_string(run, name, otherwise), value) == 0;
}

static double coordinate(const sdx_case_run *run, const ref_axis *a, double x, const char *otherwise) {
    const char *name = "coordinate_transformation_mode";
    const double width = a->scale * (double)a->in, end = (double)a->in - 1;
    if (is(run, name, otherwise, "asymmetric")) return x / a->scale;
    if (is(run, name, otherwise, "align_corners")) return width > 1 ? x * end / (width - 1) : 0;
    if (is(run, name, otherwise, "tf_half_pixel_for_nn")) return (x + 0.5) / a->scale;
    if (is(run, name, otherwise, "pytorch_half_pixel") && a->out == 1) return 0;
    if (is(run, name, otherwise, "tf_crop_and_resize"))
        return a->out > 1 ? a->roi[0] * end + x * (a->roi[1] - a->roi[0]) * end / (width - 1)
                          : 0.5 * (a->roi[0] + a->roi[1]) * end;
    double shift = 0;
    if (is(run, name, otherwise, "half_pixel_symmetric")) shift = (double)a->in / 2 * (1 - (double)a->out / width);
    return shift + (x + 0.5) / a->scale - 0.5;
}

static double filter(const sdx_case_run *run, double x) {
    const double a = sdx_case_float(run, "cubic_coeff_a", -0.75);
    x = fabs(x);
    if (!is(run, "mode", "nearest", "cubic")) return x < 1 ? 1 - x : 0;
    if (x < 1) return (a + 2) * pow(x, 3) - (a + 3) * pow(x, 2) + 1;
    return x < 2 ? a * pow(x, 3) - 5 * a * pow(x, 2) + 8 * a * x - 4 * a : 0;
}

/* weight[0 .. in); false: the fill value. */
static bool dense_row(const sdx_case_run *run, const ref_axis *a, int64_t k, const char *otherwise, double *weight) {
    const double x = coordinate(run, a, (double)k, otherwise), last = (double)a->in - 1;
    const bool crop = is(run, "coordinate_transformation_mode", otherwise, "tf_crop_and_resize");
    const char *nearest = *otherwise == 'a' ? "floor" : "round_prefer_floor";
    double sum = 0, squeeze = sdx_case_int(run, "antialias", 0) ? fmin(a->scale, 1) : 1;
    if (crop && (x < 0 || x > last)) return false;
    for (int64_t i = 0; i < a->in; i++) weight[i] = 0;
    if (is(run, "mode", "nearest", "nearest")) {
        double at = is(run, "nearest_mode", nearest, "floor")               ? floor(x)
                    : is(run, "nearest_mode", nearest, "ceil")              ? ceil(x)
                    : is(run, "nearest_mode", nearest, "round_prefer_ceil") ? floor(x + 0.5)
                                                                            : ceil(x - 0.5);
        weight[(int64_t)fmin(fmax(at, 0), last)] = 1;
        return true;
    }
    for (int64_t i = -64; i < a->in + 64; i++) {
        const bool outside = i < 0 || i >= a->in;
        const double w =
            outside && sdx_case_int(run, "exclude_outside", 0) ? 0 : filter(run, ((double)i - x) * squeeze);
        weight[i < 0 ? 0 : i >= a->in ? a->in - 1 : i] += w;
        sum += w;
    }
    for (int64_t i = 0; i < a->in; i++) weight[i] /= sum;
    return true;
}

static int ref_axes(const sdx_case_run *run, const double *scales, const double *sizes, const double *roi,
                    ref_axis *axis) {
    const sdx_ref *x = &run->in[0];
    int64_t axes[8];
    int n = sdx_case_ints(run, "axes", axes, 8);
    const char *policy = "keep_aspect_ratio_policy";
    if (n <= 0)
        for (n = 0; n < x->rank; n++) axes[n] = n;
    for (int d = 0; d < x->rank; d++) axis[d] = (ref_axis){x->dim[d], x->dim[d], 1, {0, 1}};
    double least = INFINITY, most = 0;
    for (int i = 0; i < n; i++) {
        ref_axis *a = &axis[axes[i] < 0 ? axes[i] + x->rank : axes[i]];
        if (roi) a->roi[0] = roi[i], a->roi[1] = roi[n + i];
        a->scale = scales ? scales[i] : sizes[i] / (double)a->in;
        a->out = scales ? (int64_t)floor((double)a->in * scales[i] + 1e-6) : (int64_t)sizes[i];
        least = fmin(least, a->scale), most = fmax(most, a->scale);
    }
    if (scales || is(run, policy, "stretch", "stretch")) return n;
    for (int i = 0; i < n; i++) {
        ref_axis *a = &axis[axes[i] < 0 ? axes[i] + x->rank : axes[i]];
        a->scale = is(run, policy, "stretch", "not_larger") ? least : most;
        a->out = (int64_t)floor((double)a->in * a->scale + 0.5);
    }
    return n;
}

static void resample(sdx_case_run *run, const double *scales, const double *sizes, const double *roi,
                     const char *otherwise) {
    static double weight[8][64][64];
    bool inside[8][64] = {{false}};
    const sdx_ref *x = &run->in[0];
    ref_axis axis[8];
    int64_t dims[8], at[8], from[8];
    ref_axes(run, scales, sizes, roi, axis);
    for (int d = 0; d < x->rank; d++) {
        dims[d] = axis[d].out;
        for (int64_t k = 0; k < dims[d]; k++) {
            const bool same = axis[d].in == axis[d].out && axis[d].scale == 1 && !roi;
            inside[d][k] = same || dense_row(run, &axis[d], k, otherwise, weight[d][k]);
            for (int64_t i = 0; same && i < axis[d].in; i++) weight[d][k][i] = i == k;
        }
    }
    sdx_case_output(run, 0, x->rank, dims);
    for (int64_t k = 0; k < run->out[0].count; k++) {
        spread(x->rank, dims, k, at);
        bool all = true;
        double sum = 0;
        for (int d = 0; d < x->rank; d++) all = all && inside[d][at[d]];
        for (int64_t i = 0; i < x->count && all; i++) {
            double w = 1;
            spread(x->rank, x->dim, i, from);
            for (int d = 0; d < x->rank; d++) w *= weight[d][at[d]][from[d]];
            if (x->dtype == SDX_STRING && w == 1)
                put(run, 0, k, 0, i);
            else if (x->dtype != SDX_STRING && w != 0)
                sum += w * x->v[i];
        }
        const bool whole = sdx_dtype_name(x->dtype)[0] == 'i' || sdx_dtype_name(x->dtype)[0] == 'u';
        if (x->dtype != SDX_STRING)
            run->out[0].v[k] = !all ? sdx_case_float(run, "extrapolation_value", 0) : whole ? nearbyint(sum) : sum;
    }
}

static void by_scales(sdx_case_run *run) { resample(run, run->in[2].v, NULL, NULL, "half_pixel"); }
static void by_sizes(sdx_case_run *run) { resample(run, NULL, run->in[3].v, NULL, "half_pixel"); }
static void by_region(sdx_case_run *run) { resample(run, NULL, run->in[3].v, run->in[1].v, "half_pixel"); }
static void upsample(sdx_case_run *run) { resample(run, run->in[1].v, NULL, NULL, "asymmetric"); }
static void upsample_7(sdx_case_run *run) { resample(run, (double[]){1, 2, 1.5}, NULL, NULL, "asymmetric"); }
static void upsample_1(sdx_case_run *run) { resample(run, (double[]){1, 1, 2, 3}, NULL, NULL, "asymmetric"); }

const sdx_case sdx_cases[] = {
    /* nearest: all types */
    {.name = "nearest_up",
     .op = "Resize",
     .opset = 19,
     .inputs = "T1[N,2,H,W]=ints(0,99) - f32[4]={1 1 2 3}",
     .dims = "N=1..2 H=1..5 W=1..9",
     .reference = by_scales},
    {.name = "nearest_down",
     .op = "Resize",
     .opset = 13,
     .attributes = "nearest_mode:string=ceil",
     .inputs = "T1[2,H,3,W]=ints(0,99) - f32[4]={1 0.5 1 0.75}",
     .dims = "H=4..9 W=4..12",
     .reference = by_scales},
    {.name = "nearest_sizes",
     .op = "Resize",
     .opset = 18,
     .attributes = "nearest_mode:string=round_prefer_ceil axes:ints=[-1,1]",
     .inputs = "f32[2,H,2,W]=normal - - i64[2]={7 5}",
     .dims = "H=1..9 W=1..9",
     .reference = by_sizes},
    {.name = "nearest_rows",
     .op = "Resize",
     .opset = 11,
     .attributes = "coordinate_transformation_mode:string=tf_half_pixel_for_nn",
     .inputs = "T1[H,3]=ints(0,99) f32[0]=normal f32[2]={2.5 1}",
     .dims = "H=1..6",
     .reference = by_scales},
    {.name = "nearest_ten",
     .op = "Resize",
     .opset = 10,
     .inputs = "T[1,2,4,5]=ints(0,99) f32[4]={1 1 1.6 1.7}",
     .reference = upsample},
    {.name = "nearest_ten_down",
     .op = "Resize",
     .opset = 10,
     .inputs = "f32[2,4]={1 2 3 4 5 6 7 8} f32[2]={0.6 0.6}",
     .expect = "f32[1,2]={1 3}"},
    {.name = "nearest_crop",
     .op = "Resize",
     .opset = 13,
     .attributes = "coordinate_transformation_mode:string=tf_crop_and_resize extrapolation_value:float=7",
     .inputs = "f32[1,2,6,6]=normal f64[8]={0 0 0.4 0.6 1 1 1.2 1.7} - i64[4]={1 2 5 4}",
     .reference = by_region},
    {.name = "nearest_crop_types",
     .op = "Resize",
     .opset = 13,
     .attributes = "coordinate_transformation_mode:string=tf_crop_and_resize extrapolation_value:float=7",
     .inputs = "T1[3,4]=ints(0,9) T2[4]={0 -0.5 1 1} - i64[2]={2 5}",
     .types = "T1=u8|i64|f16|bf16|i16",
     .reference = by_region},
    /* linear, cubic */
    {.name = "linear_up",
     .op = "Resize",
     .opset = 13,
     .attributes = "mode:string=linear",
     .inputs = "T1[2,C,H,W]=normal - f32[4]={1 1 2 2}",
     .dims = "C=1..3 H=1..5 W=1..20",
     .types = "T1=f16|bf16|f32|f64",
     .reference = by_scales},
    {.name = "linear_whole",
     .op = "Resize",
     .opset = 13,
     .attributes = "mode:string=linear coordinate_transformation_mode:string=asymmetric",
     .inputs = "T1[2,H,W]=ints(0,100) - f32[3]={1 4 0.5}",
     .dims = "H=2..6 W=2..20",
     .types = "T1=u8|i8|u16|i16|u32|i32|u64|i64",
     .reference = by_scales},
    {.name = "linear_last",
     .op = "Resize",
     .opset = 13,
     .attributes = "mode:string=linear coordinate_transformation_mode:string=align_corners",
     .inputs = "T1[5,W]=normal - - i64[2]={5 17}",
     .dims = "W=1..30",
     .types = "T1=f16|f32|f64",
     .reference = by_sizes},
    {.name = "linear_first",
     .op = "Resize",
     .opset = 13,
     .attributes = "mode:string=linear",
     .inputs = "T1[H,7]=normal - - i64[2]={9 7}",
     .dims = "H=1..12",
     .types = "T1=bf16|f32|f64",
     .reference = by_sizes},
    {.name = "linear_channels_last",
     .op = "Resize",
     .opset = 18,
     .attributes = "mode:string=linear axes:ints=[1,2]",
     .inputs = "T1[1,H,W,3]=normal - - i64[2]={6 11}",
     .dims = "H=1..12 W=1..9",
     .types = "T1=f16|f32|f64",
     .reference = by_sizes},
    {.name = "linear_volume",
     .op = "Resize",
     .opset = 13,
     .attributes = "mode:string=linear coordinate_transformation_mode:string=pytorch_half_pixel",
     .inputs = "T1[1,2,3,4,5]=normal - - i64[5]={1 2 5 1 9}",
     .types = "T1=bf16|f32|f64|i16",
     .reference = by_sizes},
    {.name = "linear_five_axes",
     .op = "Resize",
     .opset = 13,
     .attributes = "mode:string=linear",
     .inputs = "f32[2,3,2,3,2]=normal - - i64[5]={3 2 3 4 3}",
     .reference = by_sizes},
    {.name = "linear_ten",
     .op = "Resize",
     .opset = 10,
     .attributes = "mode:string=linear",
     .inputs = "f32[2,3,4]=normal f32[3]={1 1.5 2.25}",
     .reference = upsample},
    {.name = "linear_symmetric",
     .op = "Resize",
     .opset = 19,
     .attributes = "mode:string=linear coordinate_transformation_mode:string=half_pixel_symmetric",
     .inputs = "f32[3,7]=normal - f32[2]={1 0.6}",
     .reference = by_scales},
    {.name = "linear_crop",
     .op = "Resize",
     .opset = 11,
     .attributes =
         "mode:string=linear coordinate_transformation_mode:string=tf_crop_and_resize extrapolation_value:float=-3",
     .inputs = "T1[2,5,6]=normal T2[6]={0 0.25 -0.25 1 1.5 0.5} f32[0]=normal i64[3]={2 4 9}",
     .types = "T1=f32|f16",
     .reference = by_region},
    {.name = "linear_antialias",
     .op = "Resize",
     .opset = 18,
     .attributes = "mode:string=linear antialias:int=1",
     .inputs = "T1[2,H,W]=normal - - i64[3]={2 3 4}",
     .dims = "H=2..30 W=2..40",
     .types = "T1=f16|f32|f64",
     .reference = by_sizes},
    {.name = "cubic_up",
     .op = "Resize",
     .opset = 13,
     .attributes = "mode:string=cubic",
     .inputs = "T1[2,H,W]=normal - f32[3]={1 1.5 3}",
     .dims = "H=2..6 W=1..9",
     .types = "T1=f16|bf16|f32|f64|i32",
     .reference = by_scales},
    {.name = "cubic_outside",
     .op = "Resize",
     .opset = 18,
     .attributes = "mode:string=cubic exclude_outside:int=1 cubic_coeff_a:float=-0.5 axes:ints=[0,1]",
     .inputs = "f32[6,5,2]=normal - f32[2]={0.75 2}",
     .reference = by_scales},
    {.name = "cubic_antialias",
     .op = "Resize",
     .opset = 19,
     .attributes = "mode:string=cubic antialias:int=1",
     .inputs = "f32[H,W]=normal - f32[2]={0.25 0.5}",
     .dims = "H=4..40 W=4..20",
     .reference = by_scales},
    {.name = "not_larger",
     .op = "Resize",
     .opset = 18,
     .attributes = "mode:string=linear keep_aspect_ratio_policy:string=not_larger axes:ints=[2,1]",
     .inputs = "f32[1,H,W]=normal - - i64[2]={8 7}",
     .dims = "H=2..9 W=2..9",
     .reference = by_sizes},
    {.name = "not_smaller",
     .op = "Resize",
     .opset = 18,
     .attributes = "keep_aspect_ratio_policy:string=not_smaller axes:ints=[0,1]",
     .inputs = "f32[4,6]=normal - - i64[2]={7 8}",
     .reference = by_sizes},
    {.name = "complex",
     .op = "Resize",
     .opset = 13,
     .attributes = "mode:string=linear",
     .types = "T1=c64|c128",
     .inputs = "T1[2,3,4]=normal - - i64[3]={2 5 7}",
     .reference = by_sizes},
    {.name = "nan_stays",
     .op = "Resize",
     .opset = 13,
     .attributes = "mode:string=linear coordinate_transformation_mode:string=align_corners",
     .inputs = "f32[3]={1 nan 3} - - i64[1]={5}",
     .expect = "f32[5]={1,nan,nan,nan,3}"},
    {.name = "empty",
     .op = "Resize",
     .opset = 13,
     .inputs = "f32[2,3]=normal - - i64[2]={2 0}",
     .expect = "f32[2,0]={}"},
    {.name = "scalar_like",
     .op = "Resize",
     .opset = 13,
     .attributes = "mode:string=cubic",
     .inputs = "f32[1]={4} - - i64[1]={3}",
     .expect = "f32[3]={4,4,4}"},
    {.name = "for_nn_13",
     .op = "Resize",
     .opset = 13,
     .attributes = "coordinate_transformation_mode:string=tf_half_pixel_for_nn nearest_mode:string=floor",
     .inputs = "f32[3,5]=normal - - i64[2]={5 3}",
     .reference = by_sizes},
    {.name = "nearest_tie_of_scales", /* 17 / 1.7 is 10, though the f32 next to 1.7 is larger */
     .op = "Resize",
     .opset = 13,
     .attributes = "coordinate_transformation_mode:string=asymmetric nearest_mode:string=floor",
     .inputs = "i32[11]=range - f32[1]={1.7}",
     .expect = "i32[18]={0,0,1,1,2,2,3,4,4,5,5,6,7,7,8,8,9,10}"},
    {.name = "nearest_tie_of_sizes",
     .op = "Resize",
     .opset = 13,
     .attributes = "coordinate_transformation_mode:string=asymmetric nearest_mode:string=floor",
     .inputs = "i32[7]=range - - i64[1]={49}",
     .expect =
         "i32[49]={0,0,0,0,0,0,0,1,1,1,1,1,1,1,2,2,2,2,2,2,2,3,3,3,3,3,3,3,4,4,4,4,4,4,4,5,5,5,5,5,5,5,6,6,6,6,6,6,6}"},
    /* what is refused */
    {.name = "both",
     .op = "Resize",
     .opset = 13,
     .inputs = "f32[2]=normal - f32[1]={2} i64[1]={4}",
     .fails = SDX_VALUE,
     .says = "are both given"},
    {.name = "neither",
     .op = "Resize",
     .opset = 13,
     .inputs = "f32[2]=normal",
     .fails = SDX_VALUE,
     .says = "one of them is needed"},
    {.name = "zero_scale",
     .op = "Resize",
     .opset = 13,
     .inputs = "f32[2]=normal - f32[1]={0}",
     .fails = SDX_VALUE,
     .says = "'scales' holds 0; it must be above 0"},
    {.name = "nan_scale",
     .op = "Resize",
     .opset = 13,
     .inputs = "f32[2]=normal - f32[1]={nan}",
     .fails = SDX_VALUE,
     .says = "'scales' holds nan"},
    {.name = "absurd_scale",
     .op = "Resize",
     .opset = 13,
     .inputs = "f32[2]=normal - f32[1]={1e30}",
     .fails = SDX_VALUE,
     .says = "becomes too large"},
    {.name = "negative_size",
     .op = "Resize",
     .opset = 13,
     .inputs = "f32[2]=normal - - i64[1]={-1}",
     .fails = SDX_VALUE,
     .says = "'sizes' holds -1"},
    {.name = "count",
     .op = "Resize",
     .opset = 13,
     .inputs = "f32[2,2]=normal - f32[1]={2}",
     .fails = SDX_SHAPE,
     .says = "'scales' has 1 entries; it must have 2"},
    {.name = "from_nothing",
     .op = "Resize",
     .opset = 13,
     .inputs = "f32[0]=normal - - i64[1]={3}",
     .fails = SDX_VALUE,
     .says = "it cannot become 3"},
    {.name = "text",
     .op = "Resize",
     .opset = 13,
     .attributes = "mode:string=linear",
     .inputs = "string[2]={'a' 'b'} - f32[1]={2}",
     .fails = SDX_TYPE,
     .says = "attribute 'mode' nearest"},
    {.name = "antialias_nearest",
     .op = "Resize",
     .opset = 18,
     .attributes = "antialias:int=1",
     .inputs = "f32[2]=normal - f32[1]={2}",
     .fails = SDX_VALUE,
     .says = "attribute 'antialias' is 1"},
    {.name = "axis_twice",
     .op = "Resize",
     .opset = 18,
     .attributes = "axes:ints=[0,-2]",
     .inputs = "f32[2,2]=normal - f32[2]={2 2}",
     .fails = SDX_VALUE,
     .says = "names axis 0 twice"},
    {.name = "later_mode",
     .op = "Resize",
     .opset = 18,
     .attributes = "coordinate_transformation_mode:string=half_pixel_symmetric",
     .inputs = "f32[3]=normal - f32[1]={2}",
     .fails = SDX_VALUE,
     .says = "coordinate_transformation_mode"},
    /* Upsample */
    {.name = "upsample",
     .op = "Upsample",
     .opset = 9,
     .inputs = "T[1,2,H,W]=ints(0,99) f32[4]={1 1 2 1.5}",
     .dims = "H=1..5 W=2..9",
     .reference = upsample},
    {.name = "upsample_linear",
     .op = "Upsample",
     .opset = 9,
     .attributes = "mode:string=linear",
     .inputs = "T[1,2,H,W]=normal f32[4]={1 1 2 3}",
     .dims = "H=1..5 W=2..9",
     .types = "T=f16|f32|f64",
     .reference = upsample},
    {.name = "upsample_7",
     .op = "Upsample",
     .opset = 7,
     .attributes = "scales:floats=[1,2,1.5]",
     .inputs = "T[2,3,4]=ints(0,99)",
     .reference = upsample_7},
    {.name = "upsample_1",
     .op = "Upsample",
     .opset = 1,
     .attributes = "height_scale:float=2 width_scale:float=3 mode:string=bilinear",
     .inputs = "T[1,2,3,2]=normal",
     .types = "T=f16|f32|f64",
     .reference = upsample_1},
    {.name = "upsample_below_1",
     .op = "Upsample",
     .opset = 9,
     .inputs = "f32[2]=normal f32[1]={0.5}",
     .fails = SDX_VALUE,
     .says = "it must be 1 or more"},
};
SDX_CASES_END
