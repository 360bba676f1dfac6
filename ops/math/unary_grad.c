/* SPDX-License-Identifier: Apache-2.0
 * Gradients of the elementwise functions: dX = dY f'(X), in terms of Y where that is shortest. Derivatives of many
 * steps are one pass of the internal operator Slope. */
#include "ops/math/unary.h"
#include <string.h>

typedef struct form {
    sdx_patch *patch;
    sdx_id X, Y, dY;
    double p[2];
} form;

static form form_of(const sdx_grad *grad, const sdx_unary_params *p) {
    return (form){grad->patch, grad->node->in[0], grad->node->out[0], grad->dY[0], {(double)p->p[0], (double)p->p[1]}};
}

static sdx_id num(const form *f, double value) { return sdx_grad_scalar(f->patch, f->X, value); }
static sdx_id of(const form *f, const char *op_type, sdx_id a) { return sdx_emit1(f->patch, op_type, a); }
static sdx_id op(const form *f, sdx_id a, const char *op_type, sdx_id b) { return sdx_emit2(f->patch, op_type, a, b); }
static sdx_id mul(const form *f, sdx_id a, sdx_id b) { return op(f, a, "Mul", b); }
static sdx_id where(const form *f, sdx_id c, sdx_id a, sdx_id b) { return sdx_emit3(f->patch, "Where", c, a, b); }
static sdx_id square(const form *f, sdx_id a) { return mul(f, a, a); }

/* ---- The operator Slope ---- */

static sdx_id elu_slope(const form *f) {
    sdx_id falling = mul(f, num(f, f->p[0]), of(f, "Exp", op(f, f->X, "Min", num(f, 0))));
    return where(f, op(f, f->X, "Greater", num(f, 0)), num(f, 1), falling);
}

static sdx_id selu_slope(const form *f) { return mul(f, num(f, f->p[1]), elu_slope(f)); }

static sdx_id celu_slope(const form *f) {
    sdx_id falling = of(f, "Exp", op(f, op(f, f->X, "Min", num(f, 0)), "Div", num(f, f->p[0])));
    return where(f, op(f, f->X, "Greater", num(f, 0)), num(f, 1), falling);
}

static sdx_id hard_swish_slope(const form *f) {
    sdx_id bend = op(f, op(f, f->X, "Div", num(f, 3)), "Add", num(f, 0.5));
    sdx_id upper = where(f, op(f, f->X, "Less", num(f, 3)), bend, num(f, 1));
    return where(f, op(f, f->X, "LessOrEqual", num(f, -3)), num(f, 0), upper);
}

/* z = alpha X: s + z s (1 - s) */
static sdx_id swish_slope(const form *f) {
    sdx_id z = mul(f, f->X, num(f, f->p[0])), s = of(f, "Sigmoid", z);
    sdx_id bend = mul(f, z, op(f, num(f, 1), "Sub", s));
    return mul(f, s, op(f, num(f, 1), "Add", bend));
}

/* t = tanh(softplus X): t + X sigmoid(X) (1 - t^2) */
static sdx_id mish_slope(const form *f) {
    sdx_id t = of(f, "Tanh", of(f, "Softplus", f->X));
    sdx_id bend = mul(f, mul(f, f->X, of(f, "Sigmoid", f->X)), op(f, num(f, 1), "Sub", square(f, t)));
    return op(f, t, "Add", bend);
}

/* The distribution of the normal law, and X times its density. */
static sdx_id gelu_slope(const form *f) {
    sdx_id erf = of(f, "Erf", mul(f, f->X, num(f, 0.70710678118654752)));
    sdx_id area = mul(f, op(f, erf, "Add", num(f, 1)), num(f, 0.5));
    sdx_id density = of(f, "Exp", mul(f, square(f, f->X), num(f, -0.5)));
    return op(f, area, "Add", mul(f, mul(f, f->X, num(f, 0.39894228040143268)), density));
}

/* s = sigmoid(u), u = 2 sqrt(2 / pi) (X + 0.044715 X^3): s + X u' s (1 - s) */
static sdx_id gelu_tanh_slope(const form *f) {
    const double c = 1.5957691216057308;
    sdx_id z = square(f, f->X);
    sdx_id u = mul(f, f->X, op(f, mul(f, z, num(f, 0.044715 * c)), "Add", num(f, c)));
    sdx_id steep = op(f, mul(f, z, num(f, 0.134145 * c)), "Add", num(f, c)), s = of(f, "Sigmoid", u);
    sdx_id bend = mul(f, mul(f, f->X, steep), op(f, num(f, 1), "Sub", s));
    return mul(f, s, op(f, bend, "Add", num(f, 1)));
}

static sdx_id erf_slope(const form *f) {
    return mul(f, of(f, "Exp", of(f, "Neg", square(f, f->X))), num(f, 1.1283791670955126));
}

static const struct {
    const char *of;
    sdx_unary_id id;
    sdx_id (*emit)(const form *f);
} slopes[] = {
    {"Elu", SDX_UNARY_EluSlope, elu_slope},       {"Selu", SDX_UNARY_SeluSlope, selu_slope},
    {"Celu", SDX_UNARY_CeluSlope, celu_slope},    {"HardSwish", SDX_UNARY_HardSwishSlope, hard_swish_slope},
    {"Swish", SDX_UNARY_SwishSlope, swish_slope}, {"Mish", SDX_UNARY_MishSlope, mish_slope},
    {"Gelu", SDX_UNARY_GeluSlope, gelu_slope},    {"GeluTanh", SDX_UNARY_GeluTanhSlope, gelu_tanh_slope},
    {"Erf", SDX_UNARY_ErfSlope, erf_slope},
};
enum { SLOPES = sizeof slopes / sizeof slopes[0] };

static sdx_status slope_bind(sdx_bind *bind, void *params) {
    sdx_unary_params *p = params;
    const char *allowed[SLOPES];
    for (int k = 0; k < SLOPES; k++) allowed[k] = slopes[k].of;
    int choice = sdx_bind_choice(bind, "of", allowed, SLOPES);
    if (choice >= 0) p->id = slopes[choice].id;
    p->p[0] = sdx_bind_float(bind, "p0");
    p->p[1] = sdx_bind_float(bind, "p1");
    return bind->status;
}

static sdx_id slope_emit(const form *f, sdx_unary_id id) {
    for (int k = 0; k < SLOPES; k++)
        if (slopes[k].id == id) return slopes[k].emit(f);
    return SDX_NONE;
}

static sdx_status slope_expand(sdx_patch *patch, const sdx_node *node, const void *params) {
    const sdx_unary_params *p = params;
    const form f = {patch, node->in[0], node->out[0], SDX_NONE, {(double)p->p[0], (double)p->p[1]}};
    sdx_patch_replace(patch, node->out[0], slope_emit(&f, p->id));
    sdx_patch_remove(patch, node);
    return patch->status;
}

const sdx_op sdx_op_Slope = {
    .domain = "sdx",
    .name = "Slope",
    .versions = (const sdx_op_version[]){{1, SDX_XY, "T=" SDX_T_FLOAT_BF, "of:string! p0:float=0 p1:float=0"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_unary_params),
    .bind = slope_bind,
    .infer = sdx_unary_infer,
    .compute = sdx_unary_compute,
    .expand = slope_expand,
    .flags = SDX_OP_INTERNAL | SDX_OP_INPLACE};

static sdx_id slope(const form *f, const char *name) {
    sdx_node *node = sdx_patch_node(f->patch, "sdx", "Slope", 1, &f->X, 1);
    sdx_patch_string(f->patch, node, "of", name);
    sdx_patch_float(f->patch, node, "p0", (float)f->p[0]);
    sdx_patch_float(f->patch, node, "p1", (float)f->p[1]);
    return mul(f, f->dY, node->out[0]);
}

/* ---- Gradients ---- */

#define GRADIENT(name, expression)                                                                                     \
    sdx_status sdx_##name##_gradient(sdx_grad *grad, const void *params) {                                             \
        const form form_ = form_of(grad, params), *f = &form_;                                                         \
        grad->exact = true;                                                                                            \
        grad->dX[0] = expression;                                                                                      \
        return f->patch->status;                                                                                       \
    }
#define X  f->X
#define Y  f->Y
#define dY f->dY

static sdx_id one_minus(const form *f, sdx_id a) { return op(f, num(f, 1), "Sub", a); }
static sdx_id one_plus(const form *f, sdx_id a) { return op(f, a, "Add", num(f, 1)); }
static sdx_id quotient(const form *f, sdx_id divisor) { return op(f, dY, "Div", divisor); }
static sdx_id root(const form *f, sdx_id a) { return of(f, "Sqrt", a); }
/* dY where the condition holds, else 0 */
static sdx_id kept(const form *f, sdx_id condition) { return where(f, condition, dY, num(f, 0)); }
static sdx_id positive(const form *f, sdx_id a) { return op(f, a, "Greater", num(f, 0)); }

GRADIENT(Abs, mul(f, dY, of(f, "Sign", X)))
GRADIENT(Acos, of(f, "Neg", quotient(f, root(f, one_minus(f, square(f, X))))))
GRADIENT(Acosh, quotient(f, root(f, mul(f, op(f, X, "Sub", num(f, 1)), one_plus(f, X)))))
GRADIENT(Asin, quotient(f, root(f, one_minus(f, square(f, X)))))
GRADIENT(Asinh, quotient(f, root(f, one_plus(f, square(f, X)))))
GRADIENT(Atan, quotient(f, one_plus(f, square(f, X))))
GRADIENT(Atanh, quotient(f, one_minus(f, square(f, X))))
GRADIENT(Celu, slope(f, "Celu"))
GRADIENT(Cos, of(f, "Neg", mul(f, dY, of(f, "Sin", X))))
GRADIENT(Cosh, mul(f, dY, of(f, "Sinh", X)))
GRADIENT(Elu, slope(f, "Elu"))
GRADIENT(Erf, slope(f, "Erf"))
GRADIENT(Exp, mul(f, dY, Y))
GRADIENT(HardSigmoid, mul(f, num(f, f->p[0]), kept(f, op(f, positive(f, Y), "And", op(f, Y, "Less", num(f, 1))))))
GRADIENT(HardSwish, slope(f, "HardSwish"))
GRADIENT(LeakyRelu, where(f, positive(f, X), dY, mul(f, dY, num(f, f->p[0]))))
GRADIENT(Log, quotient(f, X))
GRADIENT(Mish, slope(f, "Mish"))
GRADIENT(Neg, of(f, "Neg", dY))
GRADIENT(Reciprocal, of(f, "Neg", mul(f, dY, square(f, Y))))
GRADIENT(Relu, mul(f, dY, of(f, "Sign", Y)))
GRADIENT(Selu, slope(f, "Selu"))
GRADIENT(Shrink, kept(f, op(f, of(f, "Abs", X), "Greater", num(f, f->p[1]))))
GRADIENT(Sigmoid, mul(f, dY, op(f, Y, "Sub", square(f, Y))))
GRADIENT(Sin, mul(f, dY, of(f, "Cos", X)))
GRADIENT(Sinh, mul(f, dY, of(f, "Cosh", X)))
GRADIENT(Softplus, mul(f, dY, of(f, "Sigmoid", X)))
GRADIENT(Softsign, quotient(f, square(f, one_plus(f, of(f, "Abs", X)))))
GRADIENT(Sqrt, quotient(f, op(f, Y, "Add", Y)))
GRADIENT(Swish, slope(f, "Swish"))
GRADIENT(Tan, mul(f, dY, one_plus(f, square(f, Y))))
GRADIENT(Tanh, op(f, dY, "Sub", mul(f, dY, square(f, Y))))
GRADIENT(ThresholdedRelu, kept(f, op(f, X, "Greater", num(f, f->p[0]))))

sdx_status sdx_Gelu_gradient(sdx_grad *grad, const void *params) {
    const sdx_unary_params *p = params;
    const form f = form_of(grad, p);
    grad->exact = true;
    grad->dX[0] = slope(&f, p->id == SDX_UNARY_GeluTanh ? "GeluTanh" : "Gelu");
    return f.patch->status;
}
