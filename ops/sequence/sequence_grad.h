/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SDX_OPS_SEQUENCE_GRAD_H
#define SDX_OPS_SEQUENCE_GRAD_H
#include "ops/controlflow/body_grad.h"

/* The gradient of what is handed on as it is: of an optional, that of its item. */
sdx_status sdx_handed_on_grad(sdx_grad *grad, const void *params);
sdx_status sdx_sequence_construct_grad(sdx_grad *grad, const void *params);
sdx_status sdx_sequence_at_grad(sdx_grad *grad, const void *params);
sdx_status sdx_sequence_insert_grad(sdx_grad *grad, const void *params);
sdx_status sdx_sequence_erase_grad(sdx_grad *grad, const void *params);
/* drops_axis: the pieces have lost the axis. */
sdx_status sdx_split_to_sequence_back(sdx_grad *grad, int64_t axis, bool drops_axis);
sdx_status sdx_concat_from_sequence_back(sdx_grad *grad, int64_t axis, bool stack);
sdx_status sdx_sequence_map_back(sdx_grad *grad, int body);

#endif
