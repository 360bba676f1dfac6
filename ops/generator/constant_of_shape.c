/* SPDX-License-Identifier: Apache-2.0
 * ConstantOfShape: one value, f32 zero unless given, in the shape that the input holds. */
#include "ops/move.h"
#include <inttypes.h>

typedef struct constant_of_shape_params {
    sdx_dtype dtype;
    unsigned char bytes[16];
} constant_of_shape_params;

static sdx_status constant_of_shape_bind(sdx_bind *bind, void *params) {
    constant_of_shape_params *p = params;
    const sdx_value *value = sdx_bind_value(bind, "value");
    p->dtype = SDX_F32;
    if (!value) return bind->status;
    if (value->kind != SDX_TENSOR || value->tensor.count != 1 || value->tensor.dtype == SDX_STRING)
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'value' must be a numeric tensor of one element");
    p->dtype = value->tensor.dtype;
    memcpy(p->bytes, value->tensor.data, sdx_dtype_size(p->dtype));
    return bind->status;
}

static sdx_status check_dims(sdx_error *error, const int64_t *dims, int n) {
    for (int d = 0; d < n; d++)
        if (dims[d] < 0)
            return sdx_fail(error, SDX_VALUE, "entry %d of input 'input' is %" PRId64 "; it must be >= 0", d, dims[d]);
    return SDX_OK;
}

static sdx_status constant_of_shape_infer(sdx_infer *infer, const void *params) {
    const constant_of_shape_params *p = params;
    sdx_type *out = &infer->out[0];
    int64_t dims[SDX_MAX_RANK];
    int n = -1;
    out->kind = SDX_TENSOR, out->dtype = p->dtype;
    SDX_TRY(sdx_infer_rank(infer, 0, "input", 1));
    SDX_TRY(sdx_infer_i64s(infer, 0, "input", dims, SDX_MAX_RANK, &n));
    if (n < 0) {
        if (sdx_infer_rank_of(infer, 0) != 1 || infer->in[0]->dim[0] < 0) return SDX_OK;
        out->rank = (int)infer->in[0]->dim[0];
        for (int d = 0; d < out->rank; d++) out->dim[d] = -1;
        return SDX_OK;
    }
    SDX_TRY(check_dims(infer->error, dims, n));
    out->rank = n;
    memcpy(out->dim, dims, (size_t)n * sizeof *dims);
    return SDX_OK;
}

static sdx_status constant_of_shape_compute(sdx_compute *compute, const void *params) {
    const constant_of_shape_params *p = params;
    int64_t dims[SDX_MAX_RANK];
    int n = 0;
    SDX_TRY(sdx_read_i64s(compute->error, "input", compute->in[0], dims, SDX_MAX_RANK, &n));
    SDX_TRY(check_dims(compute->error, dims, n));
    sdx_tensor *out = sdx_compute_output(compute, 0, n, dims);
    if (!out) return compute->error->status;
    sdx_move move = {.size = sdx_dtype_size(p->dtype),
                     .rank = 1,
                     .dim = {out->count},
                     .from = {0},
                     .to = {1},
                     .source = p->bytes,
                     .target = out->data};
    return sdx_move_run(compute, &move);
}

const sdx_op sdx_op_ConstantOfShape = {
    .domain = "",
    .name = "ConstantOfShape",
    .versions =
        (const sdx_op_version[]){
            {9, "input:T1 -> output:T2", "T1=i64 T2=" SDX_T_NUMERIC "|bool", "value:tensor"},
            {20, "input:T1 -> output:T2", "T1=i64 T2=" SDX_T_NUMERIC_BF "|bool|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz",
             "value:tensor"},
            {21, "input:T1 -> output:T2",
             "T1=i64 T2=" SDX_T_NUMERIC_BF "|bool|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|i4|u4", "value:tensor"},
            {23, "input:T1 -> output:T2",
             "T1=i64 T2=" SDX_T_NUMERIC_BF "|bool|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|i4|u4", "value:tensor"},
            {24, "input:T1 -> output:T2",
             "T1=i64 T2=" SDX_T_NUMERIC_BF "|bool|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|f8e8m0|i4|u4",
             "value:tensor"},
            {25, "input:T1 -> output:T2",
             "T1=i64 T2=" SDX_T_NUMERIC_BF "|bool|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|f8e8m0|i2|i4|u2|u4",
             "value:tensor"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(constant_of_shape_params),
    .bind = constant_of_shape_bind,
    .infer = constant_of_shape_infer,
    .compute = constant_of_shape_compute,
    .grad = sdx_no_gradient,
};
