#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Sardonyx and ONNX Runtime on the same model, input and thread count, interleaved in one run.

usage: versus.py [--folder build/models] [--threads 1,2] [--batch 1] [--rounds 8] [--json FILE] [--least RATIO] [NAME...]

Each runtime lives in its own process, which is stopped while the other runs; blocks of runs alternate. The ratio is ONNX
Runtime's median over ours: above 1 we are faster. Memory is what the process holds after ten runs, less what it held
before the model was loaded. With --least the exit status is 1 when any ratio is below it.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
RUNTIMES = ("sardonyx", "onnxruntime")


class Worker:
    """A process driven over pipes: a command in, a JSON line out."""

    def __init__(self, *words, script="worker.py"):
        environment = dict(os.environ, PYTHONPATH=os.path.join(HERE, "..", "python"))
        self.process = subprocess.Popen([sys.executable, os.path.join(HERE, script), *map(str, words)], env=environment,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.loaded = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"worker ended with status {self.process.wait()}")
        return json.loads(line)

    def pause(self):
        """Keeps threads that spin for work from taking a core while the other runtime is measured."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def difference(inputs):
    """max|a - b| / max|b| over all outputs of the two runtimes."""
    ours, theirs = (numpy.load(f"{inputs}.{runtime}.npz") for runtime in RUNTIMES)
    return max(float(numpy.abs(ours[k] - theirs[k]).max() / max(float(numpy.abs(theirs[k]).max()), 1e-30))
               for k in theirs.files)


def compare(name, model, inputs, threads, rounds):
    workers = {runtime: Worker(runtime, model, inputs, threads) for runtime in RUNTIMES}
    times = {runtime: [] for runtime in RUNTIMES}
    for runtime, worker in workers.items():
        worker.ask("run 9")
    memory = {runtime: worker.ask("memory") for runtime, worker in workers.items()}
    workers["onnxruntime"].pause()
    first = workers["sardonyx"].ask("run 3")
    workers["sardonyx"].pause()
    block = max(3, min(50, int(250 / statistics.median(first))))
    for _ in range(rounds):
        for runtime, worker in workers.items():
            worker.resume()
            worker.ask("run 2")
            times[runtime] += worker.ask(f"run {block}")
            worker.pause()
    for worker in workers.values():
        worker.resume()
        worker.close()
    median = {runtime: statistics.median(values) for runtime, values in times.items()}
    row = {"model": name, "threads": threads, "runs": len(times["sardonyx"]), "difference": difference(inputs),
           "ratio": median["onnxruntime"] / median["sardonyx"]}
    for runtime in RUNTIMES:
        row[runtime] = {"median_ms": median[runtime], "min_ms": min(times[runtime]),
                        "load_ms": workers[runtime].loaded["load_ms"],
                        "resident_bytes": memory[runtime]["resident_bytes"] - workers[runtime].loaded["before_bytes"],
                        "peak_bytes": memory[runtime]["peak_bytes"] - workers[runtime].loaded["before_bytes"]}
    return row


def show(row):
    ours, theirs = (row[runtime] for runtime in RUNTIMES)
    print(f"{row['model']:24s} {row['threads']:2d} threads  ratio {row['ratio']:5.2f}  "
          f"median {ours['median_ms']:8.2f} / {theirs['median_ms']:8.2f} ms  "
          f"load {ours['load_ms']:6.0f} / {theirs['load_ms']:6.0f} ms  "
          f"resident {ours['resident_bytes'] / 2**20:6.0f} / {theirs['resident_bytes'] / 2**20:6.0f} MiB  "
          f"peak {ours['peak_bytes'] / 2**20:6.0f} / {theirs['peak_bytes'] / 2**20:6.0f} MiB  "
          f"difference {row['difference']:.1e}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--folder", default=os.path.join(HERE, "..", "..", "build", "models"))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--exporter", default="dynamo")
    parser.add_argument("--json")
    parser.add_argument("--least", type=float, default=0)
    options = parser.parse_args()
    import models
    print("ours / ONNX Runtime; ratio above 1: we are faster")
    rows = []
    for name in options.names or models.MODELS:
        folder = os.path.join(options.folder, f"{name}-{options.exporter}")
        if not os.path.exists(os.path.join(folder, "model.onnx")):
            models.export(name, options.exporter, folder)
        inputs = os.path.join(folder, f"versus-{options.batch}.npz")
        numpy.savez(inputs, x=models.sample(name, options.batch).numpy())
        for threads in map(int, options.threads.split(",")):
            rows.append(compare(name, os.path.join(folder, "model.onnx"), inputs, threads, options.rounds))
            show(rows[-1])
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=1)
    sys.exit(any(row["ratio"] < options.least for row in rows))


if __name__ == "__main__":
    main()
