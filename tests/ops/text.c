/* SPDX-License-Identifier: Apache-2.0
 * StringNormalizer, StringConcat, StringSplit. */
#include "tests/ops/case.h"

const sdx_case sdx_cases[] = {
    {.name = "lower", .op = "StringNormalizer", .opset = 10, .attributes = "case_change_action:string=LOWER stopwords:strings=[monday]",
     .inputs = "string[3]={'Monday' 'TUESDAY' 'ÄÖÜΣЖ'}", .expect = "string[2]={'tuesday' 'äöüσж'}"},
    {.name = "upper", .op = "StringNormalizer", .opset = 10,
     .attributes = "case_change_action:string=UPPER is_case_sensitive:int=1 stopwords:strings=[monday]",
     .inputs = "string[1,4]={'Monday' 'monday' 'straße' 'ﬁn'}", .expect = "string[1,3]={'MONDAY' 'STRASSE' 'FIN'}"},
    {.name = "unchanged", .op = "StringNormalizer", .opset = 10, .inputs = "string[2]={'aB' ''}", .expect = "string[2]={'aB' ''}"},
    {.name = "nothing_left", .op = "StringNormalizer", .opset = 10, .attributes = "stopwords:strings=[a,b]",
     .inputs = "string[1,2]={'A' 'b'}", .expect = "string[1,1]={''}"},
    {.name = "rank", .op = "StringNormalizer", .opset = 10, .inputs = "string[2,1]={'a' 'b'}", .fails = SDX_SHAPE,
     .says = "dimension 0 of input 'X'"},
    {.name = "concat", .op = "StringConcat", .opset = 20, .inputs = "string[2,1]={'a' 'b'} string[3]={'x' '' 'z'}",
     .expect = "string[2,3]={'ax' 'a' 'az' 'bx' 'b' 'bz'}"},
    {.name = "concat_empty", .op = "StringConcat", .opset = 20, .inputs = "string[0]={} string[1]={'x'}",
     .expect = "string[0]={}"},
    {.name = "split", .op = "StringSplit", .opset = 20, .attributes = "delimiter:string=.",
     .inputs = "string[3]={'a.b' 'c' 'd..e'}", .outputs = "Y Z",
     .expect = "string[3,3]={'a' 'b' '' 'c' '' '' 'd' '' 'e'} i64[3]={2,1,3}"},
    {.name = "split_most", .op = "StringSplit", .opset = 20, .attributes = "delimiter:string=- maxsplit:int=1",
     .inputs = "string[2]={'a-b-c' ''}", .outputs = "Y Z", .expect = "string[2,2]={'a' 'b-c' '' ''} i64[2]={2,1}"},
    {.name = "split_spaces", .op = "StringSplit", .opset = 20, .inputs = "string[2]={'  a   b ' '   '}", .outputs = "Y Z",
     .expect = "string[2,2]={'a' 'b' '' ''} i64[2]={2,0}"},
    {.name = "split_spaces_most", .op = "StringSplit", .opset = 20, .attributes = "maxsplit:int=1",
     .inputs = "string[1]={' a  b c '}", .expect = "string[1,2]={'a' 'b c '}"},
};
SDX_CASES_END
