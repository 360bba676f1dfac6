# SPDX-License-Identifier: Apache-2.0
"""Operators that make tensors: the folder generator."""
import numpy

from draw import DTYPES, F32, NAMES, STRING, recipe
from model import tensor_of
from recipes_math import noise_of_sum


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


@recipe("BlackmanWindow", "HammingWindow", "HannWindow")
def window(d):
    d.maybe("periodic", d.below(2))
    number = F32
    if d.chance(0.6):
        number = d.attributes["output_datatype"] = d.dtype("T2")
    d.types["T2"] = number
    d.ints(d.between(1, 40))
    d.noise = 1e-6 if number in (1, 11) else 1e-3


@recipe("MelWeightMatrix")
def mel_weight_matrix(d):
    number = F32
    if d.chance(0.5):
        number = d.attributes["output_datatype"] = d.dtype("T3")
    d.types["T3"] = number
    d.ints(d.between(2, 20))
    d.ints(d.pick([16, 32, 64, 100]))
    d.ints(d.pick([8000, 16000]))
    d.x([], numpy.array(d.pick([0.0, 100.0])))
    d.x([], numpy.array(d.pick([3000.0, 4000.0])))
    d.noise = 1e-5


@recipe("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial")
def random(d):
    """Only shapes and types can be compared."""
    d.only_shapes = True
    d.maybe("seed", d.real(0, 9))
    variable = d.schema.outputs[0].type_str
    if d.op == "Multinomial":
        number = 6
        if d.chance(0.5):
            number = d.attributes["dtype"] = d.dtype(variable)
        d.maybe("sample_size", d.between(1, 9))
        d.x([d.between(1, 4), d.between(1, 9)], (-2, 1))
    elif d.schema.inputs:
        x = d.x(d.shape(), (0, 1))
        number = d.types["T1"]
        if d.chance(0.6) or f"tensor({NAMES[number]})" not in d.allowed(variable):
            number = d.attributes["dtype"] = d.dtype(variable)
    else:
        d.attributes["shape"] = d.shape(1)
        number = F32
        if d.chance(0.6):
            number = d.attributes["dtype"] = d.dtype(variable)
    d.types[variable] = number
    d.out(number)


@recipe("DFT")
def dft(d):
    shape = [d.between(1, 3)] + [d.between(1, 24) for _ in range(d.between(1, 2))]
    axis = d.between(1, len(shape) - 1)
    inverse = d.maybe("inverse", d.below(2))
    onesided = d.maybe("onesided", d.below(2), 0.4)
    last = 1 if onesided and not inverse else d.between(1, 2)
    if onesided and inverse:
        last = 2
        d.attributes["onesided"] = 0
    if d.has("axis"):
        d.attributes["axis"] = axis
    x = d.x(shape + [last], "tame")
    if d.chance(0.3):
        d.ints(d.between(1, 24))
    elif d.since >= 20:
        d.skip()
    if d.since >= 20:
        d.ints(axis - (len(shape) + 1 if d.chance(0.3) else 0))
    noise_of_sum(d, 24, x)


@recipe("STFT")
def stft(d):
    frame = d.between(2, 16)
    length = d.between(frame, 60)
    d.maybe("onesided", d.below(2))
    x = d.x([d.between(1, 3), length, 1], "tame")
    d.ints(d.between(1, 8))
    if d.chance(0.6):
        d.x([frame], (0, 1))
    else:
        d.skip()
    d.ints(frame)
    noise_of_sum(d, frame, x)
