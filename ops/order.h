/* SPDX-License-Identifier: Apache-2.0
 * One total order for sorting: numbers as an unsigned key. NaN is the greatest, all NaN are equal, -0 equals 0. */
#ifndef SDX_OPS_ORDER_H
#define SDX_OPS_ORDER_H
#include "ops/op.h"

/* Of a real number or bool of at most 64 bits. */
uint64_t sdx_order_key(sdx_dtype dtype, const void *element);

/* < 0, 0, > 0; any dtype: strings by their bytes, complex numbers by the real part, then the imaginary one. */
int sdx_order_compare(sdx_dtype dtype, const void *a, const void *b);

#endif
