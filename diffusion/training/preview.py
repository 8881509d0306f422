"""Samples of a network while it trains, always from the same seeds, for whoever watches."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from diffusion.device import best_precision
from diffusion.files import write_atomically
from diffusion.images import encode, grid, to_bytes, to_pil
from diffusion.networks.card import Card
from diffusion.networks.denoiser import NetworkDenoiser
from diffusion.networks.kinds import find_kind
from diffusion.networks.network import Network
from diffusion.plane import plane_picture
from diffusion.sampling.loop import sample
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.steps import timesteps
from diffusion.schedules.schedule import Schedule
from diffusion.training.config import TrainConfig
from diffusion.training.history import history_csv, history_plot
from diffusion.training.state import TrainingState

PREVIEW_BATCH = 16  # samples at a time: between two steps of them a run can stop
FEW_STEPS = 20  # below which a sampler of higher order draws better than DDIM
SHARE = 0.1  # of the time of a run, at most, for grids that come by the clock
PREVIEW_POINTS = 1000


def preview_due(config: TrainConfig, step: int) -> bool:
    """Whether a preview follows on this step."""
    seen = step * config.batch
    return seen // config.preview_every > max(seen - config.batch, 0) // config.preview_every


def preview_path(folder: Path, step: int) -> Path:
    return folder / "samples" / f"step-{step:08d}.png"


@dataclass
class PreviewClock:
    """When a grid of samples is due by the clock.

    Args:
        seconds: between two, at least; 0 for none.
        due: seconds of ``time.monotonic`` from which the next is.
    """

    seconds: float
    due: float = 0.0

    def rings(self, now: float) -> bool:
        return self.seconds > 0 and now >= self.due

    def drawn(self, began: float, ended: float) -> None:
        """A grid was drawn: the next waits until this one took no more than its share of the time."""
        self.due = ended + max(self.seconds, (1 / SHARE - 1) * (ended - began))


def preview(run: TrainingState, config: TrainConfig, schedule: Schedule, card: Card, folder: Path,
            device: torch.device, asked: list[int], labels: Tensor | None = None) -> None:  # fmt: skip
    """A grid of samples of the averaged weights, from the same seeds each time, and the loss by t; of points 1,000 in
    the plane.

    Of given labels in half of the steps and with a guidance of 2: the same number of calls. Of a student in its own
    steps. It takes longer than anybody waits for a run to stop: nothing comes of it once ``asked`` to.
    """
    made, guided, shape = [], labels is not None, run.network.config.image_shape
    steps, points = max(1, config.preview_steps // (1 + guided)), shape[1:] == (1, 1)
    many, at_a_time = (PREVIEW_POINTS, PREVIEW_POINTS) if points else (config.preview_count, PREVIEW_BATCH)
    if labels is None and card.classes:
        labels = card.labels(many)
    precision = torch.bfloat16 if best_precision(device) == "bf16" else torch.float32
    prepare = find_kind(card.kind).fast if device.type == "cpu" else None
    fast = None if prepare is None else prepare(run.average, precision)
    network = cast(Network, run.average)
    denoiser, count = NetworkDenoiser(network, fast=fast), many if labels is None else min(many, len(labels))
    plan = SamplingPlan(
        timesteps(schedule, len(card.levels) or min(schedule.T, steps)), range(count),
        "unipc" if steps < FEW_STEPS and not card.levels else "ddim",
        labels=None if labels is None else labels[:count].tolist(), guidance=2.0 if guided else 1.0,
        clip="none" if points else "static",
    )  # fmt: skip
    for first in range(0, count, at_a_time):
        for step in sample(denoiser, schedule, plan.part(slice(first, first + at_a_time)), shape, device):
            if asked:
                return
            x = step.x_s
        made.append(x.cpu())
    path = preview_path(folder, run.step)
    path.parent.mkdir(exist_ok=True)
    if not config.preview_seconds:  # who watches draws the numbers
        write_atomically(folder / "loss_by_t.png", history_plot(run.history))
    write_atomically(folder / "loss_by_t.csv", history_csv(run.history).encode())
    drawn = torch.cat(made)
    write_atomically(
        path, encode(plane_picture(drawn), "PNG") if points else encode(to_pil(grid(to_bytes(drawn), gap=2)), "PNG")
    )
