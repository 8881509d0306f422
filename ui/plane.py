"""Points of the plane on the page: where they come from, and samples that are drawn from exactly them.

What can be computed from the points alone, at every t, is computed by the browser (assets/js/mixture.js): it holds
them, and sends them with what it asks. A run is sent once, as a file, and followed there: a line of JSON,

    {"count": samples, "levels": [alpha_bar of each frame, ...]}

and then of each frame x and y of every sample, int16 in steps of 1 / EPS_UNIT.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn
from typing_extensions import TypedDict

from diffusion.data.points import MOST_POINTS, as_points, patterns, points_from_csv, points_from_picture
from diffusion.denoiser import Denoiser
from diffusion.evaluation.distances import kernel_distance, sliced_wasserstein
from diffusion.images import open_image
from diffusion.mixture import Mixture, MixtureDenoiser
from diffusion.networks.denoiser import NetworkDenoiser
from diffusion.sampling.choices import SamplingError, check_choice
from diffusion.sampling.clips import Clip
from diffusion.sampling.loop import Step, sample
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.steps import Spacing, timesteps
from diffusion.sampling.updates import title_of
from diffusion.schedules.schedule import Schedule
from ui.asked import MAX_SEED, AskedError
from ui.background import in_background
from ui.cost import duration
from ui.files import ASSETS, for_browser, made_path
from ui.learning import Lesson, ready_network, save_lesson, updates_of
from ui.models import StopFlag
from ui.picture import EPS_UNIT
from ui.plane_away import TRAILS, keep_beside
from ui.sampling import options_of, read_seed

MIXED = 2000  # points that density, field and samples are made from, evenly chosen where there are more
MOST_DRAWN = 1000  # samples of a run
MOST_GUIDED = 8  # scale of guidance
KEPT_FRAMES = 120  # of a run
TELL_SECONDS = 0.1
TABLES = (".csv", ".tsv", ".txt")  # files that are read as numbers; all others as pictures
MANY = 60  # points of the small picture of a pattern
NO_POINTS = "There are no points yet: sketch some, or choose a pattern."
# What samples can be told, and what they can be drawn by: names, and words for people.
TOLD = {"nothing": "of no class", "in-turn": "of its class, all in turn"}
DENOISERS = {"exact": "exact", "learned": "learned"}
# The run that the tab opens with, of the points of OPENED_WITH; ui/make_opening.py makes it.
PLANE_OPENING = ASSETS / "opening" / f"plane{TRAILS}"

Rows = NDArray[np.float64]
Encoded = Annotated[str, Field(max_length=4 * (8 * MOST_POINTS) // 3 + 8)]


class AskedPattern(TypedDict):
    """So many points of a pattern."""

    pattern: str
    count: Annotated[int, Field(ge=1, le=MOST_POINTS)]
    seed: Annotated[int, Field(ge=0, le=MAX_SEED)]


OPENED_WITH: AskedPattern = {"pattern": "moons", "count": 1000, "seed": 0}


class PlaneData(TypedDict):
    """Points as the browser holds them.

    points: x and y in turn, float32 in base64.
    labels: the class of each, a byte in base64; "" where there are none.
    key: what it knows them by.
    """

    points: Encoded
    labels: Encoded
    key: Annotated[str, Field(max_length=100)]


@dataclass(frozen=True)
class PlaneWish:
    """What the controls of a run say, as they came from the page; the defaults are what the tab opens with.

    Args:
        denoiser: what finds eps, one of ``DENOISERS``.
        beside: the sampler of a second run, from the same x_T; "" for none.
        beside_denoiser: what finds eps there.
        told: one of ``TOLD``.
        options: of samplers, also of those that are not chosen; both runs take theirs from it.
    """

    sampler: str = "ddim"
    steps: float | None = 30
    denoiser: str = "exact"
    beside: str = ""
    beside_denoiser: str = "exact"
    count: float = 400
    seed: str = "0"
    spacing: Spacing = "trailing"
    clip: Clip = "none"  # no best guess of x_0 lies outside the points
    told: str = "nothing"
    guidance: float = 1.0
    options: dict[str, float] = field(default_factory=dict)

    def second(self) -> PlaneWish | None:
        """What is asked for beside the first run."""
        return replace(self, sampler=self.beside, denoiser=self.beside_denoiser) if self.beside else None


def encode_points(rows: Rows | Tensor) -> str:
    """(N, 2) numbers for the browser."""
    return base64.b64encode(np.ascontiguousarray(rows, "<f4").tobytes()).decode()


def encode_labels(labels: NDArray[np.int64]) -> str:
    """The class of each point for the browser."""
    return base64.b64encode(labels.astype(np.uint8).tobytes()).decode()


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Which of so many points are used: at most so many, the same that assets/js/mixture.js takes."""
    return np.arange(count) if count <= most else np.arange(most) * count // most


def pattern_points(asked: AskedPattern) -> PlaneData:
    """Fresh points of a pattern.

    Raises:
        AskedError: there is no such pattern.
    """
    known = patterns().get(asked["pattern"])
    if known is None:
        raise AskedError(f"There is no pattern {asked['pattern'][:40]!r}; there are {', '.join(patterns())}.")
    points, labels = known.draw(asked["count"], asked["seed"])
    classes = "" if labels is None else encode_labels(labels.numpy())
    key = f"{asked['pattern']}-{asked['count']}-{asked['seed']}"
    return {"points": encode_points(points.flatten(1)), "labels": classes, "key": key}


def pattern_buttons() -> list[dict[str, Any]]:
    """Of every pattern its name, its title, and some points as a small picture of it."""
    return [
        {"name": name, "title": known.title, "points": known.draw(MANY, 1)[0].flatten().mul(100).round().int().tolist()}
        for name, known in patterns().items()
    ]


def read_points_file(path: Path, most: int = MOST_POINTS) -> tuple[Rows, NDArray[np.int64] | None]:
    """Points (N, 2) of a CSV, and the class of each, if it has them; or points where a picture is dark.

    Raises:
        DataError, ImageError: it cannot be used, in one sentence.
    """
    if path.suffix.lower() in TABLES:
        return points_from_csv(path.read_bytes())
    return points_from_picture(open_image(path), most), None


def read_plane_data(asked: PlaneData | None) -> tuple[Tensor, Tensor | None]:
    """The points (N, 2, 1, 1) that density, field and samples are of, and the class of each, if they have any.

    Raises:
        AskedError: none, or what is none of the page's.
    """
    if asked is None or not asked["points"]:
        raise AskedError(NO_POINTS)
    try:
        rows = np.frombuffer(base64.b64decode(asked["points"], validate=True), "<f4").reshape(-1, 2).astype(np.float64)
        classes = np.frombuffer(base64.b64decode(asked["labels"], validate=True), np.uint8)
    except ValueError as error:
        raise AskedError("These points cannot be read; choose them again.") from error
    if not np.isfinite(rows).all() or np.abs(rows).max() > 8 or len(classes) not in (0, len(rows)):
        raise AskedError("These points cannot be read; choose them again.")
    used = evenly(len(rows), MIXED)
    labels = torch.from_numpy(classes[used].astype(np.int64)) if len(classes) else None
    return as_points(rows[used]), labels


def pattern_of(data: PlaneData) -> str:
    """The name of the pattern that points were drawn from; that of none if they were not."""
    return data["key"].split("-")[0]


def class_names(data: PlaneData) -> tuple[str, ...]:
    """Those of the pattern that points are of, if it has any."""
    known = patterns().get(pattern_of(data))
    return known.names if known is not None and data["labels"] else ()


def plan_on_plane(labels: Tensor | None, schedule: Schedule, wish: PlaneWish) -> SamplingPlan:
    """What the controls ask for.

    Raises:
        SamplingError: what cannot be, with the control that it is about in ``field``.
    """
    if wish.steps is None or wish.steps != int(wish.steps):
        raise SamplingError("steps", "The number of steps must be a whole number.")
    check_choice("denoiser", wish.denoiser, DENOISERS)
    check_choice("condition", wish.told, TOLD)
    seed, count = read_seed(wish.seed), int(wish.count)
    told = None
    if wish.told == "in-turn":
        if labels is None:
            raise SamplingError("label", "These points have no classes: two moons and three clusters have.")
        classes = labels.unique().tolist()
        told = [classes[i % len(classes)] for i in range(count)]
    elif wish.guidance != 1:
        raise SamplingError("guidance", "Guidance leads to a class: let each sample be of its class, or leave it at 1.")
    steps = timesteps(schedule, int(wish.steps), wish.spacing)
    return SamplingPlan(
        steps, range(seed, seed + count), wish.sampler, options_of(wish, wish.sampler), labels=told,
        guidance=wish.guidance, clip=wish.clip, spacing=wish.spacing,
    )  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A denoiser of points of the plane.

    Args:
        name: of ``DENOISERS``.
        about: which network it is, in a sentence; "" for none.
        weights: the file of the network, from the project's folder; "" without one, or before it is kept.
        bundle: of a visitor's own network, a zip with that file and its card, see ``kept_network``.
    """

    name: str
    denoiser: Denoiser
    about: str = ""
    weights: str = ""
    bundle: Path | None = None


def find_denoiser(name: str, data: PlaneData, points: Tensor, labels: Tensor | None, lesson: Lesson) -> Found:
    """The exact denoiser of the points, or what a network has learnt of them: the visitor's own, if it has begun to,
    else the one that was taught their pattern beforehand.

    Raises:
        AskedError: nothing has learnt them.
    """
    if name == "exact":
        return Found(name, MixtureDenoiser(Mixture(points), labels))
    if lesson.run is not None and lesson.knows(points):
        about = f"Learned: your network after {lesson.run.state.step:,} updates."
        return Found(name, lesson.denoiser(), about)
    known = patterns().get(pattern_of(data))
    if known is None:
        raise AskedError("Nothing has learnt these points yet: press Train below, or let the exact denoiser draw.")
    model = ready_network(pattern_of(data))
    about = f"Learned: the network that was taught “{known.title}” beforehand, {updates_of(model.card):,} updates."
    return Found(name, model.denoiser, about, f"assets/plane/{pattern_of(data)}.safetensors")


def kept_network(by: Found, data: PlaneData, lesson: Lesson) -> Found:
    """The same, with the file of a visitor's own network, as it is in ``by`` while the lesson goes on."""
    if not isinstance(by.denoiser, NetworkDenoiser) or by.weights:
        return by
    bundle = save_lesson(lesson, data["key"], class_names(data), cast(nn.Module, by.denoiser.network))
    return replace(by, weights=f"{bundle.stem}.safetensors", bundle=bundle)


@dataclass
class TrailsRecorder:
    """Where all samples are, frame by frame; of long runs every so many steps, and the end."""

    levels: list[float] = field(default_factory=list)
    frames: list[NDArray[np.int16]] = field(default_factory=list)

    def add(self, x: Tensor, alpha_bar: float) -> None:
        whole = np.clip(np.rint(x.flatten(1).numpy() * EPS_UNIT), -32768, 32767)
        self.levels.append(alpha_bar)
        self.frames.append(whole.astype("<i2"))

    def file(self) -> bytes:
        head = json.dumps({"count": len(self.frames[0]), "levels": self.levels}).encode()
        return head + b"\n" + np.stack(self.frames).tobytes()


def steps_on_plane(
    denoiser: Denoiser, schedule: Schedule, plan: SamplingPlan, trails: TrailsRecorder
) -> Generator[Step, None, None]:
    """Sample points, keeping frames; the last one is the end, wherever it is stopped."""
    every = -(-len(plan.steps) // KEPT_FRAMES)
    step = None
    try:
        for step in sample(denoiser, schedule, plan, (2, 1, 1)):
            if step.index % every == 0:
                trails.add(step.x_t, float(schedule.alpha_bar[step.t]))
            yield step
    finally:
        if step is not None:
            trails.add(step.x_s, float(schedule.alpha_bar[step.s]))


def run_on_plane(
    data: PlaneData | None, schedule: Schedule, wish: PlaneWish, lesson: Lesson, flag: StopFlag
) -> Iterator[tuple[dict[str, Any], bool]]:
    """Values for the view, and whether they are the last: how far it is ("live"), at the end all of it ("done").

    Raises:
        AskedError, SamplingError: nothing can be drawn, before anything is.
    """
    points, labels = read_plane_data(data)
    assert data is not None
    wishes = [each for each in (wish, wish.second()) if each is not None]
    plans = [plan_on_plane(labels, schedule, each) for each in wishes]
    found = [kept_network(find_denoiser(each.denoiser, data, points, labels, lesson), data, lesson) for each in wishes]
    count, taken = sum(len(plan.steps) for plan in plans), 0
    started, told = time.monotonic(), 0.0
    runs: list[dict[str, Any]] = []
    for plan, by in zip(plans, found, strict=True):
        trails, step, before = TrailsRecorder(), None, taken
        work = steps_on_plane(by.denoiser, schedule, plan, trails)
        for step in in_background(work):
            taken = before + step.index + 1
            if flag.up:
                break
            now = time.monotonic()
            if now - told > TELL_SECONDS:
                told = now
                left = duration((now - started) / taken * (count - taken))
                yield (
                    {"state": "live", "part": taken / count, "status": f"Step {taken} of {count}, {left} left."},
                    False,
                )
        work.close()
        assert step is not None
        whole = step.s == 0 and len(plan.seeds) > 1 and len(points) > 1
        runs.append(kept_run(plan, by, trails, distances(step.x_s, points) if whole else None))
        total = len(base64.b64decode(data["points"])) // 8
        keep_beside(Path(runs[-1]["file"]["path"]), data["key"], total, points, schedule, plan, by.weights, by.bundle)
        if flag.up:
            break
    many = len(plans[0].seeds)
    what = f"{many:,} sample{'' if many == 1 else 's'}, {taken} of {count} steps"
    status = f"{'Stopped: ' if taken < count else ''}{what} in {duration(time.monotonic() - started)}."
    status = " ".join([status, *dict.fromkeys(by.about for by in found if by.about)])
    yield {"state": "done", "runs": runs, "data": data["key"], "key": f"{time.time_ns()}", "status": status}, True


def kept_run(plan: SamplingPlan, by: Found, trails: TrailsRecorder, far: dict[str, float] | None) -> dict[str, Any]:
    """A run as the browser gets it; ``far``: how far its samples are from the points, if it came to its end."""
    path = run_path(plan, by.name)
    path.write_bytes(trails.file())
    title = f"{title_of(plan.sampler, plan.options)}, {by.name}"
    return {
        "file": for_browser(path), "sampler": plan.sampler, "denoiser": by.name, "title": title, "numbers": far
    }  # fmt: skip


def keep_opening(schedule: Schedule) -> Path:
    """The run that the tab opens with, under the page's first schedule, kept as those are that a visitor has drawn."""
    wish, data = PlaneWish(), pattern_points(OPENED_WITH)
    points, labels = read_plane_data(data)
    plan = plan_on_plane(labels, schedule, wish)
    path = run_path(plan, wish.denoiser)
    path.write_bytes(PLANE_OPENING.read_bytes())
    keep_beside(path, data["key"], OPENED_WITH["count"], points, schedule, plan)
    return path


def run_path(plan: SamplingPlan, denoiser: str) -> Path:
    """Where a run is kept."""
    return made_path(f"plane-{denoiser}-{plan.sampler}{len(plan.steps)}-seed{plan.seeds[0]}{TRAILS}")


def distances(samples: Tensor, points: Tensor) -> dict[str, float]:
    """How far samples are from the points."""
    return {"kernel": kernel_distance(samples, points), "wasserstein": sliced_wasserstein(samples, points)}
