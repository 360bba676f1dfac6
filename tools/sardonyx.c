/* SPDX-License-Identifier: Apache-2.0
 * The command line tool: one row for each command. */
#include "tools/cli.h"
#include <string.h>

static const cli_command commands[] = {
    {"info", "MODEL [--json] [--after=STAGE] | --ops | --kernels | --version",
     "Shows what a model takes, gives and is made of; or what this build can do.", cmd_info},
    {"check", "MODEL [--train] [--json] [--shape NAME=...]... [--freeze PATTERN]...",
     "Lists everything that would stop a run or a training, and the bytes it needs.", cmd_check},
    {"run", "MODEL [-i NAME=FILE]... [--shape NAME=1x3x224x224]... [-o FILE.npz|DIR] [--expect FILE.npz]",
     "Runs a model once. Inputs are .npy, .npz or .pb files; one that is not given is made up from the seed.", cmd_run},
    {"test", "DIR... [--json FILE] [--jobs N] [--exceptions FILE] [--strict]",
     "Runs every folder with model.onnx and test_data_set_* below DIR by the rules of ONNX's own suite.", cmd_test},
    {"bench", "MODEL [-i NAME=FILE]... [--shape NAME=...]... [--runs N] [--warmup N] [--json]",
     "Measures loading, the first run, the runs after it, and memory.", cmd_bench},
    {"train",
     "MODEL -c CONFIG.json --data FILE.npz [--valid FILE.npz] -o OUT.onnx [--checkpoint FILE] [--resume] [--report "
     "DIR]",
     "Trains a model on data, as the configuration says, and writes it as ONNX in inference form.", cmd_train},
    {"eval", "MODEL --data FILE.npz [-c CONFIG.json] [--json]", "Measures loss and metrics of a model on data.",
     cmd_eval},
    {"gradcheck", "MODEL [-c CONFIG.json] [--data FILE.npz] [--shape NAME=...]... [--json]",
     "Compares the gradients of a model with central differences.", cmd_gradcheck},
    {"convert", "MODEL -o OUT.onnx [--optimise] [--fold-norms] [--external-data FILE]",
     "Loads a model, brings it to the newest form of its operators, and writes it as ONNX again.", cmd_convert},
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

static int print_version(void) {
    puts(sdx_version());
    return CLI_DONE;
}

static int print_help(void) {
    puts("usage: sardonyx COMMAND ...\n\nCommands:");
    for (int i = 0; i < COMMANDS; i++) printf("  %-9s %s\n", commands[i].name, commands[i].summary);
    puts("\nOptions of every command: 'sardonyx COMMAND --help'. 'sardonyx --version' prints the version.\n\n"
         "Exit status: 0 done, 1 a comparison or check failed, 2 wrong usage, 3 the model or data was refused,\n"
         "4 a limit, a deadline or an interrupt.");
    return CLI_DONE;
}

static int dispatch(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) return print_help();
    if (strcmp(name, "--version") == 0) return print_version();
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0) return commands[i].run(&commands[i], argc - 1, argv + 1);
    return argc > 1 ? cli_usage(NULL, "there is no command '%s'", name) : cli_usage(NULL, "a command is wanted");
}

int main(int argc, char **argv) {
    int status = dispatch(argc, argv);
    if (fflush(stdout) == 0 && !ferror(stdout)) return status;
    sdx_error error = {0};
    sdx_fail(&error, SDX_IO, "standard output cannot be written");
    return status ? status : cli_report(&error);
}
