/* SPDX-License-Identifier: Apache-2.0
 * GridSample and AffineGrid. The reference interpolates one axis after the other, from the outermost to the innermost.
 */
#include "tests/ops/moved.h"
#include <math.h>
#include <string.h>

static bool is(const sdx_case_run *run, const char *name, const char *otherwise, char first) {
    return sdx_case_string(run, name, otherwise)[0] == first;
}
static bool corners(const sdx_case_run *run) { return sdx_case_int(run, "align_corners", 0) != 0; }

static double reflected(const sdx_case_run *run, double x, double n) {
    const double low = corners(run) ? 0 : -0.5, high = corners(run) ? n - 1 : n - 0.5;
    if (high <= low) return 0;
    while (x < low || x > high) x = x < low ? 2 * low - x : 2 * high - x;
    return x;
}

/* The index that place `i` of an axis stands for; -1: none. */
static int64_t index_of(const sdx_case_run *run, double i, double n) {
    if (i >= 0 && i < n) return (int64_t)i;
    if (is(run, "padding_mode", "zeros", 'z')) return -1;
    if (is(run, "padding_mode", "zeros", 'r')) i = reflected(run, i, n);
    return (int64_t)fmin(fmax(i, 0), n - 1);
}

static double keys(double x) {
    x = fabs(x);
    const double a = -0.75;
    if (x <= 1) return (a + 2) * x * x * x - (a + 3) * x * x + 1;
    return x < 2 ? a * x * x * x - 5 * a * x * x + 8 * a * x - 4 * a : 0;
}

/* x: coordinates, outermost first; `base`: where the box of dimensions [d, rank) starts. */
static double sample(const sdx_case_run *run, const double *x, int d, int64_t base) {
    const sdx_ref *in = &run->in[0];
    if (d == in->rank) return in->v[base];
    const double n = (double)in->dim[d], at = floor(x[d - 2]);
    const bool cubic = is(run, "mode", "linear", 'c') || strcmp(sdx_case_string(run, "mode", "linear"), "bicubic") == 0;
    double sum = 0;
    for (int k = cubic ? -1 : 0; k <= (cubic ? 2 : 1); k++) {
        const double distance = at + k - x[d - 2], w = cubic ? keys(distance) : 1 - fabs(distance);
        const int64_t i = index_of(run, at + k, n);
        if (i >= 0 && w != 0) sum += w * sample(run, x, d + 1, base + i * sdx_ref_extent(in, d + 1, in->rank));
    }
    return sum;
}

static void grid_sample(sdx_case_run *run) {
    const sdx_ref *in = &run->in[0], *grid = &run->in[1];
    const int rank = in->rank - 2;
    int64_t dims[8] = {in->dim[0], in->dim[1]};
    for (int d = 0; d < rank; d++) dims[d + 2] = grid->dim[d + 1];
    sdx_case_output(run, 0, in->rank, dims);
    const int64_t points = sdx_ref_extent(&run->out[0], 2, in->rank), plane = sdx_ref_extent(in, 2, in->rank);
    const bool nearest = is(run, "mode", "linear", 'n'), zeros = is(run, "padding_mode", "zeros", 'z');
    for (int64_t k = 0; k < run->out[0].count; k++) {
        double x[8];
        int64_t from = 0;
        for (int d = 0; d < rank; d++) {
            const double n = (double)in->dim[d + 2];
            const double v = grid->v[(k / points / in->dim[1] * points + k % points) * rank + rank - 1 - d];
            x[d] = corners(run) ? (v + 1) / 2 * (n - 1) : ((v + 1) * n - 1) / 2;
            if (nearest) x[d] = nearbyint(x[d]);
            if (!zeros && !is(run, "padding_mode", "zeros", 'b')) x[d] = reflected(run, x[d], n);
            const int64_t i = nearest ? index_of(run, x[d], n) : 0;
            from = from < 0 || i < 0 ? -1 : from * in->dim[d + 2] + i;
        }
        if (nearest)
            put(run, 0, k, 0, from < 0 ? -1 : k / points * plane + from);
        else
            run->out[0].v[k] = sample(run, x, 2, k / points * plane);
    }
}

static void truncated(sdx_case_run *run) {
    grid_sample(run);
    for (int64_t k = 0; k < run->out[0].count; k++) run->out[0].v[k] = trunc(run->out[0].v[k]);
}

static void affine_grid(sdx_case_run *run) {
    const sdx_ref *theta = &run->in[0];
    const int rank = (int)theta->dim[1];
    int64_t dims[5] = {theta->dim[0]}, at[5];
    for (int d = 0; d < rank; d++) dims[d + 1] = (int64_t)run->in[1].v[d + 2];
    dims[rank + 1] = rank;
    double *y = sdx_case_output(run, 0, rank + 2, dims);
    for (int64_t k = 0; k < run->out[0].count; k++) {
        spread(rank + 2, dims, k, at);
        const double *row = theta->v + (at[0] * rank + at[rank + 1]) * (rank + 1);
        y[k] = row[rank];
        for (int c = 0; c < rank; c++) {
            const double i = (double)at[rank - c], n = (double)dims[rank - c];
            y[k] += row[c] * (corners(run) ? (n > 1 ? i / (n - 1) * 2 - 1 : 0) : (i + 0.5) / n * 2 - 1);
        }
    }
}

#define NEAR .rtol = 1e-4, .atol = 1e-4
const sdx_case sdx_cases[] = {
    {.name = "nearest",
     .op = "GridSample",
     .opset = 22,
     .attributes = "mode:string=nearest",
     .inputs = "T1[2,3,H,W]=ints(0,99) T2[2,4,5,2]=uniform(-1.2,1.2)",
     .dims = "H=1..7 W=1..8",
     .reference = grid_sample},
    {.name = "nearest_reflected",
     .op = "GridSample",
     .opset = 20,
     .attributes = "mode:string=nearest padding_mode:string=reflection align_corners:int=1",
     .inputs = "f32[1,2,H,W]=normal f32[1,3,7,2]=uniform(-4,4)",
     .dims = "H=1..7 W=1..8",
     .reference = grid_sample},
    {.name = "nearest_reflected_edges",
     .op = "GridSample",
     .opset = 22,
     .attributes = "mode:string=nearest padding_mode:string=reflection",
     .inputs = "f64[1,2,3,4]=normal f64[1,3,7,2]=uniform(-6,6)",
     .reference = grid_sample},
    {.name = "linear",
     .op = "GridSample",
     .opset = 22,
     .inputs = "T1[2,C,H,W]=normal T2[2,9,31,2]=uniform(-1.3,1.3)",
     .dims = "C=1..3 H=1..7 W=1..8",
     .types = "T1=f16|bf16|f32|f64 T2=f16|bf16|f32|f64",
     .reference = grid_sample,
     NEAR},
    {.name = "linear_16",
     .op = "GridSample",
     .opset = 16,
     .attributes = "padding_mode:string=border mode:string=bilinear",
     .inputs = "T1[1,2,5,4]=normal T2[1,3,4,2]=uniform(-2,2)",
     .types = "T1=f16|f32|f64 T2=f16|f32|f64",
     .reference = grid_sample,
     NEAR},
    {.name = "linear_1d",
     .op = "GridSample",
     .opset = 20,
     .attributes = "padding_mode:string=reflection",
     .inputs = "f32[2,3,W]=normal f32[2,9,1]=uniform(-3,3)",
     .dims = "W=1..9",
     .reference = grid_sample,
     NEAR},
    {.name = "linear_3d",
     .op = "GridSample",
     .opset = 20,
     .attributes = "padding_mode:string=border align_corners:int=1",
     .inputs = "T1[2,2,3,4,5]=normal f64[2,2,3,2,3]=uniform(-1.5,1.5)",
     .types = "T1=f16|f32|f64",
     .reference = grid_sample,
     NEAR},
    {.name = "linear_4d",
     .op = "GridSample",
     .opset = 22,
     .inputs = "f64[1,2,2,3,2,3]=normal f64[1,2,1,3,2,4]=uniform(-1.5,1.5)",
     .reference = grid_sample},
    {.name = "linear_whole",
     .op = "GridSample",
     .opset = 22,
     .attributes = "align_corners:int=1",
     .inputs = "T1[1,2,5,5]=ints(0,100) f32[1,1,4,2]={0.25 -0.5 1 0.375 -1.125 0 0.75 0.75}",
     .types = "T1=u8|i8|u16|i16|u32|i32|u64|i64",
     .reference = truncated},
    {.name = "linear_complex",
     .op = "GridSample",
     .opset = 22,
     .inputs = "T1[1,2,3,4]=normal f64[1,3,3,2]=uniform(-1.2,1.2)",
     .types = "T1=c64|c128",
     .reference = grid_sample},
    {.name = "cubic",
     .op = "GridSample",
     .opset = 22,
     .attributes = "mode:string=cubic",
     .inputs = "T1[2,2,H,W]=normal T2[2,3,40,2]=uniform(-1.2,1.2)",
     .dims = "H=1..7 W=1..8",
     .types = "T1=bf16|f32|f64 T2=f32|f64",
     .reference = grid_sample,
     NEAR},
    {.name = "cubic_border",
     .op = "GridSample",
     .opset = 16,
     .attributes = "mode:string=bicubic padding_mode:string=border align_corners:int=1",
     .inputs = "f32[1,2,5,4]=normal f32[1,3,4,2]=uniform(-2,2)",
     .reference = grid_sample,
     NEAR},
    {.name = "cubic_reflected_3d",
     .op = "GridSample",
     .opset = 20,
     .attributes = "mode:string=cubic padding_mode:string=reflection",
     .inputs = "f32[1,2,3,4,2]=normal f32[1,2,3,2,3]=uniform(-2,2)",
     .reference = grid_sample,
     NEAR},
    {.name = "not_a_number",
     .op = "GridSample",
     .opset = 22,
     .inputs = "f32[1,1,2,2]={1 2 3 4} f32[1,1,3,2]={nan 0 inf 0 -0.5 -0.5}",
     .expect = "f32[1,1,1,3]={0,0,1}"},
    {.name = "not_a_number_border",
     .op = "GridSample",
     .opset = 22,
     .attributes = "padding_mode:string=border",
     .inputs = "f32[1,1,2,2]={1 2 3 4} f32[1,1,3,2]={nan -1 inf -1 -inf 1e30}",
     .expect = "f32[1,1,1,3]={1,2,3}"},
    {.name = "not_a_number_reflected",
     .op = "GridSample",
     .opset = 22,
     .attributes = "padding_mode:string=reflection mode:string=nearest",
     .inputs = "f32[1,1,2,2]={1 2 3 4} f32[1,1,2,2]={nan -0.5 inf -0.5}",
     .expect = "f32[1,1,1,2]={1,1}"},
    {.name = "neighbour_of_nan",
     .op = "GridSample",
     .opset = 22,
     .attributes = "align_corners:int=1",
     .inputs = "f32[1,1,2,2]={1 nan nan nan} f32[1,1,1,2]={-1 -1}",
     .expect = "f32[1,1,1,1]={1}"},
    {.name = "from_nothing",
     .op = "GridSample",
     .opset = 22,
     .inputs = "f32[1,1,0,2]=normal f32[1,1,1,2]={0 0}",
     .expect = "f32[1,1,1,1]={0}"},
    {.name = "grid_rank",
     .op = "GridSample",
     .opset = 22,
     .inputs = "f32[1,1,2,2]=normal f32[1,1,2]=normal",
     .fails = SDX_SHAPE,
     .says = "input 'grid' has rank 3; it must be 4"},
    {.name = "grid_last",
     .op = "GridSample",
     .opset = 22,
     .inputs = "f32[1,1,2,2]=normal f32[1,1,1,3]=normal",
     .fails = SDX_SHAPE,
     .says = "3 and 2 must be equal"},
    {.name = "text_linear",
     .op = "GridSample",
     .opset = 22,
     .inputs = "string[1,1,1,1]={'a'} f32[1,1,1,2]=normal",
     .fails = SDX_TYPE,
     .says = "is string"},
    {.name = "old_name",
     .op = "GridSample",
     .opset = 20,
     .attributes = "mode:string=bilinear",
     .inputs = "f32[1,1,2,2]=normal f32[1,1,1,2]=normal",
     .fails = SDX_VALUE,
     .says = "mode"},
    {.name = "affine_2d",
     .op = "AffineGrid",
     .opset = 20,
     .inputs = "T1[N,2,3]=normal i64[4]={2 9 3 700}",
     .dims = "N=2..2",
     .reference = affine_grid},
    {.name = "affine_3d",
     .op = "AffineGrid",
     .opset = 20,
     .attributes = "align_corners:int=1",
     .inputs = "T1[1,3,4]=normal i64[5]={1 1 3 1 5}",
     .reference = affine_grid},
    {.name = "affine_empty",
     .op = "AffineGrid",
     .opset = 20,
     .inputs = "f32[1,2,3]=normal i64[4]={1 1 0 4}",
     .expect = "f32[1,0,4,2]={}"},
    {.name = "affine_batch",
     .op = "AffineGrid",
     .opset = 20,
     .inputs = "f32[2,2,3]=normal i64[4]={3 1 2 2}",
     .fails = SDX_VALUE,
     .says = "entry 0 of input 'size' is 3; input 'theta' has a batch of 2"},
    {.name = "affine_theta",
     .op = "AffineGrid",
     .opset = 20,
     .inputs = "f32[2,3,4]=normal i64[4]={2 1 2 2}",
     .fails = SDX_SHAPE,
     .says = "it must be 2"},
    {.name = "affine_negative",
     .op = "AffineGrid",
     .opset = 20,
     .inputs = "f32[2,2,3]=normal i64[4]={2 1 -2 2}",
     .fails = SDX_VALUE,
     .says = "entry 2 of input 'size' is -2"},
};
SDX_CASES_END
