# SPDX-License-Identifier: Apache-2.0
"""One runtime in its own process, driven over pipes by versus.py: a line in, a JSON line out.

commands: run N  -> times of N runs in ms;  memory -> resident and peak bytes;  quit
"""
import json
import sys
import time

import numpy


def memory():
    fields = dict(line.split(":", 1) for line in open("/proc/self/status"))
    return {key: int(fields[field].split()[0]) * 1024 for key, field in
            (("resident_bytes", "VmRSS"), ("peak_bytes", "VmHWM"))}


def create(runtime, model, threads):
    if runtime == "sardonyx":
        import sardonyx
        return sardonyx.InferenceSession(model, threads=threads)
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def main():
    runtime, model, inputs, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    feeds = dict(numpy.load(inputs))
    if runtime == "sardonyx":
        import sardonyx  # noqa: F401  importing is not loading
    else:
        import onnxruntime  # noqa: F401
    before = memory()["resident_bytes"]
    start = time.perf_counter()
    session = create(runtime, model, threads)
    load_ms = 1e3 * (time.perf_counter() - start)
    names = [output.name for output in session.get_outputs()]
    outputs = session.run(names, feeds)
    numpy.savez(f"{inputs}.{runtime}.npz", *outputs)
    print(json.dumps({"load_ms": load_ms, "before_bytes": before}), flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "run":
            times = []
            for _ in range(int(arguments[0])):
                start = time.perf_counter()
                session.run(names, feeds)
                times.append(1e3 * (time.perf_counter() - start))
            print(json.dumps(times), flush=True)
        elif command == "memory":
            print(json.dumps(memory()), flush=True)
        else:
            break


if __name__ == "__main__":
    main()
