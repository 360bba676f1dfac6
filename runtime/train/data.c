/* SPDX-License-Identifier: Apache-2.0
 * Whole arrays in memory, whose first axis is the sample, taken in batches in an order that depends on the seed and the
 * epoch alone. */
#include "runtime/base/mix.h"
#include "runtime/train/trainer.h"
#include <inttypes.h>
#include <string.h>

/* ---- Opening --------------------------------------------------------------------------------------------------- */

static sdx_status check_array(const sdx_binding *array, size_t k, const char *what, sdx_data *data, sdx_error *error) {
    if (!array->name) return sdx_fail(error, SDX_ARGUMENT, "array %zu of the %s has no name", k, what);
    char name[128];
    sdx_escape(name, sizeof name, array->name, strlen(array->name));
    if (!array->value) return sdx_fail(error, SDX_ARGUMENT, "array '%s' of the %s is NULL", name, what);
    const sdx_tensor *tensor = &array->value->tensor;
    if (array->value->kind != SDX_TENSOR || tensor->rank < 1)
        return sdx_fail(error, SDX_SHAPE, "array '%s' of the %s has no first axis to be cut into samples", name, what);
    if (k > 0 && tensor->dim[0] != data->n_samples)
        return sdx_fail(error, SDX_SHAPE, "array '%s' of the %s has %" PRId64 " samples; '%s' has %" PRId64, name, what,
                        tensor->dim[0], data->arrays[0].name, data->n_samples);
    data->n_samples = tensor->dim[0];
    return SDX_OK;
}

/* The size of batches: as asked for, or what the model insists on, which the trainer then says. */
static sdx_status choose_batch(sdx_data *data, const char *what, sdx_error *error) {
    sdx_trainer *t = data->trainer;
    int64_t asked = t->options.batch, fixed = 0;
    for (int k = 0; k < t->n_batch; k++)
        if (t->batch_infos[k].rank > 0 && t->batch_infos[k].dims[0] > 0) fixed = t->batch_infos[k].dims[0];
    data->batch = fixed ? fixed : asked ? asked : 32;
    data->n_used = data->n_samples;
    if (!fixed) {
        if (data->batch > data->n_samples) data->batch = data->n_samples;
        return SDX_OK;
    }
    if (fixed > data->n_samples)
        return sdx_fail(error, SDX_VALUE, "there are %" PRId64 " samples; the model takes %" PRId64 " at a time",
                        data->n_samples, fixed);
    if (asked && asked != fixed)
        SDX_TRY(sdx_trainer_add_note(t, error, "'batch' is %" PRId64 "; the model takes %" PRId64 " samples at a time",
                                     asked, fixed));
    data->n_used -= data->n_samples % fixed;
    if (data->n_used == data->n_samples) return SDX_OK;
    return sdx_trainer_add_note(
        t, error, "%" PRId64 " of %" PRId64 " samples of the %s are left out: the model takes %" PRId64 " at a time",
        data->n_samples - data->n_used, data->n_samples, what, fixed);
}

static sdx_status make_buffers(sdx_data *data, sdx_error *error) {
    sdx_memory *memory = data->trainer->memory;
    size_t n = data->n_arrays;
    data->order = sdx_memory_alloc_zero(memory, (size_t)data->n_samples * sizeof *data->order, error);
    data->buffers = sdx_memory_alloc_zero(memory, n * sizeof *data->buffers, error);
    data->bindings = sdx_memory_alloc_zero(memory, n * sizeof *data->bindings, error);
    if (!data->order || !data->buffers || !data->bindings) return error->status;
    for (int64_t i = 0; i < data->n_samples; i++) data->order[i] = i;
    for (size_t k = 0; k < n; k++) {
        const sdx_tensor *whole = &data->arrays[k].value->tensor;
        int64_t dims[SDX_MAX_RANK];
        memcpy(dims, whole->dim, sizeof dims);
        dims[0] = data->batch;
        data->buffers[k] = sdx_value_new_tensor(memory, whole->dtype, whole->rank, dims, error);
        if (!data->buffers[k]) return error->status;
        data->bindings[k].name = data->arrays[k].name;
    }
    return SDX_OK;
}

sdx_status sdx_data_open(sdx_trainer *trainer, const char *what, const sdx_binding *arrays, size_t n, sdx_data *data,
                         sdx_error *error) {
    *data = (sdx_data){.trainer = trainer, .arrays = arrays, .n_arrays = n};
    if (n == 0 || !arrays) return sdx_fail(error, SDX_ARGUMENT, "there are no arrays in the %s", what);
    for (size_t k = 0; k < n; k++) SDX_TRY(check_array(&arrays[k], k, what, data, error));
    if (data->n_samples == 0) return sdx_fail(error, SDX_SHAPE, "there are no samples in the %s", what);
    SDX_TRY(choose_batch(data, what, error));
    return make_buffers(data, error);
}

sdx_status sdx_data_whole(const sdx_data *data, sdx_error *error) {
    if (data->n_used == data->n_samples) return SDX_OK;
    return sdx_fail(error, SDX_VALUE,
                    "there are %" PRId64 " samples to score; the model takes %" PRId64
                    " at a time, and every one is to count",
                    data->n_samples, data->batch);
}

void sdx_data_close(sdx_data *data) {
    sdx_memory *memory = data->trainer->memory;
    for (size_t k = 0; k < data->n_arrays; k++) {
        if (data->bindings) sdx_value_release(data->bindings[k].value);
        if (data->buffers) sdx_value_release(data->buffers[k]);
    }
    sdx_memory_free(memory, data->order);
    sdx_memory_free(memory, data->buffers);
    sdx_memory_free(memory, data->bindings);
}

/* ---- Taking ---------------------------------------------------------------------------------------------------- */

/* A number in [0, n), from the high bits of a product. */
static int64_t below(uint64_t random, int64_t n) { return (int64_t)(((unsigned __int128)random * (uint64_t)n) >> 64); }

void sdx_data_shuffle(sdx_data *data, int64_t epoch) {
    uint64_t key = sdx_mix64(sdx_mix64(data->trainer->options.seed + 0x9e3779b97f4a7c15u) ^ ~(uint64_t)epoch);
    for (int64_t i = 0; i < data->n_samples; i++) data->order[i] = i;
    if (data->trainer->options.no_shuffle) return;
    for (int64_t i = data->n_samples - 1; i > 0; i--) {
        int64_t j = below(sdx_mix64(key + (uint64_t)i * 0x9e3779b97f4a7c15u), i + 1), kept = data->order[i];
        data->order[i] = data->order[j];
        data->order[j] = kept;
    }
}

sdx_status sdx_data_take(sdx_data *data, int64_t first, int64_t n, sdx_error *error) {
    for (size_t k = 0; k < data->n_arrays; k++) {
        const sdx_tensor *whole = &data->arrays[k].value->tensor;
        sdx_tensor part = data->buffers[k]->tensor;
        size_t size = sdx_tensor_bytes(whole) / (size_t)data->n_samples;
        for (int64_t i = 0; i < n; i++) {
            size_t from = (size_t)data->order[first + i] * size;
            memcpy((unsigned char *)part.data + (size_t)i * size, (const unsigned char *)whole->data + from, size);
        }
        part.dim[0] = n;
        part.count = part.count / data->batch * n;
        sdx_value_release(data->bindings[k].value);
        data->bindings[k].value = sdx_value_new_view(data->trainer->memory, &part, data->buffers[k], error);
        if (!data->bindings[k].value) return error->status;
    }
    return sdx_batch_match(data->trainer, data->bindings, data->n_arrays, true, error);
}
