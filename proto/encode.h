/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SDX_PROTO_ENCODE_H
#define SDX_PROTO_ENCODE_H
#include "proto/onnx.pb-c.h"
#include "runtime/base/io.h"

/* As sdx_proto_encode, for any message. */
sdx_status sdx_message_encode(const ProtobufCMessage *message, sdx_sink *sink, sdx_error *error);

#endif
