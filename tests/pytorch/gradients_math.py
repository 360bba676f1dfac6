# SPDX-License-Identifier: Apache-2.0
import numpy
import torch
from gradient_table import case, normal, uniform, whole
from torch.nn import functional as F

KINKS = [-3.0, -1.0, -0.5, -0.0, 0.0, 0.5, 1.0, 3.0, 20.0, -20.0]


def unary(op, function, low=-3.0, high=3.0, points=(), **attributes):
    """On random points and on the kinks."""
    yield case(op, function, uniform(low, high, 3, 17), **attributes)
    if points:
        yield case(op, function, list(points), name=op + "_kinks", **attributes)


def elementwise():
    yield from unary("Abs", torch.abs, points=KINKS)
    yield from unary("Acos", torch.acos, -0.9, 0.9)
    yield from unary("Acosh", torch.acosh, 1.1, 9)
    yield from unary("Asin", torch.asin, -0.9, 0.9)
    yield from unary("Asinh", torch.asinh)
    yield from unary("Atan", torch.atan)
    yield from unary("Atanh", torch.atanh, -0.9, 0.9)
    yield from unary("Ceil", torch.ceil, points=KINKS)
    yield from unary("Celu", lambda x: F.celu(x, 2.0), points=KINKS, alpha=2.0)
    yield from unary("Cos", torch.cos)
    yield from unary("Cosh", torch.cosh)
    yield from unary("Elu", lambda x: F.elu(x, 1.5), points=KINKS, alpha=1.5)
    yield from unary("Erf", torch.erf, points=KINKS)
    yield from unary("Exp", torch.exp)
    yield from unary("Floor", torch.floor, points=KINKS)
    yield from unary("Gelu", F.gelu, points=KINKS)
    yield from unary("Gelu", lambda x: F.gelu(x, approximate="tanh"), points=KINKS, approximate="tanh")
    yield from unary("HardSigmoid", F.hardsigmoid, points=KINKS, alpha=1 / 6)
    yield from unary("HardSwish", F.hardswish, points=KINKS)
    yield from unary("LeakyRelu", lambda x: F.leaky_relu(x, 0.25), points=KINKS, alpha=0.25)
    yield from unary("Log", torch.log, 0.1, 5)
    yield from unary("Mish", F.mish, points=KINKS)
    yield from unary("Neg", torch.neg)
    yield from unary("Reciprocal", torch.reciprocal, 0.2, 4)
    yield from unary("Relu", torch.relu, points=KINKS)
    yield from unary("Round", torch.round, points=KINKS)
    yield case("Selu", F.selu, KINKS, alpha=1.6732632423543772, gamma=1.0507009873554805,
               options=dict(dtypes=[numpy.float32]))  # the attributes are f32
    yield from unary("Shrink", lambda x: F.hardshrink(x, 0.5), points=KINKS, lambd=0.5)
    yield from unary("Shrink", lambda x: F.softshrink(x, 0.5), points=KINKS, lambd=0.5, bias=0.5)
    yield from unary("Sigmoid", torch.sigmoid, points=KINKS)
    yield from unary("Sign", torch.sign, points=KINKS)
    yield from unary("Sin", torch.sin)
    yield from unary("Sinh", torch.sinh)
    yield from unary("Softplus", lambda x: F.softplus(x, threshold=100), points=KINKS)
    yield from unary("Softsign", F.softsign, points=KINKS)
    yield from unary("Sqrt", torch.sqrt, 0.1, 4, points=[0.0, 1.0])
    yield from unary("Swish", F.silu, points=KINKS)
    yield from unary("Swish", lambda x: x * torch.sigmoid(1.5 * x), points=KINKS, alpha=1.5)
    yield from unary("Tan", torch.tan, -1.2, 1.2)
    yield from unary("Tanh", torch.tanh, points=KINKS)
    yield from unary("ThresholdedRelu", lambda x: F.threshold(x, 1.0, 0.0), points=KINKS)


def binary():
    for op, function in [("Add", torch.add), ("Sub", torch.sub), ("Mul", torch.mul), ("Div", torch.div)]:
        yield case(op, function, normal(2, 3, 4), uniform(0.5, 2, 3, 1), name=op + "_spread")
        yield case(op, function, normal(4), uniform(0.5, 2, 2, 3, 4), name=op + "_spread_left")
    yield case("Pow", torch.pow, uniform(0.2, 3, 2, 3, 4), uniform(-2, 3, 4))
    yield case("Pow", torch.pow, [0.0, 0.0, 0.0, 2.0, -2.0], [0.0, 1.0, 2.0, 0.0, 2.0], name="Pow_kinks")
    for e in (0, 1, 2, 3, -1):
        yield case("Pow", lambda x, e_: torch.pow(x, e_), uniform(0.2, 3, 5), whole(e), name=f"Pow_constant{e}")
    yield case("Mod", torch.fmod, normal(3, 4) * 5, uniform(0.5, 2, 4), name="Mod_fmod", fmod=1)
    yield case("Mod", torch.remainder, normal(3, 4) * 5, uniform(-2, -0.5, 3, 1), name="Mod_floor")
    yield case("Max", torch.maximum, [1.0, 2.0, 3.0, 3.0], [1.0, 3.0, 2.0, 3.0], name="Max_ties")
    yield case("Min", torch.minimum, [1.0, 2.0, 3.0, 3.0], [1.0, 3.0, 2.0, 3.0], name="Min_ties")
    yield case("Max", lambda a, b, c: torch.maximum(torch.maximum(a, b), c), normal(3, 1), normal(4), normal(2, 3, 4))
    yield case("Mean", lambda a, b, c: (a + b + c) / 3, normal(3, 1), normal(4), normal(2, 3, 4))
    yield case("Sum", lambda a, b, c: a + b + c, normal(3, 1), normal(4), normal(2, 3, 4))
    yield case("PRelu", lambda x, s: torch.where(x > 0, x, x * s), normal(2, 3, 4), normal(3, 1))
    yield case("PRelu", F.prelu, [-1.0, 0.0, 2.0], [0.25], name="PRelu_kinks")
    x = [-2.0, -1.0, 0.0, 1.0, 2.0]
    yield case("Clip", torch.clamp, x, -1.0, 1.0, name="Clip_kinks")
    yield case("Clip", torch.clamp, x, 1.0, -1.0, name="Clip_crossed")
    yield case("Clip", lambda v, low: torch.clamp(v, min=low), x, -1.0, name="Clip_min")
    yield case("Clip", lambda v, _, high: torch.clamp(v, max=high), x, None, 1.0, name="Clip_max")


def products():
    shapes = [((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2)), ((4,), (4,)),
              ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (2, 4, 5)), ((2, 3, 4), (4,)), ((3, 4), (2, 4, 5))]
    for a, b in shapes:
        yield case("MatMul", torch.matmul, normal(*a), normal(*b), name=f"MatMul_{a}_{b}")
    for t in range(4):
        a, b = normal(*((4, 3) if t & 1 else (3, 4))), normal(*((5, 4) if t & 2 else (4, 5)))

        def gemm(x, y, c, t=t):
            return 0.5 * (x.T if t & 1 else x) @ (y.T if t & 2 else y) + 2 * c
        for c in (normal(3, 5), normal(5), normal(3, 1), normal(1)):
            yield case("Gemm", gemm, a, b, c, alpha=0.5, beta=2.0, transA=t & 1, transB=t >> 1)
    yield case("Det", torch.det, normal(4, 4))
    yield case("Det", torch.det, normal(2, 3, 3, 3), name="Det_batch")
    yield case("Det", torch.det, [[5.0]], name="Det_one")
    yield case("Det", lambda x: x[0, 0] * x[1, 1] - x[0, 1] * x[1, 0], [[1.0, 2.0], [2.0, 4.0]], name="Det_singular")


def running():
    for op, function in (("CumSum", torch.cumsum), ("CumProd", torch.cumprod)):
        zeros = [[2.0, 0.0, 3.0, 0.0], [0.0, 0.0, 1.0, 2.0], [1.0, 2.0, 3.0, 0.0], [0.5, 2.0, 3.0, 4.0]]
        yield case(op, lambda x, _, f=function: f(x, 1), normal(2, 5, 3), whole(1)[0])
        yield case(op, lambda x, _, f=function: f(x, 1), zeros, whole(1)[0], name=op + "_zeros")
        yield case(op, lambda x, _, f=function: f(x.flip(0), 0).flip(0), normal(5, 3), whole(0)[0],
                   name=op + "_reverse", reverse=1)
    yield case("TopK", lambda x, k: torch.topk(x, 3, 1)[0], normal(2, 7, 3), whole(3), outputs=2, axis=1)
    yield case("TopK", lambda x, k: torch.topk(x, 3, -1, largest=False)[0], normal(2, 7), whole(3), name="TopK_least",
               largest=0)


def complex_of(x):
    return torch.view_as_complex(x.contiguous())


def real_of(z):
    return torch.view_as_real(z)


def frames(signal, n, step, window, onesided=True):
    z = torch.stft(signal[..., 0], n, step, n, window, False, onesided=onesided, return_complex=True)
    return real_of(z).transpose(1, 2)


def spectra():
    n, axis = whole(8)[0], whole(1)[0]
    x = normal(2, 6, 3, 2)
    yield case("DFT", lambda v, _, a: real_of(torch.fft.fft(complex_of(v), 8, 1)), x, n, axis)
    yield case("DFT", lambda v, _, a: real_of(torch.fft.fft(complex_of(v), 5, 1)), x, whole(5)[0], axis, name="DFT_cut")
    yield case("DFT", lambda v, _, a: real_of(torch.fft.ifft(complex_of(v), None, 1)), x, None, axis,
               name="DFT_inverse", inverse=1)
    for m in (5, 6, 8):
        yield case("DFT", lambda v, _, a, m=m: real_of(torch.fft.rfft(v[..., 0], m, 1)), x[..., :1], whole(m)[0], axis,
                   name=f"DFT_half{m}", onesided=1)
        yield case("DFT", lambda v, _, a, m=m: torch.fft.irfft(complex_of(v), m, 1).unsqueeze(-1), x, whole(m)[0], axis,
                   name=f"DFT_from_half{m}", onesided=1, inverse=1)
    yield case("STFT", lambda s, _, w: frames(s, 8, 3, w), normal(2, 20, 1), whole(3)[0], normal(8))
    yield case("STFT", lambda s, *_: frames(s, 6, 2, torch.ones(6, dtype=s.dtype), onesided=False), normal(1, 13, 1),
               whole(2)[0], None, whole(6)[0], name="STFT_both_sides", onesided=0)


CASES = [*spectra(), *elementwise(), *binary(), *products(), *running()]
