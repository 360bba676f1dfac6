/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/tensor.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

sdx_status sdx_tensor_make(sdx_tensor *tensor, sdx_dtype dtype, int rank, const int64_t *dims, void *data,
                           sdx_error *error) {
    *tensor = (sdx_tensor){.dtype = dtype, .count = 1, .data = data};
    if (!sdx_dtype_valid(dtype)) return sdx_fail(error, SDX_TYPE, "element type %d does not exist", (int)dtype);
    if (rank < 0 || rank > SDX_MAX_RANK)
        return sdx_fail(error, SDX_UNSUPPORTED, "rank is %d; at most %d is supported", rank, SDX_MAX_RANK);
    tensor->rank = rank;
    int64_t extent = 1; /* without the zeros, so that [2^40, 2^40, 0] is refused too */
    for (int d = 0; d < rank; d++) {
        if (dims[d] < 0) return sdx_fail(error, SDX_SHAPE, "dimension %d is %" PRId64 "; it must be >= 0", d, dims[d]);
        tensor->dim[d] = dims[d];
        tensor->count = dims[d] == 0 ? 0 : tensor->count;
        if (dims[d] && !sdx_dim_mul(extent, dims[d], &extent))
            return sdx_fail(error, SDX_SHAPE, "the product of the dimensions overflows");
    }
    int64_t bytes = 0;
    if (!sdx_dim_mul(extent, (int64_t)sdx_dtype_size(dtype), &bytes))
        return sdx_fail(error, SDX_SHAPE, "the product of the dimensions overflows");
    if (tensor->count) tensor->count = extent;
    return SDX_OK;
}

size_t sdx_tensor_bytes(const sdx_tensor *tensor) { return (size_t)tensor->count * sdx_dtype_size(tensor->dtype); }

static void append(char *out, size_t capacity, size_t *used, const char *text) {
    size_t length = strlen(text);
    if (*used + length + 1 > capacity) length = capacity - *used - 1;
    memcpy(out + *used, text, length);
    *used += length;
    out[*used] = '\0';
}

static void append_dims(char *out, size_t capacity, size_t *used, int rank, const int64_t *dim) {
    char number[32];
    append(out, capacity, used, "[");
    for (int d = 0; d < rank; d++) {
        if (dim[d] < 0)
            snprintf(number, sizeof number, "%s?", d ? "," : "");
        else
            snprintf(number, sizeof number, "%s%" PRId64, d ? "," : "", dim[d]);
        append(out, capacity, used, number);
    }
    append(out, capacity, used, "]");
}

const char *sdx_tensor_text(const sdx_tensor *tensor, char *out, size_t capacity) {
    size_t used = 0;
    out[0] = '\0';
    append(out, capacity, &used, sdx_dtype_name(tensor->dtype));
    append_dims(out, capacity, &used, tensor->rank, tensor->dim);
    return out;
}

sdx_type sdx_type_of_tensor(const sdx_tensor *tensor) {
    sdx_type type = sdx_type_make(tensor->dtype, tensor->rank);
    memcpy(type.dim, tensor->dim, sizeof type.dim);
    return type;
}

bool sdx_type_concrete(const sdx_type *type) {
    if (type->kind != SDX_TENSOR || type->dtype == SDX_UNDEFINED || type->rank < 0) return false;
    for (int d = 0; d < type->rank; d++)
        if (type->dim[d] < 0) return false;
    return true;
}

const char *sdx_type_text(const sdx_type *type, char *out, size_t capacity) {
    static const char *const kinds[] = {"unknown", "tensor", "seq(", "opt(", "map(", "sparse("};
    size_t used = 0, open = 0;
    out[0] = '\0';
    while ((type->kind == SDX_SEQUENCE || type->kind == SDX_OPTIONAL) && type->elem && open < 8) {
        append(out, capacity, &used, kinds[type->kind]);
        type = type->elem;
        open++;
    }
    if (type->kind == SDX_MAP) {
        append(out, capacity, &used, "map(");
        append(out, capacity, &used, sdx_dtype_name(type->key));
        append(out, capacity, &used, ",");
        open++;
    } else if (type->kind != SDX_TENSOR) {
        append(out, capacity, &used, kinds[(unsigned)type->kind <= SDX_SPARSE_TENSOR ? type->kind : 0]);
        if (type->kind > SDX_TENSOR) open++;
    }
    if (type->kind) append(out, capacity, &used, sdx_dtype_name(type->dtype));
    if (type->kind == SDX_TENSOR && type->rank >= 0) append_dims(out, capacity, &used, type->rank, type->dim);
    while (open--) append(out, capacity, &used, ")");
    return out;
}
