/* SPDX-License-Identifier: Apache-2.0 */
#include "ops/generator/draw.h"
#include "runtime/base/half.h"
#include <inttypes.h>

sdx_seed sdx_bind_seed(sdx_bind *bind) {
    sdx_seed seed = {.given = sdx_bind_has(bind, "seed")};
    if (seed.given) seed.value = sdx_bind_float(bind, "seed");
    if (seed.value != seed.value) seed.given = false;
    return seed;
}

uint64_t sdx_seed_key(const sdx_compute *compute, sdx_seed seed) {
    return seed.given ? (uint64_t)sdx_f32_bits(seed.value) * 0x9E3779B97F4A7C15u + 1 : compute->random_key;
}

sdx_dtype sdx_bind_dtype(sdx_bind *bind, const char *name) {
    int64_t dtype = sdx_bind_int(bind, name);
    if (dtype == 0 && !sdx_bind_has(bind, name)) return SDX_UNDEFINED;
    if (sdx_dtype_valid(dtype)) return (sdx_dtype)dtype;
    sdx_bind_fail(bind, SDX_TYPE, "attribute '%s' is %" PRId64 ", which is no element type", name, dtype);
    return SDX_UNDEFINED;
}

sdx_dtype sdx_bind_number_dtype(sdx_bind *bind, const char *name) {
    const sdx_dtype dtype = sdx_bind_dtype(bind, name);
    const int kind = sdx_dtype_class(dtype), bits = sdx_dtype_bits(dtype);
    const bool fits = (kind == SDX_CLASS_FLOAT && bits >= 16) ||
                      ((kind == SDX_CLASS_SIGNED || kind == SDX_CLASS_UNSIGNED) && bits >= 8);
    if (bind->status == SDX_OK && !fits)
        sdx_bind_fail(bind, SDX_TYPE, "attribute '%s' is %s; it must be a type of numbers", name,
                      sdx_dtype_name(dtype));
    return dtype;
}
