/* SPDX-License-Identifier: Apache-2.0
 * SplitToSequence along `axis`: lengths in a vector 'split', pieces of one length (the last may be shorter) with a
 * scalar, single slices without it; only those may lose the axis (keepdims = 0). */
#include "ops/move.h"
#include "ops/sequence/sequence.h"
#include "ops/sequence/sequence_grad.h"
#include <inttypes.h>

typedef struct split_to_sequence_params {
    int64_t axis;
    bool keepdims;
} split_to_sequence_params;

static sdx_status split_to_sequence_bind(sdx_bind *bind, void *params) {
    split_to_sequence_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    p->keepdims = sdx_bind_int(bind, "keepdims") != 0;
    return bind->status;
}

static sdx_status split_to_sequence_infer(sdx_infer *infer, const void *params) {
    const split_to_sequence_params *p = params;
    int rank = sdx_infer_rank_of(infer, 0), axis = 0;
    if (rank >= 0) SDX_TRY(sdx_infer_axis(infer, "axis", p->axis, rank, &axis));
    if (sdx_infer_rank_of(infer, 1) > 1) SDX_TRY(sdx_infer_rank(infer, 1, "split", 1));
    return sdx_infer_sequence(infer, 0, infer->in[0]->dtype);
}

/* How many pieces; `each` is 0 when 'split' lists the lengths. */
static sdx_status count_pieces(sdx_error *error, const sdx_tensor *split, int64_t n, int64_t *each, int64_t *count) {
    int64_t sum = 0;
    *each = !split ? 1 : split->rank == 0 ? sdx_index_at(split, 0) : 0;
    if (!split || split->rank == 0) {
        if (*each < 1) return sdx_fail(error, SDX_VALUE, "input 'split' is %" PRId64 "; it must be >= 1", *each);
        *count = n / *each + (n % *each != 0);
        return SDX_OK;
    }
    *count = split->count;
    for (int64_t i = 0; i < split->count; i++) {
        int64_t length = sdx_index_at(split, i);
        if (length < 0 || __builtin_add_overflow(sum, length, &sum))
            return sdx_fail(error, SDX_VALUE,
                            "entry %" PRId64 " of input 'split' is %" PRId64 "; it must be in [0, %" PRId64 "]", i,
                            length, n);
    }
    if (sum != n)
        return sdx_fail(error, SDX_VALUE, "the entries of input 'split' sum to %" PRId64 "; the axis has %" PRId64, sum,
                        n);
    return SDX_OK;
}

static sdx_value *piece(sdx_compute *compute, int axis, int64_t first, int64_t length, bool keepdims) {
    const sdx_tensor *in = compute->in[0];
    int64_t dims[SDX_MAX_RANK], inner = sdx_dims_product(in->dim, axis + 1, in->rank);
    int rank = 0;
    for (int d = 0; d < in->rank; d++)
        if (d != axis || keepdims) dims[rank++] = d == axis ? length : in->dim[d];
    sdx_value *value = sdx_value_new_tensor(compute->memory, in->dtype, rank, dims, compute->error);
    if (!value) return NULL;
    size_t size = sdx_dtype_size(in->dtype);
    sdx_move move = {.size = size,
                     .rank = 2,
                     .dim = {sdx_dims_product(in->dim, 0, axis), length * inner},
                     .from = {in->dim[axis] * inner, 1},
                     .to = {length * inner, 1},
                     .source = (const char *)in->data + (size_t)(first * inner) * size,
                     .target = value->tensor.data};
    if (sdx_move_run(compute, &move) == SDX_OK) return value;
    sdx_value_release(value);
    return NULL;
}

static sdx_status split_to_sequence_compute(sdx_compute *compute, const void *params) {
    const split_to_sequence_params *p = params;
    const sdx_tensor *in = compute->in[0], *split = compute->n_in > 1 ? compute->in[1] : NULL;
    int axis = sdx_axis_of(p->axis, in->rank);
    int64_t n = in->dim[axis], each = 0, count = 0, first = 0;
    SDX_TRY(count_pieces(compute->error, split, n, &each, &count));
    sdx_value **items = sdx_sequence_room(compute, (size_t)count);
    if (!items) return compute->error->status;
    for (int64_t i = 0; i < count; i++) {
        int64_t length = each == 0 ? sdx_index_at(split, i) : n - first < each ? n - first : each;
        items[i] = piece(compute, axis, first, length, split || p->keepdims);
        if (!items[i]) break;
        first += length;
    }
    return sdx_sequence_output(compute, 0, items, (size_t)count, in->dtype);
}

static sdx_status split_to_sequence_grad(sdx_grad *grad, const void *params) {
    const split_to_sequence_params *p = params;
    return sdx_split_to_sequence_back(grad, p->axis, sdx_grad_in(grad, 1) == SDX_NONE && !p->keepdims);
}

const sdx_op sdx_op_SplitToSequence = {
    .domain = "",
    .name = "SplitToSequence",
    .versions =
        (const sdx_op_version[]){
            {11, "input:T split:I? -> output_sequence:S", "T=" SDX_T_ALL " I=i32|i64 S=seq(" SDX_T_ALL ")",
             "axis:int=0 keepdims:int=1"},
            {24, "input:T split:I? -> output_sequence:S", "T=" SDX_T_ALL_BF " I=i32|i64 S=seq(" SDX_T_ALL_BF ")",
             "axis:int=0 keepdims:int=1"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(split_to_sequence_params),
    .bind = split_to_sequence_bind,
    .infer = split_to_sequence_infer,
    .compute = split_to_sequence_compute,
    .grad = split_to_sequence_grad,
};
