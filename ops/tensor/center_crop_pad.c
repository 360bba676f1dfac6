/* SPDX-License-Identifier: Apache-2.0
 * CenterCropPad: cuts or zero-pads each of `axes` around its centre to the length in 'shape'; an odd difference leaves
 * the smaller half in front. */
#include "ops/grad.h"
#include "ops/move.h"
#include <inttypes.h>

typedef struct center_crop_pad_params {
    sdx_ints axes;
    bool given;
} center_crop_pad_params;

static sdx_status center_crop_pad_bind(sdx_bind *bind, void *params) {
    center_crop_pad_params *p = params;
    p->axes = sdx_bind_ints(bind, "axes");
    p->given = sdx_bind_has(bind, "axes");
    if (p->axes.n > SDX_MAX_RANK)
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'axes' has %zu entries; at most %d are supported", p->axes.n,
                             SDX_MAX_RANK);
    return bind->status;
}

static sdx_status crop_resolve(sdx_error *error, const center_crop_pad_params *p, const sdx_type *in, int n,
                               const int64_t *shape, sdx_type *out) {
    int64_t axes[SDX_MAX_RANK];
    int n_axes = p->given ? (int)p->axes.n : in->rank;
    for (int i = 0; i < n_axes; i++) axes[i] = p->given ? p->axes.data[i] : i;
    SDX_TRY(sdx_check_axes(error, "axes", axes, n_axes, in->rank));
    if (n >= 0 && n != n_axes)
        return sdx_fail(error, SDX_SHAPE, "input 'shape' has %d entries; it must have one for each of %d axes", n,
                        n_axes);
    out->rank = in->rank;
    memcpy(out->dim, in->dim, sizeof out->dim);
    for (int i = 0; i < n_axes; i++) {
        out->dim[axes[i]] = n < 0 ? -1 : shape[i];
        if (n >= 0 && shape[i] < 0)
            return sdx_fail(error, SDX_VALUE, "entry %d of input 'shape' is %" PRId64 "; it must be >= 0", i, shape[i]);
    }
    return SDX_OK;
}

static sdx_status center_crop_pad_infer(sdx_infer *infer, const void *params) {
    int64_t shape[SDX_MAX_RANK];
    int n = -1;
    SDX_TRY(sdx_infer_rank(infer, 1, "shape", 1));
    SDX_TRY(sdx_infer_i64s(infer, 1, "shape", shape, SDX_MAX_RANK, &n));
    if (sdx_infer_rank_of(infer, 0) < 0) return SDX_OK;
    return crop_resolve(infer->error, params, infer->in[0], n, shape, &infer->out[0]);
}

static sdx_status center_crop_pad_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *in = compute->in[0];
    int64_t shape[SDX_MAX_RANK], stride[SDX_MAX_RANK], target = 0, source = 0;
    int n = 0;
    sdx_type type = sdx_type_of_tensor(in), result;
    SDX_TRY(sdx_read_i64s(compute->error, "shape", compute->in[1], shape, SDX_MAX_RANK, &n));
    SDX_TRY(crop_resolve(compute->error, params, &type, n, shape, &result));
    sdx_tensor *out = sdx_compute_output(compute, 0, result.rank, result.dim);
    if (!out) return compute->error->status;
    sdx_move move;
    sdx_move_into(&move, in, out);
    sdx_strides(in->rank, in->dim, stride);
    bool padded = false;
    for (int d = 0; d < in->rank; d++) {
        int64_t have = in->dim[d], want = out->dim[d];
        move.dim[d] = have < want ? have : want;
        move.from[d] = stride[d];
        if (have > want)
            source += (have - want) / 2 * stride[d];
        else
            target += (want - have) / 2 * move.to[d];
        padded = padded || have < want;
    }
    if (padded) memset(out->data, 0, sdx_tensor_bytes(out));
    if (sdx_dims_product(move.dim, 0, in->rank) == 0) return SDX_OK;
    move.source = (const char *)in->data + (size_t)source * move.size;
    move.target = (char *)out->data + (size_t)target * move.size;
    return sdx_move_run(compute, &move);
}

/* What was cut is filled with zeros, what was added is cut: the same operator, back to the input's lengths. */
static sdx_status center_crop_pad_grad(sdx_grad *grad, const void *params) {
    const center_crop_pad_params *p = params;
    sdx_patch *patch = grad->patch;
    sdx_id shape = sdx_emit1(patch, "Shape", grad->node->in[0]);
    if (p->given) shape = sdx_emit2(patch, "Gather", shape, sdx_patch_i64s(patch, p->axes.data, p->axes.n));
    sdx_node *back = sdx_patch_node(patch, "", "CenterCropPad", 2, (sdx_id[]){grad->dY[0], shape}, 1);
    if (p->given) sdx_patch_ints(patch, back, "axes", p->axes.data, p->axes.n);
    grad->exact = true;
    grad->dX[0] = back->out[0];
    return patch->status;
}

const sdx_op sdx_op_CenterCropPad = {
    .domain = "",
    .name = "CenterCropPad",
    .versions =
        (const sdx_op_version[]){
            {18, "input_data:T shape:Tind -> output_data:T", "T=" SDX_T_ALL_BF " Tind=i32|i64", "axes:ints"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(center_crop_pad_params),
    .bind = center_crop_pad_bind,
    .infer = center_crop_pad_infer,
    .compute = center_crop_pad_compute,
    .grad = center_crop_pad_grad,
};
