#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The official Python runner over all its cases, on sardonyx.backend.

usage: test_backend.py LIBSARDONYX.SO [PATTERN]

Held two-way against not_passing.txt where that file exists. The exceptions are those of exceptions.txt.
"""
import os
import re
import sys
import unittest
import warnings

import numpy
from onnx import helper
from onnx.backend.test import BackendTest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
KINDS = {"Node": "node", "Simple": "simple", "PyTorchConverted": "pytorch-converted",
         "PyTorchOperator": "pytorch-operator", "Real": "light"}


class Runner(BackendTest):
    @classmethod
    def assert_similar_outputs(cls, ref_outputs, outputs, rtol, atol, model_dir=None):
        """The package walks into a tensor of a sequence as into a list, which a scalar is not."""
        if isinstance(outputs, numpy.ndarray):
            ref_outputs, outputs = [ref_outputs], [outputs]
        super().assert_similar_outputs(ref_outputs, outputs, rtol, atol, model_dir)


def exceptions():
    """Keyword arguments of the runner per case; a case whose shapes alone count may be off by any amount."""
    options = {}
    for line in open(os.path.join(HERE, "exceptions.txt")):
        name, *words = line.split("#")[0].split() or [None]
        if not name:
            continue
        pairs = (word.split("=") for word in words if "=" in word)
        options[name.replace("light_", "test_")] = (
            {"atol": float("inf")} if "shape-only" in words else {key: float(value) for key, value in pairs})
    return options


def case_of(test):
    """KIND/NAME as not_passing.txt has it."""
    kind = KINDS[re.match(r"OnnxBackend(\w+)ModelTest", type(test).__name__).group(1)]
    name = test._testMethodName.removesuffix("_cpu")
    return f"{kind}/{name.replace('test_', 'light_', 1) if kind == 'light' else name}"


def listed():
    path = os.path.join(HERE, "not_passing.txt")
    if not os.path.exists(path):
        return set()
    return {line.strip() for line in open(path) if line.strip() and not line.startswith("#")}


def outcome(test):
    """What went wrong, in one line; None when nothing did."""
    result = unittest.TestResult()
    test.run(result)
    trouble = result.failures + result.errors + result.skipped
    if not trouble:
        return None
    report = trouble[0][1].strip()
    words = re.search(r"^\w[\w.]*(Error|Exception|Skip\w*)\b.*", report, re.M | re.S)
    return " ".join((words.group(0) if words else report[-300:]).split())[:300]


def single_nodes(backend):
    """(name, whether it is right) of what run_node is asked."""
    x = numpy.arange(6, dtype=numpy.float32).reshape(2, 3)
    add = backend.run_node(helper.make_node("Add", ["a", "b"], ["y"]), [x, x])
    yield "Add", numpy.array_equal(add.y, x + x)
    add = backend.run_node(helper.make_node("Add", ["a", "b"], ["y"]), [x, x], outputs_info=[(x.dtype, x.shape)])
    yield "Add with its output described", numpy.array_equal(add["y"], x + x)
    old = backend.run_node(helper.make_node("Squeeze", ["x"], ["y"], axes=[0]), [x[:1]], opset_version=11)
    yield "Squeeze of opset 11", numpy.array_equal(old[0], x[0])
    clip = backend.run_node(helper.make_node("Clip", ["x", "", "most"], ["y"]), [x, numpy.float32(2)])
    yield "Clip without its second input", numpy.array_equal(clip[0], numpy.minimum(x, 2))
    made = backend.run_node(helper.make_node("SequenceConstruct", ["a", "b"], ["s"]), [x, x[0]])
    yield "SequenceConstruct", len(made.s) == 2 and numpy.array_equal(made.s[1], x[0])
    length = backend.run_node(helper.make_node("SequenceLength", ["s"], ["n"]), [[x, x[0]]])
    yield "SequenceLength", length.n == 2


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    os.environ["SARDONYX_LIBRARY"] = os.path.abspath(sys.argv[1])
    os.environ["ONNX_MODELS"] = os.path.join(os.path.dirname(os.environ["SARDONYX_LIBRARY"]), "onnx_models")
    sys.path.insert(0, os.path.join(ROOT, "tools", "python"))
    from sardonyx.backend import SardonyxBackend
    warnings.simplefilter("ignore")
    numpy.seterr(all="ignore")
    pattern = re.compile(sys.argv[2] if len(sys.argv) > 2 else "")
    cases = {case_of(test): test for test in Runner(SardonyxBackend, test_kwargs=exceptions()).test_suite
             if test._testMethodName.endswith("_cpu")}
    expected, passed, failed, known = listed(), 0, 0, 0
    for name in sorted(expected - cases.keys()):
        print(f"FAIL {name}: not_passing.txt lists it; the runner has no such case")
        failed += 1
    for name, good in single_nodes(SardonyxBackend):
        passed += bool(good)
        failed += not good
        if not good:
            print(f"FAIL run_node: {name}")
    for name, test in sorted(cases.items()):
        if not pattern.search(name):
            continue
        message = outcome(test)
        if (message is None) != (name in expected):
            passed += message is None
            known += message is not None
            continue
        failed += 1
        print(f"FAIL {name}: {message or 'passes, but not_passing.txt lists it'}")
    print(f"{passed} passed, {failed} failed, {known} skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
