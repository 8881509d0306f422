"""The factors of a step are those of the step that is taken."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from diffusion.denoiser import ExactDenoiser
from diffusion.sampling.loop import sample
from diffusion.sampling.plan import SamplingPlan
from diffusion.sampling.steps import timesteps
from diffusion.sampling.terms import terms
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
        x_0 = [*x_0, step.x_0][-2:]
