/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a picture file, decoded under a memory limit. */
#include <sardonyx.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define LIMIT ((size_t)64 << 20)

/* A model of one ImageDecoder from `x` to `y`. */
static const char file[] =
    "\x08\x0a\x12\x00\x3a\x33\x0a\x14\x0a\x01\x78\x12\x01\x79\x22\x0c\x49\x6d\x61\x67\x65\x44\x65\x63\x6f\x64"
    "\x65\x72\x12\x01\x67\x5a\x0d\x0a\x01\x78\x12\x08\x0a\x06\x08\x02\x12\x02\x0a\x00\x62\x09\x0a\x01\x79\x12"
    "\x04\x0a\x02\x08\x02\x42\x04\x0a\x00\x10\x14";

static sdx_session *session;

static void require(bool good) {
    if (!good) abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    sdx_session_options options = {.size = sizeof options, .threads = 1, .memory_limit = LIMIT};
    sdx_model *model = NULL;
    require(sdx_model_from_memory(file, sizeof file - 1, NULL, NULL, &model) == SDX_OK);
    require(sdx_session_create(model, &options, NULL, &session) == SDX_OK);
    sdx_model_close(model);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    const int64_t dims[] = {(int64_t)size};
    sdx_binding in = {"x", NULL}, out = {"y", NULL};
    sdx_run_options run = {.size = sizeof run, .deadline = 2};
    require(sdx_value_borrow(SDX_U8, 1, dims, (void *)(uintptr_t)bytes, NULL, &in.value) == SDX_OK);
    sdx_status status = sdx_session_run_with(session, &run, &in, 1, &out, 1, NULL);
    require(status == SDX_OK || status == SDX_LIMIT || status == SDX_OUT_OF_MEMORY || status == SDX_DEADLINE);
    sdx_value_release(in.value);
    sdx_value_release(out.value);
    return 0;
}
