"""Errors as they are measured, kept and read off again."""

import json
import math
from typing import cast

import numpy as np
import pytest
import torch
from torch import Tensor

from diffusion import process
from diffusion.denoiser import ExactDenoiser
from diffusion.losses.curve import DECODER_POINTS, ErrorCurve
from diffusion.losses.likelihood import decoder_nll
from diffusion.losses.measure import bit_reversed, find_noise, measure_errors, measuring_levels
from diffusion.schedules.families import make_schedule
from diffusion.schedules.schedule import EXPONENTS, Schedule, Variance

SCHEDULES = [make_schedule("linear", 1000), make_schedule("cosine", 50), make_schedule("scaled_linear", 10)]
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: s.family)
every_variance = pytest.mark.parametrize("variance", EXPONENTS)


def curve_of(log_snr: np.ndarray, error: np.ndarray) -> ErrorCurve:
    nothing = np.full((len(error), DECODER_POINTS), np.nan)
    return ErrorCurve(log_snr, error, 0.01 * error, nothing, mean_square=0.3, dimensions=48)


def curve_on(schedule: Schedule, ts: list[int]) -> ErrorCurve:
    """A curve measured at steps ts, with errors that bend."""
    log_snr = schedule.log_snr[ts]
    return curve_of(log_snr, 0.01 + 0.9 / (1 + np.exp(-log_snr / 3)))


@every_schedule
def test_a_curve_is_exact_where_it_was_measured_and_absent_outside(schedule: Schedule) -> None:
    ts = sorted({2, 4, schedule.T // 2, schedule.T - 1})
    curve = curve_on(schedule, ts)
    error = curve.on(schedule)
    np.testing.assert_allclose(error[ts], curve.mean, rtol=1e-12)
    np.testing.assert_allclose(curve.standard_error_on(schedule)[ts], curve.standard_error, rtol=1e-12)
    assert np.isnan(error[[0, 1]]).all()
    assert np.isfinite(error[2 : schedule.T]).all()
    assert np.isnan(error[schedule.T]) or schedule.log_snr[schedule.T - 1] < -12


def test_between_levels_a_curve_that_bends_is_met_to_four_digits() -> None:
    """The error of the best denoiser of pixels from N(0, 0.5^2), known at 40 levels: 1 / (1 + 1 / (SNR 0.5^2))."""
    schedule = make_schedule("linear", 1000)
    log_snr = np.linspace(12, -12, 40)
    curve = curve_of(log_snr, 1 / (1 + 4 * np.exp(-log_snr)))
    np.testing.assert_allclose(curve.on(schedule)[1:], 1 / (1 + 4 * np.exp(-schedule.log_snr[1:])), rtol=5e-4)


def test_beyond_the_last_level_the_predicted_x_0_stays_as_it_is() -> None:
    schedule = make_schedule("cosine", 1000)
    assert schedule.log_snr[-1] < -15
    log_snr = np.linspace(12, -12, 40)
    error = curve_of(log_snr, 1 / (1 + 4 * np.exp(-log_snr))).on(schedule)
    of_x_0 = error * np.exp(-schedule.log_snr)
    np.testing.assert_allclose(of_x_0[schedule.log_snr < -12], 0.25, rtol=1e-4)


def test_a_curve_of_one_level_says_nothing_of_others() -> None:
    assert np.isnan(curve_of(np.array([0.0]), np.array([0.1])).on(make_schedule("linear", 10))).all()


@every_schedule
def test_a_curve_survives_json_and_still_reaches_both_ends(schedule: Schedule) -> None:
    images = torch.rand((3, 1, 4, 4), generator=torch.Generator().manual_seed(0)) * 2 - 1
    *_, curve = measure_errors(ExactDenoiser(images), images + 0.1, schedule.alpha_bar[1:])
    again = ErrorCurve.from_json(json.loads(json.dumps(curve.to_json())))
    assert again.dimensions == 16 and again.mean_square == curve.mean_square
    for name in ("mean", "standard_error", "decoder"):
        np.testing.assert_allclose(getattr(again, name), getattr(curve, name), rtol=1e-5)
    assert np.isfinite(again.on(schedule)[1:]).all()  # at t = 1 and T too


class Shifted:
    """Knows that every image is ``level`` everywhere, and is wrong by alpha_bar at each pixel, or by the label."""

    level = 0.25

    def __call__(self, x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
        offset = cast(float, alpha_bar) if label is None else label[:, None, None, None].float()
        return process.eps_from_x0(x_t, torch.full_like(x_t, self.level), alpha_bar) + offset


def test_measured_errors_are_those_the_denoiser_makes() -> None:
    images, levels = torch.full((5, 1, 4, 4), Shifted.level), np.array([0.9, 0.2, 0.5, 0.7, 0.05])
    curves = list(measure_errors(Shifted(), images, levels, noises=3, batch=4))
    assert [len(curve.mean) for curve in curves] == [1, 2, 3, 4, 5]
    for curve in curves:
        assert (np.diff(curve.log_snr) < 0).all()
        np.testing.assert_allclose(curve.mean, (1 / (1 + np.exp(-curve.log_snr))) ** 2, rtol=1e-4)
        np.testing.assert_allclose(curve.standard_error, 0, atol=1e-6)
    assert curves[-1].dimensions == 16
    assert curves[-1].mean_square == pytest.approx(Shifted.level**2)
    np.testing.assert_allclose(curves[-1].log_snr, np.sort(np.log(levels / (1 - levels)))[::-1], rtol=1e-12)


def test_the_standard_error_is_over_images_and_each_has_its_label() -> None:
    images, labels = torch.full((4, 1, 4, 4), Shifted.level), torch.tensor([0, 1, 2, 3])
    for noises in (1, 3):  # more noise on the same images is no more images
        *_, curve = measure_errors(Shifted(), images, [0.5], labels=labels, noises=noises, batch=3)
        assert curve.mean[0] == pytest.approx((0 + 1 + 4 + 9) / 4, rel=1e-4)
        assert curve.standard_error[0] == pytest.approx(np.std([0, 1, 4, 9], ddof=1) / 2, rel=1e-4)


def silent(x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
    """Finds nothing."""
    return torch.zeros_like(x_t)


@pytest.mark.parametrize(("images", "noises"), [(64, 1), (1, 64)])  # of one image, the error is that over its draws
def test_a_denoiser_that_finds_nothing_has_the_error_of_the_noise_itself(images: int, noises: int) -> None:
    *_, curve = measure_errors(silent, torch.zeros((images, 1, 16, 16)), [0.5], noises=noises, batch=7)
    n = 64 * 256
    assert abs(curve.mean[0] - 1) < 4 * math.sqrt(2 / n)  # of the mean of squared normals
    assert curve.standard_error[0] == pytest.approx(math.sqrt(2 / n), rel=0.3)


def test_the_same_seed_gives_the_same_noise_to_every_denoiser_and_level() -> None:
    images = torch.zeros((3, 1, 4, 4))
    first, again, other = (
        [curve.mean[0] for curve in measure_errors(silent, images, [0.9, 0.1], seed=seed)] for seed in (5, 5, 6)
    )
    assert first == again and first[0] == first[1]
    assert other != first


@every_variance
@pytest.mark.parametrize("family", ["linear", "cosine"])
def test_l_0_is_read_off_for_a_schedule_that_was_not_measured(family: str, variance: Variance) -> None:
    """Measured at levels of its own; then asked for x_1 of some schedule: as if computed there, pixel by pixel."""
    generator = torch.Generator().manual_seed(0)
    grey = (torch.rand((40, 1, 16, 16), generator=generator) * 400 - 70).round().clamp(0, 255)  # many black, many white
    images = grey / 127.5 - 1

    class Close:
        """Finds all but a tenth of the noise, and 2 % of the image."""

        def __call__(self, x_t: Tensor, alpha_bar: float | Tensor, label: Tensor | None = None) -> Tensor:
            a = cast(float, alpha_bar)
            x_0 = images.repeat(2, 1, 1, 1)
            found = process.eps_from_x0(x_t, x_0, a)
            return 0.9 * found + 0.02 * x_0 * a**0.5

    schedule = make_schedule(family, 300)
    levels = measuring_levels(make_schedule("cosine", 1000), 60, seed=1)
    *_, curve = measure_errors(Close(), images, levels, noises=2, batch=80, seed=3)
    a = float(schedule.alpha_bar[1])
    x_0 = images.repeat(2, 1, 1, 1)
    eps = torch.randn(x_0.shape, generator=torch.Generator().manual_seed(3))
    x_1 = process.q_sample(x_0, a, eps)
    mean = process.x0_from_eps(x_1, Close()(x_1, a), a)
    sigma = math.sqrt(schedule.decoder_variance(variance))
    expected = decoder_nll(x_0, mean, sigma).mean().item() / 256
    assert curve.decoder_on(schedule, variance) == pytest.approx(expected, abs=1e-4)


def test_l_0_is_not_a_number_where_it_was_not_measured() -> None:
    images = torch.zeros((2, 1, 4, 4))
    *_, curve = measure_errors(ExactDenoiser(images), images, measuring_levels(SCHEDULES[0], 20))
    assert math.isnan(curve.decoder_on(make_schedule("constant", 10, beta=0.5), "beta"))
    assert math.isnan(curve.decoder_on(make_schedule("linear", 1000, beta_start=1e-6), "beta"))
    rising = Schedule(np.array([0.0, 1e-2, 1e-5, 1e-5]))  # beta~_2 / beta_1 = 0.001
    assert math.isfinite(curve.decoder_on(rising, "beta")) and math.isnan(curve.decoder_on(rising, "posterior"))
    *_, without = measure_errors(ExactDenoiser(images), images, [0.9, 0.99999], decoder=False)
    assert math.isnan(without.decoder_on(SCHEDULES[0], "beta"))


@every_schedule
def test_levels_are_stratified_from_the_first_step_to_pure_noise(schedule: Schedule) -> None:
    levels = measuring_levels(schedule, 42, seed=7)
    log_snr = np.log(levels) - np.log1p(-levels)
    assert log_snr[0] == pytest.approx(min(schedule.log_snr[1], 12)) and log_snr[-1] == pytest.approx(-12)
    parts = np.linspace(log_snr[0], log_snr[-1], 41)
    for i in range(40):  # one in each
        assert parts[i + 1] <= log_snr[i + 1] <= parts[i]
    assert (measuring_levels(schedule, 42, seed=7) == levels).all()
    assert (measuring_levels(schedule, 42, seed=8) != levels).any()
    assert len(measuring_levels(schedule, 2)) == 2


@pytest.mark.parametrize("n", [1, 2, 3, 5, 8, 17, 1000])
def test_the_order_of_measuring_is_a_permutation_with_both_ends_first(n: int) -> None:
    order = bit_reversed(n)
    assert sorted(order) == list(range(n))
    assert order[0] == 0 and order[min(1, n - 1)] == n - 1


@pytest.mark.parametrize("n", [65, 200, 1000])
def test_an_early_stop_leaves_no_wide_gap(n: int) -> None:
    for visited in (17, 33, 65):
        assert np.diff(sorted(bit_reversed(n)[:visited])).max() <= 4 * n / visited


def test_noise_is_found_as_if_each_level_were_asked_alone() -> None:
    images = torch.rand((6, 1, 4, 4), generator=torch.Generator().manual_seed(0)) * 2 - 1
    exact, eps = ExactDenoiser(images, torch.tensor([0, 0, 0, 1, 1, 1])), torch.randn((1, 4, 4))
    levels = np.array([0.999, 0.5, 0.01, 1e-5])
    found = find_noise(exact, images[4], eps, levels, label=torch.tensor(1), batch=3)
    for level, one in zip(levels, found, strict=True):
        alone = exact(process.q_sample(images[4:5], level, eps[None]).float(), float(level), torch.tensor([1]))
        torch.testing.assert_close(one[None], alone, rtol=1e-4, atol=1e-4)
