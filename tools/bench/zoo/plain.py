# SPDX-License-Identifier: Apache-2.0
"""Layers and small nets of torch alone."""
import torch
from torch import nn
from torch.nn import functional as F

import models
from zoo import BATCHES, IMAGES, TEXTS, add


class Recurrent(nn.Module):
    """An embedding, two layers in both directions, a head; h (and c) are answers too."""

    def __init__(self, kind, **options):
        super().__init__()
        self.embedding = nn.Embedding(60, 24)
        self.cell = kind(24, 20, num_layers=2, bidirectional=True, batch_first=True, **options)
        self.head = nn.Linear(40, 11)

    def forward(self, ids):
        y, state = self.cell(self.embedding(ids))
        return (self.head(y), *state) if isinstance(state, tuple) else (self.head(y), state)


class Translator(nn.Module):
    """nn.Transformer with a causal target (Vaswani et al. 2017, arXiv:1706.03762)."""

    def __init__(self):
        super().__init__()
        self.source, self.target = nn.Embedding(50, 32), nn.Embedding(50, 32)
        self.body = nn.Transformer(32, 4, 2, 2, 64, batch_first=True, norm_first=True)
        self.head = nn.Linear(32, 50)

    def forward(self, source, target):
        n = target.shape[1]
        mask = torch.triu(torch.full((n, n), float("-inf")), diagonal=1)
        return self.head(self.body(self.source(source), self.target(target), tgt_mask=mask, tgt_is_causal=True))


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(32, 4, kdim=24, vdim=20, batch_first=True, add_bias_kv=True)

    def forward(self, q, k, v):
        return self.attention(q, k, v)


class Einsum(nn.Module):
    """Bilinear pooling, a diagonal, an outer product and a batched contraction, all as einsum."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(7, 12, 12))

    def forward(self, x):
        s = torch.einsum("bid,bjd->bij", x, x)
        return (torch.einsum("bnd,kde,bne->bnk", x, self.weight, x), torch.einsum("bii->bi", s),
                torch.einsum("bnd->d", x), torch.einsum("...ij,...j->...i", s, x[..., 0]))


class Warp(nn.Module):
    """A spatial transformer (Jaderberg et al. 2015, arXiv:1506.02025) in every mode of grid_sample."""

    def __init__(self):
        super().__init__()
        self.locate = nn.Linear(3, 6)

    def forward(self, x, grid):
        theta = self.locate(x.mean((2, 3))).tanh().view(-1, 2, 3)
        placed = F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)
        return (placed, F.grid_sample(x, grid, mode="nearest", padding_mode="border", align_corners=True),
                F.grid_sample(x, grid, mode="bicubic", padding_mode="reflection", align_corners=False))


class Resized(nn.Module):
    """1.5 times with aligned corners at even sizes alone: where the size is rounded, PyTorch divides by the rounded
    length and ONNX by the fraction."""

    def forward(self, x):
        h, w = x.shape[2:]
        return (F.interpolate(x, scale_factor=2, mode="nearest"),
                F.interpolate(x, size=(h + 3, 2 * w), mode="bilinear", align_corners=False),
                F.interpolate(x, size=(20, 17), mode="bicubic", align_corners=True),
                F.interpolate(x, scale_factor=1.5, mode="bilinear", align_corners=True),
                F.interpolate(x[:, :, 0], scale_factor=2, mode="linear"))


class UNet(nn.Module):
    """Down and up with skips (Ronneberger et al. 2015, arXiv:1505.04597), group and instance norms."""

    def __init__(self):
        super().__init__()
        def block(inputs, outputs, norm):
            return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), norm, nn.SiLU(),
                                 nn.Conv2d(outputs, outputs, 3, padding=1, padding_mode="reflect"), nn.Mish())
        self.down1, self.down2 = block(3, 8, nn.GroupNorm(4, 8)), block(8, 16, nn.InstanceNorm2d(16, affine=True))
        self.middle = block(16, 16, nn.GroupNorm(1, 16))
        self.up2, self.up1 = block(32, 8, nn.InstanceNorm2d(8)), block(16, 8, nn.GroupNorm(2, 8))
        self.grow = nn.ConvTranspose2d(8, 8, 2, 2)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        c = F.interpolate(self.middle(F.avg_pool2d(b, 2)), scale_factor=2, mode="bilinear")
        d = self.grow(self.up2(torch.cat([b, c], 1)))
        return self.head(self.up1(torch.cat([a, d], 1)))


class Bags(nn.Module):
    def __init__(self):
        super().__init__()
        self.mean, self.largest = nn.EmbeddingBag(40, 16, mode="mean"), nn.EmbeddingBag(40, 16, mode="max")
        self.head = nn.Linear(32, 5)

    def forward(self, ids, offsets):
        return self.head(torch.cat([self.mean(ids, offsets), self.largest(ids, offsets)], 1)).log_softmax(1)


class Decoder(nn.Module):
    """Noise to an image by transposed convolutions (Radford et al. 2015, arXiv:1511.06434); 1-D and 3-D beside it."""

    def __init__(self):
        super().__init__()
        self.image = nn.Sequential(nn.ConvTranspose2d(12, 16, 4, 1, 0), nn.BatchNorm2d(16), nn.ReLU(),
                                   nn.ConvTranspose2d(16, 8, 3, 2, 1, output_padding=1, groups=2), nn.LeakyReLU(0.1),
                                   nn.ConvTranspose2d(8, 3, 4, 2, 1, dilation=1), nn.Tanh())
        self.line = nn.ConvTranspose1d(12, 4, 3, 2, 1, dilation=2)
        self.solid = nn.ConvTranspose3d(3, 2, 3, 2, 1, 1)

    def forward(self, x):
        image = self.image(x)
        return image, self.line(x[..., 0]), self.solid(image[:, :, None, :6, :6])


class Spectrum(nn.Module):
    """Token mixing by Fourier transforms (Lee-Thorp et al. 2021, arXiv:2105.03824) and a real transform."""

    def forward(self, x):
        mixed = torch.fft.fft(torch.fft.fft(x, dim=-1), dim=-2).real
        half = torch.fft.rfft(x, dim=-1)
        return mixed, half.abs(), torch.fft.irfft(half, n=16, dim=-1)


class Half(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, 2, 1)
        layer = nn.TransformerEncoderLayer(16, 2, 32, activation="gelu", batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(16, 10)
        self.half()

    def forward(self, x):
        return self.head(self.body(self.stem(x).flatten(2).transpose(1, 2)).mean(1)).softmax(-1)


class Activations(nn.Module):
    NAMES = ("celu", "elu", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid",
             "mish", "relu6", "selu", "silu", "softplus", "softshrink", "softsign", "tanhshrink")

    def __init__(self):
        super().__init__()
        self.prelu = nn.PReLU(4)

    def forward(self, x):
        tail = [self.prelu(x), F.glu(x, 1), F.gelu(x, approximate="tanh"), F.threshold(x, 0.0, 0.0)]
        return (*[getattr(F, name)(x) for name in self.NAMES], *tail)


class Indexing(nn.Module):
    """Gathers, scatters, sorts, windows and picks."""

    def __init__(self):
        super().__init__()
        self.register_buffer("table", torch.randn(9, 6))

    def forward(self, x, ids):
        top, where = x.topk(3, dim=1)
        ordered, order = x.sort(dim=1, descending=True)
        spread = torch.zeros_like(x).scatter_add(1, ids, x)
        placed = torch.zeros_like(x).scatter(1, ids, x * 2)
        return (top, where, ordered, order, spread, placed, x.gather(1, ids), self.table[ids], x.cumsum(1), x.argmax(1),
                torch.where(x > 0, x, -x).tril(), x.unfold(1, 4, 2), F.one_hot(ids, 9), x.masked_fill(ids > 4, -1.0),
                x.roll(2, 1), x.flip(1), x.logsumexp(1), x.var(1), x.norm(dim=1),
                F.pad(x, (1, 2), value=3.0), x[:, 1::2], x.repeat(2, 1), torch.nonzero(ids > 4))


class Depth(nn.Module):
    """Volumes and lines: convolution, pooling and norms in one and three dimensions, pixel shuffles, LRN."""

    def __init__(self):
        super().__init__()
        self.volume = nn.Sequential(nn.Conv3d(2, 6, 3, padding=1), nn.BatchNorm3d(6), nn.ReLU(), nn.MaxPool3d(2))
        self.line = nn.Sequential(nn.Conv1d(6, 8, 5, padding=2, dilation=1), nn.AvgPool1d(2), nn.LocalResponseNorm(3))

    def forward(self, x):
        v = self.volume(x)
        y = self.line(v.mean((3, 4)))
        image = x[:, :, 0].repeat(1, 2, 1, 1)
        return v, y, F.pixel_shuffle(image, 2), F.pixel_unshuffle(image, 2), F.lp_pool2d(image, 2, 2)



TRACED = {"legacy": "sizes that Python computed while it was traced are constants"}

add("lstm", lambda: Recurrent(nn.LSTM), {"ids": ("ids:60", "b", "n")}, TEXTS)
add("gru", lambda: Recurrent(nn.GRU), {"ids": ("ids:60", "b", "n")}, TEXTS)
add("rnn", lambda: Recurrent(nn.RNN), {"ids": ("ids:60", "b", "n")}, TEXTS,
    refused={"dynamo": "tracing inferred a static shape of 8"})
add("rnn_of_six", lambda: Recurrent(nn.RNN), {"ids": ("ids:60", "b", 6)}, BATCHES)
add("lstm_projected", lambda: nn.LSTM(10, 16, proj_size=6), {"x": ("f32", 8, "b", 10)}, BATCHES,
    refused={"legacy": "LSTMs with projections"}, wrong={"dynamo": "the projection is left out"})
add("transformer", Translator, {"source": ("ids:50", "b", "s"), "target": ("ids:50", "b", "n")},
    [{"b": 2, "s": 9, "n": 7}, {"b": 1, "s": 5, "n": 11}, {"b": 3, "s": 12, "n": 4}], wrong=TRACED)
add("multihead_attention", Heads, {"q": ("f32", "b", "n", 32), "k": ("f32", "b", "s", 24), "v": ("f32", "b", "s", 20)},
    [{"b": 2, "n": 7, "s": 9}, {"b": 1, "n": 4, "s": 13}])
add("einsum", Einsum, {"x": ("f32", "b", "n", 12)}, TEXTS)
add("grid_sample", Warp, {"x": ("f32", "b", 3, 24, 20), "grid": ("grid", "b", "h", "w", 2)}, IMAGES, opset=20)
add("interpolate", Resized, {"x": ("f32", "b", 3, "h", "w")},
    [{"b": 2, "h": 12, "w": 14}, {"b": 1, "h": 10, "w": 16}, {"b": 3, "h": 22, "w": 8}])
add("unet", UNet, {"x": ("f32", "b", 3, "h", "w")}, IMAGES)
add("embedding_bag", Bags, {"ids": ("ids:40", "2*n"), "offsets": ("bag", "n")}, [{"n": 4}, {"n": 7}])
add("transposed_decoder", Decoder, {"x": ("f32", "b", 12, 1, 1)}, BATCHES)
add("fft", Spectrum, {"x": ("f32", "b", "n", 16)}, TEXTS, refused={"legacy": "aten::fft_fft"})
add("half", Half, {"x": ("f16", "b", 3, 32, 32)}, BATCHES, bound=1e-3)
add("activations", Activations, {"x": ("f32", "b", 4, "n")}, TEXTS)
add("indexing", Indexing, {"x": ("f32", "b", 9), "ids": ("ids:9", "b", 9)}, [{"b": 2}, {"b": 4}])
add("volume", Depth, {"x": ("f32", "b", 2, 8, 12, 12)}, BATCHES)
add("resnet50", lambda: models.build("resnet50"), {"x": ("f32", "b", 3, 224, 224)}, BATCHES[:2])
add("mobilenet_v2", lambda: models.build("mobilenet_v2"), {"x": ("f32", "b", 3, 224, 224)}, BATCHES[:2])
add("encoder12", lambda: models.build("encoder12"), {"x": ("f32", "b", 128, 768)}, BATCHES[:2])
