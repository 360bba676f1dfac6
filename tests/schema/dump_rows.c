/* SPDX-License-Identifier: Apache-2.0
 * Prints every version row of the registry, as the runtime parses it, as JSON; and how the list of operators is
 * ordered. For tests/schema/test_rows.py. */
#include "ops/registry.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void print_text(const char *text, size_t size) {
    putchar('"');
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < 0x20)
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void print_name(const char *name) { print_text(name, strlen(name)); }

static void print_leaf(const sdx_row_type *type, bool map) {
    if (map)
        printf("map(%s,%s)", sdx_dtype_name(type->key), sdx_dtype_name(type->dtype));
    else
        printf("%s", sdx_dtype_name(type->dtype));
}

static void print_type(const sdx_row_type *type) {
    static const char *const open[] = {"", "", "seq(", "opt(", "", "sparse("};
    bool inner = type->kind == SDX_OPTIONAL && type->of_sequence;
    printf("\"%s%s", open[type->kind], inner ? "seq(" : "");
    print_leaf(type, type->kind == SDX_MAP || type->of_map);
    printf("%s%s\"", open[type->kind][0] ? ")" : "", inner ? ")" : "");
}

static void print_args(const char *key, const sdx_row *row, const sdx_row_arg *args, int n) {
    printf(" \"%s\": [", key);
    for (int k = 0; k < n; k++) {
        const sdx_row_arg *arg = &args[k];
        printf("%s{\"name\": ", k ? ", " : "");
        print_name(arg->name);
        printf(", \"optional\": %s, \"variadic\": %s, \"heterogeneous\": %s, \"least\": %d, \"type\": ",
               arg->optional ? "true" : "false", arg->variadic ? "true" : "false",
               arg->heterogeneous ? "true" : "false", arg->least);
        if (arg->variable < 0)
            print_type(&arg->type);
        else if (arg->wrap)
            printf("\"%s(%s)\"", arg->wrap == SDX_SEQUENCE ? "seq" : "opt", row->variables[arg->variable].name);
        else
            print_name(row->variables[arg->variable].name);
        printf("}");
    }
    printf("],\n");
}

static void print_default(const sdx_attr *attr) {
    switch (attr->type) {
    case SDX_ATTR_INT: printf("%" PRId64, attr->i); break;
    case SDX_ATTR_FLOAT: printf("%.9g", (double)attr->f); break;
    case SDX_ATTR_STRING: print_text(attr->s.data, attr->s.size); break;
    case SDX_ATTR_INTS:
    case SDX_ATTR_FLOATS:
    case SDX_ATTR_STRINGS:
        printf("[");
        for (size_t i = 0; i < attr->n; i++) {
            if (i) printf(", ");
            if (attr->type == SDX_ATTR_INTS)
                printf("%" PRId64, attr->ints[i]);
            else if (attr->type == SDX_ATTR_FLOATS)
                printf("%.9g", (double)attr->floats[i]);
            else
                print_text(attr->strings[i].data, attr->strings[i].size);
        }
        printf("]");
        break;
    case SDX_ATTR_TENSOR:
    case SDX_ATTR_GRAPH:
    case SDX_ATTR_TENSORS:
    case SDX_ATTR_GRAPHS:
    case SDX_ATTR_SPARSE_TENSOR:
    case SDX_ATTR_SPARSE_TENSORS:
    case SDX_ATTR_TYPE:
    case SDX_ATTR_TYPES:
    default: printf("\"a default that no row can state\"");
    }
}

static void print_row(const sdx_op *op, const sdx_row *row) {
    printf("{\"domain\": \"%s\", \"name\": \"%s\", \"since\": %d,\n", op->domain, op->name, row->since);
    print_args("inputs", row, row->in, row->n_in);
    print_args("outputs", row, row->out, row->n_out);
    printf(" \"types\": {");
    for (int v = 0; v < row->n_variables; v++) {
        printf("%s\"%s\": [", v ? ", " : "", row->variables[v].name);
        for (int t = 0; t < row->variables[v].n_types; t++) {
            if (t) printf(", ");
            print_type(&row->variables[v].types[t]);
        }
        printf("]");
    }
    printf("},\n \"attributes\": {");
    for (int a = 0; a < row->n_attrs; a++) {
        const sdx_row_attr *attr = &row->attrs[a];
        printf("%s\"%s\": {\"type\": %d, \"required\": %s, \"default\": ", a ? ", " : "", attr->attr.name,
               (int)attr->attr.type, attr->required ? "true" : "false");
        if (attr->has_default)
            print_default(&attr->attr);
        else
            printf("null");
        printf("}");
    }
    printf("}}");
}

int main(void) {
    sdx_error error = {0};
    sdx_memory memory;
    int bad = 0;
    bool first = true;
    sdx_memory_init(&memory, 0);
    printf("{\"rows\": [\n");
    for (size_t k = 0; k < sdx_ops_count; k++) {
        const sdx_op *op = sdx_ops[k];
        if (op->flags & SDX_OP_INTERNAL) continue;
        for (const sdx_op_version *version = op->versions; version->since; version++) {
            sdx_arena arena;
            const sdx_row *row = NULL;
            sdx_arena_init(&arena, &memory);
            if (sdx_row_parse(version, &arena, &error, &row) != SDX_OK) {
                fprintf(stderr, "%s: %s\n", op->name, error.message);
                error = (sdx_error){0};
                bad++;
            } else {
                if (!first) printf(",\n");
                first = false;
                print_row(op, row);
            }
            sdx_arena_release(&arena);
        }
    }
    printf("],\n\"order\": [");
    for (size_t k = 0; k < sdx_ops_count; k++)
        printf("%s[\"%s\", \"%s\"]", k ? ", " : "", sdx_ops[k]->name, sdx_ops[k]->domain);
    printf("]}\n");
    return bad != 0;
}
