# SPDX-License-Identifier: Apache-2.0
"""What the training tests share: nets as ONNX, training through the command line, counting."""
import json
import os
import subprocess
import traceback

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 22


class Net:
    """A graph that grows layer by layer; weights start as PyTorch's layers do, from a seed."""

    def __init__(self, inputs, seed=0, dtype=numpy.float32):
        self.random, self.dtype = numpy.random.default_rng(seed), dtype
        self.nodes, self.weights, self.counts = [], {}, {}
        self.inputs = inputs if isinstance(inputs, dict) else {"x": inputs}
        self.at = next(iter(self.inputs))

    def name(self, kind):
        self.counts[kind] = self.counts.get(kind, 0) + 1
        return f"{kind}{self.counts[kind]}"

    def weight(self, name, value, dtype=None):
        self.weights[name] = numpy.asarray(value, dtype=dtype or self.dtype)
        return name

    def add(self, op, name, inputs, n_out=1, **attributes):
        outputs = [name + "_out"] + [f"{name}_out{k}" for k in range(1, n_out)]
        self.nodes.append(helper.make_node(op, [self.at] + inputs, outputs, name=name, **attributes))
        self.at = outputs[0]
        return self

    def uniform(self, shape, fan_in):
        bound = 1 / numpy.sqrt(fan_in)
        return self.random.uniform(-bound, bound, shape)

    def linear(self, n_in, n_out, name=None, zeros=False):
        name = name or self.name("fc")
        shape = (n_out, n_in)
        w = self.weight(f"{name}.weight", numpy.zeros(shape) if zeros else self.uniform(shape, n_in))
        b = self.weight(f"{name}.bias", numpy.zeros(n_out) if zeros else self.uniform(n_out, n_in))
        return self.add("Gemm", name, [w, b], transB=1)

    def conv(self, n_in, n_out, kernel=3, stride=1, pad=1, name=None):
        name = name or self.name("conv")
        fan = n_in * kernel * kernel
        w = self.weight(f"{name}.weight", self.uniform((n_out, n_in, kernel, kernel), fan))
        b = self.weight(f"{name}.bias", self.uniform(n_out, fan))
        return self.add("Conv", name, [w, b], kernel_shape=[kernel] * 2, pads=[pad] * 4, strides=[stride] * 2)

    def norm(self, kind, channels, spatial=()):
        if kind is None:
            return self
        name = self.name("norm")
        if kind == "layer":
            shape = (channels, *spatial)
            return self.add("LayerNormalization", name, [self.weight(f"{name}.weight", numpy.ones(shape)),
                                                         self.weight(f"{name}.bias", numpy.zeros(shape))],
                            axis=1, epsilon=1e-5)
        affine = [self.weight(f"{name}.weight", numpy.ones(channels)), self.weight(f"{name}.bias", numpy.zeros(channels))]
        if kind == "instance":
            return self.add("InstanceNormalization", name, affine, epsilon=1e-5)
        if kind == "group":
            return self.add("GroupNormalization", name, affine, num_groups=4, epsilon=1e-5)
        state = [self.weight(f"{name}.running_mean", numpy.zeros(channels)),
                 self.weight(f"{name}.running_var", numpy.ones(channels))]
        return self.add("BatchNormalization", name, affine + state, epsilon=1e-5, momentum=0.9)

    def relu(self):
        return self.add("Relu", self.name("relu"), [])

    def dropout(self, ratio):
        name = self.name("drop")
        return self.add("Dropout", name, [self.weight(f"{name}.ratio", numpy.asarray(ratio), numpy.float32)])

    def pool(self, kernel=2):
        return self.add("MaxPool", self.name("pool"), [], kernel_shape=[kernel] * 2, strides=[kernel] * 2)

    def flatten(self):
        return self.add("Flatten", self.name("flat"), [], axis=1)

    def save(self, path, output="logits", rank=2):
        self.nodes[-1].output[0] = output
        kind = helper.np_dtype_to_tensor_dtype(numpy.dtype(self.dtype))
        inputs = [helper.make_tensor_value_info(name, kind, ["N", *shape]) for name, shape in self.inputs.items()]
        outputs = [helper.make_tensor_value_info(output, kind, ["N"] + [None] * (rank - 1))]
        weights = [numpy_helper.from_array(value, name) for name, value in self.weights.items()]
        graph = helper.make_graph(self.nodes, "net", inputs, outputs, weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
        onnx.checker.check_model(model)
        onnx.save(model, path)
        return path


def weights_of(path):
    """Every initializer of a file."""
    return {t.name: numpy_helper.to_array(t) for t in onnx.load(path).graph.initializer}


class Tool:
    """The command line, in a folder of its own."""

    def __init__(self, sardonyx, folder):
        self.sardonyx, self.folder = os.path.abspath(sardonyx), folder
        os.makedirs(folder, exist_ok=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *words, expect=0):
        done = subprocess.run([self.sardonyx, *map(str, words)], capture_output=True, text=True, check=False)
        if done.returncode != expect:
            raise AssertionError(f"sardonyx {' '.join(map(str, words))}: status {done.returncode}, not {expect}: "
                                 f"{done.stderr.strip()[-800:]}")
        return done

    def arrays(self, name, **arrays):
        path = self.path(name)
        numpy.savez(path, **arrays)
        return path

    def config(self, name, config):
        path = self.path(name)
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        return path

    def train(self, name, model, config, data, valid=None, words=()):
        """Trains; returns (what --json says, weights of the result, path of the result)."""
        out = self.path(f"{name}-trained.onnx")
        more = ["--valid", valid] if valid else []
        done = self.run("train", model, "-c", self.config(f"{name}.json", config), "--data", data, *more, "-o", out,
                        "--json", "-q", *words)
        return json.loads(done.stdout), weights_of(out), out

    def eval(self, name, model, config, data):
        done = self.run("eval", model, "-c", self.config(f"{name}-eval.json", config), "--data", data, "--json", "-q")
        return json.loads(done.stdout)


class Report:
    """Runs the cases whose name contains one of the words; prints a line each, and counts."""

    def __init__(self, words):
        self.words, self.passed, self.failed = words, 0, 0

    def case(self, name, test, *arguments):
        if self.words and not any(word in name for word in self.words):
            return
        try:
            said = test(*arguments)
        except Exception as problem:  # pylint: disable=broad-except
            self.failed += 1
            where = traceback.extract_tb(problem.__traceback__)[-1]
            print(f"FAIL {name}: {type(problem).__name__}: {problem} (line {where.lineno})", flush=True)
            return
        self.passed += 1
        print(f"pass {name}{': ' + said if said else ''}", flush=True)

    def end(self):
        print(f"{self.passed} passed, {self.failed} failed, 0 skipped")
        return 1 if self.failed else 0


def close(found, expected, bound, what):
    """max|a - b| <= bound max|b|; returns the figure."""
    found, expected = numpy.asarray(found, numpy.float64), numpy.asarray(expected, numpy.float64)
    assert found.shape == expected.shape, f"{what}: shape {found.shape}, not {expected.shape}"
    error = numpy.abs(found - expected).max() / max(numpy.abs(expected).max(), 1e-30)
    assert error <= bound, f"{what}: relative error {error:.3g}, at most {bound:g} allowed"
    return error
