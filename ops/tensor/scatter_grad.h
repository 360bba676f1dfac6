/* SPDX-License-Identifier: Apache-2.0
 * The gradients of ScatterElements and ScatterND, which differ by the names of the operators. */
#ifndef SDX_OPS_SCATTER_GRAD_H
#define SDX_OPS_SCATTER_GRAD_H
#include "ops/grad.h"

typedef struct sdx_scatter_grad {
    sdx_grad *grad;
    const char *scatter, *gather;
    bool has_axis; /* of both */
    int64_t axis;
    int reduction;
} sdx_scatter_grad;

sdx_status sdx_scatter_gradient(const sdx_scatter_grad *s);

#endif
