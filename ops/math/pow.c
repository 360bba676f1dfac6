/* SPDX-License-Identifier: Apache-2.0
 * Pow: Z has the type of X, whatever that of Y. Integers to integers are exact and wrap; a float Y is taken in f64, and
 * an integer Z truncated from it. */
#include "ops/math/binary.h"

static sdx_status pow_bind(sdx_bind *bind, void *params) {
    return sdx_binary_bind(bind, params, SDX_BINARY_Pow, false);
}

/* f32 only where nothing wider takes part. */
static sdx_dtype pow_work(sdx_dtype x, sdx_dtype y) {
    bool x_float = sdx_dtype_class(x) == SDX_CLASS_FLOAT, y_float = sdx_dtype_class(y) == SDX_CLASS_FLOAT;
    if (!x_float && !y_float) return SDX_I64;
    return sdx_work_dtype(x) == SDX_F32 && sdx_work_dtype(y) == SDX_F32 ? SDX_F32 : SDX_F64;
}

static sdx_status pow_compute(sdx_compute *compute, const void *params) {
    const sdx_binary_params *p = params;
    if (p->legacy) return sdx_binary_compute(compute, params);
    const sdx_tensor *x = compute->in[0], *y = compute->in[1];
    int rank = 0;
    int64_t dims[SDX_MAX_RANK];
    SDX_TRY(sdx_broadcast_dims(compute, 0, 1, &rank, dims));
    sdx_tensor *z = sdx_compute_output(compute, 0, rank, dims);
    if (!z) return compute->error->status;
    sdx_dtype work = pow_work(x->dtype, y->dtype);
    return sdx_binary_run(compute, SDX_BINARY_Pow, x, y, z, (sdx_binary_work){work, work});
}

#define XYZ  "X:T Y:T -> Z:T"
#define XYZ1 "X:T Y:T1 -> Z:T"
const sdx_op sdx_op_Pow = {
    .domain = "",
    .name = "Pow",
    .versions =
        (const sdx_op_version[]){
            SDX_V(1, XYZ, SDX_T_FLOAT, SDX_BROADCAST_OLD),
            SDX_V(7, XYZ, SDX_T_FLOAT, ""),
            SDX_V(12, XYZ1, SDX_T_FLOAT "|i32|i64 T1=" SDX_T_NUMERIC, ""),
            SDX_V(13, XYZ1, SDX_T_FLOAT_BF "|i32|i64 T1=" SDX_T_NUMERIC, ""),
            SDX_V(15, XYZ1, SDX_T_FLOAT_BF "|i32|i64 T1=" SDX_T_NUMERIC_BF, ""),
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_binary_params),
    .upgrade = sdx_binary_upgrade,
    .bind = pow_bind,
    .infer = sdx_binary_infer,
    .compute = pow_compute,
    .flags = SDX_OP_INPLACE,
};
