/* SPDX-License-Identifier: Apache-2.0
 * Y = alpha A' B' + beta C, where A' is A or its transpose. C broadcasts to [M, N]; until version 6 it had to have that
 * shape unless the attribute broadcast was set, and from 11 it may be absent. */
#include "ops/grad.h"
#include "ops/math/product.h"

typedef struct gemm_params {
    float alpha, beta;
    bool trans_a, trans_b, equal_c;
} gemm_params;

static sdx_status gemm_bind(sdx_bind *bind, void *params) {
    gemm_params *p = params;
    p->alpha = sdx_bind_float(bind, "alpha");
    p->beta = sdx_bind_float(bind, "beta");
    p->trans_a = sdx_bind_int(bind, "transA") != 0;
    p->trans_b = sdx_bind_int(bind, "transB") != 0;
    p->equal_c = bind->since < 7 && sdx_bind_int(bind, "broadcast") == 0;
    return SDX_OK;
}

/* C against [M, N]. */
static sdx_status infer_c(sdx_infer *infer, const gemm_params *p) {
    const sdx_type *c = infer->n_in > 2 ? infer->in[2] : NULL;
    if (!c || c->rank < 0) return SDX_OK;
    if (c->rank > 2 || (p->equal_c && c->rank != 2))
        return sdx_fail(infer->error, SDX_SHAPE, "input 'C' has rank %d; it must be %s", c->rank,
                        p->equal_c ? "2 when attribute 'broadcast' is 0" : "at most 2");
    for (int d = 0; d < c->rank; d++) {
        int64_t have = c->dim[d], want = infer->out[0].dim[2 - c->rank + d];
        if (have >= 0 && want >= 0 && have != want && (p->equal_c || have != 1))
            return sdx_fail(infer->error, SDX_SHAPE, "dimension %d of input 'C' is %lld; it must be %s%lld", d,
                            (long long)have, p->equal_c ? "" : "1 or ", (long long)want);
    }
    return SDX_OK;
}

static sdx_status gemm_infer(sdx_infer *infer, const void *params) {
    const gemm_params *p = params;
    const sdx_type *a = infer->in[0], *b = infer->in[1];
    SDX_TRY(sdx_infer_rank(infer, 0, "A", 2));
    SDX_TRY(sdx_infer_rank(infer, 1, "B", 2));
    sdx_type *y = &infer->out[0];
    y->rank = 2;
    y->dim[0] = a->rank == 2 ? a->dim[p->trans_a] : -1;
    y->dim[1] = b->rank == 2 ? b->dim[!p->trans_b] : -1;
    if (a->rank == 2 && b->rank == 2)
        SDX_TRY(sdx_infer_merge_dim(infer, "inner dimensions of 'A' and 'B'", a->dim[!p->trans_a], b->dim[p->trans_b],
                                    NULL));
    return infer_c(infer, p);
}

static size_t gemm_scratch(const sdx_infer *infer, const void *params) {
    const gemm_params *p = params;
    const sdx_type *a = infer->in[0], *b = infer->in[1];
    return sdx_product_scratch(a->dtype, 1, a->dim[p->trans_a], b->dim[!p->trans_b], a->dim[!p->trans_a], false, false,
                               infer->threads);
}

static sdx_status gemm_compute(sdx_compute *compute, const void *params) {
    const gemm_params *p = params;
    const sdx_tensor *a = compute->in[0], *b = compute->in[1], *c = compute->n_in > 2 ? compute->in[2] : NULL;
    sdx_product product = {.dtype = a->dtype,
                           .m = a->dim[p->trans_a],
                           .n = b->dim[!p->trans_b],
                           .k = a->dim[!p->trans_a],
                           .alpha = (double)p->alpha,
                           .beta = (double)p->beta};
    sdx_tensor *y = sdx_compute_output(compute, 0, 2, (int64_t[]){product.m, product.n});
    if (!y) return compute->error->status;
    product.c = y->data;
    product.a =
        (sdx_factor){.data = a->data, .line_step = p->trans_a ? 1 : product.k, .k_step = p->trans_a ? product.m : 1};
    product.b =
        (sdx_factor){.data = b->data, .line_step = p->trans_b ? product.k : 1, .k_step = p->trans_b ? 1 : product.n};
    if (c && product.beta != 0)
        sdx_product_add(&product, c->data, c->rank > 1 && c->dim[c->rank - 2] > 1 ? c->dim[c->rank - 1] : 0,
                        c->rank > 0 && c->dim[c->rank - 1] > 1);
    return sdx_product_run(compute, &product, compute->scratch);
}

static sdx_id gemm(sdx_patch *patch, sdx_id a, sdx_id b, bool trans_a, bool trans_b, float alpha) {
    sdx_node *node = sdx_patch_node(patch, "", "Gemm", 2, (sdx_id[]){a, b}, 1);
    sdx_patch_int(patch, node, "transA", trans_a);
    sdx_patch_int(patch, node, "transB", trans_b);
    sdx_patch_float(patch, node, "alpha", alpha);
    return node->out[0];
}

/* dA' = alpha dY B'^T, dB' = alpha A'^T dY, dC = beta dY */
static sdx_status gemm_grad(sdx_grad *grad, const void *params) {
    const gemm_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_id A = grad->node->in[0], B = grad->node->in[1], dY = grad->dY[0];
    if (grad->needed[0])
        grad->dX[0] = p->trans_a ? gemm(patch, B, dY, p->trans_b, true, p->alpha)
                                 : gemm(patch, dY, B, false, !p->trans_b, p->alpha);
    if (grad->needed[1])
        grad->dX[1] = p->trans_b ? gemm(patch, dY, A, true, p->trans_a, p->alpha)
                                 : gemm(patch, A, dY, !p->trans_a, false, p->alpha);
    if (grad->node->n_in > 2 && grad->needed[2])
        grad->dX[2] = p->beta == 1 ? dY : sdx_emit2(patch, "Mul", dY, sdx_grad_scalar(patch, A, (double)p->beta));
    return patch->status;
}

const sdx_op sdx_op_Gemm = {
    .domain = "",
    .name = "Gemm",
    .versions = (const sdx_op_version[]){{1, "A:T B:T C:T -> Y:T", "T=f16|f32|f64",
                                          "alpha:float=1 beta:float=1 broadcast:int=0 transA:int=0 transB:int=0"},
                                         {6, "A:T B:T C:T -> Y:T", "T=f16|f32|f64",
                                          "alpha:float=1 beta:float=1 broadcast:int=0 transA:int=0 transB:int=0"},
                                         {7, "A:T B:T C:T -> Y:T", "T=f16|f32|f64",
                                          "alpha:float=1 beta:float=1 transA:int=0 transB:int=0"},
                                         {9, "A:T B:T C:T -> Y:T", "T=f16|f32|f64|i32|i64|u32|u64",
                                          "alpha:float=1 beta:float=1 transA:int=0 transB:int=0"},
                                         {11, "A:T B:T C:T? -> Y:T", "T=f16|f32|f64|i32|i64|u32|u64",
                                          "alpha:float=1 beta:float=1 transA:int=0 transB:int=0"},
                                         {13, "A:T B:T C:T? -> Y:T", "T=bf16|f16|f32|f64|i32|i64|u32|u64",
                                          "alpha:float=1 beta:float=1 transA:int=0 transB:int=0"},
                                         {0}},
    .params_size = sizeof(gemm_params),
    .bind = gemm_bind,
    .infer = gemm_infer,
    .scratch = gemm_scratch,
    .compute = gemm_compute,
    .grad = gemm_grad};
