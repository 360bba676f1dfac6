# SPDX-License-Identifier: Apache-2.0
"""A draw as ModelProto bytes, and its twins: for a referee that lacks narrow types (they enter as constants and leave
through Cast, both exact), and with every float widened, for a referee that should compute more precisely."""
import numpy
from onnx import TensorProto, TypeProto, helper

from draw import BF16, F16, F32, F64, NARROW, NUMBERS, NUMPY, STRING

WIDE = {**{n: F32 for n in (16, 17, 18, 19, 20, 23, 24, 27, 28)}, 21: 2, 22: 3, 25: 2, 26: 3}


def tensor_of(name, array):
    number = NUMBERS[array.dtype]
    if number == STRING:
        return helper.make_tensor(name, STRING, array.shape, [s.encode() for s in array.ravel()])
    if number in (21, 22, 23, 25, 26, 27, 28):
        return helper.make_tensor(name, number, array.shape, array.ravel())
    return helper.make_tensor(name, number, array.shape, numpy.ascontiguousarray(array).tobytes(), raw=True)


def type_of(item):
    """TypeProto of an input's value."""
    if isinstance(item, TypeProto):
        return item
    if isinstance(item, list):
        return helper.make_sequence_type_proto(type_of(item[0]))
    if isinstance(item, dict):
        key, value = next(iter(item.items()))
        number = STRING if isinstance(key, str) else 7
        kind = STRING if isinstance(value, str) else 7 if isinstance(value, int) else F32
        return helper.make_map_type_proto(number, helper.make_tensor_type_proto(kind, []))
    return helper.make_tensor_type_proto(NUMBERS[item.dtype], None)


def info_of(draw, name, item, style):
    if isinstance(item, numpy.ndarray) and name not in draw.note:
        dims = list(item.shape)
        if style == 1:
            dims = [f"{name}_{k}" for k in range(item.ndim)]
        return helper.make_tensor_value_info(name, NUMBERS[item.dtype], None if style == 2 else dims)
    kind = draw.note.get(name)
    return helper.make_value_info(name, kind if kind is not None else type_of(item))


def node_of(draw, suffix=""):
    outputs = [name + suffix if name else "" for name, _ in draw.outputs]
    return helper.make_node(draw.op, [name for name, _ in draw.inputs], outputs, domain=draw.domain,
                            **draw.attributes)


def model_of(draw, nodes, inputs, outputs, constants, ir):
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    opsets = [helper.make_opsetid(draw.domain, draw.opset)]
    if draw.domain:
        opsets.append(helper.make_opsetid("", 23))
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir).SerializeToString()


def output_info(name, kind):
    if kind is None:
        return None
    if isinstance(kind, TypeProto):
        return helper.make_value_info(name, kind)
    return helper.make_tensor_value_info(name, kind, None)


def needs_ir14(draw):
    return draw.uses(*range(23, 29))


def own(draw):
    """(bytes, feeds, names of the outputs) for the library under test."""
    style = draw.number % 8
    style = style - 5 if style > 5 else 0
    inputs, constants, feeds = [], [], {}
    for k, (name, item) in enumerate(draw.inputs):
        if not name:
            continue
        if isinstance(item, numpy.ndarray) and name not in draw.note and (
                k in draw.constant_inputs or (draw.number * 7 + k * 3) % 11 < 2):
            constants.append(tensor_of(name, item))
        else:
            inputs.append(info_of(draw, name, item, style))
            feeds[name] = item
    outputs = [output_info(name, kind) for name, kind in draw.outputs if name]
    ir = 14 if needs_ir14(draw) else 10
    return (model_of(draw, [node_of(draw)], inputs, outputs, constants, ir), feeds,
            [name for name, _ in draw.outputs if name])


def plain(draw):
    """The twin for ONNX Runtime: narrow types as constants in, and out through Cast. Bytes, feeds, names."""
    inputs, constants, feeds, nodes, outputs = [], [], {}, [node_of(draw)], []
    for k, (name, item) in enumerate(draw.inputs):
        if not name:
            continue
        if isinstance(item, numpy.ndarray) and (k in draw.constant_inputs or NUMBERS[item.dtype] in NARROW):
            constants.append(tensor_of(name, item))
        else:
            inputs.append(info_of(draw, name, item, 0))
            feeds[name] = item
    for name, kind in draw.outputs:
        if name and isinstance(kind, int) and kind in WIDE:
            nodes.append(helper.make_node("Cast", [name], [name + "_wide"], to=WIDE[kind]))
            name, kind = name + "_wide", WIDE[kind]
        if name:
            outputs.append(output_info(name, kind))
    ir = 13 if needs_ir14(draw) else 10
    return (model_of(draw, nodes, inputs, outputs, constants, ir), feeds, [o.name for o in outputs])


def widened(draw, narrow, wide):
    """The draw with tensors of these types as `wide`, or None where the schema does not allow that."""
    def becomes(number):
        return wide if number in narrow else number
    changed = False
    for variable, number in draw.types.items():
        if number in narrow:
            if f"tensor({'double' if wide == F64 else 'float'})" not in draw.allowed(variable):
                return None
            changed = True
    if not changed and narrow:
        return None
    inputs = [(name, item.astype(NUMPY[wide]) if isinstance(item, numpy.ndarray) and NUMBERS[item.dtype] in narrow
               else item) for name, item in draw.inputs]
    outputs = [(name, becomes(kind) if not isinstance(kind, TypeProto) else kind) for name, kind in draw.outputs]
    twin = object.__new__(type(draw))
    twin.__dict__.update(draw.__dict__)
    twin.inputs, twin.outputs = inputs, outputs
    twin.types = {v: becomes(n) for v, n in draw.types.items()}
    return twin


def halves_as_f32(draw):
    return widened(draw, (F16, BF16), F32)


def floats_as_f64(draw):
    return widened(draw, (F16, BF16, F32), F64)
