/* SPDX-License-Identifier: Apache-2.0
 * MatMulInteger, QLinearMatMul, ConvInteger and QLinearConv. */
#include "tests/ops/window_reference.h"
#include <math.h>

static double at(const sdx_case_run *run, int k, int64_t i) {
    if (k >= run->n_in || !run->in[k].present) return 0;
    return run->in[k].v[run->in[k].count == 1 ? 0 : i];
}

static double saturated(const sdx_case_run *run, int zero, double v) {
    const sdx_dtype to = run->in[zero].dtype;
    if (sdx_dtype_class(to) == SDX_CLASS_FLOAT) return v + run->in[zero].v[0];
    v = nearbyint(v) + run->in[zero].v[0];
    return to == SDX_I8 ? fmin(fmax(v, -128), 127) : fmin(fmax(v, 0), 255);
}

/* Sum over k of (a - zero)(b - zero) for matrices A [batch, m, k] and B [k, n] or [batch, k, n]. */
typedef struct product {
    const sdx_ref *a, *b;
    int64_t batch, m, n, k;
} product;
static product product_of(sdx_case_run *run, int b, double **y) {
    product p = {.a = &run->in[0], .b = &run->in[b], .batch = 1, .m = 1, .n = 1};
    int64_t dims[8] = {0};
    int rank = 0;
    for (int d = 0; d < p.a->rank - 2; d++) p.batch *= dims[rank++] = p.a->dim[d];
    if (p.a->rank > 1) p.m = dims[rank++] = p.a->dim[p.a->rank - 2];
    if (p.b->rank > 1) p.n = dims[rank++] = p.b->dim[p.b->rank - 1];
    p.k = p.a->dim[p.a->rank - 1];
    *y = sdx_case_output(run, 0, rank, dims);
    return p;
}
/* Index of the zero point of line i of a batch. */
static int64_t line_of(const sdx_case_run *run, int zero, int64_t batch, int64_t lines, int64_t i) {
    return zero < run->n_in && run->in[zero].rank > 2 ? batch * lines + i : i;
}
static double sum_of(const sdx_case_run *run, const product *p, int zero_a, int zero_b, int64_t batch, int64_t i,
                     int64_t j) {
    double sum = 0, za = at(run, zero_a, line_of(run, zero_a, batch, p->m, i));
    double zb = at(run, zero_b, line_of(run, zero_b, batch, p->n, j));
    const int64_t b0 = p->b->rank > 2 && p->b->dim[0] > 1 ? batch * p->k * p->n : 0;
    for (int64_t q = 0; q < p->k; q++)
        sum += (p->a->v[(batch * p->m + i) * p->k + q] - za) * (p->b->v[b0 + q * p->n + j] - zb);
    return sum;
}

static void matmul(sdx_case_run *run) {
    double *y = NULL;
    product p = product_of(run, 1, &y);
    for (int64_t t = 0; t < p.batch * p.m * p.n; t++)
        y[t] = sum_of(run, &p, 2, 3, t / p.n / p.m, t / p.n % p.m, t % p.n);
}

static void qlinear_matmul(sdx_case_run *run) {
    double *y = NULL;
    product p = product_of(run, 3, &y);
    for (int64_t t = 0; t < p.batch * p.m * p.n; t++) {
        const int64_t batch = t / p.n / p.m, i = t / p.n % p.m, j = t % p.n;
        const float row = (float)at(run, 1, line_of(run, 1, batch, p.m, i));
        const float column = (float)at(run, 4, line_of(run, 4, batch, p.n, j));
        const double factor = (double)(row * column / (float)run->in[6].v[0]);
        y[t] = saturated(run, 7, sum_of(run, &p, 2, 5, batch, i, j) * factor);
    }
}

/* The sum for output k of a convolution of inputs x and w. */
static double conv_sum(const sdx_case_run *run, int x_at, int w_at, int x_zero, int w_zero, const ref_window *win,
                       int64_t k) {
    const sdx_ref *x = &run->in[x_at], *w = &run->in[w_at];
    const int64_t group = sdx_case_int(run, "group", 1), maps = w->dim[0], channels = w->dim[1];
    const int64_t outputs = ref_count(win->out, win->rank), inputs = ref_count(win->in, win->rank);
    const int64_t taps = ref_count(win->kernel, win->rank);
    const int64_t map = k / outputs % maps, image = k / outputs / maps, first = map / (maps / group) * channels;
    double sum = 0;
    for (int64_t c = 0; c < channels; c++)
        for (int64_t tap = 0; tap < taps; tap++) {
            const int64_t place = ref_place(win, k % outputs, tap);
            if (place >= 0)
                sum += (w->v[(map * channels + c) * taps + tap] - at(run, w_zero, map)) *
                       (x->v[(image * x->dim[1] + first + c) * inputs + place] - at(run, x_zero, 0));
        }
    return sum;
}

static double *conv_output(sdx_case_run *run, int w_at, ref_window *win, int64_t *count, int64_t *outputs) {
    const sdx_ref *x = &run->in[0], *w = &run->in[w_at];
    *win = ref_window_of(run, x, w->dim + 2);
    int64_t dims[8] = {x->dim[0], w->dim[0]};
    for (int d = 0; d < win->rank; d++) dims[d + 2] = win->out[d];
    *outputs = ref_count(win->out, win->rank);
    *count = x->dim[0] * w->dim[0] * *outputs;
    return sdx_case_output(run, 0, x->rank, dims);
}

static void conv(sdx_case_run *run) {
    ref_window win;
    int64_t count = 0, outputs = 0;
    double *y = conv_output(run, 1, &win, &count, &outputs);
    for (int64_t k = 0; k < count; k++) y[k] = conv_sum(run, 0, 1, 2, 3, &win, k);
}

static void qlinear_conv(sdx_case_run *run) {
    ref_window win;
    int64_t count = 0, outputs = 0;
    double *y = conv_output(run, 3, &win, &count, &outputs);
    for (int64_t k = 0; k < count; k++) {
        const int64_t map = k / outputs % run->in[3].dim[0];
        const float factor = (float)at(run, 4, map) * (float)run->in[1].v[0] / (float)run->in[6].v[0];
        y[k] = saturated(run, 7, (conv_sum(run, 0, 3, 2, 5, &win, k) + at(run, 8, map)) * (double)factor);
    }
}

/* The whole range of either type. */
#define ANY "=ints(-128,255)"
#define MATMUL(suffix, ...)                                                                                            \
    { .name = "matmul_" suffix, .op = "MatMulInteger", .opset = 10, .reference = matmul, __VA_ARGS__ }
#define QMATMUL(suffix, version, ...)                                                                                  \
    { .name = "qmatmul_" suffix, .op = "QLinearMatMul", .opset = version, .reference = qlinear_matmul, __VA_ARGS__ }
#define CONV(suffix, ...)                                                                                              \
    { .name = "conv_" suffix, .op = "ConvInteger", .opset = 10, .reference = conv, __VA_ARGS__ }
#define QCONV(suffix, ...)                                                                                             \
    { .name = "qconv_" suffix, .op = "QLinearConv", .opset = 10, .reference = qlinear_conv, __VA_ARGS__ }
#define SCALARS "f32[]={0.02} T3[]=ints(3,60)"

const sdx_case sdx_cases[] = {
    MATMUL("plain", .inputs = "T1[M,K]" ANY " T2[K,N]" ANY, .dims = "M=1..40 K=1..40 N=1..70"),
    MATMUL("zeros", .inputs = "T1[M,K]" ANY " T2[K,N]" ANY " T1[]=ints(1,100) T2[]=ints(1,100)",
           .dims = "M=1..40 K=0..40 N=1..70"),
    MATMUL("lines", .inputs = "T1[M,K]" ANY " T2[K,N]" ANY " T1[M]=ints(1,100) T2[N]=ints(1,100)",
           .dims = "M=2..40 K=1..40 N=2..300"),
    MATMUL("only_b_zero", .inputs = "T1[M,K]" ANY " T2[K,N]" ANY " - T2[1]={5}", .dims = "M=1..9 K=1..9 N=1..9"),
    MATMUL("batches", .inputs = "T1[3,M,K]" ANY " T2[3,K,N]" ANY " T1[3,M,1]=ints(1,100) T2[3,1,N]=ints(1,100)",
           .dims = "M=2..20 K=1..20 N=2..20"),
    MATMUL("batch_one_b", .inputs = "T1[3,M,K]" ANY " T2[K,N]" ANY " T1[3,M,1]=ints(1,100) T2[N]=ints(1,100)",
           .dims = "M=2..20 K=1..20 N=2..20"),
    MATMUL("batch_vector", .inputs = "T1[3,M,K]" ANY " T2[K,N]" ANY " T1[M]=ints(1,100) T2[N]=ints(1,100)",
           .dims = "M=2..20 K=1..20 N=2..20"),
    MATMUL("vectors", .inputs = "T1[K]" ANY " T2[K]" ANY " T1[]={3} T2[]={4}", .dims = "K=1..90"),
    MATMUL("column", .inputs = "T1[M,K]" ANY " T2[K]" ANY " T1[]={3} T2[]={4}", .dims = "M=1..90 K=1..90"),
    MATMUL("long", .inputs = "T1[20,5000]" ANY " T2[5000,33]" ANY " T1[]={100} T2[]={7}", .flags = SDX_CASE_SLOW),
    MATMUL("large", .inputs = "T1[M,300]" ANY " T2[300,N]" ANY " T1[M]=ints(0,9) T2[]={7}",
           .dims = "M=520..540 N=500..600", .flags = SDX_CASE_SLOW),
    {.name = "matmul_extremes",
     .op = "MatMulInteger",
     .opset = 10,
     .inputs = "u8[1,4]={255 255 255 255} i8[4,2]={-128 127 -128 127 -128 127 -128 127}",
     .expect = "i32[1,2]={-130560 129540}"},
    {.name = "matmul_extremes_signed",
     .op = "MatMulInteger",
     .opset = 10,
     .inputs = "i8[1,4]={-128 -128 127 127} i8[4,2]={-128 127 -128 127 -128 127 -128 127} i8[]={127} i8[]={-128}",
     .expect = "i32[1,2]={0 -130050}"},
    {.name = "matmul_zero_shape",
     .op = "MatMulInteger",
     .opset = 10,
     .inputs = "u8[2,3]" ANY " u8[3,4]" ANY " u8[3]={1 2 3}",
     .fails = SDX_SHAPE,
     .says = "input 'a_zero_point' is u8[3]"},
    {.name = "matmul_inner",
     .op = "MatMulInteger",
     .opset = 10,
     .inputs = "u8[2,3]" ANY " u8[4,4]" ANY,
     .fails = SDX_SHAPE,
     .says = "inner dimensions"},
    QMATMUL("scalars", 10,
            .inputs =
                "T1[M,K]" ANY " f32[]={0.01} T1[]=ints(0,99) T2[K,N]" ANY " f32[]={0.03} T2[]=ints(0,99) " SCALARS,
            .dims = "M=1..30 K=1..30 N=1..40"),
    QMATMUL("lines", 10,
            .inputs = "T1[M,K]" ANY " f32[M]=uniform(0.01,0.02) T1[M]=ints(0,99) T2[K,N]" ANY
                      " f32[N]=uniform(0.01,0.02) T2[N]=ints(0,99) " SCALARS,
            .dims = "M=2..30 K=1..30 N=2..300"),
    QMATMUL("batches", 10,
            .inputs = "T1[2,M,K]" ANY " f32[2,M,1]=uniform(0.01,0.02) T1[2,M,1]=ints(0,99) T2[2,K,N]" ANY
                      " f32[2,1,N]=uniform(0.01,0.02) T2[2,1,N]=ints(0,99) " SCALARS,
            .dims = "M=2..9 K=1..30 N=2..9"),
    /* few values and scales that are powers of two, so that sums and f8 roundings are exact */
    QMATMUL("21", 21,
            .inputs =
                "T1[M,8]=ints(0,4) TS[]={0.5} T1[]={1} T2[8,N]=ints(0,4) TS[]={0.5} T2[]={1} TS[]={0.25} T3[]={1}",
            .dims = "M=1..9 N=1..9"),
    QMATMUL("21_lines", 21,
            .inputs = "T1[2,M,8]=ints(0,4) TS[2,M,1]=const(0.5) T1[2,M,1]=ints(0,2) T2[8,N]=ints(0,4) TS[N]=const(0.5) "
                      "T2[N]=ints(0,2) TS[]={0.25} T3[]={1}",
            .dims = "M=2..5 N=2..5"),
    {.name = "qmatmul_y_scale",
     .op = "QLinearMatMul",
     .opset = 10,
     .inputs = "u8[2,3]" ANY " f32[]={1} u8[]={0} u8[3,4]" ANY " f32[]={1} u8[]={0} f32[2]={1 2} u8[2]={0 0}",
     .fails = SDX_SHAPE,
     .says = "input 'y_scale' is f32[2]"},
    {.name = "qmatmul_pair",
     .op = "QLinearMatMul",
     .opset = 10,
     .inputs = "u8[2,3]" ANY " f32[2]={1 1} u8[]={0} u8[3,4]" ANY " f32[]={1} u8[]={0} f32[]={1} u8[]={0}",
     .fails = SDX_SHAPE,
     .says = "they must have one shape"},
    CONV("1d", .attributes = "pads:ints=[1,2] strides:ints=[2]",
         .inputs = "T1[N,C,L]" ANY " T2[M,C,3]" ANY " T1[]={7} T2[M]=ints(0,9)",
         .dims = "N=1..2 C=1..5 L=3..40 M=1..20"),
    CONV("2d", .attributes = "pads:ints=[1,1,1,1]", .inputs = "T1[N,C,H,W]" ANY " T2[M,C,3,3]" ANY " T1[1]={7}",
         .dims = "N=1..2 C=1..40 H=1..20 W=1..40 M=1..20"),
    CONV("pointwise", .inputs = "T1[N,C,H,W]" ANY " T2[M,C,1,1]" ANY, .dims = "N=1..3 C=1..40 H=1..9 W=1..9 M=1..20"),
    CONV("strided_dilated",
         .attributes = "pads:ints=[2,0,1,3] strides:ints=[2,3] dilations:ints=[1,2] kernel_shape:ints=[3,2]",
         .inputs = "T1[2,3,H,W]" ANY " T2[4,3,3,2]" ANY " T1[]={9} T2[]={3}", .dims = "H=5..12 W=5..50"),
    CONV("grouped", .attributes = "group:int=3 pads:ints=[0,1,1,0]",
         .inputs = "T1[2,3*C,H,9]" ANY " T2[3*M,C,2,3]" ANY " T1[]={9} T2[3*M]=ints(0,9)",
         .dims = "C=2..4 M=1..5 H=2..9"),
    CONV("depthwise", .attributes = "group:int=4 pads:ints=[1,1,1,1]",
         .inputs = "T1[N,4,H,W]" ANY " T2[4*M,1,3,3]" ANY " T1[]={9}", .dims = "N=1..2 M=1..2 H=1..20 W=1..40"),
    CONV("3d", .attributes = "auto_pad:string=SAME_LOWER strides:ints=[1,2,1]",
         .inputs = "T1[1,2,A,B,C]" ANY " T2[3,2,2,3,2]" ANY, .dims = "A=1..5 B=1..6 C=1..9"),
    CONV("large_kernel", .attributes = "pads:ints=[3,3,4,4]",
         .inputs = "T1[1,1,50,52]" ANY " T2[2,1,50,50]" ANY " T1[]={9}", .flags = SDX_CASE_SLOW),
    CONV("no_images", .inputs = "T1[0,2,5,5]" ANY " T2[3,2,3,3]" ANY),
    {.name = "conv_zero_shape",
     .op = "ConvInteger",
     .opset = 10,
     .inputs = "u8[1,2,5,5]" ANY " u8[3,2,3,3]" ANY " u8[2]={1 2}",
     .fails = SDX_SHAPE,
     .says = "input 'x_zero_point' is u8[2]; it must be a scalar"},
    {.name = "conv_maps_shape",
     .op = "ConvInteger",
     .opset = 10,
     .inputs = "u8[1,2,5,5]" ANY " u8[3,2,3,3]" ANY " u8[]={1} u8[2]={1 2}",
     .fails = SDX_SHAPE,
     .says = "one element for each of 3 maps"},
    QCONV("2d", .attributes = "pads:ints=[1,1,1,1]",
          .inputs = "T1[N,C,H,W]" ANY " f32[]={0.02} T1[]={7} T2[M,C,3,3]" ANY
                    " f32[M]=uniform(0.01,0.02) T2[M]=ints(0,99) f32[]={0.3} T3[]={40} i32[M]=ints(-900,900)",
          .dims = "N=1..2 C=1..9 H=1..20 W=1..40 M=1..20"),
    QCONV("no_bias",
          .inputs = "T1[N,C,H,W]" ANY " f32[]={0.02} T1[]={7} T2[M,C,1,2]" ANY
                    " f32[]={0.01} T2[]={4} f32[1]={0.1} T3[1]={40}",
          .dims = "N=1..2 C=1..9 H=1..9 W=2..40 M=1..20"),
    QCONV("grouped", .attributes = "group:int=2 strides:ints=[2,2]",
          .inputs = "T1[2,2*C,H,9]" ANY " f32[]={0.02} T1[]={7} T2[2*M,C,2,3]" ANY
                    " f32[2*M]=uniform(0.01,0.02) T2[2*M]=ints(0,99) f32[]={0.3} T3[]={40} i32[2*M]=ints(-900,900)",
          .dims = "C=1..4 M=1..5 H=2..9"),
};
SDX_CASES_END
