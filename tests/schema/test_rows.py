# SPDX-License-Identifier: Apache-2.0
"""Compares every version row of the registry with the schemas of the installed onnx package: names, arity, optional and
variadic forms, sets of types, attributes with their defaults. Fails when a row differs, when an operator lacks a version
the package has, or when the list of operators is not sorted.

usage: test_rows.py DUMP_ROWS      the program built from dump_rows.c"""
import json
import pathlib
import subprocess
import sys

from onnx import defs, helper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools"))
import schema_dump  # noqa: E402


def schema_arg(arg):
    option = str(arg.option).split(".")[-1]
    variadic = option == "Variadic"
    return {"name": arg.name.strip(), "optional": option == "Optional", "variadic": variadic,
            "heterogeneous": variadic and not arg.is_homogeneous, "least": arg.min_arity if variadic else None,
            "type": schema_dump.type_text(arg.type_str)}


def schema_default(attr):
    if not attr.default_value.type:
        return None
    value = helper.get_attribute_value(attr.default_value)
    if isinstance(value, list):
        return [v.decode() if isinstance(v, bytes) else v for v in value]
    return value.decode() if isinstance(value, bytes) else value


def schema_row(schema):
    attributes = {name: {"type": int(attr.type.value), "required": attr.required, "default": schema_default(attr)}
                  for name, attr in schema.attributes.items()}
    types = {c.type_param_str: sorted(map(schema_dump.type_text, c.allowed_type_strs))
             for c in schema.type_constraints}
    return {"inputs": [schema_arg(a) for a in schema.inputs], "outputs": [schema_arg(a) for a in schema.outputs],
            "types": types, "attributes": attributes}


def our_row(row):
    for arg in row["inputs"] + row["outputs"]:
        if not arg["variadic"]:
            arg["least"] = None
    return {"inputs": row["inputs"], "outputs": row["outputs"],
            "types": {name: sorted(types) for name, types in row["types"].items()}, "attributes": row["attributes"]}


def equal(ours, theirs):
    if isinstance(ours, float) or isinstance(theirs, float):
        return helper.make_attribute("x", float(ours)).f == helper.make_attribute("x", float(theirs)).f
    return ours == theirs


def differences(ours, theirs):
    found = []
    for key in ("inputs", "outputs"):
        if ours[key] != theirs[key]:
            found.append(f"{key} are {ours[key]}; the schema has {theirs[key]}")
    for name in sorted(ours["types"].keys() | theirs["types"].keys()):
        a, b = (set(row["types"].get(name, ["no such variable"])) for row in (ours, theirs))
        if a != b:
            found.append(f"types of {name}: too many {sorted(a - b)}, missing {sorted(b - a)}")
    for name in sorted(ours["attributes"].keys() | theirs["attributes"].keys()):
        a, b = (row["attributes"].get(name) for row in (ours, theirs))
        same = a and b and a["type"] == b["type"] and a["required"] == b["required"]
        if not same or (a["default"] is None) != (b["default"] is None) or \
                (a["default"] is not None and not equal(a["default"], b["default"])):
            found.append(f"attribute {name} is {a}; the schema has {b}")
    return found


def main():
    done = subprocess.run([sys.argv[1]], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    failures = [f"cannot be parsed: {line}" for line in done.stderr.splitlines()]
    dump = json.loads(done.stdout)
    theirs = {}
    for schema in defs.get_all_schemas_with_history():
        theirs[("" if schema.domain == "ai.onnx" else schema.domain, schema.name, schema.since_version)] = schema
    ours = {(row["domain"], row["name"], row["since"]): row for row in dump["rows"]}
    good = 0
    for key, row in ours.items():
        place = f"{key[0] or 'ai.onnx'} {key[1]}-{key[2]}"
        found = differences(our_row(row), schema_row(theirs[key])) if key in theirs else ["the package has no such row"]
        good += not found
        failures += [f"{place}: {text}" for text in found[:4]]
    present = {key[:2] for key in ours}
    for key in sorted(theirs.keys() - ours.keys()):
        if key[:2] in present:
            failures.append(f"{key[0] or 'ai.onnx'} {key[1]}-{key[2]}: the row is missing")
    if dump["order"] != sorted(dump["order"]):
        failures.append("ops.def is not sorted: " + next(
            f"{b} follows {a}" for a, b in zip(dump["order"], dump["order"][1:]) if b < a))
    for text in failures:
        print("FAIL:", text)
    total = len(theirs)
    print(f"{good} of {len(ours)} rows equal; the package has {total}, of {len({k[:2] for k in theirs})} operators "
          f"({len(present)} here)")
    print(f"{good} passed, {len(failures)} failed, 0 skipped")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
