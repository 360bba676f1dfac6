/* SPDX-License-Identifier: Apache-2.0
 * The checkpoints of a loop. The newest has the plain name; older ones are further names of their files, PATH.STEP, so
 * that at no time the plain name is missing. */
#include "runtime/train/trainer.h"
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *joined(const char *path, int64_t step, sdx_error *error) {
    size_t size = strlen(path) + 32;
    char *text = malloc(size);
    if (!text) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", size), NULL;
    snprintf(text, size, "%s.%" PRId64, path, step);
    return text;
}

/* The step in "NAME.STEP"; -1: another file. */
static int64_t step_of(const char *file, const char *name) {
    size_t length = strlen(name);
    if (strncmp(file, name, length) != 0 || file[length] != '.') return -1;
    const char *digits = file + length + 1;
    size_t n = strspn(digits, "0123456789");
    return n > 0 && n < 18 && digits[n] == '\0' ? strtoll(digits, NULL, 10) : -1;
}

/* The oldest of the kept ones, and how many there are. */
static int64_t find_oldest(const char *folder, const char *name, int *count) {
    int64_t oldest = -1;
    DIR *dir = opendir(folder);
    *count = 0;
    if (!dir) return -1;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        int64_t step = step_of(entry->d_name, name);
        if (step < 0) continue;
        (*count)++;
        if (oldest < 0 || step < oldest) oldest = step;
    }
    closedir(dir);
    return oldest;
}

static sdx_status thin_out(const char *path, int most, sdx_error *error) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    char *folder = strndup(slash ? path : ".", slash ? (size_t)(slash - path) + (slash == path) : 1);
    if (!folder) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", strlen(path));
    sdx_status status = SDX_OK;
    for (int count = 0; !status;) {
        int64_t oldest = find_oldest(folder, name, &count);
        if (count <= most) break;
        char *old = joined(path, oldest, error);
        if (!old) status = SDX_OUT_OF_MEMORY;
        if (old && unlink(old) != 0 && errno != ENOENT)
            status = sdx_fail(error, SDX_IO, "'%s' cannot be removed: %s", old, strerror(errno));
        free(old);
    }
    free(folder);
    return status;
}

sdx_status sdx_checkpoint_rotate(const sdx_trainer *trainer, const char *path, int64_t before, int keep,
                                 sdx_error *error) {
    if (before > 0 && keep > 1) {
        char *old = joined(path, before, error);
        if (!old) return SDX_OUT_OF_MEMORY;
        sdx_status status = SDX_OK;
        if (link(path, old) != 0 && errno != EEXIST && errno != ENOENT)
            status = sdx_fail(error, SDX_IO, "'%s' cannot be kept as '%s': %s", path, old, strerror(errno));
        free(old);
        SDX_TRY(status);
    }
    SDX_TRY(sdx_trainer_write_checkpoint(trainer, path, error));
    return before > 0 && keep > 1 ? thin_out(path, keep - 1, error) : SDX_OK;
}
