# SPDX-License-Identifier: Apache-2.0
"""Elementwise operators, products, losses of classes: the folders math and logical."""
import numpy

from draw import F32, F64, FLOATS, is_int, range_of, recipe

UNARY = """Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Cos Cosh Erf Exp Floor HardSwish IsNaN Log Mish Neg Not
Reciprocal Relu Round Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Tan Tanh""".split()
EPS = {10: 2.0 ** -11, 16: 2.0 ** -8, 1: 2.0 ** -24, 11: 2.0 ** -53}


def noise_of_sum(d, terms, *arrays):
    """Sums of `terms` products may differ by a few roundings of the largest possible partial sum."""
    most = 1.0
    for array in arrays:
        finite = numpy.abs(array.astype(numpy.float64))
        most *= float(finite[numpy.isfinite(finite)].max(initial=0))
    dtype = next((t for t in d.types.values() if t in EPS), F32)
    d.noise = 4 * EPS[dtype] * most * max(terms, 1)


@recipe(*UNARY)
def unary(d):
    d.x(d.shape(), d.pick([None, None, (-1, 1), (1, 9)]))


@recipe("Elu", "Celu", "HardSigmoid", "LeakyRelu", "Selu", "ThresholdedRelu", "Swish", "Shrink", "Gelu", "IsInf")
def activation(d):
    for name in ("alpha", "beta", "gamma", "lambd", "bias"):
        d.maybe(name, d.real(0.1, 2) if d.op in ("Celu", "HardSigmoid") else d.real(-1, 2))
    d.maybe("approximate", d.pick(["none", "tanh"]))
    d.maybe("detect_negative", d.below(2))
    d.maybe("detect_positive", d.below(2))
    d.x(d.shape())


def two_shapes(d):
    """Shapes of A and B by the rules of the version in force."""
    shape = d.shape()
    if d.has("broadcast"):
        if d.chance(0.5) or not shape:
            return shape, shape
        d.attributes["broadcast"] = 1
        first = d.below(len(shape))
        last = d.between(first + 1, len(shape))
        if last != len(shape) or d.chance(0.5):
            d.attributes["axis"] = first
        return shape, shape[first:last]
    a, b = d.broadcastable(shape), d.broadcastable(shape)
    return (a, shape) if d.chance(0.4) else (shape, b) if d.chance(0.6) else (a, b)


@recipe("Add", "Sub", "Mul", "And", "Or", "Xor", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Equal", "Greater", "Less",
        "GreaterOrEqual", "LessOrEqual", "SwiGLU")
def binary(d):
    a, b = two_shapes(d)
    if d.op == "SwiGLU":
        d.maybe("alpha", d.real(0.2, 2))
        b = a
    d.x(a)
    d.x(b)


@recipe("Div", "Mod")
def division(d):
    a, b = two_shapes(d)
    dtype = d.dtype("T")
    if d.op == "Mod":
        if not is_int(dtype) or d.chance(0.4):
            d.attributes["fmod"] = 1
    x = d.x(a)
    y = d.values(b, dtype, None)
    if is_int(dtype):
        y[y == 0] = 1
        low, _ = range_of(dtype)
        if low < 0 and (x == low).any():
            y[y == -1] = 3  # the most negative number by -1 kills ONNX Runtime
    d.x(b, y)


@recipe("BitShift")
def shift(d):
    a, b = two_shapes(d)
    d.attr("direction", d.pick(["LEFT", "RIGHT"]))
    d.x(a)
    bits = numpy.dtype(d.tensors()[0].dtype).itemsize * 8
    d.x(b, (0, bits - 1))


@recipe("Pow")
def power(d):
    a, b = two_shapes(d)
    x = d.x(a, d.pick([(0, 3), "tame", (1, 4)]))
    whole = is_int(d.dtype("T1" if d.since >= 12 else "T"))
    d.x(b, (0, 3) if whole or is_int(d.dtype("T")) else d.pick([(-2, 3), None]))
    if x.dtype.kind not in "iu" and d.tensors()[1].dtype.kind not in "iu" and d.chance(0.3):
        d.inputs[1] = (d.inputs[1][0], numpy.round(d.inputs[1][1].astype("f8")).astype(d.inputs[1][1].dtype))


@recipe("PRelu")
def prelu(d):
    shape = d.shape(1)
    if d.since >= 7:
        slope = d.broadcastable(shape)
    else:
        slope = d.pick([[1], [shape[1] if len(shape) > 1 else 1]])
    d.x(shape)
    d.x(slope)


@recipe("Clip")
def clip(d):
    if d.since < 11:
        d.maybe("min", d.real(-2, 0))
        d.maybe("max", d.real(0, 2))
        d.x(d.shape())
        return
    d.x(d.shape())
    low = d.values([], d.dtype("T"), (-3, 1))
    if d.chance(0.7):
        d.x([], low)
    else:
        d.skip()
    if d.chance(0.7):
        d.x([], d.values([], d.dtype("T"), (1, 5) if d.chance(0.9) else (-9, -5)))


@recipe("Max", "Min", "Sum", "Mean")
def variadic(d):
    shape = d.shape()
    for k in range(d.between(1, 4)):
        d.x(d.broadcastable(shape) if d.since >= 8 and d.chance(0.5) else shape)
    if d.op in ("Sum", "Mean"):
        noise_of_sum(d, len(d.inputs), numpy.concatenate([t.ravel() for t in d.tensors()]))


@recipe("CumSum", "CumProd")
def cumulate(d):
    shape = d.shape(1)
    d.maybe("exclusive", d.below(2))
    d.maybe("reverse", d.below(2))
    x = d.x(shape, "tame" if d.chance(0.8) else None)
    axis = d.axis(len(shape))
    d.ints(axis)
    if d.op == "CumSum" and x.dtype.kind not in "iu":
        noise_of_sum(d, shape[axis], x)


@recipe("MatMul")
def matmul(d):
    m, k, n = d.dim(), d.dim(), d.dim()
    batch = d.shape(0, 2, most=30)
    a, b = d.broadcastable(batch) + [m, k], d.broadcastable(batch) + [k, n]
    if d.chance(0.15):
        a = [k]
    if d.chance(0.15):
        b = [k]
    x = d.x(a, "tame" if d.chance(0.9) else None)
    noise_of_sum(d, k, x, d.x(b, "tame"))


@recipe("Gemm")
def gemm(d):
    m, k, n = d.dim(), d.dim(), d.dim()
    ta, tb = d.maybe("transA", d.below(2)), d.maybe("transB", d.below(2))
    alpha, beta = d.maybe("alpha", d.real(-2, 2)), d.maybe("beta", d.real(-2, 2))
    if is_int(d.dtype("T")):
        d.attributes.pop("alpha", None), d.attributes.pop("beta", None)
        alpha = beta = None
    x = d.x([k, m] if ta else [m, k], "tame")
    y = d.x([n, k] if tb else [k, n], "tame")
    if d.since < 11 or d.chance(0.7):
        shape = [m, n]
        if d.since >= 7:
            shape = d.broadcastable(shape)
        elif d.chance(0.5):
            d.attributes["broadcast"] = 1
            shape = d.pick([[n], [1], [m, n]])
        d.x(shape, "tame")
    noise_of_sum(d, k, x, y)
    d.noise *= max(1, abs(alpha or 1), abs(beta or 1))


@recipe("Det")
def det(d):
    n = d.between(1, 6)
    noise_of_sum(d, 1, d.x(d.shape(0, 2, most=20) + [n, n], "tame"))
    d.noise *= 100 * 4 ** n


@recipe("TopK")
def top_k(d):
    shape = d.shape(1, dim=1)
    axis = d.axis(len(shape), d.since >= 11)
    if d.chance(0.7):
        d.attributes["axis"] = axis
    else:
        axis = -1
    k = d.between(0, shape[axis]) if d.since > 1 else d.between(min(1, shape[axis]), shape[axis])
    if d.since == 1:
        d.attributes["k"] = k
    d.maybe("largest", d.below(2))
    d.attr("sorted", 1)
    x = d.x(shape, "tame" if d.chance(0.9) else None)
    if d.since > 1:
        d.ints([k])
    d.out()
    d.out(7)


@recipe("Softmax", "LogSoftmax", "Hardmax")
def softmax(d):
    shape = d.shape(1)
    d.maybe("axis", d.axis(len(shape), d.since >= 11))
    if "axis" not in d.attributes and d.since < 13 and len(shape) < 2:
        d.attributes["axis"] = 0
    d.x(shape)
    d.noise = 4 * EPS[F32]


@recipe("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def class_loss(d):
    n, c, rest = d.between(1, 6), d.between(1, 9), d.shape(0, 2, most=50)
    reduction = d.maybe("reduction", d.pick(["none", "sum", "mean"]))
    ignore = d.maybe("ignore_index", d.pick([-1, 0, c - 1, 100]), 0.4)
    x = d.x([n, c] + rest, "tame")
    labels = d.rng.integers(0, c, [n] + rest)
    if ignore is not None and d.chance(0.6):
        labels[d.rng.random(labels.shape) < 0.3] = ignore
    if reduction in (None, "mean") and (labels == ignore).all() and labels.size:
        labels.flat[0] = (ignore + 1) % c if c > 1 else 0
    d.ints(labels, False)
    if d.chance(0.5):
        d.x([c], (0.1, 2))
    d.out()
    if d.op.startswith("Softmax") and d.chance(0.5):
        d.out()
    noise_of_sum(d, labels.size if reduction != "none" else 1, x)


EQUATIONS = ["ij,jk->ik", "bij,bjk->bik", "ij->ji", "ii->i", "ii", "ij,ij->", "i,j->ij", "bhqd,bhkd->bhqk", "...ij->...ji",
             "...i,...i->...", "ij,jk,kl->il", "ijk->k", "ij,j", "a,a,a->a", "bij,jk->bik", "ik,kj", "i,i"]


@recipe("Einsum")
def einsum(d):
    equation = d.attributes["equation"] = d.pick(EQUATIONS)
    size = {c: d.between(1, 7) for c in "abcdehijklq"}
    lead = d.shape(0, 2, dim=1, most=12)
    for term in equation.split("->")[0].split(","):
        d.x((lead if "..." in term else []) + [size[c] for c in term.replace("...", "")], "tame")
    noise_of_sum(d, max(size.values()) ** 2, *d.tensors())
