# SPDX-License-Identifier: Apache-2.0
import numpy
import torch
from gradient_table import case, normal, whole
from torch.nn import functional as F

X = normal(3, 4, 5)


def shapes():
    yield case("Reshape", lambda x, _: x.reshape(6, 10), X, whole(6, -1))
    yield case("Flatten", lambda x: x.flatten(0, 1), X, axis=2)
    yield case("Squeeze", lambda x, _: x.squeeze(1), normal(3, 1, 4), whole(1))
    yield case("Unsqueeze", lambda x, _: x.unsqueeze(1), X, whole(1))
    yield case("Transpose", lambda x: x.permute(2, 0, 1), X, perm=[2, 0, 1])
    yield case("Transpose", lambda x: x.permute(2, 1, 0), X)
    yield case("Expand", lambda x, _: x.expand(2, 3, 4), normal(3, 1), whole(2, 3, 4))
    yield case("Tile", lambda x, _: x.tile(2, 1, 3), X, whole(2, 1, 3))
    yield case("Tile", lambda x, _: x.tile(1, 2, 1, 2, 1), normal(2, 2, 1, 3, 2), whole(1, 2, 1, 2, 1), name="Tile_5d")
    yield case("Identity", lambda x: x * 1, X)
    yield case("Cast", lambda x: x.double(), X, to=11, options=dict(dtypes=[numpy.float64]))
    yield case("Trilu", torch.triu, X)
    yield case("Trilu", lambda x, k: x.tril(-1), X, whole(-1)[0], upper=0)
    yield case("DepthToSpace", lambda x: F.pixel_shuffle(x, 2), normal(2, 12, 3, 2), blocksize=2, mode="CRD")
    yield case("SpaceToDepth", lambda x: F.pixel_unshuffle(x, 2), normal(2, 3, 4, 6), blocksize=2, mode="CRD")


def joined():
    yield case("Concat", lambda a, b, c: torch.cat([a, b, c], 1), normal(2, 3), normal(2, 0), normal(2, 4), axis=1)
    for k in range(3):
        yield case("Split", lambda x, _, k=k: x.split([1, 3, 2], 1)[k], normal(2, 6), whole(1, 3, 2), name=f"Split{k}",
                   outputs=3, output=k, axis=1)
    yield case("Split", lambda x: x.chunk(3, 0)[1], normal(7, 2), outputs=3, output=1, num_outputs=3)
    yield case("Split", lambda x: x.split(3)[0], normal(7, 2), name="Split_fewer", outputs=2, num_outputs=3)
    condition = numpy.array([[True], [False], [True]])
    yield case("Where", torch.where, condition, normal(3, 4), normal(4))
    yield case("Slice", lambda x, *_: x[1:, 0:4:2], X, whole(1, 0), whole(9, 4), whole(0, 1), whole(1, 2))
    yield case("Slice", lambda x, *_: x.flip(2)[:, :, ::2], X, whole(-1), whole(-99), whole(2), whole(-2),
               name="Slice_back")
    yield case("Pad", lambda x, *_: F.pad(x, (1, -1, 0, 2)), X, whole(0, 1, 2, -1), None, whole(1, 2))
    yield case("Pad", lambda x, p, v: F.pad(x, (1, 2)) + v * (1 - F.pad(torch.ones_like(x), (1, 2))), X,
               whole(0, 0, 1, 0, 0, 2), 0.5, name="Pad_value")
    for mode, name in (("reflect", "reflect"), ("edge", "replicate"), ("wrap", "circular")):
        yield case("Pad", lambda x, _, n=name: F.pad(x, (2, 1, 1, 2), mode=n), normal(2, 3, 4, 5),
                   whole(0, 0, 1, 2, 0, 0, 2, 1), name="Pad_" + mode, mode=mode)
    yield case("CenterCropPad", lambda x, _: F.pad(x, (1, 2))[:, 1:3], X, whole(2, 8), axes=[1, 2])


def indexed():
    yield case("Gather", lambda x, i: x[i], normal(6, 3), numpy.array([[0, 5], [-1, 0]]))
    yield case("Gather", lambda x, i: x[:, :, i], X, numpy.array([[0, 4], [-1, 0]]), axis=2)
    yield case("GatherElements", lambda x, i: x.gather(1, i), normal(3, 4), numpy.array([[0, 0], [3, 1], [2, 2]]),
               axis=1)
    yield case("GatherND", lambda x, i: x[i[:, 0], i[:, 1]], X, numpy.array([[0, 1], [2, 3], [0, 1]]))
    yield case("GatherND", lambda x, i: x[torch.arange(3), i[:, 0]], X, numpy.array([[0], [3], [1]]),
               name="GatherND_batch", batch_dims=1)
    at, other = numpy.array([[0, 2], [1, 0], [3, 3]]), numpy.array([[0, 0], [1, 0], [3, 3]])
    yield case("ScatterElements", lambda x, i, u: x.scatter(1, i, u), normal(3, 4),
               numpy.array([[0, 2], [1, 0], [3, 2]]), normal(3, 2), axis=1)
    for reduction, name in (("add", "sum"), ("mul", "prod"), ("max", "amax"), ("min", "amin")):
        for zeros in (1, 0):
            x, u = (normal(3, 4), normal(3, 2)) if zeros else (normal(3, 4).round(), normal(3, 2).round())
            yield case("ScatterElements", lambda d, i, v, n=name: d.scatter_reduce(1, i, v, n), x,
                       other if zeros else at, u, name=f"ScatterElements_{reduction}{'' if zeros else '_ties'}", axis=1,
                       reduction=reduction)
    yield case("ScatterND", lambda x, i, u: x.index_put((i[:, 0],), u), normal(5, 3), numpy.array([[1], [4]]),
               normal(2, 3))
    yield case("ScatterND", lambda x, i, u: x.index_put((i[:, 0],), u, True), normal(5, 3), numpy.array([[1], [1]]),
               normal(2, 3), reduction="add")
    kept = numpy.array([True, False, True, True])
    yield case("Compress", lambda x, c: x[:, c], X, kept, axis=1)
    yield case("Compress", lambda x, c: x.flatten()[:4][c], X, kept, name="Compress_flat")
    one_hot = numpy.array([[0, 2], [1, 5]])
    yield case("OneHot", lambda i, d, v: torch.where(torch.arange(4) == i.unsqueeze(-1), v[1], v[0]), one_hot,
               numpy.array([4]), normal(2))
    yield case("TensorScatter", scattered, normal(2, 6, 3), normal(2, 2, 3), whole(1, 4), axis=1)
    yield case("TensorScatter", scattered, normal(2, 6, 3), normal(2, 3, 3), whole(1, 5), name="TensorScatter_circular",
               axis=1, mode="circular")
    yield case("Range", lambda a, b, d: a + d * torch.arange(5), 1.0, 3.4, 0.5)


def scattered(cache, update, first):
    y = cache.clone()
    for b in range(cache.shape[0]):
        for t in range(update.shape[1]):
            y[b, (int(first[b]) + t) % cache.shape[1]] = update[b, t]
    return y


CASES = [*shapes(), *joined(), *indexed()]
