/* SPDX-License-Identifier: Apache-2.0
 * Y = clamp(alpha A' B + beta C + Z) for MatMul and Gemm with a constant B of k x n, which comes as the panels of
 * sdx_product_pack. A' is A or, for rank 2, its transpose; leading dimensions of A are rows. C is one element per
 * column or, for rank 2, anything that broadcasts to Y. Z has the shape of Y and goes with alpha 1 and no C but a row.
 */
#include "ops/math/product.h"

typedef struct packed_matmul_params {
    int64_t n, k;
    double alpha, beta;
    bool trans_a, clamp;
    double low, high;
} packed_matmul_params;

static sdx_status packed_matmul_bind(sdx_bind *bind, void *params) {
    packed_matmul_params *p = params;
    p->n = sdx_bind_int(bind, "n");
    p->k = sdx_bind_int(bind, "k");
    p->alpha = (double)sdx_bind_float(bind, "alpha");
    p->beta = (double)sdx_bind_float(bind, "beta");
    p->trans_a = sdx_bind_int(bind, "transA") != 0;
    p->clamp = sdx_bind_int(bind, "clamp") != 0;
    p->low = (double)sdx_bind_float(bind, "low");
    p->high = (double)sdx_bind_float(bind, "high");
    return SDX_OK;
}

static sdx_status check_c(sdx_infer *infer, const sdx_type *c) {
    const sdx_type *y = &infer->out[0];
    if (c->rank > y->rank)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'C' has rank %d; it must be at most %d", c->rank, y->rank);
    for (int d = 0; d < c->rank; d++) {
        const int64_t have = c->dim[d], want = y->dim[y->rank - c->rank + d];
        if (have >= 0 && want >= 0 && have != want && have != 1)
            return sdx_fail(infer->error, SDX_SHAPE, "dimension %d of input 'C' is %lld; it must be 1 or %lld", d,
                            (long long)have, (long long)want);
    }
    return SDX_OK;
}

static sdx_status packed_matmul_infer(sdx_infer *infer, const void *params) {
    const packed_matmul_params *p = params;
    const sdx_type *a = infer->in[0];
    sdx_type *y = &infer->out[0];
    if (a->rank < 0) return SDX_OK;
    if (a->rank == 0 || (p->trans_a && a->rank != 2))
        return sdx_fail(infer->error, SDX_SHAPE, "input 'A' has rank %d; it must be %s", a->rank,
                        p->trans_a ? "2" : "1 or more");
    SDX_TRY(sdx_infer_merge_dim(infer, "inner dimensions of 'A' and 'B'", a->dim[p->trans_a ? 0 : a->rank - 1], p->k,
                                NULL));
    y->rank = a->rank;
    for (int d = 0; d < a->rank - 1; d++) y->dim[d] = a->dim[p->trans_a ? 1 : d];
    y->dim[y->rank - 1] = p->n;
    const sdx_type *c = infer->n_in > 2 ? infer->in[2] : NULL;
    return c && c->rank >= 0 ? check_c(infer, c) : SDX_OK;
}

static size_t packed_matmul_scratch(const sdx_infer *infer, const void *params) {
    const packed_matmul_params *p = params;
    const sdx_type *a = infer->in[0];
    int64_t rows = 1;
    for (int d = 0; d < a->rank - 1; d++) rows *= a->dim[p->trans_a ? 1 : d];
    return sdx_product_scratch(a->dtype, 1, rows, p->n, p->k, false, true, infer->threads);
}

static sdx_status packed_matmul_compute(sdx_compute *compute, const void *params) {
    const packed_matmul_params *p = params;
    const sdx_tensor *a = compute->in[0], *c = compute->n_in > 2 ? compute->in[2] : NULL;
    const sdx_tensor *z = compute->n_in > 3 ? compute->in[3] : NULL;
    sdx_product product = {.dtype = a->dtype, .m = 1, .n = p->n, .k = p->k, .alpha = p->alpha, .beta = p->beta};
    for (int d = 0; d < a->rank - 1; d++) product.m *= a->dim[p->trans_a ? 1 : d];
    product.a = (sdx_factor){.data = a->data, .line_step = p->trans_a ? 1 : p->k, .k_step = p->trans_a ? product.m : 1};
    product.b = (sdx_factor){.packed = compute->in[1]->data};
    product.c = compute->out[0]->data;
    product.clamp = p->clamp, product.low = p->low, product.high = p->high;
    if (c && p->beta != 0)
        sdx_product_add(&product, c->data, c->rank > 1 && c->dim[c->rank - 2] > 1 ? c->dim[c->rank - 1] : 0,
                        c->rank > 0 && c->dim[c->rank - 1] > 1);
    if (z) product.residual = z->data;
    return sdx_product_run(compute, &product, compute->scratch);
}

const sdx_op sdx_op_PackedMatMul = {
    .domain = "sdx",
    .name = "PackedMatMul",
    .versions =
        (const sdx_op_version[]){{1, "A:T B:u8 C:T? Z:T? -> Y:T", "T=bf16|f16|f32|f64|i32|i64|u32|u64",
                                  "alpha:float=1 beta:float=1 clamp:int=0 high:float=0 k:int! low:float=0 n:int! "
                                  "transA:int=0"},
                                 {0}},
    .params_size = sizeof(packed_matmul_params),
    .bind = packed_matmul_bind,
    .infer = packed_matmul_infer,
    .scratch = packed_matmul_scratch,
    .compute = packed_matmul_compute,
    .flags = SDX_OP_INTERNAL};
