"""The point that is followed on the plane, walked home by the sampler and denoiser that are chosen there: what every
step adds to it, x_s - x_t, as the three parts of diffusion/sampling/terms.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from typing_extensions import TypedDict

from diffusion.sampling.loop import PAST, Step, sample
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.terms import change_parts, change_terms, terms
from diffusion.sampling.updates import title_of
from diffusion.schedules.schedule import Schedule
from ui.asked import REFUSALS
from ui.learning import Lesson
from ui.models import AT_ONCE
from ui.plane import PlaneData, PlaneWish, find_denoiser, plan_on_plane, read_plane_data
from ui.sampling import read_controls
from ui.sidebar import Settings, read_schedule

# A walk is short, and follows the hand: it does not wait for the runs of others.
AT_WALK: dict[str, Any] = {"concurrency_id": "walk", "concurrency_limit": AT_ONCE}
FAR = 100.0  # no place of the plane lies farther out
Coordinate = Annotated[float, Field(ge=-FAR, le=FAR)]


class AskedWalk(TypedDict):
    """Where the point that is followed is at T, its x_T."""

    x: Coordinate
    y: Coordinate


def take_walk(
    asked: AskedWalk | None, settings: Settings, data: PlaneData | None, lesson: Lesson, *controls: Any
) -> dict[str, Any] | None:
    """The handler of all that changes the walk, ``controls`` in the order of ``control_names`` of ``PlaneWish``: the
    walk for the view, {"error"} where there can be none, None where none is asked for.
    """
    if asked is None:
        return None
    try:
        wish, schedule = read_controls(PlaneWish, controls), read_schedule(settings)
        return walk_on_plane(torch.tensor([asked["x"], asked["y"]]), data, schedule, wish, lesson)
    except REFUSALS as error:
        return {"error": str(error)}


def walk_on_plane(
    x_T: Tensor, data: PlaneData | None, schedule: Schedule, wish: PlaneWish, lesson: Lesson
) -> dict[str, Any]:  # fmt: skip
    """{"key": of the points, "title": of the run, "steps": see ``step_for_view``}, with the noise of the first sample.

    Args:
        x_T: (2,), where it begins.

    Raises:
        AskedError, SamplingError: nothing can be drawn.
    """
    points, labels = read_plane_data(data)
    assert data is not None
    plan = plan_on_plane(labels, schedule, replace(wish, count=1))
    plan = replace(plan, start=x_T.float().view(1, 2, 1, 1))
    by = find_denoiser(wish.denoiser, data, points, labels, lesson)
    x_0: list[Tensor] = []  # of the steps before, the latest first
    steps = []
    for step in sample(by.denoiser, schedule, plan, (2, 1, 1)):
        steps.append(step_for_view(step, plan, schedule, x_0))
        x_0 = [step.x_0, *x_0][:PAST]
    return {"key": data["key"], "title": f"{title_of(plan.sampler, plan.options)}, {by.name}", "steps": steps}


def step_for_view(step: Step, plan: SamplingPlan, schedule: Schedule, x_0: list[Tensor]) -> dict[str, Any]:
    """A step of one point, {"t", "s", "x": where it left, "data", "noise", "fresh": x_s - x_t in parts, each x and y,
    the last null where no noise was put in, "terms": the factors of what they are made of, "z": sigma}.

    Args:
        x_0: what was predicted in the steps before, the latest first.
    """
    factors = terms(plan.update, schedule, step.t, step.s, plan.steps[: step.index][::-1][:PAST])
    change = change_terms(factors, float(schedule.alpha_bar[step.t]))
    found = {"x0": step.x_0, "eps": step.eps} | dict(zip(("x0_before", "x0_before2"), x_0, strict=False))
    if step.eps_s is not None:
        found["eps_s"] = step.eps_s
    data, noise = change_parts(change, found)
    return {
        "t": step.t, "s": step.s, "x": _pair(step.x_t), "data": _pair(data), "noise": _pair(noise),
        "fresh": None if step.z is None else _pair(step.sigma * step.z), "terms": change | {"z": step.sigma},
    }  # fmt: skip


def _pair(x: Tensor) -> list[float]:
    return [float(f"{value:.7g}") for value in x.flatten().tolist()]
