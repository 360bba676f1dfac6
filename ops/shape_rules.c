/* SPDX-License-Identifier: Apache-2.0
 * Rules of shape inference that many operators share. Unknown ranks (-1), unknown dimensions (-1) and symbols (<= -2)
 * pass through: a rule fails only on what is known to be wrong. */
#include "ops/op.h"
#include <inttypes.h>
#include <string.h>

const char *sdx_op_input_name(const sdx_node *node, int k, char *out, size_t capacity) {
    const char *at = node->version ? node->version->signature : NULL, *name = NULL;
    size_t length = 0;
    for (int i = 0; at && i <= k; i++) {
        at += strspn(at, " ");
        size_t word = strcspn(at, " ");
        if (word == 0 || strncmp(at, "->", word) == 0) break; /* a variadic input: the last name stands for the rest */
        name = at;
        length = strcspn(at, ": ");
        at += word;
    }
    if (length >= capacity) length = capacity - 1;
    if (name) memcpy(out, name, length);
    out[length] = '\0';
    return out;
}

static const sdx_type *known_shape(const sdx_infer *infer, int k) {
    if (k >= infer->n_in || !infer->in[k]) return NULL;
    const sdx_type *type = infer->in[k];
    return (type->kind == SDX_TENSOR || type->kind == SDX_SPARSE_TENSOR) && type->rank >= 0 ? type : NULL;
}

void sdx_infer_same(sdx_infer *infer, int out, int in) {
    const sdx_type *type = known_shape(infer, in);
    sdx_type *result = &infer->out[out];
    if (result->kind == 0) result->kind = SDX_TENSOR;
    result->rank = type ? type->rank : -1;
    if (type) memcpy(result->dim, type->dim, sizeof result->dim);
}

/* One dimension of input k joins what the inputs before it gave. 1 yields to everything, an unknown one yields to every
 * known length but 1; two unknown ones that are not the same symbol give an unknown one. */
static sdx_status broadcast_dim(sdx_infer *infer, int k, int axis, int64_t dim, int64_t *merged) {
    char name[64];
    if (dim == 1 || dim == *merged) return SDX_OK;
    if (*merged == 1) return *merged = dim, SDX_OK;
    if (dim < 0) return *merged = *merged < 0 ? -1 : *merged, SDX_OK;
    if (*merged < 0) return *merged = dim, SDX_OK;
    return sdx_fail(infer->error, SDX_SHAPE,
                    "dimension %d of input '%s' is %" PRId64 "; it must be 1 or %" PRId64 " to broadcast", axis,
                    sdx_op_input_name(infer->node, k, name, sizeof name), dim, *merged);
}

sdx_status sdx_infer_broadcast(sdx_infer *infer, int out, int first, int last) {
    sdx_type *result = &infer->out[out];
    int rank = 0;
    if (result->kind == 0) result->kind = SDX_TENSOR;
    result->rank = -1;
    for (int k = first; k <= last && k < infer->n_in; k++) {
        if (!infer->in[k]) continue;
        const sdx_type *type = known_shape(infer, k);
        if (!type) return SDX_OK;
        if (type->rank > rank) rank = type->rank;
    }
    for (int d = 0; d < rank; d++) result->dim[d] = 1;
    for (int k = first; k <= last && k < infer->n_in; k++) {
        const sdx_type *type = known_shape(infer, k);
        if (!type) continue;
        int64_t *dims = result->dim + (rank - type->rank);
        for (int d = 0; d < type->rank; d++) SDX_TRY(broadcast_dim(infer, k, d, type->dim[d], &dims[d]));
    }
    result->rank = rank;
    return SDX_OK;
}

sdx_status sdx_infer_axis(sdx_infer *infer, const char *name, int64_t axis, int rank, int *out) {
    if (rank == 0)
        return sdx_fail(infer->error, SDX_SHAPE, "'%s' is %" PRId64 "; a scalar has no axis to choose", name, axis);
    if (axis < -rank || axis >= rank)
        return sdx_fail(infer->error, SDX_SHAPE, "'%s' is %" PRId64 "; it must be in [%d, %d] for rank %d", name, axis,
                        -rank, rank - 1, rank);
    *out = sdx_axis_of(axis, rank);
    return SDX_OK;
}

sdx_status sdx_infer_rank(sdx_infer *infer, int k, const char *name, int rank) {
    const sdx_type *type = known_shape(infer, k);
    if (!type || type->rank == rank) return SDX_OK;
    return sdx_fail(infer->error, SDX_SHAPE, "input '%s' has rank %d; it must be %d", name, type->rank, rank);
}

sdx_status sdx_infer_merge_dim(sdx_infer *infer, const char *what, int64_t a, int64_t b, int64_t *merged) {
    if (a >= 0 && b >= 0 && a != b)
        return sdx_fail(infer->error, SDX_SHAPE, "%s: %" PRId64 " and %" PRId64 " must be equal", what, a, b);
    if (merged) *merged = a >= 0 ? a : b >= 0 ? b : a != -1 ? a : b;
    return SDX_OK;
}

sdx_status sdx_infer_i64s(sdx_infer *infer, int k, const char *name, int64_t *values, int most, int *n) {
    *n = -1;
    const sdx_type *type = known_shape(infer, k);
    if (!type) return SDX_OK;
    if (type->rank > 1)
        return sdx_fail(infer->error, SDX_SHAPE, "input '%s' has rank %d; it must be 0 or 1", name, type->rank);
    int64_t count = type->rank == 0 ? 1 : type->dim[0];
    const sdx_tensor *value = infer->value ? infer->value[k] : NULL;
    if (value) count = value->count;
    if (count > most)
        return sdx_fail(infer->error, SDX_SHAPE, "input '%s' has %" PRId64 " entries; at most %d are allowed", name,
                        count, most);
    if (!value) return SDX_OK;
    if (value->dtype != SDX_I64 && value->dtype != SDX_I32)
        return sdx_fail(infer->error, SDX_TYPE, "input '%s' is %s; it must be i64 or i32", name,
                        sdx_dtype_name(value->dtype));
    for (int64_t i = 0; i < count; i++)
        values[i] = value->dtype == SDX_I64 ? ((const int64_t *)value->data)[i] : ((const int32_t *)value->data)[i];
    *n = (int)count;
    return SDX_OK;
}
