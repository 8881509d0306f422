"""How far samples are from fresh data, where both are points and not pictures: no judge is needed."""

from __future__ import annotations

import torch
from torch import Tensor

SCALES = (0.05, 0.15, 0.5)  # of the kernels, in the units of the points
DIRECTIONS = 64


def kernel_distance(x: Tensor, y: Tensor, scales: tuple[float, ...] = SCALES) -> float:
    """The maximum mean discrepancy of two sets of points (Gretton et al. 2012, JMLR 13, eq. 3), a mean over scales:

        MMD^2 = E k(x, x') + E k(y, y') - 2 E k(x, y),  k(x, y) = exp(-|x - y|^2 / (2 scale^2)),

    without pairs of a point and itself, so that it is 0 on average where both are of the same distribution, and may be
    below. Bounded by 2.

    Args:
        x, y: (N, ...) and (M, ...), of as many values each; N and M at least 2.
    """
    parts = []
    for a, b in ((x, x), (y, y), (x, y)):
        square = torch.cdist(a.flatten(1), b.flatten(1)).square()
        kernel = torch.stack([(-square / (2 * scale**2)).exp() for scale in scales]).mean(0)
        total, pairs = kernel.sum(), kernel.numel()
        if a is b:
            total, pairs = total - len(a), pairs - len(a)  # k(x, x) = 1
        parts.append(total / pairs)
    return float(parts[0] + parts[1] - 2 * parts[2])


def sliced_wasserstein(x: Tensor, y: Tensor, directions: int = DIRECTIONS) -> float:
    """The Wasserstein distance W_1 of the two sets seen along a line, a mean over lines of all directions (Rabin et al.
    2011, Wasserstein barycenter and its application to texture mixing), in the units of the points.

    Along a line it is the mean distance of the points in their order; of sets of unlike sizes, of as many quantiles as
    the smaller one has points.

    Args:
        x, y: (N, 2, 1, 1) and (M, 2, 1, 1).
        directions: evenly spread over half a turn.
    """
    angle = torch.pi * torch.arange(directions, dtype=x.dtype) / directions
    lines = torch.stack([angle.cos(), angle.sin()]).to(x)
    a, b = ((points.flatten(1) @ lines).sort(0).values for points in (x, y))
    if len(a) != len(b):
        at = (torch.arange(min(len(a), len(b)), dtype=x.dtype) + 0.5) / min(len(a), len(b))
        a, b = (torch.quantile(values, at.to(values), dim=0) for values in (a, b))
    return float((a - b).abs().mean())
