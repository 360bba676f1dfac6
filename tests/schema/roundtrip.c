/* SPDX-License-Identifier: Apache-2.0
 * Decodes and encodes files. Each line of stdin is "KIND IN OUT": kind 0 is a model, else an sdx_kind of a data file.
 * Writes a line for each: "ok", or the message of the refusal. */
#include "proto/proto.h"
#include <stdio.h>
#include <string.h>

static sdx_status copy_model(const char *in, const char *out, sdx_memory *memory, sdx_error *error) {
    sdx_source source;
    sdx_proto *proto = NULL;
    sdx_sink *sink = NULL;
    SDX_TRY(sdx_source_open(in, error, &source));
    sdx_status status = sdx_proto_decode(&source, NULL, memory, error, &proto);
    sdx_source_close(&source);
    if (!status) status = sdx_sink_create(out, memory, error, &sink);
    if (!status) status = sdx_proto_encode(sdx_proto_model(proto), sink, memory, error);
    if (!status)
        status = sdx_sink_commit(sink, error);
    else
        sdx_sink_discard(sink);
    sdx_proto_free(proto);
    return status;
}

static sdx_status copy_value(const char *in, const char *out, sdx_kind kind, sdx_memory *memory, sdx_error *error) {
    sdx_value *value = NULL;
    SDX_TRY(sdx_proto_read_value(in, kind, memory, error, &value));
    sdx_status status = sdx_proto_write_value(out, "value", value, memory, error);
    sdx_value_release(value);
    return status;
}

int main(void) {
    char line[8192], in[4096], out[4096];
    int kind = 0;
    while (fgets(line, sizeof line, stdin)) {
        sdx_memory memory;
        sdx_error error = {0};
        sdx_memory_init(&memory, 0);
        if (sscanf(line, "%d %4095s %4095s", &kind, in, out) != 3) return 2;
        sdx_status status =
            kind ? copy_value(in, out, (sdx_kind)kind, &memory, &error) : copy_model(in, out, &memory, &error);
        if (!status && sdx_memory_used(&memory))
            printf("%zu bytes are left\n", sdx_memory_used(&memory));
        else
            puts(status ? error.message : "ok");
    }
    return 0;
}
