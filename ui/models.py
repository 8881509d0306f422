"""The network in use: loaded once, shared by all visitors; runs of it can be stopped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from diffusion.checkpoint import Model, load_model
from diffusion.device import best_device

DEFAULT = "digits"


@dataclass
class StopFlag:
    """Set by a Stop button, looked at between two calls of the network. One a visitor and tab."""

    up: bool = False


def stop(flag: StopFlag) -> None:
    """A Stop button's handler: the run ends after the step in hand and keeps what it has."""
    flag.up = True


@cache
def shared_model(name: str = DEFAULT) -> Model:
    """A shipped network on the best device there is."""
    return load_model(name, best_device())
