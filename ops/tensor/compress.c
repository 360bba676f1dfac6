/* SPDX-License-Identifier: Apache-2.0
 * Compress: the slices along `axis` (the elements of the flattened input without one) where condition is true. A
 * condition shorter than the axis leaves out the rest. */
#include "ops/grad.h"
#include "ops/move.h"
#include <inttypes.h>

typedef struct compress_params {
    int64_t axis;
    bool given;
} compress_params;

static sdx_status compress_bind(sdx_bind *bind, void *params) {
    compress_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    p->given = sdx_bind_has(bind, "axis");
    return bind->status;
}

static int64_t count_true(const sdx_tensor *condition) {
    int64_t count = 0;
    for (int64_t i = 0; i < condition->count; i++) count += ((const uint8_t *)condition->data)[i] != 0;
    return count;
}

static sdx_status compress_infer(sdx_infer *infer, const void *params) {
    const compress_params *p = params;
    int rank = sdx_infer_rank_of(infer, 0), axis = 0;
    sdx_type *out = &infer->out[0];
    int64_t length = infer->value[1] ? count_true(infer->value[1]) : -1;
    SDX_TRY(sdx_infer_rank(infer, 1, "condition", 1));
    if (!p->given) {
        out->rank = 1;
        out->dim[0] = length;
        return SDX_OK;
    }
    if (rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_axis(infer, "axis", p->axis, rank, &axis));
    sdx_infer_same(infer, 0, 0);
    out->dim[axis] = length;
    return SDX_OK;
}

static sdx_status compress_compute(sdx_compute *compute, const void *params) {
    const compress_params *p = params;
    const sdx_tensor *in = compute->in[0], *condition = compute->in[1];
    const uint8_t *keep = condition->data;
    int axis = !p->given ? 0 : sdx_axis_of(p->axis, in->rank), rank = p->given ? in->rank : 1;
    int64_t dims[SDX_MAX_RANK], n = p->given ? in->dim[axis] : in->count;
    if (p->given) memcpy(dims, in->dim, sizeof dims);
    for (int64_t i = n; i < condition->count; i++)
        if (keep[i])
            return sdx_fail(
                compute->error, SDX_VALUE,
                "entry %" PRId64 " of input 'condition' is true; there are %" PRId64 " slices to choose from", i, n);
    dims[axis] = count_true(condition);
    sdx_tensor *out = sdx_compute_output(compute, 0, rank, dims);
    if (!out) return compute->error->status;
    int64_t outer = p->given ? sdx_dims_product(dims, 0, axis) : 1;
    size_t run = (p->given ? (size_t)sdx_dims_product(dims, axis + 1, rank) : 1) * sdx_dtype_size(in->dtype);
    char *to = out->data;
    for (int64_t o = 0; o < outer; o++) {
        const char *from = (const char *)in->data + (size_t)(o * n) * run;
        for (int64_t i = 0; i < n && i < condition->count; i++) {
            if (!keep[i]) continue;
            sdx_copy_run(to, from + (size_t)i * run, run);
            to += run;
        }
        SDX_TRY(sdx_stop_check(compute->stop, compute->error));
    }
    return SDX_OK;
}

/* Compress is a Gather at the places where the condition is true. */
static sdx_status compress_grad(sdx_grad *grad, const void *params) {
    const compress_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_id X = grad->node->in[0];
    sdx_id kept = sdx_emit1(patch, "NonZero", grad->node->in[1]);
    kept = sdx_emit2(patch, "Reshape", kept, sdx_patch_i64s(patch, (int64_t[]){-1}, 1));
    sdx_id shape =
        p->given ? sdx_emit1(patch, "Shape", X)
                 : sdx_emit2(patch, "Reshape", sdx_emit1(patch, "Size", X), sdx_patch_i64s(patch, (int64_t[]){1}, 1));
    sdx_node *back = sdx_patch_node(patch, "sdx", "GatherGrad", 3, (sdx_id[]){grad->dY[0], kept, shape}, 1);
    sdx_patch_int(patch, back, "axis", p->given ? p->axis : 0);
    grad->exact = true;
    grad->dX[0] = p->given ? back->out[0] : sdx_grad_reshape(patch, back->out[0], X);
    return patch->status;
}

const sdx_op sdx_op_Compress = {
    .domain = "",
    .name = "Compress",
    .versions =
        (const sdx_op_version[]){
            {9, "input:T condition:T1 -> output:T", "T=" SDX_T_ALL " T1=bool", "axis:int"},
            {11, "input:T condition:T1 -> output:T", "T=" SDX_T_ALL " T1=bool", "axis:int"},
            {28, "input:T condition:T1 -> output:T", "T=" SDX_T_ALL_BF " T1=bool", "axis:int"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(compress_params),
    .bind = compress_bind,
    .infer = compress_infer,
    .compute = compress_compute,
    .grad = compress_grad,
};
