/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/math/elementwise.h"
#include <inttypes.h>

sdx_status sdx_broadcast_dims(sdx_compute *compute, int first, int last, int *rank, int64_t *dims) {
    *rank = 0;
    for (int k = first; k <= last; k++)
        if (k < compute->n_in && compute->in[k] && compute->in[k]->rank > *rank) *rank = compute->in[k]->rank;
    for (int d = 0; d < *rank; d++) dims[d] = 1;
    for (int k = first; k <= last; k++) {
        const sdx_tensor *in = k < compute->n_in ? compute->in[k] : NULL;
        for (int d = 0; in && d < in->rank; d++) {
            int64_t *to = &dims[*rank - in->rank + d];
            char name[64];
            if (*to != 1 && in->dim[d] != 1 && *to != in->dim[d])
                return sdx_fail(compute->error, SDX_SHAPE,
                                "dimension %d of input '%s' is %" PRId64 "; it must be 1 or %" PRId64 " to broadcast",
                                d, sdx_op_input_name(compute->node, k, name, sizeof name), in->dim[d], *to);
            if (*to == 1) *to = in->dim[d];
        }
    }
    return SDX_OK;
}

/* ---- Unary ---- */

typedef struct unary_context {
    sdx_unary_fn fn;
    const float *p;
} unary_context;

static void unary_piece(const void *context, int64_t n, void *const *at, const int64_t *step) {
    (void)step;
    const unary_context *u = context;
    u->fn(at[1], at[0], n, u->p);
}

static int64_t unary_grain(sdx_unary_id id, sdx_dtype work) {
    static const bool costly[SDX_UNARY_COUNT] = {
#define X(name) [SDX_UNARY_##name] = true,
        X(Exp) X(Log) X(Sin) X(Cos) X(Tan) X(Asin) X(Acos) X(Atan) X(Sinh) X(Cosh) X(Tanh) X(Asinh) X(Acosh) X(Atanh)
            X(Sigmoid) X(Elu) X(Selu) X(Celu) X(Softplus) X(Swish) X(Mish) X(Gelu) X(GeluTanh) X(Erf) X(EluSlope)
                X(SeluSlope) X(CeluSlope) X(SwishSlope) X(MishSlope) X(GeluSlope) X(GeluTanhSlope) X(ErfSlope)
#undef X
    };
    return !costly[id] ? SDX_GRAIN_CHEAP : work == SDX_F32 ? SDX_GRAIN_MATH : SDX_GRAIN_HEAVY;
}

sdx_status sdx_unary_run(sdx_compute *compute, sdx_unary_id id, const float *p) {
    const sdx_tensor *x = compute->in[0];
    sdx_tensor *y = sdx_compute_output(compute, 0, x->rank, x->dim);
    if (!y) return compute->error->status;
    sdx_dtype work = sdx_work_dtype(x->dtype);
    unary_context context = {compute->kernels->unary(id, work), p};
    sdx_loop loop;
    sdx_loop_begin(&loop, y, sdx_work_dtype(y->dtype));
    sdx_loop_add(&loop, x, work);
    return sdx_loop_run(compute, &loop, unary_grain(id, work), unary_piece, &context);
}

/* ---- Binary ---- */

static void binary_piece(const void *context, int64_t n, void *const *at, const int64_t *step) {
    const sdx_binary_fn *fn = context;
    (*fn)(at[1], step[1], at[2], step[2], at[0], n);
}

sdx_binary_work sdx_binary_work_of(const sdx_tensor *a, const sdx_tensor *y) {
    return (sdx_binary_work){sdx_work_dtype(a->dtype), sdx_work_dtype(y->dtype)};
}

sdx_status sdx_binary_run(sdx_compute *compute, sdx_binary_id id, const sdx_tensor *a, const sdx_tensor *b,
                          const sdx_tensor *y, sdx_binary_work work) {
    sdx_binary_fn fn = compute->kernels->binary(id, work.in);
    sdx_loop loop;
    sdx_loop_begin(&loop, y, work.out);
    sdx_loop_add(&loop, a, work.in);
    sdx_loop_add(&loop, b, work.in);
    bool costly = id == SDX_BINARY_Pow || id == SDX_BINARY_Fmod || id == SDX_BINARY_Mod;
    return sdx_loop_run(compute, &loop, costly ? SDX_GRAIN_HEAVY : SDX_GRAIN_CHEAP, binary_piece, &fn);
}
