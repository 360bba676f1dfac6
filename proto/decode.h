/* SPDX-License-Identifier: Apache-2.0
 * What a decoded file is, for the files of this folder. */
#ifndef SDX_PROTO_DECODE_H
#define SDX_PROTO_DECODE_H
#include "proto/external_data.h"
#include "proto/message.h"
#include "proto/proto.h"

struct sdx_proto {
    sdx_memory *memory;
    sdx_message message; /* a ModelProto, or what a data file holds */
    sdx_external external;
};

/* As sdx_proto_decode, for any message type. */
sdx_status sdx_proto_decode_as(const ProtobufCMessageDescriptor *type, const sdx_source *source,
                               const sdx_proto_options *options, sdx_memory *memory, sdx_error *error, sdx_proto **out);

#endif
