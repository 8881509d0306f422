"""One pass of a network over images at many noise levels, and every loss follows from it without asking it again.

``measure_errors`` gives the raw errors by level, finer with every level that is done, so that a pass can be watched
and stopped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from diffusion import process
from diffusion.denoiser import Denoiser
from diffusion.losses.curve import DECODER_LOG_SNR, DECODER_POINTS, DECODER_RATIOS, ErrorCurve
from diffusion.losses.likelihood import decoder_nll
from diffusion.schedules.schedule import LOG_SNR_END, Array, Schedule


def measuring_levels(schedule: Schedule, count: int, seed: int = 0) -> Array:
    """Noise levels to measure at, (count,) alpha_bar, descending: from t = 1 of a schedule to where nothing is left.

    Both ends, and stratified in log-SNR: one drawn from each of count - 2 equal parts between them, so that no run of
    steps goes unseen and none is seen twice. The ends are within -12 ... 12.
    """
    high, low = min(float(schedule.log_snr[1]), LOG_SNR_END), -LOG_SNR_END
    u = np.random.default_rng(seed).random(max(count - 2, 0))
    inner = high + (np.arange(len(u)) + u) / max(len(u), 1) * (low - high)
    log_snr = np.concatenate(([high], inner, [low]))[:count]
    return 1 / (1 + np.exp(-log_snr))


@torch.inference_mode()
def measure_errors(
    denoiser: Denoiser,
    images: Tensor,
    alpha_bars: Sequence[float] | Array,
    *,
    labels: Tensor | None = None,
    noises: int = 1,
    seed: int = 0,
    batch: int = 64,
    decoder: bool = True,
) -> Iterator[ErrorCurve]:
    """Measure E|eps - eps_theta|^2 / D at each noise level, yielding the curve so far after every level.

    The levels are visited in bit-reversed order, so that an early stop leaves a coarse curve rather than half of one.
    The same eps are used at every level, and for every denoiser with the same seed: a curve is then smooth where the
    error is, and two can be compared draw by draw.

    Args:
        images: (B, C, H, W) float32 in [-1, 1], where the denoiser is asked.
        alpha_bars: noise levels in (0, 1).
        noises: draws of eps for each image.
        decoder: whether L_0 is wanted too.
    """
    device = images.device
    generator = torch.Generator().manual_seed(seed)
    x_0 = images.repeat(noises, 1, 1, 1)
    eps = torch.randn(x_0.shape, generator=generator).to(device)
    label = None if labels is None else torch.cat([labels] * noises).to(device)
    batches = [slice(start, start + batch) for start in range(0, len(x_0), batch)]
    levels = np.asarray(alpha_bars, dtype=np.float64)
    log_snr = np.log(levels) - np.log1p(-levels)
    mean, spread = np.full((2, len(levels)), np.nan)
    last = np.full((len(levels), DECODER_POINTS), np.nan)
    for i in bit_reversed(len(levels)):
        alpha_bar = float(levels[i])
        errors, residuals = [], []
        for some in batches:
            x_t = process.q_sample(x_0[some], alpha_bar, eps[some])
            found = denoiser(x_t, alpha_bar, None if label is None else label[some])
            errors.append((found - eps[some]).square().flatten(1).mean(1))
            if decoder and log_snr[i] >= DECODER_LOG_SNR:
                residuals.append(x_0[some] - process.x0_from_eps(x_t, found, alpha_bar))
        # An image's draws first: they are no more images.
        each = torch.cat(errors).double().view(noises, -1).mean(0).cpu()
        if len(each) == 1:
            each = torch.cat(errors).double().cpu()
        mean[i] = each.mean().item()
        spread[i] = each.std().item() / len(each) ** 0.5 if len(each) > 1 else 0.0
        if residuals:
            last[i] = decoder_by_variance(x_0.cpu(), torch.cat(residuals).cpu(), alpha_bar)
        kept = np.flatnonzero(np.isfinite(mean))
        kept = kept[np.argsort(-log_snr[kept])]
        yield ErrorCurve(
            log_snr[kept], mean[kept], spread[kept], last[kept],
            mean_square=images.cpu().double().square().mean().item(), dimensions=math.prod(images.shape[1:]),
        )  # fmt: skip


@torch.inference_mode()
def find_noise(
    denoiser: Denoiser,
    x_0: Tensor,
    eps: Tensor,
    alpha_bars: Array,
    *,
    label: Tensor | None = None,
    batch: int = 32,
    device: torch.device | str = "cpu",
) -> Tensor:
    """What a denoiser finds in one image with one noise at each level: eps_theta(x_t), (N, C, H, W).

    Args:
        x_0, eps: (C, H, W).
        alpha_bars: (N,) noise levels in (0, 1).
        label: of the image, () or (conditions,) int64; None says nothing.
    """
    found = []
    for level in torch.as_tensor(alpha_bars, dtype=torch.float64).split(batch):
        # In float64 until it is x_t: 1 - alpha_bar has few digits left in float32 at small t.
        x_t = process.q_sample(x_0[None], level[:, None, None, None], eps[None]).float()
        labels = None if label is None else label.expand(len(level), *label.shape).to(device)
        found.append(denoiser(x_t.to(device), level, labels).cpu())
    return torch.cat(found)


def decoder_by_variance(x_0: Tensor, residual: Tensor, alpha_bar: float) -> Array:
    """L_0 in nats a dimension at each of the variances of an ``ErrorCurve``, (DECODER_POINTS,).

    It depends on a pixel's residual x_0 - mean, and on whether x_0 is black or white, whose bins have no outer end.
    Residuals are shared out among 2001 points, closer together near zero, as in linear interpolation; the points take
    the place of the pixels, some hundred times fewer to compute with, and the result keeps five digits.
    """
    off = residual.double().flatten()
    edge = x_0.flatten().abs() > 0.999
    outwards = torch.where(edge, -off * x_0.flatten().sign(), off.abs())  # white is black in the mirror
    finest = 1 / 2550
    points = torch.linspace(-1, 1, 2001, dtype=torch.float64) * math.asinh(4 / finest)
    place = (torch.asinh(outwards.clamp(-4, 4) / finest) - points[0]) / (points[1] - points[0])
    left = place.floor().clamp(0, len(points) - 2).long()
    nats = np.zeros(DECODER_POINTS)
    for kind, value in ((edge, -1.0), (~edge, 0.0)):
        share, at = (place - left)[kind], left[kind]
        count = torch.bincount(at, 1 - share, len(points)) + torch.bincount(at + 1, share, len(points))
        used = count > 0
        pixel = torch.full((int(used.sum()), 1), value, dtype=torch.float64)
        mean = pixel - points[used, None].sinh() * finest
        for k, ratio in enumerate(DECODER_RATIOS):
            nll = decoder_nll(pixel, mean, math.sqrt(ratio * (1 - alpha_bar)))
            nats[k] += float((count[used] * nll).sum())
    return nats / len(off)


def bit_reversed(n: int) -> list[int]:
    """0 ... n-1, both ends first and then each gap halved: the van der Corput order, for any n."""
    bits = max(1, (n - 1).bit_length())
    order = sorted(range(1 << bits), key=lambda i: int(f"{i:0{bits}b}"[::-1], 2))
    inner = [i for i in order if i < n]
    return list(dict.fromkeys([0, n - 1, *inner]))
