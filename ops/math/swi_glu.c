/* SPDX-License-Identifier: Apache-2.0
 * SwiGLU: Y = Swish(A) B with Swish(a) = a sigmoid(alpha a). A and B have one shape; nothing is broadcast. */
#include "ops/math/elementwise.h"

enum { PIECE = 512 }; /* elements of Swish(A) kept on the stack: Y may be A or B */

typedef struct swiglu_params {
    float alpha;
} swiglu_params;

static sdx_status swiglu_bind(sdx_bind *bind, void *params) {
    swiglu_params *p = params;
    p->alpha = sdx_bind_float(bind, "alpha");
    return bind->status;
}

static sdx_status swiglu_infer(sdx_infer *infer, const void *params) {
    (void)params;
    const sdx_type *a = infer->in[0], *b = infer->in[1];
    sdx_infer_same(infer, 0, a->rank < 0 ? 1 : 0);
    if (a->rank < 0 || b->rank < 0) return SDX_OK;
    if (a->rank != b->rank)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'B' has rank %d; input 'A' has rank %d", b->rank, a->rank);
    for (int d = 0; d < a->rank; d++)
        SDX_TRY(sdx_infer_merge_dim(infer, "dimensions of 'A' and 'B'", a->dim[d], b->dim[d], &infer->out[0].dim[d]));
    return SDX_OK;
}

typedef struct swiglu_job {
    sdx_unary_fn swish;
    sdx_binary_fn multiply;
    int64_t size; /* bytes of an element */
    float alpha;
} swiglu_job;

static void swiglu_piece(const void *context, int64_t n, void *const *at, const int64_t *step) {
    const swiglu_job *job = context;
    double gate[PIECE];
    for (int64_t k = 0, m; k < n; k += m) {
        m = n - k < PIECE ? n - k : PIECE;
        job->swish((const char *)at[1] + k * step[1] * job->size, gate, m, &job->alpha);
        job->multiply(gate, 1, (const char *)at[2] + k * step[2] * job->size, step[2], (char *)at[0] + k * job->size,
                      m);
    }
}

static sdx_status swiglu_compute(sdx_compute *compute, const void *params) {
    const swiglu_params *p = params;
    const sdx_tensor *a = compute->in[0];
    const sdx_dtype work = sdx_work_dtype(a->dtype);
    swiglu_job job = {.swish = compute->kernels->unary(SDX_UNARY_Swish, work),
                      .alpha = p->alpha,
                      .multiply = compute->kernels->binary(SDX_BINARY_Mul, work),
                      .size = (int64_t)sdx_dtype_size(work)};
    sdx_loop loop;
    sdx_loop_begin(&loop, compute->out[0], work);
    sdx_loop_add(&loop, a, work);
    sdx_loop_add(&loop, compute->in[1], work);
    return sdx_loop_run(compute, &loop, SDX_GRAIN_MATH, swiglu_piece, &job);
}

/* With s = sigmoid(alpha A): dB = dY A s, dA = dY B (s + alpha A s (1 - s)). */
static sdx_status swiglu_grad(sdx_grad *grad, const void *params) {
    const swiglu_params *p = params;
    sdx_patch *patch = grad->patch;
    sdx_id A = grad->node->in[0], B = grad->node->in[1], dY = grad->dY[0];
    const sdx_dtype dtype = patch->graph->values[A].type.dtype;
    sdx_id alpha = sdx_patch_scalar(patch, dtype, (double)p->alpha), one = sdx_patch_scalar(patch, dtype, 1);
    sdx_id scaled = sdx_emit2(patch, "Mul", A, alpha), s = sdx_emit1(patch, "Sigmoid", scaled);
    if (grad->needed[1]) grad->dX[1] = sdx_emit2(patch, "Mul", dY, sdx_emit2(patch, "Mul", A, s));
    if (!grad->needed[0]) return patch->status;
    sdx_id bend = sdx_emit2(patch, "Mul", scaled, sdx_emit2(patch, "Sub", one, s));
    sdx_id slope = sdx_emit2(patch, "Mul", s, sdx_emit2(patch, "Add", one, bend));
    grad->dX[0] = sdx_emit2(patch, "Mul", sdx_emit2(patch, "Mul", dY, B), slope);
    return patch->status;
}

const sdx_op sdx_op_SwiGLU = {
    .domain = "",
    .name = "SwiGLU",
    .versions =
        (const sdx_op_version[]){{28, "A:T B:T -> Y:T", "T=" SDX_T_FLOAT_BF, "alpha:float=1"}, {0, NULL, NULL, NULL}},
    .params_size = sizeof(swiglu_params),
    .bind = swiglu_bind,
    .infer = swiglu_infer,
    .compute = swiglu_compute,
    .grad = swiglu_grad,
    .flags = SDX_OP_INPLACE,
};
