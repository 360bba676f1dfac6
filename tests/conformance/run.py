#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The official ONNX suite through `sardonyx test`, held against a two-way manifest.

usage: run.py SARDONYX SUITE_FOLDER [--update]

not_passing.txt names the cases that do not pass yet. A case that fails without being listed is a failure, and so is a
listed case that passes; a listed one that fails counts as skipped. --update rewrites the list. The strict count,
without upstream's exceptions, is printed beside.
"""
import collections
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
MANIFEST = os.path.join(HERE, "not_passing.txt")
COMPLETE = ("simple", "pytorch-converted", "pytorch-operator", "light")


def run(sardonyx, suite, *options):
    """{(kind, name): message or None} for every case of the suite."""
    report = os.path.join(os.path.dirname(suite), "conformance.json")
    done = subprocess.run([sardonyx, "test", suite, "--json", report, *options], stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.exit(f"sardonyx test ended with status {done.returncode}: {done.stderr[-2000:]}")
    cases = {}
    for case in json.load(open(report))["cases"]:
        kind, name = os.path.relpath(case["path"], suite).split(os.sep)[:2]
        cases[kind, name] = None if case["status"] == "passed" else case.get("message") or case["status"]
    return cases


def listed():
    if not os.path.exists(MANIFEST):
        return set()
    lines = (line.strip() for line in open(MANIFEST))
    return {tuple(line.split("/")) for line in lines if line and not line.startswith("#")}


def update(cases):
    with open(MANIFEST, "w") as file:
        file.write("# Cases that do not pass yet, KIND/NAME. A case that passes must leave this list.\n")
        for (kind, name), message in sorted(cases.items()):
            if message is not None:
                file.write(f"{kind}/{name}\n")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sardonyx, suite = sys.argv[1], os.path.abspath(sys.argv[2])
    cases = run(sardonyx, suite, "--exceptions", os.path.join(HERE, "exceptions.txt"))
    strict = run(sardonyx, suite, "--strict")
    if "--update" in sys.argv:
        update(cases)
    expected, failed = listed(), 0
    for case, message in sorted(cases.items()):
        if message is not None and case not in expected:
            print(f"FAIL {'/'.join(case)}: {message}")
            failed += 1
        if message is None and case in expected:
            print(f"FAIL {'/'.join(case)}: passes, but not_passing.txt lists it")
            failed += 1
        if message is not None and "signal" in message:
            print(f"CRASH {'/'.join(case)}: {message}")
            failed += case in expected
    for case in sorted(expected - cases.keys()):
        print(f"FAIL {'/'.join(case)}: listed, but not in the suite")
        failed += 1
    by_kind = collections.defaultdict(lambda: [0, 0])
    for (kind, _), message in cases.items():
        by_kind[kind][message is None] += 1
    for kind, (bad, good) in sorted(by_kind.items()):
        print(f"{kind}: {good} of {good + bad} cases pass")
    passing = sum(message is None for message in cases.values())
    print(f"whole suite: {passing} of {len(cases)} cases pass; strictly, without upstream's exceptions: "
          f"{sum(message is None for message in strict.values())}")
    known = sum(cases[case] is not None for case in expected & cases.keys())
    good = sum(message is None and case not in expected for case, message in cases.items())
    print(f"{good} passed, {failed} failed, {known} skipped")
    sys.exit(failed != 0)


if __name__ == "__main__":
    main()
