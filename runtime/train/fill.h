/* SPDX-License-Identifier: Apache-2.0
 * Elements of floating tensors (f32, f64, f16, bf16) as numbers, and first values of new ones. */
#ifndef SDX_TRAIN_FILL_H
#define SDX_TRAIN_FILL_H
#include "runtime/base/tensor.h"
#include <sardonyx_train.h>

double sdx_tensor_element(const sdx_tensor *tensor, int64_t k); /* NaN for other types */
void sdx_tensor_put(const sdx_tensor *tensor, int64_t k, double value);
bool sdx_tensor_all(const sdx_tensor *tensor, double value); /* every element is `value` */
bool sdx_tensor_finite(const sdx_tensor *tensor);
void sdx_fill_all(const sdx_tensor *tensor, double value);
void sdx_fill_drawn(const sdx_tensor *tensor, sdx_init init, int64_t fan_in, int64_t fan_out, uint64_t seed);

#endif
