# SPDX-License-Identifier: Apache-2.0
"""Runs ONNX models with libsardonyx. numpy is the only dependency.

    import sardonyx
    session = sardonyx.InferenceSession("model.onnx")
    (scores,) = session.run(None, {"x": array})
"""
from sardonyx._library import SardonyxError
from sardonyx._session import InferenceSession, NodeArg, version

__all__ = ["InferenceSession", "NodeArg", "SardonyxError", "version"]
