"""A small network learns the points of the plane while one watches.

It is taught by the trainer of all networks, a step at a time, and looked at now and then between two steps: its field,
what it makes of a few noises, and how far it is from what it should say, at every noise level:

    error      E|eps - eps_theta(x_t)|^2, and below it, for no denoiser can have less on these points,
    floor      E|eps - eps*(x_t)|^2, that of the exact denoiser of the points;
    memory     E|eps_theta - eps*|^2, how far it is from knowing the points by heart;
    pattern    E|eps_theta - eps_p|^2, how far from the distribution that they were drawn from, where that is known.

While it learns, the last two are followed as one number each, their mean over the noise levels.
"""

from __future__ import annotations

import base64
import copy
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from diffusion import process
from diffusion.data.sets import ImageSet
from diffusion.denoiser import Denoiser
from diffusion.evaluation.distances import kernel_distance
from diffusion.files import ASSETS
from diffusion.mixture import Mixture, MixtureDenoiser
from diffusion.networks.card import Card
from diffusion.networks.denoiser import NetworkDenoiser
from diffusion.networks.model import Model, load_model, save_model
from diffusion.networks.network import Network
from diffusion.networks.points import PointsConfig
from diffusion.process import Prediction
from diffusion.sampling.loop import sample
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.steps import timesteps
from diffusion.schedules.spec import ScheduleSpec
from diffusion.training.config import TrainConfig, Weighting
from diffusion.training.presets import PRESETS
from ui.files import made_path
from ui.models import StopFlag

if TYPE_CHECKING:  # takes seconds to import, and few visitors train
    from diffusion.training.train import Training

Array = NDArray[np.float64]
NETWORKS = ASSETS / "plane"  # one for each pattern
LOG_SNRS = np.linspace(9.0, -9.0, 25)  # where it is looked at
FIELD, REACH = 24, 1.6  # arrows across the square -REACH ... REACH, as assets/js/mixture.js has them
PROBES = 200  # points at each level
LOOK_SECONDS, DRAW_SECONDS = 0.25, 2.0
DRAWN, DRAWN_STEPS = 400, 10
GROWTH = 1.03  # of the updates, from one kept mark to the next
LEAST_DISTANCE = 1e-4  # that is shown: by chance it is below nothing, which has no place on a logarithmic axis
MOST_SECONDS = 600.0  # of a press: a page that was forgotten does not learn for ever
SCHEDULE = ScheduleSpec("cosine", 1000)  # whose levels it sees in training; it can be asked under any


@cache
def ready_network(pattern: str) -> Model:
    """The network that was taught a pattern beforehand.

    Raises:
        CheckpointError: there is none of that pattern.
    """
    return load_model(str(NETWORKS / f"{pattern}.safetensors"))


def updates_of(card: Card) -> int:
    """How many steps a network was taught by the preset of points."""
    return card.images_seen // PRESETS["points"].train.batch


@cache
def learned_before(pattern: str) -> dict[str, Any]:
    """What the network says that was taught a pattern beforehand, so that there is a field to see at once: as ``look``.

    Raises:
        CheckpointError: there is none of that pattern.
    """
    model = ready_network(pattern)
    return {
        "updates": updates_of(model.card),
        "log_snr": LOG_SNRS.tolist(),
        "field": encode_field(field_of(model.denoiser)),
    }


@dataclass(frozen=True)
class LearnWish:
    """What the controls say of a network that is to learn."""

    width: float = 96
    depth: float = 3
    sinusoids: bool = True
    prediction: Prediction = "v"
    weighting: Weighting = "simple"
    lr: float = 2e-3
    batch: float = 512

    def network(self, classes: int) -> PointsConfig:
        conditions = (classes,) if classes else ()
        return PointsConfig(conditions, int(self.width), int(self.depth), self.sinusoids, self.prediction)

    def settings(self) -> TrainConfig:
        return TrainConfig(
            images=10**12, batch=int(self.batch), lr=self.lr, warmup=50, decay="constant", weight_decay=0.0, ema=0.995,
            weighting=self.weighting,
        )  # fmt: skip


@dataclass
class Track:
    """Numbers that are followed over the updates: the newest in any case, and of those before as many in every tenfold,
    so that they stay few however long it learns.
    """

    updates: list[int] = field(default_factory=list)
    columns: dict[str, list[float]] = field(default_factory=dict)

    def add(self, updates: int, numbers: dict[str, float]) -> None:
        """The same names every time, and no fewer updates than the time before."""
        if len(self.updates) > 1 and self.updates[-1] < GROWTH * self.updates[-2]:
            self.updates.pop()
            for column in self.columns.values():
                column.pop()
        self.updates.append(updates)
        for name, number in numbers.items():
            self.columns.setdefault(name, []).append(number)


@dataclass
class Lesson:
    """A visitor's network between two presses; what may change while it learns is read from ``wish`` at every step.

    Args:
        fields: how far it was from the two fields that it can come to, see ``Probes``.
        samples: how far what it drew was from the data.
    """

    wish: LearnWish = field(default_factory=LearnWish)
    run: Training | None = None
    points: Tensor | None = None
    fields: Track = field(default_factory=Track)
    samples: Track = field(default_factory=Track)

    def begin(self, points: Tensor, labels: Tensor | None) -> None:
        """A network that knows nothing yet."""
        self.run, self.points = begin_lesson(points, labels, self.wish), points
        self.fields, self.samples = Track(), Track()

    def knows(self, points: Tensor) -> bool:
        """Whether it is of these points."""
        return self.run is not None and self.points is not None and torch.equal(points, self.points)

    def fits(self, points: Tensor, network: PointsConfig) -> bool:
        """Whether what was begun can be gone on with."""
        return self.knows(points) and self.run is not None and self.run.card.network == network

    def denoiser(self) -> NetworkDenoiser:
        """The averaged weights as they are now: the copy stays as it is while the lesson goes on."""
        assert self.run is not None, "nothing was begun"
        return NetworkDenoiser(cast(Network, copy.deepcopy(self.run.state.average)))


@dataclass(frozen=True)
class Probes:
    """What the network is asked to see how far it is: noised points at every level of ``LOG_SNRS``.

    Args:
        x_t, eps: (levels * PROBES, 2, 1, 1).
        alpha_bar: (levels * PROBES,) float64.
        exact: of x_t, the eps that the exact denoiser of the points finds.
        pattern: that of the distribution behind them; None where it is not known.
    """

    x_t: Tensor
    eps: Tensor
    alpha_bar: Tensor
    exact: Tensor
    pattern: Tensor | None

    @cached_property
    def floor(self) -> Array:
        """Of the exact denoiser, (levels,)."""
        return by_level(self.exact, self.eps)

    @cached_property
    def apart(self) -> float | None:
        """How far the two fields that it can come to are from one another, as ``Lesson.fields`` has it."""
        return None if self.pattern is None else float(by_level(self.exact, self.pattern).mean())


def by_level(a: Tensor, b: Tensor) -> Array:
    """Mean squared difference a dimension at each level, (levels,)."""
    return (a - b).square().flatten(1).mean(1).view(len(LOG_SNRS), -1).mean(1).double().numpy()


def make_probes(points: Tensor, behind: Mixture | None) -> Probes:
    """Always the same for the same points."""
    generator = torch.Generator().manual_seed(1)
    chosen = points[torch.randint(len(points), (len(LOG_SNRS) * PROBES,), generator=generator)]
    eps = torch.randn(chosen.shape, generator=generator)
    alpha_bar = torch.tensor(LOG_SNRS).sigmoid().repeat_interleave(PROBES)
    x_t = process.q_sample(chosen, alpha_bar.float()[:, None, None, None], eps)
    exact = MixtureDenoiser(Mixture(points))(x_t, alpha_bar)
    return Probes(x_t, eps, alpha_bar, exact, None if behind is None else MixtureDenoiser(behind)(x_t, alpha_bar))


def begin_lesson(points: Tensor, labels: Tensor | None, wish: LearnWish) -> Training:
    """A network that knows nothing yet of points (N, 2, 1, 1)."""
    from accelerate import Accelerator

    from diffusion.training.train import assemble

    classes = classes_of(labels)
    names, network = [str(k) for k in range(classes)], wish.network(classes)
    card = Card("plane", "Plane", names, network, SCHEDULE, "points", "", "", 0, 0.0, kind="points")
    return assemble(data_of(points, labels), wish.settings(), card, Accelerator(cpu=True))


def classes_of(labels: Tensor | None) -> int:
    """How many there are; 0 of points that have none."""
    return 0 if labels is None else int(labels.max()) + 1


def data_of(points: Tensor, labels: Tensor | None) -> ImageSet:
    return ImageSet(points, torch.zeros(len(points), dtype=torch.int64) if labels is None else labels)


def learn(
    lesson: Lesson, points: Tensor, labels: Tensor | None, behind: Mixture | None, flag: StopFlag,
    updates: int | None = None,
) -> Iterator[dict[str, Any]]:  # fmt: skip
    """Go on with a lesson, or begin it; yields what the view shows, "live" and at the end "done"; a reset ends it.

    Args:
        behind: the distribution that the points were drawn from, where it is known.
        updates: how many; None until the flag is up.
    """
    from diffusion.training.batch import draw_batch
    from diffusion.training.train import take_step

    if not lesson.fits(points, lesson.wish.network(classes_of(labels))):
        lesson.begin(points, labels)
    run = lesson.run
    assert run is not None
    data, probes, chance = data_of(points, labels), make_probes(points, behind), distance_by_chance(points)
    started = looked = time.monotonic()
    drawn, first, spent = -DRAW_SECONDS, run.state.step, 0.0
    view: dict[str, Any] = {}
    while lesson.run is not None:  # as it is after a reset
        before = time.monotonic()
        run = replace(run, config=lesson.wish.settings())
        take_step(run, draw_batch(data, run.card.network, run.config, run.schedule, run.state.history, run.state.step))
        run.state.losses.clear()
        now = time.monotonic()
        spent += now - before
        taken = run.state.step - first
        over = flag.up or taken == updates or now - started > MOST_SECONDS
        if over or now - looked > LOOK_SECONDS:
            looked = now
            view |= look(run, probes) | {"state": "done" if over else "live"}
            view["per_second"] = round(taken / spent)
            if over or now - drawn > DRAW_SECONDS:
                drawn = now
                view |= draw_some(run, points)
            yield view | {"history": keep_track(lesson, view, probes, chance)}
        if over:
            return


def save_lesson(lesson: Lesson, key: str, names: tuple[str, ...], network: nn.Module | None = None) -> Path:
    """The network with its card, in a zip that `python -m diffusion sample` takes when it is unpacked.

    Args:
        key: of the points, see ``PlaneData``.
        names: of their classes.
        network: as it was some time; None as it is now.
    """
    run = lesson.run
    assert run is not None and lesson.points is not None
    name = f"plane-{key.split('-')[0]}"
    path = made_path(f"{name}.zip")
    weights = path.with_name(f"{name}.safetensors")
    card = replace(
        run.card, name=name, title=f"Plane: {key.split('-')[0]}", classes=list(names) or run.card.classes,
        data=f"{len(lesson.points):,} points", images_seen=run.state.step * run.config.batch,
    )  # fmt: skip
    save_model(weights, run.state.average if network is None else network, card)
    with zipfile.ZipFile(path, "w") as bundle:
        for file in (weights, weights.with_suffix(".json")):
            bundle.write(file, file.name)
    return path


def look(run: Training, probes: Probes) -> dict[str, Any]:
    """Its field and its errors as they are now."""
    denoiser = NetworkDenoiser(cast(Network, run.state.average))
    with torch.inference_mode():
        found = denoiser(probes.x_t, probes.alpha_bar)
    curves = {"error": by_level(found, probes.eps), "floor": probes.floor, "memory": by_level(found, probes.exact)}
    if probes.pattern is not None:
        curves["pattern"] = by_level(found, probes.pattern)
    return {
        "updates": run.state.step,
        "log_snr": LOG_SNRS.tolist(),
        "field": encode_field(field_of(denoiser)),
        "curves": {name: curve.tolist() for name, curve in curves.items()},
    }


def keep_track(lesson: Lesson, view: dict[str, Any], probes: Probes, chance: float) -> dict[str, list[float]]:
    """Remember how far it is, and give all that is remembered: columns over "updates", and over "drawn" those of its
    samples; where it can be told, two places of each line that it is held against.
    """
    far = {name: float(np.mean(view["curves"][name])) for name in ("memory", "pattern") if name in view["curves"]}
    lesson.fields.add(view["updates"], far)
    if not lesson.samples.updates or view["drawn_at"] > lesson.samples.updates[-1]:
        lesson.samples.add(view["drawn_at"], {"distance": max(LEAST_DISTANCE, view["distance"])})
    ends = [lesson.fields.updates[0], lesson.fields.updates[-1]]
    history: dict[str, list[float]] = {"updates": [*lesson.fields.updates], "drawn": [*lesson.samples.updates]}
    history |= lesson.fields.columns | lesson.samples.columns | {"ends": [*ends], "chance": [chance, chance]}
    return history if probes.apart is None else history | {"apart": [probes.apart, probes.apart]}


def distance_by_chance(points: Tensor, times: int = 8) -> float:
    """The kernel distance that as many samples have which the exact denoiser of the points would draw, for these are
    points themselves: the mean of its size, for it is on both sides of what it is on average.
    """
    generator = torch.Generator().manual_seed(2)
    drawn = (points[torch.randint(len(points), (DRAWN,), generator=generator)] for _ in range(times))
    return max(LEAST_DISTANCE, sum(abs(kernel_distance(x, points)) for x in drawn) / times)


@torch.inference_mode()
def field_of(denoiser: Denoiser, label: int | None = None) -> NDArray[np.float32]:
    """eps at every level of ``LOG_SNRS``, in the middles of FIELD x FIELD cells, rows from the top,
    (levels, FIELD, FIELD, 2).
    """
    middle = -REACH + (torch.arange(FIELD) + 0.5) * 2 * REACH / FIELD
    y, x = torch.meshgrid(-middle, middle, indexing="ij")
    places = torch.stack([x, y], -1).view(-1, 2, 1, 1)
    levels = torch.tensor(LOG_SNRS).sigmoid()
    told = None if label is None else torch.full((len(levels) * len(places),), label)
    eps = denoiser(places.repeat(len(levels), 1, 1, 1), levels.repeat_interleave(len(places)), told)
    field: NDArray[np.float32] = eps.view(len(levels), FIELD, FIELD, 2).numpy()
    return field


def encode_field(field: NDArray[np.float32]) -> str:
    return base64.b64encode(field.astype("<f4").tobytes()).decode()


def draw_some(run: Training, points: Tensor) -> dict[str, Any]:
    """What it makes of always the same noises, and how far that is from the points."""
    schedule = run.schedule
    plan = SamplingPlan(timesteps(schedule, DRAWN_STEPS), range(DRAWN), "unipc", clip="none")
    *_, last = sample(NetworkDenoiser(cast(Network, run.state.average)), schedule, plan, (2, 1, 1))
    x = last.x_s
    return {
        "samples": base64.b64encode(x.flatten(1).numpy().astype("<f4").tobytes()).decode(),
        "distance": kernel_distance(x, points),
        "drawn_at": run.state.step,
    }
