#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the official ONNX suite of the installed package as folders: KIND/NAME/{model.onnx,test_data_set_N/*.pb}.

usage: dump_suite.py FOLDER      does nothing when FOLDER was already written from the same package version

The node cases are built in memory by the package, the others come as files. The `light` models are the architectures
of well-known networks with their weights generated inside the graph; their input is i / n, as upstream makes it.
"""
import os
import shutil
import sys
import warnings

import numpy
import onnx
from onnx import numpy_helper
from onnx.backend.test.loader import load_model_tests

KINDS = ("simple", "pytorch-converted", "pytorch-operator", "node")


def write(path, bytes_):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(bytes_)


def to_proto(item, value_info):
    """The data of one input or output in the proto its declared type asks for."""
    if hasattr(item, "SerializeToString"):
        return item
    kind = value_info.type.WhichOneof("value")
    if kind == "sequence_type":
        return numpy_helper.from_list(item, value_info.name)
    if kind == "optional_type":
        return numpy_helper.from_optional(item, value_info.name)
    if kind == "map_type":
        return numpy_helper.from_dict(item, value_info.name)
    return numpy_helper.from_array(numpy.asarray(item), value_info.name)


def dump_memory(case, folder):
    write(os.path.join(folder, "model.onnx"), case.model.SerializeToString())
    for n, (inputs, outputs) in enumerate(case.data_sets):
        for stem, items, infos in (("input", inputs, case.model.graph.input),
                                   ("output", outputs, case.model.graph.output)):
            for i, item in enumerate(items):
                path = os.path.join(folder, f"test_data_set_{n}", f"{stem}_{i}.pb")
                write(path, to_proto(item, infos[i]).SerializeToString())


def dump_light(folder):
    source = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light")
    count = 0
    for file in sorted(os.listdir(source)):
        if not file.endswith(".onnx"):
            continue
        stem = file[:-len(".onnx")]
        case, model = os.path.join(folder, stem), onnx.load(os.path.join(source, file))
        write(os.path.join(case, "model.onnx"), model.SerializeToString())
        data = os.path.join(case, "test_data_set_0")
        os.makedirs(data, exist_ok=True)
        initial = {t.name for t in model.graph.initializer}
        for i, info in enumerate([v for v in model.graph.input if v.name not in initial]):
            shape = [d.dim_value for d in info.type.tensor_type.shape.dim]
            array = (numpy.arange(numpy.prod(shape)).reshape(shape) / numpy.prod(shape)).astype(numpy.float32)
            write(os.path.join(data, f"input_{i}.pb"), numpy_helper.from_array(array, info.name).SerializeToString())
        shutil.copy(os.path.join(source, f"{stem}_output_0.pb"), os.path.join(data, "output_0.pb"))
        count += 1
    return count


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    target, stamp = sys.argv[1], os.path.join(sys.argv[1], "complete")
    if os.path.exists(stamp) and open(stamp).read() == onnx.__version__:
        return
    shutil.rmtree(target, ignore_errors=True)
    warnings.simplefilter("ignore")
    numpy.seterr(all="ignore")
    count = 0
    for kind in KINDS:
        for case in load_model_tests(kind=kind):
            folder = os.path.join(target, kind, case.name)
            if case.model_dir:
                shutil.copytree(case.model_dir, folder)
            else:
                dump_memory(case, folder)
            count += 1
    count += dump_light(os.path.join(target, "light"))
    write(stamp, onnx.__version__.encode())
    print(f"onnx {onnx.__version__}: {count} cases written")


if __name__ == "__main__":
    main()
