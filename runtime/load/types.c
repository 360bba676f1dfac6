/* SPDX-License-Identifier: Apache-2.0
 * Type variables of a row: bound by the inputs in turn, then given to the outputs. What is unknown matches anything. */
#include "runtime/load/internal.h"
#include <stdio.h>
#include <string.h>

/* A type without its shape. deep: nested in a way that no row knows. */
typedef struct flat {
    sdx_row_type type;
    bool deep;
} flat;

static flat flatten(const sdx_type *type) {
    flat f = {.type = {.kind = type->kind, .dtype = type->dtype, .key = type->key}};
    if (type->kind != SDX_SEQUENCE && type->kind != SDX_OPTIONAL) return f;
    const sdx_type *elem = type->elem;
    if (type->kind == SDX_OPTIONAL && elem && elem->kind == SDX_SEQUENCE) {
        f.type.of_sequence = true;
        elem = elem->elem;
    }
    if (!elem || elem->kind == 0) return f;
    f.type.of_map = elem->kind == SDX_MAP;
    f.type.dtype = elem->dtype;
    f.type.key = elem->key;
    f.deep = elem->kind == SDX_SEQUENCE || elem->kind == SDX_OPTIONAL;
    return f;
}

static bool dtype_fits(sdx_dtype a, sdx_dtype b) { return a == SDX_UNDEFINED || b == SDX_UNDEFINED || a == b; }

static bool fits(const sdx_row_type *a, const sdx_row_type *b) {
    if (a->kind == 0 || b->kind == 0) return true;
    if (a->kind != b->kind || !dtype_fits(a->dtype, b->dtype)) return false;
    if (a->dtype == SDX_UNDEFINED || b->dtype == SDX_UNDEFINED) return true;
    return a->of_sequence == b->of_sequence && a->of_map == b->of_map && dtype_fits(a->key, b->key);
}

static size_t put_type(char *out, size_t capacity, const sdx_row_type *type) {
    const char *dtype = sdx_dtype_name(type->dtype);
    char map[48];
    if (type->of_map || type->kind == SDX_MAP) {
        snprintf(map, sizeof map, "map(%s,%s)", sdx_dtype_name(type->key), dtype);
        dtype = map;
    }
    const char *open = type->kind == SDX_SEQUENCE        ? "seq("
                       : type->kind == SDX_OPTIONAL      ? type->of_sequence ? "opt(seq(" : "opt("
                       : type->kind == SDX_SPARSE_TENSOR ? "sparse("
                                                         : "";
    const char *close = !*open ? "" : type->kind == SDX_OPTIONAL && type->of_sequence ? "))" : ")";
    int n = snprintf(out, capacity, "%s%s%s", open, dtype, close);
    return n < 0 ? 0 : (size_t)n;
}

static const char *list_text(const sdx_row_type *types, int n, char *out, size_t capacity) {
    size_t used = 0;
    out[0] = '\0';
    for (int k = 0; k < n; k++) {
        if (used + 48 > capacity) {
            snprintf(out + used, capacity - used, "|...");
            return out;
        }
        if (k) out[used++] = '|';
        used += put_type(out + used, capacity - used, &types[k]);
    }
    return out;
}

const sdx_row_arg *sdx_load_arg(const sdx_row_arg *args, int n, int k) {
    if (k < n) return &args[k];
    return n && args[n - 1].variadic ? &args[n - 1] : NULL;
}

/* ---- checking one argument ---- */

/* What the argument's type stands for where its variable does: the element under wrap. */
static bool unwrapped(const sdx_row_arg *arg, const sdx_type **type) {
    if (!arg->wrap || (*type)->kind == 0) return true;
    if ((*type)->kind != arg->wrap) return false;
    static const sdx_type unknown = {.rank = -1};
    *type = (*type)->elem ? (*type)->elem : &unknown;
    return true;
}

static sdx_status not_allowed(const char *side, const sdx_row_arg *arg, const flat *have, const char *variable,
                              const sdx_row_type *types, int n, sdx_error *error) {
    char found[96], allowed[400];
    if (have->deep)
        snprintf(found, sizeof found, "nested too deeply");
    else
        put_type(found, sizeof found, &have->type);
    list_text(types, n, allowed, sizeof allowed);
    if (variable)
        return sdx_fail(error, SDX_TYPE, "%s '%s' is %s; %s allows %s", side, arg->name, found, variable, allowed);
    return sdx_fail(error, SDX_TYPE, "%s '%s' is %s; it must be %s", side, arg->name, found, allowed);
}

static sdx_status check_arg(const sdx_row *row, const char *side, const sdx_row_arg *arg, const sdx_type *type,
                            flat *out, sdx_error *error) {
    if (!unwrapped(arg, &type)) {
        flat whole = flatten(type);
        char found[96];
        put_type(found, sizeof found, &whole.type);
        return sdx_fail(error, SDX_TYPE, "%s '%s' is %s; it must be %s of %s", side, arg->name, found,
                        arg->wrap == SDX_SEQUENCE ? "a sequence" : "an optional", row->variables[arg->variable].name);
    }
    *out = flatten(type);
    if (out->type.kind == 0) return SDX_OK;
    const sdx_row_variable *variable = arg->variable < 0 ? NULL : &row->variables[arg->variable];
    const sdx_row_type *types = variable ? variable->types : &arg->type;
    int n = variable ? variable->n_types : 1;
    for (int k = 0; k < n && !out->deep; k++)
        if (fits(&types[k], &out->type)) return SDX_OK;
    return not_allowed(side, arg, out, variable ? variable->name : NULL, types, n, error);
}

/* ---- binding variables ---- */

typedef struct binding {
    sdx_row_type type; /* kind 0: not bound yet */
    const char *name;  /* of the input that bound it */
} binding;

static sdx_status bind_variable(const sdx_row *row, const sdx_row_arg *arg, const flat *have, binding *bound,
                                sdx_error *error) {
    if (bound->type.kind && !fits(&bound->type, &have->type)) {
        char found[96], before[96];
        put_type(found, sizeof found, &have->type);
        put_type(before, sizeof before, &bound->type);
        return sdx_fail(error, SDX_TYPE, "input '%s' is %s, but '%s' is %s; both are %s and must be the same",
                        arg->name, found, bound->name, before, row->variables[arg->variable].name);
    }
    if (!bound->type.kind || bound->type.dtype == SDX_UNDEFINED) *bound = (binding){have->type, arg->name};
    return SDX_OK;
}

/* The type as inference sees it, rank unknown. */
static sdx_status expand(const sdx_row_type *from, sdx_arena *arena, sdx_error *error, sdx_type *to) {
    bool nested = from->kind == SDX_SEQUENCE || from->kind == SDX_OPTIONAL;
    *to = (sdx_type){.kind = from->kind, .dtype = from->dtype, .key = from->key, .rank = -1};
    if (!nested) return SDX_OK;
    to->dtype = SDX_UNDEFINED;
    to->key = SDX_UNDEFINED;
    if (from->dtype == SDX_UNDEFINED) return SDX_OK;
    sdx_type *elem = SDX_NEW(arena, sdx_type, error);
    if (!elem) return SDX_OUT_OF_MEMORY;
    to->elem = elem;
    sdx_row_type inner = {.kind = from->of_map ? SDX_MAP : SDX_TENSOR, .dtype = from->dtype, .key = from->key};
    if (from->kind == SDX_OPTIONAL && from->of_sequence) {
        inner.kind = SDX_SEQUENCE;
        inner.of_map = from->of_map;
    }
    return expand(&inner, arena, error, elem);
}

static sdx_status preset(const sdx_row *row, const sdx_row_arg *arg, const binding *bound, sdx_arena *arena,
                         sdx_error *error, sdx_type *out) {
    *out = (sdx_type){.rank = -1};
    if (arg->heterogeneous) return SDX_OK;
    if (arg->variable < 0) return expand(&arg->type, arena, error, out);
    const sdx_row_variable *variable = &row->variables[arg->variable];
    const sdx_row_type *from = &bound[arg->variable].type;
    if (!from->kind && variable->n_types == 1) from = &variable->types[0];
    if (!arg->wrap) return from->kind ? expand(from, arena, error, out) : SDX_OK;
    sdx_type *elem = SDX_NEW(arena, sdx_type, error);
    if (!elem) return SDX_OUT_OF_MEMORY;
    elem->rank = -1;
    out->kind = arg->wrap;
    out->elem = elem;
    return from->kind ? expand(from, arena, error, elem) : SDX_OK;
}

sdx_status sdx_load_unify(const sdx_row *row, int n_in, const sdx_type *const *in, int n_out, sdx_type *out,
                          sdx_arena *arena, sdx_error *error) {
    binding bound[8] = {{{0}, NULL}};
    if (row->n_variables > 8) return sdx_fail(error, SDX_MALFORMED, "row has more than 8 type variables");
    for (int k = 0; k < n_in; k++) {
        const sdx_row_arg *arg = sdx_load_arg(row->in, row->n_in, k);
        flat have = {.deep = false};
        if (!arg || !in[k]) continue;
        SDX_TRY(check_arg(row, "input", arg, in[k], &have, error));
        if (arg->variable >= 0 && !arg->heterogeneous && have.type.kind)
            SDX_TRY(bind_variable(row, arg, &have, &bound[arg->variable], error));
    }
    for (int k = 0; k < n_out; k++) {
        const sdx_row_arg *arg = sdx_load_arg(row->out, row->n_out, k);
        if (arg) SDX_TRY(preset(row, arg, bound, arena, error, &out[k]));
    }
    return SDX_OK;
}

sdx_status sdx_load_check_outputs(const sdx_row *row, int n_out, const sdx_type *out, sdx_error *error) {
    for (int k = 0; k < n_out; k++) {
        const sdx_row_arg *arg = sdx_load_arg(row->out, row->n_out, k);
        flat have = {.deep = false};
        if (arg) SDX_TRY(check_arg(row, "output", arg, &out[k], &have, error));
    }
    return SDX_OK;
}

/* ---- declared against inferred ---- */

static bool merge_dims(const sdx_type *declared, const sdx_type *inferred, bool strict, sdx_type *merged) {
    if (merged->rank < 0) {
        merged->rank = declared->rank;
        memcpy(merged->dim, declared->dim, sizeof merged->dim);
        return true;
    }
    if (declared->rank < 0) return true;
    if (declared->rank != inferred->rank) return !strict;
    for (int d = 0; d < merged->rank; d++) {
        if (strict && declared->dim[d] >= 0 && inferred->dim[d] >= 0 && declared->dim[d] != inferred->dim[d])
            return false;
        if (merged->dim[d] < 0 && (declared->dim[d] >= 0 || merged->dim[d] == -1)) merged->dim[d] = declared->dim[d];
    }
    return true;
}

bool sdx_load_merge_types(const sdx_type *declared, const sdx_type *inferred, bool dims, sdx_type *merged) {
    *merged = inferred->kind ? *inferred : *declared;
    if (!declared->kind || !inferred->kind) return true;
    if (declared->kind != inferred->kind) return false;
    if (!dtype_fits(declared->dtype, inferred->dtype) || !dtype_fits(declared->key, inferred->key)) return false;
    if (!merged->dtype) merged->dtype = declared->dtype;
    if (!merged->key) merged->key = declared->key;
    if (merged->kind == SDX_TENSOR || merged->kind == SDX_SPARSE_TENSOR)
        return merge_dims(declared, inferred, dims, merged);
    flat a = flatten(declared), b = flatten(inferred);
    if (!merged->elem || b.type.dtype == SDX_UNDEFINED) merged->elem = declared->elem;
    return fits(&a.type, &b.type);
}
