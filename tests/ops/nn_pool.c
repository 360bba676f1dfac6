/* SPDX-License-Identifier: Apache-2.0
 * MaxPool, AveragePool, LpPool and the global pools. */
#include "tests/ops/window_reference.h"
#include <math.h>

static ref_window window_of(sdx_case_run *run, int64_t *dims) {
    const sdx_ref *x = &run->in[0];
    int64_t kernel[6];
    sdx_case_ints(run, "kernel_shape", kernel, 6);
    const ref_window w = ref_window_of(run, x, kernel);
    dims[0] = x->dim[0], dims[1] = x->dim[1];
    for (int d = 0; d < w.rank; d++) dims[d + 2] = w.out[d];
    return w;
}

/* The same element, counted with the first spatial dimension fastest. */
static int64_t column_major(const ref_window *w, int64_t at) {
    int64_t index[6], flat = 0;
    for (int d = w->rank - 1; d >= 0; d--) index[d] = at % w->in[d], at /= w->in[d];
    for (int d = w->rank - 1; d >= 0; d--) flat = flat * w->in[d] + index[d];
    return flat;
}

static void max_pool(sdx_case_run *run) {
    int64_t dims[8];
    const sdx_ref *x = &run->in[0];
    const ref_window w = window_of(run, dims);
    const int64_t outputs = ref_count(w.out, w.rank), inputs = ref_count(w.in, w.rank);
    double *y = sdx_case_output(run, 0, x->rank, dims), *index = sdx_case_output(run, 1, x->rank, dims);
    for (int64_t k = 0; k < x->dim[0] * x->dim[1] * outputs; k++) {
        const int64_t plane = k / outputs * inputs;
        int64_t best = -1;
        for (int64_t tap = 0; tap < ref_count(w.kernel, w.rank); tap++) {
            const int64_t at = ref_place(&w, k % outputs, tap);
            if (at >= 0 && (best < 0 || x->v[plane + at] > x->v[plane + best])) best = at;
        }
        y[k] = x->v[plane + best];
        index[k] = (double)(plane + (sdx_case_int(run, "storage_order", 0) ? column_major(&w, best) : best));
    }
}

static void sums(sdx_case_run *run, double p) {
    int64_t dims[8];
    const sdx_ref *x = &run->in[0];
    const ref_window w = window_of(run, dims);
    const int64_t outputs = ref_count(w.out, w.rank), inputs = ref_count(w.in, w.rank);
    double *y = sdx_case_output(run, 0, x->rank, dims);
    for (int64_t k = 0; k < x->dim[0] * x->dim[1] * outputs; k++) {
        double sum = 0, count = 0;
        for (int64_t tap = 0; tap < ref_count(w.kernel, w.rank); tap++) {
            const int64_t at = ref_place(&w, k % outputs, tap);
            if (at >= 0) sum += p > 0 ? pow(fabs(x->v[k / outputs * inputs + at]), p) : x->v[k / outputs * inputs + at];
            count += at >= 0 || (at == -1 && sdx_case_int(run, "count_include_pad", 0));
        }
        y[k] = p > 0 ? pow(sum, 1 / p) : sum / count;
    }
}
static void average_pool(sdx_case_run *run) { sums(run, 0); }
static void lp_pool(sdx_case_run *run) { sums(run, (double)sdx_case_int(run, "p", 2)); }

static double *global_output(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0];
    int64_t dims[8] = {x->dim[0], x->dim[1]};
    for (int d = 2; d < x->rank; d++) dims[d] = 1;
    return sdx_case_output(run, 0, x->rank, dims);
}
static void global_pool(sdx_case_run *run, char kind) {
    const sdx_ref *x = &run->in[0];
    const double p = (double)sdx_case_int(run, "p", 2);
    double *y = global_output(run);
    const int64_t n = sdx_ref_extent(x, 2, x->rank);
    for (int64_t k = 0; k < x->dim[0] * x->dim[1]; k++) {
        double sum = 0, most = x->v[k * n];
        for (int64_t q = k * n; q < (k + 1) * n; q++) {
            sum += kind == 'p' ? pow(fabs(x->v[q]), p) : x->v[q];
            most = x->v[q] > most ? x->v[q] : most;
        }
        y[k] = kind == 'm' ? most : kind == 'p' ? pow(sum, 1 / p) : sum / (double)n;
    }
}
static void global_average(sdx_case_run *run) { global_pool(run, 'a'); }
static void global_max(sdx_case_run *run) { global_pool(run, 'm'); }
static void global_lp(sdx_case_run *run) { global_pool(run, 'p'); }

const sdx_case sdx_cases[] = {
    {.name = "max_2d",
     .op = "MaxPool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[3,3] strides:ints=[2,2] pads:ints=[1,1,1,1]",
     .inputs = "T[N,C,H,W]=ints(-90,90)",
     .dims = "N=1..2 C=1..3 H=2..20 W=2..50",
     .reference = max_pool,
     .flags = SDX_CASE_KINKS},
    {.name = "max_normal",
     .op = "MaxPool",
     .opset = 22,
     .attributes =
         "kernel_shape:ints=[3,2] strides:ints=[2,1] pads:ints=[1,0,0,1] dilations:ints=[1,2] ceil_mode:int=1",
     .inputs = "T[N,2,H,W]=normal",
     .dims = "N=1..2 H=3..20 W=3..40",
     .reference = max_pool},
    {.name = "max_u8",
     .op = "MaxPool",
     .opset = 12,
     .attributes = "kernel_shape:ints=[2,3] ceil_mode:int=1 strides:ints=[1,2]",
     .inputs = "u8[2,2,H,W]=ints(0,255)",
     .dims = "H=2..9 W=3..30",
     .reference = max_pool},
    {.name = "max_indices",
     .op = "MaxPool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[2,3] dilations:ints=[1,2]",
     .inputs = "T[2,2,H,W]=ints(0,9)",
     .outputs = "Y Indices",
     .dims = "H=2..9 W=5..30",
     .reference = max_pool,
     .flags = SDX_CASE_KINKS}, /* equal elements */
    {.name = "max_indices_columns",
     .op = "MaxPool",
     .opset = 11,
     .attributes = "kernel_shape:ints=[2,2,2] storage_order:int=1 strides:ints=[2,2,1]",
     .inputs = "T[1,2,4,5,6]=ints(0,9)",
     .outputs = "Y Indices",
     .reference = max_pool,
     .flags = SDX_CASE_KINKS},
    {.name = "max_only_indices",
     .op = "MaxPool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[2]",
     .inputs = "f32[1,2,3]={1 2 3 6 5 4}",
     .outputs = "- Indices",
     .expect = "i64[1,2,2]={1,2,3,4}"},
    {.name = "max_1d_same",
     .op = "MaxPool",
     .opset = 8,
     .attributes = "kernel_shape:ints=[4] auto_pad:string=SAME_LOWER strides:ints=[3]",
     .inputs = "T[1,2,L]=ints(-90,90)",
     .dims = "L=1..40",
     .types = "T=f32|f64|f16",
     .reference = max_pool,
     .flags = SDX_CASE_KINKS},
    {.name = "max_nan",
     .op = "MaxPool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[2]",
     .inputs = "f32[1,1,5]={1 nan 2 3 -inf}",
     .expect = "f32[1,1,4]={nan,nan,3,3}"},
    {.name = "max_ceil_padding",
     .op = "MaxPool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[2] strides:ints=[3] pads:ints=[0,1] ceil_mode:int=1",
     .inputs = "f32[1,1,3]={1 2 3}",
     .expect = "f32[1,1,1]={2}"},
    {.name = "max_pads",
     .op = "MaxPool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[2] pads:ints=[2,0]",
     .inputs = "f32[1,1,3]=normal",
     .fails = SDX_VALUE,
     .says = "attribute 'pads' holds 2; it must be below the kernel's 2"},
    {.name = "max_kernel_0",
     .op = "MaxPool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[0]",
     .inputs = "f32[1,1,3]=normal",
     .fails = SDX_VALUE,
     .says = "attribute 'kernel_shape' holds 0"},
    {.name = "max_kernel_count",
     .op = "MaxPool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[2,2]",
     .inputs = "f32[1,1,3]=normal",
     .fails = SDX_SHAPE,
     .says = "attribute 'kernel_shape' has 2 entries"},
    {.name = "max_order",
     .op = "MaxPool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[2] storage_order:int=2",
     .inputs = "f32[1,1,3]=normal",
     .fails = SDX_VALUE,
     .says = "attribute 'storage_order' is 2"},
    {.name = "average_2d",
     .op = "AveragePool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[3,3] pads:ints=[1,2,1,0]",
     .inputs = "T[N,2,H,W]=normal",
     .dims = "N=1..2 H=3..20 W=3..40",
     .reference = average_pool},
    {.name = "average_with_pads",
     .op = "AveragePool",
     .opset = 19,
     .attributes =
         "kernel_shape:ints=[3,2] pads:ints=[1,1,1,1] count_include_pad:int=1 ceil_mode:int=1 strides:ints=[2,3]",
     .inputs = "T[2,2,H,W]=normal",
     .dims = "H=3..9 W=3..30",
     .reference = average_pool},
    {.name = "average_longer_than_all",
     .op = "AveragePool",
     .opset = 19,
     .attributes =
         "kernel_shape:ints=[20,17] strides:ints=[20,17] pads:ints=[0,1,0,2] dilations:ints=[1,2] ceil_mode:int=1",
     .inputs = "T[2,3,H,W]=normal",
     .dims = "H=1..25 W=14..22",
     .reference = average_pool},
    {.name = "average_longer_with_padding",
     .op = "AveragePool",
     .opset = 19,
     .attributes = "kernel_shape:ints=[40] strides:ints=[40] pads:ints=[3,4] count_include_pad:int=1 ceil_mode:int=1",
     .inputs = "T[2,3,L]=normal",
     .dims = "L=1..9",
     .reference = average_pool},
    {.name = "max_longer_than_all",
     .op = "MaxPool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[20,17] strides:ints=[20,17] ceil_mode:int=1",
     .inputs = "T[2,3,H,W]=normal",
     .dims = "H=1..25 W=1..20",
     .types = "T=f16|f32|f64",
     .reference = max_pool},
    {.name = "average_ceil",
     .op = "AveragePool",
     .opset = 10,
     .attributes = "kernel_shape:ints=[3] strides:ints=[2] ceil_mode:int=1",
     .inputs = "T[1,3,L]=normal",
     .dims = "L=3..20",
     .types = "T=f16|f32|f64",
     .reference = average_pool},
    {.name = "average_3d",
     .op = "AveragePool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[2,1,3] dilations:ints=[2,1,1]",
     .inputs = "T[1,2,5,2,6]=normal",
     .reference = average_pool},
    {.name = "lp_2d",
     .op = "LpPool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[2,3] p:int=3 pads:ints=[1,0,0,2]",
     .inputs = "T[2,2,H,W]=normal",
     .dims = "H=2..9 W=3..30",
     .reference = lp_pool},
    {.name = "lp_ceil",
     .op = "LpPool",
     .opset = 18,
     .attributes = "kernel_shape:ints=[3] strides:ints=[2] ceil_mode:int=1",
     .inputs = "T[1,3,L]=normal",
     .dims = "L=3..20",
     .types = "T=f16|f32|f64",
     .reference = lp_pool},
    {.name = "lp_0",
     .op = "LpPool",
     .opset = 22,
     .attributes = "kernel_shape:ints=[3] p:int=0",
     .inputs = "f32[1,1,3]=normal",
     .fails = SDX_VALUE,
     .says = "attribute 'p' is 0"},
    {.name = "global_average",
     .op = "GlobalAveragePool",
     .opset = 22,
     .inputs = "T[N,C,H,W]=normal",
     .dims = "N=1..2 C=1..9 H=1..9 W=1..9",
     .reference = global_average},
    {.name = "global_max",
     .op = "GlobalMaxPool",
     .opset = 22,
     .inputs = "T[2,C,L]=normal",
     .dims = "C=1..9 L=1..50",
     .reference = global_max},
    {.name = "global_lp",
     .op = "GlobalLpPool",
     .opset = 22,
     .attributes = "p:int=3",
     .inputs = "T[2,C,L]=normal",
     .dims = "C=1..9 L=1..50",
     .reference = global_lp},
    {.name = "global_rank",
     .op = "GlobalMaxPool",
     .opset = 22,
     .inputs = "f32[3]=normal",
     .fails = SDX_SHAPE,
     .says = "input 'X' has rank 1"},
};
SDX_CASES_END
