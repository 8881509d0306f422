"""Asking a network takes long, and schedules, variances and weights are bent all the time.

So what is kept of a network is its raw error by noise level, an ``ErrorCurve``, with no weight, no variance and no
schedule in it; those are put on it afterwards (rate.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial.chebyshev import chebfit, chebpts1, chebval

from diffusion.schedules.schedule import LOG_SNR_END, Array, Schedule, Variance

MOST = 1e9  # of any number in a curve: the error of a bad guess at high SNR is about as large as that
SMALLEST = 1e-12  # of an error, so that it has a logarithm
# L_0 is wanted for any schedule and variance, so it is computed at every level from here on as if that were t = 1, for
# several sigma^2 / (1 - alpha_bar): 1 is sigma^2 = beta, and about 1/2 beta~_2. Chebyshev's points in its logarithm.
DECODER_LOG_SNR = 0.0
DECODER_LOG_RATIO = math.log(1 / 16)
DECODER_POINTS = 8
_CHEBYSHEV = chebpts1(DECODER_POINTS)
DECODER_RATIOS = np.exp(DECODER_LOG_RATIO * (1 - _CHEBYSHEV) / 2)


class CurveError(ValueError):
    """A curve that no measuring gives, said in one sentence."""


@dataclass(frozen=True)
class ErrorCurve:
    """How well a denoiser finds the noise, by noise level: raw errors, with no weight or schedule in them.

    Args:
        log_snr: (N,) natural, descending.
        mean: (N,) E|eps - eps_theta|^2 / D, the squared error a dimension.
        standard_error: (N,) of that mean, over the images.
        decoder: (N, DECODER_POINTS) nats a dimension of L_0 if t = 1 had this level, by variance; nan where that was
            not computed.
        mean_square: of the values of x_0: what L_T depends on. Of pixels it is at most 1.
        dimensions: D.
    """

    log_snr: Array
    mean: Array
    standard_error: Array
    decoder: Array
    mean_square: float
    dimensions: int

    def on(self, schedule: Schedule) -> Array:
        """The error at every step of a schedule, (T+1,); nan at t = 0 and outside the levels that were measured.

        Interpolated in log error over log-SNR: no network is run again when a schedule is bent. Below -12 the predicted
        x_0 is taken to stay as it is, so that the error falls with the SNR.
        """
        error = _interpolate(self.log_snr, self.mean, schedule.log_snr)
        if len(self.mean) > 1 and self.log_snr[-1] <= -LOG_SNR_END + 1e-9:
            below = schedule.log_snr < self.log_snr[-1]
            error[below] = self.mean[-1] * np.exp(schedule.log_snr[below] - self.log_snr[-1])
        return error

    def standard_error_on(self, schedule: Schedule) -> Array:
        """The standard error at every step, (T+1,): interpolated as a part of the error."""
        part = self.standard_error / np.maximum(self.mean, SMALLEST)
        return self.on(schedule) * np.interp(-schedule.log_snr, -self.log_snr, part)

    def decoder_on(self, schedule: Schedule, variance: Variance) -> float:
        """L_0 in nats a dimension; nan outside what was measured."""
        ratio = schedule.decoder_variance(variance) / float(schedule.noise_power[1])
        x = 1 - 2 * math.log(ratio) / DECODER_LOG_RATIO
        known = np.isfinite(self.decoder[:, 0])
        if abs(x) > 1 + 1e-9:
            return math.nan
        at_level = [_interpolate(self.log_snr[known], v, schedule.log_snr[1:2])[0] for v in self.decoder[known].T]
        return float(chebval(x, chebfit(_CHEBYSHEV, at_level, DECODER_POINTS - 1)))

    def density_on(self, schedule: Schedule, variance: Variance) -> float:
        """L_0 of continuous data as a density, -ln N(x_0; mean, sigma_1^2 I) / D in nats a dimension; nan outside what
        was measured. Nothing more need be known than the error at t = 1, as by Ho et al. 2020, eq. 4,

            x_0 - mean = sqrt((1 - alpha_bar_1) / alpha_bar_1) (eps_theta - eps).
        """
        sigma2 = schedule.decoder_variance(variance)
        residual = self.on(schedule)[1] * math.exp(-schedule.log_snr[1])
        return float(math.log(2 * math.pi * sigma2) + residual / sigma2) / 2

    def to_json(self) -> dict[str, Any]:
        """Plain lists, for a file."""
        # The levels in full: rounded ends would no longer reach the ends of the schedule that was measured.
        return {"dimensions": self.dimensions, "mean_square": self.mean_square, "log_snr": self.log_snr.tolist()} | {
            name: [_plain(row) for row in getattr(self, name)] for name in ("mean", "standard_error", "decoder")
        }

    @staticmethod
    def from_json(content: Mapping[str, Any]) -> ErrorCurve:
        """What ``to_json`` gave.

        Raises:
            CurveError: anything else.
        """
        refusal = CurveError("This is not a curve of errors by noise level.")
        try:
            # None becomes nan
            log_snr, mean, standard_error, decoder = (
                np.array(content[name], dtype=np.float64) for name in ("log_snr", "mean", "standard_error", "decoder")
            )
            mean_square, dimensions = float(content["mean_square"]), int(content["dimensions"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise refusal from error
        levels = log_snr.shape
        if len(levels) != 1 or levels == (0,) or not mean.shape == standard_error.shape == levels:
            raise refusal
        if decoder.shape != (*levels, DECODER_POINTS) or not (np.isnan(decoder) | (np.abs(decoder) <= MOST)).all():
            raise refusal
        if not (np.diff(log_snr) < 0).all() or not (np.abs(log_snr) <= MOST).all():
            raise refusal
        if not all(((0 <= values) & (values <= MOST)).all() for values in (mean, standard_error)):
            raise refusal
        if not (0 <= mean_square <= MOST and 1 <= dimensions <= MOST):
            raise refusal
        return ErrorCurve(log_snr, mean, standard_error, decoder, mean_square, dimensions)


def _interpolate(levels: Array, values: Array, at: Array) -> Array:
    """Positive values over falling levels, at others: a cubic spline of their logarithm; nan outside.

    What lies between two values is kept between them: where a curve turns sharply a spline would swing.
    """
    from scipy.interpolate import CubicSpline  # takes long to import: only a curve that is looked at needs it

    out = np.full_like(at, np.nan)
    if len(values) > 1:
        x, y = levels[::-1], np.log(np.maximum(values[::-1], SMALLEST))
        inside = (at >= x[0]) & (at <= x[-1])
        right = np.searchsorted(x[1:-1], at[inside]) + 1
        ends = y[right - 1], y[right]
        out[inside] = np.exp(np.clip(CubicSpline(x, y)(at[inside]), np.minimum(*ends), np.maximum(*ends)))
    return out


def _plain(value: Any) -> Any:
    """Six digits, None for nan."""
    if np.ndim(value):
        return [_plain(v) for v in value]
    return None if math.isnan(value) else float(f"{value:.6g}")
