"""Mixtures against Bayes' rule, numerical derivatives and integrals, and against the exact denoiser of points."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from diffusion import process
from diffusion.denoiser import ExactDenoiser
from diffusion.mixture import Mixture, MixtureDenoiser, kl_to_gaussian
from diffusion.schedules.families import make_schedule


def points(*rows: tuple[float, float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)[:, :, None, None]


THREE = Mixture(points((-0.7, 0.2), (0.5, 0.6), (0.1, -0.8)), 0.15, torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64))
LEVELS = [0.999, 0.6, 0.1, 1e-4]


def grid(across: int, reach: float) -> tuple[Tensor, float]:
    """Points of a square around 0, and the area of each."""
    side = torch.linspace(-reach, reach, across).double()
    return torch.cartesian_prod(side, side)[:, :, None, None], float(side[1] - side[0]) ** 2


@pytest.mark.parametrize("alpha_bar", LEVELS)
def test_density_integrates_to_one_and_has_the_moments(alpha_bar: float) -> None:
    p_t = THREE.noised(alpha_bar)
    x, area = grid(401, 5)
    p = p_t.log_density(x).exp() * area
    assert float(p.sum()) == pytest.approx(1, abs=1e-5)
    mean, variance = p_t.moments()
    found = (p[:, None, None, None] * x).sum(0)
    torch.testing.assert_close(found, mean, atol=1e-5, rtol=0)
    torch.testing.assert_close((p[:, None, None, None] * (x - found).square()).sum(0), variance, atol=1e-5, rtol=0)


@pytest.mark.parametrize("alpha_bar", LEVELS)
def test_score_is_the_gradient_of_the_logarithm(alpha_bar: float) -> None:
    p_t = THREE.noised(alpha_bar)
    x = torch.randn(50, 2, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(p_t.log_density(x).sum(), x)
    torch.testing.assert_close(p_t.score(x.detach()), gradient, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("alpha_bar", LEVELS)
def test_the_denoiser_follows_the_score(alpha_bar: float) -> None:
    """eps = -sqrt(1 - alpha_bar_t) grad ln p_t (Song et al. 2021, arXiv 2011.13456, and Tweedie's formula)."""
    x = torch.randn(50, 2, 1, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    eps = MixtureDenoiser(THREE)(x, alpha_bar)
    torch.testing.assert_close(eps, -((1 - alpha_bar) ** 0.5) * THREE.noised(alpha_bar).score(x), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("alpha_bar", LEVELS)
def test_of_one_gaussian_the_mean_is_linear(alpha_bar: float) -> None:
    one = Mixture(points((0.3, -0.4)), 0.5)
    x = torch.randn(9, 2, 1, 1, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    gain = alpha_bar**0.5 * 0.25 / (alpha_bar * 0.25 + 1 - alpha_bar)
    expected = one.centres + gain * (x - alpha_bar**0.5 * one.centres)
    torch.testing.assert_close(MixtureDenoiser(one).mean(x, alpha_bar), expected)


@pytest.mark.parametrize("shape", [(2, 1, 1), (3, 4, 4)])
@pytest.mark.parametrize("label", [None, 0, 1, 2])
def test_without_a_deviation_it_is_the_exact_denoiser(shape: tuple[int, int, int], label: int | None) -> None:
    generator = torch.Generator().manual_seed(3)
    images = torch.rand(20, *shape, generator=generator) * 2 - 1
    x_t = torch.randn(7, *shape, generator=generator)
    classes = torch.arange(20) % 2
    asked = None if label is None else torch.full((7,), label)
    levels = torch.tensor([0.9, 0.5, 0.5, 0.1, 0.01, 0.9, 0.3], dtype=torch.float64)
    for level in (0.5, levels):
        ours = MixtureDenoiser(Mixture(images), classes)(x_t, level, asked)
        torch.testing.assert_close(ours, ExactDenoiser(images, classes)(x_t, level, asked), rtol=1e-4, atol=1e-4)


def test_a_label_that_says_nothing_is_of_all() -> None:
    denoiser = MixtureDenoiser(THREE, torch.tensor([0, 1, 1]))
    x = points((0.2, 0.1), (-0.5, 0.3))
    assert denoiser.empty == (2,) and MixtureDenoiser(THREE).empty == ()
    torch.testing.assert_close(denoiser(x, 0.5, torch.tensor([2, 2])), denoiser(x, 0.5))
    alone = MixtureDenoiser(Mixture(THREE.centres[1:], THREE.std, torch.tensor([0.75, 0.25]).double()))
    torch.testing.assert_close(denoiser(x, 0.5, torch.tensor([1, 1])), alone(x, 0.5))


@pytest.mark.parametrize(("t", "s"), [(1, 0), (2, 1), (50, 49), (50, 10), (100, 99), (100, 1)])
@pytest.mark.parametrize("std", [0.15, 0.0])
def test_the_way_back_is_bayes_rule(std: float, t: int, s: int) -> None:
    """q(x_s | x_t) ~ q(x_t | x_s) q(x_s), wherever x_s has a density."""
    schedule = make_schedule("linear", 100)
    a_t, a_s = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[s])
    data = Mixture(THREE.centres, std, THREE.weights)
    x_t = points((0.1, 0.3))
    found = data.reverse(x_t, a_t, a_s)
    assert float(found.weights.sum()) == pytest.approx(1) if found.weights is not None else False
    if found.std == 0:  # the points themselves, by how likely each is
        torch.testing.assert_close(found.centres, data.centres)
        torch.testing.assert_close(found.weights, data.noised(a_t).shares(x_t)[0])
        return
    here = found.draw(40, torch.Generator().manual_seed(4))[0].double()
    step = Mixture((a_t / a_s) ** -0.5 * x_t, ((1 - a_t / a_s) / (a_t / a_s)) ** 0.5)  # q(x_t | x_s), seen from x_s
    joint = data.noised(a_s).log_density(here) + step.log_density(here)
    ratio = found.log_density(here) - joint
    assert float(ratio.std()) < 1e-6 * max(1.0, float(ratio.abs().max()))


def test_the_way_back_has_the_mean_of_the_posterior() -> None:
    """Its mean is that of q(x_s | x_t, x_0) with E[x_0 | x_t] in place of x_0 (eq. 7 is linear in x_0)."""
    x_t = points((-0.2, 0.4))
    x_0 = MixtureDenoiser(THREE).mean(x_t, 0.3)
    expected = process.posterior_mean(x_0, x_t, 0.3, 0.7)
    torch.testing.assert_close(THREE.reverse(x_t, 0.3, 0.7).moments()[0][None], expected)


def test_the_distance_of_gaussians_is_the_closed_one() -> None:
    a, b = Mixture(points((0.3, -0.2)), 0.4), points((0.1, 0.5))[0]
    for std in (0.2, 0.4, 1.5):
        expected = 2 * math.log(std / 0.4) + (0.2**2 + 0.7**2 + 2 * 0.4**2) / (2 * std**2) - 1
        assert kl_to_gaussian(a, b, std) == pytest.approx(expected, abs=1e-9)
    assert kl_to_gaussian(a, a.centres[0], a.std) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("std", [0.05, 0.15, 0.6])
def test_the_distance_of_a_mixture_is_its_integral(std: float) -> None:
    mixture = Mixture(THREE.centres, std, THREE.weights)
    mean, variance = mixture.moments()
    wide = float(variance.mean()) ** 0.5
    x, area = grid(801, 4)
    p = mixture.log_density(x)
    expected = float((p.exp() * (p - Mixture(mean[None], wide).log_density(x))).sum() * area)
    assert kl_to_gaussian(mixture, mean, wide, nodes=9) == pytest.approx(expected, rel=5e-3, abs=1e-4)


def test_the_distance_of_many_components_is_taken_over_some() -> None:
    angle = torch.linspace(0, 2 * math.pi, 1001).double()[:-1]
    ring = Mixture(torch.stack([angle.cos(), angle.sin()], 1)[:, :, None, None], 0.1)
    mean, variance = ring.moments()
    wide = float(variance.mean()) ** 0.5
    every = kl_to_gaussian(ring, mean, wide, most=1000)
    assert kl_to_gaussian(ring, mean, wide) == pytest.approx(every, rel=1e-3) and every > 0.5


def test_small_steps_are_gaussian_and_large_ones_are_not() -> None:
    """On which DDPM rests (Feller 1949; Sohl-Dickstein et al. 2015): with small beta the way back is a Gaussian."""
    distances = []
    for T in (10, 100, 1000):
        schedule = make_schedule("cosine", T)
        t = T // 2
        a_t, a_s = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[t - 1])
        x_t = points((0.1, 0.1))
        back = THREE.reverse(x_t, a_t, a_s)
        mean, variance = back.moments()
        distances.append(kl_to_gaussian(back, mean, float(variance.mean()) ** 0.5))
    assert distances[0] > 10 * distances[1] > 100 * distances[2] >= 0


def test_what_has_no_distance_is_refused() -> None:
    flat = Mixture(points((0.0, 0.0)))
    for mixture, std in ((flat, 1.0), (THREE, 0.0), (Mixture(torch.zeros(1, 3, 1, 1), 1.0), 1.0)):
        with pytest.raises(ValueError, match="points of the plane"):
            kl_to_gaussian(mixture, torch.zeros(2, 1, 1), std)


def test_samples_are_of_their_components() -> None:
    x, which = THREE.draw(20_000, torch.Generator().manual_seed(5))
    assert (which.bincount() / 20_000).tolist() == pytest.approx([0.6, 0.3, 0.1], abs=0.02)
    assert float((x - THREE.centres[which]).std()) == pytest.approx(0.15, rel=0.02)
