/* SPDX-License-Identifier: Apache-2.0
 * Which runs a case becomes, and what they must agree with. */
#include "tests/ops/harness/harness.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANDOM_SHAPES = 12, RANDOM_SHAPES_OTHER = 3, FAULTS_MOST = 3000 };

static long runs;
static bool verbose;

static const how plain = {.threads = 1, .chain = -1};

static void release(sdx_value **values) {
    for (int k = 0; k < MAX_ARGS; k++) sdx_value_release(values[k]), values[k] = NULL;
}

static bool refused(const stage *s, const char *mode, const sdx_error *error) {
    return say("FAIL %s, %s: %s\n", s->label, mode, error->message), false;
}

/* ---- the wanted results -------------------------------------------------------------------------------------- */

static bool evaluate(stage *s) {
    sdx_ref in[MAX_ARGS];
    bool asked[MAX_ARGS];
    for (int k = 0; k < s->n_in; k++) in[k] = s->in[k].ref;
    for (int k = 0; k < s->n_out; k++) asked[k] = s->want[k].present;
    if (s->a_case->expect) {
        const char *text = s->a_case->expect;
        for (int k = 0; k < s->n_out; k++) {
            if (!asked[k]) continue;
            arg parsed;
            if (!parse_tensor(s, &text, &parsed)) return false;
            sdx_value_release(parsed.value);
            s->want[k] = parsed.ref;
        }
        return true;
    }
    if (!s->a_case->reference) return say("FAIL %s: the case says nothing of the result\n", s->label), false;
    s->a_case->reference(&(sdx_case_run){.n_in = s->n_in, .n_out = MAX_ARGS, .in = in, .out = s->want, .context = s});
    for (int k = 0; k < s->n_out; k++) s->want[k].present = asked[k];
    return true;
}

/* ---- one mode each ------------------------------------------------------------------------------------------- */

static bool against_reference(const stage *s, const char *mode, const how *h, sdx_value **out) {
    sdx_error error = {0};
    runs++;
    if (run_model(s, h, NULL, out, &error) != SDX_OK) return refused(s, mode, &error);
    bool ok = true;
    for (int k = 0; k < s->n_out && ok; k++)
        if (s->want[k].present) ok = compare(s, mode, k, &s->want[k], out[k]);
    return ok;
}

static bool against_bits(const stage *s, const char *mode, const how *h, sdx_value *const *first) {
    sdx_value *out[MAX_ARGS] = {0};
    sdx_error error = {0};
    runs++;
    if (run_model(s, h, NULL, out, &error) != SDX_OK) return refused(s, mode, &error);
    bool ok = true;
    for (int k = 0; k < s->n_out && ok; k++)
        if (s->want[k].present) ok = same_bits(s, mode, k, first[k], out[k]);
    release(out);
    return ok;
}

static bool chains(const stage *s, int k, const sdx_value *y) {
    const arg *in = &s->in[k];
    return s->n_out == 1 && in->present && !in->constant && sdx_value_kind(y) == SDX_TENSOR &&
           in->ref.dtype == sdx_value_dtype(y) && in->ref.rank == sdx_value_rank(y) &&
           memcmp(in->ref.dim, sdx_value_dims(y), (size_t)in->ref.rank * sizeof in->ref.dim[0]) == 0;
}

/* The operator on its own result, in one graph (where the second node may work in place) and in two runs. */
static bool in_place(const stage *s, int k, sdx_value *y) {
    sdx_value *twice[MAX_ARGS] = {0}, *chained[MAX_ARGS] = {0}, *override[MAX_ARGS] = {0};
    sdx_error error = {0};
    how h = plain;
    h.optimise = SDX_OPTIMISE_NONE;
    override[k] = y;
    bool ok = run_model(s, &h, override, twice, &error) == SDX_OK;
    h.chain = k;
    ok = ok && run_model(s, &h, NULL, chained, &error) == SDX_OK;
    runs += 2;
    ok = ok ? same_bits(s, "in place", 0, twice[0], chained[0]) : refused(s, "in place", &error);
    release(twice);
    release(chained);
    return ok;
}

static bool faults(const stage *s, sdx_value *const *first) {
    for (long n = 1; n < FAULTS_MOST; n++) {
        sdx_value *out[MAX_ARGS] = {0};
        sdx_error error = {0};
        runs++;
        faults_arm(n);
        sdx_status status = run_model(s, &plain, NULL, out, &error);
        faults_arm(0);
        bool ok = status == SDX_OK || (status == SDX_OUT_OF_MEMORY && error.message[0]);
        if (!ok)
            say("FAIL %s: allocation %ld failing gives %s: '%s'\n", s->label, n, sdx_status_text(status),
                error.message);
        for (int k = 0; status == SDX_OK && k < s->n_out && ok; k++)
            if (s->want[k].present) ok = same_bits(s, "an allocation failing", k, first[k], out[k]);
        release(out);
        if (!ok) return false;
        if (status == SDX_OK && !faults_struck()) return true;
    }
    return say("FAIL %s: more than %d allocations\n", s->label, FAULTS_MOST), false;
}

static bool refusal(const stage *s, const char *mode, const how *h) {
    sdx_value *out[MAX_ARGS] = {0};
    sdx_error error = {0};
    runs++;
    sdx_status status = run_model(s, h, NULL, out, &error);
    release(out);
    const char *says = s->a_case->says ? s->a_case->says : "";
    if (status == s->a_case->fails && strstr(error.message, says)) return true;
    return say("FAIL %s, %s: %s: '%s'; wanted %s with the words '%s'\n", s->label, mode, sdx_status_text(status),
               error.message, sdx_status_text(s->a_case->fails), says),
           false;
}

static bool refusals(const stage *s) {
    how unknown = plain;
    unknown.unknown_shapes = true;
    return refusal(s, "shapes known", &plain) && refusal(s, "shapes unknown", &unknown);
}

/* ---- all modes of one setting -------------------------------------------------------------------------------- */

static bool variants(const stage *s, sdx_value *const *first) {
    bool random = s->a_case->flags & SDX_CASE_SHAPE_ONLY, ok = true;
    sdx_value *out[MAX_ARGS] = {0};
    how h = plain;
    h.optimise = SDX_OPTIMISE_NONE;
    ok = against_reference(s, "without passes", &h, out);
    release(out);
    h = plain;
    h.unknown_shapes = true;
    ok = ok && (random || against_bits(s, "shapes unknown at load", &h, first));
    h = plain;
    h.again = true;
    ok = ok && (random || against_bits(s, "second run of a session", &h, first));
    h = plain;
    h.constants = true;
    return ok && (random || against_bits(s, "inputs constant", &h, first));
}

static bool run_setting(const sdx_case *c, const setting *set, bool full, bool with_faults) {
    stage s;
    sdx_value *first[MAX_ARGS] = {0};
    bool ok = stage_open(&s, c, set);
    if (verbose && ok) say("  %s\n", s.label);
    if (ok && c->fails) {
        ok = refusals(&s);
    } else if (ok) {
        how h = plain;
        ok = evaluate(&s) && against_reference(&s, "plain", &h, first);
        h.threads = 5;
        ok = ok && against_bits(&s, "5 threads", &h, first);
        for (int k = 0; ok && k < s.n_in; k++)
            if (chains(&s, k, first[0])) ok = in_place(&s, k, first[0]);
        if (full) ok = ok && variants(&s, first);
        h.threads = 2;
        if (full) ok = ok && against_bits(&s, "2 threads", &h, first);
        if (with_faults) ok = ok && faults(&s, first);
    }
    release(first);
    stage_close(&s);
    return ok;
}

/* ---- settings of a case -------------------------------------------------------------------------------------- */

static bool read_letters(const sdx_case *c, setting *set) {
    const char *text = c->dims ? c->dims : "";
    while (*(text += strspn(text, " "))) {
        long long low, high;
        int used = 0, k = set->n_letters;
        if (k == MAX_DIMS || sscanf(text, "%15[A-Za-z_0-9]=%lld..%lld%n", set->letter[k].name, &low, &high, &used) < 3)
            return say("FAIL %s: dims: '%s' is not NAME=LOW..HIGH\n", c->name, text), false;
        set->letter[k].low = low;
        set->letter[k].high = high;
        set->n_letters++;
        text += used;
    }
    return true;
}

static void draw(setting *set, uint64_t seed) {
    set->seed = seed;
    for (int k = 0; k < set->n_letters; k++) {
        uint64_t span = (uint64_t)(set->letter[k].high - set->letter[k].low + 1);
        set->letter[k].value = set->letter[k].low + (int64_t)(next_random(&seed) % span);
    }
}

/* Whether the inputs' text says NAME[...] */
static bool mentions(const sdx_case *c, const char *name) {
    size_t n = strlen(name);
    for (const char *text = c->inputs ? c->inputs : ""; *text; text++)
        if (strncmp(text, name, n) == 0 && (text[n] == '[' || text[n] == '=') &&
            (text == c->inputs || strchr(" !", text[-1])))
            return true;
    return false;
}

/* Whether "T=f32|f64 ..." lets the variable have this dtype. */
static bool permits(const sdx_case *c, const char *variable, sdx_dtype dtype) {
    const char *text = c->types ? c->types : "";
    size_t n = strlen(variable);
    while (*(text += strspn(text, " "))) {
        if (strncmp(text, variable, n) == 0 && text[n] == '=') {
            for (text += n + 1; *text && *text != ' '; text += *text == '|') {
                size_t length = strcspn(text, "| ");
                if (sdx_dtype_parse(text, length) == dtype) return true;
                text += length;
            }
            return false;
        }
        text += strcspn(text, " ");
    }
    return true;
}

static bool usable(const sdx_case *c, const sdx_row_variable *variable, int k) {
    const sdx_row_type *type = &variable->types[k];
    return type->kind == SDX_TENSOR && permits(c, variable->name, type->dtype);
}

static void baseline(const sdx_case *c, setting *set) {
    static const sdx_dtype liked[] = {SDX_F32, SDX_I64, SDX_BOOL};
    for (int v = 0; v < set->row->n_variables && v < 8; v++) {
        const sdx_row_variable *variable = &set->row->variables[v];
        for (int k = variable->n_types - 1; k >= 0; k--)
            if (usable(c, variable, k)) set->dtype[v] = variable->types[k].dtype;
        for (int l = 2; l >= 0; l--)
            for (int k = 0; k < variable->n_types; k++)
                if (usable(c, variable, k) && variable->types[k].dtype == liked[l]) set->dtype[v] = liked[l];
    }
}

static bool run_types(const sdx_case *c, setting *set, uint64_t seed) {
    bool ok = true;
    for (int v = 0; v < set->row->n_variables && v < 8; v++) {
        const sdx_row_variable *variable = &set->row->variables[v];
        sdx_dtype keep = set->dtype[v];
        for (int k = 0; k < variable->n_types && mentions(c, variable->name); k++) {
            if (!usable(c, variable, k) || variable->types[k].dtype == keep) continue;
            set->dtype[v] = variable->types[k].dtype;
            for (int r = 0; r < (set->n_letters ? RANDOM_SHAPES_OTHER : 1); r++) {
                draw(set, seed + (uint64_t)r);
                ok = run_setting(c, set, false, false) && ok;
            }
        }
        set->dtype[v] = keep;
    }
    return ok;
}

/* Every variable that can be f64 is. */
static bool run_gradients(const sdx_case *c, setting *set, uint64_t seed) {
    bool ok = true;
    for (int v = 0; v < set->row->n_variables && v < 8; v++)
        for (int k = 0; k < set->row->variables[v].n_types; k++)
            if (usable(c, &set->row->variables[v], k) && set->row->variables[v].types[k].dtype == SDX_F64)
                set->dtype[v] = SDX_F64;
    for (int r = 0; ok && r < (set->n_letters ? RANDOM_SHAPES_OTHER : 1); r++) {
        stage s;
        sdx_value *first[MAX_ARGS] = {0};
        draw(set, seed + (uint64_t)r);
        sdx_error error = {0};
        ok = stage_open(&s, c, set);
        if (ok && c->flags & SDX_CASE_GRADIENT)
            ok = run_model(&s, &plain, NULL, first, &error) == SDX_OK || refused(&s, "plain", &error);
        else
            ok = ok && evaluate(&s) && against_reference(&s, "plain", &plain, first);
        runs++;
        if (ok && verbose) say("  %s, gradient of %s\n", s.label, c->op);
        ok = ok && check_gradient(&s, first);
        release(first);
        stage_close(&s);
    }
    return ok;
}

static bool run_case(const sdx_case *c, uint64_t seed) {
    const sdx_op *op = sdx_op_find(c->domain ? c->domain : "", c->op);
    const sdx_op_version *version = op ? sdx_op_version_at(op, c->opset) : NULL;
    if (!version) return say("FAIL %s: no operator %s at opset %d\n", c->name, c->op, c->opset), false;
    sdx_memory memory;
    sdx_arena arena;
    sdx_memory_init(&memory, 0);
    sdx_arena_init(&arena, &memory);
    setting set = {0};
    sdx_error error = {0};
    bool ok = sdx_row_parse(version, &arena, &error, &set.row) == SDX_OK && read_letters(c, &set);
    if (!ok) say("FAIL %s: %s\n", c->name, error.message);
    bool slow = c->flags & SDX_CASE_SLOW;
    if (ok) baseline(c, &set);
    bool forward = !(c->flags & SDX_CASE_GRADIENT);
    for (int r = 0; ok && forward && r < (set.n_letters ? RANDOM_SHAPES : 1); r++) {
        draw(&set, seed + (uint64_t)r);
        ok = run_setting(c, &set, !slow, r == 0 && !slow);
    }
    ok = ok && (!forward || run_types(c, &set, seed));
    if (ok && gradient_applies(c, op, version)) ok = run_gradients(c, &set, seed);
    sdx_arena_release(&arena);
    return ok;
}

static int usage(const char *program) {
    say("usage: %s [--case PART_OF_NAME] [--seed N] [-v]\n", program);
    return 2;
}

int main(int argc, char **argv) {
    const char *part = "";
    uint64_t seed = 1;
    for (int k = 1; k < argc; k++) {
        if (!strcmp(argv[k], "-v"))
            verbose = true;
        else if (!strcmp(argv[k], "--case") && k + 1 < argc)
            part = argv[++k];
        else if (!strcmp(argv[k], "--seed") && k + 1 < argc)
            seed = strtoull(argv[++k], NULL, 10);
        else
            return usage(argv[0]);
    }
    size_t cases = 0, bad = 0;
    for (size_t k = 0; k < sdx_cases_count; k++) {
        if (!strstr(sdx_cases[k].name, part)) continue;
        cases++;
        bad += !run_case(&sdx_cases[k], seed);
    }
    say("%zu cases, %ld runs: %zu passed, %zu failed\n", cases, runs, cases - bad, bad);
    return bad ? 1 : cases == 0;
}
