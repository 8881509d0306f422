"""The bound of continuous data, whose last term is a density: on Gaussian data its oracle is the entropy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion.data.points import patterns
from diffusion.denoiser import Denoiser
from diffusion.losses.curve import DECODER_POINTS, ErrorCurve
from diffusion.losses.likelihood import bits_per_dim, bound, decoder_nll, density_nll
from diffusion.losses.measure import measure_errors
from diffusion.losses.on_mixtures import measure_on_mixture
from diffusion.losses.rate import ledger
from diffusion.mixture import Mixture, MixtureDenoiser
from diffusion.schedules.families import make_schedule
from diffusion.schedules.schedule import EXPONENTS, Variance

LEVELS = np.linspace(14, -12, 53)
ALPHA_BARS = 1 / (1 + np.exp(-LEVELS))
STDS = [1.0, 0.5, 0.1]
COUNTS = (4, 20, 100, 1000)


def gaussian_bits(std: float) -> float:
    """Entropy of N(mu, std^2), bits a dimension."""
    return math.log2(2 * math.pi * math.e * std**2) / 2


def exact_curve(std: float) -> ErrorCurve:
    """Of N(0, std^2 I) in the plane with its exact denoiser, in closed form: the variance of eps given x_t."""
    error = ALPHA_BARS * std**2 / (ALPHA_BARS * std**2 + 1 - ALPHA_BARS)
    unknown = np.full((len(LEVELS), DECODER_POINTS), np.nan)
    return ErrorCurve(LEVELS, error, np.zeros_like(error), unknown, std**2, 2)


@dataclass(frozen=True)
class Shifted:
    """A denoiser that is wrong by as much everywhere."""

    denoiser: Denoiser
    by: float

    def __call__(self, x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        return self.denoiser(x_t, alpha_bar, label) + self.by


@pytest.mark.parametrize("family", ["linear", "cosine"])
@pytest.mark.parametrize("std", STDS)
def test_with_many_steps_the_bound_is_the_entropy_and_with_few_it_is_above(std: float, family: str) -> None:
    curve, entropy = exact_curve(std), gaussian_bits(std)
    gaps = {}
    for variance in EXPONENTS:
        made = [ledger(curve, make_schedule(family, T), variance, continuous=True) for T in COUNTS]
        gaps[variance] = [found.total - entropy for found in made]
        assert all(gap > -1e-4 for gap in gaps[variance]), variance  # never below, but for rounding in the curve
    assert gaps["beta"][-1] < 0.03
    if std < 1:  # of N(0, I) every step of variance beta is right, however long it is
        assert all(gaps["beta"][k] > 1.5 * gaps["beta"][k + 1] > 0 for k in range(len(COUNTS) - 1))
    # The first steps always look like single points of data: with beta-tilde there something stays.
    assert gaps["posterior"][-1] > 0.5


@pytest.mark.parametrize("variance", EXPONENTS)
def test_measured_and_term_by_term_it_is_the_same(variance: Variance) -> None:
    """Against the bound itself with its density, by all T steps, with which chance has more to do."""
    mixture = Mixture(torch.tensor([[0.2, -0.4], [-0.5, 0.1]]).view(2, 2, 1, 1), 0.3)
    x_0, _ = mixture.draw(10_000, torch.Generator().manual_seed(0))
    schedule, denoiser = make_schedule("linear", 60), Shifted(MixtureDenoiser(mixture), 0.2)
    *_, curves = measure_on_mixture({"shifted": denoiser}, mixture, ALPHA_BARS, draws=4000)
    found = ledger(curves["shifted"], schedule, variance, continuous=True)
    terms = bound(denoiser, x_0, schedule, variance=variance, decoder=density_nll)
    for name in ("L_T", "L_mid", "L_0"):
        values = bits_per_dim(terms[name].numpy(), 2)
        error = 4 * values.std() / math.sqrt(len(values)) + 0.01 * abs(values.mean())
        assert getattr(found, name) == pytest.approx(values.mean(), abs=error), name


def test_the_error_of_a_gaussian_is_known_without_chance() -> None:
    mixture = Mixture(torch.tensor([0.2, -0.4]).view(1, 2, 1, 1), 0.5)
    *_, curves = measure_on_mixture({"exact": MixtureDenoiser(mixture)}, mixture, ALPHA_BARS, draws=10)
    np.testing.assert_allclose(curves["exact"].mean, exact_curve(0.5).mean, rtol=1e-3, atol=1e-9)
    assert curves["exact"].mean_square == pytest.approx(0.25 + (0.04 + 0.16) / 2)


def test_the_error_is_that_of_all_draws_of_noise() -> None:
    """``measure_errors`` knows nothing of the data, and finds the same within its chance."""
    mixture, levels = patterns()["clusters"].mixture(), ALPHA_BARS[::10]
    x_0, _ = mixture.draw(20_000, torch.Generator().manual_seed(3))
    for denoiser in (MixtureDenoiser(mixture), MixtureDenoiser(Mixture(x_0[:50]))):
        *_, curves = measure_on_mixture({"": denoiser}, mixture, levels, draws=20_000)
        *_, plain = measure_errors(denoiser, x_0, levels, batch=20_000, decoder=False)
        chance = 5 * np.hypot(curves[""].standard_error, plain.standard_error)
        assert (np.abs(curves[""].mean - plain.mean) < chance + 1e-4 * plain.mean).all()
        assert curves[""].mean_square == pytest.approx(plain.mean_square, rel=0.03)


def test_of_points_that_are_far_apart_nothing_is_left_to_tell() -> None:
    """What is left of x_0 is a choice among points, none of which comes near x_t but one."""
    denoiser = MixtureDenoiser(Mixture(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]).view(2, 2, 1, 1).double()))
    x_t = torch.tensor([[0.9, 0.1], [0.0, 0.3]]).view(2, 2, 1, 1).double()
    near, between = denoiser.variance(x_t, 0.999).tolist()
    assert near < 1e-12 and between == pytest.approx(1)  # as likely one as the other, 1 from their middle


def test_of_a_pattern_it_is_never_below_the_entropy_and_far_above_by_what_knows_the_points_by_heart() -> None:
    moons = patterns()["moons"]
    x_0, _ = moons.draw(50_000, 5)
    given, _ = moons.draw(200, 0)
    own = -moons.mixture().log_density(x_0).double() / (2 * math.log(2))
    entropy = float(own.mean())
    denoisers = {"distribution": MixtureDenoiser(moons.mixture()), "points": MixtureDenoiser(Mixture(given))}
    *_, curves = measure_on_mixture(denoisers, moons.mixture(), ALPHA_BARS, draws=2000)
    totals = {
        name: [ledger(curve, make_schedule("cosine", T), "beta", continuous=True).total for T in COUNTS]
        for name, curve in curves.items()
    }
    sure = ledger(curves["distribution"], make_schedule("cosine", 1000), "beta").standard_error
    assert min(totals["distribution"]) > entropy - sure
    assert totals["distribution"] == sorted(totals["distribution"], reverse=True)
    assert totals["distribution"][-1] == pytest.approx(entropy, abs=0.1)
    assert totals["points"][-1] > totals["distribution"][-1] + 1


@pytest.mark.parametrize("sigma", [0.05, 0.4])
def test_a_density_is_a_bin_s_share_over_its_width(sigma: float) -> None:
    x_0 = torch.linspace(-0.5, 0.5, 7).view(-1, 1, 1, 1)
    mean = x_0 + torch.linspace(-1, 1, 7).view(-1, 1, 1, 1) * sigma
    binned = decoder_nll(x_0, mean, sigma) + math.log(2 / 255)
    torch.testing.assert_close(density_nll(x_0, mean, sigma), binned, atol=3e-3, rtol=0)


def test_the_density_follows_from_the_error_of_the_first_step() -> None:
    curve, schedule = exact_curve(0.5), make_schedule("linear", 1000)
    generator = torch.Generator().manual_seed(0)
    x_0 = 0.5 * torch.randn((20_000, 2, 1, 1), generator=generator)
    a, sigma = float(schedule.alpha_bar[1]), math.sqrt(schedule.decoder_variance("between"))
    x_1 = a**0.5 * x_0 + (1 - a) ** 0.5 * torch.randn(x_0.shape, generator=generator)
    mean = x_1 * a**0.5 * 0.25 / (a * 0.25 + 1 - a)
    expected = float(density_nll(x_0, mean, sigma).mean()) / 2
    assert curve.density_on(schedule, "between") == pytest.approx(expected, abs=0.02)
