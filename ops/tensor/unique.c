/* SPDX-License-Identifier: Apache-2.0
 * Unique: the distinct elements, or slices along `axis`, sorted or in order of first occurrence; where each occurs
 * first, which of them each input element is, and how often each occurs. NaN equals NaN. */
#include "ops/move.h"
#include "ops/order.h"

typedef struct unique_params {
    int64_t axis;
    bool flat, unsorted;
} unique_params;

static sdx_status unique_bind(sdx_bind *bind, void *params) {
    unique_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    p->flat = !sdx_bind_has(bind, "axis");
    p->unsorted = sdx_bind_int(bind, "sorted") == 0;
    return bind->status;
}

static sdx_status unique_infer(sdx_infer *infer, const void *params) {
    const unique_params *p = params;
    int rank = sdx_infer_rank_of(infer, 0), axis = 0;
    for (int o = 1; o < infer->n_out; o++) {
        infer->out[o].dtype = SDX_I64;
        infer->out[o].rank = 1;
        infer->out[o].dim[0] = -1;
    }
    if (p->flat) {
        infer->out[0].rank = 1;
        infer->out[0].dim[0] = -1;
        return SDX_OK;
    }
    if (rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_axis(infer, "axis", p->axis, rank, &axis));
    sdx_infer_same(infer, 0, 0);
    infer->out[0].dim[axis] = -1;
    if (infer->n_out > 2) infer->out[2].dim[0] = infer->in[0]->dim[axis];
    return SDX_OK;
}

/* n slices; slice i has `outer` runs of `inner` elements, at (o * n + i) * inner. */
typedef struct slices {
    const sdx_tensor *x;
    int64_t n, outer, inner;
} slices;

static int compare_slices(const slices *s, int64_t a, int64_t b) {
    size_t size = sdx_dtype_size(s->x->dtype);
    const char *data = s->x->data;
    for (int64_t o = 0; o < s->outer; o++)
        for (int64_t i = 0; i < s->inner; i++) {
            const char *x = data + (size_t)((o * s->n + a) * s->inner + i) * size;
            const char *y = data + (size_t)((o * s->n + b) * s->inner + i) * size;
            int order = sdx_order_compare(s->x->dtype, x, y);
            if (order) return order;
        }
    return 0;
}

/* Bottom-up merge sort, stable; the sorted order ends up in `order`. */
static sdx_status sort_slices(sdx_compute *compute, const slices *s, int64_t *order, int64_t *spare) {
    int64_t *from = order, *to = spare;
    for (int64_t width = 1; width < s->n; width *= 2) {
        for (int64_t low = 0; low < s->n; low += 2 * width) {
            int64_t middle = low + width < s->n ? low + width : s->n;
            int64_t high = low + 2 * width < s->n ? low + 2 * width : s->n, a = low, b = middle;
            for (int64_t k = low; k < high; k++)
                to[k] = b >= high || (a < middle && compare_slices(s, from[a], from[b]) <= 0) ? from[a++] : from[b++];
        }
        int64_t *swap = from;
        from = to;
        to = swap;
        SDX_TRY(sdx_stop_check(compute->stop, compute->error));
    }
    if (from != order) memcpy(order, from, (size_t)s->n * sizeof *order);
    return SDX_OK;
}

/* first[g], count[g] of the groups; group[i] of each slice. Groups come in the order of the result. */
typedef struct groups {
    int64_t n, *first, *count, *group;
} groups;

static sdx_status find_groups(sdx_compute *compute, const slices *s, bool unsorted, groups *g) {
    size_t bytes = 0;
    if (!sdx_size_mul((size_t)s->n + 1, 6 * sizeof(int64_t), &bytes))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "the input is too large to sort");
    int64_t *work = compute->services->alloc(compute, bytes);
    if (!work) return compute->error->status;
    int64_t *order = work, *spare = work + s->n, *rank = spare; /* spare is free once sorted */
    g->first = work + 2 * s->n;
    g->count = work + 3 * s->n;
    g->group = work + 4 * s->n;
    for (int64_t i = 0; i < s->n; i++) order[i] = i;
    SDX_TRY(sort_slices(compute, s, order, spare));
    g->n = 0;
    for (int64_t i = 0; i < s->n; i++) {
        if (i == 0 || compare_slices(s, order[i - 1], order[i]) != 0) g->first[g->n++] = order[i];
        g->group[order[i]] = g->n - 1;
    }
    if (unsorted) { /* renumber in order of first occurrence */
        int64_t *met = work + 5 * s->n, next = 0;
        for (int64_t i = 0; i < g->n; i++) rank[i] = -1;
        for (int64_t i = 0; i < s->n; i++) {
            int64_t old = g->group[i];
            if (rank[old] < 0) {
                rank[old] = next;
                met[next++] = i;
            }
            g->group[i] = rank[old];
        }
        memcpy(g->first, met, (size_t)g->n * sizeof *met);
    }
    for (int64_t i = 0; i < s->n; i++) g->count[g->group[i]]++;
    return SDX_OK;
}

static sdx_status put_i64s(sdx_compute *compute, int k, int64_t n, const int64_t *values) {
    if (k >= compute->n_out || !compute->wanted[k]) return SDX_OK;
    sdx_tensor *out = sdx_compute_output(compute, k, 1, &n);
    if (!out) return compute->error->status;
    if (n) memcpy(out->data, values, (size_t)n * sizeof *values);
    return SDX_OK;
}

static sdx_status unique_compute(sdx_compute *compute, const void *params) {
    const unique_params *p = params;
    const sdx_tensor *x = compute->in[0];
    int axis = p->flat ? 0 : sdx_axis_of(p->axis, x->rank);
    slices s = {.x = x, .n = p->flat ? x->count : x->dim[axis], .outer = 1, .inner = 1};
    groups g = {0};
    int64_t dims[SDX_MAX_RANK] = {0};
    if (!p->flat) {
        memcpy(dims, x->dim, sizeof dims);
        s.outer = sdx_dims_product(x->dim, 0, axis);
        s.inner = sdx_dims_product(x->dim, axis + 1, x->rank);
    }
    SDX_TRY(find_groups(compute, &s, p->unsorted, &g));
    dims[axis] = g.n;
    if (compute->wanted[0]) {
        sdx_tensor *out = sdx_compute_output(compute, 0, p->flat ? 1 : x->rank, dims);
        if (!out) return compute->error->status;
        size_t run = (size_t)s.inner * sdx_dtype_size(x->dtype);
        for (int64_t o = 0; o < s.outer && run; o++)
            for (int64_t i = 0; i < g.n; i++)
                sdx_copy_run((char *)out->data + (size_t)(o * g.n + i) * run,
                             (const char *)x->data + (size_t)(o * s.n + g.first[i]) * run, run);
    }
    SDX_TRY(put_i64s(compute, 1, g.n, g.first));
    SDX_TRY(put_i64s(compute, 2, s.n, g.group));
    return put_i64s(compute, 3, g.n, g.count);
}

const sdx_op sdx_op_Unique = {
    .domain = "",
    .name = "Unique",
    .versions =
        (const sdx_op_version[]){
            {11, "X:T -> Y:T indices:i64? inverse_indices:i64? counts:i64?", "T=" SDX_T_ALL, "axis:int sorted:int=1"},
            {28, "X:T -> Y:T indices:i64? inverse_indices:i64? counts:i64?", "T=" SDX_T_ALL_BF,
             "axis:int sorted:int=1"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(unique_params),
    .bind = unique_bind,
    .infer = unique_infer,
    .compute = unique_compute,
    .grad = sdx_no_gradient,
};
