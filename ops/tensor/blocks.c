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

static sdx_status divide(sdx_error *error, int d, int64_t dim, int64_t by, int64_t *out) {
    *out = dim < 0 ? -1 : dim / by;
    if (dim >= 0 && dim % by)
        return sdx_fail(error, SDX_SHAPE,
                        "dimension %d of input 'input' is %" PRId64 "; it must be a multiple of %" PRId64, d, dim, by);
    return SDX_OK;
}

static sdx_status multiply(sdx_error *error, int d, int64_t dim, int64_t by, int64_t *out) {
    *out = -1;
    if (dim >= 0 && !sdx_dim_mul(dim, by, out))
        return sdx_fail(error, SDX_SHAPE, "dimension %d overflows: %" PRId64 " times %" PRId64, d, dim, by);
    return SDX_OK;
}

sdx_status sdx_blocks_infer(sdx_infer *infer, const sdx_blocks_params *p, bool to_space) {
    sdx_type *out = &infer->out[0];
    SDX_TRY(sdx_infer_rank(infer, 0, "input", 4));
    out->rank = 4;
    for (int d = 0; d < 4; d++) out->dim[d] = -1;
    if (sdx_infer_rank_of(infer, 0) < 0) return SDX_OK;
    const int64_t *dim = infer->in[0]->dim;
    out->dim[0] = dim[0];
    for (int d = 1; d < 4; d++) {
        const int64_t by = d == 1 ? p->size * p->size : p->size;
        SDX_TRY((to_space == (d == 1) ? divide : multiply)(infer->error, d, dim[d], by, &out->dim[d]));
    }
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
