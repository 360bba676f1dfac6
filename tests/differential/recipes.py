# SPDX-License-Identifier: Apache-2.0
"""All recipes, and which operators they cover."""
import os
import re

import onnx
import recipes_generator  # noqa: F401
import recipes_image  # noqa: F401
import recipes_math  # noqa: F401
import recipes_ml  # noqa: F401
import recipes_nn  # noqa: F401
import recipes_quantization  # noqa: F401
import recipes_reduction  # noqa: F401
import recipes_rnn  # noqa: F401
import recipes_sequence  # noqa: F401
import recipes_tensor  # noqa: F401
import recipes_text  # noqa: F401
import recipes_training  # noqa: F401
from draw import RECIPES

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ELSEWHERE = {"Gradient"}  # the gradients of operators have tests of their own


def registered():
    """Those with a schema: no file may contain the internal ones."""
    known = {schema.name for schema in onnx.defs.get_all_schemas_with_history()}
    with open(os.path.join(ROOT, "ops", "ops.def"), encoding="utf-8") as file:
        return sorted(set(re.findall(r"^SDX_OP\((\w+)\)", file.read(), re.M)) & known)


def covered():
    return [name for name in registered() if name in RECIPES]


def missing():
    return [name for name in registered() if name not in RECIPES and name not in ELSEWHERE]
