/* SPDX-License-Identifier: Apache-2.0
 * Mod: fmod 0 floors the quotient (the rest has the divisor's sign), fmod 1 truncates it. */
#include "ops/grad.h"
#include "ops/math/binary.h"

static sdx_status mod_bind(sdx_bind *bind, void *params) {
    int64_t fmod = sdx_bind_int(bind, "fmod");
    if (fmod != 0 && fmod != 1)
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'fmod' is %lld; it must be 0 or 1", (long long)fmod);
    return sdx_binary_bind(bind, params, fmod ? SDX_BINARY_Fmod : SDX_BINARY_Mod, false);
}

/* C = A - q B with a whole q, which is constant between its jumps: dA = dC, dB = -q dC. */
static sdx_status mod_grad(sdx_grad *grad, const void *params) {
    (void)params;
    sdx_patch *patch = grad->patch;
    sdx_id A = grad->node->in[0], B = grad->node->in[1], C = grad->node->out[0];
    grad->dX[0] = grad->dY[0];
    if (!grad->needed[1]) return patch->status;
    sdx_id q = sdx_emit1(patch, "Round", sdx_emit2(patch, "Div", sdx_emit2(patch, "Sub", A, C), B));
    grad->dX[1] = sdx_emit1(patch, "Neg", sdx_emit2(patch, "Mul", grad->dY[0], q));
    return patch->status;
}

#define ABC "A:T B:T -> C:T"
const sdx_op sdx_op_Mod = {
    .domain = "",
    .name = "Mod",
    .versions =
        (const sdx_op_version[]){
            SDX_V(10, ABC, SDX_T_NUMERIC, "fmod:int=0"),
            SDX_V(13, ABC, SDX_T_NUMERIC_BF, "fmod:int=0"),
            SDX_V(28, ABC, SDX_T_NUMERIC_BF, "fmod:int=0"),
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(sdx_binary_params),
    .bind = mod_bind,
    .infer = sdx_binary_infer,
    .compute = sdx_binary_compute,
    .grad = mod_grad,
    .flags = SDX_OP_INPLACE,
};
