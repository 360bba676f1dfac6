/* SPDX-License-Identifier: Apache-2.0
 * NonMaxSuppression: for each batch and class, boxes by falling score (the lower index first among equals), without
 * those that overlap one already taken by more than iou_threshold; the result lists batches, then classes, then that
 * order. Only scores above score_threshold count; NaN never does. Areas are compared in f32, as the thresholds are
 * given. */
#include "ops/lines.h"
#include "ops/move.h"
#include <inttypes.h>
#include <math.h>

typedef struct nms_params {
    bool centers;
} nms_params;

static sdx_status nms_bind(sdx_bind *bind, void *params) {
    nms_params *p = params;
    const int64_t format = sdx_bind_int(bind, "center_point_box");
    if (format != 0 && format != 1)
        sdx_bind_fail(bind, SDX_VALUE, "attribute 'center_point_box' is %" PRId64 "; it must be 0 or 1", format);
    p->centers = format == 1;
    return bind->status;
}

static sdx_status nms_infer(sdx_infer *infer, const void *params) {
    (void)params;
    const sdx_type *boxes = infer->in[0], *scores = infer->in[1];
    static const char *const names[] = {"max_output_boxes_per_class", "iou_threshold", "score_threshold"};
    SDX_TRY(sdx_infer_rank(infer, 0, "boxes", 3));
    SDX_TRY(sdx_infer_rank(infer, 1, "scores", 3));
    if (boxes->rank == 3) SDX_TRY(sdx_infer_merge_dim(infer, "last dimension of 'boxes'", boxes->dim[2], 4, NULL));
    if (boxes->rank == 3 && scores->rank == 3) {
        SDX_TRY(sdx_infer_merge_dim(infer, "batches of 'boxes' and 'scores'", boxes->dim[0], scores->dim[0], NULL));
        SDX_TRY(sdx_infer_merge_dim(infer, "boxes of 'boxes' and 'scores'", boxes->dim[1], scores->dim[2], NULL));
    }
    for (int k = 0; k < 3; k++) {
        const int rank = sdx_infer_rank_of(infer, k + 2);
        if (rank > 1 || (rank == 1 && infer->in[k + 2]->dim[0] > 1))
            return sdx_fail(infer->error, SDX_SHAPE, "input '%s' must be one number", names[k]);
    }
    infer->out[0].rank = 2;
    infer->out[0].dim[0] = -1, infer->out[0].dim[1] = 3;
    return SDX_OK;
}

/* A box by its corners. */
typedef struct box {
    float left, right, top, bottom, area;
} box;

static box box_at(const float *b, bool centers) {
    box r;
    if (centers) {
        const float w = b[2] / 2, h = b[3] / 2;
        r = (box){b[0] - w, b[0] + w, b[1] - h, b[1] + h, 0};
    } else {
        r = (box){fminf(b[1], b[3]), fmaxf(b[1], b[3]), fminf(b[0], b[2]), fmaxf(b[0], b[2]), 0};
    }
    r.area = (r.right - r.left) * (r.bottom - r.top);
    return r;
}

static bool overlaps(const box *a, const box *b, float threshold) {
    const float width = fminf(a->right, b->right) - fmaxf(a->left, b->left);
    const float height = fminf(a->bottom, b->bottom) - fmaxf(a->top, b->top);
    if (!(width > 0) || !(height > 0)) return false;
    const float shared = width * height, both = a->area + b->area - shared;
    if (!(shared > 0) || !(a->area > 0) || !(b->area > 0) || !(both > 0)) return false;
    return shared / both > threshold;
}

typedef struct nms_job {
    const float *boxes, *scores;
    bool centers, filtered;
    float iou, score;
    int64_t n, classes, most; /* boxes; classes; results of one class at most */
    int32_t *heaps;           /* n for each worker */
    box *taken;               /* `most` for each worker */
    int32_t *chosen;          /* `most` for each class of each batch */
    int64_t *counts;
} nms_job;

static bool better(const float *scores, int32_t a, int32_t b) {
    return scores[a] != scores[b] ? scores[a] > scores[b] : a < b;
}

/* The root of the heap is the best. */
static void sift_down(const float *scores, int32_t *heap, int64_t n, int64_t at) {
    const int32_t moved = heap[at];
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && better(scores, heap[child + 1], heap[child])) child++;
        if (!better(scores, heap[child], moved)) break;
        heap[at] = heap[child];
    }
    heap[at] = moved;
}

static int64_t suppress(const nms_job *job, int64_t item, int32_t *heap, box *taken) {
    const float *boxes = job->boxes + item / job->classes * job->n * 4, *scores = job->scores + item * job->n;
    int32_t *chosen = job->chosen + item * job->most;
    int64_t left = 0, count = 0;
    for (int64_t k = 0; k < job->n; k++)
        if (!isnan(scores[k]) && (!job->filtered || scores[k] > job->score)) heap[left++] = (int32_t)k;
    for (int64_t at = left / 2; at-- > 0;) sift_down(scores, heap, left, at);
    while (left > 0 && count < job->most) {
        const int32_t best = heap[0];
        const box next = box_at(boxes + 4 * (int64_t)best, job->centers);
        bool free = true;
        for (int64_t k = 0; k < count && free; k++) free = !overlaps(&next, &taken[k], job->iou);
        if (free) taken[count] = next, chosen[count++] = best;
        heap[0] = heap[--left];
        if (left > 0) sift_down(scores, heap, left, 0);
    }
    return count;
}

static void run_classes(void *argument, int64_t begin, int64_t end, int worker) {
    const nms_job *job = argument;
    for (int64_t item = begin; item < end; item++)
        job->counts[item] = suppress(job, item, job->heaps + worker * job->n, job->taken + worker * job->most);
}

/* The three optional numbers. */
static sdx_status read_limits(sdx_compute *compute, nms_job *job) {
    const sdx_tensor *in[3] = {NULL};
    for (int k = 2; k < compute->n_in && k < 5; k++)
        in[k - 2] = compute->in[k] && compute->in[k]->count == 1 ? compute->in[k] : NULL;
    const int64_t most = in[0] ? sdx_index_at(in[0], 0) : 0;
    job->most = most < 0 ? 0 : most < job->n ? most : job->n;
    job->iou = in[1] ? *(const float *)in[1]->data : 0;
    job->filtered = in[2] != NULL;
    job->score = in[2] ? *(const float *)in[2]->data : 0;
    if (!(job->iou >= 0 && job->iou <= 1))
        return sdx_fail(compute->error, SDX_VALUE, "input 'iou_threshold' is %g; it must be in [0, 1]",
                        (double)job->iou);
    if (job->n > INT32_MAX)
        return sdx_fail(compute->error, SDX_UNSUPPORTED,
                        "input 'boxes' has %" PRId64 " boxes; at most %d are supported", job->n, (int)INT32_MAX);
    return SDX_OK;
}

/* Room for everything; false: it is too large or there is none. */
static bool make_room(sdx_compute *compute, nms_job *job, int64_t items) {
    const size_t threads = (size_t)sdx_pool_threads(compute->pool), n = (size_t)job->n, most = (size_t)job->most;
    size_t chosen = 0, total = 0;
    if (!sdx_size_mul((size_t)items, most, &chosen) || chosen > SIZE_MAX / 64 || n > SIZE_MAX / 64 / threads) {
        sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "the lists of %" PRId64 " classes", items);
        return false;
    }
    const size_t counts_at = sdx_align(chosen * sizeof(int32_t)),
                 heaps_at = counts_at + sdx_align((size_t)items * sizeof(int64_t));
    const size_t taken_at = heaps_at + sdx_align(threads * n * sizeof(int32_t));
    total = taken_at + threads * most * sizeof(box);
    char *room = compute->services->alloc(compute, total);
    if (!room) return false;
    job->chosen = (void *)room;
    job->counts = (void *)(room + counts_at);
    job->heaps = (void *)(room + heaps_at);
    job->taken = (void *)(room + taken_at);
    return true;
}

static sdx_status nms_compute(sdx_compute *compute, const void *params) {
    const nms_params *p = params;
    const sdx_tensor *boxes = compute->in[0], *scores = compute->in[1];
    nms_job job = {.boxes = boxes->data,
                   .scores = scores->data,
                   .centers = p->centers,
                   .n = boxes->dim[1],
                   .classes = scores->dim[1]};
    const int64_t items = scores->dim[0] * scores->dim[1];
    int64_t total = 0;
    SDX_TRY(read_limits(compute, &job));
    if (items && job.most) {
        if (!make_room(compute, &job, items)) return compute->error->status;
        SDX_TRY(sdx_for(compute, items, sdx_grain(job.n * 4), run_classes, &job));
        for (int64_t item = 0; item < items; item++) total += job.counts[item];
    }
    sdx_tensor *y = sdx_compute_output(compute, 0, 2, (int64_t[]){total, 3});
    if (!y) return compute->error->status;
    int64_t *to = y->data;
    for (int64_t item = 0; item < items && total; item++)
        for (int64_t k = 0; k < job.counts[item]; k++, to += 3)
            to[0] = item / job.classes, to[1] = item % job.classes, to[2] = job.chosen[item * job.most + k];
    return SDX_OK;
}

#define NMS_SIGNATURE                                                                                                  \
    "boxes:f32 scores:f32 max_output_boxes_per_class:i64? iou_threshold:f32? score_threshold:f32? -> "                 \
    "selected_indices:i64"

const sdx_op sdx_op_NonMaxSuppression = {
    .domain = "",
    .name = "NonMaxSuppression",
    .versions = (const sdx_op_version[]){{10, NMS_SIGNATURE, "", "center_point_box:int=0"},
                                         {11, NMS_SIGNATURE, "", "center_point_box:int=0"},
                                         {0, NULL, NULL, NULL}},
    .params_size = sizeof(nms_params),
    .bind = nms_bind,
    .infer = nms_infer,
    .compute = nms_compute,
    .grad = sdx_no_gradient,
};
