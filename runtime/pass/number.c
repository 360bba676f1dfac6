/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/half.h"
#include "runtime/pass/pass.h"

bool sdx_pass_number(const sdx_graph *graph, sdx_id id, double *out) {
    const sdx_tensor *tensor = sdx_graph_tensor(graph, id);
    if (!tensor || tensor->count != 1) return false;
    if (tensor->dtype == SDX_F32)
        *out = (double)*(const float *)tensor->data;
    else if (tensor->dtype == SDX_F64)
        *out = *(const double *)tensor->data;
    else if (tensor->dtype == SDX_F16)
        *out = (double)sdx_f32_from_f16(*(const uint16_t *)tensor->data);
    else if (tensor->dtype == SDX_BF16)
        *out = (double)sdx_f32_from_bf16(*(const uint16_t *)tensor->data);
    else
        return false;
    return true;
}
