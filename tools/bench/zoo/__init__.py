# SPDX-License-Identifier: Apache-2.0
"""The zoo: small PyTorch architectures with seeded random weights, each with its inputs, axes and export.

An entry names its inputs with their dimensions; a dimension that is a word is a dynamic axis. `export` writes
FOLDER/model.onnx beside what PyTorch answers at every size (FOLDER/SIZE.npz), so that a test needs no torch later.
"""
import collections
import hashlib
import importlib
import importlib.metadata
import json
import os
import warnings

import numpy

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = ("plain", "loops", "vision", "language", "media")
EXPORTERS = ("dynamo", "legacy")
Entry = collections.namedtuple("Entry", "name build inputs sizes refused wrong bound opset part")
ENTRIES, PART = {}, []

# Sizes of dynamic axes: the first is exported, a batch of one and a longer or shorter rest follow.
IMAGES = [{"b": 2, "h": 32, "w": 32}, {"b": 1, "h": 48, "w": 40}, {"b": 3, "h": 32, "w": 64}]
BATCHES = [{"b": 2}, {"b": 1}, {"b": 3}]
TEXTS = [{"b": 2, "n": 8}, {"b": 1, "n": 13}, {"b": 3, "n": 5}]


def add(name, build, inputs, sizes, refused=None, wrong=None, bound=1e-4, opset=None):
    """inputs: {name: (kind, dimension...)}; sizes: bindings of the dynamic axes, the first one is exported;
    refused: {exporter: the words of PyTorch's refusal}; wrong: {exporter: why its export is not the module}."""
    ENTRIES[name] = Entry(name, build, inputs, sizes, refused or {}, wrong or {}, bound, opset, PART[-1])


def load():
    """Every entry by name; the parts register themselves."""
    for part in PARTS:
        if part not in PART:
            PART.append(part)
            importlib.import_module(f"zoo.{part}")
    return ENTRIES


def stamp(name):
    """Changes when the export of an entry could: its part, what parts share, the packages that export."""
    digest = hashlib.sha256()
    for file in (ENTRIES[name].part + ".py", "__init__.py", "wrap.py", os.path.join("..", "models.py")):
        with open(os.path.join(HERE, file), "rb") as source:
            digest.update(source.read())
    for package in ("torch", "transformers", "onnxscript", "onnx"):
        digest.update(importlib.metadata.version(package).encode())
    return digest.hexdigest()


def tensor(kind, shape, generator):
    """ids:N whole numbers below N; mask ones with a tail of zeros; bag rising offsets; else floats."""
    import torch
    if kind.startswith("ids:"):
        return torch.randint(0, int(kind[4:]), shape, generator=generator)
    if kind == "mask":
        rows = torch.arange(shape[0]).unsqueeze(1)
        return (torch.arange(shape[1]) < shape[1] - (rows % 3)).long()
    if kind == "bag":
        return 2 * torch.arange(shape[0])
    if kind in ("unit", "grid"):
        x = torch.rand(shape, generator=generator)
        return x if kind == "unit" else 2.4 * x - 1.2
    x = torch.randn(shape, generator=generator)
    return x.half() if kind == "f16" else x


def samples(entry, size):
    import torch
    generator = torch.Generator().manual_seed(sum(size.values()))
    shapes = {name: tuple(eval(d, {}, dict(size)) if isinstance(d, str) else d for d in dims)
              for name, (_, *dims) in entry.inputs.items()}
    return {name: tensor(entry.inputs[name][0], shape, generator) for name, shape in shapes.items()}


def flat(outputs):
    """Tensors of nested tuples, lists and dictionaries, in order."""
    if outputs is None or isinstance(outputs, (bool, int, float)):
        return []
    if isinstance(outputs, dict):
        outputs = list(outputs.values())
    return [t for item in outputs for t in flat(item)] if isinstance(outputs, (tuple, list)) else [outputs]


def made(entry):
    """The module in inference mode, seeded. Vectors (biases, norms) start at 0 or 1; they are moved to matter."""
    import torch
    torch.manual_seed(20)
    module = entry.build()
    generator = torch.Generator().manual_seed(21)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.dim() == 1 and parameter.is_floating_point():
                parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype))
    return module.eval()


def axes_of(entry):
    return {name: {axis: d for axis, d in enumerate(dims) if isinstance(d, str)}
            for name, (_, *dims) in entry.inputs.items()}


def write(entry, exporter, path):
    """Exports at the first size; an exception is PyTorch's own."""
    import torch
    module = made(entry)
    torch.backends.mha.set_fastpath_enabled(False)  # one fused operator that the older exporter does not know
    feeds = samples(entry, entry.sizes[0])
    axes = {name: {axis: d.replace("+", "_") for axis, d in found.items()} for name, found in axes_of(entry).items()}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        count = len(flat(module(*feeds.values())))
        outputs = [f"y{i}" for i in range(count)]
        if exporter == "dynamo":
            torch.onnx.export(module, tuple(feeds.values()), path, input_names=list(feeds), output_names=outputs,
                              dynamic_shapes=dynamic(module, axes), opset_version=entry.opset, verbose=False)
        else:
            torch.onnx.export(module, tuple(feeds.values()), path, input_names=list(feeds), output_names=outputs,
                              dynamic_axes=axes, dynamo=False, opset_version=entry.opset)
    return module


def dynamic(module, axes):
    """The shapes as the exporter wants them: one per parameter of forward, *inputs being a tuple of its own."""
    import inspect
    kinds = [p.kind for p in inspect.signature(module.forward).parameters.values()]
    shapes, plain = tuple(axes.values()), kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return shapes[:plain] + (shapes[plain:],) if len(kinds) > plain else shapes


def export(name, exporter, folder):
    """Writes the model and PyTorch's answers; returns None, or why PyTorch did not export."""
    import torch
    entry = load()[name]
    os.makedirs(folder, exist_ok=True)
    reason = None
    try:
        module = write(entry, exporter, os.path.join(folder, "model.onnx"))
        for index, size in enumerate(entry.sizes):
            feeds = samples(entry, size)
            with torch.no_grad():
                answers = flat(module(*feeds.values()))
            numpy.savez(os.path.join(folder, f"{index}-in.npz"), **{k: v.numpy() for k, v in feeds.items()})
            numpy.savez(os.path.join(folder, f"{index}-out.npz"), *[v.numpy() for v in answers])
    except Exception as problem:  # an exporter may raise anything; its words are the report
        reason = " ".join(f"{type(problem).__name__}: {problem}".split())
        cause = problem.__cause__
        while cause is not None:
            reason += " <- " + " ".join(f"{type(cause).__name__}: {cause}".split())[:600]
            cause = cause.__cause__
    with open(os.path.join(folder, "export.json"), "w", encoding="utf-8") as file:
        json.dump({"stamp": stamp(name), "reason": reason}, file)
    return reason


def exported(name, folder):
    """(True, why PyTorch did not export or None) when the folder is up to date, else (False, None)."""
    try:
        with open(os.path.join(folder, "export.json"), encoding="utf-8") as file:
            record = json.load(file)
    except (OSError, ValueError):
        return False, None
    return record["stamp"] == stamp(name), record["reason"]
