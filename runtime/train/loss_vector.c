/* SPDX-License-Identifier: Apache-2.0
 * Losses over vectors [N, D]: one for each of the N. */
#include "runtime/train/emit.h"
#include "runtime/train/loss.h"

static sdx_id number(loss_maker *m, double value) { return sdx_patch_scalar(m->patch, m->dtype, value); }

static sdx_id sum_last(loss_maker *m, sdx_id x) {
    const int64_t last = -1;
    return sdx_emit_sum_along(m->patch, x, &last, 1, false);
}

static sdx_id product(loss_maker *m, sdx_id a, sdx_id b) { return sum_last(m, sdx_emit2(m->patch, "Mul", a, b)); }

static sdx_id above(loss_maker *m, sdx_id x) {
    return sdx_patch_node(m->patch, "", "Clip", 2, (const sdx_id[]){x, number(m, 0)}, 1)->out[0];
}

/* 1 - cos where y is 1, max(0, cos - margin) where it is -1, else 0; both squared norms grow by 1e-12. */
sdx_id sdx_loss_cosine(loss_maker *m) {
    sdx_patch *patch = m->patch;
    const sdx_id a = sdx_loss_output(m, 0), b = sdx_loss_output(m, 1), y = sdx_loss_label(m);
    const sdx_id aa = sdx_emit2(patch, "Add", product(m, a, a), number(m, 1e-12));
    const sdx_id bb = sdx_emit2(patch, "Add", product(m, b, b), number(m, 1e-12));
    const sdx_id cosine =
        sdx_emit2(patch, "Div", product(m, a, b), sdx_emit1(patch, "Sqrt", sdx_emit2(patch, "Mul", aa, bb)));
    const sdx_id near = sdx_emit2(patch, "Sub", number(m, 1), cosine);
    const sdx_id far = above(m, sdx_emit2(patch, "Sub", cosine, number(m, sdx_given(m->options->margin, 0))));
    const sdx_id other = sdx_emit_where(patch, sdx_emit2(patch, "Equal", y, number(m, -1)), far, number(m, 0));
    return sdx_emit_where(patch, sdx_emit2(patch, "Equal", y, number(m, 1)), near, other);
}

static sdx_id distance(loss_maker *m, sdx_id a, sdx_id b) {
    const sdx_id d = sdx_emit2(m->patch, "Add", sdx_emit2(m->patch, "Sub", a, b), number(m, 1e-6));
    return sdx_emit1(m->patch, "Sqrt", product(m, d, d));
}

/* max(0, ||a - p + 1e-6|| - ||a - n + 1e-6|| + margin) */
sdx_id sdx_loss_triplet(loss_maker *m) {
    const sdx_id a = sdx_loss_output(m, 0), p = sdx_loss_output(m, 1), n = sdx_loss_output(m, 2);
    const sdx_id gap = sdx_emit2(m->patch, "Sub", distance(m, a, p), distance(m, a, n));
    return above(m, sdx_emit2(m->patch, "Add", gap, number(m, sdx_given(m->options->margin, 1))));
}
