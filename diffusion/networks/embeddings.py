"""What networks of any shape are told besides x_t, as vectors: the noise level, conditions, and a scale of guidance."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import Tensor, nn

M = TypeVar("M", nn.Conv2d, nn.Linear)


def zeroed(module: M) -> M:
    """A last layer that starts at zero lets every block begin as the identity."""
    nn.init.zeros_(module.weight)
    if module.bias is not None:
        nn.init.zeros_(module.bias)
    return module


class NoiseLevelEmbedding(nn.Module):
    """Sinusoids of log-SNR, then two linear layers, (B,) -> (B, width)."""

    frequencies: Tensor

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        # Periods from 0.5 to 100 over a log-SNR that runs from about -20 to 10: fine steps and the whole range.
        periods = torch.logspace(math.log10(0.5), math.log10(100.0), dim // 2)
        self.register_buffer("frequencies", 2 * math.pi / periods, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(dim, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, log_snr: Tensor) -> Tensor:
        angle = log_snr[:, None] * self.frequencies
        return self.mlp(torch.cat([angle.sin(), angle.cos()], dim=1))


class Labels(nn.Embedding):
    """The sum of what is known of each condition, (B, conditions) -> (B, width).

    The rows of all conditions are in one table, one condition's after the other's. The last row of each stands for
    "not said": any of them can be left out, and what guidance compares with is all of them left out.
    """

    first: Tensor
    empty: Tensor

    def __init__(self, sizes: tuple[int, ...], width: int) -> None:
        super().__init__(sum(sizes) + len(sizes), width)
        rows = torch.tensor([0, *(size + 1 for size in sizes)]).cumsum(0)
        self.register_buffer("first", rows[:-1], persistent=False)
        self.register_buffer("empty", torch.tensor(sizes), persistent=False)

    def forward(self, label: Tensor | None) -> Tensor:
        """label (B, conditions) int64, or (B,) of a single one; the size of a condition, or None, says nothing."""
        label = self.empty[None] if label is None else label.reshape(-1, len(self.empty))
        return super().forward(label + self.first).sum(1)


class GuidanceEmbedding(nn.Module):
    """The scale of classifier-free guidance, (B,) -> (B, width); zero at first, so that any network can be given it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mlp = nn.Sequential(nn.Linear(1, width), nn.SiLU(), zeroed(nn.Linear(width, width)))

    def forward(self, scale: Tensor) -> Tensor:
        return self.mlp(scale[:, None] - 1)
