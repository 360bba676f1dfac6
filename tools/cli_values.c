/* SPDX-License-Identifier: Apache-2.0
 * Values from and to files, and as a line of text. What is no tensor is taken apart into named tensors for .npz. */
#include "proto/proto.h"
#include "runtime/base/half.h"
#include "tools/cli.h"
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool ends_with(const char *path, const char *ending) {
    size_t length = strlen(path), tail = strlen(ending);
    return length > tail && strcmp(path + length - tail, ending) == 0;
}

static sdx_status load_npy(const char *path, sdx_dtype wanted, sdx_error *error, sdx_value **out) {
    unsigned char *bytes = NULL;
    size_t size = 0;
    SDX_TRY(sdx_file_read(path, cli_memory(), error, &bytes, &size));
    sdx_status status = cli_npy_parse(bytes, size, wanted, error, out);
    sdx_memory_free(cli_memory(), bytes);
    if (status) sdx_error_context(error, "'%s'", cli_escaped(path));
    return status;
}

sdx_status cli_load_value(const char *path, const char *name, const sdx_value_info *info, sdx_error *error,
                          sdx_value **out) {
    *out = NULL;
    if (ends_with(path, ".npy")) return load_npy(path, info->dtype, error, out);
    if (ends_with(path, ".npz")) {
        cli_npz *npz = NULL;
        SDX_TRY(cli_npz_open(path, error, &npz));
        sdx_status status = cli_npz_read(npz, name, info->dtype, error, out);
        cli_npz_close(npz);
        return status;
    }
    if (ends_with(path, ".pb")) {
        sdx_status status = sdx_proto_read_value(path, info->kind, cli_memory(), error, out);
        if (status && status != SDX_IO) sdx_error_context(error, "'%s'", cli_escaped(path));
        return status;
    }
    return sdx_fail(error, SDX_ARGUMENT, "'%s' ends in none of .npy, .npz, .pb", cli_escaped(path));
}

static sdx_status add_array(const char *name, sdx_value *value, cli_array **arrays, size_t *n, sdx_error *error) {
    cli_array *grown = realloc(*arrays, (*n + 1) * sizeof *grown);
    if (grown) *arrays = grown;
    char *copy = grown ? strdup(name) : NULL;
    if (!copy) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu arrays", *n + 1);
    grown[(*n)++] = (cli_array){copy, sdx_value_retain(value)};
    return SDX_OK;
}

sdx_status cli_flatten(const char *name, sdx_value *value, cli_array **arrays, size_t *n, sdx_error *error) {
    static const char *const of_map[] = {"keys", "values"}, *const of_sparse[] = {"values", "indices"};
    sdx_kind kind = sdx_value_kind(value);
    if (kind == SDX_TENSOR) return add_array(name, value, arrays, n, error);
    for (size_t i = 0; i < sdx_value_item_count(value); i++) {
        char part[600];
        if (kind == SDX_SEQUENCE)
            snprintf(part, sizeof part, "%s[%zu]", name, i);
        else if (kind == SDX_OPTIONAL)
            snprintf(part, sizeof part, "%s", name);
        else
            snprintf(part, sizeof part, "%s.%s", name, (kind == SDX_MAP ? of_map : of_sparse)[i]);
        SDX_TRY(cli_flatten(part, sdx_value_item(value, i), arrays, n, error));
    }
    return SDX_OK;
}

void cli_free_arrays(cli_array *arrays, size_t n) {
    for (size_t i = 0; i < n; i++) {
        sdx_value_release(arrays[i].value);
        free(arrays[i].name);
    }
    free(arrays);
}

static sdx_status save_npy(const char *path, const sdx_value *value, sdx_error *error) {
    unsigned char *bytes = NULL;
    size_t size = 0;
    SDX_TRY(cli_npy_format(&value->tensor, error, &bytes, &size));
    sdx_status status = cli_write_text((const char *)bytes, size, path, error);
    sdx_memory_free(cli_memory(), bytes);
    return status;
}

/* FOLDER/NAME.npy or .pb; bytes of the name that a file name should not hold become '_'. */
static sdx_status save_in_folder(const char *folder, const sdx_binding *output, sdx_error *error) {
    char path[PATH_MAX];
    bool tensor = sdx_value_kind(output->value) == SDX_TENSOR;
    int n = snprintf(path, sizeof path, "%s/%s.%s", folder, output->name, tensor ? "npy" : "pb");
    if (n < 0 || (size_t)n >= sizeof path)
        return sdx_fail(error, SDX_IO, "the path of output '%.60s' is too long", cli_escaped(output->name));
    for (char *c = path + strlen(folder) + 1; *c; c++)
        if (strchr("/\\:*?\"<>|", *c) || (unsigned char)*c < 0x20) *c = '_';
    if (tensor) return save_npy(path, output->value, error);
    return sdx_proto_write_value(path, output->name, output->value, cli_memory(), error);
}

sdx_status cli_save_outputs(const char *path, const sdx_binding *outputs, size_t n, sdx_error *error) {
    sdx_status status = SDX_OK;
    if (ends_with(path, ".npz")) {
        cli_array *arrays = NULL;
        size_t n_arrays = 0;
        for (size_t i = 0; i < n && !status; i++)
            status = cli_flatten(outputs[i].name, outputs[i].value, &arrays, &n_arrays, error);
        if (!status) status = cli_npz_write(path, arrays, n_arrays, error);
        cli_free_arrays(arrays, n_arrays);
        return status;
    }
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return sdx_fail(error, SDX_IO, "the folder '%s' cannot be made: %s", path, strerrordesc_np(errno));
    for (size_t i = 0; i < n && !status; i++) status = save_in_folder(path, &outputs[i], error);
    return status;
}

static double float_at(const sdx_tensor *t, int64_t i) {
    switch ((int)t->dtype) {
    case SDX_F32: return (double)((const float *)t->data)[i];
    case SDX_F64: return ((const double *)t->data)[i];
    case SDX_F16: return (double)sdx_f32_from_f16(((const uint16_t *)t->data)[i]);
    case SDX_BF16: return (double)sdx_f32_from_bf16(((const uint16_t *)t->data)[i]);
    case SDX_C64: return (double)((const float *)t->data)[2 * i];
    case SDX_C128: return ((const double *)t->data)[2 * i];
    default: return (double)sdx_f32_from_f8(t->dtype, ((const uint8_t *)t->data)[i]);
    }
}

static double imaginary_at(const sdx_tensor *t, int64_t i) {
    return t->dtype == SDX_C64 ? (double)((const float *)t->data)[2 * i + 1] : ((const double *)t->data)[2 * i + 1];
}

static int64_t integer_at(const sdx_tensor *t, int64_t i) {
    switch ((int)t->dtype) {
    case SDX_U16: return ((const uint16_t *)t->data)[i];
    case SDX_I16: return ((const int16_t *)t->data)[i];
    case SDX_I32: return ((const int32_t *)t->data)[i];
    case SDX_U32: return ((const uint32_t *)t->data)[i];
    case SDX_I64: return ((const int64_t *)t->data)[i];
    case SDX_I8:
    case SDX_I4:
    case SDX_I2: return ((const int8_t *)t->data)[i];
    default: return ((const uint8_t *)t->data)[i];
    }
}

void cli_element_text(const sdx_tensor *t, int64_t i, char *out, size_t capacity) {
    int class = sdx_dtype_class(t->dtype);
    if (class == SDX_CLASS_STRING) {
        const sdx_string *s = (const sdx_string *)t->data + i;
        char text[80];
        snprintf(out, capacity, "'%s'", sdx_escape(text, sizeof text, s->data, s->size));
    } else if (class == SDX_CLASS_BOOL) {
        snprintf(out, capacity, "%s", ((const uint8_t *)t->data)[i] ? "true" : "false");
    } else if (class == SDX_CLASS_FLOAT) {
        snprintf(out, capacity, "%.9g", float_at(t, i));
    } else if (class == SDX_CLASS_COMPLEX) {
        snprintf(out, capacity, "%.9g%+.9gi", float_at(t, i), imaginary_at(t, i));
    } else if (t->dtype == SDX_U64) {
        snprintf(out, capacity, "%" PRIu64, ((const uint64_t *)t->data)[i]);
    } else {
        snprintf(out, capacity, "%" PRId64, integer_at(t, i));
    }
}

void cli_element_parts(const sdx_tensor *t, int64_t i, double *real, double *imaginary) {
    int class = sdx_dtype_class(t->dtype);
    *imaginary = class == SDX_CLASS_COMPLEX ? imaginary_at(t, i) : 0;
    if (class == SDX_CLASS_FLOAT || class == SDX_CLASS_COMPLEX)
        *real = float_at(t, i);
    else
        *real = t->dtype == SDX_U64 ? (double)((const uint64_t *)t->data)[i] : (double)integer_at(t, i);
}

static void print_tensor(FILE *file, const sdx_tensor *t) {
    enum { SHOWN = 8 };
    char text[256];
    fprintf(file, "%s = [", sdx_tensor_text(t, text, sizeof text));
    for (int64_t i = 0; i < t->count && i < SHOWN; i++) {
        cli_element_text(t, i, text, sizeof text);
        fprintf(file, "%s%s", i ? ", " : "", text);
    }
    fputs(t->count > SHOWN ? ", ...]\n" : "]\n", file);
}

void cli_print_value(FILE *file, const char *name, const sdx_value *value) {
    char part[600];
    fprintf(file, "%s: ", cli_escaped(name));
    if (sdx_value_kind(value) == SDX_TENSOR) {
        print_tensor(file, &value->tensor);
        return;
    }
    static const char *const kinds[] = {"", "", "sequence", "optional", "map", "sparse tensor"};
    fprintf(file, "%s of %s, %zu items\n", kinds[value->kind], sdx_dtype_name(sdx_value_dtype(value)),
            sdx_value_item_count(value));
    for (size_t i = 0; i < sdx_value_item_count(value); i++) {
        snprintf(part, sizeof part, "%s[%zu]", name, i);
        cli_print_value(file, part, sdx_value_item(value, i));
    }
}
