/* SPDX-License-Identifier: Apache-2.0
 * Scaler: Y = (X - offset) scale, with one offset and scale for all or one for each position along the last dimension.
 * Both are kept repeated over many rows, so that short rows are vectors too. */
#include "ops/traditionalml/ml.h"

enum { TILE = 1024 }; /* elements of a tile, at least, unless there is one value for all */

typedef struct scaler_params {
    size_t n;     /* entries of the attributes, 1 or one per column */
    int64_t tile; /* elements; a multiple of n */
    const float *offset, *scale;
    const double *wide_offset, *wide_scale;
} scaler_params;

static void repeat(sdx_bind *bind, const scaler_params *p, const float *given, size_t n, float otherwise,
                   const float **narrow, const double **wide) {
    float *a = SDX_NEW_ARRAY(bind->arena, float, p->tile, bind->error);
    double *b = SDX_NEW_ARRAY(bind->arena, double, p->tile, bind->error);
    if (!a || !b) {
        if (bind->status == SDX_OK) bind->status = bind->error->status;
        return;
    }
    for (int64_t k = 0; k < p->tile; k++) {
        a[k] = n ? given[(size_t)k % n] : otherwise;
        b[k] = (double)a[k];
    }
    *narrow = a;
    *wide = b;
}

static sdx_status scaler_bind(sdx_bind *bind, void *params) {
    scaler_params *p = params;
    size_t n_offset = 0, n_scale = 0;
    const float *offset = sdx_bind_floats(bind, "offset", &n_offset), *scale = sdx_bind_floats(bind, "scale", &n_scale);
    p->n = n_offset > n_scale ? n_offset : n_scale;
    if (p->n < 1) p->n = 1;
    if (bind->status != SDX_OK) return bind->status;
    if ((n_offset > 1 && n_offset != p->n) || (n_scale > 1 && n_scale != p->n))
        return sdx_bind_fail(bind, SDX_VALUE,
                             "attributes 'offset' and 'scale' have %zu and %zu entries; they must have "
                             "1, or as many",
                             n_offset, n_scale);
    p->tile = (int64_t)(p->n * ((TILE + p->n - 1) / p->n));
    repeat(bind, p, offset, n_offset, 0, &p->offset, &p->wide_offset);
    repeat(bind, p, scale, n_scale, 1, &p->scale, &p->wide_scale);
    return bind->status;
}

static sdx_status scaler_infer(sdx_infer *infer, const void *params) {
    const scaler_params *p = params;
    const sdx_type *x = infer->in[0];
    sdx_infer_same(infer, 0, 0);
    infer->out[0].dtype = SDX_F32;
    if (p->n == 1 || x->rank < 0) return SDX_OK;
    if (x->rank == 0 || (x->dim[x->rank - 1] >= 0 && (uint64_t)x->dim[x->rank - 1] != p->n))
        return sdx_fail(infer->error, SDX_SHAPE,
                        "attributes 'offset' and 'scale' have up to %zu entries; input 'X' has %lld "
                        "columns",
                        p->n, x->rank ? (long long)x->dim[x->rank - 1] : 1);
    return SDX_OK;
}

static size_t scaler_scratch(const sdx_infer *infer, const void *params) {
    const scaler_params *p = params;
    size_t total = 0;
    if (infer->in[0]->dtype != SDX_F32) sdx_ml_reserve(&total, infer->threads, p->tile, sizeof(double));
    return total;
}

typedef struct job {
    const scaler_params *params;
    const struct sdx_kernels *kernels;
    const sdx_tensor *x;
    float *y;
    double *room;
} job;

static void scale_tiles(void *argument, int64_t begin, int64_t end, int worker) {
    const job *j = argument;
    const scaler_params *p = j->params;
    const bool narrow = j->x->dtype == SDX_F32;
    const sdx_dtype work = narrow ? SDX_F32 : SDX_F64;
    sdx_binary_fn sub = j->kernels->binary(SDX_BINARY_Sub, work), mul = j->kernels->binary(SDX_BINARY_Mul, work);
    double *room = j->room + worker * p->tile;
    for (int64_t t = begin; t < end; t++) {
        const int64_t at = t * p->tile, left = j->x->count - at, n = left < p->tile ? left : p->tile;
        const char *x = (const char *)j->x->data + (size_t)at * sdx_dtype_size(j->x->dtype);
        if (narrow) {
            sub(x, 1, p->offset, 1, j->y + at, n);
            mul(j->y + at, 1, p->scale, 1, j->y + at, n);
            continue;
        }
        sdx_convert(j->kernels, j->x->dtype, x, SDX_F64, room, n);
        sub(room, 1, p->wide_offset, 1, room, n);
        mul(room, 1, p->wide_scale, 1, room, n);
        sdx_convert(j->kernels, SDX_F64, room, SDX_F32, j->y + at, n);
    }
}

static sdx_status scaler_compute(sdx_compute *compute, const void *params) {
    const sdx_tensor *x = compute->in[0];
    job j = {params, compute->kernels, x, compute->out[0]->data, compute->scratch};
    const int64_t tile = j.params->tile;
    if (x->count == 0) return SDX_OK;
    return sdx_for(compute, (x->count - 1) / tile + 1, sdx_grain(tile), scale_tiles, &j);
}

const sdx_op sdx_op_Scaler = {
    .domain = SDX_ML,
    .name = "Scaler",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T -> Y:f32", "T=" SDX_T_ML, "offset:floats scale:floats"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(scaler_params),
    .bind = scaler_bind,
    .infer = scaler_infer,
    .scratch = scaler_scratch,
    .compute = scaler_compute,
    .grad = sdx_no_gradient,
};
