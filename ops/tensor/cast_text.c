/* SPDX-License-Identifier: Apache-2.0
 * Numbers as text: the shortest digits that read back as the same number of its type, laid out as numpy does ("1.0",
 * "1e-05", "1e+16"); NaN, INF and -INF are ONNX's. Text as numbers: decimal, in the C locale whatever the host's is. */
#include "ops/kernels/kernels.h"
#include "ops/tensor/cast_convert.h"
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TEXT = 64, SHOWN = 40 };

/* Digits of `digits` significant places, and the power of ten of the first; both from "%.*e". */
static int decimal_digits(double value, int digits, char *out, int *exponent) {
    char text[TEXT];
    int n = 0;
    snprintf(text, sizeof text, "%.*e", digits - 1, fabs(value));
    const char *e = strchr(text, 'e');
    *exponent = e ? (int)strtol(e + 1, NULL, 10) : 0;
    for (const char *c = text; *c && *c != 'e'; c++)
        if (*c >= '0' && *c <= '9') out[n++] = *c;
    while (n > 1 && out[n - 1] == '0') n--;
    out[n] = '\0';
    return n;
}

static bool reads_back(sdx_dtype dtype, double value, double other) {
    if (dtype == SDX_F64) return value == other;
    if (dtype == SDX_F16) return sdx_f16_from_f64(value) == sdx_f16_from_f64(other);
    if (dtype == SDX_BF16) return sdx_bf16_from_f64(value) == sdx_bf16_from_f64(other);
    if (dtype == SDX_F32) return (float)value == (float)other;
    return sdx_f8_from_f32(dtype, (float)value, true) == sdx_f8_from_f32(dtype, (float)other, true);
}

static int float_text(sdx_dtype dtype, double value, char *out) {
    if (isnan(value)) return snprintf(out, TEXT, "NaN");
    if (isinf(value)) return snprintf(out, TEXT, value < 0 ? "-INF" : "INF");
    char digits[32], probe[TEXT];
    int exponent = 0, n = 0;
    const char *sign = signbit(value) ? "-" : "";
    for (int places = 1; places <= 17; places++) {
        snprintf(probe, sizeof probe, "%.*e", places - 1, value);
        if (!reads_back(dtype, value, strtod(probe, NULL))) continue;
        n = decimal_digits(value, places, digits, &exponent);
        break;
    }
    if (exponent >= 16 || exponent < -4)
        return snprintf(out, TEXT, "%s%c%s%se%+03d", sign, digits[0], n > 1 ? "." : "", digits + 1, exponent);
    if (exponent < 0) return snprintf(out, TEXT, "%s0.%.*s%s", sign, -exponent - 1, "0000", digits);
    if (n <= exponent + 1) return snprintf(out, TEXT, "%s%s%.*s.0", sign, digits, exponent + 1 - n, "0000000000000000");
    return snprintf(out, TEXT, "%s%.*s.%s", sign, exponent + 1, digits, digits + exponent + 1);
}

static int number_text(const sdx_kernels *kernels, sdx_dtype dtype, const void *element, char *out) {
    int64_t whole = 0;
    double real = 0;
    int class = sdx_dtype_class(dtype);
    sdx_cast wide = {.to = class == SDX_CLASS_FLOAT ? SDX_F64 : SDX_I64};
    sdx_cast_numbers(kernels, &wide, dtype, element, class == SDX_CLASS_FLOAT ? (void *)&real : (void *)&whole, 1);
    if (class == SDX_CLASS_FLOAT) return float_text(dtype, real, out);
    if (class == SDX_CLASS_BOOL) return snprintf(out, TEXT, whole ? "True" : "False");
    if (dtype == SDX_U64) return snprintf(out, TEXT, "%" PRIu64, (uint64_t)whole);
    return snprintf(out, TEXT, "%" PRId64, whole);
}

static sdx_status all_to_text(sdx_compute *compute, const sdx_tensor *x, sdx_tensor *y) {
    sdx_string *strings = y->data;
    size_t size = sdx_dtype_size(x->dtype);
    for (int64_t i = 0; i < x->count; i++) {
        char text[TEXT];
        int length = number_text(compute->kernels, x->dtype, (const char *)x->data + (size_t)i * size, text);
        strings[i] = sdx_compute_string(compute, text, (size_t)length);
        if (!strings[i].data) return compute->error->status;
        if (i % 4096 == 0) SDX_TRY(sdx_stop_check(compute->stop, compute->error));
    }
    return SDX_OK;
}

/* One number: an integer when the whole text is one, else a real. */
typedef struct number {
    bool is_whole;
    uint64_t whole; /* two's complement */
    double real;
} number;

static bool same_word(const char *text, const char *word) { return strcasecmp(text, word) == 0; }

static bool parse_number(const char *text, number *out) {
    *out = (number){0};
    char *end = NULL;
    const char *bare = text + (*text == '+' || *text == '-');
    bool infinite = same_word(bare, "inf") || same_word(bare, "infinity");
    if (infinite) out->real = *text == '-' ? -INFINITY : INFINITY;
    if (same_word(bare, "nan")) out->real = NAN;
    if (infinite || isnan(out->real)) return true;
    if (same_word(text, "true") || same_word(text, "false")) {
        out->is_whole = true;
        out->whole = same_word(text, "true");
        return true;
    }
    if (*bare == '\0' || strspn(bare, "0123456789.eE+-") != strlen(bare)) return false;
    out->is_whole = strspn(bare, "0123456789") == strlen(bare);
    if (out->is_whole) out->whole = *text == '-' ? (uint64_t)strtoll(text, NULL, 10) : strtoull(text, NULL, 10);
    out->real = strtod(text, &end);
    return *end == '\0';
}

static sdx_status text_element(sdx_compute *compute, const sdx_cast *cast, sdx_string string, int64_t i, void *out) {
    char text[512], shown[SHOWN];
    const char *from = string.data;
    size_t size = string.size;
    while (size && (*from == ' ' || *from == '\t' || *from == '\n')) from++, size--;
    while (size && (from[size - 1] == ' ' || from[size - 1] == '\t' || from[size - 1] == '\n')) size--;
    bool fits = size < sizeof text && (size == 0 || !memchr(from, 0, size));
    if (fits) {
        if (size) memcpy(text, from, size);
        text[size] = '\0';
    }
    number value;
    if (!fits || !parse_number(text, &value))
        return sdx_fail(compute->error, SDX_VALUE, "element %" PRId64 " of input 'input' is '%s'; it must be a number",
                        i, sdx_escape(shown, sizeof shown, string.data, string.size));
    bool to_float = sdx_dtype_class(cast->to) == SDX_CLASS_FLOAT;
    bool whole = value.is_whole && !to_float;
    const void *parsed = whole ? (const void *)&value.whole : (const void *)&value.real;
    sdx_cast_numbers(compute->kernels, cast, whole ? SDX_I64 : SDX_F64, parsed, out, 1);
    return SDX_OK;
}

static sdx_status all_from_text(sdx_compute *compute, const sdx_cast *cast, const sdx_tensor *x, sdx_tensor *y) {
    size_t size = sdx_dtype_size(y->dtype);
    for (int64_t i = 0; i < x->count; i++) {
        sdx_string string = ((const sdx_string *)x->data)[i];
        SDX_TRY(text_element(compute, cast, string, i, (char *)y->data + (size_t)i * size));
        if (i % 4096 == 0) SDX_TRY(sdx_stop_check(compute->stop, compute->error));
    }
    return SDX_OK;
}

locale_t sdx_c_locale_enter(locale_t *before, sdx_error *error) {
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!plain)
        sdx_fail(error, SDX_OUT_OF_MEMORY, "the C locale cannot be had");
    else
        *before = uselocale(plain);
    return plain;
}

void sdx_c_locale_leave(locale_t plain, locale_t before) {
    uselocale(before);
    freelocale(plain);
}

sdx_status sdx_cast_from_text(sdx_compute *compute, const sdx_cast *cast, const sdx_tensor *x, sdx_tensor *y) {
    locale_t before = (locale_t)0, plain = sdx_c_locale_enter(&before, compute->error);
    if (!plain) return compute->error->status;
    sdx_status status = all_from_text(compute, cast, x, y);
    sdx_c_locale_leave(plain, before);
    return status;
}

sdx_status sdx_cast_to_text(sdx_compute *compute, const sdx_tensor *x, sdx_tensor *y) {
    locale_t before = (locale_t)0, plain = sdx_c_locale_enter(&before, compute->error);
    if (!plain) return compute->error->status;
    sdx_status status = all_to_text(compute, x, y);
    sdx_c_locale_leave(plain, before);
    return status;
}
