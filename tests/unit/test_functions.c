/* SPDX-License-Identifier: Apache-2.0
 * Model-local functions: what inlining gives, and what is refused before anything grows. */
#include "tests/unit/model_builder.h"

static void head(builder *b) {
    begin(b, 17);
    import_opset(b, "f", 1);
    add_input(b, b->graph, "x", SDX_F32, "2");
}

static void finish(builder *b, const char *name) {
    call(b, add_node(b, b->graph, name, "x", "y"))->name = text(b, "top");
    add_output(b, b->graph, "y", SDX_F32, NULL);
}

static void inlines_a_function(void **state) {
    (void)state;
    builder b;
    head(&b);
    Onnx__FunctionProto *f = add_function(&b, "F", "a unused", "r extra");
    function_node(&b, f, "Relu", "a", "t")->name = text(&b, "inner");
    function_node(&b, f, "Neg", "t", "r");
    function_node(&b, f, "Abs", "t", "extra");
    finish(&b, "F");
    sdx_model *model = must_load(&b, SDX_OPTIMISE_NONE);
    assert_int_equal(model->graph->n_nodes, 3);
    assert_string_equal(model->graph->nodes[0]->name, "top/inner");
    assert_string_equal(model->outputs[0].name, "y");
    assert_string_equal(model->graph->nodes[model->graph->values[model->graph->outputs[0]].producer]->op_type, "Neg");
    sdx_model_close(model);
    end(&b);
}

static int64_t axis_of(const sdx_model *model) {
    const sdx_attr *axis = sdx_node_attr(model->graph->nodes[0], "axis");
    return axis ? axis->i : 1000;
}

static void attributes_come_from_the_call(void **state) {
    (void)state;
    for (int given = 0; given < 2; given++) {
        for (int has_default = 0; has_default < 2; has_default++) {
            builder b;
            head(&b);
            Onnx__FunctionProto *f = add_function(&b, "F", "a", "r");
            attr_ref(&b, function_node(&b, f, "Softmax", "a", "r"), "axis", SDX_ATTR_INT, "which");
            Onnx__NodeProto holder = {.n_attribute = 0};
            attr_int(&b, &holder, "which", 0);
            if (has_default)
                push(&b, &f->attribute_proto, &f->n_attribute_proto, holder.attribute[0]);
            else
                push(&b, &f->attribute, &f->n_attribute, text(&b, "which"));
            finish(&b, "F");
            if (given) attr_int(&b, b.graph->node[0], "which", -1);
            sdx_model *model = must_load(&b, SDX_OPTIMISE_NONE);
            assert_int_equal(axis_of(model), given ? -1 : has_default ? 0 : 1000);
            sdx_model_close(model);
            end(&b);
        }
    }
}

/* One tensor in the function, many calls: every call sees its contents. */
static void constants_serve_all_calls(void **state) {
    (void)state;
    builder b;
    head(&b);
    Onnx__FunctionProto *f = add_function(&b, "F", "a", "r");
    float values[512] = {1.5f};
    int64_t n = 512;
    attr_tensor(&b, function_node(&b, f, "Constant", "", "k"), "value",
                raw_tensor(&b, "", SDX_F32, 1, &n, values, sizeof values));
    function_node(&b, f, "Identity", "k", "r");
    call(&b, add_node(&b, b.graph, "F", "x", "y"));
    call(&b, add_node(&b, b.graph, "F", "x", "z"));
    add_output(&b, b.graph, "y", SDX_F32, NULL);
    add_output(&b, b.graph, "z", SDX_F32, NULL);
    sdx_model *model = must_load(&b, SDX_OPTIMISE_ALL);
    for (int k = 0; k < 2; k++) {
        const sdx_value *value = model->graph->values[model->graph->outputs[k]].constant;
        assert_non_null(value);
        assert_true(*(const float *)value->tensor.data == 1.5f);
    }
    sdx_model_close(model);
    end(&b);
}

static void passes_inputs_through(void **state) {
    (void)state;
    builder b;
    head(&b);
    add_function(&b, "F", "a", "a");
    finish(&b, "F");
    sdx_model *model = must_load(&b, SDX_OPTIMISE_NONE);
    assert_int_equal(count_nodes(model->graph, "Identity"), 1);
    sdx_model_close(model);
    end(&b);
}

/* A graph attribute is read in the caller's scope, wherever the function uses it. */
static void graphs_come_from_the_call(void **state) {
    (void)state;
    builder b;
    head(&b);
    add_input(&b, b.graph, "c", SDX_BOOL, "");
    Onnx__FunctionProto *f = add_function(&b, "F", "cond", "r");
    push(&b, &f->attribute, &f->n_attribute, text(&b, "body"));
    Onnx__NodeProto *node = function_node(&b, f, "If", "cond", "r");
    attr_ref(&b, node, "then_branch", SDX_ATTR_GRAPH, "body");
    attr_ref(&b, node, "else_branch", SDX_ATTR_GRAPH, "body");
    Onnx__GraphProto *body = new_graph(&b, "body");
    add_node(&b, body, "Relu", "x", "inside");
    add_output(&b, body, "inside", SDX_F32, NULL);
    attr_graph(&b, call(&b, add_node(&b, b.graph, "F", "c", "y")), "body", body);
    add_output(&b, b.graph, "y", SDX_F32, "2");
    sdx_model *model = must_load(&b, SDX_OPTIMISE_ALL);
    sdx_model_close(model);
    end(&b);
}

static void overloads_are_apart(void **state) {
    (void)state;
    builder b;
    head(&b);
    function_node(&b, add_function(&b, "F", "a", "r"), "Relu", "a", "r");
    Onnx__FunctionProto *other = add_function(&b, "F", "a", "r");
    other->overload = text(&b, "neg");
    function_node(&b, other, "Neg", "a", "r");
    finish(&b, "F");
    b.graph->node[0]->overload = text(&b, "neg");
    sdx_model *model = must_load(&b, SDX_OPTIMISE_NONE);
    assert_string_equal(model->graph->nodes[0]->op_type, "Neg");
    sdx_model_close(model);
    end(&b);
}

/* ---- refused ---- */

/* f0 calls f1 calls f2 ... `times` times each. */
static void chain(builder *b, int n, int times) {
    char name[32], next[32], from[32], to[32];
    for (int k = 0; k < n; k++) {
        snprintf(name, sizeof name, "f%d", k);
        snprintf(next, sizeof next, "f%d", k + 1);
        Onnx__FunctionProto *f = add_function(b, name, "v0", "r");
        for (int t = 0; t < times; t++) {
            snprintf(from, sizeof from, "v%d", t);
            snprintf(to, sizeof to, t + 1 == times ? "r" : "v%d", t + 1);
            Onnx__NodeProto *node = function_node(b, f, k + 1 == n ? "Relu" : next, from, to);
            if (k + 1 < n) call(b, node);
        }
    }
}

static void refuses_growth(void **state) {
    (void)state;
    builder b;
    int64_t start = sdx_clock_ns();
    head(&b);
    chain(&b, 3000, 1);
    finish(&b, "f0");
    must_refuse(&b, SDX_MALFORMED, "more than 100 deep");
    end(&b);
    head(&b);
    chain(&b, 24, 2);
    finish(&b, "f0");
    must_refuse(&b, SDX_LIMIT, "inlining|nodes");
    end(&b);
    double seconds = (double)(sdx_clock_ns() - start) * 1e-9;
    if (seconds > 2) fail_msg("refusing took %.2f s", seconds);
    head(&b);
    chain(&b, 99, 1);
    finish(&b, "f0");
    sdx_model *model = must_load(&b, SDX_OPTIMISE_ALL);
    sdx_model_close(model);
    end(&b);
}

static void refuses_recursion(void **state) {
    (void)state;
    builder b;
    head(&b);
    call(&b, function_node(&b, add_function(&b, "F", "a", "r"), "F", "a", "r"));
    finish(&b, "F");
    must_refuse(&b, SDX_MALFORMED, "'F' calls itself");
    end(&b);
    head(&b);
    call(&b, function_node(&b, add_function(&b, "F", "a", "r"), "G", "a", "r"));
    call(&b, function_node(&b, add_function(&b, "G", "a", "r"), "F", "a", "r"));
    finish(&b, "F");
    must_refuse(&b, SDX_MALFORMED, "calls itself");
    end(&b);
    head(&b);
    Onnx__FunctionProto *f = add_function(&b, "F", "a", "r");
    Onnx__GraphProto *body = new_graph(&b, "body");
    call(&b, add_node(&b, body, "F", "a", "inside"));
    attr_graph(&b, function_node(&b, f, "If", "a", "r"), "then_branch", body);
    finish(&b, "F");
    must_refuse(&b, SDX_MALFORMED, "'F' calls itself");
    end(&b);
}

static void refuses_bad_calls(void **state) {
    (void)state;
    builder b;
    head(&b);
    add_function(&b, "F", "a", "r");
    add_function(&b, "F", "a", "r");
    finish(&b, "F");
    must_refuse(&b, SDX_MALFORMED, "'F' is defined twice");
    end(&b);
    head(&b);
    add_function(&b, "F", "a", "r");
    finish(&b, "F");
    must_refuse(&b, SDX_MALFORMED, "node 'top' (f.F)|'r' of the function is never made");
    end(&b);
    head(&b);
    function_node(&b, add_function(&b, "F", "a", "r"), "Relu", "a", "r");
    call(&b, add_node(&b, b.graph, "F", "x x", "y"));
    add_output(&b, b.graph, "y", SDX_F32, NULL);
    must_refuse(&b, SDX_MALFORMED, "2 inputs; the function has 1");
    end(&b);
    head(&b);
    function_node(&b, add_function(&b, "F", "a", "r"), "Relu", "x", "r");
    finish(&b, "F");
    must_refuse(&b, SDX_MALFORMED, "'x' is not defined");
    end(&b);
    head(&b);
    attr_ref(&b, function_node(&b, add_function(&b, "F", "a", "r"), "Softmax", "a", "r"), "axis", SDX_ATTR_INT, "k");
    finish(&b, "F");
    must_refuse(&b, SDX_MALFORMED, "refers to 'k', which the function does not declare");
    end(&b);
    head(&b);
    function_node(&b, add_function(&b, "F", "a", "r"), "Relu", "a", "r");
    finish(&b, "F");
    attr_int(&b, b.graph->node[0], "odd", 1);
    must_refuse(&b, SDX_MALFORMED, "'odd' does not exist in the function");
    end(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inlines_a_function),
        cmocka_unit_test(attributes_come_from_the_call),
        cmocka_unit_test(constants_serve_all_calls),
        cmocka_unit_test(passes_inputs_through),
        cmocka_unit_test(graphs_come_from_the_call),
        cmocka_unit_test(overloads_are_apart),
        cmocka_unit_test(refuses_growth),
        cmocka_unit_test(refuses_recursion),
        cmocka_unit_test(refuses_bad_calls),
    };
    return cmocka_run_group_tests_name("functions", tests, NULL, NULL);
}
