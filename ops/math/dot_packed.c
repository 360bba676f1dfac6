/* SPDX-License-Identifier: Apache-2.0
 * Factors of integer products that the machine's passes have packed: how operators see them. */
#include "ops/math/dot.h"
#include <inttypes.h>

sdx_status sdx_packed_weight_bind(sdx_bind *bind, sdx_packed_weight *weight) {
    weight->shape = sdx_bind_ints(bind, "weight_shape");
    weight->dtype = (sdx_dtype)sdx_bind_int(bind, "weight_dtype");
    if (weight->shape.n < 2 || weight->shape.n > SDX_MAX_RANK)
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'weight_shape' has %zu entries; it must have 2 to %d",
                             weight->shape.n, (int)SDX_MAX_RANK);
    return bind->status;
}

static sdx_type type_of(const sdx_packed_weight *weight) {
    sdx_type type = sdx_type_make(weight->dtype, (int)weight->shape.n);
    for (int d = 0; d < type.rank; d++) type.dim[d] = weight->shape.data[d];
    return type;
}

sdx_infer *sdx_unpack_types(sdx_infer *infer, const sdx_packed_weight *weight, int k, sdx_unpacked *out) {
    if (weight->shape.n == 0) return infer;
    out->type = type_of(weight);
    for (int i = 0; i < infer->n_in && i < SDX_DOT_INPUTS; i++) out->types[i] = i == k ? &out->type : infer->in[i];
    out->infer = *infer;
    out->infer.in = out->types;
    return &out->infer;
}

const sdx_tensor *const *sdx_unpack_inputs(const sdx_compute *compute, const sdx_packed_weight *weight, int k,
                                           sdx_unpacked *out) {
    if (weight->shape.n == 0) return compute->in;
    out->type = type_of(weight);
    out->tensor = (sdx_tensor){.dtype = weight->dtype, .rank = out->type.rank, .count = 1};
    for (int d = 0; d < out->type.rank; d++) out->tensor.count *= out->tensor.dim[d] = out->type.dim[d];
    for (int i = 0; i < compute->n_in && i < SDX_DOT_INPUTS; i++)
        out->tensors[i] = i == k ? &out->tensor : compute->in[i];
    return out->tensors;
}

void sdx_unpack_factor(const sdx_kernels *kernels, const void *bytes, bool is_b, int64_t batch, int64_t lines,
                       int64_t k, sdx_dot_factor *factor) {
    const sdx_dot_weights w = {.is_b = is_b, .batch = batch, .lines = lines, .k = k};
    factor->packed = bytes;
    factor->sums = (const int32_t *)(const void *)((const char *)bytes + sdx_dot_weights_sums(kernels, &w));
}
