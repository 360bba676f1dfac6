/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/tensor/elements.h"
#include <inttypes.h>

sdx_status sdx_elements_check(sdx_infer *infer, int64_t axis, int updates) {
    int rank = sdx_infer_rank_of(infer, 0), at = 0;
    if (rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_axis(infer, "axis", axis, rank, &at));
    SDX_TRY(sdx_infer_rank(infer, 1, "indices", rank));
    if (sdx_infer_rank_of(infer, 1) < 0) return SDX_OK;
    for (int d = 0; d < rank; d++) {
        int64_t data = infer->in[0]->dim[d], index = infer->in[1]->dim[d];
        if (d != at && data >= 0 && index > data)
            return sdx_fail(infer->error, SDX_SHAPE,
                            "dimension %d of input 'indices' is %" PRId64 "; that of input 'data' is %" PRId64, d,
                            index, data);
    }
    if (updates < 0) return SDX_OK;
    SDX_TRY(sdx_infer_rank(infer, updates, "updates", rank));
    if (sdx_infer_rank_of(infer, updates) < 0) return SDX_OK;
    for (int d = 0; d < rank; d++)
        SDX_TRY(sdx_infer_merge_dim(infer, "dimensions of inputs 'indices' and 'updates'", infer->in[1]->dim[d],
                                    infer->in[updates]->dim[d], NULL));
    return SDX_OK;
}

void sdx_elements_begin(sdx_elements *e, int64_t axis, const sdx_tensor *data, const sdx_tensor *indices) {
    int last = data->rank - 1;
    e->indices = indices;
    e->axis = sdx_axis_of(axis, data->rank);
    e->n = data->dim[e->axis];
    sdx_strides(data->rank, data->dim, e->stride);
    e->axis_stride = e->stride[e->axis];
    e->length = indices->dim[last];
    e->step = e->axis == last ? 0 : 1;
}

int64_t sdx_elements_line(const sdx_elements *e, int64_t line) {
    int64_t base = 0;
    for (int d = e->indices->rank - 2; d >= 0; d--) {
        if (d != e->axis) base += line % e->indices->dim[d] * e->stride[d];
        line /= e->indices->dim[d];
    }
    return base;
}
