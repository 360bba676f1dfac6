/* SPDX-License-Identifier: Apache-2.0
 * Operators of two broadcast inputs; math/ and logical/ make theirs with SDX_BINARY_OP. Until opset 6 the second input
 * was spread only where 'broadcast' said so, its dimensions starting at those of the first from 'axis' on. */
#ifndef SDX_OPS_MATH_BINARY_H
#define SDX_OPS_MATH_BINARY_H
#include "ops/math/elementwise.h"

typedef struct sdx_binary_params {
    sdx_binary_id id;
    bool swap; /* f(b, a): Less is Greater the other way round */
    bool legacy, spread, has_axis;
    int64_t axis;
} sdx_binary_params;

sdx_status sdx_binary_bind(sdx_bind *bind, sdx_binary_params *params, sdx_binary_id id, bool swap);
sdx_status sdx_binary_infer(sdx_infer *infer, const void *params);
sdx_status sdx_binary_compute(sdx_compute *compute, const void *params);
/* The old broadcast, which gradients cannot undo: it is left only where ranks are unknown at load. */
sdx_status sdx_binary_refuse_old(const sdx_grad *grad, const sdx_binary_params *params);
/* To the newest form, where the ranks that this takes are known; else the old row stays, and is run as it is. */
sdx_status sdx_binary_upgrade(sdx_patch *patch, const sdx_node *node);

#define SDX_BROADCAST_OLD "axis:int broadcast:int=0"

#define SDX_BINARY_OP(op, kernel, swapped, upgrade_, gradient, flags_, ...)                                            \
    static sdx_status op##_bind(sdx_bind *bind, void *params) {                                                        \
        return sdx_binary_bind(bind, params, SDX_BINARY_##kernel, swapped);                                            \
    }                                                                                                                  \
    const sdx_op sdx_op_##op = {                                                                                       \
        .domain = "",                                                                                                  \
        .name = #op,                                                                                                   \
        .versions =                                                                                                    \
            (const sdx_op_version[]){                                                                                  \
                __VA_ARGS__,                                                                                           \
                {0, NULL, NULL, NULL},                                                                                 \
            },                                                                                                         \
        .params_size = sizeof(sdx_binary_params),                                                                      \
        .upgrade = upgrade_,                                                                                           \
        .bind = op##_bind,                                                                                             \
        .infer = sdx_binary_infer,                                                                                     \
        .compute = sdx_binary_compute,                                                                                 \
        .grad = gradient,                                                                                              \
        .flags = flags_,                                                                                               \
    };

#endif
