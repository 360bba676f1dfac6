/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/base/dtype.h"
#include <string.h>

typedef struct row {
    const char *name, *onnx;
    size_t size;
    int bits, class;
} row;

static const row rows[SDX_DTYPE_COUNT] = {[SDX_UNDEFINED] = {"undefined", "undefined", 0, 0, SDX_CLASS_NONE},
#define X(id, name, onnx, size, bits, class) [SDX_##id] = {name, onnx, size, bits, SDX_CLASS_##class},
                                          SDX_DTYPE_MAP(X)
#undef X
};

static const row *row_of(sdx_dtype dtype) { return &rows[(unsigned)dtype < SDX_DTYPE_COUNT ? dtype : SDX_UNDEFINED]; }

bool sdx_dtype_valid(int64_t dtype) { return dtype > SDX_UNDEFINED && dtype < SDX_DTYPE_COUNT; }
const char *sdx_dtype_name(sdx_dtype dtype) { return row_of(dtype)->name; }
const char *sdx_dtype_onnx_name(sdx_dtype dtype) { return row_of(dtype)->onnx; }
size_t sdx_dtype_size(sdx_dtype dtype) { return row_of(dtype)->size; }
int sdx_dtype_bits(sdx_dtype dtype) { return row_of(dtype)->bits; }
int sdx_dtype_class(sdx_dtype dtype) { return row_of(dtype)->class; }

sdx_dtype sdx_dtype_parse(const char *name, size_t size) {
    for (int d = 1; d < SDX_DTYPE_COUNT; d++)
        if (strlen(rows[d].name) == size && memcmp(rows[d].name, name, size) == 0) return (sdx_dtype)d;
    return SDX_UNDEFINED;
}
