#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Convex problems whose answer is known, trained through the command line: lasso, ridge, elastic net, logistic
regression with L1, last-layer retraining, l2norm; and digits with exact zeros.

usage: test_oracles.py SARDONYX FOLDER [WORD...]
"""
import sys

import numpy
from sklearn import datasets, linear_model

from common import Net, Report, Tool, close


def diabetes():
    x, y = datasets.load_diabetes(return_X_y=True)
    x = x * numpy.sqrt(len(x))
    return x, (y - y.mean()) / y.std()


def linear_model_file(tool, name, features, outputs=1, dtype=numpy.float64):
    return Net([features], dtype=dtype).linear(features, outputs, name="fc", zeros=True).save(
        tool.path(f"{name}.onnx"), output="out")


def fit_linear(tool, name, penalties, optimizer, steps=6000, dtype=numpy.float64, schedule="constant"):
    """Full-batch MSE on the standardised diabetes data; the coefficients."""
    x, y = diabetes()
    data = tool.arrays(f"{name}.npz", x=x.astype(dtype), y=y[:, None].astype(dtype))
    config = {"epochs": steps, "batch": len(x), "shuffle": False, "loss": {"kind": "mse", "output": "out"},
              "penalties": penalties, "optimizer": optimizer, "schedule": {"kind": schedule}}
    result, weights, _ = tool.train(name, linear_model_file(tool, name, x.shape[1], dtype=dtype), config, data)
    return weights["fc.weight"][0], weights["fc.bias"], result


SGD = {"kind": "sgd", "lr": 0.12}
KERNEL = {"target": "kernel"}


def same_zeros(found, expected):
    a, b = numpy.flatnonzero(found == 0).tolist(), numpy.flatnonzero(numpy.abs(expected) < 1e-12).tolist()
    assert a == b, f"exact zeros at {a}, not at {b}"


def lasso(tool, dtype, optimizer, name):
    x, y = diabetes()
    truth = linear_model.Lasso(alpha=0.05, tol=1e-12, max_iter=1000000).fit(x, y).coef_
    w, bias, _ = fit_linear(tool, name, [{"kind": "l1", "l1": 0.1, **KERNEL}], optimizer, dtype=dtype,
                            schedule="cosine" if optimizer["kind"] == "adam" else "constant")
    error = close(w, truth, 1e-4, "coefficients")
    same_zeros(w, truth)
    assert abs(bias[0]) < 1e-5, f"bias {bias[0]}"
    r = x.T @ (y - x @ w.astype(numpy.float64)) / len(x)
    assert (numpy.abs(r[w == 0]) <= 0.05 + 1e-9).all() and numpy.allclose(r[w != 0], 0.05 * numpy.sign(w[w != 0]), atol=1e-5)
    return f"relative error {error:.1e}, {int((w == 0).sum())} exact zeros"


def lasso_all_zero(tool):
    """From alpha = max|X'y| / n on, every coefficient is exactly 0; below it one is not."""
    x, y = diabetes()
    top = numpy.abs(x.T @ y).max() / len(x)
    w, _, _ = fit_linear(tool, "lasso_top", [{"kind": "l1", "l1": 2 * top * 1.0001, **KERNEL}], SGD, 2000)
    assert (w == 0).all(), w
    w, _, _ = fit_linear(tool, "lasso_below", [{"kind": "l1", "l1": 2 * top * 0.99, **KERNEL}], SGD, 2000)
    assert (w != 0).sum() == 1, w
    return f"alpha {top:.6f}"


def ridge(tool, mode):
    x, y = diabetes()
    alpha = 0.1 * len(x)
    truth = numpy.linalg.solve(x.T @ x + alpha * numpy.eye(x.shape[1]), x.T @ y)
    penalty = {"kind": "l2", "l2": alpha / len(x), "mode": mode, **KERNEL}
    w, _, _ = fit_linear(tool, f"ridge_{mode}", [penalty], SGD)
    assert (w != 0).all(), "ridge gives no zeros"
    return f"relative error {close(w, truth, 1e-4, 'coefficients'):.1e}"


def weight_decay_is_ridge(tool):
    """PyTorch's coupled weight_decay is 2 l2; bias excluded by pattern."""
    x, y = diabetes()
    truth = numpy.linalg.solve(x.T @ x + 0.1 * len(x) * numpy.eye(x.shape[1]), x.T @ y)
    w, _, _ = fit_linear(tool, "ridge_decay", [], {**SGD, "weight_decay": 0.2, "no_decay": ["*bias"]})
    return f"relative error {close(w, truth, 1e-4, 'coefficients'):.1e}"


def elastic_net(tool, optimizer, name):
    x, y = diabetes()
    truth = linear_model.ElasticNet(alpha=0.05, l1_ratio=0.5, tol=1e-12, max_iter=1000000).fit(x, y).coef_
    w, _, _ = fit_linear(tool, name, [{"kind": "l1_l2", "l1": 0.05, "l2": 0.025, **KERNEL}], optimizer)
    error = close(w, truth, 1e-4, "coefficients")
    same_zeros(w, truth)
    return f"relative error {error:.1e}"


def adamw_is_not_ridge(tool):
    x, y = diabetes()
    truth = numpy.linalg.solve(x.T @ x + 0.1 * len(x) * numpy.eye(x.shape[1]), x.T @ y)
    w, _, _ = fit_linear(tool, "adamw", [], {"kind": "adamw", "lr": 0.002, "weight_decay": 0.2, "no_decay": ["*bias"]})
    error = numpy.abs(w - truth).max() / numpy.abs(truth).max()
    assert error > 1e-2, f"AdamW came within {error:.1e} of ridge"
    return f"relative distance {error:.2f}"


def l2norm(tool):
    """Stationary: gradient = -lambda w / |w|; and exactly 0 from lambda = |gradient at 0| on."""
    x, y = diabetes()
    w, _, _ = fit_linear(tool, "l2norm", [{"kind": "l2norm", "l2": 0.5, **KERNEL}], SGD)
    g = -2 * x.T @ (y - x @ w) / len(x)
    error = close(g, -0.5 * w / numpy.linalg.norm(w), 1e-4, "stationarity")
    top = numpy.linalg.norm(2 * x.T @ y / len(x))
    w, _, _ = fit_linear(tool, "l2norm_top", [{"kind": "l2norm", "l2": top * 1.001, **KERNEL}], SGD, 500)
    assert (w == 0).all(), w
    return f"{error:.1e}"


def logistic_l1(tool):
    data = datasets.load_breast_cancer()
    x = (data.data - data.data.mean(0)) / data.data.std(0)
    y, n = data.target, len(data.data)
    truth = linear_model.LogisticRegression(l1_ratio=1, C=0.1, solver="saga", tol=1e-10, max_iter=100000,
                                            intercept_scaling=1e4).fit(x, y)
    file = tool.arrays("logistic.npz", x=x, y=y[:, None].astype(numpy.float64))
    config = {"epochs": 8000, "batch": n, "shuffle": False, "loss": {"kind": "bce_with_logits", "output": "out"},
              "penalties": [{"kind": "l1", "l1": 1 / (0.1 * n), **KERNEL}], "optimizer": {"kind": "sgd", "lr": 0.2, "momentum": 0.9}}
    _, weights, _ = tool.train("logistic", linear_model_file(tool, "logistic", x.shape[1]), config, file)
    w = weights["fc.weight"][0]
    assert (w != 0).sum() == 8, f"{(w != 0).sum()} non-zeros"
    error = close(w, truth.coef_[0], 1e-3, "coefficients")
    same_zeros(w, truth.coef_[0])
    return f"8 non-zeros, relative error {error:.1e}"


def last_layer(tool):
    """A frozen random layer, then softmax regression with a ridge: mean CE + |W|^2 / (2 C n), against scikit-learn."""
    x, y = datasets.load_iris(return_X_y=True)
    x = (x - x.mean(0)) / x.std(0)
    net = Net([4], seed=3, dtype=numpy.float64).linear(4, 8, name="body").relu().linear(8, 3, name="head")
    model = net.save(tool.path("last_layer.onnx"))
    features = numpy.maximum(x @ net.weights["body.weight"].T + net.weights["body.bias"], 0)
    truth = linear_model.LogisticRegression(C=1.0, tol=1e-10, max_iter=100000).fit(features, y)
    config = {"epochs": 20000, "batch": len(x), "shuffle": False, "freeze": ["body*"],
              "penalties": [{"kind": "l2", "l2": 1 / (2 * len(x)), "match": "head*", **KERNEL}],
              "optimizer": {"kind": "sgd", "lr": 0.4, "momentum": 0.9}}
    _, weights, _ = tool.train("last_layer", model, config, tool.arrays("iris.npz", x=x, y=y))
    assert (weights["body.weight"] == net.weights["body.weight"]).all(), "the frozen layer has moved"
    return f"relative error {close(weights['head.weight'], truth.coef_, 1e-3, 'coefficients'):.1e}"


def digits_zeros(tool):
    """L1 by proximal steps gives exact zeros at the accuracy of the subgradient, which gives none."""
    x, y = datasets.load_digits(return_X_y=True)
    order = numpy.random.default_rng(0).permutation(len(x))
    x, y = (x[order] / 16).astype(numpy.float32), y[order]
    train, valid = tool.arrays("digits.npz", x=x[:1437], y=y[:1437]), tool.arrays("digits-valid.npz", x=x[1437:], y=y[1437:])
    said = []
    for mode in ("prox", "subgradient"):
        model = Net([64], seed=1).linear(64, 64).relu().linear(64, 10).save(tool.path("zeros.onnx"))
        config = {"epochs": 60, "batch": 64, "optimizer": {"kind": "adam", "lr": 2e-3}, "metrics": ["accuracy"],
                  "penalties": [{"kind": "l1", "l1": 3e-3, "mode": mode, **KERNEL}]}
        result, weights, _ = tool.train(f"zeros_{mode}", model, config, train, valid)
        kernels = numpy.concatenate([weights["fc1.weight"].ravel(), weights["fc2.weight"].ravel()])
        share, accuracy = (kernels == 0).mean(), result["metrics"]["accuracy"]
        assert accuracy >= 0.945, f"{mode}: accuracy {accuracy}"
        assert share > 0.55 if mode == "prox" else share == 0, f"{mode}: {share:.3f} exact zeros"
        said.append(f"{mode} {100 * share:.1f} % zeros at {accuracy:.4f}")
        dead = next(row for row in result["sparsity"] if row["parameter"] == "fc1.weight")["zero_inputs"]
        assert mode == "subgradient" or {0, 32, 39} <= set(dead), f"zero inputs {dead}"
    return ", ".join(said)


def main():
    tool, report = Tool(sys.argv[1], sys.argv[2]), Report(sys.argv[3:])
    report.case("lasso", lasso, tool, numpy.float64, SGD, "lasso")
    report.case("lasso in f32", lasso, tool, numpy.float32, SGD, "lasso32")
    report.case("lasso under momentum", lasso, tool, numpy.float64, {**SGD, "lr": 0.03, "momentum": 0.9}, "lasso_momentum")
    report.case("lasso under adam", lasso, tool, numpy.float64, {"kind": "adam", "lr": 2e-3}, "lasso_adam")
    report.case("lasso, all zero", lasso_all_zero, tool)
    for mode in ("prox", "subgradient", "coupled"):
        report.case(f"ridge, {mode}", ridge, tool, mode)
    report.case("ridge as weight_decay", weight_decay_is_ridge, tool)
    report.case("elastic net", elastic_net, tool, SGD, "elastic")
    report.case("elastic net under momentum", elastic_net, tool, {**SGD, "lr": 0.03, "momentum": 0.9}, "elastic_momentum")
    report.case("adamw is not ridge", adamw_is_not_ridge, tool)
    report.case("l2norm", l2norm, tool)
    report.case("logistic L1", logistic_l1, tool)
    report.case("last layer", last_layer, tool)
    report.case("digits, exact zeros", digits_zeros, tool)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
