/* SPDX-License-Identifier: Apache-2.0
 * Concat along `axis`. Version 1 had 1 as the default axis. */
#include "ops/grad.h"
#include "ops/move.h"
#include <inttypes.h>

typedef struct concat_params {
    int64_t axis;
} concat_params;

static sdx_status concat_bind(sdx_bind *bind, void *params) {
    concat_params *p = params;
    p->axis = bind->since == 1 && !sdx_bind_has(bind, "axis") ? 1 : sdx_bind_int(bind, "axis");
    return bind->status;
}

/* Input k joins the type of those before it. */
static sdx_status join(sdx_infer *infer, int k, int axis, sdx_type *out) {
    const sdx_type *in = infer->in[k];
    if (in->rank != out->rank)
        return sdx_fail(infer->error, SDX_SHAPE, "input %d of 'inputs' has rank %d; those before it have %d", k,
                        in->rank, out->rank);
    for (int d = 0; d < out->rank; d++) {
        if (d == axis) {
            if (in->dim[d] < 0 || out->dim[d] < 0)
                out->dim[d] = -1;
            else if (__builtin_add_overflow(out->dim[d], in->dim[d], &out->dim[d]))
                return sdx_fail(infer->error, SDX_SHAPE, "the sum of the dimensions overflows");
            continue;
        }
        if (in->dim[d] >= 0 && out->dim[d] >= 0 && in->dim[d] != out->dim[d])
            return sdx_fail(infer->error, SDX_SHAPE,
                            "dimension %d of input %d of 'inputs' is %" PRId64 "; in those before it is %" PRId64, d, k,
                            in->dim[d], out->dim[d]);
        if (out->dim[d] < 0 && (in->dim[d] >= 0 || out->dim[d] == -1)) out->dim[d] = in->dim[d];
    }
    return SDX_OK;
}

static sdx_status concat_infer(sdx_infer *infer, const void *params) {
    const concat_params *p = params;
    sdx_type *out = &infer->out[0];
    int axis = 0;
    for (int k = 0; k < infer->n_in; k++)
        if (sdx_infer_rank_of(infer, k) < 0) return SDX_OK;
    sdx_type joined = *infer->in[0];
    SDX_TRY(sdx_infer_axis(infer, "axis", p->axis, joined.rank, &axis));
    for (int k = 1; k < infer->n_in; k++) SDX_TRY(join(infer, k, axis, &joined));
    out->rank = joined.rank;
    memcpy(out->dim, joined.dim, sizeof out->dim);
    return SDX_OK;
}

static sdx_status concat_compute(sdx_compute *compute, const void *params) {
    const concat_params *p = params;
    const sdx_tensor *first = compute->in[0];
    int axis = sdx_axis_of(p->axis, first->rank);
    int64_t dims[SDX_MAX_RANK], at = 0;
    memcpy(dims, first->dim, sizeof dims);
    for (int k = 1; k < compute->n_in; k++) dims[axis] += compute->in[k]->dim[axis];
    sdx_tensor *out = sdx_compute_output(compute, 0, first->rank, dims);
    if (!out) return compute->error->status;
    int64_t inner = sdx_dims_product(dims, axis + 1, out->rank);
    size_t size = sdx_dtype_size(out->dtype);
    for (int k = 0; k < compute->n_in; k++) {
        const sdx_tensor *in = compute->in[k];
        int64_t run = in->dim[axis] * inner;
        sdx_move move = {.size = size,
                         .rank = 2,
                         .dim = {sdx_dims_product(dims, 0, axis), run},
                         .from = {run, 1},
                         .to = {dims[axis] * inner, 1},
                         .source = in->data,
                         .target = (char *)out->data + (size_t)(at * inner) * size};
        SDX_TRY(sdx_move_run(compute, &move));
        at += in->dim[axis];
    }
    return SDX_OK;
}

/* dY is split again, by the lengths of the inputs. */
static sdx_status concat_grad(sdx_grad *grad, const void *params) {
    const concat_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_node *node = grad->node;
    sdx_id *lengths = SDX_NEW_ARRAY(patch->graph->arena, sdx_id, node->n_in, grad->error);
    if (!lengths) return grad->error->status;
    const sdx_id axis = sdx_patch_i64s(patch, &p->axis, 1);
    for (int k = 0; k < node->n_in; k++)
        lengths[k] = sdx_emit2(patch, "Gather", sdx_emit1(patch, "Shape", node->in[k]), axis);
    sdx_node *all = sdx_patch_node(patch, "", "Concat", node->n_in, lengths, 1);
    sdx_patch_int(patch, all, "axis", 0);
    sdx_node *parts = sdx_patch_node(patch, "", "Split", 2, (sdx_id[]){grad->dY[0], all->out[0]}, node->n_in);
    sdx_patch_int(patch, parts, "axis", p->axis);
    grad->exact = true;
    for (int k = 0; k < node->n_in && patch->status == SDX_OK; k++) grad->dX[k] = parts->out[k];
    return patch->status;
}

const sdx_op sdx_op_Concat = {
    .domain = "",
    .name = "Concat",
    .versions =
        (const sdx_op_version[]){
            {1, "inputs:T* -> concat_result:T", "T=" SDX_T_FLOAT, "axis:int"},
            {4, "inputs:T* -> concat_result:T", "T=" SDX_T_ALL, "axis:int!"},
            {11, "inputs:T* -> concat_result:T", "T=" SDX_T_ALL, "axis:int!"},
            {13, "inputs:T* -> concat_result:T", "T=" SDX_T_ALL_BF, "axis:int!"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(concat_params),
    .bind = concat_bind,
    .infer = concat_infer,
    .compute = concat_compute,
    .grad = concat_grad,
};
