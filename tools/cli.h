/* SPDX-License-Identifier: Apache-2.0
 * What the commands share: options, messages and exit statuses, values in files, comparison. */
#ifndef SDX_TOOLS_CLI_H
#define SDX_TOOLS_CLI_H
#include "runtime/base/io.h"
#include "runtime/base/value.h"
#include <cjson/cJSON.h>
#include <stdio.h>

/* Exit statuses; the same for every command. */
enum { CLI_DONE = 0, CLI_DIFFERS = 1, CLI_USAGE = 2, CLI_REFUSED = 3, CLI_ENDED = 4 };

/* ---- options (cli_options.c) ---- */

typedef struct cli_common {
    int threads;         /* 0: the machine's */
    size_t memory_limit; /* 0: none */
    double deadline;     /* seconds; 0: none */
    uint64_t seed;
    bool quiet, verbose, help;
} cli_common;

typedef struct cli_list {
    const char **items;
    int n;
} cli_list;

typedef enum cli_kind {
    CLI_FLAG,    /* bool */
    CLI_TEXT,    /* const char * */
    CLI_LIST,    /* cli_list: may be repeated */
    CLI_COUNT,   /* int >= 1 */
    CLI_SEED,    /* uint64_t */
    CLI_BYTES,   /* size_t: 4096, 512K, 512M, 2G */
    CLI_SECONDS, /* double: 2, 2s, 500ms, 1m */
    CLI_NUMBER   /* double >= 0 */
} cli_kind;

typedef struct cli_option {
    const char *name; /* long, without the dashes */
    char letter;      /* or 0 */
    cli_kind kind;
    void *into;
    const char *argument, *help;
} cli_option;

typedef struct cli_command {
    const char *name, *usage, *summary;
    int (*run)(const struct cli_command *self, int argc, char **argv); /* argv[0] is the command's name */
} cli_command;

/* Parses everything behind the command's name. Returns true when the command should go on; else *status is what to
 * exit with (0 after --help). `files` receives what is no option. */
bool cli_parse(const cli_command *command, const cli_option *options, size_t n, cli_common *common, int argc,
               char **argv, cli_list *files, int *status);
/* One line on stderr, "sardonyx: usage: ...", that points to --help; CLI_USAGE. */
SDX_PRINTF(2, 3) int cli_usage(const cli_command *command, const char *format, ...);
bool cli_read_bytes(const char *text, size_t *bytes);
bool cli_read_seconds(const char *text, double *seconds);
bool cli_read_integer(const char *text, int64_t least, int64_t most, int64_t *value);

/* ---- messages (cli_report.c) ---- */

/* "sardonyx: STATUS: message" on stderr; the exit status that belongs to it. */
int cli_report(const sdx_error *error);
int cli_exit_status(sdx_status status);
/* A name from a model or file, fit to be shown (see sdx_escape). Valid until the fourth call after this one. */
const char *cli_escaped(const char *text);
/* What commands hold beyond values: bytes of files, sinks, .pb trees. Without a limit. */
sdx_memory *cli_memory(void);
/* Becomes non-zero on SIGINT or SIGTERM; a second signal ends the process at once. */
const volatile int *cli_interrupt(void);
double cli_milliseconds(void);
void cli_add_ms(cJSON *json, const char *name, double ms);
void cli_add_finite(cJSON *json, const char *name, double value); /* null for NaN and infinities */
size_t cli_peak_rss(void);
/* Writes the object, indented, with a final newline: to stdout when path is NULL, else crash-safely. Takes `json`. */
sdx_status cli_write_json(cJSON *json, const char *path, sdx_error *error);
sdx_status cli_write_text(const char *text, size_t size, const char *path, sdx_error *error);
/* 1 234 567 -> "1.2 MB" */
const char *cli_size_text(size_t bytes, char *out, size_t capacity);
/* A type in words: "f32[1,3,H,W]", "seq(i64)". */
const char *cli_info_text(const sdx_value_info *info, char *out, size_t capacity);

/* ---- npy and npz (cli_npy.c, cli_npz.c) ---- */

/* One .npy file in memory. `wanted` decides about the two things that numpy cannot say: raw V1 and V2 elements, and
 * unsigned integers of the same width, become that type when numpy has no name for it. SDX_UNDEFINED: no wish. */
sdx_status cli_npy_parse(const unsigned char *bytes, size_t size, sdx_dtype wanted, sdx_error *error, sdx_value **out);
/* The tensor as a .npy file; the bytes come from cli_memory(). */
sdx_status cli_npy_format(const sdx_tensor *tensor, sdx_error *error, unsigned char **bytes, size_t *size);

typedef struct cli_npz cli_npz;
sdx_status cli_npz_open(const char *path, sdx_error *error, cli_npz **out);
void cli_npz_close(cli_npz *npz);
size_t cli_npz_count(const cli_npz *npz);
const char *cli_npz_name(const cli_npz *npz, size_t index); /* without .npy */
bool cli_npz_has(const cli_npz *npz, const char *name);
sdx_status cli_npz_read(cli_npz *npz, const char *name, sdx_dtype wanted, sdx_error *error, sdx_value **out);

typedef struct cli_array {
    char *name;       /* from malloc */
    sdx_value *value; /* a tensor, retained */
} cli_array;
sdx_status cli_npz_write(const char *path, const cli_array *arrays, size_t n, sdx_error *error);

/* ---- values in files (cli_values.c) ---- */

/* By the file's ending: .npy, .npz (the array `name`), .pb. `info` is what the value is for. */
sdx_status cli_load_value(const char *path, const char *name, const sdx_value_info *info, sdx_error *error,
                          sdx_value **out);
/* Tensors of a value: "y", or for parts "y[0]", "y[1]", "y.keys", "y.values", "y.indices". Appends to *arrays. */
sdx_status cli_flatten(const char *name, sdx_value *value, cli_array **arrays, size_t *n, sdx_error *error);
void cli_free_arrays(cli_array *arrays, size_t n);
/* To an .npz file, or as NAME.npy and NAME.pb into a folder, which is made. */
sdx_status cli_save_outputs(const char *path, const sdx_binding *outputs, size_t n, sdx_error *error);
/* One line: name, type, first elements. */
void cli_print_value(FILE *file, const char *name, const sdx_value *value);
/* Element i: as text; as a number (the imaginary part is 0 but for complex types). */
void cli_element_text(const sdx_tensor *tensor, int64_t i, char *out, size_t capacity);
void cli_element_parts(const sdx_tensor *tensor, int64_t i, double *real, double *imaginary);

/* ---- inputs of a model (cli_inputs.c) ---- */

typedef struct cli_inputs {
    sdx_binding *bindings; /* names are the model's */
    size_t n;
} cli_inputs;

/* From -i NAME=FILE and --shape NAME=1x3; what is missing is filled from the seed, with a line to `say` (NULL: none).
 */
sdx_status cli_inputs_load(const sdx_model *model, const cli_list *files, const cli_list *shapes, uint64_t seed,
                           FILE *say, sdx_error *error, cli_inputs *out);
void cli_inputs_free(cli_inputs *inputs);

/* Everything a run needs. Closed by cli_run_close also after a failure. */
typedef struct cli_run {
    sdx_model *model;
    sdx_session *session;
    cli_inputs inputs;
    sdx_binding *outputs;
    size_t n_outputs;
    double open_ms, session_ms;
} cli_run;

sdx_status cli_run_open(const char *path, const cli_common *common, bool profile, sdx_error *error, cli_run *run);
sdx_status cli_run_once(cli_run *run, const cli_common *common, sdx_error *error); /* drops the outputs before */
void cli_run_close(cli_run *run);
/* The profile as a JSON file. */
sdx_status cli_write_profile(const sdx_session *session, const char *path, sdx_error *error);
sdx_status cli_write_rows(const sdx_profile_row *rows, size_t n, const char *path, sdx_error *error);

/* The plan of a model (optimised in full) for these inputs, as text (cli_plan.c). */
sdx_status cli_print_plan(FILE *file, const sdx_model *model, const cli_inputs *inputs, int threads, sdx_error *error);

typedef struct cli_plan_size {
    size_t working; /* bytes of working memory in a run */
    size_t results; /* bytes of all results of nodes together: what a training may have to keep */
    int unknown;    /* results whose size depends on data: not counted */
} cli_plan_size;
sdx_status cli_measure_plan(const sdx_model *model, const cli_inputs *inputs, int threads, sdx_error *error,
                            cli_plan_size *out);

/* ---- comparison (cli_compare.c) ---- */

typedef struct cli_rule {
    double rtol, atol;
    double rtol_bf16; /* of bf16 outputs, when it is larger */
    bool shape_only;
} cli_rule;
#define CLI_RULE ((cli_rule){1e-3, 1e-7, 0x1p-6, false})

/* The rule of ONNX's own suite: types and shapes equal, |found - expected| <= atol + rtol |expected|, NaN equals NaN,
 * infinities match, bf16 within two units in the last place (rtol 2^-6), strings exact, sequences item by item and of
 * one length. False: `why` says what differs. */
bool cli_compare(const sdx_value *expected, const sdx_value *found, const cli_rule *rule, char *why, size_t capacity);

/* ---- the commands ---- */

int cmd_info(const cli_command *self, int argc, char **argv);
int cmd_run(const cli_command *self, int argc, char **argv);
int cmd_test(const cli_command *self, int argc, char **argv);
int cmd_bench(const cli_command *self, int argc, char **argv);
int cmd_check(const cli_command *self, int argc, char **argv);
int cmd_train(const cli_command *self, int argc, char **argv);
int cmd_eval(const cli_command *self, int argc, char **argv);
int cmd_gradcheck(const cli_command *self, int argc, char **argv);
int cmd_convert(const cli_command *self, int argc, char **argv);

#endif
