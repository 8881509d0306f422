"""What a network is, whatever is inside of it: all that the rest of the library knows of one.

    out = network(x_t, log_snr, label)        # means what network.config.prediction says

It is asked by noise level, as a log-SNR, so that it runs under any schedule; one that wants something else, as a step
index, converts it itself. What it is told of an image are its conditions: none, one class, or several, any of which may
be left out. Its configuration is a frozen dataclass of what builds it anew, and lies in its card.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_args

import torch
from torch import Tensor, nn

from diffusion.checks import is_whole, shown
from diffusion.networks.embeddings import Labels
from diffusion.process import Prediction

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C", bound="DataclassInstance")


class NetworkConfig(Protocol):
    """What builds a network anew, and says what has to be known of it."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of its images; a point of the plane is an image of one pixel, (2, 1, 1)."""
        ...

    @property
    def conditions(self) -> tuple[int, ...]:
        """How many values each of its conditions can have, besides the empty one; () if it is told nothing."""
        ...

    @property
    def empty(self) -> tuple[int, ...]:
        """The label that leaves all conditions out, of each the number of its values; () if there is none."""
        ...

    @property
    def prediction(self) -> Prediction:
        """What its output means."""
        ...

    @property
    def guidance(self) -> tuple[float, float] | None:
        """The least and the largest scale of guidance that it takes as an input; None if it is asked twice instead."""
        ...

    def describe(self, parameters: int) -> str:
        """In a few words, for people, what it is; it has so many parameters."""
        ...


class Network(Protocol):
    """Called with noisy images, their noise level and what is in them."""

    @property
    def config(self) -> NetworkConfig: ...

    def __call__(self, x_t: Tensor, log_snr: Tensor, label: Tensor | None = None, *guidance: Tensor) -> Tensor:
        """Its prediction, shaped like x_t.

        Args:
            x_t: (B, C, H, W) float32.
            log_snr: (B,) float32, natural.
            label: (B,) int64 of one condition, (B, conditions) of several; the number of a condition's values, as in
                ``config.conditions``, leaves it out, None leaves all out.
            guidance: (B,) float32, its scale; given to those alone whose ``config.guidance`` says that they take it.
        """
        ...


class TrainableNetwork(nn.Module):
    """A network that the trainer can teach: a ``Network`` that is a module.

    Args:
        label: what it knows of each value of its conditions; None if it is told nothing.
    """

    config: NetworkConfig
    label: Labels | None


@dataclass(frozen=True)
class Kind:
    """A kind of network, whose weights are in a .safetensors.

    Args:
        read_config: the configuration from the "network" of a card; raises ValueError, KeyError or TypeError.
        build: the network of a configuration, with any weights; a ``TrainableNetwork`` if it can be taught here.
        fast: the same network prepared for a processor, and a precision (float32 or bfloat16), where there is such a
            thing.
    """

    read_config: Callable[[dict[str, Any]], NetworkConfig]
    build: Callable[[Any], nn.Module]
    fast: Callable[[Any, torch.dtype], Callable[..., Tensor]] | None = None


def check_conditions(conditions: tuple[int, ...]) -> None:
    """Raises ValueError: a condition of no whole number of values."""
    if not all(is_whole(size) and size >= 1 for size in conditions):
        raise ValueError(f"A condition must have a whole number of values, at least one value, not "
                         f"{shown(conditions)}.")  # fmt: skip


def check_prediction(prediction: str) -> None:
    """Raises ValueError: nothing that a network can predict."""
    if prediction not in get_args(Prediction):
        raise ValueError(f"A network predicts one of {', '.join(get_args(Prediction))}, not {shown(prediction)}.")


def config_from(config: type[C], values: dict[str, Any]) -> C:
    """A configuration from JSON, in which every field is there: a default could change, and what leaves it out with it.

    Raises:
        KeyError: fields that are missing.
        TypeError: fields that are unknown.
    """
    missing = {field.name for field in fields(config)} - set(values)
    if missing:
        raise KeyError(", ".join(sorted(missing)))
    return config(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
