#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Training steps of Sardonyx and PyTorch: same model, batch and thread count, interleaved in one run.

usage: train_versus.py [--folder build/models] [--threads 1,2] [--rounds 6] [--json FILE] [NAME...]

Each lives in its own process, which is stopped while the other works; blocks of steps alternate. The ratio is PyTorch's median
over ours: above 1 we are faster. Peak is what the process held at most, less what it held before the model was loaded.
"""
import argparse
import json
import os
import statistics
import sys

from versus import HERE, Worker

SIDES = ("sardonyx", "pytorch")


def compare(name, folder, threads, rounds):
    workers = {side: Worker(side, name, folder, threads, script="train_worker.py") for side in SIDES}
    times, losses = {side: [] for side in SIDES}, {}
    first = {}
    for side, worker in workers.items():
        first[side] = worker.ask("run 3")["times"]
        worker.pause()
    block = max(2, min(50, int(1500 / statistics.median(first["pytorch"]))))
    for _ in range(rounds):
        for side, worker in workers.items():
            worker.resume()
            worker.ask("run 1")
            answer = worker.ask(f"run {block}")
            times[side] += answer["times"]
            losses[side] = answer["loss"]
            worker.pause()
    row = {"model": name, "threads": threads, "steps": len(times["sardonyx"]), "losses": losses}
    for side, worker in workers.items():
        worker.resume()
        memory = worker.ask("memory")
        row[side] = {"median_ms": statistics.median(times[side]), "min_ms": min(times[side]),
                     "peak_bytes": memory["peak_bytes"] - worker.loaded["before_bytes"]}
        worker.close()
    row["ratio"] = row["pytorch"]["median_ms"] / row["sardonyx"]["median_ms"]
    return row


def show(row):
    ours, theirs = (row[side] for side in SIDES)
    print(f"{row['model']:20s} {row['threads']} threads  ratio {row['ratio']:5.2f}  "
          f"step {ours['median_ms']:8.2f} / {theirs['median_ms']:8.2f} ms  "
          f"peak {ours['peak_bytes'] / 2**20:6.0f} / {theirs['peak_bytes'] / 2**20:6.0f} MiB  "
          f"loss {row['losses']['sardonyx']:.5f} / {row['losses']['pytorch']:.5f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--folder", default=os.path.join(HERE, "..", "..", "build", "models"))
    parser.add_argument("--threads", default="1,2")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--json")
    options = parser.parse_args()
    options.folder = os.path.abspath(options.folder)
    os.makedirs(options.folder, exist_ok=True)
    print("ours / PyTorch; ratio above 1: we are faster")
    rows = []
    for name in options.names or ("digits_cnn", "resnet18", "transformer6"):
        for threads in map(int, options.threads.split(",")):
            rows.append(compare(name, options.folder, threads, options.rounds))
            show(rows[-1])
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
