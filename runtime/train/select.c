/* SPDX-License-Identifier: Apache-2.0
 * Which variables are trained: what `trainable` matches less what `freeze` matches. A pattern without any match is most
 * often a slip, so it is refused and close names are offered. */
#include "runtime/train/prepare.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Edit distance of at most `MOST` characters of each; case counts. */
static int distance(const char *a, const char *b) {
    enum { MOST = 64 };
    int row[MOST + 1];
    int n = (int)strnlen(b, MOST);
    for (int j = 0; j <= n; j++) row[j] = j;
    for (int i = 1; i <= MOST && a[i - 1]; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

enum { OFFERED = 3 };

typedef struct offer {
    const char *name[OFFERED];
    int distance[OFFERED];
    int n;
} offer;

static void consider(offer *o, const char *pattern, const char *name) {
    int d = distance(pattern, name), at = o->n;
    for (int k = 0; k < o->n; k++)
        if (strcmp(o->name[k], name) == 0) return;
    while (at > 0 && o->distance[at - 1] > d) at--;
    if (at == OFFERED) return;
    int last = o->n < OFFERED ? o->n++ : OFFERED - 1;
    for (int k = last; k > at; k--) {
        o->name[k] = o->name[k - 1];
        o->distance[k] = o->distance[k - 1];
    }
    o->name[at] = name;
    o->distance[at] = d;
}

/* "; close names are 'a', 'b'", or "". */
static void close_names(const char *pattern, const char *const *names, int n, char *text, size_t capacity) {
    offer o = {0};
    char name[128];
    size_t used = 0;
    text[0] = '\0';
    for (int k = 0; k < n; k++) consider(&o, pattern, names[k]);
    for (int k = 0; k < o.n && used < capacity; k++)
        used += (size_t)snprintf(text + used, capacity - used, "%s'%s'", k ? ", " : "; close names are ",
                                 sdx_escape(name, sizeof name, o.name[k], strlen(o.name[k])));
}

sdx_status sdx_prepare_no_match(sdx_preparation *p, const char *what, const char *pattern, const char *const *names,
                                int n) {
    char text[600], shown[128];
    close_names(pattern, names, n, text, sizeof text);
    return sdx_fail(p->error, SDX_VALUE, "%s '%s' matches nothing%s", what,
                    sdx_escape(shown, sizeof shown, pattern, strlen(pattern)), text);
}

/* Every pattern without a match, in one message. */
typedef struct unmatched {
    const char **names;
    int n_names;
    char text[800];
    size_t used;
} unmatched;

static void add_unmatched(unmatched *u, const char *what, const char *pattern) {
    char close[300], shown[128];
    close_names(pattern, u->names, u->n_names, close, sizeof close);
    if (u->used + 200 > sizeof u->text) return;
    int n = snprintf(u->text + u->used, sizeof u->text - u->used, "%spattern '%s' of '%s' matches nothing%s",
                     u->used ? "; " : "", sdx_escape(shown, sizeof shown, pattern, strlen(pattern)), what, close);
    u->used += n > 0 ? (size_t)n : 0;
    if (u->used >= sizeof u->text) u->used = sizeof u->text - 1;
}

static sdx_status list_names(sdx_preparation *p, unmatched *u) {
    const sdx_prepared *out = p->out;
    u->names = SDX_NEW_ARRAY(p->arena, const char *, 3 * out->n_variables, p->error);
    if (!u->names) return sdx_prepare_failed(p);
    for (int k = 0; k < out->n_variables; k++) {
        u->names[u->n_names++] = out->variables[k].path;
        u->names[u->n_names++] = out->variables[k].name;
        u->names[u->n_names++] = out->variables[k].node;
    }
    return SDX_OK;
}

/* Sets `trained` of what the patterns match. Running statistics are never trained; matching them alone is allowed, so
 * that "layer1.*" may freeze a normalisation whole. */
static sdx_status apply(sdx_preparation *p, unmatched *u, const char *what, const sdx_patterns *patterns,
                        bool trained) {
    sdx_prepared *out = p->out;
    for (size_t i = 0; i < patterns->n; i++) {
        bool any = false;
        if (!patterns->items[i]) return sdx_fail(p->error, SDX_ARGUMENT, "pattern %zu of '%s' is NULL", i, what);
        for (int k = 0; k < out->n_variables; k++) {
            sdx_variable *variable = &out->variables[k];
            if (!sdx_variable_matches(variable, patterns->items[i])) continue;
            any = true;
            variable->trained = trained && variable->role != SDX_ROLE_STATE;
        }
        if (!any) add_unmatched(u, what, patterns->items[i]);
    }
    return SDX_OK;
}

sdx_status sdx_prepare_select(sdx_preparation *p) {
    static const char *const everything[] = {"*"};
    const sdx_patterns all = {everything, 1};
    const sdx_train_options *options = p->options;
    int trained = 0;
    if (options->evaluate_only) return SDX_OK;
    if (p->out->n_variables == 0) return sdx_fail(p->error, SDX_VALUE, "the model has no parameters");
    unmatched u = {.names = NULL};
    SDX_TRY(list_names(p, &u));
    SDX_TRY(apply(p, &u, "trainable", options->trainable.n ? &options->trainable : &all, true));
    SDX_TRY(apply(p, &u, "freeze", &options->freeze, false));
    if (u.used) return sdx_fail(p->error, SDX_VALUE, "%s", u.text);
    SDX_TRY(sdx_prepare_frozen_norms(p));
    for (int k = 0; k < p->out->n_variables; k++) trained += p->out->variables[k].trained;
    if (!trained) return sdx_fail(p->error, SDX_VALUE, "no parameter is left to train: all are frozen");
    return SDX_OK;
}
