/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a model: loaded under limits and, when they make a model whose inputs are small, run once. */
#include <sardonyx.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

enum { MOST_INPUTS = 8 };
#define LIMIT ((size_t)64 << 20)

/* A zeroed tensor of the declared shape, unknown dims taken as 2; NULL when it is no tensor or too large. */
static sdx_value *input_for(const sdx_value_info *info) {
    int64_t dims[SDX_MAX_RANK] = {0}, count = 1;
    sdx_value *value = NULL;
    if (info->kind != SDX_TENSOR || info->rank > SDX_MAX_RANK) return NULL;
    for (int d = 0; d < info->rank; d++) {
        dims[d] = info->dims[d] < 0 ? 2 : info->dims[d];
        if (dims[d] > 4096 || (count *= dims[d] ? dims[d] : 1) > 65536) return NULL;
    }
    sdx_value_create(info->dtype, info->rank < 0 ? 0 : info->rank, dims, NULL, &value);
    return value;
}

static void run_once(const sdx_model *model) {
    sdx_binding in[MOST_INPUTS] = {{0}}, out[1] = {{0}};
    size_t n = sdx_model_input_count(model), given = 0;
    sdx_session *session = NULL;
    sdx_session_options options = {.size = sizeof options, .threads = 1, .memory_limit = LIMIT, .seed = 1};
    if (n > MOST_INPUTS || sdx_model_output_count(model) == 0) return;
    for (; given < n; given++) {
        in[given] = (sdx_binding){sdx_model_input(model, given)->name, input_for(sdx_model_input(model, given))};
        if (!in[given].value) break;
    }
    out[0].name = sdx_model_output(model, 0)->name;
    sdx_run_options run = {.size = sizeof run, .deadline = 0.5};
    if (given == n && sdx_session_create(model, &options, NULL, &session) == SDX_OK)
        sdx_session_run_with(session, &run, in, n, out, 1, NULL);
    for (size_t k = 0; k < given; k++) sdx_value_release(in[k].value);
    sdx_value_release(out[0].value);
    sdx_session_destroy(session);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    sdx_model_options options = {.size = sizeof options, .memory_limit = LIMIT, .threads = 1};
    sdx_error error = {0};
    sdx_model *model = NULL;
    if (sdx_model_from_memory(bytes, size, &options, &error, &model) == SDX_OK) run_once(model);
    sdx_model_close(model);
    return 0;
}
