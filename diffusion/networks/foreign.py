"""Networks that diffusers has saved: a ``UNet2DModel`` with its scheduler, in a folder or a zip of one.

    folder/unet/config.json, folder/unet/diffusion_pytorch_model.safetensors, folder/scheduler/scheduler_config.json

or all of these side by side. diffusers asks a network by the step of the schedule it was trained with, counted from 0.
Here a network is asked by log-SNR: ``ForeignNetwork`` finds the step at which that schedule has it, between two steps
in proportion, so that on its own schedule a network is asked exactly what diffusers asks it. A zip is read where it
lies; nothing is unpacked.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from diffusion.checks import is_whole, shown
from diffusion.files import UNREADABLE
from diffusion.networks.card import Card
from diffusion.networks.checkpoint import CheckpointError
from diffusion.networks.denoiser import LOG_SNR_MAX, LOG_SNR_MIN
from diffusion.process import Prediction
from diffusion.schedules.exchange import read_betas
from diffusion.schedules.schedule import ScheduleError
from diffusion.schedules.spec import ScheduleSpec

if TYPE_CHECKING:
    from diffusers import UNet2DModel

FOREIGN = "diffusers"  # the kind of such networks
CLASS, WEIGHTS, SCHEDULER = "UNet2DModel", "diffusion_pytorch_model", "scheduler_config.json"
PREDICTIONS: dict[str, Prediction] = {"epsilon": "eps", "v_prediction": "v", "sample": "x0"}
MOST_WORDS, MOST_BYTES = 1_000_000, 8_000_000_000  # of a configuration, and of weights
HUB = re.compile(r"\w[\w.-]*/\w[\w.-]*")
NEAR = 2e-3  # of a step: float32 knows a log-SNR no better
# What layers of attention were called before diffusers 0.12, in the checkpoints of Ho et al. for one.
RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


@dataclass(frozen=True)
class ForeignConfig:
    """What builds such a network anew.

    Args:
        unet: the configuration of the ``UNet2DModel``.
        log_snrs: of the steps of the schedule it was trained with, falling, as ``log_snr_of`` has them.
        conditions: (number of classes,), or () if it is told nothing.
    """

    unet: Mapping[str, Any]
    image_shape: tuple[int, int, int]
    prediction: Prediction
    log_snrs: tuple[float, ...]
    conditions: tuple[int, ...] = ()
    guidance: tuple[float, float] | None = None
    empty: tuple[int, ...] = ()  # such networks were taught no class that leaves theirs out

    def describe(self, parameters: int) -> str:
        channels, height, width = self.image_shape
        return f"{CLASS} of diffusers for {height} x {width} x {channels}, {parameters / 1e6:.1f} M parameters"


class ForeignNetwork(nn.Module):
    """A ``UNet2DModel`` asked by log-SNR.

    Of a network that learns its variance too, which has twice as many channels out, the prediction alone.
    """

    def __init__(self, config: ForeignConfig) -> None:
        from diffusers import UNet2DModel

        super().__init__()
        self.config = config
        self.unet = cast("UNet2DModel", UNet2DModel.from_config(dict(config.unet)))
        # Rising, as searchsorted wants it.
        self.register_buffer("levels", torch.tensor(config.log_snrs[::-1]).float().contiguous(), persistent=False)

    def step(self, log_snr: Tensor) -> Tensor:
        """The steps, (B,) float32 from 0, at which its own schedule has these log-SNRs; beyond its ends the last."""
        levels = cast(Tensor, self.levels)
        right = torch.searchsorted(levels, log_snr.contiguous()).clamp(1, len(levels) - 1)
        low, high = levels[right - 1], levels[right]
        place = right - 1 + ((log_snr - low) / (high - low).clamp(min=1e-12)).clamp(0, 1)
        step = len(levels) - 1 - place
        whole = step.round()
        rounded = self.config.unet.get("time_embedding_type") == "learned"
        return whole if rounded else torch.where((step - whole).abs() < NEAR, whole, step)

    def forward(self, x_t: Tensor, log_snr: Tensor, label: Tensor | None = None) -> Tensor:
        step = self.step(log_snr)
        if self.config.unet.get("time_embedding_type") == "learned":
            step = step.long()
        told = None if label is None or not self.config.conditions else label
        out: Tensor = self.unet(x_t, step, class_labels=told, return_dict=False)[0]
        return out[:, : x_t.shape[1]]


@dataclass(frozen=True)
class Files:
    """Those of a folder or a zip, by their names with / between the parts.

    Args:
        sizes: in bytes, as the folder or the zip says.
        read: the content of one.
    """

    place: Path
    sizes: Mapping[str, int]
    read: Callable[[str], bytes]

    def json(self, name: str) -> dict[str, Any]:
        """Raises CheckpointError: no JSON object, or one that is too large."""
        try:
            if self.sizes[name] > MOST_WORDS:
                raise ValueError(f"it takes more than {MOST_WORDS:,} bytes")
            content = json.loads(self.read(name))
        except (*UNREADABLE, RecursionError) as error:
            raise CheckpointError(f"{name} in {self.place.name} cannot be read: {error}.") from error
        if not isinstance(content, dict):
            raise CheckpointError(f"{name} in {self.place.name} is no configuration.")
        return content


@dataclass(frozen=True)
class Saved:
    """Where the parts of a network are among ``files``."""

    files: Files
    config: dict[str, Any]
    scheduler: str
    weights: str


def fetch(name: str) -> Path:
    """The folder of a network on the Hugging Face Hub, "google/ddpm-cifar10-32": downloaded with a progress bar, or
    as it was kept the last time, which is all that is looked at where HF_HUB_OFFLINE is set.

    Raises:
        CheckpointError: it is not there, or there is no way to it.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.safetensors"]))
    except LocalEntryNotFoundError as error:
        raise CheckpointError(
            f"{name} was not downloaded before, and the Hugging Face Hub cannot be reached."
        ) from error
    except RepositoryNotFoundError as error:
        raise CheckpointError(f"There is no network {name} on the Hugging Face Hub that may be had.") from error
    except (HfHubHTTPError, OSError) as error:
        raise CheckpointError(f"{name} could not be downloaded: {str(error).splitlines()[0]}") from error


def is_on_hub(name: str) -> bool:
    """Whether a name is one of the Hub's and no path: of two parts, the first of which is no folder here."""
    path = name.lower().endswith((".safetensors", ".zip")) or Path(name).parent.exists()
    return HUB.fullmatch(name) is not None and not path


def is_foreign(path: Path) -> bool:
    """Whether a path is one that networks of diffusers are opened from: a folder or a zip."""
    return path.is_dir() or (path.suffix.lower() == ".zip" and path.is_file())


def read_foreign_card(path: Path) -> Card:
    """What is known of a network of diffusers: its architecture, its schedule and the hash of its weights.

    Raises:
        CheckpointError: a folder or zip without such a network, with more than one, or with one that cannot be asked
            here.
    """
    return _card(_find(_open(path)))


def load_foreign(path: Path) -> tuple[ForeignNetwork, Card]:
    """A network of diffusers, in float32.

    Raises:
        CheckpointError: as ``read_foreign_card``, or weights that cannot be read, are not numbers, or fit another
            architecture.
    """
    saved = _find(_open(path))
    card = _card(saved)
    data = saved.files.read(saved.weights)
    network = ForeignNetwork(cast(ForeignConfig, card.network))
    try:
        weights = {_renamed(name): value for name, value in safetensors.torch.load(data).items()}
        network.unet.load_state_dict(weights)  # copies, and so converts to float32
    except SafetensorError as error:
        raise CheckpointError(f"{saved.weights} in {path.name} cannot be read; it may be cut off.") from error
    except RuntimeError as error:
        raise CheckpointError(f"{saved.weights} in {path.name} does not fit its configuration.") from error
    if not all(bool(value.isfinite().all()) for value in network.unet.parameters()):
        raise CheckpointError(f"{saved.weights} in {path.name} has weights that are no numbers.")
    return network, card


def _open(path: Path) -> Files:
    if path.is_dir():
        sizes = {file.relative_to(path).as_posix(): file.stat().st_size for file in path.rglob("*") if file.is_file()}
        return Files(path, sizes, lambda name: (path / name).read_bytes())

    def read(name: str) -> bytes:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)

    try:
        with zipfile.ZipFile(path) as archive:
            return Files(path, {entry.filename: entry.file_size for entry in archive.infolist()}, read)
    except UNREADABLE as error:
        raise CheckpointError(f"{path.name} is not a zip file that can be read: {error}.") from error


def _find(files: Files) -> Saved:
    """The one network among files.

    Raises:
        CheckpointError: none or several, a pipeline of another kind, or parts that are missing.
    """
    where = files.place.name
    for name in files.sizes:
        if posixpath.basename(name) == "model_index.json":
            pipeline, parts = files.json(name).get("_class_name"), files.json(name)
            if "text_encoder" in parts or "vae" in parts or "vqvae" in parts:
                raise CheckpointError(f"{where} is a {shown(pipeline)}, which is more than a network that denoises "
                                      "images; a DDPMPipeline or DDIMPipeline can be opened.")  # fmt: skip
    configs = [name for name in files.sizes if posixpath.basename(name) == "config.json"]
    kinds = {name: files.json(name).get("_class_name") for name in configs}
    found = [name for name, kind in kinds.items() if kind == CLASS]
    if len(found) > 1:
        raise CheckpointError(f"{where} has {len(found)} networks, {' and '.join(sorted(found)[:2])}; one is opened.")
    if not found:
        others = sorted({shown(kind) for kind in kinds.values() if kind})
        has = f"a network of the class {', '.join(others)}" if others else "no config.json"
        raise CheckpointError(f"{where} has {has}; to be opened is a {CLASS} of diffusers, with its config.json.")
    folder = posixpath.dirname(found[0])
    around = {folder, posixpath.dirname(folder)}
    places = {posixpath.join(each, part, SCHEDULER) for each in around for part in ("", "scheduler")}
    schedulers = sorted(places & set(files.sizes))
    if len(schedulers) != 1:
        count = "no" if not schedulers else f"{len(schedulers)} files"
        raise CheckpointError(f"{where} has {count} {SCHEDULER}, which says the network's betas; there must be one.")
    return Saved(files, files.json(found[0]), schedulers[0], _find_weights(files, folder))


def _find_weights(files: Files, folder: str) -> str:
    """The weights in a folder, in the precision that is the best there."""
    beside = [name for name in files.sizes if posixpath.dirname(name) == folder]
    pattern = re.compile(rf"{WEIGHTS}(\.\w+)?\.safetensors")
    names = sorted((name for name in beside if pattern.fullmatch(posixpath.basename(name))), key=len)
    if not names:
        pickled = [name for name in beside if name.endswith((".bin", ".pt", ".pth", ".ckpt", ".pkl"))]
        why = (f"{posixpath.basename(pickled[0])} is a pickle, which could run anything; save it again as safetensors"
               if pickled else f"it has no {WEIGHTS}.safetensors")  # fmt: skip
        raise CheckpointError(f"The weights in {files.place.name} cannot be opened: {why}.")
    if files.sizes[names[0]] > MOST_BYTES:
        raise CheckpointError(f"{names[0]} in {files.place.name} takes more than {MOST_BYTES:,} bytes.")
    return names[0]


def _card(saved: Saved) -> Card:
    files, unet = saved.files, {"_class_name": CLASS} | saved.config
    where = files.place.name
    try:
        schedule = read_betas(files.read(saved.scheduler))
    except ScheduleError as error:
        raise CheckpointError(f"{saved.scheduler} in {where} has no schedule that can be used: {error}") from error
    said = files.json(saved.scheduler).get("prediction_type", "epsilon")
    if said not in PREDICTIONS:
        raise CheckpointError(f"The network in {where} predicts {shown(said)}; it can be {', '.join(PREDICTIONS)}.")
    with np.errstate(divide="ignore"):
        log_snrs = np.log(schedule.alpha_bar[1:]) - np.log1p(-schedule.alpha_bar[1:])
    classes = _classes(unet, where)
    config = ForeignConfig(
        unet, _shape(unet, where), PREDICTIONS[said], tuple(np.clip(log_snrs, LOG_SNR_MIN, LOG_SNR_MAX).tolist()),
        (classes,) if classes else (),
    )  # fmt: skip
    name = files.place.stem if files.place.suffix.lower() == ".zip" else files.place.resolve().name
    return Card(
        name=name, title=name, classes=[str(k) for k in range(classes)], network=config,
        schedule=ScheduleSpec.of(schedule), data="", licence="", command="", images_seen=0,
        seconds=0.0, sha256=hashlib.sha256(files.read(saved.weights)).hexdigest(), kind=FOREIGN,
    )  # fmt: skip


def _classes(unet: Mapping[str, Any], where: str) -> int:
    """How many classes it is told."""
    kind, classes = unet.get("class_embed_type"), unet.get("num_class_embeds")
    if kind is not None:
        raise CheckpointError(
            f"The network in {where} is told classes by {shown(kind)}; by num_class_embeds it can be."
        )
    if classes is not None and not (is_whole(classes) and 1 <= classes <= 100_000):
        raise CheckpointError(f"The network in {where} cannot know {shown(classes)} classes.")
    return int(classes or 0)


def _shape(unet: Mapping[str, Any], where: str) -> tuple[int, int, int]:
    """(C, H, W) of its images."""
    side, channels = unet.get("sample_size"), unet.get("in_channels", 3)
    height, width = cast(tuple[int, int], side if isinstance(side, list | tuple) and len(side) == 2 else (side, side))
    if not all(is_whole(size) and 1 <= size <= 4096 for size in (height, width, channels)):
        raise CheckpointError(f"The network in {where} does not say the size of its images: sample_size is "
                              f"{shown(side)}, in_channels {shown(channels)}.")  # fmt: skip
    if channels not in (1, 3):
        raise CheckpointError(f"The network in {where} makes images of {channels} channels; they can have 1 or 3.")
    if unet.get("out_channels", 3) not in (channels, 2 * channels):
        raise CheckpointError(f"The network in {where} has {shown(unet.get('out_channels'))} channels out and "
                              f"{channels} in; it can be as many, or twice as many with its variance.")  # fmt: skip
    halved = 2 ** (len(unet.get("block_out_channels", (0,) * 4)) - 1)
    if height % halved or width % halved:
        raise CheckpointError(f"Images of {height} x {width} cannot be halved as often as the network in {where} does "
                              f"it: a side must be a multiple of {halved}.")  # fmt: skip
    time = unet.get("time_embedding_type", "positional")
    if time not in ("positional", "learned"):
        raise CheckpointError(f"The network in {where} is asked by {shown(time)} features of the noise itself, and not "
                              "by the step of a schedule.")  # fmt: skip
    return int(channels), height, width


def _renamed(name: str) -> str:
    """What a weight is called today."""
    old = "|".join(RENAMED)
    return re.sub(rf"(attentions\.\d+)\.({old})\.", lambda m: f"{m[1]}.{RENAMED[m[2]]}.", name)
