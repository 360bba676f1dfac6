/* SPDX-License-Identifier: Apache-2.0
 * MatMulInteger: Y = (A - a_zero_point) (B - b_zero_point) in i32. */
#include "ops/math/dot_matmul.h"
#include "ops/math/matmul.h"

static const sdx_type *type_of(const sdx_infer *infer, int k) { return k < infer->n_in ? infer->in[k] : NULL; }

static sdx_status integer_infer(sdx_infer *infer, const void *params) {
    (void)params;
    const sdx_type *zero_a = type_of(infer, 2), *zero_b = type_of(infer, 3);
    SDX_TRY(sdx_matmul_infer(infer, 0, 1));
    if (zero_a) SDX_TRY(sdx_dot_lines_check(infer->error, "a_zero_point", zero_a, infer->in[0], false));
    if (zero_b) SDX_TRY(sdx_dot_lines_check(infer->error, "b_zero_point", zero_b, infer->in[1], true));
    return SDX_OK;
}

static size_t integer_scratch(const sdx_infer *infer, const void *params) {
    (void)params;
    return sdx_dot_matmul_scratch(infer->in[0], infer->in[1], infer->threads);
}

static sdx_status integer_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_tensor *a = compute->in[0], *b = compute->in[1];
    const sdx_tensor *zero_a = compute->n_in > 2 ? compute->in[2] : NULL;
    const sdx_tensor *zero_b = compute->n_in > 3 ? compute->in[3] : NULL;
    sdx_type type_a = sdx_type_of_tensor(a), type_b = sdx_type_of_tensor(b), lines_a = {0}, lines_b = {0};
    if (zero_a) lines_a = sdx_type_of_tensor(zero_a);
    if (zero_b) lines_b = sdx_type_of_tensor(zero_b);
    sdx_dot dot = {.c = compute->out[0]->data};
    sdx_dot_matmul(&dot, &type_a, &type_b, zero_a ? &lines_a : NULL, zero_b ? &lines_b : NULL);
    dot.a.data = a->data, dot.a.dtype = a->dtype, dot.a.zero = zero_a ? zero_a->data : NULL;
    dot.b.data = b->data, dot.b.dtype = b->dtype, dot.b.zero = zero_b ? zero_b->data : NULL;
    return sdx_dot_run(compute, &dot, compute->scratch);
}

const sdx_op sdx_op_MatMulInteger = {
    .domain = "",
    .name = "MatMulInteger",
    .versions =
        (const sdx_op_version[]){
            {10, "A:T1 B:T2 a_zero_point:T1? b_zero_point:T2? -> Y:T3", "T1=i8|u8 T2=i8|u8 T3=i32", ""},
            {0, NULL, NULL, NULL},
        },
    .infer = integer_infer,
    .scratch = integer_scratch,
    .compute = integer_compute,
    .grad = sdx_no_gradient,
};
