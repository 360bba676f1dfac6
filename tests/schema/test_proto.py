# SPDX-License-Identifier: Apache-2.0
"""Holds proto/*.proto equal to the installed onnx package: messages, fields (name, number, type, label, packing, oneof)
and enums. Prints every difference; the exit status is 1 when there is one. Counted are messages,
fields and enum values."""
import importlib
import pathlib
import subprocess
import sys
import tempfile

from google.protobuf import descriptor_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = {"onnx.proto": "onnx.onnx_ml_pb2", "onnx_data.proto": "onnx.onnx_data_pb2"}


def enum_facts(enum, place):
    return {f"{place}.{enum.name}.{v.name}": v.number for v in enum.value}


def field_facts(field, message):
    oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None
    kind = descriptor_pb2.FieldDescriptorProto.Type.Name(field.type)
    label = descriptor_pb2.FieldDescriptorProto.Label.Name(field.label)
    return (field.number, kind, field.type_name, label, field.options.packed, oneof, field.default_value)


def message_facts(message, place):
    place = f"{place}.{message.name}"
    facts = {place: "message"}
    for field in message.field:
        facts[f"{place}.{field.name}"] = field_facts(field, message)
    for enum in message.enum_type:
        facts.update(enum_facts(enum, place))
    for nested in message.nested_type:
        facts.update(message_facts(nested, place))
    return facts


def file_facts(descriptor):
    facts = {}
    for enum in descriptor.enum_type:
        facts.update(enum_facts(enum, descriptor.package))
    for message in descriptor.message_type:
        facts.update(message_facts(message, descriptor.package))
    return facts


def ours(name):
    with tempfile.NamedTemporaryFile() as out:
        subprocess.run(["protoc", f"--proto_path={ROOT / 'proto'}", f"--descriptor_set_out={out.name}",
                        str(ROOT / "proto" / name)], check=True)
        files = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(out.name).read_bytes())
    return file_facts(files.file[0])


def theirs(module):
    descriptor = descriptor_pb2.FileDescriptorProto()
    importlib.import_module(module).DESCRIPTOR.CopyToProto(descriptor)
    return file_facts(descriptor)


def main():
    differences = compared = 0
    for name, module in FILES.items():
        mine, reference = ours(name), theirs(module)
        compared += len(reference)
        for key in sorted(mine.keys() | reference.keys()):
            if mine.get(key) != reference.get(key):
                differences += 1
                print(f"FAIL {name}: {key} is {mine.get(key)}; the onnx package has {reference.get(key)}")
    print(f"{max(compared - differences, 0)} passed, {differences} failed, 0 skipped")
    return 1 if differences or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
