/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/controlflow/body.h"
#include <inttypes.h>
#include <string.h>

/* ---- Types ---------------------------------------------------------------------------------------------------- */

static void join_shape(sdx_type *a, const sdx_type *b) {
    if (a->rank != b->rank) a->rank = -1;
    for (int d = 0; d < a->rank; d++)
        if (a->dim[d] != b->dim[d]) a->dim[d] = -1;
}

/* False when the two contradict. Unknown kinds and element types give way to known ones. */
static bool join(sdx_infer *infer, sdx_type *a, const sdx_type *b) {
    while (a && b) {
        if (b->kind == 0) return true;
        if (a->kind == 0) {
            *a = *b;
            return true;
        }
        if (a->kind != b->kind) return false;
        if (a->dtype && b->dtype && a->dtype != b->dtype) return false;
        if (!a->dtype) a->dtype = b->dtype;
        if (a->kind == SDX_TENSOR || a->kind == SDX_SPARSE_TENSOR) join_shape(a, b);
        if (!a->elem || !b->elem) return true;
        sdx_type *elem = SDX_NEW(infer->arena, sdx_type, infer->error);
        if (!elem) return true; /* the error is set */
        *elem = *a->elem;
        a->elem = elem;
        a = elem;
        b = b->elem;
    }
    return true;
}

sdx_status sdx_join_types(sdx_infer *infer, sdx_type *a, const sdx_type *b, const char *what, int index,
                          const char *where_a, const char *where_b) {
    sdx_type before = *a;
    if (join(infer, a, b)) return infer->error ? infer->error->status : SDX_OK;
    char one[128], other[128];
    return sdx_fail(infer->error, SDX_TYPE, "%s %d is %s in %s; it is %s in %s", what, index,
                    sdx_type_text(&before, one, sizeof one), where_a, sdx_type_text(b, other, sizeof other), where_b);
}

static bool same_type(const sdx_type *a, const sdx_type *b) {
    while (a && b) {
        if (a->kind != b->kind || a->dtype != b->dtype || a->key != b->key || a->rank != b->rank) return false;
        for (int d = 0; d < a->rank; d++)
            if (a->dim[d] != b->dim[d]) return false;
        a = a->elem;
        b = b->elem;
    }
    return a == b;
}

/* A body may take an optional and give what would be in it: the next trip gets that wrapped. */
static sdx_status join_carried(sdx_infer *infer, sdx_type *in, const sdx_type *out, int k) {
    if (!sdx_is_wrapped(in, out))
        return sdx_join_types(infer, in, out, "carried value", k, "the first trip", "the next");
    sdx_type *elem = SDX_NEW(infer->arena, sdx_type, infer->error);
    if (!elem) return SDX_OUT_OF_MEMORY;
    *elem = *in->elem;
    in->elem = elem;
    return sdx_join_types(infer, elem, out, "the item of carried value", k, "the first trip", "the next");
}

bool sdx_is_wrapped(const sdx_type *in, const sdx_type *out) {
    return in->kind == SDX_OPTIONAL && in->elem && out->kind && out->kind != SDX_OPTIONAL;
}

sdx_status sdx_infer_trips(sdx_infer *infer, int body, int n_in, sdx_type *in, int first_in, int first_out, int n,
                           sdx_type *out) {
    for (int round = 0;; round++) {
        bool changed = false;
        SDX_TRY(infer->infer_body(infer, body, n_in, in, out));
        for (int k = 0; k < n; k++) {
            sdx_type *carried = &in[first_in + k], before = *carried;
            SDX_TRY(join_carried(infer, carried, &out[first_out + k], k));
            if (same_type(&before, carried)) continue;
            changed = true;
            /* A second change, and the rank is given up, so that the third round is the last. */
            if (round && carried->kind == SDX_TENSOR) carried->rank = -1;
        }
        if (!changed || round == 3) return SDX_OK;
    }
}

sdx_type sdx_type_with_axis(const sdx_type *type, int axis, int64_t dim) {
    sdx_type wider = *type;
    if (type->rank < 0 || type->rank >= SDX_MAX_RANK) {
        wider.rank = -1;
        return wider;
    }
    wider.rank++;
    memmove(wider.dim + axis + 1, type->dim + axis, (size_t)(type->rank - axis) * sizeof wider.dim[0]);
    wider.dim[axis] = dim;
    return wider;
}

sdx_type sdx_type_without_axis(const sdx_type *type, int axis) {
    sdx_type narrower = *type;
    if (type->rank <= 0) return narrower;
    narrower.rank--;
    memmove(narrower.dim + axis, type->dim + axis + 1, (size_t)(narrower.rank - axis) * sizeof narrower.dim[0]);
    narrower.dim[narrower.rank] = 0;
    return narrower;
}

/* ---- Values --------------------------------------------------------------------------------------------------- */

sdx_value **sdx_value_array(sdx_compute *compute, int64_t n) {
    size_t size = 0;
    if (!sdx_size_mul((size_t)n, sizeof(sdx_value *), &size))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "room for %" PRId64 " values asked for", n), NULL;
    return compute->services->alloc(compute, size);
}

void sdx_release_values(sdx_value **values, int64_t n) {
    for (int64_t k = 0; values && k < n; k++) {
        sdx_value_release(values[k]);
        values[k] = NULL;
    }
}

/* How a slab along `axis` lies in a tensor: `outer` pieces of `inner` elements, `stride` elements apart. */
typedef struct slab {
    int64_t outer, inner, stride;
} slab;

static slab slab_along(const sdx_tensor *tensor, int axis) {
    slab s = {1, 1, 0};
    for (int d = 0; d < axis; d++) s.outer *= tensor->dim[d];
    for (int d = axis + 1; d < tensor->rank; d++) s.inner *= tensor->dim[d];
    s.stride = s.inner * tensor->dim[axis];
    return s;
}

sdx_value *sdx_slab_of(sdx_compute *compute, const sdx_tensor *tensor, int axis, int64_t index) {
    sdx_type whole = sdx_type_of_tensor(tensor), part = sdx_type_without_axis(&whole, axis);
    sdx_value *value = sdx_value_new_tensor(compute->memory, tensor->dtype, part.rank, part.dim, compute->error);
    if (!value || value->tensor.count == 0) return value;
    slab s = slab_along(tensor, axis);
    size_t element = sdx_dtype_size(tensor->dtype), piece = (size_t)s.inner * element;
    const unsigned char *from = (const unsigned char *)tensor->data + (size_t)(index * s.inner) * element;
    for (int64_t i = 0; i < s.outer; i++)
        memcpy((unsigned char *)value->tensor.data + (size_t)i * piece, from + (size_t)(i * s.stride) * element, piece);
    return value;
}

static bool fits(const sdx_tensor *tensor, int axis, const sdx_tensor *part) {
    if (part->dtype != tensor->dtype || part->rank != tensor->rank - 1) return false;
    for (int d = 0; d < part->rank; d++)
        if (part->dim[d] != tensor->dim[d < axis ? d : d + 1]) return false;
    return true;
}

/* Strings are copied too: the slab does not live as long as the tensor. */
static sdx_status strings_into(sdx_compute *compute, sdx_string *to, const sdx_string *from, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        to[i] = sdx_compute_string(compute, from[i].data, from[i].size);
        if (!to[i].data) return SDX_OUT_OF_MEMORY;
    }
    return SDX_OK;
}

sdx_status sdx_slab_into(sdx_compute *compute, const sdx_tensor *tensor, int axis, int64_t index,
                         const sdx_tensor *part) {
    char is[256], whole[256];
    if (!fits(tensor, axis, part))
        return sdx_fail(compute->error, SDX_SHAPE,
                        "the body gives %s in trip %" PRId64 "; with the trips before it "
                        "makes %s, stacked along axis %d",
                        sdx_tensor_text(part, is, sizeof is), index, sdx_tensor_text(tensor, whole, sizeof whole),
                        axis);
    slab s = slab_along(tensor, axis);
    size_t element = sdx_dtype_size(tensor->dtype), piece = (size_t)s.inner * element;
    if (part->count == 0) return SDX_OK;
    for (int64_t i = 0; i < s.outer; i++) {
        int64_t at = i * s.stride + index * s.inner;
        const void *from = (const unsigned char *)part->data + (size_t)i * piece;
        void *to = (unsigned char *)tensor->data + (size_t)at * element;
        if (tensor->dtype != SDX_STRING)
            memcpy(to, from, piece);
        else
            SDX_TRY(strings_into(compute, to, from, s.inner));
    }
    return SDX_OK;
}

sdx_value *sdx_stack_for(sdx_compute *compute, sdx_dtype dtype, int rank, const int64_t *dims, int axis,
                         int64_t extent) {
    int64_t all[SDX_MAX_RANK];
    if (rank >= SDX_MAX_RANK) {
        sdx_fail(compute->error, SDX_UNSUPPORTED, "rank is %d; at most %d is supported", rank + 1, SDX_MAX_RANK);
        return NULL;
    }
    for (int d = 0; d < rank; d++) all[d < axis ? d : d + 1] = dims[d];
    all[axis] = extent;
    sdx_value *value = sdx_value_new_tensor(compute->memory, dtype, rank + 1, all, compute->error);
    if (value && dtype != SDX_STRING) memset(value->tensor.data, 0, sdx_tensor_bytes(&value->tensor));
    return value;
}

sdx_value *sdx_stack_empty(sdx_compute *compute, const sdx_type *type, int axis, int64_t extent) {
    int64_t dims[SDX_MAX_RANK];
    int rank = type->rank < 0 ? 0 : type->rank;
    for (int d = 0; d < rank; d++) dims[d] = type->dim[d] < 0 ? 0 : type->dim[d];
    return sdx_stack_for(compute, type->dtype, rank, dims, axis > rank ? rank : axis, extent);
}

sdx_status sdx_read_condition(sdx_compute *compute, const sdx_tensor *tensor, const char *name, bool *out) {
    char is[256];
    if (!tensor || tensor->dtype != SDX_BOOL || tensor->count != 1)
        return sdx_fail(compute->error, SDX_SHAPE, "%s is %s; it must be one bool", name,
                        tensor ? sdx_tensor_text(tensor, is, sizeof is) : "no tensor");
    *out = *(const bool *)tensor->data;
    return SDX_OK;
}
