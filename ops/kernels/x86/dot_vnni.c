/* SPDX-License-Identifier: Apache-2.0 */
#define SDX_LEVEL_VNNI 1
#include "ops/kernels/dot.inc"
