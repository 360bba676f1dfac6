/* SPDX-License-Identifier: Apache-2.0
 * Einsum: the equation, its shapes, and the run of the steps that einsum_plan.c makes. Narrow floats are computed in
 * f32 and rounded once, narrow integers in i64 and wrapped. Dimensions of 1 broadcast; ellipses align to the right. */
#include "ops/math/einsum.h"
#include "ops/lines.h"
#include "ops/math/elementwise.h"
#include "ops/reduction/reduce.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- the equation ----------------------------------------------------------------------------------------------- */

static int letter_of(char c) { return c >= 'A' && c <= 'Z' ? c - 'A' : c >= 'a' && c <= 'z' ? c - 'a' + 26 : -1; }

/* `which`: 1 for the first input's term ...; 0: that of the output. */
static void fail_term(sdx_bind *bind, int which, const char *text, size_t size, const char *why) {
    char term[96];
    sdx_escape(term, sizeof term, text, size);
    if (which)
        sdx_bind_fail(bind, SDX_VALUE, "term %d of attribute 'equation', '%s', %s", which, term, why);
    else
        sdx_bind_fail(bind, SDX_VALUE, "the output term of attribute 'equation', '%s', %s", term, why);
}

static void parse_term(sdx_bind *bind, int which, const char *text, size_t size, sdx_einsum_term *term) {
    *term = (sdx_einsum_term){.dots = -1};
    for (size_t at = 0; at < size; at++) {
        const int letter = letter_of(text[at]);
        if (text[at] == ' ') continue;
        if (text[at] == '.') {
            if (size - at < 3 || text[at + 1] != '.' || text[at + 2] != '.') {
                fail_term(bind, which, text, size, "has a dot that is not part of an ellipsis '...'");
                return;
            }
            if (term->dots >= 0) {
                fail_term(bind, which, text, size, "has two ellipses; one is allowed");
                return;
            }
            term->dots = term->n;
            at += 2;
        } else if (letter < 0) {
            fail_term(bind, which, text, size, "may have letters, one ellipsis '...' and spaces only");
            return;
        } else if (term->n == SDX_MAX_RANK) {
            fail_term(bind, which, text, size, "has more letters than a tensor may have dimensions, 16");
            return;
        } else {
            term->letter[term->n++] = (uint8_t)letter;
        }
    }
}

static void count_letters(const sdx_einsum *e, int *count) {
    memset(count, 0, SDX_EINSUM_LETTERS * sizeof *count);
    for (int k = 0; k < e->n_terms; k++)
        for (int d = 0; d < e->terms[k].n; d++) count[e->terms[k].letter[d]]++;
}

/* Without an output term: the ellipsis, then the letters that occur once, in ASCII order. */
static void implicit_output(sdx_bind *bind, sdx_einsum *e) {
    int count[SDX_EINSUM_LETTERS];
    count_letters(e, count);
    e->out = (sdx_einsum_term){.dots = -1};
    for (int k = 0; k < e->n_terms; k++)
        if (e->terms[k].dots >= 0) e->out.dots = 0;
    for (int c = 0; c < SDX_EINSUM_LETTERS; c++) {
        if (count[c] != 1) continue;
        if (e->out.n == SDX_MAX_RANK) {
            sdx_bind_fail(bind, SDX_UNSUPPORTED, "the output has more than %d dimensions", SDX_MAX_RANK);
            return;
        }
        e->out.letter[e->out.n++] = (uint8_t)c;
    }
}

static void check_output(sdx_bind *bind, const sdx_einsum *e, const char *text, size_t size) {
    int count[SDX_EINSUM_LETTERS];
    bool seen[SDX_EINSUM_LETTERS] = {false};
    char why[64];
    count_letters(e, count);
    for (int d = 0; d < e->out.n; d++) {
        const int c = e->out.letter[d];
        snprintf(why, sizeof why, "has '%c'%s", sdx_einsum_letter(c), seen[c] ? " twice" : ", which no input has");
        if (seen[c] || count[c] == 0) {
            fail_term(bind, 0, text, size, why);
            return;
        }
        seen[c] = true;
    }
}

static sdx_status einsum_bind(sdx_bind *bind, void *params) {
    sdx_einsum *e = params;
    const sdx_string equation = sdx_bind_string(bind, "equation");
    const char *end = equation.data + equation.size, *arrow = end;
    for (const char *at = equation.data; at + 1 < end && arrow == end; at++)
        if (at[0] == '-' && at[1] == '>') arrow = at;
    e->n_terms = 1;
    for (const char *at = equation.data; at < arrow; at++) e->n_terms += *at == ',';
    if (e->n_terms != bind->node->n_in)
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'equation' has %d terms for inputs; there are %d inputs",
                             e->n_terms, bind->node->n_in);
    sdx_einsum_term *terms = SDX_NEW_ARRAY(bind->arena, sdx_einsum_term, e->n_terms, bind->error);
    if (!terms) return bind->status = SDX_OUT_OF_MEMORY;
    e->terms = terms;
    const char *from = equation.data;
    for (int k = 0; k < e->n_terms; k++) {
        const char *to = memchr(from, ',', (size_t)(arrow - from));
        if (!to) to = arrow;
        parse_term(bind, k + 1, from, (size_t)(to - from), &terms[k]);
        from = to + (to < arrow);
    }
    if (bind->status != SDX_OK) return bind->status;
    if (arrow == end) {
        implicit_output(bind, e);
        return bind->status;
    }
    parse_term(bind, 0, arrow + 2, (size_t)(end - arrow - 2), &e->out);
    if (bind->status == SDX_OK) check_output(bind, e, arrow + 2, (size_t)(end - arrow - 2));
    return bind->status;
}

/* ---- infer ------------------------------------------------------------------------------------------------------ */

static sdx_status check_rank(sdx_infer *infer, int k, const sdx_einsum_term *term) {
    const int rank = infer->in[k]->rank;
    if (rank < 0 || rank == term->n || (term->dots >= 0 && rank > term->n)) return SDX_OK;
    return sdx_fail(infer->error, SDX_SHAPE, "input %d has rank %d; its term has %d letters%s", k, rank, term->n,
                    term->dots >= 0 ? " and an ellipsis" : "");
}

static const char *label_text(int label, char *out) {
    if (label >= SDX_EINSUM_LETTERS) return "...";
    out[0] = sdx_einsum_letter(label);
    out[1] = '\0';
    return out;
}

/* 1 yields to everything; what is unknown to what is known. */
static sdx_status merge_labels(sdx_infer *infer, int k, const uint8_t *label, int64_t *dims) {
    const sdx_type *type = infer->in[k];
    char name[8];
    for (int d = 0; d < type->rank; d++) {
        for (int q = 0; q < d; q++)
            if (label[q] == label[d] && type->dim[q] >= 0 && type->dim[d] >= 0 && type->dim[q] != type->dim[d])
                return sdx_fail(infer->error, SDX_SHAPE,
                                "dimensions %d and %d of input %d are both '%s'; they are %" PRId64 " and %" PRId64, q,
                                d, k, label_text(label[d], name), type->dim[q], type->dim[d]);
        int64_t *dim = &dims[label[d]];
        if (*dim >= 0 && type->dim[d] >= 0 && *dim != type->dim[d] && *dim != 1 && type->dim[d] != 1)
            return sdx_fail(infer->error, SDX_SHAPE,
                            "dimension %d of input %d, '%s', is %" PRId64 "; it must be 1 or %" PRId64, d, k,
                            label_text(label[d], name), type->dim[d], *dim);
        if (*dim == 1 || (*dim < 0 && type->dim[d] > 1) || type->dim[d] == 0) *dim = type->dim[d];
    }
    return SDX_OK;
}

static sdx_status einsum_infer(sdx_infer *infer, const void *params) {
    const sdx_einsum *e = params;
    sdx_type *out = &infer->out[0];
    uint8_t label[SDX_MAX_RANK];
    int64_t dims[SDX_EINSUM_LABELS];
    int dots = 0;
    bool known = true;
    for (int d = 0; d < SDX_EINSUM_LABELS; d++) dims[d] = 1;
    for (int k = 0; k < e->n_terms; k++) {
        const int spread = infer->in[k]->rank - e->terms[k].n;
        SDX_TRY(check_rank(infer, k, &e->terms[k]));
        if (infer->in[k]->rank < 0) {
            known = known && e->terms[k].dots < 0;
            for (int d = 0; d < e->terms[k].n; d++) dims[e->terms[k].letter[d]] = -1;
        } else if (e->terms[k].dots >= 0 && spread > dots) {
            dots = spread;
        }
    }
    for (int k = 0; k < e->n_terms; k++) {
        if (infer->in[k]->rank < 0 || (!known && e->terms[k].dots >= 0)) continue;
        sdx_einsum_labels(&e->terms[k], infer->in[k]->rank, dots, label);
        SDX_TRY(merge_labels(infer, k, label, dims));
    }
    const int rank = e->out.n + (e->out.dots >= 0 ? dots : 0);
    if (!known && e->out.dots >= 0) return SDX_OK;
    if (rank > SDX_MAX_RANK)
        return sdx_fail(infer->error, SDX_UNSUPPORTED, "the output has rank %d; at most %d is supported", rank,
                        SDX_MAX_RANK);
    out->rank = sdx_einsum_labels(&e->out, rank, dots, label);
    for (int d = 0; d < rank; d++) out->dim[d] = dims[label[d]];
    return SDX_OK;
}

/* ---- compute ---------------------------------------------------------------------------------------------------- */

static sdx_dtype work_of(sdx_dtype dtype) {
    const bool narrow = sdx_dtype_size(dtype) < 4;
    if (sdx_dtype_class(dtype) == SDX_CLASS_FLOAT) return sdx_work_dtype(dtype);
    return narrow ? SDX_I64 : dtype;
}

static sdx_einsum_plan empty_plan(sdx_dtype dtype, int threads) {
    return (sdx_einsum_plan){.stored = dtype, .work = work_of(dtype), .threads = threads};
}

static size_t einsum_scratch(const sdx_infer *infer, const void *params) {
    const sdx_einsum *e = params;
    sdx_einsum_plan plan = empty_plan(infer->in[0]->dtype, infer->threads);
    plan.steps = SDX_NEW_ARRAY(infer->arena, sdx_einsum_step, sdx_einsum_most_steps(e), infer->error);
    plan.active = SDX_NEW_ARRAY(infer->arena, sdx_einsum_view, e->n_terms, infer->error);
    sdx_type *types = SDX_NEW_ARRAY(infer->arena, sdx_type, e->n_terms, infer->error);
    if (!plan.steps || !plan.active || !types) return SIZE_MAX;
    for (int k = 0; k < e->n_terms; k++) types[k] = *infer->in[k];
    sdx_einsum_make_plan(&plan, e, types, &infer->out[0]);
    size_t bytes;
    return !plan.too_large && sdx_size_add(plan.used, plan.product, &bytes) ? bytes : SIZE_MAX;
}

static void *place(const sdx_compute *compute, const sdx_einsum_view *view) {
    if (view->input == -2) return compute->out[0]->data;
    return view->input >= 0 ? compute->in[view->input]->data : (char *)compute->scratch + view->at;
}

static sdx_status copy(sdx_compute *compute, const sdx_einsum_step *step, size_t size) {
    const sdx_einsum_view *a = &step->a, *to = &step->to;
    int64_t stride[SDX_EINSUM_RANK];
    for (int d = 0; d < to->n; d++) {
        int at = 0;
        while (a->label[at] != to->label[d]) at++;
        stride[d] = a->stride[at];
    }
    return sdx_copy_strided(compute, to->n, to->dim, size, place(compute, to), to->stride, place(compute, a), stride);
}

static int64_t count_of(const sdx_einsum_view *view) {
    int64_t count = 1;
    for (int d = 0; d < view->n; d++) count *= view->dim[d];
    return count;
}

static sdx_status sum(sdx_compute *compute, const sdx_einsum_step *step, sdx_dtype work) {
    const sdx_einsum_view *a = &step->a;
    const int64_t kept = count_of(&step->to);
    sdx_tensor x, y;
    SDX_TRY(sdx_tensor_make(&y, work, 1, &kept, place(compute, &step->to), compute->error));
    if (a->n <= SDX_MAX_RANK) {
        SDX_TRY(sdx_tensor_make(&x, work, a->n, a->dim, place(compute, a), compute->error));
        return sdx_reduce_run(compute, SDX_REDUCE_SUM, &x, step->summed, &y);
    }
    const int64_t dims[2] = {kept, kept ? count_of(a) / kept : 0}; /* it was brought into this order */
    SDX_TRY(sdx_tensor_make(&x, work, 2, dims, place(compute, a), compute->error));
    return sdx_reduce_run(compute, SDX_REDUCE_SUM, &x, (const bool[]){false, true}, &y);
}

static sdx_status multiply(sdx_compute *compute, const sdx_einsum_step *step, sdx_dtype work) {
    const int64_t a_dims[3] = {step->batch, step->m, 1}, b_dims[3] = {step->batch, 1, step->n};
    const int64_t dims[3] = {step->batch, step->m, step->n};
    sdx_tensor a, b, y;
    SDX_TRY(sdx_tensor_make(&a, work, 3, a_dims, place(compute, &step->a), compute->error));
    SDX_TRY(sdx_tensor_make(&b, work, 3, b_dims, place(compute, &step->b), compute->error));
    SDX_TRY(sdx_tensor_make(&y, work, 3, dims, place(compute, &step->to), compute->error));
    return sdx_binary_run(compute, SDX_BINARY_Mul, &a, &b, &y, (sdx_binary_work){work, work});
}

static sdx_status run_step(sdx_compute *compute, const sdx_einsum_plan *plan, const sdx_einsum_step *step) {
    const sdx_tensor *out = compute->out[0];
    switch (step->kind) {
    case SDX_EINSUM_LOAD:
        sdx_convert(compute->kernels, plan->stored, place(compute, &step->a), plan->work, place(compute, &step->to),
                    compute->in[step->a.input]->count);
        return SDX_OK;
    case SDX_EINSUM_COPY: return copy(compute, step, sdx_dtype_size(plan->work));
    case SDX_EINSUM_SUM: return sum(compute, step, plan->work);
    case SDX_EINSUM_MULTIPLY: return multiply(compute, step, plan->work);
    case SDX_EINSUM_PRODUCT: {
        sdx_product product = step->product;
        product.a.data = place(compute, &step->a);
        product.b.data = place(compute, &step->b);
        product.c = place(compute, &step->to);
        return sdx_product_run(compute, &product, (char *)compute->scratch + plan->used);
    }
    case SDX_EINSUM_STORE:
        sdx_convert(compute->kernels, plan->work, place(compute, &step->a), plan->stored, out->data, out->count);
        return SDX_OK;
    }
    return SDX_OK;
}

static sdx_status einsum_compute(sdx_compute *compute, const void *params) {
    const sdx_einsum *e = params;
    const sdx_services *services = compute->services;
    const sdx_tensor *out = compute->out[0];
    bool empty = false;
    for (int k = 0; k < e->n_terms; k++) empty |= compute->in[k]->count == 0;
    if (empty) {
        memset(out->data, 0, sdx_tensor_bytes(out));
        return SDX_OK;
    }
    sdx_einsum_plan plan = empty_plan(out->dtype, sdx_pool_threads(compute->pool));
    plan.steps = services->alloc(compute, (size_t)sdx_einsum_most_steps(e) * sizeof *plan.steps);
    plan.active = services->alloc(compute, (size_t)e->n_terms * sizeof *plan.active);
    sdx_type *types = services->alloc(compute, (size_t)e->n_terms * sizeof *types);
    if (!plan.steps || !plan.active || !types) return compute->error->status;
    for (int k = 0; k < e->n_terms; k++) types[k] = sdx_type_of_tensor(compute->in[k]);
    const sdx_type result = sdx_type_of_tensor(out);
    sdx_einsum_make_plan(&plan, e, types, &result);
    for (int s = 0; s < plan.n_steps; s++) SDX_TRY(run_step(compute, &plan, &plan.steps[s]));
    return SDX_OK;
}

#define ROW(since, types)                                                                                              \
    { since, "Inputs:T* -> Output:T", "T=" types, "equation:string!" }
const sdx_op sdx_op_Einsum = {
    .domain = "",
    .name = "Einsum",
    .versions = (const sdx_op_version[]){ROW(12, SDX_T_NUMERIC), ROW(28, SDX_T_NUMERIC_BF), {0, NULL, NULL, NULL}},
    .params_size = sizeof(sdx_einsum),
    .bind = einsum_bind,
    .infer = einsum_infer,
    .scratch = einsum_scratch,
    .compute = einsum_compute,
    .grad = sdx_einsum_grad,
};
