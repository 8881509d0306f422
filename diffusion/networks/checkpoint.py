"""Trained networks on disk: weights as safetensors, and beside them a card that says what they are.

NAME.safetensors holds the averaged weights in float16; NAME.json is the card, with the weights' SHA-256, which is
checked before they are used.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from diffusion.denoiser import NetworkDenoiser
from diffusion.networks.fast import FastUNet
from diffusion.networks.unet import UNet, UNetConfig, fields_of_today
from diffusion.schedules.schedule import Schedule, make_schedule

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

C = TypeVar("C")  # a card of any kind

MODELS = Path(__file__).parents[2] / "assets" / "models"


class CheckpointError(ValueError):
    """A checkpoint that cannot be used, said in one sentence."""


@dataclass(frozen=True)
class Card:
    """What a network is, where it comes from and what it was trained on."""

    name: str
    title: str
    classes: list[str]
    network: UNetConfig
    schedule: dict[str, Any]
    data: str
    licence: str
    command: str
    images_seen: int
    seconds: float
    sha256: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    # The names of the values of each condition, where there are several in place of classes.
    conditions: dict[str, list[str]] = field(default_factory=dict)

    def training_schedule(self) -> Schedule:
        """The schedule its noise levels were drawn from in training."""
        return make_schedule(**self.schedule)

    def labels(self, count: int, only: int | None = None) -> Tensor:
        """The class of each of ``count`` samples, (count,) int64: all classes in turn, or only one."""
        if only is not None:
            return torch.full((count,), only)
        return torch.arange(count) % max(len(self.classes), 1)


@dataclass(frozen=True)
class Model:
    """A network ready to denoise, with its card."""

    denoiser: NetworkDenoiser
    card: Card
    device: torch.device

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of the images it makes."""
        config = self.card.network
        return config.channels, config.image_size, config.image_size


def available(folder: Path = MODELS) -> list[str]:
    """Names of the networks in a folder."""
    return sorted(path.stem for path in folder.glob("*.safetensors") if path.with_suffix(".json").is_file())


def write_atomically(path: Path, data: bytes) -> None:
    """Write beside and rename, so that a full disk or a lost machine leaves the file that was there."""
    write_together({path: data})


def write_together(files: dict[Path, bytes]) -> None:
    """Write several files that belong together, atomically each; none is replaced unless there is room for all."""
    beside = {path: path.with_name(f".{path.name}.part") for path in files}
    try:
        for path, data in files.items():
            with beside[path].open("wb") as file:
                file.write(data)
                file.flush()
                # Without it the rename may reach the disk before the content.
                os.fsync(file.fileno())
        for path, part in beside.items():
            os.replace(part, path)
    finally:
        for part in beside.values():
            part.unlink(missing_ok=True)


def write_weights(path: Path, network: nn.Module, card: dict[str, Any]) -> None:
    """Write ``path`` (NAME.safetensors, float16) and beside it the card, with the weights' hash filled in."""
    # Whole numbers, counters for one, may be larger than float16 holds.
    weights = {name: (value.detach().half() if value.is_floating_point() else value).cpu().contiguous()
               for name, value in network.state_dict().items()}  # fmt: skip
    data = safetensors.torch.save(weights)
    path.parent.mkdir(parents=True, exist_ok=True)
    content = card | {"sha256": hashlib.sha256(data).hexdigest()}
    write_together({path: data, path.with_suffix(".json"): _card_bytes(content)})


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


def save_model(path: Path, network: UNet, card: Card) -> Card:
    """Write ``path`` (NAME.safetensors, float16) and its card; returns the card with the hash filled in."""
    write_weights(path, network, asdict(card))
    return read_card(path)


def save_card(name: str, card: Card) -> None:
    """Write the card of a network anew, beside its weights."""
    write_atomically(find_model(name).with_suffix(".json"), _card_bytes(asdict(card)))


def _card_bytes(content: dict[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, ensure_ascii=False) + "\n").encode()


def read_card(path: Path) -> Card:
    """The card of the weights at ``path``.

    Raises:
        CheckpointError: no card, or one with fields missing or unknown.
    """
    return read_card_as(path, Card, UNetConfig, fields_of_today)


def read_card_as(
    path: Path,
    card: Callable[..., C],
    config: type[DataclassInstance],
    of_today: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> C:
    """The card of the weights at ``path``, of any kind: ``card`` of its fields, ``config`` of those of ``network``.

    Args:
        of_today: makes the fields of ``network`` those of ``config``, where older cards have others.

    Raises:
        CheckpointError: no card, or one with fields missing or unknown.
    """
    card_path = path.with_suffix(".json")
    try:
        content = json.loads(card_path.read_text(encoding="utf-8"))
        network = of_today(content.pop("network"))
        # A default could change, and a card that leaves a field out with it: all must be there.
        missing = {field.name for field in fields(config)} - set(network)
        if missing:
            raise KeyError(", ".join(sorted(missing)))
        values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in network.items()}
        return card(network=config(**values), **content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(f"The card {card_path.name} cannot be read: {error}.") from error


def find_weights(name: str, folder: Path) -> Path | None:
    """The weights of that name in a folder, or at that path; None if there are none."""
    paths = (folder / f"{name}.safetensors", Path(name))
    return next((path for path in paths if path.suffix.lower() == ".safetensors" and path.is_file()), None)


def find_model(name: str) -> Path:
    """The weights of a shipped network by name, or of any other by path.

    Raises:
        CheckpointError: neither is there.
    """
    path = find_weights(name, MODELS)
    if path is None:
        raise CheckpointError(f"There is no model {name!r}; the shipped ones are {', '.join(available()) or 'none'}.")
    return path


def load_model(
    name: str, device: torch.device | str = "cpu", precision: torch.dtype = torch.float32, *, compiled: bool = False
) -> Model:
    """Load a shipped network by name, or one from a path to its .safetensors.

    Args:
        precision: as in NetworkDenoiser. On a CPU, bfloat16 prepares the network for it (``FastUNet``).
        compiled: let PyTorch compile the network at its first call for a batch size, which takes a minute or more; on a
            GPU into CUDA graphs. Pays for many samples.

    Raises:
        CheckpointError: not found, no readable card, a hash that does not match, or weights of another architecture.
    """
    path = find_model(name)
    card = read_card(path)
    network = UNet(card.network)
    read_weights(path, card.sha256, network)
    device = torch.device(device)
    # What GPUs are fast in; in float32, processors are slower at it.
    order = torch.channels_last if device.type == "cuda" else torch.contiguous_format
    network = network.to(device, memory_format=order)  # type: ignore[call-overload]
    network.eval().requires_grad_(False)
    if compiled:
        network = cast(UNet, torch.compile(network, mode="reduce-overhead"))  # a UNet in all but its class
    fast = FastUNet(network) if device.type == "cpu" and precision == torch.bfloat16 and not compiled else None
    return Model(NetworkDenoiser(network, precision, fast), card, device)
