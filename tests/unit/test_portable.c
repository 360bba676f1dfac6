/* SPDX-License-Identifier: Apache-2.0
 * Internal operators that gradients emit, against the standard operators that stand in for them; and second
 * derivatives, which go through those. */
#include "runtime/train/expand_internal.h"
#include "tests/unit/support.h"
#include <math.h>

enum { ROWS = 3, COLUMNS = 4, COUNT = ROWS * COLUMNS };

typedef struct portable_case {
    const char *op, *internal; /* which one is met */
    bool known;                /* dims of the inputs */
    int n_in;                  /* a[3,4], b[4] */
    int n_lists;               /* i64 inputs after them */
    int64_t list[4][2];
    int lengths[4];
    sdx_attr attr;
} portable_case;

#define TEXT(name_, value)                                                                                             \
    {                                                                                                                  \
        .name = name_, .type = SDX_ATTR_STRING, .n = 1, .s = { value, sizeof value - 1 }                               \
    }

static const portable_case cases[] = {
    {.op = "Add", .internal = "SumTo", .n_in = 2},
    {.op = "Mul", .internal = "SumTo", .n_in = 2},
    {.op = "Gelu", .internal = "Slope", .known = true, .n_in = 1},
    {.op = "Gelu", .internal = "Slope", .known = true, .n_in = 1, .attr = TEXT("approximate", "tanh")},
    {.op = "Elu", .internal = "Slope", .known = true, .n_in = 1},
    {.op = "Selu", .internal = "Slope", .known = true, .n_in = 1},
    {.op = "Celu", .internal = "Slope", .known = true, .n_in = 1},
    {.op = "HardSwish", .internal = "Slope", .known = true, .n_in = 1},
    {.op = "Swish", .internal = "Slope", .known = true, .n_in = 1},
    {.op = "Mish", .internal = "Slope", .known = true, .n_in = 1},
    {.op = "Erf", .internal = "Slope", .known = true, .n_in = 1},
    {.op = "Gather", .internal = "GatherGrad", .n_in = 1, .n_lists = 1, .list = {{-1, 0}}, .lengths = {2}},
    {.op = "Gather",
     .internal = "GatherGrad",
     .known = true,
     .n_in = 1,
     .n_lists = 1,
     .list = {{3, 3}},
     .lengths = {2},
     .attr = {.name = "axis", .type = SDX_ATTR_INT, .n = 1, .i = 1}},
    {.op = "Slice",
     .internal = "SliceGrad",
     .n_in = 1,
     .n_lists = 4,
     .list = {{-1, 0}, {-9, 3}, {0, 1}, {-2, 2}},
     .lengths = {2, 2, 2, 2}},
};

static sdx_id gradient_of(sdx_graph *graph, const char *of, const char *name, const sdx_string *xs, sdx_id x) {
    sdx_id out = sdx_graph_add_value(graph, name, NULL, &test_error);
    sdx_attr by[2] = {{.name = "xs", .type = SDX_ATTR_STRINGS, .n = 1, .strings = xs},
                      {.name = "y", .type = SDX_ATTR_STRING, .n = 1, .s = {of, strlen(of)}}};
    sdx_node *node =
        sdx_graph_add_node(graph, "ai.onnx.preview.training", "Gradient", name, 1, &x, 1, &out, &test_error);
    assert_non_null(node);
    for (int k = 0; k < 2; k++) OK(sdx_node_set_attr(graph, node, &by[k], &test_error));
    return out;
}

/* "d" is the gradient by the last input of the sum of y^2, "dd" that of the sum of "d". */
static sdx_model *build(const portable_case *c, bool twice) {
    static sdx_opset opsets[2] = {{"", 28}, {"ai.onnx.preview.training", 1}};
    static const char *const names[4] = {"starts", "ends", "axes", "steps"};
    static const sdx_string a = {"a", 1}, b = {"b", 1};
    const sdx_string *x = c->n_in == 2 ? &b : &a;
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    model->opsets = opsets;
    model->n_opsets = 2;
    int64_t rows = c->known ? ROWS : -1, columns = c->known ? COLUMNS : -1;
    sdx_id in[6] = {add_input(graph, "a", SDX_F64, DIMS(rows, columns))}, square[2], xs;
    if (c->n_in == 2) in[1] = add_input(graph, "b", SDX_F64, DIMS(columns));
    xs = in[c->n_in - 1];
    for (int k = 0; k < c->n_lists; k++)
        in[c->n_in + k] = add_constant(graph, names[k], SDX_I64, DIMS(c->lengths[k]), c->list[k]);
    sdx_node *node = add_node_n(graph, c->op, "u", 1, c->n_in + c->n_lists, in);
    if (c->attr.name) OK(sdx_node_set_attr(graph, node, &c->attr, &test_error));
    square[0] = square[1] = node->out[0];
    add_node(graph, "Mul", "y", 2, square);
    add_output(graph, gradient_of(graph, "y", "d", x, xs));
    if (twice) add_output(graph, gradient_of(graph, "d", "dd", x, xs));
    sdx_model_options options = {.size = sizeof options, .optimise = SDX_OPTIMISE_NONE};
    OK(sdx_load_finish(model, &options, &test_error));
    return model;
}

static bool has(const sdx_graph *graph, const char *op_type) {
    for (int i = 0; i < graph->n_nodes; i++)
        if (strcmp(graph->nodes[i]->op_type, op_type) == 0) return true;
    return false;
}

static sdx_value *run(const sdx_model *model, const portable_case *c, double *a, double *b, const char *name) {
    sdx_session *session = new_session(model, 1);
    sdx_binding in[2] = {{"a", NULL}, {"b", NULL}};
    OK(sdx_value_borrow(SDX_F64, DIMS(ROWS, COLUMNS), a, &test_error, &in[0].value));
    OK(sdx_value_borrow(SDX_F64, DIMS(COLUMNS), b, &test_error, &in[1].value));
    sdx_value *found = run_one(session, in, (size_t)c->n_in, name);
    for (int k = 0; k < 2; k++) sdx_value_release(in[k].value);
    sdx_session_destroy(session);
    return found;
}

static double a[COUNT] = {0.7, -1.3, 2.1, 0.4, -3.1, 0.9, 1.4, -0.2, 0.3, 3.2, -0.6, 1.1},
              b[COLUMNS] = {1.1, 0.6, -1.7, 2};

static void test_bodies(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        const portable_case *c = &cases[k];
        sdx_model *fused = build(c, false), *plain = build(c, false);
        assert_true(has(fused->graph, c->internal));
        OK(sdx_expand_internal(plain->graph, &test_error));
        assert_false(has(plain->graph, c->internal));
        sdx_value *got = run(plain, c, a, b, "d"), *wanted = run(fused, c, a, b, "d");
        assert_int_equal(got->tensor.count, wanted->tensor.count);
        for (int64_t i = 0; i < got->tensor.count; i++) {
            double x = ((const double *)got->tensor.data)[i], y = ((const double *)wanted->tensor.data)[i];
            if (!(fabs(x - y) <= 1e-12 * (1 + fabs(y))))
                fail_msg("%s of %s: element %d is %.17g, by standard operators %.17g", c->internal, c->op, (int)i, y,
                         x);
        }
        sdx_value_release(got);
        sdx_value_release(wanted);
        sdx_model_close(fused);
        sdx_model_close(plain);
    }
}

static double sum_of(const sdx_model *model, const portable_case *c) {
    sdx_value *d = run(model, c, a, b, "d");
    double sum = 0;
    for (int64_t i = 0; i < d->tensor.count; i++) sum += ((const double *)d->tensor.data)[i];
    sdx_value_release(d);
    return sum;
}

static void test_second_derivatives(void **state) {
    (void)state;
    const double step = 1e-5;
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        const portable_case *c = &cases[k];
        sdx_model *model = build(c, true);
        sdx_value *dd = run(model, c, a, b, "dd");
        double *x = c->n_in == 2 ? b : a;
        for (int64_t i = 0; i < dd->tensor.count; i++) {
            double kept = x[i], got = ((const double *)dd->tensor.data)[i];
            x[i] = kept + step;
            double above = sum_of(model, c);
            x[i] = kept - step;
            double wanted = (above - sum_of(model, c)) / (2 * step);
            x[i] = kept;
            if (!(fabs(got - wanted) <= 1e-6 * (1 + fabs(wanted))))
                fail_msg("%s: second derivative %d is %.12g, differences say %.12g", c->op, (int)i, got, wanted);
        }
        sdx_value_release(dd);
        sdx_model_close(model);
    }
}

/* Named dims say enough: nothing is left to be found out at run time. */
static void test_named_dims(void **state) {
    (void)state;
    static sdx_opset opsets[2] = {{"", 28}, {"ai.onnx.preview.training", 1}};
    static const sdx_string xs = {"w", 1};
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    model->opsets = opsets;
    model->n_opsets = 2;
    const int64_t batch = sdx_graph_symbol(graph, "batch", &test_error);
    const int64_t length = sdx_graph_symbol(graph, "length", &test_error);
    sdx_id x = add_input(graph, "x", SDX_F32, DIMS(batch, length, 4)), w = add_input(graph, "w", SDX_F32, DIMS(4, 4));
    sdx_id bias = add_input(graph, "bias", SDX_F32, DIMS(4));
    sdx_id wx = add_node(graph, "MatMul", "wx", 2, (sdx_id[]){x, w});
    sdx_id sum = add_node(graph, "Add", "sum", 2, (sdx_id[]){wx, bias});
    sdx_id act = add_node(graph, "Gelu", "act", 1, &sum),
           residual = add_node(graph, "Add", "res", 2, (sdx_id[]){act, x});
    sdx_id again = add_node(graph, "MatMul", "again", 2, (sdx_id[]){residual, w});
    add_node(graph, "Mul", "y", 2, (sdx_id[]){again, again});
    add_output(graph, gradient_of(graph, "y", "d", &xs, w));
    sdx_model_options options = {.size = sizeof options, .optimise = SDX_OPTIMISE_NONE};
    OK(sdx_load_finish(model, &options, &test_error));
    assert_false(has(model->graph, "SumTo"));
    assert_true(has(model->graph, "Slope"));
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_named_dims), cmocka_unit_test(test_bodies),
                                       cmocka_unit_test(test_second_derivatives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
