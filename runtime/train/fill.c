/* SPDX-License-Identifier: Apache-2.0
 * First values of new tensors. Element k depends on the seed and k alone: a counter goes through a mixing function, so
 * that threads, order and length do not matter. */
#include "runtime/train/fill.h"
#include "runtime/base/half.h"
#include <math.h>
#include <string.h>

static uint64_t mix(uint64_t x) {
    x ^= x >> 30;
    x *= 0xbf58476d1ce4e5b9U;
    x ^= x >> 27;
    x *= 0x94d049bb133111ebU;
    return x ^ (x >> 31);
}

/* In (0, 1). */
static double uniform(uint64_t seed, uint64_t k) {
    uint64_t bits = mix(mix(seed + 0x9e3779b97f4a7c15U) + (k + 1) * 0x9e3779b97f4a7c15U);
    return ((double)(bits >> 11) + 0.5) * 0x1p-53;
}

static double normal(uint64_t seed, uint64_t k) {
    return sqrt(-2 * log(uniform(seed, 2 * k))) * cos(6.283185307179586 * uniform(seed, 2 * k + 1));
}

static double drawn(sdx_init init, double fan_in, double fan_out, uint64_t seed, uint64_t k) {
    switch (init) {
    case SDX_INIT_GLOROT_UNIFORM: return sqrt(6 / (fan_in + fan_out)) * (2 * uniform(seed, k) - 1);
    case SDX_INIT_GLOROT_NORMAL: return sqrt(2 / (fan_in + fan_out)) * normal(seed, k);
    case SDX_INIT_HE_UNIFORM: return sqrt(6 / fan_in) * (2 * uniform(seed, k) - 1);
    case SDX_INIT_HE_NORMAL: return sqrt(2 / fan_in) * normal(seed, k);
    case SDX_INIT_ONES: return 1;
    case SDX_INIT_ZEROS: break;
    }
    return 0;
}

void sdx_tensor_put(const sdx_tensor *tensor, int64_t k, double value) {
    switch ((int)tensor->dtype) {
    case SDX_F32: ((float *)tensor->data)[k] = (float)value; break;
    case SDX_F64: ((double *)tensor->data)[k] = value; break;
    case SDX_F16: ((uint16_t *)tensor->data)[k] = sdx_f16_from_f64(value); break;
    case SDX_BF16: ((uint16_t *)tensor->data)[k] = sdx_bf16_from_f64(value); break;
    default: break;
    }
}

double sdx_tensor_element(const sdx_tensor *t, int64_t k) {
    switch ((int)t->dtype) {
    case SDX_F32: return (double)((const float *)t->data)[k];
    case SDX_F64: return ((const double *)t->data)[k];
    case SDX_F16: return (double)sdx_f32_from_f16(((const uint16_t *)t->data)[k]);
    case SDX_BF16: return (double)sdx_f32_from_bf16(((const uint16_t *)t->data)[k]);
    default: return (double)NAN;
    }
}

bool sdx_tensor_all(const sdx_tensor *tensor, double value) {
    for (int64_t k = 0; k < tensor->count; k++)
        if (sdx_tensor_element(tensor, k) != value) return false;
    return true;
}

bool sdx_tensor_finite(const sdx_tensor *tensor) {
    for (int64_t k = 0; k < tensor->count; k++)
        if (!isfinite(sdx_tensor_element(tensor, k))) return false;
    return true;
}

void sdx_fill_drawn(const sdx_tensor *tensor, sdx_init init, int64_t fan_in, int64_t fan_out, uint64_t seed) {
    for (int64_t k = 0; k < tensor->count; k++)
        sdx_tensor_put(tensor, k, drawn(init, (double)fan_in, (double)fan_out, seed, (uint64_t)k));
}

void sdx_fill_all(const sdx_tensor *tensor, double value) {
    for (int64_t k = 0; k < tensor->count; k++) sdx_tensor_put(tensor, k, value);
}
