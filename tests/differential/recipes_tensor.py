# SPDX-License-Identifier: Apache-2.0
"""Movement, indexing and conversion: the folder tensor."""
import numpy
from onnx import helper

from draw import BOOL, DTYPES, F32, NUMPY, STRING, is_int, range_of, recipe
from model import tensor_of


def same(d, out=True):
    """A first input of a variable that may also be a sequence or an optional: only tensors here."""
    return d.shape()


@recipe("Identity")
def identity(d):
    d.x(d.shape())


@recipe("Shape", "Size")
def shape_of(d):
    shape = d.shape()
    d.maybe("start", d.between(-6, 6))
    d.maybe("end", d.between(-6, 6))
    d.x(shape)


@recipe("Flatten")
def flatten(d):
    shape = d.shape(1 if d.since < 9 else 0)
    low = -len(shape) if d.since >= 11 else 0
    if not d.maybe("axis", d.between(low, len(shape))) and not shape:
        d.attributes["axis"] = 0
    d.x(shape)


@recipe("Reshape")
def reshape(d):
    shape = d.shape(dim=1 if d.chance(0.8) else 0)
    total, target = int(numpy.prod(shape)), []
    for factor in d.pick([shape[::-1], [total], sorted(shape), [1] + shape]):
        target.append(int(factor))
    zero = d.maybe("allowzero", d.below(2), 0.3)
    if total and target and d.chance(0.4):
        target[d.below(len(target))] = -1
    if total and not zero:
        for k in range(min(len(target), len(shape))):
            if target[k] == shape[k] and d.chance(0.3):
                target[k] = 0
    if not total and 0 in target and not zero and d.since >= 14:
        d.attributes["allowzero"] = 1
    elif not total and not zero:
        target = list(shape)
    if d.has("shape"):
        shape, target = (shape, target) if target else ([1], [1])
        d.attributes["shape"] = target
    d.x(shape)
    if d.since >= 5:
        d.ints(target)


@recipe("Transpose")
def transpose(d):
    shape = d.shape(0, 6, most=4000)
    d.maybe("perm", [int(p) for p in d.rng.permutation(len(shape))], 0.85 if shape else 0)
    d.x(shape)


@recipe("Squeeze")
def squeeze(d):
    shape = [1 if d.chance(0.4) else n for n in d.shape()]
    ones = [k - len(shape) if d.since >= 11 and d.chance(0.3) else k for k, n in enumerate(shape) if n == 1]
    ones = [k for k in ones if d.chance(0.8)]
    given = d.chance(0.75) and bool(ones)
    if given:
        d.attr("axes", ones)
    d.x(shape)
    if given and d.since >= 13:
        d.ints(ones)


@recipe("Unsqueeze")
def unsqueeze(d):
    shape = d.shape()
    rank = len(shape) + d.between(1, 2)
    axes = [int(a) - (rank if d.since >= 11 and d.chance(0.3) else 0)
            for a in sorted(d.rng.permutation(rank)[:rank - len(shape)])]
    d.attr("axes", axes)
    d.x(shape)
    if d.since >= 13:
        d.ints(axes)


@recipe("Concat")
def concat(d):
    shape = d.shape(1)
    axis = d.axis(len(shape), d.since >= 11)
    d.attributes["axis"] = axis
    if d.since == 1 and (axis != 1 or len(shape) < 2 or d.chance(0.5)):
        d.attributes["axis"] = axis
    for _ in range(d.between(1, 5)):
        one = list(shape)
        one[axis] = d.dim()
        d.x(one)


@recipe("Split")
def split(d):
    shape = d.shape(1, dim=1)
    axis = d.axis(len(shape), d.since >= 11)
    d.attr("axis", axis)
    parts = d.between(1, min(4, shape[axis]))
    cuts = sorted(d.rng.integers(0, shape[axis] + 1, parts - 1).tolist())
    sizes = [int(b - a) for a, b in zip([0] + cuts, cuts + [shape[axis]])]
    if d.since < 13:
        sizes = [s for s in sizes if s] or [shape[axis]]
    even = d.chance(0.4)
    if even:
        if d.since < 18:
            shape[axis] = parts * d.between(1, 6)
        else:
            d.attr("num_outputs", parts)
            while (-(-shape[axis] // parts)) * (parts - 1) >= shape[axis] and parts > 1:
                parts -= 1
            d.attr("num_outputs", parts)
    else:
        parts = len(sizes)
    x = d.x(shape)
    if not even and (d.has("split")):
        d.attributes["split"] = sizes
    elif not even:
        d.ints(sizes)
    for _ in range(parts):
        d.out()


@recipe("Slice")
def slice_(d):
    shape = d.shape(1)
    axes = sorted(d.rng.permutation(len(shape))[:d.between(1, len(shape))].tolist())
    if d.since >= 10 and d.chance(0.3):
        axes = list(range(len(axes)))
    starts, ends, steps = [], [], []
    for a in axes:
        n = shape[a]
        starts.append(d.between(-n - 2, n + 2))
        ends.append(d.pick([d.between(-n - 2, n + 2), 2 ** 31 - 1, -2 ** 31]))
        steps.append(d.pick([1, 1, 2, 3, -1, -2]))
    if d.since == 1:
        d.attributes.update(starts=starts, ends=ends)
        if d.chance(0.7) or axes != list(range(len(axes))):
            d.attributes["axes"] = axes
        d.x(shape)
        return
    d.x(shape)
    d.ints(starts)
    d.ints(ends)
    signed = [a - len(shape) if d.since >= 11 and d.chance(0.3) else a for a in axes]
    with_steps = d.chance(0.6)
    if d.chance(0.7) or axes != list(range(len(axes))):
        d.ints(signed)
    elif with_steps:
        d.skip()
    if with_steps:
        d.ints(steps)


@recipe("Expand")
def expand(d):
    shape = d.shape()
    d.x(d.broadcastable(shape))
    d.ints(d.broadcastable(shape))


@recipe("Tile")
def tile(d):
    shape = d.shape(1, most=500)
    if d.since == 1:
        d.x(shape)
        d.x([], numpy.array(d.between(1, 3)))
        d.x([], numpy.array(d.below(len(shape))))
        return
    d.x(shape)
    d.ints([d.between(0 if d.chance(0.1) else 1, 3) for _ in shape])


@recipe("Pad")
def pad(d):
    shape = d.shape(1, most=2000)
    mode = d.maybe("mode", d.pick(["constant", "reflect", "edge"] + (["wrap"] if d.since >= 19 else [])), 0.7)
    if mode in ("reflect", "edge", "wrap"):
        shape = [max(n, 2) for n in shape]
    use_axes = d.since >= 18 and d.chance(0.4)
    axes = d.axes(len(shape), True, 1) if use_axes else list(range(len(shape)))
    most = [shape[a] - 1 if mode == "reflect" else 3 for a in axes]
    low = -1 if d.chance(0.2) and mode in (None, "constant") else 0
    pads = [d.between(low if shape[a] > 2 else 0, min(m, 4)) for a, m in zip(axes, most)]
    pads += [d.between(low if shape[a] > 2 else 0, min(m, 4)) for a, m in zip(axes, most)]
    if d.since < 11:
        d.attributes["paddings" if d.since == 1 else "pads"] = pads
        d.maybe("value", d.real(-2, 2))
        d.x(shape)
        return
    d.x(shape)
    d.ints(pads)
    if d.chance(0.4) or use_axes:
        d.x([], "tame")
    if use_axes:
        d.ints(axes)


@recipe("Gather")
def gather(d):
    shape = d.shape(1)
    axis = d.maybe("axis", d.axis(len(shape)))
    n = shape[axis or 0]
    where = d.shape(0, 3, most=200) if n else [0]
    d.x(shape)
    d.ints(d.rng.integers(-n if d.since >= 11 else 0, max(n, 1), where), d.chance(0.4))


@recipe("GatherElements")
def gather_elements(d):
    shape = d.shape(1)
    axis = d.maybe("axis", d.axis(len(shape)))
    n = shape[axis or 0]
    where = [d.between(0, s) for s in shape]
    if n == 0:
        where[axis or 0] = 0
    d.x(shape)
    d.ints(d.rng.integers(-n, max(n, 1), where), d.chance(0.4))


def tuples(d, shape, lead, depth, batch=0):
    """Index tuples into dims batch.. of `shape`."""
    parts = [d.rng.integers(-shape[batch + k], shape[batch + k], lead) for k in range(depth)]
    return numpy.stack(parts, -1).astype(numpy.int64)


@recipe("GatherND")
def gather_nd(d):
    shape = d.shape(1, 5, dim=1, most=4000)
    batch = d.maybe("batch_dims", d.below(len(shape)), 0.4) or 0
    depth = d.between(1, len(shape) - batch)
    lead = shape[:batch] + d.shape(0, 2, dim=1, most=60)
    if not lead and depth == 0:
        lead = [1]
    d.x(shape)
    d.ints(tuples(d, shape, lead, depth, batch), d.chance(0.4))


@recipe("Scatter", "ScatterElements")
def scatter_elements(d):
    shape = d.shape(1, dim=1)
    axis = d.maybe("axis", d.axis(len(shape)))
    reduction = d.maybe("reduction", d.pick(["none", "add", "mul"] + (["max", "min"] if d.since >= 18 else [])))
    where = [d.between(1, s) for s in shape]
    x = d.x(shape, "tame", only=None if reduction in (None, "none") else set(NUMPY) - {STRING, BOOL, 14, 15})
    n = shape[axis or 0]
    indices = d.rng.integers(-n, n, where)
    if reduction in (None, "none"):  # the order of duplicates is not defined
        order = numpy.argsort(d.rng.random([n] + [s for k, s in enumerate(where) if k != (axis or 0) % len(shape)]), 0)
        indices = numpy.moveaxis(order, 0, (axis or 0) % len(shape))
        indices = indices[tuple(slice(0, s) for s in where)]
    d.ints(indices, d.chance(0.3))
    d.x(where, "tame")
    d.noise = 1e-2 if x.dtype.itemsize == 2 and reduction in ("add", "mul") else 1e-5


@recipe("ScatterND")
def scatter_nd(d):
    shape = d.shape(1, 4, dim=1, most=4000)
    reduction = d.maybe("reduction", d.pick(["none", "add", "mul"] + (["max", "min"] if d.since >= 18 else [])))
    depth = d.between(1, len(shape))
    lead = d.shape(1, 2, dim=1, most=20)
    indices = tuples(d, shape, lead, depth)
    if reduction in (None, "none"):
        flat = (indices % numpy.array(shape[:depth])).reshape(-1, depth)
        _, first = numpy.unique(flat, axis=0, return_index=True)
        indices = flat[numpy.sort(first)]
        lead = [len(indices)]
    x = d.x(shape, "tame", only=None if reduction in (None, "none") else set(NUMPY) - {STRING, BOOL, 14, 15})
    d.ints(indices, d.chance(0.3))
    d.x(list(lead) + shape[depth:], "tame")
    d.noise = 1e-2 if x.dtype.itemsize == 2 and reduction in ("add", "mul") else 1e-5


@recipe("TensorScatter")
def tensor_scatter(d):
    shape = d.shape(2, 4, dim=1, most=2000)
    axis = d.between(1, len(shape) - 1)
    d.attributes["axis"] = axis - len(shape) if d.chance(0.5) else axis
    update = list(shape)
    update[axis] = d.between(1, shape[axis])
    mode = d.maybe("mode", d.pick(["linear", "circular"]))
    d.x(shape)
    d.x(update)
    if d.chance(0.8):
        most = shape[axis] - 1 if mode == "circular" else shape[axis] - update[axis]
        d.ints(d.rng.integers(0, most + 1, [shape[0]]))


@recipe("Where")
def where(d):
    shape = d.shape()
    d.x(d.broadcastable(shape))
    d.x(d.broadcastable(shape))
    d.x(d.broadcastable(shape))


@recipe("Compress")
def compress(d):
    shape = d.shape(1)
    axis = d.maybe("axis", d.axis(len(shape), d.since >= 11))
    n = shape[axis] if axis is not None else int(numpy.prod(shape))
    d.x(shape)
    d.x([d.between(0, n)])


@recipe("NonZero")
def non_zero(d):
    d.x(d.shape(), (0, 2) if d.chance(0.5) else None)


@recipe("Unique")
def unique(d):
    shape = d.shape(1, 3, most=400)
    d.maybe("axis", d.axis(len(shape)), 0.5)
    d.maybe("sorted", d.below(2))
    d.x(shape, d.pick(["tame", (0, 3)]))
    d.out()
    for _ in range(d.below(4)):
        d.out(7)


@recipe("OneHot")
def one_hot(d):
    shape = d.shape(0, 3, most=500)
    depth = d.between(1, 9)
    d.maybe("axis", d.between(-len(shape) - 1, len(shape)))
    whole = d.rng.integers(-depth if d.since >= 11 and not d.dtype("T1") in (2, 4, 12, 13) else 0, depth, shape)
    d.x(shape, whole)
    d.x([] if d.chance(0.5) else [1], numpy.array(depth))
    d.x([2])


@recipe("Trilu")
def trilu(d):
    d.maybe("upper", d.below(2))
    d.x(d.shape(2))
    if d.chance(0.7):
        d.ints(d.between(-8, 8))


@recipe("ReverseSequence")
def reverse_sequence(d):
    shape = d.shape(2, dim=1)
    time = d.below(2)
    if time == 1 or d.chance(0.3):
        d.attributes.update(time_axis=time, batch_axis=1 - time)
    d.x(shape)
    d.ints(d.rng.integers(1, shape[time] + 1, [shape[1 - time]]))


@recipe("DepthToSpace", "SpaceToDepth")
def depth_to_space(d):
    b = d.between(1, 3)
    n, c, h, w = d.between(1, 3), d.between(1, 4), d.between(1, 6), d.between(1, 6)
    d.attributes["blocksize"] = b
    d.maybe("mode", d.pick(["DCR", "CRD"]))
    d.x([n, c * b * b, h, w] if d.op == "DepthToSpace" else [n, c, h * b, w * b])


@recipe("CenterCropPad")
def center_crop_pad(d):
    shape = d.shape(1, most=3000)
    axes = d.maybe("axes", d.axes(len(shape), True, 1))
    d.x(shape)
    d.ints([d.between(1, 12) for _ in (axes if axes is not None else shape)])


def target_of(d, variable):
    """An element type for a Cast, among those of the variable."""
    number = d.dtype(variable)
    return number


@recipe("Cast", "CastLike")
def cast(d):
    source, target = d.dtype("T1"), d.dtype("T2")
    fill = None
    if STRING in (source, target):
        fill = "tame"
    elif is_int(target) and not is_int(source):
        low, high = range_of(target)
        fill = (max(low, -1000), min(high, 1000))
    shape = d.shape()
    if source == STRING:
        words = ["1", "-2", "3.5", "1e3", "0", "12"] if not is_int(target) else ["1", "0", "7", "12", "3"]
        if target == BOOL:
            words = ["1", "0"]
        d.give(numpy.array([d.pick(words) for _ in range(int(numpy.prod(shape)))], object).reshape(shape))
    else:
        d.x(shape, fill)
    d.maybe("saturate", d.below(2), 0.3)
    if d.has("round_mode") and target == 24:
        d.maybe("round_mode", d.pick(["up", "down", "nearest"]))
    if d.op == "Cast":
        d.attributes["to"] = {v: k for k, v in DTYPES.items()}[target].upper() if d.since == 1 else target
    else:
        d.x(d.shape(0, 2, most=9), "tame", dtype=target)
    d.out(target)


@recipe("BitCast")
def bit_cast(d):
    source = d.dtype("T1", only=set(NUMPY) - {STRING})
    same_size = [t for t in sorted(d.allowed("T2")) if t.startswith("tensor(")]
    size = numpy.dtype(NUMPY[source]).itemsize
    narrow = {21: 4, 22: 4, 23: 4, 25: 2, 26: 2, 27: 6, 28: 6}
    width = narrow.get(source, 8 * size)
    fits = [DTYPES[t[7:-1]] for t in same_size if DTYPES[t[7:-1]] != STRING and
            narrow.get(DTYPES[t[7:-1]], 8 * numpy.dtype(NUMPY[DTYPES[t[7:-1]]]).itemsize) == width]
    target = d.types["T2"] = d.pick(fits)
    d.attributes["to"] = target
    if source == BOOL or target == BOOL:
        d.x(d.shape(), (0, 1) if is_int(source) else numpy.zeros([2]) if False else None)
        if target == BOOL and source != BOOL:
            zero = numpy.zeros_like(d.inputs[0][1])
            d.inputs[0] = (d.inputs[0][0], zero)
    else:
        d.x(d.shape())
    d.out(target)
