"""How to go from x_t to an earlier x_s, once x_0 and eps are predicted: where samplers differ, and nothing else.

``SAMPLERS`` says of each what it is, where it is from, when to use it and what its options are.
Equation numbers without a source are those of Ho et al. 2020, arXiv 2006.11239; the update from t to any earlier s uses
alpha_{t|s} = alpha_bar_t / alpha_bar_s in place of alpha_t (see process.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from diffusion import process
from diffusion.checks import is_number, shown
from diffusion.sampling.choices import Choice, SamplingError, check_choice
from diffusion.schedules.families import Parameter

if TYPE_CHECKING:  # torch takes seconds to import, and the table does not need it
    from torch import Tensor

# As a part of a step, how short the one before may be for the samplers to look back over it.
SHORTEST = 1e-4
# sqrt(alpha_bar_s) (sigma_t - sigma_s), of a step of Heun's: its square times the rounding of float32 is not yet seen.
LONGEST = 100.0


@dataclass(frozen=True)
class Past:
    """An earlier step, for samplers that look back: the level it left, x_t there, and the x_0 predicted from it."""

    alpha_bar: float
    x_t: Tensor
    x_0: Tensor


class Ask(Protocol):
    """Asks the denoiser, for samplers that do so again within a step."""

    def __call__(self, x_t: Tensor, alpha_bar: float, /) -> tuple[Tensor, Tensor]:
        """x_0 and eps predicted from x_t, which agree with it by eq. 4, and are clipped as all are."""
        ...


class Update(Protocol):
    """One way to go from x_t to x_s, s < t, given the predicted x_0 and eps (which agree with x_t by eq. 4)."""

    def noise_variance(self, alpha_bar_t: float, alpha_bar_s: float) -> float:
        """Variance of the noise that the step adds; 0 when it is deterministic."""
        ...

    def mean(
        self, x_t: Tensor, x_0: Tensor, eps: Tensor, alpha_bar_t: float, alpha_bar_s: float,
        past: Sequence[Past] = (), ask: Ask | None = None,
    ) -> Tensor:  # fmt: skip
        """x_s before the noise is added.

        Args:
            past: the steps before, the latest first; none at the beginning. Only multistep samplers look at it.
            ask: the denoiser, for samplers that ask it again on the way.
        """
        ...

    def corrected(self, x_t: Tensor, x_0: Tensor, alpha_bar_t: float, past: Sequence[Past]) -> Tensor:
        """x_t in the light of the x_0 that was predicted from it; most samplers leave it as it is."""
        return x_t

    def calls(self, alpha_bar_t: float, alpha_bar_s: float) -> int:
        """How often the step asks the denoiser; most samplers do once."""
        return 1


@dataclass(frozen=True)
class DDPM(Update):
    """Ancestral sampling (Algorithm 2): the posterior mean (eq. 7), plus noise of variance

        sigma^2 = beta_{t|s}^v beta~_{t|s}^(1-v).

    v = 1 (beta) fits data that are standard normal, v = 0 (beta~) data that are one single image: section 3.2.
    """

    v: float = 1.0

    def __post_init__(self) -> None:
        _check_share("v", self.v)

    def noise_variance(self, alpha_bar_t: float, alpha_bar_s: float) -> float:
        return float(process.reverse_variance(alpha_bar_t, alpha_bar_s, self.v))

    def mean(
        self, x_t: Tensor, x_0: Tensor, eps: Tensor, alpha_bar_t: float, alpha_bar_s: float,
        past: Sequence[Past] = (), ask: Ask | None = None,
    ) -> Tensor:  # fmt: skip
        return process.posterior_mean(x_0, x_t, alpha_bar_t, alpha_bar_s)


@dataclass(frozen=True)
class DDIM(Update):
    """Song et al. 2021, arXiv 2010.02502, eq. 12:

        x_s = sqrt(alpha_bar_s) x_0 + sqrt(1 - alpha_bar_s - sigma^2) eps + sigma z,    sigma^2 = eta^2 beta~_{t|s}.

    eta = 0 is deterministic; eta = 1 is DDPM with the posterior variance.
    """

    eta: float = 0.0

    def __post_init__(self) -> None:
        _check_share("eta", self.eta)

    def noise_variance(self, alpha_bar_t: float, alpha_bar_s: float) -> float:
        return self.eta**2 * float(process.posterior_variance(alpha_bar_t, alpha_bar_s))

    def mean(
        self, x_t: Tensor, x_0: Tensor, eps: Tensor, alpha_bar_t: float, alpha_bar_s: float,
        past: Sequence[Past] = (), ask: Ask | None = None,
    ) -> Tensor:  # fmt: skip
        # Rounding can push the difference a hair below zero at s = 0.
        direction = max(1 - alpha_bar_s - self.noise_variance(alpha_bar_t, alpha_bar_s), 0.0)
        return alpha_bar_s**0.5 * x_0 + direction**0.5 * eps


@dataclass(frozen=True)
class DPMSolver2M(DDIM):
    """DPM-Solver++(2M), Lu et al. 2022, arXiv 2211.01095, algorithm 2: DDIM's step with x_0 replaced by

        D = x_0 + h / (2 h') (x_0 - x_0'),    h = lambda_s - lambda_t,  h' = lambda_t - lambda_t',

    lambda = ln(alpha_bar / (1 - alpha_bar)) / 2: the line through this x_0 and x_0', the one predicted a step before at
    t', followed to the middle of the step. One call of the network a step, and the error falls with its square. The
    first step, which has none before it, and the last, for which lambda_0 is infinite, are DDIM's; so is one behind a
    step so short that the line through both would be of rounding.

    eta = 0 solves the ODE; eta = 1 is SDE-DPM-Solver++(2M), the SDE.
    """

    def mean(
        self, x_t: Tensor, x_0: Tensor, eps: Tensor, alpha_bar_t: float, alpha_bar_s: float,
        past: Sequence[Past] = (), ask: Ask | None = None,
    ) -> Tensor:  # fmt: skip
        if past and alpha_bar_s < 1:
            lambda_s, lambda_t, lambda_before = map(_log_snr, (alpha_bar_s, alpha_bar_t, past[0].alpha_bar))
            h, before = lambda_s - lambda_t, lambda_t - lambda_before
            if before > SHORTEST * h:
                x_0 = x_0 + h / (2 * before) * (x_0 - past[0].x_0)
                eps = process.eps_from_x0(x_t, x_0, alpha_bar_t)
        return super().mean(x_t, x_0, eps, alpha_bar_t, alpha_bar_s)


@dataclass(frozen=True)
class UniPC(Update):
    """UniPC of order 2 with B(h) = e^h - 1, Zhao et al. 2023, arXiv 2302.04867, algorithm 1, predicting x_0.

    The step is that of DPM-Solver++(2M). Once x_0 is predicted from where it led, it is taken again: DDIM's step from
    t' to t with x_0' replaced by the parabola through x_0'', x_0' and the new x_0 (at first, by the line through two),

        D = x_0' + rho_1 (x_0'' - x_0') / r + rho_2 (x_0 - x_0'),    r = (lambda_t'' - lambda_t') / h,
        rho_1 + rho_2 = b_1,  r rho_1 + rho_2 = b_2,    b_1 = 1 / (1 - e^-h) - 1 / h,  b_2 = 1 / (1 - e^-h) - 2 b_1 / h,

    h = lambda_t - lambda_t'. No further call of the network: the error falls with the third power of the step.
    """

    def noise_variance(self, alpha_bar_t: float, alpha_bar_s: float) -> float:
        return 0.0

    def mean(
        self, x_t: Tensor, x_0: Tensor, eps: Tensor, alpha_bar_t: float, alpha_bar_s: float,
        past: Sequence[Past] = (), ask: Ask | None = None,
    ) -> Tensor:  # fmt: skip
        return DPMSolver2M().mean(x_t, x_0, eps, alpha_bar_t, alpha_bar_s, past)

    def corrected(self, x_t: Tensor, x_0: Tensor, alpha_bar_t: float, past: Sequence[Past]) -> Tensor:
        if not past:
            return x_t
        before = past[0]
        lambda_t, lambda_before = _log_snr(alpha_bar_t) / 2, _log_snr(before.alpha_bar) / 2
        h = lambda_t - lambda_before
        earlier = lambda_before - _log_snr(past[1].alpha_bar) / 2 if len(past) > 1 else 0.0
        if h <= 0:  # two levels that float64 cannot tell apart: the step led nowhere
            return x_t
        if earlier <= SHORTEST * h:
            data = (before.x_0 + x_0) / 2
        else:
            r = -earlier / h
            b_1, b_2 = _unipc_b(h)
            rho_1 = (b_1 - b_2) / (1 - r)
            data = before.x_0 + rho_1 / r * (past[1].x_0 - before.x_0) + (b_1 - rho_1) * (x_0 - before.x_0)
        eps = process.eps_from_x0(before.x_t, data, before.alpha_bar)
        return DDIM().mean(before.x_t, data, eps, before.alpha_bar, alpha_bar_t)


@dataclass(frozen=True)
class Heun(Update):
    """Heun's method for the ODE of DDIM, Karras et al. 2022, arXiv 2206.00364, algorithm 1 without noise.

    In x / sqrt(alpha_bar) over sigma = sqrt((1 - alpha_bar) / alpha_bar) the slope of the ODE is eps: a step of DDIM
    follows that at t, Euler's method. From where it led the denoiser is asked again, and the mean of both is followed:

        x'  = sqrt(alpha_bar_s) x_0 + sqrt(1 - alpha_bar_s) eps,
        x_s = x' + sqrt(alpha_bar_s) (sigma_s - sigma_t) (eps' - eps) / 2,    eps' found in x' at s.

    Two calls a step, and the error falls with its square. The last step is DDIM's, as at s = 0 there is nothing to ask;
    so is one from so little signal that rounding would be seen, which x' and then the difference of eps make larger.
    """

    def noise_variance(self, alpha_bar_t: float, alpha_bar_s: float) -> float:
        return 0.0

    def mean(
        self, x_t: Tensor, x_0: Tensor, eps: Tensor, alpha_bar_t: float, alpha_bar_s: float,
        past: Sequence[Past] = (), ask: Ask | None = None,
    ) -> Tensor:  # fmt: skip
        x_s = DDIM().mean(x_t, x_0, eps, alpha_bar_t, alpha_bar_s)
        if self.calls(alpha_bar_t, alpha_bar_s) == 1:
            return x_s
        assert ask is not None, "Heun's method asks twice a step"
        _, eps_s = ask(x_s, alpha_bar_s)
        return x_s + _length(alpha_bar_t, alpha_bar_s) / 2 * (eps_s - eps)

    def calls(self, alpha_bar_t: float, alpha_bar_s: float) -> int:
        return 1 if alpha_bar_s == 1 or -_length(alpha_bar_t, alpha_bar_s) > LONGEST else 2


def _length(alpha_bar_t: float, alpha_bar_s: float) -> float:
    """sqrt(alpha_bar_s) (sigma_s - sigma_t) of ``Heun``, without a difference of large numbers."""
    return math.sqrt(1 - alpha_bar_s) - math.sqrt(alpha_bar_s * (1 - alpha_bar_t) / alpha_bar_t)


def _unipc_b(h: float) -> tuple[float, float]:
    """b_1 and b_2 of ``UniPC``; for small h by their series, as the formulas are differences of large numbers there."""
    if h < 0.01:
        return 1 / 2 + h / 12 - h**3 / 720, 1 / 3 + h / 12 + h**2 / 360 - h**3 / 720
    b_1 = -1 / math.expm1(-h) - 1 / h
    return b_1, -1 / math.expm1(-h) - 2 * b_1 / h


def _log_snr(alpha_bar: float) -> float:
    return math.log(alpha_bar) - math.log1p(-alpha_bar)


def _check_share(name: str, value: float) -> None:
    if not is_number(value) or not 0 <= value <= 1:
        raise SamplingError(name, f"{name} must lie between 0 and 1, not {shown(value)}.")


@dataclass(frozen=True)
class Sampler(Choice):
    """A sampler to choose: ``make(**options)`` gives the ``Update``; ``parameters`` are its options."""

    make: Callable[..., Update]
    parameters: dict[str, Parameter]


_ETA = Parameter("η", 0.0, 1.0, 0.0, "noise added at each step: 0 is none, 1 the posterior's")


SAMPLERS: dict[str, Sampler] = {
    "ddpm": Sampler(
        "DDPM",
        r"x_s = \tilde\mu(x_t, \hat x_0) + \sigma z,\; \sigma^2 = \beta_{t|s}^{\,v}\,\tilde\beta_{t|s}^{\,1-v}",
        "Ho et al. 2020, algorithm 2",
        "The original. Best with hundreds of steps; noisy with few.",
        DDPM,
        {"v": Parameter("v", 0.0, 1.0, 1.0, "variance of the noise: 0 is β̃, 1 is β")},
    ),
    "ddim": Sampler(
        "DDIM",
        r"x_s = \sqrt{\bar\alpha_s}\,\hat x_0 + \sqrt{1-\bar\alpha_s-\sigma^2}\;\hat\varepsilon + \sigma z,\;"
        r" \sigma^2 = \eta^2\tilde\beta_{t|s}",
        "Song et al. 2021, eq. 12",
        "With η = 0 the noise at T decides everything. 20 to 100 steps.",
        DDIM,
        {"eta": _ETA},
    ),
    "dpmpp": Sampler(
        "DPM-Solver++(2M)",
        r"x_s = \mathrm{DDIM}(x_t, D),\; D = \hat x_0 + \tfrac{h}{2h'}(\hat x_0 - \hat x_0'),\;"
        r" h = \lambda_s-\lambda_t,\; h' = \lambda_t-\lambda_{t'}",
        "Lu et al. 2022, arXiv 2211.01095, algorithm 2",
        "Learns from the step before: for 10 to 20 steps. η = 1 is the SDE: noise covers up what few steps get wrong.",
        DPMSolver2M,
        {"eta": _ETA},
    ),
    "unipc": Sampler(
        "UniPC",
        r"x_t \leftarrow \mathrm{DDIM}(x_{t'}, D(\hat x_0'', \hat x_0', \hat x_0)),\;"
        r" x_s = \mathrm{DPM{+}{+}(2M)}(x_t, \hat x_0, \hat x_0')",
        "Zhao et al. 2023, arXiv 2302.04867, algorithm 1",
        "Takes each step again once it sees where it led. For 10 steps that are even in t.",
        UniPC,
        {},
    ),
    "heun": Sampler(
        "Heun",
        r"x_s = x' + \sqrt{\bar\alpha_s}\,(\sigma_s-\sigma_t)\,\tfrac12(\hat\varepsilon'-\hat\varepsilon),\;"
        r" x' = \mathrm{DDIM}(x_t),\; \hat\varepsilon' = \hat\varepsilon(x', s)",
        "Karras et al. 2022, arXiv 2206.00364, algorithm 1",
        "Asks twice a step, all but the last: compare it with twice as many steps of others. Karras steps suit it.",
        Heun,
        {},
    ),
}


def option_parameters() -> dict[str, Parameter]:
    """The options of all samplers, by name; samplers that share a name share what it means."""
    return {name: parameter for sampler in SAMPLERS.values() for name, parameter in sampler.parameters.items()}


def samplers_with(option: str) -> list[str]:
    """The samplers that have an option."""
    return [name for name, sampler in SAMPLERS.items() if option in sampler.parameters]


def all_options(name: str, options: Mapping[str, float]) -> dict[str, float]:
    """The options of a sampler; those left out take its defaults.

    Raises:
        SamplingError: an unknown name or option.
    """
    check_choice("sampler", name, SAMPLERS)
    known = SAMPLERS[name].parameters
    for option in options:
        if option not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            raise SamplingError(str(option), f"{SAMPLERS[name].title} has no option {shown(option)}; {has}.")
    return {option: parameter.default for option, parameter in known.items()} | dict(options)


def make_update(name: str, /, **options: float) -> Update:
    """The sampler of that name; options left out take its defaults.

    Raises:
        SamplingError: an unknown name or option, or an option out of range.
    """
    values = all_options(name, options)
    return SAMPLERS[name].make(**values)


def title_of(name: str, options: Mapping[str, float]) -> str:
    """A sampler and those of its options that are not the usual ones, for people: "DPM-Solver++(2M), η = 1"."""
    known = SAMPLERS[name].parameters
    changed = [f"{known[o].symbol} = {x:g}" for o, x in all_options(name, options).items() if x != known[o].default]
    return ", ".join([SAMPLERS[name].title, *changed])
