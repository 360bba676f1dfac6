/* SPDX-License-Identifier: Apache-2.0
 * Shape and Size: of every dtype, whatever the contents. */
#include "tests/ops/case.h"

static void shape(sdx_case_run *run) {
    int64_t n = run->in[0].rank;
    double *y = sdx_case_output(run, 0, 1, &n);
    for (int64_t k = 0; k < n; k++) y[k] = (double)run->in[0].dim[k];
}

static void size(sdx_case_run *run) { *sdx_case_output(run, 0, 0, NULL) = (double)run->in[0].count; }

const sdx_case sdx_cases[] = {
    {.name = "shape",
     .op = "Shape",
     .opset = 25,
     .inputs = "T[N,3,M]=const(1)",
     .dims = "N=0..4 M=1..5",
     .reference = shape},
    {.name = "shape_old", .op = "Shape", .opset = 1, .inputs = "T[2,N]=const(1)", .dims = "N=0..4", .reference = shape},
    {.name = "shape_scalar", .op = "Shape", .opset = 13, .inputs = "f32[]={1}", .expect = "i64[0]={}"},
    {.name = "shape_part",
     .op = "Shape",
     .opset = 15,
     .attributes = "start:int=1 end:int=-1",
     .inputs = "f32[2,3,4,5]=const(0)",
     .expect = "i64[2]={3,4}"},
    {.name = "shape_from_end",
     .op = "Shape",
     .opset = 15,
     .attributes = "start:int=-2",
     .inputs = "f32[2,3,4]=const(0)",
     .expect = "i64[2]={3,4}"},
    {.name = "shape_clamped",
     .op = "Shape",
     .opset = 15,
     .attributes = "start:int=-9 end:int=9",
     .inputs = "f32[2,3]=const(0)",
     .expect = "i64[2]={2,3}"},
    {.name = "shape_crossed",
     .op = "Shape",
     .opset = 15,
     .attributes = "start:int=2 end:int=1",
     .inputs = "f32[2,3,4]=const(0)",
     .expect = "i64[0]={}"},
    {.name = "shape_extreme",
     .op = "Shape",
     .opset = 15,
     .attributes = "start:int=-4611686018427387904 end:int=4611686018427387904",
     .inputs = "f32[2,3]=const(0)",
     .expect = "i64[2]={2,3}"},
    {.name = "size",
     .op = "Size",
     .opset = 25,
     .inputs = "T[N,3,M]=const(1)",
     .dims = "N=0..4 M=1..5",
     .reference = size},
    {.name = "size_scalar", .op = "Size", .opset = 1, .inputs = "T[]=const(1)", .reference = size},
};
SDX_CASES_END
