/* SPDX-License-Identifier: Apache-2.0
 * Where a derivative jumps, gradients follow PyTorch: 0 for relu, |x| and the norm at 0, infinity for the root, 1 at a
 * bound of Clip, ties shared. Each case gives the gradients of the sum of Y by its inputs. */
#include "tests/unit/support.h"
#include <math.h>

enum { MOST = 6 };

typedef struct kink_case {
    const char *op, *attribute[2];
    float value[2];
    int n;    /* elements of each input */
    int n_in; /* f64 inputs */
    double in[3][MOST], wanted[3][MOST];
    const int64_t *indices; /* i64 input 1, when not NULL; the f64 inputs are 0 and 2 */
    const char *reduction;
} kink_case;

static const kink_case cases[] = {
    {.op = "Relu", .n = 3, .n_in = 1, .in = {{-1, 0, 1}}, .wanted = {{0, 0, 1}}},
    {.op = "Abs", .n = 3, .n_in = 1, .in = {{-1, 0, 1}}, .wanted = {{-1, 0, 1}}},
    {.op = "Sqrt", .n = 2, .n_in = 1, .in = {{0, 4}}, .wanted = {{HUGE_VAL, 0.25}}},
    {.op = "LeakyRelu",
     .attribute = {"alpha"},
     .value = {0.25F},
     .n = 3,
     .n_in = 1,
     .in = {{-1, 0, 1}},
     .wanted = {{0.25, 0.25, 1}}},
    {.op = "Elu", .attribute = {"alpha"}, .value = {2}, .n = 2, .n_in = 1, .in = {{0, 1}}, .wanted = {{2, 1}}},
    {.op = "Celu", .attribute = {"alpha"}, .value = {2}, .n = 2, .n_in = 1, .in = {{0, 1}}, .wanted = {{1, 1}}},
    {.op = "Selu",
     .attribute = {"alpha", "gamma"},
     .value = {1.5F, 2},
     .n = 2,
     .n_in = 1,
     .in = {{0, 1}},
     .wanted = {{3, 2}}},
    {.op = "HardSwish", .n = 5, .n_in = 1, .in = {{-3, 0, 3, -4, 4}}, .wanted = {{0, 0.5, 1, 0, 1}}},
    {.op = "HardSigmoid",
     .attribute = {"alpha", "beta"},
     .value = {0.25F, 0.5F},
     .n = 4,
     .n_in = 1,
     .in = {{-2, 2, 0, 1}},
     .wanted = {{0, 0, 0.25, 0.25}}},
    {.op = "ThresholdedRelu",
     .attribute = {"alpha"},
     .value = {1},
     .n = 3,
     .n_in = 1,
     .in = {{0, 1, 2}},
     .wanted = {{0, 0, 1}}},
    {.op = "Shrink",
     .attribute = {"lambd"},
     .value = {0.5F},
     .n = 4,
     .n_in = 1,
     .in = {{-0.5, 0.5, 1, -1}},
     .wanted = {{0, 0, 1, 1}}},
    {.op = "Floor", .n = 2, .n_in = 1, .in = {{0, 0.5}}, .wanted = {{0, 0}}},
    {.op = "Ceil", .n = 2, .n_in = 1, .in = {{0, 0.5}}, .wanted = {{0, 0}}},
    {.op = "Round", .n = 2, .n_in = 1, .in = {{0.5, 1.5}}, .wanted = {{0, 0}}},
    {.op = "Sign", .n = 2, .n_in = 1, .in = {{0, 0.5}}, .wanted = {{0, 0}}},
    {.op = "Max", .n = 3, .n_in = 2, .in = {{1, 2, 3}, {2, 2, 2}}, .wanted = {{0, 0.5, 1}, {1, 0.5, 0}}},
    {.op = "Min", .n = 3, .n_in = 2, .in = {{1, 2, 3}, {2, 2, 2}}, .wanted = {{1, 0.5, 0}, {0, 0.5, 1}}},
    {.op = "Max", .n = 1, .n_in = 3, .in = {{7}, {7}, {7}}, .wanted = {{1.0 / 3}, {1.0 / 3}, {1.0 / 3}}},
    {.op = "PRelu", .n = 3, .n_in = 2, .in = {{-2, 0, 2}, {0.5, 0.5, 0.5}}, .wanted = {{0.5, 0.5, 1}, {-2, 0, 0}}},
    {.op = "Pow", .n = 4, .n_in = 2, .in = {{0, 0, 0, 2}, {0, 1, 2, 0}}, .wanted = {{0, 1, 0, 0}, {0, 0, 0, M_LN2}}},
    {.op = "ReduceMax", .n = 4, .n_in = 1, .in = {{1, 3, 3, 2}}, .wanted = {{0, 0.5, 0.5, 0}}},
    {.op = "ReduceMin", .n = 4, .n_in = 1, .in = {{1, 3, 1, 1}}, .wanted = {{1.0 / 3, 0, 1.0 / 3, 1.0 / 3}}},
    {.op = "ReduceProd", .n = 3, .n_in = 1, .in = {{2, 0, 3}}, .wanted = {{0, 6, 0}}},
    {.op = "ReduceProd", .n = 3, .n_in = 1, .in = {{0, 0, 3}}, .wanted = {{0, 0, 0}}},
    {.op = "ReduceL1", .n = 3, .n_in = 1, .in = {{-2, 0, 3}}, .wanted = {{-1, 0, 1}}},
    {.op = "ReduceL2", .n = 3, .n_in = 1, .in = {{0, 0, 0}}, .wanted = {{0, 0, 0}}},
    {.op = "ScatterElements",
     .n = 2,
     .n_in = 2,
     .in = {{1, 2}, {2, 2}},
     .indices = (int64_t[]){1, 1},
     .wanted = {{1, 1.0 / 3}, {1.0 / 3, 1.0 / 3}},
     .reduction = "max"},
    {.op = "ScatterElements",
     .n = 2,
     .n_in = 2,
     .in = {{5, 0}, {3, 0}},
     .indices = (int64_t[]){1, 1},
     .wanted = {{1, 0}, {0, 0}},
     .reduction = "mul"},
    {.op = "ScatterElements",
     .n = 2,
     .n_in = 2,
     .in = {{5, 2}, {3, 0}},
     .indices = (int64_t[]){1, 1},
     .wanted = {{1, 0}, {0, 6}},
     .reduction = "mul"},
};

static void set_attr(sdx_graph *graph, sdx_node *node, sdx_attr attr) {
    OK(sdx_node_set_attr(graph, node, &attr, &test_error));
}

static sdx_model *build(const kink_case *c, bool clip) {
    static const sdx_string names[3] = {{"a", 1}, {"b", 1}, {"c", 1}};
    static sdx_opset opsets[2] = {{"", 28}, {"ai.onnx.preview.training", 1}};
    static const char *const results[3] = {"da", "db", "dc"};
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    model->opsets = opsets;
    model->n_opsets = 2;
    sdx_id xs[3], in[4], out[3];
    int n_in = 0;
    for (int k = 0; k < c->n_in; k++) {
        bool scalar = clip && k > 0;
        xs[k] = add_input(graph, names[k].data, SDX_F64, scalar ? 0 : 1, (int64_t[]){c->n});
        in[n_in++] = xs[k];
        if (k == 0 && c->indices) in[n_in++] = add_constant(graph, "indices", SDX_I64, DIMS(c->n), c->indices);
    }
    sdx_node *node = add_node_n(graph, c->op, "y", 1, n_in, in);
    for (int k = 0; k < 2 && c->attribute[k]; k++)
        set_attr(graph, node, (sdx_attr){.name = c->attribute[k], .type = SDX_ATTR_FLOAT, .n = 1, .f = c->value[k]});
    if (c->reduction)
        set_attr(graph, node,
                 (sdx_attr){
                     .name = "reduction", .type = SDX_ATTR_STRING, .n = 1, .s = {c->reduction, strlen(c->reduction)}});
    for (int k = 0; k < c->n_in; k++) out[k] = sdx_graph_add_value(graph, results[k], NULL, &test_error);
    sdx_node *gradient = sdx_graph_add_node(graph, "ai.onnx.preview.training", "Gradient", "gradient", c->n_in, xs,
                                            c->n_in, out, &test_error);
    assert_non_null(gradient);
    set_attr(graph, gradient,
             (sdx_attr){.name = "xs", .type = SDX_ATTR_STRINGS, .n = (size_t)c->n_in, .strings = names});
    set_attr(graph, gradient, (sdx_attr){.name = "y", .type = SDX_ATTR_STRING, .n = 1, .s = {"y", 1}});
    for (int k = 0; k < c->n_in; k++) add_output(graph, out[k]);
    finish_model(model);
    return model;
}

static void check(const kink_case *c, bool clip) {
    static const char *const names[3] = {"a", "b", "c"}, *const results[3] = {"da", "db", "dc"};
    sdx_model *model = build(c, clip);
    sdx_session *session = new_session(model, 1);
    sdx_binding in[3];
    for (int k = 0; k < c->n_in; k++) {
        bool scalar = clip && k > 0;
        in[k] = (sdx_binding){names[k], new_tensor(SDX_F64, scalar ? 0 : 1, (int64_t[]){c->n}, c->in[k])};
    }
    for (int k = 0; k < c->n_in; k++) {
        sdx_value *found = run_one(session, in, (size_t)c->n_in, results[k]);
        assert_int_equal(found->tensor.count, clip && k > 0 ? 1 : c->n);
        for (int64_t i = 0; i < found->tensor.count; i++) {
            double got = ((const double *)found->tensor.data)[i], wanted = c->wanted[k][i];
            if (got != wanted && !(fabs(got - wanted) < 1e-14))
                fail_msg("%s: the gradient of input %d at %g is %g, not %g", c->op, k, c->in[k][i], got, wanted);
        }
        sdx_value_release(found);
    }
    for (int k = 0; k < c->n_in; k++) sdx_value_release(in[k].value);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

static void test_kinks(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) check(&cases[k], false);
}

/* At a bound the input has the gradient; outside the bound has it; where they cross it is max. */
static void test_clip(void **state) {
    (void)state;
    static const kink_case clips[] = {
        {.op = "Clip", .n = 5, .n_in = 3, .in = {{-2, -1, 0, 1, 2}, {-1}, {1}}, .wanted = {{0, 1, 1, 1, 0}, {1}, {1}}},
        {.op = "Clip", .n = 3, .n_in = 3, .in = {{-2, 0, 2}, {1}, {-1}}, .wanted = {{0, 0, 0}, {0}, {3}}},
        {.op = "Clip", .n = 3, .n_in = 2, .in = {{-2, -1, 2}, {-1}}, .wanted = {{0, 1, 1}, {1}}},
    };
    for (size_t k = 0; k < sizeof clips / sizeof clips[0]; k++) check(&clips[k], true);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_kinks), cmocka_unit_test(test_clip)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
