/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/tensor/nd.h"
#include "ops/move.h"
#include <inttypes.h>

void sdx_nd_begin(sdx_nd *nd, int batch, const sdx_tensor *data, const sdx_tensor *indices) {
    int64_t batches = sdx_dims_product(data->dim, 0, batch);
    *nd = (sdx_nd){.batch = batch, .k = (int)indices->dim[indices->rank - 1], .data = data, .indices = indices};
    nd->tuples = sdx_dims_product(indices->dim, 0, indices->rank - 1);
    nd->per_batch = batches ? nd->tuples / batches : 0;
    nd->run = sdx_dims_product(data->dim, batch + nd->k, data->rank);
    nd->batch_stride = sdx_dims_product(data->dim, batch, data->rank);
    int64_t step = nd->run;
    for (int j = nd->k - 1; j >= 0; j--) {
        nd->stride[j] = step;
        step *= data->dim[batch + j];
    }
}

sdx_status sdx_nd_check(const sdx_nd *nd, sdx_error *error) {
    for (int64_t t = 0; t < nd->tuples; t++)
        for (int j = 0; j < nd->k; j++) {
            int64_t index = sdx_index_at(nd->indices, t * nd->k + j), n = nd->data->dim[nd->batch + j];
            if (index < -n || index >= n)
                return sdx_fail(error, SDX_VALUE,
                                "entry %" PRId64 " of input 'indices' is %" PRId64 "; it must be in [%" PRId64
                                ", %" PRId64 "]",
                                t * nd->k + j, index, -n, n - 1);
        }
    return SDX_OK;
}

int64_t sdx_nd_offset(const sdx_nd *nd, int64_t t) {
    int64_t offset = t / nd->per_batch * nd->batch_stride;
    for (int j = 0; j < nd->k; j++) {
        int64_t index = sdx_index_at(nd->indices, t * nd->k + j);
        offset += (index < 0 ? index + nd->data->dim[nd->batch + j] : index) * nd->stride[j];
    }
    return offset;
}
