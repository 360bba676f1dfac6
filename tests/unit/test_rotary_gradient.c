/* SPDX-License-Identifier: Apache-2.0
 * Gradients of RotaryEmbedding, which has no f64: a sum of its weighted output is linear in each input, so that a step
 * of 1 gives the derivative but for rounding. */
#include "runtime/train/expand_internal.h"
#include "tests/unit/support.h"
#include <math.h>

enum { BATCH = 2, HEADS = 3, STEPS = 4, SIZE = 6, ROWS = 5, COUNT = BATCH * HEADS * STEPS * SIZE, INPUTS = 3 };

typedef struct rotary_case {
    const char *name;
    int rank;        /* of X */
    int64_t batches; /* of the caches; 0: rows that ids name */
    int64_t dim, interleaved;
    bool known;
} rotary_case;

static const rotary_case cases[] = {
    {"shared caches", 4, 1, 0, 0, true},        {"caches of each batch", 4, BATCH, 4, 0, true},
    {"interleaved", 4, 1, 4, 1, false},         {"ids", 4, 0, 0, 1, true},
    {"ids, heads in a row", 3, 0, 4, 0, false}, {"heads in a row", 3, BATCH, 0, 1, true},
};
static const char *const names[INPUTS] = {"x", "c", "s"}, *const gradients[INPUTS] = {"dx", "dc", "ds"};
static const int64_t ids[BATCH * STEPS] = {0, 1, 1, 4, -1, 2, 0, 2};

static int shape_of(const rotary_case *c, int k, int64_t *dims) {
    const int64_t half = (c->dim ? c->dim : SIZE) / 2;
    const int64_t x[2][4] = {{BATCH, STEPS, HEADS * SIZE}, {BATCH, HEADS, STEPS, SIZE}};
    memcpy(dims,
           k == 0       ? x[c->rank - 3]
           : c->batches ? (int64_t[4]){c->batches, STEPS, half}
                        : (int64_t[4]){ROWS, half},
           4 * sizeof *dims);
    return k == 0 ? c->rank : c->batches ? 3 : 2;
}

/* z = weights * RotaryEmbedding(x, c, s), and what its sum gives by x, c and s. */
static sdx_model *build(const rotary_case *c, const float *weights) {
    static sdx_opset opsets[2] = {{"", 23}, {"ai.onnx.preview.training", 1}};
    static const sdx_string xs[INPUTS] = {{"x", 1}, {"c", 1}, {"s", 1}};
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    sdx_id in[4], out[INPUTS];
    model->opsets = opsets;
    model->n_opsets = 2;
    int64_t dims[4];
    for (int k = 0; k < INPUTS; k++) {
        const int rank = shape_of(c, k, dims);
        for (int d = 0; !c->known && d < 2; d++) dims[d] = -1;
        in[k] = add_input(graph, names[k], SDX_F32, rank, dims);
    }
    if (!c->batches) in[3] = add_constant(graph, "ids", SDX_I64, DIMS(BATCH, STEPS), ids);
    sdx_node *node = add_node_n(graph, "RotaryEmbedding", "y", 1, c->batches ? 3 : 4, in);
    set_int(graph, node, "num_heads", HEADS);
    set_int(graph, node, "rotary_embedding_dim", c->dim);
    set_int(graph, node, "interleaved", c->interleaved);
    const int rank = shape_of(c, 0, dims);
    const sdx_id by[2] = {node->out[0], add_constant(graph, "weights", SDX_F32, rank, dims, weights)};
    add_output(graph, add_node(graph, "Mul", "z", 2, by));
    for (int k = 0; k < INPUTS; k++) out[k] = sdx_graph_add_value(graph, gradients[k], NULL, &test_error);
    node = sdx_graph_add_node(graph, "ai.onnx.preview.training", "Gradient", "g", INPUTS, in, INPUTS, out, &test_error);
    assert_non_null(node);
    sdx_attr attrs[2] = {{.name = "xs", .type = SDX_ATTR_STRINGS, .n = INPUTS, .strings = xs},
                         {.name = "y", .type = SDX_ATTR_STRING, .n = 1, .s = {"z", 1}}};
    for (int k = 0; k < 2; k++) OK(sdx_node_set_attr(graph, node, &attrs[k], &test_error));
    for (int k = 0; k < INPUTS; k++) add_output(graph, out[k]);
    sdx_model_options options = {.size = sizeof options, .optimise = SDX_OPTIMISE_NONE};
    OK(sdx_load_finish(model, &options, &test_error));
    return model;
}

static double total(sdx_session *session, const sdx_binding *in) {
    sdx_value *z = run_one(session, in, INPUTS, "z");
    double sum = 0;
    for (int64_t k = 0; k < z->tensor.count; k++) sum += (double)((const float *)z->tensor.data)[k];
    sdx_value_release(z);
    return sum;
}

static void check(const rotary_case *c, sdx_session *session, const sdx_binding *in, int k) {
    sdx_value *gradient = run_one(session, in, INPUTS, gradients[k]);
    float *x = in[k].value->tensor.data;
    const double start = total(session, in);
    assert_int_equal(gradient->tensor.count, in[k].value->tensor.count);
    for (int64_t j = 0; j < gradient->tensor.count; j++) {
        const float kept = x[j];
        x[j] += 1;
        const double wanted = total(session, in) - start, got = (double)((const float *)gradient->tensor.data)[j];
        x[j] = kept;
        if (!(fabs(got - wanted) <= 2e-5))
            fail_msg("%s: %s[%d] is %.8g, a step of 1 says %.8g", c->name, gradients[k], (int)j, got, wanted);
    }
    sdx_value_release(gradient);
}

static void test_steps_of_one(void **state) {
    (void)state;
    float weights[COUNT];
    uint32_t random = 11;
    for (int k = 0; k < COUNT; k++) weights[k] = (float)((random = random * 1664525U + 1013904223U) >> 24) / 128 - 1;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sdx_binding in[INPUTS];
        for (int k = 0; k < INPUTS; k++) {
            int64_t dims[4];
            const int rank = shape_of(&cases[i], k, dims);
            in[k] = (sdx_binding){names[k], new_tensor(SDX_F32, rank, dims, NULL)};
            for (int64_t j = 0; j < in[k].value->tensor.count; j++)
                ((float *)in[k].value->tensor.data)[j] =
                    (float)((random = random * 1664525U + 1013904223U) >> 24) / 128 - 1;
        }
        sdx_model *model = build(&cases[i], weights);
        sdx_session *session = new_session(model, 2);
        for (int k = 0; k < INPUTS; k++) check(&cases[i], session, in, k);
        sdx_session_destroy(session);
        OK(sdx_expand_internal(model->graph, &test_error));
        sdx_model_close(model);
        for (int k = 0; k < INPUTS; k++) sdx_value_release(in[k].value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_steps_of_one)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
