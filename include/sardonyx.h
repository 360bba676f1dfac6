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
 *   - Out-parameters come last. A pointer that a function creates is NULL after a failure; nothing is to be freed then.
 *   - Closing, destroying and releasing NULL is harmless. Questions about NULL answer 0 or NULL.
 *   - `const` pointers are borrowed for the duration of the call unless the comment says otherwise. Strings are
 *     NUL-terminated UTF-8 and are copied where they are kept.
 *   - Option structs begin with their size. Fill it with sizeof and the rest as wanted: members that are 0 or NULL ask
 *     for the default. NULL instead of a struct asks for all defaults. A larger size than this library knows
 *     is refused.
 *   - Threads: functions that take different objects may run at the same time. What one object allows is said where
 *     its type is declared. An sdx_error belongs to one call at a time.
 *   - The library never prints, never exits or aborts, installs no signal handlers, leaves the floating-point
 *     environment, the locale and the working directory alone, and keeps no mutable global state but the kernel table,
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

#define SDX_STATUS_MAP(X)                                                                                              \
    X(OK, "success")                                                                                                   \
    X(OUT_OF_MEMORY, "out of memory")                                                                                  \
    X(LIMIT, "memory limit reached")                                                                                   \
    X(DEADLINE, "deadline passed")                                                                                     \
    X(CANCELLED, "cancelled")                                                                                          \
    X(IO, "file cannot be read or written")                                                                            \
    X(MALFORMED, "malformed model or data")                                                                            \
    X(UNSUPPORTED, "valid, but not implemented here")                                                                  \
    X(TYPE, "element type not allowed")                                                                                \
    X(SHAPE, "shapes do not fit")                                                                                      \
    X(VALUE, "value not allowed")                                                                                      \
    X(ARGUMENT, "invalid argument")

typedef enum sdx_status {
#define X(id, text) SDX_##id,
    SDX_STATUS_MAP(X)
#undef X
        SDX_STATUS_COUNT
} sdx_status;

/* Filled by a failing call: place, what was found, what is allowed. Plain data; nothing to free. The status is also
 * what the call returns. */
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

/* A value: tensor, sequence, optional, map or sparse tensor. Reference-counted: whoever creates or retains a value
 * releases it once. The count is thread-safe, so values may be shared between threads, runs and sessions. Contents may
 * be written through sdx_value_data as long as no run, sequence, optional, map or other thread is using the value. */
typedef struct sdx_value sdx_value;

/* A dense, row-major tensor of `rank` dimensions over the caller's memory, which is neither copied nor freed and
 * must outlive the value. It must be aligned for the element type; it may be NULL only when a dimension is 0. A run
 * reads it and never writes it; no output of a run refers to it. Ranks go up to SDX_MAX_RANK, dimensions are >= 0. */
SDX_API sdx_status sdx_value_borrow(sdx_dtype dtype, int rank, const int64_t *dims, void *data, sdx_error *error,
                                    sdx_value **out);

/* The same, over zeroed memory that the value owns (64-byte aligned). Strings start empty; to give a tensor of strings
 * contents, use sdx_value_from_strings. */
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

/* A sparse tensor of the dense shape dims[rank]: values [nnz]; indices [nnz] (linear) or [nnz, rank], i64, ascending.
 */
SDX_API sdx_status sdx_value_sparse(sdx_value *values, sdx_value *indices, int rank, const int64_t *dims,
                                    sdx_error *error, sdx_value **out);

/* One more reference; returns `value`. */
SDX_API sdx_value *sdx_value_retain(sdx_value *value);
/* One reference less; the last one frees the value and releases its items. */
SDX_API void sdx_value_release(sdx_value *value);

SDX_API sdx_kind sdx_value_kind(const sdx_value *value);
SDX_API sdx_dtype sdx_value_dtype(const sdx_value *value); /* tensors and sparse tensors; else of the element type */
/* Of tensors and, as the dense shape, of sparse tensors. The array has `rank` entries and lives as long as the value.
 */
SDX_API int sdx_value_rank(const sdx_value *value);
SDX_API const int64_t *sdx_value_dims(const sdx_value *value);
SDX_API int64_t sdx_value_count(const sdx_value *value); /* elements of a tensor */
/* Row-major elements of a tensor (strings: an sdx_string array), valid as long as the value. NULL for other kinds. */
SDX_API void *sdx_value_data(const sdx_value *value);
/* Items of a sequence (0..n-1), of an optional (0 or 1), of a map (keys, values), of a sparse tensor (values,
 * indices). Borrowed: valid as long as the value is. */
SDX_API size_t sdx_value_item_count(const sdx_value *value);
SDX_API sdx_value *sdx_value_item(const sdx_value *value, size_t index);

/* ---- Models -------------------------------------------------------------------------------------------------- */

/* A loaded, checked and optimised model. Immutable; any number of sessions and threads may use it at once. */
typedef struct sdx_model sdx_model;

typedef enum sdx_optimise {
    SDX_OPTIMISE_ALL = 0,      /* portable passes, then those for this machine */
    SDX_OPTIMISE_PORTABLE = 1, /* the graph stays standard ONNX */
    SDX_OPTIMISE_NONE = 2
} sdx_optimise;

typedef struct sdx_model_options {
    size_t size; /* sizeof(sdx_model_options) */
    sdx_optimise optimise;
    size_t memory_limit;     /* bytes the model may hold, weights included; more fails with SDX_LIMIT. 0: no limit */
    const char *base_folder; /* where external data lies; NULL: the model file's folder. In memory: none, and a model
                                that has external data is refused */
    bool allow_links;        /* permit links inside base_folder (model caches) */
    int threads;             /* used while loading; 0: the machine's */
} sdx_model_options;

/* Reads, checks and optimises the model in the file `path`. Everything that would stop it from running on any input is
 * reported here: SDX_IO when the file cannot be read, SDX_MALFORMED, SDX_TYPE, SDX_SHAPE or SDX_VALUE when it breaks
 * the ONNX specification, SDX_UNSUPPORTED, with all of them listed, when operators are not implemented. The file is not
 * needed any more afterwards. The caller closes *out. */
SDX_API sdx_status sdx_model_open(const char *path, const sdx_model_options *options, sdx_error *error,
                                  sdx_model **out);
/* The same for `size` bytes in memory. They are copied where they are needed; the buffer may be freed after the call.
 */
SDX_API sdx_status sdx_model_from_memory(const void *bytes, size_t size, const sdx_model_options *options,
                                         sdx_error *error, sdx_model **out);
/* Gives the caller's model up. Sessions keep what they need: models and sessions may be closed in any order. */
SDX_API void sdx_model_close(sdx_model *model);

/* An input that a caller must or may give, or an output. Strings and arrays live as long as the model. */
typedef struct sdx_value_info {
    const char *name;
    sdx_kind kind;
    sdx_dtype dtype;              /* element type; of the items for sequences and optionals, of the values for maps */
    int rank;                     /* -1: any */
    const int64_t *dims;          /* `rank` entries; -1: any */
    const char *const *dim_names; /* `rank` entries; NULL where a dimension has no name */
    bool has_default;             /* an initializer of the same name is used when the input is not given */
} sdx_value_info;

/* In the order of the file; NULL from `count` on. */
SDX_API size_t sdx_model_input_count(const sdx_model *model);
SDX_API const sdx_value_info *sdx_model_input(const sdx_model *model, size_t index);
SDX_API size_t sdx_model_output_count(const sdx_model *model);
SDX_API const sdx_value_info *sdx_model_output(const sdx_model *model, size_t index);

/* Writes the model as ONNX: crash-safely, so that after any failure the old file stands whole. With external_data, the
 * name of a file in the same folder, tensors of 1 KiB and more go to that file; NULL keeps all in one. A model opened
 * with SDX_OPTIMISE_ALL is refused (it holds nodes for this machine): open it with a lower level to save it. */
SDX_API sdx_status sdx_model_save(const sdx_model *model, const char *path, const char *external_data,
                                  sdx_error *error);

/* ---- Sessions ------------------------------------------------------------------------------------------------ */

/* Plans, threads and working memory for one model. Runs, profiles and memory queries may be called from any number of
 * threads at once; runs at the same time take turns on the session's threads and each has working memory of its own. */
typedef struct sdx_session sdx_session;

typedef struct sdx_session_options {
    size_t size;         /* sizeof(sdx_session_options) */
    int threads;         /* threads of one run, the caller's included; 0: the machine's */
    size_t memory_limit; /* bytes of plans, working memory and outputs that are not released yet; a run that would
                            need more fails with SDX_LIMIT. 0: no limit */
    uint64_t seed;       /* of the random operators: the n-th run of two sessions with one seed draws the same */
    bool profile;        /* record per-node times, see sdx_session_profile */
} sdx_session_options;

/* Names an input and gives its value (borrowed), or names an output and receives its value. */
typedef struct sdx_binding {
    const char *name;
    sdx_value *value;
} sdx_binding;

/* The session keeps the model alive. Plans are made by the first run of each combination of input shapes, and kept for
 * the most recent ones. The caller destroys *out. */
SDX_API sdx_status sdx_session_create(const sdx_model *model, const sdx_session_options *options, sdx_error *error,
                                      sdx_session **out);
/* No run may be under way. Outputs that the caller holds stay valid. */
SDX_API void sdx_session_destroy(sdx_session *session);

/* Runs the model. Inputs are matched by name, in any order; one with a default may be left out. Their type and shape
 * must be those the model declares. They are read during the call only. For each output that the caller names, in any
 * order and as many as are wanted, a new value is put into .value, to release; what .value held before is ignored. It
 * owns its memory, also when the model hands an input or a constant through, and may outlive session and model.
 * Results are the same bits for any number of threads and for any other runs at the same time. After a failure no
 * .value has changed and the session remains usable. SDX_ARGUMENT, SDX_TYPE or SDX_SHAPE without a place tells of a
 * binding; messages about the run itself name the node. */
SDX_API sdx_status sdx_session_run(sdx_session *session, const sdx_binding *in, size_t n_in, sdx_binding *out,
                                   size_t n_out, sdx_error *error);

/* Control of one run. */
typedef struct sdx_run_options {
    size_t size;                /* sizeof(sdx_run_options) */
    double deadline;            /* seconds from the call; 0: none. Passing it returns SDX_DEADLINE */
    const volatile int *cancel; /* the run returns SDX_CANCELLED soon after any thread, or a signal handler, makes
                                 *cancel non-zero; may be NULL */
    uint64_t seed;              /* not 0: of this run, whatever ran before; the same seed draws the same */
} sdx_run_options;

/* sdx_session_run under such control. A run that is stopped has failed: see there. */
SDX_API sdx_status sdx_session_run_with(sdx_session *session, const sdx_run_options *options, const sdx_binding *in,
                                        size_t n_in, sdx_binding *out, size_t n_out, sdx_error *error);

typedef struct sdx_profile_row {
    const char *node; /* name of the node; of its first output when it has none. Lives as long as the session */
    const char *op_type;
    const char *domain;
    uint64_t calls;
    uint64_t nanoseconds; /* of all calls, those of the node's bodies included */
    uint64_t least;       /* nanoseconds of the shortest call */
} sdx_profile_row;

/* One row per node that has run, in execution order, the nodes of a body after the node they belong to; summed over all
 * runs since creation. Nodes that planning has computed or found to do nothing have none. Needs options.profile. The
 * array is the caller's: free it with sdx_free, also when *n is 0. */
SDX_API sdx_status sdx_session_profile(const sdx_session *session, sdx_error *error, sdx_profile_row **rows, size_t *n);

/* Bytes now held, and the most ever held, by the session: what options.memory_limit limits. Either may be NULL. */
SDX_API void sdx_session_memory(const sdx_session *session, size_t *used, size_t *peak);

/* Frees an array that a function above said to free with it. */
SDX_API void sdx_free(void *memory);

#ifdef __cplusplus
}
#endif
#endif
