/* SPDX-License-Identifier: Apache-2.0
 * TopK: the K largest (smallest) elements along `axis` in order, the lower index first among equals. NaN counts as the
 * largest. Version 1 had K as an attribute. */
#include "ops/grad.h"
#include "ops/loop.h"
#include "ops/move.h"
#include "ops/order.h"
#include <inttypes.h>

typedef struct top_k_params {
    int64_t axis;
    bool smallest;
} top_k_params;

static sdx_status top_k_upgrade(sdx_patch *patch, const sdx_node *node) {
    const sdx_attr *k = sdx_node_attr(node, "k"), *axis = sdx_node_attr(node, "axis");
    if (node->version->since >= 10 || !k) return SDX_OK;
    sdx_id in[2] = {node->in[0], sdx_patch_i64s(patch, &k->i, 1)};
    sdx_node *newest = sdx_patch_node(patch, "", "TopK", 2, in, node->n_out);
    if (axis) sdx_patch_attr(patch, newest, axis);
    for (int o = 0; o < node->n_out; o++)
        if (node->out[o] != SDX_NONE) sdx_patch_replace(patch, node->out[o], newest->out[o]);
    sdx_patch_remove(patch, node);
    return patch->status;
}

static sdx_status top_k_bind(sdx_bind *bind, void *params) {
    top_k_params *p = params;
    p->axis = sdx_bind_int(bind, "axis");
    p->smallest = bind->since >= 11 && sdx_bind_int(bind, "largest") == 0;
    return bind->status;
}

static sdx_status read_k(sdx_error *error, const sdx_tensor *tensor, int64_t n, int64_t *k) {
    if (tensor->count != 1)
        return sdx_fail(error, SDX_SHAPE, "input 'K' has %" PRId64 " elements; it must have one", tensor->count);
    *k = sdx_index_at(tensor, 0);
    if (*k < 0) return sdx_fail(error, SDX_VALUE, "input 'K' is %" PRId64 "; it must be >= 0", *k);
    if (n >= 0 && *k > n)
        return sdx_fail(error, SDX_VALUE, "input 'K' is %" PRId64 "; it must be in [0, %" PRId64 "]", *k, n);
    return SDX_OK;
}

static sdx_status top_k_infer(sdx_infer *infer, const void *params) {
    const top_k_params *p = params;
    int rank = sdx_infer_rank_of(infer, 0), axis = 0;
    int64_t k = -1;
    for (int o = 0; o < infer->n_out; o++) sdx_infer_same(infer, o, 0);
    if (infer->n_out > 1) infer->out[1].dtype = SDX_I64;
    if (rank < 0) return SDX_OK;
    SDX_TRY(sdx_infer_axis(infer, "axis", p->axis, rank, &axis));
    if (infer->n_in > 1 && infer->value[1]) SDX_TRY(read_k(infer->error, infer->value[1], infer->in[0]->dim[axis], &k));
    for (int o = 0; o < infer->n_out; o++) infer->out[o].dim[axis] = k;
    return SDX_OK;
}

/* A heap whose root is the worst entry kept. `key` is inverted for the largest, so that smaller is always better. */
typedef struct entry {
    uint64_t key;
    int64_t index;
} entry;

static bool better(entry a, entry b) { return a.key != b.key ? a.key < b.key : a.index < b.index; }

static void sift_down(entry *heap, int64_t n, int64_t at) {
    entry moved = heap[at];
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && better(heap[child], heap[child + 1])) child++;
        if (!better(moved, heap[child])) break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

static void sort_best_first(entry *heap, int64_t n) {
    for (int64_t last = n - 1; last > 0; last--) {
        entry worst = heap[0];
        heap[0] = heap[last];
        heap[last] = worst;
        sift_down(heap, last, 0);
    }
}

typedef struct top_k_job {
    const sdx_tensor *x;
    bool smallest;
    int64_t n, k, inner;
    entry *heaps; /* k entries per worker */
    sdx_tensor *values, *indices;
} top_k_job;

/* From i on, the first f32 that may be better than entry `worst`: what is ordered behind it needs no key. */
static int64_t skip_f32(const top_k_job *job, const char *x, int64_t i, int64_t worst) {
    const float *line = (const float *)(const void *)x, limit = line[worst * job->inner];
    if (job->smallest)
        while (i < job->n && line[i * job->inner] >= limit) i++;
    else
        while (i < job->n && line[i * job->inner] <= limit) i++;
    return i;
}

static void select_line(const top_k_job *job, const char *x, entry *heap) {
    size_t step = (size_t)job->inner * sdx_dtype_size(job->x->dtype);
    const bool single = job->x->dtype == SDX_F32;
    for (int64_t i = 0; i < job->n; i++) {
        if (single && i >= job->k && (i = skip_f32(job, x, i, heap[0].index)) == job->n) break;
        uint64_t key = sdx_order_key(job->x->dtype, x + (size_t)i * step);
        entry next = {job->smallest ? key : ~key, i};
        if (i < job->k) {
            heap[i] = next;
            if (i == job->k - 1)
                for (int64_t at = job->k / 2; at-- > 0;) sift_down(heap, job->k, at);
        } else if (better(next, heap[0])) {
            heap[0] = next;
            sift_down(heap, job->k, 0);
        }
    }
    sort_best_first(heap, job->k);
}

static void top_k_lines(void *argument, int64_t begin, int64_t end, int worker) {
    const top_k_job *job = argument;
    entry *heap = job->heaps + worker * job->k;
    size_t size = sdx_dtype_size(job->x->dtype);
    for (int64_t line = begin; line < end; line++) {
        int64_t outer = line / job->inner, inner = line % job->inner;
        const char *x = (const char *)job->x->data + (size_t)(outer * job->n * job->inner + inner) * size;
        select_line(job, x, heap);
        for (int64_t i = 0; i < job->k; i++) {
            int64_t to = (outer * job->k + i) * job->inner + inner;
            if (job->values)
                sdx_copy_run((char *)job->values->data + (size_t)to * size,
                             x + (size_t)(heap[i].index * job->inner) * size, size);
            if (job->indices) ((int64_t *)job->indices->data)[to] = heap[i].index;
        }
    }
}

static sdx_status top_k_compute(sdx_compute *compute, const void *params) {
    const top_k_params *p = params;
    const sdx_tensor *x = compute->in[0];
    int axis = sdx_axis_of(p->axis, x->rank);
    top_k_job job = {.x = x, .smallest = p->smallest, .n = x->dim[axis]};
    int64_t dims[SDX_MAX_RANK];
    size_t room = 0;
    memcpy(dims, x->dim, sizeof dims);
    SDX_TRY(read_k(compute->error, compute->in[1], job.n, &job.k));
    dims[axis] = job.k;
    for (int o = 0; o < compute->n_out; o++) {
        if (!compute->wanted[o]) continue;
        sdx_tensor *out = sdx_compute_output(compute, o, x->rank, dims);
        if (!out) return compute->error->status;
        if (o == 0)
            job.values = out;
        else
            job.indices = out;
    }
    job.inner = sdx_dims_product(dims, axis + 1, x->rank);
    int64_t lines = sdx_dims_product(dims, 0, axis) * job.inner;
    if (lines == 0 || job.k == 0) return SDX_OK;
    if (!sdx_size_mul((size_t)job.k * sizeof(entry), (size_t)sdx_pool_threads(compute->pool), &room))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "the heaps of K = %" PRId64 " are too large", job.k);
    job.heaps = compute->services->alloc(compute, room);
    if (!job.heaps) return compute->error->status;
    return sdx_for(compute, lines, sdx_grain(job.n * 4), top_k_lines, &job);
}

/* What was chosen gets the gradient. */
static sdx_status top_k_grad(sdx_grad *grad, const void *params) {
    const top_k_params *p = params;
    sdx_patch *patch = grad->patch;
    const sdx_node *node = grad->node;
    sdx_id indices = node->n_out > 1 ? node->out[1] : SDX_NONE;
    if (indices == SDX_NONE) {
        sdx_node *twin = sdx_patch_node(patch, "", "TopK", 2, node->in, 2);
        sdx_patch_attrs_of(patch, twin, node, NULL, 0);
        indices = twin->out[1];
    }
    sdx_id in[3] = {sdx_grad_filled(patch, node->in[0], 0), indices, grad->dY[0]};
    sdx_node *back = sdx_patch_node(patch, "", "ScatterElements", 3, in, 1);
    sdx_patch_int(patch, back, "axis", p->axis);
    grad->exact = true;
    grad->dX[0] = back->out[0];
    return patch->status;
}

const sdx_op sdx_op_TopK = {
    .domain = "",
    .name = "TopK",
    .versions =
        (const sdx_op_version[]){
            {1, "X:T -> Values:T Indices:I", "T=" SDX_T_FLOAT " I=i64", "axis:int=-1 k:int!"},
            {10, "X:T K:i64 -> Values:T Indices:I", "T=" SDX_T_FLOAT " I=i64", "axis:int=-1"},
            {11, "X:T K:i64 -> Values:T Indices:I", "T=" SDX_T_NUMERIC " I=i64",
             "axis:int=-1 largest:int=1 sorted:int=1"},
            {24, "X:T K:i64 -> Values:T Indices:I", "T=" SDX_T_NUMERIC_BF " I=i64",
             "axis:int=-1 largest:int=1 sorted:int=1"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(top_k_params),
    .upgrade = top_k_upgrade,
    .bind = top_k_bind,
    .infer = top_k_infer,
    .compute = top_k_compute,
    .grad = top_k_grad,
};
