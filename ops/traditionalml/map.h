/* SPDX-License-Identifier: Apache-2.0
 * Maps as values: a tensor of keys and one of values. */
#ifndef SDX_OPS_ML_MAP_H
#define SDX_OPS_ML_MAP_H
#include "ops/op.h"
#include "runtime/base/value.h"

/* The map given as input 0; a TYPE error when it is none, or one of anything but numbers and strings. */
sdx_status sdx_map_input(sdx_compute *compute, const sdx_tensor **keys, const sdx_tensor **values);

#endif
