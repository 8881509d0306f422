"""What one step of training sees, and nothing of how it learns from it.

Everything random of step n is drawn from a generator seeded by (seed, n), so that a run that was stopped goes on
exactly as if it had not been, and several processes draw the same batch and take a share of it each.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from diffusion.data.draws import images_of_step
from diffusion.data.sets import ImageSet
from diffusion.losses.weightings import min_snr_weight
from diffusion.networks.network import NetworkConfig
from diffusion.sampling.steps import timesteps
from diffusion.schedules.schedule import Array, Schedule
from diffusion.training.conditions import drop_labels
from diffusion.training.config import TrainConfig
from diffusion.training.history import LossHistory


@dataclass(frozen=True)
class Batch:
    """Images to be noised, by how much and with what, as drawn on the CPU.

    Args:
        x_0, eps: (B, C, H, W) float32.
        label: as ``Labels`` takes it, some left out.
        t, alpha_bar: (B,) int64 and float64.
        guidance: (B,) float32, the scale that the network is told, where it takes one; else 1.
        fair: (B,) float64, the weight of each image's error in the loss.
        weight: (B,) float64, what makes up for t that is drawn more often than others.
    """

    x_0: Tensor
    eps: Tensor
    label: Tensor
    t: Tensor
    alpha_bar: Tensor
    guidance: Tensor
    fair: Tensor
    weight: Tensor

    def __getitem__(self, share: slice) -> Batch:
        return Batch(*(getattr(self, field.name)[share] for field in fields(self)))

    def to(self, device: torch.device) -> Batch:
        """With what the network sees on its device; levels and weights stay on the CPU, in float64."""
        return replace(
            self, x_0=self.x_0.to(device, memory_format=torch.channels_last), eps=self.eps.to(device),
            label=self.label.to(device), guidance=self.guidance.to(device),
        )  # fmt: skip


def draw_batch(
    data: ImageSet, network: NetworkConfig, config: TrainConfig, schedule: Schedule, history: LossHistory, step: int
) -> Batch:
    """The whole batch of step ``step``, over all processes."""
    generator = torch.Generator().manual_seed(config.seed * 2**32 + step)
    chosen = data[images_of_step(data, step, config.batch, config.seed, generator)]
    even = even_steps(schedule, config.calls)
    p = history.probability() if config.t == "importance" else even
    t = draw_steps(config.batch, p, config.t != "uniform", generator)
    alpha_bar = torch.tensor(schedule.alpha_bar)[t]
    weight = torch.from_numpy(even / np.where(p > 0, p, 1))[t - 1]
    fair = torch.ones_like(weight)
    if config.weighting == "min-snr":
        fair = min_snr_weight(alpha_bar, network.prediction)
    x_0 = chosen.unit()
    eps = torch.randn(x_0.shape, generator=generator)
    label = chosen.labels
    if network.conditions:
        label = drop_labels(label, torch.tensor(network.conditions), config, generator)
    if config.flip:
        mirrored = torch.rand(config.batch, generator=generator) < 0.5
        x_0 = torch.where(mirrored[:, None, None, None], x_0.flip(-1), x_0)
    guidance = torch.ones(config.batch)
    if network.guidance is not None:
        # Most where most is asked for: near the low end, which is no guidance, and a quarter at it, since what is at
        # the edge of what is drawn is learnt worst.
        low, high = network.guidance
        share = ((torch.rand(config.batch, generator=generator) - 0.25) / 0.75).clamp(min=0)
        guidance = low + (high - low) * share**2
    return Batch(x_0, eps, label, t, alpha_bar, guidance, fair, weight)


def even_steps(schedule: Schedule, calls: int = 0) -> Array:
    """The probability of t = 1 ... T, (T,), if all are alike; with ``calls``, of the steps of a student alone."""
    chosen = np.array(timesteps(schedule, calls)) if calls else np.arange(1, schedule.T + 1)
    p = np.zeros(schedule.T)
    p[chosen - 1] = 1 / len(chosen)
    return p


def draw_steps(batch: int, probability: Array, stratified: bool, generator: torch.Generator) -> Tensor:
    """Steps t in 1 ... T for a batch, (B,) int64, each with P(t) = probability[t - 1].

    Stratified, the i-th comes from the i-th of ``batch`` parts of equal probability: the loss then varies less.
    """
    u = torch.rand(batch, generator=generator, dtype=torch.float64)
    if stratified:
        u = (torch.arange(batch) + u) / batch
    cumulative = torch.from_numpy(probability).cumsum(0)
    return torch.searchsorted(cumulative, u, right=True).clamp(max=len(probability) - 1) + 1
