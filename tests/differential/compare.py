# SPDX-License-Identifier: Apache-2.0
"""The official rule: same structure, dtype and shape; |a - b| <= 1e-7 + 1e-3 |b| (bfloat16: 2^-6), NaN equals NaN."""
import numpy

from draw import NUMBERS, NUMPY

RTOL, ATOL, RTOL_BF16 = 1e-3, 1e-7, 2.0 ** -6


def mismatch(ours, theirs, bf16=False):
    """Boolean array: where two numeric arrays of one shape break the rule."""
    rtol = RTOL_BF16 if bf16 else RTOL
    a, b = ours, theirs
    if a.dtype.kind in "OUS" or b.dtype.kind in "OUS":
        return numpy.array([str(x) != str(y) for x, y in zip(a.ravel(), b.ravel())], bool).reshape(a.shape)
    if a.dtype.kind in "iub" and b.dtype.kind in "iub":
        return a != b
    kind = numpy.complex128 if "c" in (a.dtype.kind, b.dtype.kind) else numpy.float64
    a, b = a.astype(kind), b.astype(kind)
    with numpy.errstate(all="ignore"):
        return ~numpy.isclose(a, b, rtol=rtol, atol=ATOL, equal_nan=True)


def compare(ours, theirs, dtype=None, noise=0.0):
    """None, or what differs. `dtype` is the number the output must have; `theirs` may be wider."""
    if isinstance(theirs, (list, tuple)) or isinstance(ours, list):
        if not isinstance(ours, list) or len(ours) != len(theirs):
            return f"{len(ours) if isinstance(ours, list) else 'no sequence'} items; the referee has {len(theirs)}"
        found = [compare(a, b) for a, b in zip(ours, theirs)]
        return next((f for f in found if f), None)
    if isinstance(theirs, dict):
        return None if same_map(ours, theirs) else f"{ours}; the referee has {theirs}"
    if ours is None or theirs is None:
        return None if ours is None and theirs is None else f"{ours}; the referee has {theirs}"
    theirs = numpy.asarray(theirs)
    if theirs.dtype.kind in "US":
        theirs = theirs.astype(object)
    if dtype is not None and ours.dtype != NUMPY[dtype]:
        return f"type {ours.dtype}; it must be {numpy.dtype(NUMPY[dtype])}"
    if ours.shape != theirs.shape:
        return f"shape {ours.shape}; the referee has {theirs.shape}"
    bad = mismatch(ours, theirs, NUMBERS.get(ours.dtype) == 16)
    if noise and bad.any() and ours.dtype.kind not in "OUSb":
        with numpy.errstate(all="ignore"):
            bad &= ~(numpy.abs(ours.astype(numpy.float64) - theirs.astype(numpy.float64)) <= noise)
    if not bad.any():
        return None
    where = tuple(int(i) for i in numpy.argwhere(bad)[0])
    return f"{int(bad.sum())} of {bad.size} values; at {list(where)} {ours[where]!r}; the referee has {theirs[where]!r}"


def same_map(ours, theirs):
    """Maps have no order."""
    return isinstance(ours, dict) and ours.keys() == theirs.keys() and all(
        ours[k] == theirs[k] if isinstance(theirs[k], str) else numpy.isclose(ours[k], theirs[k], RTOL, ATOL)
        for k in theirs)


def error_of(found, truth):
    """Largest absolute error over finite values; infinity where finiteness itself differs."""
    a, t = found.astype(numpy.float64), truth.astype(numpy.float64)
    finite = numpy.isfinite(t)
    if not numpy.array_equal(finite, numpy.isfinite(a)):
        return numpy.inf
    return float(numpy.abs(a - t)[finite].max(initial=0.0))
