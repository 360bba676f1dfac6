/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/status.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *sdx_status_text(sdx_status status) {
    static const char *const texts[] = {
#define X(id, text) [SDX_##id] = text,
        SDX_STATUS_MAP(X)
#undef X
    };
    return (unsigned)status < SDX_STATUS_COUNT ? texts[status] : "unknown status";
}

sdx_status sdx_fail(sdx_error *error, sdx_status status, const char *format, ...) {
    if (!error || error->status != SDX_OK) return status;
    error->status = status;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return status;
}

sdx_status sdx_error_context(sdx_error *error, const char *format, ...) {
    if (!error) return SDX_OK;
    char tail[sizeof error->message];
    memcpy(tail, error->message, sizeof tail);
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    if (n >= 0 && (size_t)n + 2 < sizeof error->message) {
        size_t used = (size_t)n, room = sizeof error->message - used - 3;
        memcpy(error->message + used, ": ", 2);
        size_t length = strnlen(tail, room);
        memcpy(error->message + used + 2, tail, length);
        error->message[used + 2 + length] = '\0';
    }
    return error->status;
}

/* Bytes of the well-formed UTF-8 character at s; 0 when there is none (overlong forms and surrogates are none). */
static int utf8_length(const unsigned char *s, size_t left) {
    int n = s[0] < 0x80 ? 1 : (s[0] & 0xe0) == 0xc0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : (s[0] & 0xf8) == 0xf0 ? 4 : 0;
    if (n == 0 || (size_t)n > left) return 0;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t code = n == 1 ? s[0] : s[0] & (0x7fU >> n);
    for (int i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (s[i] & 0x3f);
    }
    return code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ? 0 : n;
}

const char *sdx_escape(char *out, size_t capacity, const char *text, size_t size) {
    const unsigned char *s = (const unsigned char *)text;
    size_t used = 0, i = 0;
    while (i < size) {
        int n = utf8_length(s + i, size - i);
        bool plain = n > 0 && s[i] >= 0x20 && s[i] != 0x7f;
        size_t need = plain ? (size_t)n : 4;
        if (used + need + 4 > capacity) {
            snprintf(out + used, capacity - used, "...");
            return out;
        }
        if (plain) {
            memcpy(out + used, s + i, (size_t)n);
            i += (size_t)n;
        } else {
            snprintf(out + used, 5, "\\x%02x", s[i]);
            i++;
        }
        used += need;
    }
    out[used] = '\0';
    return out;
}
