#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Times per operator type, ours beside ONNX Runtime's, on the exports of the zoo.

usage: nodes.py [--folder build/models] [--sardonyx PATH] [--threads 1] [--groups 6] [--scale 4] [--slower 3] [NAME...]

The exports come from tests/pytorch/test_models.py. Dynamic axes are multiplied by --scale, so that kernels and not
dispatch are seen. Both runtimes fold constants; ONNX Runtime's wider fusions are off, so that types compare, and what
one of them fuses away has no time on that side. Of each model a table: the types that take at least 1 % of our run,
their share of it, microseconds here and there, and how many times as long as theirs ours take. At the end the types
that take --slower times as long, worst first, and the largest ratio of every type. --json FILE keeps every figure.
"""
import argparse
import collections
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import zoo  # noqa: E402

# Forms of one operator on either side.
NAMES = {"PackedConv": "Conv", "FusedConv": "Conv", "PackedMatMul": "MatMul", "FusedMatMul": "MatMul", "Gemm": "MatMul",
         "FusedGemm": "MatMul"}
LEAST_SHARE, LEAST_MICROSECONDS = 0.01, 5.0
LEAST_RUNS, MOST_RUNS, SECONDS = 6, 60, 0.2  # of a group


def feeds_of(entry, folder, scale):
    """Inputs at the export's size with dynamic axes multiplied; as the export has them when that is no valid size."""
    try:
        size = {axis: length * scale for axis, length in entry.sizes[0].items()}
        return {name: value.numpy() for name, value in zoo.samples(entry, size).items()}
    except RuntimeError:
        return dict(numpy.load(os.path.join(folder, "0-in.npz")))


def least(groups):
    """Of every type the smallest figure: a busy machine only ever adds."""
    return {kind: min(group.get(kind, float("inf")) for group in groups) for kind in groups[0]}


def ours(sardonyx, model, inputs, names, threads, groups, runs):
    """{type: microseconds of a run}, of every node its shortest call; or the message of a refusal."""
    figures = []
    for _ in range(groups):
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            command = [sardonyx, "bench", model, "--runs", str(runs), "--warmup", "2", "--threads", str(threads), "-q",
                       "--profile", file.name]
            for name in names:
                command += ["-i", f"{name}={inputs}"]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                return done.stderr.strip()
            with open(file.name, encoding="utf-8") as text:
                nodes = json.load(text)["nodes"]
        found = collections.Counter()
        once = statistics.multimode([node["calls"] for node in nodes])[0] if nodes else 1  # bodies run more often
        for node in nodes:
            kind = NAMES.get(node["op_type"], node["op_type"])
            found[kind] += 1e3 * node["least_ms"] * max(node["calls"] / once, 1)
        figures.append(found)
    return least(figures)


def theirs(model, feeds, threads, groups):
    """({type: microseconds of a run} as above, runs of a group), or (the message of a refusal, 0)."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.enable_profiling = True
    with tempfile.TemporaryDirectory() as folder:
        options.profile_file_prefix = os.path.join(folder, "profile")
        try:
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            given = {value.name: feeds[value.name] for value in session.get_inputs()}
            session.run(None, given)
            start = time.perf_counter()
            session.run(None, given)
            runs = int(min(MOST_RUNS, max(LEAST_RUNS, SECONDS / (time.perf_counter() - start))))
            for _ in range(groups * runs):
                session.run(None, given)
            path = session.end_profiling()
        except Exception as problem:  # any refusal is an answer here
            return str(problem), 0
        with open(path, encoding="utf-8") as text:
            events = json.load(text)
    calls = collections.defaultdict(list)
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            calls[event["args"]["op_name"], event["name"]].append(event["dur"] + 0.5)  # whole microseconds, cut off
    found = collections.Counter()
    for (kind, _), took in calls.items():
        found[NAMES.get(kind, kind)] += min(took) * max(len(took) / (groups * runs + 2), 1)
    return found, runs


def show(name, mine, their):
    """The table of a model; returns [(ratio, type, ours, theirs)] of what counts."""
    total, other = sum(mine.values()), sum(their.values())
    print(f"\n{name}: {total:.0f} us, {other:.0f} us there; ours / theirs {total / max(other, 1e-9):.2f}")
    found = []
    for kind, us in sorted(mine.items(), key=lambda item: -item[1]):
        if us < LEAST_SHARE * total:
            continue
        known = their.get(kind, 0) > 0
        print(f"  {kind:24s} {100 * us / total:5.1f} %  {us:10.1f} us  "
              + (f"{their[kind]:10.1f} us  {us / their[kind]:5.2f}" if known else f"{'-':>13s}"), flush=True)
        if known and us > LEAST_MICROSECONDS:
            found.append((us / their[kind], kind, us, their[kind]))
    return found


def summary(slow, limit):
    worst = sorted(found for found in slow if found[0] > limit)[::-1]
    print(f"\n{len(worst)} types take us more than {limit:g} times as long")
    for ratio, kind, us, their, name in worst:
        print(f"{ratio:6.1f}  {kind:24s} {us:9.1f} us / {their:9.1f} us  {name}")
    print("\nthe largest ratio of every type")
    largest = {}
    for found in sorted(slow):
        largest[found[1]] = found
    for ratio, kind, us, their, name in sorted(largest.values())[::-1]:
        print(f"{ratio:6.2f}  {kind:24s} {us:9.1f} us / {their:9.1f} us  {name}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = os.path.join(HERE, "..", "..", "build")
    parser.add_argument("names", nargs="*")
    parser.add_argument("--folder", default=os.path.join(root, "models"))
    parser.add_argument("--sardonyx", default=os.path.join(root, "release", "sardonyx"))
    parser.add_argument("--exporter", default="dynamo")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--groups", type=int, default=6)
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--slower", type=float, default=3)
    parser.add_argument("--json")
    options = parser.parse_args()
    entries, slow, rows = zoo.load(), [], {}
    print("type, share of our run, ours, ONNX Runtime's, ours / theirs")
    for name in options.names or entries:
        folder = os.path.join(options.folder, f"{name}-{options.exporter}")
        model = os.path.join(folder, "model.onnx")
        if not os.path.exists(model) or zoo.exported(name, folder)[1] is not None:
            continue
        feeds = feeds_of(entries[name], folder, options.scale)
        inputs = os.path.join(folder, "nodes-in.npz")
        numpy.savez(inputs, **feeds)
        their, runs = theirs(model, feeds, options.threads, options.groups)
        mine = ours(options.sardonyx, model, inputs, feeds, options.threads, options.groups, runs or LEAST_RUNS)
        if isinstance(mine, str) or isinstance(their, str):
            print(f"{name:28s} " + "; ".join(f"{label}: {text[:200]}" for label, text in
                                             (("ours", mine), ("theirs", their)) if isinstance(text, str)))
            continue
        rows[name] = {"ours_us": mine, "theirs_us": their}
        slow += [(*found, name) for found in show(name, mine, their)]
    summary(slow, options.slower)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
