/* SPDX-License-Identifier: Apache-2.0
 * argmin over w of sum D (w - u)^2 / 2 + c ||w||. With s = ||w||, w = D u s / (D s + c), and s is the root of
 * ||v(s)|| = 1 with v = D u / (D s + c); there is none when ||D u|| <= c, and w is 0. 1 / ||v|| is concave in s and
 * nearly straight, so that Newton's steps from 0 rise to the root, in one step where D is constant. */
#include "ops/kernels/kernels.h"
#include "ops/loop.h"
#include "ops/training/optimizer_update.h"
#include <math.h>

enum { PIECE = 512, MOST_STEPS = 60 };

typedef struct group {
    const struct sdx_kernels *kernels;
    const sdx_tensor *w;
    const void *metric; /* NULL: 1 */
    double extra, c, s;
    bool shrink;     /* writes w; else sums */
    double *partial; /* per chunk: sum v^2, sum v^2 D / (D s + c) */
} group;

static void group_piece(const group *job, int64_t at, int64_t n, double *sums) {
    const sdx_kernels *kernels = job->kernels;
    const sdx_dtype dtype = job->w->dtype, work = sdx_work_dtype(dtype);
    char *stored = (char *)job->w->data + (size_t)at * sdx_dtype_size(dtype);
    double squares[PIECE], slopes[PIECE];
    float wide[PIECE];
    void *w = dtype == work ? (void *)stored : wide;
    sdx_group_step step = {.w = w, .extra = job->extra, .c = job->c, .s = job->s};
    step.squares = squares, step.slopes = slopes;
    if (job->metric) step.metric = (const char *)job->metric + (size_t)at * sdx_dtype_size(work);
    if (job->shrink) step.w_new = w;
    if (dtype != work) sdx_convert(kernels, dtype, stored, work, wide, n);
    (work == SDX_F64 ? kernels->step_group_f64 : kernels->step_group_f32)(&step, n);
    if (!job->shrink) {
        sums[0] += kernels->wide_sum_f64(squares, n);
        sums[1] += kernels->wide_sum_f64(slopes, n);
    } else if (dtype != work) {
        sdx_convert(kernels, work, wide, dtype, stored, n);
    }
}

static void group_range(void *argument, int64_t begin, int64_t end, int worker) {
    const group *job = argument;
    (void)worker;
    for (int64_t c = begin; c < end; c++) {
        const int64_t first = c * SDX_UPDATE_CHUNK, last = first + SDX_UPDATE_CHUNK;
        const int64_t stop = last < job->w->count ? last : job->w->count;
        double sums[2] = {0, 0};
        for (int64_t at = first; at < stop; at += PIECE)
            group_piece(job, at, stop - at < PIECE ? stop - at : PIECE, sums);
        job->partial[2 * c] = sums[0];
        job->partial[2 * c + 1] = sums[1];
    }
}

sdx_status sdx_update_shrink_group(sdx_compute *compute, const sdx_tensor *w, const void *metric, double extra,
                                   double c, double *partial) {
    group job = {compute->kernels, w, metric, extra, c, 0, false, partial};
    const int64_t chunks = (w->count + SDX_UPDATE_CHUNK - 1) / SDX_UPDATE_CHUNK;
    for (int i = 0; i < MOST_STEPS && c > 0; i++) {
        double squares = 0, slope = 0;
        SDX_TRY(sdx_for(compute, chunks, 1, group_range, &job));
        for (int64_t k = 0; k < chunks; k++) squares += partial[2 * k], slope += partial[2 * k + 1];
        const double norm = sqrt(squares);
        if (!(norm > 1) || !(slope > 0)) break; /* below c at the start, at the root later */
        const double next = job.s + (norm - 1) * squares / slope;
        if (!(next > job.s) || !isfinite(next)) break;
        job.s = next;
        if (norm - 1 < 1e-15) break;
    }
    job.shrink = true;
    return c > 0 ? sdx_for(compute, chunks, 1, group_range, &job) : SDX_OK;
}
