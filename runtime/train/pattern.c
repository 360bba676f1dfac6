/* SPDX-License-Identifier: Apache-2.0
 * Globs: `*` any run, `?` one character, `[abc]`, `[a-z]`, `[!a]` sets. A '[' without its ']' stands for itself. One
 * star is remembered at a time, which is enough: work is at most pattern times text. */
#include "runtime/train/prepare.h"
#include <string.h>

/* The end of the set that begins at `at` ('['), or NULL; *hit: `c` is in it. */
static const char *match_set(const char *at, char c, bool *hit) {
    const char *p = at + 1;
    bool negated = *p == '!' || *p == '^';
    if (negated) p++;
    *hit = false;
    for (const char *first = p; *p && (*p != ']' || p == first); p++) {
        if (p[1] == '-' && p[2] && p[2] != ']') {
            *hit |= (unsigned char)c >= (unsigned char)p[0] && (unsigned char)c <= (unsigned char)p[2];
            p += 2;
        } else {
            *hit |= *p == c;
        }
    }
    if (*p != ']') return NULL;
    *hit = *hit != negated;
    return p + 1;
}

/* Where the pattern goes on after one character of text; NULL: no match. */
static const char *match_one(const char *pattern, char c) {
    bool hit = false;
    const char *end = *pattern == '[' ? match_set(pattern, c, &hit) : NULL;
    if (end) return hit ? end : NULL;
    return *pattern && (*pattern == '?' || *pattern == c) ? pattern + 1 : NULL;
}

bool sdx_pattern_matches(const char *pattern, const char *text) {
    const char *star = NULL, *resume = NULL;
    while (*text) {
        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
            continue;
        }
        const char *next = match_one(pattern, *text);
        if (next) {
            pattern = next;
            text++;
        } else if (star) {
            pattern = star;
            text = ++resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*') pattern++;
    return *pattern == '\0';
}

bool sdx_variable_matches(const sdx_variable *variable, const char *pattern) {
    return sdx_pattern_matches(pattern, variable->name) || sdx_pattern_matches(pattern, variable->path) ||
           sdx_pattern_matches(pattern, variable->node);
}

bool sdx_node_matches(const sdx_graph *graph, const sdx_node *node, const char *pattern) {
    char module[512];
    if (*node->name && sdx_pattern_matches(pattern, node->name)) return true;
    for (int k = 0; k < node->n_out && k < 1; k++)
        if (node->out[k] != SDX_NONE && sdx_pattern_matches(pattern, graph->values[node->out[k]].name)) return true;
    return sdx_node_module(node, module, sizeof module) && *module && sdx_pattern_matches(pattern, module);
}
