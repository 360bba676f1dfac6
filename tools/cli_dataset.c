/* SPDX-License-Identifier: Apache-2.0
 * Training data: arrays of an .npz file, named as the model's inputs and the label. */
#include "tools/cli_train.h"
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_number(sdx_dtype dtype) { return dtype != SDX_STRING && dtype != SDX_C64 && dtype != SDX_C128; }

static sdx_status put_numbers(const sdx_tensor *from, sdx_dtype to, void *into, sdx_error *error) {
    for (int64_t i = 0; i < from->count; i++) {
        double real = 0, imaginary = 0;
        cli_element_parts(from, i, &real, &imaginary);
        if (to == SDX_F32)
            ((float *)into)[i] = (float)real;
        else if (to == SDX_F64)
            ((double *)into)[i] = real;
        else if (to == SDX_I64 && real == floor(real) && fabs(real) < 0x1p53)
            ((int64_t *)into)[i] = (int64_t)real;
        else if (to == SDX_I32 && real == floor(real) && fabs(real) < 0x1p31)
            ((int32_t *)into)[i] = (int32_t)real;
        else
            return sdx_fail(error, SDX_TYPE, "element %" PRId64 " is %g; the model takes %s", i, real,
                            sdx_dtype_name(to));
    }
    return SDX_OK;
}

/* numpy makes float64 and int64 of everything: such arrays become what the model takes. */
static sdx_status take_type(sdx_value **value, sdx_dtype wanted, bool *changed, sdx_error *error) {
    const sdx_tensor *from = &(*value)->tensor;
    *changed = false;
    if (from->dtype == wanted || !is_number(from->dtype)) return SDX_OK;
    if (wanted != SDX_F32 && wanted != SDX_F64 && wanted != SDX_I64 && wanted != SDX_I32) return SDX_OK;
    sdx_value *other = NULL;
    SDX_TRY(sdx_value_create(wanted, from->rank, from->dim, error, &other));
    sdx_status status = put_numbers(from, wanted, sdx_value_data(other), error);
    if (status) {
        sdx_value_release(other);
        return status;
    }
    sdx_value_release(*value);
    *value = other;
    *changed = true;
    return SDX_OK;
}

static sdx_status check_finite(const sdx_tensor *tensor, sdx_error *error) {
    bool floating = tensor->dtype == SDX_F32 || tensor->dtype == SDX_F64;
    for (int64_t i = 0; floating && i < tensor->count; i++) {
        double v =
            tensor->dtype == SDX_F32 ? (double)((const float *)tensor->data)[i] : ((const double *)tensor->data)[i];
        if (isfinite(v)) continue;
        int64_t per_sample = tensor->rank ? tensor->count / tensor->dim[0] : 1;
        return sdx_fail(error, SDX_VALUE, "element %" PRId64 " of sample %" PRId64 " is %g; data must be finite",
                        i % per_sample, i / per_sample, v);
    }
    return SDX_OK;
}

static sdx_status check_length(cli_dataset *data, const sdx_tensor *tensor, sdx_error *error) {
    if (tensor->rank == 0) return sdx_fail(error, SDX_SHAPE, "it is a scalar; its first axis must be the sample");
    if (data->n == 0) data->samples = tensor->dim[0];
    if (data->samples == 0) return sdx_fail(error, SDX_SHAPE, "it holds no sample");
    if (tensor->dim[0] != data->samples)
        return sdx_fail(error, SDX_SHAPE, "it holds %" PRId64 " samples; '%s' holds %" PRId64, tensor->dim[0],
                        cli_escaped(data->arrays[0].name), data->samples);
    return SDX_OK;
}

static sdx_status add_array(cli_dataset *data, cli_npz *npz, const char *name, sdx_dtype wanted, FILE *say,
                            sdx_error *error) {
    sdx_value *value = NULL;
    bool changed = false;
    SDX_TRY(cli_npz_read(npz, name, wanted, error, &value));
    sdx_dtype had = sdx_value_dtype(value);
    sdx_status status = check_length(data, &value->tensor, error);
    if (!status && wanted) status = take_type(&value, wanted, &changed, error);
    if (!status) status = check_finite(&value->tensor, error);
    char *copy = status ? NULL : strdup(name);
    if (!status && !copy) status = sdx_fail(error, SDX_OUT_OF_MEMORY, "a name cannot be held");
    if (status) {
        sdx_value_release(value);
        return sdx_error_context(error, "array '%s'", cli_escaped(name));
    }
    if (changed && say)
        fprintf(say, "'%s' is read as %s, which the model takes; the file has %s\n", cli_escaped(name),
                sdx_dtype_name(wanted), sdx_dtype_name(had));
    data->arrays[data->n++] = (sdx_binding){copy, value};
    return SDX_OK;
}

static sdx_status add_arrays(cli_dataset *data, cli_npz *npz, const sdx_model *model, const char *label, FILE *say,
                             sdx_error *error) {
    bool label_is_input = false;
    for (size_t k = 0; k < sdx_model_input_count(model); k++) {
        const sdx_value_info *info = sdx_model_input(model, k);
        if (info->has_default && !cli_npz_has(npz, info->name)) continue;
        label_is_input |= label && strcmp(label, info->name) == 0;
        SDX_TRY(add_array(data, npz, info->name, info->dtype, say, error));
    }
    if (label && !label_is_input) SDX_TRY(add_array(data, npz, label, SDX_UNDEFINED, say, error));
    return SDX_OK;
}

sdx_status cli_dataset_load(const char *path, const sdx_model *model, const char *label, FILE *say, sdx_error *error,
                            cli_dataset *out) {
    cli_npz *npz = NULL;
    *out = (cli_dataset){0};
    SDX_TRY(cli_npz_open(path, error, &npz));
    out->arrays = calloc(sdx_model_input_count(model) + 1, sizeof *out->arrays);
    sdx_status status = out->arrays ? add_arrays(out, npz, model, label, say, error)
                                    : sdx_fail(error, SDX_OUT_OF_MEMORY, "the data set cannot be held");
    cli_npz_close(npz);
    if (!status) return SDX_OK;
    cli_dataset_free(out);
    return sdx_error_context(error, "data '%s'", cli_escaped(path));
}

sdx_status cli_dataset_batch(const cli_dataset *data, int64_t first, int64_t count, sdx_error *error,
                             cli_dataset *out) {
    *out = (cli_dataset){.arrays = calloc(data->n + 1, sizeof *out->arrays), .samples = count};
    if (!out->arrays) return sdx_fail(error, SDX_OUT_OF_MEMORY, "a batch cannot be held");
    for (size_t k = 0; k < data->n; k++) {
        const sdx_tensor *whole = &data->arrays[k].value->tensor;
        int64_t dims[SDX_MAX_RANK];
        memcpy(dims, whole->dim, sizeof dims);
        dims[0] = count;
        size_t stride = sdx_tensor_bytes(whole) / (size_t)whole->dim[0];
        char *start = (char *)whole->data + (size_t)first * stride;
        char *name = strdup(data->arrays[k].name);
        if (name) out->arrays[out->n++].name = name;
        if (!name || sdx_value_borrow(whole->dtype, whole->rank, dims, start, error, &out->arrays[k].value)) {
            cli_dataset_free(out);
            return sdx_fail(error, SDX_OUT_OF_MEMORY, "a batch cannot be held");
        }
    }
    return SDX_OK;
}

void cli_dataset_free(cli_dataset *data) {
    for (size_t k = 0; k < data->n; k++) {
        sdx_value_release(data->arrays[k].value);
        free((char *)data->arrays[k].name);
    }
    free(data->arrays);
    *data = (cli_dataset){0};
}
