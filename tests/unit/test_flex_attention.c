/* SPDX-License-Identifier: Apache-2.0
 * FlexAttention with graphs for the scores and the probabilities: element types, precisions, shared heads, shapes known
 * late, graphs that do not keep the shape. */
#include "ops/loop.h"
#include "support.h"
#include <math.h>

enum { B = 2, HEADS = 4, KV = 2, L = 5, S = 7, E = 6, VE = 3 };

static double element(int which, int64_t k) { return sin((double)(k * (which + 2)) * 0.7 + which); }

static sdx_value *input(int which, sdx_dtype dtype) {
    const int64_t dims[3][4] = {{B, HEADS, L, E}, {B, KV, S, E}, {B, KV, S, VE}};
    sdx_value *value = new_tensor(dtype, 4, dims[which], NULL);
    double data[B * HEADS * S * E];
    for (int64_t k = 0; k < value->tensor.count; k++) data[k] = element(which, k);
    sdx_convert(NULL, SDX_F64, data, dtype, value->tensor.data, value->tensor.count);
    return value;
}

/* With scores s / 2 and probabilities p + 1/4; what the inputs were rounded to. */
static void reference(sdx_value *const *in, double *y) {
    double x[3][B * HEADS * S * E], p[S];
    for (int k = 0; k < 3; k++)
        sdx_convert(NULL, in[k]->tensor.dtype, in[k]->tensor.data, SDX_F64, x[k], in[k]->tensor.count);
    for (int row = 0; row < B * HEADS * L; row++) {
        const int head = row / L / (HEADS / KV); /* of K and V, over all batches */
        double sum = 0;
        for (int j = 0; j < S; j++) {
            double dot = 0;
            for (int e = 0; e < E; e++) dot += x[0][row * E + e] * x[1][(head * S + j) * E + e];
            sum += p[j] = exp(dot / sqrt(E) / 2);
        }
        for (int e = 0; e < VE; e++) y[row * VE + e] = 0;
        for (int j = 0; j < S; j++)
            for (int e = 0; e < VE; e++) y[row * VE + e] += (p[j] / sum + 0.25) * x[2][(head * S + j) * VE + e];
    }
}

/* A graph of one node: x OP constant. */
static sdx_graph *body_of(sdx_graph *g, const char *op, sdx_dtype dtype, double constant) {
    char bytes[8];
    sdx_graph *body = new_body(g, op);
    sdx_convert(NULL, SDX_F64, &constant, dtype, bytes, 1);
    sdx_id x = add_input(body, "x", dtype, DIMS(-1, -1, -1, -1));
    add_output(body, add_node(body, op, "modified", IDS(x, add_constant(body, "c", dtype, SCALAR, bytes))));
    return body;
}

static sdx_model *model_of(sdx_dtype dtype, bool late, sdx_graph **graph, sdx_node **node) {
    static sdx_opset opsets[] = {{"", 23}, {"ai.onnx.preview", 1}};
    static const int64_t known[3][4] = {{B, HEADS, L, E}, {B, KV, S, E}, {B, KV, S, VE}}, unknown[4] = {-1, -1, -1, -1};
    static const char *const names[] = {"q", "k", "v"};
    sdx_model *model = new_model();
    model->opsets = opsets;
    model->n_opsets = 2;
    sdx_graph *g = *graph = model->graph;
    sdx_id in[3];
    for (int k = 0; k < 3; k++) in[k] = add_input(g, names[k], dtype, 4, late ? unknown : known[k]);
    sdx_id y = sdx_graph_add_value(g, "y", NULL, &test_error);
    *node = sdx_graph_add_node(g, "ai.onnx.preview", "FlexAttention", "flex", 3, in, 1, &y, &test_error);
    assert_non_null(*node);
    add_output(g, y);
    return model;
}

static void check(sdx_dtype dtype, sdx_dtype precision, bool late) {
    sdx_graph *g;
    sdx_node *node;
    sdx_model *model = model_of(dtype, late, &g, &node);
    const sdx_dtype inside = precision ? precision : dtype == SDX_F64 ? SDX_F64 : SDX_F32;
    if (precision) set_int(g, node, "softmax_precision", precision);
    set_body(g, node, "score_mod", body_of(g, "Mul", inside, 0.5));
    set_body(g, node, "prob_mod", body_of(g, "Add", inside, 0.25));
    finish_model(model);
    sdx_value *x[3] = {input(0, dtype), input(1, dtype), input(2, dtype)};
    sdx_binding in[] = {{"q", x[0]}, {"k", x[1]}, {"v", x[2]}};
    double want[B * HEADS * L * VE], got[B * HEADS * L * VE];
    reference(x, want);
    /* Units in the last place of the coarser of the two types, and what they grow to over seven keys. */
    const sdx_dtype types[2] = {dtype, inside};
    double tolerance = 1e-13;
    for (int k = 0; k < 2; k++)
        tolerance = fmax(tolerance, types[k] == SDX_BF16  ? 3e-2
                                    : types[k] == SDX_F16 ? 4e-3
                                    : types[k] == SDX_F32 ? 2e-6
                                                          : 0);
    sdx_session *session = new_session(model, 2);
    for (int turn = 0; turn < 2; turn++) {
        sdx_value *y = run_one(session, in, 3, "y");
        assert_int_equal(y->tensor.dtype, dtype);
        assert_int_equal(y->tensor.count, B * HEADS * L * VE);
        sdx_convert(NULL, dtype, y->tensor.data, SDX_F64, got, y->tensor.count);
        for (int k = 0; k < B * HEADS * L * VE; k++)
            if (!(fabs(got[k] - want[k]) <= tolerance))
                fail_msg("%s in %s: element %d is %.9g, expected %.9g", sdx_dtype_name(dtype), sdx_dtype_name(inside),
                         k, got[k], want[k]);
        sdx_value_release(y);
    }
    sdx_session_destroy(session);
    for (int k = 0; k < 3; k++) sdx_value_release(x[k]);
    sdx_model_close(model);
}

static void every_type_and_precision(void **state) {
    (void)state;
    const sdx_dtype types[] = {SDX_F32, SDX_F16, SDX_F64, SDX_BF16},
                    precisions[] = {0, SDX_F32, SDX_F16, SDX_F64, SDX_BF16};
    for (int t = 0; t < 4; t++)
        for (int p = 0; p < 5; p++) {
            check(types[t], precisions[p], false);
            check(types[t], precisions[p], true);
        }
}

/* Of a rank that inference sees, and of a shape that only the run sees. */
static void graphs_keep_the_shape(void **state) {
    (void)state;
    int64_t two = 2;
    for (int late = 0; late < 2; late++) {
        sdx_graph *g;
        sdx_node *node;
        sdx_model *model = model_of(SDX_F32, true, &g, &node);
        sdx_graph *body = new_body(g, "body");
        sdx_id x = add_input(body, "x", SDX_F32, DIMS(-1, -1, -1, -1));
        sdx_id constant = add_constant(body, "c", SDX_I64, DIMS(1), &two);
        add_output(body, late ? add_node(body, "Concat", "twice", IDS(x, x))
                              : add_node(body, "Unsqueeze", "wider", IDS(x, constant)));
        if (late) set_int(body, body->nodes[0], "axis", 3);
        set_body(g, node, "score_mod", body);
        if (!late) {
            assert_int_equal(sdx_load_finish(model, NULL, &test_error), SDX_SHAPE);
            CONTAINS(test_error.message, "'score_mod' gives f32[");
        } else {
            finish_model(model);
            sdx_session *session = new_session(model, 1);
            sdx_binding in[] = {{"q", input(0, SDX_F32)}, {"k", input(1, SDX_F32)}, {"v", input(2, SDX_F32)}};
            sdx_binding out = {"y", NULL};
            assert_int_equal(sdx_session_run(session, in, 3, &out, 1, &test_error), SDX_SHAPE);
            CONTAINS(test_error.message, "'score_mod' gives f32[2,4,5,14]; it must keep f32[2,4,5,7]");
            for (int k = 0; k < 3; k++) sdx_value_release(in[k].value);
            sdx_session_destroy(session);
        }
        test_error = (sdx_error){0};
        sdx_model_close(model);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_type_and_precision),
                                       cmocka_unit_test(graphs_keep_the_shape)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
