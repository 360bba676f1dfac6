/* SPDX-License-Identifier: Apache-2.0
 * Gradients of LSTM, GRU and RNN that the cases of tests/ops do not reach: the same bits for any number of threads, and
 * narrower types against f64. */
#include "runtime/base/half.h"
#include "tests/unit/support.h"
#include <math.h>

enum { STEPS = 7, BATCH = 9, INPUT = 21, HIDDEN = 70, DIRECTIONS = 2, MOST_INPUTS = 5 };

typedef struct net {
    const char *op;
    int gates, n_in;
} net;

static const net nets[] = {{"LSTM", 4, 5}, {"GRU", 3, 5}, {"RNN", 1, 5}};
static const char *const names[MOST_INPUTS] = {"X", "W", "R", "B", "H"};

static int shape_of(const net *n, int k, int64_t *dims) {
    const int64_t shapes[MOST_INPUTS][3] = {{STEPS, BATCH, INPUT},
                                            {DIRECTIONS, n->gates * HIDDEN, INPUT},
                                            {DIRECTIONS, n->gates * HIDDEN, HIDDEN},
                                            {DIRECTIONS, 2 * n->gates * HIDDEN, 0},
                                            {DIRECTIONS, BATCH, HIDDEN}};
    memcpy(dims, shapes[k], sizeof shapes[k]);
    return k == 3 ? 2 : 3;
}

/* loss = sum of Y Y, and its gradients by all inputs. */
static sdx_model *build(const net *n, sdx_dtype dtype) {
    static sdx_opset opsets[2] = {{"", 22}, {"ai.onnx.preview.training", 1}};
    sdx_model *model = new_model();
    sdx_graph *g = model->graph;
    sdx_id in[6], xs[MOST_INPUTS], out[MOST_INPUTS];
    sdx_string strings[MOST_INPUTS];
    model->opsets = opsets;
    model->n_opsets = 2;
    for (int k = 0; k < n->n_in; k++) {
        int64_t dims[3];
        const int rank = shape_of(n, k, dims);
        xs[k] = add_input(g, names[k], dtype, rank, dims);
        strings[k] = (sdx_string){names[k], 1};
    }
    memcpy(in, (sdx_id[]){xs[0], xs[1], xs[2], xs[3], SDX_NONE, xs[4]}, sizeof in);
    sdx_node *node = add_node_n(g, n->op, "Y", 1, 6, in);
    sdx_attr way = {.name = "direction", .type = SDX_ATTR_STRING, .n = 1, .s = {"bidirectional", 13}};
    OK(sdx_node_set_attr(g, node, &way, &test_error));
    add_node(g, "Mul", "loss", IDS(node->out[0], node->out[0]));
    for (int k = 0; k < n->n_in; k++) {
        char name[4] = {'d', *names[k]};
        out[k] = sdx_graph_add_value(g, name, NULL, &test_error);
        add_output(g, out[k]);
    }
    node = sdx_graph_add_node(g, "ai.onnx.preview.training", "Gradient", "", n->n_in, xs, n->n_in, out, &test_error);
    assert_non_null(node);
    sdx_attr by[2] = {{.name = "xs", .type = SDX_ATTR_STRINGS, .n = (size_t)n->n_in, .strings = strings},
                      {.name = "y", .type = SDX_ATTR_STRING, .n = 1, .s = {"loss", 4}}};
    for (int k = 0; k < 2; k++) OK(sdx_node_set_attr(g, node, &by[k], &test_error));
    finish_model(model);
    return model;
}

static double element(sdx_dtype dtype, const void *data, int64_t k) {
    if (dtype == SDX_F64) return ((const double *)data)[k];
    if (dtype == SDX_F32) return (double)((const float *)data)[k];
    return (double)sdx_f32_from_f16(((const uint16_t *)data)[k]);
}

static void set_element(sdx_dtype dtype, void *data, int64_t k, double value) {
    if (dtype == SDX_F64)
        ((double *)data)[k] = value;
    else if (dtype == SDX_F32)
        ((float *)data)[k] = (float)value;
    else
        ((uint16_t *)data)[k] = sdx_f16_from_f64(value);
}

/* Numbers that f16 holds exactly, so that all types start from the same. */
static double drawn(uint32_t *state) {
    *state = *state * 1664525U + 1013904223U;
    return ((double)(*state >> 24) - 128) / 1024;
}

static void run(const net *n, sdx_dtype dtype, int threads, sdx_value *results[MOST_INPUTS]) {
    sdx_model *model = build(n, dtype);
    sdx_session *session = new_session(model, threads);
    sdx_binding in[MOST_INPUTS], out[MOST_INPUTS];
    char text[MOST_INPUTS][4];
    uint32_t random = 7;
    for (int k = 0; k < n->n_in; k++) {
        int64_t dims[3];
        const int rank = shape_of(n, k, dims);
        in[k] = (sdx_binding){names[k], new_tensor(dtype, rank, dims, NULL)};
        for (int64_t j = 0; j < in[k].value->tensor.count; j++)
            set_element(dtype, in[k].value->tensor.data, j, (k == 0 ? 8 : 1) * drawn(&random));
        snprintf(text[k], sizeof text[k], "d%s", names[k]);
        out[k] = (sdx_binding){text[k], NULL};
    }
    OK(sdx_session_run(session, in, (size_t)n->n_in, out, (size_t)n->n_in, &test_error));
    for (int k = 0; k < n->n_in; k++) {
        results[k] = out[k].value;
        sdx_value_release(in[k].value);
    }
    sdx_session_destroy(session);
    sdx_model_close(model);
}

static void release(const net *n, sdx_value *results[MOST_INPUTS]) {
    for (int k = 0; k < n->n_in; k++) sdx_value_release(results[k]);
}

static void threads_do_not_change_a_bit(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++) {
        sdx_value *one[MOST_INPUTS], *many[MOST_INPUTS];
        run(&nets[i], SDX_F32, 1, one);
        for (int threads = 2; threads <= 5; threads += 3) {
            run(&nets[i], SDX_F32, threads, many);
            for (int k = 0; k < nets[i].n_in; k++)
                if (memcmp(one[k]->tensor.data, many[k]->tensor.data, sdx_tensor_bytes(&one[k]->tensor)) != 0)
                    fail_msg("%s: the gradient of %s is another with %d threads", nets[i].op, names[k], threads);
            release(&nets[i], many);
        }
        release(&nets[i], one);
    }
}

/* Relative to the largest element of each gradient. */
static void narrower_types_are_near(void **state) {
    (void)state;
    static const struct {
        sdx_dtype dtype;
        double bound;
    } types[] = {{SDX_F32, 2e-6}, {SDX_F16, 4e-3}}; /* Gradient takes no bf16 */
    for (size_t i = 0; i < sizeof nets / sizeof nets[0]; i++) {
        sdx_value *exact[MOST_INPUTS], *near[MOST_INPUTS];
        run(&nets[i], SDX_F64, 1, exact);
        for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
            run(&nets[i], types[t].dtype, 2, near);
            for (int k = 0; k < nets[i].n_in; k++) {
                double largest = 0, apart = 0;
                for (int64_t j = 0; j < exact[k]->tensor.count; j++) {
                    const double want = element(SDX_F64, exact[k]->tensor.data, j);
                    largest = fmax(largest, fabs(want));
                    apart = fmax(apart, fabs(want - element(types[t].dtype, near[k]->tensor.data, j)));
                }
                if (!(largest > 0) || !(apart <= types[t].bound * largest))
                    fail_msg("%s, %s: the gradient of %s is off by %.3g of %.3g", nets[i].op,
                             sdx_dtype_name(types[t].dtype), names[k], apart, largest);
            }
            release(&nets[i], near);
        }
        release(&nets[i], exact);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_do_not_change_a_bit),
        cmocka_unit_test(narrower_types_are_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
