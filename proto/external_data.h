/* SPDX-License-Identifier: Apache-2.0
 * Tensor bytes in files beside the model. Only regular files below the base folder are opened; links, wherever they
 * point, are refused unless allowed, and then they may not lead out of the folder. */
#ifndef SDX_PROTO_EXTERNAL_DATA_H
#define SDX_PROTO_EXTERNAL_DATA_H
#include "proto/onnx.pb-c.h"
#include "runtime/base/io.h"

enum { SDX_EXTERNAL_OPEN = 16 }; /* files kept open at a time */

typedef struct sdx_external {
    const char *base_folder; /* borrowed; NULL: there is none */
    bool allow_links;
    bool portable; /* do without openat2 */
    int folder;    /* of base_folder; -1: not opened yet */
    unsigned n_open, oldest;
    struct {
        const char *location; /* borrowed from the message */
        sdx_source source;
    } open[SDX_EXTERNAL_OPEN];
} sdx_external;

/* What the external_data entries of a tensor say. */
typedef struct sdx_external_range {
    const char *location;
    uint64_t offset, length;
    bool has_length;
} sdx_external_range;

void sdx_external_init(sdx_external *external, const char *base_folder, bool allow_links);
void sdx_external_close(sdx_external *external);

sdx_status sdx_external_parse(const Onnx__TensorProto *tensor, sdx_external_range *range, sdx_error *error);
/* The file, with the range inside it and `bytes` long. The source stays with `external`. */
sdx_status sdx_external_open(sdx_external *external, const sdx_external_range *range, size_t bytes, sdx_error *error,
                             const sdx_source **out);

#endif
