#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What tutorials teach about regularisation, row by row: each case carries the name of what is taught, and compares with
PyTorch, scikit-learn or the closed formula.

usage: test_regularisation.py SARDONYX FOLDER [WORD...]
"""
import json
import os
import sys
import warnings

import numpy
import onnx
import torch
from sklearn import datasets, linear_model
from sklearn.feature_extraction.text import CountVectorizer
from torch import nn

from common import Net, Report, Tool, close, weights_of

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "python"))
import sardonyx  # noqa: E402  pylint: disable=wrong-import-position

warnings.filterwarnings("ignore")
F64 = numpy.float64
SGD = {"kind": "sgd", "lr": 0.1}
R = numpy.random.default_rng(11)


def mlp(dtype=F64, norm=None):
    return Net([6], seed=2, dtype=dtype).linear(6, 8).norm(norm, 8).relu().linear(8, 3)


def batch(n=16, features=6, classes=3, dtype=F64):
    return {"x": R.normal(size=(n, features)).astype(dtype), "y": R.integers(0, classes, n)}


def torch_twin(net):
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    for name, key in (("0.weight", "fc1.weight"), ("0.bias", "fc1.bias"), ("2.weight", "fc2.weight"), ("2.bias", "fc2.bias")):
        model.get_parameter(name).data = torch.from_numpy(net.weights[key].copy())
    return model


def trainer(tool, net, config, name="net"):
    return sardonyx.Trainer(net.save(tool.path(f"{name}.onnx")), config)


def against_torch(tool, penalty_config, penalty_torch):
    """Value of the penalty, and parameters after three steps with it."""
    net, data = mlp(), batch()
    ours = trainer(tool, net, {"optimizer": SGD, "penalties": penalty_config})
    theirs = torch_twin(net)
    optimizer, worst = torch.optim.SGD(theirs.parameters(), 0.1), 0
    for _ in range(3):
        penalty = penalty_torch(theirs)
        loss = nn.functional.cross_entropy(theirs(torch.from_numpy(data["x"])), torch.from_numpy(data["y"]))
        result = ours.step(data)
        worst = max(worst, close(sum(result.penalties), penalty.item(), 1e-12, "value"), close(result.loss, loss.item(), 1e-12, "loss"))
        optimizer.zero_grad()
        (loss + penalty).backward()
        optimizer.step()
    for key, value in zip(("fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"), theirs.parameters()):
        worst = max(worst, close(ours.get(key), value.detach().numpy(), 1e-12, key))
    return f"{worst:.1e}"


def row1(tool):
    return against_torch(tool, [{"kind": "l1", "l1": 0.01, "target": "all", "mode": "subgradient"}],
                         lambda m: 0.01 * sum(torch.sum(torch.abs(p)) for p in m.parameters()))


def row2(tool):
    return against_torch(tool, [{"kind": "l2norm", "l2": 0.02, "target": "all", "mode": "subgradient"}],
                         lambda m: 0.02 * sum(torch.norm(p, 2) for p in m.parameters()))


def row3(tool):
    """(L1, L2) of the model, each by itself, beside the loss of the data; kernels alone."""
    net, data = mlp(norm="layer"), batch()
    result = trainer(tool, net, {"optimizer": SGD, "penalties": [{"kind": "l1", "l1": 0.01, "target": "kernel"},
                                                                 {"kind": "l2", "l2": 0.02, "target": "kernel"}]}).step(data)
    kernels = [net.weights["fc1.weight"], net.weights["fc2.weight"]]
    close(result.penalties, [0.01 * sum(numpy.abs(w).sum() for w in kernels), 0.02 * sum((w**2).sum() for w in kernels)], 1e-12, "values")
    bare = trainer(tool, mlp(norm="layer"), {"optimizer": SGD}).step(data)
    assert bare.loss == result.loss and bare.penalties == (), (bare, result)
    return None


def linear_fit(tool, x, y, penalties, steps=4000, lr=None, name="linear"):
    net = Net([x.shape[1]], dtype=F64).linear(x.shape[1], 1, name="fc", zeros=True)
    lr = lr or 0.9 / numpy.linalg.eigvalsh(x.T @ x / len(x)).max() / 2
    data = tool.arrays(f"{name}.npz", x=x, y=y.reshape(-1, 1))
    result, weights, _ = tool.train(name, net.save(tool.path(f"{name}.onnx"), output="out"),
                                    {"epochs": steps, "batch": len(x), "shuffle": False,
                                     "loss": {"kind": "mse", "output": "out"}, "penalties": penalties,
                                     "optimizer": {"kind": "sgd", "lr": lr}}, data)
    return weights["fc.weight"][0], result


def row4(tool):
    """Proximal steps: exact zeros, counted; columns that are all zero, listed; small ones apart. A subgradient gives none."""
    x = R.normal(size=(200, 6))
    y = 2 * x[:, 0] - x[:, 3] + 0.002 * x[:, 5]
    w, result = linear_fit(tool, x, y, [{"kind": "l1", "l1": 0.05}])
    row = next(r for r in result["sparsity"] if r["parameter"] == "fc.weight")
    zeros = numpy.flatnonzero(w == 0).tolist()
    assert set(zeros) >= {1, 2, 4, 5} and row["zeros"] == len(zeros) and row["zero_inputs"] == zeros, (w, row)
    w, result = linear_fit(tool, x, y, [{"kind": "l1", "l1": 0.05, "mode": "subgradient"}])
    row = next(r for r in result["sparsity"] if r["parameter"] == "fc.weight")
    assert row["zeros"] == 0 and (w != 0).all(), "a subgradient gave zeros"
    return f"zeros at {zeros}"


def row5(tool):
    """Two copies of one feature: lasso picks, ridge shares, elastic net groups."""
    a = R.normal(size=300)
    x = numpy.stack([a, 0.98 * a + 0.05 * R.normal(size=300), R.normal(size=300)], 1)
    y = x[:, 0] + x[:, 2]
    lasso, _ = linear_fit(tool, x, y, [{"kind": "l1", "l1": 0.4}], 20000)
    ridge, _ = linear_fit(tool, x, y, [{"kind": "l2", "l2": 0.2}])
    net, _ = linear_fit(tool, x, y, [{"kind": "l1_l2", "l1": 0.2, "l2": 0.2}], 20000)
    assert lasso[1] == 0 and lasso[0] > 0.5, f"lasso {lasso}"
    assert abs(ridge[0] - ridge[1]) < 0.1 * ridge[0], f"ridge {ridge}"
    assert net[0] > 0 and net[1] > 0 and abs(net[0] - net[1]) < 0.5 * net[0], f"elastic net {net}"
    return f"lasso {lasso[:2].round(3)}, ridge {ridge[:2].round(3)}, elastic net {net[:2].round(3)}"


def row6(tool):
    x = R.normal(size=(100, 5))
    y = x[:, 0] + 0.01 * R.normal(size=100)
    plain, _ = linear_fit(tool, x, y, [])
    w, _ = linear_fit(tool, x, y, [{"kind": "l2", "l2": 0.5}])
    close(w, linear_model.Ridge(alpha=50, fit_intercept=True).fit(x, y).coef_, 5e-2, "ridge")
    assert (w != 0).all() and numpy.abs(w).sum() < numpy.abs(plain).sum()
    return None


def dropout_model(tool, p, shape, training=True):
    nodes = [onnx.helper.make_node("Dropout", ["x", "p", "t"], ["y"])]
    f = onnx.TensorProto.FLOAT
    weights = [onnx.numpy_helper.from_array(numpy.float32(p), "p"), onnx.numpy_helper.from_array(numpy.bool_(training), "t")]
    graph = onnx.helper.make_graph(nodes, "d", [onnx.helper.make_tensor_value_info("x", f, shape)],
                                   [onnx.helper.make_tensor_value_info("y", f, shape)], weights)
    path = tool.path("dropout.onnx")
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 22)], ir_version=10), path)
    return path


def numpy_dropout(x, dy, p, random):
    m = random.random(x.shape) >= p
    return x * m / (1 - p), dy * m / (1 - p)


def row7(tool):
    """ratio = p of dropping, as numpy's five lines; outputs are 0 or x / (1 - p)."""
    x = numpy.ones((400, 500), numpy.float32)
    (y,) = sardonyx.InferenceSession(dropout_model(tool, 0.4, x.shape), seed=5).run(None, {"x": x})
    twin, _ = numpy_dropout(x, x, 0.4, numpy.random.default_rng(0))
    assert set(numpy.unique(y)) == set(numpy.unique(twin.astype(numpy.float32))), numpy.unique(y)
    for found in (y, twin):
        assert abs((found == 0).mean() - 0.4) < 0.005 and abs(found.mean() - 1) < 0.01, (found == 0).mean()
    zero = sardonyx.InferenceSession(dropout_model(tool, 1.0, (4, 4))).run(None, {"x": numpy.ones((4, 4), numpy.float32)})[0]
    assert (zero == 0).all(), "ratio 1 gives zeros"
    return f"{(y == 0).mean():.4f} dropped"


def row8(tool):
    """Activations are dropped, inference is the identity; with the classic convention the ratio is what is kept."""
    net = Net([500], dtype=numpy.float32).dropout(0.1).linear(500, 1, name="fc")
    net.weights["fc.weight"] = numpy.ones((1, 500), numpy.float32)
    net.weights["fc.bias"] = numpy.zeros(1, numpy.float32)
    data = {"x": numpy.ones((64, 500), numpy.float32), "y": numpy.zeros((64, 1), numpy.float32)}
    shares = {}
    for convention in ("inverted", "classic"):
        config = {"loss": {"kind": "mse", "output": "logits"}, "optimizer": SGD, "dropout_convention": convention}
        ours = trainer(tool, net, config, "classic")
        result, y = ours.evaluate(data, ["logits"])
        assert (y == 500).all(), "inference is not the identity"
        ours.gradients(data)
        # dL/dW_j = mean_i 2 y_i x_ij m_ij / (1 - p): 0 in those of the 64 samples that dropped it
        model = sardonyx.Trainer(tool.path("classic.onnx"), {**config, "input_gradients": ["x"]})
        model.gradients(data)
        shares[convention] = (model.gradient("x") == 0).mean()
    assert abs(shares["inverted"] - 0.1) < 0.01 and abs(shares["classic"] - 0.9) < 0.01, shares
    return str({k: round(float(v), 4) for k, v in shares.items()})


def export(model, x, path, training=False, batch="N", **more):
    axes = {"dynamic_axes": {"x": {0: batch}, "out": {0: batch}}} if batch else {}
    mode = torch.onnx.TrainingMode.TRAINING if training else torch.onnx.TrainingMode.EVAL
    torch.onnx.export(model.train(training), (x,), path, input_names=["x"], output_names=["out"], dynamo=False, training=mode,
                      do_constant_folding=not training, **axes, **more)
    return path


def row9(tool):
    """Sequential(Linear, Dropout, ReLU, Linear, Dropout, Sigmoid): both forms run, train, and are exported again."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 32), nn.Dropout(0.4), nn.ReLU(), nn.Linear(32, 1), nn.Dropout(0.5), nn.Sigmoid())
    x = R.normal(size=(256, 6)).astype(numpy.float32)
    y = (x[:, :1] + x[:, 1:2] > 0).astype(numpy.float32)
    data = tool.arrays("row9.npz", x=x, y=y)
    said = []
    for training in (False, True):
        path = export(model, torch.from_numpy(x[:4]), tool.path(f"row9-{training}.onnx"), training)
        sardonyx.InferenceSession(path).run(None, {"x": x})
        config = {"epochs": 40, "batch": 32, "loss": {"kind": "bce_with_logits", "output": "out"}, "optimizer": {"kind": "adam", "lr": 0.01}}
        if not training:  # this exporter leaves the Dropouts out: put back where they were
            config["insert"] = [{"dropout": 0.4, "after": "/0/Gemm"}, {"dropout": 0.5, "after": "/3/Gemm"}]
        result, _, out = tool.train(f"row9-{training}", path, config, data)
        probability = sardonyx.InferenceSession(out).run(None, {"x": x})[0]
        accuracy = ((probability > 0.5) == y).mean()
        kinds = {n.op_type for n in onnx.load(out).graph.node}
        assert "Sigmoid" in kinds and accuracy > 0.9, (kinds, accuracy)
        assert (sardonyx.InferenceSession(out).run(None, {"x": x})[0] == probability).all(), "inference still draws"
        said.append(f"{'training' if training else 'inference'} form {accuracy:.3f}")
    return ", ".join(said)


def feature_dropout(tool, shape):
    """x times a Dropout of ones that has one element for each channel: how a graph says nn.Dropout1d, 2d, 3d."""
    net = Net(list(shape), dtype=numpy.float32)
    ones, p, t = net.weight("ones", numpy.ones(1)), net.weight("p", numpy.asarray(0.3)), net.weight("t", True, numpy.bool_)
    net.weight("tail", [1] * (len(shape) - 1), numpy.int64)
    for op, inputs, out, more in (("Shape", ["x"], "dims", {"start": 0, "end": 2}), ("Concat", ["dims", "tail"], "mask_shape", {"axis": 0}),
                                  ("Expand", [ones, "mask_shape"], "kept", {}), ("Dropout", ["kept", p, t], "mask", {})):
        net.nodes.append(onnx.helper.make_node(op, inputs, [out], name=f"feature_{op}", **more))
    return net.add("Mul", "apply", ["mask"]).flatten().linear(int(numpy.prod(shape)), 2)


def row10(tool):
    """nn.Dropout drops elements, Dropout1d, 2d, 3d whole channels, where the graph has them; inference draws nothing."""
    for rank, shape in enumerate(((20,), (4, 5), (4, 3, 3), (4, 2, 2, 2))):
        net = feature_dropout(tool, shape) if rank else Net([20]).dropout(0.3).linear(20, 2)
        data = {"x": R.normal(size=(64, *shape)).astype(numpy.float32), "y": numpy.zeros(64, numpy.int64)}
        ours = trainer(tool, net, {"optimizer": SGD, "input_gradients": ["x"]}, f"drop{rank}")
        ours.gradients(data)
        gone = ours.gradient("x") == 0
        flat = gone.reshape(64, shape[0], -1)
        assert not rank or (flat.all(-1) == flat.any(-1)).all(), f"rank {rank}: parts of a channel are dropped"
        assert 0.2 < gone.mean() < 0.4, f"rank {rank}: {gone.mean():.2f} dropped"
        ours.step(data)
        first, second = ours.evaluate(data), ours.evaluate(data)
        assert first.loss == second.loss, f"rank {rank} draws in inference"
    return None


NORM_SHAPES = {1: (6, 4), 2: (6, 4, 5, 5), 3: (5, 4, 3, 3, 3)}


class Normed(nn.Module):
    def __init__(self, norm, outputs=2):
        super().__init__()
        self.norm, self.fc = norm, nn.LazyLinear(outputs)

    def forward(self, x):
        return self.fc(torch.flatten(self.norm(x), 1))


def train_both(tool, name, model, shape, steps=5, lr=0.05, config=None, bound=1e-9, training_form=True, fixed=False):
    """The same steps here and in PyTorch (f64); compares parameters, statistics and inference outputs."""
    model = model.double()
    data = [{"x": R.normal(1, 2, size=shape), "y": R.integers(0, 2, shape[0])} for _ in range(steps)]
    model(torch.from_numpy(data[0]["x"]))
    path = export(model, torch.from_numpy(data[0]["x"]), tool.path(f"{name}.onnx"), training_form, None if fixed else "N", opset_version=18)
    start = weights_of(path)  # tracing a model moves its statistics: both begin with those of the file
    model.load_state_dict({**model.state_dict(), **{k: torch.from_numpy(start[k].copy()) for k in model.state_dict() if k in start}})
    ours = sardonyx.Trainer(path, {"loss": {"kind": "cross_entropy", "output": "out"}, "optimizer": {"kind": "sgd", "lr": lr}, **(config or {})})
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr)
    model.train()
    for d in data:
        ours.step(d)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(torch.from_numpy(d["x"])), torch.from_numpy(d["y"])).backward()
        optimizer.step()
    named = {p.name: p for p in ours.parameters()}
    worst = 0
    for key, value in model.state_dict().items():
        if key in named and value.ndim:
            loose = 1e-6 if "running" in key else bound  # attribute momentum is f32: 1 - .9f is not .1
            worst = max(worst, close(ours.get(key), value.numpy(), loose, f"{name}: {key}"))
    model.eval()
    _, out = ours.evaluate(data[0], ["out"])
    tracked = any("running" in key for key in named)
    worst = max(worst, close(out, model(torch.from_numpy(data[0]["x"])).detach().numpy(), 1e-6 if tracked else bound, f"{name}: inference"))
    return worst, ours, named, path


def row11(tool):
    """BatchNorm1d, 2d, 3d with every parameter varied."""
    worst = 0
    kinds = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
    for rank, kind in kinds.items():
        for name, more in (("plain", {}), ("eps", {"eps": 1e-2}), ("momentum", {"momentum": 0.35}), ("no_affine", {"affine": False}),
                           ("no_stats", {"track_running_stats": False})):
            model = Normed(kind(4, **more))
            fixed = name == "no_stats"  # this exporter wants the batch size then
            error, ours, named, _ = train_both(tool, f"bn{rank}_{name}", model, NORM_SHAPES[rank], fixed=fixed)
            worst = max(worst, error)
            if name == "no_affine":
                trained = [p.name for p in named.values() if p.trained]
                assert trained == ["fc.weight", "fc.bias"] or set(trained) == {"fc.weight", "fc.bias"}, f"trained: {trained}"
            if name == "no_stats":  # batch statistics in both modes
                x = R.normal(size=NORM_SHAPES[rank])
                _, a = ours.evaluate({"x": x, "y": numpy.zeros(len(x), numpy.int64)}, ["out"])
                _, b = ours.evaluate({"x": 3 * x + 1, "y": numpy.zeros(len(x), numpy.int64)}, ["out"])
                close(a, b, 1e-3, "scale and shift of the batch must not matter")
    net = Net([6], seed=2, dtype=F64).linear(6, 8).norm("batch", 8).linear(8, 3)
    try:
        trainer(tool, net, {"optimizer": SGD}, "single").step(batch(1))
    except sardonyx.SardonyxError as problem:
        assert "norm1" in str(problem), problem
    else:
        raise AssertionError("one element per channel was accepted in training")
    return f"{worst:.1e}"


def row12(tool):
    """Running averages: updated as PyTorch does; frozen with the layer; recalibrated."""
    error, _, _, path = train_both(tool, "running", Normed(nn.BatchNorm2d(4)), NORM_SHAPES[2], steps=10)
    data = {"x": R.normal(size=NORM_SHAPES[2]), "y": numpy.zeros(6, numpy.int64)}
    frozen = sardonyx.Trainer(path, {"loss": {"kind": "cross_entropy", "output": "out"}, "optimizer": SGD, "freeze": ["norm*"]})
    before = frozen.get("norm.running_mean")
    for _ in range(3):
        frozen.step(data)
    assert (frozen.get("norm.running_mean") == before).all(), "frozen statistics moved"
    again = sardonyx.Trainer(path, {"loss": {"kind": "cross_entropy", "output": "out"}, "optimizer": SGD})
    again.calibrate(data)
    close(again.get("norm.running_mean"), data["x"].mean((0, 2, 3)), 1e-9, "recalibrated mean")
    return f"{error:.1e}"


def row13(tool):
    """LayerNorm over any trailing shape, without affine, as operator and decomposed, lengths that vary between steps."""
    worst = 0
    for shape in ((4,), (4, 5), (4, 5, 5)):
        for affine in (True, False):
            for opset in (13, 17):
                model = Normed(nn.LayerNorm(list(shape), elementwise_affine=affine)).double()
                x = R.normal(size=(6, *shape))
                model(torch.from_numpy(x))
                path = tool.path("ln.onnx")
                export(model, torch.from_numpy(x), path, True, opset_version=opset)
                data = {"x": x, "y": R.integers(0, 2, 6)}
                ours = sardonyx.Trainer(path, {"loss": {"kind": "cross_entropy", "output": "out"}, "optimizer": {"kind": "sgd", "lr": 0.05}})
                optimizer = torch.optim.SGD(model.parameters(), 0.05)
                for _ in range(3):
                    ours.step(data)
                    optimizer.zero_grad()
                    nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(data["y"])).backward()
                    optimizer.step()
                _, out = ours.evaluate(data, ["out"])
                worst = max(worst, close(out, model(torch.from_numpy(x)).detach().numpy(), 1e-6 if opset == 13 else 1e-9, f"{shape} {affine} {opset}"))
    net = Net({"x": ["T", 6]}, seed=1, dtype=F64)
    name = "norm"
    net.add("LayerNormalization", name, [net.weight("norm.weight", numpy.ones(6)), net.weight("norm.bias", numpy.zeros(6))], axis=-1)
    net.add("ReduceMean", "mean", [net.weight("axes", [1], numpy.int64)], keepdims=0).linear(6, 3)
    ours = trainer(tool, net, {"optimizer": SGD}, "lengths")
    for length in (3, 7, 2, 7):
        result = ours.step({"x": R.normal(size=(4, length, 6)), "y": R.integers(0, 3, 4)})
        assert numpy.isfinite(result.loss)
    return f"{worst:.1e}"


def row14(tool):
    """InstanceNorm: training equals inference; the tracking variant; one spatial element."""
    worst = 0
    for more in ({}, {"affine": True}, {"eps": 1e-2, "affine": True}):
        error, _, _, _ = train_both(tool, f"in_{'_'.join(more) or 'plain'}", Normed(nn.InstanceNorm2d(4, **more)), NORM_SHAPES[2], steps=4)
        worst = max(worst, error)
    tracking = Normed(nn.InstanceNorm2d(4, affine=True, track_running_stats=True)).double()
    for _ in range(3):
        x = torch.from_numpy(R.normal(1, 2, size=NORM_SHAPES[2]))
        tracking(x)
    path = export(tracking, x, tool.path("in_tracking.onnx"), batch=None)
    found = sardonyx.InferenceSession(path).run(None, {"x": x.numpy()})[0]
    worst = max(worst, close(found, tracking.eval()(x).detach().numpy(), 1e-9, "tracking, inference"))
    for name, space in (("one_pixel", [1, 1]), ("open_pixel", ["H", "W"])):
        net = Net([4, *space], dtype=F64).norm("instance", 4).flatten().linear(4, 2)
        try:
            trainer(tool, net, {"optimizer": SGD}, name).step({"x": R.normal(size=(3, 4, 1, 1)), "y": numpy.zeros(3, numpy.int64)})
        except sardonyx.SardonyxError as problem:
            assert "norm1" in str(problem) and "more than one place" in str(problem), problem
        else:
            raise AssertionError(f"{name}: one spatial element was accepted in training")
    return f"{worst:.1e}"


def row15(tool):
    """GroupNorm: independent of the batch size; accumulation exact; per-channel scale."""
    worst, _, named, _ = train_both(tool, "gn", Normed(nn.GroupNorm(2, 4)), NORM_SHAPES[2])
    assert named["norm.weight"].shape == (4,) and named["norm.weight"].trained
    net = Net([4, 5, 5], dtype=F64).conv(4, 8).norm("group", 8).relu().flatten().linear(200, 2)
    data = {"x": R.normal(size=(8, 4, 5, 5)), "y": R.integers(0, 2, 8)}
    whole, parts = trainer(tool, net, {"optimizer": SGD}, "gn_a"), trainer(tool, net, {"optimizer": SGD, "accumulate": 4}, "gn_b")
    one, all_ = whole.evaluate({k: v[:1] for k, v in data.items()}, ["logits"])[1], whole.evaluate(data, ["logits"])[1]
    close(one, all_[:1], 1e-12, "one sample alone")
    whole.step(data)
    for part in ((0, 1), (1, 3), (3, 6), (6, 8)):
        result = parts.step({k: v[slice(*part)] for k, v in data.items()})
    assert result.updated
    for p in whole.parameters():
        worst = max(worst, close(parts.get(p.name), whole.get(p.name), 1e-12, p.name))
    return f"{worst:.1e}"


def row16(tool):
    """kernel_, bias_ and activity_regularizer on Dense and LSTM: W, R and B apart; activities divided by the batch."""
    net, data = mlp(), batch()
    config = {"optimizer": SGD, "penalties": [{"kind": "l2", "l2": 0.1, "target": "kernel", "match": "fc1*"},
                                              {"kind": "l1", "l1": 0.2, "target": "bias", "match": "fc1*"},
                                              {"kind": "l1", "l1": 0.3, "target": "activity", "match": "relu1*", "scale": "per_batch"}]}
    result = trainer(tool, net, config).step(data)
    w, b = net.weights["fc1.weight"], net.weights["fc1.bias"]
    activity = numpy.maximum(data["x"] @ w.T + b, 0)
    close(result.penalties, [0.1 * (w**2).sum(), 0.2 * numpy.abs(b).sum(), 0.3 * numpy.abs(activity).sum() / 16], 1e-12, "Dense")
    lstm = Net({"x": [4, 5]}, seed=4, dtype=F64)
    lstm.add("Transpose", "turn", [], perm=[1, 0, 2])
    names = [lstm.weight("lstm.W", lstm.uniform((1, 12, 5), 5)), lstm.weight("lstm.R", lstm.uniform((1, 12, 3), 3)), lstm.weight("lstm.B", lstm.uniform((1, 24), 3))]
    lstm.nodes.append(onnx.helper.make_node("LSTM", [lstm.at, *names], ["", "lstm_h"], name="lstm", hidden_size=3))
    lstm.at = "lstm_h"
    lstm.add("Squeeze", "squeeze", [lstm.weight("zero", [0], numpy.int64)]).linear(3, 3)
    penalties = [{"kind": "l1", "l1": 0.1, "target": target, "match": "lstm*"} for target in ("kernel", "recurrent", "bias")]
    result = trainer(tool, lstm, {"optimizer": SGD, "penalties": penalties}, "lstm").step({"x": R.normal(size=(6, 4, 5)), "y": R.integers(0, 3, 6)})
    close(result.penalties, [0.1 * numpy.abs(lstm.weights[f"lstm.{k}"]).sum() for k in "WRB"], 1e-12, "LSTM")
    return None


def row17(tool):
    """l1, l2, l1_l2 with Keras's defaults (.01) and factors; the configuration is kept in the checkpoint."""
    net, data = mlp(), batch()
    w = net.weights["fc2.weight"]
    for kind, value in (("l1", 0.01 * numpy.abs(w).sum()), ("l2", 0.01 * (w**2).sum()), ("l1_l2", 0.01 * (numpy.abs(w).sum() + (w**2).sum()))):
        ours = trainer(tool, net, {"optimizer": SGD, "penalties": [{"kind": kind, "match": "fc2*"}]})
        close(ours.step(data).penalties, [value], 1e-12, kind)
    ours = trainer(tool, net, {"optimizer": SGD, "penalties": [{"kind": "l2", "l2": 0.5, "match": "fc2*", "mode": "coupled"}]})
    plain = trainer(tool, net, {"optimizer": SGD}, "plain")
    plain.gradients(data)
    ours.step(data)
    close(ours.get("fc2.weight"), w - 0.1 * (plain.gradient("fc2.weight") + 2 * 0.5 * w), 1e-12, "gradient 2 l2 w")
    path = tool.path("kept.safetensors")
    ours.save(path)
    with open(path, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    assert any("l2" in text and "fc2*" in text for text in header["__metadata__"].values()), header["__metadata__"]
    return None


def row18(tool):
    """A penalty on a frozen tensor counts and moves nothing."""
    net, data = mlp(), batch()
    ours = trainer(tool, net, {"optimizer": SGD, "freeze": ["fc1*"], "penalties": [{"kind": "l2", "l2": 0.1, "match": "fc1*"}]})
    result = ours.step(data)
    close(result.penalties, [0.1 * (net.weights["fc1.weight"] ** 2).sum()], 1e-12, "value")
    assert (ours.get("fc1.weight") == net.weights["fc1.weight"]).all() and (ours.get("fc2.weight") != net.weights["fc2.weight"]).any()
    return None


def row19(tool):
    """glorot, he, zeros, ones for a new head; max_norm, non_neg, unit_norm, min_max_norm after each step."""
    net, data = mlp(numpy.float32), batch(dtype=numpy.float32)
    big = Net([400], dtype=numpy.float32).linear(400, 300, name="body").relu().linear(300, 3, name="head").save(tool.path("head.onnx"))
    for init, bound in (("glorot_uniform", numpy.sqrt(6 / 500)), ("he_uniform", numpy.sqrt(6 / 300)), ("zeros", 0), ("ones", 1)):
        w = sardonyx.Trainer(big, {"head": {"classes": 200, "init": init}}).get("head.weight")
        assert w.shape == (200, 300), w.shape
        if init in ("zeros", "ones"):
            assert (w == bound).all()
        else:
            assert 0.99 * bound < numpy.abs(w).max() <= bound and abs(w.std() / (bound / numpy.sqrt(3)) - 1) < 0.02, (init, w.std())
    for init, deviation in (("glorot_normal", numpy.sqrt(2 / 500)), ("he_normal", numpy.sqrt(2 / 300))):
        w = sardonyx.Trainer(big, {"head": {"classes": 200, "init": init}}).get("head.weight")
        assert abs(w.std() / deviation - 1) < 0.03, (init, w.std(), deviation)
    checks = {"max_norm": ({"max": 0.5}, lambda n, w: (n <= 0.5 + 1e-6).all()), "non_neg": ({}, lambda n, w: (w >= 0).all()),
              "unit_norm": ({}, lambda n, w: numpy.allclose(n, 1, atol=1e-5)),
              "min_max_norm": ({"min": 0.3, "max": 0.4, "rate": 1}, lambda n, w: ((n >= 0.3 - 1e-5) & (n <= 0.4 + 1e-5)).all())}
    for kind, (more, holds) in checks.items():
        ours = trainer(tool, net, {"optimizer": SGD, "constraints": [{"kind": kind, "match": "fc1.weight", **more}]})
        ours.step(data)
        w = ours.get("fc1.weight")
        norms = numpy.linalg.norm(w, axis=1)  # of each output's incoming weights
        assert holds(norms, w), (kind, norms)
    return None


def row20(tool):
    """Keras l2(lambda) = weight_decay 2 lambda = 2 x tf.nn.l2_loss's lambda; SGD moves the same."""
    net, data = mlp(), batch()
    lam, found = 0.03, []
    for config in ({"penalties": [{"kind": "l2", "l2": lam, "target": "all", "mode": "subgradient"}]},
                   {"penalties": [{"kind": "l2", "l2": lam, "target": "all", "mode": "coupled"}]},
                   {"optimizer": {**SGD, "weight_decay": 2 * lam}}):
        ours = trainer(tool, net, {"optimizer": SGD, **config})
        for _ in range(3):
            ours.step(data)
        found.append(ours.get("fc1.weight"))
    theirs = torch_twin(net)
    optimizer = torch.optim.SGD(theirs.parameters(), 0.1, weight_decay=2 * lam)
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(theirs(torch.from_numpy(data["x"])), torch.from_numpy(data["y"])).backward()
        optimizer.step()
    return f"{max(close(w, theirs[0].weight.detach().numpy(), 1e-12, 'fc1.weight') for w in found):.1e}"


def row21(tool):
    """L = (w - a)^2 / 2 for one weight: l1 gives sign(a) max(|a| - l, 0), l2 gives a / (1 + 2 l)."""
    for a in (0.3, -0.8, 0.1):
        for lam in (0.05, 0.2, 0.5):
            x, y = numpy.full((1, 1), numpy.sqrt(0.5)), numpy.full(1, a * numpy.sqrt(0.5))
            for kind, want in (("l1", numpy.sign(a) * max(abs(a) - lam, 0)), ("l2", a / (1 + 2 * lam))):
                net = Net([1], dtype=F64)
                net.add("MatMul", "fc", [net.weight("w", numpy.ones((1, 1)))])
                path = net.save(tool.path("one.onnx"), output="out")
                ours = sardonyx.Trainer(path, {"loss": {"kind": "mse", "output": "out"}, "optimizer": {"kind": "sgd", "lr": 0.3},
                                               "penalties": [{"kind": kind, kind: lam}]})
                for _ in range(300):
                    ours.step({"x": x, "y": y[:, None]})
                w = ours.get("w").item()
                assert abs(w - want) < 1e-9 and (w == 0) == (want == 0), (a, lam, kind, w, want)
    return None


TOPICS = {"sea": "wave tide sail harbour gull salt reef anchor", "wood": "oak moss fern owl bark trail fox root",
          "city": "tram bridge market clock tower street lamp square"}


def row22(tool):
    """Thousands of features of text: most coefficients become exactly 0, the accuracy stays."""
    filler = [f"word{k}" for k in range(4000)]
    texts, labels = [], []
    for k in range(600):
        label = k % 3
        words = list(R.choice(list(TOPICS.values())[label].split(), 6)) + list(R.choice(filler, 30))
        texts.append(" ".join(words))
        labels.append(label)
    x = CountVectorizer().fit_transform(texts).toarray().astype(numpy.float32)
    y = numpy.array(labels)
    net = Net([x.shape[1]], dtype=numpy.float32).linear(x.shape[1], 3, name="fc", zeros=True)
    config = {"epochs": 60, "batch": 400, "optimizer": {"kind": "sgd", "lr": 0.5}, "metrics": ["accuracy"],
              "penalties": [{"kind": "l1", "l1": 0.004, "target": "kernel"}]}
    result, weights, _ = tool.train("texts", net.save(tool.path("texts.onnx")), config, tool.arrays("texts.npz", x=x[:400], y=y[:400]),
                                    tool.arrays("texts-valid.npz", x=x[400:], y=y[400:]))
    share, accuracy = (weights["fc.weight"] == 0).mean(), result["metrics"]["accuracy"]
    assert x.shape[1] > 3000 and share > 0.95 and accuracy > 0.97, (x.shape, share, accuracy)
    return f"{x.shape[1]} features, {100 * share:.1f} % exact zeros, accuracy {accuracy:.3f}"


ROWS = (
    ("1 sum(torch.sum(torch.abs(p)) for p in parameters)", row1), ("2 sum(torch.norm(p, 2) for p in parameters)", row2),
    ("3 a function returning (L1, L2)", row3), ("4 L1 gives exact zeros and selects features", row4),
    ("5 correlated features: lasso, ridge, elastic net", row5), ("6 L2 shrinks all, none to 0", row6),
    ("7 Dropout with probability p of dropping; numpy dropout", row7), ("8 activations are dropped; dropout_convention classic", row8),
    ("9 Sequential(Linear, Dropout, ReLU, Linear, Dropout, Sigmoid)", row9), ("10 nn.Dropout; 1-D, 2-D, 3-D", row10),
    ("11 nn.BatchNorm, every parameter", row11), ("12 running averages", row12), ("13 nn.LayerNorm elementwise_affine", row13),
    ("14 nn.InstanceNorm2d", row14), ("15 nn.GroupNorm", row15), ("16 Keras kernel_, bias_, activity_regularizer on Dense and LSTM", row16),
    ("17 Keras l1, l2, l1_l2, L1L2, get_config", row17), ("18 add_weight(trainable=False, regularizer)", row18),
    ("19 initialisers and constraints of Dense", row19), ("20 tf l2_regularizer, l2_loss: the conversion table", row20),
    ("21 0 is a minimum with L1, not with L2", row21), ("22 thousands of text features", row22))


def main():
    tool, report = Tool(sys.argv[1], sys.argv[2]), Report(sys.argv[3:])
    for name, test in ROWS:
        report.case(name, test, tool)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
