/* SPDX-License-Identifier: Apache-2.0
 * Clip: min(max(input, min), max), so max where min > max; NaN stays NaN. Until opset 10 the bounds were attributes,
 * and are f32 whatever the type. */
#include "ops/grad.h"
#include "ops/math/elementwise.h"
#include "ops/move.h"

enum { BLOCK = 1024 };

typedef struct clip_params {
    bool attributes, has_min, has_max;
    float min, max;
} clip_params;

/* Constants need the input's type, which is known this early where it is declared. */
static sdx_status clip_upgrade(sdx_patch *patch, const sdx_node *node) {
    if (node->version->since >= 11 || node->n_in != 1) return SDX_OK;
    sdx_dtype dtype = patch->graph->values[node->in[0]].type.dtype;
    if (sdx_dtype_class(dtype) != SDX_CLASS_FLOAT) return SDX_OK;
    const sdx_attr *min = sdx_node_attr(node, "min"), *max = sdx_node_attr(node, "max");
    bool always = node->version->since >= 6;
    sdx_id in[3] = {node->in[0], SDX_NONE, SDX_NONE};
    if (min || always) in[1] = sdx_patch_scalar(patch, dtype, min ? (double)min->f : -0x1.fffffep127);
    if (max || always) in[2] = sdx_patch_scalar(patch, dtype, max ? (double)max->f : 0x1.fffffep127);
    sdx_node *newest = sdx_patch_node(patch, "", "Clip", 3, in, 1);
    sdx_patch_replace(patch, node->out[0], newest->out[0]);
    sdx_patch_remove(patch, node);
    return patch->status;
}

static sdx_status clip_bind(sdx_bind *bind, void *params) {
    clip_params *p = params;
    p->attributes = bind->since < 11;
    if (!p->attributes) return bind->status;
    p->min = sdx_bind_float(bind, "min");
    p->max = sdx_bind_float(bind, "max");
    p->has_min = bind->since >= 6 || sdx_bind_has(bind, "min");
    p->has_max = bind->since >= 6 || sdx_bind_has(bind, "max");
    return bind->status;
}

static sdx_status clip_infer(sdx_infer *infer, const void *params) {
    (void)params;
    sdx_infer_same(infer, 0, 0);
    for (int k = 1; k < 3; k++)
        if (sdx_infer_rank_of(infer, k) > 0)
            return sdx_fail(infer->error, SDX_SHAPE, "input '%s' has rank %d; it must be a scalar",
                            k == 1 ? "min" : "max", sdx_infer_rank_of(infer, k));
    return SDX_OK;
}

/* Bounds as the kernel's element type; fn NULL: none. */
typedef struct clip_context {
    sdx_binary_fn max, min;
    size_t size;
    int64_t low[1], high[1];
} clip_context;

static void clip_piece(const void *context, int64_t n, void *const *at, const int64_t *step) {
    const clip_context *c = context;
    for (int64_t k = 0; k < n; k += BLOCK) {
        int64_t m = n - k < BLOCK ? n - k : BLOCK;
        const char *x = (const char *)at[1] + (size_t)(k * step[1]) * c->size;
        char *y = (char *)at[0] + (size_t)k * c->size;
        if (c->max) c->max(x, step[1], c->low, 0, y, m);
        if (c->min) c->min(c->max ? y : x, c->max ? 1 : step[1], c->high, 0, y, m);
    }
}

/* Bound k, as `work`; false when there is none. */
static bool bound(const sdx_compute *compute, const clip_params *p, int k, sdx_dtype work, void *out) {
    const sdx_tensor *in = k < compute->n_in ? compute->in[k] : NULL;
    if (p->attributes && (k == 1 ? p->has_min : p->has_max)) {
        sdx_convert(compute->kernels, SDX_F32, k == 1 ? &p->min : &p->max, work, out, 1);
        return true;
    }
    if (in) sdx_convert(compute->kernels, in->dtype, in->data, work, out, 1);
    return in != NULL;
}

static sdx_status clip_compute(sdx_compute *compute, const void *params) {
    const clip_params *p = params;
    const sdx_tensor *x = compute->in[0];
    sdx_tensor *y = sdx_compute_output(compute, 0, x->rank, x->dim);
    if (!y) return compute->error->status;
    for (int k = 1; k < compute->n_in; k++)
        if (compute->in[k] && compute->in[k]->count != 1)
            return sdx_fail(compute->error, SDX_SHAPE, "input '%s' has %lld elements; it must be a scalar",
                            k == 1 ? "min" : "max", (long long)compute->in[k]->count);
    sdx_dtype work = sdx_work_dtype(x->dtype);
    clip_context context = {.size = sdx_dtype_size(work)};
    if (bound(compute, p, 1, work, context.low)) context.max = compute->kernels->binary(SDX_BINARY_Max, work);
    if (bound(compute, p, 2, work, context.high)) context.min = compute->kernels->binary(SDX_BINARY_Min, work);
    if (!context.max && !context.min) return sdx_move_all(compute, x, y);
    sdx_loop loop;
    sdx_loop_begin(&loop, y, work);
    sdx_loop_add(&loop, x, work);
    return sdx_loop_run(compute, &loop, SDX_GRAIN_CHEAP, clip_piece, &context);
}

/* Bound k as a value of the graph; SDX_NONE: there is none. */
static sdx_id bound_value(sdx_grad *grad, const clip_params *p, int k) {
    if (!p->attributes) return sdx_grad_in(grad, k);
    if (!(k == 1 ? p->has_min : p->has_max)) return SDX_NONE;
    return sdx_grad_scalar(grad->patch, grad->node->in[0], (double)(k == 1 ? p->min : p->max));
}

/* a and b, of which one may be missing */
static sdx_id both(sdx_patch *patch, const char *op_type, sdx_id a, sdx_id b) {
    return a == SDX_NONE ? b : b == SDX_NONE ? a : sdx_emit2(patch, op_type, a, b);
}

/* At a bound the gradient goes to the input; where min > max it goes to max. */
static sdx_status clip_grad(sdx_grad *grad, const void *params) {
    sdx_patch *patch = grad->patch;
    const sdx_id x = grad->node->in[0], dY = grad->dY[0], zero = sdx_grad_scalar(patch, x, 0);
    const sdx_id min = bound_value(grad, params, 1), max = bound_value(grad, params, 2);
    const bool low = min != SDX_NONE, high = max != SDX_NONE;
    sdx_id above = low ? sdx_emit2(patch, "GreaterOrEqual", x, min) : SDX_NONE;
    sdx_id below = high ? sdx_emit2(patch, "LessOrEqual", x, max) : SDX_NONE;
    sdx_id inside = both(patch, "And", above, below);
    grad->dX[0] = inside == SDX_NONE ? dY : sdx_emit3(patch, "Where", inside, dY, zero);
    sdx_id apart = low && high ? sdx_emit2(patch, "Less", min, max) : SDX_NONE;
    if (low && grad->node->n_in > 1 && grad->needed[1]) {
        sdx_id at_min = both(patch, "And", sdx_emit2(patch, "Less", x, min), apart);
        grad->dX[1] = sdx_emit3(patch, "Where", at_min, dY, zero);
    }
    if (high && grad->node->n_in > 2 && grad->needed[2]) {
        sdx_id crossed = low ? sdx_emit2(patch, "Less", max, min) : SDX_NONE;
        sdx_id at_max = both(patch, "Or", sdx_emit2(patch, "Greater", x, max), crossed);
        grad->dX[2] = sdx_emit3(patch, "Where", at_max, dY, zero);
    }
    return patch->status;
}

#define BOUNDED "input:T min:T? max:T? -> output:T"
const sdx_op sdx_op_Clip = {
    .domain = "",
    .name = "Clip",
    .versions =
        (const sdx_op_version[]){
            SDX_V(1, SDX_IO, SDX_T_FLOAT, SDX_CONSUMED " max:float min:float"),
            SDX_V(6, SDX_IO, SDX_T_FLOAT, "max:float=3.4028235e+38 min:float=-3.4028235e+38"),
            SDX_V(11, BOUNDED, SDX_T_FLOAT, ""),
            SDX_V(12, BOUNDED, SDX_T_NUMERIC, ""),
            SDX_V(13, BOUNDED, SDX_T_NUMERIC_BF, ""),
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(clip_params),
    .upgrade = clip_upgrade,
    .bind = clip_bind,
    .infer = clip_infer,
    .compute = clip_compute,
    .grad = clip_grad,
    .flags = SDX_OP_INPLACE,
};
