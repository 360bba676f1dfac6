/* SPDX-License-Identifier: Apache-2.0
 * What the framework does around op->infer: type variables, presets, declared types, bodies. */
#include "runtime/load/internal.h"
#include "tests/unit/support.h"

typedef struct fixture {
    sdx_memory memory;
    sdx_arena arena;
    sdx_error error;
} fixture;

static void start(fixture *f) {
    *f = (fixture){.error = {0}};
    sdx_memory_init(&f->memory, 0);
    sdx_arena_init(&f->arena, &f->memory);
}

static sdx_type seq_of(fixture *f, sdx_type elem) {
    sdx_type *copy = SDX_NEW(&f->arena, sdx_type, NULL);
    *copy = elem;
    return (sdx_type){.kind = SDX_SEQUENCE, .rank = -1, .elem = copy};
}

static sdx_status unify(fixture *f, const char *signature, const char *types, int n_in, const sdx_type *in, int n_out,
                        sdx_type *out) {
    sdx_op_version version = {1, signature, types, ""};
    const sdx_row *row = NULL;
    const sdx_type *pointers[8] = {NULL};
    f->error = (sdx_error){0};
    for (int k = 0; k < n_in; k++) pointers[k] = in[k].kind == 99 ? NULL : &in[k];
    if (sdx_row_parse(&version, &f->arena, &f->error, &row) != SDX_OK) fail_msg("%s", f->error.message);
    return sdx_load_unify(row, n_in, pointers, n_out, out, &f->arena, &f->error);
}

static void variables_reach_the_outputs(void **state) {
    (void)state;
    fixture f;
    sdx_type out[3];
    start(&f);
    sdx_type in[] = {sdx_type_make(SDX_F16, 2), {.rank = -1}, sdx_type_make(SDX_I64, 0)};
    OK(unify(&f, "X:T B:T i:i64 -> Y:T n:i64 Z:seq(T)", "T=f16|f32", 3, in, 3, out));
    assert_true(out[0].kind == SDX_TENSOR && out[0].dtype == SDX_F16 && out[0].rank == -1);
    assert_true(out[1].dtype == SDX_I64);
    assert_true(out[2].kind == SDX_SEQUENCE && out[2].elem->dtype == SDX_F16);
    sdx_type unknown = {.rank = -1};
    OK(unify(&f, "X:T -> Y:T Z:U", "T=f16|f32 U=bool", 1, &unknown, 2, out));
    assert_int_equal(out[0].kind, 0);
    assert_int_equal(out[1].dtype, SDX_BOOL);
    sdx_type seq = seq_of(&f, sdx_type_make(SDX_I32, 1));
    OK(unify(&f, "S:seq(T) x:T -> Y:T", "T=i32|f32", 2, (sdx_type[]){seq, sdx_type_make(SDX_I32, 0)}, 1, out));
    assert_int_equal(out[0].dtype, SDX_I32);
    OK(unify(&f, "xs:V** -> ys:V**", "V=i32|f32", 2, (sdx_type[]){sdx_type_make(SDX_I32, 0), sdx_type_make(SDX_F32, 0)},
             2, out));
    assert_int_equal(out[0].kind, 0);
    sdx_arena_release(&f.arena);
}

static void refuses_types(void **state) {
    (void)state;
    fixture f;
    sdx_type out[1], f64 = sdx_type_make(SDX_F64, 1), f32 = sdx_type_make(SDX_F32, 1), f16 = sdx_type_make(SDX_F16, 1);
    start(&f);
    sdx_type seq = seq_of(&f, f32), deep = seq_of(&f, seq);
    const struct {
        const char *signature, *types, *message;
        sdx_type in[2];
        int n;
    } cases[] = {
        {"X:T -> Y:T", "T=f16|f32", "input 'X' is f64; T allows f16|f32", {f64}, 1},
        {"X:i64 -> Y:f32", "", "input 'X' is f64; it must be i64", {f64}, 1},
        {"A:T B:T -> Y:T",
         "T=f16|f32",
         "input 'B' is f32, but 'A' is f16; both are T and must be the same",
         {f16, f32},
         2},
        {"X:T -> Y:T", "T=f16|f32", "input 'X' is seq(f32); T allows f16|f32", {seq}, 1},
        {"S:seq(T) -> Y:T", "T=f32", "input 'S' is f32; it must be a sequence of T", {f32}, 1},
        {"S:T -> Y:f32",
         "T=seq(f32)|opt(seq(f32))",
         "input 'S' is nested too deeply; T allows seq(f32)|opt(seq(f32))",
         {deep},
         1},
        {"xs:T* -> Y:T",
         "T=f16|f32",
         "input 'xs' is f16, but 'xs' is f32; both are T and must be the same",
         {f32, f16},
         2},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        assert_int_equal(unify(&f, cases[k].signature, cases[k].types, cases[k].n, cases[k].in, 1, out), SDX_TYPE);
        assert_string_equal(f.error.message, cases[k].message);
    }
    sdx_arena_release(&f.arena);
}

static void declared_and_inferred(void **state) {
    (void)state;
    sdx_type a = sdx_type_make(SDX_F32, 2), b = sdx_type_make(SDX_F32, 2), merged;
    a.dim[0] = -2, a.dim[1] = 4;
    b.dim[0] = 3, b.dim[1] = -1;
    assert_true(sdx_load_merge_types(&a, &b, true, &merged));
    assert_int_equal(merged.dim[0], 3);
    assert_int_equal(merged.dim[1], 4);
    b.dim[1] = 5;
    assert_false(sdx_load_merge_types(&a, &b, true, &merged));
    assert_true(sdx_load_merge_types(&a, &b, false, &merged));
    assert_int_equal(merged.dim[1], 5);
    b.rank = 1;
    assert_false(sdx_load_merge_types(&a, &b, true, &merged));
    b = sdx_type_make(SDX_F16, -1);
    assert_false(sdx_load_merge_types(&a, &b, false, &merged));
    b = (sdx_type){.rank = -1};
    assert_true(sdx_load_merge_types(&a, &b, true, &merged));
    assert_int_equal(merged.rank, 2);
}

static void shapes_flow_through_graphs_and_bodies(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id cond = add_input(g, "c", SDX_BOOL, SCALAR), x = add_input(g, "x", SDX_F32, DIMS(2, 3));
    sdx_id shape = add_constant(g, "s", SDX_I64, DIMS(1), (int64_t[]){-1});
    sdx_node *node = add_node_n(g, "If", "y", 1, 1, &cond);
    sdx_graph *bodies[2];
    for (int k = 0; k < 2; k++) {
        bodies[k] = new_body(g, k ? "else" : "then");
        sdx_id in[] = {capture(bodies[k], x), capture(bodies[k], shape)};
        add_output(bodies[k], add_node(bodies[k], "Reshape", "flat", 2, in));
        set_body(g, node, k ? "else_branch" : "then_branch", bodies[k]);
    }
    add_output(g, add_node(g, "Neg", "z", 1, node->out));
    finish_model(model);
    const sdx_type *z = &g->values[g->outputs[0]].type;
    assert_int_equal(z->rank, 1);
    assert_int_equal(z->dim[0], 6); /* the captured constant was read */
    assert_int_equal(bodies[0]->values[bodies[0]->outputs[0]].type.dim[0], 6);
    sdx_model_close(model);
}

static void errors_name_stage_model_and_node(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2, 3));
    sdx_node *node = add_node_n(g, "Softmax", "probs", 1, 1, &x);
    set_int(g, node, "axis", 3);
    add_output(g, node->out[0]);
    sdx_error error = {0};
    sdx_model_options options = {.size = sizeof options};
    assert_int_equal(sdx_load_finish(model, &options, &error), SDX_SHAPE);
    CONTAINS(error.message, "shape inference of 'test.onnx': node 'probs' (Softmax, opset 13): ");
    CONTAINS(error.message, "'axis'");
    CONTAINS(error.message, "3");
    sdx_model_close(model);
}

/* Inference of a node for a plan writes nothing to the graph. */
static void inference_for_plans_leaves_the_graph_alone(void **state) {
    (void)state;
    fixture f;
    start(&f);
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1, 3));
    add_output(g, add_node(g, "Relu", "y", 1, &x));
    finish_model(model);
    sdx_type in = sdx_type_make(SDX_F32, 2), out;
    in.dim[0] = 7, in.dim[1] = 3;
    OK(sdx_infer_node(g, g->nodes[0], (const sdx_type *[]){&in}, NULL, NULL, 1, &f.arena, &test_error, &out));
    assert_int_equal(out.dim[0], 7);
    assert_int_equal(g->values[g->outputs[0]].type.dim[0], -1);
    sdx_model_close(model);
    sdx_arena_release(&f.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_reach_the_outputs),
        cmocka_unit_test(refuses_types),
        cmocka_unit_test(declared_and_inferred),
        cmocka_unit_test(shapes_flow_through_graphs_and_bodies),
        cmocka_unit_test(errors_name_stage_model_and_node),
        cmocka_unit_test(inference_for_plans_leaves_the_graph_alone),
    };
    return cmocka_run_group_tests_name("infer", tests, NULL, NULL);
}
