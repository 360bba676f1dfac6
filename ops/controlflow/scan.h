/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SDX_CONTROLFLOW_SCAN_H
#define SDX_CONTROLFLOW_SCAN_H
#include "ops/op.h"

typedef struct sdx_scan_params {
    int body, n_elements; /* of the body's inputs, the last ones */
    sdx_ints in_axes, in_directions, out_axes, out_directions;
} sdx_scan_params;

sdx_status sdx_scan_grad(sdx_grad *grad, const void *params);

#endif
