/* SPDX-License-Identifier: Apache-2.0
 * The two gradients of a convolution, on its own geometry: `forward` is complete but for the pointers, and its
 * window.out are the lengths of dY (not above what the window gives). */
#ifndef SDX_OPS_NN_CONVOLVE_BACK_H
#define SDX_OPS_NN_CONVOLVE_BACK_H
#include "ops/nn/convolve.h"

/* dX[i] = sum of W[tap] dY[o] over what output o read at i. forward->weight and forward->bias (of dX; NULL: none) are
 * read. */
size_t sdx_convolution_back_input_scratch(const sdx_convolution *forward, int threads);
sdx_status sdx_convolution_back_input(sdx_compute *compute, const sdx_convolution *forward, const void *dY, void *dX,
                                      void *scratch);

/* dW[tap] = sum over images and outputs of dY[o] times what o read there. forward->x is read. */
size_t sdx_convolution_back_weight_scratch(const sdx_convolution *forward, int threads);
sdx_status sdx_convolution_back_weight(sdx_compute *compute, const sdx_convolution *forward, const void *dY, void *dW,
                                       void *scratch);

#endif
