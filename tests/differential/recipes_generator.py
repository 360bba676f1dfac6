# SPDX-License-Identifier: Apache-2.0
"""Operators that make tensors: the folder generator."""
import numpy

from draw import DTYPES, F32, NUMPY, STRING, recipe
from model import tensor_of


@recipe("Constant")
def constant(d):
    kinds = [a for a in d.schema.attributes if a != "sparse_value"]
    kind = d.pick(sorted(kinds))
    if kind == "value":
        number = d.dtype("T")
        d.attributes[kind] = tensor_of("v", d.values(d.shape(), number))
    else:
        number = d.types["T"] = F32 if "float" in kind else 7 if "int" in kind else STRING
        one = d.real(-2, 2) if number == F32 else d.between(-9, 9) if number == 7 else "text"
        d.attributes[kind] = one if not kind.endswith("s") else [one] * d.between(1, 4)
    d.out(number)


@recipe("ConstantOfShape")
def constant_of_shape(d):
    number = F32
    if d.chance(0.8):
        number = d.dtype("T2")
        d.attributes["value"] = tensor_of("v", d.values([1], number))
    d.types["T2"] = number
    d.ints(d.shape())
    d.out(number)


@recipe("EyeLike")
def eye_like(d):
    d.maybe("k", d.between(-5, 5))
    number = d.dtype("T1")
    if d.chance(0.7) or f"tensor({[k for k, v in DTYPES.items() if v == number][0]})" not in d.allowed("T2"):
        number = d.attributes["dtype"] = d.dtype("T2")
    d.types["T2"] = number
    d.x(d.shape(2, 2))
    d.out(number)


@recipe("Range")
def range_(d):
    number = d.dtype("T")
    start, count = d.between(-5, 5), d.between(0, 40)
    step = d.pick([1, 2, 3, -1, -2]) if number in (1, 11, 5, 6, 7) else 1
    if number in (1, 11) and d.chance(0.5):
        step = step * 0.5
    d.x([], numpy.array(start))
    d.x([], numpy.array(start + step * count))
    d.x([], numpy.array(step))
