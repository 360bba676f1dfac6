#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gradients of single operators against torch.autograd.

usage: test_gradients.py LIBRARY [PART_OF_NAME...]

Each case of the tables gradients_*.py becomes a model: the operator, its output times random weights, and a Gradient
node by every floating input. It is run in float64 (1e-9) and float32 (1e-4), relative to the largest entry, and must
give what PyTorch gives, kinks included.
"""
import glob
import importlib
import os
import sys

import numpy
import onnx
import torch
from onnx import helper, numpy_helper

HERE = os.path.dirname(os.path.abspath(__file__))
BOUNDS = {numpy.float64: 1e-9, numpy.float32: 1e-4}


def cases():
    for path in sorted(glob.glob(os.path.join(HERE, "gradients_*.py"))):
        yield from importlib.import_module(os.path.basename(path)[:-3]).CASES


def tensor_type(array):
    return helper.np_dtype_to_tensor_dtype(array.dtype), array.shape


def moves(case, k, x):
    """Whether input k is differentiated."""
    return x is not None and x.dtype.kind == "f" and k not in case.get("fixed", ())


def build(case, inputs, weights):
    """The model's bytes. Floating inputs are graph inputs, the others initializers."""
    names = [f"x{k}" if x is not None else "" for k, x in enumerate(inputs)]
    floats = [n for k, (n, x) in enumerate(zip(names, inputs)) if moves(case, k, x)]
    outputs = [f"y{k}" for k in range(case.get("outputs", 1))]
    y = outputs[case.get("output", 0)]
    domain = case.get("domain", "")
    nodes = [helper.make_node(case["op"], names, outputs, domain=domain, **case["attributes"]),
             helper.make_node("Mul", [y, "weights"], ["product"]),
             helper.make_node("Gradient", floats, ["d" + n for n in floats], domain="ai.onnx.preview.training",
                              xs=floats, y="product")]
    kind = weights.dtype
    graph = helper.make_graph(
        nodes, "gradient",
        [helper.make_tensor_value_info(n, *tensor_type(x)) for n, x in zip(names, inputs) if n in floats],
        [helper.make_tensor_value_info("d" + n, helper.np_dtype_to_tensor_dtype(kind), None) for n in floats],
        [numpy_helper.from_array(weights, "weights")] +
        [numpy_helper.from_array(x, n) for n, x in zip(names, inputs) if n and n not in floats])
    opsets = [helper.make_opsetid("", case.get("opset", onnx.defs.onnx_opset_version())),
              helper.make_opsetid("ai.onnx.preview.training", 1)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=opsets).SerializeToString(), floats


def autograd(case, inputs, dtype):
    """What PyTorch says: (weights, gradients by floating input)."""
    tensors = [None if x is None else torch.tensor(x, requires_grad=moves(case, k, x)) for k, x in enumerate(inputs)]
    y = case["torch"](*tensors)
    weights = numpy.asarray(numpy.random.default_rng(5).normal(size=tuple(y.shape)), dtype)
    xs = [t for t in tensors if t is not None and t.requires_grad]
    found = torch.autograd.grad((y * torch.tensor(weights)).sum(), xs, allow_unused=True)
    return weights, [numpy.zeros(x.shape, dtype) if d is None else d.numpy() for x, d in zip(xs, found)]


def error_of(got, want):
    if got.shape != want.shape or got.dtype != want.dtype:
        return f"is {got.dtype}{list(got.shape)}, not {want.dtype}{list(want.shape)}"
    same = (got == want) | (numpy.isnan(got) & numpy.isnan(want))
    with numpy.errstate(invalid="ignore"):
        apart = numpy.where(same, 0, numpy.abs(got - want))
    finite = want[numpy.isfinite(want)]
    scale = max(1.0, float(numpy.abs(finite).max())) if finite.size else 1.0
    worst = float(apart.max()) / scale if apart.size else 0.0
    if worst <= BOUNDS[want.dtype.type]:
        return None
    at = numpy.unravel_index(numpy.argmax(numpy.nan_to_num(apart, nan=numpy.inf)), want.shape)
    return f"is {got[at]:.9g} at {[int(i) for i in at]}; PyTorch has {want[at]:.9g}"


def check(sardonyx, case, dtype):
    inputs = [x.astype(dtype) if x is not None and x.dtype.kind == "f" else x for x in case["inputs"]]
    weights, wanted = autograd(case, inputs, dtype)
    model, floats = build(case, inputs, weights)
    session = sardonyx.InferenceSession(model)
    given = {f"x{k}": x for k, x in enumerate(inputs) if f"x{k}" in floats}
    found = session.run(["d" + n for n in floats], given)
    return [f"d{n} {e}" for n, g, w in zip(floats, found, wanted) if (e := error_of(g, w))]


def main():
    os.environ["SARDONYX_LIBRARY"] = os.path.abspath(sys.argv[1])
    sys.path[:0] = [HERE, os.path.join(HERE, ".."), os.path.join(HERE, "..", "..", "tools", "python")]
    import sardonyx
    from cases import run
    run(((f"{case['name']} {dtype.__name__}", lambda case=case, dtype=dtype: check(sardonyx, case, dtype))
         for case in cases() for dtype in case.get("dtypes", BOUNDS)), sys.argv[2:])


if __name__ == "__main__":
    main()
