/* SPDX-License-Identifier: Apache-2.0
 * Tile: repeats[d] copies along every dimension. Version 1 had the number of copies and the axis as scalars of the
 * data's own floating type; it keeps its own row, because its repeats need the rank. */
#include "ops/grad.h"
#include "ops/move.h"
#include "runtime/base/half.h"
#include <inttypes.h>

static int64_t scalar_of(const sdx_tensor *tensor) {
    double value = tensor->dtype == SDX_F64   ? *(const double *)tensor->data
                   : tensor->dtype == SDX_F16 ? (double)sdx_f32_from_f16(*(const uint16_t *)tensor->data)
                                              : (double)*(const float *)tensor->data;
    return value >= -0x1p53 && value <= 0x1p53 ? (int64_t)value : -1;
}

/* repeats of version 1, as version 6 has them. */
static sdx_status old_repeats(sdx_error *error, const sdx_tensor *tiles, const sdx_tensor *axis, int rank,
                              int64_t *repeats, int *n) {
    if (tiles->count != 1 || axis->count != 1)
        return sdx_fail(error, SDX_SHAPE,
                        "inputs 'tiles' and 'axis' have %" PRId64 " and %" PRId64 " elements; they must have one each",
                        tiles->count, axis->count);
    int64_t at = scalar_of(axis);
    if (at < 0 || at >= rank)
        return sdx_fail(error, SDX_VALUE, "input 'axis' is %" PRId64 "; it must be in [0, %d]", at, rank - 1);
    for (int d = 0; d < rank; d++) repeats[d] = d == at ? scalar_of(tiles) : 1;
    *n = rank;
    return SDX_OK;
}

static sdx_status tile_resolve(sdx_error *error, const sdx_type *in, int n, const int64_t *repeats, sdx_type *out) {
    if (n != in->rank)
        return sdx_fail(error, SDX_SHAPE, "input 'repeats' has %d entries; input 'input' has rank %d", n, in->rank);
    for (int d = 0; d < n; d++) {
        if (repeats[d] < 0)
            return sdx_fail(error, SDX_VALUE, "entry %d of input 'repeats' is %" PRId64 "; it must be >= 0", d,
                            repeats[d]);
        out->dim[d] = in->dim[d] < 0 ? (repeats[d] == 1 ? in->dim[d] : -1) : in->dim[d];
        if (in->dim[d] >= 0 && !sdx_dim_mul(in->dim[d], repeats[d], &out->dim[d]))
            return sdx_fail(error, SDX_SHAPE, "dimension %d overflows: %" PRId64 " times %" PRId64, d, in->dim[d],
                            repeats[d]);
    }
    out->rank = n;
    return SDX_OK;
}

static sdx_status tile_infer(sdx_infer *infer, const void *params) {
    (void)params;
    int64_t repeats[SDX_MAX_RANK];
    int n = -1, rank = sdx_infer_rank_of(infer, 0);
    if (infer->since == 1) {
        if (rank >= 0 && infer->value[1] && infer->value[2])
            SDX_TRY(old_repeats(infer->error, infer->value[1], infer->value[2], rank, repeats, &n));
    } else {
        SDX_TRY(sdx_infer_rank(infer, 1, "repeats", 1));
        SDX_TRY(sdx_infer_i64s(infer, 1, "repeats", repeats, SDX_MAX_RANK, &n));
    }
    if (rank < 0) return SDX_OK;
    if (n >= 0) return tile_resolve(infer->error, infer->in[0], n, repeats, &infer->out[0]);
    infer->out[0].rank = rank;
    for (int d = 0; d < rank; d++) infer->out[0].dim[d] = -1;
    return SDX_OK;
}

static sdx_status tile_compute(sdx_compute *compute, const void *params) {
    (void)params;
    const sdx_tensor *in = compute->in[0];
    int64_t repeats[SDX_MAX_RANK], stride[SDX_MAX_RANK];
    int n = 0;
    sdx_type type = sdx_type_of_tensor(in), result;
    if (compute->since == 1)
        SDX_TRY(old_repeats(compute->error, compute->in[1], compute->in[2], in->rank, repeats, &n));
    else
        SDX_TRY(sdx_read_i64s(compute->error, "repeats", compute->in[1], repeats, SDX_MAX_RANK, &n));
    SDX_TRY(tile_resolve(compute->error, &type, n, repeats, &result));
    sdx_tensor *out = sdx_compute_output(compute, 0, result.rank, result.dim);
    if (!out) return compute->error->status;
    sdx_strides(in->rank, in->dim, stride);
    sdx_move move = {.size = sdx_dtype_size(in->dtype), .rank = 2 * n, .source = in->data, .target = out->data};
    for (int d = 0; d < n; d++) {
        move.dim[2 * d] = repeats[d];
        move.dim[2 * d + 1] = in->dim[d];
        move.from[2 * d + 1] = stride[d];
    }
    sdx_strides(2 * n, move.dim, move.to);
    return sdx_move_run(compute, &move);
}

/* Version 6 and later: dY seen as [repeats[0], dim[0], repeats[1], dim[1] ...], summed over the repeats. */
static sdx_status tile_grad(sdx_grad *grad, const void *params) {
    (void)params;
    sdx_patch *patch = grad->patch;
    const sdx_id X = grad->node->in[0], repeats = grad->node->in[1], shape = sdx_emit1(patch, "Shape", X);
    const int rank = sdx_grad_type(patch, X)->rank;
    grad->exact = true;
    if (grad->node->since == 1) return sdx_fail(grad->error, SDX_UNSUPPORTED, "version 1 of Tile has no gradient");
    if (rank < 0 || 2 * rank > SDX_MAX_RANK) {
        sdx_id places = sdx_emit2(patch, "Tile", sdx_grad_places(patch, shape), repeats);
        grad->dX[0] = sdx_grad_put(patch, shape, sdx_grad_type(patch, X)->dtype, places, grad->dY[0]);
        return patch->status;
    }
    int64_t axes[SDX_MAX_RANK];
    for (int d = 0; d < rank; d++) axes[d] = 2 * d;
    const sdx_id last = sdx_patch_i64s(patch, (int64_t[]){-1}, 1);
    sdx_id pairs = sdx_emit_int(patch, "Concat", sdx_emit2(patch, "Unsqueeze", repeats, last),
                                sdx_emit2(patch, "Unsqueeze", shape, last), "axis", -1);
    sdx_id spread =
        sdx_emit_int(patch, "Reshape", grad->dY[0], sdx_emit2(patch, "Reshape", pairs, last), "allowzero", 1);
    grad->dX[0] =
        rank ? sdx_emit_int(patch, "ReduceSum", spread, sdx_patch_i64s(patch, axes, (size_t)rank), "keepdims", 0)
             : grad->dY[0];
    return patch->status;
}

const sdx_op sdx_op_Tile = {
    .domain = "",
    .name = "Tile",
    .versions =
        (const sdx_op_version[]){
            {1, "input:T tiles:T axis:T -> output:T", "T=" SDX_T_FLOAT " T1=i64", ""},
            {6, "input:T repeats:T1 -> output:T", "T=" SDX_T_ALL " T1=i64", ""},
            {13, "input:T repeats:T1 -> output:T", "T=" SDX_T_ALL_BF " T1=i64", ""},
            {0, NULL, NULL, NULL},
        },
    .infer = tile_infer,
    .compute = tile_compute,
    .grad = tile_grad,
};
