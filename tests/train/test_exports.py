#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What `sardonyx check --train` says of the parameters of nets that both of PyTorch's exporters wrote.

usage: test_exports.py SARDONYX FOLDER [PART_OF_NAME...]

Expected are PyTorch's own names: every parameter and running statistic of the module under its name, with its role and
its size; nothing else. Where an exporter folds or fuses tensors, the case says what is left. What the exporters make:
the older one ("legacy") cannot export channel and alpha dropout in training form, nor InstanceNorm with running
statistics; the newer one ("dynamo") writes those dropouts out with RandomUniformLike, folds BatchNorm into a
convolution before it even in training form, and both leave Dropout out of evaluation form.
"""
import contextlib
import io
import json
import logging
import os
import subprocess
import sys
import warnings

import torch
from torch import nn

CASES = []
ROLES = {"Linear": ("kernel", "bias"), "Conv1d": ("kernel", "bias"), "Conv2d": ("kernel", "bias"),
         "Conv3d": ("kernel", "bias"), "ConvTranspose2d": ("kernel", "bias"), "Embedding": ("embedding", ""),
         "PReLU": ("other", ""), "NonDynamicallyQuantizableLinear": ("kernel", "bias")}


def case(name, make, shape, forms=("eval", "train"), exporters=("legacy", "dynamo"), change=None, notes=None,
         fixed=False, whole=None):
    """change[exporter or "exporter form"]: {path: None (gone), or (other path, role)}; notes: words for a form."""
    CASES.append((name, make, shape, forms, exporters, change or {}, notes or {}, fixed, whole))


def role_of(module, leaf):
    kind = type(module).__name__
    if leaf.startswith("running_"):
        return "state"
    if "Norm" in kind:
        return "scale" if leaf == "weight" else "shift"
    if kind in ("LSTM", "GRU", "RNN"):
        return "kernel" if "_ih" in leaf and "weight" in leaf else "recurrent" if "weight" in leaf else "bias"
    if kind == "MultiheadAttention":
        return "bias" if "bias" in leaf else "kernel"
    weight, bias = ROLES.get(kind, ("other", "other"))
    return bias if leaf == "bias" else weight


def expected(net, form, exporter, change):
    roles = {}
    for prefix, module in net.named_modules():
        tensors = dict(module.named_parameters(recurse=False))
        tensors.update({k: v for k, v in module.named_buffers(recurse=False) if k.startswith("running_")})
        for leaf, tensor in tensors.items():
            roles[f"{prefix}.{leaf}" if prefix else leaf] = (role_of(module, leaf), tensor.numel())
    for key in (exporter, f"{exporter} {form}", form):
        for path, to in change.get(key, {}).items():
            role, count = roles.pop(path)
            if to:
                roles[to[0]] = (to[1] or role, to[2] if len(to) > 2 else count)
    return roles


def after(*layers, channels=4, size=64):
    return nn.Sequential(nn.Conv2d(4, channels, 3), nn.ReLU(), *layers, nn.Flatten(), nn.Linear(size, 3))


IMAGE, ROW, SERIES, VOLUME = (2, 4, 6, 6), (2, 8), (2, 4, 6), (2, 4, 4, 4, 4)


def used(net):
    """Statistics as after some training, so that no two tensors are equal."""
    for module in net.modules():
        if getattr(module, "running_mean", None) is not None:
            module.running_mean.uniform_()
            module.running_var.uniform_(.5, 2)
        if "Norm" in type(module).__name__ and getattr(module, "weight", None) is not None:
            nn.init.uniform_(module.weight)
            nn.init.uniform_(module.bias) if getattr(module, "bias", None) is not None else None
    return net


TAUGHT = lambda: nn.Sequential(nn.Linear(8, 8), nn.Dropout(.4), nn.ReLU(), nn.Linear(8, 3), nn.Dropout(.5), nn.Sigmoid())
case("taught", TAUGHT, ROW, notes={"train": "2 Dropout nodes drop"})
case("bn1d", lambda: used(nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 3))), ROW,
     notes={"legacy": "statistics of the batch; running variances are unbiased"})
case("bn2d", lambda: used(after(nn.BatchNorm2d(4, eps=1e-3, momentum=.2))), IMAGE)
case("bn3d", lambda: used(nn.Sequential(nn.Conv3d(4, 4, 1), nn.ReLU(), nn.BatchNorm3d(4), nn.Flatten(),
                                        nn.Linear(256, 3))), VOLUME)
case("bn_fresh", lambda: after(nn.BatchNorm2d(4), nn.ReLU(), nn.BatchNorm2d(4)), IMAGE)
case("bn_without_affine", lambda: used(after(nn.BatchNorm2d(4, affine=False))), IMAGE)
case("bn_untracked", lambda: used(after(nn.BatchNorm2d(4, track_running_stats=False))), IMAGE, fixed=True)
case("instance_norm", lambda: after(nn.InstanceNorm2d(4)), IMAGE)
case("instance_norm_affine", lambda: used(after(nn.InstanceNorm2d(4, affine=True))), IMAGE)
case("group_norm", lambda: used(after(nn.GroupNorm(2, 4))), IMAGE)
case("group_norm_fresh", lambda: after(nn.GroupNorm(2, 4)), IMAGE)
case("group_norm_without_affine", lambda: after(nn.GroupNorm(2, 4, affine=False)), IMAGE)
case("layer_norm", lambda: used(nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8), nn.Linear(8, 3))), ROW)
case("layer_norm_of_planes", lambda: used(after(nn.LayerNorm([4, 4, 4]))), IMAGE)
case("layer_norm_without_affine",
     lambda: nn.Sequential(nn.Linear(8, 8), nn.LayerNorm(8, elementwise_affine=False), nn.Linear(8, 3)), ROW)
case("rms_norm", lambda: used(nn.Sequential(nn.Linear(8, 8), nn.RMSNorm(8), nn.Linear(8, 3))), ROW,
     exporters=("dynamo",))
DRAWN = {"train": "drawn by RandomUniformLike"}
case("dropout1d", lambda: nn.Sequential(nn.Conv1d(4, 4, 3), nn.Dropout1d(.3), nn.Flatten(), nn.Linear(16, 3)), SERIES,
     exporters=("dynamo",), notes=DRAWN)
case("dropout2d", lambda: after(nn.Dropout2d(.3)), IMAGE, exporters=("dynamo",), notes=DRAWN)
case("dropout3d", lambda: nn.Sequential(nn.Conv3d(4, 4, 1), nn.Dropout3d(.3), nn.Flatten(), nn.Linear(256, 3)), VOLUME,
     exporters=("dynamo",), notes=DRAWN)
case("alpha_dropout", lambda: after(nn.AlphaDropout(.3)), IMAGE, exporters=("dynamo",), notes=DRAWN)
case("feature_alpha_dropout", lambda: after(nn.FeatureAlphaDropout(.3)), IMAGE, exporters=("dynamo",), notes=DRAWN)
case("prelu", lambda: after(nn.PReLU(), nn.PReLU(4)), IMAGE)
case("deconvolution", lambda: nn.Sequential(nn.ConvTranspose2d(4, 2, 3), nn.Flatten(), nn.Linear(128, 3)), IMAGE)
case("of_series", lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1)), SERIES)


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.rnn = getattr(nn, kind)(6, 5, batch_first=True)
        self.fc = nn.Linear(5, 3)

    def forward(self, x):
        return self.fc(self.rnn(x)[0][:, -1])


FOLDED = {"rnn.weight_ih_l0": ("rnn.weight_ih", ""), "rnn.weight_hh_l0": ("rnn.weight_hh", ""),
          "rnn.bias_ih_l0": None}
for KIND, GATES in (("LSTM", 4), ("GRU", 3)):
    case(KIND.lower(), lambda kind=KIND: Recurrent(kind), SERIES, change={
        "legacy eval": {**FOLDED, "rnn.bias_hh_l0": ("rnn.bias", "", 10 * GATES)},
        "dynamo": {"rnn.bias_ih_l0": None, "rnn.bias_hh_l0": ("rnn.bias", "", 10 * GATES)}})


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.lin, self.out = nn.Embedding(11, 8), nn.Linear(8, 8), nn.Linear(8, 11, bias=False)
        self.out.weight = self.emb.weight

    def forward(self, x):
        return self.out(torch.tanh(self.lin(self.emb(x))))


# Folding turns the shared table into two tensors in evaluation form; in training form it stays one.
case("tied", Tied, (2, 5), whole=11, forms=("train",), exporters=("legacy",),
     change={"train": {"out.weight": None}})


class Encoder(nn.Module):
    """Layers of a fresh stack are equal; exporters merge them. pe is a buffer: no parameter, where the file says so."""

    def __init__(self, buffer):
        super().__init__()
        self.pos = nn.Parameter(torch.randn(1, 4, 8))
        if buffer:
            self.register_buffer("pe", torch.randn(1, 4, 8))
        self.cls = nn.Parameter(torch.zeros(1, 1, 8))
        self.enc = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, dropout=0., batch_first=True), 2)
        self.fc = nn.Linear(8, 3)

    def forward(self, x):
        x = x + self.pos + (self.pe if hasattr(self, "pe") else 0)
        return self.fc(self.enc(torch.cat([self.cls.expand(x.shape[0], -1, -1), x], 1))[:, 0])


DROPPED = {f"enc.layers.{k}.self_attn.out_proj.bias": None for k in (0, 1)}  # zeros: dynamo leaves them out
NAMELESS = {f"enc.layers.{k}.self_attn.in_proj_weight": (f"enc.layers.{k}.self_attn.weight", "") for k in (0, 1)}
case("encoder", lambda: Encoder(False), (2, 4, 8), forms=("eval",), change={"legacy": NAMELESS, "dynamo": DROPPED})
case("encoder_with_buffer", lambda: Encoder(True), (2, 4, 8), forms=("eval",), exporters=("dynamo",), change={"dynamo": DROPPED})


def export(net, x, exporter, opset, training, path, fixed):
    net.train(training)
    names = {"input_names": ["x"], "output_names": ["y"], "opset_version": opset}
    if exporter == "legacy":
        mode = torch.onnx.TrainingMode.TRAINING if training else torch.onnx.TrainingMode.EVAL
        axes = None if fixed else {"x": {0: "n"}}
        torch.onnx.export(net, (x,), path, dynamo=False, training=mode, do_constant_folding=not training,
                          dynamic_axes=axes, **names)
    else:
        shapes = None if fixed else ({0: torch.export.Dim("n", min=2)},)
        torch.onnx.export(net, (x,), path, dynamo=True, external_data=False, verbose=False, dynamic_shapes=shapes,
                          **names)



def differences(found, want, notes):
    got = {p["path"]: p for p in found.get("parameters", [])}
    bad = [f"{path}: missing ({role}, {count})" for path, (role, count) in want.items() if path not in got]
    for path, p in got.items():
        if path not in want:
            bad.append(f"{path}: {p['role']}, should not be one")
            continue
        count = 1
        for dim in p["shape"]:
            count *= dim
        if (p["role"], count) != want[path]:
            bad.append(f"{path}: {p['role']} of {count}, expected {want[path]}")
        if p["trained"] != (p["role"] != "state"):
            bad.append(f"{path}: trained is {p['trained']}")
    for problem in found["problems"]:
        bad.append(problem["message"])
    for words in notes:
        if not any(words in note for note in found.get("notes", [])):
            bad.append(f"no note says '{words}'")
    return bad


def run_case(tool, folder, entry, exporter, opset, form):
    name, make, shape, _, _, change, notes, fixed, whole = entry
    path = os.path.join(folder, f"{name}-{exporter}{opset}-{form}.onnx")
    torch.manual_seed(0)
    net = make()
    x = torch.randint(0, whole, shape) if whole else torch.randn(shape)
    want = expected(net, form, exporter, change)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        export(net, x, exporter, opset, form == "train", path, fixed)
    done = subprocess.run([tool, "check", path, "--train", "--json"], capture_output=True, text=True, timeout=120,
                          check=False)
    if not done.stdout:
        return [done.stderr.strip()]
    wanted = [words for key, words in notes.items() if key in (form, exporter)]
    return differences(json.loads(done.stdout), want, wanted)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
    from cases import run
    tool, folder = os.path.abspath(sys.argv[1]), sys.argv[2]
    os.makedirs(folder, exist_ok=True)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)

    def variants():
        for entry in CASES:
            for exporter in entry[4]:
                for opset in (17,) if exporter == "legacy" else (18, 21) if "norm" in entry[0] else (18,):
                    for form in entry[3]:
                        yield entry, exporter, opset, form
    run(((f"{one[0][0]} {one[1]} {one[2]} {one[3]}", lambda one=one: run_case(tool, folder, *one)) for one in variants()),
        sys.argv[3:])


if __name__ == "__main__":
    main()
