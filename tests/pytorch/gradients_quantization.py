# SPDX-License-Identifier: Apache-2.0
import numpy
from gradient_table import RANDOM, case, uniform

X = RANDOM.integers(-100, 100, (3, 4, 6)).astype(numpy.int8)
F32 = dict(dtypes=[numpy.float32])


def dequantized():
    yield case("DequantizeLinear", lambda x, s: x * s, X, 0.1, options=F32)
    yield case("DequantizeLinear", lambda x, s, z: (x - z.int()) * s, X, 0.1, numpy.int8(3), options=F32)
    yield case("DequantizeLinear", lambda x, s: x * s, X, [0.1], options=F32, name="DequantizeLinear_one")
    yield case("DequantizeLinear", lambda x, s, z: (x - z.int()[:, None]) * s[:, None], X, uniform(0.1, 1, 4),
               numpy.array([1, 2, 3, -4], numpy.int8), options=F32, name="DequantizeLinear_axis", axis=1)
    yield case("DequantizeLinear", lambda x, s: x * s.repeat_interleave(3, 2), X, uniform(0.1, 1, 3, 4, 2), options=F32,
               name="DequantizeLinear_blocks", axis=2, block_size=3)


CASES = [*dequantized()]
