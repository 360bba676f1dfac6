#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nets that PyTorch exported with a fixed batch train with batches of 8: the loss and the weights after two epochs are
those of the same net in PyTorch, and what is written takes any batch. Where the batch is built in, batches are of its size.

usage: test_fixed_batch.py SARDONYX FOLDER [WORD...]
"""
import contextlib
import io
import logging
import os
import shutil
import sys
import warnings

import numpy
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from common import Net, Report, Tool, close, weights_of

BATCH, SAMPLES, CLASSES = 8, 24, 3


class View(nn.Module):
    def __init__(self, first):
        super().__init__()
        self.first, self.conv, self.fc = first, nn.Conv2d(3, 4, 3), nn.Linear(64, CLASSES)

    def forward(self, x):
        x = torch.relu(self.conv(x))
        return self.fc(x.view(-1, 64) if self.first else x.view(x.shape[0], -1))


class Attention(nn.Module):
    def __init__(self, batch_first):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0., batch_first=batch_first)
        for bias in (self.layer.self_attn.out_proj.bias, self.layer.self_attn.in_proj_bias):
            nn.init.normal_(bias)  # exporters leave zeros out
        self.fc, self.batch_first = nn.Linear(8, CLASSES), batch_first

    def forward(self, x):
        y = self.layer(x) if self.batch_first else self.layer(x.transpose(0, 1)).transpose(0, 1)
        return self.fc(y.mean(1))


class Heads(nn.Module):
    """Queries, keys and values by hand, as small models write them."""

    def __init__(self):
        super().__init__()
        self.qkv, self.out, self.fc = nn.Linear(8, 24), nn.Linear(8, 8), nn.Linear(8, CLASSES)

    def forward(self, x):
        n, length, width = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, 2, 4).permute(2, 0, 3, 1, 4)
        y = torch.softmax(q @ k.transpose(-1, -2) / 2, -1) @ v
        return self.fc(self.out(y.transpose(1, 2).reshape(n, length, width)).flatten(0, 1).view(n, length, width).mean(1))


NETS = {
    "cnn": ((3, 6, 6), lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, CLASSES))),
    "view": ((3, 6, 6), lambda: View(False)),
    "view_open": ((3, 6, 6), lambda: View(True)),
    "group_norm": ((4, 6, 6), lambda: nn.Sequential(nn.Conv2d(4, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(),
                                                    nn.Linear(64, CLASSES))),
    "attention": ((5, 8), lambda: Attention(True)),
    "attention_second": ((5, 8), lambda: Attention(False)),
    "heads": ((5, 8), Heads),
}


def export(net, x, exporter, path):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        if exporter == "legacy":
            torch.onnx.export(net, (x,), path, dynamo=False, input_names=["x"], output_names=["out"], opset_version=17)
        else:
            torch.onnx.export(net, (x,), path, dynamo=True, external_data=False, verbose=False, input_names=["x"],
                              output_names=["out"], opset_version=18)


CONFIG = {"epochs": 2, "batch": BATCH, "shuffle": False, "optimizer": {"kind": "sgd", "lr": .1}}


def trained(tool, name, make, shape, exporter, size):
    torch.manual_seed(1)
    net = make().eval()
    path = tool.path(f"{name}.onnx")
    export(net, torch.randn(size, *shape), exporter, path)
    x, y = torch.randn(SAMPLES, *shape), torch.randint(0, CLASSES, (SAMPLES,))
    data = tool.arrays(f"{name}.npz", x=x.numpy(), y=y.numpy())
    out = tool.path(f"{name}-trained.onnx")
    done = tool.run("train", path, "-c", tool.config(f"{name}.json", CONFIG), "--data", data, "-o", out)
    assert "batches may be of any size" in done.stderr, done.stderr
    net.train()
    optimizer = torch.optim.SGD(net.parameters(), lr=.1)
    for at in list(range(0, SAMPLES, BATCH)) * 2:
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x[at:at + BATCH]), y[at:at + BATCH]).backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        want = nn.functional.cross_entropy(net(x), y).item()
    have = tool.eval(name, out, CONFIG, data)["loss"]
    dim = onnx.load(out).graph.input[0].type.tensor_type.shape.dim[0]
    assert dim.dim_param, f"the first dimension of the input is {dim.dim_value}"
    return f"{close(have, want, 1e-4, 'loss'):.1e}"


def built_in(tool):
    """A table of 2 rows that is added to the batch."""
    net = Net([4], seed=2).add("Add", "table", [])
    net.nodes[-1].input.append(net.weight("rows", numpy.ones((2, 4)) * [[1], [2]]))
    path = net.linear(4, CLASSES).save(tool.path("built.onnx"))
    model = onnx.load(path)
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 2
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 2
    onnx.save(model, path)
    random = numpy.random.default_rng(0)
    data = tool.arrays("built.npz", x=random.normal(size=(7, 4)).astype(numpy.float32), y=random.integers(0, CLASSES, 7))
    done = tool.run("train", path, "-c", tool.config("built.json", CONFIG), "--data", data, "-o", tool.path("b.onnx"))
    for words in ("batches are of 2 samples", "'table' (Add", "'batch' is 8; the model takes 2", "1 of 7 samples"):
        assert words in done.stderr, (words, done.stderr)
    done = tool.run("eval", path, "--data", data, expect=3)
    assert "there are 7 samples to score; the model takes 2 at a time" in done.stderr, done.stderr
    few = tool.arrays("few.npz", x=numpy.zeros((1, 4), numpy.float32), y=numpy.zeros(1, numpy.int64))
    done = tool.run("train", path, "--data", few, "-o", tool.path("never.onnx"), expect=3)
    assert "there are 1 samples; the model takes 2 at a time" in done.stderr, done.stderr


def resized(tool):
    """Sizes that would shrink the batch to 1 are seen, though nothing contradicts them."""
    weights = {"sizes": numpy.array([1, 1, 2, 2]), "w": numpy.ones((4, CLASSES), numpy.float32)}
    nodes = [helper.make_node("Resize", ["x", "", "", "sizes"], ["r"], name="shrink", mode="nearest"),
             helper.make_node("Flatten", ["r"], ["f"]), helper.make_node("MatMul", ["f", "w"], ["out"])]
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
                              [helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, CLASSES])],
                              [numpy_helper.from_array(value, name) for name, value in weights.items()])
    path = tool.path("resized.onnx")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    data = tool.arrays("resized.npz", x=numpy.random.default_rng(0).normal(size=(4, 1, 4, 4)).astype(numpy.float32),
                       y=numpy.zeros(4, numpy.int64))
    done = tool.run("train", path, "--data", data, "-o", tool.path("r.onnx"))
    assert "batches are of 1 samples" in done.stderr and "output 'out'" in done.stderr, done.stderr
    assert not numpy.array_equal(weights_of(tool.path("r.onnx"))["w"], weights["w"])


def main():
    tool, report = Tool(sys.argv[1], sys.argv[2]), Report(sys.argv[3:])
    shutil.rmtree(tool.folder, ignore_errors=True)
    os.makedirs(tool.folder)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    for name, (shape, make) in NETS.items():
        for exporter in ("legacy", "dynamo"):
            for size in (1, 2):
                case = f"{name}-{exporter}-{size}"
                report.case(case, trained, tool, case, make, shape, exporter, size)
    report.case("built in", built_in, tool)
    report.case("resized", resized, tool)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
