/* SPDX-License-Identifier: Apache-2.0
 * MatMulInteger: Y = (A - a_zero_point) (B - b_zero_point) in i32. */
#include "ops/math/dot_matmul.h"
#include "ops/math/matmul.h"

static sdx_status integer_infer(sdx_infer *infer, const void *params) {
    sdx_unpacked unpacked;
    infer = sdx_unpack_types(infer, params, 1, &unpacked);
    const sdx_type *zero_a = sdx_infer_in(infer, 2), *zero_b = sdx_infer_in(infer, 3);
    SDX_TRY(sdx_matmul_infer(infer, 0, 1));
    if (zero_a) SDX_TRY(sdx_dot_lines_check(infer->error, "a_zero_point", zero_a, infer->in[0], false));
    if (zero_b) SDX_TRY(sdx_dot_lines_check(infer->error, "b_zero_point", zero_b, infer->in[1], true));
    return SDX_OK;
}

static size_t integer_scratch(const sdx_infer *infer, const void *params) {
    sdx_unpacked unpacked;
    sdx_infer inner = *infer;
    infer = sdx_unpack_types(&inner, params, 1, &unpacked);
    return sdx_dot_matmul_scratch(infer->in[0], infer->in[1], infer->threads);
}

static sdx_status integer_compute(sdx_compute *compute, const void *params) {
    const sdx_packed_weight *weight = params;
    sdx_unpacked unpacked;
    const sdx_tensor *a = compute->in[0], *b = sdx_unpack_inputs(compute, weight, 1, &unpacked)[1];
    const sdx_tensor *zero_a = compute->n_in > 2 ? compute->in[2] : NULL;
    const sdx_tensor *zero_b = compute->n_in > 3 ? compute->in[3] : NULL;
    sdx_type type_a = sdx_type_of_tensor(a), type_b = sdx_type_of_tensor(b), lines_a = {0}, lines_b = {0};
    if (zero_a) lines_a = sdx_type_of_tensor(zero_a);
    if (zero_b) lines_b = sdx_type_of_tensor(zero_b);
    sdx_dot dot = {.c = compute->out[0]->data};
    sdx_dot_matmul(&dot, &type_a, &type_b, zero_a ? &lines_a : NULL, zero_b ? &lines_b : NULL);
    dot.a.data = a->data, dot.a.dtype = a->dtype, dot.a.zero = zero_a ? zero_a->data : NULL;
    dot.b.data = b->data, dot.b.dtype = b->dtype, dot.b.zero = zero_b ? zero_b->data : NULL;
    if (weight->shape.n) sdx_unpack_factor(compute->kernels, compute->in[1]->data, true, 1, dot.n, dot.k, &dot.b);
    return sdx_dot_run(compute, &dot, compute->scratch);
}

static sdx_status packed_bind(sdx_bind *bind, void *params) { return sdx_packed_weight_bind(bind, params); }

const sdx_op sdx_op_MatMulInteger = {
    .domain = "",
    .name = "MatMulInteger",
    .versions =
        (const sdx_op_version[]){
            {10, "A:T1 B:T2 a_zero_point:T1? b_zero_point:T2? -> Y:T3", "T1=i8|u8 T2=i8|u8 T3=i32", ""},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_packed_weight), /* none */
    .infer = integer_infer,
    .scratch = integer_scratch,
    .compute = integer_compute,
    .grad = sdx_no_gradient,
};

const sdx_op sdx_op_PackedMatMulInteger = {
    .domain = "sdx",
    .name = "PackedMatMulInteger",
    .versions =
        (const sdx_op_version[]){
            {1, "A:T1 B:V a_zero_point:T1? b_zero_point:T2? -> Y:T3", "T1=i8|u8 T2=i8|u8 T3=i32 V=u8",
             SDX_PACKED_WEIGHT},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_packed_weight),
    .bind = packed_bind,
    .infer = integer_infer,
    .scratch = integer_scratch,
    .compute = integer_compute,
    .flags = SDX_OP_INTERNAL,
};
