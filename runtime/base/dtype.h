/* SPDX-License-Identifier: Apache-2.0
 * Element types: one row each in SDX_DTYPE_MAP, from which names, sizes and classes come. */
#ifndef SDX_BASE_DTYPE_H
#define SDX_BASE_DTYPE_H
#include "sardonyx.h"

enum {
    SDX_CLASS_NONE,
    SDX_CLASS_FLOAT,
    SDX_CLASS_SIGNED,
    SDX_CLASS_UNSIGNED,
    SDX_CLASS_BOOL,
    SDX_CLASS_STRING,
    SDX_CLASS_COMPLEX
};

/* id, short name, spelling in ONNX type strings, bytes in memory, bits in a file, class */
#define SDX_DTYPE_MAP(X)                                                                                               \
    X(F32, "f32", "float", 4, 32, FLOAT)                                                                               \
    X(U8, "u8", "uint8", 1, 8, UNSIGNED)                                                                               \
    X(I8, "i8", "int8", 1, 8, SIGNED)                                                                                  \
    X(U16, "u16", "uint16", 2, 16, UNSIGNED)                                                                           \
    X(I16, "i16", "int16", 2, 16, SIGNED)                                                                              \
    X(I32, "i32", "int32", 4, 32, SIGNED)                                                                              \
    X(I64, "i64", "int64", 8, 64, SIGNED)                                                                              \
    X(STRING, "string", "string", sizeof(sdx_string), 0, STRING)                                                       \
    X(BOOL, "bool", "bool", 1, 8, BOOL)                                                                                \
    X(F16, "f16", "float16", 2, 16, FLOAT)                                                                             \
    X(F64, "f64", "double", 8, 64, FLOAT)                                                                              \
    X(U32, "u32", "uint32", 4, 32, UNSIGNED)                                                                           \
    X(U64, "u64", "uint64", 8, 64, UNSIGNED)                                                                           \
    X(C64, "c64", "complex64", 8, 64, COMPLEX)                                                                         \
    X(C128, "c128", "complex128", 16, 128, COMPLEX)                                                                    \
    X(BF16, "bf16", "bfloat16", 2, 16, FLOAT)                                                                          \
    X(F8E4M3FN, "f8e4m3fn", "float8e4m3fn", 1, 8, FLOAT)                                                               \
    X(F8E4M3FNUZ, "f8e4m3fnuz", "float8e4m3fnuz", 1, 8, FLOAT)                                                         \
    X(F8E5M2, "f8e5m2", "float8e5m2", 1, 8, FLOAT)                                                                     \
    X(F8E5M2FNUZ, "f8e5m2fnuz", "float8e5m2fnuz", 1, 8, FLOAT)                                                         \
    X(U4, "u4", "uint4", 1, 4, UNSIGNED)                                                                               \
    X(I4, "i4", "int4", 1, 4, SIGNED)                                                                                  \
    X(F4E2M1, "f4e2m1", "float4e2m1", 1, 4, FLOAT)                                                                     \
    X(F8E8M0, "f8e8m0", "float8e8m0", 1, 8, FLOAT)                                                                     \
    X(U2, "u2", "uint2", 1, 2, UNSIGNED)                                                                               \
    X(I2, "i2", "int2", 1, 2, SIGNED)                                                                                  \
    X(F6E2M3, "f6e2m3", "float6e2m3", 1, 6, FLOAT)                                                                     \
    X(F6E3M2, "f6e3m2", "float6e3m2", 1, 6, FLOAT)

bool sdx_dtype_valid(int64_t dtype);
int sdx_dtype_bits(sdx_dtype dtype); /* bits of one element in a file; 0 for strings */
int sdx_dtype_class(sdx_dtype dtype);
const char *sdx_dtype_onnx_name(sdx_dtype dtype);
/* Parses a short name of `size` bytes; SDX_UNDEFINED when there is none. */
sdx_dtype sdx_dtype_parse(const char *name, size_t size);

#endif
