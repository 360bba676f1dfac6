/* SPDX-License-Identifier: Apache-2.0
 * Gelu written out: every form that the pass knows, and those that it must leave alone, against the graph as it stands.
 */
#include "ops/loop.h"
#include "support.h"
#include <math.h>

enum { COUNT = 41 };

typedef struct lab {
    sdx_graph *g;
    sdx_dtype dtype;
    int n;
    sdx_id x;
} lab;

static const double root = 1.4142135623730951;

static const char *fresh(lab *l) {
    char name[16];
    snprintf(name, sizeof name, "n%d", l->n++);
    return sdx_arena_copy(l->g->arena, name, strlen(name), &test_error);
}
static sdx_id op1(lab *l, const char *op, sdx_id a) { return add_node(l->g, op, fresh(l), IDS(a)); }
static sdx_id op2(lab *l, const char *op, sdx_id a, sdx_id b) { return add_node(l->g, op, fresh(l), IDS(a, b)); }

static sdx_id shaped(lab *l, double value, int rank) {
    char bytes[8];
    sdx_convert(NULL, SDX_F64, &value, l->dtype, bytes, 1);
    return add_constant(l->g, fresh(l), l->dtype, rank, (int64_t[]){1, 1, 1}, bytes);
}
static sdx_id number(lab *l, double value) { return shaped(l, value, 0); }
static sdx_id sum(lab *l, sdx_id of) { return op2(l, "Add", op1(l, "Erf", of), number(l, 1)); }
static sdx_id divided(lab *l) { return sum(l, op2(l, "Div", l->x, number(l, root))); }

static sdx_id half_last(lab *l) { return op2(l, "Mul", op2(l, "Mul", l->x, divided(l)), number(l, .5)); }
static sdx_id half_of_x(lab *l) { return op2(l, "Mul", op2(l, "Mul", l->x, number(l, .5)), divided(l)); }
static sdx_id half_of_sum(lab *l) { return op2(l, "Mul", op2(l, "Mul", number(l, .5), divided(l)), l->x); }
static sdx_id turned_round(lab *l) {
    const sdx_id erf = op1(l, "Erf", op2(l, "Mul", number(l, 1 / root), l->x));
    return op2(l, "Div", op2(l, "Mul", op2(l, "Add", shaped(l, 1, 2), erf), l->x), shaped(l, 2, 1));
}

static sdx_id other_root(lab *l) {
    return op2(l, "Mul", op2(l, "Mul", l->x, sum(l, op2(l, "Div", l->x, number(l, 1.5)))), number(l, .5));
}
static sdx_id other_half(lab *l) { return op2(l, "Mul", op2(l, "Mul", l->x, divided(l)), number(l, .25)); }
static sdx_id other_sum(lab *l) {
    const sdx_id erf = op1(l, "Erf", op2(l, "Div", l->x, number(l, root)));
    return op2(l, "Mul", op2(l, "Mul", l->x, op2(l, "Add", erf, number(l, 2))), number(l, .5));
}
static sdx_id other_factor(lab *l) {
    const sdx_id y = op1(l, "Abs", l->x);
    return op2(l, "Mul", op2(l, "Mul", y, divided(l)), number(l, .5));
}
static sdx_id squared(lab *l) {
    const sdx_id s = divided(l);
    return op2(l, "Mul", op2(l, "Mul", s, s), number(l, .5));
}
static sdx_id read_twice(lab *l) {
    const sdx_id s = divided(l);
    return op2(l, "Sub", op2(l, "Mul", op2(l, "Mul", l->x, s), number(l, .5)), s);
}
static sdx_id widened(lab *l) { return op2(l, "Mul", op2(l, "Mul", l->x, divided(l)), shaped(l, .5, 3)); }

static const struct form {
    const char *name;
    sdx_id (*build)(lab *l);
    int joined;
} forms[] = {{"half last", half_last, 1},
             {"half of x", half_of_x, 1},
             {"half of the sum", half_of_sum, 1},
             {"turned round", turned_round, 1},
             {"other root", other_root, 0},
             {"other half", other_half, 0},
             {"other sum", other_sum, 0},
             {"other factor", other_factor, 0},
             {"squared", squared, 0},
             {"read twice", read_twice, 0},
             {"widened", widened, 0}};

static int count(const sdx_graph *g, const char *op_type) {
    int found = 0;
    for (int k = 0; k < g->n_nodes; k++) found += strcmp(g->nodes[k]->op_type, op_type) == 0;
    return found;
}

static sdx_value *answer(const struct form *f, sdx_dtype dtype, sdx_optimise level, sdx_value *x) {
    sdx_model *model = new_model();
    lab l = {.g = model->graph, .dtype = dtype};
    l.x = add_input(l.g, "x", dtype, DIMS(1, COUNT));
    const sdx_id y = f->build(&l);
    add_output(l.g, y);
    char name[16];
    snprintf(name, sizeof name, "%s", l.g->values[y].name);
    const sdx_model_options options = {.size = sizeof options, .optimise = level};
    OK(sdx_graph_sort(l.g, &test_error));
    OK(sdx_load_finish(model, &options, &test_error));
    const int want = level == SDX_OPTIMISE_ALL ? f->joined : 0;
    if (count(l.g, "Gelu") != want || count(l.g, "Erf") != 1 - want)
        fail_msg("%s, %s: %d Gelu, %d Erf", f->name, sdx_dtype_name(dtype), count(l.g, "Gelu"), count(l.g, "Erf"));
    sdx_session *session = new_session(model, 1);
    sdx_value *out = run_one(session, &(sdx_binding){"x", x}, 1, name);
    sdx_session_destroy(session);
    sdx_model_close(model);
    return out;
}

static void forms_agree(void **state) {
    const sdx_dtype dtype = *(const sdx_dtype *)*state;
    const double slack = dtype == SDX_F64 ? 1e-14 : dtype == SDX_F32 ? 1e-6 : dtype == SDX_F16 ? 1e-2 : .1;
    for (size_t k = 0; k < sizeof forms / sizeof forms[0]; k++) {
        double in[COUNT], want[COUNT], got[COUNT];
        for (int i = 0; i < COUNT; i++) in[i] = (i - COUNT / 2) * .25;
        sdx_value *x = new_tensor(dtype, DIMS(1, COUNT), NULL);
        sdx_convert(NULL, SDX_F64, in, dtype, x->tensor.data, COUNT);
        sdx_value *plain = answer(&forms[k], dtype, SDX_OPTIMISE_NONE, x);
        sdx_value *joined = answer(&forms[k], dtype, SDX_OPTIMISE_ALL, x);
        assert_int_equal(plain->tensor.rank, joined->tensor.rank);
        sdx_convert(NULL, dtype, plain->tensor.data, SDX_F64, want, COUNT);
        sdx_convert(NULL, dtype, joined->tensor.data, SDX_F64, got, COUNT);
        for (int i = 0; i < COUNT; i++)
            if (!(fabs(got[i] - want[i]) <= slack * (1 + fabs(want[i]))))
                fail_msg("%s, %s: of %g comes %.9g; it must be %.9g", forms[k].name, sdx_dtype_name(dtype), in[i],
                         got[i], want[i]);
        sdx_value_release(x), sdx_value_release(plain), sdx_value_release(joined);
    }
}

int main(void) {
    static sdx_dtype f32 = SDX_F32, f64 = SDX_F64, f16 = SDX_F16, bf16 = SDX_BF16;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(forms_agree, &f32),
        cmocka_unit_test_prestate(forms_agree, &f64),
        cmocka_unit_test_prestate(forms_agree, &f16),
        cmocka_unit_test_prestate(forms_agree, &bf16),
    };
    return cmocka_run_group_tests_name("gelu", tests, NULL, NULL);
}
