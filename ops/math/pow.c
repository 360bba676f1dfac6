/* SPDX-License-Identifier: Apache-2.0
 * Pow: Z has the type of X, whatever that of Y. Integers to integers are exact and wrap; a float Y is taken in f64, and
 * an integer Z truncated from it. */
#include "ops/grad.h"
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

/* The one value of a constant exponent. */
static bool constant_exponent(const sdx_patch *patch, sdx_id Y, double *out) {
    const sdx_graph_value *value = &patch->graph->values[Y];
    if (!value->constant || value->is_input || value->constant->kind != SDX_TENSOR ||
        value->constant->tensor.count != 1)
        return false;
    sdx_convert(NULL, value->constant->tensor.dtype, value->constant->tensor.data, SDX_F64, out, 1);
    return true;
}

/* dX = dY e X^(e - 1), 0 where e is 0 whatever X */
static sdx_id base_gradient(sdx_grad *grad, sdx_id X, sdx_id Y, sdx_id dZ) {
    sdx_patch *patch = grad->patch;
    double e = 0;
    if (constant_exponent(patch, Y, &e) && e != 0) {
        sdx_id rest = e == 2 ? X : sdx_emit2(patch, "Pow", X, sdx_patch_scalar(patch, SDX_F64, e - 1));
        sdx_id slope = e == 1 ? SDX_NONE : sdx_emit2(patch, "Mul", rest, sdx_grad_scalar(patch, X, e));
        return e == 1 ? dZ : sdx_emit2(patch, "Mul", dZ, slope);
    }
    sdx_id own = sdx_grad_cast(patch, Y, X), less = sdx_emit2(patch, "Sub", own, sdx_grad_scalar(patch, X, 1));
    sdx_id slope = sdx_emit2(patch, "Mul", own, sdx_emit2(patch, "Pow", X, less));
    sdx_id idle = sdx_emit2(patch, "Equal", own, sdx_grad_scalar(patch, X, 0));
    return sdx_emit3(patch, "Where", idle, sdx_grad_scalar(patch, X, 0), sdx_emit2(patch, "Mul", dZ, slope));
}

/* dY = dZ Z ln X, 0 where X is 0 and e is not negative */
static sdx_id exponent_gradient(sdx_grad *grad, sdx_id X, sdx_id Y, sdx_id dZ) {
    sdx_patch *patch = grad->patch;
    sdx_id slope = sdx_emit2(patch, "Mul", grad->node->out[0], sdx_emit1(patch, "Log", X));
    sdx_id zero = sdx_emit2(patch, "Equal", X, sdx_grad_scalar(patch, X, 0));
    sdx_id idle = sdx_emit2(patch, "And", zero, sdx_emit2(patch, "GreaterOrEqual", Y, sdx_grad_scalar(patch, Y, 0)));
    sdx_id all = sdx_emit3(patch, "Where", idle, sdx_grad_scalar(patch, X, 0), sdx_emit2(patch, "Mul", dZ, slope));
    return sdx_grad_cast(patch, all, Y);
}

static sdx_status pow_grad(sdx_grad *grad, const void *params) {
    SDX_TRY(sdx_binary_refuse_old(grad, params));
    sdx_id X = grad->node->in[0], Y = grad->node->in[1];
    if (grad->needed[0]) grad->dX[0] = base_gradient(grad, X, Y, grad->dY[0]);
    if (grad->needed[1]) grad->dX[1] = exponent_gradient(grad, X, Y, grad->dY[0]);
    return grad->patch->status;
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
    .grad = pow_grad,
    .flags = SDX_OP_INPLACE,
};
