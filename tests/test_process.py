"""The forward process and its posterior against iteration, Monte Carlo and Bayes' rule; conversions round-trip."""

import inspect
import math
from collections.abc import Callable
from typing import cast, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from diffusion import process
from diffusion.schedules.families import make_schedule
from diffusion.schedules.schedule import Schedule

SCHEDULES = [make_schedule("linear", 1000), make_schedule("cosine", 100), make_schedule("scaled_linear", 20)]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.family)
one, zero = np.ones(1), np.zeros(1)

level = st.floats(1e-4, 1 - 1e-4)
value = st.floats(-5, 5)


def pairs(schedule: Schedule) -> list[tuple[int, int]]:
    """Steps (t, s): adjacent and not, the ends among them."""
    T = schedule.T
    return [(2, 1), (T, T - 1), (T // 2, T // 2 - 1), (T, 1), (T // 2, T // 4), (T, T // 3)]


@every_schedule
def test_the_closed_form_has_the_mean_and_variance_of_the_chain(schedule: Schedule) -> None:
    mean, variance = one, zero
    for t in range(1, schedule.T + 1):
        beta = schedule.beta[t]
        kept, added = process.q_step(one, beta, zero), process.q_step(zero, beta, one)
        mean, variance = kept * mean, kept**2 * variance + added**2
        alpha_bar = schedule.alpha_bar[t]
        np.testing.assert_allclose(process.q_sample(one, alpha_bar, zero), mean, rtol=1e-10)
        np.testing.assert_allclose(process.q_sample(zero, alpha_bar, one) ** 2, variance, rtol=1e-10)


def test_chains_run_step_by_step_are_spread_as_the_closed_form_says() -> None:
    schedule, n, x_0 = make_schedule("cosine", 8), 200_000, 0.7
    rng = np.random.default_rng(0)
    x = np.full(n, x_0)
    for t in range(1, 6):
        x = process.q_step(x, schedule.beta[t], rng.standard_normal(n))
    variance = 1 - schedule.alpha_bar[5]
    # Four standard errors, of a mean and of a Gaussian's variance.
    assert abs(x.mean() - math.sqrt(schedule.alpha_bar[5]) * x_0) < 4 * math.sqrt(variance / n)
    assert abs(x.var() - variance) < 4 * variance * math.sqrt(2 / n)


@every_schedule
def test_the_posterior_is_bayes_rule(schedule: Schedule) -> None:
    """q(x_s | x_t, x_0) is q(x_s | x_0) q(x_t | x_s) up to a constant: precisions add, means weigh by precision."""
    x_0, x_t = np.array([0.3, -0.9, 0.0]), np.array([-1.2, 0.4, 2.0])
    for t, s in pairs(schedule):
        kept = math.prod(1 - beta for beta in schedule.beta[s + 1 : t + 1])  # alpha_{t|s}
        from_x_0, from_x_t = 1 / (1 - schedule.alpha_bar[s]), kept / (1 - kept)
        variance = 1 / (from_x_0 + from_x_t)
        mean = variance * (from_x_0 * math.sqrt(schedule.alpha_bar[s]) * x_0 + from_x_t * x_t / math.sqrt(kept))
        levels = schedule.alpha_bar[t], schedule.alpha_bar[s]
        np.testing.assert_allclose(process.posterior_mean(x_0, x_t, *levels), mean, rtol=1e-9)
        np.testing.assert_allclose(process.posterior_variance(*levels), variance, rtol=1e-9)


@every_schedule
def test_both_forms_of_the_posterior_mean_agree(schedule: Schedule) -> None:
    x_0, eps = np.array([0.3, -0.9, 0.0]), np.array([-1.2, 0.4, 2.0])
    for t, s in pairs(schedule):
        alpha_bar_t, alpha_bar_s = schedule.alpha_bar[t], schedule.alpha_bar[s]
        x_t = process.q_sample(x_0, alpha_bar_t, eps)
        from_eps = process.posterior_mean_from_eps(eps, x_t, alpha_bar_t, alpha_bar_s)
        np.testing.assert_allclose(from_eps, process.posterior_mean(x_0, x_t, alpha_bar_t, alpha_bar_s), atol=1e-11)


@every_schedule
def test_the_posterior_mean_subtracts_the_noise(schedule: Schedule) -> None:
    for t in (1, 2, schedule.T // 2, schedule.T):
        levels = schedule.alpha_bar[t], schedule.alpha_bar[t - 1]
        expected = -schedule.beta[t] / math.sqrt(1 - schedule.alpha_bar[t]) / math.sqrt(schedule.alpha[t])
        assert process.posterior_mean_from_eps(one, zero, *levels)[0] == pytest.approx(expected, rel=1e-9)


@every_schedule
def test_the_last_posterior_is_the_clean_image(schedule: Schedule) -> None:
    levels = float(schedule.alpha_bar[1]), 1.0
    x_0, x_t = np.array([0.3, -0.9]), np.array([-1.2, 0.4])
    np.testing.assert_array_equal(process.posterior_mean(x_0, x_t, *levels), x_0)
    assert process.posterior_variance(*levels) == 0


@every_schedule
def test_posterior_variance_is_the_schedule_s(schedule: Schedule) -> None:
    found = process.posterior_variance(schedule.alpha_bar[1:], schedule.alpha_bar[:-1])
    np.testing.assert_allclose(found, schedule.posterior_variance[1:], rtol=1e-9)


@given(level, value, value)
def test_x0_and_eps_round_trip(alpha_bar: float, x_0: float, eps: float) -> None:
    x_t = process.q_sample(np.array([x_0]), alpha_bar, np.array([eps]))
    assert process.x0_from_eps(x_t, np.array([eps]), alpha_bar)[0] == pytest.approx(x_0, abs=1e-9)
    assert process.eps_from_x0(x_t, np.array([x_0]), alpha_bar)[0] == pytest.approx(eps, abs=1e-9)


@given(level, value, value)
def test_v_gives_back_x0_and_eps(alpha_bar: float, x_0: float, eps: float) -> None:
    x_t = process.q_sample(np.array([x_0]), alpha_bar, np.array([eps]))
    v = process.v_from_x0_eps(np.array([x_0]), np.array([eps]), alpha_bar)
    assert process.x0_from_v(x_t, v, alpha_bar)[0] == pytest.approx(x_0, abs=1e-12)
    assert process.eps_from_v(x_t, v, alpha_bar)[0] == pytest.approx(eps, abs=1e-12)


@given(level, value, value)
def test_whatever_a_network_predicts_it_says_the_same(alpha_bar: float, x_0: float, eps: float) -> None:
    x_t = process.q_sample(x_0 * one, alpha_bar, eps * one)
    said = {"eps": eps * one, "x0": x_0 * one, "v": process.v_from_x0_eps(x_0 * one, eps * one, alpha_bar)}
    assert said.keys() == set(get_args(process.Prediction))
    for prediction, out in said.items():
        kind = cast(process.Prediction, prediction)
        assert process.eps_of(kind, x_t, out, alpha_bar)[0] == pytest.approx(eps, abs=1e-9)
        assert process.x0_of(kind, x_t, out, alpha_bar)[0] == pytest.approx(x_0, abs=1e-9)


@given(st.floats(0.0, math.pi / 2), value, value)
def test_x_and_v_are_x0_and_eps_turned_by_the_same_angle(angle: float, x_0: float, eps: float) -> None:
    """With cos(angle) = sqrt(alpha_bar), x_t is the rotation of (x_0, eps) and v its derivative by the angle."""
    alpha_bar = math.cos(angle) ** 2
    x_t = process.q_sample(np.array([x_0]), alpha_bar, np.array([eps]))[0]
    v = process.v_from_x0_eps(np.array([x_0]), np.array([eps]), alpha_bar)[0]
    assert x_t == pytest.approx(math.cos(angle) * x_0 + math.sin(angle) * eps, abs=1e-7)
    assert v == pytest.approx(-math.sin(angle) * x_0 + math.cos(angle) * eps, abs=1e-7)


FUNCTIONS = [
    function
    for name, function in inspect.getmembers(process, inspect.isfunction)
    if "prediction" not in inspect.signature(function).parameters  # these choose among the others
]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
@settings(max_examples=20)
@given(late=st.floats(0.01, 0.5), early=st.floats(0.51, 0.99), seed=st.integers(0, 99))
def test_torch_and_numpy_agree(function: Callable[..., object], late: float, early: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    levels = {"alpha_bar_t": late, "alpha_bar_s": early, "beta_t": late}
    names = inspect.signature(function).parameters
    arrays = {name: np.full((2, 1), levels[name]) if name in levels else rng.normal(size=(2, 3)) for name in names}
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    floats = {name: levels.get(name, array) for name, array in arrays.items()}
    expected = np.asarray(function(**arrays))
    np.testing.assert_allclose(np.asarray(function(**tensors)), expected, rtol=1e-12)
    np.testing.assert_allclose(np.asarray(function(**floats)), expected, rtol=1e-12)
