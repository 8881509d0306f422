"""What a network is told of an image while it learns, and how it begins to learn it.

It is told less than is known, now and then, so that it can also do without; what it is told of a value begins with what
the value's images are on average; and a preview asks for values that it has seen, and for some that it has not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from diffusion.data.sets import ImageSet
from diffusion.files import write_atomically
from diffusion.images import encode, grid, to_pil, to_unit
from diffusion.networks.network import TrainableNetwork
from diffusion.training.config import TrainConfig


def drop_labels(labels: Tensor, empty: Tensor, config: TrainConfig, generator: torch.Generator) -> Tensor:
    """Labels with some conditions left out, (B, conditions): each by itself, and now and then all.

    Args:
        labels: (B,) or (B, conditions).
        empty: (conditions,), what stands for a condition that is left out.
    """
    labels = labels.reshape(len(labels), -1)
    drop = torch.rand(labels.shape, generator=generator) < torch.tensor(config.drop_label)
    if config.drop_all:
        drop |= torch.rand((len(labels), 1), generator=generator) < config.drop_all
    return torch.where(drop, empty, labels)


@torch.no_grad()
def begin_labels(network: TrainableNetwork, data: ImageSet) -> None:
    """Let what the network is told of each value of a condition begin with what the value's images are on average.

    A value that few images have would else stay noise for long. With the mean images of a condition's values, less
    their own mean, as M = U S V^T, the rows of its values are those of U S^(1/2), as far as they fit: between the
    images' own distances (U S), where light and dark would be almost all, and every component as large as any other
    (U). They are turned at random, since two conditions have nothing to do with each other, and scaled to 0.5 on
    average, about half of what the noise level's embedding has. Not said is zero.
    """
    table = network.label
    if table is None:
        return
    width, pixels = table.embedding_dim, to_unit(data.images).flatten(1)
    for c, (first, size) in enumerate(zip(table.first.tolist(), table.empty.tolist(), strict=True)):
        labels = data.labels.reshape(len(data), -1)[:, c]
        count = labels.bincount(minlength=size).clamp(min=1)
        mean = torch.zeros(size, pixels.shape[1]).index_add_(0, labels, pixels) / count[:, None]
        u, s, _ = torch.linalg.svd(mean - mean.mean(0), full_matrices=False)
        rows = (u * s.sqrt())[:, :width]
        turn = torch.linalg.qr(torch.randn(width, width)).Q[: rows.shape[1]]
        scale = 0.5 / rows.square().sum(1).div(width).mean().sqrt().clamp(min=1e-6)
        table.weight[first : first + size + 1] = F.pad(rows @ turn * scale, (0, 0, 0, 1))


def preview_labels(data: ImageSet, unseen: ImageSet, folder: Path) -> Tensor:
    """The labels of the 64 samples of a preview, (64, conditions), for images with several conditions.

    24 of training images and 24 of ``unseen`` ones, by all conditions but the second, which the first implies; then 16
    of training images by all but the first. Writes the images that have these labels into ``folder``, as asked.png.
    """
    empty = data.labels.amax(0) + 1
    parts = []
    for part, count, left_out in ((data, 24, 1), (unseen, 24, 1), (data, 17, 0)):
        groups = torch.arange(len(part)) if part.groups is None else part.groups
        order = groups.argsort(stable=True)
        firsts = order[torch.cat([torch.ones(1, dtype=torch.bool), groups[order].diff() > 0])].sort().values
        chosen = part[firsts].evenly(count)[: 24 if left_out else 16]
        labels = chosen.labels.clone()
        labels[:, left_out] = empty[left_out]
        parts.append((chosen.images, labels))
    images, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    folder.mkdir(parents=True, exist_ok=True)
    pictures = images.permute(0, 2, 3, 1).numpy()
    write_atomically(folder / "asked.png", encode(to_pil(grid(pictures, gap=2)), "PNG"))
    return labels


def parameter_groups(network: TrainableNetwork, config: TrainConfig) -> list[dict[str, Any]]:
    """What AdamW gets: the network, and the table of its conditions if that learns faster.

    What decays a step is the product of rate and decay: it is the same in both.
    """
    table = [] if network.label is None or config.table_lr == 1 else list(network.label.parameters())
    rest = [parameter for parameter in network.parameters() if all(parameter is not other for other in table)]
    groups = [{"params": rest, "relative_lr": 1.0, "weight_decay": config.weight_decay}]
    if table:
        groups.append({"params": table, "relative_lr": config.table_lr,
                       "weight_decay": config.weight_decay / config.table_lr})  # fmt: skip
    return groups
