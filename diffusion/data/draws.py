"""Which images a step of training sees: every one equally often, in an order that depends on the seed alone."""

from __future__ import annotations

import torch
from torch import Tensor

from diffusion.data.sets import ImageSet


def batch_indices(n: int, step: int, batch: int, seed: int) -> Tensor:
    """Which images step ``step`` sees: every epoch a new order, batches running on across the epochs' ends."""
    first = step * batch
    parts = []
    for epoch in range(first // n, (first + batch - 1) // n + 1):
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
        parts.append(order[max(first - epoch * n, 0) : first + batch - epoch * n])
    return torch.cat(parts)


def images_of_step(data: ImageSet, step: int, batch: int, seed: int, generator: torch.Generator) -> Tensor:
    """Which images step ``step`` sees: every one once an epoch, or one member of every group."""
    if data.groups is None:
        return batch_indices(len(data), step, batch, seed)
    members = torch.argsort(data.groups, stable=True)
    counts = torch.unique(data.groups, return_counts=True)[1]
    group = batch_indices(len(counts), step, batch, seed)
    member = (torch.rand(batch, generator=generator) * counts[group]).long()
    return members[(counts.cumsum(0) - counts)[group] + member]
