"""From noise to images, step by step.

    plan = SamplingPlan(timesteps(schedule, 20), range(16), "dpmpp")
    for step in sample(denoiser, schedule, plan, (1, 32, 32)):
        show(step.x_0)

Equation numbers without a source are those of Ho et al. 2020, arXiv 2006.11239.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from diffusion import process
from diffusion.denoiser import Denoiser, Guided
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.clips import Clip, clipped
from diffusion.sampling.noise import NoiseSource
from diffusion.sampling.plan import Known, SamplingPlan, Shape
from diffusion.sampling.steps import count_steps
from diffusion.sampling.updates import Past
from diffusion.schedules.schedule import Schedule

# How many steps back the samplers look.
PAST = 2


@dataclass(frozen=True)
class Step:
    """What one step did: from x_t at t to x_s at s.

    Args:
        index: 0 ... count - 1.
        count: how many steps are taken.
        calls: how often the denoiser was asked so far, this step among them.
        t, s: the step it left and the one it reached; s = 0 at the end.
        x_t: (B, C, H, W) before the step; as corrected, by a sampler that does (UniPC).
        x_0: predicted from x_t; after clipping, if there is any.
        eps: what agrees with x_0 and x_t (eq. 4).
        eps_s: the same where the denoiser was asked again at s, by a sampler that does (Heun); else None.
        sigma: deviation of the noise that was added; 0 where there was none.
        z: standard normal, (B, C, H, W): sigma z is what was added; None where there was none.
        x_s: after the step; with ``known`` parts, if there are any, in their place.
    """

    index: int
    count: int
    calls: int
    t: int
    s: int
    x_t: Tensor
    x_0: Tensor
    eps: Tensor
    eps_s: Tensor | None
    sigma: float
    z: Tensor | None
    x_s: Tensor


class Predictor:
    """Asks a denoiser for x_0 and eps that agree with x_t, clipped, and counts how often."""

    def __init__(self, denoiser: Denoiser, labels: Tensor | None, clip: Clip) -> None:
        self._denoiser, self._labels, self._clip = denoiser, labels, clip
        self.calls = 0
        self.eps: Tensor | None = None  # as it was found last

    def __call__(self, x_t: Tensor, alpha_bar: float) -> tuple[Tensor, Tensor]:
        self.calls += 1
        eps = self._denoiser(x_t, alpha_bar, self._labels)
        x_0 = process.x0_from_eps(x_t, eps, alpha_bar)
        if self._clip != "none":
            x_0 = clipped(x_0, self._clip)
            eps = process.eps_from_x0(x_t, x_0, alpha_bar)
        self.eps = eps
        return x_0, eps


@runtime_checkable
class TakesGuidance(Protocol):
    """A denoiser that may take the scale of guidance as an input."""

    @property
    def takes_guidance(self) -> tuple[float, float] | None: ...

    def guided_by(self, scale: float) -> Denoiser: ...


def guided(denoiser: Denoiser, scale: float) -> Denoiser:
    """With guidance, if there is any: told to a denoiser that takes it as an input, and else by ``Guided``.

    Raises:
        SamplingError: a scale that such a denoiser was not taught, or a denoiser that does not say what leaves its
            conditions out, in ``empty``.
    """
    if scale == 1:
        return denoiser
    if isinstance(denoiser, TakesGuidance) and denoiser.takes_guidance is not None:
        low, high = denoiser.takes_guidance
        if not low <= scale <= high:
            raise SamplingError(
                "guidance", f"This network was taught guidance from {low:g} to {high:g}, not {scale:g}."
            )
        return denoiser.guided_by(scale)
    empty = getattr(denoiser, "empty", ())
    if not empty:
        raise SamplingError("guidance", "This denoiser has no classes to guide it to; leave guidance at 1.")
    return Guided(denoiser, scale, empty)


@torch.inference_mode()
def sample(
    denoiser: Denoiser, schedule: Schedule, plan: SamplingPlan, shape: Shape, device: torch.device | str = "cpu"
) -> Iterator[Step]:
    """Run the reverse process, yielding every step.

    Args:
        denoiser: asked for eps at each level. ``ExactDenoiser(images)`` is one too.
        schedule: gives alpha_bar at each step; need not be the one the network was trained on.
        shape: (C, H, W) of an image.

    Raises:
        SamplingError: a plan that does not fit the schedule, the images or the denoiser.
    """
    plan.check(schedule, shape)
    device, update = torch.device(device), plan.update
    labels = None if plan.labels is None else torch.tensor(plan.labels).to(device)
    predict = Predictor(guided(denoiser, plan.guidance), labels, plan.clip)
    noise = NoiseSource(plan.seeds, shape, device)
    x = noise.draw()
    if plan.start is not None:
        x = plan.start.to(device).expand_as(x)
    known = plan.known and Known(plan.known.image.to(device), plan.known.mask.to(device))
    past: tuple[Past, ...] = ()
    index, count = 0, count_steps(plan.steps)
    for t, s in pairwise([*plan.steps, 0]):
        alpha_bar_t, alpha_bar_s = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[s])
        if s > t:
            x = process.q_step(x, 1 - alpha_bar_s / alpha_bar_t, noise.draw())
            past = ()
            continue
        x_0, eps = predict(x, alpha_bar_t)
        # Going back to the step before would lose the known parts that were put in after it.
        corrected = x if known is not None else update.corrected(x, x_0, alpha_bar_t, past)
        if corrected is not x:
            x, eps = corrected, process.eps_from_x0(corrected, x_0, alpha_bar_t)
        before = predict.calls
        x_s = update.mean(x, x_0, eps, alpha_bar_t, alpha_bar_s, past, predict)
        eps_s = predict.eps if predict.calls > before else None
        # Algorithm 2: z = 0 in the last step.
        sigma = update.noise_variance(alpha_bar_t, alpha_bar_s) ** 0.5 if s > 0 else 0.0
        z = noise.draw() if sigma > 0 else None
        if z is not None:
            x_s = x_s + sigma * z
        if known is not None:
            given = process.q_sample(known.image, alpha_bar_s, noise.draw()) if s > 0 else known.image
            x_s = known.mask * given + (1 - known.mask) * x_s
        yield Step(index, count, predict.calls, t, s, x, x_0, eps, eps_s, sigma, z, x_s)
        past = (Past(alpha_bar_t, x, x_0), *past[: PAST - 1])
        index, x = index + 1, x_s
