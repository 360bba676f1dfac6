/* SPDX-License-Identifier: Apache-2.0
 * Attributes of a case: the grammar of the operators' rows, parsed by the same code, and tensors on top. */
#include "tests/ops/harness/harness.h"
#include <stdio.h>
#include <string.h>

static bool add_tensor(stage *s, const char *name, size_t size, const char **text) {
    arg tensor;
    if (!parse_tensor(s, text, &tensor)) return false;
    s->attrs[s->n_attrs++] = (sdx_attr){
        .name = sdx_arena_copy(&s->arena, name, size, NULL), .type = SDX_ATTR_TENSOR, .n = 1, .value = tensor.value};
    return true;
}

bool parse_attributes(stage *s) {
    const char *text = s->a_case->attributes ? s->a_case->attributes : "";
    char *rest = SDX_NEW_ARRAY(&s->arena, char, strlen(text) + 2, NULL);
    while (*(text += strspn(text, " "))) {
        size_t n = strcspn(text, " "), name = strcspn(text, ":");
        if (strncmp(text + name, ":tensor=", 8) == 0) {
            const char *value = text + name + 8;
            if (!add_tensor(s, text, name, &value)) return false;
            text = value;
            continue;
        }
        strncat(rest, text, n);
        strcat(rest, " ");
        text += n;
    }
    if (!*rest) return true;
    rest[strlen(rest) - 1] = '\0';
    sdx_op_version version = {1, "X:T -> Y:T", "T=f32", rest};
    const sdx_row *row;
    sdx_error error = {0};
    if (sdx_row_parse(&version, &s->arena, &error, &row) != SDX_OK)
        return say("%s: attributes: %s\n", s->label, error.message), false;
    for (int k = 0; k < row->n_attrs && s->n_attrs < MAX_ARGS; k++) s->attrs[s->n_attrs++] = row->attrs[k].attr;
    return true;
}

/* ---- for references ------------------------------------------------------------------------------------------ */

static stage *stage_of(const sdx_case_run *run) {
    union {
        const void *in;
        stage *out;
    } cast = {run->context};
    return cast.out;
}

static const sdx_attr *find(const sdx_case_run *run, const char *name) {
    const stage *s = stage_of(run);
    for (int k = 0; k < s->n_attrs; k++)
        if (strcmp(s->attrs[k].name, name) == 0) return &s->attrs[k];
    return NULL;
}

int64_t sdx_case_int(const sdx_case_run *run, const char *name, int64_t otherwise) {
    const sdx_attr *attr = find(run, name);
    return attr ? attr->i : otherwise;
}

double sdx_case_float(const sdx_case_run *run, const char *name, double otherwise) {
    const sdx_attr *attr = find(run, name);
    return (double)(attr ? attr->f : (float)otherwise);
}

const char *sdx_case_string(const sdx_case_run *run, const char *name, const char *otherwise) {
    const sdx_attr *attr = find(run, name);
    return attr ? sdx_arena_copy(&stage_of(run)->arena, attr->s.data, attr->s.size, NULL) : otherwise;
}

int sdx_case_ints(const sdx_case_run *run, const char *name, int64_t *values, int most) {
    const sdx_attr *attr = find(run, name);
    if (!attr) return -1;
    for (size_t k = 0; k < attr->n && k < (size_t)most; k++) values[k] = attr->ints[k];
    return (int)attr->n;
}

const char *sdx_case_strings(const sdx_case_run *run, const char *name, int k) {
    const sdx_attr *attr = find(run, name);
    if (!attr || (size_t)k >= attr->n) return NULL;
    return sdx_arena_copy(&stage_of(run)->arena, attr->strings[k].data, attr->strings[k].size, NULL);
}

double sdx_case_floats(const sdx_case_run *run, const char *name, int k, double otherwise) {
    const sdx_attr *attr = find(run, name);
    return (double)(attr && (size_t)k < attr->n ? attr->floats[k] : (float)otherwise);
}

double *sdx_case_output(sdx_case_run *run, int k, int rank, const int64_t *dims) {
    sdx_ref *out = &run->out[k];
    stage *s = (stage *)stage_of(run);
    ref_shape(s, out, rank, dims);
    out->s = SDX_NEW_ARRAY(&s->arena, sdx_string, out->count + 1, NULL); /* for references that move strings */
    return out->v;
}

double *sdx_case_output_like(sdx_case_run *run, int k, int in) {
    return sdx_case_output(run, k, run->in[in].rank, run->in[in].dim);
}

int64_t sdx_ref_broadcast(const sdx_ref *in, const sdx_ref *out, int64_t index) {
    int64_t offset = 0, stride = 1;
    for (int d = out->rank - 1, e = in->rank - 1; e >= 0; d--, e--) {
        int64_t at = index % out->dim[d];
        index /= out->dim[d];
        if (in->dim[e] != 1) offset += at * stride;
        stride *= in->dim[e];
    }
    return offset;
}

int64_t sdx_ref_extent(const sdx_ref *ref, int from, int to) {
    int64_t product = 1;
    for (int d = from; d < to; d++) product *= ref->dim[d];
    return product;
}
