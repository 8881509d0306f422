"""Every sample has noise of its own, from one seed, so that it does not change with its batch or device.

Besides pure noise a run may start from an image that was noised, or from noise between that of two seeds.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from diffusion import process
from diffusion.checks import is_whole, shown
from diffusion.sampling.choices import SamplingError
from diffusion.schedules.schedule import Schedule

MAX_SEED = 2**63 - 1


class NoiseSource:
    """Standard normal noise, one generator for each sample.

    Drawn on the CPU and one sample at a time, so that a sample is the same in any batch and on any device.
    """

    def __init__(self, seeds: Sequence[int], shape: tuple[int, int, int], device: torch.device) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._shape, self._device = shape, device

    def draw(self) -> Tensor:
        noise = torch.stack([torch.randn(self._shape, generator=generator) for generator in self._generators])
        if self._device.type == "cuda":
            noise = noise.pin_memory()  # only from there does a copy not keep the host waiting
        return noise.to(self._device, non_blocking=True)


def noised(images: Tensor, schedule: Schedule, t: int, seeds: Sequence[int]) -> Tensor:
    """x_t of given images (eq. 4), to ``start`` from: SDEdit (Meng et al. 2022, arXiv 2108.01073).

        steps = timesteps(schedule, 20, start=t)
        SamplingPlan(steps, seeds, start=noised(images, schedule, t, seeds))

    Args:
        images: (B, C, H, W), or (1, C, H, W) for one image and many seeds; in [-1, 1].
        t: 1 ... T; the further, the less is kept.
        seeds: of the noise, one for each sample. It is the noise that those seeds would begin with at T.
    """
    eps = NoiseSource(seeds, (images.shape[1], images.shape[2], images.shape[3]), images.device).draw()
    return process.q_sample(images, float(schedule.alpha_bar[t]), eps)


def noise_between(a: Tensor, b: Tensor, u: float) -> Tensor:
    """From noise a (u = 0) to noise b (u = 1), each (C, H, W), along the arc between them (slerp):

        (sin((1 - u) theta) a + sin(u theta) b) / sin(theta),    theta the angle between a and b.

    A straight line would pass through noise that is too small (Song et al. 2021, arXiv 2010.02502, section 5.3). Stack
    several and ``start`` a deterministic sampler from them.
    """
    theta = torch.acos(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0).clamp(-1, 1))
    if theta.sin() < 1e-4:  # the same noise, or its opposite, between which there is no arc
        return torch.lerp(a, b, u)
    return (((1 - u) * theta).sin() * a + (u * theta).sin() * b) / theta.sin()


def first_noise(seeds: Sequence[int], shape: tuple[int, int, int]) -> Tensor:
    """The x_T that each seed begins with, (B, C, H, W), on the CPU."""
    return NoiseSource(seeds, shape, torch.device("cpu")).draw()


def check_seeds(seeds: Sequence[int]) -> None:
    """Raises SamplingError: none, or one that is no whole number from 0 to 2^63 - 1."""
    if not len(seeds):
        raise SamplingError("seed", "There must be at least one seed.")
    ends = (seeds[0], seeds[-1]) if isinstance(seeds, range) else seeds
    for seed in ends:
        if not is_whole(seed) or not 0 <= seed <= MAX_SEED:
            raise SamplingError("seed", f"A seed must be a whole number from 0 to 2^63 - 1, not {shown(seed)}.")
