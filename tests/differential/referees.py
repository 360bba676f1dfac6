# SPDX-License-Identifier: Apache-2.0
"""The three that run a draw: the library under test, ONNX Runtime, and the package's own reference evaluator."""
import os
import sys
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy
import onnx
import onnxruntime
from onnx.reference import ReferenceEvaluator

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools", "python"))
import sardonyx  # noqa: E402

import model  # noqa: E402
from draw import BF16, F16, F32, F64, NUMPY, versions  # noqa: E402

warnings.simplefilter("ignore")
numpy.seterr(all="ignore")
os.environ["ALLOW_RELEASED_ONNX_OPSET_ONLY"] = "0"
onnxruntime.set_default_logger_severity(4)
OPTIONS = onnxruntime.SessionOptions()
OPTIONS.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
OPTIONS.intra_op_num_threads = OPTIONS.inter_op_num_threads = 1
OPTIONS.log_severity_level = 4


DEPRECATED = {"TreeEnsembleRegressor": 3, "TreeEnsembleClassifier": 3, "Scatter": 10, "Upsample": 9}
EXACT = ("QuantizeLinear",)  # what it rounds to depends on the type it divides in


class Refused(Exception):
    """A runner would not run the model; the text says why."""


def ours(draw):
    bytes_, feeds, names = model.own(draw)
    optimise = draw.number % 3
    try:
        return sardonyx.InferenceSession(bytes_, threads=1 + draw.number % 2, optimise=optimise).run(names, feeds)
    except sardonyx.SardonyxError as error:
        raise Refused(str(error)) from None


def runtime(draw):
    """ONNX Runtime."""
    bytes_, feeds, names = model.plain(draw)
    try:
        session = onnxruntime.InferenceSession(bytes_, OPTIONS, providers=["CPUExecutionProvider"])
        return session.run(names, feeds)
    except Exception as error:  # pylint: disable=broad-except
        raise Refused(str(error)) from None


def older(draw, twin):
    """Puts the twin into a version that ONNX Runtime has and that means the same. Raises where there is none."""
    if draw.op in DEPRECATED:
        twin.opset = min(draw.opset, DEPRECATED[draw.op])
    elif not draw.domain and draw.opset < 7:
        by_broadcast(draw, twin)
        row = [s for s in versions(draw.op, "") if s.since_version <= 7][-1]
        if set(twin.attributes) <= set(row.attributes) and row.min_input <= len(twin.inputs) <= row.max_input:
            twin.opset = 7
    elif not draw.domain and (draw.opset > 25 or draw.since == 22):
        most = 21 if draw.since == 22 else 25
        rows = [s for s in versions(draw.op, "") if s.since_version <= most]
        if not rows or set(draw.schema.attributes) != set(rows[-1].attributes):
            raise Refused("no older version")
        twin.opset = most


def by_broadcast(draw, twin):
    """Before opset 7 the second input was laid along `axis`, and a slope along axis 1; numpy's way needs ones after it."""
    left = {"consumed_inputs", "is_test"}
    twin.attributes = {k: v for k, v in draw.attributes.items() if k not in left}
    if len(draw.inputs) == 2 and ("broadcast" in draw.attributes or draw.op == "PRelu"):
        rank, (name, b) = draw.inputs[0][1].ndim, draw.inputs[1]
        axis = draw.attributes.get("axis", rank - b.ndim) if draw.op != "PRelu" else min(1, rank - 1)
        twin.inputs = [draw.inputs[0], (name, b.reshape(b.shape + (1,) * max(rank - axis - b.ndim, 0)))]
        twin.attributes = {k: v for k, v in twin.attributes.items() if k not in ("broadcast", "axis")}


def runtime_twin(draw):
    """ONNX Runtime on types and versions that it has: floats as float32, another version that means the same."""
    if draw.op in EXACT and any(t.dtype.itemsize == 2 and t.dtype.kind not in "iu" for t in draw.tensors()[:2]):
        raise Refused("the precision of its types is what it is about")
    kinds = [kind for name, kind in draw.outputs if name]
    twin = model.widened(draw, (F16, BF16, F64), F32) or model.widened(draw, (), F32)
    wide = twin.inputs
    older(draw, twin)
    if twin.inputs is not wide:  # laid out anew: widen that
        twin.inputs = [(n, new.astype(old.dtype)) for (n, new), (_, old) in zip(twin.inputs, wide)]
    results = runtime(twin)
    return [numpy.asarray(r).astype(NUMPY[k]) if isinstance(r, numpy.ndarray) and k in (F16, BF16, F64) and
            r.dtype == numpy.float32 else r for r, k in zip(results, kinds)]


def evaluate(draw):
    """onnx.reference on the draw as it is."""
    bytes_, feeds, names = model.own(draw)
    try:
        results = ReferenceEvaluator(onnx.load_from_string(bytes_)).run(names, feeds)
    except (Exception, SystemExit) as error:  # pylint: disable=broad-except
        raise Refused(f"{type(error).__name__}: {error}") from None
    kinds = [kind for name, kind in draw.outputs if name]
    return [r[0] if hasattr(k, "HasField") and k.HasField("optional_type") and isinstance(r, list) else r
            for r, k in zip(results, kinds)]


def reference(draw):
    """onnx.reference; 16-bit floats are computed in float32 and rounded once, where the schema allows float32."""
    twin = model.halves_as_f32(draw)
    if twin is None or draw.op in EXACT:
        return evaluate(draw)
    results = evaluate(twin)
    kinds = [kind for name, kind in draw.outputs if name]
    return [numpy.asarray(r).astype(NUMPY[k]) if k in (F16, BF16) and numpy.asarray(r).dtype != NUMPY[k] else r
            for r, k in zip(results, kinds)]


def truth(draw):
    """onnx.reference with every float widened to float64; None where that cannot be had."""
    twin = model.floats_as_f64(draw)
    if twin is None:
        return None
    try:
        return evaluate(twin)
    except Refused:
        return None
