#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Fine-tuning what people have: a default PyTorch export (BatchNormalization folded, Dropout deleted) of a small ResNet that
knows the digits 0 to 4 learns 5 to 9. The head is replaced, BatchNormalization re-inserted, the backbone frozen, then
trained too; PyTorch does the same recipe on its own model.

usage: test_finetune.py SARDONYX FOLDER [WORD...]
"""
import sys
import warnings

import numpy
import onnx
import onnxruntime
import torch
from sklearn import datasets, model_selection
from torch import nn

from common import Report, Tool

warnings.filterwarnings("ignore")
EPOCHS = (6, 10)  # head alone, everything


class Block(nn.Module):
    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out)
        self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out)
        self.skip = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out)) if stride > 1 else nn.Identity()

    def forward(self, x):
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.skip(x))


class ResNet(nn.Module):
    """ResNet-18's plan of four stages of two blocks, narrow enough for pictures of 8 x 8."""

    def __init__(self, classes, width=16):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(1, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        plan = [(width, width, 1), (width, width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 1),
                (2 * width, 4 * width, 2), (4 * width, 4 * width, 1), (4 * width, 8 * width, 2), (8 * width, 8 * width, 1)]
        self.layers = nn.Sequential(*[Block(*row) for row in plan])
        self.drop, self.fc = nn.Dropout(0.2), nn.Linear(8 * width, classes)

    def forward(self, x):
        x = self.layers(torch.relu(self.bn1(self.conv1(x))))
        return self.fc(self.drop(x.mean((2, 3))))


def split(low):
    x, y = datasets.load_digits(return_X_y=True)
    keep = (y >= low) & (y < low + 5)
    x, y = (x[keep] / 16).astype(numpy.float32).reshape(-1, 1, 8, 8), y[keep] - low
    return model_selection.train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)


def epochs_of(model, optimizer, x, y, n, frozen=None):
    for epoch in range(n):
        model.train()
        if frozen:
            frozen.eval()
        order = torch.from_numpy(numpy.random.default_rng(epoch).permutation(len(x)))
        for part in order.split(32):
            loss = nn.functional.cross_entropy(model(x[part]), y[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def accuracy(model, x, y):
    model.eval()
    with torch.no_grad():
        return (model(torch.from_numpy(x)).argmax(1).numpy() == y).mean()


def in_torch(model, x, y, valid_x, valid_y):
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    torch.manual_seed(1)
    model.fc = nn.Linear(model.fc.in_features, 5)
    nn.init.xavier_uniform_(model.fc.weight)
    nn.init.zeros_(model.fc.bias)
    for p in model.parameters():
        p.requires_grad = False
    for p in model.fc.parameters():
        p.requires_grad = True
    epochs_of(model, torch.optim.Adam(model.fc.parameters(), 1e-2), x, y, EPOCHS[0], model)
    first = accuracy(model, valid_x, valid_y)
    for p in model.parameters():
        p.requires_grad = True
    epochs_of(model, torch.optim.Adam(model.parameters(), 1e-3), x, y, EPOCHS[1])
    return first, accuracy(model, valid_x, valid_y)


def finetune(tool, dynamo):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = ResNet(5)
    x, valid_x, y, valid_y = split(0)
    epochs_of(model, torch.optim.Adam(model.parameters(), 2e-3), torch.from_numpy(x), torch.from_numpy(y), 8)
    assert accuracy(model, valid_x, valid_y) > 0.97
    path = tool.path(f"resnet-{dynamo}.onnx")
    batch = torch.export.Dim("N") if dynamo else None
    more = {"dynamic_shapes": {"x": {0: batch}}} if dynamo else {"dynamic_axes": {"x": {0: "N"}}}
    torch.onnx.export(model.eval(), (torch.from_numpy(x[:2]),), path, input_names=["x"], output_names=["logits"], dynamo=dynamo,
                      **more)
    kinds = {n.op_type for n in onnx.load(path).graph.node}
    assert "BatchNormalization" not in kinds and "Dropout" not in kinds, kinds
    x, valid_x, y, valid_y = split(5)
    data, valid = tool.arrays("new.npz", x=x, y=y), tool.arrays("new-valid.npz", x=valid_x, y=valid_y)
    head = next(n for n in reversed(onnx.load(path).graph.node) if n.op_type in ("Gemm", "MatMul")).input[1]
    common = {"batch": 32, "metrics": ["accuracy"], "seed": 1}
    first, _, middle = tool.train(f"head-{dynamo}", path, {
        **common, "epochs": EPOCHS[0], "head": {"classes": 5, "init": "glorot_uniform"}, "trainable": [head, "fc.bias"],
        "optimizer": {"kind": "adam", "lr": 1e-2}}, data, valid)
    second, _, trained = tool.train(f"all-{dynamo}", middle, {
        **common, "epochs": EPOCHS[1], "insert": [{"batch_norm": True, "after": "*onv*"}],
        "optimizer": {"kind": "adam", "lr": 1e-3}}, data, valid)
    onnx.checker.check_model(trained, full_check=True)
    assert "BatchNormalization" in {n.op_type for n in onnx.load(trained).graph.node}
    theirs = onnxruntime.InferenceSession(trained, providers=["CPUExecutionProvider"]).run(None, {"x": valid_x})[0]
    ours = (first["metrics"]["accuracy"], second["metrics"]["accuracy"])
    assert abs((theirs.argmax(1) == valid_y).mean() - ours[1]) < 1e-9, "ONNX Runtime sees another accuracy"
    rival = in_torch(model, x, y, valid_x, valid_y)
    said = f"head alone {ours[0]:.4f} (PyTorch {rival[0]:.4f}), everything {ours[1]:.4f} (PyTorch {rival[1]:.4f})"
    assert ours[1] >= rival[1] - 0.015, said
    return said


def main():
    tool, report = Tool(sys.argv[1], sys.argv[2]), Report(sys.argv[3:])
    report.case("resnet, default exporter", finetune, tool, True)
    report.case("resnet, older exporter", finetune, tool, False)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
