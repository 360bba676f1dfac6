/* SPDX-License-Identifier: Apache-2.0
 * If, Loop and Scan: what the official cases leave out. */
#include "support.h"

static void expect_run(sdx_model *model, const sdx_binding *in, size_t n_in, const char *name, sdx_dtype dtype,
                       int rank, const int64_t *dims, const void *data) {
    sdx_session *session = new_session(model, 1);
    for (int turn = 0; turn < 2; turn++) {
        sdx_value *value = run_one(session, in, n_in, name);
        expect_tensor(value, dtype, rank, dims, data);
        sdx_value_release(value);
    }
    sdx_session_destroy(session);
}

static void expect_failure(sdx_model *model, const sdx_binding *in, size_t n_in, const char *name, sdx_status status,
                           const char *words) {
    sdx_session *session = new_session(model, 1);
    sdx_binding out = {name, NULL};
    assert_int_equal(sdx_session_run(session, in, n_in, &out, 1, &test_error), status);
    CONTAINS(test_error.message, words);
    assert_null(out.value);
    test_error = (sdx_error){0};
    sdx_session_destroy(session);
}

/* ---- If ------------------------------------------------------------------------------------------------------- */

/* Branches of different shapes, which read the same outer value; what follows runs with whichever was taken. */
static void branches_of_different_shapes(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph, *yes = new_body(g, "yes"), *no = new_body(g, "no");
    float both[] = {10, 20};
    sdx_id c = add_input(g, "c", SDX_BOOL, DIMS(1)), x = add_input(g, "x", SDX_F32, DIMS(2));
    sdx_id a = add_node(g, "Neg", "a", IDS(x));
    add_output(yes, add_node(yes, "Add", "sum", IDS(capture(yes, a), add_constant(yes, "k", SDX_F32, DIMS(2), both))));
    add_output(no, add_node(no, "Concat", "twice", IDS(capture(no, a), capture(no, a))));
    set_int(no, no->nodes[0], "axis", 0);
    sdx_id chosen = add_node(g, "If", "chosen", IDS(c));
    set_body(g, g->nodes[g->n_nodes - 1], "then_branch", yes);
    set_body(g, g->nodes[g->n_nodes - 1], "else_branch", no);
    add_output(g, add_node(g, "Neg", "y", IDS(chosen)));
    finish_model(model);
    bool cond = true;
    float data[] = {1, 2}, want_yes[] = {-9, -18}, want_no[] = {1, 2, 1, 2};
    sdx_binding in[] = {{"c", new_tensor(SDX_BOOL, DIMS(1), &cond)}, {"x", new_tensor(SDX_F32, DIMS(2), data)}};
    expect_run(model, in, 2, "y", SDX_F32, DIMS(2), want_yes);
    *(bool *)in[0].value->tensor.data = false;
    expect_run(model, in, 2, "y", SDX_F32, DIMS(4), want_no);
    sdx_value_release(in[0].value);
    sdx_value_release(in[1].value);
    sdx_model_close(model);
}

static void branches_of_different_types_are_refused(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph, *yes = new_body(g, "yes"), *no = new_body(g, "no");
    float f = 1;
    int64_t i = 1;
    sdx_id c = add_input(g, "c", SDX_BOOL, SCALAR);
    add_output(yes, add_constant(yes, "f", SDX_F32, SCALAR, &f));
    add_output(no, add_constant(no, "i", SDX_I64, SCALAR, &i));
    add_output(g, add_node(g, "If", "y", IDS(c)));
    set_body(g, g->nodes[0], "then_branch", yes);
    set_body(g, g->nodes[0], "else_branch", no);
    assert_int_equal(sdx_load_finish(model, NULL, &test_error), SDX_TYPE);
    CONTAINS(test_error.message,
             "node 'y' (If, opset 21): output 0 is f32[] in then_branch; it is i64[] in else_branch");
    test_error = (sdx_error){0};
    sdx_model_close(model);
}

/* A body in a body reads a value two graphs out. */
static void nested_captures(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_graph *outer[2], *inner[2];
    sdx_id c = add_input(g, "c", SDX_BOOL, SCALAR), d = add_input(g, "d", SDX_BOOL, SCALAR);
    sdx_id x = add_node(g, "Exp", "e", IDS(add_input(g, "x", SDX_F32, DIMS(-1))));
    sdx_id top = add_node(g, "If", "y", IDS(c));
    for (int i = 0; i < 2; i++) {
        outer[i] = new_body(g, i ? "else" : "then");
        sdx_id here = capture(outer[i], x), flag = capture(outer[i], d);
        sdx_id low = add_node(outer[i], "If", i ? "low_else" : "low_then", IDS(flag));
        for (int k = 0; k < 2; k++) {
            inner[k] = new_body(outer[i], k ? "inner_else" : "inner_then");
            add_output(inner[k], add_node(inner[k], k ? "Neg" : "Identity", "z", IDS(capture(inner[k], here))));
            set_body(outer[i], outer[i]->nodes[0], k ? "else_branch" : "then_branch", inner[k]);
        }
        add_output(outer[i], i ? add_node(outer[i], "Add", "twice", IDS(low, low)) : low);
        set_body(g, g->nodes[1], i ? "else_branch" : "then_branch", outer[i]);
    }
    add_output(g, top);
    finish_model(model);
    bool flags[2] = {true, true};
    float data[] = {0, 0, 0};
    sdx_binding in[] = {{"c", new_tensor(SDX_BOOL, SCALAR, flags)},
                        {"d", new_tensor(SDX_BOOL, SCALAR, flags)},
                        {"x", new_tensor(SDX_F32, DIMS(3), data)}};
    for (int way = 0; way < 4; way++) {
        float v = (way & 1 ? 2.0f : 1.0f) * (way & 2 ? -1.0f : 1.0f), want[] = {v, v, v};
        *(bool *)in[0].value->tensor.data = !(way & 1);
        *(bool *)in[1].value->tensor.data = !(way & 2);
        expect_run(model, in, 3, "y", SDX_F32, DIMS(3), want);
    }
    for (int k = 0; k < 3; k++) sdx_value_release(in[k].value);
    sdx_model_close(model);
}

/* ---- Loop ----------------------------------------------------------------------------------------------------- */

/* v = v + x while trip < M and v < limit; scans v. x is captured. */
static sdx_model *counting(bool with_cond, bool body_decides) {
    sdx_model *model = new_model();
    sdx_graph *g = model->graph, *body = new_body(g, "body");
    float limit = 10;
    bool yes = true;
    sdx_id m = add_input(g, "m", SDX_I64, DIMS(1)), x = add_input(g, "x", SDX_F32, DIMS(1));
    sdx_id start = add_input(g, "start", SDX_F32, DIMS(1)), cond = add_input(g, "cond", SDX_BOOL, SCALAR);
    add_input(body, "trip", SDX_I64, SCALAR);
    add_input(body, "go_on", SDX_BOOL, SCALAR);
    sdx_id v = add_input(body, "v", SDX_F32, DIMS(1));
    sdx_id next = add_node(body, "Add", "next", IDS(v, capture(body, x)));
    sdx_id less = body_decides
                      ? add_node(body, "Less", "less", IDS(next, add_constant(body, "limit", SDX_F32, SCALAR, &limit)))
                      : add_constant(body, "yes", SDX_BOOL, SCALAR, &yes);
    add_output(body, less);
    add_output(body, next);
    add_output(body, add_node(body, "Neg", "scan", IDS(next)));
    sdx_node *loop = add_node_n(g, "Loop", "final", 2, IDS(m, with_cond ? cond : SDX_NONE, start));
    set_body(g, loop, "body", body);
    add_output(g, loop->out[0]);
    add_output(g, loop->out[1]);
    if (!with_cond) add_output(g, add_node(g, "Not", "unused", IDS(cond)));
    finish_model(model);
    return model;
}

static void trips_and_scans(void **state) {
    (void)state;
    float x = 3, start = 1, want4[] = {-4, -7, -10, -13}, want3[] = {-4, -7, -10}, final4 = 13, final3 = 10;
    int64_t m = 4;
    bool cond = true;
    sdx_binding in[] = {{"m", new_tensor(SDX_I64, DIMS(1), &m)},
                        {"x", new_tensor(SDX_F32, DIMS(1), &x)},
                        {"start", new_tensor(SDX_F32, DIMS(1), &start)},
                        {"cond", new_tensor(SDX_BOOL, SCALAR, &cond)}};
    sdx_model *plain = counting(true, false), *stops = counting(true, true), *ignores = counting(false, true);
    expect_run(plain, in, 4, "final", SDX_F32, DIMS(1), &final4);
    expect_run(plain, in, 4, "final1", SDX_F32, DIMS(4, 1), want4);
    expect_run(stops, in, 4, "final1", SDX_F32, DIMS(3, 1), want3); /* 10 is not below the limit: it was the last */
    expect_run(stops, in, 4, "final", SDX_F32, DIMS(1), &final3);
    expect_run(ignores, in, 4, "final1", SDX_F32, DIMS(4, 1), want4);
    *(bool *)in[3].value->tensor.data = false; /* zero trips */
    expect_run(plain, in, 4, "final", SDX_F32, DIMS(1), &start);
    expect_run(plain, in, 4, "final1", SDX_F32, DIMS(0, 1), NULL);
    *(bool *)in[3].value->tensor.data = true;
    *(int64_t *)in[0].value->tensor.data = -5;
    expect_run(plain, in, 4, "final", SDX_F32, DIMS(1), &start);
    for (int k = 0; k < 4; k++) sdx_value_release(in[k].value);
    sdx_model_close(plain);
    sdx_model_close(stops);
    sdx_model_close(ignores);
}

/* How often to run must be one number, also where its shape is known at run time only. */
static void trips_must_be_one_number(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph, *body = new_body(g, "body");
    sdx_id m = add_input(g, "m", SDX_I64, DIMS(-1)), x = add_input(g, "x", SDX_F32, DIMS(2));
    sdx_id kept = add_node(g, "Compress", "kept", IDS(m, add_input(g, "which", SDX_BOOL, DIMS(-1))));
    add_input(body, "trip", SDX_I64, SCALAR);
    add_output(body, add_input(body, "go_on", SDX_BOOL, SCALAR));
    add_output(body, add_node(body, "Neg", "n", IDS(add_input(body, "v", SDX_F32, DIMS(2)))));
    sdx_node *loop = add_node_n(g, "Loop", "y", 1, IDS(kept, SDX_NONE, x));
    set_body(g, loop, "body", body);
    add_output(g, loop->out[0]);
    finish_model(model);
    int64_t trips[] = {3, 4};
    bool which[] = {true, false};
    float data[] = {1, 2}, want[] = {-1, -2};
    sdx_binding in[] = {{"m", new_tensor(SDX_I64, DIMS(2), trips)},
                        {"which", new_tensor(SDX_BOOL, DIMS(2), which)},
                        {"x", new_tensor(SDX_F32, DIMS(2), data)}};
    expect_run(model, in, 3, "y", SDX_F32, DIMS(2), want);
    ((bool *)in[1].value->tensor.data)[0] = false;
    expect_failure(model, in, 3, "y", SDX_SHAPE, "input 'M' has 0 elements; it must have 1");
    for (int k = 0; k < 3; k++) sdx_value_release(in[k].value);
    sdx_model_close(model);
}

/* v = Concat(v, v): the carried shape grows; scanning it cannot be stacked. */
static void growing_values(void **state) {
    (void)state;
    for (int scanned = 0; scanned < 2; scanned++) {
        sdx_model *model = new_model();
        sdx_graph *g = model->graph, *body = new_body(g, "body");
        int64_t trips = 3;
        float start = 5, want[] = {5, 5, 5, 5, 5, 5, 5, 5};
        sdx_id m = add_constant(g, "m", SDX_I64, SCALAR, &trips), s = add_input(g, "s", SDX_F32, DIMS(1));
        add_input(body, "trip", SDX_I64, SCALAR);
        sdx_id go_on = add_input(body, "go_on", SDX_BOOL, SCALAR), v = add_input(body, "v", SDX_F32, DIMS(1));
        sdx_id next = add_node(body, "Concat", "next", IDS(v, v));
        set_int(body, body->nodes[0], "axis", 0);
        add_output(body, go_on);
        add_output(body, next);
        if (scanned) add_output(body, next);
        sdx_node *loop = add_node_n(g, "Loop", "y", 1 + scanned, IDS(m, SDX_NONE, s));
        set_body(g, loop, "body", body);
        add_output(g, loop->out[scanned]);
        finish_model(model);
        sdx_binding in = {"s", new_tensor(SDX_F32, DIMS(1), &start)};
        if (scanned)
            expect_failure(model, &in, 1, "y1", SDX_SHAPE,
                           "node 'y' (Loop, opset 21): the body gives f32[4] in trip 1");
        else
            expect_run(model, &in, 1, "y", SDX_F32, DIMS(8), want);
        sdx_value_release(in.value);
        sdx_model_close(model);
    }
}

/* Strings carried and scanned outlive the trips that made them. */
static void strings_in_loops(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph, *body = new_body(g, "body");
    int64_t trips = 2;
    sdx_string word = {"some text that is not short", 27};
    sdx_id m = add_constant(g, "m", SDX_I64, SCALAR, &trips), s = add_input(g, "s", SDX_STRING, DIMS(1));
    add_input(body, "trip", SDX_I64, SCALAR);
    sdx_id go_on = add_input(body, "go_on", SDX_BOOL, SCALAR), v = add_input(body, "v", SDX_STRING, DIMS(-1));
    sdx_id next = add_node(body, "Concat", "next", IDS(v, v));
    set_int(body, body->nodes[0], "axis", 0);
    add_output(body, go_on);
    add_output(body, next);
    add_output(body, add_node(body, "Identity", "same", IDS(capture(body, s))));
    sdx_node *loop = add_node_n(g, "Loop", "y", 2, IDS(m, SDX_NONE, s));
    set_body(g, loop, "body", body);
    add_output(g, loop->out[0]);
    add_output(g, loop->out[1]);
    finish_model(model);
    sdx_session *session = new_session(model, 1);
    sdx_binding in = {"s", NULL}, out[] = {{"y", NULL}, {"y1", NULL}};
    OK(sdx_value_from_strings(DIMS(1), &word, &test_error, &in.value));
    OK(sdx_session_run(session, &in, 1, out, 2, &test_error));
    sdx_value_release(in.value);
    sdx_session_destroy(session);
    sdx_model_close(model);
    const int64_t counts[] = {4, 2};
    for (int k = 0; k < 2; k++) {
        assert_int_equal(sdx_value_count(out[k].value), counts[k]);
        const sdx_string *strings = sdx_value_data(out[k].value);
        for (int64_t i = 0; i < counts[k]; i++) {
            assert_int_equal(strings[i].size, word.size);
            assert_memory_equal(strings[i].data, word.data, word.size);
        }
        sdx_value_release(out[k].value);
    }
}

/* ---- Scan ----------------------------------------------------------------------------------------------------- */

/* state + column for columns of x [2,3] from the last to the first; the sums are stacked as columns, reversed too. */
static void scan_axes_and_directions(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph, *body = new_body(g, "body");
    sdx_id s = add_input(g, "s", SDX_F32, DIMS(2)), x = add_input(g, "x", SDX_F32, DIMS(2, -1));
    sdx_id a = add_input(body, "a", SDX_F32, DIMS(2)), b = add_input(body, "b", SDX_F32, DIMS(2));
    sdx_id sum = add_node(body, "Add", "sum", IDS(a, b));
    add_output(body, sum);
    add_output(body, add_node(body, "Identity", "copy", IDS(sum)));
    sdx_node *scan = add_node_n(g, "Scan", "y", 2, IDS(s, x));
    int64_t axis = -1, back = 1;
    set_body(g, scan, "body", body);
    set_int(g, scan, "num_scan_inputs", 1);
    set_ints(g, scan, "scan_input_axes", 1, &axis);
    set_ints(g, scan, "scan_output_axes", 1, &axis);
    set_ints(g, scan, "scan_input_directions", 1, &back);
    set_ints(g, scan, "scan_output_directions", 1, &back);
    add_output(g, scan->out[0]);
    add_output(g, scan->out[1]);
    finish_model(model);
    float start[] = {100, 200}, data[] = {1, 2, 3, 4, 5, 6}, final[] = {106, 215},
          want[] = {106, 105, 103, 215, 211, 206};
    sdx_binding in[] = {{"s", new_tensor(SDX_F32, DIMS(2), start)}, {"x", new_tensor(SDX_F32, DIMS(2, 3), data)}};
    expect_run(model, in, 2, "y", SDX_F32, DIMS(2), final);
    expect_run(model, in, 2, "y1", SDX_F32, DIMS(2, 3), want);
    sdx_value_release(in[1].value);
    in[1].value = new_tensor(SDX_F32, DIMS(2, 0), NULL);
    expect_run(model, in, 2, "y", SDX_F32, DIMS(2), start);
    expect_run(model, in, 2, "y1", SDX_F32, DIMS(2, 0), NULL);
    sdx_value_release(in[0].value);
    sdx_value_release(in[1].value);
    sdx_model_close(model);
}

/* Version 8: batches of sequences with lengths; the second sequence is shorter, and walked from its own end. */
static void scan_of_batches(void **state) {
    (void)state;
    static sdx_opset old = {"", 8};
    sdx_model *model = new_model();
    sdx_graph *g = model->graph, *body = new_body(g, "body");
    model->opsets = &old;
    sdx_id n = add_input(g, "n", SDX_I64, DIMS(2)), s = add_input(g, "s", SDX_F32, DIMS(2, 1));
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2, 3, 1));
    sdx_id a = add_input(body, "a", SDX_F32, DIMS(1)), b = add_input(body, "b", SDX_F32, DIMS(1));
    sdx_id sum = add_node(body, "Add", "sum", IDS(a, b));
    add_output(body, sum);
    add_output(body, add_node(body, "Neg", "minus", IDS(sum)));
    sdx_node *scan = add_node_n(g, "Scan", "y", 2, IDS(n, s, x));
    int64_t back = 1, lengths[] = {3, 2};
    set_body(g, scan, "body", body);
    set_int(g, scan, "num_scan_inputs", 1);
    set_ints(g, scan, "directions", 1, &back);
    add_output(g, scan->out[0]);
    add_output(g, scan->out[1]);
    finish_model(model);
    float start[] = {0, 10}, data[] = {1, 2, 3, 4, 5, 6}, final[] = {6, 19}, want[] = {-3, -5, -6, -15, -19, 0};
    sdx_binding in[] = {{"n", new_tensor(SDX_I64, DIMS(2), lengths)},
                        {"s", new_tensor(SDX_F32, DIMS(2, 1), start)},
                        {"x", new_tensor(SDX_F32, DIMS(2, 3, 1), data)}};
    expect_run(model, in, 3, "y", SDX_F32, DIMS(2, 1), final);
    expect_run(model, in, 3, "y1", SDX_F32, DIMS(2, 3, 1), want);
    ((int64_t *)in[0].value->tensor.data)[1] = 4;
    expect_failure(model, in, 3, "y", SDX_VALUE, "entry 1 of input 'sequence_lens' is 4; it must be in [0, 3]");
    for (int k = 0; k < 3; k++) sdx_value_release(in[k].value);
    sdx_model_close(model);
}

static void bodies_that_do_not_fit_are_refused(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph, *body = new_body(g, "body");
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2));
    add_output(body, add_input(body, "only", SDX_F32, DIMS(2)));
    sdx_id y = add_node(g, "Loop", "y", IDS(SDX_NONE, SDX_NONE, x));
    set_body(g, g->nodes[0], "body", body);
    add_output(g, y);
    assert_int_equal(sdx_load_finish(model, NULL, &test_error), SDX_MALFORMED);
    CONTAINS(test_error.message, "the body has 1 inputs; it must have 3");
    test_error = (sdx_error){0};
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(branches_of_different_shapes),
        cmocka_unit_test(branches_of_different_types_are_refused),
        cmocka_unit_test(nested_captures),
        cmocka_unit_test(trips_and_scans),
        cmocka_unit_test(trips_must_be_one_number),
        cmocka_unit_test(growing_values),
        cmocka_unit_test(strings_in_loops),
        cmocka_unit_test(scan_axes_and_directions),
        cmocka_unit_test(scan_of_batches),
        cmocka_unit_test(bodies_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
