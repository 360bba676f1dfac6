# SPDX-License-Identifier: Apache-2.0
import numpy
import torch
from gradient_table import case, normal, uniform, whole
from torch.nn import functional as F

F32 = dict(dtypes=[numpy.float32])


def convolutions():
    for name, x, w, bias, stride, pad, dilation, group in [
            ("1d", (2, 3, 17), (5, 3, 3), True, 2, 1, 2, 1),
            ("2d", (2, 20, 17, 19), (33, 20, 3, 3), True, 1, 1, 1, 1),
            ("2d_strided", (3, 40, 15, 14), (18, 40, 3, 3), False, 2, 1, 1, 1),
            ("pointwise", (2, 40, 9, 8), (20, 40, 1, 1), True, 1, 0, 1, 1),
            ("pointwise_strided", (2, 20, 9, 8), (20, 20, 1, 1), False, 2, 0, 1, 1),
            ("few_channels", (2, 3, 23, 21), (8, 3, 7, 7), True, 2, 3, 1, 1),
            ("depthwise", (2, 6, 13, 13), (6, 1, 3, 3), True, 1, 1, 2, 6),
            ("depthwise_strided", (2, 6, 13, 13), (12, 1, 3, 3), False, 2, 1, 1, 6),
            ("groups", (2, 8, 11, 10), (12, 4, 3, 3), True, 2, 1, 2, 2),
            ("3d", (2, 4, 6, 7, 8), (5, 4, 3, 3, 3), True, 2, 1, 1, 1),
            ("wide_padding", (2, 14, 9, 9), (5, 14, 2, 2), False, 1, 3, 1, 1)]:
        rank = len(w) - 2
        function = [None, F.conv1d, F.conv2d, F.conv3d][rank]
        yield case("Conv", lambda *t, f=function, s=stride, p=pad, d=dilation, g=group:
                   f(*t, stride=s, padding=p, dilation=d, groups=g),
                   normal(*x), normal(*w), *([normal(w[0])] if bias else []), name="Conv_" + name,
                   strides=[stride] * rank, pads=[pad] * 2 * rank, dilations=[dilation] * rank, group=group)
    yield case("Conv", lambda x, w: F.conv2d(F.pad(x, (1, 2, 0, 3)), w), normal(2, 3, 7, 8), normal(4, 3, 2, 3),
               name="Conv_uneven", pads=[0, 1, 3, 2])
    yield case("Conv", lambda x, w: F.conv2d(F.pad(x, (0, 1, 1, 2)), w, stride=2), normal(2, 3, 6, 5),
               normal(4, 3, 5, 2), name="Conv_same", auto_pad="SAME_UPPER", strides=[2, 2])
    for name, x, w, stride, pad, out, dilation, group in [
            ("1d", (2, 4, 9), (4, 5, 3), 2, 1, 1, 1, 1), ("2d", (2, 4, 5, 6), (4, 3, 3, 3), 2, 1, 1, 1, 1),
            ("groups", (1, 6, 5, 6), (6, 2, 3, 2), 1, 0, 0, 2, 3), ("3d", (1, 2, 3, 4, 3), (2, 3, 2, 2, 2), 2, 0, 1, 1, 1)]:
        rank = len(w) - 2
        function = [None, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d][rank]
        yield case("ConvTranspose", lambda *t, f=function, s=stride, p=pad, o=out, d=dilation, g=group:
                   f(*t, stride=s, padding=p, output_padding=o, dilation=d, groups=g),
                   normal(*x), normal(*w), normal(w[1] * group), name="ConvTranspose_" + name, strides=[stride] * rank,
                   pads=[pad] * 2 * rank, output_padding=[out] * rank, dilations=[dilation] * rank, group=group)
    yield case("Col2Im", lambda x, *_: F.fold(x, (6, 7), (2, 3), dilation=(2, 1), padding=(1, 0), stride=(1, 2)),
               normal(2, 12, 18), whole(6, 7), whole(2, 3), dilations=[2, 1], pads=[1, 0, 1, 0], strides=[1, 2])


def pools():
    image = normal(2, 3, 13, 14)
    window = dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    yield case("MaxPool", lambda x: F.max_pool2d(x, 3, 2, 1), image, **window)
    yield case("MaxPool", lambda x: F.max_pool2d(x, 3, 2, 1), numpy.round(image), name="MaxPool_ties", **window)
    yield case("MaxPool", lambda x: F.max_pool2d(x, (3, 2), 1, 1, (2, 1)), image, name="MaxPool_dilated",
               kernel_shape=[3, 2], pads=[1, 1, 1, 1], dilations=[2, 1])
    yield case("MaxPool", lambda x: F.max_pool1d(x, 4, 3, 2, ceil_mode=True), normal(2, 2, 19), name="MaxPool_ceil",
               kernel_shape=[4], strides=[3], pads=[2, 2], ceil_mode=1)
    for ceil in (0, 1):
        for pad in (0, 1):
            yield case("AveragePool", lambda x, c=ceil, p=pad: F.avg_pool2d(x, 3, 2, 1, bool(c), bool(p)), image,
                       name=f"AveragePool_ceil{ceil}_pad{pad}", ceil_mode=ceil, count_include_pad=pad, **window)
    yield case("AveragePool", lambda x: F.avg_pool3d(x, 2, 2), normal(1, 2, 4, 6, 5), name="AveragePool_3d",
               kernel_shape=[2, 2, 2], strides=[2, 2, 2])
    yield case("LpPool", lambda x: F.lp_pool2d(x, 2, 3, 2), image, kernel_shape=[3, 3], strides=[2, 2])
    yield case("GlobalAveragePool", lambda x: F.adaptive_avg_pool2d(x, 1), image)
    yield case("GlobalMaxPool", lambda x: F.adaptive_max_pool2d(x, 1), image)
    yield case("GlobalMaxPool", lambda x: F.adaptive_max_pool2d(x, 1), numpy.round(image), name="GlobalMaxPool_ties")
    yield case("GlobalLpPool", lambda x: (x.abs() ** 3).sum((2, 3), keepdim=True) ** (1 / 3), image, p=3)
    yield case("LRN", lambda x: F.local_response_norm(x, 5, 0.25, 0.5, 1.5), normal(2, 9, 3, 4), size=5, alpha=0.25,
               beta=0.5, bias=1.5)
    pooled, places = F.max_pool2d(torch.tensor(image[:, :, 1:]), 2, 2, return_indices=True)
    planes = numpy.arange(6).reshape(2, 3, 1, 1) * 12 * 14
    yield case("MaxUnpool", lambda x, i: F.max_unpool2d(x, places, 2, 2), pooled.numpy(), places.numpy() + planes,
               kernel_shape=[2, 2], strides=[2, 2])


def normalisations():
    def batch(x, s, b, m, v):
        return F.batch_norm(x, None, None, s, b, True, 0.1, 1e-5) + 0 * (m.sum() + v.sum())

    def frozen(x, s, b, m, v):
        shape = [1, -1] + [1] * (x.dim() - 2)
        r = (v + numpy.float32(1e-5)).rsqrt()
        return ((x - m.reshape(shape)) * (s * r).reshape(shape)) + b.reshape(shape)

    for shape in [(4, 6, 5, 7), (9, 33), (3, 4, 40), (2, 3, 2, 3, 4)]:
        c = shape[1]
        per_channel = normal(c), normal(c)
        statistics = normal(c), uniform(0.5, 2, c)
        yield case("BatchNormalization", batch, normal(*shape), *per_channel, *statistics, training_mode=1,
                   epsilon=2.0 ** -16, name=f"BatchNormalization_training_{len(shape)}", options=F32)
        yield case("BatchNormalization", frozen, normal(*shape), *per_channel, *statistics,
                   name=f"BatchNormalization_{len(shape)}", options=F32)
        yield case("LayerNormalization", lambda x, s, b: F.layer_norm(x, x.shape[1:], s, b, 0.25), normal(*shape),
                   normal(*shape[1:]), normal(*shape[1:]), axis=1, epsilon=0.25)
        yield case("LayerNormalization", lambda x, s: F.layer_norm(x, x.shape[-1:], eps=0.25) * s, normal(*shape),
                   normal(shape[0], *[1] * (len(shape) - 1)), name="LayerNormalization_broadcast", epsilon=0.25)
        yield case("RMSNormalization", lambda x, s: F.rms_norm(x, x.shape[-1:], s, 0.25), normal(*shape),
                   normal(shape[-1]), epsilon=0.25)
        if len(shape) > 2:
            yield case("InstanceNormalization", lambda x, s, b: F.instance_norm(x, None, None, s, b, eps=0.25),
                       normal(*shape), *per_channel, epsilon=0.25)
        for groups in (1, c // 2, c):
            if c % groups == 0:
                yield case("GroupNormalization", lambda x, s, b, g=groups: F.group_norm(x, g, s, b, 0.25),
                           normal(*shape), *per_channel, num_groups=groups, epsilon=0.25)
    yield case("LpNormalization", lambda x: F.normalize(x, dim=1), normal(3, 5, 4), axis=1)


def resampling():
    image = normal(2, 3, 5, 6)
    absent = None, None
    for mode in ("nearest", "bilinear", "bicubic"):
        for padding in ("zeros", "border", "reflection"):
            for corners in (0, 1):
                yield case("GridSample", lambda x, g, m=mode, p=padding, c=corners:
                           F.grid_sample(x, g, m, p, bool(c)), image, uniform(-1.4, 1.4, 2, 4, 7, 2),
                           name=f"GridSample_{mode}_{padding}_{corners}",
                           mode=dict(bilinear="linear", bicubic="cubic").get(mode, mode), padding_mode=padding,
                           align_corners=corners)
    yield case("GridSample", lambda x, g: F.grid_sample(x, g, align_corners=False), normal(2, 3, 4, 5, 3),
               uniform(-1.2, 1.2, 2, 2, 3, 4, 3), name="GridSample_3d")
    for name, mode, options, attributes in [
            ("nearest", "nearest", {}, dict(coordinate_transformation_mode="asymmetric", nearest_mode="floor")),
            ("bilinear", "bilinear", dict(align_corners=False), dict(mode="linear")),
            ("corners", "bilinear", dict(align_corners=True),
             dict(mode="linear", coordinate_transformation_mode="align_corners")),
            ("bicubic", "bicubic", dict(align_corners=False), dict(mode="cubic"))]:
        for size in ((11, 9), (3, 4), (5, 13)):
            yield case("Resize", lambda x, *_, m=mode, s=size, o=options: F.interpolate(x, s, mode=m, **o), image,
                       *absent, whole(2, 3, *size), name=f"Resize_{name}_{size[0]}", **attributes)
    yield case("AffineGrid", lambda t, s: F.affine_grid(t, [2, 3, 4, 5], align_corners=False), normal(2, 2, 3),
               whole(2, 3, 4, 5))
    yield case("AffineGrid", lambda t, s: F.affine_grid(t, [2, 3, 4, 5, 3], align_corners=True), normal(2, 3, 4),
               whole(2, 3, 4, 5, 3), name="AffineGrid_3d", align_corners=1)


def sequences():
    def causal(x, w, b, past):
        return F.silu(F.conv1d(torch.cat([past, x], 2), w, b, groups=w.shape[0]))

    inputs = normal(2, 4, 9), normal(4, 1, 3), normal(4), normal(2, 4, 2)
    yield case("CausalConvWithState", causal, *inputs, activation="silu", outputs=2, options=F32)
    yield case("CausalConvWithState", lambda x, w, b, past: torch.cat([past, x], 2)[:, :, -2:], *inputs, outputs=2,
               output=1, name="CausalConvWithState_state", options=F32)


def linear_attention(q, k, v, past, decay, beta, heads, kv_heads, scale):
    batch, length = q.shape[:2]
    q, k, v = (t.reshape(batch, length, n, -1) for t, n in ((q, heads), (k, kv_heads), (v, kv_heads)))
    state = torch.zeros(batch, kv_heads, k.shape[-1], v.shape[-1]) if past is None else past
    made = []
    for t in range(length):
        key, value = k[:, t, :, :, None], v[:, t, :, None, :]
        if decay is not None:
            state = state * decay[:, t].reshape(batch, kv_heads, -1, 1).exp()
        if beta is not None:
            value = beta[:, t].reshape(batch, -1, 1, 1) * (value - (state * key).sum(2, keepdim=True))
        state = state + key * value
        read = state.repeat_interleave(heads // kv_heads, 1) * q[:, t, :, :, None]
        made.append(scale * read.sum(2).reshape(batch, -1))
    return torch.stack(made, 1), state


def attentions():
    def rule(name, heads, kv_heads, decays, betas, past, output=0):
        sizes = dict(q_num_heads=heads, kv_num_heads=kv_heads, scale=0.5)
        has_decay, has_beta = "gated" in name, "delta" in name
        decay = -uniform(0, 0.5, 2, 7, decays) if has_decay else None
        beta = uniform(0.2, 0.9, 2, 7, betas) if has_beta else None
        state = normal(2, kv_heads, 4, 3) if past else None
        return case("LinearAttention", lambda q, k, v, s=None, d=None, b=None:
                    linear_attention(q, k, v, s, d, b, heads, kv_heads, 0.5)[output], normal(2, 7, heads * 4),
                    uniform(-0.5, 0.5, 2, 7, kv_heads * 4), normal(2, 7, kv_heads * 3), state, decay, beta,
                    name=f"LinearAttention_{name}_{output}", outputs=2, output=output, update_rule=name, options=F32,
                    **sizes)

    yield rule("linear", 2, 2, 0, 0, True)
    yield rule("gated", 4, 2, 2, 0, False)
    yield rule("gated", 2, 2, 8, 0, True, 1)
    yield rule("delta", 2, 2, 0, 1, True)
    yield rule("gated_delta", 4, 2, 8, 2, True)
    yield rule("gated_delta", 2, 2, 2, 2, True, 1)
    yield case("FlexAttention", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True, scale=0.5),
               normal(2, 4, 5, 3), normal(2, 2, 6, 3), normal(2, 2, 6, 4), scale=0.5,
               options=dict(domain="ai.onnx.preview"))


CASES = [*convolutions(), *pools(), *normalisations(), *resampling(), *sequences(), *attentions()]
