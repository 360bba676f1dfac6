/* SPDX-License-Identifier: Apache-2.0
 * MelWeightMatrix: triangles that are evenly spaced on the scale mel(f) = 2595 log10(1 + f / 700). Triangle i rises
 * from edge i to edge i + 1 and falls to edge i + 2; edges lie (upper - lower) / (bands + 2) mel apart, from the lower
 * one on, and are rounded down to bins of the spectrum. */
#include "ops/generator/draw.h"
#include "ops/loop.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

typedef struct mel_params {
    sdx_dtype dtype;
} mel_params;

static sdx_status mel_bind(sdx_bind *bind, void *params) {
    mel_params *p = params;
    p->dtype = sdx_bind_number_dtype(bind, "output_datatype");
    return bind->status;
}

typedef struct mel_inputs {
    int64_t bands, length, rate;
    double lower, upper;
} mel_inputs;

static sdx_status read_inputs(sdx_error *error, const sdx_tensor *const *in, mel_inputs *m) {
    static const char *const names[] = {"num_mel_bins", "dft_length", "sample_rate", "lower_edge_hertz",
                                        "upper_edge_hertz"};
    int64_t *const whole[3] = {&m->bands, &m->length, &m->rate};
    double *const real[2] = {&m->lower, &m->upper};
    for (int k = 0; k < 5; k++) {
        if (in[k]->count != 1)
            return sdx_fail(error, SDX_SHAPE, "input '%s' has %" PRId64 " elements; it must be a scalar", names[k],
                            in[k]->count);
        if (k < 3)
            sdx_convert(NULL, in[k]->dtype, in[k]->data, SDX_I64, whole[k], 1);
        else
            sdx_convert(NULL, in[k]->dtype, in[k]->data, SDX_F64, real[k - 3], 1);
        if (k < 3 && (*whole[k] < 1 || *whole[k] > INT32_MAX))
            return sdx_fail(error, SDX_VALUE, "input '%s' is %" PRId64 "; it must be in [1, %d]", names[k], *whole[k],
                            INT32_MAX);
        if (k >= 3 && !(*real[k - 3] >= 0 && *real[k - 3] <= (double)m->rate / 2))
            return sdx_fail(error, SDX_VALUE, "input '%s' is %g; it must be in [0, %g], half the sample rate", names[k],
                            *real[k - 3], (double)m->rate / 2);
    }
    return SDX_OK;
}

static sdx_status mel_infer(sdx_infer *infer, const void *params) {
    const mel_params *p = params;
    sdx_type *y = &infer->out[0];
    mel_inputs m = {0};
    y->dtype = p->dtype;
    y->rank = 2;
    y->dim[0] = y->dim[1] = -1;
    for (int k = 0; k < 5; k++)
        if (!infer->value[k]) return SDX_OK;
    SDX_TRY(read_inputs(infer->error, infer->value, &m));
    y->dim[0] = m.length / 2 + 1;
    y->dim[1] = m.bands;
    return SDX_OK;
}

static double mel_of(double hertz) { return 2595 * log10(1 + hertz / 700); }

/* The bin of edge k. */
static int64_t edge(const mel_inputs *m, int64_t k) {
    const double low = mel_of(m->lower), step = (mel_of(m->upper) - low) / (double)(m->bands + 2);
    const double hertz = 700 * (pow(10, ((double)k * step + low) / 2595) - 1);
    const double bin = floor((double)(m->length + 1) * hertz / (double)m->rate);
    const int64_t last = m->length / 2;
    return bin < 0 ? 0 : bin > (double)last ? last : (int64_t)bin;
}

static void put(sdx_tensor *y, int64_t row, int64_t column, double v) {
    const size_t at = (size_t)(row * y->dim[1] + column) * sdx_dtype_size(y->dtype);
    sdx_convert(NULL, SDX_F64, &v, y->dtype, (char *)y->data + at, 1);
}

static sdx_status mel_compute(sdx_compute *compute, const void *params) {
    (void)params;
    mel_inputs m = {0};
    SDX_TRY(read_inputs(compute->error, compute->in, &m));
    const int64_t dims[2] = {m.length / 2 + 1, m.bands};
    sdx_tensor *y = sdx_compute_output(compute, 0, 2, dims);
    if (!y) return compute->error->status;
    memset(y->data, 0, sdx_tensor_bytes(y));
    for (int64_t i = 0; i < m.bands; i++) {
        const int64_t left = edge(&m, i), center = edge(&m, i + 1), right = edge(&m, i + 2);
        if (left == center) put(y, center, i, 1);
        for (int64_t j = left; left < center && j <= center; j++)
            put(y, j, i, (double)(j - left) / (double)(center - left));
        for (int64_t j = center; j < right; j++) put(y, j, i, (double)(right - j) / (double)(right - center));
    }
    return SDX_OK;
}

const sdx_op sdx_op_MelWeightMatrix = {
    .domain = "",
    .name = "MelWeightMatrix",
    .versions =
        (const sdx_op_version[]){{17,
                                  "num_mel_bins:T1 dft_length:T1 sample_rate:T1 lower_edge_hertz:T2 "
                                  "upper_edge_hertz:T2 -> output:T3",
                                  "T1=i32|i64 T2=" SDX_T_FLOAT_BF " T3=" SDX_T_NUMERIC_BF, "output_datatype:int=1"},
                                 {0, NULL, NULL, NULL}},
    .params_size = sizeof(mel_params),
    .bind = mel_bind,
    .infer = mel_infer,
    .compute = mel_compute,
    .grad = sdx_no_gradient,
};
