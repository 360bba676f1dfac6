/* SPDX-License-Identifier: Apache-2.0
 * Elementwise functions of one tensor: one row of unary.def is one operator. Gelu, whose formula an attribute chooses,
 * and IsInf, IsNaN, which give bool, stand below. */
#include "ops/math/elementwise.h"

typedef struct unary_params {
    sdx_unary_id id;
    float p[2];
} unary_params;

static sdx_status unary_infer(sdx_infer *infer, const void *params) {
    (void)params;
    sdx_infer_same(infer, 0, 0);
    return SDX_OK;
}

static sdx_status unary_compute(sdx_compute *compute, const void *params) {
    const unary_params *p = params;
    return sdx_unary_run(compute, p->id, p->p);
}

/* ---- Gradients: Y is the output, which most of them are shortest in ---- */

static sdx_status exp_grad(sdx_grad *grad, const void *params) {
    (void)params;
    grad->dX[0] = sdx_emit2(grad->patch, "Mul", grad->dY[0], grad->node->out[0]);
    return grad->patch->status;
}

static sdx_status log_grad(sdx_grad *grad, const void *params) {
    (void)params;
    grad->dX[0] = sdx_emit2(grad->patch, "Div", grad->dY[0], grad->node->in[0]);
    return grad->patch->status;
}

static sdx_status neg_grad(sdx_grad *grad, const void *params) {
    (void)params;
    grad->dX[0] = sdx_emit1(grad->patch, "Neg", grad->dY[0]);
    return grad->patch->status;
}

/* dY where Y > 0; Sign of a relu is 0 or 1. */
static sdx_status relu_grad(sdx_grad *grad, const void *params) {
    (void)params;
    grad->dX[0] = sdx_emit2(grad->patch, "Mul", grad->dY[0], sdx_emit1(grad->patch, "Sign", grad->node->out[0]));
    return grad->patch->status;
}

/* dY Y (1 - Y) */
static sdx_status sigmoid_grad(sdx_grad *grad, const void *params) {
    (void)params;
    sdx_id Y = grad->node->out[0], slope = sdx_emit2(grad->patch, "Sub", Y, sdx_emit2(grad->patch, "Mul", Y, Y));
    grad->dX[0] = sdx_emit2(grad->patch, "Mul", grad->dY[0], slope);
    return grad->patch->status;
}

/* dY / (Y + Y) */
static sdx_status sqrt_grad(sdx_grad *grad, const void *params) {
    (void)params;
    sdx_id Y = grad->node->out[0];
    grad->dX[0] = sdx_emit2(grad->patch, "Div", grad->dY[0], sdx_emit2(grad->patch, "Add", Y, Y));
    return grad->patch->status;
}

/* dY - dY Y^2 */
static sdx_status tanh_grad(sdx_grad *grad, const void *params) {
    (void)params;
    sdx_id Y = grad->node->out[0], dY = grad->dY[0];
    sdx_id lost = sdx_emit2(grad->patch, "Mul", dY, sdx_emit2(grad->patch, "Mul", Y, Y));
    grad->dX[0] = sdx_emit2(grad->patch, "Sub", dY, lost);
    return grad->patch->status;
}

/* ---- The table ---- */

#define NONE
#define ONE(a)    p->p[0] = sdx_bind_float(bind, a);
#define TWO(a, b) ONE(a) p->p[1] = sdx_bind_float(bind, b);
#define UNARY(op, parameters, gradient, ...)                                                                           \
    static sdx_status op##_bind(sdx_bind *bind, void *params) {                                                        \
        unary_params *p = params;                                                                                      \
        p->id = SDX_UNARY_##op;                                                                                        \
        parameters return bind->status;                                                                                \
    }                                                                                                                  \
    const sdx_op sdx_op_##op = {                                                                                       \
        .domain = "",                                                                                                  \
        .name = #op,                                                                                                   \
        .versions =                                                                                                    \
            (const sdx_op_version[]){                                                                                  \
                __VA_ARGS__,                                                                                           \
                {0, NULL, NULL, NULL},                                                                                 \
            },                                                                                                         \
        .params_size = sizeof(unary_params),                                                                           \
        .bind = op##_bind,                                                                                             \
        .infer = unary_infer,                                                                                          \
        .compute = unary_compute,                                                                                      \
        .grad = gradient,                                                                                              \
        .flags = SDX_OP_INPLACE,                                                                                       \
    };
#include "ops/math/unary.def"

/* ---- Gelu ---- */

static sdx_status gelu_bind(sdx_bind *bind, void *params) {
    static const char *const allowed[] = {"none", "tanh"};
    unary_params *p = params;
    p->id = sdx_bind_choice(bind, "approximate", allowed, 2) == 1 ? SDX_UNARY_GeluTanh : SDX_UNARY_Gelu;
    return bind->status;
}

const sdx_op sdx_op_Gelu = {
    .domain = "",
    .name = "Gelu",
    .versions =
        (const sdx_op_version[]){
            {20, SDX_XY, "T=" SDX_T_FLOAT_BF, "approximate:string=none"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(unary_params),
    .bind = gelu_bind,
    .infer = unary_infer,
    .compute = unary_compute,
    .flags = SDX_OP_INPLACE,
};

/* ---- IsNaN, IsInf ---- */

#define TO_BOOL "X:T1 -> Y:T2"
#define F8      "|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz"

static sdx_status is_nan_bind(sdx_bind *bind, void *params) {
    unary_params *p = params;
    p->id = SDX_UNARY_IsNaN;
    return bind->status;
}

const sdx_op sdx_op_IsNaN = {
    .domain = "",
    .name = "IsNaN",
    .versions =
        (const sdx_op_version[]){
            {9, TO_BOOL, "T1=" SDX_T_FLOAT " T2=bool", ""},
            {13, TO_BOOL, "T1=" SDX_T_FLOAT_BF " T2=bool", ""},
            {20, TO_BOOL, "T1=" SDX_T_FLOAT_BF F8 " T2=bool", ""},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(unary_params),
    .bind = is_nan_bind,
    .infer = unary_infer,
    .compute = unary_compute,
    .grad = sdx_no_gradient,
};

static sdx_status is_inf_bind(sdx_bind *bind, void *params) {
    unary_params *p = params;
    p->id = SDX_UNARY_IsInf;
    p->p[0] = (float)(sdx_bind_int(bind, "detect_negative") != 0);
    p->p[1] = (float)(sdx_bind_int(bind, "detect_positive") != 0);
    return bind->status;
}

#define DETECT "detect_negative:int=1 detect_positive:int=1"
const sdx_op sdx_op_IsInf = {
    .domain = "",
    .name = "IsInf",
    .versions =
        (const sdx_op_version[]){
            {10, TO_BOOL, "T1=f32|f64 T2=bool", DETECT},
            {20, TO_BOOL, "T1=" SDX_T_FLOAT_BF F8 " T2=bool", DETECT},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(unary_params),
    .bind = is_inf_bind,
    .infer = unary_infer,
    .compute = unary_compute,
    .grad = sdx_no_gradient,
};
