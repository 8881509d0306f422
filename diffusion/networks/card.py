"""Weights do not say what they are weights of: a card does, and where they come from and what they were trained on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from diffusion.networks.kinds import DEFAULT_KIND
from diffusion.networks.network import NetworkConfig
from diffusion.schedules.schedule import Schedule
from diffusion.schedules.spec import ScheduleSpec


@dataclass(frozen=True)
class Card:
    """What a network is, where it comes from and what it was trained on."""

    name: str
    title: str
    classes: list[str]
    network: NetworkConfig
    schedule: ScheduleSpec
    data: str
    licence: str
    command: str
    images_seen: int
    seconds: float
    sha256: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    # The names of the values of each condition, where there are several in place of classes.
    conditions: dict[str, list[str]] = field(default_factory=dict)
    # Conditions that follow from the first, as the kind from the concept: what goes with each of its values, by index.
    follows: dict[str, list[int]] = field(default_factory=dict)
    kind: str = DEFAULT_KIND  # in ``KINDS``
    # Of a student: whose, and the alpha_bar of its calls, falling noise; it was taught no others.
    teacher: str = ""
    levels: list[float] = field(default_factory=list)
    guidance: float | None = None  # the scale that its images are the better for, if it is not the usual one

    def to_json(self) -> dict[str, Any]:
        """What lies beside the weights."""
        return asdict(self) | {"schedule": self.schedule.to_json()}

    def training_schedule(self) -> Schedule:
        """The schedule its noise levels were drawn from in training."""
        return self.schedule.make()

    def labels(self, count: int, only: int | None = None) -> Tensor:
        """The class of each of ``count`` samples, (count,) int64: all classes in turn, or only one."""
        if only is not None:
            return torch.full((count,), only)
        return torch.arange(count) % max(len(self.classes), 1)

    def known(self, labels: Tensor) -> Tensor | None:
        """What it can be told of images with these labels, (N,) or (N, conditions): values that it does not know are
        left out; None if it is told nothing.
        """
        if self.conditions:
            return labels.minimum(labels.new_tensor(self.network.conditions))
        return labels if self.classes else None

    def usual_guidance(self) -> float:
        """The scale of guidance that its images are the better for: if its card names none, that by which one of
        several conditions draws what is asked for and yet no copies of its training images, and none for others.
        """
        if self.guidance is not None:
            return self.guidance
        return 1.5 if self.conditions else 1.0

    def told(self) -> str:
        """What it is told of an image, in a few words."""
        if self.conditions:
            return ", ".join(f"{name} ({len(values):,})" for name, values in self.conditions.items())
        return f"{len(self.classes) or 'no'} class{'' if len(self.classes) == 1 else 'es'}"
