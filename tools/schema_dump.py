#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints operator schemas of the installed onnx package as version rows in the grammar of ops/op.h.

usage: schema_dump.py NAME...      rows of these operators
       schema_dump.py --json       every row of every operator, for tests/schema
"""
import json
import re
import sys

from onnx import defs, helper

DTYPES = {
    "float": "f32", "double": "f64", "float16": "f16", "bfloat16": "bf16", "int8": "i8", "int16": "i16",
    "int32": "i32", "int64": "i64", "uint8": "u8", "uint16": "u16", "uint32": "u32", "uint64": "u64",
    "int4": "i4", "uint4": "u4", "int2": "i2", "uint2": "u2", "bool": "bool", "string": "string",
    "complex64": "c64", "complex128": "c128", "float8e4m3fn": "f8e4m3fn", "float8e4m3fnuz": "f8e4m3fnuz",
    "float8e5m2": "f8e5m2", "float8e5m2fnuz": "f8e5m2fnuz", "float8e8m0": "f8e8m0", "float4e2m1": "f4e2m1",
    "float6e2m3": "f6e2m3", "float6e3m2": "f6e3m2",
}
ATTR = {"FLOAT": "float", "INT": "int", "STRING": "string", "TENSOR": "tensor", "GRAPH": "graph", "FLOATS": "floats",
        "INTS": "ints", "STRINGS": "strings", "SPARSE_TENSOR": "sparse", "TYPE_PROTO": "type"}


def type_text(text):
    text = re.sub(r"tensor\((\w+)\)", lambda m: DTYPES[m.group(1)], text.replace(" ", ""))
    text = text.replace("optional(", "opt(").replace("sequence(", "seq(")
    return re.sub(r"map\((\w+),(\w+)\)", lambda m: f"map({DTYPES[m.group(1)]},{DTYPES[m.group(2)]})", text)


def float_text(value):
    for digits in range(1, 18):
        text = f"{value:.{digits}g}"
        if helper.make_attribute("x", float(text)).f == value:
            return text
    return repr(value)


def default_text(attr):
    value = helper.get_attribute_value(attr.default_value)
    if isinstance(value, float):
        return float_text(value)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list):
        return "[" + ",".join(v.decode() if isinstance(v, bytes) else str(v) for v in value) + "]"
    return str(value)


def arg_text(arg):
    option = str(arg.option).split(".")[-1]
    mark = "?" if option == "Optional" else ""
    if option == "Variadic":
        mark = ("*" if arg.is_homogeneous else "**") + ("0" if arg.min_arity == 0 else "")
    return f"{arg.name.strip()}:{type_text(arg.type_str)}{mark}"


def row(schema):
    signature = " ".join([*map(arg_text, schema.inputs), "->", *map(arg_text, schema.outputs)])
    types = " ".join(f"{c.type_param_str}={'|'.join(sorted(map(type_text, c.allowed_type_strs)))}"
                     for c in schema.type_constraints)
    attributes = []
    for name in sorted(schema.attributes):
        attr = schema.attributes[name]
        text = f"{name}:{ATTR[str(attr.type).split('.')[-1]]}"
        if attr.required:
            text += "!"
        elif attr.default_value.type:
            text += "=" + default_text(attr)
        attributes.append(text)
    return {"domain": schema.domain, "name": schema.name, "since": schema.since_version, "signature": signature,
            "types": types, "attributes": " ".join(attributes), "deprecated": schema.deprecated}


def main():
    rows = [row(s) for s in defs.get_all_schemas_with_history()]
    rows.sort(key=lambda r: (r["name"], r["domain"], r["since"]))
    if sys.argv[1:] == ["--json"]:
        json.dump(rows, sys.stdout, indent=1)
        return
    for r in rows:
        if r["name"] in sys.argv[1:]:
            print(f'{r["domain"] or "ai.onnx"} {r["name"]}{" (deprecated)" if r["deprecated"] else ""}\n'
                  f'    {{{r["since"]}, "{r["signature"]}",\n     "{r["types"]}",\n     "{r["attributes"]}"}},')


if __name__ == "__main__":
    main()
