# SPDX-License-Identifier: Apache-2.0
"""Sequences, optionals and control flow."""
import numpy
from onnx import TensorProto, helper

from draw import BOOL, DTYPES, F32, NUMPY, STRING, recipe


def element(d, variable, kind="seq(tensor("):
    """The element type of a sequence drawn for a type variable."""
    texts = [t[len(kind):].rstrip(")") for t in d.allowed(variable) if t.startswith(kind)]
    known = [DTYPES[t] for t in texts if t in DTYPES]
    return F32 if F32 in known and d.chance(0.3) else d.pick(known)


def items(d, number, n, shape=None):
    return [d.values(d.shape(0, 3, dim=1, most=60) if shape is None else shape, number, "tame") for _ in range(n)]


def sequence(d, number, n, shape=None):
    name = "x%d" % len(d.inputs)
    d.note[name] = helper.make_sequence_type_proto(helper.make_tensor_type_proto(number, None))
    return d.give(items(d, number, n, shape))


def seq_out(d, number):
    d.out(helper.make_sequence_type_proto(helper.make_tensor_type_proto(number, None)))


@recipe("SequenceConstruct")
def sequence_construct(d):
    for _ in range(d.between(1, 5)):
        d.x(d.shape(0, 3))
    seq_out(d, d.types["T"])


@recipe("SequenceEmpty")
def sequence_empty(d):
    number = element(d, "S")
    if number != F32 or d.chance(0.5):
        d.attributes["dtype"] = number
    seq_out(d, number)


@recipe("SequenceLength")
def sequence_length(d):
    sequence(d, element(d, "S"), d.between(0, 5))
    d.out(7)


@recipe("SequenceAt", "SequenceErase")
def sequence_at(d):
    number, n = element(d, "S"), d.between(1, 5)
    sequence(d, number, n)
    if d.op == "SequenceAt" or d.chance(0.7):
        d.ints(d.between(-n, n - 1))
    if d.op == "SequenceAt":
        d.types["T"] = number
        d.out(number)
    else:
        seq_out(d, number)


@recipe("SequenceInsert")
def sequence_insert(d):
    number, n = element(d, "S"), d.between(0, 5)
    sequence(d, number, n)
    d.types["T"] = number
    d.x(d.shape(0, 2))
    if d.chance(0.7):
        d.ints(d.between(-n, n))
    seq_out(d, number)


@recipe("ConcatFromSequence")
def concat_from_sequence(d):
    number, shape = element(d, "S"), d.shape(1, 3, dim=1, most=60)
    new = d.maybe("new_axis", d.below(2))
    rank = len(shape) + (1 if new else 0)
    axis = d.attributes["axis"] = d.axis(rank)
    sequence(d, number, d.between(1, 4), shape)
    d.types["T"] = number
    d.out(number)


@recipe("SplitToSequence")
def split_to_sequence(d):
    shape = d.shape(1, 3, dim=1)
    axis = d.maybe("axis", d.axis(len(shape)))
    d.maybe("keepdims", d.below(2))
    x = d.x(shape)
    n = shape[axis or 0]
    if d.chance(0.7):
        if d.chance(0.5):
            d.ints(d.between(1, n))
        else:
            first = d.between(0, n)
            d.ints([first, n - first])
    seq_out(d, d.types["T"])


@recipe("Optional")
def optional(d):
    number = element(d, "V", "tensor(")
    d.types["V"] = number
    d.x(d.shape(), dtype=number)
    d.out(helper.make_optional_type_proto(helper.make_tensor_type_proto(number, None)))


@recipe("OptionalHasElement", "OptionalGetElement")
def optional_element(d):
    number = element(d, "O", "optional(tensor(")
    if d.since == 15 or d.chance(0.5):
        d.note["x0"] = helper.make_optional_type_proto(helper.make_tensor_type_proto(number, None))
    d.give(d.values(d.shape(), number))
    if d.op == "OptionalHasElement":
        d.out(BOOL)
    else:
        d.types["V"] = number
        d.out(number)


def info(name, number, shape=None):
    return helper.make_tensor_value_info(name, number, shape)


@recipe("If")
def if_(d):
    number = d.dtype("V", only=(1, 6, 7, 8, 9, 10, 11))
    d.types.pop("V")
    graphs = []
    for k in range(2):
        value = d.values(d.shape(0, 2, most=50), number, "tame")
        from model import tensor_of
        node = helper.make_node("Constant", [], [f"b{k}"], value=tensor_of("v", value))
        graphs.append(helper.make_graph([node], f"branch{k}", [], [info(f"b{k}", number)]))
    d.attributes.update(then_branch=graphs[0], else_branch=graphs[1])
    d.x([] if d.chance(0.5) else [1], dtype=BOOL)
    d.out(number)


@recipe("Loop")
def loop(d):
    """state' = state + x; one scan output; ends by count or by condition."""
    d.opset = max(d.opset, 10)  # Less takes integers from there on
    shape, trips = d.shape(0, 2, most=50), d.between(0, 6)
    nodes = [helper.make_node("Identity", ["c"], ["c1"]), helper.make_node("Add", ["s", "i1"], ["s1"]),
             helper.make_node("Cast", ["i"], ["i1"], to=F32), helper.make_node("Identity", ["s1"], ["scan"])]
    if d.chance(0.4):
        nodes[0] = helper.make_node("Less", ["i", "most"], ["c1"])
        nodes.insert(0, helper.make_node("Constant", [], ["most"], value=helper.make_tensor("m", 7, [], [d.below(5)])))
    nodes[-3], nodes[-2] = nodes[-2], nodes[-3]
    body = helper.make_graph(nodes, "body", [info("i", 7, []), info("c", BOOL, []), info("s", F32, shape)],
                             [info("c1", BOOL, []), info("s1", F32, shape), info("scan", F32, shape)])
    d.attributes["body"] = body
    d.give(numpy.array(trips, numpy.int64), d.chance(0.4))
    d.give(numpy.array(d.chance(0.9))) if d.chance(0.6) else d.skip()
    d.give(d.values(shape, F32, "tame"))
    d.out(F32)
    d.out(F32)


@recipe("Scan")
def scan(d):
    """state' = state + x, scan output state' * x."""
    if d.since == 8:
        d.opset = 8
    shape, steps = d.shape(0, 2, dim=1, most=50), d.between(1, 6)
    nodes = [helper.make_node("Add", ["s", "x"], ["s1"]), helper.make_node("Mul", ["s1", "x"], ["scan"])]
    d.attributes["body"] = helper.make_graph(nodes, "body", [info("s", F32, shape), info("x", F32, shape)],
                                             [info("s1", F32, shape), info("scan", F32, shape)])
    d.attributes["num_scan_inputs"] = 1
    lead, axis = [], 0
    if d.since == 8:
        lead = [d.between(1, 3)]
        d.skip()
    else:
        axis = d.maybe("scan_input_axes", [d.between(0, len(shape))], 0.4)
        axis = axis[0] if axis else 0
        d.maybe("scan_output_axes", [d.between(0, len(shape))], 0.4)
        d.maybe("scan_input_directions", [d.below(2)], 0.4)
        d.maybe("scan_output_directions", [d.below(2)], 0.4)
    d.give(d.values(lead + shape, F32, "tame"))
    d.give(d.values(lead + shape[:axis] + [steps] + shape[axis:], F32, "tame"))
    d.out(F32)
    d.out(F32)


@recipe("SequenceMap")
def sequence_map(d):
    shape = d.shape(0, 2, most=50)
    nodes = [helper.make_node("Add", ["a", "b"], ["c"])]
    d.attributes["body"] = helper.make_graph(nodes, "body", [info("a", F32), info("b", F32)], [info("c", F32)])
    sequence(d, F32, 3, shape)
    if d.chance(0.5):
        sequence(d, F32, 3, shape)
    else:
        d.give(d.values(shape, F32, "tame"))
    seq_out(d, F32)
