"""A network is named on the page, in commands and in recipes: by the name of a shipped one, or the path of any other.

``load_model`` finds its weights and card, holds one against the other, and makes a ``Model``, ready to denoise.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn

from diffusion.files import ASSETS, write_atomically
from diffusion.networks.card import Card
from diffusion.networks.checkpoint import (
    CheckpointError,
    card_bytes,
    find_weights,
    read_card_as,
    read_weights,
    write_weights,
)
from diffusion.networks.denoiser import NetworkDenoiser
from diffusion.networks.foreign import fetch, is_foreign, is_on_hub, load_foreign, read_foreign_card
from diffusion.networks.kinds import DEFAULT_KIND, find_kind
from diffusion.networks.network import Network
from diffusion.schedules.spec import ScheduleSpec

MODELS = ASSETS / "models"


@dataclass(frozen=True)
class Model:
    """A network ready to denoise, with its card."""

    denoiser: NetworkDenoiser
    card: Card
    device: torch.device

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images it makes."""
        return self.card.network.image_shape


def available(folder: Path = MODELS) -> list[str]:
    """Names of the networks in a folder."""
    return sorted(path.stem for path in folder.glob("*.safetensors") if path.with_suffix(".json").is_file())


def save_model(path: Path, network: nn.Module, card: Card) -> Card:
    """Write ``path`` (NAME.safetensors, float16) and its card; returns the card with the hash filled in."""
    write_weights(path, network, card.to_json())
    return read_card(path)


def save_card(name: str, card: Card) -> None:
    """Write the card of a network anew, beside its weights."""
    write_atomically(find_model(name).with_suffix(".json"), card_bytes(card.to_json()))


def read_card(path: Path) -> Card:
    """The card of the weights at ``path``, or of the network of diffusers that is there.

    Raises:
        CheckpointError: no card, or one with fields missing or unknown; as ``read_foreign_card``.
    """
    if is_foreign(path):
        return read_foreign_card(path)

    def from_json(content: dict[str, Any]) -> Card:
        network = find_kind(content.get("kind", DEFAULT_KIND)).read_config(content["network"])
        return Card(**(content | {"network": network, "schedule": ScheduleSpec.from_json(content["schedule"])}))

    return read_card_as(path, from_json)


def find_model(name: str) -> Path:
    """The weights of a shipped network by name, or of any other by path: that of the weights, of a folder that a run
    has written, or of a folder or zip of diffusers; or such a folder by the name of its repository on the Hub.

    Raises:
        CheckpointError: nothing is there, or a folder with several networks; as ``fetch``.
    """
    if is_on_hub(name):
        return fetch(name)
    path, there = find_weights(name, MODELS), Path(name)
    if path is None and name and is_foreign(there):
        own = available(there) if there.is_dir() else []
        if len(own) > 1:
            raise CheckpointError(f"{name} has {len(own)} networks, {' and '.join(own[:2])}; name one of the files.")
        return there / f"{own[0]}.safetensors" if own else there
    if path is None:
        raise CheckpointError(f"There is no model {name!r}; the shipped ones are {', '.join(available()) or 'none'}.")
    return path


def load_model(
    name: str, device: torch.device | str = "cpu", precision: torch.dtype = torch.float32, *, compiled: bool = False
) -> Model:
    """Load a shipped network by name, or any other by path, see ``find_model``.

    Args:
        precision: as in NetworkDenoiser. On a CPU a network is prepared for it, if its kind can be.
        compiled: let PyTorch compile the network at its first call for a batch size, which takes a minute or more; on a
            GPU into CUDA graphs. Pays for many samples.

    Raises:
        CheckpointError: not found, no readable card, a hash that does not match, or weights of another architecture;
            as ``load_foreign``.
    """
    path = find_model(name)
    network: nn.Module
    if is_foreign(path):
        network, card = load_foreign(path)
        prepare = None
    else:
        card = read_card(path)
        kind = find_kind(card.kind)
        network, prepare = kind.build(card.network), kind.fast
        read_weights(path, card.sha256, network)
    device = torch.device(device)
    # What GPUs are fast in; in float32, processors are slower at it.
    order = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    network = network.to(device, memory_format=order)  # type: ignore[call-overload]
    network.eval().requires_grad_(False)
    if compiled:
        network = cast(nn.Module, torch.compile(network, mode="reduce-overhead"))  # a module in all but its class
    fast = prepare(network, precision) if prepare is not None and device.type == "cpu" and not compiled else None
    return Model(NetworkDenoiser(cast(Network, network), precision, fast), card, device)


def count_parameters(model: Model) -> int:
    """How many numbers it has learnt."""
    return sum(parameter.numel() for parameter in cast(nn.Module, model.denoiser.network).parameters())
