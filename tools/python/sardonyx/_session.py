# SPDX-License-Identifier: Apache-2.0
"""InferenceSession: the shape of onnxruntime's class, over libsardonyx."""
import ctypes
import os

from sardonyx._library import (Binding, ModelOptions, NAMES, SEQUENCE, Error, SardonyxError, SessionOptions, call,
                               from_value, lib, to_value)


def version():
    return lib.sdx_version().decode()


class NodeArg:
    """Name, type text and shape of one input or output; unknown dimensions are their names or None."""

    def __init__(self, info):
        self.name = info.name.decode()
        self.has_default = info.has_default
        element = f"tensor({NAMES.get(info.dtype, 'undefined')})"
        self.type = f"seq({element})" if info.kind == SEQUENCE else element
        self.shape = [self._dim(info, d) for d in range(max(info.rank, 0))]

    @staticmethod
    def _dim(info, d):
        if info.dims[d] >= 0:
            return info.dims[d]
        name = info.dim_names[d] if info.dim_names else None
        return name.decode() if name else None


class InferenceSession:
    """Loads a model (path or bytes) and runs it. Safe to call from several threads."""

    def __init__(self, model, threads=0, memory_limit=0, seed=0, optimise=0):
        self._model = self._session = None
        options = ModelOptions(ctypes.sizeof(ModelOptions), optimise, 0, None, False, threads)
        if isinstance(model, (bytes, bytearray)):
            self._model = call(lib.sdx_model_from_memory, bytes(model), len(model), ctypes.byref(options))
        else:
            self._model = call(lib.sdx_model_open, os.fsencode(model), ctypes.byref(options))
        infos = [lib.sdx_model_input(self._model, i).contents for i in range(lib.sdx_model_input_count(self._model))]
        self._types = {info.name.decode(): (info.kind, info.dtype) for info in infos}
        settings = SessionOptions(ctypes.sizeof(SessionOptions), threads, memory_limit, seed, False)
        self._session = call(lib.sdx_session_create, self._model, ctypes.byref(settings))

    def __del__(self):
        if self._session:
            lib.sdx_session_destroy(self._session)
        if self._model:
            lib.sdx_model_close(self._model)

    def get_inputs(self):
        return [NodeArg(lib.sdx_model_input(self._model, i).contents)
                for i in range(lib.sdx_model_input_count(self._model))]

    def get_outputs(self):
        return [NodeArg(lib.sdx_model_output(self._model, i).contents)
                for i in range(lib.sdx_model_output_count(self._model))]

    def run(self, output_names, feeds):
        """Arrays of the named outputs (None: all), in that order."""
        names = list(output_names) if output_names else [o.name for o in self.get_outputs()]
        alive, handles = [], []
        outputs = (Binding * max(len(names), 1))(*[Binding(name.encode(), None) for name in names])
        try:
            for name, item in feeds.items():
                handle, keep = to_value(item, *self._types.get(name, ()))
                handles.append(handle)
                alive.append(keep)
            inputs = (Binding * max(len(feeds), 1))(
                *[Binding(name.encode(), handle) for name, handle in zip(feeds, handles)])
            error = Error()
            if lib.sdx_session_run(self._session, inputs, len(feeds), outputs, len(names), ctypes.byref(error)):
                raise SardonyxError(error)
            return [from_value(binding.value) for binding in outputs[:len(names)]]
        finally:
            for handle in handles:
                lib.sdx_value_release(handle)
            for binding in outputs[:len(names)]:
                if binding.value:
                    lib.sdx_value_release(binding.value)
