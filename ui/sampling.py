"""What the controls of the reverse tab ask for, and the runs that answer them."""

from __future__ import annotations

import base64
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from diffusion.checkpoint import Model
from diffusion.denoiser import Guided
from diffusion.sampler import SAMPLERS, Clip, Past, SamplingError, Spacing, Step, Update, make_update, sample, timesteps
from diffusion.schedule import Schedule, ScheduleError
from ui.models import DEFAULT, StopFlag
from ui.player import Frame, Recorder, planes, stride
from ui.sidebar import Settings, read_schedule
from ui.view import browser_path, for_browser

PREVIEW_SECONDS = 0.1
PREVIEW_RATE = 2e6  # bytes a second at most: what is sent faster than it can be received only piles up
MAX_SEED = 2**53 - 1  # what a browser can say exactly
ALL_CLASSES = "all in turn"
FRAMES = ".frames"  # of a file with the frames of a run


@dataclass(frozen=True)
class Controls:
    """What the controls of the tab say, as they came from the page; the defaults are what it opens with."""

    network: str = DEFAULT
    label: str = ALL_CLASSES
    count: float = 20
    sampler: str = "ddim"
    steps: float | None = 50
    seed: str = "0"
    guidance: float = 1.0
    v: float = 1.0
    eta: float = 0.0
    spacing: Spacing = "trailing"
    clip: Clip = "static"
    keep_all: bool = False


@dataclass(frozen=True)
class Wish:
    """What is to be sampled, checked."""

    schedule: Schedule
    steps: list[int]
    update: Update
    labels: Tensor
    seeds: list[int]
    guidance: float
    clip: Clip
    keep_all: bool


def read_wish(model: Model, settings: Settings, controls: Controls) -> Wish:
    """Check the controls.

    Raises:
        SamplingError: with the control it is about in ``field``.
    """
    try:
        schedule = read_schedule(settings)
    except ScheduleError as error:
        raise SamplingError("steps", f"The schedule cannot be used: {error}") from error
    seed = str(controls.seed).strip()
    if not seed.isdecimal() or int(seed) > MAX_SEED:
        raise SamplingError("seed", f"The seed must be a whole number from 0 to {MAX_SEED}.")
    if controls.steps is None or controls.steps != int(controls.steps):
        raise SamplingError("steps", "The number of steps must be a whole number.")
    classes, count = model.card.classes, int(controls.count)
    if controls.label not in (ALL_CLASSES, *classes):
        raise SamplingError("label", f"{model.card.title} has no class {controls.label}; choose another.")
    only = None if controls.label == ALL_CLASSES else classes.index(controls.label)
    return Wish(
        schedule=schedule,
        steps=timesteps(schedule, int(controls.steps), controls.spacing),
        update=make_update(
            controls.sampler, **{name: getattr(controls, name) for name in SAMPLERS[controls.sampler].parameters}
        ),
        labels=model.card.labels(count, only),
        seeds=[int(seed) + i for i in range(count)],
        guidance=controls.guidance,
        clip=controls.clip,
        keep_all=controls.keep_all,
    )


def terms(update: Update, schedule: Schedule, t: int, s: int, before: Sequence[int] = ()) -> dict[str, float]:
    """What x_t, x_0, eps, and the x_0 of the steps ``before``, the latest first, are multiplied by in the step to x_s.

    A step is linear in them, so these are the means of unit vectors.
    """
    alpha_bar = schedule.alpha_bar
    names = ("xt", "x0", "eps", "x0_before", "x0_before2")[: 3 + len(before)]
    x_t, x_0, eps, *earlier = torch.eye(len(names), dtype=torch.float64)
    past = [Past(float(alpha_bar[r]), torch.zeros_like(x_t), x) for r, x in zip(before, earlier, strict=False)]
    mean = update.mean(x_t, x_0, eps, float(alpha_bar[t]), float(alpha_bar[s]), past)
    return dict(zip(names, mean.tolist(), strict=True))


def noisy(wish: Wish) -> bool:
    """Whether any step but the last adds noise."""
    levels = wish.schedule.alpha_bar[wish.steps].tolist()
    return any(wish.update.noise_variance(t, s) > 0 for t, s in pairwise(levels))


def run(model: Model, wish: Wish, flag: StopFlag) -> Iterator[dict[str, Any]]:
    """Sample, yielding values for the view: previews while it runs ("live"), at the end every frame ("done")."""
    denoiser = Guided(model.denoiser, wish.guidance, len(model.card.classes))
    count, (channels, height, width) = len(wish.steps), model.image_shape
    shape = (len(wish.seeds), height, width, channels)
    drawn = 3 + noisy(wish)
    frame_bytes = drawn * math.prod(shape)
    pause = max(PREVIEW_SECONDS, frame_bytes / PREVIEW_RATE)
    path = browser_path(FRAMES)
    started, shown = time.monotonic(), 0.0
    step = None
    with path.open("wb") as file:
        recorder = Recorder(file, shape, drawn, every=stride(count, frame_bytes, wish.keep_all))
        for step in sample(
            denoiser, wish.schedule, model.image_shape, steps=wish.steps, seeds=wish.seeds, labels=wish.labels,
            update=wish.update, clip=wish.clip, device=model.device,
        ):  # fmt: skip
            if recorder.wants(step.index):
                recorder.add(describe(step, wish), step.x_t, step.x_0, step.eps, step.z)
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
                    "status": f"step {taken} of {count}, about {left:.1f} s left",
                }
        assert step is not None  # timesteps() never gives an empty list
        taken = step.index + 1
        # The end repeats the numbers of the step that led to it.
        end = replace(describe(step, wish), t=step.s, step=taken, s=None)
        recorder.add(end, step.x_s, step.x_0, step.eps, None)
    seconds = time.monotonic() - started
    what = f"{len(wish.seeds)} image{'s' if len(wish.seeds) > 1 else ''}, {taken} of {count} steps"
    yield {
        "state": "done",
        "stopped": taken < count,
        "file": for_browser(path),
        "frames": [vars(frame) for frame in recorder.frames],
        "count": count,
        "T": wish.schedule.T,
        "key": f"{wish.seeds[0]}-{time.time_ns()}",
        "status": f"{'Stopped: ' if taken < count else ''}{what} in {seconds:.1f} s "
        f"({1000 * seconds / taken:.0f} ms a step)",
        "note": ""
        if recorder.every == 1
        else f"Every {recorder.every}th of the {count} steps is kept as a frame, {len(recorder.frames)} in all; "
        "“keep every step” keeps more.",
    }


def describe(step: Step, wish: Wish) -> Frame:
    """The numbers of a step."""
    before = wish.steps[: step.index][::-1][:2]
    return Frame(
        step.t, step.index, step.s, terms(wish.update, wish.schedule, step.t, step.s, before) | {"z": step.sigma}
    )
