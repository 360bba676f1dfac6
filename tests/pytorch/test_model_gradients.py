#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gradients of whole models, exported by both of PyTorch's exporters, by every parameter, against torch.autograd.

usage: test_model_gradients.py LIBRARY [PART_OF_NAME...]

Parameters are random, so that exporters merge none; the batch is fixed or free. An error is relative to the largest
entry of a gradient; it may be 2e-4.
"""
import contextlib
import io
import logging
import os
import sys
import warnings

import numpy
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
BOUND = 2e-4


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(50, 16), nn.Parameter(torch.zeros(1, 32, 16))
        self.layer = nn.TransformerEncoderLayer(16, 4, 32, 0, "gelu", batch_first=True, norm_first=True)
        self.head = nn.Linear(16, 50)

    def forward(self, x):
        x = self.words(x) + self.places[:, :x.shape[1]]
        return F.log_softmax(self.head(self.layer(x)), -1)


class Images(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1, padding_mode="reflect")
        self.second, self.norm, self.leak = nn.Conv2d(8, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.PReLU(16)
        self.shuffle, self.last = nn.PixelShuffle(2), nn.Linear(4, 5)

    def forward(self, x):
        x = self.leak(self.norm(self.second(F.hardswish(self.first(x)))))
        x = F.max_pool2d(F.mish(self.shuffle(x)), 2).mean((2, 3))
        return self.last(F.elu(x))


class Pieces(nn.Module):
    """Indexing, reductions and running sums as user code has them."""

    def __init__(self):
        super().__init__()
        self.w, self.v = nn.Parameter(torch.zeros(6, 6)), nn.Parameter(torch.zeros(6))

    def forward(self, x):
        y = torch.einsum("bi,ij->bj", x, self.w)
        a, b = y[:, :3], y[:, 3:]
        y = torch.cat([a * b, torch.stack([a, b], 2).sum(2)], 1)
        y = torch.where(y > 0, y * self.v, y.abs().sqrt())
        y = y / y.norm(dim=1, keepdim=True).clamp(min=1e-3)
        most, _ = torch.topk(y, 3, 1)
        z = torch.tril(y.unsqueeze(2) * y.unsqueeze(1)).cumsum(1).flip(2)[:, ::2, 1:]
        z = torch.logsumexp(z.reshape(z.shape[0], -1), 1)
        return z + most.prod(1) + y.amax(1) + F.pad(y, (1, 2), value=0.5).var(1)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.last = nn.Embedding(20, 8), nn.Linear(24, 3)
        self.cells = nn.GRU(8, 12, batch_first=True, bidirectional=True)

    def forward(self, x):
        return self.last(self.cells(self.words(x))[0][:, -1])


MODELS = [("transformer", Transformer, lambda: torch.randint(0, 50, (3, 7))),
          ("images", Images, lambda: torch.randn(3, 3, 16, 16)),
          ("pieces", Pieces, lambda: torch.randn(4, 6)),
          ("recurrent", Recurrent, lambda: torch.randint(0, 20, (3, 5)))]


def made(kind):
    """In evaluation mode, with parameters and statistics of their own."""
    model = kind().eval()
    with torch.no_grad():
        for value in [*model.parameters(), *model.buffers()]:
            if value.is_floating_point():
                value.uniform_(0.2, 0.7) if value.dim() < 2 else value.normal_(0, 0.4)
    return model


def exported(model, x, dynamo, free):
    file = io.BytesIO()
    names = dict(input_names=["x"], output_names=["y"], do_constant_folding=False)
    silence = io.StringIO()
    with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
        if dynamo:
            shapes = ({0: torch.export.Dim("batch", min=2, max=64)},) if free else None
            torch.onnx.export(model, (x,), file, dynamo=True, optimize=False, verbose=False, dynamic_shapes=shapes,
                              **names)
        else:
            torch.onnx.export(model, (x,), file, dynamo=False, opset_version=17,
                              dynamic_axes={"x": {0: "batch"}} if free else None, **names)
    return onnx.load_from_string(file.getvalue())


def differentiated(model, names, weights):
    """Initializers of these names become inputs, their gradients the outputs."""
    graph = model.graph
    for tensor in [t for t in graph.initializer if t.name in names]:
        graph.initializer.remove(tensor)
        graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    graph.initializer.append(numpy_helper.from_array(weights, "weights_of_y"))
    found = ["gradient of " + name for name in names]
    graph.node.append(helper.make_node("Mul", ["y", "weights_of_y"], ["weighted_y"]))
    graph.node.append(helper.make_node("Gradient", names, found, domain="ai.onnx.preview.training", xs=names,
                                       y="weighted_y"))
    del graph.output[:]
    graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in found)
    model.opset_import.append(helper.make_opsetid("ai.onnx.preview.training", 1))
    return model.SerializeToString(), found


def check(sardonyx, kind, x, dynamo, free):
    torch.manual_seed(1)
    model = made(kind)
    y = model(x)
    weights = torch.cos(torch.arange(y.numel(), dtype=torch.float32)).reshape(y.shape)
    parameters = dict(model.named_parameters())
    wanted = torch.autograd.grad((y * weights).sum(), list(parameters.values()))
    data, found = differentiated(exported(model, x, dynamo, free), list(parameters), weights.numpy())
    given = {"x": x.numpy(), **{name: value.detach().numpy() for name, value in parameters.items()}}
    for name, got, want in zip(parameters, sardonyx.InferenceSession(data).run(found, given), wanted):
        want = want.numpy()
        error = float(numpy.abs(got - want).max()) / max(1e-3, float(numpy.abs(want).max()))
        if not error <= BOUND:
            yield f"the gradient by {name} is wrong by {error:.2g}"


def main():
    os.environ["SARDONYX_LIBRARY"] = os.path.abspath(sys.argv[1])
    sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "..", "tools", "python")]
    import sardonyx
    from cases import run
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)

    def check_model(kind, data, dynamo, free):
        torch.manual_seed(0)
        return check(sardonyx, kind, data(), dynamo, free)
    run(((f"{name}, {'torch.export' if dynamo else 'TorchScript'}, batch {'free' if free else 'fixed'}",
          lambda kind=kind, data=data, dynamo=dynamo, free=free: check_model(kind, data, dynamo, free))
         for name, kind, data in MODELS for dynamo in (False, True) for free in (False, True)), sys.argv[2:])


if __name__ == "__main__":
    main()
