"""Errors of denoisers on data that are a mixture of Gaussians, with little chance in them.

The exact denoiser finds eps* = E[eps | x_t], so that what any other adds to its error is how far it is from that:

    E|eps - eps_theta|^2 = E|eps - eps*|^2 + E|eps* - eps_theta|^2,
    E|eps - eps*|^2 = alpha_bar_t / (1 - alpha_bar_t) E Var(x_0 | x_t).

Both are known for every x_t (mixture.py), and no draw of eps is left in them but through x_t. ``measure_errors`` needs no
such knowledge, and is a percent off for a few thousand points: on the plane that is more than what is looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from diffusion import process
from diffusion.denoiser import Denoiser
from diffusion.losses.curve import DECODER_POINTS, ErrorCurve
from diffusion.mixture import Mixture, MixtureDenoiser
from diffusion.schedules.schedule import Array


@torch.inference_mode()
def measure_on_mixture(
    denoisers: Mapping[str, Denoiser],
    mixture: Mixture,
    alpha_bars: Sequence[float] | Array,
    *,
    draws: int,
    seed: int = 0,
) -> Iterator[dict[str, ErrorCurve]]:
    """Measure E|eps - eps_theta|^2 / D of each denoiser at each noise level, yielding the curves so far after every
    level; all on the same x_t, which are others at every level.

    Args:
        alpha_bars: noise levels in (0, 1), descending.
        draws: x_t at each.
    """
    generator = torch.Generator().manual_seed(seed)
    dimensions = mixture.dimensions
    fine = replace(mixture, centres=mixture.centres.double(), weights=mixture.prior.double())
    exact = MixtureDenoiser(fine)
    mean, variance = fine.moments()
    mean_square = float((mean.square() + variance).mean())
    log_snr: list[float] = []
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in denoisers}
    for alpha_bar in map(float, alpha_bars):
        x_0, _ = mixture.draw(draws, generator)
        x_t = process.q_sample(x_0, alpha_bar, torch.randn(x_0.shape, generator=generator))
        snr = alpha_bar / (1 - alpha_bar)
        least = snr * exact.variance(x_t.double(), alpha_bar) / dimensions
        best = exact(x_t.double(), alpha_bar)
        log_snr.append(float(np.log(alpha_bar) - np.log1p(-alpha_bar)))
        for name, denoiser in denoisers.items():
            error = least + (denoiser(x_t, alpha_bar).double() - best).square().flatten(1).mean(1)
            found[name].append((float(error.mean()), float(error.std()) / draws**0.5))
        yield {name: _curve(log_snr, values, mean_square, dimensions) for name, values in found.items()}


def _curve(
    log_snr: Sequence[float], values: Sequence[tuple[float, float]], mean_square: float, dimensions: int
) -> ErrorCurve:  # fmt: skip
    mean, spread = np.array(values).T
    unknown = np.full((len(mean), DECODER_POINTS), np.nan)  # L_0 over grey levels, which these data have not
    return ErrorCurve(np.array(log_snr), mean, spread, unknown, mean_square, dimensions)
