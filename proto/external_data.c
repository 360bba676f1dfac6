/* SPDX-License-Identifier: Apache-2.0
 * The kernel resolves a location in one step (openat2, Linux 5.6); where it cannot, folder by folder, each without
 * following links. Links that are allowed are judged by where the opened file lies, so that no race can move it.
 * Files are read with pread: a file that shrinks gives an error, not a signal. */
#include "proto/external_data.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { READ = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, LOOK = O_PATH | O_CLOEXEC };

void sdx_external_init(sdx_external *external, const char *base_folder, bool allow_links) {
    *external = (sdx_external){.base_folder = base_folder, .allow_links = allow_links, .folder = -1};
}

void sdx_external_close(sdx_external *external) {
    for (unsigned i = 0; i < external->n_open; i++) sdx_source_close(&external->open[i].source);
    external->n_open = 0;
    if (external->folder >= 0) close(external->folder);
    external->folder = -1;
}

/* ---- what the model says */

static sdx_status parse_number(const char *key, const char *text, uint64_t *out, sdx_error *error) {
    char shown[128];
    uint64_t value = 0;
    bool good = text[0] != '\0';
    for (const char *c = text; good && *c; c++) {
        good = *c >= '0' && *c <= '9' && !__builtin_mul_overflow(value, 10, &value) &&
               !__builtin_add_overflow(value, (uint64_t)(*c - '0'), &value) && value <= INT64_MAX;
    }
    if (!good)
        return sdx_fail(error, SDX_MALFORMED, "external data: %s is '%s'; it must be a decimal number of bytes", key,
                        sdx_escape(shown, sizeof shown, text, strlen(text)));
    *out = value;
    return SDX_OK;
}

static bool climbs(const char *location) {
    for (const char *part = location; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (part[0] == '.' && part[1] == '.' && (part[2] == '/' || part[2] == '\0')) return true;
    }
    return false;
}

static sdx_status check_location(const char *location, sdx_error *error) {
    char shown[256];
    const char *why = NULL;
    if (!location) return sdx_fail(error, SDX_MALFORMED, "external data has no location");
    if (location[0] == '\0')
        why = "is empty";
    else if (location[0] == '/')
        why = "is absolute";
    else if (climbs(location))
        why = "contains '..'";
    if (!why) return SDX_OK;
    return sdx_fail(error, SDX_MALFORMED, "external data: location '%s' %s; it must be a file below the model's folder",
                    sdx_escape(shown, sizeof shown, location, strlen(location)), why);
}

sdx_status sdx_external_parse(const Onnx__TensorProto *tensor, sdx_external_range *range, sdx_error *error) {
    enum { LOCATION = 1, OFFSET = 2, EXTENT = 4 };
    unsigned seen = 0;
    *range = (sdx_external_range){0};
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        const char *key = tensor->external_data[i]->key, *value = tensor->external_data[i]->value;
        if (!key || !value) return sdx_fail(error, SDX_MALFORMED, "external data: entry %zu has no key or no value", i);
        unsigned which = strcmp(key, "location") == 0 ? LOCATION
                         : strcmp(key, "offset") == 0 ? OFFSET
                         : strcmp(key, "length") == 0 ? EXTENT
                                                      : 0;
        if (seen & which) return sdx_fail(error, SDX_MALFORMED, "external data: %s is given twice", key);
        seen |= which;
        if (which == LOCATION) range->location = value;
        if (which == OFFSET) SDX_TRY(parse_number(key, value, &range->offset, error));
        if (which == EXTENT) SDX_TRY(parse_number(key, value, &range->length, error));
    }
    range->has_length = (seen & EXTENT) != 0;
    return check_location(range->location, error);
}

/* ---- what the file system holds */

/* One folder after the other, no link followed. -1 with errno. */
static int open_by_parts(int folder, const char *location) {
    char name[NAME_MAX + 1];
    int at = folder, next = -1;
    while (*location) {
        size_t length = strcspn(location, "/");
        const char *rest = location + length;
        bool last = *rest == '\0';
        rest += strspn(rest, "/");
        if (length > NAME_MAX) {
            errno = ENAMETOOLONG;
            next = -1;
        } else {
            memcpy(name, location, length);
            name[length] = '\0';
            next = openat(at, name, (last ? READ : LOOK | O_DIRECTORY) | O_NOFOLLOW);
        }
        int code = errno;
        if (at != folder) close(at);
        errno = code;
        if (next < 0) return -1;
        at = next;
        location = rest;
    }
    return next;
}

/* Path of an open file as the kernel knows it; "" when it cannot be told. */
static void path_of(int fd, char *out, size_t capacity) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, capacity - 1);
    out[n > 0 && (size_t)n < capacity - 1 ? n : 0] = '\0';
}

/* Links are followed; what they lead to must lie below the folder. -1 with errno. */
static int open_following(int folder, const char *location) {
    char base[PATH_MAX], file[PATH_MAX], again[64];
    int look = openat(folder, location, LOOK);
    if (look < 0) return -1;
    path_of(folder, base, sizeof base);
    path_of(look, file, sizeof file);
    size_t length = strlen(base);
    while (length && base[length - 1] == '/') length--;
    int fd = -1;
    if (base[0] && strncmp(base, file, length) == 0 && file[length] == '/') {
        snprintf(again, sizeof again, "/proc/self/fd/%d", look);
        fd = open(again, READ);
    } else {
        errno = EXDEV;
    }
    int code = errno;
    close(look);
    errno = code;
    return fd;
}

static int open_beneath(const sdx_external *external, const char *location) {
    struct open_how how = {.flags = READ, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    if (!external->allow_links) how.resolve |= RESOLVE_NO_SYMLINKS;
    if (!external->portable) {
        long fd = syscall(SYS_openat2, external->folder, location, &how, sizeof how);
        if (fd >= 0 || (errno != ENOSYS && errno != EPERM)) return (int)fd;
    }
    if (external->allow_links) return open_following(external->folder, location);
    return open_by_parts(external->folder, location);
}

static const char *refusal(const struct stat *about, bool allow_links) {
    if (S_ISDIR(about->st_mode)) return "is a folder";
    if (!S_ISREG(about->st_mode)) return "is not a regular file";
    if (about->st_nlink > 1 && !allow_links) return "has more than one name (a hard link)";
    return NULL;
}

static const char *system_text(int code) {
    const char *text = strerrordesc_np(code);
    return text ? text : "unknown error";
}

static const char *open_failure(int code) {
    switch (code) {
    case ELOOP: return "is a link or lies behind one";
    case ENOTDIR: return "lies behind something that is no folder";
    case EXDEV: return "leads out of the folder";
    default: return system_text(code);
    }
}

static sdx_status open_file(sdx_external *external, const char *location, sdx_source *out, sdx_error *error) {
    char shown[256];
    struct stat about;
    const char *why = NULL;
    sdx_escape(shown, sizeof shown, location, strlen(location));
    if (!external->base_folder)
        return sdx_fail(error, SDX_IO, "external data '%s': there is no base folder to look in", shown);
    if (external->folder < 0)
        external->folder = open(external->base_folder[0] ? external->base_folder : ".", LOOK | O_DIRECTORY);
    if (external->folder < 0)
        return sdx_fail(error, SDX_IO, "external data '%s': the base folder cannot be opened: %s", shown,
                        system_text(errno));
    int fd = open_beneath(external, location);
    if (fd < 0)
        why = open_failure(errno);
    else if (fstat(fd, &about) != 0)
        why = system_text(errno);
    else
        why = refusal(&about, external->allow_links);
    if (why) {
        if (fd >= 0) close(fd);
        return sdx_fail(error, SDX_IO, "external data '%s' cannot be read: %s", shown, why);
    }
    *out = (sdx_source){.fd = fd, .size = (size_t)about.st_size};
    return SDX_OK;
}

static sdx_status find_file(sdx_external *external, const char *location, const sdx_source **out, sdx_error *error) {
    sdx_source source = {.fd = -1};
    for (unsigned i = 0; i < external->n_open; i++) {
        if (strcmp(external->open[i].location, location) != 0) continue;
        *out = &external->open[i].source;
        return SDX_OK;
    }
    SDX_TRY(open_file(external, location, &source, error));
    unsigned slot = external->n_open < SDX_EXTERNAL_OPEN ? external->n_open++ : external->oldest;
    if (slot == external->oldest && external->open[slot].location) {
        sdx_source_close(&external->open[slot].source);
        external->oldest = (slot + 1) % SDX_EXTERNAL_OPEN;
    }
    external->open[slot].location = location;
    external->open[slot].source = source;
    *out = &external->open[slot].source;
    return SDX_OK;
}

sdx_status sdx_external_open(sdx_external *external, const sdx_external_range *range, size_t bytes, sdx_error *error,
                             const sdx_source **out) {
    char shown[256];
    SDX_TRY(find_file(external, range->location, out, error));
    size_t size = (*out)->size;
    sdx_escape(shown, sizeof shown, range->location, strlen(range->location));
    if (range->has_length && range->length != bytes)
        return sdx_fail(error, SDX_MALFORMED, "external data '%s': length is %llu; the tensor takes %zu bytes", shown,
                        (unsigned long long)range->length, bytes);
    if (range->offset > size || bytes > size - range->offset)
        return sdx_fail(error, SDX_MALFORMED,
                        "external data '%s': %zu bytes at offset %llu pass the end of its %zu bytes", shown, bytes,
                        (unsigned long long)range->offset, size);
    return SDX_OK;
}
