/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SDX_OPS_TENSOR_RESIZE_SHAPE_H
#define SDX_OPS_TENSOR_RESIZE_SHAPE_H
#include "ops/tensor/resize.h"

typedef struct sdx_resize_list {
    int n; /* 0: absent or empty */
    double value[2 * SDX_MAX_RANK];
} sdx_resize_list;

typedef struct sdx_resize_inputs {
    sdx_resize_list scales, sizes, roi;
} sdx_resize_inputs;

/* An attribute's place among its words; 0 when it is none of them. */
int sdx_resize_word(sdx_bind *bind, const char *name, const char *const *words, int n);
extern const char *const sdx_resize_modes[3], *const sdx_resize_coordinate_modes[7], *const sdx_resize_policies[3];
extern const char *const sdx_resize_nearest_modes[5]; /* the last is version 10's own */

/* in[] holds `n_in` tensors; NULL: absent. */
sdx_status sdx_resize_read(sdx_error *error, const sdx_resize_params *p, int n_in, const sdx_tensor *const *in,
                           sdx_resize_inputs *out);
/* One entry of axis[] for each dimension; unknown dims (< 0) give unknown sizes. */
sdx_status sdx_resize_resolve(sdx_error *error, const sdx_resize_params *p, const sdx_resize_inputs *in, int rank,
                              const int64_t *dims, sdx_resize_axis *axis);

#endif
