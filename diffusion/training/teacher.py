"""A network takes fifty calls to draw an image. Another, that begins as the same, learns to do it in a few.

It is shown what its teacher makes of a noisy image in many small steps, and learns the one prediction that leads there
in a single large step (progressive distillation, Salimans & Ho 2022, arXiv 2202.00512, appendix G). A student can be
the teacher of one with fewer calls. The scale of guidance is drawn anew for each image and told to the student, which
so does in one call what costs its teacher two (Meng et al. 2022, arXiv 2210.03142, section 3.1).

    steps of the student     t = 1000 ------------------> 750 ------------------> 500 ...
    steps of the teacher     1000 > 968 > 937 > ... > 781 > 750
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from diffusion import process
from diffusion.networks.denoiser import log_snr_of
from diffusion.networks.network import NetworkConfig
from diffusion.networks.unet import UNet
from diffusion.sampling.steps import timesteps
from diffusion.schedules.schedule import Schedule
from diffusion.training.batch import Batch
from diffusion.training.config import TrainConfig, TrainError


@dataclass(frozen=True)
class Teacher:
    """What a student is to find: an ``Aim``.

    Args:
        model: the network, as ``accelerator`` calls it.
        levels: (T + 1, substeps + 1) float64, alpha_bar on the way from a step t of the student, in row t, to its next;
            nan in the rows of other t.
    """

    model: nn.Module
    config: NetworkConfig
    levels: Tensor

    @torch.no_grad()
    def __call__(self, batch: Batch, x_t: Tensor) -> Tensor:
        """The x_0 that leads in one DDIM step to where the teacher gets in all of its own."""
        way = self.levels[batch.t]
        x_s, _ = walked(self.model, self.config, x_t, way, batch)
        first, last = (way[:, i].to(x_t.device, x_t.dtype)[:, None, None, None] for i in (0, -1))
        return process.x0_from_step(x_t, x_s, first, last)


def walked(model: nn.Module, config: NetworkConfig, x_t: Tensor, way: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Where a network gets from x_t by DDIM (eta = 0), and the last x_0 that it found on the way, not yet clipped.

    Args:
        way: (B, steps + 1) float64, alpha_bar from that of x_t on.
    """
    x, x_0 = x_t, x_t
    for alpha_bar_t, alpha_bar_s in pairwise(way.unbind(1)):
        level_t, level_s = (a.to(x.device, x.dtype)[:, None, None, None] for a in (alpha_bar_t, alpha_bar_s))
        x_0 = predicted_x_0(model, config, x, alpha_bar_t, batch)
        clipped = x_0.clamp(-1, 1)
        x = process.q_sample(clipped, level_s, process.eps_from_x0(x, clipped, level_t))
    return x, x_0


def predicted_x_0(model: nn.Module, config: NetworkConfig, x: Tensor, alpha_bar: Tensor, batch: Batch) -> Tensor:
    """The x_0 that a network finds in x at levels alpha_bar (B,), with the labels and the guidance of a batch.

    One that takes no scale of guidance is guided: asked with and without labels.
    """
    log_snr = log_snr_of(alpha_bar).to(x.device)
    if config.guidance is not None:
        out = model(x, log_snr, batch.label, batch.guidance).float()
    elif config.conditions:
        empty = torch.tensor(config.conditions, device=x.device).expand_as(batch.label)
        both = torch.cat([batch.label, empty])
        out, without = model(x.repeat(2, 1, 1, 1), log_snr.repeat(2), both).float().chunk(2)
        # All predictions are linear in eps, so that one is guided as the other.
        out = without + batch.guidance[:, None, None, None] * (out - without)
    else:
        out = model(x, log_snr, batch.label).float()
    return process.x0_of(config.prediction, x, out, alpha_bar.to(x.device, x.dtype)[:, None, None, None])


def make_teacher(network: UNet, schedule: Schedule, config: TrainConfig, accelerator: Accelerator) -> Teacher:
    """The teacher of a student of ``config.calls`` steps, each of which it does in ``config.substeps``.

    Raises:
        TrainError: more steps in all than the schedule has.
    """
    count = config.calls * config.substeps
    if count > schedule.T:
        raise TrainError(f"{config.calls} calls of {config.substeps} steps each are more than the T = {schedule.T} "
                         "steps of the schedule.")  # fmt: skip
    steps = [*timesteps(schedule, count), 0]
    levels = torch.full((schedule.T + 1, config.substeps + 1), torch.nan, dtype=torch.float64)
    for first in range(0, count, config.substeps):
        way = steps[first : first + config.substeps + 1]
        levels[way[0]] = torch.tensor(schedule.alpha_bar[way])
    network = network.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    model: Any = accelerator.prepare_model(network.eval().requires_grad_(False), evaluation_mode=True)
    return Teacher(model, network.config, levels)
