# SPDX-License-Identifier: Apache-2.0
"""Recurrent operators."""
from draw import recipe

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
FUNCTIONS = {"RNN": 1, "GRU": 2, "LSTM": 3}


@recipe("RNN", "GRU", "LSTM")
def recurrent(d):
    steps, batch, width, hidden = d.between(1, 6), d.between(1, 4), d.between(1, 9), d.between(1, 9)
    gates, direction = GATES[d.op], d.maybe("direction", d.pick(["forward", "reverse", "bidirectional"]))
    n = 2 if direction == "bidirectional" else 1
    layout = (d.maybe("layout", d.below(2), 0.3) or 0) if d.since >= 14 else 0
    d.attributes["hidden_size"] = hidden
    d.maybe("clip", d.real(0.3, 3), 0.3)
    d.maybe("linear_before_reset", d.below(2))
    if d.chance(0.3):
        names = ["Relu", "Tanh", "Sigmoid", "Softsign", "Softplus", "HardSigmoid"]
        d.attributes["activations"] = [d.pick(names) for _ in range(n * FUNCTIONS[d.op])]
    d.x([batch, steps, width] if layout else [steps, batch, width], (-1, 1))
    d.x([n, gates * hidden, width], (-1, 1))
    d.x([n, gates * hidden, hidden], (-1, 1))
    bias = [n, 2 * gates * hidden]
    d.x(bias, (-1, 1)) if d.chance(0.7) else d.skip()
    d.x([batch], (1, steps)) if d.chance(0.4) else d.skip()
    state = [batch, n, hidden] if layout else [n, batch, hidden]
    d.x(state, (-1, 1)) if d.chance(0.5) else d.skip()
    if d.op == "LSTM":
        d.x(state, (-1, 1)) if d.chance(0.5) else d.skip()
        if d.chance(0.3):
            d.x([n, 3 * hidden], (-1, 1))
    d.out()
    d.out()
    if d.op == "LSTM":
        d.out()
    d.noise = 1e-5 if all(t.itemsize >= 4 for t in (x.dtype for x in d.tensors()[:1])) else 4e-3
