# SPDX-License-Identifier: Apache-2.0
"""The known differences as rules: differences.md says of each who is right and why. A rule holds for the narrowest
condition that explains what was seen; whatever no rule explains fails."""
import numpy

RULES = []
ALWAYS = ("rounding", "old-broadcast", "reference-gaps")  # found by worker.py, and by no_referee


def no_referee(draw, who):
    """Where a referee runs a model without computing what the operator says."""
    if who != "onnx.reference":
        return False
    if "broadcast" in draw.attributes:
        return True
    if draw.op in ("RNN", "GRU", "LSTM"):
        return not {"clip", "activations"}.isdisjoint(draw.attributes) or len(draw.inputs) > 4 or draw.since < 7 or \
            draw.attributes.get("direction", "forward") != "forward"
    return draw.op == "StringNormalizer" or (draw.op in ("PRelu", "Gemm") and draw.since < 7) or \
        (draw.op in ("Hardmax", "Softmax", "LogSoftmax") and draw.since < 13)


def explain(draw, ours, theirs, who, found, second):
    """The name of the rule. `second` says whether onnx.reference contradicts us too: no rule about ONNX Runtime then."""
    for name, ops, condition in RULES:
        if (not ops or draw.op in ops) and condition(draw, ours, theirs, who, found) and \
                not (getattr(condition, "about_runtime", False) and second()):
            return name
    return None


def has_nan(draw):
    return any(t.dtype.kind not in "OUSiub" and numpy.isnan(t.astype(numpy.complex128)).any() for t in draw.tensors())


def has_special(draw):
    return any(t.dtype.kind not in "OUSiub" and not numpy.isfinite(t.astype(numpy.complex128)).all()
               for t in draw.tensors())


def is_whole(tensor):
    return tensor.dtype.kind in "iu" or tensor.dtype.name in ("int4", "uint4", "int2", "uint2")


def runtime_only(condition):
    """For rules about ONNX Runtime, where onnx.reference is with us or does not run the model."""
    def holds(draw, ours, theirs, who, found):
        return who.startswith("onnxruntime") and condition(draw, ours, theirs)
    holds.about_runtime = True
    return holds


def reference_only(condition):
    return lambda draw, ours, theirs, who, found: who == "onnx.reference" and condition(draw, ours, theirs)


def when(condition):
    return lambda draw, ours, theirs, who, found: condition(draw, ours, theirs)


def empty(tensor):
    return tensor.size == 0


def exact_deviations(draw, ours):
    """MeanVarianceNormalization in float64, the variance from the deviations."""
    x = draw.tensors()[0].astype(numpy.float64)
    axes = tuple(draw.attributes.get("axes", (0, 2, 3)))
    truth = (x - x.mean(axes, keepdims=True)) / (x.std(axes, keepdims=True) + 1e-9)
    return numpy.allclose(ours[0].astype(numpy.float64), truth, rtol=1e-4, atol=1e-6)


for name, ops, condition in (
    ("twin-overflow", "", lambda d, a, b, who, found: who == "onnxruntime twin" and any(
        x.dtype == numpy.float64 and not numpy.isfinite(y).all() for x, y in zip(a or (), b))),
    # ONNX Runtime is wrong
    ("slice-backwards", "Slice", runtime_only(lambda d, a, b: len(d.inputs) > 4 and (d.inputs[4][1] < 0).any())),
    ("empty-text-split", "StringSplit", runtime_only(lambda d, a, b: True)),
    ("integer-reductions", "ReduceLogSumExp ReduceLogSum ReduceL1 ReduceL2 ReduceMean ReduceSum", when(lambda d, a, b: is_whole(d.tensors()[0]))),
    ("empty-reductions", "ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd "
     "ReduceSum ReduceSumSquare", runtime_only(lambda d, a, b: empty(d.tensors()[0]))),
    ("e8m0-of-negatives", "Cast CastLike", runtime_only(lambda d, a, b: d.uses(24))),
    ("casts-to-four-bits", "Cast CastLike", runtime_only(lambda d, a, b: d.uses(21, 22, 25, 26))),
    ("casts-out-of-range", "Cast CastLike", when(lambda d, a, b: d.tensors()[0].dtype.kind not in "OUSiub" and
                                                 has_nan(d))),
    ("shrink-of-integers", "Shrink", when(lambda d, a, b: is_whole(d.tensors()[0]))),
    ("non-zero-of-scalar", "NonZero", runtime_only(lambda d, a, b: d.tensors()[0].ndim == 0)),
    ("strings-gathered", "Gather", runtime_only(lambda d, a, b: d.uses(8))),
    ("cancelled-means", "MeanVarianceNormalization", when(lambda d, a, b: a is not None and exact_deviations(d, a))),
    ("variance-of-one", "MeanVarianceNormalization", runtime_only(lambda d, a, b: True)),
    ("causal-with-past", "Attention", runtime_only(lambda d, a, b: d.attributes.get("is_causal") == 1)),
    ("masked-scores", "Attention", runtime_only(lambda d, a, b: len(b) > 3 and (b[3] < -1e37).any())),
    ("transpose-same", "ConvTranspose", when(lambda d, a, b: "SAME" in str(d.attributes.get("auto_pad")))),
    ("loop-without-condition", "Loop", runtime_only(
        lambda d, a, b: len(d.inputs) < 2 or not d.inputs[1][0])),
    ("dropout-10-mask", "Dropout", runtime_only(lambda d, a, b: d.since == 10)),
    ("recurrent-softplus", "GRU LSTM RNN", runtime_only(lambda d, a, b: "Softplus" in d.attributes.get(
        "activations", ()) and not all(numpy.isfinite(t).all() for t in b))),
    ("float-text", "Cast CastLike", when(lambda d, a, b: d.outputs[0][1] == 8)),
    ("infinite-softmax", "Softmax LogSoftmax", when(lambda d, a, b: has_special(d))),
    ("quantized-halves", "QuantizeLinear", runtime_only(lambda d, a, b: d.uses(10, 16))),
    ("split-keepdims", "SplitToSequence", runtime_only(lambda d, a, b: len(d.inputs) > 1)),
    ("empty-loss", "NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss", runtime_only(
        lambda d, a, b: empty(d.tensors()[1]))),
    ("pad-wrap", "Pad", runtime_only(lambda d, a, b: d.attributes.get("mode") == "wrap")),
    ("gemm-of-nothing", "Gemm", runtime_only(lambda d, a, b: empty(d.tensors()[0]))),
    ("sign-of-nan", "Sign", runtime_only(lambda d, a, b: has_nan(d))),
    ("windows-of-one", "HannWindow HammingWindow BlackmanWindow", when(lambda d, a, b: d.tensors()[0] == 1)),
    ("cubic-at-borders", "GridSample", runtime_only(lambda d, a, b: "cubic" in d.attributes.get("mode", "") and
                                                    d.attributes.get("padding_mode") == "border")),
    ("resize-nearest", "Resize", runtime_only(lambda d, a, b: d.attributes.get("mode", "nearest") == "nearest")),
    ("quantized-two-bits", "QuantizeLinear", runtime_only(lambda d, a, b: d.uses(25, 26))),
    ("col2im-ranks", "Col2Im", runtime_only(lambda d, a, b: d.inputs[1][1].size != 2)),
    ("resize-align-fraction", "Resize", runtime_only(lambda d, a, b: d.attributes.get(
        "coordinate_transformation_mode") == "align_corners")),
    ("fmod-of-integers", "Mod", runtime_only(lambda d, a, b: is_whole(d.tensors()[0]))),
    ("float8-unsaturated", "Cast CastLike", runtime_only(lambda d, a, b: d.attributes.get("saturate") == 0)),
    ("matmul-of-nothing", "MatMul", runtime_only(lambda d, a, b: empty(d.tensors()[0]))),
    ("targets-without-leaves", "TreeEnsembleRegressor TreeEnsemble", when(
        lambda d, a, b: "base_values" in d.attributes or d.attributes.get("aggregate_function", 1) not in (1, "SUM"))),
    ("nan-in-trees", "TreeEnsembleRegressor TreeEnsembleClassifier", when(lambda d, a, b: has_nan(d))),
    # nobody says
    ("overflowing-sums", "CumSum CumProd ReduceSum ReduceMean ReduceL1 ReduceL2 ReduceSumSquare ReduceProd", when(
        lambda d, a, b: a is not None and b[0].dtype.kind == "f" and not numpy.isfinite(b[0]).all())),
    ("nan-extremes", "ArgMax ArgMin ReduceMax ReduceMin Max Min TopK", when(lambda d, a, b: has_nan(d))),
    ("unbounded-clip", "Clip", when(lambda d, a, b: has_special(d))),
    ("no-trips", "Loop", when(
        lambda d, a, b: a is not None and a[1].size == 0 and b[1].size == 0)),
    ("same-with-long-strides", "MaxPool AveragePool LpPool Conv", when(
        lambda d, a, b: "SAME" in str(d.attributes.get("auto_pad")) and any(
            s > k for s, k in zip(d.attributes.get("strides", ()), d.attributes.get("kernel_shape") or
                                  d.inputs[1][1].shape[2:])))),
    ("max-pool-nan", "MaxPool GlobalMaxPool", when(lambda d, a, b: has_nan(d))),
    ("hardmax-nan", "Hardmax", when(lambda d, a, b: has_nan(d))),
    ("integer-powers", "Pow", when(lambda d, a, b: is_whole(d.tensors()[0]) and not is_whole(d.tensors()[1]))),
    # onnx.reference is wrong
    ("one-hot-products", "OneHot", reference_only(lambda d, a, b: not is_whole(d.tensors()[2]))),
    ("padding-with-text", "Trilu CenterCropPad Pad", reference_only(lambda d, a, b: d.uses(8))),
    ("pad-e8m0", "Pad", reference_only(lambda d, a, b: d.uses(24))),
    ("windows-in-halves", "HannWindow HammingWindow BlackmanWindow", reference_only(lambda d, a, b: d.uses(10, 16))),
    ("complex-products", "Expand", reference_only(lambda d, a, b: has_special(d))),
    ("complex-resize", "Resize", reference_only(lambda d, a, b: d.uses(14, 15))),
    ("gray-pictures", "ImageDecoder", reference_only(lambda d, a, b: b[0].ndim == 2)),
    ("dict-vectorizer-rank", "DictVectorizer", reference_only(lambda d, a, b: True)),
    ("whole-trees", "TreeEnsembleRegressor", reference_only(lambda d, a, b: is_whole(d.tensors()[0]))),
    ("unsqueeze-in-turn", "Unsqueeze", reference_only(lambda d, a, b: min(d.attributes.get("axes", [0])) < 0)),
    ("scores-under-softcap", "Attention", reference_only(lambda d, a, b: len(b) > 3 and d.attributes.get("softcap"))),
    ("underflowing-sigmoid", "SwiGLU", reference_only(lambda d, a, b: has_special(d))),
    ("shape-clamp", "Shape", reference_only(lambda d, a, b: True)),
    ("insert-at-end", "SequenceInsert", reference_only(lambda d, a, b: True)),
    ("integer-erf", "Erf", reference_only(lambda d, a, b: is_whole(d.tensors()[0]))),
    ("unique-unsorted", "Unique", reference_only(lambda d, a, b: d.attributes.get("sorted") == 0)),
):
    RULES.append((name, set(ops.split()), condition))
