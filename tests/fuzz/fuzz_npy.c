/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as .npy data, the first one saying which element type is wanted: what is read can be written and read
 * again, and is then the same. */
#include "tools/cli.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool good) {
    if (!good) abort();
}

static void read_again(const sdx_value *first) {
    sdx_error error = {0};
    unsigned char *file = NULL;
    size_t size = 0;
    sdx_value *second = NULL;
    const sdx_tensor *a = &first->tensor;
    require(cli_npy_format(a, &error, &file, &size) == SDX_OK);
    require(cli_npy_parse(file, size, a->dtype, &error, &second) == SDX_OK);
    const sdx_tensor *b = &second->tensor;
    require(a->dtype == b->dtype && a->rank == b->rank && memcmp(a->dim, b->dim, sizeof a->dim) == 0);
    if (a->dtype != SDX_STRING && a->count) require(memcmp(a->data, b->data, sdx_tensor_bytes(a)) == 0);
    sdx_value_release(second);
    sdx_memory_free(cli_memory(), file);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    sdx_error error = {0};
    sdx_value *value = NULL;
    if (size == 0) return 0;
    if (cli_npy_parse(bytes + 1, size - 1, (sdx_dtype)(bytes[0] % SDX_DTYPE_COUNT), &error, &value) == SDX_OK)
        read_again(value);
    sdx_value_release(value);
    return 0;
}
