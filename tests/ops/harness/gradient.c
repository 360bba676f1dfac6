/* SPDX-License-Identifier: Apache-2.0
 * The gradient that an operator emits against central differences: L = sum(weights * Y), dL/dx by the operator Gradient
 * in one run, and (L(x + h) - L(x - h)) / 2h for some elements of each input. */
#include "tests/ops/harness/harness.h"
#include <float.h>
#include <math.h>
#include <string.h>

enum { ELEMENTS = 16 }; /* differences taken per input */

bool differentiable(const arg *in) { return in->present && !in->constant && in->ref.dtype == SDX_F64; }

int loss_output(const stage *s) {
    int k = 0;
    while (k + 1 < s->n_out && !s->want[k].present) k++;
    return k;
}

bool gradient_applies(const sdx_case *c, const sdx_op *op, const sdx_op_version *version) {
    bool plain = (c->reference || c->flags & SDX_CASE_GRADIENT) && !c->fails &&
                 !(c->flags & (SDX_CASE_SHAPE_ONLY | SDX_CASE_KINKS | SDX_CASE_SLOW));
    bool old = !c->domain && c->opset < 13; /* the loss is written with newer operators */
    return !old && op->grad && op->grad != sdx_no_gradient && (version == sdx_op_newest(op) || !op->upgrade) && plain &&
           !strstr(c->inputs ? c->inputs : "", "special");
}

static double weighted(const sdx_value *y, const sdx_value *weights) {
    double sum = 0;
    for (int64_t k = 0; k < sdx_value_count(y); k++)
        sum += ((const double *)sdx_value_data(y))[k] * ((const double *)sdx_value_data(weights))[k];
    return sum;
}

/* L with element `at` of input k moved by `by`. */
static sdx_status loss(const stage *s, int k, int64_t at, double by, const sdx_value *weights, double *out,
                       sdx_error *error) {
    static const how h = {.threads = 1, .chain = -1};
    sdx_value *override[MAX_ARGS] = {0}, *y[MAX_ARGS] = {0};
    const sdx_value *x = s->in[k].value;
    SDX_TRY(sdx_value_create(SDX_F64, sdx_value_rank(x), sdx_value_dims(x), error, &override[k]));
    double *moved = sdx_value_data(override[k]);
    memcpy(moved, sdx_value_data(x), (size_t)sdx_value_count(x) * sizeof *moved);
    moved[at] += by;
    sdx_status status = run_model(s, &h, override, y, error);
    if (status == SDX_OK) *out = weighted(y[loss_output(s)], weights);
    for (int j = 0; j < MAX_ARGS; j++) sdx_value_release(y[j]);
    sdx_value_release(override[k]);
    return status;
}

static sdx_status difference(const stage *s, int k, int64_t at, double h, const sdx_value *weights, double *out,
                             sdx_error *error) {
    double up = 0, down = 0;
    SDX_TRY(loss(s, k, at, h, weights, &up, error));
    SDX_TRY(loss(s, k, at, -h, weights, &down, error));
    *out = (up - down) / (2 * h);
    return SDX_OK;
}

/* Two steps, extrapolated: the error goes with h^4. Where they disagree a kink lies between: nothing can be said.
 * What limits the bound is the rounding of L, whose terms have absolute values of the sum `size`, divided by h. */
static bool check_element(const stage *s, int k, int64_t at, const sdx_value *weights, double size,
                          const sdx_value *gradient) {
    double x = ((const double *)sdx_value_data(s->in[k].value))[at], h = 2e-5 * fmax(1, fabs(x)), coarse = 0, fine = 0;
    sdx_error error = {0};
    if (difference(s, k, at, h, weights, &coarse, &error) || difference(s, k, at, h / 2, weights, &fine, &error))
        return say("FAIL %s, gradient: %s\n", s->label, error.message), false;
    double want = (4 * fine - coarse) / 3, got = ((const double *)sdx_value_data(gradient))[at];
    const double bound = 1e-7 + 1e-6 * fabs(want) + 4 * DBL_EPSILON * size / h;
    if (fabs(got - want) <= bound || fabs(fine - coarse) > 1e-4 * (fabs(fine) + 0.1)) return true;
    return say("FAIL %s, gradient: of input %d, element %lld is %.9g; central differences give %.9g\n", s->label, k,
               (long long)at, got, want),
           false;
}

static bool check_input(const stage *s, int k, const sdx_value *weights, double size, const sdx_value *gradient) {
    const sdx_ref *x = &s->in[k].ref;
    uint64_t random = s->set.seed;
    bool same = sdx_value_dtype(gradient) == SDX_F64 && sdx_value_rank(gradient) == x->rank;
    for (int d = 0; same && d < x->rank; d++) same = sdx_value_dims(gradient)[d] == x->dim[d];
    if (!same) return say("FAIL %s, gradient: of input %d has another shape or dtype\n", s->label, k), false;
    for (int64_t j = 0; j < (x->count < ELEMENTS ? x->count : ELEMENTS); j++) {
        int64_t at = x->count <= ELEMENTS ? j : (int64_t)(next_random(&random) % (uint64_t)x->count);
        if (!check_element(s, k, at, weights, size, gradient)) return false;
    }
    return true;
}

static bool close_to(const sdx_value *a, const sdx_value *b) {
    const double *x = sdx_value_data(a), *y = sdx_value_data(b);
    bool same = sdx_value_count(a) == sdx_value_count(b);
    for (int64_t k = 0; same && k < sdx_value_count(a); k++)
        same = fabs(x[k] - y[k]) <= 1e-9 + 1e-9 * fabs(x[k]) || (isnan(x[k]) && isnan(y[k]));
    return same;
}

/* The same in another way, which an operator may refuse with a reason: where dims and axes are only known at run time;
 * where internal operators are written out as standard ones. */
static bool check_other(const stage *s, how h, const char *way, sdx_value *const *known) {
    sdx_value *out[MAX_ARGS] = {0};
    sdx_error error = {0};
    bool ok = true;
    sdx_status status = run_model(s, &h, NULL, out, &error);
    if (status != SDX_OK && status != SDX_UNSUPPORTED)
        ok = (say("FAIL %s, gradient, %s: %s\n", s->label, way, error.message), false);
    for (int k = 0; status == SDX_OK && ok && k < s->n_in; k++) {
        if (!differentiable(&s->in[k]) || close_to(known[k], out[k])) continue;
        ok = (say("FAIL %s, gradient of input %d: another with %s\n", s->label, k, way), false);
    }
    for (int k = 0; k < MAX_ARGS; k++) sdx_value_release(out[k]);
    return ok;
}

/* Five threads give the bits of one. */
static bool check_threads(const stage *s, how h, sdx_value *const *first) {
    sdx_value *out[MAX_ARGS] = {0};
    sdx_error error = {0};
    h.threads = 5;
    bool ok = run_model(s, &h, NULL, out, &error) == SDX_OK;
    if (!ok) say("FAIL %s, gradient, 5 threads: %s\n", s->label, error.message);
    for (int k = 0; ok && k < s->n_in; k++)
        if (differentiable(&s->in[k])) ok = same_bits(s, "gradient, 5 threads", k, first[k], out[k]);
    for (int k = 0; k < MAX_ARGS; k++) sdx_value_release(out[k]);
    return ok;
}

bool check_gradient(const stage *s, sdx_value *const *first) {
    bool any = false, ok = true;
    for (int k = 0; k < s->n_in; k++) any = any || differentiable(&s->in[k]);
    const sdx_value *y = first[loss_output(s)];
    if (!any || sdx_value_dtype(y) != SDX_F64 || sdx_value_count(y) == 0) return true;
    how h = {.threads = 1, .chain = -1};
    sdx_value *out[MAX_ARGS] = {0};
    sdx_error error = {0};
    uint64_t random = s->set.seed + 1;
    double size = 0;
    if (sdx_value_create(SDX_F64, sdx_value_rank(y), sdx_value_dims(y), &error, &h.weights)) return false;
    for (int64_t k = 0; k < sdx_value_count(h.weights); k++) {
        const double weight = 2 * next_uniform(&random) - 1;
        ((double *)sdx_value_data(h.weights))[k] = weight;
        size += fabs(weight * ((const double *)sdx_value_data(y))[k]);
    }
    if (run_model(s, &h, NULL, out, &error) != SDX_OK)
        ok = (say("FAIL %s, gradient: %s\n", s->label, error.message), false);
    for (int k = 0; ok && k < s->n_in; k++)
        if (differentiable(&s->in[k])) ok = check_input(s, k, h.weights, size, out[k]);
    ok = ok && check_threads(s, h, out);
    how dynamic = h, portable = h;
    dynamic.unknown_dims = portable.portable = true;
    ok = ok && check_other(s, dynamic, "dims unknown at load", out);
    ok = ok && check_other(s, portable, "internal operators written out", out);
    for (int k = 0; k < MAX_ARGS; k++) sdx_value_release(out[k]);
    sdx_value_release(h.weights);
    return ok;
}
