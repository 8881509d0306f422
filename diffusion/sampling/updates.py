"""Sampling: which steps to take, one pure step, and one loop that yields every step.

    for step in sample(denoiser, schedule, (1, 32, 32), steps=timesteps(schedule, 20), seeds=range(16),
                       update=DPMSolver2M()):
        show(step.x_0)

``SAMPLERS``, ``SPACINGS`` and ``CLIPS`` say of each choice what it is, where it is from and when to use it.
Equation numbers without a source are those of Ho et al. 2020, arXiv 2006.11239; the update from t to any earlier s uses
alpha_{t|s} = alpha_bar_t / alpha_bar_s in place of alpha_t (see process.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from diffusion import process
from diffusion.checks import is_number, is_whole, shown
from diffusion.denoiser import Denoiser
from diffusion.schedules.schedule import LOG_SNR_END, Parameter, Schedule

Spacing = Literal["trailing", "linspace", "leading", "quadratic", "log_snr", "karras"]
Clip = Literal["static", "dynamic", "none"]
# How many steps back the samplers look.
PAST = 2
# As a part of a step, how short the one before may be for the samplers to look back over it.
SHORTEST = 1e-4
# "a certain percentile absolute pixel value": the one that diffusers takes too.
DYNAMIC_PERCENTILE = 0.995
MAX_SEED = 2**63 - 1
RHO = 7  # the paper's choice: it spends more of the steps where little noise is left than would even out their errors


class SamplingError(ValueError):
    """A request that cannot be sampled; ``field`` names the setting to change."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


def check_choice(field: str, value: Any, known: Collection[str]) -> None:
    """Raises SamplingError: ``value`` is none of the names that are known; ``field`` is what they name."""
    if not isinstance(value, str) or value not in known:
        raise SamplingError(field, f"There is no {field} {shown(value)}; choose one of {', '.join(known)}.")


@dataclass(frozen=True)
class About:
    """A choice, for people: its name, its formula (KaTeX), where it is from, and when to use it."""

    title: str
    formula: str
    source: str
    advice: str


SPACINGS: dict[Spacing, About] = {
    "trailing": About(
        "trailing",
        r"t_i = \mathrm{round}\big(T - i\,\tfrac{T}{N}\big)",
        "Lin et al. 2023, table 2",
        "Even in t, always begins at T. Right unless you have a reason.",
    ),
    "linspace": About(
        "linspace",
        r"t_i = 1 + \mathrm{round}\big((N-1-i)\,\tfrac{T-1}{N-1}\big)",
        "Nichol & Dhariwal 2021, section 4",
        "Even in t with both ends; its last step, from t = 1, changes little.",
    ),
    "leading": About(
        "leading",
        r"t_i = 1 + (N-1-i)\,\lfloor T/N\rfloor",
        "Song et al. 2021, appendix D.2 (linear)",
        "Begins below T, at a level that pure noise is not at. Here to show what that costs.",
    ),
    "quadratic": About(
        "quadratic",
        r"t_i = \mathrm{round}\big(T\,(\tfrac{N-i}{N})^2\big)",
        "Song et al. 2021, appendix D.2",
        "More steps near t = 0, where fine detail appears.",
    ),
    "log_snr": About(
        "even in log SNR",
        r"\log\mathrm{SNR}_{t_i} = \log\mathrm{SNR}_T + \tfrac{i}{N-1}(\log\mathrm{SNR}_1 - \log\mathrm{SNR}_T)",
        "Lu et al. 2022, arXiv 2206.00927, section 3.3",
        "The same whatever the schedule. Best for DPM-Solver++ with 10 to 20 steps.",
    ),
    "karras": About(
        "Karras",
        r"\sigma_{t_i} = \big(\sigma_T^{1/7} + \tfrac{i}{N-1}(\sigma_1^{1/7} - \sigma_T^{1/7})\big)^7,\;"
        r" \sigma_t = \sqrt{(1-\bar\alpha_t)/\bar\alpha_t}",
        "Karras et al. 2022, arXiv 2206.00364, eq. 5",
        "The same whatever the schedule, with more steps where little noise is left than even ones in log SNR.",
    ),
}


def timesteps(schedule: Schedule, count: int, spacing: Spacing = "trailing", start: int | None = None) -> list[int]:
    """``count`` of the steps 1 ... T, from the noisiest down; the step after the last is t = 0.

    Args:
        start: where to begin instead of T, which all formulas then take for T.

    leading:   1 + i floor(T / count): begins below T when count does not divide it, or count < T.
    linspace:  1 + round(i (T - 1) / (count - 1)): both ends.
    trailing:  round(T - i T / count): always begins at T (Lin et al. 2023, arXiv 2305.08891, table 2).
    quadratic: round(T (i / count)^2), i = 1 ... count (Song et al. 2021, arXiv 2010.02502, appendix D.2).
    log_snr:   nearest to levels even in log SNR (Lu et al. 2022, arXiv 2206.00927, section 3.3), all within
               -12 ... 12; the first is T in any case.
    karras:    the same with levels even in sigma^(1/7), sigma = sqrt((1 - alpha_bar) / alpha_bar) = exp(-log SNR / 2)
               (Karras et al. 2022, arXiv 2206.00364, eq. 5, rho = 7).

    Where two of the last three kinds fall together, they are moved apart.

    Raises:
        SamplingError: count or start outside 1 ... T, or an unknown spacing.
    """
    check_choice("spacing", spacing, SPACINGS)
    T = schedule.T if start is None else start
    if not is_whole(T) or not 1 <= T <= schedule.T:
        raise SamplingError("start", f"The step to begin at must lie between 1 and T = {schedule.T}, not {shown(T)}.")
    if not is_whole(count):
        raise SamplingError("steps", f"The number of steps must be a whole number, not {shown(count)}.")
    if not 1 <= count <= T:
        name = "T" if start is None else "where they begin, t"
        raise SamplingError("steps", f"Steps must lie between 1 and {name} = {T}, not {shown(count)}.")
    steps: NDArray[Any]
    match spacing:
        case "leading":
            steps = 1 + np.arange(count) * (T // count)
        case "linspace":
            # The lower end alone when there is one step would start from almost clean images.
            steps = 1 + np.round(np.linspace(0, T - 1, count)) if count > 1 else np.array([T])
        case "trailing":
            steps = np.round(np.arange(T, 0, -T / count))[:count][::-1]
        case "quadratic":
            steps = _apart(T * (np.arange(1, count + 1) / count) ** 2, T)
        case "log_snr" | "karras":
            log_snr = schedule.log_snr[1 : T + 1]
            # A step beyond these would be lost.
            first, last = np.clip(log_snr[[0, -1]], -LOG_SNR_END, LOG_SNR_END)
            if spacing == "log_snr":
                levels = np.linspace(first, last, count)
            else:
                largest, smallest = np.exp(-first / 2 / RHO), np.exp(-last / 2 / RHO)  # sigma^(1/7)
                levels = -2 * RHO * np.log(np.linspace(largest, smallest, count))
            # np.interp wants rising levels, which run from T down to 1.
            steps = np.interp(levels, log_snr[::-1], np.arange(T, 0, -1))
            steps = _apart(np.concatenate((steps[:-1], [T])), T)
    return [int(t) for t in steps[::-1]]


def _apart(steps: NDArray[Any], T: int) -> NDArray[Any]:
    """Rising steps rounded to whole numbers, no two alike, within 1 ... T."""
    index = np.arange(len(steps))
    upwards = np.maximum.accumulate(np.maximum(np.round(steps), 1) - index) + index
    return np.minimum(upwards, T - index[::-1])


CLIPS: dict[Clip, About] = {
    "static": About(
        "clip to [−1, 1]",
        r"\hat x_0 \leftarrow \min(\max(\hat x_0, -1), 1)",
        "Ho et al. 2020, released code",
        "Pixels end there in any case. Right for small images and little guidance.",
    ),
    "dynamic": About(
        "dynamic threshold",
        r"\hat x_0 \leftarrow \mathrm{clip}(\hat x_0, -s, s)/s,\; s = \max(1, P_{99.5}|\hat x_0|)",
        "Saharia et al. 2022, section 2.3",
        "With strong guidance: contrast shrinks instead of burning out.",
    ),
    "none": About("off", r"\hat x_0", "", "To see what the network says, or when x_0 may leave [−1, 1]."),
}


def limit(x_0: Tensor, clip: Clip) -> Tensor:
    """The predicted x_0 (B, C, H, W) kept within [-1, 1].

    static:  clipped, as the code of Ho et al. 2020 does.
    dynamic: clipped to [-s, s] and divided by s, the 99.5th percentile of |x_0| in each image, if that is above 1
             (Saharia et al. 2022, arXiv 2205.11487, section 2.3).
    none:    left as it is.

    Raises:
        SamplingError: any other.
    """
    check_choice("clip", clip, CLIPS)
    if clip == "none":
        return x_0
    if clip == "static":
        return x_0.clamp(-1, 1)
    s = x_0.abs().flatten(1).quantile(DYNAMIC_PERCENTILE, dim=1).clamp(min=1)[:, None, None, None]
    return torch.maximum(torch.minimum(x_0, s), -s) / s


@dataclass(frozen=True)
class Past:
    """An earlier step, for samplers that look back: the level it left, x_t there, and the x_0 predicted from it."""

    alpha_bar: float
    x_t: Tensor
    x_0: Tensor


class Update(Protocol):
    """One way to go from x_t to x_s, s < t, given the predicted x_0 and eps (which agree with x_t by eq. 4)."""

    def noise_variance(self, alpha_bar_t: float, alpha_bar_s: float) -> float:
        """Variance of the noise that the step adds; 0 when it is deterministic."""
        ...

    def mean(
        self, x_t: Tensor, x_0: Tensor, eps: Tensor, alpha_bar_t: float, alpha_bar_s: float, past: Sequence[Past] = ()
    ) -> Tensor:
        """x_s before the noise is added.

        Args:
            past: the steps before, the latest first; none at the beginning. Only multistep samplers look at it.
        """
        ...

    def corrected(self, x_t: Tensor, x_0: Tensor, alpha_bar_t: float, past: Sequence[Past]) -> Tensor:
        """x_t in the light of the x_0 that was predicted from it; most samplers leave it as it is."""
        return x_t


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
        self, x_t: Tensor, x_0: Tensor, eps: Tensor, alpha_bar_t: float, alpha_bar_s: float, past: Sequence[Past] = ()
    ) -> Tensor:
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
        self, x_t: Tensor, x_0: Tensor, eps: Tensor, alpha_bar_t: float, alpha_bar_s: float, past: Sequence[Past] = ()
    ) -> Tensor:
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
        self, x_t: Tensor, x_0: Tensor, eps: Tensor, alpha_bar_t: float, alpha_bar_s: float, past: Sequence[Past] = ()
    ) -> Tensor:
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
        self, x_t: Tensor, x_0: Tensor, eps: Tensor, alpha_bar_t: float, alpha_bar_s: float, past: Sequence[Past] = ()
    ) -> Tensor:
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
class Sampler(About):
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
}


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


@dataclass(frozen=True)
class Step:
    """What one step did: from x_t at t to x_s at s.

    Args:
        index: 0 ... count - 1.
        count: how many steps are taken, each with one call of the denoiser.
        t, s: the step it left and the one it reached; s = 0 at the end.
        x_t: (B, C, H, W) before the step; as corrected, by a sampler that does (UniPC).
        x_0: predicted from x_t; after clipping, if there is any.
        eps: what agrees with x_0 and x_t (eq. 4).
        sigma: deviation of the noise that was added; 0 where there was none.
        z: standard normal, (B, C, H, W): sigma z is what was added; None where there was none.
        x_s: after the step; with ``known`` parts, if there are any, in their place.
    """

    index: int
    count: int
    t: int
    s: int
    x_t: Tensor
    x_0: Tensor
    eps: Tensor
    sigma: float
    z: Tensor | None
    x_s: Tensor


class NoiseSource:
    """Standard normal noise, one generator for each sample.

    Drawn on the CPU and one sample at a time, so that a sample is the same in any batch and on any device.
    """

    def __init__(self, seeds: Sequence[int], shape: tuple[int, int, int], device: torch.device) -> None:
        self._generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self._shape, self._device = shape, device

    def draw(self) -> Tensor:
        noise = torch.stack([torch.randn(self._shape, generator=generator) for generator in self._generators])
        if self._device.type == "cuda":
            noise = noise.pin_memory()  # only from there does a copy not keep the host waiting
        return noise.to(self._device, non_blocking=True)


def noised(images: Tensor, schedule: Schedule, t: int, seeds: Sequence[int]) -> Tensor:
    """x_t of given images (eq. 4), to ``start`` from: SDEdit (Meng et al. 2022, arXiv 2108.01073).

        steps = timesteps(schedule, 20, start=t)
        sample(..., steps=steps, seeds=seeds, start=noised(images, schedule, t, seeds))

    Args:
        images: (B, C, H, W), or (1, C, H, W) for one image and many seeds; in [-1, 1].
        t: 1 ... T; the further, the less is kept.
        seeds: of the noise, one for each sample. It is the noise that those seeds would begin with at T.
    """
    eps = NoiseSource(seeds, (images.shape[1], images.shape[2], images.shape[3]), images.device).draw()
    return process.q_sample(images, float(schedule.alpha_bar[t]), eps)


def between(a: Tensor, b: Tensor, u: float) -> Tensor:
    """From noise a (u = 0) to noise b (u = 1), each (C, H, W), along the arc between them (slerp):

        (sin((1 - u) theta) a + sin(u theta) b) / sin(theta),    theta the angle between a and b.

    A straight line would pass through noise that is too small (Song et al. 2021, arXiv 2010.02502, section 5.3). Stack
    several and ``start`` a deterministic sampler from them.
    """
    theta = torch.acos(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0).clamp(-1, 1))
    if theta.sin() < 1e-4:  # the same noise, or its opposite, between which there is no arc
        return torch.lerp(a, b, u)
    return (((1 - u) * theta).sin() * a + (u * theta).sin() * b) / theta.sin()


def first_noise(seeds: Sequence[int], shape: tuple[int, int, int]) -> Tensor:
    """The x_T that each seed begins with, (B, C, H, W), on the CPU."""
    return NoiseSource(seeds, shape, torch.device("cpu")).draw()


@dataclass(frozen=True)
class Known:
    """What is given of the images that are to be made (inpainting).

    Args:
        image: (1 or B, C, H, W) in [-1, 1].
        mask: broadcasts against it; 1 where the image is kept, 0 where it is to be made up.
    """

    image: Tensor
    mask: Tensor


def resampled(steps: Sequence[int], jump: int = 10, repeats: int = 10) -> list[int]:
    """Steps that go back up again and again, for ``known`` parts and the rest to come to terms.

    After every ``jump`` steps down they rise by as many, ``repeats - 1`` times over, before they go on (RePaint,
    Lugmayr et al. 2022, arXiv 2201.09865, section 4.2 and its released code). About ``repeats`` times as many calls.

    Raises:
        SamplingError: jump or repeats below 1.
    """
    for name, value in (("jump", jump), ("repeats", repeats)):
        if not is_whole(value) or value < 1:
            raise SamplingError(name, f"{name} must be a whole number of at least 1, not {shown(value)}.")
    rising, path = steps[::-1], []
    left = dict.fromkeys(range(0, len(steps) - jump, jump), repeats - 1)
    i = len(steps)
    while i > 0:
        i -= 1
        path.append(rising[i])
        if left.get(i, 0) > 0:
            left[i] -= 1
            i += jump
            path.append(rising[i])
    return path


def calls(steps: Sequence[int]) -> int:
    """How many of the steps go down, each with one call of the denoiser; all but those that ``resampled`` rises by."""
    return sum(s < t for t, s in pairwise([*steps, 0]))


def check_steps(steps: Sequence[int], schedule: Schedule, *, rising: bool = False) -> None:
    """Raises SamplingError: steps that do not descend within 1 ... T; ``rising`` ones may rise in between."""
    whole = len(steps) > 0 and all(is_whole(t) and 1 <= t <= schedule.T for t in steps)
    if not whole or any(s == t or (s > t and not rising) for t, s in pairwise(steps)):
        raise SamplingError("steps", f"Steps must descend from at most T = {schedule.T} to at least 1.")


def check_seeds(seeds: Sequence[int]) -> None:
    """Raises SamplingError: none, or one that is no whole number from 0 to 2^63 - 1."""
    if not len(seeds):
        raise SamplingError("seed", "There must be at least one seed.")
    ends = (seeds[0], seeds[-1]) if isinstance(seeds, range) else seeds
    for seed in ends:
        if not is_whole(seed) or not 0 <= seed <= MAX_SEED:
            raise SamplingError("seed", f"A seed must be a whole number from 0 to 2^63 - 1, not {shown(seed)}.")


def check_given(
    count: int, shape: tuple[int, int, int], labels: int | None, start: Tensor | None, known: Known | None
) -> None:
    """Raises SamplingError: what is given besides the seeds does not fit ``count`` images of ``shape`` (C, H, W).

    Args:
        labels: how many there are.
    """
    if labels is not None and labels != count:
        raise SamplingError("label", f"There must be a class for each of the {count} images, not {labels}.")
    if start is not None and (start.ndim != 4 or start.shape[0] not in (1, count) or start.shape[1:] != shape):
        raise SamplingError("start", f"x_t to start from must be 1 or {count} images of {_size(shape)}, not of "
                                     f"{_size(start.shape[1:])}.")  # fmt: skip
    if known is not None:
        full = (count, *shape)
        image, mask = known.image.shape, known.mask.shape
        if len(image) != 4 or image[0] not in (1, count) or image[1:] != shape:
            raise SamplingError("known", f"Known parts must be of 1 or {count} images of {_size(shape)}, not of "
                                         f"{_size(image[1:])}.")  # fmt: skip
        if len(mask) != 4 or any(side not in (1, all_of_it) for side, all_of_it in zip(mask, full, strict=True)):
            raise SamplingError("mask", f"The mask must be of {_size(shape)} as the images are, not of "
                                        f"{_size(mask[1:])}.")  # fmt: skip


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


@torch.inference_mode()
def sample(
    denoiser: Denoiser,
    schedule: Schedule,
    shape: tuple[int, int, int],
    *,
    steps: Sequence[int],
    seeds: Sequence[int],
    labels: Tensor | None = None,
    update: Update = DDPM(),
    clip: Clip = "static",
    start: Tensor | None = None,
    known: Known | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[Step]:
    """Run the reverse process, yielding every step.

    Args:
        denoiser: asked for eps at each level; wrap it in ``Guided`` for guidance. ``ExactDenoiser(images)`` is one too.
        schedule: gives alpha_bar at each step; need not be the one the network was trained on.
        shape: (C, H, W) of an image.
        steps: descending steps t in 1 ... T, see ``timesteps``; 0 is reached after the last. With ``known`` they may
            rise in between, see ``resampled``: there noise is added (eq. 2) and nothing yielded.
        seeds: one for each sample; the sample depends on its seed alone. The first noise of a seed is its x_T.
        labels: (B,) int64 classes, or None for the empty class.
        update: DDPM(v), DDIM(eta), DPMSolver2M(eta), UniPC(), or ``make_update(name)``.
        clip: how the predicted x_0 is kept in [-1, 1], see ``limit``; eps is then made to agree with it.
        start: x_t at t = steps[0], (B, C, H, W) or (1, C, H, W), instead of pure noise: ``noised`` images, noise
            ``between`` two, or the x_t of an earlier step, to go on from there with other seeds (its later steps are
            ``[t for t in steps if t <= step.t]``).
        known: parts of the images that are given. At each s they are noised to s and take the place of what was
            drawn there (RePaint, Lugmayr et al. 2022, arXiv 2201.09865, eq. 8).

    Raises:
        SamplingError: steps that do not descend within 1 ... T, no seeds or some that are none, or labels, a start or
            known parts that do not fit.
    """
    check_steps(steps, schedule, rising=known is not None)
    check_seeds(seeds)
    check_given(len(seeds), shape, None if labels is None else len(labels), start, known)
    check_choice("clip", clip, CLIPS)
    moves = list(pairwise([*steps, 0]))
    device = torch.device(device)
    labels = None if labels is None else labels.to(device)
    noise = NoiseSource(seeds, shape, device)
    x = noise.draw()
    if start is not None:
        x = start.to(device).expand_as(x)
    if known is not None:
        known = Known(known.image.to(device), known.mask.to(device))
    past: tuple[Past, ...] = ()
    index, count = 0, calls(steps)
    for t, s in moves:
        alpha_bar_t, alpha_bar_s = float(schedule.alpha_bar[t]), float(schedule.alpha_bar[s])
        if s > t:
            x = process.q_step(x, 1 - alpha_bar_s / alpha_bar_t, noise.draw())
            past = ()
            continue
        eps = denoiser(x, alpha_bar_t, labels)
        x_0 = process.x0_from_eps(x, eps, alpha_bar_t)
        if clip != "none":
            x_0 = limit(x_0, clip)
            eps = process.eps_from_x0(x, x_0, alpha_bar_t)
        # Going back to the step before would lose the known parts that were put in after it.
        corrected = x if known is not None else update.corrected(x, x_0, alpha_bar_t, past)
        if corrected is not x:
            x, eps = corrected, process.eps_from_x0(corrected, x_0, alpha_bar_t)
        x_s = update.mean(x, x_0, eps, alpha_bar_t, alpha_bar_s, past)
        # Algorithm 2: z = 0 in the last step.
        sigma = update.noise_variance(alpha_bar_t, alpha_bar_s) ** 0.5 if s > 0 else 0.0
        z = noise.draw() if sigma > 0 else None
        if z is not None:
            x_s = x_s + sigma * z
        if known is not None:
            given = process.q_sample(known.image, alpha_bar_s, noise.draw()) if s > 0 else known.image
            x_s = known.mask * given + (1 - known.mask) * x_s
        yield Step(index, count, t, s, x, x_0, eps, sigma, z, x_s)
        past = (Past(alpha_bar_t, x, x_0), *past[: PAST - 1])
        index, x = index + 1, x_s
