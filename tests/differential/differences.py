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
    return draw.op in ("StringNormalizer",)


def rule(name, ops=""):
    def add(condition):
        RULES.append((name, set(ops.split()), condition))
        return condition
    return add


def explain(draw, ours, theirs, who, found):
    for name, ops, condition in RULES:
        if (not ops or draw.op in ops) and condition(draw, ours, theirs, who, found):
            return name
    return None


def has_nan(draw):
    return any(t.dtype.kind not in "OUSiub" and numpy.isnan(t.astype(numpy.complex128)).any() for t in draw.tensors())


@rule("slice-backwards", "Slice")
def slice_backwards(draw, ours, theirs, who, found):
    return who.startswith("onnxruntime") and any((t == 2 ** 31 - 1).any() for t in draw.tensors()[1:])


@rule("empty-text-split", "StringSplit")
def empty_text_split(draw, ours, theirs, who, found):
    return who.startswith("onnxruntime") and draw.value_of("delimiter") and any(s == "" for s in draw.tensors()[0].flat)


@rule("integer-log-sum-exp", "ReduceLogSumExp ReduceLogSum")
def integer_log_sum_exp(draw, ours, theirs, who, found):
    return who.startswith("onnxruntime") and draw.tensors()[0].dtype.kind in "iu"


@rule("e8m0-of-negatives", "Cast CastLike")
def e8m0_of_negatives(draw, ours, theirs, who, found):
    return who.startswith("onnxruntime") and draw.uses(24)


@rule("shrink-of-integers", "Shrink")
def shrink_of_integers(draw, ours, theirs, who, found):
    return who.startswith("onnxruntime") and draw.tensors()[0].dtype.kind in "iu"


@rule("max-pool-nan", "MaxPool GlobalMaxPool")
def max_pool_nan(draw, ours, theirs, who, found):
    return has_nan(draw)
