/* SPDX-License-Identifier: Apache-2.0
 * What is a parameter, of which role, under which name; merged initializers. */
#include "tests/unit/train_support.h"
#include <math.h>

static sdx_train_options options;

static void begin_options(void) { options = training(SDX_LOSS_OUTPUT); }

static void weights_of_layers(void **state) {
    (void)state;
    begin_options();
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1, 4, 5, 5));
    sdx_id c = add_node(g, "Conv", "conv", IDS(x, weight(g, "cw", DIMS(3, 4, 1, 1)), weight(g, "cb", DIMS(3))));
    sdx_id bn[] = {c, weight(g, "gamma", DIMS(3)), weight(g, "beta", DIMS(3)), weight(g, "mean", DIMS(3)),
                   weight(g, "var", DIMS(3))};
    sdx_id b = add_node(g, "BatchNormalization", "bn", 5, bn);
    sdx_id p = add_node(g, "PRelu", "prelu", IDS(b, weight(g, "slope", DIMS(3, 1, 1))));
    sdx_id f = add_node(g, "Flatten", "flat", 1, &p);
    sdx_id m = add_node(g, "MatMul", "product", IDS(f, weight(g, "mw", DIMS(75, 4))));
    sdx_id s = add_node(g, "Add", "sum", IDS(weight(g, "mb", DIMS(4)), m));
    sdx_id scaled = add_node(g, "Mul", "scaled", IDS(s, add_constant(g, "half", SDX_F32, SCALAR, (float[]){0.5f})));
    sdx_id l = add_node(g, "LayerNormalization", "ln", IDS(scaled, weight(g, "lw", DIMS(4)), weight(g, "lb", DIMS(4))));
    add_output(g, l);
    finish_model(model);
    sdx_prepared *prep = prepared(model, &options);
    has_role(prep, "cw", SDX_ROLE_KERNEL);
    has_role(prep, "cb", SDX_ROLE_BIAS);
    has_role(prep, "gamma", SDX_ROLE_SCALE);
    has_role(prep, "beta", SDX_ROLE_SHIFT);
    has_role(prep, "mean", SDX_ROLE_STATE);
    has_role(prep, "var", SDX_ROLE_STATE);
    has_role(prep, "slope", SDX_ROLE_OTHER);
    has_role(prep, "mw", SDX_ROLE_KERNEL);
    has_role(prep, "mb", SDX_ROLE_BIAS);
    has_role(prep, "half", 0);
    has_role(prep, "lw", SDX_ROLE_SCALE);
    has_role(prep, "lb", SDX_ROLE_SHIFT);
    assert_int_equal(prep->n_variables, 11);
    assert_string_equal(variable(prep, "mb")->node, "sum");
    sdx_prepared_free(prep);
    sdx_model_close(model);
}

/* Keras: kernel is W alone, recurrent is R, bias is B; initial states are no weights. */
static void recurrent_layers(void **state) {
    (void)state;
    begin_options();
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(5, 2, 3));
    sdx_id w = weight(g, "W", DIMS(16, 3)), axes = add_constant(g, "axes", SDX_I64, DIMS(1), (int64_t[]){0});
    sdx_id in[] = {x,
                   add_node(g, "Unsqueeze", "W3", IDS(w, axes)),
                   weight(g, "R", DIMS(1, 16, 4)),
                   weight(g, "B", DIMS(1, 32)),
                   SDX_NONE,
                   filled(g, "h0", 8, 0),
                   filled(g, "c0", 8, 0)};
    sdx_id dims = add_constant(g, "dims", SDX_I64, DIMS(3), (int64_t[]){1, 2, 4});
    in[5] = add_node(g, "Reshape", "h1", IDS(in[5], dims));
    in[6] = add_node(g, "Reshape", "c1", IDS(in[6], dims));
    sdx_node *lstm = add_node_n(g, "LSTM", "lstm", 1, 7, in);
    set_int(g, lstm, "hidden_size", 4);
    add_output(g, lstm->out[0]);
    finish_model(model);
    sdx_prepared *p = prepared(model, &options);
    has_role(p, "W", SDX_ROLE_KERNEL); /* behind Unsqueeze, which stays for the gradient */
    has_role(p, "R", SDX_ROLE_RECURRENT);
    has_role(p, "B", SDX_ROLE_BIAS);
    has_role(p, "h0", 0);
    has_role(p, "c0", 0);
    assert_non_null(node_of(p->training->graph, "Unsqueeze"));
    sdx_prepared_free(p);
    sdx_model_close(model);
}

/* x -> Sub(mean) -> Div(std): done to the raw input, no weights. Then a table, a mask and a decomposed LayerNorm. */
static void constants_stay_constants(void **state) {
    (void)state;
    begin_options();
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1, 4));
    sdx_id centred = add_node(g, "Sub", "centred", IDS(x, weight(g, "pixel_mean", DIMS(4))));
    sdx_id y = add_node(g, "Div", "standard", IDS(centred, weight(g, "pixel_std", DIMS(4))));
    y = add_node(g, "MatMul", "h", IDS(y, weight(g, "w", DIMS(4, 4))));
    sdx_id mask = add_constant(g, "mask", SDX_F32, DIMS(4), (float[]){0, 0, 0, -INFINITY});
    y = add_node(g, "Add", "masked", IDS(y, mask));
    y = add_node(g, "Mul", "layer_scaled", IDS(y, weight(g, "layer_scale", DIMS(4))));
    sdx_id axes = add_constant(g, "axes", SDX_I64, DIMS(1), (int64_t[]){-1});
    sdx_id mean = add_node(g, "ReduceMean", "mean", IDS(y, axes)), d = add_node(g, "Sub", "d", IDS(y, mean));
    sdx_id var = add_node(g, "ReduceMean", "variance", IDS(add_node(g, "Mul", "dd", IDS(d, d)), axes));
    sdx_id eps = add_constant(g, "eps", SDX_F32, SCALAR, (float[]){1e-5f});
    sdx_id added = add_node(g, "Add", "added", IDS(var, eps)), root = add_node(g, "Sqrt", "root", 1, &added);
    sdx_id hat = add_node(g, "Div", "hat", IDS(d, root));
    sdx_id s = add_node(g, "Mul", "scaled", IDS(hat, weight(g, "val_7", DIMS(4))));
    add_output(g, add_node(g, "Add", "shifted", IDS(s, weight(g, "val_8", DIMS(4)))));
    finish_model(model);
    sdx_prepared *p = prepared(model, &options);
    has_role(p, "pixel_mean", 0);
    has_role(p, "pixel_std", 0);
    has_role(p, "mask", 0);
    has_role(p, "eps", 0);
    has_role(p, "layer_scale", SDX_ROLE_OTHER);
    has_role(p, "val_7", SDX_ROLE_SCALE);
    has_role(p, "val_8", SDX_ROLE_SHIFT);
    sdx_prepared_free(p);
    static const char *const named[] = {"pixel_mean"};
    options.trainable = (sdx_patterns){named, 1}; /* by its very name */
    p = prepared(model, &options);
    has_role(p, "pixel_mean", SDX_ROLE_OTHER);
    assert_true(variable(p, "pixel_mean")->trained);
    sdx_prepared_free(p);
    sdx_model_close(model);
}

static void group_normalisation_in_pieces(void **state) {
    (void)state;
    begin_options();
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2, 4, 3, 3));
    sdx_id groups = add_constant(g, "groups", SDX_I64, DIMS(3), (int64_t[]){0, 2, -1});
    sdx_id r = add_node(g, "Reshape", "in_groups", IDS(x, groups));
    sdx_id n = add_node(g, "InstanceNormalization", "norm", IDS(r, filled(g, "ones", 2, 1), filled(g, "zeros", 2, 0)));
    sdx_id b = add_node(g, "Reshape", "back", IDS(n, add_node(g, "Shape", "shape", 1, &x)));
    sdx_id s = add_node(g, "Mul", "scaled", IDS(b, weight(g, "gamma", DIMS(4, 1, 1))));
    add_output(g, add_node(g, "Add", "shifted", IDS(s, weight(g, "beta", DIMS(4, 1, 1)))));
    finish_model(model);
    sdx_prepared *p = prepared(model, &options);
    assert_int_equal(p->n_variables, 2);
    has_role(p, "gamma", SDX_ROLE_SCALE);
    has_role(p, "beta", SDX_ROLE_SHIFT);
    sdx_prepared_free(p);
    sdx_model_close(model);
}

static void embeddings_share_with_projections(void **state) {
    (void)state;
    begin_options();
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id ids = add_input(g, "ids", SDX_I64, DIMS(-1, 3));
    sdx_id table = weight(g, "table", DIMS(7, 4));
    sdx_id e = add_node(g, "Gather", "embedded", IDS(table, ids));
    sdx_id t = add_node(g, "Transpose", "turned", 1, &table);
    add_output(g, add_node(g, "MatMul", "scores", IDS(e, t)));
    finish_model(model);
    sdx_prepared *p = prepared(model, &options);
    assert_int_equal(p->n_variables, 1);
    has_role(p, "table", SDX_ROLE_EMBEDDING);
    sdx_prepared_free(p);
    sdx_model_close(model);
}

/* One vector of ones is scale, running variance (by Identity) and a summand of the input. */
static void merged_initializers_part(void **state) {
    (void)state;
    begin_options();
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(3, 4));
    sdx_id ones = filled(g, "bn.weight", 4, 1), zeros = filled(g, "bn.bias", 4, 0);
    sdx_id var = add_node(g, "Identity", "bn.running_var", 1, &ones);
    sdx_id y = add_node(g, "BatchNormalization", "bn", IDS(x, ones, zeros, zeros, var));
    add_output(g, add_node(g, "LayerNormalization", "ln", IDS(y, ones)));
    finish_model(model);
    sdx_prepared *p = prepared(model, &options);
    has_role(p, "bn.weight", SDX_ROLE_SCALE);
    has_role(p, "bn.bias", SDX_ROLE_SHIFT);
    has_role(p, "bn.running_var", SDX_ROLE_STATE);
    assert_int_equal(p->n_variables, 4); /* the mean has a tensor of its own; scales of unknown modules are shared */
    assert_int_not_equal(variable(p, "bn.running_var")->next, SDX_NONE);
    assert_true(noted(p, "merged"));
    sdx_prepared_free(p);
    sdx_model_close(model);
}

static void scoped(sdx_graph *g, sdx_id made, const char *scopes) {
    sdx_node *node = g->nodes[g->values[made].producer];
    sdx_pair *pair = SDX_NEW(g->arena, sdx_pair, &test_error);
    *pair = (sdx_pair){"pkg.torch.onnx.name_scopes", scopes};
    node->metadata = pair;
    node->n_metadata = 1;
}

/* Fresh layers of a stack have equal values; PyTorch's module paths tell them apart, and name the copies. */
static void layers_of_a_stack_part(void **state) {
    (void)state;
    begin_options();
    sdx_model *model = new_model();
    model->producer_name = "pytorch";
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(3, 4));
    sdx_id w = weight(g, "layers.0.fc.weight", DIMS(4, 4)), b = weight(g, "layers.0.fc.bias", DIMS(4));
    sdx_id y = add_node(g, "Gemm", "one", IDS(x, w, b));
    scoped(g, y, "['', 'layers', 'layers.0', 'layers.0.fc', 'linear']");
    y = add_node(g, "Gemm", "two", IDS(y, w, b));
    scoped(g, y, "['', 'layers', 'layers.1', 'layers.1.fc', 'linear_1']");
    y = add_node(g, "MatMul", "again", IDS(y, w)); /* another kind of module: shared on purpose */
    scoped(g, y, "['', 'head', 'linear_2']");
    add_output(g, y);
    finish_model(model);
    sdx_prepared *p = prepared(model, &options);
    assert_int_equal(p->n_variables, 4);
    has_role(p, "layers.1.fc.weight", SDX_ROLE_KERNEL);
    has_role(p, "layers.1.fc.bias", SDX_ROLE_BIAS);
    sdx_prepared_free(p);
    static const char *const module[] = {"layers.1.*"};
    options.trainable = (sdx_patterns){module, 1};
    p = prepared(model, &options);
    assert_true(variable(p, "layers.1.fc.bias")->trained);
    assert_false(variable(p, "layers.0.fc.bias")->trained);
    sdx_prepared_free(p);
    sdx_model_close(model);
}

static void names_come_from_nodes(void **state) {
    (void)state;
    begin_options();
    sdx_model *model = new_model();
    model->producer_name = "pytorch";
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(3, 4));
    sdx_id y =
        add_node(g, "MatMul", "/encoder/layers.0/linear1/MatMul", IDS(x, weight(g, "onnx::MatMul_12", DIMS(4, 4))));
    add_output(g, y);
    finish_model(model);
    sdx_prepared *p = prepared(model, &options);
    assert_string_equal(variable(p, "onnx::MatMul_12")->path, "encoder.layers.0.linear1.weight");
    sdx_prepared_free(p);
    sdx_model_close(model);
}

/* Weights within the branches of If, one of them nested: parameters of the main graph, captured. */
static void weights_of_bodies_come_out(void **state) {
    (void)state;
    begin_options();
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2, 4)), c = add_input(g, "c", SDX_BOOL, SCALAR);
    sdx_graph *branch[2] = {new_body(g, "then"), new_body(g, "else")};
    for (int k = 0; k < 2; k++) {
        sdx_id w = weight(branch[k], k ? "w_else" : "w_then", DIMS(4, 3)), b = weight(branch[k], "b", DIMS(3));
        sdx_id y = add_node(branch[k], "MatMul", "y", IDS(capture(branch[k], x), w));
        add_output(branch[k], add_node(branch[k], "Add", "z", IDS(y, b)));
    }
    sdx_node *node = add_node_n(g, "If", "choice", 1, 1, &c);
    set_body(g, node, "then_branch", branch[0]);
    set_body(g, node, "else_branch", branch[1]);
    add_output(g, node->out[0]);
    finish_model(model);
    sdx_prepared *p = prepared(model, &options);
    assert_int_equal(p->n_variables, 4);
    has_role(p, "w_then", SDX_ROLE_KERNEL);
    has_role(p, "w_else", SDX_ROLE_KERNEL);
    has_role(p, "b", SDX_ROLE_BIAS);
    has_role(p, "b_2", SDX_ROLE_BIAS);
    assert_int_equal(node_of(p->training->graph, "If")->bodies[0]->n_captures, 3);
    sdx_prepared_free(p);
    sdx_model_close(model);
}

/* From IR version 4 on an initializer that is an input too is a default that callers may override. */
static void defaults_become_parameters(void **state) {
    (void)state;
    begin_options();
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2, 4)), w = weight(g, "w", DIMS(4, 3));
    OK(sdx_graph_add_input(g, w, &test_error));
    add_output(g, add_node(g, "MatMul", "y", IDS(x, w)));
    finish_model(model);
    sdx_prepared *p = prepared(model, &options);
    has_role(p, "w", SDX_ROLE_KERNEL);
    assert_int_equal(p->inference->n_inputs, 1);
    assert_int_equal(p->training->graph->n_inputs, 2);
    assert_true(noted(p, "with a default"));
    sdx_prepared_free(p);
    sdx_model_close(model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_of_layers),
        cmocka_unit_test(recurrent_layers),
        cmocka_unit_test(constants_stay_constants),
        cmocka_unit_test(group_normalisation_in_pieces),
        cmocka_unit_test(embeddings_share_with_projections),
        cmocka_unit_test(merged_initializers_part),
        cmocka_unit_test(layers_of_a_stack_part),
        cmocka_unit_test(names_come_from_nodes),
        cmocka_unit_test(weights_of_bodies_come_out),
        cmocka_unit_test(defaults_become_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
