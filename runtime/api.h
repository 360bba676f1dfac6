/* SPDX-License-Identifier: Apache-2.0
 * Checks that every public function begins with. */
#ifndef SDX_API_H
#define SDX_API_H
#include "runtime/base/status.h"

/* Copies the struct at `given`, which begins with its size, over the defaults at `into`. Callers compiled against an
 * older header give fewer members; those they lack keep their defaults. NULL: all of them. */
sdx_status sdx_read_options(const void *given, const char *what, size_t known, void *into, sdx_error *error);
/* SDX_ARGUMENT when the pointer is NULL. */
sdx_status sdx_need(const void *pointer, const char *name, sdx_error *error);

/* The folder of `path`, "." where it names none. To free. */
char *sdx_folder_of(const char *path, sdx_error *error);

#endif
