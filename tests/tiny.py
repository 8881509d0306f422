"""Networks small enough for tests."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from diffusion.networks.card import Card
from diffusion.networks.model import Model, save_model
from diffusion.networks.points import PointsConfig
from diffusion.networks.unet import UNet, UNetConfig
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.updates import DDPM, SAMPLERS, Update
from diffusion.schedules.spec import ScheduleSpec


def save_tiny(path: Path, classes: list[str], T: int = 100) -> Card:
    """Write a network of 8 x 8 grey images, with random weights, that was "trained" under a cosine schedule."""
    return _save(path, (len(classes),) if classes else (), T, classes=classes)


# A name of two conditions, names that differ from what people write, and a kind that follows from the concept.
THINGS = {
    "concept": ["fox", "red-heart", "Axe", "family"],
    "kind": ["animal", "family"],
    "style": ["left", "top", "flat"],
}


def save_tiny_of_things(path: Path, T: int = 100, **more: Any) -> Card:
    """Write such a network that is told concept, kind and style; ``more`` is for its card."""
    return _save(path, tuple(map(len, THINGS.values())), T, conditions=THINGS, **more)


def _save(path: Path, sizes: tuple[int, ...], T: int, **said: Any) -> Card:
    # 12: group norm with one channel a group would take the noise level and the label out again.
    config = UNetConfig(8, 1, sizes, widths=(12, 24), blocks=1, attention=())
    torch.manual_seed(0)
    network = UNet(config)
    for parameter in network.parameters():  # its last layers start at zero: a label would change nothing
        torch.nn.init.normal_(parameter, std=0.2)
    schedule = ScheduleSpec("cosine", T)
    said = {"classes": []} | said
    card = Card("tiny", "Tiny", network=config, schedule=schedule, data="none", licence="none", command="",
                images_seen=0, seconds=0.0, **said)  # fmt: skip
    return save_model(path, network, card)


def unet_of(model: Model) -> UNet:
    """Its network, with weights that can be looked at."""
    assert isinstance(model.denoiser.network, UNet)
    return model.denoiser.network


def trained(config: UNetConfig) -> UNet:
    """A network that does something: its last layers would start at zero."""
    torch.manual_seed(0)
    network = UNet(config)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
        if isinstance(module, nn.GroupNorm):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias, 0, 0.3)
    return network.eval().requires_grad_(False)


def inputs(config: UNetConfig, count: int = 5) -> tuple[Tensor, Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, config.channels, config.image_size, config.image_size, generator=generator)
    sizes = torch.tensor(config.conditions)
    label = torch.arange(count)[:, None] % (sizes + 1) if config.conditions else None
    return x, torch.linspace(-15, 10, count), label


def plan(
    steps: Sequence[int], seeds: Sequence[int], update: Update | None = None, labels: Tensor | None = None, **rest: Any
) -> SamplingPlan:
    """A plan with the sampler that ``update`` is."""
    update = DDPM() if update is None else update
    name = next(name for name, sampler in SAMPLERS.items() if sampler.make is type(update))
    said = None if labels is None else labels.tolist()
    return SamplingPlan(steps, seeds, name, vars(update), said, **rest)


def small_config(kind: str, conditions: tuple[int, ...]) -> Any:
    """A configuration of a kind of network that is quick to build; every kind of ``KINDS`` needs one here."""
    return {
        "unet": UNetConfig(8, 1, conditions, widths=(12, 24), blocks=1, attention=(0,)),
        "points": PointsConfig(conditions, width=8, depth=1),
    }[kind]
