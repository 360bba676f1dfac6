/* SPDX-License-Identifier: Apache-2.0
 * Cast, CastLike, BitCast: values at the edges of each kind of conversion. Every pair of types runs in the official
 * suite's cases and in pairs below. */
#include "tests/ops/case.h"

static void small(sdx_case_run *run) {
    double *y = sdx_case_output_like(run, 0, 0);
    for (int64_t k = 0; k < run->in[0].count; k++) y[k] = run->in[0].v[k];
}

/* Values that every type but bool, f8e8m0 and the two-bit ones holds. */
#define SMALL(to_name, number)                                                                                          \
    {.name = "cast_to_" to_name, .op = "Cast", .opset = 28, .attributes = "to:int=" number, .inputs = "T1[4]={0 1 2 3}",  \
     .types = "T1=f32|f64|f16|bf16|f8e4m3fn|f8e4m3fnuz|f8e5m2|f8e5m2fnuz|f6e2m3|f6e3m2|f4e2m1|i8|i16|i32|i64|u8|u16|u32|" \
              "u64|i4|u4|u2",                                                                                           \
     .reference = small}

const sdx_case sdx_cases[] = {
    SMALL("f32", "1"),
    SMALL("u8", "2"),
    SMALL("i8", "3"),
    SMALL("u16", "4"),
    SMALL("i16", "5"),
    SMALL("i32", "6"),
    SMALL("i64", "7"),
    SMALL("f16", "10"),
    SMALL("f64", "11"),
    SMALL("u32", "12"),
    SMALL("u64", "13"),
    SMALL("bf16", "16"),
    SMALL("f8e4m3fn", "17"),
    SMALL("f8e4m3fnuz", "18"),
    SMALL("f8e5m2", "19"),
    SMALL("f8e5m2fnuz", "20"),
    SMALL("u4", "21"),
    SMALL("i4", "22"),
    SMALL("f4e2m1", "23"),
    SMALL("u2", "25"),
    SMALL("f6e2m3", "27"),
    SMALL("f6e3m2", "28"),
    {.name = "float_to_i32", .op = "Cast", .opset = 13, .attributes = "to:int=6",
     .inputs = "f32[8]={1.9 -1.9 nan inf -inf 3e9 -3e9 -0.5}",
     .expect = "i32[8]={1,-1,0,2147483647,-2147483648,2147483647,-2147483648,0}"},
    {.name = "double_to_i64", .op = "Cast", .opset = 13, .attributes = "to:int=7", .inputs = "f64[4]={-2.5 nan 2.5 4503599627370496}",
     .expect = "i64[4]={-2,0,2,4503599627370496}"},
    {.name = "float_to_u8", .op = "Cast", .opset = 13, .attributes = "to:int=2", .inputs = "f32[5]={255.9 256 -1 nan 300}",
     .expect = "u8[5]={255,0,255,0,44}"},
    {.name = "float_to_bool", .op = "Cast", .opset = 13, .attributes = "to:int=9", .inputs = "f32[5]={0 -0 0.1 nan -inf}",
     .expect = "bool[5]={0,0,1,1,1}"},
    {.name = "i16_to_i8", .op = "Cast", .opset = 13, .attributes = "to:int=3", .inputs = "i16[2]={200 -129}",
     .expect = "i8[2]={-56,127}"},
    {.name = "i32_to_i4", .op = "Cast", .opset = 21, .attributes = "to:int=22", .inputs = "i32[4]={7 8 -8 -9}",
     .expect = "i4[4]={7,-8,-8,7}"},
    {.name = "i32_to_i2", .op = "Cast", .opset = 25, .attributes = "to:int=26", .inputs = "i32[4]={1 2 -2 -3}",
     .expect = "i2[4]={1,-2,-2,1}"},
    {.name = "bool_to_float", .op = "Cast", .opset = 9, .attributes = "to:int=1", .inputs = "bool[2]={1 0}",
     .expect = "f32[2]={1,0}"},
    {.name = "f64_to_f16_once", .op = "Cast", .opset = 13, .attributes = "to:int=10", .inputs = "f64[1]={1.00048828126}",
     .expect = "f16[1]={1.0009765625}"},
    {.name = "f64_to_f8_once", .op = "Cast", .opset = 19, .attributes = "to:int=17", .inputs = "f64[2]={1.0625000000001 1.0625}",
     .expect = "f8e4m3fn[2]={1.125,1}"},
    {.name = "float_to_f8_saturates", .op = "Cast", .opset = 19, .attributes = "to:int=17", .inputs = "f32[3]={1000 -inf nan}",
     .expect = "f8e4m3fn[3]={448,-448,nan}"},
    {.name = "float_to_f8_overflows", .op = "Cast", .opset = 19, .attributes = "to:int=17 saturate:int=0",
     .inputs = "f32[3]={1e6 -inf 448}", .expect = "f8e4m3fn[3]={nan,nan,448}"},
    {.name = "e8m0_up", .op = "Cast", .opset = 24, .attributes = "to:int=24", .inputs = "f32[3]={1 1.1 3}",
     .expect = "f8e8m0[3]={1,2,4}"},
    {.name = "e8m0_down", .op = "Cast", .opset = 24, .attributes = "to:int=24 round_mode:string=down",
     .inputs = "f32[3]={1 1.9 3}", .expect = "f8e8m0[3]={1,1,2}"},
    {.name = "e8m0_nearest", .op = "Cast", .opset = 25, .attributes = "to:int=24 round_mode:string=nearest",
     .inputs = "f32[3]={1.4 1.6 5}", .expect = "f8e8m0[3]={1,2,4}"},
    {.name = "e8m0_mode", .op = "Cast", .opset = 25, .attributes = "to:int=24 round_mode:string=odd", .inputs = "f32[1]={1}",
     .fails = SDX_VALUE, .says = "round_mode"},
    {.name = "to_text", .op = "Cast", .opset = 9, .attributes = "to:int=8", .inputs = "f32[8]={3.14 -0 1e-5 1e16 nan -inf 100 0.001}",
     .expect = "string[8]={'3.14' '-0.0' '1e-05' '1e+16' 'NaN' '-INF' '100.0' '0.001'}"},
    {.name = "half_to_text", .op = "Cast", .opset = 13, .attributes = "to:int=8", .inputs = "f16[2]={0.1 65504}",
     .expect = "string[2]={'0.1' '65500.0'}"},
    {.name = "integer_to_text", .op = "Cast", .opset = 13, .attributes = "to:int=8", .inputs = "i64[2]={-7 12345678901}",
     .expect = "string[2]={'-7' '12345678901'}"},
    {.name = "text_to_float", .op = "Cast", .opset = 13, .attributes = "to:int=1",
     .inputs = "string[8]={'3.14' '1e-5' '+INF' '-inf' 'NaN' ' 7 ' '-0' '1E8'}", .expect = "f32[8]={3.14,1e-5,inf,-inf,nan,7,-0,1e8}"},
    {.name = "text_to_integer", .op = "Cast", .opset = 13, .attributes = "to:int=7",
     .inputs = "string[3]={'9007199254740991' '100.5' '-3'}", .expect = "i64[3]={9007199254740991,100,-3}"},
    {.name = "text_to_nothing", .op = "Cast", .opset = 13, .attributes = "to:int=1", .inputs = "string[2]={'1' 'Hello'}",
     .fails = SDX_VALUE, .says = "element 1 of input 'input' is 'Hello'; it must be a number"},
    {.name = "hexadecimal", .op = "Cast", .opset = 13, .attributes = "to:int=1", .inputs = "string[1]={'0x10'}",
     .fails = SDX_VALUE, .says = "it must be a number"},
    {.name = "no_such_type", .op = "Cast", .opset = 13, .attributes = "to:int=99", .inputs = "f32[1]={1}", .fails = SDX_TYPE,
     .says = "attribute 'to' is 99"},
    {.name = "by_name", .op = "Cast", .opset = 1, .attributes = "to:string=INT32", .inputs = "f32[1]={2.5}",
     .expect = "i32[1]={2}"},
    {.name = "cast_like", .op = "CastLike", .opset = 15, .inputs = "T1[2]={0 1} f64[0]={}",
     .types = "T1=f32|f64|f16|bf16|i8|i16|i32|i64|u8|u16|u32|u64|bool", .reference = small},
    {.name = "bit_cast", .op = "BitCast", .opset = 26, .attributes = "to:int=6", .inputs = "f32[2]={1 -2}",
     .expect = "i32[2]={1065353216,-1073741824}"},
    {.name = "bit_cast_narrow", .op = "BitCast", .opset = 26, .attributes = "to:int=22", .inputs = "u4[3]={7 8 15}",
     .expect = "i4[3]={7,-8,-1}"},
    {.name = "bit_cast_width", .op = "BitCast", .opset = 26, .attributes = "to:int=7", .inputs = "f32[2]={1 -2}",
     .fails = SDX_TYPE, .says = "input 'input' is f32, of 32 bits; i64 has 64"},
};
SDX_CASES_END
