/* SPDX-License-Identifier: Apache-2.0
 * Attention for many queries. A group of queries fills the lanes of the gemm tile's columns: scores come out as
 * [key][lane] (K times the transposed queries), which is at once the layout of a panel for the second product, V^T
 * times the exponentials, and needs no sums across lanes. K and V are packed once for all groups. */
#include "ops/nn/attend.h"
#include <math.h>
#include <string.h>

enum { KEYS = 144, MOST_LANES = 32, MOST_GROUPS = 4, DIRECT_GROUPS = 2, TASKS = 16 };

typedef struct tiles_plan {
    size_t element;
    int mr, nr, groups;                                   /* groups of nr queries that share a pass over the keys */
    int64_t tile, tiles, blocks;                          /* keys of a tile, tiles, blocks of groups per head */
    int64_t k_panels, v_panels;                           /* of a tile */
    bool local;                                           /* one block per head: it packs K and V itself */
    bool direct_k, direct_v;                              /* ... or reads them where they lie */
    size_t head_bytes, shared_bytes;                      /* packed K and V of a head, and of all */
    size_t query, exps, bias, sums, lines, state, worker; /* bytes of the parts of a worker's room */
} tiles_plan;

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

/* n * lanes elements to whole cache lines; false when too large. */
static bool part(const tiles_plan *p, int64_t n, int64_t lanes, size_t *bytes) {
    return sdx_panel_bytes(1, n, 1, lanes, p->element, bytes);
}

static bool make_plan(const sdx_attend *a, int mr, int nr, tiles_plan *p) {
    *p = (tiles_plan){.element = sdx_dtype_size(a->work), .mr = mr, .nr = nr, .groups = MOST_GROUPS};
    const int64_t rows = sdx_attend_rows(a), heads = a->batch * a->kv_heads;
    /* Tiles of one length, so that the last is not a sliver. */
    p->tiles = ceil_div(a->keys, KEYS / mr * mr);
    p->tile = p->tiles ? ceil_div(ceil_div(a->keys, p->tiles), mr) * mr : mr;
    p->tiles = ceil_div(a->keys, p->tile);
    while (p->groups > 1 && (heads * ceil_div(rows, p->groups * nr) < TASKS || (p->groups - 1) * nr >= rows))
        p->groups--;
    p->blocks = ceil_div(rows, p->groups * nr);
    p->local = p->blocks == 1;
    p->direct_k = p->local && p->groups <= DIRECT_GROUPS && a->past == 0 && a->k.dtype == a->work && a->k.row > 0;
    p->direct_v = p->local && p->groups <= DIRECT_GROUPS && a->past == 0 && a->v.dtype == a->work && a->v.row > 0;
    p->k_panels = p->tile / mr;
    p->v_panels = ceil_div(a->value_size, mr);
    int64_t longest = a->size > a->value_size ? a->size : a->value_size;
    size_t keys = 0, values = 0, all = 0;
    bool fits = sdx_panel_bytes(p->tiles * p->k_panels, mr, mr, a->size, p->element, &keys) &&
                sdx_panel_bytes(p->tiles * p->v_panels, mr, mr, p->tile, p->element, &values) &&
                sdx_size_add(keys, values, &p->head_bytes) && part(p, a->size, nr, &p->query) &&
                part(p, p->tile, nr, &p->exps) && part(p, a->mask.data ? p->tile : 0, nr, &p->bias) &&
                part(p, a->value_size, nr, &p->sums) && part(p, longest > p->tile ? longest : p->tile, nr, &p->lines) &&
                part(p, 3, nr, &p->state) && sdx_size_mul(p->head_bytes, (size_t)heads, &p->shared_bytes);
    size_t per_group = p->query + p->sums + p->state;
    if (p->local) p->shared_bytes = 0;
    fits = fits && sdx_size_mul(per_group, (size_t)p->groups, &all) && sdx_size_add(all, p->exps + p->bias, &all) &&
           sdx_size_add(all, p->lines, &all) && sdx_size_add(all, p->local ? p->head_bytes : 0, &all);
    p->worker = all;
    return fits;
}

static bool plan_here(const sdx_attend *a, const sdx_kernels *kernels, tiles_plan *p) {
    int mr = 0, nr = 0;
    kernels->gemm_shape(sdx_dtype_size(a->work), &mr, &nr);
    return make_plan(a, mr, nr, p);
}

size_t sdx_attend_tiles_scratch(const sdx_attend *a, int threads) {
    tiles_plan p;
    size_t bytes = 0;
    bool fits = plan_here(a, sdx_kernels_get(), &p) && sdx_size_mul(p.worker, (size_t)threads, &bytes) &&
                sdx_size_add(bytes, p.shared_bytes, &bytes);
    return fits ? bytes : SIZE_MAX;
}

/* Queries side by side, and the softmax of what they have seen so far. */
typedef struct group {
    int count, width;   /* queries; lanes that are computed: all, or one half */
    int64_t low, high;  /* keys that one of them sees */
    char *query, *sums; /* panels [size][lane], [value][lane] */
    char *max, *sum, *carry;
    sdx_attend_row row[MOST_LANES];
} group;

typedef struct tiles_job {
    const sdx_attend *attend;
    const sdx_kernels *kernels;
    tiles_plan plan;
    char *shared, *workers;
    void (*gemm)(const sdx_gemm_tile *tile);
} tiles_job;

/* A worker's room. */
typedef struct room {
    char *exps, *bias, *lines, *packed;
    group group[MOST_GROUPS];
} room;

static char *take(char **at, size_t bytes) {
    char *from = *at;
    *at += bytes;
    return from;
}

static void lay_out(const tiles_job *job, int worker, room *r) {
    const tiles_plan *p = &job->plan;
    char *at = job->workers + (size_t)worker * p->worker;
    r->exps = take(&at, p->exps);
    r->bias = take(&at, p->bias);
    r->lines = take(&at, p->lines);
    for (int g = 0; g < p->groups; g++) {
        r->group[g].query = take(&at, p->query);
        r->group[g].sums = take(&at, p->sums);
        r->group[g].max = take(&at, p->state);
        r->group[g].sum = r->group[g].max + (size_t)p->nr * p->element;
        r->group[g].carry = r->group[g].sum + (size_t)p->nr * p->element;
    }
    r->packed = at;
}

/* ---- packing ---------------------------------------------------------------------------------------------------- */

typedef void (*pack_fn)(const void *x, int64_t rs, int64_t ks, int64_t rows, int64_t k, int width, int64_t panel,
                        void *y);

/* NULL: elements must be converted first. */
static pack_fn pack_of(const tiles_job *job, sdx_dtype from) {
    const sdx_dtype work = job->attend->work;
    if (from == work) return work == SDX_F64 ? job->kernels->pack_64 : job->kernels->pack_32;
    if (work == SDX_F64) return NULL;
    return from == SDX_F16 ? job->kernels->pack_f16 : from == SDX_BF16 ? job->kernels->pack_bf16 : NULL;
}

/* Keys [key, key + n) as rows of `length` elements of the work dtype, one after the other. */
static void load_keys(const tiles_job *job, bool values, int64_t batch, int64_t head, int64_t key, int64_t n,
                      int64_t length, char *to) {
    const sdx_attend *a = job->attend;
    for (int64_t done = 0, m; done < n; done += m) {
        sdx_attend_view run;
        m = sdx_attend_run_of_keys(a, values, batch, head, key + done, key + n, &run);
        for (int64_t i = 0; i < m; i++)
            sdx_convert(job->kernels, run.dtype, sdx_attend_at(&run, 0, 0, i), a->work,
                        to + (done + i) * length * (int64_t)job->plan.element, length);
    }
}

/* Panels of mr keys. */
static void pack_keys(const tiles_job *job, int64_t batch, int64_t head, int64_t key, int64_t n, char *lines,
                      char *to) {
    const sdx_attend *a = job->attend;
    const tiles_plan *p = &job->plan;
    const int64_t panel = a->size * p->mr;
    for (int64_t i = 0, m; i < n; i += m, to += panel * (int64_t)p->element) {
        sdx_attend_view run;
        m = least(p->mr, n - i);
        int64_t together = sdx_attend_run_of_keys(a, false, batch, head, key + i, key + i + m, &run);
        pack_fn pack = pack_of(job, run.dtype);
        if (pack && together == m) {
            pack(run.data, run.row, 1, m, a->size, p->mr, panel, to);
        } else {
            load_keys(job, false, batch, head, key + i, m, a->size, lines);
            pack_of(job, a->work)(lines, a->size, 1, m, a->size, p->mr, panel, to);
        }
    }
}

/* Panels of mr elements of the values, key after key. */
static void pack_values(const tiles_job *job, int64_t batch, int64_t head, int64_t key, int64_t n, char *lines,
                        char *to) {
    const sdx_attend *a = job->attend;
    const tiles_plan *p = &job->plan;
    const int64_t panel = p->tile * p->mr, length = a->value_size;
    for (int64_t i = 0, m; i < n; i += m) {
        sdx_attend_view run;
        m = sdx_attend_run_of_keys(a, true, batch, head, key + i, key + n, &run);
        char *at = to + i * p->mr * (int64_t)p->element;
        pack_fn pack = pack_of(job, run.dtype);
        if (pack) {
            pack(run.data, 1, run.row, length, m, p->mr, panel, at);
        } else {
            m = least(m, p->nr);
            load_keys(job, true, batch, head, key + i, m, length, lines);
            pack_of(job, a->work)(lines, 1, length, length, m, p->mr, panel, at);
        }
    }
}

static char *keys_of(const tiles_job *job, char *head, int64_t tile) {
    const tiles_plan *p = &job->plan;
    return head + (size_t)(tile * p->k_panels * p->mr * job->attend->size) * p->element;
}
/* Values lie behind all keys of the head. */
static char *values_of(const tiles_job *job, char *head, int64_t tile) {
    const tiles_plan *p = &job->plan;
    size_t keys = 0;
    sdx_panel_bytes(p->tiles * p->k_panels, p->mr, p->mr, job->attend->size, p->element, &keys);
    return head + keys + (size_t)(tile * p->v_panels * p->mr * p->tile) * p->element;
}

static void pack_tile(const tiles_job *job, int64_t head, int64_t tile, char *lines, char *to) {
    const sdx_attend *a = job->attend;
    int64_t key = tile * job->plan.tile, n = least(job->plan.tile, a->keys - key);
    const int64_t batch = head / a->kv_heads, kv = head % a->kv_heads;
    if (!job->plan.direct_k) pack_keys(job, batch, kv, key, n, lines, keys_of(job, to, tile));
    if (!job->plan.direct_v) pack_values(job, batch, kv, key, n, lines, values_of(job, to, tile));
}

static void pack_shared(void *argument, int64_t begin, int64_t end, int worker) {
    const tiles_job *job = argument;
    const tiles_plan *p = &job->plan;
    room r;
    lay_out(job, worker, &r);
    for (int64_t t = begin; t < end; t++)
        pack_tile(job, t / p->tiles, t % p->tiles, r.lines, job->shared + (size_t)(t / p->tiles) * p->head_bytes);
}

/* ---- one tile of keys -------------------------------------------------------------------------------------------- */

/* Keys or values of a tile: panels, `step` bytes apart, or where they lie. */
typedef struct keys_at {
    const char *at;
    int64_t step, a_row, a_step;
} keys_at;

static keys_at tile_keys(const tiles_job *job, int64_t head, int64_t tile, char *packed) {
    const sdx_attend *a = job->attend;
    const tiles_plan *p = &job->plan;
    const int64_t element = (int64_t)p->element, key = tile * p->tile;
    if (!p->direct_k) return (keys_at){keys_of(job, packed, tile), a->size * p->mr * element, 0, 0};
    return (keys_at){sdx_attend_at(&a->k, head / a->kv_heads, head % a->kv_heads, key), a->k.row * p->mr * element,
                     a->k.row, 1};
}

static keys_at tile_values(const tiles_job *job, int64_t head, int64_t tile, char *packed) {
    const sdx_attend *a = job->attend;
    const tiles_plan *p = &job->plan;
    const int64_t element = (int64_t)p->element, key = tile * p->tile;
    if (!p->direct_v) return (keys_at){values_of(job, packed, tile), p->tile * p->mr * element, 0, 0};
    return (keys_at){sdx_attend_at(&a->v, head / a->kv_heads, head % a->kv_heads, key), p->mr * element, 1, a->v.row};
}

/* [key][lane] of scale Q K^T */
static void multiply_keys(const tiles_job *job, const group *g, const keys_at *keys, int64_t n, char *scores) {
    const tiles_plan *p = &job->plan;
    for (int64_t i = 0; i < n; i += p->mr) {
        sdx_gemm_tile tile = {.k = job->attend->size,
                              .a = keys->at + i / p->mr * keys->step,
                              .a_row = keys->a_row,
                              .a_step = keys->a_step,
                              .b = g->query,
                              .ldc = p->nr,
                              .c = scores + i * p->nr * (int64_t)p->element,
                              .m = (int)least(p->mr, n - i),
                              .n = g->width};
        job->gemm(&tile);
    }
}

/* sums += V^T exps */
static void multiply_values(const tiles_job *job, const group *g, const keys_at *values, int64_t n, const char *exps) {
    const tiles_plan *p = &job->plan;
    for (int64_t i = 0; i < job->attend->value_size; i += p->mr) {
        sdx_gemm_tile tile = {.k = n,
                              .a = values->at + i / p->mr * values->step,
                              .a_row = values->a_row,
                              .a_step = values->a_step,
                              .b = exps,
                              .ldc = p->nr,
                              .accumulate = true,
                              .c = g->sums + i * p->nr * (int64_t)p->element,
                              .m = (int)least(p->mr, job->attend->value_size - i),
                              .n = g->width};
        job->gemm(&tile);
    }
}

static void add_bias_f64(double *s, const double *bias, int64_t n) {
    for (int64_t k = 0; k < n; k++) s[k] = bias[k] == -INFINITY ? -INFINITY : s[k] + bias[k];
}

static void add_mask(const tiles_job *job, const room *r, const group *g, int64_t key, int64_t n) {
    const sdx_attend *a = job->attend;
    const tiles_plan *p = &job->plan;
    for (int j = 0; j < g->count; j++)
        sdx_attend_load_bias(a, job->kernels, &g->row[j], key, n, r->lines + j * n * (int64_t)p->element);
    pack_of(job, a->work)(r->lines, n, 1, g->count, n, p->nr, n * p->nr, r->bias);
    if (a->work == SDX_F64)
        add_bias_f64((void *)r->exps, (const void *)r->bias, n * p->nr);
    else
        job->kernels->add_bias_f32((void *)r->exps, (const void *)r->bias, n * p->nr);
    if (a->filled) sdx_attend_fill(a, r->exps, n * p->nr);
}

/* -inf for keys that a query does not see. */
static void hide(const tiles_job *job, const group *g, int64_t key, int64_t n, void *scores) {
    const int nr = job->plan.nr;
    for (int j = 0; j < g->count; j++) {
        int64_t low = g->row[j].low - key, high = g->row[j].high - key;
        if (low <= 0 && high >= n) continue;
        for (int64_t k = 0; k < n; k++) {
            if (k >= low && k < high) k = high; /* the first one beyond what it sees */
            if (k >= n) break;
            if (job->attend->work == SDX_F64)
                ((double *)scores)[k * nr + j] = -INFINITY;
            else
                ((float *)scores)[k * nr + j] = -INFINITY;
        }
    }
}

static void lanes_f64(double *s, int64_t n, int pitch, int lanes, double *max, double *sum, double *carry) {
    for (int j = 0; j < lanes; j++) {
        double most = max[j], total = 0;
        for (int64_t k = 0; k < n; k++) most = s[k * pitch + j] > most ? s[k * pitch + j] : most;
        double shift = most == -INFINITY ? 0 : most;
        for (int64_t k = 0; k < n; k++) total += s[k * pitch + j] = exp(s[k * pitch + j] - shift);
        carry[j] = exp(max[j] - shift);
        sum[j] = sum[j] * carry[j] + total;
        max[j] = most;
    }
}

static void run_softmax(const tiles_job *job, const group *g, int64_t n, char *scores) {
    const int nr = job->plan.nr;
    const int64_t values = job->attend->value_size;
    if (job->attend->work == SDX_F64) {
        double *sums = (void *)g->sums, *carry = (void *)g->carry;
        lanes_f64((void *)scores, n, nr, g->width, (void *)g->max, (void *)g->sum, carry);
        for (int64_t k = 0; k < values * nr; k++) sums[k] *= carry[k % nr];
    } else if (job->kernels->attend_lanes_f32((void *)scores, n, nr, g->width, (void *)g->max, (void *)g->sum,
                                              (void *)g->carry)) {
        job->kernels->scale_lanes_f32((void *)g->sums, values, nr, g->width, (void *)g->carry);
    }
}

/* Lane j of n rows, times a factor. */
static void lane_out(const tiles_job *job, const void *rows, int j, int64_t n, double factor, char *line) {
    const int nr = job->plan.nr;
    if (job->attend->work == SDX_F64)
        for (int64_t k = 0; k < n; k++) ((double *)(void *)line)[k] = ((const double *)rows)[k * nr + j] * factor;
    else
        for (int64_t k = 0; k < n; k++) ((float *)(void *)line)[k] = ((const float *)rows)[k * nr + j] * (float)factor;
}

static double lane_of(const tiles_job *job, const void *lanes, int j) {
    return job->attend->work == SDX_F64 ? ((const double *)lanes)[j] : (double)((const float *)lanes)[j];
}

/* Rows of the score matrix, for those who ask. */
static void emit(const tiles_job *job, const room *r, const group *g, int64_t key, int64_t n, bool divide) {
    const sdx_attend_view *to = &job->attend->scores;
    for (int j = 0; j < g->count; j++) {
        double sum = divide ? lane_of(job, g->sum, j) : 1;
        lane_out(job, r->exps, j, n, sum == 0 ? 0 : 1 / sum, r->lines);
        sdx_convert(job->kernels, job->attend->work, r->lines, to->dtype,
                    sdx_attend_at(to, g->row[j].batch, g->row[j].head, g->row[j].query) +
                        key * (int64_t)sdx_dtype_size(to->dtype),
                    n);
    }
}

/* Biased scores of a tile into r->exps. */
static void score(const tiles_job *job, const room *r, const group *g, const keys_at *keys, int64_t key, int64_t n,
                  bool show) {
    const sdx_attend *a = job->attend;
    multiply_keys(job, g, keys, n, r->exps);
    if (show && a->mode == SDX_SCORES_RAW) emit(job, r, g, key, n, false);
    if (a->softcap > 0) sdx_attend_cap(a, job->kernels, r->exps, n * job->plan.nr);
    if (show && a->mode == SDX_SCORES_CAPPED) emit(job, r, g, key, n, false);
    if (a->mask.data) add_mask(job, r, g, key, n);
    hide(job, g, key, n, r->exps);
    if (show && a->mode == SDX_SCORES_BIASED) emit(job, r, g, key, n, false);
}

/* ---- one block of queries -----------------------------------------------------------------------------------------
 */

static void begin_group(const tiles_job *job, const room *r, int64_t head, int64_t first, group *g) {
    const sdx_attend *a = job->attend;
    const tiles_plan *p = &job->plan;
    g->count = (int)least(p->nr, sdx_attend_rows(a) - first);
    g->width = g->count <= p->nr / 2 ? p->nr / 2 : p->nr;
    g->low = a->keys, g->high = 0;
    for (int j = 0; j < g->count; j++) {
        g->row[j] = sdx_attend_row_of(a, head / a->kv_heads, head % a->kv_heads, first + j);
        if (g->row[j].high > g->row[j].low && g->row[j].low < g->low) g->low = g->row[j].low;
        if (g->row[j].high > g->high) g->high = g->row[j].high;
        sdx_attend_load_query(a, job->kernels, &g->row[j], r->lines + j * a->size * (int64_t)p->element);
    }
    if (a->scores.data) g->low = 0, g->high = a->keys;
    pack_of(job, a->work)(r->lines, a->size, 1, g->count, a->size, p->nr, a->size * p->nr, g->query);
    memset(g->sums, 0, p->sums);
    memset(g->max, 0, p->state);
    for (int j = 0; j < p->nr; j++)
        if (a->work == SDX_F64)
            ((double *)(void *)g->max)[j] = -INFINITY;
        else
            ((float *)(void *)g->max)[j] = -INFINITY;
}

static void end_group(const tiles_job *job, const room *r, const group *g) {
    const sdx_attend *a = job->attend;
    const int64_t n = a->value_size;
    const sdx_binary_fn multiply = job->kernels->binary(SDX_BINARY_Mul, a->work);
    pack_of(job, a->work)(g->sums, job->plan.nr, 1, n, job->plan.nr, (int)n, 0, r->lines);
    for (int j = 0; j < g->count; j++) {
        char *line = r->lines + j * n * (int64_t)job->plan.element;
        char *to = sdx_attend_at(&a->y, g->row[j].batch, g->row[j].head, g->row[j].query);
        bool empty = false;
        const double factor = sdx_attend_factor(a, lane_of(job, g->sum, j), &empty);
        const float narrow = (float)factor;
        if (empty)
            memset(line, 0, (size_t)n * job->plan.element);
        else
            multiply(line, 1, a->work == SDX_F64 ? (const void *)&factor : &narrow, 0, line, n);
        sdx_convert(job->kernels, a->work, line, a->y.dtype, to, n);
    }
}

/* The probabilities: once maxima and sums are final, the scores are computed again. */
static void emit_softmax(const tiles_job *job, const room *r, const group *g, int64_t head, char *packed) {
    const tiles_plan *p = &job->plan;
    char kept[2 * MOST_LANES * sizeof(double)]; /* max and sum */
    const size_t bytes = 2 * (size_t)p->nr * p->element;
    for (int64_t t = 0; t < p->tiles; t++) {
        int64_t key = t * p->tile, n = least(p->tile, job->attend->keys - key);
        const keys_at keys = tile_keys(job, head, t, packed);
        score(job, r, g, &keys, key, n, false);
        memcpy(kept, g->max, bytes);
        run_softmax(job, g, n, r->exps);
        memcpy(g->max, kept, bytes);
        emit(job, r, g, key, n, true);
    }
}

static void run_block(const tiles_job *job, room *r, int64_t head, int64_t block) {
    const sdx_attend *a = job->attend;
    const tiles_plan *p = &job->plan;
    const int64_t rows = sdx_attend_rows(a);
    char *packed = p->local ? r->packed : job->shared + (size_t)head * p->head_bytes;
    int64_t low = a->keys, high = 0, first = block * p->groups * p->nr;
    int groups = 0;
    for (; groups < p->groups && first < rows; groups++, first += p->nr) {
        group *g = &r->group[groups];
        begin_group(job, r, head, first, g);
        if (g->low < low) low = g->low;
        if (g->high > high) high = g->high;
    }
    for (int64_t t = low / p->tile; t * p->tile < high; t++) {
        const int64_t key = t * p->tile;
        if (p->local) pack_tile(job, head, t, r->lines, packed);
        const keys_at keys = tile_keys(job, head, t, packed), values = tile_values(job, head, t, packed);
        for (int k = 0; k < groups; k++) {
            const group *g = &r->group[k];
            int64_t n = least(p->tile, g->high - key);
            if (n <= 0 || key + p->tile <= g->low) continue;
            score(job, r, g, &keys, key, n, a->scores.data != NULL);
            run_softmax(job, g, n, r->exps);
            multiply_values(job, g, &values, n, r->exps);
        }
    }
    for (int k = 0; k < groups; k++) {
        end_group(job, r, &r->group[k]);
        if (a->scores.data && a->mode == SDX_SCORES_SOFTMAX) emit_softmax(job, r, &r->group[k], head, packed);
    }
}

static void run_blocks(void *argument, int64_t begin, int64_t end, int worker) {
    const tiles_job *job = argument;
    room r;
    lay_out(job, worker, &r);
    for (int64_t t = begin; t < end; t++) run_block(job, &r, t / job->plan.blocks, t % job->plan.blocks);
}

sdx_status sdx_attend_tiles_run(sdx_compute *compute, const sdx_attend *a, void *scratch) {
    tiles_job job = {.attend = a, .kernels = compute->kernels};
    tiles_plan *p = &job.plan;
    if (!plan_here(a, compute->kernels, p))
        return sdx_fail(compute->error, SDX_OUT_OF_MEMORY, "panels of %lld keys of %lld elements", (long long)a->keys,
                        (long long)a->size);
    job.gemm = a->work == SDX_F64 ? compute->kernels->gemm_tile_f64 : compute->kernels->gemm_tile_f32;
    job.shared = scratch;
    job.workers = job.shared + p->shared_bytes;
    const int64_t heads = a->batch * a->kv_heads, length = a->size + a->value_size;
    if (!p->local) SDX_TRY(sdx_for(compute, heads * p->tiles, sdx_grain(p->tile * length), pack_shared, &job));
    const int64_t work = least(sdx_attend_rows(a), p->groups * p->nr) * (a->keys + 1) * (length / 8 + 1);
    return sdx_for(compute, heads * p->blocks, sdx_grain(work), run_blocks, &job);
}
