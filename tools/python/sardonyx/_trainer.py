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


class _Progress(ctypes.Structure):
    _fields_ = [("epoch", c_int64), ("epochs", c_int64), ("step", c_int64), ("steps", c_int64), ("last", _StepResult),
                ("loss", c_double), ("samples_per_second", c_double), ("seconds_left", c_double), ("epoch_ends", c_bool),
                ("valid_loss", c_double), ("n_metrics", c_size_t), ("metrics", POINTER(c_double))]


_OnProgress = ctypes.CFUNCTYPE(None, c_void_p, POINTER(_Progress))


class _FitOptions(ctypes.Structure):
    _fields_ = [("size", c_size_t), ("data", POINTER(Binding)), ("n_data", c_size_t), ("valid", POINTER(Binding)),
                ("n_valid", c_size_t), ("progress", _OnProgress), ("context", c_void_p), ("cancel", POINTER(c_int)),
                ("checkpoint", c_char_p), ("checkpoint_every", c_int64), ("checkpoint_keep", c_int), ("resume", c_bool)]


class StepResult(NamedTuple):
    step: int
    updated: bool
    skipped: bool
    loss: float
    penalties: tuple
    gradient_norm: float
    lr: float


class Progress(NamedTuple):
    """Where a loop stands; steps are those of the epoch. valid_loss and metrics are known where epoch_ends."""
    epoch: int
    epochs: int
    step: int
    steps: int
    last: StepResult
    loss: float
    samples_per_second: float
    seconds_left: float
    epoch_ends: bool
    valid_loss: float
    metrics: dict


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
        "sdx_trainer_fit": (c_int, [handle, POINTER(_FitOptions), error]),
        "sdx_trainer_score": (c_int, [handle, *batch, POINTER(c_double), POINTER(c_double), error]),
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


def _step_result(result):
    return StepResult(result.step, result.updated, result.skipped, result.loss,
                      tuple(result.penalties[k] for k in range(result.n_penalties)), result.gradient_norm, result.lr)


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

    threads (0: the machine's) and memory_limit (bytes; 0: none) stand for the keys of the same names. A trainer may be
    used as a context, which closes it; what it holds is released at the latest with the object.
    """

    def __init__(self, model, config=None, *, threads=None, memory_limit=None):
        self._model = self._config = self._trainer = None
        given = {key: value for key, value in (("threads", threads), ("memory_limit", memory_limit)) if value is not None}
        if given and isinstance(config, str):
            config = json.loads(config)
        text = (config if isinstance(config, str) else json.dumps({**(config or {}), **given})).encode()
        plain = ModelOptions(ctypes.sizeof(ModelOptions), OPTIMISE_NONE, memory_limit or 0, None, False, threads or 0)
        if isinstance(model, (bytes, bytearray)):
            self._model = call(lib.sdx_model_from_memory, bytes(model), len(model), ctypes.byref(plain))
        else:
            self._model = call(lib.sdx_model_open, os.fsencode(model), ctypes.byref(plain))
        self._config = call(lib.sdx_train_config_parse, text, len(text))
        self._metrics = json.loads(text).get("metrics", [])
        self._trainer = call(lib.sdx_trainer_create, self._model, lib.sdx_train_config_options(self._config))

    def close(self):
        """Releases everything; any call after it fails."""
        trainer, config, model = self._trainer, self._config, self._model
        self._trainer = self._config = self._model = None
        if trainer:
            lib.sdx_trainer_destroy(trainer)
        if config:
            lib.sdx_train_config_free(config)
        if model:
            lib.sdx_model_close(model)

    def __del__(self):
        self.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _result(self, function, arrays, *more):
        result = _StepResult()
        with _Batch(arrays) as batch:
            _check(function, self._trainer, batch.bindings, batch.count, ctypes.byref(result), *more)
        return _step_result(result)

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

    def _progress(self, now):
        return Progress(now.epoch, now.epochs, now.step, now.steps, _step_result(now.last), now.loss,
                        now.samples_per_second, now.seconds_left, now.epoch_ends, now.valid_loss if now.epoch_ends else None,
                        {name: now.metrics[k] for k, name in enumerate(self._metrics)} if now.epoch_ends else {})

    def fit(self, data, valid=None, progress=None, *, checkpoint=None, checkpoint_every=0, checkpoint_keep=0, resume=False):
        """The whole loop as the configuration says: epochs, shuffling, validation, schedule, early stop, checkpoints.

        data and valid are whole arrays by name, the first axis of each the sample. progress is called with a Progress
        after every step; an exception in it, or an interrupt, ends the loop between two steps and is raised here, and
        what was trained so far stays. Returns the last Progress of each epoch.
        """
        stop, problem, ends = c_int(0), [], []

        def on_progress(_, now):
            try:
                found = self._progress(now.contents)
                if found.epoch_ends:
                    ends.append(found)
                if progress and not problem:
                    progress(found)
            except BaseException as error:  # pylint: disable=broad-except
                problem.append(error)
                stop.value = 1

        callback = _OnProgress(on_progress)
        with _Batch(data) as whole, _Batch(valid or {}) as measured:
            options = _FitOptions(ctypes.sizeof(_FitOptions), whole.bindings, whole.count, measured.bindings,
                                  measured.count, callback, None, ctypes.pointer(stop),
                                  os.fsencode(checkpoint) if checkpoint else None, checkpoint_every, checkpoint_keep,
                                  resume)
            try:
                _check(lib.sdx_trainer_fit, self._trainer, ctypes.byref(options))
            except SardonyxError:
                if not problem:
                    raise
        if problem:
            raise problem[0]
        return ends

    def score(self, data):
        """Loss over whole arrays in inference form, and the metrics of the configuration by name."""
        loss, metrics = c_double(), (c_double * max(len(self._metrics), 1))()
        with _Batch(data) as whole:
            _check(lib.sdx_trainer_score, self._trainer, whole.bindings, whole.count, ctypes.byref(loss), metrics)
        return loss.value, dict(zip(self._metrics, metrics))

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
