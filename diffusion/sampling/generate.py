"""Many samples at once, by one process or by several."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from diffusion.denoiser import Denoiser
from diffusion.images import to_bytes
from diffusion.sampling.clips import Clip
from diffusion.sampling.loop import Known, sample
from diffusion.sampling.steps import calls
from diffusion.sampling.updates import Update
from diffusion.schedules.schedule import Schedule


def generate(
    denoiser: Denoiser,
    schedule: Schedule,
    shape: tuple[int, int, int],
    *,
    steps: Sequence[int],
    seeds: Sequence[int],
    update: Update,
    labels: Tensor | None = None,
    clip: Clip = "static",
    start: Tensor | None = None,
    known: Known | None = None,
    device: torch.device | str = "cpu",
    batch: int = 64,
    processes: PartialState | None = None,
    progress: bool = False,
) -> NDArray[np.uint8]:
    """Samples in the order of their seeds, (N, H, W, C) uint8.

    Args:
        denoiser, schedule, shape, steps, seeds, labels, update, clip, start, known: as in ``sampler.sample``.
        batch: samples made at a time.
        processes: those that share the work, every n-th batch each; all must call. None: this one alone.
        progress: show a bar in the main process.

    Returns:
        All samples in the main process, none, (0, H, W, C), in the others. The batches, and so the samples, are the
        same for any number of processes.
    """
    firsts = range(0, len(seeds), batch)
    rank, count = (processes.process_index, processes.num_processes) if processes else (0, 1)
    mine, made = firsts[rank::count], []
    with tqdm(total=len(mine) * calls(steps), unit=" steps", disable=not progress or rank > 0) as bar:
        for first in mine:
            part = slice(first, first + batch)
            given = known and Known(_part(known.image, part), _part(known.mask, part))
            for step in sample(
                denoiser, schedule, shape, steps=steps, seeds=seeds[part], update=update, clip=clip, known=given,
                labels=None if labels is None else labels[part], start=None if start is None else _part(start, part),
                device=device,
            ):  # fmt: skip
                x = step.x_s
                bar.update()
            made.append((first, to_bytes(x)))
    if count > 1:
        made = gather_object(made)
    if rank > 0:
        made = []
    images = [images for _, images in sorted(made, key=lambda pair: pair[0])]
    channels, height, width = shape
    return np.concatenate([np.empty((0, height, width, channels), np.uint8), *images])


def _part(x: Tensor, part: slice) -> Tensor:
    """Some of a batch; all of what is one for all."""
    return x if len(x) == 1 else x[part]
