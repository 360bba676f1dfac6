/* SPDX-License-Identifier: Apache-2.0
 * Second derivatives through LSTM, GRU and RNN: the gradient of the sum of a gradient against central differences of
 * that sum. They go through the standard operators that stand in for the backward operators. */
#include "tests/unit/support.h"
#include <math.h>

enum { STEPS = 3, BATCH = 2, INPUT = 2, HIDDEN = 3, INPUTS = 5 };

typedef struct net {
    const char *op;
    int gates;
    const char *direction, *option; /* option: an integer attribute that is 1 */
    bool lengths;
} net;

static const net nets[] = {
    {"RNN", 1, "forward", NULL, false},
    {"RNN", 1, "bidirectional", NULL, true},
    {"GRU", 3, "bidirectional", NULL, true},
    {"GRU", 3, "reverse", "linear_before_reset", false},
    {"LSTM", 4, "forward", "input_forget", false},
    {"LSTM", 4, "bidirectional", NULL, true},
};
static const char *const names[INPUTS] = {"X", "W", "R", "B", "H"};

static int shape_of(const net *n, int k, int64_t *dims) {
    const int64_t ways = strcmp(n->direction, "bidirectional") == 0 ? 2 : 1;
    const int64_t shapes[INPUTS][3] = {{STEPS, BATCH, INPUT},
                                       {ways, n->gates * HIDDEN, INPUT},
                                       {ways, n->gates * HIDDEN, HIDDEN},
                                       {ways, 2 * n->gates * HIDDEN, 0},
                                       {ways, BATCH, HIDDEN}};
    memcpy(dims, shapes[k], sizeof shapes[k]);
    return k == 3 ? 2 : 3;
}

static void gradient(sdx_graph *graph, const char *of, const char *by, sdx_id x, const char *name) {
    const sdx_string xs = {by, strlen(by)};
    const sdx_id out = sdx_graph_add_value(graph, name, NULL, &test_error);
    sdx_node *node =
        sdx_graph_add_node(graph, "ai.onnx.preview.training", "Gradient", name, 1, &x, 1, &out, &test_error);
    assert_non_null(node);
    sdx_attr attrs[2] = {{.name = "xs", .type = SDX_ATTR_STRINGS, .n = 1, .strings = &xs},
                         {.name = "y", .type = SDX_ATTR_STRING, .n = 1, .s = {of, strlen(of)}}};
    for (int k = 0; k < 2; k++) OK(sdx_node_set_attr(graph, node, &attrs[k], &test_error));
    add_output(graph, out);
}

/* loss = Y Y; "d" is its gradient by R, "d0" to "d4" are those of "d" by all inputs. */
static sdx_model *build(const net *n) {
    static sdx_opset opsets[2] = {{"", 22}, {"ai.onnx.preview.training", 1}};
    static const char *const seconds[INPUTS] = {"d0", "d1", "d2", "d3", "d4"};
    static const int32_t lengths[BATCH] = {2, 3};
    sdx_model *model = new_model();
    sdx_graph *graph = model->graph;
    sdx_id x[INPUTS], in[6];
    model->opsets = opsets;
    model->n_opsets = 2;
    for (int k = 0; k < INPUTS; k++) {
        int64_t dims[3];
        const int rank = shape_of(n, k, dims);
        x[k] = add_input(graph, names[k], SDX_F64, rank, dims);
    }
    memcpy(in, (sdx_id[]){x[0], x[1], x[2], x[3], SDX_NONE, x[4]}, sizeof in);
    if (n->lengths) in[4] = add_constant(graph, "lengths", SDX_I32, DIMS(BATCH), lengths);
    sdx_node *node = add_node_n(graph, n->op, "Y", 1, 6, in);
    const sdx_attr way = {
        .name = "direction", .type = SDX_ATTR_STRING, .n = 1, .s = {n->direction, strlen(n->direction)}};
    OK(sdx_node_set_attr(graph, node, &way, &test_error));
    if (n->option) set_int(graph, node, n->option, 1);
    add_node(graph, "Mul", "loss", IDS(node->out[0], node->out[0]));
    gradient(graph, "loss", "R", x[2], "d");
    for (int k = 0; k < INPUTS; k++) gradient(graph, "d", names[k], x[k], seconds[k]);
    sdx_model_options options = {.size = sizeof options, .optimise = SDX_OPTIMISE_NONE};
    OK(sdx_load_finish(model, &options, &test_error));
    return model;
}

static double sum_of_d(sdx_session *session, const sdx_binding *in) {
    sdx_value *d = run_one(session, in, INPUTS, "d");
    double sum = 0;
    for (int64_t k = 0; k < d->tensor.count; k++) sum += ((const double *)d->tensor.data)[k];
    sdx_value_release(d);
    return sum;
}

static void check(const net *n, sdx_session *session, const sdx_binding *in, int k) {
    const char name[] = {'d', (char)('0' + k), 0};
    const double step = 1e-5;
    sdx_value *second = run_one(session, in, INPUTS, name);
    double *x = in[k].value->tensor.data, largest = 0;
    assert_int_equal(second->tensor.count, in[k].value->tensor.count);
    for (int64_t j = 0; j < second->tensor.count; j++) {
        const double kept = x[j], got = ((const double *)second->tensor.data)[j];
        x[j] = kept + step;
        const double above = sum_of_d(session, in);
        x[j] = kept - step;
        const double wanted = (above - sum_of_d(session, in)) / (2 * step);
        x[j] = kept;
        largest = fmax(largest, fabs(wanted));
        if (!(fabs(got - wanted) <= 1e-7 * (1 + fabs(wanted))))
            fail_msg("%s, %s: the second derivative by R and %s[%d] is %.10g, differences say %.10g", n->op,
                     n->direction, names[k], (int)j, got, wanted);
    }
    assert_true(largest > 1e-3);
    sdx_value_release(second);
}

static void test_against_differences(void **state) {
    (void)state;
    uint32_t random = 3;
    for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++) {
        sdx_binding in[INPUTS];
        for (int k = 0; k < INPUTS; k++) {
            int64_t dims[3];
            const int rank = shape_of(&nets[i], k, dims);
            in[k] = (sdx_binding){names[k], new_tensor(SDX_F64, rank, dims, NULL)};
            for (int64_t j = 0; j < in[k].value->tensor.count; j++)
                ((double *)in[k].value->tensor.data)[j] =
                    ((double)((random = random * 1664525U + 1013904223U) >> 24) - 128) / 160;
        }
        sdx_model *model = build(&nets[i]);
        sdx_session *session = new_session(model, 1);
        for (int k = 0; k < INPUTS; k++) check(&nets[i], session, in, k);
        sdx_session_destroy(session);
        sdx_model_close(model);
        for (int k = 0; k < INPUTS; k++) sdx_value_release(in[k].value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_differences)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
