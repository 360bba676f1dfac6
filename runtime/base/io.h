/* SPDX-License-Identifier: Apache-2.0
 * Files: reading at offsets, and writing so that either the old or the new file stands whole. */
#ifndef SDX_BASE_IO_H
#define SDX_BASE_IO_H
#include "runtime/base/memory.h"

/* Random access to bytes that are a file or memory. */
typedef struct sdx_source {
    int fd; /* -1: memory */
    const unsigned char *bytes;
    size_t size;
} sdx_source;

sdx_status sdx_source_open(const char *path, sdx_error *error, sdx_source *out); /* regular file; else SDX_IO */
void sdx_source_from_memory(const void *bytes, size_t size, sdx_source *out);
void sdx_source_close(sdx_source *source);
/* Exactly `size` bytes; SDX_IO when the file has become shorter. */
sdx_status sdx_source_read(const sdx_source *source, size_t offset, void *into, size_t size, sdx_error *error);
/* Whole file into `memory`, NUL added after `size` bytes. */
sdx_status sdx_file_read(const char *path, sdx_memory *memory, sdx_error *error, unsigned char **bytes, size_t *size);

/* A file under construction: a temporary one beside `path`; commit = fsync, rename, fsync of the folder;
 * then temporary ones of this very path whose writers are dead are removed. */
typedef struct sdx_sink sdx_sink;
sdx_status sdx_sink_create(const char *path, sdx_memory *memory, sdx_error *error, sdx_sink **out);
sdx_status sdx_sink_write(sdx_sink *sink, const void *bytes, size_t size, sdx_error *error);
sdx_status sdx_sink_commit(sdx_sink *sink, sdx_error *error); /* frees the sink, also on failure (file untouched) */
void sdx_sink_discard(sdx_sink *sink);                        /* NULL-safe; removes the temporary file */

#endif
