"""What is watched of a training run: all of it read from what the command writes, and compared with the run's images.

Two things give a run's numbers a scale. Its loss at every t stands between two denoisers that know images by heart:
one knows all that the run learns from, the other only those that were not asked about. And its samples are held against
the images nearest to them: one that is nearer than images of the kind are to each other is no new one.
"""

from __future__ import annotations

import base64
import csv
import functools
import io
import json
import zipfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field
from torch import Tensor
from typing_extensions import TypedDict

from diffusion.data.folders import load_data
from diffusion.data.sets import ImageSet
from diffusion.denoiser import ExactDenoiser
from diffusion.files import write_atomically
from diffusion.images import to_unit
from diffusion.losses.measure import measure_errors, measuring_levels
from diffusion.networks.card import Card
from diffusion.networks.model import read_card
from diffusion.schedules.schedule import Array
from diffusion.schedules.spec import ScheduleSpec
from ui import runs
from ui.asked import AskedError
from ui.background import in_background
from ui.files import made_path
from ui.runs import DATA, NAME, find_run, read_run, rows_of_log, status_of
from ui.view import served

SAMPLES = 16  # of a grid of the page's runs
GRID_GAP = 2  # pixels between them
MOST_FRAMES, AT_ONCE = 240, 8  # of the history of a run, and of one answer
SPEED_SECONDS = 20.0  # over which images a second are counted
LEVELS, MEASURED, FEW_MEASURED, MANY = 24, 64, 24, 1000  # of the two references; few images where there are many
COMPARED = 300  # images whose distance to each other is looked at
TOO_NEAR = 10.0  # percent of them: whatever is nearer than these is too near
ALIKE = 16.0  # grey levels, where there is nothing to compare with: hardly to be told apart
PARTS = 50  # of the noise levels, over which losses are averaged
SCHEDULE = ScheduleSpec("cosine", 1000)  # of every run that begins from a network of the page, or from nothing


class AskedWatch(TypedDict):
    """What is new of a run, to whoever has seen some of it.

    go: which start of it was seen last; after: the images of the last row of its log; step: of the last grid, or -1.
    """

    run: str
    go: int
    after: Annotated[int, Field(ge=0)]
    step: Annotated[int, Field(ge=-1)]


class AskedRunOnly(TypedDict):
    """A run."""

    run: str


class AskedKeeping(TypedDict):
    """A run, and whether it is kept."""

    run: str
    kept: bool


def with_reason(function: Callable[[Any], Any]) -> Callable[[Any], dict[str, Any]]:
    """A server function that answers a refusal with {"error": why}: Gradio hands a page no word of a status 400."""

    @functools.wraps(function)
    def answer(asked: Any) -> dict[str, Any]:
        try:
            return function(asked) or {}
        except AskedError as error:
            return {"error": str(error)}

    return answer


def watch_run(asked: AskedWatch) -> dict[str, Any]:
    """What is new of a run: its status, rows of its log, grids of samples with the nearest images, and the loss by t.

    frames: of each its ``step``, the ``images`` seen, the ``data`` (planes of samples and of nearest images, bytes in
    base64), the ``distance`` of each sample in grey levels, and how many are too ``near``.

    Raises:
        AskedError: no such run.
    """
    folder = find_run(asked["run"])
    status, said = status_of(folder), read_run(folder)
    anew = asked["go"] != status.go
    rows = rows_of_log(folder)
    every = said["wish"]["batch"]
    there = steps_drawn(folder)
    wanted = [step for step in thinned(there) if step > asked["step"]]
    frames = [frame_of(folder, step, every) for step in wanted[:AT_ONCE]]
    return {
        "run": asked["run"], "state": status.state, "sentence": status.sentence, "left": status.left, "go": status.go,
        "alive": status.alive, "anew": anew, "kept": (folder / runs.KEPT).exists(),
        "saved": (folder / f"{NAME}.json").is_file(), "about": about_run(said), "shape": shape_of(said),
        "rows": [[row["images"], row["loss"]] for row in rows if anew or row["images"] > asked["after"]],
        "seen": rows[-1]["images"] if rows else 0, "speed": speed_of(rows) if status.state == "running" else None,
        "frames": frames, "more": len(wanted) > len(frames), "loss_by_t": loss_by_level(folder) if frames else None,
    }  # fmt: skip


def about_run(said: dict[str, Any]) -> str:
    """What a run learns from, and where it began."""
    wish, count = said["wish"], said["images"]
    begin = f"{wish['begin']} network from nothing" if wish["begin"] in runs.NOTHING else f"{wish['begin']} network"
    mirrored = ", mirrored too" if wish["mirror"] else ""
    return f"{count:,} image{'' if count == 1 else 's'}{mirrored} · begun with the {begin}"


def shape_of(said: dict[str, Any]) -> list[int]:
    """(B, H, W, C) of its grids."""
    channels, height, width = said["shape"]
    return [SAMPLES, height, width, channels]


def steps_drawn(folder: Path) -> list[int]:
    """The steps of which there is a grid of samples."""
    return sorted(int(path.stem.partition("-")[2]) for path in (folder / "samples").glob("step-*.png"))


def thinned(steps: list[int]) -> list[int]:
    """At most so many of them that a browser can hold them, evenly."""
    return steps[:: -(-len(steps) // MOST_FRAMES) or 1]


def speed_of(rows: list[dict[str, float]]) -> float | None:
    """Images a second over the last rows of a log."""
    if len(rows) < 2:
        return None
    last = rows[-1]
    recent = [row for row in rows[:-1] if last["seconds"] - row["seconds"] <= SPEED_SECONDS] or rows[-2:-1]
    first = recent[0]
    # A run that goes on from its last save counts its seconds on.
    return (last["images"] - first["images"]) / max(last["seconds"] - first["seconds"], 0.1)


@lru_cache(maxsize=4)
def images_of_run(folder: Path) -> tuple[ImageSet, ImageSet | None]:
    """What a run learns from, and what was held out of it, if anything was."""
    said = read_run(folder)
    side = said["shape"][1]
    held_out = load_data(folder / DATA, "test", side) if said["held_out"] else None
    return load_data(folder / DATA, "train", side), held_out


def shown_to(folder: Path) -> Tensor:
    """All that a run is shown: its images, and behind them the mirrored ones if it is shown those, uint8."""
    images = images_of_run(folder)[0].images
    return torch.cat([images, images.flip(-1)]) if read_run(folder)["wish"]["mirror"] else images


def frame_of(folder: Path, step: int, batch: int) -> dict[str, Any]:
    """A grid of samples with the nearest images, as of ``watch_run``."""
    samples, nearest, distance, near = _compared(folder, step)
    data = np.stack([samples, nearest]).tobytes()
    return {
        "step": step, "images": step * batch, "data": base64.b64encode(data).decode(),
        "distance": np.round(distance, 1).tolist(), "near": near,
    }  # fmt: skip


@lru_cache(maxsize=64)
def _compared(folder: Path, step: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Array, int]:
    """Samples (B, H, W, C), the images nearest to them, how far each is, and how many are too near."""
    from diffusion.evaluation.evaluate import nearest_images
    from diffusion.training.preview import preview_path

    samples = read_grid(preview_path(folder, step), shape_of(read_run(folder)))
    known = shown_to(folder)
    (index, distance), limit = nearest_images(torch.from_numpy(samples).movedim(-1, 1), known), near_limit(folder)[0]
    return samples, known[index].movedim(1, -1).contiguous().numpy(), distance, int((distance < limit).sum())


def read_grid(path: Path, shape: list[int]) -> NDArray[np.uint8]:
    """The samples of a grid, (B, H, W, C)."""
    count, height, width, channels = shape
    with Image.open(path) as image:
        pixels = np.asarray(image).reshape(image.height, image.width, channels)
    columns = (pixels.shape[1] + GRID_GAP) // (width + GRID_GAP)
    places = [divmod(k, columns) for k in range(count)]
    rows, lefts = height + GRID_GAP, width + GRID_GAP
    return np.stack([pixels[r * rows : r * rows + height, c * lefts : c * lefts + width] for r, c in places])


@lru_cache(maxsize=16)
def near_limit(folder: Path) -> tuple[float, str]:
    """The distance, in grey levels, below which a sample is too near to be a new image, and what that is."""
    from diffusion.evaluation.evaluate import nearest_images

    data, held_out = images_of_run(folder)
    known, count = shown_to(folder), len(data)
    if held_out is not None:
        distance = nearest_images(held_out.evenly(COMPARED).images, known)[1]
        return float(np.percentile(distance, TOO_NEAR)), "held-out images are to a training image"
    if count < 2:
        return ALIKE, "16 grey levels, where they can hardly be told apart"
    chosen = torch.linspace(0, count - 1, min(count, COMPARED), dtype=torch.float64).round().long()
    itself = torch.stack([chosen + k * count for k in range(len(known) // count)], 1)
    distance = nearest_images(data.images[chosen], known, itself)[1]
    return float(np.percentile(distance, TOO_NEAR)), "training images are to each other"


def loss_by_level(folder: Path) -> dict[str, list[float]] | None:
    """The last losses of a run over log SNR, {"log_snr", "loss"}; None before there are any."""
    path = folder / "loss_by_t.csv"
    if not path.is_file():
        return None
    rows = [row for row in csv.DictReader(io.StringIO(path.read_text())) if row["loss"] != "nan"]
    if not rows:
        return None
    t, loss = (np.array([float(row[name]) for row in rows]) for name in ("t", "loss"))
    log_snr = SCHEDULE.make().log_snr[t.astype(int)]
    parts = [part for part in np.array_split(np.arange(len(t)), PARTS) if len(part)]
    return {
        "log_snr": [float(log_snr[part].mean()) for part in parts],
        "loss": [float(loss[part].mean()) for part in parts],
    }


def bracket_run(asked: AskedRunOnly) -> dict[str, Any]:
    """What a run's loss stands between, and the scale of its nearness; computed once, and kept in its folder.

    log_snr; ``heart``, the error in v, as the run's loss is, of the exact denoiser of all that it is shown; ``others``
    that of one which knows only images that were not asked about, where there are any; ``heart_mean`` and
    ``others_mean`` over all t, as the loss is; ``limit`` in grey levels, and what it is.

    Raises:
        AskedError: no such run.
    """
    folder = find_run(asked["run"])
    kept = folder / "bracket.json"
    if kept.is_file():
        found: dict[str, Any] = json.loads(kept.read_text())
        return found
    (found,) = in_background(iter([measure_bracket(folder)]))
    write_atomically(kept, json.dumps(found).encode())
    return found


def measure_bracket(folder: Path) -> dict[str, Any]:
    """What ``bracket_run`` keeps."""
    data, schedule = images_of_run(folder)[0], SCHEDULE.make()
    known = shown_to(folder)
    labels = data.labels.repeat(len(known) // len(data))
    # Of few images half of them, so that there are others.
    most = FEW_MEASURED if len(known) > MANY else MEASURED
    chosen = data.evenly(max(1, min(most, len(data) // 2)))
    everything = ImageSet(known, labels)
    others = everything.without(ImageSet(torch.cat([chosen.images, chosen.images.flip(-1)]), chosen.labels))
    told = chosen.labels if data.classes else None
    steps, found = np.arange(1, schedule.T + 1), dict[str, Any]()
    for which, there in (("heart", everything), ("others", others)):
        if not len(there):
            continue
        denoiser = ExactDenoiser(there.images, there.labels)
        levels = measuring_levels(schedule, LEVELS)
        *_, curve = measure_errors(denoiser, to_unit(chosen.images), levels, labels=told, batch=256, decoder=False)
        # At a given x_t, an error in eps is one in v times sqrt(alpha_bar).
        in_v = curve.mean * (1 + np.exp(-curve.log_snr))
        over_t = np.interp(-schedule.log_snr[steps], -curve.log_snr, in_v)
        found |= {"log_snr": curve.log_snr.tolist(), which: in_v.tolist(), f"{which}_mean": float(over_t.mean())}
    limit, what = near_limit(folder)
    return found | {"limit": limit, "what": what}


def take_network(asked: AskedRunOnly) -> dict[str, str]:
    """A run's network as a zip to take away, {"url", "name"}: weights, card, images, and how to go on with them.

    Raises:
        AskedError: no such run, or nothing saved yet.
    """
    weights = runs.weights_of(asked["run"])
    folder, card = weights.parent, read_card(weights)
    file = made_path("network.zip")
    with zipfile.ZipFile(file, "w") as archive:
        for path in (weights, weights.with_suffix(".json"), folder / DATA):
            archive.write(path, f"network/{path.name}")
        archive.writestr("network/README.md", read_me(card, read_run(folder)))
    return {"url": served(file), "name": file.name}


def read_me(card: Card, said: dict[str, Any]) -> str:
    """What lies beside a network that is taken away."""
    wish = said["wish"]
    classes = " --drop-label 0.1" if card.classes else ""
    mirror = " --flip" if wish["mirror"] else ""
    return (
        f"# {card.title}\n\n{card.images_seen:,} images seen. {card.data} {card.licence}\n\n"
        f"{DATA} holds the {said['images']:,} images it learnt from; leave it out where they are not to be passed on.\n"
        "With DDPM Lab's repository, from this folder:\n\n"
        f"    python -m diffusion sample --model {NAME}.safetensors --count 16 --out samples.png\n\n"
        "goes on with it elsewhere, on a GPU if there is one:\n\n"
        f"    python -m diffusion train --init {NAME}.safetensors --data {DATA} --run more --name {NAME} "
        f"--images 320000 --batch {wish['batch']} --decay constant --ema {wish['ema']:g}{mirror}{classes}\n"
    )


def pause_run_here(asked: AskedRunOnly) -> None:
    """Pause a run."""
    runs.pause_run(asked["run"])


def go_on_here(asked: AskedRunOnly) -> None:
    """Let a run go on.

    Raises:
        AskedError: too many are alive.
    """
    runs.go_on(asked["run"])


def remove_run_here(asked: AskedRunOnly) -> None:
    """End a run and delete all of it."""
    runs.remove_run(asked["run"])


def keep_run_here(asked: AskedKeeping) -> None:
    """Keep a run from being removed after a day, or no longer."""
    runs.keep_run(asked["run"], asked["kept"])
