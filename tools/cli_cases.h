/* SPDX-License-Identifier: Apache-2.0
 * Test cases on disk: folders with model.onnx and test_data_set_*. */
#ifndef SDX_TOOLS_CLI_CASES_H
#define SDX_TOOLS_CLI_CASES_H
#include "tools/cli.h"

typedef struct cli_paths {
    char **items;
    size_t n;
} cli_paths;

/* Appends the cases below `root`, sorted. None at all is an error. */
sdx_status cli_find_cases(const char *root, cli_paths *cases, sdx_error *error);
void cli_paths_free(cli_paths *paths);

typedef struct cli_exception {
    char *name; /* of the case's folder */
    cli_rule rule;
} cli_exception;

typedef struct cli_exceptions {
    cli_exception *rows;
    size_t n;
} cli_exceptions;

/* Lines "NAME rtol=X atol=X" or "NAME shape-only"; # begins a comment. */
sdx_status cli_exceptions_read(const char *path, cli_exceptions *out, sdx_error *error);
void cli_exceptions_free(cli_exceptions *exceptions);
cli_rule cli_exceptions_find(const cli_exceptions *exceptions, const char *name); /* CLI_RULE when not listed */

typedef enum cli_outcome_kind { CLI_PASSED, CLI_FAILED, CLI_SKIPPED } cli_outcome_kind;
typedef struct cli_outcome {
    cli_outcome_kind kind;
    double ms;
    char message[1200];
} cli_outcome;

/* All data sets of the case; the first difference ends it. */
void cli_run_case(const char *folder, const cli_common *common, const cli_rule *rule, cli_outcome *outcome);

#endif
