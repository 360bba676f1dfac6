#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Interrupted training: resumed, it gives the same bits as uninterrupted, for one and two threads; a process killed while
it saves never loses the checkpoint before; and checkpoints, configurations and data that must be refused are.

usage: test_checkpoint.py SARDONYX FOLDER [WORD...]
"""
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time

import numpy

from common import Net, Report, Tool

R = numpy.random.default_rng(3)


def pieces(tool):
    net = Net([20], seed=1).linear(20, 64).norm("batch", 64).relu().dropout(0.4).linear(64, 64).relu().dropout(0.2).linear(64, 4)
    model = net.save(tool.path("net.onnx"))
    data = tool.arrays("data.npz", x=R.normal(size=(400, 20)).astype(numpy.float32), y=R.integers(0, 4, 400))
    config = {"epochs": 8, "batch": 32, "seed": 5, "optimizer": {"kind": "adamw", "lr": 0.01}, "ema": 0.9,
              "schedule": {"kind": "one_cycle", "max_lr": 0.02},
              "penalties": [{"kind": "l1", "l1": 1e-3}, {"kind": "l2", "l2": 1e-3, "mode": "subgradient"}]}
    return model, data, config


def read(path):
    with open(path, "rb") as file:
        return file.read()


def start(tool, model, data, config, name, *words):
    command = [tool.sardonyx, "train", model, "-c", tool.config("config.json", config), "--data", data, "-o",
               tool.path(f"{name}.onnx"), "-q", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(process, expect=0):
    problem = process.communicate()[1]
    assert process.returncode == expect, f"status {process.returncode}, not {expect}: {problem.strip()[-500:]}"
    return problem


def resume_is_exact(tool):
    """Killed at some step of some epoch, then resumed: the exported files are equal to the last bit."""
    model, data, config = pieces(tool)
    for threads in (1, 2):
        finish(start(tool, model, data, config, f"whole{threads}", "--threads", threads))
    assert read(tool.path("whole1.onnx")) == read(tool.path("whole2.onnx")), "one and two threads differ"
    kills = 0
    for attempt in range(4):
        checkpoint = tool.path("resume.safetensors")
        if os.path.exists(checkpoint):
            os.remove(checkpoint)
        words = ["--checkpoint", checkpoint, "--checkpoint-every", 7, "--threads", 1 + attempt % 2]
        process = start(tool, model, data, {**config, "epochs": 8}, "part", *words)
        for _ in range(20000):
            if os.path.exists(checkpoint) or process.poll() is not None:
                break
            time.sleep(0.0005)
        time.sleep(random.Random(attempt).random() * 0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        kills += process.returncode == -signal.SIGKILL
        finish(start(tool, model, data, config, "resumed", *words, "--resume"))
        assert read(tool.path("resumed.onnx")) == read(tool.path("whole1.onnx")), f"attempt {attempt}: other bits after resuming"
    assert kills > 0, "every training ended before it was killed"
    return f"{kills} of 4 killed on the way"


def leftovers(tool):
    return [name for name in os.listdir(tool.folder) if name.startswith("kill.safetensors.")]


def kill_while_saving(tool):
    """A checkpoint at every step; killed at random times, the file is always whole, and the next save clears up."""
    model, data, config = pieces(tool)
    checkpoint = tool.path("kill.safetensors")
    words = ["--checkpoint", checkpoint, "--checkpoint-every", 1]
    finish(start(tool, model, data, {**config, "epochs": 1}, "kill", *words))
    dice, killed = random.Random(1), 0
    for _ in range(25):
        process = start(tool, model, data, {**config, "epochs": 400}, "kill", *words)
        time.sleep(0.02 + dice.random() * 0.15)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        killed += process.returncode == -signal.SIGKILL
        bytes_ = read(checkpoint)
        (length,) = struct.unpack("<Q", bytes_[:8])
        header = json.loads(bytes_[8:8 + length])
        end = max(row["data_offsets"][1] for key, row in header.items() if key != "__metadata__")
        assert len(bytes_) == 8 + length + end, "the checkpoint is not whole"
    assert killed > 20, killed
    left = leftovers(tool)
    finish(start(tool, model, data, {**config, "epochs": 1}, "kill", *words))
    assert not leftovers(tool), f"temporary files stay behind: {leftovers(tool)}"
    return f"{killed} kills, {len(left)} temporary files left behind, and gone after the next save"


def refused(tool, name, words, *said):
    done = tool.run("train", *words, "-o", tool.path("never.onnx"), "-q", expect=3)
    for word in said:
        assert word in done.stderr, f"{name}: '{word}' is not said: {done.stderr.strip()}"
    assert not os.path.exists(tool.path("never.onnx")), f"{name}: an output was written"


def bad_input(tool):
    model, data, config = pieces(tool)
    x, y = R.normal(size=(64, 20)).astype(numpy.float32), R.integers(0, 4, 64)
    good = tool.config("good.json", config)

    def with_data(name, said, **arrays):
        refused(tool, name, [model, "-c", good, "--data", tool.arrays(f"{name}.npz", **{"x": x, "y": y, **arrays})], *said)

    def with_config(name, said, **more):
        refused(tool, name, [model, "-c", tool.config(f"{name}.json", {**config, **more}), "--data", data], *said)

    label = y.copy()
    label[5] = 12
    with_data("label out of range", ["12", "5"], y=label)
    nan = x.copy()
    nan[7, 3] = numpy.nan
    with_data("nan in data", ["'x'", "sample 7"], x=nan)
    with_data("unequal", ["63", "64"], y=y[:63])
    refused(tool, "missing array", [model, "-c", good, "--data", tool.arrays("only-x.npz", x=x)], "'y'")
    with_config("unknown key", ["'optimizer.lrr'"], optimizer={"kind": "sgd", "lrr": 1})
    with_config("unknown kind", ["adamax"], optimizer={"kind": "adamax"})
    with_config("pattern matches nothing", ["fcc*"], freeze=["fcc*"])
    with_config("not a number", ["learning", "lr"], optimizer={"kind": "sgd", "lr": "learning"})
    with_config("negative", ["lr"], optimizer={"kind": "sgd", "lr": -1})
    with_config("blows up", ["step"], optimizer={"kind": "sgd", "lr": 1e30}, schedule={"kind": "constant"}, epochs=50)
    with open(tool.path("broken.json"), "w", encoding="utf-8") as file:
        file.write('{"epochs": 3,')
    refused(tool, "broken json", [model, "-c", tool.path("broken.json"), "--data", data], "broken.json")
    return None


def bad_checkpoints(tool):
    model, data, config = pieces(tool)
    path, good = tool.path("c.safetensors"), tool.config("good.json", {**config, "epochs": 1})
    finish(start(tool, model, data, {**config, "epochs": 1}, "c", "--checkpoint", path))
    whole = read(path)
    (length,) = struct.unpack("<Q", whole[:8])
    other = Net([20], seed=9).linear(20, 30).relu().linear(30, 4).save(tool.path("other.onnx"))
    words = ["--data", data, "--checkpoint", path, "--resume"]
    refused(tool, "another model", [other, "-c", good, *words], "model")
    refused(tool, "another optimizer", [model, "-c", tool.config("o.json", {**config, "optimizer": {"kind": "sgd"}}), *words], "optimizer")
    broken = {"cut": whole[:-3], "longer": whole + b"x", "huge header": struct.pack("<Q", 1 << 60) + whole[8:],
              "no json": whole[:8] + b"x" + whole[9:], "empty": b"",
              "doubled key": struct.pack("<Q", length + 9) + b'{"a":{},' + whole[9:8 + length] + b" " * 2 + whole[8 + length:]}
    for name, content in broken.items():
        with open(path, "wb") as file:
            file.write(content)
        refused(tool, name, [model, "-c", good, *words], "c.safetensors")
        assert read(path) == content, f"{name}: the file was changed"
    return f"{len(broken) + 2} refused"


def full_disk(tool):
    """Files may not grow beyond 4 KB: saving fails with exit 3, and the files that were there stay."""
    model, data, config = pieces(tool)
    one, out, checkpoint = tool.config("one.json", {**config, "epochs": 1}), tool.path("disk.onnx"), tool.path("disk.safetensors")

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    for words, kept in (([], out), (["--checkpoint", checkpoint], checkpoint)):
        with open(kept, "wb") as file:
            file.write(b"old")
        command = [tool.sardonyx, "train", model, "-c", one, "--data", data, "-o", out, "-q", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=False, preexec_fn=limit)
        assert done.returncode == 3 and os.path.basename(kept) in done.stderr, (done.returncode, done.stderr)
        assert read(kept) == b"old", f"{kept} was changed"
    return None


def main():
    tool, report = Tool(sys.argv[1], sys.argv[2]), Report(sys.argv[3:])
    shutil.rmtree(tool.folder, ignore_errors=True)
    os.makedirs(tool.folder)
    report.case("resume is exact", resume_is_exact, tool)
    report.case("kill while saving", kill_while_saving, tool)
    report.case("bad input", bad_input, tool)
    report.case("bad checkpoints", bad_checkpoints, tool)
    report.case("full disk", full_disk, tool)
    return report.end()


if __name__ == "__main__":
    sys.exit(main())
