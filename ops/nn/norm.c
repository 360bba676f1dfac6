/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/nn/norm.h"
#include "ops/kernels/kernels.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

void sdx_norm_moments(const struct sdx_kernels *kernels, sdx_dtype work, const void *x, int64_t n, double *mean,
                      double *variance) {
    bool wide = work == SDX_F64;
    *mean = (wide ? kernels->wide_sum_f64(x, n) : kernels->wide_sum_f32(x, n)) / (double)n;
    *variance = (wide ? kernels->square_sum_f64(x, n, *mean) : kernels->square_sum_f32(x, n, *mean)) / (double)n;
}

void sdx_normalize(const struct sdx_kernels *kernels, sdx_dtype work, const void *x, void *y, int64_t n, double mean,
                   double a, double b) {
    if (work == SDX_F64)
        kernels->normalize_f64(x, y, n, mean, a, b);
    else
        kernels->normalize_f32(x, y, n, mean, a, b);
}

void sdx_normalize_row(const struct sdx_kernels *kernels, sdx_dtype work, const void *x, void *y, int64_t n,
                       double mean, double r, const void *scale, const void *bias) {
    if (work == SDX_F64)
        kernels->normalize_row_f64(x, y, n, mean, r, scale, bias);
    else
        kernels->normalize_row_f32(x, y, n, mean, r, scale, bias);
}

double sdx_norm_get(sdx_dtype work, const void *array, int64_t k) {
    return work == SDX_F64 ? ((const double *)array)[k] : (double)((const float *)array)[k];
}

const void *sdx_norm_at(sdx_dtype work, const void *array, int64_t k) {
    return array ? (const char *)array + (size_t)k * sdx_dtype_size(work) : NULL;
}

void sdx_norm_put(const struct sdx_kernels *kernels, const sdx_tensor *tensor, int64_t k, double value) {
    if (!tensor) return;
    size_t size = sdx_dtype_size(tensor->dtype);
    sdx_convert(kernels, SDX_F64, &value, tensor->dtype, (char *)tensor->data + (size_t)k * size, 1);
}

static int64_t extent(int from, int to, const int64_t *dim) {
    int64_t product = 1;
    for (int d = from; d < to; d++) product *= dim[d];
    return product;
}

static size_t bytes_of(int64_t count, sdx_dtype work) {
    int64_t bytes;
    return sdx_dim_mul(count, (int64_t)sdx_dtype_size(work), &bytes) ? sdx_align((size_t)bytes) : SIZE_MAX / 4;
}

static void *take(char **room, int64_t count, sdx_dtype work) {
    void *at = *room;
    *room += bytes_of(count, work);
    return at;
}

size_t sdx_norm_param_size(const sdx_type *type, sdx_dtype work) {
    return type->dtype == work ? 0 : bytes_of(extent(0, type->rank, type->dim), work);
}

const void *sdx_norm_param(const sdx_compute *compute, const sdx_tensor *tensor, sdx_dtype work, char **room) {
    if (tensor->dtype == work) return tensor->data;
    void *copy = take(room, tensor->count, work);
    sdx_convert(compute->kernels, tensor->dtype, tensor->data, work, copy, tensor->count);
    return copy;
}

/* The first dimension that the parameter must be broadcast over; -1: it can be used as it is. */
static int spread_from(const sdx_type *x, int axis, const sdx_type *type, sdx_dtype work) {
    bool exact = type->dtype == work;
    for (int d = x->rank - 1, e = type->rank - 1; d >= 0; d--, e--) {
        int64_t dim = e >= 0 ? type->dim[e] : 1;
        if (d < axis && dim != 1) return 0;
        if (d >= axis && dim != x->dim[d]) exact = false;
    }
    return exact ? -1 : axis;
}

size_t sdx_norm_spread_size(const sdx_type *x, int axis, const sdx_type *type, sdx_dtype work) {
    int from = type ? spread_from(x, axis, type, work) : -1;
    return from < 0 ? 0 : bytes_of(extent(from, x->rank, x->dim), work);
}

sdx_norm_spread sdx_norm_spread_load(const sdx_compute *compute, const sdx_tensor *x, int axis,
                                     const sdx_tensor *tensor, sdx_dtype work, char **room) {
    if (!tensor) return (sdx_norm_spread){NULL, true};
    sdx_type x_type = sdx_type_of_tensor(x), type = sdx_type_of_tensor(tensor);
    int from = spread_from(&x_type, axis, &type, work), lead = 0;
    if (from < 0) return (sdx_norm_spread){tensor->data, true};
    while (lead < tensor->rank && tensor->rank - lead > x->rank - from) lead++; /* ones in front */
    sdx_walk walk;
    sdx_walk_begin(&walk, x->rank - from, x->dim + from);
    sdx_walk_add_dense(&walk, tensor->rank - lead, tensor->dim + lead);
    sdx_walk_collapse(&walk);
    char *copy = take(room, walk.count, work);
    size_t size = sdx_dtype_size(work), stored = sdx_dtype_size(tensor->dtype);
    sdx_cursor at;
    sdx_cursor_seek(&walk, 0, &at);
    for (int64_t k = 0, n; k < walk.count; k += n, sdx_cursor_move(&walk, &at, n)) {
        n = walk.stride[0][walk.rank - 1] == 1 ? sdx_cursor_run(&walk, &at, walk.count - k) : 1;
        sdx_convert(compute->kernels, tensor->dtype, (const char *)tensor->data + (size_t)at.offset[0] * stored, work,
                    copy + (size_t)k * size, n);
    }
    return (sdx_norm_spread){copy, from == axis};
}

sdx_status sdx_norm_check_spread(sdx_infer *infer, int k, const char *name) {
    if (k >= infer->n_in || !infer->in[k]) return SDX_OK;
    const sdx_type *x = infer->in[0], *type = infer->in[k];
    if (x->rank < 0 || type->rank < 0) return SDX_OK;
    bool fits = type->rank <= x->rank;
    for (int d = x->rank - 1, e = type->rank - 1; fits && e >= 0; d--, e--)
        fits = type->dim[e] == 1 || type->dim[e] < 0 || x->dim[d] < 0 || type->dim[e] == x->dim[d];
    if (fits) return SDX_OK;
    char a[96], b[96];
    return sdx_fail(infer->error, SDX_SHAPE, "input '%s' is %s; it must be broadcastable to input 'X', which is %s",
                    name, sdx_type_text(type, a, sizeof a), sdx_type_text(x, b, sizeof b));
}

sdx_dtype sdx_norm_bind_stash(sdx_bind *bind, bool narrow) {
    int64_t stash = sdx_bind_int(bind, "stash_type");
    if (stash == SDX_F32 || stash == SDX_BF16 || (!narrow && (stash == SDX_F16 || stash == SDX_F64)))
        return (sdx_dtype)stash;
    sdx_bind_fail(bind, SDX_VALUE, "attribute 'stash_type' is %" PRId64 "; it must be 1 (float)%s or 16 (bfloat16)",
                  stash, narrow ? "" : ", 10 (float16), 11 (double)");
    return SDX_F32;
}
