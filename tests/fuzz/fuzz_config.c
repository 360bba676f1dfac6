/* SPDX-License-Identifier: Apache-2.0
 * Any bytes as a training configuration: what is accepted prints as a text that is accepted and prints the same. */
#include "runtime/train/train.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void require(bool good) {
    if (!good) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    sdx_error error = {0};
    sdx_train_config *config = NULL, *again = NULL;
    char *first = NULL, *second = NULL;
    if (sdx_train_config_parse((const char *)bytes, size, &error, &config) != SDX_OK) {
        require(*error.message && !config);
        return 0;
    }
    require(sdx_train_config_print(sdx_train_config_options(config), &error, &first) == SDX_OK);
    require(sdx_train_config_parse(first, strlen(first), &error, &again) == SDX_OK);
    require(sdx_train_config_print(sdx_train_config_options(again), &error, &second) == SDX_OK);
    require(strcmp(first, second) == 0);
    free(first), free(second);
    sdx_train_config_free(config), sdx_train_config_free(again);
    return 0;
}
