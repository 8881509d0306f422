"""What a run of one's own is to learn from, before it begins: images as they were read, and what to expect of them."""

from __future__ import annotations

import base64
import tempfile
import time
import warnings
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from diffusion.data.folders import DataWarning, load_data
from diffusion.data.sets import DataError, ImageSet
from diffusion.device import best_device, best_precision
from diffusion.files import UNREADABLE
from diffusion.images import SUFFIXES
from diffusion.networks.model import MODELS, available, read_card
from diffusion.networks.unet import UNet, UNetConfig
from diffusion.training.config import TrainConfig
from diffusion.training.presets import PRESETS
from ui.asked import AskedError
from ui.background import in_background
from ui.cost import duration
from ui.runs import BOUNDS, NOTHING, RunBounds

SIDE = 32  # of the images that the page's networks learn from
THUMBNAILS = 48
TIMED_SECONDS = 1.5
BUNDLED_SETS = {"emoji": "train", "digits": "test"}  # what comes with the page, and which split of it is learnt from
LUMA = (0.299, 0.587, 0.114)  # as Pillow makes grey of RGB
SIZES = {"small": "nothing: small, quick to draw", "middle": "nothing: as large as the shipped ones"}


@dataclass(frozen=True)
class Draft:
    """Images to learn from.

    Args:
        held_out: of the same kind, none of which is learnt from; None where there are none.
        remarks: on what was left out, and why.
        about: where they are from, if that is known.
        licence: theirs, if that is known.
    """

    data: ImageSet
    held_out: ImageSet | None = None
    remarks: tuple[str, ...] = ()
    about: str = ""
    licence: str = ""

    @property
    def channels(self) -> int:
        return int(self.data.images.shape[1])


def read_dropped(paths: Sequence[str], bounds: RunBounds = BOUNDS) -> Draft:
    """Images, or a zip of them, as they were dropped on the page.

    Raises:
        DataError: none, more than the bounds allow, a zip beside other files, or none that can be read.
    """
    files = [Path(path) for path in paths]
    if not files:
        raise DataError("Choose some images first, or a zip of them.")
    zips = [path for path in files if path.suffix.lower() == ".zip"]
    if zips and len(files) > 1:
        raise DataError("A zip is read by itself; choose it alone, or images alone.")
    if zips:
        check_zip(zips[0], bounds)
        return _read(zips[0], zips[0].name, bounds)
    if len(files) > bounds.images:
        raise DataError(f"{len(files):,} images are too many here; choose at most {bounds.images:,}.")
    with tempfile.TemporaryDirectory() as folder:
        for k, path in enumerate(files):
            # Two may have the same name; the order stays, as it was chosen.
            place = Path(folder, path.name)
            (place if not place.exists() else place.with_name(f"{k}-{path.name}")).symlink_to(path.resolve())
        return _read(Path(folder), "your files", bounds)


def check_zip(path: Path, bounds: RunBounds) -> None:
    """Before anything of it is unpacked.

    Raises:
        DataError: no zip, or more in it than the bounds allow.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except UNREADABLE as error:
        raise DataError(f"{path.name} is not a zip file that can be read.") from error
    count = sum(Path(entry.filename).suffix.lower() in SUFFIXES for entry in entries)
    if count > bounds.images:
        raise DataError(f"{path.name} has {count:,} images, more than the {bounds.images:,} that are learnt from here.")
    if sum(entry.file_size for entry in entries) > bounds.unpacked:
        raise DataError(f"{path.name} holds more than {bounds.unpacked >> 20:,} MB when it is unpacked.")


def _read(source: Path, called: str, bounds: RunBounds) -> Draft:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DataWarning)
        try:
            data = load_data(source, "train", SIDE)
            held_out = _test_of(source, data.images.shape[1])
        except DataError as error:
            raise DataError(str(error).replace(str(source), called)) from None
    remarks = dict.fromkeys(str(w.message).replace(str(source), called) for w in caught if w.category is DataWarning)
    return Draft(data, held_out, tuple(remarks))


def _test_of(source: Path, channels: int) -> ImageSet | None:
    """The images of the folder ``test``, where there is one."""
    try:
        return load_data(source, "test", SIDE, channels)
    except DataError:
        return None


def read_bundled(name: str) -> Draft:
    """Images that come with the page.

    Raises:
        AskedError: none of that name.
    """
    if name not in BUNDLED_SETS:
        raise AskedError(f"There are no bundled images called {name[:40]!r}.")
    card = read_card(MODELS / f"{name}.safetensors")
    split = BUNDLED_SETS[name]
    held_out = load_data(name, "test", SIDE) if split == "train" else None
    data = load_data(name, split, SIDE)
    return Draft(replace(data, groups=None), held_out, about=card.data, licence=card.licence)


def show_draft(draft: Draft) -> dict[str, Any]:
    """What the page shows of it: how many there are, of which classes, thumbnails as bytes, and what was left out."""
    data, shown = draft.data, draft.data.evenly(THUMBNAILS)
    counts = torch.bincount(data.labels, minlength=len(data.classes)).tolist() if data.classes else []
    pixels = shown.images.movedim(1, -1).contiguous()
    return {
        "count": len(data), "held_out": 0 if draft.held_out is None else len(draft.held_out),
        "classes": [[name, count] for name, count in zip(data.classes, counts, strict=True)],
        "shape": list(pixels.shape), "data": base64.b64encode(pixels.numpy().tobytes()).decode(),
        "remarks": list(draft.remarks),
    }  # fmt: skip


def beginnings() -> list[tuple[str, str]]:
    """(title, name) of all that a run can begin from: shipped networks, and sizes of one that knows nothing."""
    cards = {name: read_card(MODELS / f"{name}.safetensors") for name in available()}
    shipped = [
        (f"{card.title}, as shipped", name)
        for name, card in cards.items()
        if isinstance(card.network, UNetConfig) and not card.levels and card.network.guidance is None
    ]
    return [*shipped, *((title, name) for name, title in SIZES.items())]


def nearest_beginning(draft: Draft) -> str:
    """The shipped network of images that are most like these: in colour or not."""
    return "digits" if draft.channels == 1 else "emoji"


def suited_to(draft: Draft, begin: str, *, classes: bool) -> Draft:
    """The images as the network takes them with which a run begins: grey or in colour, with their classes or without.

    Raises:
        AskedError: no such network.
    """
    if begin not in {name for _, name in beginnings()}:
        raise AskedError(f"A run cannot begin with {begin[:40]!r}.")
    channels = draft.channels if begin in NOTHING else network_of(begin, draft.channels).channels

    def suit(some: ImageSet) -> ImageSet:
        said = some if classes else replace(some, labels=torch.zeros_like(some.labels), classes=())
        return replace(said, images=in_channels(some.images, channels))

    return replace(draft, data=suit(draft.data), held_out=None if draft.held_out is None else suit(draft.held_out))


def in_channels(images: Tensor, channels: int) -> Tensor:
    """Images (N, 1 or 3, H, W) uint8, grey or in colour."""
    if images.shape[1] == channels:
        return images
    if channels == 3:
        return images.expand(-1, 3, -1, -1)
    weights = torch.tensor(LUMA)[:, None, None]
    return (images.float() * weights).sum(1, keepdim=True).round().to(torch.uint8)


def network_of(begin: str, channels: int) -> UNetConfig:
    """The network that a run begins with, without classes."""
    if begin in NOTHING:
        preset = PRESETS["emoji"].network
        assert isinstance(preset, UNetConfig)
        return replace(preset, channels=channels, widths=NOTHING[begin], conditions=())
    shipped = read_card(MODELS / f"{begin}.safetensors").network
    assert isinstance(shipped, UNetConfig)
    return replace(shipped, conditions=())


def seconds_a_thousand(begin: str, batch: int) -> float:
    """How long this machine takes to learn from a thousand images, measured once for a second or two."""
    return _measured(begin, batch)


@lru_cache(maxsize=32)
def _measured(begin: str, batch: int) -> float:
    (seconds,) = in_background(iter([_measure(network_of(begin, 3), batch)]))
    return seconds


def _measure(config: UNetConfig, batch: int) -> float:
    """Steps as the trainer takes them, on noise."""
    from diffusion.data.sets import ImageSet as Images
    from diffusion.schedules.families import make_schedule
    from diffusion.training.batch import draw_batch
    from diffusion.training.errors import errors_of_batch
    from diffusion.training.history import LossHistory

    device, settings = best_device(), TrainConfig(images=batch, batch=batch)
    network = UNet(config).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.AdamW(network.parameters(), fused=True)
    noise = torch.randint(0, 256, (batch, *config.image_shape), dtype=torch.uint8)
    data, schedule = Images(noise, torch.zeros(batch, dtype=torch.int64)), make_schedule("cosine", 1000)
    half = best_precision(device) == "bf16"
    taken, started = -1, time.perf_counter()
    while taken < 1 or time.perf_counter() - started < TIMED_SECONDS:
        drawn = draw_batch(data, config, settings, schedule, LossHistory.empty(1000), taken + 1).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            loss = errors_of_batch(network, config, drawn).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0).item()
        optimizer.step()
        taken += 1
        if taken == 0:  # the first is slower than all others
            started = time.perf_counter()
    return (time.perf_counter() - started) / (taken * batch) * 1000


def expect(count: int, begin: str, seconds: float | None) -> str:
    """What to expect of a run, in Markdown, honestly.

    Args:
        count: of images.
        seconds: that a thousand images take here; None where that was not measured.
    """
    lines = [few_or_many(count)]
    if seconds is not None:
        lines.append(f"A thousand images take **about {duration(seconds)}** here.")
    known = begin not in NOTHING
    coming = (
        (1, "colours and shapes like yours", "blurred patches"),
        (10, "your images, or things that could be among them", "shapes, mostly mush"),
        (60, "sharper; with few images, copies" if count < MANY_IMAGES else "sharper, and new", "things to be guessed"),
    )
    for minutes, adapted, anew in coming:
        seen = "" if seconds is None else f" ({_seen(60_000 * minutes / seconds, count)})"
        lines.append(f"- after {minutes} minute{'s' * (minutes > 1)}{seen}: {adapted if known else anew}")
    return "\n".join([*lines[:2], "", *lines[2:]] if seconds is not None else [lines[0], "", *lines[1:]])


MANY_IMAGES, FEW_IMAGES = 1000, 100


def few_or_many(count: int) -> str:
    """What so many images can give."""
    if count == 1:
        return "**One image** can only be learnt by heart: every sample becomes this one. That is worth seeing."
    if count < FEW_IMAGES:
        return (
            f"**{count} images** are learnt by heart within minutes: samples become copies of them, as the meter of "
            "memorising shows, while the loss still falls. Mirroring and stopping early help a little."
        )
    if count < MANY_IMAGES:
        return f"**{count} images**: new ones for a while, then more and more copies. Watch the meter."
    return f"**{count:,} images** are enough for new ones; copies come late, if at all."


def _seen(images: float, count: int) -> str:
    """So many images seen, in words."""
    digits = max(0, len(str(int(images))) - 2)
    rounded = int(np.round(images, -digits))
    times = images / count
    return f"{rounded:,} seen, each about {times:,.0f} times" if times >= 1.5 else f"{rounded:,} seen"
