"""Weights against the papers' own definitions, which weigh errors of x_0, of v or of eps."""

import numpy as np
import pytest

from diffusion.losses.weightings import WEIGHTINGS, loss_weight
from diffusion.schedules.families import make_schedule

SCHEDULE = make_schedule("linear", 100, keep_shape_of=1000)
SNR = SCHEDULE.alpha_bar[1:] / (1 - SCHEDULE.alpha_bar[1:])


@pytest.mark.parametrize(
    ("name", "of_x_0"),
    [
        ("simple", SNR),
        ("min_snr", np.minimum(SNR, 5)),
        ("truncated_snr", np.maximum(SNR, 1)),
        ("snr_plus_1", SNR + 1),
        ("p2", SNR / (1 + SNR)),  # lambda_t / (k + SNR)^gamma with the lambda_t of L_simple
    ],
)
def test_weights_are_those_of_the_papers(name: str, of_x_0: np.ndarray) -> None:
    """|x_0 - x_0-hat|^2 = |eps - eps_theta|^2 / SNR: the same loss, whichever error it is written in."""
    weight = WEIGHTINGS[name].weight(SCHEDULE)
    assert np.isnan(weight[0])
    np.testing.assert_allclose(weight[1:] * SNR, of_x_0, rtol=1e-9)


@pytest.mark.parametrize("variance", ["beta", "between", "posterior"])
def test_the_weights_of_the_bound_are_among_them(variance: str) -> None:
    weighting = WEIGHTINGS[variance]
    assert weighting.variance == variance
    np.testing.assert_array_equal(weighting.weight(SCHEDULE), loss_weight(SCHEDULE, weighting.variance))


def test_the_bound_weighs_the_error_of_x_0_by_the_snr_that_a_step_takes() -> None:
    """L_{t-1} = (SNR(t-1) - SNR(t)) |x_0 - x_0-hat|^2 / 2 for sigma^2 = beta~ (Kingma et al. 2021, section 4)."""
    snr = np.exp(SCHEDULE.log_snr)
    weight = WEIGHTINGS["posterior"].weight(SCHEDULE)
    np.testing.assert_allclose(weight[2:] * snr[2:], (snr[1:-1] - snr[2:]) / 2, rtol=1e-8)
