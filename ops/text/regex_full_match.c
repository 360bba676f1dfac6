/* SPDX-License-Identifier: Apache-2.0
 * RegexFullMatch: whether the whole of each string matches. PCRE2's matcher without backtracking follows all ways at
 * once, so no pattern makes it explode, which is what RE2 promises; its working space grows with the pattern only. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "ops/text/regex_syntax.h"
#include <inttypes.h>
#include <pcre2.h>
#include <stdatomic.h>

#define NONE INT64_MAX

enum {
    GRAIN = 16,           /* strings */
    LEAST_WORDS = 4096,   /* of PCRE2's working space, for each worker */
    MOST_WORDS = 1 << 24, /* beyond this the pattern is too large */
    BLOCK = 4096,         /* for PCRE2's records of one call */
    KINDS = 128,          /* above minus any of PCRE2's numbers */
};

typedef struct regex_params {
    const pcre2_code *code; /* lies in the model's arena */
} regex_params;

static void give_nothing_back(void *block, void *data) {
    (void)block;
    (void)data;
}

static void *take_from_arena(size_t size, void *data) {
    sdx_bind *bind = data;
    return sdx_arena_alloc(bind->arena, size, bind->error);
}

static sdx_status refuse_pattern(sdx_bind *bind, sdx_string pattern, const char *why) {
    char text[200];
    return sdx_bind_fail(bind, SDX_VALUE, "attribute 'pattern' is '%s', no regular expression of RE2: %s",
                         sdx_escape(text, sizeof text, pattern.data, pattern.size), why);
}

static sdx_status compile(sdx_bind *bind, sdx_string pattern, const pcre2_code **code) {
    sdx_regex_syntax syntax = {.text = pattern.data, .size = pattern.size};
    syntax.out = sdx_arena_alloc_array(bind->arena, pattern.size + 1, SDX_REGEX_GROWTH, bind->error);
    if (!syntax.out) return bind->status = bind->error->status;
    if (!sdx_regex_rewrite(&syntax)) return refuse_pattern(bind, pattern, syntax.why);
    pcre2_general_context *general = pcre2_general_context_create(take_from_arena, give_nothing_back, bind);
    pcre2_compile_context *context = general ? pcre2_compile_context_create(general) : NULL;
    if (!context) return bind->status = bind->error->status;
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    int reason = 0;
    size_t place = 0;
    *code = pcre2_compile((PCRE2_SPTR)syntax.out, syntax.used,
                          PCRE2_UTF | PCRE2_ANCHORED | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_CIRCUMFLEX |
                              PCRE2_NO_AUTO_CAPTURE | PCRE2_NEVER_BACKSLASH_C,
                          &reason, &place, context);
    if (*code) return SDX_OK;
    if (bind->error->status) return bind->status = bind->error->status;
    PCRE2_UCHAR words[160];
    return refuse_pattern(bind, pattern,
                          pcre2_get_error_message(reason, words, sizeof words) < 0 ? "" : (const char *)words);
}

static sdx_status regex_bind(sdx_bind *bind, void *params) {
    regex_params *p = params;
    sdx_string pattern = sdx_bind_string(bind, "pattern");
    if (!sdx_bind_has(bind, "pattern"))
        return sdx_bind_fail(bind, SDX_VALUE, "attribute 'pattern' is absent; it must be a regular expression");
    return bind->status ? bind->status : compile(bind, pattern, &p->code);
}

static sdx_status regex_infer(sdx_infer *infer, const void *params) {
    (void)params;
    sdx_infer_same(infer, 0, 0);
    infer->out[0].dtype = SDX_BOOL;
    return SDX_OK;
}

/* What PCRE2 allocates for one call comes out of a block on the stack. */
typedef struct block {
    size_t used;
    _Alignas(16) char room[BLOCK];
} block;

static void *take_from_block(size_t size, void *data) {
    block *from = data;
    size_t rounded = (size + 15) / 16 * 16;
    if (size > BLOCK || rounded > BLOCK - from->used) return NULL;
    from->used += rounded;
    return from->room + (from->used - rounded);
}

typedef struct regex_job {
    const pcre2_code *code;
    const sdx_string *x;
    uint8_t *y;
    int *space; /* [workers][words] */
    size_t words;
    atomic_int_fast64_t failed; /* the first element that failed, times KINDS, plus minus PCRE2's number; NONE */
} regex_job;

static void match_range(void *argument, int64_t begin, int64_t end, int worker) {
    regex_job *job = argument;
    block memory = {.used = 0};
    pcre2_general_context *general = pcre2_general_context_create(take_from_block, give_nothing_back, &memory);
    pcre2_match_context *context = general ? pcre2_match_context_create(general) : NULL;
    pcre2_match_data *data = context ? pcre2_match_data_create(1, general) : NULL;
    for (int64_t i = begin; i < end; i++) {
        const char *text = job->x[i].size ? job->x[i].data : "";
        int result = !data ? PCRE2_ERROR_NOMEMORY
                           : pcre2_dfa_match(job->code, (PCRE2_SPTR)text, job->x[i].size, 0, 0, data, context,
                                             job->space + (size_t)worker * job->words, job->words);
        job->y[i] = result >= 0;
        if (result >= PCRE2_ERROR_NOMATCH) continue;
        int_fast64_t mine = i * KINDS - result, first = atomic_load(&job->failed);
        while (mine < first && !atomic_compare_exchange_weak(&job->failed, &first, mine)) continue;
        return;
    }
}

static sdx_status report(sdx_compute *compute, int failure, int64_t element) {
    PCRE2_UCHAR words[160];
    if (pcre2_get_error_message(failure, words, sizeof words) < 0) words[0] = '\0';
    return sdx_fail(compute->error, failure == PCRE2_ERROR_DFA_WSSIZE ? SDX_LIMIT : SDX_VALUE,
                    "element %" PRId64 " of input 'X' cannot be matched: %s", element, (const char *)words);
}

static sdx_status regex_compute(sdx_compute *compute, const void *params) {
    const regex_params *p = params;
    const sdx_tensor *in = compute->in[0];
    sdx_tensor *out = sdx_compute_output(compute, 0, in->rank, in->dim);
    if (!out) return compute->error->status;
    regex_job job = {.code = p->code, .x = in->data, .y = out->data};
    size_t workers = (size_t)sdx_pool_threads(compute->pool), size = 0;
    for (job.words = LEAST_WORDS;; job.words *= 8) {
        if (!sdx_size_mul(workers, job.words * sizeof *job.space, &size)) size = SIZE_MAX;
        job.space = compute->services->alloc(compute, size);
        if (!job.space) return compute->error->status;
        atomic_store(&job.failed, NONE);
        SDX_TRY(sdx_for(compute, in->count, GRAIN, match_range, &job));
        int64_t failed = atomic_load(&job.failed);
        if (failed == NONE) return SDX_OK;
        int failure = -(int)(failed % KINDS);
        if (failure != PCRE2_ERROR_DFA_WSSIZE || job.words >= MOST_WORDS)
            return report(compute, failure, failed / KINDS);
    }
}

const sdx_op sdx_op_RegexFullMatch = {
    .domain = "",
    .name = "RegexFullMatch",
    .versions =
        (const sdx_op_version[]){
            {20, "X:T1 -> Y:T2", "T1=string T2=bool", "pattern:string"},
            {0, NULL, NULL, NULL},
        },
    .params_size = sizeof(regex_params),
    .bind = regex_bind,
    .infer = regex_infer,
    .compute = regex_compute,
    .grad = sdx_no_gradient,
};
