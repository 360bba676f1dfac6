# SPDX-License-Identifier: Apache-2.0
"""Optimizers."""
import numpy

from draw import recipe

STATES = {"Adagrad": 1, "Adam": 2, "Momentum": 1}


@recipe("Adagrad", "Adam", "Momentum", domain="ai.onnx.preview.training")
def optimizer(d):
    for name in sorted(d.schema.attributes):
        if name != "mode":
            d.maybe(name, d.real(0.01, 0.9))
    d.attr("mode", d.pick(["standard", "nesterov"]))
    shapes = [d.shape(most=200) for _ in range(d.between(1, 3))]
    d.x([], (0.001, 0.5))
    d.x([], numpy.array(d.between(0, 5)))
    for k in range(2 + STATES[d.op]):
        for shape in shapes:
            d.x(shape, (0.1, 2) if k >= 2 else "tame")
    for _ in range(len(shapes) * (1 + STATES[d.op])):
        d.out()
