"""A thousand betas are too many to choose one by one: a family makes them of two to four numbers.

``FAMILIES`` says of each what its numbers are, its formula and where it is from; ``make_schedule`` makes one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffusion.checks import is_number, shown
from diffusion.schedules.schedule import (
    Array,
    Schedule,
    ScheduleError,
    betas_of_alpha_bar,
    effective_betas,
    to_zero_terminal_snr,
)

T_MIN, T_MAX = 2, 4000
# Where betas are scaled up to fewer steps they end here, and not at one, beyond which there is nothing.
BETA_CAP = 0.999


def _from_alpha_bar(alpha_bar: Callable[[Array], Array], T: int, max_beta: float) -> Array:
    """The betas of alpha_bar(t/T), each at most max_beta."""
    return np.minimum(effective_betas(betas_of_alpha_bar(alpha_bar(np.arange(T + 1) / T))), max_beta)


def linear(T: int, beta_start: float, beta_end: float) -> Array:
    """beta_t from beta_start to beta_end in equal steps (Ho et al. 2020, section 4)."""
    return np.concatenate(([0.0], np.linspace(beta_start, beta_end, T)))


def constant(T: int, beta: float) -> Array:
    """beta_t = beta (Ho et al. 2020, section 4, one of those that were tried)."""
    return np.concatenate(([0.0], np.full(T, beta)))


def scaled_linear(T: int, beta_start: float, beta_end: float) -> Array:
    """sqrt(beta_t) in equal steps: beta_t is quadratic in t.

    "quad" in the released code of Ho et al. 2020, "scaled linear" in that of Rombach et al. 2022 (arXiv 2112.10752).
    """
    return np.concatenate(([0.0], np.linspace(beta_start**0.5, beta_end**0.5, T) ** 2))


def cosine(T: int, s: float, max_beta: float) -> Array:
    """alpha_bar(u) ~ cos^2((u + s) / (1 + s) pi / 2), u = t/T (Nichol & Dhariwal 2021, eq. 17), betas capped."""
    return _from_alpha_bar(lambda u: np.cos((u + s) / (1 + s) * np.pi / 2) ** 2, T, max_beta)


def sigmoid(T: int, start: float, end: float, tau: float, max_beta: float) -> Array:
    """alpha_bar(u) = (S(end) - S(start + u (end - start))) / (S(end) - S(start)), S(x) = 1 / (1 + exp(-x / tau)).

    Jabri et al. 2022, arXiv 2212.11972; Chen 2023, arXiv 2301.10972, algorithm 1. Betas capped.
    """

    from scipy.special import expit  # scipy takes long to import: only what needs it does

    def alpha_bar(u: Array) -> Array:
        low, here, high = start / tau, (start + u * (end - start)) / tau, end / tau
        # S(y) - S(x) = S(y) S(-x) (1 - exp(x - y)), in which no digits are lost where both are next to zero or one.
        return np.asarray(expit(-here) * np.expm1(here - high) / (expit(-low) * np.expm1(low - high)))

    return _from_alpha_bar(alpha_bar, T, max_beta)


def laplace(T: int, mu: float, b: float, max_beta: float) -> Array:
    """log SNR(u) = mu - b sgn(1/2 - u) ln(1 - 2 |u - 1/2|): over even t it has a Laplace distribution.

    It falls from +inf at u = 0 through mu in the middle (Hang et al. 2024, arXiv 2407.03297, table 1). Betas capped.
    """

    from scipy.special import expit

    def alpha_bar(u: Array) -> Array:
        with np.errstate(divide="ignore"):
            log_snr = mu - b * np.sign(0.5 - u) * np.log(1 - 2 * np.abs(u - 0.5))
        return np.asarray(expit(log_snr))

    return _from_alpha_bar(alpha_bar, T, max_beta)


@dataclass(frozen=True)
class Parameter:
    """A number that bends a family: its symbol, range and default, and what it does."""

    symbol: str
    minimum: float
    maximum: float
    default: float
    about: str


@dataclass(frozen=True)
class Family:
    """A way to choose the betas: ``betas(T, **params)``, its parameters, a formula and where it is from."""

    title: str
    betas: Callable[..., Array]
    parameters: dict[str, Parameter]
    formula: str
    source: str


_BETA_START = Parameter("β_1", 1e-6, 0.05, 1e-4, "noise variance of the first step")
_BETA_END = Parameter("β_T", 1e-4, 0.5, 0.02, "noise variance of the last step")
_MAX_BETA = Parameter("max β", 0.1, 0.9999, 0.999, "cap of β_t near t = T")


FAMILIES: dict[str, Family] = {
    "linear": Family(
        "linear",
        linear,
        {"beta_start": _BETA_START, "beta_end": _BETA_END},
        r"\beta_t = \beta_1 + \tfrac{t-1}{T-1}\,(\beta_T-\beta_1)",
        "Ho et al. 2020, section 4",
    ),
    "constant": Family(
        "constant",
        constant,
        {"beta": Parameter("β", 1e-4, 0.5, 0.01, "noise variance of every step")},
        r"\beta_t = \beta",
        "Ho et al. 2020, section 4",
    ),
    "scaled_linear": Family(
        "scaled linear (quadratic)",
        scaled_linear,
        {"beta_start": _BETA_START, "beta_end": _BETA_END},
        r"\sqrt{\beta_t} = \sqrt{\beta_1} + \tfrac{t-1}{T-1}\,(\sqrt{\beta_T}-\sqrt{\beta_1})",
        "Ho et al. 2020 and Rombach et al. 2022, released code",
    ),
    "cosine": Family(
        "cosine",
        cosine,
        {
            "s": Parameter("s", 0.0, 0.2, 0.008, "offset that keeps the first steps from being too small"),
            "max_beta": _MAX_BETA,
        },
        r"\bar\alpha_t = \tfrac{f(t)}{f(0)},\; f(t)=\cos^2\!\big(\tfrac{t/T+s}{1+s}\tfrac{\pi}{2}\big)",
        "Nichol & Dhariwal 2021, eq. 17",
    ),
    "sigmoid": Family(
        "sigmoid",
        sigmoid,
        {
            "start": Parameter("start", -10.0, 9.0, -3.0, "where on the sigmoid t = 0 lies"),
            "end": Parameter("end", -9.0, 10.0, 3.0, "where on the sigmoid t = T lies"),
            "tau": Parameter("τ", 0.1, 5.0, 1.0, "temperature: small is steep in the middle"),
            "max_beta": _MAX_BETA,
        },
        r"\bar\alpha_t = \tfrac{S(e) - S(s + (e - s)\,t/T)}{S(e) - S(s)},\; S(x)=\tfrac{1}{1+e^{-x/\tau}}",
        "Chen 2023, algorithm 1",
    ),
    "laplace": Family(
        "Laplace",
        laplace,
        {
            "mu": Parameter("μ", -5.0, 5.0, 0.0, "log SNR in the middle, where most steps are"),
            "b": Parameter("b", 0.1, 3.0, 0.5, "how far the steps spread around it"),
            "max_beta": _MAX_BETA,
        },
        r"\log\mathrm{SNR} = \mu - b\,\mathrm{sgn}(\tfrac12-u)\ln(1-2|u-\tfrac12|),\; u=\tfrac tT",
        "Hang et al. 2024, table 1",
    ),
}


def last_beta(family: str) -> str | None:
    """The parameter that is beta_T, in a family that says what each step does; None if it is a function of t/T."""
    return next((name for name in ("beta_end", "beta") if name in FAMILIES[family].parameters), None)


# Their curve over t/T depends on T.
PER_STEP = tuple(family for family in FAMILIES if last_beta(family))


def make_schedule(
    family: str = "linear",
    T: int = 1000,
    *,
    keep_shape_of: int | None = None,
    zero_terminal_snr: bool = False,
    **params: float,
) -> Schedule:
    """The schedule of a named family; parameters left out take the family's defaults.

    Args:
        keep_shape_of: the number of steps that the betas are meant for. With T steps each is multiplied by
            keep_shape_of / T, which keeps alpha_bar over t/T nearly as it was (Nichol & Dhariwal 2021, released code),
            and capped at 0.999. Families that are functions of t/T keep their shape in any case.
        zero_terminal_snr: see ``to_zero_terminal_snr``.

    Raises:
        ScheduleError: unknown family or parameter, T outside 2 ... 4000 or no whole number, a parameter out of range,
            a start that is not below its end, or betas so large that nothing is left of the image long before T.
    """
    _check_family(family)
    T = whole_T(T)
    known = FAMILIES[family].parameters
    for name in params:
        if name not in known:
            raise ScheduleError(name, f"The {family} schedule has no parameter {shown(name)}; it has "
                                      f"{', '.join(known)}.")  # fmt: skip
    given = {name: params.get(name, parameter.default) for name, parameter in known.items()}
    for name, value in given.items():
        low, high = known[name].minimum, known[name].maximum
        if not is_number(value) or not low <= value <= high:
            raise ScheduleError(name, f"{known[name].symbol} must lie between {low:g} and {high:g}, not "
                                      f"{shown(value)}.")  # fmt: skip
    values = {name: float(value) for name, value in given.items()}
    check_zero_terminal_snr(zero_terminal_snr)
    for low_name, high_name in (("beta_start", "beta_end"), ("start", "end")):
        if low_name in values and values[low_name] >= values[high_name]:
            raise ScheduleError(
                low_name,
                f"{known[low_name].symbol} must be smaller than {known[high_name].symbol}, "
                f"but {values[low_name]:g} is not smaller than {values[high_name]:g}.",
            )
    beta = FAMILIES[family].betas(T, **values)
    remembered = tuple(values.items())
    if keep_shape_of is not None and family in PER_STEP:
        meant_for = whole_T(keep_shape_of, "The T whose shape is kept")
        if meant_for != T:
            beta = np.minimum(beta * meant_for / T, BETA_CAP)
            remembered += (("keep_shape_of", float(meant_for)),)
    try:
        schedule = Schedule(beta, family, remembered)
    except ScheduleError as error:
        raise ScheduleError(last_beta(family) or "T", str(error)) from error
    return to_zero_terminal_snr(schedule) if zero_terminal_snr else schedule


def _check_family(family: str) -> None:
    if not isinstance(family, str) or family not in FAMILIES:
        known = ", ".join(FAMILIES)
        raise ScheduleError("family", f"There is no schedule family {shown(family)}; choose one of {known}.")


def check_zero_terminal_snr(value: Any) -> None:
    if value not in (False, True):
        raise ScheduleError("zero_terminal_snr", f"Zero terminal SNR is either true or false, not {shown(value)}.")


def whole_T(T: float, name: str = "T") -> int:
    if not is_number(T) or not T_MIN <= T <= T_MAX or T != int(T):
        raise ScheduleError("T", f"{name} must be a whole number from {T_MIN} to {T_MAX}, not {shown(T)}.")
    return int(T)


def beta_for_terminal_snr(family: str, T: int, snr_db: float, **settings: Any) -> dict[str, float]:
    """The last beta (the only one, of a constant schedule) that leaves this SNR at T, as {parameter: value}.

    Args:
        snr_db: 10 log10(alpha_bar_T / (1 - alpha_bar_T)).
        settings: as those of ``make_schedule``.

    Raises:
        ScheduleError: a family without such a parameter, an SNR out of its reach, or as ``make_schedule``.
    """
    field = "terminal_snr"
    _check_family(family)
    if not is_number(snr_db):
        raise ScheduleError(field, f"The SNR at T must be a number of decibels, not {shown(snr_db)}.")
    name = last_beta(family)
    if name is None:
        raise ScheduleError(field, f"The {FAMILIES[family].title} schedule has no last β to solve for.")
    parameter = FAMILIES[family].parameters[name]
    start = settings.get("beta_start", FAMILIES[family].parameters.get("beta_start", parameter).default)
    settings = settings | {"zero_terminal_snr": False}

    def excess(log_beta: float) -> float:
        try:
            schedule = make_schedule(family, T, **(settings | {name: math.exp(log_beta)}))
        except ScheduleError as error:
            if error.field == name:
                return -math.inf  # too much noise
            raise
        return float(schedule.snr_db[-1]) - snr_db

    from scipy.optimize import brentq

    low = math.log(max(parameter.minimum, start * (1 + 1e-9) if name == "beta_end" else 0.0) * (1 + 1e-12))
    high = math.log(parameter.maximum) - 1e-12
    while excess(high) == -math.inf:  # find where the schedule becomes usable
        high = low + (high - low) * 0.98
    most, least = excess(low) + snr_db, excess(high) + snr_db
    if not least <= snr_db <= most:
        raise ScheduleError(
            field,
            f"{parameter.symbol} can bring the SNR at T to between {least:.1f} and {most:.1f} dB, not {snr_db:g}.",
        )
    return {name: math.exp(brentq(excess, low, high, xtol=1e-14))}
