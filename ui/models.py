"""The shipped networks: each loaded once, shared by all visitors; runs of them can be stopped."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from diffusion.checkpoint import MODELS, Model, available, load_model, read_card
from diffusion.device import best_device, best_precision

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
    device = best_device()
    # On a processor with bfloat16 speed is worth the rounding; a GPU is fast enough without.
    fast = device.type == "cpu" and best_precision(device) == "bf16"
    return load_model(name, device, torch.bfloat16 if fast else torch.float32)


def choices() -> list[tuple[str, str]]:
    """(title, name) of every shipped network, for a list to choose from."""
    return [(read_card(MODELS / f"{name}.safetensors").title, name) for name in available()]
