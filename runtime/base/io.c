/* SPDX-License-Identifier: Apache-2.0
 * A reader never sees a half-written file: the temporary one lies in the folder of the target, reaches the disk, and
 * then takes the target's name in one step. Those of writers that were killed go when the next file is complete. */
#include "runtime/base/io.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 1 << 16, ATTEMPTS = 100 };

static sdx_status fail_on(sdx_error *error, const char *what, const char *path, const char *why) {
    char name[512];
    return sdx_fail(error, SDX_IO, "%s '%s': %s", what, sdx_escape(name, sizeof name, path, strlen(path)), why);
}

static sdx_status fail_errno(sdx_error *error, const char *what, const char *path, int code) {
    char text[128];
    return fail_on(error, what, path, strerror_r(code, text, sizeof text));
}

sdx_status sdx_source_open(const char *path, sdx_error *error, sdx_source *out) {
    *out = (sdx_source){.fd = -1};
    /* O_NONBLOCK: a pipe is refused below instead of waiting for its writer here. */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fail_errno(error, "cannot open", path, errno);
    struct stat about;
    const char *why = NULL;
    char text[128];
    if (fstat(fd, &about) != 0)
        why = strerror_r(errno, text, sizeof text);
    else if (S_ISDIR(about.st_mode))
        why = "is a folder";
    else if (!S_ISREG(about.st_mode))
        why = "is not a regular file";
    if (why) {
        close(fd);
        return fail_on(error, "cannot read", path, why);
    }
    out->fd = fd;
    out->size = (size_t)about.st_size;
    return SDX_OK;
}

void sdx_source_from_memory(const void *bytes, size_t size, sdx_source *out) {
    *out = (sdx_source){.fd = -1, .bytes = bytes, .size = size};
}

void sdx_source_close(sdx_source *source) {
    if (source->fd >= 0) close(source->fd);
    *source = (sdx_source){.fd = -1};
}

sdx_status sdx_source_read(const sdx_source *source, size_t offset, void *into, size_t size, sdx_error *error) {
    if (offset > source->size || size > source->size - offset)
        return sdx_fail(error, SDX_IO, "%zu bytes at offset %zu are wanted; there are %zu bytes", size, offset,
                        source->size);
    if (source->fd < 0) {
        if (size) memcpy(into, source->bytes + offset, size);
        return SDX_OK;
    }
    for (size_t done = 0; done < size;) {
        ssize_t n = pread(source->fd, (char *)into + done, size - done, (off_t)(offset + done));
        if (n > 0)
            done += (size_t)n;
        else if (n == 0)
            return sdx_fail(error, SDX_IO, "the file has become shorter while it is read");
        else if (errno != EINTR)
            return sdx_fail(error, SDX_IO, "reading failed: %s", strerrordesc_np(errno));
    }
    return SDX_OK;
}

sdx_status sdx_file_read(const char *path, sdx_memory *memory, sdx_error *error, unsigned char **bytes, size_t *size) {
    *bytes = NULL;
    *size = 0;
    sdx_source source;
    SDX_TRY(sdx_source_open(path, error, &source));
    sdx_status status = SDX_OK;
    unsigned char *all = source.size < SIZE_MAX ? sdx_memory_alloc(memory, source.size + 1, error) : NULL;
    if (!all)
        status = error && error->status ? error->status : SDX_OUT_OF_MEMORY;
    else
        status = sdx_source_read(&source, 0, all, source.size, error);
    if (status) {
        sdx_memory_free(memory, all);
    } else {
        all[source.size] = '\0';
        *bytes = all;
        *size = source.size;
    }
    sdx_source_close(&source);
    return status;
}

struct sdx_sink {
    sdx_memory *memory;
    char *path, *temporary;
    int fd;
    size_t buffered;
    unsigned char buffer[BUFFER];
};

/* `path` itself, or what it links to: replacing a link by a file is not what a writer means. NULL: no memory. */
static char *target_of(const char *path) {
    struct stat about;
    if (lstat(path, &about) == 0 && S_ISLNK(about.st_mode)) {
        char *real = realpath(path, NULL);
        if (real) return real;
    }
    return strdup(path);
}

static sdx_status open_temporary(sdx_sink *sink, sdx_error *error) {
    struct stat about;
    bool exists = stat(sink->path, &about) == 0;
    if (exists && !S_ISREG(about.st_mode))
        return fail_on(error, "cannot write", sink->path,
                       S_ISDIR(about.st_mode) ? "is a folder" : "is not a regular file");
    size_t capacity = strlen(sink->path) + 64;
    sink->temporary = sdx_memory_alloc(sink->memory, capacity, error);
    if (!sink->temporary) return error && error->status ? error->status : SDX_OUT_OF_MEMORY;
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        snprintf(sink->temporary, capacity, "%s.%ld.%lx.tmp", sink->path, (long)getpid(),
                 (unsigned long)now.tv_nsec + i);
        sink->fd = open(sink->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (sink->fd >= 0) {
            (void)!flock(sink->fd, LOCK_EX | LOCK_NB);                  /* tells who clears up that the writer lives */
            if (exists) (void)!fchmod(sink->fd, about.st_mode & 07777); /* best effort: keep the old file's rights */
            return SDX_OK;
        }
        if (errno != EEXIST) break;
    }
    int code = errno;
    sdx_memory_free(sink->memory, sink->temporary);
    sink->temporary = NULL;
    return fail_errno(error, "cannot write", sink->path, code);
}

sdx_status sdx_sink_create(const char *path, sdx_memory *memory, sdx_error *error, sdx_sink **out) {
    *out = NULL;
    sdx_sink *sink = sdx_memory_alloc(memory, sizeof *sink, error);
    if (!sink) return error && error->status ? error->status : SDX_OUT_OF_MEMORY;
    sink->memory = memory;
    sink->fd = -1;
    sink->buffered = 0;
    sink->temporary = NULL;
    sink->path = target_of(path);
    sdx_status status = sink->path ? open_temporary(sink, error)
                                   : sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", strlen(path));
    if (status)
        sdx_sink_discard(sink);
    else
        *out = sink;
    return status;
}

static sdx_status write_all(sdx_sink *sink, const unsigned char *bytes, size_t size, sdx_error *error) {
    while (size) {
        ssize_t n = write(sink->fd, bytes, size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return fail_errno(error, "cannot write", sink->path, errno);
        bytes += n;
        size -= (size_t)n;
    }
    return SDX_OK;
}

static sdx_status flush(sdx_sink *sink, sdx_error *error) {
    size_t size = sink->buffered;
    sink->buffered = 0;
    return write_all(sink, sink->buffer, size, error);
}

sdx_status sdx_sink_write(sdx_sink *sink, const void *bytes, size_t size, sdx_error *error) {
    if (size == 0) return SDX_OK;
    if (size > BUFFER - sink->buffered) SDX_TRY(flush(sink, error));
    if (size >= BUFFER) return write_all(sink, bytes, size, error);
    memcpy(sink->buffer + sink->buffered, bytes, size);
    sink->buffered += size;
    return SDX_OK;
}

/* -1 with errno set; *base: the file's name in it. */
static int open_folder(const char *path, const char **base) {
    char folder[PATH_MAX] = ".";
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) + 1 : 0;
    *base = path + length;
    if (length >= sizeof folder) {
        errno = ENAMETOOLONG;
        return -1;
    }
    if (length) {
        memcpy(folder, path, length);
        folder[length] = '\0';
    }
    return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The writer in "BASE.PID.HEX.tmp", as open_temporary names them; 0: the name is another. */
static pid_t writer_in(const char *name, const char *base) {
    size_t length = strlen(base);
    if (strncmp(name, base, length) != 0 || name[length] != '.') return 0;
    const char *pid = name + length + 1;
    size_t digits = strspn(pid, "0123456789");
    if (digits == 0 || digits > 9 || *pid == '0' || pid[digits] != '.') return 0;
    const char *hex = pid + digits + 1;
    size_t n = strspn(hex, "0123456789abcdef");
    return n > 0 && n <= 16 && strcmp(hex + n, ".tmp") == 0 ? (pid_t)strtol(pid, NULL, 10) : 0;
}

/* No process of this number lives here, and none anywhere, as one in another container or machine might, has it open
 * for writing. */
static bool is_stale(int folder, const char *name, pid_t writer) {
    struct stat about;
    if (writer == 0 || kill(writer, 0) == 0 || errno != ESRCH) return false;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return false;
    bool stale = fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && flock(fd, LOCK_EX | LOCK_NB) == 0;
    close(fd);
    return stale;
}

/* Best effort: what cannot be removed stays. */
static void remove_stale(const char *path) {
    const char *base;
    int fd = open_folder(path, &base);
    DIR *folder = fd >= 0 ? fdopendir(fd) : NULL;
    if (!folder) {
        if (fd >= 0) close(fd);
        return;
    }
    for (const struct dirent *entry = readdir(folder); entry; entry = readdir(folder))
        if (is_stale(fd, entry->d_name, writer_in(entry->d_name, base))) (void)!unlinkat(fd, entry->d_name, 0);
    closedir(folder);
}

/* Makes the new name durable. File systems that cannot sync a folder say EINVAL. */
static sdx_status sync_folder(const char *path, sdx_error *error) {
    const char *base;
    int fd = open_folder(path, &base);
    int code = fd < 0 ? errno : fsync(fd) == 0 ? 0 : errno;
    if (fd >= 0) close(fd);
    return code == 0 || code == EINVAL || code == EACCES ? SDX_OK
                                                         : fail_errno(error, "cannot sync the folder of", path, code);
}

sdx_status sdx_sink_commit(sdx_sink *sink, sdx_error *error) {
    sdx_status status = flush(sink, error);
    if (!status && fsync(sink->fd) != 0) status = fail_errno(error, "cannot write", sink->path, errno);
    int closed = close(sink->fd);
    sink->fd = -1;
    if (!status && closed != 0) status = fail_errno(error, "cannot write", sink->path, errno);
    if (!status && rename(sink->temporary, sink->path) != 0)
        status = fail_errno(error, "cannot write", sink->path, errno);
    if (!status) {
        sdx_memory_free(sink->memory, sink->temporary);
        sink->temporary = NULL;
        remove_stale(sink->path);
        status = sync_folder(sink->path, error);
    }
    sdx_sink_discard(sink);
    return status;
}

void sdx_sink_discard(sdx_sink *sink) {
    if (!sink) return;
    if (sink->fd >= 0) close(sink->fd);
    if (sink->temporary) unlink(sink->temporary);
    sdx_memory_free(sink->memory, sink->temporary);
    free(sink->path);
    sdx_memory_free(sink->memory, sink);
}
