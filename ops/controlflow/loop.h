/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SDX_CONTROLFLOW_LOOP_H
#define SDX_CONTROLFLOW_LOOP_H
#include "ops/op.h"

typedef struct sdx_loop_params {
    int body;
} sdx_loop_params;

sdx_status sdx_loop_grad(sdx_grad *grad, const void *params);

#endif
