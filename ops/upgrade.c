/* SPDX-License-Identifier: Apache-2.0
 * Structural changes between versions that several operators share. */
#include "ops/op.h"

sdx_status sdx_upgrade_ints(sdx_patch *patch, const sdx_node *node, const char *name) {
    const sdx_attr *attr = sdx_node_attr(node, name);
    if (!attr || attr->type != SDX_ATTR_INTS) return SDX_OK;
    sdx_id in[4];
    int n = 0;
    for (; n < node->n_in && n < 3; n++) in[n] = node->in[n];
    in[n++] = sdx_patch_i64s(patch, attr->ints, attr->n);
    sdx_node *newest = sdx_patch_node(patch, node->domain, node->op_type, n, in, 1);
    sdx_patch_attrs_of(patch, newest, node, &name, 1);
    sdx_patch_replace(patch, node->out[0], newest->out[0]);
    sdx_patch_remove(patch, node);
    return patch->status;
}
