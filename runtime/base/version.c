/* SPDX-License-Identifier: Apache-2.0 */
#include "sardonyx.h"
#include <stdlib.h>

#define TEXT(x)                     #x
#define DOTTED(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

const char *sdx_version(void) { return DOTTED(SDX_VERSION_MAJOR, SDX_VERSION_MINOR, SDX_VERSION_PATCH); }

void sdx_free(void *memory) { free(memory); }
