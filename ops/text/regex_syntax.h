/* SPDX-License-Identifier: Apache-2.0
 * Patterns in the syntax of RE2, rewritten in that of PCRE2. */
#ifndef SDX_OPS_TEXT_REGEX_SYNTAX_H
#define SDX_OPS_TEXT_REGEX_SYNTAX_H
#include "ops/op.h"

/* Bytes of the rewritten pattern per byte of the given one, and of what is put around it, at most. */
enum { SDX_REGEX_GROWTH = 24, SDX_REGEX_FRAME = 8 };

typedef struct sdx_regex_syntax {
    const char *text;
    size_t size, at;    /* when it fails: where */
    char *out;          /* [SDX_REGEX_GROWTH * size + SDX_REGEX_FRAME] */
    size_t used, depth; /* of groups */
    const char *why;    /* NULL: nothing wrong was seen; PCRE2 checks what is left */
} sdx_regex_syntax;

/* Rewrites what the two spell differently, refuses what only PCRE2 knows, and asks for the end of the string after
 * what matches. False with `why`. */
bool sdx_regex_rewrite(sdx_regex_syntax *syntax);

#endif
