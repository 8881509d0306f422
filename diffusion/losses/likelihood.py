"""The variational bound, term by term.

    -log p(x_0) <= L_T + sum_{t=2}^{T} L_{t-1} + L_0                                   (eq. 5)
    L_T     = KL(q(x_T | x_0) || N(0, I))
    L_{t-1} = KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t))
            = w_t |eps - eps_theta|^2 + extra_t,   w_t = beta_t^2 / (2 sigma_t^2 alpha_t (1 - alpha_bar_t))  (eq. 12)
    L_0     = -log p(x_0 | x_1), a Gaussian discretised over 256 grey levels           (eq. 13)

Of data that are continuous, as points of the plane are, L_0 is that Gaussian's density itself (``density_nll``), and
the bound one of -log of their density: it may be negative, and its least is their differential entropy.

extra_t is (beta~_t / sigma_t^2 - 1 - ln(beta~_t / sigma_t^2)) / 2 a dimension: zero for sigma_t^2 = beta~_t, more for
any other. Everything is in nats unless said otherwise; bits/dim divides by D ln 2.
Equations are those of Ho et al. 2020, arXiv 2006.11239.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import Tensor

from diffusion import process
from diffusion.denoiser import Denoiser
from diffusion.losses.weightings import kl_extra, loss_weight
from diffusion.schedules.schedule import Array, Schedule, Variance

N = TypeVar("N", float, Array)
Decoder = Callable[[Tensor, Tensor, float], Tensor]  # L_0 of (x_0, mean, sigma)


def prior_kl(x_0: Tensor, schedule: Schedule) -> Tensor:
    """L_T = KL(N(sqrt(abar_T) x_0, (1 - abar_T) I) || N(0, I)) of each image, nats, (B,)."""
    alpha_bar_T = float(schedule.alpha_bar[-1])
    per_pixel = alpha_bar_T * x_0.double().square() - alpha_bar_T - math.log1p(-alpha_bar_T)
    return per_pixel.flatten(1).sum(1) / 2


def decoder_nll(x_0: Tensor, mean: Tensor, sigma: float) -> Tensor:
    """L_0 = -log p(x_0 | x_1) of each image (eq. 13), nats, (B,).

    The Gaussian N(mean, sigma^2) is integrated over the bin of each grey level, 2/255 wide; the first and last bins
    reach to minus and plus infinity, so that the 256 probabilities sum to one.
    """
    x_0, mean = x_0.double(), mean.double()
    upper = torch.where(x_0 > 0.999, torch.inf, (x_0 + 1 / 255 - mean) / sigma)
    lower = torch.where(x_0 < -0.999, -torch.inf, (x_0 - 1 / 255 - mean) / sigma)
    # Work in the lower tail, where differences of tiny probabilities keep their digits.
    flip = lower + upper > 0
    low, high = torch.where(flip, -upper, lower), torch.where(flip, -lower, upper)
    log_low, log_high = torch.special.log_ndtr(low), torch.special.log_ndtr(high)
    log_probability = log_high + torch.log(-torch.expm1(log_low - log_high))
    return -log_probability.flatten(1).sum(1)


def density_nll(x_0: Tensor, mean: Tensor, sigma: float) -> Tensor:
    """L_0 = -ln N(x_0; mean, sigma^2 I) of each image of continuous data, nats, (B,)."""
    squares = (x_0.double() - mean.double()).square().flatten(1)
    return (squares / sigma**2 + math.log(2 * math.pi * sigma**2)).sum(1) / 2


def bits_per_dim(nats: N, dimensions: int) -> N:
    """nats / (D ln 2)."""
    return nats / (dimensions * math.log(2))


@torch.inference_mode()
def bound(
    denoiser: Denoiser,
    images: Tensor,
    schedule: Schedule,
    *,
    variance: Variance = "beta",
    labels: Tensor | None = None,
    seed: int = 0,
    decoder: Decoder = decoder_nll,
) -> dict[str, Tensor]:
    """The whole bound of each image with one noise a step, nats, (B,): ``L_T``, ``L_mid`` (t = 2 ... T), ``L_0``.

    Meant for small networks or few images: T calls to the denoiser. ``decoder``: ``density_nll`` for continuous data.
    """
    generator = torch.Generator().manual_seed(seed)
    middle = torch.zeros(len(images), dtype=torch.float64)
    weight, extra = loss_weight(schedule, variance), kl_extra(schedule, variance)
    dimensions = math.prod(images.shape[1:])
    for t in range(2, schedule.T + 1):
        alpha_bar = float(schedule.alpha_bar[t])
        eps = torch.randn(images.shape, generator=generator)
        found = denoiser(process.q_sample(images, alpha_bar, eps), alpha_bar, labels)
        error = (found - eps).double().square().flatten(1).sum(1)
        middle += weight[t] * error + dimensions * extra[t]
    return {"L_T": prior_kl(images, schedule), "L_mid": middle,
            "L_0": _last_term(denoiser, images, schedule, variance, labels, generator, decoder=decoder)}  # fmt: skip


@torch.inference_mode()
def estimate_bound(
    denoiser: Denoiser,
    images: Tensor,
    schedule: Schedule,
    generator: torch.Generator,
    *,
    draws: int = 10,
    variance: Variance = "beta",
    labels: Tensor | None = None,
    device: torch.device | str = "cpu",
) -> dict[str, Tensor]:
    """The terms of ``bound``, nats, (B,), from draws + 1 calls instead of T; each right on average.

    L_T and the part of L_mid that no network enters are exact, L_0 has one noise. The rest of L_mid is a sum over t
    of w_t |eps - eps_theta|^2, estimated by importance sampling: with p_t > 0 over t = 2 ... T,

        sum_t w_t |eps - eps_theta|^2 = E_{t ~ p} w_t / p_t |eps - eps_theta|^2,
        p_t = 4/5 w_t alpha_bar_t / sum_s w_s alpha_bar_s + 1/5 1 / (T - 1).

    ``draws`` steps are drawn for each image, one from each of as many parts of equal probability. alpha_bar_t is the
    best expected error where pixels are independent with unit variance; with images the summand varies little too, and
    with steps drawn evenly it varies a lot. The even part is for networks whose error does not fall with alpha_bar_t,
    as it need not where eps is predicted: steps near T would then be seldom drawn and count for much.

    Args:
        images: (B, C, H, W) float32 in [-1, 1], on the CPU.
        generator: of the steps and the noise, on the CPU.
        labels: (B,) int64, or None for the empty class.
    """
    device = torch.device(device)
    dimensions = math.prod(images.shape[1:])
    weight = torch.tensor(loss_weight(schedule, variance)[2:])
    alpha_bar = torch.tensor(schedule.alpha_bar[2:])
    share = 0.8 * weight * alpha_bar / (weight * alpha_bar).sum() + 0.2 / len(weight)
    ends = share.cumsum(0)
    middle = torch.full((len(images),), dimensions * float(kl_extra(schedule, variance)[2:].sum()), dtype=torch.float64)
    label = None if labels is None else labels.to(device)
    for part in range(draws):
        u = (part + torch.rand(len(images), generator=generator, dtype=torch.float64)) / draws
        i = torch.searchsorted(ends, u, right=True).clamp(max=len(ends) - 1)  # rounding may leave ends[-1] below one
        eps = torch.randn(images.shape, generator=generator)
        # In float64 until it is x_t: 1 - alpha_bar has few digits left in float32 at small t.
        x_t = process.q_sample(images, alpha_bar[i, None, None, None], eps).float()
        error = (denoiser(x_t.to(device), alpha_bar[i], label).cpu() - eps).double().square().flatten(1).sum(1)
        middle += weight[i] / share[i] * error / draws
    return {"L_T": prior_kl(images, schedule), "L_mid": middle,
            "L_0": _last_term(denoiser, images, schedule, variance, labels, generator, device)}  # fmt: skip


def _last_term(
    denoiser: Denoiser,
    images: Tensor,
    schedule: Schedule,
    variance: Variance,
    labels: Tensor | None,
    generator: torch.Generator,
    device: torch.device | str = "cpu",
    decoder: Decoder = decoder_nll,
) -> Tensor:
    """L_0 of each image with one noise, nats, (B,)."""
    alpha_bar_1 = float(schedule.alpha_bar[1])
    x_1 = process.q_sample(images, alpha_bar_1, torch.randn(images.shape, generator=generator))
    eps = denoiser(x_1.to(device), alpha_bar_1, None if labels is None else labels.to(device)).cpu()
    sigma = math.sqrt(schedule.decoder_variance(variance))
    return decoder(images, process.x0_from_eps(x_1, eps, alpha_bar_1), sigma)
