#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A whole training step as portable ONNX: valid, and the same step wherever it runs.

usage: test_step.py LIBRARY FOLDER [NAME...]

Each net is made a trainer and its step exported. onnx.checker must accept the file, no node may be of a domain of our
own, and three steps in a row, fed with their own outputs, must give the losses and parameters that the trainer gives:
in onnx.reference, and in ONNX Runtime where that has the operators of training.
"""
import os
import sys

import numpy
import onnx
import onnx.reference
import onnxruntime

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
from common import Net  # noqa: E402

STEPS = 3


def mlp(norm=None):
    net = Net((8,), seed=1).linear(8, 16)
    return net.norm(norm, 16).relu().linear(16, 4)


def convolutions(norm):
    net = Net((2, 8, 8), seed=2).conv(2, 8)
    return net.norm(norm, 8, (8, 8)).relu().pool().conv(8, 4, stride=2).relu().flatten().linear(16, 4)


def recurrent(op, gates, hidden=5, **attributes):
    """Both directions over six steps; all of their states are read. (onnx.reference knows no `clip`.)"""
    net = Net((6, 3), seed=3).add("Transpose", "steps", [], perm=[1, 0, 2])
    shapes = {"w": (2, gates * hidden, 3), "r": (2, gates * hidden, hidden), "b": (2, 2 * gates * hidden)}
    weights = [net.weight(f"rnn.{k}", net.uniform(shape, hidden)) for k, shape in shapes.items()]
    net.add(op, "rnn", weights, hidden_size=hidden, direction="bidirectional", **attributes)
    return net.add("Transpose", "batch", [], perm=[2, 0, 1, 3]).flatten().linear(12 * hidden, 4)


CE = {"kind": "cross_entropy"}
NETS = {  # net, shape of a sample, configuration, whether ONNX Runtime has what it needs
    "sgd": (mlp, (8,), {"loss": CE, "optimizer": {"kind": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True}}, True),
    "adam_clip": (mlp, (8,), {"loss": {**CE, "label_smoothing": 0.1}, "optimizer": {"kind": "adam", "lr": 0.01},
                              "clip": {"norm": 0.05}}, True),
    "adamw_prox": (mlp, (8,), {"loss": CE, "optimizer": {"kind": "adamw", "lr": 0.01},
                               "penalties": [{"kind": "l1", "l1": 0.01}], "ema": 0.9}, True),
    "rmsprop_penalty": (mlp, (8,), {"loss": CE, "optimizer": {"kind": "rmsprop", "lr": 0.01},
                                    "penalties": [{"kind": "l2", "mode": "subgradient"},
                                                  {"kind": "l1", "target": "activity", "match": "relu*"}]}, True),
    "lamb_constraint": (mlp, (8,), {"loss": CE, "optimizer": {"kind": "lamb", "lr": 0.01},
                                    "constraints": [{"kind": "max_norm", "max": 0.5, "match": "fc1.weight"}]}, True),
    "lion": (lambda: mlp("layer"), (8,), {"loss": CE, "optimizer": {"kind": "lion", "lr": 0.001}}, True),
    "adagrad_mse": (mlp, (8,), {"loss": {"kind": "mse"}, "optimizer": {"kind": "adagrad", "lr": 0.01}}, True),
    "conv": (lambda: convolutions(None), (2, 8, 8), {"loss": CE, "optimizer": {"kind": "adam", "lr": 0.01}}, True),
    "conv_batch_norm": (lambda: convolutions("batch"), (2, 8, 8),
                        {"loss": CE, "optimizer": {"kind": "sgd", "lr": 0.05}}, False),
    "conv_group_norm": (lambda: convolutions("group"), (2, 8, 8),
                        {"loss": CE, "optimizer": {"kind": "sgd", "lr": 0.05}}, True),
    "lstm": (lambda: recurrent("LSTM", 4), (6, 3), {"loss": CE, "optimizer": {"kind": "adam", "lr": 0.01}}, True),
    "gru": (lambda: recurrent("GRU", 3, linear_before_reset=1), (6, 3),
            {"loss": CE, "optimizer": {"kind": "adam", "lr": 0.01}}, True),
    "gru_reset_first": (lambda: recurrent("GRU", 3), (6, 3),
                        {"loss": CE, "optimizer": {"kind": "sgd", "lr": 0.1}}, True),
    "rnn": (lambda: recurrent("RNN", 1), (6, 3), {"loss": CE, "optimizer": {"kind": "sgd", "lr": 0.1}}, True),
}


def batches(shape, kind):
    random = numpy.random.default_rng(5)
    for _ in range(STEPS):
        x = random.normal(size=(6, *shape)).astype(numpy.float32)
        y = random.normal(size=(6, 4)).astype(numpy.float32) if kind == "mse" else random.integers(0, 4, 6)
        yield {"x": x, "y": y}


def reference(path):
    session = onnx.reference.ReferenceEvaluator(path)
    return lambda feeds: dict(zip(session.output_names, session.run(None, feeds)))


def runtime(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(names, feeds)))


def difference(got, want):
    return float(numpy.abs(numpy.asarray(got, numpy.float64) - want).max()) if numpy.size(want) else 0.0


def replay(run, model, start, records):
    """Runs the exported step as often as the trainer stepped; state goes from outputs to inputs by name."""
    wrong, state = [], dict(start)
    types = {i.name: i.type.tensor_type for i in model.graph.input}
    outputs = {o.name for o in model.graph.output}
    for name in types:
        base, _, what = name.rpartition(".")
        if name + ".new" in outputs and name not in state:
            shape = [d.dim_value for d in types[name].shape.dim]
            state[name] = start[base] if what == "average" else numpy.zeros(shape, numpy.float32)
    for step, (batch, loss, values, lr) in enumerate(records, 1):
        feeds = {name: value for name, value in {**state, **batch}.items() if name in types}
        feeds |= {"lr": numpy.float64(lr), "step": numpy.float64(step)}
        got = run({name: numpy.asarray(value) for name, value in feeds.items()})
        if difference(got["loss"], loss) > 2e-5:
            wrong.append(f"step {step}: the loss is {got['loss']}, the trainer's {loss}")
        for name, value in values.items():
            if name + ".new" in got and difference(got[name + ".new"], value) > 2e-5:
                wrong.append(f"step {step}: '{name}' is {difference(got[name + '.new'], value):.2g} away")
        state |= {name: got[name + ".new"] for name in state if name + ".new" in got}
    return wrong


def check(sardonyx, name, folder):
    make, shape, config, in_runtime = NETS[name]
    net = make().save(os.path.join(folder, f"{name}.onnx"))
    path = os.path.join(folder, f"{name}-step.onnx")
    trainer = sardonyx.Trainer(net, config)
    trainer.export_step(path)
    onnx.checker.check_model(path, full_check=True)
    model = onnx.load(path)
    wrong = [f"node '{n.name}' is {n.domain}.{n.op_type}" for n in model.graph.node if n.domain not in ("", "ai.onnx.ml")]
    names = [p.name for p in trainer.parameters()]
    start, records = {n: trainer.get(n) for n in names}, []
    for batch in batches(shape, config["loss"]["kind"]):
        result = trainer.step(batch)
        records.append((batch, result.loss, {n: trainer.get(n) for n in names}, result.lr))
    if not wrong:
        wrong = ["reference: " + line for line in replay(reference(path), model, start, records)]
        if in_runtime:
            wrong += ["runtime: " + line for line in replay(runtime(path), model, start, records)]
    return wrong


def main():
    os.environ["SARDONYX_LIBRARY"] = os.path.abspath(sys.argv[1])
    folder = sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "..", "tools", "python")]
    import sardonyx
    from cases import run
    run(((name, lambda name=name: check(sardonyx, name, folder)) for name in NETS), sys.argv[3:])


if __name__ == "__main__":
    main()
