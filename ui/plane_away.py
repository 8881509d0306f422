"""A run on the plane taken away: as a film, as tables, or as Python that draws the same samples.

Beside the file of a run (ui/plane.py) lie the points that it is of, as NAME.npy, and the Python, as NAME.py.
"""

from __future__ import annotations

import json
import math
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from typing_extensions import TypedDict

from diffusion.animation import animate
from diffusion.data.points import as_points, patterns
from diffusion.mixture import Mixture
from diffusion.plane import plane_picture, table_csv
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.recipe import Recipe
from diffusion.sampling.snippet import points_snippet
from diffusion.schedules.schedule import Schedule
from ui.files import find_made, made_path
from ui.picture import EPS_UNIT
from ui.view import served

TRAILS = ".trails"  # of a file with a run
FILM_FRAMES, FILM_MILLISECONDS = 60, 80
POINTS_FILE = "plane-points.csv"  # what the page calls the points when they are taken away
Places = NDArray[np.float64]


class AskedPlaneRun(TypedDict):
    """A run, that which is beside it, "" for none, and as what they are wanted."""

    file: str
    beside: str
    form: Literal["gif", "mp4", "samples", "paths", "py"]


@dataclass(frozen=True)
class Trails:
    """Where the samples of a run are: alpha_bar of each frame, and their places, (frames, samples, 2)."""

    levels: list[float]
    places: Places


def keep_beside(
    path: Path, key: str, count: int, points: Tensor, schedule: Schedule, plan: SamplingPlan,
    weights: str = "", bundle: Path | None = None,
) -> None:  # fmt: skip
    """Keep what a run that is stored at ``path`` can be drawn from again.

    Args:
        key: of its points, see ``PlaneData``.
        count: of all of them; ``points`` are those that are used.
        weights: the file of the network that drew it; "" for the exact denoiser.
        bundle: a zip with that file, where it is none of the project's; the Python joins it.
    """
    np.save(path.with_suffix(".npy"), points.flatten(1).numpy())
    recipe = Recipe(**vars(plan), schedule=schedule)
    name, *numbers = key.split("-")
    known = name in patterns() and len(numbers) == 2 and all(number.isdecimal() for number in numbers)
    pattern = (name, count, int(numbers[1])) if known else None
    text = points_snippet(recipe, pattern, POINTS_FILE, None if count == len(points) else len(points), weights)
    path.with_suffix(".py").write_text(text, encoding="utf-8")
    if bundle is not None:
        shutil.copyfile(bundle, path.with_suffix(".zip"))
        with zipfile.ZipFile(path.with_suffix(".zip"), "a") as file:
            file.writestr("draw.py", text)


def take_away_plane(asked: AskedPlaneRun) -> dict[str, str]:
    """A run as a file, {"url", "name"}; as Python, {"text"}, or a zip of it and the network; or {"error"}.

    Film and tables show a second run too; Python is of the first.
    """
    paths, form = [find_made(path, TRAILS) for path in (asked["file"], asked["beside"]) if path], asked["form"]
    if not paths or None in paths:
        return {"error": "This run is no longer kept; draw the samples again."}
    path, *_ = kept = [path for path in paths if path is not None]
    runs = [read_trails(each) for each in kept]
    match form:
        case "py":
            if runs[0].levels[-1] < 1:
                return {"error": "This run was stopped; let one end to have it drawn again."}
            bundle = path.with_suffix(".zip")
            if bundle.is_file():
                return {"url": served(bundle), "name": bundle.name}
            return {"text": path.with_suffix(".py").read_text(encoding="utf-8")}
        case "samples":
            name, content = f"{path.stem}.csv", samples_csv(runs)
        case "paths":
            name, content = f"{path.stem}-paths.csv", paths_csv(runs)
        case "gif" | "mp4":
            name, content = f"{path.stem}.{form}", film(runs, as_points(np.load(path.with_suffix(".npy"))), form)
        case _:
            return {"error": f"There is no form {str(form)[:20]!r}."}
    file = made_path(name)
    file.write_bytes(content)
    return {"url": served(file), "name": file.name}


def read_trails(path: Path) -> Trails:
    """A run as it is kept, see ui/plane.py."""
    line, _, rest = path.read_bytes().partition(b"\n")
    levels = json.loads(line)["levels"]
    return Trails(levels, np.frombuffer(rest, "<i2").reshape(len(levels), -1, 2) / EPS_UNIT)


def samples_csv(runs: list[Trails]) -> bytes:
    """A row for each sample at the end; where there are two runs they are counted from 1 in a column of their own."""
    rows = ([*number, f"{x:.9g}", f"{y:.9g}"] for number, run in _numbered(runs) for x, y in run.places[-1].tolist())
    return table_csv([*_run_column(runs), "x", "y"], rows)


def paths_csv(runs: list[Trails]) -> bytes:
    """A row for each sample of each frame, of two runs as in ``samples_csv``."""
    rows = (
        [*number, str(sample), str(frame), f"{level:.6g}", f"{x:.4f}", f"{y:.4f}"]
        for number, run in _numbered(runs)
        for frame, level in enumerate(run.levels)
        for sample, (x, y) in enumerate(run.places[frame].tolist())
    )
    return table_csv([*_run_column(runs), "sample", "frame", "alpha_bar", "x", "y"], rows)


def _run_column(runs: list[Trails]) -> list[str]:
    return ["run"] if len(runs) > 1 else []


def _numbered(runs: list[Trails]) -> list[tuple[list[str], Trails]]:
    return [([str(k)] if len(runs) > 1 else [], run) for k, run in enumerate(runs, 1)]


def film(runs: list[Trails], points: Tensor, form: Literal["gif", "mp4"]) -> bytes:
    """The samples of one run or two through the noise on p_t of the points, as evenly as it turns into data."""
    frames, levels = [], runs[0].levels
    for angle in np.linspace(math.acos(math.sqrt(levels[0])), math.acos(math.sqrt(levels[-1])), FILM_FRAMES):
        level = math.cos(angle) ** 2
        decibel = 10 * math.log10(level / (1 - level)) if 0 < level < 1 - 1e-9 else math.inf
        words = "data" if decibel == math.inf else f"SNR {decibel:+.0f} dB"
        now, *beside = (as_points(places_at(run.levels, run.places, float(angle))) for run in runs)
        frames.append(plane_picture(now, Mixture(points).noised(level), words, next(iter(beside), None)))
    return animate(frames, form, milliseconds=FILM_MILLISECONDS)


def places_at(levels: list[float], places: Places, angle: float) -> Places:
    """Where the samples are at an angle whose cosine is sqrt(alpha_bar): between two frames on the arc on which x_0 and
    eps stay as they are, as ``between`` of assets/js/mixture.js has it.
    """
    angles = [math.acos(math.sqrt(level)) for level in levels]
    after = next((k for k, value in enumerate(angles) if value <= angle), len(angles) - 1)
    if after == 0:
        return places[0]
    high, low = angles[after - 1], angles[after]
    whole = math.sin(high - low)
    if whole < 1e-9:
        return places[after]
    there: Places = (math.sin(angle - low) * places[after - 1] + math.sin(high - angle) * places[after]) / whole
    return there
