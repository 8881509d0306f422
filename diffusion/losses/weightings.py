"""Weights of the squared error: by which the losses of diffusion models differ, and nothing else.

All weigh |eps - eps_theta|^2, whatever a network predicts. With SNR = alpha_bar / (1 - alpha_bar), an error of eps is
SNR times that of x_0, so that a weight of the error of x_0 is divided by SNR to become one of the error of eps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from diffusion.process import Prediction
from diffusion.schedules.schedule import Array, Schedule, Variance

if TYPE_CHECKING:  # torch takes seconds to import, and plain arithmetic does not need it
    from torch import Tensor

X = TypeVar("X", "Tensor", np.ndarray)
GAMMA = 5.0  # of min-SNR, the paper's own choice


def min_snr_weight(alpha_bar: X, prediction: Prediction, gamma: float = GAMMA) -> X:
    """Weight of the squared error of a prediction that weighs the error of x_0 by min(SNR, gamma), like alpha_bar.

    An error of eps is SNR times that of x_0, one of v (SNR + 1) times
    (Hang et al. 2023, arXiv 2303.09556, section 3.4).
    """
    snr = alpha_bar / (1 - alpha_bar)
    return snr.clip(max=gamma) / {"eps": snr, "v": snr + 1, "x0": snr**0}[prediction]


@dataclass(frozen=True)
class Weighting:
    """A loss: its name, the weight of |eps - eps_theta|^2 at each step, a formula (KaTeX) and where it is from.

    Args:
        of_snr: the weight at SNR = alpha_bar / (1 - alpha_bar).
        variance: of the losses that are KL divergences; their weight is ``loss_weight``, and they have a constant too.
    """

    title: str
    formula: str
    source: str
    of_snr: Callable[[Array], Array] | None = None
    variance: Variance | None = None

    def weight(self, schedule: Schedule) -> Array:
        """(T+1,); nan at t = 0. That of a KL divergence is infinite at t = 1 unless sigma^2 = beta."""
        if self.variance is not None:
            return loss_weight(schedule, self.variance)
        assert self.of_snr is not None  # a weighting is one or the other
        return np.concatenate(([np.nan], self.of_snr(np.exp(schedule.log_snr[1:]))))


_KL = r"w_t = \frac{\beta_t^2}{2\,\sigma_t^2\,\alpha_t\,(1-\bar\alpha_t)},\ \sigma_t^2 = "
WEIGHTINGS: dict[str, Weighting] = {
    "simple": Weighting(
        "L_simple", r"w_t = 1\;\;(\mathrm{SNR}\text{ on the error of }x_0)", "Ho et al. 2020, eq. 14", np.ones_like
    ),
    "beta": Weighting("KL, σ² = β", _KL + r"\beta_t", "Ho et al. 2020, eq. 12", variance="beta"),
    "between": Weighting(
        "KL, σ² = √(β β̃)",
        _KL + r"\sqrt{\beta_t\tilde\beta_t}",
        "Ho et al. 2020, eq. 12; Nichol & Dhariwal 2021, eq. 15 with v = 1/2",
        variance="between",
    ),
    "posterior": Weighting("KL, σ² = β̃", _KL + r"\tilde\beta_t", "Ho et al. 2020, eq. 12", variance="posterior"),
    "min_snr": Weighting(
        "min-SNR-5",
        r"w_t = \min(\mathrm{SNR}, 5)/\mathrm{SNR}",
        "Hang et al. 2023, arXiv 2303.09556, section 3.4",
        lambda snr: np.minimum(snr, GAMMA) / snr,
    ),
    "p2": Weighting(
        "P2",
        r"w_t = 1/(1+\mathrm{SNR})",
        "Choi et al. 2022, arXiv 2204.00227, with k = γ = 1",
        lambda snr: 1 / (1 + snr),
    ),
    "truncated_snr": Weighting(
        "truncated SNR",
        r"w_t = \max(\mathrm{SNR}, 1)/\mathrm{SNR}",
        "Salimans & Ho 2022, arXiv 2202.00512, section 4",
        lambda snr: np.maximum(snr, 1) / snr,
    ),
    "snr_plus_1": Weighting(
        "SNR + 1",
        r"w_t = (\mathrm{SNR}+1)/\mathrm{SNR}\;\;(\text{the error of }v)",
        "Salimans & Ho 2022, arXiv 2202.00512, section 4",
        lambda snr: (snr + 1) / snr,
    ),
}


def loss_weight(schedule: Schedule, variance: Variance = "beta") -> Array:
    """w_t of |eps - eps_theta|^2 in L_{t-1} (eq. 12), (T+1,); nan at t = 0.

    With sigma^2 = beta~ it is infinite at t = 1, where L_0 takes the place of L_{t-1}.
    """
    sigma2 = schedule.reverse_variance(variance)[1:]
    with np.errstate(divide="ignore"):
        weight = schedule.beta[1:] ** 2 / (2 * sigma2 * schedule.alpha[1:] * schedule.noise_power[1:])
    return np.concatenate(([np.nan], weight))


def schedule_csv(schedule: Schedule) -> str:
    """A schedule as text, a row for each t = 1 ... T, every number with all its digits.

    log_snr is natural; the weight is that of sigma^2 = beta.
    """
    columns = {
        "beta": schedule.beta,
        "alpha_bar": schedule.alpha_bar,
        "log_snr": schedule.log_snr,
        "posterior_variance": schedule.posterior_variance,
        "loss_weight": loss_weight(schedule, "beta"),
    }
    rows = zip(*(column[1:].tolist() for column in columns.values()), strict=True)
    lines = [",".join([str(t), *map(repr, row)]) for t, row in enumerate(rows, 1)]
    return "\n".join([",".join(["t", *columns]), *lines]) + "\n"


def kl_extra(schedule: Schedule, variance: Variance = "beta") -> Array:
    """What L_{t-1} adds to the weighted error, nats a dimension, (T+1,); nan at t = 0 and t = 1 (no KL there)."""
    out = np.full_like(schedule.beta, np.nan)
    ratio = schedule.posterior_variance[2:] / schedule.reverse_variance(variance)[2:]
    out[2:] = (ratio - 1 - np.log(ratio)) / 2
    return out
