"""What measured errors are worth under a schedule: losses by step, the bound in bits/dim, rate and distortion.

No function here asks a network: each puts a weight, a variance and a schedule on an ``ErrorCurve``. Equations are those
of Ho et al. 2020, arXiv 2006.11239.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from diffusion.losses.curve import ErrorCurve
from diffusion.losses.weightings import WEIGHTINGS, kl_extra
from diffusion.schedules.schedule import EXPONENTS, Array, Schedule, Variance

LN2 = math.log(2)


@dataclass(frozen=True)
class Terms:
    """A loss by step, arrays (T+1,), nan where a term does not exist or was not measured.

    Args:
        weight: w_t.
        term: L_{t-1} in bits/dim for losses that are KL divergences, t = 2 ... T; else w_t E|eps - eps_theta|^2 / D.
        share: of the sum of all terms, how much lies at steps up to t.
    """

    weight: Array
    term: Array
    share: Array


def loss_terms(curve: ErrorCurve, schedule: Schedule, name: str) -> Terms:
    """The loss ``name`` of ``WEIGHTINGS``, step by step."""
    weighting = WEIGHTINGS[name]
    weight = weighting.weight(schedule)
    term = weight * curve.on(schedule)
    if weighting.variance is not None:
        term = (term + kl_extra(schedule, weighting.variance)) / LN2
    cumulative = np.nancumsum(term)
    with np.errstate(invalid="ignore"):  # nothing measured yet
        return Terms(weight, term, np.where(np.isnan(term), np.nan, cumulative / cumulative[-1]))


@dataclass(frozen=True)
class Ledger:
    """The bound of eq. 5, bits/dim: what it costs to send an image, and for what.

    Args:
        L_T: to say where x_T lies; nothing is learned here.
        L_mid: L_1 + ... + L_{T-1}, the steps t = 2 ... T.
        L_0: the grey levels, or the density, out of x_1.
        constant: the part of L_mid that no network can change, C_t summed: the price of this variance.
        standard_error: of L_mid, at most: as if the errors of all steps went up and down together.
        missing: steps t = 2 ... T outside the levels that were measured; L_mid is without them.
    """

    L_T: float
    L_mid: float
    L_0: float
    constant: float
    standard_error: float
    missing: int

    @property
    def total(self) -> float:
        """L_T + L_mid + L_0; nan where L_0 was not measured."""
        return self.L_T + self.L_mid + self.L_0


def prior_bits(curve: ErrorCurve, schedule: Schedule) -> float:
    """L_T of the images that were measured, bits/dim; see ``likelihood.prior_kl``."""
    alpha_bar_T = float(schedule.alpha_bar[-1])
    return (alpha_bar_T * curve.mean_square - alpha_bar_T - math.log1p(-alpha_bar_T)) / (2 * LN2)


def ledger(curve: ErrorCurve, schedule: Schedule, variance: Variance, *, continuous: bool = False) -> Ledger:
    """The bound and its parts, for the images that were measured.

    Args:
        continuous: the data are no grey levels, and L_0 is a density (``ErrorCurve.density_on``); then the bound is at
            least their differential entropy, in bits/dim, whatever the denoiser.
    """
    terms = loss_terms(curve, schedule, variance)
    return Ledger(
        L_T=prior_bits(curve, schedule),
        L_mid=float(np.nansum(terms.term)),
        L_0=(curve.density_on if continuous else curve.decoder_on)(schedule, variance) / LN2,
        constant=float(np.nansum(kl_extra(schedule, variance))) / LN2,
        standard_error=float(np.nansum(terms.weight[2:] * curve.standard_error_on(schedule)[2:])) / LN2,
        missing=int(np.isnan(terms.term[2:]).sum()),
    )


def distortion(curve: ErrorCurve, schedule: Schedule) -> Array:
    """Root mean square error of the x_0 predicted at step t, on the scale 0 ... 255, (T+1,); 0 at t = 0 (section 4.3).

    As x_0 - x_0-hat = sqrt((1 - alpha_bar_t) / alpha_bar_t) (eps_theta - eps), it is a matter of the same errors.
    """
    rmse = 127.5 * np.sqrt(curve.on(schedule) * np.exp(-schedule.log_snr))
    rmse[0] = 0.0
    return rmse


def rate(curve: ErrorCurve, schedule: Schedule, variance: Variance) -> Array:
    """Bits/dim spent when x_t is known, L_T + L_{T-1} + ... + L_t, (T+1,); with L_0, the whole bound, at t = 0."""
    term = np.nan_to_num(loss_terms(curve, schedule, variance).term)
    spent = prior_bits(curve, schedule) + np.concatenate((np.cumsum(term[::-1])[::-1][1:], [0.0]))
    spent[0] += curve.decoder_on(schedule, variance) / LN2
    return spent


def loss_csv(curve: ErrorCurve, schedule: Schedule, references: Mapping[str, ErrorCurve]) -> str:
    """Everything that is drawn, a row for each t = 1 ... T; empty where there is no value.

    Errors are squared, a dimension; L_beta, L_between and L_posterior are L_{t-1} with that variance, and rates, in
    bits/dim; other losses are weight times error; distortion is on the scale 0 ... 255.
    """
    columns = {
        "log_snr": schedule.log_snr,
        "error": curve.on(schedule),
        "standard_error": curve.standard_error_on(schedule),
        **{f"error_{name}": reference.on(schedule) for name, reference in references.items()},
    }
    for name in WEIGHTINGS:
        terms = loss_terms(curve, schedule, name)
        columns |= {f"weight_{name}": terms.weight, f"L_{name}": terms.term, f"share_{name}": terms.share}
    columns["distortion"] = distortion(curve, schedule)
    columns |= {f"rate_{variance}": rate(curve, schedule, variance) for variance in EXPONENTS}
    rows = zip(*(column[1:].tolist() for column in columns.values()), strict=True)
    lines = [
        ",".join([str(t), *(repr(value) if math.isfinite(value) else "" for value in row)])
        for t, row in enumerate(rows, 1)
    ]
    return "\n".join([",".join(["t", *columns]), *lines]) + "\n"


@dataclass(frozen=True)
class Published:
    """A figure from a paper, bits/dim, to stand beside a ledger; its parts where the paper gives them."""

    name: str
    data: str
    rate: float | None
    distortion: float | None
    total: float
    source: str


PUBLISHED = (
    Published("DDPM", "CIFAR-10, test", 1.78, 1.97, 3.75, "Ho et al. 2020, section 4.3"),
    Published("Improved DDPM", "CIFAR-10, test", None, None, 2.94, "Nichol & Dhariwal 2021, table 3"),
)
