/* SPDX-License-Identifier: Apache-2.0
 * Elementwise functions of one tensor: one row of unary.def is one operator. Gelu, whose formula an attribute chooses,
 * and IsInf, IsNaN, which give bool, stand below. */
#include "ops/math/unary.h"

sdx_status sdx_unary_infer(sdx_infer *infer, const void *params) {
    (void)params;
    sdx_infer_same(infer, 0, 0);
    return SDX_OK;
}

sdx_status sdx_unary_compute(sdx_compute *compute, const void *params) {
    const sdx_unary_params *p = params;
    return sdx_unary_run(compute, p->id, p->p);
}

/* ---- The table ---- */

#define NONE
#define ONE(a)    p->p[0] = sdx_bind_float(bind, a);
#define TWO(a, b) ONE(a) p->p[1] = sdx_bind_float(bind, b);
#define UNARY(op, parameters, gradient, ...)                                                                           \
    static sdx_status op##_bind(sdx_bind *bind, void *params) {                                                        \
        sdx_unary_params *p = params;                                                                                  \
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
        .params_size = sizeof(sdx_unary_params),                                                                       \
        .bind = op##_bind,                                                                                             \
        .infer = sdx_unary_infer,                                                                                      \
        .compute = sdx_unary_compute,                                                                                  \
        .grad = gradient,                                                                                              \
        .flags = SDX_OP_INPLACE,                                                                                       \
    };
#include "ops/math/unary.def"

/* ---- Gelu ---- */

static sdx_status gelu_bind(sdx_bind *bind, void *params) {
    static const char *const allowed[] = {"none", "tanh"};
    sdx_unary_params *p = params;
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
    .params_size = sizeof(sdx_unary_params),
    .bind = gelu_bind,
    .infer = sdx_unary_infer,
    .compute = sdx_unary_compute,
    .grad = sdx_Gelu_gradient,
    .flags = SDX_OP_INPLACE,
};

/* ---- IsNaN, IsInf ---- */

#define TO_BOOL "X:T1 -> Y:T2"
#define F8      "|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz"

static sdx_status is_nan_bind(sdx_bind *bind, void *params) {
    sdx_unary_params *p = params;
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
    .params_size = sizeof(sdx_unary_params),
    .bind = is_nan_bind,
    .infer = sdx_unary_infer,
    .compute = sdx_unary_compute,
    .grad = sdx_no_gradient,
};

static sdx_status is_inf_bind(sdx_bind *bind, void *params) {
    sdx_unary_params *p = params;
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
    .params_size = sizeof(sdx_unary_params),
    .bind = is_inf_bind,
    .infer = sdx_unary_infer,
    .compute = sdx_unary_compute,
    .grad = sdx_no_gradient,
};
