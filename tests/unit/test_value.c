/* SPDX-License-Identifier: Apache-2.0
 * Values of every kind: construction with the caller's and with accounted memory, refusals, copies, references. */
#include "runtime/base/value.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define DIMS(...)                                                                                                      \
    (const int64_t[]) { __VA_ARGS__ }

static sdx_value *f32_vector(const float *data, int64_t n) {
    sdx_value *value = NULL;
    assert_int_equal(sdx_value_create(SDX_F32, 1, &n, NULL, &value), SDX_OK);
    if (n) memcpy(sdx_value_data(value), data, (size_t)n * sizeof *data);
    return value;
}

static sdx_value *i64_tensor(const int64_t *data, int rank, const int64_t *dims) {
    sdx_value *value = NULL;
    assert_int_equal(sdx_value_create(SDX_I64, rank, dims, NULL, &value), SDX_OK);
    memcpy(sdx_value_data(value), data, (size_t)sdx_value_count(value) * sizeof *data);
    return value;
}

static void tensors(void **state) {
    (void)state;
    float data[6] = {1, 2, 3, 4, 5, 6};
    sdx_value *value = NULL;
    assert_int_equal(sdx_value_borrow(SDX_F32, 2, DIMS(2, 3), data, NULL, &value), SDX_OK);
    assert_int_equal(sdx_value_kind(value), SDX_TENSOR);
    assert_int_equal(sdx_value_dtype(value), SDX_F32);
    assert_int_equal(sdx_value_rank(value), 2);
    assert_int_equal(sdx_value_dims(value)[1], 3);
    assert_int_equal(sdx_value_count(value), 6);
    assert_ptr_equal(sdx_value_data(value), data);
    assert_int_equal(sdx_value_item_count(value), 0);
    assert_null(sdx_value_item(value, 0));
    sdx_value_release(value);
    assert_int_equal(sdx_value_borrow(SDX_F32, 1, DIMS(0), NULL, NULL, &value), SDX_OK);
    sdx_value_release(value);
    assert_int_equal(sdx_value_create(SDX_I32, 0, NULL, NULL, &value), SDX_OK);
    assert_int_equal(*(int32_t *)sdx_value_data(value), 0);
    assert_int_equal((uintptr_t)sdx_value_data(value) % 64, 0);
    sdx_value_release(value);
}

static void refusals_of_tensors(void **state) {
    (void)state;
    float data[4] = {0};
    sdx_value *value = (void *)data;
    sdx_error error = {0};
    assert_int_equal(sdx_value_borrow(SDX_F32, 1, DIMS(2), NULL, &error, &value), SDX_ARGUMENT);
    assert_null(value);
    assert_int_equal(error.status, SDX_ARGUMENT);
    assert_int_equal(sdx_value_borrow(SDX_F32, 1, DIMS(2), (char *)data + 1, NULL, &value), SDX_ARGUMENT);
    assert_int_equal(sdx_value_borrow(SDX_F32, 1, NULL, data, NULL, &value), SDX_ARGUMENT);
    assert_int_equal(sdx_value_borrow(SDX_F32, 1, DIMS(2), data, NULL, NULL), SDX_ARGUMENT);
    assert_int_equal(sdx_value_borrow((sdx_dtype)77, 1, DIMS(2), data, NULL, &value), SDX_TYPE);
    assert_int_equal(sdx_value_create(SDX_F32, 1, DIMS(-1), NULL, &value), SDX_SHAPE);
    assert_int_equal(sdx_value_create(SDX_F32, 17, DIMS(0), NULL, &value), SDX_UNSUPPORTED);
    error = (sdx_error){0};
    assert_int_equal(sdx_value_create(SDX_U8, 1, DIMS(INT64_MAX), &error, &value), SDX_OUT_OF_MEMORY);
    assert_int_equal(error.status, SDX_OUT_OF_MEMORY);
    assert_null(value);
    assert_int_equal(sdx_value_create(SDX_U8, 1, DIMS(INT64_MAX), NULL, &value), SDX_OUT_OF_MEMORY);
}

static void nothing_is_harmless(void **state) {
    (void)state;
    sdx_value_release(NULL);
    assert_null(sdx_value_retain(NULL));
    assert_int_equal(sdx_value_kind(NULL), 0);
    assert_int_equal(sdx_value_dtype(NULL), SDX_UNDEFINED);
    assert_int_equal(sdx_value_rank(NULL), 0);
    assert_int_equal(sdx_value_count(NULL), 0);
    assert_null(sdx_value_dims(NULL));
    assert_null(sdx_value_data(NULL));
    assert_null(sdx_value_item(NULL, 0));
    assert_int_equal(sdx_value_item_count(NULL), 0);
}

static void strings(void **state) {
    (void)state;
    char bytes[] = "alpha\0beta";
    sdx_string in[] = {{bytes, 5}, {bytes + 5, 3}, {NULL, 0}, {bytes + 6, 4}};
    sdx_value *value = NULL, *copy = NULL;
    assert_int_equal(sdx_value_from_strings(2, DIMS(2, 2), in, NULL, &value), SDX_OK);
    memset(bytes, 'x', sizeof bytes);
    sdx_memory memory;
    sdx_memory_init(&memory, 0);
    copy = sdx_value_copy(&memory, value, NULL);
    sdx_value_release(value);
    const sdx_string *out = sdx_value_data(copy);
    assert_int_equal(out[0].size, 5);
    assert_memory_equal(out[0].data, "alpha", 5);
    assert_memory_equal(out[1].data, "\0be", 3);
    assert_int_equal(out[2].size, 0);
    assert_non_null(out[2].data);
    assert_memory_equal(out[3].data, "beta", 4);
    sdx_value_release(copy);
    assert_int_equal(sdx_memory_used(&memory), 0);
    assert_int_equal(sdx_value_from_strings(1, DIMS(1), &(sdx_string){NULL, 3}, NULL, &value), SDX_ARGUMENT);
    assert_int_equal(sdx_value_from_strings(1, DIMS(1), NULL, NULL, &value), SDX_ARGUMENT);
    assert_int_equal(sdx_value_from_strings(1, DIMS(2), (sdx_string[]){{"", SIZE_MAX}, {"", 2}}, NULL, &value),
                     SDX_OUT_OF_MEMORY);
    assert_int_equal(sdx_value_from_strings(1, DIMS(0), NULL, NULL, &value), SDX_OK);
    sdx_value_release(value);
    assert_int_equal(sdx_value_create(SDX_STRING, 1, DIMS(3), NULL, &value), SDX_OK);
    assert_string_equal(((const sdx_string *)sdx_value_data(value))[2].data, "");
    sdx_value_release(value);
}

static void sequences(void **state) {
    (void)state;
    sdx_value *a = f32_vector((float[]){1, 2}, 2), *b = f32_vector((float[]){3}, 1), *seq = NULL, *outer = NULL;
    sdx_value *c = i64_tensor((int64_t[]){1}, 0, NULL);
    assert_int_equal(sdx_value_sequence((sdx_value *[]){a, b}, 2, SDX_UNDEFINED, NULL, &seq), SDX_OK);
    sdx_value_release(a);
    sdx_value_release(b);
    assert_int_equal(sdx_value_item_count(seq), 2);
    assert_int_equal(sdx_value_dtype(seq), SDX_F32);
    assert_ptr_equal(sdx_value_item(seq, 1), b);
    assert_null(sdx_value_item(seq, 2));
    sdx_error error = {0};
    assert_int_equal(sdx_value_sequence((sdx_value *[]){a, c}, 2, SDX_F32, &error, &outer), SDX_TYPE);
    assert_string_equal(error.message, "item 1 is i64; item 0 is f32");
    assert_int_equal(sdx_value_sequence((sdx_value *[]){a, NULL}, 2, SDX_F32, NULL, &outer), SDX_ARGUMENT);
    assert_int_equal(sdx_value_sequence(NULL, 0, SDX_UNDEFINED, NULL, &outer), SDX_TYPE);
    assert_int_equal(sdx_value_sequence((sdx_value *[]){seq, seq}, 2, SDX_UNDEFINED, NULL, &outer), SDX_OK);
    assert_int_equal(sdx_value_dtype(outer), SDX_F32);
    sdx_value_release(outer);
    assert_int_equal(sdx_value_item_count(seq), 2);
    assert_int_equal(sdx_value_sequence(NULL, 0, SDX_BOOL, NULL, &outer), SDX_OK);
    assert_int_equal(sdx_value_dtype(outer), SDX_BOOL);
    sdx_value_release(outer);
    sdx_value_release(seq);
    sdx_value_release(c);
}

static void optionals(void **state) {
    (void)state;
    sdx_value *item = f32_vector((float[]){1}, 1), *seq = NULL, *value = NULL;
    assert_int_equal(sdx_value_sequence(&item, 1, SDX_UNDEFINED, NULL, &seq), SDX_OK);
    assert_int_equal(sdx_value_optional(seq, SDX_UNDEFINED, NULL, &value), SDX_OK);
    sdx_memory memory;
    sdx_memory_init(&memory, 0);
    sdx_arena arena;
    sdx_arena_init(&arena, &memory);
    sdx_type type;
    char text[64];
    assert_int_equal(sdx_value_type(value, &arena, &type, NULL), SDX_OK);
    sdx_value_release(value);
    sdx_value_release(seq);
    sdx_value_release(item);
    assert_string_equal(sdx_type_text(&type, text, sizeof text), "opt(seq(f32))");
    sdx_arena_release(&arena);
    assert_int_equal(sdx_value_optional(NULL, SDX_I8, NULL, &value), SDX_OK);
    assert_int_equal(sdx_value_item_count(value), 0);
    assert_int_equal(sdx_value_dtype(value), SDX_I8);
    sdx_value_release(value);
    assert_int_equal(sdx_value_optional(NULL, SDX_UNDEFINED, NULL, &value), SDX_TYPE);
}

static void maps(void **state) {
    (void)state;
    sdx_value *keys = i64_tensor((int64_t[]){5, 7}, 1, DIMS(2)), *floats = f32_vector((float[]){1, 2}, 2), *map = NULL;
    sdx_value *three = f32_vector((float[]){1, 2, 3}, 3), *seq = NULL;
    assert_int_equal(sdx_value_map(keys, floats, NULL, &map), SDX_OK);
    assert_int_equal(sdx_value_dtype(map), SDX_F32);
    assert_int_equal(sdx_value_sequence(&map, 1, SDX_UNDEFINED, NULL, &seq), SDX_OK);
    assert_int_equal(sdx_value_dtype(seq), SDX_F32);
    sdx_value_release(map);
    assert_int_equal(sdx_value_map(keys, three, NULL, &map), SDX_SHAPE);
    assert_int_equal(sdx_value_map(floats, floats, NULL, &map), SDX_TYPE);
    assert_int_equal(sdx_value_map(seq, floats, NULL, &map), SDX_TYPE);
    assert_int_equal(sdx_value_map(NULL, floats, NULL, &map), SDX_ARGUMENT);
    sdx_value_release(seq);
    sdx_value_release(three);
    sdx_value_release(floats);
    sdx_value_release(keys);
}

static void sparse_tensors(void **state) {
    (void)state;
    sdx_value *values = f32_vector((float[]){1, 2}, 2), *sparse = NULL, *copy = NULL;
    static const struct {
        int64_t index[4];
        int rank;
        sdx_status status;
    } cases[] = {
        {{1, 5}, 1, SDX_OK},          {{0, 0, 1, 2}, 2, SDX_OK},    {{5, 1}, 1, SDX_VALUE},
        {{1, 1}, 1, SDX_VALUE},       {{1, 6}, 1, SDX_VALUE},       {{-1, 2}, 1, SDX_VALUE},
        {{0, 3, 1, 0}, 2, SDX_VALUE}, {{1, 0, 0, 2}, 2, SDX_VALUE}, {{0, -1, 1, 0}, 2, SDX_VALUE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sdx_value *index = i64_tensor(cases[i].index, cases[i].rank, DIMS(2, 2));
        sdx_status status = sdx_value_sparse(values, index, 2, DIMS(2, 3), NULL, &sparse);
        if (status != cases[i].status) fail_msg("case %zu: status %d", i, (int)status);
        if (sparse) {
            assert_int_equal(sdx_value_dtype(sparse), SDX_F32);
            assert_int_equal(sdx_value_count(sparse), 6);
            assert_ptr_equal(sdx_value_item(sparse, 1), index);
            copy = sdx_value_copy(NULL, sparse, NULL);
            assert_int_equal(sdx_value_dims(copy)[1], 3);
            assert_int_equal(((int64_t *)sdx_value_data(sdx_value_item(copy, 1)))[1], cases[i].index[1]);
        }
        sdx_value_release(copy);
        sdx_value_release(sparse);
        sdx_value_release(index);
        copy = sparse = NULL;
    }
    assert_int_equal(sdx_value_sparse(values, values, 2, DIMS(2, 3), NULL, &sparse), SDX_TYPE);
    sdx_value_release(values);
}

static void deep_nesting_is_refused(void **state) {
    (void)state;
    sdx_value *value = f32_vector((float[]){1}, 1);
    sdx_error error = {0};
    int depth = 0;
    for (sdx_value *outer = NULL; !sdx_value_sequence(&value, 1, SDX_UNDEFINED, &error, &outer); depth++) {
        sdx_value_release(value);
        value = outer;
    }
    assert_int_equal(error.status, SDX_UNSUPPORTED);
    assert_int_equal(depth, SDX_MAX_NESTING);
    sdx_value_release(value);
}

static void long_chains_of_views_are_released(void **state) {
    (void)state;
    sdx_value *value = f32_vector((float[]){1}, 1);
    for (int i = 0; i < 200000; i++) {
        sdx_value *view = sdx_value_new_view(NULL, &value->tensor, value, NULL);
        assert_non_null(view);
        sdx_value_release(value);
        value = view;
    }
    assert_true(*(float *)sdx_value_data(value) == 1);
    sdx_value_release(value);
}

static sdx_value *nested(void) {
    sdx_value *a = NULL, *b = f32_vector((float[]){3}, 1), *seq = NULL, *opt = NULL;
    sdx_value_from_strings(1, DIMS(2), (sdx_string[]){{"one", 3}, {"two", 3}}, NULL, &a);
    sdx_value *map = NULL;
    assert_int_equal(sdx_value_sequence((sdx_value *[]){b, b}, 2, SDX_F32, NULL, &seq), SDX_OK);
    assert_int_equal(sdx_value_map(a, seq, NULL, &map), SDX_OK);
    assert_int_equal(sdx_value_optional(map, SDX_UNDEFINED, NULL, &opt), SDX_OK);
    sdx_value_release(a);
    sdx_value_release(b);
    sdx_value_release(seq);
    sdx_value_release(map);
    return opt;
}

static void copies_survive_failing_allocations(void **state) {
    (void)state;
    sdx_value *value = nested(), *copy = NULL;
    sdx_memory memory;
    sdx_memory_init(&memory, 0);
    int n = 0;
    do {
        sdx_error error = {0};
        atomic_store(&memory.fail_after, ++n);
        copy = sdx_value_copy(&memory, value, &error);
        assert_int_equal(copy == NULL, error.status == SDX_OUT_OF_MEMORY);
        if (!copy) assert_int_equal(sdx_memory_used(&memory), 0);
    } while (!copy && n < 100);
    assert_in_range(n, 8, 99);
    sdx_value_release(value);
    const sdx_value *map = sdx_value_item(copy, 0);
    assert_memory_equal(((const sdx_string *)sdx_value_data(sdx_value_item(map, 0)))[1].data, "two", 3);
    assert_int_equal(sdx_value_item_count(sdx_value_item(map, 1)), 2);
    sdx_value_release(copy);
    assert_int_equal(sdx_memory_used(&memory), 0);
}

static void *hold_and_drop(void *value) {
    for (int i = 0; i < 20000; i++) sdx_value_release(sdx_value_retain(value));
    sdx_value_release(value);
    return NULL;
}

static void references_are_shared_by_threads(void **state) {
    (void)state;
    sdx_value *value = nested();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_and_drop, sdx_value_retain(value)), 0);
    sdx_value_release(value);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

static void version(void **state) {
    (void)state;
    assert_string_equal(sdx_version(), "0.1.0");
    sdx_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors),
        cmocka_unit_test(refusals_of_tensors),
        cmocka_unit_test(nothing_is_harmless),
        cmocka_unit_test(strings),
        cmocka_unit_test(sequences),
        cmocka_unit_test(optionals),
        cmocka_unit_test(maps),
        cmocka_unit_test(sparse_tensors),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(long_chains_of_views_are_released),
        cmocka_unit_test(copies_survive_failing_allocations),
        cmocka_unit_test(references_are_shared_by_threads),
        cmocka_unit_test(version),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
