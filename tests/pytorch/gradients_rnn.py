# SPDX-License-Identifier: Apache-2.0
"""RNN, GRU and LSTM against the layers of torch.nn (gates in their order), and RotaryEmbedding."""
import numpy
import torch

from gradient_table import case, normal, uniform

ORDER = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}  # PyTorch's gates among those of ONNX


def layer(op, output, *, bidirectional=False, relu=False):
    """The outputs of torch.nn's layer for the inputs of the operator."""
    gates = ORDER[op]

    def run(x, w, r, b, _, h, c=None):
        def ordered(t):
            return torch.cat([t.chunk(len(gates))[g] for g in gates])
        flat = []
        for d in range(w.shape[0]):
            wb, rb = b[d].chunk(2)
            flat += [ordered(w[d]), ordered(r[d]), ordered(wb), ordered(rb)]
        more = (flat, True, 1, 0.0, False, bidirectional, False)
        if op == "LSTM":
            y, *states = torch._VF.lstm(x, (h, c), *more)
        else:
            name = "gru" if op == "GRU" else "rnn_relu" if relu else "rnn_tanh"
            y, *states = getattr(torch._VF, name)(x, h, *more)
        y = y.reshape(*y.shape[:2], w.shape[0], -1).transpose(1, 2)
        return [y, *states][output]
    return run


def weights(op, directions, steps, batch, size, hidden):
    n = len(ORDER[op]) * hidden
    states = [normal(directions, batch, hidden) for _ in range(2 if op == "LSTM" else 1)]
    return [normal(steps, batch, size), uniform(-.5, .5, directions, n, size), uniform(-.5, .5, directions, n, hidden),
            uniform(-.5, .5, directions, 2 * n), None, *states]


def layers():
    for op, more in (("LSTM", {}), ("GRU", {"linear_before_reset": 1}), ("RNN", {})):
        n = 3 if op == "LSTM" else 2
        for shape in ((1, 5, 3, 4, 6), (2, 4, 2, 3, 5), (1, 20, 9, 17, 33)):
            for output in range(n):
                both = shape[0] == 2
                yield case(op, layer(op, output, bidirectional=both), *weights(op, *shape), outputs=n, output=output,
                           name=f"{op}_{'x'.join(map(str, shape))}_{output}", hidden_size=shape[4],
                           direction="bidirectional" if both else "forward", **more)
    yield case("RNN", layer("RNN", 0, relu=True), *weights("RNN", 1, 4, 2, 3, 5), name="RNN_relu", hidden_size=5,
               activations=["Relu"])


def rotated(x, cosine, sine, *ids):
    c, s = (t[ids[0]] if ids else t for t in (cosine, sine))
    n = 2 * c.shape[-1]
    a, b = x[..., :n // 2], x[..., n // 2:n]
    c, s = c.unsqueeze(1), s.unsqueeze(1)
    return torch.cat([c * a - s * b, s * a + c * b, x[..., n:]], -1)


def rotated_pairs(x, cosine, sine):
    c, s = cosine.unsqueeze(1), sine.unsqueeze(1)
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([c * a - s * b, s * a + c * b], -1).reshape(x.shape)


def rotary():
    fixed = {"dtypes": (numpy.float32,), "fixed": (1, 2)}
    yield case("RotaryEmbedding", rotated, normal(2, 3, 5, 8), normal(2, 5, 4), normal(2, 5, 4), options=fixed)
    yield case("RotaryEmbedding", rotated, normal(2, 3, 5, 8), normal(9, 2), normal(9, 2),
               numpy.array([[3, 0, 8, 1, 1], [4, 5, 6, 7, 8]]), options=fixed, rotary_embedding_dim=4,
               name="RotaryEmbedding_positions")
    yield case("RotaryEmbedding", rotated_pairs, normal(2, 3, 5, 8), normal(2, 5, 4), normal(2, 5, 4), options=fixed,
               interleaved=1, name="RotaryEmbedding_pairs")
    yield case("RotaryEmbedding", lambda x, c, s: rotated(x.reshape(2, 5, 3, 8).transpose(1, 2), c, s).transpose(1, 2)
               .reshape(x.shape), normal(2, 5, 24), normal(2, 5, 4), normal(2, 5, 4), options=fixed, num_heads=3,
               name="RotaryEmbedding_rank3")


CASES = [*layers(), *rotary()]
