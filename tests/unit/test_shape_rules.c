/* SPDX-License-Identifier: Apache-2.0
 * The shared rules of shape inference, on known, unknown and symbolic dimensions. */
#include "ops/op.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

typedef struct fixture {
    sdx_error error;
    sdx_type types[3], out;
    const sdx_type *in[3];
    const sdx_tensor *value[3];
    sdx_op_version version;
    sdx_node node;
    sdx_infer infer;
} fixture;

static void begin(fixture *f, int n_in) {
    memset(f, 0, sizeof *f);
    f->version = (sdx_op_version){1, "A:T B:T? rest:T* -> C:T", "T=f32", ""};
    f->node = (sdx_node){.name = "", .domain = "", .op_type = "X", .version = &f->version};
    f->infer = (sdx_infer){
        .error = &f->error, .node = &f->node, .n_in = n_in, .n_out = 1, .in = f->in, .value = f->value, .out = &f->out};
    f->out.rank = -1;
}

static void input(fixture *f, int k, int rank, const int64_t *dims) {
    f->types[k] = sdx_type_make(SDX_F32, rank);
    for (int d = 0; d < rank; d++) f->types[k].dim[d] = dims[d];
    f->in[k] = &f->types[k];
}

typedef struct broadcast_case {
    int rank_a, rank_b;
    int64_t a[3], b[3];
    int rank; /* -2: refused */
    int64_t expected[3];
} broadcast_case;

static void broadcasts(void **state) {
    (void)state;
    static const broadcast_case cases[] = {
        {2, 1, {3, 4}, {4}, 2, {3, 4}}, {2, 2, {3, 1}, {1, 4}, 2, {3, 4}},
        {0, 2, {0}, {2, 0}, 2, {2, 0}}, {2, 2, {-2, 4}, {-2, 1}, 2, {-2, 4}},
        {1, 1, {-2}, {-3}, 1, {-1}},    {1, 1, {-1}, {7}, 1, {7}},
        {1, 1, {-1}, {1}, 1, {-1}},     {1, 1, {0}, {1}, 1, {0}},
        {1, 1, {3}, {4}, -2, {0}},      {1, 1, {0}, {4}, -2, {0}},
        {-1, 1, {0}, {4}, -1, {0}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const broadcast_case *c = &cases[i];
        fixture f;
        begin(&f, 2);
        input(&f, 0, c->rank_a, c->a);
        input(&f, 1, c->rank_b, c->b);
        sdx_status status = sdx_infer_broadcast(&f.infer, 0, 0, 1);
        if (c->rank == -2 ? status != SDX_SHAPE : status != SDX_OK) fail_msg("case %zu: status %d", i, (int)status);
        if (c->rank == -2) continue;
        if (f.out.rank != c->rank) fail_msg("case %zu: rank %d, expected %d", i, f.out.rank, c->rank);
        for (int d = 0; d < c->rank; d++)
            if (f.out.dim[d] != c->expected[d])
                fail_msg("case %zu: dim %d is %lld, expected %lld", i, d, (long long)f.out.dim[d],
                         (long long)c->expected[d]);
    }
}

static void broadcast_names_the_input(void **state) {
    (void)state;
    fixture f;
    begin(&f, 2);
    input(&f, 0, 1, (int64_t[]){3});
    input(&f, 1, 1, (int64_t[]){4});
    assert_int_equal(sdx_infer_broadcast(&f.infer, 0, 0, 1), SDX_SHAPE);
    assert_string_equal(f.error.message, "dimension 0 of input 'B' is 4; it must be 1 or 3 to broadcast");
}

static void input_names(void **state) {
    (void)state;
    fixture f;
    char name[8];
    begin(&f, 0);
    assert_string_equal(sdx_op_input_name(&f.node, 0, name, sizeof name), "A");
    assert_string_equal(sdx_op_input_name(&f.node, 1, name, sizeof name), "B");
    assert_string_equal(sdx_op_input_name(&f.node, 2, name, sizeof name), "rest");
    assert_string_equal(sdx_op_input_name(&f.node, 9, name, sizeof name), "rest");
    assert_string_equal(sdx_op_input_name(&f.node, 2, name, 3), "re");
}

static void axes(void **state) {
    (void)state;
    fixture f;
    int axis = 7;
    begin(&f, 0);
    assert_int_equal(sdx_infer_axis(&f.infer, "axis", -3, 3, &axis), SDX_OK);
    assert_int_equal(axis, 0);
    assert_int_equal(sdx_infer_axis(&f.infer, "axis", 2, 3, &axis), SDX_OK);
    assert_int_equal(axis, 2);
    assert_int_equal(sdx_infer_axis(&f.infer, "axis", 3, 3, &axis), SDX_SHAPE);
    assert_string_equal(f.error.message, "'axis' is 3; it must be in [-3, 2] for rank 3");
    assert_int_equal(sdx_infer_axis(&f.infer, "axis", INT64_MIN, 3, &axis), SDX_SHAPE);
    assert_int_equal(sdx_infer_axis(&f.infer, "axis", 0, 0, &axis), SDX_SHAPE);
}

static void ranks_and_dims(void **state) {
    (void)state;
    fixture f;
    int64_t merged = 0;
    begin(&f, 1);
    input(&f, 0, 2, (int64_t[]){-2, 5});
    assert_int_equal(sdx_infer_rank(&f.infer, 0, "A", 2), SDX_OK);
    assert_int_equal(sdx_infer_rank(&f.infer, 0, "A", 3), SDX_SHAPE);
    assert_string_equal(f.error.message, "input 'A' has rank 2; it must be 3");
    assert_int_equal(sdx_infer_merge_dim(&f.infer, "channels", -2, 5, &merged), SDX_OK);
    assert_int_equal(merged, 5);
    assert_int_equal(sdx_infer_merge_dim(&f.infer, "channels", -1, -4, &merged), SDX_OK);
    assert_int_equal(merged, -4);
    assert_int_equal(sdx_infer_merge_dim(&f.infer, "channels", 3, 5, &merged), SDX_SHAPE);
    sdx_infer_same(&f.infer, 0, 0);
    assert_int_equal(f.out.rank, 2);
    assert_int_equal(f.out.dim[0], -2);
    f.types[0].rank = -1;
    assert_int_equal(sdx_infer_rank(&f.infer, 0, "A", 3), SDX_OK);
    sdx_infer_same(&f.infer, 0, 0);
    assert_int_equal(f.out.rank, -1);
}

static void contents(void **state) {
    (void)state;
    fixture f;
    int32_t narrow[2] = {-1, 7};
    int64_t values[4] = {0};
    int n = 0;
    sdx_tensor tensor;
    begin(&f, 1);
    input(&f, 0, 1, (int64_t[]){2});
    f.types[0].dtype = SDX_I32;
    assert_int_equal(sdx_infer_i64s(&f.infer, 0, "A", values, 4, &n), SDX_OK);
    assert_int_equal(n, -1);
    assert_int_equal(sdx_tensor_make(&tensor, SDX_I32, 1, f.types[0].dim, narrow, &f.error), SDX_OK);
    f.value[0] = &tensor;
    assert_int_equal(sdx_infer_i64s(&f.infer, 0, "A", values, 4, &n), SDX_OK);
    assert_int_equal(n, 2);
    assert_int_equal(values[0], -1);
    assert_int_equal(values[1], 7);
    assert_int_equal(sdx_infer_i64s(&f.infer, 0, "A", values, 1, &n), SDX_SHAPE);
    assert_int_equal(sdx_infer_i64s(&f.infer, 3, "rest", values, 1, &n), SDX_OK);
    assert_int_equal(n, -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broadcasts),     cmocka_unit_test(broadcast_names_the_input),
        cmocka_unit_test(input_names),    cmocka_unit_test(axes),
        cmocka_unit_test(ranks_and_dims), cmocka_unit_test(contents),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
