"""Sampling: which steps to take, one pure step, and one loop that yields every step.

    for step in sample(denoiser, schedule, (1, 32, 32), steps=timesteps(schedule.T, 50), seeds=range(16)):
        show(step.x_0)

Equation numbers without a source are those of Ho et al. 2020, arXiv 2006.11239; the update from t to any earlier s uses
alpha_{t|s} = alpha_bar_t / alpha_bar_s in place of alpha_t (see process.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusion import process
from diffusion.denoiser import Denoiser
from diffusion.schedule import Schedule, Variance

Spacing = Literal["leading", "linspace", "trailing"]
SPACINGS: tuple[Spacing, ...] = ("trailing", "linspace", "leading")


class SamplingError(ValueError):
    """A request that cannot be sampled; ``field`` names the setting to change."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def timesteps(T: int, count: int, spacing: Spacing = "trailing") -> list[int]:
    """``count`` of the steps 1 ... T, from the noisiest down; the step after the last is t = 0.

    leading:  1 + i floor(T / count): begins below T when count does not divide it, or count < T.
    linspace: 1 + round(i (T - 1) / (count - 1)): both ends.
    trailing: round(T - i T / count): always begins at T (Lin et al. 2023, arXiv 2305.08891, table 2).

    Raises:
        SamplingError: count outside 1 ... T, or an unknown spacing.
    """
    if not 1 <= count <= T:
        raise SamplingError("steps", f"Steps must lie between 1 and T = {T}, not {count}.")
    steps: NDArray[Any]
    match spacing:
        case "leading":
            steps = 1 + np.arange(count) * (T // count)
        case "linspace":
            # The lower end alone when there is one step would start from almost clean images.
            steps = 1 + np.round(np.linspace(0, T - 1, count)) if count > 1 else np.array([T])
        case "trailing":
            steps = np.round(np.arange(T, 0, -T / count))[:count][::-1]
        case _:
            raise SamplingError("spacing", f"There is no spacing {spacing!r}; choose one of {', '.join(SPACINGS)}.")
    return [int(t) for t in steps[::-1]]


class Update(Protocol):
    """One way to go from x_t to x_s, s < t, given the predicted x_0 and eps (which agree with x_t by eq. 4)."""

    def noise_variance(self, alpha_bar_t: float, alpha_bar_s: float) -> float:
        """Variance of the noise that the step adds; 0 when it is deterministic."""
        ...

    def mean(self, x_t: Tensor, x_0: Tensor, eps: Tensor, alpha_bar_t: float, alpha_bar_s: float) -> Tensor:
        """x_s before the noise is added."""
        ...


@dataclass(frozen=True)
class DDPM:
    """Ancestral sampling (Algorithm 2): the posterior mean (eq. 7), plus noise of variance

    beta_{t|s} ("beta") or beta~_{t|s} ("posterior"): the two ends of what fits the data, section 3.2.
    """

    variance: Variance = "beta"

    def noise_variance(self, alpha_bar_t: float, alpha_bar_s: float) -> float:
        if self.variance == "beta":
            return 1 - alpha_bar_t / alpha_bar_s
        return float(process.posterior_variance(alpha_bar_t, alpha_bar_s))

    def mean(self, x_t: Tensor, x_0: Tensor, eps: Tensor, alpha_bar_t: float, alpha_bar_s: float) -> Tensor:
        return process.posterior_mean(x_0, x_t, alpha_bar_t, alpha_bar_s)


@dataclass(frozen=True)
class DDIM:
    """Song et al. 2021, arXiv 2010.02502, eq. 12:

        x_s = sqrt(alpha_bar_s) x_0 + sqrt(1 - alpha_bar_s - sigma^2) eps + sigma z,    sigma^2 = eta^2 beta~_{t|s}.

    eta = 0 is deterministic; eta = 1 is DDPM with the posterior variance.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.eta <= 1:
            raise SamplingError("eta", f"eta must lie between 0 and 1, not {self.eta:g}.")

    def noise_variance(self, alpha_bar_t: float, alpha_bar_s: float) -> float:
        return self.eta**2 * float(process.posterior_variance(alpha_bar_t, alpha_bar_s))

    def mean(self, x_t: Tensor, x_0: Tensor, eps: Tensor, alpha_bar_t: float, alpha_bar_s: float) -> Tensor:
        # Rounding can push the difference a hair below zero at s = 0.
        direction = max(1 - alpha_bar_s - self.noise_variance(alpha_bar_t, alpha_bar_s), 0.0)
        return alpha_bar_s**0.5 * x_0 + direction**0.5 * eps


@dataclass(frozen=True)
class Step:
    """What one step did: from x_t at t to x_s at s.

    Args:
        index: 0 ... count - 1.
        count: how many steps are taken.
        t, s: the step it left and the one it reached; s = 0 at the end.
        x_t: (B, C, H, W) before the step.
        x_0, eps: predicted from x_t; after clipping, if there is any.
        x_s: after the step.
    """

    index: int
    count: int
    t: int
    s: int
    x_t: Tensor
    x_0: Tensor
    eps: Tensor
    x_s: Tensor


class NoiseSource:
    """Standard normal noise, one generator for each sample.

    Drawn on the CPU and one sample at a time, so that a sample is the same in any batch and on any device.
    """

    def __init__(self, seeds: Sequence[int], shape: tuple[int, int, int], device: torch.device) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._shape, self._device = shape, device

    def draw(self) -> Tensor:
        noise = torch.stack([torch.randn(self._shape, generator=generator) for generator in self._generators])
        return noise.to(self._device, non_blocking=True)


@torch.inference_mode()
def sample(
    denoiser: Denoiser,
    schedule: Schedule,
    shape: tuple[int, int, int],
    *,
    steps: Sequence[int],
    seeds: Sequence[int],
    labels: Tensor | None = None,
    update: Update = DDPM(),
    clip: bool = True,
    device: torch.device | str = "cpu",
) -> Iterator[Step]:
    """Run the reverse process from pure noise, yielding every step.

    Args:
        denoiser: asked for eps at each level; wrap it in ``Guided`` for guidance.
        schedule: gives alpha_bar at each step; need not be the one the network was trained on.
        shape: (C, H, W) of an image.
        steps: descending steps t in 1 ... T, see ``timesteps``; 0 is reached after the last.
        seeds: one for each sample; the sample depends on its seed alone.
        labels: (B,) int64 classes, or None for the empty class.
        update: DDPM(variance) or DDIM(eta).
        clip: keep the predicted x_0 in [-1, 1], as the paper's code does; eps is then made to agree with it.

    Raises:
        SamplingError: steps that do not descend within 1 ... T.
    """
    if not steps or any(s >= t for t, s in zip(steps, [*steps[1:], 0], strict=True)) or steps[0] > schedule.T:
        raise SamplingError("steps", f"Steps must descend from at most T = {schedule.T} to at least 1.")
    device = torch.device(device)
    labels = None if labels is None else labels.to(device)
    noise = NoiseSource(seeds, shape, device)
    x = noise.draw()
    for index, (t, s) in enumerate(zip(steps, [*steps[1:], 0], strict=True)):
        alpha_bar_t, alpha_bar_s = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[s])
        eps = denoiser(x, alpha_bar_t, labels)
        x_0 = process.x0_from_eps(x, eps, alpha_bar_t)
        if clip:
            x_0 = x_0.clamp(-1, 1)
            eps = process.eps_from_x0(x, x_0, alpha_bar_t)
        x_s = update.mean(x, x_0, eps, alpha_bar_t, alpha_bar_s)
        variance = update.noise_variance(alpha_bar_t, alpha_bar_s)
        if s > 0 and variance > 0:  # Algorithm 2: z = 0 in the last step
            x_s = x_s + variance**0.5 * noise.draw()
        yield Step(index, len(steps), t, s, x, x_0, eps, x_s)
        x = x_s
