/* SPDX-License-Identifier: Apache-2.0
 * Pruning: what does nothing and what nobody reads. */
#include "runtime/pass/pass.h"
#include "tests/unit/support.h"

static void pruned(sdx_model *model) {
    finish_model(model);
    OK(sdx_pass_prune(model, &test_error));
    OK(sdx_settle_graph(model->graph, &test_error));
    OK(sdx_graph_check(model->graph, &test_error));
}

static void identities_go(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2));
    sdx_id a = add_node(g, "Identity", "a", 1, &x), b = add_node(g, "Identity", "b", 1, &a);
    sdx_id y = add_node(g, "Neg", "y", 1, &b);
    add_output(g, add_node(g, "Identity", "z", 1, &y));
    pruned(model);
    assert_int_equal(g->n_nodes, 1);
    assert_int_equal(g->nodes[0]->in[0], x);
    assert_string_equal(g->values[g->outputs[0]].name, "z");
    sdx_model_close(model);
}

static void an_output_that_is_an_input_keeps_its_identity(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2));
    sdx_id n = add_node(g, "Neg", "n", 1, &x);
    add_output(g, add_node(g, "Identity", "a", 1, &x));
    add_output(g, add_node(g, "Identity", "b", 1, &n));
    add_output(g, add_node(g, "Identity", "c", 1, &n)); /* two outputs cannot be one value */
    pruned(model);
    assert_int_equal(g->n_nodes, 3);
    static const char *const names[] = {"a", "b", "c"};
    for (int k = 0; k < 3; k++) assert_string_equal(g->values[g->outputs[k]].name, names[k]);
    sdx_model_close(model);
}

static void dropout_goes_unless_it_trains(void **state) {
    (void)state;
    for (int training = 0; training < 3; training++) { /* absent, false, true */
        sdx_model *model = new_model();
        sdx_graph *g = model->graph;
        sdx_id x = add_input(g, "x", SDX_F32, DIMS(2));
        sdx_id flag = add_constant(g, "t", SDX_BOOL, SCALAR, (bool[]){training == 2});
        sdx_id in[] = {x, SDX_NONE, flag};
        sdx_id d = add_node(g, "Dropout", "d", training ? 3 : 1, in);
        add_output(g, add_node(g, "Neg", "y", 1, &d));
        pruned(model);
        assert_int_equal(g->n_nodes, training == 2 ? 2 : 1);
        sdx_model_close(model);
    }
}

static void casts_to_the_same_type_go(void **state) {
    (void)state;
    for (int to = SDX_F32; to <= SDX_F64; to += SDX_F64 - SDX_F32) {
        sdx_model *model = new_model();
        sdx_graph *g = model->graph;
        sdx_id x = add_input(g, "x", SDX_F32, DIMS(2));
        sdx_node *cast = add_node_n(g, "Cast", "c", 1, 1, &x);
        set_int(g, cast, "to", to);
        add_output(g, add_node(g, "Neg", "y", 1, cast->out));
        pruned(model);
        assert_int_equal(g->n_nodes, to == SDX_F32 ? 1 : 2);
        sdx_model_close(model);
    }
}

static void what_nobody_reads_goes(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id c = add_input(g, "c", SDX_BOOL, SCALAR), x = add_input(g, "x", SDX_F32, DIMS(2));
    sdx_id w = add_constant(g, "w", SDX_F32, DIMS(2), NULL);
    sdx_id dead = add_node(g, "Add", "dead", 2, (sdx_id[]){x, w});
    add_node(g, "Neg", "deader", 1, &dead);
    sdx_node *node = add_node_n(g, "If", "y", 1, 1, &c);
    for (int k = 0; k < 2; k++) {
        sdx_graph *body = new_body(g, "b");
        sdx_id inside = capture(body, dead);
        add_node(body, "Relu", "unread", 1, &inside); /* the only reader of `dead` here */
        sdx_id kept = capture(body, x);
        add_output(body, add_node(body, "Neg", "kept", 1, &kept));
        set_body(g, node, k ? "else_branch" : "then_branch", body);
    }
    add_output(g, node->out[0]);
    pruned(model);
    assert_int_equal(g->n_nodes, 1);
    assert_int_equal(g->nodes[0]->bodies[0]->n_nodes, 1);
    assert_int_equal(g->nodes[0]->bodies[0]->n_captures, 1);
    assert_null(g->values[w].constant);
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identities_go),
        cmocka_unit_test(an_output_that_is_an_input_keeps_its_identity),
        cmocka_unit_test(dropout_goes_unless_it_trains),
        cmocka_unit_test(casts_to_the_same_type_go),
        cmocka_unit_test(what_nobody_reads_goes),
    };
    return cmocka_run_group_tests_name("prune", tests, NULL, NULL);
}
