/* SPDX-License-Identifier: Apache-2.0
 * Version rows as text -> structs. seq(a|b) stands for seq(a)|seq(b), and opt(seq(a)|b) for opt(seq(a))|opt(b).
 * The text is our own, so the parser stops at the first thing it does not know and says where. */
#include "ops/registry.h"
#include <stdlib.h>
#include <string.h>

typedef struct parser {
    const sdx_op_version *version;
    sdx_arena *arena;
    sdx_error *error;
    sdx_row *row;
} parser;

static sdx_status bad(const parser *p, const char *what, const char *at) {
    return sdx_fail(p->error, SDX_MALFORMED, "row of version %d: %s at '%.40s'", p->version->since, what, at);
}

static size_t word_length(const char *text, const char *stops) { return strcspn(text, stops); }

static const char *skip_spaces(const char *text) { return text + strspn(text, " "); }

static int count_words(const char *text) {
    int n = 0;
    for (text = skip_spaces(text); *text; text = skip_spaces(text + word_length(text, " "))) n++;
    return n;
}

/* ---- types ---- */

typedef struct type_list {
    sdx_row_type *types;
    int n;
} type_list;

static bool starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

static sdx_dtype dtype_at(const char **text) {
    size_t length = word_length(*text, "|),?* ");
    sdx_dtype dtype = sdx_dtype_parse(*text, length);
    *text += length;
    return dtype;
}

static sdx_row_type wrapped(sdx_row_type leaf, const sdx_kind *wraps, int n_wraps) {
    bool in_map = leaf.kind == SDX_MAP;
    if (n_wraps == 0) return leaf;
    leaf.of_map = in_map;
    leaf.of_sequence = n_wraps == 2;
    leaf.kind = wraps[0];
    return leaf;
}

/* Reads alternatives up to the closing parenthesis of `n_wraps` enclosing words, or the end of the word. */
static sdx_status parse_types(parser *p, const char **text, sdx_kind *wraps, int n_wraps, type_list *list) {
    for (;; (*text)++) {
        const char *at = *text;
        bool seq = starts(at, "seq("), opt = starts(at, "opt(");
        if (seq || opt) {
            if (n_wraps == 2) return bad(p, "a type is nested too deeply", at);
            wraps[n_wraps] = seq ? SDX_SEQUENCE : SDX_OPTIONAL;
            *text += 4;
            SDX_TRY(parse_types(p, text, wraps, n_wraps + 1, list));
            if (*(*text)++ != ')') return bad(p, "')' is missing", at);
        } else {
            bool map = starts(at, "map("), sparse = starts(at, "sparse(");
            sdx_row_type leaf = {.kind = map ? SDX_MAP : sparse ? SDX_SPARSE_TENSOR : SDX_TENSOR};
            *text += map ? 4 : sparse ? 7 : 0;
            if (map) {
                leaf.key = dtype_at(text);
                if (leaf.key == SDX_UNDEFINED || *(*text)++ != ',') return bad(p, "a map's key type is wrong", at);
            }
            leaf.dtype = dtype_at(text);
            if (leaf.dtype == SDX_UNDEFINED) return bad(p, "no type of that name", at);
            if ((map || sparse) && *(*text)++ != ')') return bad(p, "')' is missing", at);
            list->types[list->n++] = wrapped(leaf, wraps, n_wraps);
        }
        if (**text != '|') return SDX_OK;
    }
}

static int count_alternatives(const char *text) {
    int n = 1;
    for (; *text && *text != ' '; text++) n += *text == '|';
    return n;
}

static sdx_status parse_type_list(parser *p, const char **text, const sdx_row_type **types, int *n) {
    sdx_kind wraps[2] = {SDX_TENSOR, SDX_TENSOR};
    type_list list = {SDX_NEW_ARRAY(p->arena, sdx_row_type, count_alternatives(*text), p->error), 0};
    if (!list.types) return SDX_OUT_OF_MEMORY;
    SDX_TRY(parse_types(p, text, wraps, 0, &list));
    *types = list.types;
    *n = list.n;
    return SDX_OK;
}

static sdx_status parse_variables(parser *p) {
    const char *text = p->version->types;
    int n = count_words(text);
    sdx_row_variable *variables = SDX_NEW_ARRAY(p->arena, sdx_row_variable, n, p->error);
    if (!variables) return SDX_OUT_OF_MEMORY;
    text = skip_spaces(text);
    for (int k = 0; k < n; k++) {
        size_t length = word_length(text, "= ");
        variables[k].name = sdx_arena_copy(p->arena, text, length, p->error);
        if (!variables[k].name) return SDX_OUT_OF_MEMORY;
        text += length;
        if (*text++ != '=') return bad(p, "'=' is missing", text - 1);
        SDX_TRY(parse_type_list(p, &text, &variables[k].types, &variables[k].n_types));
        if (*text && *text != ' ') return bad(p, "a type list ends wrongly", text);
        text = skip_spaces(text);
    }
    p->row->n_variables = n;
    p->row->variables = variables;
    return SDX_OK;
}

/* ---- arguments ---- */

static int find_variable(const parser *p, const char *name, size_t length) {
    for (int k = 0; k < p->row->n_variables; k++) {
        const char *have = p->row->variables[k].name;
        if (strlen(have) == length && memcmp(have, name, length) == 0) return k;
    }
    return -1;
}

static sdx_status parse_arg_type(parser *p, const char **text, sdx_row_arg *arg) {
    const char *at = *text, *name = at;
    bool seq = starts(at, "seq("), opt = starts(at, "opt(");
    if (seq || opt) name += 4;
    arg->variable = -1;
    if (*name >= 'A' && *name <= 'Z') {
        size_t length = word_length(name, ")?* ");
        arg->variable = find_variable(p, name, length);
        if (arg->variable < 0) return bad(p, "no type variable of that name", name);
        if (seq || opt) arg->wrap = seq ? SDX_SEQUENCE : SDX_OPTIONAL;
        *text = name + length;
        if ((seq || opt) && *(*text)++ != ')') return bad(p, "')' is missing", at);
        return SDX_OK;
    }
    const sdx_row_type *types = NULL;
    int n = 0;
    SDX_TRY(parse_type_list(p, text, &types, &n));
    if (n != 1) return bad(p, "a fixed type has one alternative", at);
    arg->type = types[0];
    return SDX_OK;
}

static sdx_status parse_arg(parser *p, const char **text, sdx_row_arg *arg) {
    size_t length = word_length(*text, ": ");
    arg->name = sdx_arena_copy(p->arena, *text, length, p->error);
    if (!arg->name) return SDX_OUT_OF_MEMORY;
    *text += length;
    if (*(*text)++ != ':') return bad(p, "':' is missing", *text - 1);
    SDX_TRY(parse_arg_type(p, text, arg));
    if (**text == '?') {
        arg->optional = true;
        (*text)++;
    } else if (**text == '*') {
        arg->variadic = true;
        arg->heterogeneous = (*text)[1] == '*';
        *text += arg->heterogeneous ? 2 : 1;
        arg->least = **text == '0' ? 0 : 1;
        *text += **text == '0';
    }
    if (**text && **text != ' ') return bad(p, "an argument ends wrongly", *text);
    *text = skip_spaces(*text);
    return SDX_OK;
}

static sdx_status parse_signature(parser *p) {
    const char *text = skip_spaces(p->version->signature), *arrow = strstr(text, "->");
    if (!arrow) return bad(p, "'->' is missing", text);
    int n_out = count_words(arrow + 2), n_in = count_words(text) - n_out - 1;
    sdx_row_arg *in = SDX_NEW_ARRAY(p->arena, sdx_row_arg, n_in, p->error);
    sdx_row_arg *out = SDX_NEW_ARRAY(p->arena, sdx_row_arg, n_out, p->error);
    if (!in || !out) return SDX_OUT_OF_MEMORY;
    for (int k = 0; k < n_in; k++) SDX_TRY(parse_arg(p, &text, &in[k]));
    text = skip_spaces(arrow + 2);
    for (int k = 0; k < n_out; k++) SDX_TRY(parse_arg(p, &text, &out[k]));
    p->row->n_in = n_in;
    p->row->n_out = n_out;
    p->row->in = in;
    p->row->out = out;
    return SDX_OK;
}

/* ---- attributes ---- */

static const struct {
    const char *name;
    sdx_attr_type type;
} attr_types[] = {
    {"float", SDX_ATTR_FLOAT},   {"int", SDX_ATTR_INT},         {"string", SDX_ATTR_STRING},
    {"tensor", SDX_ATTR_TENSOR}, {"graph", SDX_ATTR_GRAPH},     {"floats", SDX_ATTR_FLOATS},
    {"ints", SDX_ATTR_INTS},     {"strings", SDX_ATTR_STRINGS}, {"sparse", SDX_ATTR_SPARSE_TENSOR},
    {"type", SDX_ATTR_TYPE},     {"graphs", SDX_ATTR_GRAPHS},   {"tensors", SDX_ATTR_TENSORS},
};

/* Decimal text, independent of the locale: one rounding where the digits and the power of ten are exact doubles. */
static double parse_number(const char **text) {
    double value = 0, power = 1;
    int exponent = 0;
    const char *t = *text;
    bool negative = *t == '-';
    t += *t == '-' || *t == '+';
    for (; *t >= '0' && *t <= '9'; t++) value = value * 10 + (*t - '0');
    if (*t == '.')
        for (t++; *t >= '0' && *t <= '9'; t++, exponent--) value = value * 10 + (*t - '0');
    if (*t == 'e') {
        bool down = t[1] == '-';
        int digits = 0;
        for (t += t[1] == '-' || t[1] == '+' ? 2 : 1; *t >= '0' && *t <= '9'; t++) digits = digits * 10 + (*t - '0');
        exponent += down ? -digits : digits;
    }
    for (int k = 0; k < (exponent < 0 ? -exponent : exponent); k++) power *= 10;
    value = exponent < 0 ? value / power : value * power;
    *text = t;
    return negative ? -value : value;
}

static int count_items(const char *text) {
    int n = text[1] == ']' ? 0 : 1;
    for (; *text && *text != ']'; text++) n += *text == ',';
    return n;
}

static sdx_status parse_string(parser *p, const char **text, const char *stops, sdx_string *out) {
    size_t length = word_length(*text, stops);
    *out = (sdx_string){sdx_arena_copy(p->arena, *text, length, p->error), length};
    *text += length;
    return out->data ? SDX_OK : SDX_OUT_OF_MEMORY;
}

/* "[a,b]" of floats, ints or strings. */
static sdx_status parse_list_default(parser *p, const char **text, sdx_attr *attr) {
    const char *at = *text;
    int n = count_items(at);
    if (*at != '[') return bad(p, "a list default begins with '['", at);
    float *floats = SDX_NEW_ARRAY(p->arena, float, n, p->error);
    int64_t *ints = SDX_NEW_ARRAY(p->arena, int64_t, n, p->error);
    sdx_string *strings = SDX_NEW_ARRAY(p->arena, sdx_string, n, p->error);
    if (!floats || !ints || !strings) return SDX_OUT_OF_MEMORY;
    (*text)++;
    for (int k = 0; k < n; k++) {
        if (k && *(*text)++ != ',') return bad(p, "',' is missing", at);
        if (attr->type == SDX_ATTR_FLOATS)
            floats[k] = (float)parse_number(text);
        else if (attr->type == SDX_ATTR_INTS)
            ints[k] = (int64_t)parse_number(text);
        else
            SDX_TRY(parse_string(p, text, ",]", &strings[k]));
    }
    if (*(*text)++ != ']') return bad(p, "']' is missing", at);
    attr->n = (size_t)n;
    if (attr->type == SDX_ATTR_FLOATS)
        attr->floats = floats;
    else if (attr->type == SDX_ATTR_INTS)
        attr->ints = ints;
    else
        attr->strings = strings;
    return SDX_OK;
}

static sdx_status parse_default(parser *p, const char **text, sdx_attr *attr) {
    if (attr->type == SDX_ATTR_FLOAT)
        attr->f = (float)parse_number(text);
    else if (attr->type == SDX_ATTR_INT)
        attr->i = (int64_t)parse_number(text);
    else if (attr->type == SDX_ATTR_STRING)
        return parse_string(p, text, " ", &attr->s);
    else if (attr->type == SDX_ATTR_FLOATS || attr->type == SDX_ATTR_INTS || attr->type == SDX_ATTR_STRINGS)
        return parse_list_default(p, text, attr);
    else
        return bad(p, "this attribute type has no default", *text);
    return SDX_OK;
}

static sdx_status parse_attr(parser *p, const char **text, sdx_row_attr *out) {
    size_t length = word_length(*text, ": "), type_length = 0;
    sdx_attr *attr = &out->attr;
    attr->name = sdx_arena_copy(p->arena, *text, length, p->error);
    if (!attr->name) return SDX_OUT_OF_MEMORY;
    *text += length;
    if (*(*text)++ != ':') return bad(p, "':' is missing", *text - 1);
    type_length = word_length(*text, "=! ");
    for (size_t k = 0; k < sizeof attr_types / sizeof attr_types[0]; k++)
        if (strlen(attr_types[k].name) == type_length && starts(*text, attr_types[k].name))
            attr->type = attr_types[k].type;
    if (!attr->type) return bad(p, "no attribute type of that name", *text);
    *text += type_length;
    attr->n = 1;
    out->required = **text == '!';
    out->has_default = **text == '=';
    *text += out->required || out->has_default;
    if (out->has_default) SDX_TRY(parse_default(p, text, attr));
    if (**text && **text != ' ') return bad(p, "an attribute ends wrongly", *text);
    *text = skip_spaces(*text);
    return SDX_OK;
}

static sdx_status parse_attrs(parser *p) {
    const char *text = skip_spaces(p->version->attributes);
    int n = count_words(text);
    sdx_row_attr *attrs = SDX_NEW_ARRAY(p->arena, sdx_row_attr, n, p->error);
    if (!attrs) return SDX_OUT_OF_MEMORY;
    for (int k = 0; k < n; k++) SDX_TRY(parse_attr(p, &text, &attrs[k]));
    p->row->n_attrs = n;
    p->row->attrs = attrs;
    return SDX_OK;
}

sdx_status sdx_row_parse(const sdx_op_version *version, sdx_arena *arena, sdx_error *error, const sdx_row **out) {
    *out = NULL;
    parser p = {version, arena, error, SDX_NEW(arena, sdx_row, error)};
    if (!p.row) return SDX_OUT_OF_MEMORY;
    p.row->since = version->since;
    p.row->version = version;
    SDX_TRY(parse_variables(&p));
    SDX_TRY(parse_signature(&p));
    SDX_TRY(parse_attrs(&p));
    *out = p.row;
    return SDX_OK;
}

const sdx_row_attr *sdx_row_attr_of(const sdx_row *row, const char *name) {
    for (int k = 0; k < row->n_attrs; k++)
        if (strcmp(row->attrs[k].attr.name, name) == 0) return &row->attrs[k];
    return NULL;
}
