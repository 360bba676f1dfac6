/* SPDX-License-Identifier: Apache-2.0
 * MatMul and Gemm. */
#include "tests/ops/case.h"
#include <math.h>

static int64_t dim_at(const sdx_ref *x, int from_end) { return x->rank < from_end ? 1 : x->dim[x->rank - from_end]; }

static void matmul(sdx_case_run *run) {
    const sdx_ref *a = &run->in[0], *b = &run->in[1];
    const int64_t m = a->rank > 1 ? dim_at(a, 2) : 1, k = dim_at(a, 1), n = b->rank > 1 ? dim_at(b, 1) : 1;
    int64_t dims[8], batch[8], batches = 1;
    int rank = 0, most = a->rank > b->rank ? a->rank : b->rank;
    for (int d = most; d > 2; d--) {
        const int64_t da = dim_at(a, d), db = dim_at(b, d);
        batch[rank] = da == 1 ? db : da;
        batches *= batch[rank];
        dims[rank] = batch[rank];
        rank++;
    }
    const int batch_rank = rank;
    if (a->rank > 1) dims[rank++] = m;
    if (b->rank > 1) dims[rank++] = n;
    double *y = sdx_case_output(run, 0, rank, dims);
    for (int64_t t = 0; t < batches; t++) {
        int64_t at_a = 0, at_b = 0, rest = t, step_a = 1, step_b = 1;
        for (int d = batch_rank - 1; d >= 0; d--) {
            const int from_end = batch_rank - d + 2;
            const int64_t i = rest % batch[d];
            rest /= batch[d];
            if (dim_at(a, from_end) > 1) at_a += i * step_a;
            if (dim_at(b, from_end) > 1) at_b += i * step_b;
            step_a *= dim_at(a, from_end), step_b *= dim_at(b, from_end);
        }
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) {
                double sum = 0;
                for (int64_t q = 0; q < k; q++) sum += a->v[(at_a * m + i) * k + q] * b->v[(at_b * k + q) * n + j];
                y[(t * m + i) * n + j] = sum;
            }
    }
}

static void gemm(sdx_case_run *run) {
    const sdx_ref *a = &run->in[0], *b = &run->in[1];
    const bool ta = sdx_case_int(run, "transA", 0), tb = sdx_case_int(run, "transB", 0);
    const int64_t m = a->dim[ta], k = a->dim[!ta], n = b->dim[!tb], dims[2] = {m, n};
    const double alpha = sdx_case_float(run, "alpha", 1), beta = sdx_case_float(run, "beta", 1);
    double *y = sdx_case_output(run, 0, 2, dims);
    for (int64_t e = 0; e < m * n; e++) {
        double sum = 0;
        for (int64_t q = 0; q < k; q++)
            sum += a->v[ta ? q * m + e / n : e / n * k + q] * b->v[tb ? e % n * k + q : q * n + e % n];
        y[e] = alpha * sum;
    }
    if (run->n_in < 3 || !run->in[2].present) return;
    for (int64_t e = 0; e < m * n; e++) y[e] += beta * run->in[2].v[sdx_ref_broadcast(&run->in[2], &run->out[0], e)];
}

#define FLOATS "T=f32|f64|f16|bf16"
#define LOOSE  .rtol = 1e-4, .atol = 1e-4

const sdx_case sdx_cases[] = {
    {.name = "matmul",
     .op = "MatMul",
     .opset = 13,
     .inputs = "T[M,K]=ints(0,9) T[K,N]=ints(0,9)",
     .dims = "M=1..40 K=1..30 N=1..70",
     .reference = matmul},
    {.name = "matmul_normal",
     .op = "MatMul",
     .opset = 13,
     .inputs = "T[M,K]=normal T[K,N]=normal",
     .dims = "M=1..20 K=1..300 N=1..50",
     .types = FLOATS,
     .reference = matmul,
     LOOSE},
    {.name = "matmul_batch",
     .op = "MatMul",
     .opset = 13,
     .inputs = "T[B,1,M,5]=normal T[3,5,N]=normal",
     .dims = "B=1..3 M=1..9 N=1..9",
     .types = FLOATS,
     .reference = matmul,
     LOOSE},
    {.name = "matmul_one_b",
     .op = "MatMul",
     .opset = 9,
     .inputs = "T[B,2,M,5]=normal T[5,N]=normal",
     .dims = "B=0..3 M=1..9 N=1..9",
     .types = "T=f32|f64|f16",
     .reference = matmul,
     LOOSE},
    {.name = "matmul_vector",
     .op = "MatMul",
     .opset = 13,
     .inputs = "T[K]=normal T[B,K,N]=normal",
     .dims = "B=1..3 K=1..50 N=1..90",
     .types = FLOATS,
     .reference = matmul,
     LOOSE},
    {.name = "matmul_column",
     .op = "MatMul",
     .opset = 13,
     .inputs = "T[B,M,K]=normal T[K]=normal",
     .dims = "B=1..3 K=1..50 M=1..90",
     .types = FLOATS,
     .reference = matmul,
     LOOSE},
    {.name = "matmul_dot",
     .op = "MatMul",
     .opset = 13,
     .inputs = "T[K]=normal T[K]=normal",
     .dims = "K=0..50",
     .types = FLOATS,
     .reference = matmul,
     LOOSE},
    {.name = "matmul_wraps",
     .op = "MatMul",
     .opset = 13,
     .inputs = "u32[1,2]={4294967295 2} u32[2,1]={3 2147483648}",
     .expect = "u32[1,1]={4294967293}"},
    {.name = "matmul_inner",
     .op = "MatMul",
     .opset = 13,
     .inputs = "f32[2,3]=normal f32[4,2]=normal",
     .fails = SDX_SHAPE,
     .says = "inner dimensions of 'A' and 'B': 3 and 4"},
    {.name = "matmul_scalar",
     .op = "MatMul",
     .opset = 13,
     .inputs = "f32[]=normal f32[4,2]=normal",
     .fails = SDX_SHAPE,
     .says = "input 'A' has rank 0"},
    {.name = "gemm",
     .op = "Gemm",
     .opset = 13,
     .inputs = "T[M,K]=ints(0,9) T[K,N]=ints(0,9) T[N]=ints(0,9)",
     .dims = "M=1..20 K=0..30 N=1..40",
     .reference = gemm},
    {.name = "gemm_no_c",
     .op = "Gemm",
     .opset = 11,
     .attributes = "transA:int=1",
     .inputs = "T[K,M]=normal T[K,N]=normal",
     .dims = "M=1..20 K=1..30 N=1..40",
     .types = "T=f32|f64|f16",
     .reference = gemm,
     LOOSE},
    {.name = "gemm_scaled",
     .op = "Gemm",
     .opset = 13,
     .attributes = "transA:int=1 transB:int=1 alpha:float=0.5 beta:float=2",
     .inputs = "T[K,M]=normal T[N,K]=normal T[M,1]=normal",
     .dims = "M=1..20 K=1..30 N=1..40",
     .types = FLOATS,
     .reference = gemm,
     LOOSE},
    {.name = "gemm_scaled_whole",
     .op = "Gemm",
     .opset = 13,
     .attributes = "transB:int=1 alpha:float=2 beta:float=3",
     .inputs = "T[M,K]=ints(0,9) T[N,K]=ints(0,9) T[]=ints(0,9)",
     .dims = "M=1..9 K=1..9 N=1..9",
     .reference = gemm},
    {.name = "gemm_full_c",
     .op = "Gemm",
     .opset = 7,
     .inputs = "T[M,K]=normal T[K,N]=normal T[M,N]=normal",
     .dims = "M=1..20 K=1..300 N=1..40",
     .reference = gemm,
     LOOSE},
    {.name = "gemm_c_shape",
     .op = "Gemm",
     .opset = 13,
     .inputs = "f32[2,3]=normal f32[3,4]=normal f32[3]=normal",
     .fails = SDX_SHAPE,
     .says = "dimension 0 of input 'C' is 3; it must be 1 or 4"},
    {.name = "gemm_old_c",
     .op = "Gemm",
     .opset = 6,
     .inputs = "f32[2,3]=normal f32[3,4]=normal f32[4]=normal",
     .fails = SDX_SHAPE,
     .says = "input 'C' has rank 1; it must be 2 when attribute 'broadcast' is 0"},
    {.name = "gemm_rank",
     .op = "Gemm",
     .opset = 13,
     .inputs = "f32[1,2,3]=normal f32[3,4]=normal",
     .fails = SDX_SHAPE,
     .says = "input 'A' has rank 3; it must be 2"},
};
SDX_CASES_END
