/* SPDX-License-Identifier: Apache-2.0
 * Y = softmax(cap(s Q K^T) + mask) V for attention that a model writes out, with the broadcasting of MatMul and Add. Q,
 * K, V are read through a permutation whose last entry stays last, Y is written through one. s is the product of the
 * scales, of which those that `divide` marks are divisors. A mask of bool puts `fill` (-inf) in place of scores. */
#include "ops/nn/attend.h"
#include <math.h>
#include <string.h>

enum { Q, K, V, MASK, FILL, SCALES, Y = 3, OPERANDS };

typedef struct fused_attention_params {
    sdx_ints perm[OPERANDS]; /* of Q, K, V, Y; empty: as it is */
    sdx_ints divide;         /* of each scale */
    bool hides;              /* bool: true masks */
    sdx_attend_empty empty;
    double softcap;
} fused_attention_params;

static sdx_status fused_attention_bind(sdx_bind *bind, void *params) {
    static const char *const names[OPERANDS] = {"perm_q", "perm_k", "perm_v", "perm_y"};
    fused_attention_params *p = params;
    for (int k = 0; k < OPERANDS; k++) p->perm[k] = sdx_bind_ints(bind, names[k]);
    p->divide = sdx_bind_ints(bind, "divide");
    p->hides = sdx_bind_int(bind, "hides") != 0;
    p->empty = (sdx_attend_empty)sdx_bind_int(bind, "empty");
    p->softcap = (double)sdx_bind_float(bind, "softcap");
    return bind->status;
}

/* ---- shapes: [batch..., rows, columns], where -1 is not known --------------------------------------------------- */

/* The type as the permutation shows it. */
static sdx_type seen(const sdx_type *type, const sdx_ints *perm) {
    sdx_type out = *type;
    for (size_t d = 0; type->rank >= 0 && d < perm->n; d++) out.dim[d] = type->dim[perm->data[d]];
    return out;
}

/* Dimension d from the end. */
static int64_t back(const sdx_type *type, int d) { return d < type->rank ? type->dim[type->rank - 1 - d] : 1; }

static sdx_status broadcast(sdx_infer *infer, const char *what, int64_t dim, int64_t *to) {
    if (dim == 1) return SDX_OK;
    if (*to != 1) return sdx_infer_merge_dim(infer, what, *to, dim, to);
    *to = dim;
    return SDX_OK;
}

/* Y before its permutation. */
static sdx_status shape_of(sdx_infer *infer, const sdx_type *q, const sdx_type *k, const sdx_type *v,
                           const sdx_type *mask, sdx_type *y) {
    int64_t queries = back(q, 1), keys = back(k, 1);
    SDX_TRY(sdx_infer_merge_dim(infer, "inner dimensions of 'Q' and 'K'", back(q, 0), back(k, 0), NULL));
    if (mask) SDX_TRY(broadcast(infer, "queries of 'Q' and 'mask'", back(mask, 1), &queries));
    if (mask) SDX_TRY(broadcast(infer, "keys of 'K' and 'mask'", back(mask, 0), &keys));
    SDX_TRY(sdx_infer_merge_dim(infer, "keys of 'K' and 'V'", keys, back(v, 1), NULL));
    const sdx_type *all[] = {q, k, v, mask};
    y->rank = 2;
    for (int t = 0; t < 4; t++)
        if (all[t] && all[t]->rank > y->rank) y->rank = all[t]->rank;
    y->dim[y->rank - 1] = back(v, 0), y->dim[y->rank - 2] = queries;
    for (int d = 2; d < y->rank; d++) {
        int64_t dim = 1;
        for (int t = 0; t < 4; t++)
            if (all[t]) SDX_TRY(broadcast(infer, "batch dimensions", back(all[t], d), &dim));
        y->dim[y->rank - 1 - d] = dim;
    }
    return SDX_OK;
}

static sdx_status fused_attention_infer(sdx_infer *infer, const void *params) {
    const fused_attention_params *p = params;
    sdx_type type[3], y = infer->out[0];
    const sdx_type *mask = infer->n_in > MASK ? infer->in[MASK] : NULL;
    if (mask && mask->rank < 0) return SDX_OK;
    for (int k = Q; k <= V; k++) {
        if (infer->in[k]->rank < 0) return SDX_OK;
        type[k] = seen(infer->in[k], &p->perm[k]);
    }
    SDX_TRY(shape_of(infer, &type[Q], &type[K], &type[V], mask, &y));
    infer->out[0] = seen(&y, &p->perm[Y]);
    return SDX_OK;
}

/* ---- run -------------------------------------------------------------------------------------------------------- */

/* The attention of two inner batch dimensions, and the steps of those outside. */
typedef struct job {
    sdx_attend attend;
    int outer;
    int64_t dim[SDX_MAX_RANK], step[OPERANDS + 1][SDX_MAX_RANK]; /* of Q, K, V, Y and the mask */
} job;

/* Strides of what `seen` shows, aligned at the end with `rank` dims; 0 where it broadcasts. */
static void strides_of(const sdx_type *type, const sdx_ints *perm, int rank, int64_t *stride) {
    int64_t own[SDX_MAX_RANK];
    const int lead = rank - type->rank;
    sdx_strides(type->rank, type->dim, own);
    for (int d = 0; d < rank; d++) stride[d] = 0;
    for (int d = 0; d < type->rank; d++) {
        const int64_t from = perm && perm->n ? perm->data[d] : d;
        stride[lead + d] = type->dim[from] == 1 ? 0 : own[from];
    }
}

static sdx_attend_view view_of(sdx_dtype dtype, const int64_t *stride, int rank) {
    sdx_attend_view view = {.dtype = dtype, .row = stride[rank - 2]};
    if (rank > 2) view.head = stride[rank - 3];
    if (rank > 3) view.batch = stride[rank - 4];
    return view;
}

static void take_mask(job *j, const sdx_type *mask, int rank) {
    sdx_attend *a = &j->attend;
    strides_of(mask, NULL, rank, j->step[OPERANDS]);
    a->mask = view_of(mask->dtype, j->step[OPERANDS], rank);
    a->mask_keys = a->keys;
    a->mask_column = back(mask, 0) == 1;
}

/* All but the data and the scale. `out` is the type of the output as it lies. */
static void describe(const fused_attention_params *p, const sdx_type *q, const sdx_type *k, const sdx_type *v,
                     const sdx_type *mask, const sdx_type *out, job *j) {
    const sdx_type *types[OPERANDS] = {q, k, v, out};
    sdx_attend *a = &j->attend;
    const int rank = out->rank;
    sdx_type y = *out;
    for (size_t d = 0; d < p->perm[Y].n; d++) y.dim[p->perm[Y].data[d]] = out->dim[d];
    int64_t back_y[SDX_MAX_RANK];
    sdx_ints inverse = {back_y, p->perm[Y].n};
    for (size_t d = 0; d < inverse.n; d++) back_y[p->perm[Y].data[d]] = (int64_t)d;
    for (int t = Q; t <= Y; t++) strides_of(types[t], t == Y ? &inverse : &p->perm[t], rank, j->step[t]);
    *a = (sdx_attend){.batch = 1, .heads = 1, .left = -1, .right = -1, .empty = p->empty, .softcap = p->softcap};
    a->work = q->dtype == SDX_F64 ? SDX_F64 : SDX_F32;
    const sdx_type seen_k = seen(k, &p->perm[K]), seen_v = seen(v, &p->perm[V]);
    a->queries = back(&y, 1), a->keys = back(&seen_v, 1);
    a->size = back(&seen_k, 0), a->value_size = back(&y, 0);
    if (rank > 2) a->heads = y.dim[rank - 3];
    if (rank > 3) a->batch = y.dim[rank - 4];
    a->kv_heads = back(&seen_k, 2) == 1 && back(&seen_v, 2) == 1 ? 1 : a->heads;
    a->q = view_of(q->dtype, j->step[Q], rank), a->k = view_of(k->dtype, j->step[K], rank);
    a->v = view_of(v->dtype, j->step[V], rank), a->y = view_of(out->dtype, j->step[Y], rank);
    a->mask_hides = p->hides;
    if (mask) take_mask(j, mask, rank);
    j->outer = rank > 4 ? rank - 4 : 0;
    memcpy(j->dim, y.dim, sizeof j->dim);
}

static size_t fused_attention_scratch(const sdx_infer *infer, const void *params) {
    const sdx_type *mask = infer->n_in > MASK ? infer->in[MASK] : NULL;
    job j;
    char any;
    describe(params, infer->in[Q], infer->in[K], infer->in[V], mask, &infer->out[0], &j);
    if (mask) j.attend.mask.data = &any;
    return sdx_attend_scratch(&j.attend, infer->threads);
}

static double number(const sdx_compute *compute, const sdx_tensor *tensor) {
    double value = 0;
    sdx_convert(compute->kernels, tensor->dtype, tensor->data, SDX_F64, &value, 1);
    return value;
}

static void take_numbers(const sdx_compute *compute, const fused_attention_params *p, sdx_attend *a) {
    a->scale = 1;
    for (int k = SCALES; k < compute->n_in; k++) {
        const double by = number(compute, compute->in[k]);
        const size_t at = (size_t)(k - SCALES);
        a->scale = at < p->divide.n && p->divide.data[at] ? a->scale / by : a->scale * by;
    }
    if (compute->n_in <= FILL || !compute->in[FILL]) return;
    a->fill = number(compute, compute->in[FILL]);
    a->filled = a->fill != -INFINITY;
}

/* Element `offset` of a view's data. */
static void advance(sdx_attend_view *view, void *data, int64_t offset) {
    view->data = data ? (char *)data + offset * (int64_t)sdx_dtype_size(view->dtype) : NULL;
}

static sdx_status run_outer(sdx_compute *compute, const job *j, void *const *data) {
    int64_t count = 1;
    for (int d = 0; d < j->outer; d++) count *= j->dim[d];
    for (int64_t t = 0; t < count; t++) {
        sdx_attend a = j->attend;
        int64_t offset[OPERANDS + 1] = {0}, left = t;
        for (int d = j->outer - 1; d >= 0; left /= j->dim[d--])
            for (int k = 0; k <= OPERANDS; k++) offset[k] += left % j->dim[d] * j->step[k][d];
        sdx_attend_view *const views[OPERANDS + 1] = {&a.q, &a.k, &a.v, &a.y, &a.mask};
        for (int k = 0; k <= OPERANDS; k++) advance(views[k], data[k], offset[k]);
        SDX_TRY(sdx_attend_run(compute, &a, compute->scratch));
    }
    return SDX_OK;
}

static sdx_status fused_attention_compute(sdx_compute *compute, const void *params) {
    const fused_attention_params *p = params;
    const sdx_tensor *mask = compute->n_in > MASK ? compute->in[MASK] : NULL;
    const sdx_tensor *out = compute->out[0];
    const sdx_type q = sdx_type_of_tensor(compute->in[Q]), k = sdx_type_of_tensor(compute->in[K]),
                   v = sdx_type_of_tensor(compute->in[V]), y = sdx_type_of_tensor(out);
    sdx_type mask_type;
    if (mask) mask_type = sdx_type_of_tensor(mask);
    if (out->count == 0) return SDX_OK;
    job j = {.outer = 0};
    describe(p, &q, &k, &v, mask ? &mask_type : NULL, &y, &j);
    take_numbers(compute, p, &j.attend);
    void *const data[OPERANDS + 1] = {compute->in[Q]->data, compute->in[K]->data, compute->in[V]->data, out->data,
                                      mask ? mask->data : NULL};
    return run_outer(compute, &j, data);
}

const sdx_op sdx_op_FusedAttention = {
    .domain = "sdx",
    .name = "FusedAttention",
    .versions = (const sdx_op_version[]){{1, "Q:T K:T V:T mask:U? fill:F? scale:S**0 -> Y:T",
                                          "T=" SDX_T_FLOAT_BF " U=bool|" SDX_T_FLOAT_BF " F=" SDX_T_FLOAT_BF
                                          " S=" SDX_T_FLOAT_BF,
                                          "divide:ints empty:int=0 hides:int=0 perm_k:ints perm_q:ints perm_v:ints "
                                          "perm_y:ints softcap:float=0"},
                                         {0}},
    .params_size = sizeof(fused_attention_params),
    .bind = fused_attention_bind,
    .infer = fused_attention_infer,
    .scratch = fused_attention_scratch,
    .compute = fused_attention_compute,
    .flags = SDX_OP_INTERNAL};
