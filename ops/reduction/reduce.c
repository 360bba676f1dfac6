/* SPDX-License-Identifier: Apache-2.0
 * ReduceSum and its nine siblings. The axes came as an attribute until opset 12 (Sum) or 17; none or an empty list
 * means all of them, or with noop_with_empty_axes none. The last step (mean, root, logarithm) is taken in any case. */
#include "ops/reduction/reduce.h"
#include "ops/move.h"

/* The newest rows of two operators have no integers: their old forms stay as they are. */
static sdx_status reduce_upgrade(sdx_patch *patch, const sdx_node *node) {
    return node->n_in == 1 ? sdx_upgrade_ints(patch, node, "axes") : SDX_OK;
}

static sdx_status reduce_bind(sdx_bind *bind, sdx_reduce_params *p, sdx_reduce_kind kind) {
    p->kind = kind;
    p->keepdims = sdx_bind_int(bind, "keepdims") != 0;
    if (bind->since >= (kind == SDX_REDUCE_SUM ? 13 : 18))
        p->noop = sdx_bind_int(bind, "noop_with_empty_axes") != 0;
    else
        p->axes = sdx_bind_ints(bind, "axes");
    return bind->status;
}

/* Which axes of a tensor of this rank go. */
static sdx_status choose(sdx_error *error, const sdx_reduce_params *p, int64_t *axes, int n, int rank, bool *reduced) {
    SDX_TRY(sdx_check_axes(error, "axes", axes, n, rank));
    for (int d = 0; d < rank; d++) reduced[d] = n == 0 && !p->noop;
    for (int k = 0; k < n; k++) reduced[axes[k]] = true;
    return SDX_OK;
}

static sdx_status attribute_axes(sdx_error *error, const sdx_reduce_params *p, int64_t *axes, int *n) {
    if (p->axes.n > SDX_MAX_RANK)
        return sdx_fail(error, SDX_SHAPE, "attribute 'axes' has %zu entries; at most %d are allowed", p->axes.n,
                        SDX_MAX_RANK);
    *n = (int)p->axes.n;
    for (int k = 0; k < *n; k++) axes[k] = p->axes.data[k];
    return SDX_OK;
}

static void shape_of(const sdx_reduce_params *p, int rank, const int64_t *dims, const bool *reduced, int *out_rank,
                     int64_t *out) {
    *out_rank = 0;
    for (int d = 0; d < rank; d++)
        if (!reduced[d] || p->keepdims) out[(*out_rank)++] = reduced[d] ? 1 : dims[d];
}

static sdx_status reduce_infer(sdx_infer *infer, const void *params) {
    const sdx_reduce_params *p = params;
    int64_t axes[SDX_MAX_RANK];
    bool reduced[SDX_MAX_RANK], given = infer->n_in > 1 && infer->in[1];
    int n = 0, rank = sdx_infer_rank_of(infer, 0);
    sdx_type *out = &infer->out[0];
    if (given)
        SDX_TRY(sdx_infer_i64s(infer, 1, "axes", axes, SDX_MAX_RANK, &n));
    else
        SDX_TRY(attribute_axes(infer->error, p, axes, &n));
    if (rank < 0) return SDX_OK;
    if (n >= 0) {
        SDX_TRY(choose(infer->error, p, axes, n, rank, reduced));
        shape_of(p, rank, infer->in[0]->dim, reduced, &out->rank, out->dim);
    } else if (p->keepdims) {
        out->rank = rank;
        for (int d = 0; d < rank; d++) out->dim[d] = infer->in[0]->dim[d] == 1 ? 1 : -1;
    }
    return SDX_OK;
}

static sdx_status reduce_compute(sdx_compute *compute, const void *params) {
    const sdx_reduce_params *p = params;
    const sdx_tensor *x = compute->in[0];
    int64_t axes[SDX_MAX_RANK], dims[SDX_MAX_RANK];
    bool reduced[SDX_MAX_RANK];
    int n = 0, rank = 0;
    if (compute->n_in > 1 && compute->in[1])
        SDX_TRY(sdx_read_i64s(compute->error, "axes", compute->in[1], axes, SDX_MAX_RANK, &n));
    else
        SDX_TRY(attribute_axes(compute->error, p, axes, &n));
    SDX_TRY(choose(compute->error, p, axes, n, x->rank, reduced));
    shape_of(p, x->rank, x->dim, reduced, &rank, dims);
    sdx_tensor *y = sdx_compute_output(compute, 0, rank, dims);
    return y ? sdx_reduce_run(compute, p->kind, x, reduced, y) : compute->error->status;
}

#define WIDE  "|i32|i64|u32|u64"
#define BYTES WIDE "|i8|u8"
#define OLD(since, types)                                                                                              \
    { since, "data:T -> reduced:T", "T=" types, "axes:ints keepdims:int=1" }
#define NEW(since, types)                                                                                              \
    { since, "data:T axes:i64? -> reduced:T", "T=" types, "keepdims:int=1 noop_with_empty_axes:int=0" }

#define REDUCE(op, id, upgrade_, ...)                                                                                  \
    static sdx_status op##_bind(sdx_bind *bind, void *params) { return reduce_bind(bind, params, SDX_REDUCE_##id); }   \
    const sdx_op sdx_op_##op = {                                                                                       \
        .domain = "",                                                                                                  \
        .name = #op,                                                                                                   \
        .versions =                                                                                                    \
            (const sdx_op_version[]){                                                                                  \
                OLD(1, SDX_T_FLOAT WIDE),                                                                              \
                OLD(11, SDX_T_FLOAT WIDE),                                                                             \
                __VA_ARGS__,                                                                                           \
                {0, NULL, NULL, NULL},                                                                                 \
            },                                                                                                         \
        .params_size = sizeof(sdx_reduce_params),                                                                      \
        .upgrade = upgrade_,                                                                                           \
        .bind = op##_bind,                                                                                             \
        .infer = reduce_infer,                                                                                         \
        .compute = reduce_compute,                                                                                     \
        .grad = sdx_reduce_gradient,                                                                                   \
    };

#define BASIC OLD(13, SDX_T_FLOAT_BF WIDE), NEW(18, SDX_T_FLOAT_BF WIDE)
#define ORDER                                                                                                          \
    OLD(12, SDX_T_FLOAT BYTES), OLD(13, SDX_T_FLOAT_BF BYTES), NEW(18, SDX_T_FLOAT_BF BYTES),                          \
        NEW(20, SDX_T_FLOAT_BF BYTES "|bool")

REDUCE(ReduceSum, SUM, reduce_upgrade, NEW(13, SDX_T_FLOAT_BF WIDE))
REDUCE(ReduceMean, MEAN, reduce_upgrade, BASIC)
REDUCE(ReduceProd, PROD, reduce_upgrade, BASIC)
REDUCE(ReduceL1, L1, reduce_upgrade, BASIC)
REDUCE(ReduceL2, L2, reduce_upgrade, BASIC)
REDUCE(ReduceSumSquare, SUM_SQUARE, reduce_upgrade, BASIC)
REDUCE(ReduceLogSum, LOG_SUM, NULL, BASIC, NEW(28, SDX_T_FLOAT_BF))
REDUCE(ReduceLogSumExp, LOG_SUM_EXP, NULL, BASIC, NEW(28, SDX_T_FLOAT_BF))
REDUCE(ReduceMax, MAX, reduce_upgrade, ORDER)
REDUCE(ReduceMin, MIN, reduce_upgrade, ORDER)
