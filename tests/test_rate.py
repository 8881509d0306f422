"""The bound in bits/dim against other ways to compute it, none of which uses the library's formulas.

- One pixel with three grey levels: every density on a grid, posteriors by Bayes' rule, KL divergences by summing.
- Gaussian pixels: forward process and model are Gaussians over x_0 ... x_T, whose KL divergence is linear algebra.
"""

from __future__ import annotations

import csv
import io
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from diffusion.denoiser import ExactDenoiser
from diffusion.losses import rate
from diffusion.losses.curve import ErrorCurve
from diffusion.losses.likelihood import bits_per_dim, bound, estimate_bound
from diffusion.losses.measure import decoder_by_variance, measure_errors, measuring_levels
from diffusion.losses.weightings import WEIGHTINGS, kl_extra, loss_weight
from diffusion.schedules.families import make_schedule
from diffusion.schedules.given import drawn_schedule
from diffusion.schedules.schedule import EXPONENTS, Schedule, Variance

pytestmark = pytest.mark.slow

every_variance = pytest.mark.parametrize("variance", EXPONENTS)
EVEN = torch.tensor(stats.norm.ppf((np.arange(200_000) + 0.5) / 200_000))  # as good as 10^9 random ones


def sigma2_of(variance: Variance, beta: float, beta_tilde: float) -> float:
    return {"beta": beta, "posterior": beta_tilde, "between": math.sqrt(beta * beta_tilde)}[variance]


@every_variance
def test_the_ledger_is_the_bound_by_brute_force(variance: Variance, monkeypatch: pytest.MonkeyPatch) -> None:
    schedule = Schedule(np.array([0.0, 0.02, 0.05, 0.1, 0.2, 0.35]))
    greys = np.array([40, 130, 220]) / 127.5 - 1

    # The library: measured over the three greys, with every eps that there is.
    images = torch.tensor(greys, dtype=torch.float32).repeat_interleave(len(EVEN)).reshape(-1, 1, 1, 1)
    monkeypatch.setattr(torch, "randn", lambda shape, generator: EVEN.float().repeat(3).reshape(shape))
    exact = ExactDenoiser(torch.tensor(greys, dtype=torch.float32).reshape(3, 1, 1, 1))
    *_, curve = measure_errors(exact, images, schedule.alpha_bar[1:], batch=len(images))
    found = rate.ledger(curve, schedule, variance)

    # Brute force, on a grid that reaches far beyond the data.
    x = np.linspace(-7, 7, 2801)
    dx = x[1] - x[0]

    def q_given_x_0(t: int, x_0: float) -> np.ndarray:
        return stats.norm.pdf(x, math.sqrt(np.prod(1 - schedule.beta[1 : t + 1])) * x_0,
                              math.sqrt(1 - np.prod(1 - schedule.beta[1 : t + 1])))  # fmt: skip

    def guess(t: int) -> np.ndarray:
        """E[x_0 | x_t] at every x_t of the grid."""
        each = np.stack([q_given_x_0(t, x_0) for x_0 in greys])
        return greys @ each / np.maximum(each.sum(0), 1e-300)

    def posterior(t: int, x_t: float, x_0: float) -> np.ndarray:
        """q(x_{t-1} | x_t, x_0) by Bayes' rule."""
        joint = stats.norm.pdf(x_t, np.sqrt(1 - schedule.beta[t]) * x, math.sqrt(schedule.beta[t]))
        joint = joint * q_given_x_0(t - 1, x_0)
        return joint / (joint.sum() * dx)

    middle = 0.0
    for t in range(2, schedule.T + 1):
        found_x_0 = guess(t)
        for x_0 in greys:
            density = q_given_x_0(t, x_0)
            for i in np.flatnonzero(density > 1e-7)[::10]:
                q = posterior(t, x[i], x_0)
                mean = (posterior(t, x[i], found_x_0[i]) * x).sum() * dx
                beta_tilde = (q * (x - (q * x).sum() * dx) ** 2).sum() * dx
                log_p = stats.norm.logpdf(x, mean, math.sqrt(sigma2_of(variance, schedule.beta[t], beta_tilde)))
                inside = q > 1e-300
                kl = (q[inside] * (np.log(q[inside]) - log_p[inside])).sum() * dx
                middle += density[i] * 10 * dx * kl / 3

    prior = last = 0.0
    found_x_0 = guess(1)
    beta_tilde_2 = (1 - schedule.alpha_bar[1]) / (1 - schedule.alpha_bar[2]) * schedule.beta[2]
    sigma = math.sqrt(sigma2_of(variance, schedule.beta[1], beta_tilde_2))
    for x_0 in greys:
        density = q_given_x_0(schedule.T, x_0)
        prior += (density * (np.log(np.maximum(density, 1e-300)) - stats.norm.logpdf(x))).sum() * dx / 3
        z = np.abs(x_0 - found_x_0)
        mass = stats.norm.sf((z - 1 / 255) / sigma) - stats.norm.sf((z + 1 / 255) / sigma)
        last -= (q_given_x_0(1, x_0) * np.log(mass)).sum() * dx / 3

    assert found.missing == 0
    assert found.L_T == pytest.approx(prior / math.log(2), abs=1e-4)
    assert found.L_mid == pytest.approx(middle / math.log(2), abs=1e-4)
    assert found.L_0 == pytest.approx(last / math.log(2), abs=1e-4)
    assert found.total == pytest.approx((prior + middle + last) / math.log(2), abs=1e-4)


MEAN, STD = 0.1, 0.2


def gaussian_curve(alpha_bars: np.ndarray) -> ErrorCurve:
    """The exact denoiser of pixels from N(MEAN, STD^2), with its true errors; L_0 from its true residuals."""
    a = np.sort(alpha_bars)[::-1]
    log_snr = np.log(a) - np.log1p(-a)
    error = a * STD**2 / (a * STD**2 + 1 - a)
    x_0 = torch.zeros((len(EVEN), 1, 1, 1))  # neither black nor white
    residuals = [math.sqrt(v) * EVEN for v in error * (1 - a) / a]
    decoder = np.stack([decoder_by_variance(x_0, r, v) for r, v in zip(residuals, a, strict=True)])
    return ErrorCurve(log_snr, error, np.zeros_like(a), decoder, mean_square=MEAN**2 + STD**2, dimensions=1)


def differential_entropy(covariance: np.ndarray) -> float:
    return (len(covariance) * math.log(2 * math.pi * math.e) + np.linalg.slogdet(covariance)[1]) / 2


@every_variance
@pytest.mark.parametrize("T", [2, 50])
def test_on_gaussian_data_the_ledger_is_the_kl_of_two_processes(T: int, variance: Variance) -> None:
    """E[L] = KL(q(x_0 ... x_T) | p(x_0 ... x_T)) + H(x_0), less the logarithm of the width of a grey level."""
    schedule = make_schedule("linear", T, beta_start=0.02, beta_end=0.3)
    found = rate.ledger(gaussian_curve(schedule.alpha_bar[1:]), schedule, variance)

    # q: each x_t is sqrt(alpha_t) x_{t-1} and new noise.
    signal = np.sqrt(np.cumprod(1 - schedule.beta))
    q_mean = signal * MEAN
    q = np.empty((T + 1, T + 1))
    for t in range(T + 1):
        own = signal[t] ** 2 * STD**2 + 1 - signal[t] ** 2
        q[t, t:] = q[t:, t] = own * signal[t:] / signal[t]
    # p: from x_T down, each x_{t-1} the regression of q on x_t and noise of variance sigma_t^2.
    steps = np.zeros((T + 1, T + 1))  # x = steps x + offset + noise
    offset, noise = np.zeros(T + 1), np.ones(T + 1)
    for t in range(1, T + 1):
        steps[t - 1, t] = q[t - 1, t] / q[t, t]
        offset[t - 1] = q_mean[t - 1] - steps[t - 1, t] * q_mean[t]
        beta_tilde = schedule.beta[t] * (1 - signal[t - 1] ** 2) / (1 - signal[t] ** 2)
        if t == 1:
            beta_tilde = schedule.beta[2] * (1 - signal[1] ** 2) / (1 - signal[2] ** 2)
        noise[t - 1] = sigma2_of(variance, schedule.beta[t], beta_tilde)
    inverse = np.linalg.inv(np.eye(T + 1) - steps)
    p_mean, p = inverse @ offset, inverse @ np.diag(noise) @ inverse.T
    precision, off = np.linalg.inv(p), p_mean - q_mean
    kl = (np.trace(precision @ q) + off @ precision @ off - T - 1 + np.log(noise).sum() - np.linalg.slogdet(q)[1]) / 2
    expected = kl + differential_entropy(np.array([[STD**2]])) - math.log(2 / 255)
    assert found.total == pytest.approx(expected / math.log(2), abs=1e-4)


@every_variance
def test_the_bound_on_gaussian_data_meets_its_entropy_as_T_grows(variance: Variance) -> None:
    """From a fixed x_1 to pure noise in more and more steps: what is left above the entropy falls like 1/T."""
    curve = gaussian_curve(1 / (1 + np.exp(-np.linspace(8.5, -12, 60))))
    entropy = (differential_entropy(np.array([[STD**2]])) - math.log(2 / 255)) / math.log(2)
    gaps = []
    for T in (40, 200, 1000, 4000):
        schedule = drawn_schedule(T, [(0, 8.0), (1, -11.9)])
        # The decoder of x_1 has the variance of the whole first step, which stays: sigma^2 = beta is right for it.
        found, last = rate.ledger(curve, schedule, variance), rate.ledger(curve, schedule, "beta").L_0
        gaps.append(found.L_T + found.L_mid + last - entropy)
    assert all(gap > 0 for gap in gaps)
    assert gaps[1] < gaps[0] / 3 and gaps[2] < gaps[1] / 3
    assert gaps[-1] < 0.01
    assert gaps[-1] - (gaps[-2] - gaps[-1]) / 3 == pytest.approx(0, abs=3e-4)  # at T = infinity


def gaussian(x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
    """The exact denoiser of pixels from N(MEAN, STD^2)."""
    a = alpha_bar if isinstance(alpha_bar, float) else alpha_bar[:, None, None, None].float()
    return (1 - a) ** 0.5 * (x_t - a**0.5 * MEAN) / (a * STD**2 + 1 - a)


def test_three_ways_to_measure_the_bound_agree_within_their_noise() -> None:
    x = torch.randn((200, 1, 8, 8), generator=torch.Generator().manual_seed(0)) * STD + MEAN
    images = ((x + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1
    schedule = make_schedule("linear", 60, beta_end=0.3)
    *_, curve = measure_errors(gaussian, images, measuring_levels(schedule, 60), noises=4, batch=800, seed=1)
    found = rate.ledger(curve, schedule, "beta")
    others = (
        bound(gaussian, images, schedule, seed=2),
        estimate_bound(gaussian, images, schedule, torch.Generator().manual_seed(3), draws=60),
    )
    for other in others:
        for name in ("L_T", "L_mid", "L_0"):
            bits = bits_per_dim(other[name].numpy(), 64)
            error = max(bits.std() / math.sqrt(200), 1e-6)
            assert getattr(found, name) == pytest.approx(bits.mean(), abs=4 * error)
    # The error that is stated is no smaller than that of the mean of 200 images.
    assert found.standard_error > 0.5 * bits_per_dim(others[0]["L_mid"].numpy(), 64).std() / math.sqrt(200)


@every_variance
def test_rate_and_distortion_are_those_of_figure_5(variance: Variance) -> None:
    schedule = make_schedule("linear", 100, beta_end=0.2)
    curve = gaussian_curve(schedule.alpha_bar[1:])
    bits, rmse = rate.rate(curve, schedule, variance), rate.distortion(curve, schedule)
    found = rate.ledger(curve, schedule, variance)
    assert bits[0] == pytest.approx(found.total) and rmse[0] == 0
    assert bits[1] == pytest.approx(found.L_T + found.L_mid)
    assert bits[-1] == pytest.approx(found.L_T)
    assert (np.diff(bits) < 0).all() and (np.diff(rmse) > 0).all()
    # By drawing: what the best guess of x_0 from x_t misses, in grey levels.
    rng = np.random.default_rng(0)
    x_0, eps = rng.normal(MEAN, STD, 400_000), rng.standard_normal(400_000)
    for t in (5, 50, 100):
        a = schedule.alpha_bar[t]
        x_t = math.sqrt(a) * x_0 + math.sqrt(1 - a) * eps
        slope, intercept = np.polyfit(x_t, x_0, 1)
        assert rmse[t] == pytest.approx(127.5 * np.std(x_0 - slope * x_t - intercept), rel=0.01)
    t = 30
    extra = kl_extra(schedule, variance)[t] if variance != "posterior" else 0
    step = loss_weight(schedule, variance)[t] * curve.on(schedule)[t] + extra
    assert bits[t - 1] - bits[t] == pytest.approx(step / math.log(2))


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_shares_rise_to_one_and_terms_are_weight_times_error(name: str) -> None:
    schedule = make_schedule("cosine", 60)
    curve = gaussian_curve(measuring_levels(schedule, 50))
    terms = rate.loss_terms(curve, schedule, name)
    first = 1 if WEIGHTINGS[name].variance is None else 2  # L_0 takes the place of a KL divergence at t = 1
    assert np.isnan(terms.term[:first]).all() and np.isnan(terms.share[:first]).all()
    assert (np.diff(terms.share[first:]) > 0).all() and terms.share[-1] == pytest.approx(1)
    nats = WEIGHTINGS[name].weight(schedule)[first:] * curve.on(schedule)[first:]
    if WEIGHTINGS[name].variance is None:
        np.testing.assert_allclose(terms.term[first:], nats, rtol=1e-12)
    elif name == "posterior":
        np.testing.assert_allclose(terms.term[first:], nats / math.log(2), rtol=1e-12)
    np.testing.assert_allclose(np.diff(terms.share[first:]), terms.term[first + 1 :] / np.nansum(terms.term), rtol=1e-6)


def test_steps_that_were_not_measured_are_counted_and_left_out() -> None:
    schedule = make_schedule("linear", 100, beta_end=0.2)
    whole = gaussian_curve(schedule.alpha_bar[1:])
    part = gaussian_curve(schedule.alpha_bar[20:61])
    found, terms = rate.ledger(part, schedule, "posterior"), rate.loss_terms(whole, schedule, "posterior").term
    assert found.missing == 18 + 40
    assert found.L_mid == pytest.approx(np.nansum(terms[20:61]), rel=1e-3)
    assert math.isnan(found.L_0) and math.isnan(found.total)


def test_the_csv_has_what_is_drawn_and_gaps_where_nothing_is() -> None:
    schedule = make_schedule("linear", 40, beta_end=0.3)
    curve = gaussian_curve(schedule.alpha_bar[1:])
    rows = list(csv.DictReader(io.StringIO(rate.loss_csv(curve, schedule, {"known": curve}))))
    assert [int(row["t"]) for row in rows] == list(range(1, 41))
    assert rows[0]["L_posterior"] == "" and rows[0]["weight_posterior"] == ""
    terms = rate.loss_terms(curve, schedule, "between")
    for t in (2, 20, 40):
        row = {name: float(value) for name, value in rows[t - 1].items() if value}
        assert row["error"] == row["error_known"] == curve.on(schedule)[t]
        assert row["L_between"] == terms.term[t] and row["weight_between"] == terms.weight[t]
        assert row["distortion"] == rate.distortion(curve, schedule)[t]
        assert row["rate_beta"] == rate.rate(curve, schedule, "beta")[t]
