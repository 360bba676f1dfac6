/* SPDX-License-Identifier: Apache-2.0
 * Einsum, Det, NonZero. */
#include "tests/ops/case.h"
#include <math.h>
#include <string.h>

/* ---- Einsum: a sum over all values of all letters. Dots stand for '<' and '>' (two dimensions), by the case. */

enum { TERMS = 4 };

static int64_t offset_of(const sdx_ref *x, const char *term, const int64_t *index) {
    int64_t offset = 0;
    for (int d = 0; d < x->rank; d++) offset = offset * x->dim[d] + (x->dim[d] == 1 ? 0 : index[(int)term[d]]);
    return offset;
}

/* terms[n_in] is that of the output. */
static void sum_all(sdx_case_run *run, const char *const *terms) {
    int64_t dim[128], index[128] = {0}, dims[SDX_MAX_RANK], total = 1;
    const char *out = terms[run->n_in];
    const int rank = (int)strlen(out);
    for (int c = 0; c < 128; c++) dim[c] = 1;
    for (int k = 0; k < run->n_in; k++)
        for (int d = 0; d < run->in[k].rank; d++)
            if (run->in[k].dim[d] != 1) dim[(int)terms[k][d]] = run->in[k].dim[d];
    for (int c = 0; c < 128; c++) total *= dim[c];
    for (int d = 0; d < rank; d++) dims[d] = dim[(int)out[d]];
    double *y = sdx_case_output(run, 0, rank, dims);
    for (int64_t t = 0; t < total; t++) {
        int64_t rest = t;
        double value = 1;
        for (int c = 0; c < 128; c++) index[c] = rest % dim[c], rest /= dim[c];
        for (int k = 0; k < run->n_in; k++) value *= run->in[k].v[offset_of(&run->in[k], terms[k], index)];
        y[offset_of(&run->out[0], out, index)] += value;
    }
}

#define EQUATION(name, ...)                                                                                            \
    static void name(sdx_case_run *run) { sum_all(run, (const char *const[]){__VA_ARGS__}); }
EQUATION(transpose, "ij", "ji")
EQUATION(diagonal, "bii", "bi")
EQUATION(trace, "ii", "")
EQUATION(outer, "i", "j", "ij")
EQUATION(times, "bij", "bj", "bji")
EQUATION(matmul, "ij", "jk", "ik")
EQUATION(heads, "bqhd", "bkhd", "bhqk")
EQUATION(all_but_one, "abc", "b")
EQUATION(spread, "<>ij", ">jk", "<>ik")
EQUATION(spread_last, "ij>", "j>", ">i")
EQUATION(chain, "ij", "jk", "kl", "il")
EQUATION(two_sums, "ijk", "jlm", "il")
EQUATION(scalars, "", "i", "i")

/* ---- Det: expansion along the first row ---- */

static double minor_of(const double *a, int64_t n, unsigned used, int64_t row) {
    double sum = 0, sign = 1;
    if (row == n) return 1;
    for (int64_t j = 0; j < n; j++) {
        if (used >> j & 1) continue;
        sum += sign * a[row * n + j] * minor_of(a, n, used | 1U << j, row + 1);
        sign = -sign;
    }
    return sum;
}

static void det(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0];
    const int64_t n = x->dim[x->rank - 1];
    double *y = sdx_case_output(run, 0, x->rank - 2, x->dim);
    for (int64_t k = 0; k < run->out[0].count; k++) y[k] = minor_of(x->v + k * n * n, n, 0, 0);
}

/* Elimination in place, by columns, with the largest pivot. */
static void det_large(sdx_case_run *run) {
    const int64_t n = run->in[0].dim[0];
    double *a = run->in[0].v, *y = sdx_case_output(run, 0, 0, NULL);
    double *work = sdx_case_output_like(run, 1, 0);
    memcpy(work, a, (size_t)(n * n) * sizeof *a);
    *y = 1;
    for (int64_t k = 0; k < n; k++) {
        int64_t best = k;
        for (int64_t j = k + 1; j < n; j++)
            if (fabs(work[k * n + j]) > fabs(work[k * n + best])) best = j;
        for (int64_t i = 0; i < n && best != k; i++) {
            double other = work[i * n + k];
            work[i * n + k] = work[i * n + best];
            work[i * n + best] = other;
        }
        *y *= work[k * n + k] * (best == k ? 1 : -1);
        for (int64_t i = k + 1; i < n; i++)
            for (int64_t j = n - 1; j >= k; j--) work[i * n + j] -= work[i * n + k] / work[k * n + k] * work[k * n + j];
    }
}

/* ---- NonZero ---- */

static void nonzero(sdx_case_run *run) {
    const sdx_ref *x = &run->in[0];
    int64_t dims[2] = {x->rank, 0}, at = 0;
    for (int64_t k = 0; k < x->count; k++) dims[1] += x->v[k] != 0;
    double *y = sdx_case_output(run, 0, 2, dims);
    for (int64_t k = 0; k < x->count; k++) {
        if (x->v[k] == 0) continue;
        int64_t rest = k;
        for (int d = x->rank - 1; d >= 0; d--) {
            y[d * dims[1] + at] = (double)(rest % x->dim[d]);
            rest /= x->dim[d];
        }
        at++;
    }
}

#define EINSUM(suffix, text, ...)                                                                                      \
    { .name = "einsum_" suffix, .op = "Einsum", .opset = 28, .attributes = "equation:string=" text, __VA_ARGS__ }
#define WHOLE "ints(0,3)"
#define LOOSE .types = "T=f32|f64|f16|bf16", .rtol = 1e-4, .atol = 1e-4
#define NO(suffix, text, input, status, words)                                                                         \
    EINSUM("no_" suffix, text, .inputs = input, .fails = status, .says = words)

const sdx_case sdx_cases[] = {
    EINSUM("transpose", "ij->ji", .inputs = "T[N,M]=" WHOLE, .dims = "N=0..20 M=1..20", .reference = transpose),
    EINSUM("implicit", "ba", .inputs = "T[3,4]=" WHOLE, .reference = transpose),
    EINSUM("diagonal", "bii->bi", .inputs = "T[B,N,N]=" WHOLE, .dims = "B=0..5 N=1..9", .reference = diagonal),
    EINSUM("trace", "ii", .inputs = "T[N,N]=" WHOLE, .dims = "N=1..12", .reference = trace),
    EINSUM("outer", "i,j", .inputs = "T[N]=" WHOLE " T[M]=" WHOLE, .dims = "N=0..20 M=1..40", .reference = outer),
    EINSUM("times", "bij,bj->bji", .inputs = "T[B,N,M]=" WHOLE " T[B,M]=" WHOLE, .dims = "B=1..4 N=1..9 M=1..9",
           .reference = times),
    EINSUM("matmul", "ij,jk", .inputs = "T[N,K]=" WHOLE " T[K,M]=" WHOLE, .dims = "N=1..20 K=0..9 M=1..40",
           .reference = matmul),
    EINSUM("matmul_normal", "ij,jk->ik", .inputs = "T[N,K]=normal T[K,M]=normal", .dims = "N=1..9 K=1..90 M=1..40",
           LOOSE, .reference = matmul),
    EINSUM("heads", "bqhd,bkhd->bhqk", .inputs = "T[2,Q,3,D]=normal T[2,K,3,D]=normal", .dims = "Q=1..9 K=1..9 D=1..8",
           LOOSE, .reference = heads),
    EINSUM("all_but_one", "abc->b", .inputs = "T[N,M,4]=" WHOLE, .dims = "N=0..5 M=1..9", .reference = all_but_one),
    EINSUM("spread", "...ij,...jk->...ik", .inputs = "T[2,B,N,3]=" WHOLE " T[B,3,M]=" WHOLE,
           .dims = "B=1..3 N=1..9 M=1..9", .reference = spread),
    EINSUM("spread_ones", "...ij,...jk", .inputs = "T[2,3,2,3]=" WHOLE " T[1,3,2]=" WHOLE, .reference = spread),
    EINSUM("spread_last", "ij...,j...->...i", .inputs = "T[N,2,3]=" WHOLE " T[2,3]=" WHOLE, .dims = "N=1..5",
           .reference = spread_last),
    EINSUM("ones", "ij,jk->ik", .inputs = "T[3,1]=" WHOLE " T[4,2]=" WHOLE, .reference = matmul),
    EINSUM("chain", "ij,jk,kl->il", .inputs = "T[N,2]=" WHOLE " T[2,M]=" WHOLE " T[M,3]=" WHOLE,
           .dims = "N=1..6 M=1..6", .types = "T=f32|f64|i32|i64|u8", .reference = chain),
    EINSUM("two_sums", "ijk,jlm->il", .inputs = "T[2,N,3]=" WHOLE " T[N,M,2]=" WHOLE, .dims = "N=1..5 M=1..5",
           .types = "T=f32|f64|i32|i64|u8", .reference = two_sums),
    EINSUM("scalars", ",i->i", .inputs = "T[]=" WHOLE " T[N]=" WHOLE, .dims = "N=0..9", .reference = scalars),
    EINSUM("wraps", "i,i->", .inputs = "i8[2]={100 100} i8[2]={2 1}", .expect = "i8[]={44}"),
    NO("letter", "i1->i", "f32[2,3]=normal", SDX_VALUE, "term 1 of attribute 'equation', 'i1', may have letters"),
    NO("dots", "i..->i", "f32[2,3]=normal", SDX_VALUE, "term 1 of attribute 'equation', 'i..', has a dot"),
    NO("source", "ij->ik", "f32[2,3]=normal", SDX_VALUE, "the output term of attribute 'equation', 'ik', has 'k'"),
    NO("twice", "ij->ii", "f32[2,3]=normal", SDX_VALUE, "has 'i' twice"),
    NO("inputs", "ij,jk", "f32[2,3]=normal", SDX_VALUE, "has 2 terms for inputs; there are 1 inputs"),
    NO("rank", "ijk->i", "f32[2,3]=normal", SDX_SHAPE, "input 0 has rank 2; its term has 3 letters"),
    NO("diagonal", "ii", "f32[2,3]=normal", SDX_SHAPE, "dimensions 0 and 1 of input 0 are both 'i'; they are 2 and 3"),
    NO("dim", "ij,jk", "f32[2,3]=normal f32[4,2]=normal", SDX_SHAPE, "'j', is 4; it must be 1 or 3"),

    {.name = "det",
     .op = "Det",
     .opset = 22,
     .inputs = "T[B,N,N]=uniform(-2,2)",
     .dims = "B=0..5 N=0..5",
     .reference = det,
     .atol = 1e-5},
    {.name = "det_2d", .op = "Det", .opset = 11, .inputs = "T[3,3]={0 2 1 3 0 0 1 1 1}", .expect = "T[]={-3}"},
    {.name = "det_exact_zero", .op = "Det", .opset = 22, .inputs = "T[2,2]={1 2 2 4}", .expect = "T[]={0}"},
    {.name = "det_large",
     .op = "Det",
     .opset = 22,
     .inputs = "T[260,260]=uniform(-0.1763,0.1763)",
     .types = "T=f32|f64",
     .reference = det_large,
     .rtol = 1e-4,
     .flags = SDX_CASE_SLOW},
    {.name = "det_nan", .op = "Det", .opset = 22, .inputs = "T[2,2]={nan 2 2 4}", .expect = "T[]={nan}"},
    {.name = "det_rank",
     .op = "Det",
     .opset = 22,
     .inputs = "f32[3]=normal",
     .fails = SDX_SHAPE,
     .says = "input 'X' has rank 1; it must be 2 or more"},
    {.name = "det_oblong",
     .op = "Det",
     .opset = 22,
     .inputs = "f32[2,3]=normal",
     .fails = SDX_SHAPE,
     .says = "the last two dimensions of input 'X': 2 and 3"},

    {.name = "nonzero",
     .op = "NonZero",
     .opset = 13,
     .inputs = "T[N,M,3]=ints(0,1)",
     .dims = "N=0..9 M=1..70",
     .types = "T=bf16|bool|f16|f32|f64|i16|i32|i64|i8|u16|u32|u64|u8|c64|c128",
     .reference = nonzero},
    {.name = "nonzero_sparse",
     .op = "NonZero",
     .opset = 9,
     .inputs = "T[70,500]=ints(-200,9)",
     .types = "T=f32|f64",
     .reference = nonzero,
     .flags = SDX_CASE_SLOW},
    {.name = "nonzero_special",
     .op = "NonZero",
     .opset = 13,
     .inputs = "f32[5]={-0 nan 0 1e-40 -inf}",
     .expect = "i64[1,3]={1 3 4}"},
    {.name = "nonzero_strings",
     .op = "NonZero",
     .opset = 13,
     .inputs = "string[2,2]={'' 'a' 'b' ''}",
     .expect = "i64[2,2]={0 1 1 0}"},
    {.name = "nonzero_scalar", .op = "NonZero", .opset = 13, .inputs = "f32[]={3}", .expect = "i64[0,1]={}"},
};
SDX_CASES_END
