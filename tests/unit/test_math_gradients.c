/* SPDX-License-Identifier: Apache-2.0
 * Gradients of the elementwise operators, by the operator Gradient, against central differences in f64. The two inputs
 * are broadcast, so that what undoes it is tested too. */
#include "tests/unit/support.h"
#include <math.h>

enum { ROWS = 2, COLUMNS = 3, COUNT = ROWS * COLUMNS };

typedef struct grad_case {
    const char *op;
    int n_in;
    bool reduces; /* a second input names axis -1 */
    int64_t keepdims;
} grad_case;

static void set_strings(sdx_graph *graph, sdx_node *node, const char *name, size_t n, const sdx_string *strings) {
    sdx_attr attr = {.name = name, .type = SDX_ATTR_STRINGS, .n = n, .strings = strings};
    OK(sdx_node_set_attr(graph, node, &attr, &test_error));
}

/* y = op(a[2,3], b[3]) and, with `gradients`, da and db of the sum of y. */
static sdx_model *build(const grad_case *c, bool gradients) {
    static const sdx_string names[2] = {{"a", 1}, {"b", 1}};
    static sdx_opset opsets[2] = {{"", 21}, {"ai.onnx.preview.training", 1}};
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    model->opsets = opsets;
    model->n_opsets = 2;
    sdx_id in[2] = {add_input(graph, "a", SDX_F64, DIMS(ROWS, COLUMNS)), SDX_NONE};
    if (c->n_in == 2) in[1] = add_input(graph, "b", SDX_F64, DIMS(COLUMNS));
    if (c->reduces) in[1] = add_constant(graph, "axes", SDX_I64, DIMS(1), (int64_t[]){-1});
    sdx_node *tested = add_node_n(graph, c->op, "y", 1, c->reduces ? 2 : c->n_in, in);
    if (c->reduces) set_int(graph, tested, "keepdims", c->keepdims);
    add_output(graph, tested->out[0]);
    if (gradients) {
        sdx_id out[2];
        for (int k = 0; k < c->n_in; k++) out[k] = sdx_graph_add_value(graph, k ? "db" : "da", NULL, &test_error);
        sdx_node *node = sdx_graph_add_node(graph, "ai.onnx.preview.training", "Gradient", "gradient", c->n_in, in,
                                            c->n_in, out, &test_error);
        sdx_attr attr = {.name = "y", .type = SDX_ATTR_STRING, .n = 1, .s = {"y", 1}};
        assert_non_null(node);
        set_strings(graph, node, "xs", (size_t)c->n_in, names);
        OK(sdx_node_set_attr(graph, node, &attr, &test_error));
        for (int k = 0; k < c->n_in; k++) add_output(graph, out[k]);
    }
    finish_model(model);
    return model;
}

static double sum_of(sdx_session *session, const sdx_binding *in, int n_in) {
    sdx_value *y = run_one(session, in, (size_t)n_in, "y");
    double sum = 0;
    for (int64_t k = 0; k < y->tensor.count; k++) sum += ((const double *)y->tensor.data)[k];
    sdx_value_release(y);
    return sum;
}

/* The derivative by element k of the binding's tensor. */
static double difference(sdx_session *session, const sdx_binding *in, int n_in, double *element) {
    const double step = 1e-5, kept = *element;
    *element = kept + step;
    double above = sum_of(session, in, n_in);
    *element = kept - step;
    double below = sum_of(session, in, n_in);
    *element = kept;
    return (above - below) / (2 * step);
}

static void check_case(const grad_case *c) {
    double a[COUNT] = {0.7, 1.3, 2.1, 0.4, 1.9, 0.9}, b[COLUMNS] = {1.1, 0.6, 1.7};
    sdx_model *plain = build(c, false), *with = build(c, true);
    sdx_session *forward = new_session(plain, 1), *backward = new_session(with, 1);
    sdx_binding in[2] = {{"a", NULL}, {"b", NULL}};
    OK(sdx_value_borrow(SDX_F64, DIMS(ROWS, COLUMNS), a, &test_error, &in[0].value));
    OK(sdx_value_borrow(SDX_F64, DIMS(COLUMNS), b, &test_error, &in[1].value));
    for (int k = 0; k < c->n_in; k++) {
        sdx_value *found = run_one(backward, in, (size_t)c->n_in, k ? "db" : "da");
        assert_int_equal(found->tensor.count, k ? COLUMNS : COUNT);
        for (int64_t i = 0; i < found->tensor.count; i++) {
            double wanted = difference(forward, in, c->n_in, k ? &b[i] : &a[i]);
            double got = ((const double *)found->tensor.data)[i];
            if (fabs(got - wanted) > 1e-8 * (1 + fabs(wanted)))
                fail_msg("%s: gradient %d of input %d is %.12g, differences say %.12g", c->op, (int)i, k, got, wanted);
        }
        sdx_value_release(found);
    }
    for (int k = 0; k < 2; k++) sdx_value_release(in[k].value);
    sdx_session_destroy(forward);
    sdx_session_destroy(backward);
    sdx_model_close(plain);
    sdx_model_close(with);
}

static void test_gradients(void **state) {
    (void)state;
    static const grad_case cases[] = {
        {.op = "Add", .n_in = 2},
        {.op = "Sub", .n_in = 2},
        {.op = "Mul", .n_in = 2},
        {.op = "Div", .n_in = 2},
        {.op = "Sum", .n_in = 2},
        {.op = "Neg", .n_in = 1},
        {.op = "Exp", .n_in = 1},
        {.op = "Log", .n_in = 1},
        {.op = "Sqrt", .n_in = 1},
        {.op = "Tanh", .n_in = 1},
        {.op = "Sigmoid", .n_in = 1},
        {.op = "Relu", .n_in = 1},
        {.op = "ReduceSum", .n_in = 1},
        {.op = "ReduceSum", .n_in = 1, .reduces = true},
        {.op = "ReduceMean", .n_in = 1},
        {.op = "ReduceMean", .n_in = 1, .reduces = true},
        {.op = "ReduceMean", .n_in = 1, .reduces = true, .keepdims = 1},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) check_case(&cases[k]);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_gradients)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
