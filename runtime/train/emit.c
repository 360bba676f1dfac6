/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/train/emit.h"

sdx_id sdx_emit_widened(sdx_patch *patch, sdx_id x, sdx_dtype *dtype) {
    const sdx_dtype stored = patch->graph->values[x].type.dtype;
    *dtype = stored == SDX_F64 ? SDX_F64 : SDX_F32;
    return sdx_emit_cast(patch, x, stored, *dtype);
}

sdx_id sdx_emit_sum(sdx_patch *patch, sdx_id x) {
    sdx_node *node = sdx_patch_node(patch, "", "ReduceSum", 1, &x, 1);
    sdx_patch_int(patch, node, "keepdims", 0);
    return node->out[0];
}

sdx_id sdx_emit_sum_along(sdx_patch *patch, sdx_id x, const int64_t *axes, int n, bool keepdims) {
    const sdx_id in[2] = {x, sdx_patch_i64s(patch, axes, (size_t)n)};
    sdx_node *node = sdx_patch_node(patch, "", "ReduceSum", 2, in, 1);
    sdx_patch_int(patch, node, "keepdims", keepdims);
    return node->out[0];
}

sdx_id sdx_emit_where(sdx_patch *patch, sdx_id which, sdx_id yes, sdx_id no) {
    return sdx_patch_node(patch, "", "Where", 3, (const sdx_id[]){which, yes, no}, 1)->out[0];
}

sdx_id sdx_emit_count(sdx_patch *patch, sdx_id x, sdx_dtype dtype) {
    return sdx_emit_cast(patch, sdx_emit1(patch, "Size", x), SDX_I64, dtype);
}

sdx_id sdx_emit_length(sdx_patch *patch, sdx_id x, int axis, sdx_dtype dtype) {
    const sdx_id at = sdx_patch_scalar(patch, SDX_I64, axis);
    return sdx_emit_cast(patch, sdx_emit2(patch, "Gather", sdx_emit1(patch, "Shape", x), at), SDX_I64, dtype);
}
