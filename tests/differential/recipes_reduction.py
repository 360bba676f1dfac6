# SPDX-License-Identifier: Apache-2.0
"""Reductions."""
from draw import recipe
from recipes_math import noise_of_sum


@recipe("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
        "ReduceProd", "ReduceSum", "ReduceSumSquare")
def reduce(d):
    shape = d.shape()
    axes = d.axes(len(shape), d.since >= 11, 1)
    d.maybe("keepdims", d.below(2))
    empty = d.maybe("noop_with_empty_axes", d.below(2), 0.4)
    fill = (0.5, 1.5) if d.op in ("ReduceProd", "ReduceLogSum") else "tame" if d.chance(0.85) else None
    x = d.x(shape, fill)
    if d.has("axes"):
        if d.chance(0.8) and axes:
            d.attributes["axes"] = axes
    elif d.chance(0.8):
        d.ints(axes if axes or not empty else [])
    if d.op in ("ReduceSum", "ReduceMean", "ReduceL1"):
        noise_of_sum(d, x.size, x)
    elif d.op == "ReduceSumSquare":
        noise_of_sum(d, x.size, x, x)


@recipe("ArgMax", "ArgMin")
def arg(d):
    shape = d.shape(1, dim=1)
    d.maybe("axis", d.axis(len(shape), d.since >= 11))
    d.maybe("keepdims", d.below(2))
    d.maybe("select_last_index", d.below(2))
    d.x(shape, d.pick(["tame", (0, 3), None]))
