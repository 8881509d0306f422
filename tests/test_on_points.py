"""How far points are that a sampler draws in few steps, and how far chance alone would have them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from diffusion.data.points import patterns
from diffusion.evaluation.on_points import chance_distance, drawn_distances
from diffusion.evaluation.quality import ways_to_measure
from diffusion.mixture import MixtureDenoiser
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.steps import timesteps
from diffusion.sampling.updates import SAMPLERS
from diffusion.schedules.families import make_schedule

SCHEDULE = make_schedule("cosine", 1000)
MOONS = patterns()["moons"].mixture()


def plan(sampler: str, steps: int) -> SamplingPlan:
    return SamplingPlan(timesteps(SCHEDULE, steps), range(600), sampler, clip="none")


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_many_steps_come_as_near_as_chance_and_one_does_not(sampler: str) -> None:
    generator = torch.Generator().manual_seed(1)
    reference = MOONS.draw(2000, generator)[0]
    floor, spread = chance_distance(lambda count: MOONS.draw(count, generator)[0], reference, 600)
    plans = [plan(sampler, steps) for steps in (1, 8, 100)]
    one, few, many = drawn_distances(MixtureDenoiser(MOONS), SCHEDULE, plans, reference)
    assert (one.sampler, one.steps, one.calls) == (sampler, 1, 1)
    assert [few.calls, many.calls] == [each.calls(SCHEDULE) for each in plans[1:]]
    # One step goes to the mean of the data, whose distance from them is no chance.
    assert one.distance > 0.2 and one.distance > few.distance > many.distance
    assert many.distance < floor + 4 * spread


def test_what_is_moved_is_as_far_as_it_was_moved() -> None:
    """Seen along a line at an angle, a shift d is d |cos|: 2 d / pi in the mean over all directions."""
    generator = torch.Generator().manual_seed(0)
    reference = MOONS.draw(3000, generator)[0]
    shift = torch.tensor([3.0, 4.0]).view(2, 1, 1)
    far, spread = chance_distance(lambda count: MOONS.draw(count, generator)[0] + shift, reference, 500)
    assert far == pytest.approx(2 * 5 / math.pi, abs=0.05) and 0 < spread < 0.05


def test_ways_are_those_that_so_many_calls_allow() -> None:
    ways = ways_to_measure(make_schedule("linear", 1000), (1, 2, 8, 32), "trailing")
    assert {(steps, calls) for name, steps, calls in ways if name == "ddim"} == {(k, k) for k in (1, 2, 8, 32)}
    assert all(calls <= 32 for *_, calls in ways)
    few = [steps for name, steps, _ in ways_to_measure(make_schedule("linear", 5), (1, 2, 8, 32)) if name == "ddim"]
    assert few == [1, 2, 5]  # there are no more
    assert np.all(np.diff([calls for *_, calls in ways]) >= 0)
