/* SPDX-License-Identifier: Apache-2.0
 * Cast to the element type `to`, which version 1 spelt as a name. The rules are in cast_convert.c and cast_text.c. */
#include "ops/grad.h"
#include "ops/tensor/cast_convert.h"
#include <inttypes.h>
#include <string.h>

/* The names of TensorProto.DataType, up to version 1 of Cast. */
static sdx_dtype dtype_named(sdx_string name) {
    static const struct {
        const char *name;
        sdx_dtype dtype;
    } rows[] = {{"FLOAT", SDX_F32},    {"DOUBLE", SDX_F64}, {"FLOAT16", SDX_F16}, {"INT8", SDX_I8},
                {"INT16", SDX_I16},    {"INT32", SDX_I32},  {"INT64", SDX_I64},   {"UINT8", SDX_U8},
                {"UINT16", SDX_U16},   {"UINT32", SDX_U32}, {"UINT64", SDX_U64},  {"BOOL", SDX_BOOL},
                {"STRING", SDX_STRING}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strlen(rows[i].name) == name.size && memcmp(rows[i].name, name.data, name.size) == 0) return rows[i].dtype;
    return SDX_UNDEFINED;
}

static sdx_status cast_bind(sdx_bind *bind, void *params) {
    sdx_cast *p = params;
    char shown[64];
    if (bind->since == 1) {
        sdx_string name = sdx_bind_string(bind, "to");
        if (bind->status != SDX_OK) return bind->status;
        p->to = dtype_named(name);
        if (p->to == SDX_UNDEFINED)
            return sdx_bind_fail(bind, SDX_TYPE, "attribute 'to' is '%s', which names no element type",
                                 sdx_escape(shown, sizeof shown, name.data, name.size));
    } else {
        int64_t to = sdx_bind_int(bind, "to");
        if (bind->status != SDX_OK) return bind->status;
        if (!sdx_dtype_valid(to))
            return sdx_bind_fail(bind, SDX_TYPE, "attribute 'to' is %" PRId64 ", which is no element type", to);
        p->to = (sdx_dtype)to;
    }
    p->saturate = bind->since < 19 || sdx_bind_int(bind, "saturate") != 0;
    p->mode = sdx_bind_round_mode(bind, bind->since >= 24);
    return bind->status;
}

static sdx_status cast_infer(sdx_infer *infer, const void *params) {
    const sdx_cast *p = params;
    sdx_infer_same(infer, 0, 0);
    infer->out[0].dtype = p->to;
    return SDX_OK;
}

static sdx_status cast_compute(sdx_compute *compute, const void *params) { return sdx_cast_compute(compute, params); }

/* Rounding is taken for the identity. */
static sdx_status cast_grad(sdx_grad *grad, const void *params) {
    (void)params;
    grad->exact = true;
    grad->dX[0] = sdx_grad_cast(grad->patch, grad->dY[0], grad->node->in[0]);
    return grad->patch->status;
}

const sdx_op sdx_op_Cast = {
    .domain = "",
    .name = "Cast",
    .versions =
        (const sdx_op_version[]){
            {1, "input:T1 -> output:T2", "T1=" SDX_T_NUMERIC "|bool T2=" SDX_T_NUMERIC "|bool", "to:string!"},
            {6, "input:T1 -> output:T2", "T1=" SDX_T_NUMERIC "|bool T2=" SDX_T_NUMERIC "|bool", "to:int!"},
            {9, "input:T1 -> output:T2", "T1=" SDX_T_NUMERIC "|bool|string T2=" SDX_T_NUMERIC "|bool|string",
             "to:int!"},
            {13, "input:T1 -> output:T2", "T1=" SDX_T_NUMERIC_BF "|bool|string T2=" SDX_T_NUMERIC_BF "|bool|string",
             "to:int!"},
            {19, "input:T1 -> output:T2",
             "T1=" SDX_T_NUMERIC_BF "|bool|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|string T2=" SDX_T_NUMERIC_BF
             "|bool|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|string",
             "saturate:int=1 to:int!"},
            {21, "input:T1 -> output:T2",
             "T1=" SDX_T_NUMERIC_BF "|bool|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|i4|string|u4 T2=" SDX_T_NUMERIC_BF
             "|bool|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|i4|string|u4",
             "saturate:int=1 to:int!"},
            {23, "input:T1 -> output:T2",
             "T1=" SDX_T_NUMERIC_BF
             "|bool|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|i4|string|u4 T2=" SDX_T_NUMERIC_BF
             "|bool|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|i4|string|u4",
             "saturate:int=1 to:int!"},
            {24, "input:T1 -> output:T2",
             "T1=" SDX_T_NUMERIC_BF
             "|bool|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|f8e8m0|i4|string|u4 T2=" SDX_T_NUMERIC_BF
             "|bool|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|f8e8m0|i4|string|u4",
             "round_mode:string=up saturate:int=1 to:int!"},
            {25, "input:T1 -> output:T2",
             "T1=" SDX_T_NUMERIC_BF
             "|bool|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|f8e8m0|i2|i4|string|u2|u4 T2=" SDX_T_NUMERIC_BF
             "|bool|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|f8e8m0|i2|i4|string|u2|u4",
             "round_mode:string=up saturate:int=1 to:int!"},
            {28, "input:T1 -> output:T2",
             "T1=" SDX_T_NUMERIC_BF "|bool|f4e2m1|f6e2m3|f6e3m2|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|f8e8m0|i2|i4|"
             "string|u2|u4 T2=" SDX_T_NUMERIC_BF
             "|bool|f4e2m1|f6e2m3|f6e3m2|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|f8e8m0|i2|i4|string|u2|u4",
             "round_mode:string=up saturate:int=1 to:int!"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_cast),
    .bind = cast_bind,
    .infer = cast_infer,
    .compute = cast_compute,
    .grad = cast_grad,
    .flags = SDX_OP_INPLACE,
};
