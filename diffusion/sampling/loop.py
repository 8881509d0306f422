"""From noise to images, step by step.

    for step in sample(denoiser, schedule, (1, 32, 32), steps=timesteps(schedule, 20), seeds=range(16),
                       update=DPMSolver2M()):
        show(step.x_0)

Equation numbers without a source are those of Ho et al. 2020, arXiv 2006.11239.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from diffusion import process
from diffusion.denoiser import Denoiser
from diffusion.sampling.choices import SamplingError, check_choice
from diffusion.sampling.clips import CLIPS, Clip, clipped
from diffusion.sampling.noise import NoiseSource, check_seeds
from diffusion.sampling.steps import calls, check_steps
from diffusion.sampling.updates import DDPM, Past, Update
from diffusion.schedules.schedule import Schedule

# How many steps back the samplers look.
PAST = 2


@dataclass(frozen=True)
class Step:
    """What one step did: from x_t at t to x_s at s.

    Args:
        index: 0 ... count - 1.
        count: how many steps are taken, each with one call of the denoiser.
        t, s: the step it left and the one it reached; s = 0 at the end.
        x_t: (B, C, H, W) before the step; as corrected, by a sampler that does (UniPC).
        x_0: predicted from x_t; after clipping, if there is any.
        eps: what agrees with x_0 and x_t (eq. 4).
        sigma: deviation of the noise that was added; 0 where there was none.
        z: standard normal, (B, C, H, W): sigma z is what was added; None where there was none.
        x_s: after the step; with ``known`` parts, if there are any, in their place.
    """

    index: int
    count: int
    t: int
    s: int
    x_t: Tensor
    x_0: Tensor
    eps: Tensor
    sigma: float
    z: Tensor | None
    x_s: Tensor


@dataclass(frozen=True)
class Known:
    """What is given of the images that are to be made (inpainting).

    Args:
        image: (1 or B, C, H, W) in [-1, 1].
        mask: broadcasts against it; 1 where the image is kept, 0 where it is to be made up.
    """

    image: Tensor
    mask: Tensor


def check_given(
    count: int, shape: tuple[int, int, int], labels: int | None, start: Tensor | None, known: Known | None
) -> None:
    """Raises SamplingError: what is given besides the seeds does not fit ``count`` images of ``shape`` (C, H, W).

    Args:
        labels: how many there are.
    """
    if labels is not None and labels != count:
        raise SamplingError("label", f"There must be a class for each of the {count} images, not {labels}.")
    if start is not None and (start.ndim != 4 or start.shape[0] not in (1, count) or start.shape[1:] != shape):
        raise SamplingError("start", f"x_t to start from must be 1 or {count} images of {size_text(shape)}, not of "
                                     f"{size_text(start.shape[1:])}.")  # fmt: skip
    if known is not None:
        full = (count, *shape)
        image, mask = known.image.shape, known.mask.shape
        if len(image) != 4 or image[0] not in (1, count) or image[1:] != shape:
            raise SamplingError("known", f"Known parts must be of 1 or {count} images of {size_text(shape)}, not of "
                                         f"{size_text(image[1:])}.")  # fmt: skip
        if len(mask) != 4 or any(side not in (1, all_of_it) for side, all_of_it in zip(mask, full, strict=True)):
            raise SamplingError("mask", f"The mask must be of {size_text(shape)} as the images are, not of "
                                        f"{size_text(mask[1:])}.")  # fmt: skip


def size_text(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


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
    clip: Clip = "static",
    start: Tensor | None = None,
    known: Known | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[Step]:
    """Run the reverse process, yielding every step.

    Args:
        denoiser: asked for eps at each level; wrap it in ``Guided`` for guidance. ``ExactDenoiser(images)`` is one too.
        schedule: gives alpha_bar at each step; need not be the one the network was trained on.
        shape: (C, H, W) of an image.
        steps: descending steps t in 1 ... T, see ``timesteps``; 0 is reached after the last. With ``known`` they may
            rise in between, see ``resampled``: there noise is added (eq. 2) and nothing yielded.
        seeds: one for each sample; the sample depends on its seed alone. The first noise of a seed is its x_T.
        labels: (B,) int64 classes, or None for the empty class.
        update: DDPM(v), DDIM(eta), DPMSolver2M(eta), UniPC(), or ``make_update(name)``.
        clip: how the predicted x_0 is kept in [-1, 1], see ``clipped``; eps is then made to agree with it.
        start: x_t at t = steps[0], (B, C, H, W) or (1, C, H, W), instead of pure noise: ``noised`` images, a
            ``noise_between`` two, or the x_t of an earlier step, to go on from there with other seeds (its later
            steps are ``[t for t in steps if t <= step.t]``).
        known: parts of the images that are given. At each s they are noised to s and take the place of what was
            drawn there (RePaint, Lugmayr et al. 2022, arXiv 2201.09865, eq. 8).

    Raises:
        SamplingError: steps that do not descend within 1 ... T, no seeds or some that are none, or labels, a start or
            known parts that do not fit.
    """
    check_steps(steps, schedule, rising=known is not None)
    check_seeds(seeds)
    check_given(len(seeds), shape, None if labels is None else len(labels), start, known)
    check_choice("clip", clip, CLIPS)
    moves = list(pairwise([*steps, 0]))
    device = torch.device(device)
    labels = None if labels is None else labels.to(device)
    noise = NoiseSource(seeds, shape, device)
    x = noise.draw()
    if start is not None:
        x = start.to(device).expand_as(x)
    if known is not None:
        known = Known(known.image.to(device), known.mask.to(device))
    past: tuple[Past, ...] = ()
    index, count = 0, calls(steps)
    for t, s in moves:
        alpha_bar_t, alpha_bar_s = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[s])
        if s > t:
            x = process.q_step(x, 1 - alpha_bar_s / alpha_bar_t, noise.draw())
            past = ()
            continue
        eps = denoiser(x, alpha_bar_t, labels)
        x_0 = process.x0_from_eps(x, eps, alpha_bar_t)
        if clip != "none":
            x_0 = clipped(x_0, clip)
            eps = process.eps_from_x0(x, x_0, alpha_bar_t)
        # Going back to the step before would lose the known parts that were put in after it.
        corrected = x if known is not None else update.corrected(x, x_0, alpha_bar_t, past)
        if corrected is not x:
            x, eps = corrected, process.eps_from_x0(corrected, x_0, alpha_bar_t)
        x_s = update.mean(x, x_0, eps, alpha_bar_t, alpha_bar_s, past)
        # Algorithm 2: z = 0 in the last step.
        sigma = update.noise_variance(alpha_bar_t, alpha_bar_s) ** 0.5 if s > 0 else 0.0
        z = noise.draw() if sigma > 0 else None
        if z is not None:
            x_s = x_s + sigma * z
        if known is not None:
            given = process.q_sample(known.image, alpha_bar_s, noise.draw()) if s > 0 else known.image
            x_s = known.mask * given + (1 - known.mask) * x_s
        yield Step(index, count, t, s, x, x_0, eps, sigma, z, x_s)
        past = (Past(alpha_bar_t, x, x_0), *past[: PAST - 1])
        index, x = index + 1, x_s
