r"""Noise schedules: the numbers :math:`\beta_1 \dots \beta_T` and all that follows from them.

The forward process of Ho et al. 2020 (arXiv 2006.11239, eq. 2) is

    q(x_t | x_{t-1}) = N(x_t; sqrt(1 - beta_t) x_{t-1}, beta_t I),     t = 1 ... T,

so that with alpha_t = 1 - beta_t and alpha_bar_t = prod_{s=1}^{t} alpha_s (eq. 4)

    q(x_t | x_0) = N(x_t; sqrt(alpha_bar_t) x_0, (1 - alpha_bar_t) I).

Time t = 0 is the clean image: every array has length T + 1, with beta[0] = 0 and alpha_bar[0] = 1, so
"the step before" is alpha_bar[t - 1] for every t >= 1. Everything is float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Variance = Literal["beta", "between", "posterior"]
# sigma^2 = beta^v beta~^(1-v): what the reverse step adds.
EXPONENTS: dict[Variance, float] = {"beta": 1.0, "between": 0.5, "posterior": 0.0}
# x_0 is x_t / sqrt(alpha_bar_t) at some point of every formula, and must stay within float32.
ALPHA_BAR_MIN = 1e-60
# Multiplied by one minus this, any float64 becomes a smaller one: with it, but not with less, alpha_bar surely falls.
BETA_MIN = 2.0**-52
# "Zero" terminal SNR: exactly zero would put an infinity into whatever divides by it. The smallest float16, -72 dB.
ALPHA_BAR_ZERO = 2.0**-24
LOG_SNR_END = 12.0  # beyond, an image is all signal or all noise


class ScheduleError(ValueError):
    """A schedule that cannot be made; ``field`` names the parameter to change."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def _frozen(array: Array) -> Array:
    array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Schedule:
    """A forward process: betas and their derived quantities, each a read-only array over t = 0 ... T.

    Args:
        beta: (T+1,) float64, beta[0] = 0 and 0 < beta[t] < 1 for t >= 1.
        family: what made it ("linear", "cosine", ...), for labels and files.
        params: the parameters that made it.

    Raises:
        ScheduleError: a beta outside (0, 1) or below 2^-52, which alpha_bar would not feel, or an alpha_bar_T so small
            that nothing is left of the image.
    """

    beta: Array
    family: str = "custom"
    params: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        beta = np.array(self.beta, dtype=np.float64)  # a copy, so that nobody else can write to it
        if beta.ndim != 1 or len(beta) < 2 or beta[0] != 0.0:
            raise ScheduleError("beta", "beta must be a list of T + 1 numbers that begins with beta_0 = 0.")
        wrong = np.flatnonzero(~((beta[1:] > 0) & (beta[1:] < 1))) + 1
        if len(wrong):
            t = int(wrong[0])
            raise ScheduleError("beta", f"beta_{t} = {beta[t]:.6g} is outside (0, 1).")
        lost = np.flatnonzero(beta[1:] < BETA_MIN) + 1
        if len(lost):
            t = int(lost[0])
            raise ScheduleError("beta", f"beta_{t} = {beta[t]:.6g} is so small that 1 - beta_{t} is lost in rounding; "
                                        f"it must be at least {BETA_MIN:.2g}.")  # fmt: skip
        object.__setattr__(self, "beta", _frozen(beta))
        if self.alpha_bar[-1] < ALPHA_BAR_MIN:
            raise ScheduleError(
                "beta", f"So much noise in {self.T} steps leaves ᾱ_T below {ALPHA_BAR_MIN:g}; lower β or T."
            )

    @property
    def T(self) -> int:
        """Number of steps."""
        return len(self.beta) - 1

    @cached_property
    def alpha(self) -> Array:
        """alpha_t = 1 - beta_t."""
        return _frozen(1.0 - self.beta)

    @cached_property
    def alpha_bar(self) -> Array:
        """alpha_bar_t = prod_{s=1}^{t} alpha_s (eq. 4); alpha_bar[0] = 1."""
        return _frozen(np.cumprod(self.alpha, dtype=np.float64))

    @cached_property
    def noise_power(self) -> Array:
        """1 - alpha_bar_t = -expm1(sum_{s=1}^{t} log1p(-beta_s)), no digit of it lost where alpha_bar_t is near one."""
        return _frozen(-np.expm1(np.cumsum(np.log1p(-self.beta))))

    @cached_property
    def signal(self) -> Array:
        """sqrt(alpha_bar_t), what multiplies x_0 in x_t."""
        return _frozen(np.sqrt(self.alpha_bar))

    @cached_property
    def noise(self) -> Array:
        """sqrt(1 - alpha_bar_t), what multiplies eps in x_t."""
        return _frozen(np.sqrt(self.noise_power))

    @cached_property
    def log_snr(self) -> Array:
        """ln(alpha_bar_t / (1 - alpha_bar_t)), natural, of alpha_bar_t as it is stored, by which denoisers are asked;
        +inf at t = 0.
        """
        with np.errstate(divide="ignore"):
            return _frozen(np.log(self.alpha_bar) - np.log1p(-self.alpha_bar))

    @cached_property
    def snr_db(self) -> Array:
        """Signal-to-noise ratio in decibel, 10 log10(alpha_bar_t / (1 - alpha_bar_t)); +inf at t = 0."""
        return _frozen(self.log_snr * (10.0 / math.log(10.0)))

    @cached_property
    def posterior_variance(self) -> Array:
        """beta~_t = (1 - alpha_bar_{t-1}) / (1 - alpha_bar_t) beta_t (eq. 7); zero at t = 0 and t = 1."""
        out = np.zeros_like(self.beta)
        out[1:] = self.noise_power[:-1] / self.noise_power[1:] * self.beta[1:]
        return _frozen(out)

    def reverse_variance(self, variance: Variance) -> Array:
        """sigma_t^2 of p(x_{t-1} | x_t): beta_t ("beta") or beta~_t ("posterior"), section 3.2, or their geometric mean
        ("between"); beta_t^v beta~_t^(1-v) is how Nichol & Dhariwal 2021 (eq. 15) go from one to the other.
        """
        v = EXPONENTS[variance]
        return _frozen(self.beta**v * self.posterior_variance ** (1.0 - v))

    def decoder_variance(self, variance: Variance) -> float:
        """sigma_1^2 of the decoder p(x_0 | x_1): as above, but beta~_1 = 0, and beta~_2 takes its place, as in the code
        that goes with the papers.
        """
        v = EXPONENTS[variance]
        return float(self.beta[1] ** v * self.posterior_variance[2] ** (1.0 - v))


def betas_of_alpha_bar(alpha_bar: Array) -> Array:
    """beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}, with beta_0 = 0 (eq. 4 solved for beta)."""
    return np.concatenate(([0.0], 1.0 - alpha_bar[1:] / alpha_bar[:-1]))


def effective_betas(beta: Array) -> Array:
    """Betas, beta_0 = 0 first, that alpha_bar feels: what falls by less than float64 resolves falls by that, and what
    falls to nothing by next to all there is.
    """
    return np.concatenate(([0.0], np.clip(beta[1:], BETA_MIN, 1 - BETA_MIN)))


def to_zero_terminal_snr(schedule: Schedule) -> Schedule:
    """The same curve moved and stretched until nothing of the image is left at T (Lin et al. 2023, algorithm 1):

        sqrt(alpha_bar'_t) = (sqrt(alpha_bar_t) - sqrt(alpha_bar_T)) sqrt(alpha_bar_1) / (sqrt(alpha_bar_1) - sqrt(alpha_bar_T)),

    but for alpha_bar'_T, which is 2^-24 (-72 dB), or half of what T - 1 has if that is less, so that all that is
    divided by it stays finite. A schedule that has less signal than 2^-24 already stays as it is.
    """  # noqa: E501
    if schedule.alpha_bar[-1] <= ALPHA_BAR_ZERO:
        return schedule
    # sqrt(alpha_bar_t) - sqrt(alpha_bar_T) over sqrt(alpha_bar_T), with all its digits where both are next to one.
    above = np.expm1(-np.cumsum(np.log1p(-schedule.beta[::-1]))[::-1] / 2)
    above = np.concatenate((above[1:], [0.0]))  # log alpha_bar_t - log alpha_bar_T is a sum over t + 1 ... T
    alpha_bar = schedule.alpha_bar[1] * (above / above[1]) ** 2
    alpha_bar[0], alpha_bar[-1] = 1.0, min(ALPHA_BAR_ZERO, alpha_bar[-2] / 2)
    beta = effective_betas(betas_of_alpha_bar(alpha_bar))
    beta[1] = schedule.beta[1]
    return Schedule(beta, schedule.family, (*schedule.params, ("zero_terminal_snr", 1.0)))
