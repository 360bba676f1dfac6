/* SPDX-License-Identifier: Apache-2.0
 * Pad: constant, reflect (without repeating the edge), edge or wrap; negative pads crop first. Versions 1 and 2 had
 * attributes. Each dimension is a table that maps a place in the result to one in the input, or to the constant. */
#include "ops/grad.h"
#include "ops/move.h"
#include <inttypes.h>

enum { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP };

typedef struct pad_params {
    int mode;
} pad_params;

static sdx_status pad_upgrade(sdx_patch *patch, const sdx_node *node) {
    if (node->version->since >= 11) return SDX_OK;
    const char *name = node->version->since == 1 ? "paddings" : "pads";
    const sdx_attr *pads = sdx_node_attr(node, name), *value = sdx_node_attr(node, "value");
    const sdx_attr *mode = sdx_node_attr(node, "mode");
    if (!pads) return SDX_OK; /* reported when the node is bound */
    sdx_id in[3] = {node->in[0], sdx_patch_i64s(patch, pads->ints, pads->n), SDX_NONE};
    bool filled = value && value->f != 0;
    if (filled) in[2] = sdx_emit2(patch, "CastLike", sdx_patch_scalar(patch, SDX_F32, (double)value->f), node->in[0]);
    sdx_node *newest = sdx_patch_node(patch, "", "Pad", filled ? 3 : 2, in, 1);
    if (mode) sdx_patch_attr(patch, newest, mode);
    sdx_patch_replace(patch, node->out[0], newest->out[0]);
    sdx_patch_remove(patch, node);
    return patch->status;
}

static sdx_status pad_bind(sdx_bind *bind, void *params) {
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
    pad_params *p = params;
    p->mode = sdx_bind_choice(bind, "mode", modes, bind->since >= 19 ? 4 : 3);
    return bind->status;
}

typedef struct pad_plan {
    int rank;
    int64_t in[SDX_MAX_RANK], before[SDX_MAX_RANK], after[SDX_MAX_RANK], out[SDX_MAX_RANK];
} pad_plan;

/* pads: n_axes beginnings, then n_axes ends. axes NULL: all. */
static sdx_status pad_resolve(sdx_error *error, const pad_params *p, const sdx_type *in, const int64_t *pads,
                              int n_pads, int64_t *axes, int n_axes, pad_plan *plan) {
    *plan = (pad_plan){.rank = in->rank};
    if (!axes) n_axes = in->rank;
    if (n_pads != 2 * n_axes)
        return sdx_fail(error, SDX_SHAPE, "input 'pads' has %d entries; it must have two for each of %d axes", n_pads,
                        n_axes);
    if (axes) SDX_TRY(sdx_check_axes(error, "axes", axes, n_axes, in->rank));
    for (int i = 0; i < n_axes; i++) {
        plan->before[axes ? axes[i] : i] = pads[i];
        plan->after[axes ? axes[i] : i] = pads[n_axes + i];
    }
    for (int d = 0; d < in->rank; d++) {
        int64_t n = in->dim[d], before = plan->before[d], after = plan->after[d];
        plan->in[d] = n;
        plan->out[d] = before == 0 && after == 0 ? n : -1;
        if (n < 0) continue;
        if (before < -n || after < -n || before > INT64_MAX / 4 || after > INT64_MAX / 4 || n > INT64_MAX / 4)
            return sdx_fail(error, SDX_VALUE,
                            "pads of dimension %d are %" PRId64 " and %" PRId64 "; its length is %" PRId64, d, before,
                            after, n);
        plan->out[d] = n + before + after;
        int64_t kept = n + (before < 0 ? before : 0) + (after < 0 ? after : 0);
        if (plan->out[d] < 0 || (kept < 0 && (before > 0 || after > 0)))
            return sdx_fail(error, SDX_VALUE,
                            "dimension %d of input 'data' is %" PRId64 "; its pads are %" PRId64 " and %" PRId64, d, n,
                            before, after);
        if (p->mode != PAD_CONSTANT && kept <= 0 && plan->out[d] > 0)
            return sdx_fail(error, SDX_VALUE, "dimension %d of input 'data' has nothing to pad from", d);
    }
    return SDX_OK;
}

static sdx_status pad_infer(sdx_infer *infer, const void *params) {
    int64_t pads[2 * SDX_MAX_RANK], axes[SDX_MAX_RANK];
    int n_pads = -1, n_axes = -1, rank = sdx_infer_rank_of(infer, 0);
    bool given = infer->n_in > 3 && infer->in[3];
    sdx_type *out = &infer->out[0];
    pad_plan plan;
    SDX_TRY(sdx_infer_i64s(infer, 1, "pads", pads, 2 * SDX_MAX_RANK, &n_pads));
    if (given) SDX_TRY(sdx_infer_i64s(infer, 3, "axes", axes, SDX_MAX_RANK, &n_axes));
    if (infer->n_in > 2 && infer->in[2] && infer->in[2]->kind == SDX_TENSOR && infer->in[2]->rank == 1)
        SDX_TRY(sdx_infer_merge_dim(infer, "length of input 'constant_value'", infer->in[2]->dim[0], 1, NULL));
    if (rank < 0) return SDX_OK;
    out->rank = rank;
    for (int d = 0; d < rank; d++) out->dim[d] = -1;
    if (n_pads < 0 || (given && n_axes < 0)) return SDX_OK;
    SDX_TRY(pad_resolve(infer->error, params, infer->in[0], pads, n_pads, given ? axes : NULL, n_axes, &plan));
    memcpy(out->dim, plan.out, sizeof plan.out);
    return SDX_OK;
}

/* What of a dimension is left after cropping, and where it begins in the result. */
typedef struct pad_kept {
    int64_t first, n, shift;
} pad_kept;

static pad_kept kept_of(const pad_plan *plan, int d) {
    const int64_t before = plan->before[d], after = plan->after[d], first = before < 0 ? -before : 0;
    return (pad_kept){first, plan->in[d] - first + (after < 0 ? after : 0), before > 0 ? before : 0};
}

/* Where place `at`, counted from what is kept, lies in the input; -1: the constant. */
static int64_t pad_source(int mode, int64_t at, const pad_kept *kept) {
    const int64_t first = kept->first, n = kept->n;
    if (at >= 0 && at < n) return first + at;
    if (mode == PAD_CONSTANT) return -1;
    if (mode == PAD_EDGE) return at < 0 ? first : first + n - 1;
    int64_t period = mode == PAD_WRAP ? n : n == 1 ? 1 : 2 * (n - 1);
    at %= period;
    if (at < 0) at += period;
    return first + (mode == PAD_WRAP || at < n ? at : period - at);
}

typedef struct pad_job {
    const pad_plan *plan;
    int mode;
    size_t size;
    const char *in;
    char *out;
    char fill[16];
    int64_t stride[SDX_MAX_RANK], low, high; /* [low, high) of the innermost dimension is a copy */
} pad_job;

static void fill_run(const pad_job *job, char *to, int64_t n) {
    const size_t bytes = (size_t)n * job->size;
    if (n <= 0) return;
    sdx_copy_run(to, job->fill, job->size);
    for (size_t done = job->size, part; done < bytes; done += part) {
        part = done < bytes - done ? done : bytes - done;
        memcpy(to + done, to, part);
    }
}

/* One line along the innermost dimension; `row` NULL: all of it is the constant. */
static void pad_line(const pad_job *job, char *to, const char *row) {
    const pad_plan *plan = job->plan;
    int d = plan->rank - 1;
    const pad_kept kept = kept_of(plan, d);
    const int64_t width = (int64_t)job->size;
    if (!row) {
        fill_run(job, to, plan->out[d]);
        return;
    }
    if (job->mode == PAD_CONSTANT && job->high > job->low) {
        fill_run(job, to, job->low);
        memcpy(to + job->low * width, row + (kept.first + job->low - kept.shift) * width,
               (size_t)((job->high - job->low) * width));
        fill_run(job, to + job->high * width, plan->out[d] - job->high);
        return;
    }
    for (int64_t i = 0; i < plan->out[d]; i++) {
        if (i == job->low && job->high > job->low) {
            memcpy(to + i * width, row + (kept.first + i - kept.shift) * width,
                   (size_t)((job->high - job->low) * width));
            i = job->high - 1;
            continue;
        }
        int64_t from = pad_source(job->mode, i - kept.shift, &kept);
        sdx_copy_run(to + i * width, from < 0 ? job->fill : row + from * width, job->size);
    }
}

static void pad_lines(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const pad_job *job = argument;
    const pad_plan *plan = job->plan;
    int last = plan->rank - 1;
    for (int64_t line = begin; line < end; line++) {
        const char *row = job->in;
        int64_t rest = line;
        for (int d = last - 1; d >= 0 && row; d--) {
            const pad_kept kept = kept_of(plan, d);
            int64_t from = pad_source(job->mode, rest % plan->out[d] - kept.shift, &kept);
            row = from < 0 ? NULL : row + from * job->stride[d] * (int64_t)job->size;
            rest /= plan->out[d];
        }
        pad_line(job, job->out + line * plan->out[last] * (int64_t)job->size, row);
    }
}

static sdx_status pad_plan_of(sdx_compute *compute, const pad_params *p, pad_plan *plan) {
    int64_t pads[2 * SDX_MAX_RANK], axes[SDX_MAX_RANK];
    int n_pads = 0, n_axes = 0;
    sdx_type in = sdx_type_of_tensor(compute->in[0]);
    bool given = compute->n_in > 3 && compute->in[3];
    SDX_TRY(sdx_read_i64s(compute->error, "pads", compute->in[1], pads, 2 * SDX_MAX_RANK, &n_pads));
    if (given) SDX_TRY(sdx_read_i64s(compute->error, "axes", compute->in[3], axes, SDX_MAX_RANK, &n_axes));
    return pad_resolve(compute->error, p, &in, pads, n_pads, given ? axes : NULL, n_axes, plan);
}

/* A dimension without pads joins the one before it, so that lines get long. For constants only: the other modes repeat
 * elements of one dimension. */
static void pad_merge(pad_plan *plan) {
    int kept = 0;
    for (int d = 1; d < plan->rank; d++) {
        const int64_t n = plan->in[d];
        if (plan->before[d] == 0 && plan->after[d] == 0) {
            plan->in[kept] *= n, plan->before[kept] *= n, plan->after[kept] *= n, plan->out[kept] *= n;
            continue;
        }
        kept++;
        plan->in[kept] = n, plan->out[kept] = plan->out[d];
        plan->before[kept] = plan->before[d], plan->after[kept] = plan->after[d];
    }
    plan->rank = kept + 1;
}

static sdx_status pad_compute(sdx_compute *compute, const void *params) {
    const pad_params *p = params;
    const sdx_tensor *in = compute->in[0], *value = compute->n_in > 2 ? compute->in[2] : NULL;
    pad_plan plan;
    SDX_TRY(pad_plan_of(compute, p, &plan));
    sdx_tensor *out = sdx_compute_output(compute, 0, plan.rank, plan.out);
    if (!out) return compute->error->status;
    if (out->count == 0) return SDX_OK;
    if (plan.rank == 0) return sdx_move_all(compute, in, out);
    if (value && value->count != 1)
        return sdx_fail(compute->error, SDX_SHAPE, "input 'constant_value' has %" PRId64 " elements; it must have one",
                        value->count);
    pad_job job = {.plan = &plan, .mode = p->mode, .size = sdx_dtype_size(in->dtype), .in = in->data, .out = out->data};
    if (value) memcpy(job.fill, value->data, job.size);
    if (p->mode == PAD_CONSTANT) pad_merge(&plan);
    sdx_strides(plan.rank, plan.in, job.stride);
    int last = plan.rank - 1;
    job.low = plan.before[last] > 0 ? plan.before[last] : 0;
    job.high = plan.out[last] - (plan.after[last] > 0 ? plan.after[last] : 0);
    int64_t line = plan.out[last] * (int64_t)job.size;
    return sdx_for(compute, out->count / plan.out[last], sdx_grain(line), pad_lines, &job);
}

/* Pad with other pads or data. */
static sdx_id pad_again(sdx_grad *grad, sdx_id data, sdx_id pads, sdx_id value) {
    sdx_id in[4] = {data, pads, value, sdx_grad_in(grad, 3)};
    return sdx_patch_node(grad->patch, "", "Pad", in[3] != SDX_NONE ? 4 : value != SDX_NONE ? 3 : 2, in, 1)->out[0];
}

/* The constant gets what flows into the margin. */
static sdx_id pad_constant_grad(sdx_grad *grad) {
    sdx_patch *patch = grad->patch;
    const sdx_id data = grad->node->in[0], value = grad->node->in[2];
    sdx_id inner = sdx_grad_filled(patch, data, 0), one = sdx_grad_scalar(patch, data, 1);
    sdx_id margin = pad_again(grad, inner, grad->node->in[1], one);
    return sdx_grad_reshape(patch, sdx_emit1(patch, "ReduceSum", sdx_emit2(patch, "Mul", grad->dY[0], margin)), value);
}

/* Constant pads are cut off again; the others add what flows into the margin where it came from. */
static sdx_status pad_grad(sdx_grad *grad, const void *params) {
    static const char *const modes[] = {"constant", "reflect", "edge", "wrap"};
    const pad_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_node *node = grad->node;
    const sdx_id data = node->in[0], dY = grad->dY[0];
    grad->exact = true;
    if (p->mode == PAD_CONSTANT) {
        if (grad->needed[0]) grad->dX[0] = pad_again(grad, dY, sdx_emit1(patch, "Neg", node->in[1]), SDX_NONE);
        if (sdx_grad_in(grad, 2) != SDX_NONE && grad->needed[2]) grad->dX[2] = pad_constant_grad(grad);
        return patch->status;
    }
    if (!grad->needed[0]) return patch->status;
    sdx_id shape = sdx_emit1(patch, "Shape", data);
    sdx_id in[4] = {sdx_grad_places(patch, shape), node->in[1], SDX_NONE, sdx_grad_in(grad, 3)};
    sdx_node *places = sdx_patch_node(patch, "", "Pad", in[3] != SDX_NONE ? 4 : 2, in, 1);
    sdx_patch_string(patch, places, "mode", modes[p->mode]);
    grad->dX[0] = sdx_grad_put(patch, shape, sdx_grad_type(patch, data)->dtype, places->out[0], dY);
    return patch->status;
}

const sdx_op sdx_op_Pad = {
    .domain = "",
    .name = "Pad",
    .versions =
        (const sdx_op_version[]){
            {1, "data:T -> output:T", "T=" SDX_T_FLOAT, "mode:string=constant paddings:ints! value:float=0"},
            {2, "data:T -> output:T", "T=" SDX_T_FLOAT, "mode:string=constant pads:ints! value:float=0"},
            {11, "data:T pads:i64 constant_value:T? -> output:T", "T=" SDX_T_NUMERIC, "mode:string=constant"},
            {13, "data:T pads:i64 constant_value:T? -> output:T", "T=" SDX_T_ALL_BF, "mode:string=constant"},
            {18, "data:T pads:i64 constant_value:T? axes:Tind? -> output:T", "T=" SDX_T_ALL_BF " Tind=i32|i64",
             "mode:string=constant"},
            {19, "data:T pads:i64 constant_value:T? axes:Tind? -> output:T", "T=" SDX_T_ALL_BF " Tind=i32|i64",
             "mode:string=constant"},
            {21, "data:T pads:i64 constant_value:T? axes:Tind? -> output:T", "T=" SDX_T_ALL_IR10 " Tind=i32|i64",
             "mode:string=constant"},
            {23, "data:T pads:i64 constant_value:T? axes:Tind? -> output:T", "T=" SDX_T_ALL_IR11 " Tind=i32|i64",
             "mode:string=constant"},
            {24, "data:T pads:i64 constant_value:T? axes:Tind? -> output:T", "T=" SDX_T_ALL_IR12 " Tind=i32|i64",
             "mode:string=constant"},
            {25, "data:T pads:i64 constant_value:T? axes:Tind? -> output:T", "T=" SDX_T_ALL_IR13 " Tind=i32|i64",
             "mode:string=constant"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(pad_params),
    .upgrade = pad_upgrade,
    .bind = pad_bind,
    .infer = pad_infer,
    .compute = pad_compute,
    .grad = pad_grad,
};
