#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A hundred steps beside PyTorch: the same weights, the same batches, penalties on; then every parameter and every running
statistic is compared. In f64, where only the mathematics can differ, and in f32.

usage: test_parity.py SARDONYX FOLDER [WORD...]
"""
import sys

import numpy
import onnx
import torch
from torch import nn

from common import Report, Tool, close, weights_of

STEPS, BATCH, CLASSES = 100, 8, 5
OPTIMIZERS = {
    "sgd": ({"kind": "sgd", "lr": 0.02, "momentum": 0.9}, lambda p: torch.optim.SGD(p, 0.02, momentum=0.9)),
    "nesterov": ({"kind": "sgd", "lr": 0.02, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01},
                 lambda p: torch.optim.SGD(p, 0.02, momentum=0.9, nesterov=True, weight_decay=0.01)),
    "adam": ({"kind": "adam", "lr": 1e-3}, lambda p: torch.optim.Adam(p, 1e-3)),
    "adamw": ({"kind": "adamw", "lr": 1e-3, "weight_decay": 0.05},
              lambda p: torch.optim.AdamW(p, 1e-3, weight_decay=0.05)),
    "rmsprop": ({"kind": "rmsprop", "lr": 3e-4}, lambda p: torch.optim.RMSprop(p, 3e-4)),
    "adagrad": ({"kind": "adagrad", "lr": 1e-2}, lambda p: torch.optim.Adagrad(p, 1e-2)),
}


def normalisation(kind, channels, size):
    return {"batch": lambda: nn.BatchNorm2d(channels), "layer": lambda: nn.LayerNorm([channels, size, size]),
            "instance": lambda: nn.InstanceNorm2d(channels, affine=True),
            "group": lambda: nn.GroupNorm(4, channels), "none": nn.Identity}[kind]()


class Cnn(nn.Module):
    def __init__(self, norm):
        super().__init__()
        # A bias before a normalisation by channel has gradient 0: what an optimizer makes of its rounding is nobody's truth.
        bias = norm not in ("batch", "instance")
        self.conv1, self.norm1 = nn.Conv2d(2, 8, 3, padding=1, bias=bias), normalisation(norm, 8, 8)
        self.conv2, self.norm2 = nn.Conv2d(8, 8, 3, padding=1, stride=2, bias=bias), normalisation(norm, 8, 4)
        self.fc = nn.Linear(8 * 16, CLASSES)

    def forward(self, x):
        x = nn.functional.silu(self.norm1(self.conv1(x)))  # no kink that rounding could cross
        return self.fc(torch.flatten(nn.functional.silu(self.norm2(self.conv2(x))), 1))


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, activation="gelu")
        self.body, self.fc = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), nn.Linear(16, CLASSES)

    def forward(self, x):
        return self.fc(self.body(x).mean(1))


def export(model, x, path):
    torch.onnx.export(model.train(), (x,), path, input_names=["x"], output_names=["logits"], dynamo=False,
                      training=torch.onnx.TrainingMode.TRAINING, do_constant_folding=False, opset_version=17,
                      dynamic_axes={"x": {0: "N"}, "logits": {0: "N"}})


def batches(shape, dtype):
    random = numpy.random.default_rng(5)
    x = random.normal(size=(STEPS * BATCH, *shape)).astype(dtype)
    return x, random.integers(0, CLASSES, STEPS * BATCH)


def train_torch(model, optimizer, x, y):
    """l1 on a bias (few weights that could cross 0 in another step than ours) and Keras's l2 on the first and last kernel, as
    part of the loss."""
    parameters = list(model.parameters())
    first, last, bias = parameters[0], model.fc.weight, model.fc.bias
    step, loss_of = optimizer(parameters), nn.CrossEntropyLoss()
    model.train()
    for k in range(STEPS):
        part = slice(k * BATCH, (k + 1) * BATCH)
        loss = loss_of(model(torch.from_numpy(x[part])), torch.from_numpy(y[part]))
        loss = loss + 1e-3 * bias.abs().sum() + 1e-3 * (last ** 2).sum() + 1e-3 * (first ** 2).sum()
        step.zero_grad()
        loss.backward()
        step.step()


def difference(key, found, expected, bound):
    if "running" in key:  # attribute momentum is f32: 1 - .9f is not .1
        bound = max(bound, 1e-6)
    if key.endswith("in_proj_bias"):  # a bias of the keys moves no softmax: its gradient is 0
        n = len(found) // 3
        found, expected = numpy.delete(found, slice(n, 2 * n)), numpy.delete(expected, slice(n, 2 * n))
    return close(found, expected, bound, key)


def compare(tool, name, model, shape, kind, dtype, bound):
    torch.manual_seed(3)
    model = model().double() if dtype == numpy.float64 else model()
    x, y = batches(shape, dtype)
    path = tool.path(f"{name}.onnx")
    export(model, torch.from_numpy(x[:BATCH]), path)
    initial = {key: value.detach().numpy().copy() for key, value in model.state_dict().items()}
    named = weights_of(path)
    first = next(key for key, _ in model.named_parameters())
    config, optimizer = OPTIMIZERS[kind]
    more = {"mode": "subgradient", "target": "all"}
    penalties = [{"kind": "l1", "l1": 1e-3, "match": "fc.bias", **more}, {"kind": "l2", "l2": 1e-3, "match": "fc.weight", **more},
                 {"kind": "l2", "l2": 1e-3, "match": first, **more}]
    _, trained, out = tool.train(name, path, {"epochs": 1, "batch": BATCH, "shuffle": False, "optimizer": config,
                                              "penalties": penalties}, tool.arrays(f"{name}.npz", x=x, y=y))
    onnx.checker.check_model(out)
    train_torch(model, optimizer, x, y)
    worst, missing = 0.0, []
    for key, value in model.state_dict().items():
        if value.ndim == 0:
            continue
        if key in trained:
            worst = max(worst, difference(key, trained[key], value.numpy(), bound))
        else:  # exporters transpose and rename the kernels of MatMul: found by their first values
            start = initial[key].T if initial[key].ndim == 2 else initial[key]
            twin = [n for n, v in named.items() if v.shape == start.shape and (v == start).all() and n in trained]
            if not twin:
                missing.append(key)
                continue
            worst = max(worst, close(trained[twin[0]], value.numpy().T if value.ndim == 2 else value.numpy(), bound, key))
    assert not missing, f"not found in the trained model: {missing}"
    return f"worst relative difference {worst:.1e}"


def main():
    tool, report = Tool(sys.argv[1], sys.argv[2]), Report(sys.argv[3:])
    torch.set_num_threads(1)
    for dtype, bound in ((numpy.float64, 1e-9), (numpy.float32, 1e-5)):
        bits = numpy.dtype(dtype).name
        for kind in OPTIMIZERS:
            for norm in ("none", "batch", "layer", "instance", "group"):
                name = f"cnn {norm} {kind} {bits}"
                report.case(name, compare, tool, name.replace(" ", "_"), lambda norm=norm: Cnn(norm), (2, 8, 8), kind, dtype,
                            bound)
            name = f"transformer {kind} {bits}"
            report.case(name, compare, tool, name.replace(" ", "_"), Transformer, (6, 16), kind, dtype, bound)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
