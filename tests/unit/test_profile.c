/* SPDX-License-Identifier: Apache-2.0
 * Profiles: every node that ran, in order, bodies after their node, with the right number of calls. */
#include "support.h"

static void counts_calls(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph, *body = new_body(g, "body");
    int64_t trips = 5;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1)), a = add_node(g, "Neg", "a", IDS(x));
    sdx_id view = add_node(g, "Flatten", "view", IDS(a));
    add_input(body, "trip", SDX_I64, SCALAR);
    add_output(body, add_input(body, "go_on", SDX_BOOL, SCALAR));
    add_output(body, add_node(body, "Exp", "inside", IDS(add_input(body, "v", SDX_F32, DIMS(-1)))));
    sdx_id loop = add_node(g, "Loop", "loop", IDS(add_constant(g, "m", SDX_I64, SCALAR, &trips), SDX_NONE, a));
    set_body(g, g->nodes[g->n_nodes - 1], "body", body);
    add_output(g, add_node(g, "Neg", "y", IDS(loop)));
    add_output(g, view);
    finish_model(model);
    sdx_session_options options = {.size = sizeof options, .threads = 1, .profile = true};
    sdx_session *session = NULL;
    OK(sdx_session_create(model, &options, &test_error, &session));
    sdx_profile_row *rows = NULL;
    size_t n = 1;
    OK(sdx_session_profile(session, &test_error, &rows, &n));
    assert_int_equal(n, 0);
    sdx_free(rows);
    for (int64_t size = 1; size < 4; size++) {
        sdx_binding in = {"x", new_tensor(SDX_F32, DIMS(size), NULL)};
        sdx_value_release(run_one(session, &in, 1, "y"));
        sdx_value_release(in.value);
    }
    OK(sdx_session_profile(session, &test_error, &rows, &n));
    static const struct {
        const char *name, *op;
        uint64_t calls;
    } want[] = {{"a", "Neg", 3}, {"loop", "Loop", 3}, {"inside", "Exp", 15}, {"y", "Neg", 3}};
    assert_int_equal(n, 4);
    for (size_t k = 0; k < n; k++) {
        assert_string_equal(rows[k].node, want[k].name);
        assert_string_equal(rows[k].op_type, want[k].op);
        assert_string_equal(rows[k].domain, "");
        assert_int_equal(rows[k].calls, want[k].calls);
        assert_true(rows[k].nanoseconds > 0);
        assert_true(rows[k].least > 0 && rows[k].least * rows[k].calls <= rows[k].nanoseconds);
    }
    assert_true(rows[1].nanoseconds >= rows[2].nanoseconds); /* a node's time holds that of its bodies */
    sdx_free(rows);
    sdx_session_destroy(session);
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts_calls)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
