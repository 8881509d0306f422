"""The chain, step by step, against the closed form; and the closed form's standard errors against many chains."""

import numpy as np
import pytest
import torch

from diffusion import process
from diffusion.chain import closed_form, distribution_of, levels, walk
from diffusion.schedules.families import make_schedule

EDGES = np.linspace(-4, 4, 33)


def picture(pixels: int, seed: int = 0) -> torch.Tensor:
    """Dark and bright pixels of few levels, as float32 in [-1, 1]."""
    level = torch.tensor([-1.0, -0.8, 0.1, 0.9])
    return level[torch.randint(4, (pixels,), generator=torch.Generator().manual_seed(seed))]


def test_walk_visits_every_step_and_is_the_chain() -> None:
    schedule, x_0 = make_schedule("linear", 20), picture(10)
    steps = list(walk(x_0, schedule, 7, torch.Generator().manual_seed(3)))
    assert [t for t, _ in steps] == list(range(8))
    noise = torch.Generator().manual_seed(3)
    x = x_0
    for t in range(1, 8):
        x = process.q_step(x, schedule.beta[t], torch.randn(10, generator=noise))
        torch.testing.assert_close(steps[t][1], x)


@pytest.mark.parametrize("t", [0, 1, 30, 60])
def test_many_chains_agree_with_the_closed_form_within_its_errors(t: int) -> None:
    schedule, x_0, runs = make_schedule("linear", 60, beta_end=0.08), picture(400), 300
    expected = closed_form(*levels(x_0), float(schedule.alpha_bar[t]), EDGES)
    generator = torch.Generator().manual_seed(1)
    found = []
    for _ in range(runs):
        *_, (_, x_t) = walk(x_0, schedule, t, generator)
        found.append(distribution_of(x_t, EDGES))
    for name in ("mean", "variance", "share"):
        values = np.array([getattr(run, name) for run in found])
        centre, error = getattr(expected, name), getattr(expected, f"{name}_error")
        assert (np.abs(values.mean(0) - centre) <= 4.5 * error / runs**0.5 + 1e-6).all(), name
        # A standard deviation of 300 runs strays by 4 % from the truth; rare bins by more.
        common = np.asarray(error) > 2e-3
        np.testing.assert_allclose(values.std(0)[common], np.asarray(error)[common], rtol=0.2)


def test_shares_add_up_to_what_lies_between_the_edges() -> None:
    expected = closed_form(*levels(picture(400)), 0.5, np.array([-np.inf, 0.0, np.inf]))
    assert expected.share.sum() == pytest.approx(1)
    assert closed_form(*levels(picture(400)), 1.0, EDGES).share.sum() == pytest.approx(1)
