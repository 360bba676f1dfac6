/* SPDX-License-Identifier: Apache-2.0
 * Names are taken in any case, as exporters write them so. Defaults are those of the operators of the same names. */
#include "ops/rnn/activation.h"
#include "ops/grad.h"
#include <math.h>
#include <string.h>
#include <strings.h>

enum { KERNEL, AFFINE, THRESHOLD, SCALED_TANH };

static const struct function {
    const char *name;
    int form;
    sdx_unary_id kernel;
    int values; /* 1: takes an alpha, 2: a beta too */
    float alpha, beta;
} functions[] = {
    {"Relu", KERNEL, SDX_UNARY_Relu, 0, 0, 0},
    {"Tanh", KERNEL, SDX_UNARY_Tanh, 0, 0, 0},
    {"Sigmoid", KERNEL, SDX_UNARY_Sigmoid, 0, 0, 0},
    {"Affine", AFFINE, SDX_UNARY_COUNT, 2, 1, 0},
    {"LeakyRelu", KERNEL, SDX_UNARY_LeakyRelu, 1, 0.01F, 0},
    {"ThresholdedRelu", THRESHOLD, SDX_UNARY_COUNT, 1, 1, 0},
    {"ScaledTanh", SCALED_TANH, SDX_UNARY_Tanh, 2, 1, 1},
    {"HardSigmoid", KERNEL, SDX_UNARY_HardSigmoid, 2, 0.2F, 0.5F},
    {"Elu", KERNEL, SDX_UNARY_Elu, 1, 1, 0},
    {"Softsign", KERNEL, SDX_UNARY_Softsign, 0, 0, 0},
    {"Softplus", KERNEL, SDX_UNARY_Softplus, 0, 0, 0},
};
enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

static int find(sdx_bind *bind, sdx_string name) {
    for (int k = 0; k < FUNCTIONS; k++)
        if (strlen(functions[k].name) == name.size && strncasecmp(functions[k].name, name.data, name.size) == 0)
            return k;
    char found[96];
    sdx_bind_fail(bind, SDX_VALUE,
                  "attribute 'activations' has '%s'; it must be Relu, Tanh, Sigmoid, Affine, LeakyRelu, "
                  "ThresholdedRelu, ScaledTanh, HardSigmoid, Elu, Softsign or Softplus",
                  sdx_escape(found, sizeof found, name.data, name.size));
    return 0;
}

void sdx_bind_activations(sdx_bind *bind, const char *const *otherwise, int count, int directions,
                          sdx_activation *out) {
    size_t n = 0, n_alpha = 0, n_beta = 0, alpha = 0, beta = 0;
    const size_t wanted = (size_t)count * (size_t)directions;
    const sdx_string *names = sdx_bind_strings(bind, "activations", &n);
    const float *alphas = sdx_bind_floats(bind, "activation_alpha", &n_alpha);
    const float *betas = sdx_bind_floats(bind, "activation_beta", &n_beta);
    const bool given = sdx_bind_has(bind, "activations") && n > 0;
    if (given && n != wanted && n != 2 * (size_t)count) { /* for both directions, of which one is there */
        sdx_bind_fail(bind, SDX_VALUE,
                      "attribute 'activations' has %zu entries; there must be %zu, %d for each direction", n, wanted,
                      count);
        return;
    }
    for (size_t k = 0; k < wanted; k++) {
        const char *name = otherwise[k % (size_t)count];
        const int row = find(bind, given ? names[k] : (sdx_string){(char *)name, strlen(name)});
        const struct function *f = &functions[row];
        out[k] = (sdx_activation){row, {f->alpha, f->beta}};
        if (f->values > 0 && alpha < n_alpha) out[k].p[0] = alphas[alpha++];
        if (f->values > 1 && beta < n_beta) out[k].p[1] = betas[beta++];
    }
}

#define EACH(T, expression)                                                                                            \
    for (int64_t k = 0; k < n; k++) {                                                                                  \
        const T v = ((const T *)x)[k];                                                                                 \
        ((T *)x)[k] = expression;                                                                                      \
    }
#define BY_DTYPE(expression_of)                                                                                        \
    do {                                                                                                               \
        if (work == SDX_F64)                                                                                           \
            EACH(double, expression_of(double))                                                                        \
        else                                                                                                           \
            EACH(float, expression_of(float))                                                                          \
    } while (0)
#define TIMES_ALPHA(T)      (T) f->p[0] * v
#define TIMES_BETA(T)       (T) f->p[1] * v
#define TIMES_ALPHA_PLUS(T) (T) f->p[0] * v + (T)f->p[1]
#define FROM_ALPHA(T)       v >= (T)f->p[0] ? v : 0

void sdx_activate(const struct sdx_kernels *kernels, const sdx_activation *f, sdx_dtype work, void *x, int64_t n) {
    const struct function *function = &functions[f->row];
    switch (function->form) {
    case AFFINE: BY_DTYPE(TIMES_ALPHA_PLUS); return;
    case THRESHOLD: BY_DTYPE(FROM_ALPHA); return;
    case SCALED_TANH:
        BY_DTYPE(TIMES_BETA);
        kernels->unary(SDX_UNARY_Tanh, work)(x, x, n, f->p);
        BY_DTYPE(TIMES_ALPHA);
        return;
    default: kernels->unary(function->kernel, work)(x, x, n, f->p);
    }
}

/* d times the slope at x, where y = f(x); of all but Tanh and Sigmoid. */
#define SLOPES(T, name, abs_of, expm1_of)                                                                              \
    static T name(const sdx_activation *f, T x, T y) {                                                                 \
        const T alpha = (T)f->p[0], beta = (T)f->p[1];                                                                 \
        switch (functions[f->row].form) {                                                                              \
        case AFFINE: return alpha;                                                                                     \
        case THRESHOLD: return x >= alpha ? 1 : 0;                                                                     \
        case SCALED_TANH: return alpha == 0 ? 0 : beta * (alpha - y * y / alpha);                                      \
        default: break;                                                                                                \
        }                                                                                                              \
        const sdx_unary_id kernel = functions[f->row].kernel;                                                          \
        if (kernel == SDX_UNARY_Relu) return y > 0 ? 1 : 0;                                                            \
        if (kernel == SDX_UNARY_LeakyRelu) return x > 0 ? 1 : alpha;                                                   \
        if (kernel == SDX_UNARY_HardSigmoid) return y > 0 && y < 1 ? alpha : 0;                                        \
        if (kernel == SDX_UNARY_Elu) return x > 0 ? 1 : y + alpha;                                                     \
        if (kernel == SDX_UNARY_Softsign) return (1 - abs_of(y)) * (1 - abs_of(y));                                    \
        return -expm1_of(-y); /* Softplus */                                                                           \
    }                                                                                                                  \
    static void times_##name(const sdx_activation *f, const void *y, const void *d, void *x, int64_t n) {              \
        for (int64_t k = 0; k < n; k++)                                                                                \
            ((T *)x)[k] = ((const T *)d)[k] * name(f, ((const T *)x)[k], ((const T *)y)[k]);                           \
    }
SLOPES(float, slope_f32, fabsf, expm1f)
SLOPES(double, slope_f64, fabs, expm1)

void sdx_activate_back(const struct sdx_kernels *kernels, const sdx_activation *f, sdx_dtype work, const void *y,
                       const void *d, void *x, int64_t n) {
    static const float one_f32 = 1;
    static const double one_f64 = 1;
    const struct function *function = &functions[f->row];
    const sdx_binary_fn mul = kernels->binary(SDX_BINARY_Mul, work), sub = kernels->binary(SDX_BINARY_Sub, work);
    const void *one = work == SDX_F64 ? (const void *)&one_f64 : &one_f32;
    if (function->form == KERNEL && function->kernel == SDX_UNARY_Tanh) { /* 1 - y y */
        mul(y, 1, y, 1, x, n);
        sub(one, 0, x, 1, x, n);
        mul(d, 1, x, 1, x, n);
    } else if (function->kernel == SDX_UNARY_Sigmoid) { /* y (1 - y) */
        sub(one, 0, y, 1, x, n);
        mul(y, 1, x, 1, x, n);
        mul(d, 1, x, 1, x, n);
    } else if (work == SDX_F64) {
        times_slope_f64(f, y, d, x, n);
    } else {
        times_slope_f32(f, y, d, x, n);
    }
}

/* ---- as nodes ---------------------------------------------------------------------------------------------------- */

static sdx_id scaled(sdx_patch *patch, sdx_dtype dtype, sdx_id x, float by) {
    return sdx_emit2(patch, "Mul", x, sdx_patch_scalar(patch, dtype, (double)by));
}

sdx_id sdx_activate_nodes(sdx_patch *patch, const sdx_activation *f, sdx_dtype dtype, sdx_id x) {
    const struct function *function = &functions[f->row];
    const float alpha = f->p[0], beta = f->p[1];
    const sdx_id zero = sdx_patch_scalar(patch, dtype, 0);
    switch (function->form) {
    case AFFINE:
        return sdx_emit2(patch, "Add", scaled(patch, dtype, x, alpha), sdx_patch_scalar(patch, dtype, (double)beta));
    case THRESHOLD: {
        const sdx_id from = sdx_patch_scalar(patch, dtype, (double)alpha);
        return sdx_emit3(patch, "Where", sdx_emit2(patch, "GreaterOrEqual", x, from), x, zero);
    }
    case SCALED_TANH: return scaled(patch, dtype, sdx_emit1(patch, "Tanh", scaled(patch, dtype, x, beta)), alpha);
    default: break;
    }
    sdx_node *node = sdx_patch_node(patch, "", function->name, 1, &x, 1);
    if (function->values > 0) sdx_patch_float(patch, node, "alpha", alpha);
    if (function->values > 1) sdx_patch_float(patch, node, "beta", beta);
    return node->out[0];
}

static sdx_id slope_where(sdx_patch *patch, sdx_dtype dtype, const char *op, sdx_id a, float bound, sdx_id otherwise) {
    const sdx_id beyond = sdx_emit2(patch, op, a, sdx_patch_scalar(patch, dtype, (double)bound));
    return sdx_emit3(patch, "Where", beyond, sdx_patch_scalar(patch, dtype, 1), otherwise);
}

sdx_id sdx_slope_nodes(sdx_patch *patch, const sdx_activation *f, sdx_dtype dtype, sdx_id x, sdx_id y) {
    const struct function *function = &functions[f->row];
    const sdx_id zero = sdx_patch_scalar(patch, dtype, 0), one = sdx_patch_scalar(patch, dtype, 1);
    const sdx_id alpha = sdx_patch_scalar(patch, dtype, (double)f->p[0]);
    const double by = f->p[0] == 0 ? 0 : -(double)f->p[1] / (double)f->p[0];
    sdx_id inside;
    switch (function->form) {
    case AFFINE: return sdx_emit2(patch, "Expand", alpha, sdx_emit1(patch, "Shape", x));
    case THRESHOLD: return slope_where(patch, dtype, "GreaterOrEqual", x, f->p[0], zero);
    case SCALED_TANH: /* beta (alpha - y y / alpha) */
        return sdx_emit2(patch, "Add",
                         sdx_emit2(patch, "Mul", sdx_emit2(patch, "Mul", y, y), sdx_patch_scalar(patch, dtype, by)),
                         sdx_patch_scalar(patch, dtype, (double)f->p[0] * (double)f->p[1]));
    default: break;
    }
    const sdx_unary_id kernel = function->kernel;
    if (kernel == SDX_UNARY_Tanh) return sdx_emit2(patch, "Sub", one, sdx_emit2(patch, "Mul", y, y));
    if (kernel == SDX_UNARY_Sigmoid) return sdx_emit2(patch, "Mul", y, sdx_emit2(patch, "Sub", one, y));
    if (kernel == SDX_UNARY_Relu) return slope_where(patch, dtype, "Greater", y, 0, zero);
    if (kernel == SDX_UNARY_LeakyRelu) return slope_where(patch, dtype, "Greater", x, 0, alpha);
    if (kernel == SDX_UNARY_Elu) return slope_where(patch, dtype, "Greater", x, 0, sdx_emit2(patch, "Add", y, alpha));
    if (kernel == SDX_UNARY_HardSigmoid) {
        inside = sdx_emit2(patch, "And", sdx_emit2(patch, "Greater", y, zero), sdx_emit2(patch, "Less", y, one));
        return sdx_emit3(patch, "Where", inside, alpha, zero);
    }
    if (kernel == SDX_UNARY_Softsign) {
        inside = sdx_emit2(patch, "Sub", one, sdx_emit1(patch, "Abs", y));
        return sdx_emit2(patch, "Mul", inside, inside);
    }
    return sdx_emit2(patch, "Sub", one, sdx_emit1(patch, "Exp", sdx_emit1(patch, "Neg", y))); /* Softplus */
}
