/* SPDX-License-Identifier: Apache-2.0
 * The addressing of GatherElements and ScatterElements: an element of `indices` replaces one coordinate of its own. */
#ifndef SDX_OPS_ELEMENTS_H
#define SDX_OPS_ELEMENTS_H
#include "ops/loop.h"

typedef struct sdx_elements_params {
    int64_t axis;
    int reduction; /* ScatterElements */
} sdx_elements_params;

/* The shape of 'indices' is walked line by line along its last dimension. */
typedef struct sdx_elements {
    const sdx_tensor *indices;
    int axis;
    int64_t n;            /* of the data along the axis */
    int64_t length, step; /* elements of a line; how far the data goes on with each of them */
    int64_t stride[SDX_MAX_RANK], axis_stride;
} sdx_elements;

/* Inputs 0 (data), 1 (indices) and `updates`, -1 when there is none. */
sdx_status sdx_elements_check(sdx_infer *infer, int64_t axis, int updates);
void sdx_elements_begin(sdx_elements *e, int64_t axis, const sdx_tensor *data, const sdx_tensor *indices);
/* Where a line starts in the data, the axis apart. */
int64_t sdx_elements_line(const sdx_elements *e, int64_t line);
/* What the index contributes. */
static inline int64_t sdx_elements_at(const sdx_elements *e, int64_t i) {
    const void *data = e->indices->data;
    int64_t index = e->indices->dtype == SDX_I32 ? ((const int32_t *)data)[i] : ((const int64_t *)data)[i];
    return (index < 0 ? index + e->n : index) * e->axis_stride;
}

#endif
