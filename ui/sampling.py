"""What the controls of the reverse tab ask for, and the runs that answer them."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from torch import Tensor

from diffusion.images import to_bytes
from diffusion.sampling import archive
from diffusion.sampling import recipe as recipes
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.clips import Clip
from diffusion.sampling.loop import Step
from diffusion.sampling.recipe import Recipe, denoiser_of
from diffusion.sampling.statistics import Moments, distance, expected, moments
from diffusion.sampling.steps import Spacing
from diffusion.sampling.terms import terms
from diffusion.sampling.updates import all_options, make_update, option_parameters
from diffusion.sampling.wishes import IN_TURN, labels_asked, remark_on_student, steps_asked
from diffusion.schedules.schedule import ScheduleError
from ui.asked import MAX_SEED, read_arguments, read_whole
from ui.background import in_background
from ui.cost import duration
from ui.files import for_browser, made_path
from ui.frames import Frame, Recorder, planes, stride
from ui.models import DEFAULT, RUN, Source, StopFlag, data_moments
from ui.sidebar import Settings, read_schedule

PREVIEW_SECONDS = 0.1
PREVIEW_RATE = 2e6  # bytes a second at most: what is sent faster than it can be received only piles up
FRAMES = ".frames"  # of a file with the frames of a run
MOST_IMAGES, MOST_GUIDANCE = 64, 8


@dataclass(frozen=True)
class Controls:
    """What the controls of the tab say, as they came from the page; the defaults are what it opens with.

    Args:
        label: what the samples shall show, as ``labels_asked`` takes it.
        options: of samplers, also of those that are not chosen; one that is left out has its default.
    """

    network: str = DEFAULT
    label: str = IN_TURN
    count: float = 20
    sampler: str = "unipc"
    steps: float | None = 10
    seed: str = "0"
    guidance: float = 1.0
    spacing: Spacing = "trailing"
    clip: Clip = "static"
    keep_all: bool = False
    own: list[str] | None = None
    options: dict[str, float] = field(default_factory=dict)


class HasOptions(Protocol):
    """Controls of a run: a dataclass with ``options`` among its fields."""

    @property
    def options(self) -> dict[str, float]: ...


Asked = TypeVar("Asked", bound=HasOptions)


def plain_names(kind: type[HasOptions]) -> list[str]:
    """The fields of a kind of controls, but for ``options``."""
    return [name for name in kind.__dataclass_fields__ if name != "options"]  # type: ignore[attr-defined]


def control_names(kind: type[HasOptions] = Controls) -> list[str]:
    """Names of the controls on the page, in the order in which handlers get their values: the fields of ``kind``,
    and in place of ``options`` each option that a sampler has.
    """
    return [*plain_names(kind), *option_parameters()]


def read_controls(kind: type[Asked], values: Sequence[Any]) -> Asked:
    """The values of the controls, in the order of ``control_names``.

    Raises:
        AskedError: a value that no control gives.
    """
    plain = len(plain_names(kind))
    options = dict(zip(option_parameters(), values[plain:], strict=True))
    return kind(*read_arguments(kind, [*values[:plain], options]))


def controls_of(values: Sequence[Any]) -> Controls:
    """Those of the reverse tab, see ``read_controls``."""
    return read_controls(Controls, values)


def values_of(controls: HasOptions) -> dict[str, Any]:
    """The values of the controls by name, in the order of ``control_names``: what ``read_controls`` reads."""
    usual = {name: parameter.default for name, parameter in option_parameters().items()}
    plain = {name: getattr(controls, name) for name in plain_names(type(controls))}
    return plain | usual | controls.options


def read_recipe(source: Source, settings: Settings, controls: Controls) -> Recipe:
    """Check the controls.

    Raises:
        SamplingError: with the control it is about in ``field``.
    """
    try:
        schedule = read_schedule(settings)
    except ScheduleError as error:
        raise SamplingError("steps", f"The schedule cannot be used: {error}") from error
    if controls.steps is None or controls.steps != int(controls.steps):
        raise SamplingError("steps", "The number of steps must be a whole number.")
    seed, count = read_seed(controls.seed), int(controls.count)
    options = options_of(controls, controls.sampler)
    make_update(controls.sampler, **options)  # refuses what is out of range
    # A student takes the steps that it was taught, unless it is asked for others.
    own = source.levels and controls.spacing == "trailing"
    steps, spacing = steps_asked(source.levels, schedule, int(controls.steps), None if own else controls.spacing)
    return Recipe(
        steps,
        range(seed, seed + count),
        schedule=schedule,
        model=source.known_as,
        sha256=source.model.card.sha256 if source.model else "",
        precision=source.precision,
        examples=source.examples,
        labels=labels_of(source, controls.label, count),
        guidance=controls.guidance,
        sampler=controls.sampler,
        options=options,
        spacing=spacing,
        clip=controls.clip,
    )


def read_seed(text: str) -> int:
    """A seed.

    Raises:
        SamplingError: anything else.
    """
    try:
        return read_whole(text)
    except ValueError as error:
        raise SamplingError("seed", f"The seed must be a whole number from 0 to {MAX_SEED}.") from error


def labels_of(source: Source, label: str, count: int) -> list[Any] | None:
    """What each sample shall show, as ``labels_asked`` says; None where there is nothing to be told.

    Raises:
        SamplingError: something that it does not know.
    """
    if source.model is not None:
        return labels_asked(source.model.card, [label], count)
    if label != IN_TURN:
        raise SamplingError("label", f"{source.title} can be told nothing; leave the label out.")
    return None


def can_be_told(source: Source, label: str) -> bool:
    """Whether a label says something that it knows."""
    try:
        labels_of(source, label, 1)
    except SamplingError:
        return False
    return True


def options_of(controls: HasOptions, sampler: str) -> dict[str, float]:
    """The options of a sampler, as they are chosen.

    Raises:
        SamplingError: an unknown sampler.
    """
    usual = all_options(sampler, {})
    return usual | {name: value for name, value in controls.options.items() if name in usual}


def run_for_view(source: Source, recipe: Recipe, flag: StopFlag, keep_all: bool = False) -> Iterator[dict[str, Any]]:
    """Sample, yielding values for the view: previews while it runs ("live"), at the end every frame ("done")."""
    denoiser, (channels, height, width) = denoiser_of(recipe, source.model, source.device)
    count = len(recipe.steps)
    shape = (len(recipe.seeds), height, width, channels)
    drawn = 3 + recipe.adds_noise
    frame_bytes = drawn * math.prod(shape)
    pause = max(PREVIEW_SECONDS, frame_bytes / PREVIEW_RATE)
    path, data = made_path(f"{run_name(source.name, recipe)}{FRAMES}"), data_moments(source)
    started, shown = time.monotonic(), 0.0
    step = None
    with path.open("wb") as file:
        recorder = Recorder(file, shape, drawn, every=stride(count, frame_bytes, keep_all))
        for step in in_background(recipes.run(recipe, denoiser, (channels, height, width), source.device)):
            if recorder.wants(step.index):
                recorder.add(frame_of_step(step, recipe, data), step.x_t, step.x_0, step.eps, step.z)
            if flag.up:
                break
            now = time.monotonic()
            if now - shown > pause:
                shown = now
                taken = step.index + 1
                left = (now - started) / taken * (count - taken)
                yield {
                    "state": "live",
                    "step": taken,
                    "count": count,
                    "shape": shape,
                    "planes": drawn,
                    "preview": base64.b64encode(planes(step.x_s, step.x_0, step.eps, step.z, drawn).tobytes()).decode(),
                    "status": f"step {taken} of {count}, {1000 * (now - started) / taken:.0f} ms each, "
                    f"{duration(left)} left",
                }
        assert step is not None  # timesteps() never gives an empty list
        taken = step.index + 1
        recorder.add(frame_of_end(step, recipe, data), step.x_s, step.x_0, step.eps, None)
    if taken == count:
        archive.save(recipe_path(path), recipe, to_bytes(step.x_s))
    seconds = time.monotonic() - started
    what = f"{len(recipe.seeds)} image{'s' if len(recipe.seeds) > 1 else ''}, {taken} of {count} steps"
    yield {
        "state": "done",
        "stopped": taken < count,
        "file": for_browser(path),
        "frames": [vars(frame) for frame in recorder.frames],
        "count": count,
        "T": recipe.schedule.T,
        "key": f"{recipe.seeds[0]}-{time.time_ns()}",
        "status": f"{'Stopped: ' if taken < count else ''}{what} in {duration(seconds)} "
        f"({1000 * seconds / taken:.0f} ms a step)",
        "note": " ".join(filter(None, (frames_kept(recorder, count), remark_on(source, recipe)))),
    }


def frames_kept(recorder: Recorder, count: int) -> str:
    """A sentence where not every step is a frame."""
    if recorder.every == 1:
        return ""
    return (
        f"Every {recorder.every}th of the {count} steps is kept as a frame, {len(recorder.frames)} in all; "
        "“keep every step” keeps more."
    )


def remark_on(source: Source, recipe: Recipe) -> str:
    """A sentence where a student was asked for what it was not taught."""
    return remark_on_student(source.model.card, recipe.schedule, recipe) if source.model else ""


def run_name(source: str, recipe: Recipe) -> str:
    """What files of a run are called: "ddpm-lab-digits-ddim50-seed0"."""
    name = "own" if source.startswith(RUN) else source
    return f"ddpm-lab-{name}-{recipe.sampler}{len(recipe.steps)}-seed{recipe.seeds[0]}"


def recipe_path(frames: Path) -> Path:
    """Where the recipe of a run that has ended is kept, beside its frames."""
    return frames.with_suffix(".npz")


def frame_of_step(step: Step, recipe: Recipe, data: Moments | None) -> Frame:
    """The numbers of a step; ``data``: moments of the images that are to be expected, where they are known."""
    before = recipe.steps[: step.index][::-1][:2]
    made_of = terms(recipe.update, recipe.schedule, step.t, step.s, before)
    numbers = _numbers(step.x_t, step.t, recipe, data, distance(step.x_s, step.x_t))
    return Frame(step.t, step.index, step.s, made_of | {"z": step.sigma}, numbers)


def frame_of_end(step: Step, recipe: Recipe, data: Moments | None) -> Frame:
    """Where the last step led to; its factors are repeated."""
    last = frame_of_step(step, recipe, data)
    return Frame(step.s, step.index + 1, None, last.terms, _numbers(step.x_s, step.s, recipe, data, None))


def _numbers(x_t: Tensor, t: int, recipe: Recipe, data: Moments | None, moved: float | None) -> dict[str, float | None]:
    """Of x_t, beside what the forward process has at t, and how far the step from there moved."""
    found, there = moments(x_t), data and expected(data, float(recipe.schedule.alpha_bar[t]))
    return {
        "mean": found.mean, "std": found.std,
        "expected_mean": there.mean if there else None, "expected_std": there.std if there else None, "moved": moved,
    }  # fmt: skip
