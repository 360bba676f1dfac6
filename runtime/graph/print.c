/* SPDX-License-Identifier: Apache-2.0
 * The graph as text: one line per input, constant and node; bodies indented below their node. */
#include "runtime/graph/graph.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct printer {
    void (*line)(void *context, const char *text);
    void *context;
    size_t used;
    char text[2048];
} printer;

SDX_PRINTF(2, 3) static void put(printer *p, const char *format, ...) {
    size_t room = sizeof p->text - p->used;
    va_list arguments;
    va_start(arguments, format);
    int n = vsnprintf(p->text + p->used, room, format, arguments);
    va_end(arguments);
    if (n > 0) p->used += (size_t)n < room ? (size_t)n : room - 1;
}

static void flush(printer *p) {
    p->line(p->context, p->text);
    p->used = 0;
    p->text[0] = '\0';
}

static void put_name(printer *p, const char *name) {
    char text[256];
    put(p, "%s", sdx_escape(text, sizeof text, name, strlen(name)));
}

static void put_ids(printer *p, const sdx_graph *graph, const sdx_id *ids, int n) {
    for (int k = 0; k < n; k++) {
        if (k) put(p, ", ");
        if (ids[k] == SDX_NONE)
            put(p, "-");
        else
            put_name(p, graph->values[ids[k]].name);
    }
}

static void put_attr(printer *p, const sdx_attr *attr) {
    char text[128];
    put(p, "%s=", attr->name);
    switch (attr->type) {
    case SDX_ATTR_FLOAT: put(p, "%g", (double)attr->f); break;
    case SDX_ATTR_INT: put(p, "%" PRId64, attr->i); break;
    case SDX_ATTR_STRING: put(p, "\"%s\"", sdx_escape(text, sizeof text, attr->s.data, attr->s.size)); break;
    case SDX_ATTR_TENSOR: put(p, "%s", sdx_tensor_text(&attr->value->tensor, text, sizeof text)); break;
    case SDX_ATTR_TYPE: put(p, "%s", sdx_type_text(attr->type_proto, text, sizeof text)); break;
    case SDX_ATTR_GRAPH: put(p, "graph"); break;
    case SDX_ATTR_INTS:
        for (size_t k = 0; k < attr->n && k < 32; k++) put(p, "%s%" PRId64, k ? "," : "[", attr->ints[k]);
        put(p, attr->n == 0 ? "[]" : attr->n > 32 ? ",...]" : "]");
        break;
    case SDX_ATTR_FLOATS:
    case SDX_ATTR_STRINGS:
    case SDX_ATTR_TENSORS:
    case SDX_ATTR_GRAPHS:
    case SDX_ATTR_SPARSE_TENSOR:
    case SDX_ATTR_SPARSE_TENSORS:
    case SDX_ATTR_TYPES: put(p, "<%zu>", attr->n); break;
    }
}

static void put_values(printer *p, const sdx_graph *graph, int indent, const char *what, const sdx_id *ids, int n) {
    char text[256];
    for (int k = 0; k < n; k++) {
        const sdx_graph_value *value = &graph->values[ids[k]];
        put(p, "%*s%s ", indent, "", what);
        put_name(p, value->name);
        put(p, ": %s%s", sdx_type_text(&value->type, text, sizeof text),
            value->is_input && value->constant ? " (default given)" : "");
        flush(p);
    }
}

static void put_node(printer *p, const sdx_graph *graph, const sdx_node *node, int indent) {
    char text[256];
    put(p, "%*s", indent, "");
    put_ids(p, graph, node->out, node->n_out);
    put(p, " = %s%s%s(", node->domain, *node->domain ? "." : "", node->op_type);
    put_ids(p, graph, node->in, node->n_in);
    put(p, ")");
    for (int k = 0; k < node->n_attrs; k++) {
        put(p, k ? ", " : " {");
        put_attr(p, &node->attrs[k]);
    }
    if (node->n_attrs) put(p, "}");
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE)
            put(p, "%s%s", k ? ", " : " -> ", sdx_type_text(&graph->values[node->out[k]].type, text, sizeof text));
    flush(p);
}

/* Bodies nest at most SDX_MAX_BODY_DEPTH deep. */
static void put_graph(printer *p, const sdx_graph *graph, int indent) {
    put(p, "%*sgraph ", indent, "");
    put_name(p, graph->name);
    flush(p);
    indent += 2;
    put_values(p, graph, indent, "input", graph->inputs, graph->n_inputs);
    for (sdx_id id = 0; id < graph->n_values; id++)
        if (graph->values[id].constant && !graph->values[id].is_input) put_values(p, graph, indent, "constant", &id, 1);
    for (int k = 0; k < graph->n_nodes; k++) {
        put_node(p, graph, graph->nodes[k], indent);
        for (int b = 0; b < graph->nodes[k]->n_bodies; b++) put_graph(p, graph->nodes[k]->bodies[b], indent + 2);
    }
    put_values(p, graph, indent, "output", graph->outputs, graph->n_outputs);
}

void sdx_graph_print(const sdx_graph *graph, void (*line)(void *context, const char *text), void *context) {
    printer p = {.line = line, .context = context};
    put_graph(&p, graph, 0);
}

static const char *node_title(const sdx_graph *graph, const sdx_node *node) {
    if (*node->name) return node->name;
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] != SDX_NONE) return graph->values[node->out[k]].name;
    return "";
}

const char *sdx_node_place(const sdx_graph *graph, const sdx_node *node, char *out, size_t capacity) {
    char title[160], type[96];
    const char *name = node_title(graph, node);
    sdx_escape(title, sizeof title, name, strlen(name));
    sdx_escape(type, sizeof type, node->op_type, strlen(node->op_type));
    int n = snprintf(out, capacity, "node '%s' (%s%s%s", title, node->domain, *node->domain ? "." : "", type);
    if (n > 0 && (size_t)n < capacity && node->since)
        n += snprintf(out + n, capacity - (size_t)n, ", opset %d", node->since);
    if (n > 0 && (size_t)n < capacity) snprintf(out + n, capacity - (size_t)n, ")");
    return out;
}
