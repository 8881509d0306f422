"""More samples than one batch holds, drawn batch after batch, by one process or by several.

As every sample has its own seed, they are the same however they are shared out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from diffusion.denoiser import Denoiser
from diffusion.images import to_bytes
from diffusion.sampling.loop import sample
from diffusion.sampling.plan import SamplingPlan, Shape
from diffusion.sampling.steps import count_steps
from diffusion.schedules.schedule import Schedule

if TYPE_CHECKING:  # takes long to import: only what has several processes does
    from accelerate import PartialState


def generate(
    denoiser: Denoiser,
    schedule: Schedule,
    plan: SamplingPlan,
    shape: Shape,
    device: torch.device | str = "cpu",
    *,
    batch: int = 64,
    processes: PartialState | None = None,
    progress: bool = False,
) -> NDArray[np.uint8]:
    """Samples in the order of their seeds, (N, H, W, C) uint8.

    Args:
        denoiser, schedule, plan, shape, device: as in ``sample``.
        batch: samples made at a time.
        processes: those that share the work, every n-th batch each; all must call. None: this one alone.
        progress: show a bar in the main process.

    Returns:
        All samples in the main process, none, (0, H, W, C), in the others. The batches, and so the samples, are the
        same for any number of processes.
    """
    firsts = range(0, len(plan.seeds), batch)
    rank, count = (processes.process_index, processes.num_processes) if processes else (0, 1)
    mine, made = firsts[rank::count], []
    with tqdm(total=len(mine) * count_steps(plan.steps), unit=" steps", disable=not progress or rank > 0) as bar:
        for first in mine:
            for step in sample(denoiser, schedule, plan.part(slice(first, first + batch)), shape, device):
                x = step.x_s
                bar.update()
            made.append((first, to_bytes(x)))
    if count > 1:
        from accelerate.utils import gather_object

        made = gather_object(made)
    if rank > 0:
        made = []
    images = [images for _, images in sorted(made, key=lambda pair: pair[0])]
    channels, height, width = shape
    return np.concatenate([np.empty((0, height, width, channels), np.uint8), *images])
