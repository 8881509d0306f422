"""Weights on disk, of any kind of network: as safetensors, and beside them a card that says what they are.

NAME.safetensors holds the averaged weights in float16; NAME.json is the card, with the weights' SHA-256, which is
checked before they are used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from diffusion.files import write_together

C = TypeVar("C")  # a card of any kind


class CheckpointError(ValueError):
    """A checkpoint that cannot be used, said in one sentence."""


def write_weights(path: Path, network: nn.Module, card: dict[str, Any]) -> None:
    """Write ``path`` (NAME.safetensors, float16) and beside it the card, with the weights' hash filled in."""
    # Whole numbers, counters for one, may be larger than float16 holds.
    weights = {name: (value.detach().half() if value.is_floating_point() else value).cpu().contiguous()
               for name, value in network.state_dict().items()}  # fmt: skip
    data = safetensors.torch.save(weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = card | {"sha256": hashlib.sha256(data).hexdigest()}
    write_together({path: data, path.with_suffix(".json"): card_bytes(content)})


def read_weights(path: Path, sha256: str, network: nn.Module) -> None:
    """Load the weights at ``path`` into a network, as float32.

    Raises:
        CheckpointError: a hash that does not match, or weights of another architecture.
    """
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise CheckpointError(f"{path.name} is not the file its card describes (SHA-256 differs); download it again.")
    try:
        network.load_state_dict(safetensors.torch.load(data))  # copies, and so converts to float32
    except (RuntimeError, SafetensorError) as error:
        raise CheckpointError(f"{path.name} does not fit the architecture in its card.") from error


def card_bytes(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def read_card_as(path: Path, from_json: Callable[[dict[str, Any]], C]) -> C:
    """The card of the weights at ``path``, of any kind: what ``from_json`` makes of it.

    Raises:
        CheckpointError: no card, or one with fields missing or unknown.
    """
    card_path = path.with_suffix(".json")
    try:
        return from_json(json.loads(card_path.read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"The card {card_path.name} cannot be read: {error}.") from error


def find_weights(name: str, folder: Path) -> Path | None:
    """The weights of that name in a folder, or at that path; None if there are none."""
    paths = (folder / f"{name}.safetensors", Path(name))
    return next((path for path in paths if path.suffix.lower() == ".safetensors" and path.is_file()), None)
