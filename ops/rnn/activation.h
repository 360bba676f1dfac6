/* SPDX-License-Identifier: Apache-2.0
 * The activation functions that attribute `activations` of RNN, GRU and LSTM names. */
#ifndef SDX_OPS_RNN_ACTIVATION_H
#define SDX_OPS_RNN_ACTIVATION_H
#include "ops/kernels/kernels.h"
#include "ops/op.h"

typedef struct sdx_activation {
    int row; /* of the table of functions */
    float p[2];
} sdx_activation;

/* `count` functions per direction from activations, activation_alpha and activation_beta, else `otherwise` (names);
 * those that take values take the next ones of the two lists. */
void sdx_bind_activations(sdx_bind *bind, const char *const *otherwise, int count, int directions, sdx_activation *out);

/* x = f(x); f32 or f64 */
void sdx_activate(const struct sdx_kernels *kernels, const sdx_activation *f, sdx_dtype work, void *x, int64_t n);
/* x = d f'(x), where y = f(x) */
void sdx_activate_back(const struct sdx_kernels *kernels, const sdx_activation *f, sdx_dtype work, const void *y,
                       const void *d, void *x, int64_t n);

/* f(x) as nodes; f'(x), where y = f(x), of the shape of x */
sdx_id sdx_activate_nodes(sdx_patch *patch, const sdx_activation *f, sdx_dtype dtype, sdx_id x);
sdx_id sdx_slope_nodes(sdx_patch *patch, const sdx_activation *f, sdx_dtype dtype, sdx_id x, sdx_id y);

#endif
