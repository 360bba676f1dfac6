/* SPDX-License-Identifier: Apache-2.0
 * The comparison rule of ONNX's own suite; see cli.h. */
#include "tools/cli.h"
#include <inttypes.h>
#include <math.h>
#include <string.h>

static bool same_bytes(const sdx_tensor *a, const sdx_tensor *b, int64_t i) {
    const sdx_string *x = a->data, *y = b->data;
    return x[i].size == y[i].size && (x[i].size == 0 || memcmp(x[i].data, y[i].data, x[i].size) == 0);
}

static bool near(double expected, double found, double distance, double size, const cli_rule *rule) {
    if (isnan(expected) || isnan(found)) return isnan(expected) && isnan(found);
    if (isinf(expected) || isinf(found)) return expected == found;
    return distance <= rule->atol + rule->rtol * size;
}

static bool same_element(const sdx_tensor *expected, const sdx_tensor *found, int64_t i, const cli_rule *rule) {
    if (expected->dtype == SDX_STRING) return same_bytes(expected, found, i);
    double a = 0, ai = 0, b = 0, bi = 0;
    cli_element_parts(found, i, &a, &ai);
    cli_element_parts(expected, i, &b, &bi);
    if (sdx_dtype_class(expected->dtype) != SDX_CLASS_COMPLEX) return near(b, a, fabs(a - b), fabs(b), rule);
    double distance = hypot(a - b, ai - bi), size = hypot(b, bi);
    return near(b, a, distance, size, rule) && near(bi, ai, distance, size, rule);
}

static void place_of(const sdx_tensor *t, int64_t i, char *out, size_t capacity) {
    int64_t index[SDX_MAX_RANK] = {0};
    for (int d = t->rank - 1; d >= 0; d--) {
        index[d] = i % t->dim[d];
        i /= t->dim[d];
    }
    size_t used = 0;
    out[0] = '\0';
    for (int d = 0; d < t->rank && used + 1 < capacity; d++) {
        int n = snprintf(out + used, capacity - used, "%s%" PRId64, d ? "," : "", index[d]);
        used += n > 0 ? (size_t)n : 0;
    }
}

static bool compare_tensors(const sdx_tensor *expected, const sdx_tensor *found, const cli_rule *rule, char *why,
                            size_t capacity) {
    char a[256], b[256], place[256];
    if (expected->dtype != found->dtype || expected->rank != found->rank ||
        memcmp(expected->dim, found->dim, (size_t)expected->rank * sizeof expected->dim[0]) != 0) {
        snprintf(why, capacity, "is %s; %s is expected", sdx_tensor_text(found, b, sizeof b),
                 sdx_tensor_text(expected, a, sizeof a));
        return false;
    }
    cli_rule scaled = *rule;
    if (expected->dtype == SDX_BF16) scaled.rtol = fmax(rule->rtol, rule->rtol_bf16);
    int64_t wrong = 0, first = -1;
    for (int64_t i = 0; i < expected->count && !rule->shape_only; i++) {
        if (same_element(expected, found, i, &scaled)) continue;
        if (wrong++ == 0) first = i;
    }
    if (wrong == 0) return true;
    cli_element_text(found, first, b, sizeof b);
    cli_element_text(expected, first, a, sizeof a);
    place_of(expected, first, place, sizeof place);
    snprintf(why, capacity, "element [%s] is %s; %s is expected (%" PRId64 " of %" PRId64 " differ)", place, b, a,
             wrong, expected->count);
    return false;
}

bool cli_compare(const sdx_value *expected, const sdx_value *found, const cli_rule *rule, char *why, size_t capacity) {
    static const char *const kinds[] = {"nothing", "a tensor", "a sequence", "an optional", "a map", "a sparse tensor"};
    if (sdx_value_kind(expected) != sdx_value_kind(found)) {
        snprintf(why, capacity, "is %s; %s is expected", kinds[sdx_value_kind(found)], kinds[sdx_value_kind(expected)]);
        return false;
    }
    if (sdx_value_kind(expected) == SDX_TENSOR)
        return compare_tensors(&expected->tensor, &found->tensor, rule, why, capacity);
    size_t n = sdx_value_item_count(expected);
    if (n != sdx_value_item_count(found)) {
        snprintf(why, capacity, "has %zu items; %zu are expected", sdx_value_item_count(found), n);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        char inner[512];
        if (cli_compare(sdx_value_item(expected, i), sdx_value_item(found, i), rule, inner, sizeof inner)) continue;
        snprintf(why, capacity, "item %zu: %s", i, inner);
        return false;
    }
    return true;
}
