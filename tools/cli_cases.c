/* SPDX-License-Identifier: Apache-2.0
 * Test cases on disk: finding them, the exceptions to the comparison rule, and running one. */
#include "tools/cli_cases.h"
#include "proto/proto.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char data_set[] = "test_data_set_";

static sdx_status out_of_memory(sdx_error *error) { return sdx_fail(error, SDX_OUT_OF_MEMORY, "the list of cases"); }

static bool add_path(cli_paths *paths, const char *path) {
    char **grown = realloc(paths->items, (paths->n + 1) * sizeof *grown);
    if (grown) paths->items = grown;
    char *copy = grown ? strdup(path) : NULL;
    if (copy) grown[paths->n++] = copy;
    return copy != NULL;
}

void cli_paths_free(cli_paths *paths) {
    for (size_t i = 0; i < paths->n; i++) free(paths->items[i]);
    free(paths->items);
    *paths = (cli_paths){0};
}

static int by_name(const void *a, const void *b) {
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static int by_number(const void *a, const void *b) {
    const char *const *x = a, *const *y = b;
    size_t n = strlen(*x), m = strlen(*y);
    return n != m ? (n > m) - (n < m) : strcmp(*x, *y);
}

static bool is_folder(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

/* Looks at one folder: a case, or folders to look at later. */
static sdx_status look(const char *folder, cli_paths *cases, cli_paths *later, sdx_error *error) {
    char path[PATH_MAX];
    DIR *dir = opendir(folder);
    if (!dir) return sdx_fail(error, SDX_IO, "the folder '%s' cannot be read: %s", folder, strerrordesc_np(errno));
    sdx_status status = SDX_OK;
    bool is_case = false;
    size_t before = later->n;
    for (struct dirent *entry; !status && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.') continue;
        if (strcmp(entry->d_name, "model.onnx") == 0) is_case = true;
        int n = snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (n < 0 || (size_t)n >= sizeof path || entry->d_type == DT_REG || !is_folder(path)) continue;
        if (!add_path(later, path)) status = out_of_memory(error);
    }
    closedir(dir);
    if (!is_case) return status;
    while (later->n > before) free(later->items[--later->n]);
    return status ? status : add_path(cases, folder) ? SDX_OK : out_of_memory(error);
}

sdx_status cli_find_cases(const char *root, cli_paths *cases, sdx_error *error) {
    enum { MOST_FOLDERS = 1000000 }; /* a circle of links ends too */
    cli_paths later = {0};
    size_t first = cases->n, seen = 0;
    char clean[PATH_MAX];
    size_t length = strlen(root);
    while (length > 1 && root[length - 1] == '/') length--;
    snprintf(clean, sizeof clean, "%.*s", (int)length, root);
    sdx_status status = add_path(&later, clean) ? SDX_OK : out_of_memory(error);
    while (!status && later.n && seen++ < MOST_FOLDERS) {
        char *folder = later.items[--later.n];
        status = look(folder, cases, &later, error);
        free(folder);
    }
    cli_paths_free(&later);
    if (!status && cases->n == first)
        status = sdx_fail(error, SDX_IO, "there is no folder with a model.onnx in '%s'", root);
    if (cases->n > first) qsort(cases->items + first, cases->n - first, sizeof *cases->items, by_name);
    return status;
}

/* ---- exceptions */

static bool read_rule(char *words, cli_rule *rule) {
    char *rest = NULL;
    int n = 0;
    for (char *word = strtok_r(words, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest), n++) {
        char *end = NULL;
        bool rtol = strncmp(word, "rtol=", 5) == 0, atol = strncmp(word, "atol=", 5) == 0;
        if (strcmp(word, "shape-only") == 0) {
            rule->shape_only = true;
        } else if (rtol || atol) {
            *(rtol ? &rule->rtol : &rule->atol) = strtod(word + 5, &end);
            if (end == word + 5 || *end) return false;
        } else {
            return false;
        }
    }
    return n > 0;
}

sdx_status cli_exceptions_read(const char *path, cli_exceptions *out, sdx_error *error) {
    unsigned char *bytes = NULL;
    size_t size = 0;
    int number = 0;
    SDX_TRY(sdx_file_read(path, cli_memory(), error, &bytes, &size));
    sdx_status status = SDX_OK;
    char *rest = NULL;
    for (char *line = (char *)bytes; !status && line && *line; line = rest) {
        rest = strchr(line, '\n');
        if (rest) *rest++ = '\0';
        number++;
        line[strcspn(line, "#\r")] = '\0';
        line += strspn(line, " \t");
        if (!*line) continue;
        size_t length = strcspn(line, " \t");
        cli_exception one = {strndup(line, length), CLI_RULE};
        cli_exception *grown = realloc(out->rows, (out->n + 1) * sizeof *grown);
        if (grown) out->rows = grown;
        if (!one.name || !grown)
            status = out_of_memory(error);
        else if (!read_rule(line + length, &one.rule))
            status = sdx_fail(error, SDX_MALFORMED,
                              "'%s', line %d: 'NAME rtol=X atol=X' or 'NAME shape-only' is wanted", path, number);
        if (status)
            free(one.name);
        else
            out->rows[out->n++] = one;
    }
    sdx_memory_free(cli_memory(), bytes);
    return status;
}

void cli_exceptions_free(cli_exceptions *exceptions) {
    for (size_t i = 0; i < exceptions->n; i++) free(exceptions->rows[i].name);
    free(exceptions->rows);
    *exceptions = (cli_exceptions){0};
}

cli_rule cli_exceptions_find(const cli_exceptions *exceptions, const char *name) {
    for (size_t i = 0; i < exceptions->n; i++)
        if (strcmp(exceptions->rows[i].name, name) == 0) return exceptions->rows[i].rule;
    return CLI_RULE;
}

/* ---- one case */

static sdx_status find_sets(const char *folder, cli_paths *sets, sdx_error *error) {
    DIR *dir = opendir(folder);
    if (!dir) return sdx_fail(error, SDX_IO, "the folder cannot be read: %s", strerrordesc_np(errno));
    bool good = true;
    for (struct dirent *entry; good && (entry = readdir(dir));)
        if (strncmp(entry->d_name, data_set, sizeof data_set - 1) == 0) good = add_path(sets, entry->d_name);
    closedir(dir);
    if (sets->n) qsort(sets->items, sets->n, sizeof *sets->items, by_number);
    return good ? SDX_OK : out_of_memory(error);
}

static bool file_path(char *out, size_t capacity, const char *folder, const char *set, const char *stem, size_t k) {
    int n = snprintf(out, capacity, "%s/%s/%s_%zu.pb", folder, set, stem, k);
    return n > 0 && (size_t)n < capacity && access(out, F_OK) == 0;
}

static size_t count_files(const char *folder, const char *set, const char *stem) {
    char path[PATH_MAX];
    size_t n = 0;
    while (file_path(path, sizeof path, folder, set, stem, n)) n++;
    return n;
}

/* input_k.pb belongs to the k-th input; when there are fewer files, to the k-th that has no default. */
static sdx_status load_inputs(const sdx_model *model, const char *folder, const char *set, cli_inputs *inputs,
                              sdx_error *error) {
    char path[PATH_MAX];
    size_t n_files = count_files(folder, set, "input"), n = sdx_model_input_count(model), file = 0;
    inputs->bindings = calloc(n ? n : 1, sizeof *inputs->bindings);
    if (!inputs->bindings) return out_of_memory(error);
    for (size_t k = 0; k < n && file < n_files; k++) {
        const sdx_value_info *info = sdx_model_input(model, k);
        if (info->has_default && n_files < n) continue;
        sdx_value *value = NULL;
        file_path(path, sizeof path, folder, set, "input", file++);
        if (sdx_proto_read_value(path, info->kind, cli_memory(), error, &value))
            return sdx_error_context(error, "input '%s'", cli_escaped(info->name));
        inputs->bindings[inputs->n++] = (sdx_binding){info->name, value};
    }
    if (file < n_files)
        return sdx_fail(error, SDX_ARGUMENT, "there are %zu input files; the model has %zu inputs", n_files, n);
    return SDX_OK;
}

static sdx_status compare_outputs(const cli_run *run, const char *folder, const char *set, const cli_rule *rule,
                                  cli_outcome *outcome, sdx_error *error) {
    char path[PATH_MAX], why[600];
    size_t n_files = count_files(folder, set, "output");
    if (n_files != run->n_outputs) {
        snprintf(outcome->message, sizeof outcome->message, "%s: %zu outputs; %zu are expected", set, run->n_outputs,
                 n_files);
        outcome->kind = CLI_FAILED;
    }
    for (size_t k = 0; k < run->n_outputs && outcome->kind == CLI_PASSED; k++) {
        sdx_value *expected = NULL;
        file_path(path, sizeof path, folder, set, "output", k);
        if (sdx_proto_read_value(path, sdx_model_output(run->model, k)->kind, cli_memory(), error, &expected))
            return sdx_error_context(error, "output %zu", k);
        if (!cli_compare(expected, run->outputs[k].value, rule, why, sizeof why)) {
            snprintf(outcome->message, sizeof outcome->message, "%s: output %zu '%.100s' %s", set, k,
                     cli_escaped(run->outputs[k].name), why);
            outcome->kind = CLI_FAILED;
        }
        sdx_value_release(expected);
    }
    return SDX_OK;
}

static sdx_status run_sets(const char *folder, const cli_paths *sets, const cli_common *common, const cli_rule *rule,
                           cli_run *run, cli_outcome *outcome, sdx_error *error) {
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s/model.onnx", folder) >= (int)sizeof path)
        return sdx_fail(error, SDX_IO, "the path is too long");
    SDX_TRY(cli_run_open(path, common, false, error, run));
    for (size_t i = 0; i < sets->n && outcome->kind == CLI_PASSED; i++) {
        cli_inputs_free(&run->inputs);
        sdx_status status = load_inputs(run->model, folder, sets->items[i], &run->inputs, error);
        if (!status) status = cli_run_once(run, common, error);
        if (!status) status = compare_outputs(run, folder, sets->items[i], rule, outcome, error);
        if (status) return sdx_error_context(error, "%s", sets->items[i]);
    }
    return SDX_OK;
}

void cli_run_case(const char *folder, const cli_common *common, const cli_rule *rule, cli_outcome *outcome) {
    sdx_error error = {0};
    cli_paths sets = {0};
    cli_run run = {0};
    *outcome = (cli_outcome){.kind = CLI_PASSED};
    sdx_status status = find_sets(folder, &sets, &error);
    if (!status && sets.n == 0) {
        outcome->kind = CLI_SKIPPED;
        snprintf(outcome->message, sizeof outcome->message, "there is no folder %s*", data_set);
    } else if (!status) {
        status = run_sets(folder, &sets, common, rule, &run, outcome, &error);
    }
    if (status) {
        outcome->kind = CLI_FAILED;
        snprintf(outcome->message, sizeof outcome->message, "%s: %s", sdx_status_text(status), error.message);
    }
    cli_run_close(&run);
    cli_paths_free(&sets);
}
