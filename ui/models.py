"""The shipped networks: each loaded once, shared by all visitors; runs of them can be stopped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from diffusion.checkpoint import MODELS, Model, available, load_model, read_card
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


def choices() -> list[tuple[str, str]]:
    """(title, name) of every shipped network, for a list to choose from."""
    return [(read_card(MODELS / f"{name}.safetensors").title, name) for name in available()]
