/* SPDX-License-Identifier: Apache-2.0
 * New heads, inserted nodes, first values. */
#include "runtime/train/fill.h"
#include "tests/unit/train_support.h"
#include <math.h>

static sdx_train_options options;

static sdx_value *answer(const sdx_model *model, const char *input, int rank, const int64_t *dims) {
    float data[256];
    int64_t count = 1;
    for (int d = 0; d < rank; d++) count *= dims[d];
    for (int64_t k = 0; k < count; k++) data[k] = (float)(k % 7) - 2.5f;
    sdx_binding in = {input, new_tensor(SDX_F32, rank, dims, data)};
    sdx_session *session = new_session(model, 1);
    sdx_value *out = run_one(session, &in, 1, model->outputs[0].name);
    sdx_session_destroy(session);
    sdx_value_release(in.value);
    return out;
}

enum head_form { GEMM, GEMM_TURNED, MATMUL, TURNED_MATMUL, CONV };

/* conv-less body, a head in each of its forms, Softmax behind it; 4 features, 3 classes */
static sdx_model *net(enum head_form form) {
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    options = training(SDX_LOSS_CROSS_ENTROPY);
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(-1, 4)), y = SDX_NONE;
    x = add_node(g, "Gemm", "body", IDS(x, weight(g, "body.w", DIMS(4, 4)), weight(g, "body.b", DIMS(4))));
    sdx_id b = weight(g, "head.b", DIMS(3));
    if (form == GEMM) y = add_node(g, "Gemm", "head", IDS(x, weight(g, "head.w", DIMS(4, 3)), b));
    if (form == GEMM_TURNED) {
        y = add_node(g, "Gemm", "head", IDS(x, weight(g, "head.w", DIMS(3, 4)), b));
        set_int(g, g->nodes[g->n_nodes - 1], "transB", 1);
    }
    if (form == MATMUL)
        y = add_node(g, "Add", "sum", IDS(add_node(g, "MatMul", "head", IDS(x, weight(g, "head.w", DIMS(4, 3)))), b));
    if (form == TURNED_MATMUL) {
        sdx_id w = weight(g, "head.w", DIMS(3, 4)), t = add_node(g, "Transpose", "turn", 1, &w);
        y = add_node(g, "Add", "sum", IDS(b, add_node(g, "MatMul", "head", IDS(x, t))));
    }
    if (form == CONV) {
        sdx_id in = add_constant(g, "square", SDX_I64, DIMS(4), (int64_t[]){0, 4, 1, 1});
        sdx_id out = add_constant(g, "line", SDX_I64, DIMS(2), (int64_t[]){-1, 3});
        x = add_node(g, "Reshape", "spread", IDS(x, in));
        y = add_node(g, "Conv", "head", IDS(x, weight(g, "head.w", DIMS(3, 4, 1, 1)), b));
        y = add_node(g, "Reshape", "flat", IDS(y, out));
    }
    add_output(g, add_node(g, "Softmax", "p", 1, &y));
    finish_model(model);
    return model;
}

static void heads_get_new_classes(void **state) {
    (void)state;
    for (enum head_form form = GEMM; form <= CONV; form++) {
        sdx_model *model = net(form);
        options.head = (sdx_head_options){.replace = true, .classes = 7, .init = SDX_INIT_HE_UNIFORM};
        options.seed = 5;
        sdx_prepared *p = prepared(model, &options);
        const sdx_tensor *w = &variable(p, "head.w")->value->tensor, *b = &variable(p, "head.b")->value->tensor;
        assert_int_equal(w->count, 28);
        assert_int_equal(b->count, 7);
        assert_true(sdx_tensor_all(b, 0));
        for (int k = 0; k < 28; k++) assert_true(fabs(sdx_tensor_element(w, k)) <= sqrt(6.0 / 4));
        assert_int_equal(variable(p, "head.w")->role, SDX_ROLE_KERNEL);
        assert_int_equal(p->inference->outputs[0].dims[1], 7);
        sdx_value *y = answer(p->inference, "x", DIMS(2, 4));
        assert_int_equal(y->tensor.dim[1], 7);
        sdx_value_release(y);
        assert_true(noted(p, "is the head"));
        sdx_prepared_free(p);
        sdx_model_close(model);
    }
}

static void a_head_may_keep_its_size(void **state) {
    (void)state;
    sdx_model *model = net(GEMM);
    options.head = (sdx_head_options){.replace = true, .init = SDX_INIT_ZEROS};
    sdx_prepared *p = prepared(model, &options);
    assert_int_equal(variable(p, "head.w")->value->tensor.count, 12);
    assert_true(sdx_tensor_all(&variable(p, "head.w")->value->tensor, 0));
    assert_false(sdx_tensor_all(&model->graph->values[variable(p, "head.w")->exported].constant->tensor, 0));
    sdx_prepared_free(p);
    options.head.classes = -2;
    CONTAINS(refused(model, &options, SDX_VALUE), "-2");
    sdx_model_close(model);
}

/* A tied head parts from the embedding. */
static void a_shared_head_gets_its_own_weights(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    options = training(SDX_LOSS_OUTPUT);
    sdx_id ids = add_input(g, "ids", SDX_I64, DIMS(-1)), table = weight(g, "table", DIMS(6, 4));
    sdx_id e = add_node(g, "Gather", "embed", IDS(table, ids)), t = add_node(g, "Transpose", "turn", 1, &table);
    add_output(g, add_node(g, "MatMul", "head", IDS(e, t)));
    finish_model(model);
    options.head = (sdx_head_options){.replace = true, .classes = 2};
    sdx_prepared *p = prepared(model, &options);
    assert_int_equal(p->n_variables, 2);
    assert_int_equal(variable(p, "table")->value->tensor.count, 24);
    assert_int_equal(variable(p, "table_2")->value->tensor.count, 8);
    assert_int_equal(p->inference->graph->values[p->evaluated[0]].type.dim[1], 2);
    sdx_prepared_free(p);
    sdx_model_close(model);
}

static void no_head_is_named(void **state) {
    (void)state;
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    options = training(SDX_LOSS_OUTPUT);
    sdx_id x = add_input(g, "x", SDX_F32, DIMS(2, 4, 5, 5));
    add_output(g, add_node(g, "Conv", "wide", IDS(x, weight(g, "w", DIMS(3, 4, 3, 3)))));
    finish_model(model);
    options.head.replace = true;
    CONTAINS(refused(model, &options, SDX_UNSUPPORTED), "'wide'");
    sdx_model_close(model);
}

static void inserted_nodes_change_no_answer(void **state) {
    (void)state;
    sdx_model *model = net(GEMM);
    const sdx_insert_options inserts[] = {{.kind = SDX_INSERT_BATCH_NORM, .after = "bod?"},
                                          {.kind = SDX_INSERT_DROPOUT, .after = "body", .ratio = 0.125}};
    options.inserts = inserts;
    options.n_inserts = 2;
    sdx_prepared *p = prepared(model, &options);
    const sdx_graph *g = p->training->graph;
    const sdx_node *drop = node_of(g, "Dropout"), *norm = node_of(g, "BatchNormalization");
    assert_non_null(drop);
    assert_non_null(norm);
    assert_int_equal(drop->in[0], norm->out[0]); /* in the order they are listed */
    assert_float_equal(*(float *)g->values[drop->in[1]].constant->tensor.data, 0.125f, 0);
    assert_int_equal(p->n_inserted, 1);
    assert_string_equal(p->variables[p->inserted[0].scale].name, "body.bn.weight");
    assert_int_equal(p->variables[p->inserted[0].var].role, SDX_ROLE_STATE);
    assert_int_not_equal(p->variables[p->inserted[0].mean].next, SDX_NONE);
    sdx_value *before = answer(model, "x", DIMS(3, 4)), *after = answer(p->inference, "x", DIMS(3, 4));
    for (int k = 0; k < 9; k++)
        assert_float_equal(((float *)before->tensor.data)[k], ((float *)after->tensor.data)[k], 1e-6f);
    sdx_value_release(before);
    sdx_value_release(after);
    sdx_prepared_free(p);
    const sdx_insert_options nowhere[] = {{.kind = SDX_INSERT_DROPOUT, .after = "bodi"}};
    options.inserts = nowhere;
    options.n_inserts = 1;
    CONTAINS(refused(model, &options, SDX_VALUE), "'body'");
    sdx_model_close(model);
}

/* Moments and ranges of many draws; the same for the same seed. */
static void first_values_have_their_spread(void **state) {
    (void)state;
    static const struct {
        sdx_init init;
        double variance;
    } rows[] = {{SDX_INIT_GLOROT_UNIFORM, 2.0 / 300},
                {SDX_INIT_GLOROT_NORMAL, 2.0 / 300},
                {SDX_INIT_HE_UNIFORM, 2.0 / 100},
                {SDX_INIT_HE_NORMAL, 2.0 / 100},
                {SDX_INIT_ZEROS, 0},
                {SDX_INIT_ONES, 0}};
    sdx_value *value = new_tensor(SDX_F64, DIMS(100, 200), NULL), *again = new_tensor(SDX_F64, DIMS(100, 200), NULL);
    for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
        double sum = 0, squares = 0, one = rows[k].init == SDX_INIT_ONES;
        sdx_fill_drawn(&value->tensor, rows[k].init, 100, 200, 9);
        sdx_fill_drawn(&again->tensor, rows[k].init, 100, 200, 9);
        assert_memory_equal(value->tensor.data, again->tensor.data, 20000 * sizeof(double));
        for (int i = 0; i < 20000; i++) sum += sdx_tensor_element(&value->tensor, i);
        for (int i = 0; i < 20000; i++) squares += pow(sdx_tensor_element(&value->tensor, i) - sum / 20000, 2);
        if (fabs(sum / 20000 - one) > 0.004) fail_msg("init %d: mean %g", (int)rows[k].init, sum / 20000);
        if (fabs(squares / 20000 - rows[k].variance) > 0.03 * rows[k].variance)
            fail_msg("init %d: variance %g, expected %g", (int)rows[k].init, squares / 20000, rows[k].variance);
    }
    sdx_value_release(value);
    sdx_value_release(again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heads_get_new_classes),
        cmocka_unit_test(a_head_may_keep_its_size),
        cmocka_unit_test(a_shared_head_gets_its_own_weights),
        cmocka_unit_test(no_head_is_named),
        cmocka_unit_test(inserted_nodes_change_no_answer),
        cmocka_unit_test(first_values_have_their_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
