/* SPDX-License-Identifier: Apache-2.0
 * Attention: Y = softmax(softcap(scale Q K^T) + bias) V, where bias is attn_mask, the causal frontier, the window and
 * the padding. Several query heads may share one head of K and V; past keys and values come before the new ones. A
 * query that sees no key gives 0. A mask with fewer keys than there are hides the rest, also when it has one. */
#include "ops/nn/attention.h"
#include <inttypes.h>
#include <math.h>

typedef sdx_attention_params attention_params;

static int64_t bind_window(sdx_bind *bind, const char *name) {
    int64_t size = bind->since < 25 ? -1 : sdx_bind_int(bind, name);
    if (size < -1) sdx_bind_fail(bind, SDX_VALUE, "attribute '%s' is %" PRId64 "; it must be -1 or more", name, size);
    return size;
}

static int64_t bind_heads(sdx_bind *bind, const char *name) {
    if (!sdx_bind_has(bind, name)) return 0;
    int64_t heads = sdx_bind_int(bind, name);
    if (heads < 1) sdx_bind_fail(bind, SDX_VALUE, "attribute '%s' is %" PRId64 "; it must be 1 or more", name, heads);
    return heads;
}

static sdx_status attention_bind(sdx_bind *bind, void *params) {
    attention_params *p = params;
    p->q_heads = bind_heads(bind, "q_num_heads");
    p->kv_heads = bind_heads(bind, "kv_num_heads");
    p->left = bind_window(bind, "left_window_size");
    p->right = bind_window(bind, "right_window_size");
    p->has_scale = sdx_bind_has(bind, "scale");
    p->scale = (double)sdx_bind_float(bind, "scale");
    p->softcap = (double)sdx_bind_float(bind, "softcap");
    p->causal = sdx_bind_int(bind, "is_causal") != 0;
    p->strict_heads = bind->since >= 25;
    int64_t mode = sdx_bind_int(bind, "qk_matmul_output_mode"), precision = sdx_bind_int(bind, "softmax_precision");
    if (mode < 0 || mode > SDX_SCORES_SOFTMAX)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'qk_matmul_output_mode' is %" PRId64 "; it must be in [0, 3]", mode);
    p->mode = (sdx_attend_scores)mode;
    if (sdx_bind_has(bind, "softmax_precision") && precision != SDX_F32 && precision != SDX_F16 &&
        precision != SDX_F64 && precision != SDX_BF16)
        sdx_bind_fail(bind, SDX_VALUE,
                      "attribute 'softmax_precision' is %" PRId64 "; it must be 1 (float), 10 "
                      "(float16), 11 (double) or 16 (bfloat16)",
                      precision);
    p->wide = precision == SDX_F64;
    return bind->status;
}

/* ---- shapes ------------------------------------------------------------------------------------------------------ */

/* Heads, length and size of Q, K or V; -1 where they are not known. */
typedef struct sequence {
    int64_t batch, heads, length, size;
} sequence;

static sdx_status read_sequence(sdx_error *error, const sdx_type *type, const char *name, int64_t heads,
                                const char *attribute, sequence *out) {
    *out = (sequence){-1, -1, -1, -1};
    if (type->rank < 0) return SDX_OK;
    if (type->rank == 4) {
        *out = (sequence){type->dim[0], type->dim[1], type->dim[2], type->dim[3]};
        return SDX_OK;
    }
    *out = (sequence){type->dim[0], heads, type->dim[1], -1};
    int64_t hidden = type->dim[2];
    if (!heads)
        return sdx_fail(error, SDX_VALUE, "attribute '%s' is missing; it must be given when input '%s' has rank 3",
                        attribute, name);
    if (hidden >= 0 && hidden % heads)
        return sdx_fail(error, SDX_SHAPE,
                        "dimension 2 of input '%s' is %" PRId64 "; it must be a multiple of '%s', %" PRId64, name,
                        hidden, attribute, heads);
    if (hidden >= 0) out->size = hidden / heads;
    return SDX_OK;
}

static sdx_status check_ranks(const sdx_infer *infer, const attention_params *p) {
    static const char *const names[] = {"Q", "K", "V"};
    const int rank = infer->in[Q]->rank;
    for (int k = Q; k <= V; k++) {
        int r = infer->in[k]->rank;
        if (r >= 0 && r != 3 && r != 4)
            return sdx_fail(infer->error, SDX_SHAPE, "input '%s' has rank %d; it must be 3 or 4", names[k], r);
        if (r >= 0 && rank >= 0 && r != rank)
            return sdx_fail(infer->error, SDX_SHAPE, "input '%s' has rank %d; input 'Q' has rank %d", names[k], r,
                            rank);
    }
    if (rank == 4 && p->strict_heads && (p->q_heads || p->kv_heads))
        return sdx_fail(infer->error, SDX_VALUE, "attribute '%s' is given; it must not be when input 'Q' has rank 4",
                        p->q_heads ? "q_num_heads" : "kv_num_heads");
    return SDX_OK;
}

/* Past keys or values: [batch, kv_heads, past, size]. */
static sdx_status check_past(sdx_infer *infer, int k, const char *name, const sequence *now, int64_t *past) {
    const sdx_type *type = sdx_infer_in(infer, k);
    if (!type) return SDX_OK;
    SDX_TRY(sdx_infer_rank(infer, k, name, 4));
    if (type->rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_merge_dim(infer, "batch sizes of 'Q' and the past", now->batch, type->dim[0], NULL));
    SDX_TRY(sdx_infer_merge_dim(infer, "heads of 'K' and of the past", now->heads, type->dim[1], NULL));
    SDX_TRY(sdx_infer_merge_dim(infer, "head sizes of new and past keys or values", now->size, type->dim[3], NULL));
    return sdx_infer_merge_dim(infer, "lengths of 'past_key' and 'past_value'", *past, type->dim[2], past);
}

static sdx_status check_mask(const sdx_infer *infer, const sequence *q, int64_t keys) {
    const sdx_type *mask = sdx_infer_in(infer, MASK);
    if (!mask || mask->rank < 0) return SDX_OK;
    const int64_t full[4] = {q->batch, q->heads, q->length, keys};
    if (mask->rank < 1 || mask->rank > 4)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'attn_mask' has rank %d; it must be in [1, 4]", mask->rank);
    for (int d = 0; d < mask->rank; d++) {
        int64_t have = mask->dim[d], must = full[4 - mask->rank + d];
        bool last = d == mask->rank - 1;
        if (have < 0 || must < 0 || have == must || (last ? have < must : have == 1)) continue;
        return sdx_fail(infer->error, SDX_SHAPE,
                        "dimension %d of input 'attn_mask' is %" PRId64 "; it must be %s%" PRId64, d, have,
                        last ? "at most " : "1 or ", must);
    }
    return SDX_OK;
}

static sdx_status check_optional(const sdx_infer *infer, const sequence *q) {
    const sdx_type *nonpad = sdx_infer_in(infer, NONPAD);
    if (!sdx_infer_in(infer, PAST_KEY) != !sdx_infer_in(infer, PAST_VALUE))
        return sdx_fail(infer->error, SDX_MALFORMED, "input '%s' is absent; it must be given with '%s'",
                        sdx_infer_in(infer, PAST_KEY) ? "past_value" : "past_key",
                        sdx_infer_in(infer, PAST_KEY) ? "past_key" : "past_value");
    if (!nonpad) return SDX_OK;
    if (sdx_infer_in(infer, PAST_KEY))
        return sdx_fail(infer->error, SDX_MALFORMED,
                        "input 'nonpad_kv_seqlen' is given; it must not be together with "
                        "'past_key' and 'past_value'");
    if (nonpad->rank >= 0 && nonpad->rank != 1)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'nonpad_kv_seqlen' has rank %d; it must be 1", nonpad->rank);
    if (nonpad->rank == 1 && nonpad->dim[0] >= 0 && q->batch >= 0 && nonpad->dim[0] != q->batch)
        return sdx_fail(infer->error, SDX_SHAPE,
                        "input 'nonpad_kv_seqlen' has %" PRId64 " entries; it must have %" PRId64
                        ", one for each batch",
                        nonpad->dim[0], q->batch);
    return SDX_OK;
}

static void set_shape(const sdx_infer *infer, int out, int64_t a, int64_t b, int64_t c, int64_t d) {
    if (out >= infer->n_out) return;
    sdx_type *type = &infer->out[out];
    const int64_t dims[4] = {a, b, c, d};
    type->rank = 4;
    for (int k = 0; k < 4; k++) type->dim[k] = dims[k];
}

static sdx_status attention_infer(sdx_infer *infer, const void *params) {
    const attention_params *p = params;
    sequence q, k, v;
    int64_t past = sdx_infer_in(infer, PAST_KEY) ? -1 : 0, keys = -1;
    SDX_TRY(check_ranks(infer, p));
    SDX_TRY(read_sequence(infer->error, infer->in[Q], "Q", p->q_heads, "q_num_heads", &q));
    SDX_TRY(read_sequence(infer->error, infer->in[K], "K", p->kv_heads, "kv_num_heads", &k));
    SDX_TRY(read_sequence(infer->error, infer->in[V], "V", p->kv_heads, "kv_num_heads", &v));
    SDX_TRY(sdx_infer_merge_dim(infer, "batch sizes of 'Q' and 'K'", q.batch, k.batch, &q.batch));
    SDX_TRY(sdx_infer_merge_dim(infer, "batch sizes of 'Q' and 'V'", q.batch, v.batch, &q.batch));
    SDX_TRY(sdx_infer_merge_dim(infer, "heads of 'K' and 'V'", k.heads, v.heads, &k.heads));
    SDX_TRY(sdx_infer_merge_dim(infer, "lengths of 'K' and 'V'", k.length, v.length, &k.length));
    SDX_TRY(sdx_infer_merge_dim(infer, "head sizes of 'Q' and 'K'", q.size, k.size, &k.size));
    if (q.heads >= 0 && k.heads >= 0 && (k.heads == 0 ? q.heads != 0 : q.heads % k.heads != 0))
        return sdx_fail(infer->error, SDX_SHAPE,
                        "'Q' has %" PRId64 " heads; it must have a multiple of the %" PRId64 " of 'K'", q.heads,
                        k.heads);
    k.batch = v.batch = q.batch;
    v.heads = k.heads;
    SDX_TRY(check_optional(infer, &q));
    SDX_TRY(check_past(infer, PAST_KEY, "past_key", &k, &past));
    SDX_TRY(check_past(infer, PAST_VALUE, "past_value", &v, &past));
    if (past == 0)
        keys = k.length;
    else if (k.length >= 0 && past > 0 && __builtin_add_overflow(k.length, past, &keys))
        return sdx_fail(infer->error, SDX_SHAPE, "'K' and the past together have too many keys");
    SDX_TRY(check_mask(infer, &q, keys));
    const int rank = infer->in[Q]->rank;
    if (rank == 4) set_shape(infer, 0, q.batch, q.heads, q.length, v.size);
    if (rank == 3) {
        sdx_type *y = &infer->out[0];
        y->rank = 3;
        y->dim[0] = q.batch, y->dim[1] = q.length;
        y->dim[2] = v.size >= 0 ? v.size * q.heads : -1;
    }
    set_shape(infer, 1, q.batch, k.heads, keys, k.size);
    set_shape(infer, 2, q.batch, k.heads, keys, v.size);
    set_shape(infer, 3, q.batch, q.heads, q.length, keys);
    return SDX_OK;
}

/* ---- run --------------------------------------------------------------------------------------------------------- */

static sdx_attend_view view_of(const sdx_type *type, int64_t heads) {
    sdx_attend_view view = {.dtype = type->dtype};
    const int64_t *dim = type->dim;
    if (type->rank == 4) {
        view.row = dim[3], view.head = dim[2] * dim[3], view.batch = dim[1] * view.head;
    } else {
        view.row = dim[2], view.head = dim[2] / heads, view.batch = dim[1] * dim[2];
    }
    return view;
}

static sdx_attend_view mask_view(const sdx_type *mask) {
    int64_t stride[SDX_MAX_RANK], to[3] = {0, 0, 0};
    sdx_strides(mask->rank, mask->dim, stride);
    for (int d = 0; d < mask->rank - 1; d++) to[4 - mask->rank + d] = mask->dim[d] == 1 ? 0 : stride[d];
    return (sdx_attend_view){.dtype = mask->dtype, .batch = to[0], .head = to[1], .row = to[2]};
}

/* All but the data. Types are concrete; in[] has INPUTS entries. */
static void describe(const attention_params *p, const sdx_type *const *in, sdx_attend *a) {
    const sdx_type *q = in[Q], *k = in[K], *v = in[V];
    const bool flat = q->rank == 3;
    *a = (sdx_attend){.batch = q->dim[0],
                      .softcap = p->softcap,
                      .causal = p->causal,
                      .left = p->left,
                      .right = p->right,
                      .mode = p->mode};
    a->heads = flat ? p->q_heads : q->dim[1];
    a->kv_heads = flat ? p->kv_heads : k->dim[1];
    a->queries = flat ? q->dim[1] : q->dim[2];
    a->size = flat ? q->dim[2] / a->heads : q->dim[3];
    a->value_size = flat ? v->dim[2] / a->kv_heads : v->dim[3];
    a->past = in[PAST_KEY] ? in[PAST_KEY]->dim[2] : 0;
    a->keys = a->past + (flat ? k->dim[1] : k->dim[2]);
    a->offset = a->past;
    a->q = view_of(q, a->heads);
    a->k = view_of(k, a->kv_heads);
    a->v = view_of(v, a->kv_heads);
    sdx_type y = *q;
    y.dim[q->rank - 1] = flat ? a->heads * a->value_size : a->value_size;
    a->y = view_of(&y, a->heads);
    if (in[PAST_KEY]) a->past_k = view_of(in[PAST_KEY], 0), a->past_v = view_of(in[PAST_VALUE], 0);
    if (in[MASK]) a->mask = mask_view(in[MASK]), a->mask_keys = in[MASK]->dim[in[MASK]->rank - 1];
    a->work = p->wide || q->dtype == SDX_F64 || v->dtype == SDX_F64 ? SDX_F64 : SDX_F32;
    a->scale = p->has_scale ? p->scale : 1 / sqrt((double)a->size);
    a->scores = (sdx_attend_view){.dtype = q->dtype, .row = a->keys};
    a->scores.head = a->queries * a->scores.row;
    a->scores.batch = a->heads * a->scores.head;
}

static size_t attention_scratch(const sdx_infer *infer, const void *params) {
    const sdx_type *in[INPUTS] = {NULL};
    char any;
    sdx_attend a;
    for (int k = 0; k < INPUTS; k++) in[k] = sdx_infer_in(infer, k);
    describe(params, in, &a);
    if (in[MASK]) a.mask.data = &any;
    if (infer->n_out > 3 && infer->wanted[3]) a.scores.data = &any;
    return sdx_attend_scratch(&a, infer->threads);
}

/* Keys [begin, begin + n) of a present output. */
static sdx_status copy_keys(sdx_compute *compute, const sdx_attend *a, const sdx_attend_view *from, int64_t begin,
                            int64_t n, const sdx_tensor *to) {
    const int64_t size = to->dim[3], dims[4] = {a->batch, a->kv_heads, n, size};
    const int64_t from_strides[4] = {from->batch, from->head, from->row, 1};
    const int64_t to_strides[4] = {a->kv_heads * a->keys * size, a->keys * size, size, 1};
    const size_t element = sdx_dtype_size(to->dtype);
    return sdx_copy_strided(compute, 4, dims, element, (char *)to->data + (size_t)(begin * size) * element, to_strides,
                            from->data, from_strides);
}

static sdx_status write_present(sdx_compute *compute, const sdx_attend *a, int k, int64_t size,
                                const sdx_attend_view *past, const sdx_attend_view *new) {
    if (k >= compute->n_out || !compute->wanted[k]) return SDX_OK;
    const int64_t dims[4] = {a->batch, a->kv_heads, a->keys, size};
    const sdx_tensor *present = sdx_compute_output(compute, k, 4, dims);
    if (!present) return compute->error->status;
    if (present->count == 0) return SDX_OK;
    if (a->past) SDX_TRY(copy_keys(compute, a, past, 0, a->past, present));
    return copy_keys(compute, a, new, a->past, a->keys - a->past, present);
}

static sdx_status check_nonpad(const sdx_compute *compute, const sdx_attend *a) {
    for (int64_t b = 0; a->nonpad && b < a->batch; b++)
        if (a->nonpad[b] < 0 || a->nonpad[b] > a->keys)
            return sdx_fail(compute->error, SDX_VALUE,
                            "entry %" PRId64 " of input 'nonpad_kv_seqlen' is %" PRId64 "; it must be in [0, %" PRId64
                            "]",
                            b, a->nonpad[b], a->keys);
    return SDX_OK;
}

static sdx_status attention_compute(sdx_compute *compute, const void *params) {
    sdx_type types[INPUTS];
    const sdx_type *in[INPUTS] = {NULL};
    sdx_attend a;
    for (int k = 0; k < INPUTS && k < compute->n_in; k++) {
        if (!compute->in[k]) continue;
        types[k] = sdx_type_of_tensor(compute->in[k]);
        in[k] = &types[k];
    }
    describe(params, in, &a);
    a.q.data = compute->in[Q]->data;
    a.k.data = compute->in[K]->data;
    a.v.data = compute->in[V]->data;
    if (in[MASK]) a.mask.data = compute->in[MASK]->data;
    if (in[PAST_KEY]) a.past_k.data = compute->in[PAST_KEY]->data, a.past_v.data = compute->in[PAST_VALUE]->data;
    if (in[NONPAD]) a.nonpad = compute->in[NONPAD]->data;
    SDX_TRY(check_nonpad(compute, &a));
    SDX_TRY(write_present(compute, &a, 1, a.size, &a.past_k, &a.k));
    SDX_TRY(write_present(compute, &a, 2, a.value_size, &a.past_v, &a.v));
    if (compute->n_out > 3 && compute->wanted[3]) {
        const int64_t dims[4] = {a.batch, a.heads, a.queries, a.keys};
        const sdx_tensor *scores = sdx_compute_output(compute, 3, 4, dims);
        if (!scores) return compute->error->status;
        a.scores.data = scores->data;
    }
    const int64_t flat[3] = {a.batch, a.queries, a.heads * a.value_size};
    const int64_t apart[4] = {a.batch, a.heads, a.queries, a.value_size};
    const int rank = in[Q]->rank;
    const sdx_tensor *y = sdx_compute_output(compute, 0, rank, rank == 3 ? flat : apart);
    if (!y) return compute->error->status;
    a.y.data = y->data;
    return sdx_attend_run(compute, &a, compute->scratch);
}

#define QKV     "Q:T1 K:T1 V:T2 attn_mask:U? past_key:T1? past_value:T2?"
#define OUTPUTS " -> Y:T1 present_key:T1? present_value:T2? qk_matmul_output:T1?"
#define TYPES   "T1=" SDX_T_FLOAT_BF " T2=" SDX_T_FLOAT_BF " U=" SDX_T_NUMERIC_BF "|bool"
#define HEADS                                                                                                          \
    "is_causal:int=0 kv_num_heads:int q_num_heads:int qk_matmul_output_mode:int=0 scale:float softcap:float=0 "        \
    "softmax_precision:int"
const sdx_op sdx_op_Attention = {
    .domain = "",
    .name = "Attention",
    .versions = (const sdx_op_version[]){{23, QKV OUTPUTS, TYPES, HEADS},
                                         {24, QKV " nonpad_kv_seqlen:i64?" OUTPUTS, TYPES, HEADS},
                                         {25, QKV " nonpad_kv_seqlen:i64?" OUTPUTS, TYPES,
                                          HEADS " left_window_size:int=-1 right_window_size:int=-1"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(attention_params),
    .bind = attention_bind,
    .infer = attention_infer,
    .scratch = attention_scratch,
    .compute = attention_compute,
    .grad = sdx_attention_grad};
