/* SPDX-License-Identifier: Apache-2.0
 * Sharing equal constants and equal nodes. */
#include "runtime/pass/pass.h"
#include "tests/unit/support.h"

static void shared(sdx_model *model) {
    finish_model(model);
    OK(sdx_pass_share(model, &test_error));
    OK(sdx_settle_graph(model->graph, &test_error));
    OK(sdx_graph_check(model->graph, &test_error));
}

static void equal_constants_become_one(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    float big[3000] = {0}, other[3000] = {0};
    other[1500] = 1; /* differs where neither end shows it */
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(3000));
    sdx_id a = add_constant(g, "a", SDX_F32, DIMS(3000), big), b = add_constant(g, "b", SDX_F32, DIMS(3000), big);
    sdx_id c = add_constant(g, "c", SDX_F32, DIMS(3000), other);
    sdx_id p = add_node(g, "Add", "p", 2, (sdx_id[]){x, a}), q = add_node(g, "Sub", "q", 2, (sdx_id[]){p, b});
    add_output(g, add_node(g, "Mul", "y", 2, (sdx_id[]){q, c}));
    shared(model);
    assert_int_equal(g->nodes[0]->in[1], a);
    assert_int_equal(g->nodes[1]->in[1], a);
    assert_int_equal(g->nodes[2]->in[1], c);
    sdx_model_close(model);
}

static void shapes_and_types_keep_constants_apart(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2, 2));
    sdx_id a = add_constant(g, "a", SDX_F32, DIMS(2), NULL), b = add_constant(g, "b", SDX_F32, DIMS(1, 2), NULL);
    sdx_id p = add_node(g, "Add", "p", 2, (sdx_id[]){x, a});
    add_output(g, add_node(g, "Sub", "y", 2, (sdx_id[]){p, b}));
    shared(model);
    assert_int_equal(g->nodes[1]->in[1], b);
    sdx_model_close(model);
}

static void equal_nodes_become_one(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2, 2)), out[6];
    for (int k = 0; k < 6; k++) {
        char name[8];
        snprintf(name, sizeof name, "s%d", k);
        sdx_node *node = add_node_n(g, "Softmax", name, 1, 1, &x);
        set_int(g, node, "axis", k % 2);
        snprintf(name, sizeof name, "n%d", k);
        out[k] = add_node(g, "Neg", name, 1, node->out); /* equal once its input is */
    }
    add_output(g, add_node(g, "Sum", "y", 6, out));
    shared(model);
    int softmax = 0, neg = 0;
    for (int k = 0; k < g->n_nodes; k++) {
        softmax += strcmp(g->nodes[k]->op_type, "Softmax") == 0;
        neg += strcmp(g->nodes[k]->op_type, "Neg") == 0;
    }
    assert_int_equal(softmax, 2);
    assert_int_equal(neg, 2);
    sdx_model_close(model);
}

static void outputs_stay_apart(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2));
    add_output(g, add_node(g, "Neg", "a", 1, &x));
    add_output(g, add_node(g, "Neg", "b", 1, &x));
    shared(model);
    assert_string_equal(g->values[g->outputs[0]].name, "a");
    assert_string_equal(g->values[g->outputs[1]].name, "b");
    assert_int_not_equal(g->outputs[0], g->outputs[1]);
    sdx_model_close(model);
}

/* Each of many outputs is the same node: none can go, and finding that out must not take their square. */
static void many_equal_outputs_take_no_time(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2));
    for (int k = 0; k < 20000; k++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", k);
        add_output(g, add_node(g, "Identity", name, 1, &x));
    }
    int64_t start = sdx_clock_ns();
    shared(model);
    OK(sdx_pass_prune(model, &test_error));
    double seconds = (double)(sdx_clock_ns() - start) * 1e-9;
    if (seconds > 3) fail_msg("20000 outputs took %.2f s", seconds);
    assert_int_equal(g->n_nodes, 20000);
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(equal_constants_become_one),
                                       cmocka_unit_test(shapes_and_types_keep_constants_apart),
                                       cmocka_unit_test(equal_nodes_become_one), cmocka_unit_test(outputs_stay_apart),
                                       cmocka_unit_test(many_equal_outputs_take_no_time)};
    return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
