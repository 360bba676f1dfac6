/* SPDX-License-Identifier: Apache-2.0
 * RunningStatistic: Y = old * momentum + batch * (1 - momentum) per channel, where `batch` is the mean or the
 * population variance of X over all axes but 1. unbiased: batch times m / (m - 1), m values per channel, which is what
 * PyTorch keeps as running variance. A channel of a single value has no variance to learn from: an error, as there. */
#include "ops/kernels/kernels.h"
#include "ops/nn/norm.h"

typedef struct rs_params {
    double momentum;
    bool unbiased;
} rs_params;

static sdx_status rs_bind(sdx_bind *bind, void *params) {
    rs_params *p = params;
    p->momentum = (double)sdx_bind_float(bind, "momentum");
    p->unbiased = sdx_bind_int(bind, "unbiased") != 0;
    return bind->status;
}

/* Values per channel; -1: not known. */
static int64_t values_per_channel(int rank, const int64_t *dim) {
    int64_t m = 1;
    for (int d = 0; d < rank; d++) {
        if (d == 1) continue;
        if (dim[d] < 0 || !sdx_dim_mul(m, dim[d], &m)) return -1;
    }
    return m;
}

static sdx_status rs_infer(sdx_infer *infer, const void *params) {
    (void)params;
    const sdx_type *x = infer->in[0];
    char text[128];
    sdx_infer_same(infer, 0, 1);
    if (x->rank >= 0 && values_per_channel(x->rank, x->dim) == 1)
        return sdx_fail(infer->error, SDX_SHAPE,
                        "the batch is %s; statistics of a batch need more than one value per channel",
                        sdx_type_text(x, text, sizeof text));
    return SDX_OK;
}

static sdx_status rs_compute(sdx_compute *compute, const void *params) {
    const rs_params *p = params;
    const sdx_tensor *x = compute->in[0], *old = compute->in[1], *batch = compute->in[2], *y = compute->out[0];
    double m = (double)values_per_channel(x->rank, x->dim), share = 1 - p->momentum;
    if (p->unbiased) share *= m / (m - 1);
    for (int64_t c = 0; c < y->count; c++) {
        double was = 0, is = 0;
        size_t at = (size_t)c * sdx_dtype_size(old->dtype);
        sdx_convert(compute->kernels, old->dtype, (const char *)old->data + at, SDX_F64, &was, 1);
        sdx_convert(compute->kernels, batch->dtype, (const char *)batch->data + at, SDX_F64, &is, 1);
        sdx_norm_put(compute->kernels, y, c, was * p->momentum + is * share);
    }
    return SDX_OK;
}

/* m / (m - 1) in the dtype of the statistics, m = Size(X) / channels. */
static sdx_id correction(sdx_patch *patch, sdx_id x, sdx_dtype dtype) {
    sdx_node *channels = sdx_patch_node(patch, "", "Shape", 1, &x, 1);
    sdx_patch_int(patch, channels, "start", 1);
    sdx_patch_int(patch, channels, "end", 2);
    sdx_id one = sdx_patch_scalar(patch, dtype, 1);
    sdx_node *product = sdx_patch_node(patch, "", "ReduceProd", 1, channels->out, 1); /* 1 where there is no axis 1 */
    sdx_patch_int(patch, product, "keepdims", 0);
    sdx_id m = sdx_emit2(patch, "Div", sdx_emit1(patch, "Size", x), product->out[0]);
    sdx_node *cast = sdx_patch_node(patch, "", "Cast", 1, &m, 1);
    sdx_patch_int(patch, cast, "to", (int64_t)dtype);
    return sdx_emit2(patch, "Div", cast->out[0], sdx_emit2(patch, "Sub", cast->out[0], one));
}

static sdx_status rs_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    const rs_params *p = params;
    sdx_dtype dtype = patch->graph->values[node->in[1]].type.dtype;
    sdx_id momentum = sdx_patch_scalar(patch, dtype, p->momentum),
           share = sdx_patch_scalar(patch, dtype, 1 - p->momentum);
    if (p->unbiased) share = sdx_emit2(patch, "Mul", share, correction(patch, node->in[0], dtype));
    sdx_id y = sdx_emit2(patch, "Add", sdx_emit2(patch, "Mul", node->in[1], momentum),
                         sdx_emit2(patch, "Mul", node->in[2], share));
    sdx_patch_replace(patch, node->out[0], y);
    sdx_patch_remove(patch, node);
    return patch->status;
}

const sdx_op sdx_op_RunningStatistic = {
    .domain = "sdx",
    .name = "RunningStatistic",
    .versions = (const sdx_op_version[]){{1, "X:T old:U batch:U -> Y:U", "T=" SDX_T_FLOAT_BF " U=" SDX_T_FLOAT_BF,
                                          "momentum:float=0.9 unbiased:int=0"},
                                         {0}},
    .params_size = sizeof(rs_params),
    .bind = rs_bind,
    .infer = rs_infer,
    .compute = rs_compute,
    .grad = sdx_no_gradient,
    .expand = rs_expand,
    .flags = SDX_OP_INTERNAL};
