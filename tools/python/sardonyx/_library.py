# SPDX-License-Identifier: Apache-2.0
"""The C interface of sardonyx.h through ctypes."""
import ctypes
import ctypes.util
import os
from ctypes import POINTER, c_bool, c_char, c_char_p, c_double, c_int, c_int64, c_size_t, c_uint64, c_void_p

import numpy

TENSOR, SEQUENCE, OPTIONAL, MAP, SPARSE_TENSOR = 1, 2, 3, 4, 5


class Error(ctypes.Structure):
    _fields_ = [("status", c_int), ("message", c_char * 1024)]


class Binding(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("value", c_void_p)]


class ModelOptions(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("optimise", c_int), ("memory_limit", c_size_t), ("base_folder", c_char_p),
                ("allow_links", c_bool), ("threads", c_int)]


class SessionOptions(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("threads", c_int), ("memory_limit", c_size_t), ("seed", c_uint64),
                ("profile", c_bool)]


class ValueInfo(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("kind", c_int), ("dtype", c_int), ("rank", c_int), ("dims", POINTER(c_int64)),
                ("dim_names", POINTER(c_char_p)), ("has_default", c_bool)]


class String(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("size", c_size_t)]


# Numbers are those of TensorProto.DataType; narrow types without a numpy type appear as their bits.
NUMPY = {1: "f4", 2: "u1", 3: "i1", 4: "u2", 5: "i2", 6: "i4", 7: "i8", 9: "?", 10: "f2", 11: "f8", 12: "u4",
         13: "u8", 14: "c8", 15: "c16"}
NAMES = {1: "float", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64", 8: "string", 9: "bool",
         10: "float16", 11: "double", 12: "uint32", 13: "uint64", 14: "complex64", 15: "complex128", 16: "bfloat16",
         17: "float8e4m3fn", 18: "float8e4m3fnuz", 19: "float8e5m2", 20: "float8e5m2fnuz", 21: "uint4", 22: "int4",
         23: "float4e2m1", 24: "float8e8m0", 25: "uint2", 26: "int2", 27: "float6e2m3", 28: "float6e3m2"}
NARROW = {16: "bfloat16", 17: "float8_e4m3fn", 18: "float8_e4m3fnuz", 19: "float8_e5m2", 20: "float8_e5m2fnuz",
          21: "uint4", 22: "int4", 23: "float4_e2m1fn", 24: "float8_e8m0fnu", 25: "uint2", 26: "int2",
          27: "float6_e2m3fn", 28: "float6_e3m2fn"}  # as ml_dtypes calls them
STRING = 8


def _number_of(dtype):
    for number, code in NUMPY.items():
        if numpy.dtype(code) == dtype:
            return number
    for number, name in NARROW.items():
        if dtype.name == name:
            return number
    raise TypeError(f"numpy type {dtype} has no ONNX element type")


def _find():
    here = os.path.dirname(os.path.abspath(__file__))
    root = os.path.dirname(os.path.dirname(os.path.dirname(here)))
    for path in (os.environ.get("SARDONYX_LIBRARY"), os.path.join(here, "libsardonyx.so"),
                 os.path.join(root, "build", "release", "libsardonyx.so"), ctypes.util.find_library("sardonyx")):
        if path and (os.path.exists(path) or os.sep not in path):
            return path
    raise OSError("libsardonyx.so was not found; build it or set SARDONYX_LIBRARY")


def _load():
    lib = ctypes.CDLL(_find())
    error, value, out = POINTER(Error), c_void_p, POINTER(c_void_p)
    signatures = {
        "sdx_version": (c_char_p, []),
        "sdx_status_text": (c_char_p, [c_int]),
        "sdx_dtype_size": (c_size_t, [c_int]),
        "sdx_value_borrow": (c_int, [c_int, c_int, POINTER(c_int64), c_void_p, error, out]),
        "sdx_value_from_strings": (c_int, [c_int, POINTER(c_int64), POINTER(String), error, out]),
        "sdx_value_sequence": (c_int, [POINTER(c_void_p), c_size_t, c_int, error, out]),
        "sdx_value_optional": (c_int, [value, c_int, error, out]),
        "sdx_value_map": (c_int, [value, value, error, out]),
        "sdx_value_release": (None, [value]),
        "sdx_value_kind": (c_int, [value]),
        "sdx_value_dtype": (c_int, [value]),
        "sdx_value_rank": (c_int, [value]),
        "sdx_value_dims": (POINTER(c_int64), [value]),
        "sdx_value_count": (c_int64, [value]),
        "sdx_value_data": (c_void_p, [value]),
        "sdx_value_item_count": (c_size_t, [value]),
        "sdx_value_item": (c_void_p, [value, c_size_t]),
        "sdx_model_open": (c_int, [c_char_p, POINTER(ModelOptions), error, out]),
        "sdx_model_from_memory": (c_int, [c_char_p, c_size_t, POINTER(ModelOptions), error, out]),
        "sdx_model_close": (None, [value]),
        "sdx_model_input_count": (c_size_t, [value]),
        "sdx_model_input": (POINTER(ValueInfo), [value, c_size_t]),
        "sdx_model_output_count": (c_size_t, [value]),
        "sdx_model_output": (POINTER(ValueInfo), [value, c_size_t]),
        "sdx_session_create": (c_int, [value, POINTER(SessionOptions), error, out]),
        "sdx_session_destroy": (None, [value]),
        "sdx_session_run": (c_int, [value, POINTER(Binding), c_size_t, POINTER(Binding), c_size_t, error]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


lib = _load()


class SardonyxError(RuntimeError):
    """A call that failed; `.status` is the number of sdx_status."""

    def __init__(self, error):
        text = lib.sdx_status_text(error.status).decode()
        super().__init__(f"{text}: {error.message.decode(errors='replace')}")
        self.status = error.status


def call(function, *arguments):
    """Calls a function whose last parameters are the error record and one out pointer; returns the pointer."""
    error, out = Error(), c_void_p()
    if function(*arguments, ctypes.byref(error), ctypes.byref(out)):
        raise SardonyxError(error)
    return out.value


def _dims(shape):
    return (c_int64 * max(len(shape), 1))(*shape)


def _release(handles):
    for handle in handles:
        lib.sdx_value_release(handle)


def to_value(item, kind=TENSOR, dtype=1):
    """A new sdx_value from an array, list, dict or None, and what must stay alive with it. `kind` and `dtype` are those
    of the input it is for: they say what an empty list or None is, and that a value stands for an optional one."""
    if kind == OPTIONAL or item is None:
        inner, keep = (None, []) if item is None else to_value(item, TENSOR, dtype)
        try:
            return call(lib.sdx_value_optional, inner, dtype), keep
        finally:
            lib.sdx_value_release(inner)
    if isinstance(item, (list, tuple)):
        pairs = [to_value(entry, TENSOR, dtype) for entry in item]
        handles = (c_void_p * max(len(pairs), 1))(*[handle for handle, _ in pairs])
        try:
            return call(lib.sdx_value_sequence, handles, len(pairs), dtype), [alive for _, alive in pairs]
        finally:
            _release(handles[:len(pairs)])
    if isinstance(item, dict):
        keys, keep_keys = to_value(numpy.array(list(item.keys())))
        values, keep_values = to_value(numpy.array(list(item.values()), dtype=NUMPY.get(dtype, object)))
        try:
            return call(lib.sdx_value_map, keys, values), [keep_keys, keep_values]
        finally:
            _release((keys, values))
    array = numpy.asarray(item)
    if array.dtype.kind in "OUS":
        texts = [t if isinstance(t, bytes) else str(t).encode() for t in array.ravel()]
        buffers = [ctypes.create_string_buffer(t, max(len(t), 1)) for t in texts]
        strings = (String * max(len(texts), 1))(
            *[String(ctypes.addressof(b), len(t)) for b, t in zip(buffers, texts)])
        return call(lib.sdx_value_from_strings, array.ndim, _dims(array.shape), strings), []
    array = numpy.ascontiguousarray(array).reshape(array.shape)
    number = _number_of(array.dtype)
    if number in (22, 26):  # ml_dtypes leaves the upper bits of a signed narrow integer undefined
        array = array.astype("i1")
    return call(lib.sdx_value_borrow, number, array.ndim, _dims(array.shape), array.ctypes.data), [array]


def from_value(handle):
    """The contents of an sdx_value as numpy arrays, lists, dicts or None. Copies."""
    kind = lib.sdx_value_kind(handle)
    if kind == TENSOR:
        return _array_of(handle)
    items = [from_value(lib.sdx_value_item(handle, i)) for i in range(lib.sdx_value_item_count(handle))]
    if kind == OPTIONAL:
        return items[0] if items else None
    if kind == MAP:
        return dict(zip(items[0].tolist(), items[1] if isinstance(items[1], list) else items[1].tolist()))
    return items


def _array_of(handle):
    number, rank = lib.sdx_value_dtype(handle), lib.sdx_value_rank(handle)
    shape = tuple(lib.sdx_value_dims(handle)[d] for d in range(rank))
    count, data = lib.sdx_value_count(handle), lib.sdx_value_data(handle)
    if number == STRING:
        strings = ctypes.cast(data, POINTER(String))
        texts = [ctypes.string_at(strings[i].data, strings[i].size).decode(errors="surrogateescape")
                 for i in range(count)]
        return numpy.array(texts, dtype=object).reshape(shape)
    dtype = numpy.dtype(NUMPY.get(number) or _narrow(number))
    bytes_ = ctypes.string_at(data, count * dtype.itemsize) if count else b""
    return numpy.frombuffer(bytearray(bytes_), dtype=dtype).reshape(shape)


def _narrow(number):
    """The ml_dtypes type of a narrow element type where that package is installed, else its bits."""
    try:
        import ml_dtypes
        return getattr(ml_dtypes, NARROW[number])
    except (ImportError, AttributeError):
        return "u2" if NARROW[number] == "bfloat16" else "u1"
