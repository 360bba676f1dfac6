/* SPDX-License-Identifier: Apache-2.0
 * The getters of sdx_bind: the node's value, the row's default, nothing; sticky errors. */
#include "ops/registry.h"
#include "tests/unit/support.h"

static const sdx_op_version version = {
    5, "-> Y:f32", "",
    "axis:int=-1 eps:float=0.25 mode:string=linear kind:string pads:ints names:strings=[a,b] w:floats "
    "t:tensor body:graph"};

typedef struct fixture {
    sdx_model *model;
    sdx_node *node;
    sdx_bind bind;
    sdx_error error;
} fixture;

static void start(fixture *f) {
    *f = (fixture){.model = new_model()};
    f->node = add_node_n(f->model->graph, "Any", "y", 1, 0, NULL);
    OK(sdx_row_parse(&version, &f->model->arena, &test_error, &f->node->row));
    f->bind = (sdx_bind){.error = &f->error, .node = f->node, .since = 5, .arena = &f->model->arena};
}

static void defaults_of_the_row(void **state) {
    (void)state;
    fixture f;
    size_t n = 9;
    start(&f);
    assert_int_equal(sdx_bind_int(&f.bind, "axis"), -1);
    assert_true(sdx_bind_float(&f.bind, "eps") == 0.25f);
    assert_string_equal(sdx_bind_string(&f.bind, "mode").data, "linear");
    assert_int_equal(sdx_bind_string(&f.bind, "kind").size, 0);
    assert_int_equal(sdx_bind_ints(&f.bind, "pads").n, 0);
    assert_null(sdx_bind_floats(&f.bind, "w", &n));
    assert_int_equal(n, 0);
    assert_string_equal(sdx_bind_strings(&f.bind, "names", &n)[1].data, "b");
    assert_int_equal(n, 2);
    assert_null(sdx_bind_value(&f.bind, "t"));
    assert_int_equal(sdx_bind_body(&f.bind, "body"), -1);
    assert_false(sdx_bind_has(&f.bind, "axis"));
    assert_int_equal(f.bind.status, SDX_OK);
    sdx_model_close(f.model);
}

static void values_of_the_node(void **state) {
    (void)state;
    fixture f;
    start(&f);
    set_int(f.model->graph, f.node, "axis", 3);
    set_ints(f.model->graph, f.node, "pads", 2, (int64_t[]){4, 5});
    sdx_graph *body = new_body(f.model->graph, "b");
    set_body(f.model->graph, f.node, "body", body);
    assert_int_equal(sdx_bind_int(&f.bind, "axis"), 3);
    assert_int_equal(sdx_bind_ints(&f.bind, "pads").data[1], 5);
    assert_int_equal(sdx_bind_body(&f.bind, "body"), 0);
    assert_true(sdx_bind_has(&f.bind, "axis"));
    sdx_model_close(f.model);
}

static void choices(void **state) {
    (void)state;
    static const char *const allowed[] = {"nearest", "linear", "cubic"};
    fixture f;
    start(&f);
    assert_int_equal(sdx_bind_choice(&f.bind, "mode", allowed, 3), 1);
    assert_int_equal(sdx_bind_choice(&f.bind, "kind", allowed, 3), -1);
    assert_int_equal(f.bind.status, SDX_OK);
    sdx_attr attr = {.name = "mode", .type = SDX_ATTR_STRING, .n = 1, .s = {"square\n", 7}};
    OK(sdx_node_set_attr(f.model->graph, f.node, &attr, &test_error));
    assert_int_equal(sdx_bind_choice(&f.bind, "mode", allowed, 3), -1);
    assert_int_equal(f.bind.status, SDX_VALUE);
    assert_string_equal(f.error.message,
                        "attribute 'mode' is 'square\\x0a'; it must be 'nearest', 'linear' or 'cubic'");
    sdx_model_close(f.model);
}

static void errors_stick(void **state) {
    (void)state;
    fixture f;
    start(&f);
    assert_int_equal(sdx_bind_int(&f.bind, "nothing"), 0);
    assert_int_equal(f.bind.status, SDX_MALFORMED);
    CONTAINS(f.error.message, "'nothing'");
    assert_int_equal(sdx_bind_fail(&f.bind, SDX_VALUE, "later"), SDX_MALFORMED);
    CONTAINS(f.error.message, "'nothing'");
    sdx_model_close(f.model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(defaults_of_the_row), cmocka_unit_test(values_of_the_node),
                                       cmocka_unit_test(choices), cmocka_unit_test(errors_stick)};
    return cmocka_run_group_tests_name("bind", tests, NULL, NULL);
}
