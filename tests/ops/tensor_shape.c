/* SPDX-License-Identifier: Apache-2.0
 * Reshape, Squeeze, Unsqueeze, Flatten, Transpose, Expand, Tile, Pad, Concat, Split, Slice, DepthToSpace, SpaceToDepth,
 * CenterCropPad. */
#include "tests/ops/moved.h"
#include <string.h>

/* All elements, in order, under the shape that the reference itself works out. */
static void in_order(sdx_case_run *run, int rank, const int64_t *dims) {
    sdx_case_output(run, 0, rank, dims);
    for (int64_t i = 0; i < run->in[0].count; i++) put(run, 0, i, 0, i);
}

static void reshape_halves(sdx_case_run *run) {
    in_order(run, 3, (int64_t[]){run->in[0].dim[0], 2, run->in[0].dim[1] / 2});
}

static void flatten(sdx_case_run *run) {
    int axis = axis_of(run, 1);
    in_order(run, 2,
             (int64_t[]){sdx_ref_extent(&run->in[0], 0, axis), sdx_ref_extent(&run->in[0], axis, run->in[0].rank)});
}

static void squeeze(sdx_case_run *run) { in_order(run, 2, (int64_t[]){run->in[0].dim[1], run->in[0].dim[2]}); }

static void unsqueeze(sdx_case_run *run) { in_order(run, 4, (int64_t[]){1, run->in[0].dim[0], 1, run->in[0].dim[1]}); }

static int64_t transpose_source(const sdx_case_run *run, const int64_t *at) {
    const sdx_ref *in = &run->in[0];
    int64_t perm[SDX_MAX_RANK], from[SDX_MAX_RANK] = {0};
    int n = sdx_case_ints(run, "perm", perm, SDX_MAX_RANK);
    for (int d = 0; d < in->rank; d++) from[n < 0 ? in->rank - 1 - d : perm[d]] = at[d];
    return place(in->rank, in->dim, from);
}

static void transpose(sdx_case_run *run) {
    const sdx_ref *in = &run->in[0];
    int64_t perm[SDX_MAX_RANK], dims[SDX_MAX_RANK];
    int n = sdx_case_ints(run, "perm", perm, SDX_MAX_RANK);
    for (int d = 0; d < in->rank; d++) dims[d] = in->dim[n < 0 ? in->rank - 1 - d : perm[d]];
    moved(run, in->rank, dims, transpose_source);
}

static int64_t expand_source(const sdx_case_run *run, const int64_t *at) {
    const sdx_ref *in = &run->in[0];
    int64_t from[SDX_MAX_RANK];
    int extra = run->out[0].rank - in->rank;
    for (int d = 0; d < in->rank; d++) from[d] = in->dim[d] == 1 ? 0 : at[d + extra];
    return place(in->rank, in->dim, from);
}

/* Of [N,1,M] with [2,1,3,1]. */
static void expand(sdx_case_run *run) {
    moved(run, 4, (int64_t[]){2, run->in[0].dim[0], 3, run->in[0].dim[2]}, expand_source);
}

static int64_t tile_source(const sdx_case_run *run, const int64_t *at) {
    const sdx_ref *in = &run->in[0];
    int64_t from[SDX_MAX_RANK];
    for (int d = 0; d < in->rank; d++) from[d] = at[d] % in->dim[d];
    return place(in->rank, in->dim, from);
}

static void tile(sdx_case_run *run) {
    int64_t dims[SDX_MAX_RANK];
    for (int d = 0; d < run->in[0].rank; d++) dims[d] = run->in[0].dim[d] * (int64_t)run->in[1].v[d];
    moved(run, run->in[0].rank, dims, tile_source);
}

static int64_t pad_index(const char *mode, int64_t at, int64_t n) {
    if (at >= 0 && at < n) return at;
    if (strcmp(mode, "edge") == 0) return at < 0 ? 0 : n - 1;
    if (strcmp(mode, "wrap") == 0) return (at % n + n) % n;
    if (strcmp(mode, "reflect") != 0) return -1;
    while (at < 0 || at >= n) at = at < 0 ? -at : 2 * (n - 1) - at;
    return at;
}

static int64_t pad_source(const sdx_case_run *run, const int64_t *at) {
    const sdx_ref *in = &run->in[0];
    int64_t from[SDX_MAX_RANK];
    for (int d = 0; d < in->rank; d++) {
        from[d] = pad_index(sdx_case_string(run, "mode", "constant"), at[d] - (int64_t)run->in[1].v[d], in->dim[d]);
        if (from[d] < 0) return -1;
    }
    return place(in->rank, in->dim, from);
}

static void pad(sdx_case_run *run) {
    const sdx_ref *in = &run->in[0];
    int64_t dims[SDX_MAX_RANK];
    for (int d = 0; d < in->rank; d++)
        dims[d] = in->dim[d] + (int64_t)run->in[1].v[d] + (int64_t)run->in[1].v[d + in->rank];
    moved(run, in->rank, dims, pad_source);
}

static void concat(sdx_case_run *run) {
    int axis = axis_of(run, 0), rank = run->in[0].rank;
    int64_t dims[SDX_MAX_RANK], at[SDX_MAX_RANK], shift = 0;
    memcpy(dims, run->in[0].dim, sizeof dims);
    for (int k = 1; k < run->n_in; k++) dims[axis] += run->in[k].dim[axis];
    sdx_case_output(run, 0, rank, dims);
    for (int k = 0; k < run->n_in; k++) {
        for (int64_t i = 0; i < run->in[k].count; i++) {
            spread(rank, run->in[k].dim, i, at);
            at[axis] += shift;
            put(run, 0, place(rank, dims, at), k, i);
        }
        shift += run->in[k].dim[axis];
    }
}

/* Two outputs: 1 and the rest along axis 1. */
static void split(sdx_case_run *run) {
    const sdx_ref *in = &run->in[0];
    int64_t at[SDX_MAX_RANK], dims[2][2] = {{in->dim[0], 1}, {in->dim[0], in->dim[1] - 1}};
    for (int k = 0; k < 2; k++) {
        sdx_case_output(run, k, 2, dims[k]);
        for (int64_t i = 0; i < run->out[k].count; i++) {
            spread(2, dims[k], i, at);
            at[1] += k;
            put(run, k, i, 0, place(2, in->dim, at));
        }
    }
}

/* [::-2, 1:] */
static int64_t slice_source(const sdx_case_run *run, const int64_t *at) {
    const int64_t from[2] = {run->in[0].dim[0] - 1 - 2 * at[0], at[1] + 1};
    return place(2, run->in[0].dim, from);
}

static void slice(sdx_case_run *run) {
    moved(run, 2, (int64_t[]){(run->in[0].dim[0] + 1) / 2, run->in[0].dim[1] - 1}, slice_source);
}

static int64_t depth_source(const sdx_case_run *run, const int64_t *at) {
    const sdx_ref *in = &run->in[0];
    int64_t b = sdx_case_int(run, "blocksize", 1), c = in->dim[1] / (b * b), block = at[2] % b * b + at[3] % b;
    bool crd = strcmp(sdx_case_string(run, "mode", "DCR"), "CRD") == 0;
    const int64_t from[4] = {at[0], crd ? at[1] * b * b + block : block * c + at[1], at[2] / b, at[3] / b};
    return place(4, in->dim, from);
}

static void depth_to_space(sdx_case_run *run) {
    const int64_t *in = run->in[0].dim, b = sdx_case_int(run, "blocksize", 1);
    moved(run, 4, (int64_t[]){in[0], in[1] / (b * b), in[2] * b, in[3] * b}, depth_source);
}

static int64_t space_source(const sdx_case_run *run, const int64_t *at) {
    const sdx_ref *in = &run->in[0];
    int64_t b = sdx_case_int(run, "blocksize", 1), block = at[1] / in->dim[1];
    const int64_t from[4] = {at[0], at[1] % in->dim[1], at[2] * b + block / b, at[3] * b + block % b};
    return place(4, in->dim, from);
}

static void space_to_depth(sdx_case_run *run) {
    const int64_t *in = run->in[0].dim, b = sdx_case_int(run, "blocksize", 1);
    moved(run, 4, (int64_t[]){in[0], in[1] * b * b, in[2] / b, in[3] / b}, space_source);
}

static int64_t crop_source(const sdx_case_run *run, const int64_t *at) {
    const sdx_ref *in = &run->in[0];
    int64_t from[2];
    for (int d = 0; d < 2; d++) {
        int64_t want = (int64_t)run->in[1].v[d], have = in->dim[d];
        from[d] = have > want ? at[d] + (have - want) / 2 : at[d] - (want - have) / 2;
        if (from[d] < 0 || from[d] >= have) return -1;
    }
    return place(2, in->dim, from);
}

static void center_crop_pad(sdx_case_run *run) {
    moved(run, 2, (int64_t[]){(int64_t)run->in[1].v[0], (int64_t)run->in[1].v[1]}, crop_source);
}

const sdx_case sdx_cases[] = {
    {.name = "reshape",
     .op = "Reshape",
     .opset = 25,
     .inputs = "T[N,2*M]=normal i64[3]={0 2 -1}",
     .dims = "N=1..4 M=1..5",
     .reference = reshape_halves},
    {.name = "reshape_old",
     .op = "Reshape",
     .opset = 1,
     .attributes = "shape:ints=[0,2,-1]",
     .inputs = "T[N,2*M]=normal",
     .dims = "N=1..4 M=1..5",
     .reference = reshape_halves},
    {.name = "reshape_scalar", .op = "Reshape", .opset = 13, .inputs = "f32[1,1]={3} i64[0]={}", .expect = "f32[]={3}"},
    {.name = "reshape_allowzero",
     .op = "Reshape",
     .opset = 14,
     .attributes = "allowzero:int=1",
     .inputs = "f32[0,10]={} i64[3]={3 4 0}",
     .expect = "f32[3,4,0]={}"},
    {.name = "reshape_copies_zero",
     .op = "Reshape",
     .opset = 14,
     .inputs = "f32[0,3]={} i64[2]={0 -1}",
     .expect = "f32[0,3]={}"},
    {.name = "reshape_mismatch",
     .op = "Reshape",
     .opset = 14,
     .inputs = "f32[2,3]=normal i64[2]={4 2}",
     .fails = SDX_SHAPE,
     .says = "its elements do not fill f32[4,2]"},
    {.name = "reshape_two_open",
     .op = "Reshape",
     .opset = 14,
     .inputs = "f32[2,3]=normal i64[2]={-1 -1}",
     .fails = SDX_VALUE,
     .says = "entries 0 and 1 of input 'shape' are -1"},
    {.name = "reshape_overflow",
     .op = "Reshape",
     .opset = 14,
     .inputs = "f32[2,3]=normal i64[3]={4611686018427387904 4 1}",
     .fails = SDX_SHAPE,
     .says = "overflows"},
    {.name = "flatten",
     .op = "Flatten",
     .opset = 25,
     .attributes = "axis:int=2",
     .inputs = "T[N,2,M,3]=normal",
     .dims = "N=0..3 M=1..4",
     .reference = flatten},
    {.name = "flatten_all",
     .op = "Flatten",
     .opset = 13,
     .attributes = "axis:int=0",
     .inputs = "f32[2,3]={1 2 3 4 5 6}",
     .expect = "f32[1,6]={1,2,3,4,5,6}"},
    {.name = "flatten_axis",
     .op = "Flatten",
     .opset = 13,
     .attributes = "axis:int=3",
     .inputs = "f32[2,3]=normal",
     .fails = SDX_SHAPE,
     .says = "attribute 'axis' is 3; it must be in [-2, 2]"},
    {.name = "squeeze",
     .op = "Squeeze",
     .opset = 25,
     .inputs = "T[1,N,M,1]=normal i64[2]={0 -1}",
     .dims = "N=1..4 M=0..3",
     .reference = squeeze},
    {.name = "squeeze_old",
     .op = "Squeeze",
     .opset = 11,
     .attributes = "axes:ints=[0,3]",
     .inputs = "T[1,N,M,1]=normal",
     .dims = "N=1..4 M=0..3",
     .reference = squeeze},
    {.name = "squeeze_all", .op = "Squeeze", .opset = 13, .inputs = "f32[1,2,1]={1 2}", .expect = "f32[2]={1,2}"},
    {.name = "squeeze_long",
     .op = "Squeeze",
     .opset = 13,
     .inputs = "f32[1,2]={1 2} i64[1]={1}",
     .fails = SDX_SHAPE,
     .says = "dimension 1 of input 'data' is 2"},
    {.name = "unsqueeze",
     .op = "Unsqueeze",
     .opset = 25,
     .inputs = "T[N,M]=normal i64[2]={2 0}",
     .dims = "N=1..4 M=0..3",
     .reference = unsqueeze},
    {.name = "unsqueeze_old",
     .op = "Unsqueeze",
     .opset = 1,
     .attributes = "axes:ints=[0,2]",
     .inputs = "T[N,M]=normal",
     .dims = "N=1..4 M=0..3",
     .reference = unsqueeze},
    {.name = "unsqueeze_twice",
     .op = "Unsqueeze",
     .opset = 13,
     .inputs = "f32[2]={1 2} i64[2]={1 -2}",
     .fails = SDX_VALUE,
     .says = "'axes' names axis 1 twice"},
    {.name = "transpose",
     .op = "Transpose",
     .opset = 25,
     .inputs = "T[N,M]=normal",
     .dims = "N=0..70 M=1..70",
     .reference = transpose},
    {.name = "transpose_perm",
     .op = "Transpose",
     .opset = 21,
     .attributes = "perm:ints=[0,3,1,2]",
     .inputs = "T[N,H,5,C]=normal",
     .dims = "N=1..3 H=1..9 C=1..40",
     .reference = transpose},
    {.name = "transpose_inner",
     .op = "Transpose",
     .opset = 13,
     .attributes = "perm:ints=[2,0,1,3]",
     .inputs = "T[N,H,5,C]=normal",
     .dims = "N=1..3 H=1..9 C=1..9",
     .reference = transpose},
    {.name = "transpose_scalar", .op = "Transpose", .opset = 13, .inputs = "f32[]={2}", .expect = "f32[]={2}"},
    {.name = "transpose_twice",
     .op = "Transpose",
     .opset = 13,
     .attributes = "perm:ints=[0,0]",
     .inputs = "f32[2,2]=normal",
     .fails = SDX_VALUE,
     .says = "names axis 0 twice"},
    {.name = "expand",
     .op = "Expand",
     .opset = 13,
     .inputs = "T[N,1,M]=normal i64[4]={2 1 3 1}",
     .dims = "N=1..4 M=1..5",
     .reference = expand},
    {.name = "expand_mismatch",
     .op = "Expand",
     .opset = 13,
     .inputs = "f32[3]=normal i64[1]={2}",
     .fails = SDX_SHAPE,
     .says = "input 'shape' asks for 2"},
    {.name = "tile",
     .op = "Tile",
     .opset = 13,
     .inputs = "T[N,3,M]=normal i64[3]={2 1 3}",
     .dims = "N=1..4 M=1..5",
     .reference = tile},
    {.name = "tile_none", .op = "Tile", .opset = 13, .inputs = "f32[2]={1 2} i64[1]={0}", .expect = "f32[0]={}"},
    {.name = "tile_old",
     .op = "Tile",
     .opset = 1,
     .inputs = "f32[1,2]={1 2} f32[1]={2} f32[1]={1}",
     .expect = "f32[1,4]={1,2,1,2}"},
    {.name = "pad",
     .op = "Pad",
     .opset = 25,
     .inputs = "T[N,M]=normal i64[4]={1 2 0 3}",
     .dims = "N=1..4 M=1..5",
     .reference = pad},
    {.name = "pad_crops",
     .op = "Pad",
     .opset = 13,
     .inputs = "T[N,M]=normal i64[4]={-1 2 0 -1}",
     .dims = "N=1..4 M=1..5",
     .reference = pad},
    {.name = "pad_reflect",
     .op = "Pad",
     .opset = 18,
     .attributes = "mode:string=reflect",
     .inputs = "T[N,M]=normal i64[4]={3 1 2 7}",
     .dims = "N=2..5 M=2..5",
     .reference = pad},
    {.name = "pad_edge",
     .op = "Pad",
     .opset = 18,
     .attributes = "mode:string=edge",
     .inputs = "T[N,M]=normal i64[4]={3 1 2 4}",
     .dims = "N=1..4 M=1..5",
     .reference = pad},
    {.name = "pad_wrap",
     .op = "Pad",
     .opset = 19,
     .attributes = "mode:string=wrap",
     .inputs = "T[N,M]=normal i64[4]={3 1 2 9}",
     .dims = "N=1..4 M=1..5",
     .reference = pad},
    {.name = "pad_value",
     .op = "Pad",
     .opset = 18,
     .inputs = "f32[1,2]={1 2} i64[2]={1 0} f32[]={7} i64[1]={-1}",
     .expect = "f32[1,3]={7,1,2}"},
    {.name = "pad_old",
     .op = "Pad",
     .opset = 2,
     .attributes = "pads:ints=[0,1,0,2] value:float=7",
     .inputs = "f32[1,2]={1 2}",
     .expect = "f32[1,5]={7,1,2,7,7}"},
    {.name = "pad_too_short",
     .op = "Pad",
     .opset = 13,
     .inputs = "f32[2]={1 2} i64[2]={-2 -1}",
     .fails = SDX_VALUE,
     .says = "its pads are -2 and -1"},
    {.name = "pad_huge",
     .op = "Pad",
     .opset = 13,
     .inputs = "f32[2]={1 2} i64[2]={9223372036854775807 1}",
     .fails = SDX_VALUE,
     .says = "pads of dimension 0"},
    {.name = "concat",
     .op = "Concat",
     .opset = 13,
     .attributes = "axis:int=-2",
     .inputs = "T[2,N,3]=normal T[2,M,3]=normal T[2,1,3]=normal",
     .dims = "N=0..4 M=0..9",
     .reference = concat},
    {.name = "concat_first",
     .op = "Concat",
     .opset = 4,
     .attributes = "axis:int=0",
     .inputs = "T[N,3]=normal T[M,3]=normal",
     .dims = "N=1..4 M=1..9",
     .reference = concat},
    {.name = "concat_mismatch",
     .op = "Concat",
     .opset = 13,
     .attributes = "axis:int=0",
     .inputs = "f32[2,3]=normal f32[2,4]=normal",
     .fails = SDX_SHAPE,
     .says = "dimension 1 of input 1 of 'inputs' is 4"},
    {.name = "split",
     .op = "Split",
     .opset = 13,
     .attributes = "axis:int=1",
     .inputs = "T[N,4]=normal i64[2]={1 3}",
     .outputs = "a b",
     .dims = "N=0..5",
     .reference = split},
    {.name = "split_old",
     .op = "Split",
     .opset = 2,
     .attributes = "axis:int=-1 split:ints=[1,3]",
     .inputs = "T[N,4]=normal",
     .outputs = "a b",
     .dims = "N=0..5",
     .reference = split},
    {.name = "split_uneven",
     .op = "Split",
     .opset = 18,
     .attributes = "num_outputs:int=3",
     .inputs = "f32[7]={1 2 3 4 5 6 7}",
     .outputs = "a b c",
     .expect = "f32[3]={1,2,3} f32[3]={4,5,6} f32[1]={7}"},
    {.name = "split_equal",
     .op = "Split",
     .opset = 13,
     .inputs = "f32[4]={1 2 3 4}",
     .outputs = "a b",
     .expect = "f32[2]={1,2} f32[2]={3,4}"},
    {.name = "split_sum",
     .op = "Split",
     .opset = 13,
     .inputs = "f32[4]={1 2 3 4} i64[2]={1 2}",
     .outputs = "a b",
     .fails = SDX_SHAPE,
     .says = "sum to 3; the dimension to split is 4"},
    {.name = "slice",
     .op = "Slice",
     .opset = 13,
     .inputs =
         "T[N,M]=normal i64[2]={-1 1} i64[2]={-9223372036854775808 9223372036854775807} i64[2]={0 -1} i64[2]={-2 1}",
     .dims = "N=1..9 M=1..9",
     .reference = slice},
    {.name = "slice_i32",
     .op = "Slice",
     .opset = 10,
     .inputs = "f32[4]={1 2 3 4} i32[1]={-3} i32[1]={100}",
     .expect = "f32[3]={2,3,4}"},
    {.name = "slice_old",
     .op = "Slice",
     .opset = 1,
     .attributes = "axes:ints=[1] starts:ints=[1] ends:ints=[-1]",
     .inputs = "f32[2,4]={1 2 3 4 5 6 7 8}",
     .expect = "f32[2,2]={2,3,6,7}"},
    {.name = "slice_extreme",
     .op = "Slice",
     .opset = 13,
     .inputs = "f32[4]={1 2 3 4} i64[1]={9223372036854775807} i64[1]={-9223372036854775808} i64[1]={0} "
               "i64[1]={-9223372036854775808}",
     .expect = "f32[1]={4}"},
    {.name = "slice_empty",
     .op = "Slice",
     .opset = 13,
     .inputs = "f32[4]={1 2 3 4} i64[1]={3} i64[1]={1}",
     .expect = "f32[0]={}"},
    {.name = "slice_zero",
     .op = "Slice",
     .opset = 13,
     .inputs = "f32[4]=normal i64[1]={0} i64[1]={1} i64[1]={0} i64[1]={0}",
     .fails = SDX_VALUE,
     .says = "entry 0 of input 'steps' is 0"},
    {.name = "depth_to_space",
     .op = "DepthToSpace",
     .opset = 13,
     .attributes = "blocksize:int=2",
     .inputs = "T[N,4*C,H,3]=normal",
     .dims = "N=1..2 C=1..5 H=1..4",
     .reference = depth_to_space},
    {.name = "depth_to_space_crd",
     .op = "DepthToSpace",
     .opset = 11,
     .attributes = "blocksize:int=3 mode:string=CRD",
     .inputs = "T[N,9*C,H,3]=normal",
     .dims = "N=1..2 C=1..5 H=1..4",
     .reference = depth_to_space},
    {.name = "depth_rest",
     .op = "DepthToSpace",
     .opset = 13,
     .attributes = "blocksize:int=2",
     .inputs = "f32[1,6,1,1]=normal",
     .fails = SDX_SHAPE,
     .says = "it must be a multiple of 4"},
    {.name = "depth_zero",
     .op = "DepthToSpace",
     .opset = 13,
     .attributes = "blocksize:int=0",
     .inputs = "f32[1,4,1,1]=normal",
     .fails = SDX_VALUE,
     .says = "attribute 'blocksize' is 0"},
    {.name = "space_to_depth",
     .op = "SpaceToDepth",
     .opset = 13,
     .attributes = "blocksize:int=2",
     .inputs = "T[N,C,2*H,6]=normal",
     .dims = "N=1..2 C=1..5 H=1..4",
     .reference = space_to_depth},
    {.name = "center_crop_pad",
     .op = "CenterCropPad",
     .opset = 18,
     .inputs = "T[N,M]=normal Tind[2]={4 3}",
     .dims = "N=1..8 M=1..8",
     .reference = center_crop_pad},
};
SDX_CASES_END
