#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Gradients through If, Loop, Scan, sequences, optionals, local functions and bodies against central differences in f64.

usage: test_bodies.py LIBRARY [PART_OF_NAME...]

Each case is a model in the text form of onnx. Its scalar (or vector, then summed) output L is differentiated by every
floating input; inputs that are marked "=" are given as they are.
"""
import os
import sys

import numpy
import onnx.parser

HEADER = '<ir_version: 10, opset_import: ["" : 21, "ai.onnx.preview.training" : 1, "f" : 1]>\n'
CASES = []
HERE = os.path.dirname(os.path.abspath(__file__))


def case(name, inputs, text, functions="", xs=None, y="L"):
    CASES.append((name, inputs, text, functions, xs, y))


def normal(*shape):
    return numpy.random.default_rng(sum(shape) + len(shape)).normal(size=shape)


CASE_IF = """
    L = If (c) <then_branch = t () => (double a) { s = Mul (x, w)  q = Tanh (s)  a = ReduceSum <keepdims=0> (q) },
                else_branch = e () => (double b) { s = Sin (x)  b = ReduceSum <keepdims=0> (s) }>
"""
case("if_then", {"c": True, "x": normal(3, 2), "w": normal(2)}, CASE_IF)
case("if_else", {"c": False, "x": normal(3, 2), "w": normal(2)}, CASE_IF)
case("if_two_outputs", {"c": True, "x": normal(4), "w": normal(4)}, """
    p, q = If (c) <then_branch = t () => (double[4] a, double[4] b) { a = Mul (x, w) b = Exp (w) },
                   else_branch = e () => (double[4] a, double[4] b) { a = Neg (x) b = Identity (x) }>
    r = Mul (p, q)
    L = ReduceSum <keepdims=0> (r)
""")
case("if_passes_through", {"c": False, "x": normal(4), "w": normal(4)}, """
    p = If (c) <then_branch = t () => (double[4] a) { a = Mul (x, w) },
                else_branch = e () => (double[4] x) { }>
    r = Mul (p, w)
    L = ReduceSum <keepdims=0> (r)
""")
case("if_nested", {"c": True, "d": False, "x": normal(3), "w": normal(3)}, """
    u = Exp (x)
    L = If (c) <then_branch = t () => (double a) {
                    i = If (d) <then_branch = tt () => (double[3] k) { k = Mul (u, x) },
                                else_branch = te () => (double[3] k) { k = Mul (u, w) }>
                    s = Mul (i, u)
                    a = ReduceSum <keepdims=0> (s) },
                else_branch = e () => (double b) { b = ReduceSum <keepdims=0> (u) }>
""")
case("if_constant", {"x": normal(3), "w": normal(3)}, """
    c = Constant <value = bool {1}> ()
    L = If (c) <then_branch = t () => (double a) { s = Mul (x, w)  a = ReduceSum <keepdims=0> (s) },
                else_branch = e () => (double b) { b = ReduceSum <keepdims=0> (x) }>
""")

CASE_LOOP = """
    yes = Constant <value = bool {1}> ()
    h, ys = Loop (m, yes, x) <body = b (int64 i, bool go, double[3] v) => (bool more, double[3] next, double[3] y) {
        s = Mul (v, w)
        next = Tanh (s)
        y = Mul (next, next)
        more = Identity (go) }>
    a = ReduceSum <keepdims=0> (h)
    f = Mul (ys, ys)
    g = ReduceSum <keepdims=0> (f)
    L = Add (a, g)
"""
case("loop", {"m": numpy.int64(4), "x": normal(3), "w": normal(3)}, CASE_LOOP)
case("loop_no_trip", {"m": numpy.int64(0), "x": normal(3), "w": normal(3)}, CASE_LOOP)
case("loop_one_trip", {"m": numpy.int64(1), "x": normal(3), "w": normal(3)}, CASE_LOOP)
case("loop_constant_trips", {"x": normal(3), "w": normal(3)}, "    m = Constant <value = int64 {5}> ()" + CASE_LOOP)
case("loop_by_data", {"x": numpy.array([0.3, 0.2]), "w": numpy.array([1.1, 1.3]), "m": numpy.int64(20)}, """
    yes = Constant <value = bool {1}> ()
    limit = Constant <value = double {6.0}> ()
    h, n = Loop (m, yes, x, yes) <body = b (int64 i, bool go, double[2] v, bool old) => (bool more, double[2] next, bool kept) {
        next = Add (v, w)
        s = ReduceSum <keepdims=0> (next)
        more = Less (s, limit)
        kept = Not (more) }>
    e = Mul (h, h)
    L = ReduceSum <keepdims=0> (e)
""")
case("loop_uses_trip", {"m": numpy.int64(3), "x": normal(2, 2), "w": normal(3, 2)}, """
    yes = Constant <value = bool {1}> ()
    h = Loop (m, , x) <body = b (int64 i, bool go, double[2,2] v) => (bool more, double[2,2] next) {
        row = Gather <axis=0> (w, i)
        n = Cast <to = 11> (i)
        s = Mul (v, row)
        next = Add (s, n)
        more = Identity (go) }>
    e = Mul (h, h)
    L = ReduceSum <keepdims=0> (e)
""")
case("loop_without_carried", {"m": numpy.int64(3), "x": normal(3)}, """
    ys = Loop (m, ) <body = b (int64 i, bool go) => (bool more, double y) {
        g = Gather <axis=0> (x, i)
        y = Mul (g, g)
        more = Identity (go) }>
    e = Exp (ys)
    L = ReduceSum <keepdims=0> (e)
""")
case("loop_swaps", {"m": numpy.int64(3), "x": normal(3), "w": normal(3), "u": normal(3)}, """
    p, q, r = Loop (m, , x, w, u) <body = b (int64 i, bool go, double[3] a, double[3] b2, double[3] c) => (bool more, double[3] n, double[3] o, double[3] c2) {
        n = Identity (b2)
        o = Mul (a, c)
        c2 = Identity (c)
        more = Identity (go) }>
    s = Mul (p, q)
    L = ReduceSum <keepdims=0> (s)
""")
case("loop_nested", {"m": numpy.int64(2), "k": numpy.int64(3), "x": normal(2), "w": normal(2)}, """
    h = Loop (m, , x) <body = b (int64 i, bool go, double[2] v) => (bool more, double[2] next) {
        u = Sin (v)
        g = Loop (k, , u) <body = b2 (int64 j, bool go2, double[2] z) => (bool more2, double[2] z2) {
            t = Mul (z, w)
            t2 = Add (t, v)
            z2 = Tanh (t2)
            more2 = Identity (go2) }>
        next = Mul (g, w)
        more = Identity (go) }>
    L = ReduceSum <keepdims=0> (h)
""")
case("loop_with_if", {"m": numpy.int64(4), "x": normal(2), "w": normal(2)}, """
    one = Constant <value = int64 {1}> ()
    h = Loop (m, , x) <body = b (int64 i, bool go, double[2] v) => (bool more, double[2] next) {
        late = Greater (i, one)
        next = If (late) <then_branch = t () => (double[2] r) { r = Mul (v, w) },
                          else_branch = e () => (double[2] r) { r = Tanh (v) }>
        more = Identity (go) }>
    L = ReduceSum <keepdims=0> (h)
""")

case("scan", {"h0": normal(3), "x": normal(5, 3), "w": normal(3)}, """
    h, ys = Scan <num_scan_inputs = 1, body = b (double[3] v, double[3] e) => (double[3] next, double[3] y) {
        s = Mul (v, w)
        a = Add (s, e)
        next = Tanh (a)
        y = Mul (next, e) }> (h0, x)
    f = Mul (ys, ys)
    g = ReduceSum <keepdims=0> (f)
    k = ReduceSum <keepdims=0> (h)
    L = Add (k, g)
""")
case("scan_axes", {"h0": normal(2), "x": normal(2, 4), "u": normal(4, 2), "w": normal(2)}, """
    h, ys, zs = Scan <num_scan_inputs = 2, scan_input_axes = [-1, 0], scan_input_directions = [1, 0],
                      scan_output_axes = [1, 0], scan_output_directions = [0, 1],
                      body = b (double[2] v, double[2] e, double[2] d) => (double[2] next, double[2] y, double[2] z) {
        s = Mul (v, d)
        a = Add (s, e)
        next = Tanh (a)
        y = Mul (next, w)
        z = Mul (y, e) }> (h0, x, u)
    k1 = Constant <value = double[2,4] {1.0, -2.0, 3.0, 0.5, 2.0, 1.5, -1.0, 0.25}> ()
    k2 = Constant <value = double[4,2] {0.5, 2.0, -3.0, 1.5, 2.5, 1.0, -1.0, 0.75}> ()
    f = Mul (ys, k1)
    g = ReduceSum <keepdims=0> (f)
    f2 = Mul (zs, k2)
    g2 = ReduceSum <keepdims=0> (f2)
    L = Add (g2, g)
""")
case("scan_last_state", {"h0": normal(2, 2), "x": normal(3, 2, 2)}, """
    h, ys = Scan <num_scan_inputs = 1, body = b (double[2,2] v, double[2,2] e) => (double[2,2] next, double[2,2] y) {
        next = MatMul (v, e)
        y = Identity (next) }> (h0, x)
    L = ReduceSum <keepdims=0> (h)
""")
case("scan_without_states", {"x": normal(3, 2), "w": normal(2)}, """
    ys = Scan <num_scan_inputs = 1, body = b (double[2] e) => (double y) {
        s = Mul (e, w)
        y = ReduceSum <keepdims=0> (s) }> (x)
    f = Mul (ys, ys)
    L = ReduceSum <keepdims=0> (f)
""")

case("sequence", {"x": normal(2, 3), "w": normal(2, 3), "at": numpy.int64(-2)}, """
    one = Constant <value = int64 {1}> ()
    s = SequenceConstruct (x, w, x)
    e = Exp (w)
    s2 = SequenceInsert (s, e, at)
    s3 = SequenceErase (s2, one)
    a = SequenceAt (s3, one)
    b = SequenceAt (s3, at)
    n = SequenceLength (s3)
    n2 = Cast <to = 11> (n)
    m = Mul (a, b)
    m2 = Mul (m, n2)
    L = ReduceSum <keepdims=0> (m2)
""")
case("sequence_ends", {"x": normal(3), "w": normal(3)}, """
    last = Constant <value = int64 {-1}> ()
    s0 = SequenceEmpty <dtype = 11> ()
    s1 = SequenceInsert (s0, x)
    s2 = SequenceInsert (s1, w)
    e = Mul (x, w)
    s3 = SequenceInsert (s2, e)
    s4 = SequenceInsert (s3, x)
    s5 = SequenceErase (s4)
    a = SequenceAt (s5, last)
    L = Tanh (a)
""")
case("split_and_concat", {"x": normal(5, 2)}, """
    lengths = Constant <value = int64[3] {2, 0, 3}> ()
    two = Constant <value = int64 {2}> ()
    s = SplitToSequence (x, lengths)
    a = ConcatFromSequence <axis = 0> (s)
    t = SplitToSequence <axis = -2> (x, two)
    b = ConcatFromSequence <axis = -2> (t)
    u = SplitToSequence <axis = 1, keepdims = 0> (x)
    c = ConcatFromSequence <axis = -1, new_axis = 1> (u)
    ab = Mul (a, b)
    L = Mul (ab, c)
""")
case("sequence_map", {"x": normal(3, 2), "w": normal(2), "v": normal(2)}, """
    s = SplitToSequence <keepdims = 0> (x)
    t = SequenceMap (s) <body = b0 (double[2] i) => (double[2] o) { o = Sin (i) }>
    r, q = SequenceMap (s, t, w) <body = b (double[2] a, double[2] c, double[2] d) => (double[2] e, double[2] f) {
        g = Mul (a, d)
        h = Mul (c, v)
        e = Mul (g, h)
        f = Tanh (g) }>
    y = ConcatFromSequence <axis = 0> (r)
    z = ConcatFromSequence <axis = 0> (q)
    L = Mul (y, z)
""")
case("sequence_through_if", {"c": False, "x": normal(2, 3), "w": normal(2, 3)}, """
    zero = Constant <value = int64 {0}> ()
    s = SequenceConstruct (x, w)
    u = If (c) <then_branch = t () => (double[2,3] a) { a = Exp (w) },
                else_branch = e () => (double[2,3] a) { b = SequenceAt (s, zero)  a = Tanh (b) }>
    p = SequenceAt (s, zero)
    L = Mul (u, p)
""")
case("optional", {"x": normal(3), "w": normal(3)}, """
    o = Optional (x)
    h = OptionalHasElement (o)
    g = OptionalGetElement (o)
    y = Mul (g, w)
    k = Mul (g, y)
    hh = Cast <to = 11> (h)
    L = Mul (k, hh)
""")
case("optional_sequence", {"x": normal(3), "w": normal(3)}, """
    one = Constant <value = int64 {1}> ()
    s = SequenceConstruct (x, w)
    o = Optional (s)
    g = OptionalGetElement (o)
    y = SequenceAt (g, one)
    L = Mul (y, x)
""")
case("reverse_sequence", {"x": normal(4, 3, 2), "w": normal(4, 3, 2)}, """
    lengths = Constant <value = int64[3] {4, 1, 3}> ()
    r = ReverseSequence (x, lengths)
    L = Mul (r, w)
""")

FUNCTION = """
<domain: "f", opset_import: ["" : 21, "ai.onnx.preview.training" : 1]>
slope (a, b) => (loss, da, db) {
    s = Mul (a, b)
    e = Tanh (s)
    loss = ReduceSum <keepdims=0> (e)
    da, db = ai.onnx.preview.training.Gradient <xs = ["a", "b"], y = "loss"> (a, b)
}
"""
case("in_function", {"x": normal(3), "w": normal(3)}, """
    u = Exp (x)
    L1, d_x1, d_w1 = f.slope (u, w)
    L2, d_x2, d_u2 = f.slope (x, u)
    L = Add (L1, L2)
    d_x3 = Mul (d_x1, u)
    d_x4 = Mul (d_u2, u)
    d_x = Sum (d_x2, d_x3, d_x4)
    d_w = Identity (d_w1)
""", FUNCTION)
case("second_of_function", {"x": normal(3), "w": normal(3)}, """
    L1, g, h = f.slope (x, w)
    k = Mul (g, h)
    L = ReduceSum <keepdims=0> (k)
    d_x, d_w = ai.onnx.preview.training.Gradient <xs = ["x", "w"], y = "L"> (x, w)
""", FUNCTION)
case("second", {"x": normal(3), "w": normal(3)}, """
    s = Mul (x, w)
    e = Sin (s)
    f1 = Exp (x)
    t = Mul (e, f1)
    g = ai.onnx.preview.training.Gradient <xs = ["x"], y = "t"> (x)
    L = Mul (g, w)
    d_x, d_w = ai.onnx.preview.training.Gradient <xs = ["x", "w"], y = "L"> (x, w)
""")
case("third", {"x": normal(3)}, """
    t = Sin (x)
    g = ai.onnx.preview.training.Gradient <xs = ["x"], y = "t"> (x)
    L = ai.onnx.preview.training.Gradient <xs = ["x"], y = "g"> (x)
    d_x = ai.onnx.preview.training.Gradient <xs = ["x"], y = "L"> (x)
""")
case("second_through_loop", {"x": normal(2), "w": normal(2), "m": numpy.int64(3)}, """
    t = Loop (m, , x) <body = b (int64 i, bool go, double[2] v) => (bool more, double[2] next) {
        s = Mul (v, w)
        next = Sin (s)
        more = Identity (go) }>
    L = ai.onnx.preview.training.Gradient <xs = ["x"], y = "t"> (x)
    d_x, d_w = ai.onnx.preview.training.Gradient <xs = ["x", "w"], y = "L"> (x, w)
""")
case("in_body", {"x": normal(3), "w": normal(3), "m": numpy.int64(3)}, """
    h = Loop (m, , x) <body = b (int64 i, bool go, double[3] v) => (bool more, double[3] next) {
        s = Mul (v, v)
        t = Mul (s, w)
        g = ai.onnx.preview.training.Gradient <xs = ["v"], y = "t"> (v)
        step = Mul (g, w)
        next = Sub (v, step)
        more = Identity (go) }>
    L = ReduceSum <keepdims=0> (h)
    d_x, d_w = ai.onnx.preview.training.Gradient <xs = ["x", "w"], y = "L"> (x, w)
""")
case("held_and_moved", {"x": normal(3), "w": normal(3)}, """
    two = Constant <value = double {2.0}> ()
    h = Mul (x, w)
    y = Mul (h, x)
    x2 = Mul (x, two)
    g1 = ai.onnx.preview.training.Gradient <xs = ["x"], zs = ["h"], y = "y"> (x, h)
    g2, g3 = ai.onnx.preview.training.Gradient <xs = ["x", "h"], y = "y"> (x, h)
    g4 = ai.onnx.preview.training.Gradient <xs = ["x"], y = "y"> (x2)
    e1 = Sub (g1, h)
    e2 = Sub (g2, h)
    e3 = Sub (g3, x)
    f4 = Mul (two, two)
    f5 = Mul (f4, h)
    e4 = Sub (g4, f5)
    e5 = Sum (e1, e2, e3, e4)
    L = Mul (y, y)
    d_x0, d_w = ai.onnx.preview.training.Gradient <xs = ["x", "w"], y = "L"> (x, w)
    d_x = Add (d_x0, e5)
""")
case("loop_moved", {"x": normal(3), "w": normal(3), "m": numpy.int64(3)}, """
    two = Constant <value = double {2.0}> ()
    half = Constant <value = double {0.5}> ()
    x1 = Mul (x, half)
    y1 = Loop (m, , x1) <body = b (int64 i, bool go, double[3] v) => (bool more, double[3] next) {
        s = Mul (v, w)
        next = Sin (s)
        more = Identity (go) }>
    L = Loop (m, , x) <body = b2 (int64 i2, bool go2, double[3] v2) => (bool more2, double[3] next2) {
        s2 = Mul (v2, w)
        next2 = Sin (s2)
        more2 = Identity (go2) }>
    d_x, d_w = ai.onnx.preview.training.Gradient <xs = ["x1", "w"], y = "y1"> (x, w)
""")


def wanted(session, names, inputs, xs, name):
    """Central differences of the sum of the loss."""
    def loss(changed):
        return float(numpy.sum(session.run([name], changed)[0]))
    out = []
    for x in xs:
        d = numpy.zeros_like(inputs[x])
        for at in numpy.ndindex(*d.shape):
            step = 1e-6 * max(1, abs(inputs[x][at]))
            up, down = dict(inputs), dict(inputs)
            up[x], down[x] = inputs[x].copy(), inputs[x].copy()
            up[x][at] += step
            down[x][at] -= step
            d[at] = (loss(up) - loss(down)) / (2 * step)
        out.append(d)
    return out


def declaration(name, array, known):
    kind = {"f": "double", "i": "int64", "b": "bool"}[array.dtype.kind]
    dims = ",".join(str(n) if known else f"{name}{k}" for k, n in enumerate(array.shape))
    return f"{kind}[{dims}] {name}"


def build(inputs, text, functions, xs, y, known):
    gradient = f"d_{', d_'.join(xs)} = ai.onnx.preview.training.Gradient <xs = {list(xs)}, y = \"{y}\"> ({', '.join(xs)})"
    outs = ", ".join(f"double d_{x}" for x in xs)
    graph = f"g ({', '.join(declaration(n, a, known) for n, a in inputs.items())}) => (double L, {outs}) {{{text}"
    body = graph + ("" if "Gradient" in text + functions else "    " + gradient.replace("'", '"')) + "\n}\n"
    model = onnx.parser.parse_model(HEADER + body + functions)
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    return model.SerializeToString()


def check(sardonyx, inputs, text, functions, xs, y):
    inputs = {n: numpy.asarray(a) for n, a in inputs.items()}
    xs = xs or [n for n, a in inputs.items() if a.dtype.kind == "f"]
    wrong, want = [], None
    for known in (True, False):
        session = sardonyx.InferenceSession(build(inputs, text, functions, xs, y, known))
        found = session.run(["d_" + x for x in xs], inputs)
        want = want or wanted(session, xs, inputs, xs, "L")
        for x, got, d in zip(xs, found, want):
            if got.shape != d.shape or not numpy.allclose(got, d, rtol=1e-5, atol=1e-7):
                wrong.append(f"dims {'known' if known else 'unknown'}: d_{x} is {got.tolist()}; differences give {d.tolist()}")
    return wrong


def main():
    os.environ["SARDONYX_LIBRARY"] = os.path.abspath(sys.argv[1])
    sys.path[:0] = [os.path.join(HERE, ".."), os.path.join(HERE, "..", "..", "tools", "python")]
    import sardonyx
    from cases import run
    run(((name, lambda what=what: check(sardonyx, *what)) for name, *what in CASES), sys.argv[2:])


if __name__ == "__main__":
    main()
