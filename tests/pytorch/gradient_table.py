# SPDX-License-Identifier: Apache-2.0
"""What the tables gradients_*.py are written with."""
import numpy

RANDOM = numpy.random.default_rng(11)


def normal(*shape):
    return RANDOM.normal(size=shape)


def uniform(low, high, *shape):
    return RANDOM.uniform(low, high, size=shape)


def whole(*values):
    return numpy.array(values, numpy.int64)


def case(op, function, *inputs, name=None, outputs=1, output=0, options=None, **attributes):
    """function(*tensors) is the operator in PyTorch. Floating inputs are differentiated, None is an absent one.

    outputs, output: how many the node has, which one is differentiated. options: domain, opset, dtypes, fixed (indices of
    floating inputs that are not differentiated).
    """
    inputs = [x if x is None or isinstance(x, numpy.ndarray) else numpy.array(x) for x in inputs]
    return dict(op=op, torch=function, inputs=inputs, name=name or op, outputs=outputs, output=output,
                attributes=attributes, **(options or {}))
