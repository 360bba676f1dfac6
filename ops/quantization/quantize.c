/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/quantization/quantize.h"
#include "ops/loop.h"
#include <inttypes.h>

static sdx_dtype bind_dtype(sdx_bind *bind, const char *name) {
    int64_t dtype = sdx_bind_int(bind, name);
    if (dtype == 0 || sdx_dtype_valid(dtype)) return (sdx_dtype)dtype;
    sdx_bind_fail(bind, SDX_TYPE, "attribute '%s' is %" PRId64 ", which is no element type", name, dtype);
    return SDX_UNDEFINED;
}

sdx_status sdx_quantize_bind(sdx_bind *bind, void *params) {
    sdx_quantize_params *p = params;
    const bool quantizes = bind->node->op->name[0] == 'Q';
    p->by_axis = bind->since >= 13;
    p->axis = p->by_axis ? sdx_bind_int(bind, "axis") : 0;
    p->block_size = bind->since >= 21 ? sdx_bind_int(bind, "block_size") : 0;
    p->saturate = !quantizes || bind->since < 19 || sdx_bind_int(bind, "saturate") != 0;
    if (bind->since >= (quantizes ? 21 : 23)) p->output = bind_dtype(bind, "output_dtype");
    if (quantizes && bind->since >= 23) p->precision = bind_dtype(bind, "precision");
    if (p->block_size < 0)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'block_size' is %" PRId64 "; it must be 0 or more", p->block_size);
    if (p->precision && p->precision != SDX_F32 && p->precision != SDX_F16 && p->precision != SDX_BF16 &&
        p->precision != SDX_F64)
        sdx_bind_fail(bind, SDX_TYPE, "attribute 'precision' is %s; it must be f16, bf16, f32 or f64",
                      sdx_dtype_name(p->precision));
    return bind->status;
}

static bool is_single(const sdx_type *type) { return type->rank == 0 || (type->rank == 1 && type->dim[0] == 1); }

static sdx_status check_blocks(sdx_error *error, const sdx_quantize_params *p, char prefix, const sdx_type *x,
                               const sdx_type *scale, int axis) {
    if (scale->rank != x->rank)
        return sdx_fail(error, SDX_SHAPE,
                        "input '%c_scale' has rank %d; with attribute 'block_size' it must have that of 'x', %d",
                        prefix, scale->rank, x->rank);
    for (int d = 0; d < x->rank; d++) {
        const int64_t length = x->dim[d];
        const int64_t want = d == axis ? length / p->block_size + (length % p->block_size != 0) : length;
        if (scale->dim[d] != want)
            return sdx_fail(error, SDX_SHAPE,
                            "dimension %d of input '%c_scale' is %" PRId64 "; it must be %" PRId64
                            ": input 'x' has %" PRId64 ", in blocks of %" PRId64,
                            d, prefix, scale->dim[d], want, length, d == axis ? p->block_size : 1);
    }
    return SDX_OK;
}

static sdx_status check_zero(sdx_error *error, char prefix, const sdx_type *scale, const sdx_type *zero) {
    bool same = zero->rank == scale->rank || (is_single(zero) && is_single(scale));
    for (int d = 0; same && d < scale->rank && d < zero->rank; d++) same = zero->dim[d] == scale->dim[d];
    if (same) return SDX_OK;
    char is[128], want[128];
    return sdx_fail(error, SDX_SHAPE, "input '%c_zero_point' is %s; it must have the shape of '%c_scale', %s", prefix,
                    sdx_type_text(zero, is, sizeof is), prefix, sdx_type_text(scale, want, sizeof want));
}

sdx_status sdx_granules_make(sdx_error *error, const sdx_quantize_params *p, char prefix, const sdx_type *x,
                             const sdx_type *scale, const sdx_type *zero, sdx_granules *out) {
    *out = (sdx_granules){.outer = 1, .n = 1, .inner = 1, .block = 1, .blocks = 1};
    for (int d = 0; d < x->rank; d++) out->inner *= x->dim[d];
    if (zero) SDX_TRY(check_zero(error, prefix, scale, zero));
    if (is_single(scale) && p->block_size == 0) return SDX_OK;
    if (!p->by_axis)
        return sdx_fail(error, SDX_SHAPE, "input '%c_scale' has rank %d; before opset 13 it must be a scalar", prefix,
                        scale->rank);
    if (p->axis < -x->rank || p->axis >= x->rank)
        return sdx_fail(error, SDX_SHAPE, "attribute 'axis' is %" PRId64 "; input 'x' has rank %d", p->axis, x->rank);
    const int axis = sdx_axis_of(p->axis, x->rank);
    sdx_axis_view view = sdx_view_axis(x->rank, x->dim, axis);
    *out = (sdx_granules){.outer = view.outer, .n = view.n, .inner = view.inner, .block = 1, .blocks = view.n};
    if (p->block_size > 0) {
        SDX_TRY(check_blocks(error, p, prefix, x, scale, axis));
        out->block = p->block_size, out->blocks = scale->dim[axis], out->blocked = true;
    } else if (scale->rank != 1 || scale->dim[0] != view.n) {
        char is[128];
        return sdx_fail(error, SDX_SHAPE,
                        "input '%c_scale' is %s; it must be a scalar, or have the %" PRId64 " elements of axis %d",
                        prefix, sdx_type_text(scale, is, sizeof is), view.n, axis);
    }
    return SDX_OK;
}

static void set_run(const sdx_granules *g, sdx_granule *at) {
    const int64_t row = at->k / g->block, left = g->n - at->k;
    at->run = g->inner - at->i;
    at->step = 0;
    if (g->blocked) {
        at->place = (at->o * g->blocks + row) * g->inner + at->i;
        at->step = g->inner > 1;
        const int64_t rest = g->block - at->k % g->block;
        if (g->inner == 1) at->run = left < rest ? left : rest;
    } else {
        at->place = g->n == 1 ? 0 : at->k;
        at->step = g->inner == 1 && g->n > 1;
        if (at->step) at->run = left;
    }
}

void sdx_granule_seek(const sdx_granules *g, int64_t flat, sdx_granule *at) {
    at->i = flat % g->inner;
    at->k = flat / g->inner % g->n;
    at->o = flat / g->inner / g->n;
    set_run(g, at);
}

void sdx_granule_move(const sdx_granules *g, sdx_granule *at, int64_t n) {
    if (g->inner > 1) {
        at->i += n;
        if (at->i == g->inner) at->i = 0, at->k++;
    } else
        at->k += n;
    if (at->k == g->n) at->k = 0, at->o++;
    set_run(g, at);
}

sdx_status sdx_granules_infer(sdx_infer *infer, const sdx_quantize_params *p, char prefix) {
    const sdx_type *zero = infer->n_in > 2 ? infer->in[2] : NULL;
    sdx_granules granules;
    sdx_infer_same(infer, 0, 0);
    if (!sdx_type_concrete(infer->in[0]) || !sdx_type_concrete(infer->in[1]) || (zero && !sdx_type_concrete(zero)))
        return SDX_OK;
    return sdx_granules_make(infer->error, p, prefix, infer->in[0], infer->in[1], zero, &granules);
}

bool sdx_is_quantized_integer(sdx_dtype dtype) {
    const int kind = sdx_dtype_class(dtype);
    return (kind == SDX_CLASS_SIGNED || kind == SDX_CLASS_UNSIGNED) && sdx_dtype_bits(dtype) <= 16;
}

void sdx_quantized_range(sdx_dtype dtype, float *low, float *high) {
    const bool is_signed = sdx_dtype_class(dtype) == SDX_CLASS_SIGNED;
    const int32_t values = 1 << sdx_dtype_bits(dtype), below = is_signed ? values / 2 : 0;
    *low = (float)-below;
    *high = (float)(values - 1 - below);
}

/* ---- the loop of both ---- */

sdx_status sdx_quantize_begin(sdx_compute *compute, const sdx_quantize_params *p, char prefix, sdx_quantize_job *job) {
    const sdx_tensor *x = compute->in[0], *scale = compute->in[1], *zero = compute->n_in > 2 ? compute->in[2] : NULL;
    const sdx_type x_type = sdx_type_of_tensor(x), scale_type = sdx_type_of_tensor(scale);
    sdx_type zero_type = {0};
    if (zero) zero_type = sdx_type_of_tensor(zero);
    *job = (sdx_quantize_job){.kernels = compute->kernels, .x = x, .scale = scale, .zero = zero};
    SDX_TRY(
        sdx_granules_make(compute->error, p, prefix, &x_type, &scale_type, zero ? &zero_type : NULL, &job->granules));
    job->y = sdx_compute_output(compute, 0, x->rank, x->dim);
    return job->y ? SDX_OK : compute->error->status;
}

void sdx_quantize_tiles(const sdx_quantize_job *job, int64_t begin, int64_t end, sdx_quantize_tile tile,
                        const void *context, void *room) {
    sdx_granule at;
    sdx_granule_seek(&job->granules, begin, &at);
    for (int64_t k = begin, n = 0; k < end; k += n) {
        n = at.run < end - k ? at.run : end - k;
        if (n > SDX_QUANTIZE_TILE && !(job->direct && at.step == 0)) n = SDX_QUANTIZE_TILE;
        tile(context, k, at.place, at.step, n, room);
        sdx_granule_move(&job->granules, &at, n);
    }
}

const void *sdx_quantize_as(const sdx_quantize_job *job, const sdx_tensor *tensor, int64_t k, int64_t n, sdx_dtype type,
                            void *room) {
    const void *from = sdx_quantize_at(tensor, k);
    if (tensor->dtype == type) return from;
    sdx_convert(job->kernels, tensor->dtype, from, type, room, n);
    return room;
}
