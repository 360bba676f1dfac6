/* SPDX-License-Identifier: Apache-2.0
 * Building, sorting, capturing, checking and printing graphs. */
#include "runtime/base/names.h"
#include "tests/unit/support.h"

static void sorts_and_keeps_order(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2)), mid[2];
    for (int k = 0; k < 2; k++) mid[k] = sdx_graph_add_value(g, k ? "b" : "a", NULL, &test_error);
    sdx_id out = add_node(g, "Add", "c", 2, mid); /* before what it reads */
    sdx_graph_add_node(g, "", "Relu", "", 1, &x, 1, &mid[1], &test_error);
    sdx_graph_add_node(g, "", "Neg", "", 1, &x, 1, &mid[0], &test_error);
    add_output(g, out);
    assert_int_not_equal(sdx_graph_check(g, &(sdx_error){0}), SDX_OK);
    OK(sdx_graph_sort(g, &test_error));
    OK(sdx_graph_check(g, &test_error));
    assert_string_equal(g->nodes[0]->op_type, "Neg");
    assert_string_equal(g->nodes[1]->op_type, "Relu");
    assert_int_equal(g->values[out].producer, 2);
    sdx_node *before = g->nodes[1];
    OK(sdx_graph_sort(g, &test_error));
    assert_ptr_equal(g->nodes[1], before);
    sdx_model_close(model);
}

static void sorts_long_chains_without_a_stack(void **state) {
    (void)state;
    enum { N = 200000 };
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id previous = sdx_graph_add_value(g, "v", NULL, &test_error), last = previous;
    for (int k = 0; k < N; k++) { /* backwards */
        sdx_id from =
            k + 1 == N ? add_input(g, "x", SDX_F32, DIMS(1)) : sdx_graph_add_value(g, NULL, NULL, &test_error);
        assert_non_null(sdx_graph_add_node(g, "", "Relu", "", 1, &from, 1, &previous, &test_error));
        previous = from;
    }
    add_output(g, last);
    int64_t start = sdx_clock_ns();
    OK(sdx_graph_sort(g, &test_error));
    double seconds = (double)(sdx_clock_ns() - start) * 1e-9;
    if (seconds > 2) fail_msg("sorting took %.2f s", seconds);
    assert_int_equal(g->values[last].producer, N - 1);
    sdx_model_close(model);
}

static void finds_cycles_and_double_producers(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id a = sdx_graph_add_value(g, "a", NULL, &test_error), b = sdx_graph_add_value(g, "b", NULL, &test_error);
    sdx_error error = {0};
    sdx_graph_add_node(g, "", "Relu", "loop", 1, &a, 1, &b, &test_error);
    sdx_graph_add_node(g, "", "Relu", "", 1, &b, 1, &a, &test_error);
    assert_int_equal(sdx_graph_sort(g, &error), SDX_MALFORMED);
    CONTAINS(error.message, "cycle");
    error = (sdx_error){0};
    sdx_graph_add_node(g, "", "Neg", "", 1, &b, 1, &a, &test_error);
    assert_int_equal(sdx_graph_sort(g, &error), SDX_MALFORMED);
    CONTAINS(error.message, "'a' is the output of more than one node");
    sdx_model_close(model);
}

static void captures_order_nodes_and_count_as_uses(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2)), late = sdx_graph_add_value(g, "late", NULL, &test_error);
    sdx_node *owner = add_node_n(g, "If", "y", 1, 1, &x);
    sdx_graph *body = new_body(g, "body"), *inner = new_body(body, "inner");
    sdx_id mine = capture(body, late), deep = capture(inner, mine);
    assert_int_equal(capture(body, late), mine);
    assert_int_equal(body->n_captures, 1);
    assert_string_equal(inner->values[deep].name, "late");
    set_body(g, owner, "then_branch", body);
    sdx_node *nested = add_node_n(body, "If", "z", 1, 1, &mine);
    set_body(body, nested, "then_branch", inner);
    add_output(inner, deep);
    add_output(body, nested->out[0]);
    sdx_graph_add_node(g, "", "Relu", "", 1, &x, 1, &late, &test_error);
    add_output(g, owner->out[0]);
    OK(sdx_graph_sort(g, &test_error));
    OK(sdx_graph_check(g, &test_error));
    assert_string_equal(g->nodes[0]->op_type, "Relu");
    int32_t uses[16];
    sdx_graph_count_uses(g, uses);
    assert_int_equal(uses[x], 2);
    assert_int_equal(uses[late], 1);
    assert_int_equal(uses[owner->out[0]], 1);
    sdx_model_close(model);
}

static void many_captures_stay_distinct(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *body = new_body(model->graph, "body");
    sdx_id inner[500];
    for (int k = 0; k < 500; k++) {
        sdx_id outer = sdx_graph_add_value(model->graph, NULL, NULL, &test_error);
        inner[k] = capture(body, outer);
    }
    for (int k = 0; k < 500; k++) assert_int_equal(capture(body, body->captures[k].outer), inner[k]);
    assert_int_equal(body->n_captures, 500);
    sdx_graph_release(body);
    sdx_model_close(model);
}

static void bodies_nest_64_deep(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    for (int k = 0; k < 64; k++) g = new_body(g, "b");
    assert_int_equal(sdx_graph_depth(g), 64);
    sdx_error error = {0};
    assert_null(sdx_graph_create(g->arena, "b", g, &error));
    CONTAINS(error.message, "64");
    sdx_model_close(model);
}

static void symbols_and_fresh_names(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph, *body = new_body(g, "b");
    int64_t n = sdx_graph_symbol(g, "N", &test_error), m = sdx_graph_symbol(body, "M", &test_error);
    assert_int_equal(n, -2);
    assert_int_equal(m, -3);
    assert_int_equal(sdx_graph_symbol(body, "N", &test_error), n);
    assert_string_equal(g->symbols[-2 - m], "M");
    sdx_graph_reserve_name(g, "sdx_v41");
    sdx_graph_reserve_name(g, "sdx_v7x");
    sdx_id id = sdx_graph_add_value(body, NULL, NULL, &test_error);
    assert_string_equal(body->values[id].name, "sdx_v42");
    sdx_model_close(model);
}

static void attributes_are_copied_and_replaced(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_node *node = add_node_n(g, "Any", "y", 1, 0, NULL);
    int64_t ints[] = {1, 2};
    set_ints(g, node, "axes", 2, ints);
    ints[0] = 9;
    assert_int_equal(sdx_node_attr(node, "axes")->ints[0], 1);
    set_int(g, node, "axis", 1);
    set_int(g, node, "axis", 5);
    assert_int_equal(node->n_attrs, 2);
    assert_int_equal(sdx_node_attr(node, "axis")->i, 5);
    sdx_value *value = new_tensor(SDX_F32, DIMS(4), NULL);
    sdx_attr attr = {.name = "t", .type = SDX_ATTR_TENSOR, .n = 1, .value = value};
    OK(sdx_node_set_attr(g, node, &attr, &test_error));
    OK(sdx_node_set_attr(g, node, &attr, &test_error));
    assert_int_equal(atomic_load(&value->references), 2);
    sdx_model_close(model);
    assert_int_equal(atomic_load(&value->references), 1);
    sdx_value_release(value);
}

static void check_finds_what_is_broken(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_error error = {0};
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2)), y = add_node(g, "Relu", "y", 1, &x);
    add_output(g, y);
    OK(sdx_graph_check(g, &test_error));
    const char *name = g->values[y].name;
    g->values[y].name = "x";
    assert_int_equal(sdx_graph_check(g, &error), SDX_MALFORMED);
    CONTAINS(error.message, "two values are called 'x'");
    g->values[y].name = name;
    error = (sdx_error){0};
    g->values[y].producer = -1;
    assert_int_equal(sdx_graph_check(g, &error), SDX_MALFORMED);
    CONTAINS(error.message, "node 'y' (Relu)");
    CONTAINS(error.message, "producer");
    sdx_model_close(model);
}

static char printed[4096];

static void keep_line(void *context, const char *line) {
    (void)context;
    strcat(printed, line);
    strcat(printed, "\n");
}

static void prints(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x\n", SDX_F32, DIMS(2, -1));
    sdx_node *node = add_node_n(g, "Softmax", "y", 1, 1, &x);
    set_int(g, node, "axis", 1);
    add_output(g, node->out[0]);
    printed[0] = '\0';
    sdx_graph_print(g, keep_line, NULL);
    CONTAINS(printed, "input x\\x0a: f32[2,?]");
    CONTAINS(printed, "y = Softmax(x\\x0a) {axis=1}");
    CONTAINS(printed, "output y: unknown");
    char place[128], small[12];
    node->since = 13;
    assert_string_equal(sdx_node_place(g, node, place, sizeof place), "node 'y' (Softmax, opset 13)");
    assert_int_equal(strlen(sdx_node_place(g, node, small, sizeof small)), 11);
    sdx_model_close(model);
}

static void names_map(void **state) {
    (void)state;
    sdx_memory memory;
    sdx_arena arena;
    sdx_names names;
    char(*keys)[16] = test_malloc(5000 * sizeof *keys);
    sdx_memory_init(&memory, 0);
    sdx_arena_init(&arena, &memory);
    sdx_names_init(&names, &arena);
    assert_int_equal(sdx_names_get(&names, "k0", -7), -7);
    for (int k = 0; k < 5000; k++) {
        snprintf(keys[k], sizeof keys[k], "k%d", k);
        OK(sdx_names_put(&names, keys[k], k, &test_error));
    }
    OK(sdx_names_put(&names, keys[3], 77, &test_error));
    for (int k = 0; k < 5000; k++) assert_int_equal(sdx_names_get(&names, keys[k], -1), k == 3 ? 77 : k);
    assert_int_equal(sdx_names_get(&names, "other", -1), -1);
    sdx_arena_release(&arena);
    test_free(keys);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sorts_and_keeps_order),
        cmocka_unit_test(sorts_long_chains_without_a_stack),
        cmocka_unit_test(finds_cycles_and_double_producers),
        cmocka_unit_test(captures_order_nodes_and_count_as_uses),
        cmocka_unit_test(many_captures_stay_distinct),
        cmocka_unit_test(bodies_nest_64_deep),
        cmocka_unit_test(symbols_and_fresh_names),
        cmocka_unit_test(attributes_are_copied_and_replaced),
        cmocka_unit_test(check_finds_what_is_broken),
        cmocka_unit_test(prints),
        cmocka_unit_test(names_map),
    };
    return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
