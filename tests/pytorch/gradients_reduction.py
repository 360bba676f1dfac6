# SPDX-License-Identifier: Apache-2.0
import torch
from gradient_table import case, normal, uniform, whole


def each(op, function, data, suffix=""):
    """function(x, axes, keepdims), over one axis, two, all of them, and none."""
    rank = data.ndim
    for keep in (0, 1):
        yield case(op, lambda x, _, k=keep: function(x, (1,), bool(k)), data, whole(1), name=op + suffix,
                   keepdims=keep)
        yield case(op, lambda x, _, k=keep: function(x, (0, 2), bool(k)), data, whole(0, -1), name=op + suffix,
                   keepdims=keep)
        yield case(op, lambda x, k=keep: function(x, tuple(range(rank)), bool(k)), data, name=op + suffix,
                   keepdims=keep)


def prod(x, axes, keep):
    for axis in sorted(axes, reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def norm(x, axes, keep):
    return torch.linalg.vector_norm(x, 2, axes, keep)


def reductions():
    x = normal(2, 3, 4)
    ties = numpy_ties()
    yield from each("ReduceSum", lambda v, a, k: v.sum(a, k), x)
    yield from each("ReduceMean", lambda v, a, k: v.mean(a, k), x)
    yield from each("ReduceMax", lambda v, a, k: v.amax(a, k), x)
    yield from each("ReduceMin", lambda v, a, k: v.amin(a, k), x)
    yield from each("ReduceMax", lambda v, a, k: v.amax(a, k), ties, "_ties")
    yield from each("ReduceMin", lambda v, a, k: v.amin(a, k), ties, "_ties")
    yield from each("ReduceProd", prod, x)
    yield from each("ReduceProd", prod, ties, "_zeros")
    yield from each("ReduceL1", lambda v, a, k: v.abs().sum(a, k), ties, "_zeros")
    yield from each("ReduceL2", norm, x)
    yield from each("ReduceL2", norm, x * 0, "_zeros")
    yield from each("ReduceLogSum", lambda v, a, k: v.sum(a, k).log(), uniform(0.2, 2, 2, 3, 4))
    yield from each("ReduceLogSumExp", lambda v, a, k: v.logsumexp(a, k), x * 30)
    yield from each("ReduceSumSquare", lambda v, a, k: v.square().sum(a, k), x)
    yield case("ReduceLogSumExp", lambda v: v * 1, x, name="ReduceLogSumExp_none",
               noop_with_empty_axes=1)
    yield case("ReduceSumSquare", torch.square, x, name="ReduceSumSquare_none", noop_with_empty_axes=1)


def numpy_ties():
    return (normal(2, 3, 4) * 1.5).round()


CASES = [*reductions()]
