/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/order.h"
#include "runtime/base/half.h"
#include <string.h>

static const uint64_t top = UINT64_C(1) << 63;

static uint64_t signed_key(int64_t value) { return (uint64_t)value ^ top; }

static uint64_t real_key(double value) {
    uint64_t bits = 0;
    if (value != value) return UINT64_MAX;
    if (value == 0) return top;
    memcpy(&bits, &value, sizeof bits);
    return bits & top ? ~bits : bits | top;
}

uint64_t sdx_order_key(sdx_dtype dtype, const void *element) {
    switch ((int)dtype) {
    case SDX_F32: return real_key((double)*(const float *)element);
    case SDX_F64: return real_key(*(const double *)element);
    case SDX_F16: return real_key((double)sdx_f32_from_f16(*(const uint16_t *)element));
    case SDX_BF16: return real_key((double)sdx_f32_from_bf16(*(const uint16_t *)element));
    case SDX_I8: return signed_key(*(const int8_t *)element);
    case SDX_I16: return signed_key(*(const int16_t *)element);
    case SDX_I32: return signed_key(*(const int32_t *)element);
    case SDX_I64: return signed_key(*(const int64_t *)element);
    case SDX_U16: return *(const uint16_t *)element;
    case SDX_U32: return *(const uint32_t *)element;
    case SDX_U64: return *(const uint64_t *)element;
    default: return *(const uint8_t *)element;
    }
}

static int compare_strings(const sdx_string *a, const sdx_string *b) {
    size_t shorter = a->size < b->size ? a->size : b->size;
    int order = shorter ? memcmp(a->data, b->data, shorter) : 0;
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

int sdx_order_compare(sdx_dtype dtype, const void *a, const void *b) {
    if (dtype == SDX_STRING) return compare_strings(a, b);
    bool complex = sdx_dtype_class(dtype) == SDX_CLASS_COMPLEX;
    sdx_dtype part = dtype == SDX_C64 ? SDX_F32 : dtype == SDX_C128 ? SDX_F64 : dtype;
    uint64_t x = sdx_order_key(part, a), y = sdx_order_key(part, b);
    if (complex && x == y) {
        x = sdx_order_key(part, (const char *)a + sdx_dtype_size(part));
        y = sdx_order_key(part, (const char *)b + sdx_dtype_size(part));
    }
    return (x > y) - (x < y);
}
