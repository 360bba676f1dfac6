/* SPDX-License-Identifier: Apache-2.0
 * DeformConv, Col2Im, MaxUnpool. */
#include "tests/ops/moved.h"
#include "tests/ops/window_reference.h"
#include <math.h>

/* Linear interpolation in a plane, zeros outside: the sum over every element of the plane. */
static double interpolate(const ref_window *w, const double *plane, const double *x) {
    double sum = 0;
    for (int64_t k = 0; k < ref_count(w->in, w->rank); k++) {
        int64_t at[6];
        double weight = 1;
        spread(w->rank, w->in, k, at);
        for (int d = 0; d < w->rank; d++) weight *= fmax(0, 1 - fabs(x[d] - (double)at[d]));
        if (weight > 0) sum += weight * plane[k];
    }
    return sum;
}

static void deform(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0], *kernel = &run->in[1], *offset = &run->in[2];
    const ref_window w = ref_window_of(run, x, kernel->dim + 2);
    const int64_t group = sdx_case_int(run, "group", 1), og = sdx_case_int(run, "offset_group", 1);
    const int64_t taps = ref_count(w.kernel, w.rank), outputs = ref_count(w.out, w.rank),
                  plane = ref_count(w.in, w.rank);
    const int64_t maps = kernel->dim[0], channels = x->dim[1], each = channels / group;
    int64_t dims[8] = {x->dim[0], maps};
    for (int d = 0; d < w.rank; d++) dims[d + 2] = w.out[d];
    double *y = sdx_case_output(run, 0, x->rank, dims);
    for (int64_t k = 0; k < run->out[0].count; k++) {
        const int64_t image = k / outputs / maps, map = k / outputs % maps, o = k % outputs;
        int64_t at[6];
        spread(w.rank, w.out, o, at);
        y[k] = run->n_in > 3 && run->in[3].present ? run->in[3].v[map] : 0;
        for (int64_t q = 0; q < each * taps; q++) {
            const int64_t tap = q % taps, channel = map / (maps / group) * each + q / taps;
            const int64_t place = (image * og + channel / (channels / og)) * taps + tap;
            int64_t t[6];
            double where[6];
            spread(w.rank, w.kernel, tap, t);
            for (int d = 0; d < w.rank; d++)
                where[d] = (double)(at[d] * w.stride[d] - w.begin[d] + t[d] * w.dilation[d]) +
                           offset->v[(place * w.rank + d) * outputs + o];
            double v = interpolate(&w, x->v + (image * channels + channel) * plane, where);
            if (run->n_in > 4) v *= run->in[4].v[place * outputs + o];
            y[k] += v * kernel->v[map * each * taps + q];
        }
    }
}

static void col2im(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0];
    sdx_ref image = {.rank = (int)run->in[1].count + 2, .dim = {x->dim[0]}};
    int64_t kernel[6];
    for (int d = 2; d < image.rank; d++)
        image.dim[d] = (int64_t)run->in[1].v[d - 2], kernel[d - 2] = (int64_t)run->in[2].v[d - 2];
    const ref_window w = ref_window_of(run, &image, kernel);
    const int64_t taps = ref_count(kernel, w.rank), columns = ref_count(w.out, w.rank), plane = ref_count(w.in, w.rank);
    image.dim[1] = x->dim[1] / taps;
    double *y = sdx_case_output(run, 0, image.rank, image.dim);
    for (int64_t k = 0; k < x->count; k++) {
        const int64_t at = ref_place(&w, k % columns, k / columns % taps);
        if (at < 0) continue;
        double *to = y + k / columns / taps * plane + at;
        *to = x->dtype == SDX_BOOL ? *to != 0 || x->v[k] != 0 : *to + x->v[k];
    }
}

/* Sums of integers wrap. */
static void col2im_bytes(sdx_case_run *run) {
    col2im(run);
    for (int64_t k = 0; k < run->out[0].count; k++) run->out[0].v[k] = fmod(run->out[0].v[k], 256);
}

/* The last of equal places wins. */
static void unpool(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0];
    int64_t dims[8] = {x->dim[0], x->dim[1]}, from[8] = {x->dim[0], x->dim[1]}, kernel[6], stride[6] = {1, 1, 1},
            pads[12] = {0}, at[8];
    sdx_case_ints(run, "kernel_shape", kernel, 6);
    sdx_case_ints(run, "strides", stride, 6);
    sdx_case_ints(run, "pads", pads, 12);
    for (int d = 2; d < x->rank; d++) {
        from[d] = (x->dim[d] - 1) * stride[d - 2] + kernel[d - 2] - pads[d - 2] - pads[x->rank - 2 + d - 2];
        dims[d] = run->n_in > 2 ? (int64_t)run->in[2].v[d] : from[d];
    }
    double *y = sdx_case_output(run, 0, x->rank, dims);
    for (int64_t k = 0; k < x->count; k++) {
        spread(x->rank, from, (int64_t)run->in[1].v[k], at);
        y[place(x->rank, dims, at)] = x->v[k];
    }
}

const sdx_case sdx_cases[] = {
    {.name = "deform",
     .op = "DeformConv",
     .opset = 22,
     .attributes = "pads:ints=[1,0,1,2]",
     .inputs = "T[2,C,H,7]=normal T[3,C,3,2]=normal T[2,12,H,8]=normal",
     .dims = "C=1..4 H=1..6",
     .reference = deform,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "deform_groups",
     .op = "DeformConv",
     .opset = 19,
     .attributes = "group:int=2 offset_group:int=3 strides:ints=[2,1] dilations:ints=[1,2] kernel_shape:ints=[2,2]",
     .inputs = "T[2,6,6,7]=normal T[4,3,2,2]=normal T[2,24,3,5]=normal T[4]=normal T[2,12,3,5]=normal",
     .reference = deform,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "deform_mask",
     .op = "DeformConv",
     .opset = 22,
     .inputs = "f32[1,20,9,30]=normal f32[40,20,3,3]=normal f32[1,18,7,28]=normal - f32[1,9,7,28]=normal",
     .reference = deform,
     .rtol = 1e-3,
     .atol = 1e-3,
     .flags = SDX_CASE_SLOW},
    {.name = "deform_1d",
     .op = "DeformConv",
     .opset = 22,
     .inputs = "f64[1,2,9]=normal f64[2,2,3]=normal f64[1,3,7]=normal f64[2]=normal",
     .reference = deform},
    {.name = "deform_3d",
     .op = "DeformConv",
     .opset = 22,
     .attributes = "pads:ints=[1,0,0,0,0,1]",
     .inputs = "f32[1,2,3,4,3]=normal f32[2,2,2,2,2]=normal f32[1,24,3,3,3]=normal",
     .reference = deform,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "deform_nan",
     .op = "DeformConv",
     .opset = 22,
     .inputs = "f32[1,1,1,2]={1 2} f32[1,1,1,1]={1} f32[1,2,1,2]={nan 0 0 inf}",
     .expect = "f32[1,1,1,2]={0,0}"},
    {.name = "deform_no_batch",
     .op = "DeformConv",
     .opset = 22,
     .inputs = "f32[0,1,2,2]=normal f32[1,1,1,1]={1} f32[0,2,2,2]=normal",
     .expect = "f32[0,1,2,2]={}"},
    {.name = "deform_offset",
     .op = "DeformConv",
     .opset = 22,
     .inputs = "f32[1,1,2,2]=normal f32[1,1,1,1]={1} f32[1,3,2,2]=normal",
     .fails = SDX_SHAPE,
     .says = "dimension 1 of input 'offset' is 3; it must be 2"},
    {.name = "deform_mask_shape",
     .op = "DeformConv",
     .opset = 22,
     .inputs = "f32[1,1,2,2]=normal f32[1,1,1,1]={1} f32[1,2,2,2]=normal - f32[1,1,2,3]=normal",
     .fails = SDX_SHAPE,
     .says = "dimension 3 of input 'mask' is 3; it must be 2"},
    {.name = "deform_offset_group",
     .op = "DeformConv",
     .opset = 22,
     .attributes = "offset_group:int=2",
     .inputs = "f32[1,1,2,2]=normal f32[1,1,1,1]={1} f32[1,4,2,2]=normal",
     .fails = SDX_VALUE,
     .says = "attribute 'offset_group' is 2"},
    {.name = "col2im",
     .op = "Col2Im",
     .opset = 18,
     .inputs = "T[2,12,20]=ints(0,9) i64[2]={5 7} i64[2]={2 3}",
     .reference = col2im,
     .types = "T=bool|u8|i8|u16|i16|u32|i32|u64|i64|f16|bf16|f32|f64|c64|c128"},
    {.name = "col2im_strided",
     .op = "Col2Im",
     .opset = 18,
     .attributes = "strides:ints=[2,2] pads:ints=[1,0,1,2] dilations:ints=[2,1]",
     .inputs = "T[1,8,9]=ints(0,9) i64[2]={5 5} i64[2]={2 2}",
     .types = "T=bool|u8|i16|u32|i64|f16|bf16|f32|f64|c64|c128",
     .reference = col2im},
    {.name = "col2im_3d",
     .op = "Col2Im",
     .opset = 18,
     .attributes = "strides:ints=[1,1,2]",
     .inputs = "T[N,24,18]=normal i64[3]={3 4 5} i64[3]={1 2 3}",
     .dims = "N=0..2",
     .types = "T=f16|f32|f64",
     .reference = col2im},
    {.name = "col2im_wraps",
     .op = "Col2Im",
     .opset = 18,
     .inputs = "u8[1,4,9]=const(200) i64[2]={4 4} i64[2]={2 2}",
     .reference = col2im_bytes},
    {.name = "col2im_1d",
     .op = "Col2Im",
     .opset = 18,
     .inputs = "f32[1,2,3]={1 2 3 10 20 30} i64[1]={4} i64[1]={2}",
     .expect = "f32[1,1,4]={1,12,23,30}"},
    {.name = "col2im_text",
     .op = "Col2Im",
     .opset = 18,
     .inputs = "string[1,1,1]={'a'} i64[1]={1} i64[1]={1}",
     .fails = SDX_TYPE,
     .says = "strings cannot be added"},
    {.name = "col2im_columns",
     .op = "Col2Im",
     .opset = 18,
     .inputs = "f32[1,2,4]=normal i64[1]={4} i64[1]={2}",
     .fails = SDX_SHAPE,
     .says = "dimension 2 of input 'input' is 4; the image has room for 3 blocks"},
    {.name = "col2im_block",
     .op = "Col2Im",
     .opset = 18,
     .inputs = "f32[1,3,3]=normal i64[1]={4} i64[1]={2}",
     .fails = SDX_SHAPE,
     .says = "must divide it"},
    {.name = "col2im_zero_block",
     .op = "Col2Im",
     .opset = 18,
     .inputs = "f32[1,3,3]=normal i64[1]={4} i64[1]={0}",
     .fails = SDX_VALUE,
     .says = "entry 0 of input 'block_shape' is 0"},
    {.name = "col2im_absurd",
     .op = "Col2Im",
     .opset = 18,
     .inputs = "f32[1,1,1]=normal i64[2]={9000000000000000000 9} i64[2]={1 1}",
     .fails = SDX_SHAPE,
     .says = "9000000000000000000"},
    {.name = "unpool",
     .op = "MaxUnpool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[2,2] strides:ints=[2,2]",
     .inputs = "T1[1,2,2,3]=normal i64[1,2,2,3]={1 2 10 13 18 23 24 26 29 30 36 47}",
     .reference = unpool},
    {.name = "unpool_shape",
     .op = "MaxUnpool",
     .opset = 11,
     .attributes = "kernel_shape:ints=[2,2] strides:ints=[2,2]",
     .inputs = "T1[1,1,2,2]=normal i64[1,1,2,2]={5 7 13 15} i64[4]={1 1 5 6}",
     .reference = unpool},
    {.name = "unpool_elsewhere",
     .op = "MaxUnpool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[3] strides:ints=[2] pads:ints=[1,0]",
     .inputs = "f32[2,2,3]=normal i64[2,2,3]={23 22 21 1 2 3 4 4 4 0 7 9}",
     .reference = unpool},
    {.name = "unpool_smaller",
     .op = "MaxUnpool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[3] strides:ints=[2]",
     .inputs = "f32[1,1,2]={7 8} i64[1,1,2]={0 3} i64[3]={1 1 4}",
     .expect = "f32[1,1,4]={7,0,0,8}"},
    {.name = "unpool_empty",
     .op = "MaxUnpool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[3]",
     .inputs = "f32[0,1,2]=normal i64[0,1,2]=range",
     .expect = "f32[0,1,4]={}"},
    {.name = "unpool_place",
     .op = "MaxUnpool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[2]",
     .inputs = "f32[1,1,2]=normal i64[1,1,2]={0 3}",
     .fails = SDX_VALUE,
     .says = "element 1 of input 'I' is 3; it must be in [0, 2]"},
    {.name = "unpool_channels",
     .op = "MaxUnpool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[2]",
     .inputs = "f32[1,1,2]=normal i64[1,1,2]={0 1} i64[3]={1 2 4}",
     .fails = SDX_VALUE,
     .says = "entry 1 of input 'output_shape' is 2"},
    {.name = "unpool_indices",
     .op = "MaxUnpool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[2]",
     .inputs = "f32[1,1,2]=normal i64[1,1,3]={0 1 2}",
     .fails = SDX_SHAPE,
     .says = "dimensions of inputs 'X' and 'I'"},
};
SDX_CASES_END
