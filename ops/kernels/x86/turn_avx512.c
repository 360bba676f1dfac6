/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/kernels/turn.inc"
