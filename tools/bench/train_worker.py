# SPDX-License-Identifier: Apache-2.0
"""One side of train_versus.py in its own process, driven over pipes: a line in, a JSON line out.

commands: run N -> times of N steps in ms and the last loss;  memory -> resident and peak bytes;  quit
"""
import json
import os
import sys
import time
import warnings

import numpy

from worker import memory

warnings.filterwarnings("ignore")


def build(name):
    """The PyTorch model in training form and one batch."""
    import torch
    from torch import nn
    torch.manual_seed(0)

    class Basic(nn.Module):
        def __init__(self, n_in, n_out, stride):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False), nn.BatchNorm2d(n_out)
            self.conv2, self.bn2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False), nn.BatchNorm2d(n_out)
            self.skip = nn.Identity() if stride == 1 else nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

        def forward(self, x):
            return torch.relu(self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x))))) + self.skip(x))

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            layer = nn.TransformerEncoderLayer(256, 8, 1024, dropout=0.0, batch_first=True, activation="gelu")
            self.body, self.fc = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False), nn.Linear(256, 10)

        def forward(self, x):
            return self.fc(self.body(x).mean(1))

    if name == "resnet18":
        plan = [(64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1)]
        model = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1),
                              *[Basic(*row) for row in plan], nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))
        return model, torch.randn(16, 3, 224, 224), torch.randint(0, 1000, (16,))
    if name == "digits_cnn":
        layers, n = [], 1
        for k, width in enumerate((32, 64, 64)):
            layers += [nn.Conv2d(n, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()] + ([nn.MaxPool2d(2)] if k else [])
            n = width
        model = nn.Sequential(*layers, nn.Flatten(), nn.Dropout(0.3), nn.Linear(256, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 10))
        return model, torch.randn(64, 1, 8, 8), torch.randint(0, 10, (64,))
    return Encoder(), torch.randn(8, 128, 256), torch.randint(0, 10, (8,))


def export(name, path, data):
    import torch
    model, x, y = build(name)
    torch.onnx.export(model.train(), (x,), path, input_names=["x"], output_names=["logits"], dynamo=False, do_constant_folding=False,
                      training=torch.onnx.TrainingMode.TRAINING, dynamic_axes={"x": {0: "N"}, "logits": {0: "N"}}, opset_version=17)
    numpy.savez(data, x=x.numpy(), y=y.numpy())


def stepper(side, name, folder):
    """A function that makes one step and returns the loss, and what the process held before."""
    path, data = os.path.join(folder, f"train-{name}.onnx"), os.path.join(folder, f"train-{name}.npz")
    if side == "pytorch":
        import torch
        model, x, y = build(name)
        before = memory()["resident_bytes"]
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

        def step():
            loss = torch.nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss.item()
        return step, before
    import sardonyx
    arrays = dict(numpy.load(data))
    before = memory()["resident_bytes"]
    trainer = sardonyx.Trainer(path, {"optimizer": {"kind": "sgd", "lr": 0.01, "momentum": 0.9}})
    return (lambda: trainer.step(arrays).loss), before


def main():
    side, name, folder, threads = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
    path = os.path.join(folder, f"train-{name}.onnx")
    if not os.path.exists(path):
        import subprocess
        subprocess.run([sys.executable, "-c", f"import train_worker; train_worker.export({name!r}, {path!r}, {path[:-4] + 'npz'!r})"],
                       cwd=os.path.dirname(os.path.abspath(__file__)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    if side == "pytorch":
        import torch
        torch.set_num_threads(threads)
    step, before = stepper(side, name, folder)
    print(json.dumps({"before_bytes": before}), flush=True)
    for line in sys.stdin:
        command, *arguments = line.split()
        if command == "run":
            times, loss = [], 0
            for _ in range(int(arguments[0])):
                start = time.perf_counter()
                loss = step()
                times.append(1e3 * (time.perf_counter() - start))
            print(json.dumps({"times": times, "loss": loss}), flush=True)
        elif command == "memory":
            print(json.dumps(memory()), flush=True)
        else:
            break


if __name__ == "__main__":
    main()
