"""Distances of point sets against closed forms and against plain sums."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from diffusion.data.points import patterns
from diffusion.evaluation.distances import SCALES, kernel_distance, sliced_wasserstein


def normal(count: int, seed: int, mean: float = 0.0, std: float = 1.0) -> Tensor:
    return mean + std * torch.randn(count, 2, 1, 1, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_kernel_distance_is_the_mean_over_all_pairs() -> None:
    x, y = normal(5, 0), normal(4, 1, 0.5)

    def k(a: Tensor, b: Tensor) -> float:
        square = float((a - b).square().sum())
        return sum(math.exp(-square / (2 * scale**2)) for scale in SCALES) / len(SCALES)

    within = [sum(k(a, b) for a, b in itertools.permutations(set_, 2)) / (n * (n - 1)) for set_, n in ((x, 5), (y, 4))]
    across = sum(k(a, b) for a in x for b in y) / 20
    assert kernel_distance(x, y) == pytest.approx(sum(within) - 2 * across, rel=1e-9)


def test_of_gaussians_it_is_the_closed_one() -> None:
    """E k of two Gaussians in the plane is s^2 / (s^2 + a + b) exp(-|m|^2 / (2 (s^2 + a + b))), a, b variances."""
    x, y = normal(4000, 2, 0.0, 0.3), normal(4000, 3, 0.2, 0.5)

    def k(a: float, b: float, square: float) -> float:
        wide = [scale**2 + a + b for scale in SCALES]
        return sum(s**2 / w * math.exp(-square / (2 * w)) for s, w in zip(SCALES, wide, strict=True)) / len(SCALES)

    expected = k(0.09, 0.09, 0) + k(0.25, 0.25, 0) - 2 * k(0.09, 0.25, 2 * 0.2**2)
    assert kernel_distance(x, y) == pytest.approx(expected, abs=0.004) and expected > 0.03


def test_fresh_points_of_the_same_kind_are_near_and_others_are_far() -> None:
    kinds = patterns()
    for name, pattern in kinds.items():
        a, b = pattern.draw(1000, 0)[0], pattern.draw(1000, 1)[0]
        other = kinds["spiral" if name != "spiral" else "moons"].draw(1000, 2)[0]
        assert abs(kernel_distance(a, b)) < 0.004 < 0.008 < kernel_distance(a, other)
        assert sliced_wasserstein(a, b) < 0.04 < sliced_wasserstein(a, other)


def test_a_shift_is_seen_as_long_as_it_looks_along_each_line() -> None:
    x = normal(300, 4)
    shifted = x + torch.tensor([0.6, 0.8], dtype=torch.float64)[:, None, None]
    assert sliced_wasserstein(x, shifted) == pytest.approx(2 / math.pi, rel=1e-3)  # the mean of |cos|
    assert sliced_wasserstein(x, x) == 0


def test_sets_of_unlike_sizes_are_compared_by_their_quantiles() -> None:
    x = normal(400, 5)
    assert sliced_wasserstein(x, x.repeat_interleave(3, 0)) < 0.01
    assert sliced_wasserstein(x, x[:100]) == sliced_wasserstein(x[:100], x)
