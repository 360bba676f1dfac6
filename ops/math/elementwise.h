/* SPDX-License-Identifier: Apache-2.0
 * What elementwise operators share: shapes by broadcasting, the run of a kernel over them, old forms. */
#ifndef SDX_OPS_MATH_ELEMENTWISE_H
#define SDX_OPS_MATH_ELEMENTWISE_H
#include "ops/kernels/kernels.h"
#include "ops/loop.h"

/* Version rows of operators of one input: V(since, signature, types, attributes). */
#define SDX_XY "X:T -> Y:T"
#define SDX_IO "input:T -> output:T"
#define SDX_V(since, io, types, attributes)                                                                            \
    { since, io, "T=" types, attributes }
#define SDX_CONSUMED       "consumed_inputs:ints" /* of version 1: a hint of old executors, ignored */
#define SDX_T_SIGNED_FLOAT SDX_T_FLOAT "|i8|i16|i32|i64"

/* The numpy shape of inputs first..last (absent ones skipped), from their run-time dims. */
sdx_status sdx_broadcast_dims(sdx_compute *compute, int first, int last, int *rank, int64_t *dims);

/* out[0] = f(in[0]) */
sdx_status sdx_unary_run(sdx_compute *compute, sdx_unary_id id, const float *p);

/* y = f(a, b), broadcast to y; work: the dtypes the kernel sees for a, b (equal) and y. */
typedef struct sdx_binary_work {
    sdx_dtype in, out;
} sdx_binary_work;
sdx_binary_work sdx_binary_work_of(const sdx_tensor *a, const sdx_tensor *y);
sdx_status sdx_binary_run(sdx_compute *compute, sdx_binary_id id, const sdx_tensor *a, const sdx_tensor *b,
                          const sdx_tensor *y, sdx_binary_work work);

#endif
