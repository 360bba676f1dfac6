/* SPDX-License-Identifier: Apache-2.0
 * Version rows: every row of every operator parses, the grammar gives what it says, mistakes are found. */
#include "ops/registry.h"
#include "tests/unit/support.h"

static sdx_memory memory;
static sdx_arena arena;

static int set_up(void **state) {
    (void)state;
    sdx_memory_init(&memory, 0);
    sdx_arena_init(&arena, &memory);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    sdx_arena_release(&arena);
    return 0;
}

static const sdx_row *parse(const char *signature, const char *types, const char *attributes) {
    sdx_op_version *version = SDX_NEW(&arena, sdx_op_version, NULL);
    const sdx_row *row = NULL;
    *version = (sdx_op_version){7, signature, types, attributes};
    test_error = (sdx_error){0};
    if (sdx_row_parse(version, &arena, &test_error, &row) != SDX_OK) fail_msg("%s", test_error.message);
    return row;
}

static void every_row_parses(void **state) {
    (void)state;
    int n = 0;
    for (size_t k = 0; k < sdx_ops_count; k++)
        for (const sdx_op_version *v = sdx_ops[k]->versions; v->since; v++, n++) {
            const sdx_row *row = NULL;
            test_error = (sdx_error){0};
            if (sdx_row_parse(v, &arena, &test_error, &row) != SDX_OK)
                fail_msg("%s: %s", sdx_ops[k]->name, test_error.message);
            assert_ptr_equal(row->version, v);
        }
    assert_true(n > 100);
}

static void reads_signatures(void **state) {
    (void)state;
    const sdx_row *row = parse("X:T scale:f32? xs:seq(T)* -> Y:T ys:V**0", "T=f16|f32 V=i64", "");
    assert_int_equal(row->n_in, 3);
    assert_int_equal(row->n_out, 2);
    assert_string_equal(row->in[0].name, "X");
    assert_int_equal(row->in[0].variable, 0);
    assert_false(row->in[0].optional);
    assert_int_equal(row->in[1].variable, -1);
    assert_int_equal(row->in[1].type.dtype, SDX_F32);
    assert_true(row->in[1].optional);
    assert_true(row->in[2].variadic);
    assert_int_equal(row->in[2].wrap, SDX_SEQUENCE);
    assert_int_equal(row->in[2].least, 1);
    assert_false(row->in[2].heterogeneous);
    assert_true(row->out[1].variadic && row->out[1].heterogeneous);
    assert_int_equal(row->out[1].least, 0);
}

static void wraps_distribute(void **state) {
    (void)state;
    const sdx_row *row = parse("X:T -> Y:T", "T=f32|seq(f16|map(i64,f32))|opt(seq(i64)|bool)|map(string,f64)", "");
    const sdx_row_type *t = row->variables[0].types;
    assert_int_equal(row->variables[0].n_types, 6);
    assert_true(t[0].kind == SDX_TENSOR && t[0].dtype == SDX_F32);
    assert_true(t[1].kind == SDX_SEQUENCE && t[1].dtype == SDX_F16 && !t[1].of_map);
    assert_true(t[2].kind == SDX_SEQUENCE && t[2].of_map && t[2].key == SDX_I64 && t[2].dtype == SDX_F32);
    assert_true(t[3].kind == SDX_OPTIONAL && t[3].of_sequence && t[3].dtype == SDX_I64);
    assert_true(t[4].kind == SDX_OPTIONAL && !t[4].of_sequence && t[4].dtype == SDX_BOOL);
    assert_true(t[5].kind == SDX_MAP && t[5].key == SDX_STRING && t[5].dtype == SDX_F64);
}

static void reads_attributes(void **state) {
    (void)state;
    const sdx_row *row =
        parse("-> Y:f32", "",
              "epsilon:float=1e-05 lo:float=-3.4028235e+38 axis:int=-1 mode:string=linear to:int! "
              "axes:ints=[0,2,3] names:strings=[Tanh,Relu] alpha:floats=[0.5,2] body:graph! empty:ints");
    assert_int_equal(row->n_attrs, 10);
    assert_true(sdx_row_attr_of(row, "epsilon")->attr.f == 1e-5f);
    assert_true(sdx_row_attr_of(row, "lo")->attr.f == -3.4028235e+38f);
    assert_int_equal(sdx_row_attr_of(row, "axis")->attr.i, -1);
    assert_string_equal(sdx_row_attr_of(row, "mode")->attr.s.data, "linear");
    assert_true(sdx_row_attr_of(row, "to")->required);
    const sdx_attr *axes = &sdx_row_attr_of(row, "axes")->attr;
    assert_int_equal(axes->n, 3);
    assert_int_equal(axes->ints[2], 3);
    const sdx_attr *names = &sdx_row_attr_of(row, "names")->attr;
    assert_int_equal(names->n, 2);
    assert_string_equal(names->strings[1].data, "Relu");
    assert_true(sdx_row_attr_of(row, "alpha")->attr.floats[1] == 2.0f);
    assert_int_equal(sdx_row_attr_of(row, "body")->attr.type, SDX_ATTR_GRAPH);
    assert_false(sdx_row_attr_of(row, "empty")->has_default);
    assert_null(sdx_row_attr_of(row, "none"));
}

static void finds_mistakes(void **state) {
    (void)state;
    static const struct {
        const char *signature, *types, *attributes, *words;
    } cases[] = {
        {"X:T Y:T", "T=f32", "", "'->'"},
        {"X -> Y:T", "T=f32", "", "':'"},
        {"X:T -> Y:U", "T=f32", "", "variable"},
        {"X:T! -> Y:T", "T=f32", "", "variable"},
        {"X:T -> Y:T", "T=f99", "", "no type"},
        {"X:T -> Y:T", "T=seq(f32", "", "')'"},
        {"X:T -> Y:T", "T", "", "'='"},
        {"X:T -> Y:T", "T=f32", "axis", "':'"},
        {"X:T -> Y:T", "T=f32", "axis:thing", "attribute type"},
        {"X:T -> Y:T", "T=f32", "axes:ints=[1", "']'"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
        sdx_op_version version = {1, cases[k].signature, cases[k].types, cases[k].attributes};
        const sdx_row *row = NULL;
        sdx_error error = {0};
        assert_int_equal(sdx_row_parse(&version, &arena, &error, &row), SDX_MALFORMED);
        CONTAINS(error.message, cases[k].words);
        assert_null(row);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_parses), cmocka_unit_test(reads_signatures), cmocka_unit_test(wraps_distribute),
        cmocka_unit_test(reads_attributes), cmocka_unit_test(finds_mistakes),
    };
    return cmocka_run_group_tests_name("row", tests, set_up, tear_down);
}
