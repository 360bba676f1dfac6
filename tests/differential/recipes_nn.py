# SPDX-License-Identifier: Apache-2.0
"""Convolution, pooling, normalisation, attention: the folder nn."""
import numpy

from draw import F32, FLOATS, recipe
from recipes_math import noise_of_sum


class Window:
    """Attributes of a sliding window over `rank` spatial dims, and input sizes that fit it."""

    def __init__(self, d, rank, kernel_required=True, ceil=True):
        self.kernel = [d.between(1, 4) for _ in range(rank)]
        self.strides = d.maybe("strides", [d.between(1, 3) for _ in range(rank)], 0.5) or [1] * rank
        self.dilations = d.maybe("dilations", [d.between(1, 3) for _ in range(rank)], 0.4) or [1] * rank
        self.span = [(k - 1) * s + 1 for k, s in zip(self.kernel, self.dilations)]
        auto = d.maybe("auto_pad", d.pick(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]), 0.4)
        self.auto = auto if auto else "NOTSET"
        self.pads = [0] * (2 * rank)
        if self.auto == "NOTSET":
            pads = [d.between(0, k - 1) for k in self.kernel * 2]
            self.pads = d.maybe("pads", pads, 0.6) or self.pads
        if self.auto.startswith("SAME") and max(self.dilations) > 1:
            d.attributes.pop("dilations")
            self.dilations, self.span = [1] * rank, self.kernel
        if kernel_required or d.chance(0.5):
            d.attr("kernel_shape", self.kernel)
        if ceil:
            d.maybe("ceil_mode", d.below(2), 0.5)
        self.size = [d.between(s, s + d.pick([1, 6, 20])) for s in self.span]


@recipe("Conv")
def conv(d):
    rank = d.pick([1, 2, 2, 2, 3])
    w = Window(d, rank, False)
    group = d.pick([1, 1, 2, 3, 8]) if d.chance(0.5) else 1
    c = group * d.pick([1, 1, 2, 3, 8])
    m = group * d.pick([1, 1, 2, 5, 8, 16])
    if group > 1 or d.chance(0.2):
        d.attributes["group"] = group
    n = d.pick([1, 1, 2, 3])
    x = d.x([n, c] + w.size, "tame")
    k = d.x([m, c // group] + w.kernel, "tame", const=d.chance(0.6))
    if d.chance(0.5):
        d.x([m], "tame", const=d.chance(0.6))
    noise_of_sum(d, int(numpy.prod(w.kernel)) * c // group, x, k)


@recipe("ConvTranspose")
def conv_transpose(d):
    rank = d.pick([1, 2, 2, 3])
    w = Window(d, rank, False)
    group = d.pick([1, 1, 1, 2, 3])
    c, m = group * d.pick([1, 2, 3]), d.pick([1, 2, 5])
    if group > 1:
        d.attributes["group"] = group
    if w.auto == "NOTSET" and d.chance(0.3):
        d.attr("output_padding", [d.below(max(s, e)) for s, e in zip(w.strides, w.dilations)])
    size = [d.between(4, 9) for _ in range(rank)]
    x = d.x([d.pick([1, 2]), c] + size, "tame")
    k = d.x([c, m] + w.kernel, "tame")
    if d.chance(0.5):
        d.x([m * group], "tame")
    noise_of_sum(d, int(numpy.prod(w.kernel)) * c // group, x, k)


@recipe("AveragePool", "MaxPool", "LpPool")
def pool(d):
    w = Window(d, d.pick([1, 2, 2, 3]))
    if d.op == "LpPool":
        d.maybe("p", d.between(1, 3))
        if d.since == 1:
            d.attributes["p"] = 2.0
    d.maybe("count_include_pad", d.below(2))
    x = d.x([d.between(1, 3), d.between(1, 9)] + w.size, "tame" if d.op != "MaxPool" or d.chance(0.9) else None)
    d.out()
    if d.op == "MaxPool" and d.since >= 8 and d.chance(0.4):
        d.maybe("storage_order", d.below(2), 0.3)
        d.out(7)
    if d.op != "MaxPool":
        noise_of_sum(d, 1, x)


@recipe("GlobalAveragePool", "GlobalMaxPool", "GlobalLpPool")
def global_pool(d):
    d.maybe("p", 2.0 if d.since == 1 else d.between(1, 3))
    noise_of_sum(d, 1, d.x(d.shape(3, 5, dim=1), "tame"))


@recipe("LRN")
def lrn(d):
    d.attributes["size"] = d.pick([1, 3, 5, 7])
    d.maybe("alpha", d.real(0.0001, 0.5))
    d.maybe("beta", d.real(0.2, 1))
    d.maybe("bias", d.real(1, 2))
    d.x(d.shape(4, 4, dim=1), "tame")


@recipe("LpNormalization")
def lp_normalization(d):
    shape = d.shape(1)
    d.maybe("axis", d.axis(len(shape)))
    d.maybe("p", d.between(1, 2))
    d.x(shape, "tame")


@recipe("MeanVarianceNormalization")
def mean_variance(d):
    shape = d.shape(4, 4, dim=1)
    if d.chance(0.5):
        d.attributes["axes"] = d.axes(4, False, 1)
    d.x(shape, "tame")


@recipe("LayerNormalization", "RMSNormalization")
def layer_normalization(d):
    shape = d.shape(1, dim=1)
    axis = d.maybe("axis", d.axis(len(shape)))
    rest = shape[axis if axis is not None else -1:]
    d.maybe("epsilon", d.real(1e-6, 1e-2))
    d.x(shape, "tame")
    d.x(d.broadcastable(rest) if d.chance(0.2) else rest, "tame")
    if d.op == "LayerNormalization":
        if d.chance(0.6):
            d.x(rest, "tame")
        d.out()
        for _ in range(d.below(3)):
            d.out(F32 if "U" not in d.types else None)


@recipe("GroupNormalization", "InstanceNormalization")
def group_normalization(d):
    group = d.between(1, 4)
    c = group * d.between(1, 4)
    d.attr("num_groups", group)
    d.maybe("epsilon", d.real(1e-6, 1e-2))
    d.x([d.between(1, 3), c] + d.shape(1, 3, dim=2, most=500), "tame")
    size = group if d.op == "GroupNormalization" and d.since == 18 else c
    d.x([size], "tame")
    d.x([size], "tame")


@recipe("BatchNormalization")
def batch_normalization(d):
    c = d.between(1, 9)
    shape = [d.between(1, 4), c] + d.shape(0, 3, dim=1, most=400)
    d.maybe("epsilon", d.real(1e-6, 1e-2))
    d.maybe("momentum", d.real(0.1, 0.95))
    training = d.maybe("training_mode", d.below(2))
    if d.since < 7:
        d.attributes["is_test"] = 1
    if d.since == 1:
        d.attributes["consumed_inputs"] = [0, 0, 0, 1, 1]
    x = d.x(shape, "tame")
    scale = [d.x([c], fill) for fill in ("tame", "tame", "tame", (0.1, 2))][0]
    noise_of_sum(d, 4, x, scale)
    d.out()
    if training:
        d.out()
        d.out()


@recipe("Dropout")
def dropout(d):
    if d.since < 7:
        d.attributes["is_test"] = 1
    d.maybe("ratio", d.real(0.1, 0.9))
    d.maybe("seed", d.below(99))
    d.x(d.shape())
    if d.since >= 12 and d.chance(0.5):
        d.x([], (0.1, 0.9))
        if d.chance(0.5):
            d.give(numpy.array(False), True)
    d.out()
    if d.since >= 10 and d.chance(0.4):
        d.out(9)


@recipe("Attention")
def attention(d):
    batch, kv, times = d.between(1, 2), d.pick([1, 2, 3]), d.pick([1, 1, 2])
    heads, size, vsize = kv * times, d.pick([2, 4, 8, 10]), d.pick([2, 4, 8])
    q, past, k = d.between(1, 7), 0, d.between(1, 9)
    flat = d.chance(0.4)
    d.maybe("is_causal", d.below(2), 0.5)
    d.maybe("softcap", d.pick([0.0, 2.0, 10.0]), 0.4)
    d.maybe("scale", d.real(0.1, 1), 0.4)
    if flat:
        d.attributes.update(q_num_heads=heads, kv_num_heads=kv)
    with_past, mask = d.chance(0.4), d.pick([0, 0, 1, 2])
    if with_past:
        past = d.between(1, 5)

    def tensor(n, length, width):
        return [batch, length, n * width] if flat else [batch, n, length, width]
    d.x(tensor(heads, q, size), "tame")
    d.x(tensor(kv, k, size), "tame")
    d.x(tensor(kv, k, vsize), "tame")
    if mask:
        shape = d.pick([[q, past + k], [batch, 1, q, past + k], [batch, heads, q, past + k], [1, heads, q, past + k]])
        d.x(shape, "tame")
        if d.dtype("U") == 9:
            d.inputs[3][1][..., 0] = True
    if with_past:
        if not mask:
            d.skip()
        d.x([batch, kv, past, size], "tame")
        d.x([batch, kv, past, vsize], "tame")
    d.out()
    if with_past or d.chance(0.2):
        d.out()
        d.out()
        if d.chance(0.4):
            d.maybe("qk_matmul_output_mode", d.below(4))
            d.out()


@recipe("RotaryEmbedding")
def rotary_embedding(d):
    batch, heads, length, size = d.between(1, 3), d.between(1, 4), d.between(1, 9), 2 * d.between(1, 9)
    rotated = size
    d.maybe("interleaved", d.below(2))
    if d.chance(0.3):
        rotated = 2 * d.between(1, size // 2)
        d.attributes["rotary_embedding_dim"] = rotated
    if d.chance(0.4) or "rotary_embedding_dim" in d.attributes:
        d.attributes["num_heads"] = heads
    d.x([batch, length, heads * size] if "num_heads" in d.attributes and d.chance(0.5) else
        [batch, heads, length, size], "tame")
    if d.chance(0.6):
        most = d.between(length, 20)
        d.x([most, rotated // 2], (-1, 1))
        d.x([most, rotated // 2], (-1, 1))
        d.ints(d.rng.integers(0, most, [batch, length]), False)
    else:
        d.x([batch, length, rotated // 2], (-1, 1))
        d.x([batch, length, rotated // 2], (-1, 1))


@recipe("CausalConvWithState")
def causal_conv(d):
    batch, c, length, k = d.between(1, 3), d.between(1, 20), d.between(1, 20), d.between(1, 5)
    d.maybe("activation", d.pick(["none", "silu", "swish"]))
    x = d.x([batch, c, length], "tame")
    w = d.x([c, 1, k], "tame")
    bias = d.chance(0.5)
    if bias:
        d.x([c], "tame")
    if d.chance(0.5):
        if not bias:
            d.skip()
        d.x([batch, c, k - 1], "tame")
    d.out()
    d.out()
    noise_of_sum(d, k, x, w)


@recipe("LinearAttention")
def linear_attention(d):
    batch, length = d.between(1, 2), d.between(1, 9)
    kv, times, dk, dv = d.between(1, 3), d.pick([1, 1, 2]), d.pick([1, 4, 9]), d.pick([1, 4, 9])
    q = kv * times
    rule = d.pick(["linear", "gated", "delta", "gated_delta"])
    d.attributes.update(q_num_heads=q, kv_num_heads=kv, update_rule=rule)
    d.maybe("scale", d.real(0.2, 1))
    d.x([batch, length, q * dk], (-1, 1))
    d.x([batch, length, kv * dk], (-0.5, 0.5))
    d.x([batch, length, kv * dv], (-1, 1))
    if d.chance(0.6):
        d.x([batch, kv, dk, dv], (-1, 1))
    else:
        d.types["S"] = d.types["T"]
        d.skip()
    if "gated" in rule:
        d.x([batch, length, d.pick([kv, kv * dk])], (-1, 0))
    else:
        d.skip()
    if "delta" in rule:
        d.x([batch, length, d.pick([1, kv])], (0, 1))
    d.out()
    d.out(d.dtype("S"))
    d.noise = 1e-5


@recipe("FlexAttention", domain="ai.onnx.preview")
def flex_attention(d):
    batch, kv, times, size, vsize = d.between(1, 2), d.between(1, 3), d.pick([1, 2]), d.pick([2, 4, 8]), d.pick([2, 8])
    q, k = d.between(1, 7), d.between(1, 9)
    d.maybe("scale", d.real(0.1, 1))
    d.x([batch, kv * times, q, size], "tame")
    d.x([batch, kv, k, size], "tame")
    d.x([batch, kv, k, vsize], "tame")
