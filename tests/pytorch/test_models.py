#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch architectures exported by both exporters, run by the command line, against PyTorch itself.

usage: test_models.py SARDONYX FOLDER [NAME...]

The error of an output is max|a - b| / max|b|; the bound is 1e-4. Each model has a dynamic batch axis and is run at two
batch sizes. Exports are kept in FOLDER and made again when they are missing.
"""
import os
import subprocess
import sys

import numpy
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "bench"))
import models  # noqa: E402

BOUND, BATCHES = 1e-4, (1, 3)


def error_of(got, want):
    if got.shape != want.shape:
        return float("inf")
    return float(numpy.abs(got - want).max() / numpy.abs(want).max())


def check(sardonyx, module, name, exporter, folder, batch):
    """The relative error, or the message of a failed run."""
    x = models.sample(name, batch, seed=batch)
    with torch.no_grad():
        want = module(x).numpy()
    stem = os.path.join(folder, f"batch{batch}")
    numpy.save(f"{stem}-x.npy", x.numpy())
    done = subprocess.run([sardonyx, "run", os.path.join(folder, "model.onnx"), "-i", f"x={stem}-x.npy", "-o",
                           f"{stem}-y.npz", "-q"], capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr.strip()
    return error_of(numpy.load(f"{stem}-y.npz")["y"], want)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sardonyx, root = sys.argv[1:3]
    passed = failed = 0
    for name in sys.argv[3:] or models.MODELS:
        for exporter in models.EXPORTERS:
            folder = os.path.join(root, f"{name}-{exporter}")
            if os.path.exists(os.path.join(folder, "model.onnx")):
                module = models.build(name)
            else:
                module = models.export(name, exporter, folder)
            for batch in BATCHES:
                result = check(sardonyx, module, name, exporter, folder, batch)
                good = isinstance(result, float) and result <= BOUND
                text = f"relative error {result:.2e}" if isinstance(result, float) else result
                print(f"{'ok  ' if good else 'FAIL'} {name} {exporter} batch {batch}: {text}", flush=True)
                passed, failed = passed + good, failed + (not good)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
