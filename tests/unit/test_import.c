/* SPDX-License-Identifier: Apache-2.0
 * Graphs that must be read, and those that must be refused with words that help. */
#include "tests/unit/model_builder.h"

/* x -> Relu -> y */
static void relu_model(builder *b) {
    begin(b, 17);
    add_input(b, b->graph, "x", SDX_F32, "2,N");
    add_node(b, b->graph, "Relu", "x", "y");
    add_output(b, b->graph, "y", SDX_F32, "2,N");
}

static void reads_a_small_model(void **state) {
    (void)state;
    builder b;
    relu_model(&b);
    sdx_model *model = must_load(&b, SDX_OPTIMISE_ALL);
    assert_int_equal(model->graph->n_nodes, 1);
    assert_int_equal(model->n_inputs, 1);
    assert_string_equal(model->inputs[0].name, "x");
    assert_int_equal(model->inputs[0].dtype, SDX_F32);
    assert_int_equal(model->inputs[0].rank, 2);
    assert_int_equal(model->inputs[0].dims[0], 2);
    assert_int_equal(model->inputs[0].dims[1], -1);
    assert_null(model->inputs[0].dim_names[0]);
    assert_string_equal(model->inputs[0].dim_names[1], "N");
    assert_string_equal(model->outputs[0].name, "y");
    assert_string_equal(model->outputs[0].dim_names[1], "N");
    sdx_model_close(model);
    end(&b);
}

/* ---- refused: the head ---- */

static void refuses_bad_heads(void **state) {
    (void)state;
    builder b;
    relu_model(&b);
    b.model->graph = NULL;
    must_refuse(&b, SDX_MALFORMED, "no graph|model.onnx");
    end(&b);
    relu_model(&b);
    b.model->n_opset_import = 0;
    must_refuse(&b, SDX_MALFORMED, "opset");
    end(&b);
    static const struct {
        int64_t ir, opset;
        sdx_status status;
        const char *words;
    } cases[] = {
        {8, -1, SDX_MALFORMED, "opset -1"},
        {8, 0, SDX_MALFORMED, "opset 0"},
        {8, INT64_C(1) << 40, SDX_MALFORMED, "opset 1099511627776"},
        {8, 99, SDX_UNSUPPORTED, "opset 99|newest known is 28"},
        {0, 17, SDX_MALFORMED, "ir_version"},
        {INT64_C(1) << 40, 17, SDX_UNSUPPORTED, "ir_version is 1099511627776|14"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        relu_model(&b);
        b.model->ir_version = cases[k].ir;
        b.model->opset_import[0]->version = cases[k].opset;
        must_refuse(&b, cases[k].status, cases[k].words);
        end(&b);
    }
    relu_model(&b);
    import_opset(&b, "ai.onnx", 18);
    must_refuse(&b, SDX_MALFORMED, "'ai.onnx' is imported twice|17|18");
    b.model->opset_import[1]->version = 17;
    sdx_model_close(must_load(&b, SDX_OPTIMISE_NONE));
    end(&b);
}

/* ---- refused: names and order ---- */

static void edit_cycle(builder *b) {
    add_node(b, b->graph, "Add", "x q", "p")->name = text(b, "first");
    add_node(b, b->graph, "Relu", "p", "q");
}
static void edit_self_loop(builder *b) { add_node(b, b->graph, "Add", "x p", "p"); }
static void edit_undefined(builder *b) { add_node(b, b->graph, "Add", "x nowhere", "p")->name = text(b, "sum"); }
static void edit_output(builder *b) { add_output(b, b->graph, "ghost", SDX_F32, NULL); }
static void edit_two_producers(builder *b) { add_node(b, b->graph, "Abs", "x", "y"); }
static void edit_output_is_input(builder *b) { add_node(b, b->graph, "Abs", "y", "x"); }
static void edit_input_twice(builder *b) { add_input(b, b->graph, "x", SDX_F32, NULL); }
static void edit_output_twice(builder *b) { add_output(b, b->graph, "y", SDX_F32, NULL); }
static void edit_initializer_twice(builder *b) {
    init_f32(b, b->graph, "w", 2, 1);
    init_f32(b, b->graph, "w", 2, 1);
}
static void edit_initializer_nameless(builder *b) { init_f32(b, b->graph, "", 2, 1); }
static void edit_input_untyped(builder *b) { add_input(b, b->graph, "z", -1, NULL); }
static void edit_input_undefined(builder *b) { add_input(b, b->graph, "z", SDX_UNDEFINED, NULL); }
static void edit_input_dtype(builder *b) { add_input(b, b->graph, "z", 99, NULL); }
static void edit_empty_op(builder *b) { add_node(b, b->graph, "", "x", "z"); }
static void edit_missing_input(builder *b) { add_node(b, b->graph, "Add", "x", "z")->name = text(b, "sum"); }
static void edit_absent_input(builder *b) { add_node(b, b->graph, "Add", "- x", "z"); }
static void edit_many_inputs(builder *b) { add_node(b, b->graph, "Relu", "x x", "z"); }
static void edit_many_outputs(builder *b) { add_node(b, b->graph, "Relu", "x", "z w"); }
static void edit_attribute_twice(builder *b) {
    Onnx__NodeProto *node = add_node(b, b->graph, "Softmax", "x", "z");
    attr_int(b, node, "axis", 0);
    attr_int(b, node, "axis", 0);
}
static void edit_attribute_type(builder *b) { attr_float(b, add_node(b, b->graph, "Softmax", "x", "z"), "axis", 1); }
static void edit_attribute_unknown(builder *b) { attr_int(b, add_node(b, b->graph, "Softmax", "x", "z"), "axes", 0); }
static void edit_attribute_required(builder *b) { add_node(b, b->graph, "Cast", "x", "z"); }
static void edit_attribute_two_values(builder *b) {
    Onnx__NodeProto *node = add_node(b, b->graph, "Softmax", "x", "z");
    attr_int(b, node, "axis", 0);
    node->attribute[0]->has_f = 1;
}
static void edit_attribute_mismatch(builder *b) {
    Onnx__NodeProto *node = add_node(b, b->graph, "Softmax", "x", "z");
    attr_int(b, node, "axis", 0);
    node->attribute[0]->type = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT;
}
static void edit_ref_outside(builder *b) {
    attr_ref(b, add_node(b, b->graph, "Softmax", "x", "z"), "axis", SDX_ATTR_INT, "a");
}
static void edit_type_lie(builder *b) {
    add_node(b, b->graph, "Relu", "x", "z")->name = text(b, "lie");
    add_output(b, b->graph, "z", SDX_I64, NULL);
}
static void edit_shape_lie(builder *b) {
    add_node(b, b->graph, "Relu", "x", "z");
    add_output(b, b->graph, "z", SDX_F32, "3,?");
}
static void edit_initializer_shape(builder *b) {
    add_input(b, b->graph, "w", SDX_F32, "3");
    init_f32(b, b->graph, "w", 2, 1);
}
static void edit_type_mix(builder *b) {
    add_input(b, b->graph, "i", SDX_I64, "2,2");
    add_node(b, b->graph, "Add", "x i", "z");
}
static void edit_type_refused(builder *b) {
    add_input(b, b->graph, "s", SDX_STRING, "2");
    add_node(b, b->graph, "Sqrt", "s", "z")->name = text(b, "root");
}
static void edit_constant_empty(builder *b) { add_node(b, b->graph, "Constant", "", "z"); }
static void edit_constant_double(builder *b) {
    Onnx__NodeProto *node = add_node(b, b->graph, "Constant", "", "z");
    attr_int(b, node, "value_int", 1);
    attr_float(b, node, "value_float", 1);
}
static void edit_domain(builder *b) {
    Onnx__NodeProto *node = add_node(b, b->graph, "Thing", "x", "z");
    node->domain = text(b, "com.acme");
}

static void refuses_bad_graphs(void **state) {
    (void)state;
    static const struct {
        void (*edit)(builder *b);
        sdx_status status;
        const char *words;
    } cases[] = {
        {edit_cycle, SDX_MALFORMED, "cycle|Add"},
        {edit_self_loop, SDX_MALFORMED, "cycle|'p'"},
        {edit_undefined, SDX_MALFORMED, "node 'sum' (Add)|'nowhere' is not defined"},
        {edit_output, SDX_MALFORMED, "output 'ghost'"},
        {edit_two_producers, SDX_MALFORMED, "'y'|twice|Abs"},
        {edit_output_is_input, SDX_MALFORMED, "'x'|twice"},
        {edit_input_twice, SDX_MALFORMED, "'x'|twice"},
        {edit_output_twice, SDX_MALFORMED, "'y'|twice"},
        {edit_initializer_twice, SDX_MALFORMED, "'w'|twice"},
        {edit_initializer_nameless, SDX_MALFORMED, "no name"},
        {edit_input_untyped, SDX_MALFORMED, "input 'z'|no type"},
        {edit_input_undefined, SDX_MALFORMED, "input 'z'|UNDEFINED"},
        {edit_input_dtype, SDX_MALFORMED, "input 'z'|99"},
        {edit_empty_op, SDX_MALFORMED, "op_type is empty|'z'"},
        {edit_missing_input, SDX_MALFORMED, "node 'sum' (Add, opset 14)|input 'B' is missing"},
        {edit_absent_input, SDX_MALFORMED, "node 'z' (Add, opset 14)|input 'A' is missing"},
        {edit_many_inputs, SDX_MALFORMED, "Relu|2 inputs; at most 1"},
        {edit_many_outputs, SDX_MALFORMED, "Relu|2 outputs; at most 1"},
        {edit_attribute_twice, SDX_MALFORMED, "Softmax|'axis' is given twice"},
        {edit_attribute_type, SDX_MALFORMED, "Softmax|'axis' is a float; it must be an int"},
        {edit_attribute_unknown, SDX_MALFORMED, "'axes' does not exist|axis"},
        {edit_attribute_required, SDX_MALFORMED, "Cast|'to' is missing"},
        {edit_attribute_two_values, SDX_MALFORMED, "Softmax|'axis'|declared type"},
        {edit_attribute_mismatch, SDX_MALFORMED, "Softmax|'axis'|declared type"},
        {edit_ref_outside, SDX_MALFORMED, "'axis' refers to 'a'|functions only"},
        {edit_type_lie, SDX_TYPE, "node 'lie'|'z' is declared i64; it is f32"},
        {edit_shape_lie, SDX_SHAPE, "shape inference of 'model.onnx'|declared f32[3,?]; it is f32[2,?]"},
        {edit_initializer_shape, SDX_MALFORMED, "initializer 'w'|f32[3]|f32[2]"},
        {edit_type_mix, SDX_TYPE, "'B' is i64|'A' is f32"},
        {edit_type_refused, SDX_TYPE, "node 'root' (Sqrt, opset 13): input 'X' is string; T allows"},
        {edit_constant_empty, SDX_MALFORMED, "Constant|exactly one"},
        {edit_constant_double, SDX_MALFORMED, "Constant|2 attributes; exactly one"},
        {edit_domain, SDX_UNSUPPORTED, "com.acme.Thing (1 node)"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        builder b;
        relu_model(&b);
        cases[k].edit(&b);
        must_refuse(&b, cases[k].status, cases[k].words);
        end(&b);
    }
}

static void lists_all_unknown_operators(void **state) {
    (void)state;
    builder b;
    begin(&b, 10);
    add_input(&b, b.graph, "x", SDX_F32, "2");
    add_node(&b, b.graph, "Foo", "x", "a");
    add_node(&b, b.graph, "Foo", "x", "b");
    add_node(&b, b.graph, "Bar", "x", "c");
    add_node(&b, b.graph, "Gelu", "x", "d");
    add_output(&b, b.graph, "d", SDX_F32, NULL);
    must_refuse(&b, SDX_UNSUPPORTED, "3 operators are not implemented|Foo (2 nodes)|Bar (1 node)|opset 20|imports 10");
    end(&b);
}

static void needs_the_domain_it_uses(void **state) {
    (void)state;
    builder b;
    begin(&b, 0);
    import_opset(&b, "ai.onnx.ml", 3);
    add_input(&b, b.graph, "x", SDX_F32, "2");
    add_node(&b, b.graph, "Relu", "x", "y");
    add_output(&b, b.graph, "y", SDX_F32, NULL);
    must_refuse(&b, SDX_MALFORMED, "imports no opset of domain 'ai.onnx'");
    end(&b);
}

/* ---- accepted ---- */

static void accepts_unsorted_nodes(void **state) {
    (void)state;
    builder b;
    begin(&b, 17);
    add_input(&b, b.graph, "x", SDX_F32, "2");
    add_node(&b, b.graph, "Relu", "b", "c");
    add_node(&b, b.graph, "Abs", "a", "b");
    add_node(&b, b.graph, "Neg", "x", "a");
    add_output(&b, b.graph, "c", SDX_F32, NULL);
    sdx_model *model = must_load(&b, SDX_OPTIMISE_NONE);
    assert_string_equal(model->graph->nodes[0]->op_type, "Neg");
    assert_string_equal(model->graph->nodes[2]->op_type, "Relu");
    sdx_model_close(model);
    end(&b);
}

static void initializers_are_constants_or_defaults(void **state) {
    (void)state;
    for (int64_t ir = 3; ir <= 4; ir++) {
        builder b;
        begin(&b, 17);
        b.model->ir_version = ir;
        add_input(&b, b.graph, "x", SDX_F32, "2");
        add_input(&b, b.graph, "w", SDX_F32, "2");
        init_f32(&b, b.graph, "w", 2, 3);
        add_node(&b, b.graph, "Add", "x w", "y");
        add_output(&b, b.graph, "y", SDX_F32, NULL);
        sdx_model *model = must_load(&b, SDX_OPTIMISE_ALL);
        const sdx_graph_value *w = find_value(model->graph, "w");
        assert_non_null(w->constant);
        assert_int_equal(w->is_input, ir >= 4);
        assert_int_equal(model->n_inputs, ir >= 4 ? 2 : 1);
        if (ir >= 4) assert_true(model->inputs[1].has_default);
        sdx_model_close(model);
        end(&b);
    }
}

static void constant_nodes_become_constants(void **state) {
    (void)state;
    builder b;
    begin(&b, 17);
    add_input(&b, b.graph, "x", SDX_F32, "2");
    attr_float(&b, add_node(&b, b.graph, "Constant", "", "half"), "value_float", 0.5f);
    add_node(&b, b.graph, "Mul", "x half", "y");
    add_output(&b, b.graph, "y", SDX_F32, NULL);
    attr_int(&b, add_node(&b, b.graph, "Constant", "", "seven"), "value_int", 7);
    add_output(&b, b.graph, "seven", SDX_I64, "");
    sdx_model *model = must_load(&b, SDX_OPTIMISE_NONE);
    assert_int_equal(count_nodes(model->graph, NULL), 1);
    const sdx_value *half = model->graph->values[model->graph->nodes[0]->in[1]].constant;
    assert_non_null(half);
    assert_true(*(const float *)half->tensor.data == 0.5f);
    const sdx_graph_value *seven = &model->graph->values[model->graph->outputs[1]];
    assert_string_equal(seven->name, "seven");
    assert_int_equal(*(const int64_t *)seven->constant->tensor.data, 7);
    sdx_model_close(model);
    end(&b);
}

static void reads_a_chain_of_20000(void **state) {
    (void)state;
    builder b;
    char from[32] = "x", to[32];
    begin(&b, 17);
    add_input(&b, b.graph, "x", SDX_F32, "2");
    for (int k = 0; k < 20000; k++) {
        snprintf(to, sizeof to, "v%d", k);
        add_node(&b, b.graph, k % 2 ? "Neg" : "Relu", from, to);
        snprintf(from, sizeof from, "%s", to);
    }
    add_output(&b, b.graph, from, SDX_F32, NULL);
    int64_t start = sdx_clock_ns();
    sdx_model *model = must_load(&b, SDX_OPTIMISE_ALL);
    double seconds = (double)(sdx_clock_ns() - start) * 1e-9;
    if (seconds > 5) fail_msg("20000 nodes took %.2f s", seconds);
    sdx_model_close(model);
    end(&b);
}

/* then and else of If: y = op(x), captured from outside. */
static Onnx__GraphProto *branch(builder *b, const char *name, const char *op, const char *x, const char *y) {
    Onnx__GraphProto *graph = new_graph(b, name);
    add_node(b, graph, op, x, y);
    add_output(b, graph, y, SDX_F32, NULL);
    return graph;
}

static void reads_captures(void **state) {
    (void)state;
    builder b;
    begin(&b, 17);
    add_input(&b, b.graph, "c", SDX_BOOL, "");
    add_input(&b, b.graph, "x", SDX_F32, "2");
    Onnx__NodeProto *node = add_node(&b, b.graph, "If", "c", "y");
    attr_graph(&b, node, "then_branch", branch(&b, "then", "Relu", "late", "p"));
    attr_graph(&b, node, "else_branch", branch(&b, "else", "Neg", "x", "q"));
    add_node(&b, b.graph, "Abs", "x", "late"); /* after its reader */
    add_output(&b, b.graph, "y", SDX_F32, "2");
    sdx_model *model = must_load(&b, SDX_OPTIMISE_ALL);
    assert_string_equal(model->graph->nodes[0]->op_type, "Abs");
    const sdx_node *branchy = model->graph->nodes[1];
    assert_int_equal(branchy->n_bodies, 2);
    assert_int_equal(branchy->bodies[0]->n_captures, 1);
    assert_int_equal(model->graph->values[branchy->out[0]].type.dim[0], 2);
    sdx_model_close(model);
    end(&b);
}

static void refuses_shadowing(void **state) {
    (void)state;
    builder b;
    begin(&b, 17);
    add_input(&b, b.graph, "c", SDX_BOOL, "");
    add_input(&b, b.graph, "x", SDX_F32, "2");
    Onnx__NodeProto *node = add_node(&b, b.graph, "If", "c", "y");
    attr_graph(&b, node, "then_branch", branch(&b, "then", "Relu", "x", "x"));
    attr_graph(&b, node, "else_branch", branch(&b, "else", "Neg", "x", "q"));
    add_output(&b, b.graph, "y", SDX_F32, "2");
    must_refuse(&b, SDX_MALFORMED, "If|'x' is defined twice, here and in an enclosing graph");
    end(&b);
}

/* Ifs in one another's branches, each capturing from all the way out. */
static void nest_ifs(builder *b, int depth) {
    char name[32], inner[32] = "p0";
    Onnx__GraphProto *graph = branch(b, "g0", "Relu", "x", inner);
    for (int k = 1; k <= depth; k++) {
        Onnx__GraphProto *outer = k == depth ? b->graph : new_graph(b, "g");
        snprintf(name, sizeof name, "p%d", k);
        Onnx__NodeProto *node = add_node(b, outer, "If", "c", name);
        attr_graph(b, node, "then_branch", graph);
        snprintf(inner, sizeof inner, "e%d", k);
        attr_graph(b, node, "else_branch", branch(b, "else", "Neg", "x", inner));
        add_output(b, outer, name, SDX_F32, NULL);
        graph = outer;
    }
}

static void bodies_nest_within_bounds(void **state) {
    (void)state;
    builder b;
    begin(&b, 17);
    add_input(&b, b.graph, "c", SDX_BOOL, "");
    add_input(&b, b.graph, "x", SDX_F32, "2");
    nest_ifs(&b, 30);
    sdx_model *model = must_load(&b, SDX_OPTIMISE_ALL);
    sdx_model_close(model);
    end(&b);
    begin(&b, 17);
    add_input(&b, b.graph, "c", SDX_BOOL, "");
    add_input(&b, b.graph, "x", SDX_F32, "2");
    nest_ifs(&b, 80);
    sdx_error error = {0};
    assert_int_not_equal(load_at(&b, SDX_OPTIMISE_ALL, &error, &model), SDX_OK);
    assert_non_null(strstr(error.message, "deep"));
    end(&b);
}

/* ---- memory ---- */

static void mid_size_model(builder *b) {
    begin(b, 17);
    add_input(b, b->graph, "c", SDX_BOOL, "");
    add_input(b, b->graph, "x", SDX_F32, "N,4");
    init_f32(b, b->graph, "w", 4, 2);
    Onnx__FunctionProto *f = add_function(b, "Twice", "a", "r");
    function_node(b, f, "Add", "a a", "t");
    function_node(b, f, "Relu", "t", "r");
    import_opset(b, "f", 1);
    call(b, add_node(b, b->graph, "Twice", "x", "d"));
    attr_float(b, add_node(b, b->graph, "Constant", "", "k"), "value_float", 2);
    add_node(b, b->graph, "Mul", "d k", "e");
    add_node(b, b->graph, "Identity", "e", "i");
    Onnx__NodeProto *node = add_node(b, b->graph, "If", "c", "y");
    attr_graph(b, node, "then_branch", branch(b, "then", "Relu", "i", "p"));
    attr_graph(b, node, "else_branch", branch(b, "else", "Neg", "w", "q"));
    add_output(b, b->graph, "y", SDX_F32, NULL);
}

/* A limit of every size up to enough: refused cleanly each time, and nothing is left behind. */
static void survives_every_shortage(void **state) {
    (void)state;
    builder b;
    sdx_error error = {0};
    sdx_model *model = NULL;
    mid_size_model(&b);
    size_t size = 0;
    unsigned char *bytes = pack(&b, &size);
    sdx_source source;
    sdx_source_from_memory(bytes, size, &source);
    size_t limit = 1;
    int refused = 0;
    for (; limit < (1 << 22); limit += limit < 4096 ? 64 : 256) {
        sdx_model_options options = {.size = sizeof options, .memory_limit = limit};
        error = (sdx_error){0};
        sdx_status status = sdx_load_source(&source, "model.onnx", &options, &error, &model);
        if (status == SDX_OK) break;
        refused++;
        if (status != SDX_LIMIT) fail_msg("limit %zu gives '%s': %s", limit, sdx_status_text(status), error.message);
        assert_null(model);
    }
    assert_true(refused > 10);
    assert_non_null(model);
    sdx_model_close(model);
    free(bytes);
    end(&b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_small_model),
        cmocka_unit_test(refuses_bad_heads),
        cmocka_unit_test(refuses_bad_graphs),
        cmocka_unit_test(lists_all_unknown_operators),
        cmocka_unit_test(needs_the_domain_it_uses),
        cmocka_unit_test(accepts_unsorted_nodes),
        cmocka_unit_test(initializers_are_constants_or_defaults),
        cmocka_unit_test(constant_nodes_become_constants),
        cmocka_unit_test(reads_a_chain_of_20000),
        cmocka_unit_test(reads_captures),
        cmocka_unit_test(refuses_shadowing),
        cmocka_unit_test(bodies_nest_within_bounds),
        cmocka_unit_test(survives_every_shortage),
    };
    return cmocka_run_group_tests_name("import", tests, NULL, NULL);
}
