/* SPDX-License-Identifier: Apache-2.0
 * Reading at offsets; writing so that the old file stands until the new one is whole. */
#include "runtime/base/io.h"
#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];
static sdx_memory memory;

static const char *in_folder(const char *name) {
    static char path[4][512];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static int set_up(void **state) {
    (void)state;
    sdx_memory_init(&memory, 0);
    strcpy(folder, "/tmp/sardonyx-io-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int entries(void) {
    DIR *dir = opendir(folder);
    int n = 0;
    for (struct dirent *e; (e = readdir(dir));) n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static int tear_down(void **state) {
    (void)state;
    DIR *dir = opendir(folder);
    for (struct dirent *e; (e = readdir(dir));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) remove(in_folder(e->d_name));
    closedir(dir);
    rmdir(folder);
    return sdx_memory_used(&memory) != 0;
}

static void put(const char *path, const char *text) {
    sdx_sink *sink = NULL;
    assert_int_equal(sdx_sink_create(path, &memory, NULL, &sink), SDX_OK);
    assert_int_equal(sdx_sink_write(sink, text, strlen(text), NULL), SDX_OK);
    assert_int_equal(sdx_sink_commit(sink, NULL), SDX_OK);
}

static void holds(const char *path, const char *text) {
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(sdx_file_read(path, &memory, NULL, &bytes, &size), SDX_OK);
    assert_int_equal(size, strlen(text));
    assert_string_equal((char *)bytes, text);
    sdx_memory_free(&memory, bytes);
}

static void sources(void **state) {
    (void)state;
    sdx_source source;
    char into[8] = "";
    put(in_folder("a"), "0123456789");
    assert_int_equal(sdx_source_open(in_folder("a"), NULL, &source), SDX_OK);
    assert_int_equal(source.size, 10);
    assert_int_equal(sdx_source_read(&source, 3, into, 4, NULL), SDX_OK);
    assert_memory_equal(into, "3456", 4);
    assert_int_equal(sdx_source_read(&source, 10, into, 0, NULL), SDX_OK);
    assert_int_equal(sdx_source_read(&source, 7, into, 4, NULL), SDX_IO);
    assert_int_equal(sdx_source_read(&source, SIZE_MAX, into, 2, NULL), SDX_IO);
    assert_int_equal(sdx_source_read(&source, 2, into, SIZE_MAX, NULL), SDX_IO);
    assert_int_equal(truncate(in_folder("a"), 4), 0);
    sdx_error error = {0};
    assert_int_equal(sdx_source_read(&source, 2, into, 5, &error), SDX_IO);
    assert_non_null(strstr(error.message, "shorter"));
    sdx_source_close(&source);
    sdx_source_close(&source);
    sdx_source_from_memory("abcdef", 6, &source);
    assert_int_equal(sdx_source_read(&source, 2, into, 3, NULL), SDX_OK);
    assert_memory_equal(into, "cde", 3);
    assert_int_equal(sdx_source_read(&source, 5, into, 2, NULL), SDX_IO);
    sdx_source_from_memory(NULL, 0, &source);
    assert_int_equal(sdx_source_read(&source, 0, into, 0, NULL), SDX_OK);
}

static void refused(const char *path, const char *word) {
    sdx_source source;
    sdx_error error = {0};
    assert_int_equal(sdx_source_open(path, &error, &source), SDX_IO);
    if (!strstr(error.message, word)) fail_msg("'%s' lacks '%s'", error.message, word);
    unsigned char *bytes = (unsigned char *)&error;
    size_t size = 1;
    assert_int_equal(sdx_file_read(path, &memory, NULL, &bytes, &size), SDX_IO);
    assert_null(bytes);
}

static void refusals(void **state) {
    (void)state;
    assert_int_equal(mkfifo(in_folder("pipe"), 0600), 0);
    refused(in_folder("none"), "No such file");
    refused(folder, "is a folder");
    refused(in_folder("pipe"), "not a regular file");
    refused("/dev/null", "not a regular file");
    refused(in_folder("line\nbreak"), "line\\x0abreak");
}

static void reading_obeys_limits(void **state) {
    (void)state;
    put(in_folder("a"), "0123456789");
    put(in_folder("empty"), "");
    holds(in_folder("empty"), "");
    sdx_memory small;
    sdx_memory_init(&small, 64);
    unsigned char *bytes = NULL;
    size_t size = 0;
    assert_int_equal(sdx_file_read(in_folder("a"), &small, NULL, &bytes, &size), SDX_OUT_OF_MEMORY);
    sdx_error error = {0};
    assert_int_equal(sdx_file_read(in_folder("a"), &small, &error, &bytes, &size), SDX_LIMIT);
    assert_int_equal(sdx_memory_used(&small), 0);
}

static void the_old_file_stands(void **state) {
    (void)state;
    const char *path = in_folder("out");
    put(path, "old");
    sdx_sink *sink = NULL;
    assert_int_equal(sdx_sink_create(path, &memory, NULL, &sink), SDX_OK);
    assert_int_equal(sdx_sink_write(sink, "new and longer", 14, NULL), SDX_OK);
    holds(path, "old");
    sdx_sink_discard(sink);
    holds(path, "old");
    assert_int_equal(entries(), 1);
    put(path, "new");
    holds(path, "new");
    assert_int_equal(entries(), 1);
    sdx_sink_discard(NULL);
}

static void big_and_small_pieces(void **state) {
    (void)state;
    const char *path = in_folder("big");
    enum { N = 300000 };
    unsigned char *expected = malloc(N), *found = NULL;
    for (int i = 0; i < N; i++) expected[i] = (unsigned char)(i * 7 + i / 251);
    sdx_sink *sink = NULL;
    assert_int_equal(sdx_sink_create(path, &memory, NULL, &sink), SDX_OK);
    size_t at = 0;
    for (size_t step = 1; at < N; step = step * 3 + 1) {
        if (step > N - at) step = N - at;
        assert_int_equal(sdx_sink_write(sink, expected + at, step, NULL), SDX_OK);
        at += step;
    }
    assert_int_equal(sdx_sink_write(sink, NULL, 0, NULL), SDX_OK);
    assert_int_equal(sdx_sink_commit(sink, NULL), SDX_OK);
    size_t size = 0;
    assert_int_equal(sdx_file_read(path, &memory, NULL, &found, &size), SDX_OK);
    assert_int_equal(size, N);
    assert_memory_equal(found, expected, N);
    sdx_memory_free(&memory, found);
    free(expected);
}

static void sinks_refuse(void **state) {
    (void)state;
    sdx_sink *sink = NULL;
    sdx_error error = {0};
    assert_int_equal(sdx_sink_create(in_folder("no/such/file"), &memory, &error, &sink), SDX_IO);
    assert_null(sink);
    error = (sdx_error){0};
    assert_int_equal(sdx_sink_create(folder, &memory, &error, &sink), SDX_IO);
    assert_non_null(strstr(error.message, "is a folder"));
    assert_int_equal(sdx_sink_create("/dev/null", &memory, NULL, &sink), SDX_IO);
    for (int n = 1; n <= 2; n++) {
        atomic_store(&memory.fail_after, n);
        assert_int_equal(sdx_sink_create(in_folder("x"), &memory, NULL, &sink), SDX_OUT_OF_MEMORY);
    }
    assert_int_equal(entries(), 0);
}

static void links_and_rights_stay(void **state) {
    (void)state;
    const char *target = in_folder("target"), *link = in_folder("link");
    put(target, "one");
    assert_int_equal(chmod(target, 0640), 0);
    assert_int_equal(symlink(target, link), 0);
    put(link, "two");
    struct stat about;
    assert_int_equal(lstat(link, &about), 0);
    assert_true(S_ISLNK(about.st_mode));
    assert_int_equal(stat(target, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0640);
    holds(target, "two");
}

static void a_full_disk(void **state) {
    (void)state;
    const char *path = in_folder("out");
    static char bytes[100000];
    put(path, "old");
    struct rlimit limit, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    small = limit;
    small.rlim_cur = 70000;
    signal(SIGXFSZ, SIG_IGN);
    for (int pieces = 1; pieces <= 100000; pieces *= 10) { /* it shows in write, or in commit */
        sdx_sink *sink = NULL;
        sdx_error error = {0};
        assert_int_equal(sdx_sink_create(path, &memory, &error, &sink), SDX_OK);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        sdx_status status = SDX_OK;
        for (int i = 0; i < pieces && !status; i++)
            status = sdx_sink_write(sink, bytes, sizeof bytes / (size_t)pieces, &error);
        if (status)
            sdx_sink_discard(sink);
        else
            status = sdx_sink_commit(sink, &error);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_int_equal(status, SDX_IO);
        assert_non_null(strstr(error.message, "File too large"));
        holds(path, "old");
        assert_int_equal(entries(), 1);
    }
}

static void a_relative_path(void **state) {
    (void)state;
    char before[512];
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir(folder), 0);
    put("here", "text");
    holds("here", "text");
    assert_int_equal(chdir(before), 0);
}

/* A process that ends while it writes `path`; its number, which lives no more. */
static pid_t killed_writer(const char *path) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        sdx_sink *sink = NULL;
        _exit(sdx_sink_create(path, &memory, NULL, &sink) != SDX_OK);
    }
    int how = 0;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_int_equal(how, 0);
    return child;
}

static void make_file(const char *name) {
    FILE *file = fopen(in_folder(name), "w");
    assert_non_null(file);
    fclose(file);
}

/* What a killed writer left goes with the next whole file; everything whose name is not exactly such a one stays. */
static void leftovers_go(void **state) {
    (void)state;
    char path[512];
    snprintf(path, sizeof path, "%s", in_folder("out"));
    pid_t dead = killed_writer(path);
    killed_writer(in_folder("out2"));
    killed_writer(in_folder("an.out"));
    assert_int_equal(entries(), 3);
    sdx_sink *other = NULL, *failed = NULL;
    assert_int_equal(sdx_sink_create(path, &memory, NULL, &other), SDX_OK);
    static const char *const patterns[] = {"out.%ld.tmp",    "out.%ld.1g.tmp", "out.%ld.1.tmp.x", "out.%ld..tmp",
                                           "out.0%ld.1.tmp", "out..%ld.1.tmp", "out.%ldx.1.tmp",  "out.%ld.1"};
    enum { N = sizeof patterns / sizeof patterns[0] };
    char name[64];
    for (int k = 0; k < N; k++) {
        const char *at = strstr(patterns[k], "%ld");
        snprintf(name, sizeof name, "%.*s%ld%s", (int)(at - patterns[k]), patterns[k], (long)dead, at + 3);
        make_file(name);
    }
    snprintf(name, sizeof name, "out.%ld.abc.tmp", (long)dead);
    assert_int_equal(symlink("out2", in_folder(name)), 0);
    snprintf(name, sizeof name, "out.%ld.abd.tmp", (long)dead);
    assert_int_equal(mkdir(in_folder(name), 0700), 0);
    assert_int_equal(sdx_sink_create(path, &memory, NULL, &failed), SDX_OK);
    sdx_sink_discard(failed);
    assert_int_equal(entries(), 3 + 1 + N + 2); /* a file that is given up clears nothing */
    put(path, "whole");
    assert_int_equal(entries(), 1 + 2 + 1 + N + 2); /* `out` came, its leftover went */
    assert_int_equal(sdx_sink_write(other, "later", 5, NULL), SDX_OK);
    assert_int_equal(sdx_sink_commit(other, NULL), SDX_OK);
    holds(path, "later");
}

int main(void) {
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(sources),
        IN_FOLDER(refusals),
        IN_FOLDER(reading_obeys_limits),
        IN_FOLDER(the_old_file_stands),
        IN_FOLDER(big_and_small_pieces),
        IN_FOLDER(sinks_refuse),
        IN_FOLDER(links_and_rights_stay),
        IN_FOLDER(a_relative_path),
        IN_FOLDER(leftovers_go),
        IN_FOLDER(a_full_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
