/* SPDX-License-Identifier: Apache-2.0
 * Operands are contracted two at a time, the pair with the smallest result first. Labels of a pair fall into batch (in
 * both, and needed later), m and n (in one), and k (in both, then gone): a batched matrix product, which reads operands
 * where they lie if each group has one stride there. Without k it is an elementwise product. Labels that no one else
 * needs are summed first. */
#include "ops/lines.h"
#include "ops/math/einsum.h"
#include <string.h>

typedef struct labels {
    int n;
    uint8_t label[SDX_EINSUM_RANK];
} labels;

static int find(const sdx_einsum_view *view, uint8_t label) {
    for (int d = 0; d < view->n; d++)
        if (view->label[d] == label) return d;
    return -1;
}

static sdx_einsum_step *add_step(sdx_einsum_plan *plan, sdx_einsum_kind kind, const sdx_einsum_view *a) {
    sdx_einsum_step *step = &plan->steps[plan->n_steps++];
    memset(step, 0, sizeof *step);
    step->kind = kind;
    step->a = *a;
    return step;
}

/* Room in the scratch for these labels, dense. */
static sdx_einsum_view make_dense(sdx_einsum_plan *plan, const labels *order, const int64_t *dims) {
    sdx_einsum_view view = {.n = order->n, .input = -1, .at = plan->used};
    int64_t count = 1, bytes = 0;
    for (int d = order->n - 1; d >= 0; d--) {
        view.label[d] = order->label[d];
        view.dim[d] = dims[order->label[d]];
        view.stride[d] = count;
        plan->too_large |= !sdx_dim_mul(count, view.dim[d], &count);
    }
    plan->too_large |= !sdx_dim_mul(count, (int64_t)sdx_dtype_size(plan->work), &bytes) || bytes > INT64_MAX / 4;
    if (plan->too_large || !sdx_size_add(plan->used, sdx_align((size_t)bytes), &plan->used)) plan->too_large = true;
    return view;
}

static void append(labels *to, uint8_t label) {
    if (to->n < SDX_EINSUM_RANK) to->label[to->n++] = label;
}

static void join(labels *to, const labels *more, bool *too_large) {
    if (to->n + more->n > SDX_EINSUM_RANK) *too_large = true;
    for (int d = 0; d < more->n; d++) append(to, more->label[d]);
}

static bool lies_as(const sdx_einsum_view *view, const labels *order) {
    int64_t stride = 1;
    if (view->n != order->n) return false;
    for (int d = view->n - 1; d >= 0; d--) {
        if (view->label[d] != order->label[d] || view->stride[d] != stride) return false;
        stride *= view->dim[d];
    }
    return true;
}

static void bring_into(sdx_einsum_plan *plan, sdx_einsum_view *view, const labels *order, const int64_t *dims) {
    if (lies_as(view, order)) return;
    sdx_einsum_step *step = add_step(plan, SDX_EINSUM_COPY, view);
    *view = step->to = make_dense(plan, order, dims);
}

/* One stride for the whole group, whose labels are in order. */
static bool collapse(const sdx_einsum_view *view, const labels *group, int64_t *count, int64_t *stride) {
    *count = 1, *stride = 1;
    for (int d = group->n - 1; d >= 0; d--) {
        int at = find(view, group->label[d]);
        if (d == group->n - 1)
            *stride = view->stride[at];
        else if (view->stride[at] != *count * *stride)
            return false;
        *count *= view->dim[at];
    }
    return true;
}

/* Labels of a view in the order of falling strides, as they lie. */
static labels by_stride(const sdx_einsum_view *view) {
    labels order = {0};
    for (int d = 0; d < view->n; d++) {
        int at = order.n++;
        for (; at > 0 && view->stride[find(view, order.label[at - 1])] < view->stride[d]; at--)
            order.label[at] = order.label[at - 1];
        order.label[at] = view->label[d];
    }
    return order;
}

/* ---- sums ------------------------------------------------------------------------------------------------------- */

static bool is_dense(const sdx_einsum_view *view) {
    labels own = {.n = view->n};
    memcpy(own.label, view->label, sizeof own.label);
    return lies_as(view, &own);
}

/* Sums the labels that are not needed. */
static void sum_out(sdx_einsum_plan *plan, sdx_einsum_view *view, const bool *needed, const int64_t *dims) {
    labels kept = {0}, all = {0};
    for (int d = 0; d < view->n; d++)
        if (needed[view->label[d]]) append(&kept, view->label[d]);
    if (kept.n == view->n) return;
    all = kept;
    for (int d = 0; d < view->n; d++)
        if (!needed[view->label[d]]) append(&all, view->label[d]);
    if (!is_dense(view) || view->n > SDX_MAX_RANK) bring_into(plan, view, &all, dims);
    sdx_einsum_step *step = add_step(plan, SDX_EINSUM_SUM, view);
    for (int d = 0; d < view->n; d++) step->summed[d] = !needed[view->label[d]];
    *view = step->to = make_dense(plan, &kept, dims);
}

/* ---- a pair ----------------------------------------------------------------------------------------------------- */

typedef struct groups {
    labels batch, m, n, k;
} groups;

static groups split(const sdx_einsum_view *a, const sdx_einsum_view *b, const bool *needed) {
    groups g = {{0}, {0}, {0}, {0}};
    const labels of_a = by_stride(a), of_b = by_stride(b);
    for (int d = 0; d < of_a.n; d++) {
        const uint8_t label = of_a.label[d];
        if (find(b, label) < 0)
            append(&g.m, label);
        else
            append(needed[label] ? &g.batch : &g.k, label);
    }
    for (int d = 0; d < of_b.n; d++)
        if (find(a, of_b.label[d]) < 0) append(&g.n, of_b.label[d]);
    return g;
}

static labels three(sdx_einsum_plan *plan, const labels *x, const labels *y, const labels *z) {
    labels all = *x;
    join(&all, y, &plan->too_large);
    join(&all, z, &plan->too_large);
    return all;
}

static int64_t extent(const labels *group, const int64_t *dims) {
    int64_t count = 1;
    for (int d = 0; d < group->n; d++) count *= dims[group->label[d]];
    return count;
}

/* Lines and steps of an operand with one stride each, after a copy if need be; batch strides as they are. */
static void describe(sdx_einsum_plan *plan, sdx_einsum_view *view, const groups *g, const labels *lines,
                     const int64_t *dims, sdx_factor *factor) {
    int64_t count;
    if (!collapse(view, lines, &count, &factor->line_step) || !collapse(view, &g->k, &count, &factor->k_step)) {
        const labels order = three(plan, &g->batch, lines, &g->k);
        bring_into(plan, view, &order, dims);
        collapse(view, lines, &count, &factor->line_step);
        collapse(view, &g->k, &count, &factor->k_step);
    }
    for (int d = 0; d < g->batch.n; d++) factor->batch_step[d] = view->stride[find(view, g->batch.label[d])];
}

static sdx_einsum_view contract(sdx_einsum_plan *plan, sdx_einsum_view a, sdx_einsum_view b, const bool *needed,
                                const int64_t *dims) {
    const labels none = {0};
    const groups g = split(&a, &b, needed);
    const labels result = three(plan, &g.batch, &g.m, &g.n);
    const int64_t batch = extent(&g.batch, dims), m = extent(&g.m, dims), n = extent(&g.n, dims),
                  k = extent(&g.k, dims);
    if (plan->too_large) return a;
    if (g.k.n == 0) {
        const labels rows = three(plan, &g.batch, &g.m, &none), columns = three(plan, &g.batch, &g.n, &none);
        bring_into(plan, &a, &rows, dims);
        bring_into(plan, &b, &columns, dims);
        sdx_einsum_step *step = add_step(plan, SDX_EINSUM_MULTIPLY, &a);
        step->b = b, step->batch = batch, step->m = m, step->n = n;
        return step->to = make_dense(plan, &result, dims);
    }
    sdx_product product = {.dtype = plan->work, .m = m, .n = n, .k = k, .alpha = 1, .beta = 1};
    product.batch_rank = g.batch.n;
    for (int d = 0; d < g.batch.n; d++) product.batch_dim[d] = dims[g.batch.label[d]];
    describe(plan, &a, &g, &g.m, dims, &product.a);
    describe(plan, &b, &g, &g.n, dims, &product.b);
    size_t bytes = sdx_product_scratch(plan->work, batch, m, n, k, false, false, plan->threads);
    if (bytes > plan->product) plan->product = bytes;
    sdx_einsum_step *step = add_step(plan, SDX_EINSUM_PRODUCT, &a);
    step->b = b, step->product = product;
    return step->to = make_dense(plan, &result, dims);
}

/* ---- the whole -------------------------------------------------------------------------------------------------- */

int sdx_einsum_labels(const sdx_einsum_term *term, int rank, int dots, uint8_t *label) {
    const int spread = term->dots < 0 ? 0 : rank - term->n;
    int n = 0;
    for (int d = 0; d <= term->n; d++) {
        if (d == term->dots)
            for (int q = 0; q < spread; q++) label[n++] = (uint8_t)(SDX_EINSUM_LETTERS + dots - spread + q);
        if (d < term->n) label[n++] = term->letter[d];
    }
    return n;
}

/* An operand where it lies: dimensions of 1 go, those with one label become a diagonal. */
static sdx_einsum_view view_of(int input, const sdx_type *type, const uint8_t *label) {
    sdx_einsum_view view = {.input = input};
    int64_t stride = 1;
    for (int d = type->rank - 1; d >= 0; stride *= type->dim[d--]) {
        if (type->dim[d] == 1) continue;
        int at = find(&view, label[d]);
        if (at < 0) at = view.n++;
        view.label[at] = label[d];
        view.dim[at] = type->dim[d];
        view.stride[at] += stride;
    }
    for (int d = 0; d < view.n / 2; d++) { /* outermost first */
        const int e = view.n - 1 - d;
        const uint8_t name = view.label[d];
        const int64_t dim = view.dim[d], step = view.stride[d];
        view.label[d] = view.label[e], view.dim[d] = view.dim[e], view.stride[d] = view.stride[e];
        view.label[e] = name, view.dim[e] = dim, view.stride[e] = step;
    }
    return view;
}

int sdx_einsum_most_steps(const sdx_einsum *e) { return 10 * e->n_terms + 4; }

/* What someone besides operands i and j (-1: none) needs. */
static void mark_needed(const sdx_einsum_plan *plan, const bool *wanted, int i, int j, bool *needed) {
    memcpy(needed, wanted, SDX_EINSUM_LABELS * sizeof *needed);
    for (int v = 0; v < plan->n_active; v++)
        for (int d = 0; v != i && v != j && d < plan->active[v].n; d++) needed[plan->active[v].label[d]] = true;
}

static double result_size(const sdx_einsum_plan *plan, const bool *wanted, int i, int j) {
    bool needed[SDX_EINSUM_LABELS];
    double size = 1;
    const sdx_einsum_view *a = &plan->active[i], *b = &plan->active[j];
    mark_needed(plan, wanted, i, j, needed);
    for (int d = 0; d < a->n; d++)
        if (needed[a->label[d]]) size *= (double)a->dim[d];
    for (int d = 0; d < b->n; d++)
        if (needed[b->label[d]] && find(a, b->label[d]) < 0) size *= (double)b->dim[d];
    return size;
}

enum { TRIED = 12 }; /* operands among which a pair is sought: time stays in bounds for very many */

/* The pair with the smallest result; the one that holds the output's last label comes second. */
static void choose_pair(const sdx_einsum_plan *plan, const bool *wanted, const labels *out, int *first, int *second) {
    const int tried = plan->n_active < TRIED ? plan->n_active : TRIED;
    double best = -1;
    for (int i = 0; i < tried; i++)
        for (int j = i + 1; j < tried; j++) {
            double size = result_size(plan, wanted, i, j);
            if (best >= 0 && size >= best) continue;
            best = size;
            *first = i, *second = j;
        }
    const uint8_t last = out->n ? out->label[out->n - 1] : 0;
    if (out->n == 0 || find(&plan->active[*first], last) < 0 || find(&plan->active[*second], last) >= 0) return;
    const int turned = *first;
    *first = *second;
    *second = turned;
}

static void contract_all(sdx_einsum_plan *plan, const bool *wanted, const labels *out, const int64_t *dims) {
    bool needed[SDX_EINSUM_LABELS];
    for (int v = 0; v < plan->n_active && !plan->too_large; v++) {
        mark_needed(plan, wanted, v, -1, needed);
        sum_out(plan, &plan->active[v], needed, dims);
    }
    while (plan->n_active > 1 && !plan->too_large) {
        int i = 0, j = 1;
        choose_pair(plan, wanted, out, &i, &j);
        mark_needed(plan, wanted, i, j, needed);
        plan->active[i < j ? i : j] = contract(plan, plan->active[i], plan->active[j], needed, dims);
        plan->active[i < j ? j : i] = plan->active[--plan->n_active];
    }
}

/* The last step writes to the output, or one more does. */
static void finish(sdx_einsum_plan *plan, const labels *out, const int64_t *dims) {
    sdx_einsum_view *view = &plan->active[0];
    sdx_einsum_step *last = plan->n_steps ? &plan->steps[plan->n_steps - 1] : NULL;
    if (plan->stored != plan->work) {
        bring_into(plan, view, out, dims);
        add_step(plan, SDX_EINSUM_STORE, view);
    } else if (last && view->input == -1 && lies_as(view, out)) {
        last->to.input = -2;
    } else {
        sdx_einsum_step *step = add_step(plan, SDX_EINSUM_COPY, view);
        step->to = make_dense(plan, out, dims);
        step->to.input = -2;
    }
}

void sdx_einsum_make_plan(sdx_einsum_plan *plan, const sdx_einsum *e, const sdx_type *types, const sdx_type *out) {
    int64_t dims[SDX_EINSUM_LABELS];
    bool wanted[SDX_EINSUM_LABELS] = {false};
    uint8_t label[SDX_MAX_RANK];
    labels order = {0};
    int dots = 0;
    for (int d = 0; d < SDX_EINSUM_LABELS; d++) dims[d] = 1;
    for (int v = 0; v < e->n_terms; v++)
        if (e->terms[v].dots >= 0 && types[v].rank - e->terms[v].n > dots) dots = types[v].rank - e->terms[v].n;
    plan->n_active = e->n_terms;
    for (int v = 0; v < e->n_terms; v++) {
        sdx_einsum_labels(&e->terms[v], types[v].rank, dots, label);
        plan->active[v] = view_of(v, &types[v], label);
        for (int d = 0; d < plan->active[v].n; d++) dims[plan->active[v].label[d]] = plan->active[v].dim[d];
    }
    sdx_einsum_labels(&e->out, out->rank, dots, label);
    for (int d = 0; d < out->rank; d++) {
        wanted[label[d]] = true;
        if (out->dim[d] != 1) append(&order, label[d]);
    }
    for (int v = 0; v < e->n_terms && plan->stored != plan->work; v++) {
        labels whole = {0};
        int64_t flat[SDX_EINSUM_LABELS] = {1};
        sdx_einsum_step *step = add_step(plan, SDX_EINSUM_LOAD, &plan->active[v]);
        append(&whole, 0);
        for (int d = 0; d < types[v].rank; d++) flat[0] *= types[v].dim[d];
        step->to = make_dense(plan, &whole, flat);
        plan->active[v].input = -1;
        plan->active[v].at = step->to.at;
    }
    contract_all(plan, wanted, &order, dims);
    if (!plan->too_large) finish(plan, &order, dims);
}
