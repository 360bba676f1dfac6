/* SPDX-License-Identifier: Apache-2.0
 * The error record: first error wins, no allocation. Operators state the fact, the framework adds the place once. */
#ifndef SDX_BASE_STATUS_H
#define SDX_BASE_STATUS_H
#include "sardonyx.h"

#define SDX_PRINTF(text, first) __attribute__((format(printf, text, first)))

/* Records status and text unless `error` already holds a failure; returns the status given. `error` may be NULL. */
SDX_PRINTF(3, 4) sdx_status sdx_fail(sdx_error *error, sdx_status status, const char *format, ...);

/* Puts "place: " before the recorded message; returns the recorded status. */
SDX_PRINTF(2, 3) sdx_status sdx_error_context(sdx_error *error, const char *format, ...);

/* After a call that gave nothing back: what was recorded, or OUT_OF_MEMORY. */
static inline sdx_status sdx_failure(const sdx_error *error) {
    return error && error->status != SDX_OK ? error->status : SDX_OUT_OF_MEMORY;
}

/* Copies `size` bytes of a model's name to `out` with control bytes and invalid UTF-8 as \xNN, cut to capacity
 * with "..." when longer. Returns out. */
const char *sdx_escape(char *out, size_t capacity, const char *text, size_t size);

#define SDX_TRY(call)                                                                                                  \
    do {                                                                                                               \
        sdx_status sdx_try_status_ = (call);                                                                           \
        if (sdx_try_status_ != SDX_OK) return sdx_try_status_;                                                         \
    } while (0)

#endif
