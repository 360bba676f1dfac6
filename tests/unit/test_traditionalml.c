/* SPDX-License-Identifier: Apache-2.0
 * Operators of ai.onnx.ml on maps and sequences of maps, what the texts of tests/ops cannot say, and ensembles of many
 * made-up trees against a walk from node to node. */
#include "support.h"
#include <math.h>
#include <stdlib.h>

static sdx_opset opsets[] = {{"", 17}, {"ai.onnx.ml", 3}};

static sdx_model *ml_model(void) {
    sdx_model *model = new_model();
    model->opsets = opsets;
    model->n_opsets = 2;
    return model;
}

static sdx_id map_input(sdx_graph *graph, sdx_dtype key, sdx_dtype dtype) {
    sdx_type type = {.kind = SDX_MAP, .key = key, .dtype = dtype, .rank = -1};
    sdx_id id = sdx_graph_add_value(graph, "X", &type, &test_error);
    assert_int_not_equal(id, SDX_NONE);
    OK(sdx_graph_add_input(graph, id, &test_error));
    return id;
}

/* One node of the domain, whose output is the graph's "Y". */
static sdx_node *ml_node(sdx_graph *graph, const char *op, sdx_id in) {
    sdx_id out = sdx_graph_add_value(graph, "Y", NULL, &test_error);
    sdx_node *node = sdx_graph_add_node(graph, "ai.onnx.ml", op, "node", 1, &in, 1, &out, &test_error);
    if (!node) fail_msg("%s", test_error.message);
    add_output(graph, out);
    return node;
}

static void set(sdx_graph *graph, sdx_node *node, sdx_attr attr) {
    if (attr.n == 0) attr.n = 1;
    OK(sdx_node_set_attr(graph, node, &attr, &test_error));
}

#define STRINGS(words, ...)                                                                                            \
    (sdx_attr) {                                                                                                       \
        .name = words, .type = SDX_ATTR_STRINGS, .n = sizeof((sdx_string[]){__VA_ARGS__}) / sizeof(sdx_string),        \
        .strings = (sdx_string[]) {                                                                                    \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
#define INTS(words, ...)                                                                                               \
    (sdx_attr) {                                                                                                       \
        .name = words, .type = SDX_ATTR_INTS, .n = sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t),                 \
        .ints = (int64_t[]) {                                                                                          \
            __VA_ARGS__                                                                                                \
        }                                                                                                              \
    }
#define FLOATS(words, count, values)                                                                                   \
    (sdx_attr) { .name = words, .type = SDX_ATTR_FLOATS, .n = count, .floats = values }
#define TEXT(words, text)                                                                                              \
    (sdx_attr) { .name = words, .type = SDX_ATTR_STRING, .n = 1, .s = S(text) }
#define S(text)                                                                                                        \
    { text, sizeof text - 1 }

static sdx_value *strings_of(int64_t n, const sdx_string *strings) {
    sdx_value *value = NULL;
    OK(sdx_value_from_strings(1, &n, strings, &test_error, &value));
    return value;
}

static sdx_value *map_of(sdx_value *keys, sdx_value *values) {
    sdx_value *map = NULL;
    OK(sdx_value_map(keys, values, &test_error, &map));
    sdx_value_release(keys);
    sdx_value_release(values);
    return map;
}

/* Runs on X, which is released. */
static sdx_value *run_on(sdx_model *model, sdx_value *x) {
    sdx_session *session = new_session(model, 2);
    sdx_binding in = {"X", x};
    sdx_value *y = run_one(session, &in, 1, "Y");
    sdx_value_release(x);
    sdx_session_destroy(session);
    return y;
}

static void refuses(sdx_model *model, sdx_value *x, sdx_status status, const char *words) {
    sdx_session *session = new_session(model, 1);
    sdx_binding in = {"X", x}, out = {"Y", NULL};
    assert_int_equal(sdx_session_run(session, &in, 1, &out, 1, &test_error), status);
    CONTAINS(test_error.message, words);
    test_error = (sdx_error){0};
    assert_null(out.value);
    sdx_value_release(x);
    sdx_session_destroy(session);
}

static void expect_strings(const sdx_value *value, int64_t n, const sdx_string *want) {
    assert_int_equal(value->tensor.dtype, SDX_STRING);
    assert_int_equal(value->tensor.count, n);
    for (int64_t i = 0; i < n; i++) {
        const sdx_string got = ((const sdx_string *)value->tensor.data)[i];
        if (got.size != want[i].size || memcmp(got.data, want[i].data, got.size) != 0)
            fail_msg("string %lld is '%.*s', expected '%s'", (long long)i, (int)got.size, got.data, want[i].data);
    }
}

/* ---- ZipMap ------------------------------------------------------------------------------------------------------ */

static void zip_map_makes_a_map_of_each_row(void **state) {
    (void)state;
    sdx_model *model = ml_model();
    sdx_node *node = ml_node(model->graph, "ZipMap", add_input(model->graph, "X", SDX_F32, DIMS(-1, 3)));
    set(model->graph, node, STRINGS("classlabels_strings", S("a"), S("long label"), S("")));
    finish_model(model);
    const float x[] = {1, 2, 3, 4, 5, 6};
    const sdx_string labels[] = {S("a"), S("long label"), S("")};
    sdx_value *y = run_on(model, new_tensor(SDX_F32, DIMS(2, 3), x));
    sdx_model_close(model); /* the result owns its strings */
    assert_int_equal(y->kind, SDX_SEQUENCE);
    assert_int_equal(y->n_items, 2);
    for (size_t row = 0; row < 2; row++) {
        assert_int_equal(y->items[row]->kind, SDX_MAP);
        expect_strings(y->items[row]->items[0], 3, labels);
        expect_tensor(y->items[row]->items[1], SDX_F32, DIMS(3), x + 3 * row);
    }
    sdx_value_release(y);
}

static void zip_map_of_a_vector(void **state) {
    (void)state;
    sdx_model *model = ml_model();
    sdx_node *node = ml_node(model->graph, "ZipMap", add_input(model->graph, "X", SDX_F32, DIMS(-1)));
    const int64_t labels[] = {7, -7};
    set(model->graph, node, INTS("classlabels_int64s", 7, -7));
    finish_model(model);
    const float x[] = {0.5f, 0.25f, 1};
    sdx_value *y = run_on(model, new_tensor(SDX_F32, DIMS(2), x));
    assert_int_equal(y->n_items, 1);
    expect_tensor(y->items[0]->items[0], SDX_I64, DIMS(2), labels);
    expect_tensor(y->items[0]->items[1], SDX_F32, DIMS(2), x);
    sdx_value_release(y);
    refuses(model, new_tensor(SDX_F32, DIMS(3), x), SDX_SHAPE, "3 columns; it must have 2");
    sdx_model_close(model);
}

/* Every allocation of a run fails in its turn; nothing leaks, and the session works on. */
static void zip_map_without_memory(void **state) {
    (void)state;
    sdx_model *model = ml_model();
    sdx_node *node = ml_node(model->graph, "ZipMap", add_input(model->graph, "X", SDX_F32, DIMS(-1, 2)));
    set(model->graph, node, STRINGS("classlabels_strings", S("a"), S("b")));
    finish_model(model);
    sdx_session_options options = {.size = sizeof options, .threads = 1};
    sdx_memory *memory = NULL;
    sdx_session *session = NULL;
    OK(sdx_memory_create(0, &test_error, &memory));
    OK(sdx_session_make(model, &options, memory, &test_error, &session));
    const float x[] = {1, 2, 3, 4};
    sdx_binding in = {"X", new_tensor(SDX_F32, DIMS(2, 2), x)}, out = {"Y", NULL};
    int failed = 0;
    for (int n = 1;; n++) {
        atomic_store(&memory->fail_after, n);
        sdx_status status = sdx_session_run(session, &in, 1, &out, 1, &test_error);
        atomic_store(&memory->fail_after, 0);
        if (status == SDX_OK) break;
        assert_int_equal(status, SDX_OUT_OF_MEMORY);
        assert_null(out.value);
        test_error = (sdx_error){0};
        failed++;
    }
    if (failed < 5) fail_msg("%d allocations failed; maps of 2 rows take more", failed);
    assert_int_equal(out.value->n_items, 2);
    sdx_value_release(out.value);
    sdx_value_release(in.value);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

/* ---- DictVectorizer ---------------------------------------------------------------------------------------------- */

static void dict_vectorizer_by_words(void **state) {
    (void)state;
    sdx_model *model = ml_model();
    sdx_node *node = ml_node(model->graph, "DictVectorizer", map_input(model->graph, SDX_STRING, SDX_F32));
    set(model->graph, node, STRINGS("string_vocabulary", S("a"), S("c"), S("b"), S("a")));
    finish_model(model);
    const sdx_string keys[] = {S("c"), S("elsewhere"), S("a")};
    const float values[] = {8, 9, 4}, want[] = {4, 8, 0, 4};
    sdx_value *y = run_on(model, map_of(strings_of(3, keys), new_tensor(SDX_F32, DIMS(3), values)));
    expect_tensor(y, SDX_F32, DIMS(1, 4), want);
    sdx_value_release(y);
    sdx_model_close(model);
}

static void dict_vectorizer_of_strings(void **state) {
    (void)state;
    sdx_model *model = ml_model();
    sdx_node *node = ml_node(model->graph, "DictVectorizer", map_input(model->graph, SDX_I64, SDX_STRING));
    set(model->graph, node, INTS("int64_vocabulary", 5, -1, 2));
    finish_model(model);
    const int64_t keys[] = {2, 5};
    const sdx_string values[] = {S("two"), S("five")}, want[] = {S("five"), S(""), S("two")};
    sdx_value *y = run_on(model, map_of(new_tensor(SDX_I64, DIMS(2), keys), strings_of(2, values)));
    expect_strings(y, 3, want);
    sdx_value_release(y);
    sdx_model_close(model);
}

static void dict_vectorizer_with_the_wrong_vocabulary(void **state) {
    (void)state;
    sdx_model *model = ml_model();
    sdx_model_options options = {.size = sizeof options};
    sdx_node *node = ml_node(model->graph, "DictVectorizer", map_input(model->graph, SDX_I64, SDX_F32));
    set(model->graph, node, STRINGS("string_vocabulary", S("a")));
    OK(sdx_graph_sort(model->graph, &test_error));
    assert_int_equal(sdx_load_finish(model, &options, &test_error), SDX_TYPE);
    CONTAINS(test_error.message, "keys of i64");
    test_error = (sdx_error){0};
    sdx_model_close(model);
}

/* ---- CastMap ----------------------------------------------------------------------------------------------------- */

static sdx_model *cast_model(sdx_dtype from, const char *to, int64_t length) {
    sdx_model *model = ml_model();
    sdx_node *node = ml_node(model->graph, "CastMap", map_input(model->graph, SDX_I64, from));
    sdx_attr cast = {.name = "cast_to", .type = SDX_ATTR_STRING, .n = 1, .s = {to, strlen(to)}};
    set(model->graph, node, cast);
    if (length) {
        set(model->graph, node, TEXT("map_form", "SPARSE"));
        set(model->graph, node, (sdx_attr){.name = "max_map", .type = SDX_ATTR_INT, .i = length});
    }
    finish_model(model);
    return model;
}

static sdx_value *numbers_map(int64_t n, const int64_t *keys, const float *values) {
    return map_of(new_tensor(SDX_I64, 1, &n, keys), new_tensor(SDX_F32, 1, &n, values));
}

static void cast_map_orders_by_key(void **state) {
    (void)state;
    const int64_t keys[] = {5, -3, 9, 1, 7}, whole[] = {-2, 4, 0, 7, 3};
    const float values[] = {0.5f, -2.75f, 3, 4, 7.5f}, want[] = {-2.75f, 4, 0.5f, 7.5f, 3};
    sdx_model *model = cast_model(SDX_F32, "TO_FLOAT", 0);
    sdx_value *y = run_on(model, numbers_map(5, keys, values));
    expect_tensor(y, SDX_F32, DIMS(1, 5), want);
    sdx_value_release(y);
    y = run_on(model, numbers_map(0, keys, values));
    expect_tensor(y, SDX_F32, DIMS(1, 0), want);
    sdx_value_release(y);
    sdx_model_close(model);
    model = cast_model(SDX_F32, "TO_INT64", 0);
    y = run_on(model, numbers_map(5, keys, values));
    expect_tensor(y, SDX_I64, DIMS(1, 5), whole);
    sdx_value_release(y);
    sdx_model_close(model);
}

static void cast_map_to_places(void **state) {
    (void)state;
    const int64_t keys[] = {2, 0};
    const float values[] = {4.5f, 8}, want[] = {8, 0, 4.5f, 0};
    const sdx_string texts[] = {S("8.000000"), S("0.f"), S("4.500000"), S("0.f")};
    sdx_model *model = cast_model(SDX_F32, "TO_FLOAT", 4);
    sdx_value *y = run_on(model, numbers_map(2, keys, values));
    expect_tensor(y, SDX_F32, DIMS(1, 4), want);
    sdx_value_release(y);
    sdx_model_close(model);
    model = cast_model(SDX_F32, "TO_STRING", 4);
    y = run_on(model, numbers_map(2, keys, values));
    expect_strings(y, 4, texts);
    sdx_value_release(y);
    sdx_model_close(model);
    model = cast_model(SDX_F32, "TO_FLOAT", 2);
    refuses(model, numbers_map(2, keys, values), SDX_VALUE, "key 0 of input 'X' is 2; it must be in [0, 2)");
    sdx_model_close(model);
}

static void cast_map_reads_numbers(void **state) {
    (void)state;
    const int64_t keys[] = {0, 1, 2}, n = 3;
    const sdx_string good[] = {S("1.5"), S("-2e3"), S("7")}, bad[] = {S("1"), S("seven"), S("2")};
    const float want[] = {1.5f, -2000, 7};
    sdx_model *model = cast_model(SDX_STRING, "TO_FLOAT", 0);
    sdx_value *y = run_on(model, map_of(new_tensor(SDX_I64, 1, &n, keys), strings_of(3, good)));
    expect_tensor(y, SDX_F32, DIMS(1, 3), want);
    sdx_value_release(y);
    refuses(model, map_of(new_tensor(SDX_I64, 1, &n, keys), strings_of(3, bad)), SDX_VALUE,
            "'seven'; it must be a number");
    sdx_model_close(model);
}

/* ---- numbers that texts cannot say ------------------------------------------------------------------------------- */

static void imputer_replaces_nan(void **state) {
    (void)state;
    const float fresh[] = {7, 8}, x[] = {NAN, NAN, 1, INFINITY}, want[] = {7, 8, 1, INFINITY};
    sdx_model *model = ml_model();
    sdx_node *node = ml_node(model->graph, "Imputer", add_input(model->graph, "X", SDX_F32, DIMS(2, 2)));
    set(model->graph, node, FLOATS("imputed_value_floats", 2, fresh));
    set(model->graph, node, (sdx_attr){.name = "replaced_value_float", .type = SDX_ATTR_FLOAT, .f = NAN});
    finish_model(model);
    sdx_value *y = run_on(model, new_tensor(SDX_F32, DIMS(2, 2), x));
    expect_tensor(y, SDX_F32, DIMS(2, 2), want);
    sdx_value_release(y);
    sdx_model_close(model);
}

/* ---- many trees -------------------------------------------------------------------------------------------------- */

enum { TREES = 400, MOST_NODES = 40, COLUMNS = 5, NODES = TREES * MOST_NODES };

typedef struct forest {
    int64_t n, n_leaves, tree[NODES], node[NODES], feature[NODES], yes[NODES], no[NODES];
    int64_t leaf_tree[NODES], leaf_node[NODES], leaf_target[NODES];
    float split[NODES], weight[NODES];
    sdx_string mode[NODES];
} forest;

static uint64_t next(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Nodes are appended; each becomes a branch until the tree is large, so that depths differ widely. */
static void grow(forest *f, int64_t tree, uint64_t *random) {
    static const char *const modes[] = {"BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"};
    const int64_t first = f->n, size = 1 + 2 * (int64_t)(next(random) % (MOST_NODES / 2));
    int64_t used = 1;
    for (int64_t k = 0; k < size; k++, f->n++) {
        const bool leaf = used >= size;
        const char *mode = leaf ? "LEAF" : modes[next(random) % 4];
        f->tree[f->n] = tree, f->node[f->n] = k;
        f->feature[f->n] = (int64_t)(next(random) % COLUMNS);
        f->split[f->n] = (float)((double)(next(random) % 200) / 100 - 1);
        f->mode[f->n] = (sdx_string){mode, strlen(mode)};
        f->yes[f->n] = leaf ? 0 : used, f->no[f->n] = leaf ? 0 : used + 1;
        if (!leaf) used += 2;
        if (!leaf) continue;
        f->leaf_tree[f->n_leaves] = tree, f->leaf_node[f->n_leaves] = k;
        f->weight[f->n_leaves++] = (float)((double)(next(random) % 2001) / 1000 - 1);
    }
    assert_int_equal(f->n - first, size);
}

static double walk(const forest *f, int64_t first, const float *x) {
    int64_t at = first;
    while (f->mode[at].data[0] != 'L') {
        const char *mode = f->mode[at].data + 7;
        const float v = x[f->feature[at]], t = f->split[at];
        const bool yes = !strcmp(mode, "LEQ")  ? v <= t
                         : !strcmp(mode, "LT") ? v < t
                         : !strcmp(mode, "GT") ? v > t
                                               : v >= t;
        at = first + (yes ? f->yes[at] : f->no[at]);
    }
    for (int64_t k = 0; k < f->n_leaves; k++)
        if (f->leaf_tree[k] == f->tree[at] && f->leaf_node[k] == f->node[at]) return (double)f->weight[k];
    fail_msg("leaf %lld has no weight", (long long)at);
    return 0;
}

static void set_forest(sdx_graph *graph, sdx_node *node, const forest *f) {
    const size_t n = (size_t)f->n, leaves = (size_t)f->n_leaves;
    set_ints(graph, node, "nodes_treeids", n, f->tree);
    set_ints(graph, node, "nodes_nodeids", n, f->node);
    set_ints(graph, node, "nodes_featureids", n, f->feature);
    set_ints(graph, node, "nodes_truenodeids", n, f->yes);
    set_ints(graph, node, "nodes_falsenodeids", n, f->no);
    set(graph, node, (sdx_attr){.name = "nodes_modes", .type = SDX_ATTR_STRINGS, .n = n, .strings = f->mode});
    set(graph, node, FLOATS("nodes_values", n, f->split));
    set_ints(graph, node, "target_treeids", leaves, f->leaf_tree);
    set_ints(graph, node, "target_nodeids", leaves, f->leaf_node);
    set_ints(graph, node, "target_ids", leaves, f->leaf_target);
    set(graph, node, FLOATS("target_weights", leaves, f->weight));
}

/* The bits of the result are the same for any number of threads, and whatever way the work is cut for so many rows. */
static void many_trees(void **state) {
    (void)state;
    forest *f = calloc(1, sizeof *f);
    uint64_t random = 2026;
    int64_t first[TREES];
    assert_non_null(f);
    for (int64_t tree = 0; tree < TREES; tree++) {
        first[tree] = f->n;
        grow(f, tree, &random);
    }
    sdx_model *model = ml_model();
    sdx_node *node =
        ml_node(model->graph, "TreeEnsembleRegressor", add_input(model->graph, "X", SDX_F32, DIMS(-1, COLUMNS)));
    set_forest(model->graph, node, f);
    finish_model(model);
    static const int64_t rows[] = {1, 7, 16, 100, 700};
    static float x[700 * COLUMNS], y[700];
    for (size_t k = 0; k < sizeof x / sizeof *x; k++) x[k] = (float)((double)(next(&random) % 200) / 100 - 1);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        for (int threads = 1; threads < 5; threads += 3) {
            sdx_session *session = new_session(model, threads);
            sdx_binding in = {"X", new_tensor(SDX_F32, DIMS(rows[r], COLUMNS), x)};
            sdx_value *got = run_one(session, &in, 1, "Y");
            if (threads > 1) expect_tensor(got, SDX_F32, DIMS(rows[r], 1), y);
            memcpy(y, got->tensor.data, (size_t)rows[r] * sizeof *y);
            sdx_value_release(got);
            sdx_value_release(in.value);
            sdx_session_destroy(session);
        }
        for (int64_t row = 0; row < rows[r] && row < 20; row++) {
            double want = 0;
            for (int64_t tree = 0; tree < TREES; tree++) want += walk(f, first[tree], x + row * COLUMNS);
            if (fabs(want - (double)y[row]) > 1e-5)
                fail_msg("row %lld of %lld is %.9g, expected %.9g", (long long)row, (long long)rows[r], (double)y[row],
                         want);
        }
    }
    sdx_model_close(model);
    free(f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zip_map_makes_a_map_of_each_row),
        cmocka_unit_test(zip_map_of_a_vector),
        cmocka_unit_test(zip_map_without_memory),
        cmocka_unit_test(dict_vectorizer_by_words),
        cmocka_unit_test(dict_vectorizer_of_strings),
        cmocka_unit_test(dict_vectorizer_with_the_wrong_vocabulary),
        cmocka_unit_test(cast_map_orders_by_key),
        cmocka_unit_test(cast_map_to_places),
        cmocka_unit_test(cast_map_reads_numbers),
        cmocka_unit_test(imputer_replaces_nan),
        cmocka_unit_test(many_trees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
