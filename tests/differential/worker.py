# SPDX-License-Identifier: Apache-2.0
"""Runs draws one after another and prints one JSON line for each that is not simply equal; a table at the end. What it
is doing stands in a small shared file, so that a crash or a hang can be told by its seed.

usage: worker.py STATUS_FILE [--skip N] Op:number | --count N --start S [--ops NAME,...]"""
import argparse
import collections
import json
import mmap
import os
import struct
import time
import traceback

import differences
import recipes
import referees
from compare import compare, error_of, mismatch
from draw import F64, NARROW, Draw

import numpy

STAGES = ("drawing", "ours", "onnxruntime", "onnx.reference", "done")


class Judge:
    def __init__(self, status):
        self.status = status

    def at(self, stage):
        self.status[8:12] = struct.pack("i", stage)

    def run(self, name, number):
        """(verdict, detail, draw) for one seed."""
        self.at(0)
        draw = Draw(name, number)
        self.at(1)
        try:
            ours, refusal = referees.ours(draw), None
        except referees.Refused as error:
            ours, refusal = None, str(error)
        self.at(2)
        verdict, detail = self.judge(draw, ours, refusal)
        self.at(4)
        return verdict, detail, draw

    def judge(self, draw, ours, refusal):
        """ONNX Runtime decides where it runs the model; else it is enough that one of the others agrees."""
        reasons, differing = [], []
        for stage, who, run in ((2, "onnxruntime", referees.runtime), (2, "onnxruntime twin", referees.runtime_twin),
                                (3, "onnx.reference", referees.reference)):
            if differences.no_referee(draw, who):
                continue
            self.at(stage)
            try:
                theirs = run(draw)
            except referees.Refused as error:
                reasons.append(f"{who}: {str(error)[:300]}")
                continue
            found = f"ours refuses: {refusal}" if refusal else self.difference(draw, ours, theirs, who)
            if found is None:
                return who, None
            differing.append((who, theirs, found))
            if who == "onnxruntime":
                break
        if differing:
            return self.explain(draw, ours, refusal, differing, reasons)
        if refusal:
            reasons.insert(0, f"ours: {refusal}")
        return "refused by all" if refusal else "unjudged", " | ".join(reasons)

    def explain(self, draw, ours, refusal, differing, reasons):
        for who, theirs, found in differing:
            rule = differences.explain(draw, ours, theirs, who, found, lambda: self.contradicted(draw, ours))
            if rule:
                return f"known {rule}", None
            if not refusal and self.rounding(draw, ours, theirs):
                return "known rounding", None
        return f"differs from {differing[0][0]}", " | ".join(f"{who}: {found}" for who, _, found in differing) + \
            "".join(f" [{reason}]" for reason in reasons) + self.arbiter(draw, ours, differing[-1][0])

    def contradicted(self, draw, ours):
        """Whether onnx.reference runs the model and differs from us."""
        if ours is None or differences.no_referee(draw, "onnx.reference"):
            return False
        self.at(3)
        try:
            return self.difference(draw, ours, referees.reference(draw)) is not None
        except referees.Refused:
            return False

    def difference(self, draw, ours, theirs, who=""):
        kinds = [kind for name, kind in draw.outputs if name]
        noise = draw.noise * (2.0 ** 29 if who == "onnxruntime twin" and draw.uses(F64) else 1)  # a twin in f32
        for k, (a, b, kind) in enumerate(zip(ours, theirs, kinds)):
            number = kind if isinstance(kind, int) else None
            if draw.only_shapes:
                b = numpy.broadcast_to(a, numpy.shape(b)) if a.shape == numpy.shape(b) else b
            found = compare(a, b, number, noise)
            if found:
                return f"output {k}: {found}"
        return None

    @staticmethod
    def rounding(draw, ours, theirs):
        """True where a widened computation shows ours to be at least as precise, and theirs off by rounding only."""
        exact = referees.truth(draw)
        if exact is None:
            return False
        for a, b, t in zip(ours, theirs, exact):
            if not isinstance(a, numpy.ndarray) or compare(a, b, None, draw.noise) is None:
                continue
            t = numpy.asarray(t)
            if a.dtype.kind in "iubO" or a.shape != t.shape:
                return False
            scale = float(numpy.abs(numpy.where(numpy.isfinite(t), t, 0)).max(initial=0)) or 1.0
            mine, other = error_of(a, t), error_of(numpy.asarray(b), t)
            close = not mismatch(a, t.astype(a.dtype), a.dtype == NARROW[16]).any()
            if not (close or mine <= 2 * other) or not other <= 2e-2 * max(scale, draw.noise):
                return False
        return True

    def arbiter(self, draw, ours, who):
        """What the other referee says, for whoever reads the report."""
        if who == "onnx.reference":
            return ""
        self.at(3)
        try:
            second = referees.reference(draw)
        except referees.Refused as error:
            return f" [onnx.reference refuses: {str(error)[:200]}]"
        if ours is None:
            return " [onnx.reference runs]"
        found = self.difference(draw, ours, second)
        return " [onnx.reference agrees with ours]" if found is None else f" [onnx.reference: {found}]"


def seeds_of(options):
    names = options.ops.split(",") if options.ops else recipes.covered()
    for k in range(options.start, options.start + options.count):
        yield names[k % len(names)], k // len(names) + options.seed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("status")
    parser.add_argument("seeds", nargs="*")
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--ops", default="")
    parser.add_argument("--until", type=float, default=0)
    options = parser.parse_args()
    with open(options.status, "r+b") as file:
        status = mmap.mmap(file.fileno(), 64)
    judge, table, done = Judge(status), collections.Counter(), 0
    given = [s.split(":") for s in options.seeds]
    for name, number in [(n, int(k)) for n, k in given] or seeds_of(options):
        if options.until and time.time() > options.until:
            break
        status[16:16 + 48] = f"{name}:{number}".encode()[:47].ljust(48, b"\0")
        try:
            verdict, detail, draw = judge.run(name, number)
        except Exception:  # pylint: disable=broad-except
            verdict, detail, draw = "broken recipe", traceback.format_exc()[-1500:], None
        done += 1
        status[0:8] = struct.pack("q", done)
        table[name, verdict] += 1
        if given or (detail and not verdict.startswith("known")):
            print(json.dumps({"seed": f"{name}:{number}", "verdict": verdict, "detail": detail,
                              "model": draw.text() if draw else ""}), flush=True)
        if done % 20 == 0:
            print(json.dumps({"table": [[*k, v] for k, v in table.items()]}), flush=True)
            table.clear()
    print(json.dumps({"table": [[*k, v] for k, v in table.items()]}), flush=True)


if __name__ == "__main__":
    main()
