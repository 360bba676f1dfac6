/* SPDX-License-Identifier: Apache-2.0
 * The getters of sdx_bind: the node's attribute, else the row's default, else nothing. Types were checked against the
 * row before bind runs. */
#include "ops/registry.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

sdx_status sdx_bind_fail(sdx_bind *bind, sdx_status status, const char *format, ...) {
    if (bind->status != SDX_OK) return bind->status;
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    bind->status = status;
    return sdx_fail(bind->error, status, "%s", text);
}

/* NULL when the attribute is absent and has no default. */
static const sdx_attr *lookup(sdx_bind *bind, const char *name, sdx_attr_type type) {
    const sdx_row_attr *row = sdx_row_attr_of(bind->node->row, name);
    if (!row || row->attr.type != type) {
        sdx_bind_fail(bind, SDX_MALFORMED, "operator asks for attribute '%s', which version %d %s", name, bind->since,
                      row ? "has with another type" : "does not have");
        return NULL;
    }
    const sdx_attr *attr = sdx_node_attr(bind->node, name);
    if (attr && attr->type != type) {
        sdx_bind_fail(bind, SDX_TYPE, "attribute '%s' has the wrong type", name);
        return NULL;
    }
    return attr ? attr : row->has_default ? &row->attr : NULL;
}

int64_t sdx_bind_int(sdx_bind *bind, const char *name) {
    const sdx_attr *attr = lookup(bind, name, SDX_ATTR_INT);
    return attr ? attr->i : 0;
}

float sdx_bind_float(sdx_bind *bind, const char *name) {
    const sdx_attr *attr = lookup(bind, name, SDX_ATTR_FLOAT);
    return attr ? attr->f : 0;
}

sdx_string sdx_bind_string(sdx_bind *bind, const char *name) {
    const sdx_attr *attr = lookup(bind, name, SDX_ATTR_STRING);
    return attr ? attr->s : (sdx_string){"", 0};
}

sdx_ints sdx_bind_ints(sdx_bind *bind, const char *name) {
    const sdx_attr *attr = lookup(bind, name, SDX_ATTR_INTS);
    return attr ? (sdx_ints){attr->ints, attr->n} : (sdx_ints){NULL, 0};
}

const float *sdx_bind_floats(sdx_bind *bind, const char *name, size_t *n) {
    const sdx_attr *attr = lookup(bind, name, SDX_ATTR_FLOATS);
    *n = attr ? attr->n : 0;
    return attr ? attr->floats : NULL;
}

const sdx_string *sdx_bind_strings(sdx_bind *bind, const char *name, size_t *n) {
    const sdx_attr *attr = lookup(bind, name, SDX_ATTR_STRINGS);
    *n = attr ? attr->n : 0;
    return attr ? attr->strings : NULL;
}

sdx_value *sdx_bind_value(sdx_bind *bind, const char *name) {
    const sdx_row_attr *row = sdx_row_attr_of(bind->node->row, name);
    bool sparse = row && row->attr.type == SDX_ATTR_SPARSE_TENSOR;
    const sdx_attr *attr = lookup(bind, name, sparse ? SDX_ATTR_SPARSE_TENSOR : SDX_ATTR_TENSOR);
    return attr ? attr->value : NULL;
}

const sdx_type *sdx_bind_type(sdx_bind *bind, const char *name) {
    const sdx_attr *attr = lookup(bind, name, SDX_ATTR_TYPE);
    return attr ? attr->type_proto : NULL;
}

int sdx_bind_body(sdx_bind *bind, const char *name) {
    const sdx_attr *attr = lookup(bind, name, SDX_ATTR_GRAPH);
    if (!attr) return -1;
    for (int k = 0; k < bind->node->n_bodies; k++)
        if (bind->node->bodies[k] == attr->graph) return k;
    return -1;
}

bool sdx_bind_has(const sdx_bind *bind, const char *name) { return sdx_node_attr(bind->node, name) != NULL; }

int sdx_bind_choice(sdx_bind *bind, const char *name, const char *const *allowed, int n) {
    const sdx_attr *attr = lookup(bind, name, SDX_ATTR_STRING);
    if (!attr) return -1;
    for (int k = 0; k < n; k++)
        if (strlen(allowed[k]) == attr->s.size && memcmp(allowed[k], attr->s.data, attr->s.size) == 0) return k;
    char found[96], list[320];
    int used = 0;
    list[0] = '\0';
    for (int k = 0; k < n && used < (int)sizeof list; k++)
        used += snprintf(list + used, sizeof list - (size_t)used, "%s'%s'",
                         !k          ? ""
                         : k + 1 < n ? ", "
                                     : " or ",
                         allowed[k]);
    sdx_bind_fail(bind, SDX_VALUE, "attribute '%s' is '%s'; it must be %s", name,
                  sdx_escape(found, sizeof found, attr->s.data, attr->s.size), list);
    return -1;
}
