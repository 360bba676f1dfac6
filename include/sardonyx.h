/* SPDX-License-Identifier: Apache-2.0
 *
 * Sardonyx: run ONNX models from C. A whole program:
 *
 *     #include <sardonyx.h>
 *     #include <stdio.h>
 *     int main(void) {
 *         float pixels[28 * 28] = {0};
 *         sdx_error err = {0};
 *         sdx_model *model = NULL;
 *         sdx_session *session = NULL;
 *         sdx_binding in = {"Input3", NULL}, out = {"Plus214_Output_0", NULL};
 *         if (sdx_model_open("mnist.onnx", NULL, &err, &model) ||
 *             sdx_session_create(model, NULL, &err, &session) ||
 *             sdx_value_borrow(SDX_F32, 4, (int64_t[]){1, 1, 28, 28}, pixels, &err, &in.value) ||
 *             sdx_session_run(session, &in, 1, &out, 1, &err))
 *             return fprintf(stderr, "%s\n", err.message), 1;
 *         printf("score of digit 0: %g\n", ((const float *)sdx_value_data(out.value))[0]);
 *         sdx_value_release(in.value), sdx_value_release(out.value);
 *         sdx_session_destroy(session), sdx_model_close(model);
 *     }
 *
 * Conventions, which hold for every declaration below:
 *   - A function that can fail returns sdx_status and takes an sdx_error. The first error written into a record
 *     stays; clear the record (`err = (sdx_error){0}`) before reusing it after a failure. The record may be NULL.
 *   - Out-parameters come last and are NULL after a failure. Destroying NULL is harmless.
 *   - `const` pointers are borrowed for the duration of the call unless the comment says otherwise.
 *   - The library never prints, never exits or aborts, and keeps no mutable global state but the kernel table,
 *     which is chosen once.
 */
#ifndef SARDONYX_H
#define SARDONYX_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SDX_API __attribute__((visibility("default")))
#else
#define SDX_API
#endif

#define SDX_VERSION_MAJOR 0
#define SDX_VERSION_MINOR 1
#define SDX_VERSION_PATCH 0

/* "MAJOR.MINOR.PATCH" of the library that is loaded. Static storage. */
SDX_API const char *sdx_version(void);

/* ---- Errors ------------------------------------------------------------------------------------------------ */

#define SDX_STATUS_MAP(X)                                                        \
    X(OK, "success")                                                             \
    X(OUT_OF_MEMORY, "out of memory")                                            \
    X(LIMIT, "memory limit reached")                                             \
    X(DEADLINE, "deadline passed")                                               \
    X(CANCELLED, "cancelled")                                                    \
    X(IO, "file cannot be read or written")                                      \
    X(MALFORMED, "malformed model or data")                                      \
    X(UNSUPPORTED, "valid, but not implemented here")                            \
    X(TYPE, "element type not allowed")                                          \
    X(SHAPE, "shapes do not fit")                                                \
    X(VALUE, "value not allowed")                                                \
    X(ARGUMENT, "invalid argument")

typedef enum sdx_status {
#define X(id, text) SDX_##id,
    SDX_STATUS_MAP(X)
#undef X
        SDX_STATUS_COUNT
} sdx_status;

/* Filled by a failing call: place, what was found, what is allowed. Plain data; nothing to free. */
typedef struct sdx_error {
    sdx_status status;
    char message[1024]; /* NUL-terminated UTF-8; control bytes of model names are escaped */
} sdx_error;

/* The fixed English phrase of a status ("shapes do not fit"). Static storage; never NULL. */
SDX_API const char *sdx_status_text(sdx_status status);

/* ---- Element types and values -------------------------------------------------------------------------------- */

/* Numbers are those of TensorProto.DataType. */
typedef enum sdx_dtype {
    SDX_UNDEFINED = 0,
    SDX_F32 = 1,
    SDX_U8 = 2,
    SDX_I8 = 3,
    SDX_U16 = 4,
    SDX_I16 = 5,
    SDX_I32 = 6,
    SDX_I64 = 7,
    SDX_STRING = 8,
    SDX_BOOL = 9,
    SDX_F16 = 10,
    SDX_F64 = 11,
    SDX_U32 = 12,
    SDX_U64 = 13,
    SDX_C64 = 14,
    SDX_C128 = 15,
    SDX_BF16 = 16,
    SDX_F8E4M3FN = 17,
    SDX_F8E4M3FNUZ = 18,
    SDX_F8E5M2 = 19,
    SDX_F8E5M2FNUZ = 20,
    SDX_U4 = 21,
    SDX_I4 = 22,
    SDX_F4E2M1 = 23,
    SDX_F8E8M0 = 24,
    SDX_U2 = 25,
    SDX_I2 = 26,
    SDX_F6E2M3 = 27,
    SDX_F6E3M2 = 28,
    SDX_DTYPE_COUNT
} sdx_dtype;

/* The short name used everywhere ("f32", "i64", "bf16", "f8e4m3fn"); "undefined" for a number out of range. */
SDX_API const char *sdx_dtype_name(sdx_dtype dtype);

/* Bytes of one element in memory. Types narrower than a byte (u4 i4 f4e2m1 u2 i2 and the f6 types) take one byte
 * each in memory, value in the low bits (sign-extended for i4, i2); files pack them. Strings: sizeof(sdx_string). */
SDX_API size_t sdx_dtype_size(sdx_dtype dtype);

#define SDX_MAX_RANK 16

/* Bytes of one string element; need not be NUL-terminated, may contain NUL. UTF-8 where the operator says text. */
typedef struct sdx_string {
    const char *data;
    size_t size;
} sdx_string;

typedef enum sdx_kind {
    SDX_TENSOR = 1,
    SDX_SEQUENCE = 2,
    SDX_OPTIONAL = 3,
    SDX_MAP = 4,
    SDX_SPARSE_TENSOR = 5
} sdx_kind;

/* A value: tensor, sequence, optional, map or sparse tensor. Reference-counted (the count is thread-safe) and
 * immutable once it has been passed to a run or handed out by one. */
typedef struct sdx_value sdx_value;

/* A dense, row-major tensor of `rank` dimensions over the caller's memory, which is neither copied nor freed and
 * must outlive the value. data may be NULL only when a dimension is 0. */
SDX_API sdx_status sdx_value_borrow(sdx_dtype dtype, int rank, const int64_t *dims, void *data, sdx_error *error,
                                    sdx_value **out);

/* The same, over zeroed memory that the value owns (64-byte aligned). Strings start empty. */
SDX_API sdx_status sdx_value_create(sdx_dtype dtype, int rank, const int64_t *dims, sdx_error *error, sdx_value **out);

/* A tensor of strings; the bytes are copied. `strings` has one entry for each element, row-major. */
SDX_API sdx_status sdx_value_from_strings(int rank, const int64_t *dims, const sdx_string *strings, sdx_error *error,
                                          sdx_value **out);

/* A sequence of `n` values of one type; each item is retained. With n == 0 `dtype` gives the tensor element type. */
SDX_API sdx_status sdx_value_sequence(sdx_value *const *items, size_t n, sdx_dtype dtype, sdx_error *error,
                                      sdx_value **out);

/* An optional that holds `item` (retained), or nothing when item is NULL; then `dtype` gives the tensor type. */
SDX_API sdx_status sdx_value_optional(sdx_value *item, sdx_dtype dtype, sdx_error *error, sdx_value **out);

/* A map from `keys` (a tensor [n] of strings or integers) to `values` (a tensor [n], or a sequence of n values). */
SDX_API sdx_status sdx_value_map(sdx_value *keys, sdx_value *values, sdx_error *error, sdx_value **out);

/* A sparse tensor of the dense shape dims[rank]: values [nnz]; indices [nnz] (linear) or [nnz, rank], i64, ascending. */
SDX_API sdx_status sdx_value_sparse(sdx_value *values, sdx_value *indices, int rank, const int64_t *dims,
                                    sdx_error *error, sdx_value **out);

SDX_API sdx_value *sdx_value_retain(sdx_value *value);
SDX_API void sdx_value_release(sdx_value *value);

SDX_API sdx_kind sdx_value_kind(const sdx_value *value);
SDX_API sdx_dtype sdx_value_dtype(const sdx_value *value); /* tensors and sparse tensors; else of the element type */
SDX_API int sdx_value_rank(const sdx_value *value);
SDX_API const int64_t *sdx_value_dims(const sdx_value *value);
SDX_API int64_t sdx_value_count(const sdx_value *value); /* elements of a tensor */
SDX_API void *sdx_value_data(const sdx_value *value);    /* row-major elements; strings: an sdx_string array */
/* Items of a sequence (0..n-1), of an optional (0 or 1), of a map (keys, values), of a sparse tensor (values,
 * indices). Borrowed: valid as long as the value is. */
SDX_API size_t sdx_value_item_count(const sdx_value *value);
SDX_API sdx_value *sdx_value_item(const sdx_value *value, size_t index);

/* ---- Models -------------------------------------------------------------------------------------------------- */

/* A loaded, checked and optimised model. Immutable; any number of sessions and threads may share it. */
typedef struct sdx_model sdx_model;

typedef enum sdx_optimise {
    SDX_OPTIMISE_ALL = 0,      /* portable passes, then those for this machine */
    SDX_OPTIMISE_PORTABLE = 1, /* the graph stays standard ONNX */
    SDX_OPTIMISE_NONE = 2
} sdx_optimise;

typedef struct sdx_model_options {
    size_t size;               /* sizeof(sdx_model_options) */
    sdx_optimise optimise;
    size_t memory_limit;       /* bytes the model may hold, weights included; 0: no limit */
    const char *base_folder;   /* where external data lies; NULL: the model file's folder. In memory: none */
    bool allow_links;          /* permit links inside base_folder (model caches) */
    int threads;               /* used while loading; 0: the machine's */
} sdx_model_options;

SDX_API sdx_status sdx_model_open(const char *path, const sdx_model_options *options, sdx_error *error, sdx_model **out);
/* `bytes` are copied where they are needed; the buffer may be freed after the call. */
SDX_API sdx_status sdx_model_from_memory(const void *bytes, size_t size, const sdx_model_options *options,
                                         sdx_error *error, sdx_model **out);
SDX_API void sdx_model_close(sdx_model *model); /* sessions keep what they need: close in any order */

/* Declared inputs (that a caller must or may give) and outputs. Strings and arrays live as long as the model. */
typedef struct sdx_value_info {
    const char *name;
    sdx_kind kind;
    sdx_dtype dtype;         /* element type; of the items for sequences and optionals */
    int rank;                /* -1: any */
    const int64_t *dims;     /* -1: any */
    const char *const *dim_names; /* NULL entries where a dimension has no name */
    bool has_default;        /* an initializer of the same name is used when the input is not given */
} sdx_value_info;

SDX_API size_t sdx_model_input_count(const sdx_model *model);
SDX_API const sdx_value_info *sdx_model_input(const sdx_model *model, size_t index);
SDX_API size_t sdx_model_output_count(const sdx_model *model);
SDX_API const sdx_value_info *sdx_model_output(const sdx_model *model, size_t index);

/* Writes the model as ONNX: crash-safely, to `path`; with external_data not NULL, tensors of 1 KiB and more go to that
 * file in the same folder. A model opened with SDX_OPTIMISE_ALL is refused (it holds machine-specific nodes). */
SDX_API sdx_status sdx_model_save(const sdx_model *model, const char *path, const char *external_data,
                                  sdx_error *error);

/* ---- Sessions ------------------------------------------------------------------------------------------------ */

/* Plans and working memory for one model. sdx_session_run may be called from any number of threads at once. */
typedef struct sdx_session sdx_session;

typedef struct sdx_session_options {
    size_t size;           /* sizeof(sdx_session_options) */
    int threads;           /* threads of one run, the caller's included; 0: the machine's */
    size_t memory_limit;   /* bytes of all plans and running work; 0: no limit */
    uint64_t seed;         /* of the random operators */
    bool profile;          /* record per-node times, see sdx_session_profile */
} sdx_session_options;

typedef struct sdx_binding {
    const char *name;
    sdx_value *value;
} sdx_binding;

SDX_API sdx_status sdx_session_create(const sdx_model *model, const sdx_session_options *options, sdx_error *error,
                                      sdx_session **out);
SDX_API void sdx_session_destroy(sdx_session *session);

/* Runs the model. Inputs are matched by name; an input with a default may be left out. For each output the caller
 * names the result and gets a new value in .value, to release; a .value that is not NULL on entry is ignored and
 * overwritten only on success. Results do not depend on the number of threads. After a failure no output is set
 * and the session remains usable. */
SDX_API sdx_status sdx_session_run(sdx_session *session, const sdx_binding *in, size_t n_in, sdx_binding *out,
                                   size_t n_out, sdx_error *error);

/* Per-run control, shared between the caller of a run and any thread that wants to stop it. */
typedef struct sdx_run_options {
    size_t size;             /* sizeof(sdx_run_options) */
    double deadline;         /* seconds from the call; 0: none. Passing it returns SDX_DEADLINE */
    const volatile int *cancel; /* the run returns SDX_CANCELLED soon after *cancel becomes non-zero; may be NULL */
    uint64_t seed;           /* overrides the session's when not 0 */
} sdx_run_options;

SDX_API sdx_status sdx_session_run_with(sdx_session *session, const sdx_run_options *options, const sdx_binding *in,
                                        size_t n_in, sdx_binding *out, size_t n_out, sdx_error *error);

typedef struct sdx_profile_row {
    const char *node;    /* name of the node, of its first output when it has none */
    const char *op_type;
    const char *domain;
    uint64_t calls;
    uint64_t nanoseconds;
} sdx_profile_row;

/* Rows in execution order, summed over all runs since creation; needs options.profile. The array is the caller's:
 * free with sdx_free. */
SDX_API sdx_status sdx_session_profile(const sdx_session *session, sdx_error *error, sdx_profile_row **rows, size_t *n);

/* Bytes now held, and the most ever held, by the session's plans and runs. */
SDX_API void sdx_session_memory(const sdx_session *session, size_t *used, size_t *peak);

SDX_API void sdx_free(void *memory);

#ifdef __cplusplus
}
#endif
#endif
