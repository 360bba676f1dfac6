# SPDX-License-Identifier: Apache-2.0
"""Trainer: sardonyx_train.h over ctypes."""
import ctypes
import json
import os
from ctypes import POINTER, c_bool, c_char_p, c_double, c_int, c_int64, c_size_t, c_void_p
from typing import NamedTuple

from sardonyx._library import Binding, Error, ModelOptions, SardonyxError, call, from_value, lib, to_value

OPTIMISE_NONE = 2
ROLES = ("", "kernel", "recurrent", "bias", "scale", "shift", "embedding", "other", "state")


class _StepResult(ctypes.Structure):
    _fields_ = [("step", c_int64), ("updated", c_bool), ("skipped", c_bool), ("loss", c_double),
                ("n_penalties", c_size_t), ("penalties", POINTER(c_double)), ("gradient_norm", c_double),
                ("lr", c_double)]


class _ParameterInfo(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("path", c_char_p), ("node", c_char_p), ("role", c_int), ("trained", c_bool),
                ("dtype", c_int), ("rank", c_int), ("dims", POINTER(c_int64))]


class StepResult(NamedTuple):
    step: int
    updated: bool
    skipped: bool
    loss: float
    penalties: tuple
    gradient_norm: float
    lr: float


class Parameter(NamedTuple):
    name: str
    path: str
    node: str
    role: str
    trained: bool
    shape: tuple


def _declare():
    error, out, handle, step = POINTER(Error), POINTER(c_void_p), c_void_p, POINTER(_StepResult)
    batch = [POINTER(Binding), c_size_t]
    signatures = {
        "sdx_train_config_parse": (c_int, [c_char_p, c_size_t, error, out]),
        "sdx_train_config_options": (c_void_p, [handle]),
        "sdx_train_config_free": (None, [handle]),
        "sdx_trainer_create": (c_int, [handle, c_void_p, error, out]),
        "sdx_trainer_destroy": (None, [handle]),
        "sdx_trainer_step": (c_int, [handle, *batch, step, error]),
        "sdx_trainer_gradients": (c_int, [handle, *batch, step, error]),
        "sdx_trainer_evaluate": (c_int, [handle, *batch, step, POINTER(Binding), c_size_t, error]),
        "sdx_trainer_calibrate": (c_int, [handle, *batch, error]),
        "sdx_trainer_end_epoch": (c_int, [handle, c_double, error]),
        "sdx_trainer_parameter_count": (c_size_t, [handle]),
        "sdx_trainer_parameter": (POINTER(_ParameterInfo), [handle, c_size_t]),
        "sdx_trainer_get_parameter": (c_int, [handle, c_char_p, c_bool, error, out]),
        "sdx_trainer_set_parameter": (c_int, [handle, c_char_p, c_void_p, error]),
        "sdx_trainer_get_gradient": (c_int, [handle, c_char_p, error, out]),
        "sdx_trainer_save": (c_int, [handle, c_char_p, error]),
        "sdx_trainer_load": (c_int, [handle, c_char_p, error]),
        "sdx_trainer_export_model": (c_int, [handle, c_char_p, c_char_p, error]),
        "sdx_trainer_export_step": (c_int, [handle, c_char_p, error]),
        "sdx_trainer_note": (c_char_p, [handle, c_size_t]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments


_declare()


def _check(function, *arguments):
    error = Error()
    if function(*arguments, ctypes.byref(error)):
        raise SardonyxError(error)


class _Batch:
    """Arrays as bindings, for the time of a call."""

    def __init__(self, arrays):
        self._alive, self._handles = [], []
        for item in arrays.values():
            handle, keep = to_value(item)
            self._handles.append(handle)
            self._alive.append(keep)
        self.bindings = (Binding * max(len(arrays), 1))(
            *[Binding(name.encode(), handle) for name, handle in zip(arrays, self._handles)])
        self.count = len(arrays)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for handle in self._handles:
            lib.sdx_value_release(handle)


class Trainer:
    """Trains the model in a file (or its bytes) as a configuration (a dict or JSON text, as for `sardonyx train`) says.

        trainer = sardonyx.Trainer("net.onnx", {"loss": {"kind": "cross_entropy"}, "optimizer": {"kind": "adam"}})
        for x, y in batches:
            result = trainer.step({"x": x, "y": y})
        trainer.export("trained.onnx")
    """

    def __init__(self, model, config=None):
        self._model = self._config = self._trainer = None
        text = (config if isinstance(config, str) else json.dumps(config or {})).encode()
        plain = ModelOptions(ctypes.sizeof(ModelOptions), OPTIMISE_NONE, 0, None, False, 0)
        if isinstance(model, (bytes, bytearray)):
            self._model = call(lib.sdx_model_from_memory, bytes(model), len(model), ctypes.byref(plain))
        else:
            self._model = call(lib.sdx_model_open, os.fsencode(model), ctypes.byref(plain))
        self._config = call(lib.sdx_train_config_parse, text, len(text))
        self._trainer = call(lib.sdx_trainer_create, self._model, lib.sdx_train_config_options(self._config))

    def __del__(self):
        if self._trainer:
            lib.sdx_trainer_destroy(self._trainer)
        if self._config:
            lib.sdx_train_config_free(self._config)
        if self._model:
            lib.sdx_model_close(self._model)

    def _result(self, function, arrays, *more):
        result = _StepResult()
        with _Batch(arrays) as batch:
            _check(function, self._trainer, batch.bindings, batch.count, ctypes.byref(result), *more)
        return StepResult(result.step, result.updated, result.skipped, result.loss,
                          tuple(result.penalties[k] for k in range(result.n_penalties)), result.gradient_norm, result.lr)

    def step(self, arrays):
        """One batch: inputs and label by name."""
        return self._result(lib.sdx_trainer_step, arrays)

    def gradients(self, arrays):
        """Gradients of a batch without an update; see `gradient`."""
        return self._result(lib.sdx_trainer_gradients, arrays)

    def evaluate(self, arrays, outputs=()):
        """Loss of a batch in inference form, and the named outputs."""
        bindings = (Binding * max(len(outputs), 1))(*[Binding(name.encode(), None) for name in outputs])
        result = self._result(lib.sdx_trainer_evaluate, arrays, bindings, len(outputs))
        values = [from_value(binding.value) for binding in bindings[:len(outputs)]]
        for binding in bindings[:len(outputs)]:
            lib.sdx_value_release(binding.value)
        return (result, *values) if outputs else result

    def calibrate(self, arrays):
        """Statistics of inserted BatchNormalization; before the first step."""
        with _Batch(arrays) as batch:
            _check(lib.sdx_trainer_calibrate, self._trainer, batch.bindings, batch.count)

    def end_epoch(self, metric=float("nan")):
        _check(lib.sdx_trainer_end_epoch, self._trainer, metric)

    def parameters(self):
        found = []
        for k in range(lib.sdx_trainer_parameter_count(self._trainer)):
            info = lib.sdx_trainer_parameter(self._trainer, k).contents
            found.append(Parameter(info.name.decode(), info.path.decode(), info.node.decode(), ROLES[info.role],
                                   info.trained, tuple(info.dims[d] for d in range(info.rank))))
        return found

    def _value(self, function, *arguments):
        handle = call(function, self._trainer, *arguments)
        try:
            return from_value(handle)
        finally:
            lib.sdx_value_release(handle)

    def get(self, name, averaged=False):
        """A copy of a parameter or running statistic."""
        return self._value(lib.sdx_trainer_get_parameter, name.encode(), averaged)

    def set(self, name, array):
        handle, _alive = to_value(array)
        try:
            _check(lib.sdx_trainer_set_parameter, self._trainer, name.encode(), handle)
        finally:
            lib.sdx_value_release(handle)

    def gradient(self, name):
        """Of the last step or call of `gradients`, before clipping."""
        return self._value(lib.sdx_trainer_get_gradient, name.encode())

    def save(self, path):
        _check(lib.sdx_trainer_save, self._trainer, os.fsencode(path))

    def load(self, path):
        _check(lib.sdx_trainer_load, self._trainer, os.fsencode(path))

    def export(self, path):
        """The trained model, in inference form."""
        _check(lib.sdx_trainer_export_model, self._trainer, os.fsencode(path), None)

    def export_step(self, path):
        """One training step as portable ONNX."""
        _check(lib.sdx_trainer_export_step, self._trainer, os.fsencode(path))

    def notes(self):
        """What was changed in the model to train it."""
        found = []
        while (note := lib.sdx_trainer_note(self._trainer, len(found))) is not None:
            found.append(note.decode())
        return found
