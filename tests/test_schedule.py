"""Schedules: the design's target numbers, identities over every family, parity with diffusers, and every refusal."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest
import scipy.interpolate
import scipy.stats
import torch
from diffusers import DDPMScheduler
from diffusers.schedulers.scheduling_ddpm import rescale_zero_terminal_snr
from scipy.special import expit

from diffusion.schedules.families import (
    BETA_CAP,
    FAMILIES,
    PER_STEP,
    T_MAX,
    T_MIN,
    beta_for_terminal_snr,
    make_schedule,
)
from diffusion.schedules.given import drawn_schedule, schedule_of_betas
from diffusion.schedules.schedule import BETA_MIN, Schedule, ScheduleError, to_zero_terminal_snr

PARAMS: list[tuple[str, dict[str, Any]]] = [
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
SCHEDULES = [make_schedule(family, T, **params) for family, params in PARAMS for T in (2, 3, 10, 1000, 4000)]
SCHEDULES += [make_schedule(family, T, zero_terminal_snr=True) for family in FAMILIES for T in (2, 10, 1000)]
SCHEDULES += [make_schedule(family, T, keep_shape_of=1000) for family in PER_STEP for T in (20, 100, 2000)]
SCHEDULES += [
    drawn_schedule(T, points)
    for points in ([(0.0, 20.0), (1.0, -20.0)], [(0.0, 9.0), (0.2, 8.9), (0.21, -3.0), (1.0, -11.0)])
    for T in (2, 50, 4000)
]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: f"{s.family}-{s.T}-{len(s.params)}")


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
    mean = np.sqrt(schedule.beta * schedule.posterior_variance)
    np.testing.assert_allclose(schedule.reverse_variance("between"), mean, rtol=1e-12)


@every_schedule
def test_log_snr_is_the_logit_of_alpha_bar(schedule: Schedule) -> None:
    assert schedule.log_snr[0] == schedule.snr_db[0] == np.inf
    np.testing.assert_allclose(expit(schedule.log_snr), schedule.alpha_bar, rtol=1e-12)
    ratio = schedule.alpha_bar[1:] / (1 - schedule.alpha_bar[1:])
    np.testing.assert_allclose(schedule.snr_db[1:], 10 * np.log10(ratio), rtol=1e-12, atol=1e-9)


def exact_log_alpha_bar(beta: np.ndarray) -> np.ndarray:
    """ln alpha_bar_t with the digits of a long double."""
    return np.cumsum(np.log1p(-beta.astype(np.longdouble)))


def most_of_what_can_be_made() -> Iterator[Schedule]:
    """Every family at the ends of its parameters, whatever is derived from it, and curves with flat parts."""
    ways: list[dict[str, Any]] = [{}, {"zero_terminal_snr": True}, {"keep_shape_of": T_MAX}]
    for name, family in FAMILIES.items():
        ends = [(p.minimum, p.default, p.maximum) for p in family.parameters.values()]
        for T, values in itertools.product((T_MIN, 3, 40, T_MAX), itertools.product(*ends)):
            for way in ways:
                try:
                    yield make_schedule(name, T, **(way | dict(zip(family.parameters, values, strict=True))))
                except ScheduleError as error:
                    if "smaller than" not in str(error) and "So much noise" not in str(error):
                        raise
    for betas in ([BETA_MIN] * 5, [0.1, BETA_MIN, BETA_MIN, 0.2, 1 - BETA_MIN], [1e-12] * 9, [0.9] * 40):
        given = schedule_of_betas(betas)
        yield from (given, to_zero_terminal_snr(given), schedule_of_betas(betas, 2), schedule_of_betas(betas, T_MAX))
    for points in FLAT:
        for T in (T_MIN, 3, 40, T_MAX):
            yield from (drawn_schedule(T, points), to_zero_terminal_snr(drawn_schedule(T, points)))


FLAT: list[list[tuple[float, float]]] = [
    [(0, 20), (0.5, 20 - 1e-14), (1, -20)],
    [(0, 20), (0.5, 19.999999999), (0.500001, -20 + 1e-14), (1, -20)],
    [(0, 20), (1, 20 - 1e-14)],
    [(0, -20 + 1e-14), (1, -20)],
    [(0, 5e-324), (0.5, 0), (1, -5e-324)],
]


def test_whatever_can_be_made_falls_and_all_that_follows_from_it_is_finite_and_exact() -> None:
    schedules = list(most_of_what_can_be_made())
    assert len(schedules) > 1000
    for schedule in schedules:
        assert (np.diff(schedule.alpha_bar) < 0).all()
        for array in (schedule.log_snr[1:], schedule.snr_db[1:], schedule.signal, schedule.posterior_variance):
            assert np.isfinite(array).all()
        noise = -np.expm1(exact_log_alpha_bar(schedule.beta))
        np.testing.assert_allclose(schedule.noise**2, noise.astype(float), rtol=1e-12)
        exact = (noise[:-1] / noise[1:] * schedule.beta[1:]).astype(float)
        np.testing.assert_allclose(schedule.posterior_variance[1:], exact, rtol=1e-12)


@pytest.mark.parametrize("points", FLAT)
def test_a_drawn_curve_with_flat_parts_is_the_curve(points: list[tuple[float, float]]) -> None:
    T = 1000
    drawn = scipy.interpolate.pchip_interpolate(*zip(*[(u, round(y, 9)) for u, y in points], strict=True),
                                                np.arange(1, T + 1) / T)  # fmt: skip
    np.testing.assert_allclose(drawn_schedule(T, points).log_snr[1:], drawn, atol=5e-4)


@pytest.mark.parametrize(("betas", "t"), [([1e-17, 0.1], 1), ([0.1, 1e-17, 0.1], 2), ([0.1, 5e-324], 2)])
def test_a_beta_that_rounding_loses_is_refused(betas: list[float], t: int) -> None:
    with pytest.raises(ScheduleError, match=f"beta_{t} = .* is so small that 1 - beta_{t} is lost"):
        schedule_of_betas(betas)
    assert schedule_of_betas(np.maximum(betas, BETA_MIN)).alpha_bar[-1] < 1


@pytest.mark.parametrize(
    ("family", "name", "params"),
    [
        ("linear", "linear", {"beta_start": 1e-4, "beta_end": 0.02}),
        ("scaled_linear", "scaled_linear", {"beta_start": 0.00085, "beta_end": 0.012}),
        ("cosine", "squaredcos_cap_v2", {}),
    ],
)
@pytest.mark.parametrize("T", [2, 50, 1000])
def test_alpha_bar_is_that_of_diffusers(family: str, name: str, params: dict[str, Any], T: int) -> None:
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
    again = make_schedule(family, 20, **dict[str, Any](schedule.params))
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
        ("linear", "1000", {}, "T", "whole number"),
        (["linear"], 10, {}, "family", "no schedule family"),
        ("linear", 10, {"beta_end": "0.02"}, "beta_end", "not '0.02'"),
        ("linear", 10, {"beta_end": None}, "beta_end", "not None"),
        ("linear", 10, {"keep_shape_of": "9"}, "T", "whose shape is kept must be a whole number"),
        ("linear", 10, {"zero_terminal_snr": "no"}, "zero_terminal_snr", "true or false"),
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
    family: Any, T: Any, params: dict[str, Any], field: str, message: str
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


@pytest.mark.parametrize("T", [2, 10, 1000])
@pytest.mark.parametrize("family", FAMILIES)
def test_zero_terminal_snr_is_that_of_diffusers(family: str, T: int) -> None:
    schedule = make_schedule(family, T)
    theirs = np.cumprod(1 - rescale_zero_terminal_snr(torch.tensor(schedule.beta[1:])).numpy())  # in float64
    ours = to_zero_terminal_snr(schedule)
    if schedule.alpha_bar[-1] > 2**-24:
        np.testing.assert_allclose(ours.alpha_bar[1:], theirs, rtol=0, atol=1e-6)
        assert ours.snr_db[-1] < -72
        assert ours.alpha_bar[1] == pytest.approx(schedule.alpha_bar[1])
    for array in (ours.log_snr[1:], ours.posterior_variance, 1 / ours.alpha_bar):
        assert np.isfinite(array).all()


@pytest.mark.parametrize("T", [100, 250, 4000])
@pytest.mark.parametrize("family", ["linear", "scaled_linear"])
def test_kept_shape_scales_the_betas_as_the_released_code_does(family: str, T: int) -> None:
    """improved-diffusion: beta_start = 1000 / T * 0.0001, beta_end = 1000 / T * 0.02."""
    ours = make_schedule(family, T, keep_shape_of=1000)
    scaled = make_schedule(family, T, beta_start=0.1 / T, beta_end=20 / T)
    np.testing.assert_allclose(ours.beta, scaled.beta)
    u = np.linspace(0, 1, 51)
    kept = np.interp(u, np.linspace(0, 1, T + 1), ours.alpha_bar)
    np.testing.assert_allclose(kept, np.interp(u, np.linspace(0, 1, 1001), make_schedule(family).alpha_bar), atol=0.02)


def test_kept_shape_caps_what_would_reach_one() -> None:
    beta = make_schedule("linear", 10, keep_shape_of=1000).beta
    uncapped = make_schedule("linear", 10).beta * 100
    assert (uncapped > 1).sum() == 5
    np.testing.assert_allclose(beta, np.minimum(uncapped, BETA_CAP))
    same = make_schedule("linear", 1000, keep_shape_of=1000)
    assert same.params == make_schedule().params and np.array_equal(same.beta, make_schedule().beta)
    np.testing.assert_array_equal(
        make_schedule("cosine", 10, keep_shape_of=1000).beta, make_schedule("cosine", 10).beta
    )


@pytest.mark.parametrize("settings", [{}, {"keep_shape_of": 1000}, {"beta_start": 0.001}])
@pytest.mark.parametrize(
    ("family", "name"), [("linear", "beta_end"), ("scaled_linear", "beta_end"), ("constant", "beta")]
)
@pytest.mark.parametrize("snr_db", [-15.0, -30.0, -60.0])
def test_solved_beta_leaves_the_snr_that_was_asked_for(
    family: str, name: str, settings: dict[str, Any], snr_db: float
) -> None:
    if family == "constant":
        settings = {k: v for k, v in settings.items() if k != "beta_start"}
    for T in (100, 1000):
        solved = beta_for_terminal_snr(family, T, snr_db, **settings)
        assert solved.keys() == {name}
        assert make_schedule(family, T, **(settings | solved)).snr_db[-1] == pytest.approx(snr_db, abs=1e-6)


def test_terminal_snr_out_of_reach_is_refused() -> None:
    with pytest.raises(ScheduleError, match=r"between -13.3 and 30.0 dB, not -40") as error:
        beta_for_terminal_snr("linear", 10, -40)
    assert error.value.field == "terminal_snr"
    with pytest.raises(ScheduleError, match="no last β"):
        beta_for_terminal_snr("cosine", 1000, -40)
    with pytest.raises(ScheduleError, match="must lie between"):
        beta_for_terminal_snr("linear", 1000, -40, beta_start=0.2)


@pytest.mark.parametrize("T", [2, 7, 500])
def test_drawn_curve_runs_through_its_points_as_scipy_s_does(T: int) -> None:
    points = [(0.0, 9.0), (0.25, 3.0), (0.5, 2.0), (1.0, -12.0)]
    schedule = drawn_schedule(T, points)
    u = np.arange(1, T + 1) / T
    expected = scipy.interpolate.pchip_interpolate(*zip(*points, strict=True), u)
    np.testing.assert_allclose(schedule.alpha_bar[1:], expit(expected), rtol=1e-9)
    assert schedule.log_snr[-1] == pytest.approx(-12)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([(0, 9)], "2 to 16 points"),
        ([(i / 20, -i) for i in range(21)], "2 to 16 points"),
        ([(0.1, 9), (1, -9)], "from t/T = 0"),
        ([(0, 9), (0.9, -9)], "to t/T = 1"),
        ([(0, 9), (0.5, 3), (0.5, 2), (1, -9)], "must run from"),
        ([(0, 9), (0.5, 9), (1, -9)], "must fall"),
        ([(0, 9), (0.5, float("nan")), (1, -9)], "must fall"),
        ([(0, 21), (1, -9)], "between −20 and 20"),
        ([(0, 9), (1e-320, 3), (1, -9)], "at least 1e-06 apart"),
        ([(0, 9), (1, "x")], "must fall"),
        ([(0, 9), (1,)], "must fall"),
    ],
)
def test_points_that_are_no_curve_are_refused(points: list[tuple[float, float]], message: str) -> None:
    with pytest.raises(ScheduleError, match=message):
        drawn_schedule(100, points)


def test_given_betas_keep_their_curve_at_another_T() -> None:
    betas = make_schedule().beta[1:]
    np.testing.assert_array_equal(schedule_of_betas(betas, 1000).beta[1:], betas)
    fewer = schedule_of_betas(betas, 100)
    np.testing.assert_allclose(fewer.alpha_bar, make_schedule().alpha_bar[::10], rtol=1e-9)
    assert schedule_of_betas(betas, 4000).alpha_bar[::4] == pytest.approx(make_schedule().alpha_bar)
    assert to_zero_terminal_snr(schedule_of_betas(betas)).snr_db[-1] < -72
