/* SPDX-License-Identifier: Apache-2.0
 * Gather, GatherElements, GatherND, Scatter, ScatterElements, ScatterND, TensorScatter, OneHot, Compress, TopK, Unique,
 * Trilu, ReverseSequence, EyeLike, Range, ConstantOfShape. */
#include "tests/ops/moved.h"
#include <math.h>
#include <string.h>

static int64_t wrapped(double index, int64_t n) { return (int64_t)(index < 0 ? index + (double)n : index); }

/* Of data [N,5,M] along axis 1 with indices [2,K]. */
static int64_t gather_source(const sdx_case_run *run, const int64_t *at) {
    int64_t index = wrapped(run->in[1].v[at[1] * run->in[1].dim[1] + at[2]], run->in[0].dim[1]);
    return place(3, run->in[0].dim, (int64_t[]){at[0], index, at[3]});
}

static void gather(sdx_case_run *run) {
    const int64_t *data = run->in[0].dim, *indices = run->in[1].dim;
    moved(run, 4, (int64_t[]){data[0], indices[0], indices[1], data[2]}, gather_source);
}

static int64_t element_place(const sdx_case_run *run, const int64_t *at, int axis) {
    const sdx_ref *data = &run->in[0], *indices = &run->in[1];
    int64_t from[SDX_MAX_RANK];
    for (int d = 0; d < data->rank; d++) from[d] = at[d];
    from[axis] = wrapped(indices->v[place(indices->rank, indices->dim, at)], data->dim[axis]);
    return place(data->rank, data->dim, from);
}

static int64_t elements_source(const sdx_case_run *run, const int64_t *at) {
    return element_place(run, at, axis_of(run, 0));
}

static void gather_elements(sdx_case_run *run) { moved(run, run->in[1].rank, run->in[1].dim, elements_source); }

static void combine(sdx_case_run *run, int64_t to, int64_t from) {
    const char *reduction = sdx_case_string(run, "reduction", "none");
    double *y = run->out[0].v, u = run->in[2].v[from];
    if (strcmp(reduction, "none") == 0)
        put(run, 0, to, 2, from);
    else if (strcmp(reduction, "add") == 0)
        y[to] += u;
    else if (strcmp(reduction, "mul") == 0)
        y[to] *= u;
    else if (strcmp(reduction, "max") == 0)
        y[to] = y[to] > u ? y[to] : u;
    else
        y[to] = y[to] < u ? y[to] : u;
}

static void copy_data(sdx_case_run *run) {
    sdx_case_output_like(run, 0, 0);
    for (int64_t i = 0; i < run->in[0].count; i++) put(run, 0, i, 0, i);
}

static void scatter_elements(sdx_case_run *run) {
    int64_t at[SDX_MAX_RANK];
    copy_data(run);
    for (int64_t i = 0; i < run->in[1].count; i++) {
        spread(run->in[1].rank, run->in[1].dim, i, at);
        combine(run, element_place(run, at, axis_of(run, 0)), i);
    }
}

/* Tuples [K,2] into data [N,4,M]: slices of M. */
static int64_t tuple_place(const sdx_case_run *run, int64_t tuple) {
    const sdx_ref *data = &run->in[0];
    const double *pair = run->in[1].v + tuple * 2;
    return (wrapped(pair[0], data->dim[0]) * data->dim[1] + wrapped(pair[1], data->dim[1])) * data->dim[2];
}

static int64_t nd_source(const sdx_case_run *run, const int64_t *at) { return tuple_place(run, at[0]) + at[1]; }

static void gather_nd(sdx_case_run *run) {
    moved(run, 2, (int64_t[]){run->in[1].dim[0], run->in[0].dim[2]}, nd_source);
}

static void scatter_nd(sdx_case_run *run) {
    int64_t m = run->in[0].dim[2];
    copy_data(run);
    for (int64_t t = 0; t < run->in[1].dim[0]; t++)
        for (int64_t i = 0; i < m; i++) combine(run, tuple_place(run, t) + i, t * m + i);
}

static int64_t batch_source(const sdx_case_run *run, const int64_t *at) {
    const sdx_ref *data = &run->in[0];
    return place(3, data->dim, (int64_t[]){at[0], wrapped(run->in[1].v[at[0]], data->dim[1]), at[1]});
}

static void gather_nd_batch(sdx_case_run *run) {
    moved(run, 2, (int64_t[]){run->in[0].dim[0], run->in[0].dim[2]}, batch_source);
}

/* Caches [2,3,5,M], updates [2,3,2,M]. */
static void tensor_scatter(sdx_case_run *run) {
    int64_t at[4];
    copy_data(run);
    for (int64_t i = 0; i < run->in[1].count; i++) {
        spread(4, run->in[1].dim, i, at);
        at[2] = (at[2] + (run->n_in > 2 ? (int64_t)run->in[2].v[at[0]] : 0)) % run->in[0].dim[2];
        put(run, 0, place(4, run->in[0].dim, at), 1, i);
    }
}

/* Indices [N,2], depth 3, at axis 1. */
static void one_hot(sdx_case_run *run) {
    int64_t at[3];
    sdx_case_output(run, 0, 3, (int64_t[]){run->in[0].dim[0], 3, 2});
    for (int64_t i = 0; i < run->out[0].count; i++) {
        spread(3, run->out[0].dim, i, at);
        double index = run->in[0].v[at[0] * 2 + at[2]];
        put(run, 0, i, 2, index == (double)at[1] || index + 3 == (double)at[1]);
    }
}

static int64_t trilu_source(const sdx_case_run *run, const int64_t *at) {
    int64_t k = run->n_in > 1 ? (int64_t)run->in[1].v[0] : 0;
    bool keep = sdx_case_int(run, "upper", 1) ? at[2] >= at[1] + k : at[2] <= at[1] + k;
    return keep ? place(3, run->in[0].dim, at) : -1;
}

static void trilu(sdx_case_run *run) { moved(run, 3, run->in[0].dim, trilu_source); }

static int64_t reverse_source(const sdx_case_run *run, const int64_t *at) {
    int64_t length = (int64_t)run->in[1].v[at[1]];
    return place(3, run->in[0].dim, (int64_t[]){at[0] < length ? length - 1 - at[0] : at[0], at[1], at[2]});
}

static void reverse_sequence(sdx_case_run *run) { moved(run, 3, run->in[0].dim, reverse_source); }

/* Selection by repeated search along axis 1 of [N,M,2]. */
static void top_k(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0];
    int64_t k = (int64_t)run->in[1].v[0], dims[3] = {x->dim[0], k, x->dim[2]};
    double sign = sdx_case_int(run, "largest", 1) ? 1 : -1;
    double *values = sdx_case_output(run, 0, 3, dims), *indices = sdx_case_output(run, 1, 3, dims);
    for (int64_t line = 0; line < x->dim[0] * x->dim[2]; line++) {
        bool taken[64] = {false};
        int64_t base = line / x->dim[2] * x->dim[1] * x->dim[2] + line % x->dim[2];
        for (int64_t i = 0; i < k; i++) {
            int64_t best = -1;
            for (int64_t j = 0; j < x->dim[1]; j++)
                if (!taken[j] && (best < 0 || sign * x->v[base + j * x->dim[2]] > sign * x->v[base + best * x->dim[2]]))
                    best = j;
            taken[best] = true;
            int64_t to = place(3, dims, (int64_t[]){line / x->dim[2], i, line % x->dim[2]});
            values[to] = x->v[base + best * x->dim[2]];
            indices[to] = (double)best;
        }
    }
}

static void eye_like(sdx_case_run *run) {
    double *y = sdx_case_output_like(run, 0, 0);
    int64_t k = sdx_case_int(run, "k", 0), columns = run->in[0].dim[1];
    for (int64_t i = 0; i < run->in[0].count; i++) y[i] = i % columns == i / columns + k;
}

/* All but the types of the indices: the harness would feed data back as indices where their types agree. */
#define DATA "T=f32|f64|f16|bool|i8|i16|u8|u16|u32|u64|c64|c128|string"

const sdx_case sdx_cases[] = {
    {.name = "gather",
     .op = "Gather",
     .opset = 13,
     .attributes = "axis:int=-2",
     .inputs = "T[N,5,M]=normal Tind[2,K]=ints(-5,4)",
     .dims = "N=1..3 M=0..4 K=0..3",
     .reference = gather},
    {.name = "gather_scalar", .op = "Gather", .opset = 1, .inputs = "f32[3]={5 6 7} i64[]={-1}", .expect = "f32[]={7}"},
    {.name = "gather_range",
     .op = "Gather",
     .opset = 13,
     .inputs = "f32[3]={5 6 7} i64[2]={0 3}",
     .fails = SDX_VALUE,
     .says = "entry 1 of input 'indices' is 3; it must be in [-3, 2]"},
    {.name = "gather_low",
     .op = "Gather",
     .opset = 13,
     .inputs = "f32[3]={5 6 7} i64[1]={-9223372036854775808}",
     .fails = SDX_VALUE,
     .says = "it must be in [-3, 2]"},
    {.name = "gather_axis",
     .op = "Gather",
     .opset = 13,
     .attributes = "axis:int=2",
     .inputs = "f32[3,1]=normal i64[1]={0}",
     .fails = SDX_SHAPE,
     .says = "'axis' is 2; it must be in [-2, 1]"},
    {.name = "gather_elements",
     .op = "GatherElements",
     .opset = 13,
     .attributes = "axis:int=1",
     .inputs = "T[N,4,M]=normal Tind[N,K,M]=ints(-4,3)",
     .dims = "N=1..3 M=1..4 K=0..6",
     .types = DATA,
     .reference = gather_elements},
    {.name = "gather_elements_last",
     .op = "GatherElements",
     .opset = 11,
     .attributes = "axis:int=-1",
     .inputs = "T[N,4]=normal Tind[N,K]=ints(-4,3)",
     .dims = "N=1..3 K=1..6",
     .types = DATA,
     .reference = gather_elements},
    {.name = "gather_elements_range",
     .op = "GatherElements",
     .opset = 13,
     .inputs = "f32[2]={1 2} i64[1]={2}",
     .fails = SDX_VALUE,
     .says = "it must be in [-2, 1]"},
    {.name = "gather_nd",
     .op = "GatherND",
     .opset = 13,
     .inputs = "T[3,4,M]=normal i64[K,2]=ints(-3,2)",
     .dims = "M=1..4 K=1..5",
     .types = DATA,
     .reference = gather_nd},
    {.name = "gather_nd_batch",
     .op = "GatherND",
     .opset = 12,
     .attributes = "batch_dims:int=1",
     .inputs = "T[N,4,M]=normal i64[N,1]=ints(-4,3)",
     .dims = "N=1..4 M=1..5",
     .reference = gather_nd_batch},
    {.name = "gather_nd_range",
     .op = "GatherND",
     .opset = 13,
     .inputs = "f32[2,2]=normal i64[1,2]={0 2}",
     .fails = SDX_VALUE,
     .says = "entry 1 of input 'indices' is 2"},
    {.name = "gather_nd_tuple",
     .op = "GatherND",
     .opset = 13,
     .inputs = "f32[2,2]=normal i64[1,3]={0 0 0}",
     .fails = SDX_SHAPE,
     .says = "the last dimension of input 'indices' is 3"},
    {.name = "scatter_elements",
     .op = "ScatterElements",
     .opset = 18,
     .attributes = "axis:int=1",
     .inputs = "T[2,4,M]=normal Tind[2,2,M]=ints(-4,3) T[2,2,M]=normal",
     .dims = "M=1..4",
     .reference = scatter_elements,
     .flags = SDX_CASE_KINKS},
    {.name = "scatter_add",
     .op = "ScatterElements",
     .opset = 16,
     .attributes = "axis:int=0 reduction:string=add",
     .inputs = "T[4,M]=ints(0,9) Tind[3,M]=ints(-4,3) T[3,M]=ints(0,9)",
     .dims = "M=1..4",
     .types = "T=f32|f64|f16|bf16|i8|i16|i32|i64|u8|u16|u32|u64", /* bool and strings do not add as numbers do */
     .reference = scatter_elements},
    {.name = "scatter_max",
     .op = "ScatterElements",
     .opset = 18,
     .attributes = "reduction:string=max",
     .inputs = "T[4,M]=normal Tind[3,M]=ints(-4,3) T[3,M]=normal",
     .dims = "M=1..4",
     .types = "T=f32|f64|f16|bf16|i8|i16|i32|i64|u8|u16|u32|u64|bool",
     .reference = scatter_elements},
    {.name = "scatter_string_add",
     .op = "ScatterElements",
     .opset = 18,
     .attributes = "reduction:string=add",
     .inputs = "string[1]={'a'} i64[1]={0} string[1]={'b'}",
     .fails = SDX_TYPE,
     .says = "reduction 'add' has no meaning for string"},
    {.name = "scatter",
     .op = "Scatter",
     .opset = 9,
     .attributes = "axis:int=1",
     .inputs = "T[2,4]=normal Tind[2,3]=ints(0,3) T[2,3]=normal",
     .reference = scatter_elements},
    {.name = "scatter_nd",
     .op = "ScatterND",
     .opset = 18,
     .inputs = "T[3,4,M]=normal i64[K,2]=ints(-3,2) T[K,M]=normal",
     .dims = "M=1..4 K=1..5",
     .reference = scatter_nd,
     .flags = SDX_CASE_KINKS},
    {.name = "scatter_nd_min",
     .op = "ScatterND",
     .opset = 18,
     .attributes = "reduction:string=min",
     .inputs = "T[3,4,M]=normal i64[K,2]=ints(-3,2) T[K,M]=normal",
     .dims = "M=1..4 K=1..5",
     .types = "T=f32|f64|f16|bf16|i8|i16|i32|i64|u8|u16|u32|u64|bool",
     .reference = scatter_nd},
    {.name = "scatter_nd_mul",
     .op = "ScatterND",
     .opset = 16,
     .attributes = "reduction:string=mul",
     .inputs = "i32[2,1,1]={3 4} i64[2,2]={1 0 -1 0} i32[2,1]={5 7}",
     .expect = "i32[2,1,1]={3,140}"},
    {.name = "scatter_nd_range",
     .op = "ScatterND",
     .opset = 18,
     .inputs = "f32[2]=normal i64[1,1]={-3} f32[1]=normal",
     .fails = SDX_VALUE,
     .says = "entry 0 of input 'indices' is -3; it must be in [-2, 1]"},
    {.name = "scatter_nd_updates",
     .op = "ScatterND",
     .opset = 18,
     .inputs = "f32[2]=normal i64[1,1]={0} f32[2]=normal",
     .fails = SDX_SHAPE,
     .says = "dimension 0 of input 'updates' is 2; it must be 1"},
    {.name = "tensor_scatter",
     .op = "TensorScatter",
     .opset = 24,
     .inputs = "T[2,3,5,M]=normal T[2,3,2,M]=normal i64[2]={3 0}",
     .dims = "M=1..4",
     .reference = tensor_scatter},
    {.name = "tensor_scatter_circular",
     .op = "TensorScatter",
     .opset = 24,
     .attributes = "mode:string=circular",
     .inputs = "T[2,3,5,M]=normal T[2,3,2,M]=normal i64[2]={4 7}",
     .dims = "M=1..4",
     .reference = tensor_scatter},
    {.name = "tensor_scatter_range",
     .op = "TensorScatter",
     .opset = 24,
     .inputs = "f32[1,5,1]=normal f32[1,2,1]=normal i64[1]={4}",
     .fails = SDX_VALUE,
     .says = "it must be in [0, 3]"},
    {.name = "one_hot",
     .op = "OneHot",
     .opset = 11,
     .attributes = "axis:int=1",
     .inputs = "T1[N,2]=ints(0,4) i64[]={3} T3[2]=normal",
     .dims = "N=0..4",
     .types = "T1=i32|i64|f32|u8|i8|f64",
     .reference = one_hot},
    {.name = "one_hot_negative",
     .op = "OneHot",
     .opset = 11,
     .inputs = "i64[3]={-1 0 -9} i64[1]={2} f32[2]={5 6}",
     .expect = "f32[3,2]={5,6,6,5,5,5}"},
    {.name = "one_hot_depth",
     .op = "OneHot",
     .opset = 11,
     .inputs = "i64[1]={0} i64[]={0} f32[2]={0 1}",
     .fails = SDX_VALUE,
     .says = "input 'depth' is 0; it must be >= 1"},
    {.name = "compress",
     .op = "Compress",
     .opset = 11,
     .attributes = "axis:int=1",
     .inputs = "f32[2,3]={1 2 3 4 5 6} bool[2]={0 1}",
     .expect = "f32[2,1]={2,5}"},
    {.name = "compress_flat",
     .op = "Compress",
     .opset = 9,
     .inputs = "f32[2,2]={1 2 3 4} bool[4]={1 0 0 1}",
     .expect = "f32[2]={1,4}"},
    {.name = "compress_long",
     .op = "Compress",
     .opset = 11,
     .attributes = "axis:int=0",
     .inputs = "f32[1]={1} bool[2]={1 1}",
     .fails = SDX_VALUE,
     .says = "entry 1 of input 'condition' is true"},
    {.name = "top_k",
     .op = "TopK",
     .opset = 24,
     .attributes = "axis:int=1",
     .inputs = "T[N,7,2]=ints(0,50) i64[1]={3}",
     .outputs = "values indices",
     .dims = "N=0..3",
     .reference = top_k,
     .flags = SDX_CASE_KINKS},
    {.name = "top_k_smallest",
     .op = "TopK",
     .opset = 11,
     .attributes = "axis:int=1 largest:int=0",
     .inputs = "T[N,7,2]=ints(0,3) i64[1]={7}",
     .outputs = "values indices",
     .dims = "N=1..3",
     .reference = top_k},
    {.name = "top_k_old",
     .op = "TopK",
     .opset = 1,
     .attributes = "k:int=2",
     .inputs = "f32[3]={1 3 2}",
     .outputs = "values indices",
     .expect = "f32[2]={3,2} i64[2]={1,2}"},
    {.name = "top_k_nan",
     .op = "TopK",
     .opset = 11,
     .inputs = "f32[4]={1 nan 3 nan} i64[1]={3}",
     .outputs = "values indices",
     .expect = "f32[3]={nan,nan,3} i64[3]={1,3,2}"},
    {.name = "top_k_none", .op = "TopK", .opset = 11, .inputs = "f32[2]={1 2} i64[1]={0}", .expect = "f32[0]={}"},
    {.name = "top_k_many",
     .op = "TopK",
     .opset = 11,
     .inputs = "f32[2]={1 2} i64[1]={3}",
     .fails = SDX_VALUE,
     .says = "input 'K' is 3; it must be in [0, 2]"},
    {.name = "unique",
     .op = "Unique",
     .opset = 11,
     .inputs = "f32[6]={2 1 1 3 4 3}",
     .outputs = "Y i v c",
     .expect = "f32[4]={1,2,3,4} i64[4]={1,0,3,4} i64[6]={1,0,0,2,3,2} i64[4]={2,1,2,1}"},
    {.name = "unique_unsorted",
     .op = "Unique",
     .opset = 11,
     .attributes = "sorted:int=0",
     .inputs = "i64[6]={2 1 1 3 4 3}",
     .outputs = "Y i v c",
     .expect = "i64[4]={2,1,3,4} i64[4]={0,1,3,4} i64[6]={0,1,1,2,3,2} i64[4]={1,2,2,1}"},
    {.name = "unique_rows",
     .op = "Unique",
     .opset = 11,
     .attributes = "axis:int=0",
     .inputs = "u8[3,2]={9 0 1 2 9 0}",
     .outputs = "Y - v",
     .expect = "u8[2,2]={1,2,9,0} i64[3]={1,0,1}"},
    {.name = "unique_columns",
     .op = "Unique",
     .opset = 11,
     .attributes = "axis:int=-1",
     .inputs = "f32[2,3]={1 0 1 2 5 2}",
     .expect = "f32[2,2]={0,1,5,2}"},
    {.name = "unique_strings",
     .op = "Unique",
     .opset = 11,
     .inputs = "string[4]={'b' 'ab' 'b' 'a'}",
     .expect = "string[3]={'a' 'ab' 'b'}"},
    {.name = "unique_empty",
     .op = "Unique",
     .opset = 11,
     .inputs = "f32[0]={}",
     .outputs = "Y i v c",
     .expect = "f32[0]={} i64[0]={} i64[0]={} i64[0]={}"},
    {.name = "trilu",
     .op = "Trilu",
     .opset = 14,
     .inputs = "T[2,N,M]=normal i64[]={-1}",
     .dims = "N=0..4 M=0..5",
     .reference = trilu},
    {.name = "trilu_lower",
     .op = "Trilu",
     .opset = 14,
     .attributes = "upper:int=0",
     .inputs = "T[2,N,M]=normal i64[]={1}",
     .dims = "N=1..4 M=1..5",
     .reference = trilu},
    {.name = "trilu_extreme",
     .op = "Trilu",
     .opset = 14,
     .inputs = "f32[2,2]={1 2 3 4} i64[]={9223372036854775807}",
     .expect = "f32[2,2]={0,0,0,0}"},
    {.name = "reverse_sequence",
     .op = "ReverseSequence",
     .opset = 10,
     .inputs = "T[5,3,M]=normal i64[3]={0 5 2}",
     .dims = "M=1..4",
     .reference = reverse_sequence},
    {.name = "reverse_too_long",
     .op = "ReverseSequence",
     .opset = 10,
     .inputs = "f32[2,1]=normal i64[1]={3}",
     .fails = SDX_VALUE,
     .says = "entry 0 of input 'sequence_lens' is 3; it must be in [0, 2]"},
    {.name = "eye_like",
     .op = "EyeLike",
     .opset = 22,
     .attributes = "k:int=-1",
     .inputs = "T1[N,M]=normal",
     .dims = "N=0..4 M=1..4",
     .reference = eye_like},
    {.name = "eye_like_dtype",
     .op = "EyeLike",
     .opset = 9,
     .attributes = "dtype:int=7",
     .inputs = "f32[2,2]=normal",
     .expect = "i64[2,2]={1,0,0,1}"},
    {.name = "range",
     .op = "Range",
     .opset = 11,
     .inputs = "f32[]={1} f32[]={2} f32[]={0.3}",
     .expect = "f32[4]={1,1.3,1.6,1.9}"},
    {.name = "range_down",
     .op = "Range",
     .opset = 11,
     .inputs = "i64[]={10} i64[]={4} i64[]={-3}",
     .expect = "i64[2]={10,7}"},
    {.name = "range_none",
     .op = "Range",
     .opset = 11,
     .inputs = "i16[]={10} i16[]={4} i16[]={3}",
     .expect = "i16[0]={}"},
    {.name = "range_half",
     .op = "Range",
     .opset = 27,
     .inputs = "f16[]={2046} f16[]={2052} f16[]={1}",
     .expect = "f16[6]={2046,2047,2048,2048,2050,2052}"},
    {.name = "range_still",
     .op = "Range",
     .opset = 11,
     .inputs = "i32[]={1} i32[]={4} i32[]={0}",
     .fails = SDX_VALUE,
     .says = "input 'delta' is 0"},
    {.name = "constant_of_shape",
     .op = "ConstantOfShape",
     .opset = 9,
     .attributes = "value:tensor=i8[1]={3}",
     .inputs = "i64[2]={2 2}",
     .expect = "i8[2,2]={3,3,3,3}"},
    {.name = "constant_of_scalar", .op = "ConstantOfShape", .opset = 20, .inputs = "i64[0]={}", .expect = "f32[]={0}"},
    {.name = "constant_of_negative",
     .op = "ConstantOfShape",
     .opset = 20,
     .inputs = "i64[1]={-1}",
     .fails = SDX_VALUE,
     .says = "entry 0 of input 'input' is -1; it must be >= 0"},
};
SDX_CASES_END
