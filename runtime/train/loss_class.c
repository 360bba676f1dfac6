/* SPDX-License-Identifier: Apache-2.0
 * Losses over classes. With class numbers: sum of w[y] (-log p[y]) over what is not ignored, divided by the sum of
 * w[y]; label smoothing e takes (1 - e) of it and e / K of the sum of w[c] (-log p[c]) over all classes. With
 * probabilities: -sum of w[c] q[c] log p[c], q smoothed likewise, divided by the number of distributions. */
#include "runtime/train/emit.h"
#include "runtime/train/loss.h"

typedef struct classes {
    loss_maker *m;
    sdx_patch *patch;
    sdx_id x, weights; /* scores; [K] or SDX_NONE */
    sdx_dtype label;
    bool smooth;
    double epsilon;
} classes;

static sdx_id number(const classes *c, double value) { return sdx_patch_scalar(c->patch, c->m->dtype, value); }
static sdx_id mul(const classes *c, sdx_id a, sdx_id b) { return sdx_emit2(c->patch, "Mul", a, b); }

static const sdx_type *type_of(const classes *c, sdx_id id) { return &c->patch->graph->values[id].type; }

/* weights [K] -> [K, 1, 1 ...], to stand beside [N, K, d...] */
static sdx_id weights_beside(const classes *c) {
    int64_t shape[SDX_MAX_RANK];
    const int rank = type_of(c, c->m->outputs[0])->rank;
    shape[0] = -1;
    for (int d = 1; d < rank - 1; d++) shape[d] = 1;
    return sdx_emit2(c->patch, "Reshape", c->weights, sdx_patch_i64s(c->patch, shape, (size_t)(rank - 1)));
}

static sdx_id log_softmax(const classes *c) {
    if (c->m->options->kind == SDX_LOSS_NLL) return c->x;
    sdx_node *node = sdx_patch_node(c->patch, "", "LogSoftmax", 1, &c->x, 1);
    sdx_patch_int(c->patch, node, "axis", 1);
    return node->out[0];
}

static sdx_id class_count(const classes *c) { return sdx_emit_length(c->patch, c->m->outputs[0], 1, c->m->dtype); }

static sdx_status probabilities(const classes *c, sdx_loss_parts *parts) {
    sdx_patch *patch = c->patch;
    const int64_t axis = 1;
    sdx_id q = sdx_loss_label(c->m), log_p = log_softmax(c);
    if (c->smooth) {
        const sdx_id share = sdx_emit2(patch, "Div", number(c, c->epsilon), class_count(c));
        q = sdx_emit2(patch, "Add", mul(c, q, number(c, 1 - c->epsilon)), share);
    }
    if (c->weights != SDX_NONE) log_p = mul(c, log_p, weights_beside(c));
    const sdx_id each = sdx_emit_sum_along(patch, mul(c, q, log_p), &axis, 1, false);
    parts->numerator = sdx_emit1(patch, "Neg", sdx_emit_sum(patch, each));
    parts->denominator = sdx_emit_count(patch, each, c->m->dtype);
    return patch->status;
}

/* 1 where a label counts, 0 where it is ignored; SDX_NONE: all count. */
static sdx_id counted(const classes *c, sdx_id *safe) {
    const sdx_loss_options *o = c->m->options;
    *safe = c->m->label;
    if (!o->has_ignore_index) return SDX_NONE;
    const sdx_id ignored =
        sdx_emit_cast(c->patch, sdx_patch_scalar(c->patch, SDX_I64, (double)o->ignore_index), SDX_I64, c->label);
    const sdx_id off = sdx_emit2(c->patch, "Equal", c->m->label, ignored);
    *safe = sdx_emit_where(c->patch, off, sdx_patch_scalar(c->patch, c->label, 0), c->m->label);
    return sdx_emit_cast(c->patch, sdx_emit1(c->patch, "Not", off), SDX_BOOL, c->m->dtype);
}

static sdx_id summed_loss(const classes *c) {
    const sdx_loss_options *o = c->m->options;
    const bool nll = o->kind == SDX_LOSS_NLL;
    const sdx_id in[3] = {c->x, c->m->label, c->weights};
    sdx_node *node = sdx_patch_node(c->patch, "", nll ? "NegativeLogLikelihoodLoss" : "SoftmaxCrossEntropyLoss",
                                    c->weights == SDX_NONE ? 2 : 3, in, 1);
    sdx_patch_string(c->patch, node, "reduction", "sum");
    if (o->has_ignore_index) sdx_patch_int(c->patch, node, "ignore_index", o->ignore_index);
    return node->out[0];
}

/* Sum over counted labels of sum over classes of w[c] (-log p[c]). */
static sdx_id spread_loss(const classes *c, sdx_id counts) {
    const int64_t axis = 1;
    sdx_id log_p = log_softmax(c);
    if (c->weights != SDX_NONE) log_p = mul(c, log_p, weights_beside(c));
    sdx_id each = sdx_emit_sum_along(c->patch, log_p, &axis, 1, false);
    if (counts != SDX_NONE) each = mul(c, each, counts);
    return sdx_emit1(c->patch, "Neg", sdx_emit_sum(c->patch, each));
}

static sdx_status numbers(const classes *c, sdx_loss_parts *parts) {
    sdx_patch *patch = c->patch;
    sdx_id safe;
    const sdx_id counts = counted(c, &safe);
    sdx_id of = counts;
    if (c->weights != SDX_NONE) {
        of = sdx_emit2(patch, "Gather", c->weights, safe);
        if (counts != SDX_NONE) of = mul(c, of, counts);
    }
    parts->numerator = summed_loss(c);
    parts->denominator = of == SDX_NONE ? sdx_emit_count(patch, c->m->label, c->m->dtype) : sdx_emit_sum(patch, of);
    if (c->smooth) {
        const sdx_id share = sdx_emit2(patch, "Div", number(c, c->epsilon), class_count(c));
        const sdx_id sharp = mul(c, parts->numerator, number(c, 1 - c->epsilon));
        parts->numerator = sdx_emit2(patch, "Add", sharp, mul(c, spread_loss(c, counts), share));
    }
    return patch->status;
}

sdx_status sdx_loss_classes(loss_maker *m, sdx_loss_parts *parts) {
    sdx_patch *patch = m->patch;
    const sdx_graph_value *values = patch->graph->values;
    const sdx_type x = values[m->outputs[0]].type, y = values[m->label].type;
    const bool dense = sdx_dtype_class(y.dtype) == SDX_CLASS_FLOAT, nll = m->options->kind == SDX_LOSS_NLL;
    if (x.rank < 2)
        return sdx_fail(patch->error, SDX_SHAPE,
                        "the loss's output '%s' has rank %d; it must be at least 2: [N, C, ...]",
                        values[m->outputs[0]].name, x.rank);
    if (dense ? nll : y.dtype != SDX_I32 && y.dtype != SDX_I64)
        return sdx_fail(patch->error, SDX_TYPE, "label '%s' is %s; it must be %s", values[m->label].name,
                        sdx_dtype_name(y.dtype), nll ? "i32 or i64" : "i32, i64 or a floating-point type");
    if (y.rank >= 0 && y.rank != (dense ? x.rank : x.rank - 1))
        return sdx_fail(patch->error, SDX_SHAPE,
                        "label '%s' has rank %d; it must be %d, as the loss's output has rank %d",
                        values[m->label].name, y.rank, dense ? x.rank : x.rank - 1, x.rank);
    if (m->options->n_class_weights && x.dim[1] >= 0 && (int64_t)m->options->n_class_weights != x.dim[1])
        return sdx_fail(patch->error, SDX_SHAPE, "there are %zu class weights; there are %lld classes",
                        m->options->n_class_weights, (long long)x.dim[1]);
    classes c = {.m = m, .patch = patch, .x = sdx_loss_output(m, 0), .weights = SDX_NONE, .label = y.dtype};
    c.epsilon = m->options->label_smoothing;
    c.smooth = c.epsilon > 0 && !nll;
    if (m->options->n_class_weights) c.weights = sdx_loss_weights(m, m->dtype);
    return dense ? probabilities(&c, parts) : numbers(&c, parts);
}
