/* SPDX-License-Identifier: Apache-2.0
 * Casts between any two element types; shared by Cast and CastLike. */
#ifndef SDX_OPS_CAST_CONVERT_H
#define SDX_OPS_CAST_CONVERT_H
#include "ops/op.h"
#include "runtime/base/half.h"
#include <locale.h>

typedef struct sdx_cast {
    sdx_dtype to;
    bool saturate;       /* f8 types */
    sdx_round_mode mode; /* f8e8m0 */
} sdx_cast;

/* round_mode of the node, where its row has one. */
sdx_round_mode sdx_bind_round_mode(sdx_bind *bind, bool present);

/* Output 0 = input 0 as cast->to. */
sdx_status sdx_cast_compute(sdx_compute *compute, const sdx_cast *cast);

/* n numeric elements, one after the other. x and y may be the same where their types are. */
void sdx_cast_numbers(const struct sdx_kernels *kernels, const sdx_cast *cast, sdx_dtype from, const void *x, void *y,
                      int64_t n);

/* Strings to numbers and back; whole tensors. */
sdx_status sdx_cast_from_text(sdx_compute *compute, const sdx_cast *cast, const sdx_tensor *x, sdx_tensor *y);
sdx_status sdx_cast_to_text(sdx_compute *compute, const sdx_tensor *x, sdx_tensor *y);

/* The decimal point of this thread is '.' between the two. (locale_t)0, with the error set, on failure. */
locale_t sdx_c_locale_enter(locale_t *before, sdx_error *error);
void sdx_c_locale_leave(locale_t plain, locale_t before);

#endif
