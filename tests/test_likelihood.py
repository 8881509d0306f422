"""The bound's terms against KL divergences and cumulative distributions computed elsewhere."""

import math
from typing import cast

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from diffusion.losses import likelihood, weightings
from diffusion.schedules.families import make_schedule
from diffusion.schedules.schedule import Schedule, Variance

SCHEDULES = [make_schedule("linear", 1000), make_schedule("cosine", 50), make_schedule("scaled_linear", 10)]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.family)
VARIANCES: list[Variance] = ["beta", "between", "posterior"]
every_variance = pytest.mark.parametrize("variance", VARIANCES)
GREYS = torch.arange(256, dtype=torch.float64) / 127.5 - 1


@pytest.mark.parametrize(("t", "weight"), [(1, 0.5000), (100, 0.0101), (500, 0.0055), (1000, 0.0102)])
def test_the_paper_s_schedule_has_the_target_weights(t: int, weight: float) -> None:
    assert weightings.loss_weight(make_schedule("linear", 1000), "beta")[t] == pytest.approx(weight, abs=6e-5)


def sigma2_of(variance: Variance, beta: float, beta_tilde: float) -> float:
    return {"beta": beta, "posterior": beta_tilde, "between": math.sqrt(beta * beta_tilde)}[variance]


def kl_of_step(schedule: Schedule, t: int, variance: Variance, x_0: float, found: float, x_t: float) -> float:
    """KL(q(x_{t-1} | x_t, x_0) || p(x_{t-1} | x_t)) when the network finds another x_0, from eq. 7 as it stands."""
    abar_t, abar_s, beta = schedule.alpha_bar[t], schedule.alpha_bar[t - 1], schedule.beta[t]
    c_t, c_0 = math.sqrt(1 - beta) * (1 - abar_s) / (1 - abar_t), math.sqrt(abar_s) * beta / (1 - abar_t)
    beta_tilde = (1 - abar_s) / (1 - abar_t) * beta
    sigma2 = sigma2_of(variance, beta, beta_tilde)
    q = Normal(torch.tensor(c_t * x_t + c_0 * x_0, dtype=torch.float64), math.sqrt(beta_tilde))
    p = Normal(torch.tensor(c_t * x_t + c_0 * found, dtype=torch.float64), math.sqrt(sigma2))
    return float(kl_divergence(q, p))


@every_schedule
@every_variance
def test_weighted_error_and_extra_are_the_kl_of_two_gaussians(schedule: Schedule, variance: Variance) -> None:
    weight, extra = weightings.loss_weight(schedule, variance), weightings.kl_extra(schedule, variance)
    for t in {2, 3, schedule.T // 2, schedule.T}:
        abar = schedule.alpha_bar[t]
        x_0, eps, found_eps = 0.4, -0.7, 0.1
        x_t = math.sqrt(abar) * x_0 + math.sqrt(1 - abar) * eps
        found = (x_t - math.sqrt(1 - abar) * found_eps) / math.sqrt(abar)
        expected = kl_of_step(schedule, t, variance, x_0, found, x_t)
        assert weight[t] * (eps - found_eps) ** 2 + extra[t] == pytest.approx(expected, rel=1e-6)


@every_schedule
def test_the_posterior_variance_adds_nothing_and_others_the_more_the_wider(schedule: Schedule) -> None:
    assert (weightings.kl_extra(schedule, "posterior")[2:] == 0).all()
    beta, between = (weightings.kl_extra(schedule, variance)[2:] for variance in ("beta", "between"))
    assert (beta > between).all() and (between > 0).all()


@every_schedule
@every_variance
def test_terms_that_do_not_exist_are_not_numbers(schedule: Schedule, variance: Variance) -> None:
    weight, extra = weightings.loss_weight(schedule, variance), weightings.kl_extra(schedule, variance)
    assert weight.shape == extra.shape == (schedule.T + 1,)
    assert np.isnan(weight[0]) and np.isnan(extra[:2]).all() and np.isfinite(extra[2:]).all()
    assert np.isinf(weight[1]) == (variance != "beta") and np.isfinite(weight[2:]).all()


@every_schedule
def test_prior_kl_is_that_of_torch(schedule: Schedule) -> None:
    x_0 = torch.rand((3, 2, 4, 4), generator=torch.Generator().manual_seed(0)) * 2 - 1
    abar = float(schedule.alpha_bar[-1])
    q = Normal(abar**0.5 * x_0.double(), math.sqrt(1 - abar))
    expected = kl_divergence(q, Normal(torch.zeros(1, dtype=torch.float64), 1.0)).sum((1, 2, 3))
    torch.testing.assert_close(likelihood.prior_kl(x_0, schedule), expected, rtol=1e-9, atol=1e-12)


def nll_of_greys(mean: float, sigma: float) -> Tensor:
    """-log p of each of the 256 grey levels, one image of one pixel each."""
    return likelihood.decoder_nll(GREYS.reshape(256, 1, 1, 1), torch.full((256, 1, 1, 1), mean), sigma)


@pytest.mark.parametrize("mean", [-3.0, -1.0, -0.5, 0.0, 0.123, 0.999, 1.0, 2.5])
@pytest.mark.parametrize("sigma", [0.001, 0.01, 0.1, 1.0])
def test_decoder_probabilities_of_all_greys_sum_to_one(mean: float, sigma: float) -> None:
    assert (-nll_of_greys(mean, sigma)).exp().sum().item() == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("mean", [-1.0, -0.5, 0.0, 0.123, 1.0])
@pytest.mark.parametrize("sigma", [0.05, 0.3, 1.0])
def test_decoder_probabilities_are_differences_of_the_normal_cdf(mean: float, sigma: float) -> None:
    edges = np.concatenate(([-np.inf], (np.arange(1, 256) - 0.5) / 127.5 - 1, [np.inf]))
    expected = np.diff(stats.norm.cdf(edges, np.float32(mean), sigma))
    np.testing.assert_allclose((-nll_of_greys(mean, sigma)).exp().numpy(), expected, rtol=1e-6, atol=1e-14)


@pytest.mark.parametrize(("mean", "sigma"), [(-1.0, 0.001), (1.0, 0.001), (0.25, 0.01), (50.0, 0.01), (-2.0, 1e-4)])
def test_decoder_is_exact_in_the_far_tails(mean: float, sigma: float) -> None:
    """Where probabilities are far below the smallest float, against arithmetic of 60 digits."""
    found = nll_of_greys(mean, sigma).numpy()
    assert np.isfinite(found).all()
    for k in (0, 1, 128, 254, 255):
        with mpmath.workdps(60):
            x, half = mpmath.mpf(float(GREYS[k])), mpmath.mpf(1) / 255
            low = mpmath.inf if k == 0 else (mean - x + half) / sigma  # of the mirrored tail, where nothing cancels
            high = -mpmath.inf if k == 255 else (mean - x - half) / sigma
            if high < 0:
                low, high = -high, -low

            def tail(z: mpmath.mpf) -> mpmath.mpf:
                return mpmath.erfc(z / mpmath.sqrt(2)) / 2

            expected = float(-mpmath.log(tail(high) - tail(low)))
        assert found[k] == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_decoder_sums_over_the_pixels_of_an_image() -> None:
    x_0 = GREYS[torch.tensor([[0, 7, 128, 255], [3, 3, 200, 90]])].reshape(2, 1, 2, 2)
    mean = x_0 + 0.01
    each = likelihood.decoder_nll(x_0.reshape(8, 1, 1, 1), mean.reshape(8, 1, 1, 1), 0.02)
    torch.testing.assert_close(likelihood.decoder_nll(x_0, mean, 0.02), each.reshape(2, 4).sum(1))


def test_bits_per_dim_of_a_fair_byte_is_eight() -> None:
    assert likelihood.bits_per_dim(12 * math.log(256), 12) == pytest.approx(8)


MEAN, STD = 0.1, 0.4


def exact(x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
    """The exact denoiser of pixels from N(MEAN, STD^2)."""
    a = cast(float, alpha_bar)
    return (1 - a) ** 0.5 * (x_t - a**0.5 * MEAN) / (a * STD**2 + 1 - a)


def gaussian_images(n: int, side: int) -> Tensor:
    """Pixels from N(MEAN, STD^2), rounded to the 256 greys."""
    x = torch.randn((n, 1, side, side), generator=torch.Generator().manual_seed(11)) * STD + MEAN
    return ((x + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1


@every_variance
def test_the_bound_on_gaussian_data_is_the_sum_of_its_kl_divergences(variance: Variance) -> None:
    """The same terms with noise of their own: every KL by torch, x_0 regressed on x_t, the decoder by scipy."""
    schedule, images = make_schedule("linear", 40, beta_end=0.3), gaussian_images(16, 64)
    found = likelihood.bound(exact, images, schedule, variance=variance, seed=0)
    assert all(term.shape == (16,) for term in found.values())

    x_0, generator = images.double(), torch.Generator().manual_seed(999)
    middle = torch.zeros(16, dtype=torch.float64)
    for t in range(2, schedule.T + 1):
        abar_t, abar_s, beta = schedule.alpha_bar[t], schedule.alpha_bar[t - 1], schedule.beta[t]
        eps = torch.randn(x_0.shape, generator=generator, dtype=torch.float64)
        x_t = math.sqrt(abar_t) * x_0 + math.sqrt(1 - abar_t) * eps
        gain = math.sqrt(abar_t) * STD**2 / (abar_t * STD**2 + 1 - abar_t)
        predicted = MEAN + gain * (x_t - math.sqrt(abar_t) * MEAN)
        c_t, c_0 = math.sqrt(1 - beta) * (1 - abar_s) / (1 - abar_t), math.sqrt(abar_s) * beta / (1 - abar_t)
        beta_tilde = (1 - abar_s) / (1 - abar_t) * beta
        q = Normal(c_t * x_t + c_0 * x_0, math.sqrt(beta_tilde))
        p = Normal(c_t * x_t + c_0 * predicted, math.sqrt(sigma2_of(variance, beta, beta_tilde)))
        middle += kl_divergence(q, p).sum((1, 2, 3))
    # Two independent estimates for each of 16 images: the mean of the differences is zero within four standard errors.
    difference = found["L_mid"] - middle
    assert abs(difference.mean()) < 4 * difference.std() / 4
    assert difference.std() < 0.05 * middle.mean()

    abar = schedule.alpha_bar[1]
    eps = torch.randn(x_0.shape, generator=generator, dtype=torch.float64)
    x_1 = math.sqrt(abar) * x_0 + math.sqrt(1 - abar) * eps
    predicted = MEAN + math.sqrt(abar) * STD**2 / (abar * STD**2 + 1 - abar) * (x_1 - math.sqrt(abar) * MEAN)
    beta_tilde_2 = (1 - abar) / (1 - schedule.alpha_bar[2]) * schedule.beta[2]
    beta_1 = schedule.beta[1]
    sigma = math.sqrt(
        {"beta": beta_1, "posterior": beta_tilde_2, "between": math.sqrt(beta_1 * beta_tilde_2)}[variance]
    )
    upper = np.where(x_0 > 0.999, np.inf, (x_0 + 1 / 255 - predicted) / sigma)
    lower = np.where(x_0 < -0.999, -np.inf, (x_0 - 1 / 255 - predicted) / sigma)
    left, right = stats.norm.cdf(upper) - stats.norm.cdf(lower), stats.norm.sf(lower) - stats.norm.sf(upper)
    probability = np.where(lower > 0, right, left)  # from the side where nothing cancels
    difference = found["L_0"].numpy() - -np.log(probability).sum((1, 2, 3))
    assert abs(difference.mean()) < 4 * difference.std() / 4

    torch.testing.assert_close(found["L_T"], likelihood.prior_kl(images, schedule))


def test_the_bound_is_above_the_true_code_length_and_with_beta_near_it() -> None:
    schedule, images = make_schedule("linear", 200, beta_end=0.1), gaussian_images(16, 32)
    edges = np.concatenate(([-np.inf], (np.arange(1, 256) - 0.5) / 127.5 - 1, [np.inf]))
    greys = ((images + 1) * 127.5).round().long().numpy()
    true = -np.log(np.diff(stats.norm.cdf(edges, MEAN, STD)))[greys].sum()
    gaps = {}
    for variance in VARIANCES:
        total = sum(term.sum().item() for term in likelihood.bound(exact, images, schedule, variance=variance).values())
        gaps[variance] = likelihood.bits_per_dim(total - true, images.numel())
    assert 0 < gaps["beta"] < 0.15
    assert gaps["posterior"] > gaps["beta"]  # too narrow for data this wide: section 3.2
    assert gaps["between"] > 0
