/* SPDX-License-Identifier: Apache-2.0
 * to[i] = to[i] op from[i]: the reductions of the Scatter family, for every dtype where they mean something. */
#ifndef SDX_OPS_COMBINE_H
#define SDX_OPS_COMBINE_H
#include "ops/op.h"

enum { SDX_COMBINE_NONE, SDX_COMBINE_ADD, SDX_COMBINE_MUL, SDX_COMBINE_MAX, SDX_COMBINE_MIN };

typedef void (*sdx_combine_fn)(void *to, const void *from, int64_t n);

/* The attribute 'reduction' where the row in force (since) has it: 16 knows add and mul, 18 max and min too. */
int sdx_bind_reduction(sdx_bind *bind);
/* TYPE when the dtype has no such reduction. */
sdx_status sdx_combine_check(sdx_error *error, sdx_dtype dtype, int reduction);
/* NULL for NONE: the bytes are replaced. */
sdx_combine_fn sdx_combine_of(sdx_dtype dtype, int reduction);

#endif
