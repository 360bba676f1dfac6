/* SPDX-License-Identifier: Apache-2.0
 * Constant folding, and its budget. */
#include "runtime/pass/pass.h"
#include "tests/unit/support.h"

static void folded(sdx_model *model) {
    finish_model(model);
    OK(sdx_pass_fold(model, &test_error));
    OK(sdx_settle_graph(model->graph, &test_error));
    OK(sdx_graph_check(model->graph, &test_error));
}

static void folds_constant_nodes(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id a = add_constant(g, "a", SDX_F32, DIMS(2), (float[]){1, 2}),
           b = add_constant(g, "b", SDX_F32, SCALAR, (float[]){3});
    sdx_id sum = add_node(g, "Add", "sum", 2, (sdx_id[]){a, b});
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2));
    add_output(g, add_node(g, "Mul", "y", 2, (sdx_id[]){x, sum}));
    add_output(g, sum);
    folded(model);
    assert_int_equal(g->n_nodes, 1);
    expect_tensor(g->values[sum].constant, SDX_F32, DIMS(2), (float[]){4, 5});
    sdx_model_close(model);
}

static void defaults_are_not_folded(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id a = add_input(g, "a", SDX_F32, DIMS(2));
    sdx_value *value = new_tensor(SDX_F32, DIMS(2), (float[]){1, 2});
    sdx_graph_set_constant(g, a, value);
    sdx_value_release(value);
    add_output(g, add_node(g, "Neg", "y", 1, &a));
    folded(model);
    assert_int_equal(g->n_nodes, 1);
    sdx_model_close(model);
}

/* Shape -> Gather -> Mul -> Concat -> Reshape over known dims vanishes; with an unknown dim it stays. */
static void shape_chains_vanish(void **state) {
    (void)state;
    for (int known = 0; known < 2; known++) {
        sdx_model *model = new_model();
        sdx_graph *g = model->graph;
        sdx_id x = add_input(g, "x", SDX_F32, DIMS(2, known ? 3 : -1, 4));
        sdx_id one = add_constant(g, "one", SDX_I64, DIMS(1), (int64_t[]){1});
        sdx_id four = add_constant(g, "four", SDX_I64, DIMS(1), (int64_t[]){4}),
               minus = add_constant(g, "minus", SDX_I64, DIMS(1), (int64_t[]){-1});
        sdx_id shape = add_node(g, "Shape", "shape", 1, &x);
        sdx_id dim = add_node(g, "Gather", "dim", 2, (sdx_id[]){shape, one});
        sdx_id product = add_node(g, "Mul", "product", 2, (sdx_id[]){dim, four});
        sdx_node *concat = add_node_n(g, "Concat", "target", 1, 2, (sdx_id[]){minus, product});
        set_int(g, concat, "axis", 0);
        sdx_id y = add_node(g, "Reshape", "y", 2, (sdx_id[]){x, concat->out[0]});
        add_output(g, add_node(g, "Relu", "z", 1, &y));
        folded(model);
        assert_int_equal(g->n_nodes, known ? 2 : 6);
        if (known) assert_int_equal(g->values[g->outputs[0]].type.dim[1], 12);
        sdx_model_close(model);
    }
}

static size_t used_by(const sdx_model *model) { return sdx_memory_used(model->memory); }

/* A few bytes of file that ask for gigabytes, in one node and in many. */
static void bombs_stay_nodes(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id dims = add_constant(g, "dims", SDX_I64, DIMS(3), (int64_t[]){1024, 1024, 1024});
    add_output(g, add_node(g, "ConstantOfShape", "huge", 1, &dims));
    sdx_id small = add_constant(g, "small", SDX_I64, DIMS(1), (int64_t[]){200000});
    for (int k = 0; k < 200; k++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", k);
        add_output(g, add_node(g, "ConstantOfShape", name, 1, &small));
    }
    folded(model);
    assert_true(g->n_nodes > 150);
    if (used_by(model) > 32 << 20) fail_msg("the model grew to %zu bytes", used_by(model));
    sdx_model_close(model);
}

/* Squaring a matrix again and again needs little memory and much time. */
static void long_work_stays_at_run_time(void **state) {
    (void)state;
    enum { N = 400 };
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id m = add_constant(g, "m", SDX_F32, DIMS(N, N), NULL);
    for (int k = 0; k < 20; k++) {
        char name[16];
        snprintf(name, sizeof name, "n%d", k);
        m = add_node(g, "MatMul", name, 2, (sdx_id[]){m, m});
    }
    add_output(g, m);
    int64_t start = sdx_clock_ns();
    folded(model);
    double seconds = (double)(sdx_clock_ns() - start) * 1e-9;
    if (seconds > 2) fail_msg("folding took %.2f s", seconds);
    assert_true(g->n_nodes > 0);
    sdx_model_close(model);
}

/* What would fail is left to fail when it runs. */
static void failing_nodes_are_left(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id data = add_constant(g, "data", SDX_F32, DIMS(2), (float[]){1, 2}),
           far = add_constant(g, "far", SDX_I64, SCALAR, (int64_t[]){7});
    add_output(g, add_node(g, "Gather", "y", 2, (sdx_id[]){data, far}));
    folded(model);
    assert_int_equal(g->n_nodes, 1);
    sdx_model_close(model);
}

static void shortage_is_reported(void **state) {
    (void)state;
    int refused = 0;
    for (int n = 1; n < 200; n++) {
        sdx_model *model = new_model();
        sdx_graph *g = model->graph;
        sdx_id a = add_constant(g, "a", SDX_F32, DIMS(2), (float[]){1, 2});
        add_output(g, add_node(g, "Neg", "y", 1, &a));
        finish_model(model);
        sdx_error error = {0};
        atomic_store(&model->memory->fail_after, n);
        sdx_status status = sdx_pass_fold(model, &error);
        bool reached = atomic_load(&model->memory->fail_after) <= 0;
        atomic_store(&model->memory->fail_after, 0);
        if (!reached) {
            OK(status);
            sdx_model_close(model);
            break;
        }
        assert_int_equal(status, SDX_OUT_OF_MEMORY);
        refused++;
        sdx_model_close(model);
    }
    assert_true(refused >= 2);
}

/* Of its second input CastLike reads the type, which is known where the shape is not. */
static void cast_like_needs_a_type_alone(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F64, DIMS(-1, 3)), a = add_constant(g, "a", SDX_F32, DIMS(2), (float[]){1, -2});
    sdx_id like = add_node(g, "CastLike", "like", 2, (sdx_id[]){a, x});
    add_output(g, like);
    folded(model);
    assert_int_equal(g->n_nodes, 0);
    expect_tensor(g->values[like].constant, SDX_F64, DIMS(2), (double[]){1, -2});
    sdx_model_close(model);
}

/* ConstantOfShape says what its result is, so that what follows it folds too. */
static void shapes_filled_with_constants_fold(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2, 1)), zeros = SDX_NONE;
    zeros = add_node(g, "ConstantOfShape", "zeros", 1, (sdx_id[]){add_node(g, "Shape", "shape", 1, &x)});
    sdx_id y = add_node(g, "Cos", "y", 1, &zeros);
    add_output(g, y);
    folded(model);
    assert_int_equal(g->n_nodes, 0);
    expect_tensor(g->values[y].constant, SDX_F32, DIMS(2, 1), (float[]){1, 1});
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folds_constant_nodes),
        cmocka_unit_test(defaults_are_not_folded),
        cmocka_unit_test(shape_chains_vanish),
        cmocka_unit_test(bombs_stay_nodes),
        cmocka_unit_test(long_work_stays_at_run_time),
        cmocka_unit_test(failing_nodes_are_left),
        cmocka_unit_test(shortage_is_reported),
        cmocka_unit_test(cast_like_needs_a_type_alone),
        cmocka_unit_test(shapes_filled_with_constants_fold),
    };
    return cmocka_run_group_tests_name("fold", tests, NULL, NULL);
}
