/* SPDX-License-Identifier: Apache-2.0
 * Conv and ConvTranspose. */
#include "tests/ops/window_reference.h"

static void conv(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0], *w = &run->in[1];
    const ref_window win = ref_window_of(run, x, w->dim + 2);
    const int64_t group = sdx_case_int(run, "group", 1), maps = w->dim[0], channels = w->dim[1];
    const int64_t outputs = ref_count(win.out, win.rank), inputs = ref_count(win.in, win.rank);
    const int64_t taps = ref_count(win.kernel, win.rank);
    int64_t dims[8] = {x->dim[0], maps};
    for (int d = 0; d < win.rank; d++) dims[d + 2] = win.out[d];
    double *y = sdx_case_output(run, 0, x->rank, dims);
    for (int64_t k = 0; k < x->dim[0] * maps * outputs; k++) {
        const int64_t map = k / outputs % maps, image = k / outputs / maps, first = map / (maps / group) * channels;
        double sum = run->n_in > 2 && run->in[2].present ? run->in[2].v[map] : 0;
        for (int64_t c = 0; c < channels; c++)
            for (int64_t tap = 0; tap < taps; tap++) {
                const int64_t at = ref_place(&win, k % outputs, tap);
                if (at >= 0)
                    sum +=
                        w->v[(map * channels + c) * taps + tap] * x->v[(image * x->dim[1] + first + c) * inputs + at];
            }
        y[k] = sum;
    }
}

/* The window of the convolution whose input is Y. */
static void transposed(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0], *w = &run->in[1];
    ref_window win = ref_window_of(run, x, w->dim + 2);
    const int64_t group = sdx_case_int(run, "group", 1), each = w->dim[1], maps = each * group, channels = x->dim[1];
    int64_t dims[8] = {x->dim[0], maps}, extra[6] = {0};
    sdx_case_ints(run, "output_padding", extra, 6);
    for (int d = 0; d < win.rank; d++) {
        win.out[d] = x->dim[d + 2];
        win.in[d] = (win.out[d] - 1) * win.stride[d] + (win.kernel[d] - 1) * win.dilation[d] + 1 + extra[d] -
                    win.begin[d] - win.end[d];
        dims[d + 2] = win.in[d];
    }
    const int64_t outputs = ref_count(win.in, win.rank), inputs = ref_count(win.out, win.rank);
    const int64_t taps = ref_count(win.kernel, win.rank);
    double *y = sdx_case_output(run, 0, x->rank, dims);
    for (int64_t k = 0; k < x->dim[0] * maps * outputs; k++)
        y[k] = run->n_in > 2 && run->in[2].present ? run->in[2].v[k / outputs % maps] : 0;
    for (int64_t image = 0; image < x->dim[0]; image++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t m = 0; m < each; m++)
                for (int64_t o = 0; o < inputs; o++)
                    for (int64_t tap = 0; tap < taps; tap++) {
                        const int64_t at = ref_place(&win, o, tap), map = c / (channels / group) * each + m;
                        if (at >= 0)
                            y[(image * maps + map) * outputs + at] +=
                                x->v[(image * channels + c) * inputs + o] * w->v[(c * each + m) * taps + tap];
                    }
}

const sdx_case sdx_cases[] = {
    {.name = "conv_1d",
     .op = "Conv",
     .opset = 22,
     .attributes = "pads:ints=[1,2] strides:ints=[2]",
     .inputs = "T[N,C,L]=normal T[M,C,3]=normal T[M]=normal",
     .dims = "N=1..2 C=1..5 L=3..40 M=1..20",
     .reference = conv,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "conv_2d",
     .op = "Conv",
     .opset = 22,
     .attributes = "pads:ints=[1,1,1,1]",
     .inputs = "T[N,C,H,W]=normal T[M,C,3,3]=normal T[M]=normal",
     .dims = "N=1..2 C=1..6 H=1..20 W=1..40 M=1..20",
     .reference = conv,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "conv_pointwise",
     .op = "Conv",
     .opset = 11,
     .inputs = "T[N,C,H,W]=normal T[M,C,1,1]=normal",
     .dims = "N=1..3 C=1..40 H=1..9 W=1..9 M=1..20",
     .reference = conv,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "conv_strided_dilated",
     .op = "Conv",
     .opset = 22,
     .attributes = "pads:ints=[2,0,1,3] strides:ints=[2,3] dilations:ints=[1,2] kernel_shape:ints=[3,2]",
     .inputs = "T[2,3,H,W]=normal T[4,3,3,2]=normal - ",
     .dims = "H=5..12 W=5..50",
     .reference = conv,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "conv_grouped",
     .op = "Conv",
     .opset = 22,
     .attributes = "group:int=3 pads:ints=[0,1,1,0]",
     .inputs = "T[2,3*C,H,9]=normal T[3*M,C,2,3]=normal T[3*M]=normal",
     .dims = "C=2..4 M=1..5 H=2..9",
     .reference = conv,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "conv_depthwise",
     .op = "Conv",
     .opset = 22,
     .attributes = "group:int=4 pads:ints=[1,1,1,1]",
     .inputs = "T[N,4,H,W]=normal T[4*M,1,3,3]=normal T[4*M]=normal",
     .dims = "N=1..2 M=1..2 H=1..20 W=1..40",
     .reference = conv,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "conv_depthwise_strided",
     .op = "Conv",
     .opset = 22,
     .attributes = "group:int=2 auto_pad:string=SAME_UPPER strides:ints=[2,2]",
     .inputs = "T[1,2,H,W]=normal T[2,1,5,5]=normal",
     .dims = "H=1..20 W=1..40",
     .reference = conv,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "conv_depthwise_1d",
     .op = "Conv",
     .opset = 11,
     .attributes = "group:int=3 dilations:ints=[2] strides:ints=[3]",
     .inputs = "T[2,3,L]=normal T[3,1,4]=normal",
     .dims = "L=7..60",
     .reference = conv,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "conv_3d",
     .op = "Conv",
     .opset = 22,
     .attributes = "auto_pad:string=SAME_LOWER strides:ints=[1,2,1]",
     .inputs = "T[1,2,A,B,C]=normal T[3,2,2,3,2]=normal T[3]=normal",
     .dims = "A=1..5 B=1..6 C=1..9",
     .reference = conv,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "conv_4d",
     .op = "Conv",
     .opset = 22,
     .inputs = "T[1,2,3,3,3,4]=normal T[2,2,2,2,2,2]=normal",
     .reference = conv,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "conv_no_images",
     .op = "Conv",
     .opset = 22,
     .inputs = "T[0,2,5,5]=normal T[3,2,3,3]=normal",
     .reference = conv},
    {.name = "conv_channels",
     .op = "Conv",
     .opset = 22,
     .inputs = "f32[1,4,5,5]=normal f32[3,2,3,3]=normal",
     .fails = SDX_SHAPE,
     .says = "input 'X' has 4 channels"},
    {.name = "conv_group_0",
     .op = "Conv",
     .opset = 22,
     .attributes = "group:int=0",
     .inputs = "f32[1,2,5,5]=normal f32[3,2,3,3]=normal",
     .fails = SDX_VALUE,
     .says = "attribute 'group' is 0"},
    {.name = "conv_group_divides",
     .op = "Conv",
     .opset = 22,
     .attributes = "group:int=2",
     .inputs = "f32[1,4,5,5]=normal f32[3,2,3,3]=normal",
     .fails = SDX_SHAPE,
     .says = "must divide it"},
    {.name = "conv_kernel_shape",
     .op = "Conv",
     .opset = 22,
     .attributes = "kernel_shape:ints=[3,2]",
     .inputs = "f32[1,2,5,5]=normal f32[3,2,3,3]=normal",
     .fails = SDX_SHAPE,
     .says = "attribute 'kernel_shape' has 2 at 1; input 'W' has 3"},
    {.name = "conv_bias",
     .op = "Conv",
     .opset = 22,
     .inputs = "f32[1,2,5,5]=normal f32[3,2,3,3]=normal f32[2]=normal",
     .fails = SDX_SHAPE,
     .says = "input 'B' has 2 elements"},
    {.name = "conv_too_small",
     .op = "Conv",
     .opset = 22,
     .inputs = "f32[1,2,2,5]=normal f32[3,2,3,3]=normal",
     .fails = SDX_SHAPE,
     .says = "the window needs 3"},
    {.name = "conv_stride_0",
     .op = "Conv",
     .opset = 22,
     .attributes = "strides:ints=[1,0]",
     .inputs = "f32[1,2,5,5]=normal f32[3,2,3,3]=normal",
     .fails = SDX_VALUE,
     .says = "attribute 'strides' holds 0"},
    {.name = "conv_pads_count",
     .op = "Conv",
     .opset = 22,
     .attributes = "pads:ints=[1,1]",
     .inputs = "f32[1,2,5,5]=normal f32[3,2,3,3]=normal",
     .fails = SDX_SHAPE,
     .says = "attribute 'pads' has 2 entries"},
    {.name = "transpose_2d",
     .op = "ConvTranspose",
     .opset = 22,
     .attributes = "strides:ints=[2,3] pads:ints=[1,0,0,1]",
     .inputs = "T[N,C,H,W]=normal T[C,M,3,3]=normal T[M]=normal",
     .dims = "N=1..2 C=1..4 H=1..7 W=1..9 M=1..5",
     .reference = transposed,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "transpose_1d_grouped",
     .op = "ConvTranspose",
     .opset = 11,
     .attributes = "group:int=2 strides:ints=[3] dilations:ints=[2] output_padding:ints=[1]",
     .inputs = "T[2,2*C,L]=normal T[2*C,M,3]=normal",
     .dims = "C=1..4 L=1..9 M=1..3",
     .reference = transposed,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "transpose_3d",
     .op = "ConvTranspose",
     .opset = 22,
     .inputs = "T[1,2,A,3,4]=normal T[2,3,2,1,3]=normal",
     .dims = "A=1..4",
     .reference = transposed,
     .rtol = 1e-4,
     .atol = 1e-4},
    {.name = "transpose_same_upper",
     .op = "ConvTranspose",
     .opset = 11,
     .attributes = "auto_pad:string=SAME_UPPER strides:ints=[2]",
     .inputs = "f32[1,1,2]={1 10} f32[1,1,3]={1 2 3}",
     .expect = "f32[1,1,4]={1,2,13,20}"},
    {.name = "transpose_output_shape",
     .op = "ConvTranspose",
     .opset = 11,
     .attributes = "output_shape:ints=[4] strides:ints=[2]",
     .inputs = "f32[1,1,2]={1 10} f32[1,1,3]={1 2 3}",
     .expect = "f32[1,1,4]={2,13,20,30}"},
    {.name = "transpose_empty",
     .op = "ConvTranspose",
     .opset = 22,
     .attributes = "pads:ints=[2,2]",
     .inputs = "f32[1,1,2]=normal f32[1,1,3]=normal",
     .fails = SDX_SHAPE,
     .says = "would have length 0"},
    {.name = "transpose_channels",
     .op = "ConvTranspose",
     .opset = 22,
     .inputs = "f32[1,3,2]=normal f32[2,1,3]=normal",
     .fails = SDX_SHAPE,
     .says = "input 'X' has 3 channels; input 'W' is for 2"},
};
SDX_CASES_END
