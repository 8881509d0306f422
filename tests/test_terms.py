"""The factors of a step are those of the step that is taken."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from diffusion.denoiser import ExactDenoiser
from diffusion.process import posterior_variance
from diffusion.sampling.loop import sample
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.steps import timesteps
from diffusion.sampling.terms import change_parts, change_terms, terms
from diffusion.sampling.updates import SAMPLERS, make_update, option_parameters
from diffusion.schedules.families import make_schedule


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("option", [0.0, 0.7])
def test_step_is_the_sum_of_its_terms(name: str, option: float) -> None:
    schedule = make_schedule()
    options = {key: option for key in option_parameters() if key in SAMPLERS[name].parameters}
    points = torch.randn(5, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    plan = SamplingPlan(timesteps(schedule, 6), range(4), name, options, clip="none")
    update, x_0 = make_update(name, **options), list[Tensor]()
    for step in sample(ExactDenoiser(points), schedule, plan, (2, 1, 1)):
        factors = terms(update, schedule, step.t, step.s, plan.steps[: step.index][::-1][:2])
        parts: dict[str, Tensor | None] = {"xt": step.x_t, "x0": step.x_0, "eps": step.eps, "eps_s": step.eps_s}
        parts |= dict(zip(("x0_before", "x0_before2"), x_0[::-1], strict=False))
        pairs = [(factor, parts[key]) for key, factor in factors.items()]
        total = torch.stack([factor * part for factor, part in pairs if part is not None]).sum(0)
        expected = step.x_s if step.z is None else step.x_s - step.sigma * step.z
        torch.testing.assert_close(expected, total, atol=1e-4, rtol=1e-4)
        assert ("eps_s" in factors) == (step.eps_s is not None)
        # The same step as what it adds: towards the data, along the noise, and fresh noise.
        change = change_terms(factors, float(schedule.alpha_bar[step.t]))
        data, noise = change_parts(change, {key: part for key, part in parts.items() if part is not None})
        moved = step.x_s - step.x_t - (0 if step.z is None else step.sigma * step.z)
        torch.testing.assert_close(data + noise, moved, atol=1e-4, rtol=1e-4)
        x_0 = [*x_0, step.x_0][-2:]


@pytest.mark.parametrize(("name", "options", "share"), [
    ("ddpm", {"v": 0.0}, 1), ("ddpm", {"v": 1.0}, 1), ("ddim", {}, 0), ("ddim", {"eta": 0.7}, 0.49)
])  # fmt: skip
@pytest.mark.parametrize(("t", "s"), [(1000, 900), (500, 480), (2, 1), (1, 0)])
def test_a_step_adds_data_and_takes_noise_by_the_square_roots(
    name: str, options: dict[str, float], share: float, t: int, s: int
) -> None:
    schedule = make_schedule()
    a_t, a_s = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[s])
    change = change_terms(terms(make_update(name, **options), schedule, t, s), a_t)
    left = max(1 - a_s - share * posterior_variance(a_t, a_s), 0.0)
    expected = {"x0": a_s**0.5 - a_t**0.5, "eps": left**0.5 - (1 - a_t) ** 0.5}
    assert change == pytest.approx(expected, abs=1e-9)
