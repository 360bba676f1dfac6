/* SPDX-License-Identifier: Apache-2.0
 * DFT: y[k] = sum over n of x[n] e^(-2 pi i k n / N) along one axis, in f64; the inverse has the other sign and is
 * divided by N. onesided: forwards the first N / 2 + 1 results of real input; backwards the reverse of that. */
#include "ops/grad.h"
#include "ops/loop.h"
#include "ops/math/spectrum.h"
#include <inttypes.h>

typedef struct dft_params {
    bool inverse, onesided, by_input; /* by_input: the axis is input 2 */
    int64_t axis;
} dft_params;

static sdx_status dft_bind(sdx_bind *bind, void *params) {
    dft_params *p = params;
    p->inverse = sdx_bind_int(bind, "inverse") != 0;
    p->onesided = sdx_bind_int(bind, "onesided") != 0;
    p->by_input = bind->since >= 20;
    p->axis = p->by_input ? -2 : sdx_bind_int(bind, "axis");
    return bind->status;
}

/* Axes count from the back, or from the front; the last dimension holds real and imaginary parts. */
static sdx_status find_axis(sdx_error *error, int64_t axis, int rank, int *out) {
    const int64_t at = axis < 0 ? axis + rank : axis;
    if (at < 0 || at >= rank - 1)
        return sdx_fail(error, SDX_SHAPE,
                        "'axis' is %" PRId64 "; for rank %d it must be in [-%d, -2] or [0, %d]: the last dimension "
                        "holds the parts of a number",
                        axis, rank, rank, rank - 2);
    *out = (int)at;
    return SDX_OK;
}

static sdx_status check_length(sdx_error *error, int64_t length) {
    if (length >= 1 && sdx_fft_table_bytes(length) != SIZE_MAX) return SDX_OK;
    return sdx_fail(error, SDX_VALUE, "the transform would have length %" PRId64 "; it must be in [1, 2^28]", length);
}

static sdx_status check_parts(sdx_error *error, const dft_params *p, int64_t parts) {
    if (parts != 1 && parts != 2)
        return sdx_fail(error, SDX_SHAPE, "the last dimension of input 'input' is %" PRId64 "; it must be 1 or 2",
                        parts);
    if (p->onesided && parts != (p->inverse ? 2 : 1))
        return sdx_fail(error, SDX_SHAPE,
                        "the last dimension of input 'input' is %" PRId64 "; with attribute 'onesided' it must be %d%s",
                        parts, p->inverse ? 2 : 1, p->inverse ? " for an inverse transform" : "");
    return SDX_OK;
}

static int64_t default_length(const dft_params *p, int64_t dim) {
    return p->inverse && p->onesided ? 2 * (dim - 1) : dim;
}
static int64_t length_of_y(const dft_params *p, int64_t n) { return p->onesided && !p->inverse ? n / 2 + 1 : n; }

static sdx_status dft_infer(sdx_infer *infer, const void *params) {
    const dft_params *p = params;
    const sdx_type *x = infer->in[0];
    sdx_type *y = &infer->out[0];
    int64_t length = 0, axis = p->axis;
    bool length_known = false, axis_known = false;
    SDX_TRY(sdx_infer_scalar(infer, 1, "dft_length", &length, &length_known));
    SDX_TRY(sdx_infer_scalar(infer, 2, "axis", &axis, &axis_known));
    const bool default_axis = infer->n_in < 3 || !infer->in[2], default_n = infer->n_in < 2 || !infer->in[1];
    if (length_known) SDX_TRY(check_length(infer->error, length));
    if (x->rank < 0) return SDX_OK;
    if (x->rank < 2)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'input' has rank %d; it must be 2 or more", x->rank);
    if (x->dim[x->rank - 1] >= 0) SDX_TRY(check_parts(infer->error, p, x->dim[x->rank - 1]));
    int at = 0;
    sdx_infer_same(infer, 0, 0);
    y->dim[y->rank - 1] = p->inverse && p->onesided ? 1 : 2;
    if (!axis_known && !default_axis) {
        for (int d = 0; d < y->rank - 1; d++) y->dim[d] = -1;
        return SDX_OK;
    }
    SDX_TRY(find_axis(infer->error, axis, x->rank, &at));
    if (default_n && x->dim[at] >= 0) {
        length = default_length(p, x->dim[at]);
        SDX_TRY(check_length(infer->error, length));
        length_known = true;
    }
    y->dim[at] = length_known ? length_of_y(p, length) : -1;
    return SDX_OK;
}

/* The work space is planned where shapes decide alone. */
static bool is_planned(int n_in, const bool given[3]) { return !(n_in > 1 && given[1]) && !(n_in > 2 && given[2]); }

static size_t dft_scratch(const sdx_infer *infer, const void *params) {
    const dft_params *p = params;
    bool given[3] = {false};
    for (int k = 0; k < infer->n_in && k < 3; k++) given[k] = infer->in[k] != NULL;
    int axis = 0;
    if (!is_planned(infer->n_in, given)) return 0;
    if (find_axis(NULL, p->axis, infer->in[0]->rank, &axis) != SDX_OK) return SIZE_MAX;
    return sdx_spectrum_bytes(default_length(p, infer->in[0]->dim[axis]), infer->threads);
}

typedef struct dft_job {
    sdx_spectrum spectrum;
    int64_t x_outer, y_outer, inner; /* scalars from one outer index to the next; lines side by side */
} dft_job;

static void dft_lines(void *argument, int64_t begin, int64_t end, int worker) {
    const dft_job *job = argument;
    const sdx_spectrum *s = &job->spectrum;
    for (int64_t t = begin; t < end; t++) {
        const int64_t o = t / job->inner, i = t % job->inner;
        sdx_spectrum_line(s, o * job->x_outer + i * s->x_parts, job->inner * s->x_parts,
                          o * job->y_outer + i * s->y_parts, job->inner * s->y_parts, worker);
    }
}

static sdx_status dft_compute(sdx_compute *compute, const void *params) {
    const dft_params *p = params;
    const sdx_tensor *x = compute->in[0];
    int64_t axis = 0, length = 0, dims[SDX_MAX_RANK];
    int at = 0;
    SDX_TRY(check_parts(compute->error, p, x->dim[x->rank - 1]));
    SDX_TRY(sdx_compute_scalar(compute, 2, "axis", p->axis, &axis));
    SDX_TRY(find_axis(compute->error, axis, x->rank, &at));
    SDX_TRY(sdx_compute_scalar(compute, 1, "dft_length", default_length(p, x->dim[at]), &length));
    SDX_TRY(check_length(compute->error, length));
    for (int d = 0; d < x->rank; d++) dims[d] = x->dim[d];
    dims[at] = length_of_y(p, length);
    dims[x->rank - 1] = p->inverse && p->onesided ? 1 : 2;
    sdx_tensor *y = sdx_compute_output(compute, 0, x->rank, dims);
    if (!y) return compute->error->status;
    if (y->count == 0) return SDX_OK;
    dft_job job = {.inner = 1};
    sdx_spectrum *s = &job.spectrum;
    s->dtype = x->dtype, s->x = x->data, s->y = y->data;
    s->x_parts = (int)x->dim[x->rank - 1], s->y_parts = (int)dims[x->rank - 1];
    s->n = length, s->y_n = dims[at];
    s->inverse = p->inverse, s->hermitian = p->inverse && p->onesided;
    const int64_t read = s->hermitian ? length / 2 + 1 : length;
    s->given = x->dim[at] < read ? x->dim[at] : read;
    int64_t outer = 1;
    for (int d = 0; d < at; d++) outer *= x->dim[d];
    for (int d = at + 1; d < x->rank - 1; d++) job.inner *= x->dim[d];
    job.x_outer = x->dim[at] * job.inner * s->x_parts, job.y_outer = dims[at] * job.inner * s->y_parts;
    const bool given[3] = {true, compute->n_in > 1 && compute->in[1], compute->n_in > 2 && compute->in[2]};
    void *memory = compute->scratch;
    if (!is_planned(compute->n_in, given))
        memory = compute->services->alloc(compute, sdx_spectrum_bytes(length, sdx_pool_threads(compute->pool)));
    if (!memory) return compute->error->status;
    sdx_spectrum_begin(s, compute, memory);
    return sdx_for(compute, outer * job.inner, sdx_spectrum_grain(length), dft_lines, &job);
}

static sdx_status dft_grad(sdx_grad *grad, const void *params) {
    const dft_params *p = params;
    sdx_id axis = sdx_grad_in(grad, 2);
    if (axis == SDX_NONE) axis = sdx_patch_scalar(grad->patch, SDX_I64, (double)p->axis);
    return sdx_dft_gradient(grad, sdx_grad_in(grad, 1), axis, p->inverse, p->onesided);
}

const sdx_op sdx_op_DFT = {
    .domain = "",
    .name = "DFT",
    .versions =
        (const sdx_op_version[]){
            {17, "input:T1 dft_length:T2? -> output:T1", "T1=" SDX_T_FLOAT_BF " T2=i32|i64",
             "axis:int=1 inverse:int=0 onesided:int=0"},
            {20, "input:T1 dft_length:T2? axis:i64? -> output:T1", "T1=" SDX_T_FLOAT_BF " T2=i32|i64",
             "inverse:int=0 onesided:int=0"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(dft_params),
    .bind = dft_bind,
    .infer = dft_infer,
    .scratch = dft_scratch,
    .compute = dft_compute,
    .grad = dft_grad,
};
