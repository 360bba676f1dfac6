/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/registry.h"
#include <string.h>

#define SDX_OP(name) extern const sdx_op sdx_op_##name;
#include "ops/ops.def"
#undef SDX_OP

/* A build without the libraries of operator X defines SDX_WITHOUT_X as `,LEAVE_OUT`, which is then the second word. */
#define LIST(op) &op,
#define LEAVE_OUT(op)
#define SECOND(a, b, ...) b
#define CHOOSE(...)       SECOND(__VA_ARGS__)
const sdx_op *const sdx_ops[] = {
#define SDX_OP(name) CHOOSE(SDX_WITHOUT_##name, LIST, )(sdx_op_##name)
#include "ops/ops.def"
#undef SDX_OP
};
const size_t sdx_ops_count = sizeof sdx_ops / sizeof sdx_ops[0];

const sdx_op *sdx_op_find(const char *domain, const char *name) {
    if (strcmp(domain, "ai.onnx") == 0) domain = "";
    size_t low = 0, high = sdx_ops_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(sdx_ops[middle]->name, name);
        if (order == 0) order = strcmp(sdx_ops[middle]->domain, domain);
        if (order == 0) return sdx_ops[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const sdx_op_version *sdx_op_version_at(const sdx_op *op, int opset) {
    const sdx_op_version *best = NULL;
    for (const sdx_op_version *v = op->versions; v->since; v++)
        if (v->since <= opset) best = v;
    return best;
}

const sdx_op_version *sdx_op_newest(const sdx_op *op) { return sdx_op_version_at(op, INT32_MAX); }

sdx_status sdx_no_gradient(sdx_grad *grad, const void *params) {
    (void)params;
    for (int k = 0; k < grad->node->n_in; k++) grad->dX[k] = SDX_NONE;
    return SDX_OK;
}
