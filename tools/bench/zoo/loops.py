# SPDX-License-Identifier: Apache-2.0
"""Control flow: branches, loops and scans."""
import torch
from torch import nn
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop

from zoo import BATCHES, TEXTS, add


class Branch(nn.Module):
    """torch.cond on data, nested once; both branches see what is outside."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x):
        def inner(x):
            return torch.cond(x.sum() > 4, lambda x: self.left(x).relu(), lambda x: x - 1, (x,))
        return torch.cond(x.mean() > 0, inner, lambda x: self.right(x).tanh(), (x,))


class Newton(nn.Module):
    """Square roots by Newton's method until they move less than a bound."""

    def forward(self, x):
        def going(step, y, change):
            return torch.logical_and(step < 30, change > 1e-5)

        def body(step, y, change):
            better = 0.5 * (y + x / y)
            return step + 1, better, (better - y).abs().max()
        return while_loop(going, body, (torch.tensor(0), torch.ones_like(x), torch.tensor(1.0)))[1]


class Selective(nn.Module):
    """A selective state space (Gu and Dao 2023, arXiv:2312.00752) as one scan over time."""

    def __init__(self, width=16, states=8):
        super().__init__()
        self.inputs = nn.Linear(width, 2 * width)
        self.step, self.b, self.c = nn.Linear(width, width), nn.Linear(width, states), nn.Linear(width, states)
        self.decay = nn.Parameter(torch.log(torch.arange(1.0, states + 1)).repeat(width, 1))
        self.skip, self.outputs = nn.Parameter(torch.ones(width)), nn.Linear(width, width)

    def forward(self, x):
        u, gate = self.inputs(x).chunk(2, -1)
        delta = nn.functional.softplus(self.step(u)).unsqueeze(-1)
        a = torch.exp(-delta * self.decay.exp())
        b = delta * self.b(u).unsqueeze(2) * u.unsqueeze(-1)

        def advance(h, slices):
            a_t, b_t = slices
            h = a_t * h + b_t
            return h, h.clone()
        start = torch.zeros(*b[:, 0].shape)
        _, states = scan(advance, start, (a.transpose(0, 1), b.transpose(0, 1)))
        y = (states.transpose(0, 1) * self.c(u).unsqueeze(2)).sum(-1) + self.skip * u
        return self.outputs(y * nn.functional.silu(gate))


class Running(nn.Module):
    """A loop and a branch as TorchScript: only the older exporter reads it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(x[0])
        for i in range(x.size(0)):
            total = total * 0.5 + x[i]
            if bool(total.sum() > 0):
                total = total - x[i].mean()
        return total


class Experts(nn.Module):
    """Tokens to their best two of four experts (Shazeer et al. 2017, arXiv:1701.06538), every expert on every token."""

    def __init__(self, width=16, experts=4):
        super().__init__()
        self.router = nn.Linear(width, experts)
        self.up = nn.Parameter(0.3 * torch.randn(experts, width, 2 * width))
        self.down = nn.Parameter(0.3 * torch.randn(experts, 2 * width, width))

    def forward(self, x):
        share, chosen = self.router(x).softmax(-1).topk(2, -1)
        share = share / share.sum(-1, keepdim=True)
        weight = torch.zeros_like(self.router(x)).scatter(-1, chosen, share)
        y = torch.einsum("bnd,edf->bnef", x, self.up).relu()
        return torch.einsum("bnef,efd,bne->bnd", y, self.down, weight)


UNTRACED = {"legacy": "torch.jit.trace a dynamo-optimized function"}
add("cond", Branch, {"x": ("f32", "b", 8)}, BATCHES, refused=UNTRACED)
add("while_loop", Newton, {"x": ("unit", "b", 5)}, BATCHES, refused=UNTRACED)
add("selective_scan", Selective, {"x": ("f32", "b", "n", 16)}, TEXTS, refused=UNTRACED)
add("script_loop", lambda: torch.jit.script(Running()), {"x": ("f32", "n", "b", 6)}, TEXTS,
    refused={"dynamo": "Exporting a ScriptModule is not supported"})
add("experts", Experts, {"x": ("f32", "b", "n", 16)}, TEXTS)
