"""Errors of denoisers on data that are a mixture of Gaussians, with little chance in them.

The exact denoiser finds eps* = E[eps | x_t], so that what any other adds to its error is how far it is from that:

    E|eps - eps_theta|^2 = E|eps - eps*|^2 + E|eps* - eps_theta|^2,
    E|eps - eps*|^2 = alpha_bar_t / (1 - alpha_bar_t) E Var(x_0 | x_t).

Both are known for every x_t (mixture.py), and no draw of eps is left in them but through x_t. ``measure_errors`` needs
no such knowledge, and is a percent off for a few thousand points: on the plane that is more than what is looked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch

from diffusion import process
from diffusion.denoiser import Denoiser
from diffusion.losses.curve import DECODER_POINTS, ErrorCurve
from diffusion.losses.measure import bit_reversed
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
    level, which are visited as by ``measure_errors``; all on the same x_t, others at every level.

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
    levels = np.asarray(alpha_bars, dtype=np.float64)
    log_snr = np.log(levels) - np.log1p(-levels)
    found = {name: np.full((2, len(levels)), np.nan) for name in denoisers}  # means, and their standard errors
    for i in bit_reversed(len(levels)):
        alpha_bar = float(levels[i])
        x_0, _ = mixture.draw(draws, generator)
        x_t = process.q_sample(x_0, alpha_bar, torch.randn(x_0.shape, generator=generator))
        snr = alpha_bar / (1 - alpha_bar)
        least = snr * exact.variance(x_t.double(), alpha_bar) / dimensions
        best = exact(x_t.double(), alpha_bar)
        for name, denoiser in denoisers.items():
            error = least + (denoiser(x_t, alpha_bar).double() - best).square().flatten(1).mean(1)
            found[name][:, i] = float(error.mean()), float(error.std()) / draws**0.5
        yield {name: _curve(log_snr, values, mean_square, dimensions) for name, values in found.items()}


def _curve(log_snr: Array, found: Array, mean_square: float, dimensions: int) -> ErrorCurve:
    """Of the levels that were measured so far."""
    mean, spread = found
    known = np.isfinite(mean)
    unknown = np.full((int(known.sum()), DECODER_POINTS), np.nan)  # L_0 over grey levels, which these data have not
    return ErrorCurve(log_snr[known], mean[known], spread[known], unknown, mean_square, dimensions)
