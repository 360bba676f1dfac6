/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/ops/case.h"
#include <math.h>

static void swi_glu(sdx_case_run *run) {
    const double alpha = sdx_case_float(run, "alpha", 1);
    double *y = sdx_case_output_like(run, 0, 0);
    for (int64_t k = 0; k < run->in[0].count; k++) {
        double a = run->in[0].v[k];
        y[k] = a / (1 + exp(-alpha * a)) * run->in[1].v[k];
    }
}

#define SWIGLU(suffix, ...)                                                                                            \
    { .name = "swi_glu_" suffix, .op = "SwiGLU", .opset = 28, __VA_ARGS__ }

const sdx_case sdx_cases[] = {
    SWIGLU("plain", .inputs = "T[N,C]=normal T[N,C]=normal", .dims = "N=0..4 C=1..900", .reference = swi_glu),
    SWIGLU("alpha", .attributes = "alpha:float=-1.7", .inputs = "T[2,3,4]=normal T[2,3,4]=normal",
           .reference = swi_glu),
    SWIGLU("scalar", .inputs = "T[]={1.5} T[]={-2}", .reference = swi_glu),
    SWIGLU("one_element", .inputs = "T[1,1]={1.5} T[1,1]={-2}", .reference = swi_glu),
    SWIGLU("bad_shape", .inputs = "T[2,3]=normal T[1,3]=normal", .fails = SDX_SHAPE,
           .says = "dimensions of 'A' and 'B'"),
    SWIGLU("bad_rank", .inputs = "T[2,3]=normal T[3]=normal", .fails = SDX_SHAPE, .says = "input 'B' has rank 1"),
};
SDX_CASES_END
