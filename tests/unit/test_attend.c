/* SPDX-License-Identifier: Apache-2.0
 * Attention written out: every form that the pass knows, and those that it must leave alone, against the same graph run
 * as it stands; on one thread and on three. */
#include "ops/loop.h"
#include "runtime/pass/pass.h"
#include "support.h"
#include <math.h>
#include <stdlib.h>

enum { MOST_INPUTS = 8 };
typedef enum kind { NUMBERS, LOWEST, TRUTHS } kind; /* LOWEST: some -inf, all in row 1; TRUTHS: row 1 is false */

/* A graph that grows, and how its inputs are filled. */
typedef struct lab {
    sdx_graph *g;
    sdx_dtype dtype;
    int n, nodes;
    kind kinds[MOST_INPUTS];
} lab;

static sdx_id input_of(lab *l, kind k, sdx_dtype dtype, int rank, const int64_t *dims) {
    static const char *const names[MOST_INPUTS] = {"i0", "i1", "i2", "i3", "i4", "i5", "i6", "i7"};
    l->kinds[l->n] = k;
    return add_input(l->g, names[l->n++], dtype, rank, dims);
}
static sdx_id input(lab *l, int rank, const int64_t *dims) { return input_of(l, NUMBERS, l->dtype, rank, dims); }

static sdx_node *node_of(lab *l, const char *op, int n_in, const sdx_id *in) {
    char name[16];
    snprintf(name, sizeof name, "n%d", l->nodes++);
    return add_node_n(l->g, op, name, 1, n_in, in);
}
static sdx_id node1(lab *l, const char *op, sdx_id a) { return node_of(l, op, IDS(a))->out[0]; }
static sdx_id node2(lab *l, const char *op, sdx_id a, sdx_id b) { return node_of(l, op, IDS(a, b))->out[0]; }
static sdx_id where(lab *l, sdx_id c, sdx_id a, sdx_id b) { return node_of(l, "Where", IDS(c, a, b))->out[0]; }

static sdx_id turned(lab *l, sdx_id x, size_t rank, const int64_t *perm) {
    sdx_node *node = node_of(l, "Transpose", 1, &x);
    set_ints(l->g, node, "perm", rank, perm);
    return node->out[0];
}
#define TURNED(l, x, ...) turned(l, x, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t), (int64_t[]){__VA_ARGS__})

static sdx_id cast(lab *l, sdx_id x, sdx_dtype to) {
    sdx_node *node = node_of(l, "Cast", 1, &x);
    set_int(l->g, node, "to", to);
    return node->out[0];
}

static sdx_id constant(lab *l, sdx_dtype dtype, int rank, double value) {
    char bytes[8], name[16];
    const int64_t one[2] = {1, 1};
    snprintf(name, sizeof name, "c%d", l->nodes++);
    sdx_convert(NULL, SDX_F64, &value, dtype, bytes, 1);
    return add_constant(l->g, sdx_arena_copy(l->g->arena, name, strlen(name), &test_error), dtype, rank, one, bytes);
}
static sdx_id number(lab *l, double value) { return constant(l, l->dtype, 1, value); }

static sdx_id integers(lab *l, int64_t n, const int64_t *values) {
    char name[16];
    snprintf(name, sizeof name, "c%d", l->nodes++);
    return add_constant(l->g, sdx_arena_copy(l->g->arena, name, strlen(name), &test_error), SDX_I64, 1, &n, values);
}

static sdx_id softmax(lab *l, sdx_id x) {
    sdx_node *node = node_of(l, "Softmax", 1, &x);
    set_int(l->g, node, "axis", -1);
    return node->out[0];
}

/* ---- forms: each gives its result, or adds it as an output itself ----------------------------------------------- */

typedef struct triple {
    sdx_id q, k, v; /* k: [..., keys, size] */
} triple;

static triple usual(lab *l) {
    triple t = {input(l, DIMS(2, 3, 5, 8)), input(l, DIMS(2, 3, 7, 8)), 0};
    t.v = input(l, DIMS(2, 3, 7, 6));
    return t;
}
static sdx_id scores(lab *l, triple t) { return node2(l, "MatMul", t.q, TURNED(l, t.k, 0, 1, 3, 2)); }
static sdx_id product(lab *l, triple t, sdx_id scores) { return node2(l, "MatMul", softmax(l, scores), t.v); }

static sdx_id plain(lab *l) {
    triple t = usual(l);
    return product(l, t, scores(l, t));
}
static sdx_id divided_scores(lab *l) {
    triple t = usual(l);
    return product(l, t, node2(l, "Div", scores(l, t), number(l, 2.5)));
}
static sdx_id factors_before(lab *l) {
    triple t = usual(l);
    t.q = node2(l, "Mul", number(l, 0.5), t.q), t.k = node2(l, "Mul", t.k, constant(l, l->dtype, 0, 1.25));
    sdx_id turned_keys = node2(l, "Mul", TURNED(l, t.k, 0, 1, 3, 2), number(l, 0.75));
    return product(l, t, node2(l, "MatMul", t.q, turned_keys));
}
static sdx_id factor_given_late(lab *l) {
    triple t = usual(l);
    return product(l, t, node2(l, "Mul", scores(l, t), input(l, DIMS(1))));
}
static sdx_id masked_by(lab *l, kind k, int rank, const int64_t *dims) {
    triple t = usual(l);
    return product(l, t, node2(l, "Add", scores(l, t), input_of(l, k, l->dtype, rank, dims)));
}
static sdx_id mask_of_rank_1(lab *l) { return masked_by(l, NUMBERS, DIMS(7)); }
static sdx_id mask_of_rank_2(lab *l) { return masked_by(l, NUMBERS, DIMS(5, 7)); }
static sdx_id mask_of_heads(lab *l) { return masked_by(l, NUMBERS, DIMS(3, 1, 7)); }
static sdx_id mask_of_batch(lab *l) { return masked_by(l, NUMBERS, DIMS(2, 1, 1, 7)); }
static sdx_id mask_of_rank_5(lab *l) { return masked_by(l, NUMBERS, DIMS(4, 1, 3, 5, 7)); }
static sdx_id mask_column(lab *l) { return masked_by(l, NUMBERS, DIMS(2, 1, 5, 1)); }
static sdx_id mask_with_empty_row(lab *l) { return masked_by(l, LOWEST, DIMS(5, 7)); }
static sdx_id empty_column(lab *l) { return masked_by(l, LOWEST, DIMS(5, 1)); }
static sdx_id two_masks(lab *l) {
    triple t = usual(l);
    sdx_id s = node2(l, "Add", input(l, DIMS(1, 3, 5, 7)), scores(l, t));
    return product(l, t, node2(l, "Add", s, input_of(l, LOWEST, l->dtype, DIMS(2, 1, 1, 7))));
}
static sdx_id chosen(lab *l, bool hides, double fill, int rank, const int64_t *dims) {
    triple t = usual(l);
    sdx_id s = node2(l, "Mul", scores(l, t), number(l, 0.35)), c = input_of(l, TRUTHS, SDX_BOOL, rank, dims);
    if (!hides) return product(l, t, where(l, c, s, number(l, fill)));
    return product(l, t, where(l, node1(l, "Not", c), number(l, fill), s));
}
static sdx_id shown(lab *l) { return chosen(l, false, -(double)INFINITY, DIMS(5, 7)); }
static sdx_id hidden(lab *l) { return chosen(l, true, -(double)INFINITY, DIMS(2, 1, 5, 7)); }
static sdx_id filled(lab *l) { return chosen(l, true, -1000, DIMS(5, 7)); }
static sdx_id filled_with_1(lab *l) { return chosen(l, false, 1, DIMS(2, 1, 1, 7)); }
static sdx_id row_guard(lab *l) {
    triple t = usual(l);
    sdx_id mask = input_of(l, LOWEST, l->dtype, DIMS(2, 1, 5, 7)), s = node2(l, "Add", scores(l, t), mask);
    sdx_id most = node2(l, "ReduceMax", mask, integers(l, 1, (int64_t[]){-1}));
    sdx_id none = node2(l, "Equal", most, number(l, -(double)INFINITY)), p = softmax(l, s);
    return node2(l, "MatMul", where(l, none, number(l, 0), p), t.v);
}
static sdx_id nan_guard(lab *l) {
    triple t = usual(l);
    sdx_id p = softmax(l, node2(l, "Add", scores(l, t), input_of(l, LOWEST, l->dtype, DIMS(5, 7))));
    return node2(l, "MatMul", where(l, node1(l, "IsNaN", p), number(l, 0), p), t.v);
}
static sdx_id capped(lab *l) {
    triple t = usual(l);
    sdx_id s = node1(l, "Tanh", node2(l, "Div", node2(l, "Mul", scores(l, t), number(l, 3)), number(l, 2)));
    return product(l, t, node2(l, "Add", node2(l, "Mul", s, number(l, 2)), input(l, DIMS(5, 7))));
}
static sdx_id softmax_in_f32(lab *l) {
    triple t = usual(l);
    sdx_id s = cast(l, node2(l, "Mul", scores(l, t), number(l, 0.5)), SDX_F32);
    sdx_id p = softmax(l, node2(l, "Add", s, input_of(l, NUMBERS, SDX_F32, DIMS(5, 7))));
    return node2(l, "MatMul", cast(l, p, l->dtype), t.v);
}
static sdx_id transposed(lab *l) {
    triple t = {input(l, DIMS(2, 5, 3, 8)), input(l, DIMS(2, 7, 3, 8)), 0};
    t.q = TURNED(l, t.q, 0, 2, 1, 3), t.v = TURNED(l, input(l, DIMS(2, 7, 3, 6)), 0, 2, 1, 3);
    sdx_id s = node2(l, "MatMul", t.q, TURNED(l, t.k, 0, 2, 3, 1));
    return TURNED(l, product(l, t, s), 0, 2, 1, 3);
}
static sdx_id length_first(lab *l) {
    triple t = {input(l, DIMS(5, 6, 8)), input(l, DIMS(7, 6, 8)), 0};
    t.v = TURNED(l, input(l, DIMS(7, 6, 4)), 1, 0, 2), t.q = TURNED(l, t.q, 1, 0, 2);
    sdx_id s = node2(l, "MatMul", t.q, TURNED(l, TURNED(l, t.k, 1, 0, 2), 0, 2, 1));
    return TURNED(l, product(l, t, s), 1, 0, 2);
}
static sdx_id keys_come_turned(lab *l) {
    triple t = {input(l, DIMS(2, 5, 8)), input(l, DIMS(2, 8, 7)), 0};
    t.v = input(l, DIMS(2, 7, 8));
    return product(l, t, node2(l, "MatMul", t.q, t.k));
}
static sdx_id turned_elements(lab *l) { /* rows of Q and V are not contiguous */
    triple t = {TURNED(l, input(l, DIMS(2, 8, 5)), 0, 2, 1), input(l, DIMS(2, 7, 8)), 0};
    t.v = TURNED(l, input(l, DIMS(2, 6, 7)), 0, 2, 1);
    return TURNED(l, product(l, t, node2(l, "MatMul", t.q, TURNED(l, t.k, 0, 2, 1))), 0, 2, 1);
}
static sdx_id of_rank_2(lab *l) {
    triple t = {input(l, DIMS(5, 8)), input(l, DIMS(7, 8)), 0};
    t.v = input(l, DIMS(7, 3));
    return product(l, t, node2(l, "MatMul", t.q, TURNED(l, t.k, 1, 0)));
}
static sdx_id of_rank_5(lab *l) {
    triple t = {input(l, DIMS(2, 3, 2, 5, 8)), input(l, DIMS(2, 1, 2, 7, 8)), 0};
    t.v = input(l, DIMS(3, 1, 7, 6));
    return product(l, t, node2(l, "MatMul", t.q, TURNED(l, t.k, 0, 1, 2, 4, 3)));
}
static sdx_id one_head_of_keys(lab *l) {
    triple t = {input(l, DIMS(2, 6, 5, 8)), input(l, DIMS(2, 1, 7, 8)), 0};
    t.v = input(l, DIMS(2, 1, 7, 6));
    return product(l, t, node2(l, "Add", scores(l, t), input(l, DIMS(2, 6, 5, 7))));
}
static sdx_id one_key_many_masks(lab *l) {
    triple t = {input(l, DIMS(2, 3, 1, 8)), input(l, DIMS(2, 3, 1, 8)), 0};
    t.v = input(l, DIMS(2, 3, 7, 6));
    return product(l, t, node2(l, "Add", scores(l, t), input(l, DIMS(5, 7))));
}
static sdx_id long_one(lab *l) {
    triple t = {input(l, DIMS(1, 2, 70, 16)), input(l, DIMS(1, 2, 330, 16)), 0};
    t.v = input(l, DIMS(1, 2, 330, 20));
    sdx_id s = node2(l, "Mul", scores(l, t), number(l, 0.25)), c = input_of(l, TRUTHS, SDX_BOOL, DIMS(70, 330));
    return product(l, t, where(l, c, s, number(l, -50)));
}
static sdx_id no_keys(lab *l) {
    triple t = {input(l, DIMS(2, 5, 8)), input(l, DIMS(2, 0, 8)), 0};
    t.v = input(l, DIMS(2, 0, 8));
    return product(l, t, node2(l, "MatMul", t.q, TURNED(l, t.k, 0, 2, 1)));
}
/* K^T by way of three dimensions, all shapes taken from the keys while the model runs. */
static sdx_id keys_through_three(lab *l) {
    triple t = {input(l, DIMS(-1, 3, -1, 8)), input(l, DIMS(-1, 3, -1, 8)), 0};
    t.v = input(l, DIMS(-1, 3, -1, 6));
    sdx_id shape = node1(l, "Shape", t.k), zero = integers(l, 1, (int64_t[]){0}), two = integers(l, 1, (int64_t[]){2});
    sdx_id three = integers(l, 1, (int64_t[]){3}), four = integers(l, 1, (int64_t[]){4});
    sdx_id front = node_of(l, "Slice", IDS(shape, zero, two))->out[0], n = node2(l, "Gather", shape, two);
    sdx_id size = node_of(l, "Slice", IDS(shape, three, four))->out[0];
    sdx_node *flat = node_of(l, "Concat", IDS(integers(l, 1, (int64_t[]){-1}), n, size));
    sdx_node *back = node_of(l, "Concat", IDS(front, size, n));
    set_int(l->g, flat, "axis", 0), set_int(l->g, back, "axis", 0);
    sdx_id three_dims = TURNED(l, node2(l, "Reshape", t.k, flat->out[0]), 0, 2, 1);
    return product(l, t, node2(l, "MatMul", t.q, node2(l, "Reshape", three_dims, back->out[0])));
}

/* ---- forms that stay -------------------------------------------------------------------------------------------- */

static sdx_id other_axis(lab *l) {
    triple t = usual(l);
    sdx_id s = scores(l, t);
    sdx_node *node = node_of(l, "Softmax", 1, &s);
    set_int(l->g, node, "axis", 2);
    return node2(l, "MatMul", node->out[0], t.v);
}
static sdx_id shown_weights(lab *l) {
    triple t = usual(l);
    sdx_id p = softmax(l, scores(l, t));
    add_output(l->g, p);
    return node2(l, "MatMul", p, t.v);
}
static sdx_id shown_scores(lab *l) {
    triple t = usual(l);
    sdx_id s = scores(l, t), y = product(l, t, node2(l, "Mul", s, number(l, 0.5)));
    add_output(l->g, s);
    return y;
}
static sdx_id scores_read_twice(lab *l) {
    triple t = usual(l);
    sdx_id s = scores(l, t);
    return product(l, t, node2(l, "Add", s, node1(l, "Neg", s)));
}
static sdx_id weights_read_twice(lab *l) {
    triple t = usual(l);
    sdx_id p = softmax(l, scores(l, t)), y = node2(l, "MatMul", p, t.v);
    add_output(l->g, node1(l, "Neg", p));
    return y;
}
static sdx_id weights_on_the_right(lab *l) {
    triple t = usual(l);
    return node2(l, "MatMul", TURNED(l, input(l, DIMS(2, 3, 5, 6)), 0, 1, 3, 2), softmax(l, scores(l, t)));
}
static sdx_id filled_from_a_matrix(lab *l) {
    triple t = usual(l);
    sdx_id c = input_of(l, TRUTHS, SDX_BOOL, DIMS(5, 7)), other = input(l, DIMS(5, 7));
    return product(l, t, where(l, c, scores(l, t), other));
}
static sdx_id factor_of_each_row(lab *l) {
    triple t = usual(l);
    return product(l, t, node2(l, "Mul", scores(l, t), input(l, DIMS(5, 1))));
}
static sdx_id mask_before_the_factor(lab *l) {
    triple t = usual(l);
    sdx_id s = node2(l, "Add", scores(l, t), input(l, DIMS(5, 7)));
    return product(l, t, node2(l, "Mul", s, number(l, 0.5)));
}
static sdx_id guard_of_something_else(lab *l) {
    triple t = usual(l);
    sdx_id c = input_of(l, TRUTHS, SDX_BOOL, DIMS(5, 1)), p = softmax(l, scores(l, t));
    return node2(l, "MatMul", where(l, c, number(l, 0), p), t.v);
}
static sdx_id vector_of_values(lab *l) {
    triple t = usual(l);
    return node2(l, "MatMul", softmax(l, scores(l, t)), input(l, DIMS(7)));
}
static sdx_id other_cap(lab *l) {
    triple t = usual(l);
    sdx_id s = node1(l, "Tanh", node2(l, "Div", scores(l, t), number(l, 2)));
    return product(l, t, node2(l, "Mul", s, number(l, 3)));
}

typedef struct form {
    const char *name;
    sdx_id (*build)(lab *l);
    bool fused;
} form;
#define F(name)                                                                                                        \
    { #name, name, true }
#define S(name)                                                                                                        \
    { #name, name, false }
static const form forms[] = {F(plain),
                             F(divided_scores),
                             F(factors_before),
                             F(factor_given_late),
                             F(mask_of_rank_1),
                             F(mask_of_rank_2),
                             F(mask_of_heads),
                             F(mask_of_batch),
                             F(mask_of_rank_5),
                             F(mask_column),
                             F(mask_with_empty_row),
                             F(empty_column),
                             F(two_masks),
                             F(shown),
                             F(hidden),
                             F(filled),
                             F(filled_with_1),
                             F(row_guard),
                             F(nan_guard),
                             F(capped),
                             F(softmax_in_f32),
                             F(transposed),
                             F(length_first),
                             F(keys_come_turned),
                             F(turned_elements),
                             F(of_rank_2),
                             F(of_rank_5),
                             F(one_head_of_keys),
                             F(one_key_many_masks),
                             F(long_one),
                             F(no_keys),
                             F(keys_through_three),
                             S(other_axis),
                             S(shown_weights),
                             S(shown_scores),
                             S(scores_read_twice),
                             S(weights_read_twice),
                             S(weights_on_the_right),
                             S(filled_from_a_matrix),
                             S(factor_of_each_row),
                             S(mask_before_the_factor),
                             S(guard_of_something_else),
                             S(vector_of_values),
                             S(other_cap)};

/* ---- both ways -------------------------------------------------------------------------------------------------- */

static sdx_model *build(const form *f, sdx_dtype dtype, lab *l, sdx_optimise level) {
    sdx_model *model = new_model();
    *l = (lab){.g = model->graph, .dtype = dtype};
    add_output(l->g, f->build(l));
    sdx_model_options options = {.size = sizeof options, .optimise = level};
    OK(sdx_graph_sort(model->graph, &test_error));
    OK(sdx_load_finish(model, &options, &test_error));
    return model;
}

/* The shape of input k; unknown dims are those of the usual example. */
static sdx_value *example(const lab *l, int k) {
    static const int64_t unknown[3][4] = {{2, 3, 5, 8}, {2, 3, 7, 8}, {2, 3, 7, 6}};
    const sdx_type *type = &l->g->values[l->g->inputs[k]].type;
    int64_t dims[SDX_MAX_RANK];
    for (int d = 0; d < type->rank; d++) dims[d] = type->dim[d] < 0 ? unknown[k][d] : type->dim[d];
    sdx_value *value = new_tensor(type->dtype, type->rank, dims, NULL);
    const int64_t row = type->rank ? dims[type->rank - 1] : 1, rows = type->rank > 1 ? dims[type->rank - 2] : 1;
    for (int64_t i = 0; i < value->tensor.count; i++) {
        double x = (double)rand() / (double)RAND_MAX * 3 - 1.5;
        const bool first = rows > 1 && i / row % rows == 1;
        if (l->kinds[k] == LOWEST && (first || (row > 1 && i % 3 == 1))) x = -(double)INFINITY;
        if (l->kinds[k] == TRUTHS)
            ((bool *)value->tensor.data)[i] = !first && x > -0.5;
        else
            sdx_convert(NULL, SDX_F64, &x, type->dtype,
                        (char *)value->tensor.data + i * (int64_t)sdx_dtype_size(type->dtype), 1);
    }
    return value;
}

static sdx_value *run(const sdx_model *model, int threads, int n, sdx_value *const *values) {
    sdx_binding in[MOST_INPUTS];
    const sdx_graph *g = model->graph;
    for (int k = 0; k < n; k++) in[k] = (sdx_binding){g->values[g->inputs[k]].name, values[k]};
    sdx_session *session = new_session(model, threads);
    sdx_value *y = run_one(session, in, (size_t)n, g->values[g->outputs[g->n_outputs - 1]].name);
    sdx_session_destroy(session);
    return y;
}

static void compare(const form *f, const sdx_tensor *got, const sdx_tensor *want) {
    const double tolerance = got->dtype == SDX_F64   ? 1e-12
                             : got->dtype == SDX_F32 ? 2e-5
                             : got->dtype == SDX_F16 ? 6e-3
                                                     : 5e-2;
    assert_int_equal(got->dtype, want->dtype);
    assert_int_equal(got->rank, want->rank);
    for (int d = 0; d < got->rank; d++) assert_int_equal(got->dim[d], want->dim[d]);
    for (int64_t i = 0; i < got->count; i++) {
        double a, b;
        const int64_t at = i * (int64_t)sdx_dtype_size(got->dtype);
        sdx_convert(NULL, got->dtype, (char *)got->data + at, SDX_F64, &a, 1);
        sdx_convert(NULL, got->dtype, (char *)want->data + at, SDX_F64, &b, 1);
        if (isnan(a) != isnan(b) || fabs(a - b) > tolerance)
            fail_msg("%s, %s: element %lld is %g, expected %g", f->name, sdx_dtype_name(got->dtype), (long long)i, a,
                     b);
    }
}

static int count(const sdx_graph *g, const char *op_type) {
    int found = 0;
    for (int k = 0; k < g->n_nodes; k++) found += strcmp(g->nodes[k]->op_type, op_type) == 0;
    return found;
}

static void check(const form *f, sdx_dtype dtype) {
    lab l, other;
    sdx_model *plain_model = build(f, dtype, &other, SDX_OPTIMISE_NONE), *model = build(f, dtype, &l, SDX_OPTIMISE_ALL);
    if (count(l.g, "FusedAttention") != f->fused || count(l.g, "Softmax") != !f->fused)
        fail_msg("%s, %s: %d FusedAttention, %d Softmax", f->name, sdx_dtype_name(dtype), count(l.g, "FusedAttention"),
                 count(l.g, "Softmax"));
    sdx_value *in[MOST_INPUTS];
    srand(7);
    for (int k = 0; k < l.n; k++) in[k] = example(&l, k);
    sdx_value *want = run(plain_model, 1, l.n, in), *got = run(model, 1, l.n, in), *again = run(model, 3, l.n, in);
    compare(f, &got->tensor, &want->tensor);
    if (got->tensor.count) assert_memory_equal(got->tensor.data, again->tensor.data, sdx_tensor_bytes(&got->tensor));
    for (int k = 0; k < l.n; k++) sdx_value_release(in[k]);
    sdx_value_release(want), sdx_value_release(got), sdx_value_release(again);
    sdx_model_close(model), sdx_model_close(plain_model);
}

static void forms_agree(void **state) {
    const sdx_dtype dtype = *(const sdx_dtype *)*state;
    for (size_t k = 0; k < sizeof forms / sizeof forms[0]; k++)
        if (forms[k].build != softmax_in_f32 || dtype != SDX_F64) check(&forms[k], dtype);
}

/* A guard over a constant mask is folded to a constant; it must be the one that belongs to the mask. */
static void constant_guards(void **state) {
    (void)state;
    for (int right = 0; right < 2; right++) {
        sdx_model *model = new_model();
        lab l = {.g = model->graph, .dtype = SDX_F32};
        triple t = usual(&l);
        float mask[5 * 7] = {0};
        for (int k = 0; k < 7; k++) mask[7 + k] = -INFINITY;
        sdx_id m = add_constant(l.g, "m", SDX_F32, DIMS(5, 7), mask);
        sdx_id rows = add_constant(l.g, "rows", SDX_BOOL, DIMS(5, 1), (bool[]){false, right == 1, false, false, false});
        sdx_id p = softmax(&l, node2(&l, "Add", scores(&l, t), m));
        add_output(l.g, node2(&l, "MatMul", where(&l, rows, number(&l, 0), p), t.v));
        finish_model(model);
        OK(sdx_pass_attend(model, &test_error));
        OK(sdx_settle_graph(model->graph, &test_error));
        OK(sdx_graph_check(model->graph, &test_error));
        assert_int_equal(count(l.g, "FusedAttention"), right);
        sdx_model_close(model);
    }
}

int main(void) {
    static sdx_dtype f32 = SDX_F32, f64 = SDX_F64, f16 = SDX_F16, bf16 = SDX_BF16;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(forms_agree, &f32),
        cmocka_unit_test_prestate(forms_agree, &f64),
        cmocka_unit_test_prestate(forms_agree, &f16),
        cmocka_unit_test_prestate(forms_agree, &bf16),
        cmocka_unit_test(constant_guards),
    };
    return cmocka_run_group_tests_name("attend", tests, NULL, NULL);
}
