/* SPDX-License-Identifier: Apache-2.0
 * TfIdfVectorizer: Y[ngram_indexes[i]] counts the i-th n-gram of the pool in X, also with up to max_skip_count tokens
 * left out between its members. Weights belong to n-grams of the pool, as the specification's text and ONNX Runtime
 * have it; ONNX's reference takes them by coordinate. The pool becomes a trie: tokens are numbered, and a hash table
 * maps (n-gram, token) to the longer n-gram. */
#include "ops/op.h"
#include <inttypes.h>
#include <string.h>

enum { MODE_TF, MODE_IDF, MODE_TFIDF };
enum { NO_TOKEN = -1, ROOT = 0, WORK = 1 << 14 };

typedef struct edge {
    int32_t from, token, to; /* to 0: the slot is free */
} edge;

typedef struct tfidf_params {
    int mode;
    int64_t least, most, skips;
    int64_t width;           /* of Y */
    const float *weights;    /* per n-gram; NULL: all 1 */
    sdx_ints indexes;        /* coordinate in Y per n-gram */
    sdx_ints numbers;        /* the pool: either these */
    const sdx_string *texts; /* or these */
    size_t n;                /* of the pool */
    int32_t *token;          /* hash table of positions in the pool; -1: free */
    edge *edges;             /* hash table */
    size_t mask;             /* of both tables */
    int32_t *ngram;          /* per node of the trie: its position in indexes; -1: a prefix only */
} tfidf_params;

static size_t hash_bytes(const void *bytes, size_t size) {
    const unsigned char *b = bytes;
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < size; i++) h = (h ^ b[i]) * 1099511628211u;
    return (size_t)(h ^ h >> 29);
}

static size_t hash_number(uint64_t x) {
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    return (size_t)(x ^ x >> 32);
}

static bool same_text(sdx_string a, sdx_string b) {
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* The slot where the token lies or would lie; its number is the pool's first position with it. */
static int32_t *number_slot(const tfidf_params *p, int64_t number) {
    size_t at = hash_number((uint64_t)number) & p->mask;
    while (p->token[at] >= 0 && p->numbers.data[p->token[at]] != number) at = (at + 1) & p->mask;
    return &p->token[at];
}

static int32_t *text_slot(const tfidf_params *p, sdx_string text) {
    size_t at = hash_bytes(text.data, text.size) & p->mask;
    while (p->token[at] >= 0 && !same_text(p->texts[p->token[at]], text)) at = (at + 1) & p->mask;
    return &p->token[at];
}

static edge *edge_slot(const tfidf_params *p, int32_t from, int32_t token) {
    size_t at = hash_number((uint64_t)(uint32_t)from << 32 | (uint32_t)token) & p->mask;
    while (p->edges[at].to && (p->edges[at].from != from || p->edges[at].token != token)) at = (at + 1) & p->mask;
    return &p->edges[at];
}

/* The number of the pool's i-th entry, given when it is new. */
static int32_t pool_token(const tfidf_params *p, size_t i) {
    int32_t *slot = p->texts ? text_slot(p, p->texts[i]) : number_slot(p, p->numbers.data[i]);
    if (*slot < 0) *slot = (int32_t)i;
    return *slot;
}

static sdx_status make_tables(sdx_bind *bind, tfidf_params *p) {
    size_t slots = 16;
    while (slots < 2 * p->n) slots *= 2;
    p->mask = slots - 1;
    p->token = SDX_NEW_ARRAY(bind->arena, int32_t, slots, bind->error);
    p->edges = SDX_NEW_ARRAY(bind->arena, edge, slots, bind->error);
    p->ngram = SDX_NEW_ARRAY(bind->arena, int32_t, p->n + 1, bind->error);
    if (!p->token || !p->edges || !p->ngram) return bind->status = bind->error->status;
    for (size_t i = 0; i < slots; i++) p->token[i] = NO_TOKEN;
    for (size_t i = 0; i <= p->n; i++) p->ngram[i] = -1;
    return SDX_OK;
}

/* Adds the n-gram of `length` entries at `start` of the pool. */
static sdx_status add_ngram(sdx_bind *bind, tfidf_params *p, size_t start, size_t length, size_t ngram,
                            int32_t *nodes) {
    int32_t node = ROOT;
    for (size_t i = start; i < start + length; i++) {
        int32_t token = pool_token(p, i);
        edge *slot = edge_slot(p, node, token);
        if (!slot->to) *slot = (edge){node, token, ++*nodes};
        node = slot->to;
    }
    if (p->ngram[node] >= 0)
        return sdx_bind_fail(bind, SDX_VALUE, "the %zu-gram at entry %zu of the pool is there twice", length, start);
    p->ngram[node] = (int32_t)ngram;
    return SDX_OK;
}

static sdx_status add_lengths(sdx_bind *bind, tfidf_params *p, sdx_ints counts) {
    size_t ngram = 0;
    int32_t nodes = ROOT;
    for (size_t k = 0; k < counts.n; k++) {
        int64_t start = counts.data[k], end = k + 1 < counts.n ? counts.data[k + 1] : (int64_t)p->n;
        size_t length = k + 1;
        if (start < 0 || end < start || end > (int64_t)p->n)
            return sdx_bind_fail(bind, SDX_VALUE,
                                 "entry %zu of attribute 'ngram_counts' is %" PRId64
                                 "; the entries must not decrease and lie in [0, %zu], the size of the pool",
                                 k, start, p->n);
        size_t entries = (size_t)(end - start), n = entries / length;
        if (entries % length)
            return sdx_bind_fail(bind, SDX_VALUE, "the pool has %zu entries of %zu-grams; %zu of each are needed",
                                 entries, length, length);
        if (n > p->indexes.n - ngram)
            return sdx_bind_fail(bind, SDX_VALUE,
                                 "attribute 'ngram_indexes' has %zu entries; the pool has at least %zu n-grams",
                                 p->indexes.n, ngram + n);
        for (size_t i = 0; i < n && (int64_t)length >= p->least && (int64_t)length <= p->most; i++)
            SDX_TRY(add_ngram(bind, p, (size_t)start + i * length, length, ngram + i, &nodes));
        ngram += n;
    }
    return SDX_OK;
}

static sdx_status bind_lengths(sdx_bind *bind, tfidf_params *p) {
    p->least = sdx_bind_int(bind, "min_gram_length");
    p->most = sdx_bind_int(bind, "max_gram_length");
    p->skips = sdx_bind_int(bind, "max_skip_count");
    if (bind->status) return bind->status;
    if (p->least < 1)
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'min_gram_length' is %" PRId64 "; it must be at least 1",
                             p->least);
    if (p->most < p->least)
        return sdx_bind_fail(bind, SDX_VALUE,
                             "attribute 'max_gram_length' is %" PRId64 "; it must be at least %" PRId64
                             ", which is 'min_gram_length'",
                             p->most, p->least);
    if (p->skips < 0)
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'max_skip_count' is %" PRId64 "; it must not be negative",
                             p->skips);
    return SDX_OK;
}

static sdx_status bind_width(sdx_bind *bind, tfidf_params *p) {
    sdx_ints indexes = p->indexes;
    if (indexes.n == 0)
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'ngram_indexes' is empty; it must have an entry");
    for (size_t i = 0; i < indexes.n; i++) {
        if (indexes.data[i] < 0 || indexes.data[i] > INT32_MAX)
            return sdx_bind_fail(bind, SDX_VALUE,
                                 "entry %zu of attribute 'ngram_indexes' is %" PRId64 "; it must be in [0, %d]", i,
                                 indexes.data[i], INT32_MAX);
        if (indexes.data[i] >= p->width) p->width = indexes.data[i] + 1;
    }
    size_t n = 0;
    p->weights = sdx_bind_floats(bind, "weights", &n);
    if (n == 0 || p->mode == MODE_TF) {
        p->weights = NULL;
    } else if (n != indexes.n) {
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'weights' has %zu entries; 'ngram_indexes' has %zu", n,
                             indexes.n);
    }
    return bind->status;
}

static sdx_status tfidf_bind(sdx_bind *bind, void *params) {
    static const char *const modes[] = {"TF", "IDF", "TFIDF"};
    tfidf_params *p = params;
    size_t n_texts = 0;
    p->mode = sdx_bind_choice(bind, "mode", modes, 3);
    SDX_TRY(bind_lengths(bind, p));
    sdx_ints counts = sdx_bind_ints(bind, "ngram_counts");
    p->indexes = sdx_bind_ints(bind, "ngram_indexes");
    p->numbers = sdx_bind_ints(bind, "pool_int64s");
    p->texts = sdx_bind_strings(bind, "pool_strings", &n_texts);
    if (bind->status) return bind->status;
    if ((p->numbers.n > 0) == (n_texts > 0))
        return sdx_bind_fail(
            bind, SDX_VALUE,
            "attribute 'pool_int64s' has %zu entries and 'pool_strings' %zu; exactly one must have any", p->numbers.n,
            n_texts);
    if (n_texts == 0) p->texts = NULL;
    p->n = p->numbers.n + n_texts;
    if (p->n >= INT32_MAX / 4)
        return sdx_bind_fail(bind, SDX_UNSUPPORTED, "the pool has %zu entries; fewer than %d are supported", p->n,
                             INT32_MAX / 4);
    SDX_TRY(bind_width(bind, p));
    SDX_TRY(make_tables(bind, p));
    return add_lengths(bind, p, counts);
}

static sdx_status tfidf_infer(sdx_infer *infer, const void *params) {
    const tfidf_params *p = params;
    int rank = sdx_infer_rank_of(infer, 0);
    const sdx_type *in = infer->in[0];
    infer->out[0].dtype = SDX_F32;
    if (in->dtype != SDX_UNDEFINED && (in->dtype == SDX_STRING) != (p->texts != NULL))
        return sdx_fail(infer->error, SDX_TYPE, "input 'X' has elements of type %s; the pool is attribute '%s'",
                        sdx_dtype_name(in->dtype), p->texts ? "pool_strings" : "pool_int64s");
    if (rank < 0) return SDX_OK;
    if (rank != 1 && rank != 2)
        return sdx_fail(infer->error, SDX_SHAPE, "input 'X' has rank %d; it must be 1 or 2", rank);
    infer->out[0].rank = rank;
    infer->out[0].dim[0] = in->dim[0];
    infer->out[0].dim[rank - 1] = p->width;
    return SDX_OK;
}

/* A counter per n-gram for each worker, then the tokens of X as numbers. */
static size_t tfidf_scratch(const sdx_infer *infer, const void *params) {
    const tfidf_params *p = params;
    size_t size = sizeof(int32_t), counters = 0;
    for (int d = 0; d < infer->in[0]->rank; d++)
        if (!sdx_size_mul(size, (size_t)infer->in[0]->dim[d], &size)) return SIZE_MAX;
    if (!sdx_size_mul((size_t)infer->threads * sizeof(uint32_t), p->indexes.n, &counters)) return SIZE_MAX;
    return sdx_size_add(size, counters, &size) ? size : SIZE_MAX;
}

typedef struct tfidf_job {
    const tfidf_params *params;
    const sdx_tensor *in;
    uint32_t *counters; /* [workers][n-grams] */
    int32_t *tokens;
    int64_t length; /* of a row */
    float *y;
} tfidf_job;

static void find_tokens(void *argument, int64_t begin, int64_t end, int worker) {
    const tfidf_job *job = argument;
    const void *x = job->in->data;
    (void)worker;
    for (int64_t i = begin; i < end; i++) {
        if (job->in->dtype == SDX_STRING)
            job->tokens[i] = *text_slot(job->params, ((const sdx_string *)x)[i]);
        else
            job->tokens[i] = *number_slot(job->params, job->in->dtype == SDX_I32 ? ((const int32_t *)x)[i]
                                                                                 : ((const int64_t *)x)[i]);
    }
}

/* Counts the n-grams whose members lie `step` apart, from `least` members on. */
static void count_step(const tfidf_job *job, const int32_t *row, int64_t step, int64_t least, uint32_t *count) {
    const tfidf_params *p = job->params;
    for (int64_t start = 0; start < job->length && least - 1 <= (job->length - 1 - start) / step; start++) {
        int32_t node = ROOT;
        int64_t at = start;
        for (int64_t n = 1; n <= p->most && row[at] != NO_TOKEN; n++) {
            node = edge_slot(p, node, row[at])->to;
            if (!node) break;
            if (n >= least && p->ngram[node] >= 0) count[p->ngram[node]]++;
            if (step > job->length - 1 - at) break;
            at += step;
        }
    }
}

static void put_counts(const tfidf_params *p, const uint32_t *count, float *y) {
    memset(y, 0, (size_t)p->width * sizeof *y);
    for (size_t i = 0; i < p->indexes.n; i++) {
        float weight = p->weights ? p->weights[i] : 1, *to = y + p->indexes.data[i];
        if (count[i]) *to = p->mode == MODE_IDF ? weight : *to + weight * (float)count[i];
    }
}

static void vectorize(void *argument, int64_t begin, int64_t end, int worker) {
    const tfidf_job *job = argument;
    const tfidf_params *p = job->params;
    uint32_t *count = job->counters + (size_t)worker * p->indexes.n;
    for (int64_t r = begin; r < end; r++) {
        int64_t least = p->least;
        memset(count, 0, p->indexes.n * sizeof *count);
        for (int64_t skip = 0; skip <= p->skips && skip < job->length && least <= p->most; skip++) {
            count_step(job, job->tokens + r * job->length, skip + 1, least, count);
            if (least == 1) least = 2; /* single tokens know no skips */
        }
        put_counts(p, count, job->y + r * p->width);
    }
}

static sdx_status tfidf_compute(sdx_compute *compute, const void *params) {
    const tfidf_params *p = params;
    const sdx_tensor *in = compute->in[0];
    const int64_t dims[2] = {in->rank == 2 ? in->dim[0] : p->width, p->width};
    sdx_tensor *out = sdx_compute_output(compute, 0, in->rank, dims);
    if (!out) return compute->error->status;
    size_t workers = (size_t)sdx_pool_threads(compute->pool);
    uint32_t *counters = compute->scratch;
    tfidf_job job = {p, in, counters, (int32_t *)(counters + workers * p->indexes.n), in->dim[in->rank - 1], out->data};
    int64_t rows = in->rank == 2 ? in->dim[0] : 1, grain = WORK / (job.length + p->width) + 1;
    SDX_TRY(sdx_for(compute, in->count, WORK / 8, find_tokens, &job));
    return sdx_for(compute, rows, grain, vectorize, &job);
}

const sdx_op sdx_op_TfIdfVectorizer = {
    .domain = "",
    .name = "TfIdfVectorizer",
    .versions =
        (const sdx_op_version[]){
            {9, "X:T -> Y:T1", "T=i32|i64|string T1=f32",
             "max_gram_length:int! max_skip_count:int! min_gram_length:int! mode:string! ngram_counts:ints! "
             "ngram_indexes:ints! pool_int64s:ints pool_strings:strings weights:floats"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(tfidf_params),
    .bind = tfidf_bind,
    .infer = tfidf_infer,
    .scratch = tfidf_scratch,
    .compute = tfidf_compute,
    .grad = sdx_no_gradient,
};
