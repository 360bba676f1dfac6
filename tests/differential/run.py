#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Random single-operator models through the library and through ONNX Runtime or onnx.reference.

usage: run.py [--models N] [--seconds S] [--seed N] [--jobs N] [--ops A,B]    N models (default 100000), all operators
       run.py --short                                                          about a minute, fixed seeds
       run.py Op:number...                                                     these seeds again, with what they do

A difference that no rule of differences.py explains, a refusal of a model that a referee runs, a crash and a hang are
failures; each is printed with its seed. The table says how many models each operator got and who judged them.
"""
import argparse
import collections
import json
import os
import re
import selectors
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
CHUNK, STALL = 2500, 60.0
STAGES = ("drawing the model", "ours", "onnxruntime", "onnx.reference", "nothing")
QUIET = ("refused by all", "unjudged")


class Worker:
    """One process over a span of draws; told by its status file what it does."""

    def __init__(self, start, count, options, until):
        self.start, self.count, self.seen, self.since, self.text = start, count, -1, time.time(), b""
        self.status = tempfile.NamedTemporaryFile()
        self.status.write(b"\0" * 64)
        self.status.flush()
        self.errors = tempfile.TemporaryFile()
        command = [sys.executable, os.path.join(HERE, "worker.py"), self.status.name, "--start", str(start), "--count",
                   str(count), "--seed", str(options.seed), "--ops", options.ops, "--until", str(until)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors)

    def state(self):
        """(models done, stage, seed)"""
        with open(self.status.name, "rb") as file:
            data = file.read(64)
        return (struct.unpack("q", data[:8])[0], struct.unpack("i", data[8:12])[0],
                data[16:].rstrip(b"\0").decode(errors="replace"))

    def stalled(self):
        done = self.state()[0]
        if done != self.seen:
            self.seen, self.since = done, time.time()
        return time.time() - self.since > STALL


class Report:
    def __init__(self):
        self.table, self.failures, self.quiet = collections.Counter(), [], collections.defaultdict(list)
        self.referee_deaths = collections.Counter()

    def line(self, line):
        try:
            record = json.loads(line)
        except ValueError:
            return
        for name, verdict, count in record.get("table", ()):
            self.table[name, verdict] += count
        if "seed" not in record:
            return
        if record["verdict"] in QUIET:
            self.quiet[record["seed"].split(":")[0]].append(record)
        else:
            self.fail(record["seed"], f"{record['verdict']}: {record['detail']}\n      {record['model']}")

    def fail(self, seed, text):
        self.failures.append((seed, text))
        print(f"FAIL {seed}: {text}", flush=True)

    def ended(self, worker, how):
        """The worker died: of us, or of a referee. Returns where the rest of its span begins."""
        done, stage, seed = worker.state()
        if stage in (0, 1, 4) or not seed:
            worker.errors.seek(0)
            self.fail(seed, f"{how} in {STAGES[stage]} {worker.errors.read().decode(errors='replace')[-600:]}")
        else:
            self.referee_deaths[seed.split(":")[0], f"{how} in {STAGES[stage]}"] += 1
        return worker.start + done + 1


def collect(report, options):
    until = time.time() + options.seconds if options.seconds else 0
    spans = [(s, min(CHUNK, options.models - s)) for s in range(0, options.models, CHUNK)][::-1]
    running, selector = {}, selectors.DefaultSelector()
    while spans or running:
        while spans and len(running) < options.jobs and not (until and time.time() > until):
            worker = Worker(*spans.pop(), options, until)
            running[worker.process.stdout.fileno()] = worker
            selector.register(worker.process.stdout, selectors.EVENT_READ)
        if until and time.time() > until:
            spans.clear()
        for key, _ in selector.select(1.0):
            worker = running[key.fd]
            data = os.read(key.fd, 1 << 16)
            *lines, worker.text = (worker.text + data).split(b"\n")
            for line in lines:
                report.line(line)
            if not data:
                retire(report, selector, running, key.fd, spans, None)
        for fd in [fd for fd, w in running.items() if w.stalled()]:
            running[fd].process.kill()
            retire(report, selector, running, fd, spans, f"a hang of {STALL:.0f} s")


def retire(report, selector, running, fd, spans, how):
    worker = running.pop(fd)
    selector.unregister(worker.process.stdout)
    code = worker.process.wait()
    worker.process.stdout.close()
    if how or code:
        following = report.ended(worker, how or (f"signal {-code}" if code < 0 else f"exit status {code}"))
        left = worker.start + worker.count - following
        if left > 0:
            spans.append((following, left))


def print_table(report):
    by_op = collections.defaultdict(collections.Counter)
    known = collections.Counter()
    for (name, verdict), count in report.table.items():
        by_op[name][verdict] += count
        if verdict.startswith("known "):
            known[verdict[6:]] += count
    print(f"{'operator':28} models  onnxruntime  its twin  onnx.reference  known  unjudged  refused by all")
    for name, counts in sorted(by_op.items()):
        explained = sum(n for v, n in counts.items() if v.startswith("known"))
        print(f"{name:28} {sum(counts.values()):6} {counts['onnxruntime']:12} {counts['onnxruntime twin']:9} {counts['onnx.reference']:15} "
              f"{explained:6} {counts['unjudged']:9} {counts['refused by all']:15}")
    for (name, how), count in sorted(report.referee_deaths.items()):
        print(f"a referee died: {name}: {how}, {count} times")
    for name, count in sorted(known.items()):
        print(f"known difference {name}: {count} models")
    return known


def check_page():
    """differences.md and differences.py name the same differences."""
    import differences
    with open(os.path.join(HERE, "differences.md"), encoding="utf-8") as file:
        cells = re.findall(r"^\| (`[^|]+) \|", file.read(), re.M)
    told = set(re.findall(r"`([a-z0-9-]+)`", " ".join(cells)))
    names = {name for name, _, _ in differences.RULES} | set(differences.ALWAYS)
    return [f"{n} is a rule and not in differences.md" for n in sorted(names - told)] + \
        [f"{n} is in differences.md and no rule" for n in sorted(told - names)]


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("seeds", nargs="*")
    parser.add_argument("--models", type=int, default=100000)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--ops", default="")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--quiet-log", default="", help="file for the models that nobody judged")
    options = parser.parse_args()
    if options.seeds:
        with tempfile.NamedTemporaryFile() as status:
            status.write(b"\0" * 64)
            status.flush()
            sys.exit(subprocess.call([sys.executable, os.path.join(HERE, "worker.py"), status.name, *options.seeds]))
    if options.short:
        options.models, options.seed = 16000, 0
    import recipes
    report, began = Report(), time.time()
    print(f"seeds from {options.seed} on; {len(recipes.covered())} operators", flush=True)
    try:
        collect(report, options)
    except KeyboardInterrupt:
        print("interrupted")
    print_table(report)
    for name in recipes.missing():
        report.fail(name, "a registered operator without a recipe")
    for text in check_page():
        report.fail("differences.md", text)
    if options.quiet_log:
        with open(options.quiet_log, "w", encoding="utf-8") as file:
            for records in report.quiet.values():
                file.writelines(json.dumps(r) + "\n" for r in records)
    total, took = sum(report.table.values()), time.time() - began
    judged = sum(n for (_, v), n in report.table.items() if v.startswith(("onnx", "known")))
    print(f"{total} models in {took:.0f} s, {total / took:.0f} a second; {judged} compared")
    print(f"{judged} passed, {len(report.failures)} failed, {total - judged} skipped")
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    main()
