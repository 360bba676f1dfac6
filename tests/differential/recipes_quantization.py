# SPDX-License-Identifier: Apache-2.0
"""Quantisation."""
import numpy

from draw import BF16, F16, F32, NUMPY, is_int, range_of, recipe


def scale_shape(d, shape):
    """Shape of scale and zero point: per tensor, per axis or blocked. Sets the attributes."""
    kind = d.rng.random()
    if kind < 0.4 or not shape or d.since < 13:
        return []
    axis = d.axis(len(shape))
    d.attributes["axis"] = axis
    if kind < 0.75 or not d.has("block_size"):
        return [shape[axis]]
    block = d.between(1, max(shape[axis], 1))
    d.attributes["block_size"] = block
    scales = list(shape)
    scales[axis] = -(-shape[axis] // block)
    return scales


@recipe("QuantizeLinear")
def quantize_linear(d):
    shape = d.shape(1, 3, dim=1)
    target = d.dtype(d.schema.outputs[0].type_str)
    scales = scale_shape(d, shape)
    d.maybe("saturate", d.below(2), 0.3)
    d.x(shape, (-40, 40), only=None)
    scale_type = d.schema.inputs[1].type_str
    if d.has("precision") and d.chance(0.2):
        d.attributes["precision"] = d.pick([1, 0])
    if d.since >= 23 and "T2" not in d.types:
        d.types["T2"] = d.types["T1"] if d.types["T1"] != 6 else 1
    d.x(scales, (0.05, 2) if not is_int(d.types.get("T2", F32)) else (1, 3))
    if target != 2 or d.chance(0.6):
        low, high = range_of(target) if is_int(target) else (0, 0)
        d.x(scales, (max(low, -50), min(high, 50)) if d.chance(0.7) or not is_int(target) else (0, 0))
    d.out(target)


@recipe("DequantizeLinear")
def dequantize_linear(d):
    shape = d.shape(1, 3, dim=1)
    scales = scale_shape(d, shape)
    number = d.dtype(d.schema.inputs[0].type_str)
    d.x(shape, None if is_int(number) else "tame")
    d.x(scales, (0.01, 2))
    if number != 6 and d.chance(0.6):
        low, high = range_of(number) if is_int(number) else (0, 0)
        d.x(scales, (low, high) if is_int(number) else (0, 0))
    variable = d.schema.outputs[0].type_str
    if d.has("output_dtype"):
        kind = d.types.get("T2", F32)
        if d.chance(0.4) or kind not in (F16, BF16, F32):
            kind = d.attributes["output_dtype"] = d.dtype(variable)
        d.types[variable] = kind
    d.out(F32 if variable.startswith("tensor") else d.types.get(variable, F32))


@recipe("DynamicQuantizeLinear")
def dynamic_quantize_linear(d):
    d.x(d.shape(dim=1), d.pick([(-3, 5), (1, 4), (-9, -2)]))
    d.out(2)
    d.out(F32)
    d.out(2)


@recipe("MatMulInteger")
def mat_mul_integer(d):
    m, k, n = d.dim(1), d.dim(1), d.dim(1)
    batch = d.shape(0, 1, dim=1)
    d.x(batch + [m, k])
    d.x(batch + [k, n])
    if d.chance(0.7):
        d.x([], (0, 99))
        if d.chance(0.7):
            d.x([], (0, 99))
    d.out(6)


@recipe("QLinearMatMul")
def q_linear_mat_mul(d):
    m, k, n = d.dim(1), d.dim(1), d.dim(1)
    d.dtype("T1"), d.dtype("T2"), d.dtype("T3")
    bytes_ = (2, 3)
    for t in ("T1", "T2", "T3"):
        if not is_int(d.types[t]):
            d.types[t] = d.pick(bytes_)
    d.x([m, k])
    d.x([], (0.01, 0.1))
    d.x([], (0, 20))
    d.x([k, n])
    d.x([], (0.01, 0.1))
    d.x([], (0, 20))
    d.x([], (0.1, 1))
    d.x([], (0, 20))


def convolution(d):
    """Attributes, and shapes of input and kernel."""
    kernel = [d.between(1, 3), d.between(1, 3)]
    group = d.pick([1, 1, 2])
    d.maybe("strides", [d.between(1, 2), d.between(1, 2)])
    d.maybe("pads", [d.between(0, k - 1) for k in kernel * 2])
    if group > 1:
        d.attributes["group"] = group
    c, m = group * d.between(1, 9), group * d.between(1, 9)
    return [d.between(1, 2), c, d.between(5, 12), d.between(5, 12)], [m, c // group] + kernel


@recipe("ConvInteger")
def conv_integer(d):
    x, w = convolution(d)
    d.x(x)
    d.x(w)
    if d.chance(0.7):
        d.x([], (0, 99))
        if d.chance(0.5):
            d.x([], (0, 99))
    d.out(6)


@recipe("QLinearConv")
def q_linear_conv(d):
    x, w = convolution(d)
    d.x(x)
    d.x([], (0.01, 0.1))
    d.x([], (0, 99))
    d.x(w)
    d.x([], (0.01, 0.1))
    d.x([], (0, 20) if d.dtype("T2") == 2 else (0, 0))
    d.x([], (0.1, 1))
    d.x([], (0, 99))
    if d.chance(0.5):
        d.x([w[0]], (-500, 500))
