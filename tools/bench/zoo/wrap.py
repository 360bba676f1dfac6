# SPDX-License-Identifier: Apache-2.0
"""A transformers model as a module of plain tensors."""
import torch
from torch import nn


class Wrap(nn.Module):
    """Passes its inputs by name and answers with tensors only; `keep` picks among the answers."""

    def __init__(self, kind, config, names, keep=None, attention="eager", **fixed):
        super().__init__()
        config._attn_implementation = attention
        config._experts_implementation = "batched_mm"
        self.model, self.names, self.keep, self.fixed = kind(config), names, keep, fixed

    def forward(self, *inputs):
        answers = self.model(**dict(zip(self.names, inputs)), **self.fixed, return_dict=True)
        found = [(k, v) for k, v in answers.items() if self.keep is None or k in self.keep]
        kept = [v for _, v in found if isinstance(v, torch.Tensor)]
        return tuple(kept) if len(kept) > 1 else kept[0]
