/* SPDX-License-Identifier: Apache-2.0
 * What differs: \s and \S (no vertical tab in RE2), \v (the vertical tab alone), octal escapes, braces that are no
 * repetition. What RE2 has not: backreferences, lookaround, atomic groups, possessive repetition, verbs, comments. */
#include "ops/text/regex_syntax.h"
#include <string.h>

enum { MOST_REPEATS = 1000 }; /* RE2's own limit */

static bool refuse(sdx_regex_syntax *s, const char *why) {
    if (!s->why) s->why = why;
    return false;
}

static char peek(const sdx_regex_syntax *s, size_t ahead) {
    return s->size - s->at > ahead ? s->text[s->at + ahead] : '\0';
}

static bool put(sdx_regex_syntax *s, const char *text) {
    size_t size = strlen(text);
    memcpy(s->out + s->used, text, size);
    s->used += size;
    return true;
}

/* The next n bytes as they are. */
static bool copy(sdx_regex_syntax *s, size_t n) {
    memcpy(s->out + s->used, s->text + s->at, n);
    s->used += n;
    s->at += n;
    return true;
}

static bool is_octal(char c) { return c >= '0' && c <= '7'; }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

static bool put_point(sdx_regex_syntax *s, uint32_t point) {
    static const char digits[] = "0123456789abcdef";
    char text[] = "\\x{000000}";
    if (point > 0x10ffff) return refuse(s, "a code point is at most 10ffff");
    for (int i = 8; i > 2; i--, point >>= 4) text[i] = digits[point & 15];
    return put(s, text);
}

static int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* \x41 or \x{1F600}; at the x. */
static bool hexadecimal(sdx_regex_syntax *s) {
    bool braces = peek(s, 1) == '{';
    size_t digits = 0;
    uint32_t point = 0;
    s->at += braces ? 2 : 1;
    for (; hex_value(peek(s, 0)) >= 0 && digits < (braces ? 8 : 2); digits++, s->at++)
        point = point << 4 | (uint32_t)hex_value(peek(s, 0));
    if (braces ? digits == 0 || peek(s, 0) != '}' : digits != 2) return refuse(s, "bad hexadecimal escape");
    s->at += braces;
    return put_point(s, point);
}

/* \0, \012, \123; a single digit other than 0 would be a backreference. */
static bool octal(sdx_regex_syntax *s) {
    uint32_t point = 0;
    if (peek(s, 0) != '0' && (!is_octal(peek(s, 0)) || !is_octal(peek(s, 1))))
        return refuse(s, "backreferences are not supported");
    for (int n = 0; n < 3 && is_octal(peek(s, 0)); n++, s->at++) point = point * 8 + (uint32_t)(peek(s, 0) - '0');
    return put_point(s, point);
}

/* \pL or \p{Greek}; at the p. */
static bool property(sdx_regex_syntax *s) {
    size_t n = 2;
    if (s->size - s->at < 2) return refuse(s, "a property has a name");
    if (peek(s, 1) == '{') {
        const char *end = memchr(s->text + s->at, '}', s->size - s->at);
        if (!end) return refuse(s, "missing }");
        n = (size_t)(end - (s->text + s->at)) + 1;
    }
    put(s, "\\");
    return copy(s, n);
}

static bool quoted(sdx_regex_syntax *s) {
    const char *from = s->text + s->at, *end = memmem(from, s->size - s->at, "\\E", 2);
    put(s, "\\");
    return end ? copy(s, (size_t)(end - from) + 2) : copy(s, s->size - s->at);
}

static bool white_space(sdx_regex_syntax *s, bool in_class) {
    bool others = peek(s, 0) == 'S';
    s->at++;
    if (!in_class) return put(s, others ? "[^\\t\\n\\f\\r ]" : "[\\t\\n\\f\\r ]");
    return put(s, others ? "\\x00-\\x08\\x0b\\x0e-\\x1f!-\\x{10ffff}" : "\\t\\n\\f\\r ");
}

static bool escape(sdx_regex_syntax *s, bool in_class) {
    s->at++;
    if (s->at == s->size) return refuse(s, "a backslash at the end");
    char c = peek(s, 0);
    if (is_digit(c)) return octal(s);
    if (c == 'x') return hexadecimal(s);
    if (c == 'p' || c == 'P') return property(s);
    if (c == 's' || c == 'S') return white_space(s, in_class);
    if (c == 'Q' && !in_class) return quoted(s);
    if (c == 'v') {
        s->at++;
        return put(s, "\\x0b");
    }
    if (is_letter(c) ? !strchr(in_class ? "afnrtdDwW" : "afnrtdDwWbBAz", c) : (unsigned char)c >= 0x80)
        return refuse(s, "unknown escape");
    bool place = c && !in_class && strchr("bBAz", c); /* PCRE2 repeats groups, but no places */
    put(s, place ? "(?:\\" : "\\");
    copy(s, 1);
    return put(s, place ? ")" : "");
}

/* [:alpha:] or [:^alpha:] at a bracket inside a class; 0: it is a bracket only. */
static size_t named_class(const sdx_regex_syntax *s) {
    if (peek(s, 1) != ':') return 0;
    size_t n = peek(s, 2) == '^' ? 3 : 2;
    while (is_letter(peek(s, n))) n++;
    return peek(s, n) == ':' && peek(s, n + 1) == ']' ? n + 2 : 0;
}

static bool class(sdx_regex_syntax *s) {
    copy(s, 1);
    if (peek(s, 0) == '^') copy(s, 1);
    if (peek(s, 0) == ':' || peek(s, 0) == '.' || peek(s, 0) == '=') put(s, "\\"); /* no name of a class */
    for (bool first = true; s->at < s->size; first = false) {
        char c = peek(s, 0);
        if (c == ']' && !first) return copy(s, 1);
        if (c == '\\') {
            if (!escape(s, true)) return false;
        } else if (c == '[' && named_class(s)) {
            copy(s, named_class(s));
        } else {
            if (c == '[') put(s, "\\");
            copy(s, 1);
        }
    }
    return refuse(s, "missing ]");
}

/* Skips `<name>`, whose first byte is at `from`: what a group is called does not matter. */
static bool named_group(sdx_regex_syntax *s, size_t from) {
    size_t n = from + 1;
    while (is_letter(peek(s, n)) || is_digit(peek(s, n)) || peek(s, n) == '_') n++;
    if (n == from + 1 || peek(s, n) != '>') return refuse(s, "bad name of a group");
    s->at += n + 1;
    return put(s, "?:");
}

static size_t flags(const sdx_regex_syntax *s, size_t from) {
    size_t n = 0;
    while (peek(s, from + n) && strchr("imsU", peek(s, from + n))) n++;
    return n;
}

static bool group(sdx_regex_syntax *s) {
    s->depth++;
    copy(s, 1);
    if (peek(s, 0) == '*') return refuse(s, "nothing to repeat");
    if (peek(s, 0) != '?') return true;
    size_t n = peek(s, 1) == 'P' && peek(s, 2) == '<' ? 2 : 1;
    if (peek(s, n) == '<' && peek(s, n + 1) != '=' && peek(s, n + 1) != '!') return named_group(s, n);
    if (peek(s, 1) == '=' || peek(s, 1) == '!' || peek(s, 1) == '<') return refuse(s, "lookaround is not supported");
    n += flags(s, n);
    if (peek(s, n) == '-') {
        if (flags(s, n + 1) == 0) return refuse(s, "missing flag");
        n += 1 + flags(s, n + 1);
    }
    if (peek(s, n) != ':' && peek(s, n) != ')') return refuse(s, "unknown kind of group");
    return copy(s, peek(s, n) == ':' ? n + 1 : n);
}

/* Length of {n}, {n,} or {n,m}; 0: the brace stands for itself. Sets the larger bound. */
static size_t braces(const sdx_regex_syntax *s, int *least, int *most) {
    size_t n = 1;
    int bound[2] = {0, 0}, count = 0;
    for (; count < 2; count++) {
        if (count == 1 && peek(s, n) == '}') break;
        if (!is_digit(peek(s, n))) return 0;
        for (; is_digit(peek(s, n)); n++)
            if (bound[count] <= MOST_REPEATS) bound[count] = bound[count] * 10 + (peek(s, n) - '0');
        if (count == 0 && peek(s, n) != ',') break;
        n += count == 0;
    }
    *least = bound[0];
    *most = count == 2 ? bound[1] : bound[0];
    return peek(s, n) == '}' ? n + 1 : 0;
}

static size_t repetition(sdx_regex_syntax *s) {
    int least = 0, most = 0;
    char c = peek(s, 0);
    size_t n = c == '*' || c == '+' || c == '?' ? 1 : c == '{' ? braces(s, &least, &most) : 0;
    if (least > MOST_REPEATS || most > MOST_REPEATS)
        refuse(s, "more than 1000 repetitions");
    else if (least > most)
        refuse(s, "the first bound of a repetition exceeds the second");
    return n;
}

static bool step(sdx_regex_syntax *s) {
    size_t repeated = repetition(s);
    if (s->why) return false;
    if (repeated) {
        copy(s, repeated);
        if (peek(s, 0) == '?') copy(s, 1);
        return repetition(s) == 0 || refuse(s, "a repetition of a repetition");
    }
    switch (peek(s, 0)) {
    case '\\': return escape(s, false);
    case '[': return class(s);
    case '(': return group(s);
    case ')':
        if (s->depth-- == 0) return refuse(s, "missing (");
        return copy(s, 1);
    case '^':
    case '$':
        put(s, "(?:");
        copy(s, 1);
        return put(s, ")");
    case '{': put(s, "\\"); return copy(s, 1);
    default: return copy(s, 1);
    }
}

bool sdx_regex_rewrite(sdx_regex_syntax *syntax) {
    put(syntax, "(?:");
    while (syntax->at < syntax->size)
        if (!step(syntax)) return false;
    if (syntax->depth) return refuse(syntax, "missing )");
    return put(syntax, ")\\z");
}
