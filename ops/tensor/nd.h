/* SPDX-License-Identifier: Apache-2.0
 * The addressing of GatherND and ScatterND: each tuple of k indices names a run of data. */
#ifndef SDX_OPS_ND_H
#define SDX_OPS_ND_H
#include "ops/op.h"

typedef struct sdx_nd {
    int batch, k;         /* leading dimensions in common; entries of a tuple */
    int64_t tuples;       /* how many */
    int64_t per_batch;    /* of them, in each batch entry */
    int64_t run;          /* elements that a tuple names */
    int64_t batch_stride; /* elements of data in each batch entry */
    int64_t stride[SDX_MAX_RANK];
    const sdx_tensor *data, *indices;
} sdx_nd;

void sdx_nd_begin(sdx_nd *nd, int batch, const sdx_tensor *data, const sdx_tensor *indices);
/* Every index must be in [-dim, dim). */
sdx_status sdx_nd_check(const sdx_nd *nd, sdx_error *error);
/* Where tuple t points, in elements of data. */
int64_t sdx_nd_offset(const sdx_nd *nd, int64_t t);

#endif
