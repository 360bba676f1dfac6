# SPDX-License-Identifier: Apache-2.0
"""usage: test_roundtrip.py ROUNDTRIP SUITE

Decodes and encodes every model and data file below SUITE with our code, and compares what comes out with what went in,
as the onnx package reads them: models message by message, values element by element."""
import pathlib
import subprocess
import sys
import tempfile

import numpy
import onnx
from onnx import numpy_helper

KINDS = {"tensor_type": 1, "sequence_type": 2, "optional_type": 3, "map_type": 4, "sparse_tensor_type": 5}
READ = {1: (onnx.TensorProto, numpy_helper.to_array), 2: (onnx.SequenceProto, numpy_helper.to_list),
        3: (onnx.OptionalProto, numpy_helper.to_optional), 4: (onnx.MapProto, numpy_helper.to_dict)}


def jobs_of(folder):
    """(kind, path) of the model and of its data files."""
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    yield 0, folder / "model.onnx"
    for stem, infos in (("input", model.graph.input), ("output", model.graph.output)):
        for path in folder.glob(f"test_data_set_*/{stem}_*.pb"):
            index = int(path.stem.split("_")[1])
            yield KINDS[infos[index].type.WhichOneof("value")], path


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, numpy.ndarray):
        if a.dtype != b.dtype or a.shape != b.shape:
            return False
        return (a == b).all() if a.dtype == object else a.tobytes() == b.tobytes()
    return a == b


def agree(kind, before, after):
    if kind == 0:
        return onnx.load_from_string(before) == onnx.load_from_string(after)
    message, read = READ[kind]
    return same(read(message.FromString(before)), read(message.FromString(after)))


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, suite = sys.argv[1], pathlib.Path(sys.argv[2])
    jobs = [job for path in sorted(suite.rglob("model.onnx")) for job in jobs_of(path.parent)]
    passed = failed = identical = 0
    with tempfile.TemporaryDirectory() as folder:
        outs = [pathlib.Path(folder) / str(i) for i in range(len(jobs))]
        lines = "".join(f"{kind} {path} {out}\n" for (kind, path), out in zip(jobs, outs))
        answers = subprocess.run([program], input=lines, capture_output=True, text=True).stdout.splitlines()
        for i, (kind, path) in enumerate(jobs):
            answer = answers[i] if i < len(answers) else "the program ended early"
            before, after = path.read_bytes(), outs[i].read_bytes() if answer == "ok" else b""
            if answer == "ok" and agree(kind, before, after):
                passed += 1
                identical += before == after
            else:
                failed += 1
                print(f"FAIL {path.relative_to(suite)}: {answer if answer != 'ok' else 'differs'}")
    models = sum(kind == 0 for kind, _ in jobs)
    print(f"{models} models and {len(jobs) - models} data files of onnx {onnx.__version__}; {identical} byte for byte")
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return 1 if failed or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())
