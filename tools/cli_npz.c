/* SPDX-License-Identifier: Apache-2.0
 * .npz: a zip archive of .npy files, read and written with libzip. Writing builds the archive in memory, so that it
 * takes its place on disk in one step. */
#include "tools/cli.h"
#include <stdlib.h>
#include <string.h>
#include <zip.h>

struct cli_npz {
    zip_t *zip;
    char *path;
    char **names;
    size_t n;
};

static sdx_status fail_zip(sdx_error *error, sdx_status status, const char *path, zip_error_t *why) {
    return sdx_fail(error, status, "'%s': %s", cli_escaped(path), zip_error_strerror(why));
}

/* The entries' names without ".npy". */
static sdx_status list_names(cli_npz *npz, sdx_error *error) {
    zip_int64_t n = zip_get_num_entries(npz->zip, 0);
    npz->names = calloc(n > 0 ? (size_t)n : 1, sizeof *npz->names);
    if (!npz->names) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%lld names", (long long)n);
    for (zip_int64_t i = 0; i < n; i++) {
        const char *name = zip_get_name(npz->zip, (zip_uint64_t)i, 0);
        size_t length = name ? strlen(name) : 0;
        if (length < 4 || strcmp(name + length - 4, ".npy") != 0)
            return sdx_fail(error, SDX_MALFORMED, "'%s' holds '%s', which is not an array", cli_escaped(npz->path),
                            cli_escaped(name ? name : ""));
        char *copy = strndup(name, length - 4);
        if (!copy) return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", length);
        npz->names[npz->n++] = copy;
    }
    return SDX_OK;
}

sdx_status cli_npz_open(const char *path, sdx_error *error, cli_npz **out) {
    *out = NULL;
    sdx_source source; /* says in our words what is missing, a folder, a pipe */
    SDX_TRY(sdx_source_open(path, error, &source));
    sdx_source_close(&source);
    cli_npz *npz = calloc(1, sizeof *npz);
    if (!npz || !(npz->path = strdup(path))) {
        free(npz);
        return sdx_fail(error, SDX_OUT_OF_MEMORY, "%zu bytes asked for", sizeof *npz);
    }
    int code = 0;
    npz->zip = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, &code);
    sdx_status status = SDX_OK;
    if (!npz->zip) {
        zip_error_t why;
        zip_error_init_with_code(&why, code);
        status = fail_zip(error, SDX_MALFORMED, path, &why);
        zip_error_fini(&why);
    } else {
        status = list_names(npz, error);
    }
    if (status)
        cli_npz_close(npz);
    else
        *out = npz;
    return status;
}

void cli_npz_close(cli_npz *npz) {
    if (!npz) return;
    if (npz->zip) zip_discard(npz->zip);
    for (size_t i = 0; i < npz->n; i++) free(npz->names[i]);
    free(npz->names);
    free(npz->path);
    free(npz);
}

size_t cli_npz_count(const cli_npz *npz) { return npz->n; }
const char *cli_npz_name(const cli_npz *npz, size_t index) { return npz->names[index]; }

static zip_int64_t find(const cli_npz *npz, const char *name) {
    for (size_t i = 0; i < npz->n; i++)
        if (strcmp(npz->names[i], name) == 0) return (zip_int64_t)i;
    return -1;
}

bool cli_npz_has(const cli_npz *npz, const char *name) { return find(npz, name) >= 0; }

static sdx_status fail_missing(const cli_npz *npz, const char *name, sdx_error *error) {
    char all[600] = "nothing";
    size_t used = 0;
    for (size_t i = 0; i < npz->n && used + 80 < sizeof all; i++) {
        char one[64];
        sdx_escape(one, sizeof one, npz->names[i], strlen(npz->names[i]));
        used += (size_t)snprintf(all + used, sizeof all - used, "%s'%s'%s", i ? ", " : "", one,
                                 i + 1 < npz->n && used + 160 >= sizeof all ? ", ..." : "");
    }
    return sdx_fail(error, SDX_VALUE, "'%s' has no array named '%s'; it holds %s", cli_escaped(npz->path),
                    cli_escaped(name), all);
}

sdx_status cli_npz_read(cli_npz *npz, const char *name, sdx_dtype wanted, sdx_error *error, sdx_value **out) {
    *out = NULL;
    zip_int64_t index = find(npz, name);
    if (index < 0) return fail_missing(npz, name, error);
    zip_stat_t about;
    if (zip_stat_index(npz->zip, (zip_uint64_t)index, 0, &about) != 0 || !(about.valid & ZIP_STAT_SIZE))
        return fail_zip(error, SDX_MALFORMED, npz->path, zip_get_error(npz->zip));
    unsigned char *bytes = sdx_memory_alloc(cli_memory(), about.size, error);
    if (!bytes) return error->status;
    sdx_status status = SDX_OK;
    zip_file_t *file = zip_fopen_index(npz->zip, (zip_uint64_t)index, 0);
    if (!file) {
        status = fail_zip(error, SDX_MALFORMED, npz->path, zip_get_error(npz->zip));
    } else {
        unsigned char more = 0; /* reading past the end is what checks the CRC */
        zip_int64_t n = zip_fread(file, bytes, about.size);
        if (n < 0 || (zip_uint64_t)n != about.size || zip_fread(file, &more, 1) != 0)
            status = sdx_fail(error, SDX_MALFORMED, "'%s': array '%s' is damaged: %s", cli_escaped(npz->path),
                              cli_escaped(name), zip_error_strerror(zip_file_get_error(file)));
        zip_fclose(file);
    }
    if (!status && cli_npy_parse(bytes, about.size, wanted, error, out))
        status = sdx_error_context(error, "'%s': array '%s'", cli_escaped(npz->path), cli_escaped(name));
    sdx_memory_free(cli_memory(), bytes);
    return status;
}

static sdx_status add_array(zip_t *zip, const char *path, const cli_array *array, unsigned char **bytes,
                            sdx_error *error) {
    enum { SAME_FOR_ALL = 315532800 }; /* 1 January 1980: equal arrays make equal files */
    char name[600];
    size_t size = 0;
    if ((size_t)snprintf(name, sizeof name, "%s.npy", array->name) >= sizeof name)
        return sdx_fail(error, SDX_UNSUPPORTED, "the name '%s' is too long for an .npz file", cli_escaped(array->name));
    SDX_TRY(cli_npy_format(&array->value->tensor, error, bytes, &size));
    zip_source_t *source = zip_source_buffer(zip, *bytes, size, 0);
    zip_int64_t index = source ? zip_file_add(zip, name, source, ZIP_FL_ENC_UTF_8) : -1;
    if (index < 0) {
        zip_source_free(source);
        return fail_zip(error, SDX_VALUE, path, zip_get_error(zip));
    }
    zip_set_file_compression(zip, (zip_uint64_t)index, ZIP_CM_STORE, 0);
    zip_file_set_mtime(zip, (zip_uint64_t)index, SAME_FOR_ALL, 0);
    return SDX_OK;
}

static sdx_status copy_source(zip_source_t *archive, const char *path, sdx_error *error) {
    enum { PIECE = 1 << 16 };
    sdx_sink *sink = NULL;
    SDX_TRY(sdx_sink_create(path, cli_memory(), error, &sink));
    unsigned char *piece = sdx_memory_alloc(cli_memory(), PIECE, error);
    sdx_status status = piece ? SDX_OK : error->status;
    if (!status && zip_source_open(archive) != 0) status = fail_zip(error, SDX_IO, path, zip_source_error(archive));
    for (zip_int64_t n = 1; !status && n > 0;) {
        n = zip_source_read(archive, piece, PIECE);
        if (n < 0)
            status = fail_zip(error, SDX_IO, path, zip_source_error(archive));
        else
            status = sdx_sink_write(sink, piece, (size_t)n, error);
    }
    sdx_memory_free(cli_memory(), piece);
    if (!status) return sdx_sink_commit(sink, error);
    sdx_sink_discard(sink);
    return status;
}

sdx_status cli_npz_write(const char *path, const cli_array *arrays, size_t n, sdx_error *error) {
    static const char empty[22] = "PK\5\6"; /* libzip writes no file for an archive of nothing */
    if (n == 0) return cli_write_text(empty, sizeof empty, path, error);
    zip_error_t why;
    zip_error_init(&why);
    unsigned char **bytes = calloc(n, sizeof *bytes);
    zip_source_t *archive = zip_source_buffer_create(NULL, 0, 1, &why);
    zip_t *zip = archive && bytes ? zip_open_from_source(archive, ZIP_TRUNCATE, &why) : NULL;
    sdx_status status = zip ? SDX_OK : sdx_fail(error, SDX_OUT_OF_MEMORY, "the archive cannot be made in memory");
    if (zip) zip_source_keep(archive); /* beyond zip_close */
    for (size_t i = 0; !status && i < n; i++) status = add_array(zip, path, &arrays[i], &bytes[i], error);
    if (!status && zip_close(zip) != 0)
        status = fail_zip(error, SDX_IO, path, zip_get_error(zip));
    else if (!status)
        zip = NULL;
    if (zip) zip_discard(zip);
    if (!status) status = copy_source(archive, path, error);
    for (size_t i = 0; bytes && i < n; i++) sdx_memory_free(cli_memory(), bytes[i]);
    free(bytes);
    if (archive) zip_source_free(archive);
    zip_error_fini(&why);
    return status;
}
