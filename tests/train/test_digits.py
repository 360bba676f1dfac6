#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Real training on scikit-learn's digits, three seeds each: a plain net, batch normalisation with dropout, a convolutional
net, and the same nets under the other normalisations. The trained model is run by ONNX Runtime too.

usage: test_digits.py SARDONYX FOLDER [WORD...]
"""
import sys

import numpy
import onnx
import onnxruntime
from sklearn import datasets, model_selection

from common import Net, Report, Tool

SEEDS = (0, 1, 2)
ADAM = {"kind": "adam", "lr": 2e-3}


def load(tool, pictures):
    x, y = datasets.load_digits(return_X_y=True)
    x = (x / 16).astype(numpy.float32)
    if pictures:
        x = x.reshape(-1, 1, 8, 8)
    train_x, valid_x, train_y, valid_y = model_selection.train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    name = "pictures" if pictures else "rows"
    return (tool.arrays(f"{name}.npz", x=train_x, y=train_y), tool.arrays(f"{name}-valid.npz", x=valid_x, y=valid_y),
            valid_x, valid_y)


def mlp(seed, _):
    return Net([64], seed).linear(64, 64).relu().linear(64, 10)


def mlp_norm(seed, norm):
    net = Net([64], seed)
    for n_in, n_out in ((64, 128), (128, 64)):
        net.linear(n_in, n_out)
        if norm in ("instance", "group"):  # rows are channels of one element: normalised as one group of features
            name = net.name("fold")
            net.add("Reshape", name, [net.weight(f"{name}.shape", [0, 8, -1], numpy.int64)])
            net.norm(norm, 8)
            name = net.name("unfold")
            net.add("Reshape", name, [net.weight(f"{name}.shape", [0, -1], numpy.int64)])
        else:
            net.norm(norm, n_out)
        net.relu().dropout(0.3)
    return net.linear(64, 10)


def cnn(seed, norm):
    net = Net([1, 8, 8], seed)
    net.conv(1, 32).norm(norm, 32, (8, 8)).relu()
    net.conv(32, 64).norm(norm, 64, (8, 8)).relu().pool()
    net.conv(64, 64).norm(norm, 64, (4, 4)).relu().pool()
    return net.flatten().dropout(0.3).linear(256, 64).relu().dropout(0.3).linear(64, 10)


def train(tool, name, build, norm, pictures, config, gate):
    data, valid, x, y = load(tool, pictures)
    found = []
    for seed in SEEDS:
        model = build(seed, norm).save(tool.path(f"{name}-{seed}.onnx"))
        result, _, trained = tool.train(f"{name}-{seed}", model, {**config, "batch": 64, "seed": seed + 1,
                                                                  "metrics": ["accuracy"]}, data, valid)
        accuracy = result["metrics"]["accuracy"]
        onnx.checker.check_model(trained, full_check=True)
        logits = onnxruntime.InferenceSession(trained, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
        theirs = (logits.argmax(1) == y).mean()
        assert abs(theirs - accuracy) < 1e-9, f"seed {seed}: {accuracy} here, {theirs} under ONNX Runtime"
        found.append(accuracy)
    assert min(found) >= gate, f"accuracies {found}; at least {gate} is wanted"
    return " ".join(f"{a:.4f}" for a in found) + f" (gate {gate})"


def main():
    tool, report = Tool(sys.argv[1], sys.argv[2]), Report(sys.argv[3:])
    report.case("mlp", train, tool, "mlp", mlp, None, False, {"epochs": 60, "optimizer": ADAM}, 0.955)
    for norm, gate in (("batch", 0.97), ("layer", 0.96), ("instance", 0.96), ("group", 0.96)):
        report.case(f"mlp {norm}", train, tool, f"mlp_{norm}", mlp_norm, norm, False,
                    {"epochs": 60, "optimizer": ADAM, "schedule": {"kind": "cosine"}}, gate)
    for norm, gate in (("batch", 0.985), ("layer", 0.975), ("instance", 0.975), ("group", 0.975)):
        report.case(f"cnn {norm}", train, tool, f"cnn_{norm}", cnn, norm, True,
                    {"epochs": 20, "optimizer": ADAM, "schedule": {"kind": "cosine"}}, gate)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
