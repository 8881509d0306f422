"""How the pixel values of a run develop, beside what the forward process has at the same levels.

If x_0 has mean m and variance v over all pixels of all images, x_t has (Ho et al. 2020, eq. 4)

    mean = sqrt(alpha_bar_t) m,    variance = alpha_bar_t v + 1 - alpha_bar_t.

A sampler that keeps to the data's distribution stays on these; too little noise, or too few steps, shows in the
deviation first.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation over all pixels of all images."""

    mean: float
    std: float


def moments(x: Tensor) -> Moments:
    """Those of x, of any shape. Reads from the device: on a GPU this waits for it."""
    return Moments(x.double().mean().item(), x.double().std(correction=0).item())


def expected(data: Moments, alpha_bar: float) -> Moments:
    """Those of x_t where the images have those of ``data``."""
    return Moments(alpha_bar**0.5 * data.mean, (alpha_bar * data.std**2 + 1 - alpha_bar) ** 0.5)


def distance(a: Tensor, b: Tensor) -> float:
    """Root mean square of a - b, a pixel."""
    return (a - b).double().square().mean().sqrt().item()
