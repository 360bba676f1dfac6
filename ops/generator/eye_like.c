/* SPDX-License-Identifier: Apache-2.0
 * EyeLike: ones on diagonal k of a matrix of the input's shape, of its type or of `dtype`. */
#include "ops/move.h"
#include <inttypes.h>

typedef struct eye_like_params {
    int64_t k;
    sdx_dtype dtype; /* UNDEFINED: the input's */
} eye_like_params;

static sdx_status eye_like_bind(sdx_bind *bind, void *params) {
    eye_like_params *p = params;
    int64_t dtype = sdx_bind_int(bind, "dtype");
    p->k = sdx_bind_int(bind, "k");
    if (!sdx_bind_has(bind, "dtype")) return bind->status;
    if (!sdx_dtype_valid(dtype))
        return sdx_bind_fail(bind, SDX_TYPE, "attribute 'dtype' is %" PRId64 ", which is no element type", dtype);
    p->dtype = (sdx_dtype)dtype;
    return bind->status;
}

static sdx_status eye_like_infer(sdx_infer *infer, const void *params) {
    const eye_like_params *p = params;
    SDX_TRY(sdx_infer_rank(infer, 0, "input", 2));
    sdx_infer_same(infer, 0, 0);
    infer->out[0].dtype = p->dtype == SDX_UNDEFINED ? infer->in[0]->dtype : p->dtype;
    return SDX_OK;
}

static sdx_status eye_like_compute(sdx_compute *compute, const void *params) {
    const eye_like_params *p = params;
    const sdx_tensor *in = compute->in[0];
    sdx_tensor *out = sdx_compute_output(compute, 0, in->rank, in->dim);
    if (!out) return compute->error->status;
    size_t size = sdx_dtype_size(out->dtype);
    unsigned char one[16];
    const int64_t whole = 1;
    sdx_convert(NULL, SDX_I64, &whole, out->dtype, one, 1);
    memset(out->data, 0, sdx_tensor_bytes(out));
    int64_t rows = in->dim[0], columns = in->dim[1];
    if (p->k <= -rows || p->k >= columns) return SDX_OK;
    for (int64_t row = p->k < 0 ? -p->k : 0; row < rows && row + p->k < columns; row++)
        memcpy((char *)out->data + (size_t)(row * columns + row + p->k) * size, one, size);
    return SDX_OK;
}

const sdx_op sdx_op_EyeLike = {
    .domain = "",
    .name = "EyeLike",
    .versions =
        (const sdx_op_version[]){
            {9, "input:T1 -> output:T2", "T1=" SDX_T_NUMERIC "|bool T2=" SDX_T_NUMERIC "|bool", "dtype:int k:int=0"},
            {22, "input:T1 -> output:T2", "T1=" SDX_T_NUMERIC_BF "|bool T2=" SDX_T_NUMERIC_BF "|bool",
             "dtype:int k:int=0"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(eye_like_params),
    .bind = eye_like_bind,
    .infer = eye_like_infer,
    .compute = eye_like_compute,
    .grad = sdx_no_gradient,
};
