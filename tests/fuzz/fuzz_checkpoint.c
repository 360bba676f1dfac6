/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a safetensors file: refused, or read whole; and nothing is left over. */
#include "runtime/train/safetensors.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    sdx_error error = {0};
    sdx_memory memory;
    sdx_source source;
    sdx_safetensors *file = NULL;
    sdx_memory_init(&memory, (size_t)1 << 26);
    sdx_source_from_memory(bytes, size, &source);
    const sdx_status status = sdx_safetensors_load(&source, &memory, &error, &file);
    if ((status == SDX_OK) != (file != NULL) || (status && !*error.message)) abort();
    sdx_safetensors_free(file);
    if (sdx_memory_used(&memory)) abort();
    return 0;
}
