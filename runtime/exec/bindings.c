/* SPDX-License-Identifier: Apache-2.0
 * What callers give by name against what a model declares. */
#include "runtime/exec/bindings.h"
#include <string.h>

/* "'a', 'b', 'c'" of at most as many names as there is room for. */
static const char *list_names(const sdx_value_info *infos, size_t n, char *out, size_t capacity) {
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        char name[64];
        sdx_escape(name, sizeof name, infos[i].name, strlen(infos[i].name));
        size_t length = strlen(name);
        if (used + length + 16 > capacity) {
            memcpy(out + used, ", ...", 6);
            break;
        }
        memcpy(out + used, i ? ", '" : "'", i ? 4 : 2);
        used += i ? 3 : 1;
        memcpy(out + used, name, length);
        used += length;
        memcpy(out + used, "'", 2);
        used++;
    }
    return n ? out : "none";
}

/* Index of the binding's name among `infos`; -1 with the error set. */
static int64_t find_name(const char *what, const sdx_binding *binding, size_t position, const sdx_value_info *infos,
                         size_t n, sdx_error *error) {
    if (!binding->name) return sdx_fail(error, SDX_ARGUMENT, "%s binding %zu has no name", what, position), -1;
    for (size_t k = 0; k < n; k++)
        if (strcmp(infos[k].name, binding->name) == 0) return (int64_t)k;
    char name[128], names[512];
    sdx_fail(error, SDX_ARGUMENT, "there is no %s '%s'; the model has %s", what,
             sdx_escape(name, sizeof name, binding->name, strlen(binding->name)),
             list_names(infos, n, names, sizeof names));
    return -1;
}

static bool same_type(const sdx_value_info *info, const sdx_value *value) {
    sdx_dtype dtype = sdx_value_dtype(value);
    bool untyped = dtype == SDX_UNDEFINED && value->n_items == 0; /* an empty sequence from a file does not say */
    if (info->kind != value->kind || (info->dtype != dtype && !untyped)) return false;
    if (value->kind != SDX_TENSOR || info->rank < 0) return true;
    if (info->rank != value->tensor.rank) return false;
    for (int d = 0; d < info->rank; d++)
        if (info->dims[d] >= 0 && info->dims[d] != value->tensor.dim[d]) return false;
    return true;
}

static sdx_type text_type(sdx_kind kind, sdx_dtype dtype, int rank, const int64_t *dims, sdx_type *elem) {
    sdx_type type = {.kind = kind, .dtype = dtype, .rank = rank};
    if (rank > 0) memcpy(type.dim, dims, (size_t)rank * sizeof dims[0]);
    if (kind != SDX_SEQUENCE && kind != SDX_OPTIONAL) return type;
    *elem = sdx_type_make(dtype, -1);
    type.elem = elem;
    return type;
}

static sdx_status check_type(const sdx_value_info *info, const sdx_value *value, sdx_error *error) {
    if (same_type(info, value)) return SDX_OK;
    sdx_type in_elem, model_elem;
    sdx_type in = text_type(value->kind, sdx_value_dtype(value), value->tensor.rank, value->tensor.dim, &in_elem);
    sdx_type takes = text_type(info->kind, info->dtype, info->rank, info->dims, &model_elem);
    bool shape = info->kind == value->kind && info->dtype == sdx_value_dtype(value);
    char name[128], is[256], wants[256];
    return sdx_fail(error, shape ? SDX_SHAPE : SDX_TYPE, "input '%s' is %s; the model takes %s",
                    sdx_escape(name, sizeof name, info->name, strlen(info->name)), sdx_type_text(&in, is, sizeof is),
                    sdx_type_text(&takes, wants, sizeof wants));
}

sdx_status sdx_match_inputs(const sdx_value_info *infos, size_t n, const sdx_binding *in, size_t n_in,
                            sdx_value **inputs, sdx_error *error) {
    for (size_t i = 0; i < n_in; i++) {
        int64_t k = find_name("input", &in[i], i, infos, n, error);
        if (k < 0) return SDX_ARGUMENT;
        if (!in[i].value) return sdx_fail(error, SDX_ARGUMENT, "the value of input '%s' is NULL", in[i].name);
        if (inputs[k]) return sdx_fail(error, SDX_ARGUMENT, "input '%s' is given twice", in[i].name);
        SDX_TRY(check_type(&infos[k], in[i].value, error));
        inputs[k] = in[i].value;
    }
    for (size_t k = 0; k < n; k++) {
        const sdx_value_info *info = &infos[k];
        sdx_type elem, takes = text_type(info->kind, info->dtype, info->rank, info->dims, &elem);
        char name[128], wants[256];
        if (!inputs[k] && !info->has_default)
            return sdx_fail(error, SDX_ARGUMENT, "input '%s' is not given; the model takes %s",
                            sdx_escape(name, sizeof name, info->name, strlen(info->name)),
                            sdx_type_text(&takes, wants, sizeof wants));
    }
    return SDX_OK;
}

sdx_status sdx_match_outputs(const sdx_value_info *infos, size_t n, const sdx_binding *out, size_t n_out, bool *wanted,
                             sdx_error *error) {
    for (size_t i = 0; i < n_out; i++) {
        int64_t k = find_name("output", &out[i], i, infos, n, error);
        if (k < 0) return SDX_ARGUMENT;
        if (wanted[k]) return sdx_fail(error, SDX_ARGUMENT, "output '%s' is asked for twice", out[i].name);
        wanted[k] = true;
    }
    return SDX_OK;
}

void sdx_give_outputs(const sdx_value_info *infos, size_t n, sdx_value *const *results, sdx_binding *out,
                      size_t n_out) {
    for (size_t i = 0; i < n_out; i++) {
        int64_t k = find_name("output", &out[i], i, infos, n, NULL);
        out[i].value = results[k];
    }
}
