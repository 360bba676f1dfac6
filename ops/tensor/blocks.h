/* SPDX-License-Identifier: Apache-2.0
 * What DepthToSpace and SpaceToDepth share. */
#ifndef SDX_OPS_BLOCKS_H
#define SDX_OPS_BLOCKS_H
#include "ops/move.h"

typedef struct sdx_blocks_params {
    int64_t size;
    bool crd;
} sdx_blocks_params;

sdx_status sdx_blocks_bind(sdx_bind *bind, void *params);
/* *out = dim / by, which must leave no rest, and dim * by; -1 when unknown. */
sdx_status sdx_blocks_divide(sdx_error *error, int d, int64_t dim, int64_t by, int64_t *out);
sdx_status sdx_blocks_multiply(sdx_error *error, int d, int64_t dim, int64_t by, int64_t *out);

/* The inverse of either operator is its gradient. */
sdx_status sdx_blocks_gradient(sdx_grad *grad, const char *inverse, const sdx_blocks_params *p);

#endif
