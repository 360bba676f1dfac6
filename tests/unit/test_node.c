/* SPDX-License-Identifier: Apache-2.0
 * sdx_exec_node: one node on values, as constant folding and planning use it. */
#include "support.h"

typedef struct alone {
    sdx_model *model;
    sdx_memory memory;
    sdx_run run;
} alone;

static void set_up(alone *a) {
    a->model = new_model();
    sdx_memory_init(&a->memory, 0);
    a->run = (sdx_run){.memory = &a->memory, .error = &test_error, .model = "test.onnx"};
}

static void tear_down(alone *a) {
    assert_int_equal(sdx_memory_used(&a->memory), 0);
    sdx_model_close(a->model);
}

static void computes_what_is_wanted(void **state) {
    (void)state;
    alone a;
    set_up(&a);
    sdx_graph *g = a.model->graph;
    int64_t k_data = 2;
    float data[] = {3, 1, 2}, top[] = {3, 2};
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(3)), k = add_input(g, "k", SDX_I64, DIMS(1));
    sdx_node *node = add_node_n(g, "TopK", "values", 2, IDS(x, k));
    add_output(g, node->out[0]);
    add_output(g, node->out[1]);
    finish_model(a.model);
    sdx_value *in[] = {new_tensor(SDX_F32, DIMS(3), data), new_tensor(SDX_I64, DIMS(1), &k_data)}, *out[2];
    const bool first[] = {true, false};
    node = g->nodes[0];
    OK(sdx_exec_node(g, node, &a.run, in, first, out));
    expect_tensor(out[0], SDX_F32, DIMS(2), top);
    assert_null(out[1]);
    sdx_value_release(out[0]);
    *(int64_t *)in[1]->tensor.data = 7;
    assert_int_not_equal(sdx_exec_node(g, node, &a.run, in, first, out), SDX_OK);
    CONTAINS(test_error.message, "running 'test.onnx': node 'values' (TopK");
    assert_null(out[0]);
    test_error = (sdx_error){0};
    sdx_value_release(in[0]);
    sdx_value_release(in[1]);
    tear_down(&a);
}

/* Shape never looks at the data. */
static void shapes_need_no_data(void **state) {
    (void)state;
    alone a;
    set_up(&a);
    sdx_graph *g = a.model->graph;
    add_output(g, add_node(g, "Shape", "s", IDS(add_input(g, "x", SDX_F32, DIMS(-1, -1)))));
    finish_model(a.model);
    sdx_value ghost = {.kind = SDX_TENSOR}, *in[] = {&ghost}, *out[1];
    const bool wanted[] = {true};
    int64_t want[] = {1 << 20, 1 << 20};
    OK(sdx_tensor_make(&ghost.tensor, SDX_F32, 2, want, NULL, &test_error));
    OK(sdx_exec_node(g, g->nodes[0], &a.run, in, wanted, out));
    expect_tensor(out[0], SDX_I64, DIMS(2), want);
    sdx_value_release(out[0]);
    tear_down(&a);
}

/* Bodies run too, as long as they capture constants only. */
static void bodies_on_constants(void **state) {
    (void)state;
    for (int constant = 0; constant < 2; constant++) {
        alone a;
        set_up(&a);
        sdx_graph *g = a.model->graph, *yes = new_body(g, "yes"), *no = new_body(g, "no");
        float data[] = {1, 2}, minus[] = {-1, -2};
        bool cond = true;
        sdx_id c = add_input(g, "c", SDX_BOOL, SCALAR);
        sdx_id w = constant ? add_constant(g, "w", SDX_F32, DIMS(2), data) : add_input(g, "w", SDX_F32, DIMS(2));
        add_output(yes, add_node(yes, "Neg", "n", IDS(capture(yes, w))));
        add_output(no, add_node(no, "Abs", "m", IDS(capture(no, w))));
        add_output(g, add_node(g, "If", "y", IDS(c)));
        set_body(g, g->nodes[0], "then_branch", yes);
        set_body(g, g->nodes[0], "else_branch", no);
        finish_model(a.model);
        sdx_value *in[] = {new_tensor(SDX_BOOL, SCALAR, &cond)}, *out[1];
        const bool wanted[] = {true};
        sdx_status status = sdx_exec_node(g, g->nodes[0], &a.run, in, wanted, out);
        assert_int_equal(status, constant ? SDX_OK : SDX_ARGUMENT);
        if (constant)
            expect_tensor(out[0], SDX_F32, DIMS(2), minus);
        else
            CONTAINS(test_error.message, "a body captures 'w', which is not constant");
        test_error = (sdx_error){0};
        sdx_value_release(out[0]);
        sdx_value_release(in[0]);
        tear_down(&a);
    }
}

static void allocations_fail(void **state) {
    (void)state;
    alone a;
    set_up(&a);
    sdx_graph *g = a.model->graph;
    add_output(g, add_node(g, "Softmax", "y", IDS(add_input(g, "x", SDX_F32, DIMS(-1, 8)))));
    finish_model(a.model);
    sdx_value *in[] = {new_tensor(SDX_F32, DIMS(4, 8), NULL)}, *out[1];
    const bool wanted[] = {true};
    sdx_status status = SDX_OUT_OF_MEMORY;
    int n = 1;
    for (; status != SDX_OK; n++) {
        atomic_store(&a.memory.fail_after, n);
        status = sdx_exec_node(g, g->nodes[0], &a.run, in, wanted, out);
        atomic_store(&a.memory.fail_after, 0);
        if (status != SDX_OK) {
            assert_int_equal(status, SDX_OUT_OF_MEMORY);
            assert_null(out[0]);
            assert_int_equal(sdx_memory_used(&a.memory), 0);
        }
        test_error = (sdx_error){0};
    }
    assert_true(n > 2);
    sdx_value_release(out[0]);
    sdx_value_release(in[0]);
    tear_down(&a);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computes_what_is_wanted),
        cmocka_unit_test(shapes_need_no_data),
        cmocka_unit_test(bodies_on_constants),
        cmocka_unit_test(allocations_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
