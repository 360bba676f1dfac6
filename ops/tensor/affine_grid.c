/* SPDX-License-Identifier: Apache-2.0
 * AffineGrid: grid[n, p] = theta[n] (position p, 1), coordinates from the innermost dimension outwards. Positions run
 * over
 * [-1, 1], between the centres of the outermost places (align_corners; a single place lies at 0) or between their
 * edges. */
#include "ops/grad.h"
#include "ops/kernels/kernels.h"
#include "ops/move.h"
#include <inttypes.h>

typedef struct affine_params {
    bool corners;
} affine_params;

static sdx_status affine_bind(sdx_bind *bind, void *params) {
    affine_params *p = params;
    p->corners = sdx_bind_int(bind, "align_corners") != 0;
    return bind->status;
}

/* theta [N, r, r + 1] and size [N, C, lengths...] against each other. */
static sdx_status affine_shape(sdx_error *error, const sdx_type *theta, const int64_t *size, int n, int64_t *dims) {
    const int rank = n - 2;
    if (n != 4 && n != 5) return sdx_fail(error, SDX_SHAPE, "input 'size' has %d entries; it must have 4 or 5", n);
    for (int k = 0; k < n; k++)
        if (size[k] < 0)
            return sdx_fail(error, SDX_VALUE, "entry %d of input 'size' is %" PRId64 "; it must not be negative", k,
                            size[k]);
    for (int d = 0; d < 2 && theta->rank == 3; d++)
        if (theta->dim[d + 1] >= 0 && theta->dim[d + 1] != rank + d)
            return sdx_fail(error, SDX_SHAPE,
                            "dimension %d of input 'theta' is %" PRId64 "; with %d entries in 'size' it must be %d",
                            d + 1, theta->dim[d + 1], n, rank + d);
    if (theta->rank == 3 && theta->dim[0] >= 0 && theta->dim[0] != size[0])
        return sdx_fail(error, SDX_VALUE,
                        "entry 0 of input 'size' is %" PRId64 "; input 'theta' has a batch of %" PRId64, size[0],
                        theta->dim[0]);
    dims[0] = size[0];
    for (int d = 0; d < rank; d++) dims[d + 1] = size[d + 2];
    dims[rank + 1] = rank;
    return SDX_OK;
}

static sdx_status affine_infer(sdx_infer *infer, const void *params) {
    (void)params;
    const sdx_type *theta = infer->in[0], *size = infer->in[1];
    sdx_type *grid = &infer->out[0];
    int64_t values[SDX_MAX_RANK];
    int n = -1;
    SDX_TRY(sdx_infer_rank(infer, 0, "theta", 3));
    SDX_TRY(sdx_infer_rank(infer, 1, "size", 1));
    SDX_TRY(sdx_infer_i64s(infer, 1, "size", values, SDX_MAX_RANK, &n));
    if (n < 0) {
        const int64_t count = size->rank == 1 ? size->dim[0] : -1;
        if (count >= 0 && count != 4 && count != 5)
            return sdx_fail(infer->error, SDX_SHAPE, "input 'size' has %" PRId64 " entries; it must have 4 or 5",
                            count);
        if (count < 0) return SDX_OK;
        grid->rank = (int)count;
        for (int d = 0; d < count; d++) grid->dim[d] = -1;
        if (theta->rank == 3) grid->dim[0] = theta->dim[0];
        grid->dim[count - 1] = count - 2;
        return SDX_OK;
    }
    SDX_TRY(affine_shape(infer->error, theta, values, n, grid->dim));
    grid->rank = n;
    return SDX_OK;
}

enum { TILE = 512 }; /* positions whose coordinates are made in f64, then rounded once */

typedef struct affine_job {
    const sdx_kernels *kernels;
    const affine_params *p;
    const sdx_tensor *theta;
    sdx_tensor *grid;
    int rank;
    int64_t lines;
} affine_job;

static double position(const affine_params *p, int64_t i, int64_t n) {
    if (p->corners) return n > 1 ? 2 * (double)i / (double)(n - 1) - 1 : 0;
    return (double)(2 * i + 1) / (double)n - 1;
}

/* One line along the innermost dimension; `line` counts those of a batch. */
static void affine_line(const affine_job *job, const double *theta, int64_t line, char *to) {
    const int rank = job->rank;
    const int64_t *length = job->grid->dim + 1, n = length[rank - 1];
    double start[3], made[3 * TILE];
    for (int c = 0; c < rank; c++) start[c] = theta[c * (rank + 1) + rank];
    for (int d = rank - 2, column = 1; d >= 0; d--, column++) {
        const double at = position(job->p, line % length[d], length[d]);
        line /= length[d];
        for (int c = 0; c < rank; c++) start[c] += theta[c * (rank + 1) + column] * at;
    }
    for (int64_t i = 0; i < n; i += TILE) {
        const int64_t m = n - i < TILE ? n - i : TILE;
        for (int64_t k = 0; k < m; k++) {
            const double at = position(job->p, i + k, n);
            for (int c = 0; c < rank; c++) made[k * rank + c] = theta[c * (rank + 1)] * at + start[c];
        }
        sdx_convert(job->kernels, SDX_F64, made, job->grid->dtype,
                    to + (size_t)(i * rank) * sdx_dtype_size(job->grid->dtype), m * rank);
    }
}

static void affine_lines(void *argument, int64_t begin, int64_t end, int worker) {
    (void)worker;
    const affine_job *job = argument;
    const size_t size = sdx_dtype_size(job->grid->dtype);
    const int64_t terms = job->rank * (job->rank + 1), bytes = job->grid->dim[job->rank] * job->rank * (int64_t)size;
    for (int64_t t = begin; t < end; t++) {
        double theta[12];
        sdx_convert(job->kernels, job->theta->dtype,
                    (const char *)job->theta->data + (size_t)(t / job->lines * terms) * size, SDX_F64, theta, terms);
        affine_line(job, theta, t % job->lines, (char *)job->grid->data + t * bytes);
    }
}

static sdx_status affine_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *theta = compute->in[0];
    const sdx_type type = sdx_type_of_tensor(theta);
    int64_t size[SDX_MAX_RANK], dims[SDX_MAX_RANK];
    int n = 0;
    SDX_TRY(sdx_read_i64s(compute->error, "size", compute->in[1], size, SDX_MAX_RANK, &n));
    SDX_TRY(affine_shape(compute->error, &type, size, n, dims));
    affine_job job = {.kernels = compute->kernels, .p = params, .theta = theta, .rank = n - 2};
    job.grid = sdx_compute_output(compute, 0, n, dims);
    if (!job.grid) return compute->error->status;
    if (job.grid->count == 0) return SDX_OK;
    job.lines = sdx_dims_product(dims, 1, n - 2);
    return sdx_for(compute, dims[0] * job.lines, sdx_grain(dims[n - 2] * 4), affine_lines, &job);
}

/* dtheta = dgrid^T (position, 1): the positions are what the identity makes of the size. */
static sdx_status affine_grad(sdx_grad *grad, const void *params) {
    const affine_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_id theta = grad->node->in[0], last = sdx_patch_i64s(patch, (int64_t[]){0}, 1);
    const sdx_type *type = sdx_grad_type(patch, theta);
    if (type->rank != 3 || type->dim[1] < 0)
        return sdx_fail(grad->error, SDX_UNSUPPORTED, "dimension 1 of 'theta' must be known to differentiate");
    const int64_t rank = type->dim[1], one[3] = {1, rank, rank + 1}, points[3] = {0, -1, rank};
    const sdx_id flat = sdx_patch_i64s(patch, points, 3);
    const sdx_id zeros =
        sdx_emit2(patch, "Expand", sdx_grad_scalar(patch, theta, 0), sdx_patch_i64s(patch, one + 1, 2));
    const sdx_id eye = sdx_patch_node(patch, "", "EyeLike", 1, &zeros, 1)->out[0];
    const sdx_id each =
        sdx_emit2(patch, "Expand", sdx_emit2(patch, "Unsqueeze", eye, last), sdx_emit1(patch, "Shape", theta));
    const sdx_id plain = sdx_emit_int(patch, "AffineGrid", each, grad->node->in[1], "align_corners", p->corners);
    const sdx_id places = sdx_emit2(patch, "Reshape", plain, flat), dY = sdx_emit2(patch, "Reshape", grad->dY[0], flat);
    sdx_node *turned = sdx_patch_node(patch, "", "Transpose", 1, &dY, 1);
    sdx_patch_ints(patch, turned, "perm", (int64_t[]){0, 2, 1}, 3);
    const sdx_id linear = sdx_emit2(patch, "MatMul", turned->out[0], places);
    const sdx_id shift =
        sdx_emit_int(patch, "ReduceSum", turned->out[0], sdx_patch_i64s(patch, (int64_t[]){2}, 1), "keepdims", 1);
    grad->dX[0] = sdx_emit_int(patch, "Concat", linear, shift, "axis", 2);
    grad->exact = true;
    return patch->status;
}

const sdx_op sdx_op_AffineGrid = {
    .domain = "",
    .name = "AffineGrid",
    .versions =
        (const sdx_op_version[]){
            {20, "theta:T1 size:T2 -> grid:T1", "T1=" SDX_T_FLOAT_BF " T2=i64", "align_corners:int=0"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(affine_params),
    .bind = affine_bind,
    .infer = affine_infer,
    .compute = affine_compute,
    .grad = affine_grad,
};
