/* SPDX-License-Identifier: Apache-2.0
 * What counts as equal: the case's tolerance and one rounding of the output's dtype; NaN with NaN; integers, bools
 * and strings exactly. */
#include "tests/ops/harness/harness.h"
#include <math.h>
#include <string.h>

/* Half a unit in the last place, relative; and half the smallest subnormal. */
static void rounding(sdx_dtype dtype, double *relative, double *absolute) {
    static const struct {
        sdx_dtype dtype;
        int fraction, least;
    } types[] = {{SDX_F16, 10, -24},   {SDX_BF16, 7, -133},      {SDX_F8E4M3FN, 3, -9}, {SDX_F8E4M3FNUZ, 3, -10},
                 {SDX_F8E5M2, 2, -16}, {SDX_F8E5M2FNUZ, 2, -17}, {SDX_F4E2M1, 1, -1},   {SDX_F6E2M3, 3, -3},
                 {SDX_F6E3M2, 2, -4},  {SDX_F8E8M0, 0, -127}};
    *relative = *absolute = 0;
    for (size_t k = 0; k < sizeof types / sizeof types[0]; k++)
        if (types[k].dtype == dtype) {
            *relative = ldexp(1.01, -types[k].fraction - 1);
            *absolute = ldexp(1.01, types[k].least - 1);
        }
}

static bool near(const stage *s, sdx_dtype dtype, double want, const void *data, int64_t k) {
    double got = decode(dtype, data, k);
    if (isnan(want)) return isnan(got) != 0;
    union {
        double d[2];
        float f[2];
        unsigned char bytes[16];
    } rounded = {{0}};
    encode(dtype, rounded.bytes, 0, want);
    if (memcmp(rounded.bytes, (const char *)data + (size_t)k * sdx_dtype_size(dtype), sdx_dtype_size(dtype)) == 0)
        return true;
    int class = sdx_dtype_class(dtype);
    if (class != SDX_CLASS_FLOAT && class != SDX_CLASS_COMPLEX) return false;
    double relative, absolute, scale = dtype == SDX_F64 || dtype == SDX_C128 ? 1e-7 : 1;
    rounding(dtype, &relative, &absolute);
    relative += scale * (s->a_case->rtol > 0 ? s->a_case->rtol : 1e-5);
    absolute += scale * (s->a_case->atol > 0 ? s->a_case->atol : 1e-6);
    if (isinf(want) || isinf(got)) return want == got;
    bool close = fabs(got - want) <= absolute + relative * fabs(want);
    if (class == SDX_CLASS_COMPLEX) {
        double part = dtype == SDX_C64 ? (double)((const float *)data)[2 * k + 1] : ((const double *)data)[2 * k + 1];
        close = close && fabs(part + want / 2) <= absolute + relative * fabs(want);
    }
    return close;
}

static bool equal_shape(const stage *s, const char *mode, int k, int rank, const int64_t *dim, const sdx_value *got) {
    const int64_t *found = sdx_value_dims(got);
    bool equal = rank == sdx_value_rank(got);
    for (int d = 0; equal && d < rank; d++) equal = dim[d] == found[d];
    if (equal) return true;
    say("FAIL %s, %s: output %d has shape [", s->label, mode, k);
    for (int d = 0; d < sdx_value_rank(got); d++) say("%s%lld", d ? "," : "", (long long)found[d]);
    say("]; wanted [");
    for (int d = 0; d < rank; d++) say("%s%lld", d ? "," : "", (long long)dim[d]);
    return say("]\n"), false;
}

static bool same_text(sdx_string a, sdx_string b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

bool compare(const stage *s, const char *mode, int k, const sdx_ref *want, const sdx_value *got) {
    if (!equal_shape(s, mode, k, want->rank, want->dim, got)) return false;
    sdx_dtype dtype = sdx_value_dtype(got);
    const void *data = sdx_value_data(got);
    if (want->dtype != SDX_UNDEFINED && want->dtype != dtype)
        return say("FAIL %s, %s: output %d is %s; wanted %s\n", s->label, mode, k, sdx_dtype_name(dtype),
                   sdx_dtype_name(want->dtype)),
               false;
    if (s->a_case->flags & SDX_CASE_SHAPE_ONLY) return true;
    for (int64_t i = 0; i < want->count; i++) {
        if (dtype == SDX_STRING) {
            sdx_string have = ((const sdx_string *)data)[i];
            if (want->s && same_text(have, want->s[i])) continue;
            return say("FAIL %s, %s: output %d, element %lld is '%.*s'; wanted '%.*s'\n", s->label, mode, k,
                       (long long)i, (int)have.size, have.data, want->s ? (int)want->s[i].size : 0,
                       want->s ? want->s[i].data : ""),
                   false;
        }
        if (near(s, dtype, want->v[i], data, i)) continue;
        return say("FAIL %s, %s: output %d (%s), element %lld of %lld is %.9g; wanted %.9g\n", s->label, mode, k,
                   sdx_dtype_name(dtype), (long long)i, (long long)want->count, decode(dtype, data, i), want->v[i]),
               false;
    }
    return true;
}

bool same_bits(const stage *s, const char *mode, int k, const sdx_value *want, const sdx_value *got) {
    if (!equal_shape(s, mode, k, sdx_value_rank(want), sdx_value_dims(want), got)) return false;
    sdx_dtype dtype = sdx_value_dtype(got);
    size_t size = sdx_dtype_size(dtype);
    for (int64_t i = 0; i < sdx_value_count(got); i++) {
        const char *a = (const char *)sdx_value_data(want) + (size_t)i * size;
        const char *b = (const char *)sdx_value_data(got) + (size_t)i * size;
        if (dtype == SDX_STRING) {
            sdx_string x = ((const sdx_string *)sdx_value_data(want))[i];
            sdx_string y = ((const sdx_string *)sdx_value_data(got))[i];
            if (same_text(x, y)) continue;
        } else if (memcmp(a, b, size) == 0) {
            continue;
        }
        return say("FAIL %s, %s: output %d (%s), element %lld is %.17g; without that it was %.17g\n", s->label, mode, k,
                   sdx_dtype_name(dtype), (long long)i, decode(dtype, sdx_value_data(got), i),
                   decode(dtype, sdx_value_data(want), i)),
               false;
    }
    return true;
}
