# SPDX-License-Identifier: Apache-2.0
"""Sampling, regions and columns: the folders image and object_detection, and what of nn goes with them."""
import io

import numpy

from draw import F32, FLOATS, recipe
from recipes_math import noise_of_sum


@recipe("Resize")
def resize(d):
    rank = d.pick([4, 4, 4, 3, 2])
    shape = ([1, d.between(1, 3)] + [d.between(1, 9) for _ in range(rank)])[-rank:]
    mode = d.maybe("mode", d.pick(["nearest", "linear", "linear"] + (["cubic"] if d.since >= 11 and rank == 4 else [])))
    forms = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
    if d.has("coordinate_transformation_mode"):
        d.maybe("coordinate_transformation_mode", d.pick(forms))
    if mode in (None, "nearest"):
        d.maybe("nearest_mode", d.pick(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]))
    if mode == "cubic":
        d.maybe("cubic_coeff_a", d.pick([-0.5, -0.75]))
        d.maybe("exclude_outside", d.below(2))
    free = {0, 1} if rank == 4 else {0} if rank == 3 else set()
    scales = [1.0 if k in free else d.pick([0.5, 1.0, 1.5, 2.0, 3.0, 0.75]) for k in range(rank)]
    sizes = [n if k in free else d.between(1, 14) for k, n in enumerate(shape)]
    noise_of_sum(d, 4, d.x(shape, "tame", only=FLOATS if mode not in (None, "nearest") else FLOATS + (2, 3, 6)))
    if d.since == 10:
        d.give(numpy.array(scales, numpy.float32), d.chance(0.5))
        return
    if d.since >= 13:
        d.skip()
    else:
        d.give(numpy.zeros([0], d.values([0], d.dtype("T2")).dtype), True)
    if d.chance(0.5):
        d.give(numpy.array(scales, numpy.float32), d.chance(0.5))
    else:
        d.skip() if d.since >= 13 else d.give(numpy.zeros([0], numpy.float32), True)
        d.give(numpy.array(sizes, numpy.int64), d.chance(0.5))


@recipe("Upsample")
def upsample(d):
    d.maybe("mode", d.pick(["nearest", "linear"]))
    scales = [1.0, 1.0, d.pick([1.0, 2.0, 3.0]), d.pick([1.0, 2.0, 3.0])]
    if d.has("scales"):
        d.attributes["scales"] = scales
    if d.since == 1:
        d.attributes.update(height_scale=scales[2], width_scale=scales[3])
    noise_of_sum(d, 4, d.x([1, d.between(1, 3), d.between(1, 8), d.between(1, 8)], "tame", only=FLOATS))
    if d.since >= 9:
        d.give(numpy.array(scales, numpy.float32), d.chance(0.5))


@recipe("GridSample")
def grid_sample(d):
    modes = ["bilinear", "nearest", "bicubic"] if d.since == 16 else ["linear", "nearest", "cubic"]
    rank = 2 if d.since == 16 or d.chance(0.7) else 3
    if rank == 3:
        modes = modes[:2]
    d.maybe("mode", d.pick(modes))
    d.maybe("padding_mode", d.pick(["zeros", "border", "reflection"]))
    d.maybe("align_corners", d.below(2))
    n = d.between(1, 2)
    x = d.x([n, d.between(1, 3)] + [d.between(2, 8) for _ in range(rank)], "tame", only=FLOATS)
    d.x([n] + [d.between(1, 7) for _ in range(rank)] + [rank], (-1.3, 1.3), only=FLOATS)
    noise_of_sum(d, 8, x)


@recipe("AffineGrid")
def affine_grid(d):
    rank, n = d.pick([2, 2, 3]), d.between(1, 3)
    d.maybe("align_corners", d.below(2))
    d.x([n, rank, rank + 1], "tame")
    d.ints([n, d.between(1, 3)] + [d.between(2, 8) for _ in range(rank)])
    d.noise = 1e-5


@recipe("RoiAlign")
def roi_align(d):
    n, rois = d.between(1, 2), d.between(1, 4)
    for name, value in (("output_height", d.between(1, 4)), ("output_width", d.between(1, 4)),
                        ("sampling_ratio", d.between(0, 3)), ("spatial_scale", d.pick([1.0, 0.5])),
                        ("mode", d.pick(["avg", "max"])),
                        ("coordinate_transformation_mode", d.pick(["half_pixel", "output_half_pixel"]))):
        d.maybe(name, value)
    x = d.x([n, d.between(1, 3), d.between(4, 12), d.between(4, 12)], "tame")
    low = d.rng.uniform(0, 4, [rois, 2])
    d.x([rois, 4], numpy.concatenate([low, low + d.rng.uniform(1, 6, [rois, 2])], 1))
    d.ints(d.rng.integers(0, n, [rois]), False)
    noise_of_sum(d, 16, x)


@recipe("MaxRoiPool")
def max_roi_pool(d):
    n, rois = d.between(1, 2), d.between(1, 4)
    d.attributes["pooled_shape"] = [d.between(1, 4), d.between(1, 4)]
    d.maybe("spatial_scale", d.pick([1.0, 0.5]))
    d.x([n, d.between(1, 3), d.between(6, 12), d.between(6, 12)], "tame")
    low = d.rng.integers(0, 4, [rois, 2])
    d.x([rois, 5], numpy.concatenate([d.rng.integers(0, n, [rois, 1]), low, low + d.rng.integers(1, 7, [rois, 2])], 1))


@recipe("NonMaxSuppression")
def non_max_suppression(d):
    n, boxes = d.between(1, 2), d.between(1, 20)
    d.maybe("center_point_box", d.below(2))
    low = d.rng.uniform(0, 1, [n, boxes, 2])
    d.give(numpy.concatenate([low, low + d.rng.uniform(0.1, 1, low.shape)], 2).astype(numpy.float32))
    d.give(d.rng.permutation(n * 3 * boxes).reshape(n, 3, boxes)[:, :d.between(1, 3)].astype(numpy.float32) / 60)
    d.ints([d.between(0, 6)])
    if d.chance(0.7):
        d.x([1], (0.1, 0.9))
        if d.chance(0.7):
            d.x([1], (0, 0.8))


@recipe("Col2Im")
def col2im(d):
    rank = d.pick([2, 2, 1, 3])
    block = [d.between(1, 3) for _ in range(rank)]
    strides = d.maybe("strides", [d.between(1, 2) for _ in range(rank)]) or [1] * rank
    dilations = d.maybe("dilations", [d.between(1, 2) for _ in range(rank)]) or [1] * rank
    pads = d.maybe("pads", [d.between(0, 1) for _ in range(2 * rank)]) or [0] * 2 * rank
    image = [d.between(5, 8) for _ in range(rank)]
    steps = [(i + pads[k] + pads[k + rank] - (b - 1) * w - 1) // s + 1
             for k, (i, b, s, w) in enumerate(zip(image, block, strides, dilations))]
    x = d.x([d.between(1, 2), d.between(1, 3) * int(numpy.prod(block)), int(numpy.prod(steps))], "tame")
    d.ints(image)
    d.ints(block)
    if x.dtype.kind not in "iuObc":
        noise_of_sum(d, int(numpy.prod(block)), x)


@recipe("DeformConv")
def deform_conv(d):
    kernel, group, parts = [d.between(1, 3), d.between(1, 3)], d.pick([1, 1, 2]), d.pick([1, 1, 2])
    c, m, n = 2 * d.between(1, 2), group * d.between(1, 3), d.between(1, 2)
    strides = d.maybe("strides", [d.between(1, 2), d.between(1, 2)]) or [1, 1]
    dilations = d.maybe("dilations", [d.between(1, 2), d.between(1, 2)]) or [1, 1]
    pads = d.maybe("pads", [d.between(0, 1) for _ in range(4)]) or [0] * 4
    d.attributes.update(group=group, offset_group=parts)
    size = [d.between(5, 9), d.between(5, 9)]
    out = [(s + pads[k] + pads[k + 2] - (e - 1) * w - 1) // t + 1
           for k, (s, e, t, w) in enumerate(zip(size, kernel, strides, dilations))]
    area = kernel[0] * kernel[1]
    x = d.x([n, c] + size, "tame")
    w = d.x([m, c // group] + kernel, "tame")
    d.x([n, parts * area * 2] + out, (-1.5, 1.5))
    bias = d.chance(0.5)
    if bias:
        d.x([m], "tame")
    if d.chance(0.5):
        if not bias:
            d.skip()
        d.x([n, parts * area] + out, (0, 1))
    noise_of_sum(d, area * c, x, w)


@recipe("MaxUnpool")
def max_unpool(d):
    n, c, h, w = d.between(1, 2), d.between(1, 3), d.between(1, 5), d.between(1, 5)
    d.attributes.update(kernel_shape=[2, 2], strides=[2, 2])
    d.x([n, c, h, w], "tame")
    rows, columns = numpy.meshgrid(numpy.arange(h), numpy.arange(w), indexing="ij")
    inside = (2 * rows + d.rng.integers(0, 2, [n, c, h, w])) * 2 * w + 2 * columns + d.rng.integers(0, 2, [n, c, h, w])
    planes = numpy.arange(n * c).reshape(n, c, 1, 1) * 4 * h * w
    d.ints(inside + planes, False)


@recipe("ImageDecoder")
def image_decoder(d):
    from PIL import Image
    form = d.maybe("pixel_format", d.pick(["RGB", "BGR", "Grayscale"]))
    pixels = d.rng.integers(0, 256, [d.between(1, 30), d.between(1, 30), 3], numpy.uint8)
    image, stream = Image.fromarray(pixels), io.BytesIO()
    if form == "Grayscale" or d.chance(0.2):
        image = image.convert("L")
    image.save(stream, d.pick(["png", "bmp", "tiff", "ppm"]))
    d.give(numpy.frombuffer(stream.getvalue(), numpy.uint8).copy())
    d.out(2)
