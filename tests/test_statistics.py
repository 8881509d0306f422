"""Statistics of steps: against runs of which the moments are known."""

import math
from typing import cast

import pytest
import torch
from torch import Tensor

from diffusion import process
from diffusion.sampling.loop import sample
from diffusion.sampling.statistics import Moments, distance, expected, moments
from diffusion.sampling.steps import timesteps
from diffusion.sampling.updates import DDIM
from diffusion.schedules.families import make_schedule
from tests.tiny import plan

SCHEDULE = make_schedule("linear", 1000)


@pytest.mark.parametrize("t", [1, 300, 1000])
def test_the_expected_moments_are_those_of_the_forward_process(t: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x_0 = 0.3 + 0.4 * torch.randn(100_000, generator=generator)
    alpha_bar = float(SCHEDULE.alpha_bar[t])
    x_t = process.q_sample(x_0, alpha_bar, torch.randn(x_0.shape, generator=generator))
    found, wanted = moments(x_t), expected(moments(x_0), alpha_bar)
    assert found.mean == pytest.approx(wanted.mean, abs=4 / math.sqrt(len(x_0)))
    assert found.std == pytest.approx(wanted.std, abs=4 / math.sqrt(len(x_0)))


def test_a_run_of_gaussian_data_stays_on_the_expected_moments() -> None:
    data = Moments(0.3, 0.5)

    def exact(x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        a = cast(float, alpha_bar)
        return (1 - a) ** 0.5 * (x_t - a**0.5 * data.mean) / (a * data.std**2 + 1 - a)

    steps = timesteps(SCHEDULE, 200)
    predicted = []
    for step in sample(exact, SCHEDULE, plan(steps=steps, seeds=[0], update=DDIM(), clip="none"), (1, 200, 200)):
        found, wanted = moments(step.x_t), expected(data, float(SCHEDULE.alpha_bar[step.t]))
        assert found.mean == pytest.approx(wanted.mean, abs=0.02)
        assert found.std == pytest.approx(wanted.std, abs=0.02)
        predicted.append(step.x_0)
    # What is drawn is decided before the end.
    assert distance(predicted[-1], predicted[-2]) < distance(predicted[100], predicted[99])


def test_distance_is_root_mean_square() -> None:
    a, b = torch.zeros(2, 1, 2, 2), torch.tensor([3.0, 4.0]).view(2, 1, 1, 1).expand(2, 1, 2, 2)
    assert distance(a, b) == pytest.approx(math.sqrt(12.5))
