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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq
from scipy.special import expit

from diffusion.checks import is_number, shown

Array = NDArray[np.float64]
Variance = Literal["beta", "between", "posterior"]
# sigma^2 = beta^v beta~^(1-v): what the reverse step adds.
EXPONENTS: dict[Variance, float] = {"beta": 1.0, "between": 0.5, "posterior": 0.0}

T_MIN, T_MAX = 2, 4000
# x_0 is x_t / sqrt(alpha_bar_t) at some point of every formula, and must stay within float32.
ALPHA_BAR_MIN = 1e-60
# Multiplied by one minus this, any float64 becomes a smaller one: with it, but not with less, alpha_bar surely falls.
BETA_MIN = 2.0**-52
# Where betas are scaled up to fewer steps they end here, and not at one, beyond which there is nothing.
BETA_CAP = 0.999
# "Zero" terminal SNR: exactly zero would put an infinity into whatever divides by it. The smallest float16, -72 dB.
ALPHA_BAR_ZERO = 2.0**-24
LOG_SNR_END = 12.0  # beyond, an image is all signal or all noise
POINTS_MIN, POINTS_MAX = 2, 16
POINT_LOG_SNR = 20.0  # a drawn curve runs within -20 ... 20
POINT_GAP = 1e-6  # of t/T between two of its points; there are at most 4,000 steps


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


def _betas_of(alpha_bar: Array) -> Array:
    """beta_t = 1 - alpha_bar_t / alpha_bar_{t-1}, with beta_0 = 0 (eq. 4 solved for beta)."""
    return np.concatenate(([0.0], 1.0 - alpha_bar[1:] / alpha_bar[:-1]))


def _felt(beta: Array) -> Array:
    """Betas, beta_0 = 0 first, that alpha_bar feels: what falls by less than float64 resolves falls by that, and what
    falls to nothing by next to all there is.
    """
    return np.concatenate(([0.0], np.clip(beta[1:], BETA_MIN, 1 - BETA_MIN)))


def _from_alpha_bar(alpha_bar: Callable[[Array], Array], T: int, max_beta: float) -> Array:
    """The betas of alpha_bar(t/T), each at most max_beta."""
    return np.minimum(_felt(_betas_of(alpha_bar(np.arange(T + 1) / T))), max_beta)


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

    def alpha_bar(u: Array) -> Array:
        low, here, high = start / tau, (start + u * (end - start)) / tau, end / tau
        # S(y) - S(x) = S(y) S(-x) (1 - exp(x - y)), in which no digits are lost where both are next to zero or one.
        return np.asarray(expit(-here) * np.expm1(here - high) / (expit(-low) * np.expm1(low - high)))

    return _from_alpha_bar(alpha_bar, T, max_beta)


def laplace(T: int, mu: float, b: float, max_beta: float) -> Array:
    """log SNR(u) = mu - b sgn(1/2 - u) ln(1 - 2 |u - 1/2|): over even t it has a Laplace distribution.

    It falls from +inf at u = 0 through mu in the middle (Hang et al. 2024, arXiv 2407.03297, table 1). Betas capped.
    """

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
    T = _whole_T(T)
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
    if zero_terminal_snr not in (False, True):
        raise ScheduleError("zero_terminal_snr", f"Zero terminal SNR is either true or false, not "
                                                 f"{shown(zero_terminal_snr)}.")  # fmt: skip
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
        meant_for = _whole_T(keep_shape_of, "The T whose shape is kept")
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


def _whole_T(T: float, name: str = "T") -> int:
    if not is_number(T) or not T_MIN <= T <= T_MAX or T != int(T):
        raise ScheduleError("T", f"{name} must be a whole number from {T_MIN} to {T_MAX}, not {shown(T)}.")
    return int(T)


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
    beta = _felt(_betas_of(alpha_bar))
    beta[1] = schedule.beta[1]
    return Schedule(beta, schedule.family, (*schedule.params, ("zero_terminal_snr", 1.0)))


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


def drawn_schedule(T: int, points: Sequence[tuple[float, float]]) -> Schedule:
    """The schedule whose log SNR over t/T runs through points, and between them never rises.

    Monotone cubic interpolation (PCHIP, Fritsch & Carlson 1980): whatever falls from point to point becomes a schedule.

    Args:
        points: 2 to 16 pairs (t/T, log SNR): t/T rising from 0 to 1, log SNR (natural) falling, within -20 ... 20.

    Raises:
        ScheduleError: points that are no such curve, or a T that ``make_schedule`` would refuse.
    """
    T = _whole_T(T)
    if not POINTS_MIN <= len(points) <= POINTS_MAX:
        raise ScheduleError("points", f"A drawn curve has {POINTS_MIN} to {POINTS_MAX} points, not {len(points)}.")
    if not all(len(point) == 2 and all(map(is_number, point)) for point in points):
        raise ScheduleError("points", "A drawn curve must fall from point to point, each a pair of numbers.")
    u, log_snr = np.asarray(points, dtype=np.float64).T
    if not (u[0] == 0 and u[-1] == 1 and (np.diff(u) > 0).all()):
        raise ScheduleError("points", "The points of a drawn curve must run from t/T = 0 to t/T = 1.")
    if (np.diff(u) < POINT_GAP).any():
        raise ScheduleError("points", f"Points of a drawn curve must lie at least {POINT_GAP:g} apart in t/T.")
    if not ((np.diff(log_snr) < 0).all() and (np.abs(log_snr) <= POINT_LOG_SNR).all()):
        limit = f"{POINT_LOG_SNR:g}"
        raise ScheduleError("points", f"A drawn curve must fall, and its log SNR lie between −{limit} and {limit}.")
    with np.errstate(all="ignore"):  # a fall of next to nothing has a slope with no finite inverse
        curve = PchipInterpolator(u, log_snr)(np.arange(1, T + 1) / T)
    return Schedule(_felt(_betas_of(np.concatenate(([1.0], expit(curve))))), "drawn")


def schedule_of_betas(betas: Sequence[float] | Array, T: int | None = None) -> Schedule:
    """The schedule with these beta_1 ... beta_T, whatever made them.

    Args:
        T: another number of steps; ln alpha_bar is then interpolated linearly over t/T, which keeps the curve.

    Raises:
        ScheduleError: T outside 2 ... 4000, a beta outside (0, 1), or betas so large that nothing is left of the image
            long before T.
    """
    if not isinstance(betas, Sequence | np.ndarray) or not T_MIN <= len(betas) <= T_MAX:
        count = len(betas) if isinstance(betas, Sequence | np.ndarray) else shown(betas)
        raise ScheduleError("beta", f"There must be {T_MIN} to {T_MAX} betas, not {count}.")
    if not isinstance(betas, np.ndarray):
        for t, beta in enumerate(betas, 1):
            if not is_number(beta):
                raise ScheduleError("beta", f"beta_{t} must be a number between 0 and 1, not {shown(beta)}.")
    schedule = Schedule(np.concatenate(([0.0], np.asarray(betas, dtype=np.float64))))
    if T is None or _whole_T(T) == schedule.T:
        return schedule
    u = np.linspace(0, 1, schedule.T + 1)
    log_alpha_bar = np.interp(np.linspace(0, 1, int(T) + 1), u, np.cumsum(np.log1p(-schedule.beta)))
    return Schedule(_felt(np.concatenate(([0.0], -np.expm1(np.diff(log_alpha_bar))))))


def schedule_of_alpha_bars(alpha_bars: Sequence[float] | Array) -> Schedule:
    """The schedule with these alpha_bar_1 ... alpha_bar_T.

    Raises:
        ScheduleError: as ``schedule_of_betas``, of the betas that follow.
    """
    return schedule_of_betas(_betas_of(np.concatenate(([1.0], np.asarray(alpha_bars, dtype=np.float64))))[1:])
