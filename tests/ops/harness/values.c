/* SPDX-License-Identifier: Apache-2.0
 * Elements to and from double for every dtype, "T[2,C]=normal" to a tensor, and comparison. */
#include "runtime/base/half.h"
#include "tests/ops/harness/harness.h"
#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void say(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fflush(stdout);
}

uint64_t next_random(uint64_t *state) {
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

double next_uniform(uint64_t *state) { return (double)(next_random(state) >> 11) * 0x1p-53; }

static double next_normal(uint64_t *state) {
    double radius = sqrt(-2 * log(1 - next_uniform(state)));
    return radius * cos(6.283185307179586 * next_uniform(state));
}

/* ---- elements ------------------------------------------------------------------------------------------------ */

double decode(sdx_dtype dtype, const void *data, int64_t i) {
    switch ((int)dtype) {
    case SDX_F32:
    case SDX_C64: return (double)((const float *)data)[dtype == SDX_C64 ? 2 * i : i];
    case SDX_F64:
    case SDX_C128: return ((const double *)data)[dtype == SDX_C128 ? 2 * i : i];
    case SDX_F16: return (double)sdx_f32_from_f16(((const uint16_t *)data)[i]);
    case SDX_BF16: return (double)sdx_f32_from_bf16(((const uint16_t *)data)[i]);
    case SDX_BOOL:
    case SDX_U8:
    case SDX_U4:
    case SDX_U2: return ((const uint8_t *)data)[i];
    case SDX_I8:
    case SDX_I4:
    case SDX_I2: return ((const int8_t *)data)[i];
    case SDX_U16: return ((const uint16_t *)data)[i];
    case SDX_I16: return ((const int16_t *)data)[i];
    case SDX_U32: return ((const uint32_t *)data)[i];
    case SDX_I32: return ((const int32_t *)data)[i];
    case SDX_U64: return (double)((const uint64_t *)data)[i];
    case SDX_I64: return (double)((const int64_t *)data)[i];
    case SDX_STRING: return 0;
    default: return (double)sdx_f32_from_f8(dtype, ((const uint8_t *)data)[i]);
    }
}

static double clamp(double v, double low, double high) { return v < low ? low : v > high ? high : v; }

static void encode_signed(sdx_dtype dtype, void *data, int64_t i, double value) {
    int bits = sdx_dtype_bits(dtype);
    double limit = ldexp(1, bits - 1);
    int64_t v = isnan(value) ? 0 : value >= 0x1p63 ? INT64_MAX : value <= -0x1p63 ? INT64_MIN : (int64_t)value;
    if (bits < 64) v = (int64_t)clamp((double)v, -limit, limit - 1);
    if (dtype == SDX_I64)
        ((int64_t *)data)[i] = v;
    else if (dtype == SDX_I32)
        ((int32_t *)data)[i] = (int32_t)v;
    else if (dtype == SDX_I16)
        ((int16_t *)data)[i] = (int16_t)v;
    else
        ((int8_t *)data)[i] = (int8_t)v;
}

static void encode_unsigned(sdx_dtype dtype, void *data, int64_t i, double value) {
    int bits = sdx_dtype_bits(dtype);
    double limit = ldexp(1, bits);
    uint64_t v = isnan(value) || value < 0 ? 0 : value >= 0x1p64 ? UINT64_MAX : (uint64_t)value;
    if (bits < 64) v = (uint64_t)clamp((double)v, 0, limit - 1);
    if (dtype == SDX_U64)
        ((uint64_t *)data)[i] = v;
    else if (dtype == SDX_U32)
        ((uint32_t *)data)[i] = (uint32_t)v;
    else if (dtype == SDX_U16)
        ((uint16_t *)data)[i] = (uint16_t)v;
    else
        ((uint8_t *)data)[i] = (uint8_t)v;
}

/* Complex numbers take (v, -v/2), so that moving one without its other half is seen. */
static void encode_float(sdx_dtype dtype, void *data, int64_t i, double value) {
    switch ((int)dtype) {
    case SDX_F32: ((float *)data)[i] = (float)value; break;
    case SDX_F64: ((double *)data)[i] = value; break;
    case SDX_C64: ((float *)data)[2 * i] = (float)value, ((float *)data)[2 * i + 1] = (float)(-value / 2); break;
    case SDX_C128: ((double *)data)[2 * i] = value, ((double *)data)[2 * i + 1] = -value / 2; break;
    case SDX_F16: ((uint16_t *)data)[i] = sdx_f16_from_f64(value); break;
    case SDX_BF16: ((uint16_t *)data)[i] = sdx_bf16_from_f64(value); break;
    case SDX_F8E8M0: ((uint8_t *)data)[i] = sdx_f8e8m0_from_f32((float)fabs(value), true, SDX_ROUND_NEAREST); break;
    default: ((uint8_t *)data)[i] = sdx_f8_from_f32(dtype, (float)value, true); break;
    }
}

void encode(sdx_dtype dtype, void *data, int64_t i, double value) {
    switch (sdx_dtype_class(dtype)) {
    case SDX_CLASS_SIGNED: encode_signed(dtype, data, i, value); break;
    case SDX_CLASS_UNSIGNED: encode_unsigned(dtype, data, i, value); break;
    case SDX_CLASS_BOOL: ((uint8_t *)data)[i] = value != 0; break;
    default: encode_float(dtype, data, i, value); break;
    }
}

/* ---- texts --------------------------------------------------------------------------------------------------- */

static bool read_number(stage *s, const char **text, int64_t *out) {
    if (isdigit((unsigned char)**text) || **text == '-') {
        char *end;
        *out = strtoll(*text, &end, 10);
        *text = end;
        return true;
    }
    size_t n = 0;
    while (isalnum((unsigned char)(*text)[n]) || (*text)[n] == '_') n++;
    for (int k = 0; k < s->set.n_letters; k++)
        if (strlen(s->set.letter[k].name) == n && strncmp(s->set.letter[k].name, *text, n) == 0) {
            *out = s->set.letter[k].value;
            *text += n;
            return true;
        }
    say("%s: a dimension is neither a number nor a letter of 'dims' at '%s'\n", s->label, *text);
    return false;
}

/* "2*C+1", from left to right */
static bool read_extent(stage *s, const char **text, int64_t *out) {
    if (!read_number(s, text, out)) return false;
    while (**text == '*' || **text == '+') {
        bool times = *(*text)++ == '*';
        int64_t right;
        if (!read_number(s, text, &right)) return false;
        *out = times ? *out * right : *out + right;
    }
    return true;
}

static bool read_dtype(stage *s, const char **text, sdx_dtype *out) {
    size_t n = strcspn(*text, "[= ");
    *out = sdx_dtype_parse(*text, n);
    for (int k = 0; s->set.row && k < s->set.row->n_variables; k++) {
        const char *name = s->set.row->variables[k].name;
        if (strlen(name) == n && strncmp(name, *text, n) == 0) *out = s->set.dtype[k];
    }
    if (*out == SDX_UNDEFINED) say("%s: no dtype or type variable at '%s'\n", s->label, *text);
    *text += n;
    return *out != SDX_UNDEFINED;
}

void ref_shape(stage *s, sdx_ref *ref, int rank, const int64_t *dims) {
    ref->rank = rank;
    ref->count = 1;
    for (int d = 0; d < rank; d++) ref->count *= ref->dim[d] = dims[d];
    ref->v = SDX_NEW_ARRAY(&s->arena, double, ref->count + 1, NULL);
    ref->s = NULL;
}

/* Values for "normal", "uniform(-1,1)", "ints(0,4)", "range", "range(3,-1)", "const(2)", "bool", "special". */
static bool fill(stage *s, const char **text, sdx_ref *ref) {
    static const double special[] = {NAN, INFINITY, -INFINITY, -0.0, 0.0, 1e-40, -3e38, 1e30, -1e-30, 65504, -7};
    char name[16] = "";
    double a = 0, b = 1;
    size_t n = strcspn(*text, "( ");
    memcpy(name, *text, n < sizeof name - 1 ? n : sizeof name - 1);
    *text += n;
    int given = 0;
    if (**text == '(') {
        given = sscanf(*text, "(%lf,%lf)", &a, &b);
        *text += strcspn(*text, ")") + 1;
    }
    bool integral = sdx_dtype_class(ref->dtype) != SDX_CLASS_FLOAT && sdx_dtype_class(ref->dtype) != SDX_CLASS_COMPLEX;
    uint64_t *random = &s->set.seed;
    for (int64_t k = 0; k < ref->count; k++) {
        double u = next_uniform(random), *v = &ref->v[k];
        if (!strcmp(name, "normal"))
            *v = next_normal(random) * (integral ? 10 : 1);
        else if (!strcmp(name, "uniform"))
            *v = a + (b - a) * u;
        else if (!strcmp(name, "ints"))
            *v = floor(a + (b - a + 1) * u);
        else if (!strcmp(name, "range"))
            *v = a + b * (double)k;
        else if (!strcmp(name, "const"))
            *v = given ? a : 0;
        else if (!strcmp(name, "bool"))
            *v = u < 0.5;
        else if (!strcmp(name, "special"))
            *v = u < 0.5 ? next_normal(random) : special[next_random(random) % 11];
        else
            return say("%s: no fill is called '%s'\n", s->label, name), false;
    }
    return true;
}

static bool fill_strings(stage *s, const char **text, sdx_ref *ref) {
    ref->s = SDX_NEW_ARRAY(&s->arena, sdx_string, ref->count + 1, NULL);
    for (int64_t k = 0; k < ref->count; k++) {
        if (**text != '{') { /* not listed: "s0", "s1" ... */
            char name[24];
            int n = snprintf(name, sizeof name, "s%lld", (long long)k);
            ref->s[k] = (sdx_string){sdx_arena_copy(&s->arena, name, (size_t)n, NULL), (size_t)n};
            continue;
        }
        const char *begin = strchr(k ? ref->s[k - 1].data + ref->s[k - 1].size + 1 : *text, '\'');
        const char *end = begin ? strchr(begin + 1, '\'') : NULL;
        if (!end) return say("%s: fewer strings than the shape holds at '%s'\n", s->label, *text), false;
        ref->s[k] = (sdx_string){begin + 1, (size_t)(end - begin - 1)};
    }
    if (**text == '{') *text = ref->count ? ref->s[ref->count - 1].data + ref->s[ref->count - 1].size + 1 : *text;
    *text += strcspn(*text, "} ");
    *text += **text == '}';
    return true;
}

static bool fill_listed(stage *s, const char **text, sdx_ref *ref) {
    ++*text;
    for (int64_t k = 0; k < ref->count; k++) {
        char *end;
        *text += strspn(*text, ", ");
        ref->v[k] = strtod(*text, &end);
        if (end == *text) return say("%s: fewer values than the shape holds at '%s'\n", s->label, *text), false;
        *text = end;
    }
    *text += strspn(*text, ", ");
    if (**text != '}') return say("%s: more values than the shape holds at '%s'\n", s->label, *text), false;
    ++*text;
    return true;
}

/* The model's tensor from the reference's values, and these rounded as the dtype rounds them. */
static bool make_value(arg *out) {
    sdx_ref *ref = &out->ref;
    sdx_error error = {0};
    sdx_status status = ref->s ? sdx_value_from_strings(ref->rank, ref->dim, ref->s, &error, &out->value)
                               : sdx_value_create(ref->dtype, ref->rank, ref->dim, &error, &out->value);
    if (status != SDX_OK) return say("%s\n", error.message), false;
    for (int64_t k = 0; k < ref->count && !ref->s; k++) {
        encode(ref->dtype, sdx_value_data(out->value), k, ref->v[k]);
        /* a great 64-bit integer is exact already, and beyond what a double holds */
        if (sdx_dtype_bits(ref->dtype) < 64 || fabs(ref->v[k]) < 0x1p53)
            ref->v[k] = decode(ref->dtype, sdx_value_data(out->value), k);
    }
    return true;
}

bool parse_tensor(stage *s, const char **text, arg *out) {
    int64_t dims[SDX_MAX_RANK];
    int rank = 0;
    *text += strspn(*text, " ");
    *out = (arg){0};
    if (**text == '-' && ((*text)[1] == ' ' || !(*text)[1])) return ++*text, true;
    out->present = out->ref.present = true;
    if (**text == '!') out->constant = true, ++*text;
    if (!read_dtype(s, text, &out->ref.dtype)) return false;
    if (**text == '[') {
        for (++*text; **text && **text != ']'; *text += **text == ',')
            if (!read_extent(s, text, &dims[rank++])) return false;
        ++*text;
    }
    ref_shape(s, &out->ref, rank, dims);
    bool strings = out->ref.dtype == SDX_STRING;
    if (**text != '=') return say("%s: '=' and a fill are missing at '%s'\n", s->label, *text), false;
    ++*text;
    bool ok = strings && **text == '{' ? fill_strings(s, text, &out->ref)
              : **text == '{'          ? fill_listed(s, text, &out->ref)
                                       : fill(s, text, &out->ref);
    if (ok && strings && !out->ref.s) ok = fill_strings(s, text, &out->ref);
    return ok && make_value(out);
}

static bool parse_inputs(stage *s) {
    const char *text = s->a_case->inputs ? s->a_case->inputs : "";
    while (text[strspn(text, " ")]) {
        if (!parse_tensor(s, &text, &s->in[s->n_in])) return false;
        s->n_in++;
    }
    return true;
}

static void parse_outputs(stage *s) {
    const char *text = s->a_case->outputs ? s->a_case->outputs : "Y";
    while (*(text += strspn(text, " "))) {
        size_t n = strcspn(text, " ");
        s->want[s->n_out++].present = !(n == 1 && *text == '-');
        text += n;
    }
}

static void write_label(stage *s) {
    int used = snprintf(s->label, TEXT, "%s", s->a_case->name);
    for (int k = 0; k < s->set.row->n_variables; k++)
        used += snprintf(s->label + used, TEXT - (size_t)used, " %s=%s", s->set.row->variables[k].name,
                         sdx_dtype_name(s->set.dtype[k]));
    for (int k = 0; k < s->set.n_letters; k++)
        used += snprintf(s->label + used, TEXT - (size_t)used, " %s=%lld", s->set.letter[k].name,
                         (long long)s->set.letter[k].value);
    snprintf(s->label + used, TEXT - (size_t)used, " seed=%llu", (unsigned long long)s->set.seed);
}

bool stage_open(stage *s, const sdx_case *c, const setting *set) {
    *s = (stage){.a_case = c, .set = *set};
    sdx_memory_init(&s->memory, 0);
    sdx_arena_init(&s->arena, &s->memory);
    write_label(s);
    parse_outputs(s);
    return parse_inputs(s) && parse_attributes(s);
}

void stage_close(stage *s) {
    for (int k = 0; k < s->n_in; k++) sdx_value_release(s->in[k].value);
    for (int k = 0; k < s->n_attrs; k++)
        if (s->attrs[k].type == SDX_ATTR_TENSOR) sdx_value_release(s->attrs[k].value);
    sdx_arena_release(&s->arena);
}
