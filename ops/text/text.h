/* SPDX-License-Identifier: Apache-2.0
 * UTF-8 as the operators on text need it. Bytes that are not UTF-8 stand for themselves. */
#ifndef SDX_OPS_TEXT_H
#define SDX_OPS_TEXT_H
#include "ops/op.h"

/* The code point at text[0] and its length in bytes; (uint32_t)-1 and 1 when the bytes are not UTF-8. size > 0. */
uint32_t sdx_utf8_decode(const char *text, size_t size, size_t *length);

/* The whole string in lower or upper case, each code point by Unicode's simple mapping. Run-lifetime memory; data NULL
 * on failure. */
sdx_string sdx_text_case(sdx_compute *compute, sdx_string text, bool upper);

bool sdx_text_is_space(uint32_t point);
bool sdx_text_equal(sdx_string a, sdx_string b);

#endif
