/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/kernels/pool_back.inc"
