/* SPDX-License-Identifier: Apache-2.0
 * The gradient of Resize with respect to X, as an operator: interpolation is linear in X, so each place of dX sums what
 * the results that read it get, with the weights they read it with. Places that took the extrapolation value give
 * nothing. Sizes, scales and regions have no gradient. */
#include "ops/grad.h"
#include "ops/move.h"
#include "ops/tensor/resize_shape.h"
#include <inttypes.h>
#include <string.h>

enum { DY, SHAPE, ROI, SCALES, SIZES };

static sdx_status back_bind(sdx_bind *bind, void *params) {
    sdx_resize_params *p = params;
    p->mode = (sdx_resize_mode)sdx_resize_word(bind, "mode", sdx_resize_modes, 3);
    p->coordinates =
        (sdx_resize_coordinates)sdx_resize_word(bind, "coordinate_transformation_mode", sdx_resize_coordinate_modes, 7);
    p->nearest = (sdx_resize_nearest)sdx_resize_word(bind, "nearest_mode", sdx_resize_nearest_modes, 5);
    p->policy = (sdx_resize_policy)sdx_resize_word(bind, "keep_aspect_ratio_policy", sdx_resize_policies, 3);
    p->cubic_a = (double)sdx_bind_float(bind, "cubic_coeff_a");
    p->exclude_outside = sdx_bind_int(bind, "exclude_outside") != 0;
    p->antialias = sdx_bind_int(bind, "antialias") != 0;
    p->axes = sdx_bind_ints(bind, "axes");
    p->roi = ROI, p->scales = SCALES, p->sizes = SIZES;
    return bind->status;
}

/* The axes between dX, of shape `dims`, and dY. */
static sdx_status resolve(sdx_error *error, const sdx_resize_params *p, int n_in, const sdx_tensor *const *in,
                          const sdx_type *dy, int rank, const int64_t *dims, sdx_resize_axis *axis) {
    sdx_resize_inputs given;
    SDX_TRY(sdx_resize_read(error, p, n_in, in, &given));
    SDX_TRY(sdx_resize_resolve(error, p, &given, rank, dims, axis));
    if (dy->rank >= 0 && dy->rank != rank)
        return sdx_fail(error, SDX_SHAPE, "input 'dY' has rank %d; it must be %d", dy->rank, rank);
    for (int d = 0; d < rank && dy->rank >= 0; d++)
        if (dy->dim[d] >= 0 && axis[d].out >= 0 && dy->dim[d] != axis[d].out)
            return sdx_fail(error, SDX_SHAPE, "dimension %d of input 'dY' is %" PRId64 "; it must be %" PRId64, d,
                            dy->dim[d], axis[d].out);
    return SDX_OK;
}

static sdx_status back_infer(sdx_infer *infer, const void *params) {
    int64_t dims[SDX_MAX_RANK];
    sdx_type *dx = &infer->out[0];
    int n = -1;
    (void)params;
    SDX_TRY(sdx_infer_i64s(infer, SHAPE, "shape", dims, SDX_MAX_RANK, &n));
    dx->rank = n >= 0 ? n : infer->in[DY]->rank;
    for (int d = 0; d < dx->rank; d++) dx->dim[d] = n >= 0 ? dims[d] : -1;
    return SDX_OK;
}

/* Who reads what along the axes that change, in memory of the step. */
static sdx_status find_spans(sdx_compute *compute, const sdx_resize_params *p, int rank, const sdx_resize_axis *axis,
                             sdx_resize_spans *spans) {
    for (int d = 0; d < rank; d++) {
        if (axis[d].same) continue;
        const int64_t n = axis[d].in, taps = sdx_resize_taps(p, &axis[d]);
        size_t entries = 0;
        if (n > INT64_MAX / 32 || !sdx_size_add((size_t)(2 * n), (size_t)taps, &entries) || entries > SIZE_MAX / 16)
            return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "the tables of dimension %d", d);
        int64_t *room = compute->services->alloc(compute, entries * sizeof *room);
        if (!room) return compute->error->status;
        spans[d].first = room, spans[d].last = room + n;
        sdx_resize_find_spans(p, &axis[d], (double *)(void *)(room + 2 * n), &spans[d]);
    }
    return SDX_OK;
}

static sdx_status back_compute(sdx_compute *compute, const void *params) {
    const sdx_resize_params *p = params;
    const sdx_tensor *dy = compute->in[DY];
    const sdx_type type = sdx_type_of_tensor(dy);
    sdx_resize_axis axis[SDX_MAX_RANK];
    sdx_resize_spans spans[SDX_MAX_RANK] = {{0}};
    int64_t dims[SDX_MAX_RANK];
    int n = 0;
    bool same = true;
    SDX_TRY(sdx_read_i64s(compute->error, "shape", compute->in[SHAPE], dims, SDX_MAX_RANK, &n));
    SDX_TRY(resolve(compute->error, p, compute->n_in, compute->in, &type, n, dims, axis));
    sdx_tensor *dx = sdx_compute_output(compute, 0, n, dims);
    if (!dx) return compute->error->status;
    if (dx->count == 0) return SDX_OK;
    if (dy->count == 0) return memset(dx->data, 0, sdx_tensor_bytes(dx)), SDX_OK;
    for (int d = 0; d < n; d++) same = same && axis[d].same;
    if (same) return sdx_move_all(compute, dy, dx);
    SDX_TRY(find_spans(compute, p, n, axis, spans));
    return sdx_resize_blend(compute, p, axis, spans, dy, dx);
}

/* ---- as standard operators --------------------------------------------------------------------------------------- */

/* The weights of one axis as a matrix [in, out]. */
static sdx_id matrix(sdx_patch *patch, const sdx_resize_params *p, const sdx_resize_axis *axis, sdx_dtype dtype) {
    sdx_arena *arena = patch->graph->arena;
    sdx_error *error = patch->error;
    const int64_t dims[2] = {axis->in, axis->out};
    sdx_resize_spans spans = {.first = SDX_NEW_ARRAY(arena, int64_t, axis->in + 1, error),
                              .last = SDX_NEW_ARRAY(arena, int64_t, axis->in + 1, error)};
    double *weight = SDX_NEW_ARRAY(arena, double, axis->in + axis->out + 8, error);
    double *all = SDX_NEW_ARRAY(arena, double, axis->in * axis->out + 1, error);
    void *stored = SDX_NEW_ARRAY(arena, double, axis->in * axis->out + 1, error);
    sdx_tensor tensor;
    if (!spans.first || !spans.last || !weight || !all || !stored ||
        sdx_tensor_make(&tensor, dtype, 2, dims, stored, error)) {
        patch->status = error->status;
        return SDX_NONE;
    }
    sdx_resize_find_spans(p, axis, weight, &spans);
    for (int64_t i = 0; i < axis->in; i++) {
        int64_t first = 0, count = 0;
        sdx_resize_readers(p, axis, &spans, i, &first, &count, weight);
        for (int64_t k = 0; k < count; k++) all[i * axis->out + first + k] = weight[k];
    }
    sdx_convert(NULL, SDX_F64, all, dtype, stored, axis->in * axis->out);
    return sdx_patch_tensor(patch, &tensor);
}

/* A product with a matrix of weights for each axis that changes; the shapes must be known. */
static sdx_status back_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    const sdx_resize_params *p = params;
    const sdx_type *dy = sdx_grad_type(patch, node->in[DY]),
                   *dx = sdx_grad_shaped(patch, node->in[SHAPE], sdx_grad_type(patch, node->out[0]));
    const sdx_tensor *in[SIZES + 1] = {NULL};
    sdx_resize_axis axis[SDX_MAX_RANK];
    int64_t dims[SDX_MAX_RANK];
    bool known = sdx_type_concrete(dx) && sdx_type_concrete(dy);
    for (int k = SHAPE; k < node->n_in && k <= SIZES; k++) {
        if (node->in[k] == SDX_NONE) continue;
        const sdx_value *constant = patch->graph->values[node->in[k]].constant;
        if (constant) in[k] = &constant->tensor;
        known = known && (constant || k == SHAPE);
    }
    if (!known)
        return sdx_fail(patch->error, SDX_UNSUPPORTED,
                        "shapes, scales and sizes must be known to write this with standard operators");
    memcpy(dims, dy->dim, sizeof dims);
    in[SHAPE] = NULL;
    SDX_TRY(resolve(patch->error, p, SIZES + 1, in, dy, dx->rank, dx->dim, axis));
    sdx_id x = node->in[DY];
    for (int d = 0; d < dx->rank; d++) {
        if (axis[d].same) continue;
        const int64_t shape[3] = {sdx_dims_product(dims, 0, d), dims[d], sdx_dims_product(dims, d + 1, dx->rank)};
        x = sdx_emit2(patch, "Reshape", x, sdx_patch_i64s(patch, shape, 3));
        x = sdx_emit2(patch, "MatMul", matrix(patch, p, &axis[d], dx->dtype), x);
        dims[d] = axis[d].in;
    }
    sdx_patch_replace(patch, node->out[0],
                      sdx_emit2(patch, "Reshape", x, sdx_patch_i64s(patch, dx->dim, (size_t)dx->rank)));
    sdx_patch_remove(patch, node);
    return patch->status;
}

const sdx_op sdx_op_ResizeGrad = {
    .domain = "sdx",
    .name = "ResizeGrad",
    .versions = (const sdx_op_version[]){{1, "dY:T shape:i64 roi:V? scales:f32? sizes:i64? -> dX:T",
                                          "T=" SDX_T_FLOAT_BF " V=" SDX_T_FLOAT,
                                          "antialias:int=0 axes:ints coordinate_transformation_mode:string=half_pixel "
                                          "cubic_coeff_a:float=-0.75 exclude_outside:int=0 "
                                          "keep_aspect_ratio_policy:string=stretch mode:string=nearest "
                                          "nearest_mode:string=round_prefer_floor"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_resize_params),
    .bind = back_bind,
    .infer = back_infer,
    .compute = back_compute,
    .expand = back_expand,
    .flags = SDX_OP_INTERNAL};

/* ---- gradient ---------------------------------------------------------------------------------------------------- */

static sdx_id fixed_scales(sdx_patch *patch, const sdx_resize_params *p) {
    const int64_t n = (int64_t)p->n_fixed;
    float copy[SDX_MAX_RANK];
    sdx_tensor tensor;
    memcpy(copy, p->fixed, p->n_fixed * sizeof *copy);
    if (sdx_tensor_make(&tensor, SDX_F32, 1, &n, copy, patch->error))
        return patch->status = patch->error->status, SDX_NONE;
    return sdx_patch_tensor(patch, &tensor);
}

sdx_status sdx_resize_grad(sdx_grad *grad, const void *params) {
    const sdx_resize_params *p = params;
    sdx_patch *patch = grad->patch;
    const int inputs[] = {p->roi, p->scales, p->sizes};
    sdx_id in[5] = {grad->dY[0], sdx_emit1(patch, "Shape", grad->node->in[0]), SDX_NONE, SDX_NONE, SDX_NONE};
    for (int k = 0; k < 3; k++)
        if (inputs[k] >= 0) in[ROI + k] = sdx_grad_in(grad, inputs[k]);
    if (p->fixed) in[SCALES] = fixed_scales(patch, p);
    sdx_node *back = sdx_patch_node(patch, "sdx", "ResizeGrad", 5, in, 1);
    sdx_patch_int(patch, back, "antialias", p->antialias);
    if (p->axes.n) sdx_patch_ints(patch, back, "axes", p->axes.data, p->axes.n);
    sdx_patch_string(patch, back, "coordinate_transformation_mode", sdx_resize_coordinate_modes[p->coordinates]);
    sdx_patch_float(patch, back, "cubic_coeff_a", (float)p->cubic_a);
    sdx_patch_int(patch, back, "exclude_outside", p->exclude_outside);
    sdx_patch_string(patch, back, "keep_aspect_ratio_policy", sdx_resize_policies[p->policy]);
    sdx_patch_string(patch, back, "mode", sdx_resize_modes[p->mode]);
    sdx_patch_string(patch, back, "nearest_mode", sdx_resize_nearest_modes[p->nearest]);
    grad->dX[0] = back->out[0];
    grad->exact = true;
    return patch->status;
}
