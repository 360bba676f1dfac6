/* SPDX-License-Identifier: Apache-2.0
 * An equation of Einsum and how it is computed: a list of steps over views, planned from shapes alone. Labels are the
 * letters in ASCII order, then the dimensions an ellipsis stands for, aligned to the right. */
#ifndef SDX_OPS_MATH_EINSUM_H
#define SDX_OPS_MATH_EINSUM_H
#include "ops/loop.h"
#include "ops/math/product.h"

enum {
    SDX_EINSUM_LETTERS = 52,
    SDX_EINSUM_LABELS = SDX_EINSUM_LETTERS + SDX_MAX_RANK,
    SDX_EINSUM_RANK = 2 * SDX_MAX_RANK /* of results in between */
};

static inline char sdx_einsum_letter(int label) { return (char)(label < 26 ? 'A' + label : 'a' + label - 26); }

typedef struct sdx_einsum_term {
    int n, dots; /* letters; how many of them stand before the ellipsis, -1: there is none */
    uint8_t letter[SDX_MAX_RANK];
} sdx_einsum_term;

typedef struct sdx_einsum {
    int n_terms;
    const sdx_einsum_term *terms;
    sdx_einsum_term out;
} sdx_einsum;

/* What the dimensions of a tensor of this rank are called; `dots`: those of the widest ellipsis. Returns how many. */
int sdx_einsum_labels(const sdx_einsum_term *term, int rank, int dots, uint8_t *label);

/* Elements somewhere, by label. No label twice, no dimension of 1. */
typedef struct sdx_einsum_view {
    int n;
    uint8_t label[SDX_EINSUM_RANK];
    int64_t dim[SDX_EINSUM_RANK], stride[SDX_EINSUM_RANK];
    int input; /* an input of the node; -1: `at` bytes into the scratch; -2: the output */
    size_t at;
} sdx_einsum_view;

typedef enum sdx_einsum_kind {
    SDX_EINSUM_LOAD,     /* to = a in the work dtype */
    SDX_EINSUM_COPY,     /* to, dense, = a */
    SDX_EINSUM_SUM,      /* to = a, dense, summed over `summed` */
    SDX_EINSUM_MULTIPLY, /* to[batch, m, n] = a[batch, m] b[batch, n], all dense */
    SDX_EINSUM_PRODUCT,  /* to = a b as `product` says */
    SDX_EINSUM_STORE     /* the output = a, dense, in the output's dtype */
} sdx_einsum_kind;

typedef struct sdx_einsum_step {
    sdx_einsum_kind kind;
    sdx_einsum_view a, b, to;
    bool summed[SDX_EINSUM_RANK];
    int64_t batch, m, n;
    sdx_product product;
} sdx_einsum_step;

typedef struct sdx_einsum_plan {
    sdx_dtype stored, work;
    int n_steps, most_steps;
    sdx_einsum_step *steps;
    sdx_einsum_view *active; /* operands not yet used: n_terms */
    int n_active;
    size_t used, product; /* bytes of views, and of products behind them */
    bool too_large;
    int threads;
} sdx_einsum_plan;

/* steps and active hold that many; types[k]->rank and dims are known. */
int sdx_einsum_most_steps(const sdx_einsum *e);
void sdx_einsum_make_plan(sdx_einsum_plan *plan, const sdx_einsum *e, const sdx_type *types, const sdx_type *out);

sdx_status sdx_einsum_grad(sdx_grad *grad, const void *params);

#endif
