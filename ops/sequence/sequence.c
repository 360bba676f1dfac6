/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/sequence/sequence.h"
#include "ops/move.h"
#include <inttypes.h>

sdx_status sdx_infer_sequence(sdx_infer *infer, int k, sdx_dtype dtype) {
    sdx_type *elem = SDX_NEW(infer->arena, sdx_type, infer->error);
    if (!elem) return infer->error->status;
    *elem = sdx_type_make(dtype, -1);
    infer->out[k] = (sdx_type){.kind = SDX_SEQUENCE, .rank = -1, .elem = elem};
    return SDX_OK;
}

sdx_dtype sdx_infer_item_dtype(const sdx_infer *infer, int k) {
    const sdx_type *type = infer->in[k];
    return type && type->kind == SDX_SEQUENCE && type->elem ? type->elem->dtype : SDX_UNDEFINED;
}

sdx_status sdx_sequence_input(sdx_compute *compute, int k, const sdx_value **out) {
    const sdx_value *value = compute->in_value[k];
    char name[64];
    *out = value;
    if (value && value->kind == SDX_SEQUENCE) return SDX_OK;
    return sdx_fail(compute->error, SDX_TYPE, "input '%s' is no sequence",
                    sdx_op_input_name(compute->node, k, name, sizeof name));
}

sdx_value **sdx_sequence_room(sdx_compute *compute, size_t n) {
    size_t bytes = 0;
    if (!sdx_size_mul(n + 1, sizeof(sdx_value *), &bytes)) {
        sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "a sequence of %zu items is too long", n);
        return NULL;
    }
    return compute->services->alloc(compute, bytes);
}

sdx_status sdx_sequence_output(sdx_compute *compute, int k, sdx_value **items, size_t n, sdx_dtype dtype) {
    sdx_type item = sdx_type_make(dtype, -1);
    bool whole = true;
    for (size_t i = 0; i < n; i++) whole = whole && items[i];
    sdx_value *sequence = NULL;
    if (whole) sequence = sdx_value_new_items(compute->memory, SDX_SEQUENCE, items, n, &item, compute->error);
    for (size_t i = 0; i < n; i++) sdx_value_release(items[i]);
    if (!sequence) return compute->error->status;
    compute->services->set_output(compute, k, sequence);
    return SDX_OK;
}

sdx_status sdx_sequence_position(sdx_compute *compute, int k, int64_t n, int64_t most, int64_t fallback, size_t *out) {
    const sdx_tensor *position = k < compute->n_in ? compute->in[k] : NULL;
    int64_t at = fallback;
    if (position && position->count != 1)
        return sdx_fail(compute->error, SDX_SHAPE, "input 'position' has %" PRId64 " elements; it must have one",
                        position->count);
    if (position) at = sdx_index_at(position, 0);
    if (at < -n || at > most)
        return sdx_fail(compute->error, SDX_VALUE,
                        "input 'position' is %" PRId64 "; it must be in [%" PRId64 ", %" PRId64 "]", at, -n, most);
    *out = (size_t)(at < 0 ? at + n : at);
    return SDX_OK;
}
