/* SPDX-License-Identifier: Apache-2.0
 * Attention for a few queries (a step of decoding): K and V are read once, where they lie, since packing them would
 * cost more than the products. Keys are cut into chunks, each with a softmax of its own; what the chunks give is
 * weighed together in their order. */
#include "ops/nn/attend.h"
#include <math.h>
#include <string.h>

enum { MOST_ROWS = 8, CHUNK = 512, STEP = 64 }; /* keys of a chunk; keys converted together */

typedef struct rows_job {
    const sdx_attend *attend;
    const sdx_kernels *kernels;
    int64_t rows, chunks, stride; /* of a partial result: value_size, then maximum and sum, to whole cache lines */
    size_t worker_bytes;
    float *partial;
    char *workers;
} rows_job;

/* A worker's room, in floats. */
typedef struct room {
    float *query, *scores, *keys, *line; /* [rows][size], [rows][CHUNK], [STEP][size or value_size], one line */
} room;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

bool sdx_attend_rows_fit(const sdx_attend *a) {
    return a->work == SDX_F32 && !a->scores.data && sdx_attend_rows(a) <= MOST_ROWS;
}

static int64_t whole_lines(int64_t n) { return (n + 15) / 16 * 16; }
static int64_t line_length(const sdx_attend *a) { return whole_lines(most(most(a->size, a->value_size), CHUNK)); }

static bool plan(const sdx_attend *a, rows_job *job, size_t *partial_bytes) {
    const int64_t longest = most(a->size, a->value_size);
    if (longest > INT64_MAX / 1024) return false;
    job->rows = sdx_attend_rows(a);
    job->chunks = a->keys / CHUNK + (a->keys % CHUNK != 0);
    job->stride = whole_lines(a->value_size + 2);
    int64_t floats = job->rows * (whole_lines(a->size) + CHUNK) + STEP * whole_lines(longest) + line_length(a);
    job->worker_bytes = (size_t)floats * sizeof(float);
    size_t results = 0;
    return sdx_size_mul((size_t)(a->batch * a->kv_heads), (size_t)(job->chunks * job->rows), &results) &&
           sdx_size_mul(results, (size_t)job->stride * sizeof(float), partial_bytes);
}

size_t sdx_attend_rows_scratch(const sdx_attend *a, int threads) {
    rows_job job;
    size_t partial = 0, bytes = 0;
    bool fits = plan(a, &job, &partial) && sdx_size_mul(job.worker_bytes, (size_t)threads, &bytes) &&
                sdx_size_add(bytes, partial, &bytes);
    return fits ? bytes : SIZE_MAX;
}

static room room_of(const rows_job *job, int worker) {
    const sdx_attend *a = job->attend;
    room r = {.query = (void *)(job->workers + (size_t)worker * job->worker_bytes)};
    r.scores = r.query + job->rows * whole_lines(a->size);
    r.keys = r.scores + job->rows * CHUNK;
    r.line = r.keys + STEP * whole_lines(most(a->size, a->value_size));
    return r;
}

/* Up to n keys of a run as f32: where they lie, or a few of them converted. Returns how many, and how far apart. */
static int64_t keys_f32(const rows_job *job, const sdx_attend_view *run, int64_t first, int64_t n, int64_t length,
                        float *buffer, const float **at, int64_t *pitch) {
    char *from = sdx_attend_at(run, 0, 0, first);
    if (run->dtype == SDX_F32) {
        *at = (void *)from, *pitch = run->row;
        return n;
    }
    n = least(n, STEP);
    *at = buffer, *pitch = length;
    if (run->row == length) {
        sdx_convert(job->kernels, run->dtype, from, SDX_F32, buffer, n * length);
        return n;
    }
    for (int64_t i = 0; i < n; i++)
        sdx_convert(job->kernels, run->dtype, sdx_attend_at(run, 0, 0, first + i), SDX_F32, buffer + i * length,
                    length);
    return n;
}

/* scores[row][k] = q K^T for keys [key, key + n) */
static void multiply_keys(const rows_job *job, const room *r, int64_t batch, int64_t head, int64_t key, int64_t n) {
    const sdx_attend *a = job->attend;
    sdx_attend_view run;
    for (int64_t done = 0, part, m; done < n; done += part) {
        part = sdx_attend_run_of_keys(a, false, batch, head, key + done, key + n, &run);
        for (int64_t i = 0; i < part; i += m) {
            const float *at = NULL;
            int64_t pitch = 0;
            m = keys_f32(job, &run, i, part - i, a->size, r->keys, &at, &pitch);
            for (int64_t k = 0; k < job->rows; k++)
                job->kernels->gemv_columns_f32(r->query + k * whole_lines(a->size), at, pitch, a->size, m,
                                               r->scores + k * CHUNK + done + i);
        }
    }
}

/* sums[row] = scores[row] V */
static void multiply_values(const rows_job *job, const room *r, int64_t batch, int64_t head, int64_t key, int64_t n,
                            float *sums) {
    const sdx_attend *a = job->attend;
    const int64_t length = a->value_size;
    sdx_binary_fn add = job->kernels->binary(SDX_BINARY_Add, SDX_F32);
    sdx_attend_view run;
    for (int64_t done = 0, part, m; done < n; done += part) {
        part = sdx_attend_run_of_keys(a, true, batch, head, key + done, key + n, &run);
        for (int64_t i = 0; i < part; i += m) {
            const float *at = NULL;
            int64_t pitch = 0;
            const bool first = done + i == 0;
            m = keys_f32(job, &run, i, part - i, length, r->keys, &at, &pitch);
            for (int64_t k = 0; k < job->rows; k++) {
                float *to = sums + k * job->stride;
                job->kernels->gemv_rows_f32(r->scores + k * CHUNK + done + i, at, pitch, m, length,
                                            first ? to : r->line);
                if (!first) add(to, 1, r->line, 1, to, length);
            }
        }
    }
}

/* Cap, mask and bounds of one row of scores. */
static void shape_scores(const rows_job *job, const room *r, const sdx_attend_row *row, int64_t key, int64_t n,
                         float *scores) {
    const sdx_attend *a = job->attend;
    if (a->softcap > 0) sdx_attend_cap(a, job->kernels, scores, n);
    if (a->mask.data) {
        sdx_attend_load_bias(a, job->kernels, row, key, n, r->line);
        job->kernels->add_bias_f32(scores, r->line, n);
        if (a->filled) sdx_attend_fill(a, scores, n);
    }
    for (int64_t k = 0; k < n && key + k < row->low; k++) scores[k] = -INFINITY;
    for (int64_t k = most(row->high - key, 0); k < n; k++) scores[k] = -INFINITY;
}

static void run_chunk(const rows_job *job, const room *r, int64_t head, int64_t chunk) {
    const sdx_attend *a = job->attend;
    const int64_t batch = head / a->kv_heads, kv = head % a->kv_heads;
    float *out = job->partial + (head * job->chunks + chunk) * job->rows * job->stride;
    sdx_attend_row row[MOST_ROWS];
    int64_t low = a->keys, high = 0;
    for (int64_t k = 0; k < job->rows; k++) {
        row[k] = sdx_attend_row_of(a, batch, kv, k);
        if (row[k].high > row[k].low) low = least(low, row[k].low), high = most(high, row[k].high);
        sdx_attend_load_query(a, job->kernels, &row[k], r->query + k * whole_lines(a->size));
    }
    const int64_t key = most(low, chunk * CHUNK), n = least(high, (chunk + 1) * CHUNK) - key;
    if (n > 0) multiply_keys(job, r, batch, kv, key, n);
    for (int64_t k = 0; k < job->rows; k++) {
        float *state = out + k * job->stride + a->value_size;
        state[0] = -INFINITY, state[1] = 0;
        if (n <= 0) continue;
        shape_scores(job, r, &row[k], key, n, r->scores + k * CHUNK);
        job->kernels->attend_row_f32(r->scores + k * CHUNK, n, &state[0], &state[1]);
    }
    if (n > 0) multiply_values(job, r, batch, kv, key, n, out);
}

static void run_chunks(void *argument, int64_t begin, int64_t end, int worker) {
    const rows_job *job = argument;
    room r = room_of(job, worker);
    for (int64_t t = begin; t < end; t++) run_chunk(job, &r, t / job->chunks, t % job->chunks);
}

static void combine_row(const rows_job *job, const room *r, int64_t head, int64_t k) {
    const sdx_attend *a = job->attend;
    const float *from = job->partial + (head * job->chunks * job->rows + k) * job->stride;
    const int64_t step = job->rows * job->stride, n = a->value_size;
    float max = -INFINITY, sum = 0;
    for (int64_t c = 0; c < job->chunks; c++) max = fmaxf(max, from[c * step + n]);
    memset(r->line, 0, (size_t)n * sizeof *r->line);
    for (int64_t c = 0; c < job->chunks; c++) {
        const float *part = from + c * step;
        float weight = expf(part[n] - (max == -INFINITY ? 0 : max)), share = part[n + 1];
        if (share == 0) continue;
        sum += share * weight;
        job->kernels->state_step_f32(r->line, 1, n, n, NULL, &weight, part, NULL, NULL);
    }
    bool empty = false;
    const float inverse = (float)sdx_attend_factor(a, (double)sum, &empty);
    if (empty)
        memset(r->line, 0, (size_t)n * sizeof *r->line);
    else
        job->kernels->binary(SDX_BINARY_Mul, SDX_F32)(r->line, 1, &inverse, 0, r->line, n);
    sdx_attend_row row = sdx_attend_row_of(a, head / a->kv_heads, head % a->kv_heads, k);
    sdx_convert(job->kernels, SDX_F32, r->line, a->y.dtype, sdx_attend_at(&a->y, row.batch, row.head, row.query), n);
}

static void combine_rows(void *argument, int64_t begin, int64_t end, int worker) {
    const rows_job *job = argument;
    room r = room_of(job, worker);
    for (int64_t t = begin; t < end; t++) combine_row(job, &r, t / job->rows, t % job->rows);
}

sdx_status sdx_attend_rows_run(sdx_compute *compute, const sdx_attend *a, void *scratch) {
    rows_job job = {.attend = a, .kernels = compute->kernels, .partial = scratch};
    size_t partial = 0;
    if (!plan(a, &job, &partial))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "partial results of %lld keys", (long long)a->keys);
    job.workers = (char *)scratch + partial;
    const int64_t heads = a->batch * a->kv_heads, length = a->size + a->value_size;
    const int64_t work = job.rows * least(a->keys, CHUNK) * (length / 8 + 1);
    SDX_TRY(sdx_for(compute, heads * job.chunks, sdx_grain(work), run_chunks, &job));
    return sdx_for(compute, heads * job.rows, sdx_grain(job.chunks * a->value_size), combine_rows, &job);
}
