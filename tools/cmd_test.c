/* SPDX-License-Identifier: Apache-2.0
 * sardonyx test: every case in a process of its own, so that one that crashes or hangs is a failure of its own. */
#include "runtime/base/pool.h"
#include "tools/cli_cases.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEFAULT_LIMIT_MS = 600000, GRACE_MS = 10000 };

typedef struct options {
    cli_common common;
    cli_list folders;
    const char *json, *exceptions;
    int jobs;
    bool strict;
} options;

typedef struct slot {
    pid_t pid; /* 0: free */
    int pipe;
    size_t index, got;
    double start;
    bool late;
    cli_outcome outcome;
} slot;

typedef struct suite {
    const options *options;
    cli_paths cases;
    cli_exceptions exceptions;
    cli_outcome *outcomes;
    slot *slots;
    size_t next, done;
    size_t count[3]; /* by cli_outcome_kind */
} suite;

static const char *name_of(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static _Noreturn void child(const suite *s, size_t index, int pipe) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    cli_common common = s->options->common;
    int machine = sdx_machine_threads();
    if (common.threads == 0) common.threads = machine > s->options->jobs ? machine / s->options->jobs : 1;
    cli_rule rule = CLI_RULE;
    if (s->options->strict)
        rule.rtol_bf16 = 0;
    else
        rule = cli_exceptions_find(&s->exceptions, name_of(s->cases.items[index]));
    cli_outcome outcome;
    cli_run_case(s->cases.items[index], &common, &rule, &outcome);
    const char *bytes = (const char *)&outcome;
    for (size_t left = sizeof outcome; left;) {
        ssize_t n = write(pipe, bytes, left);
        if (n <= 0) break;
        bytes += n;
        left -= (size_t)n;
    }
    _exit(0);
}

static sdx_status start(suite *s, slot *job, sdx_error *error) {
    int ends[2];
    if (pipe(ends) != 0) return sdx_fail(error, SDX_IO, "a pipe cannot be made: %s", strerrordesc_np(errno));
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        child(s, s->next, ends[1]);
    }
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return sdx_fail(error, SDX_OUT_OF_MEMORY, "a process cannot be started: %s", strerrordesc_np(errno));
    }
    *job = (slot){.pid = pid, .pipe = ends[0], .index = s->next++, .start = cli_milliseconds()};
    return SDX_OK;
}

/* Says what happened to a process that gave no outcome. */
static void explain_end(const slot *job, int state, cli_outcome *outcome) {
    outcome->kind = CLI_FAILED;
    if (job->late)
        snprintf(outcome->message, sizeof outcome->message, "deadline passed: it was ended after %.0f s",
                 1e-3 * (cli_milliseconds() - job->start));
    else if (WIFSIGNALED(state))
        snprintf(outcome->message, sizeof outcome->message, "crashed: signal %d (%s)", WTERMSIG(state),
                 strsignal(WTERMSIG(state)));
    else
        snprintf(outcome->message, sizeof outcome->message, "crashed: no signal, but status %d and no outcome",
                 WEXITSTATUS(state));
}

static void finish(suite *s, slot *job) {
    int state = 0;
    close(job->pipe);
    while (waitpid(job->pid, &state, 0) < 0 && errno == EINTR) continue;
    cli_outcome *outcome = &s->outcomes[job->index];
    if (job->got == sizeof *outcome)
        *outcome = job->outcome;
    else
        explain_end(job, state, outcome);
    outcome->ms = cli_milliseconds() - job->start;
    job->pid = 0;
    s->done++;
    s->count[outcome->kind]++;
    const char *path = s->cases.items[job->index];
    bool terminal = isatty(STDERR_FILENO) && !s->options->common.quiet;
    if (terminal) fputs("\r\033[K", stderr);
    if (outcome->kind == CLI_FAILED)
        printf("FAIL %s: %s\n", path, outcome->message);
    else if (s->options->common.verbose)
        printf("%s %s\n", outcome->kind == CLI_PASSED ? "ok  " : "skip", path);
    if (terminal) fprintf(stderr, "%zu of %zu", s->done, s->cases.n);
    if (terminal && s->done == s->cases.n) fputs("\r\033[K", stderr);
}

/* Reads what came; true at the end of the pipe. */
static bool drain(slot *job) {
    char *into = (char *)&job->outcome;
    char spare = 0;
    size_t room = sizeof job->outcome - job->got;
    ssize_t n = read(job->pipe, room ? into + job->got : &spare, room ? room : 1);
    if (n > 0 && room) job->got += (size_t)n;
    return n == 0 || (n < 0 && errno != EINTR);
}

static void end_late(const suite *s, slot *job) {
    double limit = s->options->common.deadline > 0 ? 1e3 * s->options->common.deadline + GRACE_MS : DEFAULT_LIMIT_MS;
    if (job->late || cli_milliseconds() - job->start < limit) return;
    job->late = true;
    kill(job->pid, SIGKILL);
}

static void wait_for_some(suite *s, struct pollfd *polls) {
    int jobs = s->options->jobs;
    for (int j = 0; j < jobs; j++)
        polls[j] = (struct pollfd){.fd = s->slots[j].pid ? s->slots[j].pipe : -1, .events = POLLIN};
    if (poll(polls, (nfds_t)jobs, 200) < 0) return; /* a signal: the caller looks */
    for (int j = 0; j < jobs; j++) {
        if (!s->slots[j].pid) continue;
        if (polls[j].revents && drain(&s->slots[j]))
            finish(s, &s->slots[j]);
        else
            end_late(s, &s->slots[j]);
    }
}

static void end_all(suite *s) {
    for (int j = 0; j < s->options->jobs; j++) {
        if (!s->slots[j].pid) continue;
        kill(s->slots[j].pid, SIGKILL);
        while (waitpid(s->slots[j].pid, NULL, 0) < 0 && errno == EINTR) continue;
        close(s->slots[j].pipe);
    }
}

static sdx_status run_all(suite *s, sdx_error *error) {
    const volatile int *interrupt = cli_interrupt();
    struct pollfd *polls = calloc((size_t)s->options->jobs, sizeof *polls);
    s->slots = calloc((size_t)s->options->jobs, sizeof *s->slots);
    s->outcomes = calloc(s->cases.n, sizeof *s->outcomes);
    sdx_status status = SDX_OK;
    if (!polls || !s->slots || !s->outcomes) status = sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu cases", s->cases.n);
    while (!status && s->done < s->cases.n) {
        for (int j = 0; j < s->options->jobs && s->next < s->cases.n && !status; j++)
            if (!s->slots[j].pid) status = start(s, &s->slots[j], error);
        if (!status) wait_for_some(s, polls);
        if (*interrupt) status = sdx_fail(error, SDX_CANCELLED, "%zu of %zu cases were run", s->done, s->cases.n);
    }
    if (status && s->slots) end_all(s);
    free(polls);
    return status;
}

static sdx_status write_report(const suite *s, sdx_error *error) {
    static const char *const kinds[] = {"passed", "failed", "skipped"};
    cJSON *json = cJSON_CreateObject();
    for (int k = 0; k < 3; k++) cJSON_AddNumberToObject(json, kinds[k], (double)s->count[k]);
    cJSON *list = cJSON_AddArrayToObject(json, "cases");
    for (size_t i = 0; i < s->cases.n; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddStringToObject(row, "name", name_of(s->cases.items[i]));
        cJSON_AddStringToObject(row, "path", s->cases.items[i]);
        cJSON_AddStringToObject(row, "status", kinds[s->outcomes[i].kind]);
        if (s->outcomes[i].message[0]) cJSON_AddStringToObject(row, "message", s->outcomes[i].message);
        cli_add_ms(row, "total_ms", s->outcomes[i].ms);
        cJSON_AddItemToArray(list, row);
    }
    return cli_write_json(json, s->options->json, error);
}

static int test(const options *o) {
    suite s = {.options = o};
    sdx_error error = {0};
    sdx_status status = SDX_OK;
    if (o->exceptions && !o->strict) status = cli_exceptions_read(o->exceptions, &s.exceptions, &error);
    for (int i = 0; i < o->folders.n && !status; i++) status = cli_find_cases(o->folders.items[i], &s.cases, &error);
    if (!status) status = run_all(&s, &error);
    if (!status && o->json) status = write_report(&s, &error);
    if (!status)
        printf("%zu passed, %zu failed, %zu skipped\n", s.count[CLI_PASSED], s.count[CLI_FAILED], s.count[CLI_SKIPPED]);
    bool failed = s.count[CLI_FAILED] > 0;
    free(s.slots);
    free(s.outcomes);
    cli_paths_free(&s.cases);
    cli_exceptions_free(&s.exceptions);
    return status ? cli_report(&error) : failed ? CLI_DIFFERS : CLI_DONE;
}

int cmd_test(const cli_command *self, int argc, char **argv) {
    options o = {.jobs = sdx_machine_threads()};
    const cli_option rows[] = {
        {"json", 0, CLI_TEXT, &o.json, "FILE", "a report with one entry for each case"},
        {"jobs", 'j', CLI_COUNT, &o.jobs, "N", "cases at once (default: the machine's threads)"},
        {"exceptions", 0, CLI_TEXT, &o.exceptions, "FILE", "lines 'NAME rtol=X atol=X' or 'NAME shape-only'"},
        {"strict", 0, CLI_FLAG, &o.strict, NULL, "no exceptions, and rtol 1e-3 for bf16 too"},
    };
    int status = CLI_DONE;
    if (cli_parse(self, rows, sizeof rows / sizeof rows[0], &o.common, argc, argv, &o.folders, &status))
        status = o.folders.n ? test(&o) : cli_usage(self, "a folder is wanted");
    free(o.folders.items);
    return status;
}
