"""The chain q(x_t | x_{t-1}) walked step by step, to be set against the closed form q(x_t | x_0).

Both say how the N pixel values of x_t are distributed, given x_0 (Ho et al. 2020, arXiv 2006.11239, eq. 2 and 4). With
a = sqrt(alpha_bar_t), b^2 = 1 - alpha_bar_t, and independent normal noise in every pixel

    mean of x_t over the pixels      = a mean(x_0)               +- b / sqrt(N)
    variance of x_t over the pixels  = a^2 var(x_0) + b^2        +- sqrt((4 a^2 b^2 var(x_0) + 2 b^4) / N)
    share of pixels in a bin         = mean_i P(a x_0i + b z in the bin)      +- sqrt(mean_i P_i (1 - P_i) / N)

where +- is one standard error. The first is exact, the second up to terms of order 1/N.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from diffusion import process
from diffusion.schedules.schedule import Array, Schedule


def walk(x_0: Tensor, schedule: Schedule, t: int, generator: torch.Generator) -> Iterator[tuple[int, Tensor]]:
    """(0, x_0), (1, x_1) ... (t, x_t): every step adds noise of its own (eq. 2).

    Args:
        x_0: any shape, float32.
    """
    x = x_0
    yield 0, x
    for s in range(1, t + 1):
        x = process.q_step(x, float(schedule.beta[s]), torch.randn(x.shape, generator=generator))
        yield s, x


@dataclass(frozen=True)
class Distribution:
    """How pixel values are distributed: mean, variance, and the share in each bin between ``edges``.

    Args:
        mean_error, variance_error, share_error: one standard error of each; zero for what was counted.
    """

    mean: float
    mean_error: float
    variance: float
    variance_error: float
    share: Array
    share_error: Array


def distribution_of(x: Tensor, edges: Array) -> Distribution:
    """The distribution that the values of x have."""
    values = x.double().flatten()
    share = np.histogram(values.numpy(), edges)[0] / values.numel()
    return Distribution(values.mean().item(), 0.0, values.var(correction=0).item(), 0.0, share, np.zeros_like(share))


def levels(x_0: Tensor) -> tuple[Array, Array]:
    """The values that x_0 has, at most 256 in an 8-bit picture, and how many pixel values are of each."""
    level, count = np.unique(x_0.double().numpy(), return_counts=True)
    return level, count.astype(np.float64)


def closed_form(level: Array, count: Array, alpha_bar_t: float, edges: Array) -> Distribution:
    """The distribution that the values of x_t have by q(x_t | x_0) (eq. 4), and by how much a sample strays from it.

    Args:
        level, count: (K,) the values that x_0 has and how many are of each, as ``levels`` finds them.
        alpha_bar_t: in [0, 1].
    """
    from scipy.special import ndtr  # takes long to import

    pixels = float(count.sum())
    part = count / pixels
    a, b = math.sqrt(alpha_bar_t), math.sqrt(1 - alpha_bar_t)
    mean = float(part @ level)
    spread = float(part @ (level - mean) ** 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        below = ndtr((edges - a * level[:, None]) / b) if b else (edges > level[:, None]).astype(np.float64)
    inside = np.diff(below, axis=1)
    return Distribution(
        mean=a * mean,
        mean_error=b / math.sqrt(pixels),
        variance=a**2 * spread + b**2,
        variance_error=math.sqrt((4 * a**2 * b**2 * spread + 2 * b**4) / pixels),
        share=part @ inside,
        share_error=np.sqrt(part @ (inside * (1 - inside)) / pixels),
    )
