/* SPDX-License-Identifier: Apache-2.0
 * BitCast: the same bits as another type of the same width. In memory only i4 and i2 differ from their neighbours: they
 * are sign-extended to a byte. */
#include "ops/move.h"
#include <inttypes.h>

typedef struct bit_cast_params {
    sdx_dtype to;
} bit_cast_params;

static sdx_status bit_cast_bind(sdx_bind *bind, void *params) {
    bit_cast_params *p = params;
    int64_t to = sdx_bind_int(bind, "to");
    if (bind->status != SDX_OK) return bind->status;
    if (!sdx_dtype_valid(to) || to == SDX_STRING)
        return sdx_bind_fail(bind, SDX_TYPE, "attribute 'to' is %" PRId64 ", which is no numeric element type", to);
    p->to = (sdx_dtype)to;
    return bind->status;
}

static sdx_status bit_cast_infer(sdx_infer *infer, const void *params) {
    const bit_cast_params *p = params;
    sdx_dtype from = infer->in[0]->dtype;
    sdx_infer_same(infer, 0, 0);
    infer->out[0].dtype = p->to;
    if (from != SDX_UNDEFINED && sdx_dtype_bits(from) != sdx_dtype_bits(p->to))
        return sdx_fail(infer->error, SDX_TYPE, "input 'input' is %s, of %d bits; %s has %d", sdx_dtype_name(from),
                        sdx_dtype_bits(from), sdx_dtype_name(p->to), sdx_dtype_bits(p->to));
    return SDX_OK;
}

static sdx_status bit_cast_compute(sdx_compute *compute, const void *params) {
    const bit_cast_params *p = params;
    const sdx_tensor *in = compute->in[0];
    sdx_tensor *out = sdx_compute_output(compute, 0, in->rank, in->dim);
    int bits = sdx_dtype_bits(p->to);
    if (!out) return compute->error->status;
    if (bits >= 8) return sdx_move_all(compute, in, out);
    unsigned mask = (1u << bits) - 1, sign = sdx_dtype_class(p->to) == SDX_CLASS_SIGNED ? 1u << (bits - 1) : 0;
    const uint8_t *x = in->data;
    uint8_t *y = out->data;
    for (int64_t i = 0; i < in->count; i++) {
        unsigned low = x[i] & mask;
        y[i] = (uint8_t)(low & sign ? low | ~mask : low);
    }
    return SDX_OK;
}

const sdx_op sdx_op_BitCast = {
    .domain = "",
    .name = "BitCast",
    .versions =
        (const sdx_op_version[]){
            {26, "input:T1 -> output:T2",
             "T1=" SDX_T_NUMERIC_BF
             "|bool|c128|c64|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|f8e8m0|i2|i4|u2|u4 T2=" SDX_T_NUMERIC_BF
             "|bool|c128|c64|f4e2m1|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|f8e8m0|i2|i4|u2|u4",
             "to:int!"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(bit_cast_params),
    .bind = bit_cast_bind,
    .infer = bit_cast_infer,
    .compute = bit_cast_compute,
    .grad = sdx_no_gradient,
};
