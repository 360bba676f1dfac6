/* SPDX-License-Identifier: Apache-2.0
 * OptimizerUpdate in standard operators. Numbers of the step are worked out in f64 from lr and step, as the kernel
 * does; elements in the type of the parameter, f32 for 16-bit ones. */
#include "ops/grad.h"
#include "ops/training/optimizer_update.h"

enum { NEWTON_STEPS = 12 };

typedef struct body {
    sdx_patch *patch;
    const sdx_update_params *p;
    sdx_dtype stored, work;
    sdx_id w, g, s[SDX_UPDATE_STATES], s_new[SDX_UPDATE_STATES]; /* by slot */
    sdx_id lr, t;                                                /* f64 */
    sdx_id rate, reach, metric;                                  /* rate: work; reach: f64; metric SDX_NONE: 1 */
} body;

static sdx_id wide(body *b, double x) { return sdx_patch_scalar(b->patch, SDX_F64, x); }
static sdx_id number(body *b, double x) { return sdx_patch_scalar(b->patch, b->work, x); }
static sdx_id narrow(body *b, sdx_id x) { return sdx_emit_cast(b->patch, x, SDX_F64, b->work); }
static sdx_id add(body *b, sdx_id x, sdx_id y) { return sdx_emit2(b->patch, "Add", x, y); }
static sdx_id sub(body *b, sdx_id x, sdx_id y) { return sdx_emit2(b->patch, "Sub", x, y); }
static sdx_id mul(body *b, sdx_id x, sdx_id y) { return sdx_emit2(b->patch, "Mul", x, y); }
static sdx_id quotient(body *b, sdx_id x, sdx_id y) { return sdx_emit2(b->patch, "Div", x, y); }
static sdx_id root(body *b, sdx_id x) { return sdx_emit1(b->patch, "Sqrt", x); }
static sdx_id where(body *b, sdx_id which, sdx_id yes, sdx_id no) {
    return sdx_patch_node(b->patch, "", "Where", 3, (const sdx_id[]){which, yes, no}, 1)->out[0];
}
static sdx_id sum(body *b, sdx_id x) { return sdx_emit_int(b->patch, "ReduceSum", x, SDX_NONE, "keepdims", 0); }

/* 1 - beta^t */
static sdx_id correction(body *b, double beta) {
    return sub(b, wide(b, 1), sdx_emit2(b->patch, "Pow", wide(b, beta), b->t));
}
/* old + (1 - beta) (x - old), and beta old + (1 - beta) x x */
static sdx_id moved(body *b, sdx_id old, double beta, sdx_id x) {
    return add(b, old, mul(b, number(b, 1 - beta), sub(b, x, old)));
}
static sdx_id moved_square(body *b, sdx_id old, double beta, sdx_id x) {
    return add(b, mul(b, number(b, beta), old), mul(b, mul(b, number(b, 1 - beta), x), x));
}

static sdx_id sgd(body *b) {
    const sdx_update_params *p = b->p;
    sdx_id v = b->g;
    double reach = p->nesterov ? 1 + p->momentum / (1 - p->momentum) : (1 - p->dampening) / (1 - p->momentum);
    b->reach = mul(b, b->lr, wide(b, reach));
    if (p->momentum != 0) {
        sdx_id first = sdx_emit2(b->patch, "LessOrEqual", b->t, wide(b, 1));
        sdx_id gain = where(b, first, number(b, 1), number(b, 1 - p->dampening));
        v = add(b, mul(b, number(b, p->momentum), b->s[0]), mul(b, gain, b->g));
        b->s_new[0] = v;
        if (p->nesterov) v = add(b, b->g, mul(b, number(b, p->momentum), v));
    }
    return mul(b, b->rate, v);
}

static sdx_id adam(body *b) {
    const sdx_update_params *p = b->p;
    const sdx_id m = moved(b, b->s[0], p->beta1, b->g), v = moved_square(b, b->s[1], p->beta2, b->g);
    sdx_id most = v;
    b->s_new[0] = m, b->s_new[1] = v;
    if (p->amsgrad) b->s_new[2] = most = sdx_emit2(b->patch, "Max", b->s[2], v);
    const sdx_id scale = narrow(b, root(b, correction(b, p->beta2)));
    b->metric = add(b, quotient(b, root(b, most), scale), number(b, p->eps));
    return quotient(b, mul(b, narrow(b, quotient(b, b->lr, correction(b, p->beta1))), m), b->metric);
}

static sdx_id adagrad(body *b) {
    const sdx_update_params *p = b->p;
    const sdx_id past = mul(b, sub(b, b->t, wide(b, 1)), wide(b, p->lr_decay));
    b->reach = quotient(b, b->lr, add(b, wide(b, 1), past));
    b->s_new[0] = add(b, b->s[0], mul(b, b->g, b->g));
    b->metric = add(b, root(b, b->s_new[0]), number(b, p->eps));
    return quotient(b, mul(b, narrow(b, b->reach), b->g), b->metric);
}

static sdx_id rmsprop(body *b) {
    const sdx_update_params *p = b->p;
    sdx_id spread = b->s_new[0] = moved_square(b, b->s[0], p->beta2, b->g);
    if (p->centered) {
        const sdx_id mean = b->s_new[1] = moved(b, b->s[1], p->beta2, b->g);
        spread = sub(b, spread, mul(b, mean, mean));
    }
    b->metric = add(b, root(b, spread), number(b, p->eps));
    b->reach = mul(b, b->lr, wide(b, 1 / (1 - p->momentum)));
    if (p->momentum == 0) return quotient(b, mul(b, b->rate, b->g), b->metric);
    b->s_new[2] = add(b, mul(b, number(b, p->momentum), b->s[2]), quotient(b, b->g, b->metric));
    return mul(b, b->rate, b->s_new[2]);
}

static sdx_id lion(body *b) {
    const sdx_update_params *p = b->p;
    const sdx_id c = add(b, mul(b, number(b, p->beta1), b->s[0]), mul(b, number(b, 1 - p->beta1), b->g));
    b->s_new[0] = add(b, mul(b, number(b, p->beta2), b->s[0]), mul(b, number(b, 1 - p->beta2), b->g));
    b->metric = add(b, sdx_emit1(b->patch, "Abs", c), number(b, 1e-30));
    return mul(b, b->rate, sdx_emit1(b->patch, "Sign", c));
}

static sdx_id norm(body *b, sdx_id x) {
    const sdx_id all = sdx_emit_cast(b->patch, x, b->work, SDX_F64);
    return root(b, sum(b, mul(b, all, all)));
}

static sdx_id lamb(body *b) {
    const sdx_update_params *p = b->p;
    const sdx_id m = moved(b, b->s[0], p->beta1, b->g), v = moved_square(b, b->s[1], p->beta2, b->g);
    b->s_new[0] = m, b->s_new[1] = v;
    const sdx_id scale = narrow(b, root(b, correction(b, p->beta2)));
    b->metric = add(b, quotient(b, root(b, v), scale), number(b, p->eps));
    sdx_id r = quotient(b, quotient(b, m, narrow(b, correction(b, p->beta1))), b->metric);
    r = add(b, r, mul(b, b->w, number(b, p->weight_decay)));
    const sdx_id of_w = norm(b, b->w), of_r = norm(b, r), one = wide(b, 1);
    const sdx_id least = sdx_emit2(b->patch, "Greater", sdx_emit2(b->patch, "Min", of_w, of_r), wide(b, 0));
    b->reach = mul(b, b->lr, where(b, least, quotient(b, of_w, where(b, least, of_r, one)), one));
    return mul(b, narrow(b, b->reach), r);
}

/* soft(u, reach l1 / d) / (1 + 2 reach l2 / d) */
static sdx_id shrink(body *b, sdx_id u) {
    const sdx_id zero = number(b, 0);
    sdx_id edge = narrow(b, mul(b, b->reach, wide(b, b->p->l1)));
    sdx_id scale = narrow(b, mul(b, b->reach, wide(b, 2 * b->p->l2)));
    if (b->metric != SDX_NONE) edge = quotient(b, edge, b->metric), scale = quotient(b, scale, b->metric);
    const sdx_id low = sdx_emit2(b->patch, "Max", sub(b, u, edge), zero);
    const sdx_id high = sdx_emit2(b->patch, "Min", add(b, u, edge), zero);
    return quotient(b, add(b, low, high), add(b, number(b, 1), scale));
}

/* As in optimizer_update_group.c, with a fixed number of steps. */
static sdx_id shrink_group(body *b, sdx_id u) {
    const sdx_id c = mul(b, b->reach, wide(b, b->p->l2norm)), zero = wide(b, 0), one = wide(b, 1);
    const sdx_id from = sdx_emit_cast(b->patch, u, b->work, SDX_F64);
    sdx_id d = b->metric == SDX_NONE ? one : sdx_emit_cast(b->patch, b->metric, b->work, SDX_F64), s = zero,
           v = SDX_NONE;
    d = add(b, d, mul(b, b->reach, wide(b, 2 * b->p->l2)));
    for (int i = 0; i <= NEWTON_STEPS; i++) {
        const sdx_id below = add(b, mul(b, d, s), c);
        v = quotient(b, mul(b, d, from), below);
        if (i == NEWTON_STEPS) break;
        const sdx_id square = mul(b, v, v), squares = sum(b, square);
        const sdx_id slope = sum(b, quotient(b, mul(b, square, d), below));
        const sdx_id over = sdx_emit2(b->patch, "Max", sub(b, root(b, squares), one), zero);
        const sdx_id some = sdx_emit2(b->patch, "Greater", slope, zero);
        s = add(b, s, quotient(b, mul(b, over, squares), where(b, some, slope, one)));
    }
    const sdx_id moves = sdx_emit2(b->patch, "Greater", c, zero);
    return narrow(b, where(b, moves, add(b, mul(b, v, s), zero), from)); /* + 0: never -0 */
}

static void begin(body *b, sdx_patch *patch, const sdx_node *node, const sdx_update_params *p) {
    const sdx_graph_value *values = patch->graph->values;
    const sdx_dtype stored = values[node->in[SDX_UPDATE_W]].type.dtype;
    int slots[SDX_UPDATE_STATES];
    *b = (body){.patch = patch, .p = p, .stored = stored, .work = stored, .metric = SDX_NONE};
    if (stored == SDX_F16 || stored == SDX_BF16) b->work = SDX_F32;
    const sdx_dtype lr = values[node->in[SDX_UPDATE_LR]].type.dtype, t = values[node->in[SDX_UPDATE_STEP]].type.dtype;
    b->lr = sdx_emit_cast(b->patch, node->in[SDX_UPDATE_LR], lr, SDX_F64);
    b->t = sdx_emit_cast(b->patch, node->in[SDX_UPDATE_STEP], t, SDX_F64);
    b->rate = narrow(b, b->lr);
    b->reach = b->lr;
    b->w = sdx_emit_cast(b->patch, node->in[SDX_UPDATE_W], stored, b->work);
    b->g = sdx_emit_cast(b->patch, node->in[SDX_UPDATE_G], stored, b->work);
    const int states = sdx_update_states(p, slots);
    for (int k = 0; k < states; k++)
        b->s[slots[k]] = sdx_emit_cast(b->patch, node->in[SDX_UPDATE_STATE + k], stored, b->work);
    if (!p->decoupled && p->kind != SDX_UPDATE_LAMB && p->weight_decay != 0)
        b->g = add(b, b->g, mul(b, number(b, p->weight_decay), b->w));
}

static sdx_id direction(body *b) {
    switch (b->p->kind) {
    case SDX_UPDATE_ADAM: return adam(b);
    case SDX_UPDATE_ADAGRAD: return adagrad(b);
    case SDX_UPDATE_RMSPROP: return rmsprop(b);
    case SDX_UPDATE_LION: return lion(b);
    case SDX_UPDATE_LAMB: return lamb(b);
    case SDX_UPDATE_SGD: break;
    }
    return sgd(b);
}

sdx_status sdx_update_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    const sdx_update_params *p = params;
    body b;
    begin(&b, patch, node, p);
    const sdx_id move = direction(&b);
    sdx_id u = b.w;
    if (p->decoupled && p->kind != SDX_UPDATE_LAMB && p->weight_decay != 0)
        u = mul(&b, u, narrow(&b, sub(&b, wide(&b, 1), mul(&b, b.lr, wide(&b, p->weight_decay)))));
    u = sub(&b, u, move);
    if (p->l1 > 0 || p->l2 > 0) u = shrink(&b, u);
    if (p->l2norm > 0) u = shrink_group(&b, u);
    sdx_patch_replace(patch, node->out[0], sdx_emit_cast(b.patch, u, b.work, b.stored));
    int slots[SDX_UPDATE_STATES];
    const int states = sdx_update_states(p, slots);
    for (int k = 0; k < states; k++)
        if (1 + k < node->n_out && node->out[1 + k] != SDX_NONE)
            sdx_patch_replace(patch, node->out[1 + k], sdx_emit_cast(b.patch, b.s_new[slots[k]], b.work, b.stored));
    sdx_patch_remove(patch, node);
    return patch->status;
}
