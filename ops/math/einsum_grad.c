/* SPDX-License-Identifier: Apache-2.0
 * The gradient of input k is an equation too: dY and the other inputs, to the term of k. Letters that only k has come
 * from a tensor of ones of its shape; a letter that k has twice gets a name of its own each time, and an identity
 * matrix puts the result on the diagonal. */
#include "ops/math/einsum.h"
#include <string.h>

enum { TEXT = 4096, OPERANDS = 96 };

typedef struct writer {
    sdx_grad *grad;
    const sdx_einsum *e;
    char text[TEXT];
    size_t used;
    sdx_id in[OPERANDS];
    int n_in;
    bool taken[SDX_EINSUM_LETTERS]; /* letters of the equation */
    bool full;                      /* one of these did not suffice */
} writer;

static void put(writer *w, const char *text, size_t n) {
    if (w->used + n >= TEXT) w->full = true;
    if (w->full) return;
    memcpy(w->text + w->used, text, n);
    w->used += n;
}

static void put_term(writer *w, const sdx_einsum_term *term) {
    for (int d = 0; d <= term->n; d++) {
        if (d == term->dots) put(w, "...", 3);
        if (d == term->n) continue;
        const char letter = sdx_einsum_letter(term->letter[d]);
        put(w, &letter, 1);
    }
}

static void put_operand(writer *w, sdx_id x, const sdx_einsum_term *term) {
    if (w->n_in) put(w, ",", 1);
    put_term(w, term);
    if (w->n_in == OPERANDS)
        w->full = true;
    else
        w->in[w->n_in++] = x;
}

static const sdx_type *type_of(const writer *w, sdx_id x) { return &w->grad->patch->graph->values[x].type; }

/* Where a term has this letter; -1: nowhere. */
static int place(const sdx_einsum_term *term, uint8_t letter) {
    for (int d = 0; d < term->n; d++)
        if (term->letter[d] == letter) return d;
    return -1;
}

/* Whether every letter of term k comes, at its full length, from dY or from another input. */
static bool covered(const writer *w, int k) {
    const sdx_einsum_term *term = &w->e->terms[k];
    const sdx_type *own = type_of(w, w->grad->node->in[k]);
    if (term->dots >= 0 && w->e->out.dots < 0) return false;
    for (int d = 0; d < term->n; d++) {
        bool found = place(&w->e->out, term->letter[d]) >= 0;
        for (int j = 0; j < w->e->n_terms && !found; j++) {
            const int at = j == k ? -1 : place(&w->e->terms[j], term->letter[d]);
            const sdx_type *type = type_of(w, w->grad->node->in[j]);
            if (at < 0 || term->dots >= 0 || w->e->terms[j].dots >= 0 || type->rank < 0 || own->rank < 0) continue;
            found = type->dim[at] >= 0 && type->dim[at] == own->dim[d];
        }
        if (!found) return false;
    }
    return true;
}

static sdx_id ones_like(writer *w, sdx_id x) {
    sdx_patch *patch = w->grad->patch;
    return sdx_emit2(patch, "Expand", sdx_patch_scalar(patch, type_of(w, x)->dtype, 1), sdx_emit1(patch, "Shape", x));
}

static sdx_id identity(writer *w, sdx_id x, int axis) {
    sdx_patch *patch = w->grad->patch;
    const sdx_dtype dtype = type_of(w, x)->dtype;
    const int64_t at[2] = {axis, axis};
    const sdx_id square = sdx_emit2(patch, "Gather", sdx_emit1(patch, "Shape", x), sdx_patch_i64s(patch, at, 2));
    return sdx_emit1(patch, "EyeLike", sdx_emit2(patch, "Expand", sdx_patch_scalar(patch, dtype, 0), square));
}

static int fresh(writer *w) {
    for (int c = SDX_EINSUM_LETTERS - 1; c >= 0; c--) {
        if (w->taken[c]) continue;
        w->taken[c] = true;
        return c;
    }
    w->full = true;
    return 0;
}

/* The term of input k with every letter once; operands that lay the others on diagonals are added. */
static sdx_einsum_term apart(writer *w, int k) {
    const sdx_id x = w->grad->node->in[k];
    sdx_einsum_term term = w->e->terms[k];
    for (int d = 0; d < term.n; d++) {
        const int first = place(&term, term.letter[d]);
        if (first == d) continue;
        const uint8_t name = (uint8_t)fresh(w);
        const sdx_einsum_term pair = {.n = 2, .dots = -1, .letter = {term.letter[d], name}};
        const int rank = type_of(w, x)->rank;
        put_operand(w, identity(w, x, term.dots >= 0 && d >= term.dots ? rank - (term.n - d) : d), &pair);
        term.letter[d] = name;
    }
    return term;
}

static void one_gradient(writer *w, int k) {
    sdx_grad *grad = w->grad;
    const sdx_einsum *e = w->e;
    memset(w->taken, 0, sizeof w->taken);
    for (int j = 0; j < e->n_terms; j++)
        for (int d = 0; d < e->terms[j].n; d++) w->taken[e->terms[j].letter[d]] = true;
    w->used = 0, w->n_in = 0;
    put_operand(w, grad->dY[0], &e->out);
    for (int j = 0; j < e->n_terms; j++)
        if (j != k) put_operand(w, grad->node->in[j], &e->terms[j]);
    if (!covered(w, k)) put_operand(w, ones_like(w, grad->node->in[k]), &e->terms[k]);
    const sdx_einsum_term result = apart(w, k);
    put(w, "->", 2);
    put_term(w, &result);
    if (w->full) return;
    w->text[w->used] = '\0';
    sdx_node *node = sdx_patch_node(grad->patch, "", "Einsum", w->n_in, w->in, 1);
    sdx_patch_string(grad->patch, node, "equation", w->text);
    grad->dX[k] = node->out[0];
}

/* Dimensions behind the ellipsis of term k; -1: there is none, or the rank is unknown. */
static int spread(const writer *w, int k) {
    const int rank = type_of(w, w->grad->node->in[k])->rank;
    return w->e->terms[k].dots < 0 || rank < 0 ? -1 : rank - w->e->terms[k].n;
}

/* Summing away what broadcasting widened works from the front: a narrow ellipsis must stand there. */
static bool can_narrow(const writer *w, int k) {
    const sdx_einsum_term *term = &w->e->terms[k];
    if (term->dots < 0) return true;
    if (spread(w, k) < 0 || term->dots == 0) return spread(w, k) >= 0;
    for (int j = 0; j < w->e->n_terms; j++)
        if (w->e->terms[j].dots >= 0 && (spread(w, j) < 0 || spread(w, j) > spread(w, k))) return false;
    return true;
}

sdx_status sdx_einsum_grad(sdx_grad *grad, const void *params) {
    writer w = {.grad = grad, .e = params};
    for (int k = 0; k < w.e->n_terms; k++) {
        if (!grad->needed[k]) continue;
        if (!can_narrow(&w, k))
            return sdx_fail(grad->error, SDX_UNSUPPORTED,
                            "the ellipsis of term %d of attribute 'equation' is narrower than another, or unknown, and "
                            "does not come first: there is no gradient for that",
                            k + 1);
        one_gradient(&w, k);
        if (w.full)
            return sdx_fail(grad->error, SDX_UNSUPPORTED, "the equation of the gradient of input %d is too long", k);
    }
    return grad->patch->status;
}
