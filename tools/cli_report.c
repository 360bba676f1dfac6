/* SPDX-License-Identifier: Apache-2.0
 * Messages, exit statuses, JSON, time and memory, and the signals that end a run. */
#include "tools/cli.h"
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

int cli_exit_status(sdx_status status) {
    switch (status) {
    case SDX_OK: return CLI_DONE;
    case SDX_OUT_OF_MEMORY:
    case SDX_LIMIT:
    case SDX_DEADLINE:
    case SDX_CANCELLED: return CLI_ENDED;
    case SDX_IO:
    case SDX_MALFORMED:
    case SDX_UNSUPPORTED:
    case SDX_TYPE:
    case SDX_SHAPE:
    case SDX_VALUE:
    case SDX_ARGUMENT:
    case SDX_STATUS_COUNT: break;
    }
    return CLI_REFUSED;
}

int cli_report(const sdx_error *error) {
    fflush(stdout);
    fprintf(stderr, "sardonyx: %s: %s\n", sdx_status_text(error->status), error->message);
    return cli_exit_status(error->status);
}

sdx_memory *cli_memory(void) {
    static sdx_memory memory; /* all zero is a record without a limit */
    return &memory;
}

static volatile int interrupted;

static void on_signal(int number) {
    (void)number;
    interrupted = 1;
}

const volatile int *cli_interrupt(void) {
    static bool installed;
    if (installed) return &interrupted;
    installed = true;
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    return &interrupted;
}

const char *cli_escaped(const char *text) {
    static char out[4][300];
    static unsigned turn;
    char *next = out[turn++ % 4];
    return sdx_escape(next, sizeof out[0], text, strlen(text));
}

double cli_milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

void cli_add_ms(cJSON *json, const char *name, double ms) {
    cJSON_AddNumberToObject(json, name, round(ms * 1e6) * 1e-6); /* whole nanoseconds */
}

void cli_add_finite(cJSON *json, const char *name, double value) {
    if (isfinite(value))
        cJSON_AddNumberToObject(json, name, value);
    else
        cJSON_AddNullToObject(json, name);
}

size_t cli_peak_rss(void) {
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (size_t)usage.ru_maxrss * 1024 : 0;
}

sdx_status cli_write_text(const char *text, size_t size, const char *path, sdx_error *error) {
    if (!path) {
        if (fwrite(text, 1, size, stdout) != size || fflush(stdout) != 0)
            return sdx_fail(error, SDX_IO, "standard output cannot be written");
        return SDX_OK;
    }
    sdx_sink *sink = NULL;
    SDX_TRY(sdx_sink_create(path, cli_memory(), error, &sink));
    sdx_status status = sdx_sink_write(sink, text, size, error);
    if (!status) return sdx_sink_commit(sink, error);
    sdx_sink_discard(sink);
    return status;
}

sdx_status cli_write_json(cJSON *json, const char *path, sdx_error *error) {
    char *text = json ? cJSON_Print(json) : NULL;
    cJSON_Delete(json);
    if (!text) return sdx_fail(error, SDX_OUT_OF_MEMORY, "the JSON text cannot be held");
    size_t size = strlen(text);
    text[size] = '\n'; /* in place of the NUL */
    sdx_status status = cli_write_text(text, size + 1, path, error);
    cJSON_free(text);
    return status;
}

const char *cli_size_text(size_t bytes, char *out, size_t capacity) {
    static const char *const units[] = {"bytes", "KB", "MB", "GB", "TB"};
    double size = (double)bytes;
    int unit = 0;
    for (; size >= 1000 && unit < 4; unit++) size /= 1000;
    snprintf(out, capacity, unit ? "%.1f %s" : "%.0f %s", size, units[unit]);
    return out;
}

static const char *dims_text(const sdx_value_info *info, char *out, size_t capacity) {
    size_t used = 0;
    out[0] = '\0';
    for (int d = 0; d < info->rank && used + 1 < capacity; d++) {
        char name[64];
        const char *symbol = info->dim_names ? info->dim_names[d] : NULL;
        if (info->dims[d] >= 0)
            snprintf(name, sizeof name, "%" PRId64, info->dims[d]);
        else if (symbol)
            sdx_escape(name, sizeof name, symbol, strlen(symbol));
        else
            snprintf(name, sizeof name, "?");
        int n = snprintf(out + used, capacity - used, "%s%s", d ? "," : "", name);
        used += n > 0 ? (size_t)n : 0;
    }
    return out;
}

const char *cli_info_text(const sdx_value_info *info, char *out, size_t capacity) {
    const char *dtype = sdx_dtype_name(info->dtype);
    char dims[512];
    switch (info->kind) {
    case SDX_SEQUENCE: snprintf(out, capacity, "seq(%s)", dtype); break;
    case SDX_OPTIONAL: snprintf(out, capacity, "opt(%s)", dtype); break;
    case SDX_MAP: snprintf(out, capacity, "map(%s)", dtype); break;
    case SDX_SPARSE_TENSOR: snprintf(out, capacity, "sparse(%s)", dtype); break;
    case SDX_TENSOR:
    default:
        if (info->rank < 0)
            snprintf(out, capacity, "%s", dtype);
        else
            snprintf(out, capacity, "%s[%s]", dtype, dims_text(info, dims, sizeof dims));
    }
    return out;
}
