# SPDX-License-Identifier: Apache-2.0
import torch
from gradient_table import case, normal, uniform, whole
from torch.nn import functional as F


def centred(x):
    x = x - x.mean((0, 2, 3), True)
    return x / (x.square().mean((0, 2, 3), True).sqrt() + 1e-9)


def weighted(x, y, w):
    """By the weights too, which PyTorch's own does not do."""
    return -(w[y] * F.log_softmax(x, 1)[torch.arange(len(y)), y]).sum() / w[y].sum()


def normalised():
    for op, function in (("Softmax", F.softmax), ("LogSoftmax", F.log_softmax)):
        yield case(op, lambda x, f=function: f(x, 1), normal(2, 5, 3), axis=1)
        yield case(op, lambda x, f=function: f(x, -1), normal(4, 300) * 20, name=op + "_wide")
    yield case("SwiGLU", lambda a, b: F.silu(a) * b, normal(2, 9), normal(2, 9))
    yield case("MeanVarianceNormalization", centred, normal(4, 3, 5, 5))


def contracted():
    for equation, shapes in (("bij,bjk->bik", ((2, 3, 4), (2, 4, 5))), ("ij,kj->ik", ((3, 4), (5, 4))),
                             ("bhqd,bhkd->bhqk", ((2, 2, 3, 4), (2, 2, 5, 4))), ("i,j,k->kij", ((3,), (4,), (2,))),
                             ("ii->i", ((4, 4),)), ("ij->", ((3, 4),)), ("b...c,c->b...", ((2, 3, 4), (4,)))):
        yield case("Einsum", lambda *x, e=equation: torch.einsum(e, *x), *[normal(*s) for s in shapes],
                   name="Einsum " + equation, equation=equation)


def classified():
    scores, labels = normal(6, 4), whole(0, 3, 1, 2, 0, 2)
    for reduction in ("mean", "sum", "none"):
        attributes = dict(reduction=reduction)
        yield case("SoftmaxCrossEntropyLoss", lambda x, y, r=reduction: F.cross_entropy(x, y, reduction=r), scores,
                   labels, **attributes)
        yield case("SoftmaxCrossEntropyLoss",
                   lambda x, y, r=reduction: F.cross_entropy(x, y, ignore_index=2, reduction=r), scores, labels,
                   name="SoftmaxCrossEntropyLoss_ignore", ignore_index=2, **attributes)
        yield case("NegativeLogLikelihoodLoss", lambda x, y, r=reduction: F.nll_loss(x, y, reduction=r), scores, labels,
                   **attributes)
    weights = uniform(0.5, 2, 4)
    yield case("SoftmaxCrossEntropyLoss", weighted, scores, labels, weights,
               name="SoftmaxCrossEntropyLoss_weights")
    yield case("SoftmaxCrossEntropyLoss", F.cross_entropy, normal(2, 4, 3, 5), whole(*range(30)).reshape(2, 3, 5) % 4,
               name="SoftmaxCrossEntropyLoss_images")
    yield case("NegativeLogLikelihoodLoss", F.nll_loss, normal(2, 4, 3), whole(0, 1, 2, 3, 2, 1).reshape(2, 3),
               name="NegativeLogLikelihoodLoss_lines")


def attended():
    q, k, v = normal(2, 3, 5, 4), normal(2, 3, 6, 4), normal(2, 3, 6, 7)
    yield case("Attention", F.scaled_dot_product_attention, q, k, v)
    yield case("Attention", lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True), q, k[:, :, :5],
               v[:, :, :5], name="Attention_causal", is_causal=1)
    yield case("Attention", lambda q, k, v, m: F.scaled_dot_product_attention(q, k, v, m), q, k, v, normal(5, 6),
               name="Attention_mask")


CASES = [*normalised(), *contracted(), *classified(), *attended()]
