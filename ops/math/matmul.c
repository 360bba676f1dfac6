/* SPDX-License-Identifier: Apache-2.0
 * Y = A B as numpy.matmul: leading dimensions broadcast; a vector is a row on the left and a column on the right, and
 * its dimension of 1 is dropped from Y. */
#include "ops/math/matmul.h"
#include "ops/grad.h"

static int64_t dim_of(const sdx_matmul_side *side, int d) { return d < 0 ? 1 : side->dim[d]; }

sdx_status sdx_matmul_infer(sdx_infer *infer, int a, int b) {
    const sdx_type *ta = infer->in[a], *tb = infer->in[b];
    sdx_type *y = &infer->out[0];
    if (ta->rank < 0 || tb->rank < 0) return SDX_OK;
    if (ta->rank == 0 || tb->rank == 0)
        return sdx_fail(infer->error, SDX_SHAPE, "input '%s' has rank 0; it must be 1 or more", ta->rank ? "B" : "A");
    const int64_t inner_b = tb->dim[tb->rank > 1 ? tb->rank - 2 : 0];
    SDX_TRY(sdx_infer_merge_dim(infer, "inner dimensions of 'A' and 'B'", ta->dim[ta->rank - 1], inner_b, NULL));
    const int batch_a = ta->rank > 2 ? ta->rank - 2 : 0, batch_b = tb->rank > 2 ? tb->rank - 2 : 0;
    const int batch = batch_a > batch_b ? batch_a : batch_b;
    y->rank = 0;
    for (int d = 0; d < batch; d++) {
        int64_t da = d < batch - batch_a ? 1 : ta->dim[d - (batch - batch_a)];
        int64_t db = d < batch - batch_b ? 1 : tb->dim[d - (batch - batch_b)], dim = da;
        if (da == 1 || db == 1)
            dim = da == 1 ? db : da;
        else
            SDX_TRY(sdx_infer_merge_dim(infer, "batch dimensions of 'A' and 'B'", da, db, &dim));
        y->dim[y->rank++] = dim;
    }
    if (ta->rank > 1) y->dim[y->rank++] = ta->dim[ta->rank - 2];
    if (tb->rank > 1) y->dim[y->rank++] = tb->dim[tb->rank - 1];
    return SDX_OK;
}

void sdx_matmul_steps(const sdx_matmul_side *side, int batch_rank, int64_t matrix, int64_t *step) {
    const int own = side->rank > 2 ? side->rank - 2 : 0;
    int64_t at = matrix;
    for (int d = 0; d < batch_rank; d++) step[d] = 0;
    for (int d = own - 1; d >= 0; d--) {
        step[batch_rank - own + d] = side->dim[d] == 1 ? 0 : at;
        at *= side->dim[d];
    }
}

void sdx_matmul_batches(sdx_product *product, const sdx_matmul_side *a, const sdx_matmul_side *b) {
    product->m = a->rank > 1 ? a->dim[a->rank - 2] : 1;
    product->k = a->dim[a->rank - 1];
    product->n = b->rank > 1 ? b->dim[b->rank - 1] : 1;
    const int batch_a = a->rank > 2 ? a->rank - 2 : 0, batch_b = b->rank > 2 ? b->rank - 2 : 0;
    product->batch_rank = batch_a > batch_b ? batch_a : batch_b;
    for (int d = 0; d < product->batch_rank; d++) {
        int64_t da = dim_of(a, d - (product->batch_rank - batch_a)),
                db = dim_of(b, d - (product->batch_rank - batch_b));
        product->batch_dim[d] = da == 1 ? db : da;
    }
    product->a.line_step = product->k, product->a.k_step = 1;
    product->b.line_step = 1, product->b.k_step = product->n;
    sdx_matmul_steps(a, product->batch_rank, product->m * product->k, product->a.batch_step);
    sdx_matmul_steps(b, product->batch_rank, product->k * product->n, product->b.batch_step);
}

void sdx_matmul_describe(sdx_product *product, const sdx_matmul_side *a, const sdx_matmul_side *b) {
    sdx_matmul_batches(product, a, b);
    for (int d = 0; d < b->rank - 2; d++)
        if (b->dim[d] != 1) return;
    /* One B for all: the batch joins the rows. */
    for (int d = 0; d < product->batch_rank; d++) product->m *= product->batch_dim[d];
    product->batch_rank = 0;
}

static sdx_matmul_side side_of_type(const sdx_type *type) { return (sdx_matmul_side){type->rank, type->dim}; }
static sdx_matmul_side side_of(const sdx_tensor *tensor) { return (sdx_matmul_side){tensor->rank, tensor->dim}; }

static sdx_status matmul_infer(sdx_infer *infer, const void *params) {
    (void)params;
    return sdx_matmul_infer(infer, 0, 1);
}

static size_t product_scratch(const sdx_product *product, int threads) {
    int64_t batch = 1;
    for (int d = 0; d < product->batch_rank; d++) batch *= product->batch_dim[d];
    return sdx_product_scratch(product->dtype, batch, product->m, product->n, product->k, false, false, threads);
}

static size_t matmul_scratch(const sdx_infer *infer, const void *params) {
    (void)params;
    sdx_matmul_side a = side_of_type(infer->in[0]), b = side_of_type(infer->in[1]);
    sdx_product product = {.dtype = infer->in[0]->dtype};
    sdx_matmul_describe(&product, &a, &b);
    return product_scratch(&product, infer->threads);
}

static sdx_status matmul_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_tensor *ta = compute->in[0], *tb = compute->in[1];
    sdx_matmul_side a = side_of(ta), b = side_of(tb);
    sdx_product product = {.dtype = ta->dtype, .alpha = 1, .beta = 1, .c = compute->out[0]->data};
    sdx_matmul_describe(&product, &a, &b);
    product.a.data = ta->data;
    product.b.data = tb->data;
    return sdx_product_run(compute, &product, compute->scratch);
}

/* The last two dimensions exchanged. */
static sdx_id turned(sdx_patch *patch, sdx_id x, int rank) {
    int64_t perm[SDX_MAX_RANK];
    for (int d = 0; d < rank; d++) perm[d] = d < rank - 2 ? d : 2 * rank - 3 - d;
    sdx_node *node = sdx_patch_node(patch, "", "Transpose", 1, &x, 1);
    sdx_patch_ints(patch, node, "perm", perm, (size_t)rank);
    return node->out[0];
}

static sdx_id unsqueezed(sdx_patch *patch, sdx_id x, int64_t axis) {
    return sdx_emit2(patch, "Unsqueeze", x, sdx_patch_i64s(patch, &axis, 1));
}

static sdx_id rows(sdx_patch *patch, sdx_id x, int rank) {
    return rank == 2 ? x : sdx_emit_int(patch, "Flatten", x, SDX_NONE, "axis", -1);
}

/* One matrix B for all rows of A: two products, whatever the batch. */
static void grad_of_rows(sdx_grad *grad, int rank) {
    sdx_patch *patch = grad->patch;
    const sdx_id A = grad->node->in[0], B = grad->node->in[1], dY = rows(patch, grad->dY[0], rank);
    grad->exact = true;
    if (grad->needed[0]) {
        sdx_id dA = sdx_emit_int(patch, "Gemm", dY, B, "transB", 1);
        grad->dX[0] = rank == 2 ? dA : sdx_grad_reshape(patch, dA, A);
    }
    if (grad->needed[1]) grad->dX[1] = sdx_emit_int(patch, "Gemm", rows(patch, A, rank), dY, "transA", 1);
}

static sdx_id turned_product(sdx_patch *patch, sdx_id a, sdx_id b, const char *which) {
    sdx_node *node = sdx_patch_node(patch, "sdx", "TurnedMatMul", 2, (sdx_id[]){a, b}, 1);
    sdx_patch_int(patch, node, which, 1);
    return node->out[0];
}

/* dA = dY B^T, dB = A^T dY; a vector is first made the matrix it stands for. */
static sdx_status matmul_grad(sdx_grad *grad, const void *params) {
    (void)params;
    sdx_patch *patch = grad->patch;
    sdx_id A = grad->node->in[0], B = grad->node->in[1], dY = grad->dY[0];
    int a = sdx_grad_type(patch, A)->rank, b = sdx_grad_type(patch, B)->rank;
    if (a < 0 || b < 0)
        return sdx_fail(grad->error, SDX_UNSUPPORTED, "the rank of input '%s' must be known for the gradient",
                        a < 0 ? "A" : "B");
    if (a >= 2 && b == 2) {
        grad_of_rows(grad, a);
        return patch->status;
    }
    const bool row = a == 1, column = b == 1;
    if (column) B = unsqueezed(patch, B, 1), dY = unsqueezed(patch, dY, -1);
    if (row) A = unsqueezed(patch, A, 0), dY = unsqueezed(patch, dY, -2);
    if (grad->needed[0]) grad->dX[0] = turned_product(patch, dY, B, "transB");
    if (grad->needed[1]) grad->dX[1] = turned_product(patch, A, dY, "transA");
    if (column && grad->needed[1])
        grad->dX[1] = sdx_emit2(patch, "Squeeze", grad->dX[1], sdx_patch_i64s(patch, (int64_t[]){-1}, 1));
    if (row && grad->needed[0])
        grad->dX[0] = sdx_emit2(patch, "Squeeze", grad->dX[0], sdx_patch_i64s(patch, (int64_t[]){-2}, 1));
    return patch->status;
}

const sdx_op sdx_op_MatMul = {
    .domain = "",
    .name = "MatMul",
    .versions = (const sdx_op_version[]){{1, "A:T B:T -> Y:T", "T=f16|f32|f64", ""},
                                         {9, "A:T B:T -> Y:T", "T=f16|f32|f64|i32|i64|u32|u64", ""},
                                         {13, "A:T B:T -> Y:T", "T=bf16|f16|f32|f64|i32|i64|u32|u64", ""},
                                         {0}},
    .infer = matmul_infer,
    .scratch = matmul_scratch,
    .compute = matmul_compute,
    .grad = matmul_grad};

/* ---- TurnedMatMul: matrices read the other way round, of which gradients would need copies ----------------------- */

typedef struct turned_params {
    bool turn[2];
} turned_params;

static sdx_status turned_bind(sdx_bind *bind, void *params) {
    turned_params *p = params;
    p->turn[0] = sdx_bind_int(bind, "transA") != 0;
    p->turn[1] = sdx_bind_int(bind, "transB") != 0;
    return SDX_OK;
}

static sdx_type turned_type(const sdx_type *type, bool turn) {
    sdx_type out = *type;
    if (!turn || type->rank < 2) return out;
    out.dim[type->rank - 2] = type->dim[type->rank - 1];
    out.dim[type->rank - 1] = type->dim[type->rank - 2];
    return out;
}

static sdx_status turned_infer(sdx_infer *infer, const void *params) {
    const turned_params *p = params;
    const sdx_type a = turned_type(infer->in[0], p->turn[0]), b = turned_type(infer->in[1], p->turn[1]);
    const sdx_type *in[2] = {&a, &b};
    sdx_infer own = *infer;
    own.in = in;
    return sdx_matmul_infer(&own, 0, 1);
}

static void turned_describe(sdx_product *product, const turned_params *p, const sdx_type *ta, const sdx_type *tb) {
    const sdx_type a = turned_type(ta, p->turn[0]), b = turned_type(tb, p->turn[1]);
    const sdx_matmul_side sides[2] = {side_of_type(&a), side_of_type(&b)};
    if (p->turn[0])
        sdx_matmul_batches(product, &sides[0], &sides[1]);
    else
        sdx_matmul_describe(product, &sides[0], &sides[1]);
    if (p->turn[0] && a.rank > 1) product->a.line_step = 1, product->a.k_step = product->m;
    if (p->turn[1] && b.rank > 1) product->b.line_step = product->k, product->b.k_step = 1;
}

static size_t turned_scratch(const sdx_infer *infer, const void *params) {
    sdx_product product = {.dtype = infer->in[0]->dtype};
    turned_describe(&product, params, infer->in[0], infer->in[1]);
    return product_scratch(&product, infer->threads);
}

static sdx_status turned_compute(sdx_compute *compute, const void *params) {
    const sdx_type a = sdx_type_of_tensor(compute->in[0]), b = sdx_type_of_tensor(compute->in[1]);
    sdx_product product = {.dtype = a.dtype, .alpha = 1, .beta = 1, .c = compute->out[0]->data};
    turned_describe(&product, params, &a, &b);
    product.a.data = compute->in[0]->data;
    product.b.data = compute->in[1]->data;
    return sdx_product_run(compute, &product, compute->scratch);
}

static sdx_status turned_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    const turned_params *p = params;
    sdx_id in[2];
    for (int k = 0; k < 2; k++) {
        const int rank = sdx_grad_type(patch, node->in[k])->rank;
        if (rank < 0) return sdx_fail(patch->error, SDX_UNSUPPORTED, "the ranks of 'A' and 'B' must be known");
        in[k] = p->turn[k] && rank > 1 ? turned(patch, node->in[k], rank) : node->in[k];
    }
    sdx_patch_replace(patch, node->out[0], sdx_emit2(patch, "MatMul", in[0], in[1]));
    sdx_patch_remove(patch, node);
    return patch->status;
}

const sdx_op sdx_op_TurnedMatMul = {
    .domain = "sdx",
    .name = "TurnedMatMul",
    .versions = (const sdx_op_version[]){{1, "A:T B:T -> Y:T", "T=" SDX_T_FLOAT_BF, "transA:int=0 transB:int=0"}, {0}},
    .params_size = sizeof(turned_params),
    .bind = turned_bind,
    .infer = turned_infer,
    .scratch = turned_scratch,
    .compute = turned_compute,
    .expand = turned_expand,
    .flags = SDX_OP_INTERNAL};
