"""Samplers: which steps they take, what one step does, and whether they draw from what the denoiser knows."""

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, cast

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from diffusion import process
from diffusion.denoiser import Denoiser, ExactDenoiser
from diffusion.networks.denoiser import NetworkDenoiser
from diffusion.networks.kinds import KINDS
from diffusion.networks.network import Network
from diffusion.sampling.choices import SamplingError
from diffusion.sampling.clips import CLIPS, Clip, clipped
from diffusion.sampling.loop import Predictor, Step, sample
from diffusion.sampling.noise import first_noise, noise_between, noised
from diffusion.sampling.plan import Known
from diffusion.sampling.steps import SPACINGS, Spacing, resampled, timesteps
from diffusion.sampling.updates import (
    DDIM,
    DDPM,
    SAMPLERS,
    DPMSolver2M,
    Heun,
    Past,
    UniPC,
    Update,
    _unipc_b,
    make_update,
)
from diffusion.schedules.families import FAMILIES, make_schedule
from diffusion.schedules.given import drawn_schedule, schedule_of_betas
from diffusion.schedules.schedule import BETA_MIN, Schedule
from tests.tiny import plan, small_config

SCHEDULE = make_schedule("linear", 1000)
SHAPE = (1, 8, 8)
# Every sampler with the least, the middle and the most of its options.
UPDATES: list[Update] = [
    make_update(name, **dict(zip(sampler.parameters, values, strict=True)))
    for name, sampler in SAMPLERS.items()
    for values in itertools.product(*(
        (p.minimum, (p.minimum + p.maximum) / 2, p.maximum) for p in sampler.parameters.values()
    ))
]  # fmt: skip
every_update = pytest.mark.parametrize("update", UPDATES, ids=str)


def bent(x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
    """A denoiser of no meaning, nonlinear and pixel by pixel."""
    return x_t.clamp(-2, 2) * (1 - cast(float, alpha_bar)) ** 0.5 + 0.1 * x_t.square().clamp(max=4)


@dataclass(frozen=True)
class Gaussian:
    """The exact denoiser of pixels drawn from N(mean, std^2), by linear regression of x_0 on x_t."""

    mean: float
    std: float

    def __call__(self, x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        a = cast(float, alpha_bar)
        return (1 - a) ** 0.5 * (x_t - a**0.5 * self.mean) / (a * self.std**2 + 1 - a)

    def last_variance(self, alpha_bar: float) -> float:
        """Variance of E[x_0 | x_t]: what the samples have when they end on the prediction at this level."""
        return alpha_bar * self.std**4 / (alpha_bar * self.std**2 + 1 - alpha_bar)


@pytest.mark.parametrize("spacing", ["trailing", "linspace", "leading"])
@pytest.mark.parametrize(
    ("T", "count"), [(1000, n) for n in (1, 2, 7, 10, 50, 300, 333, 999, 1000)] + [(10, 4), (37, 5), (400, 250), (4, 4)]
)
def test_timesteps_are_those_of_diffusers(T: int, count: int, spacing: Spacing) -> None:
    schedule = make_schedule("linear", T)
    if spacing == "linspace" and count == 1:
        assert timesteps(schedule, 1, spacing) == [
            T
        ]  # diffusers begins (and ends) at its step 0, on almost clean images
        return
    scheduler = DDIMScheduler(num_train_timesteps=T, timestep_spacing=spacing)
    scheduler.set_timesteps(count)
    assert timesteps(schedule, count, spacing) == [int(t) + 1 for t in scheduler.timesteps]  # ours count from 1


@given(st.data(), st.integers(2, 4000), st.sampled_from(list(SPACINGS)), st.sampled_from(list(FAMILIES)))
def test_timesteps_descend_within_1_and_T(data: st.DataObject, T: int, spacing: Spacing, family: str) -> None:
    count = data.draw(st.integers(1, T))
    steps = timesteps(make_schedule(family, T), count, spacing)
    assert len(steps) == count
    assert all(isinstance(t, int) for t in steps)
    assert all(t > s for t, s in itertools.pairwise(steps))
    assert steps[0] <= T and steps[-1] >= 1
    assert spacing == "leading" or steps[0] == T
    assert spacing not in ("linspace", "leading") or count == 1 or steps[-1] == 1


@pytest.mark.parametrize("spacing", SPACINGS)
def test_all_timesteps_are_all_timesteps(spacing: Spacing) -> None:
    assert timesteps(make_schedule("linear", 50), 50, spacing) == list(range(50, 0, -1))


def test_quadratic_timesteps_lie_close_where_little_noise_is_left() -> None:
    assert timesteps(SCHEDULE, 5, "quadratic") == [1000, 640, 360, 160, 40]
    assert timesteps(SCHEDULE, 100, "quadratic")[-5:] == [5, 4, 3, 2, 1]  # 2.5, 1.6, 0.9, 0.4, 0.1 moved apart


@pytest.mark.parametrize("family", FAMILIES)
def test_timesteps_even_in_log_snr_are_so_whatever_the_schedule(family: str) -> None:
    schedule = make_schedule(family, 4000)
    log_snr = schedule.log_snr[timesteps(schedule, 10, "log_snr")]
    low, high = max(schedule.log_snr[-1], -12), min(schedule.log_snr[1], 12)
    np.testing.assert_allclose(
        log_snr[1:], np.linspace(low, high, 10)[1:], atol=np.abs(np.diff(schedule.log_snr[1:])).max()
    )


@pytest.mark.parametrize("count", [2, 10, 37])
@pytest.mark.parametrize("T", [1000, 4000])
def test_karras_timesteps_are_nearest_to_the_levels_of_the_paper(T: int, count: int) -> None:
    """sigma_i = (s_max^(1/7) + i / (N - 1) (s_min^(1/7) - s_max^(1/7)))^7, sought among all the steps there are."""
    schedule = make_schedule("linear", T, beta_end=20 / T)
    sigma = ((1 - schedule.alpha_bar[1:]) / schedule.alpha_bar[1:]) ** 0.5
    steps = timesteps(schedule, count, "karras")
    for i, t in enumerate(steps):
        wanted = (sigma[-1] ** (1 / 7) + i / (count - 1) * (sigma[0] ** (1 / 7) - sigma[-1] ** (1 / 7))) ** 7
        nearest = 1 + int(np.abs(np.log(sigma / wanted)).argmin())
        assert abs(t - nearest) <= 1 or t - nearest < count - i < 5  # moved apart at the end
    assert steps[0] == T and steps[-1] == 1


@pytest.mark.parametrize("count", [10, 25])
def test_karras_timesteps_are_those_of_diffusers(count: int) -> None:
    scheduler = DPMSolverMultistepScheduler(1000, use_karras_sigmas=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, about how it turns tensors into arrays
        scheduler.set_timesteps(count)
    theirs = [int(t) + 1 for t in scheduler.timesteps]
    assert timesteps(SCHEDULE, count, "karras") == theirs


@pytest.mark.parametrize("count", [0, -1, 101])
def test_more_steps_than_there_are_or_none_are_refused(count: int) -> None:
    with pytest.raises(SamplingError, match="between 1 and T = 100") as refusal:
        timesteps(make_schedule("linear", 100), count)
    assert refusal.value.field == "steps"


def test_an_unknown_spacing_is_refused() -> None:
    with pytest.raises(SamplingError, match="no spacing 'even'") as refusal:
        timesteps(SCHEDULE, 10, "even")  # type: ignore[arg-type]
    assert refusal.value.field == "spacing"


@pytest.mark.parametrize("eta", [-0.1, 1.1, math.nan, True, "0.5", None, [0.5]])
def test_an_eta_outside_0_and_1_is_refused(eta: Any) -> None:
    with pytest.raises(SamplingError, match="between 0 and 1") as refusal:
        DDIM(eta)
    assert refusal.value.field == "eta"


@pytest.mark.parametrize("name", ["off", "x", "", None, 3, ["static"]])
def test_no_choice_is_taken_that_is_not_there(name: Any) -> None:
    """Least of all for another one: what is not "static" or "none" was once dynamic thresholding."""
    for field, choose in (
        ("clip", lambda: clipped(torch.zeros(1, *SHAPE), name)),
        ("clip", lambda: next(sample(bent, SCHEDULE, plan(steps=[9], seeds=[0], clip=name), SHAPE))),
        ("spacing", lambda: timesteps(SCHEDULE, 3, name)),
        ("sampler", lambda: make_update(name)),
    ):
        with pytest.raises(SamplingError, match=f"There is no {field} .*; choose one of ") as refusal:
            choose()
        assert refusal.value.field == field


@pytest.mark.parametrize("value", [1.5, 3.0, "3", None, True, math.nan])
def test_whole_numbers_have_no_fraction_and_are_no_text(value: Any) -> None:
    for field, ask in (
        ("steps", lambda: timesteps(SCHEDULE, value)),
        ("start", lambda: timesteps(SCHEDULE, 1, start=value)),
        ("jump", lambda: resampled([5, 4, 3], value)),
        ("repeats", lambda: resampled([5, 4, 3], 1, value)),
        ("steps", lambda: next(sample(bent, SCHEDULE, plan(steps=[9, value], seeds=[0]), SHAPE))),
        ("seed", lambda: next(sample(bent, SCHEDULE, plan(steps=[9], seeds=[0, value]), SHAPE))),
    ):
        if field == "start" and value is None:  # there it means T
            continue
        with pytest.raises(SamplingError) as refusal:
            ask()
        assert refusal.value.field == field


@pytest.mark.parametrize("seeds", [[], [-1], [2**63], range(2**63 - 1, 2**63 + 1)])
def test_seeds_that_no_generator_takes_are_refused(seeds: Sequence[int]) -> None:
    with pytest.raises(SamplingError) as refusal:
        next(sample(bent, SCHEDULE, plan(steps=[9], seeds=seeds), SHAPE))
    assert refusal.value.field == "seed"


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("label", {"labels": torch.zeros(3, dtype=torch.int64)}),
        ("start", {"start": torch.zeros(1, 1, 8, 9)}),
        ("start", {"start": torch.zeros(3, 1, 8, 8)}),
        ("start", {"start": torch.zeros(1, 8, 8)}),
        ("known", {"known": Known(torch.zeros(1, 3, 8, 8), torch.ones(1, 1, 8, 8))}),
        ("known", {"known": Known(torch.zeros(1, 8, 8), torch.ones(1, 1, 8, 8))}),
        ("mask", {"known": Known(torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 4, 8))}),
        ("mask", {"known": Known(torch.zeros(1, 1, 8, 8), torch.ones(8, 8))}),
    ],
)
def test_what_is_given_has_to_fit_the_images(field: str, given: dict[str, Any]) -> None:
    with pytest.raises(SamplingError) as refusal:
        next(sample(bent, SCHEDULE, plan(steps=[9], seeds=[0, 1], **given), SHAPE))
    assert refusal.value.field == field


@pytest.mark.parametrize("steps", [[], [0], [-1], [1001], [5, 5], [3, 4], [9, 5, 0], [9, 5, 7], [5, -2]])
def test_steps_that_do_not_descend_within_1_and_T_are_refused(steps: list[int]) -> None:
    with pytest.raises(SamplingError, match="T = 1000") as refusal:
        next(sample(bent, SCHEDULE, plan(steps=steps, seeds=[0]), SHAPE))
    assert refusal.value.field == "steps"


@pytest.mark.parametrize(("t", "s"), [(1000, 0), (1000, 999), (700, 13), (2, 1), (1, 0)])
def test_a_deterministic_step_with_the_true_noise_lands_on_the_closed_form(t: int, s: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x_0 = torch.rand((2, 1, 4, 4), generator=generator, dtype=torch.float64) * 2 - 1
    eps = torch.randn(x_0.shape, generator=generator, dtype=torch.float64)
    at_t, at_s = float(SCHEDULE.alpha_bar[t]), float(SCHEDULE.alpha_bar[s])
    x_s = DDIM(0.0).mean(process.q_sample(x_0, at_t, eps), x_0, eps, at_t, at_s)
    torch.testing.assert_close(x_s, at_s**0.5 * x_0 + (1 - at_s) ** 0.5 * eps, rtol=0, atol=1e-14)


@pytest.mark.parametrize("count", [1, 7, 100])
def test_a_deterministic_run_with_the_true_noise_stays_on_the_closed_form(count: int) -> None:
    """The denoiser of a single image knows the noise: every x_s is that image and the noise it began with."""
    image = torch.rand((1, *SHAPE), generator=torch.Generator().manual_seed(1)) * 2 - 1

    def knows(x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        return process.eps_from_x0(x_t, image, alpha_bar)

    steps = timesteps(SCHEDULE, count)
    ran = list(sample(knows, SCHEDULE, plan(steps=steps, seeds=[0, 1], update=DDIM(0.0), clip="none"), SHAPE))
    eps = knows(ran[0].x_t, float(SCHEDULE.alpha_bar[steps[0]]))
    for step in ran:
        expected = process.q_sample(image, float(SCHEDULE.alpha_bar[step.s]), eps)
        torch.testing.assert_close(step.x_s, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(("update", "order"), [(DDIM(), 1), (DPMSolver2M(), 2), (UniPC(), 3)], ids=str)
def test_the_error_on_gaussian_data_falls_with_the_order_of_the_solver(update: Update, order: int) -> None:
    """Along the exact solution x - sqrt(alpha_bar) mean grows as the deviation of x_t does."""
    denoiser, levels = Gaussian(0.3, 0.5), (0.002, 0.998)

    def deviation(alpha_bar: float) -> float:
        return (alpha_bar * denoiser.std**2 + 1 - alpha_bar) ** 0.5

    def error(count: int) -> float:
        x = torch.tensor(1.7, dtype=torch.float64)
        low, high = (math.log(a / (1 - a)) for a in levels)
        path = [1 / (1 + math.exp(-level)) for level in np.linspace(low, high, count + 1)]
        exact = (x - path[0] ** 0.5 * 0.3) * deviation(path[-1]) / deviation(path[0]) + path[-1] ** 0.5 * 0.3
        past: list[Past] = []
        for a, b in itertools.pairwise(path):
            eps = denoiser(x, a)
            x_0 = process.x0_from_eps(x, eps, a)
            x = update.corrected(x, x_0, a, past)
            eps = process.eps_from_x0(x, x_0, a)
            x_s = update.mean(x, x_0, eps, a, b, past)
            past, x = [Past(a, x, x_0), *past], x_s
        return abs(float(x - exact))

    errors = [error(count) for count in (40, 80, 160)]
    for coarse, fine in itertools.pairwise(errors):
        assert math.log2(coarse / fine) == pytest.approx(order, abs=0.15)


@pytest.mark.parametrize(("t", "s"), [(1000, 999), (500, 499), (2, 1), (1000, 400), (3, 1)])
def test_ddim_with_eta_1_is_the_posterior_and_ddpm_with_its_variance(t: int, s: int) -> None:
    generator = torch.Generator().manual_seed(0)
    x_0 = torch.rand((2, 1, 4, 4), generator=generator, dtype=torch.float64) * 2 - 1
    eps = torch.randn(x_0.shape, generator=generator, dtype=torch.float64)
    levels = float(SCHEDULE.alpha_bar[t]), float(SCHEDULE.alpha_bar[s])
    x_t = process.q_sample(x_0, levels[0], eps)
    ddim, ddpm = DDIM(1.0), DDPM(0.0)
    posterior = process.posterior_mean(x_0, x_t, *levels)
    torch.testing.assert_close(ddim.mean(x_t, x_0, eps, *levels), posterior, rtol=0, atol=1e-12)
    torch.testing.assert_close(ddpm.mean(x_t, x_0, eps, *levels), posterior, rtol=0, atol=1e-12)
    assert ddim.noise_variance(*levels) == pytest.approx(ddpm.noise_variance(*levels), rel=1e-12)
    assert ddim.noise_variance(*levels) == pytest.approx(process.posterior_variance(*levels), rel=1e-12)


@pytest.mark.parametrize("t", [1, 2, 500, 1000])
def test_on_adjacent_steps_the_noise_variances_are_the_schedule_s(t: int) -> None:
    levels = float(SCHEDULE.alpha_bar[t]), float(SCHEDULE.alpha_bar[t - 1])
    assert DDPM(1.0).noise_variance(*levels) == pytest.approx(SCHEDULE.beta[t], rel=1e-9)
    assert DDPM(0.0).noise_variance(*levels) == pytest.approx(SCHEDULE.posterior_variance[t], rel=1e-9)
    assert DDIM(0.0).noise_variance(*levels) == 0
    assert DDIM(0.5).noise_variance(*levels) == pytest.approx(SCHEDULE.posterior_variance[t] / 4, rel=1e-9)


@every_update
@pytest.mark.parametrize("clip", CLIPS)
def test_the_steps_chain_and_say_what_they_did(update: Update, clip: Clip) -> None:
    steps = [1000, 600, 61, 3]
    ran = list(sample(bent, SCHEDULE, plan(steps=steps, seeds=[4, 5], update=update, clip=clip), SHAPE))
    assert [(step.index, step.count, step.t, step.s) for step in ran] == [
        (0, 4, 1000, 600), (1, 4, 600, 61), (2, 4, 61, 3), (3, 4, 3, 0)
    ]  # fmt: skip
    for before, after in itertools.pairwise(ran):
        assert torch.equal(before.x_s, after.x_t) != isinstance(update, UniPC)  # which corrects where it arrived
    for step in ran:
        expected = process.q_sample(step.x_0, float(SCHEDULE.alpha_bar[step.t]), step.eps)
        torch.testing.assert_close(step.x_t, expected, rtol=0, atol=1e-5)


@every_update
@pytest.mark.parametrize("steps", [[1000], [500, 20], [3, 2, 1]])
def test_the_last_step_adds_no_noise_and_ends_on_the_prediction(update: Update, steps: list[int]) -> None:
    *_, last = sample(bent, SCHEDULE, plan(steps=steps, seeds=[0], update=update), SHAPE)
    assert torch.equal(last.x_s, last.x_0)


@every_update
def test_every_other_step_adds_noise_of_the_stated_variance(update: Update) -> None:
    step = next(sample(bent, SCHEDULE, plan(steps=[800, 700], seeds=[0], update=update), (1, 100, 100)))
    levels = float(SCHEDULE.alpha_bar[800]), float(SCHEDULE.alpha_bar[700])
    assert step.sigma**2 == pytest.approx(update.noise_variance(*levels))
    predict = Predictor(bent, None, "static")
    added = step.x_s - update.mean(step.x_t, step.x_0, step.eps, *levels, ask=predict)
    variance = update.noise_variance(*levels)
    torch.testing.assert_close(added, torch.zeros_like(added) if step.z is None else step.sigma * step.z)
    assert abs(added.var().item() - variance) <= 4 * variance * math.sqrt(2 / 1e4)
    assert abs(added.mean().item()) <= 4 * math.sqrt(variance / 1e4)
    assert abs((added * step.x_t).mean().item()) <= 4 * math.sqrt(variance / 1e4)  # noise of its own, not x_T's again


@every_update
def test_clipping_keeps_the_prediction_in_range(update: Update) -> None:
    free, clipped = (
        list(sample(bent, SCHEDULE, plan(steps=timesteps(SCHEDULE, 5), seeds=[0], update=update, clip=clip), SHAPE))
        for clip in ("none", "static")
    )
    assert max(step.x_0.abs().max().item() for step in free) > 1.5
    assert max(step.x_0.abs().max().item() for step in clipped) <= 1
    assert torch.equal(clipped[0].x_0, free[0].x_0.clamp(-1, 1))


def test_the_dynamic_threshold_divides_by_the_percentile_of_each_image() -> None:
    x = torch.linspace(-1, 1, 201).reshape(1, 1, 3, 67) * torch.tensor([0.5, 1.0, 4.0])[:, None, None, None]
    found = clipped(x, "dynamic")
    torch.testing.assert_close(found[:2], x[:2])  # nothing beyond [-1, 1]
    s = 4 * 0.995  # 99.5 % of |x| = 0, 0.04, 0.04, 0.08 ... lie below
    torch.testing.assert_close(found[2], x[2].clamp(-s, s) / s, rtol=0, atol=2e-2)
    assert found[2].abs().max() == 1 and (found[2].abs() == 1).sum() == 2
    assert clipped(x, "none") is x


def test_make_update_gives_defaults_and_refuses_what_is_not_there() -> None:
    assert make_update("ddpm") == DDPM(1.0)
    assert make_update("dpmpp", eta=1) == DPMSolver2M(1.0)
    for name, sampler in SAMPLERS.items():
        make_update(name, **{option: p.maximum for option, p in sampler.parameters.items()})
    for name, options, field in (
        ("euler", {}, "sampler"),
        ("ddpm", {"eta": 0.5}, "eta"),
        ("ddim", {"eta": 2.0}, "eta"),
    ):
        with pytest.raises(SamplingError) as refusal:
            make_update(name, **options)
        assert refusal.value.field == field


@every_update
def test_a_sample_does_not_depend_on_its_batch(update: Update) -> None:
    def run(seeds: list[int]) -> Step:
        *_, last = sample(bent, SCHEDULE, plan(steps=timesteps(SCHEDULE, 6), seeds=seeds, update=update), SHAPE)
        return last

    together = run([3, 1, 4, 1])
    for i, seed in enumerate([3, 1, 4, 1]):
        assert torch.equal(together.x_s[i], run([seed]).x_s[0])
    assert torch.equal(together.x_s[1], together.x_s[3])
    assert not torch.equal(together.x_s[0], together.x_s[1])


def test_labels_and_levels_reach_the_denoiser() -> None:
    asked: list[tuple[float, list[int]]] = []

    def listening(x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        assert label is not None
        asked.append((cast(float, alpha_bar), label.tolist()))
        return x_t

    list(sample(listening, SCHEDULE, plan(steps=[900, 5], seeds=[0, 1], labels=torch.tensor([7, 2])), SHAPE))
    assert asked == [(SCHEDULE.alpha_bar[900], [7, 2]), (SCHEDULE.alpha_bar[5], [7, 2])]


@pytest.mark.parametrize(
    ("update", "bias"),
    # What a thousand steps leave besides the statistical error: sigma^2 = beta fits data of unit variance, beta~ a
    # single image (section 3.2), so that with the narrow data below the one is a little too wide, the other too narrow.
    [
        (DDPM(1.0), 0.01),
        (DDPM(0.5), 0.03),
        (DDPM(0.0), 0.05),
        (DDIM(0.0), 0.02),
        (DDIM(0.5), 0.02),
        (DPMSolver2M(0.0), 0.01),
        (DPMSolver2M(1.0), 0.02),
        (Heun(), 0.01),
    ],
    ids=str,
)
@pytest.mark.parametrize(("mean", "std"), [(0.3, 0.5), (-0.6, 0.2)])
def test_on_gaussian_data_the_samples_have_its_mean_and_variance(
    update: Update, bias: float, mean: float, std: float
) -> None:
    n, denoiser = 150 * 150, Gaussian(mean, std)
    *_, last = sample(
        denoiser, SCHEDULE, plan(steps=timesteps(SCHEDULE, 1000), seeds=[0], update=update, clip="none"), (1, 150, 150)
    )
    assert abs(last.x_s.mean().item() - mean) < 4 * std / math.sqrt(n)
    assert abs(last.x_s.var().item() / std**2 - 1) < 4 * math.sqrt(2 / n) + bias


@pytest.mark.parametrize(
    ("update", "std"),
    [(DDPM(1.0), 1.0), (DDPM(0.0), 0.0), (DDIM(0.0), 0.0), (DDIM(0.5), 0.0), (DDIM(1.0), 0.0)],
    ids=str,
)
@pytest.mark.parametrize("spacing", SPACINGS)
def test_where_the_variance_fits_the_data_even_ten_steps_are_exact(
    update: Update, std: float, spacing: Spacing
) -> None:
    n, mean, schedule = 150 * 150, 0.4, make_schedule("linear", 1000, beta_end=0.03)
    steps = timesteps(schedule, 10, spacing)
    if spacing == "leading":
        steps[0] = 1000  # where pure noise is what it begins with
    for step in sample(
        Gaussian(mean, std), schedule, plan(steps=steps, seeds=[0], update=update, clip="none"), (1, 150, 150)
    ):
        alpha_bar = float(schedule.alpha_bar[step.s])
        variance = alpha_bar * std**2 + 1 - alpha_bar
        if step.s == 0:  # the last step leaves its noise away
            variance = Gaussian(mean, std).last_variance(float(schedule.alpha_bar[step.t]))
        assert abs(step.x_s.mean().item() - alpha_bar**0.5 * mean) < 4 * math.sqrt(variance / n) + 1e-5
        assert abs(step.x_s.var().item() - variance) < 4 * variance * math.sqrt(2 / n) + 1e-5


@pytest.mark.parametrize("family", ["linear", "scaled_linear", "cosine"])
@every_update
def test_samples_stay_finite_at_the_largest_noise_a_schedule_may_have(family: str, update: Update) -> None:
    params: dict[str, Any] = {} if family == "cosine" else {"beta_end": 0.2}
    schedule = make_schedule(family, 1000, **params)
    *_, last = sample(bent, schedule, plan(steps=timesteps(SCHEDULE, 20), seeds=[0], update=update), SHAPE)
    assert last.x_s.isfinite().all()


UNEVEN = [
    schedule_of_betas([BETA_MIN] * 5),
    schedule_of_betas([0.1, BETA_MIN, BETA_MIN, 0.2, 1 - 1e-6]),
    schedule_of_betas([0.5, 1e-9, 1e-14, 0.9, BETA_MIN, 0.5]),
    drawn_schedule(9, [(0, 20), (0.5, 20 - 1e-14), (1, -20)]),
    drawn_schedule(9, [(0, 20), (0.01, -20 + 1e-14), (1, -20)]),
    make_schedule("sigmoid", 9, start=-10.0, end=10.0, tau=0.1),
    make_schedule("linear", 4000, beta_start=1e-6, beta_end=0.06, zero_terminal_snr=True),
    make_schedule("cosine", 4000, s=0.0, max_beta=0.9999),
]


@pytest.mark.parametrize("schedule", UNEVEN, ids=lambda s: f"{s.family}-{s.T}")
@every_update
def test_every_sampler_works_on_every_schedule_that_can_be_made(update: Update, schedule: Schedule) -> None:
    """Where levels are next to one another, or to one, or nothing is left, too: finite, and near the image."""
    image = torch.full((1, *SHAPE), 0.5)
    for spacing in SPACINGS:
        for steps in (timesteps(schedule, min(schedule.T, 9), spacing), [schedule.T], [2, 1]):
            for clip in CLIPS:
                *_, last = sample(bent, schedule, plan(steps=steps, seeds=[0], update=update, clip=clip), SHAPE)
                assert last.x_s.isfinite().all()
            *_, last = sample(ExactDenoiser(image), schedule, plan(steps=steps, seeds=[0], update=update), SHAPE)
            if schedule.alpha_bar[steps[-1]] > 0.01:  # in less, float32 has too little of the image
                torch.testing.assert_close(last.x_s, image)


def heun(steps: Sequence[int], x: np.ndarray, ask: Callable[[np.ndarray, float], np.ndarray]) -> tuple[np.ndarray, int]:
    """Algorithm 1 of Karras et al. 2022 without churn, as it stands there, in float64: x at each sigma, scaled."""
    alpha_bar = SCHEDULE.alpha_bar[[*steps, 0]]
    sigma = np.sqrt((1 - alpha_bar) / alpha_bar)
    x, calls = x * np.sqrt(1 + sigma[0] ** 2), 0

    def denoised(x: np.ndarray, i: int) -> np.ndarray:
        a = alpha_bar[i]
        x_t = x * a**0.5
        return (x_t - (1 - a) ** 0.5 * ask(x_t, a)) / a**0.5

    for i in range(len(steps)):
        d = (x - denoised(x, i)) / sigma[i]
        there = x + (sigma[i + 1] - sigma[i]) * d
        calls += 1
        if sigma[i + 1] > 0:
            d_there = (there - denoised(there, i + 1)) / sigma[i + 1]
            there = x + (sigma[i + 1] - sigma[i]) * (d + d_there) / 2
            calls += 1
        x = there
    return x, calls


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("count", [1, 2, 7, 20])
def test_heun_is_the_algorithm_of_the_paper_and_counts_its_calls(spacing: Spacing, count: int) -> None:
    steps, asked = timesteps(SCHEDULE, count, spacing, start=900), []  # in less signal some steps are of DDIM

    def listening(x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        asked.append(alpha_bar)
        return bent(x_t, alpha_bar, label)

    ran = list(sample(listening, SCHEDULE, plan(steps, [5], Heun(), clip="none"), SHAPE))
    start = first_noise([5], SHAPE).double().numpy()
    expected, calls = heun(steps, start, lambda x, a: bent(torch.from_numpy(x), float(a)).numpy())
    np.testing.assert_allclose(ran[-1].x_s.numpy(), expected, rtol=1e-3, atol=1e-3)
    assert calls == ran[-1].calls == len(asked) == 2 * count - 1
    assert [step.calls for step in ran[:-1]] == list(range(2, 2 * count, 2))


def test_the_error_of_heun_falls_with_the_square_of_the_step() -> None:
    """On Gaussian data the ODE of DDIM has a closed form: a sample keeps its place in the distribution."""
    mean, std, schedule = 0.3, 0.5, make_schedule("cosine", 4000)
    x = first_noise([0], (1, 16, 16)).double()

    def error(update: Update, count: int) -> float:
        steps = [t for t in timesteps(schedule, count, "log_snr") if schedule.snr_db[t] > -40]
        *_, last = sample(Gaussian(mean, std), schedule, plan(steps, [0], update, clip="none"), (1, 16, 16))
        first, end = (float(schedule.alpha_bar[t]) for t in (steps[0], last.t))
        spread = [(a * std**2 + 1 - a) ** 0.5 for a in (first, end)]
        exact = end**0.5 * mean + spread[1] / spread[0] * (x - first**0.5 * mean)
        return (last.x_t.double() - exact).abs().max().item()

    for update, order in ((DDIM(), 1), (Heun(), 2)):
        coarse, fine = error(update, 40), error(update, 160)
        assert math.log(coarse / fine, 4) == pytest.approx(order, abs=0.35), (update, coarse, fine)


@pytest.mark.parametrize("h", [1e-9, 1e-3, 0.00999, 0.01001, 0.1, 3.0])
def test_unipc_s_weights_are_those_of_its_formulas(h: float) -> None:
    with localcontext(prec=60):
        exact = Decimal(h)
        share = 1 / (1 - (-exact).exp())
        b_1 = share - 1 / exact
        expected = float(b_1), float(share - 2 * b_1 / exact)
    assert _unipc_b(h) == pytest.approx(expected, rel=1e-11)


# Starting elsewhere


def test_a_run_can_be_taken_up_at_any_step_and_branches_with_other_seeds() -> None:
    steps = timesteps(SCHEDULE, 10)
    whole = list(sample(bent, SCHEDULE, plan(steps=steps, seeds=[1, 2], update=DDIM()), SHAPE))
    frame = whole[4]
    later = [t for t in steps if t <= frame.t]
    *_, again = sample(bent, SCHEDULE, plan(steps=later, seeds=[8, 9], update=DDIM(), start=frame.x_t), SHAPE)
    assert torch.equal(again.x_s, whole[-1].x_s)  # no noise is added: all was decided
    branches = [
        [*sample(bent, SCHEDULE, plan(steps=later, seeds=[seed, seed], start=frame.x_t), SHAPE)][-1].x_s
        for seed in (1, 8)
    ]
    assert (branches[0] != branches[1]).any()
    *_, one = sample(bent, SCHEDULE, plan(steps=later, seeds=[8, 9], start=frame.x_t[:1]), SHAPE)
    assert torch.equal(one.x_s[0], branches[1][0])  # one start serves all seeds


def test_an_image_noised_to_t_is_x_t_and_its_noise_is_not_drawn_again() -> None:
    image = torch.full((1, *SHAPE), 0.5)
    x_t = noised(image, SCHEDULE, 300, [3, 4])
    alpha_bar = float(SCHEDULE.alpha_bar[300])
    assert torch.equal(x_t, process.q_sample(image, alpha_bar, first_noise([3, 4], SHAPE)))
    step = next(sample(bent, SCHEDULE, plan(steps=[300, 100], seeds=[3, 4], start=x_t), SHAPE))
    assert torch.equal(step.x_t, x_t)
    assert step.z is not None and (step.z != first_noise([3, 4], SHAPE)).all()


def test_denoising_back_with_the_exact_denoiser_of_one_image_finds_it() -> None:
    image = torch.rand((1, *SHAPE), generator=torch.Generator().manual_seed(1)) * 2 - 1
    steps = timesteps(SCHEDULE, 5, start=400)
    assert steps[0] == 400
    start = noised(-image, SCHEDULE, 400, [0])
    *_, last = sample(ExactDenoiser(image), SCHEDULE, plan(steps=steps, seeds=[0], start=start), SHAPE)
    torch.testing.assert_close(last.x_s, image)


@pytest.mark.parametrize("start", [0, -3, 1001])
def test_a_start_that_is_no_step_is_refused(start: int) -> None:
    with pytest.raises(SamplingError, match="between 1 and T = 1000") as refusal:
        timesteps(SCHEDULE, 1, start=start)
    assert refusal.value.field == "start"
    with pytest.raises(SamplingError, match="where they begin, t = 30, not 40"):
        timesteps(SCHEDULE, 40, start=30)


def test_noise_between_two_keeps_its_length_and_turns_evenly() -> None:
    a, b = first_noise([0, 1], (3, 32, 32))
    b *= a.norm() / b.norm()
    path = [noise_between(a, b, u) for u in (0.0, 0.25, 0.5, 0.75, 1.0)]
    torch.testing.assert_close(path[0], a)
    torch.testing.assert_close(path[-1], b)
    for x in path:
        torch.testing.assert_close(x.norm(), a.norm())
    angles = [torch.cosine_similarity(x.flatten(), y.flatten(), dim=0).acos() for x, y in itertools.pairwise(path)]
    torch.testing.assert_close(torch.stack(angles), angles[0].expand(4), rtol=1e-3, atol=0)
    torch.testing.assert_close(noise_between(a, a, 0.3), a)


@pytest.mark.parametrize("update", [DDPM(), UniPC()], ids=str)
def test_known_parts_end_as_they_are_and_the_rest_agrees_with_them(update: Update) -> None:
    """Two images that differ everywhere: what is known of the one decides the rest."""
    images = torch.stack([torch.full(SHAPE, 0.8), torch.full(SHAPE, -0.8)])
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., :4] = 1
    known = Known(images[:1], mask)
    steps = resampled(timesteps(SCHEDULE, 20), 5, 3)
    ran = list(
        sample(ExactDenoiser(images), SCHEDULE, plan(steps=steps, seeds=range(4), known=known, update=update), SHAPE)
    )
    torch.testing.assert_close(ran[-1].x_s, images[:1].expand(4, *SHAPE), rtol=0, atol=1e-3)
    free = [*sample(ExactDenoiser(images), SCHEDULE, plan(steps=timesteps(SCHEDULE, 20), seeds=range(16)), SHAPE)]
    assert (free[-1].x_s < 0).any()
    assert [step.index for step in ran] == list(range(ran[0].count))
    assert all(step.s < step.t for step in ran)
    # Where the path goes up, the forward process: from what the last step made to the noisier x_t of the next.
    rises = [(a, b) for a, b in itertools.pairwise(ran) if b.t > a.s]
    assert len(rises) == 2 * 3
    for a, b in itertools.pairwise(ran):
        if b.t == a.s:
            assert torch.equal(a.x_s, b.x_t)


def test_known_parts_are_noised_as_the_forward_process_does() -> None:
    known = Known(torch.full((1, 1, 100, 100), 0.5), torch.ones(1, 1, 1, 1))
    alpha_bar = float(SCHEDULE.alpha_bar[400])
    step = next(sample(bent, SCHEDULE, plan(steps=[900, 400], seeds=[0], known=known), (1, 100, 100)))
    assert step.x_s.mean().item() == pytest.approx(0.5 * alpha_bar**0.5, abs=0.03)
    assert step.x_s.std().item() == pytest.approx((1 - alpha_bar) ** 0.5, abs=0.03)
    # A rise keeps that distribution, at its own level.
    steps = [400, 300, 700, 600]
    ran = list(sample(bent, SCHEDULE, plan(steps=steps, seeds=[0], known=known), (1, 100, 100)))
    alpha_bar = float(SCHEDULE.alpha_bar[700])
    assert [step.t for step in ran] == [400, 700, 600]
    assert ran[1].x_t.mean().item() == pytest.approx(0.5 * alpha_bar**0.5, abs=0.03)
    assert ran[1].x_t.std().item() == pytest.approx((1 - alpha_bar) ** 0.5, abs=0.03)


@pytest.mark.parametrize(("jump", "repeats"), [(0, 3), (3, 0)])
def test_jumps_that_are_none_are_refused(jump: int, repeats: int) -> None:
    with pytest.raises(SamplingError, match="at least 1"):
        resampled([5, 4, 3, 2, 1], jump, repeats)


def run_without_values(
    denoiser: Denoiser, shape: tuple[int, int, int], update: Update, clip: Clip, conditions: tuple[int, ...] = ()
) -> None:
    """Tensors of the device "meta" have no values: whatever would ask for one, as a copy to the host does, fails."""
    known, steps = Known(torch.zeros(1, *shape), torch.ones(1, 1, 1, 1)), [900, 500, 300, 100]
    labels = torch.tensor([[0] * len(conditions), conditions]).reshape(2, -1).squeeze(1) if conditions else None
    scales = (1.0, 2.0) if conditions else (1.0,)
    for scale, (path, parts) in itertools.product(scales, [(steps, None), (resampled(steps, 1, 2), known)]):
        asked = plan(path, [0, 1], update, labels, clip=clip, guidance=scale, known=parts)
        assert all(step.x_s.device.type == "meta" for step in sample(denoiser, SCHEDULE, asked, shape, "meta"))


def network_without_values(kind: str, conditions: tuple[int, ...]) -> tuple[NetworkDenoiser, tuple[int, int, int]]:
    network = cast(Network, KINDS[kind].build(small_config(kind, conditions)).to("meta").eval())
    return NetworkDenoiser(network), network.config.image_shape


every_kind = pytest.mark.parametrize("kind", KINDS)
every_conditions = pytest.mark.parametrize("conditions", [(), (2,), (3, 1, 2)], ids=str)


@pytest.mark.parametrize("clip", CLIPS)
@every_update
def test_the_loop_never_waits_for_the_device(update: Update, clip: Clip) -> None:
    run_without_values(bent, SHAPE, update, clip)


@every_kind
@every_conditions
def test_no_network_waits_for_the_device(kind: str, conditions: tuple[int, ...]) -> None:
    run_without_values(*network_without_values(kind, conditions), DDIM(), "none", conditions)


@pytest.mark.slow
@every_conditions
@pytest.mark.parametrize("clip", CLIPS)
@every_kind
@every_update
def test_the_loop_never_waits_for_the_device_whatever_the_network(
    update: Update, kind: str, clip: Clip, conditions: tuple[int, ...]
) -> None:
    run_without_values(*network_without_values(kind, conditions), update, clip, conditions)
