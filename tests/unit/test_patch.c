/* SPDX-License-Identifier: Apache-2.0
 * Rewriting through patches. */
#include "runtime/graph/patch.h"
#include "tests/unit/support.h"

/* x -> Relu(a) -> Neg(y), y the output */
typedef struct fixture {
    sdx_model *model;
    sdx_graph *g;
    sdx_id x, a, y;
    sdx_patch patch;
} fixture;

static void start(fixture *f) {
    f->model = new_model();
    f->g = f->model->graph;
    f->x = add_input(f->g, "x", SDX_F32, DIMS(2));
    f->a = add_node(f->g, "Relu", "a", 1, &f->x);
    f->y = add_node(f->g, "Neg", "y", 1, &f->a);
    add_output(f->g, f->y);
    OK(sdx_graph_sort(f->g, &test_error));
    sdx_patch_begin(&f->patch, f->g, &test_error);
}

static void finish(fixture *f) {
    OK(sdx_graph_check(f->g, &test_error));
    sdx_model_close(f->model);
}

static void replaces_in_the_middle(void **state) {
    (void)state;
    fixture f;
    start(&f);
    sdx_node *old = f.g->nodes[0];
    f.patch.origin = old;
    sdx_id abs = sdx_emit1(&f.patch, "Abs", f.x), sum = sdx_emit2(&f.patch, "Add", abs, f.x);
    sdx_patch_replace(&f.patch, f.a, sum);
    sdx_patch_remove(&f.patch, old);
    OK(sdx_patch_commit(&f.patch));
    assert_int_equal(f.g->n_nodes, 3);
    assert_string_equal(f.g->nodes[2]->op_type, "Neg");
    assert_int_equal(f.g->nodes[2]->in[0], sum);
    finish(&f);
}

static void outputs_keep_their_names(void **state) {
    (void)state;
    fixture f;
    start(&f);
    sdx_id by = sdx_emit1(&f.patch, "Abs", f.a);
    sdx_patch_replace(&f.patch, f.y, by);
    sdx_patch_remove(&f.patch, f.g->nodes[1]);
    OK(sdx_patch_commit(&f.patch));
    assert_int_equal(f.g->n_nodes, 2);
    assert_int_equal(f.g->outputs[0], by);
    assert_string_equal(f.g->values[by].name, "y");
    finish(&f);
}

static void an_input_gets_an_identity_before_the_output(void **state) {
    (void)state;
    fixture f;
    start(&f);
    sdx_patch_replace(&f.patch, f.y, f.x);
    sdx_patch_remove(&f.patch, f.g->nodes[1]);
    sdx_patch_remove(&f.patch, f.g->nodes[0]);
    OK(sdx_patch_commit(&f.patch));
    assert_int_equal(f.g->n_nodes, 1);
    assert_string_equal(f.g->nodes[0]->op_type, "Identity");
    assert_string_equal(f.g->values[f.g->outputs[0]].name, "y");
    finish(&f);
}

static void follows_chains(void **state) {
    (void)state;
    fixture f;
    start(&f);
    sdx_id b = sdx_emit1(&f.patch, "Abs", f.x), c = sdx_emit1(&f.patch, "Exp", f.x);
    sdx_patch_replace(&f.patch, f.a, b);
    sdx_patch_replace(&f.patch, b, c);
    sdx_patch_remove(&f.patch, f.g->nodes[0]);
    OK(sdx_patch_commit(&f.patch));
    for (int k = 0; k < f.g->n_nodes; k++)
        if (strcmp(f.g->nodes[k]->op_type, "Neg") == 0) assert_int_equal(f.g->nodes[k]->in[0], c);
    finish(&f);
}

static void refuses_rings(void **state) {
    (void)state;
    fixture f;
    start(&f);
    sdx_id b = sdx_emit1(&f.patch, "Abs", f.x);
    sdx_patch_replace(&f.patch, f.a, b);
    sdx_patch_replace(&f.patch, b, f.a);
    assert_int_equal(sdx_patch_commit(&f.patch), SDX_MALFORMED);
    sdx_model_close(f.model);
}

static void captures_follow(void **state) {
    (void)state;
    fixture f;
    start(&f);
    sdx_node *owner = add_node_n(f.g, "If", "z", 1, 1, &f.x);
    sdx_graph *body = new_body(f.g, "body");
    add_output(body, capture(body, f.a));
    set_body(f.g, owner, "then_branch", body);
    sdx_id by = sdx_emit1(&f.patch, "Abs", f.x);
    sdx_patch_replace(&f.patch, f.a, by);
    sdx_patch_remove(&f.patch, f.g->nodes[0]);
    OK(sdx_patch_commit(&f.patch));
    assert_int_equal(body->captures[0].outer, by);
    assert_int_equal(capture(body, by), body->captures[0].inner);
    finish(&f);
}

static void bodies_move_between_nodes(void **state) {
    (void)state;
    fixture f;
    start(&f);
    sdx_node *owner = add_node_n(f.g, "If", "z", 1, 1, &f.x);
    sdx_graph *body = new_body(f.g, "body");
    sdx_id k = add_constant(body, "k", SDX_F32, DIMS(1), (float[]){3});
    add_output(body, k);
    set_body(f.g, owner, "then_branch", body);
    sdx_node *next = sdx_patch_node(&f.patch, "", "If", 1, &f.x, 1);
    sdx_patch_attrs_of(&f.patch, next, owner, NULL, 0);
    sdx_patch_replace(&f.patch, owner->out[0], next->out[0]);
    sdx_patch_remove(&f.patch, owner);
    OK(sdx_patch_commit(&f.patch));
    assert_int_equal(body->references, 1);
    assert_non_null(body->values[k].constant);
    finish(&f);
}

static void makes_constants(void **state) {
    (void)state;
    fixture f;
    start(&f);
    sdx_id v = sdx_patch_i64s(&f.patch, (int64_t[]){1, -2, 3}, 3), i = sdx_patch_scalar(&f.patch, SDX_I8, -5);
    sdx_id h = sdx_patch_scalar(&f.patch, SDX_F16, 1.5), d = sdx_patch_scalar(&f.patch, SDX_F64, 0.1);
    sdx_id u = sdx_patch_scalar(&f.patch, SDX_U64, 0x1p63);
    expect_tensor(f.g->values[v].constant, SDX_I64, DIMS(3), (int64_t[]){1, -2, 3});
    expect_tensor(f.g->values[i].constant, SDX_I8, SCALAR, (int8_t[]){-5});
    expect_tensor(f.g->values[h].constant, SDX_F16, SCALAR, (uint16_t[]){0x3e00});
    expect_tensor(f.g->values[d].constant, SDX_F64, SCALAR, (double[]){0.1});
    expect_tensor(f.g->values[u].constant, SDX_U64, SCALAR, (uint64_t[]){UINT64_C(1) << 63});
    assert_int_equal(f.g->values[v].type.dim[0], 3);
    sdx_error error = {0};
    f.patch.error = &error;
    assert_int_equal(sdx_patch_scalar(&f.patch, SDX_STRING, 1), SDX_NONE);
    assert_int_equal(f.patch.status, SDX_TYPE);
    sdx_node *node = sdx_patch_node(&f.patch, "", "Abs", 1, &f.x, 4); /* after the error: harmless */
    assert_int_equal(node->out[3], SDX_NONE);
    sdx_patch_int(&f.patch, node, "axis", 1);
    sdx_patch_replace(&f.patch, f.a, node->out[0]);
    assert_int_equal(sdx_patch_commit(&f.patch), SDX_TYPE);
    finish(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaces_in_the_middle),
        cmocka_unit_test(outputs_keep_their_names),
        cmocka_unit_test(an_input_gets_an_identity_before_the_output),
        cmocka_unit_test(follows_chains),
        cmocka_unit_test(refuses_rings),
        cmocka_unit_test(captures_follow),
        cmocka_unit_test(bodies_move_between_nodes),
        cmocka_unit_test(makes_constants),
    };
    return cmocka_run_group_tests_name("patch", tests, NULL, NULL);
}
