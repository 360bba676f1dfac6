/* SPDX-License-Identifier: Apache-2.0
 * Losses over elements, and the way from a sum to a loss. A loss over classes stands in loss_class.c, one over vectors
 * in loss_vector.c. 16-bit outputs are widened to f32 first. */
#include "runtime/train/loss.h"
#include "runtime/train/emit.h"

static sdx_id number(loss_maker *m, double value) { return sdx_patch_scalar(m->patch, m->dtype, value); }

sdx_id sdx_loss_output(loss_maker *m, int k) {
    sdx_dtype own;
    const sdx_id x = sdx_emit_widened(m->patch, m->outputs[k], &own);
    return sdx_emit_cast(m->patch, x, own, m->dtype);
}

sdx_id sdx_loss_label(loss_maker *m) {
    return sdx_emit_cast(m->patch, m->label, m->patch->graph->values[m->label].type.dtype, m->dtype);
}

/* x - y, which must not broadcast. */
static sdx_id difference(loss_maker *m) { return sdx_emit2(m->patch, "Sub", sdx_loss_output(m, 0), sdx_loss_label(m)); }

static sdx_id mse(loss_maker *m) {
    const sdx_id d = difference(m);
    return sdx_emit2(m->patch, "Mul", d, d);
}

static sdx_id l1(loss_maker *m) { return sdx_emit1(m->patch, "Abs", difference(m)); }

/* With a = |x - y| and m = min(a, bend): m (a - m / 2), which is d^2 / 2 or bend (a - bend / 2). */
static sdx_id huber(loss_maker *m, double bend) {
    const sdx_id a = l1(m), low = sdx_emit2(m->patch, "Min", a, number(m, bend));
    return sdx_emit2(m->patch, "Mul", low,
                     sdx_emit2(m->patch, "Sub", a, sdx_emit2(m->patch, "Mul", low, number(m, .5))));
}

static sdx_id smooth_l1(loss_maker *m) {
    const double beta = m->options->beta == 0 ? 1 : m->options->beta;
    if (beta < 0) return l1(m); /* SDX_ZERO */
    return sdx_emit2(m->patch, "Div", huber(m, beta), number(m, beta));
}

/* (1 - y) s + (1 + (pos_weight - 1) y) softplus(-s) */
static sdx_id bce(loss_maker *m) {
    sdx_patch *patch = m->patch;
    const sdx_id s = sdx_loss_output(m, 0), y = sdx_loss_label(m);
    const sdx_id plus = sdx_emit1(patch, "Softplus", sdx_emit1(patch, "Neg", s));
    const sdx_id linear = sdx_emit2(patch, "Mul", sdx_emit2(patch, "Sub", number(m, 1), y), s);
    if (m->options->n_class_weights == 0) return sdx_emit2(patch, "Add", linear, plus);
    const sdx_id more = sdx_emit2(patch, "Sub", sdx_loss_weights(m, m->dtype), number(m, 1));
    const sdx_id by = sdx_emit2(patch, "Add", number(m, 1), sdx_emit2(patch, "Mul", more, y));
    return sdx_emit2(patch, "Add", linear, sdx_emit2(patch, "Mul", by, plus));
}

/* y (log y - x), 0 where y is 0 */
static sdx_id kl_div(loss_maker *m) {
    sdx_patch *patch = m->patch;
    const sdx_id x = sdx_loss_output(m, 0), y = sdx_loss_label(m);
    const sdx_id none = sdx_emit2(patch, "Equal", y, number(m, 0));
    const sdx_id safe = sdx_emit_where(patch, none, number(m, 1), y);
    const sdx_id entropy = sdx_emit2(patch, "Mul", y, sdx_emit1(patch, "Log", safe));
    return sdx_emit2(patch, "Sub", entropy, sdx_emit2(patch, "Mul", y, x));
}

sdx_id sdx_loss_weights(loss_maker *m, sdx_dtype dtype) {
    union {
        const float *in;
        void *data;
    } weights = {m->options->class_weights};
    const int64_t n = (int64_t)m->options->n_class_weights;
    const sdx_tensor tensor = {.dtype = SDX_F32, .rank = 1, .dim = {n}, .count = n, .data = weights.data};
    return sdx_emit_cast(m->patch, sdx_patch_tensor(m->patch, &tensor), SDX_F32, dtype);
}

/* The denominator of a sum over the elements of `each`. */
static sdx_id divisor(loss_maker *m, sdx_id each) {
    switch (m->options->reduction) {
    case SDX_REDUCTION_SUM: return number(m, 1);
    case SDX_REDUCTION_BATCH_MEAN: return sdx_emit_length(m->patch, m->outputs[0], 0, m->dtype);
    case SDX_REDUCTION_MEAN: break;
    }
    return sdx_emit_count(m->patch, each, m->dtype);
}

static sdx_id elements(loss_maker *m) {
    switch (m->options->kind) {
    case SDX_LOSS_BCE_WITH_LOGITS: return bce(m);
    case SDX_LOSS_MSE: return mse(m);
    case SDX_LOSS_L1: return l1(m);
    case SDX_LOSS_SMOOTH_L1: return smooth_l1(m);
    case SDX_LOSS_HUBER: return huber(m, m->options->delta == 0 ? 1 : m->options->delta);
    case SDX_LOSS_KL_DIV: return kl_div(m);
    case SDX_LOSS_COSINE_EMBEDDING: return sdx_loss_cosine(m);
    case SDX_LOSS_TRIPLET: return sdx_loss_triplet(m);
    case SDX_LOSS_CROSS_ENTROPY:
    case SDX_LOSS_NLL:
    case SDX_LOSS_OUTPUT: break;
    }
    return sdx_loss_output(m, 0);
}

int sdx_loss_outputs(sdx_loss_kind kind) {
    return kind == SDX_LOSS_TRIPLET ? 3 : kind == SDX_LOSS_COSINE_EMBEDDING ? 2 : 1;
}
bool sdx_loss_has_label(sdx_loss_kind kind) { return kind != SDX_LOSS_TRIPLET && kind != SDX_LOSS_OUTPUT; }

static sdx_status check(const loss_maker *m, const sdx_graph *graph) {
    sdx_error *error = m->patch->error;
    for (int k = 0; k < sdx_loss_outputs(m->options->kind); k++)
        if (m->outputs[k] == SDX_NONE)
            return sdx_fail(error, SDX_ARGUMENT, "the loss reads %d outputs; number %d is missing",
                            sdx_loss_outputs(m->options->kind), k + 1);
    const sdx_type *x = &graph->values[m->outputs[0]].type;
    if (sdx_dtype_class(x->dtype) != SDX_CLASS_FLOAT)
        return sdx_fail(error, SDX_TYPE, "the loss's output '%s' is %s; it must be a floating-point tensor",
                        graph->values[m->outputs[0]].name, sdx_dtype_name(x->dtype));
    if (sdx_loss_has_label(m->options->kind) && m->label == SDX_NONE)
        return sdx_fail(error, SDX_ARGUMENT, "the loss needs a label");
    if (sdx_loss_outputs(m->options->kind) != 1 || m->label == SDX_NONE) return SDX_OK;
    const sdx_type *y = &graph->values[m->label].type;
    if (m->options->kind == SDX_LOSS_CROSS_ENTROPY || m->options->kind == SDX_LOSS_NLL) return SDX_OK;
    if (x->rank >= 0 && y->rank >= 0 && x->rank != y->rank)
        return sdx_fail(error, SDX_SHAPE, "label '%s' has rank %d; it must be %d as the loss's output '%s'",
                        graph->values[m->label].name, y->rank, x->rank, graph->values[m->outputs[0]].name);
    for (int d = 0; x->rank >= 0 && d < y->rank; d++)
        if (x->dim[d] >= 0 && y->dim[d] >= 0 && x->dim[d] != y->dim[d])
            return sdx_fail(error, SDX_SHAPE, "dimension %d of label '%s' is %lld; it must be %lld", d,
                            graph->values[m->label].name, (long long)y->dim[d], (long long)x->dim[d]);
    return SDX_OK;
}

sdx_status sdx_loss_emit(sdx_patch *patch, const sdx_loss_options *options, const sdx_id outputs[3], sdx_id label,
                         sdx_loss_parts *parts) {
    loss_maker m = {.patch = patch, .options = options, .outputs = outputs, .label = label, .dtype = SDX_F32};
    *parts = (sdx_loss_parts){SDX_NONE, SDX_NONE, SDX_NONE};
    SDX_TRY(check(&m, patch->graph));
    if (patch->graph->values[outputs[0]].type.dtype == SDX_F64) m.dtype = SDX_F64;
    if (options->kind == SDX_LOSS_CROSS_ENTROPY || options->kind == SDX_LOSS_NLL) {
        SDX_TRY(sdx_loss_classes(&m, parts));
    } else {
        const sdx_id each = elements(&m);
        parts->numerator = sdx_emit_sum(patch, each);
        parts->denominator = divisor(&m, each);
    }
    if (options->reduction == SDX_REDUCTION_SUM) parts->denominator = number(&m, 1);
    parts->loss = sdx_emit2(patch, "Div", parts->numerator, parts->denominator);
    return patch->status;
}
