"""What a step adds on the plane: the parts of the walk are those of the steps that the sampler takes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch

from diffusion.sampling.loop import sample
from diffusion.sampling.updates import SAMPLERS, option_parameters
from ui.learning import Lesson
from ui.plane import PlaneWish, find_denoiser, pattern_points, plan_on_plane, read_plane_data
from ui.plane_walk import take_walk, walk_on_plane
from ui.sampling import values_of
from ui.sidebar import default_settings, read_schedule

DATA = pattern_points({"pattern": "moons", "count": 200, "seed": 0})
START = {"x": 0.7, "y": -1.1}


def walk(wish: PlaneWish) -> dict[str, Any]:
    found = take_walk(START, default_settings(), DATA, Lesson(), *values_of(wish).values())  # type: ignore[arg-type]
    assert found is not None
    return found


def total(step: dict[str, Any]) -> np.ndarray:
    return np.sum([step[name] for name in ("data", "noise", "fresh") if step[name] is not None], axis=0)


@pytest.mark.parametrize("denoiser", ["exact", "learned"])
@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("option", [0.0, 0.8])
def test_three_parts_are_what_the_step_adds(sampler: str, denoiser: str, option: float) -> None:
    options = {name: option for name in option_parameters() if name in SAMPLERS[sampler].parameters}
    wish = PlaneWish(sampler, 7, denoiser, seed="3", options=options)
    found = walk(wish)
    points, labels = read_plane_data(DATA)
    schedule = read_schedule(default_settings())
    plan = plan_on_plane(labels, schedule, wish)
    plan = type(plan)(**(vars(plan) | {"seeds": [3], "start": torch.tensor([0.7, -1.1]).view(1, 2, 1, 1)}))
    by = find_denoiser(denoiser, DATA, points, labels, Lesson()).denoiser
    taken = list(sample(by, schedule, plan, (2, 1, 1)))
    assert len(found["steps"]) == len(taken) == 7 and found["key"] == "moons-200-0"
    for shown, step in zip(found["steps"], taken, strict=True):
        assert (shown["t"], shown["s"]) == (step.t, step.s)
        np.testing.assert_allclose(shown["x"], step.x_t.flatten(), atol=1e-5)
        np.testing.assert_allclose(total(shown), (step.x_s - step.x_t).flatten(), atol=1e-4)
        assert (shown["fresh"] is None) == (step.z is None)
    assert found["steps"][0]["x"] == pytest.approx([0.7, -1.1])


@pytest.mark.parametrize(
    "sampler", [name for name in SAMPLERS if name != "unipc"]
)  # which takes a step again once it sees where it led
def test_a_step_begins_where_the_one_before_led(sampler: str) -> None:
    for before, after in itertools.pairwise(walk(PlaneWish(sampler, 12))["steps"]):
        np.testing.assert_allclose(np.add(before["x"], total(before)), after["x"], atol=1e-4)


def test_an_ode_puts_in_no_noise_and_ddpm_none_in_its_last_step() -> None:
    assert all(step["fresh"] is None and step["terms"]["z"] == 0 for step in walk(PlaneWish("ddim", 9))["steps"])
    *steps, last = walk(PlaneWish("ddpm", 9))["steps"]
    assert all(np.any(step["fresh"]) for step in steps) and last["fresh"] is None


def test_the_parts_of_ddim_point_to_the_data_and_along_the_noise() -> None:
    schedule = read_schedule(default_settings())
    for step in walk(PlaneWish("ddim", 9))["steps"]:
        a, b = schedule.signal, schedule.noise
        change = step["terms"]
        assert change["x0"] == pytest.approx(a[step["s"]] - a[step["t"]], abs=1e-9)
        assert change["eps"] == pytest.approx(b[step["s"]] - b[step["t"]], abs=1e-6)
        # Both are of the same x_t: sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps.
        x_0, eps = np.array(step["data"]) / change["x0"], np.array(step["noise"]) / change["eps"]
        np.testing.assert_allclose(a[step["t"]] * x_0 + b[step["t"]] * eps, step["x"], atol=2e-3)


def test_the_noise_is_that_of_the_first_sample() -> None:
    first, other = (walk(PlaneWish("ddpm", 5, seed=seed))["steps"] for seed in ("0", "1"))
    assert first[0]["data"] == other[0]["data"] and first[0]["fresh"] != other[0]["fresh"]


def test_what_cannot_be_walked_is_said_in_a_sentence() -> None:
    assert walk(PlaneWish(steps=0))["error"].endswith(".")
    assert "must be a whole number" in walk(PlaneWish(steps=None))["error"]
    values = values_of(PlaneWish()).values()
    assert take_walk(None, default_settings(), DATA, Lesson(), *values) is None
    nothing = take_walk(START, default_settings(), None, Lesson(), *values)  # type: ignore[arg-type]
    assert nothing is not None and "There are no points yet" in nothing["error"]


def test_a_long_walk_has_all_of_its_steps() -> None:
    schedule = read_schedule(default_settings())
    found = walk_on_plane(torch.tensor([0.1, 0.2]), DATA, schedule, PlaneWish("ddpm", 300), Lesson())
    assert [step["s"] for step in found["steps"]][-1] == 0 and len(found["steps"]) == 300
