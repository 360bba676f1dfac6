/* SPDX-License-Identifier: Apache-2.0
 * Clipping against PyTorch's formulas, for any number of threads and as standard operators; constraints against Keras'
 * formulas, for every layer that a weight may belong to. */
#include "tests/unit/optimizer_session.h"
#include <math.h>

/* ---- clipping ---- */

enum { A = 40001, B = 3 };

static double element(int which, int k) { return which ? k - 1.5 : ((k * 37) % 1009 - 504) / 512.0; }

static sdx_model *clip_model(const sdx_train_options *options, const sdx_dtype dtype[2], bool expanded) {
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    sdx_patch patch;
    sdx_id g[2] = {add_input(graph, "a", dtype[0], DIMS(A)), add_input(graph, "b", dtype[1], DIMS(B))}, norm;
    sdx_patch_begin(&patch, graph, &test_error);
    OK(sdx_clip_emit(&patch, options, g, 2, &norm));
    graph->values[g[0]].name = "ca", graph->values[g[1]].name = "cb";
    add_output(graph, g[0]), add_output(graph, g[1]);
    if (norm != SDX_NONE) graph->values[norm].name = "norm", add_output(graph, norm);
    assert_int_equal(norm != SDX_NONE, options->clip_norm > 0);
    OK(sdx_patch_commit(&patch));
    OK(sdx_settle_graph(graph, &test_error));
    if (expanded) expand_first(graph);
    finish_model(model);
    return model;
}

static void check_clip(double norm, double value, const sdx_dtype dtype[2], bool expanded) {
    const sdx_train_options options = {.size = sizeof options, .clip_norm = norm, .clip_value = value};
    const double tolerance = dtype[0] == SDX_F64 ? 1e-12 : dtype[0] == SDX_F32 ? 1e-6 : 1e-2;
    sdx_model *model = clip_model(&options, dtype, expanded);
    sdx_binding in[2] = {{"a", new_tensor(dtype[0], DIMS(A), NULL)}, {"b", new_tensor(dtype[1], DIMS(B), NULL)}};
    sdx_value *first[3] = {NULL, NULL, NULL};
    double total = 0;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < (i ? B : A); k++) {
            put(in[i].value, k, element(i, k));
            total += pow(get(in[i].value, k), 2);
        }
    total = sqrt(total);
    const double by = norm > 0 ? fmin(1, norm / (total + 1e-6)) : 1;
    for (int threads = 1; threads <= 3; threads += 2) {
        sdx_session *session = new_session(model, threads);
        sdx_binding out[3] = {{"ca", NULL}, {"cb", NULL}, {"norm", NULL}};
        OK(sdx_session_run(session, in, 2, out, norm > 0 ? 3 : 2, &test_error));
        for (int i = 0; i < 2; i++)
            for (int k = 0; k < (i ? B : A); k++) {
                double want = get(in[i].value, k) * by;
                if (value > 0) want = fmax(-value, fmin(value, want));
                if (!(fabs(get(out[i].value, k) - want) <= tolerance))
                    fail_msg("%s, norm %g, value %g: element %d is %.17g; it must be %.17g", sdx_dtype_name(dtype[0]),
                             norm, value, k, get(out[i].value, k), want);
            }
        if (norm > 0 && !(fabs(get(out[2].value, 0) - total) <= tolerance * total))
            fail_msg("the norm is %.17g; it must be %.17g", get(out[2].value, 0), total);
        for (int i = 0; i < 3; i++) {
            if (first[i])
                assert_memory_equal(first[i]->tensor.data, out[i].value->tensor.data,
                                    sdx_tensor_bytes(&first[i]->tensor));
            if (first[i] || threads > 1)
                sdx_value_release(out[i].value);
            else
                first[i] = out[i].value;
        }
        sdx_session_destroy(session);
    }
    for (int i = 0; i < 3; i++) sdx_value_release(first[i]);
    sdx_value_release(in[0].value), sdx_value_release(in[1].value);
    sdx_model_close(model);
}

static void test_clip(void **unused) {
    (void)unused;
    static const sdx_dtype types[][2] = {
        {SDX_F64, SDX_F64}, {SDX_F32, SDX_F32}, {SDX_F16, SDX_F64}, {SDX_BF16, SDX_F32}};
    for (size_t k = 0; k < sizeof types / sizeof types[0]; k++) {
        check_clip(3, 0, types[k], false);
        check_clip(1e4, 0, types[k], false); /* below: nothing happens */
        check_clip(0, .25, types[k], false);
        check_clip(20, .05, types[k], false);
    }
    check_clip(3, 0, types[0], true);
    check_clip(3, 0, types[1], true);
}

/* ---- constraints ---- */

enum { MOST = 48 };

/* Which elements share a norm: group[k] of element k. */
typedef struct layer {
    const char *name, *op;
    int slot, rank; /* input of the node that the weight is */
    int64_t dim[4];
    int64_t transposed; /* Gemm: transA or transB; MatMul: behind a Transpose */
    int (*group)(const int64_t *at);
} layer;

static int by_0(const int64_t *at) { return (int)at[0]; }
static int by_1(const int64_t *at) { return (int)at[1]; }
static int by_0_1(const int64_t *at) { return (int)(at[0] * 8 + at[1]); }
static int by_0_2(const int64_t *at) { return (int)(at[0] * 8 + at[2]); }
static int one(const int64_t *at) { return (void)at, 0; }

static const layer layers[] = {
    {"Conv", "Conv", 1, 4, {3, 2, 2, 2}, 0, by_0},
    {"ConvTranspose", "ConvTranspose", 1, 4, {3, 2, 2, 2}, 0, by_1},
    {"Gemm", "Gemm", 1, 2, {4, 3}, 0, by_1},
    {"Gemm, transB", "Gemm", 1, 2, {4, 3}, 1, by_0},
    {"Gemm, left", "Gemm", 0, 2, {4, 3}, 0, by_0},
    {"MatMul", "MatMul", 1, 2, {4, 3}, 0, by_1},
    {"MatMul, left", "MatMul", 0, 2, {4, 3}, 0, by_0},
    {"MatMul, Transpose", "MatMul", 1, 2, {4, 3}, 1, by_0},
    {"MatMul, many", "MatMul", 1, 3, {2, 3, 4}, 0, by_0_2},
    {"Gather", "Gather", 0, 2, {5, 3}, 0, by_0},
    {"LSTM W", "LSTM", 1, 3, {2, 4, 3}, 0, by_0_1},
    {"GRU R", "GRU", 2, 3, {1, 6, 2}, 0, by_0_1},
    {"bias", "Gemm", 2, 1, {6}, 0, one},
    {"other", "Mul", 0, 2, {3, 4}, 0, one},
};

/* A graph with that node, which is looked at and not run, and the constraint on w. */
static sdx_model *constraint_model(const layer *l, const sdx_constraint_options *c, sdx_dtype dtype) {
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    sdx_patch patch;
    sdx_id in[3] = {SDX_NONE, SDX_NONE, SDX_NONE}, w = add_input(graph, "w", dtype, l->rank, l->dim);
    sdx_variable variable = {.name = "w", .id = w, .value = new_tensor(dtype, l->rank, l->dim, NULL)};
    for (int k = 0; k < 3; k++)
        in[k] = k == l->slot ? w : add_input(graph, k ? k > 1 ? "z" : "y" : "x", dtype, DIMS(1));
    if (l->transposed && strcmp(l->op, "MatMul") == 0) in[l->slot] = add_node(graph, "Transpose", "turned", 1, &w);
    sdx_node *node = add_node_n(graph, l->op, "layer", 1, 3, in);
    if (l->transposed && strcmp(l->op, "Gemm") == 0) set_int(graph, node, l->slot ? "transB" : "transA", 1);
    sdx_patch_begin(&patch, graph, &test_error);
    OK(sdx_constraint_emit(&patch, c, graph, &variable, &w));
    sdx_patch_remove(&patch, node);
    graph->values[w].name = "new_w";
    add_output(graph, w);
    OK(sdx_patch_commit(&patch));
    finish_model(model);
    sdx_value_release(variable.value);
    return model;
}

static double keras(const sdx_constraint_options *c, double w, double norm) {
    const double max = c->max == 0 ? c->kind == SDX_CONSTRAINT_MAX_NORM ? 2 : 1 : c->max,
                 rate = c->rate == 0 ? 1 : c->rate;
    switch (c->kind) {
    case SDX_CONSTRAINT_NON_NEG: return w < 0 ? 0 : w;
    case SDX_CONSTRAINT_UNIT_NORM: return w / (1e-7 + norm);
    case SDX_CONSTRAINT_MAX_NORM: return w * fmin(max, norm) / (1e-7 + norm);
    case SDX_CONSTRAINT_MIN_MAX_NORM: break;
    }
    return w * (rate * fmax(c->min, fmin(max, norm)) + (1 - rate) * norm) / (1e-7 + norm);
}

static void check_constraint(const layer *l, const sdx_constraint_options *c, sdx_dtype dtype) {
    const double tolerance = dtype == SDX_F64 ? 1e-14 : dtype == SDX_F32 ? 1e-6 : 1e-2;
    sdx_model *model = constraint_model(l, c, dtype);
    sdx_session *session = new_session(model, 1);
    sdx_binding in[3] = {{"w", new_tensor(dtype, l->rank, l->dim, NULL)}};
    double squares[64] = {0};
    int group[MOST];
    const int64_t n = in[0].value->tensor.count;
    for (int64_t k = 0, left; k < n; k++) {
        int64_t at[4] = {0};
        left = k;
        for (int d = l->rank - 1; d >= 0; d--) at[d] = left % l->dim[d], left /= l->dim[d];
        group[k] = l->group(at);
        put(in[0].value, k, sin(3.0 * (double)k) * 2);
        squares[group[k]] += pow(get(in[0].value, k), 2);
    }
    size_t n_in = 1;
    for (size_t k = 0; k < sdx_model_input_count(model); k++) {
        const char *name = sdx_model_input(model, k)->name;
        if (strcmp(name, "w") != 0) in[n_in++] = (sdx_binding){name, new_tensor(dtype, DIMS(1), NULL)};
    }
    sdx_value *got = run_one(session, in, n_in, "new_w");
    for (int64_t k = 0; k < n; k++) {
        const double want = keras(c, get(in[0].value, k), sqrt(squares[group[k]]));
        if (!(fabs(get(got, k) - want) <= tolerance))
            fail_msg("%s, constraint %d, %s: element %d is %.17g; it must be %.17g", l->name, (int)c->kind,
                     sdx_dtype_name(dtype), (int)k, get(got, k), want);
    }
    sdx_value_release(got);
    for (size_t k = 0; k < n_in; k++) sdx_value_release(in[k].value);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

static void test_constraints(void **unused) {
    (void)unused;
    static const sdx_constraint_options all[] = {
        {.kind = SDX_CONSTRAINT_MAX_NORM},
        {.kind = SDX_CONSTRAINT_MAX_NORM, .max = .5},
        {.kind = SDX_CONSTRAINT_NON_NEG},
        {.kind = SDX_CONSTRAINT_UNIT_NORM},
        {.kind = SDX_CONSTRAINT_MIN_MAX_NORM, .min = .5, .max = 2.5, .rate = .25},
        {.kind = SDX_CONSTRAINT_MIN_MAX_NORM, .min = .9},
    };
    for (size_t k = 0; k < sizeof layers / sizeof layers[0]; k++)
        for (size_t c = 0; c < sizeof all / sizeof all[0]; c++) check_constraint(&layers[k], &all[c], SDX_F64);
    check_constraint(&layers[0], &all[1], SDX_F32);
    check_constraint(&layers[0], &all[1], SDX_F16);
    check_constraint(&layers[0], &all[4], SDX_BF16);
}

static void test_refused(void **unused) {
    (void)unused;
    sdx_graph *graph;
    sdx_model *model = new_model();
    graph = model->graph;
    sdx_id w = add_input(graph, "w", SDX_F32, DIMS(2, 2));
    sdx_variable variable = {.name = "w", .id = w, .value = new_tensor(SDX_F32, DIMS(2, 2), NULL)};
    static const sdx_constraint_options bad[] = {{.kind = SDX_CONSTRAINT_MIN_MAX_NORM, .min = 2},
                                                 {.kind = SDX_CONSTRAINT_MAX_NORM, .max = -1},
                                                 {.kind = SDX_CONSTRAINT_MIN_MAX_NORM, .rate = 2}};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) {
        sdx_patch patch;
        sdx_error error = {0};
        sdx_patch_begin(&patch, graph, &error);
        assert_int_equal(sdx_constraint_emit(&patch, &bad[k], graph, &variable, &w), SDX_VALUE);
        CONTAINS(error.message, "0 <= min <= max");
    }
    sdx_value_release(variable.value);
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_clip), cmocka_unit_test(test_constraints),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
