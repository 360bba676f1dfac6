# SPDX-License-Identifier: Apache-2.0
"""Runs and trains ONNX models with libsardonyx. numpy is the only dependency.

    import sardonyx
    session = sardonyx.InferenceSession("model.onnx")
    (scores,) = session.run(None, {"x": array})

    trainer = sardonyx.Trainer("model.onnx", {"optimizer": {"kind": "adam", "lr": 1e-3}})
    print(trainer.step({"x": array, "y": labels}).loss)
    trainer.fit({"x": arrays, "y": labels}, progress=lambda now: print(now.epoch, now.loss))
    trainer.export("trained.onnx")
"""
from sardonyx._library import SardonyxError
from sardonyx._session import InferenceSession, NodeArg, version
from sardonyx._trainer import Parameter, Progress, StepResult, Trainer

__all__ = ["InferenceSession", "NodeArg", "Parameter", "Progress", "SardonyxError", "StepResult", "Trainer", "version"]
