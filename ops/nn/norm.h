/* SPDX-License-Identifier: Apache-2.0
 * What the normalisations share: statistics, y = (x - mean) a + b, and scale and bias in the dtype of the work. */
#ifndef SDX_OPS_NN_NORM_H
#define SDX_OPS_NN_NORM_H
#include "ops/lines.h"

/* Mean and population variance in f64, in two passes: exact enough for 1e6 +- 0.5. n == 0 gives NaN. */
void sdx_norm_moments(const struct sdx_kernels *kernels, sdx_dtype work, const void *x, int64_t n, double *mean,
                      double *variance);
void sdx_normalize(const struct sdx_kernels *kernels, sdx_dtype work, const void *x, void *y, int64_t n, double mean,
                   double a, double b);
/* y = (x - mean) r scale + bias, by element; bias may be NULL. */
void sdx_normalize_row(const struct sdx_kernels *kernels, sdx_dtype work, const void *x, void *y, int64_t n,
                       double mean, double r, const void *scale, const void *bias);

/* Element k of an array of dtype f32 or f64; the address of element k (NULL stays NULL). */
double sdx_norm_get(sdx_dtype work, const void *array, int64_t k);
const void *sdx_norm_at(sdx_dtype work, const void *array, int64_t k);
/* tensor[k] = value, rounded; nothing when the tensor is NULL. */
void sdx_norm_put(const struct sdx_kernels *kernels, const sdx_tensor *tensor, int64_t k, double value);

/* An array in the dtype of the work, out of a tensor: its own bytes, or a converted copy in *room, which moves on. */
size_t sdx_norm_param_size(const sdx_type *type, sdx_dtype work);
const void *sdx_norm_param(const sdx_compute *compute, const sdx_tensor *tensor, sdx_dtype work, char **room);

/* Scale or bias that is broadcast to the dimensions of X from `axis` on (`repeats`: the same for every line), or, when
 * it differs from line to line, to all of X. */
typedef struct sdx_norm_spread {
    const void *data; /* NULL: absent */
    bool repeats;
} sdx_norm_spread;
size_t sdx_norm_spread_size(const sdx_type *x, int axis, const sdx_type *type, sdx_dtype work);
sdx_norm_spread sdx_norm_spread_load(const sdx_compute *compute, const sdx_tensor *x, int axis,
                                     const sdx_tensor *tensor, sdx_dtype work, char **room);
/* Input k must be broadcastable to input 0. */
sdx_status sdx_norm_check_spread(sdx_infer *infer, int k, const char *name);

/* stash_type: the numbers of f32, f16, f64, bf16 as the operator allows. */
sdx_dtype sdx_norm_bind_stash(sdx_bind *bind, bool narrow);

#endif
