/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/tensor/blocks.h"
#include "ops/grad.h"
#include <inttypes.h>

sdx_status sdx_blocks_bind(sdx_bind *bind, void *params) {
    static const char *const modes[] = {"DCR", "CRD"};
    sdx_blocks_params *p = params;
    bool depth = strcmp(bind->node->op_type, "DepthToSpace") == 0;
    p->size = sdx_bind_int(bind, "blocksize");
    p->crd = bind->since >= (depth ? 11 : 28) && sdx_bind_choice(bind, "mode", modes, 2) == 1;
    if (bind->status == SDX_OK && (p->size < 1 || p->size > INT32_MAX))
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'blocksize' is %" PRId64 "; it must be in [1, %d]", p->size,
                             INT32_MAX);
    return bind->status;
}

sdx_status sdx_blocks_divide(sdx_error *error, int d, int64_t dim, int64_t by, int64_t *out) {
    *out = dim < 0 ? -1 : dim / by;
    if (dim >= 0 && dim % by)
        return sdx_fail(error, SDX_SHAPE,
                        "dimension %d of input 'input' is %" PRId64 "; it must be a multiple of %" PRId64, d, dim, by);
    return SDX_OK;
}

sdx_status sdx_blocks_multiply(sdx_error *error, int d, int64_t dim, int64_t by, int64_t *out) {
    *out = -1;
    if (dim >= 0 && !sdx_dim_mul(dim, by, out))
        return sdx_fail(error, SDX_SHAPE, "dimension %d overflows: %" PRId64 " times %" PRId64, d, dim, by);
    return SDX_OK;
}

sdx_status sdx_blocks_gradient(sdx_grad *grad, const char *inverse, const sdx_blocks_params *p) {
    sdx_node *back = sdx_patch_node(grad->patch, "", inverse, 1, &grad->dY[0], 1);
    sdx_patch_int(grad->patch, back, "blocksize", p->size);
    if (p->crd) sdx_patch_string(grad->patch, back, "mode", "CRD");
    grad->exact = true;
    grad->dX[0] = back->out[0];
    return grad->patch->status;
}
