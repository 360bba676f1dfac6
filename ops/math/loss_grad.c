/* SPDX-License-Identifier: Apache-2.0
 * With l the -log_prob of a label, w its weight (0: ignored) and S the sum of weights: the gradient of l is g = dY w,
 * and dY w / S of the mean; that of w is dY l, and dY (l - mean) / S. log_prob gets -onehot g; the scores behind it
 * get exp(log_prob) g - onehot g. */
#include "ops/grad.h"
#include "ops/math/loss.h"

typedef struct emitter {
    sdx_grad *grad;
    sdx_patch *patch;
    const sdx_loss_params *p;
    sdx_dtype dtype;
    int rank; /* of the scores */
} emitter;

static sdx_id cast(emitter *e, sdx_id x, sdx_dtype to) { return sdx_emit_int(e->patch, "Cast", x, SDX_NONE, "to", to); }

static sdx_id along_classes(emitter *e, sdx_id x) {
    return sdx_emit2(e->patch, "Unsqueeze", x, sdx_patch_i64s(e->patch, (const int64_t[]){1}, 1));
}

static sdx_id sum_over(emitter *e, sdx_id x, const int64_t *axes, int n, bool keep) {
    const sdx_id in[2] = {x, sdx_patch_i64s(e->patch, axes, (size_t)n)};
    sdx_node *node = sdx_patch_node(e->patch, "", "ReduceSum", 2, in, 1);
    sdx_patch_int(e->patch, node, "keepdims", keep);
    return node->out[0];
}

static sdx_id sum_all(emitter *e, sdx_id x) { return sdx_emit_int(e->patch, "ReduceSum", x, SDX_NONE, "keepdims", 0); }

/* Labels with those that are ignored turned into 0; *valid is 1 where none is, SDX_NONE when all are valid. */
static sdx_id safe_labels(emitter *e, sdx_id *valid) {
    const sdx_id labels = e->grad->node->in[1];
    const sdx_dtype dtype = e->patch->graph->values[labels].type.dtype;
    *valid = SDX_NONE;
    if (!e->p->ignores) return labels;
    const sdx_id ignored = cast(e, sdx_patch_i64s(e->patch, &e->p->ignore_index, 1), dtype);
    const sdx_id kept = sdx_emit1(e->patch, "Not", sdx_emit2(e->patch, "Equal", labels, ignored));
    const sdx_id in[3] = {kept, labels, sdx_patch_scalar(e->patch, dtype, 0)};
    *valid = cast(e, kept, e->dtype);
    return sdx_patch_node(e->patch, "", "Where", 3, in, 1)->out[0];
}

static sdx_id one_hot(emitter *e, sdx_id labels) {
    const sdx_id shape = sdx_emit1(e->patch, "Shape", e->grad->node->in[0]);
    const sdx_id depth = sdx_emit2(e->patch, "Gather", shape, sdx_patch_scalar(e->patch, SDX_I64, 1));
    const sdx_id values = cast(e, sdx_patch_i64s(e->patch, (const int64_t[]){0, 1}, 2), e->dtype);
    sdx_node *node = sdx_patch_node(e->patch, "", "OneHot", 3, (const sdx_id[]){labels, depth, values}, 1);
    sdx_patch_int(e->patch, node, "axis", 1);
    return node->out[0];
}

/* One weight for each label. */
static sdx_id label_weights(emitter *e, sdx_id labels, sdx_id valid) {
    const sdx_node *node = e->grad->node;
    if (node->n_in > 2 && node->in[2] != SDX_NONE) {
        const sdx_id weights = sdx_emit2(e->patch, "Gather", node->in[2], labels);
        return valid == SDX_NONE ? weights : sdx_emit2(e->patch, "Mul", weights, valid);
    }
    if (valid != SDX_NONE) return valid;
    return sdx_emit2(e->patch, "Expand", sdx_patch_scalar(e->patch, e->dtype, 1), sdx_emit1(e->patch, "Shape", labels));
}

/* dY, by S if the loss is the mean. */
static sdx_id scaled(emitter *e, sdx_id weights) {
    const sdx_id dY = e->grad->dY[0];
    return e->p->reduction == SDX_LOSS_MEAN ? sdx_emit2(e->patch, "Div", dY, sum_all(e, weights)) : dY;
}

static sdx_id weights_gradient(emitter *e, sdx_id log_prob, sdx_id hot, sdx_id valid, sdx_id scale) {
    sdx_patch *patch = e->patch;
    const int64_t classes = 1;
    int64_t others[SDX_MAX_RANK];
    int n = 0;
    for (int d = 0; d < e->rank; d++)
        if (d != 1) others[n++] = d;
    sdx_id l = sdx_emit1(patch, "Neg", sum_over(e, sdx_emit2(patch, "Mul", hot, log_prob), &classes, 1, false));
    if (e->p->reduction == SDX_LOSS_MEAN) l = sdx_emit2(patch, "Sub", l, e->grad->node->out[0]);
    if (valid != SDX_NONE) l = sdx_emit2(patch, "Mul", l, valid);
    const sdx_id each = along_classes(e, sdx_emit2(patch, "Mul", l, scale));
    return sum_over(e, sdx_emit2(patch, "Mul", hot, each), others, n, false);
}

static sdx_id log_softmax(emitter *e) {
    const sdx_node *node = e->grad->node;
    if (node->n_out > 1 && node->out[1] != SDX_NONE) return node->out[1];
    sdx_node *emitted = sdx_patch_node(e->patch, "", "LogSoftmax", 1, &node->in[0], 1);
    sdx_patch_int(e->patch, emitted, "axis", 1);
    return emitted->out[0];
}

sdx_status sdx_loss_grad(sdx_grad *grad, const sdx_loss_params *p, bool softmax) {
    const sdx_node *node = grad->node;
    const sdx_type *scores = &grad->patch->graph->values[node->in[0]].type;
    emitter e = {grad, grad->patch, p, scores->dtype, scores->rank};
    sdx_patch *patch = grad->patch;
    const bool more = softmax && node->n_out > 1 && grad->dY[1] != SDX_NONE;
    const int64_t classes = 1;
    if (e.rank < 0)
        return sdx_fail(grad->error, SDX_UNSUPPORTED, "the rank of the scores must be known for their gradient");
    const sdx_id log_prob = softmax ? log_softmax(&e) : node->in[0];
    const sdx_id share = softmax ? sdx_emit1(patch, "Exp", log_prob) : SDX_NONE;
    sdx_id dX = SDX_NONE;
    if (grad->dY[0] != SDX_NONE) {
        sdx_id valid;
        const sdx_id labels = safe_labels(&e, &valid), hot = one_hot(&e, labels);
        const sdx_id weights = label_weights(&e, labels, valid), scale = scaled(&e, weights);
        const sdx_id g = along_classes(&e, sdx_emit2(patch, "Mul", weights, scale));
        dX = softmax ? sdx_emit2(patch, "Sub", share, hot) : sdx_emit1(patch, "Neg", hot);
        dX = sdx_emit2(patch, "Mul", dX, g);
        if (node->n_in > 2 && node->in[2] != SDX_NONE && grad->needed[2])
            grad->dX[2] = weights_gradient(&e, log_prob, hot, valid, scale);
    }
    if (more) {
        const sdx_id sum = sum_over(&e, grad->dY[1], &classes, 1, true);
        const sdx_id part = sdx_emit2(patch, "Sub", grad->dY[1], sdx_emit2(patch, "Mul", sum, share));
        dX = dX == SDX_NONE ? part : sdx_emit2(patch, "Add", dX, part);
    }
    if (grad->needed[0]) grad->dX[0] = dX;
    return patch->status;
}
