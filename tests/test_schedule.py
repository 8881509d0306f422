"""Schedules: the design's target numbers, identities over every family, parity with diffusers, and every refusal."""

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import scipy.stats
from diffusers import DDPMScheduler
from scipy.special import expit

from diffusion.schedule import FAMILIES, T_MAX, T_MIN, Schedule, ScheduleError, make_schedule

SCHEDULES = [
    make_schedule(family, T, **params)
    for family, params in [
        ("linear", {}),
        ("linear", {"beta_start": 0.001, "beta_end": 0.03}),
        ("scaled_linear", {"beta_start": 0.00085, "beta_end": 0.012}),
        ("cosine", {}),
        ("cosine", {"s": 0.0, "max_beta": 0.5}),
        ("constant", {"beta": 0.02}),
        ("sigmoid", {}),
        ("sigmoid", {"start": 0.0, "end": 3.0, "tau": 0.3}),
        ("laplace", {}),
        ("laplace", {"mu": -2.0, "b": 1.5}),
    ]
    for T in (2, 3, 10, 1000, 4000)
]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: f"{s.family}-{s.T}-{s.params[-1][1]:g}")


def test_the_paper_s_schedule_has_the_target_numbers() -> None:
    schedule = make_schedule("linear", 1000, beta_start=1e-4, beta_end=0.02)
    assert schedule.alpha_bar[1000] == pytest.approx(4.0358e-5, rel=1e-4)
    assert schedule.alpha_bar[500] == pytest.approx(0.078587, rel=1e-4)
    assert schedule.log_snr[259] > 0 > schedule.log_snr[260]


def test_defaults_are_the_paper_s() -> None:
    paper = make_schedule("linear", 1000, beta_start=1e-4, beta_end=0.02)
    np.testing.assert_array_equal(make_schedule().beta, paper.beta)


@every_schedule
def test_arrays_run_from_the_clean_image_to_T(schedule: Schedule) -> None:
    assert schedule.beta[0] == 0 and schedule.alpha_bar[0] == 1
    for name in ("beta", "alpha", "alpha_bar", "signal", "noise", "log_snr", "snr_db", "posterior_variance"):
        array = getattr(schedule, name)
        assert array.shape == (schedule.T + 1,) and array.dtype == np.float64, name


@every_schedule
def test_alpha_bar_is_the_product_up_to_t(schedule: Schedule) -> None:
    for t in {1, 2, schedule.T // 2, schedule.T}:
        product = math.exp(math.fsum(math.log1p(-beta) for beta in schedule.beta[1 : t + 1]))
        assert schedule.alpha_bar[t] == pytest.approx(product, rel=1e-11)


@every_schedule
def test_noise_only_grows(schedule: Schedule) -> None:
    assert (np.diff(schedule.alpha_bar) < 0).all()
    assert (np.diff(schedule.log_snr) < 0).all()
    assert (schedule.alpha_bar > 0).all()


@every_schedule
def test_signal_and_noise_keep_unit_variance(schedule: Schedule) -> None:
    np.testing.assert_allclose(schedule.signal**2 + schedule.noise**2, 1, rtol=1e-14)
    np.testing.assert_allclose(schedule.signal**2, schedule.alpha_bar, rtol=1e-14)


@every_schedule
def test_posterior_variance_is_positive_and_at_most_beta(schedule: Schedule) -> None:
    assert schedule.posterior_variance[0] == schedule.posterior_variance[1] == 0
    assert (schedule.posterior_variance[2:] > 0).all()
    assert (schedule.posterior_variance <= schedule.beta).all()


@every_schedule
def test_reverse_variance_picks_the_named_one(schedule: Schedule) -> None:
    np.testing.assert_array_equal(schedule.reverse_variance("beta"), schedule.beta)
    np.testing.assert_array_equal(schedule.reverse_variance("posterior"), schedule.posterior_variance)


@every_schedule
def test_log_snr_is_the_logit_of_alpha_bar(schedule: Schedule) -> None:
    assert schedule.log_snr[0] == schedule.snr_db[0] == np.inf
    np.testing.assert_allclose(expit(schedule.log_snr), schedule.alpha_bar, rtol=1e-12)
    ratio = schedule.alpha_bar[1:] / (1 - schedule.alpha_bar[1:])
    np.testing.assert_allclose(schedule.snr_db[1:], 10 * np.log10(ratio), rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(
    ("family", "name", "params"),
    [
        ("linear", "linear", {"beta_start": 1e-4, "beta_end": 0.02}),
        ("scaled_linear", "scaled_linear", {"beta_start": 0.00085, "beta_end": 0.012}),
        ("cosine", "squaredcos_cap_v2", {}),
    ],
)
@pytest.mark.parametrize("T", [2, 50, 1000])
def test_alpha_bar_is_that_of_diffusers(family: str, name: str, params: dict[str, float], T: int) -> None:
    theirs = DDPMScheduler(num_train_timesteps=T, beta_schedule=name, **params).alphas_cumprod.numpy()
    np.testing.assert_allclose(make_schedule(family, T, **params).alpha_bar[1:], theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("T", [10, 100, 1000, 4000])
@pytest.mark.parametrize("s", [0.0, 0.008, 0.2])
def test_cosine_is_the_paper_s_formula_until_the_cap(T: int, s: float) -> None:
    schedule = make_schedule("cosine", T, s=s, max_beta=0.999)
    f = np.cos((np.arange(T + 1) / T + s) / (1 + s) * np.pi / 2) ** 2
    np.testing.assert_allclose(schedule.alpha_bar[:T], (f / f[0])[:T], rtol=1e-9)
    assert schedule.beta[T] == 0.999  # f(T) = 0, so that only the cap keeps beta_T below one


@pytest.mark.parametrize(("start", "end", "tau"), [(-3.0, 3.0, 1.0), (0.0, 3.0, 0.7), (-3.0, 0.0, 0.1)])
def test_sigmoid_is_the_paper_s_algorithm_until_the_cap(start: float, end: float, tau: float) -> None:
    T = 50
    u = np.arange(T + 1) / T
    v_start, v_end = expit(start / tau), expit(end / tau)
    gamma = (v_end - expit((u * (end - start) + start) / tau)) / (v_end - v_start)
    schedule = make_schedule("sigmoid", T, start=start, end=end, tau=tau)
    np.testing.assert_allclose(schedule.alpha_bar[:T], gamma[:T], rtol=1e-6, atol=1e-12)
    assert schedule.beta[T] == 0.999


@pytest.mark.parametrize(("mu", "b"), [(0.0, 0.5), (1.0, 0.3), (-2.0, 2.0)])
def test_laplace_has_log_snrs_at_the_quantiles_of_that_distribution(mu: float, b: float) -> None:
    T = 100
    schedule = make_schedule("laplace", T, mu=mu, b=b)
    quantiles = scipy.stats.laplace(mu, b).ppf(1 - np.arange(1, T) / T)
    np.testing.assert_allclose(schedule.log_snr[1:T], quantiles, rtol=1e-9, atol=1e-9)


def test_constant_is_a_power() -> None:
    schedule = make_schedule("constant", 100, beta=0.03)
    np.testing.assert_allclose(schedule.alpha_bar, 0.97 ** np.arange(101))


@pytest.mark.parametrize("max_beta", [0.1, 0.5, 0.9999])
def test_cosine_betas_stay_below_the_cap(max_beta: float) -> None:
    beta = make_schedule("cosine", 100, max_beta=max_beta).beta
    assert beta.max() == max_beta


@pytest.mark.parametrize(("family", "power"), [("linear", 1.0), ("scaled_linear", 0.5)])
def test_linear_families_go_in_equal_steps_from_end_to_end(family: str, power: float) -> None:
    beta = make_schedule(family, 200, beta_start=0.001, beta_end=0.05).beta[1:]
    assert beta[0] == pytest.approx(0.001) and beta[-1] == pytest.approx(0.05)
    np.testing.assert_allclose(np.diff(beta**power), (0.05**power - 0.001**power) / 199, rtol=1e-10)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("T", [T_MIN, T_MAX, 1000.0, np.int64(7)])
def test_whole_numbers_of_any_type_within_the_range_are_taken(family: str, T: int) -> None:
    assert make_schedule(family, T).T == T


@pytest.mark.parametrize("family", FAMILIES)
def test_the_schedule_remembers_what_made_it(family: str) -> None:
    schedule = make_schedule(family, 20)
    assert schedule.family == family
    again = make_schedule(family, 20, **dict(schedule.params))
    np.testing.assert_array_equal(again.beta, schedule.beta)


@pytest.mark.parametrize(
    ("family", "T", "params", "field", "message"),
    [
        ("linear", 1, {}, "T", "whole number from 2 to 4000, not 1"),
        ("linear", 0, {}, "T", "not 0"),
        ("linear", -5, {}, "T", "not -5"),
        ("linear", 4001, {}, "T", "not 4001"),
        ("linear", 10.5, {}, "T", "not 10.5"),
        ("linear", math.nan, {}, "T", "not nan"),
        ("linear", math.inf, {}, "T", "not inf"),
        ("linear", True, {}, "T", "whole number"),
        ("wavy", 10, {}, "family", "no schedule family 'wavy'; choose one of linear, constant, scaled_linear, cosine"),
        ("sigmoid", 10, {"start": 2.0, "end": 1.0}, "start", "start must be smaller than end, but 2 is not"),
        ("constant", 4000, {"beta": 0.5}, "beta", "lower β or T"),
        ("laplace", 10, {"b": 0.0}, "b", "b must lie between 0.1 and 3, not 0"),
        ("linear", 10, {"s": 0.1}, "s", "has no parameter 's'; it has beta_start, beta_end"),
        ("cosine", 10, {"beta_end": 0.1}, "beta_end", "has no parameter 'beta_end'; it has s, max_beta"),
        ("linear", 10, {"beta_start": 0.01, "beta_end": 0.01}, "beta_start", "0.01 is not smaller than 0.01"),
        ("scaled_linear", 10, {"beta_start": 0.03, "beta_end": 0.02}, "beta_start", "must be smaller than β_T"),
        ("linear", 10, {"beta_start": math.nan}, "beta_start", "β_1 must lie between 1e-06 and 0.05, not nan"),
        ("linear", 10, {"beta_end": math.nan}, "beta_end", "β_T must lie between 0.0001 and 0.5, not nan"),
        ("linear", 10, {"beta_start": 0.0}, "beta_start", "not 0"),
        ("linear", 10, {"beta_end": 1.0}, "beta_end", "not 1"),
        ("cosine", 10, {"s": -0.1}, "s", "s must lie between 0 and 0.2, not -0.1"),
        ("cosine", 10, {"max_beta": 1.0}, "max_beta", "max β must lie between 0.1 and 0.9999, not 1"),
        # alpha_bar_T underflows, and every formula that divides by it gives nan.
        ("linear", 4000, {"beta_end": 0.5}, "beta_end", "lower β or T"),
        ("scaled_linear", 4000, {"beta_end": 0.5}, "beta_end", "lower β or T"),
    ],
)
def test_a_schedule_that_cannot_be_made_names_the_field_to_change(
    family: str, T: int, params: dict[str, float], field: str, message: str
) -> None:
    with pytest.raises(ScheduleError, match=message) as refusal:
        make_schedule(family, T, **params)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("beta", "message"),
    [
        ([0.0, 0.1, 1.0], "beta_2 = 1 is outside"),
        ([0.0, 0.0, 0.1], "beta_1 = 0 is outside"),
        ([0.0, 0.1, -0.1], "beta_2 = -0.1 is outside"),
        ([0.0, math.nan, 0.1], "beta_1 = nan is outside"),
        ([0.0, 0.1, math.inf], "beta_2 = inf is outside"),
        ([0.1, 0.2], "begins with beta_0 = 0"),
        ([0.0], "begins with beta_0 = 0"),
        ([[0.0, 0.1]], "begins with beta_0 = 0"),
    ],
)
def test_betas_outside_the_unit_interval_are_refused(beta: list[float], message: str) -> None:
    with pytest.raises(ScheduleError, match=message) as refusal:
        Schedule(np.array(beta))
    assert refusal.value.field == "beta"


def test_a_schedule_cannot_be_changed() -> None:
    beta = np.array([0.0, 0.1, 0.2])
    schedule = Schedule(beta)
    beta[1] = 0.9
    assert schedule.beta[1] == 0.1
    with pytest.raises(FrozenInstanceError):
        schedule.beta = beta  # type: ignore[misc]
    for name in ("beta", "alpha", "alpha_bar", "signal", "noise", "log_snr", "snr_db", "posterior_variance"):
        with pytest.raises(ValueError, match="read-only"):
            getattr(schedule, name)[1] = 0.5
