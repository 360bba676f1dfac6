# SPDX-License-Identifier: Apache-2.0
"""One random single-operator model. A recipe (recipes_*.py) says what the schema cannot: shapes that fit each other and
values that mean something. Everything is drawn from one seed, `Op:number`."""
import zlib

import ml_dtypes
import numpy
from onnx import TensorProto, defs, helper, numpy_helper

NEWEST = 28
F32, F64, F16, BF16, STRING, BOOL = 1, 11, 10, 16, 8, 9
FLOATS = (F16, BF16, F32, F64)
DTYPES = {text: number for text, number in zip(
    "float uint8 int8 uint16 int16 int32 int64 string bool float16 double uint32 uint64 complex64 complex128 bfloat16 "
    "float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz uint4 int4 float4e2m1 float8e8m0 uint2 int2 float6e2m3 "
    "float6e3m2".split(), range(1, 29))}
NAMES = {number: text for text, number in DTYPES.items()}
NARROW = {16: ml_dtypes.bfloat16, 17: ml_dtypes.float8_e4m3fn, 18: ml_dtypes.float8_e4m3fnuz,
          19: ml_dtypes.float8_e5m2, 20: ml_dtypes.float8_e5m2fnuz, 21: ml_dtypes.uint4, 22: ml_dtypes.int4,
          23: ml_dtypes.float4_e2m1fn, 24: ml_dtypes.float8_e8m0fnu, 25: ml_dtypes.uint2, 26: ml_dtypes.int2,
          27: ml_dtypes.float6_e2m3fn, 28: ml_dtypes.float6_e3m2fn}
NUMPY = {1: numpy.float32, 2: numpy.uint8, 3: numpy.int8, 4: numpy.uint16, 5: numpy.int16, 6: numpy.int32,
         7: numpy.int64, 8: object, 9: numpy.bool_, 10: numpy.float16, 11: numpy.float64, 12: numpy.uint32,
         13: numpy.uint64, 14: numpy.complex64, 15: numpy.complex128, **NARROW}
NUMBERS = {numpy.dtype(t): n for n, t in NUMPY.items()}
WORDS = ["", "a", "A", "abc", "Straße", "élan", "the quick", " two  words ", "x,y,,z", "日本", "1.5", "-7", "nan", "0"]
RECIPES = {}


def recipe(*names, domain=""):
    def add(function):
        for name in names:
            RECIPES[name] = (domain, function)
        return function
    return add


def is_int(dtype):
    return dtype in (2, 3, 4, 5, 6, 7, 12, 13, 21, 22, 25, 26)


def range_of(dtype):
    """Smallest and largest number of an integer type."""
    bits = {2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 12: 32, 13: 64, 21: 4, 22: 4, 25: 2, 26: 2}[dtype]
    signed = dtype in (3, 5, 6, 7, 22, 26)
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)


class Draw:
    def __init__(self, name, number):
        self.op, self.number = name, number
        self.domain, self.make = RECIPES[name]
        self.rng = numpy.random.default_rng([zlib.crc32(name.encode()), number])
        rows = versions(name, self.domain)
        last = self.chance(0.45)
        self.schema = rows[-1] if last else rows[self.below(len(rows))]
        self.since = self.schema.since_version
        later = [s.since_version for s in rows if s.since_version > self.since]
        most = later[0] - 1 if later else NEWEST if not self.domain else self.since
        self.opset = self.between(self.since, most) if self.chance(0.3) else min(most, max(self.since, 23))
        self.types, self.attributes, self.inputs, self.outputs = {}, {}, [], []
        self.noise, self.constant_inputs = 0.0, set()
        self.note, self.only_shapes = {}, False
        self.make(self)
        self.finish()

    # ---- numbers
    def chance(self, p):
        return self.rng.random() < p

    def below(self, n):
        return int(self.rng.integers(n))

    def between(self, low, high):
        return int(self.rng.integers(low, high + 1))

    def pick(self, items):
        return items[self.below(len(items))]

    def real(self, low, high):
        return float(numpy.float32(self.rng.uniform(low, high)))

    # ---- shapes
    def dim(self, low=0, high=None):
        """Mostly small; sometimes long enough for vectors and their tails; now and then 0."""
        kind = self.rng.random()
        if kind < 0.03 and low == 0:
            return 0
        size = self.between(1, 5) if kind < 0.65 else self.between(6, 20) if kind < 0.9 else self.between(21, 70)
        return min(max(size, low), high) if high is not None else max(size, low)

    def shape(self, low=0, high=4, dim=0, most=20000):
        shape = [self.dim(dim) for _ in range(self.between(low, high))]
        while numpy.prod(shape) > most:
            shape[int(numpy.argmax(shape))] = self.between(1, 5)
        return shape

    def broadcastable(self, shape):
        """A shape that broadcasts into `shape`."""
        shape = [1 if self.chance(0.25) else d for d in shape]
        return shape[self.below(len(shape) + 1):] if self.chance(0.3) else shape

    def axis(self, rank, negative=True):
        axis = self.below(max(rank, 1))
        return axis - rank if negative and rank and self.chance(0.4) else axis

    def axes(self, rank, negative=True, low=0):
        count = self.between(min(low, rank), rank)
        return [int(a) - rank if negative and self.chance(0.3) else int(a) for a in self.rng.permutation(rank)[:count]]

    # ---- types
    def dtype(self, variable, only=None):
        """The element type drawn for a type variable (or that of a type like tensor(int64))."""
        if variable.startswith("tensor("):
            return DTYPES[variable[7:-1]]
        if variable not in self.types:
            allowed = [DTYPES[t[7:-1]] for t in self.allowed(variable) if t.startswith("tensor(")]
            if only:
                allowed = [t for t in allowed if t in only] or allowed
            if F32 in allowed and self.chance(0.3):
                allowed = [F32]
            self.types[variable] = self.pick(allowed)
        return self.types[variable]

    def allowed(self, variable):
        for constraint in self.schema.type_constraints:
            if constraint.type_param_str == variable:
                return sorted(constraint.allowed_type_strs)
        return [variable]

    # ---- values
    def values(self, shape, dtype, fill=None):
        shape = tuple(shape)
        if isinstance(fill, numpy.ndarray):
            return fill.reshape(shape).astype(NUMPY[dtype])
        if dtype == STRING:
            return numpy.array([self.pick(WORDS) for _ in range(int(numpy.prod(shape)))], object).reshape(shape)
        if dtype == BOOL:
            return numpy.asarray(self.rng.random(shape) < 0.5)
        if is_int(dtype):
            return self.integers(shape, dtype, fill)
        if dtype in (14, 15):
            both = self.floats(shape, F64, fill) + 1j * self.floats(shape, F64, fill)
            return numpy.asarray(both).astype(NUMPY[dtype])
        with numpy.errstate(all="ignore"):
            return numpy.asarray(self.floats(shape, dtype, fill)).astype(NUMPY[dtype])

    def integers(self, shape, dtype, fill):
        low, high = range_of(dtype)
        if isinstance(fill, tuple):
            a = min(max(low, int(fill[0])), high)
            b = max(min(high, int(fill[1])), a)
        elif fill == "tame" or self.chance(0.7):
            a, b = max(low, -9), min(high, 9)
        else:
            a, b = low, high
        wide = numpy.uint64 if dtype == 13 else numpy.int64
        return numpy.asarray(self.rng.integers(a, b, size=shape, endpoint=True, dtype=wide)).astype(NUMPY[dtype])

    def floats(self, shape, dtype, fill):
        if isinstance(fill, tuple):
            return self.rng.uniform(fill[0], fill[1], shape)
        x = self.rng.standard_normal(shape)
        kind = 0.0 if fill == "tame" else self.rng.random()
        if kind < 0.6:
            return x * self.pick([1.0, 1.0, 4.0])
        if kind < 0.75:
            return numpy.round(x * 2) * self.pick([0.5, 1.0])
        if kind < 0.87:
            return x * numpy.exp2(self.rng.integers(-14, 14, shape))
        special = numpy.array([numpy.nan, numpy.inf, -numpy.inf, -0.0, 0.0, 1e-40, -1e-40, 3e38, 1.0, -1.0, 65504, 6e-8])
        return numpy.where(self.rng.random(shape) < 0.3, self.rng.choice(special, shape), x)

    # ---- the node
    def next_input(self):
        inputs = self.schema.inputs
        return inputs[min(len(self.inputs), len(inputs) - 1)]

    def x(self, shape, fill=None, only=None, const=False, dtype=None):
        """The next input: a tensor of its type. Returns the array."""
        dtype = dtype or self.dtype(self.next_input().type_str, only)
        return self.give(self.values(shape, dtype, fill), const)

    def give(self, item, const=False):
        """The next input with this value as it is (array, list, None for an empty optional)."""
        if const:
            self.constant_inputs.add(len(self.inputs))
        self.inputs.append(("x%d" % len(self.inputs), item))
        return item

    def ints(self, values, const=None):
        dtype = self.dtype(self.next_input().type_str)
        return self.give(numpy.asarray(values, NUMPY[dtype]), self.chance(0.7) if const is None else const)

    def skip(self):
        self.inputs.append(("", None))

    def has(self, attribute):
        return attribute in self.schema.attributes

    def attr(self, name, value):
        """Sets the attribute where this version has it; says whether it has."""
        if self.has(name):
            self.attributes[name] = value
        return self.has(name)

    def maybe(self, name, value, p=0.6):
        """The same with this probability; returns the value in force (None: the default)."""
        if self.has(name) and (self.schema.attributes[name].required or self.chance(p)):
            self.attributes[name] = value
            return value
        return None

    def default(self, name):
        default = self.schema.attributes[name].default_value
        return helper.get_attribute_value(default) if default.type else None

    def value_of(self, name):
        return self.attributes.get(name, self.default(name) if self.has(name) else None)

    def out(self, dtype=None, name=None):
        """The next output; dtype None: from its type variable."""
        spec = self.schema.outputs[min(len(self.outputs), len(self.schema.outputs) - 1)]
        info = dtype
        if dtype is None and not spec.type_str.startswith(("seq", "opt", "map")):
            info = self.dtype(spec.type_str)
        self.outputs.append(("y%d" % len(self.outputs), info))

    def no_out(self):
        self.outputs.append(("", None))

    def finish(self):
        if not self.outputs:
            self.out()
        while self.inputs and not self.inputs[-1][0]:
            self.inputs.pop()

    def tensors(self):
        return [item for name, item in self.inputs if isinstance(item, numpy.ndarray)]

    def uses(self, *dtypes):
        return any(NUMBERS.get(t.dtype) in dtypes for t in self.tensors()) or any(d in dtypes for _, d in self.outputs)

    def text(self):
        parts = []
        for name, item in self.inputs:
            if isinstance(item, numpy.ndarray):
                small = item.tolist() if item.size <= 12 else "..."
                parts.append(f"{item.dtype}{list(item.shape)}={small}")
            else:
                parts.append("-" if not name else repr(item)[:200])
        attributes = {k: v if not isinstance(v, TensorProto) else numpy_helper.to_array(v)
                      for k, v in self.attributes.items()}
        return f"{self.op}-{self.since} {attributes} ({', '.join(parts)})"[:1500]


_ROWS = {}


def versions(name, domain):
    if not _ROWS:
        for schema in defs.get_all_schemas_with_history():
            _ROWS.setdefault(("" if schema.domain == "ai.onnx" else schema.domain, schema.name), []).append(schema)
        for rows in _ROWS.values():
            rows.sort(key=lambda s: s.since_version)
    return _ROWS[domain, name]
