/* SPDX-License-Identifier: Apache-2.0
 * Short forms for the nodes that losses, penalties, clipping and constraints are made of. */
#ifndef SDX_TRAIN_EMIT_H
#define SDX_TRAIN_EMIT_H
#include "runtime/train/train.h"

/* f64 stays, anything else becomes f32: what losses and penalties are computed in. */
sdx_id sdx_emit_widened(sdx_patch *patch, sdx_id x, sdx_dtype *dtype);
sdx_id sdx_emit_sum(sdx_patch *patch, sdx_id x); /* of all elements: a scalar */
sdx_id sdx_emit_sum_along(sdx_patch *patch, sdx_id x, const int64_t *axes, int n, bool keepdims);
sdx_id sdx_emit_where(sdx_patch *patch, sdx_id which, sdx_id yes, sdx_id no);
sdx_id sdx_emit_count(sdx_patch *patch, sdx_id x, sdx_dtype dtype);            /* elements of x: a scalar */
sdx_id sdx_emit_length(sdx_patch *patch, sdx_id x, int axis, sdx_dtype dtype); /* of one dimension: a scalar */

#endif
