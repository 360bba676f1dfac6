#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The Python Trainer: its loop gives the bits of the command line's, and bad input is refused in the same words.

usage: test_python.py SARDONYX FOLDER [WORD...]
"""
import gc
import json
import math
import os
import shutil
import sys

import numpy

from common import Net, Report, Tool, weights_of

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
R = numpy.random.default_rng(3)
X, Y = R.normal(size=(100, 6)).astype(numpy.float32), R.integers(0, 3, 100)
XV, YV = R.normal(size=(40, 6)).astype(numpy.float32), R.integers(0, 3, 40)
DATA, VALID = {"x": X, "y": Y}, {"x": XV, "y": YV}
CONFIG = {"epochs": 3, "batch": 16, "seed": 2, "optimizer": {"kind": "adam", "lr": 0.01}, "metrics": ["accuracy", "f1"],
          "penalties": [{"kind": "l1", "l1": 1e-3}]}


def net(tool, name="net"):
    return Net([6], seed=1).linear(6, 8, "first").relu().dropout(.2).linear(8, 3, "last").save(tool.path(f"{name}.onnx"))


def same_as_the_tool(tool):
    path, out, seen = net(tool), tool.path("python.onnx"), []
    found, weights, _ = tool.train("tool", path, CONFIG, tool.arrays("d.npz", **DATA), tool.arrays("v.npz", **VALID))
    with sardonyx.Trainer(path, CONFIG, threads=1, memory_limit=1 << 28) as trainer:
        ends = trainer.fit(DATA, VALID, seen.append)
        loss, metrics = trainer.score(VALID)
        trainer.export(out)
    for name, value in weights_of(out).items():
        assert numpy.array_equal(value, weights[name]), f"'{name}' has other bits"
    assert len(seen) == 3 * 7 and [now.step for now in seen] == list(range(1, 8)) * 3, [now.step for now in seen]
    assert [now.epoch for now in ends] == [1, 2, 3] and all(now.epoch_ends for now in ends)
    assert ends[-1] == seen[-1] and ends[-1].last.step == 21 and len(ends[-1].last.penalties) == 1
    assert math.isclose(loss, found["valid_loss"], rel_tol=1e-12) and loss == ends[-1].valid_loss
    assert metrics == found["metrics"] == ends[-1].metrics, (metrics, found["metrics"], ends[-1].metrics)


def stops(tool):
    """What is raised in the progress ends the loop, which a checkpoint then takes up again, bit for bit."""
    path, checkpoint = net(tool), tool.path("stop.safetensors")
    whole = sardonyx.Trainer(path, CONFIG)
    whole.fit(DATA)

    def stop(now):
        if now.epoch == 2 and now.step == 3:
            raise KeyboardInterrupt("enough")

    trainer = sardonyx.Trainer(path, json.dumps(CONFIG), threads=2)
    try:
        trainer.fit(DATA, progress=stop, checkpoint=checkpoint, checkpoint_every=1)
        raise AssertionError("the loop went on")
    except KeyboardInterrupt as problem:
        assert str(problem) == "enough"
    again = sardonyx.Trainer(path, CONFIG)
    again.fit(DATA, checkpoint=checkpoint, resume=True)
    for name in ("first.weight", "last.bias"):
        assert numpy.array_equal(again.get(name), whole.get(name)), f"'{name}' has other bits"
        assert not numpy.array_equal(trainer.get(name), whole.get(name))


def refused(words, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except sardonyx.SardonyxError as problem:
        for word in words:
            assert word in str(problem), f"'{word}' is not said: {problem}"
        return
    raise AssertionError(f"{words} was not refused")


def closed(tool):
    with sardonyx.Trainer(net(tool), CONFIG) as trainer:
        trainer.step({"x": X[:4], "y": Y[:4]})
    refused(["trainer"], trainer.step, {"x": X[:4], "y": Y[:4]})
    trainer.close()
    del trainer
    gc.collect()
    refused(["limit"], sardonyx.Trainer, net(tool), CONFIG, memory_limit=2000)
    refused(["threads"], sardonyx.Trainer, net(tool), CONFIG, threads=-1)


def same_words(tool):
    """Each in the Python Trainer and on the command line."""
    path = net(tool)

    def both(name, words, config=None, **arrays):
        whole = {**CONFIG, **(config or {})}
        refused(words, lambda: sardonyx.Trainer(path, whole).fit({**DATA, **arrays}))
        done = tool.run("train", path, "-c", tool.config("bad.json", whole), "--data",
                        tool.arrays("bad.npz", **{**DATA, **arrays}), "-o", tool.path("never.onnx"), "-q", expect=3)
        for word in words:
            assert word in done.stderr, f"{name}: '{word}' is not said: {done.stderr}"
        assert not os.path.exists(tool.path("never.onnx")), name

    label = Y.copy()
    label[5] = 7
    both("label", ["7"], {"shuffle": False}, y=label)
    both("negative label", ["-1"], y=Y - 1)
    both("pattern", ["'fisrt*'", "matches nothing", "'first'"], {"freeze": ["fisrt*"]})
    both("unknown key", ["'epoch'"], {"epoch": 3})
    both("wrong type", ["optimizer.lr"], {"optimizer": {"kind": "adam", "lr": "high"}})
    both("columns", ["'x'", "5", "6"], x=X[:, :5])
    wide = {"x": X.astype(numpy.float64), "y": Y}  # the command line converts, and says so
    refused(["'x'", "f64"], lambda: sardonyx.Trainer(path, CONFIG).fit(wide))
    both("samples", ["99", "100"], y=Y[:99])
    both("policy", ["bad_step", "ignore"], {"bad_step": "ignore"})
    both("blows up", ["step 2", "not finite", "nothing has changed"],
         {"optimizer": {"kind": "sgd", "lr": 1e38}, "penalties": [], "shuffle": False})


def bad_steps(tool):
    """A batch that is not finite: parameters stay, and `skip` goes on behind it."""
    x = X.copy()
    x[20, 2] = numpy.nan
    config = {**CONFIG, "shuffle": False, "epochs": 1}
    trainer = sardonyx.Trainer(net(tool), config)
    steps = []
    refused(["step 2:", "not finite"], trainer.fit, {"x": x, "y": Y}, progress=steps.append)
    one = sardonyx.Trainer(net(tool), config)
    one.fit({"x": X[:16], "y": Y[:16]})
    assert numpy.array_equal(trainer.get("first.weight"), one.get("first.weight")), "the failed step has changed something"
    assert len(steps) == 1
    trainer = sardonyx.Trainer(net(tool), {**config, "bad_step": "skip"})
    trainer.fit({"x": x, "y": Y}, progress=steps.append)
    assert [now.last.skipped for now in steps[1:]] == [False, True] + [False] * 5, [now.last.skipped for now in steps]
    assert steps[-1].last.step == 6 and math.isfinite(steps[-1].loss)
    assert numpy.isfinite(trainer.get("first.weight")).all()


def bad_checkpoint(tool):
    path = tool.path("other.safetensors")
    trainer = sardonyx.Trainer(Net([6], seed=1).linear(6, 5).relu().linear(5, 3).save(tool.path("other.onnx")), CONFIG)
    trainer.save(path)
    own = sardonyx.Trainer(net(tool), CONFIG)
    before = own.get("first.weight")
    refused(["another model than 'net.onnx'"], own.load, path)
    refused(["missing.safetensors"], own.load, tool.path("missing.safetensors"))
    assert numpy.array_equal(own.get("first.weight"), before)


def main():
    tool, report = Tool(sys.argv[1], sys.argv[2]), Report(sys.argv[3:])
    shutil.rmtree(tool.folder, ignore_errors=True)
    os.makedirs(tool.folder)
    report.case("same as the tool", same_as_the_tool, tool)
    report.case("stops", stops, tool)
    report.case("closed", closed, tool)
    report.case("same words", same_words, tool)
    report.case("bad steps", bad_steps, tool)
    report.case("bad checkpoint", bad_checkpoint, tool)
    return report.end()


if __name__ == "__main__":
    os.environ.setdefault("SARDONYX_LIBRARY", os.path.join(os.path.dirname(os.path.abspath(sys.argv[1])), "libsardonyx.so"))
    sys.path.insert(0, os.path.join(ROOT, "tools", "python"))
    import sardonyx

    sys.exit(main())
