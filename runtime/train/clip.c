/* SPDX-License-Identifier: Apache-2.0
 * Clipping as PyTorch does it: all gradients are multiplied by min(1, clip_norm / (norm + 1e-6)); then each element is
 * moved into [-clip_value, clip_value]. */
#include "runtime/train/emit.h"

static sdx_id coefficient(sdx_patch *patch, double most, sdx_id norm) {
    const sdx_id above = sdx_emit2(patch, "Add", norm, sdx_patch_scalar(patch, SDX_F64, 1e-6));
    const sdx_id ratio = sdx_emit2(patch, "Div", sdx_patch_scalar(patch, SDX_F64, most), above);
    return sdx_emit2(patch, "Min", ratio, sdx_patch_scalar(patch, SDX_F64, 1));
}

sdx_status sdx_clip_emit(sdx_patch *patch, const sdx_train_options *options, sdx_id *g, int n, sdx_id *norm) {
    sdx_dtype widest = SDX_F32;
    *norm = SDX_NONE;
    if (n > 0 && options->clip_norm > 0) {
        const sdx_id wide = sdx_patch_node(patch, "sdx", "GradientNorm", n, g, 1)->out[0];
        const sdx_id by = coefficient(patch, options->clip_norm, wide);
        for (int k = 0; k < n; k++) {
            const sdx_dtype dtype = patch->graph->values[g[k]].type.dtype;
            if (dtype == SDX_F64) widest = SDX_F64;
            g[k] = sdx_emit2(patch, "Mul", g[k], sdx_emit_cast(patch, by, SDX_F64, dtype));
            if (patch->status == SDX_OK) patch->graph->values[g[k]].type.dtype = dtype;
        }
        *norm = sdx_emit_cast(patch, wide, SDX_F64, widest);
    }
    for (int k = 0; k < n && options->clip_value > 0; k++) {
        const sdx_dtype dtype = patch->graph->values[g[k]].type.dtype;
        const sdx_id in[3] = {g[k], sdx_patch_scalar(patch, dtype, -options->clip_value),
                              sdx_patch_scalar(patch, dtype, options->clip_value)};
        g[k] = sdx_patch_node(patch, "", "Clip", 3, in, 1)->out[0];
    }
    return patch->status;
}
