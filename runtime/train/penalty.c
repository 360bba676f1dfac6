/* SPDX-License-Identifier: Apache-2.0
 * Penalties, in Keras' factors: l1 sum |w|, l2 sum w^2 (gradient 2 l2 w), and l2norm, the norm itself (gradient w /
 * ||w||, 0 at 0). */
#include "runtime/train/emit.h"

sdx_prox sdx_penalty_terms(const sdx_penalty_options *p) {
    const double l1 = p->has_l1 ? p->l1 : .01, l2 = p->has_l2 ? p->l2 : .01;
    switch (p->kind) {
    case SDX_PENALTY_L1: return (sdx_prox){.l1 = l1};
    case SDX_PENALTY_L2: return (sdx_prox){.l2 = l2};
    case SDX_PENALTY_L1_L2: return (sdx_prox){.l1 = l1, .l2 = l2};
    case SDX_PENALTY_L2NORM: return (sdx_prox){.l2norm = l2};
    }
    return (sdx_prox){0};
}

sdx_status sdx_penalty_resolve(const sdx_penalty_options *p, sdx_error *error, sdx_penalty_mode *mode) {
    static const char *const names[] = {"default", "prox", "subgradient", "coupled"};
    const bool activity = p->target == SDX_TARGET_ACTIVITY;
    *mode = p->mode;
    if (p->kind < SDX_PENALTY_L1 || p->kind > SDX_PENALTY_L2NORM)
        return sdx_fail(error, SDX_VALUE, "penalty: kind is %d; it must be l1, l2, l1_l2 or l2norm", (int)p->kind);
    const sdx_prox terms = sdx_penalty_terms(p);
    if (!(terms.l1 >= 0) || !(terms.l2 >= 0) || !(terms.l2norm >= 0))
        return sdx_fail(error, SDX_VALUE, "penalty: l1 is %g and l2 is %g; they must be at least 0", p->l1, p->l2);
    if (p->mode == SDX_MODE_DEFAULT) *mode = activity ? SDX_MODE_SUBGRADIENT : SDX_MODE_PROX;
    if (activity && *mode != SDX_MODE_SUBGRADIENT)
        return sdx_fail(error, SDX_VALUE,
                        "penalty: mode '%s' is for parameters; of an activity it must be 'subgradient'",
                        names[p->mode]);
    if (p->per_batch && !activity)
        return sdx_fail(error, SDX_VALUE, "penalty: scale 'per_batch' is for activities, not for parameters");
    return SDX_OK;
}

/* sqrt of the sum of squares, with the gradient 0 at 0: the root is taken of 1 where the sum is 0. */
static sdx_id norm_of(sdx_patch *patch, sdx_dtype dtype, sdx_id x, sdx_id *safe) {
    const sdx_id zero = sdx_patch_scalar(patch, dtype, 0), one = sdx_patch_scalar(patch, dtype, 1);
    const sdx_id squares = sdx_emit_sum(patch, sdx_emit2(patch, "Mul", x, x));
    const sdx_id some = sdx_emit2(patch, "Equal", squares, zero);
    *safe = sdx_emit1(patch, "Sqrt", sdx_emit_where(patch, some, one, squares));
    return sdx_emit_where(patch, some, zero, *safe);
}

sdx_id sdx_penalty_emit(sdx_patch *patch, const sdx_penalty_options *p, sdx_id tensor, sdx_id batch) {
    const sdx_prox terms = sdx_penalty_terms(p);
    sdx_dtype dtype;
    const sdx_id x = sdx_emit_widened(patch, tensor, &dtype);
    sdx_id value = SDX_NONE, safe;
    if (p->kind == SDX_PENALTY_L1 || p->kind == SDX_PENALTY_L1_L2) {
        const sdx_id sum = sdx_emit_sum(patch, sdx_emit1(patch, "Abs", x));
        value = sdx_emit2(patch, "Mul", sum, sdx_patch_scalar(patch, dtype, terms.l1));
    }
    if (p->kind == SDX_PENALTY_L2 || p->kind == SDX_PENALTY_L1_L2) {
        const sdx_id sum = sdx_emit_sum(patch, sdx_emit2(patch, "Mul", x, x));
        const sdx_id term = sdx_emit2(patch, "Mul", sum, sdx_patch_scalar(patch, dtype, terms.l2));
        value = value == SDX_NONE ? term : sdx_emit2(patch, "Add", value, term);
    }
    if (p->kind == SDX_PENALTY_L2NORM)
        value = sdx_emit2(patch, "Mul", norm_of(patch, dtype, x, &safe), sdx_patch_scalar(patch, dtype, terms.l2norm));
    return batch == SDX_NONE ? value : sdx_emit2(patch, "Div", value, batch);
}

sdx_id sdx_penalty_emit_gradient(sdx_patch *patch, const sdx_penalty_options *p, sdx_id w) {
    const sdx_prox terms = sdx_penalty_terms(p);
    const sdx_dtype stored = patch->graph->values[w].type.dtype;
    sdx_dtype dtype;
    const sdx_id x = sdx_emit_widened(patch, w, &dtype);
    sdx_id g = SDX_NONE, safe;
    if (p->kind == SDX_PENALTY_L1 || p->kind == SDX_PENALTY_L1_L2)
        g = sdx_emit2(patch, "Mul", sdx_emit1(patch, "Sign", x), sdx_patch_scalar(patch, dtype, terms.l1));
    if (p->kind == SDX_PENALTY_L2 || p->kind == SDX_PENALTY_L1_L2) {
        const sdx_id term = sdx_emit2(patch, "Mul", x, sdx_patch_scalar(patch, dtype, 2 * terms.l2));
        g = g == SDX_NONE ? term : sdx_emit2(patch, "Add", g, term);
    }
    if (p->kind == SDX_PENALTY_L2NORM) {
        norm_of(patch, dtype, x, &safe);
        g = sdx_emit2(patch, "Mul", sdx_emit2(patch, "Div", x, safe), sdx_patch_scalar(patch, dtype, terms.l2norm));
    }
    return sdx_emit_cast(patch, g, dtype, stored);
}
