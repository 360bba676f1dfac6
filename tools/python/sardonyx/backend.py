# SPDX-License-Identifier: Apache-2.0
"""The interface of onnx.backend.base over libsardonyx. Needs the `onnx` package, and `ml_dtypes` for narrow types.

    import sardonyx.backend as backend
    outputs = backend.run_model(onnx.load("model.onnx"), [x])
"""
import onnx
import onnx.backend.base
from onnx import helper

from sardonyx._session import InferenceSession


class SardonyxRep(onnx.backend.base.BackendRep):
    """A prepared model; may be run many times, and from several threads."""

    def __init__(self, session):
        self._session = session
        self._inputs = session.get_inputs()
        self._names = [output.name for output in session.get_outputs()]
        self._outputs = onnx.backend.base.namedtupledict("Outputs", self._names)

    def run(self, inputs, **kwargs):
        """`inputs`: values in the order of the model's inputs, or by name. Inputs with an initializer of their name come
        last in no order of their own: they are given only when all inputs are."""
        if not isinstance(inputs, dict):
            required = [i.name for i in self._inputs if not i.has_default]
            names = required if len(inputs) <= len(required) else [i.name for i in self._inputs]
            if len(inputs) > len(names):
                raise ValueError(f"{len(inputs)} inputs given; the model has {len(names)}")
            inputs = dict(zip(names, inputs))
        return self._outputs(*self._session.run(self._names, inputs))


def _type_of(item):
    """The ONNX type of a run-time value."""
    if isinstance(item, (list, tuple)):
        return helper.make_sequence_type_proto(_type_of(item[0]))
    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(item.dtype), item.shape)


def _newest(domain):
    if domain in ("", "ai.onnx"):
        return onnx.defs.onnx_opset_version()
    return max(schema.since_version for schema in onnx.defs.get_all_schemas() if schema.domain == domain)


class SardonyxBackend(onnx.backend.base.Backend):
    @classmethod
    def supports_device(cls, device):
        return device.split(":")[0] == "CPU"

    @classmethod
    def prepare(cls, model, device="CPU", **kwargs):
        """`model`: a ModelProto, its bytes, or a path. `threads`, `memory_limit`, `seed` and `optimise` may be given as for
        InferenceSession."""
        if not cls.supports_device(device):
            raise ValueError(f"device {device} is not supported; CPU is")
        if isinstance(model, onnx.ModelProto):
            model = model.SerializeToString()
        known = {name: kwargs[name] for name in ("threads", "memory_limit", "seed", "optimise") if name in kwargs}
        return SardonyxRep(InferenceSession(model, **known))

    @classmethod
    def run_node(cls, node, inputs, device="CPU", outputs_info=None, **kwargs):
        """Runs one node; `opset_version` says of which opset of its domain it is (default: the newest of the package)."""
        names = [name for name in node.input if name]
        values = [helper.make_value_info(name, _type_of(item)) for name, item in zip(names, inputs)]
        if outputs_info:
            results = [helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(dtype), shape)
                       for name, (dtype, shape) in zip(node.output, outputs_info)]
        else:
            results = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        version = kwargs.pop("opset_version", None) or _newest(node.domain)
        graph = helper.make_graph([node], node.op_type, values, results)
        model = helper.make_model(graph, opset_imports=[helper.make_operatorsetid(node.domain, version)])
        return cls.prepare(model, device, **kwargs).run(inputs)


prepare = SardonyxBackend.prepare
run_model = SardonyxBackend.run_model
run_node = SardonyxBackend.run_node
supports_device = SardonyxBackend.supports_device
