#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The zoo of PyTorch architectures, exported by both exporters, run by the command line, against PyTorch itself.

usage: test_models.py SARDONYX FOLDER [NAME...]

The error of an output is max|a - b| / max|b|; bounds are in the zoo (1e-4; 1e-3 for float16). Whole numbers are equal.
Every model is run at every size of its entry. Exports are kept in FOLDER and made again when the zoo changes. What
PyTorch itself does not export, or exports wrongly (ONNX Runtime agrees with us then), is listed in the zoo with its
reason, and skipped here in sight. At the end: which model uses which operators, and which operators no model uses.
"""
import concurrent.futures
import multiprocessing
import os
import subprocess
import sys

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools", "bench"))
import zoo  # noqa: E402

LONGEST = 240  # seconds of one run


def quiet():
    """Workers export on one thread each and keep the exporters' chatter to themselves."""
    import torch
    torch.set_num_threads(1)
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)


def error_of(got, want):
    if got.shape != want.shape or got.dtype != want.dtype:
        return float("inf")
    if want.size == 0:
        return 0.0
    if want.dtype.kind in "biu":
        return 0.0 if numpy.array_equal(got, want) else float("inf")
    got, want = got.astype(numpy.float64), want.astype(numpy.float64)
    same = (got == want) | (numpy.isnan(got) & numpy.isnan(want))
    finite = want[numpy.isfinite(want)]
    scale = float(numpy.abs(finite).max()) if finite.size else 0.0
    with numpy.errstate(invalid="ignore"):
        error = float(numpy.where(same, 0.0, numpy.abs(got - want)).max()) / (scale or 1.0)
    return error if error == error else float("inf")


def worst(got, want):
    """Outputs are named y0, y1, ...; arrays of an .npz without names arr_0, arr_1, ..."""
    errors = [error_of(got[f"y{i}"], want[f"arr_{i}"]) if f"y{i}" in got else float("inf") for i in range(len(want))]
    return max(errors), int(numpy.argmax(errors))


def run(sardonyx, folder, index):
    """(outputs, None) or (None, message)."""
    answers = os.path.join(folder, f"{index}-got.npz")
    command = [sardonyx, "run", os.path.join(folder, "model.onnx"), "-q", "-o", answers]
    given = numpy.load(os.path.join(folder, f"{index}-in.npz"))
    for name in read_inputs(folder):
        if name in given:
            command += ["-i", f"{name}={os.path.join(folder, f'{index}-in.npz')}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return None, f"no answer after {LONGEST} s"
    if done.returncode:
        return None, done.stderr.strip() or f"status {done.returncode}"
    return dict(numpy.load(answers)), None


def reference(folder, index):
    """What ONNX Runtime says of an export that PyTorch got wrong: (outputs, None) or (None, message)."""
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(os.path.join(folder, "model.onnx"), options,
                                               providers=["CPUExecutionProvider"])
        given = numpy.load(os.path.join(folder, f"{index}-in.npz"))
        names = [o.name for o in session.get_outputs()]
        return dict(zip(names, session.run(names, {i.name: given[i.name] for i in session.get_inputs()}))), None
    except Exception as problem:  # any refusal is an answer here
        return None, str(problem)


def model_of(folder):
    import onnx
    return onnx.load(os.path.join(folder, "model.onnx"), load_external_data=False)


def read_inputs(folder):
    return [value.name for value in model_of(folder).graph.input]


def operators(folder):
    """Operator types of a model, inside sub-graphs and functions too."""
    model = model_of(folder)
    local = {(f.domain, f.name) for f in model.functions}
    found, waiting = set(), list(model.graph.node) + [n for f in model.functions for n in f.node]
    while waiting:
        node = waiting.pop()
        if (node.domain, node.op_type) not in local:
            found.add(node.op_type)
        for attribute in node.attribute:
            for graph in [attribute.g, *attribute.graphs]:
                waiting += graph.node
    return found


class Totals:
    passed = failed = skipped = 0

    def say(self, verdict, text):
        setattr(self, verdict, getattr(self, verdict) + 1)
        print(f"{ {'passed': 'ok  ', 'failed': 'FAIL', 'skipped': 'skip'}[verdict]} {text}", flush=True)


def check_size(totals, sardonyx, entry, exporter, folder, index):
    label = f"{entry.name} {exporter} " + " ".join(f"{k}={v}" for k, v in entry.sizes[index].items())
    got, refusal = run(sardonyx, folder, index)
    want = dict(numpy.load(os.path.join(folder, f"{index}-out.npz")))
    if got is not None:
        error, output = worst(got, want)
        if error <= entry.bound:
            return totals.say("passed", f"{label}: relative error {error:.2e}")
        refusal = f"relative error {error:.2e} at output {output}"
    if exporter not in entry.wrong:
        return totals.say("failed", f"{label}: {refusal}")
    theirs, theirs_refusal = reference(folder, index)
    if theirs is None or got is None:
        agree = theirs is None and got is None
        return totals.say("skipped" if agree else "failed",
                          f"{label}: PyTorch's export is not the module ({entry.wrong[exporter]}); ours: {refusal}; "
                          f"ONNX Runtime: {theirs_refusal or 'runs'}"[:600])
    error = max(error_of(got[name], value) for name, value in theirs.items())
    totals.say("passed" if error <= entry.bound else "failed",
               f"{label}: PyTorch's export is not the module ({entry.wrong[exporter]}); against ONNX Runtime "
               f"{error:.2e}")
    return None


def check(totals, sardonyx, entry, exporter, folder, reason):
    """One exported model at all sizes."""
    known = entry.refused.get(exporter)
    if reason is not None:
        verdict = "skipped" if known is not None and known in reason else "failed"
        totals.say(verdict, f"{entry.name} {exporter}: PyTorch does not export it: "
                            f"{known if verdict == 'skipped' else reason.split(' <- ')[-1][:500]}")
        return
    if known is not None:
        totals.say("failed", f"{entry.name} {exporter}: PyTorch exports it; the zoo lists it as refused ({known})")
    for index in range(len(entry.sizes)):
        check_size(totals, sardonyx, entry, exporter, folder, index)


def show_operators(sardonyx, used):
    print("\noperators of the models")
    for label, found in used.items():
        print(f"{label:28s} {' '.join(sorted(found))}")
    listed = subprocess.run([sardonyx, "info", "--ops"], capture_output=True, text=True, check=True).stdout
    registry = {line.split()[0] for line in listed.split("\n") if line.strip()}
    everything = set().union(*used.values())
    unused = sorted(registry - everything)
    print(f"\n{len(everything)} operators are used; {len(unused)} of the registry are in no model:\n{' '.join(unused)}")
    if everything - registry:
        print(f"not in the registry: {' '.join(sorted(everything - registry))}")


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sardonyx, root = sys.argv[1:3]
    entries, totals, used = zoo.load(), Totals(), {}
    work = [(name, exporter, os.path.join(root, f"{name}-{exporter}"))
            for name in sys.argv[3:] or entries for exporter in zoo.EXPORTERS]
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(os.cpu_count(), context, initializer=quiet) as pool:
        waiting = {}
        for name, exporter, folder in work:
            if not zoo.exported(name, folder)[0]:
                waiting[folder] = pool.submit(zoo.export, name, exporter, folder)
        for name, exporter, folder in work:
            reason = waiting[folder].result() if folder in waiting else zoo.exported(name, folder)[1]
            check(totals, sardonyx, entries[name], exporter, folder, reason)
            if reason is None:
                used[f"{name} {exporter}"] = operators(folder)
    show_operators(sardonyx, used)
    print(f"{totals.passed} passed, {totals.failed} failed, {totals.skipped} skipped")
    sys.exit(totals.failed != 0)


if __name__ == "__main__":
    main()
