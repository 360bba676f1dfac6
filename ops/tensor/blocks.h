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
/* Of DepthToSpace (to_space), which divides the channels and multiplies height and width, or of SpaceToDepth. */
sdx_status sdx_blocks_infer(sdx_infer *infer, const sdx_blocks_params *p, bool to_space);

/* The inverse of either operator is its gradient. */
sdx_status sdx_blocks_gradient(sdx_grad *grad, const char *inverse, const sdx_blocks_params *p);

#endif
